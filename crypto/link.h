/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MAC keys of the link between two nodes: HKDF-SHA-256 (RFC 5869) over the
 * Diffie-Hellman of their static keys, bound to the cluster and to who sends to
 * whom. Both ends derive the same pair without a message. At start only.
 */
#ifndef OSKR_CRYPTO_LINK_H
#define OSKR_CRYPTO_LINK_H

#include "crypto/ecdsa.h"
#include "crypto/multibuffer.h"

/* The direction that a key is for; nodes as in crypto_config.self. */
struct link_ends {
	uint32_t cluster;
	uint16_t from;
	uint16_t to;
};

/* Extract, and expand to one AES-128 key: shared32 is from ecdsa_shared(). */
void link_derive(struct multibuffer *m, const uint8_t shared32[32], const struct link_ends *ends,
    uint8_t key16[CMAC_KEY_SIZE]);

#endif
