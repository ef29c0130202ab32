/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lanes between a replica's executor and its pillars, over pipes, with the
 * parcels that travel on them (engine/parcel.h). One set for each life of a
 * replica, so that what a killed one has left behind reaches nobody. Opened and
 * closed on the main lcore, while no other uses it.
 */
#ifndef OSKR_LCORE_LANES_H
#define OSKR_LCORE_LANES_H

#include "engine/parcel.h"

struct lanes;

struct lanes_config {
	uint32_t node; /* for the names of rings: in a process, no two are alike */
	uint32_t life;
	uint32_t pillars_count;
	uint32_t body_size_max; /* bytes of the largest operation or result */
};

/* NULL when memory is short. */
struct lanes *lanes_open(const struct lanes_config *config);
/* NULL is allowed. */
void lanes_close(struct lanes *l);

/* Open links, one a pillar. */
struct parcel_link *lanes_links(struct lanes *l);

/* Bytes that lanes_open() takes, for the memory plan. */
uint64_t lanes_memory(const struct lanes_config *config);

#endif
