/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories of large messages to oneself that are written while others are read:
 * a machine whose every step sends two of them, with so few large buffers that
 * they come home before the next message of the burst has been looked at.
 */
#include "tests/fake_io.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	BODY_SIZE = 3000,
	MESSAGE_SIZE_MAX = 4096,
	LARGE_COUNT = 2, /* as many as a step needs: each step begins with a flush */
	READS_MAX = 64,
	STEPS_MAX = 64,
};

/* What a body begins with; the rest is a pattern of `name`. */
struct order {
	uint64_t name;	      /* of this message: different for each */
	uint32_t generations; /* of two children that each message has */
	uint32_t reserved;
};

static struct fake_io io;
static struct shard *shard;
static uint64_t steps[STEPS_MAX]; /* the names of messages, in the order of their steps */
static uint32_t steps_count;
static uint32_t steps_wrong; /* of them, other bytes than were sent */
static uint32_t reads_count;
static uint32_t reads_wrong;

static uint8_t
pattern(uint64_t name, uint32_t at)
{
	return (uint8_t)(name * 37 + at * 7 + (at >> 8));
}

static void
body_write(uint8_t *body, const struct order *order)
{
	memcpy(body, order, sizeof(*order));
	for (uint32_t at = sizeof(*order); at < BODY_SIZE; at++)
		body[at] = pattern(order->name, at);
}

/* Is it the body of the message with that name, whole? */
static bool
body_is(const uint8_t *body, uint64_t name)
{
	struct order order;
	bool right = true;
	memcpy(&order, body, sizeof(order));
	for (uint32_t at = sizeof(order); at < BODY_SIZE; at++)
		right &= body[at] == pattern(name, at);
	return right && order.name == name;
}

/* ---- The machine -------------------------------------------------------------- */

static uint32_t
machine_claims(const struct protocol_config *config)
{
	(void)config;
	return 0;
}

static size_t
machine_size(const struct protocol_config *config)
{
	(void)config;
	return 64;
}

static void
machine_init(void *self, const struct protocol_config *config)
{
	(void)self;
	(void)config;
}

static enum verdict
machine_screen(const void *self, const struct message *m, struct claims *claims)
{
	(void)self;
	(void)claims;
	return m->body_size == BODY_SIZE ? VERDICT_STEP : VERDICT_DROP;
}

/* Two children for itself; what came is given on by reference, as a read is. */
static void
machine_step(void *self, const struct event *event, struct outbox *out)
{
	static const struct stamp stamp = {.cluster = CLUSTER, .replicas_count = 1};
	struct order order;
	(void)self;
	if (event->type != EVENT_MESSAGE)
		return;
	const struct message *m = event->message;
	memcpy(&order, m->body, sizeof(order));
	CU_ASSERT_FATAL(steps_count < STEPS_MAX);
	steps[steps_count++] = m->header->seq;
	steps_wrong += !body_is(m->body, m->header->seq);
	struct delivery *d = outbox_deliver(out);
	*d =
	    (struct delivery){.kind = DELIVERY_READ, .timestamp = m->header->seq, .batch = m->body};
	for (uint64_t child = 0; order.generations > 0 && child < 2; child++) {
		struct order next = {
		    .name = 2 * order.name + child, .generations = order.generations - 1};
		struct letter letter = {
		    .type = MESSAGE_PROTOCOL, .body_size = BODY_SIZE, .seq = next.name};
		body_write(outbox_write(out, outbox_send(out, 1), &stamp, &letter), &next);
	}
}

static uint64_t
machine_deadline(const void *self)
{
	(void)self;
	return TIME_NEVER;
}

static void
machine_audit(const void *self)
{
	(void)self;
}

static const struct machine machine = {
    .sends_per_step = 2,
    .large_per_step = 2,
    .deliveries_per_step = 1,
    .claims_per_message = machine_claims,
    .size = machine_size,
    .init = machine_init,
    .screen = machine_screen,
    .step = machine_step,
    .deadline = machine_deadline,
    .audit = machine_audit,
};

/* ---- Around it ------------------------------------------------------------------ */

static void
seal(struct crypto *c, struct send *sends, uint32_t count)
{
	(void)c;
	(void)sends;
	(void)count;
}

/* The operation of a read is valid until the burst ends: here, after all steps of it. */
static void
drain(void *owner)
{
	struct outbox *out = &shard->outbox;
	(void)owner;
	for (uint32_t i = 0; i < out->deliveries_count; i++) {
		const struct delivery *d = &out->deliveries[i];
		CU_ASSERT_FATAL(reads_count < READS_MAX);
		reads_count++;
		reads_wrong += !body_is(d->batch, d->timestamp);
	}
	out->deliveries_count = 0;
}

static void
loops_open(void)
{
	static const struct crypto_ops crypto = {.seal = seal};
	struct protocol_config protocol = {.cluster = CLUSTER, .replicas_count = 1};
	struct shard_config config = {
	    .machine = &machine,
	    .protocol = &protocol,
	    .machines_count = 1,
	    .own_mask = 1,
	    .envelope_size = ENVELOPE_SIZE_MIN,
	    .message_size_max = MESSAGE_SIZE_MAX,
	    .large_count = LARGE_COUNT,
	    .assemblies_count = 2,
	    .crypto_ops = &crypto,
	    .io = {.self = &io, .refill = fake_refill, .transmit = fake_transmit},
	    .drain = drain,
	};
	fake_io_open(&io, ENVELOPE_SIZE_MIN);
	steps_count = steps_wrong = reads_count = reads_wrong = 0;
	shard = shard_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(shard);
}

static void
loops_close(void)
{
	fake_io_close(&io, shard);
	shard_close(shard);
}

/* Messages that come from outside, one burst; the names are 1, 2, ... */
static void
burst_run(uint32_t count, uint32_t generations)
{
	static uint64_t memory[4][MESSAGE_SIZE_MAX / 8];
	struct datagram list[4];
	CU_ASSERT_FATAL(count <= 4);
	for (uint32_t i = 0; i < count; i++) {
		struct message_header *h = (struct message_header *)(void *)memory[i];
		struct order order = {.name = 1 + i, .generations = generations};
		*h = (struct message_header){
		    .size = sizeof(*h) + BODY_SIZE,
		    .cluster = CLUSTER,
		    .type = MESSAGE_PROTOCOL,
		    .version = MESSAGE_VERSION,
		    .seq = order.name,
		};
		body_write((uint8_t *)(h + 1), &order);
		list[i] = (struct datagram){.data = (const uint8_t *)h, .size = h->size};
	}
	shard_run(shard, 0, list, count);
}

/* ---- The stories ----------------------------------------------------------------- */

/*
 * 1 has 2 and 3, who have 4 .. 7, who have 8 .. 15: from the third burst on,
 * each step writes two messages while some of the last burst's are still unread.
 */
static void
children_do_not_overwrite_their_parents_siblings(void)
{
	loops_open();
	burst_run(1, 4);
	for (uint32_t i = 0; i < 4; i++)
		burst_run(0, 0);
	CU_ASSERT_EQUAL_FATAL(steps_count, 31);
	for (uint32_t i = 0; i < steps_count; i++)
		CU_ASSERT_EQUAL(steps[i], i + 1);
	CU_ASSERT_EQUAL(steps_wrong, 0);
	CU_ASSERT_EQUAL(shard->counters.drops[SHARD_DROP_LOOP], 0);
	CU_ASSERT_EQUAL(shard_deadline(shard), TIME_NEVER);
	loops_close();
}

/* What a step has given on by reference is read at the burst's end. */
static void
what_is_given_on_stays_until_the_burst_ends(void)
{
	loops_open();
	burst_run(1, 3);
	for (uint32_t i = 0; i < 3; i++)
		burst_run(0, 0);
	CU_ASSERT_EQUAL(steps_count, 15);
	CU_ASSERT_EQUAL(reads_count, 15);
	CU_ASSERT_EQUAL(reads_wrong, 0);
	loops_close();
}

/* More than have a place: the rest is dropped and counted, what has one is whole. */
static void
surplus_is_dropped_and_the_rest_whole(void)
{
	loops_open();
	burst_run(3, 4);
	uint32_t expected = 3;
	for (uint32_t kept = 3, i = 0; i < 4; i++) {
		kept = 2 * kept < SHARD_LOOPS_MAX ? 2 * kept : SHARD_LOOPS_MAX;
		expected += kept;
		burst_run(0, 0);
	}
	CU_ASSERT_EQUAL(steps_count, expected);
	CU_ASSERT_EQUAL(steps_wrong, 0);
	CU_ASSERT_EQUAL(reads_wrong, 0);
	/* 12 messages ask for 24 places, and 16 for 32. */
	CU_ASSERT_EQUAL(shard->counters.drops[SHARD_DROP_LOOP], 8 + 16);
	loops_close();
}

static const struct unit_story stories[] = {
    {"children do not overwrite their parents' siblings",
	children_do_not_overwrite_their_parents_siblings},
    {"what is given on stays until the burst ends", what_is_given_on_stays_until_the_burst_ends},
    {"surplus is dropped, and the rest whole", surplus_is_dropped_and_the_rest_whole},
};

UNIT_MAIN("shard_loops", stories)
