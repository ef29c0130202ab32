/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard runs bursts to completion: parse, screen, prove, step, seal, send.
 * The same code serves a replica's machines and a client's, on an lcore or in
 * the simulator: what differs stands behind the io and crypto tables. One core
 * owns a shard; it allocates nothing after shard_open().
 *
 *     datagrams -> [parse -> assemble -> screen -> prove -> step*] -> [seal -> transmit]
 *
 * What a step asks for beyond messages (deliveries, completions) is handed to
 * the owner, a replica or a client, through `drain`, which may step again.
 */
#ifndef OSKR_ENGINE_SHARD_H
#define OSKR_ENGINE_SHARD_H

#include "config/limits.h"
#include "crypto/crypto.h"
#include "engine/assembler.h"
#include "engine/protocol.h"
#include "engine/segmenter.h"

enum {
	SHARD_BURST_MAX = 64,
	SHARD_LOOPS_MAX = 16,	    /* large messages to oneself, waiting for the next burst */
	SHARD_TIMEOUTS_MAX = 32,    /* steps on EVENT_TIMEOUT that a machine gets in a burst */
	SHARD_SEGMENTS_MAX = 32,    /* segments sent in a burst */
	SHARD_OWNER_CLAIMS_MAX = 2, /* of one of the owner's messages */
};

/* What came in: a message or a segment, without the network's headers. */
struct datagram {
	const uint8_t *data; /* aligned to 8; valid until shard_run() returns */
	uint32_t size;	     /* bytes */
	/*
	 * The io looped it inside the process, and the shard had sealed it itself (no
	 * SEND_SEALED): authentic without proof. Never set by what comes from the network.
	 */
	bool own;
};

/* Where envelopes come from and go to. Full or empty below: counted there. */
struct shard_io {
	void *self;
	/* Fills in header, capacity and owner of up to `count` sends; returns how many. */
	uint32_t (*refill)(void *self, struct send *sends, uint32_t count);
	/* Takes ownership of every envelope; the own bit of `to` comes back in the next burst. */
	void (*transmit)(void *self, struct send *sends, uint32_t count);
	/* Optional: something rare for people to read. */
	void (*note)(void *self, const struct note *note);
};

/* Why what came in went no further. Each is a counter in the telemetry. */
enum shard_drop {
	SHARD_DROP_PARSE, /* to + enum parse_error */
	SHARD_DROP_INSTANCE = SHARD_DROP_PARSE + PARSE_ERRORS_COUNT,
	SHARD_DROP_SEGMENT, /* refused by the assembler */
	SHARD_DROP_SCREEN,  /* useless or not allowed: by the protocol */
	SHARD_DROP_PROOF,   /* a claim did not hold */
	SHARD_DROP_ROOM,    /* no envelopes for what the step may send */
	SHARD_DROP_LOOP,    /* more large messages to oneself than have a place */
	SHARD_DROPS_COUNT,
};

/* Written by the owner's core alone; others read single words for display. */
struct shard_counters {
	uint64_t bursts;
	uint64_t datagrams;
	uint64_t messages; /* stepped */
	uint64_t sends;
	uint64_t timeouts;
	uint64_t claims;
	uint64_t drops[SHARD_DROPS_COUNT];
};

/* What was heard of a replica: of messages that were stepped. Read as the counters are. */
struct shard_peer {
	uint64_t messages;
	uint64_t heard_ns; /* when the last one came; 0: never */
};

struct shard_config {
	const struct machine *machine;
	const struct protocol_config *protocol; /* instance 0's; copied */
	uint32_t machines_count;		/* instances here; 0: the owner alone */
	uint16_t instance_first;		/* the first machine's, ... */
	uint16_t instance_stride;		/* ... and from one to the next; 0: 1 */
	uint64_t own_mask;			/* the own replica's bit; 0: a client node */
	uint32_t envelope_size;			/* bytes of a message in an envelope */
	uint32_t message_size_max;		/* bytes; 0: no segmentation */
	uint32_t large_count;			/* outgoing large buffers */
	uint64_t id_seed;	   /* secret bits, for the ids of large messages without a proof */
	uint32_t assemblies_count; /* incoming */
	const struct crypto_ops *crypto_ops;
	struct crypto *crypto; /* the caller's */
	struct shard_io io;
	void (*drain)(void *owner); /* takes deliveries and completions out of the outbox */
	/*
	 * Optional, both or none: the owner's own messages, MESSAGE_FETCH and MESSAGE_BLOCKS,
	 * which no machine sees. As the machine's functions, but screen() adds no more than
	 * SHARD_OWNER_CLAIMS_MAX claims and step() neither sends nor delivers: drain() does.
	 */
	enum verdict (*screen)(const void *owner, const struct message *m, struct claims *claims);
	void (*step)(void *owner, const struct event *event);
	void *owner;
};

struct shard {
	uint64_t now_ns;
	uint64_t frontier;
	struct shard_config config;
	struct message_scope scope;
	struct stamp stamp;
	void **machines;
	struct segmenter *segmenter; /* NULL without segmentation */
	struct assembler *assembler;
	struct claims *claims;
	struct shard_counters counters;
	struct shard_peer peers[LIMIT_REPLICAS];
	bool urgent; /* the last burst wrote something that others wait for */
	uint32_t messages_count;
	uint32_t claims_per_message; /* at most */
	uint32_t result_inline_max;  /* bytes of the largest result that fits an envelope */
	uint32_t loops_count;
	uint32_t loops_bank;		    /* 0 or 1: the one that steps fill now */
	uint8_t *loops;			    /* SHARD_LOOPS_MAX large messages to oneself, whole */
	bool loops_own[2][SHARD_LOOPS_MAX]; /* sealed here, not another's that was relayed */
	struct message messages[SHARD_BURST_MAX + SHARD_LOOPS_MAX];
	struct outbox outbox;
};

/* Bytes that shard_open() will take, for the memory plan. */
size_t shard_memory(const struct shard_config *config);

/* NULL only when memory is short. shard_close() frees. */
struct shard *shard_open(const struct shard_config *config);
void shard_close(struct shard *s);

/*
 * One burst, run to completion, then whatever timer is due. count is at most
 * SHARD_BURST_MAX. Returns how many steps were made: 0 means idle.
 */
uint32_t shard_run(struct shard *s, uint64_t now_ns, const struct datagram *list, uint32_t count);

/* After a step: what it delivered, from number `delivered` on, and what it noted. */
void shard_stepped(struct shard *s, uint32_t machine, uint32_t delivered);

/* Steps one machine on an event; the owner's way to feed results and submissions. */
static inline void
shard_step(struct shard *s, uint32_t machine, const struct event *event)
{
	struct outbox *out = &s->outbox;
	uint32_t delivered = out->deliveries_count;
	debug_check(machine < s->config.machines_count);
	s->config.machine->step(s->machines[machine], event, out);
	if (out->deliveries_count > delivered || out->notes_count > 0)
		shard_stepped(s, machine, delivered);
}

/* Is there room for `steps` steps, whatever they do, that send `extra` messages more? */
static inline bool
shard_has_room(const struct shard *s, uint32_t steps, uint32_t extra)
{
	const struct outbox *out = &s->outbox;
	const struct machine *m = s->config.machine;
	bool large = s->segmenter == NULL ||
		     out->large_ready - out->large_count >= steps * m->large_per_step;
	return large && out->sends_ready - out->sends_count >= steps * m->sends_per_step + extra &&
	       OUTBOX_DELIVERIES_MAX - out->deliveries_count >= steps * m->deliveries_per_step &&
	       OUTBOX_COMPLETIONS_MAX - out->completions_count >= steps * m->completions_per_step;
}

/* Seals, transmits, sets out new envelopes. */
void shard_flush(struct shard *s);

/*
 * Makes room for a step that sends `extra` messages more than the machine's
 * bound: seals and sends what is there. False: the io has no envelopes.
 */
static inline bool
shard_room(struct shard *s, uint32_t extra)
{
	if (__builtin_expect(shard_has_room(s, 1, extra), 1))
		return true;
	shard_flush(s);
	return shard_has_room(s, 1, extra);
}

/* The earliest time at which shard_run() has something to do unasked. */
uint64_t shard_deadline(const struct shard *s);

/* The counter's name, for people and for telemetry. */
const char *shard_drop_name(uint32_t drop);

#endif
