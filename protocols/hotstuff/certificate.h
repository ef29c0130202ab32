/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quorum certificates and timeout certificates: reading them out of a message,
 * what must be proven of them, and assembling them from votes. Here is no state
 * and no judgement of what a certificate means: that is chain.c's and
 * pacemaker.c's. Pure; any core. See hotstuff.h for their bytes.
 *
 * "A quorum certificate (QC) over a tuple <type, viewNumber, node> is a data
 * type that combines a collection of signatures for the same tuple signed by
 * (n - f) replicas." (PODC'19, section 4.1)
 */
#ifndef OSKR_PROTOCOLS_HOTSTUFF_CERTIFICATE_H
#define OSKR_PROTOCOLS_HOTSTUFF_CERTIFICATE_H

#include "protocols/bft/member.h"
#include "protocols/hotstuff/hotstuff.h"

/* A QC somewhere in a message: a view of it. */
struct qc {
	struct qc_head head;
	const uint8_t *signatures; /* 64 bytes for each signer, in order */
};

/* A QC whose signatures were proven, or came from votes that were: may be passed on. */
struct qc_kept {
	struct qc_head head;
	uint8_t signatures64[BFT_REPLICAS_MAX][SIGNATURE_SIZE];
};

struct tc {
	struct tc_head head;
	const uint8_t *entries; /* a struct tc_entry for each signer, in order, aligned to 8 */
};

struct tc_kept {
	struct tc_head head;
	struct tc_entry entries[BFT_REPLICAS_MAX];
};

/* A replica's vote, with its signature. */
struct vote {
	struct qc_head head; /* `signers`: its bit; 0: there is none */
	uint8_t signature64[SIGNATURE_SIZE];
	uint32_t times; /* how often it came */
};

/* A replica's TIMEOUT, as an entry of a TC. */
struct timeout {
	struct tc_entry entry;
	bool present;
};

/* Bytes behind the head of any QC but the genesis QC's, and of a whole TC. */
static inline uint32_t
qc_signatures_size(uint32_t quorum)
{
	return quorum * SIGNATURE_SIZE;
}

static inline uint32_t
tc_size(uint32_t quorum)
{
	return (uint32_t)(sizeof(struct tc_head) + quorum * sizeof(struct tc_entry));
}

/* Bytes that tc_write() writes. */
static inline uint32_t
tc_kept_size(const struct tc_kept *tc)
{
	return tc_size(quorum_count(tc->head.signers));
}

/* Do they certify the same? (There is one QC a view, whoever signed it.) */
static inline bool
qc_equal(const struct qc_head *a, const struct qc_head *b)
{
	return a->view == b->view && a->height == b->height &&
	       digest_equal(a->digest32, b->digest32);
}

static inline bool
qc_is_genesis(const struct qc_head *head)
{
	return head->view == 0;
}

/* What is left of a body while it is read. */
struct reader {
	const uint8_t *at;
	uint32_t left; /* bytes */
};

/* Copies `size` bytes to `to`. False: there are fewer. */
bool reader_take(struct reader *reader, void *to, uint32_t size);

/*
 * Completes a QC whose head has been read: finds its signatures. False: malformed
 * (not exactly q signers of n, or a genesis QC that is not all zero). Nothing is
 * proven by that.
 */
bool qc_read(const struct member *me, struct reader *reader, struct qc *qc);
bool tc_read(const struct member *me, struct reader *reader, struct tc *tc);

/* The header of replica `signer`'s VOTE for what `head` says: what it signs. */
void vote_header(const struct member *me, const struct qc_head *head, uint16_t signer,
    struct message_header *header);

/*
 * Claims that each signer has signed: q claims. `own` is this replica's own vote
 * (or NULL): where its very signature is in the QC it needs no proof.
 */
void qc_claim(
    const struct member *me, const struct qc *qc, const struct vote *own, struct claims *claims);
/* Claims that `signature64`, which must live as long as the claims, is the voter's. */
void vote_claim(const struct member *me, const struct qc_head *vote, const uint8_t *signature64,
    struct claims *claims);
void tc_claim(const struct member *me, const struct tc *tc, struct claims *claims);

/* The highest QC that a signer of the TC had: its view. */
uint64_t tc_high(const struct tc *tc);

/* The same of one that is kept. */
uint64_t tc_kept_high(const struct tc_kept *tc);

void qc_keep(struct qc_kept *kept, const struct qc *qc);
void tc_keep(struct tc_kept *kept, const struct tc *tc);

/*
 * Makes the QC for `head` (whose signers do not count) of the votes, one place a
 * replica: false while there are fewer than q that are for the same.
 */
bool qc_assemble(const struct member *me, const struct vote *votes, const struct qc_head *head,
    struct qc_kept *kept);

/* The same for TIMEOUTs of `view`. */
bool tc_assemble(
    const struct member *me, const struct timeout *timeouts, uint64_t view, struct tc_kept *kept);

/* Writes the signatures (a TC: the head, too); returns where they end. */
uint8_t *qc_write(const struct qc_kept *kept, uint8_t *at);
uint8_t *tc_write(const struct tc_kept *kept, uint8_t *at);

#endif
