/* SPDX-License-Identifier: Apache-2.0 */
/* See requests.h. */
#include "protocols/bft/requests.h"

#include "protocols/bft/mutant.h"
#include "protocols/bft/replies.h"

/* The digest of a complaint that is said again. */
static const uint8_t complaint_again32[32] = {1};

/* ---- memory ------------------------------------------------------------------- */

struct layout {
	size_t clients, cells, bytes, end;
	uint32_t cells_count;
};

static struct layout
layout_of(const struct protocol_config *config)
{
	struct layout l;
	size_t cell_size = batch_padded(config->request_size_max);
	uint32_t clients_count =
	    (config->slots_count + config->instances_count - 1) / config->instances_count;
	l.cells_count = pool_cells_count(clients_count, config->request_size_max);
	l.clients = 0;
	l.cells = l.clients + clients_count * sizeof(struct client_state);
	l.bytes = l.cells + bft_rounded(l.cells_count * sizeof(struct pool_cell));
	l.end = l.bytes + bft_rounded(l.cells_count * cell_size);
	return l;
}

size_t
requests_size(const struct protocol_config *config)
{
	return layout_of(config).end;
}

void
requests_init(struct requests *q, const struct member *me, void *memory)
{
	const struct protocol_config *config = &me->config;
	struct layout l = layout_of(config);
	uint8_t *base = memory;
	check((uintptr_t)memory % 64 == 0);
	check(config->batch_size_max % 8 == 0);
	check(config->batch_size_max >= batch_padded(config->request_size_max));
	*q = (struct requests){
	    .me = me,
	    .clients = (void *)(base + l.clients),
	    .places = ((1ull << 32) + config->instances_count - 1) / config->instances_count,
	    .crowd_round = 1,
	};
	pool_init(&q->pool, (void *)(base + l.cells), base + l.bytes, l.cells_count,
	    config->request_size_max);
}

/* ---- requests ------------------------------------------------------------------ */

/* A vector, or the signature to which a client falls back. */
static inline bool
proof_fits(const struct protocol_config *config, uint8_t proof)
{
	return proof == config->request_proof ||
	       (proof == PROOF_SIGNATURE && config->request_proof == PROOF_VECTOR);
}

static inline bool
request_fits(const struct requests *q, const struct message_header *h)
{
	const struct protocol_config *config = &q->me->config;
	return proof_fits(config, h->proof) && h->size <= config->request_size_max && h->seq != 0 &&
	       requests_has_client(q, h->sender);
}

enum verdict
requests_screen(const struct requests *q, const struct message *m, struct claims *claims)
{
	const struct protocol_config *config = &q->me->config;
	const struct message_header *h = m->header;
	if (!request_fits(q, h))
		return VERDICT_DROP;
	const struct client_state *c = requests_client(q, h->sender);
	if (h->seq < c->executed)
		return VERDICT_DROP;
	if (h->type == BFT_READ && !config->reads)
		return VERDICT_DROP;
	/* A signature is dear to check: not of clients of whom nobody complains. */
	bool signs = c->may_sign || c->complaints != 0 || config->request_proof == PROOF_SIGNATURE;
	if (h->proof == PROOF_SIGNATURE && !signs)
		return VERDICT_DROP;
	claims_add_message(claims, m, KEY_CLIENT + h->sender, config->self);
	return VERDICT_STEP;
}

static void
pending_drop(struct requests *q, struct client_state *c)
{
	uint32_t oldest = q->pool.first;
	pool_remove(&q->pool, c->cell - 1);
	if (oldest == c->cell)
		q->head_ns = q->me->now_ns;
	c->cell = 0;
}

/* Is it known what of the client's was executed before the state last moved? */
static inline bool
is_settled(const struct requests *q, const struct client_state *c)
{
	return c->settled == q->moves;
}

/* "If the replica is not the primary, it relays the request to the primary." (4.1) */
static void
request_keep(struct requests *q, const struct message *m, uint64_t orderer, struct outbox *out)
{
	struct client_state *c = requests_client(q, m->header->sender);
	if (c->cell != 0)
		pending_drop(q, c);
	uint32_t cell = pool_add(&q->pool, m, q->me->now_ns);
	if (cell == UINT32_MAX) {
		q->pool_full++;
		return;
	}
	c->cell = cell + 1;
	if (q->pool.count == 1)
		q->head_ns = q->me->now_ns;
	if (c->marked_in == q->round && m->header->seq <= c->marked)
		pool_order(&q->pool, cell);
	/* It may have been executed while the state was fetched: the cache knows. */
	if (!is_settled(q, c)) {
		pool_doubt(&q->pool, cell);
		replies_recall(m->header->sender, m->header->seq, out);
	}
	if (orderer != 0 && orderer != replica_bit(q->me->config.self))
		outbox_relay(out, outbox_send(out, orderer), pool_request(&q->pool, cell));
}

/*
 * The first is of MACs that do not hold here. `again` reminds others that they are to
 * accept the client's signatures: it is no reason for a further term, or those whose
 * terms end at different times would prolong each other's for ever.
 */
static void
complaint_send(const struct requests *q, uint16_t client, bool again, struct outbox *out)
{
	struct word word = {
	    .type = BFT_COMPLAINT,
	    .view = q->me->view,
	    .seq = client,
	    .digest32 = again ? complaint_again32 : NULL,
	};
	member_say(q->me, member_others(q->me), &word, out);
}

/*
 * A client that has to sign: one that does not know it is told so; of one that
 * does, the others hear again, for they would not take its signature else.
 */
static bool
signing_settle(struct requests *q, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	const struct protocol_config *config = &q->me->config;
	if (h->proof != PROOF_SIGNATURE && config->request_proof != PROOF_SIGNATURE) {
		replies_must_sign(q, h->sender, h->seq, out);
		return false;
	}
	if ((requests_client(q, h->sender)->complaints >> config->self & 1) != 0)
		complaint_send(q, h->sender, true, out);
	return true;
}

void
requests_take(struct requests *q, const struct message *m, uint64_t orderer, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct client_state *c = requests_client(q, h->sender);
	check((orderer & (orderer - 1)) == 0);
	requests_ease(q, c);
	if (c->must_sign && h->seq > c->executed && !signing_settle(q, m, out)) {
		/* One that was executed while the state was fetched is answered all the same. */
		if (!is_settled(q, c))
			replies_recall(h->sender, h->seq, out);
		return;
	}
	if (h->view & BFT_WHOLE)
		c->whole = h->seq;
	if (h->seq < c->executed)
		return;
	/* Read the reply cache before arming a timer for a request that comes again. */
	if (h->seq == c->executed) {
		replies_recall(h->sender, h->seq, out);
		return;
	}
	const struct message_header *pending = requests_pending(q, h->sender);
	if (pending != NULL && pending->seq >= h->seq && pending->proof == h->proof) {
		/* Nor did a full queue, or a state on its way, let the cache be asked for good. */
		if (pending->seq == h->seq && q->pool.cells[c->cell - 1].doubtful)
			replies_recall(h->sender, h->seq, out);
		return;
	}
	/* Nor is one that a batch holds ordered again because it is signed now. */
	if (pending != NULL && pending->seq == h->seq && q->pool.cells[c->cell - 1].ordered)
		return;
	request_keep(q, m, orderer, out);
}

/* ---- clients whose MACs hold at some replicas only ------------------------------- */

enum verdict
requests_screen_complaint(const struct requests *q, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!member_proof_fits(q->me, h) || m->body_size != 0 || h->seq > UINT16_MAX ||
	    !requests_has_client(q, (uint16_t)h->seq))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, q->me->config.self);
	return VERDICT_STEP;
}

static void
signing_begin(struct requests *q, struct client_state *c)
{
	check(!c->must_sign);
	c->must_sign = true;
	c->may_sign = true;
	c->term_end = q->executed_seq + requests_term(c);
	if (c->relapses < REQUESTS_RELAPSES_MAX)
		c->relapses++;
}

/* f + 1 complain: one of them is correct, and the client's MACs are bad there. */
static void
complaints_judge(struct requests *q, uint16_t client, uint64_t timestamp, struct outbox *out)
{
	struct client_state *c = requests_client(q, client);
	if (c->must_sign || quorum_count(c->complaints) < quorum_weak(q->me->config.faults))
		return;
	signing_begin(q, c);
	/* What waits here without a signature would be refused wherever it is proposed. */
	const struct message_header *pending = requests_pending(q, client);
	if (pending != NULL && pending->proof != PROOF_SIGNATURE)
		pending_drop(q, c);
	replies_must_sign(q, client, timestamp, out);
}

void
requests_demand_signature(struct requests *q, uint16_t client, struct outbox *out)
{
	struct client_state *c = requests_client(q, client);
	const struct message_header *pending = requests_pending(q, client);
	if (c->must_sign || q->me->config.request_proof != PROOF_VECTOR)
		return;
	signing_begin(q, c);
	replies_must_sign(q, client, pending != NULL ? pending->seq : c->executed + 1, out);
	if (pending != NULL && pending->proof != PROOF_SIGNATURE)
		pending_drop(q, c);
}

/* Tells everybody, as often as it matters. False: it is known that the client has to sign. */
static bool
complain(struct requests *q, const struct message_header *request, struct outbox *out)
{
	struct client_state *c = requests_client(q, request->sender);
	uint64_t own = replica_bit(q->me->config.self);
	q->macs_failed++;
	if (request->proof == PROOF_SIGNATURE || c->must_sign)
		return false;
	c->complaints |= own;
	complaint_send(q, request->sender, false, out);
	complaints_judge(q, request->sender, request->seq, out);
	return true;
}

void
requests_on_complaint(struct requests *q, const struct message *m, struct outbox *out)
{
	uint16_t client = (uint16_t)m->header->seq;
	struct client_state *c = requests_client(q, client);
	if (c->may_sign && digest_equal(m->header->digest, complaint_again32))
		return;
	c->complaints |= replica_bit(m->header->sender);
	const struct message_header *pending = requests_pending(q, client);
	complaints_judge(q, client, pending != NULL ? pending->seq : c->executed + 1, out);
}

/* ---- the own batches ------------------------------------------------------------- */

uint64_t
requests_oldest_ns(const struct requests *q)
{
	uint32_t oldest = q->pool.unordered_first;
	while (oldest != 0 && !pool_is_free(&q->pool, oldest - 1))
		oldest = q->pool.cells[oldest - 1].next;
	return oldest == 0 ? TIME_NEVER : q->pool.cells[oldest - 1].arrived_ns;
}

uint32_t
requests_measure(struct requests *q, uint32_t *size)
{
	const struct protocol_config *config = &q->me->config;
	uint32_t count = 0;
	*size = 0;
	for (uint32_t at = pool_next(&q->pool); at != 0 && count < config->batch_count_max;
	     at = q->pool.cells[at - 1].next) {
		const struct pool_cell *c = &q->pool.cells[at - 1];
		if (!pool_is_free(&q->pool, at - 1))
			continue;
		if (*size + c->size > config->batch_size_max)
			break;
		*size += c->size;
		count++;
	}
	return count;
}

/* Who asks at present, told by who has asked: each counts once in so many batches. */
static void
crowd_meet(struct requests *q, struct client_state *c)
{
	q->crowd_met += c->crowd_mark != q->crowd_round;
	c->crowd_mark = q->crowd_round;
}

static void
crowd_count(struct requests *q)
{
	if (q->crowd_met > q->crowd)
		q->crowd = q->crowd_met;
	if (++q->crowd_batches < REQUESTS_CROWD_BATCHES)
		return;
	q->crowd = q->crowd_met;
	q->crowd_met = 0;
	q->crowd_batches = 0;
	/* Nobody has been met in round 0. */
	q->crowd_round = q->crowd_round < UINT8_MAX ? (uint8_t)(q->crowd_round + 1) : 1;
}

void
requests_write(struct requests *q, uint8_t *body, uint32_t count)
{
	uint32_t at = pool_next(&q->pool);
	for (uint32_t written = 0; written < count; at = q->pool.cells[at - 1].next) {
		const struct pool_cell *c = &q->pool.cells[at - 1];
		if (!pool_is_free(&q->pool, at - 1))
			continue;
		const struct message_header *request = pool_request(&q->pool, at - 1);
		memcpy(body, request, c->size);
		crowd_meet(q, requests_client(q, request->sender));
		body += c->size;
		written++;
		if (RULE(BFT_TWICE) || q->batches % 2 != 0)
			pool_order(&q->pool, at - 1);
	}
	q->batches++;
	q->batched += count;
	if (count > 0)
		crowd_count(q);
}

void
requests_undone(struct requests *q, const uint8_t *batch, uint32_t size)
{
	struct batch_cursor cursor = batch_cursor(batch, size);
	struct message m;
	while (batch_next(&cursor, &q->me->scope, &m)) {
		struct client_state *c = requests_client(q, m.header->sender);
		if (c->executed == m.header->seq)
			c->executed--;
	}
}

void
requests_mark(struct requests *q, const uint8_t *batch, uint32_t size)
{
	struct batch_cursor cursor = batch_cursor(batch, size);
	struct message m;
	while (batch_next(&cursor, &q->me->scope, &m)) {
		const struct message_header *pending = requests_pending(q, m.header->sender);
		struct client_state *c = requests_client(q, m.header->sender);
		if (c->marked_in != q->round || c->marked < m.header->seq)
			c->marked = m.header->seq;
		c->marked_in = q->round;
		if (pending != NULL && pending->seq <= m.header->seq)
			pool_order(&q->pool, c->cell - 1);
	}
}

/* ---- others' batches --------------------------------------------------------------- */

enum verdict
requests_screen_batch(
    const struct requests *q, const uint8_t *batch, uint32_t size, struct claims *claims)
{
	const struct protocol_config *config = &q->me->config;
	struct batch_cursor cursor = batch_cursor(batch, size);
	uint32_t count = 0;
	while (!batch_cursor_done(&cursor)) {
		struct message request;
		if (count++ == config->batch_count_max ||
		    !batch_next(&cursor, &q->me->scope, &request) ||
		    !request_fits(q, request.header))
			return VERDICT_DROP;
		requests_prefetch(q, request.header->sender);
		if (claims == NULL)
			continue;
		uint32_t first = claims->count;
		claims_add_message(
		    claims, &request, KEY_CLIENT + request.header->sender, config->self);
		for (uint32_t i = first; i < claims->count; i++)
			claims->list[i].optional = true;
	}
	return VERDICT_STEP;
}

bool
requests_are_simple(struct requests *q, const uint8_t *batch, uint32_t size)
{
	struct batch_cursor cursor = batch_cursor(batch, size);
	struct message request;
	q->batch_mark++;
	while (batch_next(&cursor, &q->me->scope, &request)) {
		struct client_state *c = requests_client(q, request.header->sender);
		if (c->batch_mark == q->batch_mark)
			return false;
		c->batch_mark = q->batch_mark;
	}
	return true;
}

/* "or it holds the client's own direct copy" */
static bool
is_pending(const struct requests *q, const struct message_header *request)
{
	const struct message_header *own = requests_pending(q, request->sender);
	return own != NULL && own->size == request->size && memcmp(own, request, own->size) == 0;
}

/*
 * A client that signs has been told to, by f + 1. Who lost its memory knows of no complaint,
 * and would drop what the client sends it until its term is over.
 */
static inline void
signing_learn(struct requests *q, const struct message_header *request)
{
	if (__builtin_expect(request->proof == PROOF_SIGNATURE, 0))
		requests_client(q, request->sender)->may_sign = true;
}

bool
requests_hold(struct requests *q, const struct request_batch *batch, struct outbox *out)
{
	if (q->me->config.request_proof == PROOF_NONE)
		return true;
	struct batch_cursor cursor = batch_cursor(batch->data, batch->size);
	const bool *holds = batch->holds;
	struct message request;
	bool all = true;
	uint32_t complaints = 0;
	while (batch_next(&cursor, &q->me->scope, &request)) {
		bool authentic = *holds++;
		if (request.body_size > 0)
			authentic &= *holds++;
		if (__builtin_expect(authentic, 1)) {
			signing_learn(q, request.header);
			continue;
		}
		if (is_pending(q, request.header))
			continue;
		all = false;
		if (complaints < REQUESTS_COMPLAINTS_MAX)
			complaints += complain(q, request.header, out);
	}
	return all;
}

/* ---- after execution --------------------------------------------------------------- */

void
requests_moved(struct requests *q)
{
	q->moves++;
	for (uint32_t at = q->pool.first; at != 0; at = q->pool.cells[at - 1].next)
		pool_doubt(&q->pool, at - 1);
	q->recheck = q->pool.count > 0 ? 1 : 0;
}

void
requests_look_again(struct requests *q)
{
	uint32_t at = q->moves == 0 || q->recheck != 0 ? 0 : q->pool.first;
	while (at != 0 && !q->pool.cells[at - 1].doubtful)
		at = q->pool.cells[at - 1].next;
	if (at != 0)
		q->recheck = 1;
}

void
requests_on_new(struct requests *q, uint16_t client, uint64_t timestamp)
{
	struct client_state *c = requests_client(q, client);
	const struct message_header *pending = requests_pending(q, client);
	/* Of an older one that is still here nothing was said. */
	if (pending == NULL || pending->seq < timestamp)
		return;
	c->settled = q->moves;
	pool_settle(&q->pool, c->cell - 1);
}

static bool
is_in_doubt(const struct pool_cell *c)
{
	return c->size != 0 && c->doubtful;
}

void
requests_recheck(struct requests *q, struct outbox *out)
{
	uint32_t cells = q->pool.cells_count;
	for (uint32_t i = 0; i < REQUESTS_RECALLS_MAX; i++) {
		while (q->recheck <= cells && !is_in_doubt(&q->pool.cells[q->recheck - 1]))
			q->recheck++;
		if (q->recheck > cells) {
			q->recheck = 0;
			return;
		}
		const struct message_header *h = pool_request(&q->pool, q->recheck - 1);
		replies_recall(h->sender, h->seq, out);
		q->recheck++;
	}
}

void
requests_audit(const struct requests *q)
{
	const struct pool *p = &q->pool;
	uint32_t pending = 0;
	uint32_t unordered = 0;
	for (uint32_t at = p->first; at != 0; at = p->cells[at - 1].next) {
		const struct message_header *h = pool_request(p, at - 1);
		check(requests_client(q, h->sender)->cell == at);
		check(h->seq > requests_client(q, h->sender)->executed);
		pending++;
		unordered += pool_is_free(p, at - 1);
	}
	check(pending == p->count);
	check(unordered == p->unordered);
	check(q->recheck <= p->cells_count + 1);
}
