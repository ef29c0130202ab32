/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds from the time-stamp counter: a multiplication and a shift, no
 * division. One clock a process, set up once on the main lcore; constant after
 * that, so any lcore may read it. Times start near one second, so that zero is
 * never a time and a small difference between two CPUs' counters stays positive.
 */
#ifndef OSKR_LCORE_CLOCK_H
#define OSKR_LCORE_CLOCK_H

#include <rte_cycles.h>
#include <stdint.h>
#include <time.h>

#include "engine/check.h"

enum {
	CLOCK_SHIFT = 56,		/* bits behind the point of ns_per_cycle */
	CLOCK_HZ_MIN = 4 * 1000 * 1000, /* ns_per_cycle << CLOCK_SHIFT fits 64 bits */
	CLOCK_NS_PER_S = 1000 * 1000 * 1000,
};

__extension__ typedef unsigned __int128 clock_product;

struct clock {
	uint64_t tsc_zero;     /* the counter at time 0, which is a second before the start */
	uint64_t ns_per_cycle; /* fixed point, CLOCK_SHIFT bits behind the point */
	uint64_t tsc_hz;
};

/* Time is one second at tsc_now. tsc_hz is at least CLOCK_HZ_MIN. */
static inline void
clock_init(struct clock *c, uint64_t tsc_hz, uint64_t tsc_now)
{
	check(tsc_hz >= CLOCK_HZ_MIN);
	c->tsc_zero = tsc_now - tsc_hz;
	c->ns_per_cycle = (uint64_t)(((clock_product)CLOCK_NS_PER_S << CLOCK_SHIFT) / tsc_hz);
	c->tsc_hz = tsc_hz;
	check(c->ns_per_cycle > 0);
}

/* Starts the clock by DPDK's calibration of the counter. After launch_eal(). */
static inline void
clock_start(struct clock *c)
{
	clock_init(c, rte_get_tsc_hz(), rte_rdtsc());
}

/*
 * Starts it at the time of day instead: no time of this process is one of a former life.
 * Wrong steps of the wall clock later on change nothing.
 */
static inline void
clock_start_real(struct clock *c)
{
	struct timespec now;
	uint64_t hz = rte_get_tsc_hz();
	clock_init(c, hz, rte_rdtsc());
	check(clock_gettime(CLOCK_REALTIME, &now) == 0);
	uint64_t fraction = (uint64_t)((clock_product)(uint64_t)now.tv_nsec * hz / CLOCK_NS_PER_S);
	c->tsc_zero -= (uint64_t)now.tv_sec * hz + fraction;
}

/* The time at which the counter was `tsc`; exact to 1 part in 10^9, for 500 years. */
static inline uint64_t
clock_ns(const struct clock *c, uint64_t tsc)
{
	return (uint64_t)((clock_product)(tsc - c->tsc_zero) * c->ns_per_cycle >> CLOCK_SHIFT);
}

/* The time that `cycles` take. */
static inline uint64_t
clock_span_ns(const struct clock *c, uint64_t cycles)
{
	return (uint64_t)((clock_product)cycles * c->ns_per_cycle >> CLOCK_SHIFT);
}

#endif
