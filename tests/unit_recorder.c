/* SPDX-License-Identifier: Apache-2.0 */
/* Recorders and the replica's log: which operation was executed at which place. */
#include "engine/recorder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/batch.h"
#include "engine/kv_op.h"
#include "tests/unit.h"

enum { SLOTS = 4, OP_SIZE_MAX = 128, BATCH_CAPACITY = 4096 };

static const struct message_scope scope = {.cluster = 7, .replicas_count = 4, .protocol = 2};
static uint64_t time_now;

static uint64_t
time_next(void *context)
{
	(void)context;
	return ++time_now;
}

/* ---- A workload that asks what the story says ----------------------------- */

static struct kv_op op_next;

static void
next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	(void)w;
	(void)slot;
	op->size = kv_op_encode(&op_next, op->data, op->capacity);
	CU_ASSERT_FATAL(op->size > 0);
}

static enum workload_verdict
judge(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	(void)w;
	(void)slot;
	(void)result;
	(void)size;
	return WORKLOAD_RIGHT;
}

static void
close_nothing(struct workload *w)
{
	(void)w;
}

static struct workload story_workload = {
    .next = next,
    .judge = judge,
    .close = close_nothing,
    .slots_count = SLOTS,
};

/* ---- The rig: one recorder, one log --------------------------------------- */

struct rig {
	struct recorder *recorder;
	struct recorder_log *log;
	uint64_t position;
	struct batch batch;
	uint64_t memory[BATCH_CAPACITY / 8];
};

static void
rig_open(struct rig *r)
{
	*r = (struct rig){.batch = {.capacity = BATCH_CAPACITY}};
	r->batch.data = (uint8_t *)r->memory;
	r->recorder = recorder_open(&story_workload, time_next, NULL);
	r->log = recorder_log_open(&scope, SLOTS);
	CU_ASSERT_FATAL(r->recorder != NULL && r->log != NULL);
}

/* A put of `value`, or a get (NULL), of the one key. */
static struct kv_op
op_of(const char *value)
{
	return (struct kv_op){
	    .kind = value != NULL ? KV_PUT : KV_GET,
	    .key = (const uint8_t *)"k",
	    .key_size = 1,
	    .value = (const uint8_t *)value,
	    .value_size = value != NULL ? (uint32_t)strlen(value) : 0,
	};
}

/* The slot asks, and is answered at once: a put OK, a get that there is nothing. */
static void
ask(struct rig *r, uint32_t slot, const char *value)
{
	uint8_t data[OP_SIZE_MAX];
	uint8_t reply[KV_REPLY_HEADER_SIZE];
	struct workload_op op = {.data = data, .capacity = sizeof(data)};
	struct workload *w = recorder_workload(r->recorder);
	op_next = op_of(value);
	w->next(w, slot, &op);
	kv_reply_encode(reply, value != NULL ? KV_OK : KV_NOT_FOUND, 0);
	CU_ASSERT_EQUAL(w->judge(w, slot, reply, sizeof(reply)), WORKLOAD_RIGHT);
}

static void
order(struct rig *r, uint16_t slot, uint64_t timestamp, const char *value)
{
	struct {
		struct message_header header;
		uint8_t body[OP_SIZE_MAX];
	} request = {0};
	struct kv_op op = op_of(value);
	uint32_t size = kv_op_encode(&op, request.body, sizeof(request.body));
	request.header = (struct message_header){
	    .size = (uint32_t)sizeof(request.header) + size,
	    .cluster = scope.cluster,
	    .sender = slot,
	    .protocol = scope.protocol,
	    .type = MESSAGE_REQUEST,
	    .proof = PROOF_NONE,
	    .version = MESSAGE_VERSION,
	    .seq = timestamp,
	};
	struct message m = {.header = &request.header, .body = request.body, .body_size = size};
	batch_append(&r->batch, &m);
}

/* What was ordered since the last batch is one batch, executed at the next position. */
static void
execute(struct rig *r)
{
	const struct executor_observer *observer = recorder_log_observer(r->log);
	struct executor_batch batch = {
	    .position = ++r->position, .data = r->batch.data, .size = r->batch.size};
	observer->batch(observer->context, &batch);
	r->batch.size = r->batch.count = 0;
}

static uint64_t
place(uint64_t position, uint64_t index)
{
	return (position << RECORDER_BATCH_SHIFT) + index;
}

/* Closes the rig; the history has these places, in the order in which was asked. */
static void
expect_places(struct rig *r, const uint64_t *places, size_t count)
{
	char path[] = "/tmp/oskr-recorder-XXXXXX";
	struct history h;
	struct history_error error;
	int file = mkstemp(path);
	CU_ASSERT_FATAL(file >= 0);
	close(file);
	CU_ASSERT_EQUAL_FATAL(recorder_save(&r->recorder, 1, r->log, path), 0);
	history_init(&h, 100);
	CU_ASSERT_EQUAL_FATAL(history_load(&h, path, &error), 0);
	unlink(path);
	CU_ASSERT_EQUAL_FATAL(h.ops_count, count);
	/* The file has the newest first. */
	for (size_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(h.ops[count - 1 - i].seq, places[i]);
		CU_ASSERT(h.ops[i].response_ns != HISTORY_PENDING);
	}
	history_free(&h);
	workload_close(recorder_workload(r->recorder));
	recorder_log_close(r->log);
}

#define EXPECT_PLACES(rig, ...)                                                                  \
	do {                                                                                     \
		const uint64_t places_expected[] = {__VA_ARGS__};                                \
		expect_places(                                                                   \
		    rig, places_expected, sizeof(places_expected) / sizeof(places_expected[0])); \
	} while (0)

/* ---- Stories -------------------------------------------------------------- */

static void
places_are_found(void)
{
	struct rig r;
	rig_open(&r);
	ask(&r, 1, "a");
	ask(&r, 2, "a");
	ask(&r, 1, NULL);
	ask(&r, 1, NULL);
	order(&r, 2, 1, "a");
	order(&r, 1, 1, "a");
	execute(&r);
	order(&r, 1, 2, NULL);
	execute(&r);
	order(&r, 1, 2, NULL); /* a duplicate is not executed */
	order(&r, 1, 3, NULL);
	execute(&r);
	EXPECT_PLACES(&r, place(1, 1), place(1, 0), place(2, 0), place(3, 1));
}

/* A read that was not answered beside the order is asked again under a new timestamp,
 * so the timestamps of what follows are ahead of the operations' numbers. */
static void
reads_take_timestamps(void)
{
	struct rig r;
	rig_open(&r);
	recorder_log_reads_apart(r.log);
	ask(&r, 1, "a");
	ask(&r, 1, NULL);
	ask(&r, 1, "b");
	ask(&r, 1, NULL);
	ask(&r, 1, NULL);
	ask(&r, 1, "c");
	order(&r, 1, 1, "a");
	execute(&r);
	order(&r, 1, 3, NULL); /* 2 was the first try */
	order(&r, 1, 4, "b");
	execute(&r);
	order(&r, 1, 6, NULL); /* 5 again; 7 is answered beside the order */
	order(&r, 1, 8, "c");
	execute(&r);
	EXPECT_PLACES(&r, place(1, 0), 0, place(2, 1), 0, 0, place(3, 1));
}

/* What the replica did not execute itself, for it fetched the state, has no place, be
 * it the same as what was asked before. */
static void
gaps_stay_gaps(void)
{
	struct rig r;
	rig_open(&r);
	ask(&r, 1, "a");
	ask(&r, 1, "b");
	ask(&r, 1, "a");
	ask(&r, 1, "d");
	order(&r, 1, 1, "a");
	execute(&r);
	r.position = 8; /* the state after 8 came from others */
	order(&r, 1, 4, "d");
	execute(&r);
	EXPECT_PLACES(&r, place(1, 0), 0, 0, place(9, 0));
}

static void
what_was_undone_is_struck(void)
{
	struct rig r;
	rig_open(&r);
	ask(&r, 1, "a");
	ask(&r, 2, "b");
	order(&r, 1, 1, "a");
	execute(&r);
	order(&r, 2, 1, "b");
	execute(&r);
	r.position = 0;
	order(&r, 2, 1, "b");
	execute(&r);
	order(&r, 1, 1, "a");
	execute(&r);
	EXPECT_PLACES(&r, place(2, 0), place(1, 0));
}

static const struct unit_story stories[] = {
    {"places are found", places_are_found},
    {"reads take timestamps", reads_take_timestamps},
    {"gaps stay gaps", gaps_stay_gaps},
    {"what was undone is struck", what_was_undone_is_struck},
};

UNIT_MAIN("recorder", stories)
