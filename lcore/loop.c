/* SPDX-License-Identifier: Apache-2.0 */
/* See loop.h. */
#include "lcore/loop.h"

#include <rte_cycles.h>
#include <rte_pause.h>
#include <sched.h>
#include <time.h>

#include "engine/check.h"

enum {
	IDLE_ROUNDS_BEFORE_SLEEP = 1000,
	SLEEP_NS = 50 * 1000,
};

static void
idle_poll(struct loop *l)
{
	(void)l;
}

static void
idle_pause(struct loop *l)
{
	(void)l;
	rte_pause();
}

static void
idle_yield(struct loop *l)
{
	(void)l;
	sched_yield();
}

static void
idle_sleep(struct loop *l)
{
	const struct timespec duration = {.tv_nsec = SLEEP_NS};
	if (l->rounds_idle > IDLE_ROUNDS_BEFORE_SLEEP)
		nanosleep(&duration, NULL);
	else
		rte_pause();
}

static void (*const idle_actions[LOOP_IDLES_COUNT])(struct loop *l) = {
    [LOOP_IDLE_POLL] = idle_poll,
    [LOOP_IDLE_PAUSE] = idle_pause,
    [LOOP_IDLE_YIELD] = idle_yield,
    [LOOP_IDLE_SLEEP] = idle_sleep,
};

/* Once the kernel had run something else: that was nobody's work. */
static __attribute__((cold, noinline)) uint64_t
taken_back(struct loop *l, struct loop_task *task, bool worked, uint64_t from, uint64_t end)
{
	uint64_t taken = interrupted_take(&l->interrupted);
	if (worked) {
		if (taken > end - from)
			taken = end - from;
		task->busy_cycles -= taken;
		l->tasks[0].idle_cycles += taken;
		l->taken_cycles += taken;
	}
	/* Looking at the clock was nobody's work either. */
	uint64_t now = rte_rdtsc();
	l->tasks[0].idle_cycles += now - end;
	return now;
}

/* Ends a burst that began at `from`: its cycles go where they belong. Returns its end. */
static inline uint64_t
burst_end(struct loop *l, struct loop_task *task, bool worked, uint64_t from)
{
	uint64_t end = rte_rdtsc();
	if (worked)
		task->busy_cycles += end - from;
	else
		task->idle_cycles += end - from;
	return interrupted_is(&l->interrupted) ? taken_back(l, task, worked, from, end) : end;
}

void
loop_add(struct loop *l, uint32_t (*poll)(void *self, uint64_t now_ns), void *self)
{
	check(l->tasks_count < LOOP_TASKS_MAX);
	l->tasks[l->tasks_count++] = (struct loop_task){.poll = poll, .self = self};
}

void
loop_set_aside(struct loop *l, uint32_t (*poll)(void *self, uint64_t now_ns), void *self)
{
	check(l->aside.poll == NULL);
	l->aside = (struct loop_task){.poll = poll, .self = self};
}

int
loop_run(void *loop)
{
	struct loop *l = loop;
	void (*idle)(struct loop * l) = idle_actions[l->idle];
	interrupted_begin(&l->interrupted, l->clock);
	uint64_t tsc = rte_rdtsc();
	phases_follow(&l->phases);
	while (!atomic_load_explicit(l->stop, memory_order_relaxed)) {
		uint32_t work = 0;
		for (uint32_t i = 0; i < l->tasks_count; i++) {
			struct loop_task *task = &l->tasks[i];
			uint32_t done = task->poll(task->self, clock_ns(l->clock, tsc));
			tsc = burst_end(l, task, done > 0, tsc);
			work += done;
		}
		l->rounds++;
		l->rounds_idle = work > 0 ? 0 : l->rounds_idle + 1;
		if (work > 0)
			continue;
		if (l->aside.poll != NULL &&
		    l->aside.poll(l->aside.self, clock_ns(l->clock, tsc)) > 0) {
			tsc = burst_end(l, &l->aside, true, tsc);
			continue;
		}
		idle(l);
		tsc = burst_end(l, &l->tasks[0], false, tsc);
	}
	interrupted_end(&l->interrupted);
	return 0;
}
