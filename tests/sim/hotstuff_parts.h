/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where certificates and the batch lie in HotStuff's messages, for liars and
 * for the oracle. Written from hotstuff.h alone, apart from the protocol's own
 * parser, which it does not trust. Pure.
 */
#ifndef OSKR_TESTS_SIM_HOTSTUFF_PARTS_H
#define OSKR_TESTS_SIM_HOTSTUFF_PARTS_H

#include "protocols/hotstuff/hotstuff.h"

struct hotstuff_qc {
	uint32_t head_at;	/* in the body, of struct qc_head */
	uint32_t signatures_at; /* one for each signer follow each other */
};

struct hotstuff_parts {
	struct hotstuff_qc qc; /* `justify` or `high` */
	uint32_t has_tc_at;    /* the word that says so */
	uint32_t tc_at;	       /* of struct tc_head; 0: there is none */
	uint32_t batch_at;     /* PROPOSAL, BLOCK: to the end; else where the body should end */
};

/* False: such a message has no certificates, or its body is too short for what it says. */
bool hotstuff_parts(const struct message *m, struct hotstuff_parts *parts);

/* See struct sim_knowledge. */
struct sim_certificate;
void hotstuff_certificates(const struct message *m,
    void (*take)(void *context, const struct sim_certificate *c), void *context);

/* Bytes of signatures and entries that a mask of signers stands for. */
static inline uint32_t
signatures_size(uint64_t signers)
{
	return (uint32_t)__builtin_popcountll(signers) * SIGNATURE_SIZE;
}

static inline uint32_t
entries_size(uint64_t signers)
{
	return (uint32_t)__builtin_popcountll(signers) * (uint32_t)sizeof(struct tc_entry);
}

static inline struct qc_head
qc_head_read(const uint8_t *body, const struct hotstuff_qc *qc)
{
	struct qc_head head;
	__builtin_memcpy(&head, body + qc->head_at, sizeof(head));
	return head;
}

#endif
