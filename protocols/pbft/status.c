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
	return member_proof_fits(&r->me, m->header) && m->header->sender != r->me.config.self;
}

enum verdict
status_screen(const struct pbft *r, const struct message *m, struct claims *claims)
{
	if (!peer_proof_fits(r, m) || m->body_size != sizeof(struct status_body))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	return VERDICT_STEP;
}

enum verdict
status_screen_fetch(const struct pbft *r, const struct message *m, struct claims *claims)
{
	if (!peer_proof_fits(r, m) || m->body_size != 0 || !log_holds(r, m->header->seq))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	return VERDICT_STEP;
}

/* A batch that was asked for proves itself: its digest is known. */
enum verdict
status_screen_batch(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct slot *s = &r->slots[h->seq % r->slots_count];
	if (h->proof != PROOF_NONE || m->body_size == 0 || h->seq == 0 || s->seq != h->seq ||
	    m->body_size > r->me.config.batch_size_max || s->fetches == 0)
		return VERDICT_DROP;
	if (requests_screen_batch(&r->requests, m->body, m->body_size, NULL) == VERDICT_DROP)
		return VERDICT_DROP;
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
	uint64_t likely = (s->prepares | s->commits) & member_others(&r->me);
	uint64_t ask = likely != 0 && s->fetches < 4 ? likely : member_others(&r->me);
	for (uint32_t skip = s->fetches % quorum_count(ask); skip > 0; skip--)
		ask &= ask - 1;
	struct word word = {
	    .type = PBFT_FETCH,
	    .view = r->me.view,
	    .seq = s->seq,
	    .digest32 = digest32,
	};
	member_say(&r->me, ask & -ask, &word, out);
	s->fetches++;
	s->fetched_ns = r->me.now_ns;
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
		if (s->committed || (s->prepared && s->view == r->me.view))
			b->ready |= 1ull << i;
	}
}

void
status_send(struct pbft *r, uint64_t to, uint64_t echo, struct outbox *out)
{
	struct status_body b = {
	    .stable = r->checkpoints.stable,
	    .executed = r->executed < r->committed ? r->executed : r->committed,
	    .prepared = r->prepared_max,
	    .active = r->active && r->offered.view <= r->me.view,
	    .changes = view_change_held(r),
	    .wanted = r->offered.view != 0 ? r->wanted : 0,
	    .nonce = r->silent ? r->nonce : 0,
	    .echo = echo,
	    .recovery = r->silent ? r->recovery : 0,
	};
	if ((to & (to - 1)) == 0 && to != 0)
		b.your_view = r->asked[__builtin_ctzll(to)];
	status_fill(r, &b);
	struct letter letter = {
	    .type = PBFT_STATUS,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = sizeof(b),
	    .view = r->offered.view > r->me.view ? r->offered.view : r->me.view,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, to), &r->me.stamp, &letter);
	memcpy(body, &b, sizeof(b));
	r->figures.statuses++;
}

/*
 * When to look around next: often at first; while a long timeout runs and nothing
 * moves, more and more rarely, down to PBFT_TICKS_PER_TIMEOUT in that timeout.
 * Else a view change that takes 64 timeouts would be a storm of repair. Nor sooner
 * than what is on its way could have come: where messages take long, asking for it
 * each tick would have everything sent many times, and all of it behind one another.
 * But messages that are lost make a phase long, too, and waiting longer then makes it
 * longer still: so the doubled timeout does not count for that.
 */
static uint64_t
tick_next_ns(struct pbft *r)
{
	uint64_t mark = r->me.view + r->executed + r->committed + r->prepared_max +
			quorum_count(view_change_held(r)) + r->active;
	r->tick_quiet = mark == r->tick_mark ? r->tick_quiet + 1 : 0;
	r->tick_mark = mark;
	uint32_t doublings = r->tick_quiet / PBFT_TICKS_EACH;
	uint64_t wait_ns = r->tick_ns << (doublings < r->backoff ? doublings : r->backoff);
	uint64_t round_ns = PBFT_TICK_HOPS * r->figures.commit_ns;
	uint64_t longest_ns = r->me.config.view_timeout_ns / PBFT_TICKS_LEAST;
	round_ns = round_ns < longest_ns ? round_ns : longest_ns;
	return r->me.now_ns + (wait_ns > round_ns ? wait_ns : round_ns);
}

/* Once a tick: is something wrong, and what can be done about it? */
void
status_tick(struct pbft *r, struct outbox *out)
{
	r->tick_at_ns = tick_next_ns(r);
	r->tick++;
	requests_look_again(&r->requests);
	bool moved = r->executed != r->tick_executed || r->committed != r->tick_committed;
	bool needed = r->silent || !r->active || r->checkpoints.moving || r->offered.view != 0 ||
		      r->checkpoints.stable_seen.seq > r->checkpoints.stable ||
		      (!moved && (view_change_waits(r) || r->heard > r->executed));
	r->tick_executed = r->executed;
	r->tick_committed = r->committed;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++)
		r->peers[i].batches = 0;
	if (needed || r->tick % PBFT_TICKS_IDLE == 0)
		r->status_due = true;
	if (r->silent)
		recover_check(r, out);
	if (!moved && checkpoint_is_ahead(r))
		checkpoint_catch_up(r, out);
	if (r->new_view_late)
		r->new_view_due = true;
	if (!r->active && !r->silent && r->now[r->me.config.self].view != r->me.view)
		r->change_due = true;
	if (!moved)
		order_adopt(r);
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
	if (p->answer_seq != 0 || r->me.now_ns - p->answered_ns < r->tick_ns / 4)
		return;
	p->answered_ns = r->me.now_ns;
	p->status = b;
	p->status_view = m->header->view;
	bool behind =
	    m->header->view < r->me.view || (m->header->view == r->me.view && b.active == 0);
	/* Nobody makes view 0: all begin in it. */
	p->answer_view = behind && r->active && r->me.view != 0 && r->entered.view == r->me.view;
	p->answer_changes = 0;
	if (p->answer_view) {
		const struct new_view_head *head = (const void *)(r->entered.message + 1);
		p->answer_changes = head->members;
		if (m->header->view == r->me.view)
			p->answer_changes &= b.wanted != 0 ? b.wanted : ~b.changes;
	} else if (behind && !r->active) {
		p->answer_changes = view_change_held(r);
		if (m->header->view == r->me.view)
			p->answer_changes &= ~b.changes;
	}
	p->answer_status = b.nonce != 0;
	p->answer_stable = b.stable < checkpoints_voted(&r->checkpoints);
	uint64_t base = log_base(r);
	p->answer_seq = (b.executed > base && b.executed < UINT64_MAX / 2 ? b.executed : base) + 1;
	p->answer_end = p->answer_seq + ANSWER_SLOTS_MAX;
	if (p->answer_end > r->highest + 1)
		p->answer_end = r->highest + 1;
	r->answers |= replica_bit(from);
	/* It recovers: let the log move on although nobody asks for anything. */
	if (b.recovery > r->checkpoints.stable &&
	    b.recovery <= r->checkpoints.stable + r->window_log + 2 * r->interval &&
	    b.recovery > r->nulls_until)
		r->nulls_until = b.recovery + r->interval;
}

static void
vote_resend(struct pbft *r, struct slot *s, enum phase phase, uint64_t to, struct outbox *out)
{
	const struct vote *v = log_vote(r, s, phase, r->me.config.self);
	if (!v->present)
		return;
	struct word word = {
	    .type = phase == PHASE_PREPARE ? PBFT_PREPARE : PBFT_COMMIT,
	    .view = v->view,
	    .seq = s->seq,
	    .digest32 = v->digest32,
	};
	member_say(&r->me, to, &word, out);
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
		struct word word = {
		    .type = PBFT_DECIDED,
		    .view = r->me.view,
		    .seq = s->seq,
		    .digest32 = s->final32,
		};
		member_say(&r->me, to, &word, out);
		r->figures.resent++;
	} else {
		if (!ready || p->status_view != r->me.view)
			vote_resend(r, s, PHASE_PREPARE, to, out);
		vote_resend(r, s, PHASE_COMMIT, to, out);
	}
	if (has_body || !r->active || !replica_leads(r) || !s->accepted || s->view != r->me.view ||
	    p->status_view != r->me.view || !log_has_body(s, s->digest32) || !replica_votes(r))
		return false;
	order_send_pre_prepare(r, s, to, out);
	r->figures.resent++;
	return true;
}

/* What concerns views. True: something was sent. */
static bool
views_answer(struct pbft *r, struct peer *p, uint64_t to, struct outbox *out)
{
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
		if (r->entered.view == r->me.view && r->me.view != 0 && r->active)
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
		checkpoints_answer(&r->checkpoints, to, out);
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
	    .instance = r->me.config.instance,
	    .body_size = size,
	    .view = r->me.view,
	    .seq = h->seq,
	};
	struct send *send = outbox_send(out, replica_bit(h->sender));
	uint8_t *body = outbox_write(out, send, &r->me.stamp, &letter);
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
