/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A digest for tests that are not about cryptography: quick, of good spread, of
 * no strength at all; and the seeded randomness of those tests. Any core.
 */
#ifndef OSKR_TESTS_TOY_DIGEST_H
#define OSKR_TESTS_TOY_DIGEST_H

#include <string.h>

#include "engine/digest.h"

static inline void
toy_digest(const void *data, uint32_t size, uint8_t *digest32)
{
	uint64_t lanes[4] = {size, ~(uint64_t)size, 0x9e3779b97f4a7c15u, 0xc4ceb9fe1a85ec53u};
	const uint8_t *bytes = data;
	for (uint32_t at = 0; at < size; at += 8) {
		uint64_t word = 0;
		uint64_t *lane = &lanes[at / 8 % 4];
		memcpy(&word, bytes + at, size - at < 8 ? size - at : 8);
		*lane = (*lane ^ word) * 0xff51afd7ed558ccdu;
		*lane ^= *lane >> 29;
	}
	for (uint32_t i = 0; i < 16; i++) {
		uint64_t *lane = &lanes[i % 4];
		*lane = (*lane ^ lanes[(i + 1) % 4]) * 0xd6e8feb86659fd93u;
		*lane ^= *lane >> 32;
	}
	memcpy(digest32, lanes, DIGEST_SIZE);
}

/* A digester's burst; `context` is unused. */
static inline void
toy_digest_burst(void *context, const struct digest_job *jobs, uint32_t count)
{
	(void)context;
	for (uint32_t i = 0; i < count; i++)
		toy_digest(jobs[i].data, jobs[i].size, jobs[i].digest32);
}

/* splitmix64: the next number of the sequence that *seed stands for. */
static inline uint64_t
toy_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A number below `bound`. */
static inline uint32_t
toy_below(uint64_t *seed, uint32_t bound)
{
	return (uint32_t)(toy_random(seed) % bound);
}

#endif
