/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the executor: slices, exactly once, bitmaps, checkpoints, rollback. */
#include "engine/executor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv_op.h"
#include "tests/toy_digest.h"
#include "tests/unit.h"

enum { SLOTS = 64, BATCH_CAPACITY = 4 << 20, RESULTS = 200 };

static uint64_t batch_memory[BATCH_CAPACITY / 8];

static struct executor_options
options_of(const char *app)
{
	return (struct executor_options){
	    .app = app_find(app),
	    .app_options = {.memory_size = 4 << 20},
	    .sessions = {.slots_count = SLOTS, .ring_size = 64 << 10},
	    .scope = {.cluster = 7, .replicas_count = 4, .protocol = 2},
	    .result_size_max = APP_REPLY_SIZE_MAX,
	    .undo_count = 4096,
	    .marks_max = 64,
	    .digester = {.burst = toy_digest_burst},
	};
}

static struct executor *
executor_new(const char *app)
{
	struct executor *e = malloc(sizeof(*e));
	struct executor_options o = options_of(app);
	CU_ASSERT_EQUAL_FATAL(executor_open(e, &o), 0);
	return e;
}

static void
executor_delete(struct executor *e)
{
	executor_close(e);
	free(e);
}

static struct batch
batch_new(void)
{
	return (struct batch){.data = (uint8_t *)batch_memory, .capacity = BATCH_CAPACITY};
}

static void
batch_add(struct batch *b, uint16_t client, uint64_t timestamp, const void *op, uint32_t size)
{
	struct message_header *header = calloc(1, sizeof(*header) + size + MAC_SIZE);
	*header = (struct message_header){
	    .size = (uint32_t)sizeof(*header) + size + MAC_SIZE,
	    .cluster = 7,
	    .sender = client,
	    .protocol = 2,
	    .type = MESSAGE_REQUEST,
	    .proof = PROOF_MAC,
	    .version = MESSAGE_VERSION,
	    .seq = timestamp,
	};
	if (size > 0)
		memcpy(header + 1, op, size);
	struct message m = {.header = header, .body = (uint8_t *)(header + 1)};
	batch_append(b, &m);
	free(header);
}

static void
begin(struct executor *e, const struct batch *b, const uint64_t *valid)
{
	struct executor_batch batch = {
	    .position = executor_position(e) + 1,
	    .data = b->data,
	    .valid = valid,
	    .size = b->size,
	};
	executor_begin(e, &batch);
}

/* Runs a batch whose results fit one slice. */
static uint32_t
run(struct executor *e, const struct batch *b, struct result *results)
{
	begin(e, b, NULL);
	uint32_t count = executor_next(e, results, RESULTS);
	CU_ASSERT(executor_done(e));
	return count;
}

static bool
is(const struct result *r, uint16_t client, uint64_t timestamp, uint16_t flags, const char *data)
{
	return r->client == client && r->timestamp == timestamp && r->flags == flags &&
	       r->size == strlen(data) && (r->size == 0 || memcmp(r->data, data, r->size) == 0);
}

static void
options_are_judged(void)
{
	struct executor *e = malloc(sizeof(*e));
	struct executor_options o = options_of("null");
	o.app = NULL;
	CU_ASSERT_EQUAL(executor_open(e, &o), -EINVAL);
	o = options_of("null");
	o.sessions.slots_count = 0;
	CU_ASSERT_EQUAL(executor_open(e, &o), -EINVAL);
	o = options_of("null");
	o.result_size_max = EXECUTOR_RESULT_SIZE_MIN - 1;
	CU_ASSERT_EQUAL(executor_open(e, &o), -EINVAL);
	o.result_size_max = APP_REPLY_SIZE_MAX + 1;
	CU_ASSERT_EQUAL(executor_open(e, &o), -EINVAL);
	CU_ASSERT_EQUAL(executor_memory_size(&o), 0);
	o = options_of("echo");
	o.app_options.reply_size = APP_REPLY_SIZE_MAX + 1;
	CU_ASSERT_EQUAL(executor_open(e, &o), -EINVAL);
	o = options_of("kv");
	CU_ASSERT(executor_memory_size(&o) > o.app_options.memory_size);
	free(e);
}

static void
every_request_has_its_result(void)
{
	struct executor *e = executor_new("echo");
	struct result r[RESULTS];
	struct batch b = batch_new();
	batch_add(&b, 3, 1, "three", 5);
	batch_add(&b, 9, 1, "nine", 4);
	batch_add(&b, 4, 5, "", 0);
	CU_ASSERT_EQUAL_FATAL(run(e, &b, r), 3);
	CU_ASSERT(is(&r[0], 3, 1, 0, "three"));
	CU_ASSERT(is(&r[1], 9, 1, 0, "nine"));
	CU_ASSERT(is(&r[2], 4, 5, 0, ""));
	CU_ASSERT_EQUAL(executor_next(e, r, RESULTS), 0);
	CU_ASSERT_EQUAL(executor_position(e), 1);
	executor_delete(e);
}

static void
empty_batch_is_a_position(void)
{
	struct executor *e = executor_new("echo");
	struct result r[RESULTS];
	struct batch b = batch_new();
	CU_ASSERT_EQUAL(run(e, &b, r), 0);
	CU_ASSERT_EQUAL(run(e, &b, r), 0);
	CU_ASSERT_EQUAL(executor_position(e), 2);
	executor_delete(e);
}

static void
duplicates_are_answered_not_executed(void)
{
	struct executor *e = executor_new("echo");
	struct result r[RESULTS];
	struct batch b = batch_new();
	batch_add(&b, 3, 7, "first", 5);
	batch_add(&b, 3, 7, "other", 5);  /* twice in one batch */
	batch_add(&b, 3, 8, "second", 6); /* replaces the entry: the answer above must hold */
	batch_add(&b, 3, 7, "first", 5);
	CU_ASSERT_EQUAL_FATAL(run(e, &b, r), 4);
	CU_ASSERT(is(&r[0], 3, 7, 0, "first"));
	CU_ASSERT(is(&r[1], 3, 7, RESULT_DUPLICATE, "first"));
	CU_ASSERT(is(&r[2], 3, 8, 0, "second"));
	CU_ASSERT(is(&r[3], 3, 7, RESULT_STALE, ""));
	b = batch_new();
	batch_add(&b, 3, 8, "again", 5);
	CU_ASSERT_EQUAL_FATAL(run(e, &b, r), 1);
	CU_ASSERT(is(&r[0], 3, 8, RESULT_DUPLICATE, "second"));
	CU_ASSERT_EQUAL(e->statistics.executed, 2);
	CU_ASSERT_EQUAL(e->statistics.duplicates, 2);
	CU_ASSERT_EQUAL(e->statistics.stale, 1);
	executor_delete(e);
}

static void
what_is_not_authentic_is_skipped(void)
{
	struct executor *e = executor_new("echo");
	struct result r[RESULTS];
	struct batch b = batch_new();
	uint64_t valid[2] = {UINT64_MAX, UINT64_MAX};
	for (uint16_t i = 0; i < 100; i++)
		batch_add(&b, i % SLOTS, 1 + i / SLOTS, &i, 2);
	valid[0] &= ~(1ull << 5);
	valid[1] &= ~(1ull << 33); /* request 97: slot 33, timestamp 2 */
	begin(e, &b, valid);
	uint32_t count = executor_next(e, r, RESULTS);
	CU_ASSERT(executor_done(e));
	CU_ASSERT_EQUAL_FATAL(count, 98);
	CU_ASSERT_EQUAL(r[4].client, 4);
	CU_ASSERT_EQUAL(r[5].client, 6);
	CU_ASSERT_EQUAL(r[95].client, 32);
	CU_ASSERT_EQUAL(r[96].client, 34);
	struct result found;
	CU_ASSERT_FALSE(executor_recall(e, 33, 2, &found));
	CU_ASSERT(executor_recall(e, 33, 1, &found));
	CU_ASSERT_EQUAL(e->statistics.invalid, 2);
	/* The next batch's bitmap begins with its own first request. */
	b = batch_new();
	for (uint16_t i = 0; i < 3; i++)
		batch_add(&b, 50 + i, 9, &i, 2);
	valid[0] = ~1ull;
	valid[1] = 0;
	begin(e, &b, valid);
	CU_ASSERT_EQUAL_FATAL(executor_next(e, r, RESULTS), 2);
	CU_ASSERT_EQUAL(r[0].client, 51);
	CU_ASSERT_EQUAL(r[1].client, 52);
	CU_ASSERT(executor_done(e));
	executor_delete(e);
}

static void
hostile_batches_are_survived(void)
{
	struct executor *e = executor_new("kv");
	struct result r[RESULTS];
	struct batch b = batch_new();
	batch_add(&b, SLOTS, 1, "x", 1); /* no such slot */
	batch_add(&b, UINT16_MAX, UINT64_MAX, "x", 1);
	batch_add(&b, 1, 1, "garbage", 7);
	uint32_t good = b.size;
	batch_add(&b, 2, 1, "lost", 4);
	CU_ASSERT_EQUAL(run(e, &b, r), 2);
	CU_ASSERT_EQUAL(e->statistics.slots_unknown, 2);
	CU_ASSERT_EQUAL(e->statistics.batches_malformed, 0);
	/* Every truncation, in memory of exactly its size. */
	uint64_t timestamp = 2;
	for (uint32_t size = 0; size < b.size; size++) {
		uint8_t *copy = malloc(size + 1);
		memcpy(copy, b.data, size);
		if (size >= 264)
			memcpy(copy + 176 + 24, &timestamp, 8); /* the third request's */
		timestamp++;
		struct executor_batch cut = {
		    .position = executor_position(e) + 1, .data = copy, .size = size};
		executor_begin(e, &cut);
		CU_ASSERT(executor_next(e, r, RESULTS) <= 1);
		CU_ASSERT(executor_done(e));
		free(copy);
	}
	CU_ASSERT(good < b.size);
	/* Every byte of the headers mutated. */
	for (uint32_t at = 0; at < b.size; at++) {
		b.data[at] ^= (uint8_t)(1u << at % 8);
		CU_ASSERT(run(e, &b, r) <= 4);
		b.data[at] ^= (uint8_t)(1u << at % 8);
	}
	CU_ASSERT(e->statistics.batches_malformed > 100);
	executor_delete(e);
}

static void
large_batches_come_in_slices(void)
{
	struct executor *e = executor_new("echo");
	struct result r[7];
	struct batch b = batch_new();
	for (uint16_t i = 0; i < SLOTS; i++)
		batch_add(&b, i, 9, &i, 2);
	begin(e, &b, NULL);
	uint16_t next = 0;
	uint32_t count;
	while ((count = executor_next(e, r, 7)) > 0) {
		CU_ASSERT(count == 7 || executor_done(e));
		for (uint32_t i = 0; i < count; i++, next++) {
			CU_ASSERT_EQUAL(r[i].client, next);
			CU_ASSERT_EQUAL(memcmp(r[i].data, &next, 2), 0);
		}
	}
	CU_ASSERT_EQUAL(next, SLOTS);
	executor_delete(e);
}

static void
large_replies_fill_slices(void)
{
	struct executor *e = malloc(sizeof(*e));
	struct executor_options o = options_of("echo");
	o.app_options.reply_size = 1 << 20;
	CU_ASSERT_EQUAL_FATAL(executor_open(e, &o), 0);
	struct result r[RESULTS];
	struct batch b = batch_new();
	for (uint16_t i = 0; i < 10; i++)
		batch_add(&b, i, 1, &i, 2);
	begin(e, &b, NULL);
	uint16_t seen = 0;
	uint32_t count;
	while ((count = executor_next(e, r, RESULTS)) > 0) {
		CU_ASSERT(count <= 2);
		for (uint32_t i = 0; i < count; i++, seen++) {
			CU_ASSERT_EQUAL(r[i].size, 1 << 20);
			CU_ASSERT_EQUAL(memcmp(r[i].data + (1 << 20) - 2, &seen, 2), 0);
		}
	}
	CU_ASSERT_EQUAL(seen, 10);
	/* Too large for the ring of replies: executed once all the same. */
	struct result found;
	CU_ASSERT(executor_recall(e, 3, 1, &found));
	CU_ASSERT_EQUAL(found.flags, RESULT_DUPLICATE | RESULT_LOST);
	CU_ASSERT_EQUAL(run(e, &b, r), 10);
	CU_ASSERT_EQUAL(r[9].flags, RESULT_DUPLICATE | RESULT_LOST);
	CU_ASSERT_EQUAL(r[9].size, 0);
	CU_ASSERT_EQUAL(e->statistics.lost, 10);
	executor_delete(e);
}

static void
replies_are_recalled(void)
{
	struct executor *e = executor_new("echo");
	struct result r[RESULTS];
	struct result found;
	struct batch b = batch_new();
	batch_add(&b, 3, 7, "seven", 5);
	run(e, &b, r);
	CU_ASSERT(executor_recall(e, 3, 7, &found));
	CU_ASSERT(is(&found, 3, 7, RESULT_DUPLICATE, "seven"));
	CU_ASSERT_FALSE(executor_recall(e, 3, 8, &found));
	CU_ASSERT_FALSE(executor_recall(e, 4, 1, &found));
	CU_ASSERT_FALSE(executor_recall(e, UINT16_MAX, 1, &found));
	CU_ASSERT(executor_recall(e, 3, 6, &found));
	CU_ASSERT(is(&found, 3, 6, RESULT_STALE, ""));
	executor_delete(e);
}

/* Replies that together are more than the ring holds: the older one is lost, and says so. */
static void
lost_reply_is_recalled_as_lost(void)
{
	enum { LARGE = 40 << 10 };
	static uint8_t op[LARGE];
	struct executor *e = executor_new("echo");
	struct result r[RESULTS];
	struct result found;
	for (uint16_t client = 1; client <= 2; client++) {
		struct batch b = batch_new();
		batch_add(&b, client, 7, op, LARGE);
		CU_ASSERT_EQUAL_FATAL(run(e, &b, r), 1);
	}
	CU_ASSERT(executor_recall(e, 2, 7, &found));
	CU_ASSERT_EQUAL(found.flags, RESULT_DUPLICATE);
	CU_ASSERT_EQUAL(found.size, LARGE);
	CU_ASSERT(executor_recall(e, 1, 7, &found));
	CU_ASSERT_EQUAL(found.flags, RESULT_DUPLICATE | RESULT_LOST);
	CU_ASSERT_EQUAL(found.size, 0);
	CU_ASSERT_PTR_NULL(found.data);
	executor_delete(e);
}

/* What an observer was told. */
struct seen {
	uint64_t batches;  /* each position once, in order */
	uint64_t position; /* of the last checkpoint */
	uint8_t digest32[DIGEST_SIZE];
};

static void
seen_batch(void *context, const struct executor_batch *batch)
{
	struct seen *seen = context;
	CU_ASSERT_EQUAL(batch->position, seen->batches + 1);
	seen->batches++;
}

static void
seen_checkpoint(void *context, uint64_t position, const uint8_t *digest32)
{
	struct seen *seen = context;
	seen->position = position;
	memcpy(seen->digest32, digest32, DIGEST_SIZE);
}

static void
observer_sees_batches_and_checkpoints(void)
{
	struct seen seen = {0};
	const struct executor_observer observer = {&seen, seen_batch, seen_checkpoint, NULL};
	struct executor *e = malloc(sizeof(*e));
	struct executor_options o = options_of("echo");
	struct result r[RESULTS];
	uint8_t digest32[DIGEST_SIZE];
	o.observer = &observer;
	CU_ASSERT_EQUAL_FATAL(executor_open(e, &o), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		struct batch b = batch_new();
		batch_add(&b, 1, i, "op", 2);
		run(e, &b, r);
		CU_ASSERT_EQUAL(seen.batches, i);
	}
	CU_ASSERT_EQUAL(e->statistics.batches, 3);
	executor_checkpoint(e, 3, digest32);
	CU_ASSERT_EQUAL(seen.position, 3);
	CU_ASSERT_EQUAL(memcmp(seen.digest32, digest32, DIGEST_SIZE), 0);
	executor_delete(e);
}

static uint32_t
kv(uint8_t *op, enum kv_kind kind, const char *key, const char *value)
{
	struct kv_op o = {
	    .kind = kind,
	    .key = (const uint8_t *)key,
	    .key_size = (uint32_t)strlen(key),
	    .value = (const uint8_t *)value,
	    .value_size = (uint32_t)strlen(value),
	};
	return kv_op_encode(&o, op, 256);
}

static bool
kv_is(struct executor *e, const char *key, const char *value)
{
	uint8_t op[256];
	struct result r;
	struct kv_reply reply;
	uint32_t size = kv(op, KV_GET, key, "");
	if (executor_execute_read_only(e, op, size, &r) != EXECUTOR_READ_DONE ||
	    !kv_reply_decode(r.data, r.size, &reply))
		return false;
	if (value == NULL)
		return reply.status == KV_NOT_FOUND;
	return reply.status == KV_OK && reply.count == strlen(value) &&
	       memcmp(reply.data, value, reply.count) == 0;
}

static void
kv_do(struct executor *e, uint64_t timestamp, enum kv_kind kind, const char *value)
{
	uint8_t op[256];
	struct result r[RESULTS];
	struct batch b = batch_new();
	batch_add(&b, 1, timestamp, op, kv(op, kind, "key", value));
	CU_ASSERT_EQUAL(run(e, &b, r), 1);
}

static void
read_only_leaves_no_trace(void)
{
	struct executor *e = executor_new("kv");
	uint8_t op[256];
	uint8_t digests[2][DIGEST_SIZE];
	struct result r;
	kv_do(e, 1, KV_PUT, "value");
	executor_checkpoint(e, 1, digests[0]);
	CU_ASSERT(kv_is(e, "key", "value"));
	CU_ASSERT(kv_is(e, "none", NULL));
	CU_ASSERT_EQUAL(
	    executor_execute_read_only(e, op, kv(op, KV_PUT, "k", "v"), &r), EXECUTOR_READ_WRITES);
	executor_checkpoint(e, 1, digests[1]);
	CU_ASSERT_EQUAL(memcmp(digests[0], digests[1], DIGEST_SIZE), 0);
	struct batch b = batch_new();
	batch_add(&b, 1, 2, "x", 1);
	begin(e, &b, NULL);
	CU_ASSERT_EQUAL(
	    executor_execute_read_only(e, op, kv(op, KV_GET, "key", ""), &r), EXECUTOR_READ_BUSY);
	executor_delete(e);
}

/* Tentative execution: a suffix is undone and another one takes its place. */
static void
rollback_then_another_history(void)
{
	struct executor *a = executor_new("kv");
	struct executor *b = executor_new("kv");
	uint8_t digests[2][DIGEST_SIZE];
	kv_do(a, 1, KV_PUT, "one");
	executor_mark(a, 1);
	kv_do(a, 2, KV_APPEND, "+wrong");
	executor_mark(a, 2);
	kv_do(a, 3, KV_DELETE, "");
	CU_ASSERT(kv_is(a, "key", NULL));
	CU_ASSERT(executor_rollback(a, 2));
	CU_ASSERT(kv_is(a, "key", "one+wrong"));
	CU_ASSERT(executor_rollback(a, 1));
	CU_ASSERT(kv_is(a, "key", "one"));
	CU_ASSERT_FALSE(executor_rollback(a, 2));
	CU_ASSERT_EQUAL(executor_position(a), 1);
	kv_do(a, 2, KV_APPEND, "+right");
	kv_do(b, 1, KV_PUT, "one");
	kv_do(b, 2, KV_APPEND, "+right");
	CU_ASSERT(kv_is(a, "key", "one+right"));
	executor_checkpoint(a, 2, digests[0]);
	executor_checkpoint(b, 2, digests[1]);
	CU_ASSERT_EQUAL(memcmp(digests[0], digests[1], DIGEST_SIZE), 0);
	executor_release(a, 2);
	CU_ASSERT_FALSE(executor_rollback(a, 1));
	executor_delete(a);
	executor_delete(b);
}

static void
sessions_are_in_the_digest(void)
{
	struct executor *a = executor_new("null");
	struct executor *b = executor_new("null");
	struct result r[RESULTS];
	uint8_t digests[2][DIGEST_SIZE];
	struct batch batch = batch_new();
	batch_add(&batch, 5, 1, "", 0);
	run(a, &batch, r);
	batch = batch_new();
	batch_add(&batch, 5, 2, "", 0);
	run(b, &batch, r);
	executor_checkpoint(a, 1, digests[0]);
	executor_checkpoint(b, 1, digests[1]);
	CU_ASSERT_NOT_EQUAL(memcmp(digests[0], digests[1], DIGEST_SIZE), 0);
	executor_delete(a);
	executor_delete(b);
}

/* A fresh replica fetches a checkpoint of one that goes on, and then follows it. */
static void
transferred_state_goes_on_alike(void)
{
	struct executor *a = executor_new("kv");
	struct executor *b = executor_new("kv");
	uint8_t digests[2][DIGEST_SIZE];
	struct state_block wanted[8];
	uint64_t cursor = 0;
	uint32_t count;
	for (uint64_t t = 1; t <= 50; t++)
		kv_do(a, t, KV_APPEND, "0123456789");
	executor_checkpoint(a, 50, digests[0]);
	kv_do(a, 51, KV_APPEND, "after");
	state_transfer_begin(&b->state, 50, digests[0]);
	while ((count = state_transfer_next(&b->state, &cursor, wanted, 8)) > 0) {
		for (uint32_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL_FATAL(state_transfer_install(&b->state, &wanted[i],
						  state_block_at(&a->state, 50, &wanted[i])),
			    STATE_INSTALLED);
	}
	state_transfer_end(&b->state);
	CU_ASSERT_EQUAL(executor_position(b), 50);
	struct result found;
	CU_ASSERT(executor_recall(b, 1, 50, &found));
	kv_do(b, 51, KV_APPEND, "after");
	executor_checkpoint(a, 51, digests[0]);
	executor_checkpoint(b, 51, digests[1]);
	CU_ASSERT_EQUAL(memcmp(digests[0], digests[1], DIGEST_SIZE), 0);
	executor_delete(a);
	executor_delete(b);
}

static const struct unit_story stories[] = {
    {"options are judged", options_are_judged},
    {"every request has its result", every_request_has_its_result},
    {"the empty batch is a position", empty_batch_is_a_position},
    {"duplicates are answered, not executed", duplicates_are_answered_not_executed},
    {"what is not authentic is skipped", what_is_not_authentic_is_skipped},
    {"hostile batches are survived", hostile_batches_are_survived},
    {"large batches come in slices", large_batches_come_in_slices},
    {"large replies fill slices", large_replies_fill_slices},
    {"replies are recalled", replies_are_recalled},
    {"a lost reply is recalled as lost", lost_reply_is_recalled_as_lost},
    {"an observer sees batches and checkpoints", observer_sees_batches_and_checkpoints},
    {"read-only leaves no trace", read_only_leaves_no_trace},
    {"rollback, then another history", rollback_then_another_history},
    {"sessions are in the digest", sessions_are_in_the_digest},
    {"transferred state goes on alike", transferred_state_goes_on_alike},
};

UNIT_MAIN("executor", stories)
