/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of many slots that nearly always are put off before they fire: a wheel
 * of buckets with lazy moves. Putting a timer off writes one word; the entry
 * moves only when its old bucket comes round. Deterministic: slots in a bucket
 * fire in the order in which they came to it. The memory is the caller's.
 * Owned by one machine, on one core.
 */
#ifndef OSKR_ENGINE_WHEEL_H
#define OSKR_ENGINE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/check.h"

enum { WHEEL_BUCKETS = 256, WHEEL_WORDS = WHEEL_BUCKETS / 64 };

/* What wheel_expire() returns when no timer is due. */
#define WHEEL_NONE UINT32_MAX

/* One for each slot, zeroed at start. */
struct wheel_entry {
	uint64_t due_ns;   /* when it is due; UINT64_MAX: not at all */
	uint64_t tick;	   /* whose bucket it stands in, when queued */
	uint32_t next;	   /* 1 + the slot behind it in the bucket; 0: none */
	uint32_t previous; /* 1 + the slot before it; 0: none */
	bool queued;
};

struct wheel {
	struct wheel_entry *entries;
	uint64_t tick_ns; /* width of a bucket */
	uint64_t tick;	  /* no entry stands in an earlier bucket; never ahead of time */
	uint64_t rest_ns; /* nothing that stands in the bucket of `tick` is due earlier */
	uint64_t occupied[WHEEL_WORDS];
	uint32_t first[WHEEL_BUCKETS]; /* 1 + slot; 0: empty */
	uint32_t last[WHEEL_BUCKETS];
};

static inline void
wheel_init(struct wheel *w, struct wheel_entry *entries, uint64_t tick_ns)
{
	check(tick_ns > 0);
	memset(w, 0, sizeof(*w));
	w->entries = entries;
	w->tick_ns = tick_ns;
}

static inline void
wheel_unlink(struct wheel *w, uint32_t slot)
{
	struct wheel_entry *e = &w->entries[slot];
	uint32_t bucket = (uint32_t)(e->tick % WHEEL_BUCKETS);
	if (e->previous != 0)
		w->entries[e->previous - 1].next = e->next;
	else
		w->first[bucket] = e->next;
	if (e->next != 0)
		w->entries[e->next - 1].previous = e->previous;
	else
		w->last[bucket] = e->previous;
	if (w->first[bucket] == 0)
		w->occupied[bucket / 64] &= ~(1ull << (bucket % 64));
	e->queued = false;
}

/* Into the bucket of its time, or the farthest one: it moves on from there. */
static inline void
wheel_link(struct wheel *w, uint32_t slot)
{
	struct wheel_entry *e = &w->entries[slot];
	uint64_t tick = e->due_ns / w->tick_ns;
	if (tick < w->tick)
		tick = w->tick;
	if (tick >= w->tick + WHEEL_BUCKETS)
		tick = w->tick + WHEEL_BUCKETS - 1;
	uint32_t bucket = (uint32_t)(tick % WHEEL_BUCKETS);
	e->tick = tick;
	e->next = 0;
	e->previous = w->last[bucket];
	if (e->previous != 0)
		w->entries[e->previous - 1].next = slot + 1;
	else
		w->first[bucket] = slot + 1;
	w->last[bucket] = slot + 1;
	w->occupied[bucket / 64] |= 1ull << (bucket % 64);
	e->queued = true;
}

/* Arms or moves the timer of `slot`. */
static inline void
wheel_arm(struct wheel *w, uint32_t slot, uint64_t due_ns)
{
	struct wheel_entry *e = &w->entries[slot];
	e->due_ns = due_ns;
	if (due_ns < w->rest_ns)
		w->rest_ns = due_ns;
	if (e->queued && due_ns >= e->tick * w->tick_ns)
		return;
	if (e->queued)
		wheel_unlink(w, slot);
	wheel_link(w, slot);
}

static inline void
wheel_disarm(struct wheel *w, uint32_t slot)
{
	w->entries[slot].due_ns = UINT64_MAX;
}

/*
 * A time before which no timer is due, or UINT64_MAX. After wheel_expire() has
 * found nothing more it lies in the future: to wait for it is progress.
 */
static inline uint64_t
wheel_deadline(const struct wheel *w)
{
	for (uint32_t i = 0; i <= WHEEL_WORDS; i++) {
		uint32_t start = (uint32_t)(w->tick % WHEEL_BUCKETS);
		uint32_t word = (start / 64 + i) % WHEEL_WORDS;
		uint64_t bits = w->occupied[word];
		if (i == 0)
			bits &= ~0ull << (start % 64);
		else if (i == WHEEL_WORDS)
			bits &= ~(~0ull << (start % 64));
		if (bits == 0)
			continue;
		uint32_t bucket = word * 64 + (uint32_t)__builtin_ctzll(bits);
		uint64_t ahead = (bucket + WHEEL_BUCKETS - start) % WHEEL_BUCKETS;
		uint64_t start_ns = (w->tick + ahead) * w->tick_ns;
		return ahead == 0 && w->rest_ns > start_ns ? w->rest_ns : start_ns;
	}
	return UINT64_MAX;
}

static inline void
wheel_turn(struct wheel *w, uint64_t tick)
{
	if (w->tick == tick)
		return;
	w->tick = tick;
	w->rest_ns = 0;
}

/* The next slot in the bucket of `tick` that is due, disarmed; the others move on. */
static inline uint32_t
wheel_take(struct wheel *w, uint64_t now_ns)
{
	uint32_t bucket = (uint32_t)(w->tick % WHEEL_BUCKETS);
	uint32_t kept_first = 0;
	uint64_t rest_ns = UINT64_MAX;
	while (w->first[bucket] != 0 && w->first[bucket] != kept_first) {
		uint32_t slot = w->first[bucket] - 1;
		struct wheel_entry *e = &w->entries[slot];
		wheel_unlink(w, slot);
		if (e->due_ns == UINT64_MAX)
			continue;
		if (e->due_ns <= now_ns) {
			e->due_ns = UINT64_MAX;
			return slot;
		}
		wheel_link(w, slot);
		if (e->tick != w->tick)
			continue;
		if (kept_first == 0)
			kept_first = slot + 1;
		rest_ns = e->due_ns < rest_ns ? e->due_ns : rest_ns;
	}
	/* What is left is due later in this tick. */
	w->rest_ns = rest_ns;
	return WHEEL_NONE;
}

/* The next slot whose timer is due, disarmed; WHEEL_NONE when none is left. now_ns grows. */
static inline uint32_t
wheel_expire(struct wheel *w, uint64_t now_ns)
{
	uint64_t now_tick = now_ns / w->tick_ns;
	for (;;) {
		uint64_t at_ns = wheel_deadline(w);
		if (at_ns == UINT64_MAX || at_ns > now_ns) {
			if (w->tick < now_tick)
				wheel_turn(w, now_tick);
			return WHEEL_NONE;
		}
		wheel_turn(w, at_ns / w->tick_ns);
		uint32_t slot = wheel_take(w, now_ns);
		if (slot != WHEEL_NONE)
			return slot;
		/* Not beyond the present tick: what is armed next may be due in it. */
		if (w->tick == now_tick)
			return WHEEL_NONE;
		wheel_turn(w, w->tick + 1);
	}
}

#endif
