/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key pairs of nodes: from PEM files (libcrypto reads them), from the system's
 * randomness, or from a seed for the simulator. At start only; any core.
 *
 * Files: PREFIX-i.pem, PKCS#8, what
 *     openssl ecparam -genkey -noout -name secp256k1 | openssl pkcs8 -topk8 -nocrypt
 * writes; PREFIX-i.pub, SubjectPublicKeyInfo, from `openssl pkey -pubout`. A
 * node reads its own private key and everybody's public ones.
 *
 * Errors are one line "FILE: what is wrong; the fix" in `error`, at least
 * KEYS_ERROR_SIZE bytes, and a negative errno.
 */
#ifndef OSKR_CRYPTO_KEYS_H
#define OSKR_CRYPTO_KEYS_H

#include "crypto/crypto.h"

enum { KEYS_ERROR_SIZE = 512 };

struct key_pair {
	uint8_t secret[CRYPTO_SECRET_SIZE];
	uint8_t public33[CRYPTO_PUBLIC_SIZE];
};

/*
 * Reads a private key and derives its public one. The file must be regular, no
 * link, belong to the caller and be closed to group and others. Nothing is left
 * in *pair on error; the caller erases it after use.
 */
int keys_load_secret(const char *path, struct key_pair *pair, char *error);

/* Reads a public key. */
int keys_load_public(const char *path, uint8_t public33[CRYPTO_PUBLIC_SIZE], char *error);

/* Is the private key read from `path` the one of public33? 0 or -EINVAL. */
int keys_match(const char *path, const struct key_pair *pair,
    const uint8_t public33[CRYPTO_PUBLIC_SIZE], char *error);

/* A fresh pair from the system's randomness; 0 or a negative errno. */
int keys_generate(struct key_pair *pair);

/* The pair of number `index` under a seed: the same anywhere. For simulation only. */
void keys_generate_seeded(struct key_pair *pair, uint64_t seed, uint32_t index);

#endif
