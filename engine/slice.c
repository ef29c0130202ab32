/* SPDX-License-Identifier: Apache-2.0 */
/* See slice.h. One core. */
#include "engine/slice.h"

/* How many of the waiting results can be stepped at once, by envelopes and large buffers. */
static uint32_t
results_that_fit(const struct slice *slice, const struct shard *shard)
{
	const struct outbox *out = &shard->outbox;
	const struct machine *m = shard->config.machine;
	uint32_t small = out->sends_ready - out->sends_count - m->sends_per_step;
	uint32_t large = out->large_ready - out->large_count - m->large_per_step;
	uint32_t inline_max = shard->result_inline_max;
	uint32_t count = 0;
	while (slice->next + count < slice->count && count < small) {
		if (slice->list[slice->next + count].size > inline_max && large-- == 0)
			break;
		count++;
	}
	return count;
}

bool
slice_step(struct slice *slice, struct shard *shard)
{
	while (!slice_done(slice)) {
		uint32_t count = shard_room(shard, 0) ? results_that_fit(slice, shard) : 0;
		if (count == 0) {
			shard_flush(shard);
			count = shard_room(shard, 0) ? results_that_fit(slice, shard) : 0;
		}
		if (count == 0)
			return false;
		struct event event = {
		    .type = EVENT_EXECUTED,
		    .now_ns = shard->now_ns,
		    .frontier = shard->frontier,
		    .executed = {.seq = slice->seq,
			.results = slice->list + slice->next,
			.results_count = count},
		};
		slice->next += count;
		shard_step(shard, slice->machine, &event);
	}
	return true;
}
