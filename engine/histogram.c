/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the histogram that are not on the hot path: merging, percentiles
 * and output. Any core, on histograms that it owns or that have come to rest.
 */
#include "engine/histogram.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "engine/check.h"

enum {
	/* Lines for each halving of the distance to 100 %, as HdrHistogram's tools write. */
	HGRM_TICKS_PER_HALVING = 5,
};

/* Buckets of a whole power of two behind the first two: what HdrHistogram counts. */
static_assert(HISTOGRAM_BUCKETS_COUNT % HISTOGRAM_SUB_COUNT == 0, "whole powers of two");
static_assert(sizeof(struct histogram) <= 40 * 1024, "fits the second-level cache by far");

static uint64_t bucket_highest(uint32_t index);
static double variance(const struct histogram *h);
static double square_root(double x);

void
histogram_init(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->min_ns = UINT64_MAX;
	debug_check(histogram_bucket(HISTOGRAM_VALUE_MAX) == HISTOGRAM_BUCKETS_COUNT - 1);
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	check(into != from);
	into->count += from->count;
	into->sum_high_ns += from->sum_high_ns;
	into->sum_high_ns +=
	    __builtin_add_overflow(into->sum_low_ns, from->sum_low_ns, &into->sum_low_ns);
	if (from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS_COUNT; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t
histogram_percentile(const struct histogram *h, double percentile)
{
	check(percentile >= 0.0 && percentile <= 100.0);
	double exact = percentile / 100.0 * (double)h->count;
	uint64_t rank = (uint64_t)exact;
	uint64_t below = 0;

	if (h->count == 0 || percentile == 0.0)
		return histogram_min(h);
	/* Rounded up, but 99.9 % of 1000 is 999 although 99.9 has no exact double. */
	if ((double)rank < exact * (1.0 - 1e-12))
		rank++;
	if (rank >= h->count)
		return h->max_ns;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS_COUNT; i++) {
		below += h->buckets[i];
		if (below >= rank && below > 0) {
			uint64_t value_ns = bucket_highest(i);
			return value_ns < h->max_ns ? value_ns : h->max_ns;
		}
	}
	return h->max_ns;
}

double
histogram_mean(const struct histogram *h)
{
	if (h->count == 0)
		return 0.0;
	return ((double)h->sum_high_ns * 0x1.0p64 + (double)h->sum_low_ns) / (double)h->count;
}

uint64_t
histogram_min(const struct histogram *h)
{
	return h->count == 0 ? 0 : h->min_ns;
}

uint64_t
histogram_max(const struct histogram *h)
{
	return h->max_ns;
}

/* The next percentile at which a line is due: steps halve as the distance to 100 does. */
static double
percentile_after(double percentile)
{
	double halvings = 2.0;
	for (double distance = 100.0 - percentile; distance * halvings <= 100.0;)
		halvings *= 2.0;
	return percentile + 100.0 / (HGRM_TICKS_PER_HALVING * halvings);
}

static void
write_distribution(const struct histogram *h, FILE *file)
{
	double percentile = 0.0;
	uint64_t below = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS_COUNT && below < h->count; i++) {
		if (h->buckets[i] == 0)
			continue;
		below += h->buckets[i];
		uint64_t value_ns = bucket_highest(i) < h->max_ns ? bucket_highest(i) : h->max_ns;
		double reached = 100.0 * (double)below / (double)h->count;
		while (percentile <= reached && percentile < 100.0 && below < h->count) {
			fprintf(file, "%12.3f %14.12f %10llu %14.2f\n", (double)value_ns / 1000.0,
			    percentile / 100.0, (unsigned long long)below,
			    100.0 / (100.0 - percentile));
			percentile = percentile_after(percentile);
		}
	}
	fprintf(file, "%12.3f %14.12f %10llu\n", (double)h->max_ns / 1000.0, 1.0,
	    (unsigned long long)h->count);
}

void
histogram_write_hgrm(const struct histogram *h, FILE *file)
{
	fprintf(file, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
	    "1/(1-Percentile)");
	write_distribution(h, file);
	fprintf(file, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram_mean(h) / 1000.0,
	    square_root(variance(h)) / 1000.0);
	fprintf(file, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max_ns / 1000.0,
	    (unsigned long long)h->count);
	fprintf(file, "#[Buckets = %12d, SubBuckets     = %12d]\n",
	    HISTOGRAM_BUCKETS_COUNT / HISTOGRAM_SUB_COUNT, HISTOGRAM_SUB_COUNT);
}

/* The largest value that the bucket counts. */
static uint64_t
bucket_highest(uint32_t index)
{
	uint32_t octave = index / HISTOGRAM_SUB_COUNT;
	uint32_t shift = octave == 0 ? 0 : octave - 1;
	uint64_t first = (uint64_t)(index - shift * HISTOGRAM_SUB_COUNT) << shift;
	return first + (UINT64_C(1) << shift) - 1;
}

/* In square nanoseconds, each value taken as the middle of its bucket. */
static double
variance(const struct histogram *h)
{
	double mean = histogram_mean(h);
	double sum = 0.0;
	uint64_t low = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS_COUNT; i++) {
		uint64_t high = bucket_highest(i);
		double distance = (double)(low + high) / 2.0 - mean;
		sum += distance * distance * (double)h->buckets[i];
		low = high + 1;
	}
	return h->count == 0 ? 0.0 : sum / (double)h->count;
}

/* Newton's method, from above: the engine does without the mathematics library. */
static double
square_root(double x)
{
	double root = x > 1.0 ? x : 1.0;
	for (;;) {
		double next = (root + x / root) / 2.0;
		if (!(next < root))
			return root;
		root = next;
	}
}
