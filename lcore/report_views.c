/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /oskr/view, /oskr/latency, /oskr/shards and /oskr/peers answer. DPDK's telemetry
 * thread; reads single words that lcores write, so figures of one answer may be a burst
 * apart from each other.
 */
#include "lcore/clock.h"
#include "lcore/counts.h"
#include "lcore/report.h"

enum {
	LATENCY_BOUND_MIN = 10, /* the first bound of /oskr/latency is 2^10 ns, */
	LATENCY_BOUND_MAX = 36, /* the last 2^36: 69 s */
};

#define READ(word) __atomic_load_n(&(word), __ATOMIC_RELAXED)

struct telemetry_source
report_telemetry(struct cluster *c)
{
	return (struct telemetry_source){
	    .self = c,
	    .fill = {[TELEMETRY_INFO] = report_fill_info,
		[TELEMETRY_STATS] = report_fill_stats,
		[TELEMETRY_VIEW] = report_fill_view,
		[TELEMETRY_LATENCY] = report_fill_latency,
		[TELEMETRY_SHARDS] = report_fill_shards,
		[TELEMETRY_PEERS] = report_fill_peers},
	};
}

/* "replica" or "client", and its number in *number. */
static const char *
node_kind(const struct cluster *c, const struct node *node, uint32_t *number)
{
	*number = node->is_replica ? node->index : node->index - (uint32_t)c->replicas_count;
	return node->is_replica ? "replica" : "client";
}

void
report_fill_view(void *self, struct telemetry_rows *rows)
{
	static const char *const lives[] = {
	    [NODE_RUNS] = "runs", [NODE_KILLED] = "killed", [NODE_RESTARTS] = "restarts"};
	const struct cluster *c = self;
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		const struct node *node = &c->nodes[i];
		if (!node->is_replica)
			continue;
		const struct shard *s = node_shard(node);
		telemetry_text(rows, lives[node_life(node)], "replica_%u/life", node->index);
		for (uint32_t k = 0; k < s->config.machines_count; k++)
			telemetry_number(rows, s->config.machine->view(s->machines[k]),
			    "replica_%u/instance_%u/view", node->index, k);
		telemetry_number(
		    rows, READ(node_replica(node)->position), "replica_%u/position", node->index);
	}
}

/* ---- latency ------------------------------------------------------------ */

/* Adds what another lcore goes on recording, a word at a time. */
static void
histogram_read(struct histogram *into, const struct histogram *from)
{
	uint64_t min_ns = READ(from->min_ns);
	uint64_t max_ns = READ(from->max_ns);
	uint64_t low_ns = READ(from->sum_low_ns);
	into->min_ns = min_ns < into->min_ns ? min_ns : into->min_ns;
	into->max_ns = max_ns > into->max_ns ? max_ns : into->max_ns;
	into->sum_high_ns += READ(from->sum_high_ns) +
			     __builtin_add_overflow(into->sum_low_ns, low_ns, &into->sum_low_ns);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS_COUNT; i++) {
		uint64_t count = READ(from->buckets[i]);
		into->buckets[i] += count;
		/* Not the other's own count, which may be a value ahead of its buckets. */
		into->count += count;
	}
}

static void
percentiles_add(const struct histogram *h, struct telemetry_rows *rows)
{
	static const struct {
		const char *name;
		double percentile;
	} list[] = {{"p50_ns", 50}, {"p90_ns", 90}, {"p99_ns", 99}, {"p999_ns", 99.9}};
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		telemetry_number(
		    rows, histogram_percentile(h, list[i].percentile), "%s", list[i].name);
}

/* How many values lie below each power of two: what monitoring systems add up over nodes. */
static void
bounds_add(const struct histogram *h, struct telemetry_rows *rows)
{
	uint64_t below = 0;
	uint32_t bucket = 0;
	for (uint32_t power = LATENCY_BOUND_MIN; power <= LATENCY_BOUND_MAX; power++) {
		for (; bucket < histogram_bucket(1ull << power); bucket++)
			below += h->buckets[bucket];
		telemetry_number(rows, below, "below_ns/%llu", 1ull << power);
	}
}

void
report_fill_latency(void *self, struct telemetry_rows *rows)
{
	/* 32 KiB; telemetry's threads come one at a time. */
	static struct histogram all;
	const struct cluster *c = self;
	histogram_init(&all);
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		if (!c->nodes[i].is_replica)
			histogram_read(&all, &c->nodes[i].client->latency);
	}
	telemetry_number(rows, all.count, "count");
	telemetry_number(rows, all.sum_low_ns, "sum_ns");
	telemetry_number(rows, histogram_min(&all), "min_ns");
	telemetry_number(rows, histogram_max(&all), "max_ns");
	percentiles_add(&all, rows);
	bounds_add(&all, rows);
}

/* ---- shards and peers --------------------------------------------------- */

static void
shard_add(const struct cluster *c, const struct node *node, struct telemetry_rows *rows)
{
	uint32_t number;
	const char *kind = node_kind(c, node, &number);
	const struct shard *s = node_shard(node);
	const struct loop *loop = &c->loops[node->lcore];
	telemetry_number(rows, c->lcores->list[node->lcore].lcore, "%s_%u/lcore", kind, number);
	telemetry_number(rows, s->config.machines_count, "%s_%u/instances", kind, number);
	telemetry_number(rows, READ(s->counters.bursts), "%s_%u/bursts", kind, number);
	telemetry_number(rows, READ(s->counters.messages), "%s_%u/messages", kind, number);
	telemetry_number(rows, READ(s->counters.sends), "%s_%u/sends", kind, number);
	telemetry_number(rows, READ(s->counters.claims), "%s_%u/claims", kind, number);
	for (uint32_t i = 0; i < loop->tasks_count; i++) {
		if (loop->tasks[i].self != node)
			continue;
		telemetry_number(
		    rows, READ(loop->tasks[i].busy_cycles), "%s_%u/busy_cycles", kind, number);
		telemetry_number(
		    rows, READ(loop->tasks[i].idle_cycles), "%s_%u/idle_cycles", kind, number);
	}
	if (!node->is_replica)
		return;
	const struct replica *r = node_replica(node);
	telemetry_number(rows, READ(r->position), "%s_%u/position", kind, number);
	telemetry_number(rows, READ(r->stable), "%s_%u/stable", kind, number);
}

void
report_fill_shards(void *self, struct telemetry_rows *rows)
{
	const struct cluster *c = self;
	for (uint32_t i = 0; i < c->nodes_count; i++)
		shard_add(c, &c->nodes[i], rows);
}

void
report_fill_peers(void *self, struct telemetry_rows *rows)
{
	const struct cluster *c = self;
	uint64_t now_ns = clock_ns(c->control.config.clock, rte_rdtsc());
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		uint32_t number;
		const char *kind = node_kind(c, &c->nodes[i], &number);
		const struct shard *s = node_shard(&c->nodes[i]);
		for (uint32_t peer = 0; peer < c->replicas_count; peer++) {
			uint64_t heard_ns = READ(s->peers[peer].heard_ns);
			if (c->nodes[i].is_replica && peer == c->nodes[i].index)
				continue;
			telemetry_number(rows, READ(s->peers[peer].messages),
			    "%s_%u/replica_%u/messages", kind, number, peer);
			telemetry_number(rows, now_ns > heard_ns ? now_ns - heard_ns : 0,
			    "%s_%u/replica_%u/silent_ns", kind, number, peer);
		}
	}
}
