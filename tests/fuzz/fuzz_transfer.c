/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: state transfer, with real states at both ends. One replica
 * fetches, one serves and is honest, and two more are the attacker's: they
 * answer with true blocks, altered ones, ones nobody asked for, or anything, and
 * ask both for anything. What must hold: what was fetched is, page for page,
 * what the honest one had at that checkpoint, and poisoned blocks leave no
 * trace; the honest one is never taken for a liar; what it serves is right and
 * fits; deadlines move on; and when the attacker is silent, a transfer ends.
 */
#include "engine/transfer.h"
#include "fuzz.h"
#include "tests/toy_digest.h"

enum {
	REPLICAS = 4,
	SERVER = 0, /* replicas; 1 and 2 are the attacker's */
	FETCHER = 3,
	PAGES = 40, /* a tree of three levels */
	REGION_SIZE = PAGES * STATE_PAGE_SIZE,
	ENVELOPE_SIZE = 1472,
	LARGE_SIZE = 20000,
	MESSAGE_SIZE_MAX = LARGE_SIZE,
	QUEUE = 32, /* a power of two */
	PAST = 8,   /* checkpoints whose content is remembered */
	SENDS_MAX = 8,
	ROUNDS_MAX = 4000,
};

struct side {
	uint16_t self;
	struct state state;
	struct transfer transfer;
};

/* A checkpoint of the honest server. */
struct past {
	uint64_t seq; /* 0: none */
	uint8_t root32[DIGEST_SIZE];
	uint8_t content[REGION_SIZE];
};

struct packet {
	uint16_t from;
	uint16_t to;
	uint32_t size;
	uint8_t *data;
};

struct world {
	struct fuzz_reader in;
	uint64_t now_ns;
	uint64_t seq; /* of the server's newest checkpoint */
	struct side server;
	struct side fetcher;
	struct past past[PAST];
	struct past target;
	struct packet queue[QUEUE];
	uint32_t queue_first;
	uint32_t queue_count;
	struct message_header fetch[REPLICAS]; /* the last to each peer, and its blocks */
	struct state_block fetch_blocks[REPLICAS][TRANSFER_FETCH_MAX];
	struct outbox out;
	uint64_t envelopes[SENDS_MAX][ENVELOPE_SIZE / 8];
	uint64_t large[LARGE_SIZE / 8];
	struct claims claims;
};

static struct world w;
static uint8_t proof; /* what the protocol seals with */

static const struct message_scope scope = {.cluster = 1, .replicas_count = REPLICAS, .protocol = 2};

/* ---- What is remembered of the server ------------------------------------- */

static struct past *
past_find(uint64_t seq)
{
	for (uint32_t i = 0; i < PAST; i++) {
		if (w.past[i].seq == seq)
			return &w.past[i];
	}
	return NULL;
}

static void
server_checkpoint(void)
{
	struct past *past = &w.past[++w.seq % PAST];
	past->seq = w.seq;
	state_checkpoint(&w.server.state, w.seq, past->root32);
	memcpy(past->content, w.server.state.base, REGION_SIZE);
}

/* The transfer is through: the content is the target's, and can be served. */
static void
fetcher_end(void)
{
	uint8_t root32[DIGEST_SIZE];
	if (!transfer_done(&w.fetcher.transfer))
		return;
	check(memcmp(w.fetcher.state.base, w.target.content, REGION_SIZE) == 0);
	transfer_end(&w.fetcher.transfer);
	check(state_root(&w.fetcher.state, w.target.seq, root32));
	check(memcmp(root32, w.target.root32, sizeof(root32)) == 0);
	check(!w.fetcher.transfer.active);
}

/* ---- What is sent ---------------------------------------------------------- */

static void
post(uint16_t from, uint16_t to, const void *bytes, uint32_t size)
{
	if (w.queue_count == QUEUE)
		return; /* lost */
	w.queue[(w.queue_first + w.queue_count++) % QUEUE] =
	    (struct packet){from, to, size, fuzz_copy(bytes, size)};
}

/* Pages that an honest replica serves are what they were at that checkpoint. */
static void
served_check(const struct message *m)
{
	struct blocks_head head;
	memcpy(&head, m->body, sizeof(head));
	check(m->body_size == sizeof(head) + head.blocks_count * sizeof(struct blocks_entry));
	const struct past *past = past_find(m->header->seq);
	const uint8_t *at = m->body + sizeof(head);
	check(head.blocks_count == 0 || (head.flags & BLOCKS_GONE) == 0);
	for (uint32_t i = 0; i < head.blocks_count; i++, at += sizeof(struct blocks_entry)) {
		struct state_block block;
		memcpy(&block, at, sizeof(block));
		if (past == NULL || block.level != 0)
			continue;
		check(block.index < PAGES);
		check(memcmp(at + sizeof(block),
			  past->content + (size_t)block.index * STATE_PAGE_SIZE,
			  STATE_PAGE_SIZE) == 0);
	}
}

static void
sent(const struct side *side, const struct send *send)
{
	struct message m;
	check(send->header->size <= send->capacity);
	check(message_parse(&scope, (const uint8_t *)send->header, send->header->size, &m) ==
	      PARSE_OK);
	check(m.header->sender == side->self);
	check(send->to != 0 && (send->to & (send->to - 1)) == 0);
	uint16_t to = (uint16_t)__builtin_ctzll(send->to);
	check(to < REPLICAS && to != side->self);
	if (m.header->type == MESSAGE_BLOCKS && side == &w.server)
		served_check(&m);
	if (m.header->type == MESSAGE_FETCH) {
		check(side == &w.fetcher);
		w.fetch[to] = *m.header;
		memcpy(w.fetch_blocks[to], m.body, m.body_size);
	}
	if (to == SERVER || to == FETCHER)
		post(side->self, to, m.header, m.header->size);
}

/* Writes what is due, at most so many messages; the rest waits for envelopes. */
static void
side_write(struct side *side, uint32_t room)
{
	for (uint32_t i = 0; i < room; i++) {
		w.out.sends_count = 0;
		w.out.sends_ready = 1;
		w.out.sends[0] = (struct send){.capacity = ENVELOPE_SIZE,
		    .header = (struct message_header *)(void *)w.envelopes[i % SENDS_MAX]};
		w.out.large_count = 0;
		w.out.large_ready = 1;
		w.out.large[0] = (struct send){.large = 1,
		    .capacity = LARGE_SIZE,
		    .header = (struct message_header *)(void *)w.large};
		transfer_expire(&side->transfer, w.now_ns);
		bool wrote = transfer_write(&side->transfer, w.now_ns, &w.out);
		check(wrote == (w.out.sends_count == 1));
		/* Blocks that must be zero are there without anybody's answer. */
		fetcher_end();
		if (!wrote)
			return;
		sent(side, &w.out.sends[0]);
	}
}

/* ---- What comes in --------------------------------------------------------- */

/* `forged`: its sender has no key for it, so it goes no further than screening. */
static void
side_deliver(struct side *side, const void *bytes, uint32_t size, bool forged)
{
	uint8_t *copy = fuzz_copy(bytes, size);
	struct message m;
	w.claims.count = 0;
	if (message_parse(&scope, copy, size, &m) == PARSE_OK &&
	    transfer_screen(&side->transfer, &m, &w.claims) == VERDICT_STEP && !forged) {
		check(w.claims.count <= 2);
		check((w.claims.count == 0) == (proof == PROOF_NONE));
		transfer_step(&side->transfer, w.now_ns, &m);
	}
	free(copy);
	check(w.fetcher.transfer.asks[SERVER].strikes == 0);
	fetcher_end();
}

static void
deliver_next(void)
{
	struct packet packet = w.queue[w.queue_first++ % QUEUE];
	w.queue_count--;
	side_deliver(packet.to == SERVER ? &w.server : &w.fetcher, packet.data, packet.size, false);
	free(packet.data);
}

/* ---- What the attacker does ------------------------------------------------ */

static uint8_t *
letter_begin(uint64_t *memory, uint16_t sender, uint8_t type)
{
	struct message_header *header = (struct message_header *)(void *)memory;
	*header = (struct message_header){
	    .cluster = scope.cluster,
	    .instance = MESSAGE_INSTANCE_NONE,
	    .sender = sender,
	    .protocol = scope.protocol,
	    .type = type,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	};
	return (uint8_t *)(header + 1);
}

static void
letter_end(struct side *side, uint64_t *memory, uint32_t body_size)
{
	struct message_header *header = (struct message_header *)(void *)memory;
	header->size = (uint32_t)sizeof(*header) + body_size + proof_size(header->proof, REPLICAS);
	bool forged = header->sender == SERVER || header->sender == FETCHER;
	side_deliver(side, memory, header->size, forged);
}

/* One entry of an answer: what was asked for, or not; the truth, or nearly. */
static void
entry_write(struct blocks_entry *entry, uint16_t peer, uint32_t i)
{
	uint32_t how = (uint32_t)fuzz_take(&w.in, 1);
	const uint8_t *truth;
	uint32_t asked = (uint32_t)(w.fetch[peer].size > 0) * TRANSFER_FETCH_MAX;
	memset(entry, 0, sizeof(*entry));
	entry->block = asked > 0 ? w.fetch_blocks[peer][i % asked] : (struct state_block){0, i};
	if ((how & 7) == 7)
		entry->block =
		    (struct state_block){(uint32_t)fuzz_take(&w.in, how & 64 ? 4 : 1) % 5,
			(uint32_t)fuzz_take(&w.in, how & 64 ? 4 : 1)};
	truth = state_block_at(&w.server.state, w.fetch[peer].seq, &entry->block);
	if (truth != NULL)
		memcpy(entry->bytes, truth, STATE_PAGE_SIZE);
	if ((how & 24) == 24)
		entry->bytes[fuzz_take(&w.in, 2) % STATE_PAGE_SIZE] ^= (uint8_t)(1u << (how >> 5));
}

static void
attacker_answers(void)
{
	static uint64_t
	    memory[(sizeof(struct message_header) + sizeof(struct blocks_head) +
		       (TRANSFER_FETCH_MAX + 1) * sizeof(struct blocks_entry) + SIGNATURE_SIZE) /
		   8];
	uint32_t how = (uint32_t)fuzz_take(&w.in, 1);
	uint16_t peer = (uint16_t)(1 + (how & 1));
	uint32_t count = fuzz_below(&w.in, how & 2 ? 3 : TRANSFER_FETCH_MAX + 2);
	uint8_t *body = letter_begin(memory, peer, MESSAGE_BLOCKS);
	struct message_header *header = (struct message_header *)(void *)memory;
	header->seq = w.fetch[peer].seq;
	header->view = w.fetch[peer].view;
	struct blocks_head head = {.blocks_count = count, .flags = how >> 2 & 1, .stable = how};
	if ((how & 0x38) == 0x38)
		head.flags = (uint32_t)fuzz_take(&w.in, 1);
	if ((how & 0xc0) == 0xc0)
		head.blocks_count = (uint32_t)fuzz_take(&w.in, 4);
	if ((how & 0xc0) == 0x80)
		header->seq += fuzz_below(&w.in, 3) - 1u;
	memcpy(body, &head, sizeof(head));
	for (uint32_t i = 0; i < count; i++) {
		struct blocks_entry entry;
		entry_write(&entry, peer, i);
		memcpy(body + sizeof(head) + i * sizeof(entry), &entry, sizeof(entry));
	}
	letter_end(
	    &w.fetcher, memory, (uint32_t)(sizeof(head) + count * sizeof(struct blocks_entry)));
}

static void
attacker_asks(void)
{
	static uint64_t memory[128];
	uint32_t how = (uint32_t)fuzz_take(&w.in, 1);
	uint32_t count = fuzz_below(&w.in, TRANSFER_FETCH_MAX + 2);
	uint8_t *body = letter_begin(memory, (uint16_t)(1 + (how & 1)), MESSAGE_FETCH);
	struct message_header *header = (struct message_header *)(void *)memory;
	header->view = fuzz_take(&w.in, how & 2 ? 8 : 1);
	header->seq = how & 4 ? fuzz_take(&w.in, how & 8 ? 8 : 1) : w.seq;
	for (uint32_t i = 0; i < count; i++) {
		struct state_block block = {
		    .level = (uint32_t)fuzz_take(&w.in, how & 16 ? 4 : 1) % (how & 16 ? 9 : 3),
		    .index = (uint32_t)fuzz_take(&w.in, how & 32 ? 4 : 1)};
		memcpy(body + i * sizeof(block), &block, sizeof(block));
	}
	letter_end(how & 64 ? &w.fetcher : &w.server, memory,
	    count * (uint32_t)sizeof(struct state_block) + (how >> 7));
}

/* Any header over any bytes. */
static void
attacker_raw(void)
{
	static uint64_t memory[128];
	uint32_t how = (uint32_t)fuzz_take(&w.in, 1);
	uint8_t *body = letter_begin(memory, (uint16_t)fuzz_below(&w.in, REPLICAS + 2),
	    how & 1 ? MESSAGE_FETCH : MESSAGE_BLOCKS);
	struct message_header *header = (struct message_header *)(void *)memory;
	uint32_t size = fuzz_below(&w.in, 400);
	header->instance = how >> 1 & 1 ? 0 : MESSAGE_INSTANCE_NONE;
	header->view = how & 8 ? fuzz_take(&w.in, 8) : w.fetch[header->sender % REPLICAS].view;
	header->seq = how & 16 ? fuzz_take(&w.in, 8) : w.seq;
	if (how & 32)
		header->type = (uint8_t)fuzz_take(&w.in, 1);
	if (how & 64)
		header->proof = (uint8_t)(fuzz_below(&w.in, PROOF_MERKLE));
	fuzz_take_bytes(&w.in, body, size);
	letter_end(how & 4 ? &w.fetcher : &w.server, memory, size);
}

/* ---- What honest replicas do ------------------------------------------------ */

static void
side_modify(struct side *side)
{
	uint32_t page = fuzz_below(&w.in, PAGES);
	uint32_t at = (uint32_t)fuzz_take(&w.in, 2) % (STATE_PAGE_SIZE - 8);
	uint64_t value = fuzz_take(&w.in, 1) << 8 | (w.seq & 0xff);
	uint8_t *to = side->state.base + (size_t)page * STATE_PAGE_SIZE + at;
	state_modify(&side->state, to, sizeof(value));
	memcpy(to, &value, sizeof(value));
}

static void
fetcher_begin(const struct past *past)
{
	if (past == NULL || past->seq == 0)
		return;
	w.target = *past;
	transfer_begin(&w.fetcher.transfer, w.now_ns, past->seq, past->root32);
	fetcher_end();
}

static void
run_one(uint32_t how)
{
	switch (how % 10) {
	case 0:
		side_modify(how & 128 && !w.fetcher.transfer.active ? &w.fetcher : &w.server);
		break;
	case 1:
		if (how & 128)
			state_release(&w.server.state, w.seq);
		else
			server_checkpoint();
		break;
	case 2:
		fetcher_begin(&w.past[(how >> 4) % PAST]);
		break;
	case 3:
	case 4:
		side_write(&w.fetcher, 1 + (how >> 6));
		break;
	case 5:
		side_write(&w.server, 1 + (how >> 6));
		break;
	case 6:
		if (w.queue_count > 0)
			deliver_next();
		break;
	case 7:
		attacker_answers();
		break;
	case 8:
		attacker_asks();
		break;
	default:
		if (how & 64)
			attacker_raw();
		else
			w.now_ns += fuzz_take(&w.in, 1) << (how >> 5 & 1 ? 22 : 16);
		break;
	}
	check(transfer_deadline(&w.fetcher.transfer, w.now_ns) >= w.now_ns);
	check(transfer_deadline(&w.server.transfer, w.now_ns) >= w.now_ns);
}

/* The attacker is silent: what is fetched from the honest one alone comes to an end. */
static void
settle(void)
{
	server_checkpoint();
	fetcher_begin(past_find(w.seq));
	for (uint32_t round = 0; w.fetcher.transfer.active; round++) {
		check(round < ROUNDS_MAX);
		side_write(&w.fetcher, 1);
		side_write(&w.server, 1);
		if (w.queue_count > 0) {
			deliver_next();
			continue;
		}
		if (!w.fetcher.transfer.active)
			break;
		uint64_t at_ns = transfer_deadline(&w.fetcher.transfer, w.now_ns);
		uint64_t server_ns = transfer_deadline(&w.server.transfer, w.now_ns);
		check(at_ns != TIME_NEVER || server_ns != TIME_NEVER);
		w.now_ns = at_ns < server_ns ? at_ns : server_ns;
	}
	check(w.fetcher.transfer.counters.done > 0);
}

static void
side_open(struct side *side, uint16_t self, bool signs)
{
	struct state_options options = {
	    .size = REGION_SIZE,
	    .undo_count = 128,
	    .marks_max = 4,
	    .digester = {.burst = toy_digest_burst},
	};
	struct protocol_config protocol = {
	    .cluster = scope.cluster,
	    .protocol = scope.protocol,
	    .replicas_count = REPLICAS,
	    .self = self,
	    .protocol_proof = signs ? PROOF_SIGNATURE : PROOF_VECTOR,
	};
	struct transfer_config config = {
	    .protocol = &protocol,
	    .state = &side->state,
	    .envelope_size = ENVELOPE_SIZE,
	    .message_size_max = signs ? MESSAGE_SIZE_MAX : 0,
	};
	side->self = self;
	check(state_open(&side->state, &options) == 0);
	check(state_reserve(&side->state, REGION_SIZE, 8) != NULL);
	transfer_init(&side->transfer, &config);
	proof = side->transfer.proof;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	w.in = (struct fuzz_reader){bytes, size};
	w.now_ns = 1000000;
	w.seq = 0;
	memset(w.fetch, 0, sizeof(w.fetch));
	for (uint32_t i = 0; i < PAST; i++)
		w.past[i].seq = 0;
	uint32_t how = (uint32_t)fuzz_take(&w.in, 1);
	side_open(&w.server, SERVER, how & 1);
	side_open(&w.fetcher, FETCHER, how & 1);
	while (w.in.size > 0)
		run_one((uint32_t)fuzz_take(&w.in, 1));
	settle();
	for (; w.queue_count > 0; w.queue_count--)
		free(w.queue[w.queue_first++ % QUEUE].data);
	state_close(&w.server.state);
	state_close(&w.fetcher.state);
	return 0;
}
