/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's end of the network on one lcore: turns frames into datagrams and
 * envelopes into frames. Implements the shard's io over a port's queue. An
 * envelope is an mbuf whose message is written where it is sent from; what goes
 * to several receivers is copied for all but the last. A message to oneself
 * does not touch the network and comes back in the next burst. One lcore owns it.
 */
#ifndef OSKR_LCORE_ENDPOINT_H
#define OSKR_LCORE_ENDPOINT_H

#include "engine/shard.h"
#include "lcore/frame.h"
#include "lcore/neighbour.h"
#include "lcore/notes.h"
#include "lcore/port.h"

struct endpoint_config {
	struct port_queue queue;
	struct rte_mempool *pool; /* shared by all of the process's endpoints */
	uint32_t envelope_size;	  /* bytes of a message: MTU less IP and UDP headers */
	uint16_t replicas_count;
	uint16_t clients_count; /* client nodes */
	uint16_t self;		/* node: replica index, or replicas_count + client node */
	uint32_t slots_count;
	const uint16_t *slot_clients;	       /* slot -> client node; outlives the endpoint */
	const struct frame_address *addresses; /* of all nodes; copied */
	uint64_t clients_unknown;	       /* mask of client nodes that have no address yet */
	const struct frame_address *group; /* of all replicas together; NULL: each has its own */
	uint16_t queues_count;		   /* of each replica: steer.h; 0 or 1: no steering */
	/*
	 * Replicas of several lcores: the queue of each part (pillar_part()). 0: of one. Where
	 * a replica may have others, endpoint_parts_set() says so, up to `parts_max`, which is
	 * 0 where none has.
	 */
	uint16_t pillars_count;
	uint16_t parts_max;
	uint16_t instances_count;
	struct neighbour *neighbour; /* sees what is no message; NULL: nobody does */
	struct notes *notes;	     /* where notes go; NULL: nowhere */
};

struct endpoint_counters {
	uint64_t rx_frames;
	uint64_t tx_frames;
	uint64_t looped;
	uint64_t moved;	     /* datagrams that had to be moved to an aligned place */
	uint64_t rx_no_copy; /* shared, to be moved, and no buffer for a copy: dropped */
	uint64_t tx_no_slot; /* to a client slot that nobody has */
	uint64_t tx_unknown; /* to a client node that has not said where it is */
	uint64_t tx_group;   /* frames to all replicas at once */
	uint64_t steered;    /* source ports changed */
	uint64_t tx_no_copy; /* no buffer for a further receiver's copy */
	uint64_t loop_full;  /* messages to oneself beyond what fits */
	uint64_t pool_empty; /* bursts of envelopes that came short */
	uint64_t drops[FRAME_ERRORS_COUNT];
};

struct endpoint;

/* NULL when memory is short. */
struct endpoint *endpoint_open(const struct endpoint_config *config);
/* Gives every mbuf back; envelopes that a shard still has come back by endpoint_reclaim(). */
void endpoint_close(struct endpoint *e);

/* The shard's way out. */
struct shard_io endpoint_io(struct endpoint *e);

/* Up to count_max (at most SHARD_BURST_MAX) datagrams, valid until endpoint_release(). */
uint32_t endpoint_receive(struct endpoint *e, struct datagram *list, uint32_t count_max);
void endpoint_release(struct endpoint *e);

/* Where a client node is from now on. */
void endpoint_client_set(struct endpoint *e, uint16_t client, const struct frame_address *address);

/*
 * How many queues and pillars a replica has: it said so itself, and may say anything. What
 * does not fit together is taken as one queue.
 */
void endpoint_parts_set(
    struct endpoint *e, uint16_t replica, uint16_t queues_count, uint16_t pillars_count);

/*
 * `replica` says that frames from `port` land in a queue that is not its owner's (steer.h):
 * takes another source port for it, or for the group. Input: anybody may say so.
 */
void endpoint_astray(struct endpoint *e, const struct message_header *said, uint64_t now_ns);

/* Drops the messages to oneself that wait: of a replica that is no more. */
void endpoint_forget(struct endpoint *e);

/* Takes the envelopes that a shard has not used, before both are closed. */
void endpoint_reclaim(struct endpoint *e, struct outbox *out);

const struct endpoint_counters *endpoint_counters(const struct endpoint *e);
const char *frame_error_name(uint32_t error);

#endif
