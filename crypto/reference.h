/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same primitives by libcrypto, one at a time: what the bursts are compared
 * with in tests. Not for the hot path. Any core.
 */
#ifndef OSKR_CRYPTO_REFERENCE_H
#define OSKR_CRYPTO_REFERENCE_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "engine/check.h"

static inline void
reference_digest(const void *data, uint32_t size, uint8_t *digest32)
{
	check(SHA256(data, size, digest32) != NULL);
}

static inline void
reference_hmac(const uint8_t key32[32], const void *data, uint32_t size, uint8_t *mac32)
{
	unsigned int mac_size = 32;
	check(HMAC(EVP_sha256(), key32, 32, data, size, mac32, &mac_size) != NULL);
	check(mac_size == 32);
}

static inline void
reference_cmac(const uint8_t key16[16], const void *data, uint32_t size, uint8_t *mac16)
{
	size_t mac_size = 0;
	check(EVP_Q_mac(NULL, "CMAC", NULL, "AES-128-CBC", NULL, key16, 16, data, size, mac16, 16,
		  &mac_size) != NULL);
	check(mac_size == 16);
}

#endif
