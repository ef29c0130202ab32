/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QCs mean (PODC'19, sections 4 to 6): the highest one, the lock, what is
 * committed, and which branch is ours. See replica.h. One core.
 */
#include "protocols/hotstuff/replica.h"

/* Two QCs of one view, two committed blocks of one height: more than f are faulty. */
static void
safety_fault(
    struct hotstuff *r, const char *text, uint64_t view, uint64_t height, struct outbox *out)
{
	r->figures.safety_faults++;
	outbox_note(out, text, view, height, r->committed);
}

bool
chain_knows(const struct hotstuff *r, const struct qc_head *head)
{
	if (qc_is_genesis(head) || qc_equal(head, &r->high.head))
		return true;
	const struct block *b = tree_find(&r->tree, head->digest32);
	return b != NULL && b->certified && b->height == head->height &&
	       (b->view == head->view || !RULE(HOTSTUFF_VIEW_UNSIGNED));
}

/* ---- locks and commits ---------------------------------------------------------------- */

static void
decide(struct hotstuff *r, const struct qc_head *head, struct outbox *out)
{
	if (head->height > r->decided.height) {
		r->decided = *head;
		r->deciding = r->high;
		/* Made of votes that came to us alone. */
		r->untold = qc_equal(&r->high.head, &r->made.head);
	} else if (head->height == r->decided.height && !qc_equal(head, &r->decided)) {
		safety_fault(r, "SAFETY: two blocks decided: view %lu, height %lu, committed %lu",
		    head->view, head->height, out);
	}
}

static void
lock(struct hotstuff *r, const struct qc_head *head)
{
	if (head->view > r->locked.view)
		r->locked = *head;
}

/*
 * HotStuff-2 (Malkhi & Nayak, 2023), Jolteon's rules: a replica is locked on the
 * highest QC it has seen, and a two-chain of consecutive views commits its tail.
 */
static void
judge_two_phase(struct hotstuff *r, const struct block *b1, struct outbox *out)
{
	if (b1->view == b1->justify.view + 1)
		decide(r, &b1->justify, out);
}

/*
 * "if b* forms a Two-Chain [...] replica updates its lockedQC"; "if b* forms a
 * Three-Chain, the last of which, b, is decided": update() of figure 5. Here b2
 * is the block that has just got a QC (the paper's b''). "the decision is made
 * only when the chain is of direct parents", which all parents here are, "and of
 * consecutive views": a block of a view between could have been decided else.
 */
static void
judge(struct hotstuff *r, const struct block *b2, struct outbox *out)
{
	if (r->two_phase) {
		judge_two_phase(r, b2, out);
		return;
	}
	lock(r, RULE(HOTSTUFF_LOCK_EARLY) ? &b2->justify : &r->high.head);
	if (!RULE(HOTSTUFF_COMMIT_TWO)) {
		judge_two_phase(r, b2, out);
		return;
	}
	if (qc_is_genesis(&b2->justify))
		return;
	const struct block *b1 = tree_parent(&r->tree, b2);
	if (b1 == NULL) {
		sync_want(r, &b2->justify, out);
		return;
	}
	bool consecutive = b2->view == b1->view + 1 && b1->view == b1->justify.view + 1;
	if (consecutive || !RULE(HOTSTUFF_COMMIT_GAPS))
		decide(r, &b1->justify, out);
}

struct block *
chain_at(const struct hotstuff *r, uint64_t height)
{
	uint32_t place = r->heights[height % r->tree.places_count];
	struct block *b = place != 0 ? &r->tree.blocks[place - 1] : NULL;
	return b != NULL && b->used && b->committed && b->height == height ? b : NULL;
}

/*
 * "onCommit(b): if b_exec.height < b.height: onCommit(b.parent)": all ancestors
 * first. The block above what is committed, or NULL where one of them is missing.
 */
static const struct block *
uncommitted_first(struct hotstuff *r, struct outbox *out)
{
	const struct qc_head *next = &r->decided;
	while (true) {
		const struct block *b = tree_find(&r->tree, next->digest32);
		if (b == NULL) {
			sync_want(r, next, out);
			return NULL;
		}
		if (b->height <= r->committed + 1)
			return b;
		next = &b->justify;
	}
}

static void
commit_block(struct hotstuff *r, struct block *b)
{
	b->committed = true;
	if (b->batch_size > 0 && b->height > r->asked)
		r->asked = b->height;
	r->heights[b->height % r->tree.places_count] = (uint32_t)(b - r->tree.blocks) + 1;
	if (b->arrived_ns != 0)
		r->figures.propose_to_commit_ns +=
		    (r->me.now_ns - b->arrived_ns) / 16 - r->figures.propose_to_commit_ns / 16;
}

void
chain_advance(struct hotstuff *r, struct outbox *out)
{
	if (r->broken || r->decided.height <= r->committed || r->decided.height > height_max(r))
		return;
	const struct block *first = uncommitted_first(r, out);
	if (first == NULL)
		return;
	/*
	 * The executed block must be an ancestor. Where the state came by a transfer its
	 * block is unknown: then what q replicas have decided shows which it was.
	 */
	if (first->height != r->committed + 1 ||
	    (r->root_known && !digest_equal(first->justify.digest32, r->root32))) {
		r->broken = true;
		safety_fault(r, "SAFETY: view %lu decides height %lu beside what is committed: %lu",
		    r->decided.view, r->decided.height, out);
		return;
	}
	struct block *b = tree_find(&r->tree, r->decided.digest32);
	while (b != NULL && b->height > r->committed) {
		commit_block(r, b);
		b = tree_parent(&r->tree, b);
	}
	r->committed = r->decided.height;
	r->root_known = true;
	memcpy(r->root32, r->decided.digest32, sizeof(r->root32));
	pacemaker_on_commit(r);
	chain_count_filled(r);
}

/*
 * A block that was kept unproven has got a QC: so what it carries holds, and its parent
 * has one, too, that was not learned when it came.
 */
static void
settle(struct hotstuff *r, struct block *b, struct outbox *out)
{
	if (b->unproven && b->view > r->tip_view) {
		struct qc_head end = {.view = b->view, .height = b->height};
		memcpy(end.digest32, b->digest32, sizeof(end.digest32));
		chain_follow(r, &end);
	}
	while (b->unproven) {
		struct block *parent = tree_parent(&r->tree, b);
		b->unproven = false;
		r->figures.spared++;
		if (parent == NULL) {
			sync_want(r, &b->justify, out);
			return;
		}
		if (!parent->certified) {
			parent->certified = true;
			judge(r, parent, out);
		}
		b = parent;
	}
}

/* A valid QC for it is known now. */
static void
certify(struct hotstuff *r, struct block *b, struct outbox *out)
{
	check(!b->certified);
	b->certified = true;
	settle(r, b, out);
	judge(r, b, out);
}

/* ---- QCs ----------------------------------------------------------------------------------- */

void
chain_on_qc(struct hotstuff *r, const struct qc *qc, struct outbox *out)
{
	const struct qc_head *head = &qc->head;
	bool higher = head->view > r->high.head.view;
	if (qc_is_genesis(head))
		return;
	if (higher) {
		spare_on_qc(r, head);
		r->untold_spare = 0;
		qc_keep(&r->high, qc);
		r->suspects &= ~replica_bit(leader_of(r, head->view));
	} else if (head->view == r->high.head.view && !qc_equal(head, &r->high.head)) {
		safety_fault(r, "SAFETY: two QCs of view %lu, height %lu, committed %lu",
		    head->view, head->height, out);
	}
	struct block *b = tree_find(&r->tree, head->digest32);
	if (r->two_phase)
		lock(r, &r->high.head);
	if (b == NULL) {
		if (higher)
			sync_want(r, head, out);
	} else if (!b->certified) {
		certify(r, b, out);
		chain_advance(r, out);
	}
	if (higher) {
		pacemaker_enter(r, false, out);
		chain_prepare(r);
	}
}

bool
chain_names(const struct hotstuff *r, const struct block *b)
{
	if (digest_equal(r->high.head.digest32, b->digest32) ||
	    digest_equal(r->decided.digest32, b->digest32))
		return true;
	/* What is not behind the highest QC has no children. */
	for (uint32_t i = 0; b->view < r->high.head.view && i < r->tree.places_count; i++) {
		const struct block *child = &r->tree.blocks[i];
		if (child->used && !child->unproven &&
		    digest_equal(child->justify.digest32, b->digest32))
			return true;
	}
	return false;
}

/*
 * A valid QC, or a block that one certifies, names it: so it is certified, and so
 * is its parent. QCs that were judged without it are judged again: it may be the
 * middle of their chain.
 */
void
chain_on_fetched(struct hotstuff *r, struct block *b, struct outbox *out)
{
	b->certified = true;
	judge(r, b, out);
	struct block *parent = tree_parent(&r->tree, b);
	if (parent != NULL) {
		if (!parent->certified)
			certify(r, parent, out);
	} else if (b->height > r->committed + 1) {
		sync_want(r, &b->justify, out);
	}
	for (uint32_t i = 0; i < r->tree.places_count; i++) {
		const struct block *child = &r->tree.blocks[i];
		if (child->used && child->certified &&
		    digest_equal(child->justify.digest32, b->digest32))
			judge(r, child, out);
	}
	chain_remark(r);
	chain_advance(r, out);
	chain_prepare(r);
}

bool
chain_is_whole(struct hotstuff *r, const struct block *b, struct outbox *out)
{
	while (b->height > r->committed + 1) {
		const struct block *parent = tree_parent(&r->tree, b);
		if (parent == NULL) {
			sync_want(r, &b->justify, out);
			return false;
		}
		b = parent;
	}
	return b->height == r->committed + 1 &&
	       (!r->root_known || digest_equal(b->justify.digest32, r->root32));
}

void
chain_seek(struct hotstuff *r, struct outbox *out)
{
	const struct block *b = tree_find(&r->tree, r->high.head.digest32);
	chain_advance(r, out);
	if (b != NULL)
		chain_is_whole(r, b, out);
	else if (!qc_is_genesis(&r->high.head))
		sync_want(r, &r->high.head, out);
}

/* ---- our branch ----------------------------------------------------------------------------- */

void
chain_count_filled(struct hotstuff *r)
{
	const struct block *b = tree_find(&r->tree, r->tip32);
	uint64_t lowest = b == NULL && r->tip_height > r->committed ? UINT64_MAX : 0;
	r->filled = 0;
	for (; b != NULL && b->height > r->committed; b = tree_parent(&r->tree, b)) {
		r->filled += b->pushed;
		lowest = b->height;
	}
	r->whole = lowest <= r->committed + 1;
}

void
chain_remark(struct hotstuff *r)
{
	const struct block *b = tree_find(&r->tree, r->tip32);
	if (RULE(HOTSTUFF_ABANDONED_LOST))
		requests_requeue(&r->requests);
	for (; b != NULL && b->height > r->executed; b = tree_parent(&r->tree, b))
		requests_mark(&r->requests, tree_batch(&r->tree, b), b->batch_size);
	chain_count_filled(r);
}

/* "Commands of abandoned forks go back to the pool": what no block of the branch holds is free. */
static void
branch_change(struct hotstuff *r, const struct block *b)
{
	const struct block *tip = tree_find(&r->tree, r->tip32);
	bool abandoned = tip != NULL && !tip->committed;
	if (RULE(HOTSTUFF_ABANDONED_LOST))
		requests_requeue(&r->requests);
	for (; b != NULL && b->height > r->executed; b = tree_parent(&r->tree, b)) {
		if (RULE(HOTSTUFF_ABANDONED_TWICE))
			requests_mark(&r->requests, tree_batch(&r->tree, b), b->batch_size);
		abandoned &= b != tip;
	}
	r->figures.forks_abandoned += abandoned;
}

void
chain_follow(struct hotstuff *r, const struct qc_head *end)
{
	const struct block *b = tree_find(&r->tree, end->digest32);
	if (digest_equal(r->tip32, end->digest32))
		return;
	if (b != NULL && digest_equal(b->justify.digest32, r->tip32))
		requests_mark(&r->requests, tree_batch(&r->tree, b), b->batch_size);
	else
		branch_change(r, b);
	memcpy(r->tip32, end->digest32, sizeof(r->tip32));
	r->tip_view = end->view;
	r->tip_height = end->height;
	chain_count_filled(r);
}

void
chain_prepare(struct hotstuff *r)
{
	const struct qc_head *high = &r->high.head;
	if (!leads(r, r->view) || r->candidate == r->view || r->proposed == r->view)
		return;
	/* Up to what is committed no blocks are needed: they may be gone. */
	if (high->height <= r->committed || tree_find(&r->tree, high->digest32) != NULL)
		chain_follow(r, high);
}

struct block *
chain_add(struct hotstuff *r, const struct message *m, const struct proposal *p)
{
	struct qc_head branches[5] = {r->high.head, r->locked, r->decided};
	memcpy(branches[3].digest32, r->tip32, sizeof(r->tip32));
	memcpy(branches[4].digest32, r->candidate32, sizeof(r->candidate32));
	struct tree_keep keep = {
	    .executed = r->executed, .branches = branches, .branches_count = 5};
	if (!tree_make_room(&r->tree, p->batch_size > 0, &keep)) {
		r->figures.blocks_lost++;
		return NULL;
	}
	return tree_add(&r->tree, m, p);
}

/*
 * Blocks between `height` and what was committed may be gone, when the state went
 * back: they are found again from what is decided.
 */
void
chain_restart(struct hotstuff *r, uint64_t height, struct outbox *out)
{
	bool here = height <= r->committed;
	for (uint64_t h = height + 1; here && h <= r->committed; h++)
		here = chain_at(r, h) != NULL;
	if (!here) {
		const struct block *b = chain_at(r, height);
		r->committed = height;
		r->root_known = b != NULL || height == 0;
		memset(r->root32, 0, sizeof(r->root32));
		if (b != NULL)
			memcpy(r->root32, b->digest32, sizeof(r->root32));
	}
	chain_count_filled(r);
	chain_advance(r, out);
}
