/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the merge: one order whatever the arrival, back-pressure, restart. */
#include "engine/merge.h"

#include <errno.h>

#include "tests/toy_digest.h"
#include "tests/unit.h"

static void
merge_start(struct merge *m, uint16_t instances, uint32_t queue)
{
	struct merge_options o = {.instances_count = instances, .queue_count = queue};
	CU_ASSERT_EQUAL_FATAL(merge_open(m, &o), 0);
}

static bool
push(struct merge *m, uint16_t instance, uint64_t slot)
{
	struct delivery d = {.kind = DELIVERY_BATCH,
	    .seq = slot,
	    .timestamp = instance,
	    .batch_size = (uint32_t)slot * 8};
	return merge_push(m, instance, &d);
}

/* Pops and expects (instance, slot). */
static void
expect_pop(struct merge *m, uint16_t instance, uint64_t slot)
{
	uint16_t popped;
	uint64_t position;
	uint64_t next = merge_position_next(m);
	const struct delivery *d = merge_pop(m, &popped, &position);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL(popped, instance);
	CU_ASSERT_EQUAL(d->seq, slot);
	CU_ASSERT_EQUAL(d->timestamp, instance);
	CU_ASSERT_EQUAL(d->batch_size, slot * 8);
	CU_ASSERT_EQUAL(position, next);
	CU_ASSERT_EQUAL(position, (slot - 1) * m->instances_count + instance + 1);
}

static void
expect_none(struct merge *m)
{
	uint16_t instance;
	uint64_t position;
	CU_ASSERT_PTR_NULL(merge_pop(m, &instance, &position));
}

static void
options_are_judged(void)
{
	static const struct merge_options bad[] = {
	    {0, 8}, {65, 8}, {1, 0}, {1, 3}, {1, 1u << 21}, {4, 12}};
	struct merge m;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(merge_memory_size(&bad[i]), 0);
		CU_ASSERT_EQUAL(merge_open(&m, &bad[i]), -EINVAL);
	}
}

static void
one_instance_is_its_own_order(void)
{
	struct merge m;
	merge_start(&m, 1, 8);
	for (uint64_t slot = 1; slot < 100; slot++) {
		expect_none(&m);
		CU_ASSERT(push(&m, 0, slot));
		CU_ASSERT_EQUAL(merge_position_next(&m), slot);
		expect_pop(&m, 0, slot);
	}
	merge_close(&m);
}

static void
instances_take_turns(void)
{
	struct merge m;
	merge_start(&m, 3, 8);
	push(&m, 1, 1);
	push(&m, 1, 2);
	push(&m, 2, 1);
	expect_none(&m);
	push(&m, 0, 1);
	expect_pop(&m, 0, 1);
	expect_pop(&m, 1, 1);
	expect_pop(&m, 2, 1);
	expect_none(&m);
	push(&m, 0, 2);
	expect_pop(&m, 0, 2);
	expect_pop(&m, 1, 2);
	expect_none(&m);
	merge_close(&m);
}

static void
full_queue_pushes_back(void)
{
	struct merge m;
	merge_start(&m, 2, 4);
	for (uint64_t slot = 1; slot <= 4; slot++) {
		CU_ASSERT_EQUAL(merge_room(&m, 1), 5 - slot);
		CU_ASSERT(push(&m, 1, slot));
	}
	CU_ASSERT_EQUAL(merge_room(&m, 1), 0);
	CU_ASSERT_FALSE(push(&m, 1, 5));
	CU_ASSERT_EQUAL(merge_room(&m, 0), 4);
	push(&m, 0, 1);
	expect_pop(&m, 0, 1);
	CU_ASSERT_FALSE(push(&m, 1, 5));
	expect_pop(&m, 1, 1);
	CU_ASSERT(push(&m, 1, 5));
	merge_close(&m);
}

static void
frontier_is_the_highest_slot(void)
{
	struct merge m;
	merge_start(&m, 4, 8);
	CU_ASSERT_EQUAL(m.frontier, 0);
	push(&m, 2, 1);
	push(&m, 2, 2);
	push(&m, 2, 3);
	CU_ASSERT_EQUAL(m.frontier, 3);
	push(&m, 0, 1);
	CU_ASSERT_EQUAL(m.frontier, 3);
	expect_pop(&m, 0, 1);
	CU_ASSERT_EQUAL(m.frontier, 3);
	merge_close(&m);
}

static void
arrival_does_not_matter(void)
{
	for (uint16_t instances = 1; instances <= 9; instances++) {
		uint64_t seed = instances;
		uint64_t pushed[MERGE_INSTANCES_MAX] = {0};
		uint64_t popped = 0;
		struct merge m;
		merge_start(&m, instances, 16);
		while (popped < 3000) {
			uint16_t i = (uint16_t)toy_below(&seed, instances);
			if (push(&m, i, pushed[i] + 1))
				pushed[i]++;
			uint16_t turn = (uint16_t)(popped % instances);
			if (pushed[turn] == popped / instances) {
				expect_none(&m);
			} else if (toy_below(&seed, 3) != 0) {
				expect_pop(&m, turn, popped / instances + 1);
				popped++;
			}
		}
		merge_close(&m);
	}
}

static void
restart_goes_on_after_a_position(void)
{
	for (uint64_t position = 0; position < 20; position++) {
		struct merge m;
		merge_start(&m, 3, 4);
		push(&m, 0, 1);
		push(&m, 1, 1);
		merge_restart(&m, position);
		expect_none(&m);
		CU_ASSERT_EQUAL(m.frontier, (position + 2) / 3);
		uint64_t slots[3];
		for (uint16_t i = 0; i < 3; i++)
			slots[i] = merge_slot_unpopped(&m, i);
		for (uint64_t p = position; p < position + 30; p++) {
			uint16_t instance = (uint16_t)(p % 3);
			CU_ASSERT(push(&m, instance, slots[instance]++));
			expect_pop(&m, instance, p / 3 + 1);
		}
		merge_close(&m);
	}
}

static const struct unit_story stories[] = {
    {"options are judged", options_are_judged},
    {"one instance is its own order", one_instance_is_its_own_order},
    {"instances take turns", instances_take_turns},
    {"a full queue pushes back", full_queue_pushes_back},
    {"the frontier is the highest slot", frontier_is_the_highest_slot},
    {"arrival does not matter", arrival_does_not_matter},
    {"restart goes on after a position", restart_goes_on_after_a_position},
};

UNIT_MAIN("merge", stories)
