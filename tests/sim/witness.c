/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay in executed order, and one sweep for real time. One thread owns it.
 * Memory: about 50 bytes an operation and a key, given back at the end.
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
};

static int replay_init(struct replay *r, const struct history *h);
static void replay_free(struct replay *r);
static int check_clients(struct replay *r);
static void check_order(struct replay *r);
static void replay_one(struct replay *r, uint32_t index);
static void replay_scan(struct replay *r, uint32_t index);
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
}

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

static void
replay_scan(struct replay *r, uint32_t index)
{
	const struct history_op *op = &r->history->ops[index];
	if (op->status == HISTORY_UNKNOWN)
		return;
	struct history_value rows = {0};
	size_t rank = rank_present(r, r->rank_of[op->key]);
	while (rank < r->history->keys_count && rows.size < op->limit) {
		const struct history_key *key = &r->history->keys[r->key_of[rank]];
		if (r->keys[rank].value.size != UINT64_MAX)
			rows = history_scan_added(rows, key->value, r->keys[rank].value);
		rank = rank_present(r, rank + 1);
	}
	if (history_value_equal(rows, op->seen))
		return;
	if (r->any_open) {
		r->report->unjudged++;
		return;
	}
	r->report->expected = rows;
	fault_found(r, WITNESS_FAULT_RESULT, index, index);
}

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

/* Orders the operations by position; notes those without one. */
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
		}
		r->report->unplaced += op->seq == 0 && answered;
	}
	return history_sort(r->order, r->order_count);
}

static int
replay_init(struct replay *r, const struct history *h)
{
	r->order = calloc(h->ops_count + 1, sizeof(*r->order));
	r->keys = calloc(h->keys_count + 1, sizeof(*r->keys));
	r->rank_of = calloc(h->keys_count + 1, sizeof(*r->rank_of));
	r->key_of = calloc(h->keys_count + 1, sizeof(*r->key_of));
	r->present = calloc(h->keys_count / 64 + 1, sizeof(*r->present));
	if (!r->order || !r->keys || !r->rank_of || !r->key_of || !r->present)
		return -ENOMEM;
	int error = keys_ranked(r);
	return error != 0 ? error : ops_ordered(r);
}

static void
replay_free(struct replay *r)
{
	free(r->order);
	free(r->keys);
	free(r->rank_of);
	free(r->key_of);
	free(r->present);
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
