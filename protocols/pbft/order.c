/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The normal case (OSDI'99, section 4.2): requests, the three phases, and the
 * defence against clients whose MACs hold at some replicas only (Aardvark,
 * NSDI'09). See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

enum {
	COMPLAINTS_PER_STEP = 4,
	PARTIAL_MAX = 1, /* batches under way beside one that is not full, and itself */
};

/* ---- requests ------------------------------------------------------------- */

/* A vector, or the signature to which a client falls back. */
static bool
request_proof_fits(const struct pbft *r, uint8_t proof)
{
	return proof == r->config.request_proof ||
	       (proof == PROOF_SIGNATURE && r->config.request_proof == PROOF_VECTOR);
}

static bool
request_fits(const struct pbft *r, const struct message_header *h)
{
	return request_proof_fits(r, h->proof) && h->sender < r->config.slots_count &&
	       h->size <= r->config.request_size_max && h->seq != 0 &&
	       h->sender % r->config.instances_count == r->config.instance;
}

static const struct message_header *
pending_of(const struct pbft *r, uint16_t client)
{
	uint32_t cell = r->clients[client].cell;
	return cell != 0 ? pool_request(&r->pool, cell - 1) : NULL;
}

enum verdict
order_screen_request(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!request_fits(r, h))
		return VERDICT_DROP;
	const struct client_state *c = &r->clients[h->sender];
	if (h->seq < c->executed)
		return VERDICT_DROP;
	if (h->type == PBFT_READ && !r->config.reads)
		return VERDICT_DROP;
	/* A signature is dear to check: not of clients who need not sign. */
	bool signs = c->must_sign || r->config.request_proof == PROOF_SIGNATURE;
	if (h->proof == PROOF_SIGNATURE && !signs)
		return VERDICT_DROP;
	claims_add_message(claims, m, KEY_CLIENT + h->sender, r->config.self);
	return VERDICT_STEP;
}

static void
pending_drop(struct pbft *r, struct client_state *c)
{
	uint32_t oldest = r->pool.first;
	pool_remove(&r->pool, c->cell - 1);
	if (oldest == c->cell)
		r->head_ns = r->now_ns;
	c->cell = 0;
}

/* "If the replica is not the primary, it relays the request to the primary." (4.1) */
static void
request_keep(struct pbft *r, const struct message *m, struct outbox *out)
{
	struct client_state *c = &r->clients[m->header->sender];
	if (c->cell != 0)
		pending_drop(r, c);
	uint32_t cell = pool_add(&r->pool, m, r->now_ns);
	if (cell == UINT32_MAX) {
		r->figures.pool_full++;
		return;
	}
	c->cell = cell + 1;
	if (r->pool.count == 1)
		r->head_ns = r->now_ns;
	if (r->active && replica_leads(r))
		return;
	/* It may have been executed while the state was fetched: the cache knows. */
	if (r->moved_once)
		execute_recall(out, m->header->sender, m->header->seq);
	if (r->active)
		outbox_relay(out, outbox_send(out, replica_bit(replica_primary(r, r->view))),
		    pool_request(&r->pool, cell));
}

static void
complaint_send(struct pbft *r, uint16_t client, struct outbox *out)
{
	struct letter letter = {
	    .type = PBFT_COMPLAINT,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .view = r->view,
	    .seq = client,
	};
	vote_send(r, out, replica_others(r), &letter, NULL);
}

/*
 * A client that has to sign: one that does not know it is told so; of one that
 * does, the others hear again, for they would not take its signature else.
 */
static bool
signing_settle(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	if (h->proof != PROOF_SIGNATURE && r->config.request_proof != PROOF_SIGNATURE) {
		execute_must_sign(r, h->sender, h->seq, out);
		return false;
	}
	if ((r->clients[h->sender].complaints >> r->config.self & 1) != 0)
		complaint_send(r, h->sender, out);
	return true;
}

void
order_on_request(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct client_state *c = &r->clients[h->sender];
	if (h->type == PBFT_READ) {
		execute_on_read(r, m, out);
		return;
	}
	if (c->must_sign && h->seq > c->executed && !signing_settle(r, m, out))
		return;
	if (h->view & PBFT_WHOLE)
		c->whole = h->seq;
	if (h->seq < c->executed)
		return;
	/* Read the reply cache before arming a timer for a request that comes again. */
	if (h->seq == c->executed) {
		execute_recall(out, h->sender, h->seq);
		return;
	}
	const struct message_header *pending = pending_of(r, h->sender);
	if (pending != NULL && pending->seq >= h->seq && (pending->proof == h->proof))
		return;
	request_keep(r, m, out);
}

/* ---- the primary's batches ------------------------------------------------- */

static bool
window_open(const struct pbft *r)
{
	return r->active && replica_leads(r) && replica_votes(r) && !r->moving &&
	       r->reprepare_next == 0 && log_votable(r, r->proposed + 1) &&
	       r->proposed + 1 - r->executed <= r->config.window &&
	       r->proposed < r->accepted_max + PBFT_UNLOOPED_MAX;
}

/* A slot that siblings, or a recovering replica, wait for is filled even without requests. */
static bool
null_wanted(const struct pbft *r)
{
	return r->frontier > r->proposed;
}

uint64_t
order_deadline(const struct pbft *r)
{
	if (!window_open(r))
		return TIME_NEVER;
	if (null_wanted(r))
		return 0;
	if (r->pool.unordered == 0)
		return r->proposed < r->nulls_until ? r->null_ns : TIME_NEVER;
	if (r->pool.unordered >= r->config.batch_count_max ||
	    r->pool.unordered_size >= r->config.batch_size_max)
		return 0;
	/* A batch that is not full waits while others are under way: it fills meanwhile. */
	if (r->config.batch_adaptive)
		return r->proposed - r->executed < PARTIAL_MAX ? 0 : TIME_NEVER;
	uint32_t oldest = r->pool.unordered_first;
	while (oldest != 0 && r->pool.cells[oldest - 1].ordered)
		oldest = r->pool.cells[oldest - 1].next;
	return oldest == 0 ? TIME_NEVER
			   : r->pool.cells[oldest - 1].arrived_ns + r->config.batch_timeout_ns;
}

/* How many of the oldest requests make a batch, and their bytes. */
static uint32_t
batch_measure(struct pbft *r, uint32_t *size)
{
	uint32_t count = 0;
	*size = 0;
	for (uint32_t at = pool_next(&r->pool); at != 0 && count < r->config.batch_count_max;
	     at = r->pool.cells[at - 1].next) {
		const struct pool_cell *c = &r->pool.cells[at - 1];
		if (c->ordered)
			continue;
		if (*size + c->size > r->config.batch_size_max)
			break;
		*size += c->size;
		count++;
	}
	return count;
}

static void
batch_write(struct pbft *r, uint8_t *body, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t cell = pool_next(&r->pool) - 1;
		uint32_t size = r->pool.cells[cell].size;
		memcpy(body, pool_request(&r->pool, cell), size);
		body += size;
		if (RULE(PBFT_TWICE) || r->proposed % 2 == 0)
			pool_order(&r->pool, cell);
	}
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
	uint32_t count = batch_measure(r, &size);
	struct letter letter = {
	    .type = PBFT_PRE_PREPARE,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .body_size = size,
	    .view = r->view,
	    .seq = r->proposed + 1,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->everybody), &r->stamp, &letter);
	r->proposed++;
	batch_write(r, body, count);
	if (count == 0)
		r->null_ns = r->now_ns + r->tick_ns / 16;
	r->figures.proposals++;
	r->figures.requests_proposed += count;
}

void
order_send_pre_prepare(struct pbft *r, const struct slot *s, uint64_t to, struct outbox *out)
{
	uint32_t size;
	const uint8_t *bytes = log_body(r, s, s->digest32, &size);
	struct letter letter = {
	    .type = PBFT_PRE_PREPARE,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .body_size = size,
	    .view = r->view,
	    .seq = s->seq,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, to), &r->stamp, &letter);
	if (size > 0)
		memcpy(body, bytes, size);
}

void
order_requeue(struct pbft *r)
{
	pool_requeue(&r->pool);
	for (uint64_t seq = r->executed + 1; seq <= r->highest; seq++) {
		struct slot *s = log_find(r, seq);
		uint32_t size;
		const uint8_t *body;
		if (s == NULL || !s->accepted)
			continue;
		body = log_body(r, s, s->digest32, &size);
		if (body == NULL)
			continue;
		struct batch_cursor cursor = batch_cursor(body, size);
		struct message m;
		while (batch_next(&cursor, &r->scope, &m)) {
			const struct message_header *pending = pending_of(r, m.header->sender);
			if (pending != NULL && pending->seq <= m.header->seq)
				pool_order(&r->pool, r->clients[m.header->sender].cell - 1);
		}
	}
}

/* ---- pre-prepare ----------------------------------------------------------- */

static bool
vote_proof_fits(const struct pbft *r, const struct message_header *h)
{
	return h->proof == r->config.protocol_proof && h->sender < r->config.replicas_count;
}

enum verdict
order_screen_pre_prepare(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	/* "from the primary of v only"; a replica that is ahead in views needs it no more. */
	if (!vote_proof_fits(r, h) || h->sender != replica_primary(r, h->view) ||
	    h->view < r->view || m->body_size > r->config.batch_size_max)
		return VERDICT_DROP;
	if (!log_holds(r, h->seq) || (m->body_size == 0 && !digest_is_zero(h->digest)))
		return VERDICT_DROP;
	bool own = m->own;
	if (!own)
		claims_add_message(claims, m, h->sender, r->config.self);
	struct batch_cursor cursor = batch_cursor(m->body, m->body_size);
	uint32_t count = 0;
	while (!batch_cursor_done(&cursor)) {
		struct message request;
		if (count++ == r->config.batch_count_max ||
		    !batch_next(&cursor, &r->scope, &request) || !request_fits(r, request.header))
			return VERDICT_DROP;
		if (own)
			continue;
		uint32_t first = claims->count;
		claims_add_message(
		    claims, &request, KEY_CLIENT + request.header->sender, r->config.self);
		for (uint32_t i = first; i < claims->count; i++)
			claims->list[i].optional = true;
	}
	return VERDICT_STEP;
}

/* A batch at seq is waited for; the first such one starts the timer. */
static void
highest_raise(struct pbft *r, uint64_t seq)
{
	uint64_t done = r->executed < r->committed ? r->executed : r->committed;
	if (r->highest <= done)
		r->progress_ns = r->now_ns;
	if (seq > r->highest)
		r->highest = seq;
}

/* One batch orders a client once: a correct primary knows one request of each. */
static bool
batch_is_simple(struct pbft *r, const struct message *m)
{
	struct batch_cursor cursor = batch_cursor(m->body, m->body_size);
	struct message request;
	r->batch_mark++;
	while (batch_next(&cursor, &r->scope, &request)) {
		struct client_state *c = &r->clients[request.header->sender];
		if (c->batch_mark == r->batch_mark)
			return false;
		c->batch_mark = r->batch_mark;
	}
	return true;
}

/* f + 1 complain: one of them is correct, and the client's MACs are bad there. */
static void
complaints_judge(struct pbft *r, uint16_t client, uint64_t timestamp, struct outbox *out)
{
	struct client_state *c = &r->clients[client];
	if (c->must_sign || quorum_count(c->complaints) < quorum_weak(r->config.faults))
		return;
	c->must_sign = true;
	execute_must_sign(r, client, timestamp, out);
}

/* Tells everybody, once a client. False: it is known. */
static bool
complain(struct pbft *r, const struct message_header *request, struct outbox *out)
{
	struct client_state *c = &r->clients[request->sender];
	r->figures.macs_failed++;
	if (request->proof == PROOF_SIGNATURE || (c->complaints >> r->config.self & 1) != 0)
		return false;
	c->complaints |= replica_bit(r->config.self);
	complaint_send(r, request->sender, out);
	complaints_judge(r, request->sender, request->seq, out);
	return true;
}

/*
 * Are the requests authentic to this replica? Of those that are not, the
 * others hear.
 */
static bool
batch_holds(struct pbft *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	if (m->own || r->config.request_proof == PROOF_NONE)
		return true;
	struct batch_cursor cursor = batch_cursor(m->body, m->body_size);
	struct message request;
	bool all = true;
	uint32_t at = m->body_size > 0 ? 2 : 1;
	uint32_t complaints = 0;
	while (batch_next(&cursor, &r->scope, &request)) {
		bool holds = event->holds[at++];
		if (request.body_size > 0)
			holds &= event->holds[at++];
		if (__builtin_expect(holds, 1))
			continue;
		const struct message_header *own = pending_of(r, request.header->sender);
		/* "or it holds the client's own direct copy" */
		if (own != NULL && own->size == request.header->size &&
		    memcmp(own, request.header, own->size) == 0)
			continue;
		all = false;
		if (complaints < COMPLAINTS_PER_STEP)
			complaints += complain(r, request.header, out);
	}
	return all;
}

void
order_on_complaint(struct pbft *r, const struct message *m, struct outbox *out)
{
	uint16_t client = (uint16_t)m->header->seq;
	struct client_state *c = &r->clients[client];
	c->complaints |= replica_bit(m->header->sender);
	const struct message_header *pending = pending_of(r, client);
	complaints_judge(r, client, pending != NULL ? pending->seq : c->executed + 1, out);
}

/* The votes that came before the pre-prepare. */
void
order_count_votes(struct pbft *r, struct slot *s)
{
	s->prepares = 0;
	s->commits = 0;
	for (uint32_t i = 0; i < r->config.replicas_count; i++) {
		const struct vote *p = log_vote(r, s, PHASE_PREPARE, i);
		const struct vote *c = log_vote(r, s, PHASE_COMMIT, i);
		if (p->present && p->view == s->view && digest_equal(p->digest32, s->digest32))
			s->prepares |= replica_bit(i);
		if (c->present && c->view == s->view && digest_equal(c->digest32, s->digest32))
			s->commits |= replica_bit(i);
	}
}

void
order_on_pre_prepare(struct pbft *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	const struct message_header *h = m->header;
	if (h->view != r->view || !r->active || !log_holds(r, h->seq))
		return;
	struct slot *s = log_slot(r, h->seq);
	/* "it has not accepted a pre-prepare message for view v and sequence number n
	   containing a different digest" (4.2) */
	if (s->accepted && !digest_equal(s->digest32, h->digest)) {
		r->figures.conflicts++;
		return;
	}
	if (s->accepted && log_has_body(s, h->digest)) {
		return;
	}
	if (!batch_is_simple(r, m)) {
		r->figures.refused++;
		return;
	}
	if (!log_store_body(r, s, h->digest, m))
		return;
	if (!s->accepted) {
		s->accepted = true;
		s->view = r->view;
		s->accepted_ns = r->now_ns;
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

/* ---- prepare and commit ---------------------------------------------------- */

enum verdict
order_screen_vote(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!vote_proof_fits(r, h) || m->body_size != 0 || !log_holds(r, h->seq))
		return VERDICT_DROP;
	/* The primary's pre-prepare is its prepare. */
	if (h->type == PBFT_PREPARE &&
	    (h->view < r->view || h->sender == replica_primary(r, h->view)))
		return VERDICT_DROP;
	const struct slot *s = &r->slots[h->seq % r->slots_count];
	/* What is prepared, or committed, needs no further votes: they are not even proven. */
	if (s->seq == h->seq &&
	    (s->committed || (h->type == PBFT_PREPARE && s->prepared && s->view == h->view)))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->config.self);
	return VERDICT_STEP;
}

/* A replica's first vote for (view, seq, phase) sticks; one in a higher view replaces it. */
static bool
vote_record(struct pbft *r, struct vote *v, const struct message_header *h)
{
	if (v->present && v->view > h->view)
		return false;
	if (v->present && v->view == h->view) {
		r->figures.conflicts += !digest_equal(v->digest32, h->digest);
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
	for (uint32_t i = 0; i < r->config.replicas_count; i++) {
		const struct vote *v = log_vote(r, s, phase, i);
		if (v->present && v->view == like->view &&
		    digest_equal(v->digest32, like->digest32))
			mask |= replica_bit(i);
	}
	return mask;
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
		    (r->now_ns - s->prepared_ns) / 16 - r->figures.commit_ns / 16;
	while (true) {
		const struct slot *next = log_find(r, r->committed + 1);
		if (next == NULL || !next->committed)
			break;
		r->committed++;
		r->progress_ns = r->now_ns;
	}
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
	bool first = vote_record(r, v, h);
	if (!first && (RULE(PBFT_PREPARES_TWICE) || phase != PHASE_PREPARE))
		return;
	uint64_t bit = replica_bit(h->sender);
	if (!first) {
		/* Counted again: as if it were from a backup that has said nothing yet. */
		uint64_t mute = r->everybody & ~s->prepares;
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
	    quorum_count(votes_like(r, s, phase, v)) >= r->q) {
		slot_commit(r, s, v->view, v->digest32);
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
		r->figures.conflicts += !digest_equal(v->digest32, h->digest);
		return;
	}
	v->present = true;
	memcpy(v->digest32, h->digest, 32);
	if (s->committed ||
	    quorum_count(votes_like(r, s, PHASE_DECIDED, v)) < quorum_weak(r->config.faults))
		return;
	slot_commit(r, s, VIEW_UNKNOWN, v->digest32);
	status_fetch(r, s, out);
	order_advance(r, s, out);
	execute_deliver(r, out);
}

void
vote_send(struct pbft *r, struct outbox *out, uint64_t to, const struct letter *letter,
    const uint8_t *digest32)
{
	struct send *s = outbox_send(out, to);
	outbox_write(out, s, &r->stamp, letter);
	if (digest32 != NULL)
		memcpy(s->header->digest, digest32, 32);
}

static void
slot_vote(struct pbft *r, struct slot *s, enum phase phase, struct outbox *out)
{
	struct letter letter = {
	    .type = phase == PHASE_PREPARE ? PBFT_PREPARE : PBFT_COMMIT,
	    .proof = r->config.protocol_proof,
	    .instance = r->config.instance,
	    .view = r->view,
	    .seq = s->seq,
	};
	vote_send(r, out, replica_others(r), &letter, s->digest32);
	struct vote *v = log_vote(r, s, phase, r->config.self);
	v->present = true;
	v->view = r->view;
	memcpy(v->digest32, s->digest32, 32);
	if (phase == PHASE_PREPARE)
		s->prepares |= replica_bit(r->config.self);
	else
		s->commits |= replica_bit(r->config.self);
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
	       (decided || quorum_count(slot_backups(r, s)) >= r->q - 1);
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
	uint64_t view = quorum_count(slot_backups(r, s)) >= r->q - 1 ? r->view : decided;
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
		s->vouched = quorum_count(backups) >= r->config.faults && r->config.faults > 0;
	}
	if (s->prepare_sent || !s->vouched || !log_has_body(s, s->digest32) || !replica_votes(r))
		return;
	s->prepare_sent = true;
	slot_remember(s, r->view);
	if (!replica_leads(r))
		slot_vote(r, s, PHASE_PREPARE, out);
}

void
order_advance(struct pbft *r, struct slot *s, struct outbox *out)
{
	if (!r->active || !s->accepted || s->view != r->view || !log_votable(r, s->seq))
		return;
	slot_prepare(r, s, out);
	/* q others have it prepared: that is proof, and what is left is to say so, too. */
	if (!s->committed && quorum_count(s->commits & ~replica_bit(r->config.self)) >= r->q)
		slot_commit(r, s, s->view, s->digest32);
	if (!s->prepared && slot_is_prepared(r, s)) {
		s->prepared = true;
		s->prepared_ns = r->now_ns;
		slot_remember_prepared(r, s);
		r->prepared_max = s->seq > r->prepared_max ? s->seq : r->prepared_max;
		r->figures.prepare_ns +=
		    (r->now_ns - s->accepted_ns) / 16 - r->figures.prepare_ns / 16;
	}
	if (s->prepared && !s->commit_sent && replica_votes(r)) {
		s->commit_sent = true;
		slot_vote(r, s, PHASE_COMMIT, out);
	}
	if (!s->committed && s->prepared && quorum_count(s->commits) >= r->q)
		slot_commit(r, s, s->view, s->digest32);
	if (r->config.tentative)
		checkpoint_vote(r, out);
	execute_deliver(r, out);
}
