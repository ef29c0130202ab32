/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random numbers for workloads, fault injection and tests: splitmix64
 * (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA
 * 2014). Eight bytes of state, about 1 ns a number, the same numbers on every
 * machine. Not for keys or nonces. Owned by whoever holds the struct, on one
 * core.
 */
#ifndef OSKR_ENGINE_RANDOM_H
#define OSKR_ENGINE_RANDOM_H

#include <stdint.h>

#include "engine/check.h"

struct random {
	uint64_t state;
};

/* A bijection of 64-bit words in which each bit depends on every other. */
static inline uint64_t
random_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Starts stream number `stream` of `seed`; different streams are unrelated. */
static inline void
random_init(struct random *r, uint64_t seed, uint64_t stream)
{
	r->state = random_mix(random_mix(seed + 0x9e3779b97f4a7c15ull) ^ stream);
}

/* 64 bits. */
static inline uint64_t
random_next(struct random *r)
{
	r->state += 0x9e3779b97f4a7c15ull;
	return random_mix(r->state);
}

/*
 * Uniform in 0 .. bound - 1; bound > 0. Without bias: multiply and shift, and
 * the few products that would be over-represented are drawn again (Lemire: Fast
 * Random Integer Generation in an Interval, 2019). Half the time one draw is
 * enough even in the worst case, and for small bounds practically always.
 */
static inline uint64_t
random_below(struct random *r, uint64_t bound)
{
	__extension__ unsigned __int128 product;

	debug_check(bound > 0);
	product = random_next(r);
	product *= bound;
	if (__builtin_expect((uint64_t)product < bound, 0)) {
		uint64_t threshold = (0 - bound) % bound;
		while ((uint64_t)product < threshold) {
			product = random_next(r);
			product *= bound;
		}
	}
	return (uint64_t)(product >> 64);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double
random_unit(struct random *r)
{
	return (double)(random_next(r) >> 11) * 0x1.0p-53;
}

#endif
