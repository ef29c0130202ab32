/* SPDX-License-Identifier: Apache-2.0 */
/* See recorder.h. */
#include "engine/recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/batch.h"
#include "engine/kv_op.h"
#include "engine/random.h"

/* One slot's outstanding operation. */
struct recorder_slot {
	uint64_t requests; /* asked so far: no timestamp of theirs is lower */
	uint32_t index;	   /* 1 + of the operation in the list; 0: not recorded */
};

struct recorder {
	struct workload workload; /* first: what the client holds */
	struct workload *inner;
	uint64_t (*time)(void *context);
	void *context;
	uint64_t dropped;
	uint32_t count;
	struct recorder_slot *slots;
	struct recorded *list;
};

/* ---- From the store's bytes to a history's words ------------------------- */

/* What tells operations apart; a word at a time, for a replica pays for it, too. */
static uint64_t
content_of(const uint8_t *bytes, uint32_t size)
{
	uint64_t content = size;
	for (uint32_t i = 0; i < size; i += (uint32_t)sizeof(content)) {
		uint64_t word = 0;
		memcpy(&word, bytes + i, size - i < sizeof(word) ? size - i : sizeof(word));
		content = random_mix(content ^ word) + 0x9e3779b97f4a7c15ull;
	}
	return content;
}

bool
recorded_from_op(struct recorded *r, const uint8_t *bytes, uint32_t size)
{
	static const uint8_t kinds[] = {
	    [KV_GET] = HISTORY_GET,
	    [KV_PUT] = HISTORY_PUT,
	    [KV_DELETE] = HISTORY_DELETE,
	    [KV_CAS] = HISTORY_CAS,
	    [KV_APPEND] = HISTORY_APPEND,
	    [KV_SCAN] = HISTORY_SCAN,
	};
	struct kv_op op;
	if (!kv_op_decode(bytes, size, &op) || op.key_size > sizeof(r->key))
		return false;
	if (op.kind == KV_CAS && op.expected_size == KV_EXPECTED_ABSENT)
		return false;
	*r = (struct recorded){.key_size = op.key_size, .content = content_of(bytes, size)};
	memcpy(r->key, op.key, op.key_size);
	r->op.kind = kinds[op.kind];
	r->op.limit = op.kind == KV_SCAN ? op.limit : 0;
	r->op.response_ns = HISTORY_PENDING;
	if (kv_kind_has_value((uint8_t)op.kind))
		r->op.written = history_value_of(op.value, op.value_size);
	if (op.kind == KV_CAS)
		r->op.seen = history_value_of(op.expected, op.expected_size);
	return true;
}

static bool
rows_read(struct kv_reply *reply, struct history_value *rows)
{
	struct kv_scan_record record;
	*rows = (struct history_value){0};
	while (kv_scan_next(reply, &record)) {
		*rows = history_scan_added(*rows, history_value_of(record.key, record.key_size),
		    history_value_of(record.value, record.value_size));
	}
	return reply->data_size == 0 && reply->count == rows->size;
}

enum recorded_answer
recorded_from_reply(struct recorded *r, const uint8_t *result, uint32_t size)
{
	struct history_op *op = &r->op;
	struct kv_reply reply;
	if (!kv_reply_decode(result, size, &reply))
		return RECORDED_WRONG;
	if (reply.status > KV_MISMATCH)
		return reply.status == KV_INVALID ? RECORDED_WRONG : RECORDED_NOTHING;
	if (op->kind == HISTORY_SCAN && !rows_read(&reply, &op->seen))
		return RECORDED_WRONG;
	if (op->kind == HISTORY_GET && reply.status == KV_OK) {
		if (reply.count != reply.data_size)
			return RECORDED_WRONG;
		op->seen = history_value_of(reply.data, reply.data_size);
	}
	op->status = reply.status == KV_OK	    ? HISTORY_OK
		     : reply.status == KV_NOT_FOUND ? HISTORY_NOT_FOUND
						    : HISTORY_MISMATCH;
	return RECORDED_TOLD;
}

/* ---- The client's side --------------------------------------------------- */

static void
asked(struct recorder *r, uint32_t slot, const struct workload_op *op)
{
	struct recorder_slot *s = &r->slots[slot - r->workload.slot_first];
	s->requests++;
	s->index = 0;
	if (r->count == RECORDER_OPS_MAX) {
		r->dropped++;
		return;
	}
	struct recorded *one = &r->list[r->count];
	if (!recorded_from_op(one, op->data, op->size)) {
		r->dropped++;
		return;
	}
	one->op.client = slot;
	one->op.request = s->requests;
	one->op.invoke_ns = r->time(r->context);
	s->index = ++r->count;
}

/* An answer that tells nothing, or that no correct store gives, leaves it pending: the inner
 * workload judges answers. */
static void
answered(struct recorder *r, uint32_t slot, const uint8_t *result, uint32_t size)
{
	const struct recorder_slot *s = &r->slots[slot - r->workload.slot_first];
	if (s->index == 0)
		return;
	struct recorded *one = &r->list[s->index - 1];
	if (recorded_from_reply(one, result, size) == RECORDED_TOLD)
		one->op.response_ns = r->time(r->context);
}

static void
next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	struct recorder *r = (struct recorder *)w;
	r->inner->next(r->inner, slot, op);
	asked(r, slot, op);
}

static bool
load_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	struct recorder *r = (struct recorder *)w;
	if (!r->inner->load_next(r->inner, slot, op))
		return false;
	asked(r, slot, op);
	return true;
}

static enum workload_verdict
judge(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct recorder *r = (struct recorder *)w;
	answered(r, slot, result, size);
	return r->inner->judge(r->inner, slot, result, size);
}

static void
describe_inner(struct workload *w, uint32_t slot, struct workload_record *record)
{
	struct recorder *r = (struct recorder *)w;
	r->inner->describe(r->inner, slot, record);
}

static void
close_all(struct workload *w)
{
	struct recorder *r = (struct recorder *)w;
	workload_close(r->inner);
	free(r->slots);
	free(r->list);
	free(r);
}

struct recorder *
recorder_open(struct workload *inner, uint64_t (*time)(void *context), void *context)
{
	struct recorder *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->slots = calloc(inner->slots_count, sizeof(*r->slots));
	r->list = calloc(RECORDER_OPS_MAX, sizeof(*r->list));
	if (r->slots == NULL || r->list == NULL) {
		free(r->slots);
		free(r->list);
		free(r);
		return NULL;
	}
	r->workload = *inner;
	r->workload.next = next;
	r->workload.load_next = load_next;
	r->workload.judge = judge;
	r->workload.describe = describe_inner;
	r->workload.close = close_all;
	r->inner = inner;
	r->time = time;
	r->context = context;
	return r;
}

struct workload *
recorder_workload(struct recorder *r)
{
	return &r->workload;
}

/* ---- The replica's side -------------------------------------------------- */

struct recorder_place {
	uint64_t timestamp;
	uint64_t content; /* of the operation's bytes */
	uint64_t seq;
	uint32_t previous; /* 1 + the slot's place before this one; 0: none */
	uint32_t slot;
};

struct recorder_log {
	struct executor_observer observer;
	struct message_scope scope;
	uint64_t dropped;
	bool reads_apart;
	uint32_t slots_count;
	uint32_t count;
	uint32_t *last; /* of each slot: 1 + its newest place */
	struct recorder_place *places;
};

/* A position comes again: what was executed there and after it has been undone. */
static void
undone_strike(struct recorder_log *log, uint64_t seq)
{
	while (log->count > 0 && log->places[log->count - 1].seq >= seq) {
		const struct recorder_place *place = &log->places[--log->count];
		log->last[place->slot] = place->previous;
	}
}

static void
batch_seen(void *context, const struct executor_batch *batch)
{
	struct recorder_log *log = context;
	struct batch_cursor cursor = batch_cursor(batch->data, batch->size);
	struct message m;
	uint32_t index = 0;
	uint64_t first = batch->position << RECORDER_BATCH_SHIFT;
	undone_strike(log, first);
	for (; !batch_cursor_done(&cursor) && batch_next(&cursor, &log->scope, &m); index++) {
		uint32_t slot = m.header->sender;
		bool valid =
		    batch->valid == NULL || (batch->valid[index >> 6] >> (index & 63) & 1) != 0;
		if (!valid || slot >= log->slots_count)
			continue;
		uint32_t before = log->last[slot];
		if (before != 0 && log->places[before - 1].timestamp >= m.header->seq)
			continue; /* a duplicate: it does not execute again */
		if (log->count == RECORDER_OPS_MAX) {
			log->dropped++;
			continue;
		}
		log->places[log->count] = (struct recorder_place){
		    .timestamp = m.header->seq,
		    .content = content_of(m.body, m.body_size),
		    .seq = first + index,
		    .previous = before,
		    .slot = slot,
		};
		log->last[slot] = ++log->count;
	}
}

static void
checkpoint_seen(void *context, uint64_t position, const uint8_t *digest32)
{
	(void)context;
	(void)position;
	(void)digest32;
}

struct recorder_log *
recorder_log_open(const struct message_scope *scope, uint32_t slots_count)
{
	struct recorder_log *log = calloc(1, sizeof(*log));
	if (log == NULL)
		return NULL;
	log->observer = (struct executor_observer){log, batch_seen, checkpoint_seen, NULL};
	log->scope = *scope;
	log->slots_count = slots_count;
	log->last = calloc(slots_count, sizeof(*log->last));
	log->places = calloc(RECORDER_OPS_MAX, sizeof(*log->places));
	if (log->last == NULL || log->places == NULL) {
		recorder_log_close(log);
		return NULL;
	}
	return log;
}

void
recorder_log_close(struct recorder_log *log)
{
	if (log == NULL)
		return;
	free(log->last);
	free(log->places);
	free(log);
}

const struct executor_observer *
recorder_log_observer(const struct recorder_log *log)
{
	return &log->observer;
}

void
recorder_log_reads_apart(struct recorder_log *log)
{
	log->reads_apart = true;
}

/* ---- Afterwards ---------------------------------------------------------- */

/* How far a slot's operations have been found, from the newest back. */
struct place_cursor {
	uint32_t place; /* 1 + of the next older one; 0: none is left */
	uint64_t ahead; /* how far timestamps were ahead of the operations' numbers */
};

/*
 * Where an operation was executed; 0: nowhere that the log knows of. Operations
 * have their timestamps in the same order, and each may have taken more than one: a
 * read that was not answered beside the order is asked again under the next. So a
 * timestamp is at least the operation's number, ahead of it by what reads took
 * before, and never by more than a later operation's.
 */
static uint64_t
place_of(const struct recorder_log *log, struct place_cursor *cursor, const struct recorded *one)
{
	for (uint32_t at = cursor->place; at != 0; at = log->places[at - 1].previous) {
		const struct recorder_place *place = &log->places[at - 1];
		if (place->timestamp < one->op.request)
			break;
		uint64_t ahead = place->timestamp - one->op.request;
		if (ahead > cursor->ahead || place->content != one->content)
			continue;
		*cursor = (struct place_cursor){place->previous, ahead};
		return place->seq;
	}
	return 0;
}

int
recorder_save(
    struct recorder *const *list, uint32_t count, const struct recorder_log *log, const char *path)
{
	uint64_t records = 0;
	uint64_t dropped = log->dropped;
	for (uint32_t i = 0; i < count; i++) {
		records += list[i]->count;
		dropped += list[i]->dropped;
	}
	if (dropped > 0)
		return -EOVERFLOW;
	size_t capacity = HISTORY_HEADER_SIZE + records * HISTORY_RECORD_SIZE_MAX;
	uint8_t *buffer = calloc(1, capacity);
	struct place_cursor *cursors = calloc(log->slots_count, sizeof(*cursors));
	if (buffer == NULL || cursors == NULL) {
		free(buffer);
		free(cursors);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < log->slots_count; i++)
		cursors[i] = (struct place_cursor){log->last[i], UINT64_MAX};
	struct history_writer writer;
	history_writer_init(&writer, buffer, capacity);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = list[i]->count; j > 0; j--) {
			struct recorded *one = &list[i]->list[j - 1];
			bool read = one->op.kind == HISTORY_GET || one->op.kind == HISTORY_SCAN;
			if (!read || !log->reads_apart)
				one->op.seq = place_of(log, &cursors[one->op.client], one);
			history_write(&writer, &one->op, one->key, one->key_size);
		}
	}
	int error = history_writer_save(&writer, path);
	free(buffer);
	free(cursors);
	return error;
}
