/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a host owes its neighbours: answers to ARP requests for its address
 * (RFC 826), to ICMP echo (RFC 792), and to a datagram that begins with
 * "oskr?", which is told who is here. So a replica can be pinged, ordinary
 * hosts find it, and a plain UDP socket can see that it is up.
 *
 * Sees only what the endpoint has no use for, so messages pay nothing for it.
 * Answers a bounded number a second, never with more bytes than were asked
 * with, and keeps nothing. One lcore owns it, the endpoint's.
 */
#ifndef OSKR_LCORE_NEIGHBOUR_H
#define OSKR_LCORE_NEIGHBOUR_H

#include "lcore/frame.h"
#include "lcore/port.h"

enum {
	NEIGHBOUR_ANSWERS_PER_S = 2000, /* ping -f of two hosts; 2 % of an lcore at most */
	NEIGHBOUR_BURST = 64,		/* answers at once after a quiet time */
	NEIGHBOUR_TEXT_SIZE = 64,
};

struct neighbour_config {
	struct port_queue queue;
	struct rte_mempool *pool; /* of the answers; data room of at least FRAME_MESSAGE_OFFSET
				     and data_max bytes */
	uint32_t data_max;	  /* bytes of a frame behind Ethernet's and IPv4's headers */
	struct frame_address self;
	const char *text; /* the answer to "oskr?", copied */
};

/* Its lcore writes, others read single words. */
struct neighbour_counters {
	uint64_t arp;
	uint64_t echo;
	uint64_t asked;	  /* "oskr?" */
	uint64_t limited; /* deserved an answer, and got none: too many, or no buffer */
};

struct neighbour {
	struct neighbour_config config;
	char text[NEIGHBOUR_TEXT_SIZE];
	uint64_t now_ns;
	uint64_t credit_ns; /* time that has not been used for answers */
	struct neighbour_counters counters;
};

void neighbour_init(struct neighbour *n, const struct neighbour_config *config);

/* The time of the burst, before its frames. */
void neighbour_time(struct neighbour *n, uint64_t now_ns);

/* Looks at a frame that is no message, and answers where one is due; the frame stays whose it was.
 */
void neighbour_see(struct neighbour *n, const struct rte_mbuf *m);

#endif
