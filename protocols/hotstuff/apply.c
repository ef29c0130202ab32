/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From committed blocks to replies: a block's height is its sequence number. See
 * replica.h. One core.
 */
#include "protocols/hotstuff/replica.h"

/*
 * Siblings follow whatever is delivered here, with empty blocks where they have
 * nothing else. And what stands on the block that is needed can be committed with
 * it: where one leader is silent, the chain is committed three blocks at a time. If
 * those were delivered at once, two idle instances would chase each other without
 * end, each one's surplus being what the other has to reach. So while no request
 * waits, empty blocks at the end do: until the siblings' frontier has come there, or
 * there are more of them than a checkpoint's interval.
 */
uint64_t
apply_due(const struct hotstuff *r)
{
	bool idle = has_siblings(r) && r->requests.pool.unordered == 0;
	uint64_t slack = idle ? r->interval : 0;
	uint64_t due = r->committed > slack ? r->committed - slack : 0;
	due = r->asked > due ? r->asked : due;
	due = r->frontier > due ? r->frontier : due;
	return due < r->committed ? due : r->committed;
}

bool
apply_ready(const struct hotstuff *r)
{
	return !r->checkpoints.moving && !r->broken && r->delivered < apply_due(r) &&
	       r->delivered - r->executed < r->me.config.window &&
	       chain_at(r, r->delivered + 1) != NULL;
}

/* A few a step; what is left is due at the burst's end. */
void
apply_deliver(struct hotstuff *r, struct outbox *out)
{
	for (uint32_t i = 0; i < HOTSTUFF_DELIVER_MAX && apply_ready(r); i++) {
		const struct block *b = chain_at(r, r->delivered + 1);
		struct delivery *d = outbox_deliver(out);
		d->seq = b->height;
		d->batch = b->batch_size > 0 ? tree_batch(&r->tree, b) : NULL;
		d->batch_size = b->batch_size;
		d->checkpoint = b->height % r->interval == 0;
		r->delivered++;
	}
}

/* One interval behind the stable checkpoint is kept, for those who are a little late. */
void
apply_prune(struct hotstuff *r)
{
	uint64_t stable = r->checkpoints.stable;
	check(stable <= r->executed);
	complain_forget(r);
	if (stable > r->interval)
		tree_prune(&r->tree, stable - r->interval);
}

/*
 * Whom clients ask next. Looked at when they are answered, not before: while a
 * request is under way the chain seems to go on, and since clients believe the
 * highest hint, a lone one would ask the leader after that who has to propose.
 * Blocks that waited for siblings are executed together: if all of their clients asked
 * the same leader, its block could not hold them, and the next one's would be empty.
 */
static void
hint_renew(struct hotstuff *r, uint32_t count)
{
	uint64_t hint = propose_hint(r);
	bool full = r->hinted + count > r->me.config.batch_count_max;
	if (full && hint == r->me.view && has_siblings(r) && !r->me.config.stable_leader)
		hint++;
	if (hint > r->me.view) {
		r->me.view = hint;
		r->hinted = 0;
	}
	r->hinted += count;
}

void
apply_on_executed(struct hotstuff *r, const struct executed *e, struct outbox *out)
{
	if (e->results_count > 0)
		hint_renew(r, e->results_count);
	replies_send(&r->requests, e, false, out);
	if (e->seq == 0 || !e->last)
		return;
	check(e->seq == r->executed + 1);
	r->executed = e->seq;
	if (e->state_digest32 == NULL)
		return;
	struct checkpoint taken = {.seq = e->seq};
	struct reach reach = reach_of(r);
	memcpy(taken.digest32, e->state_digest32, sizeof(taken.digest32));
	if (checkpoints_taken(&r->checkpoints, &taken, &reach, out))
		apply_prune(r);
}

/* What is executed is always committed. */
void
apply_on_read(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	if (!r->checkpoints.moving && !r->broken)
		replies_read(m, out);
}

void
apply_on_state(struct hotstuff *r, const struct moved *moved, struct outbox *out)
{
	checkpoints_on_state(&r->checkpoints, moved);
	r->executed = moved->seq;
	r->delivered = moved->seq;
	chain_restart(r, moved->seq, out);
	chain_seek(r, out);
	requests_moved(&r->requests);
	struct reach reach = reach_of(r);
	bool advanced = checkpoints_vote(&r->checkpoints, &reach, out);
	advanced |= checkpoints_settle(&r->checkpoints, &reach, out);
	if (advanced)
		apply_prune(r);
	if (!moved->done)
		checkpoints_catch_up(&r->checkpoints, &reach, out);
}
