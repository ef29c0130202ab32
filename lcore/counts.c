/* SPDX-License-Identifier: Apache-2.0 */
/* See counts.h. */
#include "lcore/counts.h"

#include <stddef.h>
#include <string.h>

#include "lcore/process.h"

static void
row(struct count_rows *rows, const char *name, const uint64_t *value)
{
	check(rows->count < COUNTS_MAX);
	rows->list[rows->count++] =
	    (struct count_row){name, __atomic_load_n(value, __ATOMIC_RELAXED)};
}

static void
switch_drops_add(const struct fabric_counters *f, struct count_rows *rows)
{
	row(rows, "drop_switch_full", &f->tx_full);
	row(rows, "drop_switch_unknown", &f->tx_unknown);
	row(rows, "drop_on_purpose", &f->tx_dropped);
}

/* Queues of a port added up, from the offsets of their words. */
static void
queues_row(const struct process *p, struct count_rows *rows, const char *name, size_t offset)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < p->queues_count; i++) {
		const uint8_t *at = (const uint8_t *)device_queue_counters(p->device, i) + offset;
		sum += __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
	}
	row(rows, name, &sum);
}

/* The same of its lcores' ends. */
static void
ends_row(const struct process *p, struct count_rows *rows, const char *name, size_t offset)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < p->ends_count; i++) {
		const uint8_t *at = (const uint8_t *)steer_counters(p->steer, i) + offset;
		sum += __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
	}
	row(rows, name, &sum);
}

/* A port's, its device's and its lcores'. */
static void
port_drops_add(const struct process *p, struct count_rows *rows)
{
	const struct device_status *d = device_status(p->device);
	queues_row(p, rows, "drop_port_checksum", offsetof(struct device_counters, rx_checksum));
	queues_row(p, rows, "drop_port_pieces", offsetof(struct device_counters, rx_pieces));
	queues_row(p, rows, "drop_port_full", offsetof(struct device_counters, tx_full));
	row(rows, "drop_port_missed", &d->missed);
	row(rows, "drop_port_no_buffer", &d->no_buffer);
	ends_row(p, rows, "drop_handed", offsetof(struct steer_counters, handed_lost));
	ends_row(p, rows, "drop_sending", offsetof(struct steer_counters, sent_lost));
}

/* What there is in a process of its own beside what a node of the embedded cluster has. */
static void
process_add(const struct process *p, struct count_rows *rows)
{
	const struct enrolment *e = &p->enrolment;
	const struct enrol_counters *k =
	    e->host != NULL ? enrol_host_counters(e->host) : enrol_guest_counters(e->guest);
	ends_row(p, rows, "landed_right", offsetof(struct steer_counters, right));
	ends_row(p, rows, "handed_over", offsetof(struct steer_counters, handed));
	queues_row(p, rows, "port_other", offsetof(struct device_counters, rx_other));
	queues_row(p, rows, "port_joined", offsetof(struct device_counters, rx_joined));
	row(rows, "link_changes", &device_status(p->device)->link_changes);
	row(rows, "link_connects", &device_status(p->device)->connects);
	row(rows, "enrol_taken", &k->taken);
	row(rows, "enrol_malformed", &k->malformed);
	row(rows, "enrol_unproven", &k->unproven);
	row(rows, "enrol_stale", &k->stale);
	row(rows, "answered_arp", &p->neighbour.counters.arp);
	row(rows, "answered_echo", &p->neighbour.counters.echo);
	row(rows, "answered_question", &p->neighbour.counters.asked);
	row(rows, "answers_limited", &p->neighbour.counters.limited);
}

static void
drops_add(const struct cluster *c, const struct node *node, struct count_rows *rows)
{
	static const char *const frame_names[FRAME_ERRORS_COUNT] = {NULL, "drop_frame_short",
	    "drop_frame_ethertype", "drop_frame_ip", "drop_frame_port", "drop_frame_segmented"};
	const struct endpoint_counters *e = endpoint_counters(node->endpoint);
	const struct shard *s = node_shard(node);
	/* The port is counted once, with the node that owns it. */
	if (c->process != NULL && node->of == NULL)
		port_drops_add(c->process, rows);
	else if (c->process == NULL)
		switch_drops_add(
		    fabric_queue_counters(c->fabric, node->index, node_part(node)), rows);
	if (c->process != NULL)
		row(rows, "drop_client_unknown", &e->tx_unknown);
	row(rows, "drop_no_buffer", &e->rx_no_copy);
	row(rows, "drop_no_slot", &e->tx_no_slot);
	row(rows, "drop_no_copy", &e->tx_no_copy);
	row(rows, "drop_loop_small", &e->loop_full);
	for (uint32_t i = FRAME_OK + 1; i < FRAME_ERRORS_COUNT; i++)
		row(rows, frame_names[i], &e->drops[i]);
	for (uint32_t i = 0; i < SHARD_DROPS_COUNT; i++) {
		if (i != SHARD_DROP_PARSE + PARSE_OK)
			row(rows, shard_drop_name(i), &s->counters.drops[i]);
	}
	if (!node->is_replica)
		return;
	row(rows, "drop_down", &node->lost_frames);
	if (node->of != NULL) {
		row(rows, "drop_read", &node_pillar(node)->counters.reads_dropped);
		return;
	}
	const struct replica_counters *r = &node_replica(node)->counters;
	row(rows, "drop_recall", &r->recalls_dropped);
	row(rows, "drop_read", &r->reads_dropped);
}

static void
execution_add(const struct replica *r, struct count_rows *rows)
{
	const struct executor_statistics *x = &r->executor.statistics;
	row(rows, "batches", &x->batches);
	row(rows, "executed", &x->executed);
	row(rows, "duplicates", &x->duplicates);
	row(rows, "stale", &x->stale);
	row(rows, "replies_lost", &x->lost);
	row(rows, "requests_invalid", &x->invalid);
	row(rows, "requests_no_slot", &x->slots_unknown);
	row(rows, "batches_malformed", &x->batches_malformed);
	row(rows, "reads", &x->read_only);
	row(rows, "blocked", &r->counters.blocked);
}

/* Moves of the state: where there are no peers, there are none. */
static void
moves_add(const struct replica *r, struct count_rows *rows)
{
	const struct replica_counters *k = &r->counters;
	const struct transfer_counters *t = &r->transfer.counters;
	row(rows, "batches_forgotten", &k->batches_forgotten);
	row(rows, "rollbacks", &k->rollbacks);
	row(rows, "rollbacks_failed", &k->rollbacks_failed);
	row(rows, "transfers_failed", &k->transfers_failed);
	row(rows, "transfer_begun", &t->begun);
	row(rows, "transfer_done", &t->done);
	row(rows, "transfer_fetches", &t->fetches);
	row(rows, "transfer_hedges", &t->hedges);
	row(rows, "transfer_expired", &t->expired);
	row(rows, "transfer_late", &t->late);
	row(rows, "transfer_wrong", &t->wrong);
	row(rows, "transfer_gone", &t->gone);
	row(rows, "transfer_asked", &t->fetched);
	row(rows, "transfer_displaced", &t->displaced);
	row(rows, "transfer_served", &t->served);
	row(rows, "transfer_served_gone", &t->served_gone);
	row(rows, "transfer_served_bytes", &t->served_bytes);
}

/* Large messages. What the assembler refuses is in drop_segment, too; here is why. */
static void
segments_add(const struct shard *s, struct count_rows *rows)
{
	const struct segmenter_counters *out = segmenter_counters(s->segmenter);
	const struct assembler_counters *in = assembler_counters(s->assembler);
	row(rows, "large_sent", &out->messages);
	row(rows, "large_unposted", &out->unposted);
	row(rows, "segments_sent", &out->segments);
	row(rows, "segments_repaired", &out->repairs);
	row(rows, "nacks_obeyed", &out->nacks);
	for (uint32_t i = 0; i < SEGMENTER_DROPS_COUNT; i++)
		row(rows, segmenter_drop_name(i), &out->drops[i]);
	row(rows, "large_begun", &in->opened);
	row(rows, "large_evicted", &in->evicted);
	row(rows, "large_expired", &in->expired);
	row(rows, "nacks_sent", &in->nacks);
	row(rows, "nacks_withheld", &in->withheld);
	for (uint32_t i = 0; i < ASSEMBLER_VERDICTS_COUNT; i++) {
		if (assembler_verdict_name(i) != NULL)
			row(rows, assembler_verdict_name(i), &in->verdicts[i]);
	}
}

/* Adds a pillar's rows to its replica's, which have all of their names. */
static void
pillar_join(struct count_rows *rows, const struct count_rows *pillar)
{
	for (uint32_t i = 0; i < pillar->count; i++) {
		uint32_t at = 0;
		while (at < rows->count && strcmp(rows->list[at].name, pillar->list[i].name) != 0)
			at++;
		check(at < rows->count);
		rows->list[at].value += pillar->list[i].value;
	}
}

/* Of one lcore. */
static void
counts_here(const struct cluster *c, const struct node *node, struct count_rows *rows)
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
	struct crypto_counters proofs;
	crypto_count(node->crypto, &proofs);
	row(rows, "signatures", &proofs.signatures);
	row(rows, "verifications", &proofs.verifications);
	row(rows, "notes", &node->notes.written);
	row(rows, "notes_left_out", &node->notes.left_out);
	if (node->of != NULL) {
		row(rows, "blocked", &node_pillar(node)->counters.blocked);
	} else if (node->is_replica) {
		execution_add(node_replica(node), rows);
		if (c->replicas_count > 1)
			moves_add(node_replica(node), rows);
	} else {
		const struct client_counters *k = &node->client->counters;
		row(rows, "completed", &k->completed);
		row(rows, "wrong", &k->wrong);
		row(rows, "refused", &k->refused);
		row(rows, "lost", &k->lost);
	}
	if (c->process != NULL && node->of == NULL)
		process_add(c->process, rows);
	if (c->process != NULL) {
		row(rows, "ports_changed", &endpoint_counters(node->endpoint)->steered);
		row(rows, "tx_group", &endpoint_counters(node->endpoint)->tx_group);
	}
	if (s->segmenter != NULL)
		segments_add(s, rows);
	drops_add(c, node, rows);
}

void
counts_all(const struct cluster *c, const struct node *node, struct count_rows *rows)
{
	counts_here(c, node, rows);
	for (uint32_t i = 0; i < node->pillars_count; i++) {
		struct count_rows pillar;
		counts_here(c, &node->pillars[i], &pillar);
		pillar_join(rows, &pillar);
	}
}

void
counts_drops(const struct cluster *c, const struct node *node, struct count_rows *rows)
{
	rows->count = 0;
	drops_add(c, node, rows);
	for (uint32_t i = 0; i < node->pillars_count; i++) {
		struct count_rows pillar = {.count = 0};
		drops_add(c, &node->pillars[i], &pillar);
		pillar_join(rows, &pillar);
	}
}

void
counts_join(struct figures *figures, const struct figures *other)
{
	check(figures->count == 0 || figures->count == other->count);
	if (figures->count == 0) {
		*figures = *other;
		return;
	}
	for (uint32_t i = 0; i < other->count; i++) {
		struct figure *a = &figures->list[i];
		const struct figure *b = &other->list[i];
		if (a->adds_up)
			a->value += b->value;
		else if (b->value > a->value)
			a->value = b->value;
	}
}

/* What divides one whole: figures whose names begin with the same of these. */
static const char *const wholes[] = {"answers_"};

static const char *
whole_of(const char *name)
{
	for (size_t i = 0; i < sizeof(wholes) / sizeof(wholes[0]); i++) {
		if (strncmp(name, wholes[i], strlen(wholes[i])) == 0)
			return wholes[i];
	}
	return NULL;
}

double
counts_share(const struct figures *figures, uint32_t index)
{
	const struct figure *f = &figures->list[index];
	const char *whole = whole_of(f->name);
	uint64_t sum = 0;
	if (whole == NULL)
		return -1;
	for (uint32_t i = 0; i < figures->count; i++) {
		if (whole_of(figures->list[i].name) == whole)
			sum += figures->list[i].value;
	}
	return sum > 0 ? (double)f->value / (double)sum : -1;
}

void
counts_protocol(const struct node *node, struct figures *figures)
{
	const struct shard *s = node_shard(node);
	uint32_t instances = node_instances(node);
	figures->count = 0;
	if (s->config.machine->figures == NULL)
		return;
	for (uint32_t i = 0; i < instances; i++) {
		struct figures one = {.count = 0};
		s->config.machine->figures(node_machine(node, i), &one);
		counts_join(figures, &one);
	}
}
