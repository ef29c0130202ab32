/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four replicas with toy crypto around a machine that delivers what the story
 * tells it to, and writes down what it is told. Datagrams go by hand: exact
 * buffers from malloc, one tick from sender to receiver, lost by the seed. One
 * core; a world is some megabytes.
 */
#ifndef OSKR_TESTS_REPLICA_FIXTURE_H
#define OSKR_TESTS_REPLICA_FIXTURE_H

#include <stdlib.h>

#include "engine/batch.h"
#include "engine/kv_op.h"
#include "engine/replica.h"
#include "tests/crypto_fixture.h"
#include "tests/toy_digest.h"
#include "tests/unit.h"

enum {
	FAKE_SCRIPT = 64,
	FAKE_RESULTS = 4096,
	FAKE_DIGESTS = 256,
	FAKE_MOVES = 32,
	FAKE_DATA = 16,
	WORLD_QUEUE = 1 << 14,
	WORLD_BATCHES = 64, /* memory of batches is the story's for as long as these last */
	TICK_NS = 100000,
};

/* What the machine was told of one result. */
struct fake_result {
	uint64_t seq;
	uint64_t timestamp;
	uint16_t client;
	uint16_t flags;
	uint32_t size;
	uint8_t data[FAKE_DATA]; /* the first bytes */
};

struct fake_digest {
	uint64_t seq;
	uint8_t digest32[32];
};

/* The machine: a script of deliveries, and a log. */
struct fake {
	uint32_t script_next;
	uint32_t script_count;
	struct delivery script[FAKE_SCRIPT];
	bool mute;     /* send no replies */
	uint64_t done; /* seq of the last batch that was reported done */
	uint32_t results_count;
	uint32_t digests_count;
	uint32_t moves_count;
	struct fake_result results[FAKE_RESULTS];
	struct fake_digest digests[FAKE_DIGESTS];
	struct moved moves[FAKE_MOVES];
	bool moves_named; /* the last one came with the state's digest: */
	uint8_t moves_digest32[32];
	uint16_t replicas_count;
	uint16_t self;
};

struct packet {
	uint8_t *data;
	uint32_t size;
	uint16_t to;
};

struct world;

struct node {
	struct world *world;
	struct replica replica;
	bool open;
	bool silent;	    /* what it sends is lost */
	uint32_t envelopes; /* that the io still gives */
	uint64_t replies;   /* sent to clients */
	uint32_t envelope_size;
};

struct world {
	struct fixture crypto;
	struct node nodes[FIXTURE_REPLICAS];
	struct packet queue[WORLD_QUEUE];
	uint32_t queue_count;
	uint32_t drop_percent;
	uint64_t seed;
	uint64_t now_ns;
	uint64_t lost;
	/* How the replicas are made. */
	struct protocol_config protocol;
	struct executor_options executor;
	uint32_t envelope_size;
	uint32_t message_size_max;
};

static inline uint32_t
fake_claims(const struct protocol_config *config)
{
	(void)config;
	return 1;
}

static inline size_t
fake_size(const struct protocol_config *config)
{
	(void)config;
	return sizeof(struct fake);
}

static inline void
fake_init(void *self, const struct protocol_config *config)
{
	struct fake *f = self;
	f->replicas_count = config->replicas_count;
	f->self = config->self;
}

static inline enum verdict
fake_screen(const void *self, const struct message *m, struct claims *claims)
{
	(void)self;
	(void)m;
	(void)claims;
	return VERDICT_DROP;
}

static inline void
fake_executed(struct fake *f, const struct executed *e, struct outbox *out)
{
	for (uint32_t i = 0; i < e->results_count; i++) {
		const struct result *r = &e->results[i];
		struct fake_result *to = &f->results[f->results_count++ % FAKE_RESULTS];
		*to = (struct fake_result){.seq = e->seq,
		    .timestamp = r->timestamp,
		    .client = r->client,
		    .flags = r->flags,
		    .size = r->size};
		if (r->size > 0)
			memcpy(to->data, r->data, r->size < FAKE_DATA ? r->size : FAKE_DATA);
		if (f->mute)
			continue;
		const struct stamp stamp = {FIXTURE_CLUSTER, f->self, f->replicas_count, 0};
		const struct letter letter = {.type = MESSAGE_REPLY, .instance = r->client};
		(void)outbox_write(out, outbox_send_client(out, r->client), &stamp, &letter);
	}
	if (!e->last)
		return;
	f->done = e->seq;
	if (e->state_digest32 != NULL) {
		struct fake_digest *d = &f->digests[f->digests_count++ % FAKE_DIGESTS];
		d->seq = e->seq;
		memcpy(d->digest32, e->state_digest32, 32);
	}
}

static inline void
fake_step(void *self, const struct event *event, struct outbox *out)
{
	struct fake *f = self;
	switch (event->type) {
	case EVENT_TIMEOUT:
		for (uint32_t i = 0; i < 8 && f->script_next < f->script_count; i++)
			*outbox_deliver(out) = f->script[f->script_next++];
		break;
	case EVENT_EXECUTED:
		fake_executed(f, &event->executed, out);
		break;
	case EVENT_STATE:
		f->moves[f->moves_count++ % FAKE_MOVES] = event->moved;
		f->done = event->moved.seq;
		f->moves_named = event->moved.state_digest32 != NULL;
		if (f->moves_named)
			memcpy(f->moves_digest32, event->moved.state_digest32, 32);
		break;
	case EVENT_MESSAGE:
	case EVENT_SUBMIT:
		break;
	}
}

static inline uint64_t
fake_deadline(const void *self)
{
	const struct fake *f = self;
	return f->script_next < f->script_count ? 0 : TIME_NEVER;
}

static const struct machine fake_machine = {
    .sends_per_step = 2,
    .large_per_step = 0,
    .deliveries_per_step = 8,
    .claims_per_message = fake_claims,
    .size = fake_size,
    .init = fake_init,
    .screen = fake_screen,
    .step = fake_step,
    .deadline = fake_deadline,
};

static inline uint32_t
node_refill(void *self, struct send *sends, uint32_t count)
{
	struct node *node = self;
	uint32_t size = node->envelope_size;
	uint32_t i;
	for (i = 0; i < count && node->envelopes > 0; i++) {
		node->envelopes--;
		sends[i].owner = malloc(size);
		sends[i].header = sends[i].owner;
		sends[i].capacity = size;
	}
	return i;
}

/* Puts a copy on its way, or loses it. */
static inline void
world_post(struct world *w, uint16_t to, const struct message_header *header)
{
	bool lost = toy_below(&w->seed, 100) < w->drop_percent;
	if (lost || w->queue_count == WORLD_QUEUE) {
		w->lost++;
		return;
	}
	struct packet *p = &w->queue[w->queue_count++];
	p->to = to;
	p->size = header->size;
	p->data = malloc(header->size);
	memcpy(p->data, header, header->size);
}

static inline void
node_transmit(void *self, struct send *sends, uint32_t count)
{
	struct node *node = self;
	for (uint32_t i = 0; i < count; i++) {
		node->replies += sends[i].to == 0;
		for (uint16_t to = 0; to < FIXTURE_REPLICAS; to++) {
			if (sends[i].large == 0 && !node->silent && (sends[i].to >> to & 1) != 0)
				world_post(node->world, to, sends[i].header);
		}
		free(sends[i].owner);
	}
}

static inline struct fake *
fake_of(struct world *w, uint32_t node, uint32_t instance)
{
	return w->nodes[node].replica.shard->machines[instance];
}

static inline void
world_digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	crypto_toy.digest(context, jobs, count);
}

static inline void
node_open(struct world *w, uint16_t index)
{
	struct node *node = &w->nodes[index];
	struct protocol_config protocol = w->protocol;
	protocol.self = index;
	struct replica_config config = {
	    .shard =
		{
		    .machine = &fake_machine,
		    .protocol = &protocol,
		    .machines_count = protocol.instances_count,
		    .own_mask = 1ull << index,
		    .envelope_size = w->envelope_size,
		    .message_size_max = w->message_size_max,
		    .large_count = OUTBOX_LARGE_MAX,
		    .id_seed = 99,
		    .assemblies_count = 16,
		    .crypto_ops = &crypto_toy,
		    .crypto = w->crypto.nodes[index],
		    .io = {.self = node, .refill = node_refill, .transmit = node_transmit},
		},
	    .executor = w->executor,
	};
	config.executor.digester = (struct digester){world_digest, w->crypto.nodes[index]};
	node->world = w;
	node->envelopes = UINT32_MAX;
	node->envelope_size = w->envelope_size;
	CU_ASSERT_EQUAL_FATAL(replica_open(&node->replica, &config), 0);
	node->open = true;
}

static inline void
node_close(struct world *w, uint16_t index)
{
	struct node *node = &w->nodes[index];
	struct outbox *out = &node->replica.shard->outbox;
	if (!node->open)
		return;
	for (uint32_t i = 0; i < out->sends_ready; i++)
		free(out->sends[i].owner);
	replica_close(&node->replica);
	node->open = false;
}

/* A world whose replicas are not open yet: the story may change how they are made. */
static inline struct world *
world_new(const char *app)
{
	struct world *w = calloc(1, sizeof(*w));
	fixture_open(&w->crypto, &crypto_toy);
	w->seed = 1;
	w->envelope_size = 1472;
	w->protocol = (struct protocol_config){
	    .cluster = FIXTURE_CLUSTER,
	    .replicas_count = FIXTURE_REPLICAS,
	    .faults = 1,
	    .instances_count = 1,
	    .slots_count = FIXTURE_SLOTS,
	    .protocol_proof = PROOF_VECTOR,
	    .batch_count_max = 64,
	    .window = 15,
	};
	w->executor = (struct executor_options){
	    .app = app_find(app),
	    .app_options = {.memory_size = 2 << 20},
	    .sessions = {.slots_count = FIXTURE_SLOTS, .ring_size = 64 << 10},
	    .scope = {.cluster = FIXTURE_CLUSTER, .replicas_count = FIXTURE_REPLICAS},
	    .result_size_max = 16384,
	    .undo_count = 4096,
	    .marks_max = 64,
	};
	return w;
}

static inline void
world_open(struct world *w)
{
	for (uint16_t i = 0; i < FIXTURE_REPLICAS; i++)
		node_open(w, i);
}

static inline void
world_delete(struct world *w)
{
	for (uint16_t i = 0; i < FIXTURE_REPLICAS; i++)
		node_close(w, i);
	for (uint32_t i = 0; i < w->queue_count; i++)
		free(w->queue[i].data);
	fixture_close(&w->crypto);
	free(w);
}

/* Runs a node on the packets of this tick that are for it. */
static inline void
node_run(struct world *w, uint16_t index, const struct packet *packets, uint32_t count)
{
	struct datagram list[SHARD_BURST_MAX];
	uint32_t used = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (packets[i].to != index)
			continue;
		list[used++] = (struct datagram){.data = packets[i].data, .size = packets[i].size};
		if (used == SHARD_BURST_MAX) {
			replica_run(&w->nodes[index].replica, w->now_ns, list, used);
			used = 0;
		}
	}
	replica_run(&w->nodes[index].replica, w->now_ns, list, used);
}

/* One tick: everybody gets what was sent in the tick before. */
static inline void
world_tick(struct world *w)
{
	uint32_t count = w->queue_count;
	struct packet *packets = malloc((count + 1) * sizeof(*packets));
	memcpy(packets, w->queue, count * sizeof(*packets));
	w->queue_count = 0;
	w->now_ns += TICK_NS;
	for (uint16_t i = 0; i < FIXTURE_REPLICAS; i++) {
		if (w->nodes[i].open)
			node_run(w, i, packets, count);
	}
	for (uint32_t i = 0; i < count; i++)
		free(packets[i].data);
	free(packets);
}

/* ---- what the story delivers ------------------------------------------- */

static inline struct delivery *
say(struct world *w, uint32_t node, uint32_t instance, enum delivery_kind kind)
{
	struct fake *f = fake_of(w, node, instance);
	if (f->script_next == f->script_count)
		f->script_next = f->script_count = 0;
	CU_ASSERT_FATAL(f->script_count < FAKE_SCRIPT);
	struct delivery *d = &f->script[f->script_count++];
	*d = (struct delivery){.kind = kind};
	return d;
}

static inline void
say_seq(struct world *w, uint32_t node, enum delivery_kind kind, uint64_t seq)
{
	say(w, node, 0, kind)->seq = seq;
}

static inline struct delivery *
say_batch(struct world *w, uint32_t node, uint64_t seq, const struct batch *b)
{
	struct delivery *d = say(w, node, 0, DELIVERY_BATCH);
	d->seq = seq;
	d->batch = b == NULL ? NULL : b->data;
	d->batch_size = b == NULL ? 0 : b->size;
	return d;
}

static inline struct batch
batch_new(uint32_t capacity)
{
	return (struct batch){.data = calloc(1, capacity), .capacity = capacity};
}

static inline void
batch_add(struct batch *b, uint16_t client, uint64_t timestamp, const void *op, uint32_t size)
{
	struct message_header *header = calloc(1, sizeof(*header) + size);
	*header = (struct message_header){
	    .size = (uint32_t)sizeof(*header) + size,
	    .cluster = FIXTURE_CLUSTER,
	    .sender = client,
	    .type = MESSAGE_REQUEST,
	    .proof = PROOF_NONE,
	    .version = MESSAGE_VERSION,
	    .seq = timestamp,
	};
	if (size > 0)
		memcpy(header + 1, op, size);
	struct message m = {.header = header, .body = (uint8_t *)(header + 1)};
	batch_append(b, &m);
	free(header);
}

/* A kv operation of kind, key and value. */
static inline void
batch_add_kv(struct batch *b, uint16_t client, uint64_t timestamp, enum kv_kind kind,
    const char *key, const uint8_t *value, uint32_t value_size)
{
	static uint8_t bytes[64 << 10];
	struct kv_op op = {
	    .kind = kind,
	    .key_size = (uint32_t)strlen(key),
	    .value_size = value_size,
	    .key = (const uint8_t *)key,
	    .value = value,
	};
	uint32_t size = kv_op_encode(&op, bytes, sizeof(bytes));
	CU_ASSERT_FATAL(size > 0);
	batch_add(b, client, timestamp, bytes, size);
}

/* The digest that node's machine was given for checkpoint seq; fails the story if none. */
static inline const uint8_t *
digest_of_seq(struct world *w, uint32_t node, uint32_t instance, uint64_t seq)
{
	const struct fake *f = fake_of(w, node, instance);
	for (uint32_t i = f->digests_count; i-- > 0;) {
		if (f->digests[i % FAKE_DIGESTS].seq == seq)
			return f->digests[i % FAKE_DIGESTS].digest32;
	}
	CU_FAIL_FATAL("no digest of that checkpoint");
	return NULL;
}

#endif
