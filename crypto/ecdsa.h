/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA over secp256k1 and the Diffie-Hellman of its keys, by libsecp256k1.
 * Signatures are 64 bytes, r then s, with low s only: a second valid form of a
 * signature is refused, never normalised. Nonces follow RFC 6979, so the same
 * digest has the same signature. One object a lcore; its context is blinded
 * once from the system's randomness at open.
 */
#ifndef OSKR_CRYPTO_ECDSA_H
#define OSKR_CRYPTO_ECDSA_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"

struct secp256k1_context_struct; /* libsecp256k1's */

/* A point that has been parsed and is on the curve; the library's own form. */
struct ecdsa_public {
	uint8_t bytes[64];
};

struct ecdsa {
	struct secp256k1_context_struct *context;
	uint8_t secret[CRYPTO_SECRET_SIZE];
};

/*
 * Copies a secret scalar; ecdsa_close() erases it. 0, -EINVAL if it is zero or
 * not below the group's order, -ENOMEM, or the error of getrandom.
 */
int ecdsa_open(struct ecdsa *e, const uint8_t secret[CRYPTO_SECRET_SIZE]);
void ecdsa_close(struct ecdsa *e);

/* This object's own public key, compressed. */
void ecdsa_own_public(const struct ecdsa *e, uint8_t bytes33[CRYPTO_PUBLIC_SIZE]);

/* False if the bytes are no point of the curve. */
bool ecdsa_parse(
    const struct ecdsa *e, const uint8_t bytes33[CRYPTO_PUBLIC_SIZE], struct ecdsa_public *key);

void ecdsa_sign(const struct ecdsa *e, const uint8_t digest32[32], uint8_t sig64[64]);

/* False for every signature that is not the canonical one: high s, r or s out of range. */
bool ecdsa_verify(const struct ecdsa *e, const struct ecdsa_public *key, const uint8_t digest32[32],
    const uint8_t sig64[64]);

/* SHA-256 of the shared point, compressed. The caller erases it. */
void ecdsa_shared(const struct ecdsa *e, const struct ecdsa_public *key, uint8_t shared32[32]);

#endif
