/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocols claim, the engine proves. screen() lists what must be true of a
 * message; the prover decides a whole burst's claims in one call. Owned by one
 * shard, on one core.
 */
#ifndef OSKR_ENGINE_CLAIMS_H
#define OSKR_ENGINE_CLAIMS_H

#include "engine/check.h"
#include "engine/message.h"

enum {
	/*
	 * One proposal of 4096 requests, a digest and a proof for each, its own two, and
	 * certificates: signatures of up to 64 replicas, three times.
	 */
	CLAIMS_MAX = 2 * 4096 + 2 + 3 * 64,
	/* Headers that signatures in a message's body are about, of a burst and of one message. */
	CLAIMS_SCRATCH_MAX = 1024,
	CLAIMS_SCRATCH_PER_MESSAGE = 2 * 64,
};

enum claim_kind {
	CLAIM_DIGEST,	 /* proof: the SHA-256 of data */
	CLAIM_MAC,	 /* proof: 16 bytes, under the link key from `key` to this node */
	CLAIM_SIGNATURE, /* proof: 64 bytes, by `key` */
	CLAIM_MERKLE,	 /* proof: as in message.h, `depth` levels, root signed by `key` */
};

/* Keys are named by who holds them: a replica's index, or KEY_CLIENT + slot. */
enum { KEY_CLIENT = 1 << 16 };

/* "These bytes carry this proof under this key." */
struct claim {
	uint8_t kind;	  /* enum claim_kind */
	uint8_t depth;	  /* CLAIM_MERKLE */
	bool optional;	  /* the message is stepped even where this fails: see event.holds */
	uint8_t reserved; /* zero */
	uint32_t key;	  /* unused for CLAIM_DIGEST */
	uint32_t size;	  /* bytes at data */
	const void *data;
	const void *proof;
};

struct claims {
	uint32_t count;
	uint32_t scratch_count;
	struct message_header scratch[CLAIMS_SCRATCH_MAX];
	struct claim list[CLAIMS_MAX];
	bool holds[CLAIMS_MAX];
};

static inline struct claim *
claims_add(struct claims *claims)
{
	check(claims->count < CLAIMS_MAX);
	struct claim *c = &claims->list[claims->count++];
	c->depth = 0;
	c->optional = false;
	c->reserved = 0;
	return c;
}

/*
 * A header that is in no message as it was signed, written by screen() for a
 * claim's `data`. It lives as long as the claims do. At most
 * CLAIMS_SCRATCH_PER_MESSAGE a message.
 */
static inline struct message_header *
claims_scratch(struct claims *claims)
{
	check(claims->scratch_count < CLAIMS_SCRATCH_MAX);
	return &claims->scratch[claims->scratch_count++];
}

/*
 * Claims that message `m` is authentic: its body is what the header's digest
 * says, and its proof is by `key`. `self` is the receiver's replica index (for
 * a vector). A message without proof is bound by nothing and claims nothing.
 */
static inline void
claims_add_message(struct claims *claims, const struct message *m, uint32_t key, uint16_t self)
{
	uint8_t kind = m->header->proof;
	if (kind == PROOF_NONE)
		return;
	if (m->body_size > 0) {
		struct claim *digest = claims_add(claims);
		digest->kind = CLAIM_DIGEST;
		digest->key = 0;
		digest->size = m->body_size;
		digest->data = m->body;
		digest->proof = m->header->digest;
	}
	struct claim *c = claims_add(claims);
	c->key = key;
	c->size = sizeof(struct message_header);
	c->data = m->header;
	c->proof = m->proof;
	switch (kind) {
	case PROOF_MAC:
		c->kind = CLAIM_MAC;
		break;
	case PROOF_VECTOR:
		c->kind = CLAIM_MAC;
		c->proof = m->proof + (size_t)self * MAC_SIZE;
		break;
	case PROOF_SIGNATURE:
		c->kind = CLAIM_SIGNATURE;
		break;
	default:
		c->kind = CLAIM_MERKLE;
		c->depth = (uint8_t)(kind - PROOF_MERKLE);
		break;
	}
}

#endif
