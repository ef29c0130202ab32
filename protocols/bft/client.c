/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See client.h: whom to ask, and when enough replicas have said the same.
 *
 * A result that comes before its quorum is kept in a cell. Each slot has one of
 * its own, or, where that would be too much memory, takes one of a pool while
 * it needs it; where none is free the reply counts as its digest.
 *
 * Cost of an operation with n = 4 and a small result: two replies, each one
 * comparison of 32 bytes; 128 bytes a slot and one cell.
 */
#include "protocols/bft/client_path.h"

/* Bytes of all cells together; the replicas keep as much for replies. */
#define CELLS_SIZE_MAX (256ull << 20)

enum {
	/* How long a quorum waits for the result itself, as a part of retry_ns. */
	PATIENCE_PART = 4,
	VECTOR_RETRIES = 4,	  /* one in so many retries of what is signed has a vector */
	SIGNED_LEAST = 64,	  /* REQUESTs that are signed before a vector is tried again */
	SIGNED_DOUBLINGS_MAX = 9, /* of that number */
};

/* Where the parts of the machine's memory begin. */
struct layout {
	size_t operations;
	size_t slots;
	size_t spare;
	size_t views;
	size_t believed;
	size_t cells;
	size_t bytes;
	size_t path;
	size_t end;
	uint32_t cells_count;
	uint32_t cell_size;
};

/* ---- memory ----------------------------------------------------------------- */

static struct layout
layout_of(const struct protocol_config *config, const struct bft_asking *asking)
{
	size_t n = config->replicas_count;
	size_t slots = config->slots_count;
	struct layout l;
	l.cell_size = (uint32_t)bft_rounded(config->result_size_max + asking->head_size);
	l.cells_count = config->slots_count;
	bool shared = (uint64_t)l.cell_size * slots > CELLS_SIZE_MAX;
	if (shared)
		l.cells_count = (uint32_t)(CELLS_SIZE_MAX / l.cell_size);
	l.operations = bft_rounded(sizeof(struct client));
	l.slots = l.operations + bft_rounded(client_slots_size(config));
	l.spare = l.slots + slots * sizeof(struct slot);
	l.views = l.spare + bft_rounded(slots * (n - 1) * sizeof(struct tally));
	l.believed = l.views + bft_rounded(config->instances_count * n * sizeof(uint64_t));
	l.cells = l.believed + bft_rounded(config->instances_count * sizeof(uint64_t));
	l.bytes = l.cells + (shared ? bft_rounded(l.cells_count * sizeof(struct cell)) : 0);
	l.path = l.bytes + (size_t)l.cells_count * l.cell_size;
	l.end = l.path + (asking->path != NULL ? bft_rounded(asking->path->size(config)) : 0);
	return l;
}

size_t
bft_client_size_with(const struct protocol_config *config, const struct bft_asking *asking)
{
	return layout_of(config, asking).end;
}

size_t
bft_client_size(const struct protocol_config *config)
{
	const struct bft_asking asking = {0};
	return layout_of(config, &asking).end;
}

static bool
cells_shared(const struct client *c)
{
	return c->cells_count < c->ops.config.slots_count;
}

static void
cell_put(struct client *c, uint32_t cell, uint64_t usable_ns)
{
	c->cells[cell] = (struct cell){.usable_ns = usable_ns};
	if (c->free_last != 0)
		c->cells[c->free_last - 1].next = cell + 1;
	else
		c->free_first = cell + 1;
	c->free_last = cell + 1;
}

void
bft_client_init(void *self, const struct protocol_config *config, const struct bft_asking *asking)
{
	struct client *c = self;
	struct layout l = layout_of(config, asking);
	uint8_t *memory = self;
	check(config->replicas_count > 3 * config->faults);
	check(config->replicas_count <= 64);
	c->asking = *asking;
	client_slots_init(&c->ops, config, memory + l.operations);
	c->slots = (struct slot *)(void *)(memory + l.slots);
	c->views = (uint64_t *)(void *)(memory + l.views);
	c->believed = (uint64_t *)(void *)(memory + l.believed);
	c->cells = (struct cell *)(void *)(memory + l.cells);
	c->bytes = memory + l.bytes;
	c->path = memory + l.path;
	c->cells_count = l.cells_count;
	c->cell_size = l.cell_size;
	c->everybody = quorum_everybody(config->replicas_count);
	c->needed.quorum = quorum_size(config->replicas_count, config->faults);
	/*
	 * "The client waits for f + 1 replies [...] with the same t and r, before
	 * accepting the result r. This ensures that the result is valid, since at
	 * most f replicas can be faulty." (OSDI'99, 4.1) Where reads are not ordered,
	 * that is too few: f + 1 replicas may have executed a write whose client goes
	 * on, and a later read find q others that have not. So there q must have
	 * executed it, which share a correct replica with the q of every later read
	 * (Berger, Reiser, Bessani, SRDS'21). For that to end, correct replicas must
	 * hand each other what a faulty primary kept from f of them: see status.c.
	 */
	c->needed.finals = config->reads ? c->needed.quorum : quorum_weak(config->faults);
	if (asking->tentative_needed != 0)
		c->needed.quorum = asking->tentative_needed;
	struct tally *spare = (struct tally *)(void *)(memory + l.spare);
	for (uint32_t i = 0; i < config->slots_count; i++) {
		c->slots[i].votes.room = config->replicas_count;
		c->slots[i].votes.spare = spare + (size_t)i * (config->replicas_count - 1u);
	}
	for (uint32_t i = 0; cells_shared(c) && i < c->cells_count; i++)
		cell_put(c, i, 0);
}

static uint8_t *
cell_bytes(const struct client *c, uint32_t cell)
{
	check(cell < c->cells_count);
	return c->bytes + (size_t)cell * c->cell_size;
}

/* Gives the slot a cell, if there is one. What was freed in this burst may still be read. */
static bool
cell_take(struct client *c, uint32_t index, uint64_t now_ns)
{
	struct slot *slot = &c->slots[index];
	if (slot->cell != 0)
		return true;
	if (!cells_shared(c)) {
		slot->cell = index + 1;
		return true;
	}
	if (c->free_first == 0)
		return false;
	struct cell *cell = &c->cells[c->free_first - 1];
	if (cell->usable_ns > now_ns)
		return false;
	slot->cell = c->free_first;
	c->free_first = cell->next;
	if (c->free_first == 0)
		c->free_last = 0;
	*cell = (struct cell){.owner = index + 1};
	return true;
}

/* The slot forgets what it was told. Its cell keeps its bytes for this burst. */
static void
slot_clear(struct client *c, uint32_t index, uint64_t now_ns)
{
	struct slot *slot = &c->slots[index];
	if (slot->cell != 0 && cells_shared(c))
		cell_put(c, slot->cell - 1, now_ns + 1);
	slot->cell = 0;
	slot->votes.voted = 0;
	slot->votes.count = 0;
	slot->signers = 0;
	slot->reading = false;
	slot->hurried = false;
	if (c->asking.path != NULL)
		c->asking.path->on_clear(c, index);
}

/* ---- screening ---------------------------------------------------------------- */

uint32_t
bft_client_claims(const struct protocol_config *config)
{
	(void)config;
	return 3;
}

static bool
shape_fits(const struct client *c, const struct message *m)
{
	uint64_t view = m->header->view;
	bool tentative = (view & BFT_REPLY_TENTATIVE) != 0;
	bool read = (view & BFT_REPLY_READ) != 0;
	if (tentative && read)
		return false; /* a READ is answered from what has committed */
	switch (m->header->type) {
	case MESSAGE_REPLY:
		return m->body_size >= c->asking.head_size &&
		       m->body_size - c->asking.head_size <= c->ops.config.result_size_max;
	case BFT_REPLY_DIGEST:
		return m->body_size == 0;
	case MESSAGE_REPLY_LOST:
	case BFT_MUST_SIGN:
		return m->body_size == 0 && !read;
	default:
		return false;
	}
}

/* Does it say something about what its slot asks now? Once false, false for ever. */
static bool
is_awaited(const struct client *c, const struct message_header *h)
{
	if (!client_slots_awaits(&c->ops, h))
		return false;
	const struct slot *slot = &c->slots[client_slots_index(&c->ops, h)];
	/* Only a vector of MACs can hold at some replicas and not at others. */
	if (h->type == BFT_MUST_SIGN)
		return c->ops.config.request_proof == PROOF_VECTOR && !slot->must_sign;
	/* A timestamp is either a READ's or a REQUEST's, never both. */
	return slot->reading == ((h->view & BFT_REPLY_READ) != 0);
}

static uint64_t *
views_of(const struct client *c, uint32_t index)
{
	uint32_t instance = client_slots_instance(&c->ops, index);
	return c->views + (size_t)instance * c->ops.config.replicas_count;
}

/*
 * "Clients verify": a reply counts only when its proof is that of its sender.
 * An answer that comes too late is still of use where it tells of a new view:
 * else the client would know the views of the quickest replicas alone.
 */
enum verdict
bft_client_screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct client *c = self;
	const struct message_header *h = m->header;
	uint32_t index = client_slots_index(&c->ops, h);
	if (h->type >= BFT_TYPES_END && c->asking.path != NULL)
		return c->asking.path->screen(c, m, claims);
	if (!shape_fits(c, m) || index >= c->ops.config.slots_count)
		return VERDICT_DROP;
	if (h->sender >= c->ops.config.replicas_count ||
	    !client_slots_proof_fits(&c->ops, h->proof))
		return VERDICT_DROP;
	bool news = h->view >> BFT_REPLY_SHIFT > views_of(c, index)[h->sender];
	if (!news && !is_awaited(c, h))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, 0);
	if (h->proof == PROOF_NONE && m->body_size > 0) {
		/* Nobody vouches for the header, but digests are what votes are compared by. */
		struct claim *digest = claims_add(claims);
		digest->kind = CLAIM_DIGEST;
		digest->key = 0;
		digest->size = m->body_size;
		digest->data = m->body;
		digest->proof = h->digest;
	}
	return VERDICT_STEP;
}

/* ---- asking --------------------------------------------------------------------- */

static uint64_t
replier_bit(const struct client *c, uint32_t index)
{
	return 1ull << bft_replier(client_slots_number(&c->ops, index),
		   c->ops.list[index].timestamp, c->ops.config.replicas_count);
}

static bool
signs_now(const struct slot *slot)
{
	return slot->must_sign && slot->retries % VECTOR_RETRIES != VECTOR_RETRIES - 1;
}

static void
ask(const struct client *c, uint32_t index, bool all, struct outbox *out)
{
	const struct slot *slot = &c->slots[index];
	uint16_t instance = client_slots_instance(&c->ops, index);
	uint64_t view = c->believed[instance] + c->asking.ahead;
	uint16_t leader = bft_primary(&c->ops.config, instance, view);
	bool widely = all || slot->reading || c->asking.everybody;
	struct client_ask ask = {
	    .to = widely ? c->everybody : 1ull << leader,
	    .flags = all ? BFT_WHOLE : 0,
	    .type = slot->reading ? BFT_READ : MESSAGE_REQUEST,
	    .proof = signs_now(slot) ? PROOF_SIGNATURE : c->ops.config.request_proof,
	};
	client_slots_send(&c->ops, index, &ask, out);
}

/*
 * "A client sends a request to what it believes is the current primary using a
 * point-to-point message." (OSDI'99, 4.1) "A client multicasts a read-only
 * request to all replicas." (5.1) Where the replica whose turn it is to send the
 * whole result has failed to do so before, all are asked for it at once.
 */
static void
ask_first(const struct client *c, uint32_t index, struct outbox *out)
{
	ask(c, index, (c->tardy & replier_bit(c, index)) != 0, out);
}

/*
 * "If the client does not receive replies soon enough, it broadcasts the request
 * to all replicas." (OSDI'99, 4.1) "[It] retransmits the request as usual,
 * requesting all replicas to send the result." (5.1)
 *
 * A replica that lost its memory does not look at signatures of a client of whom it
 * knows no complaint, and may be one of those whose replies are needed. So every
 * fourth retry of what is signed has a vector: that replica answers, or complains.
 */
static void
ask_again(struct client *c, uint32_t index, uint64_t now_ns, struct outbox *out)
{
	struct slot *slot = &c->slots[index];
	slot->retries++;
	client_slots_again(&c->ops, index, now_ns);
	if (c->ops.doublings >= c->asking.wary_doublings)
		c->wary_left = c->asking.wary;
	ask(c, index, true, out);
}

/*
 * "The client may be unable to collect 2f + 1 such replies if there are
 * concurrent writes to data that affect the result; in this case, it retransmits
 * the request as a regular read-write request" (OSDI'99, 5.1): under a timestamp
 * of its own, so that no late answer to the READ counts for the REQUEST.
 */
static void
read_fall_back(struct client *c, uint32_t index, uint64_t now_ns, struct outbox *out)
{
	check(c->slots[index].reading);
	slot_clear(c, index, now_ns);
	client_slots_restart(&c->ops, index, now_ns);
	c->reads_fallen_back++;
	ask_first(c, index, out);
}

/*
 * Replicas want signatures for a while only (requests.h), and do not say when it is
 * over. So after some signed REQUESTs one goes out with a vector. If they refuse it, or
 * it is not answered soon, it is signed, and the next trial comes after twice as many.
 * A trial is for all to see, so that f + 1 can refuse it at once.
 */
static void
proof_choose(struct client *c, struct slot *slot)
{
	if (slot->reading)
		return;
	if (slot->must_sign && slot->signed_left == 0) {
		slot->must_sign = false;
		slot->on_trial = true;
		c->slots_signed--;
	} else if (slot->must_sign) {
		slot->signed_left--;
	} else if (slot->on_trial) {
		slot->on_trial = false;
		slot->signed_doublings = 0;
	}
}

static void
sign_from_now(struct client *c, struct slot *slot)
{
	check(!slot->must_sign);
	slot->must_sign = true;
	slot->on_trial = false;
	slot->retries = 0;
	slot->signers = 0;
	slot->signed_left = (uint16_t)(SIGNED_LEAST << slot->signed_doublings);
	if (slot->signed_doublings < SIGNED_DOUBLINGS_MAX)
		slot->signed_doublings++;
	c->slots_signed++;
}

static void
on_submit(struct client *c, const struct event *event, struct outbox *out)
{
	uint32_t index = client_slots_submit(&c->ops, &event->submit, event->now_ns);
	check(c->slots[index].votes.voted == 0);
	c->slots[index].retries = 0;
	c->slots[index].reading = c->ops.config.reads && event->submit.read_only;
	proof_choose(c, &c->slots[index]);
	if (c->wary_left > 0 || c->slots[index].on_trial) {
		c->wary_left -= c->wary_left > 0;
		ask(c, index, true, out);
	} else {
		ask_first(c, index, out);
	}
}

/* One a step: the next is due at once, so the engine comes back. */
static void
on_timeout(struct client *c, uint64_t now_ns, struct outbox *out)
{
	uint32_t index = client_slots_expire(&c->ops, now_ns);
	if (index == WHEEL_NONE)
		return;
	struct slot *slot = &c->slots[index];
	if (slot->on_trial && !slot->reading)
		sign_from_now(c, slot);
	if (slot->hurried)
		c->tardy |= replier_bit(c, index) & ~slot->votes.voted;
	if (slot->reading)
		read_fall_back(c, index, now_ns, out);
	else if (c->asking.path == NULL || !c->asking.path->on_timer(c, index, now_ns, out))
		ask_again(c, index, now_ns, out);
}

/* ---- views -------------------------------------------------------------------------- */

/* How many replicas are in `view` or above. */
static uint32_t
views_reached(const struct client *c, const uint64_t *views, uint64_t view)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < c->ops.config.replicas_count; i++)
		count += views[i] >= view;
	return count;
}

/* The highest view that f + 1 replicas have reached: at least one of them is correct. */
static uint64_t
view_vouched(const struct client *c, const uint64_t *views)
{
	uint64_t highest = 0;
	for (uint32_t i = 0; i < c->ops.config.replicas_count; i++) {
		if (views[i] > highest &&
		    views_reached(c, views, views[i]) >= quorum_weak(c->ops.config.faults))
			highest = views[i];
	}
	return highest;
}

/*
 * "each message sent by the replicas to the client includes the current view
 * number, allowing the client to track the view and hence the current primary"
 * (OSDI'99, 4.2). What f replicas say moves nothing.
 */
static void
view_note(struct client *c, uint32_t index, const struct message_header *h)
{
	uint64_t view = h->view >> BFT_REPLY_SHIFT;
	uint64_t *views = views_of(c, index);
	if (view <= views[h->sender])
		return;
	views[h->sender] = view;
	uint64_t *believed = &c->believed[client_slots_instance(&c->ops, index)];
	if (views_reached(c, views, *believed + 1) >= quorum_weak(c->ops.config.faults))
		*believed = view_vouched(c, views);
}

/* ---- votes -------------------------------------------------------------------------- */

static struct ballot
ballot_of(const struct message *m)
{
	static const uint8_t empty32[32];
	const struct message_header *h = m->header;
	bool lost = h->type == MESSAGE_REPLY_LOST;
	bool tentative = (h->view & BFT_REPLY_TENTATIVE) != 0;
	uint64_t rank = tentative ? h->view >> BFT_REPLY_SHIFT << 1 : RANK_FINAL;
	/* An empty result has no digest to be bound by, whatever the header says. */
	bool empty = h->type == MESSAGE_REPLY && m->body_size == 0;
	return (struct ballot){
	    .digest32 = lost || empty ? empty32 : h->digest,
	    .rank = rank | lost,
	    .bit = 1ull << h->sender,
	};
}

/* ---- results ------------------------------------------------------------------------- */

/* Can no result of a READ get q votes any more, whatever the others say? */
static bool
is_hopeless(const struct client *c, const struct slot *slot)
{
	uint32_t silent = quorum_count(c->everybody & ~slot->votes.voted);
	return votes_most(&slot->votes) + silent < c->needed.quorum;
}

static bool
body_matches(const struct slot *slot, const uint8_t *digest32)
{
	return slot->cell != 0 &&
	       memcmp(slot->body_digest32, digest32, sizeof(slot->body_digest32)) == 0;
}

/* Keeps a result for later, unless the one that is kept has as many votes. */
static void
body_keep(struct client *c, uint32_t index, const struct message *m, uint64_t now_ns)
{
	struct slot *slot = &c->slots[index];
	const uint8_t *digest32 = m->header->digest;
	if (body_matches(slot, digest32))
		return;
	uint32_t support = votes_support(&slot->votes, digest32);
	if (slot->cell != 0 && support <= votes_support(&slot->votes, slot->body_digest32))
		return;
	if (!cell_take(c, index, now_ns)) {
		c->results_unkept++;
		return;
	}
	check(m->body_size <= c->cell_size);
	memcpy(cell_bytes(c, slot->cell - 1), m->body, m->body_size);
	memcpy(slot->body_digest32, digest32, sizeof(slot->body_digest32));
	slot->body_size = m->body_size;
}

/*
 * Enough replicas agree on a result that nobody has sent yet. It may be on its
 * way, for digests travel faster: only a part of the usual time is waited for
 * it. "If the client does not receive a correct result from the designated
 * replica" (OSDI'99, 5.1): if that one has spoken and this is not what it sent,
 * nothing is worth waiting for. Once all have been asked for the whole, the
 * timer does the rest.
 */
static void
body_want(struct client *c, uint32_t index, uint64_t now_ns, struct outbox *out)
{
	struct slot *slot = &c->slots[index];
	uint64_t replier = replier_bit(c, index);
	if (c->ops.list[index].tries > 0)
		return;
	if ((slot->votes.voted & replier) == 0) {
		uint64_t due_ns = now_ns + c->ops.config.retry_ns / PATIENCE_PART;
		if (!slot->hurried && due_ns < c->ops.wheel.entries[index].due_ns)
			wheel_arm(&c->ops.wheel, index, due_ns);
		slot->hurried = true;
		return;
	}
	if (slot->reading) {
		read_fall_back(c, index, now_ns, out);
		return;
	}
	c->tardy |= replier;
	ask_again(c, index, now_ns, out);
}

/* The result is at hand: this message has it, a cell has it, or it has no bytes. */
static bool
body_at_hand(const struct slot *slot, const struct message *m, const struct ballot *b)
{
	return m->header->type != BFT_REPLY_DIGEST || body_matches(slot, b->digest32) ||
	       digest_is_zero(b->digest32);
}

/* The result is what follows the reply's head. */
static void
complete_with(struct client *c, uint32_t index, const struct event *event, const uint8_t *body,
    uint32_t size, struct outbox *out)
{
	const struct message *m = event->message;
	uint32_t head = size >= c->asking.head_size ? c->asking.head_size : 0;
	struct completion *done = client_slots_complete(&c->ops, index, event->now_ns, out);
	done->lost = m->header->type == MESSAGE_REPLY_LOST;
	done->size = size - head;
	done->data = body + head;
	if (c->asking.path != NULL)
		c->asking.path->on_done(c, index, m);
	slot_clear(c, index, event->now_ns);
}

const uint8_t *
bft_client_body(const struct client *c, uint32_t index, const uint8_t *digest32)
{
	const struct slot *slot = &c->slots[index];
	return body_matches(slot, digest32) ? cell_bytes(c, slot->cell - 1) : NULL;
}

void
bft_client_answer(struct client *c, uint32_t index, const uint8_t *digest32,
    const struct event *event, struct outbox *out)
{
	const uint8_t *body = bft_client_body(c, index, digest32);
	check(body != NULL);
	complete_with(c, index, event, body, c->slots[index].body_size, out);
}

void
bft_client_complete(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	if (m->header->type == BFT_REPLY_DIGEST &&
	    body_matches(&c->slots[index], m->header->digest))
		bft_client_answer(c, index, m->header->digest, event, out);
	else
		complete_with(c, index, event, m->body, m->body_size, out);
}

static void
on_reply(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	struct slot *slot = &c->slots[index];
	struct ballot b = ballot_of(m);
	/* Two answers to a READ that came twice may differ without fault. */
	if (votes_cast(&slot->votes, &b) == VOTES_CONFLICTING && !slot->reading)
		c->conflicts++;
	if (m->body_size > 0 && replier_bit(c, index) == b.bit)
		c->tardy &= ~b.bit;
	if (votes_suffice(&slot->votes, &b, &c->needed)) {
		if (body_at_hand(slot, m, &b))
			bft_client_complete(c, index, event, out);
		else
			body_want(c, index, event->now_ns, out);
		return;
	}
	if (slot->reading && is_hopeless(c, slot)) {
		read_fall_back(c, index, event->now_ns, out);
		return;
	}
	if (m->body_size > 0)
		body_keep(c, index, m, event->now_ns);
	if (c->asking.path != NULL)
		c->asking.path->on_vote(c, index, event, out);
}

/*
 * One replica alone cannot make us sign: signatures are what costs most, and a
 * liar would have every client pay. Where f + 1 say that our MACs do not hold
 * with them, a correct one does.
 */
static void
on_must_sign(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	struct slot *slot = &c->slots[index];
	slot->signers |= 1ull << event->message->header->sender;
	if (quorum_count(slot->signers) < quorum_weak(c->ops.config.faults))
		return;
	sign_from_now(c, slot);
	ask_again(c, index, event->now_ns, out);
}

static void
on_message(struct client *c, const struct event *event, struct outbox *out)
{
	const struct message_header *h = event->message->header;
	uint32_t index = client_slots_index(&c->ops, h);
	check(index < c->ops.config.slots_count);
	if (h->type >= BFT_TYPES_END) {
		c->asking.path->on_message(c, index, event, out);
		return;
	}
	view_note(c, index, h);
	if (!is_awaited(c, h))
		return; /* answered by another message of the same burst, or only late */
	if (h->type == BFT_MUST_SIGN)
		on_must_sign(c, index, event, out);
	else
		on_reply(c, index, event, out);
}

void
bft_client_step(void *self, const struct event *event, struct outbox *out)
{
	struct client *c = self;
	switch (event->type) {
	case EVENT_MESSAGE:
		on_message(c, event, out);
		break;
	case EVENT_TIMEOUT:
		on_timeout(c, event->now_ns, out);
		break;
	case EVENT_SUBMIT:
		on_submit(c, event, out);
		break;
	case EVENT_EXECUTED:
	case EVENT_STATE:
		break;
	}
}

/* ---- what others ask ------------------------------------------------------------------ */

uint64_t
bft_client_deadline(const void *self)
{
	const struct client *c = self;
	return wheel_deadline(&c->ops.wheel);
}

static void
audit_votes(const struct client *c, uint32_t index)
{
	const struct slot *slot = &c->slots[index];
	uint64_t voted = 0;
	for (uint32_t i = 0; i < slot->votes.count; i++) {
		const struct tally *tally = votes_at(&slot->votes, i);
		struct ballot b = {.digest32 = tally->digest32, .rank = tally->rank};
		check((tally->voters & voted) == 0);
		voted |= tally->voters;
		/* What is accepted is complete, unless it is a result that nobody has sent. */
		if (tally->voters != 0 && votes_suffice(&slot->votes, &b, &c->needed)) {
			check((tally->rank & 1) == 0);
			check(!body_matches(slot, tally->digest32));
			check(!digest_is_zero(tally->digest32));
		}
		if (slot->reading && tally->voters != 0)
			check(tally->rank == RANK_FINAL);
	}
	check(voted == slot->votes.voted);
	check((voted & ~c->everybody) == 0);
}

static void
audit_slot(const struct client *c, uint32_t index)
{
	const struct slot *slot = &c->slots[index];
	check(slot->votes.count <= c->ops.config.replicas_count);
	audit_votes(c, index);
	check(quorum_count(slot->signers) <= c->ops.config.faults);
	if (!c->ops.list[index].outstanding) {
		check(slot->votes.voted == 0 && slot->signers == 0);
		check(slot->cell == 0 && !slot->reading && !slot->hurried);
	}
	check(!slot->must_sign || !slot->on_trial);
	if (slot->must_sign || slot->on_trial)
		check(c->ops.config.request_proof == PROOF_VECTOR);
	if (slot->reading) {
		check(c->ops.config.reads);
		check(!is_hopeless(c, slot));
	}
	if (slot->cell != 0)
		check(slot->body_size > 0 && slot->body_size <= c->cell_size);
	if (slot->cell != 0 && cells_shared(c))
		check(c->cells[slot->cell - 1].owner == index + 1);
	if (slot->cell != 0 && !cells_shared(c))
		check(slot->cell == index + 1);
}

void
bft_client_audit(const void *self)
{
	const struct client *c = self;
	const struct protocol_config *config = &c->ops.config;
	uint32_t cells = 0;
	uint64_t slots_signed = 0;
	client_slots_audit(&c->ops);
	for (uint32_t i = 0; i < config->slots_count; i++) {
		audit_slot(c, i);
		cells += c->slots[i].cell != 0;
		slots_signed += c->slots[i].must_sign;
	}
	check(slots_signed == c->slots_signed);
	for (uint32_t at = c->free_first; at != 0; at = c->cells[at - 1].next) {
		check(c->cells[at - 1].owner == 0);
		cells++;
	}
	if (cells_shared(c))
		check(cells == c->cells_count);
	for (uint32_t i = 0; i < config->instances_count; i++) {
		const uint64_t *views = c->views + (size_t)i * config->replicas_count;
		check(c->believed[i] == view_vouched(c, views));
	}
}

uint64_t
bft_client_view(const void *self)
{
	const struct client *c = self;
	return c->believed[0];
}

uint64_t
bft_client_retransmissions(const void *self)
{
	const struct client *c = self;
	return c->ops.retransmissions;
}

void
bft_client_figures(const void *self, struct figures *figures)
{
	const struct client *c = self;
	figures_add(figures, "retransmissions", &c->ops.retransmissions, true);
	figures_add(figures, "replies_conflicting", &c->conflicts, true);
	figures_add(figures, "reads_fallen_back", &c->reads_fallen_back, true);
	figures_add(figures, "results_unkept", &c->results_unkept, true);
	figures_add(figures, "slots_signed", &c->slots_signed, true);
	if (c->asking.path != NULL)
		c->asking.path->figures(c, figures);
}
