/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The incoming half of segmentation: puts slices together in a fixed number of
 * buffers, asks again for what is missing, and gives up in bounded time. Pure:
 * memory and time are given, no I/O. Owned by one shard, on one core.
 *
 * Segments are not authenticated (the whole message is), so nothing here may
 * depend on honesty. Each peer has a share of the buffers: a client one, a
 * replica an equal part of the replicas'. Replicas and clients have separate
 * buffers, so that no flood of clients costs a replica's message. Where a share
 * or a part is full, its oldest message without progress for `stale_ns` gives
 * way; if all make progress, the newcomer is dropped. Every peer is sure of a
 * buffer if there are at least as many as replicas (twice that where clients
 * send too).
 *
 * NACKs to a client never weigh more bytes than what came in under its name:
 * whoever forges a slot gains no amplification.
 */
#ifndef OSKR_ENGINE_ASSEMBLER_H
#define OSKR_ENGINE_ASSEMBLER_H

#include "engine/segment.h"

enum { ASSEMBLER_BUFFERS_MAX = 1024 };

/* Zero in an optional field takes the default. */
struct assembler_config {
	uint32_t message_size_max; /* bytes of a whole message */
	uint32_t buffers_count;	   /* 1 .. ASSEMBLER_BUFFERS_MAX */
	uint16_t replicas_count;   /* of the cluster */
	bool from_client;	   /* this node carries client slots: only replicas send to it */
	uint16_t instances_count;  /* optional: steers a client's NACKs; 1 */
	/* Optional: a client's own slots, a replica's clients; 0: slots are not checked. */
	uint16_t slot_first;
	uint32_t slots_count;
	uint32_t replica_buffers; /* optional: for messages of replicas, the rest for clients' */
	uint32_t per_replica_max; /* optional: buffers of one replica; an equal part of those */
	uint32_t tries_max;	  /* optional: NACK rounds without progress; 16 */
	uint64_t nack_ns;	  /* optional: without progress until the first NACK, and the
				     unit of the back-off, 1 to 16 times; 1 ms */
	uint64_t stale_ns;	  /* optional: without progress until it may be evicted; 4 ms */
	uint64_t expiry_ns;	  /* optional: from a message's first segment to its end; 1 s */
};

/* What became of a segment: the index of a counter. From ASSEMBLER_DROPS on: dropped. */
enum assembler_verdict {
	ASSEMBLER_INCOMPLETE, /* kept; more is needed */
	ASSEMBLER_COMPLETE,   /* kept, and it was the last one missing */
	ASSEMBLER_DROPS,
	ASSEMBLER_MALFORMED = ASSEMBLER_DROPS, /* fields make no sense in themselves */
	ASSEMBLER_TOO_LARGE,		       /* the whole is larger than a message may be */
	ASSEMBLER_SENDER,		       /* no such replica, slot, or kind of peer here */
	ASSEMBLER_INCONSISTENT,		       /* contradicts what came before under its id */
	ASSEMBLER_DUPLICATE,		       /* this slice is here already */
	ASSEMBLER_LATE,			       /* of a message that was completed or given up */
	ASSEMBLER_SHARE_FULL,		       /* the peer's buffers all make progress */
	ASSEMBLER_FULL,			       /* all buffers of its kind of peer make progress */
	ASSEMBLER_VERDICTS_COUNT,
};

/* Written by the owner's core alone. */
struct assembler_counters {
	uint64_t verdicts[ASSEMBLER_VERDICTS_COUNT];
	uint64_t opened;   /* messages begun */
	uint64_t evicted;  /* given up for another one */
	uint64_t expired;  /* given up after expiry_ns or tries_max */
	uint64_t nacks;	   /* sent */
	uint64_t withheld; /* NACKs not sent: they would outweigh what came in */
};

struct assembler;

/* Bytes that assembler_init() needs, aligned to 64. */
size_t assembler_size(const struct assembler_config *config);

/* Makes an assembler in `memory`, which need not be zeroed; touches no buffer. */
struct assembler *assembler_init(void *memory, const struct assembler_config *config);

/*
 * Takes a parsed MESSAGE_SEGMENT. On ASSEMBLER_COMPLETE the whole message is
 * *whole_size bytes at *whole (aligned to 64), unchecked, valid until
 * assembler_release(); else both are left alone. now_ns never goes back.
 */
enum assembler_verdict assembler_add(struct assembler *a, uint64_t now_ns,
    const struct message *segment, const uint8_t **whole, uint32_t *whole_size);

/* Ends the burst: completed messages give their buffers back. */
void assembler_release(struct assembler *a);

/* A time before which assembler_timeout() has nothing to do; UINT64_MAX: none. */
uint64_t assembler_deadline(const struct assembler *a);

/*
 * Sends the NACKs that are due, as far as `out` has envelopes ready (the rest
 * stays due), and gives up what has expired. Returns how many it sent.
 */
uint32_t assembler_timeout(
    struct assembler *a, uint64_t now_ns, struct outbox *out, const struct stamp *stamp);

/* Valid as long as the assembler. */
const struct assembler_counters *assembler_counters(const struct assembler *a);

/* The counter's name, for people and for telemetry. */
const char *assembler_verdict_name(uint32_t verdict);

#endif
