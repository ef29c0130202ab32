/* SPDX-License-Identifier: Apache-2.0 */
/* See lanes.h. */
#include "lcore/lanes.h"

#include <stdio.h>
#include <stdlib.h>

#include "lcore/pipe.h"

enum {
	LANES_PER_LINK = 4,
	RING_SIZE = 2 * PARCELS_MAX, /* one place of a ring stays empty */
};

struct lanes {
	uint32_t pillars_count;
	struct parcel_link links[LIMIT_PILLARS];
	struct pipe pipes[LIMIT_PILLARS][LANES_PER_LINK];
};

static void
give(void *self, void *object)
{
	uint32_t given = pipe_push(self, &object, 1);
	check(given == 1);
}

static void *
take(void *self)
{
	void *object;
	return pipe_pull(self, &object, 1) == 1 ? object : NULL;
}

static struct lane
lane_of(struct pipe *pipe)
{
	return (struct lane){pipe, give, take};
}

static bool
link_open(struct lanes *l, const struct lanes_config *config, uint32_t pillar)
{
	struct pipe *pipes = l->pipes[pillar];
	for (uint32_t i = 0; i < LANES_PER_LINK; i++) {
		char name[RTE_RING_NAMESIZE];
		snprintf(name, sizeof(name), "oskr_lane_%u_%u_%u_%u", config->node, config->life,
		    pillar, i);
		if (!pipe_open(&pipes[i], name, RING_SIZE))
			return false;
	}
	l->links[pillar] = (struct parcel_link){
	    .deliveries = lane_of(&pipes[0]),
	    .deliveries_empty = lane_of(&pipes[1]),
	    .answers = lane_of(&pipes[2]),
	    .answers_empty = lane_of(&pipes[3]),
	};
	return parcel_link_open(&l->links[pillar], config->body_size_max);
}

struct lanes *
lanes_open(const struct lanes_config *config)
{
	check(config->pillars_count <= LIMIT_PILLARS);
	struct lanes *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->pillars_count = config->pillars_count;
	for (uint32_t i = 0; i < l->pillars_count; i++) {
		if (!link_open(l, config, i)) {
			lanes_close(l);
			return NULL;
		}
	}
	return l;
}

/* What is still in a pipe is memory of the link. */
void
lanes_close(struct lanes *l)
{
	if (l == NULL)
		return;
	for (uint32_t i = 0; i < l->pillars_count; i++) {
		parcel_link_close(&l->links[i]);
		for (uint32_t k = 0; k < LANES_PER_LINK; k++) {
			if (l->pipes[i][k].ring != NULL)
				pipe_close(&l->pipes[i][k]);
		}
	}
	free(l);
}

struct parcel_link *
lanes_links(struct lanes *l)
{
	return l->links;
}

uint64_t
lanes_memory(const struct lanes_config *config)
{
	uint64_t link =
	    parcel_link_memory(config->body_size_max) + LANES_PER_LINK * pipe_memory(RING_SIZE);
	return sizeof(struct lanes) + config->pillars_count * link;
}
