/* SPDX-License-Identifier: Apache-2.0 */
/* protocols/zyzzyva/client.c by itself (bft_client_rig.h), and the words of its stories. One
 * thread. */
#ifndef OSKR_TESTS_ZYZZYVA_CLIENT_RIG_H
#define OSKR_TESTS_ZYZZYVA_CLIENT_RIG_H

#include "protocols/zyzzyva/certificate.h"

#define RIG_CLIENT	    zyzzyva_client
#define RIG_PROTOCOL	    5
#define RIG_INSTANCES	    1
#define RIG_RESULT_SIZE_MAX 512
#include "tests/bft_client_rig.h"

enum {
	FAST_STREAK = 16, /* of client.c; doubled by the first haste */
	SLOW_REPEATS_MAX = 2,
};

/* Where the replicas have executed what is asked for, and h there, repeated. */
static struct {
	uint64_t seq;
	uint8_t history;
} said;

static inline void
open_with(const struct protocol_config *config)
{
	client_open(config);
	said.seq = 7;
	said.history = 'h';
	rig.now_ns = 1000;
}

static inline void
open_client(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	open_with(&config);
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

/* ---- what replicas say ------------------------------------------------------------ */

/* A message without body has h for its digest. */
static inline enum fate
say(uint16_t from, uint8_t type, uint64_t flags, const void *body, uint32_t size)
{
	struct message_header *h = write_message(from, type, body, size);
	h->view |= flags;
	if (size == 0)
		memset(h->digest, said.history, 32);
	seal_as(from);
	return arrive();
}

static inline uint32_t
reply_body(const char *text, uint8_t *body)
{
	struct reply_head head = {.seq = said.seq};
	memset(head.history32, said.history, 32);
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
	return say(from, BFT_REPLY_DIGEST, BFT_REPLY_TENTATIVE, body, reply_body(text, body));
}

static inline struct stated_body
stated_by(uint16_t from)
{
	struct stated_body b = {.seq = said.seq};
	struct commit_head head = {.view = rig.view, .seq = said.seq};
	struct message_header header;
	memset(b.history32, said.history, 32);
	memset(head.history32, said.history, 32);
	statement_header(&rig.config, &head, from, &header);
	toy_proof(from, &header, b.signature64, SIGNATURE_SIZE);
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
	CU_ASSERT_EQUAL(b->seq, said.seq);
	CU_ASSERT_EQUAL(b->history32[31], said.history);
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
	CU_ASSERT_EQUAL(head->seq, said.seq);
	CU_ASSERT_EQUAL(head->history32[0], said.history);
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
