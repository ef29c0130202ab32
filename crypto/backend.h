/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives under the prover and the Merkle trees, in bursts: those of
 * the libraries (real.c) or the simulator's (toy.c). What is built on them, and
 * so every layout and every decision, is the same for both. One core each.
 */
#ifndef OSKR_CRYPTO_BACKEND_H
#define OSKR_CRYPTO_BACKEND_H

#include "crypto/multibuffer.h"

struct crypto_backend {
	void *context;

	/* As multibuffer_digest() and multibuffer_mac(). */
	void (*digest)(void *context, const struct digest_job *jobs, uint32_t count);
	void (*mac)(void *context, const struct mac_job *jobs, uint32_t count);

	/*
	 * This node's signature. Signing and verifying only read the context: several
	 * lcores of a team do it at a time.
	 */
	void (*sign)(void *context, const uint8_t digest32[32], uint8_t sig64[64]);

	/* Is it node's signature? Nodes as in crypto_config.self. */
	bool (*verify)(
	    void *context, uint32_t node, const uint8_t digest32[32], const uint8_t sig64[64]);
};

/* The time stamp counter: what signatures take, measured where they are made. */
static inline uint64_t
crypto_cycles(void)
{
	return __builtin_ia32_rdtsc();
}

#endif
