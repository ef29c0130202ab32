/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value application: get, put, delete, cas, append and ordered scans
 * over keys of 1..250 and values of 0..2^20 bytes, all in the replicated state.
 * The B+tree (engine/kv_tree.h) is the truth. Beside it lies a table of buckets
 * that spares most operations the way down: a bucket is one cache line, with up
 * to 8 records and the number of those that found no room. Whatever keys a
 * client makes up, the worst is the tree's logarithm. Owned by an executor.
 *
 * Cost at 1 M records of 100 bytes: a get or a put in place takes three cache
 * misses (bucket, record, its page's undo mark); an insertion the way down.
 */
#include "engine/app.h"

#include <errno.h>

#include "engine/check.h"
#include "engine/kv_op.h"
#include "engine/kv_record.h"
#include "engine/kv_tree.h"

enum {
	BUCKET_RECORDS = 8,
	HEAP_SIZE_PER_BUCKET = 1024, /* bytes: 8 records of 128 */
};

#define HEAP_SIZE_MIN (64ull * 1024)
#define HEAP_SIZE_MAX (1ull << 37) /* bytes: references and bucket numbers are 32 bits */

/* In the region. */
struct kv_bucket {
	uint32_t records[BUCKET_RECORDS]; /* 0: free */
	uint16_t tags[BUCKET_RECORDS];
	uint32_t overflow; /* records of this bucket that are in the tree only */
	uint32_t reserved[3];
};
static_assert(sizeof(struct kv_bucket) == 64, "one cache line");

/* In the region, a page of its own. */
struct kv_header {
	struct kv_heap_header heap;
	struct kv_tree_header tree;
};

struct kv {
	struct state *state;
	struct kv_heap heap;
	struct kv_tree tree;
	struct kv_bucket *buckets;
	uint64_t buckets_mask;
	uint64_t hash_seed;
};
static_assert(sizeof(struct kv) <= APP_SELF_SIZE_MAX, "fits the executor's place for it");

/* Sizes of the parts, from the options. */
struct kv_sizes {
	uint64_t heap; /* bytes, whole spans */
	uint64_t spans_count;
	uint64_t buckets_count; /* a power of two */
};

static uint64_t hash_key(const struct kv *kv, const struct kv_key *key);
static struct kv_bucket *bucket_of(const struct kv *kv, uint64_t hash);
static uint16_t tag_of(uint64_t hash);
static uint32_t run(struct kv *kv, const struct kv_op *op, uint8_t *reply, uint32_t capacity);

static struct kv_sizes
kv_sizes(const struct app_options *options)
{
	uint64_t heap = options->memory_size < HEAP_SIZE_MIN ? HEAP_SIZE_MIN : options->memory_size;
	heap = heap > HEAP_SIZE_MAX ? HEAP_SIZE_MAX : heap;
	struct kv_sizes sizes = {.spans_count = (heap + KV_SPAN_SIZE - 1) / KV_SPAN_SIZE};
	sizes.heap = sizes.spans_count * KV_SPAN_SIZE;
	sizes.buckets_count = 1;
	while (sizes.buckets_count * HEAP_SIZE_PER_BUCKET < sizes.heap)
		sizes.buckets_count *= 2;
	return sizes;
}

static uint64_t
kv_region_size(const struct app_options *options)
{
	struct kv_sizes sizes = kv_sizes(options);
	uint64_t pages = STATE_PAGE_SIZE + sizes.buckets_count * sizeof(struct kv_bucket) +
			 sizes.spans_count * sizeof(struct kv_span) + sizes.heap;
	/* Each part starts at a page, the heap at a span. */
	return pages + 3 * STATE_PAGE_SIZE + KV_SPAN_SIZE;
}

static int
kv_open(void *self, const struct app_options *options, struct state *state)
{
	struct kv *kv = self;
	struct kv_sizes sizes = kv_sizes(options);
	if (options->memory_size > HEAP_SIZE_MAX)
		return -EINVAL;
	uint64_t buckets_size = sizes.buckets_count * sizeof(struct kv_bucket);
	uint64_t spans_size = sizes.spans_count * sizeof(struct kv_span);
	struct kv_header *header = state_reserve(state, sizeof(*header), STATE_PAGE_SIZE);
	kv->buckets = state_reserve(state, buckets_size, STATE_PAGE_SIZE);
	kv->heap.spans = state_reserve(state, spans_size, STATE_PAGE_SIZE);
	kv->heap.units = state_reserve(state, sizes.heap, KV_SPAN_SIZE);
	if (header == NULL || kv->buckets == NULL || kv->heap.spans == NULL ||
	    kv->heap.units == NULL)
		return -ENOMEM;
	kv->state = state;
	kv->heap.state = state;
	kv->heap.header = &header->heap;
	kv->heap.spans_count = (uint32_t)sizes.spans_count;
	kv->tree = (struct kv_tree){.heap = &kv->heap, .header = &header->tree};
	kv->buckets_mask = sizes.buckets_count - 1;
	kv->hash_seed = options->hash_seed;
	return 0;
}

static uint32_t
kv_execute(void *self, const uint8_t *op, uint32_t op_size, uint8_t *reply, uint32_t capacity)
{
	struct kv_op decoded;
	check(capacity >= KV_REPLY_HEADER_SIZE);
	if (kv_op_decode(op, op_size, &decoded))
		return run(self, &decoded, reply, capacity);
	kv_reply_encode(reply, KV_INVALID, 0);
	return KV_REPLY_HEADER_SIZE;
}

/* First the buckets of all, then, those being on their way, the likely records. */
static void
kv_prefetch(const void *self, const struct app_op *ops, uint32_t count)
{
	const struct kv *kv = self;
	uint64_t hashes[APP_BURST_MAX];
	bool writes[APP_BURST_MAX];
	uint32_t hashes_count = 0;
	check(count <= APP_BURST_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct kv_op op;
		if (!kv_op_decode(ops[i].bytes, ops[i].size, &op) || op.kind == KV_SCAN)
			continue;
		struct kv_key key = kv_key(op.key, op.key_size);
		writes[hashes_count] = op.kind != KV_GET;
		hashes[hashes_count] = hash_key(kv, &key);
		__builtin_prefetch(bucket_of(kv, hashes[hashes_count++]));
	}
	for (uint32_t i = 0; i < hashes_count; i++) {
		const struct kv_bucket *bucket = bucket_of(kv, hashes[i]);
		for (uint32_t place = 0; place < BUCKET_RECORDS; place++) {
			if (bucket->records[place] == 0 || bucket->tags[place] != tag_of(hashes[i]))
				continue;
			const uint8_t *record = kv_heap_at(&kv->heap, bucket->records[place]);
			__builtin_prefetch(record);
			__builtin_prefetch(record + KV_UNIT_SIZE);
			if (writes[i])
				state_prefetch(kv->state, record);
		}
	}
}

/* What is no operation changes nothing either. */
static bool
kv_is_read_only(const uint8_t *op, uint32_t op_size)
{
	struct kv_op decoded;
	return !kv_op_decode(op, op_size, &decoded) || decoded.kind == KV_GET ||
	       decoded.kind == KV_SCAN;
}

const struct app app_kv = {
    .name = "kv",
    .self_size = sizeof(struct kv),
    .region_size = kv_region_size,
    .open = kv_open,
    .execute = kv_execute,
    .prefetch = kv_prefetch,
    .is_read_only = kv_is_read_only,
};

/* ---- the buckets ------------------------------------------------------- */

/* Multiply and mix, eight bytes at a time; the seed keeps crafted keys out. */
static uint64_t
hash_key(const struct kv *kv, const struct kv_key *key)
{
	uint64_t hash = kv->hash_seed ^ key->size * 0x9e3779b97f4a7c15u;
	for (uint32_t at = 0; at < key->size; at += 8) {
		uint64_t word = 0;
		uint32_t left = key->size - at;
		memcpy(&word, key->bytes + at, left < 8 ? left : 8);
		hash = (hash ^ word) * 0xff51afd7ed558ccdu;
		hash ^= hash >> 32;
	}
	hash *= 0xc4ceb9fe1a85ec53u;
	return hash ^ hash >> 29;
}

static struct kv_bucket *
bucket_of(const struct kv *kv, uint64_t hash)
{
	return &kv->buckets[hash & kv->buckets_mask];
}

/* The hash's top bits, which choose no bucket. */
static uint16_t
tag_of(uint64_t hash)
{
	return (uint16_t)(hash >> 48);
}

/* Where the bucket has the record (or with 0: a free place); BUCKET_RECORDS if not. */
static uint32_t
bucket_place(const struct kv_bucket *bucket, uint32_t record)
{
	uint32_t place = 0;
	while (place < BUCKET_RECORDS && bucket->records[place] != record)
		place++;
	return place;
}

static bool
key_equals(const struct kv *kv, uint32_t record, const struct kv_key *key)
{
	const struct kv_record *r = kv_record_at(&kv->heap, record);
	return r->key_size == key->size && memcmp(r->key, key->bytes, key->size) == 0;
}

/* The record with the key, or 0. */
static uint32_t
find(const struct kv *kv, const struct kv_key *key, uint64_t hash)
{
	const struct kv_bucket *bucket = bucket_of(kv, hash);
	uint16_t tag = tag_of(hash);
	for (uint32_t i = 0; i < BUCKET_RECORDS; i++) {
		uint32_t record = bucket->records[i];
		if (bucket->tags[i] == tag && record != 0 && key_equals(kv, record, key))
			return record;
	}
	return bucket->overflow == 0 ? 0 : kv_tree_find(&kv->tree, key);
}

static void
bucket_insert(struct kv *kv, uint64_t hash, uint32_t record)
{
	struct kv_bucket *bucket = bucket_of(kv, hash);
	uint32_t place = bucket_place(bucket, 0);
	state_modify(kv->state, bucket, sizeof(*bucket));
	if (place == BUCKET_RECORDS) {
		bucket->overflow++;
		return;
	}
	bucket->records[place] = record;
	bucket->tags[place] = tag_of(hash);
}

static void
bucket_remove(struct kv *kv, uint64_t hash, uint32_t record)
{
	struct kv_bucket *bucket = bucket_of(kv, hash);
	uint32_t place = bucket_place(bucket, record);
	state_modify(kv->state, bucket, sizeof(*bucket));
	if (place == BUCKET_RECORDS) {
		check(bucket->overflow > 0);
		bucket->overflow--;
		return;
	}
	bucket->records[place] = 0;
	bucket->tags[place] = 0;
}

static void
bucket_replace(struct kv *kv, uint64_t hash, uint32_t record, uint32_t record_new)
{
	struct kv_bucket *bucket = bucket_of(kv, hash);
	uint32_t place = bucket_place(bucket, record);
	if (place == BUCKET_RECORDS)
		return;
	state_modify(kv->state, bucket, sizeof(*bucket));
	bucket->records[place] = record_new;
}

/* ---- operations -------------------------------------------------------- */

/* An operation on its way: the key, its hash, and the record that has it, or 0. */
struct work {
	struct kv_key key;
	uint64_t hash;
	uint32_t record;
};

static enum kv_status
create(struct kv *kv, const struct work *work, const struct kv_op *op)
{
	if (op->value_size > KV_VALUE_SIZE_MAX)
		return KV_TOO_LARGE;
	uint32_t record = kv_record_create(&kv->heap, &work->key, op->value_size);
	if (record == 0)
		return KV_NO_SPACE;
	if (!kv_tree_insert(&kv->tree, record)) {
		kv_record_free(&kv->heap, record);
		return KV_NO_SPACE;
	}
	bucket_insert(kv, work->hash, record);
	kv_record_write(&kv->heap, record, 0, op->value, op->value_size);
	return KV_OK;
}

/* Writes the operation's value at `offset` of the record's, which then ends there. */
static enum kv_status
overwrite(struct kv *kv, const struct work *work, uint32_t offset, const struct kv_op *op)
{
	if (op->value_size > KV_VALUE_SIZE_MAX - offset)
		return KV_TOO_LARGE;
	uint32_t size = offset + op->value_size;
	uint32_t record = work->record;
	if (size != kv_record_at(&kv->heap, record)->value_size) {
		record = kv_record_resize(&kv->heap, record, size);
		if (record == 0)
			return KV_NO_SPACE;
	}
	if (record != work->record) {
		kv_tree_replace(&kv->tree, &work->key, record);
		bucket_replace(kv, work->hash, work->record, record);
	}
	kv_record_write(&kv->heap, record, offset, op->value, op->value_size);
	return KV_OK;
}

static enum kv_status
remove_record(struct kv *kv, const struct work *work)
{
	if (work->record == 0)
		return KV_NOT_FOUND;
	kv_tree_remove(&kv->tree, &work->key);
	bucket_remove(kv, work->hash, work->record);
	kv_record_free(&kv->heap, work->record);
	return KV_OK;
}

static enum kv_status
compare_and_swap(struct kv *kv, const struct work *work, const struct kv_op *op)
{
	if (work->record == 0)
		return op->expected_size == KV_EXPECTED_ABSENT ? create(kv, work, op) : KV_MISMATCH;
	if (op->expected_size == KV_EXPECTED_ABSENT ||
	    !kv_record_equals(&kv->heap, work->record, op->expected, op->expected_size))
		return KV_MISMATCH;
	return overwrite(kv, work, 0, op);
}

static enum kv_status
append(struct kv *kv, const struct work *work, const struct kv_op *op)
{
	if (work->record == 0)
		return create(kv, work, op);
	return overwrite(kv, work, kv_record_at(&kv->heap, work->record)->value_size, op);
}

/* Answers with the value. Returns the reply's size. */
static uint32_t
get(const struct kv *kv, const struct work *work, uint8_t *reply, uint32_t capacity)
{
	if (work->record == 0) {
		kv_reply_encode(reply, KV_NOT_FOUND, 0);
		return KV_REPLY_HEADER_SIZE;
	}
	uint32_t size = kv_record_at(&kv->heap, work->record)->value_size;
	if (size > capacity - KV_REPLY_HEADER_SIZE) {
		kv_reply_encode(reply, KV_TOO_LARGE, 0);
		return KV_REPLY_HEADER_SIZE;
	}
	kv_reply_encode(reply, KV_OK, size);
	kv_record_read(&kv->heap, work->record, reply + KV_REPLY_HEADER_SIZE);
	return KV_REPLY_HEADER_SIZE + size;
}

/* Answers with the records from the key on, as many as fit. */
static uint32_t
scan(const struct kv *kv, const struct kv_op *op, uint8_t *reply, uint32_t capacity)
{
	struct kv_key key = kv_key(op->key, op->key_size);
	struct kv_cursor cursor = kv_tree_seek(&kv->tree, &key);
	enum kv_status status = KV_OK;
	uint32_t size = KV_REPLY_HEADER_SIZE;
	uint32_t count = 0;
	while (count < op->limit) {
		uint32_t ref = kv_tree_next(&kv->tree, &cursor);
		if (ref == 0)
			break;
		const struct kv_record *record = kv_record_at(&kv->heap, ref);
		uint32_t head = KV_SCAN_RECORD_HEADER_SIZE + record->key_size;
		if (head + record->value_size > capacity - size) {
			/* Not even one fits: asking for the rest would not help. */
			status = count == 0 ? KV_TOO_LARGE : KV_PARTIAL;
			break;
		}
		memcpy(reply + size, &record->value_size, 4);
		reply[size + 4] = record->key_size;
		memcpy(reply + size + KV_SCAN_RECORD_HEADER_SIZE, record->key, record->key_size);
		kv_record_read(&kv->heap, ref, reply + size + head);
		size += head + record->value_size;
		count++;
	}
	kv_reply_encode(reply, status, count);
	return size;
}

static uint32_t
run(struct kv *kv, const struct kv_op *op, uint8_t *reply, uint32_t capacity)
{
	enum kv_status status = KV_INVALID;
	if (op->kind == KV_SCAN)
		return scan(kv, op, reply, capacity);
	struct work work = {.key = kv_key(op->key, op->key_size)};
	work.hash = hash_key(kv, &work.key);
	work.record = find(kv, &work.key, work.hash);
	switch (op->kind) {
	case KV_GET:
		return get(kv, &work, reply, capacity);
	case KV_PUT:
		status = work.record == 0 ? create(kv, &work, op) : overwrite(kv, &work, 0, op);
		break;
	case KV_DELETE:
		status = remove_record(kv, &work);
		break;
	case KV_CAS:
		status = compare_and_swap(kv, &work, op);
		break;
	case KV_APPEND:
		status = append(kv, &work, op);
		break;
	case KV_SCAN:
		break;
	}
	kv_reply_encode(reply, status, 0);
	return KV_REPLY_HEADER_SIZE;
}
