/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-switch put together: ports, the hub that decides, the frames on their way, the
 * script, and orders that come by telemetry. One lcore polls it.
 *
 *     hub_port_receive -> hub_targets -> for each port: hub_judge -> now or hub_queue
 *     hub_queue_pop -> hub_port_push -> hub_port_send
 *
 * A frame for several ports is shared, not copied, unless it is damaged on its way.
 */
#ifndef OSKR_LCORE_HUB_SWITCH_H
#define OSKR_LCORE_HUB_SWITCH_H

#include <rte_mbuf.h>

#include "lcore/hub_port.h"
#include "lcore/hub_queue.h"
#include "lcore/hub_script.h"
#include "lcore/pipe.h"
#include "lcore/telemetry.h"

enum {
	HUB_ORDERS_MAX = 8,	    /* that telemetry gave and the switch has not yet taken */
	HUB_ORDERS_PIPE = 16,	    /* a power of two above it */
	HUB_POOL_CACHE = 128,	    /* frames kept by the lcore */
	HUB_FRAME_ROOM_MIN = 2048,  /* bytes of a frame's buffer, beside its headroom */
	HUB_FRAME_OVERHEAD = 14 + 8 /* Ethernet, two VLAN tags */
};

/* What telemetry asks of the switch. */
struct hub_order {
	bool start; /* the script, from its beginning; else `command` */
	struct hub_command command;
};

struct hub_switch_config {
	struct hub_names names; /* of the ethdev ports 0 .. count - 1 */
	uint64_t seed;
	uint64_t age_ns;
	uint32_t queue_max; /* frames on their way to a port, and as many that wait for it */
	uint32_t mtu;
	bool script_waits; /* until it is started by telemetry */
};

struct hub_switch_counters {
	uint64_t drop_late_full; /* as many are on their way to a port as may */
	uint64_t drop_no_copy;	 /* no buffer for the copy that is to be damaged */
	uint64_t orders;
};

struct hub_switch {
	struct hub_switch_config config;
	struct hub_script script;
	bool script_runs;
	uint64_t script_zero_ns; /* when it began */
	uint32_t script_next;	 /* event */
	struct rte_mempool *pool;
	struct hub hub;
	struct hub_queue queue;
	uint32_t ports_count;
	struct hub_port ports[HUB_PORTS_MAX];
	struct pipe orders; /* of struct hub_order: from telemetry, */
	struct pipe spent;  /* and back */
	struct hub_order order_list[HUB_ORDERS_MAX];
	struct hub_switch_counters counters;
};

/* MiB that DPDK needs for it: frames' buffers and rings. */
uint32_t hub_switch_memory_mib(uint32_t ports_count, uint32_t queue_max, uint32_t mtu);

/*
 * Opens all ethdev ports, as many as there are names. s->script is filled by the caller
 * before. Returns 0, or a negative errno with one line in `error`; close it then, too.
 */
int hub_switch_open(
    struct hub_switch *s, const struct hub_switch_config *config, struct config_error *error);

void hub_switch_close(struct hub_switch *s);

/* For the loop: one round. `self` is a struct hub_switch. Returns 0 when nothing moved. */
uint32_t hub_switch_poll(void *self, uint64_t now_ns);

/* Gives an order. Telemetry's thread, one at a time. False: too many are under way. */
bool hub_switch_order(struct hub_switch *s, const struct hub_order *order);

/* /oskr/info and /oskr/stats; `self` is a struct hub_switch. */
void hub_switch_fill_info(void *self, struct telemetry_rows *rows);
void hub_switch_fill_stats(void *self, struct telemetry_rows *rows);

#endif
