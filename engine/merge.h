/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The total order over the ordering instances of a group: their slots, taken in
 * turn. Slot s of instance i is position (s - 1) * S + i + 1 of the merged
 * order, so positions are gapless from 1 and with S = 1 equal the slots
 * (consensus-oriented parallelisation: Behl et al., Middleware'15). Each
 * instance has a bounded queue; one that is full pushes back on its shard. Owned
 * by one executor, on one core; shards reach it by pipes.
 */
#ifndef OSKR_ENGINE_MERGE_H
#define OSKR_ENGINE_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/check.h"
#include "engine/outbox.h"

enum { MERGE_INSTANCES_MAX = 64 };

struct merge_options {
	uint16_t instances_count; /* S: 1 .. MERGE_INSTANCES_MAX */
	uint32_t queue_count;	  /* deliveries that an instance may be ahead; a power of two */
};

struct merge {
	struct delivery *queues; /* S rings of queue_count, one after another */
	uint32_t queue_mask;
	uint16_t instances_count;
	uint16_t turn;				  /* the instance whose slot is next */
	uint64_t slot;				  /* the slot that is next of that instance */
	uint64_t frontier;			  /* highest slot that any instance has delivered */
	uint64_t slots_next[MERGE_INSTANCES_MAX]; /* to be pushed next */
};

/* Bytes that merge_open takes; 0: the options are out of range. */
uint64_t merge_memory_size(const struct merge_options *options);

/* Starts at position 1. Returns 0, -EINVAL or -ENOMEM. */
int merge_open(struct merge *merge, const struct merge_options *options);
void merge_close(struct merge *merge);

/*
 * Empties all queues; the next position is that after `position`. For the time
 * after a state transfer or a rollback.
 */
void merge_restart(struct merge *merge, uint64_t position);

static inline uint64_t
merge_position(const struct merge *merge, uint16_t instance, uint64_t slot)
{
	return (slot - 1) * merge->instances_count + instance + 1;
}

/* The position that merge_pop gives next. */
static inline uint64_t
merge_position_next(const struct merge *merge)
{
	return merge_position(merge, merge->turn, merge->slot);
}

/* First slot of the instance that has not been popped. */
static inline uint64_t
merge_slot_unpopped(const struct merge *merge, uint16_t instance)
{
	return merge->slot + (instance < merge->turn ? 1 : 0);
}

/* Deliveries of the instance that fit now. */
static inline uint32_t
merge_room(const struct merge *merge, uint16_t instance)
{
	uint64_t queued = merge->slots_next[instance] - merge_slot_unpopped(merge, instance);
	return merge->queue_mask + 1 - (uint32_t)queued;
}

/*
 * Takes a copy of the instance's next delivery, whose seq must be its last
 * one's successor; what it points to stays the shard's. False: full, push it
 * again after a pop.
 */
static inline bool
merge_push(struct merge *merge, uint16_t instance, const struct delivery *delivery)
{
	check(instance < merge->instances_count);
	uint64_t slot = merge->slots_next[instance];
	check(delivery->kind == DELIVERY_BATCH);
	check(delivery->seq == slot);
	if (merge_room(merge, instance) == 0)
		return false;
	struct delivery *queue = merge->queues + (uint64_t)instance * (merge->queue_mask + 1);
	queue[slot & merge->queue_mask] = *delivery;
	merge->slots_next[instance] = slot + 1;
	if (slot > merge->frontier)
		merge->frontier = slot;
	return true;
}

/*
 * The next delivery of the merged order, its instance and position; NULL while
 * it has not been pushed. Valid until the next push of that instance.
 */
static inline const struct delivery *
merge_pop(struct merge *merge, uint16_t *instance, uint64_t *position)
{
	uint64_t slot = merge->slot;
	uint16_t turn = merge->turn;
	if (merge->slots_next[turn] == slot)
		return NULL;
	*instance = turn;
	*position = merge_position(merge, turn, slot);
	merge->turn = (uint16_t)(turn + 1 == merge->instances_count ? 0 : turn + 1);
	merge->slot = slot + (merge->turn == 0 ? 1 : 0);
	const struct delivery *queue = merge->queues + (uint64_t)turn * (merge->queue_mask + 1);
	return &queue[slot & merge->queue_mask];
}

#endif
