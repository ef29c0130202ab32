/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values in blocks. See kv_record.h. The executor's core. */
#include "engine/kv_record.h"

#include "engine/check.h"

enum { CHUNKS_MAX = KV_VALUE_SIZE_MAX / KV_SPAN_SIZE };
static_assert(sizeof(struct kv_record) + 252 + CHUNKS_MAX * sizeof(uint32_t) <= KV_SPAN_SIZE,
    "the largest value's references fit a block");

/* What a record of certain sizes is made of. */
struct shape {
	uint32_t order;	 /* of the head block */
	uint32_t chunks; /* 0: the value is in the head block */
};

/* Offset of the chunks' references, from the record. */
static uint32_t
chunks_offset(uint32_t key_size)
{
	return ((uint32_t)sizeof(struct kv_record) + key_size + 3u) & ~3u;
}

static struct shape
shape_of(uint32_t key_size, uint32_t value_size)
{
	check(value_size <= KV_VALUE_SIZE_MAX);
	uint32_t whole = (uint32_t)sizeof(struct kv_record) + key_size + value_size;
	if (whole <= KV_SPAN_SIZE)
		return (struct shape){.order = kv_order(whole)};
	uint32_t chunks = (value_size + KV_SPAN_SIZE - 1) / KV_SPAN_SIZE;
	uint32_t size = chunks_offset(key_size) + chunks * (uint32_t)sizeof(uint32_t);
	return (struct shape){.order = kv_order(size), .chunks = chunks};
}

static uint32_t *
chunks_at(const struct kv_heap *heap, uint32_t ref, uint32_t key_size)
{
	return (uint32_t *)(void *)((uint8_t *)kv_heap_at(heap, ref) + chunks_offset(key_size));
}

static void
modify_block(struct kv_heap *heap, uint32_t ref, uint32_t order)
{
	state_modify(heap->state, kv_heap_at(heap, ref), (size_t)KV_UNIT_SIZE << order);
}

/* Allocates chunks first .. last - 1 into `chunks`: all, or none and false. */
static bool
chunks_alloc(struct kv_heap *heap, uint32_t *chunks, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i < last; i++) {
		chunks[i] = kv_heap_alloc(heap, KV_ORDER_MAX);
		if (chunks[i] != 0)
			continue;
		while (i-- > first)
			kv_heap_free(heap, chunks[i], KV_ORDER_MAX);
		return false;
	}
	return true;
}

static void
chunks_free(struct kv_heap *heap, const uint32_t *chunks, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i < last; i++)
		kv_heap_free(heap, chunks[i], KV_ORDER_MAX);
}

/* A head block with `key`, marked for writing, without value; 0: no space. */
static uint32_t
head_create(struct kv_heap *heap, const struct kv_key *key, uint32_t order)
{
	uint32_t ref = kv_heap_alloc(heap, order);
	if (ref == 0)
		return 0;
	modify_block(heap, ref, order);
	struct kv_record *record = kv_record_at(heap, ref);
	*record = (struct kv_record){.key_size = (uint8_t)key->size};
	memcpy(record->key, key->bytes, key->size);
	return ref;
}

uint32_t
kv_record_create(struct kv_heap *heap, const struct kv_key *key, uint32_t value_size)
{
	struct shape shape = shape_of(key->size, value_size);
	uint32_t ref = head_create(heap, key, shape.order);
	if (ref == 0)
		return 0;
	if (!chunks_alloc(heap, chunks_at(heap, ref, key->size), 0, shape.chunks)) {
		kv_heap_free(heap, ref, shape.order);
		return 0;
	}
	kv_record_at(heap, ref)->value_size = value_size;
	return ref;
}

void
kv_record_free(struct kv_heap *heap, uint32_t ref)
{
	const struct kv_record *record = kv_record_at(heap, ref);
	struct shape shape = shape_of(record->key_size, record->value_size);
	chunks_free(heap, chunks_at(heap, ref, record->key_size), 0, shape.chunks);
	kv_heap_free(heap, ref, shape.order);
}

/*
 * Carries the value's first `size` bytes, or its chunks, over to a new head.
 * Where one of the two has the value in the head, `size` is below a chunk's.
 */
static void
value_move(struct kv_heap *heap, uint32_t from, uint32_t to, uint32_t chunks_kept, uint32_t size)
{
	struct kv_record *source = kv_record_at(heap, from);
	struct kv_record *target = kv_record_at(heap, to);
	uint32_t key_size = source->key_size;
	uint32_t *source_chunks = chunks_at(heap, from, key_size);
	uint32_t *target_chunks = chunks_at(heap, to, key_size);
	bool source_whole = shape_of(key_size, source->value_size).chunks == 0;
	bool target_whole = shape_of(key_size, target->value_size).chunks == 0;
	if (!source_whole && !target_whole) {
		memcpy(target_chunks, source_chunks, chunks_kept * sizeof(uint32_t));
		return;
	}
	check(size <= KV_SPAN_SIZE);
	const uint8_t *bytes =
	    source_whole ? source->key + key_size : kv_heap_at(heap, source_chunks[0]);
	uint8_t *target_bytes =
	    target_whole ? target->key + key_size : kv_heap_at(heap, target_chunks[0]);
	state_modify(heap->state, target_bytes, size);
	memcpy(target_bytes, bytes, size);
}

uint32_t
kv_record_resize(struct kv_heap *heap, uint32_t ref, uint32_t value_size)
{
	struct kv_record *record = kv_record_at(heap, ref);
	struct kv_key key = kv_record_key(heap, ref);
	struct shape old = shape_of(key.size, record->value_size);
	struct shape new = shape_of(key.size, value_size);
	bool stays = (old.chunks == 0) == (new.chunks == 0) && new.order <= old.order;
	uint32_t head = stays ? ref : head_create(heap, &key, new.order);
	if (head == 0)
		return 0;
	modify_block(heap, head, new.order);
	if (!chunks_alloc(heap, chunks_at(heap, head, key.size), old.chunks, new.chunks)) {
		if (!stays)
			kv_heap_free(heap, head, new.order);
		return 0;
	}
	kv_record_at(heap, head)->value_size = value_size;
	if (!stays) {
		uint32_t kept = old.chunks < new.chunks ? old.chunks : new.chunks;
		uint32_t size = record->value_size < value_size ? record->value_size : value_size;
		value_move(heap, ref, head, kept, size);
	}
	chunks_free(heap, chunks_at(heap, ref, key.size), new.chunks, old.chunks);
	if (!stays)
		kv_heap_free(heap, ref, old.order);
	else if (new.order < old.order)
		kv_heap_shrink(heap, ref, old.order, new.order);
	return head;
}

/* The contiguous bytes of the value at `offset`, below its size, up to *size of them. */
static uint8_t *
piece(const struct kv_heap *heap, uint32_t ref, uint32_t offset, uint32_t *size)
{
	struct kv_record *record = kv_record_at(heap, ref);
	struct shape shape = shape_of(record->key_size, record->value_size);
	uint32_t left = record->value_size - offset;
	*size = *size < left ? *size : left;
	if (shape.chunks == 0)
		return record->key + record->key_size + offset;
	uint32_t room = KV_SPAN_SIZE - offset % KV_SPAN_SIZE;
	*size = *size < room ? *size : room;
	uint32_t chunk = chunks_at(heap, ref, record->key_size)[offset / KV_SPAN_SIZE];
	return (uint8_t *)kv_heap_at(heap, chunk) + offset % KV_SPAN_SIZE;
}

void
kv_record_write(
    struct kv_heap *heap, uint32_t ref, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	check((uint64_t)offset + size <= kv_record_at(heap, ref)->value_size);
	for (uint32_t done = 0, part; done < size; done += part) {
		part = size - done;
		uint8_t *at = piece(heap, ref, offset + done, &part);
		state_modify(heap->state, at, part);
		memcpy(at, bytes + done, part);
	}
}

void
kv_record_read(const struct kv_heap *heap, uint32_t ref, uint8_t *bytes)
{
	uint32_t size = kv_record_at(heap, ref)->value_size;
	for (uint32_t done = 0, part; done < size; done += part) {
		part = size - done;
		memcpy(bytes + done, piece(heap, ref, done, &part), part);
	}
}

bool
kv_record_equals(const struct kv_heap *heap, uint32_t ref, const uint8_t *bytes, uint32_t size)
{
	if (kv_record_at(heap, ref)->value_size != size)
		return false;
	for (uint32_t done = 0, part; done < size; done += part) {
		part = size - done;
		const uint8_t *at = piece(heap, ref, done, &part);
		if (memcmp(bytes + done, at, part) != 0)
			return false;
	}
	return true;
}
