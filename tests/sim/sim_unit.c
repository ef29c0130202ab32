/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several units of one node: pillars and an executor, each with its own inbox
 * and its own time, joined by lanes in which what is given takes a while that
 * follows from the seed. See sim.h.
 */
#include <stdlib.h>

#include "sim.h"

enum {
	DRAW_LANE = 0x1a9e0000, /* of the delays, below sim_draw() */
	TAIL = 64,		/* one in so many takes ... */
	TAIL_FACTOR = 16,	/* ... so many times as long */
};

static void
lane_give(void *self, void *object)
{
	struct sim_lane *lane = self;
	struct sim_unit *taker = lane->taker;
	struct sim_node *node = taker->node;
	struct sim *sim = node->sim;
	check(lane->count < PARCELS_MAX);
	uint64_t what = DRAW_LANE | (uint64_t)node->index << 8 | taker->index;
	uint64_t word = sim_draw(sim, what, lane->number++);
	uint64_t delay_ns = word % (sim->lane_ns + 1);
	if ((word >> 40) % TAIL == 0)
		delay_ns *= TAIL_FACTOR;
	uint64_t at_ns = sim->now_ns + delay_ns;
	lane->last_ns = at_ns > lane->last_ns ? at_ns : lane->last_ns;
	uint32_t at = (lane->first + lane->count++) % PARCELS_MAX;
	lane->at_ns[at] = lane->last_ns;
	lane->objects[at] = object;
	if (lane->wakes)
		unit_wake(taker);
}

static void *
lane_take(void *self)
{
	struct sim_lane *lane = self;
	const struct sim *sim = lane->taker->node->sim;
	if (lane->count == 0 || lane->at_ns[lane->first] > sim->now_ns)
		return NULL;
	void *object = lane->objects[lane->first];
	lane->first = (lane->first + 1) % PARCELS_MAX;
	lane->count--;
	return object;
}

static uint64_t
lane_ns(const struct sim_lane *lane)
{
	return lane->count > 0 ? lane->at_ns[lane->first] : FAULT_NEVER;
}

uint64_t
unit_news_ns(const struct sim_unit *unit)
{
	const struct sim_node *node = unit->node;
	uint64_t least_ns = FAULT_NEVER;
	/* Of a link's lanes: deliveries, the same empty, answers, the same empty. */
	if (unit->index > 0)
		least_ns = lane_ns(&unit->lanes[2]);
	for (uint32_t i = 1; i <= node->pillars_count && unit->index == 0; i++) {
		uint64_t at_ns = lane_ns(&node->units[i].lanes[0]);
		least_ns = at_ns < least_ns ? at_ns : least_ns;
	}
	return least_ns < node->sim->now_ns ? node->sim->now_ns : least_ns;
}

struct sim_unit *
unit_of(struct sim_node *node, const struct packet *packet)
{
	const struct message_header *header = (const void *)packet->data;
	if (node->pillars_count == 0 || packet->size < sizeof(*header))
		return &node->units[0];
	uint16_t instances = (uint16_t)node->sim->options.instances;
	return &node->units[pillar_part(header->instance, instances, node->pillars_count)];
}

static struct lane
lane_of(struct sim_unit *pillar, uint32_t lane, struct sim_unit *taker)
{
	pillar->lanes[lane] = (struct sim_lane){.taker = taker, .wakes = lane % 2 == 0};
	return (struct lane){&pillar->lanes[lane], lane_give, lane_take};
}

void
units_open(struct sim_node *node, const struct pillar_config *config)
{
	struct sim *sim = node->sim;
	for (uint16_t i = 0; i < node->pillars_count; i++) {
		struct sim_unit *unit = &node->units[1 + i];
		struct parcel_link *link = &node->links[i];
		struct pillar_config pillar = *config;
		*link = (struct parcel_link){
		    .deliveries = lane_of(unit, 0, &node->units[0]),
		    .deliveries_empty = lane_of(unit, 1, unit),
		    .answers = lane_of(unit, 2, unit),
		    .answers_empty = lane_of(unit, 3, &node->units[0]),
		};
		/* Few parcels, so that it happens that there is none. */
		link->count = 1 + (uint32_t)(sim_draw(sim, DRAW_LANE, i) % PARCELS_MAX);
		check(parcel_link_open(link, plan_body_size_max(&sim->plan)));
		pillar.index = i;
		pillar.pillars_count = node->pillars_count;
		pillar.link = link;
		pillar.shard.io.self = unit;
		pillar.shard.id_seed ^= random_mix(1u + i);
		unit->pillar = calloc(1, sizeof(*unit->pillar));
		check(unit->pillar != NULL && pillar_open(unit->pillar, &pillar) == 0);
	}
}

void
units_close(struct sim_node *node)
{
	for (uint32_t i = 0; i < node->pillars_count; i++) {
		struct sim_unit *unit = &node->units[1 + i];
		pillar_close(unit->pillar);
		free(unit->pillar);
		unit->pillar = NULL;
		parcel_link_close(&node->links[i]);
	}
}
