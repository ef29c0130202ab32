/* SPDX-License-Identifier: Apache-2.0 */
/* What /oskr/info and /oskr/stats answer. DPDK's telemetry thread; reads only. */
#include <rte_mempool.h>

#include "lcore/counts.h"
#include "lcore/report.h"

void
report_fill_info(void *self, struct telemetry_rows *rows)
{
	const struct cluster *c = self;
	const struct options *o = c->options;
	telemetry_text(rows, o->mode->name, "protocol");
	telemetry_number(rows, c->plan.protocol.protocol, "protocol_number");
	telemetry_number(rows, c->plan.protocol.cluster, "cluster");
	telemetry_number(rows, o->replicas, "n");
	if (!options_mode_single(o->mode))
		telemetry_number(rows, o->faults, "f");
	telemetry_number(rows, o->instances, "instances");
	telemetry_number(rows, o->clients, "clients");
	telemetry_number(rows, c->lcores_count, "lcores");
	telemetry_text(rows, options_app_name(o->app), "app");
	telemetry_text(rows, options_workload_name(o->workload), "workload");
	telemetry_text(rows, auth_name(o->auth), "auth");
	telemetry_text(rows, auth_name(o->request_auth), "request_auth");
	telemetry_text(rows, auth_name(o->reply_auth), "reply_auth");
	telemetry_number(rows, memory_plan_total(&c->memory), "memory_bytes");
}

/* The pool of packet buffers: a leak is a `used` that grows while the load does not. */
static void
fill_pool(const struct cluster *c, struct telemetry_rows *rows)
{
	uint32_t available = rte_mempool_avail_count(c->pool);
	uint32_t least = __atomic_load_n(&c->control.available_min, __ATOMIC_RELAXED);
	const char *name = c->pool->name;
	telemetry_number(rows, c->pool->size, "pool_%s/size", name);
	telemetry_number(rows, available, "pool_%s/available", name);
	telemetry_number(rows, c->pool->size - available, "pool_%s/used", name);
	/* Nobody has looked before the loops run. */
	telemetry_number(
	    rows, least == UINT32_MAX ? available : least, "pool_%s/available_min", name);
}

void
report_fill_stats(void *self, struct telemetry_rows *rows)
{
	const struct cluster *c = self;
	fill_pool(c, rows);
	for (uint32_t i = 0; i < c->lcores_count; i++) {
		uint64_t busy = __atomic_load_n(&c->loops[i].aside.busy_cycles, __ATOMIC_RELAXED);
		uint64_t idle = 0;
		for (uint32_t j = 0; j < c->loops[i].tasks_count; j++) {
			busy +=
			    __atomic_load_n(&c->loops[i].tasks[j].busy_cycles, __ATOMIC_RELAXED);
			idle +=
			    __atomic_load_n(&c->loops[i].tasks[j].idle_cycles, __ATOMIC_RELAXED);
		}
		telemetry_number(rows, busy, "lcore_%u/busy_cycles", i);
		telemetry_number(rows, idle, "lcore_%u/idle_cycles", i);
	}
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		struct count_rows list;
		const struct node *node = &c->nodes[i];
		uint32_t number = node->index - (node->is_replica ? 0u : c->replicas_count);
		counts_all(c, node, &list);
		for (uint32_t j = 0; j < list.count; j++) {
			telemetry_number(rows, list.list[j].value, "%s_%u/%s",
			    node->is_replica ? "replica" : "client", number, list.list[j].name);
		}
		struct figures figures;
		counts_protocol(node, &figures);
		for (uint32_t j = 0; j < figures.count; j++) {
			telemetry_number(rows, figures.list[j].value, "%s_%u/protocol/%s",
			    node->is_replica ? "replica" : "client", number, figures.list[j].name);
		}
	}
}
