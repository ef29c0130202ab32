/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DPDK port as queues of a node: a NIC, net_memif, net_af_packet, net_af_xdp,
 * net_tap. It is set up by what its driver says it can do; what it cannot is
 * done here, and told in one line at start:
 *
 *     spreading over queues   RSS over IPv4 and UDP, by our key and table; else
 *                             whatever the device does, and hand-over (steer.h)
 *     header checksums        checked by the device, else here; written by
 *                             frame.h in no time, so none is asked for
 *     frames in one piece     what comes in several buffers is joined
 *     addresses               frames for others are dropped here, where the
 *                             device lets them through
 *
 * Opened and closed on the main lcore; a queue belongs to one lcore. The
 * device's own counters and the link are looked at by the main lcore.
 */
#ifndef OSKR_LCORE_DEVICE_H
#define OSKR_LCORE_DEVICE_H

#include <rte_ether.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/limits.h"
#include "lcore/port.h"

enum {
	DEVICE_ERROR_SIZE = 256,
	DEVICE_TEXT_SIZE = 512,
	DEVICE_LOOK_NS = 100000000,	/* between two looks at counters and link */
	DEVICE_CONNECT_NS = 2000000000, /* a connection that is down so long is made anew */
	DEVICE_TX_TRIES = 16,		/* of what the device has no room for, before it is lost */
};

struct device_config {
	const char *port; /* number or name; NULL: the only one */
	uint32_t queues_count;
	bool or_one;	     /* one queue will do, where the device has fewer */
	uint32_t ends_count; /* lcores that frames go through; 0: as many as queues */
	uint32_t mtu;
	/* The address that the cluster file gives; NULL: the device's own is taken. */
	const struct rte_ether_addr *mac;
	bool group; /* frames to group addresses are wanted */
	/* What comes to this UDP port is the first queue's; 0: each queue's lcore has its own. */
	uint16_t first_queue_udp;
};

/* Of one queue; its lcore writes, others read single words. */
struct device_counters {
	uint64_t rx_frames;
	uint64_t rx_other;    /* for somebody else */
	uint64_t rx_checksum; /* of the IPv4 header: wrong */
	uint64_t rx_joined;   /* came in several buffers */
	uint64_t rx_pieces;   /* did, and were too large to join: dropped */
	uint64_t tx_frames;
	uint64_t tx_full; /* the device had no room */
};

/* The device's own, and the link: written by the main lcore. */
struct device_status {
	uint64_t missed;    /* no descriptor was free: rx_missed of the driver */
	uint64_t no_buffer; /* no mbuf was */
	uint64_t rx_errors;
	uint64_t tx_errors;
	uint64_t link_changes;
	uint64_t connects; /* tries to connect again */
	bool link_up;
};

struct device;

/*
 * NULL with one line in `error` (DEVICE_ERROR_SIZE bytes): no such port, not this address,
 * too few queues, an MTU that it does not carry, no memory.
 */
struct device *device_open(const struct device_config *config, char *error);
/* Stops the port and frees all buffers that it holds. NULL is allowed. */
void device_close(struct device *d);

/* MiB of EAL's memory that device_open() takes, before there is a device. */
uint32_t device_memory_mib(uint32_t queues_count, uint32_t ends_count, uint32_t mtu);

/* As many as were asked for, or one (device_config.or_one). */
uint32_t device_queues_count(const struct device *d);

struct port_queue device_queue(struct device *d, uint32_t queue);

/* "net_memif, 1 queue, ...; in software: ...". */
const char *device_text(const struct device *d);
struct rte_ether_addr device_mac(const struct device *d);
const char *device_name(const struct device *d);

/* Spreads by RSS as steer.h computes it? */
bool device_spreads(const struct device *d);

/* For the loop of the main lcore; `self` is a struct device. Returns 0: it is never busy. */
uint32_t device_look(void *self, uint64_t now_ns);

const struct device_counters *device_queue_counters(const struct device *d, uint32_t queue);
const struct device_status *device_status(const struct device *d);

/* Buffers that have not come back, after device_close() of all but the pool: leaks. */
uint32_t device_buffers_missing(const struct device *d);

#endif
