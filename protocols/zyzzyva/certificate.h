/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates: q signatures for the same. A commit certificate is made of
 * STATEMENTs (view, seq, h), a stable checkpoint's of CHECKPOINTs (seq, state, h).
 * Each signature is of a message's header that what is certified and the signer
 * determine, so a certificate is what is certified, a mask, and the signatures.
 * Nobody who holds one needs to believe who passed it on. Pure; any core.
 */
#ifndef OSKR_PROTOCOLS_ZYZZYVA_CERTIFICATE_H
#define OSKR_PROTOCOLS_ZYZZYVA_CERTIFICATE_H

#include "protocols/bft/member.h"
#include "protocols/zyzzyva/zyzzyva.h"

/* "The history of view `view` has h at seq"; all zero: none (signers is 0). */
struct commit_head {
	uint64_t view;
	uint64_t seq;
	uint8_t history32[32];
	uint64_t signers; /* mask of exactly q replicas; 64 bytes each follow, in order */
};
static_assert(sizeof(struct commit_head) == 56, "no padding");

/* What a CHECKPOINT says: its body. */
struct checkpoint_pair {
	uint8_t state32[32];
	uint8_t history32[32];
};

/* "The state after seq is this"; seq 0: the beginning, which nobody has to prove. */
struct stable_head {
	uint64_t seq;
	uint8_t digest32[32]; /* of the pair: what the signed headers have */
	struct checkpoint_pair pair;
	uint64_t signers; /* mask of exactly q; a stable_signature each follows, in order */
};
static_assert(sizeof(struct stable_head) == 112, "no padding");

/* A CHECKPOINT is signed with the view in which it was sent, which may differ. */
struct stable_signature {
	uint64_t view;
	uint8_t signature64[SIGNATURE_SIZE];
};
static_assert(sizeof(struct stable_signature) == 72, "no padding");

/* With their signatures, as they are kept. */
struct commit_certificate {
	struct commit_head head;
	uint8_t signatures64[BFT_REPLICAS_MAX][SIGNATURE_SIZE];
};

struct stable_certificate {
	struct stable_head head;
	struct stable_signature signatures[BFT_REPLICAS_MAX];
};

static inline uint32_t
certificate_signatures_size(uint64_t signers)
{
	return quorum_count(signers) * SIGNATURE_SIZE;
}

static inline uint32_t
certificate_stable_size(uint64_t signers)
{
	return quorum_count(signers) * (uint32_t)sizeof(struct stable_signature);
}

/* Exactly q replicas: certificates have one size and cost no more than that. */
static inline bool
certificate_signers_fit(const struct member *me, uint64_t signers)
{
	return (signers & ~me->everybody) == 0 && quorum_count(signers) == me->quorum;
}

/* The header that `signer` signed. */
void statement_header(const struct protocol_config *config, const struct commit_head *head,
    uint16_t signer, struct message_header *header);

/* Claims of every signature, at most q: `signatures64` must live as long as the claims. */
void commit_claim(const struct member *me, const struct commit_head *head,
    const uint8_t *signatures64, struct claims *claims);

/* The same of a stable checkpoint's, and one of the pair's digest; nothing of the beginning. */
void stable_claim(const struct member *me, const struct stable_head *head,
    const struct stable_signature *signatures, struct claims *claims);

/* One signature claim. */
void signature_claim(
    struct claims *claims, uint32_t signer, const void *header, const uint8_t *signature64);

#endif
