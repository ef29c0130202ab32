/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of protocols/bft by itself, for stories: what each replica says comes in as
 * the story tells it, is screened, proven by a toy prover that holds a key for each
 * replica, and stepped. audit() after each step. The protocol's rig defines RIG_CLIENT
 * (the machine), RIG_PROTOCOL (its number), RIG_INSTANCES and RIG_RESULT_SIZE_MAX
 * before. Static; one client, one core.
 */
#ifndef OSKR_TESTS_BFT_CLIENT_RIG_H
#define OSKR_TESTS_BFT_CLIENT_RIG_H

#include "engine/client_slots.h"
#include "engine/quorum.h"
#include "protocols/bft/bft.h"
#include "tests/toy_prover.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	PROTOCOL = RIG_PROTOCOL,
	SLOTS = 8,
	SLOT_FIRST = 16,
	SLOT = 21, /* the one that most stories are about */
	INSTANCES = RIG_INSTANCES,
	ENVELOPE_SIZE = 8192,
	LARGE_SIZE = 16384,
	RESULT_SIZE_MAX = RIG_RESULT_SIZE_MAX,
	RETRY_NS = 64000,
	N_MAX = 64,
};

/* The client with its outbox, and what the replicas speak of. */
static struct rig {
	struct protocol_config config;
	uint8_t *memory;
	void *self;
	uint64_t now_ns;
	uint16_t slot;
	uint64_t timestamp; /* replies are to this one */
	uint64_t view;	    /* of all replicas */
	struct outbox out;
	struct claims claims;
	uint64_t envelope[ENVELOPE_SIZE / 8];
	uint64_t large[LARGE_SIZE / 8];
	uint64_t incoming[LARGE_SIZE / 8];
	struct message message;
} rig;

/* What became of a message. */
enum fate { DROPPED, UNPROVEN, STEPPED };

static inline struct protocol_config
config_of(uint16_t n, uint16_t f)
{
	return (struct protocol_config){
	    .cluster = CLUSTER,
	    .protocol = PROTOCOL,
	    .replicas_count = n,
	    .faults = f,
	    .instances_count = INSTANCES,
	    .slot_first = SLOT_FIRST,
	    .slots_count = SLOTS,
	    .request_proof = PROOF_VECTOR,
	    .reply_proof = PROOF_MAC,
	    .result_size_max = RESULT_SIZE_MAX,
	    .retry_ns = RETRY_NS,
	};
}

static inline void
client_open(const struct protocol_config *config)
{
	memset(&rig, 0, sizeof(rig));
	rig.config = *config;
	rig.slot = SLOT;
	size_t size = RIG_CLIENT.size(config);
	CU_ASSERT_EQUAL(size % 64, 0);
	rig.memory = calloc(1, size + 64);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.memory);
	rig.self = rig.memory + (64 - (uintptr_t)rig.memory % 64);
	RIG_CLIENT.init(rig.self, config);
	RIG_CLIENT.audit(rig.self);
}

static inline void
client_close(void)
{
	free(rig.memory);
}

/* Steps with an empty outbox whose buffers are dirty. */
static inline void
step(struct event *event)
{
	struct outbox *out = &rig.out;
	event->now_ns = rig.now_ns;
	*out = (struct outbox){.sends_ready = 1, .large_ready = 1};
	memset(rig.envelope, 0xee, sizeof(rig.envelope));
	memset(rig.large, 0xee, sizeof(rig.large));
	out->sends[0] = (struct send){
	    .capacity = ENVELOPE_SIZE, .header = (struct message_header *)(void *)rig.envelope};
	out->large[0] = (struct send){.large = 1,
	    .capacity = LARGE_SIZE,
	    .header = (struct message_header *)(void *)rig.large};
	RIG_CLIENT.step(rig.self, event, out);
	RIG_CLIENT.audit(rig.self);
	CU_ASSERT(out->sends_count <= RIG_CLIENT.sends_per_step);
	CU_ASSERT(out->completions_count <= RIG_CLIENT.completions_per_step);
	CU_ASSERT_EQUAL(out->deliveries_count, 0);
}

static inline void
timeout_at(uint64_t now_ns)
{
	struct event event = {.type = EVENT_TIMEOUT};
	rig.now_ns = now_ns;
	step(&event);
}

static inline uint64_t
client_deadline(void)
{
	return RIG_CLIENT.deadline(rig.self);
}

/* Waits for the next message that the client sends of itself; returns for how long. */
static inline uint64_t
wait_for_send(void)
{
	uint64_t from_ns = rig.now_ns;
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t next_ns = client_deadline();
		CU_ASSERT_FATAL(next_ns != TIME_NEVER);
		timeout_at(next_ns > rig.now_ns ? next_ns : rig.now_ns);
		if (rig.out.sends_count > 0)
			return rig.now_ns - from_ns;
	}
	CU_FAIL_FATAL("no message");
	return 0;
}

static inline uint64_t
figure(const char *name)
{
	struct figures figures = {0};
	RIG_CLIENT.figures(rig.self, &figures);
	for (uint32_t i = 0; i < figures.count; i++) {
		if (strcmp(figures.list[i].name, name) == 0)
			return figures.list[i].value;
	}
	CU_FAIL_FATAL("no such figure");
	return 0;
}

/* ---- What the replicas say ---------------------------------------------------- */

/*
 * Writes a message from `from`, not sealed yet; its digest is that of the body, which
 * only goes along where the type has one.
 */
static inline struct message_header *
write_message(uint16_t from, uint8_t type, const void *body, uint32_t size)
{
	uint8_t proof = rig.config.reply_proof;
	struct message_header *h = (struct message_header *)(void *)rig.incoming;
	bool whole = type == MESSAGE_REPLY || type >= BFT_TYPES_END;
	memset(rig.incoming, 0, sizeof(rig.incoming));
	*h = (struct message_header){
	    .size = (uint32_t)sizeof(*h) + (whole ? size : 0) +
		    proof_size(proof, rig.config.replicas_count),
	    .cluster = CLUSTER,
	    .instance = rig.slot,
	    .sender = from,
	    .protocol = PROTOCOL,
	    .type = type,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	    .view = rig.view << BFT_REPLY_SHIFT,
	    .seq = rig.timestamp,
	};
	digest_of(body, size, h->digest);
	if (whole && size > 0)
		memcpy(h + 1, body, size);
	return h;
}

static inline void
seal_as(uint32_t key)
{
	struct message_header *h = (struct message_header *)(void *)rig.incoming;
	uint32_t proof = proof_size(h->proof, rig.config.replicas_count);
	if (proof > 0)
		toy_proof(key, h, (uint8_t *)rig.incoming + h->size - proof, proof);
}

static inline bool
claims_hold(void)
{
	bool all = true;
	for (uint32_t i = 0; i < rig.claims.count; i++)
		all &= toy_claim_holds(&rig.claims.list[i]);
	return all;
}

static inline enum verdict
screen(void)
{
	const struct message_scope scope = {CLUSTER, rig.config.replicas_count, PROTOCOL};
	uint32_t size = ((const struct message_header *)(void *)rig.incoming)->size;
	const uint8_t *bytes = (const uint8_t *)rig.incoming;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size, &rig.message), PARSE_OK);
	rig.claims.count = 0;
	rig.claims.scratch_count = 0;
	enum verdict verdict = RIG_CLIENT.screen(rig.self, &rig.message, &rig.claims);
	CU_ASSERT(rig.claims.count <= RIG_CLIENT.claims_per_message(&rig.config));
	return verdict;
}

/* What was written arrives. */
static inline enum fate
arrive(void)
{
	struct event event = {.type = EVENT_MESSAGE, .message = &rig.message};
	rig.out = (struct outbox){0};
	if (screen() == VERDICT_DROP)
		return DROPPED;
	if (!claims_hold())
		return UNPROVEN;
	step(&event);
	return STEPPED;
}

/* ---- What is expected --------------------------------------------------------- */

static inline void
expect_nothing(void)
{
	CU_ASSERT_EQUAL(rig.out.sends_count, 0);
	CU_ASSERT_EQUAL(rig.out.completions_count, 0);
}

static inline void
expect_result(const char *text)
{
	CU_ASSERT_EQUAL_FATAL(rig.out.completions_count, 1);
	const struct completion *done = &rig.out.completions[0];
	CU_ASSERT_EQUAL(rig.out.sends_count, 0);
	CU_ASSERT_EQUAL(done->slot, rig.slot);
	CU_ASSERT_EQUAL(done->timestamp, rig.timestamp);
	CU_ASSERT_FALSE(done->lost);
	CU_ASSERT_EQUAL_FATAL(done->size, strlen(text));
	CU_ASSERT_EQUAL(memcmp(done->data, text, done->size), 0);
}

static inline void
expect_lost(void)
{
	CU_ASSERT_EQUAL_FATAL(rig.out.completions_count, 1);
	CU_ASSERT(rig.out.completions[0].lost);
	CU_ASSERT_EQUAL(rig.out.completions[0].size, 0);
	CU_ASSERT_EQUAL(rig.out.completions[0].timestamp, rig.timestamp);
}

#endif
