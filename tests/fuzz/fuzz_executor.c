/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the key-value application through the executor. The input is a
 * program: operations (well formed or raw), requests with raw headers, batches
 * run in slices and under bitmaps, marks, checkpoints, rollbacks, releases,
 * recalled replies and reads out of order, on a region that is soon full. What
 * must hold: replies decode; a read leaves no trace; a rollback brings the
 * state back bit for bit; equal states have equal digests.
 */
#include "engine/executor.h"
#include "engine/kv_op.h"
#include "fuzz.h"
#include "tests/toy_digest.h"

enum {
	SLOTS = 8,
	BATCH_CAPACITY = 16 * 1024,
	RESULT_MAX = 1024,
	RESULTS = 8,
	NAMES_MAX = 64,
	OP_SIZE_MAX = 3000
};

/* What was known of the state at a position when it was named. */
struct name {
	uint64_t position;
	uint8_t *content; /* of the region */
};

struct world {
	struct fuzz_reader in;
	struct executor executor;
	struct batch batch;
	uint64_t timestamps[SLOTS];
	uint32_t names_count;
	struct name names[NAMES_MAX];
};

static const struct message_scope scope = {.cluster = 7, .replicas_count = 4, .protocol = 2};

/* The whole region as it is now, in `copy`; memory is taken with the first. */
static void
content_keep(const struct executor *e, uint8_t **copy)
{
	if (*copy == NULL)
		*copy = malloc(e->state.size);
	check(*copy != NULL);
	memcpy(*copy, e->state.base, e->state.size);
}

static bool
content_is(const struct executor *e, const uint8_t *copy)
{
	return memcmp(copy, e->state.base, e->state.size) == 0;
}

/* Writes an operation to `op`; returns its size. */
static uint32_t
op_make(struct world *w, uint8_t op[OP_SIZE_MAX])
{
	uint32_t how = (uint32_t)fuzz_take(&w->in, 1);
	if (how >> 3 == 31) {
		uint32_t size = fuzz_below(&w->in, 64);
		fuzz_take_bytes(&w->in, op, size);
		return size;
	}
	static const uint8_t fill[1024];
	uint8_t key[KV_KEY_SIZE_MAX] = {0};
	key[0] = (uint8_t)fuzz_take(&w->in, 1);
	struct kv_op o = {
	    .kind = (enum kv_kind)(1 + (how & 7) % 6),
	    .key = key,
	    .key_size = how & 64 ? 1 + key[0] % KV_KEY_SIZE_MAX : 1,
	    .value = fill,
	    .expected = fill,
	    .limit = 1 + (how >> 3 & 7),
	};
	o.value_size = kv_kind_has_value((uint8_t)o.kind) ? fuzz_below(&w->in, 1024) : 0;
	if (o.kind == KV_CAS)
		o.expected_size = how & 8 ? KV_EXPECTED_ABSENT : fuzz_below(&w->in, 1024);
	return kv_op_encode(&o, op, OP_SIZE_MAX);
}

static void
request_add(struct world *w)
{
	uint8_t op[OP_SIZE_MAX];
	uint32_t how = (uint32_t)fuzz_take(&w->in, 1);
	uint32_t slot = how % (SLOTS + 1); /* one of them does not exist */
	uint32_t size = op_make(w, op);
	struct message_header *h = calloc(1, sizeof(*h) + size);
	check(h != NULL);
	uint64_t timestamp = slot < SLOTS ? w->timestamps[slot] : 1;
	if (how & 16)
		timestamp = fuzz_take(&w->in, 8);
	else if ((how & 32) == 0)
		timestamp++;
	if (slot < SLOTS)
		w->timestamps[slot] = timestamp;
	*h = (struct message_header){.size = (uint32_t)sizeof(*h) + size,
	    .cluster = 7,
	    .sender = (uint16_t)slot,
	    .protocol = 2,
	    .type = MESSAGE_REQUEST,
	    .version = MESSAGE_VERSION,
	    .seq = timestamp};
	if (size > 0)
		memcpy(h + 1, op, size);
	struct message m = {.header = h, .body = (uint8_t *)(h + 1), .body_size = size};
	if (batch_fits(&w->batch, &m))
		batch_append(&w->batch, &m);
	free(h);
}

/* Raw bytes where a request's header or its operation is expected. */
static void
request_damage(struct world *w)
{
	if (w->batch.size == 0)
		return;
	uint32_t at = fuzz_below(&w->in, w->batch.size);
	w->batch.data[at] = (uint8_t)fuzz_take(&w->in, 1);
}

static void
result_check(const struct result *r)
{
	struct kv_reply reply;
	struct kv_scan_record record;
	check(r->size <= RESULT_MAX);
	if ((r->flags & (RESULT_STALE | RESULT_LOST)) != 0) {
		check(r->size == 0);
		return;
	}
	fuzz_touch(r->data, r->size);
	check(kv_reply_decode(r->data, r->size, &reply));
	while (kv_scan_next(&reply, &record)) {
	}
}

static void
batch_run(struct world *w)
{
	uint64_t valid[BATCH_CAPACITY / 64 / 64 + 1];
	uint32_t how = (uint32_t)fuzz_take(&w->in, 1);
	struct result results[RESULTS];
	/* Exactly as large as it is said to be; what is cut off is somebody's mistake. */
	uint32_t cut = how & 4 ? fuzz_below(&w->in, 9) : 0;
	uint32_t size = w->batch.size > cut ? w->batch.size - cut : 0;
	uint8_t *data = fuzz_copy(w->batch.data, size);
	memset(valid, 0xff, sizeof(valid));
	if (how & 1)
		fuzz_take_bytes(&w->in, valid, 2);
	struct executor_batch batch = {.position = executor_position(&w->executor) + 1,
	    .data = data,
	    .size = size,
	    .valid = how & 2 ? NULL : valid};
	executor_begin(&w->executor, &batch);
	uint32_t count;
	uint32_t capacity = 1 + (how >> 4) % RESULTS;
	while ((count = executor_next(&w->executor, results, capacity)) > 0) {
		check(count <= capacity);
		for (uint32_t i = 0; i < count; i++) {
			check(results[i].client < SLOTS);
			result_check(&results[i]);
		}
	}
	check(executor_done(&w->executor));
	free(data);
	w->batch.size = 0;
	w->batch.count = 0;
}

static void
name_add(struct world *w)
{
	uint64_t position = executor_position(&w->executor);
	if (w->names_count > 0 && w->names[w->names_count - 1].position == position) {
		check(content_is(&w->executor, w->names[w->names_count - 1].content));
	} else if (w->names_count < NAMES_MAX) {
		struct name *name = &w->names[w->names_count++];
		name->position = position;
		content_keep(&w->executor, &name->content);
	}
}

static void
checkpoint(struct world *w)
{
	uint8_t once[DIGEST_SIZE];
	uint8_t again[DIGEST_SIZE];
	uint64_t position = executor_position(&w->executor);
	name_add(w);
	executor_checkpoint(&w->executor, position, once);
	executor_checkpoint(&w->executor, position, again);
	check(memcmp(once, again, sizeof(once)) == 0);
}

/* To a position that was named, mostly. Names above it are gone. */
static void
rollback(struct world *w)
{
	uint32_t which = fuzz_below(&w->in, NAMES_MAX);
	uint64_t position = which < w->names_count ? w->names[which].position : which;
	uint64_t before = executor_position(&w->executor);
	if (!executor_rollback(&w->executor, position)) {
		check(executor_position(&w->executor) == before);
		return;
	}
	check(executor_position(&w->executor) == position);
	bool known = false;
	for (uint32_t i = 0; i < w->names_count; i++) {
		if (w->names[i].position != position)
			continue;
		known = true;
		check(content_is(&w->executor, w->names[i].content));
	}
	check(known);
	while (w->names_count > 0 && w->names[w->names_count - 1].position > position)
		w->names_count--;
}

static void
read_only(struct world *w)
{
	uint8_t op[OP_SIZE_MAX];
	uint32_t size = op_make(w, op);
	uint8_t *copy = fuzz_copy(op, size);
	struct result result = {0};
	static uint8_t *before;
	content_keep(&w->executor, &before);
	enum executor_read read = executor_execute_read_only(&w->executor, copy, size, &result);
	check(read != EXECUTOR_READ_BUSY);
	if (read == EXECUTOR_READ_DONE)
		result_check(&result);
	check(content_is(&w->executor, before));
	free(copy);
}

static void
recall(struct world *w)
{
	struct result result;
	uint16_t client = (uint16_t)fuzz_below(&w->in, SLOTS + 1);
	uint64_t timestamp = client < SLOTS ? w->timestamps[client] : 1;
	timestamp += fuzz_below(&w->in, 3) - 1u;
	if (executor_recall(&w->executor, client, timestamp, &result))
		result_check(&result);
}

static void
run(struct world *w)
{
	while (w->in.size > 0) {
		switch (fuzz_below(&w->in, 12)) {
		case 0:
			request_damage(w);
			break;
		case 1:
		case 2:
			batch_run(w);
			break;
		case 3:
			name_add(w);
			executor_mark(&w->executor, executor_position(&w->executor));
			break;
		case 4:
			checkpoint(w);
			break;
		case 5:
			rollback(w);
			break;
		case 6:
			if (w->names_count > 0)
				executor_release(&w->executor,
				    w->names[fuzz_below(&w->in, w->names_count)].position);
			break;
		case 7:
			read_only(w);
			break;
		case 8:
			recall(w);
			break;
		default:
			request_add(w);
			break;
		}
	}
	batch_run(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static uint64_t memory[BATCH_CAPACITY / 8];
	static struct world w;
	const struct executor_options options = {
	    .app = app_find("kv"),
	    .app_options = {.memory_size = 16 << 10, .hash_seed = 3},
	    .sessions = {.slots_count = SLOTS, .ring_size = 2048},
	    .scope = scope,
	    .result_size_max = RESULT_MAX,
	    .undo_count = 64,
	    .marks_max = 4,
	    .digester = {.burst = toy_digest_burst},
	};
	w.in = (struct fuzz_reader){bytes, size};
	w.batch = (struct batch){.data = (uint8_t *)memory, .capacity = BATCH_CAPACITY};
	w.names_count = 0;
	memset(w.timestamps, 0, sizeof(w.timestamps));
	check(executor_open(&w.executor, &options) == 0);
	run(&w);
	executor_close(&w.executor);
	return 0;
}
