/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the loaded records' keys, to follow a scan through the store:
 * its keys ascend, and it leaves out no loaded record, which is never deleted.
 * Inserted records may stand between. Owned by a workload, on its lcore.
 */
#ifndef OSKR_ENGINE_YCSB_ORDER_H
#define OSKR_ENGINE_YCSB_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/check.h"
#include "engine/ycsb_value.h"

/* Zeroed: nothing is known of which records were loaded. */
struct ycsb_order {
	uint64_t *sorted; /* ycsb_key_order() of the loaded records, ascending */
	uint32_t count;
};

/* Where a scan has come to. */
struct ycsb_order_cursor {
	uint64_t order_min; /* the next key is at least this one */
	uint32_t next;	    /* in `sorted`: the loaded record that must come next */
	bool exhausted;	    /* the last key of all has come */
};

/* Takes memory (8 bytes a record, twice that while sorting) and sorts records
 * 0 .. count - 1: about 30 ns a record. False when memory is short. */
bool ycsb_order_open(struct ycsb_order *o, uint32_t count);
void ycsb_order_close(struct ycsb_order *o);

static inline uint64_t
ycsb_order_memory_size(const struct ycsb_order *o)
{
	return (uint64_t)o->count * sizeof(*o->sorted);
}

/* Before the first record of a scan that starts at this record's key. */
struct ycsb_order_cursor ycsb_order_find(const struct ycsb_order *o, uint32_t key);

/* The scan's next record is this one: can that be? */
static inline bool
ycsb_order_step(const struct ycsb_order *o, struct ycsb_order_cursor *cursor, uint32_t key)
{
	uint64_t order = ycsb_key_order(key);
	if (cursor->exhausted || order < cursor->order_min)
		return false;
	cursor->exhausted = order == UINT64_MAX;
	cursor->order_min = order + 1;
	if (o->sorted == NULL)
		return true;
	if (cursor->next < o->count && order > o->sorted[cursor->next])
		return false;
	if (key < o->count) {
		/* A loaded record, not before the last one, not behind the next: it is that. */
		debug_check(cursor->next < o->count && order == o->sorted[cursor->next]);
		cursor->next++;
	}
	return true;
}

/* The scan has come to the end of all keys: can that be? */
static inline bool
ycsb_order_ended(const struct ycsb_order *o, const struct ycsb_order_cursor *cursor)
{
	return o->sorted == NULL || cursor->next == o->count;
}

#endif
