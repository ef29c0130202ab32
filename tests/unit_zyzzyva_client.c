/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/zyzzyva/client.c by itself: which SPEC-RESPONSEs make an answer, and how
 * one is made of fewer. What each replica says comes in as the story tells it, is
 * screened, proven by a toy prover that holds a key for each replica, and stepped;
 * audit() after each step.
 */
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
	FAST_STREAK = 16, /* of client.c */
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

static struct protocol_config
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

static void
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

static void
open_client(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	open_with(&config);
}

static void
close_client(void)
{
	free(rig.memory);
}

static void
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

static void
submit_in(uint16_t slot)
{
	struct event event = {
	    .type = EVENT_SUBMIT, .submit = {(const uint8_t *)"op", 2, slot, false}};
	rig.slot = slot;
	step(&event);
	CU_ASSERT_EQUAL_FATAL(rig.out.sends_count, 1);
	rig.timestamp = rig.out.sends[0].header->seq;
}

static void
submit(void)
{
	submit_in(SLOT);
}

/* Until the client says something of itself. */
static void
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

static uint64_t
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
static void
toy_proof(uint32_t key, const struct message_header *h, uint8_t *proof64)
{
	uint8_t bytes[sizeof(*h) + 4];
	memcpy(bytes, h, sizeof(*h));
	memcpy(bytes + sizeof(*h), &key, 4);
	toy_digest(bytes, sizeof(bytes), proof64);
	toy_digest(proof64, 32, proof64 + 32);
}

static bool
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

static enum fate
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

static enum fate
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

static uint32_t
reply_body(const char *text, uint8_t *body)
{
	struct reply_head head = {.seq = rig.seq};
	memset(head.history32, rig.history, 32);
	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), text, strlen(text));
	return (uint32_t)(sizeof(head) + strlen(text));
}

/* SPEC-RESPONSE. */
static enum fate
responds(uint16_t from, const char *text)
{
	uint8_t body[256];
	return say(from, MESSAGE_REPLY, BFT_REPLY_TENTATIVE, body, reply_body(text, body));
}

/* The same of a large result: its digest alone. */
static enum fate
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

static struct stated_body
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

static enum fate
states(uint16_t from)
{
	struct stated_body b = stated_by(from);
	return say(from, ZYZZYVA_STATED, 0, &b, sizeof(b));
}

static enum fate
commits(uint16_t from)
{
	return say(from, ZYZZYVA_LOCAL_COMMIT, 0, NULL, 0);
}

/* ---- what is expected ---------------------------------------------------------------- */

static void
expect_nothing(void)
{
	CU_ASSERT_EQUAL(rig.out.sends_count, 0);
	CU_ASSERT_EQUAL(rig.out.completions_count, 0);
}

static void
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
static const void *
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

static void
expect_ask(bool again)
{
	const struct ask_body *b = expect_to_all(ZYZZYVA_ASK, PROOF_VECTOR);
	const struct message_header *h = rig.out.sends[0].header;
	CU_ASSERT_EQUAL(h->view >> ZYZZYVA_ASK_SHIFT, rig.view);
	CU_ASSERT_EQUAL((h->view & ZYZZYVA_ASK_AGAIN) != 0, again);
	CU_ASSERT_EQUAL(b->seq, rig.seq);
	CU_ASSERT_EQUAL(b->history32[31], rig.history);
}

/* q signatures of q replicas, in their order, each of that replica's STATEMENT. */
static void
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
static void
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

/* ---- the fast path --------------------------------------------------------------------- */

static void
all_that_match(void)
{
	static const uint16_t sizes[][2] = {{4, 1}, {5, 1}, {7, 2}, {31, 10}, {64, 21}};
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		open_client(sizes[i][0], sizes[i][1]);
		submit();
		for (uint16_t from = 0; from + 1 < sizes[i][0]; from++) {
			CU_ASSERT_EQUAL(responds(from, "result"), STEPPED);
			expect_nothing();
		}
		responds((uint16_t)(sizes[i][0] - 1), "result");
		expect_result("result");
		CU_ASSERT_EQUAL(rig.out.sends_count, 0);
		CU_ASSERT_EQUAL(figure("answers_fast"), 1);
		CU_ASSERT_EQUAL(figure("answers_slow"), 0);
		close_client();
	}
}

/* One voice each, however often it is raised. */
static void
one_voice_each(void)
{
	open_client(4, 1);
	submit();
	for (uint32_t i = 0; i < 6; i++) {
		responds(0, "result");
		responds(2, "result");
		expect_nothing();
	}
	wait_for_send();
	expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
	CU_ASSERT_EQUAL(figure("asks"), 0);
	close_client();
}

enum difference { OTHER_RESULT, OTHER_VIEW, OTHER_HISTORY, OTHER_SEQ, DIFFERENCES_COUNT };

/* Z07: what differs in anything is no match; the fourth replica is worth nothing then. */
static void
whatever_differs(void)
{
	for (uint32_t d = 0; d < DIFFERENCES_COUNT; d++) {
		open_client(4, 1);
		submit();
		responds(0, "result");
		responds(1, "result");
		rig.view += d == OTHER_VIEW;
		rig.history = d == OTHER_HISTORY ? 'H' : 'h';
		rig.seq += d == OTHER_SEQ;
		const char *text = d == OTHER_RESULT ? "Result" : "result";
		responds(2, text);
		expect_nothing();
		responds(3, text);
		expect_nothing();
		/* Two of each: a quorum of neither, so nobody is asked for a STATEMENT. */
		wait_for_send();
		expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
		CU_ASSERT_EQUAL(figure("asks"), 0);
		CU_ASSERT_EQUAL(figure("answers_fast") + figure("answers_slow"), 0);
		close_client();
	}
}

/* What lies at or below a stable checkpoint is told by f + 1. */
static void
settled_by_a_checkpoint(void)
{
	uint8_t body[sizeof(struct reply_head) + 6] = {0};
	memcpy(body + sizeof(struct reply_head), "result", 6);
	open_client(4, 1);
	submit();
	responds(0, "result");
	say(1, MESSAGE_REPLY, 0, body, sizeof(body));
	expect_nothing();
	say(3, MESSAGE_REPLY, 0, body, sizeof(body));
	expect_result("result");
	CU_ASSERT_EQUAL(figure("answers_settled"), 1);
	CU_ASSERT_EQUAL(figure("answers_fast"), 0);
	close_client();
}

/* ---- the slow path ---------------------------------------------------------------------- */

static void
q_and_a_certificate(void)
{
	static const uint16_t sizes[][3] = {{4, 1, 3}, {6, 1, 4}, {7, 2, 5}, {31, 10, 21}};
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint16_t q = sizes[i][2];
		open_client(sizes[i][0], sizes[i][1]);
		submit();
		go_slow(q);
		for (uint16_t from = 0; from + 1 < q; from++) {
			CU_ASSERT_EQUAL(commits(from), STEPPED);
			expect_nothing();
		}
		/* The same replica again, and one of another history, do not make it full. */
		commits(0);
		expect_nothing();
		rig.history = 'H';
		CU_ASSERT_EQUAL(commits(q), DROPPED);
		rig.history = 'h';
		CU_ASSERT_EQUAL(commits((uint16_t)(q - 1)), STEPPED);
		expect_result("result");
		CU_ASSERT_EQUAL(figure("answers_slow"), 1);
		CU_ASSERT_EQUAL(figure("answers_fast"), 0);
		close_client();
	}
}

static void
below_q_nothing_is_asked(void)
{
	open_client(7, 2);
	submit();
	for (uint16_t from = 0; from < 4; from++)
		responds(from, "result");
	wait_for_send();
	expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
	/* The fifth comes then, and is enough. */
	responds(4, "result");
	wait_for_send();
	expect_ask(false);
	close_client();
}

/* Z09: the last one comes when the client has just given it up. */
static void
the_last_comes_late(void)
{
	open_client(4, 1);
	submit();
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	wait_for_send();
	expect_ask(false);
	states(0);
	responds(3, "result");
	expect_result("result");
	CU_ASSERT_EQUAL(states(1), DROPPED);
	CU_ASSERT_EQUAL(commits(1), DROPPED);
	CU_ASSERT_EQUAL(figure("answers_fast"), 1);
	close_client();
}

/* f lie first, each something else; the truth has a quorum beside them. */
static void
liars_first(void)
{
	char text[] = "lie A";
	open_client(31, 10);
	submit();
	for (uint16_t from = 0; from < 10; from++) {
		text[4] = (char)('A' + from);
		responds((uint16_t)(30 - from), text);
		expect_nothing();
	}
	go_slow(21);
	for (uint16_t from = 0; from < 21; from++)
		commits(from);
	expect_result("result");
	close_client();
}

/* Statements that are not what was asked for, or not by whom they say. */
static void
statements_that_are_none(void)
{
	open_client(4, 1);
	submit();
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	CU_ASSERT_EQUAL(states(0), DROPPED); /* nobody has asked yet */
	CU_ASSERT_EQUAL(commits(0), STEPPED);
	expect_nothing();
	wait_for_send();
	expect_ask(false);
	struct stated_body b = stated_by(1);
	CU_ASSERT_EQUAL(say(0, ZYZZYVA_STATED, 0, &b, sizeof(b)), UNPROVEN);
	b = stated_by(0);
	b.signature64[5] ^= 1;
	CU_ASSERT_EQUAL(say(0, ZYZZYVA_STATED, 0, &b, sizeof(b)), UNPROVEN);
	b = stated_by(0);
	b.seq++;
	CU_ASSERT_EQUAL(say(0, ZYZZYVA_STATED, 0, &b, sizeof(b)), DROPPED);
	CU_ASSERT_EQUAL(say(0, ZYZZYVA_STATED, 0, &b, sizeof(b) - 8), DROPPED);
	CU_ASSERT_EQUAL(say(4, ZYZZYVA_STATED, 0, &b, sizeof(b)), DROPPED);
	rig.view = 1;
	CU_ASSERT_EQUAL(states(0), DROPPED);
	rig.view = 0;
	rig.history = 'H';
	CU_ASSERT_EQUAL(states(0), DROPPED);
	rig.history = 'h';
	/* One replica's counts once, and costs a signature once. */
	CU_ASSERT_EQUAL(states(0), STEPPED);
	CU_ASSERT_EQUAL(rig.claims.count, 3);
	CU_ASSERT_EQUAL(states(0), STEPPED);
	CU_ASSERT_EQUAL(rig.claims.count, 2);
	states(1);
	expect_nothing();
	states(2);
	expect_commit();
	close_client();
}

/* Requests of one batch have one certificate. */
static void
slots_share_a_certificate(void)
{
	open_client(4, 1);
	submit_in(SLOT);
	uint64_t first = rig.timestamp;
	submit_in(SLOT + 1);
	uint64_t second = rig.timestamp;
	rig.slot = SLOT;
	rig.timestamp = first;
	go_slow(3);
	rig.slot = SLOT + 1;
	rig.timestamp = second;
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "other");
	/* The client is in haste now: no waiting, no ASK, but the certificate itself. */
	expect_commit();
	CU_ASSERT_EQUAL(figure("asks"), 1);
	CU_ASSERT_EQUAL(figure("commits"), 2);
	for (uint16_t from = 1; from < 4; from++)
		commits(from);
	expect_result("other");
	close_client();
}

static void
one_slow_answer(void)
{
	submit();
	rig.seq++;
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	if (rig.out.sends_count == 0)
		wait_for_send();
	for (uint16_t from = 0; from < 3; from++)
		states(from);
	for (uint16_t from = 0; from < 3; from++)
		commits(from);
	expect_result("result");
}

/* After a slow answer nobody waits for the fourth; after enough fast ones it is again. */
static void
haste_and_patience(void)
{
	open_client(4, 1);
	one_slow_answer();
	submit();
	rig.seq++;
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	expect_ask(false);
	responds(3, "result");
	expect_result("result");
	for (uint32_t i = 0; i < FAST_STREAK; i++) {
		submit();
		rig.seq++;
		for (uint16_t from = 0; from < 4; from++)
			responds(from, "result");
		expect_result("result");
	}
	submit();
	rig.seq++;
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	expect_nothing();
	close_client();
}

/* --wait-all: nothing but all. */
static void
wait_all(void)
{
	struct protocol_config config = config_of(4, 1);
	config.wait_all = true;
	open_with(&config);
	submit();
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	for (uint32_t i = 0; i < 4; i++) {
		wait_for_send();
		expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
	}
	CU_ASSERT_EQUAL(figure("asks"), 0);
	responds(3, "result");
	expect_result("result");
	close_client();
}

/* ---- what is lost, and what is late -------------------------------------------------------- */

/* Nothing comes of an ASK: two more, which say so; then all are asked for the result anew. */
static void
asked_again(void)
{
	open_client(4, 1);
	submit();
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	wait_for_send();
	expect_ask(false);
	states(0);
	for (uint32_t i = 0; i < SLOW_REPEATS_MAX; i++) {
		wait_for_send();
		expect_ask(true);
	}
	wait_for_send();
	expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
	/* They say the same again. */
	responds(1, "result");
	expect_ask(true);
	CU_ASSERT_EQUAL(states(0), STEPPED);
	states(1);
	states(2);
	expect_commit();
	/* LOCAL-COMMITs are lost, but for one: the certificate is there, and is sent again. */
	commits(0);
	for (uint32_t i = 0; i < SLOW_REPEATS_MAX; i++) {
		wait_for_send();
		expect_commit();
	}
	wait_for_send();
	expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
	/* Who has said that it has the certificate need not say so again. */
	commits(1);
	responds(2, "result");
	expect_commit();
	commits(1);
	expect_nothing();
	commits(2);
	expect_result("result");
	close_client();
}

/* Its view is over: what was said in it is void, and the new one's is asked about. */
static void
another_view_meanwhile(void)
{
	open_client(4, 1);
	submit();
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "undone");
	wait_for_send();
	expect_ask(false);
	states(0);
	rig.view = 1;
	rig.seq = 6;
	rig.history = 'n';
	for (uint16_t from = 1; from < 4; from++)
		responds(from, "result");
	/* It still waits for the former: only then it looks at what is there now. */
	for (uint32_t i = 0; i < SLOW_REPEATS_MAX; i++) {
		wait_for_send();
		expect_to_all(ZYZZYVA_ASK, PROOF_VECTOR);
	}
	wait_for_send();
	expect_to_all(MESSAGE_REQUEST, PROOF_VECTOR);
	responds(1, "result");
	expect_ask(true);
	for (uint16_t from = 1; from < 4; from++)
		states(from);
	expect_commit();
	for (uint16_t from = 1; from < 4; from++)
		commits(from);
	expect_result("result");
	close_client();
}

/* All have committed, and nobody has said what the result is. */
static void
result_comes_last(void)
{
	open_client(4, 1);
	submit();
	responds(0, "result");
	digests(1, "result");
	digests(2, "result");
	wait_for_send();
	expect_ask(false);
	for (uint16_t from = 1; from < 4; from++)
		states(from);
	for (uint16_t from = 1; from < 3; from++)
		commits(from);
	expect_nothing();
	commits(3);
	expect_result("result");
	CU_ASSERT_EQUAL(figure("answers_slow"), 1);
	close_client();
}

/* Answers to what was asked before are answers to nothing. */
static void
old_answers(void)
{
	open_client(4, 1);
	one_slow_answer();
	uint64_t old = rig.timestamp;
	submit();
	uint64_t timestamp = rig.timestamp;
	rig.timestamp = old;
	CU_ASSERT_EQUAL(responds(3, "result"), DROPPED);
	CU_ASSERT_EQUAL(states(3), DROPPED);
	CU_ASSERT_EQUAL(commits(3), DROPPED);
	rig.timestamp = timestamp;
	CU_ASSERT_EQUAL(commits(3), DROPPED); /* of what nobody has said yet */
	rig.slot = SLOT_FIRST + SLOTS;
	CU_ASSERT_EQUAL(states(3), DROPPED);
	CU_ASSERT_EQUAL(commits(3), DROPPED);
	close_client();
}

/* A client whose MACs hold at some replicas only signs its ASKs and certificates, too. */
static void
who_must_sign(void)
{
	open_client(4, 1);
	submit();
	say(1, BFT_MUST_SIGN, 0, NULL, 0);
	say(2, BFT_MUST_SIGN, 0, NULL, 0);
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
	if (rig.out.sends_count == 0 || rig.out.sends[0].header->type != ZYZZYVA_ASK)
		wait_for_send();
	expect_to_all(ZYZZYVA_ASK, PROOF_SIGNATURE);
	for (uint16_t from = 0; from < 3; from++)
		states(from);
	expect_to_all(ZYZZYVA_COMMIT, PROOF_SIGNATURE);
	close_client();
}

static const struct unit_story stories[] = {
    {"all that match", all_that_match},
    {"one voice each", one_voice_each},
    {"whatever differs", whatever_differs},
    {"settled by a checkpoint", settled_by_a_checkpoint},
    {"q and a certificate", q_and_a_certificate},
    {"below q nothing is asked", below_q_nothing_is_asked},
    {"the last comes late", the_last_comes_late},
    {"liars first", liars_first},
    {"statements that are none", statements_that_are_none},
    {"slots share a certificate", slots_share_a_certificate},
    {"haste and patience", haste_and_patience},
    {"wait-all", wait_all},
    {"asked again", asked_again},
    {"another view meanwhile", another_view_meanwhile},
    {"the result comes last", result_comes_last},
    {"old answers", old_answers},
    {"who must sign", who_must_sign},
};

UNIT_MAIN("zyzzyva_client", stories)
