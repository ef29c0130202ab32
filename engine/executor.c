/* SPDX-License-Identifier: Apache-2.0 */
/* Runs ordered batches. See executor.h. The executor's core. */
#include "engine/executor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

enum { RESULTS_SIZE_MIN = 256 * 1024 };

static const uint64_t header_magic = 0x3130657461747300; /* "\0state01" */

static bool options_valid(const struct executor_options *options);
static struct state_options state_options(const struct executor_options *options);
static uint32_t results_size(const struct executor_options *options);
static int lay_out(struct executor *executor, const struct executor_options *options);
static void decode_burst(struct executor *executor);
static void execute(
    struct executor *executor, uint32_t index, uint8_t *reply, struct result *result);

void
executor_begin(struct executor *executor, const struct executor_batch *batch)
{
	struct executor_header *header = executor->header;
	check(!executor->running);
	check(batch->position == header->position + 1);
	state_modify(&executor->state, header, sizeof(*header));
	header->position = batch->position;
	header->batches++;
	executor->cursor = batch_cursor(batch->data, batch->size);
	executor->valid = batch->valid;
	executor->request_index = 0;
	executor->statistics.batches++;
	if (__builtin_expect(executor->observer != NULL, 0))
		executor->observer->batch(executor->observer->context, batch);
	decode_burst(executor);
}

uint32_t
executor_next(struct executor *executor, struct result *results, uint32_t capacity)
{
	uint32_t count = 0;
	uint32_t used = 0;
	check(capacity > 0);
	while (executor->running && count < capacity &&
	       executor->results_size - used >= executor->result_size_max) {
		struct result *result = &results[count++];
		execute(executor, executor->burst_next, executor->results + used, result);
		used += (result->size + 7u) & ~7u;
		if (++executor->burst_next == executor->burst_count)
			decode_burst(executor);
	}
	return count;
}

bool
executor_recall(
    struct executor *executor, uint16_t client, uint64_t timestamp, struct result *result)
{
	*result = (struct result){.client = client, .timestamp = timestamp};
	if (client >= executor->session.slots_count)
		return false;
	switch (session_judge(&executor->session, client, timestamp)) {
	case SESSION_NEW:
		return false;
	case SESSION_STALE:
		result->flags = RESULT_STALE;
		return true;
	case SESSION_DUPLICATE:
		break;
	}
	result->flags = RESULT_DUPLICATE;
	if (!session_recall(&executor->session, client, &result->data, &result->size)) {
		result->flags |= RESULT_LOST;
		result->data = NULL;
		result->size = 0;
	}
	return true;
}

enum executor_read
executor_execute_read_only(
    struct executor *executor, const uint8_t *op, uint32_t op_size, struct result *result)
{
	const struct app *app = executor->app;
	if (executor->running)
		return EXECUTOR_READ_BUSY;
	if (!app->is_read_only(op, op_size))
		return EXECUTOR_READ_WRITES;
	result->data = executor->results;
	result->size = app->execute(
	    executor->app_self, op, op_size, executor->results, executor->result_size_max);
	check(result->size <= executor->result_size_max);
	executor->statistics.read_only++;
	return EXECUTOR_READ_DONE;
}

void
executor_mark(struct executor *executor, uint64_t position)
{
	check(!executor->running);
	check(position == executor->header->position);
	state_mark(&executor->state, position);
}

void
executor_checkpoint(struct executor *executor, uint64_t position, uint8_t *digest32)
{
	check(!executor->running);
	check(position == executor->header->position);
	state_checkpoint(&executor->state, position, digest32);
	if (executor->observer != NULL)
		executor->observer->checkpoint(executor->observer->context, position, digest32);
}

bool
executor_rollback(struct executor *executor, uint64_t position)
{
	check(!executor->running);
	if (!state_rollback(&executor->state, position))
		return false;
	check(executor->header->position == position);
	if (executor->observer != NULL && executor->observer->undone != NULL)
		executor->observer->undone(executor->observer->context, position);
	return true;
}

void
executor_release(struct executor *executor, uint64_t position)
{
	state_release(&executor->state, position);
}

uint64_t
executor_memory_size(const struct executor_options *options)
{
	if (!options_valid(options))
		return 0;
	struct state_options state = state_options(options);
	return state_memory_size(&state) + results_size(options);
}

int
executor_open(struct executor *executor, const struct executor_options *options)
{
	memset(executor, 0, sizeof(*executor));
	if (!options_valid(options))
		return -EINVAL;
	struct state_options state = state_options(options);
	int error = state_open(&executor->state, &state);
	if (error != 0)
		return error;
	executor->results_size = results_size(options);
	executor->results = calloc(1, executor->results_size);
	error = executor->results == NULL ? -ENOMEM : lay_out(executor, options);
	if (error != 0)
		executor_close(executor);
	return error;
}

void
executor_close(struct executor *executor)
{
	state_close(&executor->state);
	free(executor->results);
	memset(executor, 0, sizeof(*executor));
}

/* ---- requests ---------------------------------------------------------- */

static bool
request_valid(const struct executor *executor)
{
	uint32_t index = executor->request_index;
	const uint64_t *valid = executor->valid;
	return valid == NULL || (valid[index >> 6] >> (index & 63) & 1) != 0;
}

/*
 * Decodes the next requests that are to be executed, and fetches their
 * sessions. A batch that is malformed ends where it is: its bytes are agreed,
 * so it ends there at every replica.
 */
static void
decode_burst(struct executor *executor)
{
	uint32_t count = 0;
	struct message message;
	while (count < EXECUTOR_BURST && !batch_cursor_done(&executor->cursor)) {
		if (!batch_next(&executor->cursor, &executor->scope, &message)) {
			executor->cursor.at = executor->cursor.end;
			executor->statistics.batches_malformed++;
			break;
		}
		bool valid = request_valid(executor);
		executor->request_index++;
		if (!valid) {
			executor->statistics.invalid++;
			continue;
		}
		if (message.header->sender >= executor->session.slots_count) {
			executor->statistics.slots_unknown++;
			continue;
		}
		session_prefetch(&executor->session, message.header->sender);
		executor->burst_ops[count] =
		    (struct app_op){.bytes = message.body, .size = message.body_size};
		executor->burst[count++] = (struct executor_request){
		    .client = message.header->sender,
		    .timestamp = message.header->seq,
		};
	}
	executor->burst_next = 0;
	executor->burst_count = count;
	executor->running = count > 0;
	if (executor->app->prefetch != NULL && count > 1)
		executor->app->prefetch(executor->app_self, executor->burst_ops, count);
}

/* The cached reply is copied: a later request of the slice may replace it. */
static void
answer_duplicate(struct executor *executor, uint16_t client, uint8_t *reply, struct result *result)
{
	const uint8_t *cached;
	uint32_t size;
	result->flags = RESULT_DUPLICATE;
	executor->statistics.duplicates++;
	if (!session_recall(&executor->session, client, &cached, &size)) {
		result->flags |= RESULT_LOST;
		executor->statistics.lost++;
		return;
	}
	check(size <= executor->result_size_max);
	memcpy(reply, cached, size);
	result->size = size;
}

/* Runs request `index` of the burst, unless it ran before. */
static void
execute(struct executor *executor, uint32_t index, uint8_t *reply, struct result *result)
{
	const struct executor_request *request = &executor->burst[index];
	const struct app_op *op = &executor->burst_ops[index];
	*result = (struct result){
	    .client = request->client, .timestamp = request->timestamp, .data = reply};
	switch (session_judge(&executor->session, request->client, request->timestamp)) {
	case SESSION_NEW:
		result->size = executor->app->execute(
		    executor->app_self, op->bytes, op->size, reply, executor->result_size_max);
		check(result->size <= executor->result_size_max);
		session_record(
		    &executor->session, request->client, request->timestamp, reply, result->size);
		executor->statistics.executed++;
		break;
	case SESSION_DUPLICATE:
		answer_duplicate(executor, request->client, reply, result);
		break;
	case SESSION_STALE:
		result->flags = RESULT_STALE;
		executor->statistics.stale++;
		break;
	}
}

/* ---- memory ------------------------------------------------------------ */

static bool
options_valid(const struct executor_options *options)
{
	return options->app != NULL && options->app->self_size <= APP_SELF_SIZE_MAX &&
	       options->sessions.slots_count > 0 &&
	       options->sessions.slots_count <= SESSION_SLOTS_MAX &&
	       options->result_size_max >= EXECUTOR_RESULT_SIZE_MIN &&
	       options->result_size_max <= APP_REPLY_SIZE_MAX;
}

static struct state_options
state_options(const struct executor_options *options)
{
	/* The header's page, and a page for the alignment of the application's part. */
	uint64_t size = 2 * STATE_PAGE_SIZE + session_region_size(&options->sessions) +
			options->app->region_size(&options->app_options);
	return (struct state_options){
	    .size = size,
	    .undo_count = options->undo_count,
	    .marks_max = options->marks_max,
	    .huge_pages = options->huge_pages,
	    .populate = options->populate,
	    .digester = options->digester,
	};
}

/* A slice ends when less than the largest reply is left. */
static uint32_t
results_size(const struct executor_options *options)
{
	uint32_t size = 2 * ((options->result_size_max + 7u) & ~7u);
	return size < RESULTS_SIZE_MIN ? RESULTS_SIZE_MIN : size;
}

static int
lay_out(struct executor *executor, const struct executor_options *options)
{
	struct state *state = &executor->state;
	executor->app = options->app;
	executor->observer = options->observer;
	executor->scope = options->scope;
	executor->result_size_max = options->result_size_max;
	executor->header = state_reserve(state, sizeof(*executor->header), STATE_PAGE_SIZE);
	if (executor->header == NULL)
		return -ENOMEM;
	state_modify(state, executor->header, sizeof(*executor->header));
	executor->header->magic = header_magic;
	size_t name_size = strlen(options->app->name);
	check(name_size < sizeof(executor->header->app_name));
	memcpy(executor->header->app_name, options->app->name, name_size);
	executor->header->slots_count = options->sessions.slots_count;
	executor->header->result_size_max = options->result_size_max;
	executor->header->region_size = state->size;
	int error = session_open(&executor->session, &options->sessions, state);
	if (error != 0)
		return error;
	return executor->app->open(executor->app_self, &options->app_options, state);
}
