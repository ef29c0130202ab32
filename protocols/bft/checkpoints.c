/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoints.h. */
#include "protocols/bft/checkpoints.h"

#include "protocols/bft/mutant.h"

enum verdict
checkpoints_screen(const struct checkpoints *c, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!member_proof_fits(c->me, h) || m->body_size != 0)
		return VERDICT_DROP;
	if (h->seq <= c->stable || h->seq % c->me->config.checkpoint_interval != 0)
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, c->me->config.self);
	return VERDICT_STEP;
}

static struct checkpoint *
place_of(const struct checkpoints *c, struct checkpoint *list, uint64_t seq)
{
	return &list[seq / c->me->config.checkpoint_interval % CHECKPOINTS_KEPT];
}

static void
checkpoint_set(struct checkpoint *to, uint64_t seq, const uint8_t *digest32)
{
	to->seq = seq;
	memcpy(to->digest32, digest32, 32);
}

/* ---- what is stable -------------------------------------------------------------- */

/* "the low-water mark h is equal to the sequence number of the last stable checkpoint" */
static void
stable_advance(struct checkpoints *c, uint64_t seq, struct outbox *out)
{
	check(seq > c->stable);
	c->stable = seq;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_STABLE;
	d->seq = seq;
}

bool
checkpoints_settle(struct checkpoints *c, const struct reach *reach, struct outbox *out)
{
	const struct checkpoint *seen = &c->stable_seen;
	if (seen->seq <= c->stable || reach->executed < seen->seq)
		return false;
	const struct checkpoint *own = checkpoints_own(c, seen->seq);
	if (own != NULL && digest_equal(own->digest32, seen->digest32)) {
		stable_advance(c, seen->seq, out);
		return true;
	}
	if (own != NULL && !c->moving) {
		/* Our state is not what q replicas have: nobody may be served from it. */
		outbox_note(out, "state differs from the stable checkpoint %lu: fetching it",
		    seen->seq, 0, 0);
		checkpoints_catch_up(c, reach, out);
	}
	return false;
}

bool
checkpoints_prove(struct checkpoints *c, const struct checkpoint *proven, const struct reach *reach,
    struct outbox *out)
{
	if (proven->seq <= c->stable_seen.seq)
		return false;
	c->stable_seen = *proven;
	return checkpoints_settle(c, reach, out);
}

/* ---- votes ------------------------------------------------------------------------ */

/* The first vote of a replica for a checkpoint sticks; a later checkpoint's takes its place. */
static bool
vote_keep(struct checkpoints *c, uint16_t replica, uint64_t seq, const uint8_t *digest32)
{
	struct checkpoint *vote = place_of(c, c->votes[replica], seq);
	if (vote->seq > seq)
		return false;
	if (vote->seq == seq) {
		c->conflicts += !digest_equal(vote->digest32, digest32);
		return false;
	}
	checkpoint_set(vote, seq, digest32);
	return true;
}

/* "2f+1 checkpoint messages for n with the same digest d signed by different replicas" (4.3) */
static bool
votes_judge(struct checkpoints *c, const struct checkpoint *voted, const struct reach *reach,
    struct outbox *out)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < c->me->config.replicas_count; i++) {
		const struct checkpoint *vote = place_of(c, c->votes[i], voted->seq);
		if (vote->seq == voted->seq && digest_equal(vote->digest32, voted->digest32))
			mask |= replica_bit(i);
	}
	uint32_t weak = quorum_weak(c->me->config.faults);
	uint32_t needed = RULE(BFT_STABLE_WEAK) ? c->me->quorum : weak;
	/* One of f + 1 is correct: such a state may be fetched, though not yet relied on. */
	if (quorum_count(mask) >= weak && voted->seq > c->vouched_seen.seq)
		c->vouched_seen = *voted;
	return quorum_count(mask) >= needed && checkpoints_prove(c, voted, reach, out);
}

bool
checkpoints_on_message(
    struct checkpoints *c, const struct message *m, const struct reach *reach, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct checkpoint voted;
	if (h->seq <= c->stable || !vote_keep(c, h->sender, h->seq, h->digest))
		return false;
	checkpoint_set(&voted, h->seq, h->digest);
	return votes_judge(c, &voted, reach, out);
}

static void
vote_send(
    const struct checkpoints *c, uint64_t to, const struct checkpoint *vote, struct outbox *out)
{
	struct word word = {.type = BFT_CHECKPOINT,
	    .view = c->me->view,
	    .seq = vote->seq,
	    .digest32 = vote->digest32};
	member_say(c->me, to, &word, out);
}

bool
checkpoints_vote(struct checkpoints *c, const struct reach *reach, struct outbox *out)
{
	uint64_t done = reach->executed < reach->committed ? reach->executed : reach->committed;
	bool advanced = false;
	for (uint32_t i = 0; i < CHECKPOINTS_KEPT; i++) {
		const struct checkpoint *own = &c->own[i];
		if (own->seq <= c->stable || own->seq > done)
			continue;
		if (!vote_keep(c, c->me->config.self, own->seq, own->digest32))
			continue;
		vote_send(c, member_others(c->me), own, out);
		advanced |= votes_judge(c, own, reach, out);
	}
	return advanced;
}

bool
checkpoints_taken(struct checkpoints *c, const struct checkpoint *taken, const struct reach *reach,
    struct outbox *out)
{
	check(taken->seq % c->me->config.checkpoint_interval == 0);
	*place_of(c, c->own, taken->seq) = *taken;
	bool advanced = checkpoints_vote(c, reach, out);
	return checkpoints_settle(c, reach, out) || advanced;
}

void
checkpoints_answer(const struct checkpoints *c, uint64_t to, struct outbox *out)
{
	for (uint32_t i = 0; i < CHECKPOINTS_KEPT; i++) {
		const struct checkpoint *vote = &c->votes[c->me->config.self][i];
		if (vote->seq >= c->stable && vote->seq != 0)
			vote_send(c, to, vote, out);
	}
}

/* ---- fetching the state ------------------------------------------------------------ */

/*
 * The stable checkpoint is ahead and the log does not lead there (or the own
 * state is wrong): "it fetches missing parts of the state" (TOCS'02, 6.2).
 */
void
checkpoints_catch_up(struct checkpoints *c, const struct reach *reach, struct outbox *out)
{
	const struct checkpoint *target =
	    c->vouched_seen.seq > c->stable_seen.seq ? &c->vouched_seen : &c->stable_seen;
	if (target->seq <= c->stable && target->seq <= reach->executed)
		return;
	/* A transfer goes on until it is done, or until others have dropped what it is for. */
	if (c->moving && target->seq == c->fetching)
		return;
	c->fetching = target->seq;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_TRANSFER;
	d->seq = target->seq;
	memcpy(d->digest, target->digest32, 32);
	/* Named before it is here: what arrives has this digest, or nothing arrives. */
	*place_of(c, c->own, target->seq) = *target;
	c->moving = true;
	c->transfers++;
}

bool
checkpoints_on_state(struct checkpoints *c, const struct moved *moved)
{
	/* What was executed tentatively, and could not be undone, is not committed by that. */
	bool committed = moved->seq <= c->stable_seen.seq || moved->seq == c->fetching;
	/*
	 * A sibling instance may have fetched it, who knew of the checkpoint before us. Without
	 * its name it would never be stable here, and our log could not go on from there.
	 */
	if (moved->state_digest32 != NULL && moved->seq != 0 &&
	    moved->seq % c->me->config.checkpoint_interval == 0 &&
	    place_of(c, c->own, moved->seq)->seq <= moved->seq)
		checkpoint_set(place_of(c, c->own, moved->seq), moved->seq, moved->state_digest32);
	c->moving = false;
	c->fetching = 0;
	return committed;
}

void
checkpoints_forget(struct checkpoints *c, uint64_t seq)
{
	for (uint32_t i = 0; i < CHECKPOINTS_KEPT; i++) {
		if (c->own[i].seq > seq && c->own[i].seq != c->fetching)
			c->own[i].seq = 0;
	}
}

void
checkpoints_audit(const struct checkpoints *c)
{
	uint64_t interval = c->me->config.checkpoint_interval;
	check(c->stable % interval == 0);
	check(c->stable <= c->stable_seen.seq);
	check(c->fetching == 0 || c->moving);
	for (uint32_t i = 0; i < CHECKPOINTS_KEPT; i++)
		check(c->own[i].seq % interval == 0);
}
