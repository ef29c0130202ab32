/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for an order of each key's operations. One thread owns it all.
 *
 * Calls and returns of a key form one list in time order. The operations whose
 * calls stand before the first return are open: one of them must come next. To
 * take one is to lift its call and return out of the list; to take it back is
 * to put them in again, in the reverse order (dancing links). Pending
 * operations have no return and wait beside the list.
 *
 * Cost: each step looks at the open operations, at most as many as clients.
 * Memory: 150 to 170 bytes an operation of the largest key, 44 bytes an
 * operation of the history for sorting, and 21 to 43 bytes a visited
 * configuration (half as much again for a moment while the table grows).
 */
#include "linear.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define NONE UINT32_MAX

enum { CACHE_COUNT_MIN = 1024 };

/* A configuration: which operations are taken, and the value they left. */
struct fingerprint {
	uint64_t a;
	uint64_t b;
};

/* The visited configurations: open addressing; {0, 0} is an empty slot. */
struct cache {
	struct fingerprint *slots;
	size_t slots_count; /* power of two */
	size_t used;
	size_t slots_max;
	bool exhausted; /* a configuration found no room */
};

/* What the search needs of one operation. */
struct item {
	uint32_t op;	/* index in the history */
	uint32_t needs; /* value that must be there before it, or NONE */
	uint32_t makes; /* value that it may leave, or NONE */
	bool read;	/* changed nothing */
	bool pending;
	bool append;
	bool taken;
};

/* One operation taken, and what was before. */
struct frame {
	uint32_t item;
	uint32_t value_index;
	struct history_value value;
	struct fingerprint set;
};

/* A value that an operation of the key needs or makes. */
struct known_value {
	struct history_value value;
	uint32_t needs_left; /* answered operations not taken yet that need it */
	uint32_t makes_left; /* operations not taken yet that can make it */
};

/* Where to go on looking for the next operation: first in the list, then among
 * the pending ones. */
struct cursor {
	uint32_t entry;	  /* list entry, or NONE: done with the list */
	uint32_t pending; /* position in pending_items */
};

/*
 * The search on one key; its arrays serve one key after the other. List entry i
 * is the call of item i, entry count + i its return, entry 2 count the head.
 */
struct search {
	const struct history *history;
	struct linear_limits limits;
	struct cache cache;
	struct linear_evidence evidence;
	uint64_t steps;

	struct item *items; /* in the order of their calls */
	uint32_t count;
	uint32_t *next;
	uint32_t *previous;
	uint32_t *position; /* of each entry in time order */
	uint32_t *pending_items;
	uint32_t pending_count;
	struct frame *frames;
	uint32_t depth;
	struct known_value *values;
	uint32_t values_count;
	uint32_t *value_slots; /* hash table of value index + 1 */
	size_t value_slots_count;
	size_t capacity; /* items that the arrays have room for */

	struct history_value value;
	uint32_t value_index; /* in values, or NONE */
	struct fingerprint set;
	uint32_t answered_left; /* answered operations not taken yet */
	uint32_t appends_left;
	uint64_t append_size_min;
};

/* The operations of all keys: by_call sorted by (key, invoke_ns), by_return by
 * (key, response_ns). Key k's are at starts[k] .. starts[k + 1] in both. */
struct split {
	uint32_t *by_call;
	uint32_t *by_return;
	uint32_t *item_of; /* for each operation, its place among its key's calls */
	size_t *starts;
};

static int split_init(struct split *split, const struct history *h);
static void split_free(struct split *split);
static int search_init(struct search *s, const struct split *split);
static void report_add(
    struct linear_report *report, const struct search *s, enum linear_verdict verdict);
static void search_free(struct search *s);
static void search_load(struct search *s, const struct split *split, uint32_t key);
static enum linear_verdict search_run(struct search *s);
static void take_reads(struct search *s);
static bool take_next(struct search *s, struct cursor cursor);
static bool take_if_new(struct search *s, uint32_t item);
static void take(struct search *s, uint32_t item, struct history_value after);
static bool take_back(struct search *s, struct cursor *cursor);
static void note_evidence(struct search *s);
static uint32_t value_find(const struct search *s, struct history_value value);
static uint32_t value_added(struct search *s, struct history_value value);
static int cache_reset(struct cache *cache);
static bool cache_insert(struct cache *cache, struct fingerprint key);

int
linear_check(
    const struct history *h, const struct linear_limits *limits, struct linear_report *report)
{
	check(limits->steps_max > 0);
	*report = (struct linear_report){.verdict = LINEAR_GAVE_UP};
	struct search s = {.history = h, .limits = *limits};
	struct split split;
	int error = split_init(&split, h);
	if (error == 0)
		error = search_init(&s, &split);
	enum linear_verdict verdict = LINEAR_PASS;
	for (uint32_t k = 0; k < h->keys_count && verdict != LINEAR_VIOLATION; k++) {
		if (error != 0)
			break;
		if (split.starts[k] == split.starts[k + 1])
			continue;
		error = cache_reset(&s.cache);
		if (error != 0)
			break;
		search_load(&s, &split, k);
		enum linear_verdict of_key = search_run(&s);
		report_add(report, &s, of_key);
		if (of_key != LINEAR_PASS)
			verdict = of_key;
	}
	for (size_t i = 0; i < h->ops_count; i++)
		report->skipped += h->ops[i].kind == HISTORY_SCAN;
	if (error == 0)
		report->verdict = verdict;
	search_free(&s);
	split_free(&split);
	return error;
}

/* Adds what the search on one key found and cost. */
static void
report_add(struct linear_report *report, const struct search *s, enum linear_verdict verdict)
{
	report->steps += s->steps;
	report->checked += s->count;
	report->keys_checked += verdict != LINEAR_GAVE_UP;
	report->keys_gave_up += verdict == LINEAR_GAVE_UP;
	uint64_t cache_bytes = s->cache.slots_count * sizeof(*s->cache.slots);
	if (cache_bytes > report->cache_bytes_peak)
		report->cache_bytes_peak = cache_bytes;
	if (verdict == LINEAR_VIOLATION)
		report->evidence = s->evidence;
}

/* ---- The search --------------------------------------------------------- */

static enum linear_verdict
search_run(struct search *s)
{
	check(s->depth == 0);
	for (;;) {
		take_reads(s);
		if (s->answered_left == 0)
			return LINEAR_PASS;
		struct cursor cursor = {.entry = s->next[2 * s->count]};
		while (!take_next(s, cursor)) {
			if (s->cache.exhausted || s->steps >= s->limits.steps_max)
				return LINEAR_GAVE_UP;
			note_evidence(s);
			if (!take_back(s, &cursor))
				return LINEAR_VIOLATION;
		}
		if (s->cache.exhausted || s->steps >= s->limits.steps_max)
			return LINEAR_GAVE_UP;
	}
}

/*
 * Takes every open operation that changed nothing and fits now. Any order that
 * takes it later can take it here instead: the others see the same values.
 */
static void
take_reads(struct search *s)
{
	uint32_t e = s->next[2 * s->count];
	while (e < s->count) {
		s->steps++;
		const struct history_op *op = &s->history->ops[s->items[e].op];
		uint32_t before = s->previous[e];
		if (s->items[e].read && history_accepts(op, s->value)) {
			take(s, e, s->value);
			e = s->next[before];
		} else {
			e = s->next[e];
		}
	}
}

/* Takes the first operation from the cursor on that leads to a configuration
 * not seen before; false if there is none. */
static bool
take_next(struct search *s, struct cursor cursor)
{
	uint32_t e = cursor.entry;
	for (; e < s->count; e = s->next[e]) {
		if (!s->items[e].read && take_if_new(s, e))
			return true;
	}
	if (s->pending_count == 0)
		return false;
	/* Pending operations last: most of them never took effect. */
	for (e = s->next[2 * s->count]; e < s->count; e = s->next[e])
		continue;
	check(e < 2 * s->count);
	for (uint32_t i = cursor.pending; i < s->pending_count; i++) {
		uint32_t item = s->pending_items[i];
		if (s->position[item] > s->position[e])
			return false;
		if (!s->items[item].taken && take_if_new(s, item))
			return true;
	}
	return false;
}

static uint64_t
mixed(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* The set with one operation more, or less. */
static struct fingerprint
set_toggled(struct fingerprint set, uint32_t item)
{
	set.a ^= mixed((uint64_t)item << 1);
	set.b ^= mixed((uint64_t)item << 1 ^ UINT64_C(0xa5a5a5a5a5a5a5a5));
	return set;
}

static struct fingerprint
configuration(struct fingerprint set, struct history_value value)
{
	uint64_t size = mixed(value.size);
	struct fingerprint key = {
	    .a = mixed(set.a ^ mixed(value.hash ^ size)),
	    .b = mixed(set.b + mixed(value.hash + ~size)),
	};
	if (key.a == 0 && key.b == 0)
		key.b = 1;
	return key;
}

/* Whether taking `item`, which changes the value, overwrites one for good that
 * others still need. It cannot be what makes that value again. */
static bool
overwrites_needed(const struct search *s, const struct item *item)
{
	if (s->value_index == NONE)
		return false;
	const struct known_value *v = &s->values[s->value_index];
	uint32_t needs = v->needs_left - (item->needs == s->value_index);
	if (needs == 0 || v->makes_left > 0)
		return false;
	bool absent = v->value.size == UINT64_MAX;
	uint32_t appends = s->appends_left - item->append;
	return absent || appends == 0 || v->value.size < s->append_size_min;
}

static bool
take_if_new(struct search *s, uint32_t index)
{
	const struct item *item = &s->items[index];
	const struct history_op *op = &s->history->ops[item->op];
	s->steps++;
	if (!history_accepts(op, s->value))
		return false;
	struct history_value after = s->value;
	history_execute(op, &after);
	bool same = history_value_equal(after, s->value);
	if (same && item->pending)
		return false;
	if (!same && overwrites_needed(s, item))
		return false;
	struct fingerprint set = set_toggled(s->set, index);
	if (!cache_insert(&s->cache, configuration(set, after)))
		return false;
	take(s, index, after);
	return true;
}

static void
unlink_entry(struct search *s, uint32_t e)
{
	s->next[s->previous[e]] = s->next[e];
	s->previous[s->next[e]] = s->previous[e];
}

static void
relink_entry(struct search *s, uint32_t e)
{
	s->next[s->previous[e]] = e;
	s->previous[s->next[e]] = e;
}

static void
take(struct search *s, uint32_t index, struct history_value after)
{
	struct item *item = &s->items[index];
	check(!item->taken);
	check(s->depth < s->count);
	s->frames[s->depth++] = (struct frame){
	    .item = index, .value_index = s->value_index, .value = s->value, .set = s->set};
	item->taken = true;
	if (!item->pending) {
		unlink_entry(s, index);
		unlink_entry(s, s->count + index);
		s->answered_left--;
	}
	if (item->needs != NONE)
		s->values[item->needs].needs_left--;
	if (item->makes != NONE)
		s->values[item->makes].makes_left--;
	s->appends_left -= item->append;
	s->set = set_toggled(s->set, index);
	if (item->makes != NONE)
		s->value_index = item->makes;
	else if (!item->read)
		s->value_index = value_find(s, after);
	s->value = after;
}

/*
 * Takes back operations up to and including the last choice, and sets the
 * cursor behind it. Reads were no choice. False: no choice is left.
 */
static bool
take_back(struct search *s, struct cursor *cursor)
{
	while (s->depth > 0) {
		const struct frame *frame = &s->frames[--s->depth];
		struct item *item = &s->items[frame->item];
		check(item->taken);
		item->taken = false;
		s->value = frame->value;
		s->value_index = frame->value_index;
		s->set = frame->set;
		s->appends_left += item->append;
		if (item->needs != NONE)
			s->values[item->needs].needs_left++;
		if (item->makes != NONE)
			s->values[item->makes].makes_left++;
		if (!item->pending) {
			s->answered_left++;
			relink_entry(s, s->count + frame->item);
			relink_entry(s, frame->item);
		}
		if (item->read)
			continue;
		*cursor = (struct cursor){.entry = NONE, .pending = 0};
		if (!item->pending) {
			cursor->entry = s->next[frame->item];
			return true;
		}
		while (s->pending_items[cursor->pending] != frame->item)
			cursor->pending++;
		cursor->pending++;
		return true;
	}
	return false;
}

/* Keeps the window if the search never got as far as this. */
static void
note_evidence(struct search *s)
{
	struct linear_evidence *evidence = &s->evidence;
	if (evidence->blocked != NONE && s->depth <= evidence->ordered_count)
		return;
	evidence->ordered_count = s->depth;
	evidence->value = s->value;
	evidence->last_count = 0;
	uint32_t i = s->depth > LINEAR_LAST_MAX ? s->depth - LINEAR_LAST_MAX : 0;
	for (; i < s->depth; i++)
		evidence->last[evidence->last_count++] = s->items[s->frames[i].item].op;
	evidence->stuck_count = 0;
	uint32_t e = s->next[2 * s->count];
	for (; e < s->count; e = s->next[e]) {
		if (evidence->stuck_count < LINEAR_STUCK_MAX)
			evidence->stuck[evidence->stuck_count++] = s->items[e].op;
	}
	check(e < 2 * s->count);
	evidence->blocked = s->items[e - s->count].op;
	for (i = 0; i < s->pending_count; i++) {
		uint32_t item = s->pending_items[i];
		bool open = !s->items[item].taken && s->position[item] < s->position[e];
		if (open && evidence->stuck_count < LINEAR_STUCK_MAX)
			evidence->stuck[evidence->stuck_count++] = s->items[item].op;
	}
}

/* ---- Setting up one key ------------------------------------------------- */

/* What an operation needs and makes; counts them in the values. */
static void
item_classify(struct search *s, struct item *item)
{
	const struct history_op *op = &s->history->ops[item->op];
	bool ok = op->status == HISTORY_OK;
	item->pending = op->response_ns == HISTORY_PENDING;
	item->read = history_is_read(op);
	item->append = op->kind == HISTORY_APPEND;
	item->needs = NONE;
	item->makes = NONE;
	if (op->status == HISTORY_NOT_FOUND)
		item->needs = value_added(s, HISTORY_ABSENT);
	else if (ok && (op->kind == HISTORY_GET || op->kind == HISTORY_CAS))
		item->needs = value_added(s, op->seen);
	if (op->kind == HISTORY_DELETE && !item->read)
		item->makes = value_added(s, HISTORY_ABSENT);
	else if (op->kind == HISTORY_PUT || (op->kind == HISTORY_CAS && !item->read))
		item->makes = value_added(s, op->written);
	if (item->needs != NONE)
		s->values[item->needs].needs_left++;
	if (item->makes != NONE)
		s->values[item->makes].makes_left++;
	s->appends_left += item->append;
	if (item->append && op->written.size < s->append_size_min)
		s->append_size_min = op->written.size;
}

/* Puts an entry at the end of the list. */
static void
entry_append(struct search *s, uint32_t e, uint32_t position)
{
	uint32_t head = 2 * s->count;
	s->position[e] = position;
	s->previous[e] = s->previous[head];
	s->next[e] = head;
	s->next[s->previous[head]] = e;
	s->previous[head] = e;
}

/*
 * Merges calls and returns in time order. At equal times calls come first: the
 * two operations then count as concurrent, as A precedes B only if A was
 * answered strictly before B was asked.
 */
static void
list_build(struct search *s, const struct split *split, size_t start)
{
	const struct history_op *ops = s->history->ops;
	const uint32_t *by_return = split->by_return + start;
	uint32_t head = 2 * s->count;
	uint32_t position = 0;
	s->next[head] = s->previous[head] = head;
	for (uint32_t call = 0, answer = 0; call < s->count || answer < s->count;) {
		uint64_t answer_ns =
		    answer < s->count ? ops[by_return[answer]].response_ns : HISTORY_PENDING;
		if (call < s->count && ops[s->items[call].op].invoke_ns <= answer_ns) {
			if (s->items[call].pending)
				s->position[call] = position++;
			else
				entry_append(s, call, position++);
			call++;
			continue;
		}
		if (answer_ns == HISTORY_PENDING)
			return;
		entry_append(s, s->count + split->item_of[by_return[answer++]], position++);
	}
}

static void
search_load(struct search *s, const struct split *split, uint32_t key)
{
	size_t start = split->starts[key];
	s->count = (uint32_t)(split->starts[key + 1] - start);
	check(s->count > 0);
	check(s->count <= s->capacity);
	s->depth = s->pending_count = s->values_count = 0;
	s->set = (struct fingerprint){0};
	s->steps = 0;
	s->answered_left = s->appends_left = 0;
	s->append_size_min = UINT64_MAX;
	s->value_slots_count = 4;
	while (s->value_slots_count < 4 * (size_t)s->count)
		s->value_slots_count *= 2;
	memset(s->value_slots, 0, s->value_slots_count * sizeof(*s->value_slots));
	s->value = HISTORY_ABSENT;
	s->value_index = value_added(s, HISTORY_ABSENT);
	for (uint32_t i = 0; i < s->count; i++) {
		s->items[i] = (struct item){.op = split->by_call[start + i]};
		item_classify(s, &s->items[i]);
		s->answered_left += !s->items[i].pending;
		if (s->items[i].pending && !s->items[i].read)
			s->pending_items[s->pending_count++] = i;
	}
	s->evidence =
	    (struct linear_evidence){.key = key, .blocked = NONE, .total_count = s->count};
	list_build(s, split, start);
}

/* ---- Memory ------------------------------------------------------------- */

/* Takes the arrays, for the key with the most operations. */
static int
search_init(struct search *s, const struct split *split)
{
	size_t items_max = 0;
	for (size_t k = 0; k < s->history->keys_count; k++) {
		if (split->starts[k + 1] - split->starts[k] > items_max)
			items_max = split->starts[k + 1] - split->starts[k];
	}
	check(items_max <= HISTORY_OPS_MAX);
	s->capacity = items_max;
	s->value_slots_count = 4;
	while (s->value_slots_count < 4 * items_max)
		s->value_slots_count *= 2;
	s->items = calloc(items_max + 1, sizeof(*s->items));
	s->next = calloc(2 * items_max + 1, sizeof(*s->next));
	s->previous = calloc(2 * items_max + 1, sizeof(*s->previous));
	s->position = calloc(2 * items_max + 1, sizeof(*s->position));
	s->pending_items = calloc(items_max + 1, sizeof(*s->pending_items));
	s->frames = calloc(items_max + 1, sizeof(*s->frames));
	s->values = calloc(2 * items_max + 1, sizeof(*s->values));
	s->value_slots = calloc(s->value_slots_count, sizeof(*s->value_slots));
	bool complete = s->items && s->next && s->previous && s->position && s->pending_items &&
			s->frames && s->values && s->value_slots;
	/* A table that doubles holds both copies for a moment: 1.5 times the new. */
	s->cache.slots_max = CACHE_COUNT_MIN;
	while (s->cache.slots_max * 2 * sizeof(struct fingerprint) * 3 / 2 <=
	       s->limits.cache_bytes_max)
		s->cache.slots_max *= 2;
	return complete ? 0 : -ENOMEM;
}

static void
search_free(struct search *s)
{
	free(s->items);
	free(s->next);
	free(s->previous);
	free(s->position);
	free(s->pending_items);
	free(s->frames);
	free(s->values);
	free(s->value_slots);
	free(s->cache.slots);
}

/* Fills `order` with the operations that are no scans, by key, then by time. */
static int
split_sort(const struct history *h, uint32_t *order, bool by_return)
{
	struct history_rank *ranks = malloc((h->ops_count + 1) * sizeof(*ranks));
	if (ranks == NULL)
		return -ENOMEM;
	size_t count = 0;
	for (size_t i = 0; i < h->ops_count; i++) {
		const struct history_op *op = &h->ops[i];
		uint64_t time_ns = by_return ? op->response_ns : op->invoke_ns;
		if (op->kind != HISTORY_SCAN)
			ranks[count++] = (struct history_rank){.by = time_ns, .index = (uint32_t)i};
	}
	int error = history_sort(ranks, count);
	for (size_t i = 0; i < count; i++)
		ranks[i].by = h->ops[ranks[i].index].key;
	if (error == 0)
		error = history_sort(ranks, count);
	for (size_t i = 0; i < count; i++)
		order[i] = ranks[i].index;
	free(ranks);
	return error;
}

static int
split_init(struct split *split, const struct history *h)
{
	check(h->ops_count <= HISTORY_OPS_MAX);
	split->by_call = calloc(h->ops_count + 1, sizeof(*split->by_call));
	split->by_return = calloc(h->ops_count + 1, sizeof(*split->by_return));
	split->item_of = calloc(h->ops_count + 1, sizeof(*split->item_of));
	split->starts = calloc(h->keys_count + 2, sizeof(*split->starts));
	if (!split->by_call || !split->by_return || !split->item_of || !split->starts)
		return -ENOMEM;
	int error = split_sort(h, split->by_call, false);
	if (error == 0)
		error = split_sort(h, split->by_return, true);
	for (size_t i = 0; i < h->ops_count; i++)
		split->starts[h->ops[i].key + 1] += h->ops[i].kind != HISTORY_SCAN;
	for (size_t k = 0; k < h->keys_count; k++)
		split->starts[k + 1] += split->starts[k];
	for (size_t k = 0; error == 0 && k < h->keys_count; k++) {
		for (size_t i = split->starts[k]; i < split->starts[k + 1]; i++)
			split->item_of[split->by_call[i]] = (uint32_t)(i - split->starts[k]);
	}
	return error;
}

static void
split_free(struct split *split)
{
	free(split->by_call);
	free(split->by_return);
	free(split->item_of);
	free(split->starts);
}

/* ---- Values and visited configurations ---------------------------------- */

/* The slot of a value, or the empty one where it would go. */
static size_t
value_slot(const struct search *s, struct history_value value)
{
	size_t mask = s->value_slots_count - 1;
	size_t slot = mixed(value.hash ^ mixed(value.size)) & mask;
	while (s->value_slots[slot] != 0) {
		const struct known_value *v = &s->values[s->value_slots[slot] - 1];
		if (history_value_equal(v->value, value))
			break;
		slot = (slot + 1) & mask;
	}
	return slot;
}

static uint32_t
value_find(const struct search *s, struct history_value value)
{
	static_assert((uint32_t)(0 - 1U) == NONE, "an empty slot reads as NONE");
	return s->value_slots[value_slot(s, value)] - 1;
}

static uint32_t
value_added(struct search *s, struct history_value value)
{
	size_t slot = value_slot(s, value);
	if (s->value_slots[slot] == 0) {
		check(s->values_count < 2 * s->capacity + 1);
		s->values[s->values_count] = (struct known_value){.value = value};
		s->value_slots[slot] = ++s->values_count;
	}
	return s->value_slots[slot] - 1;
}

/* Forgets everything; a table grown for one key is not kept for the next. */
static int
cache_reset(struct cache *cache)
{
	cache->used = 0;
	cache->exhausted = false;
	if (cache->slots_count == CACHE_COUNT_MIN) {
		memset(cache->slots, 0, CACHE_COUNT_MIN * sizeof(*cache->slots));
		return 0;
	}
	free(cache->slots);
	cache->slots_count = 0;
	cache->slots = calloc(CACHE_COUNT_MIN, sizeof(*cache->slots));
	if (cache->slots == NULL)
		return -ENOMEM;
	cache->slots_count = CACHE_COUNT_MIN;
	return 0;
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t
cache_slot(const struct cache *cache, struct fingerprint key)
{
	size_t mask = cache->slots_count - 1;
	size_t slot = key.a & mask;
	while (cache->slots[slot].a != 0 || cache->slots[slot].b != 0) {
		if (cache->slots[slot].a == key.a && cache->slots[slot].b == key.b)
			break;
		slot = (slot + 1) & mask;
	}
	return slot;
}

static bool
cache_grow(struct cache *cache)
{
	if (cache->slots_count == cache->slots_max)
		return false;
	struct cache larger = *cache;
	larger.slots_count *= 2;
	larger.slots = calloc(larger.slots_count, sizeof(*larger.slots));
	if (larger.slots == NULL)
		return false;
	for (size_t i = 0; i < cache->slots_count; i++) {
		struct fingerprint key = cache->slots[i];
		if (key.a != 0 || key.b != 0)
			larger.slots[cache_slot(&larger, key)] = key;
	}
	free(cache->slots);
	*cache = larger;
	return true;
}

/* Whether the configuration is new and was remembered. */
static bool
cache_insert(struct cache *cache, struct fingerprint key)
{
	check(key.a != 0 || key.b != 0);
	size_t slot = cache_slot(cache, key);
	if (cache->slots[slot].a != 0 || cache->slots[slot].b != 0)
		return false;
	if (cache->used >= cache->slots_count / 4 * 3) {
		if (!cache_grow(cache)) {
			cache->exhausted = true;
			return false;
		}
		slot = cache_slot(cache, key);
	}
	cache->slots[slot] = key;
	cache->used++;
	return true;
}

/* ---- Printing ----------------------------------------------------------- */

void
linear_print(FILE *out, const struct history *h, const struct linear_evidence *evidence)
{
	check(evidence->blocked != NONE);
	fprintf(out, "key ");
	history_key_print(out, h, evidence->key);
	fprintf(out, ": of %" PRIu32 " operations at most %" PRIu32 " can be put in an order\n",
	    evidence->total_count, evidence->ordered_count);
	fprintf(out, "  (values are shown as hash/size)\n");
	fprintf(out, "  the last of that order:\n");
	for (uint32_t i = 0; i < evidence->last_count; i++) {
		fprintf(out, "    ");
		history_op_print(out, h, evidence->last[i]);
	}
	fprintf(out, "  the key then holds ");
	history_value_print(out, evidence->value);
	fprintf(out, "\n  one of these must come next, and none does:\n");
	for (uint32_t i = 0; i < evidence->stuck_count; i++) {
		fprintf(out, evidence->stuck[i] == evidence->blocked ? "  > " : "    ");
		history_op_print(out, h, evidence->stuck[i]);
	}
	fprintf(out,
	    "  (each does not fit, or overwrites what another still has to read, or leads to\n"
	    "   nothing new; > was answered first, so no order goes on without it)\n");
}
