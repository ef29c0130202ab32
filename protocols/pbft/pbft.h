/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Practical Byzantine Fault Tolerance (Castro & Liskov, OSDI'99 and TOCS'02),
 * with their optimisations: batches, digest replies, read-only operations,
 * tentative execution. n > 3f replicas, q = floor((n+f)/2) + 1. Requests, replies
 * and checkpoints are as in bft/bft.h.
 *
 *     client    primary    backups
 *        REQUEST ->
 *              PRE-PREPARE ->            the batch, at (view, seq)
 *                  <-   PREPARE   ->     backups: "this digest is at (view, seq)"
 *                  <-   COMMIT    ->     all: "q replicas say so"
 *        <--------- REPLY                after execution; f + 1 that match count
 *
 *     every K:     <- CHECKPOINT  ->     the state's digest; stable at q
 *     on a timer:  <- VIEW-CHANGE ->     signed: P and Q, claims without proof
 *              NEW-VIEW ->               signed: which VIEW-CHANGEs, what follows
 *     now and then:<-   STATUS    ->     answered with what its sender lacks,
 *                  <-   DECIDED   ->     which batch was committed, too
 *                  <- FETCH, BATCH ->    a batch by its digest
 *
 * The primary of view v of instance i is (v + i) mod n.
 */
#ifndef OSKR_PROTOCOLS_PBFT_H
#define OSKR_PROTOCOLS_PBFT_H

#include "protocols/bft/bft.h"

enum pbft_type {
	PBFT_PRE_PREPARE = BFT_TYPES_END, /* body: the batch; its digest names it */
	PBFT_PREPARE,			  /* no body; digest: the batch's */
	PBFT_COMMIT,			  /* likewise */
	PBFT_VIEW_CHANGE,		  /* struct view_change_head ...: see decide.h */
	PBFT_NEW_VIEW,			  /* struct new_view_head ...: see decide.h */
	PBFT_STATUS,			  /* struct status_body: see replica.h */
	PBFT_FETCH,			  /* no body; digest: of the wanted batch, at seq */
	PBFT_BATCH,			  /* body: the batch; no proof: its digest was asked for */
	PBFT_DECIDED, /* no body; digest: of the batch committed at seq; f + 1 are proof */
	PBFT_TYPES_END,
};

extern const struct machine pbft_replica;
extern const struct machine pbft_client;

/* The name of a type, for traces; NULL for one that is none of PBFT's. */
const char *pbft_type_name(uint8_t type);

#endif
