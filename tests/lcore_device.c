/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/device.c over net_ring ports, whose other ends the stories hold: what
 * goes out and comes in, who is kept out, and what is refused at the start;
 * lcore/steer.c over the queues of one, and lcore/neighbour.c at its door.
 */
#include "lcore/device.h"

#include <rte_arp.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_icmp.h>
#include <rte_ring.h>
#include <string.h>

#include "engine/enrol.h"
#include "lcore/buffer.h"
#include "lcore/neighbour.h"
#include "lcore/steer.h"
#include "tests/lcore_eal.h"

enum { RING_SIZE = 64, POOL_COUNT = 2047, MESSAGE_SIZE = 1472, QUEUES = 2, CLUSTER = 9 };

static const struct frame_address peer = {{{2, 1, 1, 1, 1, 1}}, 7000, RTE_IPV4(10, 1, 1, 1)};

/* A port of two rings a queue. */
struct port {
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_ring *in[QUEUES];
	struct rte_ring *out[QUEUES];
	struct rte_mempool *pool; /* of the stories' frames */
	struct frame_address self;
};

static struct port
port_new(const char *name)
{
	struct port p = {.self = {.port = 7000, .ip = RTE_IPV4(10, 2, 2, 2)}};
	char text[RTE_RING_NAMESIZE];
	for (int i = 0; i < QUEUES; i++) {
		snprintf(text, sizeof(text), "%s_in_%d", name, i);
		p.in[i] = rte_ring_create(text, RING_SIZE, SOCKET_ID_ANY, 0);
		snprintf(text, sizeof(text), "%s_out_%d", name, i);
		p.out[i] = rte_ring_create(text, RING_SIZE, SOCKET_ID_ANY, 0);
		CU_ASSERT_FATAL(p.in[i] != NULL && p.out[i] != NULL);
	}
	int port = rte_eth_from_rings(name, p.in, QUEUES, p.out, QUEUES, 0);
	CU_ASSERT_FATAL(port >= 0);
	rte_eth_macaddr_get((uint16_t)port, &p.self.mac);
	rte_eth_dev_get_name_by_port((uint16_t)port, p.name);
	snprintf(text, sizeof(text), "%s_pool", name);
	p.pool = buffer_pool_create(text, POOL_COUNT, MESSAGE_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p.pool);
	return p;
}

static void
port_free(struct port *p)
{
	for (int i = 0; i < QUEUES; i++) {
		void *m;
		while (rte_ring_dequeue(p->in[i], &m) == 0 || rte_ring_dequeue(p->out[i], &m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(p->in[i]);
		rte_ring_free(p->out[i]);
	}
	CU_ASSERT_EQUAL(rte_mempool_avail_count(p->pool), POOL_COUNT);
	buffer_pool_free(p->pool);
}

static struct device *
device_new(const struct port *p, uint32_t queues, bool group)
{
	char error[DEVICE_ERROR_SIZE] = "";
	const struct device_config config = {
	    .port = p->name,
	    .queues_count = queues,
	    .mtu = 1500,
	    .mac = &p->self.mac,
	    .group = group,
	};
	struct device *d = device_open(&config, error);
	if (d == NULL)
		fprintf(stderr, "%s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	return d;
}

static struct rte_mbuf *
buffer_new(const struct port *p)
{
	struct rte_mbuf *m;
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(p->pool, &m, 1), 1);
	return m;
}

/* A message from the peer. */
static struct rte_mbuf *
frame_new(const struct port *p, uint32_t size)
{
	struct frame_template template;
	struct rte_mbuf *m = buffer_new(p);
	frame_template_init(&template, &peer, &p->self);
	memset(frame_message(m), 0x11, size);
	frame_write(m, &template, size);
	return m;
}

static uint8_t *
frame_at(struct rte_mbuf *m, uint32_t offset)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, offset);
}

static void
arrives(const struct port *p, int queue, struct rte_mbuf *m)
{
	CU_ASSERT_EQUAL_FATAL(rte_ring_enqueue(p->in[queue], m), 0);
}

/* How many of the frames of one burst get through; they are freed. */
static uint32_t
received(struct port_queue queue)
{
	struct rte_mbuf *list[RING_SIZE];
	uint32_t count = queue.rx_burst(queue.self, list, RING_SIZE);
	rte_pktmbuf_free_bulk(list, count);
	return count;
}

static void
frames_come_and_go(void)
{
	struct port p = port_new("go");
	struct device *d = device_new(&p, 1, false);
	struct port_queue queue = device_queue(d, 0);
	arrives(&p, 0, frame_new(&p, 100));
	CU_ASSERT_EQUAL(received(queue), 1);
	CU_ASSERT_EQUAL(received(queue), 0);
	struct rte_mbuf *m = frame_new(&p, 64);
	queue.tx_burst(queue.self, &m, 1);
	CU_ASSERT_EQUAL(rte_ring_count(p.out[0]), 1);
	/* A ring that is full, as a device may be: what does not fit is counted and freed. */
	for (int i = 0; i < RING_SIZE + 5; i++) {
		m = frame_new(&p, 64);
		queue.tx_burst(queue.self, &m, 1);
	}
	CU_ASSERT_EQUAL(rte_ring_count(p.out[0]), RING_SIZE - 1);
	CU_ASSERT_EQUAL(device_queue_counters(d, 0)->tx_full, 7);
	CU_ASSERT_EQUAL(device_queue_counters(d, 0)->tx_frames, RING_SIZE - 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(device_text(d), "net_ring"));
	CU_ASSERT_FALSE(device_spreads(d));
	device_close(d);
	port_free(&p);
}

static void
others_frames_are_kept_out(void)
{
	struct port p = port_new("others");
	struct device *d = device_new(&p, 1, false);
	struct port_queue queue = device_queue(d, 0);
	struct rte_mbuf *m = frame_new(&p, 64);
	frame_at(m, 0)[5] ^= 1;
	arrives(&p, 0, m); /* another's */
	m = frame_new(&p, 64);
	memcpy(frame_at(m, 0), "\x01\x00\x5e\x00\x00\x01", 6);
	arrives(&p, 0, m); /* a group's, which is not wanted */
	m = frame_new(&p, 64);
	frame_at(m, 14)[8] ^= 1;
	arrives(&p, 0, m); /* its header was damaged on the way */
	CU_ASSERT_EQUAL(received(queue), 0);
	CU_ASSERT_EQUAL(device_queue_counters(d, 0)->rx_other, 2);
	CU_ASSERT_EQUAL(device_queue_counters(d, 0)->rx_checksum, 1);
	m = frame_new(&p, 64);
	memset(frame_at(m, 0), 0xff, 6);
	arrives(&p, 0, m); /* to all */
	CU_ASSERT_EQUAL(received(queue), 1);
	device_close(d);
	port_free(&p);
}

/* Too short for any address, in pieces that fit one buffer, in pieces that do not. */
static void
odd_frames(void)
{
	struct port p = port_new("odd");
	struct device *d = device_new(&p, 1, true);
	struct port_queue queue = device_queue(d, 0);
	struct rte_mbuf *m = frame_new(&p, 64);
	m->data_len = 5;
	m->pkt_len = 5;
	arrives(&p, 0, m);
	CU_ASSERT_EQUAL(received(queue), 1); /* the endpoint's to count */
	for (uint32_t tail = 100; tail <= MESSAGE_SIZE; tail += MESSAGE_SIZE - 100) {
		m = frame_new(&p, 400);
		struct rte_mbuf *more = buffer_new(&p);
		more->data_off = 0;
		more->data_len = (uint16_t)tail;
		more->pkt_len = tail;
		CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(m, more), 0);
		arrives(&p, 0, m);
	}
	CU_ASSERT_EQUAL(received(queue), 1);
	CU_ASSERT_EQUAL(device_queue_counters(d, 0)->rx_joined, 1);
	CU_ASSERT_EQUAL(device_queue_counters(d, 0)->rx_pieces, 1);
	device_close(d);
	port_free(&p);
}

static void
span_add(struct rte_mempool *pool, void *span, void *object, unsigned int index)
{
	uintptr_t *ends = span;
	uintptr_t at = (uintptr_t)object - pool->header_size;
	ends[0] = index == 0 || at < ends[0] ? at : ends[0];
	ends[1] = index == 0 || at > ends[1] ? at : ends[1];
}

/* What net_af_xdp tells the kernel of the pool: where it begins, and count times a size. */
static void
shared_buffers_lie_side_by_side(void)
{
	enum { COUNT = 1000, DATA_SIZE = 2048 };
	uintptr_t ends[2] = {0, 0};
	struct rte_mempool *pool = buffer_pool_create_dense("dense", COUNT, DATA_SIZE);
	struct rte_mbuf *m;
	CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
	uint32_t each = pool->header_size + pool->elt_size + pool->trailer_size;
	CU_ASSERT_EQUAL(rte_mempool_obj_iter(pool, span_add, ends), COUNT);
	CU_ASSERT_EQUAL(pool->nb_mem_chunks, 1);
	CU_ASSERT_EQUAL(ends[1] - ends[0], (COUNT - 1) * (uintptr_t)each);
	/* Otherwise they are what device buffers are. */
	m = rte_pktmbuf_alloc(pool);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->priv_size, BUFFER_DEVICE_MARK);
	CU_ASSERT_TRUE(rte_pktmbuf_tailroom(m) >= DATA_SIZE);
	CU_ASSERT_EQUAL(m->pool, pool);
	rte_pktmbuf_free(m);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), COUNT);
	buffer_pool_free(pool);
}

static void
bad_starts_are_refused(void)
{
	struct port p = port_new("bad");
	const struct rte_ether_addr other = {{2, 9, 9, 9, 9, 9}};
	const struct {
		const char *word;
		struct device_config config;
	} cases[] = {
	    {"no such DPDK port", {.port = "nowhere0", .queues_count = 1, .mtu = 1500}},
	    {"no such DPDK port", {.port = "", .queues_count = 1, .mtu = 1500}},
	    {"no such DPDK port", {.port = "31", .queues_count = 1, .mtu = 1500}},
	    {"the cluster file says",
		{.port = p.name, .queues_count = 1, .mtu = 1500, .mac = &other}},
	    {"--queues",
		{.port = p.name, .queues_count = QUEUES + 1, .mtu = 1500, .mac = &p.self.mac}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char error[DEVICE_ERROR_SIZE] = "";
		CU_ASSERT_PTR_NULL(device_open(&cases[i].config, error));
		CU_ASSERT_PTR_NOT_NULL(strstr(error, cases[i].word));
		CU_ASSERT_PTR_NULL(strchr(error, '\n'));
	}
	port_free(&p);
}

/* ---- Steering -------------------------------------------------------------------- */

/* Known answers of the hash: Microsoft's "Verifying the RSS Hash Calculation" has another
 * key, so these are what an independent bit-by-bit computation says of ours. */
static uint32_t
toeplitz(const struct steer_flow *flow)
{
	uint8_t input[12];
	uint32_t hash = 0;
	const uint32_t words[2] = {flow->from_ip, flow->to_ip};
	for (int i = 0; i < 8; i++)
		input[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
	input[8] = (uint8_t)(flow->from_port >> 8);
	input[9] = (uint8_t)flow->from_port;
	input[10] = (uint8_t)(flow->to_port >> 8);
	input[11] = (uint8_t)flow->to_port;
	for (uint32_t bit = 0; bit < 96; bit++) {
		if ((input[bit / 8] >> (7 - bit % 8) & 1) == 0)
			continue;
		for (uint32_t k = 0; k < 32; k++) {
			uint32_t at = bit + k;
			hash ^= (uint32_t)(steer_key40[at / 8] >> (7 - at % 8) & 1) << (31 - k);
		}
	}
	return hash;
}

static void
ports_lead_to_every_queue(void)
{
	for (uint16_t queues = 1; queues <= LIMIT_QUEUES; queues++) {
		for (uint16_t queue = 0; queue < queues; queue++) {
			struct steer_flow flow = {
			    RTE_IPV4(10, queue, 3, 4), RTE_IPV4(10, 5, 6, 7), 7000, 7000};
			flow.from_port = steer_port(&flow, queue, queues);
			CU_ASSERT_EQUAL(steer_hash(&flow), toeplitz(&flow));
			/* In a table of 64 entries, and in one of 512. */
			CU_ASSERT_EQUAL(steer_table_queue(steer_hash(&flow) % 64, queues), queue);
			CU_ASSERT_EQUAL(steer_table_queue(steer_hash(&flow) % 512, queues), queue);
		}
	}
	/* All dynamic ports have their turn. */
	static bool seen[STEER_PORT_LAST + 1];
	uint16_t port = 7000;
	for (uint32_t i = STEER_PORT_FIRST; i <= STEER_PORT_LAST; i++) {
		port = steer_port_next(port);
		CU_ASSERT_FATAL(port >= STEER_PORT_FIRST && !seen[port]);
		seen[port] = true;
	}
}

static struct steer *
steer_new(struct device *d, const struct port *p)
{
	struct port_queue queues[QUEUES];
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = device_queue(d, i);
	const struct steer_config config = {
	    .queues_count = QUEUES,
	    .queues = queues,
	    .pool = p->pool,
	    .self = p->self,
	    .cluster = CLUSTER,
	    .replica = 3,
	};
	struct steer *s = steer_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	return s;
}

static void
strays_are_handed_over_and_their_senders_told(void)
{
	struct port p = port_new("stray");
	struct device *d = device_new(&p, QUEUES, false);
	struct steer *s = steer_new(d, &p);
	arrives(&p, 0, frame_new(&p, 64));
	for (int i = 0; i < 10; i++)
		arrives(&p, 1, frame_new(&p, 64));
	CU_ASSERT_EQUAL(steer_task(steer_end(s, 1), STEER_ASTRAY_NS), 10);
	CU_ASSERT_EQUAL(steer_task(steer_end(s, 1), STEER_ASTRAY_NS), 0);
	CU_ASSERT_EQUAL(received(steer_queue(s, 0)), 11);
	CU_ASSERT_EQUAL(steer_counters(s, 0)->right, 1);
	CU_ASSERT_EQUAL(steer_counters(s, 1)->handed, 10);
	/* One of them is told, by that lcore's own queue. */
	void *m = NULL;
	uint8_t *data = NULL;
	uint32_t size = 0;
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(p.out[1], &m), 0);
	CU_ASSERT_EQUAL_FATAL(frame_parse(m, 7000, &data, &size), FRAME_OK);
	struct message_header header;
	CU_ASSERT_EQUAL_FATAL(size, sizeof(header));
	memcpy(&header, data, sizeof(header));
	CU_ASSERT_EQUAL(header.type, MESSAGE_ASTRAY);
	CU_ASSERT_EQUAL(header.protocol, ENROL_PROTOCOL);
	CU_ASSERT_EQUAL(header.cluster, CLUSTER);
	CU_ASSERT_EQUAL(header.sender, 3);
	CU_ASSERT_EQUAL(header.instance, 0x1111); /* the stray's own: to who sent it */
	CU_ASSERT_EQUAL(header.view, 0);
	CU_ASSERT_EQUAL(header.seq, peer.port);
	CU_ASSERT_EQUAL(memcmp(frame_at(m, 0), peer.mac.addr_bytes, 6), 0);
	rte_pktmbuf_free(m);
	/* No more than so often. */
	arrives(&p, 1, frame_new(&p, 64));
	(void)steer_task(steer_end(s, 1), 2 * STEER_ASTRAY_NS - 1);
	CU_ASSERT_EQUAL(rte_ring_count(p.out[1]), 0);
	arrives(&p, 1, frame_new(&p, 64));
	(void)steer_task(steer_end(s, 1), 2 * STEER_ASTRAY_NS);
	CU_ASSERT_EQUAL(rte_ring_count(p.out[1]), 1);
	CU_ASSERT_EQUAL(steer_counters(s, 1)->astray, 2);
	/* What nobody took is freed. */
	steer_close(s);
	device_close(d);
	port_free(&p);
}

static void
a_full_ring_loses_and_counts(void)
{
	struct port p = port_new("full");
	struct device *d = device_new(&p, QUEUES, false);
	struct steer *s = steer_new(d, &p);
	for (uint32_t i = 0; i < STEER_RING_SIZE + 10; i++) {
		arrives(&p, 1, frame_new(&p, 64));
		CU_ASSERT_EQUAL(steer_task(steer_end(s, 1), 0), 1);
	}
	CU_ASSERT_EQUAL(steer_counters(s, 1)->handed, STEER_RING_SIZE - 1);
	CU_ASSERT_EQUAL(steer_counters(s, 1)->handed_lost, 11);
	steer_close(s);
	device_close(d);
	port_free(&p);
}

/* ---- Parts: instance 0 is a pillar's, what is none is the executor's ------------------ */

enum { PILLARS = 1, INSTANCES = 1, NO_INSTANCE = 7 };

static struct steer *
parts_new(struct device *d, const struct port *p, uint32_t queues_count)
{
	struct port_queue queues[QUEUES];
	for (uint32_t i = 0; i < queues_count; i++)
		queues[i] = device_queue(d, i);
	const struct steer_config config = {
	    .queues_count = queues_count,
	    .queues = queues,
	    .pillars_count = PILLARS,
	    .instances_count = INSTANCES,
	    .pool = p->pool,
	    .self = p->self,
	    .cluster = CLUSTER,
	    .replica = 3,
	};
	struct steer *s = steer_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	return s;
}

/* A message of that instance, numbered. */
static struct rte_mbuf *
message_new(const struct port *p, uint16_t instance, uint64_t number)
{
	struct rte_mbuf *m = frame_new(p, sizeof(struct message_header));
	struct message_header *header = (struct message_header *)(void *)frame_message(m);
	header->instance = instance;
	header->seq = number;
	return m;
}

/* The numbers of what the queue has, in order; -1 ends them. */
static void
numbers_expect(struct port_queue queue, const int *numbers)
{
	struct rte_mbuf *list[RING_SIZE];
	uint32_t count = queue.rx_burst(queue.self, list, RING_SIZE);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *data = NULL;
		uint32_t size = 0;
		CU_ASSERT_EQUAL_FATAL(frame_parse(list[i], 7000, &data, &size), FRAME_OK);
		const struct message_header *header = (const void *)data;
		CU_ASSERT_EQUAL((int)header->seq, numbers[i]);
	}
	CU_ASSERT_EQUAL(numbers[count], -1);
	rte_pktmbuf_free_bulk(list, count);
}

static void
each_part_gets_its_own_from_any_queue(void)
{
	struct port p = port_new("parts");
	struct device *d = device_new(&p, QUEUES, false);
	struct steer *s = parts_new(d, &p, QUEUES);
	struct port_queue executor = steer_queue(s, 0);
	struct port_queue pillar = steer_queue(s, 1);
	for (int i = 0; i < 6; i++) {
		arrives(&p, 0, message_new(&p, i % 2 == 0 ? NO_INSTANCE : 0, (uint64_t)i));
		arrives(&p, 1, message_new(&p, i % 3 == 0 ? NO_INSTANCE : 0, (uint64_t)(10 + i)));
	}
	numbers_expect(executor, (int[]){0, 2, 4, -1});
	numbers_expect(pillar, (int[]){1, 3, 5, 11, 12, 14, 15, -1});
	numbers_expect(executor, (int[]){10, 13, -1});
	CU_ASSERT_EQUAL(steer_counters(s, 0)->right, 3);
	CU_ASSERT_EQUAL(steer_counters(s, 0)->handed, 3);
	CU_ASSERT_EQUAL(steer_counters(s, 1)->right, 4);
	CU_ASSERT_EQUAL(steer_counters(s, 1)->handed, 2);
	/* Of each queue's strays the first one's sender is told, and then one of many. */
	CU_ASSERT_EQUAL(rte_ring_count(p.out[0]), 1);
	CU_ASSERT_EQUAL(rte_ring_count(p.out[1]), 1);
	for (int i = 0; i < STEER_ASTRAY_FRAMES; i++) {
		arrives(&p, 0, message_new(&p, 0, 0));
		(void)received(executor);
	}
	CU_ASSERT_EQUAL(rte_ring_count(p.out[0]), 2);
	CU_ASSERT_EQUAL(steer_counters(s, 0)->astray, 2);
	/* What is no message is the executor's: it has the neighbour. */
	struct rte_mbuf *m = frame_new(&p, 64);
	frame_at(m, 0)[12] = 0x86;
	arrives(&p, 1, m);
	while (received(pillar) > 0) {
	}
	CU_ASSERT_EQUAL(received(executor), 1);
	steer_close(s);
	device_close(d);
	port_free(&p);
}

static void
one_queue_serves_all_parts(void)
{
	struct port p = port_new("one");
	struct device *d = device_new(&p, 1, false);
	struct steer *s = parts_new(d, &p, 1);
	struct port_queue executor = steer_queue(s, 0);
	struct port_queue pillar = steer_queue(s, 1);
	numbers_expect(pillar, (int[]){-1});
	for (int i = 0; i < 4; i++)
		arrives(&p, 0, message_new(&p, i % 2 == 0 ? NO_INSTANCE : 0, (uint64_t)i));
	numbers_expect(executor, (int[]){0, 2, -1});
	numbers_expect(pillar, (int[]){1, 3, -1});
	/* What the pillar sends waits for the lcore that has the queue. */
	struct rte_mbuf *m = message_new(&p, 0, 0);
	pillar.tx_burst(pillar.self, &m, 1);
	CU_ASSERT_EQUAL(rte_ring_count(p.out[0]), 0);
	CU_ASSERT_EQUAL(received(executor), 0);
	CU_ASSERT_EQUAL(rte_ring_count(p.out[0]), 1);
	/* Nobody has gone astray. */
	CU_ASSERT_EQUAL(steer_counters(s, 0)->astray, 0);
	/* More than the ring takes is lost and counted; what is left in it is freed. */
	for (uint32_t i = 0; i < STEER_RING_SIZE + 10; i++) {
		m = message_new(&p, 0, 0);
		pillar.tx_burst(pillar.self, &m, 1);
	}
	CU_ASSERT_EQUAL(steer_counters(s, 1)->sent_lost, 11);
	steer_close(s);
	device_close(d);
	port_free(&p);
}

/* ---- The neighbour ------------------------------------------------------------------ */

struct door {
	struct port port;
	struct device *device;
	struct neighbour neighbour;
};

static struct door
door_new(const char *name)
{
	struct door d = {.port = port_new(name)};
	d.device = device_new(&d.port, 1, false);
	const struct neighbour_config config = {
	    .queue = device_queue(d.device, 0),
	    .pool = d.port.pool,
	    .data_max = 1480,
	    .self = d.port.self,
	    .text = "oskr replica 2 pbft\n",
	};
	neighbour_init(&d.neighbour, &config);
	neighbour_time(&d.neighbour, 1000000000);
	return d;
}

static void
door_close(struct door *d)
{
	device_close(d->device);
	port_free(&d->port);
}

/* Shows a frame of `size` bytes behind Ethernet's header; the answer, or NULL. */
static struct rte_mbuf *
shown(struct door *d, uint16_t type, const void *bytes, uint32_t size)
{
	struct rte_mbuf *m = buffer_new(&d->port);
	struct rte_ether_hdr ether = {
	    .src_addr = peer.mac,
	    .dst_addr = d->port.self.mac,
	    .ether_type = rte_cpu_to_be_16(type),
	};
	void *answer = NULL;
	m->data_off = FRAME_DATA_OFFSET;
	m->data_len = (uint16_t)(sizeof(ether) + size);
	m->pkt_len = m->data_len;
	memcpy(frame_at(m, 0), &ether, sizeof(ether));
	memcpy(frame_at(m, sizeof(ether)), bytes, size);
	neighbour_see(&d->neighbour, m);
	rte_pktmbuf_free(m);
	(void)rte_ring_dequeue(d->port.out[0], &answer);
	return answer;
}

static struct rte_arp_hdr
arp_request(const struct door *d)
{
	struct rte_arp_hdr arp = {
	    .arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
	    .arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
	    .arp_hlen = 6,
	    .arp_plen = 4,
	    .arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REQUEST),
	};
	arp.arp_data.arp_sha = peer.mac;
	arp.arp_data.arp_sip = rte_cpu_to_be_32(peer.ip);
	arp.arp_data.arp_tip = rte_cpu_to_be_32(d->port.self.ip);
	return arp;
}

static void
arp_is_answered(void)
{
	struct door d = door_new("arp");
	struct rte_arp_hdr arp = arp_request(&d);
	struct rte_arp_hdr back;
	struct rte_mbuf *m = shown(&d, RTE_ETHER_TYPE_ARP, &arp, sizeof(arp));
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memcpy(&back, frame_at(m, 14), sizeof(back));
	CU_ASSERT_EQUAL(back.arp_opcode, rte_cpu_to_be_16(RTE_ARP_OP_REPLY));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&back.arp_data.arp_sha, &d.port.self.mac));
	CU_ASSERT_EQUAL(back.arp_data.arp_sip, rte_cpu_to_be_32(d.port.self.ip));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&back.arp_data.arp_tha, &peer.mac));
	CU_ASSERT_EQUAL(back.arp_data.arp_tip, rte_cpu_to_be_32(peer.ip));
	CU_ASSERT_EQUAL(memcmp(frame_at(m, 0), peer.mac.addr_bytes, 6), 0);
	CU_ASSERT_TRUE(m->data_len >= 60);
	rte_pktmbuf_free(m);
	for (uint32_t size = 0; size < sizeof(arp); size++)
		CU_ASSERT_PTR_NULL(shown(&d, RTE_ETHER_TYPE_ARP, &arp, size));
	/* Another's address, a reply, another hardware. */
	arp.arp_data.arp_tip ^= 1;
	CU_ASSERT_PTR_NULL(shown(&d, RTE_ETHER_TYPE_ARP, &arp, sizeof(arp)));
	arp = arp_request(&d);
	arp.arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	CU_ASSERT_PTR_NULL(shown(&d, RTE_ETHER_TYPE_ARP, &arp, sizeof(arp)));
	arp = arp_request(&d);
	arp.arp_hlen = 8;
	CU_ASSERT_PTR_NULL(shown(&d, RTE_ETHER_TYPE_ARP, &arp, sizeof(arp)));
	CU_ASSERT_EQUAL(d.neighbour.counters.arp, 1);
	door_close(&d);
}

struct question {
	struct rte_ipv4_hdr ip;
	uint8_t body[1480];
	uint32_t size;
};

static void
question_make(struct question *q, const struct door *d, uint8_t protocol, uint32_t size)
{
	*q = (struct question){.size = (uint32_t)sizeof(q->ip) + size};
	q->ip = (struct rte_ipv4_hdr){
	    .version_ihl = RTE_IPV4_VHL_DEF,
	    .total_length = rte_cpu_to_be_16((uint16_t)q->size),
	    .packet_id = 77,
	    .time_to_live = 3,
	    .next_proto_id = protocol,
	    .src_addr = rte_cpu_to_be_32(peer.ip),
	    .dst_addr = rte_cpu_to_be_32(d->port.self.ip),
	};
	q->ip.hdr_checksum = rte_ipv4_cksum(&q->ip);
}

static void
echo_make(struct question *q, const struct door *d, uint32_t size)
{
	question_make(q, d, IPPROTO_ICMP, size);
	struct rte_icmp_hdr icmp = {
	    .icmp_type = RTE_IP_ICMP_ECHO_REQUEST, .icmp_ident = 5, .icmp_seq_nb = 6};
	for (uint32_t i = 0; i < size; i++)
		q->body[i] = (uint8_t)i;
	memcpy(q->body, &icmp, sizeof(icmp));
	icmp.icmp_cksum = (uint16_t)~rte_raw_cksum(q->body, size);
	memcpy(q->body, &icmp, sizeof(icmp));
}

static struct rte_mbuf *
asked(struct door *d, const struct question *q)
{
	return shown(d, RTE_ETHER_TYPE_IPV4, q, q->size);
}

static void
echo_is_answered(void)
{
	struct door d = door_new("echo");
	struct question q;
	static const uint32_t sizes[] = {8, 9, 64, 1480};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		echo_make(&q, &d, sizes[i]);
		struct rte_mbuf *m = asked(&d, &q);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		struct rte_ipv4_hdr ip;
		memcpy(&ip, frame_at(m, 14), sizeof(ip));
		CU_ASSERT_EQUAL(rte_raw_cksum(&ip, sizeof(ip)), 0xffff);
		CU_ASSERT_EQUAL(ip.dst_addr, rte_cpu_to_be_32(peer.ip));
		CU_ASSERT_EQUAL(ip.src_addr, rte_cpu_to_be_32(d.port.self.ip));
		CU_ASSERT_EQUAL(ip.total_length, rte_cpu_to_be_16((uint16_t)q.size));
		CU_ASSERT_EQUAL(frame_at(m, 34)[0], RTE_IP_ICMP_ECHO_REPLY);
		CU_ASSERT_EQUAL(rte_raw_cksum(frame_at(m, 34), sizes[i]), 0xffff);
		CU_ASSERT_EQUAL(memcmp(frame_at(m, 38), q.body + 4, sizes[i] - 4), 0);
		rte_pktmbuf_free(m);
	}
	/* Cut, damaged, no question, a fragment, to another, from a group. */
	echo_make(&q, &d, 64);
	for (uint32_t size = 0; size < q.size; size++)
		CU_ASSERT_PTR_NULL(shown(&d, RTE_ETHER_TYPE_IPV4, &q, size));
	q.body[20] ^= 1;
	CU_ASSERT_PTR_NULL(asked(&d, &q));
	echo_make(&q, &d, 64);
	q.body[0] = RTE_IP_ICMP_ECHO_REPLY;
	CU_ASSERT_PTR_NULL(asked(&d, &q));
	echo_make(&q, &d, 64);
	q.ip.fragment_offset = rte_cpu_to_be_16(0x2000);
	CU_ASSERT_PTR_NULL(asked(&d, &q));
	echo_make(&q, &d, 64);
	q.ip.dst_addr ^= 0x01000000;
	CU_ASSERT_PTR_NULL(asked(&d, &q));
	echo_make(&q, &d, 64);
	q.ip.src_addr = rte_cpu_to_be_32(RTE_IPV4(224u, 0, 0, 1));
	CU_ASSERT_PTR_NULL(asked(&d, &q));
	door_close(&d);
}

static void
who_are_you_is_answered(void)
{
	struct door d = door_new("who");
	struct question q;
	for (uint32_t extra = 0; extra < 40; extra++) {
		question_make(&q, &d, IPPROTO_UDP, 8 + 5 + extra);
		struct rte_udp_hdr udp = {
		    .src_port = rte_cpu_to_be_16(999),
		    .dst_port = rte_cpu_to_be_16(7000),
		    .dgram_len = rte_cpu_to_be_16((uint16_t)(8 + 5 + extra)),
		};
		memcpy(q.body, &udp, sizeof(udp));
		memcpy(q.body + 8, "oskr?", 5);
		struct rte_mbuf *m = asked(&d, &q);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		/* No more than was asked with. */
		uint32_t room = RTE_MIN(5 + extra, (uint32_t)strlen("oskr replica 2 pbft\n"));
		memcpy(&udp, frame_at(m, 34), sizeof(udp));
		CU_ASSERT_EQUAL(udp.dst_port, rte_cpu_to_be_16(999));
		CU_ASSERT_EQUAL(udp.dgram_len, rte_cpu_to_be_16((uint16_t)(8 + room)));
		CU_ASSERT_EQUAL(memcmp(frame_at(m, 42), "oskr replica 2 pbft\n", room), 0);
		rte_pktmbuf_free(m);
	}
	q.body[8] = 'O';
	CU_ASSERT_PTR_NULL(asked(&d, &q));
	door_close(&d);
}

static void
answers_are_bounded(void)
{
	struct door d = door_new("bound");
	struct rte_arp_hdr arp = arp_request(&d);
	uint32_t answers = 0;
	uint64_t now_ns = 2000000000;
	/* A second of questions, ten times as many as are answered. */
	for (uint32_t i = 0; i < 10 * NEIGHBOUR_ANSWERS_PER_S; i++) {
		now_ns += 1000000000 / (10 * NEIGHBOUR_ANSWERS_PER_S);
		neighbour_time(&d.neighbour, now_ns);
		struct rte_mbuf *m = shown(&d, RTE_ETHER_TYPE_ARP, &arp, sizeof(arp));
		answers += m != NULL;
		rte_pktmbuf_free(m);
	}
	CU_ASSERT_TRUE(answers >= NEIGHBOUR_ANSWERS_PER_S);
	CU_ASSERT_TRUE(answers <= NEIGHBOUR_ANSWERS_PER_S + NEIGHBOUR_BURST);
	CU_ASSERT_EQUAL(d.neighbour.counters.arp, answers);
	CU_ASSERT_EQUAL(d.neighbour.counters.limited, 10 * NEIGHBOUR_ANSWERS_PER_S - answers);
	door_close(&d);
}

static const struct unit_story stories[] = {
    {"frames come and go", frames_come_and_go},
    {"others' frames are kept out", others_frames_are_kept_out},
    {"odd frames", odd_frames},
    {"shared buffers lie side by side", shared_buffers_lie_side_by_side},
    {"bad starts are refused", bad_starts_are_refused},
    {"ports lead to every queue", ports_lead_to_every_queue},
    {"strays are handed over", strays_are_handed_over_and_their_senders_told},
    {"a full ring loses and counts", a_full_ring_loses_and_counts},
    {"each part gets its own from any queue", each_part_gets_its_own_from_any_queue},
    {"one queue serves all parts", one_queue_serves_all_parts},
    {"ARP is answered", arp_is_answered},
    {"echo is answered", echo_is_answered},
    {"who are you is answered", who_are_you_is_answered},
    {"answers are bounded", answers_are_bounded},
};

int
main(void)
{
	return lcore_eal_run("device", stories, sizeof(stories) / sizeof(stories[0]));
}
