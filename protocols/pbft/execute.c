/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From committed batches to replies (bft/replies.h): delivery in order, tentative
 * execution and its undoing (TOCS'02, section 5.1.2), when read-only operations
 * may be executed (5.1.3). See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

/* The digest of the batch that may be executed next at this slot, or NULL. */
static const uint8_t *
slot_executable(const struct pbft *r, const struct slot *s)
{
	if (s->committed)
		return s->final32;
	/* "replicas execute requests tentatively once all lower ones have committed" */
	if (r->me.config.tentative && r->active && s->prepared && s->view == r->me.view &&
	    r->committed + 1 == s->seq)
		return s->digest32;
	return NULL;
}

static bool
slot_next(const struct pbft *r, const struct slot **slot, const uint8_t **digest32)
{
	uint64_t seq = r->delivered + 1;
	const struct slot *s = &r->slots[seq % r->slots_count];
	if (r->checkpoints.moving || r->diverged || s->seq != seq ||
	    r->delivered - r->executed >= r->me.config.window)
		return false;
	*digest32 = slot_executable(r, s);
	*slot = s;
	return *digest32 != NULL && log_has_body(s, *digest32);
}

bool
execute_ready(const struct pbft *r)
{
	const struct slot *s;
	const uint8_t *digest32;
	return slot_next(r, &s, &digest32);
}

void
execute_deliver(struct pbft *r, struct outbox *out)
{
	const struct slot *s;
	const uint8_t *digest32;
	/* A step on a message may deliver a few; what is left is due at the burst's end. */
	for (uint32_t i = 0; i < PBFT_DELIVER_MAX && slot_next(r, &s, &digest32); i++) {
		struct delivery *d = outbox_deliver(out);
		d->seq = s->seq;
		d->batch = log_body(r, s, digest32, &d->batch_size);
		d->checkpoint = s->seq % r->interval == 0;
		d->mark = r->me.config.tentative;
		r->delivered++;
		if (!s->committed) {
			r->tentative.seq = s->seq;
			memcpy(r->tentative.digest32, digest32, 32);
		}
	}
}

/* ---- what is tentative ------------------------------------------------------ */

/* Clients may ask again for what a batch that is undone did for them. */
static void
batch_forget(struct pbft *r, uint64_t seq)
{
	const struct slot *s = log_find(r, seq);
	uint32_t size;
	if (s == NULL)
		return;
	const uint8_t *digest32 = seq == r->tentative.seq ? r->tentative.digest32 : s->final32;
	const uint8_t *body = log_body(r, s, digest32, &size);
	if (body != NULL)
		requests_undone(&r->requests, body, size);
}

/*
 * From here on the state is the one before the tentative batch, though the
 * executor has yet to go there: nothing else may be told of it.
 */
void
execute_abandon(struct pbft *r)
{
	if (r->delivered > r->reached)
		r->reached = r->delivered;
	if (r->tentative.seq == 0)
		return;
	uint64_t before = r->tentative.seq - 1;
	check(r->delivered > before);
	for (uint64_t seq = r->delivered; seq > before; seq--)
		batch_forget(r, seq);
	checkpoints_forget(&r->checkpoints, before);
	r->executed = r->executed < before ? r->executed : before;
	r->delivered = before;
	r->tentative.seq = 0;
}

/* "a view change may undo tentative executions" (5.1.2), and what lies on top of them. */
void
execute_undo_tentative(struct pbft *r, struct outbox *out)
{
	if (r->checkpoints.moving || r->tentative.seq == 0)
		return;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_ROLLBACK;
	d->seq = r->tentative.seq - 1;
	execute_abandon(r);
	r->checkpoints.moving = true;
	r->undoing = true;
	r->figures.rollbacks++;
}

/*
 * q COMMITs of a later view, or f + 1 DECIDED, come to a replica that is still in
 * the view in which something else prepared, too: then what it executed is not
 * what was decided.
 */
void
execute_confirm(struct pbft *r, const struct slot *s, struct outbox *out)
{
	check(s->committed);
	if (r->tentative.seq != s->seq)
		return;
	if (digest_equal(r->tentative.digest32, s->final32))
		r->tentative.seq = 0;
	else
		execute_undo_tentative(r, out);
}

/* ---- results --------------------------------------------------------------- */

/*
 * A longer timeout that was needed is given up step by step: where messages are slow,
 * each view would else get no further than one batch. Nor does it become shorter than
 * messages take: views would come and go for ever. How long others take to commit what
 * is prepared tells how long that is, and no primary can draw it out.
 */
static void
backoff_ease(struct pbft *r)
{
	if (r->backoff == 0)
		return;
	uint64_t eased_ns = r->me.config.view_timeout_ns << (r->backoff - 1);
	if (eased_ns >= PBFT_TIMEOUT_HOPS * r->figures.commit_ns)
		r->backoff--;
}

static void
batch_done(struct pbft *r, const struct executed *e, struct outbox *out)
{
	check(e->seq == r->executed + 1);
	r->executed = e->seq;
	if (e->seq > r->reached)
		r->reached = e->seq;
	r->progress_ns = r->me.now_ns;
	r->executed_ns = r->me.now_ns;
	const struct slot *s = log_find(r, e->seq);
	if (s != NULL && s->accepted && s->view == r->me.view) {
		if (++r->view_batches % PBFT_BACKOFF_BATCHES == 0)
			backoff_ease(r);
		r->figures.execute_ns +=
		    (r->me.now_ns - s->accepted_ns) / 16 - r->figures.execute_ns / 16;
	}
	if (e->state_digest32 != NULL)
		checkpoint_taken(r, e->seq, e->state_digest32, out);
}

void
execute_on_executed(struct pbft *r, const struct executed *e, struct outbox *out)
{
	/* A recalled reply may be of a batch that is not committed yet. */
	bool tentative =
	    r->me.config.tentative && (e->seq == 0 ? r->executed : e->seq) > r->committed;
	if (r->diverged)
		return;
	replies_send(&r->requests, e, tentative, out);
	if (e->seq == 0)
		return;
	r->operations += e->results_count;
	if (e->last) {
		batch_done(r, e, out);
		execute_deliver(r, out);
	}
}

/*
 * "executed immediately in the tentative state"; answered only when that is
 * committed. A client whose write got q answers goes on to read, and one of any q
 * that answer is correct and told it. So who has undone what it told answers no
 * reads until it is there again, nor does who lost its memory of it.
 */
static bool
reads_allowed(const struct pbft *r)
{
	return !r->checkpoints.moving && !r->diverged && !r->silent &&
	       r->delivered <= r->committed && r->executed >= r->reached;
}

void
execute_on_read(struct pbft *r, const struct message *m, struct outbox *out)
{
	if (reads_allowed(r))
		replies_read(m, out);
}

void
execute_on_state(struct pbft *r, const struct moved *moved, struct outbox *out)
{
	bool committed = checkpoints_on_state(&r->checkpoints, moved);
	/* A sibling fetched a state that f + 1 vouch for: our part of it is decided, too. The
	   log goes on from there, as a learner's until a checkpoint of ours is stable. */
	if (!r->me.config.tentative && moved->seq > r->committed) {
		r->fetched = committed ? r->fetched : moved->seq;
		committed = true;
	}
	/* The mark before the tentative batch was gone: a whole state must come. */
	r->diverged = r->undoing && !moved->done && moved->seq > r->delivered;
	r->undoing = false;
	if (r->delivered > r->reached)
		r->reached = r->delivered;
	/* A sibling's move undoes our tentative batch, too. */
	if (r->tentative.seq > moved->seq)
		r->tentative.seq = 0;
	r->executed = moved->seq;
	r->delivered = moved->seq;
	if (committed && r->committed < moved->seq)
		r->committed = moved->seq;
	order_count_committed(r);
	/* What a primary proposes comes after all that is known to be decided. */
	if (r->proposed < r->executed)
		r->proposed = r->executed;
	if (r->accepted_max < r->executed)
		r->accepted_max = r->executed;
	r->progress_ns = r->me.now_ns;
	requests_moved(&r->requests);
	checkpoint_vote(r, out);
	checkpoint_settle(r, out);
	/* What was undone cannot be undone once more: only a transfer leads on. */
	if (!moved->done)
		checkpoint_catch_up(r, out);
	execute_deliver(r, out);
}
