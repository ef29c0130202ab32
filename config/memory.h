/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum of all memory, as a list of terms each with its reason: added up
 * before anything is taken, so that a machine too small is told so at once.
 * Owned by main; used at start, on the main lcore.
 */
#ifndef OSKR_CONFIG_MEMORY_H
#define OSKR_CONFIG_MEMORY_H

#include "config/limits.h"

#include <stdint.h>
#include <stdio.h>

struct memory_term {
	const char *name;   /* what it is; outlives the plan */
	const char *reason; /* why so many, or why so large; outlives the plan */
	uint64_t count;
	uint64_t size_each; /* bytes */
};

struct memory_plan {
	struct memory_term terms[LIMIT_MEMORY_TERMS];
	uint32_t terms_count;
};

/* Appends a term. There is room for LIMIT_MEMORY_TERMS of them. */
void memory_plan_add(struct memory_plan *plan, struct memory_term term);

/* Bytes of all terms; UINT64_MAX when the true sum does not fit 64 bits. */
uint64_t memory_plan_total(const struct memory_plan *plan);

/* Writes a table, a line for each term and one for the total. */
void memory_plan_print(const struct memory_plan *plan, FILE *file);

#endif
