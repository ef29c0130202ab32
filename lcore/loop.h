/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll loop of an lcore: each task in turn, run to completion, one clock
 * read a burst. Cycles count as busy where a task had something to do, as idle
 * where it had not. A round in which none had leaves time for others' work.
 * One lcore owns a loop; others may read single words of it.
 */
#ifndef OSKR_LCORE_LOOP_H
#define OSKR_LCORE_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/phases.h"
#include "lcore/clock.h"
#include "lcore/interrupted.h"

enum { LOOP_TASKS_MAX = 160 }; /* every node on one lcore, and the control */

struct loop_task {
	/* One burst at time now_ns; 0 when there was nothing to do. */
	uint32_t (*poll)(void *self, uint64_t now_ns);
	void *self;
	uint64_t busy_cycles;
	uint64_t idle_cycles;
};

/* What an lcore does in a round in which no task had work. */
enum loop_idle {
	LOOP_IDLE_POLL,	 /* nothing: looks again */
	LOOP_IDLE_PAUSE, /* the CPU's pause instruction */
	LOOP_IDLE_YIELD, /* lets another thread have the CPU, where lcores share one */
	LOOP_IDLE_SLEEP, /* sleeps for 50 us once it has been idle for a while */
	LOOP_IDLES_COUNT,
};

struct loop {
	const struct clock *clock;
	atomic_bool *stop; /* of all loops */
	enum loop_idle idle;
	uint32_t tasks_count;
	uint64_t rounds;
	uint64_t rounds_idle;  /* in a row, up to now */
	uint64_t taken_cycles; /* by the kernel, amid bursts: they count as idle */
	struct interrupted interrupted;
	struct phases phases; /* where builds count them */
	struct loop_task tasks[LOOP_TASKS_MAX];
	struct loop_task aside; /* in rounds without work alone; poll NULL: nothing */
};

void loop_add(struct loop *l, uint32_t (*poll)(void *self, uint64_t now_ns), void *self);

/* What the lcore does for others when it has nothing to do itself: at most one such task. */
void loop_set_aside(struct loop *l, uint32_t (*poll)(void *self, uint64_t now_ns), void *self);

/* Runs until *stop. For rte_eal_remote_launch: `loop` is a struct loop; returns 0. */
int loop_run(void *loop);

#endif
