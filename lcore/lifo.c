/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lifo.h. Two stacks of chunks: those that hold buffers, and empty ones. Who has
 * popped a chunk has it alone, and pushes it when it is as it should be. A stack's top
 * and a number that changes with each change of it are one word, so that a chunk which
 * was popped and pushed meanwhile is not taken for one that never left. Any lcore.
 */
#include "lcore/lifo.h"

#include <errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <stdatomic.h>
#include <string.h>

#include "engine/check.h"

enum {
	CHUNK_BUFFERS = 126,
	CHUNKS_SPARE = 2 * RTE_MAX_LCORE, /* in somebody's hands: a few each */
};

struct chunk {
	_Atomic uint32_t next; /* 1 + the index of the one below; 0: none */
	uint32_t count;
	void *buffers[CHUNK_BUFFERS];
} __rte_cache_aligned;
static_assert(sizeof(struct chunk) == 1024, "a quarter of a page");

struct stack {
	_Atomic uint64_t top; /* 1 + index, 0: none; above it, how often it has changed */
} __rte_cache_aligned;

struct lifo {
	struct stack full; /* chunks with at least one buffer */
	struct stack empty;
	_Atomic uint32_t buffers; /* on `full`, for figures */
	struct chunk chunks[];
};

/* Half of all chunks suffice for all buffers: see chunk_for(). */
static uint32_t
chunks_count(uint32_t buffers)
{
	return 2 * (buffers / CHUNK_BUFFERS + 1) + CHUNKS_SPARE;
}

uint64_t
lifo_memory(uint32_t count)
{
	return sizeof(struct lifo) + (uint64_t)chunks_count(count) * sizeof(struct chunk);
}

static uint64_t
top_next(uint64_t top, uint32_t chunk)
{
	return ((top >> 32) + 1) << 32 | chunk;
}

static void
push(struct lifo *l, struct stack *s, struct chunk *c)
{
	uint32_t number = 1 + (uint32_t)(c - l->chunks);
	uint64_t top = atomic_load_explicit(&s->top, memory_order_relaxed);
	do {
		atomic_store_explicit(&c->next, (uint32_t)top, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
	    &s->top, &top, top_next(top, number), memory_order_release, memory_order_relaxed));
}

static struct chunk *
pop(struct lifo *l, struct stack *s)
{
	struct chunk *c;
	uint32_t below;
	uint64_t top = atomic_load_explicit(&s->top, memory_order_acquire);
	do {
		if ((uint32_t)top == 0)
			return NULL;
		c = &l->chunks[(uint32_t)top - 1];
		/* Who has popped it meanwhile may be writing here: then the exchange fails. */
		below = atomic_load_explicit(&c->next, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
	    &s->top, &top, top_next(top, below), memory_order_acquire, memory_order_acquire));
	return c;
}

/*
 * One with room. The top one first, so that others are full but for those that several
 * lcores were filling at once. Should there be no empty one for all that, some on the
 * stack have room, for twice as many as all buffers need are not in anybody's hands.
 */
static struct chunk *
chunk_for(struct lifo *l)
{
	struct chunk *c = pop(l, &l->full);
	if (c != NULL && c->count < CHUNK_BUFFERS)
		return c;
	if (c != NULL)
		push(l, &l->full, c);
	c = pop(l, &l->empty);
	if (__builtin_expect(c != NULL, 1)) {
		c->count = 0;
		return c;
	}
	struct chunk *passed = NULL;
	while ((c = pop(l, &l->full)) != NULL && c->count == CHUNK_BUFFERS) {
		atomic_store_explicit(&c->next,
		    passed == NULL ? 0 : 1 + (uint32_t)(passed - l->chunks), memory_order_relaxed);
		passed = c;
	}
	while (passed != NULL) {
		uint32_t below = atomic_load_explicit(&passed->next, memory_order_relaxed);
		push(l, &l->full, passed);
		passed = below == 0 ? NULL : &l->chunks[below - 1];
	}
	return c;
}

static int
lifo_alloc(struct rte_mempool *pool)
{
	uint32_t count = chunks_count(pool->size);
	struct lifo *l = rte_zmalloc_socket(
	    pool->name, (size_t)lifo_memory(pool->size), RTE_CACHE_LINE_SIZE, pool->socket_id);
	if (l == NULL)
		return -ENOMEM;
	for (uint32_t i = count; i > 0; i--)
		push(l, &l->empty, &l->chunks[i - 1]);
	pool->pool_data = l;
	return 0;
}

static void
lifo_free(struct rte_mempool *pool)
{
	rte_free(pool->pool_data);
}

static int
lifo_put(struct rte_mempool *pool, void *const *list, unsigned int count)
{
	struct lifo *l = pool->pool_data;
	atomic_fetch_add_explicit(&l->buffers, count, memory_order_relaxed);
	while (count > 0) {
		struct chunk *c;
		/* NULL: all are in others' hands, for a moment. */
		while ((c = chunk_for(l)) == NULL)
			continue;
		uint32_t room = CHUNK_BUFFERS - c->count;
		uint32_t now = count < room ? count : room;
		memcpy(c->buffers + c->count, list, now * sizeof(*list));
		c->count += now;
		push(l, &l->full, c);
		list += now;
		count -= now;
	}
	return 0;
}

/* All that is asked for, or nothing. */
static int
lifo_get(struct rte_mempool *pool, void **list, unsigned int count)
{
	struct lifo *l = pool->pool_data;
	uint32_t got = 0;
	while (got < count) {
		struct chunk *c = pop(l, &l->full);
		if (c == NULL)
			break;
		uint32_t left = count - got;
		uint32_t now = c->count < left ? c->count : left;
		c->count -= now;
		memcpy(list + got, c->buffers + c->count, now * sizeof(*list));
		got += now;
		push(l, c->count > 0 ? &l->full : &l->empty, c);
	}
	atomic_fetch_sub_explicit(&l->buffers, got, memory_order_relaxed);
	if (got == count)
		return 0;
	if (got > 0)
		lifo_put(pool, list, got);
	return -ENOBUFS;
}

static unsigned int
lifo_count(const struct rte_mempool *pool)
{
	const struct lifo *l = pool->pool_data;
	return atomic_load_explicit(&l->buffers, memory_order_relaxed);
}

static const struct rte_mempool_ops ops = {
    .name = LIFO_NAME,
    .alloc = lifo_alloc,
    .free = lifo_free,
    .enqueue = lifo_put,
    .dequeue = lifo_get,
    .get_count = lifo_count,
};

RTE_MEMPOOL_REGISTER_OPS(ops)
