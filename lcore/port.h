/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place where frames come from and go to: a port of the in-process switch, or
 * of a device. Bursts in, bursts out. A queue belongs to one lcore.
 */
#ifndef OSKR_LCORE_PORT_H
#define OSKR_LCORE_PORT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

struct port_queue {
	void *self;
	/* Up to `count` frames, which are the caller's then. */
	uint32_t (*rx_burst)(void *self, struct rte_mbuf **frames, uint32_t count);
	/* Takes all `count` frames; those that nobody had room for are counted and freed. */
	void (*tx_burst)(void *self, struct rte_mbuf **frames, uint32_t count);
	/* Frames arrive in the mbufs in which others of this process sent them: frame_noted(). */
	bool in_process;
};

#endif
