/* SPDX-License-Identifier: Apache-2.0 */
/* See steer.h. */
#include "lcore/steer.h"

#include <rte_malloc.h>
#include <rte_prefetch.h>
#include <rte_thash.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "engine/enrol.h"
#include "engine/pillar.h"
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

enum { SEND_BURSTS = 4 }; /* of a part without a queue, sent at one time by the first end */

struct steer_end_of {
	struct steer *steer;
	uint32_t index;
	struct port_queue queue;	 /* where there is one */
	struct pipe pipes[LIMIT_QUEUES]; /* to other parts' ends; unused without a queue */
	struct pipe sending;		 /* to the first end; of a part without a queue */
	struct rte_mbuf *sorted[LIMIT_QUEUES][STEER_BURST]; /* of one burst, for other parts */
	uint32_t sorted_count[LIMIT_QUEUES];
	uint64_t astray_ns; /* when a sender was told last */
	uint64_t strays;
	struct steer_counters counters;
} __rte_cache_aligned;

struct steer {
	uint32_t queues_count;
	uint32_t parts_count;
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

/* ---- Opening --------------------------------------------------------------------- */

static bool
has_queue(const struct steer *s, uint32_t end)
{
	return end < s->queues_count;
}

/*
 * A queue's share of what all rings together may hold: receive buffers are counted by ends
 * (device.h), and none shall lack them because another's part is late.
 */
static uint32_t
ring_size(const struct steer *s, uint32_t end)
{
	uint32_t ends = steer_ends(s->queues_count, s->parts_count - 1);
	uint32_t rings = s->parts_count - (end < s->parts_count);
	uint32_t all = ends / s->queues_count * STEER_RING_SIZE;
	return RTE_MIN(rte_align32prevpow2(all / RTE_MAX(rings, 1u)), (uint32_t)STEER_RING_SIZE);
}

static bool
end_open(struct steer *s, uint32_t index)
{
	char name[RTE_RING_NAMESIZE];
	struct steer_end_of *end = &s->ends[index];
	end->steer = s;
	end->index = index;
	if (!has_queue(s, index)) {
		snprintf(name, sizeof(name), "oskr_sending_%u", index);
		return pipe_open(&end->sending, name, STEER_RING_SIZE);
	}
	end->queue = s->config.queues[index];
	for (uint32_t part = 0; part < s->parts_count; part++) {
		snprintf(name, sizeof(name), "steer_%u_%u", index, part);
		if (part != index && !pipe_open(&end->pipes[part], name, ring_size(s, index)))
			return false;
	}
	return true;
}

struct steer *
steer_open(const struct steer_config *config)
{
	uint32_t parts_count = 1u + config->pillars_count;
	check(config->queues_count >= 1 && config->queues_count <= LIMIT_QUEUES);
	check(parts_count <= LIMIT_QUEUES);
	check(config->queues_count == 1 || parts_count == 1 || config->queues_count == parts_count);
	struct steer *s = rte_zmalloc("steer", sizeof(*s), RTE_CACHE_LINE_SIZE);
	if (s == NULL)
		return NULL;
	s->queues_count = config->queues_count;
	s->parts_count = parts_count;
	s->config = *config;
	uint32_t ends = steer_ends(config->queues_count, config->pillars_count);
	for (uint32_t i = 0; i < ends; i++) {
		if (!end_open(s, i)) {
			steer_close(s);
			return NULL;
		}
	}
	return s;
}

static void
pipe_empty(struct pipe *pipe)
{
	void *frames[STEER_BURST];
	uint32_t count;
	if (pipe->ring == NULL)
		return;
	while ((count = pipe_pull(pipe, frames, STEER_BURST)) > 0)
		rte_pktmbuf_free_bulk((struct rte_mbuf **)frames, count);
	pipe_close(pipe);
}

void
steer_close(struct steer *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < LIMIT_QUEUES; i++) {
		pipe_empty(&s->ends[i].sending);
		for (uint32_t part = 0; part < s->parts_count; part++)
			pipe_empty(&s->ends[i].pipes[part]);
	}
	rte_free(s);
}

/* ---- Telling senders ------------------------------------------------------------- */

/* Where the frame came from, and its header, as far as it is a message to us: else false. */
static bool
origin(const struct steer *s, struct rte_mbuf *m, struct frame_address *from,
    struct message_header *said, bool *group)
{
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	uint8_t *data;
	uint32_t size;
	if (frame_parse(m, s->config.self.port, &data, &size) != FRAME_OK || size < sizeof(*said))
		return false;
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	memcpy(&ether, at, sizeof(ether));
	memcpy(&ip, at + sizeof(ether), sizeof(ip));
	memcpy(&udp, at + sizeof(ether) + sizeof(ip), sizeof(udp));
	memcpy(said, data, sizeof(*said));
	from->mac = ether.src_addr;
	from->ip = rte_be_to_cpu_32(ip.src_addr);
	from->port = rte_be_to_cpu_16(udp.src_port);
	*group = (ether.dst_addr.addr_bytes[0] & 1) != 0;
	return (ether.src_addr.addr_bytes[0] & 1) == 0;
}

/*
 * Tells the sender that its port leads here, and not to the part. To the UDP port that
 * nodes listen at: what it sends from is any.
 */
static void
astray_tell(struct steer_end_of *end, struct rte_mbuf *stray)
{
	const struct steer *s = end->steer;
	struct frame_template template;
	struct frame_address to;
	struct message_header said;
	struct rte_mbuf *m;
	bool group;
	if (!origin(s, stray, &to, &said, &group) || buffer_alloc(s->config.pool, &m, 1) != 1)
		return;
	struct message_header header = {
	    .size = sizeof(header),
	    .cluster = s->config.cluster,
	    .instance = said.instance,
	    .sender = s->config.replica,
	    .protocol = ENROL_PROTOCOL,
	    .type = MESSAGE_ASTRAY,
	    .version = MESSAGE_VERSION,
	    .view = group,
	    .seq = to.port,
	};
	to.port = s->config.self.port;
	frame_template_init(&template, &s->config.self, &to);
	memcpy(frame_message(m), &header, sizeof(header));
	frame_write(m, &template, sizeof(header));
	end->counters.astray++;
	end->queue.tx_burst(end->queue.self, &m, 1);
}

/* Gives frames to the part's lcore; they are no longer ours. */
static void
hand_over(struct steer_end_of *end, uint32_t part, struct rte_mbuf **frames, uint32_t count)
{
	uint32_t given = pipe_push(&end->pipes[part], (void **)frames, count);
	end->counters.handed += given;
	if (given < count) {
		end->counters.handed_lost += count - given;
		rte_pktmbuf_free_bulk(frames + given, count - given);
	}
}

/* ---- Parts ------------------------------------------------------------------------- */

/* Whom a frame is for. What is no message is the first part's (neighbour.h). */
static inline uint32_t
part_of(const struct steer *s, struct rte_mbuf *m)
{
	uint8_t *data;
	uint32_t size;
	uint16_t instance;
	if (frame_parse(m, s->config.self.port, &data, &size) != FRAME_OK ||
	    size < sizeof(struct message_header))
		return 0;
	memcpy(&instance, data + offsetof(struct message_header, instance), sizeof(instance));
	return pillar_part(instance, s->config.instances_count, s->config.pillars_count);
}

/* One of many strays is told of: nobody counts on it, and each costs a frame. */
static void
stray_see(struct steer_end_of *end, struct rte_mbuf *m)
{
	if (end->steer->queues_count > 1 && end->strays++ % STEER_ASTRAY_FRAMES == 0)
		astray_tell(end, m);
}

/* Keeps those of the own part, in order, and hands over the others; returns how many it keeps. */
static uint32_t
sort(struct steer_end_of *end, struct rte_mbuf **frames, uint32_t count)
{
	const struct steer *s = end->steer;
	uint32_t kept = 0;
	check(count <= STEER_BURST);
	for (uint32_t i = 0; i < count; i++)
		rte_prefetch0(rte_pktmbuf_mtod(frames[i], const uint8_t *));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t part = part_of(s, frames[i]);
		if (part == end->index) {
			frames[kept++] = frames[i];
			continue;
		}
		stray_see(end, frames[i]);
		end->sorted[part][end->sorted_count[part]++] = frames[i];
	}
	for (uint32_t part = 0; kept < count && part < s->parts_count; part++) {
		if (end->sorted_count[part] > 0)
			hand_over(end, part, end->sorted[part], end->sorted_count[part]);
		end->sorted_count[part] = 0;
	}
	return kept;
}

/* From the own queue, room permitting. */
static uint32_t
queue_rx(struct steer_end_of *end, struct rte_mbuf **frames, uint32_t room)
{
	uint32_t got = 0;
	if (end->steer->parts_count == 1) {
		got = end->queue.rx_burst(end->queue.self, frames, room);
		end->counters.right += got;
		return got;
	}
	while (got < room) {
		uint32_t most = RTE_MIN(room - got, (uint32_t)STEER_BURST);
		uint32_t landed = end->queue.rx_burst(end->queue.self, frames + got, most);
		uint32_t kept = sort(end, frames + got, landed);
		end->counters.right += kept;
		got += kept;
		/* What is for others takes no room: one burst of theirs is enough. */
		if (landed < most || kept < landed)
			break;
	}
	return got;
}

/* What parts without a queue want to send. */
static void
sending_flush(struct steer *s)
{
	struct rte_mbuf *frames[STEER_BURST];
	struct steer_end_of *first = &s->ends[0];
	for (uint32_t i = s->queues_count; i < s->parts_count; i++) {
		uint32_t count = STEER_BURST;
		for (uint32_t k = 0; k < SEND_BURSTS && count == STEER_BURST; k++) {
			count = pipe_pull(&s->ends[i].sending, (void **)frames, STEER_BURST);
			if (count > 0)
				first->queue.tx_burst(first->queue.self, frames, count);
		}
	}
}

static uint32_t
part_rx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct steer_end_of *end = self;
	struct steer *s = end->steer;
	/* A share for each ring, so that the own queue's flood keeps nobody out. */
	uint32_t share = RTE_MAX(count / s->queues_count, 1u);
	uint32_t got = 0;
	if (end->index == 0)
		sending_flush(s);
	for (uint32_t i = 0; i < s->queues_count && got < count; i++) {
		if (i != end->index)
			got += pipe_pull(&s->ends[i].pipes[end->index], (void **)(frames + got),
			    RTE_MIN(share, count - got));
	}
	return has_queue(s, end->index) ? got + queue_rx(end, frames + got, count - got) : got;
}

static void
part_tx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct steer_end_of *end = self;
	if (has_queue(end->steer, end->index)) {
		end->queue.tx_burst(end->queue.self, frames, count);
		return;
	}
	uint32_t given = pipe_push(&end->sending, (void **)frames, count);
	if (given < count) {
		end->counters.sent_lost += count - given;
		rte_pktmbuf_free_bulk(frames + given, count - given);
	}
}

struct port_queue
steer_queue(struct steer *s, uint32_t part)
{
	check(part < s->parts_count);
	return (struct port_queue){
	    .self = &s->ends[part],
	    .rx_burst = part_rx,
	    .tx_burst = part_tx,
	};
}

/* ---- Queues without a part --------------------------------------------------------- */

void *
steer_end(struct steer *s, uint32_t queue)
{
	check(queue >= s->parts_count && queue < s->queues_count);
	return &s->ends[queue];
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
	hand_over(end, 0, frames, got);
	return got;
}

const struct steer_counters *
steer_counters(const struct steer *s, uint32_t end)
{
	check(end < steer_ends(s->queues_count, s->parts_count - 1));
	return &s->ends[end].counters;
}
