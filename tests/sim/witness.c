/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay in executed order, and one sweep for real time. One thread owns it.
 * Memory: about 60 bytes an operation and a key, given back at the end.
 *
 * Reads that were answered beside the order (PBFT's read-only optimization) get
 * their places in the same sweep. Slot p is the moment between the operations at
 * p - 1 and p of the order. A read may stand in a slot when
 * - every operation that was answered before the read was asked is below it,
 * - none that was asked after the read was answered is below it,
 * - no read that it must follow is above it,
 * - the state there gives its answer.
 * Each takes the first slot that it may: a later one would only push back those
 * that must follow it. So all get a place, or there is none for all of them in
 * this order of the others. What waits is at most one read a client.
 */
#include "witness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

/* What the replay knows of a key, by the key's rank in the order of bytes. */
struct key_state {
	struct history_value value;
	bool open; /* a pending write without a position may strike at any time */
	bool lost; /* it did: the value is unknown until an answer tells it */
};

struct replay {
	const struct history *history;
	struct witness_report *report;
	struct history_rank *order; /* operations with a position, by position */
	size_t order_count;
	struct key_state *keys; /* by rank */
	uint32_t *rank_of;	/* of each key of the history */
	uint32_t *key_of;	/* of each rank */
	uint64_t *present;	/* bit r: the key of rank r may exist */
	bool any_open;

	struct history_rank *reads; /* answered, without a position, by the time they were asked */
	size_t reads_count;
	size_t reads_next; /* those from here on may not stand in this slot yet */
	uint32_t *waiting; /* operations that found no slot so far, in the same order */
	size_t waiting_count;
	uint64_t *answers; /* for each slot: when the first of those above it was answered */
};

static int replay_init(struct replay *r, const struct history *h);
static void replay_free(struct replay *r);
static int check_clients(struct replay *r);
static void check_order(struct replay *r);
static void replay_one(struct replay *r, uint32_t index);
static void replay_scan(struct replay *r, uint32_t index);
static void reads_place(struct replay *r, size_t slot);
static void reads_expire(struct replay *r, uint64_t asked_ns);
static void fault_found(struct replay *r, enum witness_fault fault, uint32_t a, uint32_t b);

int
witness_check(const struct history *h, struct witness_report *report)
{
	check(h->ops_count <= HISTORY_OPS_MAX);
	*report = (struct witness_report){.verdict = WITNESS_GAVE_UP};
	struct replay r = {.history = h, .report = report};
	int error = replay_init(&r, h);
	if (error == 0)
		error = check_clients(&r);
	if (error == 0 && report->fault == WITNESS_FAULT_NONE)
		check_order(&r);
	bool judged = report->unplaced == 0 && report->unjudged == 0;
	if (report->fault != WITNESS_FAULT_NONE)
		report->verdict = WITNESS_VIOLATION;
	else if (error == 0 && judged)
		report->verdict = WITNESS_PASS;
	replay_free(&r);
	return error;
}

/*
 * Real time in one sweep: going up in position, no operation may have been
 * answered before the latest invocation so far.
 */
static void
check_order(struct replay *r)
{
	const struct history_op *ops = r->history->ops;
	uint32_t latest = 0;
	for (size_t i = 0; i < r->order_count; i++) {
		uint32_t index = r->order[i].index;
		reads_place(r, i);
		reads_expire(r, ops[index].invoke_ns);
		if (i > 0 && r->order[i].by == r->order[i - 1].by)
			fault_found(r, WITNESS_FAULT_SEQ_TWICE, r->order[i - 1].index, index);
		else if (i > 0 && ops[index].response_ns < ops[latest].invoke_ns)
			fault_found(r, WITNESS_FAULT_TIME, index, latest);
		else if (ops[index].kind == HISTORY_SCAN)
			replay_scan(r, index);
		else
			replay_one(r, index);
		if (r->report->fault != WITNESS_FAULT_NONE)
			return;
		if (i == 0 || ops[index].invoke_ns > ops[latest].invoke_ns)
			latest = index;
		r->report->replayed++;
	}
	reads_place(r, r->order_count);
	reads_expire(r, HISTORY_PENDING);
	check(r->waiting_count == 0 && r->reads_next == r->reads_count);
}

/* ---- The replay --------------------------------------------------------- */

/* After a write of unknown place was seen: what an answer tells of the value
 * before the operation. False: it tells nothing. */
static bool
value_told(const struct history_op *op, struct history_value *value)
{
	bool ok = op->status == HISTORY_OK;
	if (op->status == HISTORY_NOT_FOUND)
		*value = HISTORY_ABSENT;
	else if (ok && (op->kind == HISTORY_GET || op->kind == HISTORY_CAS))
		*value = op->seen;
	else
		return op->kind == HISTORY_PUT || op->kind == HISTORY_DELETE;
	return true;
}

static void
replay_one(struct replay *r, uint32_t index)
{
	const struct history_op *op = &r->history->ops[index];
	uint32_t rank = r->rank_of[op->key];
	struct key_state *key = &r->keys[rank];
	if (!key->lost && !history_accepts(op, key->value)) {
		if (!key->open) {
			r->report->expected = key->value;
			fault_found(r, WITNESS_FAULT_RESULT, index, index);
			return;
		}
		key->lost = true;
	}
	if (key->lost) {
		key->lost = !value_told(op, &key->value);
		r->report->unjudged++;
	}
	history_execute(op, &key->value);
	uint64_t bit = UINT64_C(1) << rank % 64;
	if (key->value.size == UINT64_MAX && !key->lost)
		r->present[rank / 64] &= ~bit;
	else
		r->present[rank / 64] |= bit;
}

/* The first rank from `rank` on whose key exists, or the count of keys. */
static size_t
rank_present(const struct replay *r, size_t rank)
{
	size_t count = r->history->keys_count;
	while (rank < count) {
		uint64_t word = r->present[rank / 64] >> rank % 64;
		if (word != 0)
			return rank + (size_t)__builtin_ctzll(word);
		rank += 64 - rank % 64;
	}
	return count;
}

/* The rows that a scan finds in the state that the replay has reached. */
static struct history_value
rows_found(const struct replay *r, const struct history_op *op)
{
	struct history_value rows = {0};
	size_t rank = rank_present(r, r->rank_of[op->key]);
	while (rank < r->history->keys_count && rows.size < op->limit) {
		const struct history_key *key = &r->history->keys[r->key_of[rank]];
		if (r->keys[rank].value.size != UINT64_MAX)
			rows = history_scan_added(rows, key->value, r->keys[rank].value);
		rank = rank_present(r, rank + 1);
	}
	return rows;
}

static void
replay_scan(struct replay *r, uint32_t index)
{
	const struct history_op *op = &r->history->ops[index];
	if (op->status == HISTORY_UNKNOWN)
		return;
	struct history_value rows = rows_found(r, op);
	if (history_value_equal(rows, op->seen))
		return;
	if (r->any_open) {
		r->report->unjudged++;
		return;
	}
	r->report->expected = rows;
	fault_found(r, WITNESS_FAULT_RESULT, index, index);
}

/* ---- Reads beside the order --------------------------------------------- */

static bool
read_fits(const struct replay *r, const struct history_op *op)
{
	if (op->kind == HISTORY_SCAN)
		return history_value_equal(rows_found(r, op), op->seen);
	const struct key_state *key = &r->keys[r->rank_of[op->key]];
	return !key->lost && history_accepts(op, key->value);
}

/*
 * Gives this slot to the reads that it fits. The earlier of them were asked first,
 * so those that a read must follow come before it in `waiting`.
 */
static void
reads_place(struct replay *r, size_t slot)
{
	const struct history_op *ops = r->history->ops;
	while (r->reads_next < r->reads_count && r->reads[r->reads_next].by <= r->answers[slot])
		r->waiting[r->waiting_count++] = r->reads[r->reads_next++].index;
	uint64_t unplaced_ns = HISTORY_PENDING; /* when the first of them was answered */
	size_t kept = 0;
	for (size_t i = 0; i < r->waiting_count; i++) {
		const struct history_op *op = &ops[r->waiting[i]];
		if (op->invoke_ns <= unplaced_ns && read_fits(r, op)) {
			r->report->placed++;
			continue;
		}
		if (op->response_ns < unplaced_ns)
			unplaced_ns = op->response_ns;
		r->waiting[kept++] = r->waiting[i];
	}
	r->waiting_count = kept;
}

/* Reads answered before the next operation was asked may not stand above it: those
 * that have no place by now have none. */
static void
reads_expire(struct replay *r, uint64_t asked_ns)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->waiting_count; i++) {
		if (r->history->ops[r->waiting[i]].response_ns < asked_ns)
			r->report->unplaced++;
		else
			r->waiting[kept++] = r->waiting[i];
	}
	r->waiting_count = kept;
}

/* ---- Faults ------------------------------------------------------------- */

static void
fault_found(struct replay *r, enum witness_fault fault, uint32_t a, uint32_t b)
{
	check(fault != WITNESS_FAULT_NONE);
	check(r->report->fault == WITNESS_FAULT_NONE);
	r->report->fault = fault;
	r->report->first = a;
	r->report->second = b;
}

/* Exactly once: sorts by request, then by client, and looks at neighbours. */
static int
check_clients(struct replay *r)
{
	const struct history *h = r->history;
	struct history_rank *ranks = malloc((h->ops_count + 1) * sizeof(*ranks));
	if (ranks == NULL)
		return -ENOMEM;
	size_t count = 0;
	for (size_t i = 0; i < h->ops_count; i++) {
		if (h->ops[i].request != 0)
			ranks[count++] =
			    (struct history_rank){.by = h->ops[i].request, .index = (uint32_t)i};
	}
	int error = history_sort(ranks, count);
	for (size_t i = 0; i < count; i++)
		ranks[i].by = h->ops[ranks[i].index].client;
	if (error == 0)
		error = history_sort(ranks, count);
	for (size_t i = 1; error == 0 && i < count; i++) {
		uint32_t a = ranks[i - 1].index;
		uint32_t b = ranks[i].index;
		if (h->ops[a].client == h->ops[b].client &&
		    h->ops[a].request == h->ops[b].request) {
			fault_found(r, WITNESS_FAULT_CLIENT_TWICE, a, b);
			break;
		}
	}
	free(ranks);
	return error;
}

/* ---- Setting up --------------------------------------------------------- */

struct named_key {
	const uint8_t *bytes;
	uint32_t size;
	uint32_t key;
};

static int
named_key_compare(const void *a, const void *b)
{
	const struct named_key *x = a;
	const struct named_key *y = b;
	size_t size = x->size < y->size ? x->size : y->size;
	int order = size == 0 ? 0 : memcmp(x->bytes, y->bytes, size);
	return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

/* Ranks the keys by their bytes, shorter first among prefixes. */
static int
keys_ranked(struct replay *r)
{
	const struct history *h = r->history;
	struct named_key *named = malloc((h->keys_count + 1) * sizeof(*named));
	if (named == NULL)
		return -ENOMEM;
	for (uint32_t k = 0; k < h->keys_count; k++)
		named[k] = (struct named_key){history_key_bytes(h, k), h->keys[k].size, k};
	if (h->keys_count > 0)
		qsort(named, h->keys_count, sizeof(*named), named_key_compare);
	for (uint32_t rank = 0; rank < h->keys_count; rank++) {
		r->key_of[rank] = named[rank].key;
		r->rank_of[named[rank].key] = rank;
		r->keys[rank] = (struct key_state){.value = HISTORY_ABSENT};
	}
	free(named);
	return 0;
}

/* Orders the operations by position, and apart the reads that were answered without
 * one; notes what else has none. */
static int
ops_ordered(struct replay *r)
{
	const struct history *h = r->history;
	for (size_t i = 0; i < h->ops_count; i++) {
		const struct history_op *op = &h->ops[i];
		bool answered = op->response_ns != HISTORY_PENDING;
		if (op->seq != 0) {
			r->order[r->order_count++] =
			    (struct history_rank){.by = op->seq, .index = (uint32_t)i};
		} else if (!history_is_read(op)) {
			r->keys[r->rank_of[op->key]].open = true;
			r->any_open = true;
			r->report->unplaced += answered;
		} else if (answered) {
			r->reads[r->reads_count++] =
			    (struct history_rank){.by = op->invoke_ns, .index = (uint32_t)i};
		}
	}
	int error = history_sort(r->order, r->order_count);
	return error != 0 ? error : history_sort(r->reads, r->reads_count);
}

/* A slot's reads were asked before, or when, anything above it was answered. */
static void
answers_set(struct replay *r)
{
	uint64_t first_ns = HISTORY_PENDING;
	r->answers[r->order_count] = first_ns;
	for (size_t i = r->order_count; i-- > 0; r->answers[i] = first_ns) {
		uint64_t answer_ns = r->history->ops[r->order[i].index].response_ns;
		first_ns = answer_ns < first_ns ? answer_ns : first_ns;
	}
}

static int
replay_init(struct replay *r, const struct history *h)
{
	r->order = calloc(h->ops_count + 1, sizeof(*r->order));
	r->keys = calloc(h->keys_count + 1, sizeof(*r->keys));
	r->rank_of = calloc(h->keys_count + 1, sizeof(*r->rank_of));
	r->key_of = calloc(h->keys_count + 1, sizeof(*r->key_of));
	r->present = calloc(h->keys_count / 64 + 1, sizeof(*r->present));
	r->reads = calloc(h->ops_count + 1, sizeof(*r->reads));
	r->waiting = calloc(h->ops_count + 1, sizeof(*r->waiting));
	r->answers = calloc(h->ops_count + 1, sizeof(*r->answers));
	if (!r->order || !r->keys || !r->rank_of || !r->key_of || !r->present || !r->reads ||
	    !r->waiting || !r->answers)
		return -ENOMEM;
	int error = keys_ranked(r);
	if (error == 0)
		error = ops_ordered(r);
	if (error == 0)
		answers_set(r);
	return error;
}

static void
replay_free(struct replay *r)
{
	free(r->order);
	free(r->keys);
	free(r->rank_of);
	free(r->key_of);
	free(r->present);
	free(r->reads);
	free(r->waiting);
	free(r->answers);
}

/* ---- Printing ----------------------------------------------------------- */

static void
print_expected(FILE *out, const struct witness_report *report, bool rows)
{
	if (rows)
		fprintf(out, "  the replay finds %" PRIu64 " rows with digest %016" PRIx64 "\n",
		    report->expected.size, report->expected.hash);
	else if (report->expected.size == UINT64_MAX)
		fprintf(out, "  but the replay finds no such key there\n");
	else
		fprintf(out, "  but in the replay the key holds %016" PRIx64 "/%" PRIu64 "\n",
		    report->expected.hash, report->expected.size);
}

void
witness_print(FILE *out, const struct history *h, const struct witness_report *report)
{
	static const char *const texts[] = {
	    [WITNESS_FAULT_NONE] = "no fault",
	    [WITNESS_FAULT_RESULT] = "an answer is not what the executed order gives",
	    [WITNESS_FAULT_TIME] =
		"the first was answered before the second was asked, but executed after it",
	    [WITNESS_FAULT_SEQ_TWICE] = "two operations have the same position",
	    [WITNESS_FAULT_CLIENT_TWICE] = "one request of one client occurs twice",
	};
	fprintf(out, "%s:\n", texts[report->fault]);
	if (report->fault == WITNESS_FAULT_NONE)
		return;
	fprintf(out, "    ");
	history_op_print(out, h, report->first);
	if (report->fault == WITNESS_FAULT_RESULT) {
		print_expected(out, report, h->ops[report->first].kind == HISTORY_SCAN);
		return;
	}
	fprintf(out, "    ");
	history_op_print(out, h, report->second);
}
