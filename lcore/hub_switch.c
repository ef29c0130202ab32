/* SPDX-License-Identifier: Apache-2.0 */
/* See hub_switch.h. */
#include "lcore/hub_switch.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <string.h>

#include "engine/check.h"

enum { MIB = 1024 * 1024 };

static int ports_open(struct hub_switch *s, struct config_error *error);
static void orders_take(struct hub_switch *s, uint64_t now_ns);
static void script_run(struct hub_switch *s, uint64_t now_ns);
static uint32_t late_release(struct hub_switch *s, uint64_t now_ns);
static void forward(struct hub_switch *s, uint32_t from, struct rte_mbuf *frame, uint64_t now_ns);

/* Frames in devices, on their way to each port, and waiting for it. */
static uint32_t
frames_max(uint32_t ports_count, uint32_t queue_max)
{
	return ports_count * (2 * HUB_DESCRIPTORS + 2 * queue_max + HUB_BURST) + HUB_POOL_CACHE;
}

static uint32_t
frame_room(uint32_t mtu)
{
	uint32_t room = mtu + HUB_FRAME_OVERHEAD;
	return RTE_PKTMBUF_HEADROOM + (room > HUB_FRAME_ROOM_MIN ? room : HUB_FRAME_ROOM_MIN);
}

uint32_t
hub_switch_memory_mib(uint32_t ports_count, uint32_t queue_max, uint32_t mtu)
{
	uint64_t frame = sizeof(struct rte_mbuf) + RTE_CACHE_LINE_SIZE + frame_room(mtu);
	uint64_t bytes = frames_max(ports_count, queue_max) * frame;
	/* The rest: rings, descriptors, and what DPDK cannot use at the ends of its segments. */
	return (uint32_t)((bytes + bytes / 8) / MIB) + 32;
}

int
hub_switch_open(
    struct hub_switch *s, const struct hub_switch_config *config, struct config_error *error)
{
	uint32_t count = config->names.count;
	check(count >= 2 && count <= HUB_PORTS_MAX);
	s->config = *config;
	s->script_runs = !config->script_waits;
	const struct hub_config hub = {
	    .ports_count = count, .seed = config->seed, .age_ns = config->age_ns};
	hub_init(&s->hub, &hub);
	s->pool = rte_pktmbuf_pool_create("switch", frames_max(count, config->queue_max),
	    HUB_POOL_CACHE, 0, (uint16_t)frame_room(config->mtu), SOCKET_ID_ANY);
	if (s->pool == NULL || !hub_queue_open(&s->queue, count, config->queue_max) ||
	    !pipe_open(&s->orders, "orders", HUB_ORDERS_PIPE) ||
	    !pipe_open(&s->spent, "spent", HUB_ORDERS_PIPE)) {
		config_error_set(error, 0,
		    "no memory for the frames of %u ports; give DPDK more (-m %u) or lower --queue",
		    count, hub_switch_memory_mib(count, config->queue_max, config->mtu));
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < HUB_ORDERS_MAX; i++) {
		void *order = &s->order_list[i];
		uint32_t pushed = pipe_push(&s->spent, &order, 1);
		check(pushed == 1);
	}
	return ports_open(s, error);
}

static int
ports_open(struct hub_switch *s, struct config_error *error)
{
	uint32_t there = rte_eth_dev_count_avail();
	if (there != s->config.names.count) {
		config_error_set(error, 0,
		    "DPDK has %u ports and there are %u names; give --names one for each port",
		    there, s->config.names.count);
		return -ENODEV;
	}
	for (uint16_t id = 0; id < RTE_MAX_ETHPORTS; id++) {
		if (!rte_eth_dev_is_valid_port(id))
			continue;
		/* Counted before it is open, so that it is closed either way. */
		struct hub_port *port = &s->ports[s->ports_count++];
		int result =
		    hub_port_open(port, id, s->pool, s->config.queue_max, s->config.mtu, error);
		if (result != 0)
			return result;
	}
	check(s->ports_count == there);
	return 0;
}

void
hub_switch_close(struct hub_switch *s)
{
	uint32_t port;
	for (void *m; s->queue.items != NULL && (m = hub_queue_pop(&s->queue, UINT64_MAX, &port));)
		rte_pktmbuf_free(m);
	for (uint32_t i = 0; i < s->ports_count; i++)
		hub_port_close(&s->ports[i]);
	s->ports_count = 0;
	hub_queue_close(&s->queue);
	pipe_close(&s->orders);
	pipe_close(&s->spent);
	rte_mempool_free(s->pool);
	s->pool = NULL;
}

uint32_t
hub_switch_poll(void *self, uint64_t now_ns)
{
	struct hub_switch *s = self;
	struct rte_mbuf *frames[HUB_BURST];
	orders_take(s, now_ns);
	script_run(s, now_ns);
	for (uint32_t i = 0; i < s->ports_count; i++)
		hub_port_look(&s->ports[i], now_ns);
	uint32_t moved = late_release(s, now_ns);
	for (uint32_t i = 0; i < s->ports_count; i++) {
		uint32_t count = hub_port_receive(&s->ports[i], frames);
		for (uint32_t k = 0; k < count; k++)
			forward(s, i, frames[k], now_ns);
		moved += count;
	}
	for (uint32_t i = 0; i < s->ports_count; i++)
		moved += hub_port_send(&s->ports[i]);
	return moved;
}

/* ---- orders and script -------------------------------------------------- */

bool
hub_switch_order(struct hub_switch *s, const struct hub_order *order)
{
	void *slot;
	if (pipe_pull(&s->spent, &slot, 1) == 0)
		return false;
	*(struct hub_order *)slot = *order;
	uint32_t pushed = pipe_push(&s->orders, &slot, 1);
	check(pushed == 1);
	return true;
}

static void
script_start(struct hub_switch *s, uint64_t now_ns)
{
	s->script_runs = true;
	s->script_zero_ns = now_ns;
	s->script_next = 0;
}

static void
orders_take(struct hub_switch *s, uint64_t now_ns)
{
	void *slot;
	while (pipe_pull(&s->orders, &slot, 1) == 1) {
		const struct hub_order *order = slot;
		s->counters.orders++;
		if (order->start)
			script_start(s, now_ns);
		else
			hub_command(&s->hub, &order->command);
		uint32_t pushed = pipe_push(&s->spent, &slot, 1);
		check(pushed == 1);
	}
}

static void
script_run(struct hub_switch *s, uint64_t now_ns)
{
	if (!s->script_runs)
		return;
	if (s->script_zero_ns == 0)
		script_start(s, now_ns);
	while (s->script_next < s->script.count) {
		const struct hub_event *event = &s->script.events[s->script_next];
		if (event->at_ns > now_ns - s->script_zero_ns)
			break;
		hub_command(&s->hub, &event->command);
		s->script_next++;
	}
}

/* ---- frames ------------------------------------------------------------- */

/* Frames whose time has come go to where the others wait. */
static uint32_t
late_release(struct hub_switch *s, uint64_t now_ns)
{
	uint32_t count = 0;
	uint32_t port;
	for (void *m; (m = hub_queue_pop(&s->queue, now_ns, &port)) != NULL; count++)
		hub_port_push(&s->ports[port], m);
	return count;
}

/* A copy with one bit inverted, in place of the reference given; or NULL. */
static struct rte_mbuf *
damage(struct hub_switch *s, struct rte_mbuf *frame, uint32_t bit)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(frame, s->pool, 0, UINT32_MAX);
	rte_pktmbuf_free(frame);
	if (copy == NULL) {
		s->counters.drop_no_copy++;
		return NULL;
	}
	uint32_t byte = bit / 8;
	struct rte_mbuf *segment = copy;
	while (byte >= segment->data_len) {
		byte -= segment->data_len;
		segment = segment->next;
		check(segment != NULL);
	}
	*rte_pktmbuf_mtod_offset(segment, uint8_t *, byte) ^= (uint8_t)(1u << bit % 8);
	return copy;
}

/* One copy of a frame, whose reference is ours, on its way. */
static void
copy_send(
    struct hub_switch *s, uint32_t to, struct rte_mbuf *frame, uint64_t due_ns, uint64_t now_ns)
{
	if (due_ns <= now_ns) {
		hub_port_push(&s->ports[to], frame);
	} else if (!hub_queue_push(&s->queue, to, due_ns, frame)) {
		s->counters.drop_late_full++;
		rte_pktmbuf_free(frame);
	}
}

static void
link_send(struct hub_switch *s, uint32_t from, uint32_t to, struct rte_mbuf *frame, uint64_t now_ns)
{
	struct hub_fate fate = hub_judge(&s->hub, from, to, frame->pkt_len, now_ns);
	for (uint32_t i = 0; i < fate.copies; i++) {
		struct rte_mbuf *copy = frame;
		rte_pktmbuf_refcnt_update(frame, 1);
		if (fate.damaged_bit[i] != HUB_UNDAMAGED)
			copy = damage(s, frame, fate.damaged_bit[i]);
		if (copy != NULL)
			copy_send(s, to, copy, fate.due_ns[i], now_ns);
	}
}

/* The frame is ours; each port that it goes to gets a reference. */
static void
forward(struct hub_switch *s, uint32_t from, struct rte_mbuf *frame, uint64_t now_ns)
{
	if (frame->data_len < sizeof(struct rte_ether_hdr)) {
		s->hub.ports[from].reserved++;
		rte_pktmbuf_free(frame);
		return;
	}
	const uint8_t *addresses = rte_pktmbuf_mtod(frame, const uint8_t *);
	uint64_t targets =
	    hub_targets(&s->hub, from, addresses, addresses + RTE_ETHER_ADDR_LEN, now_ns);
	for (; targets != 0; targets &= targets - 1)
		link_send(s, from, (uint32_t)__builtin_ctzll(targets), frame, now_ns);
	rte_pktmbuf_free(frame);
}

/* ---- telemetry ---------------------------------------------------------- */

void
hub_switch_fill_info(void *self, struct telemetry_rows *rows)
{
	const struct hub_switch *s = self;
	telemetry_text(rows, "oskr-switch", "program");
	telemetry_number(rows, s->ports_count, "ports");
	for (uint32_t i = 0; i < s->ports_count; i++)
		telemetry_text(rows, s->config.names.list[i], "port_%u/name", i);
	telemetry_number(rows, s->config.seed, "seed");
	telemetry_number(rows, s->script.count, "script/commands");
}

#define READ(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)

static void
fill_port(const struct hub_switch *s, uint32_t i, struct telemetry_rows *rows)
{
	const char *name = s->config.names.list[i];
	const struct hub_port_stats *p = &s->ports[i].stats;
	const struct hub_port_counters *c = &s->hub.ports[i];
	telemetry_number(rows, READ(s->ports[i].up), "port_%s/up", name);
	telemetry_number(rows, READ(p->ups), "port_%s/ups", name);
	telemetry_number(rows, READ(p->rx_frames), "port_%s/rx_frames", name);
	telemetry_number(rows, READ(p->tx_frames), "port_%s/tx_frames", name);
	telemetry_number(rows, READ(p->drop_down), "port_%s/drop_down", name);
	telemetry_number(rows, READ(p->drop_full), "port_%s/drop_full", name);
	telemetry_number(rows, READ(c->flooded), "port_%s/flooded", name);
	telemetry_number(rows, READ(c->reserved), "port_%s/drop_reserved", name);
	telemetry_number(rows, READ(c->learnt), "port_%s/macs_learnt", name);
	telemetry_number(rows, READ(c->moved), "port_%s/macs_moved", name);
	telemetry_number(rows, READ(c->not_learnt), "port_%s/macs_not_learnt", name);
}

static void
fill_link(const struct hub_switch *s, uint32_t from, uint32_t to, struct telemetry_rows *rows)
{
	const struct hub_link_counters *c = &s->hub.links[from][to].counters;
	const char *a = s->config.names.list[from];
	const char *b = s->config.names.list[to];
	bool cut = ((READ(s->hub.partitioned[from]) | READ(s->hub.cut[from])) >> to & 1) != 0;
	telemetry_number(rows, cut, "link_%s_%s/is_cut", a, b);
	telemetry_number(rows, READ(c->frames), "link_%s_%s/frames", a, b);
	telemetry_number(rows, READ(c->bytes), "link_%s_%s/bytes", a, b);
	telemetry_number(rows, READ(c->cut), "link_%s_%s/cut", a, b);
	telemetry_number(rows, READ(c->lost), "link_%s_%s/lost", a, b);
	telemetry_number(rows, READ(c->delayed), "link_%s_%s/delayed", a, b);
	telemetry_number(rows, READ(c->duplicated), "link_%s_%s/duplicated", a, b);
	telemetry_number(rows, READ(c->reordered), "link_%s_%s/reordered", a, b);
	telemetry_number(rows, READ(c->corrupted), "link_%s_%s/corrupted", a, b);
}

void
hub_switch_fill_stats(void *self, struct telemetry_rows *rows)
{
	const struct hub_switch *s = self;
	telemetry_number(rows, READ(s->counters.orders), "switch/orders");
	telemetry_number(rows, READ(s->script_next), "switch/script_done");
	telemetry_number(rows, READ(s->counters.drop_late_full), "switch/drop_late_full");
	telemetry_number(rows, READ(s->counters.drop_no_copy), "switch/drop_no_copy");
	telemetry_number(rows, READ(s->queue.count), "switch/on_their_way");
	for (uint32_t i = 0; i < s->ports_count; i++)
		fill_port(s, i, rows);
	for (uint32_t from = 0; from < s->ports_count; from++) {
		for (uint32_t to = 0; to < s->ports_count; to++) {
			if (from != to)
				fill_link(s, from, to, rows);
		}
	}
}
