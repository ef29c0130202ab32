/* SPDX-License-Identifier: Apache-2.0 */
/* engine/phases.h as builds with -Dphases=true have it: every cycle of a burst is some phase's. */
#ifndef OSKR_PHASES
#define OSKR_PHASES
#define LIBRARY_WITHOUT
#endif
#include "engine/phases.h"

#include "tests/unit.h"

#ifdef LIBRARY_WITHOUT
_Thread_local struct phases *phases_here;
#endif

static void
spend(uint64_t cycles)
{
	uint64_t from = phases_cycles();
	while (phases_cycles() - from < cycles)
		continue;
}

static uint64_t
sum(const uint64_t *list)
{
	uint64_t all = 0;
	for (uint32_t i = 0; i < PHASES_COUNT; i++)
		all += list[i];
	return all;
}

static void
a_burst_is_divided(void)
{
	struct phases p = {0};
	phases_follow(&p);
	uint64_t from = phases_cycles();
	phases_begin();
	spend(1000);
	phase_enter(PHASE_STEP);
	spend(20000);
	enum phase before = phase_enter(PHASE_SEAL);
	CU_ASSERT_EQUAL(before, PHASE_STEP);
	spend(5000);
	phase_enter(before);
	spend(20000);
	phases_end(PHASE_CLIENTS, true);
	uint64_t all = phases_cycles() - from;
	const uint64_t *total = p.total[PHASE_CLIENTS];
	CU_ASSERT(total[PHASE_RECEIVE] >= 1000);
	CU_ASSERT(total[PHASE_STEP] >= 40000);
	CU_ASSERT(total[PHASE_SEAL] >= 5000);
	CU_ASSERT_EQUAL(total[PHASE_EXECUTE], 0);
	CU_ASSERT(sum(total) <= all);
	CU_ASSERT_EQUAL(sum(p.total[PHASE_REPLICAS]), 0);
	CU_ASSERT_EQUAL(p.idle, 0);
	phases_follow(NULL);
}

static void
without_work_all_is_idle(void)
{
	struct phases p = {0};
	phases_follow(&p);
	phases_begin();
	phase_enter(PHASE_STEP);
	spend(10000);
	phases_end(PHASE_REPLICAS, false);
	CU_ASSERT(p.idle >= 10000);
	CU_ASSERT_EQUAL(sum(p.total[PHASE_REPLICAS]), 0);
	/* What was idle is not counted to the burst that follows. */
	uint64_t idle = p.idle;
	phases_begin();
	phases_end(PHASE_REPLICAS, true);
	CU_ASSERT_EQUAL(p.idle, idle);
	CU_ASSERT_EQUAL(p.total[PHASE_REPLICAS][PHASE_STEP], 0);
	phases_follow(NULL);
}

static void
nobody_counts(void)
{
	CU_ASSERT_PTR_NULL(phases_here);
	phases_begin();
	CU_ASSERT_EQUAL(phase_enter(PHASE_STEP), PHASE_STEP);
	phases_end(PHASE_REPLICAS, true);
}

static void
every_phase_has_a_name(void)
{
	for (uint32_t i = 0; i < PHASES_COUNT; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(phase_name(i));
		for (uint32_t j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(phase_name(i), phase_name(j));
	}
	CU_ASSERT_PTR_NULL(phase_name(PHASES_COUNT));
}

static const struct unit_story stories[] = {
    {"a burst is divided", a_burst_is_divided},
    {"without work all is idle", without_work_all_is_idle},
    {"nobody counts", nobody_counts},
    {"every phase has a name", every_phase_has_a_name},
};

UNIT_MAIN("phases", stories)
