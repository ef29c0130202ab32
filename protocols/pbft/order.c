/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The normal case (OSDI'99, section 4.2): the three phases by which requests
 * (bft/requests.h) become committed batches. See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

enum {
	PARTIAL_MAX = 1,       /* batches under way beside one that is not full, and itself */
	PARTIAL_WAIT_PART = 4, /* of the view's timeout: no request waits longer for others */
};

/* ---- the primary's batches ------------------------------------------------- */

static bool
window_open(const struct pbft *r)
{
	return r->active && replica_leads(r) && replica_votes(r) && !r->checkpoints.moving &&
	       r->reprepare_next == 0 && log_votable(r, r->proposed + 1) &&
	       r->proposed + 1 - r->executed <= r->me.config.window &&
	       r->proposed < r->accepted_max + PBFT_UNLOOPED_MAX;
}

/* A slot that siblings, or a recovering replica, wait for is filled even without requests. */
static bool
null_wanted(const struct pbft *r)
{
	return r->frontier > r->proposed;
}

/*
 * When a batch that is not full goes, and none is under way. Where agreement costs
 * signatures, which is as much as many requests do, it waits for the clients that have
 * asked lately: while they go on coming, no longer after the last than agreement takes.
 * Who is alone does not wait.
 */
static uint64_t
partial_deadline(const struct pbft *r)
{
	if (r->me.config.protocol_proof != PROOF_SIGNATURE ||
	    r->requests.pool.unordered >= r->requests.crowd)
		return 0;
	uint64_t lull_ns = requests_newest_ns(&r->requests) + r->figures.execute_ns;
	uint64_t end_ns =
	    requests_oldest_ns(&r->requests) + r->me.config.view_timeout_ns / PARTIAL_WAIT_PART;
	return lull_ns < end_ns ? lull_ns : end_ns;
}

uint64_t
order_deadline(const struct pbft *r)
{
	if (!window_open(r))
		return TIME_NEVER;
	if (null_wanted(r))
		return 0;
	if (r->requests.pool.unordered == 0)
		return r->proposed < r->nulls_until ? r->null_ns : TIME_NEVER;
	if (requests_are_plenty(&r->requests))
		return 0;
	/* A batch that is not full waits while others are under way: it fills meanwhile. */
	if (r->me.config.batch_adaptive)
		return r->proposed - r->executed < PARTIAL_MAX ? partial_deadline(r) : TIME_NEVER;
	uint64_t oldest_ns = requests_oldest_ns(&r->requests);
	return oldest_ns == TIME_NEVER ? TIME_NEVER : oldest_ns + r->me.config.batch_timeout_ns;
}

/*
 * "the primary assigns a sequence number, n, to the request. It multicasts a
 * pre-prepare message with the request piggybacked to all the backups" (4.2).
 * Its own copy comes back with the digest.
 */
void
order_propose(struct pbft *r, struct outbox *out)
{
	uint32_t size;
	uint32_t count = requests_measure(&r->requests, &size);
	struct letter letter = {
	    .type = PBFT_PRE_PREPARE,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = size,
	    .view = r->me.view,
	    .seq = r->proposed + 1,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	r->proposed++;
	requests_write(&r->requests, body, count);
	if (count == 0)
		r->null_ns = r->me.now_ns + r->tick_ns / 16;
}

void
order_send_pre_prepare(struct pbft *r, const struct slot *s, uint64_t to, struct outbox *out)
{
	uint32_t size;
	const uint8_t *bytes = log_body(r, s, s->digest32, &size);
	struct letter letter = {
	    .type = PBFT_PRE_PREPARE,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = size,
	    .view = r->me.view,
	    .seq = s->seq,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, to), &r->me.stamp, &letter);
	if (size > 0)
		memcpy(body, bytes, size);
}

void
order_requeue(struct pbft *r)
{
	requests_requeue(&r->requests);
	for (uint64_t seq = r->executed + 1; seq <= r->highest; seq++) {
		struct slot *s = log_find(r, seq);
		uint32_t size;
		const uint8_t *body;
		if (s == NULL || !s->accepted)
			continue;
		body = log_body(r, s, s->digest32, &size);
		if (body != NULL)
			requests_mark(&r->requests, body, size);
	}
}

/* ---- pre-prepare ----------------------------------------------------------- */

enum verdict
order_screen_pre_prepare(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	/* "from the primary of v only"; a replica that is ahead in views needs it no more. */
	if (!member_proof_fits(&r->me, h) || h->sender != replica_primary(r, h->view) ||
	    h->view < r->me.view || m->body_size > r->me.config.batch_size_max)
		return VERDICT_DROP;
	if (!log_holds(r, h->seq) || (m->body_size == 0 && !digest_is_zero(h->digest)))
		return VERDICT_DROP;
	if (!m->own)
		claims_add_message(claims, m, h->sender, r->me.config.self);
	return requests_screen_batch(&r->requests, m->body, m->body_size, m->own ? NULL : claims);
}

/*
 * One that signs two things where it may say one thing only is a liar. That it be told
 * of matters most where there are more than f: then nothing else is promised.
 */
static void
blame(struct pbft *r, uint32_t who, uint64_t seq, struct outbox *out)
{
	r->figures.conflicts++;
	if ((r->culprits >> who & 1) != 0)
		return;
	r->culprits |= replica_bit(who);
	outbox_note(
	    out, "replica %lu contradicts itself at %lu, in view %lu", who, seq, r->me.view);
}

/* A batch at seq is waited for; the first such one starts the timer. */
static void
highest_raise(struct pbft *r, uint64_t seq)
{
	uint64_t done = r->executed < r->committed ? r->executed : r->committed;
	if (r->highest <= done)
		r->progress_ns = r->me.now_ns;
	if (seq > r->highest)
		r->highest = seq;
}

/* The votes that came before the pre-prepare. */
void
order_count_votes(struct pbft *r, struct slot *s)
{
	s->prepares = 0;
	s->commits = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct vote *p = log_vote(r, s, PHASE_PREPARE, i);
		const struct vote *c = log_vote(r, s, PHASE_COMMIT, i);
		if (p->present && p->view == s->view && digest_equal(p->digest32, s->digest32))
			s->prepares |= replica_bit(i);
		if (c->present && c->view == s->view && digest_equal(c->digest32, s->digest32))
			s->commits |= replica_bit(i);
	}
}

/* Are its requests authentic to this replica? Of those that are not, the others hear. */
static bool
batch_holds(struct pbft *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	struct request_batch batch = {
	    .data = m->body,
	    .size = m->body_size,
	    .holds = event->holds + member_claims_count(m),
	};
	return m->own || requests_hold(&r->requests, &batch, out);
}

void
order_on_pre_prepare(struct pbft *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	const struct message_header *h = m->header;
	if (h->view != r->me.view || !r->active || !log_holds(r, h->seq))
		return;
	struct slot *s = log_slot(r, h->seq);
	/* "it has not accepted a pre-prepare message for view v and sequence number n
	   containing a different digest" (4.2) */
	if (s->accepted && !digest_equal(s->digest32, h->digest)) {
		blame(r, h->sender, h->seq, out);
		return;
	}
	if (s->accepted && log_has_body(s, h->digest)) {
		return;
	}
	if (!requests_are_simple(&r->requests, m->body, m->body_size)) {
		r->figures.refused++;
		return;
	}
	if (!log_store_body(r, s, h->digest, m))
		return;
	if (!s->accepted) {
		s->accepted = true;
		s->view = r->me.view;
		s->accepted_ns = r->me.now_ns;
		memcpy(s->digest32, h->digest, 32);
		s->vouched = batch_holds(r, event, out);
		r->figures.refused += !s->vouched;
		order_count_votes(r, s);
	}
	highest_raise(r, h->seq);
	if (m->own && h->seq > r->accepted_max)
		r->accepted_max = h->seq;
	order_advance(r, s, out);
}

static uint64_t votes_like(
    struct pbft *r, const struct slot *s, enum phase phase, const struct vote *like);

/*
 * f + 1 backups have prepared the same: one of them is correct, so the primary did
 * propose it, and its requests are authentic. Who has not heard that from the primary,
 * which may be slow to some only, takes their word; the batch comes by its digest.
 */
static bool
slot_adopt(struct pbft *r, struct slot *s)
{
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct vote *v = log_vote(r, s, PHASE_PREPARE, i);
		if (!v->present || v->view != r->me.view ||
		    quorum_count(votes_like(r, s, PHASE_PREPARE, v)) <
			quorum_weak(r->me.config.faults))
			continue;
		s->accepted = true;
		s->vouched = true;
		s->view = r->me.view;
		s->accepted_ns = r->me.now_ns;
		memcpy(s->digest32, v->digest32, 32);
		order_count_votes(r, s);
		highest_raise(r, s->seq);
		return true;
	}
	return false;
}

void
order_adopt(struct pbft *r)
{
	uint64_t end = r->checkpoints.stable + r->window_log;
	if (!r->active || replica_leads(r))
		return;
	for (uint64_t seq = r->committed + 1; seq <= end && seq <= r->heard; seq++) {
		struct slot *s = log_find(r, seq);
		if (s == NULL || s->accepted || !log_holds(r, seq) || !slot_adopt(r, s))
			continue;
		r->figures.adopted++;
		if (r->held_next == 0 || seq < r->held_next)
			r->held_next = seq;
	}
}

/* ---- prepare and commit ---------------------------------------------------- */

enum verdict
order_screen_vote(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!member_proof_fits(&r->me, h) || m->body_size != 0 || !log_holds(r, h->seq))
		return VERDICT_DROP;
	/* The primary's pre-prepare is its prepare. */
	if (h->type == PBFT_PREPARE &&
	    (h->view < r->me.view || h->sender == replica_primary(r, h->view)))
		return VERDICT_DROP;
	const struct slot *s = &r->slots[h->seq % r->slots_count];
	/* What is prepared, or committed, needs no further votes: they are not even proven. */
	if (s->seq == h->seq &&
	    (s->committed || (h->type == PBFT_PREPARE && s->prepared && s->view == h->view)))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

/* A replica's first vote for (view, seq, phase) sticks; one in a higher view replaces it. */
static bool
vote_record(struct pbft *r, struct vote *v, const struct message_header *h, struct outbox *out)
{
	if (v->present && v->view > h->view)
		return false;
	if (v->present && v->view == h->view) {
		if (!digest_equal(v->digest32, h->digest))
			blame(r, h->sender, h->seq, out);
		return false;
	}
	v->present = true;
	v->view = h->view;
	memcpy(v->digest32, h->digest, 32);
	return true;
}

/* The same (view, digest) from so many. */
static uint64_t
votes_like(struct pbft *r, const struct slot *s, enum phase phase, const struct vote *like)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct vote *v = log_vote(r, s, phase, i);
		if (v->present && v->view == like->view &&
		    digest_equal(v->digest32, like->digest32))
			mask |= replica_bit(i);
	}
	return mask;
}

void
order_count_committed(struct pbft *r)
{
	while (true) {
		const struct slot *next = log_find(r, r->committed + 1);
		if (next == NULL || !next->committed)
			break;
		r->committed++;
		r->progress_ns = r->me.now_ns;
	}
}

static void
slot_commit(struct pbft *r, struct slot *s, uint64_t view, const uint8_t *digest32)
{
	check(!s->committed || digest_equal(s->final32, digest32));
	if (s->committed)
		return;
	s->committed = true;
	s->final_view = view;
	memcpy(s->final32, digest32, 32);
	highest_raise(r, s->seq);
	if (s->prepared_ns != 0)
		r->figures.commit_ns +=
		    (r->me.now_ns - s->prepared_ns) / 16 - r->figures.commit_ns / 16;
	order_count_committed(r);
}

void
order_on_vote(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	if (!log_holds(r, h->seq))
		return;
	struct slot *s = log_slot(r, h->seq);
	enum phase phase = h->type == PBFT_PREPARE ? PHASE_PREPARE : PHASE_COMMIT;
	struct vote *v = log_vote(r, s, phase, h->sender);
	bool first = vote_record(r, v, h, out);
	if (!first && (RULE(PBFT_PREPARES_TWICE) || phase != PHASE_PREPARE))
		return;
	uint64_t bit = replica_bit(h->sender);
	if (!first) {
		/* Counted again: as if it were from a backup that has said nothing yet. */
		uint64_t mute = r->me.everybody & ~s->prepares;
		mute &= ~replica_bit(replica_primary(r, h->view));
		bit = mute & (~mute + 1);
	}
	bool ours = s->accepted && s->view == h->view && digest_equal(s->digest32, h->digest);
	if (ours) {
		if (phase == PHASE_PREPARE)
			s->prepares |= bit;
		else
			s->commits |= bit;
		order_advance(r, s, out);
	}
	/*
	 * q replicas that say "prepared" are proof enough, in whatever view: f + 1 of them
	 * are correct. So a replica that has left the view, or that lost the pre-prepare,
	 * follows.
	 */
	if (phase == PHASE_COMMIT && !s->committed && (!ours || !r->active) &&
	    quorum_count(votes_like(r, s, phase, v)) >= r->me.quorum) {
		slot_commit(r, s, v->view, v->digest32);
		execute_confirm(r, s, out);
		status_fetch(r, s, out);
		order_advance(r, s, out);
		execute_deliver(r, out);
	}
}

/*
 * f + 1 that say "committed": one of them is correct. So who has missed it need
 * not gather q votes of one view, which may be there no more.
 */
void
order_on_decided(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	if (!log_holds(r, h->seq))
		return;
	struct slot *s = log_slot(r, h->seq);
	struct vote *v = log_vote(r, s, PHASE_DECIDED, h->sender);
	if (v->present) {
		if (!digest_equal(v->digest32, h->digest))
			blame(r, h->sender, h->seq, out);
		return;
	}
	v->present = true;
	memcpy(v->digest32, h->digest, 32);
	if (s->committed ||
	    quorum_count(votes_like(r, s, PHASE_DECIDED, v)) < quorum_weak(r->me.config.faults))
		return;
	slot_commit(r, s, VIEW_UNKNOWN, v->digest32);
	execute_confirm(r, s, out);
	status_fetch(r, s, out);
	order_advance(r, s, out);
	execute_deliver(r, out);
}

static void
slot_vote(struct pbft *r, struct slot *s, enum phase phase, struct outbox *out)
{
	struct word word = {
	    .type = phase == PHASE_PREPARE ? PBFT_PREPARE : PBFT_COMMIT,
	    .view = r->me.view,
	    .seq = s->seq,
	    .digest32 = s->digest32,
	};
	member_say(&r->me, member_others(&r->me), &word, out);
	struct vote *v = log_vote(r, s, phase, r->me.config.self);
	v->present = true;
	v->view = r->me.view;
	memcpy(v->digest32, s->digest32, 32);
	if (phase == PHASE_PREPARE)
		s->prepares |= replica_bit(r->me.config.self);
	else
		s->commits |= replica_bit(r->me.config.self);
}

/* Q: "the requests that have pre-prepared", per digest the highest view. */
static void
slot_remember(struct slot *s, uint64_t view)
{
	uint32_t place = s->q_count;
	for (uint32_t i = 0; i < s->q_count; i++) {
		if (digest_equal(s->q[i].digest32, s->digest32))
			place = i;
	}
	if (place == PBFT_Q_MAX) {
		/* The oldest goes: that costs progress in odd cases, never safety (A2). */
		place = 0;
		for (uint32_t i = 1; i < PBFT_Q_MAX; i++)
			place = s->q[i].view < s->q[place].view ? i : place;
	} else if (place == s->q_count) {
		s->q_count++;
	}
	s->q[place].view = view;
	memcpy(s->q[place].digest32, s->digest32, 32);
}

/* Backups that have prepared what was pre-prepared; the primary's pre-prepare is none of them. */
static uint64_t
slot_backups(const struct pbft *r, const struct slot *s)
{
	uint64_t primary = replica_bit(replica_primary(r, s->view));
	return RULE(PBFT_PRIMARY_PREPARES) ? s->prepares & ~primary : s->prepares | primary;
}

/*
 * "prepared(m, v, n, i) is true iff replica i has inserted in its log m, a
 * pre-prepare for m in view v with n, and 2f prepares from different backups
 * that match the pre-prepare" (4.2).
 */
static bool
slot_is_prepared(const struct pbft *r, const struct slot *s)
{
	/* What is committed is decided: nothing else can prepare, in this view or later. So a
	   replica that has it says so again to those who have not. */
	bool decided = s->committed && digest_equal(s->final32, s->digest32);
	return s->accepted && log_has_body(s, s->digest32) &&
	       (decided || quorum_count(slot_backups(r, s)) >= r->me.quorum - 1);
}

/*
 * P: "the requests that have prepared", with the last view. A batch said to be
 * prepared only because it is committed prepared in the view that committed it:
 * f + 1 correct replicas have that in their Q, but perhaps nobody has this view.
 */
static void
slot_remember_prepared(struct pbft *r, struct slot *s)
{
	uint64_t decided = s->final_view == VIEW_UNKNOWN ? 0 : s->final_view;
	uint64_t view = quorum_count(slot_backups(r, s)) >= r->me.quorum - 1 ? r->me.view : decided;
	if (s->has_p && digest_equal(s->p.digest32, s->digest32) && s->p.view > view)
		return;
	s->has_p = true;
	s->p.view = view;
	memcpy(s->p.digest32, s->digest32, 32);
}

static void
slot_prepare(struct pbft *r, struct slot *s, struct outbox *out)
{
	if (!s->vouched) {
		/* f prepares and the primary: one of f + 1 is correct and vouches for it. */
		uint64_t backups = s->prepares & ~replica_bit(replica_primary(r, s->view));
		s->vouched =
		    quorum_count(backups) >= r->me.config.faults && r->me.config.faults > 0;
	}
	if (s->prepare_sent || !s->vouched || !log_has_body(s, s->digest32) || !replica_votes(r))
		return;
	s->prepare_sent = true;
	slot_remember(s, r->me.view);
	if (!replica_leads(r))
		slot_vote(r, s, PHASE_PREPARE, out);
}

void
order_advance(struct pbft *r, struct slot *s, struct outbox *out)
{
	if (!r->active || !s->accepted || s->view != r->me.view || !log_votable(r, s->seq))
		return;
	slot_prepare(r, s, out);
	/* q others have it prepared: that is proof, and what is left is to say so, too. */
	if (!s->committed &&
	    quorum_count(s->commits & ~replica_bit(r->me.config.self)) >= r->me.quorum)
		slot_commit(r, s, s->view, s->digest32);
	if (!s->prepared && slot_is_prepared(r, s)) {
		s->prepared = true;
		s->prepared_ns = r->me.now_ns;
		slot_remember_prepared(r, s);
		r->prepared_max = s->seq > r->prepared_max ? s->seq : r->prepared_max;
		r->figures.prepare_ns +=
		    (r->me.now_ns - s->accepted_ns) / 16 - r->figures.prepare_ns / 16;
	}
	if (s->prepared && !s->commit_sent && replica_votes(r)) {
		s->commit_sent = true;
		slot_vote(r, s, PHASE_COMMIT, out);
	}
	if (!s->committed && s->prepared && quorum_count(s->commits) >= r->me.quorum)
		slot_commit(r, s, s->view, s->digest32);
	if (s->committed)
		execute_confirm(r, s, out);
	if (r->me.config.tentative)
		checkpoint_vote(r, out);
	execute_deliver(r, out);
}
