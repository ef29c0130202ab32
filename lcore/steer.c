/* SPDX-License-Identifier: Apache-2.0 */
/* See steer.h. */
#include "lcore/steer.h"

#include <rte_malloc.h>
#include <rte_thash.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "engine/enrol.h"
#include "lcore/buffer.h"
#include "lcore/pipe.h"

/*
 * The SHA-256 of "oskr steering key, version 1", and the start of that digest's own: the
 * key that most devices have from the start would hide a table or key that was not set.
 */
const alignas(uint32_t) uint8_t steer_key40[STEER_KEY_SIZE] = {
    0xc2,
    0xe2,
    0x0d,
    0xda,
    0x85,
    0xe2,
    0xde,
    0xab,
    0x1f,
    0xb7,
    0xd4,
    0xca,
    0x49,
    0x0f,
    0xf7,
    0xd3,
    0x33,
    0xcb,
    0xa8,
    0xf2,
    0x1c,
    0x89,
    0xbc,
    0x84,
    0x1a,
    0x6e,
    0xf2,
    0x83,
    0x72,
    0x0d,
    0xbb,
    0xf4,
    0x72,
    0x4a,
    0xd4,
    0x93,
    0x8e,
    0x09,
    0x67,
    0xf3,
};

struct steer_end_of {
	struct steer *steer;
	struct port_queue queue;
	struct pipe pipe;   /* to the owner; unused by the owner's own queue */
	uint64_t astray_ns; /* when a sender was told last */
	struct steer_counters counters;
} __rte_cache_aligned;

struct steer {
	uint32_t queues_count;
	struct steer_config config;
	struct steer_end_of ends[LIMIT_QUEUES];
};

uint32_t
steer_hash(const struct steer_flow *flow)
{
	union rte_thash_tuple tuple = {
	    .v4 =
		{
		    .src_addr = flow->from_ip,
		    .dst_addr = flow->to_ip,
		    .sport = flow->from_port,
		    .dport = flow->to_port,
		},
	};
	return rte_softrss((uint32_t *)(void *)&tuple, RTE_THASH_V4_L4_LEN, steer_key40);
}

uint16_t
steer_port(const struct steer_flow *flow, uint16_t queue, uint16_t queues_count)
{
	struct steer_flow tried = *flow;
	check(queue < queues_count && queues_count <= LIMIT_QUEUES);
	uint32_t port = flow->from_port;
	for (uint32_t tries = 0; tries <= STEER_PORT_LAST - STEER_PORT_FIRST; tries++) {
		tried.from_port = (uint16_t)port;
		if (steer_table_queue(steer_hash(&tried), queues_count) == queue)
			return tried.from_port;
		port = STEER_PORT_FIRST + tries;
	}
	/* The hash is linear in the port, and takes all values of 6 bits over so many. */
	return flow->from_port;
}

struct steer *
steer_open(const struct steer_config *config)
{
	check(config->queues_count >= 1 && config->queues_count <= LIMIT_QUEUES);
	struct steer *s = rte_zmalloc("steer", sizeof(*s), RTE_CACHE_LINE_SIZE);
	if (s == NULL)
		return NULL;
	s->queues_count = config->queues_count;
	s->config = *config;
	for (uint32_t i = 0; i < s->queues_count; i++) {
		char name[RTE_RING_NAMESIZE];
		struct steer_end_of *end = &s->ends[i];
		snprintf(name, sizeof(name), "oskr_steer_%u", i);
		end->steer = s;
		end->queue = config->queues[i];
		if (i > 0 && !pipe_open(&end->pipe, name, STEER_RING_SIZE)) {
			steer_close(s);
			return NULL;
		}
	}
	return s;
}

void
steer_close(struct steer *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 1; i < s->queues_count; i++) {
		void *frames[STEER_BURST];
		uint32_t count;
		if (s->ends[i].pipe.ring == NULL)
			continue;
		while ((count = pipe_pull(&s->ends[i].pipe, frames, STEER_BURST)) > 0)
			rte_pktmbuf_free_bulk((struct rte_mbuf **)frames, count);
		pipe_close(&s->ends[i].pipe);
	}
	rte_free(s);
}

/* ---- The owner's lcore ---------------------------------------------------------- */

static uint32_t
owner_rx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct steer *s = self;
	struct steer_end_of *own = &s->ends[0];
	/* A share for each ring, so that the own queue's flood keeps nobody out. */
	uint32_t share = count / s->queues_count;
	uint32_t got = 0;
	for (uint32_t i = 1; i < s->queues_count; i++)
		got += pipe_pull(&s->ends[i].pipe, (void **)(frames + got), share);
	uint32_t landed = own->queue.rx_burst(own->queue.self, frames + got, count - got);
	own->counters.right += landed;
	return got + landed;
}

static void
owner_tx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct steer_end_of *own = &((struct steer *)self)->ends[0];
	own->queue.tx_burst(own->queue.self, frames, count);
}

struct port_queue
steer_queue(struct steer *s)
{
	return (struct port_queue){s, owner_rx, owner_tx};
}

/* ---- The other queues' lcores ---------------------------------------------------- */

void *
steer_end(struct steer *s, uint32_t queue)
{
	check(queue > 0 && queue < s->queues_count);
	return &s->ends[queue];
}

/* Where the frame came from, as far as it is a message to us: else false. */
static bool
origin(const struct steer *s, struct rte_mbuf *m, struct frame_address *from, bool *group)
{
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	uint8_t *data;
	uint32_t size;
	if (frame_parse(m, s->config.self.port, &data, &size) != FRAME_OK ||
	    size < sizeof(struct message_header))
		return false;
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	memcpy(&ether, at, sizeof(ether));
	memcpy(&ip, at + sizeof(ether), sizeof(ip));
	memcpy(&udp, at + sizeof(ether) + sizeof(ip), sizeof(udp));
	from->mac = ether.src_addr;
	from->ip = rte_be_to_cpu_32(ip.src_addr);
	from->port = rte_be_to_cpu_16(udp.src_port);
	*group = (ether.dst_addr.addr_bytes[0] & 1) != 0;
	return (ether.src_addr.addr_bytes[0] & 1) == 0;
}

/*
 * Tells the sender that its port leads here, and not to the owner. To the UDP port that
 * nodes listen at: what it sends from is any.
 */
static void
astray_tell(struct steer_end_of *end, struct rte_mbuf *stray)
{
	const struct steer *s = end->steer;
	struct frame_template template;
	struct frame_address to;
	struct rte_mbuf *m;
	bool group;
	if (!origin(s, stray, &to, &group) || buffer_alloc(s->config.pool, &m, 1) != 1)
		return;
	struct message_header header = {
	    .size = sizeof(header),
	    .cluster = s->config.cluster,
	    .instance = group,
	    .sender = s->config.replica,
	    .protocol = ENROL_PROTOCOL,
	    .type = MESSAGE_ASTRAY,
	    .version = MESSAGE_VERSION,
	    .seq = to.port,
	};
	to.port = s->config.self.port;
	frame_template_init(&template, &s->config.self, &to);
	memcpy(frame_message(m), &header, sizeof(header));
	frame_write(m, &template, sizeof(header));
	end->counters.astray++;
	end->queue.tx_burst(end->queue.self, &m, 1);
}

uint32_t
steer_task(void *self, uint64_t now_ns)
{
	struct steer_end_of *end = self;
	struct rte_mbuf *frames[STEER_BURST];
	uint32_t got = end->queue.rx_burst(end->queue.self, frames, STEER_BURST);
	if (got == 0)
		return 0;
	if (now_ns - end->astray_ns >= STEER_ASTRAY_NS) {
		end->astray_ns = now_ns;
		astray_tell(end, frames[(now_ns / STEER_ASTRAY_NS) % got]);
	}
	uint32_t given = pipe_push(&end->pipe, (void **)frames, got);
	end->counters.handed += given;
	if (given < got) {
		end->counters.handed_lost += got - given;
		rte_pktmbuf_free_bulk(frames + given, got - given);
	}
	return got;
}

const struct steer_counters *
steer_counters(const struct steer *s, uint32_t queue)
{
	check(queue < s->queues_count);
	return &s->ends[queue].counters;
}
