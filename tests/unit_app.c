/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the applications; the key-value store against a naive model. */
#include "engine/app.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv_op.h"
#include "engine/kv_tree.h"
#include "tests/kv_model.h"
#include "tests/toy_digest.h"
#include "tests/unit.h"

enum { REPLY_CAPACITY = APP_REPLY_SIZE_MAX, OP_CAPACITY = (1 << 20) + 1024 };

static uint8_t reply_bytes[REPLY_CAPACITY];
static uint8_t op_bytes[OP_CAPACITY + (1 << 20)];

/* An application on a region of its own. */
struct rig {
	struct state state;
	const struct app *app;
	alignas(16) uint8_t self[APP_SELF_SIZE_MAX];
};

static void
rig_open(struct rig *rig, const char *name, const struct app_options *options)
{
	memset(rig, 0, sizeof(*rig));
	rig->app = app_find(name);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig->app);
	struct state_options o = {
	    .size = rig->app->region_size(options) + 1,
	    .undo_count = 60000,
	    .marks_max = 1000,
	    .digester = {.burst = toy_digest_burst},
	};
	CU_ASSERT_EQUAL_FATAL(state_open(&rig->state, &o), 0);
	CU_ASSERT(rig->app->self_size <= APP_SELF_SIZE_MAX);
	CU_ASSERT_EQUAL_FATAL(rig->app->open(rig->self, options, &rig->state), 0);
}

static void
rig_close(struct rig *rig)
{
	state_close(&rig->state);
}

static uint32_t
execute(struct rig *rig, const void *op, uint32_t size)
{
	return rig->app->execute(rig->self, op, size, reply_bytes, REPLY_CAPACITY);
}

/* ---- registry, null, echo ---------------------------------------------- */

static void
registry_knows_its_names(void)
{
	CU_ASSERT_PTR_EQUAL(app_find("null"), &app_null);
	CU_ASSERT_PTR_EQUAL(app_find("echo"), &app_echo);
	CU_ASSERT_PTR_EQUAL(app_find("kv"), &app_kv);
	CU_ASSERT_PTR_NULL(app_find("kvs"));
	CU_ASSERT_PTR_NULL(app_find(""));
	size_t count = 0;
	for (; app_at(count) != NULL; count++)
		CU_ASSERT_PTR_EQUAL(app_find(app_at(count)->name), app_at(count));
	CU_ASSERT_EQUAL(count, 3);
}

static void
null_answers_nothing(void)
{
	struct rig rig;
	struct app_options o = {0};
	rig_open(&rig, "null", &o);
	CU_ASSERT_EQUAL(execute(&rig, "anything", 8), 0);
	CU_ASSERT_EQUAL(execute(&rig, "", 0), 0);
	CU_ASSERT(rig.app->is_read_only(NULL, 0));
	rig_close(&rig);
}

static void
echo_answers_the_operation(void)
{
	struct rig rig;
	struct app_options o = {0};
	rig_open(&rig, "echo", &o);
	CU_ASSERT_EQUAL(execute(&rig, "hello", 5), 5);
	CU_ASSERT_EQUAL(memcmp(reply_bytes, "hello", 5), 0);
	CU_ASSERT_EQUAL(execute(&rig, "", 0), 0);
	CU_ASSERT_EQUAL(rig.app->execute(rig.self, (const uint8_t *)"hello", 5, reply_bytes, 3), 3);
	rig_close(&rig);
	o.reply_size = 12;
	rig_open(&rig, "echo", &o);
	CU_ASSERT_EQUAL(execute(&rig, "hello", 5), 12);
	CU_ASSERT_EQUAL(memcmp(reply_bytes, "hellohellohe", 12), 0);
	CU_ASSERT_EQUAL(execute(&rig, "longer than twelve", 18), 12);
	CU_ASSERT_EQUAL(memcmp(reply_bytes, "longer than ", 12), 0);
	memset(reply_bytes, 1, 12);
	CU_ASSERT_EQUAL(execute(&rig, "", 0), 12);
	CU_ASSERT_EQUAL(memcmp(reply_bytes, "\0\0\0\0\0\0\0\0\0\0\0\0", 12), 0);
	rig_close(&rig);
}

/* ---- encoding ---------------------------------------------------------- */

static uint32_t
encode(const struct kv_op *op)
{
	uint32_t size = kv_op_encode(op, op_bytes, sizeof(op_bytes));
	CU_ASSERT_EQUAL(size, kv_op_size(op));
	return size;
}

static struct kv_op
text_op(enum kv_kind kind, const char *key, const char *value)
{
	return (struct kv_op){
	    .kind = kind,
	    .key = (const uint8_t *)key,
	    .key_size = (uint32_t)strlen(key),
	    .value = (const uint8_t *)value,
	    .value_size = (uint32_t)strlen(value),
	    .limit = 5,
	};
}

static void
operations_survive_encoding(void)
{
	for (enum kv_kind kind = KV_GET; kind <= KV_SCAN; kind++) {
		struct kv_op op = text_op(kind, "key", "value");
		struct kv_op out;
		op.expected = (const uint8_t *)"before";
		op.expected_size = 6;
		uint32_t size = encode(&op);
		CU_ASSERT_EQUAL(kv_op_encode(&op, op_bytes, size - 1), 0);
		CU_ASSERT_FATAL(kv_op_decode(op_bytes, size, &out));
		CU_ASSERT_EQUAL(out.kind, kind);
		CU_ASSERT_EQUAL(out.key_size, 3);
		CU_ASSERT_EQUAL(memcmp(out.key, "key", 3), 0);
		CU_ASSERT_EQUAL(out.limit, kind == KV_SCAN ? 5 : 0);
		if (kv_kind_has_value((uint8_t)kind)) {
			CU_ASSERT_EQUAL_FATAL(out.value_size, 5);
			CU_ASSERT_EQUAL(memcmp(out.value, "value", 5), 0);
		}
		if (kind == KV_CAS) {
			CU_ASSERT_EQUAL_FATAL(out.expected_size, 6);
			CU_ASSERT_EQUAL(memcmp(out.expected, "before", 6), 0);
		}
		for (uint32_t cut = 0; cut < size; cut++) {
			uint8_t *copy = malloc(cut + 1);
			memcpy(copy, op_bytes, cut);
			CU_ASSERT_FALSE(kv_op_decode(copy, cut, &out));
			free(copy);
		}
		CU_ASSERT_FALSE(kv_op_decode(op_bytes, size + 1, &out));
	}
}

/* Fields of the operation's header that no operation has. */
static void
nonsense_is_invalid(void)
{
	static const struct {
		uint8_t bytes[16];
		uint32_t size;
	} table[] = {
	    {{KV_GET, 0, 0, 0}, 12},				     /* no key */
	    {{KV_GET, 251, 0, 0}, 16},				     /* key too long */
	    {{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, 13},	     /* no kind */
	    {{7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, 13},	     /* no such kind */
	    {{KV_GET, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, 13},    /* reserved */
	    {{KV_GET, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, 13},    /* reserved */
	    {{KV_GET, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 'k', 1}, 14}, /* get with a value */
	    {{KV_PUT, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'k', 1}, 14}, /* put with expected */
	    {{KV_SCAN, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'k'}, 13},   /* limit 0 */
	    {{KV_SCAN, 1, 0, 0, 233, 3, 0, 0, 0, 0, 0, 0, 'k'}, 13}, /* limit 1001 */
	    {{KV_PUT, 1, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 'k'}, 13},
	    {{KV_CAS, 1, 0, 0, 255, 255, 255, 255, 254, 255, 255, 255, 'k'}, 13},
	};
	struct rig rig;
	struct app_options o = {.memory_size = 1 << 20};
	rig_open(&rig, "kv", &o);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CU_ASSERT_EQUAL(execute(&rig, table[i].bytes, table[i].size), 8);
		CU_ASSERT_EQUAL(reply_bytes[0], KV_INVALID);
		CU_ASSERT(rig.app->is_read_only(table[i].bytes, table[i].size));
	}
	uint64_t seed = 1;
	uint8_t noise[40];
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t size = toy_below(&seed, sizeof(noise));
		for (uint32_t j = 0; j < size; j++)
			noise[j] = (uint8_t)toy_below(&seed, toy_below(&seed, 2) == 0 ? 7 : 256);
		memset(noise + 2, 0, 10);
		noise[4] = (uint8_t)toy_below(&seed, 20);
		struct kv_reply reply;
		CU_ASSERT(kv_reply_decode(reply_bytes, execute(&rig, noise, size), &reply));
	}
	rig_close(&rig);
}

/* ---- simple operations ------------------------------------------------- */

static enum kv_status
run(struct rig *rig, const struct kv_op *op, struct kv_reply *reply)
{
	uint32_t size = execute(rig, op_bytes, encode(op));
	*reply = (struct kv_reply){0};
	CU_ASSERT_FATAL(kv_reply_decode(reply_bytes, size, reply));
	return reply->status;
}

static enum kv_status
text(struct rig *rig, enum kv_kind kind, const char *key, const char *value)
{
	struct kv_op op = text_op(kind, key, value);
	struct kv_reply reply;
	return run(rig, &op, &reply);
}

static bool
text_is(struct rig *rig, const char *key, const char *value)
{
	struct kv_op op = text_op(KV_GET, key, "");
	struct kv_reply reply;
	return run(rig, &op, &reply) == KV_OK && reply.count == strlen(value) &&
	       reply.data_size == reply.count && memcmp(reply.data, value, reply.count) == 0;
}

static enum kv_status
text_cas(struct rig *rig, const char *key, const char *expected, const char *value)
{
	struct kv_op op = text_op(KV_CAS, key, value);
	struct kv_reply reply;
	op.expected = (const uint8_t *)expected;
	op.expected_size = expected == NULL ? KV_EXPECTED_ABSENT : (uint32_t)strlen(expected);
	return run(rig, &op, &reply);
}

static void
kv_does_what_it_says(void)
{
	struct rig rig;
	struct app_options o = {.memory_size = 1 << 20};
	rig_open(&rig, "kv", &o);
	CU_ASSERT_EQUAL(text(&rig, KV_GET, "a", ""), KV_NOT_FOUND);
	CU_ASSERT_EQUAL(text(&rig, KV_PUT, "a", "one"), KV_OK);
	CU_ASSERT(text_is(&rig, "a", "one"));
	CU_ASSERT_EQUAL(text(&rig, KV_PUT, "a", "another"), KV_OK);
	CU_ASSERT(text_is(&rig, "a", "another"));
	CU_ASSERT_EQUAL(text(&rig, KV_PUT, "a", ""), KV_OK);
	CU_ASSERT(text_is(&rig, "a", ""));
	CU_ASSERT_EQUAL(text(&rig, KV_APPEND, "a", "x"), KV_OK);
	CU_ASSERT_EQUAL(text(&rig, KV_APPEND, "a", "yz"), KV_OK);
	CU_ASSERT(text_is(&rig, "a", "xyz"));
	CU_ASSERT_EQUAL(text(&rig, KV_APPEND, "new", "n"), KV_OK);
	CU_ASSERT(text_is(&rig, "new", "n"));
	CU_ASSERT_EQUAL(text(&rig, KV_DELETE, "a", ""), KV_OK);
	CU_ASSERT_EQUAL(text(&rig, KV_DELETE, "a", ""), KV_NOT_FOUND);
	CU_ASSERT_EQUAL(text(&rig, KV_GET, "a", ""), KV_NOT_FOUND);
	CU_ASSERT_EQUAL(text_cas(&rig, "c", "", "v"), KV_MISMATCH);
	CU_ASSERT_EQUAL(text_cas(&rig, "c", NULL, "v"), KV_OK);
	CU_ASSERT_EQUAL(text_cas(&rig, "c", NULL, "w"), KV_MISMATCH);
	CU_ASSERT_EQUAL(text_cas(&rig, "c", "x", "w"), KV_MISMATCH);
	CU_ASSERT_EQUAL(text_cas(&rig, "c", "vv", "w"), KV_MISMATCH);
	CU_ASSERT(text_is(&rig, "c", "v"));
	CU_ASSERT_EQUAL(text_cas(&rig, "c", "v", "longer value"), KV_OK);
	CU_ASSERT(text_is(&rig, "c", "longer value"));
	rig_close(&rig);
}

static void
kv_scans_in_order(void)
{
	struct rig rig;
	struct app_options o = {.memory_size = 1 << 20};
	struct kv_reply reply;
	struct kv_scan_record record = {0};
	rig_open(&rig, "kv", &o);
	for (uint32_t i = 0; i < 1000; i++) {
		char key[16];
		(void)snprintf(key, sizeof(key), "user%05u", i * 7919 % 1000);
		CU_ASSERT_EQUAL(text(&rig, KV_PUT, key, key), KV_OK);
	}
	struct kv_op op = text_op(KV_SCAN, "user00497x", "");
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	CU_ASSERT_EQUAL(reply.count, 5);
	for (uint32_t i = 0; i < 5; i++) {
		char key[16];
		(void)snprintf(key, sizeof(key), "user%05u", 498 + i);
		CU_ASSERT_FATAL(kv_scan_next(&reply, &record));
		CU_ASSERT_EQUAL(record.key_size, 9);
		CU_ASSERT_EQUAL(memcmp(record.key, key, 9), 0);
		CU_ASSERT_EQUAL(record.value_size, 9);
		CU_ASSERT_EQUAL(memcmp(record.value, key, 9), 0);
	}
	CU_ASSERT_FALSE(kv_scan_next(&reply, &record));
	op = text_op(KV_SCAN, "user00998", "");
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	CU_ASSERT_EQUAL(reply.count, 2);
	op = text_op(KV_SCAN, "v", "");
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	CU_ASSERT_EQUAL(reply.count, 0);
	/* What does not fit: 8 bytes, then 23 a record. */
	op = text_op(KV_SCAN, "a", "");
	uint32_t size = encode(&op);
	size = rig.app->execute(rig.self, op_bytes, size, reply_bytes, 8 + 2 * 23 + 22);
	CU_ASSERT(kv_reply_decode(reply_bytes, size, &reply));
	CU_ASSERT_EQUAL(reply.status, KV_PARTIAL);
	CU_ASSERT_EQUAL(reply.count, 2);
	size = rig.app->execute(rig.self, op_bytes, encode(&op), reply_bytes, 8 + 22);
	CU_ASSERT(kv_reply_decode(reply_bytes, size, &reply));
	CU_ASSERT_EQUAL(reply.status, KV_TOO_LARGE);
	rig_close(&rig);
}

static void
kv_bounds_values(void)
{
	struct rig rig;
	struct app_options o = {.memory_size = 4 << 20};
	struct kv_reply reply;
	uint8_t *value = calloc(1, KV_VALUE_SIZE_MAX + 1);
	memset(value, 'v', KV_VALUE_SIZE_MAX + 1);
	rig_open(&rig, "kv", &o);
	struct kv_op op = text_op(KV_PUT, "big", "");
	op.value = value;
	op.value_size = KV_VALUE_SIZE_MAX + 1;
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_TOO_LARGE);
	CU_ASSERT_EQUAL(text(&rig, KV_GET, "big", ""), KV_NOT_FOUND);
	op.value_size = KV_VALUE_SIZE_MAX;
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	CU_ASSERT_EQUAL(text(&rig, KV_APPEND, "big", "x"), KV_TOO_LARGE);
	CU_ASSERT_EQUAL(text(&rig, KV_APPEND, "big", ""), KV_OK);
	op = text_op(KV_GET, "big", "");
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	CU_ASSERT_EQUAL(reply.count, KV_VALUE_SIZE_MAX);
	CU_ASSERT_EQUAL(memcmp(reply.data, value, KV_VALUE_SIZE_MAX), 0);
	uint32_t size = encode(&op);
	size = rig.app->execute(rig.self, op_bytes, size, reply_bytes, KV_VALUE_SIZE_MAX);
	CU_ASSERT(kv_reply_decode(reply_bytes, size, &reply));
	CU_ASSERT_EQUAL(reply.status, KV_TOO_LARGE);
	rig_close(&rig);
	free(value);
}

/* ---- space ------------------------------------------------------------- */

/* Puts `size` bytes under numbered keys until there is no space. */
static uint32_t
fill(struct rig *rig, uint32_t size)
{
	static const uint8_t value[KV_VALUE_SIZE_MAX];
	struct kv_reply reply;
	for (uint32_t i = 0;; i++) {
		struct kv_op op = {.kind = KV_PUT,
		    .key = (const uint8_t *)&i,
		    .key_size = 4,
		    .value = value,
		    .value_size = size};
		enum kv_status status = run(rig, &op, &reply);
		if (status == KV_NO_SPACE)
			return i;
		CU_ASSERT_EQUAL_FATAL(status, KV_OK);
	}
}

static void
drain(struct rig *rig, uint32_t count)
{
	struct kv_reply reply;
	for (uint32_t i = 0; i < count; i++) {
		struct kv_op op = {.kind = KV_DELETE, .key = (const uint8_t *)&i, .key_size = 4};
		CU_ASSERT_EQUAL(run(rig, &op, &reply), KV_OK);
	}
}

/* Freed memory serves any other size: as much fits as at first. */
static void
space_comes_back(void)
{
	static const uint32_t sizes[] = {10, 100000, 100, 1000, 3000, 5000, KV_VALUE_SIZE_MAX, 50};
	enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
	struct app_options o = {.memory_size = 8 << 20};
	struct rig used;
	rig_open(&used, "kv", &o);
	for (size_t i = 0; i < COUNT; i++) {
		struct rig fresh;
		rig_open(&fresh, "kv", &o);
		uint32_t first = fill(&fresh, sizes[i]);
		rig_close(&fresh);
		uint32_t again = fill(&used, sizes[i]);
		CU_ASSERT_EQUAL(again, first);
		CU_ASSERT((uint64_t)first * (sizes[i] < 4000 ? sizes[i] + 12 : sizes[i]) >
			  (sizes[i] < 20 ? 1u << 20 : 3u << 20));
		drain(&used, again);
	}
	rig_close(&used);
}

static void
full_store_refuses_and_stays_whole(void)
{
	struct app_options o = {.memory_size = 1 << 20};
	struct rig rig;
	rig_open(&rig, "kv", &o);
	uint32_t count = fill(&rig, 100);
	static char long_text[3001];
	memset(long_text, 'x', 3000);
	CU_ASSERT_EQUAL(text(&rig, KV_PUT, "new", long_text), KV_NO_SPACE);
	CU_ASSERT_EQUAL(text(&rig, KV_GET, "new", ""), KV_NOT_FOUND);
	uint32_t key = 17;
	struct kv_reply reply;
	struct kv_op op = {.kind = KV_APPEND,
	    .key = (const uint8_t *)&key,
	    .key_size = 4,
	    .value = (const uint8_t *)long_text,
	    .value_size = 3000};
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_NO_SPACE);
	op.kind = KV_GET;
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	CU_ASSERT_EQUAL(reply.count, 100);
	op.kind = KV_PUT; /* a smaller value fits where the larger one was */
	op.value_size = 10;
	CU_ASSERT_EQUAL(run(&rig, &op, &reply), KV_OK);
	drain(&rig, count);
	CU_ASSERT_EQUAL(text(&rig, KV_PUT, "new", long_text), KV_OK);
	CU_ASSERT(text_is(&rig, "new", long_text));
	rig_close(&rig);
}

/* ---- the tree and the heap by themselves ------------------------------- */

struct grove {
	struct state state;
	struct kv_heap heap;
	struct kv_tree tree;
};

static void
grove_open(struct grove *g, uint32_t spans)
{
	memset(g, 0, sizeof(*g));
	struct state_options o = {
	    .size = spans * (KV_SPAN_SIZE + sizeof(struct kv_span)) + 16384,
	    .digester = {.burst = toy_digest_burst},
	};
	CU_ASSERT_EQUAL_FATAL(state_open(&g->state, &o), 0);
	g->heap.state = &g->state;
	g->heap.header = state_reserve(&g->state, sizeof(struct kv_heap_header), 8);
	g->tree.header = state_reserve(&g->state, sizeof(struct kv_tree_header), 8);
	g->tree.heap = &g->heap;
	g->heap.spans_count = spans;
	g->heap.spans = state_reserve(&g->state, spans * sizeof(struct kv_span), 1024);
	g->heap.units = state_reserve(&g->state, spans * KV_SPAN_SIZE, KV_SPAN_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g->heap.units);
}

static void
heap_blocks_are_apart(void)
{
	enum { SPANS = 50, BLOCKS = 600 };
	struct grove g;
	uint64_t seed = 9;
	uint32_t refs[BLOCKS] = {0};
	uint32_t orders[BLOCKS] = {0};
	grove_open(&g, SPANS);
	for (uint32_t round = 0; round < 60000; round++) {
		uint32_t i = toy_below(&seed, BLOCKS);
		size_t size = (size_t)KV_UNIT_SIZE << orders[i];
		if (refs[i] == 0) {
			orders[i] = toy_below(&seed, KV_ORDERS);
			refs[i] = kv_heap_alloc(&g.heap, orders[i]);
			size = (size_t)KV_UNIT_SIZE << orders[i];
			if (refs[i] == 0)
				continue;
			CU_ASSERT_EQUAL((refs[i] - 1) % (1u << orders[i]), 0);
			state_modify(&g.state, kv_heap_at(&g.heap, refs[i]), size);
			memset(kv_heap_at(&g.heap, refs[i]), (int)(i % 251), size);
			continue;
		}
		const uint8_t *bytes = kv_heap_at(&g.heap, refs[i]);
		CU_ASSERT_EQUAL(bytes[0], i % 251);
		CU_ASSERT_EQUAL(bytes[size - 1], i % 251);
		if (orders[i] > 0 && toy_below(&seed, 3) == 0) {
			uint32_t order = toy_below(&seed, orders[i]);
			kv_heap_shrink(&g.heap, refs[i], orders[i], order);
			orders[i] = order;
		} else {
			kv_heap_free(&g.heap, refs[i], orders[i]);
			refs[i] = 0;
		}
	}
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (refs[i] != 0)
			kv_heap_free(&g.heap, refs[i], orders[i]);
	}
	CU_ASSERT_EQUAL(g.heap.header->units_used, 0);
	for (uint32_t i = 0; i < SPANS; i++)
		CU_ASSERT_NOT_EQUAL(kv_heap_alloc(&g.heap, KV_ORDER_MAX), 0);
	CU_ASSERT_EQUAL(kv_heap_alloc(&g.heap, 0), 0);
	state_close(&g.state);
}

/* A lone unit is taken from a broken pair, though a whole one comes first. */
static void
heap_keeps_large_blocks_whole(void)
{
	struct grove g;
	uint32_t refs[3];
	grove_open(&g, 2);
	for (uint32_t i = 0; i < 3; i++)
		refs[i] = kv_heap_alloc(&g.heap, 0);
	kv_heap_free(&g.heap, refs[0], 0);
	kv_heap_free(&g.heap, refs[1], 0);
	CU_ASSERT_EQUAL(kv_heap_alloc(&g.heap, 0), refs[2] + 1);
	CU_ASSERT_EQUAL(kv_heap_alloc(&g.heap, 1), refs[0]);
	state_close(&g.state);
}

static uint32_t
grove_record(struct grove *g, uint32_t number)
{
	char bytes[32];
	(void)snprintf(bytes, sizeof(bytes), "%s%08x", number % 3 == 0 ? "same prefix " : "",
	    number * 2654435761u);
	struct kv_key key = kv_key((const uint8_t *)bytes, (uint32_t)strlen(bytes));
	return kv_record_create(&g->heap, &key, 0);
}

/* Insertions and deletions in ascending, descending and random order keep all invariants. */
static void
tree_keeps_its_invariants(void)
{
	enum { RECORDS = 6000 };
	static uint32_t records[RECORDS];
	struct grove g;
	uint64_t seed = 4;
	grove_open(&g, 1000);
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < RECORDS; i++) {
			records[i] = grove_record(&g, i);
			CU_ASSERT(kv_tree_insert(&g.tree, records[i]));
			if (i % 500 == 0)
				kv_tree_check(&g.tree);
		}
		CU_ASSERT_EQUAL(g.tree.header->levels, 3);
		for (uint32_t i = RECORDS; i-- > 0;) {
			uint32_t at = round == 0 ? i : round == 1 ? RECORDS - 1 - i : 0;
			if (round >= 2)
				at = toy_below(&seed, i + 1);
			uint32_t record = records[at];
			struct kv_key key = kv_record_key(&g.heap, record);
			CU_ASSERT_EQUAL(kv_tree_find(&g.tree, &key), record);
			kv_tree_remove(&g.tree, &key);
			CU_ASSERT_EQUAL(kv_tree_find(&g.tree, &key), 0);
			kv_record_free(&g.heap, record);
			if (round >= 2)
				records[at] = records[i];
			if (i % 100 == 0)
				kv_tree_check(&g.tree);
		}
		CU_ASSERT_EQUAL(g.tree.header->count, 0);
		CU_ASSERT_EQUAL(g.heap.header->units_used, 0);
	}
	state_close(&g.state);
}

/* A split that would take two nodes, where there is room for one: nothing changes. */
static void
tree_refuses_without_a_trace(void)
{
	struct grove g;
	uint32_t last = 0;
	uint32_t ref;
	grove_open(&g, 8);
	for (uint32_t i = 0; i < KV_NODE_ENTRIES; i++)
		CU_ASSERT(kv_tree_insert(&g.tree, grove_record(&g, i)));
	uint32_t record = grove_record(&g, KV_NODE_ENTRIES);
	while ((ref = kv_heap_alloc(&g.heap, KV_NODE_ORDER)) != 0)
		last = ref;
	kv_heap_free(&g.heap, last, KV_NODE_ORDER);
	uint64_t used = g.heap.header->units_used;
	CU_ASSERT_FALSE(kv_tree_insert(&g.tree, record));
	CU_ASSERT_EQUAL(g.heap.header->units_used, used);
	CU_ASSERT_EQUAL(g.tree.header->count, KV_NODE_ENTRIES);
	kv_tree_check(&g.tree);
	kv_heap_free(&g.heap, last - (1u << KV_NODE_ORDER), KV_NODE_ORDER);
	CU_ASSERT(kv_tree_insert(&g.tree, record));
	CU_ASSERT_EQUAL(g.tree.header->levels, 2);
	kv_tree_check(&g.tree);
	state_close(&g.state);
}

/* ---- the model --------------------------------------------------------- */

/* One operation on the store and the model. Returns whether they agree. */
static bool
agree(struct rig *rig, struct model *m, const struct kv_op *op, uint32_t key, uint32_t *refusals)
{
	struct kv_reply reply;
	const struct cell *cell = &m->cells[key];
	enum kv_status status = run(rig, op, &reply);
	if (op->kind == KV_SCAN)
		return scan_matches(m, op, key, &reply);
	if (op->kind == KV_GET && !cell->present)
		return status == KV_NOT_FOUND;
	if (op->kind == KV_GET)
		return status == KV_OK && reply.count == cell->size &&
		       memcmp(reply.data, cell->bytes, cell->size) == 0;
	*refusals += status == KV_NO_SPACE ? 1 : 0;
	return model_run(m, op, key, status == KV_NO_SPACE) == status;
}

static uint8_t *
random_bytes(void)
{
	uint64_t seed = 99;
	uint8_t *bytes = malloc(KV_VALUE_SIZE_MAX + 1000);
	for (uint32_t i = 0; i < KV_VALUE_SIZE_MAX + 1000; i++)
		bytes[i] = (uint8_t)toy_random(&seed);
	return bytes;
}

/* 120,000 operations, with marks, checkpoints and rollbacks in between. */
static void
kv_agrees_with_the_model(void)
{
	struct app_options o = {.memory_size = 1 << 20};
	struct rig rig;
	static struct model now, then;
	uint8_t *bytes = random_bytes();
	uint8_t root[DIGEST_SIZE];
	uint64_t seed = 2024;
	uint64_t marked = 0;
	uint32_t refusals = 0;
	names_make();
	rig_open(&rig, "kv", &o);
	for (uint64_t i = 1; i <= 120000; i++) {
		uint32_t key;
		struct kv_op op = random_op(&seed, &now, bytes, &key);
		bool same = agree(&rig, &now, &op, key, &refusals);
		CU_ASSERT_FATAL(same);
		if (i % 400 == 0) {
			state_release(&rig.state, i);
			state_checkpoint(&rig.state, i, root);
			model_copy(&then, &now);
			marked = i;
		} else if (i % 50 == 0) {
			state_mark(&rig.state, i);
		}
		if (marked != 0 && toy_below(&seed, 500) == 0) {
			CU_ASSERT_FATAL(state_rollback(&rig.state, marked));
			model_copy(&now, &then);
			i = marked;
			marked = 0;
		}
	}
	for (uint32_t key = 0; key < KEYS; key++) {
		struct kv_op op = {
		    .kind = KV_GET, .key = names[key].bytes, .key_size = names[key].size};
		CU_ASSERT(agree(&rig, &now, &op, key, &refusals));
	}
	CU_ASSERT(refusals > 100 && refusals < 60000);
	CU_ASSERT(rig.state.statistics.rollbacks > 50);
	model_free(&now);
	model_free(&then);
	free(bytes);
	rig_close(&rig);
}

/* With room for twice the bytes that are stored, no sequence of sizes is refused. */
static void
kv_does_not_fragment(void)
{
	struct app_options o = {.memory_size = 3 << 20};
	struct rig rig;
	static struct model now;
	uint8_t *bytes = random_bytes();
	uint64_t seed = 7;
	uint32_t refusals = 0;
	names_make();
	rig_open(&rig, "kv", &o);
	for (uint32_t i = 0; i < 60000; i++) {
		uint32_t key;
		struct kv_op op = random_op(&seed, &now, bytes, &key);
		if (now.bytes > (5u << 18) && op.kind != KV_GET)
			op.kind = KV_DELETE;
		if (op.value_size > 1u << 19)
			op.value_size = 100;
		CU_ASSERT_FATAL(agree(&rig, &now, &op, key, &refusals));
	}
	CU_ASSERT_EQUAL(refusals, 0);
	CU_ASSERT(now.bytes > 1u << 19);
	model_free(&now);
	free(bytes);
	rig_close(&rig);
}

static void
random_history(struct rig *rig, uint64_t seed, uint32_t count, uint32_t checkpoint_every)
{
	static const struct model empty;
	static uint8_t *bytes;
	static uint8_t root[DIGEST_SIZE];
	static uint64_t seq;
	bytes = random_bytes();
	for (uint32_t i = 1; i <= count; i++) {
		uint32_t key;
		struct kv_reply reply;
		struct kv_op op = random_op(&seed, &empty, bytes, &key);
		(void)run(rig, &op, &reply);
		if (checkpoint_every != 0 && i % checkpoint_every == 0)
			state_checkpoint(&rig->state, ++seq, root);
	}
	free(bytes);
}

static bool
roots_equal(struct rig *a, struct rig *b)
{
	uint8_t roots[2][DIGEST_SIZE];
	state_checkpoint(&a->state, UINT64_MAX, roots[0]);
	state_checkpoint(&b->state, UINT64_MAX, roots[1]);
	return memcmp(roots[0], roots[1], DIGEST_SIZE) == 0;
}

static void
same_history_same_root(void)
{
	struct app_options o = {.memory_size = 4 << 20};
	struct rig a, b, c;
	names_make();
	rig_open(&a, "kv", &o);
	rig_open(&b, "kv", &o);
	rig_open(&c, "kv", &o);
	random_history(&a, 1, 5000, 100);
	random_history(&b, 1, 5000, 0);
	random_history(&c, 1, 5000, 0);
	state_mark(&b.state, UINT64_MAX - 1);
	random_history(&b, 2, 1000, 0); /* a suffix that is undone */
	CU_ASSERT(state_rollback(&b.state, UINT64_MAX - 1));
	CU_ASSERT(roots_equal(&a, &b));
	random_history(&c, 2, 1, 0);
	random_history(&c, 3, 1, 0);
	random_history(&c, 5, 20, 0);
	CU_ASSERT_FALSE(roots_equal(&a, &c));
	rig_close(&a);
	rig_close(&b);
	rig_close(&c);
}

/* A store fetched page by page while its source goes on behaves as the source did. */
static void
transferred_store_behaves_the_same(void)
{
	struct app_options o = {.memory_size = 4 << 20};
	struct rig a, b;
	uint8_t root[DIGEST_SIZE];
	struct state_block wanted[64];
	uint64_t cursor = 0;
	uint32_t count;
	const uint64_t seq = 1ull << 40;
	names_make();
	rig_open(&a, "kv", &o);
	rig_open(&b, "kv", &o);
	random_history(&a, 1, 5000, 500);
	random_history(&b, 9, 3000, 0); /* went another way: all of it must vanish */
	state_checkpoint(&a.state, seq, root);
	random_history(&a, 3, 3000, 0);
	state_transfer_begin(&b.state, seq, root);
	while ((count = state_transfer_next(&b.state, &cursor, wanted, 64)) > 0) {
		for (uint32_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL_FATAL(state_transfer_install(&b.state, &wanted[i],
						  state_block_at(&a.state, seq, &wanted[i])),
			    STATE_INSTALLED);
	}
	state_transfer_end(&b.state);
	random_history(&b, 3, 3000, 0);
	CU_ASSERT(roots_equal(&a, &b));
	rig_close(&a);
	rig_close(&b);
}

static const struct unit_story stories[] = {
    {"the registry knows its names", registry_knows_its_names},
    {"null answers nothing", null_answers_nothing},
    {"echo answers the operation", echo_answers_the_operation},
    {"operations survive encoding", operations_survive_encoding},
    {"nonsense is invalid", nonsense_is_invalid},
    {"kv does what it says", kv_does_what_it_says},
    {"kv scans in order", kv_scans_in_order},
    {"kv bounds values", kv_bounds_values},
    {"space comes back", space_comes_back},
    {"a full store refuses and stays whole", full_store_refuses_and_stays_whole},
    {"heap blocks are apart", heap_blocks_are_apart},
    {"the heap keeps large blocks whole", heap_keeps_large_blocks_whole},
    {"the tree refuses without a trace", tree_refuses_without_a_trace},
    {"the tree keeps its invariants", tree_keeps_its_invariants},
    {"kv agrees with the model", kv_agrees_with_the_model},
    {"kv does not fragment", kv_does_not_fragment},
    {"same history, same root", same_history_same_root},
    {"a transferred store behaves the same", transferred_store_behaves_the_same},
};

UNIT_MAIN("app", stories)
