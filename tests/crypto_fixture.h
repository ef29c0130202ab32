/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small cluster of provers for tests: four replicas and two client nodes, one
 * key pair each, six client slots. Static; one core.
 */
#ifndef OSKR_TESTS_CRYPTO_FIXTURE_H
#define OSKR_TESTS_CRYPTO_FIXTURE_H

#include <CUnit/CUnit.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/keys.h"

enum {
	FIXTURE_CLUSTER = 77,
	FIXTURE_REPLICAS = 4,
	FIXTURE_CLIENTS = 2,
	FIXTURE_NODES = FIXTURE_REPLICAS + FIXTURE_CLIENTS,
	FIXTURE_SLOTS = 6, /* slots 0..2 at client node 0, 3..5 at 1 */
	FIXTURE_MESSAGES = 512,
	FIXTURE_MESSAGE_SIZE = 1024,
};

struct fixture {
	const struct crypto_ops *ops;
	struct crypto *nodes[FIXTURE_NODES];
	struct key_pair pairs[FIXTURE_NODES];
	uint8_t publics[FIXTURE_NODES][CRYPTO_PUBLIC_SIZE];
	struct send sends[FIXTURE_MESSAGES];
	uint64_t bytes[FIXTURE_MESSAGES][FIXTURE_MESSAGE_SIZE / 8];
	struct message messages[FIXTURE_MESSAGES];
	struct claims claims;
};

static const uint16_t fixture_slots[FIXTURE_SLOTS] = {0, 0, 0, 1, 1, 1};

static inline struct crypto_config
fixture_config(const struct fixture *f, uint16_t node)
{
	struct crypto_config config = {
	    .cluster = FIXTURE_CLUSTER,
	    .replicas_count = FIXTURE_REPLICAS,
	    .clients_count = FIXTURE_CLIENTS,
	    .self = node,
	    .slots_count = FIXTURE_SLOTS,
	    .slot_clients = fixture_slots,
	    .public_keys = (const uint8_t(*)[CRYPTO_PUBLIC_SIZE])f->publics,
	};
	memcpy(config.secret, f->pairs[node].secret, CRYPTO_SECRET_SIZE);
	return config;
}

static inline void
fixture_open(struct fixture *f, const struct crypto_ops *ops)
{
	char error[256] = "";
	memset(f, 0, sizeof(*f));
	f->ops = ops;
	for (uint16_t node = 0; node < FIXTURE_NODES; node++) {
		keys_generate_seeded(&f->pairs[node], 42, node);
		memcpy(f->publics[node], f->pairs[node].public33, CRYPTO_PUBLIC_SIZE);
	}
	for (uint16_t node = 0; node < FIXTURE_NODES; node++) {
		struct crypto_config config = fixture_config(f, node);
		f->nodes[node] = ops->open(&config, error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(f->nodes[node]);
		CU_ASSERT_STRING_EQUAL(error, "");
	}
}

static inline void
fixture_close(struct fixture *f)
{
	for (uint16_t node = 0; node < FIXTURE_NODES; node++)
		f->ops->close(f->nodes[node]);
}

/* Writes message `index`, unsealed, into its send: to the replicas in `to`, or to slot 0. */
static inline struct send *
fixture_write(struct fixture *f, uint32_t index, uint8_t proof, uint32_t body_size)
{
	uint8_t kind = proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : proof;
	struct message_header *header = (struct message_header *)(void *)f->bytes[index];
	memset(f->bytes[index], 0, sizeof(f->bytes[index]));
	*header = (struct message_header){
	    .size = (uint32_t)sizeof(*header) + body_size + proof_size(kind, FIXTURE_REPLICAS),
	    .cluster = FIXTURE_CLUSTER,
	    .instance = 1,
	    .sender = 1,
	    .type = MESSAGE_PROTOCOL,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	    .view = 3,
	    .seq = index + 1000u,
	};
	for (uint32_t i = 0; i < body_size; i++)
		((uint8_t *)(header + 1))[i] = (uint8_t)(i * 5 + index);
	f->sends[index] = (struct send){
	    .to = 1,
	    .capacity = FIXTURE_MESSAGE_SIZE,
	    .header = header,
	};
	return &f->sends[index];
}

/* Reads messages [0, count) back from their sends. */
static inline void
fixture_parse(struct fixture *f, uint32_t count)
{
	const struct message_scope scope = {FIXTURE_CLUSTER, FIXTURE_REPLICAS, 0};
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *bytes = (const uint8_t *)f->bytes[i];
		CU_ASSERT_EQUAL_FATAL(
		    message_parse(&scope, bytes, f->sends[i].header->size, &f->messages[i]),
		    PARSE_OK);
	}
}

/* How many of the claims about messages [0, count) hold at `node`, of which index `self`. */
static inline uint32_t
fixture_prove(struct fixture *f, uint32_t count, uint32_t key, uint16_t node)
{
	uint32_t holds = 0;
	f->claims.count = 0;
	for (uint32_t i = 0; i < count; i++)
		claims_add_message(&f->claims, &f->messages[i], key, node);
	f->ops->prove(f->nodes[node], &f->claims);
	for (uint32_t i = 0; i < f->claims.count; i++)
		holds += f->claims.holds[i];
	return holds;
}

#endif
