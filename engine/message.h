/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels: one 64-byte header, a body, a proof. Little-endian on the wire,
 * versioned, and decoded in one place that trusts nothing. Pure; any core.
 *
 *     0      4        8         10       12     13     14     15      16     24    32
 *     | size | cluster | instance | sender | prot | type | proof| vers | view | seq | digest .. 64
 *     | body ...                                                                     | proof ...
 *
 * The MAC or signature covers exactly the 64 header bytes and `digest` binds
 * the body, so every authentication job has one size and keeps every lane of
 * the multi-buffer library full.
 */
#ifndef OSKR_ENGINE_MESSAGE_H
#define OSKR_ENGINE_MESSAGE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire format is read in place on little-endian machines"
#endif

enum {
	MESSAGE_VERSION = 1,
	MESSAGE_ALIGNMENT = 8,	       /* of a header in memory */
	MESSAGE_INSTANCE_NONE = 65535, /* what executors tell each other: FETCH, BLOCKS */
	MAC_SIZE = 16,		       /* AES-CMAC, or HMAC-SHA-256 cut to 128 bits */
	SIGNATURE_SIZE = 64,	       /* ECDSA over secp256k1, compact r||s, low s */
	MERKLE_DEPTH_MAX = 8,	       /* one signature covers at most 256 messages */
	MERKLE_HEAD_SIZE = 72,	       /* signature of the root, then the leaf's index and zeroes */
};

/* Types 1..15 mean the same in every protocol; a protocol's own start at 16. */
enum message_type {
	MESSAGE_REQUEST = 1,	  /* client -> replicas; body: the operation */
	MESSAGE_REPLY = 2,	  /* replica -> client; body: the result */
	MESSAGE_SEGMENT = 3,	  /* a slice of a larger message (engine/segment.h) */
	MESSAGE_SEGMENT_NACK = 4, /* asks for slices again */
	MESSAGE_REPLY_LOST = 5,	  /* executed, but the reply is no longer cached; no body */
	MESSAGE_FETCH = 6,	  /* replica -> replica: asks for blocks of a checkpoint */
	MESSAGE_BLOCKS = 7,	  /* replica -> replica: blocks of a checkpoint */
	MESSAGE_HELLO = 8,	  /* client node -> replica: here I am (engine/enrol.h) */
	MESSAGE_WELCOME = 9,	  /* replica -> client node: its answer */
	MESSAGE_ASTRAY = 10,	  /* to whom sent: take another source port (lcore/steer.h) */
	MESSAGE_PROTOCOL = 16,
};

/* The kind fixes the proof's size: see proof_size(). */
enum proof_kind {
	PROOF_NONE = 0,
	PROOF_MAC = 1,	  /* one receiver */
	PROOF_VECTOR = 2, /* one MAC for each replica, in order */
	PROOF_SIGNATURE = 3,
	PROOF_MERKLE = 16, /* + depth 0..8: a signed root and the leaf's path to it */
};

struct message_header {
	uint32_t size;	   /* bytes: header + body + proof */
	uint32_t cluster;  /* a message of another cluster is dropped */
	uint16_t instance; /* ordering instance; in what goes to a client: the client's slot,
			      whose instance is slot mod instances; MESSAGE_INSTANCE_NONE */
	uint16_t sender;   /* replica index, or client slot in a request */
	uint8_t protocol;  /* index in the registry */
	uint8_t type;	   /* enum message_type, or the protocol's own */
	uint8_t proof;	   /* enum proof_kind */
	uint8_t version;   /* MESSAGE_VERSION */
	uint64_t view;
	uint64_t seq;	    /* sequence number or height; a request's timestamp */
	uint8_t digest[32]; /* of the body; zero or the protocol's own when there is no body */
};
static_assert(sizeof(struct message_header) == 64, "one cache line");
static_assert(offsetof(struct message_header, digest) == 32, "no padding");

/* A received message: a view, never a copy. Valid until the burst ends. */
struct message {
	const struct message_header *header; /* aligned to MESSAGE_ALIGNMENT */
	const uint8_t *body;		     /* body_size bytes */
	const uint8_t *proof;		     /* proof_size(header->proof) bytes */
	uint32_t body_size;
	bool own; /* looped inside the process, as we sealed it: authentic without proof */
};

/* What was wrong with a datagram: the index of a drop counter. */
enum parse_error {
	PARSE_OK,
	PARSE_SHORT, /* fewer bytes than a header, or than header and proof */
	PARSE_SIZE,  /* header->size differs from the bytes at hand */
	PARSE_VERSION,
	PARSE_CLUSTER,
	PARSE_PROTOCOL,
	PARSE_PROOF, /* unknown kind of proof */
	PARSE_ERRORS_COUNT,
};

/* What a receiver knows before it looks at a message. */
struct message_scope {
	uint32_t cluster;
	uint16_t replicas_count;
	uint8_t protocol;
};

/* Bytes of a proof of `kind`, or UINT32_MAX for an unknown kind. */
static inline uint32_t
proof_size(uint8_t kind, uint16_t replicas_count)
{
	switch (kind) {
	case PROOF_NONE:
		return 0;
	case PROOF_MAC:
		return MAC_SIZE;
	case PROOF_VECTOR:
		return (uint32_t)MAC_SIZE * replicas_count;
	case PROOF_SIGNATURE:
		return SIGNATURE_SIZE;
	default:
		if (kind < PROOF_MERKLE || kind > PROOF_MERKLE + MERKLE_DEPTH_MAX)
			return UINT32_MAX;
		return MERKLE_HEAD_SIZE + 32u * (uint32_t)(kind - PROOF_MERKLE);
	}
}

/*
 * Decodes the message in exactly `size` bytes at `bytes`, which must be aligned
 * to MESSAGE_ALIGNMENT. Reads no byte beyond; writes *m only on PARSE_OK. No
 * byte makes a message `own`: whoever looped it inside the process says so.
 */
static inline enum parse_error
message_parse(
    const struct message_scope *scope, const uint8_t *bytes, size_t size, struct message *m)
{
	if (size < sizeof(struct message_header))
		return PARSE_SHORT;
	const struct message_header *header = (const struct message_header *)(const void *)bytes;
	if (header->size != size)
		return PARSE_SIZE;
	if (header->version != MESSAGE_VERSION)
		return PARSE_VERSION;
	if (header->cluster != scope->cluster)
		return PARSE_CLUSTER;
	if (header->protocol != scope->protocol)
		return PARSE_PROTOCOL;
	uint32_t proof = proof_size(header->proof, scope->replicas_count);
	if (proof == UINT32_MAX)
		return PARSE_PROOF;
	if (size - sizeof(struct message_header) < proof)
		return PARSE_SHORT;
	m->header = header;
	m->body = bytes + sizeof(struct message_header);
	m->body_size = (uint32_t)(size - sizeof(struct message_header) - proof);
	m->proof = m->body + m->body_size;
	m->own = false;
	return PARSE_OK;
}

#endif
