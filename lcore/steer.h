/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which queue of its receiver a frame lands in, and how it comes to the part of
 * the node that it is for. A node on one lcore has one part; a replica with
 * pillars one for its executor and one for each pillar (engine/pillar.h), each on
 * an lcore of its own.
 *
 * Receivers that spread by RSS all use one key and one rule for the table, so
 * that a sender can reckon where a UDP source port leads and pick one that leads
 * to the queue of the part. Where a device spreads otherwise (af_packet by a
 * secret of the kernel's), the port that was reckoned may lead elsewhere. The
 * lcore there hands such frames to the part's by a ring, and now and then tells
 * the sender that this port leads astray (MESSAGE_ASTRAY: header.seq is the port,
 * header.sender the replica, header.instance the stray message's own, header.view
 * 1 where it was a frame to the group): the sender takes another one, until no
 * more is heard. Anybody may send that; all that it can do is have a sender
 * change ports, at a bounded rate. Steering is an optimisation, never
 * correctness.
 *
 * Ends are lcores: end i has queue i, if the device has so many, and part i, if
 * the node does. Either there is a queue for each part, or one part and more
 * queues, or one queue: then the first end receives and sends for all of them.
 * An end belongs to its lcore.
 */
#ifndef OSKR_LCORE_STEER_H
#define OSKR_LCORE_STEER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/limits.h"
#include "lcore/frame.h"
#include "lcore/port.h"

enum {
	STEER_KEY_SIZE = 40,  /* bytes, as NICs take for IPv4 and IPv6 */
	STEER_TABLE_MIN = 64, /* entries of a device's redirection table */
	STEER_TABLE_MAX = 512,
	STEER_BURST = 32,	  /* frames handed over at once */
	STEER_RING_SIZE = 1024,	  /* frames on their way between ends, at most, for each of them */
	STEER_PORT_FIRST = 49152, /* dynamic ports, RFC 6335, 6 */
	STEER_PORT_LAST = 65535,
	STEER_ASTRAY_NS = 200000, /* between two MESSAGE_ASTRAY of a queue without a part */
	STEER_ASTRAY_FRAMES = 64, /* strays of a queue with a part, of which one's sender is told */
	STEER_CHANGE_NS = 1000000, /* between two changes of one port */
};

/* The key of all receivers; DPDK reads words of it. */
extern const alignas(uint32_t) uint8_t steer_key40[STEER_KEY_SIZE];

/*
 * The queue in entry `index` of a table. Its size, a power of two, makes no difference,
 * since senders do not know it.
 */
static inline uint16_t
steer_table_queue(uint32_t index, uint32_t queues_count)
{
	return (uint16_t)(index % STEER_TABLE_MIN % queues_count);
}

/* The flow of a frame; all in host order. */
struct steer_flow {
	uint32_t from_ip;
	uint32_t to_ip;
	uint16_t from_port;
	uint16_t to_port;
};

/* Toeplitz hash, as a NIC computes it over addresses and ports of UDP. */
uint32_t steer_hash(const struct steer_flow *flow);

/*
 * A source port from which the flow leads to `queue` of queues_count; flow->from_port
 * itself where it does.
 */
uint16_t steer_port(const struct steer_flow *flow, uint16_t queue, uint16_t queues_count);

/* The source port to try after one that led astray. All dynamic ports have their turn. */
static inline uint16_t
steer_port_next(uint16_t port)
{
	const uint32_t count = STEER_PORT_LAST + 1 - STEER_PORT_FIRST;
	/* Odd, so that it meets all; far apart, so that ports of one sender differ. */
	return (uint16_t)(STEER_PORT_FIRST + (port + 4099u) % count);
}

/* Written by the end's own lcore. */
struct steer_counters {
	uint64_t right;	      /* landed at their part's queue */
	uint64_t handed;      /* landed elsewhere, and given to the part's lcore */
	uint64_t handed_lost; /* the ring was full */
	uint64_t sent_lost;   /* of a part without a queue: its ring to the first end was full */
	uint64_t astray;      /* senders told so */
};

struct steer;

struct steer_config {
	uint32_t queues_count;
	const struct port_queue *queues;
	uint16_t pillars_count; /* 0: one part, the first queue's */
	uint16_t instances_count;
	/* Of MESSAGE_ASTRAY; unused with one queue. */
	struct rte_mempool *pool;
	struct frame_address self;
	uint32_t cluster;
	uint16_t replica;
};

/* How many lcores work at it. */
static inline uint32_t
steer_ends(uint32_t queues_count, uint32_t pillars_count)
{
	return queues_count > pillars_count ? queues_count : pillars_count + 1;
}

/* NULL with rte_errno when memory is short. */
struct steer *steer_open(const struct steer_config *config);
/* Frees what is still in the rings. NULL is allowed. */
void steer_close(struct steer *s);

/* A part's queue: what landed right, and what other ends hand over. For its lcore alone. */
struct port_queue steer_queue(struct steer *s, uint32_t part);

/* An end without a part, for a loop on its lcore: `self` of steer_task(). */
void *steer_end(struct steer *s, uint32_t queue);
uint32_t steer_task(void *self, uint64_t now_ns);

const struct steer_counters *steer_counters(const struct steer *s, uint32_t end);

#endif
