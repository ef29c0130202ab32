/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a message above an envelope travels: as segments, ordinary messages of
 * one envelope each, that carry slices of the whole message's bytes (its header
 * and proof included). What got lost is asked for again with a NACK. Segments
 * carry no proof: the whole message has its own. Pure; any core.
 *
 *     header of MESSAGE_SEGMENT       | body
 *     seq = id, digest = the fields   | slice of the whole, from `offset`
 *
 *     header of MESSAGE_SEGMENT_NACK  | body
 *     seq = id, digest = the fields   | ranges of segment indexes, 1 .. SEGMENT_RANGES_MAX
 *
 * All slices but the last have the size `slice`; segment i starts at i * slice.
 * `sender` and `instance` of a segment are those of the whole message, so a
 * segment is steered to the shard that handles the whole. A NACK's sender is
 * who lacks the slices; its instance steers it to the shard that has them: the
 * segment's own between replicas, the client's slot when it goes to a client,
 * slot mod instances when it comes from one.
 */
#ifndef OSKR_ENGINE_SEGMENT_H
#define OSKR_ENGINE_SEGMENT_H

#include <string.h>

#include "engine/message.h"
#include "engine/outbox.h"

enum {
	SEGMENT_UNIT = 8, /* slices are multiples of this, so every slice is copied aligned */
	/* No envelope is smaller, so no slice needs to be: it bounds the bitmaps. */
	SEGMENT_SLICE_MIN = ENVELOPE_SIZE_MIN - (int)sizeof(struct message_header),
	/* A NACK fits the smallest envelope. */
	SEGMENT_RANGES_MAX = SEGMENT_SLICE_MIN / 8,
	SEGMENT_REPLICAS_MAX = 64, /* a set of replicas is a 64-bit mask */
};

/* In the place of the header's digest; bytes on the wire. */
struct segment_fields {
	uint32_t offset;     /* bytes of the whole before this slice; 0 in a NACK */
	uint32_t total;	     /* bytes of the whole message */
	uint32_t slice;	     /* bytes of every slice but the last */
	uint8_t from_client; /* 1: `sender` is a client's slot, else a replica's index */
	uint8_t zero[19];
};
static_assert(sizeof(struct segment_fields) == 32, "it replaces the digest");
static_assert(offsetof(struct segment_fields, zero) == 13, "no padding");

/* Segments first_index .. first_index + count - 1 are missing. */
struct segment_range {
	uint32_t first_index;
	uint32_t count;
};
static_assert(sizeof(struct segment_range) == 8, "no padding");
static_assert(SEGMENT_SLICE_MIN % SEGMENT_UNIT == 0, "the smallest slice is a slice");

/* True of what belongs to this layer, not to a protocol. */
static inline bool
message_is_segment(const struct message *m)
{
	return m->header->type == MESSAGE_SEGMENT || m->header->type == MESSAGE_SEGMENT_NACK;
}

/* The slice that an envelope of `envelope_size` bytes (of message) holds. */
static inline uint32_t
segment_slice(uint32_t envelope_size)
{
	uint32_t room = envelope_size - (uint32_t)sizeof(struct message_header);
	return room / SEGMENT_UNIT * SEGMENT_UNIT;
}

/* Segments of a message of `total` bytes; slice > 0. */
static inline uint32_t
segment_count(uint32_t total, uint32_t slice)
{
	return total / slice + (total % slice != 0);
}

static inline void
segment_fields_read(const struct message_header *header, struct segment_fields *fields)
{
	memcpy(fields, header->digest, sizeof(*fields));
}

static inline void
segment_fields_write(struct message_header *header, const struct segment_fields *fields)
{
	memcpy(header->digest, fields, sizeof(*fields));
}

/* What both types have in common; the caller knows the limits of total and offset. */
static inline bool
segment_fields_valid(const struct message_header *header, const struct segment_fields *fields)
{
	static const uint8_t zero[sizeof(fields->zero)];
	return header->proof == PROOF_NONE && fields->from_client <= 1 &&
	       fields->total >= sizeof(struct message_header) &&
	       fields->slice >= SEGMENT_SLICE_MIN && fields->slice % SEGMENT_UNIT == 0 &&
	       memcmp(fields->zero, zero, sizeof(zero)) == 0;
}

#endif
