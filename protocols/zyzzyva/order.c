/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The normal case (SOSP'07, section 3.1): requests become ORDER-REQs, and those
 * a history. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum {
	PARTIAL_MAX = 1,       /* batches under way beside one that is not full */
	PARTIAL_WAIT_PART = 4, /* of the view's timeout: no request waits longer for others */
	LULL_PART = 16,	       /* of a tick: nobody has come for so long */
	PROPOSALS_MAX = 8,     /* in one step, the last of which may be large */
};

/* ---- the primary's batches ------------------------------------------------- */

static bool
window_open(const struct zyzzyva *r)
{
	return replica_speaks(r) && replica_leads(r) && !r->moving &&
	       r->proposed + 1 - r->stable <= r->window_log &&
	       r->proposed + 1 - r->executed <= r->me.config.window;
}

/*
 * When a batch that is not full goes, and none is under way. Where ORDER-REQs are
 * signed, which costs as much as several requests do, it waits for the clients that
 * have asked lately, while they go on coming. Who is alone does not wait.
 */
static uint64_t
partial_due_ns(const struct zyzzyva *r)
{
	if (r->me.config.protocol_proof != PROOF_SIGNATURE ||
	    r->requests.pool.unordered >= r->requests.crowd)
		return 0;
	uint64_t lull_ns = requests_newest_ns(&r->requests) + r->tick_ns / LULL_PART;
	uint64_t end_ns =
	    requests_oldest_ns(&r->requests) + r->me.config.view_timeout_ns / PARTIAL_WAIT_PART;
	return lull_ns < end_ns ? lull_ns : end_ns;
}

/* When the next batch is to be proposed. */
static uint64_t
proposal_due_ns(const struct zyzzyva *r)
{
	if (!window_open(r))
		return TIME_NEVER;
	if (r->requests.pool.unordered == 0)
		return r->proposed < r->nulls_until ? r->null_ns : TIME_NEVER;
	if (requests_are_plenty(&r->requests))
		return 0;
	/* A batch that is not full waits while others are under way: it fills meanwhile. */
	if (r->me.config.batch_adaptive)
		return r->proposed - r->executed < PARTIAL_MAX ? partial_due_ns(r) : TIME_NEVER;
	uint64_t oldest_ns = requests_oldest_ns(&r->requests);
	return oldest_ns == TIME_NEVER ? TIME_NEVER : oldest_ns + r->me.config.batch_timeout_ns;
}

uint64_t
orders_deadline(const struct zyzzyva *r)
{
	/* h of the last one comes with its own copy; those of one step are chained. */
	return r->top == r->proposed ? proposal_due_ns(r) : TIME_NEVER;
}

/*
 * "the primary assigns a sequence number n to the request in view v, creates an
 * ORDER-REQ message <<ORDER-REQ, v, n, h_n, d, ND>, m>, and sends it to the
 * other replicas [...] h_n = H(h_n-1, d)" (SOSP'07, 3.1). h_n is the digest that
 * sealing gives the message; the own copy brings it.
 */
static const struct send *
propose(struct zyzzyva *r, bool chained, struct outbox *out)
{
	uint32_t size;
	uint32_t count = requests_measure(&r->requests, &size);
	struct letter letter = {
	    .type = ZYZZYVA_ORDER_REQ,
	    .proof = r->me.config.protocol_proof,
	    .body_size = 32 + size,
	    .view = r->me.view,
	    .seq = r->proposed + 1,
	};
	struct send *send = outbox_send(out, r->me.everybody);
	uint8_t *body = outbox_write(out, send, &r->me.stamp, &letter);
	if (chained) {
		send->flags = SEND_CHAINED;
		memset(body, 0, 32);
	} else {
		memcpy(body, history_at(r, r->proposed), 32);
	}
	requests_write(&r->requests, body + 32, count);
	r->proposed++;
	if (count == 0)
		r->null_ns = r->me.now_ns + r->tick_ns / 16;
	return send;
}

void
orders_propose(struct zyzzyva *r, struct outbox *out)
{
	check(r->top == r->proposed);
	const struct send *send = propose(r, false, out);
	for (uint32_t i = 1; i < PROPOSALS_MAX && send->large == 0; i++) {
		if (proposal_due_ns(r) > r->me.now_ns)
			break;
		send = propose(r, true, out);
	}
}

void
orders_relay(const struct zyzzyva *r, const struct slot *s, uint64_t to, struct outbox *out)
{
	const struct message_header *h = &s->order;
	const struct bank *bank = ledger_bank(s, h->digest);
	check(bank != NULL);
	struct send *send = outbox_send(out, to);
	outbox_grow(out, send, h->size);
	*send->header = *h;
	uint8_t *body = (uint8_t *)(send->header + 1);
	memcpy(body, ledger_bytes(r, s, bank), bank->size);
	memcpy(body + bank->size, ledger_proof(r, s), r->proof_size);
	send->flags = SEND_SEALED;
}

void
orders_requeue(struct zyzzyva *r)
{
	requests_requeue(&r->requests);
	for (uint64_t seq = r->executed + 1; seq <= r->top; seq++) {
		const struct slot *s = ledger_find(r, seq);
		const struct bank *bank = s != NULL ? ledger_bank(s, s->history32) : NULL;
		if (bank != NULL)
			requests_mark(&r->requests, ledger_bytes(r, s, bank) + 32, bank->size - 32);
	}
}

/* ---- ORDER-REQ ------------------------------------------------------------- */

enum verdict
orders_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!member_proof_fits(&r->me, h) || h->sender != replica_primary(r, h->view) ||
	    h->view != r->me.view || m->body_size < 32 || m->body_size > r->body_size_max ||
	    h->seq <= r->stable || !ledger_holds(r, h->seq))
		return VERDICT_DROP;
	const struct slot *s = ledger_find(r, h->seq);
	if (slot_is_ordered(r, s)) {
		/* The same again costs nothing; another one is misbehaviour. */
		if (digest_equal(s->order.digest, h->digest))
			return VERDICT_DROP;
		claims_add_message(claims, m, h->sender, r->me.config.self);
		return VERDICT_STEP;
	}
	if (!m->own)
		claims_add_message(claims, m, h->sender, r->me.config.self);
	return requests_screen_batch(
	    &r->requests, m->body + 32, m->body_size - 32, m->own ? NULL : claims);
}

/* Keeps an ORDER-REQ for when its turn comes. False: it is not worth that. */
static bool
order_keep(struct zyzzyva *r, struct slot *s, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	struct request_batch batch = {
	    .data = m->body + 32,
	    .size = m->body_size - 32,
	    .holds = event->holds + member_claims_count(m),
	};
	if (!requests_are_simple(&r->requests, batch.data, batch.size)) {
		r->figures.refused++;
		return false;
	}
	if (!ledger_store(r, s, m))
		return false;
	s->ordered = true;
	s->refused = false;
	s->order = *m->header;
	memcpy(ledger_proof(r, s), m->proof, r->proof_size);
	s->vouched = m->own || requests_hold(&r->requests, &batch, out);
	return true;
}

/* The primary has ordered two: a proof for all where it signed both, else for us alone. */
static void
order_conflicts(
    struct zyzzyva *r, const struct slot *s, const struct message *m, struct outbox *out)
{
	struct signed_copy other = {.header = *m->header};
	if (m->header->proof != PROOF_SIGNATURE) {
		betrayal_found(r, NULL, out);
		return;
	}
	memcpy(other.signature64, m->proof, SIGNATURE_SIZE);
	cover_contradicts(r, s, &other, out);
}

void
orders_on_message(struct zyzzyva *r, const struct event *event, struct outbox *out)
{
	const struct message_header *h = event->message->header;
	if (h->view != r->me.view || h->seq <= r->stable || !ledger_holds(r, h->seq))
		return;
	struct slot *s = ledger_slot(r, h->seq);
	if (slot_is_ordered(r, s)) {
		if (digest_equal(s->order.digest, h->digest))
			return;
		order_conflicts(r, s, event->message, out);
		/* One that does not follow our history makes room for one that may. */
		s->ordered &= !s->refused || h->seq <= r->top;
		return;
	}
	if ((r->active && h->seq <= r->top) || !order_keep(r, s, event, out))
		return;
	replica_hear(r, h->seq);
	r->stirred = true;
	orders_advance(r, out);
}

/* Whose requests this replica cannot judge: f more who had it in their history vouch for it. */
static bool
slot_vouched(struct zyzzyva *r, struct slot *s, struct outbox *out)
{
	uint64_t others = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct statement *t = ledger_statement(r, s, i);
		if (t->present && digest_equal(t->history32, s->order.digest))
			others |= replica_bit(i);
	}
	/* The primary's ORDER-REQ is its own word: f + 1 with it, so one of them is correct. */
	others |= replica_bit(replica_primary(r, r->me.view));
	s->vouched |= quorum_count(others) >= quorum_weak(r->me.config.faults);
	if (s->vouched || r->me.now_ns - s->fetched_ns < r->tick_ns)
		return s->vouched;
	s->fetched_ns = r->me.now_ns;
	r->figures.refused++;
	struct word word = {.type = ZYZZYVA_VOUCH, .view = r->me.view, .seq = s->seq};
	member_say(&r->me, member_others(&r->me), &word, out);
	return false;
}

/* "the replica checks that [...] n = max_n + 1 and h_n = H(h_max_n, d)" (3.1). */
static bool
slot_follows(struct zyzzyva *r, struct slot *s, const struct bank *bank, struct outbox *out)
{
	struct signed_copy copy;
	if (digest_equal(ledger_bytes(r, s, bank), history_at(r, r->top)) ||
	    !RULE(ZYZZYVA_HISTORY_UNCHECKED)) {
		if (!cover_find(r, s->seq, &copy) ||
		    digest_equal(copy.header.digest, bank->digest32))
			return true;
		cover_contradicts(r, s, &copy, out);
		return false;
	}
	/* The primary says that another came before: whoever has that one may show it. */
	if (!s->refused) {
		s->refused = true;
		r->figures.refused++;
		/* A state that was fetched may be of a later view's history. */
		if (r->top > r->stable)
			betrayal_found(r, NULL, out);
		hole_note(r);
	}
	return false;
}

static void
order_accept(struct zyzzyva *r, struct slot *s, struct bank *bank)
{
	struct signed_copy copy;
	memcpy(s->history32, s->order.digest, 32);
	bank->view = r->me.view;
	if (r->top <= r->covered)
		r->uncovered_ns = r->me.now_ns;
	r->top++;
	/* What the primary has stated so far may be known to one client alone. */
	if (s->order.proof == PROOF_SIGNATURE ||
	    (!replica_leads(r) && cover_find(r, s->seq, &copy)))
		cover_advance(r, s->seq);
	r->hole_ns = TIME_NEVER;
	r->hole_tries = 0;
	r->progress_ns = r->me.now_ns;
}

void
orders_advance(struct zyzzyva *r, struct outbox *out)
{
	while (r->active && !r->stranded && r->top - r->stable < r->window_log) {
		struct slot *s = ledger_find(r, r->top + 1);
		if (!slot_is_ordered(r, s))
			break;
		struct bank *bank = ledger_bank(s, s->order.digest);
		check(bank != NULL);
		if (!slot_follows(r, s, bank, out) || !slot_vouched(r, s, out))
			break;
		order_accept(r, s, bank);
	}
	if (r->active && r->heard > r->top && r->top - r->stable < r->window_log)
		hole_note(r);
	r->walk_due |= r->active && r->pending.present && r->pending.top <= r->top;
	speculate_deliver(r, out);
}
