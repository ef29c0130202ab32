/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /oskr/view, /oskr/latency, /oskr/shards and /oskr/peers answer. DPDK's telemetry
 * thread; reads single words that lcores write, so figures of one answer may be a burst
 * apart from each other.
 */
#include <stdio.h>

#include "lcore/clock.h"
#include "lcore/counts.h"
#include "lcore/report.h"

enum {
	NAME_SIZE = 48,
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
		const struct machine *machine = node_shard(node)->config.machine;
		telemetry_text(rows, lives[node_life(node)], "replica_%u/life", node->index);
		for (uint32_t k = 0; k < c->options->instances; k++)
			telemetry_number(rows, machine->view(node_machine(node, k)),
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

/* One lcore's part: `name` is of the node, or of a pillar of it. */
static void
shard_add(
    const struct cluster *c, const struct node *node, const char *name, struct telemetry_rows *rows)
{
	const struct shard *s = node_shard(node);
	const struct loop *loop = &c->loops[node->lcore];
	telemetry_number(rows, c->lcores->list[node->lcore].lcore, "%s/lcore", name);
	telemetry_number(rows, s->config.machines_count, "%s/instances", name);
	telemetry_number(rows, READ(s->counters.bursts), "%s/bursts", name);
	telemetry_number(rows, READ(s->counters.messages), "%s/messages", name);
	telemetry_number(rows, READ(s->counters.sends), "%s/sends", name);
	telemetry_number(rows, READ(s->counters.claims), "%s/claims", name);
	for (uint32_t i = 0; i < loop->tasks_count; i++) {
		if (loop->tasks[i].self != node)
			continue;
		telemetry_number(rows, READ(loop->tasks[i].busy_cycles), "%s/busy_cycles", name);
		telemetry_number(rows, READ(loop->tasks[i].idle_cycles), "%s/idle_cycles", name);
	}
}

/* What an executor and a pillar have given each other, and how often they had to wait. */
static void
pillar_add(
    const struct cluster *c, const struct node *node, const char *name, struct telemetry_rows *rows)
{
	const struct pillar_counters *p = &node_pillar(node)->counters;
	shard_add(c, node, name, rows);
	telemetry_number(rows, READ(p->parcels), "%s/parcels", name);
	telemetry_number(rows, READ(p->waits), "%s/waits", name);
	telemetry_number(rows, READ(p->blocked), "%s/blocked", name);
	telemetry_number(rows, READ(p->outdated), "%s/outdated", name);
}

static void
replica_add(
    const struct cluster *c, const struct node *node, const char *name, struct telemetry_rows *rows)
{
	const struct replica *r = node_replica(node);
	telemetry_number(rows, READ(r->position), "%s/position", name);
	telemetry_number(rows, READ(r->stable), "%s/stable", name);
	if (node->pillars_count > 0) {
		telemetry_number(rows, READ(r->answers.counters.parcels), "%s/parcels", name);
		telemetry_number(rows, READ(r->answers.counters.waits), "%s/waits", name);
	}
	for (uint32_t k = 0; k < node->pillars_count; k++) {
		char pillar[2 * NAME_SIZE];
		snprintf(pillar, sizeof(pillar), "%s_pillar_%u", name, k);
		pillar_add(c, &node->pillars[k], pillar, rows);
	}
}

void
report_fill_shards(void *self, struct telemetry_rows *rows)
{
	const struct cluster *c = self;
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		const struct node *node = &c->nodes[i];
		char name[NAME_SIZE];
		uint32_t number;
		const char *kind = node_kind(c, node, &number);
		snprintf(name, sizeof(name), "%s_%u", kind, number);
		shard_add(c, node, name, rows);
		if (node->is_replica)
			replica_add(c, node, name, rows);
	}
}

/* Messages of a peer that any lcore of the node has heard, and when the last one came. */
static struct shard_peer
peer_of(const struct node *node, uint32_t peer)
{
	const struct shard_peer *own = &node_shard(node)->peers[peer];
	struct shard_peer sum = {READ(own->messages), READ(own->heard_ns)};
	for (uint32_t k = 0; k < node->pillars_count; k++) {
		const struct shard_peer *one = &node_shard(&node->pillars[k])->peers[peer];
		uint64_t heard_ns = READ(one->heard_ns);
		sum.messages += READ(one->messages);
		sum.heard_ns = heard_ns > sum.heard_ns ? heard_ns : sum.heard_ns;
	}
	return sum;
}

void
report_fill_peers(void *self, struct telemetry_rows *rows)
{
	const struct cluster *c = self;
	uint64_t now_ns = clock_ns(c->control.config.clock, rte_rdtsc());
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		uint32_t number;
		const char *kind = node_kind(c, &c->nodes[i], &number);
		for (uint32_t peer = 0; peer < c->replicas_count; peer++) {
			struct shard_peer heard = peer_of(&c->nodes[i], peer);
			if (c->nodes[i].is_replica && peer == c->nodes[i].index)
				continue;
			telemetry_number(
			    rows, heard.messages, "%s_%u/replica_%u/messages", kind, number, peer);
			telemetry_number(rows,
			    now_ns > heard.heard_ns ? now_ns - heard.heard_ns : 0,
			    "%s_%u/replica_%u/silent_ns", kind, number, peer);
		}
	}
}
