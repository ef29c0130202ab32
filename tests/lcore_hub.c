/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/hub_switch over ports made of rings, whose other ends the stories hold: frames in,
 * frames out, at times that the stories choose. No buffer is ever lost.
 */
#include "lcore/hub_switch.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <string.h>

#include "tests/lcore_eal.h"

enum {
	PORTS = 3,
	QUEUE = 16,
	RING_SIZE = 1024,
	FRAME_SIZE = 100,
	BUFFERS = 8191,
	MS = 1000 * 1000,
};

static struct rte_ring *to_switch[PORTS];
static struct rte_ring *from_switch[PORTS];
static struct rte_mempool *pool;
static struct hub_switch hub_switch;
static bool ports_made;

static bool
ports_make(void)
{
	pool = rte_pktmbuf_pool_create(
	    "stories", BUFFERS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	for (uint32_t i = 0; i < PORTS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "to%u", i);
		to_switch[i] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "from%u", i);
		from_switch[i] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "port%u", i);
		if (to_switch[i] == NULL || from_switch[i] == NULL ||
		    rte_eth_from_rings(name, &to_switch[i], 1, &from_switch[i], 1,
			(unsigned int)SOCKET_ID_ANY) < 0)
			return false;
	}
	return pool != NULL;
}

/* A switch with nothing learnt and no faults. Devices stay between stories. */
static void
rig_open(const char *script)
{
	struct hub_switch_config config = {
	    .seed = 1, .age_ns = 1000ull * MS, .queue_max = QUEUE, .mtu = 1500};
	struct config_error error;
	config_error_clear(&error);
	memset(&hub_switch, 0, sizeof(hub_switch));
	ports_made = ports_made || ports_make();
	CU_ASSERT_FATAL(ports_made);
	CU_ASSERT_EQUAL_FATAL(hub_names_parse(&config.names, "a,b,c", &error), 0);
	CU_ASSERT_EQUAL_FATAL(hub_script_parse(&hub_switch.script, &config.names, "story", script,
				  strlen(script), &error),
	    0);
	int result = hub_switch_open(&hub_switch, &config, &error);
	if (result != 0)
		printf("%s\n", error.text);
	CU_ASSERT_EQUAL_FATAL(result, 0);
}

/* Devices are stopped, not closed: rings cannot be made into devices twice. */
static void
rig_close(void)
{
	struct rte_mbuf *frame;
	for (uint32_t i = 0; i < PORTS; i++) {
		while (rte_ring_dequeue(from_switch[i], (void **)&frame) == 0)
			rte_pktmbuf_free(frame);
		rte_eth_dev_stop(hub_switch.ports[i].id);
		hub_switch.ports[i].started = false;
	}
	struct rte_mempool *copies = hub_switch.pool;
	hub_switch.pool = NULL;
	hub_switch_close(&hub_switch);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), BUFFERS);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(copies), copies->size);
	rte_mempool_free(copies);
}

/* A frame from port to port's MAC; to PORTS: to a group. Its body is `tag`. */
static void
put(uint32_t from, uint32_t to, uint8_t tag)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	uint8_t *at = (uint8_t *)rte_pktmbuf_append(m, FRAME_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	if (at == NULL)
		return; /* for the compiler: fatal assertions do return, as far as it knows */
	memset(at, tag, FRAME_SIZE);
	memset(at, 0, 14);
	at[0] = to == PORTS ? 0x33 : 2;
	at[5] = (uint8_t)to;
	at[6] = 2;
	at[11] = (uint8_t)from;
	CU_ASSERT_EQUAL(rte_ring_enqueue(to_switch[from], m), 0);
}

/* Frames that arrived at a port, their tags in `tags`. */
static uint32_t
take(uint32_t port, uint8_t *tags)
{
	struct rte_mbuf *m;
	uint32_t count = 0;
	while (rte_ring_dequeue(from_switch[port], (void **)&m) == 0) {
		if (tags != NULL)
			tags[count] = *rte_pktmbuf_mtod_offset(m, uint8_t *, FRAME_SIZE - 1);
		count++;
		rte_pktmbuf_free(m);
	}
	return count;
}

static void
order(const char *text)
{
	struct hub_order o = {.start = false};
	CU_ASSERT_EQUAL_FATAL(hub_command_parse(&o.command, &hub_switch.config.names, "order", text,
				  strlen(text), NULL),
	    0);
	CU_ASSERT(hub_switch_order(&hub_switch, &o));
}

static void
floods_then_knows(void)
{
	rig_open("");
	put(0, 1, 1);
	CU_ASSERT(hub_switch_poll(&hub_switch, MS) > 0);
	CU_ASSERT_EQUAL(take(1, NULL), 1);
	CU_ASSERT_EQUAL(take(2, NULL), 1);
	put(1, 0, 2);
	put(0, 1, 3);
	hub_switch_poll(&hub_switch, 2 * MS);
	hub_switch_poll(&hub_switch, 3 * MS);
	CU_ASSERT_EQUAL(take(0, NULL), 1);
	CU_ASSERT_EQUAL(take(1, NULL), 1);
	/* Port 2 may have had the one that came before port 1 was known. */
	put(0, 1, 4);
	put(1, 0, 5);
	take(2, NULL);
	hub_switch_poll(&hub_switch, 4 * MS);
	CU_ASSERT_EQUAL(take(2, NULL), 0);
	CU_ASSERT_EQUAL(hub_switch_poll(&hub_switch, 5 * MS), 0);
	rig_close();
}

static void
groups_reach_all(void)
{
	uint8_t tags[RING_SIZE];
	rig_open("");
	for (uint8_t i = 0; i < 10; i++)
		put(2, PORTS, i);
	hub_switch_poll(&hub_switch, MS);
	for (uint32_t port = 0; port < 2; port++) {
		CU_ASSERT_EQUAL_FATAL(take(port, tags), 10);
		for (uint8_t i = 0; i < 10; i++)
			CU_ASSERT_EQUAL(tags[i], i);
	}
	CU_ASSERT_EQUAL(take(2, NULL), 0);
	rig_close();
}

static void
scripts_run_by_the_clock(void)
{
	uint64_t zero_ns = 7ull * 1000 * MS;
	rig_open("at 1ms cut a -> *\nat 3ms heal\n");
	for (uint32_t ms = 0; ms < 5; ms++) {
		put(0, PORTS, 1);
		hub_switch_poll(&hub_switch, zero_ns + ms * MS);
		uint32_t right = ms >= 1 && ms < 3 ? 0 : 1;
		CU_ASSERT_EQUAL(take(1, NULL), right);
		CU_ASSERT_EQUAL(take(2, NULL), right);
	}
	CU_ASSERT_EQUAL(hub_switch.hub.links[0][1].counters.cut, 2);
	/* From the beginning again. */
	const struct hub_order start = {.start = true};
	CU_ASSERT(hub_switch_order(&hub_switch, &start));
	hub_switch_poll(&hub_switch, zero_ns + 10 * MS);
	put(0, PORTS, 1);
	hub_switch_poll(&hub_switch, zero_ns + 11 * MS);
	CU_ASSERT_EQUAL(take(1, NULL), 0);
	rig_close();
}

static void
late_frames_come_in_time(void)
{
	uint8_t tags[RING_SIZE];
	rig_open("delay 2ms a -> b");
	put(0, PORTS, 1);
	put(0, PORTS, 2);
	hub_switch_poll(&hub_switch, 10 * MS);
	CU_ASSERT_EQUAL(take(1, NULL), 0);
	CU_ASSERT_EQUAL(take(2, NULL), 2);
	hub_switch_poll(&hub_switch, 12 * MS - 1);
	CU_ASSERT_EQUAL(take(1, NULL), 0);
	CU_ASSERT(hub_switch_poll(&hub_switch, 12 * MS) > 0);
	CU_ASSERT_EQUAL_FATAL(take(1, tags), 2);
	CU_ASSERT(tags[0] == 1 && tags[1] == 2);
	/* What is on its way when the switch ends is freed. */
	put(0, PORTS, 3);
	hub_switch_poll(&hub_switch, 20 * MS);
	CU_ASSERT_EQUAL(hub_switch.queue.count, 1);
	rig_close();
}

static void
late_frames_have_a_bound(void)
{
	rig_open("delay 2ms * -> b");
	for (uint32_t i = 0; i < 2 * QUEUE; i++)
		put(0, PORTS, 1);
	hub_switch_poll(&hub_switch, 10 * MS);
	CU_ASSERT_EQUAL(hub_switch.counters.drop_late_full, QUEUE);
	CU_ASSERT_EQUAL(hub_switch.ports[2].stats.drop_full, QUEUE);
	hub_switch_poll(&hub_switch, 12 * MS);
	CU_ASSERT_EQUAL(take(1, NULL), QUEUE);
	rig_close();
}

/* One damaged copy, and the frame that others share is whole. */
static void
damage_is_not_shared(void)
{
	struct rte_mbuf *m = NULL;
	uint32_t bits = 0;
	rig_open("corrupt 1 a -> b");
	put(0, PORTS, 0xff);
	hub_switch_poll(&hub_switch, MS);
	struct rte_mbuf *whole = NULL;
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(from_switch[1], (void **)&m), 0);
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(from_switch[2], (void **)&whole), 0);
	CU_ASSERT_EQUAL(m->pkt_len, FRAME_SIZE);
	for (uint32_t i = 0; i < FRAME_SIZE; i++) {
		uint8_t a = *rte_pktmbuf_mtod_offset(m, uint8_t *, i);
		uint8_t b = *rte_pktmbuf_mtod_offset(whole, uint8_t *, i);
		bits += (uint32_t)__builtin_popcount(a ^ b);
	}
	CU_ASSERT_EQUAL(bits, 1);
	CU_ASSERT_EQUAL(*rte_pktmbuf_mtod_offset(whole, uint8_t *, FRAME_SIZE - 1), 0xff);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(whole);
	rig_close();
}

static void
duplicates_come_twice(void)
{
	rig_open("");
	order("duplicate 1 a -> c");
	put(0, PORTS, 1);
	hub_switch_poll(&hub_switch, MS);
	CU_ASSERT_EQUAL(take(1, NULL), 1);
	CU_ASSERT_EQUAL(take(2, NULL), 2);
	rig_close();
}

/* A port that takes nothing keeps its own frames waiting, up to the bound, and no others'. */
static void
slow_port_holds_nobody_up(void)
{
	rig_open("");
	uint32_t filled = 0;
	struct rte_mbuf *m = NULL;
	while ((m = rte_pktmbuf_alloc(pool)) != NULL && rte_ring_enqueue(from_switch[1], m) == 0)
		filled++;
	rte_pktmbuf_free(m);
	for (uint32_t i = 0; i < QUEUE + 5; i++) {
		put(0, PORTS, (uint8_t)i);
		hub_switch_poll(&hub_switch, MS + i);
		CU_ASSERT_EQUAL(take(2, NULL), 1);
	}
	CU_ASSERT_EQUAL(hub_switch.ports[1].stats.drop_full, 5);
	CU_ASSERT_EQUAL(take(1, NULL), filled);
	hub_switch_poll(&hub_switch, 2 * MS);
	CU_ASSERT_EQUAL(take(1, NULL), QUEUE);
	rig_close();
}

static void
nobody_at_the_other_end(void)
{
	rig_open("");
	hub_switch_poll(&hub_switch, MS);
	CU_ASSERT(hub_switch.ports[1].up);
	hub_switch.ports[1].up = false;
	put(0, PORTS, 1);
	hub_switch_poll(&hub_switch, MS + 1);
	CU_ASSERT_EQUAL(take(1, NULL), 0);
	CU_ASSERT_EQUAL(hub_switch.ports[1].stats.drop_down, 1);
	/* It is seen to come back. */
	hub_switch_poll(&hub_switch, MS + HUB_LINK_LOOK_NS);
	put(0, PORTS, 1);
	hub_switch_poll(&hub_switch, MS + HUB_LINK_LOOK_NS + 1);
	CU_ASSERT_EQUAL(take(1, NULL), 1);
	CU_ASSERT_EQUAL(hub_switch.ports[1].stats.ups, 2);
	rig_close();
}

static void
short_frames_are_dropped(void)
{
	rig_open("");
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	rte_pktmbuf_append(m, 13);
	CU_ASSERT_EQUAL(rte_ring_enqueue(to_switch[0], m), 0);
	hub_switch_poll(&hub_switch, MS);
	CU_ASSERT_EQUAL(hub_switch.hub.ports[0].reserved, 1);
	CU_ASSERT_EQUAL(take(1, NULL) + take(2, NULL), 0);
	rig_close();
}

/* Orders beyond those that the switch has not taken yet are refused, and none is lost. */
static void
orders_have_a_bound(void)
{
	struct hub_order o = {.command = {.verb = HUB_HEAL}};
	uint32_t given = 0;
	rig_open("");
	while (given <= HUB_ORDERS_MAX && hub_switch_order(&hub_switch, &o))
		given++;
	CU_ASSERT_EQUAL(given, HUB_ORDERS_MAX);
	hub_switch_poll(&hub_switch, MS);
	CU_ASSERT_EQUAL(hub_switch.counters.orders, HUB_ORDERS_MAX);
	CU_ASSERT(hub_switch_order(&hub_switch, &o));
	rig_close();
}

static const struct unit_story stories[] = {
    {"unknown: to all; known: to one", floods_then_knows},
    {"groups reach all others, in order", groups_reach_all},
    {"scripts run by the clock", scripts_run_by_the_clock},
    {"late frames come in time", late_frames_come_in_time},
    {"late frames have a bound", late_frames_have_a_bound},
    {"damage is not shared", damage_is_not_shared},
    {"duplicates come twice", duplicates_come_twice},
    {"a slow port holds nobody up", slow_port_holds_nobody_up},
    {"nobody at the other end", nobody_at_the_other_end},
    {"short frames are dropped", short_frames_are_dropped},
    {"orders have a bound", orders_have_a_bound},
};

int
main(void)
{
	return lcore_eal_run("hub", stories, sizeof(stories) / sizeof(stories[0]));
}
