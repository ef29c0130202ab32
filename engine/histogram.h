/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram of durations: 128 buckets for each power of two, so
 * that a bucket is at most 1/128 (0.8 %) of its values wide; values below 256
 * ns have buckets of their own. Count, sum, minimum and maximum are exact.
 * 32 KB. Each is owned by one lcore; whoever sums up merges copies of them.
 *
 * Recording is a few instructions and touches two cache lines.
 */
#ifndef OSKR_ENGINE_HISTOGRAM_H
#define OSKR_ENGINE_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum {
	HISTOGRAM_SUB_BITS = 7,
	HISTOGRAM_SUB_COUNT = 1 << HISTOGRAM_SUB_BITS,
	HISTOGRAM_VALUE_BITS = 37, /* 137 s: longer is counted in the last bucket */
	HISTOGRAM_BUCKETS_COUNT =
	    (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB_COUNT,
};

#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

struct histogram {
	uint64_t count;
	uint64_t sum_low_ns; /* the sum is 128 bits, so that it stays exact */
	uint64_t sum_high_ns;
	uint64_t min_ns; /* UINT64_MAX while empty */
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS_COUNT];
};

/* Empties it. */
void histogram_init(struct histogram *h);

/* The bucket of a value, which is at most HISTOGRAM_VALUE_MAX. */
static inline uint32_t
histogram_bucket(uint64_t value_ns)
{
	uint32_t top = 63 - (uint32_t)__builtin_clzll(value_ns | HISTOGRAM_SUB_COUNT);
	uint32_t shift = top - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value_ns >> shift);
}

/* Adds one value. */
static inline void
histogram_record(struct histogram *h, uint64_t value_ns)
{
	uint64_t bounded_ns = value_ns < HISTOGRAM_VALUE_MAX ? value_ns : HISTOGRAM_VALUE_MAX;
	h->count++;
	h->sum_high_ns += __builtin_add_overflow(h->sum_low_ns, value_ns, &h->sum_low_ns);
	h->min_ns = value_ns < h->min_ns ? value_ns : h->min_ns;
	h->max_ns = value_ns > h->max_ns ? value_ns : h->max_ns;
	h->buckets[histogram_bucket(bounded_ns)]++;
}

/* Adds all values of `from`, which stays as it is. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The least value that `percentile` (0 to 100) percent of all values do not
 * exceed, in ns: at most 0.8 % above the exact one, never above the maximum.
 * 0 and 100 give the exact minimum and maximum. 0 when empty.
 */
uint64_t histogram_percentile(const struct histogram *h, double percentile);

/* ns; 0 when empty. */
double histogram_mean(const struct histogram *h);
uint64_t histogram_min(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);

/*
 * Writes the percentile distribution in HdrHistogram's text format (.hgrm),
 * values in microseconds. Errors stay in the FILE, for the caller's ferror().
 */
void histogram_write_hgrm(const struct histogram *h, FILE *file);

#endif
