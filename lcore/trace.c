/* SPDX-License-Identifier: Apache-2.0 */
/* See trace.h. */
#include "lcore/trace.h"

#include <rte_trace.h>

#include "engine/replica.h"
#include "lcore/trace_points.h"

void
trace_init(struct trace *t, uint16_t replica)
{
	*t = (struct trace){.on = rte_trace_is_enabled(), .replica = replica};
}

void
trace_burst(struct trace *t, const struct replica *r)
{
	if (__builtin_expect(!t->on, 1))
		return;
	uint64_t position = executor_position(&r->executor);
	if (position != t->position) {
		/* Where a state was fetched or undone, nothing was executed that far. */
		uint64_t batches = position > t->position ? position - t->position : 0;
		oskr_trace_commit(t->replica, position, batches);
		t->position = position;
	}
	if (r->stable != t->stable) {
		oskr_trace_checkpoint(t->replica, r->stable);
		t->stable = r->stable;
	}
}

void
trace_note(const char *who, uint16_t number, const struct note *note)
{
	oskr_trace_note(who, number, note->text, note->values[0], note->values[1], note->values[2]);
}
