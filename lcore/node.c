/* SPDX-License-Identifier: Apache-2.0 */
/* See node.h. */
#include "lcore/node.h"

#include <stdio.h>
#include <stdlib.h>

enum { ERROR_SIZE = 256 };

static void
digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	crypto_real.digest(context, jobs, count);
}

static bool
replica_make(struct node *node, const struct node_config *config, struct shard_config *shard)
{
	struct protocol_config protocol = config->plan->protocol;
	protocol.self = node->index;
	shard->protocol = &protocol;
	struct replica_config replica = {.shard = *shard, .executor = config->plan->executor};
	replica.executor.digester = (struct digester){digest, node->crypto};
	replica.executor.observer = config->observer;
	node->replica = calloc(1, sizeof(*node->replica));
	return node->replica != NULL && replica_open(node->replica, &replica) == 0;
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
	node->burst_max = config->plan->burst_max;
	node->crypto = crypto_real.open(config->crypto, error);
	if (node->crypto == NULL)
		return false;
	node->endpoint = endpoint_open(config->endpoint);
	if (node->endpoint == NULL) {
		snprintf(error, ERROR_SIZE, "node %u: no memory for its packets", node->index);
		return false;
	}
	struct shard_config shard =
	    plan_shard(config->plan, config->protocol, node->is_replica ? 1ull << node->index : 0);
	shard.crypto_ops = &crypto_real;
	shard.crypto = node->crypto;
	shard.io = endpoint_io(node->endpoint);
	shard.id_seed = config->id_seed;
	bool made = node->is_replica ? replica_make(node, config, &shard)
				     : client_make(node, config, &shard);
	if (!made)
		snprintf(error, ERROR_SIZE, "node %u: not enough memory", node->index);
	return made;
}

void
node_close(struct node *node)
{
	if (node->replica != NULL && node->replica->shard != NULL) {
		endpoint_reclaim(node->endpoint, &node->replica->shard->outbox);
		replica_close(node->replica);
	}
	if (node->client != NULL && node->client->shard != NULL) {
		endpoint_reclaim(node->endpoint, &node->client->shard->outbox);
		client_close(node->client);
	}
	free(node->replica);
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

static uint32_t
client_poll(struct node *node, uint64_t now_ns, uint32_t count)
{
	phase_follow(node, now_ns);
	if (asleep(node, count, now_ns))
		return 0;
	uint32_t steps = client_run(node->client, now_ns, node->datagrams, count);
	node->wake_ns = client_deadline(node->client);
	return steps;
}

static uint32_t
replica_poll(struct node *node, uint64_t now_ns, uint32_t count)
{
	if (asleep(node, count, now_ns))
		return 0;
	uint32_t steps = replica_run(node->replica, now_ns, node->datagrams, count);
	node->wake_ns = replica_deadline(node->replica);
	return steps;
}

uint32_t
node_poll(void *self, uint64_t now_ns)
{
	struct node *node = self;
	uint32_t count = endpoint_receive(node->endpoint, node->datagrams, node->burst_max);
	uint32_t steps =
	    node->is_replica ? replica_poll(node, now_ns, count) : client_poll(node, now_ns, count);
	endpoint_release(node->endpoint);
	return steps + count;
}
