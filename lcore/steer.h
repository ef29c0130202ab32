/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which queue of its receiver a frame lands in. Receivers that spread by RSS
 * all use one key and one rule for the table, so that a sender can reckon where
 * a UDP source port leads and pick one that leads to the owner.
 *
 * Where a device spreads otherwise (af_packet by a secret of the kernel's), the
 * port that was reckoned may lead elsewhere. The lcore there hands such frames
 * to the owner by a ring (steer_task), and now and then tells the sender that
 * this port leads astray (MESSAGE_ASTRAY: header.seq is the port, header.sender
 * the replica, header.instance 1 where it was a frame to the group): the sender
 * takes another one, until no more is heard. Anybody may send that; all that it
 * can do is have a sender change ports, at a bounded rate. Steering is an
 * optimisation, never correctness.
 *
 * A steer_queue belongs to the owner's lcore, each of its ends to the lcore of
 * that queue.
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
	STEER_RING_SIZE = 1024,	  /* frames on their way to the owner, from each other queue */
	STEER_PORT_FIRST = 49152, /* dynamic ports, RFC 6335, 6 */
	STEER_PORT_LAST = 65535,
	STEER_ASTRAY_NS = 200000,  /* between two MESSAGE_ASTRAY of a queue */
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

/* Written by the queue's own lcore. */
struct steer_counters {
	uint64_t right;	      /* landed at the owner's queue */
	uint64_t handed;      /* landed elsewhere, and given to the owner */
	uint64_t handed_lost; /* the ring was full */
	uint64_t astray;      /* senders told so */
};

struct steer;

struct steer_config {
	uint32_t queues_count;
	const struct port_queue *queues; /* the first is the owner's */
	/* Of MESSAGE_ASTRAY; unused with one queue. */
	struct rte_mempool *pool;
	struct frame_address self;
	uint32_t cluster;
	uint16_t replica;
};

/* NULL with rte_errno when memory is short. */
struct steer *steer_open(const struct steer_config *config);
/* Frees what is still in the rings. NULL is allowed. */
void steer_close(struct steer *s);

/* The owner's queue: what landed right, and what others hand over. */
struct port_queue steer_queue(struct steer *s);

/* The other queues' end, for a loop on an lcore of their own: `self` of steer_task(). */
void *steer_end(struct steer *s, uint32_t queue);
uint32_t steer_task(void *self, uint64_t now_ns);

const struct steer_counters *steer_counters(const struct steer *s, uint32_t queue);

#endif
