/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations and replies of the key-value application, little-endian. Clients
 * (workloads, tests) encode operations and decode replies; the application does
 * the opposite. Decoders trust nothing. Pure; any core.
 *
 *     operation   0      1          2       4            8               12
 *                 | kind | key size | zeroes | value size | expected size | key | expected | value
 *     reply       0        1       4       8
 *                 | status | zeroes | count | data
 *
 * A reply's count is the size of the value (get), the number of records (scan),
 * else 0. A scan's record is: value size (4), key size (1), key, value.
 */
#ifndef OSKR_ENGINE_KV_OP_H
#define OSKR_ENGINE_KV_OP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	KV_KEY_SIZE_MAX = 250,
	KV_VALUE_SIZE_MAX = 1 << 20,
	KV_SCAN_COUNT_MAX = 1000,
	KV_OP_HEADER_SIZE = 12,
	KV_REPLY_HEADER_SIZE = 8,
	KV_SCAN_RECORD_HEADER_SIZE = 5,
};

/* In place of an expected size: the key must be absent. */
#define KV_EXPECTED_ABSENT UINT32_MAX

enum kv_kind {
	KV_GET = 1,
	KV_PUT = 2, /* creates or replaces */
	KV_DELETE = 3,
	KV_CAS = 4,    /* puts the value iff the present value is the expected one */
	KV_APPEND = 5, /* creates where absent */
	KV_SCAN = 6,   /* up to `limit` records, in order of keys, from the key on */
};

enum kv_status {
	KV_OK = 0,
	KV_NOT_FOUND = 1,
	KV_MISMATCH = 2,  /* cas: the present value is another, or presence differs */
	KV_NO_SPACE = 3,  /* nothing was changed */
	KV_TOO_LARGE = 4, /* the value would exceed KV_VALUE_SIZE_MAX, or the reply its limit */
	KV_INVALID = 5,	  /* not an operation */
	KV_PARTIAL = 6,	  /* scan: what fits a reply; more records follow */
};

/* A decoded operation; the bytes are the sender's. */
struct kv_op {
	enum kv_kind kind;
	uint32_t key_size; /* 1 .. KV_KEY_SIZE_MAX */
	uint32_t value_size;
	uint32_t expected_size; /* cas; may be KV_EXPECTED_ABSENT */
	uint32_t limit;		/* scan: 1 .. KV_SCAN_COUNT_MAX */
	const uint8_t *key;
	const uint8_t *value;
	const uint8_t *expected;
};

struct kv_reply {
	enum kv_status status;
	uint32_t count;
	uint32_t data_size;
	const uint8_t *data;
};

struct kv_scan_record {
	uint32_t key_size;
	uint32_t value_size;
	const uint8_t *key;
	const uint8_t *value;
};

static inline bool
kv_kind_has_value(uint8_t kind)
{
	return kind == KV_PUT || kind == KV_CAS || kind == KV_APPEND;
}

static inline uint32_t
kv_op_expected_bytes(const struct kv_op *op)
{
	return op->kind == KV_CAS && op->expected_size != KV_EXPECTED_ABSENT ? op->expected_size
									     : 0;
}

/* Bytes of the encoded operation. */
static inline uint32_t
kv_op_size(const struct kv_op *op)
{
	uint32_t value_size = kv_kind_has_value((uint8_t)op->kind) ? op->value_size : 0;
	return KV_OP_HEADER_SIZE + op->key_size + kv_op_expected_bytes(op) + value_size;
}

/* Writes kv_op_size(op) bytes; returns them, or 0 when they exceed capacity. */
static inline uint32_t
kv_op_encode(const struct kv_op *op, uint8_t *bytes, uint32_t capacity)
{
	uint32_t size = kv_op_size(op);
	uint32_t expected_bytes = kv_op_expected_bytes(op);
	uint32_t expected_size = op->kind == KV_CAS ? op->expected_size : 0;
	uint32_t value_size = kv_kind_has_value((uint8_t)op->kind) ? op->value_size : 0;
	uint32_t number = op->kind == KV_SCAN ? op->limit : value_size;
	if (size > capacity)
		return 0;
	memset(bytes, 0, KV_OP_HEADER_SIZE);
	bytes[0] = (uint8_t)op->kind;
	bytes[1] = (uint8_t)op->key_size;
	memcpy(bytes + 4, &number, 4);
	memcpy(bytes + 8, &expected_size, 4);
	uint8_t *at = bytes + KV_OP_HEADER_SIZE;
	memcpy(at, op->key, op->key_size);
	at += op->key_size;
	if (expected_bytes != 0)
		memcpy(at, op->expected, expected_bytes);
	if (value_size != 0)
		memcpy(at + expected_bytes, op->value, value_size);
	return size;
}

/*
 * Reads an operation of exactly `size` bytes. False: it is not one. Values
 * above KV_VALUE_SIZE_MAX are not refused here.
 */
static inline bool
kv_op_decode(const uint8_t *bytes, uint32_t size, struct kv_op *op)
{
	uint32_t number;
	uint32_t expected_size;
	memset(op, 0, sizeof(*op));
	if (size < KV_OP_HEADER_SIZE || bytes[0] < KV_GET || bytes[0] > KV_SCAN)
		return false;
	if (bytes[1] == 0 || bytes[1] > KV_KEY_SIZE_MAX || bytes[2] != 0 || bytes[3] != 0)
		return false;
	memcpy(&number, bytes + 4, 4);
	memcpy(&expected_size, bytes + 8, 4);
	op->kind = (enum kv_kind)bytes[0];
	op->key_size = bytes[1];
	if (op->kind == KV_SCAN)
		op->limit = number;
	else
		op->value_size = number;
	op->expected_size = expected_size;
	if (op->kind == KV_SCAN && (number == 0 || number > KV_SCAN_COUNT_MAX))
		return false;
	if (op->kind != KV_SCAN && number != 0 && !kv_kind_has_value(bytes[0]))
		return false;
	if (op->kind != KV_CAS && expected_size != 0)
		return false;
	uint32_t expected_bytes = kv_op_expected_bytes(op);
	uint64_t total = KV_OP_HEADER_SIZE + (uint64_t)op->key_size + expected_bytes;
	if (total + op->value_size != size)
		return false;
	op->key = bytes + KV_OP_HEADER_SIZE;
	op->expected = op->key + op->key_size;
	op->value = op->expected + expected_bytes;
	return true;
}

static inline void
kv_reply_encode(uint8_t *bytes, enum kv_status status, uint32_t count)
{
	memset(bytes, 0, KV_REPLY_HEADER_SIZE);
	bytes[0] = (uint8_t)status;
	memcpy(bytes + 4, &count, 4);
}

/* Reads a reply's frame. False: it is not one. */
static inline bool
kv_reply_decode(const uint8_t *bytes, uint32_t size, struct kv_reply *reply)
{
	if (size < KV_REPLY_HEADER_SIZE || bytes[0] > KV_PARTIAL || bytes[1] != 0 ||
	    bytes[2] != 0 || bytes[3] != 0)
		return false;
	reply->status = (enum kv_status)bytes[0];
	memcpy(&reply->count, bytes + 4, 4);
	reply->data = bytes + KV_REPLY_HEADER_SIZE;
	reply->data_size = size - KV_REPLY_HEADER_SIZE;
	return true;
}

/* Takes the next record out of a scan's reply. False: there is none, or it is malformed. */
static inline bool
kv_scan_next(struct kv_reply *reply, struct kv_scan_record *record)
{
	if (reply->data_size < KV_SCAN_RECORD_HEADER_SIZE)
		return false;
	memcpy(&record->value_size, reply->data, 4);
	record->key_size = reply->data[4];
	uint64_t size =
	    KV_SCAN_RECORD_HEADER_SIZE + (uint64_t)record->key_size + record->value_size;
	if (size > reply->data_size)
		return false;
	record->key = reply->data + KV_SCAN_RECORD_HEADER_SIZE;
	record->value = record->key + record->key_size;
	reply->data += size;
	reply->data_size -= (uint32_t)size;
	return true;
}

#endif
