/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the engine asks for SHA-256 without knowing who computes it: the real
 * library on an lcore, or a toy in the simulator. Bursts in, bursts out, so
 * that multi-buffer lanes fill. Any core; a digester belongs to one core.
 */
#ifndef OSKR_ENGINE_DIGEST_H
#define OSKR_ENGINE_DIGEST_H

#include <stdint.h>

enum { DIGEST_SIZE = 32 };

struct digest_job {
	const void *data;
	uint32_t size;	   /* bytes at data */
	uint8_t *digest32; /* written */
};

struct digester {
	void (*burst)(void *context, const struct digest_job *jobs, uint32_t count);
	void *context;
};

static inline void
digest_burst(const struct digester *digester, const struct digest_job *jobs, uint32_t count)
{
	digester->burst(digester->context, jobs, count);
}

#endif
