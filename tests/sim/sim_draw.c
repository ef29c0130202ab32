/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the seed says of the cluster: how far it is from node to node, how many
 * replicas and clients there are, batches, windows, proofs, timeouts. Options
 * that were given stay (swarm testing of the rest). See sim.h. One thread.
 */
#include "sim.h"

enum {
	US = 1000,
	MS = 1000000,
	STREAM_SIZES = 2, /* of the seed's random numbers */
	STREAM_SWARM = 4,
	STREAM_SETTINGS = 5,
	STREAM_PILLARS = 0x9111a, /* of sim_draw() */
	STREAM_INSTANCES = 0x1257a,
	LANE_HOPS = 4,	/* to the executor and back, and for news of the frontier */
	ROUND_HOPS = 5, /* from a request to its reply, with three rounds among replicas */
};

static uint64_t
between(struct random *r, uint64_t low, uint64_t high)
{
	return low + random_below(r, high - low + 1);
}

/* Local networks, wide ones, slow ones. */
static void
surroundings_draw(struct sim *sim, struct random *r)
{
	struct sim_surroundings *a = &sim->around;
	static const uint64_t scales_ns[] = {5 * US, 50 * US, 500 * US, 5 * MS, 50 * MS};
	uint64_t scale_ns = scales_ns[random_below(r, random_below(r, 2) ? 2 : 5)];
	a->delay_min_ns = between(r, scale_ns / 10, scale_ns);
	a->delay_spread_ns = between(r, 0, 2 * scale_ns);
	a->tail = random_below(r, 2) ? 0 : (uint32_t)between(r, 10, 200);
	a->fifo = random_below(r, 3) == 0;
	a->service_ns = between(r, 500, 20 * US);
	a->horizon_ns = between(r, 300 * MS, 3000 * (uint64_t)MS) + 100 * scale_ns;
}

static void
options_draw(struct sim *sim, struct random *r)
{
	struct options *o = &sim->options;
	static const uint32_t batches[] = {1, 2, 8, 100};
	static const uint32_t windows[] = {1, 2, 4, 8};
	uint32_t batch = batches[random_below(r, 4)];
	uint32_t window = windows[random_below(r, 4)];
	uint32_t clients = (uint32_t)between(r, 1, 12);
	bool adaptive = random_below(r, 2) != 0;
	if (!options_given(o, OPTION_BATCH))
		o->batch = batch;
	if (!options_given(o, OPTION_WINDOW))
		o->window = window;
	if (!options_given(o, OPTION_CLIENTS))
		o->clients = clients;
	if (!options_given(o, OPTION_ADAPTIVE))
		o->adaptive = adaptive;
	sim->around.client_nodes = (uint16_t)between(r, 1, 4);
}

/* With one fault also more replicas than needed; larger clusters are rare, for they are slow. */
static void
replicas_draw(struct sim *sim, struct random *r)
{
	static const uint32_t faults[] = {1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
	const struct protocol *p = sim->config->protocol.protocol;
	struct options *o = &sim->options;
	uint32_t f = faults[random_below(r, sizeof(faults) / sizeof(faults[0]))];
	uint64_t extra = random_below(r, p->replicas_per_fault);
	if (random_below(r, 200) == 0)
		f = ((uint32_t)SIM_REPLICAS_MAX - p->replicas_base) / p->replicas_per_fault;
	f = f < 10 ? f : 10;
	if (options_given(o, OPTION_REPLICAS))
		return;
	if (options_given(o, OPTION_FAULTS))
		f = o->faults;
	o->faults = f;
	o->replicas = p->replicas_per_fault * f + p->replicas_base;
	if (f == 1)
		o->replicas += (uint32_t)extra;
}

/*
 * Who proves what, and how. Without proofs nobody may lie; what the network
 * itself does to a message without proof, its checksum sees.
 */
static void
proofs_draw(struct sim *sim, struct random *r)
{
	static const enum auth requests[] = {AUTH_MAC, AUTH_MAC, AUTH_SIGN, AUTH_NONE};
	static const enum auth replies[] = {AUTH_MAC, AUTH_MAC, AUTH_SIGN, AUTH_BATCH, AUTH_NONE};
	enum preset preset = sim->config->preset;
	bool honest = preset == PRESET_NONE || preset == PRESET_LOSS || preset == PRESET_CRASH;
	struct options *o = &sim->options;
	enum auth auth = random_below(r, 3) == 0 ? AUTH_SIGN : AUTH_MAC;
	enum auth request = requests[random_below(r, honest ? 4 : 3)];
	enum auth reply = replies[random_below(r, honest ? 5 : 4)];
	if (options_given(o, OPTION_PROFILE))
		return;
	if (!options_given(o, OPTION_AUTH))
		o->auth = auth;
	if (!options_given(o, OPTION_REQUEST_AUTH))
		o->request_auth = request;
	if (!options_given(o, OPTION_REPLY_AUTH))
		o->reply_auth = reply;
}

/* Half of the seeds have one. */
static void
instances_draw(struct sim *sim)
{
	static const uint32_t counts[] = {1, 1, 1, 1, 2, 2, 4, 7};
	struct options *o = &sim->options;
	uint64_t word = sim_draw(sim, STREAM_INSTANCES, 0);
	if (sim->config->drawn && sim->config->protocol.known->instances &&
	    !options_given(o, OPTION_INSTANCES) && !o->tentative)
		o->instances = counts[word % (sizeof(counts) / sizeof(counts[0]))];
}

/* How many lcores a replica orders on, and how long what one tells another takes. */
static void
pillars_draw(struct sim *sim)
{
	struct options *o = &sim->options;
	uint64_t word = sim_draw(sim, STREAM_PILLARS, 0);
	const uint64_t scales_ns[] = {
	    1, sim->around.service_ns, 20 * sim->around.service_ns, 2 * (uint64_t)MS};
	sim->lane_ns = scales_ns[(word >> 32) % (sizeof(scales_ns) / sizeof(scales_ns[0]))];
	/* Scripts count on steps that follow each other soon. */
	if (!sim->config->drawn)
		sim->lane_ns = scales_ns[2];
	if (options_given(o, OPTION_PILLARS) || !sim->config->drawn || o->instances == 1)
		return;
	uint32_t most = o->instances < SIM_PILLARS_MAX ? o->instances : SIM_PILLARS_MAX;
	if (word % 4 != 0)
		o->pillars = 1 + (uint32_t)((word >> 8) % most);
}

/* About how long the answer to a request takes when nothing is wrong. */
static uint64_t
round_ns(const struct sim *sim)
{
	const struct sim_surroundings *a = &sim->around;
	uint64_t lanes_ns = sim->options.pillars > 0 ? LANE_HOPS * sim->lane_ns : 0;
	return ROUND_HOPS * (a->delay_min_ns + a->delay_spread_ns) + lanes_ns +
	       a->service_ns * (10u + sim->options.replicas);
}

/* What only replicated protocols have. */
static void
swarm_draw(struct sim *sim)
{
	struct options *o = &sim->options;
	struct random r;
	random_init(&r, sim->config->seed, STREAM_SWARM);
	if ((sim->config->protocol.protocol->flags & PROTOCOL_SINGLE) != 0)
		return;
	replicas_draw(sim, &r);
	proofs_draw(sim, &r);
	uint32_t batch = (uint32_t)between(&r, 1, 100);
	if (!options_given(o, OPTION_BATCH) && random_below(&r, 3) == 0)
		o->batch = batch;
	uint64_t retry_ns = between(&r, 1, 8) * round_ns(sim) + MS;
	if (!options_given(o, OPTION_RETRY))
		o->retry_ns = retry_ns;
}

static void
load_set(struct sim *sim)
{
	const struct sim_config *config = sim->config;
	uint32_t n = sim->options.replicas;
	sim->operations = config->operations;
	sim->steps_max = config->steps_max;
	if (!config->drawn || n <= SIM_MANY_REPLICAS)
		return;
	sim->operations = config->operations * SIM_MANY_REPLICAS / n + 1;
	sim->steps_max = config->steps_max * n / SIM_MANY_REPLICAS;
}

static void
nodes_count(struct sim *sim)
{
	uint32_t nodes = sim->around.client_nodes;
	nodes = nodes < sim->options.clients ? nodes : sim->options.clients;
	uint32_t per_node = (sim->options.clients + nodes - 1) / nodes;
	sim->clients_count = (uint16_t)((sim->options.clients + per_node - 1) / per_node);
	sim->replicas_count = (uint16_t)sim->options.replicas;
	sim->nodes_count = (uint16_t)(sim->replicas_count + sim->clients_count);
	for (uint32_t i = 0; i < sim->options.clients; i++)
		sim->slot_clients[i] = (uint16_t)(i / per_node);
	for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
		sim->twin_of[i] = -1;
}

/* Small intervals, so that a few hundred operations meet checkpoints and the end of a log. */
static struct sim_settings
settings_drawn(const struct sim *sim)
{
	struct sim_settings settings;
	static const uint32_t intervals[] = {4, 8, 8, 16, 32};
	struct random r;
	random_init(&r, sim->config->seed, STREAM_SETTINGS);
	settings.checkpoint_interval =
	    intervals[random_below(&r, sizeof(intervals) / sizeof(intervals[0]))];
	/* Not so short that a run is mostly timers: each means n * n messages and more. */
	settings.view_timeout_ns =
	    between(&r, 2, 10) * round_ns(sim) + (4 + sim->options.replicas) * (uint64_t)MS;
	settings.tentative = random_below(&r, 3) == 0;
	settings.reads = random_below(&r, 2) == 0;
	settings.watch_primary = random_below(&r, 4) == 0;
	return settings;
}

/* Options that were given stay. */
static void
settings_set(struct sim *sim, const struct sim_settings *settings)
{
	struct options *o = &sim->options;
	if (!options_given(o, OPTION_CHECKPOINT_INTERVAL) && settings->checkpoint_interval > 0)
		o->checkpoint_interval = settings->checkpoint_interval;
	if (o->checkpoint_interval < o->window)
		o->checkpoint_interval = o->window;
	if (!options_given(o, OPTION_VIEW_TIMEOUT) && settings->view_timeout_ns > 0)
		o->view_timeout_ns = settings->view_timeout_ns;
	const struct sim_knowledge *known = sim->config->protocol.known;
	if (known->tentative && !options_given(o, OPTION_TENTATIVE) && o->instances == 1 &&
	    o->pillars == 0)
		o->tentative = settings->tentative;
	if (known->reads && !options_given(o, OPTION_READ_ONLY))
		o->reads = settings->reads;
	if (known->watch_primary && !options_given(o, OPTION_WATCH_PRIMARY))
		o->watch_primary = settings->watch_primary;
}

void
sim_sizes_draw(struct sim *sim)
{
	const struct sim_config *config = sim->config;
	struct random r;
	random_init(&r, config->seed, STREAM_SIZES);
	sim->options = config->options;
	sim->options.seed = config->seed;
	surroundings_draw(sim, &r);
	instances_draw(sim);
	pillars_draw(sim);
	if (config->drawn) {
		options_draw(sim, &r);
		swarm_draw(sim);
	} else {
		sim->around.client_nodes = 2;
	}
	if (config->preset == PRESET_NONE && !config->drawn) { /* for the measurement */
		sim->around.delay_min_ns = 10 * US;
		sim->around.delay_spread_ns = 10 * US;
		sim->around.tail = 0;
		sim->around.horizon_ns = 1;
	}
	if (config->around != NULL)
		sim->around = *config->around;
	load_set(sim);
	nodes_count(sim);
	if ((config->protocol.protocol->flags & PROTOCOL_SINGLE) != 0)
		return;
	struct sim_settings settings = {0};
	if (config->settings != NULL)
		settings = *config->settings;
	else if (config->drawn)
		settings = settings_drawn(sim);
	if (config->settings != NULL || config->drawn)
		settings_set(sim, &settings);
}
