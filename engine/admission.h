/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica's machine knows of each client slot before execution: the
 * newest request that it has let in, and the newest that has been executed.
 * Keeps a duplicate that is still queued from being ordered twice. A slot has
 * one operation outstanding and its timestamps grow; the executor's session
 * table, which is replicated state, has the last word. Owned by one machine.
 */
#ifndef OSKR_ENGINE_ADMISSION_H
#define OSKR_ENGINE_ADMISSION_H

#include <stdint.h>

struct admission {
	uint64_t admitted; /* timestamp */
	uint64_t executed; /* timestamp */
};

enum admission_verdict {
	ADMISSION_NEW,	    /* order it; now counted as admitted */
	ADMISSION_PENDING,  /* a duplicate of what is on its way, or older: drop it */
	ADMISSION_EXECUTED, /* its reply is cached: recall it */
};

static inline enum admission_verdict
admission_admit(struct admission *a, uint64_t timestamp)
{
	if (timestamp > a->admitted) {
		a->admitted = timestamp;
		return ADMISSION_NEW;
	}
	return timestamp == a->executed && timestamp != 0 ? ADMISSION_EXECUTED : ADMISSION_PENDING;
}

/* The request was admitted but could not be queued: let a retransmission in. */
static inline void
admission_withdraw(struct admission *a, uint64_t timestamp)
{
	if (a->admitted == timestamp)
		a->admitted = timestamp - 1;
}

static inline void
admission_executed(struct admission *a, uint64_t timestamp)
{
	if (timestamp > a->executed)
		a->executed = timestamp;
	if (timestamp > a->admitted)
		a->admitted = timestamp;
}

#endif
