/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and restart of the merge; its hot path is in merge.h. The executor's core. */
#include "engine/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t
merge_memory_size(const struct merge_options *options)
{
	uint32_t count = options->queue_count;
	if (options->instances_count == 0 || options->instances_count > MERGE_INSTANCES_MAX)
		return 0;
	if (count == 0 || count > 1u << 20 || (count & (count - 1)) != 0)
		return 0;
	return (uint64_t)options->instances_count * count * sizeof(struct delivery);
}

int
merge_open(struct merge *merge, const struct merge_options *options)
{
	uint64_t size = merge_memory_size(options);
	memset(merge, 0, sizeof(*merge));
	if (size == 0)
		return -EINVAL;
	merge->queues = calloc(1, size);
	if (merge->queues == NULL)
		return -ENOMEM;
	merge->queue_mask = options->queue_count - 1;
	merge->instances_count = options->instances_count;
	merge_restart(merge, 0);
	return 0;
}

void
merge_close(struct merge *merge)
{
	free(merge->queues);
	memset(merge, 0, sizeof(*merge));
}

void
merge_restart(struct merge *merge, uint64_t position)
{
	uint64_t count = merge->instances_count;
	merge->slot = position / count + 1;
	merge->turn = (uint16_t)(position % count);
	for (uint16_t i = 0; i < merge->instances_count; i++)
		merge->slots_next[i] = merge_slot_unpopped(merge, i);
	/* The last slot of which some instance's part lies at or before `position`. */
	merge->frontier = merge->slot - (merge->turn == 0 ? 1 : 0);
	check(merge_position_next(merge) == position + 1);
}
