/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What correct replicas have promised: a vote names one digest for a view and
 * a sequence number, and never another, not even after a restart; a checkpoint
 * names one digest for a sequence number, the same at all correct replicas.
 * Judged from the messages that leave a node (promise.c). Owned by one simulation.
 */
#ifndef OSKR_TESTS_SIM_VOTES_H
#define OSKR_TESTS_SIM_VOTES_H

#include <stdbool.h>
#include <stdint.h>

/* Two words a promise: 64-bit hashes of what it is about, and of its digest. */
struct votes {
	uint64_t (*list)[2]; /* open addressing; 0 in the first word: free */
	uint64_t count;
	uint64_t capacity; /* a power of two, or 0 */
};

void votes_free(struct votes *v);

/* False: something else was promised before. `about` and `what` are any words. */
bool votes_add(struct votes *v, uint64_t about, uint64_t what);

/* The word that is kept about this, 0 at first. Valid until the next call. */
uint64_t *votes_word(struct votes *v, uint64_t about);

/* Was this promised? */
bool votes_hold(const struct votes *v, uint64_t about, uint64_t what);

#endif
