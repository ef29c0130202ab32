/* SPDX-License-Identifier: Apache-2.0 */
/* See cluster.h. */
#include "lcore/cluster.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keys.h"
#include "engine/client_slots.h"
#include "lcore/buffer.h"
#include "lcore/pages.h"

enum {
	ERROR_SIZE = 256,
	MAC_PREFIX = 0x02, /* locally administered (IEEE 802) */
	UDP_PORT = 7000,
	/* What a node may hold: envelopes, a burst in hand, messages to itself. */
	BUFFERS_PER_NODE = 2 * OUTBOX_SENDS_MAX + 2 * SHARD_BURST_MAX,
	BUFFERS_FOR_SEGMENTS = 8192, /* in flight, where there are large messages */
	ADDRESSES_MAX = LIMIT_NODES,
	MEMORY_SPARE_MIB = 64, /* of EAL's: endpoints, headers, what alignment wastes */
};

/* Which loops serve whom. */
static void
lcores_divide(struct cluster *c)
{
	struct placement_costs costs = placement_costs(c->options);
	struct placement_counts counts = {
	    .lcores = c->lcores_count - c->helpers_count,
	    .cpus = c->lcores == NULL ? c->lcores_count : c->lcores->cpus_count,
	    .replicas = c->replicas_count,
	    .pillars = c->options->pillars,
	    .clients = c->options->clients,
	};
	placement_make(&c->placement, &costs, &counts);
	c->clients_count = (uint16_t)c->placement.client_nodes;
	c->nodes_count = (uint32_t)c->replicas_count + c->clients_count;
}

static uint32_t
node_lcore(const struct cluster *c, uint32_t node)
{
	if (node < c->replicas_count)
		return c->placement.replicas[node];
	if (c->lcores_count - c->helpers_count == 1)
		return 0;
	return c->placement.replica_lcores + (node - c->replicas_count);
}

static bool
workloads_open(struct cluster *c, char *error)
{
	for (uint16_t i = 0; i < c->clients_count; i++) {
		struct workload_config config = plan_workload(c->options, i, c->clients_count);
		struct node *node = &c->nodes[c->replicas_count + i];
		node->workload = workload_open(&config, error);
		if (node->workload == NULL)
			return false;
	}
	return true;
}

static void
addresses_make(const struct cluster *c, struct frame_address *addresses)
{
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		addresses[i] = (struct frame_address){
		    .mac.addr_bytes = {MAC_PREFIX, 'o', 's', 'k', (uint8_t)(i >> 8), (uint8_t)i},
		    .port = UDP_PORT,
		    .ip = RTE_IPV4(10, 0, (uint8_t)(i >> 8), (uint8_t)(i + 1)),
		};
	}
}

/* The switch's; `ports` has room for LIMIT_NODES and outlives the configuration. */
static struct fabric_config
fabric_plan(const struct cluster *c, struct fabric_port *ports)
{
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		uint32_t pillars = i < c->replicas_count ? c->options->pillars : 0;
		ports[i].in_group = i < c->replicas_count;
		ports[i].queues_count = (uint16_t)(1 + pillars);
		ports[i].queue_lcores[0] = (uint16_t)node_lcore(c, i);
		for (uint32_t k = 0; k < pillars; k++)
			ports[i].queue_lcores[1 + k] = c->placement.pillars[i][k];
	}
	return (struct fabric_config){
	    .lcores_count = c->lcores_count,
	    .ports_count = c->nodes_count,
	    .ports = ports,
	    .group.addr_bytes = {0x01, 0x00, 0x5e, 0, 0, 1}, /* all replicas */
	    .ring_size = plan_ring_size(c->options),
	    .drop = c->options->drop,
	    .seed = c->options->seed,
	    .steered = c->options->pillars > 0,
	};
}

uint32_t
cluster_buffers_count(const struct cluster *c, bool segments)
{
	uint32_t per_client = 2u * c->replicas_count;
	/* A process of its own has one replica, or none. */
	uint32_t pillars = RTE_MIN(c->nodes_count, c->replicas_count) * c->options->pillars;
	return (c->nodes_count + pillars) * BUFFERS_PER_NODE + c->options->clients * per_client +
	       c->lcores_count * BUFFER_CACHE_COUNT * 3 / 2 + (segments ? BUFFERS_FOR_SEGMENTS : 0);
}

static uint64_t
network_memory(const struct cluster *c, uint32_t buffers)
{
	struct fabric_port ports[LIMIT_NODES] = {0};
	struct fabric_config config = fabric_plan(c, ports);
	return fabric_memory(&config) + buffer_pool_memory(buffers, plan_envelope_size(c->options));
}

uint32_t
cluster_memory_mib(const struct options *options, uint32_t lcores_count)
{
	struct cluster c = {
	    .options = options,
	    .lcores_count = lcores_count + options->helpers,
	    .helpers_count = options->helpers,
	    .replicas_count = (uint16_t)options->replicas,
	};
	lcores_divide(&c);
	return (uint32_t)(network_memory(&c, cluster_buffers_count(&c, true)) >> 20) +
	       MEMORY_SPARE_MIB;
}

static bool
network_open(struct cluster *c, const struct frame_address *addresses, char *error)
{
	struct fabric_port ports[LIMIT_NODES] = {0};
	struct fabric_config config = fabric_plan(c, ports);
	for (uint32_t i = 0; i < c->nodes_count; i++)
		ports[i].mac = addresses[i].mac;
	memory_plan_add(&c->memory, (struct memory_term){"switch",
					"a ring for each pair of lcore "
					"and queue",
					1, fabric_memory(&config)});
	memory_plan_add(
	    &c->memory, (struct memory_term){"packet buffers",
			    "envelopes of every node, two for each client, lcores' caches",
			    c->pool_count, buffer_pool_memory(1, c->plan.envelope_size)});
	c->fabric = fabric_open(&config);
	c->pool = buffer_pool_create("oskr", c->pool_count, c->plan.envelope_size);
	if (c->fabric != NULL && c->pool != NULL)
		return true;
	uint64_t need_mib = network_memory(c, c->pool_count) >> 20;
	snprintf(error, ERROR_SIZE,
	    "EAL has too little memory: packets need %lu MiB; give EAL more with -m %lu, or fewer "
	    "clients with -t",
	    need_mib, need_mib + MEMORY_SPARE_MIB);
	return false;
}

static struct port_queue
queue_of(const struct cluster *c, const struct cluster_config *config, uint32_t node, uint32_t part)
{
	struct port_queue queue = fabric_queue(c->fabric, node, part);
	return config->tap == NULL ? queue : config->tap(config->tap_self, node, queue);
}

/* Where the replica's pillars are; `places` has room for LIMIT_PILLARS. */
static void
pillars_place(struct cluster *c, const struct cluster_config *config, uint32_t replica,
    struct node_place *places)
{
	for (uint32_t k = 0; k < c->options->pillars; k++) {
		uint32_t lcore = c->placement.pillars[replica][k];
		places[k] = (struct node_place){
		    .queue = queue_of(c, config, replica, 1 + k),
		    .team = cluster_team(c, lcore),
		    .lcore = lcore,
		};
	}
}

static void
loops_fill(struct cluster *c, struct node *node)
{
	loop_add(&c->loops[node->lcore], node_poll, node);
	for (uint32_t k = 0; k < node->pillars_count; k++)
		loop_add(&c->loops[node->pillars[k].lcore], node_poll, &node->pillars[k]);
}

static bool
keys_make(const struct cluster *c, struct key_pair *pairs,
    uint8_t public_keys[][CRYPTO_PUBLIC_SIZE], char *error)
{
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		if (keys_generate(&pairs[i]) != 0) {
			snprintf(error, ERROR_SIZE, "the system gives no random bytes for keys");
			return false;
		}
		memcpy(public_keys[i], pairs[i].public33, CRYPTO_PUBLIC_SIZE);
	}
	return true;
}

static bool
nodes_open(struct cluster *c, const struct cluster_config *config, char *error)
{
	struct frame_address addresses[ADDRESSES_MAX];
	struct key_pair pairs[ADDRESSES_MAX];
	uint8_t public_keys[ADDRESSES_MAX][CRYPTO_PUBLIC_SIZE];
	addresses_make(c, addresses);
	if (!network_open(c, addresses, error))
		return false;
	if (!keys_make(c, pairs, public_keys, error))
		return false;
	bool opened = true;
	int log_type = notes_log_type();
	for (uint32_t i = 0; opened && i < c->nodes_count; i++) {
		struct crypto_config crypto = {
		    .cluster = c->plan.protocol.cluster,
		    .replicas_count = c->replicas_count,
		    .clients_count = c->clients_count,
		    .self = (uint16_t)i,
		    .slots_count = c->options->clients,
		    .slot_clients = c->slot_clients,
		    .public_keys = (const uint8_t(*)[CRYPTO_PUBLIC_SIZE])public_keys,
		    .team = cluster_team(c, node_lcore(c, i)),
		};
		memcpy(crypto.secret, pairs[i].secret, sizeof(crypto.secret));
		struct endpoint_config endpoint = {
		    .queue = queue_of(c, config, i, 0),
		    .pool = c->pool,
		    .envelope_size = c->plan.envelope_size,
		    .replicas_count = c->replicas_count,
		    .clients_count = c->clients_count,
		    .self = (uint16_t)i,
		    .slots_count = c->options->clients,
		    .slot_clients = c->slot_clients,
		    .addresses = addresses,
		    .queues_count = (uint16_t)(1 + c->plan.pillars_count),
		    .pillars_count = c->plan.pillars_count,
		    .instances_count = c->plan.protocol.instances_count,
		};
		struct node_place places[LIMIT_PILLARS];
		bool spread = i < c->replicas_count && c->plan.pillars_count > 0;
		if (spread)
			pillars_place(c, config, i, places);
		struct node_config node = {
		    .plan = &c->plan,
		    .options = c->options,
		    .protocol = config->protocol,
		    .crypto = &crypto,
		    .endpoint = &endpoint,
		    .notes =
			{
			    .clock = config->clock,
			    .begin_ns = &c->control.first_ns,
			    .log_type = log_type,
			},
		    .spare = c->options->restart_ns > 0,
		    .workload = c->nodes[i].workload,
		    .pillars = spread ? &c->pillars[i * c->plan.pillars_count] : NULL,
		    .places = places,
		    .observer = i == c->observed ? recorder_log_observer(c->log) : NULL,
		};
		memcpy(&node.id_seed, pairs[i].secret, sizeof(node.id_seed));
		memcpy(&node.id_seed_spare, pairs[i].secret + sizeof(node.id_seed),
		    sizeof(node.id_seed_spare));
		c->nodes[i].lcore = node_lcore(c, i);
		opened = node_open(&c->nodes[i], &node, error);
		crypto_erase(&crypto, sizeof(crypto));
		loops_fill(c, &c->nodes[i]);
	}
	crypto_erase(pairs, sizeof(pairs));
	return opened;
}

/* The largest operation and answer that any client node's workload has. */
static void
plan_set(struct cluster *c, const struct cluster_config *config)
{
	struct plan_input input = {
	    .options = c->options,
	    .protocol = config->protocol,
	    .protocol_index = config->protocol_index,
	    .client_nodes_count = c->clients_count,
	};
	for (uint32_t i = c->replicas_count; i < c->nodes_count; i++) {
		uint32_t op_size = workload_op_size_max(c->nodes[i].workload);
		uint32_t result_size = workload_result_size_max(c->nodes[i].workload);
		input.op_size_max = op_size > input.op_size_max ? op_size : input.op_size_max;
		if (result_size > input.result_size_max)
			input.result_size_max = result_size;
	}
	plan_make(&c->plan, &input);
	c->pool_count = cluster_buffers_count(c, c->plan.message_size_max > 0);
}

static void
memory_set(struct cluster *c, const struct cluster_config *config)
{
	struct replica_config replica = {
	    .shard = plan_shard(&c->plan, config->protocol, 1),
	    .executor = c->plan.executor,
	    .pillars_count = c->plan.pillars_count,
	};
	uint64_t size = replica_memory(&replica) + node_pillars_memory(&c->plan, config->protocol);
	memory_plan_add(
	    &c->memory, (struct memory_term){"replicas",
			    "each: log and window, sessions, application, large messages",
			    c->replicas_count, size});
	if (c->options->restart_ns > 0) {
		memory_plan_add(
		    &c->memory, (struct memory_term){"spare replicas",
				    "one for each that may start anew", c->replicas_count, size});
	}
	for (uint16_t i = 0; i < c->clients_count; i++) {
		struct protocol_config protocol = c->plan.protocol;
		protocol.slots_count = plan_slots_count(&c->plan, c->options, i);
		struct client_config client = {
		    .shard = plan_shard(&c->plan, config->protocol, 0),
		    .workload = c->nodes[c->replicas_count + i].workload,
		};
		client.shard.protocol = &protocol;
		memory_plan_add(&c->memory,
		    (struct memory_term){"client node",
			"its slots, their operations, its workload, large messages", 1,
			client_memory(&client) + workload_memory_size(client.workload)});
	}
}

bool
cluster_parts_open(struct cluster *c, const struct cluster_config *config, uint32_t slots_count)
{
	c->loops = calloc(c->lcores_count, sizeof(*c->loops));
	c->nodes = calloc(c->nodes_count, sizeof(*c->nodes));
	c->pillars = calloc(c->replicas_count * c->options->pillars + 1, sizeof(*c->pillars));
	c->slot_clients = calloc(slots_count, sizeof(*c->slot_clients));
	if (c->pillars == NULL || c->loops == NULL || c->nodes == NULL || c->slot_clients == NULL)
		return false;
	for (uint32_t i = 0; i < c->lcores_count; i++) {
		c->loops[i].clock = config->clock;
		c->loops[i].stop = &c->stop;
		c->loops[i].idle = config->idle;
	}
	return true;
}

static bool
loops_open(struct cluster *c, const struct cluster_config *config)
{
	if (!cluster_parts_open(c, config, c->options->clients))
		return false;
	uint32_t per_node = (c->options->clients + c->clients_count - 1) / c->clients_count;
	for (uint32_t i = 0; i < c->options->clients; i++)
		c->slot_clients[i] = (uint16_t)(i / per_node);
	return true;
}

static uint64_t
recorder_time(void *context)
{
	return clock_ns(context, rte_rdtsc());
}

/*
 * --history: each client node's workload is watched, and the order of one replica:
 * replica 0, or the last one where the leader is to be killed, which replica 0 is at
 * first.
 */
static bool
recorders_open(struct cluster *c, const struct cluster_config *config)
{
	c->observed = UINT32_MAX;
	if (c->options->history == NULL)
		return true;
	c->observed = c->options->kill_leader_ns > 0 ? c->replicas_count - 1u : 0;
	c->log = recorder_log_open(&c->plan.executor.scope, c->options->clients);
	if (c->log == NULL)
		return false;
	if (c->plan.protocol.reads)
		recorder_log_reads_apart(c->log);
	for (uint32_t i = 0; i < c->clients_count; i++) {
		struct node *node = &c->nodes[c->replicas_count + i];
		c->recorders[i] =
		    recorder_open(node->workload, recorder_time, (void *)(uintptr_t)config->clock);
		if (c->recorders[i] == NULL)
			return false;
		node->workload = recorder_workload(c->recorders[i]);
	}
	return true;
}

/*
 * Clients that lost much ask seldom, and somebody may have to notice the killed
 * leader, and its successor, first.
 */
static uint64_t
drain_ns(const struct options *options)
{
	enum { TIMEOUTS = 4 };
	uint64_t asked_ns = options->retry_ns << CLIENT_DOUBLINGS_MAX;
	uint64_t noticed_ns = TIMEOUTS * options->view_timeout_ns;
	return CONTROL_DRAIN_NS + asked_ns + (options->kill_leader_ns > 0 ? noticed_ns : 0);
}

static struct crash_config
crash_config(const struct cluster *c)
{
	const struct protocol_config *p = &c->plan.protocol;
	return (struct crash_config){
	    .nodes = c->nodes,
	    .replicas_count = c->replicas_count,
	    .nodes_count = c->nodes_count,
	    .kill_ns = c->options->kill_leader_ns,
	    .restart_ns = c->options->restart_ns,
	    .behind_max = (uint64_t)p->checkpoint_interval * p->instances_count,
	};
}

/*
 * Where nobody is set apart as a helper, lcores help each other in their idle moments:
 * not where they share CPUs, for there a helper may be put off in the midst of a job.
 */
bool
cluster_helpers_open(struct cluster *c, bool yields)
{
	struct helpers_config config = {
	    .callers_count = c->lcores_count - c->helpers_count,
	    .helpers_count = c->helpers_count,
	    .yields = yields,
	};
	if (c->helpers_count == 0) {
		if (yields || c->lcores_count == 1 || options_given(c->options, OPTION_HELPERS))
			return true;
		config.mutual = true;
		config.helpers_count = config.callers_count;
	}
	memory_plan_add(
	    &c->memory, (struct memory_term){"helpers", "a ring from each lcore to each helper", 1,
			    helpers_memory(&config)});
	c->helpers = helpers_open(&config);
	if (c->helpers == NULL)
		return false;
	for (uint32_t i = 0; config.mutual && i < config.callers_count; i++)
		loop_set_aside(&c->loops[i], helpers_poll, helpers_end(c->helpers, i));
	for (uint32_t i = 0; i < c->helpers_count; i++)
		loop_add(
		    &c->loops[config.callers_count + i], helpers_poll, helpers_end(c->helpers, i));
	return true;
}

const struct crypto_team *
cluster_team(struct cluster *c, uint32_t lcore)
{
	return c->helpers == NULL ? NULL : helpers_team(c->helpers, lcore);
}

bool
cluster_open(struct cluster *c, const struct cluster_config *config, char *error)
{
	*c = (struct cluster){
	    .options = config->options,
	    .lcores = config->lcores,
	    .lcores_count = config->lcores->count,
	    .helpers_count = config->options->helpers,
	    .replicas_count = (uint16_t)config->options->replicas,
	};
	if (c->helpers_count >= c->lcores_count) {
		snprintf(error, ERROR_SIZE,
		    "--helpers %u need more lcores than there are (%u): give EAL more with -l",
		    c->helpers_count, c->lcores_count);
		return false;
	}
	lcores_divide(c);
	if (!loops_open(c, config)) {
		snprintf(error, ERROR_SIZE, "not enough memory for %u nodes", c->nodes_count);
		return false;
	}
	if (!cluster_helpers_open(c, config->idle == LOOP_IDLE_YIELD)) {
		snprintf(error, ERROR_SIZE, "EAL has no memory for the rings of %u helpers",
		    c->helpers_count);
		return false;
	}
	if (!workloads_open(c, error))
		return false;
	plan_set(c, config);
	memory_set(c, config);
	if (!recorders_open(c, config)) {
		snprintf(error, ERROR_SIZE, "not enough memory to record a history");
		return false;
	}
	if (!nodes_open(c, config, error))
		return false;
	struct control_config control = {
	    .nodes = c->nodes,
	    .nodes_count = c->nodes_count,
	    .loops = c->loops,
	    .loops_count = c->lcores_count,
	    .warm_ns = c->options->warm_ns,
	    .measure_ns = c->options->seconds_ns,
	    .drain_ns = drain_ns(c->options),
	    .crash = crash_config(c),
	    .pool = c->pool,
	    .load = c->options->app == APP_KV,
	    .quiet = c->options->quiet,
	    .clock = config->clock,
	    .stop = &c->stop,
	};
	control_init(&c->control, &control);
	loop_add(&c->loops[0], control_poll, &c->control);
	return true;
}

void
cluster_run(struct cluster *c)
{
	pages_enlarge();
	for (uint32_t i = 1; i < c->lcores_count; i++)
		rte_eal_remote_launch(loop_run, &c->loops[i], c->lcores->list[i].lcore);
	loop_run(&c->loops[0]);
	rte_eal_mp_wait_lcore();
	crash_end(&c->control.crash, c->control.last.at_ns);
}

void
cluster_close(struct cluster *c)
{
	for (uint32_t i = 0; c->nodes != NULL && i < c->nodes_count; i++)
		node_close(&c->nodes[i]);
	helpers_close(c->helpers);
	c->helpers = NULL;
	fabric_close(c->fabric);
	c->fabric = NULL;
	free(c->nodes);
	c->nodes = NULL;
	free(c->pillars);
	c->pillars = NULL;
	free(c->loops);
	c->loops = NULL;
	recorder_log_close(c->log);
	c->log = NULL;
	free(c->slot_clients);
	c->slot_clients = NULL;
}

uint32_t
cluster_buffers_missing(struct cluster *c)
{
	return c->pool == NULL ? 0 : c->pool_count - rte_mempool_avail_count(c->pool);
}
