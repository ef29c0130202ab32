/* SPDX-License-Identifier: Apache-2.0 */
/* See node.h. */
#include "lcore/node.h"

#include <stdio.h>
#include <stdlib.h>

enum { ERROR_SIZE = 256, CLIENT_BURSTS = 4 };

static void
digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	crypto_real.digest(context, jobs, count);
}

/* NULL: no memory. */
static struct replica *
replica_make(
    struct node *node, const struct node_config *config, struct shard_config *shard, bool restarted)
{
	struct protocol_config protocol = config->plan->protocol;
	protocol.self = node->index;
	protocol.restarted = restarted;
	shard->protocol = &protocol;
	struct replica_config options = {.shard = *shard, .executor = config->plan->executor};
	options.executor.digester = (struct digester){digest, node->crypto};
	/* One life is watched: what comes after a restart begins in the middle. */
	options.executor.observer = restarted ? NULL : config->observer;
	struct replica *replica = calloc(1, sizeof(*replica));
	if (replica != NULL && replica_open(replica, &options) == 0)
		return replica;
	free(replica);
	return NULL;
}

static bool
replicas_make(struct node *node, const struct node_config *config, struct shard_config *shard)
{
	node->replica = replica_make(node, config, shard, config->restarted);
	if (node->replica == NULL || !config->spare)
		return node->replica != NULL;
	shard->id_seed = config->id_seed_spare;
	node->spare = replica_make(node, config, shard, true);
	return node->spare != NULL;
}

static bool
client_make(struct node *node, const struct node_config *config, struct shard_config *shard)
{
	uint16_t number = (uint16_t)(node->index - config->plan->protocol.replicas_count);
	struct protocol_config protocol = config->plan->protocol;
	protocol.self = number;
	protocol.slot_first = (uint16_t)plan_slot_first(config->plan, number);
	protocol.slots_count = plan_slots_count(config->plan, config->options, number);
	shard->protocol = &protocol;
	struct client_config client = {
	    .shard = *shard,
	    .workload = node->workload,
	    .rate = (double)config->options->rate * protocol.slots_count / config->options->clients,
	};
	node->client = calloc(1, sizeof(*node->client));
	return node->client != NULL && client_open(node->client, &client) == 0;
}

bool
node_open(struct node *node, const struct node_config *config, char *error)
{
	uint16_t replicas_count = config->plan->protocol.replicas_count;
	node->index = config->crypto->self;
	node->is_replica = node->index < replicas_count;
	node->workload = config->workload;
	node->burst_max =
	    node->is_replica ? config->plan->burst_max : config->plan->client_burst_max;
	struct notes_config notes = config->notes;
	notes.who = node->is_replica ? "replica" : "client node";
	notes.number = (uint16_t)(node->index - (node->is_replica ? 0 : replicas_count));
	notes_init(&node->notes, &notes);
	trace_init(&node->trace, notes.number);
	node->crypto = crypto_real.open(config->crypto, error);
	if (node->crypto == NULL)
		return false;
	struct endpoint_config endpoint = *config->endpoint;
	endpoint.notes = &node->notes;
	node->endpoint = endpoint_open(&endpoint);
	if (node->endpoint == NULL) {
		snprintf(error, ERROR_SIZE, "node %u: no memory for its packets", node->index);
		return false;
	}
	node->enrolment = config->enrolment;
	if (node->enrolment != NULL)
		node->enrolment->endpoint = node->endpoint;
	struct shard_config shard =
	    plan_shard(config->plan, config->protocol, node->is_replica ? 1ull << node->index : 0);
	shard.crypto_ops = &crypto_real;
	shard.crypto = node->crypto;
	shard.io = endpoint_io(node->endpoint);
	shard.id_seed = config->id_seed;
	bool made = node->is_replica ? replicas_make(node, config, &shard)
				     : client_make(node, config, &shard);
	if (!made)
		snprintf(error, ERROR_SIZE, "node %u: not enough memory", node->index);
	return made;
}

static void
replica_end(struct node *node, struct replica *replica)
{
	if (replica == NULL)
		return;
	endpoint_reclaim(node->endpoint, &replica->shard->outbox);
	replica_close(replica);
	free(replica);
}

void
node_close(struct node *node)
{
	replica_end(node, node->replica);
	replica_end(node, node->spare);
	replica_end(node, node->former);
	if (node->client != NULL && node->client->shard != NULL) {
		endpoint_reclaim(node->endpoint, &node->client->shard->outbox);
		client_close(node->client);
	}
	free(node->client);
	workload_close(node->workload);
	endpoint_close(node->endpoint);
	if (node->crypto != NULL)
		crypto_real.close(node->crypto);
}

static void
phase_follow(struct node *node, uint64_t now_ns)
{
	struct client *c = node->client;
	uint32_t wanted = atomic_load_explicit(&node->phase, memory_order_relaxed);
	if (wanted != c->phase) {
		client_phase_set(c, (enum client_phase)wanted, now_ns);
		node->wake_ns = 0;
		return;
	}
	bool done = c->phase == CLIENT_IDLE || (c->phase == CLIENT_LOAD && c->load_done);
	uint32_t settled = done && client_quiet(c) ? 1 + wanted : 0;
	if (atomic_load_explicit(&node->settled, memory_order_relaxed) != settled)
		atomic_store_explicit(&node->settled, settled, memory_order_release);
}

/* Nothing came and no timer is due: most polls end here, and cost a look at the queue. */
static bool
asleep(const struct node *node, uint32_t count, uint64_t now_ns)
{
	return count == 0 && now_ns < node->wake_ns;
}

/* An answer has come: a silence, if it was one, has ended. */
static void
answered(struct node *node, uint64_t now_ns)
{
	uint64_t from_ns = atomic_load_explicit(&node->watched_from_ns, memory_order_relaxed);
	if (__builtin_expect(from_ns != 0, 0)) {
		from_ns = node->answered_ns > from_ns ? node->answered_ns : from_ns;
		if (from_ns < now_ns)
			silences_add(&node->silences, from_ns, now_ns);
	}
	node->answered_ns = now_ns;
}

void
node_silences(const struct node *node, uint64_t end_ns, struct silences *silences)
{
	uint64_t from_ns = atomic_load_explicit(&node->watched_from_ns, memory_order_relaxed);
	*silences = node->silences;
	from_ns = node->answered_ns > from_ns ? node->answered_ns : from_ns;
	if (from_ns < end_ns)
		silences_add(silences, from_ns, end_ns);
}

static uint32_t
client_poll(struct node *node, uint64_t now_ns, uint32_t count)
{
	phase_follow(node, now_ns);
	if (asleep(node, count, now_ns))
		return 0;
	uint64_t completed = node->client->counters.completed;
	uint32_t steps = client_run(node->client, now_ns, node->datagrams, count);
	if (node->client->counters.completed != completed)
		answered(node, now_ns);
	node->wake_ns = client_deadline(node->client);
	return steps;
}

static uint32_t
replica_poll(struct node *node, uint64_t now_ns, uint32_t count)
{
	if (asleep(node, count, now_ns))
		return 0;
	uint32_t steps = replica_run(node->replica, now_ns, node->datagrams, count);
	trace_burst(&node->trace, node->replica);
	node->wake_ns = replica_deadline(node->replica);
	return steps;
}

/* On the node's own lcore: a swap of pointers, and the former's envelopes go back. */
static void
replica_restart(struct node *node)
{
	check(node->spare != NULL && node->former == NULL);
	node->former = node->replica;
	endpoint_forget(node->endpoint);
	endpoint_reclaim(node->endpoint, &node->former->shard->outbox);
	__atomic_store_n(&node->replica, node->spare, __ATOMIC_RELEASE);
	node->spare = NULL;
	node->wake_ns = 0;
	node_life_set(node, NODE_RUNS);
}

/* The port is emptied, so that no sender's ring stays full; nobody sees what came. */
static void
killed_poll(struct node *node)
{
	node->lost_frames += endpoint_receive(node->endpoint, node->datagrams, node->burst_max);
	endpoint_release(node->endpoint);
}

/* One burst: what came in, and what was done about it and besides. */
static uint32_t
burst_poll(struct node *node, uint64_t now_ns)
{
	uint32_t count = endpoint_receive(node->endpoint, node->datagrams, node->burst_max);
	if (node->enrolment != NULL)
		count = enrolment_poll(node->enrolment, now_ns, node->datagrams, count);
	uint32_t steps =
	    node->is_replica ? replica_poll(node, now_ns, count) : client_poll(node, now_ns, count);
	endpoint_release(node->endpoint);
	return steps + count;
}

uint32_t
node_poll(void *self, uint64_t now_ns)
{
	struct node *node = self;
	enum node_life life = node_life(node);
	if (__builtin_expect(life != NODE_RUNS, 0)) {
		killed_poll(node);
		if (life == NODE_RESTARTS)
			replica_restart(node);
		return 0;
	}
	uint32_t work = 0;
	uint32_t count = 0;
	/*
	 * A client node gets an answer from every replica, most of which it only drops: where
	 * it shares its lcore with replicas, one burst a round would let them pile up.
	 */
	uint32_t bursts = node->is_replica ? 1 : CLIENT_BURSTS;
	do {
		count = burst_poll(node, now_ns);
		work += count;
	} while (--bursts > 0 && count >= node->burst_max);
	return work;
}
