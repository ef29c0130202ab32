/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process switch: real Ethernet frames between the nodes of one process,
 * forwarded by destination MAC (unicast, or the group's address), spread over
 * the receiver's queues by RSS in software. There is no lcore of the switch's
 * own: the sender's lcore forwards. Each pair of a sending lcore and a receiving
 * queue has a ring of its own, so no two lcores ever write to the same end.
 *
 * A full ring loses frames, as a switch does: counted and freed.
 */
#ifndef OSKR_LCORE_FABRIC_H
#define OSKR_LCORE_FABRIC_H

#include <rte_ether.h>
#include <stdbool.h>
#include <stdint.h>

#include "lcore/port.h"

enum { FABRIC_QUEUES_MAX = 16 }; /* of a port */

struct fabric_port {
	struct rte_ether_addr mac;
	bool in_group;				  /* takes the group address's frames */
	uint16_t queues_count;			  /* 1 .. FABRIC_QUEUES_MAX */
	uint16_t queue_lcores[FABRIC_QUEUES_MAX]; /* each queue's owner: 0 .. lcores_count - 1 */
};

struct fabric_config {
	uint32_t lcores_count;
	uint32_t ports_count;
	const struct fabric_port *ports; /* copied */
	struct rte_ether_addr group;	 /* multicast address; all zero: none */
	uint32_t ring_size;		 /* frames; a power of two */
	double drop;			 /* each frame is lost with this probability */
	uint64_t seed;
	/* Frames are spread as senders that steer reckon (steer.h): by its key and table. A
	   queue's frames to one address from one port are all of one flow then. */
	bool steered;
};

/* Of one queue; its owner writes, others read single words for display. */
struct fabric_counters {
	uint64_t rx_frames;
	uint64_t tx_frames;  /* handed over */
	uint64_t tx_dropped; /* lost on purpose: `drop` */
	uint64_t tx_full;    /* the receiver's ring was full */
	uint64_t tx_unknown; /* nobody has that address */
};

struct fabric;

/* NULL with rte_errno when memory is short. */
struct fabric *fabric_open(const struct fabric_config *config);
/* Frees what is still in the rings, too. */
void fabric_close(struct fabric *f);

/* A queue of a port, for its owner. */
struct port_queue fabric_queue(struct fabric *f, uint32_t port, uint32_t queue);
const struct fabric_counters *fabric_queue_counters(
    const struct fabric *f, uint32_t port, uint32_t queue);

/* Bytes of ring memory, for the memory plan. */
uint64_t fabric_memory(const struct fabric_config *config);

#endif
