/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this replica states of its history, signed, and what clients and replicas
 * make of q such statements: commit certificates (SOSP'07, section 3.1, step 4b).
 * Nothing is signed on the fast path: a STATEMENT is made when somebody wants it,
 * once a slot and view. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum { VOUCHES_PER_TICK = 8 }; /* for one replica */

/* ---- saying it ------------------------------------------------------------------ */

static bool
own_is_there(const struct zyzzyva *r, const struct slot *s, const uint8_t *history32)
{
	const struct statement *own = ledger_statement(r, s, r->me.config.self);
	return own->present && own->view == r->me.view && digest_equal(own->history32, history32);
}

void
statement_say(
    struct zyzzyva *r, struct slot *s, const uint8_t *history32, uint64_t to, struct outbox *out)
{
	uint64_t self = replica_bit(r->me.config.self);
	const struct statement *own = ledger_statement(r, s, r->me.config.self);
	check(!r->silent);
	/*
	 * What it stated in this view it never takes back: where it has another history now, it
	 * says nothing up to where the former one reached. A VIEW-CONFIRM comes before all that.
	 */
	if (r->active && s->seq < r->entry)
		return;
	bool known = own_is_there(r, s, history32);
	check(known || !own->present || own->view < r->me.view);
	if (!known && s->stating && r->me.now_ns - s->stating_ns < r->tick_ns && to == self)
		return;
	if (known && to == self)
		return;
	struct commit_head head = {.view = r->me.view, .seq = s->seq};
	memcpy(head.history32, history32, 32);
	struct send *send = outbox_send(out, known ? to & ~self : to | self);
	statement_header(&r->me.config, &head, r->me.config.self, send->header);
	if (known) {
		memcpy(send->header + 1, own->signature64, SIGNATURE_SIZE);
		send->flags = SEND_SEALED;
		r->figures.resent++;
		return;
	}
	s->stating = true;
	s->stating_ns = r->me.now_ns;
	r->figures.statements++;
}

enum verdict
statement_screen_vouch(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!member_proof_fits(&r->me, h) || h->sender == r->me.config.self || m->body_size != 0 ||
	    h->view != r->me.view || !ledger_holds(r, h->seq))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

/*
 * Another replica cannot judge the requests of this batch, or cannot get it, or doubts
 * it: those who have it say so, once for all that a certificate covers.
 */
void
statement_on_vouch(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct peer *p = &r->peers[h->sender];
	if (h->view != r->me.view || !replica_speaks(r) || h->seq > r->top || h->seq <= r->stable)
		return;
	/* A correct one asks once a tick, where it lacks something. */
	if (!ration_take(r, &p->vouches, VOUCHES_PER_TICK))
		return;
	if (h->seq <= r->certified && r->held.head.seq >= h->seq) {
		repair_send_certificate(r, replica_bit(h->sender), out);
		r->figures.resent++;
		return;
	}
	struct slot *s = ledger_slot(r, h->seq);
	statement_say(r, s, s->history32, replica_bit(h->sender), out);
}

/* ---- hearing it ------------------------------------------------------------------ */

enum verdict
statement_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (h->proof != PROOF_SIGNATURE || h->sender >= r->me.config.replicas_count ||
	    m->body_size != 0 || h->instance != 0 || h->view < r->me.view ||
	    !ledger_holds(r, h->seq))
		return VERDICT_DROP;
	/* It costs a signature: what is known, or covered by a certificate, is of no use. */
	if (h->sender == r->me.config.self && !m->own)
		return VERDICT_DROP;
	const struct slot *s = ledger_find(r, h->seq);
	if (s != NULL) {
		const struct statement *t = ledger_statement(r, s, h->sender);
		if (t->present && (t->view > h->view || (t->view == h->view &&
							    digest_equal(t->history32, h->digest))))
			return VERDICT_DROP;
	}
	if (!m->own && r->active && h->view == r->me.view &&
	    (h->seq < r->certified || (h->seq == r->certified && history_is(r, h->seq, h->digest))))
		return VERDICT_DROP;
	if (!m->own && r->active && h->view == r->me.view && stability_needs_not(r, h))
		return VERDICT_DROP;
	if (!m->own)
		claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

/* A replica's first word of (view, seq) sticks; one of a higher view replaces it. */
static bool
statement_record(struct statement *t, const struct message_header *h, const uint8_t *signature64)
{
	if (t->present && t->view >= h->view)
		return false;
	t->present = true;
	t->view = h->view;
	memcpy(t->history32, h->digest, 32);
	memcpy(t->signature64, signature64, SIGNATURE_SIZE);
	return true;
}

bool
statement_gather(const struct zyzzyva *r, const struct slot *s, uint64_t view,
    const uint8_t *history32, struct commit_certificate *c)
{
	uint32_t count = 0;
	c->head = (struct commit_head){.view = view, .seq = s->seq};
	memcpy(c->head.history32, history32, 32);
	for (uint32_t i = 0; i < r->me.config.replicas_count && count < r->me.quorum; i++) {
		const struct statement *t = ledger_statement(r, s, i);
		if (!t->present || t->view != view || !digest_equal(t->history32, history32))
			continue;
		c->head.signers |= replica_bit(i);
		memcpy(c->signatures64[count++], t->signature64, SIGNATURE_SIZE);
	}
	return count == r->me.quorum;
}

/* The highest certificate is kept: of the view that the history is of, by seq. */
static bool
held_replaced(const struct zyzzyva *r, const struct commit_head *head)
{
	if (!RULE(ZYZZYVA_OLD_CERTIFICATE_WINS))
		return head->seq > r->held.head.seq;
	return head->view > r->held.head.view || head->seq > r->held.head.seq;
}

void
statement_certified(struct zyzzyva *r, const struct commit_head *head, const uint8_t *signatures64,
    struct outbox *out)
{
	check(r->active && head->view == r->active_view);
	r->figures.commits++;
	if (held_replaced(r, head)) {
		r->held.head = *head;
		memcpy(
		    r->held.signatures64, signatures64, certificate_signatures_size(head->signers));
	}
	if (head->seq > r->certified)
		commit_certified(r, head->seq);
	cover_advance(r, r->certified);
	r->stirred = true;
	stability_vote(r, out);
}

void
statement_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	statement_take(r, m->header, m->proof, out);
}

void
statement_take(struct zyzzyva *r, const struct message_header *h, const uint8_t *signature64,
    struct outbox *out)
{
	struct commit_certificate c;
	struct signed_copy copy = {.header = *h};
	if (h->view < r->me.view || !ledger_holds(r, h->seq))
		return;
	struct slot *s = ledger_slot(r, h->seq);
	const struct statement *before = ledger_statement(r, s, h->sender);
	bool primary = h->view == r->me.view && h->sender == replica_primary(r, h->view);
	bool other = before->present && before->view == h->view &&
		     !digest_equal(before->history32, h->digest);
	s->stating &= h->sender != r->me.config.self;
	r->figures.conflicts += other && !primary;
	bool first = statement_record(ledger_statement(r, s, h->sender), h, signature64);
	/* The primary's is its signature of all that it has ordered so far. */
	memcpy(copy.signature64, signature64, SIGNATURE_SIZE);
	if (primary && (first || other))
		cover_seen(r, &copy, out);
	if (!first)
		return;
	if (primary)
		commit_hear(r, h->seq);
	r->stirred = true;
	if (statement_gather(r, s, h->view, h->digest, &c))
		enter_certificate(r, &c.head, (const uint8_t *)c.signatures64, out);
	else if (r->active && h->seq == r->top + 1)
		orders_advance(r, out); /* it may vouch for what we could not judge */
}

/* ---- clients on the slow path ------------------------------------------------------ */

/* Its signature counts where it counts for REQUESTs, too: see requests_screen(). */
static bool
client_fits(const struct zyzzyva *r, const struct message_header *h)
{
	const struct protocol_config *config = &r->me.config;
	if (h->sender >= config->slots_count || h->seq == 0)
		return false;
	const struct client_state *c = requests_client(&r->requests, h->sender);
	return h->proof == config->request_proof ||
	       (h->proof == PROOF_SIGNATURE && config->request_proof == PROOF_VECTOR &&
		   (c->may_sign || c->complaints != 0));
}

/* What a certificate that is known covers needs no further proof. */
static bool
is_certified(const struct zyzzyva *r, uint64_t view, uint64_t seq, const uint8_t *history32)
{
	return r->active && view == r->me.view && seq <= r->certified &&
	       history_is(r, seq, history32);
}

enum verdict
statement_screen_client(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct commit_head *head = (const void *)m->body;
	if (!client_fits(r, h))
		return VERDICT_DROP;
	if (h->type == ZYZZYVA_ASK) {
		if (m->body_size != sizeof(struct ask_body))
			return VERDICT_DROP;
		claims_add_message(claims, m, KEY_CLIENT + h->sender, r->me.config.self);
		return VERDICT_STEP;
	}
	if (m->body_size < sizeof(*head) || !certificate_signers_fit(&r->me, head->signers) ||
	    m->body_size != sizeof(*head) + certificate_signatures_size(head->signers) ||
	    head->view != r->me.view)
		return VERDICT_DROP;
	claims_add_message(claims, m, KEY_CLIENT + h->sender, r->me.config.self);
	if (!is_certified(r, head->view, head->seq, head->history32))
		commit_claim(&r->me, head, (const uint8_t *)(head + 1), claims);
	return VERDICT_STEP;
}

static void
stated(struct zyzzyva *r, const struct slot *s, uint16_t client, struct outbox *out)
{
	const struct statement *own = ledger_statement(r, s, r->me.config.self);
	const struct told *t = &r->told[client];
	struct stated_body b = {.seq = s->seq};
	memcpy(b.history32, own->history32, 32);
	memcpy(b.signature64, own->signature64, SIGNATURE_SIZE);
	struct letter letter = {
	    .type = ZYZZYVA_STATED,
	    .proof = r->me.config.reply_proof,
	    .instance = client,
	    .body_size = sizeof(b),
	    .view = r->me.view << BFT_REPLY_SHIFT,
	    .seq = t->asked_timestamp,
	};
	struct send *send = outbox_send_client(out, client);
	uint8_t *body = outbox_write(out, send, &r->me.stamp, &letter);
	send->flags = SEND_DIGEST;
	memcpy(body, &b, sizeof(b));
}

/* It waits in line until the STATEMENT comes back signed. */
static void
ask_queue(struct zyzzyva *r, uint16_t client, const struct ask_body *b, uint64_t timestamp)
{
	struct told *t = &r->told[client];
	bool queued = t->asked != 0;
	t->asked = b->seq;
	t->asked_timestamp = timestamp;
	if (queued)
		return;
	check(r->asks_count < r->me.config.slots_count);
	r->asks[(r->asks_first + r->asks_count++) % r->me.config.slots_count] = client;
}

void
statement_on_ask(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	const struct ask_body *b = (const void *)m->body;
	uint64_t view = h->view >> ZYZZYVA_ASK_SHIFT;
	/* It counts on that, whatever becomes of this operation. */
	bool promised = (h->view & ZYZZYVA_ASK_HASTY) != 0 && commit_promise(r, h->sender);
	if (b->seq <= r->stable) {
		replies_recall(h->sender, h->seq, out);
		return;
	}
	if (view != r->me.view || !replica_speaks(r) || b->seq > r->executed ||
	    !history_is(r, b->seq, b->history32))
		return;
	bool certified = b->seq <= r->certified;
	if (certified)
		commit_send(r, h->sender, h->seq, b->history32, out);
	/* Others may lack the certificate that we have: then the client has to bring it. */
	bool again = (h->view & ZYZZYVA_ASK_AGAIN) != 0;
	if (certified && !again)
		return;
	/* It is about to be certified. */
	if (promised && !again) {
		commit_want(r, h->sender, h->seq, b->seq);
		return;
	}
	struct slot *s = ledger_slot(r, b->seq);
	statement_say(r, s, s->history32, replica_bit(r->me.config.self), out);
	ask_queue(r, h->sender, b, h->seq);
}

bool
statement_asks_ready(const struct zyzzyva *r)
{
	if (r->asks_count == 0)
		return false;
	const struct told *t = &r->told[r->asks[r->asks_first]];
	const struct slot *s = ledger_find(r, t->asked);
	return !replica_speaks(r) || s == NULL || t->asked > r->top ||
	       own_is_there(r, s, s->history32) || r->me.now_ns - s->stating_ns >= r->tick_ns;
}

void
statement_answer(struct zyzzyva *r, struct outbox *out)
{
	for (uint32_t i = 0; i < ZYZZYVA_ANSWERS_PER_STEP && statement_asks_ready(r); i++) {
		uint16_t client = r->asks[r->asks_first];
		struct told *t = &r->told[client];
		const struct slot *s = ledger_find(r, t->asked);
		r->asks_first = (r->asks_first + 1) % r->me.config.slots_count;
		r->asks_count--;
		/* Else it is too late, or its own copy was lost: the client asks again. */
		if (replica_speaks(r) && s != NULL && t->asked <= r->top &&
		    own_is_there(r, s, s->history32))
			stated(r, s, client, out);
		t->asked = 0;
	}
}

void
statement_on_commit(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	const struct commit_head *head = (const void *)m->body;
	if (head->seq <= r->stable) {
		replies_recall(h->sender, h->seq, out);
		return;
	}
	if (head->view != r->me.view || !replica_speaks(r) || head->seq > r->executed ||
	    !history_is(r, head->seq, head->history32))
		return;
	if (head->seq > r->certified)
		statement_certified(r, head, (const uint8_t *)(head + 1), out);
	commit_send(r, h->sender, h->seq, head->history32, out);
}
