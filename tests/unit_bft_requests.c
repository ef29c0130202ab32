/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bft/requests.c by itself: for how long a client has to sign, when the reply cache is
 * asked for a request that waits, what is not ordered before it has answered, and how
 * many clients ask at present.
 */
#include "protocols/bft/requests.h"
#include "tests/unit.h"

#include <stdlib.h>

enum {
	SLOTS = 64,
	REQUEST_SIZE = 256,
	BATCH_SIZE = 4096,
	ENVELOPE_SIZE = 2048,
	ENVELOPES = 8,
	CLIENT = 5,
};

static struct rig {
	struct member me;
	struct requests requests;
	struct outbox out;
	uint8_t *memory;
	uint64_t envelopes[ENVELOPES][ENVELOPE_SIZE / 8];
	uint64_t batch[BATCH_SIZE / 8];
} rig;

/* Its machine of the last of `instances` instances. */
static void
open_instance(uint16_t self, uint16_t instances)
{
	struct protocol_config config = {
	    .replicas_count = 4,
	    .faults = 1,
	    .self = self,
	    .instance = (uint16_t)(instances - 1),
	    .instances_count = instances,
	    .slots_count = SLOTS,
	    .protocol_proof = PROOF_SIGNATURE,
	    .request_proof = PROOF_VECTOR,
	    .reply_proof = PROOF_MAC,
	    .request_size_max = REQUEST_SIZE,
	    .batch_count_max = 8,
	    .batch_size_max = BATCH_SIZE,
	};
	memset(&rig, 0, sizeof(rig));
	member_init(&rig.me, &config);
	rig.memory = aligned_alloc(64, requests_size(&config));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.memory);
	memset(rig.memory, 0, requests_size(&config));
	requests_init(&rig.requests, &rig.me, rig.memory);
}

static void
open_replica(uint16_t self)
{
	open_instance(self, 1);
}

static void
close_replica(void)
{
	requests_audit(&rig.requests);
	free(rig.memory);
}

static void
out_clear(void)
{
	rig.out = (struct outbox){.sends_ready = ENVELOPES};
	for (uint32_t i = 0; i < ENVELOPES; i++) {
		rig.out.sends[i].header = (void *)rig.envelopes[i];
		rig.out.sends[i].capacity = ENVELOPE_SIZE;
	}
}

/* ---- Terms ------------------------------------------------------------------------ */

/* How many batches are executed until the client need not sign any more. */
static uint64_t
term_served(void)
{
	struct requests *q = &rig.requests;
	struct client_state *c = &q->clients[CLIENT];
	out_clear();
	requests_demand_signature(q, CLIENT, &rig.out);
	CU_ASSERT_TRUE(c->must_sign);
	CU_ASSERT_EQUAL(rig.out.sends_count, 1);
	uint64_t from = q->executed_seq;
	while (c->must_sign) {
		q->executed_seq++;
		requests_ease(q, c);
	}
	return q->executed_seq - from;
}

/* C05: a client whose MACs are bad again and again spoils a batch ever more rarely. */
static void
terms_grow(void)
{
	open_replica(1);
	uint64_t expected = REQUESTS_SIGNED_BATCHES;
	for (uint32_t i = 0; i < REQUESTS_RELAPSES_MAX; i++) {
		CU_ASSERT_EQUAL(term_served(), expected);
		expected *= 4;
	}
	/* Not without end: who is honest gets his MACs back some day. */
	CU_ASSERT_EQUAL(term_served(), expected);
	CU_ASSERT_EQUAL(term_served(), expected);
	close_replica();
}

/* A relapse is forgiven when a term has gone by without another one. */
static void
relapses_are_forgiven(void)
{
	open_replica(1);
	struct requests *q = &rig.requests;
	struct client_state *c = &q->clients[CLIENT];
	term_served();
	CU_ASSERT_EQUAL(term_served(), 4 * REQUESTS_SIGNED_BATCHES);
	CU_ASSERT_EQUAL(c->relapses, 2);
	while (c->relapses > 0) {
		CU_ASSERT_FALSE(c->must_sign);
		q->executed_seq++;
		requests_ease(q, c);
	}
	CU_ASSERT_EQUAL(c->term_end, 0);
	CU_ASSERT_EQUAL(term_served(), REQUESTS_SIGNED_BATCHES);
	close_replica();
}

/* ---- The reply cache -------------------------------------------------------------- */

static void
request_comes(uint16_t client, uint64_t timestamp, uint64_t orderer)
{
	uint64_t bytes[REQUEST_SIZE / 8] = {0};
	struct message_header *header = (void *)bytes;
	uint32_t size = (uint32_t)sizeof(*header) + proof_size(PROOF_VECTOR, 4);
	*header = (struct message_header){
	    .type = MESSAGE_REQUEST,
	    .proof = PROOF_VECTOR,
	    .sender = client,
	    .seq = timestamp,
	    .size = size,
	};
	struct message m = {.header = header, .body = (const uint8_t *)(header + 1)};
	out_clear();
	requests_take(&rig.requests, &m, orderer, &rig.out);
}

static void
expect_recalls(uint32_t count)
{
	CU_ASSERT_EQUAL(rig.out.deliveries_count, count);
	for (uint32_t i = 0; i < rig.out.deliveries_count; i++) {
		CU_ASSERT_EQUAL(rig.out.deliveries[i].kind, DELIVERY_RECALL);
		CU_ASSERT_EQUAL(rig.out.deliveries[i].client, CLIENT);
		CU_ASSERT_EQUAL(rig.out.deliveries[i].timestamp, 1);
	}
}

/* Whoever executed all himself knows what was executed; the primary need not ask either. */
static void
cache_is_left_alone(void)
{
	open_replica(0);
	request_comes(CLIENT, 1, replica_bit(0));
	expect_recalls(0);
	request_comes(CLIENT, 1, replica_bit(0));
	expect_recalls(0);
	close_replica();
}

/* After a move of the state: at first, and whenever the client asks again. */
static void
cache_is_asked(void)
{
	for (uint16_t orderer = 0; orderer < 2; orderer++) {
		open_replica(0);
		requests_moved(&rig.requests);
		request_comes(CLIENT, 1, replica_bit(orderer));
		expect_recalls(1);
		CU_ASSERT_EQUAL(rig.out.sends_count, orderer == 0 ? 0 : 1);
		request_comes(CLIENT, 1, replica_bit(orderer));
		expect_recalls(1);
		CU_ASSERT_EQUAL(rig.out.sends_count, 0);
		CU_ASSERT_EQUAL(rig.requests.pool.count, 1);
		close_replica();
	}
}

/* How many requests a batch would hold. */
static uint32_t
measured(void)
{
	uint32_t size;
	uint32_t count = requests_measure(&rig.requests, &size);
	CU_ASSERT_EQUAL(count, rig.requests.pool.unordered);
	CU_ASSERT_EQUAL(requests_oldest_ns(&rig.requests) == TIME_NEVER, count == 0);
	return count;
}

static void
cache_says(uint16_t flags, uint64_t timestamp)
{
	const struct result result = {.client = CLIENT, .flags = flags, .timestamp = timestamp};
	requests_on_result(&rig.requests, &result);
	requests_audit(&rig.requests);
}

/* Who leads right after a transfer orders nothing that the state may hold already. */
static void
doubtful_waits_for_the_cache(void)
{
	open_replica(0);
	request_comes(CLIENT, 1, replica_bit(0));
	CU_ASSERT_EQUAL(measured(), 1);
	requests_moved(&rig.requests);
	CU_ASSERT_EQUAL(measured(), 0);
	requests_requeue(&rig.requests);
	CU_ASSERT_EQUAL(measured(), 0);
	out_clear();
	requests_recheck(&rig.requests, &rig.out);
	expect_recalls(1);
	CU_ASSERT_EQUAL(rig.requests.recheck, 0);
	/* That a later one was not executed says nothing of it. */
	cache_says(RESULT_NEW, 2);
	CU_ASSERT_EQUAL(measured(), 0);
	cache_says(RESULT_NEW, 1);
	CU_ASSERT_EQUAL(measured(), 1);
	/* Moved once more, and this time it was executed. */
	requests_moved(&rig.requests);
	cache_says(RESULT_DUPLICATE, 1);
	CU_ASSERT_EQUAL(rig.requests.pool.count, 0);
	CU_ASSERT_EQUAL(measured(), 0);
	close_replica();
}

/* The answer got lost, and the client, who has its replies from others, does not ask again. */
static void
unanswered_doubt_is_looked_up_again(void)
{
	open_replica(0);
	request_comes(CLIENT, 1, replica_bit(0));
	requests_look_again(&rig.requests);
	CU_ASSERT_EQUAL(rig.requests.recheck, 0);
	requests_moved(&rig.requests);
	out_clear();
	requests_recheck(&rig.requests, &rig.out);
	expect_recalls(1);
	requests_look_again(&rig.requests);
	CU_ASSERT_NOT_EQUAL(rig.requests.recheck, 0);
	out_clear();
	requests_recheck(&rig.requests, &rig.out);
	expect_recalls(1);
	cache_says(RESULT_NEW, 1);
	requests_look_again(&rig.requests);
	CU_ASSERT_EQUAL(rig.requests.recheck, 0);
	close_replica();
}

/* One that came after the move, too; and then the client's next ones need not wait. */
static void
newcomer_waits_for_the_cache(void)
{
	open_replica(0);
	requests_moved(&rig.requests);
	request_comes(CLIENT, 1, replica_bit(0));
	expect_recalls(1);
	CU_ASSERT_EQUAL(measured(), 0);
	cache_says(RESULT_NEW, 1);
	CU_ASSERT_EQUAL(measured(), 1);
	cache_says(0, 1);
	request_comes(CLIENT, 2, replica_bit(0));
	expect_recalls(0);
	CU_ASSERT_EQUAL(measured(), 1);
	/* Stale: a later one was executed, and nobody here knows which. */
	requests_moved(&rig.requests);
	cache_says(RESULT_STALE, 2);
	CU_ASSERT_EQUAL(rig.requests.pool.count, 0);
	request_comes(CLIENT, 3, replica_bit(0));
	CU_ASSERT_EQUAL(rig.out.deliveries_count, 1);
	CU_ASSERT_EQUAL(measured(), 0);
	close_replica();
}

/* What a batch under way holds is not free because the cache does not have it yet. */
static void
ordered_stays_ordered(void)
{
	open_replica(0);
	request_comes(CLIENT, 1, replica_bit(0));
	requests_write(&rig.requests, (uint8_t *)rig.batch, 1);
	requests_moved(&rig.requests);
	cache_says(RESULT_NEW, 1);
	CU_ASSERT_EQUAL(measured(), 0);
	requests_requeue(&rig.requests);
	CU_ASSERT_EQUAL(measured(), 1);
	close_replica();
}

/* ---- The crowd -------------------------------------------------------------------- */

static void
batch_of(uint16_t first, uint16_t count, uint64_t timestamp)
{
	uint32_t size;
	for (uint16_t i = 0; i < count; i++)
		request_comes((uint16_t)(first + i), timestamp, replica_bit(0));
	CU_ASSERT_EQUAL(requests_measure(&rig.requests, &size), count);
	requests_write(&rig.requests, (uint8_t *)rig.batch, count);
	for (uint16_t i = 0; i < count; i++)
		requests_executed(&rig.requests, (uint16_t)(first + i), timestamp);
}

static void
crowd_is_counted(void)
{
	open_replica(0);
	CU_ASSERT_EQUAL(rig.requests.crowd, 0);
	/* Four times two of eight clients. */
	for (uint16_t i = 0; i < 4; i++) {
		batch_of(2 * i, 2, 1);
		CU_ASSERT_EQUAL(rig.requests.crowd, 2u * (i + 1));
	}
	for (uint64_t i = 4; i < REQUESTS_CROWD_BATCHES; i++)
		batch_of(0, 2, i);
	CU_ASSERT_EQUAL(rig.requests.crowd, 8);
	/* All but one have gone: after as many batches that is known. */
	for (uint64_t i = 0; i < REQUESTS_CROWD_BATCHES; i++) {
		CU_ASSERT_EQUAL(rig.requests.crowd, 8);
		batch_of(3, 1, 100 + i);
	}
	CU_ASSERT_EQUAL(rig.requests.crowd, 1);
	/* Empty batches say nothing of clients. */
	for (uint64_t i = 0; i < REQUESTS_CROWD_BATCHES; i++)
		requests_write(&rig.requests, (uint8_t *)rig.batch, 0);
	CU_ASSERT_EQUAL(rig.requests.crowd, 1);
	close_replica();
}

/* ---- Several instances ---------------------------------------------------------------- */

/* Which of the cluster's clients it takes complaints of, and lies about others' are not heard. */
static bool
complaint_is_heard(uint64_t client)
{
	struct requests *q = &rig.requests;
	struct message_header header = {
	    .proof = q->me->config.protocol_proof, .sender = 1, .seq = client};
	struct message complaint = {.header = &header};
	struct claims claims = {0};
	return requests_screen_complaint(q, &complaint, &claims) == VERDICT_STEP;
}

/* Every S-th client is an instance's: each of those has a state of its own, others none. */
static void
clients_are_divided(void)
{
	static const uint16_t instances[] = {1, 2, 3, 7, 14, 64};
	for (size_t i = 0; i < sizeof(instances) / sizeof(instances[0]); i++) {
		uint16_t s = instances[i];
		uint32_t wrong = 0;
		open_instance(0, s);
		struct client_state *end = (void *)rig.requests.pool.cells;
		struct client_state *next = rig.requests.clients;
		for (uint32_t client = 0; client <= UINT16_MAX; client++) {
			bool own = client < SLOTS && client % s == s - 1u;
			wrong += requests_has_client(&rig.requests, (uint16_t)client) != own;
			wrong += complaint_is_heard(client) != own;
			if (own)
				wrong += requests_client(&rig.requests, (uint16_t)client) != next++;
		}
		CU_ASSERT_EQUAL(wrong, 0);
		CU_ASSERT(next <= end && end - next <= 1);
		CU_ASSERT_FALSE(complaint_is_heard((1u << 16) + s - 1u));
		close_replica();
	}
}

static const struct unit_story stories[] = {
    {"clients are divided among instances", clients_are_divided},
    {"C05: terms grow", terms_grow},
    {"relapses are forgiven", relapses_are_forgiven},
    {"the cache is left alone", cache_is_left_alone},
    {"the cache is asked after a move", cache_is_asked},
    {"what may be executed waits for the cache", doubtful_waits_for_the_cache},
    {"a doubt that stays is looked up again", unanswered_doubt_is_looked_up_again},
    {"a newcomer waits for the cache", newcomer_waits_for_the_cache},
    {"what is ordered stays ordered", ordered_stays_ordered},
    {"the crowd is counted", crowd_is_counted},
};

UNIT_MAIN("bft_requests", stories)
