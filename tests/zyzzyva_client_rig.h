/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/zyzzyva/client.c by itself, for its suite: what each replica says comes in
 * as a story tells it, is screened, proven by a toy prover that holds a key for each
 * replica, and stepped; audit() after each step. One client, one thread.
 */
#ifndef OSKR_TESTS_ZYZZYVA_CLIENT_RIG_H
#define OSKR_TESTS_ZYZZYVA_CLIENT_RIG_H

#include "engine/client_slots.h"
#include "protocols/zyzzyva/certificate.h"
#include "tests/toy_digest.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	PROTOCOL = 5,
	SLOTS = 8,
	SLOT_FIRST = 16,
	SLOT = 21, /* the one that most stories are about */
	ENVELOPE_SIZE = 8192,
	RETRY_NS = 64000,
	FAST_STREAK = 16, /* of client.c; doubled by the first haste */
	SLOW_REPEATS_MAX = 2,
	N_MAX = 64,
};

static struct rig {
	struct protocol_config config;
	uint8_t *memory;
	void *self;
	uint64_t now_ns;
	uint16_t slot;
	uint64_t timestamp; /* what replicas answer to */
	uint64_t view;	    /* of all replicas */
	uint64_t seq;	    /* where it was executed */
	uint8_t history;    /* h there, repeated */
	struct outbox out;
	struct claims claims;
	uint64_t envelope[ENVELOPE_SIZE / 8];
	uint64_t large[ENVELOPE_SIZE / 8];
	uint64_t incoming[ENVELOPE_SIZE / 8];
	struct message message;
} rig;

enum fate { DROPPED, UNPROVEN, STEPPED };

/* ---- the client ----------------------------------------------------------------- */

static inline struct protocol_config
config_of(uint16_t n, uint16_t f)
{
	return (struct protocol_config){
	    .cluster = CLUSTER,
	    .protocol = PROTOCOL,
	    .replicas_count = n,
	    .faults = f,
	    .instances_count = 1,
	    .slot_first = SLOT_FIRST,
	    .slots_count = SLOTS,
	    .request_proof = PROOF_VECTOR,
	    .reply_proof = PROOF_MAC,
	    .result_size_max = 512,
	    .retry_ns = RETRY_NS,
	};
}

static inline void
open_with(const struct protocol_config *config)
{
	memset(&rig, 0, sizeof(rig));
	rig.config = *config;
	rig.slot = SLOT;
	rig.seq = 7;
	rig.history = 'h';
	rig.now_ns = 1000;
	size_t size = zyzzyva_client.size(config);
	rig.memory = calloc(1, size + 64);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.memory);
	rig.self = rig.memory + (64 - (uintptr_t)rig.memory % 64);
	zyzzyva_client.init(rig.self, config);
	zyzzyva_client.audit(rig.self);
}

static inline void
open_client(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	open_with(&config);
}

static inline void
close_client(void)
{
	free(rig.memory);
}

static inline void
step(struct event *event)
{
	struct outbox *out = &rig.out;
	event->now_ns = rig.now_ns;
	*out = (struct outbox){.sends_ready = 1, .large_ready = 1};
	memset(rig.envelope, 0xee, sizeof(rig.envelope));
	out->sends[0] = (struct send){
	    .capacity = ENVELOPE_SIZE, .header = (struct message_header *)(void *)rig.envelope};
	out->large[0] = (struct send){.large = 1,
	    .capacity = ENVELOPE_SIZE,
	    .header = (struct message_header *)(void *)rig.large};
	zyzzyva_client.step(rig.self, event, out);
	zyzzyva_client.audit(rig.self);
	CU_ASSERT(out->sends_count <= zyzzyva_client.sends_per_step);
	CU_ASSERT(out->completions_count <= zyzzyva_client.completions_per_step);
	CU_ASSERT_EQUAL(out->deliveries_count, 0);
}

static inline void
submit_in(uint16_t slot)
{
	struct event event = {
	    .type = EVENT_SUBMIT, .submit = {(const uint8_t *)"op", 2, slot, false}};
	rig.slot = slot;
	step(&event);
	CU_ASSERT_EQUAL_FATAL(rig.out.sends_count, 1);
	rig.timestamp = rig.out.sends[0].header->seq;
}

static inline void
submit(void)
{
	submit_in(SLOT);
}

/* Until the client says something of itself. */
static inline void
wait_for_send(void)
{
	struct event event = {.type = EVENT_TIMEOUT};
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t next_ns = zyzzyva_client.deadline(rig.self);
		CU_ASSERT_FATAL(next_ns != TIME_NEVER);
		rig.now_ns = next_ns > rig.now_ns ? next_ns : rig.now_ns;
		step(&event);
		if (rig.out.sends_count > 0)
			return;
	}
	CU_FAIL_FATAL("no message");
}

static inline uint64_t
figure(const char *name)
{
	struct figures figures = {0};
	zyzzyva_client.figures(rig.self, &figures);
	for (uint32_t i = 0; i < figures.count; i++) {
		if (strcmp(figures.list[i].name, name) == 0)
			return figures.list[i].value;
	}
	CU_FAIL_FATAL("no such figure");
	return 0;
}

/* ---- what replicas say ------------------------------------------------------------ */

/* MACs are its first 16 bytes. */
static inline void
toy_proof(uint32_t key, const struct message_header *h, uint8_t *proof64)
{
	uint8_t bytes[sizeof(*h) + 4];
	memcpy(bytes, h, sizeof(*h));
	memcpy(bytes + sizeof(*h), &key, 4);
	toy_digest(bytes, sizeof(bytes), proof64);
	toy_digest(proof64, 32, proof64 + 32);
}

static inline bool
claims_hold(void)
{
	bool all = true;
	for (uint32_t i = 0; i < rig.claims.count; i++) {
		const struct claim *c = &rig.claims.list[i];
		uint8_t expected[SIGNATURE_SIZE];
		uint32_t size = c->kind == CLAIM_DIGEST	     ? 32
				: c->kind == CLAIM_SIGNATURE ? SIGNATURE_SIZE
							     : MAC_SIZE;
		if (c->kind == CLAIM_DIGEST)
			toy_digest(c->data, c->size, expected);
		else
			toy_proof(c->key, c->data, expected);
		all &= memcmp(expected, c->proof, size) == 0;
	}
	return all;
}

static inline enum fate
arrive(void)
{
	const struct message_scope scope = {CLUSTER, rig.config.replicas_count, PROTOCOL};
	const uint8_t *bytes = (const uint8_t *)rig.incoming;
	uint32_t size = ((const struct message_header *)(const void *)bytes)->size;
	struct event event = {.type = EVENT_MESSAGE, .message = &rig.message};
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size, &rig.message), PARSE_OK);
	rig.out = (struct outbox){0};
	rig.claims.count = 0;
	rig.claims.scratch_count = 0;
	if (zyzzyva_client.screen(rig.self, &rig.message, &rig.claims) == VERDICT_DROP)
		return DROPPED;
	CU_ASSERT(rig.claims.count <= zyzzyva_client.claims_per_message(&rig.config));
	if (!claims_hold())
		return UNPROVEN;
	step(&event);
	return STEPPED;
}

static inline enum fate
say(uint16_t from, uint8_t type, uint64_t flags, const void *body, uint32_t size)
{
	struct message_header *h = (struct message_header *)(void *)rig.incoming;
	uint8_t proof64[SIGNATURE_SIZE];
	memset(rig.incoming, 0, sizeof(rig.incoming));
	*h = (struct message_header){
	    .size = (uint32_t)sizeof(*h) + size + MAC_SIZE,
	    .cluster = CLUSTER,
	    .instance = rig.slot,
	    .sender = from,
	    .protocol = PROTOCOL,
	    .type = type,
	    .proof = PROOF_MAC,
	    .version = MESSAGE_VERSION,
	    .view = rig.view << BFT_REPLY_SHIFT | flags,
	    .seq = rig.timestamp,
	};
	if (size > 0) {
		memcpy(h + 1, body, size);
		toy_digest(body, size, h->digest);
	} else {
		memset(h->digest, rig.history, 32);
	}
	toy_proof(from, h, proof64);
	memcpy((uint8_t *)(h + 1) + size, proof64, MAC_SIZE);
	return arrive();
}

static inline uint32_t
reply_body(const char *text, uint8_t *body)
{
	struct reply_head head = {.seq = rig.seq};
	memset(head.history32, rig.history, 32);
	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), text, strlen(text));
	return (uint32_t)(sizeof(head) + strlen(text));
}

/* SPEC-RESPONSE. */
static inline enum fate
responds(uint16_t from, const char *text)
{
	uint8_t body[256];
	return say(from, MESSAGE_REPLY, BFT_REPLY_TENTATIVE, body, reply_body(text, body));
}

/* The same of a large result: its digest alone. */
static inline enum fate
digests(uint16_t from, const char *text)
{
	uint8_t body[256];
	uint32_t size = reply_body(text, body);
	struct message_header *h = (struct message_header *)(void *)rig.incoming;
	uint8_t proof64[SIGNATURE_SIZE];
	say(N_MAX - 1, BFT_REPLY_DIGEST, BFT_REPLY_TENTATIVE, NULL, 0);
	h->sender = from;
	toy_digest(body, size, h->digest);
	toy_proof(from, h, proof64);
	memcpy(h + 1, proof64, MAC_SIZE);
	return arrive();
}

static inline struct stated_body
stated_by(uint16_t from)
{
	struct stated_body b = {.seq = rig.seq};
	struct commit_head head = {.view = rig.view, .seq = rig.seq};
	struct message_header header;
	memset(b.history32, rig.history, 32);
	memset(head.history32, rig.history, 32);
	statement_header(&rig.config, &head, from, &header);
	toy_proof(from, &header, b.signature64);
	return b;
}

static inline enum fate
states(uint16_t from)
{
	struct stated_body b = stated_by(from);
	return say(from, ZYZZYVA_STATED, 0, &b, sizeof(b));
}

static inline enum fate
commits(uint16_t from)
{
	return say(from, ZYZZYVA_LOCAL_COMMIT, 0, NULL, 0);
}

/* ---- what is expected ---------------------------------------------------------------- */

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
	CU_ASSERT_EQUAL(done->slot, rig.slot);
	CU_ASSERT_EQUAL(done->timestamp, rig.timestamp);
	CU_ASSERT_EQUAL_FATAL(done->size, strlen(text));
	CU_ASSERT_EQUAL(memcmp(done->data, text, done->size), 0);
}

/* Returns its body. */
static inline const void *
expect_to_all(uint8_t type, uint8_t proof)
{
	CU_ASSERT_EQUAL(rig.out.completions_count, 0);
	CU_ASSERT_EQUAL_FATAL(rig.out.sends_count, 1);
	const struct send *s = &rig.out.sends[0];
	CU_ASSERT_EQUAL(s->to, quorum_everybody(rig.config.replicas_count));
	CU_ASSERT_EQUAL(s->header->type, type);
	CU_ASSERT_EQUAL(s->header->proof, proof);
	CU_ASSERT_EQUAL(s->header->seq, rig.timestamp);
	CU_ASSERT_EQUAL(s->header->sender, rig.slot);
	return s->header + 1;
}

static inline void
expect_ask_of(bool again, bool hasty)
{
	const struct ask_body *b = expect_to_all(ZYZZYVA_ASK, PROOF_VECTOR);
	const struct message_header *h = rig.out.sends[0].header;
	CU_ASSERT_EQUAL(h->view >> ZYZZYVA_ASK_SHIFT, rig.view);
	CU_ASSERT_EQUAL((h->view & ZYZZYVA_ASK_AGAIN) != 0, again);
	CU_ASSERT_EQUAL((h->view & ZYZZYVA_ASK_HASTY) != 0, hasty);
	CU_ASSERT_EQUAL(b->seq, rig.seq);
	CU_ASSERT_EQUAL(b->history32[31], rig.history);
}

static inline void
expect_ask(bool again)
{
	expect_ask_of(again, false);
}

/* q signatures of q replicas, in their order, each of that replica's STATEMENT. */
static inline void
expect_commit(void)
{
	const struct commit_head *head = expect_to_all(ZYZZYVA_COMMIT, PROOF_VECTOR);
	const uint8_t *signature64 = (const uint8_t *)(head + 1);
	uint32_t quorum = quorum_size(rig.config.replicas_count, rig.config.faults);
	CU_ASSERT_EQUAL(head->view, rig.view);
	CU_ASSERT_EQUAL(head->seq, rig.seq);
	CU_ASSERT_EQUAL(head->history32[0], rig.history);
	CU_ASSERT_EQUAL_FATAL(quorum_count(head->signers), quorum);
	for (uint64_t left = head->signers; left != 0; left &= left - 1) {
		struct stated_body b = stated_by((uint16_t)__builtin_ctzll(left));
		CU_ASSERT_EQUAL(memcmp(b.signature64, signature64, SIGNATURE_SIZE), 0);
		signature64 += SIGNATURE_SIZE;
	}
}

/* From q replies to the certificate. */
static inline void
go_slow(uint16_t replicas)
{
	for (uint16_t i = 0; i < replicas; i++)
		responds(i, "result");
	if (rig.out.sends_count == 0)
		wait_for_send();
	expect_ask(false);
	for (uint16_t i = 0; i < replicas; i++)
		CU_ASSERT_EQUAL(states(i), STEPPED);
	expect_commit();
}

#endif
