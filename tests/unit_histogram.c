/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the histogram: every figure that it reports against the plain list of values. */
#include "engine/histogram.h"

#include <stdbool.h>
#include <string.h>

#include "engine/random.h"
#include "tests/unit.h"

enum { VALUES_COUNT = 20000 };

static struct histogram one, two;
static uint64_t values[VALUES_COUNT];

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Values from 1 ns to 100 s, as many of each magnitude. */
static uint64_t
spread_value(struct random *random)
{
	uint64_t bits = random_below(random, 37);
	uint64_t value_ns = (UINT64_C(1) << bits) + random_below(random, UINT64_C(1) << bits);
	return value_ns < 100000000000ull ? value_ns : 100000000000ull;
}

static void
record_spread(uint64_t seed)
{
	struct random random;
	random_init(&random, seed, 0);
	histogram_init(&one);
	for (uint32_t i = 0; i < VALUES_COUNT; i++) {
		values[i] = spread_value(&random);
		histogram_record(&one, values[i]);
	}
}

static void
empty_histogram_reports_zero(void)
{
	histogram_init(&one);
	CU_ASSERT_EQUAL(histogram_percentile(&one, 50.0), 0);
	CU_ASSERT_EQUAL(histogram_min(&one), 0);
	CU_ASSERT_EQUAL(histogram_max(&one), 0);
	CU_ASSERT_EQUAL(histogram_mean(&one), 0.0);
}

/* Each value is recorded alone; what comes back is within 1 %, and in order. */
static void
buckets_err_by_one_percent_at_most(void)
{
	uint32_t bucket_before = 0;
	for (uint64_t value = 1; value < 100000000000ull; value += 1 + value / 300) {
		uint32_t bucket = histogram_bucket(value);
		CU_ASSERT_FATAL(bucket < HISTOGRAM_BUCKETS_COUNT);
		CU_ASSERT_FATAL(bucket >= bucket_before);
		bucket_before = bucket;
	}
	for (uint64_t value = 1; value < 100000000000ull; value += 1 + value / 7) {
		histogram_init(&one);
		histogram_record(&one, value);
		histogram_record(&one, HISTOGRAM_VALUE_MAX);
		uint64_t reported = histogram_percentile(&one, 50.0);
		CU_ASSERT_FATAL(reported >= value && reported - value <= value / 100);
	}
}

static void
small_values_are_exact(void)
{
	for (uint64_t value = 0; value < 256; value++)
		CU_ASSERT_EQUAL(histogram_bucket(value), value);
	CU_ASSERT_EQUAL(histogram_bucket(256), histogram_bucket(257));
	CU_ASSERT_NOT_EQUAL(histogram_bucket(257), histogram_bucket(258));
	CU_ASSERT_EQUAL(histogram_bucket(HISTOGRAM_VALUE_MAX), HISTOGRAM_BUCKETS_COUNT - 1);
}

static void
percentiles_agree_with_sorted_values(void)
{
	static const struct {
		double percentile;
		uint32_t rank; /* of 20,000, from 1 */
	} rows[] = {{0.005, 1}, {0.0051, 2}, {1, 200}, {10, 2000}, {50, 10000}, {90, 18000},
	    {99, 19800}, {99.9, 19980}, {99.99, 19998}, {99.995, 19999}};

	record_spread(1);
	qsort(values, VALUES_COUNT, sizeof(values[0]), compare);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t exact = values[rows[i].rank - 1];
		uint64_t reported = histogram_percentile(&one, rows[i].percentile);
		CU_ASSERT(reported >= exact && reported - exact <= exact / 100);
	}
	CU_ASSERT_EQUAL(histogram_percentile(&one, 0.0), values[0]);
	CU_ASSERT_EQUAL(histogram_percentile(&one, 100.0), values[VALUES_COUNT - 1]);
	CU_ASSERT_EQUAL(histogram_percentile(&one, 99.9999), values[VALUES_COUNT - 1]);
}

static void
count_sum_min_max_are_exact(void)
{
	double sum = 0;
	uint64_t min = UINT64_MAX, max = 0;
	record_spread(2);
	for (uint32_t i = 0; i < VALUES_COUNT; i++) {
		sum += (double)values[i];
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
	}
	CU_ASSERT_EQUAL(one.count, VALUES_COUNT);
	CU_ASSERT_EQUAL(histogram_min(&one), min);
	CU_ASSERT_EQUAL(histogram_max(&one), max);
	CU_ASSERT_DOUBLE_EQUAL(histogram_mean(&one), sum / VALUES_COUNT, 1e-3);
}

static void
sum_of_64_bits_overflows_into_128(void)
{
	histogram_init(&one);
	histogram_init(&two);
	for (int i = 0; i < 3; i++) {
		histogram_record(&one, UINT64_MAX);
		histogram_record(&two, UINT64_MAX);
	}
	CU_ASSERT_DOUBLE_EQUAL(histogram_mean(&one), 0x1.0p64, 1.0);
	histogram_merge(&one, &two);
	CU_ASSERT_EQUAL(one.count, 6);
	CU_ASSERT_EQUAL(one.sum_high_ns, 5);
	CU_ASSERT_EQUAL(one.sum_low_ns, UINT64_MAX - 5);
}

static void
too_long_values_count_in_the_last_bucket(void)
{
	histogram_init(&one);
	histogram_record(&one, 1000);
	histogram_record(&one, HISTOGRAM_VALUE_MAX + 1);
	histogram_record(&one, 500000000000ull);
	CU_ASSERT_EQUAL(one.buckets[HISTOGRAM_BUCKETS_COUNT - 1], 2);
	CU_ASSERT_EQUAL(histogram_max(&one), 500000000000ull);
	CU_ASSERT_EQUAL(histogram_percentile(&one, 100.0), 500000000000ull);
	CU_ASSERT_EQUAL(histogram_percentile(&one, 60.0), HISTOGRAM_VALUE_MAX);
}

static void
merging_equals_recording_all(void)
{
	static struct histogram parts[2];
	record_spread(3);
	histogram_init(&parts[0]);
	histogram_init(&parts[1]);
	for (uint32_t i = 0; i < VALUES_COUNT; i++)
		histogram_record(&parts[i % 3 == 0], values[i]);
	histogram_merge(&parts[0], &parts[1]);
	CU_ASSERT_EQUAL(memcmp(&parts[0], &one, sizeof(one)), 0);
	histogram_init(&two);
	histogram_merge(&parts[0], &two);
	CU_ASSERT_EQUAL(memcmp(&parts[0], &one, sizeof(one)), 0);
}

struct hgrm {
	uint32_t lines_count;
	double mean_us, max_us;
	unsigned long long total;
	double last_value_us, last_percentile;
	unsigned long long last_count;
	bool ordered;
	bool consistent; /* the fourth column follows from the second */
};

static void
hgrm_read_line(const char *line, struct hgrm *read)
{
	double value_us, percentile, inverse = 0;
	unsigned long long count;
	int fields = sscanf(line, "%lf %lf %llu %lf", &value_us, &percentile, &count, &inverse);
	if (fields >= 3) {
		read->ordered &= value_us >= read->last_value_us &&
				 percentile > read->last_percentile && count >= read->last_count;
		if (fields == 4 && percentile < 0.999)
			read->consistent &=
			    inverse * (1 - percentile) > 0.98 && inverse * (1 - percentile) < 1.02;
		read->last_value_us = value_us;
		read->last_percentile = percentile;
		read->last_count = count;
		read->lines_count++;
	}
	(void)sscanf(line, "#[Mean = %lf", &read->mean_us);
	(void)sscanf(line, "#[Max = %lf, Total count = %llu", &read->max_us, &read->total);
}

static struct hgrm
hgrm_written(const struct histogram *h)
{
	struct hgrm read = {.ordered = true, .consistent = true, .last_percentile = -1};
	char line[256];
	FILE *file = tmpfile();
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	histogram_write_hgrm(h, file);
	rewind(file);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof(line), file));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "Value"));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "Percentile TotalCount"));
	while (fgets(line, sizeof(line), file) != NULL)
		hgrm_read_line(line, &read);
	fclose(file);
	return read;
}

static void
hgrm_text_reads_back(void)
{
	record_spread(4);
	struct hgrm read = hgrm_written(&one);
	CU_ASSERT(read.ordered);
	CU_ASSERT(read.consistent);
	CU_ASSERT(read.lines_count > 20 && read.lines_count < 200);
	CU_ASSERT_EQUAL(read.last_percentile, 1.0);
	CU_ASSERT_EQUAL(read.last_count, VALUES_COUNT);
	CU_ASSERT_EQUAL(read.total, VALUES_COUNT);
	CU_ASSERT_DOUBLE_EQUAL(read.last_value_us, (double)one.max_ns / 1000.0, 0.001);
	CU_ASSERT_DOUBLE_EQUAL(read.max_us, (double)one.max_ns / 1000.0, 0.001);
	CU_ASSERT_DOUBLE_EQUAL(read.mean_us, histogram_mean(&one) / 1000.0, 0.001);
}

static void
hgrm_of_few_values_is_well_formed(void)
{
	histogram_init(&one);
	CU_ASSERT_EQUAL(hgrm_written(&one).lines_count, 1);
	histogram_record(&one, 1234);
	struct hgrm read = hgrm_written(&one);
	CU_ASSERT_EQUAL(read.lines_count, 1);
	CU_ASSERT_DOUBLE_EQUAL(read.last_value_us, 1.234, 1e-9);
	histogram_record(&one, 90000);
	read = hgrm_written(&one);
	CU_ASSERT(read.ordered && read.consistent && read.lines_count > 2);
	CU_ASSERT_DOUBLE_EQUAL(read.last_value_us, 90.0, 1e-9);
}

static const struct unit_story stories[] = {
    {"an empty histogram reports zero", empty_histogram_reports_zero},
    {"buckets err by one percent at most", buckets_err_by_one_percent_at_most},
    {"small values are exact", small_values_are_exact},
    {"percentiles agree with sorted values", percentiles_agree_with_sorted_values},
    {"count, sum, min and max are exact", count_sum_min_max_are_exact},
    {"a sum of 64 bits overflows into 128", sum_of_64_bits_overflows_into_128},
    {"too long values count in the last bucket", too_long_values_count_in_the_last_bucket},
    {"merging equals recording all", merging_equals_recording_all},
    {"the .hgrm text reads back", hgrm_text_reads_back},
    {"the .hgrm text of few values is well-formed", hgrm_of_few_values_is_well_formed},
};

UNIT_MAIN("histogram", stories)
