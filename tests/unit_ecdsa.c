/* SPDX-License-Identifier: Apache-2.0 */
/* ECDSA over secp256k1: published signatures, deterministic nonces, and what is refused. */
#include <errno.h>
#include <string.h>

#include "crypto/ecdsa.h"
#include "crypto/reference.h"
#include "tests/unit.h"
#include "tests/vectors/ecdsa.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/rfc6979.h"

static const char order[] = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
static const char half[] = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

/* n - s, big-endian: the other signature of the same digest. */
static void
negate(const uint8_t s32[32], uint8_t negated32[32])
{
	uint8_t n[32];
	int borrow = 0;
	hex_read(order, n, 32);
	for (int i = 31; i >= 0; i--) {
		int difference = n[i] - s32[i] - borrow;
		borrow = difference < 0;
		negated32[i] = (uint8_t)(difference + borrow * 256);
	}
}

static bool
is_high(const uint8_t s32[32])
{
	uint8_t limit[32];
	hex_read(half, limit, 32);
	return memcmp(s32, limit, 32) > 0;
}

static void
sign_one(struct ecdsa *e, const char *secret, struct ecdsa_public *key)
{
	uint8_t secret32[32], public33[33];
	hex_read(secret, secret32, 32);
	CU_ASSERT_EQUAL_FATAL(ecdsa_open(e, secret32), 0);
	ecdsa_own_public(e, public33);
	CU_ASSERT_FATAL(ecdsa_parse(e, public33, key));
}

static void
deterministic(void)
{
	for (uint32_t i = 0; i < sizeof(rfc6979_vectors) / sizeof(rfc6979_vectors[0]); i++) {
		struct ecdsa e;
		struct ecdsa_public key;
		uint8_t digest[32], expected[64], signature[64];
		sign_one(&e, rfc6979_vectors[i].secret, &key);
		reference_digest(
		    rfc6979_vectors[i].text, (uint32_t)strlen(rfc6979_vectors[i].text), digest);
		hex_read(rfc6979_vectors[i].signature, expected, 64);
		ecdsa_sign(&e, digest, signature);
		CU_ASSERT_EQUAL(memcmp(signature, expected, 64), 0);
		CU_ASSERT_FALSE(is_high(signature + 32));
		CU_ASSERT(ecdsa_verify(&e, &key, digest, signature));
		ecdsa_close(&e);
		CU_ASSERT_PTR_NULL(e.context);
	}
}

/* Published signatures: those with low s hold; of the others only the low twin does. */
static void
published(void)
{
	struct ecdsa e;
	struct ecdsa_public own;
	uint32_t low = 0, high = 0, count = sizeof(ecdsa_vectors) / sizeof(ecdsa_vectors[0]);
	sign_one(&e, rfc6979_vectors[0].secret, &own);
	for (uint32_t i = 0; i < count; i++) {
		struct ecdsa_public key;
		uint8_t point[33], y[32], digest[32], signature[64], twin[64];
		hex_read(ecdsa_vectors[i].x, point + 1, 32);
		hex_read(ecdsa_vectors[i].y, y, 32);
		point[0] = (uint8_t)(2 + (y[31] & 1));
		hex_read(ecdsa_vectors[i].digest, digest, 32);
		hex_read(ecdsa_vectors[i].r, signature, 32);
		hex_read(ecdsa_vectors[i].s, signature + 32, 32);
		memcpy(twin, signature, 32);
		negate(signature + 32, twin + 32);
		CU_ASSERT_FATAL(ecdsa_parse(&e, point, &key));
		bool is_low = !is_high(signature + 32);
		CU_ASSERT_EQUAL(ecdsa_verify(&e, &key, digest, signature), is_low);
		CU_ASSERT_EQUAL(ecdsa_verify(&e, &key, digest, twin), !is_low);
		CU_ASSERT_FALSE(ecdsa_verify(&e, &own, digest, signature));
		low += is_low;
		high += !is_low;
	}
	CU_ASSERT(low > 0 && high > 0);
	ecdsa_close(&e);
}

/*
 * Wycheproof, ecdsa_secp256k1_sha256_p1363: numbers 1 and 4 as published ("signature
 * malleability", "replaced r by n - r"), and the special values of r and s.
 * Copyright the Wycheproof authors, Apache-2.0.
 */
static void
special(void)
{
	static const char *values[] = {
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "0000000000000000000000000000000000000000000000000000000000000001",
	    order,
	    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
	    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142",
	    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
	    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30",
	};
	static const char *numbered[] = {
	    "813ef79ccefa9a56f7ba805f0e478584fe5f0dd5f567bc09b5123ccbc9832365"
	    "900e75ad233fcc908509dbff5922647db37c21f4afd3203ae8dc4ae7794b0f87",
	    "7ec10863310565a908457fa0f1b87a79bc4fcf10b9e0e4320ac021c106b31ddc"
	    "6ff18a52dcc0336f7af62400a6dd9b810732baf1ff758000d6f613a556eb31ba",
	};
	struct ecdsa e;
	struct ecdsa_public key;
	uint8_t point[33] = {0x02}, digest[32], signature[64], twin[64];
	sign_one(&e, rfc6979_vectors[0].secret, &key);
	hex_read("b838ff44e5bc177bf21189d0766082fc9d843226887fc9760371100b7ee20a6f", point + 1, 32);
	point[0] = 0x03; /* y ends in ...1832e9 */
	CU_ASSERT_FATAL(ecdsa_parse(&e, point, &key));
	reference_digest("123400", 6, digest);
	hex_read(numbered[0], signature, 64);
	CU_ASSERT_FALSE(ecdsa_verify(&e, &key, digest, signature));
	memcpy(twin, signature, 32);
	negate(signature + 32, twin + 32);
	CU_ASSERT(ecdsa_verify(&e, &key, digest, twin));
	hex_read(numbered[1], signature, 64);
	CU_ASSERT_FALSE(ecdsa_verify(&e, &key, digest, signature));
	for (uint32_t r = 0; r < 7; r++) {
		for (uint32_t s = 0; s < 7; s++) {
			hex_read(values[r], signature, 32);
			hex_read(values[s], signature + 32, 32);
			CU_ASSERT_FALSE(ecdsa_verify(&e, &key, digest, signature));
		}
	}
	ecdsa_close(&e);
}

static void
bits(void)
{
	struct ecdsa e;
	struct ecdsa_public key;
	uint8_t digest[32], signature[64];
	sign_one(&e, rfc6979_vectors[3].secret, &key);
	reference_digest("bits", 4, digest);
	ecdsa_sign(&e, digest, signature);
	for (uint32_t bit = 0; bit < 512; bit++) {
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_FALSE(ecdsa_verify(&e, &key, digest, signature));
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (uint32_t bit = 0; bit < 256; bit++) {
		digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_FALSE(ecdsa_verify(&e, &key, digest, signature));
		digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT(ecdsa_verify(&e, &key, digest, signature));
	ecdsa_close(&e);
}

static void
unfit_keys(void)
{
	struct ecdsa e;
	struct ecdsa_public key;
	uint8_t secret[32] = {0}, point[33] = {0};
	CU_ASSERT_EQUAL(ecdsa_open(&e, secret), -EINVAL);
	CU_ASSERT_PTR_NULL(e.context);
	hex_read(order, secret, 32);
	CU_ASSERT_EQUAL(ecdsa_open(&e, secret), -EINVAL);
	sign_one(&e, rfc6979_vectors[2].secret, &key);
	CU_ASSERT_FALSE(ecdsa_parse(&e, point, &key));
	point[0] = 0x04;
	CU_ASSERT_FALSE(ecdsa_parse(&e, point, &key));
	point[0] = 0x02;
	memset(point + 1, 0xff, 32);
	CU_ASSERT_FALSE(ecdsa_parse(&e, point, &key));
	ecdsa_close(&e);
}

static const struct unit_story stories[] = {
    {"deterministic signatures of RFC 6979", deterministic},
    {"published signatures, high s refused", published},
    {"special values of r and s", special},
    {"each flipped bit is refused", bits},
    {"unfit keys", unfit_keys},
};

UNIT_MAIN("ecdsa", stories)
