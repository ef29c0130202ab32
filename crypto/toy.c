/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's crypto_ops: quick, deterministic, and NOT SECURE. Multiply
 * and mix, 8 bytes a step, in place of every primitive; all layouts and sizes,
 * the Merkle trees and every decision are those of the real one. Whoever reads
 * a signer's public key could compute its proofs; whoever only calls seal()
 * with a configuration of his own cannot, since open() demands the secret that
 * belongs to the public key of `self`. One core each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ecdsa.h"
#include "crypto/prover.h"

/* Odd constants of good spread: the fractions of the golden ratio, sqrt 2, 3 and pi. */
static const uint64_t MIX[4] = {
    0x9e3779b97f4a7c15u, 0x6a09e667f3bcc909u, 0xbb67ae8584caa73bu, 0x243f6a8885a308d3u};

/* What a key or a digest is made from: two words to start with. */
struct toy_seed {
	uint64_t words[2];
};

struct toy {
	struct crypto crypto;	/* first: crypto_ops passes its address */
	struct toy_seed *seeds; /* of every node, from its public key */
};

__extension__ typedef unsigned __int128 product128;

static inline uint64_t
mix(uint64_t a, uint64_t b)
{
	product128 product = (product128)(a ^ MIX[0]) * (b ^ MIX[1]);
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
word_at(const uint8_t *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Two lanes over the data, 16 bytes a step; every step depends on the seed. */
static inline struct toy_seed
absorb(struct toy_seed seed, const void *data, uint32_t size)
{
	const uint8_t *bytes = data;
	uint64_t a = seed.words[0] ^ MIX[2];
	uint64_t b = seed.words[1] ^ size;
	uint32_t at = 0;
	for (; size - at >= 16; at += 16) {
		a = mix(a ^ word_at(bytes + at), MIX[3] + b);
		b = mix(b ^ word_at(bytes + at + 8), MIX[2] ^ at);
	}
	if (at < size) {
		uint8_t last[16] = {0};
		memcpy(last, bytes + at, size - at);
		a = mix(a ^ word_at(last), MIX[3] + b);
		b = mix(b ^ word_at(last + 8), ~MIX[2]);
	}
	return (struct toy_seed){{mix(a, b ^ MIX[0]), mix(b, a + MIX[1])}};
}

/* `count` words out of a seed. */
static inline void
squeeze(struct toy_seed seed, uint8_t *output, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t word = mix(seed.words[0] + i * MIX[3], seed.words[1] ^ i);
		memcpy(output + (size_t)i * 8, &word, sizeof(word));
	}
}

static void
toy_digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	(void)context;
	for (uint32_t i = 0; i < count; i++) {
		struct toy_seed seed =
		    absorb((struct toy_seed){{MIX[1], MIX[3]}}, jobs[i].data, jobs[i].size);
		squeeze(seed, jobs[i].digest32, 4);
	}
}

static void
toy_mac(void *context, const struct mac_job *jobs, uint32_t count)
{
	(void)context;
	for (uint32_t i = 0; i < count; i++) {
		struct toy_seed seed;
		memcpy(&seed, jobs[i].key->expanded, sizeof(seed));
		seed = absorb(seed, jobs[i].data, jobs[i].size);
		memcpy(jobs[i].mac16, &seed, MAC_SIZE);
	}
}

static void
signature_make(const struct toy *t, uint32_t node, const uint8_t digest32[32], uint8_t *sig64)
{
	squeeze(absorb(t->seeds[node], digest32, 32), sig64, SIGNATURE_SIZE / 8);
}

static void
toy_sign(void *context, const uint8_t digest32[32], uint8_t sig64[64])
{
	const struct toy *t = context;
	signature_make(t, t->crypto.self, digest32, sig64);
}

static bool
toy_verify(void *context, uint32_t node, const uint8_t digest32[32], const uint8_t sig64[64])
{
	const struct toy *t = context;
	uint8_t expected[SIGNATURE_SIZE];
	check(node < t->crypto.nodes_count);
	signature_make(t, node, digest32, expected);
	return memcmp(expected, sig64, sizeof(expected)) == 0;
}

/* The toy's key from `from` to `to`: its raw bytes stand where AES would expand it. */
static void
toy_link(const struct toy *t, uint32_t from, uint32_t to, struct cmac_key *key)
{
	uint32_t ends[3] = {t->crypto.cluster, from, to};
	struct toy_seed seed = t->seeds[from];
	seed.words[0] ^= t->seeds[to].words[1];
	seed = absorb(seed, ends, sizeof(ends));
	memcpy(key->expanded, &seed, sizeof(seed));
}

/* As the real one: the secret must be the one of this node's public key. */
static int
toy_secret(const struct crypto_config *config, char *error)
{
	struct ecdsa ecdsa;
	uint8_t own33[CRYPTO_PUBLIC_SIZE] = {0};
	int status = ecdsa_open(&ecdsa, config->secret);
	if (status == 0) {
		ecdsa_own_public(&ecdsa, own33);
		if (memcmp(own33, config->public_keys[config->self], sizeof(own33)) != 0)
			status = -EINVAL;
		ecdsa_close(&ecdsa);
	}
	if (status != 0)
		snprintf(error, 256,
		    "the private key of node %u does not belong to its public key; "
		    "make or copy the pair again",
		    config->self);
	return status;
}

static int
toy_keys(struct toy *t, const struct crypto_config *config, char *error)
{
	t->seeds = calloc(t->crypto.nodes_count, sizeof(*t->seeds));
	if (t->seeds == NULL) {
		snprintf(error, 256, "out of memory for keys");
		return -ENOMEM;
	}
	for (uint32_t node = 0; node < t->crypto.nodes_count; node++)
		t->seeds[node] = absorb((struct toy_seed){{MIX[0], MIX[2]}},
		    config->public_keys[node], CRYPTO_PUBLIC_SIZE);
	for (uint32_t node = 0; node < t->crypto.nodes_count; node++) {
		toy_link(t, t->crypto.self, node, &t->crypto.keys_out[node]);
		toy_link(t, node, t->crypto.self, &t->crypto.keys_in[node]);
	}
	return 0;
}

static void
toy_close(struct crypto *c)
{
	struct toy *t = (struct toy *)c;
	if (t == NULL)
		return;
	prover_close(&t->crypto);
	free(t->seeds);
	free(t);
}

static struct crypto *
toy_open(const struct crypto_config *config, char *error)
{
	struct toy *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		snprintf(error, 256, "out of memory for the prover");
		return NULL;
	}
	t->crypto.backend = (struct crypto_backend){
	    .context = t,
	    .digest = toy_digest,
	    .mac = toy_mac,
	    .sign = toy_sign,
	    .verify = toy_verify,
	};
	if (prover_open(&t->crypto, config, error) != 0 || toy_secret(config, error) != 0 ||
	    toy_keys(t, config, error) != 0 || prover_open_merkle(&t->crypto, error) != 0) {
		toy_close(&t->crypto);
		return NULL;
	}
	return &t->crypto;
}

const struct crypto_ops crypto_toy = {
    .name = "toy",
    .open = toy_open,
    .close = toy_close,
    .prove = prover_prove,
    .seal = prover_seal,
    .digest = prover_digest,
};
