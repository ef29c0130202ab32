/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints (OSDI'99, section 4.3): each K-th state is voted on, q votes make
 * it stable, and the log below goes. A replica that finds itself behind what is
 * stable fetches the state. See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

enum verdict
checkpoint_screen(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (h->proof != r->config.protocol_proof || h->sender >= r->config.replicas_count ||
	    m->body_size != 0)
		return VERDICT_DROP;
	if (h->seq <= r->stable || h->seq % r->interval != 0)
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->config.self);
	return VERDICT_STEP;
}

static struct checkpoint *
checkpoint_place(const struct pbft *r, struct checkpoint *list, uint64_t seq)
{
	return &list[seq / r->interval % PBFT_CHECKPOINTS];
}

const struct checkpoint *
checkpoint_own(const struct pbft *r, uint64_t seq)
{
	const struct checkpoint *c = &r->own_checkpoints[seq / r->interval % PBFT_CHECKPOINTS];
	return c->seq == seq && seq != 0 ? c : NULL;
}

/* The first vote of a replica for a checkpoint sticks; a later checkpoint's takes its place. */
static bool
vote_keep(struct pbft *r, uint16_t replica, uint64_t seq, const uint8_t *digest32)
{
	struct checkpoint *c = checkpoint_place(r, r->peers[replica].checkpoints, seq);
	if (c->seq > seq)
		return false;
	if (c->seq == seq) {
		r->figures.conflicts += !digest_equal(c->digest32, digest32);
		return false;
	}
	c->seq = seq;
	memcpy(c->digest32, digest32, 32);
	return true;
}

/* "2f+1 checkpoint messages for n with the same digest d signed by different replicas" (4.3) */
static void
votes_judge(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < r->config.replicas_count; i++) {
		const struct checkpoint *c = checkpoint_place(r, r->peers[i].checkpoints, seq);
		if (c->seq == seq && digest_equal(c->digest32, digest32))
			mask |= replica_bit(i);
	}
	uint32_t needed = RULE(PBFT_STABLE_WEAK) ? r->q : quorum_weak(r->config.faults);
	/* One of f + 1 is correct: such a state may be fetched, though not yet relied on. */
	if (quorum_count(mask) >= quorum_weak(r->config.faults) && seq > r->vouched_seen.seq) {
		r->vouched_seen.seq = seq;
		memcpy(r->vouched_seen.digest32, digest32, 32);
	}
	if (quorum_count(mask) >= needed)
		checkpoint_proven(r, seq, digest32, out);
}

void
checkpoint_on_message(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	if (h->seq <= r->stable || !vote_keep(r, h->sender, h->seq, h->digest))
		return;
	votes_judge(r, h->seq, h->digest, out);
}

void
checkpoint_taken(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out)
{
	struct checkpoint *c = checkpoint_place(r, r->own_checkpoints, seq);
	c->seq = seq;
	memcpy(c->digest32, digest32, 32);
	checkpoint_vote(r, out);
	checkpoint_settle(r, out);
}

void
checkpoint_vote(struct pbft *r, struct outbox *out)
{
	for (uint32_t i = 0; i < PBFT_CHECKPOINTS; i++) {
		const struct checkpoint *c = &r->own_checkpoints[i];
		if (c->seq <= r->stable || c->seq > r->committed || c->seq > r->executed)
			continue;
		if (!vote_keep(r, r->config.self, c->seq, c->digest32))
			continue;
		struct letter letter = {
		    .type = PBFT_CHECKPOINT,
		    .proof = r->config.protocol_proof,
		    .instance = r->config.instance,
		    .view = r->view,
		    .seq = c->seq,
		};
		vote_send(r, out, replica_others(r), &letter, c->digest32);
		votes_judge(r, c->seq, c->digest32, out);
	}
}

/* "the low-water mark h is equal to the sequence number of the last stable checkpoint" */
static void
stable_advance(struct pbft *r, uint64_t seq, struct outbox *out)
{
	if (seq <= r->stable)
		return;
	uint64_t before = r->stable;
	r->stable = seq;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_STABLE;
	d->seq = seq;
	if (r->committed < seq)
		r->committed = seq;
	/* What was held above the old window may be voted on now. */
	uint64_t from = before + r->window_log + 1;
	if (r->held_next == 0 || from < r->held_next)
		r->held_next = from;
	if (r->held_next <= seq)
		r->held_next = seq + 1;
}

/* Takes what has been proven as stable, as far as the own state has come. */
void
checkpoint_settle(struct pbft *r, struct outbox *out)
{
	const struct checkpoint *seen = &r->stable_seen;
	if (seen->seq <= r->stable || r->executed < seen->seq)
		return;
	const struct checkpoint *own = checkpoint_own(r, seen->seq);
	if (own != NULL && digest_equal(own->digest32, seen->digest32)) {
		stable_advance(r, seen->seq, out);
		return;
	}
	if (own != NULL && !r->moving) {
		/* Our state is not what q replicas have: nobody may be served from it. */
		outbox_note(out, "state differs from the stable checkpoint %lu: fetching it",
		    seen->seq, 0, 0);
		checkpoint_catch_up(r, out);
	}
}

void
checkpoint_proven(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out)
{
	if (seq <= r->stable_seen.seq)
		return;
	r->stable_seen.seq = seq;
	memcpy(r->stable_seen.digest32, digest32, 32);
	checkpoint_settle(r, out);
}

/*
 * The stable checkpoint is ahead and the log does not lead there (or the own
 * state is wrong): "it fetches missing parts of the state" (TOCS'02, 6.2).
 */
void
checkpoint_catch_up(struct pbft *r, struct outbox *out)
{
	const struct checkpoint *target =
	    r->vouched_seen.seq > r->stable_seen.seq ? &r->vouched_seen : &r->stable_seen;
	if (target->seq <= r->stable && target->seq <= r->executed)
		return;
	/* A transfer goes on until it is done, or until others have dropped what it is for. */
	if (r->moving && target->seq == r->fetching)
		return;
	r->fetching = target->seq;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_TRANSFER;
	d->seq = target->seq;
	memcpy(d->digest, target->digest32, 32);
	/* Named before it is here: what arrives has this digest, or nothing arrives. */
	struct checkpoint *c = checkpoint_place(r, r->own_checkpoints, d->seq);
	c->seq = d->seq;
	memcpy(c->digest32, d->digest, 32);
	r->moving = true;
	r->figures.transfers++;
}
