/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speculative execution (SOSP'07, section 3.1: "it [...] speculatively executes
 * the request"), its undoing, and replies. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

/* ---- delivery ---------------------------------------------------------------- */

bool
speculate_ready(const struct zyzzyva *r)
{
	return !r->moving && !r->stranded && r->delivered < r->top &&
	       r->delivered - r->stable < r->window_log &&
	       r->delivered - r->executed < r->me.config.window;
}

void
speculate_deliver(struct zyzzyva *r, struct outbox *out)
{
	/* A step on a message may deliver a few; what is left is due at the burst's end. */
	for (uint32_t i = 0; i < ZYZZYVA_DELIVER_MAX && speculate_ready(r); i++) {
		const struct slot *s = ledger_find(r, r->delivered + 1);
		check(s != NULL);
		const struct bank *bank = ledger_bank(s, s->history32);
		check(bank != NULL);
		struct delivery *d = outbox_deliver(out);
		d->seq = s->seq;
		d->batch = ledger_bytes(r, s, bank) + 32;
		d->batch_size = bank->size - 32;
		d->checkpoint = s->seq % r->interval == 0;
		d->mark = true;
		r->delivered++;
	}
}

/* ---- results ------------------------------------------------------------------ */

/*
 * "sends <<SPEC-RESPONSE, v, n, h_n, H(r), c, t>, i, r, OR>" (3.1): the same bytes
 * at all correct replicas, but for the proof. What lies at or below the stable
 * checkpoint is final; where it was executed is then not told, for who fetched the
 * state does not know.
 */
static void
reply(struct zyzzyva *r, const struct result *result, uint64_t seq, struct outbox *out)
{
	struct reply_head head = {.seq = seq};
	struct reply_form form = {.tentative = true, .head_size = sizeof(head), .head = &head};
	const uint8_t *history32 = seq > r->stable ? history_at(r, seq) : NULL;
	if (seq <= r->stable) {
		head.seq = 0;
		form.tentative = false;
	} else if (!replica_speaks(r) || history32 == NULL || (result->flags & RESULT_LOST) != 0) {
		return; /* a view that is changing has no history to speak of */
	} else {
		memcpy(head.history32, history32, 32);
	}
	if (!r->silent)
		replies_write(&r->requests, result, &form, out);
}

/* Where the client's request was executed; UINT64_MAX: that is not known yet. */
static uint64_t
told_seq(const struct zyzzyva *r, uint16_t client, uint64_t timestamp)
{
	const struct told *t = &r->told[client];
	/* Another than the last one seen here: it came with a state, or is left over from before
	   what was undone. */
	return t->timestamp == timestamp || t->seq <= r->stable ? t->seq : UINT64_MAX;
}

static void
results(struct zyzzyva *r, const struct executed *e, struct outbox *out)
{
	/* By this clients' terms end who had to sign. What is undone prolongs them a little. */
	if (e->seq != 0)
		r->requests.executed_seq = e->seq;
	for (uint32_t i = 0; i < e->results_count; i++) {
		const struct result *result = &e->results[i];
		requests_on_result(&r->requests, result);
		if (result->flags & (RESULT_STALE | RESULT_NEW))
			continue;
		bool again = e->seq == 0 || (result->flags & RESULT_DUPLICATE) != 0;
		if (!again) {
			r->told[result->client].timestamp = result->timestamp;
			r->told[result->client].seq = e->seq;
		}
		uint64_t seq = again ? told_seq(r, result->client, result->timestamp) : e->seq;
		if (seq == UINT64_MAX)
			continue;
		reply(r, result, seq, out);
		if (r->told[result->client].promised == 0 || seq <= r->stable)
			continue;
		r->told[result->client].promised -= !again;
		commit_want(r, result->client, result->timestamp, seq);
	}
}

static void
batch_done(struct zyzzyva *r, const struct executed *e, struct outbox *out)
{
	check(e->seq == r->executed + 1);
	r->executed = e->seq;
	r->progress_ns = r->me.now_ns;
	r->stirred = true;
	if (e->seq > r->entry && ++r->view_batches % ZYZZYVA_BACKOFF_BATCHES == 0 && r->backoff > 0)
		r->backoff--;
	if (e->state_digest32 != NULL)
		stability_taken(r, e->seq, e->state_digest32, out);
}

void
speculate_on_executed(struct zyzzyva *r, const struct executed *e, struct outbox *out)
{
	results(r, e, out);
	if (e->seq != 0 && e->last) {
		batch_done(r, e, out);
		speculate_deliver(r, out);
	}
}

/*
 * "If a replica receives a request that it has executed [...] it sends the cached
 * response; else it sends CONFIRM-REQ to the primary" (3.1, step 4c), which is the
 * request itself, relayed. A client that asks again has not heard from enough:
 * replicas compare what they were told (cover.c).
 */
void
speculate_on_request(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	const struct told *t = &r->told[h->sender];
	if (t->timestamp == h->seq && t->seq > r->stable)
		doubt_begin(r, t->seq, out);
	requests_take(&r->requests, m, replica_orderer(r), out);
	r->stirred = true;
}

/* ---- undoing -------------------------------------------------------------------- */

/*
 * Requests of the batches above `fork` are as if never executed, those of one that was
 * under way, too: some of its results may have been told. From the top down, for each
 * client's go back one by one.
 */
static void
requests_forget(struct zyzzyva *r, uint64_t fork, uint64_t end)
{
	for (uint64_t seq = end; seq > fork; seq--) {
		const struct slot *s = ledger_find(r, seq);
		const struct bank *bank = s != NULL ? ledger_bank(s, s->history32) : NULL;
		if (bank != NULL)
			requests_undone(
			    &r->requests, ledger_bytes(r, s, bank) + 32, bank->size - 32);
	}
}

/* Where clients were told of something above `fork`, what they have had lies at or below `seq`. */
static void
told_forget(struct zyzzyva *r, uint64_t fork, uint64_t seq)
{
	for (uint32_t i = 0; i < r->me.config.slots_count; i++) {
		if (r->told[i].seq <= fork)
			continue;
		r->told[i].timestamp = 0;
		r->told[i].seq = seq;
	}
}

void
speculate_undo(struct zyzzyva *r, uint64_t fork, struct outbox *out)
{
	check(fork >= r->stable);
	requests_forget(r, fork, r->delivered);
	told_forget(r, fork, fork);
	/* A state that is on its way takes the place of what would be undone. */
	if (r->delivered <= fork || r->fetching != 0 || r->stranded)
		return;
	/* What is delivered and not executed is forgotten by any move. */
	uint64_t to = fork < r->executed ? fork : r->executed;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_ROLLBACK;
	d->seq = to;
	r->moving = true;
	r->figures.rollbacks += to < r->executed;
	r->figures.rolled_back += r->executed - to;
	r->executed = to;
	r->delivered = to;
}

/*
 * The own history may part from the one that the state is of anywhere above the stable
 * checkpoint. What is thought to be executed and is not would be refused for good: so
 * nothing is, and the reply cache, which came with the state, knows what was.
 */
void
speculate_replace(struct zyzzyva *r, uint64_t seq)
{
	check(seq >= r->stable);
	requests_forget(r, r->stable, r->delivered > r->top ? r->delivered : r->top);
	told_forget(r, r->stable, seq);
}

void
speculate_on_state(struct zyzzyva *r, const struct moved *moved, struct outbox *out)
{
	bool fetched = r->fetching != 0;
	r->moving = false;
	if (fetched && moved->done && moved->seq == r->fetching) {
		stability_fetched(r, out);
	} else {
		/* It could not be undone, or not be fetched: what there is now is of no history. */
		r->stranded |= !moved->done || moved->seq != r->executed;
		r->executed = moved->seq;
		r->delivered = moved->seq;
	}
	r->fetching = 0;
	r->progress_ns = r->me.now_ns;
	enter_again(r);
	requests_moved(&r->requests);
	stability_settle(r, out);
	if (r->stranded)
		stability_catch_up(r, out);
	orders_advance(r, out);
}
