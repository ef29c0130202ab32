/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/wheel.h: single stories, then random ones against a model that keeps
 * one time for each slot and looks at all of them.
 */
#include "engine/wheel.h"

#include "tests/toy_digest.h"
#include "tests/unit.h"

enum { SLOTS = 40, TICK_NS = 100 };

struct rig {
	struct wheel wheel;
	struct wheel_entry entries[SLOTS];
	uint64_t due_ns[SLOTS]; /* the model */
};

static void
rig_open(struct rig *rig, uint64_t tick_ns)
{
	memset(rig, 0, sizeof(*rig));
	wheel_init(&rig->wheel, rig->entries, tick_ns);
	for (uint32_t i = 0; i < SLOTS; i++)
		rig->due_ns[i] = UINT64_MAX;
}

static void
arm(struct rig *rig, uint32_t slot, uint64_t due_ns)
{
	wheel_arm(&rig->wheel, slot, due_ns);
	rig->due_ns[slot] = due_ns;
}

static void
disarm(struct rig *rig, uint32_t slot)
{
	wheel_disarm(&rig->wheel, slot);
	rig->due_ns[slot] = UINT64_MAX;
}

static uint64_t
earliest(const struct rig *rig)
{
	uint64_t earliest_ns = UINT64_MAX;
	for (uint32_t i = 0; i < SLOTS; i++)
		earliest_ns = rig->due_ns[i] < earliest_ns ? rig->due_ns[i] : earliest_ns;
	return earliest_ns;
}

/* All that are due come, each once, and none that is not. Returns how many. */
static uint32_t
expire_all(struct rig *rig, uint64_t now_ns)
{
	uint32_t count = 0;
	uint64_t next_ns = earliest(rig);
	CU_ASSERT(wheel_deadline(&rig->wheel) <= (next_ns > now_ns ? next_ns : now_ns));
	for (;;) {
		uint32_t slot = wheel_expire(&rig->wheel, now_ns);
		if (slot == WHEEL_NONE)
			break;
		CU_ASSERT_FATAL(slot < SLOTS);
		CU_ASSERT(rig->due_ns[slot] <= now_ns);
		rig->due_ns[slot] = UINT64_MAX;
		count++;
	}
	CU_ASSERT(earliest(rig) > now_ns);
	/* Whoever sleeps until the deadline makes progress. */
	CU_ASSERT(wheel_deadline(&rig->wheel) > now_ns);
	CU_ASSERT(wheel_deadline(&rig->wheel) <= earliest(rig));
	return count;
}

static void
empty_has_no_deadline(void)
{
	struct rig rig;
	rig_open(&rig, TICK_NS);
	CU_ASSERT_EQUAL(wheel_deadline(&rig.wheel), UINT64_MAX);
	CU_ASSERT_EQUAL(wheel_expire(&rig.wheel, 0), WHEEL_NONE);
	CU_ASSERT_EQUAL(wheel_expire(&rig.wheel, UINT64_MAX / 2), WHEEL_NONE);
	CU_ASSERT_EQUAL(wheel_deadline(&rig.wheel), UINT64_MAX);
}

static void
due_to_the_nanosecond(void)
{
	struct rig rig;
	rig_open(&rig, TICK_NS);
	arm(&rig, 3, 250);
	CU_ASSERT_EQUAL(expire_all(&rig, 0), 0);
	CU_ASSERT_EQUAL(expire_all(&rig, 199), 0);
	CU_ASSERT_EQUAL(expire_all(&rig, 200), 0);
	CU_ASSERT_EQUAL(expire_all(&rig, 249), 0);
	CU_ASSERT_EQUAL(wheel_deadline(&rig.wheel), 250);
	CU_ASSERT_EQUAL(expire_all(&rig, 250), 1);
	CU_ASSERT_EQUAL(expire_all(&rig, 250), 0);
}

/* Moved earlier inside the tick that is under way, and a newcomer in it. */
static void
earlier_within_the_tick(void)
{
	struct rig rig;
	rig_open(&rig, TICK_NS);
	arm(&rig, 3, 290);
	CU_ASSERT_EQUAL(expire_all(&rig, 210), 0);
	CU_ASSERT_EQUAL(wheel_deadline(&rig.wheel), 290);
	arm(&rig, 3, 240);
	CU_ASSERT(wheel_deadline(&rig.wheel) <= 240);
	arm(&rig, 4, 220);
	CU_ASSERT(wheel_deadline(&rig.wheel) <= 220);
	CU_ASSERT_EQUAL(expire_all(&rig, 220), 1);
	CU_ASSERT_EQUAL(expire_all(&rig, 239), 0);
	CU_ASSERT_EQUAL(expire_all(&rig, 240), 1);
}

static void
put_off_and_disarmed(void)
{
	struct rig rig;
	rig_open(&rig, TICK_NS);
	arm(&rig, 1, 500);
	arm(&rig, 2, 500);
	for (uint64_t now_ns = 0; now_ns < 100000; now_ns += 90) {
		arm(&rig, 1, now_ns + 500);
		CU_ASSERT_EQUAL(expire_all(&rig, now_ns), now_ns == 540);
	}
	disarm(&rig, 1);
	CU_ASSERT_EQUAL(expire_all(&rig, 200000), 0);
	CU_ASSERT_EQUAL(wheel_deadline(&rig.wheel), UINT64_MAX);
	disarm(&rig, 1);
	arm(&rig, 1, 200001);
	CU_ASSERT_EQUAL(expire_all(&rig, 200001), 1);
}

static void
armed_in_the_past(void)
{
	struct rig rig;
	rig_open(&rig, TICK_NS);
	CU_ASSERT_EQUAL(expire_all(&rig, 1000000), 0);
	arm(&rig, 5, 0);
	CU_ASSERT_EQUAL(expire_all(&rig, 1000000), 1);
	arm(&rig, 5, 999999);
	arm(&rig, 6, 1000000);
	CU_ASSERT_EQUAL(expire_all(&rig, 1000000), 2);
}

/* Beyond the wheel's turn, by one bucket and by many turns. */
static void
farther_than_a_turn(void)
{
	static const uint64_t ticks[] = {WHEEL_BUCKETS - 1, WHEEL_BUCKETS, WHEEL_BUCKETS + 1,
	    3 * WHEEL_BUCKETS, 10 * WHEEL_BUCKETS + 7};
	for (uint32_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
		struct rig rig;
		uint64_t start_ns = 12345;
		rig_open(&rig, TICK_NS);
		CU_ASSERT_EQUAL(expire_all(&rig, start_ns), 0);
		uint64_t due_ns = start_ns + ticks[i] * TICK_NS + 1;
		arm(&rig, 0, due_ns);
		for (uint64_t now_ns = start_ns; now_ns < due_ns; now_ns += TICK_NS)
			CU_ASSERT_EQUAL(expire_all(&rig, now_ns), 0);
		CU_ASSERT_EQUAL(expire_all(&rig, due_ns), 1);
	}
}

/* Slots in a bucket fire in the order in which they came to it. */
static void
order_of_arrival(void)
{
	static const uint32_t order[] = {7, 2, 30, 0, 11};
	enum { COUNT = sizeof(order) / sizeof(order[0]) };
	struct rig rig;
	rig_open(&rig, TICK_NS);
	for (uint32_t i = 0; i < COUNT; i++)
		wheel_arm(&rig.wheel, order[i], 1000 + COUNT - i);
	for (uint32_t i = 0; i < COUNT; i++)
		CU_ASSERT_EQUAL(wheel_expire(&rig.wheel, 1010), order[i]);
	CU_ASSERT_EQUAL(wheel_expire(&rig.wheel, 1010), WHEEL_NONE);
}

/* Taken out of the middle, the front and the end of a bucket. */
static void
moved_out_of_a_bucket(void)
{
	for (uint32_t moved = 0; moved < 4; moved++) {
		struct rig rig;
		rig_open(&rig, TICK_NS);
		for (uint32_t i = 0; i < 4; i++)
			arm(&rig, i, 1000);
		arm(&rig, moved, 400);
		CU_ASSERT_EQUAL(expire_all(&rig, 400), 1);
		CU_ASSERT_EQUAL(rig.due_ns[moved], UINT64_MAX);
		CU_ASSERT_EQUAL(expire_all(&rig, 1000), 3);
	}
}

/* Sleeping from deadline to deadline brings the timer in few steps, on time. */
static void
deadlines_lead_to_the_timer(void)
{
	struct rig rig;
	uint64_t due_ns = 1000ull * WHEEL_BUCKETS * TICK_NS + 33;
	uint64_t now_ns = 0;
	uint32_t wakes = 0;
	rig_open(&rig, TICK_NS);
	arm(&rig, 9, due_ns);
	while (earliest(&rig) != UINT64_MAX && wakes < 2000) {
		uint64_t next_ns = wheel_deadline(&rig.wheel);
		now_ns = next_ns > now_ns ? next_ns : now_ns;
		CU_ASSERT_FATAL(now_ns <= due_ns);
		expire_all(&rig, now_ns);
		wakes++;
	}
	CU_ASSERT_EQUAL(now_ns, due_ns);
	CU_ASSERT(wakes <= 1010);
}

/* One random deed and then what is due. */
static uint64_t
model_round(struct rig *rig, uint64_t *seed, uint64_t now_ns)
{
	static const uint32_t spans_ns[] = {
	    1, TICK_NS, 20 * TICK_NS, 300 * TICK_NS, 5000 * TICK_NS};
	uint32_t span_ns = spans_ns[toy_below(seed, 5)];
	uint32_t slot = toy_below(seed, SLOTS);
	switch (toy_below(seed, 8)) {
	case 0:
		disarm(rig, slot);
		break;
	case 1:
		now_ns += toy_below(seed, span_ns);
		expire_all(rig, now_ns);
		break;
	case 2: { /* only a few are taken; the rest stays due */
		uint32_t one = wheel_expire(&rig->wheel, now_ns);
		CU_ASSERT_EQUAL(one != WHEEL_NONE, earliest(rig) <= now_ns);
		if (one != WHEEL_NONE) {
			CU_ASSERT(rig->due_ns[one] <= now_ns);
			rig->due_ns[one] = UINT64_MAX;
		}
		break;
	}
	case 3: { /* as the shard does: at the deadline itself */
		uint64_t next_ns = wheel_deadline(&rig->wheel);
		if (next_ns != UINT64_MAX && next_ns > now_ns)
			now_ns = next_ns;
		expire_all(rig, now_ns);
		break;
	}
	case 4: /* earlier than now */
		arm(rig, slot, now_ns - toy_below(seed, now_ns < span_ns ? 1 : span_ns));
		break;
	default:
		arm(rig, slot, now_ns + toy_below(seed, span_ns));
		break;
	}
	uint64_t next_ns = earliest(rig);
	CU_ASSERT(wheel_deadline(&rig->wheel) <= (next_ns > now_ns ? next_ns : now_ns));
	return now_ns;
}

static void
as_the_model(void)
{
	static const uint64_t widths_ns[] = {1, 7, TICK_NS, 100000};
	uint64_t seed = 17;
	for (uint32_t width = 0; width < 4; width++) {
		for (uint32_t run = 0; run < 60; run++) {
			struct rig rig;
			uint64_t now_ns = toy_below(&seed, 100000);
			rig_open(&rig, widths_ns[width]);
			for (uint32_t i = 0; i < 1000; i++)
				now_ns = model_round(&rig, &seed, now_ns);
		}
	}
}

/* What has queued links stands in exactly one bucket, and the bitmap says which. */
static void
links_are_whole(void)
{
	struct rig rig;
	uint64_t seed = 5;
	uint64_t now_ns = 0;
	rig_open(&rig, TICK_NS);
	for (uint32_t round = 0; round < 2000; round++) {
		uint32_t queued = 0;
		uint32_t found = 0;
		now_ns = model_round(&rig, &seed, now_ns);
		for (uint32_t bucket = 0; bucket < WHEEL_BUCKETS; bucket++) {
			bool occupied = rig.wheel.occupied[bucket / 64] >> (bucket % 64) & 1;
			uint32_t before = 0;
			CU_ASSERT_EQUAL(occupied, rig.wheel.first[bucket] != 0);
			for (uint32_t at = rig.wheel.first[bucket]; at != 0;
			     at = rig.entries[at - 1].next) {
				CU_ASSERT_FATAL(found++ < SLOTS);
				CU_ASSERT_EQUAL(rig.entries[at - 1].previous, before);
				CU_ASSERT(rig.entries[at - 1].queued);
				CU_ASSERT(rig.entries[at - 1].tick >= rig.wheel.tick);
				before = at;
			}
			CU_ASSERT_EQUAL(rig.wheel.last[bucket], before);
		}
		for (uint32_t i = 0; i < SLOTS; i++)
			queued += rig.entries[i].queued;
		CU_ASSERT_EQUAL(found, queued);
	}
}

static const struct unit_story stories[] = {
    {"empty has no deadline", empty_has_no_deadline},
    {"due to the nanosecond", due_to_the_nanosecond},
    {"earlier within the tick", earlier_within_the_tick},
    {"put off and disarmed", put_off_and_disarmed},
    {"armed in the past", armed_in_the_past},
    {"farther than a turn", farther_than_a_turn},
    {"order of arrival", order_of_arrival},
    {"moved out of a bucket", moved_out_of_a_bucket},
    {"deadlines lead to the timer", deadlines_lead_to_the_timer},
    {"as the model", as_the_model},
    {"links are whole", links_are_whole},
};

UNIT_MAIN("wheel", stories)
