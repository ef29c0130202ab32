/* SPDX-License-Identifier: Apache-2.0 */
/* See ecdsa.h. Any core, one object each. */
#include "crypto/ecdsa.h"

#include <errno.h>
#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <string.h>
#include <sys/random.h>

#include "engine/check.h"

static_assert(sizeof(struct ecdsa_public) == sizeof(secp256k1_pubkey), "a copy of the key");

int
ecdsa_open(struct ecdsa *e, const uint8_t secret[CRYPTO_SECRET_SIZE])
{
	uint8_t blind32[32];
	*e = (struct ecdsa){0};
	if (getrandom(blind32, sizeof(blind32), 0) != (ssize_t)sizeof(blind32))
		return errno != 0 ? -errno : -EIO;
	e->context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
	if (e->context == NULL)
		return -ENOMEM;
	int blinded = secp256k1_context_randomize(e->context, blind32);
	crypto_erase(blind32, sizeof(blind32));
	check(blinded == 1);
	if (!secp256k1_ec_seckey_verify(e->context, secret)) {
		ecdsa_close(e);
		return -EINVAL;
	}
	memcpy(e->secret, secret, sizeof(e->secret));
	return 0;
}

void
ecdsa_close(struct ecdsa *e)
{
	if (e->context != NULL)
		secp256k1_context_destroy(e->context);
	crypto_erase(e, sizeof(*e));
}

void
ecdsa_own_public(const struct ecdsa *e, uint8_t bytes33[CRYPTO_PUBLIC_SIZE])
{
	secp256k1_pubkey key;
	size_t size = CRYPTO_PUBLIC_SIZE;
	check(secp256k1_ec_pubkey_create(e->context, &key, e->secret) == 1);
	check(secp256k1_ec_pubkey_serialize(
		  e->context, bytes33, &size, &key, SECP256K1_EC_COMPRESSED) == 1);
	check(size == CRYPTO_PUBLIC_SIZE);
}

bool
ecdsa_parse(
    const struct ecdsa *e, const uint8_t bytes33[CRYPTO_PUBLIC_SIZE], struct ecdsa_public *key)
{
	secp256k1_pubkey parsed;
	if (!secp256k1_ec_pubkey_parse(e->context, &parsed, bytes33, CRYPTO_PUBLIC_SIZE))
		return false;
	memcpy(key, &parsed, sizeof(*key));
	return true;
}

void
ecdsa_sign(const struct ecdsa *e, const uint8_t digest32[32], uint8_t sig64[64])
{
	secp256k1_ecdsa_signature signature;
	check(secp256k1_ecdsa_sign(e->context, &signature, digest32, e->secret,
		  secp256k1_nonce_function_rfc6979, NULL) == 1);
	check(secp256k1_ecdsa_signature_serialize_compact(e->context, sig64, &signature) == 1);
}

bool
ecdsa_verify(const struct ecdsa *e, const struct ecdsa_public *key, const uint8_t digest32[32],
    const uint8_t sig64[64])
{
	secp256k1_ecdsa_signature signature;
	secp256k1_pubkey parsed;
	if (!secp256k1_ecdsa_signature_parse_compact(e->context, &signature, sig64))
		return false;
	memcpy(&parsed, key, sizeof(parsed));
	return secp256k1_ecdsa_verify(e->context, &signature, digest32, &parsed) == 1;
}

void
ecdsa_shared(const struct ecdsa *e, const struct ecdsa_public *key, uint8_t shared32[32])
{
	secp256k1_pubkey parsed;
	memcpy(&parsed, key, sizeof(parsed));
	check(secp256k1_ecdh(e->context, shared32, &parsed, e->secret,
		  secp256k1_ecdh_hash_function_sha256, NULL) == 1);
}
