/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool of packet buffers keeps its free ones in: the last ones that came back
 * are the first that go out, still in a cache. DPDK's ring gives out those that have
 * been away longest: where frames flow one way (replicas answer more than they are
 * asked), every buffer of the pool passes all cores in turn, and is nowhere near when
 * its turn comes. A ring also makes all wait for one that the kernel has stopped
 * between two of its steps (DPDK, rte_ring, known issues), which where lcores share
 * CPUs is often; here nobody does, unless all chunks are in somebody's hands at once.
 *
 * A mempool driver (rte_mempool_ops) by the name of LIFO_NAME, for any number of
 * lcores. Buffers travel in chunks, on stacks without locks (Treiber, "Systems
 * Programming: Coping with Parallelism", IBM RJ 5118, 1986).
 */
#ifndef OSKR_LCORE_LIFO_H
#define OSKR_LCORE_LIFO_H

#include <stdint.h>

#define LIFO_NAME "oskr_lifo"

/* Bytes that it takes for a pool of `count` buffers, beside theirs. */
uint64_t lifo_memory(uint32_t count);

#endif
