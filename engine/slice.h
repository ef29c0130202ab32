/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results on their way from the executor to the machine that ordered their
 * requests: stepped as EVENT_EXECUTED, as many at once as there are envelopes
 * for their replies. Owned by the core of the shard that steps them.
 */
#ifndef OSKR_ENGINE_SLICE_H
#define OSKR_ENGINE_SLICE_H

#include "engine/shard.h"

enum { SLICE_RESULTS_MAX = 64 };

struct slice {
	uint64_t seq;	  /* of the batch; 0: recalled, or read */
	uint32_t machine; /* of the shard */
	uint32_t next;	  /* list[next .. count - 1] have not been stepped */
	uint32_t count;
	const struct result *list; /* count, and their bytes, for as long as the slice lasts */
};

static inline bool
slice_done(const struct slice *slice)
{
	return slice->next == slice->count;
}

/* Steps what has not been stepped. False: no envelopes, the rest waits. */
bool slice_step(struct slice *slice, struct shard *shard);

#endif
