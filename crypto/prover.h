/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both implementations of crypto_ops share: which key a claim or a send
 * means, gathering bursts, comparing, caches. Over a backend of primitives. One
 * object a lcore; no memory is taken after open.
 *
 * Cost of a message with a MAC and no body, in a burst of 64: one 32-byte claim
 * read, one job of 24 bytes written, one AES-CMAC of 4 blocks, one compare.
 */
#ifndef OSKR_CRYPTO_PROVER_H
#define OSKR_CRYPTO_PROVER_H

#include "crypto/backend.h"
#include "crypto/crypto.h"
#include "crypto/merkle.h"

enum {
	PROVER_BURST = 256,	       /* jobs gathered before they run */
	PROVER_SIGNATURES_KEPT = 1024, /* verified signatures remembered; a power of two */
	PROVER_MADE_KEPT = 1024,       /* own ones; a power of two */
	PROVER_NODE_NONE = INT32_MAX,
};

/* What is known of a signature, of exactly these bytes of this node. */
enum prover_known {
	PROVER_NOTHING,
	PROVER_ASKED, /* it is being verified in this burst */
	PROVER_HOLDS,
};

struct prover_kept {
	uint32_t node;
	uint32_t job; /* where it is asked */
	enum prover_known known;
	uint8_t digest32[32];
	uint8_t sig64[SIGNATURE_SIZE];
};

/* A signature that was made: a reply that is asked for again is not signed again (RFC 6979). */
struct prover_made {
	bool made;
	uint8_t digest32[32];
	uint8_t sig64[SIGNATURE_SIZE];
};

/* A signature to make or to verify, by any lcore of the team. */
struct prover_job {
	const uint8_t *digest32;
	uint8_t *sign64;	 /* where the one made goes */
	const uint8_t *verify64; /* the one that is verified */
	struct prover_kept *kept;
	uint64_t cycles; /* that it took */
	uint32_t node;
	bool holds;
};

/* Opens as crypto_ops' object: both implementations start with it. */
struct crypto {
	struct crypto_backend backend;
	const struct crypto_team *team;
	struct merkle *merkle;
	uint32_t cluster;
	uint32_t nodes_count; /* replicas, then client nodes */
	uint16_t replicas_count;
	uint16_t self;
	struct crypto_counters counters; /* without those of `merkle` */
	uint32_t slots_count;
	const uint16_t *slot_clients;
	struct cmac_key *keys_in;  /* nodes_count: from that node to this */
	struct cmac_key *keys_out; /* nodes_count: from this node to that */

	/* Scratch of one burst. */
	uint32_t digests_count;
	uint32_t macs_count;
	uint32_t signatures_count;
	uint32_t merkles_count;
	struct digest_job digest_jobs[PROVER_BURST];
	struct mac_job mac_jobs[PROVER_BURST];
	uint8_t digests[PROVER_BURST][DIGEST_SIZE];
	uint8_t macs[PROVER_BURST][MAC_SIZE];
	uint16_t digest_claims[PROVER_BURST];
	uint16_t mac_claims[PROVER_BURST];
	uint16_t signature_claims[CLAIMS_MAX];
	struct prover_job jobs[PROVER_BURST];
	uint32_t jobs_count;
	uint32_t job_claims[PROVER_BURST]; /* of the claims of a chunk: the job that decides it */
	struct merkle_claim merkle_claims[PROVER_BURST];
	struct message_header *merkle_headers[MERKLE_LEAVES_MAX];
	struct prover_kept kept[PROVER_SIGNATURES_KEPT];
	struct prover_made made[PROVER_MADE_KEPT];
};
static_assert(CLAIMS_MAX <= UINT16_MAX + 1, "a claim's index fits 16 bits");

/*
 * Takes the memory that all need. 0, or -EINVAL or -ENOMEM with a line in
 * `error` (at least 256 bytes). The caller then fills the link keys and opens
 * c->merkle by prover_open_merkle() once the backend is set.
 */
int prover_open(struct crypto *c, const struct crypto_config *config, char *error);
int prover_open_merkle(struct crypto *c, char *error);

/* Erases keys and frees; the object itself is the caller's. */
void prover_close(struct crypto *c);

/* Do this node and `node` talk? Two client nodes do not, and share no key. */
static inline bool
prover_linked(const struct crypto *c, uint32_t node)
{
	return c->self < c->replicas_count || node < c->replicas_count;
}

/* As in crypto_ops. */
void prover_prove(struct crypto *c, struct claims *claims);
void prover_seal(struct crypto *c, struct send *sends, uint32_t count);
void prover_digest(struct crypto *c, const struct digest_job *jobs, uint32_t count);

#endif
