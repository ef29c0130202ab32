/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the key-value application: a head block with sizes, key and value;
 * or, where that exceeds 4 KiB, with the references of the value's chunks of
 * 4 KiB each. Lives in kv_heap. Owned by one executor.
 */
#ifndef OSKR_ENGINE_KV_RECORD_H
#define OSKR_ENGINE_KV_RECORD_H

#include <string.h>

#include "engine/kv_heap.h"
#include "engine/kv_op.h"

struct kv_record {
	uint32_t value_size;
	uint8_t key_size;
	uint8_t reserved[3]; /* zero */
	uint8_t key[];	     /* key_size bytes; then the value, or its chunks' references */
};

/* A key as it is compared: `head` is its first 8 bytes, big-endian, zeroes behind. */
struct kv_key {
	const uint8_t *bytes;
	uint32_t size; /* 1 .. KV_KEY_SIZE_MAX */
	uint64_t head;
};

static inline struct kv_key
kv_key(const uint8_t *bytes, uint32_t size)
{
	uint64_t head = 0;
	memcpy(&head, bytes, size < 8 ? size : 8);
	return (struct kv_key){.bytes = bytes, .size = size, .head = __builtin_bswap64(head)};
}

static inline struct kv_record *
kv_record_at(const struct kv_heap *heap, uint32_t ref)
{
	return kv_heap_at(heap, ref);
}

static inline struct kv_key
kv_record_key(const struct kv_heap *heap, uint32_t ref)
{
	const struct kv_record *record = kv_record_at(heap, ref);
	return kv_key(record->key, record->key_size);
}

/* A new record whose value's bytes are arbitrary until written; 0: no space. */
uint32_t kv_record_create(struct kv_heap *heap, const struct kv_key *key, uint32_t value_size);
void kv_record_free(struct kv_heap *heap, uint32_t ref);

/*
 * Changes the value's size; bytes up to the smaller size keep. Returns the
 * record, which may have moved (and the old reference is void), or 0: no space,
 * and nothing has changed.
 */
uint32_t kv_record_resize(struct kv_heap *heap, uint32_t ref, uint32_t value_size);

/* Writes bytes of the value; offset + size is at most its size. */
void kv_record_write(
    struct kv_heap *heap, uint32_t ref, uint32_t offset, const uint8_t *bytes, uint32_t size);

/* Copies the whole value. */
void kv_record_read(const struct kv_heap *heap, uint32_t ref, uint8_t *bytes);

bool kv_record_equals(
    const struct kv_heap *heap, uint32_t ref, const uint8_t *bytes, uint32_t size);

#endif
