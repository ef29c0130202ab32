/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/zyzzyva/client.c by itself: which SPEC-RESPONSEs make an answer, and how
 * one is made of fewer. See zyzzyva_client_rig.h.
 */
#include "tests/zyzzyva_client_rig.h"

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
		client_close();
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
	client_close();
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
		said.history = d == OTHER_HISTORY ? 'H' : 'h';
		said.seq += d == OTHER_SEQ;
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
		client_close();
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
	client_close();
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
		said.history = 'H';
		CU_ASSERT_EQUAL(commits(q), STEPPED);
		expect_nothing();
		said.history = 'h';
		CU_ASSERT_EQUAL(commits((uint16_t)(q - 1)), STEPPED);
		expect_result("result");
		CU_ASSERT_EQUAL(figure("answers_slow"), 1);
		CU_ASSERT_EQUAL(figure("answers_fast"), 0);
		client_close();
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
	client_close();
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
	client_close();
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
	client_close();
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
	said.history = 'H';
	CU_ASSERT_EQUAL(states(0), DROPPED);
	said.history = 'h';
	/* One replica's counts once, and costs a signature once. */
	CU_ASSERT_EQUAL(states(0), STEPPED);
	CU_ASSERT_EQUAL(rig.claims.count, 3);
	CU_ASSERT_EQUAL(states(0), STEPPED);
	CU_ASSERT_EQUAL(rig.claims.count, 2);
	states(1);
	expect_nothing();
	states(2);
	expect_commit();
	client_close();
}

/* Requests of one batch have one certificate: who has it needs no STATEMENTs. */
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
	/* The fourth is waited for; then there is no ASK, but the certificate itself. */
	expect_nothing();
	wait_for_send();
	expect_commit();
	CU_ASSERT_EQUAL(figure("asks"), 1);
	for (uint16_t from = 1; from < 4; from++)
		commits(from);
	expect_result("other");
	client_close();
}

static void
three_reply(void)
{
	submit();
	said.seq++;
	for (uint16_t from = 0; from < 3; from++)
		responds(from, "result");
}

static void
one_slow_answer(void)
{
	three_reply();
	if (rig.out.sends_count == 0)
		wait_for_send();
	for (uint16_t from = 0; from < 3; from++)
		states(from);
	for (uint16_t from = 0; from < 3; from++)
		commits(from);
	expect_result("result");
}

static void
fast_answers(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		three_reply();
		expect_nothing();
		responds(3, "result");
		expect_result("result");
	}
}

/* For as long as makes it hasty, nothing was answered by the fast path, but by a certificate. */
static void
open_in_haste(void)
{
	open_client(4, 1);
	one_slow_answer();
	rig.now_ns += RETRY_NS;
	three_reply();
	wait_for_send();
	expect_ask_of(false, true);
	for (uint16_t from = 0; from < 3; from++)
		states(from);
	expect_commit();
	for (uint16_t from = 0; from < 3; from++)
		commits(from);
	expect_result("result");
}

/* All are late, but each last reply comes before a certificate does: asking more costs more. */
static void
no_haste_where_all_are_late(void)
{
	open_client(4, 1);
	for (uint32_t i = 0; i < 3; i++) {
		rig.now_ns += RETRY_NS;
		three_reply();
		wait_for_send();
		expect_ask(false);
		states(0);
		responds(3, "result");
		expect_result("result");
	}
	CU_ASSERT_EQUAL(figure("answers_fast"), 3);
	client_close();
}

/*
 * One is silent from the start, and the others settle by themselves what is asked about:
 * the waits do not grow, and once a slot must have waited twice running there are none.
 */
static void
haste_where_none_is_fast(void)
{
	uint8_t body[sizeof(struct reply_head) + 6] = {0};
	uint64_t longest_ns = 0;
	memcpy(body + sizeof(struct reply_head), "result", 6);
	open_client(4, 1);
	for (uint32_t i = 0; i <= SLOTS; i++) {
		rig.now_ns += RETRY_NS;
		three_reply();
		expect_nothing();
		uint64_t wait_ns = wait_for_send();
		longest_ns = i == 0 ? wait_ns : longest_ns;
		CU_ASSERT(wait_ns <= longest_ns);
		expect_ask_of(false, i == SLOTS);
		for (uint16_t from = 0; from < 2; from++)
			say(from, MESSAGE_REPLY, 0, body, sizeof(body));
		expect_result("result");
	}
	/* What was asked for in haste comes unasked from now on. */
	three_reply();
	for (uint16_t from = 0; from < 3; from++)
		commits(from);
	expect_result("result");
	CU_ASSERT_EQUAL(figure("asks"), SLOTS + 1);
	client_close();
}

/* One late reply is no reason for haste; where none has come in time for a while it is. */
static void
haste_and_patience(void)
{
	open_client(4, 1);
	fast_answers(1);
	one_slow_answer();
	three_reply();
	expect_nothing(); /* the fourth is waited for again */
	responds(3, "result");
	expect_result("result");
	client_close();

	open_in_haste();
	fast_answers((FAST_STREAK << 1) - 1);
	CU_ASSERT_EQUAL(figure("promises_broken"), 0);
	three_reply();
	for (uint16_t from = 0; from < 3; from++)
		commits(from);
	expect_result("result");
	fast_answers(1);
	/* That was enough of them: what is asked for is the last, not to be the first of many. */
	three_reply();
	wait_for_send();
	expect_ask_of(false, false);
	client_close();
}

/* In haste: LOCAL-COMMITs come unasked, before or after the replies, and the last asks for more. */
static void
promised(void)
{
	open_in_haste();
	for (uint32_t i = 1; i + 1 < ZYZZYVA_PROMISE; i++) {
		submit();
		said.seq++;
		if (i % 2 == 0)
			commits(2);
		for (uint16_t from = 0; from < 3; from++) {
			responds(from, "result");
			expect_nothing();
		}
		commits(0);
		commits(1);
		if (i % 2 != 0) {
			expect_nothing();
			commits(2);
		}
		expect_result("result");
	}
	CU_ASSERT_EQUAL(figure("asks"), 2);
	three_reply();
	expect_ask_of(false, true);
	for (uint16_t from = 0; from < 3; from++)
		commits(from);
	expect_result("result");
	three_reply();
	expect_nothing();
	CU_ASSERT_EQUAL(figure("commits"), 2);
	client_close();
}

/* They do not come: it asks, then asks for STATEMENTs, and makes the certificate itself. */
static void
promise_broken(void)
{
	open_in_haste();
	three_reply();
	commits(0);
	commits(1);
	said.history = 'H';
	commits(2);
	said.history = 'h';
	rig.view++;
	commits(3);
	rig.view--;
	expect_nothing();
	wait_for_send();
	expect_ask_of(false, true);
	CU_ASSERT_EQUAL(figure("promises_broken"), 1);
	wait_for_send();
	expect_ask_of(true, true);
	for (uint16_t from = 0; from < 3; from++)
		states(from);
	expect_commit();
	commits(2);
	expect_result("result");
	client_close();
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
	client_close();
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
	client_close();
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
	said.seq = 6;
	said.history = 'n';
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
	client_close();
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
	client_close();
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
	CU_ASSERT_EQUAL(commits(3), STEPPED); /* of what nobody has said yet: it is kept */
	CU_ASSERT_EQUAL(commits(3), DROPPED);
	expect_nothing();
	rig.slot = SLOT_FIRST + SLOTS;
	CU_ASSERT_EQUAL(states(3), DROPPED);
	CU_ASSERT_EQUAL(commits(3), DROPPED);
	client_close();
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
	wait_for_send();
	expect_to_all(ZYZZYVA_ASK, PROOF_VECTOR); /* who lost its memory takes no signature */
	wait_for_send();
	expect_to_all(ZYZZYVA_ASK, PROOF_SIGNATURE);
	for (uint16_t from = 0; from < 3; from++)
		states(from);
	expect_to_all(ZYZZYVA_COMMIT, PROOF_SIGNATURE);
	client_close();
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
    {"no haste where all are late", no_haste_where_all_are_late},
    {"haste where none is fast", haste_where_none_is_fast},
    {"haste and patience", haste_and_patience},
    {"promised", promised},
    {"promise broken", promise_broken},
    {"wait-all", wait_all},
    {"asked again", asked_again},
    {"another view meanwhile", another_view_meanwhile},
    {"the result comes last", result_comes_last},
    {"old answers", old_answers},
    {"who must sign", who_must_sign},
};

UNIT_MAIN("zyzzyva_client", stories)
