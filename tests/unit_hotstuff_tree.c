/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: which bodies are one, and where they lie: places with and without room
 * for a batch, and what has to go when there is none. n = 4, f = 1, q = 3.
 */
#include "tests/unit.h"

#include <stdalign.h>

#include "protocols/hotstuff/block.h"

enum { N = 4, Q = 3, BATCH = 256, FULL = 4, LIGHT = 2, MEMORY = 1 << 16 };

static struct member me;
static struct tree tree;
static alignas(64) uint8_t memory[MEMORY];

/* A PROPOSAL while it is put together. */
static struct sheet {
	struct message_header header;
	alignas(8) uint8_t body[2048];
	struct message m;
	struct proposal p;
} sheet;

static void
open_all(bool stable_leader)
{
	struct protocol_config config = {
	    .replicas_count = N,
	    .faults = 1,
	    .instances_count = 1,
	    .batch_size_max = BATCH,
	    .stable_leader = stable_leader,
	};
	struct tree_places places = {.full = FULL, .light = LIGHT};
	member_init(&me, &config);
	memset(memory, 0, sizeof(memory));
	CU_ASSERT_FATAL(tree_size(&config, &places) <= sizeof(memory));
	tree_init(&tree, &config, &places, memory);
}

/* What a block is to be. Digests are one repeated byte; the parent's view names it, too. */
struct plan {
	uint8_t digest;
	uint8_t parent;
	uint64_t view;
	uint64_t height;
	uint64_t justify_view;
	uint64_t tc_view; /* 0: none */
	uint32_t batch_size;
};

static uint32_t
tc_put(uint8_t *at, uint64_t view)
{
	struct tc_head head = {.view = view, .signers = 7};
	memcpy(at, &head, sizeof(head));
	for (uint32_t i = 0; i < Q; i++) {
		struct tc_entry entry = {.header = {
					     .sender = (uint16_t)i,
					     .type = HOTSTUFF_TIMEOUT,
					     .proof = PROOF_SIGNATURE,
					     .version = MESSAGE_VERSION,
					     .view = view,
					     .seq = i < view ? i : 0,
					 }};
		memcpy(at + sizeof(head) + i * sizeof(entry), &entry, sizeof(entry));
	}
	return tc_size(Q);
}

static void
sheet_make(const struct plan *plan)
{
	bool genesis = plan->justify_view == 0;
	struct block_head head = {
	    .view = plan->view,
	    .height = plan->height,
	    .justify = {.view = plan->justify_view,
		.height = genesis ? 0 : plan->height - 1,
		.signers = genesis ? 0 : 7},
	    .has_tc = plan->tc_view != 0,
	};
	memset(head.justify.digest32, genesis ? 0 : plan->parent, 32);
	uint32_t size = sizeof(head);
	memset(&sheet, 0, sizeof(sheet));
	memcpy(sheet.body, &head, sizeof(head));
	size += genesis ? 0 : Q * SIGNATURE_SIZE;
	if (plan->tc_view != 0)
		size += tc_put(sheet.body + size, plan->tc_view);
	memset(sheet.body + size, plan->digest, plan->batch_size);
	size += plan->batch_size;
	sheet.header.view = plan->view;
	sheet.header.seq = plan->height;
	memset(sheet.header.digest, plan->digest, 32);
	sheet.m = (struct message){.header = &sheet.header, .body = sheet.body, .body_size = size};
}

static struct block_head *
sheet_head(void)
{
	return (struct block_head *)(void *)sheet.body;
}

static bool
reads(const struct plan *plan)
{
	sheet_make(plan);
	return block_read(&me, &sheet.m, &sheet.p);
}

static struct block *
add(const struct plan *plan)
{
	CU_ASSERT_TRUE_FATAL(reads(plan));
	return tree_add(&tree, &sheet.m, &sheet.p);
}

static struct block *
find(uint8_t digest)
{
	uint8_t digest32[32];
	memset(digest32, digest, sizeof(digest32));
	return tree_find(&tree, digest32);
}

/* A chain of blocks 1, 2, ... of views and heights 1, 2, ...; each with a batch. */
static void
chain_add(uint8_t first, uint8_t last)
{
	for (uint8_t i = first; i <= last; i++) {
		struct plan plan = {.digest = i,
		    .parent = (uint8_t)(i - 1),
		    .view = i,
		    .height = i,
		    .justify_view = i - 1u,
		    .batch_size = 8};
		CU_ASSERT_PTR_NOT_NULL(add(&plan));
	}
}

/* ---- what is a block ---------------------------------------------------------------- */

static void
a_block_shows_how_its_view_was_entered(void)
{
	open_all(false);
	struct plan plan = {.digest = 9, .parent = 8, .view = 6, .height = 4, .justify_view = 5};
	CU_ASSERT_TRUE(reads(&plan));
	CU_ASSERT_EQUAL(sheet.p.batch_size, 0);
	plan.justify_view = 4;
	CU_ASSERT_FALSE(reads(&plan)); /* by nothing */
	plan.tc_view = 5;
	CU_ASSERT_TRUE(reads(&plan));
	CU_ASSERT_EQUAL(tc_high(&sheet.p.tc), 2);
	plan.tc_view = 4;
	CU_ASSERT_FALSE(reads(&plan)); /* a TC that leads elsewhere */
	plan.tc_view = 6;
	CU_ASSERT_FALSE(reads(&plan));
	plan.tc_view = 5;
	plan.justify_view = 5;
	CU_ASSERT_FALSE(reads(&plan)); /* by both: there is one way to write it */
	plan.justify_view = 4;
	sheet_make(&plan);
	sheet_head()->has_tc = 2;
	CU_ASSERT_FALSE(block_read(&me, &sheet.m, &sheet.p));
}

/* Where leaders stay, a TC ends a tenure: it leads to the first view of the next. */
static void
a_tenure_ends_with_a_timeout(void)
{
	open_all(true);
	uint64_t tenure = HOTSTUFF_TENURE;
	struct plan plan = {.digest = 9, .parent = 8, .view = 6, .height = 4, .justify_view = 5};
	CU_ASSERT_TRUE(reads(&plan));
	plan.justify_view = 4;
	plan.tc_view = 5;
	CU_ASSERT_FALSE(reads(&plan));
	plan.view = tenure;
	CU_ASSERT_TRUE(reads(&plan));
	plan.tc_view = tenure - 1;
	CU_ASSERT_TRUE(reads(&plan));
	plan.tc_view = tenure;
	CU_ASSERT_FALSE(reads(&plan));
	CU_ASSERT_EQUAL(hotstuff_leader(&me.config, 0, tenure - 1), 0);
	CU_ASSERT_EQUAL(hotstuff_leader(&me.config, 0, tenure), 1);
	CU_ASSERT_EQUAL(hotstuff_leader(&me.config, 2, 3 * tenure), 1);
}

static void
parent_and_justify_are_consistent(void)
{
	open_all(false);
	struct plan plan = {.digest = 9, .parent = 8, .view = 6, .height = 4, .justify_view = 5};
	for (uint32_t wrong = 0; wrong < 7; wrong++) {
		sheet_make(&plan);
		sheet_head()->height += wrong == 0;
		sheet_head()->justify.height += wrong == 1;
		sheet_head()->view += wrong == 2;
		sheet_head()->justify.view += wrong == 3; /* not before its own view */
		sheet_head()->justify.signers = wrong == 4 ? 3 : 7;
		sheet.header.view += wrong == 5;
		sheet.header.seq += wrong == 6;
		CU_ASSERT_FALSE(block_read(&me, &sheet.m, &sheet.p));
	}
	/* The first block stands on the genesis block, at height 1 and nowhere else. */
	struct plan first = {.digest = 1, .view = 1, .height = 1};
	CU_ASSERT_TRUE(reads(&first));
	first.height = 2;
	CU_ASSERT_FALSE(reads(&first));
	first.height = 0;
	CU_ASSERT_FALSE(reads(&first));
}

static void
a_body_has_all_its_parts(void)
{
	open_all(false);
	struct plan plan = {
	    .digest = 9, .parent = 8, .view = 6, .height = 4, .justify_view = 4, .tc_view = 5};
	sheet_make(&plan);
	uint32_t size = sheet.m.body_size;
	CU_ASSERT_EQUAL(size, block_head_size_max(Q));
	for (uint32_t i = 0; i < size; i++) {
		sheet.m.body_size = i;
		CU_ASSERT_FALSE(block_read(&me, &sheet.m, &sheet.p));
	}
	plan.batch_size = BATCH;
	CU_ASSERT_TRUE(reads(&plan));
	CU_ASSERT_EQUAL(sheet.p.batch_size, BATCH);
	CU_ASSERT_PTR_EQUAL(sheet.p.batch, sheet.body + size);
	plan.batch_size = BATCH + 1;
	CU_ASSERT_FALSE(reads(&plan));
}

/* ---- the tree --------------------------------------------------------------------------- */

static void
blocks_are_found_by_digest(void)
{
	open_all(false);
	CU_ASSERT_PTR_NULL(find(1));
	chain_add(1, 3);
	/* The same low bytes: one chain of the hash table, another digest. */
	sheet_make(&(struct plan){
	    .digest = 2, .parent = 1, .view = 7, .height = 2, .justify_view = 1, .tc_view = 6});
	sheet.header.digest[31] = 0;
	CU_ASSERT_TRUE_FATAL(block_read(&me, &sheet.m, &sheet.p));
	struct block *twin = tree_add(&tree, &sheet.m, &sheet.p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(twin);
	CU_ASSERT_EQUAL(twin->tc_high, 2);
	CU_ASSERT_TRUE(twin->pushed);
	const struct block *b = find(2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_EQUAL(b->view, 2);
	CU_ASSERT_PTR_EQUAL(tree_parent(&tree, find(3)), b);
	CU_ASSERT_PTR_EQUAL(tree_parent(&tree, twin), find(1));
	CU_ASSERT_PTR_NULL(tree_parent(&tree, find(1)));
	CU_ASSERT_EQUAL(tree_batch(&tree, b)[0], 2);
	CU_ASSERT_EQUAL((uintptr_t)tree_batch(&tree, b) % 8, 0);
	tree_audit(&tree);
	tree_remove(&tree, find(2));
	CU_ASSERT_PTR_NULL(find(2));
	CU_ASSERT_PTR_EQUAL(tree_find(&tree, twin->digest32), twin);
	CU_ASSERT_PTR_NULL(tree_parent(&tree, find(3)));
	tree_audit(&tree);
}

/* Empty blocks leave places that hold a batch to others while they can. */
static void
empty_blocks_lie_apart(void)
{
	open_all(false);
	struct plan plan = {.digest = 1, .view = 1, .height = 1};
	for (uint8_t i = 1; i <= FULL + LIGHT; i++) {
		plan.digest = i;
		struct block *b = add(&plan);
		CU_ASSERT_PTR_NOT_NULL_FATAL(b);
		CU_ASSERT_FALSE(b->pushed);
		CU_ASSERT_EQUAL(b - tree.blocks >= FULL, i <= LIGHT);
	}
	plan.digest = 77;
	CU_ASSERT_PTR_NULL(add(&plan));
	tree_audit(&tree);
}

static void
what_is_pruned_is_gone(void)
{
	open_all(false);
	chain_add(1, 4);
	tree_prune(&tree, 2);
	CU_ASSERT_PTR_NULL(find(1));
	CU_ASSERT_PTR_NULL(find(2));
	CU_ASSERT_PTR_NOT_NULL(find(3));
	CU_ASSERT_EQUAL(tree.used_count, 2);
	chain_add(5, 6);
	tree_audit(&tree);
}

/* ---- room ---------------------------------------------------------------------------------- */

static struct qc_head
branch_of(uint8_t digest)
{
	struct qc_head head = {0};
	memset(head.digest32, digest, sizeof(head.digest32));
	return head;
}

static void
the_executed_go_first_the_lowest_of_them(void)
{
	open_all(false);
	chain_add(1, 4);
	struct qc_head branch = branch_of(4);
	struct tree_keep keep = {.executed = 2, .branches = &branch, .branches_count = 1};
	find(1)->committed = true;
	CU_ASSERT_TRUE(tree_make_room(&tree, true, &keep));
	CU_ASSERT_PTR_NULL(find(1));
	/* There is room now: nothing more goes. */
	CU_ASSERT_TRUE(tree_make_room(&tree, true, &keep));
	CU_ASSERT_EQUAL(tree.used_count, 3);
	chain_add(5, 5);
	CU_ASSERT_TRUE(tree_make_room(&tree, true, &keep));
	CU_ASSERT_PTR_NULL(find(2));
	CU_ASSERT_PTR_NOT_NULL(find(3));
}

/* Off every branch that matters, of the lowest view; never what waits for execution. */
static void
then_forks_of_the_lowest_view(void)
{
	open_all(false);
	chain_add(1, 2);
	struct plan fork = {.digest = 30,
	    .parent = 1,
	    .view = 9,
	    .height = 2,
	    .justify_view = 1,
	    .tc_view = 8,
	    .batch_size = 8};
	CU_ASSERT_PTR_NOT_NULL(add(&fork));
	fork.digest = 31;
	fork.view = 8;
	fork.tc_view = 7;
	CU_ASSERT_PTR_NOT_NULL(add(&fork));
	struct qc_head branch = branch_of(2);
	struct tree_keep keep = {.branches = &branch, .branches_count = 1};
	CU_ASSERT_TRUE(tree_make_room(&tree, true, &keep));
	CU_ASSERT_PTR_NULL(find(31));
	chain_add(3, 3);
	CU_ASSERT_TRUE(tree_make_room(&tree, true, &keep));
	/* Block 3 is on no branch that is to be kept, and of a lower view than the fork. */
	CU_ASSERT_PTR_NULL(find(3));
	chain_add(3, 3);
	branch = branch_of(3);
	CU_ASSERT_TRUE(tree_make_room(&tree, true, &keep));
	CU_ASSERT_PTR_NULL(find(30));
	chain_add(4, 4);
	find(4)->committed = true;
	CU_ASSERT_FALSE(tree_make_room(&tree, true, &keep));
	CU_ASSERT_EQUAL(tree.used_count, FULL);
	/* An empty block has places of its own left. */
	CU_ASSERT_TRUE(tree_make_room(&tree, false, &keep));
	CU_ASSERT_EQUAL(tree.used_count, FULL);
	tree_audit(&tree);
}

static const struct unit_story stories[] = {
    {"a block shows how its view was entered", a_block_shows_how_its_view_was_entered},
    {"a tenure ends with a timeout", a_tenure_ends_with_a_timeout},
    {"parent and justify are consistent", parent_and_justify_are_consistent},
    {"a body has all its parts", a_body_has_all_its_parts},
    {"blocks are found by digest", blocks_are_found_by_digest},
    {"empty blocks lie apart", empty_blocks_lie_apart},
    {"what is pruned is gone", what_is_pruned_is_gone},
    {"the executed go first, the lowest of them", the_executed_go_first_the_lowest_of_them},
    {"then forks of the lowest view", then_forks_of_the_lowest_view},
};

int
main(void)
{
	return unit_run("hotstuff tree", stories, sizeof(stories) / sizeof(stories[0]));
}
