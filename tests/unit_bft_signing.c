/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/bft/requests.c alone: whose signatures are accepted where clients send
 * vectors of MACs, and when. n = 4, f = 1; this is replica 1.
 */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "engine/batch.h"
#include "protocols/bft/member.h"
#include "protocols/bft/requests.h"

enum { SELF = 1, SLOTS = 4, REQUEST_MAX = 256, BATCH_MAX = 2048, SENDS = 8, CLIENT = 2 };

static struct {
	struct member me;
	struct requests requests;
	void *memory;
	struct outbox out;
	uint64_t envelopes[SENDS][ENVELOPE_SIZE_MIN / 8];
	uint64_t request[REQUEST_MAX / 8];
	uint64_t batch[BATCH_MAX / 8];
	struct claims claims;
} rig;

static void
rig_open(void)
{
	const struct protocol_config config = {
	    .cluster = 7,
	    .protocol = 2,
	    .replicas_count = 4,
	    .faults = 1,
	    .self = SELF,
	    .instances_count = 1,
	    .slots_count = SLOTS,
	    .request_proof = PROOF_VECTOR,
	    .protocol_proof = PROOF_VECTOR,
	    .reply_proof = PROOF_MAC,
	    .batch_count_max = 8,
	    .batch_size_max = BATCH_MAX,
	    .window = 8,
	    .request_size_max = REQUEST_MAX,
	    .result_size_max = 64,
	    .checkpoint_interval = 8,
	    .view_timeout_ns = 1000000,
	};
	memset(&rig, 0, sizeof(rig));
	member_init(&rig.me, &config);
	rig.memory = aligned_alloc(64, bft_rounded(requests_size(&config)));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.memory);
	memset(rig.memory, 0, bft_rounded(requests_size(&config)));
	requests_init(&rig.requests, &rig.me, rig.memory);
	rig.out = (struct outbox){.sends_ready = SENDS};
	for (uint32_t i = 0; i < SENDS; i++) {
		rig.out.sends[i].capacity = sizeof(rig.envelopes[i]);
		rig.out.sends[i].header = (struct message_header *)(void *)rig.envelopes[i];
	}
}

static void
rig_close(void)
{
	free(rig.memory);
}

/* The client's request, without a body: what proves it is for whoever says so. */
static struct message
request_of(uint16_t client, uint64_t timestamp, uint8_t proof)
{
	struct message m;
	struct message_header *h = (struct message_header *)(void *)rig.request;
	*h = (struct message_header){
	    .size = sizeof(*h) + proof_size(proof, rig.me.config.replicas_count),
	    .cluster = rig.me.config.cluster,
	    .sender = client,
	    .protocol = rig.me.config.protocol,
	    .type = MESSAGE_REQUEST,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	    .seq = timestamp,
	};
	CU_ASSERT_EQUAL_FATAL(
	    message_parse(&rig.me.scope, (const uint8_t *)h, h->size, &m), PARSE_OK);
	return m;
}

static bool
is_let_in(uint16_t client, uint64_t timestamp, uint8_t proof)
{
	struct message m = request_of(client, timestamp, proof);
	rig.claims.count = 0;
	return requests_screen(&rig.requests, &m, &rig.claims) == VERDICT_STEP;
}

/* Somebody's batch of that one request, whose proof holds here, or does not. */
static bool
batch_holds(uint16_t client, uint64_t timestamp, uint8_t proof, bool authentic)
{
	const bool holds[2] = {authentic, authentic};
	struct message m = request_of(client, timestamp, proof);
	struct request_batch batch = {
	    .data = (const uint8_t *)rig.batch,
	    .size = batch_padded(m.header->size),
	    .holds = holds,
	};
	memset(rig.batch, 0, sizeof(rig.batch));
	memcpy(rig.batch, m.header, m.header->size);
	rig.claims.count = 0;
	CU_ASSERT_EQUAL(requests_screen_batch(&rig.requests, batch.data, batch.size, &rig.claims),
	    VERDICT_STEP);
	return requests_hold(&rig.requests, &batch, &rig.out);
}

static void
complaint_from(uint16_t replica)
{
	struct message_header h = {
	    .sender = replica,
	    .type = BFT_COMPLAINT,
	    .seq = CLIENT,
	};
	struct message m = {.header = &h};
	requests_on_complaint(&rig.requests, &m, &rig.out);
}

/* A signature costs a hundred times what a MAC does: strangers do not get it checked. */
static void
signatures_of_clients_in_good_standing_are_dropped(void)
{
	rig_open();
	CU_ASSERT(is_let_in(CLIENT, 1, PROOF_VECTOR));
	CU_ASSERT_FALSE(is_let_in(CLIENT, 1, PROOF_SIGNATURE));
	CU_ASSERT_FALSE(is_let_in(CLIENT, 1, PROOF_MAC));
	rig_close();
}

static void
one_complaint_opens_the_door_and_f_plus_one_shut_the_other(void)
{
	rig_open();
	complaint_from(3);
	CU_ASSERT(is_let_in(CLIENT, 1, PROOF_SIGNATURE));
	CU_ASSERT_EQUAL(rig.out.sends_count, 0);
	complaint_from(3);
	CU_ASSERT_EQUAL(rig.out.sends_count, 0);
	complaint_from(2);
	/* It is told, and a vector does not wait here any more. */
	CU_ASSERT_EQUAL(rig.out.sends_count, 1);
	struct message m = request_of(CLIENT, 1, PROOF_VECTOR);
	requests_take(&rig.requests, &m, 0, &rig.out);
	CU_ASSERT_EQUAL(rig.requests.pool.count, 0);
	CU_ASSERT_EQUAL(rig.out.sends_count, 2);
	m = request_of(CLIENT, 1, PROOF_SIGNATURE);
	requests_take(&rig.requests, &m, 0, &rig.out);
	CU_ASSERT_EQUAL(rig.requests.pool.count, 1);
	CU_ASSERT_FALSE(is_let_in(CLIENT + 1, 1, PROOF_SIGNATURE));
	rig_close();
}

/* The others' terms may be over, and with them their complaints, while the client still signs. */
static void
a_signature_that_held_in_a_batch_is_accepted_by_who_knows_no_complaint(void)
{
	rig_open();
	CU_ASSERT_FALSE(batch_holds(CLIENT, 1, PROOF_SIGNATURE, false));
	CU_ASSERT_FALSE(is_let_in(CLIENT, 2, PROOF_SIGNATURE));
	CU_ASSERT(batch_holds(CLIENT, 1, PROOF_VECTOR, true));
	CU_ASSERT_FALSE(is_let_in(CLIENT, 2, PROOF_SIGNATURE));
	CU_ASSERT(batch_holds(CLIENT, 1, PROOF_SIGNATURE, true));
	CU_ASSERT(is_let_in(CLIENT, 2, PROOF_SIGNATURE));
	CU_ASSERT_FALSE(is_let_in(CLIENT + 1, 2, PROOF_SIGNATURE));
	rig_close();
}

static void
a_vector_that_does_not_hold_is_complained_of_once_told(void)
{
	rig_open();
	CU_ASSERT_FALSE(batch_holds(CLIENT, 1, PROOF_VECTOR, false));
	CU_ASSERT_EQUAL(rig.out.sends_count, 1);
	CU_ASSERT_EQUAL(rig.out.sends[0].header->type, BFT_COMPLAINT);
	CU_ASSERT_EQUAL(rig.out.sends[0].header->seq, CLIENT);
	CU_ASSERT_EQUAL(rig.out.sends[0].to, 0xfull & ~(1ull << SELF));
	/* The client's own copy is as good as a proof. */
	struct message m = request_of(CLIENT + 1, 1, PROOF_VECTOR);
	requests_take(&rig.requests, &m, 0, &rig.out);
	CU_ASSERT(batch_holds(CLIENT + 1, 1, PROOF_VECTOR, false));
	CU_ASSERT_EQUAL(rig.out.sends_count, 1);
	rig_close();
}

/* The client waits for this replica's answer, and has no reason to sign: one alone asks it to. */
static void
who_must_sign_is_answered_from_the_cache_of_a_state_that_was_fetched(void)
{
	rig_open();
	complaint_from(2);
	complaint_from(3);
	struct message m = request_of(CLIENT, 1, PROOF_VECTOR);
	requests_take(&rig.requests, &m, 0, &rig.out);
	CU_ASSERT_EQUAL(rig.out.deliveries_count, 0);
	requests_moved(&rig.requests);
	requests_take(&rig.requests, &m, 0, &rig.out);
	CU_ASSERT_EQUAL_FATAL(rig.out.deliveries_count, 1);
	CU_ASSERT_EQUAL(rig.out.deliveries[0].kind, DELIVERY_RECALL);
	CU_ASSERT_EQUAL(rig.out.deliveries[0].client, CLIENT);
	CU_ASSERT_EQUAL(rig.out.deliveries[0].timestamp, 1);
	CU_ASSERT_EQUAL(rig.requests.pool.count, 0);
	rig_close();
}

static const struct unit_story stories[] = {
    {"signatures of clients in good standing are dropped",
	signatures_of_clients_in_good_standing_are_dropped},
    {"one complaint opens the door, and f + 1 shut the other",
	one_complaint_opens_the_door_and_f_plus_one_shut_the_other},
    {"a signature that held in a batch is accepted by who knows no complaint",
	a_signature_that_held_in_a_batch_is_accepted_by_who_knows_no_complaint},
    {"a vector that does not hold is complained of, once told",
	a_vector_that_does_not_hold_is_complained_of_once_told},
    {"who must sign is answered from the cache of a state that was fetched",
	who_must_sign_is_answered_from_the_cache_of_a_state_that_was_fetched},
};

UNIT_MAIN("bft_signing", stories)
