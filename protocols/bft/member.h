/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all parts of a replica's machine read of the replica itself: what it was
 * told once, the moment of the event that is being stepped, and the view that
 * its messages tell. The machine embeds one and alone writes it: now_ns at the
 * beginning of each step, view when it goes on to another. The parts (struct
 * requests, struct checkpoints) hold a pointer to it. One core.
 */
#ifndef OSKR_PROTOCOLS_BFT_MEMBER_H
#define OSKR_PROTOCOLS_BFT_MEMBER_H

#include <string.h>

#include "engine/quorum.h"
#include "protocols/bft/bft.h"

enum { BFT_REPLICAS_MAX = 64 };

struct member {
	struct protocol_config config;
	struct stamp stamp;
	struct message_scope scope;
	uint32_t quorum; /* quorum_size() */
	uint64_t everybody;
	uint64_t now_ns; /* of the event that is being stepped */
	/*
	 * In header.view of checkpoint votes and complaints, and in replies: clients ask
	 * whom the highest number that f + 1 replicas tell names (client.h). So it only grows.
	 */
	uint64_t view;
};

static inline void
member_init(struct member *me, const struct protocol_config *config)
{
	check(config->replicas_count <= BFT_REPLICAS_MAX);
	check(config->replicas_count > 3u * config->faults);
	check(config->self < config->replicas_count);
	*me = (struct member){
	    .config = *config,
	    .stamp = {config->cluster, config->self, config->replicas_count, config->protocol},
	    .scope = {config->cluster, config->replicas_count, config->protocol},
	    .quorum = quorum_size(config->replicas_count, config->faults),
	    .everybody = quorum_everybody(config->replicas_count),
	};
}

static inline uint64_t
replica_bit(uint32_t replica)
{
	return 1ull << replica;
}

static inline uint64_t
member_others(const struct member *me)
{
	return me->everybody & ~replica_bit(me->config.self);
}

/* Is it from a replica, by what its header says, with the proof that replicas' messages have? */
static inline bool
member_proof_fits(const struct member *me, const struct message_header *h)
{
	return h->proof == me->config.protocol_proof && h->sender < me->config.replicas_count;
}

/* How many claims claims_add_message() makes of a message: where those that follow begin. */
static inline uint32_t
member_claims_count(const struct message *m)
{
	if (m->header->proof == PROOF_NONE)
		return 0;
	return m->body_size > 0 ? 2 : 1;
}

/* A message without body: what is said of (view, seq, digest). */
struct word {
	uint8_t type;
	uint64_t view;
	uint64_t seq;
	const uint8_t *digest32; /* NULL: zero */
};

/* Says it to the replicas of the mask `to` (not 0), with the proof of replicas' messages. */
static inline void
member_say(const struct member *me, uint64_t to, const struct word *word, struct outbox *out)
{
	struct send *s = outbox_send(out, to);
	struct letter letter = {
	    .type = word->type,
	    .proof = me->config.protocol_proof,
	    .instance = me->config.instance,
	    .view = word->view,
	    .seq = word->seq,
	};
	outbox_write(out, s, &me->stamp, &letter);
	if (word->digest32 != NULL)
		memcpy(s->header->digest, word->digest32, 32);
}

#endif
