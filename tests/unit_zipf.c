/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of random numbers and of YCSB's distributions: what is drawn, against theory. */
#include "engine/zipf.h"

#include <math.h>
#include <string.h>

#include "tests/unit.h"

enum { ITEMS_COUNT = 1000, DRAWS_COUNT = 2000000 };

static uint32_t drawn[ITEMS_COUNT];
static double expected[ITEMS_COUNT];

/* Chi-square of drawn[] against expected[], in standard deviations from its mean
 * (it has count - 1 degrees of freedom, so variance 2 (count - 1)). */
static double
chi_square_deviation(uint32_t count, double draws_count)
{
	double sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		double mean = expected[i] * draws_count;
		sum += ((double)drawn[i] - mean) * ((double)drawn[i] - mean) / mean;
	}
	return (sum - (count - 1)) / sqrt(2.0 * (count - 1));
}

/* Published with the generator's reference code, for seed 1234567. */
static void
splitmix64_gives_known_numbers(void)
{
	static const uint64_t known[] = {6457827717110365317u, 3203168211198807973u,
	    9817491932198370423u, 4593380528125082431u, 16408922859458223821u};
	struct random r = {1234567};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		CU_ASSERT_EQUAL(random_next(&r), known[i]);
}

static void
streams_differ_and_repeat(void)
{
	struct random a, b, c;
	random_init(&a, 7, 1);
	random_init(&b, 7, 2);
	random_init(&c, 7, 1);
	CU_ASSERT_NOT_EQUAL(random_next(&a), random_next(&b));
	random_init(&a, 7, 1);
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(random_next(&a), random_next(&c));
}

static void
random_below_is_uniform(void)
{
	struct random r;
	random_init(&r, 1, 1);
	memset(drawn, 0, sizeof(drawn));
	for (uint32_t i = 0; i < ITEMS_COUNT; i++)
		expected[i] = 1.0 / ITEMS_COUNT;
	for (uint32_t i = 0; i < DRAWS_COUNT; i++) {
		uint64_t x = random_below(&r, ITEMS_COUNT);
		CU_ASSERT_FATAL(x < ITEMS_COUNT);
		drawn[x]++;
	}
	double deviation = chi_square_deviation(ITEMS_COUNT, DRAWS_COUNT);
	CU_ASSERT(deviation > -5 && deviation < 5);
}

/* At 3 * 2^62, a modulus or a plain product would favour a third of all numbers. */
static void
random_below_has_no_bias_at_large_bounds(void)
{
	const uint64_t bound = UINT64_C(3) << 62;
	struct random r;
	uint32_t thirds[3] = {0}, residues[3] = {0};
	random_init(&r, 2, 1);
	for (uint32_t i = 0; i < 300000; i++) {
		uint64_t x = random_below(&r, bound);
		CU_ASSERT_FATAL(x < bound);
		thirds[x >> 62]++;
		residues[x % 3]++;
	}
	for (int i = 0; i < 3; i++) {
		CU_ASSERT(thirds[i] > 98500 && thirds[i] < 101500);
		CU_ASSERT(residues[i] > 98500 && residues[i] < 101500);
	}
	CU_ASSERT_EQUAL(random_below(&r, 1), 0);
}

static void
random_unit_fills_its_interval(void)
{
	struct random r;
	double sum = 0;
	uint32_t tenths[10] = {0};
	random_init(&r, 3, 1);
	for (uint32_t i = 0; i < 1000000; i++) {
		double x = random_unit(&r);
		CU_ASSERT_FATAL(x >= 0.0 && x < 1.0);
		sum += x;
		tenths[(int)(x * 10)]++;
	}
	CU_ASSERT_DOUBLE_EQUAL(sum / 1000000, 0.5, 0.002);
	for (int i = 0; i < 10; i++)
		CU_ASSERT(tenths[i] > 98500 && tenths[i] < 101500);
}

static double
zeta_summed(uint64_t items_count)
{
	double sum = 0;
	for (uint64_t i = 1; i <= items_count; i++)
		sum += 1.0 / pow((double)i, ZIPF_THETA);
	return sum;
}

static void
zeta_agrees_with_its_sum(void)
{
	static const uint64_t counts[] = {1, 2, 3, 10, 999, 1000, 1001, 1002, 5000, 1000000};
	struct zipf z;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		zipf_init(&z, counts[i]);
		CU_ASSERT_DOUBLE_EQUAL(z.zeta, zeta_summed(counts[i]), 1e-9);
		CU_ASSERT_DOUBLE_EQUAL(z.root, pow((double)counts[i], 0.01), 1e-13);
	}
}

/* ScrambledZipfianGenerator.ZETAN of YCSB, for ten billion items. */
static void
zeta_agrees_with_ycsb(void)
{
	struct zipf z;
	zipf_init(&z, ZIPF_SCRAMBLED_ITEMS);
	CU_ASSERT_DOUBLE_EQUAL(z.zeta, 26.46902820178302, 1e-8);
}

static void
growing_equals_starting_larger(void)
{
	struct zipf grown, fresh;
	zipf_init(&grown, 1);
	for (uint64_t count = 1; count < 5000; count++) {
		zipf_grow(&grown, count);
		zipf_init(&fresh, count);
		CU_ASSERT_DOUBLE_EQUAL(grown.zeta, fresh.zeta, 1e-10);
		CU_ASSERT_DOUBLE_EQUAL(grown.eta, fresh.eta, 1e-8);
		CU_ASSERT_EQUAL(grown.items_count, count);
	}
}

/* Where the generator's formula, solved for the uniform number, steps to `rank`. */
static double
step_of_rank(const struct zipf *z, double rank)
{
	double n = (double)z->items_count;
	if (rank >= n)
		return 1.0;
	return (pow(rank / n, 1.0 - ZIPF_THETA) - 1.0 + z->eta) / z->eta;
}

/* Ranks 0 and 1 by the law; the others by Gray's formula, from where rank 1 ends. */
static void
expect_ranks(const struct zipf *z)
{
	double end_of_1 = z->zeta_2 / z->zeta;
	expected[0] = 1.0 / z->zeta;
	expected[1] = end_of_1 - expected[0];
	for (uint32_t i = 2; i < ITEMS_COUNT; i++) {
		double from = step_of_rank(z, i), to = step_of_rank(z, i + 1);
		from = from > end_of_1 ? from : end_of_1;
		expected[i] = to > from ? to - from : 0;
	}
}

static void
ranks_are_drawn_as_the_formula_says(void)
{
	struct zipf z;
	struct random r;
	zipf_init(&z, ITEMS_COUNT);
	random_init(&r, 4, 1);
	memset(drawn, 0, sizeof(drawn));
	for (uint32_t i = 0; i < DRAWS_COUNT; i++) {
		uint64_t rank = zipf_next(&z, &r);
		CU_ASSERT_FATAL(rank < ITEMS_COUNT);
		drawn[rank]++;
	}
	expect_ranks(&z);
	double deviation = chi_square_deviation(ITEMS_COUNT, DRAWS_COUNT);
	CU_ASSERT(deviation > -5 && deviation < 5);
}

/* Gray's formula approximates the law: nowhere by more than 20 %, and its head,
 * the sums of the likeliest ranks, by 6 %. Needs the draws of the story before. */
static void
ranks_are_drawn_as_the_law_says(void)
{
	double zeta = zeta_summed(ITEMS_COUNT), sum_drawn = 0, sum_law = 0;
	for (uint32_t i = 0; i < ITEMS_COUNT; i++) {
		double law = 1.0 / (pow(i + 1, ZIPF_THETA) * zeta);
		double ratio = drawn[i] / (law * DRAWS_COUNT);
		sum_drawn += (double)drawn[i] / DRAWS_COUNT;
		sum_law += law;
		if (i < 2)
			CU_ASSERT(ratio > 0.99 && ratio < 1.01);
		if (i < 100)
			CU_ASSERT(ratio > 0.80 && ratio < 1.25);
		CU_ASSERT(sum_drawn / sum_law > 0.98 && sum_drawn / sum_law < 1.06);
	}
}

static void
one_and_two_items_stay_in_range(void)
{
	struct random r;
	random_init(&r, 5, 1);
	for (uint64_t count = 1; count <= 4; count++) {
		struct zipf z;
		uint32_t seen[4] = {0};
		zipf_init(&z, count);
		for (int i = 0; i < 20000; i++) {
			uint64_t rank = zipf_next(&z, &r);
			CU_ASSERT_FATAL(rank < count);
			seen[rank]++;
		}
		for (uint64_t i = 0; i < count; i++)
			CU_ASSERT(seen[i] > 0);
	}
}

/* The largest number below 1, where the formula rounds up to one item too many. */
static void
the_last_rank_is_the_end(void)
{
	/* random_mix() backwards, from the word that it must give. */
	uint64_t x = UINT64_MAX;
	x ^= x >> 31 ^ x >> 62;
	x *= 0x319642b2d24d8ec3ull;
	x ^= x >> 27 ^ x >> 54;
	x *= 0x96de1b173f119089ull;
	x ^= x >> 30 ^ x >> 60;
	CU_ASSERT_EQUAL_FATAL(random_mix(x), UINT64_MAX);
	for (uint64_t count = 1; count < 3000; count++) {
		struct random r = {x - 0x9e3779b97f4a7c15ull};
		struct zipf z;
		zipf_init(&z, count);
		CU_ASSERT_EQUAL(zipf_next(&z, &r), count - 1);
	}
}

/* The hash byte by byte, on any bytes: tried on a published vector, then compared. */
static uint64_t
fnv1a64(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t hash = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash;
}

static void
hash_is_fnv1a(void)
{
	struct random r;
	CU_ASSERT_EQUAL(fnv1a64("foobar", 6), 0x85944171f73967e8ull);
	random_init(&r, 6, 1);
	for (int i = 0; i < 1000; i++) {
		uint64_t number = i < 500 ? (uint64_t)i : random_next(&r);
		uint8_t bytes[8];
		for (int j = 0; j < 8; j++)
			bytes[j] = (uint8_t)(number >> (8 * j));
		uint64_t hash = fnv1a64(bytes, 8);
		CU_ASSERT_EQUAL(zipf_hash(number), hash >> 63 ? 0 - hash : hash);
	}
}

/* Each of the million likeliest ranks adds to the item that it is scattered to;
 * the rest, a third of all draws, spreads evenly. */
static void
expect_scrambled(const struct zipf *z)
{
	enum { RANKS_COUNT = 1000000 };
	double end_of_1 = z->zeta_2 / z->zeta;
	double end = step_of_rank(z, RANKS_COUNT);
	for (uint32_t i = 0; i < ITEMS_COUNT; i++)
		expected[i] = (1.0 - end) / ITEMS_COUNT;
	expected[zipf_hash(0) % ITEMS_COUNT] += 1.0 / z->zeta;
	expected[zipf_hash(1) % ITEMS_COUNT] += end_of_1 - 1.0 / z->zeta;
	double from = end_of_1;
	for (uint32_t i = 2; i < RANKS_COUNT; i++) {
		double to = step_of_rank(z, i + 1.0);
		if (to > from) {
			expected[zipf_hash(i) % ITEMS_COUNT] += to - from;
			from = to;
		}
	}
}

static void
scrambled_items_are_drawn_as_theory_says(void)
{
	struct zipf z;
	struct random r;
	zipf_init(&z, ZIPF_SCRAMBLED_ITEMS);
	random_init(&r, 7, 1);
	memset(drawn, 0, sizeof(drawn));
	for (uint32_t i = 0; i < DRAWS_COUNT; i++) {
		uint64_t item = zipf_next_scrambled(&z, &r, ITEMS_COUNT);
		CU_ASSERT_FATAL(item < ITEMS_COUNT);
		drawn[item]++;
	}
	expect_scrambled(&z);
	double deviation = chi_square_deviation(ITEMS_COUNT, DRAWS_COUNT);
	CU_ASSERT(deviation > -5 && deviation < 5);
	/* YCSB's known figure: the hottest record gets 1 / 26.469, and a little by chance. */
	double hottest = (double)drawn[zipf_hash(0) % ITEMS_COUNT] / DRAWS_COUNT;
	CU_ASSERT(hottest > 1 / 26.469 && hottest < 1 / 26.469 + 0.003);
}

static const struct unit_story stories[] = {
    {"splitmix64 gives the known numbers", splitmix64_gives_known_numbers},
    {"streams differ, and repeat", streams_differ_and_repeat},
    {"random_below is uniform", random_below_is_uniform},
    {"random_below has no bias at large bounds", random_below_has_no_bias_at_large_bounds},
    {"random_unit fills its interval", random_unit_fills_its_interval},
    {"zeta agrees with its sum", zeta_agrees_with_its_sum},
    {"zeta agrees with YCSB's constant", zeta_agrees_with_ycsb},
    {"growing equals starting larger", growing_equals_starting_larger},
    {"ranks are drawn as the formula says", ranks_are_drawn_as_the_formula_says},
    {"ranks are drawn as the law says", ranks_are_drawn_as_the_law_says},
    {"one and two items stay in range", one_and_two_items_stay_in_range},
    {"the last rank is the end", the_last_rank_is_the_end},
    {"the hash is FNV-1a", hash_is_fnv1a},
    {"scrambled items are drawn as theory says", scrambled_items_are_drawn_as_theory_says},
};

UNIT_MAIN("zipf", stories)
