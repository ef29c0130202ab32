/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linearizability of a history, judged from outside: is there an order of the
 * operations that explains every answer and keeps A before B whenever A was
 * answered before B was asked? It trusts no executed order (`seq` is ignored).
 *
 * The search is Wing and Gong's with Lowe's memory of visited configurations
 * (G. Lowe, "Testing for linearizability", Concurrency and Computation 2017),
 * for each key alone (A. Horn, D. Kroening, "Faster linearizability checking
 * via P-compositionality", FORTE 2015). Two rules of our own keep it short:
 * - an operation that proves to have changed nothing (a get, a failed cas) is
 *   taken as soon as it fits: it never hurts those that remain;
 * - a value that a remaining read needs and nothing that remains can make must
 *   not be overwritten.
 * A configuration is remembered by a 128-bit fingerprint of (set, value). Two
 * of them could agree by chance (less than 10^-20 for 10^9 configurations), and
 * then a good history might be refused; a bad one never passes by it.
 *
 * Pending operations stay open to the end: they may take effect at any moment
 * after their invocation, or never. Scans span keys and are left out: `skipped`
 * counts them. One thread; memory is about 200 bytes an operation at most, and
 * `cache_bytes_max` beyond that.
 *
 * Time: a few steps an operation while few clients meet on one key (8 at once:
 * 1 to 2 us an operation), exponential in their number: above 16, expect to give
 * up, and use the witness.
 */
#ifndef OSKR_TESTS_SIM_LINEAR_H
#define OSKR_TESTS_SIM_LINEAR_H

#include <stdint.h>
#include <stdio.h>

#include "engine/history.h"

enum {
	LINEAR_LAST_MAX = 8,   /* operations shown before the blocked one */
	LINEAR_STUCK_MAX = 32, /* operations shown that were possible next */
};

enum linear_verdict {
	LINEAR_PASS,
	LINEAR_VIOLATION,
	LINEAR_GAVE_UP, /* a limit was met first: nothing is known. No pass. */
};

struct linear_limits {
	uint64_t cache_bytes_max; /* for visited configurations of one key */
	uint64_t steps_max;	  /* operations tried for one key */
};

/* 1 GiB, and 10^10 steps: about ten minutes. */
#define LINEAR_LIMITS_DEFAULT    \
	((struct linear_limits){ \
	    .cache_bytes_max = UINT64_C(1) << 30, .steps_max = UINT64_C(10000000000)})

/*
 * The window around the end of the longest prefix that could be ordered: the
 * last operations of that order, the value they leave, and all operations that
 * were open then, none of which fits. Indexes of the history's operations.
 */
struct linear_evidence {
	uint32_t key;
	uint32_t ordered_count; /* operations in the longest order found */
	uint32_t total_count;	/* operations on the key */
	uint32_t blocked;	/* must come next, as its answer came first */
	struct history_value value;
	uint32_t last[LINEAR_LAST_MAX];
	uint32_t last_count;
	uint32_t stuck[LINEAR_STUCK_MAX];
	uint32_t stuck_count; /* more may have been open; this many are kept */
};

struct linear_report {
	enum linear_verdict verdict;
	uint64_t checked;      /* operations searched */
	uint64_t skipped;      /* scans */
	uint64_t keys_checked; /* keys with a verdict */
	uint64_t keys_gave_up;
	uint64_t steps;
	uint64_t cache_bytes_peak;
	struct linear_evidence evidence; /* valid with LINEAR_VIOLATION */
};

/*
 * Judges a history. Stops at the first key that is refused. Returns 0 with the
 * report filled, or -ENOMEM (then the report says LINEAR_GAVE_UP).
 */
int linear_check(
    const struct history *h, const struct linear_limits *limits, struct linear_report *report);

/* Prints the evidence of a violation, for a human. */
void linear_print(FILE *out, const struct history *h, const struct linear_evidence *evidence);

#endif
