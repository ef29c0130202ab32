/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outgoing half of segmentation: lends large buffers to an outbox, sends
 * what was written there slice by slice, and keeps it afterwards for repair
 * until the buffer is needed again. Pure: memory and time are given, no I/O.
 * Owned by one shard, on one core.
 *
 *     free -> lent -> sending -> sent (kept) -> lent -> ...
 *
 * Free buffers are lent first, then the kept ones, sent longest ago first. A
 * kept buffer that is lent still answers NACKs until a step takes it. One that
 * is still being sent is never lent. A retention time is not promised.
 *
 * What a NACK can cost is bounded: per buffer and peer so many NACKs a
 * millisecond, and in all so many times the message. Who does not know the
 * message's id, 64 unguessable bits, can ask for nothing.
 */
#ifndef OSKR_ENGINE_SEGMENTER_H
#define OSKR_ENGINE_SEGMENTER_H

#include "engine/segment.h"

/* Zero in an optional field takes the default. */
struct segmenter_config {
	uint32_t message_size_max; /* bytes of a whole message */
	uint32_t envelope_size;	   /* bytes of a message in an envelope: MTU - 28 */
	uint32_t buffers_count;	   /* 1 .. OUTBOX_LARGE_MAX */
	bool from_client;	   /* this node carries client slots */
	/* Optional: messages under way at once, the oldest first; 2. More would overrun
	   the share of assemblies that a receiver grants us. */
	uint32_t interleave_max;
	uint32_t nacks_per_ms_max; /* optional: accepted per buffer and peer; 8 */
	/* Optional: segments repaired per buffer and peer, as a multiple of the message's; 4. */
	uint32_t repair_factor;
	uint64_t id_seed; /* optional: secret random bits, for ids of messages without a proof */
};

/* Why a NACK was not obeyed. */
enum segmenter_drop {
	SEGMENTER_DROP_MALFORMED,    /* fields or ranges make no sense */
	SEGMENTER_DROP_UNKNOWN,	     /* no such message: another's, recycled, or guessed */
	SEGMENTER_DROP_PEER,	     /* from one to whom it was not sent */
	SEGMENTER_DROP_INCONSISTENT, /* total or slice differ from the message's */
	SEGMENTER_DROP_STORM,	     /* too many a millisecond */
	SEGMENTER_DROP_EXHAUSTED,    /* the peer has had its share of repairs */
	SEGMENTER_DROPS_COUNT,
};

/* Written by the owner's core alone. */
struct segmenter_counters {
	uint64_t messages; /* posted */
	uint64_t segments; /* sent for the first time, one for all receivers */
	uint64_t repairs;  /* segments sent again, to one peer */
	uint64_t nacks;	   /* obeyed */
	uint64_t unposted; /* buffers that a step took and nobody posted */
	uint64_t drops[SEGMENTER_DROPS_COUNT];
};

struct segmenter;

/* Bytes that segmenter_init() needs, aligned to 64. */
size_t segmenter_size(const struct segmenter_config *config);

/* Makes a segmenter in `memory`, which need not be zeroed; touches no buffer. */
struct segmenter *segmenter_init(void *memory, const struct segmenter_config *config);

/*
 * Lends buffers to out->large[] anew, after everything taken from the last
 * lending has been posted: what was taken and not posted is free again.
 */
void segmenter_refill(struct segmenter *s, struct outbox *out);

/*
 * Takes a sealed message in a lent buffer (send->large != 0) for sending, to
 * the replicas in send->to (the own bit removed) or, when that is 0, to the
 * client. Once per lent buffer.
 */
void segmenter_post(struct segmenter *s, const struct send *send);

/* Takes a parsed MESSAGE_SEGMENT_NACK; what it asks for goes out with the next pump. */
void segmenter_nack(struct segmenter *s, uint64_t now_ns, const struct message *m);

/*
 * Writes up to `budget` segments into the envelopes that `out` has ready:
 * repairs first, then slices in order, in turn among the oldest messages.
 * `out` is the outbox of the last refill. Returns how many it wrote.
 */
uint32_t segmenter_pump(
    struct segmenter *s, struct outbox *out, const struct stamp *stamp, uint32_t budget);

/* Whether a pump would write anything. */
bool segmenter_pending(const struct segmenter *s);

/* Valid as long as the segmenter. */
const struct segmenter_counters *segmenter_counters(const struct segmenter *s);

/* The counter's name, for people and for telemetry. */
const char *segmenter_drop_name(uint32_t drop);

#endif
