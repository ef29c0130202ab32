/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator of the key-value application, inside the replicated state.
 * Memory is cut into spans of 4 KiB, a span into 64 units of 64 bytes. A block
 * is 2^order units, aligned to its size, inside one span; a span's 64-bit mask
 * of used units is all there is to know of it, so buddies merge by themselves.
 * Spans hang in lists by the largest block that is free in them: the smallest
 * that will do is taken first, and no block is larger than a span, so freed
 * memory comes back whatever sizes come and go. Bounded time, deterministic,
 * and spans never used are never touched. Owned by one executor.
 */
#ifndef OSKR_ENGINE_KV_HEAP_H
#define OSKR_ENGINE_KV_HEAP_H

#include <assert.h>
#include <stdint.h>

#include "engine/state.h"

enum {
	KV_UNIT_SIZE = 64,
	KV_SPAN_UNITS = 64,
	KV_SPAN_SIZE = KV_UNIT_SIZE * KV_SPAN_UNITS,
	KV_ORDER_MAX = 6, /* a block of 4096 bytes */
	KV_ORDERS = KV_ORDER_MAX + 1,
};

/* In the region. */
struct kv_span {
	uint64_t used;	   /* bit: the unit is part of a block */
	uint32_t next;	   /* in its list: index + 1, or 0 */
	uint32_t previous; /* likewise */
};
static_assert(sizeof(struct kv_span) == 16, "64 spans a page");

/* In the region. */
struct kv_heap_header {
	uint32_t spans_touched;	   /* spans from here on were never used */
	uint32_t lists[KV_ORDERS]; /* by largest free order: index + 1 of the first span, or 0 */
	uint64_t units_used;
};

struct kv_heap {
	struct state *state;
	struct kv_heap_header *header;
	struct kv_span *spans;
	uint8_t *units;
	uint32_t spans_count;
};

/* The smallest order whose block holds `size` bytes, at most KV_SPAN_SIZE. */
static inline uint32_t
kv_order(uint32_t size)
{
	uint32_t units = (size + KV_UNIT_SIZE - 1) / KV_UNIT_SIZE;
	return units <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(units - 1);
}

/* The block's bytes. A reference is a unit's index + 1; 0 is none. */
static inline void *
kv_heap_at(const struct kv_heap *heap, uint32_t ref)
{
	return heap->units + (uint64_t)(ref - 1) * KV_UNIT_SIZE;
}

/* A block, of arbitrary content, or 0: no space. */
uint32_t kv_heap_alloc(struct kv_heap *heap, uint32_t order);

/* Frees a block that was allocated with this order. */
void kv_heap_free(struct kv_heap *heap, uint32_t ref, uint32_t order);

/* Keeps the first 2^order_new units of a block in place. */
void kv_heap_shrink(struct kv_heap *heap, uint32_t ref, uint32_t order, uint32_t order_new);

#endif
