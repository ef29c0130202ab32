/* SPDX-License-Identifier: Apache-2.0 */
/* See transfer.h. One core. */
#include "engine/transfer.h"

#include <string.h>

#define MILLISECOND_NS 1000000ull

/* Patience: from a quick network's on, up to four answers of the slowest. */
#define TIMEOUT_NS_MIN	     (5 * MILLISECOND_NS)
#define TIMEOUT_LARGE_NS_MIN (20 * MILLISECOND_NS) /* segments may need repair */
#define TIMEOUT_NS_MAX	     (1000 * MILLISECOND_NS)
/* So long may one peer keep idle ones waiting for what it owes. */
#define HEDGE_NS (2 * MILLISECOND_NS)
/* A liar is left out, twice as long each time; one without the checkpoint, shortly. */
#define WRONG_REST_NS (1000 * MILLISECOND_NS)
#define GONE_REST_NS  (50 * MILLISECOND_NS)

enum {
	STRIKES_SHIFT_MAX = 6, /* left out for 64 s at most */
	EXPIRY_FACTOR = 4,     /* a fetch lasts this many timeouts, though blocks trickle */
	PEER_NONE = TRANSFER_PEERS_MAX,
	HEADER_SIZE = sizeof(struct message_header),
};

/* Each message has one receiver, so where protocols use MACs one MAC is enough. */
static uint8_t
proof_of(const struct protocol_config *protocol)
{
	switch (protocol->protocol_proof) {
	case PROOF_NONE:
		return PROOF_NONE;
	case PROOF_MAC:
	case PROOF_VECTOR:
		return PROOF_MAC;
	default:
		return PROOF_SIGNATURE;
	}
}

uint32_t
transfer_message_size(const struct protocol_config *protocol)
{
	return HEADER_SIZE + (uint32_t)sizeof(struct blocks_head) +
	       (uint32_t)sizeof(struct blocks_entry) +
	       proof_size(proof_of(protocol), protocol->replicas_count);
}

/* Blocks that a message of `size` bytes holds. */
static uint32_t
blocks_that_fit(const struct transfer *t, uint32_t size)
{
	uint32_t rest = HEADER_SIZE + (uint32_t)sizeof(struct blocks_head) +
			proof_size(t->proof, t->stamp.replicas_count);
	return size <= rest ? 0 : (size - rest) / (uint32_t)sizeof(struct blocks_entry);
}

/*
 * An envelope's worth of blocks in a message: no segments, no repair. Large
 * messages where an envelope is too small, or each message costs a signature.
 */
static void
shape(struct transfer *t, const struct transfer_config *config)
{
	uint32_t small = blocks_that_fit(t, config->envelope_size);
	uint32_t large = blocks_that_fit(t, config->message_size_max);
	t->large = large > small && (small == 0 || t->proof == PROOF_SIGNATURE);
	t->blocks_per_message = t->large ? large : small;
	uint32_t most = t->large ? TRANSFER_BLOCKS_LARGE : TRANSFER_FETCH_MAX;
	if (t->blocks_per_message > most)
		t->blocks_per_message = most;
	t->timeout_ns_min = t->large ? TIMEOUT_LARGE_NS_MIN : TIMEOUT_NS_MIN;
}

void
transfer_init(struct transfer *t, const struct transfer_config *config)
{
	const struct protocol_config *protocol = config->protocol;
	check(protocol->replicas_count <= TRANSFER_PEERS_MAX);
	memset(t, 0, sizeof(*t));
	t->state = config->state;
	t->stamp = (struct stamp){
	    .cluster = protocol->cluster,
	    .sender = protocol->self,
	    .replicas_count = protocol->replicas_count,
	    .protocol = protocol->protocol,
	};
	t->proof = proof_of(protocol);
	shape(t, config);
	check(protocol->replicas_count == 1 || t->blocks_per_message >= 1);
	for (uint32_t i = 0; i < TRANSFER_PEERS_MAX; i++)
		t->asks[i].timeout_ns = t->timeout_ns_min;
}

/* ---- what comes in ----------------------------------------------------- */

static bool
fetch_valid(const struct message *m)
{
	uint32_t size = (uint32_t)sizeof(struct state_block);
	return m->body_size >= size && m->body_size <= TRANSFER_FETCH_MAX * size &&
	       m->body_size % size == 0;
}

static bool
blocks_valid(const struct message *m, struct blocks_head *head)
{
	if (m->body_size < sizeof(*head))
		return false;
	memcpy(head, m->body, sizeof(*head));
	return head->blocks_count <= TRANSFER_FETCH_MAX &&
	       (head->flags & ~(uint32_t)(BLOCKS_LAST | BLOCKS_GONE)) == 0 &&
	       m->body_size == sizeof(*head) + head->blocks_count * sizeof(struct blocks_entry);
}

enum verdict
transfer_screen(const struct transfer *t, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	struct blocks_head head;
	if (h->sender >= t->stamp.replicas_count || h->sender == t->stamp.sender ||
	    h->instance != MESSAGE_INSTANCE_NONE || h->proof != t->proof)
		return VERDICT_DROP;
	if (h->type == MESSAGE_FETCH) {
		if (!fetch_valid(m))
			return VERDICT_DROP;
	} else {
		/* Numbers only grow: what is not the last fetch's answer never will be. */
		if (h->type != MESSAGE_BLOCKS || h->view != t->asks[h->sender].number ||
		    !blocks_valid(m, &head))
			return VERDICT_DROP;
	}
	claims_add_message(claims, m, h->sender, t->stamp.sender);
	return VERDICT_STEP;
}

static void
on_fetch(struct transfer *t, const struct message *m)
{
	struct transfer_serve *serve = &t->serves[m->header->sender];
	t->counters.fetched++;
	if (serve->next < serve->count)
		t->counters.displaced++;
	else
		t->serves_count++;
	serve->number = m->header->view;
	serve->position = m->header->seq;
	serve->next = 0;
	serve->count = m->body_size / (uint32_t)sizeof(struct state_block);
	memcpy(serve->blocks, m->body, m->body_size);
}

/* The peer owes nothing more: what has not come is asked of whoever is next. */
static void
ask_release(struct transfer *t, struct transfer_ask *ask)
{
	check(ask->waiting != 0);
	check(t->asked_count > 0);
	for (; ask->waiting != 0; ask->waiting &= ask->waiting - 1) {
		check(t->retries_count < TRANSFER_RETRIES_MAX);
		t->retries[t->retries_count++] = ask->blocks[__builtin_ctz(ask->waiting)];
	}
	t->asked_count--;
}

/* Nothing came, or nothing of use: more patience, and a while without it. */
static void
ask_disappointed(uint64_t now_ns, struct transfer_ask *ask)
{
	ask->timeout_ns *= 2;
	if (ask->timeout_ns > TIMEOUT_NS_MAX)
		ask->timeout_ns = TIMEOUT_NS_MAX;
	ask->rest_ns = now_ns + ask->timeout_ns;
}

/* A block came: patience is four times what it took. Trickling prolongs nothing for ever. */
static void
ask_pleased(struct transfer *t, uint64_t now_ns, struct transfer_ask *ask)
{
	if (!ask->useful) {
		uint64_t timeout_ns = 4 * (now_ns - ask->sent_ns);
		if (timeout_ns < t->timeout_ns_min)
			timeout_ns = t->timeout_ns_min;
		ask->timeout_ns = timeout_ns < TIMEOUT_NS_MAX ? timeout_ns : TIMEOUT_NS_MAX;
		ask->useful = true;
	}
	uint64_t end_ns = ask->sent_ns + EXPIRY_FACTOR * ask->timeout_ns;
	ask->expiry_ns = now_ns + ask->timeout_ns;
	if (ask->expiry_ns > end_ns)
		ask->expiry_ns = end_ns;
}

/* A block that is not what it claims to be: every other message of the peer's is void too. */
static void
ask_wronged(struct transfer *t, uint64_t now_ns, struct transfer_ask *ask)
{
	uint32_t shift = ask->strikes < STRIKES_SHIFT_MAX ? ask->strikes : STRIKES_SHIFT_MAX;
	t->counters.wrong++;
	ask->strikes++;
	ask->number++;
	ask->rest_ns = now_ns + (WRONG_REST_NS << shift);
	ask_release(t, ask);
}

/* The index of a block that the peer owes us, or TRANSFER_FETCH_MAX. */
static uint32_t
ask_find(const struct transfer_ask *ask, const struct state_block *block)
{
	for (uint32_t bits = ask->waiting; bits != 0; bits &= bits - 1) {
		uint32_t i = (uint32_t)__builtin_ctz(bits);
		if (ask->blocks[i].level == block->level && ask->blocks[i].index == block->index)
			return i;
	}
	return TRANSFER_FETCH_MAX;
}

/* Installs what we asked for. False: something was wrong, and the rest is not looked at. */
static bool
entries_install(
    struct transfer *t, struct transfer_ask *ask, const uint8_t *entries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = entries + (size_t)i * sizeof(struct blocks_entry);
		struct state_block block;
		memcpy(&block, at, sizeof(block));
		uint32_t index = ask_find(ask, &block);
		if (index == TRANSFER_FETCH_MAX)
			continue;
		enum state_install verdict =
		    state_transfer_install(t->state, &block, at + sizeof(block));
		if (verdict == STATE_WRONG)
			return false;
		ask->waiting &= ~(1u << index);
		t->dry = false;
	}
	return true;
}

static void
on_blocks(struct transfer *t, uint64_t now_ns, const struct message *m)
{
	struct transfer_ask *ask = &t->asks[m->header->sender];
	struct blocks_head head;
	if (!t->active || ask->waiting == 0 || m->header->view != ask->number ||
	    m->header->seq != t->position) {
		t->counters.late++;
		return;
	}
	memcpy(&head, m->body, sizeof(head));
	if (head.flags & BLOCKS_GONE) {
		t->counters.gone++;
		ask->stable = head.stable;
		ask->rest_ns = now_ns + GONE_REST_NS;
		ask_release(t, ask);
		return;
	}
	uint32_t before = ask->waiting;
	if (!entries_install(t, ask, m->body + sizeof(head), head.blocks_count)) {
		ask_wronged(t, now_ns, ask);
		return;
	}
	if (ask->waiting != before)
		ask_pleased(t, now_ns, ask);
	if (ask->waiting == 0) {
		t->asked_count--;
	} else if (head.flags & BLOCKS_LAST) {
		if (!ask->useful)
			ask_disappointed(now_ns, ask);
		ask_release(t, ask);
	}
}

void
transfer_step(struct transfer *t, uint64_t now_ns, const struct message *m)
{
	if (m->header->type == MESSAGE_FETCH)
		on_fetch(t, m);
	else
		on_blocks(t, now_ns, m);
}

/* ---- fetching ---------------------------------------------------------- */

void
transfer_begin(struct transfer *t, uint64_t now_ns, uint64_t position, const uint8_t *root32)
{
	state_transfer_begin(t->state, position, root32);
	t->active = true;
	t->dry = false;
	t->position = position;
	t->cursor = 0;
	t->asked_count = 0;
	t->retries_count = 0;
	t->counters.begun++;
	for (uint32_t i = 0; i < t->stamp.replicas_count; i++) {
		struct transfer_ask *ask = &t->asks[i];
		ask->waiting = 0;
		ask->number++;
		/* Who lied stays out; who was slow or had not the other target may have this. */
		if (ask->strikes == 0)
			ask->rest_ns = now_ns;
	}
}

void
transfer_end(struct transfer *t)
{
	state_transfer_end(t->state);
	for (uint32_t i = 0; i < t->stamp.replicas_count; i++)
		t->asks[i].waiting = 0;
	t->asked_count = 0;
	t->retries_count = 0;
	t->active = false;
	t->counters.done++;
}

void
transfer_expire(struct transfer *t, uint64_t now_ns)
{
	for (uint32_t i = 0; t->asked_count > 0 && i < t->stamp.replicas_count; i++) {
		struct transfer_ask *ask = &t->asks[i];
		if (ask->waiting == 0 || ask->expiry_ns > now_ns)
			continue;
		t->counters.expired++;
		if (!ask->useful)
			ask_disappointed(now_ns, ask);
		ask_release(t, ask);
	}
}

static bool
peer_idle(const struct transfer *t, uint32_t peer)
{
	return peer != t->stamp.sender && t->asks[peer].waiting == 0;
}

/* The next peer in turn that may be asked, or PEER_NONE. */
static uint32_t
peer_pick(const struct transfer *t, uint64_t now_ns)
{
	uint32_t count = t->stamp.replicas_count;
	if (t->asked_count >= TRANSFER_ASKED_MAX)
		return PEER_NONE;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t peer = (t->ask_turn + i) % count;
		if (peer_idle(t, peer) && t->asks[peer].rest_ns <= now_ns)
			return peer;
	}
	return PEER_NONE;
}

/* The one that has owed us blocks the longest, of whom nobody else was asked; or PEER_NONE. */
static uint32_t
peer_slowest(const struct transfer *t)
{
	uint32_t slowest = PEER_NONE;
	for (uint32_t i = 0; i < t->stamp.replicas_count; i++) {
		const struct transfer_ask *ask = &t->asks[i];
		if (ask->waiting == 0 || ask->hedged)
			continue;
		if (slowest == PEER_NONE || ask->sent_ns < t->asks[slowest].sent_ns)
			slowest = i;
	}
	return slowest;
}

/* Blocks to ask for: what was asked for in vain, then what is wanted next. */
static uint32_t
blocks_take(struct transfer *t, struct state_block *blocks)
{
	uint32_t count = 0;
	while (t->retries_count > 0 && count < TRANSFER_FETCH_MAX)
		blocks[count++] = t->retries[--t->retries_count];
	if (count < TRANSFER_FETCH_MAX && !t->dry) {
		uint32_t more = state_transfer_next(
		    t->state, &t->cursor, blocks + count, TRANSFER_FETCH_MAX - count);
		count += more;
		t->dry = count < TRANSFER_FETCH_MAX;
	}
	return count;
}

/* What the slowest peer owes, once nothing else is left to ask for. */
static uint32_t
blocks_hedge(struct transfer *t, uint64_t now_ns, struct state_block *blocks)
{
	uint32_t slowest = peer_slowest(t);
	uint32_t count = 0;
	if (slowest == PEER_NONE || t->asks[slowest].sent_ns + HEDGE_NS > now_ns)
		return 0;
	struct transfer_ask *ask = &t->asks[slowest];
	for (uint32_t bits = ask->waiting; bits != 0; bits &= bits - 1)
		blocks[count++] = ask->blocks[__builtin_ctz(bits)];
	ask->hedged = true;
	t->counters.hedges++;
	return count;
}

static void
fetch_write(struct transfer *t, uint32_t peer, uint32_t count, struct outbox *out)
{
	const struct transfer_ask *ask = &t->asks[peer];
	struct send *send = outbox_send(out, 1ull << peer);
	struct letter letter = {
	    .type = MESSAGE_FETCH,
	    .proof = t->proof,
	    .instance = MESSAGE_INSTANCE_NONE,
	    .body_size = count * (uint32_t)sizeof(struct state_block),
	    .view = ask->number,
	    .seq = t->position,
	};
	uint8_t *body = outbox_write(out, send, &t->stamp, &letter);
	memcpy(body, ask->blocks, letter.body_size);
	t->counters.fetches++;
}

/* Asks one peer, if there is one to ask and something to ask for. */
static bool
ask_write(struct transfer *t, uint64_t now_ns, struct outbox *out)
{
	uint32_t peer = peer_pick(t, now_ns);
	if (!t->active || peer == PEER_NONE)
		return false;
	struct transfer_ask *ask = &t->asks[peer];
	uint32_t count = blocks_take(t, ask->blocks);
	if (count == 0 && !state_transfer_done(t->state))
		count = blocks_hedge(t, now_ns, ask->blocks);
	if (count == 0)
		return false;
	check(count <= TRANSFER_FETCH_MAX);
	ask->waiting = count == 32 ? UINT32_MAX : (1u << count) - 1;
	ask->number++;
	ask->sent_ns = now_ns;
	ask->expiry_ns = now_ns + ask->timeout_ns;
	ask->useful = false;
	ask->hedged = false;
	t->asked_count++;
	t->ask_turn = (uint16_t)((peer + 1) % t->stamp.replicas_count);
	fetch_write(t, peer, count, out);
	return true;
}

/* ---- serving ----------------------------------------------------------- */

/* Blocks that may be served to the peer in this millisecond. */
static uint32_t
serve_budget(const struct transfer *t, const struct transfer_serve *serve, uint64_t now_ns)
{
	uint64_t now_ms = now_ns / MILLISECOND_NS;
	uint32_t peer = serve->window_ms == now_ms ? serve->window_blocks : 0;
	uint32_t total = t->window_ms == now_ms ? t->window_blocks : 0;
	if (peer >= TRANSFER_PEER_BLOCKS_PER_MS || total >= TRANSFER_TOTAL_BLOCKS_PER_MS)
		return 0;
	uint32_t left = TRANSFER_PEER_BLOCKS_PER_MS - peer;
	uint32_t left_total = TRANSFER_TOTAL_BLOCKS_PER_MS - total;
	return left < left_total ? left : left_total;
}

/* A message without blocks costs as much as one with. */
static void
serve_account(
    struct transfer *t, struct transfer_serve *serve, uint64_t now_ns, uint32_t blocks_count)
{
	uint64_t now_ms = now_ns / MILLISECOND_NS;
	if (serve->window_ms != now_ms)
		serve->window_blocks = 0;
	if (t->window_ms != now_ms)
		t->window_blocks = 0;
	serve->window_ms = now_ms;
	t->window_ms = now_ms;
	serve->window_blocks += blocks_count > 0 ? blocks_count : 1;
	t->window_blocks += blocks_count > 0 ? blocks_count : 1;
}

static uint32_t
serve_pick(const struct transfer *t, uint64_t now_ns)
{
	uint32_t count = t->stamp.replicas_count;
	for (uint32_t i = 0; t->serves_count > 0 && i < count; i++) {
		uint32_t peer = (t->serve_turn + i) % count;
		const struct transfer_serve *serve = &t->serves[peer];
		if (serve->next < serve->count && serve_budget(t, serve, now_ns) > 0)
			return peer;
	}
	return PEER_NONE;
}

/* The blocks of one message: where they go, and where they come from. */
struct collected {
	uint32_t count;
	struct state_block blocks[TRANSFER_FETCH_MAX];
	const uint8_t *bytes[TRANSFER_FETCH_MAX];
};

/* Moves on in the list; blocks that do not exist are left out. */
static void
serve_collect(
    const struct transfer *t, struct transfer_serve *serve, uint32_t capacity, struct collected *c)
{
	while (serve->next < serve->count && c->count < capacity) {
		const struct state_block *block = &serve->blocks[serve->next++];
		const uint8_t *bytes = state_block_at(t->state, serve->position, block);
		if (bytes == NULL)
			continue;
		c->blocks[c->count] = *block;
		c->bytes[c->count++] = bytes;
	}
}

static void
blocks_write(struct transfer *t, uint32_t peer, uint32_t flags, const struct collected *c,
    struct outbox *out)
{
	struct blocks_head head = {.blocks_count = c->count, .flags = flags, .stable = t->stable};
	struct letter letter = {
	    .type = MESSAGE_BLOCKS,
	    .proof = t->proof,
	    .instance = MESSAGE_INSTANCE_NONE,
	    .body_size = (uint32_t)(sizeof(head) + c->count * sizeof(struct blocks_entry)),
	    .view = t->serves[peer].number,
	    .seq = t->serves[peer].position,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, 1ull << peer), &t->stamp, &letter);
	memcpy(body, &head, sizeof(head));
	body += sizeof(head);
	for (uint32_t i = 0; i < c->count; i++, body += sizeof(struct blocks_entry)) {
		memcpy(body, &c->blocks[i], sizeof(c->blocks[i]));
		memcpy(body + sizeof(c->blocks[i]), c->bytes[i], STATE_PAGE_SIZE);
	}
	t->counters.served += c->count;
	t->counters.served_bytes += letter.body_size;
}

/* The next message of the answer to one peer. */
static bool
serve_write(struct transfer *t, uint64_t now_ns, struct outbox *out)
{
	struct collected collected;
	uint8_t root32[DIGEST_SIZE];
	uint32_t flags = 0;
	uint32_t peer = serve_pick(t, now_ns);
	if (peer == PEER_NONE)
		return false;
	struct transfer_serve *serve = &t->serves[peer];
	uint32_t capacity = serve_budget(t, serve, now_ns);
	if (capacity > t->blocks_per_message)
		capacity = t->blocks_per_message;
	collected.count = 0;
	if (state_root(t->state, serve->position, root32)) {
		serve_collect(t, serve, capacity, &collected);
	} else {
		serve->next = serve->count;
		flags = BLOCKS_GONE;
		t->counters.served_gone++;
	}
	if (serve->next == serve->count) {
		flags |= BLOCKS_LAST;
		t->serves_count--;
	}
	serve_account(t, serve, now_ns, collected.count);
	t->serve_turn = (uint16_t)((peer + 1) % t->stamp.replicas_count);
	blocks_write(t, peer, flags, &collected, out);
	return true;
}

bool
transfer_write(struct transfer *t, uint64_t now_ns, struct outbox *out)
{
	return ask_write(t, now_ns, out) || serve_write(t, now_ns, out);
}

/* ---- time -------------------------------------------------------------- */

static inline uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When the next fetch can be sent or the next one expires. */
static uint64_t
ask_deadline(const struct transfer *t)
{
	uint64_t expiry_ns = TIME_NEVER;
	uint64_t idle_ns = TIME_NEVER;
	for (uint32_t i = 0; i < t->stamp.replicas_count; i++) {
		const struct transfer_ask *ask = &t->asks[i];
		if (ask->waiting != 0)
			expiry_ns = earlier(expiry_ns, ask->expiry_ns);
		else if (i != t->stamp.sender)
			idle_ns = earlier(idle_ns, ask->rest_ns);
	}
	if (t->asked_count >= TRANSFER_ASKED_MAX || idle_ns == TIME_NEVER)
		return expiry_ns;
	if (t->retries_count > 0 || !t->dry)
		return earlier(expiry_ns, idle_ns);
	uint32_t slowest = peer_slowest(t);
	if (slowest == PEER_NONE)
		return expiry_ns;
	return earlier(expiry_ns, later(idle_ns, t->asks[slowest].sent_ns + HEDGE_NS));
}

static uint64_t
serve_deadline(const struct transfer *t, uint64_t now_ns)
{
	if (t->serves_count == 0)
		return TIME_NEVER;
	if (serve_pick(t, now_ns) != PEER_NONE)
		return now_ns;
	return (now_ns / MILLISECOND_NS + 1) * MILLISECOND_NS;
}

uint64_t
transfer_deadline(const struct transfer *t, uint64_t now_ns)
{
	uint64_t at_ns = serve_deadline(t, now_ns);
	if (t->active)
		at_ns = earlier(at_ns, state_transfer_done(t->state) ? now_ns : ask_deadline(t));
	return later(at_ns, now_ns);
}
