/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair (TOCS'02, section 5.2): now and then, and more often while something
 * is missing, a replica says where it stands; others answer with what it lacks,
 * at a bounded rate. Batches are fetched by their digest. See replica.h. One
 * core.
 */
#include "protocols/pbft/replica.h"

enum {
	ANSWER_SLOTS_MAX = 32, /* in one answer */
	ANSWER_SENDS = 6,      /* in one step */
	BATCHES_PER_TICK = 64, /* served to one replica */
};

static bool
peer_proof_fits(const struct pbft *r, const struct message *m)
{
	return m->header->proof == r->config.protocol_proof &&
	       m->header->sender < r->config.replicas_count && m->header->sender != r->config.self;
}

enum verdict
status_screen(const struct pbft *r, const struct message *m, struct claims *claims)
{
	if (!peer_proof_fits(r, m) || m->body_size != sizeof(struct status_body))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->config.self);
	return VERDICT_STEP;
}

enum verdict
status_screen_fetch(const struct pbft *r, const struct message *m, struct claims *claims)
{
	if (!peer_proof_fits(r, m) || m->body_size != 0 || !log_holds(r, m->header->seq))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->config.self);
	return VERDICT_STEP;
}

/* A batch that was asked for proves itself: its digest is known. */
enum verdict
status_screen_batch(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct slot *s = &r->slots[h->seq % r->slots_count];
	if (h->proof != PROOF_NONE || m->body_size == 0 || h->seq == 0 || s->seq != h->seq ||
	    m->body_size > r->config.batch_size_max || s->fetches == 0)
		return VERDICT_DROP;
	struct batch_cursor cursor = batch_cursor(m->body, m->body_size);
	while (!batch_cursor_done(&cursor)) {
		struct message request;
		if (!batch_next(&cursor, &r->scope, &request) ||
		    request.header->sender >= r->config.slots_count)
			return VERDICT_DROP;
	}
	struct claim *c = claims_add(claims);
	c->kind = CLAIM_DIGEST;
	c->key = 0;
	c->size = m->body_size;
	c->data = m->body;
	c->proof = h->digest;
	return VERDICT_STEP;
}

/* ---- asking ----------------------------------------------------------------- */

const uint8_t *
status_missing(const struct slot *s)
{
	if (s->committed)
		return log_has_body(s, s->final32) ? NULL : s->final32;
	if (s->wanted && !log_has_body(s, s->wanted32))
		return s->wanted32;
	if (s->accepted)
		return log_has_body(s, s->digest32) ? NULL : s->digest32;
	return NULL;
}

/* Those who said that they have it are asked first, then everybody in turn. */
void
status_fetch(struct pbft *r, struct slot *s, struct outbox *out)
{
	const uint8_t *digest32 = status_missing(s);
	if (digest32 == NULL)
		return;
	uint64_t likely = (s->prepares | s->commits) & replica_others(r);
	uint64_t ask = likely != 0 && s->fetches < 4 ? likely : replica_others(r);
	for (uint32_t skip = s->fetches % quorum_count(ask); skip > 0; skip--)
		ask &= ask - 1;
	struct letter letter = {
	    .type = PBFT_FETCH,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .view = r->view,
	    .seq = s->seq,
	};
	vote_send(r, out, ask & -ask, &letter, digest32);
	s->fetches++;
	s->fetched_ns = r->now_ns;
	r->figures.fetches++;
}

/* Bit i of the masks is executed + 1 + i. */
static void
status_fill(struct pbft *r, struct status_body *b)
{
	for (uint64_t i = 0; i < 64; i++) {
		struct slot *s = log_find(r, b->executed + 1 + i);
		if (s == NULL)
			continue;
		const uint8_t *digest32 = s->committed ? s->final32 : s->digest32;
		if ((s->committed || s->accepted) && log_has_body(s, digest32))
			b->bodies |= 1ull << i;
		if (s->committed || (s->prepared && s->view == r->view))
			b->ready |= 1ull << i;
	}
}

void
status_send(struct pbft *r, uint64_t to, uint64_t echo, struct outbox *out)
{
	struct status_body b = {
	    .stable = r->stable,
	    .executed = r->executed < r->committed ? r->executed : r->committed,
	    .prepared = r->prepared_max,
	    .active = r->active && r->offered.view <= r->view,
	    .changes = view_change_held(r),
	    .wanted = r->offered.view != 0 ? r->wanted : 0,
	    .nonce = r->silent ? r->nonce : 0,
	    .echo = echo,
	    .recovery = r->silent ? r->recovery : 0,
	};
	if ((to & (to - 1)) == 0 && to != 0) {
		uint32_t peer = (uint32_t)__builtin_ctzll(to);
		b.your_view =
		    r->now[peer].view > r->next[peer].view ? r->now[peer].view : r->next[peer].view;
	}
	status_fill(r, &b);
	struct letter letter = {
	    .type = PBFT_STATUS,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .body_size = sizeof(b),
	    .view = r->offered.view > r->view ? r->offered.view : r->view,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, to), &r->stamp, &letter);
	memcpy(body, &b, sizeof(b));
	r->figures.statuses++;
}

/* Once a tick: is something wrong, and what can be done about it? */
void
status_tick(struct pbft *r, struct outbox *out)
{
	r->tick_at_ns = r->now_ns + r->tick_ns;
	r->tick++;
	bool moved = r->executed != r->tick_executed || r->committed != r->tick_committed;
	bool needed = r->silent || !r->active || r->moving || r->offered.view != 0 ||
		      r->stable_seen.seq > r->stable ||
		      (!moved && (view_change_waits(r) || r->heard > r->executed));
	r->tick_executed = r->executed;
	r->tick_committed = r->committed;
	for (uint32_t i = 0; i < r->config.replicas_count; i++)
		r->peers[i].batches = 0;
	if (needed || r->tick % PBFT_TICKS_IDLE == 0)
		r->status_due = true;
	if (r->silent)
		recover_check(r, out);
	bool behind = r->stable_seen.seq > r->executed || r->vouched_seen.seq > r->executed;
	if (!moved && behind)
		checkpoint_catch_up(r, out);
	if (r->new_view_late)
		r->new_view_due = true;
	if (!r->active && !r->silent && r->now[r->config.self].view != r->view)
		r->change_due = true;
	uint32_t fetches = 0;
	uint64_t done = r->executed < r->committed ? r->executed : r->committed;
	for (uint64_t seq = done + 1; seq <= r->highest && fetches < 8; seq++) {
		struct slot *s = log_find(r, seq);
		if (s == NULL || status_missing(s) == NULL)
			continue;
		status_fetch(r, s, out);
		fetches++;
	}
}

/* ---- answering --------------------------------------------------------------- */

void
status_on_message(struct pbft *r, const struct message *m, struct outbox *out)
{
	struct status_body b;
	uint16_t from = m->header->sender;
	struct peer *p = &r->peers[from];
	(void)out;
	memcpy(&b, m->body, sizeof(b));
	recover_on_status(r, from, m);
	/* "messages are retransmitted at a bounded rate": who floods gains nothing. */
	if (p->answer_seq != 0 || r->now_ns - p->answered_ns < r->tick_ns / 4)
		return;
	p->answered_ns = r->now_ns;
	p->status = b;
	p->status_view = m->header->view;
	bool behind = m->header->view < r->view || (m->header->view == r->view && b.active == 0);
	/* Nobody makes view 0: all begin in it. */
	p->answer_view = behind && r->active && r->view != 0 && r->entered.view == r->view;
	p->answer_changes = 0;
	if (p->answer_view) {
		const struct new_view_head *head = (const void *)(r->entered.message + 1);
		p->answer_changes = head->members;
		if (m->header->view == r->view)
			p->answer_changes &= b.wanted != 0 ? b.wanted : ~b.changes;
	} else if (behind && !r->active) {
		p->answer_changes = view_change_held(r);
		if (m->header->view == r->view)
			p->answer_changes &= ~b.changes;
	}
	p->answer_status = b.nonce != 0;
	p->answer_stable = b.stable < r->stable || b.executed <= r->stable;
	uint64_t base = log_base(r);
	p->answer_seq = (b.executed > base && b.executed < UINT64_MAX / 2 ? b.executed : base) + 1;
	p->answer_end = p->answer_seq + ANSWER_SLOTS_MAX;
	if (p->answer_end > r->highest + 1)
		p->answer_end = r->highest + 1;
	r->answers |= replica_bit(from);
	/* It recovers: let the log move on although nobody asks for anything. */
	if (b.recovery > r->stable && b.recovery <= r->stable + r->window_log + 2 * r->interval &&
	    b.recovery > r->nulls_until)
		r->nulls_until = b.recovery + r->interval;
}

static void
vote_resend(struct pbft *r, struct slot *s, enum phase phase, uint64_t to, struct outbox *out)
{
	const struct vote *v = log_vote(r, s, phase, r->config.self);
	if (!v->present)
		return;
	struct letter letter = {
	    .type = phase == PHASE_PREPARE ? PBFT_PREPARE : PBFT_COMMIT,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .view = v->view,
	    .seq = s->seq,
	};
	vote_send(r, out, to, &letter, v->digest32);
	r->figures.resent++;
}

/* One slot of an answer. True: something that may be large was sent. */
static bool
slot_answer(struct pbft *r, struct slot *s, const struct peer *p, struct outbox *out)
{
	uint64_t to = replica_bit((uint32_t)(p - r->peers));
	uint64_t place = s->seq - 1 - p->status.executed;
	bool has_body = place < 64 && (p->status.bodies >> place & 1) != 0;
	bool ready = place < 64 && (p->status.ready >> place & 1) != 0;
	if (s->committed) {
		struct letter letter = {
		    .type = PBFT_DECIDED,
		    .proof = r->config.protocol_proof,
		    .instance = r->config.instance,
		    .view = r->view,
		    .seq = s->seq,
		};
		vote_send(r, out, to, &letter, s->final32);
		r->figures.resent++;
	} else {
		if (!ready || p->status_view != r->view)
			vote_resend(r, s, PHASE_PREPARE, to, out);
		vote_resend(r, s, PHASE_COMMIT, to, out);
	}
	if (has_body || !r->active || !replica_leads(r) || !s->accepted || s->view != r->view ||
	    p->status_view != r->view || !log_has_body(s, s->digest32) || !replica_votes(r))
		return false;
	order_send_pre_prepare(r, s, to, out);
	r->figures.resent++;
	return true;
}

static void
checkpoints_answer(struct pbft *r, uint64_t to, struct outbox *out)
{
	for (uint32_t i = 0; i < PBFT_CHECKPOINTS; i++) {
		const struct checkpoint *c = &r->peers[r->config.self].checkpoints[i];
		if (c->seq < r->stable || c->seq == 0)
			continue;
		struct letter letter = {
		    .type = PBFT_CHECKPOINT,
		    .proof = r->config.protocol_proof,
		    .instance = r->config.instance,
		    .view = r->view,
		    .seq = c->seq,
		};
		vote_send(r, out, to, &letter, c->digest32);
	}
}

/* What concerns views. True: something was sent. */
static bool
views_answer(struct pbft *r, struct peer *p, uint64_t to, struct outbox *out)
{
	if (p->answer_changes != 0) {
		uint32_t i = (uint32_t)__builtin_ctzll(p->answer_changes);
		p->answer_changes &= p->answer_changes - 1;
		if (r->now[i].view == r->view && r->view != 0)
			outbox_relay(out, outbox_send(out, to), r->now[i].message);
		return true;
	}
	/* After the VIEW-CHANGEs, without which nobody believes in it. */
	if (p->answer_view) {
		p->answer_view = false;
		if (r->entered.view == r->view && r->view != 0 && r->active)
			outbox_relay(out, outbox_send(out, to), r->entered.message);
		return true;
	}
	return false;
}

/* One step's share of what others are owed. */
void
status_answer(struct pbft *r, struct outbox *out)
{
	uint32_t peer = (uint32_t)__builtin_ctzll(r->answers);
	struct peer *p = &r->peers[peer];
	uint64_t to = replica_bit(peer);
	uint32_t sent = 0;
	if (views_answer(r, p, to, out))
		return;
	if (p->answer_status)
		status_send(r, to, p->status.nonce, out);
	if (p->answer_stable)
		checkpoints_answer(r, to, out);
	p->answer_status = false;
	p->answer_stable = false;
	while (p->answer_seq < p->answer_end && sent < ANSWER_SENDS) {
		struct slot *s = log_find(r, p->answer_seq++);
		if (s == NULL)
			continue;
		sent += 3;
		if (slot_answer(r, s, p, out))
			break;
	}
	if (p->answer_seq < p->answer_end)
		return;
	p->answer_seq = 0;
	r->answers &= ~to;
}

/* ---- batches by digest --------------------------------------------------------- */

void
status_on_fetch(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct slot *s = log_find(r, h->seq);
	struct peer *p = &r->peers[h->sender];
	uint32_t size;
	if (s == NULL || p->batches >= BATCHES_PER_TICK)
		return;
	const uint8_t *bytes = log_body(r, s, h->digest, &size);
	if (bytes == NULL || size == 0)
		return;
	p->batches++;
	r->figures.batches_served++;
	struct letter letter = {
	    .type = PBFT_BATCH,
	    .proof = PROOF_NONE,
	    .instance = r->config.instance,
	    .body_size = size,
	    .view = r->view,
	    .seq = h->seq,
	};
	struct send *send = outbox_send(out, replica_bit(h->sender));
	uint8_t *body = outbox_write(out, send, &r->stamp, &letter);
	memcpy(body, bytes, size);
	memcpy(send->header->digest, h->digest, 32);
}

void
status_on_batch(struct pbft *r, const struct message *m, struct outbox *out)
{
	struct slot *s = log_find(r, m->header->seq);
	if (s == NULL)
		return;
	const uint8_t *missing = status_missing(s);
	if (missing == NULL || !digest_equal(missing, m->header->digest))
		return;
	if (!log_store_body(r, s, m->header->digest, m))
		return;
	s->fetches = 0;
	if (r->new_view_late)
		r->new_view_due = true;
	order_advance(r, s, out);
	execute_deliver(r, out);
}
