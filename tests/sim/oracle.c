/* SPDX-License-Identifier: Apache-2.0 */
/* See oracle.h. One thread. */
#include "oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/batch.h"
#include "engine/kv_op.h"
#include "sim.h"
#include "witness.h"

enum {
	SEQ_SHIFT = 16, /* room for the requests of a batch in a history's positions */
	LINEAR_STEPS_MAX = 200000,
	LINEAR_CACHE_MAX = 64 << 20,
};

static void *
grown(void *list, uint64_t *capacity, uint64_t item_size)
{
	*capacity = *capacity == 0 ? 64 : 2 * *capacity;
	list = realloc(list, *capacity * item_size);
	check(list != NULL);
	return list;
}

static struct asked *
asked_add(struct asked **list, uint32_t *count, uint32_t *capacity)
{
	if (*count == *capacity) {
		uint64_t wide = *capacity;
		*list = grown(*list, &wide, sizeof(**list));
		*capacity = (uint32_t)wide;
	}
	struct asked *a = &(*list)[(*count)++];
	memset(a, 0, sizeof(*a));
	return a;
}

void
oracle_open(struct oracle *o, struct sim *sim, uint32_t slots_count)
{
	memset(o, 0, sizeof(*o));
	o->sim = sim;
	o->slots_count = slots_count;
	o->slots = calloc(slots_count, sizeof(*o->slots));
	check(o->slots != NULL);
	o->speculative = (sim->config->protocol.protocol->flags & PROTOCOL_SPECULATIVE) != 0;
	o->once = true;
	o->requests_bound = sim->plan.protocol.request_proof != PROOF_NONE;
	o->scope = sim->plan.executor.scope;
}

void
oracle_close(struct oracle *o)
{
	for (uint32_t i = 0; o->slots != NULL && i < o->slots_count; i++)
		free(o->slots[i].list);
	for (uint32_t i = 0; i < ORACLE_REPLICAS_MAX; i++)
		free(o->replicas[i].own);
	free(o->slots);
	free(o->ledger);
	free(o->foreign);
	memset(o, 0, sizeof(*o));
}

void
oracle_replica_set(struct oracle *o, uint16_t node, const struct executor *executor)
{
	struct oracle_replica *r = &o->replicas[node];
	free(r->own);
	*r = (struct oracle_replica){.oracle = o, .executor = executor, .node = node};
}

/* ---- What clients ask and are told ---------------------------------------- */

static const uint8_t history_kinds[] = {
    [KV_GET] = HISTORY_GET,
    [KV_PUT] = HISTORY_PUT,
    [KV_DELETE] = HISTORY_DELETE,
    [KV_CAS] = HISTORY_CAS,
    [KV_APPEND] = HISTORY_APPEND,
    [KV_SCAN] = HISTORY_SCAN,
};

/* Fills in the history's form of an operation; leaves `recorded` false when it has none. */
static void
asked_describe(struct asked *a, const uint8_t *bytes, uint32_t size)
{
	struct kv_op op;
	if (!kv_op_decode(bytes, size, &op) || op.key_size > sizeof(a->key))
		return;
	if (op.kind == KV_CAS && op.expected_size == KV_EXPECTED_ABSENT)
		return;
	a->recorded = true;
	a->key_size = (uint8_t)op.key_size;
	memcpy(a->key, op.key, op.key_size);
	a->op.kind = history_kinds[op.kind];
	a->op.limit = op.kind == KV_SCAN ? op.limit : 0;
	if (kv_kind_has_value((uint8_t)op.kind))
		a->op.written = history_value_of(op.value, op.value_size);
	if (op.kind == KV_CAS)
		a->op.seen = history_value_of(op.expected, op.expected_size);
	a->op.response_ns = HISTORY_PENDING;
}

void
oracle_asked(struct oracle *o, uint32_t slot, const struct workload_op *op)
{
	struct oracle_slot *s = &o->slots[slot];
	struct asked *a = asked_add(&s->list, &s->count, &s->capacity);
	o->asked++;
	a->hash = packet_hash(op->data, op->size);
	a->read_only = op->read_only;
	asked_describe(a, op->data, op->size);
	a->op.client = slot;
	a->op.request = s->count;
	a->op.invoke_ns = o->sim->now_ns;
}

static bool
scan_read(struct kv_reply *reply, struct history_value *rows)
{
	struct kv_scan_record record;
	*rows = (struct history_value){0};
	while (kv_scan_next(reply, &record))
		*rows = history_scan_added(*rows, history_value_of(record.key, record.key_size),
		    history_value_of(record.value, record.value_size));
	return reply->data_size == 0 && reply->count == rows->size;
}

bool
oracle_answered(struct oracle *o, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct oracle_slot *s = &o->slots[slot];
	struct kv_reply reply;
	check(s->count > 0);
	struct asked *a = &s->list[s->count - 1];
	o->answered++;
	if (!a->recorded)
		return true;
	if (!kv_reply_decode(result, size, &reply))
		return false;
	/* Nothing is known of an answer that did not fit, or of a scan that was cut. */
	if (reply.status == KV_TOO_LARGE || reply.status == KV_PARTIAL)
		return true;
	if (reply.status > KV_MISMATCH)
		return false;
	a->op.status = reply.status == KV_OK	      ? HISTORY_OK
		       : reply.status == KV_NOT_FOUND ? HISTORY_NOT_FOUND
						      : HISTORY_MISMATCH;
	a->op.response_ns = o->sim->now_ns;
	if (a->op.kind == HISTORY_GET && reply.status == KV_OK) {
		if (reply.count != reply.data_size)
			return false;
		a->op.seen = history_value_of(reply.data, reply.data_size);
	}
	if (a->op.kind == HISTORY_SCAN && !scan_read(&reply, &a->op.seen))
		return false;
	return history_op_valid(&a->op);
}

/* ---- What replicas execute ------------------------------------------------ */

/* An operation of a client that lies takes effect all the same: it may have been asked ever. */
static void
foreign_executed(struct oracle *o, const struct message *request, uint64_t seq)
{
	struct asked *a = asked_add(&o->foreign, &o->foreign_count, &o->foreign_capacity);
	asked_describe(a, request->body, request->body_size);
	a->op.client = request->header->sender;
	a->op.seq = seq;
}

/* Which operation of the slot a new request is: the last one asked, as a rule. */
static void
request_judge(struct oracle *o, const struct message *request, uint64_t seq)
{
	uint32_t slot = request->header->sender;
	struct oracle_slot *s = &o->slots[slot];
	uint64_t hash = packet_hash(request->body, request->body_size);
	if (s->faulty) {
		foreign_executed(o, request, seq);
		return;
	}
	struct asked *last = s->count > 0 ? &s->list[s->count - 1] : NULL;
	if (last != NULL && last->hash == hash && !last->executed) {
		last->executed = true;
		last->op.seq = seq;
		return;
	}
	/* A read that was answered out of order may have been ordered as well. */
	for (uint32_t i = s->count; i > 0; i--) {
		struct asked *a = &s->list[i - 1];
		if (a->hash == hash && !a->executed && a->read_only) {
			a->executed = true;
			return;
		}
	}
	if (!o->requests_bound && o->sim->disturbed)
		return;
	sim_fail(o->sim,
	    "validity: position %" PRIu64 " executes slot %u's request %" PRIu64
	    ", which its client did not ask for, or had had executed before",
	    seq >> SEQ_SHIFT, slot, request->header->seq);
}

/* Calls the judge for each new request of the next position. */
static void
ledger_append(struct oracle *o, const struct executor_batch *batch, uint64_t hash)
{
	struct batch_cursor cursor = batch_cursor(batch->data, batch->size);
	struct message request;
	uint32_t index = 0;
	for (; !batch_cursor_done(&cursor) && batch_next(&cursor, &o->scope, &request); index++) {
		uint32_t slot = request.header->sender;
		bool valid =
		    batch->valid == NULL || (batch->valid[index >> 6] >> (index & 63) & 1) != 0;
		if (!valid || slot >= o->slots_count)
			continue;
		struct oracle_slot *s = &o->slots[slot];
		if (request.header->seq <= s->timestamp) {
			if (o->once && !s->faulty && !sim_view_moved(o->sim))
				sim_fail(o->sim,
				    "exactly once: slot %u's request %" PRIu64
				    " is ordered again at position %" PRIu64,
				    slot, request.header->seq, batch->position);
			continue;
		}
		s->timestamp = request.header->seq;
		o->executed++;
		request_judge(o, &request, (batch->position << SEQ_SHIFT) + index + 1);
	}
	if (o->ledger_count == o->ledger_capacity)
		o->ledger = grown(o->ledger, &o->ledger_capacity, sizeof(*o->ledger));
	o->ledger[o->ledger_count++] = (struct ledger_entry){.hash = hash, .executed = o->executed};
}

/* Of the authentic requests: who, when, what. */
static uint64_t
batch_hash(const struct oracle *o, const struct executor_batch *batch)
{
	struct batch_cursor cursor = batch_cursor(batch->data, batch->size);
	struct message request;
	uint64_t hash = 1;
	uint32_t index = 0;
	for (; !batch_cursor_done(&cursor) && batch_next(&cursor, &o->scope, &request); index++) {
		if (batch->valid != NULL && (batch->valid[index >> 6] >> (index & 63) & 1) == 0)
			continue;
		hash = random_mix(hash ^ request.header->sender);
		hash = random_mix(hash ^ request.header->seq);
		hash = random_mix(hash ^ packet_hash(request.body, request.body_size));
	}
	return hash;
}

static void
own_set(struct oracle_replica *r, uint64_t position, uint64_t hash)
{
	while (position >= r->own_capacity)
		r->own = grown(r->own, &r->own_capacity, sizeof(*r->own));
	r->own[position] = hash;
}

/* What the executor did with the batch before must be what the ledger says. */
static void
executed_check(struct oracle_replica *r, uint64_t position)
{
	struct oracle *o = r->oracle;
	uint64_t ledger = position > 1 ? o->ledger[position - 2].executed : 0;
	uint64_t count = r->executor->statistics.executed;
	if (position == r->position + 1 && count != r->executed_base + ledger)
		sim_fail(o->sim,
		    "exactly once: replica %u executed %" PRIu64 " operations up to position "
		    "%" PRIu64 " instead of %" PRIu64,
		    r->node, count - r->executed_base, position - 1, ledger);
	r->executed_base = count - ledger;
}

void
oracle_batch(void *context, const struct executor_batch *batch)
{
	struct oracle_replica *r = context;
	struct oracle *o = r->oracle;
	uint64_t hash = batch_hash(o, batch);
	sim_note(o->sim, hash ^ batch->position << 8 ^ r->node);
	if (o->sim->config->trace != NULL)
		trace_note(o->sim, "replica %u executes position %" PRIu64 ", %016" PRIx64, r->node,
		    batch->position, hash);
	if (o->speculative) {
		own_set(r, batch->position, hash);
		r->position = batch->position;
		return;
	}
	if (batch->position > o->ledger_count + 1)
		sim_fail(o->sim,
		    "agreement: replica %u executes position %" PRIu64
		    " though nobody has executed %" PRIu64,
		    r->node, batch->position, o->ledger_count + 1);
	executed_check(r, batch->position);
	if (batch->position == o->ledger_count + 1)
		ledger_append(o, batch, hash);
	else if (o->ledger[batch->position - 1].hash != hash)
		sim_fail(o->sim,
		    "agreement: replica %u executes another batch at position %" PRIu64, r->node,
		    batch->position);
	r->position = batch->position;
}

void
oracle_checkpoint(void *context, uint64_t position, const uint8_t *digest32)
{
	struct oracle_replica *r = context;
	struct oracle *o = r->oracle;
	uint64_t digest;
	memcpy(&digest, digest32, sizeof(digest));
	sim_note(o->sim, digest);
	if (o->speculative || position == 0 || position > o->ledger_count)
		return;
	struct ledger_entry *entry = &o->ledger[position - 1];
	if (entry->checkpoint && entry->digest != digest)
		sim_fail(o->sim, "agreement: replica %u has another state after position %" PRIu64,
		    r->node, position);
	entry->checkpoint = true;
	entry->digest = digest;
}

/* ---- The end -------------------------------------------------------------- */

static void
own_compare(struct oracle *o)
{
	const struct oracle_replica *first = NULL;
	for (uint32_t i = 0; i < ORACLE_REPLICAS_MAX; i++) {
		const struct oracle_replica *r = &o->replicas[i];
		if (r->oracle == NULL || (o->sim->core >> i & 1) == 0)
			continue;
		if (first == NULL)
			first = r;
		uint64_t end = r->position < first->position ? r->position : first->position;
		for (uint64_t p = 1; p <= end; p++) {
			if (r->own[p] != first->own[p])
				sim_fail(o->sim,
				    "agreement: replicas %u and %u differ at position %" PRIu64,
				    first->node, r->node, p);
		}
	}
}

static void
history_take(struct history *h, const struct asked *a)
{
	if (a->recorded)
		check(history_add(h, &a->op, a->key, a->key_size) == 0);
}

/* Fails with the checker's evidence. */
static void
evidence_fail(struct oracle *o, struct history *h, const struct witness_report *witness,
    const struct linear_report *linear)
{
	char text[SIM_TEXT_SIZE] = "";
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");
	check(out != NULL);
	if (witness != NULL)
		witness_print(out, h, witness);
	else
		linear_print(out, h, &linear->evidence);
	fclose(out);
	history_free(h);
	sim_fail(o->sim, "linearizability: %s", text);
}

void
oracle_judge(struct oracle *o)
{
	struct history h;
	struct witness_report witness;
	struct linear_report linear;
	const struct linear_limits limits = {LINEAR_CACHE_MAX, LINEAR_STEPS_MAX};
	if (o->speculative)
		own_compare(o);
	history_init(&h, HISTORY_OPS_MAX);
	for (uint32_t i = 0; i < o->slots_count; i++) {
		for (uint32_t j = 0; !o->slots[i].faulty && j < o->slots[i].count; j++)
			history_take(&h, &o->slots[i].list[j]);
	}
	for (uint32_t i = 0; i < o->foreign_count; i++)
		history_take(&h, &o->foreign[i]);
	check(witness_check(&h, &witness) == 0);
	if (witness.verdict == WITNESS_VIOLATION)
		evidence_fail(o, &h, &witness, NULL);
	check(linear_check(&h, &limits, &linear) == 0);
	if (linear.verdict == LINEAR_VIOLATION)
		evidence_fail(o, &h, NULL, &linear);
	o->sim->report->undecided =
	    linear.verdict == LINEAR_GAVE_UP && witness.verdict == WITNESS_GAVE_UP;
	history_free(&h);
}
