/* SPDX-License-Identifier: Apache-2.0 */
/* The run: surroundings, schedule, the loop, the end. See sim.h. One thread. */
#include "sim.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "mix.h"

enum {
	MS = 1000000,
	SAFETY_SHARE = 60,	  /* percent of the operations before the horizon */
	LIVENESS_MS = 300 * 1000, /* virtual time in which all must be answered after it */
	QUIET_MS = 60 * 1000,	  /* and in which replicas must become equal, ... */
	ASSEMBLY_MS = 10 * 1000,  /* and in which memory comes back */
	QUIET_RETRIES = 200,	  /* ... with so many times a retry's interval */
	VIEWS_HEALED_MAX = 64,	  /* view changes after the horizon: far above f + 2, ... */
	VIEWS_HEALED_EACH = 8,	  /* ... for delays can be longer than drawn timeouts */
	CHAIN_HOPS = 12,	  /* from a request by its leader and four blocks to its reply */
	RATE_ONE = 1024,
	MAPPED_SIZE = 256 * 1024, /* bytes: see sim_run() */
	VALUE_SIZE = 64,	  /* bytes, at most */
	VALUE_LARGE_SIZE = 3000,
	MIX_RESULT_SIZE = 1024, /* bytes: an answer and its proof fit an envelope */
	MIX_LARGE_SIZE = 5000,	/* and some that do not */
};

/* A failed check() of the engine is a finding like any other. */
static struct sim *sim_running;

void
check_failed(const char *file, int line, const char *condition)
{
	if (sim_running != NULL)
		sim_fail(sim_running, "check failed: %s:%d: %s", file, line, condition);
	fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
	abort();
}

void
sim_fail(struct sim *sim, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(sim->report->violation, sizeof(sim->report->violation), format, arguments);
	va_end(arguments);
	sim->report->failed = true;
	longjmp(sim->escape, 1);
}

/* ---- Workloads -------------------------------------------------------------- */

static struct workload *
workload_make(struct sim *sim, uint16_t index)
{
	const struct sim_config *config = sim->config;
	struct workload_config plain = plan_workload(&sim->options, index, sim->clients_count);
	struct random r;
	char error[WORKLOAD_ERROR_SIZE];
	if (config->workload != SIM_MIX) {
		plain.name = config->workload == SIM_NULL ? "null" : "echo";
		struct workload *w = workload_open(&plain, error);
		check(w != NULL);
		return w;
	}
	random_init(&r, config->seed, 3);
	bool large = random_below(&r, 5) == 0;
	uint32_t value_size_max = large ? VALUE_LARGE_SIZE : VALUE_SIZE;
	if (config->value_size_max > 0)
		value_size_max = config->value_size_max;
	return mix_open(&(struct mix_config){
	    .seed = config->seed,
	    .slot_first = plain.slot_first,
	    .slots_count = plain.slots_count,
	    .keys_count = 1 + (uint32_t)random_below(&r, 12),
	    .value_size_max = value_size_max,
	    .result_size_max = value_size_max > VALUE_SIZE ? MIX_LARGE_SIZE : MIX_RESULT_SIZE,
	});
}

static void
workloads_open(struct sim *sim)
{
	struct plan_input input = {
	    .options = &sim->options,
	    .protocol = sim->config->protocol.protocol,
	    .protocol_index = sim->config->protocol.index,
	    .client_nodes_count = sim->clients_count,
	};
	for (uint16_t i = 0; i < sim->clients_count; i++) {
		struct workload *w = workload_make(sim, i);
		sim->nodes[sim->replicas_count + i].workload = listener_open(&sim->oracle, w);
		input.op_size_max = workload_op_size_max(w);
		input.result_size_max = workload_result_size_max(w);
	}
	plan_make(&sim->plan, &input);
}

/* ---- The schedule ----------------------------------------------------------- */

static void
schedule_make(struct sim *sim)
{
	const struct sim_config *config = sim->config;
	const struct sim_protocol *protocol = &config->protocol;
	bool single = (protocol->protocol->flags & PROTOCOL_SINGLE) != 0;
	struct fault_model model = {
	    .preset = config->preset,
	    .seed = config->seed,
	    .horizon_ns = sim->around.horizon_ns,
	    .delay_ns = sim->around.delay_min_ns + sim->around.delay_spread_ns / 2,
	    .timeout_ns = single ? 0 : sim->options.view_timeout_ns,
	    .leader_type = protocol->known->leader_type,
	    .type_last = (uint8_t)(protocol->known->types_end - (protocol->known->types_end > 0)),
	    .own_lies = protocol->known->lies != NULL,
	    .replicas_count = sim->replicas_count,
	    .clients_count = sim->clients_count,
	    .faults = single ? 0 : (uint16_t)sim->options.faults,
	    .needed = protocol->needed,
	    .byzantine = protocol->byzantine,
	    .client_lies = protocol->client_lies,
	    .amnesia = protocol->amnesia,
	    .single = single,
	};
	model.quorum = (uint16_t)(model.replicas_count - model.faults);
	if (config->schedule != NULL)
		schedule_copy(&sim->schedule, config->schedule);
	else
		schedule_draw(&sim->schedule, &model);
	if (config->planned != NULL)
		schedule_copy(config->planned, &sim->schedule);
}

/* Who lies, who must be live in the end, and whether bad messages are to be expected. */
static void
schedule_study(struct sim *sim)
{
	uint64_t replicas = (1ull << sim->replicas_count) - 1;
	uint64_t lost = 0;
	for (uint32_t i = 0; i < sim->schedule.count; i++) {
		const struct fault *f = &sim->schedule.list[i];
		if (fault_is_lie(f->kind) || fault_is_client(f->kind))
			sim->liars |= f->from;
		if (f->kind == FAULT_TWIN) {
			uint16_t twin = (uint16_t)__builtin_ctzll(f->to);
			uint16_t original = (uint16_t)__builtin_ctzll(f->from);
			check(twin == sim->nodes_count && twin < SIM_NODES_MAX);
			sim->liars |= f->to;
			sim->twin_of[original] = (int16_t)twin;
			sim->nodes_count++;
		}
		if (f->kind == FAULT_CORRUPT || f->kind == FAULT_MESSAGE_CORRUPTED)
			sim->disturbed = true;
		if (f->end_ns == FAULT_NEVER && f->kind <= FAULT_AMNESIA) {
			/* The side that is not most of them is the one that is lost. */
			uint64_t side = f->from & replicas;
			if (__builtin_popcountll(side) > __builtin_popcountll(f->to & replicas) &&
			    f->to != 0)
				side = f->to & replicas;
			lost |= side;
		}
	}
	sim->disturbed |= sim->liars != 0;
	sim->core = replicas & ~lost & ~sim->liars;
	link_explicit_build(sim);
}

/* ---- Faults of nodes --------------------------------------------------------- */

/* Would this fault leave more than f replicas without what they promised? */
static bool
amnesia_refused(const struct sim *sim, const struct fault *f)
{
	uint32_t gone = 0;
	if (f->kind != FAULT_AMNESIA)
		return false;
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		bool struck = (f->from >> i & 1) != 0;
		gone += struck || node->recovering || node->forgets;
		if (struck && (node->recovering || node->forgets))
			return true;
	}
	return !sim->config->protocol.byzantine && gone > sim->options.faults;
}

static void
node_down(struct sim_node *node)
{
	node->up = false;
	node_inbox_clear(node);
	trace_note(node->sim, "node %u goes down", node->index);
}

static void
node_restart(struct sim_node *node)
{
	struct sim *sim = node->sim;
	if (node->forgets) {
		uint16_t identity = node->identity;
		node_close(node);
		node_open(sim, node->index, identity, true);
		node->forgets = false;
		node->recovering = true;
		node->recovered = sim->oracle.head;
		sim->oracle.once = false;
	}
	node->up = true;
	trace_note(sim, "node %u is up%s", node->index, node->recovering ? ", without memory" : "");
}

/* What the faults that are active now make of a node. */
static void
node_follow(struct sim_node *node)
{
	struct sim *sim = node->sim;
	bool down = false;
	bool paused = false;
	uint64_t rate = RATE_ONE;
	for (uint32_t i = 0; i < sim->active_count; i++) {
		const struct fault *f = &sim->schedule.list[sim->active[i]];
		if ((f->from >> node->index & 1) == 0)
			continue;
		down |= f->kind == FAULT_CRASH || f->kind == FAULT_AMNESIA;
		node->forgets |= f->kind == FAULT_AMNESIA;
		paused |= f->kind == FAULT_PAUSE;
		rate = f->kind == FAULT_CLOCK_RATE ? f->amount : rate;
	}
	if (rate != node->clock_rate)
		node_clock_set(node, rate, 0);
	if (down && node->up)
		node_down(node);
	else if (!down && !node->up)
		node_restart(node);
	if (paused != node->paused)
		trace_note(sim, "node %u %s", node->index, paused ? "stalls" : "goes on");
	node->paused = paused;
	node_wake(node);
}

static void
fault_begin(struct sim *sim, uint32_t index)
{
	const struct fault *f = &sim->schedule.list[index];
	if (fault_is_message(f->kind) || amnesia_refused(sim, f))
		return;
	check(sim->active_count < SIM_ACTIVE_MAX);
	sim->active[sim->active_count++] = index;
	bool counts = f->kind >= FAULT_CLOCK_RATE && f->kind <= FAULT_AMNESIA;
	sim->report->faults[f->kind] += counts || f->kind == FAULT_TWIN;
	if (f->kind == FAULT_CLOCK_JUMP) {
		for (uint16_t i = 0; i < sim->nodes_count; i++) {
			struct sim_node *node = &sim->nodes[i];
			if (f->from >> i & 1)
				node_clock_set(node, node->clock_rate, f->amount);
		}
	}
	trace_note(sim, "%s begins, from %" PRIx64 " to %" PRIx64 " amount %" PRIu64,
	    fault_name(f->kind), f->from, f->to, f->amount);
}

/* Faults end, faults begin, nodes follow. */
static void
faults_turn(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->active_count;) {
		const struct fault *f = &sim->schedule.list[sim->active[i]];
		if (f->end_ns > sim->now_ns) {
			i++;
			continue;
		}
		trace_note(sim, "%s ends", fault_name(f->kind));
		for (uint32_t j = i + 1; j < sim->active_count; j++)
			sim->active[j - 1] = sim->active[j];
		sim->active_count--;
	}
	while (sim->schedule_next < sim->schedule.count &&
	       sim->schedule.list[sim->schedule_next].start_ns <= sim->now_ns)
		fault_begin(sim, sim->schedule_next++);
	for (uint16_t i = 0; i < sim->nodes_count; i++)
		node_follow(&sim->nodes[i]);
	sim->fault_edge_ns = FAULT_NEVER;
	while (sim->schedule_next < sim->schedule.count &&
	       fault_is_message(sim->schedule.list[sim->schedule_next].kind))
		sim->schedule_next++;
	if (sim->schedule_next < sim->schedule.count)
		sim->fault_edge_ns = sim->schedule.list[sim->schedule_next].start_ns;
	for (uint32_t i = 0; i < sim->active_count; i++) {
		uint64_t end_ns = sim->schedule.list[sim->active[i]].end_ns;
		sim->fault_edge_ns = end_ns < sim->fault_edge_ns ? end_ns : sim->fault_edge_ns;
	}
}

uint32_t
sim_fault_add(struct sim *sim, const struct fault *fault)
{
	struct fault now = *fault;
	uint32_t at = 0;
	now.start_ns = sim->now_ns;
	schedule_add(&sim->schedule, &now);
	while (at < sim->schedule.count && sim->schedule.list[at].start_ns <= sim->now_ns)
		at++;
	sim->fault_edge_ns = sim->now_ns;
	return at - 1;
}

void
sim_fault_end(struct sim *sim, uint32_t index)
{
	sim->schedule.list[index].end_ns = sim->now_ns;
	sim->fault_edge_ns = sim->now_ns;
}

/* ---- The loop ---------------------------------------------------------------- */

uint64_t
sim_allowed(const struct sim *sim)
{
	uint64_t operations = sim->operations;
	uint64_t early = operations * SAFETY_SHARE / 100;
	if (sim->now_ns >= sim->around.horizon_ns)
		return operations;
	return early * (sim->now_ns / 1024) / (sim->around.horizon_ns / 1024 + 1) + 1;
}

uint64_t
sim_allowed_next_ns(const struct sim *sim)
{
	uint64_t early = sim->operations * SAFETY_SHARE / 100;
	uint64_t horizon_ns = sim->around.horizon_ns;
	if (sim->oracle.asked >= sim->operations)
		return FAULT_NEVER;
	if (sim->now_ns >= horizon_ns)
		return sim->now_ns;
	if (sim->oracle.asked >= early || early == 0)
		return horizon_ns;
	return sim->now_ns + horizon_ns / early + 1024;
}

static void
arrive(struct sim *sim)
{
	struct arrival a = network_take(&sim->network);
	struct sim_node *node = &sim->nodes[a.to];
	sim_note(sim, sim->now_ns ^ a.packet->hash ^ (uint64_t)a.to << 56);
	sim->report->delivered++;
	node_receive(node, a.packet);
}

static void
recovery_follow(struct sim_node *node)
{
	uint64_t position = node->sim->oracle.replicas[node->index].position;
	if (node->recovering && position > node->recovered)
		node->recovering = false;
}

bool
sim_view_moved(const struct sim *sim)
{
	bool moved = sim->report->view_max > 0;
	if (sim->config->protocol.known->rotates)
		return sim->oracle.views_failed > 0;
	for (uint16_t i = 0; i < sim->replicas_count && !moved; i++)
		moved = sim->nodes[i].correct && node_view(&sim->nodes[i]) > 0;
	return moved;
}

/*
 * View changes of correct replicas since the faults ended: a storm of them is a failure. Where
 * views rotate, those count that were given up though nothing is wrong with their leader; and
 * as an operation takes several of them, on a network with round trips above the drawn timeout
 * each may cost one. Each instance has timers, and finds out what the network takes, by itself:
 * the worst one is judged.
 */
static void
view_growth_check(struct sim *sim)
{
	struct sim_report *report = sim->report;
	bool rotates = sim->config->protocol.known->rotates;
	report->views_failed = rotates ? sim->oracle.views_failed : report->view_max;
	if (sim->now_ns < sim->around.horizon_ns) {
		sim->view_healed = report->view_max;
		sim->answered_healed = sim->oracle.answered;
		return;
	}
	report->views_healed =
	    rotates ? sim->oracle.views_failed_healed : report->view_max - sim->view_healed;
	uint64_t bound = VIEWS_HEALED_MAX + (uint64_t)VIEWS_HEALED_EACH * sim->replicas_count;
	if (rotates)
		bound += sim->oracle.answered - sim->answered_healed;
	if (sim->report->views_healed > bound)
		sim_fail(sim, "views: %" PRIu64 " view changes since the faults ended",
		    sim->report->views_healed);
}

static void
run_node(struct sim *sim, struct sim_node *node)
{
	sim->report->bursts++;
	node_run(node);
	if (node->replica == NULL)
		return;
	recovery_follow(node);
	if (node->correct) {
		uint64_t view = node_view(node);
		if (view > sim->report->view_max)
			sim->report->view_max = view;
		view_growth_check(sim);
		return;
	}
	for (uint32_t i = 0; i < sim->active_count; i++) {
		const struct fault *f = &sim->schedule.list[sim->active[i]];
		if ((f->from >> node->index & 1) == 0)
			continue;
		if (f->kind == FAULT_GENERATE)
			lie_generate(node, f, sim->report->events);
		else if (f->kind == FAULT_INVENT && node->roused)
			lie_invent(node, f, sim->report->events);
	}
}

/* One event: the earliest of a fault's turn, an arrival, a node's own time. False: there is
   none before `until_ns`. */
static bool
sim_event(struct sim *sim, uint64_t until_ns)
{
	uint64_t network_ns =
	    sim->network.count > 0 ? network_first(&sim->network)->at_ns : FAULT_NEVER;
	struct sim_node *next = &sim->nodes[0];
	for (uint16_t i = 1; i < sim->nodes_count; i++)
		next = sim->nodes[i].wake_ns < next->wake_ns ? &sim->nodes[i] : next;
	uint64_t at_ns = network_ns < next->wake_ns ? network_ns : next->wake_ns;
	at_ns = sim->fault_edge_ns < at_ns ? sim->fault_edge_ns : at_ns;
	if (at_ns > until_ns || at_ns == FAULT_NEVER)
		return false;
	check(at_ns >= sim->now_ns);
	sim->now_ns = at_ns;
	if (++sim->report->events > sim->steps_max)
		sim_fail(sim, "progress: more than %" PRIu64 " events", sim->steps_max);
	if (sim->fault_edge_ns == at_ns)
		faults_turn(sim);
	else if (network_ns == at_ns)
		arrive(sim);
	else
		run_node(sim, next);
	if (sim->config->script != NULL)
		sim->config->script->event(sim->config->script->self, sim);
	return true;
}

/* ---- The end ------------------------------------------------------------------ */

static bool
clients_quiet(const struct sim *sim)
{
	if (sim->oracle.asked < sim->operations)
		return false;
	for (uint16_t i = sim->replicas_count; i < sim->nodes_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		if (node->client != NULL && node->correct && !client_quiet(node->client))
			return false;
	}
	return true;
}

/* All replicas of the core have executed the same, and none is fetching a state. */
static bool
core_equal(const struct sim *sim)
{
	uint64_t first = UINT64_MAX;
	for (uint64_t left = sim->core; left != 0; left &= left - 1) {
		const struct replica *r = sim->nodes[__builtin_ctzll(left)].replica;
		uint64_t position = executor_position(&r->executor);
		if (r->running || r->executor.state.transferring ||
		    (first != UINT64_MAX && position != first))
			return false;
		first = position;
	}
	return true;
}

static void
states_compare(struct sim *sim)
{
	uint8_t first32[DIGEST_SIZE] = {0};
	bool any = false;
	for (uint64_t left = sim->core; left != 0; left &= left - 1) {
		struct sim_node *node = &sim->nodes[__builtin_ctzll(left)];
		uint8_t digest32[DIGEST_SIZE];
		struct executor *e = &node->replica->executor;
		executor_checkpoint(e, executor_position(e), digest32);
		if (any && memcmp(first32, digest32, sizeof(digest32)) != 0)
			sim_fail(sim, "agreement: replica %u ends in another state", node->index);
		memcpy(first32, digest32, sizeof(first32));
		any = true;
	}
}

/* Messages that were never completed give their memory back in time. */
static void
memory_check(struct sim *sim)
{
	uint64_t end_ns = sim->now_ns + ASSEMBLY_MS * (uint64_t)MS;
	for (uint16_t i = 0; sim->liars == 0 && i < sim->nodes_count; i++) {
		const struct sim_node *node = &sim->nodes[i];
		while (node->up && node_assemblies(node) > 0) {
			if (!sim_event(sim, end_ns))
				sim_fail(sim, "memory: node %u still puts %u messages together", i,
				    node_assemblies(node));
		}
	}
}

static void
stuck_fail(struct sim *sim)
{
	char text[256] = "";
	size_t size = 0;
	for (uint16_t i = 0; i < sim->nodes_count && size < sizeof(text) - 32; i++) {
		const struct sim_node *node = &sim->nodes[i];
		uint64_t number = node->replica != NULL
				      ? executor_position(&node->replica->executor)
				      : node->client->slots_count - node->client->idle_count;
		size += (size_t)snprintf(text + size, sizeof(text) - size, " %s%" PRIu64,
		    node->replica != NULL ? "" : "c", number);
	}
	sim_fail(sim,
	    "liveness: %" PRIu64 " of %" PRIu64 " operations were asked for, %" PRIu64
	    " answered; positions of replicas, open operations of clients:%s",
	    sim->oracle.asked, sim->operations, sim->oracle.answered, text);
}

/*
 * What protocols may take longer, in each of the rounds that a client's operations take one after
 * another. Of a chain with leaders in turn, blocks are committed three blocks later, and leaders
 * that are gone for good cost a timeout each, and another of the view before. Where the primary
 * stays, one that lies may use up to a timeout each time before it is replaced.
 */
static uint64_t
leaders_ns(const struct sim *sim)
{
	const struct sim_surroundings *a = &sim->around;
	uint64_t rounds = sim->operations / sim->options.clients + 1;
	uint64_t gone = sim->replicas_count - (uint64_t)__builtin_popcountll(sim->core);
	uint64_t chain_ns = CHAIN_HOPS * (a->delay_min_ns + a->delay_spread_ns);
	uint64_t replicas = (1ull << sim->replicas_count) - 1;
	if (!sim->config->protocol.known->rotates)
		return (sim->liars & replicas) != 0 ? rounds * sim->plan.protocol.view_timeout_ns
						    : 0;
	return rounds * (chain_ns + gone * 4 * sim->plan.protocol.view_timeout_ns);
}

/* The faults are over, and all replicas are somewhere, and at the same place. */
static void
core_settle(struct sim *sim)
{
	uint64_t quiet_ns = QUIET_MS * (uint64_t)MS + QUIET_RETRIES * sim->options.retry_ns;
	uint64_t horizon_ns = sim->around.horizon_ns;
	uint64_t end_ns = (sim->now_ns > horizon_ns ? sim->now_ns : horizon_ns) + quiet_ns;
	while (sim->now_ns < horizon_ns || !core_equal(sim)) {
		if (sim->now_ns < horizon_ns) {
			if (!sim_event(sim, horizon_ns))
				sim->now_ns = horizon_ns;
		} else if (!sim_event(sim, end_ns)) {
			stuck_fail(sim);
		}
	}
}

/* perf/regress.sh counts its instructions: not those of making nodes ready. */
__attribute__((noinline)) static void
sim_loop(struct sim *sim)
{
	uint64_t answered_ns =
	    sim->around.answered_ns > 0 ? sim->around.answered_ns : LIVENESS_MS * (uint64_t)MS;
	uint64_t end_ns = sim->around.horizon_ns + answered_ns + leaders_ns(sim);
	while (!clients_quiet(sim)) {
		if (!sim_event(sim, end_ns))
			stuck_fail(sim);
	}
	if (sim->now_ns > sim->around.horizon_ns)
		sim->report->settled_ns = sim->now_ns - sim->around.horizon_ns;
	core_settle(sim);
	memory_check(sim);
	/* What was awaited for its memory may have moved somebody on. */
	core_settle(sim);
	states_compare(sim);
	oracle_judge(&sim->oracle);
	if (sim->config->script != NULL)
		sim->config->script->end(sim->config->script->self, sim);
}

static void
sim_open(struct sim *sim)
{
	sim_sizes_draw(sim);
	sim->nodes = calloc(SIM_NODES_MAX, sizeof(*sim->nodes));
	check(sim->nodes != NULL);
	network_init(&sim->network);
	schedule_init(&sim->schedule);
	schedule_make(sim);
	workloads_open(sim);
	oracle_open(&sim->oracle, sim, sim->options.clients);
	schedule_study(sim);
	for (uint32_t i = 0; i < sim->options.clients; i++)
		sim->oracle.slots[i].faulty =
		    (sim->liars >> (sim->replicas_count + sim->slot_clients[i]) & 1) != 0;
	sim->message_room = sim->plan.message_size_max > sim->plan.envelope_size
				? sim->plan.message_size_max
				: sim->plan.envelope_size;
	sim->scratch = aligned_alloc(64, (sim->message_room + 63u) & ~63u);
	check(sim->scratch != NULL);
	uint16_t plain = (uint16_t)(sim->replicas_count + sim->clients_count);
	for (uint16_t i = 0; i < plain; i++) {
		node_open(sim, i, i, false);
		if (sim->twin_of[i] >= 0)
			node_open(sim, (uint16_t)sim->twin_of[i], i, false);
	}
	faults_turn(sim);
}

static void
sim_close(struct sim *sim)
{
	for (uint16_t i = 0; sim->nodes != NULL && i < SIM_NODES_MAX; i++) {
		struct sim_node *node = &sim->nodes[i];
		node_close(node);
		free(node->units);
		workload_close(node->workload);
		for (uint32_t j = 0; j < node->old_count; j++)
			packet_release(node->old[j]);
	}
	network_free(&sim->network);
	oracle_close(&sim->oracle);
	schedule_free(&sim->schedule);
	free(sim->explicit_keys);
	free(sim->explicit_faults);
	free(sim->scratch);
	free(sim->nodes);
}

void
sim_run(const struct sim_config *config, struct sim_report *report)
{
	static struct sim sim; /* large; one at a time */
	/* Large blocks are fresh pages each time: those never touched cost nothing to clear. */
	mallopt(M_MMAP_THRESHOLD, MAPPED_SIZE);
	memset(&sim, 0, sizeof(sim));
	memset(report, 0, sizeof(*report));
	sim.config = config;
	sim.report = report;
	sim.hash = config->seed;
	if (setjmp(sim.escape) == 0) {
		sim_running = &sim;
		sim_open(&sim);
		sim_loop(&sim);
	}
	sim_running = NULL;
	report->hash = sim.hash;
	report->flight_peak = sim.network.count_peak;
	report->virtual_ns = sim.now_ns;
	report->operations = sim.oracle.answered;
	for (uint16_t i = 0; sim.nodes != NULL && i < SIM_NODES_MAX; i++) {
		if (sim.nodes[i].client != NULL)
			report->lost += sim.nodes[i].client->counters.lost;
	}
	report->executed = sim.oracle.executed;
	report->positions = sim.oracle.ledger_count;
	sim_close(&sim);
}
