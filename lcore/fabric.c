/* SPDX-License-Identifier: Apache-2.0 */
/* See fabric.h. Everything in a queue is its owner's; the MAC table is constant. */
#include "lcore/fabric.h"

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_thash.h>
#include <stdalign.h>
#include <string.h>

#include "engine/check.h"
#include "engine/random.h"
#include "lcore/buffer.h"
#include "lcore/frame.h"
#include "lcore/pipe.h"
#include "lcore/steer.h"

enum {
	STAGE_COUNT = 32, /* frames for one queue gathered before they are enqueued */
	MACS_COUNT = 512, /* places of the MAC table: a power of two, four times the nodes */
	PORTS_MAX = MACS_COUNT / 4,
	FLOWS_COUNT = 256, /* that a queue remembers the way of; a power of two */
};

/* Microsoft's key, which NICs' drivers default to; senders know it. DPDK reads words of it. */
static const alignas(uint32_t) uint8_t rss_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e,
    0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30,
    0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
    0xfa};

struct stage {
	uint32_t count;
	struct rte_mbuf *frames[STAGE_COUNT];
};

/* A flow that this queue has sent, and the queue where it goes. */
struct flow_place {
	uint64_t key; /* MAC and source port; 0: free */
	uint32_t to;
};

struct queue {
	struct fabric *fabric;
	uint32_t port;
	uint32_t lcore;
	uint32_t rx_turn;     /* the sending lcore whose ring is looked at first */
	struct random random; /* for drops of what this queue sends */
	struct fabric_counters counters;
	struct pipe *pipes;   /* one from each sending lcore */
	struct pipe *ways;    /* to each queue of the fabric: its pipe from this queue's lcore.
				 Copies, since what the receiver writes stands beside its own */
	struct stage *stages; /* one for each queue of the fabric, for sending */
	uint32_t *touched;    /* queues with something staged */
	uint32_t touched_count;
	struct flow_place *flows; /* NULL unless frames are steered */
	uint64_t last_mac;	  /* of the frame before, whose port has the one queue last_to */
	uint32_t last_to;
} __rte_cache_aligned;

struct mac_place {
	uint64_t mac; /* 0: free */
	uint32_t port;
};

struct fabric {
	uint32_t lcores_count;
	uint32_t ports_count;
	uint32_t queues_count;
	uint64_t group;
	uint64_t drop_below; /* of a 64-bit random number */
	bool steered;
	alignas(uint32_t) uint8_t rss_key_be[sizeof(rss_key)];
	struct fabric_port *ports;
	uint32_t *queues_first; /* of each port, in queues */
	struct queue *queues;
	struct mac_place macs[MACS_COUNT];
};

static inline uint64_t
mac_number(const uint8_t *mac)
{
	uint32_t low;
	uint16_t high;
	memcpy(&low, mac, sizeof(low));
	memcpy(&high, mac + sizeof(low), sizeof(high));
	return low | (uint64_t)high << 32;
}

static uint32_t
mac_hash(uint64_t mac)
{
	return (uint32_t)((mac * 0x9e3779b97f4a7c15ull) >> 55) & (MACS_COUNT - 1);
}

static void
mac_learn(struct fabric *f, uint64_t mac, uint32_t port)
{
	uint32_t place = mac_hash(mac);
	while (f->macs[place].mac != 0) {
		check(f->macs[place].mac != mac);
		place = (place + 1) & (MACS_COUNT - 1);
	}
	f->macs[place] = (struct mac_place){mac, port};
}

/* The port that has the address, or ports_count. */
static inline uint32_t
mac_find(const struct fabric *f, uint64_t mac)
{
	uint32_t place = mac_hash(mac);
	while (f->macs[place].mac != 0) {
		if (f->macs[place].mac == mac)
			return f->macs[place].port;
		place = (place + 1) & (MACS_COUNT - 1);
	}
	return f->ports_count;
}

/* Receive-side scaling as a NIC does it: Toeplitz over addresses and ports. */
static uint32_t
rss_queue(const struct fabric *f, uint32_t port, const struct rte_mbuf *m)
{
	uint16_t queues_count = f->ports[port].queues_count;
	if (queues_count == 1 || m->data_len < FRAME_HEADERS_SIZE)
		return f->queues_first[port];
	const struct rte_ipv4_hdr *ip =
	    rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(const void *)(ip + 1);
	struct rte_ipv4_tuple tuple = {
	    .src_addr = rte_be_to_cpu_32(ip->src_addr),
	    .dst_addr = rte_be_to_cpu_32(ip->dst_addr),
	};
	tuple.sport = rte_be_to_cpu_16(udp->src_port);
	tuple.dport = rte_be_to_cpu_16(udp->dst_port);
	uint32_t hash =
	    rte_softrss_be((uint32_t *)(void *)&tuple, RTE_THASH_V4_L4_LEN, f->rss_key_be);
	uint32_t queue = f->steered ? steer_table_queue(hash, queues_count) : hash % queues_count;
	return f->queues_first[port] + queue;
}

/* The same, reckoned once a flow: a NIC does that in no time, a CPU takes some 100 ns. */
static uint32_t
steered_queue(struct queue *from, uint32_t port, uint64_t mac, const struct rte_mbuf *m)
{
	const struct fabric *f = from->fabric;
	if (from->flows == NULL || m->data_len < FRAME_HEADERS_SIZE)
		return rss_queue(f, port, m);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *,
	    sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr));
	uint64_t key = mac << 16 | udp->src_port;
	struct flow_place *place =
	    &from->flows[key * 0x9e3779b97f4a7c15ull >> 32 & (FLOWS_COUNT - 1)];
	if (place->key != key)
		*place = (struct flow_place){key, rss_queue(f, port, m)};
	return place->to;
}

static void
stage_flush(struct queue *from, uint32_t to)
{
	struct stage *stage = &from->stages[to];
	uint32_t sent = pipe_push(&from->ways[to], (void *const *)stage->frames, stage->count);
	from->counters.tx_frames += sent;
	if (sent < stage->count) {
		from->counters.tx_full += stage->count - sent;
		buffer_free(stage->frames + sent, stage->count - sent);
	}
	stage->count = 0;
}

static inline void
stage_add(struct queue *from, uint32_t to, struct rte_mbuf *m)
{
	struct stage *stage = &from->stages[to];
	if (stage->count == 0)
		from->touched[from->touched_count++] = to;
	else if (stage->count == STAGE_COUNT)
		stage_flush(from, to);
	stage->frames[stage->count++] = m;
}

static bool
frame_lost(struct queue *from, struct rte_mbuf *m)
{
	if (from->fabric->drop_below == 0 || random_next(&from->random) >= from->fabric->drop_below)
		return false;
	from->counters.tx_dropped++;
	buffer_free(&m, 1);
	return true;
}

/* One frame to all members of the group but its sender: shared, not copied. */
static void
forward_group(struct queue *from, struct rte_mbuf *m)
{
	const struct fabric *f = from->fabric;
	for (uint32_t port = 0; port < f->ports_count; port++) {
		if (!f->ports[port].in_group || port == from->port)
			continue;
		rte_mbuf_refcnt_update(m, 1);
		if (!frame_lost(from, m))
			stage_add(from, rss_queue(f, port, m), m);
	}
	buffer_free(&m, 1);
}

/* Not the address of the frame before: to be looked up, or a group's, or nobody's. */
static void
forward_slowly(struct queue *from, uint64_t mac, struct rte_mbuf *m)
{
	const struct fabric *f = from->fabric;
	uint32_t port = mac_find(f, mac);
	if (port < f->ports_count) {
		uint32_t to = steered_queue(from, port, mac, m);
		if (f->ports[port].queues_count == 1 && f->drop_below == 0) {
			from->last_mac = mac;
			from->last_to = to;
		}
		if (!frame_lost(from, m))
			stage_add(from, to, m);
	} else if (mac == f->group && mac != 0) {
		forward_group(from, m);
	} else {
		from->counters.tx_unknown++;
		buffer_free(&m, 1);
	}
}

static inline void
forward(struct queue *from, struct rte_mbuf *m)
{
	uint64_t mac = 0; /* nobody's: a frame without an Ethernet header has no address */
	if (m->data_len >= sizeof(struct rte_ether_hdr))
		mac = mac_number(rte_pktmbuf_mtod(m, const uint8_t *));
	if (mac == from->last_mac && mac != 0)
		stage_add(from, from->last_to, m);
	else
		forward_slowly(from, mac, m);
}

static void
tx_burst(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct queue *from = self;
	for (uint32_t i = 0; i < count; i++)
		forward(from, frames[i]);
	for (uint32_t i = 0; i < from->touched_count; i++)
		stage_flush(from, from->touched[i]);
	from->touched_count = 0;
}

static uint32_t
rx_burst(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct queue *q = self;
	uint32_t lcores_count = q->fabric->lcores_count;
	uint32_t got = 0;
	uint32_t lcore = q->rx_turn;
	for (uint32_t i = 0; i < lcores_count && got < count; i++) {
		got += pipe_pull(&q->pipes[lcore], (void **)(frames + got), count - got);
		lcore = lcore + 1 == lcores_count ? 0 : lcore + 1;
	}
	/* Who filled the burst does not come first in the next one. */
	q->rx_turn = q->rx_turn + 1 == lcores_count ? 0 : q->rx_turn + 1;
	q->counters.rx_frames += got;
	return got;
}

struct port_queue
fabric_queue(struct fabric *f, uint32_t port, uint32_t queue)
{
	check(port < f->ports_count && queue < f->ports[port].queues_count);
	return (struct port_queue){
	    .self = &f->queues[f->queues_first[port] + queue],
	    .rx_burst = rx_burst,
	    .tx_burst = tx_burst,
	    .in_process = true,
	};
}

const struct fabric_counters *
fabric_queue_counters(const struct fabric *f, uint32_t port, uint32_t queue)
{
	return &f->queues[f->queues_first[port] + queue].counters;
}

static uint32_t
queues_total(const struct fabric_config *config)
{
	uint32_t total = 0;
	for (uint32_t i = 0; i < config->ports_count; i++)
		total += config->ports[i].queues_count;
	return total;
}

uint64_t
fabric_memory(const struct fabric_config *config)
{
	uint64_t queues = queues_total(config);
	uint64_t ring = pipe_memory(config->ring_size) * config->lcores_count;
	uint64_t flows = config->steered ? FLOWS_COUNT * sizeof(struct flow_place) : 0;
	uint64_t way = sizeof(struct pipe) + sizeof(struct stage) + sizeof(uint32_t);
	return queues * (ring + flows + sizeof(struct queue) + queues * way);
}

static bool
queue_open(struct fabric *f, const struct fabric_config *config, uint32_t index)
{
	struct queue *q = &f->queues[index];
	q->pipes = rte_calloc("fabric", f->lcores_count, sizeof(*q->pipes), 0);
	q->ways = rte_calloc("fabric", f->queues_count, sizeof(*q->ways), 0);
	q->stages = rte_calloc("fabric", f->queues_count, sizeof(*q->stages), 0);
	q->touched = rte_calloc("fabric", f->queues_count, sizeof(*q->touched), 0);
	if (f->steered)
		q->flows = rte_calloc("fabric", FLOWS_COUNT, sizeof(*q->flows), 0);
	if (q->pipes == NULL || q->ways == NULL || q->stages == NULL || q->touched == NULL ||
	    (f->steered && q->flows == NULL))
		return false;
	random_init(&q->random, config->seed, index);
	for (uint32_t lcore = 0; lcore < f->lcores_count; lcore++) {
		char name[RTE_RING_NAMESIZE];
		snprintf(name, sizeof(name), "oskr_%u_%u", index, lcore);
		if (!pipe_open(&q->pipes[lcore], name, config->ring_size))
			return false;
	}
	return true;
}

static bool
ports_open(struct fabric *f, const struct fabric_config *config)
{
	uint32_t index = 0;
	for (uint32_t port = 0; port < f->ports_count; port++) {
		const struct fabric_port *p = &config->ports[port];
		check(p->queues_count >= 1 && p->queues_count <= FABRIC_QUEUES_MAX);
		f->ports[port] = *p;
		f->queues_first[port] = index;
		mac_learn(f, mac_number(p->mac.addr_bytes), port);
		for (uint32_t i = 0; i < p->queues_count; i++, index++) {
			check(p->queue_lcores[i] < f->lcores_count);
			f->queues[index].fabric = f;
			f->queues[index].port = port;
			f->queues[index].lcore = p->queue_lcores[i];
			if (!queue_open(f, config, index))
				return false;
		}
	}
	return true;
}

static void
ways_set(struct fabric *f)
{
	for (uint32_t i = 0; i < f->queues_count; i++) {
		for (uint32_t to = 0; to < f->queues_count; to++)
			f->queues[i].ways[to] = f->queues[to].pipes[f->queues[i].lcore];
	}
}

struct fabric *
fabric_open(const struct fabric_config *config)
{
	check(config->ports_count >= 1 && config->ports_count <= PORTS_MAX);
	check(config->drop >= 0 && config->drop < 1);
	struct fabric *f = rte_zmalloc("fabric", sizeof(*f), RTE_CACHE_LINE_SIZE);
	if (f == NULL)
		return NULL;
	f->lcores_count = config->lcores_count;
	f->ports_count = config->ports_count;
	f->queues_count = queues_total(config);
	f->group = mac_number(config->group.addr_bytes);
	f->drop_below = (uint64_t)(config->drop * 18446744073709551615.0);
	f->steered = config->steered;
	rte_convert_rss_key((const uint32_t *)(const void *)(f->steered ? steer_key40 : rss_key),
	    (uint32_t *)(void *)f->rss_key_be, sizeof(rss_key));
	f->ports = rte_calloc("fabric", f->ports_count, sizeof(*f->ports), 0);
	f->queues_first = rte_calloc("fabric", f->ports_count, sizeof(*f->queues_first), 0);
	f->queues = rte_calloc("fabric", f->queues_count, sizeof(*f->queues), RTE_CACHE_LINE_SIZE);
	if (f->ports == NULL || f->queues_first == NULL || f->queues == NULL ||
	    !ports_open(f, config)) {
		fabric_close(f);
		return NULL;
	}
	ways_set(f);
	return f;
}

static void
queue_close(struct fabric *f, struct queue *q)
{
	for (uint32_t lcore = 0; q->pipes != NULL && lcore < f->lcores_count; lcore++) {
		struct rte_mbuf *m;
		if (q->pipes[lcore].ring == NULL)
			continue;
		while (pipe_pull(&q->pipes[lcore], (void **)&m, 1) == 1)
			buffer_free(&m, 1);
		pipe_close(&q->pipes[lcore]);
	}
	rte_free(q->pipes);
	rte_free(q->ways);
	rte_free(q->stages);
	rte_free(q->touched);
	rte_free(q->flows);
}

void
fabric_close(struct fabric *f)
{
	if (f == NULL)
		return;
	for (uint32_t i = 0; f->queues != NULL && i < f->queues_count; i++)
		queue_close(f, &f->queues[i]);
	rte_free(f->queues);
	rte_free(f->queues_first);
	rte_free(f->ports);
	rte_free(f);
}
