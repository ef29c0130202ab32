/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: while something is missing, and for a while after there was news, a
 * replica says where it stands; others answer with what it lacks, at a bounded
 * rate. Where all is quiet nothing is sent. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum {
	ANSWER_SLOTS_MAX = 32, /* in one answer */
	BODIES_PER_TICK = 64,  /* served to one replica */
};

static bool
peer_proof_fits(const struct zyzzyva *r, const struct message *m)
{
	return member_proof_fits(&r->me, m->header) && m->header->sender != r->me.config.self;
}

enum verdict
repair_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	if (!peer_proof_fits(r, m) || m->body_size != sizeof(struct status_body))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	return VERDICT_STEP;
}

enum verdict
repair_screen_fetch(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	if (!peer_proof_fits(r, m) || m->body_size != 0 || ledger_find(r, m->header->seq) == NULL)
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	return VERDICT_STEP;
}

/* A body that was asked for proves itself: its digest is known. */
enum verdict
repair_screen_body(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct pending *p = &r->pending;
	if (h->proof != PROOF_NONE || !p->present || p->linked || h->seq != p->at ||
	    !digest_equal(h->digest, p->at32) || m->body_size < 32 ||
	    m->body_size > r->body_size_max)
		return VERDICT_DROP;
	if (requests_screen_batch(&r->requests, m->body + 32, m->body_size - 32, NULL) ==
	    VERDICT_DROP)
		return VERDICT_DROP;
	struct claim *c = claims_add(claims);
	c->kind = CLAIM_DIGEST;
	c->key = 0;
	c->size = m->body_size;
	c->data = m->body;
	c->proof = h->digest;
	return VERDICT_STEP;
}

/* ---- saying where we stand -------------------------------------------------------- */

void
repair_send(struct zyzzyva *r, uint64_t to, uint64_t echo, struct outbox *out)
{
	struct status_body b = {
	    .stable = r->stable,
	    .top = r->top,
	    .executed = r->executed,
	    .active = r->active,
	    .changes = leave_held(r) & ~(r->offered.view == r->me.view ? r->wanted : 0),
	    .nonce = r->silent ? r->nonce : 0,
	    .echo = echo,
	    .recovery = r->silent ? r->recovery : 0,
	};
	struct letter letter = {
	    .type = ZYZZYVA_STATUS,
	    .proof = r->me.config.protocol_proof,
	    .body_size = sizeof(b),
	    .view = r->me.view,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, to), &r->me.stamp, &letter);
	memcpy(body, &b, sizeof(b));
	r->figures.statuses++;
}

/* Is something wrong, or under way, that others may help with? */
static bool
help_needed(const struct zyzzyva *r, bool moved)
{
	bool boundary = r->executed >= r->stable + r->interval;
	return r->silent || !r->active || r->moving || r->stranded ||
	       r->stable_seen.head.seq > r->stable || r->heard > r->top || r->top > r->covered ||
	       r->doubt > r->certified || (!moved && (boundary || r->requests.pool.count > 0));
}

void
repair_tick(struct zyzzyva *r, struct outbox *out)
{
	bool moved = r->executed != r->tick_executed;
	bool needed = help_needed(r, moved);
	r->tick++;
	requests_look_again(&r->requests);
	r->tick_executed = r->executed;
	r->quiet = r->stirred || needed ? 0 : r->quiet + 1;
	r->stirred = false;
	r->tick_at_ns = r->quiet > ZYZZYVA_TICKS_QUIET ? TIME_NEVER : r->me.now_ns + r->tick_ns;
	if (needed || r->tick % ZYZZYVA_TICKS_IDLE == 0)
		r->status_due = true;
	leave_tick(r, out);
	cover_ask(r, out);
	doubt_ask(r, out);
	if (r->silent)
		rejoin_check(r, out);
	/* The stable checkpoint is ahead, and the log does not lead there. */
	bool behind = r->stable_seen.head.seq > r->executed && !moved;
	if (behind || r->stranded || r->moving)
		stability_catch_up(r, out);
	if (!r->active && !r->silent && !r->pending.certified &&
	    r->now[r->me.config.self].view != r->me.view)
		r->change_due = true;
	if (!r->active && replica_leads(r) && !r->silent && r->offered.view != r->me.view &&
	    quorum_count(leave_held(r)) >= r->me.quorum)
		r->new_view_due = true;
	if (r->pending.present && enter_may_follow(r)) {
		r->walk_due = true;
		enter_fetch(r, out);
	}
}

/* ---- answering -------------------------------------------------------------------- */

/* Somebody is ahead: then it is time to say where we stand. */
static void
news(struct zyzzyva *r, const struct status_body *b, uint64_t view)
{
	if (view > r->me.view || (view == r->me.view && b->active != 0 && !r->active) ||
	    (view == r->me.view && r->active && b->top > r->top) || b->stable > r->stable)
		r->stirred = true;
}

static void
answer_views(struct zyzzyva *r, struct peer *p, const struct status_body *b, uint64_t view)
{
	bool behind = view < r->me.view || (view == r->me.view && b->active == 0);
	/* Nobody makes view 0: all begin in it. */
	p->answer_certificate = behind && r->active && r->held.head.signers != 0;
	p->answer_changes = 0;
	p->answer_view = false;
	if (!behind || r->active)
		return;
	p->answer_changes = leave_held(r);
	if (view == r->me.view)
		p->answer_changes &= ~b->changes;
	p->answer_view = r->offered.view == r->me.view;
}

void
repair_on_message(struct zyzzyva *r, const struct message *m)
{
	struct status_body b;
	uint16_t from = m->header->sender;
	struct peer *p = &r->peers[from];
	memcpy(&b, m->body, sizeof(b));
	rejoin_on_status(r, from, &b);
	news(r, &b, m->header->view);
	/* "messages are retransmitted at a bounded rate": who floods gains nothing. */
	if (p->answer_seq != 0 || r->me.now_ns - p->answered_ns < r->tick_ns / 4)
		return;
	p->answered_ns = r->me.now_ns;
	p->status = b;
	p->status_view = m->header->view;
	answer_views(r, p, &b, m->header->view);
	p->answer_status = b.nonce != 0;
	p->answer_stable = b.stable < r->executed;
	if (m->header->view == r->me.view && r->active && b.active != 0 && b.top < r->top) {
		p->answer_seq = (b.top > r->stable ? b.top : r->stable) + 1;
		p->answer_end = p->answer_seq + ANSWER_SLOTS_MAX;
		if (p->answer_end > r->top + 1)
			p->answer_end = r->top + 1;
	}
	r->answers |= replica_bit(from);
	/* It recovers: let the log move on although nobody asks for anything. */
	if (b.recovery > r->stable && b.recovery > r->nulls_until &&
	    b.recovery <= r->stable + r->window_log + 2 * r->interval)
		r->nulls_until = b.recovery + r->interval;
}

/* A certificate, which proves itself. */
static void
proof_send(const struct zyzzyva *r, uint8_t type, uint64_t to, const void *head, uint32_t head_size,
    const void *signatures, uint32_t size, struct outbox *out)
{
	struct letter letter = {
	    .type = type, .proof = PROOF_NONE, .body_size = head_size + size, .view = r->me.view};
	struct send *s = outbox_send(out, to);
	uint8_t *body = outbox_write(out, s, &r->me.stamp, &letter);
	memcpy(body, head, head_size);
	memcpy(body + head_size, signatures, size);
}

void
repair_send_certificate(const struct zyzzyva *r, uint64_t to, struct outbox *out)
{
	const struct commit_head *head = &r->held.head;
	check(head->signers != 0);
	proof_send(r, ZYZZYVA_CERTIFICATE, to, head, sizeof(*head), r->held.signatures64,
	    certificate_signatures_size(head->signers), out);
}

/* What concerns views. True: something that may be large was sent. */
static bool
views_answer(struct zyzzyva *r, struct peer *p, uint64_t to, struct outbox *out)
{
	if (p->answer_certificate) {
		p->answer_certificate = false;
		if (r->active && r->held.head.signers != 0)
			repair_send_certificate(r, to, out);
		return true;
	}
	if (p->answer_changes != 0) {
		uint32_t i = (uint32_t)__builtin_ctzll(p->answer_changes);
		p->answer_changes &= p->answer_changes - 1;
		if (r->now[i].view == r->me.view && r->me.view != 0)
			outbox_relay(out, outbox_send(out, to), r->now[i].message);
		return true;
	}
	/* After the VIEW-CHANGEs, without which nobody believes in it. */
	if (p->answer_view) {
		p->answer_view = false;
		if (r->offered.view == r->me.view && !r->active)
			outbox_relay(out, outbox_send(out, to), r->offered.message);
		return true;
	}
	return false;
}

static bool
stable_answer(struct zyzzyva *r, struct peer *p, uint64_t to, struct outbox *out)
{
	const struct stable_head *head = &r->stable_proof.head;
	if (!p->answer_stable)
		return false;
	p->answer_stable = false;
	stability_answer(r, p->status.stable, to, out);
	if (head->seq <= p->status.stable)
		return false;
	proof_send(r, ZYZZYVA_STABLE, to, head, sizeof(*head), r->stable_proof.signatures,
	    certificate_stable_size(head->signers), out);
	struct send *s = &out->sends[out->sends_count - 1];
	s->header->seq = head->seq;
	memcpy(s->header->digest, head->digest32, 32);
	return true;
}

/* What an inactive peer of the same view lacks to begin it: our word. */
static void
confirm_answer(struct zyzzyva *r, const struct peer *p, uint64_t to, struct outbox *out)
{
	const struct confirm *c = &r->confirm;
	if (p->status_view != r->me.view || p->status.active != 0 || r->active || r->silent ||
	    c->view != r->me.view || !ledger_holds(r, c->seq))
		return;
	statement_say(r, ledger_slot(r, c->seq), c->history32, to, out);
}

/* One step's share of what others are owed. */
void
repair_answer(struct zyzzyva *r, struct outbox *out)
{
	uint32_t peer = (uint32_t)__builtin_ctzll(r->answers);
	struct peer *p = &r->peers[peer];
	uint64_t to = replica_bit(peer);
	if (views_answer(r, p, to, out) || stable_answer(r, p, to, out))
		return;
	if (p->answer_status)
		repair_send(r, to, p->status.nonce, out);
	p->answer_status = false;
	if (p->answer_seq == 0)
		confirm_answer(r, p, to, out);
	while (p->answer_seq != 0 && p->answer_seq < p->answer_end) {
		const struct slot *s = ledger_find(r, p->answer_seq++);
		if (!r->active || !slot_is_ordered(r, s) || s->seq > r->top ||
		    ledger_bank(s, s->order.digest) == NULL)
			continue;
		orders_relay(r, s, to, out);
		r->figures.resent++;
		break;
	}
	if (p->answer_seq != 0 && p->answer_seq < p->answer_end)
		return;
	p->answer_seq = 0;
	r->answers &= ~to;
}

/* ---- bodies by digest -------------------------------------------------------------- */

void
repair_on_fetch(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	const struct slot *s = ledger_find(r, h->seq);
	struct peer *p = &r->peers[h->sender];
	const struct bank *bank = s != NULL ? ledger_bank(s, h->digest) : NULL;
	if (bank == NULL || !ration_take(r, &p->bodies, BODIES_PER_TICK))
		return;
	r->figures.resent++;
	struct letter letter = {
	    .type = ZYZZYVA_BODY,
	    .proof = PROOF_NONE,
	    .body_size = bank->size,
	    .view = r->me.view,
	    .seq = h->seq,
	};
	struct send *send = outbox_send(out, replica_bit(h->sender));
	uint8_t *body = outbox_write(out, send, &r->me.stamp, &letter);
	memcpy(body, ledger_bytes(r, s, bank), bank->size);
	memcpy(send->header->digest, h->digest, 32);
}

void
repair_on_body(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	const struct pending *p = &r->pending;
	if (!p->present || p->linked || h->seq != p->at || !digest_equal(h->digest, p->at32) ||
	    !ledger_holds(r, h->seq))
		return;
	if (ledger_store(r, ledger_slot(r, h->seq), m)) {
		r->stirred = true;
		enter_walk(r, out);
	}
}
