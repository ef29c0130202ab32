/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a message between two nodes. See sim.h. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { TAIL_FACTOR = 20, FLIPS_MAX = 3 };

/* What the faults do to one message. */
struct fate {
	const char *why; /* it is lost: the reason */
	bool duplicate;
	bool corrupt;
	uint64_t hold_until_ns;
	uint64_t extra_ns;
};

static uint64_t
explicit_key(uint16_t from, uint16_t to, uint64_t ordinal)
{
	return random_mix(((uint64_t)from << 56 | (uint64_t)to << 48) ^ ordinal) | 1;
}

void
link_explicit_build(struct sim *sim)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < sim->schedule.count; i++)
		count += fault_is_message(sim->schedule.list[i].kind);
	sim->explicit_only = count > 0;
	if (count == 0)
		return;
	uint32_t size = 64;
	while (size < 2 * count)
		size *= 2;
	sim->explicit_mask = size - 1;
	sim->explicit_keys = calloc(size, sizeof(*sim->explicit_keys));
	sim->explicit_faults = calloc(size, sizeof(*sim->explicit_faults));
	check(sim->explicit_keys != NULL && sim->explicit_faults != NULL);
	for (uint32_t i = 0; i < sim->schedule.count; i++) {
		const struct fault *f = &sim->schedule.list[i];
		if (!fault_is_message(f->kind))
			continue;
		uint64_t key = explicit_key((uint16_t)__builtin_ctzll(f->from | 1ull << 63),
		    (uint16_t)__builtin_ctzll(f->to | 1ull << 63), f->amount);
		uint32_t at = (uint32_t)key & sim->explicit_mask;
		while (sim->explicit_keys[at] != 0)
			at = (at + 1) & sim->explicit_mask;
		sim->explicit_keys[at] = key;
		sim->explicit_faults[at] = i;
	}
}

static void
struck(struct sim *sim, enum fault_kind kind)
{
	sim->report->faults[kind]++;
}

/* Notes a fault of one message, so that it can be named alone later. */
static void
happened(struct sim *sim, enum fault_kind kind, uint16_t from, uint16_t to, uint64_t ordinal)
{
	if (sim->config->happened == NULL)
		return;
	schedule_add(sim->config->happened, &(struct fault){.kind = kind,
						.start_ns = sim->now_ns,
						.end_ns = sim->now_ns + 1,
						.from = 1ull << from,
						.to = 1ull << to,
						.amount = ordinal});
}

static void
fate_set(struct sim *sim, struct fate *fate, enum fault_kind kind)
{
	struct sim_report *report = sim->report;
	report->faults[kind]++;
	if (kind == FAULT_MESSAGE_LOST)
		fate->why = "lost";
	else if (kind == FAULT_MESSAGE_DUPLICATED)
		fate->duplicate = true;
	else
		fate->corrupt = true;
}

static void
fate_explicit(struct sim *sim, struct fate *fate, uint16_t from, uint16_t to, uint64_t ordinal)
{
	uint64_t key = explicit_key(from, to, ordinal);
	uint32_t at = (uint32_t)key & sim->explicit_mask;
	for (; sim->explicit_keys[at] != 0; at = (at + 1) & sim->explicit_mask) {
		if (sim->explicit_keys[at] == key)
			fate_set(sim, fate, sim->schedule.list[sim->explicit_faults[at]].kind);
	}
}

static bool
between(const struct fault *f, uint16_t from, uint16_t to)
{
	return (f->from >> from & 1) != 0 && (f->to >> to & 1) != 0;
}

/* One fault that has begun and concerns this link. */
static void
fate_meet(struct sim *sim, struct fate *fate, const struct fault *f, uint16_t from, uint16_t to,
    uint64_t ordinal)
{
	static const enum fault_kind single[] = {[FAULT_LOSS] = FAULT_MESSAGE_LOST,
	    [FAULT_DUPLICATE] = FAULT_MESSAGE_DUPLICATED,
	    [FAULT_CORRUPT] = FAULT_MESSAGE_CORRUPTED};
	uint64_t word = sim_draw(sim, (uint64_t)from << 16 | (uint64_t)to << 8 | f->kind, ordinal);
	switch (f->kind) {
	case FAULT_LOSS:
	case FAULT_DUPLICATE:
	case FAULT_CORRUPT:
		if (sim->explicit_only || !sim_chance(word, f->amount))
			return;
		fate_set(sim, fate, single[f->kind]);
		sim->report->faults[single[f->kind]]--;
		happened(sim, single[f->kind], from, to, ordinal);
		break;
	case FAULT_JITTER:
		fate->extra_ns += word % (f->amount + 1);
		break;
	case FAULT_SLOW:
		fate->extra_ns += f->amount;
		break;
	case FAULT_PARTITION:
	case FAULT_ONE_WAY:
		fate->why = "cut";
		break;
	case FAULT_VIEW_CUT:
		if (node_view(&sim->nodes[from]) % (f->amount >> 8) != (f->amount & 255))
			return;
		fate->why = "cut";
		break;
	case FAULT_CLOG:
		if (f->end_ns == FAULT_NEVER)
			fate->why = "clogged";
		else if (f->end_ns > fate->hold_until_ns)
			fate->hold_until_ns = f->end_ns;
		break;
	default:
		return;
	}
	struck(sim, f->kind);
}

/* A replica that censors takes no request of the clients' nodes that it does not like. */
static bool
censored(const struct sim *sim, const struct fault *f, uint16_t from, const struct packet *packet)
{
	const struct message_header *header = (const void *)packet->data;
	uint16_t node = from;
	if (header->type == MESSAGE_REQUEST && header->sender < sim->options.clients)
		node = (uint16_t)(sim->replicas_count + sim->slot_clients[header->sender]);
	return (f->to >> node & 1) != 0;
}

static struct packet *
corrupted(struct sim *sim, struct packet *packet, uint64_t word)
{
	struct packet *copy = packet_make(packet->data, packet->size);
	(void)sim;
	uint64_t flips = 1 + word % FLIPS_MAX;
	for (uint64_t i = 0; i < flips; i++) {
		word = random_mix(word + i);
		uint64_t bit = word % (8ull * copy->size);
		copy->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	copy->hash = packet_hash(copy->data, copy->size);
	packet_release(packet);
	return copy;
}

static uint64_t
delay(const struct sim *sim, uint64_t word)
{
	const struct sim_surroundings *a = &sim->around;
	uint64_t delay_ns = a->delay_min_ns + word % (a->delay_spread_ns + 1);
	if (a->tail > 0 && (word >> 32) % a->tail == 0)
		delay_ns *= 1 + (word >> 48) % TAIL_FACTOR;
	return delay_ns;
}

static void
post(struct sim *sim, uint16_t from, uint16_t to, struct packet *packet, uint64_t at_ns)
{
	if (sim->around.fifo) {
		uint64_t *last_ns = &sim->link_last_ns[from][to];
		at_ns = at_ns < *last_ns ? *last_ns : at_ns;
		*last_ns = at_ns;
	}
	if (sim->network.count >= SIM_FLIGHT_MAX) {
		packet_release(packet);
		sim_fail(sim, "bounded queues: %u messages are under way", SIM_FLIGHT_MAX);
	}
	network_post(&sim->network,
	    &(struct arrival){.at_ns = at_ns, .packet = packet, .from = from, .to = to});
}

void
link_pass(struct sim *sim, uint16_t from, uint16_t to, struct packet *packet)
{
	struct fate fate = {0};
	struct sim_passage passage = {.from = from, .to = to, .packet = packet, .copies = 1};
	uint64_t ordinal = sim->link_sent[from][to]++;
	if (sim->config->script != NULL) {
		if (!sim->config->script->message(sim->config->script->self, sim, &passage))
			fate.why = "taken";
		packet = passage.packet;
	}
	uint64_t word = sim_draw(sim, (uint64_t)from << 16 | (uint64_t)to << 8 | 0xff, ordinal);
	if (sim->explicit_only)
		fate_explicit(sim, &fate, from, to, ordinal);
	for (uint32_t i = 0; i < sim->active_count; i++) {
		const struct fault *f = &sim->schedule.list[sim->active[i]];
		if (f->kind == FAULT_CENSOR && (f->from >> to & 1) != 0 &&
		    censored(sim, f, from, packet)) {
			fate.why = "censored";
			struck(sim, FAULT_CENSOR);
		}
		if (f->kind > FAULT_CLOG)
			continue;
		if (between(f, from, to) || (f->kind == FAULT_PARTITION && between(f, to, from)))
			fate_meet(sim, &fate, f, from, to, ordinal);
	}
	const struct message_header *header = (const void *)packet->data;
	/* What carries no proof is guarded by the link's own checksum: it is lost instead. */
	if (fate.corrupt && header->proof == PROOF_NONE)
		fate.why = "corrupt";
	if (sim->config->trace != NULL)
		trace_message(sim, from, to, packet,
		    fate.why != NULL	 ? fate.why
		    : fate.corrupt	 ? "corrupted"
		    : fate.duplicate	 ? "twice"
		    : fate.hold_until_ns ? "held"
					 : "");
	if (fate.why != NULL) {
		packet_release(packet);
		return;
	}
	uint64_t at_ns = sim->now_ns + delay(sim, word) + fate.extra_ns + sim->late_ns;
	at_ns = at_ns < fate.hold_until_ns ? fate.hold_until_ns : at_ns;
	at_ns += passage.later_ns;
	passage.copies += fate.duplicate;
	for (uint32_t i = 1; i < passage.copies; i++) {
		packet->references++;
		post(sim, from, to, packet, at_ns + i * delay(sim, random_mix(word)));
	}
	if (fate.corrupt)
		packet = corrupted(sim, packet, random_mix(word + 1));
	post(sim, from, to, packet, at_ns);
}

void
link_send(struct sim_node *from, uint16_t to, struct packet *packet)
{
	struct sim *sim = from->sim;
	int16_t twin = sim->twin_of[to];
	if (to == from->identity) {
		/* To itself: the next burst. Its twin hears it by the network. */
		if (twin >= 0) {
			uint16_t other = from->index == to ? (uint16_t)twin : to;
			packet->references++;
			link_pass(sim, from->index, other, packet);
		}
		node_receive(from, packet);
		return;
	}
	if (twin >= 0) {
		packet->references++;
		link_pass(sim, from->index, (uint16_t)twin, packet);
	}
	link_pass(sim, from->index, to, packet);
}
