/* SPDX-License-Identifier: Apache-2.0 */
/* See process.h. */
#include "lcore/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "crypto/keys.h"
#include "engine/client_slots.h"
#include "lcore/buffer.h"

enum {
	TX_BUFFERS = 2048,     /* a queue's: in the device's ring, and on their way there */
	STARTED_SHIFT = 12,    /* a slot asks less than 4096 times a microsecond */
	MEMORY_SPARE_MIB = 96, /* of EAL's: the driver, endpoint, rings, what alignment wastes */
};

/* Where replicas are, and that client nodes are not known yet. */
static void
addresses_make(const struct process_config *config, const struct frame_address *self,
    struct frame_address *addresses)
{
	const struct process_keys *keys = config->keys;
	memset(addresses, 0, LIMIT_NODES * sizeof(*addresses));
	for (uint32_t i = 0; i < keys->replicas_count; i++) {
		const struct cluster_address *from = &config->program->file.replicas[i];
		addresses[i] = (struct frame_address){.port = from->port, .ip = from->ip};
		memcpy(addresses[i].mac.addr_bytes, from->mac, RTE_ETHER_ADDR_LEN);
	}
	addresses[keys->self] = *self;
}

static bool
is_client(const struct process_config *config)
{
	return config->keys->self >= config->keys->replicas_count;
}

/* A replica has the address that the file gives; a client node that of its device. */
static bool
device_start(struct process *p, const struct process_config *config, char *error)
{
	const struct options *o = &p->options;
	const struct program_state *program = config->program;
	struct rte_ether_addr mac;
	struct device_config device = {
	    .port = o->port,
	    .queues_count = o->queues,
	    .or_one = o->pillars > 0 && !options_given(o, OPTION_QUEUES),
	    .ends_count = p->ends_count,
	    .mtu = o->mtu,
	    .group = program->file.has_multicast && !is_client(config),
	};
	if (!is_client(config) && o->pillars == 0)
		device.first_queue_udp = program->file.replicas[config->keys->self].port;
	if (!is_client(config)) {
		const struct cluster_address *own = &program->file.replicas[config->keys->self];
		memcpy(mac.addr_bytes, own->mac, sizeof(mac.addr_bytes));
		device.mac = &mac;
		p->self = (struct frame_address){mac, own->port, own->ip};
	}
	p->device = device_open(&device, error);
	if (p->device == NULL)
		return false;
	p->queues_count = device_queues_count(p->device);
	p->options.queues = p->queues_count;
	if (is_client(config)) {
		p->self.mac = device_mac(p->device);
		const uint8_t *tail = p->self.mac.addr_bytes + 3;
		p->self.ip = o->ip != 0 ? o->ip : RTE_IPV4(10, tail[0], tail[1], tail[2]);
		p->self.port = CLUSTER_PORT;
	}
	return true;
}

static bool
steer_start(struct process *p, const struct process_config *config, char *error)
{
	struct port_queue queues[LIMIT_QUEUES];
	for (uint32_t i = 0; i < p->queues_count; i++)
		queues[i] = device_queue(p->device, i);
	const struct steer_config steer = {
	    .queues_count = p->queues_count,
	    .queues = queues,
	    .pillars_count = p->cluster.plan.pillars_count,
	    .instances_count = p->cluster.plan.protocol.instances_count,
	    .pool = p->cluster.pool,
	    .self = p->self,
	    .cluster = config->keys->cluster,
	    .replica = config->keys->self,
	};
	p->steer = steer_open(&steer);
	if (p->steer != NULL)
		return true;
	snprintf(error, PROGRAM_ERROR_SIZE,
	    "EAL has too little memory for hand-over rings: give "
	    "it more with -m");
	return false;
}

/* ---- Sizes ------------------------------------------------------------------------ */

/* The workload of a client node; a replica opens a small one of the same kind for its sizes. */
static struct workload *
workload_start(const struct process *p, const struct process_config *config, char *error)
{
	const struct options *o = &p->options;
	struct workload_config workload = plan_workload(o, 0, 1);
	if (is_client(config)) {
		workload.slot_first = (uint16_t)(o->slots * o->index);
		workload.node_index = (uint16_t)o->index;
		workload.nodes_count = config->keys->clients_count;
	} else {
		workload.slots_count = 1;
		workload.records_count = 1;
	}
	return workload_open(&workload, error);
}

static void
plan_start(struct process *p, const struct process_config *config, const struct workload *workload)
{
	struct cluster *c = &p->cluster;
	struct plan_input input = {
	    .options = &p->options,
	    .protocol = config->program->protocol,
	    .protocol_index = config->program->protocol_index,
	    .client_nodes_count = config->keys->clients_count,
	    .op_size_max = workload_op_size_max(workload),
	    .result_size_max = workload_result_size_max(workload),
	    .cluster = config->keys->cluster,
	    .slots_total = p->options.slots * config->keys->clients_count,
	    .slots_stride = p->options.slots,
	    .timestamp_first = config->started_us << STARTED_SHIFT,
	};
	plan_make(&c->plan, &input);
	const struct protocol_config *protocol = &c->plan.protocol;
	p->terms = (struct enrol_terms){
	    .slots = p->options.slots,
	    .request_size_max = input.op_size_max,
	    .reply_size_max = input.result_size_max,
	    .batch = p->options.batch,
	    .client_nodes = config->keys->clients_count,
	    .instances = protocol->instances_count,
	    .protocol = protocol->protocol,
	    .request_proof = protocol->request_proof,
	    .reply_proof = protocol->reply_proof,
	    .flags = (uint8_t)((protocol->tentative ? ENROL_TENTATIVE : 0) |
			       (protocol->reads ? ENROL_READS : 0) |
			       (protocol->batch_adaptive ? ENROL_ADAPTIVE : 0)),
	};
}

static uint32_t
pool_count(const struct process *p)
{
	return cluster_buffers_count(&p->cluster, true) + p->ends_count * TX_BUFFERS;
}

uint32_t
process_memory_mib(const struct options *options)
{
	uint32_t ends = steer_ends(options->queues, options->pillars);
	struct process p = {
	    .options = *options,
	    .ends_count = ends,
	    .cluster =
		{
		    .options = &p.options,
		    .nodes_count = 1,
		    .lcores_count = ends,
		    .replicas_count = (uint16_t)options->replicas,
		},
	};
	/* A replica's slots are not known before its keys are: each may be in flight. */
	p.options.clients = options->slots;
	uint64_t size = buffer_pool_memory(pool_count(&p), plan_envelope_size(options));
	return (uint32_t)(size >> 20) + device_memory_mib(options->queues, ends, options->mtu) +
	       MEMORY_SPARE_MIB;
}

static void
memory_start(struct process *p, const struct process_config *config, struct workload *workload)
{
	struct cluster *c = &p->cluster;
	memory_plan_add(
	    &c->memory, (struct memory_term){"packet buffers",
			    "envelopes of the node, two for each client, the port's", c->pool_count,
			    buffer_pool_memory(1, c->plan.envelope_size)});
	memory_plan_add(&c->memory,
	    (struct memory_term){"receive buffers", "the port's descriptors, bursts, hand-over", 1,
		(uint64_t)device_memory_mib(p->queues_count, p->ends_count, p->options.mtu) << 20});
	if (!is_client(config)) {
		struct replica_config replica = {
		    .shard = plan_shard(&c->plan, config->program->protocol, 1),
		    .executor = c->plan.executor,
		};
		replica.pillars_count = c->plan.pillars_count;
		memory_plan_add(
		    &c->memory, (struct memory_term){"replica",
				    "log and window, sessions, application, large messages", 1,
				    replica_memory(&replica) +
					node_pillars_memory(&c->plan, config->program->protocol)});
		return;
	}
	struct protocol_config protocol = c->plan.protocol;
	protocol.slots_count = p->options.clients;
	struct client_config client = {
	    .shard = plan_shard(&c->plan, config->program->protocol, 0),
	    .workload = workload,
	};
	client.shard.protocol = &protocol;
	memory_plan_add(
	    &c->memory, (struct memory_term){"client node",
			    "its slots, their operations, its workload, large messages", 1,
			    client_memory(&client) + workload_memory_size(workload)});
}

/* ---- The node ---------------------------------------------------------------------- */

static bool
pool_start(struct process *p, char *error)
{
	struct cluster *c = &p->cluster;
	c->pool_count = pool_count(p);
	c->pool = buffer_pool_create("oskr", c->pool_count, c->plan.envelope_size);
	if (c->pool != NULL)
		return true;
	snprintf(error, PROGRAM_ERROR_SIZE,
	    "EAL has too little memory: packets need %u MiB; give EAL more with -m",
	    process_memory_mib(&p->options));
	return false;
}

static void
neighbour_start(struct process *p, const struct process_config *config)
{
	char text[NEIGHBOUR_TEXT_SIZE];
	const struct options *o = &p->options;
	snprintf(text, sizeof(text), "oskr %s %u %s\n", is_client(config) ? "client" : "replica",
	    o->index, o->mode->name);
	const struct neighbour_config neighbour = {
	    .queue = device_queue(p->device, 0),
	    .pool = p->cluster.pool,
	    .data_max = p->cluster.plan.envelope_size + sizeof(struct rte_udp_hdr),
	    .self = p->self,
	    .text = text,
	};
	neighbour_init(&p->neighbour, &neighbour);
	p->enrolment.neighbour = &p->neighbour;
}

static bool
enrolment_start(struct process *p, const struct process_config *config, char *error)
{
	struct enrolment *e = &p->enrolment;
	const struct node *node = &p->cluster.nodes[0];
	struct enrol_terms terms = p->terms;
	if (!is_client(config)) {
		terms.queues = (uint8_t)p->queues_count;
		terms.pillars = (uint8_t)p->cluster.plan.pillars_count;
	}
	struct enrol_config enrol = {
	    .ops = &crypto_real,
	    .crypto = node->crypto,
	    .cluster = config->keys->cluster,
	    .replicas_count = config->keys->replicas_count,
	    .self = (uint16_t)p->options.index,
	    .started = config->started_us << STARTED_SHIFT,
	    .terms = terms,
	    .address = {.ip = p->self.ip, .port = p->self.port},
	};
	memcpy(enrol.address.mac, p->self.mac.addr_bytes, sizeof(enrol.address.mac));
	e->replicas_count = config->keys->replicas_count;
	e->faults = (uint16_t)p->options.faults;
	if (is_client(config))
		e->guest = enrol_guest_open(&enrol);
	else
		e->host = enrol_host_open(&enrol);
	if (e->guest != NULL || e->host != NULL)
		return true;
	snprintf(error, PROGRAM_ERROR_SIZE, "not enough memory");
	return false;
}

/* Where the replica's pillars are, and how they hear of client nodes. */
static bool
pillars_place(struct process *p, struct node_place *places, char *error)
{
	struct cluster *c = &p->cluster;
	p->enrolment.lanes = c->plan.pillars_count > 0 ? p->lanes : NULL;
	p->enrolment.lanes_count = c->plan.pillars_count;
	for (uint16_t k = 0; k < c->plan.pillars_count; k++) {
		if (!enrolment_lane_open(&p->lanes[k], k)) {
			snprintf(error, PROGRAM_ERROR_SIZE,
			    "EAL has too little memory: give it more with -m");
			return false;
		}
		p->pillar_enrolments[k] = (struct enrolment){.lanes = &p->lanes[k]};
		places[k] = (struct node_place){
		    .queue = steer_queue(p->steer, 1u + k),
		    .team = cluster_team(c, 1u + k),
		    .lcore = 1u + k,
		    .enrolment = &p->pillar_enrolments[k],
		};
	}
	return true;
}

static bool
node_start(
    struct process *p, const struct process_config *config, struct workload *workload, char *error)
{
	struct cluster *c = &p->cluster;
	const struct process_keys *keys = config->keys;
	struct frame_address addresses[LIMIT_NODES];
	struct frame_address group = {.port = CLUSTER_PORT};
	struct node_place places[LIMIT_PILLARS];
	if (!pillars_place(p, places, error))
		return false;
	const struct cluster_file *file = &config->program->file;
	addresses_make(config, &p->self, addresses);
	memcpy(group.mac.addr_bytes, file->multicast.mac, sizeof(group.mac.addr_bytes));
	group.ip = file->multicast.ip;
	struct crypto_config crypto = {
	    .cluster = keys->cluster,
	    .replicas_count = keys->replicas_count,
	    .clients_count = keys->clients_count,
	    .self = keys->self,
	    .slots_count = c->plan.slots_total,
	    .slot_clients = c->slot_clients,
	    .public_keys = keys->public_keys,
	    .team = cluster_team(c, 0),
	};
	memcpy(crypto.secret, keys->own.secret, sizeof(crypto.secret));
	struct endpoint_config endpoint = {
	    .queue = steer_queue(p->steer, 0),
	    .pool = c->pool,
	    .envelope_size = c->plan.envelope_size,
	    .replicas_count = keys->replicas_count,
	    .clients_count = keys->clients_count,
	    .self = keys->self,
	    .slots_count = c->plan.slots_total,
	    .slot_clients = c->slot_clients,
	    .addresses = addresses,
	    .clients_unknown = ~0ull,
	    .group = file->has_multicast && keys->replicas_count > 1 ? &group : NULL,
	    .queues_count = (uint16_t)p->queues_count,
	    .pillars_count = c->plan.pillars_count,
	    .parts_max = is_client(config) ? 1 + LIMIT_PILLARS : 0,
	    .instances_count = c->plan.protocol.instances_count,
	    .neighbour = &p->neighbour,
	};
	struct node_config node = {
	    .plan = &c->plan,
	    .options = &p->options,
	    .protocol = config->program->protocol,
	    .crypto = &crypto,
	    .endpoint = &endpoint,
	    .notes = {.clock = config->clock,
		.begin_ns = &c->control.first_ns,
		.log_type = notes_log_type()},
	    .restarted = config->restarted,
	    .enrolment = &p->enrolment,
	    .workload = workload,
	    .pillars = c->plan.pillars_count > 0 ? c->pillars : NULL,
	    .places = places,
	};
	/* Ids of large messages must not be a former life's. */
	bool drawn = getrandom(&node.id_seed, sizeof(node.id_seed), 0) == sizeof(node.id_seed);
	if (!drawn)
		snprintf(error, PROGRAM_ERROR_SIZE, "the system gives no random bytes");
	bool opened = node_open(&c->nodes[0], &node, error) && drawn;
	crypto_erase(&crypto, sizeof(crypto));
	return opened && enrolment_start(p, config, error);
}

/* ---- All of it ------------------------------------------------------------------------ */

static void
control_start(struct process *p, const struct process_config *config)
{
	struct cluster *c = &p->cluster;
	const struct options *o = &p->options;
	struct control_config control = {
	    .nodes = c->nodes,
	    .nodes_count = c->nodes_count,
	    .loops = c->loops,
	    .loops_count = c->lcores_count,
	    .warm_ns = o->warm_ns,
	    .measure_ns = o->seconds_ns,
	    .drain_ns =
		CONTROL_DRAIN_NS + (o->retry_ns << CLIENT_DOUBLINGS_MAX) + 4 * o->view_timeout_ns,
	    .pool = c->pool,
	    .load = o->app == APP_KV,
	    .quiet = o->quiet,
	    .serve = !is_client(config),
	    .enrolment = is_client(config) ? &p->enrolment : NULL,
	    .wait_ns = o->wait_ns,
	    .clock = config->clock,
	    .stop = &c->stop,
	};
	control_init(&c->control, &control);
	loop_add(&c->loops[0], node_poll, &c->nodes[0]);
	loop_add(&c->loops[0], control_poll, &c->control);
	loop_add(&c->loops[0], device_look, p->device);
	for (uint32_t k = 0; k < c->nodes[0].pillars_count; k++)
		loop_add(&c->loops[1 + k], node_poll, &c->pillars[k]);
	for (uint32_t i = 1 + c->nodes[0].pillars_count; i < p->queues_count; i++)
		loop_add(&c->loops[i], steer_task, steer_end(p->steer, i));
}

/* Lcores that serve no queue and no part help, unless it is said how many shall. */
static uint32_t
helpers_wanted(const struct options *o, uint32_t ends_count, uint32_t lcores_count)
{
	uint32_t free_count = lcores_count > ends_count ? lcores_count - ends_count : 0;
	return options_given(o, OPTION_HELPERS) ? o->helpers : free_count;
}

static bool
parts_start(
    struct process *p, const struct process_config *config, struct workload *workload, char *error)
{
	struct cluster *c = &p->cluster;
	struct cluster_config parts = {
	    .clock = config->clock, .idle = program_idle(config->program)};
	c->process = p;
	c->lcores = &config->program->lcores;
	p->ends_count = steer_ends(p->options.queues, p->options.pillars);
	p->options.helpers =
	    helpers_wanted(&p->options, p->ends_count, config->program->lcores.count);
	c->helpers_count = p->options.helpers;
	c->lcores_count = p->ends_count + c->helpers_count;
	c->nodes_count = 1;
	c->replicas_count = config->keys->replicas_count;
	c->clients_count = config->keys->clients_count;
	c->observed = UINT32_MAX;
	if (!is_client(config))
		p->options.clients = p->options.slots * config->keys->clients_count;
	plan_start(p, config, workload);
	if (!cluster_parts_open(c, &parts, c->plan.slots_total)) {
		snprintf(error, PROGRAM_ERROR_SIZE, "not enough memory");
		return false;
	}
	if (!cluster_helpers_open(c, parts.idle == LOOP_IDLE_YIELD)) {
		snprintf(error, PROGRAM_ERROR_SIZE, "EAL has no memory for the rings of helpers");
		return false;
	}
	for (uint32_t i = 0; i < c->plan.slots_total; i++)
		c->slot_clients[i] = (uint16_t)(i / p->options.slots);
	return true;
}

static bool
lcores_fit(const struct process_config *config, char *error)
{
	const struct options *o = &config->program->options;
	uint32_t count = config->program->lcores.count;
	uint32_t ends = steer_ends(o->queues, o->pillars);
	if (ends + o->helpers <= count)
		return true;
	if (o->pillars > 0)
		snprintf(error, PROGRAM_ERROR_SIZE,
		    "--pillars %u (with the executor %u) and --helpers %u need as many lcores, "
		    "there are %u: give EAL more with -l",
		    o->pillars, ends, o->helpers, count);
	else
		snprintf(error, PROGRAM_ERROR_SIZE,
		    "--queues %u and --helpers %u need as many lcores, there are %u: give EAL more "
		    "with -l",
		    o->queues, o->helpers, count);
	return false;
}

static bool
slots_fit(const struct process_config *config, char *error)
{
	const struct options *o = &config->program->options;
	uint32_t nodes = config->keys->clients_count;
	if (o->slots * nodes <= LIMIT_CLIENTS)
		return true;
	snprintf(error, PROGRAM_ERROR_SIZE,
	    "--slots %u for each of %u client nodes are more than %d: give fewer", o->slots, nodes,
	    LIMIT_CLIENTS);
	return false;
}

bool
process_open(struct process *p, const struct process_config *config, char *error)
{
	*p = (struct process){.options = config->program->options};
	p->cluster.options = &p->options;
	if (!slots_fit(config, error) || !lcores_fit(config, error))
		return false;
	struct workload *workload = workload_start(p, config, error);
	if (workload == NULL)
		return false;
	bool opened = parts_start(p, config, workload, error) && device_start(p, config, error) &&
		      pool_start(p, error) && steer_start(p, config, error);
	if (opened) {
		neighbour_start(p, config);
		memory_start(p, config, workload);
	}
	struct workload *own = opened && is_client(config) ? workload : NULL;
	opened = opened && node_start(p, config, own, error);
	/* From now on it is the node's, or nobody's. */
	if (own == NULL)
		workload_close(workload);
	if (opened)
		control_start(p, config);
	return opened;
}

uint32_t
process_close(struct process *p)
{
	struct cluster *c = &p->cluster;
	cluster_close(c);
	enrol_host_close(p->enrolment.host);
	enrol_guest_close(p->enrolment.guest);
	for (uint32_t k = 0; k < LIMIT_PILLARS; k++)
		enrolment_lane_close(&p->lanes[k]);
	steer_close(p->steer);
	device_close(p->device);
	/* The driver has given back what it was sending. */
	return c->pool == NULL ? 0 : cluster_buffers_missing(c);
}
