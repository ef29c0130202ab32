/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See interrupted.h. rseq(2) is made for sequences that restart where they were
 * interrupted. Ours is an empty one at no address of code, so nothing ever restarts;
 * what is left of it is that the kernel forgets it, as it does whenever it finds the
 * thread outside of the sequence (Linux, kernel/rseq.c; include/uapi/linux/rseq.h).
 */
#include "lcore/interrupted.h"

#include <rte_cycles.h>
#include <sys/rseq.h>
#include <time.h>

#include "engine/check.h"

/* The kernel asks for a signature before the address to go to. */
static const uint32_t nowhere[2] = {RSEQ_SIG, 0};

static struct rseq_cs empty; /* constant once the first thread has begun */

static uint64_t never = 1; /* the mark where there is no rseq */

static uint64_t
without_cycles(const struct clock *clock)
{
	struct timespec cpu;
	check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0);
	uint64_t ns = (uint64_t)cpu.tv_sec * CLOCK_NS_PER_S + (uint64_t)cpu.tv_nsec;
	return rte_rdtsc() - (uint64_t)((clock_product)ns * clock->tsc_hz / CLOCK_NS_PER_S);
}

static void
mark_set(struct interrupted *i)
{
	if (i->mark != &never)
		__atomic_store_n(i->mark, (uint64_t)(uintptr_t)&empty, __ATOMIC_RELAXED);
}

void
interrupted_begin(struct interrupted *i, const struct clock *clock)
{
	char *thread = __builtin_thread_pointer();
	*i = (struct interrupted){.clock = clock, .mark = &never};
	if (__rseq_size > 0) {
		struct rseq *area = (struct rseq *)(void *)(thread + __rseq_offset);
		__atomic_store_n(
		    &empty.abort_ip, (uint64_t)(uintptr_t)&nowhere[1], __ATOMIC_RELAXED);
		i->mark = (uint64_t *)(void *)&area->rseq_cs;
	}
	mark_set(i);
	i->without_cycles = without_cycles(clock);
}

void
interrupted_end(struct interrupted *i)
{
	if (i->mark != &never)
		__atomic_store_n(i->mark, 0, __ATOMIC_RELAXED);
	i->mark = &never;
}

uint64_t
interrupted_take(struct interrupted *i)
{
	uint64_t before = i->without_cycles;
	mark_set(i);
	i->without_cycles = without_cycles(i->clock);
	return i->without_cycles > before ? i->without_cycles - before : 0;
}
