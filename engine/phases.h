/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an operation's time goes: cycles of an lcore by what it was doing. In
 * builds with -Dphases=true only (perf/where.sh makes one): each change of phase
 * reads the cycle counter, some 20 cycles, a few times a burst. In all others
 * the functions are empty and nothing is left of them.
 *
 * A burst is counted as a whole: phases_begin(), changes, phases_end(). Where
 * nothing was done all of it counts as idle. One thread, its own struct.
 */
#ifndef OSKR_ENGINE_PHASES_H
#define OSKR_ENGINE_PHASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum phase {
	PHASE_RECEIVE, /* frames out of queues, and buffers back */
	PHASE_PARSE,   /* headers; segments put together */
	PHASE_SCREEN,
	PHASE_PROVE,   /* MACs, signatures and digests of what came */
	PHASE_STEP,    /* the protocol, replies included */
	PHASE_SEAL,    /* MACs and signatures of what goes */
	PHASE_SEND,    /* frames into queues, and new envelopes */
	PHASE_EXECUTE, /* the application, its checkpoints, the merge */
	PHASE_CLIENT,  /* operations begun, answers judged */
	PHASES_COUNT,
};

enum phase_side { PHASE_REPLICAS, PHASE_CLIENTS, PHASE_SIDES };

struct phases {
	uint64_t since;	    /* the cycle counter at the last change */
	enum phase current; /* since then */
	uint64_t burst[PHASES_COUNT];
	uint64_t total[PHASE_SIDES][PHASES_COUNT]; /* cycles of bursts with work */
	uint64_t idle;				   /* of those without */
};

/* For a table: "receive", "parse", ..; NULL beyond the last. */
const char *phase_name(uint32_t phase);

#ifdef OSKR_PHASES

/* The calling thread's; NULL: nobody counts. */
extern _Thread_local struct phases *phases_here;

static inline uint64_t
phases_cycles(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void
phases_follow(struct phases *p)
{
	phases_here = p;
}

/* From here on the thread does this; returns what it did before. */
static inline enum phase
phase_enter(enum phase phase)
{
	struct phases *p = phases_here;
	if (p == NULL)
		return phase;
	uint64_t now = phases_cycles();
	enum phase before = p->current;
	p->burst[before] += now - p->since;
	p->since = now;
	p->current = phase;
	return before;
}

static inline void
phases_begin(void)
{
	struct phases *p = phases_here;
	if (p == NULL)
		return;
	p->since = phases_cycles();
	p->current = PHASE_RECEIVE;
}

static inline void
phases_end(enum phase_side side, bool worked)
{
	struct phases *p = phases_here;
	if (p == NULL)
		return;
	phase_enter(PHASE_RECEIVE);
	for (uint32_t i = 0; i < PHASES_COUNT; i++) {
		*(worked ? &p->total[side][i] : &p->idle) += p->burst[i];
		p->burst[i] = 0;
	}
}

#else

static inline void
phases_follow(struct phases *p)
{
	(void)p;
}

static inline enum phase
phase_enter(enum phase phase)
{
	return phase;
}

static inline void
phases_begin(void)
{
}

static inline void
phases_end(enum phase_side side, bool worked)
{
	(void)side;
	(void)worked;
}

#endif

#endif
