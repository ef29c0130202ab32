/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/pillar.c, answers.c, parcel.c and the executor's side in replica.c: a
 * replica of several lcores on one thread, so that each story says who is late.
 */
#include "engine/pillar.h"

#include "tests/pillar_rig.h"
#include "tests/unit.h"

enum { LANES = 4, QUEUE = 64 };

/* A lane in memory. */
struct queue {
	uint32_t first;
	uint32_t count;
	void *objects[QUEUE];
};

static struct rig rig;
static struct parcel_link links[RIG_PILLARS_MAX];
static struct queue queues[RIG_PILLARS_MAX][LANES];

static void
queue_give(void *self, void *object)
{
	struct queue *q = self;
	CU_ASSERT_FATAL(q->count < QUEUE);
	q->objects[(q->first + q->count++) % QUEUE] = object;
}

static void *
queue_take(void *self)
{
	struct queue *q = self;
	if (q->count == 0)
		return NULL;
	q->count--;
	return q->objects[q->first++ % QUEUE];
}

static struct lane
lane_of(struct queue *q)
{
	return (struct lane){q, queue_give, queue_take};
}

/* `parcels` of each side of each link; 0: as many as there are on lcores. */
static void
open_rig(uint16_t instances, uint16_t pillars, uint32_t parcels)
{
	memset(queues, 0, sizeof(queues));
	for (uint32_t i = 0; i < pillars; i++) {
		links[i] = (struct parcel_link){
		    .deliveries = lane_of(&queues[i][0]),
		    .deliveries_empty = lane_of(&queues[i][1]),
		    .answers = lane_of(&queues[i][2]),
		    .answers_empty = lane_of(&queues[i][3]),
		    .count = parcels,
		};
		CU_ASSERT_FATAL(parcel_link_open(&links[i], RIG_BODY_SIZE_MAX));
	}
	CU_ASSERT_FATAL(rig_open(&rig, links, instances, pillars));
}

/* Every parcel is back where it is filled from. */
static void
close_rig(void)
{
	for (uint32_t i = 0; i < rig.pillars_count; i++) {
		CU_ASSERT_EQUAL(queues[i][0].count, 0);
		CU_ASSERT_EQUAL(queues[i][1].count, links[i].count);
		CU_ASSERT_EQUAL(queues[i][2].count, 0);
		CU_ASSERT_EQUAL(queues[i][3].count, links[i].count);
	}
	rig_close(&rig);
	for (uint32_t i = 0; i < rig.pillars_count; i++)
		parcel_link_close(&links[i]);
}

static uint32_t
executor_run(void)
{
	return replica_run(&rig.replica, ++rig.now_ns, NULL, 0);
}

static uint32_t
pillars_run(void)
{
	uint32_t steps = 0;
	for (uint32_t i = 0; i < rig.pillars_count; i++)
		steps += pillar_run(&rig.pillars[i], ++rig.now_ns, NULL, 0);
	return steps;
}

static void
run_all(uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		pillars_run();
		executor_run();
	}
	pillars_run();
}

static void
expect_done(uint16_t instances, uint64_t goal)
{
	for (uint32_t i = 0; i < instances; i++) {
		const struct scribe *s = rig_scribe(&rig, i);
		CU_ASSERT_EQUAL(s->done, goal);
		CU_ASSERT_EQUAL(s->answers, goal * RIG_BATCH);
		CU_ASSERT_EQUAL(s->checkpoints, goal / RIG_INTERVAL);
		CU_ASSERT_EQUAL(s->wrong, 0);
	}
	CU_ASSERT_EQUAL(executor_position(&rig.replica.executor), goal * instances);
}

static void
goals_set(uint16_t instances, uint64_t goal)
{
	for (uint32_t i = 0; i < instances; i++)
		rig_scribe(&rig, i)->goal = goal;
}

/* Every number of instances over every number of pillars: each operation is answered once. */
static void
all_is_answered(void)
{
	for (uint16_t instances = 1; instances <= RIG_INSTANCES_MAX; instances++) {
		for (uint16_t pillars = 1; pillars <= RIG_PILLARS_MAX && pillars <= instances;
		     pillars++) {
			open_rig(instances, pillars, 0);
			goals_set(instances, 40);
			run_all(40);
			expect_done(instances, 40);
			close_rig();
		}
	}
}

/* One parcel each way is slow, but enough. */
static void
one_parcel_is_enough(void)
{
	open_rig(5, 2, 1);
	goals_set(5, 40);
	run_all(600);
	expect_done(5, 40);
	CU_ASSERT(rig.replica.answers.counters.waits > 0);
	close_rig();
}

/* The executor goes on while pillars sleep, but not beyond its parcels; nothing gets lost. */
static void
late_pillar_stops_the_executor(void)
{
	open_rig(4, 1, 1);
	goals_set(4, 40);
	pillars_run();
	for (uint32_t i = 0; i < 100; i++)
		executor_run();
	CU_ASSERT(rig.replica.blocked);
	CU_ASSERT(replica_deadline(&rig.replica) != TIME_NEVER);
	/* What four windows are does not fit one parcel. */
	CU_ASSERT(executor_position(&rig.replica.executor) < 4 * RIG_WINDOW);
	run_all(600);
	expect_done(4, 40);
	close_rig();
}

/* A pillar whose executor sleeps keeps what it has to deliver, and takes nothing more in. */
static void
late_executor_stops_the_pillar(void)
{
	open_rig(4, 1, 1);
	goals_set(4, 40);
	/* A parcel holds more than a window of all machines: fill it with recalls. */
	for (uint32_t i = 0; i < 400; i++) {
		struct scribe *s = rig_scribe(&rig, i % 4);
		/* Of what nobody asked for. */
		s->also = (struct delivery){.kind = DELIVERY_RECALL, .timestamp = 1000};
		pillars_run();
	}
	CU_ASSERT(!pillar_open_for_more(&rig.pillars[0]));
	CU_ASSERT(rig.pillars[0].blocked && rig.pillars[0].counters.waits > 0);
	CU_ASSERT(pillar_deadline(&rig.pillars[0]) != TIME_NEVER);
	run_all(600);
	CU_ASSERT(pillar_open_for_more(&rig.pillars[0]));
	expect_done(4, 40);
	close_rig();
}

/* Without envelopes answers wait in their parcel, and are stepped once there are some. */
static void
answers_wait_for_envelopes(void)
{
	open_rig(1, 1, 0);
	goals_set(1, 1);
	pillars_run();
	executor_run();
	struct shard *shard = rig.pillars[0].shard;
	uint32_t taken = rig.ios[1].envelopes;
	rig.ios[1].envelopes = 0;
	/* Those that lie ready are used up first. */
	rig_envelopes_free(shard);
	shard->outbox.sends_ready = 0;
	pillars_run();
	CU_ASSERT_EQUAL(rig_scribe(&rig, 0)->answers, 0);
	CU_ASSERT(rig.pillars[0].blocked);
	rig.ios[1].envelopes = taken;
	pillars_run();
	CU_ASSERT(!rig.pillars[0].blocked);
	expect_done(1, 1);
	close_rig();
}

/* An instance with nothing to do hears of its siblings' slots, and may fill its own. */
static void
silent_instance_hears_of_the_frontier(void)
{
	open_rig(3, 3, 0);
	rig_scribe(&rig, 0)->goal = 5;
	run_all(10);
	for (uint32_t i = 1; i < 3; i++) {
		CU_ASSERT_EQUAL(rig_scribe(&rig, i)->frontier, 5);
		CU_ASSERT(rig_scribe(&rig, i)->timeouts > 0);
	}
	CU_ASSERT_EQUAL(executor_position(&rig.replica.executor), 1);
	goals_set(3, 5);
	run_all(20);
	expect_done(3, 5);
	close_rig();
}

/* The reply of an operation that was executed, from the cache, to the pillar that asks. */
static void
reply_is_recalled(void)
{
	open_rig(4, 2, 0);
	goals_set(4, 3);
	run_all(20);
	for (uint16_t i = 0; i < 4; i++) {
		struct scribe *s = rig_scribe(&rig, i);
		s->also = (struct delivery){
		    .kind = DELIVERY_RECALL, .client = (uint16_t)(i + 4), .timestamp = 3};
	}
	run_all(4);
	for (uint16_t i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(rig_scribe(&rig, i)->recalled, 1);
	expect_done(4, 3);
	close_rig();
}

/* A read's bytes are the machine's for the burst only: they travel. */
static void
read_travels_with_its_bytes(void)
{
	uint8_t op[RIG_OP_SIZE];
	open_rig(2, 2, 0);
	struct scribe *s = rig_scribe(&rig, 1);
	scribe_op(s, 9, 0, op);
	s->also = (struct delivery){.kind = DELIVERY_READ,
	    .client = 1,
	    .timestamp = 9,
	    .batch = op,
	    .batch_size = sizeof(op)};
	pillars_run();
	memset(op, 0, sizeof(op));
	executor_run();
	pillars_run();
	CU_ASSERT_EQUAL(s->reads, 1);
	CU_ASSERT_EQUAL(s->wrong, 0);
	close_rig();
}

/* The executor is late, and when it comes the read's bytes are another message's. */
static void
read_that_has_to_wait_is_dropped(void)
{
	uint8_t op[RIG_OP_SIZE];
	open_rig(2, 1, 1);
	rig_scribe(&rig, 0)->also = (struct delivery){.kind = DELIVERY_RECALL, .timestamp = 1000};
	pillars_run();
	struct scribe *s = rig_scribe(&rig, 1);
	scribe_op(s, 9, 0, op);
	s->also = (struct delivery){.kind = DELIVERY_READ,
	    .client = 1,
	    .timestamp = 9,
	    .batch = op,
	    .batch_size = sizeof(op)};
	s->goal = 1;
	pillars_run();
	memset(op, 0, sizeof(op));
	CU_ASSERT_EQUAL(rig.pillars[0].counters.reads_dropped, 1);
	/* What was delivered beside it still waits. */
	CU_ASSERT(!pillar_open_for_more(&rig.pillars[0]));
	rig_scribe(&rig, 0)->goal = 1;
	run_all(10);
	CU_ASSERT_EQUAL(s->reads, 0);
	CU_ASSERT_EQUAL(rig_scribe(&rig, 0)->missed, 1);
	expect_done(2, 1);
	close_rig();
}

static void
read_that_fits_no_parcel_is_dropped(void)
{
	static uint8_t op[PARCEL_SIZE_MIN + 1];
	open_rig(1, 1, 0);
	rig_scribe(&rig, 0)->also =
	    (struct delivery){.kind = DELIVERY_READ, .batch = op, .batch_size = sizeof(op)};
	run_all(2);
	CU_ASSERT_EQUAL(rig.pillars[0].counters.reads_dropped, 1);
	CU_ASSERT_EQUAL(rig_scribe(&rig, 0)->reads, 0);
	close_rig();
}

/* Who has asked for another state hears nothing more of what it delivered before. */
static void
answers_from_before_a_transfer_are_dropped(void)
{
	open_rig(2, 2, 0);
	goals_set(2, 1);
	pillars_run();
	executor_run();
	struct scribe *s = rig_scribe(&rig, 0);
	s->also = (struct delivery){.kind = DELIVERY_TRANSFER, .seq = RIG_INTERVAL};
	pillars_run();
	CU_ASSERT_EQUAL(s->answers, 0);
	CU_ASSERT_EQUAL(s->done, 0);
	CU_ASSERT(rig.pillars[0].counters.outdated > 0);
	/* Its sibling has not asked, and hears it. */
	CU_ASSERT_EQUAL(rig_scribe(&rig, 1)->done, 1);
	executor_run();
	CU_ASSERT(rig.replica.transfer.active);
	CU_ASSERT_EQUAL(rig.replica.answers.asks[0], 1);
	close_rig();
}

/* Parts of a replica: for any instance that a header may name. */
static void
every_message_has_a_part(void)
{
	for (uint32_t instance = 0; instance <= UINT16_MAX; instance++) {
		uint32_t part = pillar_part((uint16_t)instance, 7, 3);
		CU_ASSERT_EQUAL(part, instance < 7 ? 1 + instance % 3 : 0);
		CU_ASSERT_EQUAL(pillar_part((uint16_t)instance, 7, 0), 0);
	}
}

/* Any one record fits an empty parcel, and all of them fit their bound. */
static void
parcels_are_large_enough(void)
{
	static const uint32_t sizes[] = {0, 1, 64, 4096, 8192, 100000, 1 << 20};
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t count = parcel_link_count(sizes[i]);
		CU_ASSERT(count >= PARCELS_MIN && count <= PARCELS_MAX);
		CU_ASSERT(parcel_link_memory(sizes[i]) >= 2ull * count * sizes[i]);
		CU_ASSERT(count == PARCELS_MIN ||
			  parcel_link_memory(sizes[i]) <= 2ull * PARCELS_SIZE_MAX);
	}
}

static const struct unit_story stories[] = {
    {"all is answered", all_is_answered},
    {"one parcel is enough", one_parcel_is_enough},
    {"a late pillar stops the executor", late_pillar_stops_the_executor},
    {"a late executor stops the pillar", late_executor_stops_the_pillar},
    {"answers wait for envelopes", answers_wait_for_envelopes},
    {"a silent instance hears of the frontier", silent_instance_hears_of_the_frontier},
    {"a reply is recalled", reply_is_recalled},
    {"a read travels with its bytes", read_travels_with_its_bytes},
    {"a read that has to wait is dropped", read_that_has_to_wait_is_dropped},
    {"a read that fits no parcel is dropped", read_that_fits_no_parcel_is_dropped},
    {"answers from before a transfer are dropped", answers_from_before_a_transfer_are_dropped},
    {"every message has a part", every_message_has_a_part},
    {"parcels are large enough", parcels_are_large_enough},
};

UNIT_MAIN("pillar", stories)
