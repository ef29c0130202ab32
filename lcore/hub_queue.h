/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that are on their way, ordered by when they arrive; those that arrive at the
 * same time in the order in which they came in. A binary heap in memory taken at start,
 * with a bound for each port, so that a port that takes nothing cannot keep others' frames
 * out. Knows nothing of frames but a pointer. Owned by the switch's lcore.
 */
#ifndef OSKR_LCORE_HUB_QUEUE_H
#define OSKR_LCORE_HUB_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "lcore/hub.h"

struct hub_item {
	uint64_t due_ns;
	uint64_t order; /* of arrival */
	void *frame;
	uint32_t port; /* where it goes */
};

struct hub_queue {
	struct hub_item *items; /* a heap: no item is earlier than its parent, (i - 1) / 2 */
	uint32_t count;
	uint32_t port_max; /* frames for one port */
	uint32_t of_port[HUB_PORTS_MAX];
	uint64_t order;
};

/* Room for port_max frames for each of ports_count ports. False: no memory. */
bool hub_queue_open(struct hub_queue *q, uint32_t ports_count, uint32_t port_max);

/* What is still inside is the caller's to take out before. */
void hub_queue_close(struct hub_queue *q);

/* Takes the frame, or returns false when the port has its bound of frames. */
bool hub_queue_push(struct hub_queue *q, uint32_t port, uint64_t due_ns, void *frame);

/* When the next frame arrives; UINT64_MAX when none is on its way. */
static inline uint64_t
hub_queue_next_ns(const struct hub_queue *q)
{
	return q->count > 0 ? q->items[0].due_ns : UINT64_MAX;
}

/* The next frame, to *port, if it has arrived at now_ns; else NULL. */
void *hub_queue_pop(struct hub_queue *q, uint64_t now_ns, uint32_t *port);

#endif
