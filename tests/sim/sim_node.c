/* SPDX-License-Identifier: Apache-2.0 */
/* A node of the simulator: its engine, its clock, its envelopes, its inbox. See sim.h. */
#include <stdlib.h>
#include <string.h>

#include "crypto/keys.h"
#include "sim.h"

#if defined(__SANITIZE_ADDRESS__)
#define EXACT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXACT 1
#endif
#endif
#ifndef EXACT
#define EXACT 0
#endif

enum {
	RATE_ONE = 1024,
	KEY_SEED = 7,
	CRYPTO_SETS_MAX = 64,
	VIOLATIONS_EVERY = 64,	 /* bursts */
	AUDITED_BURSTS = 100000, /* of a node, one by one; then one in AUDIT_EVERY */
	AUDIT_EVERY = 8,
};

/* ---- Crypto ---------------------------------------------------------------- */

/* Provers for one shape of a cluster. They hold keys and working memory, no history. */
struct crypto_set {
	const struct crypto_ops *ops;
	uint16_t replicas_count;
	uint16_t clients_count;
	uint32_t slots_count;
	uint16_t slot_clients[SIM_SLOTS_MAX];
	struct crypto *nodes[SIM_NODES_MAX];
};

static struct sim_node *running; /* the node whose burst it is */
static struct crypto_set crypto_sets[CRYPTO_SETS_MAX];
static uint32_t crypto_sets_count;
static struct key_pair key_pairs[SIM_NODES_MAX];
static uint8_t key_publics[SIM_NODES_MAX][CRYPTO_PUBLIC_SIZE];

const struct crypto_ops *
sim_crypto_ops(const struct sim *sim)
{
	return sim->config->real_crypto ? &crypto_real : &crypto_toy;
}

static void
keys_make(void)
{
	for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
		keys_generate_seeded(&key_pairs[i], KEY_SEED, i);
		memcpy(key_publics[i], key_pairs[i].public33, CRYPTO_PUBLIC_SIZE);
	}
}

static struct crypto_set *
crypto_set_find(const struct sim *sim)
{
	const struct crypto_ops *ops = sim_crypto_ops(sim);
	for (uint32_t i = 0; i < crypto_sets_count; i++) {
		struct crypto_set *set = &crypto_sets[i];
		if (set->ops == ops && set->replicas_count == sim->replicas_count &&
		    set->clients_count == sim->clients_count &&
		    set->slots_count == sim->options.clients)
			return set;
	}
	if (crypto_sets_count == 0)
		keys_make();
	uint32_t at = crypto_sets_count % CRYPTO_SETS_MAX;
	if (crypto_sets_count == CRYPTO_SETS_MAX) {
		for (uint32_t i = 0; i < CRYPTO_SETS_MAX; i++) {
			for (uint32_t j = 0; j < SIM_NODES_MAX; j++)
				crypto_sets[i].ops->close(crypto_sets[i].nodes[j]);
		}
		crypto_sets_count = 0;
		at = 0;
	}
	struct crypto_set *set = &crypto_sets[at];
	crypto_sets_count++;
	*set = (struct crypto_set){
	    .ops = ops,
	    .replicas_count = sim->replicas_count,
	    .clients_count = sim->clients_count,
	    .slots_count = sim->options.clients,
	};
	memcpy(set->slot_clients, sim->slot_clients, sizeof(set->slot_clients));
	return set;
}

struct crypto *
sim_crypto(const struct sim *sim, uint16_t identity)
{
	struct crypto_set *set = crypto_set_find(sim);
	if (set->nodes[identity] != NULL)
		return set->nodes[identity];
	char error[256] = "";
	struct crypto_config config = {
	    .cluster = sim->plan.protocol.cluster,
	    .replicas_count = sim->replicas_count,
	    .clients_count = sim->clients_count,
	    .self = identity,
	    .slots_count = sim->options.clients,
	    .slot_clients = set->slot_clients,
	    .public_keys = (const uint8_t(*)[CRYPTO_PUBLIC_SIZE])key_publics,
	};
	memcpy(config.secret, key_pairs[identity].secret, sizeof(config.secret));
	set->nodes[identity] = set->ops->open(&config, error);
	if (set->nodes[identity] == NULL)
		fprintf(stderr, "oskr-sim: %s\n", error);
	check(set->nodes[identity] != NULL);
	return set->nodes[identity];
}

/*
 * A shard's prover: sim_crypto_ops(), with an ear for the oracle. Messages that have just been
 * sealed are in the order in which the replica decided on them; after that large ones, which are
 * whole only here, leave as segments, and behind small ones that were decided on later.
 */
static void
seal(struct crypto *crypto, struct send *sends, uint32_t count)
{
	struct sim_node *node = running;
	check(node != NULL && node->crypto == crypto);
	sim_crypto_ops(node->sim)->seal(crypto, sends, count);
	bool lies = (node->sim->liars >> node->index & 1) != 0;
	for (uint32_t i = 0; i < count; i++) {
		if (lies && sends[i].large != 0)
			lie_send_large(node, &sends[i]);
		else if (node->correct && node->replica != NULL)
			oracle_sent(&node->sim->oracle, node->identity, sends[i].header);
	}
}

static const struct crypto_ops *
crypto_ops_of_node(const struct sim *sim)
{
	static struct crypto_ops ops;
	ops = *sim_crypto_ops(sim);
	ops.seal = seal;
	return &ops;
}

static void
digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	struct sim_node *node = context;
	sim_crypto_ops(node->sim)->digest(node->crypto, jobs, count);
}

/* ---- Envelopes -------------------------------------------------------------- */

/* Of exactly their size; without the address sanitizer they are used again. */
static uint32_t
refill(void *self, struct send *sends, uint32_t count)
{
	struct sim_unit *unit = self;
	uint32_t size = unit->node->sim->plan.envelope_size;
	for (uint32_t i = 0; i < count; i++) {
		void *envelope = unit->envelopes_free;
		if (envelope != NULL)
			memcpy(&unit->envelopes_free, envelope, sizeof(void *));
		else
			envelope = malloc(size);
		check(envelope != NULL);
		sends[i].header = envelope;
		sends[i].owner = envelope;
		sends[i].capacity = size;
	}
	unit->envelopes_out += count;
	return count;
}

static void
envelope_free(struct sim_unit *unit, void *envelope)
{
	unit->envelopes_out--;
	if (EXACT) {
		free(envelope);
		return;
	}
	memcpy(envelope, &unit->envelopes_free, sizeof(void *));
	unit->envelopes_free = envelope;
}

void
node_loop(struct sim_node *node, const struct send *send, struct packet *packet)
{
	struct sim_unit *unit = unit_of(node, packet);
	uint32_t before = unit->inbox_count;
	link_send(node, node->identity, packet);
	/* It came at once, unless the inbox is full. */
	if (unit->inbox_count > before) {
		uint32_t at = (unit->inbox_first + before) % SIM_INBOX_MAX;
		unit->inbox_own[at] = (send->flags & SEND_SEALED) == 0;
	}
}

static void
send_plain(struct sim_node *node, const struct send *s)
{
	struct packet *packet = packet_make(s->header, s->header->size);
	for (uint64_t left = s->to; left != 0; left &= left - 1) {
		uint16_t to = (uint16_t)__builtin_ctzll(left);
		packet->references++;
		if (to == node->identity)
			node_loop(node, s, packet);
		else
			link_send(node, to, packet);
	}
	if (s->to == 0) {
		check(s->client < node->sim->options.clients);
		packet->references++;
		link_send(node,
		    (uint16_t)(node->sim->replicas_count + node->sim->slot_clients[s->client]),
		    packet);
	}
	packet_release(packet);
}

static void
transmit(void *self, struct send *sends, uint32_t count)
{
	struct sim_unit *unit = self;
	struct sim_node *node = unit->node;
	for (uint32_t i = 0; i < count; i++) {
		struct send *s = &sends[i];
		/* A large message went to the segmenter; its envelope is empty. */
		if (s->large == 0) {
			check(s->to >> node->sim->replicas_count == 0);
			check(s->header->size <= s->capacity);
			node->sends++;
			if ((node->sim->liars >> node->index & 1) == 0 || !lie_send(node, s))
				send_plain(node, s);
		}
		envelope_free(unit, s->owner);
		s->owner = NULL;
	}
}

/* What a machine wants people to know: a line of the trace. */
static void
note_take(void *self, const struct note *note)
{
	const struct sim_node *node = ((struct sim_unit *)self)->node;
	char text[256];
	if (node->sim->config->trace == NULL)
		return;
	snprintf(text, sizeof(text), note->text, note->values[0], note->values[1], note->values[2]);
	trace_note(node->sim, "node %u: %s", node->index, text);
}

/* ---- Life ------------------------------------------------------------------- */

static struct shard_config
shard_config(struct sim_node *node)
{
	struct sim *sim = node->sim;
	bool replica = node->identity < sim->replicas_count;
	struct shard_config shard = plan_shard(
	    &sim->plan, sim->config->protocol.protocol, replica ? 1ull << node->identity : 0);
	shard.crypto_ops = crypto_ops_of_node(sim);
	shard.crypto = node->crypto;
	shard.io = (struct shard_io){
	    .self = &node->units[0], .refill = refill, .transmit = transmit, .note = note_take};
	shard.id_seed = sim_draw(sim, 77, node->index);
	return shard;
}

static void
replica_make(struct sim_node *node, bool restarted)
{
	struct sim *sim = node->sim;
	struct protocol_config protocol = sim->plan.protocol;
	protocol.self = node->identity;
	protocol.restarted = restarted;
	struct replica_config config = {
	    .shard = shard_config(node),
	    .executor = sim->plan.executor,
	};
	config.shard.protocol = &protocol;
	config.executor.digester = (struct digester){digest, node};
	config.executor.huge_pages = false;
	config.executor.populate = false;
	sim->observers[node->index] = (struct executor_observer){
	    .context = &sim->oracle.replicas[node->index],
	    .batch = oracle_batch,
	    .checkpoint = oracle_checkpoint,
	    .undone = oracle_undone,
	};
	if (node->correct)
		config.executor.observer = &sim->observers[node->index];
	if (node->pillars_count > 0) {
		struct pillar_config pillar = {.shard = config.shard};
		units_open(node, &pillar);
		config.pillars_count = node->pillars_count;
		config.links = node->links;
	}
	node->replica = calloc(1, sizeof(*node->replica));
	check(node->replica != NULL);
	check(replica_open(node->replica, &config) == 0);
	if (node->correct)
		oracle_replica_set(&sim->oracle, node->index, &node->replica->executor);
}

static void
client_make(struct sim_node *node)
{
	struct sim *sim = node->sim;
	uint16_t number = (uint16_t)(node->index - sim->replicas_count);
	struct protocol_config protocol = sim->plan.protocol;
	protocol.self = number;
	protocol.slot_first = (uint16_t)plan_slot_first(&sim->plan, number);
	protocol.slots_count = plan_slots_count(&sim->plan, &sim->options, number);
	struct client_config config = {.shard = shard_config(node), .workload = node->workload};
	config.shard.protocol = &protocol;
	node->client = calloc(1, sizeof(*node->client));
	check(node->client != NULL);
	check(client_open(node->client, &config) == 0);
}

static void
node_units_take(struct sim_node *node)
{
	const struct sim *sim = node->sim;
	if (node->identity < sim->replicas_count)
		node->pillars_count = (uint16_t)sim->options.pillars;
	node->units = calloc(1u + node->pillars_count, sizeof(*node->units));
	check(node->units != NULL);
	for (uint16_t i = 0; i <= node->pillars_count; i++) {
		node->units[i].node = node;
		node->units[i].index = i;
	}
}

void
node_open(struct sim *sim, uint16_t index, uint16_t identity, bool restarted)
{
	struct sim_node *node = &sim->nodes[index];
	node->sim = sim;
	node->index = index;
	node->identity = identity;
	node->crypto = sim_crypto(sim, identity);
	node->correct = (sim->liars >> index & 1) == 0;
	if (!restarted)
		node->clock_rate = RATE_ONE;
	node->up = true;
	if (node->units == NULL)
		node_units_take(node);
	if (identity < sim->replicas_count) {
		node->machine = sim->config->protocol.protocol->replica;
		replica_make(node, restarted);
	} else {
		node->machine = sim->config->protocol.protocol->client;
		client_make(node);
	}
	for (uint32_t i = 0; i <= node->pillars_count; i++)
		node->units[i].wake_ns = sim->now_ns;
	node->wake_ns = sim->now_ns;
}

/* Every envelope is in the outbox or was given back: else one has leaked. */
static void
envelopes_reclaim(struct sim_unit *unit)
{
	struct outbox *out = &unit_shard(unit)->outbox;
	for (uint32_t i = 0; i < out->sends_ready; i++) {
		if (out->sends[i].owner != NULL) /* else the run failed as it was sent */
			envelope_free(unit, out->sends[i].owner);
	}
	out->sends_ready = 0;
	while (unit->envelopes_free != NULL) {
		void *envelope = unit->envelopes_free;
		memcpy(&unit->envelopes_free, envelope, sizeof(void *));
		free(envelope);
	}
}

void
node_close(struct sim_node *node)
{
	if (node->replica == NULL && node->client == NULL)
		return;
	for (uint32_t i = 0; i <= node->pillars_count; i++)
		envelopes_reclaim(&node->units[i]);
	units_close(node);
	if (node->replica != NULL)
		replica_close(node->replica);
	else
		client_close(node->client);
	free(node->replica);
	free(node->client);
	node->replica = NULL;
	node->client = NULL;
	node_inbox_clear(node);
	for (uint32_t k = 0; k <= node->pillars_count; k++) {
		struct sim_unit *unit = &node->units[k];
		for (uint32_t i = 0; i < unit->held_count; i++)
			packet_release(unit->held[i]);
		unit->held_count = 0;
	}
}

/* ---- Clock ------------------------------------------------------------------ */

uint64_t
node_clock(const struct sim_node *node)
{
	uint64_t since = node->sim->now_ns - node->clock_since_ns;
	return node->clock_base_ns + since * node->clock_rate / RATE_ONE;
}

uint64_t
node_clock_at(const struct sim_node *node, uint64_t local_ns)
{
	if (local_ns <= node->clock_base_ns)
		return node->sim->now_ns;
	uint64_t since = local_ns - node->clock_base_ns;
	if (since > UINT64_MAX / RATE_ONE / 2)
		return FAULT_NEVER;
	uint64_t at_ns =
	    node->clock_since_ns + (since * RATE_ONE + node->clock_rate - 1) / node->clock_rate;
	return at_ns < node->sim->now_ns ? node->sim->now_ns : at_ns;
}

void
node_clock_set(struct sim_node *node, uint64_t rate, uint64_t jump_ns)
{
	node->clock_base_ns = node_clock(node) + jump_ns;
	node->clock_since_ns = node->sim->now_ns;
	node->clock_rate = rate;
}

uint64_t
node_view(const struct sim_node *node)
{
	uint64_t highest = 0;
	if (node->replica == NULL)
		return 0;
	for (uint32_t i = 0; i < node->sim->options.instances; i++) {
		uint64_t view = node->machine->view(node_machine(node, i));
		highest = view > highest ? view : highest;
	}
	return highest;
}

uint32_t
node_assemblies(const struct sim_node *node)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i <= node->pillars_count; i++) {
		const struct assembler *a = unit_shard(&node->units[i])->assembler;
		if (a == NULL)
			return 0;
		const struct assembler_counters *c = assembler_counters(a);
		sum += c->opened - c->verdicts[ASSEMBLER_COMPLETE] - c->evicted - c->expired;
	}
	return (uint32_t)sum;
}

void *
node_machine(const struct sim_node *node, uint32_t instance)
{
	uint32_t pillars = node->pillars_count;
	if (pillars == 0)
		return node_shard(node)->machines[instance];
	return unit_shard(&node->units[1 + instance % pillars])->machines[instance / pillars];
}

/* ---- Running ---------------------------------------------------------------- */

void
node_inbox_clear(struct sim_node *node)
{
	for (uint32_t i = 0; i <= node->pillars_count; i++) {
		struct sim_unit *unit = &node->units[i];
		for (; unit->inbox_count > 0; unit->inbox_count--) {
			packet_release(unit->inbox[unit->inbox_first]);
			unit->inbox_first = (unit->inbox_first + 1) % SIM_INBOX_MAX;
		}
	}
}

void
node_receive(struct sim_node *node, struct packet *packet)
{
	struct sim_unit *unit = unit_of(node, packet);
	/* A full receive queue loses what comes: as a port does. */
	if (!node->up || unit->inbox_count == SIM_INBOX_MAX) {
		packet_release(packet);
		return;
	}
	uint32_t at = (unit->inbox_first + unit->inbox_count++) % SIM_INBOX_MAX;
	unit->inbox[at] = packet;
	unit->inbox_own[at] = false;
	if (node->paused)
		return;
	uint64_t at_ns =
	    unit->busy_until_ns > node->sim->now_ns ? unit->busy_until_ns : node->sim->now_ns;
	if (at_ns < unit->wake_ns)
		unit->wake_ns = at_ns;
	if (at_ns < node->wake_ns)
		node->wake_ns = at_ns;
}

/* A pillar that has to wait for the executor leaves its inbox as it is. */
static bool
receives(const struct sim_unit *unit)
{
	return unit->pillar == NULL || pillar_open_for_more(unit->pillar);
}

static uint64_t
unit_deadline(const struct sim_unit *unit)
{
	const struct sim_node *node = unit->node;
	struct sim *sim = node->sim;
	uint64_t at_ns;
	if (unit->pillar != NULL)
		return node_clock_at(node, pillar_deadline(unit->pillar));
	if (node->replica != NULL)
		return node_clock_at(node, replica_deadline(node->replica));
	at_ns = node_clock_at(node, client_deadline(node->client));
	if (node->client->phase == CLIENT_IDLE && node->client->idle_count > 0) {
		uint64_t next_ns = sim_allowed_next_ns(sim);
		at_ns = next_ns < at_ns ? next_ns : at_ns;
	}
	return at_ns;
}

void
unit_wake(struct sim_unit *unit)
{
	struct sim_node *node = unit->node;
	uint64_t at_ns = FAULT_NEVER;
	if (!node->up || node->paused) {
		unit->wake_ns = FAULT_NEVER;
	} else {
		at_ns = unit->inbox_count > 0 && receives(unit) ? node->sim->now_ns
								: unit_deadline(unit);
		if (node->pillars_count > 0) {
			uint64_t news_ns = unit_news_ns(unit);
			at_ns = news_ns < at_ns ? news_ns : at_ns;
		}
		unit->wake_ns = at_ns > unit->busy_until_ns ? at_ns : unit->busy_until_ns;
	}
	node->wake_ns = node->units[0].wake_ns;
	for (uint32_t i = 1; i <= node->pillars_count; i++) {
		uint64_t other_ns = node->units[i].wake_ns;
		node->wake_ns = other_ns < node->wake_ns ? other_ns : node->wake_ns;
	}
}

void
node_wake(struct sim_node *node)
{
	for (uint32_t i = 0; i <= node->pillars_count; i++)
		unit_wake(&node->units[i]);
}

/* What the protocol itself calls so; it is asked rarely enough to cost nothing. */
static uint64_t
counted(const struct sim_unit *unit, const char *name)
{
	const struct sim_node *node = unit->node;
	struct shard *s = unit_shard(unit);
	uint64_t sum = 0;
	if (node->machine->figures == NULL || unit->bursts % VIOLATIONS_EVERY != 0)
		return 0;
	for (uint32_t i = 0; i < s->config.machines_count; i++) {
		struct figures figures = {.count = 0};
		node->machine->figures(s->machines[i], &figures);
		for (uint32_t j = 0; j < figures.count; j++) {
			if (strcmp(figures.list[j].name, name) == 0)
				sum += figures.list[j].value;
		}
	}
	return sum;
}

/* The engine's own invariants, after every burst. */
static void
unit_audit(struct sim_unit *unit)
{
	struct sim_node *node = unit->node;
	struct shard *s = unit_shard(unit);
	/* Runs that go on and on, to measure the speed, are spared some. */
	bool audited = unit->bursts < AUDITED_BURSTS || unit->bursts % AUDIT_EVERY == 0;
	for (uint32_t i = 0; audited && i < s->config.machines_count; i++)
		node->machine->audit(s->machines[i]);
	if (unit->envelopes_out != (int64_t)s->outbox.sends_ready)
		sim_fail(node->sim, "memory: node %u lost %ld envelopes", node->index,
		    (long)(unit->envelopes_out - (int64_t)s->outbox.sends_ready));
	if (node->client != NULL && node->correct && node->client->counters.wrong > 0)
		sim_fail(node->sim, "answers: client node %u took a wrong answer", node->index);
	/* Liars are too few for that. */
	if (node->correct && counted(unit, "safety_faults") > 0)
		sim_fail(node->sim, "agreement: replica %u sees that it was broken", node->index);
	if (node->sim->disturbed)
		return;
	uint64_t bad = s->counters.drops[SHARD_DROP_PROOF] + s->counters.drops[SHARD_DROP_INSTANCE];
	for (uint32_t i = 0; i < PARSE_ERRORS_COUNT; i++)
		bad += s->counters.drops[SHARD_DROP_PARSE + i];
	if (bad > 0 || counted(unit, "violations") > 0)
		sim_fail(node->sim, "node %u counts a correct node's message as a violation",
		    node->index);
}

/* Takes a burst out of the inbox. */
static uint32_t
unit_take(struct sim_unit *unit, struct datagram *list)
{
	uint32_t count = unit->inbox_count < SHARD_BURST_MAX ? unit->inbox_count : SHARD_BURST_MAX;
	if (!receives(unit))
		count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct packet *p = unit->inbox[unit->inbox_first];
		bool own = unit->inbox_own[unit->inbox_first];
		unit->inbox_first = (unit->inbox_first + 1) % SIM_INBOX_MAX;
		unit->held[i] = p;
		list[i] = (struct datagram){p->data, p->size, own};
	}
	unit->inbox_count -= count;
	unit->held_count = count;
	return count;
}

static uint32_t
unit_burst(struct sim_unit *unit, const struct datagram *list, uint32_t count)
{
	struct sim_node *node = unit->node;
	struct sim *sim = node->sim;
	if (unit->pillar != NULL)
		return pillar_run(unit->pillar, node_clock(node), list, count);
	if (node->replica != NULL)
		return replica_run(node->replica, node_clock(node), list, count);
	bool asks = sim->oracle.asked < sim_allowed(sim);
	client_phase_set(node->client, asks ? CLIENT_MEASURE : CLIENT_IDLE, node_clock(node));
	return client_run(node->client, node_clock(node), list, count);
}

void
node_run(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct datagram list[SHARD_BURST_MAX];
	struct sim_unit *unit = &node->units[0];
	while (unit->wake_ns != node->wake_ns)
		unit++;
	uint32_t count = unit_take(unit, list);
	node->roused = lie_is_roused(node, list, count);
	running = node;
	uint32_t steps = unit_burst(unit, list, count);
	unit->bursts++;
	unit_audit(unit);
	for (uint32_t i = 0; i < count; i++) {
		if ((sim->liars >> node->index & 1) != 0)
			lie_remember(node, unit->held[i]);
		packet_release(unit->held[i]);
	}
	unit->held_count = 0;
	sim_note(sim, (uint64_t)steps << 32 | (uint64_t)unit->index << 16 | (uint64_t)count << 8 |
			  node->index);
	unit->busy_until_ns =
	    sim->now_ns + sim->around.service_ns + sim->around.service_ns / 10 * count;
	unit_wake(unit);
}
