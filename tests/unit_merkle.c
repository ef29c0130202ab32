/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merkle trees: layout, every size, every flipped bit, and the receiver's memory
 * of verified nodes, whose savings and soundness are counted. The digest is
 * libcrypto's; a signature is the digest twice, xored with the signer.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/merkle.h"
#include "crypto/reference.h"
#include "tests/unit.h"

enum { CLUSTER = 9, SIGNER = 3, LEAVES = 256, TREES = 40, SIZE = 64 + 72 + 8 * 32 };

struct counts {
	uint32_t hashes;
	uint32_t signs;
	uint32_t verifies;
	uint8_t signed32[32];
};

static struct counts counts;
static uint64_t bytes[TREES][LEAVES][SIZE / 8];
static struct claim claims[TREES * LEAVES];
static struct merkle_claim merkle_claims[TREES * LEAVES];
static bool holds[TREES * LEAVES];

static void
count_digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	struct counts *c = context;
	c->hashes += count;
	for (uint32_t i = 0; i < count; i++)
		reference_digest(jobs[i].data, jobs[i].size, jobs[i].digest32);
}

static void
signature_of(uint32_t node, const uint8_t digest32[32], uint8_t sig64[64])
{
	for (uint32_t i = 0; i < 64; i++)
		sig64[i] = (uint8_t)(digest32[i % 32] ^ (node + 1) ^ i / 32);
}

static void
count_sign(void *context, const uint8_t digest32[32], uint8_t sig64[64])
{
	struct counts *c = context;
	c->signs++;
	memcpy(c->signed32, digest32, 32);
	signature_of(SIGNER, digest32, sig64);
}

static bool
count_verify(void *context, uint32_t node, const uint8_t digest32[32], const uint8_t sig64[64])
{
	struct counts *c = context;
	uint8_t expected[64];
	c->verifies++;
	signature_of(node, digest32, expected);
	return memcmp(expected, sig64, 64) == 0;
}

static struct merkle *
open_counted(uint32_t cluster)
{
	const struct crypto_backend backend = {
	    .context = &counts,
	    .digest = count_digest,
	    .sign = count_sign,
	    .verify = count_verify,
	};
	memset(&counts, 0, sizeof(counts));
	struct merkle *m = merkle_open(&backend, cluster);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

static struct message_header *
leaf(uint32_t tree, uint32_t index)
{
	return (struct message_header *)(void *)bytes[tree][index];
}

/* Seals `count` messages without bodies as tree `tree`. */
static void
seal(struct merkle *m, uint32_t tree, uint32_t count)
{
	struct message_header *headers[LEAVES];
	for (uint32_t i = 0; i < count; i++) {
		headers[i] = leaf(tree, i);
		memset(bytes[tree][i], 0, SIZE);
		headers[i]->size = SIZE;
		headers[i]->proof = PROOF_MERKLE;
		headers[i]->seq = i;
		headers[i]->view = tree;
	}
	merkle_seal(m, headers, count);
}

/* Claim `at` is about message `index` of a tree. */
static void
claim(uint32_t at, uint32_t tree, uint32_t index)
{
	struct message_header *header = leaf(tree, index);
	claims[at] = (struct claim){
	    .kind = CLAIM_MERKLE,
	    .depth = (uint8_t)(header->proof - PROOF_MERKLE),
	    .size = 64,
	    .data = header,
	    .proof = header + 1,
	};
	holds[at] = true;
	merkle_claims[at] = (struct merkle_claim){&claims[at], SIGNER, &holds[at]};
}

static uint32_t
prove(struct merkle *m, uint32_t count)
{
	uint32_t total = 0;
	merkle_prove(m, merkle_claims, count);
	for (uint32_t i = 0; i < count; i++)
		total += holds[i];
	return total;
}

static uint32_t
prove_one(struct merkle *m, uint32_t tree, uint32_t index)
{
	claim(0, tree, index);
	return prove(m, 1);
}

/* RFC 6962, section 2.1, by recursion; zero leaves beyond `count`. */
static void
root_of(uint32_t first, uint32_t leaves, uint32_t count, uint8_t *root32)
{
	uint8_t text[65];
	if (leaves == 1) {
		memset(root32, 0, 32);
		text[0] = 0x00;
		memcpy(text + 1, bytes[0][first < LEAVES ? first : 0], 64);
		if (first < count)
			reference_digest(text, 65, root32);
		return;
	}
	text[0] = 0x01;
	root_of(first, leaves / 2, count, text + 1);
	root_of(first + leaves / 2, leaves / 2, count, text + 33);
	reference_digest(text, 65, root32);
}

static void
layout(void)
{
	struct merkle *m = open_counted(CLUSTER);
	for (uint32_t count = 1; count <= LEAVES; count++) {
		uint32_t depth = 0;
		uint8_t text[52] = "oskr root, v. 1", expected[32];
		while (1u << depth < count)
			depth++;
		seal(m, 0, count);
		text[15] = (uint8_t)depth;
		text[16] = CLUSTER;
		root_of(0, 1u << depth, count, text + 20);
		reference_digest(text, sizeof(text), expected);
		CU_ASSERT_EQUAL(memcmp(counts.signed32, expected, 32), 0);
		for (uint32_t i = 0; i < count; i++) {
			const uint8_t *proof = (const uint8_t *)(leaf(0, i) + 1);
			uint32_t head[2];
			memcpy(head, proof + 64, 8);
			CU_ASSERT_EQUAL(leaf(0, i)->proof, PROOF_MERKLE + depth);
			CU_ASSERT_EQUAL(leaf(0, i)->size, 64 + 72 + depth * 32);
			CU_ASSERT(head[0] == i && head[1] == 0);
		}
	}
	CU_ASSERT_EQUAL(counts.signs, LEAVES);
	merkle_close(m);
}

/* Every size: one burst, then one message at a time, each with one verification. */
static void
sizes(void)
{
	for (uint32_t count = 1; count <= LEAVES; count++) {
		struct merkle *m = open_counted(CLUSTER);
		seal(m, 0, count);
		for (uint32_t i = 0; i < count; i++)
			claim(i, 0, i);
		counts.hashes = 0;
		CU_ASSERT_EQUAL(prove(m, count), count);
		CU_ASSERT_EQUAL(counts.verifies, 1);
		CU_ASSERT(counts.hashes <= 2 * count + 2 * MERKLE_DEPTH_MAX);
		merkle_close(m);
		m = open_counted(CLUSTER);
		for (uint32_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL(prove_one(m, 0, i * 257 % count), 1);
		CU_ASSERT_EQUAL(counts.verifies, 1);
		CU_ASSERT(counts.hashes <= 2 * count + 2 * MERKLE_DEPTH_MAX);
		counts.hashes = 0;
		CU_ASSERT_EQUAL(prove_one(m, 0, count - 1), 1);
		CU_ASSERT(counts.hashes == 1);
		merkle_close(m);
	}
}

/* Every bit of header and proof, before and after the tree is known. */
static void
bits(void)
{
	enum { COUNT = 5, DEPTH = 3, BITS = (64 + 72 + DEPTH * 32) * 8 };
	struct merkle *sealer = open_counted(CLUSTER);
	struct merkle *m = open_counted(CLUSTER);
	seal(sealer, 0, COUNT);
	for (uint32_t warm = 0; warm < 2; warm++) {
		for (uint32_t bit = 0; bit < BITS; bit++) {
			uint8_t *byte = (uint8_t *)leaf(0, 2) + bit / 8;
			claim(0, 0, 2);
			*byte ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_EQUAL(prove(m, 1), 0);
			*byte ^= (uint8_t)(1 << bit % 8);
		}
		CU_ASSERT_EQUAL(prove_one(m, 0, 2), 1);
		CU_ASSERT_EQUAL(prove_one(m, 0, 3), 1);
	}
	merkle_close(m);
	merkle_close(sealer);
}

static void
confusions(void)
{
	struct merkle *m = open_counted(CLUSTER);
	struct merkle *elsewhere = open_counted(CLUSTER + 1);
	seal(m, 0, 8);
	CU_ASSERT_EQUAL(prove_one(elsewhere, 0, 0), 0);
	/* Who repeats a signature at a wrong depth first spoils nothing for the right one. */
	claim(0, 0, 0);
	claims[0].depth = 2;
	claim(1, 0, 0);
	CU_ASSERT(prove(m, 2) == 1 && holds[1]);
	merkle_close(m);
	m = open_counted(CLUSTER);
	seal(m, 0, 8);
	for (uint32_t warm = 0; warm < 2; warm++) {
		claim(0, 0, 0);
		merkle_claims[0].node = SIGNER + 1;
		CU_ASSERT_EQUAL(prove(m, 1), 0);
		claim(0, 0, 0);
		claims[0].size = 63;
		CU_ASSERT_EQUAL(prove(m, 1), 0);
		claim(0, 0, 0);
		claims[0].depth = MERKLE_DEPTH_MAX + 1;
		CU_ASSERT_EQUAL(prove(m, 1), 0);
		for (uint8_t depth = 0; depth <= MERKLE_DEPTH_MAX; depth++) {
			claim(0, 0, 0);
			claims[0].depth = depth;
			CU_ASSERT_EQUAL(prove(m, 1), depth == 3);
		}
		/* Another leaf's proof. */
		claim(0, 0, 0);
		claims[0].proof = leaf(0, 1) + 1;
		CU_ASSERT_EQUAL(prove(m, 1), 0);
	}
	merkle_close(elsewhere);
	merkle_close(m);
}

/* The 64 bytes under an inner node are no header, one level up or at the same depth. */
static void
inner_as_leaf(void)
{
	uint8_t text[65], proof[72 + 32], pair[64];
	struct merkle *m = open_counted(CLUSTER);
	seal(m, 0, 4);
	text[0] = 0x00;
	memcpy(text + 1, leaf(0, 0), 64);
	reference_digest(text, 65, pair);
	memcpy(text + 1, leaf(0, 1), 64);
	reference_digest(text, 65, pair + 32);
	memcpy(proof, leaf(0, 0) + 1, 72);
	memcpy(proof + 72, (uint8_t *)(leaf(0, 0) + 1) + 72 + 32, 32);
	for (uint8_t depth = 1; depth <= 2; depth++) {
		claim(0, 0, 0);
		claims[0].data = pair;
		claims[0].proof = depth == 1 ? (void *)proof : (void *)(leaf(0, 0) + 1);
		claims[0].depth = depth;
		CU_ASSERT_EQUAL(prove(m, 1), 0);
	}
	merkle_close(m);
}

/* Good and forged messages of many trees in one burst: each is decided alone. */
static void
mixed(void)
{
	struct merkle *m = open_counted(CLUSTER);
	uint32_t count = 0;
	for (uint32_t tree = 0; tree < TREES; tree++)
		seal(m, tree, 1 + tree % 9);
	counts.verifies = 0;
	for (uint32_t index = 0; index < 9; index++) {
		for (uint32_t tree = 0; tree < TREES; tree++) {
			if (index >= 1 + tree % 9)
				continue;
			if ((tree + index) % 5 == 0)
				leaf(tree, index)->digest[3] ^= 1;
			claim(count++, tree, index);
		}
	}
	for (uint32_t round = 0; round < 3; round++) {
		prove(m, count);
		for (uint32_t i = 0; i < count; i++) {
			const struct message_header *header = claims[i].data;
			CU_ASSERT_EQUAL(holds[i], header->digest[3] == 0);
		}
	}
	merkle_close(m);
}

/* A forger that repeats a known signature, or brings his own, displaces nothing. */
static void
forgers(void)
{
	struct merkle *m = open_counted(CLUSTER);
	uint32_t count = 0;
	for (uint32_t tree = 0; tree < MERKLE_KEPT_MAX; tree++) {
		seal(m, tree, 16);
		CU_ASSERT_EQUAL(prove_one(m, tree, 0), 1);
	}
	CU_ASSERT_EQUAL(counts.verifies, MERKLE_KEPT_MAX);
	for (uint32_t i = 0; i < 16; i++) {
		leaf(0, i)->digest[0] ^= 1; /* a known signature: no verification */
		claim(count++, 0, i);
	}
	counts.verifies = 0;
	CU_ASSERT_EQUAL(prove(m, count), 0);
	CU_ASSERT_EQUAL(counts.verifies, 0);
	for (uint32_t round = 0; round < 40; round++) { /* fresh signatures, all wrong */
		seal(m, 20, 4);
		for (uint32_t i = 0; i < 4; i++) {
			((uint8_t *)(leaf(20, i) + 1))[round] ^= 1;
			claim(i, 20, i);
		}
		counts.verifies = 0;
		CU_ASSERT_EQUAL(prove(m, 4), 0);
		CU_ASSERT_EQUAL(counts.verifies, 1); /* one root, refused once */
	}
	counts.verifies = 0;
	for (uint32_t tree = 1; tree < MERKLE_KEPT_MAX; tree++)
		CU_ASSERT_EQUAL(prove_one(m, tree, 15), 1);
	CU_ASSERT_EQUAL(counts.verifies, 0);
	/* A new valid tree displaces the oldest alone. */
	seal(m, 21, 2);
	CU_ASSERT_EQUAL(prove_one(m, 21, 0), 1);
	CU_ASSERT_EQUAL(counts.verifies, 1);
	CU_ASSERT_EQUAL(prove_one(m, 1, 1), 1);
	CU_ASSERT_EQUAL(counts.verifies, 1);
	leaf(0, 0)->digest[0] ^= 1;
	CU_ASSERT_EQUAL(prove_one(m, 0, 0), 1);
	CU_ASSERT_EQUAL(counts.verifies, 2);
	merkle_close(m);
}

/* A forged sibling must not be learnt with the good messages beside it. */
static void
forged_siblings(void)
{
	struct merkle *m = open_counted(CLUSTER);
	seal(m, 0, 64);
	/* Message 0 with a wrong path above message 1's own correct one, in one burst. */
	memcpy(bytes[1][0], bytes[0][0], SIZE);
	((uint8_t *)(leaf(1, 0) + 1))[72 + 32] ^= 1;
	claim(0, 1, 0);
	claim(1, 0, 1);
	claim(2, 1, 0);
	CU_ASSERT_EQUAL(prove(m, 3), 1);
	CU_ASSERT(!holds[0] && holds[1] && !holds[2]);
	/* Its leaf is known by now: the wrong path above it is refused all the same. */
	claim(0, 1, 0);
	CU_ASSERT_EQUAL(prove(m, 1), 0);
	for (uint32_t i = 0; i < 64; i++)
		CU_ASSERT_EQUAL(prove_one(m, 0, i), 1);
	merkle_close(m);
}

static const struct unit_story stories[] = {
    {"layout of RFC 6962, signed and bound", layout},
    {"sizes 1 to 256", sizes},
    {"each flipped bit", bits},
    {"other cluster, signer, depth, leaf", confusions},
    {"an inner node is no leaf", inner_as_leaf},
    {"good and forged, many trees", mixed},
    {"forgers displace nothing", forgers},
    {"forged siblings are not learnt", forged_siblings},
};

UNIT_MAIN("merkle", stories)
