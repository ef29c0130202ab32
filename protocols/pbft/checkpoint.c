/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PBFT does with checkpoints (bft/checkpoints.h): when one is stable, the
 * log's window moves. See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

static struct reach
reach_of(const struct pbft *r)
{
	/* A state that is nobody's has reached nothing: another one is wanted. */
	return (struct reach){.executed = r->diverged ? 0 : r->executed, .committed = r->committed};
}

/* "discards all pre-prepare, prepare, and commit messages" up to it (4.3): log_base() moves. */
static void
window_move(struct pbft *r, uint64_t before)
{
	uint64_t stable = r->checkpoints.stable;
	if (r->committed < stable)
		r->committed = stable;
	order_count_committed(r);
	/* What the own state has of it is what q replicas have: that stands. */
	if (r->tentative.seq <= stable)
		r->tentative.seq = 0;
	/* What was held above the old window may be voted on now. */
	uint64_t from = before + r->window_log + 1;
	if (r->held_next == 0 || from < r->held_next)
		r->held_next = from;
	if (r->held_next <= stable)
		r->held_next = stable + 1;
}

/* A transfer that has begun replaces all of the state. */
static void
state_look(struct pbft *r)
{
	if (r->checkpoints.moving && !r->undoing)
		execute_abandon(r);
}

void
checkpoint_on_message(struct pbft *r, const struct message *m, struct outbox *out)
{
	struct reach reach = reach_of(r);
	uint64_t before = r->checkpoints.stable;
	if (checkpoints_on_message(&r->checkpoints, m, &reach, out))
		window_move(r, before);
	state_look(r);
}

void
checkpoint_taken(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out)
{
	struct reach reach = reach_of(r);
	uint64_t before = r->checkpoints.stable;
	struct checkpoint taken = {.seq = seq};
	memcpy(taken.digest32, digest32, 32);
	if (checkpoints_taken(&r->checkpoints, &taken, &reach, out))
		window_move(r, before);
	state_look(r);
}

void
checkpoint_vote(struct pbft *r, struct outbox *out)
{
	struct reach reach = reach_of(r);
	uint64_t before = r->checkpoints.stable;
	if (checkpoints_vote(&r->checkpoints, &reach, out))
		window_move(r, before);
	state_look(r);
}

void
checkpoint_settle(struct pbft *r, struct outbox *out)
{
	struct reach reach = reach_of(r);
	uint64_t before = r->checkpoints.stable;
	if (checkpoints_settle(&r->checkpoints, &reach, out))
		window_move(r, before);
	state_look(r);
}

void
checkpoint_proven(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out)
{
	struct reach reach = reach_of(r);
	uint64_t before = r->checkpoints.stable;
	struct checkpoint proven = {.seq = seq};
	memcpy(proven.digest32, digest32, 32);
	if (checkpoints_prove(&r->checkpoints, &proven, &reach, out))
		window_move(r, before);
	state_look(r);
}

bool
checkpoint_is_ahead(const struct pbft *r)
{
	struct reach reach = reach_of(r);
	return checkpoints_behind(&r->checkpoints, &reach);
}

void
checkpoint_catch_up(struct pbft *r, struct outbox *out)
{
	struct reach reach = reach_of(r);
	checkpoints_catch_up(&r->checkpoints, &reach, out);
	state_look(r);
}
