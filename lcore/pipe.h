/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipe: pointers from one lcore to another, in order, over a DPDK ring with
 * one producer and one consumer. The only way by which lcores hand objects to
 * each other. A full pipe takes less than it was given: the giver still owns
 * the rest and says what becomes of it.
 */
#ifndef OSKR_LCORE_PIPE_H
#define OSKR_LCORE_PIPE_H

#include <rte_ring.h>
#include <stdint.h>

struct pipe {
	struct rte_ring *ring;
};

/* `size` is a power of two; one place stays empty. Sets rte_errno and returns false on error. */
static inline bool
pipe_open(struct pipe *p, const char *name, uint32_t size)
{
	p->ring = rte_ring_create(name, size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return p->ring != NULL;
}

/* What is still inside is the caller's to take out before. */
static inline void
pipe_close(struct pipe *p)
{
	rte_ring_free(p->ring);
	p->ring = NULL;
}

/* Bytes that pipe_open() takes, for the memory plan. */
static inline uint64_t
pipe_memory(uint32_t size)
{
	return (uint64_t)rte_ring_get_memsize(size);
}

/* Gives up to `count` objects; returns how many went in. The producer's lcore. */
static inline uint32_t
pipe_push(struct pipe *p, void *const *objects, uint32_t count)
{
	return rte_ring_sp_enqueue_burst(p->ring, objects, count, NULL);
}

/* Takes up to `count` objects; returns how many came out. The consumer's lcore. */
static inline uint32_t
pipe_pull(struct pipe *p, void **objects, uint32_t count)
{
	return rte_ring_sc_dequeue_burst(p->ring, objects, count, NULL);
}

#endif
