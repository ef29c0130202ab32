/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories of the YCSB workloads, against a naive store: everything that a
 * correct store answers is right, and lies of each kind are found.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv_op.h"
#include "engine/random.h"
#include "engine/workload.h"
#include "engine/ycsb_value.h"
#include "engine/zipf.h"
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

static void
store_clear(void)
{
	for (uint32_t i = 0; i < store_count; i++)
		free(store[i]);
	store_count = 0;
	store_full = false;
}

/* Where the key is, or would be. */
static uint32_t
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

static enum kv_status
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

static enum kv_status
store_cas(const struct kv_op *op)
{
	bool found;
	uint32_t at = store_find(op->key, &found);
	if (!found || store[at]->value_size != op->expected_size ||
	    memcmp(store[at]->value, op->expected, op->expected_size) != 0)
		return KV_MISMATCH;
	return store_put(op);
}

static void
answer_add(const void *bytes, uint32_t size)
{
	CU_ASSERT_FATAL(answer.size + size <= ANSWER_MAX);
	memcpy(answer.data + answer.size, bytes, size);
	answer.size += size;
}

/* The record at a place of the store, as a scan returns it. */
static void
answer_add_record(uint32_t at)
{
	const struct stored *r = store[at];
	uint8_t key_size = YCSB_KEY_SIZE;
	answer_add(&r->value_size, 4);
	answer_add(&key_size, 1);
	answer_add(r->key, YCSB_KEY_SIZE);
	answer_add(r->value, r->value_size);
}

static void
answer_begin(enum kv_status status, uint32_t count)
{
	kv_reply_encode(answer.data, status, count);
	answer.size = KV_REPLY_HEADER_SIZE;
}

static void
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

static void
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
static void
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

static struct workload *
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

static void
asked_from(struct workload *w, struct asked *a, const struct workload_op *op)
{
	a->size = op->size;
	a->read_only = op->read_only;
	CU_ASSERT_FATAL(a->size <= workload_op_size_max(w));
	CU_ASSERT_FATAL(kv_op_decode(a->data, a->size, &a->op));
	CU_ASSERT_EQUAL(a->read_only, a->op.kind == KV_GET || a->op.kind == KV_SCAN);
}

static void
ask(struct workload *w, uint32_t slot, struct asked *a)
{
	struct workload_op op = {.data = a->data, .capacity = workload_op_size_max(w)};
	workload_next(w, slot, &op);
	asked_from(w, a, &op);
}

static enum workload_verdict
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
static enum workload_verdict
round_trip(struct workload *w, uint32_t slot, struct asked *a)
{
	ask(w, slot, a);
	store_execute(a->data, a->size);
	return answered(w, slot);
}

static uint32_t
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
static void
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

static struct ycsb_stamp
stamp_of(const uint8_t *value, uint32_t size)
{
	struct ycsb_stamp stamp = {0};
	CU_ASSERT_FATAL(ycsb_value_read(value, size, &stamp));
	return stamp;
}

/* An answer to a get: the value of that stamp. */
static void
answer_with(struct ycsb_stamp stamp)
{
	uint8_t value[100];
	ycsb_value_write(value, sizeof(value), &stamp);
	answer_begin(KV_OK, sizeof(value));
	answer_add(value, sizeof(value));
}

/* One record and several slots: every get is of the same key. */
static struct workload *
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
static enum workload_verdict
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
static struct ycsb_stamp
put_once(struct workload *w, uint32_t slot)
{
	static struct asked a;
	ask_for(w, slot, KV_PUT, &a);
	store_execute(a.data, a.size);
	CU_ASSERT_EQUAL(answered(w, slot), WORKLOAD_RIGHT);
	return stamp_of(a.op.value, a.op.value_size);
}

/* ---- Values and keys ---------------------------------------------------- */

static void
values_read_back_and_every_flipped_bit_is_found(void)
{
	static const uint32_t sizes[] = {16, 17, 23, 24, 25, 100, 999, 1000};
	struct ycsb_stamp stamp = {.version = 0x123456789abc, .key = 77, .writer = 65534}, read;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *value = malloc(sizes[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(value);
		ycsb_value_write(value, sizes[i], &stamp);
		CU_ASSERT(ycsb_value_read(value, sizes[i], &read));
		CU_ASSERT(read.version == stamp.version && read.key == 77 && read.writer == 65534);
		for (uint32_t bit = 0; bit < sizes[i] * 8; bit++) {
			value[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_FALSE(ycsb_value_read(value, sizes[i], &read));
			value[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (uint32_t size = 0; size < sizes[i]; size++)
			CU_ASSERT_FALSE(ycsb_value_read(value, size, &read));
		free(value);
	}
}

static void
keys_are_hex_in_the_order_of_their_hash(void)
{
	uint8_t key[YCSB_KEY_SIZE], before[YCSB_KEY_SIZE];
	char text[64];
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t index = i < 2500 ? i : UINT32_MAX - i;
		snprintf(
		    text, sizeof(text), "user%016llx", (unsigned long long)ycsb_key_order(index));
		ycsb_key_write(key, index);
		CU_ASSERT_EQUAL(memcmp(key, text, YCSB_KEY_SIZE), 0);
		CU_ASSERT(ycsb_key_is(key, YCSB_KEY_SIZE, index));
		CU_ASSERT_FALSE(ycsb_key_is(key, YCSB_KEY_SIZE, index + 1));
		ycsb_key_write(before, index + 1);
		CU_ASSERT_EQUAL(memcmp(before, key, YCSB_KEY_SIZE) < 0,
		    ycsb_key_order(index + 1) < ycsb_key_order(index));
	}
}

/* ---- A correct store is never blamed ------------------------------------ */

static void
nodes_load_each_record_once(void)
{
	struct workload_config config = base;
	uint32_t total = 0;
	store_clear();
	config.nodes_count = 3;
	for (uint16_t node = 0; node < 3; node++) {
		config.node_index = node;
		config.slot_first = (uint16_t)(node * 4);
		struct workload *w = opened(&config);
		uint32_t count = load(w);
		CU_ASSERT_EQUAL(count, 500 / 3 + (node < 500 % 3));
		total += count;
		workload_close(w);
	}
	CU_ASSERT_EQUAL(total, 500);
	CU_ASSERT_EQUAL(store_count, 500);
	for (uint32_t i = 0; i < store_count; i++) {
		struct ycsb_stamp stamp = stamp_of(store[i]->value, store[i]->value_size);
		CU_ASSERT_EQUAL(stamp.writer, stamp.key % 3 * 4 + stamp.key / 3 % 4);
	}
}

struct counts {
	uint32_t kinds[KV_SCAN + 1];
	uint32_t mismatches;
	uint32_t wrong;
	uint64_t scan_limits;
	uint32_t scan_limit_min, scan_limit_max;
};

static void
count_operation(struct counts *c, const struct asked *a)
{
	c->kinds[a->op.kind]++;
	if (a->op.kind != KV_SCAN)
		return;
	c->scan_limits += a->op.limit;
	c->scan_limit_max = a->op.limit > c->scan_limit_max ? a->op.limit : c->scan_limit_max;
	c->scan_limit_min = a->op.limit < c->scan_limit_min ? a->op.limit : c->scan_limit_min;
}

/* Two nodes whose slots' operations overlap in time and execute in any order. */
static struct counts
run_concurrently(struct workload_config config, uint32_t steps)
{
	static struct asked asked[SLOTS_MAX];
	static struct answer answers[SLOTS_MAX];
	enum { IDLE, ASKED, EXECUTED } states[SLOTS_MAX] = {IDLE};
	struct counts counts = {.scan_limit_min = UINT32_MAX};
	struct workload *nodes[2];
	struct random random;

	store_clear();
	random_init(&random, config.seed, 99);
	config.nodes_count = 2;
	config.slots_count = 4;
	for (uint16_t i = 0; i < 2; i++) {
		config.node_index = i;
		config.slot_first = (uint16_t)(4 * i);
		nodes[i] = opened(&config);
		load(nodes[i]);
	}
	for (uint32_t step = 0; step < steps; step++) {
		uint32_t slot = (uint32_t)random_below(&random, 8);
		struct workload *w = nodes[slot / 4];
		if (states[slot] == IDLE) {
			ask(w, slot, &asked[slot]);
			count_operation(&counts, &asked[slot]);
			states[slot] = ASKED;
		} else if (states[slot] == ASKED) {
			store_execute(asked[slot].data, asked[slot].size);
			memcpy(&answers[slot], &answer, 4 + answer.size);
			states[slot] = EXECUTED;
		} else {
			memcpy(&answer, &answers[slot], 4 + answers[slot].size);
			counts.mismatches += answer.data[0] == KV_MISMATCH;
			counts.wrong += answered(w, slot) != WORKLOAD_RIGHT;
			states[slot] = IDLE;
		}
	}
	workload_close(nodes[0]);
	workload_close(nodes[1]);
	return counts;
}

static void
concurrent_clients_of_a_correct_store_are_content(void)
{
	static const char *const distributions[] = {NULL, "uniform", "zipfian", "latest"};
	struct workload_config config = base;
	char name[] = "ycsb-?";
	config.name = name;
	for (name[5] = 'a'; name[5] <= 'f'; name[5]++) {
		for (uint32_t i = 0; i < 8; i++) {
			config.distribution = distributions[i % 4];
			config.single_writer = i >= 4;
			config.seed++;
			struct counts counts = run_concurrently(config, 9000);
			CU_ASSERT_EQUAL(counts.wrong, 0);
			if (config.single_writer)
				CU_ASSERT_EQUAL(counts.mismatches, 0);
		}
	}
}

/* Few records, so that slots often meet. */
static void
contended_records_are_judged_right(void)
{
	struct workload_config config = base;
	config.records_count = 3;
	for (uint32_t i = 0; i < 20; i++) {
		config.name = i % 2 == 0 ? "ycsb-a" : "ycsb-f";
		config.seed = 100 + i;
		struct counts counts = run_concurrently(config, 20000);
		CU_ASSERT_EQUAL(counts.wrong, 0);
		CU_ASSERT_EQUAL(counts.mismatches > 0, i % 2 == 1);
	}
}

static bool
near(uint32_t count, uint32_t total, double percent)
{
	double found = 100.0 * count / total;
	return found > percent - 1.5 && found < percent + 1.5;
}

static void
mixes_are_those_of_ycsb(void)
{
	/* Percent: get, put, cas, scan. Of f's operations a third follow their get. */
	static const double percents[6][4] = {{50, 50, 0, 0}, {95, 5, 0, 0}, {100, 0, 0, 0},
	    {95, 5, 0, 0}, {0, 5, 0, 95}, {66.7, 0, 33.3, 0}};
	struct workload_config config = base;
	char name[] = "ycsb-?";
	config.name = name;
	config.inserts_max = 3000;
	for (int i = 0; i < 6; i++) {
		name[5] = (char)('a' + i);
		struct counts c = run_concurrently(config, 30000);
		uint32_t total =
		    c.kinds[KV_GET] + c.kinds[KV_PUT] + c.kinds[KV_CAS] + c.kinds[KV_SCAN];
		CU_ASSERT(near(c.kinds[KV_GET], total, percents[i][0]));
		CU_ASSERT(near(c.kinds[KV_PUT], total, percents[i][1]));
		CU_ASSERT(near(c.kinds[KV_CAS], total, percents[i][2]));
		CU_ASSERT(near(c.kinds[KV_SCAN], total, percents[i][3]));
		bool grows = i == 3 || i == 4;
		CU_ASSERT_EQUAL(store_count > 500, grows);
		if (i == 4) {
			CU_ASSERT_EQUAL(c.scan_limit_min, 1);
			CU_ASSERT_EQUAL(c.scan_limit_max, WORKLOAD_SCAN_MAX);
			double mean = (double)c.scan_limits / c.kinds[KV_SCAN];
			CU_ASSERT(mean > 49.5 && mean < 51.5);
		}
	}
}

/* More records and slots than are remembered: forgetting blames nobody. */
static void
forgetting_blames_nobody(void)
{
	static struct asked a;
	struct workload_config config = base;
	uint32_t wrong = 0;
	store_clear();
	config.records_count = 4000;
	config.slots_count = 1;
	config.distribution = "uniform";
	struct workload *w = opened(&config);
	load(w);
	for (uint32_t i = 0; i < 100000; i++)
		wrong += round_trip(w, 10, &a) != WORKLOAD_RIGHT;
	CU_ASSERT_EQUAL(wrong, 0);
	workload_close(w);
}

static void
inserts_end_as_updates(void)
{
	static struct asked a;
	struct workload_config config = base;
	uint32_t wrong = 0;
	store_clear();
	config.name = "ycsb-d";
	config.inserts_max = 43; /* 10 for each of 4 slots */
	struct workload *w = opened(&config);
	load(w);
	for (uint32_t i = 0; i < 8000; i++)
		wrong += round_trip(w, 10 + i % 4, &a) != WORKLOAD_RIGHT;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(store_count, 540);
	workload_close(w);
}

static void
every_value_size_works(void)
{
	static const uint32_t sizes[] = {16, 17, 31, 64, 333, 900};
	struct workload_config config = base;
	config.name = "ycsb-f";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		config.value_size = sizes[i];
		CU_ASSERT_EQUAL(run_concurrently(config, 3000).wrong, 0);
	}
}

/* ---- Lies are found ----------------------------------------------------- */

/* Verdict of a get whose answer has been spoilt; a fresh get each time. */
static void
broken_answers_to_gets_are_wrong(void)
{
	static struct asked a;
	struct workload *w = opened_with_one_record(1);
	struct ycsb_stamp stamp = put_once(w, 10);
	uint32_t right_size = KV_REPLY_HEADER_SIZE + 100;

	for (uint32_t i = 0; i < right_size; i++) {
		ask_for(w, 10, KV_GET, &a);
		store_execute(a.data, a.size);
		answer.data[i] ^= 0x04;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	for (uint32_t size = 0; size < right_size; size++) {
		ask_for(w, 10, KV_GET, &a);
		store_execute(a.data, a.size);
		answer.size = size;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	for (uint8_t status = KV_NOT_FOUND; status < 10; status++) {
		ask_for(w, 10, KV_GET, &a);
		answer_begin((enum kv_status)status, 0);
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	stamp = put_once(w, 10);
	stamp.key = 1;
	CU_ASSERT_EQUAL(get_answered_with(w, 10, stamp), WORKLOAD_WRONG);
	workload_close(w);
}

static void
a_stale_value_of_its_own_is_wrong(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp first = put_once(w, 10);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, first), WORKLOAD_RIGHT);
	struct ycsb_stamp second = put_once(w, 10);
	CU_ASSERT(second.version > first.version);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, first), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, second), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
a_value_never_written_is_wrong(void)
{
	struct workload *w = opened_with_one_record(1);
	struct ycsb_stamp stamp = put_once(w, 10);
	stamp.version++;
	CU_ASSERT_EQUAL(get_answered_with(w, 10, stamp), WORKLOAD_WRONG);
	workload_close(w);
}

static void
an_overwritten_value_does_not_come_back(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp mine = put_once(w, 10);
	struct ycsb_stamp other = put_once(w, 11);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, other), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, mine), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, other), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
others_values_do_not_grow_older(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp old = put_once(w, 11);
	struct ycsb_stamp new = put_once(w, 11);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, old), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, new), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, old), WORKLOAD_WRONG);
	workload_close(w);
}

static void
the_loaded_value_does_not_come_back(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp loaded = stamp_of(store[0]->value, 100);
	CU_ASSERT_EQUAL(loaded.writer, 10);
	CU_ASSERT_EQUAL(get_answered_with(w, 11, loaded), WORKLOAD_RIGHT);
	put_once(w, 11);
	CU_ASSERT_EQUAL(get_answered_with(w, 11, loaded), WORKLOAD_WRONG);
	put_once(w, 10);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, loaded), WORKLOAD_WRONG);
	workload_close(w);
}

static void
a_refused_write_leaves_the_old_value(void)
{
	static struct asked a;
	struct workload *w = opened_with_one_record(1);
	struct ycsb_stamp old = put_once(w, 10);
	ask_for(w, 10, KV_PUT, &a);
	struct ycsb_stamp refused = stamp_of(a.op.value, a.op.value_size);
	answer_begin(KV_NO_SPACE, 0);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_REFUSED);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, refused), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, old), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
strange_answers_to_writes_are_wrong(void)
{
	static struct asked a;
	struct workload *w = opened_with_one_record(1);
	static const uint8_t wrong[] = {
	    KV_NOT_FOUND, KV_MISMATCH, KV_TOO_LARGE, KV_INVALID, KV_PARTIAL, KV_PARTIAL + 1, 255};
	for (size_t i = 0; i < sizeof(wrong); i++) {
		ask_for(w, 10, KV_PUT, &a);
		answer_begin((enum kv_status)wrong[i], 0);
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	ask_for(w, 10, KV_PUT, &a);
	answer_begin(KV_OK, 1);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	ask_for(w, 10, KV_PUT, &a);
	answer_begin(KV_OK, 0);
	answer_add("x", 1);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	/* What such a write did is not known: either value is believed, then held to. */
	struct ycsb_stamp last = stamp_of(a.op.value, a.op.value_size);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, last), WORKLOAD_RIGHT);
	last.version--;
	CU_ASSERT_EQUAL(get_answered_with(w, 10, last), WORKLOAD_WRONG);
	workload_close(w);
}

/* The answer to a write is lost: whether it was executed or not is found out. */
static void
lost_answers_leave_both_outcomes_open(void)
{
	static struct asked a;
	for (int executed = 0; executed < 2; executed++) {
		struct workload *w = opened_with_one_record(1);
		struct ycsb_stamp old = put_once(w, 10);
		ask_for(w, 10, KV_PUT, &a);
		struct ycsb_stamp lost = stamp_of(a.op.value, a.op.value_size);
		if (executed)
			store_execute(a.data, a.size);
		ask(w, 10, &a); /* no check between */
		while (a.op.kind != KV_GET)
			ask(w, 10, &a); /* further writes are lost, and not executed */
		answer_with(executed ? lost : old);
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_RIGHT);
		CU_ASSERT_EQUAL(get_answered_with(w, 10, executed ? old : lost), WORKLOAD_WRONG);
		workload_close(w);
	}
}

/* ---- Scans -------------------------------------------------------------- */

static struct asked scan_asked;

/* A scan of at least 10 records, with so many behind its start; its place. */
static uint32_t
scan_open(struct workload *w)
{
	for (;;) {
		bool found;
		ask_for(w, 10, KV_SCAN, &scan_asked);
		uint32_t at = store_find(scan_asked.op.key, &found);
		CU_ASSERT_FATAL(found);
		store_execute(scan_asked.data, scan_asked.size);
		if (scan_asked.op.limit >= 10 && store_count - at > scan_asked.op.limit)
			return at;
		CU_ASSERT_EQUAL_FATAL(answered(w, 10), WORKLOAD_RIGHT);
	}
}

/* Answers with the records at these places from the start on, in this order. */
static enum workload_verdict
scan_answered(
    struct workload *w, enum kv_status status, uint32_t at, const uint32_t *offsets, uint32_t count)
{
	answer_begin(status, count);
	for (uint32_t i = 0; i < count; i++)
		answer_add_record(at + offsets[i]);
	return answered(w, 10);
}

static struct workload *
opened_for_scans(void)
{
	struct workload_config config = base;
	store_clear();
	config.name = "ycsb-e";
	struct workload *w = opened(&config);
	load(w);
	return w;
}

static void
lies_in_scans_are_found(void)
{
	struct workload *w = opened_for_scans();
	uint32_t offsets[WORKLOAD_SCAN_MAX + 1];
	for (int lie = 0; lie < 9; lie++) {
		uint32_t at = scan_open(w);
		uint32_t limit = scan_asked.op.limit, count = limit;
		enum kv_status status = KV_OK;
		for (uint32_t i = 0; i <= WORKLOAD_SCAN_MAX; i++)
			offsets[i] = i;
		switch (lie) {
		case 0: /* one too many */
			count++;
			break;
		case 1: /* ends early */
			count--;
			break;
		case 2: /* full, although all is there */
			status = KV_PARTIAL;
			break;
		case 3: /* nothing */
			count = 0;
			break;
		case 4: /* the first is left out */
			for (uint32_t i = 0; i < count; i++)
				offsets[i]++;
			break;
		case 5: /* one in the middle is left out */
			for (uint32_t i = 5; i < count; i++)
				offsets[i]++;
			break;
		case 6: /* twice the same */
			offsets[5] = 4;
			break;
		case 7: /* two have changed places */
			offsets[5] = 6;
			offsets[6] = 5;
			break;
		case 8: /* not found */
			status = KV_NOT_FOUND;
			break;
		}
		CU_ASSERT_EQUAL(scan_answered(w, status, at, offsets, count), WORKLOAD_WRONG);
	}
	uint32_t at = scan_open(w);
	CU_ASSERT_EQUAL(scan_answered(w, KV_PARTIAL, at, offsets, 3), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
broken_bytes_in_scans_are_found(void)
{
	struct workload *w = opened_for_scans();
	uint32_t record_size = KV_SCAN_RECORD_HEADER_SIZE + YCSB_KEY_SIZE + 100;
	for (uint32_t i = 0; i < 2 * record_size; i++) {
		scan_open(w);
		answer.data[KV_REPLY_HEADER_SIZE + record_size + i] ^= 0x40;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	for (uint32_t i = 0; i < record_size; i++) {
		scan_open(w);
		answer.size -= 1 + i;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	scan_open(w);
	answer_add("x", 1);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	workload_close(w);
}

/* Keys that were inserted may stand between the loaded ones or not. */
static void
scans_see_inserted_records(void)
{
	static struct asked a;
	struct workload *w = opened_for_scans();
	uint32_t inserted = 0, wrong = 0;
	for (uint32_t i = 0; i < 6000; i++) {
		wrong += round_trip(w, 10 + i % 4, &a) != WORKLOAD_RIGHT;
		inserted += a.op.kind == KV_PUT;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(inserted > 200);
	CU_ASSERT_EQUAL(store_count, 500 + inserted);
	workload_close(w);
}

static bool
place_is_inserted(uint32_t at)
{
	return stamp_of(store[at]->value, store[at]->value_size).key >= 500;
}

/* Inserted records: the start, two neighbours, and one behind a loaded record. */
static void
lies_about_inserted_records_are_found(void)
{
	static struct asked a;
	struct workload *w = opened_for_scans();
	uint32_t offsets[WORKLOAD_SCAN_MAX], found[4] = {0};
	for (uint32_t i = 0; i < 12000; i++)
		CU_ASSERT_EQUAL_FATAL(round_trip(w, 11 + i % 3, &a), WORKLOAD_RIGHT);
	for (uint32_t tries = 0; tries < 4000; tries++) {
		uint32_t at = scan_open(w), limit = scan_asked.op.limit, lie = tries % 4;
		bool start = place_is_inserted(at);
		bool pair = place_is_inserted(at + 3) && place_is_inserted(at + 4);
		bool last = !place_is_inserted(at + limit - 1) && place_is_inserted(at + limit);
		for (uint32_t i = 0; i < limit; i++)
			offsets[i] = i;
		if (lie == 0 && start) { /* the start is left out */
			for (uint32_t i = 0; i < limit; i++)
				offsets[i]++;
		} else if (lie == 1 && pair) { /* two have changed places */
			offsets[3] = 4;
			offsets[4] = 3;
		} else if (lie == 2 && pair) { /* twice the same */
			offsets[4] = 3;
		} else if (lie == 3 && last) { /* the last loaded one is left out */
			offsets[limit - 1]++;
		} else {
			CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_RIGHT);
			continue;
		}
		found[lie]++;
		CU_ASSERT_EQUAL(scan_answered(w, KV_OK, at, offsets, limit), WORKLOAD_WRONG);
	}
	for (int lie = 0; lie < 4; lie++)
		CU_ASSERT(found[lie] > 10);
	workload_close(w);
}

/* ---- A single writer ---------------------------------------------------- */

static void
a_single_writer_knows_every_value(void)
{
	static struct asked a;
	struct workload_config config = base;
	store_clear();
	config.single_writer = true;
	config.slots_count = 3;
	struct workload *w = opened(&config);
	load(w);
	for (uint32_t i = 0; i < 3000; i++)
		CU_ASSERT_EQUAL(round_trip(w, 10 + i % 3, &a), WORKLOAD_RIGHT);
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t slot = 10 + i % 3;
		bool found;
		ask(w, slot, &a);
		uint32_t at = store_find(a.op.key, &found);
		CU_ASSERT_FATAL(found);
		struct ycsb_stamp stamp = stamp_of(store[at]->value, 100);
		CU_ASSERT_EQUAL(stamp.writer, slot);
		CU_ASSERT_EQUAL(stamp.key % 3, slot - 10);
		store_execute(a.data, a.size);
		if (a.op.kind == KV_GET) {
			/* Any other version, and any other writer, of whatever age. */
			stamp.version += i % 2 == 0 ? 1 : UINT64_MAX;
			stamp.writer = (uint16_t)(stamp.writer + (i % 4 == 3));
			if (stamp.version == 0)
				stamp.version = 2;
			answer_with(stamp);
		}
		CU_ASSERT_EQUAL(
		    answered(w, slot), a.op.kind == KV_GET ? WORKLOAD_WRONG : WORKLOAD_RIGHT);
	}
	workload_close(w);
}

static void
a_single_writers_cas_does_not_mismatch(void)
{
	static struct asked a;
	struct workload_config config = base;
	for (int single = 0; single < 2; single++) {
		store_clear();
		config.name = "ycsb-f";
		config.single_writer = single;
		struct workload *w = opened(&config);
		load(w);
		ask_for(w, 10, KV_CAS, &a);
		answer_begin(KV_MISMATCH, 0);
		CU_ASSERT_EQUAL(answered(w, 10), single ? WORKLOAD_WRONG : WORKLOAD_RIGHT);
		workload_close(w);
	}
}

/* ---- What is asked ------------------------------------------------------ */

static void
a_cas_follows_its_get(void)
{
	static struct asked a;
	struct workload_config config = base;
	uint8_t value[100];
	store_clear();
	config.name = "ycsb-f";
	struct workload *w = opened(&config);
	load(w);
	for (int i = 0; i < 500; i++) {
		struct asked get = {.size = 0};
		do {
			get = a;
			ask(w, 10, &a);
			store_execute(a.data, a.size);
			if (a.op.kind == KV_GET)
				memcpy(value, answer.data + KV_REPLY_HEADER_SIZE, 100);
			CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_RIGHT);
		} while (a.op.kind != KV_CAS);
		CU_ASSERT_EQUAL(memcmp(get.data + KV_OP_HEADER_SIZE, a.op.key, YCSB_KEY_SIZE), 0);
		CU_ASSERT_EQUAL(a.op.expected_size, 100);
		CU_ASSERT_EQUAL(memcmp(a.op.expected, value, 100), 0);
		CU_ASSERT_EQUAL(answer.data[0], KV_OK);
	}
	workload_close(w);
}

static void
descriptions_agree_with_the_bytes(void)
{
	static struct asked a;
	static const enum workload_op_kind kinds[] = {[KV_GET] = WORKLOAD_OP_GET,
	    [KV_PUT] = WORKLOAD_OP_PUT,
	    [KV_CAS] = WORKLOAD_OP_CAS,
	    [KV_SCAN] = WORKLOAD_OP_SCAN};
	struct workload_config config = base;
	char name[] = "ycsb-?";
	config.name = name;
	for (name[5] = 'a'; name[5] <= 'f'; name[5]++) {
		store_clear();
		struct workload *w = opened(&config);
		load(w);
		for (int i = 0; i < 300; i++) {
			struct workload_record r;
			ask(w, 12, &a);
			workload_describe(w, 12, &r);
			store_execute(a.data, a.size);
			CU_ASSERT_EQUAL(answered(w, 12), WORKLOAD_RIGHT);
			workload_describe(w, 12, &r); /* after the check, as before */
			CU_ASSERT_EQUAL(r.kind, kinds[a.op.kind]);
			CU_ASSERT_EQUAL(r.key_size, a.op.key_size);
			CU_ASSERT_EQUAL(r.value_size, a.op.value_size);
			CU_ASSERT_EQUAL(r.expected_size, a.op.expected_size);
			CU_ASSERT_EQUAL(r.scan_count, a.op.limit);
			CU_ASSERT_EQUAL(memcmp(r.key, a.op.key, r.key_size), 0);
			if (r.value_size > 0)
				CU_ASSERT_EQUAL(memcmp(r.value, a.op.value, r.value_size), 0);
			if (r.expected_size > 0)
				CU_ASSERT_EQUAL(
				    memcmp(r.expected, a.op.expected, r.expected_size), 0);
		}
		workload_close(w);
	}
}

/* A slot's operations depend on the seed and its number, not on other slots. */
static void
same_seed_same_operations(void)
{
	static struct asked a, b;
	struct workload_config config = base;
	bool differ = false;
	store_clear();
	struct workload *one = opened(&config), *two = opened(&config);
	config.seed = 2;
	struct workload *other = opened(&config);
	load(one);
	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(round_trip(one, 11, &a), WORKLOAD_RIGHT);
		if (i % 3 == 0)
			ask(two, 12, &b);
		ask(two, 11, &b);
		CU_ASSERT(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
		ask(other, 11, &b);
		differ |= memcmp(a.op.key, b.op.key, YCSB_KEY_SIZE) != 0;
	}
	CU_ASSERT(differ);
	workload_close(one);
	workload_close(two);
	workload_close(other);
}

static void
later_runs_have_later_versions(void)
{
	struct workload_config config = base;
	uint64_t versions[2];
	for (uint8_t run = 0; run < 2; run++) {
		store_clear();
		config.run = run;
		struct workload *w = opened(&config);
		load(w);
		for (int i = 0; i < 100; i++)
			versions[run] = put_once(w, 10).version;
		workload_close(w);
	}
	CU_ASSERT(versions[0] < versions[1] - 200);
}

/* ---- Distributions, through the workload --------------------------------- */

enum { GETS_COUNT = 200000 };

/* How often each record is read, by its index; answers come from the store. */
static void
count_gets(struct workload *w, uint32_t *gets, uint32_t gets_size)
{
	static struct asked a;
	for (uint32_t i = 0; i < GETS_COUNT; i++) {
		CU_ASSERT_EQUAL_FATAL(round_trip(w, 10, &a), WORKLOAD_RIGHT);
		uint32_t key = stamp_of(answer.data + KV_REPLY_HEADER_SIZE, 100).key;
		CU_ASSERT_FATAL(key < gets_size);
		gets[key]++;
	}
}

static void
records_are_read_as_often_as_theory_says(void)
{
	static uint32_t gets[500];
	static const char *const names[] = {"uniform", "zipfian", "latest"};
	struct workload_config config = base;
	struct zipf z;
	config.name = "ycsb-c";
	zipf_init(&z, 500);
	for (int i = 0; i < 3; i++) {
		memset(gets, 0, sizeof(gets));
		store_clear();
		config.distribution = names[i];
		struct workload *w = opened(&config);
		load(w);
		count_gets(w, gets, 500);
		double hottest = (double)gets[zipf_hash(0) % 500] / GETS_COUNT;
		double newest = (double)gets[499] / GETS_COUNT;
		double second = (double)gets[498] / GETS_COUNT;
		if (i == 0) {
			for (uint32_t j = 0; j < 500; j++)
				CU_ASSERT(gets[j] > 280 && gets[j] < 520);
		} else if (i == 1) {
			CU_ASSERT(hottest > 1 / 26.469 - 0.001 && hottest < 1 / 26.469 + 0.004);
		} else {
			CU_ASSERT_DOUBLE_EQUAL(newest, 1 / z.zeta, 0.004);
			CU_ASSERT_DOUBLE_EQUAL(second, 1 / z.zeta / 1.9862, 0.003);
			CU_ASSERT(gets[0] < 120);
		}
		workload_close(w);
	}
}

/* After each insertion, the newest record is the one read most: 1 / zeta of the time. */
static void
latest_follows_insertions(void)
{
	static struct asked a;
	struct workload_config config = base;
	struct zipf z;
	uint32_t newest = 499, gets = 0, hits = 0;
	double expected_hits = 0;
	store_clear();
	config.name = "ycsb-d";
	config.inserts_max = 8000;
	struct workload *w = opened(&config);
	load(w);
	zipf_init(&z, store_count);
	for (uint32_t i = 0; i < 60000; i++) {
		CU_ASSERT_EQUAL_FATAL(round_trip(w, 10 + i % 4, &a), WORKLOAD_RIGHT);
		if (a.op.kind == KV_PUT) {
			newest = stamp_of(a.op.value, 100).key;
			CU_ASSERT(newest >= 500);
			zipf_grow(&z, store_count);
			continue;
		}
		gets++;
		expected_hits += 1 / z.zeta;
		hits += stamp_of(answer.data + KV_REPLY_HEADER_SIZE, 100).key == newest;
	}
	CU_ASSERT(store_count > 3000);
	CU_ASSERT_DOUBLE_EQUAL((double)hits / gets, expected_hits / gets, 0.005);
	workload_close(w);
}

static const struct unit_story stories[] = {
    {"values read back, every flipped bit is found",
	values_read_back_and_every_flipped_bit_is_found},
    {"keys are hex in the order of their hash", keys_are_hex_in_the_order_of_their_hash},
    {"nodes load each record once", nodes_load_each_record_once},
    {"concurrent clients of a correct store are content",
	concurrent_clients_of_a_correct_store_are_content},
    {"contended records are judged right", contended_records_are_judged_right},
    {"mixes are those of YCSB", mixes_are_those_of_ycsb},
    {"forgetting blames nobody", forgetting_blames_nobody},
    {"inserts end as updates", inserts_end_as_updates},
    {"every value size works", every_value_size_works},
    {"broken answers to gets are wrong", broken_answers_to_gets_are_wrong},
    {"a stale value of its own is wrong", a_stale_value_of_its_own_is_wrong},
    {"a value never written is wrong", a_value_never_written_is_wrong},
    {"an overwritten value does not come back", an_overwritten_value_does_not_come_back},
    {"others' values do not grow older", others_values_do_not_grow_older},
    {"the loaded value does not come back", the_loaded_value_does_not_come_back},
    {"a refused write leaves the old value", a_refused_write_leaves_the_old_value},
    {"strange answers to writes are wrong", strange_answers_to_writes_are_wrong},
    {"lost answers leave both outcomes open", lost_answers_leave_both_outcomes_open},
    {"lies in scans are found", lies_in_scans_are_found},
    {"broken bytes in scans are found", broken_bytes_in_scans_are_found},
    {"scans see inserted records", scans_see_inserted_records},
    {"lies about inserted records are found", lies_about_inserted_records_are_found},
    {"a single writer knows every value", a_single_writer_knows_every_value},
    {"a single writer's cas does not mismatch", a_single_writers_cas_does_not_mismatch},
    {"a cas follows its get", a_cas_follows_its_get},
    {"descriptions agree with the bytes", descriptions_agree_with_the_bytes},
    {"same seed, same operations", same_seed_same_operations},
    {"later runs have later versions", later_runs_have_later_versions},
    {"records are read as often as theory says", records_are_read_as_often_as_theory_says},
    {"latest follows insertions", latest_follows_insertions},
};

UNIT_MAIN("ycsb", stories)
