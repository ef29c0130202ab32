/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs for rigs of one machine: whoever has the key can make them, the rig has all
 * keys, and they are of no strength at all. Keys are named as in engine/claims.h; a
 * MAC is its sender's, whoever it is for. Any core.
 */
#ifndef OSKR_TESTS_TOY_PROVER_H
#define OSKR_TESTS_TOY_PROVER_H

#include "engine/claims.h"
#include "tests/toy_digest.h"

/* `size` bytes that only who has this key can make of a header. */
static inline void
toy_proof(uint32_t key, const struct message_header *h, uint8_t *proof, uint32_t size)
{
	uint8_t bytes[sizeof(*h) + 4];
	uint8_t proof64[SIGNATURE_SIZE];
	check(size <= sizeof(proof64));
	memcpy(bytes, h, sizeof(*h));
	memcpy(bytes + sizeof(*h), &key, 4);
	toy_digest(bytes, sizeof(bytes), proof64);
	toy_digest(proof64, 32, proof64 + 32);
	memcpy(proof, proof64, size);
}

/* Of a message's body; of none, zero. */
static inline void
digest_of(const void *body, uint32_t size, uint8_t *digest32)
{
	memset(digest32, 0, 32);
	if (size > 0)
		toy_digest(body, size, digest32);
}

static inline bool
toy_claim_holds(const struct claim *c)
{
	uint8_t expected[SIGNATURE_SIZE];
	uint32_t size = c->kind == CLAIM_DIGEST	     ? 32
			: c->kind == CLAIM_SIGNATURE ? SIGNATURE_SIZE
						     : MAC_SIZE;
	if (c->kind == CLAIM_DIGEST)
		digest_of(c->data, c->size, expected);
	else
		toy_proof(c->key, c->data, expected, size);
	return memcmp(expected, c->proof, size) == 0;
}

#endif
