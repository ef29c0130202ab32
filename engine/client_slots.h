/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client halves of all protocols share: each slot has at most one
 * operation outstanding, which is sent again at intervals that double up to a
 * limit until the protocol says that it is answered. Whom to ask, and what
 * counts as an answer, is the protocol's. Inline, for it is on the path of
 * every operation: an operation's record is 24 bytes, and putting its timer
 * off writes one word. Owned by one machine, on one core.
 */
#ifndef OSKR_ENGINE_CLIENT_SLOTS_H
#define OSKR_ENGINE_CLIENT_SLOTS_H

#include "engine/protocol.h"
#include "engine/wheel.h"

enum {
	CLIENT_DOUBLINGS_MAX = 5,    /* the longest interval is retry_ns << 5 */
	CLIENT_PATIENCE = 4,	     /* times the usual latency, at least */
	CLIENT_TICKS_PER_RETRY = 64, /* how finely timers are told apart */
};

/* What a slot last asked for. */
struct client_operation {
	const uint8_t *op; /* the submitter's, valid until completion */
	uint64_t timestamp;
	uint32_t op_size;
	uint16_t tries; /* how often it was sent again, up to CLIENT_DOUBLINGS_MAX */
	bool outstanding;
};

/* Its list and the wheel's entries lie in memory of the machine: see client_slots_init(). */
struct client_slots {
	struct protocol_config config;
	uint64_t retransmissions;
	uint64_t latency_ns; /* of answers, a running mean; of one operation at a time */
	uint32_t doublings;  /* of the interval, as long as what is timed is asked for twice */
	uint64_t timed_ns;   /* when the operation that is timed was asked for; 0: none is */
	uint64_t timed_timestamp;
	uint32_t timed; /* its slot's index */
	struct client_operation *list;
	struct wheel wheel;
};

/* How an operation is asked for. */
struct client_ask {
	uint64_t to;	/* the replicas, as a mask */
	uint64_t flags; /* header.view, which means something to the protocol alone */
	uint8_t type;	/* MESSAGE_REQUEST, or the protocol's own */
	uint8_t proof;	/* enum proof_kind */
};

/* Bytes at `memory` of client_slots_init(), a multiple of 8. */
static inline size_t
client_slots_size(const struct protocol_config *config)
{
	return (size_t)config->slots_count *
	       (sizeof(struct client_operation) + sizeof(struct wheel_entry));
}

/* `memory` is zeroed and aligned to 8. */
static inline void
client_slots_init(struct client_slots *c, const struct protocol_config *config, void *memory)
{
	check(config->retry_ns >= CLIENT_TICKS_PER_RETRY);
	check(config->instances_count > 0);
	c->config = *config;
	c->retransmissions = 0;
	c->latency_ns = 0;
	c->doublings = 0;
	c->timed_ns = 0;
	c->list = memory;
	for (uint32_t i = 0; i < config->slots_count; i++)
		c->list[i].timestamp = config->timestamp_first;
	struct wheel_entry *entries = (struct wheel_entry *)(c->list + config->slots_count);
	wheel_init(&c->wheel, entries, config->retry_ns / CLIENT_TICKS_PER_RETRY);
}

/* The index of the slot that a message names; not below slots_count when it is none of ours. */
static inline uint32_t
client_slots_index(const struct client_slots *c, const struct message_header *h)
{
	return (uint32_t)h->instance - c->config.slot_first;
}

/* The number by which the replicas know a slot. */
static inline uint16_t
client_slots_number(const struct client_slots *c, uint32_t index)
{
	return (uint16_t)(c->config.slot_first + index);
}

/* The ordering instance that serves a slot. */
static inline uint16_t
client_slots_instance(const struct client_slots *c, uint32_t index)
{
	return (uint16_t)(client_slots_number(c, index) % c->config.instances_count);
}

/*
 * Does the message answer what a slot of ours has outstanding? Once false for a
 * message, false for ever: timestamps grow, and an answered one is not asked again.
 */
static inline bool
client_slots_awaits(const struct client_slots *c, const struct message_header *h)
{
	uint32_t index = client_slots_index(c, h);
	if (index >= c->config.slots_count)
		return false;
	const struct client_operation *o = &c->list[index];
	return o->outstanding && h->seq == o->timestamp;
}

/* Is it the kind of proof that replies carry? */
static inline bool
client_slots_proof_fits(const struct client_slots *c, uint8_t proof)
{
	if (c->config.reply_proof == PROOF_MERKLE)
		return proof >= PROOF_MERKLE && proof <= PROOF_MERKLE + MERKLE_DEPTH_MAX;
	return proof == c->config.reply_proof;
}

/*
 * The longest time between two transmissions of an operation: a service that
 * comes back is noticed within it, however long it was away.
 */
static inline uint64_t
client_slots_interval_max_ns(const struct protocol_config *config)
{
	return config->retry_ns << CLIENT_DOUBLINGS_MAX;
}

/*
 * How long to wait before asking again: what the option says, but several times
 * as long as answers take, or a busy service would be asked for everything
 * twice. As in TCP (Karn & Partridge, SIGCOMM'87) an operation that was sent
 * again tells nothing of the latency: the interval doubles until one was not.
 */
static inline uint64_t
client_slots_patience(const struct client_slots *c)
{
	uint64_t usual_ns = CLIENT_PATIENCE * c->latency_ns;
	uint64_t least_ns = c->config.retry_ns << c->doublings;
	uint64_t most_ns = client_slots_interval_max_ns(&c->config);
	if (usual_ns < least_ns)
		return least_ns;
	return usual_ns < most_ns ? usual_ns : most_ns;
}

/* Gives the slot's operation a timestamp that was never used, and its first timer. */
static inline void
client_slots_restart(struct client_slots *c, uint32_t index, uint64_t now_ns)
{
	struct client_operation *o = &c->list[index];
	check(o->outstanding);
	o->timestamp++;
	o->tries = 0;
	if (c->timed_ns == 0) {
		c->timed_ns = now_ns | 1;
		c->timed_timestamp = o->timestamp;
		c->timed = index;
	}
	wheel_arm(&c->wheel, index, now_ns + client_slots_patience(c));
}

/* Takes an operation for an idle slot; returns the slot's index. Nothing is sent yet. */
static inline uint32_t
client_slots_submit(struct client_slots *c, const struct submit *submit, uint64_t now_ns)
{
	uint32_t index = (uint32_t)submit->slot - c->config.slot_first;
	check(index < c->config.slots_count);
	struct client_operation *o = &c->list[index];
	check(!o->outstanding);
	o->op = submit->op;
	o->op_size = submit->op_size;
	o->outstanding = true;
	client_slots_restart(c, index, now_ns);
	return index;
}

/* Writes the slot's operation into one envelope. */
static inline void
client_slots_send(
    const struct client_slots *c, uint32_t index, const struct client_ask *ask, struct outbox *out)
{
	const struct client_operation *o = &c->list[index];
	struct stamp stamp = {
	    .cluster = c->config.cluster,
	    .sender = client_slots_number(c, index),
	    .replicas_count = c->config.replicas_count,
	    .protocol = c->config.protocol,
	};
	struct letter letter = {
	    .type = ask->type,
	    .proof = ask->proof,
	    .instance = client_slots_instance(c, index),
	    .body_size = o->op_size,
	    .view = ask->flags,
	    .seq = o->timestamp,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, ask->to), &stamp, &letter);
	if (o->op_size > 0)
		memcpy(body, o->op, o->op_size);
}

/*
 * The next slot whose answer is late, or WHEEL_NONE. Its timer is off until
 * client_slots_again() or client_slots_restart(), one of which must follow.
 */
static inline uint32_t
client_slots_expire(struct client_slots *c, uint64_t now_ns)
{
	uint32_t index = wheel_expire(&c->wheel, now_ns);
	if (index != WHEEL_NONE)
		check(c->list[index].outstanding);
	return index;
}

/* Notes that the slot's operation is sent again, and waits twice as long this time. */
static inline void
client_slots_again(struct client_slots *c, uint32_t index, uint64_t now_ns)
{
	struct client_operation *o = &c->list[index];
	check(o->outstanding);
	if (o->tries < CLIENT_DOUBLINGS_MAX)
		o->tries++;
	c->retransmissions++;
	uint64_t interval_ns = client_slots_patience(c) << o->tries;
	uint64_t most_ns = client_slots_interval_max_ns(&c->config);
	wheel_arm(&c->wheel, index, now_ns + (interval_ns < most_ns ? interval_ns : most_ns));
}

/* It has waited for something that did not come: how long its answer takes tells nothing. */
static inline void
client_slots_untime(struct client_slots *c, uint32_t index)
{
	if (c->timed == index)
		c->timed_ns = 0;
}

/* The operation that is timed is answered. */
static inline void
client_slots_time(struct client_slots *c, const struct client_operation *o, uint64_t now_ns)
{
	if (c->timed_timestamp == o->timestamp && o->tries > 0) {
		c->doublings += c->doublings < CLIENT_DOUBLINGS_MAX;
	} else if (c->timed_timestamp == o->timestamp && now_ns > c->timed_ns) {
		uint64_t sample_ns = now_ns - c->timed_ns;
		/* The first is all that is known. */
		c->latency_ns = c->latency_ns == 0
				    ? sample_ns
				    : c->latency_ns + sample_ns / 8 - c->latency_ns / 8;
		c->doublings = 0;
	}
	c->timed_ns = 0;
}

/* The slot's operation is answered; the caller fills in `lost`, `size` and `data`. */
static inline struct completion *
client_slots_complete(struct client_slots *c, uint32_t index, uint64_t now_ns, struct outbox *out)
{
	struct client_operation *o = &c->list[index];
	check(o->outstanding);
	if (c->timed_ns != 0 && c->timed == index) {
		client_slots_time(c, o, now_ns);
	}
	o->outstanding = false;
	wheel_disarm(&c->wheel, index);
	struct completion *done = outbox_complete(out);
	done->slot = client_slots_number(c, index);
	done->timestamp = o->timestamp;
	return done;
}

/* A timer for each operation that is outstanding, and for no other. */
static inline void
client_slots_audit(const struct client_slots *c)
{
	for (uint32_t i = 0; i < c->config.slots_count; i++) {
		uint64_t due_ns = c->wheel.entries[i].due_ns;
		bool armed = due_ns != UINT64_MAX && due_ns != 0;
		check(armed == c->list[i].outstanding);
		check(c->list[i].tries <= CLIENT_DOUBLINGS_MAX);
		if (armed)
			check(c->list[i].timestamp > 0);
	}
}

#endif
