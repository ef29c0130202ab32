/* SPDX-License-Identifier: Apache-2.0 */
/* See hub_queue.h. */
#include "lcore/hub_queue.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

bool
hub_queue_open(struct hub_queue *q, uint32_t ports_count, uint32_t port_max)
{
	check(ports_count >= 1 && ports_count <= HUB_PORTS_MAX);
	check(port_max >= 1);
	memset(q, 0, sizeof(*q));
	q->port_max = port_max;
	q->items = calloc((size_t)ports_count * port_max, sizeof(*q->items));
	return q->items != NULL;
}

void
hub_queue_close(struct hub_queue *q)
{
	check(q->count == 0);
	free(q->items);
	q->items = NULL;
}

static bool
is_before(const struct hub_item *a, const struct hub_item *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

bool
hub_queue_push(struct hub_queue *q, uint32_t port, uint64_t due_ns, void *frame)
{
	check(port < HUB_PORTS_MAX);
	check(frame != NULL);
	if (q->of_port[port] >= q->port_max)
		return false;
	struct hub_item item = {due_ns, q->order++, frame, port};
	uint32_t at = q->count++;
	q->of_port[port]++;
	while (at > 0 && is_before(&item, &q->items[(at - 1) / 2])) {
		q->items[at] = q->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	q->items[at] = item;
	return true;
}

/* Moves the last item to its place below the root, which has been taken. */
static void
root_replace(struct hub_queue *q)
{
	struct hub_item item = q->items[--q->count];
	uint32_t at = 0;
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= q->count)
			break;
		if (child + 1 < q->count && is_before(&q->items[child + 1], &q->items[child]))
			child++;
		if (!is_before(&q->items[child], &item))
			break;
		q->items[at] = q->items[child];
		at = child;
	}
	q->items[at] = item;
}

void *
hub_queue_pop(struct hub_queue *q, uint64_t now_ns, uint32_t *port)
{
	if (q->count == 0 || q->items[0].due_ns > now_ns)
		return NULL;
	void *frame = q->items[0].frame;
	*port = q->items[0].port;
	check(q->of_port[*port] > 0);
	q->of_port[*port]--;
	root_replace(q);
	return frame;
}
