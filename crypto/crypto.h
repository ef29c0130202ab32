/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One prover and sealer a shard: it decides claims and seals messages in
 * bursts. Two implementations stand behind the same table: the real one
 * (crypto/real.c over IPsec-MB and libsecp256k1) and the simulator's toy
 * (crypto/toy.c). An object belongs to one lcore; nothing here blocks or
 * allocates after it has been opened.
 */
#ifndef OSKR_CRYPTO_CRYPTO_H
#define OSKR_CRYPTO_CRYPTO_H

#include "engine/claims.h"
#include "engine/digest.h"
#include "engine/outbox.h"

enum {
	CRYPTO_SECRET_SIZE = 32, /* a secp256k1 scalar */
	CRYPTO_PUBLIC_SIZE = 33, /* a compressed point */
};

struct crypto; /* opaque */

/*
 * Lcores that help each other with what takes long: signatures. Whoever has one
 * to give (lcore/helpers.h) implements it; without one, all is done on this lcore.
 */
struct crypto_team {
	void *self;
	/*
	 * Calls job(context, i) once for each i below count, on this lcore and on others
	 * at the same time, and returns when all have returned. What they wrote is seen.
	 */
	void (*share)(
	    void *self, void (*job)(void *context, uint32_t i), void *context, uint32_t count);
};

/* Everybody whose proofs are made or checked. */
struct crypto_config {
	uint32_t cluster;
	uint16_t replicas_count;
	uint16_t clients_count;	      /* client nodes (processes), each with one key */
	uint16_t self;		      /* node: replica index, or replicas_count + client node */
	uint32_t slots_count;	      /* client slots in the cluster */
	const uint16_t *slot_clients; /* slots_count: slot -> client node; outlives the object */
	const uint8_t (*public_keys)[CRYPTO_PUBLIC_SIZE]; /* replicas, then client nodes; copied */
	uint8_t secret[CRYPTO_SECRET_SIZE];		  /* this node's own */
	const struct crypto_team *team; /* NULL: nobody helps; else outlives the object */
};

struct crypto_ops {
	const char *name;

	/* NULL with a line in `error` (at least 256 bytes) if a key or the machine is unfit. */
	struct crypto *(*open)(const struct crypto_config *config, char *error);
	void (*close)(struct crypto *c);

	/* Decides holds[i] for every claim i. */
	void (*prove)(struct crypto *c, struct claims *claims);

	/*
	 * For each send in order: where the message has a body and a proof, writes
	 * header->digest; then writes the proof of the kind that the header names
	 * behind the body. PROOF_MERKLE: all such sends share one tree (or several
	 * of at most 2^MERKLE_DEPTH_MAX leaves) with one signature each; header->proof
	 * and header->size are set to the real depth. PROOF_MAC goes to the one
	 * receiver that the send names, PROOF_VECTOR to all replicas. What differs from
	 * that is in send->flags (engine/outbox.h).
	 */
	void (*seal)(struct crypto *c, struct send *sends, uint32_t count);

	/* SHA-256 (or the toy's digest) for the engine. */
	void (*digest)(struct crypto *c, const struct digest_job *jobs, uint32_t count);
};

/* How many public-key operations there were; Merkle roots are signatures, too. */
struct crypto_counters {
	uint64_t signatures;	/* made */
	uint64_t verifications; /* of signatures that were not remembered */
	uint64_t sign_cycles;	/* of the time stamp counter, that they took on whatever lcore */
	uint64_t verify_cycles;
};

extern const struct crypto_ops crypto_real;
extern const struct crypto_ops crypto_toy;

/* Reads single words that the object's lcore writes; any thread. */
void crypto_count(const struct crypto *c, struct crypto_counters *counters);

/* Equal? In a time that does not depend on where they differ. */
bool crypto_equal(const void *a, const void *b, uint32_t size);

/* Overwrites a secret; not optimised away. */
void crypto_erase(void *secret, uint32_t size);

#endif
