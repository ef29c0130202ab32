/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/interrupted.c and what lcore/loop.c makes of it: time that the kernel gives to
 * somebody else amid a burst is nobody's work. A thread that shares this one's CPU sees
 * to it that there is such time. All comparisons are with the kernel's own account.
 */
#include "lcore/interrupted.h"

#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

#include "lcore/loop.h"
#include "tests/unit.h"

enum { BURST_MS = 40, BURSTS = 10, NS_PER_MS = 1000000 };

static atomic_bool rival_stops;
static struct clock clock_here;

static uint64_t
ns_of(clockid_t id)
{
	struct timespec now;
	check(clock_gettime(id, &now) == 0);
	return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void
spin_ms(uint32_t ms)
{
	uint64_t end = ns_of(CLOCK_MONOTONIC) + (uint64_t)ms * NS_PER_MS;
	while (ns_of(CLOCK_MONOTONIC) < end)
		continue;
}

static void *
rival_run(void *unused)
{
	while (!atomic_load(&rival_stops))
		continue;
	return unused;
}

/* It runs where this thread does from here on. */
static pthread_t
rival_start(void)
{
	cpu_set_t set;
	pthread_t rival;
	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	CU_ASSERT_FATAL(sched_setaffinity(0, sizeof(set), &set) == 0);
	atomic_store(&rival_stops, false);
	CU_ASSERT_FATAL(pthread_create(&rival, NULL, rival_run, NULL) == 0);
	return rival;
}

static void
rival_end(pthread_t rival)
{
	atomic_store(&rival_stops, true);
	pthread_join(rival, NULL);
}

/* But for what the kernel takes where nobody looks, before and after: a slice of the rival's. */
static bool
near(uint64_t a, uint64_t b)
{
	uint64_t difference = a > b ? a - b : b - a;
	return difference < a / 10;
}

static void
clock_here_start(void)
{
	uint64_t tsc = rte_rdtsc();
	uint64_t ns = ns_of(CLOCK_MONOTONIC);
	spin_ms(100);
	uint64_t cycles = rte_rdtsc() - tsc;
	ns = ns_of(CLOCK_MONOTONIC) - ns;
	clock_init(&clock_here, cycles * CLOCK_NS_PER_S / ns, rte_rdtsc());
}

/* Bursts of a thread, with a rival on its CPU or alone: what is taken is what it did not have. */
static void
what_is_taken_is_what_the_kernel_says(void)
{
	struct interrupted i;
	pthread_t rival = rival_start();
	interrupted_begin(&i, &clock_here);
	uint64_t from_ns = ns_of(CLOCK_MONOTONIC);
	uint64_t cpu_from_ns = ns_of(CLOCK_THREAD_CPUTIME_ID);
	uint64_t taken = 0;
	uint32_t interrupted = 0;
	for (uint32_t burst = 0; burst < 4000; burst++) {
		uint64_t end = rte_rdtsc() + clock_here.tsc_hz / 10000;
		while (rte_rdtsc() < end)
			continue;
		if (interrupted_is(&i)) {
			interrupted++;
			taken += interrupted_take(&i);
		}
	}
	uint64_t all_ns = ns_of(CLOCK_MONOTONIC) - from_ns;
	uint64_t own_ns = ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu_from_ns;
	rival_end(rival);
	interrupted_end(&i);
	CU_ASSERT(!interrupted_is(&i));
	if (__rseq_size == 0) {
		CU_ASSERT_EQUAL(interrupted, 0);
		return;
	}
	/* Most bursts are let alone, or each would have to ask the clock. */
	CU_ASSERT(interrupted > 0 && interrupted < 2000);
	CU_ASSERT(all_ns - own_ns > all_ns / 10);
	CU_ASSERT(near(clock_span_ns(&clock_here, taken), all_ns - own_ns));
}

static atomic_bool loop_stops;
static uint32_t bursts;

/* Works in every other burst. */
static uint32_t
work(void *self, uint64_t now_ns)
{
	(void)self;
	(void)now_ns;
	spin_ms(BURST_MS);
	atomic_store(&loop_stops, ++bursts == BURSTS);
	return bursts % 2;
}

static struct loop l;
static uint64_t wall_ns, cpu_ns; /* that it took, by the kernel */

static void
loop_measure(void)
{
	l = (struct loop){.clock = &clock_here, .stop = &loop_stops};
	bursts = 0;
	atomic_store(&loop_stops, false);
	loop_add(&l, work, NULL);
	wall_ns = ns_of(CLOCK_MONOTONIC);
	cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID);
	loop_run(&l);
	wall_ns = ns_of(CLOCK_MONOTONIC) - wall_ns;
	cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
}

static void
a_loop_counts_its_own_time_as_busy(void)
{
	pthread_t rival = rival_start();
	loop_measure();
	rival_end(rival);
	uint64_t busy_ns = clock_span_ns(&clock_here, l.tasks[0].busy_cycles);
	uint64_t idle_ns = clock_span_ns(&clock_here, l.tasks[0].idle_cycles);
	uint64_t taken_ns = clock_span_ns(&clock_here, l.taken_cycles);
	CU_ASSERT(near(busy_ns + idle_ns, wall_ns));
	CU_ASSERT(busy_ns + taken_ns >= (uint64_t)(BURSTS / 2 * BURST_MS - 2) * NS_PER_MS);
	if (__rseq_size == 0)
		return;
	/* Half of the bursts have work, and last as long as the others. */
	CU_ASSERT(taken_ns > wall_ns / 20);
	CU_ASSERT(busy_ns < cpu_ns / 4 * 3);
}

static void
who_is_alone_loses_nothing(void)
{
	loop_measure();
	/* Others may be busy on this machine: no more is taken than they had. */
	CU_ASSERT(clock_span_ns(&clock_here, l.taken_cycles) <
		  (wall_ns > cpu_ns ? wall_ns - cpu_ns : 0) + NS_PER_MS);
}

static const struct unit_story stories[] = {
    {"what is taken is what the kernel says", what_is_taken_is_what_the_kernel_says},
    {"a loop counts its own time as busy", a_loop_counts_its_own_time_as_busy},
    {"who is alone loses nothing", who_is_alone_loses_nothing},
};

int
main(void)
{
	clock_here_start();
	return unit_run("lcore_interrupted", stories, sizeof(stories) / sizeof(stories[0]));
}
