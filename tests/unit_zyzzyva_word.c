/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica of Zyzzyva keeps its word: what it states of a history it never contradicts,
 * whatever certificates make of that history; and what it undid it takes for not done.
 * One replica by itself (zyzzyva_replica_rig.h).
 */
#include "tests/zyzzyva_replica_rig.h"

enum { LENGTH_MAX = 16 };

/* h of each seq of two histories; 0 is the beginning. */
static uint8_t a32[LENGTH_MAX][32];
static uint8_t b32[LENGTH_MAX][32];

static void
open_story(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	memset(b32, 0, sizeof(b32));
}

/* Orders of the history, one request each, from `first` to `last`; clients tell histories apart. */
static void
grow(uint64_t view, uint8_t (*history32)[32], uint16_t client, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		struct order o = {.view = view,
		    .seq = seq,
		    .before32 = history32[seq - 1],
		    .client = client,
		    .timestamp = 100 * view + seq};
		CU_ASSERT_EQUAL(order_comes(&o, history32[seq]), STEPPED);
	}
}

/* Body of an order of that history, as another replica has it. */
static enum fate
body_comes(uint8_t (*history32)[32], uint16_t client, uint64_t view, uint64_t seq)
{
	uint64_t body[BODY_SIZE / 8];
	struct order o = {.view = view,
	    .seq = seq,
	    .before32 = history32[seq - 1],
	    .client = client,
	    .timestamp = 100 * view + seq};
	order_body(&o, body, history32[seq]);
	struct message_header *h = message_write(0, ZYZZYVA_BODY, PROOF_NONE, body, BODY_SIZE);
	h->seq = seq;
	memcpy(h->digest, history32[seq], 32);
	return arrive();
}

/* h of an order that does not come. */
static void
imagine(uint8_t (*history32)[32], uint16_t client, uint64_t view, uint64_t seq)
{
	uint64_t body[BODY_SIZE / 8];
	struct order o = {.view = view,
	    .seq = seq,
	    .before32 = history32[seq - 1],
	    .client = client,
	    .timestamp = 100 * view + seq};
	order_body(&o, body, history32[seq]);
}

/* ---- after a fork ----------------------------------------------------------------------- */

/* q have b from 4 on, certified at 5. */
static void
go_over_to_b(void)
{
	memcpy(b32, a32, 4 * 32);
	imagine(b32, 2, 0, 4);
	imagine(b32, 2, 0, 5);
	struct point p = {.seq = 5, .history32 = b32[5], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT_EQUAL(body_comes(b32, 2, 0, 5), STEPPED);
	CU_ASSERT_EQUAL(body_comes(b32, 2, 0, 4), STEPPED);
	CU_ASSERT_EQUAL(figure("forks"), 1);
	CU_ASSERT(history_is(rig.r, 5, b32[5]));
	CU_ASSERT_EQUAL(figure("rolled_back"), 4);
	CU_ASSERT_EQUAL(figure("executed_seq"), 5);
	forget_sent();
}

/* It has a up to 7, and stated that at 7. */
static void
fork_to_b(void)
{
	open_story();
	grow(0, a32, 1, 1, 7);
	CU_ASSERT_EQUAL(figure("executed_seq"), 7);
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_VOUCH, 0, 7), STEPPED);
	CU_ASSERT_PTR_NOT_NULL(stated_of(0, 7));
	go_over_to_b();
}

/* The client asks for a STATEMENT of where its operation was executed. */
static enum fate
ask_comes(uint16_t client, uint64_t seq, const uint8_t *history32)
{
	struct ask_body b = {.seq = seq};
	memcpy(b.history32, history32, 32);
	struct message_header *h = message_write(client, ZYZZYVA_ASK, PROOF_VECTOR, &b, sizeof(b));
	h->view = rig.r->me.view << ZYZZYVA_ASK_SHIFT | ZYZZYVA_ASK_AGAIN;
	h->seq = 1;
	return arrive_from(KEY_CLIENT + client);
}

/* It says nothing of the place in the present history, whoever asks. */
static void
expect_no_word(uint64_t seq, const uint8_t *history32)
{
	uint64_t view = rig.r->me.view;
	struct status_body behind = {.active = 1};
	CU_ASSERT(history_is(rig.r, seq, history32));
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_VOUCH, view, seq), STEPPED);
	CU_ASSERT_EQUAL(ask_comes(1, seq, history32), STEPPED);
	message_write(2, ZYZZYVA_STATUS, PROOF_VECTOR, &behind, sizeof(behind))->view = view;
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_PTR_NULL(stated_of(view, seq));
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATED, 0));
}

static void
expect_word(uint64_t seq, const uint8_t *history32)
{
	uint64_t view = rig.r->me.view;
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_VOUCH, view, seq), STEPPED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(stated_of(view, seq));
	CU_ASSERT(digest_equal(stated_of(view, seq), history32));
}

/* Up to where a reached b is not stated, neither where a was nor below; beyond, it is. */
static void
fork_is_not_stated(void)
{
	fork_to_b();
	grow(0, b32, 2, 6, 6);
	expect_no_word(6, b32[6]);
	grow(0, b32, 2, 7, 7);
	expect_no_word(7, b32[7]);
	grow(0, b32, 2, 8, 8);
	expect_word(8, b32[8]);
	close_replica();
}

/* What the primary signed of a is no cover of b. */
static void
fork_is_not_covered(void)
{
	open_story();
	grow(0, a32, 1, 1, 7);
	CU_ASSERT_EQUAL(states(0, 0, 7, a32[7]), STEPPED);
	CU_ASSERT_EQUAL(rig.r->covered, 7);
	go_over_to_b();
	CU_ASSERT_EQUAL(rig.r->covered, 5);
	close_replica();
}

/* The same where it learns of b by a stable checkpoint, and fetches that state. */
static void
fetched_is_not_stated(void)
{
	open_story();
	grow(0, a32, 1, 1, 7);
	expect_word(7, a32[7]);
	memset(b32[4], 'b', 32);
	stable_write(4, b32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(rig.transfers, 1);
	CU_ASSERT_EQUAL(rig.r->top, 4);
	forget_sent();
	for (uint64_t seq = 5; seq <= 7; seq++) {
		/* The first of b shows that the primary told us otherwise, and makes room. */
		struct order o = {
		    .seq = seq, .before32 = b32[seq - 1], .client = 2, .timestamp = seq};
		order_comes(&o, b32[seq]);
		order_comes(&o, b32[seq]);
		expect_no_word(seq, b32[seq]);
	}
	grow(0, b32, 2, 8, 8);
	expect_word(8, b32[8]);
	close_replica();
}

/* ---- VIEW-CONFIRM ------------------------------------------------------------------------- */

/* View 1 is to begin with a up to 5, and it says so. */
static void
confirm_a(void)
{
	open_story();
	grow(0, a32, 1, 1, 5);
	leave_view();
	struct changed c = {.view = 1, .entries = a32 + 1, .entries_count = 5};
	CU_ASSERT_EQUAL(change_comes(&c), STEPPED);
	c.from = 1;
	CU_ASSERT_EQUAL(change_comes(&c), STEPPED);
	CU_ASSERT_EQUAL(new_view_comes(1, 0xb), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_PTR_NOT_NULL_FATAL(stated_of(1, 5));
	CU_ASSERT(digest_equal(stated_of(1, 5), a32[5]));
	forget_sent();
}

static void
view_begins_at(const struct point *p)
{
	CU_ASSERT_EQUAL(certificate_comes(p), STEPPED);
	CU_ASSERT(rig.r->active);
	CU_ASSERT_EQUAL(rig.r->top, p->seq);
	CU_ASSERT(history_is(rig.r, p->seq, p->history32));
	forget_sent();
}

/*
 * The primary of view 1 named one set for us, and another, that leads to 4 alone, for the
 * rest, who begin so. It orders for one of them what we confirmed, at 5, whose STATEMENT
 * and ours and its own are a certificate. If we stated 6 of what it orders for us and the
 * other, that would be a second one, of another history of the same view.
 */
static void
confirm_is_kept(void)
{
	confirm_a();
	view_begins_at(&(struct point){.view = 1, .seq = 4, .history32 = a32[4], .signers = 7});
	memcpy(b32, a32, 5 * 32);
	grow(1, b32, 2, 5, 5);
	expect_no_word(5, b32[5]);
	grow(1, b32, 2, 6, 6);
	expect_no_word(6, b32[6]);
	CU_ASSERT_EQUAL(figure("executed_seq"), 6);
	/* A word is of its view. */
	leave_view();
	view_begins_at(&(struct point){.view = 2, .seq = 6, .history32 = b32[6], .signers = 7});
	grow(2, b32, 2, 7, 7);
	expect_word(7, b32[7]);
	close_replica();
}

/* It begins with what it confirmed, there or beyond: nothing keeps it from speaking. */
static void
confirm_is_followed(void)
{
	confirm_a();
	view_begins_at(&(struct point){.view = 1, .seq = 5, .history32 = a32[5], .signers = 7});
	/* Nothing is stated of what lies before the beginning. */
	expect_no_word(4, a32[4]);
	grow(1, a32, 1, 6, 6);
	expect_word(6, a32[6]);
	close_replica();
	confirm_a();
	imagine(a32, 1, 1, 6);
	struct point p = {.view = 1, .seq = 6, .history32 = a32[6], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT_EQUAL(body_comes(a32, 1, 1, 6), STEPPED);
	CU_ASSERT(rig.r->active);
	grow(1, a32, 1, 7, 7);
	expect_word(7, a32[7]);
	close_replica();
}

/*
 * It is the primary whose view begins otherwise: it orders, where it confirmed something
 * else; so it is none to follow, by its own word, and it hates itself as others do.
 */
static void
confirm_binds_primaries(void)
{
	struct changed c = {.view = SELF, .entries = a32 + 1, .entries_count = 5};
	open_story();
	grow(0, a32, 1, 1, 5);
	for (uint32_t view = 0; view < SELF; view++)
		leave_view();
	for (c.from = 0; c.from < 2; c.from++)
		CU_ASSERT_EQUAL(change_comes(&c), STEPPED);
	CU_ASSERT_PTR_NOT_NULL(sent_to(ZYZZYVA_NEW_VIEW, 0xf));
	CU_ASSERT_PTR_NOT_NULL(stated_of(SELF, 5));
	view_begins_at(&(struct point){.view = SELF, .seq = 4, .history32 = a32[4], .signers = 7});
	CU_ASSERT_EQUAL(request_comes(2, 1), STEPPED);
	wait_ns(20 * TICK_NS);
	CU_ASSERT_EQUAL(figure("betrayals"), 1);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	CU_ASSERT_PTR_NOT_NULL(sent_to(ZYZZYVA_HATE, 0xf));
	close_replica();
}

/* While it waits for bodies of what a certificate has, it repeats what it confirmed, no more. */
static void
confirm_is_repeated(void)
{
	struct status_body waits = {.active = 0};
	confirm_a();
	memset(b32[5], 'b', 32);
	struct point p = {.view = 1, .seq = 5, .history32 = b32[5], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	message_write(2, ZYZZYVA_STATUS, PROOF_VECTOR, &waits, sizeof(waits))->view = 1;
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(stated_of(1, 5));
	CU_ASSERT(digest_equal(stated_of(1, 5), a32[5]));
	close_replica();
}

/* ---- what was undone ------------------------------------------------------------------------- */

/*
 * A client's operation was at 6 of a, and is undone. When it is asked for again, nothing of
 * what is at 6 now is doubted for it, and the primary hears of it.
 */
static void
undone_is_not_done(void)
{
	open_story();
	grow(0, a32, 1, 1, 6);
	leave_view();
	view_begins_at(&(struct point){.view = 1, .seq = 3, .history32 = a32[3], .signers = 7});
	CU_ASSERT_EQUAL(figure("rolled_back"), 3);
	memcpy(b32, a32, 4 * 32);
	grow(1, b32, 2, 4, 6);
	forget_sent();
	CU_ASSERT_EQUAL(request_comes(1, 6), STEPPED);
	CU_ASSERT_EQUAL(figure("doubts"), 0);
	CU_ASSERT_PTR_NOT_NULL(sent_to(MESSAGE_REQUEST, replica_bit(1)));
	/* What was not undone is doubted where it is. */
	CU_ASSERT_EQUAL(request_comes(2, 106), STEPPED);
	CU_ASSERT_EQUAL(figure("doubts"), 1);
	close_replica();
}

/*
 * It executed an operation at 7 of a. In the state that it fetches that has been executed,
 * too, and nobody says where: it is told as what is final, or not at all.
 */
static void
fetched_is_final(void)
{
	open_story();
	grow(0, a32, 1, 1, 7);
	memset(b32[4], 'b', 32);
	stable_write(4, b32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(rig.transfers, 1);
	rig.done[rig.done_count++] = (struct done){4, 1, 7};
	forget_sent();
	CU_ASSERT_EQUAL(request_comes(1, 7), STEPPED);
	const struct message_header *reply = sent_to(MESSAGE_REPLY, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reply);
	CU_ASSERT_EQUAL(reply->seq, 7);
	CU_ASSERT_EQUAL(reply->view & BFT_REPLY_TENTATIVE, 0);
	CU_ASSERT_EQUAL(((const struct reply_head *)(const void *)(reply + 1))->seq, 0);
	close_replica();
}

/* ... and what has not been executed in it is due again. */
static void
fetched_forgets(void)
{
	open_story();
	grow(0, a32, 1, 1, 7);
	memset(b32[4], 'b', 32);
	stable_write(4, b32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	forget_sent();
	CU_ASSERT_EQUAL(request_comes(1, 7), STEPPED);
	CU_ASSERT_PTR_NULL(sent_to(MESSAGE_REPLY, 0));
	CU_ASSERT_PTR_NOT_NULL(sent_to(MESSAGE_REQUEST, replica_bit(0)));
	close_replica();
}

/* ---- who lost its memory ------------------------------------------------------------------------
 */

static void
open_restarted(void)
{
	struct protocol_config config = config_of(PROOF_VECTOR);
	config.restarted = true;
	open_with(&config);
	memset(a32, 0, sizeof(a32));
	wait_ns(2 * TICK_NS);
	CU_ASSERT_NOT_EQUAL(rig.r->nonce, 0);
}

/* Where another stands; it answers our nonce, or that of a former life. */
static void
estimate_comes(uint16_t from, uint64_t executed, uint64_t top, uint64_t echo)
{
	struct status_body b = {.executed = executed, .top = top, .active = 1, .echo = echo};
	message_write(from, ZYZZYVA_STATUS, PROOF_VECTOR, &b, sizeof(b));
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	wait_ns(TICK_NS);
}

/* What q answered counts, and of that what f others find plausible; then the window, to the next
 * checkpoint. */
static void
recovery_is_estimated(void)
{
	open_restarted();
	uint64_t nonce = rig.r->nonce;
	estimate_comes(0, 6, 9, nonce);
	estimate_comes(1, 9, 9, nonce);
	CU_ASSERT_EQUAL(rig.r->recovery, 0);
	/* An answer to a former life is none. */
	estimate_comes(2, 5, 5, nonce - 2);
	CU_ASSERT_EQUAL(rig.r->recovery, 0);
	/* A liar's is too high to be true, so 9 is the lowest that q have not passed ... */
	estimate_comes(2, 1000, 1000, nonce);
	CU_ASSERT_EQUAL(rig.r->recovery, 0);
	/* ... when he says so. */
	estimate_comes(2, 7, 7, nonce);
	CU_ASSERT_EQUAL(rig.r->recovery, 20);
	close_replica();
}

/* Until then it is silent, and orders and executes all the same. */
static void
recovering_is_silent(void)
{
	open_restarted();
	for (uint16_t i = 0; i < 3; i++)
		estimate_comes(i, 0, 0, rig.r->nonce);
	CU_ASSERT_EQUAL(rig.r->recovery, 8);
	for (uint64_t stable = 0; stable < 8; stable += 4) {
		grow(0, a32, 1, stable + 1, stable + 4);
		CU_ASSERT_EQUAL(figure("executed_seq"), stable + 4);
		CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_VOUCH, 0, stable + 4), STEPPED);
		wait_ns(2 * TICK_NS);
		CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
		CU_ASSERT_PTR_NULL(sent_to(BFT_CHECKPOINT, 0));
		CU_ASSERT_PTR_NULL(sent_to(MESSAGE_REPLY, 0));
		stable_write(stable + 4, a32[stable + 4]);
		CU_ASSERT_EQUAL(arrive(), STEPPED);
		CU_ASSERT_EQUAL(figure("stable"), stable + 4);
		forget_sent();
	}
	wait_ns(2 * TICK_NS);
	CU_ASSERT_FALSE(rig.r->silent);
	grow(0, a32, 1, 9, 9);
	expect_word(9, a32[9]);
	close_replica();
}

static const struct unit_story stories[] = {
    {"a fork is not stated where the former history was", fork_is_not_stated},
    {"a fork is not covered by what it leaves", fork_is_not_covered},
    {"what a fetched state leads to is not stated either", fetched_is_not_stated},
    {"a VIEW-CONFIRM is kept to", confirm_is_kept},
    {"a VIEW-CONFIRM is followed", confirm_is_followed},
    {"a VIEW-CONFIRM binds primaries", confirm_binds_primaries},
    {"a VIEW-CONFIRM is repeated as it was", confirm_is_repeated},
    {"what is undone is not done", undone_is_not_done},
    {"what is in a fetched state is final", fetched_is_final},
    {"what is not in a fetched state is due", fetched_forgets},
    {"recovery is estimated by q", recovery_is_estimated},
    {"who recovers is silent", recovering_is_silent},
};

UNIT_MAIN("zyzzyva_word", stories)
