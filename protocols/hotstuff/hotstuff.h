/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotStuff (Yin, Malkhi, Reiter, Gueta, Abraham, PODC'19), chained. n > 3f
 * replicas, q = floor((n + f) / 2) + 1. Each view has one leader, who proposes
 * one block; q votes for it are a quorum certificate (QC), which the leader of
 * the next view puts into its own block.
 *
 *     client    leader(v)    replicas    leader(v + 1)
 *        REQUEST ->
 *            PROPOSAL ->                           a block: its parent's QC, a batch
 *                            VOTE ->               signed: "(view, height, block)"
 *                                   PROPOSAL ->    with the QC of the votes
 *        <-------------------- REPLY               once a three-chain of consecutive
 *                                                  views stands upon the block
 *
 *     on a timer:       <-  TIMEOUT  ->    signed; q of them are a timeout certificate (TC)
 *     every K heights:  <- CHECKPOINT ->   the state's digest; stable at q
 *     now and then:     <-  STATUS   ->    answered with a CERTIFICATE message: what its
 *                                          sender lacks to come to the same view
 *                       <- FETCH, BLOCK -> blocks by their digest
 *
 * A block's parent is the block that its QC certifies. header.view and
 * header.seq of a PROPOSAL and a VOTE are the block's view and height; a
 * block's height is what the executor calls its sequence number. All
 * structures below are little-endian, multiples of 8 bytes, without padding.
 */
#ifndef OSKR_PROTOCOLS_HOTSTUFF_H
#define OSKR_PROTOCOLS_HOTSTUFF_H

#include "protocols/bft/bft.h"

enum hotstuff_type {
	HOTSTUFF_PROPOSAL = BFT_TYPES_END, /* body: struct block_head, QC, TC, batch */
	HOTSTUFF_VOTE,	      /* no body; digest: the block's. Signed: the QC is made of these */
	HOTSTUFF_TIMEOUT,     /* seq: view of the highest QC; body: struct timeout_head. Signed */
	HOTSTUFF_STATUS,      /* struct hotstuff_status */
	HOTSTUFF_CERTIFICATE, /* struct certificate_head, signatures of its QC, TC */
	HOTSTUFF_FETCH,	      /* no body; digest: of the wanted block, at height seq; view: the
				 height from which on down its sender needs no ancestors */
	HOTSTUFF_BLOCK,	      /* body: as in its PROPOSAL; no proof: its digest was asked for */
	HOTSTUFF_TYPES_END,
};

/*
 * A quorum certificate: `signers` is a mask of exactly q replicas, one signature
 * of 64 bytes for each of its bits follows, in order. Each signs the 64-byte
 * header of its VOTE, which all fields here and the signer's index determine.
 * The genesis QC has view 0, height 0, a zero digest, no signers, and is always
 * valid.
 */
struct qc_head {
	uint64_t view;
	uint64_t height;
	uint8_t digest32[32]; /* of the block's body */
	uint64_t signers;
};
static_assert(sizeof(struct qc_head) == 56, "no padding");

/*
 * A timeout certificate for `view`: TIMEOUTs of exactly q distinct replicas, each
 * as its header (which binds the digest of its body, not needed here) and its
 * signature. header.seq is the view of the sender's highest QC. It leads to the
 * view hotstuff_view_after().
 */
struct tc_head {
	uint64_t view;
	uint64_t signers; /* mask; one entry for each of its bits follows, in order */
};
struct tc_entry {
	struct message_header header;
	uint8_t signature64[SIGNATURE_SIZE];
};
static_assert(sizeof(struct tc_entry) == 128, "no padding");

/*
 * Body of a PROPOSAL: head, the signatures of `justify`, the TC if has_tc, the
 * batch to the end. Its SHA-256 names the block, so view and height are in it.
 */
struct block_head {
	uint64_t view;
	uint64_t height;	/* of the parent, plus one */
	struct qc_head justify; /* of the parent */
	uint64_t has_tc;	/* 1: a TC for view - 1 follows; 0: justify.view = view - 1 */
};
static_assert(sizeof(struct block_head) == 80, "no padding");

/*
 * Body of a TIMEOUT: head, the signatures of `high`, the TC if has_tc. It proves
 * that its sender was in the view of its header: by `high`, if that is of the view
 * before, else by the TC. And it tells the sender's last vote, for the leader to
 * whom that went may be the one who is silent: q TIMEOUTs are a TC and, where
 * their senders had voted for the same block, its QC.
 */
struct timeout_head {
	struct qc_head high;
	struct qc_head vote; /* `signers`: the sender's bit; all zero: it has none to tell */
	uint8_t vote_signature64[SIGNATURE_SIZE];
	uint64_t has_tc;
};
static_assert(sizeof(struct timeout_head) == 184, "no padding");

/* Body of STATUS: where its sender stands. header.view is its view. */
struct hotstuff_status {
	uint64_t stable;    /* height of its stable checkpoint */
	uint64_t committed; /* height up to which it has committed and executed */
	uint64_t high;	    /* view of its highest QC */
	uint64_t nonce;	    /* of its recovery; 0: it is not recovering */
};
static_assert(sizeof(struct hotstuff_status) == 32, "no padding");

/*
 * Body of CERTIFICATE: head, the signatures of `high`, the TC if has_tc: what
 * brought the sender to its view; then the signatures of `deciding`, the QC that
 * completed its highest three-chain: that may be one of a branch that was given
 * up, and nobody else would ever show it. (A replica that lost its memory locks
 * itself on the highest QC that q others show: see recover.c for why it needs no
 * other.)
 */
struct certificate_head {
	uint64_t nonce; /* of the STATUS that this answers */
	uint64_t has_tc;
	struct qc_head high;
	struct qc_head deciding; /* genesis: the receiver does not lack it */
};
static_assert(sizeof(struct certificate_head) == 128, "no padding");

/*
 * Who leads. "leader(v)" must be the same for all (section 4.2.3), so it depends
 * on the view alone. Leaders rotate: each has one view. With --stable-leader each
 * has a tenure of HOTSTUFF_TENURE views, and a timeout certificate leads to the
 * first view of the next tenure: so leaders stay until they fail.
 */
#define HOTSTUFF_TENURE (1ull << 20)

static inline uint64_t
hotstuff_tenure(const struct protocol_config *config)
{
	return config->stable_leader ? HOTSTUFF_TENURE : 1;
}

#ifdef BFT_MUTANTS
/* Not NULL: tests say who leads. */
extern uint16_t (*hotstuff_leader_script)(uint64_t view);
#endif

static inline uint16_t
hotstuff_leader(const struct protocol_config *config, uint16_t instance, uint64_t view)
{
#ifdef BFT_MUTANTS
	if (hotstuff_leader_script != NULL)
		return hotstuff_leader_script(view);
#endif
	return bft_primary(config, instance, view / hotstuff_tenure(config));
}

/* The view to which a timeout certificate for `view` leads. */
static inline uint64_t
hotstuff_view_after(const struct protocol_config *config, uint64_t view)
{
	uint64_t tenure = hotstuff_tenure(config);
	return (view / tenure + 1) * tenure;
}

extern const struct machine hotstuff_replica;
extern const struct machine hotstuff2_replica; /* HotStuff-2: two phases, the same messages */
extern const struct machine hotstuff_client;   /* of both */

/* The name of a type, for traces; NULL for one that is none of HotStuff's. */
const char *hotstuff_type_name(uint8_t type);

#endif
