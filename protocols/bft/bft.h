/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Byzantine-fault-tolerant protocols share on the wire: clients that
 * count f + 1 matching replies (or q, where that is what a reply is worth),
 * digests in place of large results, read-only operations, and checkpoints.
 * Each protocol's own types begin at BFT_TYPES_END. The code behind it:
 *
 *     member.h          what all parts of a replica's machine know of the replica
 *     requests.[ch]     requests and clients until execution; pool.h: where they wait
 *     replies.[ch]      what clients are told
 *     checkpoints.[ch]  which states are stable, when to fetch one
 *     client.[ch]       the client's half; client_votes.h: what replicas told it
 *     mutant.h          rules that tests break
 */
#ifndef OSKR_PROTOCOLS_BFT_H
#define OSKR_PROTOCOLS_BFT_H

#include <string.h>

#include "engine/protocol.h"

enum bft_type {
	BFT_READ = MESSAGE_PROTOCOL, /* client -> replicas: a request that is not ordered */
	BFT_REPLY_DIGEST,	     /* as REPLY, without body; digest: the result's */
	BFT_MUST_SIGN,		     /* replica -> client: its MACs do not hold here */
	BFT_COMPLAINT,		     /* replica -> replicas; seq: a client whose MACs fail */
	BFT_CHECKPOINT,		     /* no body; digest: the state's after seq */
	BFT_TYPES_END,
};

/* The name of a type above, for traces; NULL for any other. */
const char *bft_type_name(uint8_t type);

/*
 * header.view of a request. A replica other than the designated one sends the
 * digest of a large result only, unless the client asks for the whole.
 */
enum bft_request_flags { BFT_WHOLE = 1 << 0 };

/*
 * header.view of a message from a replica to a client is
 * view << BFT_REPLY_SHIFT | flags.
 */
enum bft_reply_flags {
	BFT_REPLY_TENTATIVE = 1 << 0, /* not committed yet: q must match */
	BFT_REPLY_READ = 1 << 1,      /* to a READ: q must match */
	BFT_REPLY_SHIFT = 2,
};

/* Parts of a machine's memory begin on cache lines. */
static inline size_t
bft_rounded(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

static inline bool
digest_equal(const uint8_t *a32, const uint8_t *b32)
{
	return memcmp(a32, b32, 32) == 0;
}

static inline bool
digest_is_zero(const uint8_t *a32)
{
	static const uint8_t zero32[32];
	return memcmp(a32, zero32, 32) == 0;
}

enum { BFT_DIGEST_REPLY_MIN = 128 }; /* bytes of a result from which its digest is shorter */

/* Who sends the whole of a large result. */
static inline uint16_t
bft_replier(uint16_t slot, uint64_t timestamp, uint16_t replicas_count)
{
	return (uint16_t)((slot + timestamp) % replicas_count);
}

/*
 * "The primary of a view is replica p = v mod |R|" (OSDI'99, 4); each instance begins
 * with the next one, unless all are to have the same.
 */
static inline uint16_t
bft_primary(const struct protocol_config *config, uint16_t instance, uint64_t view)
{
	uint64_t offset = config->leaders_together ? 0 : instance;
	return (uint16_t)((view + offset) % config->replicas_count);
}

#endif
