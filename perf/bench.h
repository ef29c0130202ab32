/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What perf/bench's benches share. A bench is a function and a line in the
 * table in bench.c. It runs on the main lcore, may start others, and prints one
 * JSON object a result. All counts of time are medians over the repeats.
 */
#ifndef OSKR_PERF_BENCH_H
#define OSKR_PERF_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "lcore/clock.h"
#include "lcore/launch.h"

enum {
	BENCH_REPEATS_MAX = 99,
	BENCH_WINDOW_MAX = 1024, /* messages under way */
};

struct bench_settings {
	struct clock clock;
	struct launch_lcores lcores;
	uint32_t window;  /* 0: each of the bench's own list */
	uint32_t repeats; /* odd, so that the median is one of them */
	double seconds;	  /* measured for each result, over all repeats */
	bool beside;	  /* sign, verify: the other lcores do the same meanwhile */
};

/* Time of one repeat, in ns. */
uint64_t bench_repeat_ns(const struct bench_settings *s);

/* Sorts values; count is odd. */
double bench_median(double *values, uint32_t count);

/* Median time of an operation in ns, by rounds of many: round() returns how many it did. */
double bench_ns_per_op(const struct bench_settings *s, uint32_t (*round)(void *self), void *self);

/* One JSON object on stdout (and in the file of --json): begin, entries, end. */
void bench_begin(const char *name);
void bench_text(const char *name, const char *value); /* printable, without quotes */
void bench_integer(const char *name, uint64_t value);
void bench_decimal(const char *name, double value); /* to 0.01 */
void bench_end(void);
/* The two entries ns_per_op and ops_per_s. */
void bench_rate(double ns_per_op);

/* The benches. 0, or -1 after a line on stderr. */
int bench_machine(const struct bench_settings *s);
int bench_ring_echo(const struct bench_settings *s);
int bench_sign(const struct bench_settings *s);
int bench_verify(const struct bench_settings *s);
int bench_crypto(const struct bench_settings *s);

#endif
