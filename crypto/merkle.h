/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One signature for many messages: a Merkle tree over their headers, its root
 * signed once, each message carrying its path. As in RFC 6962, section 2.1, a
 * leaf is H(0x00 | header) and an inner node H(0x01 | left | right); the tree is
 * filled up to a power of two with zero leaves, which no header hashes to. What
 * is signed is H(tag | cluster | depth | root), so that neither a root of
 * another cluster or depth nor a plain message passes for it.
 *
 * Proof: signature (64), index of the leaf (u32), zeroes (u32), then `depth`
 * siblings of 32 bytes, from the leaf up. The leaf covers the header in its
 * final form, with the proof's kind and the size.
 *
 * The receiver keeps a few trees by signer, depth and signature, with every node
 * that has been verified in them. A path ends where it meets a verified node, so
 * all replies of one tree cost about two hashes each and one verification. Only
 * verified nodes enter, and only a valid signature displaces a tree. One object
 * a lcore; all memory at open.
 */
#ifndef OSKR_CRYPTO_MERKLE_H
#define OSKR_CRYPTO_MERKLE_H

#include "crypto/backend.h"
#include "crypto/crypto.h"

enum {
	MERKLE_LEAVES_MAX = 1 << MERKLE_DEPTH_MAX,
	MERKLE_KEPT_MAX = 16, /* verified trees remembered */
	MERKLE_FRESH_MAX = 8, /* unverified trees looked at together */
};

/* Who signs is decided: a CLAIM_MERKLE and the node that its key stands for. */
struct merkle_claim {
	const struct claim *claim;
	uint32_t node;
	bool *holds; /* written */
};

struct merkle;

/* NULL if memory is out. The backend must outlive the object. */
struct merkle *merkle_open(const struct crypto_backend *backend, uint32_t cluster);
void merkle_close(struct merkle *m);

/* Roots that were signed and verified; the object's, which goes on writing it. */
const struct crypto_counters *merkle_counters(const struct merkle *m);

/*
 * Signs `count` messages (1..MERKLE_LEAVES_MAX) with one tree: sets their
 * headers' proof and size, and writes their proofs behind their bodies. Their
 * size must be that of a proof of MERKLE_DEPTH_MAX levels (outbox_write).
 */
void merkle_seal(struct merkle *m, struct message_header *const *headers, uint32_t count);

/* Decides each claim. A claim about anything but 64 bytes does not hold. */
void merkle_prove(struct merkle *m, const struct merkle_claim *claims, uint32_t count);

#endif
