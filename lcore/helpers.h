/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lcores that help others with signatures. Whoever has several to make or to
 * verify in a burst (a caller: the lcore of some nodes) invites helpers by a
 * pipe to each, takes part itself, and goes on when all are done: protocols
 * never see that others were there. An invitation names the caller, not a job:
 * jobs are taken one by one, so nobody waits for a helper that comes late.
 * Callers may be the helpers: each for the others, while it has nothing else to do.
 *
 * Opened and closed on the main lcore; a caller's end is used on its lcore
 * alone, a helper's poll on its own.
 */
#ifndef OSKR_LCORE_HELPERS_H
#define OSKR_LCORE_HELPERS_H

#include "crypto/crypto.h"

struct helpers;

struct helpers_config {
	uint32_t callers_count;
	uint32_t helpers_count; /* at least 1 */
	bool mutual;		/* helper i is caller i; as many of both */
	bool yields;		/* lcores share CPUs: who waits lets another have it */
};

/* NULL: EAL has no memory for the pipes. */
struct helpers *helpers_open(const struct helpers_config *config);
void helpers_close(struct helpers *h);

/* Bytes of the pipes, for the memory plan. */
uint64_t helpers_memory(const struct helpers_config *config);

/* The team of caller number i: for crypto_config; valid until helpers_close(). */
const struct crypto_team *helpers_team(struct helpers *h, uint32_t caller);

/* Helper number i, for loop_add(): with helpers_poll(). */
void *helpers_end(struct helpers *h, uint32_t helper);

/* Does what it is invited to; returns the jobs done. `self` is a helpers_end(). */
uint32_t helpers_poll(void *self, uint64_t now_ns);

/* Jobs that helpers have done, for display. */
uint64_t helpers_jobs(const struct helpers *h);

#endif
