/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process switch: who gets which frame, what becomes of those nobody
 * gets, and that every mbuf is given back. One thread plays all lcores. RSS is
 * held against the hashes that Microsoft publishes for its key ("Verifying the
 * RSS Hash Calculation", IPv4 with ports).
 */
#include <string.h>

#include "lcore/buffer.h"
#include "lcore/fabric.h"
#include "lcore/frame.h"
#include "tests/lcore_eal.h"

enum {
	POOL_COUNT = 4095,
	MESSAGE_SIZE = 64,
	PORTS_MAX = 4,
	RING_SIZE = 64,
	BURST = 32,
};

static struct rte_mempool *pool;
static struct fabric *fabric;
static struct fabric_port ports[PORTS_MAX];
static struct fabric_config config;
static const struct rte_ether_addr group = {{0x01, 0x00, 0x5e, 0, 0, 1}};
static const struct rte_ether_addr nobody = {{2, 0, 0, 0, 9, 9}};

static struct rte_ether_addr
mac_of(uint32_t port)
{
	return (struct rte_ether_addr){{2, 0, 0, 0, 0, (uint8_t)(port + 1)}};
}

/* Four ports of one queue on lcore 0; ports 0..2 are in the group. */
static void
config_make(void)
{
	memset(ports, 0, sizeof(ports));
	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		ports[i].mac = mac_of(i);
		ports[i].in_group = i < 3;
		ports[i].queues_count = 1;
	}
	config = (struct fabric_config){
	    .lcores_count = 1,
	    .ports_count = PORTS_MAX,
	    .ports = ports,
	    .group = group,
	    .ring_size = RING_SIZE,
	    .seed = 1,
	};
}

static void
open_fabric(void)
{
	fabric = fabric_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fabric);
}

/* What a story leaves behind, in the rings too, comes back with the close. */
static void
close_fabric(void)
{
	fabric_close(fabric);
	fabric = NULL;
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
}

static struct rte_mbuf *
frame_between(const struct frame_address *from, const struct frame_address *to)
{
	struct frame_template template;
	struct rte_mbuf *m;
	frame_template_init(&template, from, to);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	memset(frame_message(m), 0, MESSAGE_SIZE);
	frame_write(m, &template, MESSAGE_SIZE);
	return m;
}

static struct rte_mbuf *
frame_to(const struct rte_ether_addr *mac)
{
	const struct frame_address from = {.port = 1};
	struct frame_address to = {.mac = *mac, .port = 2};
	return frame_between(&from, &to);
}

static void
send_one(uint32_t port, struct rte_mbuf *m)
{
	struct port_queue queue = fabric_queue(fabric, port, 0);
	queue.tx_burst(queue.self, &m, 1);
}

static uint32_t
receive(uint32_t port, uint32_t queue_index, struct rte_mbuf **frames, uint32_t count)
{
	struct port_queue queue = fabric_queue(fabric, port, queue_index);
	return queue.rx_burst(queue.self, frames, count);
}

/* Takes and frees all that waits in a queue. */
static uint32_t
drain(uint32_t port, uint32_t queue)
{
	struct rte_mbuf *frames[BURST];
	uint32_t total = 0;
	uint32_t got;
	while ((got = receive(port, queue, frames, BURST)) > 0) {
		buffer_free(frames, got);
		total += got;
	}
	return total;
}

static void
unicast_reaches_its_port_in_order(void)
{
	struct rte_mbuf *sent[BURST];
	struct rte_mbuf *got[BURST];
	struct rte_ether_addr mac = mac_of(2);
	config_make();
	open_fabric();
	for (uint32_t i = 0; i < BURST; i++)
		sent[i] = frame_to(&mac);
	struct port_queue queue = fabric_queue(fabric, 0, 0);
	struct rte_mbuf *given[BURST];
	memcpy(given, sent, sizeof(given));
	queue.tx_burst(queue.self, given, BURST);
	CU_ASSERT_EQUAL(receive(2, 0, got, BURST), BURST);
	CU_ASSERT_EQUAL(memcmp(sent, got, sizeof(sent)), 0);
	buffer_free(got, BURST);
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		CU_ASSERT_EQUAL(drain(port, 0), 0);
	CU_ASSERT_EQUAL(fabric_queue_counters(fabric, 0, 0)->tx_frames, BURST);
	CU_ASSERT_EQUAL(fabric_queue_counters(fabric, 2, 0)->rx_frames, BURST);
	close_fabric();
}

/* A burst for all ports in turn is sorted; a port may send to itself. */
static void
mixed_bursts_are_sorted(void)
{
	struct rte_mbuf *frames[200];
	config_make();
	open_fabric();
	for (uint32_t i = 0; i < 200; i++) {
		struct rte_ether_addr mac = mac_of(i % PORTS_MAX);
		frames[i] = frame_to(&mac);
	}
	struct port_queue queue = fabric_queue(fabric, 1, 0);
	queue.tx_burst(queue.self, frames, 200);
	for (uint32_t port = 0; port < PORTS_MAX; port++)
		CU_ASSERT_EQUAL(drain(port, 0), 50);
	close_fabric();
}

static void
unknown_addresses_are_counted(void)
{
	static const struct rte_ether_addr none = {{0}};
	struct rte_ether_addr other_group = group;
	other_group.addr_bytes[5] = 2;
	config_make();
	open_fabric();
	send_one(0, frame_to(&nobody));
	send_one(0, frame_to(&other_group));
	send_one(0, frame_to(&none));
	CU_ASSERT_EQUAL(fabric_queue_counters(fabric, 0, 0)->tx_unknown, 3);
	CU_ASSERT_EQUAL(fabric_queue_counters(fabric, 0, 0)->tx_frames, 0);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
	close_fabric();
	memset(&config.group, 0, sizeof(config.group));
	open_fabric();
	send_one(0, frame_to(&none));
	send_one(0, frame_to(&group));
	CU_ASSERT_EQUAL(fabric_queue_counters(fabric, 0, 0)->tx_unknown, 2);
	close_fabric();
}

/* Less than an Ethernet header: the address that an earlier frame left there does not count. */
static void
frames_without_an_address_are_counted(void)
{
	struct rte_ether_addr mac = mac_of(2);
	config_make();
	open_fabric();
	for (uint16_t size = 0; size < RTE_ETHER_HDR_LEN; size++) {
		struct rte_mbuf *m = frame_to(&mac);
		m->data_len = size;
		m->pkt_len = size;
		send_one(0, m);
	}
	CU_ASSERT_EQUAL(fabric_queue_counters(fabric, 0, 0)->tx_unknown, RTE_ETHER_HDR_LEN);
	CU_ASSERT_EQUAL(drain(2, 0), 0);
	close_fabric();
}

static void
group_frames_are_shared(void)
{
	struct rte_mbuf *got[2];
	config_make();
	open_fabric();
	struct rte_mbuf *m = frame_to(&group);
	send_one(0, m);
	CU_ASSERT_EQUAL(rte_mbuf_refcnt_read(m), 2);
	CU_ASSERT_EQUAL(receive(1, 0, &got[0], 1), 1);
	CU_ASSERT_EQUAL(receive(2, 0, &got[1], 1), 1);
	CU_ASSERT_PTR_EQUAL(got[0], m);
	CU_ASSERT_PTR_EQUAL(got[1], m);
	CU_ASSERT_EQUAL(drain(0, 0), 0);
	CU_ASSERT_EQUAL(drain(3, 0), 0);
	buffer_free(&got[0], 1);
	CU_ASSERT_EQUAL(rte_mbuf_refcnt_read(m), 1);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT - 1);
	buffer_free(&got[1], 1);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
	/* From outside the group all members get it. */
	send_one(3, frame_to(&group));
	for (uint32_t port = 0; port < 3; port++)
		CU_ASSERT_EQUAL(drain(port, 0), 1);
	CU_ASSERT_EQUAL(drain(3, 0), 0);
	close_fabric();
}

/* Some members' rings are full, some copies are lost on purpose: no reference is. */
static void
group_frames_do_not_leak(void)
{
	config_make();
	config.drop = 0.3;
	open_fabric();
	for (uint32_t i = 0; i < 20 * RING_SIZE; i++) {
		send_one(3, frame_to(&group));
		drain(0, 0);
	}
	const struct fabric_counters *counters = fabric_queue_counters(fabric, 3, 0);
	CU_ASSERT_TRUE(counters->tx_full > 0);
	CU_ASSERT_TRUE(counters->tx_dropped > 0);
	CU_ASSERT_EQUAL(counters->tx_full + counters->tx_dropped + counters->tx_frames,
	    (uint64_t)3 * 20 * RING_SIZE);
	close_fabric();
	/* A group of its sender alone. */
	config_make();
	ports[1].in_group = false;
	ports[2].in_group = false;
	open_fabric();
	send_one(0, frame_to(&group));
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
	close_fabric();
}

static void
full_rings_are_counted(void)
{
	struct rte_ether_addr mac = mac_of(1);
	struct rte_mbuf *frames[200];
	config_make();
	open_fabric();
	for (uint32_t i = 0; i < 200; i++)
		frames[i] = frame_to(&mac);
	struct port_queue queue = fabric_queue(fabric, 0, 0);
	queue.tx_burst(queue.self, frames, 200);
	/* One place of a ring stays empty. */
	const struct fabric_counters *counters = fabric_queue_counters(fabric, 0, 0);
	CU_ASSERT_EQUAL(counters->tx_frames, RING_SIZE - 1);
	CU_ASSERT_EQUAL(counters->tx_full, 200 - (RING_SIZE - 1));
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT - (RING_SIZE - 1));
	CU_ASSERT_EQUAL(drain(1, 0), RING_SIZE - 1);
	/* And then there is room again. */
	send_one(0, frame_to(&mac));
	CU_ASSERT_EQUAL(drain(1, 0), 1);
	close_fabric();
}

static uint64_t
count_dropped(double drop, uint64_t seed, uint32_t frames_count)
{
	struct rte_ether_addr mac = mac_of(1);
	config_make();
	config.drop = drop;
	config.seed = seed;
	open_fabric();
	uint64_t arrived = 0;
	for (uint32_t i = 0; i < frames_count; i++) {
		send_one(0, frame_to(&mac));
		arrived += drain(1, 0);
	}
	uint64_t dropped = fabric_queue_counters(fabric, 0, 0)->tx_dropped;
	CU_ASSERT_EQUAL(arrived + dropped, frames_count);
	close_fabric();
	return dropped;
}

/* Binomial: within five standard deviations; the seed decides which. */
static void
losses_have_the_given_probability(void)
{
	CU_ASSERT_EQUAL(count_dropped(0, 1, 20000), 0);
	uint64_t tenth = count_dropped(0.1, 1, 100000);
	CU_ASSERT_TRUE(tenth > 10000 - 475 && tenth < 10000 + 475);
	CU_ASSERT_EQUAL(count_dropped(0.1, 1, 100000), tenth);
	CU_ASSERT_NOT_EQUAL(count_dropped(0.1, 2, 100000), tenth);
	uint64_t most = count_dropped(0.9, 1, 20000);
	CU_ASSERT_TRUE(most > 18000 - 213 && most < 18000 + 213);
}

static void
rss_hash_is_the_published_one(void)
{
	const struct {
		uint32_t from_ip;
		uint16_t from_port;
		uint32_t to_ip;
		uint16_t to_port;
		uint32_t hash;
	} cases[] = {
	    {RTE_IPV4(66, 9, 149, 187), 2794, RTE_IPV4(161, 142, 100, 80), 1766, 0x51ccc178},
	    {RTE_IPV4(199, 92, 111, 2), 14230, RTE_IPV4(65, 69, 140, 83), 4739, 0xc626b0ea},
	    {RTE_IPV4(24, 19, 198, 95), 12898, RTE_IPV4(12, 22, 207, 184), 38024, 0x5c2b394a},
	    {RTE_IPV4(38, 27, 205, 30), 48228, RTE_IPV4(209, 142, 163, 6), 2217, 0xafc7327f},
	    {RTE_IPV4(153, 39, 163, 191), 44251, RTE_IPV4(202, 188, 127, 2), 1303, 0x10e828a2},
	};
	for (uint16_t queues = 1; queues <= FABRIC_QUEUES_MAX; queues++) {
		config_make();
		ports[1].queues_count = queues;
		open_fabric();
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct frame_address from = {
			    .ip = cases[i].from_ip, .port = cases[i].from_port};
			struct frame_address to = {
			    .mac = mac_of(1), .ip = cases[i].to_ip, .port = cases[i].to_port};
			send_one(0, frame_between(&from, &to));
			CU_ASSERT_EQUAL(drain(1, cases[i].hash % queues), 1);
		}
		close_fabric();
	}
}

/* Every flow keeps to one queue; a thousand flows use all queues about alike. */
static void
rss_spreads_flows(void)
{
	uint32_t flows_of[4] = {0};
	config_make();
	ports[1].queues_count = 4;
	open_fabric();
	for (uint32_t flow = 0; flow < 1000; flow++) {
		uint32_t got[4];
		struct frame_address from = {
		    .ip = RTE_IPV4(10, 0, 0, 1), .port = (uint16_t)(10000 + flow)};
		struct frame_address to = {
		    .mac = mac_of(1), .ip = RTE_IPV4(10, 0, 0, 2), .port = 7000};
		for (uint32_t i = 0; i < 5; i++)
			send_one(0, frame_between(&from, &to));
		uint32_t used = 0;
		for (uint32_t queue = 0; queue < 4; queue++) {
			got[queue] = drain(1, queue);
			used += got[queue] > 0;
			flows_of[queue] += got[queue] == 5;
		}
		CU_ASSERT_EQUAL(used, 1);
	}
	for (uint32_t queue = 0; queue < 4; queue++)
		CU_ASSERT_TRUE(flows_of[queue] > 180 && flows_of[queue] < 320);
	close_fabric();
}

/* Without ports and addresses there is nothing to hash. */
static void
short_frames_go_to_the_first_queue(void)
{
	struct rte_ether_addr mac = mac_of(1);
	config_make();
	ports[1].queues_count = 4;
	open_fabric();
	for (uint16_t size = RTE_ETHER_HDR_LEN; size < FRAME_HEADERS_SIZE; size++) {
		struct rte_mbuf *m = frame_to(&mac);
		m->data_len = size;
		m->pkt_len = size;
		send_one(0, m);
	}
	CU_ASSERT_EQUAL(drain(1, 0), FRAME_HEADERS_SIZE - RTE_ETHER_HDR_LEN);
	close_fabric();
}

/* Ports on two lcores have rings of their own to a third: neither starves the other. */
static void
senders_take_turns(void)
{
	struct rte_ether_addr mac = mac_of(2);
	struct rte_mbuf *frames[8];
	config_make();
	config.lcores_count = 2;
	ports[1].queue_lcores[0] = 1;
	open_fabric();
	for (uint32_t i = 0; i < RING_SIZE - 1; i++)
		send_one(0, frame_to(&mac));
	struct rte_mbuf *lone = frame_to(&mac);
	send_one(1, lone);
	bool came = false;
	for (uint32_t burst = 0; burst < 2; burst++) {
		uint32_t got = receive(2, 0, frames, 8);
		CU_ASSERT_EQUAL(got, 8);
		for (uint32_t i = 0; i < got; i++)
			came |= frames[i] == lone;
		buffer_free(frames, got);
	}
	CU_ASSERT_TRUE(came);
	close_fabric();
}

static void
close_gives_back_what_nobody_took(void)
{
	config_make();
	config.lcores_count = 2;
	ports[3].queue_lcores[0] = 1;
	ports[1].queues_count = 4;
	open_fabric();
	for (uint32_t i = 0; i < 100; i++) {
		struct rte_ether_addr mac = mac_of(i % PORTS_MAX);
		send_one(i % 2 == 0 ? 0 : 3, frame_to(&mac));
		send_one(0, frame_to(&group));
	}
	CU_ASSERT_TRUE(rte_mempool_avail_count(pool) < POOL_COUNT);
	close_fabric();
	fabric_close(NULL);
}

static void
pool_opens(void)
{
	pool = buffer_pool_create("fabric", POOL_COUNT, MESSAGE_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
}

static const struct unit_story stories[] = {
    {"pool opens", pool_opens},
    {"unicast reaches its port in order", unicast_reaches_its_port_in_order},
    {"mixed bursts are sorted", mixed_bursts_are_sorted},
    {"unknown addresses are counted", unknown_addresses_are_counted},
    {"frames without an address are counted", frames_without_an_address_are_counted},
    {"group frames are shared", group_frames_are_shared},
    {"group frames do not leak", group_frames_do_not_leak},
    {"full rings are counted", full_rings_are_counted},
    {"losses have the given probability", losses_have_the_given_probability},
    {"RSS hash is the published one", rss_hash_is_the_published_one},
    {"RSS spreads flows", rss_spreads_flows},
    {"short frames go to the first queue", short_frames_go_to_the_first_queue},
    {"senders take turns", senders_take_turns},
    {"close gives back what nobody took", close_gives_back_what_nobody_took},
};

int
main(void)
{
	return lcore_eal_run("fabric", stories, sizeof(stories) / sizeof(stories[0]));
}
