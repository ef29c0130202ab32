/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's way back to the machines: results, ends of batches, moves of
 * the state. On one lcore these are steps of the replica's own shard. Where
 * the machines are with pillars on other lcores they are written into parcels
 * (engine/parcel.h), results copied, since an executor's memory changes with
 * its next operation while a pillar has yet to seal the reply. A parcel goes
 * off when it is full, or by answers_flush(). Owned by the executor's core.
 */
#ifndef OSKR_ENGINE_ANSWERS_H
#define OSKR_ENGINE_ANSWERS_H

#include "engine/merge.h"
#include "engine/parcel.h"

enum { PILLARS_MAX = LIMIT_PILLARS };

/* Written by the executor's core alone. */
struct answers_counters {
	uint64_t parcels; /* given to pillars */
	uint64_t waits;	  /* times that none was empty: the executor waits for a pillar */
};

struct answers {
	struct shard *shard;	   /* with all machines, or with none */
	struct parcel_link *links; /* to each pillar; the caller's */
	uint32_t links_count;	   /* 0: the machines are here */
	struct answers_counters counters;
	struct parcel *filling[PILLARS_MAX];
	uint64_t told[PILLARS_MAX]; /* the frontier, last */
	/* Of each instance: moves it asked for, as far as is known here; moves it was told of. */
	uint32_t asks[MERGE_INSTANCES_MAX];
	uint32_t moves[MERGE_INSTANCES_MAX];
};

/* Hands on what is left of the slice. False: no room, the rest waits. */
bool answers_slice(struct answers *a, struct slice *slice);

/* Room for one of the two below. */
bool answers_room(struct answers *a, uint32_t instance);

/* The instance's batch is done; digest32 of the state where it was taken, or NULL. */
void answers_last(struct answers *a, uint32_t instance, uint64_t seq, const uint8_t *digest32);

/* EVENT_STATE. */
void answers_moved(
    struct answers *a, uint32_t instance, const struct moved *moved, uint64_t frontier);

/*
 * Sends parcels off, and the frontier to pillars that have to catch up with it.
 * False: one of these has all parcels, and has yet to be told.
 */
bool answers_flush(struct answers *a, const struct merge *merge);

#endif
