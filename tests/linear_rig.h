/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the suites of histories share: oskr-linear itself, included with its main
 * renamed, so that its exit status is tested without a second process; draws from
 * its generator; the witness's report. One core.
 */
#ifndef OSKR_TESTS_LINEAR_RIG_H
#define OSKR_TESTS_LINEAR_RIG_H

#include <stdint.h>

#define main oskr_linear_main
#include "sim/linear_main.c"
#undef main

#include "unit.h"

static uint64_t random_state;

static inline uint64_t
draw(uint64_t bound)
{
	struct generator g = {.random = random_state};
	uint64_t number = random_below(&g, bound);
	random_state = g.random;
	return number;
}

static inline struct witness_report
witness_report_of(const struct history *h)
{
	struct witness_report report;
	CU_ASSERT_EQUAL_FATAL(witness_check(h, &report), 0);
	return report;
}

#endif
