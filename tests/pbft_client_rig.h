/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PBFT's client by itself, for stories: what each replica says comes in as the
 * story tells it, is screened, proven by a toy prover that holds a key for each
 * replica, and stepped. audit() after each step. Static; one core.
 */
#ifndef OSKR_TESTS_PBFT_CLIENT_RIG_H
#define OSKR_TESTS_PBFT_CLIENT_RIG_H

#include "engine/quorum.h"
#include "protocols/pbft/pbft.h"
#include "tests/toy_digest.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	PROTOCOL = 2,
	SLOTS = 8,
	SLOT_FIRST = 16,
	SLOT = 21, /* the one that most stories are about: of instance 1, of 4 */
	INSTANCES = 4,
	INSTANCE = SLOT % INSTANCES,
	ENVELOPE_SIZE = 2048,
	LARGE_SIZE = 16384,
	RESULT_SIZE_MAX = 6000,
	RETRY_NS = 64000,
	PATIENCE_NS = RETRY_NS / 4,
	N_MAX = 64,
};

static const uint64_t final = 0;
static const uint64_t tentative = BFT_REPLY_TENTATIVE;
static const uint64_t reading = BFT_REPLY_READ;

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
	size_t size = pbft_client.size(config);
	CU_ASSERT_EQUAL(size % 64, 0);
	rig.memory = calloc(1, size + 64);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.memory);
	rig.self = rig.memory + (64 - (uintptr_t)rig.memory % 64);
	pbft_client.init(rig.self, config);
	pbft_client.audit(rig.self);
}

static inline void
client_close(void)
{
	free(rig.memory);
}

static inline void
open_plain(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	client_open(&config);
}

static inline void
open_reads(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	config.reads = true;
	client_open(&config);
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
	pbft_client.step(rig.self, event, out);
	pbft_client.audit(rig.self);
	CU_ASSERT(out->sends_count <= pbft_client.sends_per_step);
	CU_ASSERT(out->completions_count <= pbft_client.completions_per_step);
	CU_ASSERT_EQUAL(out->deliveries_count, 0);
}

static inline void
submit_op(const void *op, uint32_t size, bool read_only)
{
	struct event event = {
	    .type = EVENT_SUBMIT,
	    .submit = {op, size, rig.slot, read_only},
	};
	rig.timestamp++;
	step(&event);
}

static inline void
submit(void)
{
	submit_op("operation", 9, false);
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
	return pbft_client.deadline(rig.self);
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
	pbft_client.figures(rig.self, &figures);
	for (uint32_t i = 0; i < figures.count; i++) {
		if (strcmp(figures.list[i].name, name) == 0)
			return figures.list[i].value;
	}
	CU_FAIL_FATAL("no such figure");
	return 0;
}

/* ---- What the replicas say ---------------------------------------------------- */

static inline void
toy_proof(uint32_t key, const struct message_header *h, uint8_t *mac16)
{
	uint8_t bytes[sizeof(*h) + 4];
	uint8_t digest32[32];
	memcpy(bytes, h, sizeof(*h));
	memcpy(bytes + sizeof(*h), &key, 4);
	toy_digest(bytes, sizeof(bytes), digest32);
	memcpy(mac16, digest32, 16);
}

static inline void
digest_of(const void *body, uint32_t size, uint8_t *digest32)
{
	memset(digest32, 0, 32);
	if (size > 0)
		toy_digest(body, size, digest32);
}

/* Writes a message from `from`, not sealed yet; its digest is that of the body. */
static inline struct message_header *
write_message(uint16_t from, uint8_t type, const void *body, uint32_t size)
{
	uint8_t proof = rig.config.reply_proof;
	struct message_header *h = (struct message_header *)(void *)rig.incoming;
	bool whole = type == MESSAGE_REPLY;
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
		toy_proof(key, h, (uint8_t *)rig.incoming + h->size - proof);
}

static inline bool
claims_hold(void)
{
	bool all = true;
	for (uint32_t i = 0; i < rig.claims.count; i++) {
		const struct claim *c = &rig.claims.list[i];
		uint8_t expected[32];
		if (c->kind == CLAIM_DIGEST)
			digest_of(c->data, c->size, expected);
		else
			toy_proof(c->key, c->data, expected);
		all &= memcmp(expected, c->proof, c->kind == CLAIM_DIGEST ? 32 : 16) == 0;
	}
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
	enum verdict verdict = pbft_client.screen(rig.self, &rig.message, &rig.claims);
	CU_ASSERT(rig.claims.count <= pbft_client.claims_per_message(&rig.config));
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

/* Replica `from` says that the result is `text`, in a message of that type. */
static inline enum fate
says(uint16_t from, uint8_t type, uint64_t flags, const char *text)
{
	write_message(from, type, text, (uint32_t)strlen(text))->view |= flags;
	seal_as(from);
	return arrive();
}

static inline enum fate
body(uint16_t from, const char *text)
{
	return says(from, MESSAGE_REPLY, final, text);
}

static inline enum fate
digest(uint16_t from, const char *text)
{
	return says(from, BFT_REPLY_DIGEST, final, text);
}

static inline enum fate
lost(uint16_t from)
{
	return says(from, MESSAGE_REPLY_LOST, final, "");
}

static inline enum fate
must_sign(uint16_t from)
{
	return says(from, BFT_MUST_SIGN, final, "");
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

static inline void
expect_sent(uint64_t to, uint8_t type, uint64_t flags, uint8_t proof)
{
	const struct message_scope scope = {CLUSTER, rig.config.replicas_count, PROTOCOL};
	CU_ASSERT_EQUAL(rig.out.completions_count, 0);
	CU_ASSERT_EQUAL_FATAL(rig.out.sends_count, 1);
	const struct message_header *h = rig.out.sends[0].header;
	struct message m;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, (const uint8_t *)h, h->size, &m), PARSE_OK);
	CU_ASSERT_EQUAL(rig.out.sends[0].to, to);
	CU_ASSERT_EQUAL(h->type, type);
	CU_ASSERT_EQUAL(h->view, flags);
	CU_ASSERT_EQUAL(h->proof, proof);
	CU_ASSERT_EQUAL(h->instance, rig.slot % INSTANCES);
	CU_ASSERT_EQUAL(h->sender, rig.slot);
	CU_ASSERT_EQUAL(h->seq, rig.timestamp);
	CU_ASSERT_EQUAL_FATAL(m.body_size, 9);
	CU_ASSERT_EQUAL(memcmp(m.body, "operation", 9), 0);
}

static inline uint64_t
everybody(void)
{
	return quorum_everybody(rig.config.replicas_count);
}

static inline void
expect_asked(uint64_t view)
{
	uint64_t primary = (view + rig.slot % INSTANCES) % rig.config.replicas_count;
	expect_sent(1ull << primary, MESSAGE_REQUEST, 0, PROOF_VECTOR);
}

static inline void
expect_asked_all(void)
{
	expect_sent(everybody(), MESSAGE_REQUEST, BFT_WHOLE, PROOF_VECTOR);
}

static inline void
slot_set(uint16_t slot, uint64_t timestamp)
{
	rig.slot = slot;
	rig.timestamp = timestamp;
}

/* The replica whose turn it is to send the whole result of the slot's operation. */
static inline uint16_t
replier(void)
{
	return bft_replier(rig.slot, rig.timestamp, rig.config.replicas_count);
}

static inline uint16_t
other(uint16_t i)
{
	return (uint16_t)((replier() + 1 + i) % rig.config.replicas_count);
}

#endif
