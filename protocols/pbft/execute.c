/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From committed batches to replies: delivery in order, tentative execution
 * and its undoing (TOCS'02, section 5.1.2), replies and their digests (5.1.1),
 * read-only operations (5.1.3). See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

/* The digest of the batch that may be executed next at this slot, or NULL. */
static const uint8_t *
slot_executable(const struct pbft *r, const struct slot *s)
{
	if (s->committed)
		return s->final32;
	/* "replicas execute requests tentatively once all lower ones have committed" */
	if (r->config.tentative && r->active && s->prepared && s->view == r->view &&
	    r->committed + 1 == s->seq)
		return s->digest32;
	return NULL;
}

static bool
slot_next(const struct pbft *r, const struct slot **slot, const uint8_t **digest32)
{
	uint64_t seq = r->delivered + 1;
	const struct slot *s = &r->slots[seq % r->slots_count];
	if (r->moving || s->seq != seq || r->delivered - r->executed >= r->config.window)
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
		d->mark = r->config.tentative;
		r->delivered++;
	}
}

void
execute_recall(struct outbox *out, uint16_t client, uint64_t timestamp)
{
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_RECALL;
	d->client = client;
	d->timestamp = timestamp;
}

/* After a transfer: which of the pending requests have been executed meanwhile? */
void
execute_recheck(struct pbft *r, struct outbox *out)
{
	uint32_t cells = r->pool.cells_count;
	for (uint32_t i = 0; i < PBFT_DELIVER_MAX; i++) {
		while (r->recheck <= cells && r->pool.cells[r->recheck - 1].size == 0)
			r->recheck++;
		if (r->recheck > cells) {
			r->recheck = 0;
			return;
		}
		const struct message_header *h = pool_request(&r->pool, (uint32_t)r->recheck - 1);
		execute_recall(out, h->sender, h->seq);
		r->recheck++;
	}
}

/* "a view change may undo tentative executions" (5.1.2) */
void
execute_undo_tentative(struct pbft *r, struct outbox *out)
{
	if (r->moving || r->delivered <= r->committed)
		return;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_ROLLBACK;
	d->seq = r->committed;
	r->moving = true;
	r->figures.rollbacks++;
}

/* ---- replies --------------------------------------------------------------- */

static bool
digest_suffices(const struct pbft *r, const struct result *result)
{
	return result->size >= PBFT_DIGEST_REPLY_MIN &&
	       r->clients[result->client].whole < result->timestamp &&
	       pbft_replier(result->client, result->timestamp, r->config.replicas_count) !=
		   r->config.self;
}

static void
reply(struct pbft *r, const struct result *result, bool tentative, struct outbox *out)
{
	bool lost = (result->flags & RESULT_LOST) != 0;
	bool read = (result->flags & RESULT_READ) != 0;
	bool digest = !lost && digest_suffices(r, result);
	struct send *s = outbox_send_client(out, result->client);
	struct letter letter = {
	    .type = lost     ? MESSAGE_REPLY_LOST
		    : digest ? PBFT_REPLY_DIGEST
			     : MESSAGE_REPLY,
	    .proof = r->config.reply_proof,
	    .instance = result->client,
	    .body_size = lost ? 0 : result->size,
	    .view = r->view << PBFT_REPLY_SHIFT | (tentative ? PBFT_REPLY_TENTATIVE : 0u) |
		    (read ? PBFT_REPLY_READ : 0u),
	    .seq = result->timestamp,
	};
	uint8_t *body = outbox_write(out, s, &r->stamp, &letter);
	s->flags = digest ? SEND_DIGEST_ONLY : SEND_DIGEST;
	if (letter.body_size > 0)
		memcpy(body, result->data, letter.body_size);
}

void
execute_must_sign(struct pbft *r, uint16_t client, uint64_t timestamp, struct outbox *out)
{
	struct letter letter = {
	    .type = PBFT_MUST_SIGN,
	    .proof = r->config.reply_proof,
	    .instance = client,
	    .view = r->view << PBFT_REPLY_SHIFT,
	    .seq = timestamp,
	};
	outbox_write(out, outbox_send_client(out, client), &r->stamp, &letter);
}

/* The client's request has been executed: nobody waits for it any more. */
static void
client_executed(struct pbft *r, const struct result *result)
{
	struct client_state *c = &r->clients[result->client];
	if (result->timestamp > c->executed)
		c->executed = result->timestamp;
	if (c->cell == 0 || pool_request(&r->pool, c->cell - 1)->seq > result->timestamp)
		return;
	bool oldest = r->pool.first == c->cell;
	pool_remove(&r->pool, c->cell - 1);
	c->cell = 0;
	/* "stops the timer when it is no longer waiting to execute the request, but restarts
	   it if at that point it is waiting to execute some other request" (OSDI'99, 4.4) */
	if (oldest)
		r->head_ns = r->now_ns;
}

static void
batch_done(struct pbft *r, const struct executed *e, struct outbox *out)
{
	check(e->seq == r->executed + 1);
	r->executed = e->seq;
	r->progress_ns = r->now_ns;
	const struct slot *s = log_find(r, e->seq);
	if (s != NULL && s->accepted && s->view == r->view) {
		/* A longer timeout that was needed is given up step by step: where messages
		   are slow, each view would else get no further than one batch. */
		if (++r->view_batches % PBFT_BACKOFF_BATCHES == 0 && r->backoff > 0)
			r->backoff--;
		r->figures.execute_ns +=
		    (r->now_ns - s->accepted_ns) / 16 - r->figures.execute_ns / 16;
	}
	if (e->state_digest32 != NULL)
		checkpoint_taken(r, e->seq, e->state_digest32, out);
}

void
execute_on_executed(struct pbft *r, const struct executed *e, struct outbox *out)
{
	/* A recalled reply may be of a batch that is not committed yet. */
	bool tentative = r->config.tentative && (e->seq == 0 ? r->executed : e->seq) > r->committed;
	for (uint32_t i = 0; i < e->results_count; i++) {
		const struct result *result = &e->results[i];
		if (!(result->flags & RESULT_READ))
			client_executed(r, result);
		if (result->flags & RESULT_STALE)
			continue;
		reply(r, result, tentative && !(result->flags & RESULT_READ), out);
	}
	if (e->seq == 0)
		return;
	r->operations += e->results_count;
	if (e->last) {
		batch_done(r, e, out);
		execute_deliver(r, out);
	}
}

/* "executed immediately in the tentative state"; answered only when that is committed. */
void
execute_on_read(struct pbft *r, const struct message *m, struct outbox *out)
{
	if (r->moving || r->executed > r->committed)
		return;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_READ;
	d->client = m->header->sender;
	d->timestamp = m->header->seq;
	d->batch = m->body;
	d->batch_size = m->body_size;
}

void
execute_on_state(struct pbft *r, const struct moved *moved, struct outbox *out)
{
	r->moving = false;
	r->moved_once = true;
	r->executed = moved->seq;
	r->delivered = moved->seq;
	/* What was executed tentatively, and could not be undone, is not committed by that. */
	if (r->committed < moved->seq &&
	    (moved->seq <= r->stable_seen.seq || moved->seq == r->fetching))
		r->committed = moved->seq;
	r->fetching = 0;
	while (true) {
		const struct slot *next = log_find(r, r->committed + 1);
		if (next == NULL || !next->committed)
			break;
		r->committed++;
	}
	/* What a primary proposes comes after all that is known to be decided. */
	if (r->proposed < r->executed)
		r->proposed = r->executed;
	if (r->accepted_max < r->executed)
		r->accepted_max = r->executed;
	r->progress_ns = r->now_ns;
	r->recheck = r->pool.count > 0 ? 1 : 0;
	checkpoint_vote(r, out);
	checkpoint_settle(r, out);
	/* What was undone cannot be undone once more: only a transfer leads on. */
	if (!moved->done)
		checkpoint_catch_up(r, out);
	execute_deliver(r, out);
}
