/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a replica of Zyzzyva leaves a view, what it takes for a NEW-VIEW, and when the new
 * view begins; and what makes a checkpoint its own. What follows from a set of
 * VIEW-CHANGEs is another suite's (unit_zyzzyva_decide.c). One replica by itself
 * (zyzzyva_replica_rig.h).
 */
#include "tests/zyzzyva_replica_rig.h"

enum { LENGTH_MAX = 16 };

/* h of each seq; 0 is the beginning. */
static uint8_t a32[LENGTH_MAX][32];
static uint8_t b32[LENGTH_MAX][32];

static void
open_story(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	memset(b32, 'b', sizeof(b32));
}

static void
grow(uint64_t view, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		struct order o = {.view = view,
		    .seq = seq,
		    .before32 = a32[seq - 1],
		    .client = 1,
		    .timestamp = seq};
		CU_ASSERT_EQUAL(order_comes(&o, a32[seq]), STEPPED);
	}
}

static void
changes_for(uint64_t view, uint16_t from, uint64_t entries)
{
	struct changed c = {
	    .from = from, .view = view, .entries = a32 + 1, .entries_count = entries};
	CU_ASSERT_EQUAL(change_comes(&c), STEPPED);
}

/* ---- leaving ----------------------------------------------------------------------------------
 */

/* f + 1 hate it, the own voice among them. */
static void
haters_are_enough(void)
{
	open_story();
	CU_ASSERT_EQUAL(word_comes(1, ZYZZYVA_HATE, 0, 0), STEPPED);
	CU_ASSERT_EQUAL(word_comes(1, ZYZZYVA_HATE, 0, 0), STEPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, 0);
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_HATE, 0, 0), STEPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, 1);
	CU_ASSERT_PTR_NOT_NULL(sent_to(ZYZZYVA_VIEW_CHANGE, 0xf));
	close_replica();
}

/* f + 1 others have left for higher views: to the lowest of these. */
static void
others_are_joined(void)
{
	open_story();
	changes_for(5, 1, 0);
	changes_for(6, 1, 0);
	CU_ASSERT_EQUAL(rig.r->me.view, 0);
	changes_for(3, 2, 0);
	CU_ASSERT_EQUAL(rig.r->me.view, 3);
	CU_ASSERT_PTR_NOT_NULL(sent_to(ZYZZYVA_VIEW_CHANGE, 0xf));
	close_replica();
}

/* Who has left says and takes nothing of the old view any more. */
static void
old_view_is_over(void)
{
	open_story();
	grow(0, 1, 4);
	leave_view();
	forget_sent();
	struct status_body behind = {.active = 1};
	struct point p = {.seq = 4, .history32 = a32[4], .signers = 7};
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_VOUCH, 0, 4), DROPPED);
	CU_ASSERT_EQUAL(states(2, 0, 4, a32[4]), DROPPED);
	CU_ASSERT_EQUAL(certificate_comes(&p), DROPPED);
	message_write(2, ZYZZYVA_STATUS, PROOF_VECTOR, &behind, sizeof(behind));
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(request_comes(1, 4), STEPPED);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	CU_ASSERT_PTR_NULL(sent_to(BFT_CHECKPOINT, 0));
	CU_ASSERT_PTR_NULL(sent_to(MESSAGE_REPLY, 0));
	CU_ASSERT_EQUAL(figure("committed"), 0);
	close_replica();
}

/* The view is left between a message's screening and its step. */
static void
old_view_is_over_at_once(void)
{
	struct point p = {.seq = 4, .history32 = a32[4], .signers = 7};
	open_story();
	grow(0, 1, 4);
	certificate_write(&p);
	CU_ASSERT_EQUAL(arrive_after(leave_view), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_EQUAL(figure("committed"), 0);
	close_replica();
	open_story();
	grow(0, 1, 4);
	for (uint16_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(states(i, 0, 3, a32[3]), STEPPED);
	statement_write(2, 0, 3, a32[3]);
	CU_ASSERT_EQUAL(arrive_after(leave_view), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_EQUAL(figure("committed"), 0);
	close_replica();
}

/* ---- NEW-VIEW ----------------------------------------------------------------------------------
 */

/*
 * R(0) signed one VIEW-CHANGE for us and another for the primary, who names that. Nothing is
 * decided by the one that is here; what is named replaces it, and what is not does not.
 */
static void
named_changes_count(void)
{
	open_story();
	grow(0, 1, 2);
	leave_view();
	changes_for(1, 1, 1);
	changes_for(1, 0, 1);
	struct changed named = {.view = 1, .entries = a32 + 1, .entries_count = 2};
	struct changed third = {.view = 1};
	change_write(&named);
	message_seal((void *)rig.incoming, 0, 0);
	memcpy(rig.changes[0], ((const struct message_header *)(void *)rig.incoming)->digest, 32);
	CU_ASSERT_EQUAL(new_view_comes(1, 0xb), STEPPED);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	change_write(&third);
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	change_write(&named);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_PTR_NULL(stated_of(1, 1));
	CU_ASSERT_PTR_NOT_NULL_FATAL(stated_of(1, 2));
	CU_ASSERT(digest_equal(stated_of(1, 2), a32[2]));
	close_replica();
}

/* Without that nothing keeps the first. */
static void
first_change_counts(void)
{
	open_story();
	grow(0, 1, 2);
	leave_view();
	changes_for(1, 0, 2);
	struct changed other = {.view = 1};
	change_write(&other);
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	close_replica();
}

/* It is the primary's, and of q. */
static void
new_views_are_the_primarys(void)
{
	open_story();
	grow(0, 1, 2);
	leave_view();
	changes_for(1, 0, 2);
	changes_for(1, 1, 2);
	new_view_write(1, 0xb);
	((struct message_header *)(void *)rig.incoming)->sender = 2;
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	CU_ASSERT_EQUAL(new_view_comes(1, 0x9), DROPPED);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	CU_ASSERT_EQUAL(new_view_comes(1, 0xb), STEPPED);
	CU_ASSERT_PTR_NOT_NULL(stated_of(1, 2));
	close_replica();
}

/* R(1) signs one for view 5, whose turn is his, too: it is no reason to miss that of view 1. */
static void
far_views_are_not_plausible(void)
{
	open_story();
	grow(0, 1, 2);
	memset(rig.changes, 'x', sizeof(rig.changes));
	CU_ASSERT_EQUAL(new_view_comes(5, 7), STEPPED);
	leave_view();
	changes_for(1, 0, 2);
	changes_for(1, 1, 2);
	CU_ASSERT_EQUAL(new_view_comes(1, 0xb), STEPPED);
	CU_ASSERT_PTR_NOT_NULL(stated_of(1, 2));
	close_replica();
}

/* Who lost its memory joins nobody by itself, but what f + 1 have left for; without a word. */
static void
who_recovers_follows(void)
{
	struct protocol_config config = config_of(PROOF_VECTOR);
	config.restarted = true;
	open_with(&config);
	memset(a32, 0, sizeof(a32));
	grow(0, 1, 2);
	changes_for(5, 0, 2);
	changes_for(5, 1, 2);
	changes_for(5, 2, 2);
	CU_ASSERT_EQUAL(rig.r->me.view, 0);
	CU_ASSERT_EQUAL(new_view_comes(5, 7), STEPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, 5);
	for (uint16_t i = 0; i < 3; i++) {
		CU_ASSERT_FALSE(rig.r->active);
		CU_ASSERT_EQUAL(states(i, 5, 2, a32[2]), STEPPED);
	}
	CU_ASSERT(rig.r->active);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_VIEW_CHANGE, 0));
	close_replica();
}

/* ---- its beginning
 * -------------------------------------------------------------------------------- */

/* "upon receiving 2f + 1 matching VIEW-CONFIRM messages, a replica begins the new view" (3.2). */
static void
views_begin_at_q(void)
{
	open_story();
	grow(0, 1, 2);
	leave_view();
	changes_for(1, 0, 2);
	changes_for(1, 1, 2);
	CU_ASSERT_EQUAL(new_view_comes(1, 0xb), STEPPED);
	CU_ASSERT_PTR_NOT_NULL(stated_of(1, 2));
	grow(1, 3, 3);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_EQUAL(states(1, 1, 2, a32[2]), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	/* Of another history, or for another view, it is no third one. */
	CU_ASSERT_EQUAL(states(2, 1, 2, b32[2]), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_EQUAL(states(0, 2, 2, a32[2]), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_EQUAL(figure("executed_seq"), 2);
	struct point p = {.view = 1, .seq = 2, .history32 = a32[2], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT(rig.r->active);
	CU_ASSERT_EQUAL(figure("committed"), 2);
	CU_ASSERT_EQUAL(figure("executed_seq"), 3);
	close_replica();
}

static void
views_begin_by_statements(void)
{
	open_story();
	grow(0, 1, 2);
	leave_view();
	changes_for(1, 0, 2);
	changes_for(1, 1, 2);
	CU_ASSERT_EQUAL(new_view_comes(1, 0xb), STEPPED);
	CU_ASSERT_EQUAL(states(1, 1, 2, a32[2]), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_EQUAL(states(0, 1, 2, a32[2]), STEPPED);
	CU_ASSERT(rig.r->active);
	/* The certificate that it began with is what its next VIEW-CHANGE shows. */
	CU_ASSERT_EQUAL(rig.r->held.head.view, 1);
	CU_ASSERT_EQUAL(rig.r->held.head.seq, 2);
	CU_ASSERT_EQUAL(quorum_count(rig.r->held.head.signers), QUORUM);
	close_replica();
}

/* ---- checkpoints
 * ------------------------------------------------------------------------------------ */

static void
checkpoints_are_compared(void)
{
	open_story();
	grow(0, 1, 5);
	stable_write(4, a32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(figure("stable"), 4);
	CU_ASSERT_EQUAL(rig.transfers, 0);
	close_replica();
	/* The history is another, whatever was certified of this one. */
	struct point p = {.seq = 5, .history32 = a32[5], .signers = 7};
	open_story();
	grow(0, 1, 5);
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT_EQUAL(figure("committed"), 5);
	stable_write(4, b32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(rig.transfers, 1);
	CU_ASSERT_EQUAL(rig.transferred, 4);
	CU_ASSERT(history_is(rig.r, 4, b32[4]));
	CU_ASSERT_EQUAL(rig.r->certified, 4);
	close_replica();
}

/* The history is the same, and the state is not. */
static void
states_are_compared(void)
{
	uint64_t body[LETTER_SIZE / 16];
	struct stable_head *head = (void *)body;
	open_story();
	grow(0, 1, 5);
	stable_head_write(4, a32[4], head);
	memset(head->pair.state32, 't', 32);
	digest_of(&head->pair, sizeof(head->pair), head->digest32);
	uint32_t size = (uint32_t)sizeof(*head) + stable_sign(head, (void *)(head + 1));
	message_write(0, ZYZZYVA_STABLE, PROOF_NONE, body, size)->seq = 4;
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(rig.transfers, 1);
	CU_ASSERT_EQUAL(rig.transferred, 4);
	close_replica();
}

/* One of those who order b after `at` of a, in view 1: its body of b at seq. */
static void
body_of_b(uint64_t at, uint64_t seq)
{
	uint64_t body[BODY_SIZE / 8];
	struct order o = {.view = 1,
	    .seq = seq,
	    .before32 = seq == at + 1 ? a32[at] : b32[seq - 1],
	    .client = 2,
	    .timestamp = seq};
	order_body(&o, body, b32[seq]);
	message_write(0, ZYZZYVA_BODY, PROOF_NONE, body, BODY_SIZE)->seq = seq;
	memcpy(((struct message_header *)(void *)rig.incoming)->digest, b32[seq], 32);
}

/* View 1 begins at 5, with b after 3. */
static void
begin_with_b(void)
{
	leave_view();
	for (uint64_t seq = 4; seq <= 5; seq++)
		body_of_b(3, seq);
	struct point p = {.view = 1, .seq = 5, .history32 = b32[5], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	for (uint64_t seq = 5; seq >= 4; seq--) {
		body_of_b(3, seq);
		CU_ASSERT_EQUAL(arrive(), STEPPED);
	}
	CU_ASSERT(rig.r->active);
	CU_ASSERT(history_is(rig.r, 4, b32[4]));
}

/*
 * The state could not be undone, so that what it took at 4 is of a, whose checkpoint is
 * said to be stable, and its history is b: then more than f lied, and q decide.
 */
static void
histories_are_compared(void)
{
	open_story();
	grow(0, 1, 5);
	rig.keeps_state = true;
	begin_with_b();
	CU_ASSERT(rig.r->stranded);
	rig.keeps_state = false;
	stable_write(4, a32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(rig.transferred, 4);
	CU_ASSERT(history_is(rig.r, 4, a32[4]));
	CU_ASSERT_EQUAL(rig.r->top, 4);
	close_replica();
}

/* While a state is fetched, what it took at 4 is of a, and its history is b by now. */
static void
votes_are_of_this_history(void)
{
	open_story();
	rig.r->helps = 9; /* nobody is spare */
	grow(0, 1, 5);
	rig.moves_later = true;
	stable_write(8, b32[8]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	wait_ns(4 * TICK_NS);
	CU_ASSERT(rig.r->moving);
	begin_with_b();
	CU_ASSERT_EQUAL(figure("committed"), 5);
	CU_ASSERT_EQUAL(figure("checkpoint_votes"), 0);
	close_replica();
}

/* A certificate for what leaves the stable history: more than f lied, and it stays. */
static void
stable_is_not_left(void)
{
	open_story();
	grow(0, 1, 5);
	stable_write(4, a32[4]);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	leave_view();
	memset(b32[4], 'b', 32);
	body_of_b(0, 5);
	struct point p = {.view = 1, .seq = 5, .history32 = b32[5], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	body_of_b(0, 5);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_FALSE(rig.r->active);
	CU_ASSERT_FALSE(rig.r->pending.present);
	CU_ASSERT_EQUAL(figure("violations"), 1);
	CU_ASSERT(history_is(rig.r, 4, a32[4]));
	close_replica();
}

/* It votes for what a certificate covers, once. */
static void
votes_are_of_what_is_certified(void)
{
	open_story();
	rig.r->helps = 9; /* nobody is spare */
	grow(0, 1, 5);
	CU_ASSERT_PTR_NULL(sent_to(BFT_CHECKPOINT, 0));
	struct point p = {.seq = 3, .history32 = a32[3], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT_PTR_NULL(sent_to(BFT_CHECKPOINT, 0));
	p = (struct point){.seq = 4, .history32 = a32[4], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	const struct message_header *vote = sent_to(BFT_CHECKPOINT, 0xf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(vote);
	const struct checkpoint_pair *pair = (const void *)(vote + 1);
	CU_ASSERT(digest_equal(pair->history32, a32[4]));
	CU_ASSERT_EQUAL(figure("checkpoint_votes"), 1);
	p = (struct point){.seq = 5, .history32 = a32[5], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT_EQUAL(figure("checkpoint_votes"), 1);
	close_replica();
}

static const struct unit_story stories[] = {
    {"f + 1 haters are enough", haters_are_enough},
    {"f + 1 others are joined", others_are_joined},
    {"the old view is over", old_view_is_over},
    {"the old view is over at once", old_view_is_over_at_once},
    {"the VIEW-CHANGEs that are named count", named_changes_count},
    {"the first VIEW-CHANGE counts", first_change_counts},
    {"NEW-VIEWs are the primary's, of q", new_views_are_the_primarys},
    {"far views are not plausible", far_views_are_not_plausible},
    {"who recovers follows", who_recovers_follows},
    {"views begin at q", views_begin_at_q},
    {"views begin by STATEMENTs", views_begin_by_statements},
    {"checkpoints are compared", checkpoints_are_compared},
    {"states are compared", states_are_compared},
    {"histories are compared", histories_are_compared},
    {"what is stable is not left", stable_is_not_left},
    {"votes are of what is certified", votes_are_of_what_is_certified},
    {"votes are of this history", votes_are_of_this_history},
};

UNIT_MAIN("zyzzyva_view", stories)
