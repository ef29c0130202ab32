/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the command line says to what every part is told: sizes, proofs,
 * windows. Pure arithmetic, shared by the embedded cluster, the processes and
 * the simulator, so that they run the same configuration. Used at start.
 */
#ifndef OSKR_ENGINE_PLAN_H
#define OSKR_ENGINE_PLAN_H

#include "config/options.h"
#include "engine/executor.h"
#include "engine/protocol.h"
#include "engine/shard.h"
#include "engine/workload.h"

enum {
	PLAN_CLUSTER = 0x6f736b72, /* the embedded cluster's number */
	PLAN_IP_UDP_SIZE = 28,	   /* bytes of an MTU that are not the message's */
	PLAN_HASH_SEED_SALT = 0x6b76,
	PLAN_REPLIES_SIZE_MAX = 256 << 20,   /* bytes of cached replies above SESSION_INLINE_SIZE */
	PLAN_ASSEMBLIES_SIZE_MAX = 64 << 20, /* bytes of large messages that come in */
	/*
	 * A signature takes as long as hundreds of messages without: bursts are short
	 * then, so that who signs and who verifies work at the same time.
	 */
	PLAN_BURST_SIGNED = 4,		  /* for each lcore that shares a burst's signatures */
	PLAN_CHECKPOINTS_SPANNED = 2,	  /* intervals that a log may span: L = 2K */
	PLAN_BLOCKS_PER_REQUEST = 6,	  /* dirtied: its session, an index path, a record */
	PLAN_UNDO_COUNT_MAX = 128 * 1024, /* blocks of history: 128 MiB a replica */
};

/* How many of each node there are, and the largest bodies that the workload needs. */
struct plan_input {
	const struct options *options; /* resolved */
	const struct protocol *protocol;
	uint8_t protocol_index;
	uint16_t client_nodes_count;
	uint32_t op_size_max;	  /* bytes */
	uint32_t result_size_max; /* bytes */
	/* Of processes that are apart; zeroes: all of the cluster is in this one. */
	uint32_t cluster;	  /* its number; 0: PLAN_CLUSTER */
	uint32_t slots_total;	  /* of all client nodes; 0: the options' clients */
	uint32_t slots_stride;	  /* from one client node's first slot to the next one's; 0: even */
	uint64_t timestamp_first; /* as in protocol_config */
};

struct plan {
	struct protocol_config protocol;  /* `self`, `slot_first`, `slots_count` of replica 0 */
	struct executor_options executor; /* without digester and scope's protocol pointers */
	uint32_t envelope_size;		  /* bytes of a message in one frame */
	uint32_t message_size_max;	  /* bytes; 0: every message fits an envelope */
	uint32_t large_count;		  /* outgoing large buffers a shard */
	uint32_t assemblies_count;	  /* incoming ones */
	uint32_t ring_size;		  /* frames between two nodes; a power of two */
	uint32_t burst_max;		  /* datagrams that a replica handles at once */
	uint32_t client_burst_max;	  /* and a client node */
	uint32_t slots_per_node;	  /* client slots; the last node may have fewer */
	uint32_t slots_total;		  /* of all client nodes */
	uint16_t pillars_count;		  /* of each replica; 0: it is on one lcore */
};

/* Bytes of the largest result or operation, for the parcels between lcores. */
static inline uint32_t
plan_body_size_max(const struct plan *plan)
{
	const struct protocol_config *p = &plan->protocol;
	return p->result_size_max > p->request_size_max ? p->result_size_max : p->request_size_max;
}

void plan_make(struct plan *plan, const struct plan_input *input);

/* What a plan says of the network, as far as it follows from the options alone. */
uint32_t plan_ring_size(const struct options *options);
uint32_t plan_envelope_size(const struct options *options);

/* The first slot of client node `index`, and how many it has. */
static inline uint32_t
plan_slot_first(const struct plan *plan, uint16_t index)
{
	return plan->slots_per_node * index;
}
uint32_t plan_slots_count(const struct plan *plan, const struct options *options, uint16_t index);

/* What a workload of client node `index` is told. */
struct workload_config plan_workload(
    const struct options *options, uint16_t index, uint16_t client_nodes_count);

/* The shard's configuration for a replica or (own_mask 0) a client; io and crypto are not set. */
struct shard_config plan_shard(
    const struct plan *plan, const struct protocol *protocol, uint64_t own_mask);

#endif
