/* SPDX-License-Identifier: Apache-2.0 */
/* See scenario.h. One thread. */
#include "scenario.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_modes.h"

enum {
	US = 1000,
	MS = 1000000,
	HELD_MAX = 4096,
	VIEW_TIMEOUT_MS = 20,
	CHECKPOINT_INTERVAL = 8,
	TIMEOUTS_MAX = 20 << 3, /* view timeouts until all is answered: three doublings */
	STEPS_MAX = 4000000,
};

/* A message that waits for a rule to act. */
struct held {
	struct packet *packet;
	uint16_t from;
	uint16_t to;
	uint32_t rule; /* number of the rule that it waits for */
};

/* A scenario that runs. */
struct play {
	const struct scenario *scenario;
	uint32_t rules_count;
	uint64_t occasions[SCENARIO_RULES_MAX];
	uint64_t acted[SCENARIO_RULES_MAX];
	uint32_t fault_places[SCENARIO_RULES_MAX]; /* in the schedule, of what rules began */
	bool fault_begun[SCENARIO_RULES_MAX];
	uint32_t held_count;
	struct held held[HELD_MAX];
	bool busy; /* messages that rules send are not subject to rules */
	bool over; /* the horizon has passed */
};

/* ---- Occasions ---------------------------------------------------------------- */

static bool
is_moment(const struct scenario_rule *r)
{
	return r->type == 0 && r->from == 0 && r->to == 0 && r->like == NULL;
}

/* The first that says nothing ends the list. */
static bool
is_given(const struct scenario_rule *r)
{
	return !is_moment(r) || r->at_ns > 0 || r->when != NULL || r->act != SCENARIO_COUNT;
}

static bool
in(uint64_t mask, uint16_t node)
{
	return mask == 0 || (mask >> node & 1) != 0;
}

/* What messages and moments have in common. */
static bool
ready(const struct play *p, struct sim *sim, uint32_t i)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	if (p->over && !r->lasting)
		return false;
	if (sim->now_ns < r->at_ns + p->acted[i] * r->every_ns ||
	    (r->after > 0 && p->acted[r->after - 1] == 0))
		return false;
	if (r->until > 0 && p->acted[r->until - 1] > 0)
		return false;
	uint32_t times = r->times == 0 && is_moment(r) ? 1 : r->times;
	if (times > 0 && p->acted[i] >= times)
		return false;
	return r->when == NULL || r->when(sim);
}

static uint8_t
type_of(const struct sim *sim, uint8_t type)
{
	const struct sim_knowledge *known = sim->config->protocol.known;
	return type == SCENARIO_PROPOSAL ? known->leader_type
	       : type == SCENARIO_VOTE	 ? known->vote_type
					 : type;
}

static bool
meets(const struct play *p, struct sim *sim, uint32_t i, const struct sim_passage *passage)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	const struct message_header *header = (const void *)passage->packet->data;
	if (is_moment(r) || !in(r->from, passage->from) || !in(r->to, passage->to))
		return false;
	if ((r->type != 0 && header->type != type_of(sim, r->type)) ||
	    (r->view != 0 && header->view + 1 != r->view) ||
	    (r->seq != 0 && header->seq + 1 != r->seq) ||
	    (r->seq_every != 0 && header->seq % r->seq_every != 0))
		return false;
	return ready(p, sim, i) && (r->like == NULL || r->like(sim, header, passage->to));
}

/* ---- Acts --------------------------------------------------------------------- */

static void
release(struct play *p, struct sim *sim, uint32_t rule)
{
	uint32_t kept = 0;
	p->busy = true;
	for (uint32_t i = 0; i < p->held_count; i++) {
		const struct held *h = &p->held[i];
		if (rule != 0 && h->rule != rule)
			p->held[kept++] = *h;
		else
			link_pass(sim, h->from, h->to, h->packet);
	}
	p->busy = false;
	p->held_count = kept;
}

static void
hold(struct play *p, const struct sim_passage *passage, uint64_t rule)
{
	check(p->held_count < HELD_MAX);
	passage->packet->references++;
	p->held[p->held_count++] = (struct held){.packet = passage->packet,
	    .from = passage->from,
	    .to = passage->to,
	    .rule = (uint32_t)rule};
}

static void
packet_replace(struct sim_passage *passage, struct packet *packet)
{
	packet_release(passage->packet);
	passage->packet = packet;
}

static bool
flip(struct sim *sim, struct sim_passage *passage, uint64_t number)
{
	const struct message_header *header = (const void *)passage->packet->data;
	sim->disturbed = true;
	if (header->proof == PROOF_NONE) /* the link's own checksum guards it */
		return false;
	struct packet *copy = packet_make(passage->packet->data, passage->packet->size);
	copy->data[number % copy->size] ^= (uint8_t)(1u << (number / copy->size % 8));
	copy->hash = packet_hash(copy->data, copy->size);
	packet_replace(passage, copy);
	return true;
}

/* The slot that a message to a client node is for. */
static uint16_t
slot_of(const struct sim *sim, const struct message_header *header, uint16_t to)
{
	return to >= sim->replicas_count ? header->instance : 0;
}

static void
mutate(struct play *p, struct sim *sim, uint32_t i, struct sim_passage *passage)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	struct lie_letter letter;
	const struct packet *packet = passage->packet;
	check((p->scenario->faulty >> passage->from & 1) != 0);
	if (!lie_open(sim, &letter, packet->data, packet->size))
		return;
	uint16_t slot = slot_of(sim, letter.header, passage->to);
	r->mutate(&(struct scenario_letter){sim, &letter, p->acted[i], passage->to});
	packet_replace(passage, lie_seal(&sim->nodes[passage->from], &letter, passage->to, slot));
}

static void
forge_one(struct play *p, struct sim *sim, uint32_t i, uint16_t to)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	uint16_t from = (uint16_t)__builtin_ctzll(r->fault.from);
	struct message_header blank = {
	    .size = sizeof(blank),
	    .cluster = sim->plan.protocol.cluster,
	    .sender = from,
	    .protocol = sim->plan.protocol.protocol,
	    .version = MESSAGE_VERSION,
	};
	struct lie_letter letter;
	check((p->scenario->faulty >> from & 1) != 0);
	check(lie_open(sim, &letter, &blank, sizeof(blank)));
	letter.proof = sim->plan.protocol.protocol_proof;
	letter.body_room = sim->plan.envelope_size - (uint32_t)sizeof(blank) -
			   proof_size(PROOF_VECTOR, sim->replicas_count);
	r->mutate(&(struct scenario_letter){sim, &letter, p->acted[i], to});
	link_pass(sim, from, to,
	    lie_seal(&sim->nodes[from], &letter, to, slot_of(sim, letter.header, to)));
}

static void
forge(struct play *p, struct sim *sim, uint32_t i)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	uint64_t count = r->amount == 0 ? 1 : r->amount;
	p->busy = true;
	for (uint64_t number = 0; number < count; number++) {
		for (uint64_t left = r->fault.to; left != 0; left &= left - 1)
			forge_one(p, sim, i, (uint16_t)__builtin_ctzll(left));
		p->acted[i]++;
	}
	p->acted[i]--;
	p->busy = false;
}

static void
replay(struct play *p, struct sim *sim, uint32_t i, const struct sim_passage *passage)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	p->busy = true;
	sim->late_ns = r->amount;
	for (uint64_t left = r->fault.to; left != 0; left &= left - 1) {
		uint16_t to = (uint16_t)__builtin_ctzll(left);
		if (to == passage->from)
			continue;
		passage->packet->references++;
		link_pass(sim, passage->from, to, passage->packet);
	}
	sim->late_ns = 0;
	p->busy = false;
}

/* Of the first instance, in the highest view. */
static uint16_t
primary_of(const struct sim *sim)
{
	const struct sim_knowledge *known = sim->config->protocol.known;
	uint64_t view = 0;
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		uint64_t own = node_view(&sim->nodes[i]);
		view = own > view ? own : view;
	}
	if (known->leader != NULL)
		return known->leader(&sim->plan.protocol, 0, view);
	return (uint16_t)(view % sim->replicas_count);
}

static void
fault_start(struct play *p, struct sim *sim, uint32_t i)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	struct fault f = r->fault;
	if (f.from == 0)
		f.from = 1ull << primary_of(sim);
	uint64_t lasts_ns = f.end_ns == 0 ? FAULT_NEVER : f.end_ns;
	f.end_ns = lasts_ns == FAULT_NEVER ? FAULT_NEVER : sim->now_ns + lasts_ns;
	if (!r->lasting && f.end_ns > sim->around.horizon_ns)
		f.end_ns = sim->around.horizon_ns;
	p->fault_places[i] = sim_fault_add(sim, &f);
	p->fault_begun[i] = true;
}

/* False: the message does not go on. */
static bool
act(struct play *p, struct sim *sim, uint32_t i, struct sim_passage *passage)
{
	const struct scenario_rule *r = &p->scenario->rules[i];
	bool goes_on = true;
	switch (r->act) {
	case SCENARIO_COUNT:
		break;
	case SCENARIO_DROP:
		goes_on = false;
		break;
	case SCENARIO_DELAY:
		passage->later_ns += r->amount;
		break;
	case SCENARIO_HOLD:
		hold(p, passage, r->amount);
		goes_on = false;
		break;
	case SCENARIO_DUPLICATE:
		passage->copies += (uint32_t)r->amount;
		break;
	case SCENARIO_FLIP:
		goes_on = flip(sim, passage, p->acted[i]);
		break;
	case SCENARIO_MUTATE:
		mutate(p, sim, i, passage);
		break;
	case SCENARIO_FORGE:
		forge(p, sim, i);
		break;
	case SCENARIO_REPLAY:
		replay(p, sim, i, passage);
		break;
	case SCENARIO_FAULT:
		fault_start(p, sim, i);
		break;
	case SCENARIO_HEAL:
		if (p->fault_begun[r->amount - 1])
			sim_fault_end(sim, p->fault_places[r->amount - 1]);
		break;
	}
	p->acted[i]++;
	trace_note(sim, "rule %u acts", i + 1);
	release(p, sim, i + 1);
	return goes_on;
}

/* ---- The script ------------------------------------------------------------------ */

static bool
on_message(void *self, struct sim *sim, struct sim_passage *passage)
{
	struct play *p = self;
	if (p->busy)
		return true;
	for (uint32_t i = 0; i < p->rules_count; i++) {
		if (!meets(p, sim, i, passage))
			continue;
		if (++p->occasions[i] < p->scenario->rules[i].nth)
			continue;
		if (!act(p, sim, i, passage))
			return false;
	}
	return true;
}

static void
on_event(void *self, struct sim *sim)
{
	struct play *p = self;
	if (!p->over && sim->now_ns >= sim->around.horizon_ns) {
		p->over = true;
		release(p, sim, 0);
	}
	for (uint32_t i = 0; i < p->rules_count; i++) {
		if (is_moment(&p->scenario->rules[i]) && ready(p, sim, i))
			act(p, sim, i, NULL);
	}
}

static void
on_end(void *self, struct sim *sim)
{
	struct play *p = self;
	const struct scenario *s = p->scenario;
	uint64_t views_max = s->views_max > 0 ? s->views_max : sim->options.faults + 2u;
	uint64_t timeouts_max = s->timeouts_max > 0 ? s->timeouts_max : TIMEOUTS_MAX;
	uint64_t settled_max_ns = timeouts_max * sim->plan.protocol.view_timeout_ns;
	for (uint32_t i = 0; i < p->rules_count; i++) {
		if (p->acted[i] == 0 && !s->rules[i].optional)
			sim_fail(sim, "scenario: rule %u had no occasion", i + 1);
	}
	if (sim->report->views_healed > views_max)
		sim_fail(sim,
		    "scenario: %" PRIu64 " view changes after the faults, at most %" PRIu64,
		    sim->report->views_healed, views_max);
	if (settled_max_ns > 0 && sim->report->settled_ns > settled_max_ns)
		sim_fail(sim,
		    "scenario: answers took %" PRIu64 " ms after the faults, at most %" PRIu64,
		    sim->report->settled_ns / MS, settled_max_ns / MS);
	const char *wrong = s->expect != NULL ? s->expect(sim) : NULL;
	if (wrong != NULL)
		sim_fail(sim, "scenario: %s", wrong);
}

/* ---- The cluster ----------------------------------------------------------------- */

static uint32_t
or_default(uint32_t number, uint32_t otherwise)
{
	return number > 0 ? number : otherwise;
}

static struct sim_settings
settings_of(const struct scenario *s)
{
	struct sim_settings settings = s->settings;
	if (settings.checkpoint_interval == 0)
		settings.checkpoint_interval = CHECKPOINT_INTERVAL;
	if (settings.view_timeout_ns == 0)
		settings.view_timeout_ns = VIEW_TIMEOUT_MS * (uint64_t)MS;
	return settings;
}

static bool
config_fill(struct sim_config *config, const struct scenario *s)
{
	bool ok = sim_config_make(config, s->mode, or_default(s->faults, 1));
	struct options *o = &config->options;
	o->replicas = or_default(s->replicas, o->replicas);
	o->clients = or_default(s->clients, 6);
	o->instances = or_default(s->instances, 1);
	o->pillars = s->pillars;
	o->batch = or_default(s->batch, 4);
	o->window = or_default(s->window, 4);
	o->mtu = or_default(s->mtu, 9000);
	o->adaptive = true;
	o->retry_ns = settings_of(s).view_timeout_ns * 3 / 4;
	if (s->auth != AUTH_NONE)
		o->auth = s->auth;
	if (s->request_auth != AUTH_NONE)
		o->request_auth = s->request_auth;
	config->preset = PRESET_NONE;
	config->value_size_max = or_default(s->value_size, 64);
	config->drawn = false;
	config->operations = or_default(s->operations, 250);
	config->steps_max = STEPS_MAX;
	return ok;
}

/* Who lies or is lost from the beginning, in the schedule's words. */
static void
schedule_fill(struct schedule *schedule, const struct scenario *s)
{
	schedule_init(schedule);
	if (s->faulty != 0)
		schedule_add(
		    schedule, &(struct fault){
				  .kind = FAULT_SILENT, .end_ns = FAULT_NEVER, .from = s->faulty});
	for (uint32_t i = 0; i < s->planned_count; i++)
		schedule_add(schedule, &s->planned[i]);
	if (s->twin != 0)
		schedule_add(schedule, &(struct fault){.kind = FAULT_TWIN,
					   .end_ns = FAULT_NEVER,
					   .from = s->twin,
					   .to = 1ull << SCENARIO_TWIN});
	if (s->lost != 0)
		schedule_add(schedule,
		    &(struct fault){.kind = FAULT_SLOW, .end_ns = FAULT_NEVER, .from = s->lost});
}

void
scenario_run(const struct scenario *s, uint64_t seed, FILE *trace, struct sim_report *report)
{
	static struct play play;
	struct sim_config config;
	struct schedule schedule;
	memset(&play, 0, sizeof(play));
	play.scenario = s;
	while (play.rules_count < SCENARIO_RULES_MAX && is_given(&s->rules[play.rules_count]))
		play.rules_count++;
	const struct sim_script script = {&play, on_message, on_event, on_end};
	const struct sim_settings settings = settings_of(s);
	const struct sim_surroundings around = {
	    .delay_min_ns = 20 * US,
	    .delay_spread_ns = 60 * US,
	    .service_ns = 2 * US,
	    .horizon_ns = s->horizon_ns > 0 ? s->horizon_ns : 1000 * (uint64_t)MS,
	    .answered_ns = s->answered_ns,
	    .client_nodes = 2,
	};
	if (!config_fill(&config, s)) {
		*report = (struct sim_report){.failed = true};
		snprintf(report->violation, sizeof(report->violation), "no such mode: %s", s->mode);
		return;
	}
	schedule_fill(&schedule, s);
	config.seed = seed;
	config.trace = trace;
	config.script = &script;
	config.settings = &settings;
	config.around = &around;
	config.schedule = &schedule;
	sim_run(&config, report);
	for (uint32_t i = 0; i < play.held_count; i++)
		packet_release(play.held[i].packet);
	schedule_free(&schedule);
}

uint64_t
scenario_figure(const struct sim *sim, uint16_t node, const char *name)
{
	const struct sim_node *n = &sim->nodes[node];
	uint64_t sum = 0;
	for (uint32_t i = 0; n->machine->figures != NULL && i < sim->options.instances; i++) {
		struct figures figures = {.count = 0};
		n->machine->figures(node_machine(n, i), &figures);
		for (uint32_t j = 0; j < figures.count; j++) {
			if (strcmp(figures.list[j].name, name) == 0)
				sum += figures.list[j].value;
		}
	}
	return sum;
}
