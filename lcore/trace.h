/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace points, for DPDK's own recorder (rte_trace; CTF, read by babeltrace or
 * Trace Compass): off unless asked for, as by --trace=oskr.* among DPDK's
 * arguments; then each costs a few tens of cycles. Points of one burst are
 * merged: an event tells where a replica has come to, not each batch.
 *
 *     oskr.replica.commit      replica, position executed, batches since the last event
 *     oskr.replica.checkpoint  replica, position of the newest stable checkpoint
 *     oskr.node.note           who, number, text, values: what lcore/notes.h writes as a
 *                              line: view changes, recoveries; the bound is not applied
 *
 * One lcore owns an object.
 */
#ifndef OSKR_LCORE_TRACE_H
#define OSKR_LCORE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/outbox.h"

struct replica;

/* What has been told of a replica. */
struct trace {
	bool on;
	uint16_t replica;
	uint64_t position;
	uint64_t stable;
};

void trace_init(struct trace *t, uint16_t replica);

/* Tells what is new of a replica; after a burst. */
void trace_burst(struct trace *t, const struct replica *r);

void trace_note(const char *who, uint16_t number, const struct note *note);

#endif
