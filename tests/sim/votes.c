/* SPDX-License-Identifier: Apache-2.0 */
/* See votes.h. One thread. */
#include "votes.h"

#include <stdlib.h>

#include "engine/check.h"

enum { CAPACITY_MIN = 1024 };

void
votes_free(struct votes *v)
{
	free(v->list);
	*v = (struct votes){0};
}

static uint64_t *
place_of(const struct votes *v, uint64_t about)
{
	uint64_t at = about & (v->capacity - 1);
	while (v->list[at][0] != 0 && v->list[at][0] != about)
		at = (at + 1) & (v->capacity - 1);
	return v->list[at];
}

static void
grow(struct votes *v)
{
	struct votes old = *v;
	v->capacity = old.capacity == 0 ? CAPACITY_MIN : 2 * old.capacity;
	v->list = calloc(v->capacity, sizeof(*v->list));
	check(v->list != NULL);
	for (uint64_t i = 0; i < old.capacity; i++) {
		if (old.list[i][0] == 0)
			continue;
		uint64_t *place = place_of(v, old.list[i][0]);
		place[0] = old.list[i][0];
		place[1] = old.list[i][1];
	}
	free(old.list);
}

/* Its place; a free one is taken. */
static uint64_t *
place_take(struct votes *v, uint64_t about, bool *taken)
{
	about |= 1; /* 0 is a free place */
	if (2 * (v->count + 1) > v->capacity)
		grow(v);
	uint64_t *place = place_of(v, about);
	*taken = place[0] == 0;
	v->count += *taken;
	place[0] = about;
	return place;
}

bool
votes_add(struct votes *v, uint64_t about, uint64_t what)
{
	bool first;
	uint64_t *place = place_take(v, about, &first);
	if (first)
		place[1] = what;
	return place[1] == what;
}

uint64_t *
votes_word(struct votes *v, uint64_t about)
{
	bool first;
	return &place_take(v, about, &first)[1];
}

bool
votes_hold(const struct votes *v, uint64_t about, uint64_t what)
{
	if (v->capacity == 0)
		return false;
	const uint64_t *place = place_of(v, about | 1);
	return place[0] != 0 && place[1] == what;
}
