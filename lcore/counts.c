/* SPDX-License-Identifier: Apache-2.0 */
/* See counts.h. */
#include "lcore/counts.h"

static void
row(struct count_rows *rows, const char *name, const uint64_t *value)
{
	check(rows->count < COUNTS_MAX);
	rows->list[rows->count++] =
	    (struct count_row){name, __atomic_load_n(value, __ATOMIC_RELAXED)};
}

static void
drops_add(const struct cluster *c, const struct node *node, struct count_rows *rows)
{
	static const char *const frame_names[FRAME_ERRORS_COUNT] = {NULL, "drop_frame_short",
	    "drop_frame_ethertype", "drop_frame_ip", "drop_frame_port", "drop_frame_segmented"};
	const struct endpoint_counters *e = endpoint_counters(node->endpoint);
	const struct fabric_counters *f = fabric_queue_counters(c->fabric, node->index, 0);
	const struct shard *s = node_shard(node);
	row(rows, "drop_switch_full", &f->tx_full);
	row(rows, "drop_switch_unknown", &f->tx_unknown);
	row(rows, "drop_on_purpose", &f->tx_dropped);
	row(rows, "drop_no_slot", &e->tx_no_slot);
	row(rows, "drop_no_copy", &e->tx_no_copy);
	row(rows, "drop_loop_small", &e->loop_full);
	for (uint32_t i = FRAME_OK + 1; i < FRAME_ERRORS_COUNT; i++)
		row(rows, frame_names[i], &e->drops[i]);
	for (uint32_t i = 0; i < SHARD_DROPS_COUNT; i++) {
		if (i != SHARD_DROP_PARSE + PARSE_OK)
			row(rows, shard_drop_name(i), &s->counters.drops[i]);
	}
	if (node->is_replica)
		row(rows, "drop_recall", &node->replica->counters.recalls_dropped);
}

void
counts_all(const struct cluster *c, const struct node *node, struct count_rows *rows)
{
	const struct endpoint_counters *e = endpoint_counters(node->endpoint);
	const struct shard *s = node_shard(node);
	rows->count = 0;
	row(rows, "rx_frames", &e->rx_frames);
	row(rows, "tx_frames", &e->tx_frames);
	row(rows, "looped", &e->looped);
	row(rows, "moved", &e->moved);
	row(rows, "pool_empty", &e->pool_empty);
	row(rows, "bursts", &s->counters.bursts);
	row(rows, "datagrams", &s->counters.datagrams);
	row(rows, "messages", &s->counters.messages);
	row(rows, "sends", &s->counters.sends);
	row(rows, "timeouts", &s->counters.timeouts);
	row(rows, "claims", &s->counters.claims);
	if (node->is_replica) {
		const struct executor_statistics *x = &node->replica->executor.statistics;
		row(rows, "batches", &x->batches);
		row(rows, "executed", &x->executed);
		row(rows, "duplicates", &x->duplicates);
		row(rows, "stale", &x->stale);
		row(rows, "blocked", &node->replica->counters.blocked);
	} else {
		const struct client_counters *k = &node->client->counters;
		row(rows, "completed", &k->completed);
		row(rows, "wrong", &k->wrong);
		row(rows, "refused", &k->refused);
		row(rows, "lost", &k->lost);
	}
	drops_add(c, node, rows);
}

void
counts_drops(const struct cluster *c, const struct node *node, struct count_rows *rows)
{
	rows->count = 0;
	drops_add(c, node, rows);
}
