/* SPDX-License-Identifier: Apache-2.0 */
/* Sorts and searches the loaded records' keys. See ycsb_order.h. */
#include "engine/ycsb_order.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

enum { DIGIT_BITS = 16, DIGIT_VALUES = 1 << DIGIT_BITS };

/* One pass of a radix sort: stable by the digit at `shift`. */
static void
sort_by_digit(const uint64_t *from, uint64_t *to, uint32_t count, uint32_t shift, uint32_t *starts)
{
	memset(starts, 0, DIGIT_VALUES * sizeof(*starts));
	for (uint32_t i = 0; i < count; i++)
		starts[from[i] >> shift & (DIGIT_VALUES - 1)]++;
	uint32_t start = 0;
	for (uint32_t i = 0; i < DIGIT_VALUES; i++) {
		uint32_t digit_count = starts[i];
		starts[i] = start;
		start += digit_count;
	}
	for (uint32_t i = 0; i < count; i++)
		to[starts[from[i] >> shift & (DIGIT_VALUES - 1)]++] = from[i];
}

bool
ycsb_order_open(struct ycsb_order *o, uint32_t count)
{
	check(count > 0);
	uint64_t *sorted = calloc(count, sizeof(*sorted));
	uint64_t *other = calloc(count, sizeof(*other));
	uint32_t *starts = calloc(DIGIT_VALUES, sizeof(*starts));
	bool enough = sorted != NULL && other != NULL && starts != NULL;

	for (uint32_t i = 0; enough && i < count; i++)
		sorted[i] = ycsb_key_order(i);
	/* An even number of passes: the last one comes back to `sorted`. */
	for (uint32_t shift = 0; enough && shift < 64; shift += 2 * DIGIT_BITS) {
		sort_by_digit(sorted, other, count, shift, starts);
		sort_by_digit(other, sorted, count, shift + DIGIT_BITS, starts);
	}
	free(other);
	free(starts);
	if (!enough) {
		free(sorted);
		return false;
	}
	o->sorted = sorted;
	o->count = count;
	return true;
}

void
ycsb_order_close(struct ycsb_order *o)
{
	free(o->sorted);
	*o = (struct ycsb_order){0};
}

struct ycsb_order_cursor
ycsb_order_find(const struct ycsb_order *o, uint32_t key)
{
	struct ycsb_order_cursor cursor = {.order_min = ycsb_key_order(key)};
	uint32_t end = o->count;
	while (cursor.next < end) {
		uint32_t middle = cursor.next + (end - cursor.next) / 2;
		if (o->sorted[middle] < cursor.order_min)
			cursor.next = middle + 1;
		else
			end = middle;
	}
	return cursor;
}
