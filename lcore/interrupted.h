/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel takes from a burst to run something else. A burst's time by the
 * time-stamp counter is too long by that, and a thread's CPU clock is too slow to be
 * read each burst (1 us and more). But the kernel leaves a mark: whenever a thread
 * comes back to its CPU, rseq(2) empties a word of the thread's own memory, so one
 * load tells whether the clock must be asked. Without rseq (a C library before 2.35,
 * a kernel before 4.18) nothing ever counts as taken.
 *
 * One thread, its own struct.
 */
#ifndef OSKR_LCORE_INTERRUPTED_H
#define OSKR_LCORE_INTERRUPTED_H

#include <stdbool.h>
#include <stdint.h>

#include "lcore/clock.h"

struct interrupted {
	const struct clock *clock;
	uint64_t *mark;		 /* 0 once the thread has been without its CPU */
	uint64_t without_cycles; /* all time without its CPU, when it was last asked */
};

/* The calling thread's, which alone may use it from here on. */
void interrupted_begin(struct interrupted *i, const struct clock *clock);

/* The thread leaves it. */
void interrupted_end(struct interrupted *i);

/* Whether the thread has been without its CPU since the last interrupted_take(). */
static inline bool
interrupted_is(const struct interrupted *i)
{
	return __builtin_expect(__atomic_load_n(i->mark, __ATOMIC_RELAXED) == 0, 0);
}

/* Cycles without the CPU since the last call, or the beginning. Some microseconds. */
uint64_t interrupted_take(struct interrupted *i);

#endif
