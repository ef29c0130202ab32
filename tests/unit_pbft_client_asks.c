/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/pbft/client.c: whom it asks and when, operations that only read,
 * signing, and what is refused. (Which replies make a result: unit_pbft_client.c.)
 */
#include "tests/pbft_client_rig.h"

/* ---- Whom to ask --------------------------------------------------------------- */

static void
retransmissions_to_all(void)
{
	static const uint64_t factors[] = {1, 2, 4, 8, 16, 32, 32};
	open_plain(31, 10);
	rig.now_ns = 777;
	submit();
	expect_asked(0);
	for (uint32_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
		CU_ASSERT_EQUAL(wait_for_send(), factors[i] * RETRY_NS);
		expect_asked_all();
		CU_ASSERT_EQUAL(pbft_client.retransmissions(rig.self), i + 1);
	}
	/* The votes of before still count. */
	for (uint16_t from = 0; from < 10; from++)
		body(from, "true");
	wait_for_send();
	body(10, "true");
	expect_result("true");
	/* The next operation is given twice the time: answers are late, it seems. */
	submit();
	expect_asked(0);
	CU_ASSERT_EQUAL(wait_for_send(), 2 * RETRY_NS);
	CU_ASSERT_EQUAL(wait_for_send(), 4 * RETRY_NS);
	client_close();
}

static void
many_late_at_once(void)
{
	uint64_t seen = 0;
	open_plain(4, 1);
	for (uint16_t slot = SLOT_FIRST; slot < SLOT_FIRST + SLOTS; slot++) {
		slot_set(slot, 0);
		submit();
	}
	for (uint32_t i = 0; i < SLOTS; i++) {
		CU_ASSERT(client_deadline() <= 10 * RETRY_NS);
		timeout_at(10 * RETRY_NS);
		CU_ASSERT_EQUAL_FATAL(rig.out.sends_count, 1);
		seen |= 1ull << (rig.out.sends[0].header->sender - SLOT_FIRST);
	}
	CU_ASSERT_EQUAL(seen, (1u << SLOTS) - 1);
	timeout_at(10 * RETRY_NS);
	expect_nothing();
	client_close();
}

/* One operation for which replica 0 and `second` are heard, both in these views. */
static void
heard_in(uint64_t view_0, uint16_t second, uint64_t view_second)
{
	submit();
	rig.view = view_0;
	body(0, "x");
	rig.view = view_second;
	body(second, "x");
	expect_result("x");
}

static void
views_are_followed(void)
{
	open_plain(4, 1);
	heard_in(0, 1, 0);
	/* f replicas cannot move it, however high, and however often. */
	for (uint64_t i = 1; i < 10; i++) {
		heard_in(i * 1000003, 1, 0);
		CU_ASSERT_EQUAL(pbft_client.view(rig.self), 0);
	}
	heard_in(UINT64_MAX >> BFT_REPLY_SHIFT, 1, 0);
	submit();
	expect_asked(0);
	/* f + 1 can; the believed view is what one correct replica is in. */
	rig.view = 6;
	body(2, "x");
	body(1, "x");
	expect_result("x");
	submit();
	expect_asked(6);
	/* Only of the instance that they speak of. */
	uint16_t slot = rig.slot;
	slot_set(SLOT_FIRST, 0); /* of instance 0 */
	submit();
	expect_asked(0);
	rig.view = 9;
	body(2, "x");
	body(1, "x");
	expect_result("x");
	CU_ASSERT_EQUAL(pbft_client.view(rig.self), 9);
	/* Nor does it go back. */
	slot_set(slot, 13);
	rig.view = 0;
	body(2, "x");
	body(1, "x");
	expect_result("x");
	submit();
	expect_asked(6);
	client_close();
}

/* A quick replica and f liars that deny the new view answer everything first. */
static void
views_are_learned_from_late_replies(void)
{
	open_plain(4, 1);
	heard_in(0, 1, 3);
	submit();
	expect_asked(0);
	rig.view = 0;
	body(0, "x");
	body(1, "x");
	rig.view = 3;
	CU_ASSERT_EQUAL(body(2, "x"), STEPPED);
	expect_nothing();
	CU_ASSERT_EQUAL(body(2, "x"), DROPPED);
	submit();
	expect_asked(3);
	/* Not from one that cannot prove who it is. */
	rig.view = 8;
	for (uint16_t from = 0; from < 4; from++) {
		write_message(from, MESSAGE_REPLY, "x", 1);
		seal_as(0);
		CU_ASSERT_EQUAL(arrive(), from == 0 ? STEPPED : UNPROVEN);
	}
	rig.view = 0;
	body(1, "x");
	submit();
	expect_asked(3);
	client_close();
}

/* ---- Operations that only read ------------------------------------------------- */

static void
submit_read(void)
{
	submit_op("operation", 9, true);
}

static void
expect_read(void)
{
	expect_sent(everybody(), BFT_READ, 0, PROOF_VECTOR);
}

static enum fate
read_says(uint16_t from, const char *text)
{
	return says(from, MESSAGE_REPLY, reading, text);
}

/* The ordered request that replaces a READ, with a timestamp of its own. */
static void
expect_fallback(uint64_t view)
{
	rig.timestamp++;
	expect_asked(view);
}

static void
reads_need_q(void)
{
	open_reads(7, 2);
	submit_read();
	expect_read();
	for (uint16_t from = 0; from < 4; from++)
		read_says(from, "value");
	expect_nothing();
	/* What was ordered, or is not committed, is no answer to a READ. */
	CU_ASSERT_EQUAL(body(4, "value"), DROPPED);
	CU_ASSERT_EQUAL(says(4, MESSAGE_REPLY, reading | tentative, "value"), DROPPED);
	CU_ASSERT_EQUAL(says(4, MESSAGE_REPLY_LOST, reading, ""), DROPPED);
	says(5, BFT_REPLY_DIGEST, reading, "value");
	expect_result("value");
	CU_ASSERT_EQUAL(figure("reads_fallen_back"), 0);
	/* Nor the other way round. */
	submit();
	expect_asked(0);
	CU_ASSERT_EQUAL(read_says(0, "value"), DROPPED);
	client_close();
}

static void
reads_fall_back_at_the_timer(void)
{
	open_reads(4, 1);
	submit_read();
	read_says(0, "value");
	read_says(1, "value");
	CU_ASSERT_EQUAL(wait_for_send(), RETRY_NS);
	expect_fallback(0);
	CU_ASSERT_EQUAL(figure("reads_fallen_back"), 1);
	CU_ASSERT_EQUAL(pbft_client.retransmissions(rig.self), 0);
	/* Late answers to the READ are not mixed in, whatever they pretend to be. */
	rig.timestamp--;
	CU_ASSERT_EQUAL(read_says(2, "value"), DROPPED);
	CU_ASSERT_EQUAL(body(2, "value"), DROPPED);
	rig.timestamp++;
	CU_ASSERT_EQUAL(read_says(2, "value"), DROPPED);
	body(0, "newer");
	body(1, "newer");
	expect_nothing();
	CU_ASSERT_EQUAL(wait_for_send(), RETRY_NS);
	expect_asked_all();
	body(2, "newer");
	expect_result("newer");
	submit_read();
	expect_read();
	client_close();
}

/* Writes go on meanwhile: as soon as no value can get a quorum, it is ordered. */
static void
reads_fall_back_when_they_differ(void)
{
	open_reads(4, 1);
	submit_read();
	read_says(0, "old");
	read_says(1, "new");
	expect_nothing();
	read_says(0, "new");
	expect_nothing();
	read_says(2, "newer");
	expect_fallback(0);
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 0);
	client_close();
	open_reads(4, 1);
	submit_read();
	read_says(0, "old");
	read_says(1, "new");
	read_says(2, "new");
	expect_nothing();
	read_says(3, "old");
	expect_fallback(0);
	client_close();
}

static void
reads_without_body(void)
{
	open_reads(4, 1);
	submit_read();
	says(replier(), BFT_REPLY_DIGEST, reading, "large");
	says(other(0), BFT_REPLY_DIGEST, reading, "large");
	says(other(1), BFT_REPLY_DIGEST, reading, "large");
	expect_fallback(0);
	client_close();
	open_reads(4, 1);
	submit_read();
	for (uint16_t i = 0; i < 3; i++)
		says(other(i), BFT_REPLY_DIGEST, reading, "large");
	CU_ASSERT_EQUAL(wait_for_send(), PATIENCE_NS);
	expect_fallback(0);
	client_close();
}

static void
reads_are_ordered_unless_asked_otherwise(void)
{
	open_plain(4, 1);
	submit_read();
	expect_asked(0);
	CU_ASSERT_EQUAL(read_says(0, "value"), DROPPED);
	body(0, "value");
	body(1, "value");
	expect_result("value");
	client_close();
}

/* ---- Signing --------------------------------------------------------------------- */

static void
f_cannot_make_us_sign(void)
{
	open_plain(7, 2);
	submit();
	for (uint32_t i = 0; i < 5; i++) {
		must_sign(0);
		must_sign(1);
		expect_nothing();
	}
	/* What they wanted for one operation does not count for the next. */
	for (uint16_t from = 2; from < 5; from++)
		body(from, "x");
	submit();
	rig.timestamp--;
	CU_ASSERT_EQUAL(must_sign(2), DROPPED);
	rig.timestamp++;
	CU_ASSERT_EQUAL(must_sign(2), STEPPED);
	expect_nothing();
	wait_for_send();
	expect_asked_all();
	CU_ASSERT_EQUAL(figure("slots_signed"), 0);
	client_close();
}

static void
f_plus_one_make_us_sign(void)
{
	open_reads(7, 2);
	submit();
	must_sign(4);
	must_sign(0);
	expect_nothing();
	must_sign(6);
	expect_sent(everybody(), MESSAGE_REQUEST, BFT_WHOLE, PROOF_SIGNATURE);
	CU_ASSERT_EQUAL(figure("slots_signed"), 1);
	CU_ASSERT_EQUAL(must_sign(5), DROPPED);
	CU_ASSERT_EQUAL(wait_for_send(), 2 * RETRY_NS);
	expect_sent(everybody(), MESSAGE_REQUEST, BFT_WHOLE, PROOF_SIGNATURE);
	/* Whoever has forgotten that we sign looks at vectors alone: now and then one goes. */
	wait_for_send();
	expect_sent(everybody(), MESSAGE_REQUEST, BFT_WHOLE, PROOF_VECTOR);
	CU_ASSERT_EQUAL(must_sign(5), DROPPED);
	wait_for_send();
	expect_sent(everybody(), MESSAGE_REQUEST, BFT_WHOLE, PROOF_SIGNATURE);
	for (uint16_t from = 0; from < 5; from++)
		body(from, "x");
	expect_result("x");
	submit_read();
	expect_sent(everybody(), BFT_READ, 0, PROOF_SIGNATURE);
	/* The other slots go on as before. */
	slot_set(SLOT + 1, 0);
	submit();
	expect_asked(0);
	client_close();
}

static void
only_vectors_give_way_to_signatures(void)
{
	static const uint8_t proofs[] = {PROOF_NONE, PROOF_MAC, PROOF_SIGNATURE};
	for (uint32_t i = 0; i < sizeof(proofs); i++) {
		struct protocol_config config = config_of(4, 1);
		config.request_proof = proofs[i];
		client_open(&config);
		submit();
		expect_sent(2, MESSAGE_REQUEST, 0, proofs[i]);
		CU_ASSERT_EQUAL(must_sign(0), DROPPED);
		CU_ASSERT_EQUAL(must_sign(1), DROPPED);
		client_close();
	}
}

/* ---- What is refused -------------------------------------------------------------- */

static void
forged_senders(void)
{
	open_plain(4, 1);
	submit();
	body(0, "a lie");
	for (uint16_t from = 1; from < 8; from++) {
		write_message(from, MESSAGE_REPLY, "a lie", 5);
		seal_as(0);
		CU_ASSERT_EQUAL(arrive(), from < 4 ? UNPROVEN : DROPPED);
	}
	/* Nor does a proof make a replica of one that is none. */
	CU_ASSERT_EQUAL(body(4, "a lie"), DROPPED);
	CU_ASSERT_EQUAL(body(UINT16_MAX, "a lie"), DROPPED);
	body(1, "true");
	body(2, "true");
	expect_result("true");
	client_close();
}

static void
old_timestamps(void)
{
	open_plain(4, 1);
	CU_ASSERT_EQUAL(body(0, "x"), DROPPED);
	submit();
	body(0, "x");
	body(1, "x");
	CU_ASSERT_EQUAL(body(2, "x"), DROPPED);
	/* One that was screened in the burst that brought its twin. */
	submit();
	body(0, "y");
	write_message(1, MESSAGE_REPLY, "y", 1);
	seal_as(1);
	CU_ASSERT_EQUAL(screen(), VERDICT_STEP);
	struct event twin = {.type = EVENT_MESSAGE, .message = &rig.message};
	step(&twin);
	expect_result("y");
	step(&twin);
	expect_nothing();
	submit();
	step(&twin);
	expect_nothing();
	rig.timestamp = 2;
	CU_ASSERT_EQUAL(body(2, "y"), DROPPED);
	rig.timestamp = 4;
	CU_ASSERT_EQUAL(body(2, "y"), DROPPED);
	rig.timestamp = 3;
	body(2, "z");
	body(3, "z");
	expect_result("z");
	client_close();
}

static void
screened_out(void)
{
	open_plain(4, 1);
	submit();
	uint16_t slots[] = {SLOT_FIRST - 1, SLOT_FIRST + SLOTS, SLOT + 1, 0, UINT16_MAX};
	for (uint32_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		rig.slot = slots[i];
		rig.view = i == 2 ? 0 : 5; /* news or not */
		CU_ASSERT_EQUAL(body(0, "x"), DROPPED);
	}
	rig.slot = SLOT;
	rig.view = 0;
	for (uint32_t type = 0; type < 256; type++) {
		write_message(0, (uint8_t)type, "x", 1);
		bool known = type == MESSAGE_REPLY || type == MESSAGE_REPLY_LOST ||
			     type == BFT_REPLY_DIGEST || type == BFT_MUST_SIGN;
		CU_ASSERT_EQUAL(screen(), known ? VERDICT_STEP : VERDICT_DROP);
	}
	static const uint8_t bodiless[] = {MESSAGE_REPLY_LOST, BFT_REPLY_DIGEST, BFT_MUST_SIGN};
	for (uint32_t i = 0; i < sizeof(bodiless); i++) {
		write_message(0, MESSAGE_REPLY, "x", 1)->type = bodiless[i];
		CU_ASSERT_EQUAL(screen(), VERDICT_DROP);
	}
	client_close();
}

static void
replies_have_the_agreed_proof(void)
{
	static const uint8_t agreed[] = {PROOF_NONE, PROOF_MAC, PROOF_SIGNATURE, PROOF_MERKLE};
	for (uint32_t i = 0; i < sizeof(agreed); i++) {
		struct protocol_config config = config_of(4, 1);
		config.reply_proof = agreed[i];
		client_open(&config);
		submit();
		for (uint8_t proof = 0; proof <= PROOF_MERKLE + MERKLE_DEPTH_MAX; proof++) {
			if (proof_size(proof, 4) == UINT32_MAX)
				continue;
			rig.config.reply_proof = proof;
			write_message(0, MESSAGE_REPLY, "x", 1);
			bool fits =
			    agreed[i] == PROOF_MERKLE ? proof >= PROOF_MERKLE : proof == agreed[i];
			CU_ASSERT_EQUAL(screen(), fits ? VERDICT_STEP : VERDICT_DROP);
			CU_ASSERT_EQUAL(rig.claims.count, !fits			? 0u
							  : proof == PROOF_NONE ? 1u
										: 2u);
		}
		client_close();
	}
}

static const struct unit_story stories[] = {
    {"retransmissions to all", retransmissions_to_all},
    {"many late at once", many_late_at_once},
    {"views are followed", views_are_followed},
    {"views are learned from late replies", views_are_learned_from_late_replies},
    {"reads need q", reads_need_q},
    {"reads fall back at the timer", reads_fall_back_at_the_timer},
    {"reads fall back when they differ", reads_fall_back_when_they_differ},
    {"reads without body", reads_without_body},
    {"reads are ordered unless asked otherwise", reads_are_ordered_unless_asked_otherwise},
    {"f cannot make us sign", f_cannot_make_us_sign},
    {"f + 1 make us sign", f_plus_one_make_us_sign},
    {"only vectors give way to signatures", only_vectors_give_way_to_signatures},
    {"forged senders", forged_senders},
    {"old timestamps", old_timestamps},
    {"screened out", screened_out},
    {"replies have the agreed proof", replies_have_the_agreed_proof},
};

UNIT_MAIN("pbft_client_asks", stories)
