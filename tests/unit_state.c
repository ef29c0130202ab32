/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the replicated state: roots, snapshots, rollback, transfer. */
#include "engine/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/toy_digest.h"
#include "tests/unit.h"

enum { PAGES = 2500 }; /* three levels of tree blocks, none of them full */

static const struct state_options options = {
    .size = PAGES * STATE_PAGE_SIZE - 100,
    .undo_count = 20000,
    .marks_max = 512,
    .digester = {.burst = toy_digest_burst},
};

static void
open_state(struct state *s, const struct state_options *o)
{
	CU_ASSERT_EQUAL_FATAL(state_open(s, o), 0);
}

static void
set(struct state *s, uint64_t at, uint8_t value)
{
	state_modify(s, s->base + at, 1);
	s->base[at] = value;
}

/* Some random writes, a few of them of zeroes and some across pages. */
static void
scribble(struct state *s, uint64_t *seed, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = 1 + toy_below(seed, toy_below(seed, 8) == 0 ? 5000 : 64);
		uint64_t at = toy_below(seed, (uint32_t)s->size - size);
		state_modify(s, s->base + at, size);
		memset(s->base + at, (int)toy_below(seed, 4), size);
	}
}

/* The root by the definition, from the pages alone. */
static void
root_naive(const struct state *s, const uint8_t *pages, uint8_t *root32)
{
	uint32_t count = (uint32_t)(s->size / STATE_PAGE_SIZE);
	uint8_t *blocks = calloc(count + STATE_FANOUT, STATE_PAGE_SIZE);
	memcpy(blocks, pages, s->size);
	uint32_t blocks_count = count;
	for (uint32_t level = 0;; level++) {
		bool top = level > 0 && blocks_count == 1;
		uint32_t parents = (blocks_count + STATE_FANOUT - 1) / STATE_FANOUT;
		uint8_t *digests = calloc(parents, STATE_PAGE_SIZE);
		for (uint32_t i = 0; i < blocks_count; i++) {
			static const uint8_t zeroes[STATE_PAGE_SIZE];
			uint8_t input[16 + STATE_PAGE_SIZE];
			uint64_t index = top ? count : i;
			memcpy(input, &index, 8);
			memcpy(input + 8, &level, 4);
			memcpy(input + 12, "OKTS", 4);
			memcpy(input + 16, blocks + i * STATE_PAGE_SIZE, STATE_PAGE_SIZE);
			if (top || memcmp(input + 16, zeroes, STATE_PAGE_SIZE) != 0)
				toy_digest(input, sizeof(input), digests + i * 32);
		}
		free(blocks);
		blocks = digests;
		if (top)
			break;
		blocks_count = parents;
	}
	memcpy(root32, blocks, DIGEST_SIZE);
	free(blocks);
}

static void
expect_root(struct state *s, uint64_t seq)
{
	uint8_t naive[DIGEST_SIZE];
	uint8_t root[DIGEST_SIZE];
	root_naive(s, s->base, naive);
	state_checkpoint(s, seq, root);
	CU_ASSERT_EQUAL(memcmp(root, naive, DIGEST_SIZE), 0);
}

/* ---- opening ----------------------------------------------------------- */

static void
options_are_judged(void)
{
	struct state s;
	struct state_options o = options;
	o.size = 0;
	CU_ASSERT_EQUAL(state_open(&s, &o), -EINVAL);
	CU_ASSERT_EQUAL(state_memory_size(&o), 0);
	o = options;
	o.marks_max = 1;
	CU_ASSERT_EQUAL(state_open(&s, &o), -EINVAL);
	o = options;
	o.digester.burst = NULL;
	CU_ASSERT_EQUAL(state_open(&s, &o), -EINVAL);
	open_state(&s, &options);
	CU_ASSERT_EQUAL(s.memory_size, state_memory_size(&options));
	CU_ASSERT_EQUAL(s.size, PAGES * STATE_PAGE_SIZE);
	state_close(&s);
}

static void
region_is_given_out_once(void)
{
	struct state s;
	open_state(&s, &options);
	uint8_t *a = state_reserve(&s, 10, 8);
	uint8_t *b = state_reserve(&s, 10, 1024);
	CU_ASSERT_PTR_EQUAL(a, s.base);
	CU_ASSERT_PTR_EQUAL(b, s.base + 1024);
	CU_ASSERT_PTR_NULL(state_reserve(&s, PAGES * STATE_PAGE_SIZE - 1024, 8));
	CU_ASSERT_PTR_NULL(state_reserve(&s, UINT64_MAX, 8));
	CU_ASSERT_PTR_NOT_NULL(state_reserve(&s, (PAGES - 2) * STATE_PAGE_SIZE, 1024));
	CU_ASSERT_PTR_NULL(state_reserve(&s, 1, 1));
	state_close(&s);
}

/* ---- roots ------------------------------------------------------------- */

static void
untouched_memory_costs_nothing(void)
{
	struct state s;
	open_state(&s, &options);
	expect_root(&s, 1);
	CU_ASSERT_EQUAL(s.statistics.blocks_hashed, 1); /* the top block only */
	expect_root(&s, 2);
	CU_ASSERT_EQUAL(s.statistics.blocks_hashed, 1);
	state_close(&s);
}

static void
root_covers_the_size(void)
{
	struct state s;
	struct state_options o = options;
	uint8_t roots[2][DIGEST_SIZE];
	for (uint32_t i = 0; i < 2; i++) {
		o.size = (PAGES + i) * STATE_PAGE_SIZE;
		open_state(&s, &o);
		state_checkpoint(&s, 1, roots[i]);
		state_close(&s);
	}
	CU_ASSERT_NOT_EQUAL(memcmp(roots[0], roots[1], DIGEST_SIZE), 0);
}

static void
one_path_is_hashed(void)
{
	struct state s;
	open_state(&s, &options);
	expect_root(&s, 1);
	uint64_t before = s.statistics.blocks_hashed;
	set(&s, 1234567, 1);
	expect_root(&s, 2);
	CU_ASSERT_EQUAL(s.statistics.blocks_hashed - before, s.levels);
	state_close(&s);
}

static void
root_is_of_the_content_alone(void)
{
	struct state a, b;
	uint8_t roots[3][DIGEST_SIZE];
	open_state(&a, &options);
	struct state_options off = options;
	off.undo_count = 0;
	open_state(&b, &off);
	state_checkpoint(&a, 1, roots[0]);
	for (uint64_t i = 0; i < 1000; i++) {
		set(&a, i * 2000, (uint8_t)(i + 1));
		set(&b, (999 - i) * 2000, (uint8_t)(1000 - i));
		if (i % 7 == 0)
			state_checkpoint(&a, i + 1, roots[1]);
		if (i % 70 == 0)
			state_checkpoint(&b, i + 1, roots[1]);
	}
	state_checkpoint(&a, 1001, roots[1]);
	state_checkpoint(&b, 1001, roots[2]);
	CU_ASSERT_EQUAL(memcmp(roots[1], roots[2], DIGEST_SIZE), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(roots[1], roots[0], DIGEST_SIZE), 0);
	expect_root(&a, 1002);
	for (uint64_t i = 0; i < 1000; i++)
		set(&a, i * 2000, 0);
	state_checkpoint(&a, 1003, roots[1]);
	CU_ASSERT_EQUAL(memcmp(roots[1], roots[0], DIGEST_SIZE), 0);
	state_close(&a);
	state_close(&b);
}

static void
small_regions_have_roots(void)
{
	static const uint32_t pages[] = {1, 2, 31, 32, 33, 64, 1023, 1024, 1025};
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct state s;
		struct state_options o = options;
		o.size = pages[i] * STATE_PAGE_SIZE;
		open_state(&s, &o);
		expect_root(&s, 1);
		set(&s, 0, 1);
		set(&s, o.size - 1, 2);
		expect_root(&s, 2);
		state_close(&s);
	}
}

/* ---- snapshots and rollback -------------------------------------------- */

enum { COPIES = 24 };

/* What the test remembers of a mark. */
struct copy {
	uint64_t seq;
	bool checkpoint;
	uint8_t root32[DIGEST_SIZE];
	uint8_t *pages;
};

/* All blocks as of the checkpoint: pages as copied, digests as defined. */
static void
expect_snapshot(const struct state *s, const struct copy *copy)
{
	uint8_t root32[DIGEST_SIZE];
	bool same =
	    state_root(s, copy->seq, root32) && memcmp(root32, copy->root32, DIGEST_SIZE) == 0;
	for (uint32_t level = 0; level < s->levels; level++) {
		for (uint32_t i = 0; i < s->blocks_count[level]; i++) {
			struct state_block block = {.level = level, .index = i};
			const uint8_t *bytes = state_block_at(s, copy->seq, &block);
			if (level == 0 && same)
				same = memcmp(bytes, copy->pages + i * STATE_PAGE_SIZE,
					   STATE_PAGE_SIZE) == 0;
		}
	}
	CU_ASSERT(same);
	/* The tree is right when a region is rebuilt from it, block by block. */
	struct state t;
	struct state_options o = options;
	open_state(&t, &o);
	state_transfer_begin(&t, copy->seq, copy->root32);
	struct state_block wanted[16];
	uint64_t cursor = 0;
	uint32_t count;
	while ((count = state_transfer_next(&t, &cursor, wanted, 16)) > 0) {
		for (uint32_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL_FATAL(state_transfer_install(&t, &wanted[i],
						  state_block_at(s, copy->seq, &wanted[i])),
			    STATE_INSTALLED);
	}
	CU_ASSERT(state_transfer_done(&t));
	CU_ASSERT_EQUAL(memcmp(t.base, copy->pages, t.size), 0);
	state_close(&t);
}

static void
remember(struct state *s, struct copy *copy, uint64_t seq, bool checkpoint)
{
	copy->seq = seq;
	copy->checkpoint = checkpoint;
	memcpy(copy->pages, s->base, s->size);
	if (checkpoint) {
		uint8_t naive[DIGEST_SIZE];
		state_checkpoint(s, seq, copy->root32);
		root_naive(s, s->base, naive);
		CU_ASSERT_EQUAL(memcmp(naive, copy->root32, DIGEST_SIZE), 0);
	} else {
		state_mark(s, seq);
	}
}

static void
marks_and_rollbacks_at_random(void)
{
	struct copy copies[COPIES];
	for (uint64_t seed = 1; seed <= 6; seed++) {
		uint64_t random = seed;
		struct state s;
		open_state(&s, &options);
		uint32_t count = 0;
		for (uint32_t i = 0; i < COPIES; i++)
			copies[i].pages = malloc(s.size);
		for (uint64_t seq = 1; seq < 60; seq++) {
			scribble(&s, &random, toy_below(&random, 60));
			if (count < COPIES)
				remember(&s, &copies[count++], seq, toy_below(&random, 3) == 0);
			if (toy_below(&random, 6) == 0) {
				count = 1 + toy_below(&random, count);
				CU_ASSERT(state_rollback(&s, copies[count - 1].seq));
				CU_ASSERT_EQUAL(memcmp(s.base, copies[count - 1].pages, s.size), 0);
				seq = copies[count - 1].seq;
			}
			if (toy_below(&random, 50) == 0)
				break;
		}
		scribble(&s, &random, 50);
		for (uint32_t i = 0; i < count; i++) {
			if (copies[i].checkpoint)
				expect_snapshot(&s, &copies[i]);
		}
		while (count-- > 0) {
			CU_ASSERT(state_rollback(&s, copies[count].seq));
			CU_ASSERT_EQUAL(memcmp(s.base, copies[count].pages, s.size), 0);
		}
		expect_root(&s, copies[0].seq);
		CU_ASSERT_EQUAL(s.statistics.marks_dropped, 0);
		for (uint32_t i = 0; i < COPIES; i++)
			free(copies[i].pages);
		state_close(&s);
	}
}

/* The tree goes back too: pages of before the mark, clean at the checkpoint, are stale again. */
/* The interval that a rollback goes back to is open again: the first write copies, and no other. */
static void
rollback_opens_its_interval_again(void)
{
	struct state s;
	open_state(&s, &options);
	for (uint64_t seq = 1; seq <= 3; seq++) {
		state_mark(&s, seq);
		set(&s, 0, (uint8_t)seq);
	}
	CU_ASSERT(state_rollback(&s, 1));
	uint64_t copied = s.statistics.blocks_copied;
	uint64_t dirtied = s.statistics.pages_dirtied;
	for (uint8_t i = 1; i < 10; i++) {
		set(&s, 5 * STATE_PAGE_SIZE, i);
		set(&s, 0, i);
	}
	CU_ASSERT_EQUAL(s.statistics.blocks_copied - copied, 2);
	CU_ASSERT_EQUAL(s.statistics.pages_dirtied - dirtied, 2);
	CU_ASSERT(state_rollback(&s, 1));
	CU_ASSERT_EQUAL(s.base[0], 0);
	CU_ASSERT_EQUAL(s.base[5 * STATE_PAGE_SIZE], 0);
	state_close(&s);
}

static void
rollback_before_a_checkpoint_makes_its_tree_stale(void)
{
	struct state s;
	uint8_t root[DIGEST_SIZE];
	open_state(&s, &options);
	state_checkpoint(&s, 1, root);
	set(&s, 5000, 1);
	state_mark(&s, 2);
	set(&s, 900000, 2);
	state_checkpoint(&s, 3, root);
	CU_ASSERT(state_rollback(&s, 2));
	CU_ASSERT_EQUAL(s.base[5000], 1);
	CU_ASSERT_EQUAL(s.base[900000], 0);
	CU_ASSERT_FALSE(state_root(&s, 3, root));
	expect_root(&s, 3);
	CU_ASSERT(state_rollback(&s, 1));
	CU_ASSERT_EQUAL(s.base[5000], 0);
	expect_root(&s, 1);
	state_close(&s);
}

static void
unknown_marks_are_refused(void)
{
	struct state s;
	uint8_t root[DIGEST_SIZE];
	open_state(&s, &options);
	set(&s, 0, 1);
	CU_ASSERT_FALSE(state_rollback(&s, 0));
	state_mark(&s, 10);
	state_checkpoint(&s, 12, root);
	set(&s, 0, 2);
	CU_ASSERT_FALSE(state_rollback(&s, 11));
	struct state_block block = {.level = 0, .index = 0};
	CU_ASSERT_PTR_NULL(state_block_at(&s, 10, &block)); /* a mark has no tree */
	CU_ASSERT_PTR_NOT_NULL(state_block_at(&s, 12, &block));
	block.index = PAGES;
	CU_ASSERT_PTR_NULL(state_block_at(&s, 12, &block));
	block = (struct state_block){.level = s.levels, .index = 0};
	CU_ASSERT_PTR_NULL(state_block_at(&s, 12, &block));
	block = (struct state_block){.level = UINT32_MAX, .index = UINT32_MAX};
	CU_ASSERT_PTR_NULL(state_block_at(&s, 12, &block));
	state_release(&s, 12);
	CU_ASSERT_FALSE(state_rollback(&s, 10));
	CU_ASSERT(state_rollback(&s, 12));
	CU_ASSERT_EQUAL(s.base[0], 1);
	state_close(&s);
}

static void
history_off_copies_nothing(void)
{
	struct state s;
	struct state_options o = options;
	o.undo_count = 0;
	open_state(&s, &o);
	state_mark(&s, 1);
	set(&s, 0, 1);
	expect_root(&s, 2);
	set(&s, 0, 2); /* the page of a checkpoint: it must become stale again */
	expect_root(&s, 3);
	CU_ASSERT_FALSE(state_rollback(&s, 1));
	CU_ASSERT_FALSE(state_rollback(&s, 3));
	CU_ASSERT_EQUAL(s.statistics.blocks_copied, 0);
	state_close(&s);
}

static void
full_undo_log_drops_the_oldest(void)
{
	struct state s;
	struct state_options o = options;
	o.undo_count = 10;
	open_state(&s, &o);
	for (uint64_t seq = 1; seq <= 5; seq++) {
		state_mark(&s, seq);
		for (uint64_t page = 0; page < 3; page++)
			set(&s, page * STATE_PAGE_SIZE, (uint8_t)(10 * seq + page));
	}
	CU_ASSERT_EQUAL(s.statistics.marks_dropped, 2);
	CU_ASSERT_EQUAL(state_undo_room(&s), 1);
	CU_ASSERT_FALSE(state_rollback(&s, 2));
	CU_ASSERT(state_rollback(&s, 3));
	CU_ASSERT_EQUAL(s.base[STATE_PAGE_SIZE], 21);
	/* One interval that exceeds the log loses all marks, and the next starts anew. */
	for (uint64_t page = 0; page < 40; page++)
		set(&s, page * STATE_PAGE_SIZE, 99);
	CU_ASSERT_FALSE(state_rollback(&s, 3));
	CU_ASSERT_EQUAL(s.base[39 * STATE_PAGE_SIZE], 99);
	CU_ASSERT_EQUAL(state_undo_room(&s), 10);
	state_mark(&s, 50);
	set(&s, 39 * STATE_PAGE_SIZE, 1);
	CU_ASSERT(state_rollback(&s, 50));
	CU_ASSERT_EQUAL(s.base[39 * STATE_PAGE_SIZE], 99);
	expect_root(&s, 50);
	state_close(&s);
}

static void
full_table_of_marks_drops_the_oldest(void)
{
	struct state s;
	struct state_options o = options;
	o.marks_max = 4;
	open_state(&s, &o);
	for (uint64_t seq = 1; seq <= 9; seq++) {
		state_mark(&s, seq);
		set(&s, 0, (uint8_t)seq);
	}
	CU_ASSERT_FALSE(state_rollback(&s, 5));
	CU_ASSERT(state_rollback(&s, 6));
	CU_ASSERT_EQUAL(s.base[0], 5);
	state_close(&s);
}

/* ---- transfer ---------------------------------------------------------- */

/* Fetches from a peer that goes on executing; a share of the answers is lost or wrong. */
static void
fetch(struct state *to, struct state *from, uint64_t seq, uint64_t *seed)
{
	struct state_block wanted[20];
	uint64_t cursor = 0;
	uint32_t lost = toy_below(seed, 3) == 0 ? 2 : 10;
	while (!state_transfer_done(to)) {
		uint32_t count = state_transfer_next(to, &cursor, wanted, 1 + toy_below(seed, 20));
		if (count == 0)
			cursor = 0;
		for (uint32_t i = 0; i < count; i++) {
			uint8_t bytes[STATE_PAGE_SIZE];
			const uint8_t *block = state_block_at(from, seq, &wanted[i]);
			CU_ASSERT_PTR_NOT_NULL_FATAL(block);
			if (toy_below(seed, lost) == 0)
				continue;
			memcpy(bytes, block, sizeof(bytes));
			bytes[toy_below(seed, STATE_PAGE_SIZE)] ^= 1;
			uint64_t wrong = to->statistics.blocks_wrong;
			CU_ASSERT_EQUAL(state_transfer_install(to, &wanted[i], bytes), STATE_WRONG);
			CU_ASSERT_EQUAL(to->statistics.blocks_wrong, wrong + 1);
			CU_ASSERT_EQUAL(
			    state_transfer_install(to, &wanted[i], block), STATE_INSTALLED);
			CU_ASSERT_EQUAL(
			    state_transfer_install(to, &wanted[i], block), STATE_UNWANTED);
		}
	}
}

static void
transfer_yields_the_same_content(void)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct state a, b;
		uint64_t random = seed;
		uint8_t root[DIGEST_SIZE];
		open_state(&a, &options);
		open_state(&b, &options);
		scribble(&a, &random, toy_below(&random, 300));
		if (seed % 2 == 0) /* much in common, and things that must vanish */
			memcpy(b.base, a.base, a.size);
		state_modify(&b, b.base, b.size);
		scribble(&b, &random, toy_below(&random, 300));
		uint8_t *pages = malloc(a.size);
		memcpy(pages, a.base, a.size);
		state_checkpoint(&a, 100, root);
		scribble(&a, &random, 300);
		state_transfer_begin(&b, 100, root);
		fetch(&b, &a, 100, &random);
		state_transfer_end(&b);
		CU_ASSERT_EQUAL(memcmp(b.base, pages, a.size), 0);
		scribble(&b, &random, 20);
		CU_ASSERT(state_rollback(&b, 100));
		CU_ASSERT_EQUAL(memcmp(b.base, pages, a.size), 0);
		expect_root(&b, 101);
		free(pages);
		state_close(&a);
		state_close(&b);
	}
}

static void
transfer_may_change_its_target(void)
{
	struct state a, b;
	uint64_t random = 77;
	uint8_t roots[2][DIGEST_SIZE];
	open_state(&a, &options);
	open_state(&b, &options);
	scribble(&a, &random, 500);
	state_checkpoint(&a, 100, roots[0]);
	scribble(&a, &random, 50);
	state_checkpoint(&a, 200, roots[1]);
	scribble(&b, &random, 100);
	for (uint32_t blocks = 0; blocks < 200; blocks += 7) {
		uint64_t cursor = 0;
		struct state_block wanted;
		uint64_t seq = blocks % 2 == 0 ? 100 : 200;
		state_transfer_begin(&b, seq, roots[blocks % 2]);
		for (uint32_t i = 0; i < blocks; i++) {
			if (state_transfer_next(&b, &cursor, &wanted, 1) == 1)
				CU_ASSERT_EQUAL(state_transfer_install(
						    &b, &wanted, state_block_at(&a, seq, &wanted)),
				    STATE_INSTALLED);
		}
	}
	state_transfer_begin(&b, 200, roots[1]);
	fetch(&b, &a, 200, &random);
	state_transfer_end(&b);
	CU_ASSERT(state_rollback(&a, 200));
	CU_ASSERT_EQUAL(memcmp(a.base, b.base, a.size), 0);
	expect_root(&b, 201);
	state_close(&a);
	state_close(&b);
}

static void
transfer_of_what_is_there_asks_for_nothing(void)
{
	struct state a;
	uint64_t random = 5;
	uint8_t root[DIGEST_SIZE];
	open_state(&a, &options);
	scribble(&a, &random, 100);
	state_checkpoint(&a, 1, root);
	state_transfer_begin(&a, 7, root);
	CU_ASSERT(state_transfer_done(&a));
	state_transfer_end(&a);
	CU_ASSERT(state_root(&a, 7, root));
	state_close(&a);
}

/* A page lost in an almost equal region costs its path, not the region. */
static void
transfer_asks_for_what_differs(void)
{
	struct state a, b;
	uint64_t random = 5;
	uint8_t root[DIGEST_SIZE];
	open_state(&a, &options);
	open_state(&b, &options);
	scribble(&a, &random, 400);
	state_modify(&b, b.base, b.size);
	memcpy(b.base, a.base, a.size);
	set(&b, 600000, (uint8_t)(a.base[600000] + 1));
	state_checkpoint(&a, 1, root);
	state_transfer_begin(&b, 1, root);
	struct state_block block = {.level = 0, .index = 600000 / STATE_PAGE_SIZE};
	const uint8_t *page = state_block_at(&a, 1, &block);
	CU_ASSERT_EQUAL(state_transfer_install(&b, &block, page), STATE_UNWANTED);
	fetch(&b, &a, 1, &random);
	CU_ASSERT_EQUAL(b.statistics.blocks_installed, b.levels);
	state_transfer_end(&b);
	block = (struct state_block){.level = UINT32_MAX, .index = UINT32_MAX};
	CU_ASSERT_EQUAL(state_transfer_install(&b, &block, page), STATE_UNWANTED);
	state_close(&a);
	state_close(&b);
}

static const struct unit_story stories[] = {
    {"options are judged", options_are_judged},
    {"the region is given out once", region_is_given_out_once},
    {"untouched memory costs nothing", untouched_memory_costs_nothing},
    {"the root covers the size", root_covers_the_size},
    {"one page dirties one path", one_path_is_hashed},
    {"the root is of the content alone", root_is_of_the_content_alone},
    {"regions of every shape have roots", small_regions_have_roots},
    {"marks and rollbacks at random", marks_and_rollbacks_at_random},
    {"a rollback opens its interval again", rollback_opens_its_interval_again},
    {"rollback before a checkpoint", rollback_before_a_checkpoint_makes_its_tree_stale},
    {"unknown marks are refused", unknown_marks_are_refused},
    {"history off copies nothing", history_off_copies_nothing},
    {"a full undo log drops the oldest", full_undo_log_drops_the_oldest},
    {"a full table of marks drops the oldest", full_table_of_marks_drops_the_oldest},
    {"transfer yields the same content", transfer_yields_the_same_content},
    {"transfer may change its target", transfer_may_change_its_target},
    {"transfer of what is there", transfer_of_what_is_there_asks_for_nothing},
    {"transfer asks for what differs", transfer_asks_for_what_differs},
};

UNIT_MAIN("state", stories)
