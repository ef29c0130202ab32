/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness check: state machine replication says in which order it executed
 * the operations (`seq`), so nothing has to be searched. Linear in the length
 * of the history, any number of keys, scans too:
 * - replayed in that order, every answer is the one that was given;
 * - an operation answered before another was asked stands before it;
 * - no position and no request of a client occurs twice.
 * A pass proves that the history is linearizable; a refusal proves that the
 * service answered against its own order, even where another order would do.
 *
 * Reads that were answered beside the order have no position. They are judged too:
 * the sweep finds a place between the others for all of them, which proves the
 * history linearizable, or there is none in this order. Then they are `unplaced` and
 * nothing is known, for another order of the others, where they were concurrent,
 * might do.
 *
 * Pending operations: with a position they took effect there, without they may
 * have taken effect anywhere or not at all. An answer that differs on a key
 * with such an operation proves nothing: it is counted as `unjudged`, and the
 * verdict is then no pass. The search of linear.h can judge those.
 */
#ifndef OSKR_TESTS_SIM_WITNESS_H
#define OSKR_TESTS_SIM_WITNESS_H

#include <stdint.h>
#include <stdio.h>

#include "engine/history.h"

enum witness_verdict {
	WITNESS_PASS,
	WITNESS_VIOLATION,
	WITNESS_GAVE_UP, /* something could not be judged. No pass. */
};

enum witness_fault {
	WITNESS_FAULT_NONE,
	WITNESS_FAULT_RESULT,	    /* `first` was told what the replay denies */
	WITNESS_FAULT_TIME,	    /* `first` was answered before `second` was
				       asked, but executed after it */
	WITNESS_FAULT_SEQ_TWICE,    /* both have the same position */
	WITNESS_FAULT_CLIENT_TWICE, /* both are one request of one client */
};

struct witness_report {
	enum witness_verdict verdict;
	enum witness_fault fault;
	uint32_t first;		       /* operations of the fault, as indexes in the history */
	uint32_t second;	       /* equal to first for a wrong result */
	struct history_value expected; /* wrong result: value of the key, or rows */
	uint64_t replayed;	       /* operations with a position */
	uint64_t placed;	       /* reads without a position that found one */
	uint64_t unplaced;	       /* answered operations that have, or found, none */
	uint64_t unjudged;	       /* answers that nothing is known about */
};

/*
 * Judges a history; stops at the first fault. Returns 0 with the report filled,
 * or -ENOMEM (then the report says WITNESS_GAVE_UP).
 */
int witness_check(const struct history *h, struct witness_report *report);

/* Prints the fault of a violation, for a human. */
void witness_print(FILE *out, const struct history *h, const struct witness_report *report);

#endif
