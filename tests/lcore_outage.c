/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/outage.c: silences of several nodes put together against a search over
 * every moment, and when a rate counts as back.
 */
#include "lcore/outage.h"

#include <string.h>

#include "engine/random.h"
#include "tests/unit.h"

#define MS 1000000ull

enum { MOMENTS = 4096 };

static void
the_longest_are_kept(void)
{
	struct silences s = {0};
	CU_ASSERT_EQUAL(silences_longest(&s).to_ns, 0);
	silences_add(&s, 5, 5);
	CU_ASSERT_EQUAL(s.count, 0);
	/* Twice as many as fit, of lengths 1 .. in an order that is neither up nor down. */
	for (uint64_t i = 0; i < 2 * SILENCES_MAX; i++) {
		uint64_t size = 1 + i * 37 % (2 * SILENCES_MAX);
		silences_add(&s, i * 1000, i * 1000 + size);
	}
	CU_ASSERT_EQUAL(s.count, SILENCES_MAX);
	uint64_t seen = 0;
	for (uint32_t i = 0; i < s.count; i++) {
		uint64_t size = s.list[i].to_ns - s.list[i].from_ns;
		CU_ASSERT(size > SILENCES_MAX && size <= 2 * SILENCES_MAX);
		seen |= 1ull << (size - SILENCES_MAX - 1);
	}
	CU_ASSERT_EQUAL(seen, UINT64_MAX);
	struct silence longest = silences_longest(&s);
	CU_ASSERT_EQUAL(longest.to_ns - longest.from_ns, 2 * SILENCES_MAX);
}

static void
two_nodes_are_silent_where_both_are(void)
{
	struct silences a = {0};
	struct silences b = {0};
	silences_add(&a, 0, 100);
	silences_add(&a, 200, 300);
	silences_add(&b, 90, 230);
	silences_add(&b, 300, 400);
	silences_meet(&a, &b);
	CU_ASSERT_EQUAL(a.count, 2);
	struct silence longest = silences_longest(&a);
	CU_ASSERT_EQUAL(longest.from_ns, 200);
	CU_ASSERT_EQUAL(longest.to_ns, 230);
	/* A node that was never silent leaves nothing. */
	silences_meet(&a, &(struct silences){0});
	CU_ASSERT_EQUAL(a.count, 0);
}

/* Nodes that answer at random moments: the longest common silence, found moment by moment. */
static void
as_a_search_finds(void)
{
	static bool answer[MOMENTS + 1];
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct random r;
		random_init(&r, seed, 1);
		uint64_t nodes = 1 + random_below(&r, 4);
		struct silences common = {0};
		memset(answer, 0, sizeof(answer));
		silences_add(&common, 0, MOMENTS);
		for (uint64_t node = 0; node < nodes; node++) {
			struct silences own = {0};
			uint64_t from = 0;
			for (;;) {
				uint64_t at = from + 1 + random_below(&r, MOMENTS / 16);
				if (at >= MOMENTS || own.count == SILENCES_MAX - 1)
					break;
				answer[at] = true;
				silences_add(&own, from, at);
				from = at;
			}
			silences_add(&own, from, MOMENTS);
			silences_meet(&common, &own);
		}
		uint64_t longest = 0;
		answer[MOMENTS] = true;
		for (uint64_t at = 1, last = 0; at <= MOMENTS; at++) {
			if (!answer[at])
				continue;
			longest = at - last > longest ? at - last : longest;
			last = at;
		}
		struct silence found = silences_longest(&common);
		CU_ASSERT_EQUAL(found.to_ns - found.from_ns, longest);
	}
}

/* So many samples, each with `per_sample` answers more; returns the time of the last. */
static uint64_t
run(struct recovery *r, uint64_t now_ns, uint64_t *answers, uint32_t samples, uint64_t per_sample)
{
	for (uint32_t i = 0; i < samples; i++) {
		now_ns += RECOVERY_SAMPLE_NS;
		*answers += per_sample;
		recovery_sample(r, now_ns, *answers);
	}
	return now_ns;
}

static void
a_rate_that_comes_back(void)
{
	struct recovery r;
	uint64_t answers = 5000;
	/* 100 answers a sample of 10 ms. */
	recovery_begin(&r, 1000 * MS, answers, 10000);
	uint64_t now_ns = run(&r, 1000 * MS, &answers, 30, 0);
	CU_ASSERT_TRUE(r.dipped);
	CU_ASSERT_FALSE(r.back);
	/* 79 of 100: not yet, however long. */
	now_ns = run(&r, now_ns, &answers, 30, 79);
	CU_ASSERT_FALSE(r.back);
	/* One of 100 among nine of 79: more than 800 in the window. */
	now_ns = run(&r, now_ns, &answers, 1, 100);
	CU_ASSERT_TRUE(r.back);
	CU_ASSERT_EQUAL(r.back_ns, now_ns);
	/* What comes later does not change it. */
	run(&r, now_ns, &answers, 50, 0);
	recovery_end(&r);
	CU_ASSERT_EQUAL(r.back_ns, now_ns);
}

static void
a_rate_that_never_fell(void)
{
	struct recovery r;
	uint64_t answers = 0;
	recovery_begin(&r, 7 * MS, answers, 10000);
	run(&r, 7 * MS, &answers, 40, 80);
	CU_ASSERT_FALSE(r.back);
	recovery_end(&r);
	CU_ASSERT_TRUE(r.back);
	CU_ASSERT_FALSE(r.dipped);
	CU_ASSERT_EQUAL(r.back_ns, 7 * MS);
}

static void
a_rate_that_stays_away(void)
{
	struct recovery r;
	uint64_t answers = 0;
	recovery_begin(&r, 0, answers, 10000);
	run(&r, 0, &answers, 200, 30);
	recovery_end(&r);
	CU_ASSERT_FALSE(r.back);
	/* Too short to tell: less than one window. */
	recovery_begin(&r, 0, answers, 10000);
	run(&r, 0, &answers, RECOVERY_SAMPLES - 1, 100);
	recovery_end(&r);
	CU_ASSERT_FALSE(r.back);
}

/* Samples come as the main lcore finds time: rates go by the times they really have. */
static void
samples_at_any_times(void)
{
	struct recovery r;
	struct random random;
	random_init(&random, 9, 9);
	uint64_t now_ns = 1;
	recovery_begin(&r, now_ns, 0, 1e6);
	for (uint32_t i = 0; i < 10000 && now_ns < 500 * MS; i++) {
		now_ns += random_below(&random, i % 7 == 0 ? 40 * MS : MS / 2);
		/* Silent for 300 ms, then at the rate of before. */
		uint64_t answers = now_ns < 300 * MS ? 0 : (now_ns - 300 * MS) / 1000;
		recovery_sample(&r, now_ns, answers);
	}
	CU_ASSERT_TRUE(r.back);
	/* A window of ten samples, four fifths of which lie behind the silence's end. */
	CU_ASSERT(r.back_ns > 300 * MS + 80 * MS);
	CU_ASSERT(r.back_ns < 300 * MS + 2000 * MS);
}

static const struct unit_story stories[] = {
    {"the longest are kept", the_longest_are_kept},
    {"two nodes are silent where both are", two_nodes_are_silent_where_both_are},
    {"as a search finds", as_a_search_finds},
    {"a rate that comes back", a_rate_that_comes_back},
    {"a rate that never fell", a_rate_that_never_fell},
    {"a rate that stays away", a_rate_that_stays_away},
    {"samples at any times", samples_at_any_times},
};

UNIT_MAIN("outage", stories)
