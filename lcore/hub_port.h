/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of oskr-switch: an ethdev port with one queue each way, and the frames that wait
 * for it, in order, up to a bound. Owned by the switch's lcore; others may read single
 * counters.
 */
#ifndef OSKR_LCORE_HUB_PORT_H
#define OSKR_LCORE_HUB_PORT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/error.h"

enum {
	HUB_BURST = 64,
	HUB_DESCRIPTORS = 1024,	    /* wanted of a queue of a device */
	HUB_LINK_LOOK_NS = 5000000, /* between two looks at whether a peer is there */
};

struct hub_port_stats {
	uint64_t rx_frames;
	uint64_t tx_frames;
	uint64_t drop_down; /* nobody at the other end */
	uint64_t drop_full; /* as many wait for it as may */
	uint64_t ups;	    /* how often a peer came */
};

struct hub_port {
	uint16_t id; /* ethdev's */
	bool started;
	bool up; /* somebody is at the other end */
	uint64_t next_look_ns;
	struct rte_mbuf **waiting; /* a ring of waiting_max, a power of two */
	uint32_t waiting_max;
	uint32_t first;
	uint32_t waiting_count;
	struct hub_port_stats stats;
};

/*
 * Configures and starts ethdev port `id`; frames come from `pool`. Up to waiting_max frames, a
 * power of two, wait for it. Returns 0, or a negative errno with one line in `error`.
 */
int hub_port_open(struct hub_port *p, uint16_t id, struct rte_mempool *pool, uint32_t waiting_max,
    uint32_t mtu, struct config_error *error);

/* Frees what waits, stops the device. Also after a failed open. */
void hub_port_close(struct hub_port *p);

/* Looks whether a peer is there, when it is time to; lets go of what waits for one that left. */
void hub_port_look(struct hub_port *p, uint64_t now_ns);

/* Up to HUB_BURST frames, the caller's then. */
uint32_t hub_port_receive(struct hub_port *p, struct rte_mbuf **frames);

/* Puts a frame behind those that wait; it is freed and counted when that cannot be. */
void hub_port_push(struct hub_port *p, struct rte_mbuf *frame);

/* Sends what the device takes of those that wait. Returns how many. */
uint32_t hub_port_send(struct hub_port *p);

#endif
