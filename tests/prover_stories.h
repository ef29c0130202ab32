/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stories that every crypto_ops must pass, real or toy. The including suite
 * defines prover_ops() and lists PROVER_STORIES. One core.
 */
#ifndef OSKR_TESTS_PROVER_STORIES_H
#define OSKR_TESTS_PROVER_STORIES_H

#include <stdlib.h>

#include "tests/crypto_fixture.h"
#include "tests/unit.h"

static const struct crypto_ops *prover_ops(void);

static struct fixture fixture;

/* Flips each bit of `size` bytes in turn; message 0 must not hold at `node`. */
static void
expect_no_bit(struct fixture *f, void *bytes, uint32_t size, uint16_t node)
{
	uint32_t accepted = 0;
	for (uint32_t bit = 0; bit < size * 8; bit++) {
		uint8_t *byte = (uint8_t *)bytes + bit / 8;
		struct message was = f->messages[0];
		uint32_t claims = was.body_size > 0 ? 2 : 1;
		*byte ^= (uint8_t)(1 << bit % 8);
		uint32_t held = fixture_prove(f, 1, 1, node);
		/* A flip may also turn the kind into one that claims nothing or another. */
		accepted += f->claims.count > 0 && held >= claims;
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	CU_ASSERT_EQUAL(accepted, 0);
}

static void
story_macs(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t count = 1; count <= 300; count += count < 70 ? 1 : 77) {
		for (uint32_t i = 0; i < count; i++)
			fixture_write(f, i, PROOF_MAC, i % 3 == 0 ? 0 : i);
		f->ops->seal(f->nodes[1], f->sends, count);
		fixture_parse(f, count);
		uint32_t claims = 2 * count - (count + 2) / 3;
		CU_ASSERT_EQUAL(fixture_prove(f, count, 1, 0), claims);
		CU_ASSERT_EQUAL(f->claims.count, claims);
		/* At another receiver, or from another sender, only the digests hold. */
		CU_ASSERT_EQUAL(fixture_prove(f, count, 1, 2), claims - count);
		CU_ASSERT_EQUAL(fixture_prove(f, count, 2, 0), claims - count);
		CU_ASSERT_EQUAL(fixture_prove(f, count, 0, 1), claims - count);
	}
	fixture_close(f);
}

static void
story_bits(void)
{
	static const uint8_t kinds[] = {PROOF_MAC, PROOF_VECTOR, PROOF_SIGNATURE, PROOF_MERKLE};
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t kind = 0; kind < sizeof(kinds); kind++) {
		for (uint32_t i = 0; i < 3; i++)
			fixture_write(f, i, kinds[kind], 11);
		f->ops->seal(f->nodes[1], f->sends, 3);
		fixture_parse(f, 3);
		struct message_header *header = f->sends[0].header;
		uint8_t *proof = (uint8_t *)(header + 1) + 11;
		uint32_t size = header->size - 64 - 11;
		CU_ASSERT_EQUAL(fixture_prove(f, 3, 1, 2), kinds[kind] == PROOF_MAC ? 3 : 6);
		uint16_t node = kinds[kind] == PROOF_MAC ? 0 : 2;
		if (kinds[kind] == PROOF_VECTOR) { /* its own entry, not the others' */
			proof += 2 * MAC_SIZE;
			size = MAC_SIZE;
		}
		expect_no_bit(f, header + 1, 11, node);
		expect_no_bit(f, proof, size, node);
		/* The header but for the kind of proof, which the claim is made from. */
		expect_no_bit(f, header, offsetof(struct message_header, proof), node);
		expect_no_bit(f, &header->version, 64 - 15, node);
		CU_ASSERT_EQUAL(fixture_prove(f, 1, 1, node), 2);
	}
	fixture_close(f);
}

static void
story_vectors(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t i = 0; i < 130; i++)
		fixture_write(f, i, PROOF_VECTOR, 0)->to = 15;
	f->ops->seal(f->nodes[1], f->sends, 130);
	fixture_parse(f, 130);
	for (uint16_t node = 0; node < FIXTURE_REPLICAS; node++) {
		CU_ASSERT_EQUAL(fixture_prove(f, 130, 1, node), 130);
		CU_ASSERT_EQUAL(fixture_prove(f, 130, 3, node), 0);
	}
	fixture_close(f);
}

/* Requests by a client node to all, replies by MAC to a slot of it. */
static void
story_clients(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	fixture_write(f, 0, PROOF_VECTOR, 20)->to = 15;
	f->ops->seal(f->nodes[FIXTURE_REPLICAS + 1], f->sends, 1);
	fixture_parse(f, 1);
	for (uint16_t node = 0; node < FIXTURE_REPLICAS; node++) {
		for (uint32_t slot = 0; slot < FIXTURE_SLOTS; slot++)
			CU_ASSERT_EQUAL(
			    fixture_prove(f, 1, KEY_CLIENT + slot, node), slot < 3 ? 1 : 2);
	}
	for (uint16_t slot = 0; slot < FIXTURE_SLOTS; slot++) {
		fixture_write(f, slot, PROOF_MAC, 5)->to = 0;
		f->sends[slot].client = slot;
	}
	f->ops->seal(f->nodes[2], f->sends, FIXTURE_SLOTS);
	fixture_parse(f, FIXTURE_SLOTS);
	CU_ASSERT_EQUAL(fixture_prove(f, FIXTURE_SLOTS, 2, FIXTURE_REPLICAS), 6 + 3);
	CU_ASSERT(f->claims.holds[1] && f->claims.holds[5] && !f->claims.holds[7]);
	CU_ASSERT_EQUAL(fixture_prove(f, FIXTURE_SLOTS, 2, FIXTURE_REPLICAS + 1), 6 + 3);
	CU_ASSERT_EQUAL(fixture_prove(f, FIXTURE_SLOTS, 1, FIXTURE_REPLICAS), 6);
	/* Two client nodes share no key. */
	CU_ASSERT_EQUAL(fixture_prove(f, FIXTURE_SLOTS, KEY_CLIENT, FIXTURE_REPLICAS + 1), 6);
	fixture_close(f);
}

static void
story_signatures(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t i = 0; i < 20; i++)
		fixture_write(f, i, PROOF_SIGNATURE, i)->to = 15;
	f->ops->seal(f->nodes[1], f->sends, 20);
	fixture_parse(f, 20);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint16_t node = 0; node < FIXTURE_NODES; node++) {
			CU_ASSERT_EQUAL(fixture_prove(f, 20, 1, node), 39);
			CU_ASSERT_EQUAL(fixture_prove(f, 20, 2, node), 19);
			CU_ASSERT_EQUAL(fixture_prove(f, 20, KEY_CLIENT, node), 19);
		}
	}
	fixture_close(f);
}

/* A signature that is remembered holds for its own message alone, wherever others fall. */
static void
story_remembered(void)
{
	enum { COUNT = 4096 };
	static struct message_header headers[COUNT];
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	fixture_write(f, 0, PROOF_SIGNATURE, 0);
	f->ops->seal(f->nodes[1], f->sends, 1);
	fixture_parse(f, 1);
	CU_ASSERT_EQUAL(fixture_prove(f, 1, 1, 0), 1);
	f->claims.count = 0;
	for (uint32_t i = 0; i < COUNT; i++) {
		struct message m = f->messages[0];
		headers[i] = *m.header;
		headers[i].view += i;
		m.header = &headers[i];
		claims_add_message(&f->claims, &m, 1, 0);
	}
	f->ops->prove(f->nodes[0], &f->claims);
	uint32_t held = 0;
	for (uint32_t i = 0; i < COUNT; i++)
		held += f->claims.holds[i];
	CU_ASSERT(held == 1 && f->claims.holds[0]);
	fixture_close(f);
}

/* What is remembered or repeated in a burst costs nothing; a tree costs its root. */
static void
story_counted(void)
{
	struct fixture *f = &fixture;
	struct crypto_counters sealing, proving;
	fixture_open(f, prover_ops());
	for (uint32_t i = 0; i < 6; i++)
		fixture_write(f, i, i < 2 ? PROOF_SIGNATURE : PROOF_MERKLE, 0);
	f->ops->seal(f->nodes[1], f->sends, 6);
	crypto_count(f->nodes[1], &sealing);
	CU_ASSERT(sealing.signatures == 3 && sealing.verifications == 0);
	/* The same once more: what was signed is not signed again, and is the same. */
	uint8_t first[2][64];
	for (uint32_t i = 0; i < 2; i++) {
		uint8_t *sig64 = (uint8_t *)(f->sends[i].header + 1);
		memcpy(first[i], sig64, 64);
		memset(sig64, 0, 64);
	}
	f->ops->seal(f->nodes[1], f->sends, 2);
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT(memcmp(first[i], f->sends[i].header + 1, 64) == 0);
	crypto_count(f->nodes[1], &sealing);
	CU_ASSERT_EQUAL(sealing.signatures, 3);
	fixture_parse(f, 6);
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(fixture_prove(f, 6, 1, 0), 6);
	crypto_count(f->nodes[0], &proving);
	CU_ASSERT(proving.signatures == 0 && proving.verifications == 3);
	fixture_close(f);
}

/* More than one tree, among other messages. */
static void
story_trees(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t count = 1; count <= 400; count += 1 + count / 3) {
		uint32_t claims = 0, trees = 0;
		for (uint32_t i = 0; i < count; i++) {
			uint32_t body_size = i % 2 * 30;
			bool plain = i % 7 == 3;
			fixture_write(f, i, plain ? PROOF_VECTOR : PROOF_MERKLE, body_size);
			claims += body_size > 0 ? 2 : 1;
			trees += !plain;
		}
		f->ops->seal(f->nodes[1], f->sends, count);
		fixture_parse(f, count);
		for (uint16_t node = 0; node < 4; node += 2)
			CU_ASSERT_EQUAL(fixture_prove(f, count, 1, node), claims);
		CU_ASSERT_EQUAL(fixture_prove(f, count, 1, 0), claims);
		CU_ASSERT(fixture_prove(f, count, 3, 0) <= claims - trees);
	}
	fixture_close(f);
}

/* Claims that no message makes: each fails, nothing crashes. */
static void
story_hostile(void)
{
	static const uint8_t bytes[MERKLE_HEAD_SIZE + 32 * MERKLE_DEPTH_MAX];
	static const uint8_t large[8192];
	static const uint32_t keys[] = {
	    0, 3, 4, 5, 65535, KEY_CLIENT, KEY_CLIENT + 5, KEY_CLIENT + 6, 1u << 31, UINT32_MAX};
	static const uint32_t sizes[] = {0, 1, 63, 64, 65, 8192};
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t kind = 0; kind < 256; kind += kind < 6 ? 1 : 83) {
		for (uint16_t node = 0; node < FIXTURE_NODES; node++) {
			f->claims.count = 0;
			for (uint32_t i = 0; i < 10 * 6 * 10; i++)
				*claims_add(&f->claims) = (struct claim){
				    .kind = (uint8_t)kind,
				    .depth = (uint8_t)(i / 60),
				    .key = keys[i % 10],
				    .size = sizes[i / 10 % 6],
				    .data = large,
				    .proof = bytes,
				};
			memset(f->claims.holds, 1, sizeof(f->claims.holds));
			f->ops->prove(f->nodes[node], &f->claims);
			uint32_t held = 0;
			for (uint32_t i = 0; i < f->claims.count; i++)
				held += f->claims.holds[i];
			CU_ASSERT_EQUAL(held, 0);
		}
	}
	f->claims.count = 0;
	f->ops->prove(f->nodes[0], &f->claims);
	f->ops->seal(f->nodes[0], f->sends, 0);
	fixture_close(f);
}

/* As many claims as there may be, good and bad in turn. */
static void
story_full(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	fixture_write(f, 0, PROOF_MAC, 9);
	fixture_write(f, 1, PROOF_SIGNATURE, 0);
	fixture_write(f, 2, PROOF_MERKLE, 0);
	f->ops->seal(f->nodes[1], f->sends, 3);
	fixture_parse(f, 3);
	f->claims.count = 0;
	while (f->claims.count + 4 <= CLAIMS_MAX) {
		for (uint32_t i = 0; i < 3; i++)
			claims_add_message(
			    &f->claims, &f->messages[i], f->claims.count / 4 % 2 == 0 ? 1 : 2, 0);
	}
	f->ops->prove(f->nodes[0], &f->claims);
	uint32_t wrong = 0;
	for (uint32_t i = 0; i < f->claims.count; i++)
		wrong += f->claims.holds[i] != (i % 4 == 0 || i / 4 % 2 == 0);
	CU_ASSERT_EQUAL(f->claims.count, CLAIMS_MAX / 4 * 4);
	CU_ASSERT_EQUAL(wrong, 0);
	fixture_close(f);
}

/* Same input, same bytes, in another object and after other work; nothing beside the proof. */
/* Each body of a chain begins with the digest of the one before, whatever is sealed beside it. */
static void
story_chains(void)
{
	enum { FIRST = 3, LAST = 9, COUNT = 12 };
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t i = 0; i < COUNT; i++) {
		fixture_write(f, i, i % 2 == 0 ? PROOF_VECTOR : PROOF_SIGNATURE, 32 + i);
		f->sends[i].flags = i > FIRST && i <= LAST ? SEND_CHAINED : 0;
	}
	f->ops->seal(f->nodes[1], f->sends, COUNT);
	fixture_parse(f, COUNT);
	for (uint32_t i = 1; i < COUNT; i++) {
		bool chained =
		    memcmp(f->messages[i].body, f->messages[i - 1].header->digest, 32) == 0;
		CU_ASSERT_EQUAL(chained, i > FIRST && i <= LAST);
	}
	/* Digests and proofs are of what is sent. */
	CU_ASSERT_EQUAL(fixture_prove(f, COUNT, 1, 0), 2 * COUNT);
	fixture_close(f);
}

static void
story_repeats(void)
{
	static uint8_t first[20][FIXTURE_MESSAGE_SIZE];
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 20; i++) {
			uint8_t kind = (uint8_t)(i % 5);
			fixture_write(f, i, kind == 4 ? PROOF_MERKLE : kind, i % 2 * 12);
			memset((uint8_t *)f->bytes[i] + f->sends[i].header->size, 0xee,
			    FIXTURE_MESSAGE_SIZE - f->sends[i].header->size);
		}
		f->ops->seal(f->nodes[1], f->sends, 20);
		for (uint32_t i = 0; i < 20; i++) {
			const uint8_t *now = (const uint8_t *)f->bytes[i];
			if (round == 0)
				memcpy(first[i], now, FIXTURE_MESSAGE_SIZE);
			CU_ASSERT_EQUAL(memcmp(first[i], now, FIXTURE_MESSAGE_SIZE), 0);
			CU_ASSERT_EQUAL(now[FIXTURE_MESSAGE_SIZE - 1], 0xee);
			/* No body or no proof: the digest is the protocol's own. */
			uint8_t zero[32] = {0};
			bool digested = memcmp(f->sends[i].header->digest, zero, 32) != 0;
			CU_ASSERT_EQUAL(digested, i % 2 == 1 && i % 5 != 0);
		}
	}
	fixture_close(f);
}

static void
open_refused(const struct crypto_config *config, const char *part)
{
	char error[256] = "";
	CU_ASSERT_PTR_NULL(prover_ops()->open(config, error));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, part));
	CU_ASSERT_PTR_NULL(strchr(error, '\n'));
}

static void
story_refusals(void)
{
	static const uint16_t strangers[1] = {FIXTURE_CLIENTS};
	struct fixture *f = &fixture;
	fixture_open(f, prover_ops());
	struct crypto_config config = fixture_config(f, 2);
	config.self = 3;
	open_refused(&config, "does not belong");
	config = fixture_config(f, 2);
	config.self = FIXTURE_NODES;
	open_refused(&config, "not below 6");
	config = fixture_config(f, 2);
	config.replicas_count = 0;
	open_refused(&config, "1 to 64");
	config.replicas_count = 65;
	open_refused(&config, "1 to 64");
	config = fixture_config(f, 2);
	config.slots_count = 1;
	config.slot_clients = strangers;
	open_refused(&config, "client node 2");
	config = fixture_config(f, 2);
	memset(config.secret, 0, sizeof(config.secret));
	open_refused(&config, "private key of node 2");
	prover_ops()->close(NULL);
	fixture_close(f);
}

#define PROVER_STORIES                                                                     \
	{"MACs to one receiver", story_macs}, {"each flipped bit", story_bits},            \
	    {"vectors", story_vectors}, {"clients and their slots", story_clients},        \
	    {"signatures", story_signatures}, {"remembered signatures", story_remembered}, \
	    {"public-key operations are counted", story_counted}, {"trees", story_trees},  \
	    {"hostile claims", story_hostile}, {"as many claims as fit", story_full},      \
	    {"same bytes again", story_repeats}, {"chained bodies", story_chains},         \
	{                                                                                  \
		"unfit configurations", story_refusals                                     \
	}

#endif
