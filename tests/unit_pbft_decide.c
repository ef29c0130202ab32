/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new view starts from: the rules of TOCS'02, section 3.2.4, one by one,
 * on hand-made sets of VIEW-CHANGEs. n = 4, f = 1, K = 4, L = 8.
 */
#include "tests/unit.h"

#include <string.h>

#include "protocols/pbft/decide.h"

enum { ENTRIES_MAX = 8 };

static const struct decide_config config = {.quorum = 3, .weak = 2, .interval = 4, .window_log = 8};

/* A VIEW-CHANGE while it is being put together. */
struct sheet {
	struct view_change change;
	struct view_change_entry checkpoints[ENTRIES_MAX];
	struct view_change_entry prepared[ENTRIES_MAX];
	struct view_change_entry preprepared[ENTRIES_MAX];
};

static struct sheet sheets[4];
static struct decision decision;

static struct view_change_entry
entry(uint64_t seq, uint64_t view, uint8_t digest)
{
	struct view_change_entry e = {.seq = seq, .view = view};
	memset(e.digest32, digest, sizeof(e.digest32));
	return e;
}

/* Four replicas at the checkpoint `stable`, which all have, and nothing above it. */
static void
sheets_open(uint64_t stable)
{
	memset(sheets, 0, sizeof(sheets));
	for (uint32_t i = 0; i < 4; i++) {
		struct sheet *s = &sheets[i];
		s->checkpoints[0] = entry(stable, 0, (uint8_t)stable);
		s->change = (struct view_change){
		    .stable = stable,
		    .checkpoints = s->checkpoints,
		    .prepared = s->prepared,
		    .preprepared = s->preprepared,
		    .checkpoints_count = 1,
		};
	}
}

static void
prepared(uint32_t replica, uint64_t seq, uint64_t view, uint8_t digest)
{
	struct sheet *s = &sheets[replica];
	s->prepared[s->change.prepared_count++] = entry(seq, view, digest);
}

static void
preprepared(uint32_t replica, uint64_t seq, uint64_t view, uint8_t digest)
{
	struct sheet *s = &sheets[replica];
	s->preprepared[s->change.preprepared_count++] = entry(seq, view, digest);
}

/* Decides over the first `count` of them. */
static bool
decided(uint32_t count)
{
	struct view_change set[4];
	for (uint32_t i = 0; i < count; i++)
		set[i] = sheets[i].change;
	memset(&decision, 0xee, sizeof(decision));
	return decide(&config, set, count, &decision);
}

static bool
chosen(uint64_t place, uint8_t digest)
{
	struct view_change_entry e = entry(0, 0, digest);
	return place < decision.chosen_count &&
	       memcmp(decision.chosen32[place], e.digest32, 32) == 0;
}

static void
nothing_prepared(void)
{
	sheets_open(4);
	CU_ASSERT_FALSE(decided(2));
	CU_ASSERT_TRUE(decided(3));
	CU_ASSERT_EQUAL(decision.start, 4);
	CU_ASSERT_EQUAL(decision.chosen_count, 0);
}

/* "a request that prepared at one replica may have committed": it is kept, gaps are null. */
static void
prepared_is_kept(void)
{
	sheets_open(0);
	prepared(1, 2, 3, 0xaa);
	preprepared(1, 2, 3, 0xaa);
	preprepared(2, 2, 3, 0xaa);
	CU_ASSERT_TRUE(decided(3));
	CU_ASSERT_EQUAL(decision.chosen_count, 2);
	CU_ASSERT_TRUE(chosen(0, 0));
	CU_ASSERT_TRUE(chosen(1, 0xaa));
}

/* P11: of two prepared batches that of the higher view, wherever it is met first. */
static void
highest_view_wins(void)
{
	for (uint32_t order = 0; order < 2; order++) {
		sheets_open(0);
		prepared(order, 1, 1, 0xaa);
		prepared(1 - order, 1, 2, 0xbb);
		prepared(3, 1, 2, 0xbb);
		preprepared(0, 1, 1, 0xaa);
		preprepared(2, 1, 1, 0xaa);
		preprepared(1, 1, 2, 0xbb);
		preprepared(3, 1, 2, 0xbb);
		CU_ASSERT_TRUE(decided(4));
		CU_ASSERT_TRUE(chosen(0, 0xbb));
	}
}

/* A2: what one replica alone claims to have prepared, and nobody else pre-prepared, is no batch. */
static void
one_claim_is_not_enough(void)
{
	sheets_open(0);
	prepared(3, 1, 9, 0xcc);
	preprepared(3, 1, 9, 0xcc);
	prepared(0, 1, 1, 0xaa);
	preprepared(0, 1, 1, 0xaa);
	preprepared(1, 1, 1, 0xaa);
	/* Three that know nothing of the claim decide for what is vouched for; with it in their
	   number, there is no decision yet, and never for the lie. */
	CU_ASSERT_TRUE(decided(3));
	CU_ASSERT_TRUE(chosen(0, 0xaa));
	CU_ASSERT_TRUE(decided(4));
	CU_ASSERT_TRUE(chosen(0, 0xaa));
	struct sheet liar = sheets[3];
	sheets[3] = sheets[2];
	sheets[2] = liar;
	sheets[2].change.prepared = sheets[2].prepared;
	sheets[2].change.preprepared = sheets[2].preprepared;
	CU_ASSERT_FALSE(decided(3));
}

/* Pre-prepared in a lower view than it is said to have prepared in: that vouches for nothing. */
static void
older_vouching_does_not_count(void)
{
	sheets_open(0);
	prepared(0, 1, 5, 0xaa);
	preprepared(0, 1, 5, 0xaa);
	preprepared(1, 1, 4, 0xaa);
	CU_ASSERT_FALSE(decided(3));
	preprepared(2, 1, 6, 0xaa);
	CU_ASSERT_TRUE(decided(3));
	CU_ASSERT_TRUE(chosen(0, 0xaa));
}

/* Null only where q replicas, who had not yet passed it, prepared nothing. */
static void
null_needs_a_quorum(void)
{
	sheets_open(0);
	prepared(0, 1, 1, 0xaa);
	preprepared(0, 1, 1, 0xaa);
	CU_ASSERT_FALSE(decided(3));
	CU_ASSERT_TRUE(decided(4));
	CU_ASSERT_TRUE(chosen(0, 0));
}

/* The highest checkpoint that f + 1 have and q have not passed. */
static void
start_is_vouched_for(void)
{
	sheets_open(0);
	for (uint32_t i = 0; i < 2; i++) {
		sheets[i].checkpoints[1] = entry(4, 0, 0x44);
		sheets[i].change.checkpoints_count = 2;
	}
	sheets[1].checkpoints[1] = entry(4, 0, 0x55);
	CU_ASSERT_TRUE(decided(3));
	CU_ASSERT_EQUAL(decision.start, 0);
	sheets[1].checkpoints[1] = entry(4, 0, 0x44);
	CU_ASSERT_TRUE(decided(3));
	CU_ASSERT_EQUAL(decision.start, 4);
	CU_ASSERT_EQUAL(decision.start32[0], 0x44);
}

/* Every length, and every field that a liar may choose. */
static void
bodies_are_checked(void)
{
	struct {
		struct view_change_head head;
		struct view_change_entry list[4];
	} body = {
	    .head = {.checkpoints_count = 1, .prepared_count = 1, .preprepared_count = 2},
	    .list = {entry(0, 0, 1), entry(2, 1, 2), entry(2, 1, 2), entry(2, 2, 3)},
	};
	struct view_change c;
	const uint8_t *bytes = (const uint8_t *)&body;
	for (uint32_t size = 0; size < sizeof(body); size++)
		CU_ASSERT_FALSE(view_change_parse(&config, 3, bytes, size, &c));
	CU_ASSERT_TRUE(view_change_parse(&config, 3, bytes, sizeof(body), &c));
	CU_ASSERT_EQUAL(c.preprepared_count, 2);
	CU_ASSERT_EQUAL(c.preprepared[1].view, 2);
	/* Entries of the view that is asked for, or of a later one. */
	CU_ASSERT_FALSE(view_change_parse(&config, 2, bytes, sizeof(body), &c));
	body.list[1].seq = 9;
	CU_ASSERT_FALSE(view_change_parse(&config, 3, bytes, sizeof(body), &c));
	body.list[1].seq = 0;
	CU_ASSERT_FALSE(view_change_parse(&config, 3, bytes, sizeof(body), &c));
	body.list[1].seq = 2;
	body.head.stable = 3;
	CU_ASSERT_FALSE(view_change_parse(&config, 3, bytes, sizeof(body), &c));
	body.head.stable = 0;
	body.head.prepared_count = UINT32_MAX;
	CU_ASSERT_FALSE(view_change_parse(&config, 3, bytes, sizeof(body), &c));
	/* Two entries of P for one sequence number. */
	body.head.prepared_count = 2;
	body.head.preprepared_count = 1;
	CU_ASSERT_FALSE(view_change_parse(&config, 3, bytes, sizeof(body), &c));
}

static const struct unit_story stories[] = {
    {"nothing prepared", nothing_prepared},
    {"what is prepared is kept", prepared_is_kept},
    {"the highest view wins", highest_view_wins},
    {"one claim is not enough", one_claim_is_not_enough},
    {"older vouching does not count", older_vouching_does_not_count},
    {"null needs a quorum", null_needs_a_quorum},
    {"the start is vouched for", start_is_vouched_for},
    {"bodies are checked", bodies_are_checked},
};

UNIT_MAIN("pbft_decide", stories)
