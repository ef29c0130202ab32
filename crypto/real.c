/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real crypto_ops: SHA-256 and AES-CMAC by IPsec-MB, signatures and link
 * keys by libsecp256k1. One object a lcore; memory is taken at open only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ecdsa.h"
#include "crypto/link.h"
#include "crypto/prover.h"

struct real {
	struct crypto crypto; /* first: crypto_ops passes its address */
	struct multibuffer multibuffer;
	struct ecdsa ecdsa;
	struct ecdsa_public *publics; /* of every node, parsed */
};

static int real_keys(struct real *r, const struct crypto_config *config, char *error);
static void real_link(struct real *r, uint32_t node);
static void real_close(struct crypto *c);

static void
real_digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	struct real *r = context;
	multibuffer_digest(&r->multibuffer, jobs, count);
}

static void
real_mac(void *context, const struct mac_job *jobs, uint32_t count)
{
	struct real *r = context;
	multibuffer_mac(&r->multibuffer, jobs, count);
}

static void
real_sign(void *context, const uint8_t digest32[32], uint8_t sig64[64])
{
	const struct real *r = context;
	ecdsa_sign(&r->ecdsa, digest32, sig64);
}

static bool
real_verify(void *context, uint32_t node, const uint8_t digest32[32], const uint8_t sig64[64])
{
	const struct real *r = context;
	check(node < r->crypto.nodes_count);
	return ecdsa_verify(&r->ecdsa, &r->publics[node], digest32, sig64);
}

static struct crypto *
real_open(const struct crypto_config *config, char *error)
{
	const struct multibuffer_options measured = {.fixed = false};
	struct real *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		snprintf(error, 256, "out of memory for the prover");
		return NULL;
	}
	r->crypto.backend = (struct crypto_backend){
	    .context = r,
	    .digest = real_digest,
	    .mac = real_mac,
	    .sign = real_sign,
	    .verify = real_verify,
	};
	if (prover_open(&r->crypto, config, error) != 0 ||
	    multibuffer_open(&r->multibuffer, &measured, error) != 0 ||
	    real_keys(r, config, error) != 0 || prover_open_merkle(&r->crypto, error) != 0) {
		real_close(&r->crypto);
		return NULL;
	}
	return &r->crypto;
}

static void
real_close(struct crypto *c)
{
	struct real *r = (struct real *)c;
	if (r == NULL)
		return;
	prover_close(&r->crypto);
	ecdsa_close(&r->ecdsa);
	multibuffer_close(&r->multibuffer);
	free(r->publics);
	crypto_erase(r, sizeof(*r));
	free(r);
}

/* Parses all public keys, checks the own pair, derives the links. */
static int
real_keys(struct real *r, const struct crypto_config *config, char *error)
{
	uint8_t own33[CRYPTO_PUBLIC_SIZE];
	int status = ecdsa_open(&r->ecdsa, config->secret);
	if (status != 0) {
		snprintf(error, 256, "the private key of node %u: %s", config->self,
		    status == -EINVAL ? "not a scalar of secp256k1; make the key again"
				      : "the system gives no memory or randomness");
		return status;
	}
	ecdsa_own_public(&r->ecdsa, own33);
	if (memcmp(own33, config->public_keys[config->self], sizeof(own33)) != 0) {
		snprintf(error, 256,
		    "the private key of node %u does not belong to its public key; "
		    "make or copy the pair again",
		    config->self);
		return -1;
	}
	r->publics = calloc(r->crypto.nodes_count, sizeof(*r->publics));
	if (r->publics == NULL) {
		snprintf(error, 256, "out of memory for public keys");
		return -1;
	}
	for (uint32_t node = 0; node < r->crypto.nodes_count; node++) {
		if (!ecdsa_parse(&r->ecdsa, config->public_keys[node], &r->publics[node])) {
			snprintf(error, 256,
			    "the public key of node %u is no point of secp256k1; "
			    "copy it again",
			    node);
			return -1;
		}
		if (prover_linked(&r->crypto, node))
			real_link(r, node);
	}
	return 0;
}

/* Both directions of the link with `node`. */
static void
real_link(struct real *r, uint32_t node)
{
	uint8_t shared32[32];
	uint8_t key16[CMAC_KEY_SIZE];
	struct link_ends out = {r->crypto.cluster, r->crypto.self, (uint16_t)node};
	struct link_ends in = {r->crypto.cluster, (uint16_t)node, r->crypto.self};
	ecdsa_shared(&r->ecdsa, &r->publics[node], shared32);
	link_derive(&r->multibuffer, shared32, &out, key16);
	multibuffer_cmac_key(&r->multibuffer, key16, &r->crypto.keys_out[node]);
	link_derive(&r->multibuffer, shared32, &in, key16);
	multibuffer_cmac_key(&r->multibuffer, key16, &r->crypto.keys_in[node]);
	crypto_erase(shared32, sizeof(shared32));
	crypto_erase(key16, sizeof(key16));
}

const struct crypto_ops crypto_real = {
    .name = "real",
    .open = real_open,
    .close = real_close,
    .prove = prover_prove,
    .seal = prover_seal,
    .digest = prover_digest,
};
