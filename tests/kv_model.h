/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value application as one would write it without thinking: an array of
 * values beside a sorted list of keys. Random operations are run on both, and
 * must give the same. For one test program, on one core.
 */
#ifndef OSKR_TESTS_KV_MODEL_H
#define OSKR_TESTS_KV_MODEL_H

#include <stdlib.h>
#include <string.h>

#include "engine/kv_op.h"
#include "tests/toy_digest.h"

enum { KEYS = 1500 };

/* The naive store: for each key of a sorted list a value, or none. */
struct cell {
	bool present;
	uint32_t size;
	uint8_t *bytes;
};

struct model {
	struct cell cells[KEYS];
	uint64_t bytes;
};

struct name {
	uint8_t bytes[KV_KEY_SIZE_MAX];
	uint32_t size;
};

static struct name names[KEYS];

static int
name_compare(const void *a, const void *b)
{
	const struct name *x = a;
	const struct name *y = b;
	uint32_t size = x->size < y->size ? x->size : y->size;
	int order = memcmp(x->bytes, y->bytes, size);
	return order != 0 ? order : (int)x->size - (int)y->size;
}

/* Distinct keys of all sizes, with common beginnings and zero bytes, sorted. */
static void
names_make(void)
{
	uint64_t seed = 42;
	for (uint32_t i = 0; i < KEYS;) {
		struct name *name = &names[i];
		memset(name, 0, sizeof(*name));
		name->size = 1 + toy_below(&seed, toy_below(&seed, 4) == 0 ? 250 : 14);
		for (uint32_t j = 0; j < name->size; j++)
			name->bytes[j] = (uint8_t)toy_below(&seed, j + 1 < name->size ? 3 : 256);
		uint32_t j = 0;
		while (j < i && name_compare(&names[j], name) != 0)
			j++;
		i += j == i ? 1 : 0;
	}
	qsort(names, KEYS, sizeof(names[0]), name_compare);
}

static void
cell_set(struct model *m, uint32_t key, const uint8_t *bytes, uint32_t size)
{
	struct cell *cell = &m->cells[key];
	uint8_t *copy = malloc(size + 1);
	if (size > 0)
		memcpy(copy, bytes, size);
	m->bytes += size;
	m->bytes -= cell->present ? cell->size : 0;
	free(cell->bytes);
	*cell = (struct cell){.present = true, .size = size, .bytes = copy};
}

static void
cell_clear(struct model *m, uint32_t key)
{
	struct cell *cell = &m->cells[key];
	m->bytes -= cell->present ? cell->size : 0;
	free(cell->bytes);
	*cell = (struct cell){0};
}

static void
model_copy(struct model *to, const struct model *from)
{
	for (uint32_t key = 0; key < KEYS; key++) {
		cell_clear(to, key);
		if (from->cells[key].present)
			cell_set(to, key, from->cells[key].bytes, from->cells[key].size);
	}
}

static void
model_free(struct model *m)
{
	for (uint32_t key = 0; key < KEYS; key++)
		cell_clear(m, key);
}

static uint32_t
random_size(uint64_t *seed)
{
	switch (toy_below(seed, 40)) {
	case 0:
		return toy_below(seed, 30000);
	case 1:
		return toy_below(seed, 200) == 0 ? KV_VALUE_SIZE_MAX : toy_below(seed, 6000);
	case 2:
		return 0;
	default:
		return toy_below(seed, 300);
	}
}

/* A random operation; its value's bytes come from `bytes`. */
static struct kv_op
random_op(uint64_t *seed, const struct model *m, const uint8_t *bytes, uint32_t *key)
{
	static const uint8_t kinds[] = {KV_GET, KV_GET, KV_PUT, KV_PUT, KV_PUT, KV_DELETE, KV_CAS,
	    KV_APPEND, KV_APPEND, KV_SCAN};
	*key = toy_below(seed, KEYS);
	struct kv_op op = {
	    .kind = (enum kv_kind)kinds[toy_below(seed, sizeof(kinds))],
	    .key = names[*key].bytes,
	    .key_size = names[*key].size,
	    .value = bytes + toy_below(seed, 1000),
	    .value_size = random_size(seed),
	    .expected_size = KV_EXPECTED_ABSENT,
	    .limit = 1 + toy_below(seed, 20),
	};
	const struct cell *cell = &m->cells[*key];
	if (toy_below(seed, 4) != 0 && cell->present) {
		op.expected = cell->bytes;
		op.expected_size = cell->size;
	} else if (toy_below(seed, 2) == 0) {
		op.expected = bytes;
		op.expected_size = toy_below(seed, 20);
	}
	return op;
}

static enum kv_status
model_write(struct model *m, const struct kv_op *op, uint32_t key, bool grows)
{
	struct cell *cell = &m->cells[key];
	uint32_t kept = grows && cell->present ? cell->size : 0;
	if (op->value_size > KV_VALUE_SIZE_MAX - kept)
		return KV_TOO_LARGE;
	uint8_t *bytes = malloc(kept + op->value_size + 1);
	if (kept > 0)
		memcpy(bytes, cell->bytes, kept);
	memcpy(bytes + kept, op->value, op->value_size);
	cell_set(m, key, bytes, kept + op->value_size);
	free(bytes);
	return KV_OK;
}

/* What a write should give; carried out on the model unless the store had no space. */
static enum kv_status
model_run(struct model *m, const struct kv_op *op, uint32_t key, bool no_space)
{
	const struct cell *cell = &m->cells[key];
	bool absent = op->expected_size == KV_EXPECTED_ABSENT;
	if (op->kind == KV_DELETE) {
		bool present = cell->present;
		cell_clear(m, key);
		return present ? KV_OK : KV_NOT_FOUND;
	}
	if (op->kind == KV_CAS && (absent ? cell->present
					  : !cell->present || cell->size != op->expected_size ||
						memcmp(cell->bytes, op->expected, cell->size) != 0))
		return KV_MISMATCH;
	return no_space ? KV_NO_SPACE : model_write(m, op, key, op->kind == KV_APPEND);
}

static bool
scan_matches(const struct model *m, const struct kv_op *op, uint32_t key, struct kv_reply *reply)
{
	struct kv_scan_record record = {0};
	uint32_t count = 0;
	for (; key < KEYS && count < op->limit; key++) {
		const struct cell *cell = &m->cells[key];
		if (!cell->present)
			continue;
		if (!kv_scan_next(reply, &record))
			return reply->status == KV_PARTIAL || reply->status == KV_TOO_LARGE;
		if (record.key_size != names[key].size || record.value_size != cell->size ||
		    memcmp(record.key, names[key].bytes, record.key_size) != 0 ||
		    memcmp(record.value, cell->bytes, cell->size) != 0)
			return false;
		count++;
	}
	return reply->status == KV_OK && reply->count == count && reply->data_size == 0;
}

#endif
