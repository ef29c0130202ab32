/* SPDX-License-Identifier: Apache-2.0 */
/* See node.h. */
#include "lcore/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/phases.h"
#include "engine/random.h"

/* So soon an executor or pillar that waits for the other looks again. */
#define PARCEL_RETRY_NS 2000ull

enum { ERROR_SIZE = 256, CLIENT_BURSTS = 4 };

static void
digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	crypto_real.digest(context, jobs, count);
}

/* NULL: no memory. `lanes`: to its pillars, if it has any. */
static struct replica *
replica_make(struct node *node, const struct node_config *config, struct shard_config *shard,
    struct lanes *lanes)
{
	bool spare = node->replica != NULL;
	bool restarted = spare || config->restarted;
	struct protocol_config protocol = config->plan->protocol;
	protocol.self = node->index;
	protocol.restarted = restarted;
	shard->protocol = &protocol;
	struct replica_config options = {.shard = *shard, .executor = config->plan->executor};
	options.executor.digester = (struct digester){digest, node->crypto};
	/* One life is watched: what comes after a restart begins in the middle. */
	options.executor.observer = restarted ? NULL : config->observer;
	if (lanes != NULL) {
		options.pillars_count = node->pillars_count;
		options.links = lanes_links(lanes);
	}
	struct replica *replica = calloc(1, sizeof(*replica));
	if (replica != NULL && replica_open(replica, &options) == 0)
		return replica;
	free(replica);
	return NULL;
}

static struct lanes_config
lanes_config(const struct plan *plan, uint32_t node)
{
	return (struct lanes_config){
	    .node = node,
	    .pillars_count = plan->pillars_count,
	    .body_size_max = plan_body_size_max(plan),
	};
}

static bool
lanes_make(struct node *node, const struct node_config *config)
{
	struct lanes_config lanes = lanes_config(config->plan, node->index);
	if (node->pillars_count == 0)
		return true;
	node->lanes = lanes_open(&lanes);
	lanes.life = 1;
	if (config->spare)
		node->lanes_spare = lanes_open(&lanes);
	return node->lanes != NULL && (node->lanes_spare != NULL || !config->spare);
}

static bool
replicas_make(struct node *node, const struct node_config *config, struct shard_config *shard)
{
	if (!lanes_make(node, config))
		return false;
	node->replica = replica_make(node, config, shard, node->lanes);
	if (node->replica == NULL || !config->spare)
		return node->replica != NULL;
	shard->id_seed = config->id_seed_spare;
	node->spare = replica_make(node, config, shard, node->lanes_spare);
	return node->spare != NULL;
}

/* ---- pillars ------------------------------------------------------------------ */

/* NULL: no memory. */
static struct pillar *
pillar_make(struct node *node, const struct node_config *config, struct shard_config *shard,
    struct lanes *lanes)
{
	const struct node *of = node->of;
	uint16_t index = (uint16_t)(node - of->pillars);
	struct protocol_config protocol = config->plan->protocol;
	protocol.self = of->index;
	protocol.restarted = config->restarted || lanes == of->lanes_spare;
	shard->protocol = &protocol;
	struct pillar_config options = {
	    .shard = *shard,
	    .index = index,
	    .pillars_count = of->pillars_count,
	    .link = &lanes_links(lanes)[index],
	};
	/* Ids of large messages are a shard's own. */
	options.shard.id_seed ^= random_mix(1u + index);
	struct pillar *pillar = calloc(1, sizeof(*pillar));
	if (pillar != NULL && pillar_open(pillar, &options) == 0)
		return pillar;
	free(pillar);
	return NULL;
}

static bool
pillars_make(struct node *node, const struct node_config *config, struct shard_config *shard)
{
	shard->id_seed = config->id_seed;
	node->pillar = pillar_make(node, config, shard, node->of->lanes);
	if (node->pillar == NULL || !config->spare)
		return node->pillar != NULL;
	shard->id_seed = config->id_seed_spare;
	node->pillar_spare = pillar_make(node, config, shard, node->of->lanes_spare);
	return node->pillar_spare != NULL;
}

static bool
pillars_open(struct node *node, const struct node_config *config, char *error)
{
	for (uint16_t i = 0; i < node->pillars_count; i++) {
		struct crypto_config crypto = *config->crypto;
		struct endpoint_config endpoint = *config->endpoint;
		struct node_config own = *config;
		crypto.team = config->places[i].team;
		endpoint.queue = config->places[i].queue;
		own.crypto = &crypto;
		own.endpoint = &endpoint;
		own.pillars = NULL;
		own.enrolment = config->places[i].enrolment;
		endpoint.neighbour = NULL;
		node->pillars[i].of = node;
		node->pillars[i].lcore = config->places[i].lcore;
		bool opened = node_open(&node->pillars[i], &own, error);
		crypto_erase(&crypto, sizeof(crypto));
		if (!opened)
			return false;
	}
	return true;
}

uint64_t
node_pillars_memory(const struct plan *plan, const struct protocol *protocol)
{
	struct lanes_config lanes = lanes_config(plan, 0);
	uint64_t size = 0;
	for (uint16_t i = 0; i < plan->pillars_count; i++) {
		struct pillar_config pillar = {
		    .shard = plan_shard(plan, protocol, 1),
		    .index = i,
		    .pillars_count = plan->pillars_count,
		};
		size += pillar_memory(&pillar);
	}
	return plan->pillars_count > 0 ? size + lanes_memory(&lanes) : 0;
}

/* ---- opening ------------------------------------------------------------------ */

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

static bool
engine_make(struct node *node, const struct node_config *config, struct shard_config *shard)
{
	if (node->of != NULL)
		return pillars_make(node, config, shard);
	return node->is_replica ? replicas_make(node, config, shard)
				: client_make(node, config, shard);
}

bool
node_open(struct node *node, const struct node_config *config, char *error)
{
	uint16_t replicas_count = config->plan->protocol.replicas_count;
	node->index = config->crypto->self;
	node->pillars = config->pillars;
	node->pillars_count = config->pillars != NULL ? config->plan->pillars_count : 0;
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
	if (!engine_make(node, config, &shard)) {
		snprintf(error, ERROR_SIZE, "node %u: not enough memory", node->index);
		return false;
	}
	return pillars_open(node, config, error);
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

static void
pillar_end(struct node *node, struct pillar *pillar)
{
	if (pillar == NULL)
		return;
	endpoint_reclaim(node->endpoint, &pillar->shard->outbox);
	pillar_close(pillar);
	free(pillar);
}

void
node_close(struct node *node)
{
	for (uint32_t i = 0; i < node->pillars_count; i++)
		node_close(&node->pillars[i]);
	pillar_end(node, node->pillar);
	pillar_end(node, node->pillar_spare);
	pillar_end(node, node->pillar_former);
	replica_end(node, node->replica);
	replica_end(node, node->spare);
	replica_end(node, node->former);
	if (node->client != NULL && node->client->shard != NULL) {
		endpoint_reclaim(node->endpoint, &node->client->shard->outbox);
		client_close(node->client);
	}
	free(node->client);
	lanes_close(node->lanes);
	lanes_close(node->lanes_spare);
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
	struct replica *r = node->replica;
	bool delivered = node->pillars_count > 0 && replica_ready(r);
	if (!delivered && asleep(node, count, now_ns))
		return 0;
	uint32_t steps = replica_run(r, now_ns, node->datagrams, count);
	trace_burst(&node->trace, r);
	node->wake_ns = replica_deadline(r);
	if (r->blocked && node->pillars_count > 0 && node->wake_ns > now_ns + PARCEL_RETRY_NS)
		node->wake_ns = now_ns + PARCEL_RETRY_NS;
	return steps;
}

static uint32_t
pillar_poll(struct node *node, uint64_t now_ns, uint32_t count)
{
	struct pillar *p = node->pillar;
	bool answered = pillar_ready(p);
	if (!answered && asleep(node, count, now_ns))
		return 0;
	uint32_t steps = pillar_run(p, now_ns, node->datagrams, count);
	node->wake_ns = pillar_deadline(p);
	if (p->blocked && node->wake_ns > now_ns + PARCEL_RETRY_NS)
		node->wake_ns = now_ns + PARCEL_RETRY_NS;
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
	/* Before the life: a pillar that sees this one alive sees that it is another. */
	atomic_fetch_add_explicit(&node->generation, 1, memory_order_release);
	node_life_set(node, NODE_RUNS);
}

/* The same, on the pillar's lcore. */
static void
pillar_restart(struct node *node)
{
	check(node->pillar_spare != NULL && node->pillar_former == NULL);
	node->pillar_former = node->pillar;
	endpoint_forget(node->endpoint);
	endpoint_reclaim(node->endpoint, &node->pillar_former->shard->outbox);
	__atomic_store_n(&node->pillar, node->pillar_spare, __ATOMIC_RELEASE);
	node->pillar_spare = NULL;
	node->wake_ns = 0;
	node->generation_here++;
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
	uint32_t count = 0;
	uint32_t steps;
	phases_begin();
	/* What a pillar cannot take waits in its queue. */
	if (node->of == NULL || pillar_open_for_more(node->pillar))
		count = endpoint_receive(node->endpoint, node->datagrams, node->burst_max);
	if (node->enrolment != NULL)
		count = enrolment_poll(node->enrolment, now_ns, node->datagrams, count);
	if (node->of != NULL)
		steps = pillar_poll(node, now_ns, count);
	else if (node->is_replica)
		steps = replica_poll(node, now_ns, count);
	else
		steps = client_poll(node, now_ns, count);
	phase_enter(PHASE_RECEIVE);
	endpoint_release(node->endpoint);
	phases_end(node->is_replica ? PHASE_REPLICAS : PHASE_CLIENTS, steps + count > 0);
	return steps + count;
}

uint32_t
node_poll(void *self, uint64_t now_ns)
{
	struct node *node = self;
	struct node *replica = node->of != NULL ? node->of : node;
	enum node_life life = node_life(replica);
	if (__builtin_expect(life != NODE_RUNS, 0)) {
		killed_poll(node);
		if (life == NODE_RESTARTS && node == replica)
			replica_restart(node);
		return 0;
	}
	if (node != replica && __builtin_expect(atomic_load_explicit(&replica->generation,
						    memory_order_acquire) != node->generation_here,
				   0))
		pillar_restart(node);
	uint32_t work = 0;
	uint32_t count = 0;
	if (node->is_replica) {
		work = burst_poll(node, now_ns);
		/*
		 * What others wait for may wait for what this replica sent to itself, as its vote
		 * does for its own proposal: before others of the lcore take their time.
		 */
		if (node_shard(node)->urgent)
			work += burst_poll(node, now_ns);
		return work;
	}
	/*
	 * A client node gets an answer from every replica, most of which it only drops: where
	 * it shares its lcore with replicas, one burst a round would let them pile up.
	 */
	uint32_t bursts = CLIENT_BURSTS;
	do {
		count = burst_poll(node, now_ns);
		work += count;
	} while (--bursts > 0 && count >= node->burst_max);
	return work;
}
