/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica of several lcores without a network: an executor, pillars, and a
 * machine that orders by itself. A scribe delivers batches of its own clients'
 * operations from memory that it writes anew as soon as it is told that a batch
 * is done, and holds every answer against what the operation was. Nothing here
 * asserts: errors are counted, so that pillars may run on threads.
 */
#ifndef OSKR_TESTS_PILLAR_RIG_H
#define OSKR_TESTS_PILLAR_RIG_H

#include <stdlib.h>

#include "engine/pillar.h"
#include "engine/replica.h"
#include "tests/toy_digest.h"

enum {
	RIG_CLUSTER = 77,
	RIG_WINDOW = 8,
	RIG_BATCH = 12, /* requests */
	RIG_OP_SIZE = 48,
	RIG_INTERVAL = 16, /* batches between checkpoints */
	RIG_INSTANCES_MAX = 8,
	RIG_PILLARS_MAX = 4,
	RIG_ENVELOPE_SIZE = 2048,
};

struct scribe {
	uint16_t instance;
	uint16_t instances_count;
	uint64_t goal; /* batches to deliver */
	uint64_t delivered;
	uint64_t done;	  /* the last batch that was reported done */
	uint64_t answers; /* to requests in batches */
	uint64_t recalled;
	uint64_t missed; /* recalls of what was not executed */
	uint64_t reads;
	uint64_t checkpoints;
	uint64_t wrong; /* answers, ends or checkpoints that are not as they must be */
	uint64_t frontier;
	uint64_t timeouts;    /* steps without a deadline: a sibling is ahead */
	struct delivery also; /* delivered once, by itself, if its kind is not BATCH */
	uint32_t batch_size;
	alignas(8) uint8_t banks[RIG_WINDOW][RIG_BATCH * 128];
};

/* What operation k of a batch is, and what its answer must be. */
static inline void
scribe_op(const struct scribe *s, uint64_t seq, uint32_t k, uint8_t op[RIG_OP_SIZE])
{
	uint64_t words[3] = {s->instance, seq, k};
	toy_digest(words, sizeof(words), op);
	memcpy(op + 32, op, RIG_OP_SIZE - 32);
}

static inline void
scribe_batch_write(struct scribe *s, uint64_t seq)
{
	uint8_t *at = s->banks[seq % RIG_WINDOW];
	for (uint32_t k = 0; k < RIG_BATCH; k++) {
		struct message_header header = {
		    .size = (uint32_t)sizeof(header) + RIG_OP_SIZE,
		    .cluster = RIG_CLUSTER,
		    .instance = s->instance,
		    .sender = (uint16_t)(s->instance + k * s->instances_count),
		    .type = MESSAGE_REQUEST,
		    .version = MESSAGE_VERSION,
		    .seq = seq,
		};
		memcpy(at, &header, sizeof(header));
		scribe_op(s, seq, k, at + sizeof(header));
		at += header.size;
	}
	s->batch_size = (uint32_t)(at - s->banks[seq % RIG_WINDOW]);
}

static inline void
scribe_deliver(struct scribe *s, struct outbox *out)
{
	uint64_t seq = ++s->delivered;
	scribe_batch_write(s, seq);
	struct delivery *d = outbox_deliver(out);
	d->seq = seq;
	d->batch = s->banks[seq % RIG_WINDOW];
	d->batch_size = s->batch_size;
	d->checkpoint = seq % RIG_INTERVAL == 0;
}

static inline bool
scribe_may(const struct scribe *s)
{
	return s->delivered < s->goal && s->delivered - s->done < RIG_WINDOW;
}

static inline void
scribe_result(struct scribe *s, uint64_t seq, const struct result *r, struct outbox *out)
{
	uint8_t op[RIG_OP_SIZE];
	if (r->flags & RESULT_NEW) {
		s->missed++;
		s->wrong += seq != 0 || r->size != 0;
		return;
	}
	scribe_op(s, r->timestamp, (uint32_t)(r->client / s->instances_count), op);
	bool read = (r->flags & RESULT_READ) != 0;
	s->answers += seq != 0;
	s->recalled += seq == 0 && !read;
	s->reads += read;
	s->wrong += r->client % s->instances_count != s->instance;
	s->wrong += seq != 0 && r->timestamp != seq;
	s->wrong += r->size != RIG_OP_SIZE || memcmp(r->data, op, sizeof(op)) != 0;
	const struct stamp stamp = {.cluster = RIG_CLUSTER, .replicas_count = 1};
	const struct letter letter = {.type = MESSAGE_REPLY, .instance = r->client};
	(void)outbox_write(out, outbox_send_client(out, r->client), &stamp, &letter);
}

static inline void
scribe_step(void *self, const struct event *event, struct outbox *out)
{
	struct scribe *s = self;
	s->frontier = event->frontier;
	if (event->type == EVENT_TIMEOUT) {
		if (s->also.kind != DELIVERY_BATCH)
			*outbox_deliver(out) = s->also;
		else if (scribe_may(s))
			scribe_deliver(s, out);
		else
			s->timeouts++;
		s->also.kind = DELIVERY_BATCH;
	}
	if (event->type != EVENT_EXECUTED)
		return;
	const struct executed *e = &event->executed;
	for (uint32_t i = 0; i < e->results_count; i++)
		scribe_result(s, e->seq, &e->results[i], out);
	if (!e->last)
		return;
	s->wrong += e->seq != s->done + 1;
	s->wrong += (e->state_digest32 != NULL) != (e->seq % RIG_INTERVAL == 0);
	s->checkpoints += e->state_digest32 != NULL;
	s->done = e->seq;
}

static inline uint64_t
scribe_deadline(const void *self)
{
	const struct scribe *s = self;
	return scribe_may(s) || s->also.kind != DELIVERY_BATCH ? 0 : TIME_NEVER;
}

static inline void
scribe_init(void *self, const struct protocol_config *config)
{
	struct scribe *s = self;
	s->instance = config->instance;
	s->instances_count = config->instances_count;
}

static inline size_t
scribe_size(const struct protocol_config *config)
{
	(void)config;
	return sizeof(struct scribe);
}

static inline uint32_t
scribe_claims(const struct protocol_config *config)
{
	(void)config;
	return 0;
}

static const struct machine scribe_machine = {
    .sends_per_step = 1,
    .deliveries_per_step = 1,
    .claims_per_message = scribe_claims,
    .size = scribe_size,
    .init = scribe_init,
    .step = scribe_step,
    .deadline = scribe_deadline,
};

/* One side's envelopes. */
struct rig_io {
	uint32_t envelopes; /* that it still gives */
	uint64_t sent;
};

struct rig {
	struct protocol_config protocol;
	uint32_t pillars_count;
	uint64_t now_ns;
	struct parcel_link *links; /* open; the caller's */
	struct replica replica;
	struct pillar pillars[RIG_PILLARS_MAX];
	struct rig_io ios[1 + RIG_PILLARS_MAX];
};

static inline uint32_t
rig_refill(void *self, struct send *sends, uint32_t count)
{
	struct rig_io *io = self;
	uint32_t i = 0;
	for (; i < count && io->envelopes > 0; i++, io->envelopes--) {
		void *envelope = malloc(RIG_ENVELOPE_SIZE);
		sends[i] = (struct send){
		    .header = envelope, .owner = envelope, .capacity = RIG_ENVELOPE_SIZE};
	}
	return i;
}

static inline void
rig_transmit(void *self, struct send *sends, uint32_t count)
{
	struct rig_io *io = self;
	for (uint32_t i = 0; i < count; i++)
		free(sends[i].owner);
	io->envelopes += count;
	io->sent += count;
}

static inline void
rig_seal(struct crypto *crypto, struct send *sends, uint32_t count)
{
	(void)crypto;
	(void)sends;
	(void)count;
}

static inline void
rig_digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	(void)context;
	for (uint32_t i = 0; i < count; i++)
		toy_digest(jobs[i].data, jobs[i].size, jobs[i].digest32);
}

static const struct crypto_ops rig_crypto = {.seal = rig_seal};

static inline struct shard_config
rig_shard(struct rig *rig, uint32_t part)
{
	rig->ios[part].envelopes = 2 * OUTBOX_SENDS_MAX;
	return (struct shard_config){
	    .machine = &scribe_machine,
	    .protocol = &rig->protocol,
	    .own_mask = 1,
	    .envelope_size = RIG_ENVELOPE_SIZE,
	    .crypto_ops = &rig_crypto,
	    .io = {.self = &rig->ios[part], .refill = rig_refill, .transmit = rig_transmit},
	};
}

static inline struct scribe *
rig_scribe(struct rig *rig, uint32_t instance)
{
	struct pillar *p = &rig->pillars[instance % rig->pillars_count];
	return p->shard->machines[instance / rig->pillars_count];
}

/* The largest operation or answer: what links are opened with. */
enum { RIG_BODY_SIZE_MAX = 1024 };

/* False: no memory. */
static inline bool
rig_open(struct rig *rig, struct parcel_link *links, uint16_t instances, uint16_t pillars)
{
	*rig = (struct rig){.pillars_count = pillars, .links = links, .now_ns = 1};
	rig->protocol = (struct protocol_config){
	    .cluster = RIG_CLUSTER,
	    .replicas_count = 1,
	    .instances_count = instances,
	    .slots_count = RIG_INSTANCES_MAX * RIG_BATCH,
	    .window = RIG_WINDOW,
	    .batch_count_max = RIG_BATCH,
	};
	struct replica_config replica = {
	    .shard = rig_shard(rig, 0),
	    .executor =
		{
		    .app = app_find("echo"),
		    .sessions = {.slots_count = RIG_INSTANCES_MAX * RIG_BATCH},
		    .scope = {.cluster = RIG_CLUSTER, .replicas_count = 1},
		    .result_size_max = RIG_BODY_SIZE_MAX,
		    .marks_max = 4,
		    .digester = {rig_digest, NULL},
		},
	    .pillars_count = pillars,
	    .links = links,
	};
	bool opened = replica_open(&rig->replica, &replica) == 0;
	for (uint16_t i = 0; opened && i < pillars; i++) {
		struct pillar_config pillar = {
		    .shard = rig_shard(rig, 1u + i),
		    .index = i,
		    .pillars_count = pillars,
		    .link = &links[i],
		};
		opened = pillar_open(&rig->pillars[i], &pillar) == 0;
	}
	return opened;
}

static inline void
rig_envelopes_free(struct shard *shard)
{
	for (uint32_t i = 0; i < shard->outbox.sends_ready; i++)
		free(shard->outbox.sends[i].owner);
}

static inline void
rig_close(struct rig *rig)
{
	rig_envelopes_free(rig->replica.shard);
	replica_close(&rig->replica);
	for (uint32_t i = 0; i < rig->pillars_count; i++) {
		rig_envelopes_free(rig->pillars[i].shard);
		pillar_close(&rig->pillars[i]);
	}
}

#endif
