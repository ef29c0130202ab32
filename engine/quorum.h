/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quorum arithmetic, in one place. n replicas of which f may be faulty. Pure;
 * any core.
 */
#ifndef OSKR_ENGINE_QUORUM_H
#define OSKR_ENGINE_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

/* So many that two such sets share a correct replica: 2f + 1 when n = 3f + 1. */
static inline uint32_t
quorum_size(uint32_t replicas_count, uint32_t faults)
{
	return (replicas_count + faults) / 2 + 1;
}

/* So many that one of them is correct. */
static inline uint32_t
quorum_weak(uint32_t faults)
{
	return faults + 1;
}

/* Votes are sets of replicas, never a counter: the same one twice is one. */
static inline uint32_t
quorum_count(uint64_t set)
{
	return (uint32_t)__builtin_popcountll(set);
}

static inline uint64_t
quorum_everybody(uint32_t replicas_count)
{
	return UINT64_MAX >> (64 - replicas_count);
}

#endif
