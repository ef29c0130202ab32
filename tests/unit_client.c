/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/client.c over the unreplicated client, with a workload that counts and
 * a network that the stories answer by hand.
 */
#include "engine/client.h"

#include "protocols/unreplicated/unreplicated.h"
#include "tests/fake_io.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	SLOT_FIRST = 10,
	SLOTS = 4,
	ENVELOPE_SIZE = ENVELOPE_SIZE_MIN,
	OP_SIZE = 24,
	RETRY_NS = 64000,
};

/* Says each operation's slot and number; an answer must repeat them. */
struct fake_workload {
	struct workload base; /* first */
	uint64_t numbers[SLOTS];
	uint32_t records_left;
	uint32_t loads; /* handed out */
	uint32_t checks;
};

static void
op_write(struct fake_workload *w, uint32_t slot, struct workload_op *op)
{
	CU_ASSERT_FATAL(slot >= SLOT_FIRST && slot < SLOT_FIRST + SLOTS);
	CU_ASSERT_FATAL(op->capacity >= OP_SIZE);
	uint64_t number = ++w->numbers[slot - SLOT_FIRST];
	memset(op->data, 0x55, OP_SIZE);
	memcpy(op->data, &slot, sizeof(slot));
	memcpy(op->data + 8, &number, sizeof(number));
	op->size = OP_SIZE;
	op->read_only = false;
}

static void
fake_next(struct workload *base, uint32_t slot, struct workload_op *op)
{
	op_write((struct fake_workload *)base, slot, op);
}

static bool
fake_load_next(struct workload *base, uint32_t slot, struct workload_op *op)
{
	struct fake_workload *w = (struct fake_workload *)base;
	if (w->records_left == 0)
		return false;
	w->records_left--;
	w->loads++;
	op_write(w, slot, op);
	return true;
}

/* One byte: refused. The operation itself: right. */
static enum workload_verdict
fake_judge(struct workload *base, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct fake_workload *w = (struct fake_workload *)base;
	w->checks++;
	if (size == 1)
		return WORKLOAD_REFUSED;
	uint64_t number;
	if (size != OP_SIZE)
		return WORKLOAD_WRONG;
	memcpy(&number, result + 8, sizeof(number));
	bool right =
	    memcmp(result, &slot, sizeof(slot)) == 0 && number == w->numbers[slot - SLOT_FIRST];
	return right ? WORKLOAD_RIGHT : WORKLOAD_WRONG;
}

static void
no_crypto_prove(struct crypto *c, struct claims *claims)
{
	(void)c;
	(void)claims;
	CU_FAIL("nothing here has a proof");
}

static void
no_crypto_seal(struct crypto *c, struct send *sends, uint32_t count)
{
	(void)c;
	(void)sends;
	(void)count;
}

static const struct crypto_ops no_crypto = {.prove = no_crypto_prove, .seal = no_crypto_seal};

struct rig {
	struct client client;
	struct fake_io io;
	struct fake_workload workload;
};

static struct rig rig;

static void
rig_open(double rate)
{
	const struct protocol_config protocol = {
	    .cluster = CLUSTER,
	    .replicas_count = 1,
	    .instances_count = 1,
	    .slot_first = SLOT_FIRST,
	    .slots_count = SLOTS,
	    .retry_ns = RETRY_NS,
	};
	memset(&rig, 0, sizeof(rig));
	fake_io_open(&rig.io, ENVELOPE_SIZE);
	rig.workload.base = (struct workload){
	    .next = fake_next,
	    .judge = fake_judge,
	    .load_next = fake_load_next,
	    .slot_first = SLOT_FIRST,
	    .slots_count = SLOTS,
	    .op_size_max = OP_SIZE,
	    .result_size_max = OP_SIZE,
	};
	struct client_config config = {
	    .shard =
		{
		    .machine = &unreplicated_client,
		    .protocol = &protocol,
		    .envelope_size = ENVELOPE_SIZE,
		    .crypto_ops = &no_crypto,
		    .io = {.self = &rig.io, .refill = fake_refill, .transmit = fake_transmit},
		},
	    .workload = &rig.workload.base,
	    .rate = rate,
	};
	CU_ASSERT(client_memory(&config) > sizeof(struct client) + SLOTS * OP_SIZE);
	CU_ASSERT_EQUAL_FATAL(client_open(&rig.client, &config), 0);
	CU_ASSERT(client_quiet(&rig.client));
}

static void
rig_close(void)
{
	fake_io_close(&rig.io, rig.client.shard);
	client_close(&rig.client);
}

/* An idle burst. Returns how many requests it sent. */
static uint32_t
run(uint64_t now_ns)
{
	uint32_t before = rig.io.frames_count;
	client_run(&rig.client, now_ns, NULL, 0);
	return rig.io.frames_count - before;
}

enum answer { ANSWER_RIGHT, ANSWER_WRONG, ANSWER_REFUSED, ANSWER_LOST };

/* Answers the first `count` requests that stand in the frames, in one burst. */
static void
answer(uint32_t count, enum answer kind, uint64_t now_ns)
{
	uint64_t bytes[SLOTS][ENVELOPE_SIZE_MIN / 8];
	struct datagram list[SLOTS];
	CU_ASSERT_FATAL(count <= SLOTS && count <= rig.io.frames_count);
	for (uint32_t i = 0; i < count; i++) {
		struct message_header *h = (struct message_header *)(void *)bytes[i];
		memcpy(h, rig.io.frames[i].data, rig.io.frames[i].size);
		free(rig.io.frames[i].data);
		CU_ASSERT_EQUAL(h->type, MESSAGE_REQUEST);
		h->instance = h->sender;
		h->sender = 0;
		h->type = kind == ANSWER_LOST ? MESSAGE_REPLY_LOST : MESSAGE_REPLY;
		if (kind == ANSWER_WRONG)
			((uint8_t *)(h + 1))[8] ^= 1;
		if (kind == ANSWER_REFUSED)
			h->size = sizeof(*h) + 1;
		if (kind == ANSWER_LOST)
			h->size = sizeof(*h);
		list[i] = (struct datagram){.data = (const uint8_t *)h, .size = h->size};
	}
	rig.io.frames_count -= count;
	memmove(
	    rig.io.frames, rig.io.frames + count, rig.io.frames_count * sizeof(rig.io.frames[0]));
	client_run(&rig.client, now_ns, list, count);
}

static const struct client_counters *
counters(void)
{
	return &rig.client.counters;
}

static void
idle_asks_nothing(void)
{
	rig_open(0);
	CU_ASSERT_EQUAL(run(1000), 0);
	CU_ASSERT_EQUAL(client_deadline(&rig.client), TIME_NEVER);
	CU_ASSERT_EQUAL(client_run(&rig.client, 1001, NULL, 0), 0);
	rig_close();
}

static void
closed_loop(void)
{
	rig_open(0);
	client_phase_set(&rig.client, CLIENT_MEASURE, 1000);
	CU_ASSERT(client_deadline(&rig.client) <= 1000);
	CU_ASSERT_EQUAL(run(1000), SLOTS);
	CU_ASSERT_FALSE(client_quiet(&rig.client));
	CU_ASSERT(client_deadline(&rig.client) > 1000);
	/* No slot has more than one outstanding. */
	CU_ASSERT_EQUAL(run(1001), 0);
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct message_header *h = (const void *)rig.io.frames[i].data;
		CU_ASSERT_EQUAL(h->sender, SLOT_FIRST + i);
	}
	/* An answered slot asks again in the same burst. */
	answer(1, ANSWER_RIGHT, 1500);
	CU_ASSERT_EQUAL(rig.io.frames_count, SLOTS);
	answer(SLOTS, ANSWER_RIGHT, 2000);
	CU_ASSERT_EQUAL(counters()->completed, SLOTS + 1);
	CU_ASSERT_EQUAL(counters()->measured, SLOTS + 1);
	CU_ASSERT_EQUAL(counters()->wrong, 0);
	CU_ASSERT_EQUAL(histogram_min(&rig.client.latency), 500);
	CU_ASSERT_EQUAL(histogram_max(&rig.client.latency), 1000);
	CU_ASSERT_EQUAL(rig.client.latency.count, SLOTS + 1);
	/* 500, three of 1000, and one of 500. */
	CU_ASSERT_EQUAL(rig.client.latency.sum_low_ns, 500 + 3 * 1000 + 500);
	rig_close();
}

static void
phases(void)
{
	rig_open(0);
	client_phase_set(&rig.client, CLIENT_WARM, 0);
	run(0);
	answer(SLOTS, ANSWER_RIGHT, 100);
	CU_ASSERT_EQUAL(counters()->completed, SLOTS);
	CU_ASSERT_EQUAL(counters()->measured, 0);
	CU_ASSERT_EQUAL(rig.client.latency.count, 0);
	/* What began warm and ends measured is counted. */
	client_phase_set(&rig.client, CLIENT_MEASURE, 200);
	answer(SLOTS, ANSWER_RIGHT, 300);
	CU_ASSERT_EQUAL(counters()->measured, SLOTS);
	/* Idle: answers are taken, nothing new is asked. */
	client_phase_set(&rig.client, CLIENT_IDLE, 400);
	CU_ASSERT_FALSE(client_quiet(&rig.client));
	answer(SLOTS - 1, ANSWER_RIGHT, 500);
	CU_ASSERT_FALSE(client_quiet(&rig.client));
	answer(1, ANSWER_RIGHT, 500);
	CU_ASSERT(client_quiet(&rig.client));
	CU_ASSERT_EQUAL(rig.io.frames_count, 0);
	CU_ASSERT_EQUAL(counters()->completed, 3 * SLOTS);
	CU_ASSERT_EQUAL(counters()->measured, SLOTS);
	rig_close();
}

static void
answers_are_judged(void)
{
	rig_open(0);
	client_phase_set(&rig.client, CLIENT_MEASURE, 0);
	run(0);
	answer(1, ANSWER_RIGHT, 1);
	CU_ASSERT_EQUAL(counters()->wrong + counters()->refused + counters()->lost, 0);
	answer(1, ANSWER_WRONG, 2);
	CU_ASSERT_EQUAL(counters()->wrong, 1);
	answer(2, ANSWER_REFUSED, 3);
	CU_ASSERT_EQUAL(counters()->refused, 2);
	CU_ASSERT_EQUAL(rig.workload.checks, 4);
	/* Nobody has the result any more: there is nothing to judge. */
	answer(3, ANSWER_LOST, 4);
	CU_ASSERT_EQUAL(counters()->lost, 3);
	CU_ASSERT_EQUAL(counters()->wrong, 1);
	CU_ASSERT_EQUAL(rig.workload.checks, 4);
	CU_ASSERT_EQUAL(counters()->completed, 7);
	rig_close();
}

static void
load_phase(void)
{
	rig_open(0);
	rig.workload.records_left = SLOTS + 2;
	client_phase_set(&rig.client, CLIENT_LOAD, 0);
	CU_ASSERT(client_deadline(&rig.client) <= 0);
	CU_ASSERT_EQUAL(run(0), SLOTS);
	CU_ASSERT_EQUAL(counters()->loaded, 0);
	CU_ASSERT_FALSE(rig.client.load_done);
	answer(3, ANSWER_RIGHT, 10);
	CU_ASSERT_EQUAL(rig.workload.loads, SLOTS + 2);
	CU_ASSERT(rig.client.load_done);
	CU_ASSERT_EQUAL(rig.io.frames_count, 3);
	CU_ASSERT_EQUAL(run(20), 0);
	answer(3, ANSWER_RIGHT, 30);
	CU_ASSERT(client_quiet(&rig.client));
	CU_ASSERT_EQUAL(counters()->loaded, SLOTS + 2);
	CU_ASSERT_EQUAL(counters()->measured, 0);
	CU_ASSERT(client_deadline(&rig.client) > 30);
	/* Then the measurement: no record more is loaded. */
	client_phase_set(&rig.client, CLIENT_MEASURE, 40);
	CU_ASSERT_EQUAL(run(40), SLOTS);
	answer(SLOTS, ANSWER_RIGHT, 50);
	CU_ASSERT_EQUAL(counters()->loaded, SLOTS + 2);
	CU_ASSERT_EQUAL(counters()->measured, SLOTS);
	rig_close();
}

/* Every 1000 ns one starts, whatever the answers do; a late one counts from its time. */
static void
open_loop(void)
{
	rig_open(1e6);
	client_phase_set(&rig.client, CLIENT_MEASURE, 10000);
	CU_ASSERT_EQUAL(client_deadline(&rig.client), 10000);
	CU_ASSERT_EQUAL(run(10000), 1);
	CU_ASSERT_EQUAL(client_deadline(&rig.client), 11000);
	CU_ASSERT_EQUAL(run(10999), 0);
	CU_ASSERT_EQUAL(run(11000), 1);
	CU_ASSERT_EQUAL(run(11001), 0);
	/* The core slept: two that were due start at once. */
	CU_ASSERT_EQUAL(run(13500), 2);
	/* 14000 and 15000 are due, and no slot is free. */
	CU_ASSERT_EQUAL(run(15500), 0);
	CU_ASSERT(client_deadline(&rig.client) > 15500);
	answer(SLOTS, ANSWER_RIGHT, 20000);
	CU_ASSERT_EQUAL(rig.client.latency.sum_low_ns, 10000 + 9000 + 8000 + 7000);
	CU_ASSERT_EQUAL(rig.io.frames_count, SLOTS);
	answer(SLOTS, ANSWER_RIGHT, 21000);
	/* These should have started at 14000, 15000, 16000 and 17000. */
	CU_ASSERT_EQUAL(rig.client.latency.sum_low_ns, 34000 + 7000 + 6000 + 5000 + 4000);
	CU_ASSERT_EQUAL(counters()->measured, 2 * SLOTS);
	rig_close();
}

/* After a pause the schedule does not make up for the pause. */
static void
the_schedule_starts_anew(void)
{
	rig_open(1e6);
	client_phase_set(&rig.client, CLIENT_WARM, 0);
	CU_ASSERT_EQUAL(run(0), 1);
	client_phase_set(&rig.client, CLIENT_IDLE, 10);
	answer(1, ANSWER_RIGHT, 20);
	client_phase_set(&rig.client, CLIENT_MEASURE, 50000);
	CU_ASSERT_EQUAL(run(50000), 1);
	CU_ASSERT_EQUAL(run(50999), 0);
	/* From warm to measured it goes on as it was. */
	CU_ASSERT_EQUAL(run(51000), 1);
	client_phase_set(&rig.client, CLIENT_WARM, 51500);
	CU_ASSERT_EQUAL(run(51999), 0);
	CU_ASSERT_EQUAL(run(52000), 1);
	rig_close();
}

/* Intervals that are no whole nanoseconds: the deadline is a time at which one starts. */
static void
deadlines_lead_to_a_start(void)
{
	uint64_t now_ns = 100;
	rig_open(1e9 / 333.4);
	client_phase_set(&rig.client, CLIENT_MEASURE, now_ns);
	for (uint32_t i = 0; i < 300; i++) {
		uint32_t sent = 0;
		/* Timers that were put off may wake it now and then. */
		for (uint32_t wakes = 0; wakes < 8 && sent == 0; wakes++) {
			uint64_t next_ns = client_deadline(&rig.client);
			now_ns = next_ns > now_ns ? next_ns : now_ns;
			sent = run(now_ns);
		}
		CU_ASSERT_EQUAL_FATAL(sent, 1);
		uint64_t exact_ns = 100 + (uint64_t)(333.4 * i);
		CU_ASSERT(now_ns + 1 >= exact_ns && now_ns <= exact_ns + 1);
		answer(1, ANSWER_RIGHT, now_ns);
	}
	CU_ASSERT_EQUAL(counters()->measured, 300);
	rig_close();
}

/* Without envelopes nothing starts and nothing is lost. */
static void
no_envelopes_no_start(void)
{
	rig_open(0);
	rig.io.envelopes_count = 0;
	client_phase_set(&rig.client, CLIENT_MEASURE, 0);
	CU_ASSERT_EQUAL(run(0), 0);
	CU_ASSERT(client_quiet(&rig.client));
	rig.io.envelopes_count = 3;
	CU_ASSERT_EQUAL(run(1), SLOTS);
	answer(SLOTS, ANSWER_RIGHT, 2);
	CU_ASSERT_EQUAL(counters()->wrong, 0);
	CU_ASSERT_EQUAL(counters()->completed, SLOTS);
	rig_close();
}

/* The operation is kept until it is answered: what is sent again is the same. */
static void
sent_again_alike(void)
{
	rig_open(0);
	client_phase_set(&rig.client, CLIENT_MEASURE, 0);
	run(0);
	CU_ASSERT_EQUAL(run(RETRY_NS), SLOTS);
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct fake_frame *first = &rig.io.frames[i];
		const struct fake_frame *again = &rig.io.frames[SLOTS + i];
		CU_ASSERT_EQUAL_FATAL(first->size, again->size);
		CU_ASSERT_EQUAL(memcmp(first->data, again->data, first->size), 0);
	}
	/* Both are answered: one counts. */
	answer(SLOTS, ANSWER_RIGHT, RETRY_NS);
	answer(SLOTS, ANSWER_WRONG, RETRY_NS);
	CU_ASSERT_EQUAL(counters()->completed, SLOTS);
	CU_ASSERT_EQUAL(counters()->wrong, 0);
	rig_close();
}

static const struct unit_story stories[] = {
    {"idle asks nothing", idle_asks_nothing},
    {"closed loop", closed_loop},
    {"phases", phases},
    {"answers are judged", answers_are_judged},
    {"load phase", load_phase},
    {"open loop", open_loop},
    {"the schedule starts anew", the_schedule_starts_anew},
    {"deadlines lead to a start", deadlines_lead_to_a_start},
    {"no envelopes, no start", no_envelopes_no_start},
    {"sent again alike", sent_again_alike},
};

UNIT_MAIN("client", stories)
