/* SPDX-License-Identifier: Apache-2.0 */
/* engine/admission.h: what is let in, what is dropped, what is recalled. */
#include "engine/admission.h"

#include "tests/toy_digest.h"
#include "tests/unit.h"

static void
new_once(void)
{
	struct admission a = {0};
	CU_ASSERT_EQUAL(admission_admit(&a, 1), ADMISSION_NEW);
	CU_ASSERT_EQUAL(admission_admit(&a, 1), ADMISSION_PENDING);
	CU_ASSERT_EQUAL(admission_admit(&a, 7), ADMISSION_NEW);
	CU_ASSERT_EQUAL(admission_admit(&a, 7), ADMISSION_PENDING);
	CU_ASSERT_EQUAL(admission_admit(&a, 1), ADMISSION_PENDING);
	CU_ASSERT_EQUAL(admission_admit(&a, 6), ADMISSION_PENDING);
}

static void
zero_is_never_new(void)
{
	struct admission a = {0};
	CU_ASSERT_EQUAL(admission_admit(&a, 0), ADMISSION_PENDING);
	admission_executed(&a, 3);
	CU_ASSERT_EQUAL(admission_admit(&a, 0), ADMISSION_PENDING);
}

static void
the_last_executed_is_recalled(void)
{
	struct admission a = {0};
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_NEW);
	admission_executed(&a, 5);
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_EXECUTED);
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_EXECUTED);
	CU_ASSERT_EQUAL(admission_admit(&a, 4), ADMISSION_PENDING);
	CU_ASSERT_EQUAL(admission_admit(&a, 6), ADMISSION_NEW);
	CU_ASSERT_EQUAL(admission_admit(&a, 6), ADMISSION_PENDING);
	/* Still cached: the newer one has not been executed. */
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_EXECUTED);
	admission_executed(&a, 6);
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_PENDING);
	/* Word of an older execution comes late: it takes nothing back. */
	admission_executed(&a, 5);
	CU_ASSERT_EQUAL(admission_admit(&a, 6), ADMISSION_EXECUTED);
}

static void
executed_elsewhere_counts_as_admitted(void)
{
	struct admission a = {0};
	admission_executed(&a, 9);
	CU_ASSERT_EQUAL(admission_admit(&a, 8), ADMISSION_PENDING);
	CU_ASSERT_EQUAL(admission_admit(&a, 9), ADMISSION_EXECUTED);
	CU_ASSERT_EQUAL(admission_admit(&a, 10), ADMISSION_NEW);
}

static void
withdrawn_is_let_in_again(void)
{
	struct admission a = {0};
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_NEW);
	admission_withdraw(&a, 5);
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_NEW);
	CU_ASSERT_EQUAL(admission_admit(&a, 5), ADMISSION_PENDING);
	/* Withdrawing what is no longer the newest changes nothing. */
	CU_ASSERT_EQUAL(admission_admit(&a, 8), ADMISSION_NEW);
	admission_withdraw(&a, 5);
	CU_ASSERT_EQUAL(admission_admit(&a, 8), ADMISSION_PENDING);
}

static void
the_last_timestamp(void)
{
	struct admission a = {0};
	CU_ASSERT_EQUAL(admission_admit(&a, UINT64_MAX), ADMISSION_NEW);
	CU_ASSERT_EQUAL(admission_admit(&a, UINT64_MAX), ADMISSION_PENDING);
	admission_withdraw(&a, UINT64_MAX);
	CU_ASSERT_EQUAL(admission_admit(&a, UINT64_MAX), ADMISSION_NEW);
	admission_executed(&a, UINT64_MAX);
	CU_ASSERT_EQUAL(admission_admit(&a, UINT64_MAX), ADMISSION_EXECUTED);
	CU_ASSERT_EQUAL(admission_admit(&a, 1), ADMISSION_PENDING);
}

/* Whatever comes in whatever order: none is ordered twice, and the order only grows. */
static void
never_twice(void)
{
	uint64_t seed = 3;
	for (uint32_t round = 0; round < 500; round++) {
		struct admission a = {0};
		uint64_t ordered = 0;
		uint64_t executed = 0;
		for (uint32_t i = 0; i < 200; i++) {
			uint64_t timestamp = 1 + toy_below(&seed, 20);
			enum admission_verdict verdict = admission_admit(&a, timestamp);
			CU_ASSERT_EQUAL(
			    verdict == ADMISSION_NEW, timestamp > ordered && timestamp > executed);
			CU_ASSERT_EQUAL(verdict == ADMISSION_EXECUTED, timestamp == executed);
			if (verdict == ADMISSION_NEW && toy_below(&seed, 3) == 0) {
				admission_withdraw(&a, timestamp);
				ordered = timestamp - 1;
			} else if (verdict == ADMISSION_NEW)
				ordered = timestamp;
			if (toy_below(&seed, 4) == 0) {
				executed = ordered > executed ? ordered : executed;
				admission_executed(&a, executed);
			}
			CU_ASSERT(a.executed <= a.admitted);
		}
	}
}

static const struct unit_story stories[] = {
    {"new once", new_once},
    {"zero is never new", zero_is_never_new},
    {"the last executed is recalled", the_last_executed_is_recalled},
    {"executed elsewhere counts as admitted", executed_elsewhere_counts_as_admitted},
    {"withdrawn is let in again", withdrawn_is_let_in_again},
    {"the last timestamp", the_last_timestamp},
    {"never twice", never_twice},
};

UNIT_MAIN("admission", stories)
