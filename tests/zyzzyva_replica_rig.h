/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One replica of Zyzzyva by itself, for stories: R(SELF) of four, none of whose others
 * exists. What they say comes in as the story tells it, is screened, proven
 * (toy_prover.h) and stepped; what the replica sends is sealed and written down, and
 * comes back where it sends to itself. Executor and reply cache are a list of what was
 * executed. audit() after each step. Static; one thread.
 */
#ifndef OSKR_TESTS_ZYZZYVA_REPLICA_RIG_H
#define OSKR_TESTS_ZYZZYVA_REPLICA_RIG_H

#include "engine/batch.h"
#include "protocols/zyzzyva/phases.h"
#include "tests/toy_prover.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	PROTOCOL = 5,
	N = 4,
	SELF = 3, /* views 0, 1, 2 are others' */
	QUORUM = 3,
	INTERVAL = 4,
	SLOTS = 8,
	LETTER_SIZE = 2048,
	LETTERS_MAX = 96,
	DONE_MAX = 64,
	HOLDS_MAX = 64,
	MS = 1000000,
	TICK_NS = MS, /* a sixteenth of the view's timeout */
};

/* What became of a message. */
enum fate { DROPPED, UNPROVEN, STEPPED };

/* A message that the replica sent, sealed. */
struct letter_sent {
	uint64_t to;	 /* replicas; 0: to a client */
	uint16_t client; /* slot */
	uint64_t bytes[LETTER_SIZE / 8];
};

/* A request that was executed. */
struct done {
	uint64_t seq;
	uint16_t client;
	uint64_t timestamp;
};

static struct rig {
	struct protocol_config config;
	uint8_t *memory;
	struct zyzzyva *r;
	uint64_t now_ns;
	bool keeps_state; /* the executor cannot undo, nor fetch: what moves, fails */
	bool moves_later; /* what is to move the state takes its time */
	struct outbox out;
	struct claims claims;
	uint64_t envelopes[LETTERS_MAX][LETTER_SIZE / 8];
	uint64_t large[LETTER_SIZE / 8];
	struct letter_sent sent[LETTERS_MAX];
	uint32_t sent_count;
	uint32_t own_next; /* of those, the next that may come back */
	uint32_t transfers;
	uint64_t transferred; /* the last seq that was fetched */
	struct done done[DONE_MAX];
	uint32_t done_count;
	uint64_t incoming[LETTER_SIZE / 8];
	uint8_t changes[N][32]; /* digest of the last VIEW-CHANGE of each */
} rig;

/* ---- the replica ---------------------------------------------------------------- */

static inline struct protocol_config
config_of(uint8_t protocol_proof)
{
	return (struct protocol_config){
	    .cluster = CLUSTER,
	    .protocol = PROTOCOL,
	    .replicas_count = N,
	    .faults = 1,
	    .self = SELF,
	    .instances_count = 1,
	    .slots_count = SLOTS,
	    .request_proof = PROOF_VECTOR,
	    .protocol_proof = protocol_proof,
	    .reply_proof = PROOF_MAC,
	    .batch_count_max = 4,
	    .batch_size_max = 1024,
	    .window = INTERVAL,
	    .request_size_max = 256,
	    .result_size_max = 64,
	    .checkpoint_interval = INTERVAL,
	    .view_timeout_ns = TICK_NS * ZYZZYVA_TICKS_PER_TIMEOUT,
	    .batch_timeout_ns = 1,
	};
}

static inline void
open_with(const struct protocol_config *config)
{
	memset(&rig, 0, sizeof(rig));
	rig.config = *config;
	rig.now_ns = 100 * MS;
	size_t size = zyzzyva_replica.size(config);
	rig.memory = aligned_alloc(64, (size + 63) / 64 * 64);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.memory);
	memset(rig.memory, 0, size);
	rig.r = (void *)rig.memory;
	zyzzyva_replica.init(rig.r, config);
	zyzzyva_replica.audit(rig.r);
}

static inline void
open_replica(void)
{
	struct protocol_config config = config_of(PROOF_VECTOR);
	open_with(&config);
}

static inline void
close_replica(void)
{
	free(rig.memory);
}

static inline uint64_t
figure(const char *name)
{
	struct figures figures = {0};
	zyzzyva_replica.figures(rig.r, &figures);
	for (uint32_t i = 0; i < figures.count; i++) {
		if (strcmp(figures.list[i].name, name) == 0)
			return figures.list[i].value;
	}
	CU_FAIL_FATAL("no such figure");
	return 0;
}

/* ---- proofs ------------------------------------------------------------------------ */

/* Writes digest and proof of a whole message, as `key`; before32: of the send before. */
static inline void
message_seal(struct message_header *h, uint32_t key, uint8_t flags)
{
	uint32_t proof = proof_size(h->proof, N);
	uint32_t size = h->size - (uint32_t)sizeof(*h) - proof;
	uint8_t *body = (uint8_t *)(h + 1);
	if (size > 0 && (h->proof != PROOF_NONE || (flags & SEND_DIGEST) != 0))
		digest_of(body, size, h->digest);
	memset(body + size, 0, proof);
	if (h->proof == PROOF_VECTOR)
		toy_proof(key, h, body + size + SELF * MAC_SIZE, MAC_SIZE);
	else if (proof > 0)
		toy_proof(key, h, body + size, proof);
}

/* What was sent is sealed and written down. */
static inline void
sends_keep(void)
{
	for (uint32_t i = 0; i < rig.out.sends_count; i++) {
		const struct send *s = &rig.out.sends[i];
		CU_ASSERT_FATAL(rig.sent_count < LETTERS_MAX && s->header->size <= LETTER_SIZE);
		if ((s->flags & SEND_CHAINED) != 0)
			memcpy(s->header + 1, rig.out.sends[i - 1].header->digest, 32);
		if ((s->flags & SEND_SEALED) == 0)
			message_seal(s->header, SELF, s->flags);
		struct letter_sent *l = &rig.sent[rig.sent_count++];
		l->to = s->to;
		l->client = s->client;
		memcpy(l->bytes, s->header, s->header->size);
	}
}

/* Nothing that was sent so far matters. */
static inline void
forget_sent(void)
{
	rig.sent_count = 0;
	rig.own_next = 0;
}

/* ---- steps -------------------------------------------------------------------------- */

static inline void
step_alone(struct event *event)
{
	struct outbox *out = &rig.out;
	event->now_ns = rig.now_ns;
	*out = (struct outbox){.sends_ready = LETTERS_MAX, .large_ready = 1};
	memset(rig.envelopes, 0xee, sizeof(rig.envelopes));
	for (uint32_t i = 0; i < LETTERS_MAX; i++)
		out->sends[i] =
		    (struct send){.capacity = LETTER_SIZE, .header = (void *)rig.envelopes[i]};
	out->large[0] =
	    (struct send){.large = 1, .capacity = LETTER_SIZE, .header = (void *)rig.large};
	zyzzyva_replica.step(rig.r, event, out);
	zyzzyva_replica.audit(rig.r);
	CU_ASSERT(
	    event->type == EVENT_EXECUTED || out->sends_count <= zyzzyva_replica.sends_per_step);
	CU_ASSERT(out->deliveries_count <= zyzzyva_replica.deliveries_per_step);
	sends_keep();
}

static inline void step(struct event *event);

/* The last of the client's that is executed; NULL: nothing. */
static inline const struct done *
done_last(uint16_t client)
{
	const struct done *last = NULL;
	for (uint32_t i = 0; i < rig.done_count; i++) {
		if (rig.done[i].client == client)
			last = &rig.done[i];
	}
	return last;
}

static inline void
execute(const struct delivery *d)
{
	struct batch_cursor cursor = batch_cursor(d->batch, d->batch_size);
	struct result results[8];
	struct message request;
	uint8_t state32[32];
	struct event event = {
	    .type = EVENT_EXECUTED, .executed = {.seq = d->seq, .results = results, .last = true}};
	while (batch_next(&cursor, &rig.r->me.scope, &request)) {
		const struct message_header *h = request.header;
		const struct done *last = done_last(h->sender);
		bool again = last != NULL && last->timestamp >= h->seq;
		CU_ASSERT_FATAL(rig.done_count < DONE_MAX);
		if (!again)
			rig.done[rig.done_count++] = (struct done){d->seq, h->sender, h->seq};
		results[event.executed.results_count++] = (struct result){.client = h->sender,
		    .timestamp = h->seq,
		    .flags = again ? RESULT_DUPLICATE : 0,
		    .size = 2,
		    .data = (const uint8_t *)"ok"};
	}
	memset(state32, 's', sizeof(state32));
	event.executed.state_digest32 = d->checkpoint ? state32 : NULL;
	step(&event);
}

static inline void
recall(const struct delivery *d)
{
	const struct done *last = done_last(d->client);
	struct result result = {.client = d->client, .timestamp = d->timestamp};
	struct event event = {
	    .type = EVENT_EXECUTED, .executed = {.results = &result, .results_count = 1}};
	if (last == NULL || last->timestamp < d->timestamp)
		result.flags = RESULT_NEW;
	else
		result.flags = last->timestamp == d->timestamp ? RESULT_DUPLICATE : RESULT_STALE;
	result.size = result.flags == RESULT_DUPLICATE ? 2 : 0;
	result.data = (const uint8_t *)"ok";
	step(&event);
}

static inline void
move(const struct delivery *d)
{
	struct event event = {.type = EVENT_STATE, .moved = {.seq = d->seq, .done = true}};
	if (d->kind == DELIVERY_TRANSFER) {
		rig.transfers++;
		rig.transferred = d->seq;
	}
	if (rig.keeps_state) {
		event.moved.done = false;
		event.moved.seq = rig.done_count > 0 ? rig.done[rig.done_count - 1].seq : 0;
	}
	while (rig.done_count > 0 && !rig.keeps_state && rig.done[rig.done_count - 1].seq > d->seq)
		rig.done_count--;
	step(&event);
}

/* Steps; what is to be executed then is executed at once. */
static inline void
step(struct event *event)
{
	struct delivery list[OUTBOX_DELIVERIES_MAX];
	step_alone(event);
	uint32_t count = rig.out.deliveries_count;
	bool moves = false;
	memcpy(list, rig.out.deliveries, count * sizeof(list[0]));
	for (uint32_t i = 0; i < count; i++)
		moves |= list[i].kind == DELIVERY_ROLLBACK || list[i].kind == DELIVERY_TRANSFER;
	for (uint32_t i = 0; i < count; i++) {
		const struct delivery *d = &list[i];
		if (d->kind == DELIVERY_BATCH && !moves)
			execute(d);
		else if (d->kind == DELIVERY_RECALL && !moves)
			recall(d);
		else if ((d->kind == DELIVERY_ROLLBACK || d->kind == DELIVERY_TRANSFER) &&
			 !rig.moves_later)
			move(d);
	}
}

/* Screened, proven, and stepped, perhaps after other steps of the same burst. */
static inline enum fate
hear_after(const uint64_t *bytes, bool own, void (*between)(void))
{
	struct message m;
	struct event event = {.type = EVENT_MESSAGE, .message = &m};
	const struct message_header *h = (const void *)bytes;
	bool holds[HOLDS_MAX];
	bool all = true;
	enum parse_error parsed =
	    message_parse(&rig.r->me.scope, (const uint8_t *)bytes, h->size, &m);
	CU_ASSERT_EQUAL_FATAL(parsed, PARSE_OK);
	m.own = own;
	rig.claims.count = 0;
	rig.claims.scratch_count = 0;
	if (zyzzyva_replica.screen(rig.r, &m, &rig.claims) == VERDICT_DROP)
		return DROPPED;
	CU_ASSERT_FATAL(rig.claims.count <= HOLDS_MAX);
	CU_ASSERT(rig.claims.count <= zyzzyva_replica.claims_per_message(&rig.config));
	for (uint32_t i = 0; i < rig.claims.count; i++) {
		holds[i] = toy_claim_holds(&rig.claims.list[i]);
		all &= holds[i] || rig.claims.list[i].optional;
	}
	event.holds = holds;
	event.claims_count = rig.claims.count;
	if (!all)
		return UNPROVEN;
	if (between != NULL)
		between();
	step(&event);
	return STEPPED;
}

static inline enum fate
hear(const uint64_t *bytes, bool own)
{
	return hear_after(bytes, own, NULL);
}

/* The burst's end: its own messages come back, and what is due is done. */
static inline void
burst_end(void)
{
	uint64_t copy[LETTER_SIZE / 8];
	for (uint32_t turns = 0; turns < 200; turns++) {
		if (rig.own_next < rig.sent_count) {
			const struct letter_sent *l = &rig.sent[rig.own_next++];
			memcpy(copy, l->bytes, sizeof(copy));
			if ((l->to >> SELF & 1) != 0)
				hear(copy, true);
		} else if (zyzzyva_replica.deadline(rig.r) <= rig.now_ns) {
			struct event event = {.type = EVENT_TIMEOUT};
			step(&event);
		} else {
			return;
		}
	}
	CU_FAIL_FATAL("it is never done");
}

static inline void
wait_ns(uint64_t ns)
{
	uint64_t end_ns = rig.now_ns + ns;
	for (;;) {
		uint64_t next_ns = zyzzyva_replica.deadline(rig.r);
		if (next_ns > end_ns)
			break;
		rig.now_ns = next_ns > rig.now_ns ? next_ns : rig.now_ns;
		burst_end();
	}
	rig.now_ns = end_ns;
}

/* ---- what others say ------------------------------------------------------------------ */

/* Begins a message in rig.incoming; view and seq are the caller's to set. */
static inline struct message_header *
message_write(uint16_t from, uint8_t type, uint8_t proof, const void *body, uint32_t size)
{
	struct message_header *h = (void *)rig.incoming;
	uint32_t whole = (uint32_t)sizeof(*h) + size + proof_size(proof, N);
	CU_ASSERT_FATAL(whole <= LETTER_SIZE);
	memset(rig.incoming, 0, sizeof(rig.incoming));
	*h = (struct message_header){
	    .size = whole,
	    .cluster = CLUSTER,
	    .sender = from,
	    .protocol = PROTOCOL,
	    .type = type,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	};
	if (size > 0)
		memcpy(h + 1, body, size);
	return h;
}

/* What was written is sealed as its sender's, and comes. */
static inline enum fate
arrive_from(uint32_t key)
{
	message_seal((void *)rig.incoming, key, 0);
	enum fate fate = hear(rig.incoming, false);
	burst_end();
	return fate;
}

static inline enum fate
arrive(void)
{
	return arrive_from(((const struct message_header *)(void *)rig.incoming)->sender);
}

/* The same, and what `between` tells comes before it is stepped. */
static inline enum fate
arrive_after(void (*between)(void))
{
	uint64_t copy[LETTER_SIZE / 8];
	message_seal(
	    (void *)rig.incoming, ((const struct message_header *)(void *)rig.incoming)->sender, 0);
	memcpy(copy, rig.incoming, sizeof(copy));
	enum fate fate = hear_after(copy, false, between);
	burst_end();
	return fate;
}

/* One without body. */
static inline enum fate
word_comes(uint16_t from, uint8_t type, uint64_t view, uint64_t seq)
{
	bool is_signed = type == ZYZZYVA_HATE;
	struct message_header *h = message_write(
	    from, type, is_signed ? PROOF_SIGNATURE : rig.config.protocol_proof, NULL, 0);
	h->view = view;
	h->seq = seq;
	return arrive();
}

static inline struct message_header *
statement_write(uint16_t from, uint64_t view, uint64_t seq, const uint8_t *history32)
{
	struct message_header *h = message_write(from, ZYZZYVA_STATEMENT, PROOF_SIGNATURE, NULL, 0);
	h->view = view;
	h->seq = seq;
	memcpy(h->digest, history32, 32);
	return h;
}

static inline enum fate
states(uint16_t from, uint64_t view, uint64_t seq, const uint8_t *history32)
{
	statement_write(from, view, seq, history32);
	return arrive();
}

/* One request of a client in a batch; a bad one's MAC does not hold here. */
struct order {
	uint64_t view;
	uint64_t seq;
	const uint8_t *before32;
	uint16_t client;
	uint64_t timestamp;
	bool bad;
};

static inline void
request_write(const struct order *o, uint64_t *request)
{
	struct message_header *h = (void *)request;
	uint32_t size = (uint32_t)sizeof(*h) + 8 + N * MAC_SIZE;
	*h = (struct message_header){
	    .size = size,
	    .cluster = CLUSTER,
	    .sender = o->client,
	    .protocol = PROTOCOL,
	    .type = MESSAGE_REQUEST,
	    .proof = PROOF_VECTOR,
	    .version = MESSAGE_VERSION,
	    .seq = o->timestamp,
	};
	memcpy(h + 1, "operate!", 8);
	message_seal(h, KEY_CLIENT + o->client + (o->bad ? 1u : 0u), 0);
}

enum { REQUEST_SIZE = 64 + 8 + N * MAC_SIZE, BODY_SIZE = 32 + REQUEST_SIZE };

/* The order's body; returns its digest, which is h of its seq. */
static inline void
order_body(const struct order *o, uint64_t *body, uint8_t *history32)
{
	memcpy(body, o->before32, 32);
	request_write(o, body + 4);
	digest_of(body, BODY_SIZE, history32);
}

static inline enum fate
order_comes(const struct order *o, uint8_t *history32)
{
	uint64_t body[BODY_SIZE / 8];
	order_body(o, body, history32);
	struct message_header *h = message_write(
	    (uint16_t)(o->view % N), ZYZZYVA_ORDER_REQ, rig.config.protocol_proof, body, BODY_SIZE);
	h->view = o->view;
	h->seq = o->seq;
	return arrive();
}

/* The client asks R(SELF) itself. */
static inline enum fate
request_comes(uint16_t client, uint64_t timestamp)
{
	struct order o = {.client = client, .timestamp = timestamp};
	memset(rig.incoming, 0, sizeof(rig.incoming));
	request_write(&o, rig.incoming);
	enum fate fate = hear(rig.incoming, false);
	burst_end();
	return fate;
}

/* ---- certificates ------------------------------------------------------------------------- */

struct point {
	uint64_t view;
	uint64_t seq;
	const uint8_t *history32;
	uint64_t signers; /* 0: there is none */
};

static inline void
commit_head_write(const struct point *p, struct commit_head *head)
{
	*head = (struct commit_head){.view = p->view, .seq = p->seq, .signers = p->signers};
	if (p->history32 != NULL)
		memcpy(head->history32, p->history32, 32);
}

/* Signatures of a commit certificate; returns their size. */
static inline uint32_t
commit_sign(const struct commit_head *head, uint8_t *signatures64)
{
	uint8_t *at = signatures64;
	for (uint64_t left = head->signers; left != 0; left &= left - 1) {
		uint16_t signer = (uint16_t)__builtin_ctzll(left);
		struct message_header header;
		statement_header(&rig.config, head, signer, &header);
		toy_proof(signer, &header, at, SIGNATURE_SIZE);
		at += SIGNATURE_SIZE;
	}
	return (uint32_t)(at - signatures64);
}

/* Of a stable checkpoint: its state is 's' where we executed all of it. */
static inline void
stable_head_write(uint64_t seq, const uint8_t *history32, struct stable_head *head)
{
	*head = (struct stable_head){.seq = seq, .signers = 7};
	memset(head->pair.state32, 's', 32);
	memcpy(head->pair.history32, history32, 32);
	digest_of(&head->pair, sizeof(head->pair), head->digest32);
}

static inline uint32_t
stable_sign(const struct stable_head *head, struct stable_signature *signatures)
{
	uint32_t count = 0;
	for (uint64_t left = head->signers; left != 0; left &= left - 1) {
		uint16_t signer = (uint16_t)__builtin_ctzll(left);
		struct message_header h = {
		    .size = (uint32_t)(sizeof(h) + sizeof(head->pair) + SIGNATURE_SIZE),
		    .cluster = CLUSTER,
		    .sender = signer,
		    .protocol = PROTOCOL,
		    .type = BFT_CHECKPOINT,
		    .proof = PROOF_SIGNATURE,
		    .version = MESSAGE_VERSION,
		    .seq = head->seq,
		};
		memcpy(h.digest, head->digest32, 32);
		signatures[count] = (struct stable_signature){.view = 0};
		toy_proof(signer, &h, signatures[count++].signature64, SIGNATURE_SIZE);
	}
	return count * (uint32_t)sizeof(*signatures);
}

/* Whoever passes it on. */
static inline uint32_t
certificate_write(const struct point *p)
{
	uint64_t body[LETTER_SIZE / 16];
	struct commit_head *head = (void *)body;
	commit_head_write(p, head);
	uint32_t size = (uint32_t)sizeof(*head) + commit_sign(head, (uint8_t *)(head + 1));
	message_write(0, ZYZZYVA_CERTIFICATE, PROOF_NONE, body, size)->view = p->view;
	return size;
}

static inline enum fate
certificate_comes(const struct point *p)
{
	certificate_write(p);
	return arrive();
}

static inline void
stable_write(uint64_t seq, const uint8_t *history32)
{
	uint64_t body[LETTER_SIZE / 16];
	struct stable_head *head = (void *)body;
	stable_head_write(seq, history32, head);
	uint32_t size = (uint32_t)sizeof(*head) + stable_sign(head, (void *)(head + 1));
	message_write(0, ZYZZYVA_STABLE, PROOF_NONE, body, size)->seq = seq;
}

/* ---- view changes ------------------------------------------------------------------------- */

/* A VIEW-CHANGE: `entries` from seq stable + 1 on. */
struct changed {
	uint16_t from;
	uint64_t view;
	struct point held; /* of the view in which it was active last */
	uint64_t stable;   /* 0: the beginning */
	const uint8_t *stable32;
	uint8_t (*entries)[32];
	uint64_t entries_count;
};

static inline void
change_write(const struct changed *c)
{
	uint64_t body[LETTER_SIZE / 8];
	struct view_change_head *head = (void *)body;
	uint8_t *at = (uint8_t *)(head + 1);
	*head =
	    (struct view_change_head){.active = c->held.view, .entries_count = c->entries_count};
	commit_head_write(&c->held, &head->held);
	at += commit_sign(&head->held, at);
	if (c->stable != 0) {
		stable_head_write(c->stable, c->stable32, &head->stable);
		at += stable_sign(&head->stable, (void *)at);
	}
	if (c->entries_count > 0)
		memcpy(at, c->entries, c->entries_count * 32);
	at += c->entries_count * 32;
	message_write(
	    c->from, ZYZZYVA_VIEW_CHANGE, PROOF_SIGNATURE, body, (uint32_t)(at - (uint8_t *)body))
	    ->view = c->view;
}

static inline enum fate
change_comes(const struct changed *c)
{
	change_write(c);
	enum fate fate = arrive();
	memcpy(rig.changes[c->from], ((const struct message_header *)(void *)rig.incoming)->digest,
	    32);
	return fate;
}

static inline const struct message_header *sent_to(uint8_t type, uint64_t to);

/* It names the last VIEW-CHANGE of each member, R(SELF)'s own if that is one. */
static inline void
new_view_write(uint64_t view, uint64_t members)
{
	uint64_t body[LETTER_SIZE / 16] = {members};
	uint8_t *at = (uint8_t *)(body + 1);
	if ((members >> SELF & 1) != 0) {
		const struct message_header *own = sent_to(ZYZZYVA_VIEW_CHANGE, 0xf);
		CU_ASSERT_PTR_NOT_NULL_FATAL(own);
		memcpy(rig.changes[SELF], own->digest, 32);
	}
	for (uint64_t left = members; left != 0; left &= left - 1, at += 32)
		memcpy(at, rig.changes[__builtin_ctzll(left)], 32);
	message_write((uint16_t)(view % N), ZYZZYVA_NEW_VIEW, PROOF_SIGNATURE, body,
	    (uint32_t)(at - (uint8_t *)body))
	    ->view = view;
}

static inline enum fate
new_view_comes(uint64_t view, uint64_t members)
{
	new_view_write(view, members);
	return arrive();
}

/* f + 1 others hate the primary of the view that it is in. */
static inline void
leave_view(void)
{
	uint64_t view = rig.r->me.view;
	CU_ASSERT_EQUAL(word_comes(1, ZYZZYVA_HATE, view, 0), STEPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, view);
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_HATE, view, 0), STEPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, view + 1);
	CU_ASSERT_FALSE(rig.r->active);
}

/* ---- what is expected ------------------------------------------------------------------ */

/* The last of this type that was sent to all of `to`; NULL: none was. */
static inline const struct message_header *
sent_to(uint8_t type, uint64_t to)
{
	for (uint32_t i = rig.sent_count; i > 0; i--) {
		const struct letter_sent *l = &rig.sent[i - 1];
		const struct message_header *h = (const void *)l->bytes;
		if (h->type == type && (l->to & to) == to)
			return h;
	}
	return NULL;
}

/* Did it state anything of this (view, seq)? The digest of what it stated, or NULL. */
static inline const uint8_t *
stated_of(uint64_t view, uint64_t seq)
{
	for (uint32_t i = rig.sent_count; i > 0; i--) {
		const struct message_header *h = (const void *)rig.sent[i - 1].bytes;
		if (h->type == ZYZZYVA_STATEMENT && h->view == view && h->seq == seq)
			return h->digest;
	}
	return NULL;
}

#endif
