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
	o->tentative = sim->plan.protocol.tentative ||
		       (sim->config->protocol.protocol->flags & PROTOCOL_SPECULATIVE) != 0;
	/* Tentatively a window goes ahead of what is decided; speculatively all above a checkpoint.
	 */
	o->undone_max = sim->plan.protocol.window;
	if ((sim->config->protocol.protocol->flags & PROTOCOL_SPECULATIVE) != 0)
		o->undone_max += 2 * sim->plan.protocol.checkpoint_interval;
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
	for (uint64_t p = 0; p < o->contents_capacity; p++) {
		for (struct content *c = o->contents[p], *next; c != NULL; c = next) {
			next = c->next;
			free(c);
		}
	}
	free(o->contents);
	votes_free(&o->votes);
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

void
oracle_asked(struct oracle *o, uint32_t slot, const struct workload_op *op)
{
	struct oracle_slot *s = &o->slots[slot];
	struct asked *a = asked_add(&s->list, &s->count, &s->capacity);
	o->asked++;
	a->hash = packet_hash(op->data, op->size);
	a->read_only = op->read_only;
	a->recorded = recorded_from_op(&a->kv, op->data, op->size);
	a->kv.op.client = slot;
	a->kv.op.request = s->count;
	a->kv.op.invoke_ns = o->sim->now_ns;
}

bool
oracle_answered(struct oracle *o, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct oracle_slot *s = &o->slots[slot];
	check(s->count > 0);
	struct asked *a = &s->list[s->count - 1];
	o->answered++;
	a->answered = true;
	if (!a->recorded)
		return true;
	enum recorded_answer answer = recorded_from_reply(&a->kv, result, size);
	if (answer != RECORDED_TOLD)
		return answer == RECORDED_NOTHING;
	a->kv.op.response_ns = o->sim->now_ns;
	return history_op_valid(&a->kv.op);
}

/* ---- What replicas execute ------------------------------------------------ */

/* An operation of a client that lies takes effect all the same: it may have been asked ever. */
static void
foreign_executed(struct oracle *o, const struct message *request, uint64_t seq)
{
	struct asked *a = asked_add(&o->foreign, &o->foreign_count, &o->foreign_capacity);
	a->recorded = recorded_from_op(&a->kv, request->body, request->body_size);
	a->kv.op.client = request->header->sender;
	a->kv.op.seq = seq;
}

/* A read may have been answered elsewhere than at its position, if it was ordered at all. */
static void
asked_executed(const struct oracle *o, struct oracle_slot *s, struct asked *a, uint64_t seq)
{
	a->executed = true;
	if (!a->read_only || !o->sim->plan.protocol.reads)
		a->kv.op.seq = seq;
	s->executed = (uint32_t)(a - s->list) + 1;
}

/*
 * Which operation of the slot a new request is. Seen at once, it is the last one asked, for a
 * slot has one outstanding; seen at the end, one of those after the slot's last executed one.
 */
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
	uint32_t first = o->tentative || s->count == 0 ? s->executed : s->count - 1;
	for (uint32_t i = first; i < s->count; i++) {
		if (s->list[i].hash == hash && !s->list[i].executed) {
			asked_executed(o, s, &s->list[i], seq);
			return;
		}
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
			/* A leader that lies may order it again: it is not executed again. */
			if (o->once && !s->faulty && o->sim->liars == 0 && !sim_view_moved(o->sim))
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

/* ---- What may be undone: kept, and judged at the end --------------------------- */

static void
content_keep(struct oracle *o, const struct executor_batch *batch, uint64_t hash)
{
	uint64_t old = o->contents_capacity;
	while (batch->position >= o->contents_capacity)
		o->contents = grown(o->contents, &o->contents_capacity, sizeof(*o->contents));
	for (uint64_t p = old; p < o->contents_capacity; p++)
		o->contents[p] = NULL;
	for (struct content *c = o->contents[batch->position]; c != NULL; c = c->next) {
		if (c->hash == hash)
			return;
	}
	uint32_t valid_words =
	    batch->valid == NULL ? 0 : (o->sim->plan.protocol.batch_count_max + 63) / 64;
	struct content *c =
	    malloc(sizeof(*c) + 8ull * valid_words + (((uint64_t)batch->size + 7) & ~7ull));
	check(c != NULL);
	*c = (struct content){.next = o->contents[batch->position],
	    .hash = hash,
	    .size = batch->size,
	    .valid_words = valid_words};
	if (valid_words > 0)
		memcpy(c->words, batch->valid, 8ull * valid_words);
	if (batch->size > 0)
		memcpy(c->words + valid_words, batch->data, batch->size);
	o->contents[batch->position] = c;
}

/* Positions below `end` that undone batches may have left wrong. */
static void
own_forget(struct oracle_replica *r, uint64_t end)
{
	uint64_t window = r->oracle->undone_max;
	uint64_t first = r->position > window ? r->position - window + 1 : 1;
	for (uint64_t p = first; p < end && p < r->own_capacity; p++)
		r->own[p] = 0;
}

static void
own_set(struct oracle_replica *r, uint64_t position, uint64_t hash)
{
	uint64_t old = r->own_capacity;
	while (position >= r->own_capacity)
		r->own = grown(r->own, &r->own_capacity, sizeof(*r->own));
	for (uint64_t p = old; p < r->own_capacity; p++)
		r->own[p] = 0;
	/* Its state was fetched, perhaps one of a position that it had been at: what of its own
	   had been undone is not known. */
	if (position > r->position + 1 || r->transfers != r->executor->state.statistics.transfers)
		own_forget(r, position);
	r->transfers = r->executor->state.statistics.transfers;
	r->own[position] = hash;
	r->position = position;
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
	if (batch->position > o->head)
		o->head = batch->position;
	if (o->tentative) {
		content_keep(o, batch, hash);
		own_set(r, batch->position, hash);
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
	if (o->tentative || position == 0 || position > o->ledger_count)
		return;
	struct ledger_entry *entry = &o->ledger[position - 1];
	if (entry->checkpoint && entry->digest != digest)
		sim_fail(o->sim, "agreement: replica %u has another state after position %" PRIu64,
		    r->node, position);
	entry->checkpoint = true;
	entry->digest = digest;
}

/* What it executes next, or fetches as a state, may be something else. */
void
oracle_undone(void *context, uint64_t position)
{
	struct oracle_replica *r = context;
	for (uint64_t p = position + 1; p <= r->position && p < r->own_capacity; p++)
		r->own[p] = 0;
	if (r->position > position)
		r->position = position;
}

/* ---- The end -------------------------------------------------------------- */

/* What a replica of the core has at a position in the end; 0: not known. */
static uint64_t
own_final(struct oracle_replica *r, uint64_t position)
{
	uint64_t end = executor_position(r->executor);
	if (position > end || position > r->position || position >= r->own_capacity)
		return 0;
	bool fetched = end > r->position || r->transfers != r->executor->state.statistics.transfers;
	if (fetched && position + r->oracle->undone_max > r->position)
		return 0;
	return r->own[position];
}

/* The one hash that the core has at a position; 0: nobody knows it. */
static uint64_t
position_agreed(struct oracle *o, uint64_t position)
{
	const struct oracle_replica *first = NULL;
	uint64_t agreed = 0;
	for (uint64_t left = o->sim->core; left != 0; left &= left - 1) {
		struct oracle_replica *r = &o->replicas[__builtin_ctzll(left)];
		uint64_t hash = own_final(r, position);
		if (hash == 0)
			continue;
		if (first != NULL && hash != agreed)
			sim_fail(o->sim,
			    "agreement: replicas %u and %u differ at position %" PRIu64,
			    first->node, r->node, position);
		first = r;
		agreed = hash;
	}
	const struct content *only = o->contents[position];
	if (agreed == 0 && only != NULL && only->next == NULL)
		agreed = only->hash;
	return agreed;
}

/* The order that stood in the end, as if it had been executed now. */
static void
tentative_settle(struct oracle *o)
{
	uint64_t end = 0;
	for (uint64_t left = o->sim->core; left != 0; left &= left - 1) {
		uint64_t position = executor_position(o->replicas[__builtin_ctzll(left)].executor);
		end = position > end ? position : end;
	}
	for (uint64_t p = 1; p <= end && p < o->contents_capacity; p++) {
		uint64_t hash = position_agreed(o, p);
		const struct content *c = o->contents[p];
		while (c != NULL && c->hash != hash)
			c = c->next;
		if (c == NULL) {
			o->gaps = true;
			continue;
		}
		struct executor_batch batch = {
		    .position = p,
		    .data = (const uint8_t *)(c->words + c->valid_words),
		    .valid = c->valid_words > 0 ? c->words : NULL,
		    .size = c->size,
		};
		ledger_append(o, &batch, hash);
	}
}

/* What was answered is in the order that stands, save for reads, which need no place in it. */
static void
answered_check(struct oracle *o)
{
	for (uint32_t i = 0; i < o->slots_count; i++) {
		const struct oracle_slot *s = &o->slots[i];
		for (uint32_t j = 0; !s->faulty && j < s->count; j++) {
			const struct asked *a = &s->list[j];
			if (a->answered && !a->executed && !a->read_only)
				sim_fail(o->sim,
				    "durability: slot %u's operation %u was answered and is in no "
				    "position",
				    i, j + 1);
		}
	}
}

static void
history_take(struct history *h, const struct asked *a)
{
	if (a->recorded)
		check(history_add(h, &a->kv.op, a->kv.key, a->kv.key_size) == 0);
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
	if (o->tentative)
		tentative_settle(o);
	if (!o->gaps)
		answered_check(o);
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
	/* The search judges key by key: of scans it knows nothing. */
	o->sim->report->undecided = witness.verdict == WITNESS_GAVE_UP &&
				    (linear.verdict == LINEAR_GAVE_UP || linear.skipped > 0);
	history_free(&h);
}
