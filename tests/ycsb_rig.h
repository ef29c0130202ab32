/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the suites of the YCSB workloads share: a naive store, and a client that
 * asks, lets the store execute and judges the answer. One core.
 */
#ifndef OSKR_TESTS_YCSB_RIG_H
#define OSKR_TESTS_YCSB_RIG_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv_op.h"
#include "engine/workload.h"
#include "engine/ycsb_value.h"
#include "tests/unit.h"

/* ---- A naive store: a sorted array of records --------------------------- */

enum { STORE_MAX = 8192, VALUE_MAX = 1000, ANSWER_MAX = 1 << 18, SLOTS_MAX = 16, OP_MAX = 2048 };

struct stored {
	uint8_t key[YCSB_KEY_SIZE];
	uint32_t value_size;
	uint8_t value[VALUE_MAX];
};

struct answer {
	uint32_t size;
	uint8_t data[ANSWER_MAX];
};

static struct stored *store[STORE_MAX];
static uint32_t store_count;
static bool store_full; /* refuses to add */
static struct answer answer;

static inline void
store_clear(void)
{
	for (uint32_t i = 0; i < store_count; i++)
		free(store[i]);
	store_count = 0;
	store_full = false;
}

/* Where the key is, or would be. */
static inline uint32_t
store_find(const uint8_t *key, bool *found)
{
	uint32_t at = 0, end = store_count;
	while (at < end) {
		uint32_t middle = (at + end) / 2;
		if (memcmp(store[middle]->key, key, YCSB_KEY_SIZE) < 0)
			at = middle + 1;
		else
			end = middle;
	}
	*found = at < store_count && memcmp(store[at]->key, key, YCSB_KEY_SIZE) == 0;
	return at;
}

static inline enum kv_status
store_put(const struct kv_op *op)
{
	bool found;
	uint32_t at = store_find(op->key, &found);
	if (store_full || op->value_size > VALUE_MAX)
		return KV_NO_SPACE;
	if (!found) {
		CU_ASSERT_FATAL(store_count < STORE_MAX);
		memmove(&store[at + 1], &store[at], (store_count - at) * sizeof(store[0]));
		store_count++;
		store[at] = calloc(1, sizeof(*store[at]));
		CU_ASSERT_PTR_NOT_NULL_FATAL(store[at]);
		memcpy(store[at]->key, op->key, YCSB_KEY_SIZE);
	}
	store[at]->value_size = op->value_size;
	memcpy(store[at]->value, op->value, op->value_size);
	return KV_OK;
}

static inline enum kv_status
store_cas(const struct kv_op *op)
{
	bool found;
	uint32_t at = store_find(op->key, &found);
	if (!found || store[at]->value_size != op->expected_size ||
	    memcmp(store[at]->value, op->expected, op->expected_size) != 0)
		return KV_MISMATCH;
	return store_put(op);
}

static inline void
answer_add(const void *bytes, uint32_t size)
{
	CU_ASSERT_FATAL(answer.size + size <= ANSWER_MAX);
	memcpy(answer.data + answer.size, bytes, size);
	answer.size += size;
}

/* The record at a place of the store, as a scan returns it. */
static inline void
answer_add_record(uint32_t at)
{
	const struct stored *r = store[at];
	uint8_t key_size = YCSB_KEY_SIZE;
	answer_add(&r->value_size, 4);
	answer_add(&key_size, 1);
	answer_add(r->key, YCSB_KEY_SIZE);
	answer_add(r->value, r->value_size);
}

static inline void
answer_begin(enum kv_status status, uint32_t count)
{
	kv_reply_encode(answer.data, status, count);
	answer.size = KV_REPLY_HEADER_SIZE;
}

static inline void
store_get(const struct kv_op *op)
{
	bool found;
	uint32_t at = store_find(op->key, &found);
	if (!found) {
		answer_begin(KV_NOT_FOUND, 0);
		return;
	}
	answer_begin(KV_OK, store[at]->value_size);
	answer_add(store[at]->value, store[at]->value_size);
}

static inline void
store_scan(const struct kv_op *op)
{
	bool found;
	uint32_t at = store_find(op->key, &found);
	uint32_t count = store_count - at < op->limit ? store_count - at : op->limit;
	answer_begin(KV_OK, count);
	for (uint32_t i = 0; i < count; i++)
		answer_add_record(at + i);
}

/* Executes encoded bytes; the answer is in `answer`. */
static inline void
store_execute(const uint8_t *data, uint32_t size)
{
	struct kv_op op;
	CU_ASSERT_FATAL(kv_op_decode(data, size, &op));
	CU_ASSERT_EQUAL_FATAL(op.key_size, YCSB_KEY_SIZE);
	switch (op.kind) {
	case KV_GET:
		store_get(&op);
		break;
	case KV_SCAN:
		store_scan(&op);
		break;
	case KV_PUT:
		answer_begin(store_put(&op), 0);
		break;
	case KV_CAS:
		answer_begin(store_cas(&op), 0);
		break;
	default:
		CU_FAIL_FATAL("an operation that no workload asks for");
	}
}

/* ---- A client ----------------------------------------------------------- */

static const struct workload_config base = {
    .name = "ycsb-a",
    .seed = 1,
    .slot_first = 10,
    .slots_count = 4,
    .nodes_count = 1,
    .records_count = 500,
    .value_size = 100,
    .inserts_max = 1000,
};

struct asked {
	struct kv_op op; /* points into data */
	uint32_t size;
	bool read_only;
	uint8_t data[OP_MAX];
};

static inline struct workload *
opened(const struct workload_config *config)
{
	char error[WORKLOAD_ERROR_SIZE] = "";
	struct workload *w = workload_open(config, error);
	if (w == NULL)
		printf("%s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	CU_ASSERT_FATAL(workload_op_size_max(w) <= OP_MAX);
	return w;
}

static inline void
asked_from(struct workload *w, struct asked *a, const struct workload_op *op)
{
	a->size = op->size;
	a->read_only = op->read_only;
	CU_ASSERT_FATAL(a->size <= workload_op_size_max(w));
	CU_ASSERT_FATAL(kv_op_decode(a->data, a->size, &a->op));
	CU_ASSERT_EQUAL(a->read_only, a->op.kind == KV_GET || a->op.kind == KV_SCAN);
}

static inline void
ask(struct workload *w, uint32_t slot, struct asked *a)
{
	struct workload_op op = {.data = a->data, .capacity = workload_op_size_max(w)};
	workload_next(w, slot, &op);
	asked_from(w, a, &op);
}

static inline enum workload_verdict
answered(struct workload *w, uint32_t slot)
{
	CU_ASSERT_FATAL(answer.size <= workload_result_size_max(w));
	/* Memory of exactly the size, so that the sanitizer sees every overrun. */
	uint8_t *exact = malloc(answer.size > 0 ? answer.size : 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
	memcpy(exact, answer.data, answer.size);
	enum workload_verdict verdict = workload_check(w, slot, exact, answer.size);
	free(exact);
	return verdict;
}

/* Asks, executes and judges one operation. */
static inline enum workload_verdict
round_trip(struct workload *w, uint32_t slot, struct asked *a)
{
	ask(w, slot, a);
	store_execute(a->data, a->size);
	return answered(w, slot);
}

static inline uint32_t
load(struct workload *w)
{
	static struct asked a;
	uint32_t count = 0;
	for (;;) {
		uint32_t slot = w->slot_first + count % w->slots_count;
		struct workload_op op = {.data = a.data, .capacity = workload_op_size_max(w)};
		if (!workload_load_next(w, slot, &op))
			return count;
		asked_from(w, &a, &op);
		CU_ASSERT_EQUAL(a.op.kind, KV_PUT);
		store_execute(a.data, a.size);
		CU_ASSERT_EQUAL(answered(w, slot), WORKLOAD_RIGHT);
		count++;
	}
}

/* Goes on until the slot asks for an operation of the kind, which is left open. */
static inline void
ask_for(struct workload *w, uint32_t slot, enum kv_kind kind, struct asked *a)
{
	for (int i = 0; i < 100000; i++) {
		ask(w, slot, a);
		if (a->op.kind == kind)
			return;
		store_execute(a->data, a->size);
		CU_ASSERT_EQUAL_FATAL(answered(w, slot), WORKLOAD_RIGHT);
	}
	CU_FAIL_FATAL("never asked for");
}

static inline struct ycsb_stamp
stamp_of(const uint8_t *value, uint32_t size)
{
	struct ycsb_stamp stamp = {0};
	CU_ASSERT_FATAL(ycsb_value_read(value, size, &stamp));
	return stamp;
}

/* An answer to a get: the value of that stamp. */
static inline void
answer_with(struct ycsb_stamp stamp)
{
	uint8_t value[100];
	ycsb_value_write(value, sizeof(value), &stamp);
	answer_begin(KV_OK, sizeof(value));
	answer_add(value, sizeof(value));
}

/* One record and several slots: every get is of the same key. */
static inline struct workload *
opened_with_one_record(uint32_t slots_count)
{
	struct workload_config config = base;
	config.records_count = 1;
	config.slots_count = slots_count;
	store_clear();
	struct workload *w = opened(&config);
	CU_ASSERT_EQUAL(load(w), 1);
	return w;
}

/* The slot's next get is answered with that value; writes until then are refused. */
static inline enum workload_verdict
get_answered_with(struct workload *w, uint32_t slot, struct ycsb_stamp stamp)
{
	static struct asked a;
	for (ask(w, slot, &a); a.op.kind != KV_GET; ask(w, slot, &a)) {
		answer_begin(KV_NO_SPACE, 0);
		CU_ASSERT_EQUAL(answered(w, slot), WORKLOAD_REFUSED);
	}
	answer_with(stamp);
	return answered(w, slot);
}

/* Lets the slot write once; returns what it wrote. */
static inline struct ycsb_stamp
put_once(struct workload *w, uint32_t slot)
{
	static struct asked a;
	ask_for(w, slot, KV_PUT, &a);
	store_execute(a.data, a.size);
	CU_ASSERT_EQUAL(answered(w, slot), WORKLOAD_RIGHT);
	return stamp_of(a.op.value, a.op.value_size);
}

#endif
