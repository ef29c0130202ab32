/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of 64 bytes to 4 KiB. See kv_heap.h. The executor's core. */
#include "engine/kv_heap.h"

#include "engine/check.h"

/* Free units, pairs, fours, ...: bit i of free[k] is a free block of order k at unit i. */
struct free_blocks {
	uint64_t at[KV_ORDERS];
};

static struct free_blocks
free_blocks(uint64_t used)
{
	static const uint64_t aligned[KV_ORDERS] = {
	    UINT64_MAX,
	    0x5555555555555555,
	    0x1111111111111111,
	    0x0101010101010101,
	    0x0001000100010001,
	    0x0000000100000001,
	    1,
	};
	struct free_blocks blocks;
	blocks.at[0] = ~used;
	for (uint32_t order = 1; order < KV_ORDERS; order++) {
		uint64_t half = blocks.at[order - 1];
		blocks.at[order] = half & (half >> (1u << (order - 1))) & aligned[order];
	}
	return blocks;
}

/* The largest free order, or -1 for a full span. */
static int
largest_free(uint64_t used)
{
	struct free_blocks blocks = free_blocks(used);
	int order = KV_ORDER_MAX;
	while (order >= 0 && blocks.at[order] == 0)
		order--;
	return order;
}

static uint64_t
units_mask(uint32_t order)
{
	return order == KV_ORDER_MAX ? UINT64_MAX : (1ull << (1u << order)) - 1;
}

static void
list_insert(struct kv_heap *heap, uint32_t index, int list)
{
	struct kv_span *span = &heap->spans[index];
	uint32_t first = heap->header->lists[list];
	span->next = first;
	span->previous = 0;
	if (first != 0) {
		state_modify(heap->state, &heap->spans[first - 1], sizeof(struct kv_span));
		heap->spans[first - 1].previous = index + 1;
	}
	heap->header->lists[list] = index + 1;
}

static void
list_remove(struct kv_heap *heap, uint32_t index, int list)
{
	struct kv_span *span = &heap->spans[index];
	if (span->next != 0) {
		state_modify(heap->state, &heap->spans[span->next - 1], sizeof(struct kv_span));
		heap->spans[span->next - 1].previous = span->previous;
	}
	if (span->previous != 0) {
		state_modify(heap->state, &heap->spans[span->previous - 1], sizeof(struct kv_span));
		heap->spans[span->previous - 1].next = span->next;
	} else {
		check(heap->header->lists[list] == index + 1);
		heap->header->lists[list] = span->next;
	}
	span->next = 0;
	span->previous = 0;
}

/* Sets a listed span's mask; the span moves when its largest free order changes. */
static void
span_set(struct kv_heap *heap, uint32_t index, uint64_t used)
{
	struct kv_span *span = &heap->spans[index];
	int list = largest_free(span->used);
	int list_new = largest_free(used);
	state_modify(heap->state, heap->header, sizeof(*heap->header));
	state_modify(heap->state, span, sizeof(*span));
	heap->header->units_used +=
	    (uint64_t)__builtin_popcountll(used) - (uint64_t)__builtin_popcountll(span->used);
	span->used = used;
	if (list == list_new)
		return;
	if (list >= 0)
		list_remove(heap, index, list);
	if (list_new >= 0)
		list_insert(heap, index, list_new);
}

/* Puts the next untouched span into the list of empty ones. False: there is none. */
static bool
span_touch(struct kv_heap *heap)
{
	uint32_t index = heap->header->spans_touched;
	if (index == heap->spans_count)
		return false;
	state_modify(heap->state, heap->header, sizeof(*heap->header));
	state_modify(heap->state, &heap->spans[index], sizeof(struct kv_span));
	heap->header->spans_touched = index + 1;
	list_insert(heap, index, KV_ORDER_MAX);
	return true;
}

uint32_t
kv_heap_alloc(struct kv_heap *heap, uint32_t order)
{
	check(order <= KV_ORDER_MAX);
	uint32_t list = order;
	while (list <= KV_ORDER_MAX && heap->header->lists[list] == 0)
		list++;
	if (list > KV_ORDER_MAX) {
		if (!span_touch(heap))
			return 0;
		list = KV_ORDER_MAX;
	}
	uint32_t index = heap->header->lists[list] - 1;
	uint64_t used = heap->spans[index].used;
	struct free_blocks blocks = free_blocks(used);
	uint64_t candidates = blocks.at[order];
	check(candidates != 0);
	/* Rather a block whose buddy is used: larger free blocks stay whole. */
	if (order < KV_ORDER_MAX) {
		uint64_t whole = blocks.at[order + 1];
		uint64_t broken = candidates & ~(whole | whole << (1u << order));
		candidates = broken != 0 ? broken : candidates;
	}
	uint32_t unit = (uint32_t)__builtin_ctzll(candidates);
	span_set(heap, index, used | units_mask(order) << unit);
	return index * KV_SPAN_UNITS + unit + 1;
}

void
kv_heap_free(struct kv_heap *heap, uint32_t ref, uint32_t order)
{
	uint32_t index = (ref - 1) / KV_SPAN_UNITS;
	uint64_t mask = units_mask(order) << ((ref - 1) % KV_SPAN_UNITS);
	check(ref != 0 && index < heap->header->spans_touched);
	check((heap->spans[index].used & mask) == mask);
	span_set(heap, index, heap->spans[index].used & ~mask);
}

void
kv_heap_shrink(struct kv_heap *heap, uint32_t ref, uint32_t order, uint32_t order_new)
{
	check(order_new < order);
	uint32_t index = (ref - 1) / KV_SPAN_UNITS;
	uint64_t mask = (units_mask(order) & ~units_mask(order_new)) << ((ref - 1) % KV_SPAN_UNITS);
	check((heap->spans[index].used & mask) == mask);
	span_set(heap, index, heap->spans[index].used & ~mask);
}
