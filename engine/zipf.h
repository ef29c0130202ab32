/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YCSB's request distributions: zipfian with exponent 0.99 by the rejection-free
 * formula of Gray et al. (Quickly Generating Billion-Record Synthetic Databases,
 * SIGMOD 1994, section 3.2), in constant time a draw, and its scrambled form.
 * Ranks 0 and 1 have exactly the probability of the law, 1/((rank + 1)^0.99 *
 * zeta); the others approximate it, as in YCSB: rank 2 of 100,000 gets 19 % too much.
 *
 * Since 1 / (1 - 0.99) is 100, all powers are products and hundredth roots by
 * Newton's method: no mathematics library, so the same draws on every machine.
 * Owned by whoever holds the struct, on one core.
 */
#ifndef OSKR_ENGINE_ZIPF_H
#define OSKR_ENGINE_ZIPF_H

#include <stdint.h>

#include "engine/random.h"

#define ZIPF_THETA 0.99

/*
 * YCSB draws the scrambled distribution's ranks from so many imagined items,
 * whatever the number of records: its hottest record gets 1/26.469 = 3.8 %.
 */
#define ZIPF_SCRAMBLED_ITEMS UINT64_C(10000000000)

struct zipf {
	uint64_t items_count;
	double root;   /* items_count ^ (1 - theta), the hundredth root */
	double zeta;   /* sum of 1 / i^theta for i = 1 .. items_count */
	double zeta_2; /* the same for two items */
	double root_2; /* 2 ^ (1 - theta) */
	double eta;    /* Gray's: bends the curve through ranks 2 .. */
};

/* Takes microseconds, whatever the number of items (1 .. 2^53). */
void zipf_init(struct zipf *z, uint64_t items_count);

/* More items, at least as many as now: about 0.1 us for each one added. */
void zipf_grow(struct zipf *z, uint64_t items_count);

/* x^100. */
static inline double
zipf_power(double x)
{
	double x4 = (x * x) * (x * x);
	double x16 = (x4 * x4) * (x4 * x4);
	double x32 = x16 * x16;
	return x32 * x32 * x32 * x4;
}

/* Draws a rank, 0 .. items_count - 1; 0 is the likeliest. */
static inline uint64_t
zipf_next(const struct zipf *z, struct random *random)
{
	double unit = random_unit(random);
	double scaled = unit * z->zeta;
	if (scaled < 1.0)
		return 0;
	if (scaled < z->zeta_2 && z->items_count > 1)
		return 1;
	double rank = (double)z->items_count * zipf_power(z->eta * unit - z->eta + 1.0);
	uint64_t whole = (uint64_t)rank;
	return whole < z->items_count ? whole : z->items_count - 1;
}

/* The hash by which YCSB scatters: 64-bit FNV-1a over the number's eight bytes,
 * least significant first, as the absolute value of a signed word. */
static inline uint64_t
zipf_hash(uint64_t number)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	for (int i = 0; i < 8; i++) {
		hash ^= number >> (8 * i) & 0xff;
		hash *= 1099511628211ull;
	}
	return hash >> 63 != 0 ? 0 - hash : hash;
}

/* Draws one of `items_count` items, the popular ones scattered over all of them.
 * `z` has ZIPF_SCRAMBLED_ITEMS items. */
static inline uint64_t
zipf_next_scrambled(const struct zipf *z, struct random *random, uint64_t items_count)
{
	return zipf_hash(zipf_next(z, random)) % items_count;
}

#endif
