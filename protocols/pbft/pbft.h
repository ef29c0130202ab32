/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Practical Byzantine Fault Tolerance (Castro & Liskov, OSDI'99 and TOCS'02),
 * with their optimisations: batches, digest replies, read-only operations,
 * tentative execution. n > 3f replicas, q = floor((n+f)/2) + 1.
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

#include "engine/protocol.h"

enum pbft_type {
	PBFT_PRE_PREPARE = MESSAGE_PROTOCOL, /* body: the batch; its digest names it */
	PBFT_PREPARE,			     /* no body; digest: the batch's */
	PBFT_COMMIT,			     /* likewise */
	PBFT_CHECKPOINT,		     /* no body; digest: the state's after seq */
	PBFT_VIEW_CHANGE,		     /* struct view_change_head ...: see decide.h */
	PBFT_NEW_VIEW,			     /* struct new_view_head ...: see decide.h */
	PBFT_STATUS,			     /* struct status_body: see replica.h */
	PBFT_FETCH,			     /* no body; digest: of the wanted batch, at seq */
	PBFT_BATCH,	   /* body: the batch; no proof: its digest was asked for */
	PBFT_READ,	   /* client -> replicas: a request that is not ordered */
	PBFT_REPLY_DIGEST, /* as REPLY, without body; digest: the result's */
	PBFT_MUST_SIGN,	   /* replica -> client: its MACs do not hold here */
	PBFT_COMPLAINT,	   /* backup -> primary; seq: a client whose MACs fail */
	PBFT_DECIDED,	   /* no body; digest: of the batch committed at seq; f + 1 are proof */
	PBFT_TYPES_END,
};

/*
 * header.view of a request. A replica other than the designated one sends the
 * digest of a large result only, unless the client asks for the whole.
 */
enum pbft_request_flags { PBFT_WHOLE = 1 << 0 };

/*
 * header.view of a reply is view << PBFT_REPLY_SHIFT | flags, of every message
 * from a replica to a client.
 */
enum pbft_reply_flags {
	PBFT_REPLY_TENTATIVE = 1 << 0, /* prepared, not committed: q must match */
	PBFT_REPLY_READ = 1 << 1,      /* to a READ: q must match */
	PBFT_REPLY_SHIFT = 2,
};

enum { PBFT_DIGEST_REPLY_MIN = 128 }; /* bytes of a result from which its digest is shorter */

/* Who sends the whole of a large result. */
static inline uint16_t
pbft_replier(uint16_t slot, uint64_t timestamp, uint16_t replicas_count)
{
	return (uint16_t)((slot + timestamp) % replicas_count);
}

static inline uint16_t
pbft_primary(const struct protocol_config *config, uint16_t instance, uint64_t view)
{
	return (uint16_t)((view + instance) % config->replicas_count);
}

extern const struct machine pbft_replica;
extern const struct machine pbft_client;

/* The name of a type, for traces; NULL for one that is none of PBFT's. */
const char *pbft_type_name(uint8_t type);

#endif
