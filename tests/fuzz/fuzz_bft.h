/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets of protocols that survive liars share: three correct
 * replicas whole (shard, segmentation, screen, step, merge, executor, kv, state
 * transfer) under an attacker who is the fourth, holds one client node's keys as
 * well, and has the network: he seals as those two whatever he likes, alters what
 * others sent and seals it anew, drops, replays, delays, and lets time pass. What
 * must hold: every machine's audit after each step; correct replicas execute the
 * same at every position; of the honest client nothing but what it sent, each
 * operation once; correct replicas send nothing malformed; and when the attacker
 * is silent, the honest client is answered, and the states become equal as long as
 * it goes on asking.
 *
 * A target defines FUZZ_MODE (its name in the registry), FUZZ_TYPES_END,
 * FUZZ_TENTATIVE (it has that mode), attacker_votes() and attacker_proposes(), and
 * includes this file in the middle of that. Where what is executed may always be
 * undone, it defines FUZZ_SPECULATIVE as 1 as well: then the same state is asked for
 * in the end, and not the same batch at every moment.
 */
#ifndef OSKR_TESTS_FUZZ_BFT_H
#define OSKR_TESTS_FUZZ_BFT_H

#define FUZZ_ENVELOPE_SIZE 1472
#include "crypto/crypto.h"
#include "crypto/keys.h"
#include "engine/plan.h"
#include "engine/random.h"
#include "engine/replica.h"
#include "fuzz_envelope.h"
#include "fuzz_honest.h"
#include "protocols/bft/bft.h"
#include "protocols/registry.h"

#ifndef FUZZ_SPECULATIVE
#define FUZZ_SPECULATIVE 0
#endif

enum {
	REPLICAS = 4,
	CORRECT = 3,  /* replicas 0 .. 2 */
	ATTACKER = 3, /* nodes */
	HONEST_CLIENT = 4,
	OTHER_CLIENT = 5,
	NODES = 6,
	SLOTS = 6, /* 0 .. 2 of the honest client, 3 .. 5 of the other */
	HONEST_SLOTS = 3,
	MESSAGE_MAX = 8192,
	INBOX = SHARD_BURST_MAX,
	INBOX_NETWORK = 32, /* of those, what others send: messages to oneself find room */
	PAST = 64,	    /* messages that the attacker remembers */
	LEDGER = 4096,
	BATCH_MAX = 3,
	INTERVAL = 4,
	DIGESTS = 8,
	SETTLE_ROUNDS = 60000,
	RESEND_NS = 20000000,
	TICK_NS = 100000,
};

struct node {
	struct replica replica;
	uint16_t index;
	int32_t envelopes_out;
	uint32_t inbox_count;
	struct datagram inbox[INBOX];
};

struct honest {
	uint64_t timestamp;
	uint64_t replies; /* replicas that answered it, mask */
	bool signs;	  /* somebody told it to */
};

struct kept {
	uint32_t size;
	uint64_t bytes[FUZZ_ENVELOPE_SIZE / 8];
};

static struct fuzz_reader in;
static uint64_t now_ns;
static struct plan plan;
static struct crypto *cryptos[NODES];
static struct machine audited;
static const struct machine *machine;
static struct message_scope scope;
static struct node nodes[CORRECT];
static struct honest honest[HONEST_SLOTS];
static struct kept past[PAST];
static uint32_t past_next;
static uint8_t digests[DIGESTS][DIGEST_SIZE]; /* that correct replicas' messages named */
static uint32_t digests_next;
static uint64_t ledger[LEDGER]; /* of position i: a hash of what was executed; 0: nothing */
static uint64_t message_memory[MESSAGE_MAX / 8];

static struct message_header *const message = (struct message_header *)(void *)message_memory;
static uint8_t *const body = (uint8_t *)message_memory + sizeof(struct message_header);

/* ---- What correct replicas do ---------------------------------------------- */

static void
audited_step(void *self, const struct event *event, struct outbox *out)
{
	machine->step(self, event, out);
	machine->audit(self);
}

static uint64_t
bytes_hash(uint64_t hash, const void *bytes, uint32_t size)
{
	const uint8_t *at = bytes;
	for (uint64_t word; size > 0; size -= size < 8 ? size : 8, at += 8) {
		word = 0;
		memcpy(&word, at, size < 8 ? size : 8);
		hash = random_mix(hash ^ word);
	}
	return hash;
}

/* All that are to execute a position, execute the same requests there. */
static void
batch_seen(void *context, const struct executor_batch *batch)
{
	struct batch_cursor cursor = batch_cursor(batch->data, batch->size);
	uint64_t hash = 1;
	struct message m;
	(void)context;
	for (uint32_t i = 0; !batch_cursor_done(&cursor); i++) {
		bool whole = batch_next(&cursor, &scope, &m);
		check(whole);
		if (batch->valid != NULL && (batch->valid[i / 64] >> i % 64 & 1) == 0)
			continue;
		check(m.header->sender < SLOTS);
		if (m.header->sender < HONEST_SLOTS)
			fuzz_honest_request_check(&m, honest[m.header->sender].timestamp);
		hash = bytes_hash(hash ^ m.header->sender, &m.header->seq, sizeof(m.header->seq));
		hash = bytes_hash(hash, m.body, m.body_size);
	}
	if (FUZZ_SPECULATIVE || plan.protocol.tentative || batch->position >= LEDGER)
		return;
	hash |= 1;
	check(ledger[batch->position] == 0 || ledger[batch->position] == hash);
	ledger[batch->position] = hash;
}

static void
answer_seen(uint16_t replica, uint16_t slot, const struct message *m)
{
	struct honest *h = &honest[slot];
	if (m->header->type == BFT_MUST_SIGN) {
		h->signs = true;
		return;
	}
	check(m->header->type == MESSAGE_REPLY || m->header->type == MESSAGE_REPLY_LOST ||
	      m->header->type == BFT_REPLY_DIGEST);
	check(m->header->seq >= 1 && m->header->seq <= h->timestamp);
	if (m->header->seq == h->timestamp)
		h->replies |= 1ull << replica;
}

static void
deliver(uint16_t to, const void *bytes, uint32_t size, bool own)
{
	struct node *n = &nodes[to];
	if (n->inbox_count >= (own ? INBOX : INBOX_NETWORK))
		return; /* lost */
	n->inbox[n->inbox_count++] =
	    (struct datagram){.data = fuzz_copy(bytes, size), .size = size, .own = own};
}

/* The attacker sees everything. */
static void
remember(const struct message_header *h)
{
	struct kept *k = &past[past_next++ % PAST];
	k->size = h->size;
	memcpy(k->bytes, h, h->size);
	memcpy(digests[digests_next++ % DIGESTS], h->digest, DIGEST_SIZE);
}

static uint32_t
refill(void *self, struct send *sends, uint32_t count)
{
	struct node *n = self;
	fuzz_envelopes_set_out(sends, count);
	n->envelopes_out += (int32_t)count;
	return count;
}

static void
transmit(void *self, struct send *sends, uint32_t count)
{
	struct node *n = self;
	for (uint32_t i = 0; i < count; i++) {
		const struct send *s = &sends[i];
		const struct message_header *h = s->header;
		struct message m;
		if (s->large == 0) {
			check(h->size <= s->capacity);
			check(message_parse(&scope, (const uint8_t *)h, h->size, &m) == PARSE_OK);
			fuzz_touch((const uint8_t *)h, h->size);
			check(s->to >> REPLICAS == 0);
			if (s->to == 0 && s->client < HONEST_SLOTS && !message_is_segment(&m))
				answer_seen(n->index, s->client, &m);
			for (uint16_t to = 0; to < CORRECT; to++) {
				bool own = to == n->index && (s->flags & SEND_SEALED) == 0;
				if (s->to >> to & 1)
					deliver(to, h, h->size, own);
			}
			if (s->to != 0)
				remember(h);
		}
		fuzz_envelope_give(s->owner);
	}
	n->envelopes_out -= (int32_t)count;
}

static void
node_run(struct node *n)
{
	struct datagram list[INBOX];
	uint32_t count = n->inbox_count;
	/* What it sends to itself during the burst comes in the next one. */
	memcpy(list, n->inbox, sizeof(list));
	n->inbox_count = 0;
	replica_run(&n->replica, now_ns, list, count);
	for (uint32_t i = 0; i < count; i++)
		free((void *)(uintptr_t)list[i].data);
}

static void
nodes_run(void)
{
	for (uint32_t i = 0; i < CORRECT; i++)
		node_run(&nodes[i]);
	now_ns += TICK_NS;
}

/* ---- Messages ----------------------------------------------------------------- */

/* Seals `message`, header and body of which are written, as `node`; false: it cannot be. */
static bool
message_seal(uint16_t node, uint32_t body_size, uint8_t flags)
{
	struct send send = {
	    .to = (1ull << REPLICAS) - 1,
	    .capacity = MESSAGE_MAX,
	    .flags = flags,
	    .header = message,
	    .owner = message,
	};
	uint32_t proof =
	    message->proof <= PROOF_SIGNATURE ? proof_size(message->proof, REPLICAS) : UINT32_MAX;
	if (proof == UINT32_MAX || message->proof == PROOF_MAC)
		return false;
	message->size = (uint32_t)sizeof(*message) + body_size + proof;
	check(message->size <= MESSAGE_MAX);
	crypto_toy.seal(cryptos[node], &send, 1);
	return message->size <= FUZZ_ENVELOPE_SIZE;
}

static void
message_send(uint64_t to)
{
	remember(message);
	for (uint16_t i = 0; i < CORRECT; i++) {
		if (to >> i & 1)
			deliver(i, message, message->size, false);
	}
}

static void
message_begin(uint16_t sender, uint8_t type, uint8_t proof)
{
	*message = (struct message_header){
	    .cluster = scope.cluster,
	    .sender = sender,
	    .protocol = scope.protocol,
	    .type = type,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	};
}

/* ---- Clients -------------------------------------------------------------------- */

static void
request_begin(uint32_t slot, uint64_t timestamp, bool signs)
{
	message_begin(
	    (uint16_t)slot, MESSAGE_REQUEST, signs ? PROOF_SIGNATURE : plan.protocol.request_proof);
	message->instance = (uint16_t)(slot % plan.protocol.instances_count);
	message->seq = timestamp;
}

static void
honest_send(uint32_t slot, uint64_t to)
{
	for (uint32_t i = 0; i <= (uint32_t)honest[slot].signs; i++) {
		request_begin(slot, honest[slot].timestamp, i == 1);
		uint32_t size = fuzz_honest_op(slot, message->seq, body);
		if (message_seal(HONEST_CLIENT, size, 0))
			message_send(to);
	}
}

static bool
honest_answered(const struct honest *h)
{
	uint32_t needed = FUZZ_SPECULATIVE || plan.protocol.tentative ? CORRECT : 2;
	return h->timestamp == 0 || (uint32_t)__builtin_popcountll(h->replies) >= needed;
}

static void
honest_next(struct honest *h)
{
	if (!honest_answered(h))
		return;
	h->timestamp++;
	h->replies = 0;
}

static void
honest_request(uint32_t how)
{
	uint32_t slot = (how >> 4) % HONEST_SLOTS;
	honest_next(&honest[slot]);
	honest_send(slot, how & 128 ? fuzz_take(&in, 1) : 15);
}

/* Anything that a client of the attacker's may ask; returns the operation's size. */
static uint32_t
attacker_op(void)
{
	static const uint8_t fill[64];
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint8_t key[2] = {(uint8_t)fuzz_take(&in, 1), 0};
	struct kv_op o = {.kind = (enum kv_kind)(1 + how % 6),
	    .key = key,
	    .key_size = 1,
	    .value = fill,
	    .value_size = kv_kind_has_value((uint8_t)(1 + how % 6)) ? how >> 3 : 0,
	    .expected = fill,
	    .expected_size = KV_EXPECTED_ABSENT,
	    .limit = 4};
	uint32_t size = kv_op_encode(&o, body, 256);
	if (how >> 5 == 7)
		fuzz_take_bytes(&in, body, size);
	fuzz_keep_off(body, size);
	return size;
}

static void
attacker_request(void)
{
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint64_t timestamp = fuzz_take(&in, how & 64 ? 8 : 1);
	request_begin(HONEST_SLOTS + how % (SLOTS - HONEST_SLOTS), timestamp, how & 4);
	message->view = how >> 3 & 3;
	if (how & 32)
		message->type = BFT_READ;
	uint32_t size = attacker_op();
	if (!message_seal(OTHER_CLIENT, size, 0))
		return;
	/* A vector that holds at some and not at others. */
	if (message->proof == PROOF_VECTOR && how & 128)
		body[size + fuzz_take(&in, 1) % (proof_size(PROOF_VECTOR, REPLICAS))] ^= 1;
	message_send(how & 128 ? fuzz_take(&in, 1) : 15);
}

/* ---- The faulty replica ----------------------------------------------------------- */

static const struct kept *
past_take(void)
{
	return &past[(past_next - 1 - fuzz_below(&in, PAST)) % PAST];
}

/* Fields near what others say, or far off. */
static void
fields_alter(uint32_t how)
{
	if (how & 1)
		message->seq += fuzz_below(&in, 8) - 3u;
	if (how & 2)
		message->view += fuzz_below(&in, 8) - 3u;
	if (how & 4)
		memcpy(message->digest, digests[fuzz_below(&in, DIGESTS)], DIGEST_SIZE);
	if (how & 8)
		message->digest[0] ^= (uint8_t)fuzz_take(&in, 1);
	if (how & 16)
		message->type = (uint8_t)(MESSAGE_PROTOCOL +
					  fuzz_below(&in, FUZZ_TYPES_END - MESSAGE_PROTOCOL));
	if ((how & 96) == 96)
		message->seq = fuzz_take(&in, 8);
	if ((how & 160) == 160)
		message->view = fuzz_take(&in, 8);
}

/* What somebody sent, altered and sealed as the attacker's own. */
static void
attacker_copies(void)
{
	const struct kept *k = past_take();
	struct message m;
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint64_t to = fuzz_take(&in, 1);
	if (k->size == 0 ||
	    message_parse(&scope, (const uint8_t *)k->bytes, k->size, &m) != PARSE_OK)
		return;
	memcpy(message, k->bytes, k->size);
	message->sender = ATTACKER;
	fields_alter(how);
	for (uint32_t i = how >> 6; i > 0 && m.body_size > 0; i--) {
		uint32_t at = (uint32_t)fuzz_take(&in, 2) % m.body_size;
		body[at] = (uint8_t)fuzz_take(&in, 1);
	}
	if (message->proof > PROOF_SIGNATURE)
		message->proof = plan.protocol.protocol_proof;
	if (message_seal(ATTACKER, m.body_size, 0))
		message_send(to);
}

/* Up to `count` requests that were sent, as a batch in `memory` of one envelope's size. */
static struct batch
attacker_batch(uint64_t *memory, uint32_t count)
{
	struct batch batch = {.data = (uint8_t *)memory, .capacity = 1200};
	for (uint32_t i = 0; i < count; i++) {
		struct message m;
		const struct kept *k = past_take();
		if (k->size > 0 &&
		    message_parse(&scope, (const uint8_t *)k->bytes, k->size, &m) == PARSE_OK &&
		    m.header->type == MESSAGE_REQUEST && batch_fits(&batch, &m))
			batch_append(&batch, &m);
	}
	return batch;
}

/* The protocol's own: a vote for what is going on, or something else without body; ... */
static void attacker_votes(void);
/* ... and, as a leader, a batch of requests that were sent, for some; another for others. */
static void attacker_proposes(void);

/* Any header over any bytes, sealed as replica or client, or not at all. */
static void
attacker_raw(void)
{
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	message_begin(how & 1 ? ATTACKER : (uint16_t)fuzz_below(&in, SLOTS + 2),
	    (uint8_t)fuzz_below(&in, FUZZ_TYPES_END + 1), (uint8_t)fuzz_below(&in, 4));
	message->seq = fuzz_take(&in, how & 2 ? 8 : 1);
	message->view = fuzz_take(&in, how & 4 ? 8 : 1);
	message->instance = (uint16_t)(how >> 3 & 1);
	uint32_t size = fuzz_below(&in, 300);
	fuzz_take_bytes(&in, body, size);
	fuzz_keep_off(body, size);
	if (message_seal(how & 1 ? ATTACKER : OTHER_CLIENT, size, how & 16 ? SEND_DIGEST : 0))
		message_send(fuzz_take(&in, 1));
}

static void
attacker_replays(uint32_t how)
{
	const struct kept *k = past_take();
	if (k->size == 0)
		return;
	uint8_t *copy = fuzz_copy(k->bytes, k->size);
	if (how & 16) {
		uint32_t bit = (uint32_t)fuzz_take(&in, 2) % (8 * k->size);
		copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	deliver((uint16_t)((how >> 5) % CORRECT), copy, k->size, false);
	free(copy);
}

/* Some of what is on its way to a replica is lost; what it sent to itself never left it. */
static void
lose(uint32_t how)
{
	struct node *n = &nodes[(how >> 4) % CORRECT];
	uint32_t kept = 0;
	uint64_t lost = fuzz_take(&in, how & 128 ? 8 : 1);
	for (uint32_t i = 0; i < n->inbox_count; i++) {
		if (!n->inbox[i].own && (lost >> i & 1) != 0)
			free((void *)(uintptr_t)n->inbox[i].data);
		else
			n->inbox[kept++] = n->inbox[i];
	}
	n->inbox_count = kept;
}

static void
run_one(uint32_t how)
{
	switch (how % 14) {
	case 0:
	case 1:
		honest_request(how);
		break;
	case 2:
		attacker_request();
		break;
	case 3:
		node_run(&nodes[(how >> 4) % CORRECT]);
		break;
	case 4:
	case 5:
		for (uint32_t i = 0; i <= how >> 6; i++)
			nodes_run();
		break;
	case 6:
		now_ns += fuzz_take(&in, 1) << (how & 128 ? 21 : 15);
		break;
	case 7:
		lose(how);
		break;
	case 8:
		attacker_copies();
		break;
	case 9:
	case 10:
		attacker_votes();
		break;
	case 11:
		attacker_proposes();
		break;
	case 12:
		attacker_replays(how);
		break;
	default:
		attacker_raw();
		break;
	}
}

/* ---- The end ------------------------------------------------------------------------ */

static bool
settled(void)
{
	for (uint32_t slot = 0; slot < HONEST_SLOTS; slot++) {
		if (!honest_answered(&honest[slot]))
			return false;
	}
	for (uint32_t i = 1; i < CORRECT; i++) {
		const struct executor *a = &nodes[0].replica.executor;
		const struct executor *b = &nodes[i].replica.executor;
		if (nodes[i].replica.transfer.active || nodes[0].replica.transfer.active ||
		    executor_position(a) != executor_position(b))
			return false;
		if (FUZZ_SPECULATIVE && memcmp(a->state.base, b->state.base, a->state.size) != 0)
			return false;
	}
	return true;
}

/* Nothing is on its way, and nothing is due: time goes on to what is next. */
static void
time_passes(void)
{
	uint64_t next_ns = now_ns + RESEND_NS;
	for (uint32_t i = 0; i < CORRECT; i++) {
		if (nodes[i].inbox_count > 0)
			return;
		uint64_t at_ns = replica_deadline(&nodes[i].replica);
		next_ns = at_ns < next_ns ? at_ns : next_ns;
	}
	now_ns = next_ns > now_ns ? next_ns : now_ns;
}

/*
 * A replica that fell behind in a view of its own comes back with the next view
 * change or checkpoint, so there must be something to do: slot 0 asks on.
 */
static void
honest_goes_on(uint32_t slot)
{
	if (slot == 0)
		honest_next(&honest[0]);
	if (!honest_answered(&honest[slot]))
		honest_send(slot, 15);
}

static void
settle(void)
{
	uint64_t resend_ns = now_ns;
	for (uint32_t round = 0; !settled(); round++) {
		check(round < SETTLE_ROUNDS);
		for (uint32_t slot = 0; now_ns >= resend_ns && slot < HONEST_SLOTS; slot++)
			honest_goes_on(slot);
		resend_ns = now_ns >= resend_ns ? now_ns + RESEND_NS : resend_ns;
		nodes_run();
		time_passes();
	}
	uint64_t base = 0;
	for (uint32_t i = 0; i < CORRECT; i++) {
		struct executor *e = &nodes[i].replica.executor;
		uint64_t hash = 1;
		for (uint32_t slot = 0; slot < HONEST_SLOTS; slot++) {
			uint64_t last = fuzz_honest_once_check(e, slot);
			check(last <= honest[slot].timestamp);
			hash = random_mix(hash ^ last);
		}
		if (!plan.protocol.tentative)
			hash = bytes_hash(hash, e->state.base, (uint32_t)e->state.size);
		check(i == 0 || hash == base);
		base = hash;
	}
}

/* ---- The beginning ------------------------------------------------------------------- */

static void
digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	crypto_toy.digest(context, jobs, count);
}

static void
cryptos_open(void)
{
	static const uint16_t slot_clients[SLOTS] = {0, 0, 0, 1, 1, 1};
	static struct key_pair pairs[NODES];
	static uint8_t publics[NODES][CRYPTO_PUBLIC_SIZE];
	char error[256];
	for (uint16_t i = 0; i < NODES; i++) {
		keys_generate_seeded(&pairs[i], 1, i);
		memcpy(publics[i], pairs[i].public33, CRYPTO_PUBLIC_SIZE);
	}
	for (uint16_t i = 0; i < NODES; i++) {
		struct crypto_config config = {
		    .cluster = PLAN_CLUSTER,
		    .replicas_count = REPLICAS,
		    .clients_count = NODES - REPLICAS,
		    .self = i,
		    .slots_count = SLOTS,
		    .slot_clients = slot_clients,
		    .public_keys = (const uint8_t(*)[CRYPTO_PUBLIC_SIZE])publics,
		};
		memcpy(config.secret, pairs[i].secret, CRYPTO_SECRET_SIZE);
		cryptos[i] = crypto_toy.open(&config, error);
		check(cryptos[i] != NULL);
	}
}

/* The protocol by its name, and its number; NULL: it is not there. */
static const struct protocol *
protocol_find(uint8_t *index)
{
	for (*index = 0; *index < registry_count(); ++*index) {
		const struct protocol *p = registry_at(*index);
		if (strcmp(p->name, FUZZ_MODE) == 0)
			return p;
	}
	return NULL;
}

/* The first byte of the input: what the cluster's options would say. */
static void
plan_open(const struct protocol *protocol, uint8_t index)
{
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	struct options options = {
	    .replicas = REPLICAS,
	    .faults = 1,
	    .instances = 1,
	    .batch = BATCH_MAX,
	    .batch_timeout_ns = 200000,
	    .adaptive = how & 1,
	    .window = 1 + (how >> 1 & 3),
	    .checkpoint_interval = INTERVAL,
	    .view_timeout_ns = 20000000,
	    .watch_primary = how >> 3 & 1,
	    .tentative = FUZZ_TENTATIVE ? how >> 4 & 1 : 0,
	    .stable_leader = FUZZ_TENTATIVE ? 0 : how >> 4 & 1,
	    .reads = how >> 5 & 1,
	    .auth = how & 64 ? AUTH_SIGN : AUTH_MAC,
	    .request_auth = how & 128 ? AUTH_SIGN : AUTH_MAC,
	    .reply_auth = AUTH_MAC,
	    .clients = SLOTS,
	    .retry_ns = RESEND_NS,
	    .app = APP_KV,
	    .app_memory_mib = 1,
	    .mtu = FUZZ_ENVELOPE_SIZE + PLAN_IP_UDP_SIZE,
	};
	struct plan_input input = {
	    .options = &options,
	    .protocol = protocol,
	    .protocol_index = index,
	    .client_nodes_count = NODES - REPLICAS,
	    .op_size_max = 256,
	    .result_size_max = 512,
	};
	plan_make(&plan, &input);
	plan.executor.app_options.memory_size = 16 << 10;
	plan.executor.undo_count = 192;
	plan.executor.huge_pages = false;
	scope = plan.executor.scope;
	machine = protocol->replica;
	audited = *machine;
	audited.step = audited_step;
}

static void
node_open(uint16_t index, const struct protocol *protocol)
{
	static const struct executor_observer observer = {
	    .batch = batch_seen, .checkpoint = fuzz_checkpoint_ignore};
	struct node *n = &nodes[index];
	struct protocol_config config = plan.protocol;
	config.self = index;
	struct replica_config r = {
	    .shard = plan_shard(&plan, protocol, 1ull << index), .executor = plan.executor};
	r.shard.machine = &audited;
	r.shard.protocol = &config;
	r.shard.crypto_ops = &crypto_toy;
	r.shard.crypto = cryptos[index];
	r.shard.io = (struct shard_io){.self = n, .refill = refill, .transmit = transmit};
	r.executor.digester = (struct digester){digest, cryptos[index]};
	r.executor.observer = &observer;
	n->index = index;
	n->inbox_count = 0;
	n->envelopes_out = 0;
	check(replica_open(&n->replica, &r) == 0);
}

static void
node_close(struct node *n)
{
	struct outbox *out = &n->replica.shard->outbox;
	check(n->envelopes_out == (int32_t)out->sends_ready);
	for (uint32_t i = 0; i < out->sends_ready; i++)
		fuzz_envelope_give(out->sends[i].owner);
	for (uint32_t i = 0; i < n->inbox_count; i++)
		free((void *)(uintptr_t)n->inbox[i].data);
	replica_close(&n->replica);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t index;
	const struct protocol *protocol = protocol_find(&index);
	check(protocol != NULL);
	if (cryptos[0] == NULL)
		cryptos_open();
	in = (struct fuzz_reader){bytes, size};
	now_ns = 1000000;
	past_next = 0;
	digests_next = 0;
	memset(honest, 0, sizeof(honest));
	memset(digests, 0, sizeof(digests));
	memset(ledger, 0, sizeof(ledger));
	for (uint32_t i = 0; i < PAST; i++)
		past[i].size = 0;
	plan_open(protocol, index);
	for (uint16_t i = 0; i < CORRECT; i++)
		node_open(i, protocol);
	while (in.size > 0)
		run_one((uint32_t)fuzz_take(&in, 1));
	settle();
	for (uint32_t i = 0; i < CORRECT; i++)
		node_close(&nodes[i]);
	return 0;
}

#endif
