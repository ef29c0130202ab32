/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/segmenter.c: hostile NACKs, repairs and their limits, whose turn it is,
 * the life of a lent buffer. One core.
 */
#include "tests/segment_rig.h"

/* A NACK made by hand. */
static struct datagram
nack_make(
    const struct datagram *segment, uint16_t sender, const struct segment_range *ranges, uint32_t n)
{
	uint32_t size = 64 + n * (uint32_t)sizeof(*ranges);
	struct datagram d = {calloc(1, size), size, 0, 0};
	struct message_header *header = (struct message_header *)(void *)d.bytes;
	struct segment_fields fields;
	memcpy(d.bytes, segment->bytes, 64);
	segment_fields_read(header, &fields);
	fields.offset = 0;
	segment_fields_write(header, &fields);
	header->size = size;
	header->type = MESSAGE_SEGMENT_NACK;
	header->sender = sender;
	if (n > 0)
		memcpy(d.bytes + 64, ranges, n * sizeof(*ranges));
	return d;
}

static void
nack_give(struct node *n, uint64_t now_ns, struct datagram d)
{
	struct message m = parsed(&d);
	segmenter_nack(n->segmenter, now_ns, &m);
	free(d.bytes);
}

static uint64_t
drops(const struct node *n, enum segmenter_drop drop)
{
	return segmenter_counters(n->segmenter)->drops[drop];
}

static void
one_lost_segment_costs_one(void)
{
	struct node a;
	struct node b;
	struct datagram list[64];
	struct datagram nack;
	const uint8_t *whole = NULL;
	uint32_t whole_size = 0;
	node_default(&a, 1, false);
	node_default(&b, 2, false);
	message_post(&a, 60000, 1, 0xd);
	uint32_t count = pump_all(&a, list, 64);
	for (uint32_t i = 0; i < count; i++) {
		if (i != 17)
			CU_ASSERT_EQUAL(add(&b, 0, &list[i]), ASSEMBLER_INCOMPLETE);
	}
	list_free(list, count);
	envelopes_set_out(&b, 4);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, MS, &b.out, &b.stamp), 1);
	outbox_take(&b, &nack, 1);
	nack_give(&a, MS, nack);
	count = pump_all(&a, list, 64);
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT_EQUAL(list[0].to, 1 << 2); /* nobody else asked */
	struct message m = parsed(&list[0]);
	CU_ASSERT_EQUAL(
	    assembler_add(b.assembler, MS, &m, &whole, &whole_size), ASSEMBLER_COMPLETE);
	CU_ASSERT(message_matches(whole, whole_size, &a.stamp, 1));
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->repairs, 1);
	list_free(list, count);
	node_close(&a);
	node_close(&b);
}

static void
hostile_nacks_are_dropped(void)
{
	struct node a;
	struct datagram list[64];
	const struct segment_range good = {0, 1};
	node_default(&a, 1, false);
	message_post(&a, 20 * SLICE, 1, 1 << 2 | 1 << 3);
	uint32_t count = pump_all(&a, list, 64);
	static const struct segment_range bad[][2] = {
	    {{0, 0}, {1, 1}},
	    {{20, 1}, {21, 1}},
	    {{0, 21}, {1, 1}},
	    {{UINT32_MAX, 1}, {0, 1}},
	    {{1, UINT32_MAX}, {2, 1}},
	    {{5, 3}, {7, 1}},
	    {{5, 1}, {1, 1}},
	};
	uint32_t bad_count = sizeof(bad) / sizeof(bad[0]);
	for (uint32_t i = 0; i < bad_count; i++)
		nack_give(&a, 0, nack_make(&list[0], 2, bad[i], 2));
	nack_give(&a, 0, nack_make(&list[0], 2, &good, 0));
	struct segment_range many[SEGMENT_RANGES_MAX + 1] = {{0, 1}};
	nack_give(&a, 0, nack_make(&list[0], 2, many, SEGMENT_RANGES_MAX + 1));
	struct datagram d = nack_make(&list[0], 2, &good, 1);
	d.bytes[63] = 1;
	nack_give(&a, 0, d);
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_MALFORMED), bad_count + 3);
	d = nack_make(&list[0], 2, &good, 1);
	d.bytes[offsetof(struct message_header, seq)] ^= 1;
	nack_give(&a, 0, d);
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_UNKNOWN), 1);
	nack_give(&a, 0, nack_make(&list[0], 0, &good, 1));
	nack_give(&a, 0, nack_make(&list[0], 64 + 2, &good, 1));
	d = nack_make(&list[0], 2, &good, 1);
	d.bytes[32 + offsetof(struct segment_fields, from_client)] = 1;
	nack_give(&a, 0, d);
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_PEER), 3);
	d = nack_make(&list[0], 2, &good, 1);
	d.bytes[32 + offsetof(struct segment_fields, total)] ^= 8;
	nack_give(&a, 0, d);
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_INCONSISTENT), 1);
	CU_ASSERT_FALSE(segmenter_pending(a.segmenter));
	nack_give(&a, 0, nack_make(&list[0], 2, &good, 1));
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->nacks, 1);
	CU_ASSERT(segmenter_pending(a.segmenter));
	list_free(list, count);
	node_close(&a);
}

static void
a_client_repairs_its_own_reply(void)
{
	struct node a;
	struct datagram list[64];
	const struct segment_range two = {3, 2};
	node_default(&a, 1, false);
	message_post(&a, 20 * SLICE, 1, 0);
	uint32_t count = pump_all(&a, list, 60);
	nack_give(&a, 0, nack_make(&list[0], SLOT, &two, 1));
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_PEER), 1); /* not said to be a client's */
	list[0].bytes[32 + offsetof(struct segment_fields, from_client)] = 1;
	nack_give(&a, 0, nack_make(&list[0], SLOT + 1, &two, 1));
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_PEER), 2);
	nack_give(&a, 0, nack_make(&list[0], SLOT, &two, 1));
	list_free(list, count);
	count = pump_all(&a, list, 60);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(list[0].to, 0);
	CU_ASSERT_EQUAL(list[0].client, SLOT);
	list_free(list, count);
	node_close(&a);
}

static void
a_nack_storm_is_bounded(void)
{
	struct node a;
	struct datagram list[64];
	const struct segment_range all = {0, 20};
	const struct segment_range most = {0, 19}; /* 80 is no multiple of it */
	node_default(&a, 1, false);
	message_post(&a, 20 * SLICE, 1, 1 << 2 | 1 << 3);
	uint32_t count = pump_all(&a, list, 64);
	for (uint32_t i = 0; i < 1000; i++)
		nack_give(&a, 0, nack_make(&list[0], 2, &all, 1));
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_STORM), 992);
	/* Each millisecond it may ask for more, but never above 4 x 20 segments. */
	uint64_t total = 0;
	struct datagram more[64];
	for (uint64_t ms = 1; ms <= 50; ms++) {
		uint32_t n = pump_all(&a, more, 64);
		total += n;
		list_free(more, n);
		nack_give(&a, ms * MS, nack_make(&list[0], 2, &most, 1));
	}
	CU_ASSERT_EQUAL(total, 80);
	CU_ASSERT(drops(&a, SEGMENTER_DROP_EXHAUSTED) > 0);
	/* Its neighbour has a share of its own. */
	nack_give(&a, 60 * MS, nack_make(&list[0], 3, &all, 1));
	uint32_t n = pump_all(&a, more, 64);
	CU_ASSERT_EQUAL(n, 20);
	list_free(more, n);
	list_free(list, count);
	node_close(&a);
}

static void
room_and_budget_are_respected(void)
{
	struct node a;
	struct datagram list[16];
	const struct segment_range early = {0, 20};
	node_default(&a, 1, false);
	message_post(&a, 20 * SLICE, 1, 1);
	envelopes_set_out(&a, 3);
	CU_ASSERT_EQUAL(segmenter_pump(a.segmenter, &a.out, &a.stamp, 100), 3);
	CU_ASSERT_EQUAL(segmenter_pump(a.segmenter, &a.out, &a.stamp, 100), 0);
	uint32_t count = outbox_take(&a, list, 3);
	/* Asked for early: what has not been sent is not sent twice. */
	nack_give(&a, 0, nack_make(&list[0], 0, &early, 1));
	list_free(list, count);
	envelopes_set_out(&a, 10);
	CU_ASSERT_EQUAL(segmenter_pump(a.segmenter, &a.out, &a.stamp, 5), 5);
	count = outbox_take(&a, list, 16);
	uint32_t expected[] = {0, 1, 2, 3, 4};
	for (uint32_t i = 0; i < 5; i++) {
		struct segment_fields fields;
		segment_fields_read(parsed(&list[i]).header, &fields);
		CU_ASSERT_EQUAL(fields.offset, expected[i] * SLICE);
	}
	list_free(list, count);
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->repairs, 3);
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->segments, 5);
	node_close(&a);
}

static void
the_oldest_two_take_turns(void)
{
	struct node a;
	struct datagram list[16];
	node_default(&a, 1, false);
	uint64_t ids[3] = {0};
	for (uint64_t i = 0; i < 3; i++)
		message_post(&a, 3 * SLICE, i + 1, 1);
	CU_ASSERT_EQUAL(pump_all(&a, list, 16), 9);
	ids[0] = parsed(&list[0]).header->seq;
	ids[1] = parsed(&list[1]).header->seq;
	ids[2] = parsed(&list[8]).header->seq;
	static const uint32_t turns[9] = {0, 1, 0, 1, 0, 1, 2, 2, 2};
	for (uint32_t i = 0; i < 9; i++)
		CU_ASSERT_EQUAL(parsed(&list[i]).header->seq, ids[turns[i]]);
	list_free(list, 9);
	node_close(&a);
}

static void
the_oldest_sent_is_recycled_first(void)
{
	struct node a;
	struct datagram list[64];
	const struct segment_range one = {0, 1};
	node_default(&a, 1, false); /* 4 buffers */
	uint16_t first = a.out.large[0].large;
	uint16_t second = a.out.large[1].large;
	message_post(&a, 4 * SLICE, 1, 1);
	message_post(&a, 4 * SLICE, 2, 1);
	uint32_t count = pump_all(&a, list, 64);
	struct datagram of_first = list[0];
	struct datagram of_second = list[1];
	message_post(&a, 4 * SLICE, 3, 1); /* being sent: not lent */
	CU_ASSERT_EQUAL_FATAL(a.out.large_ready, 3);
	CU_ASSERT_EQUAL(a.out.large[1].large, first);
	CU_ASSERT_EQUAL(a.out.large[2].large, second);
	/* Lent, but not taken: still repaired. */
	nack_give(&a, 0, nack_make(&of_first, 0, &one, 1));
	CU_ASSERT(segmenter_pending(a.segmenter));
	message_take(&a, 100, 4);
	message_take(&a, 100, 5); /* overwrites the first */
	struct datagram rest[16];
	uint32_t n = pump_all(&a, rest, 16);
	CU_ASSERT_EQUAL(n, 4);
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->repairs, 0);
	list_free(rest, n);
	nack_give(&a, 0, nack_make(&of_first, 0, &one, 1));
	CU_ASSERT_EQUAL(drops(&a, SEGMENTER_DROP_UNKNOWN), 1);
	nack_give(&a, 0, nack_make(&of_second, 0, &one, 1));
	n = pump_all(&a, rest, 16);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(memcmp(rest[0].bytes, of_second.bytes, of_second.size), 0);
	list_free(rest, n);
	segmenter_refill(a.segmenter, &a.out);
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->unposted, 2);
	CU_ASSERT_EQUAL(a.out.large_ready, 4);
	list_free(list, count);
	node_close(&a);
}

/* Two take turns: the shorter one, though posted later, is through first, and goes first. */
static void
recycled_first_is_who_ended_first(void)
{
	struct node a;
	struct datagram list[16];
	node_default(&a, 1, false); /* 4 buffers */
	uint16_t longer = a.out.large[0].large;
	message_post(&a, 6 * SLICE, 1, 1);
	uint16_t shorter = a.out.large[0].large;
	message_post(&a, 2 * SLICE, 2, 1);
	uint32_t count = pump_all(&a, list, 16);
	segmenter_refill(a.segmenter, &a.out);
	CU_ASSERT_EQUAL_FATAL(a.out.large_ready, 4);
	CU_ASSERT_EQUAL(a.out.large[2].large, shorter);
	CU_ASSERT_EQUAL(a.out.large[3].large, longer);
	list_free(list, count);
	node_close(&a);
}

/* One buffer, and a second message in it: what a peer was owed of the first is forgotten. */
static void
second_message_owes_nothing_of_the_first(void)
{
	struct node a;
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	struct datagram list[64];
	struct datagram more[64];
	const struct segment_range all = {0, 20};
	const struct segment_range one = {3, 1};
	out.buffers_count = 1;
	node_open(&a, 1, &out, &in);
	message_post(&a, 20 * SLICE, 1, 1 << 2 | 1 << 3);
	uint32_t count = pump_all(&a, list, 64);
	/* Replica 3 asks until its budget is spent, and replica 2 once, in vain. */
	for (uint64_t ms = 1; drops(&a, SEGMENTER_DROP_EXHAUSTED) == 0; ms++) {
		nack_give(&a, ms * MS, nack_make(&list[0], 3, &all, 1));
		list_free(more, pump_all(&a, more, 64));
	}
	nack_give(&a, 50 * MS, nack_make(&list[0], 2, &all, 1));
	CU_ASSERT(segmenter_pending(a.segmenter));
	list_free(list, count);
	segmenter_refill(a.segmenter, &a.out);
	message_post(&a, 20 * SLICE, 2, 1 << 2 | 1 << 3);
	count = pump_all(&a, list, 64);
	CU_ASSERT_EQUAL_FATAL(count, 20);
	nack_give(&a, 51 * MS, nack_make(&list[0], 3, &one, 1));
	uint32_t n = pump_all(&a, more, 64);
	CU_ASSERT_EQUAL_FATAL(n, 1);
	CU_ASSERT_EQUAL(more[0].to, 1 << 3);
	CU_ASSERT_EQUAL(memcmp(more[0].bytes, list[3].bytes, list[3].size), 0);
	list_free(more, n);
	list_free(list, count);
	node_close(&a);
}

/* The bound is one a millisecond, whenever that begins, not one for ever or none. */
static void
storms_are_bounded_in_each_millisecond(void)
{
	struct node a;
	struct datagram list[64];
	struct datagram more[64];
	const struct segment_range one = {0, 1};
	static const struct {
		uint64_t now_ns;
		uint64_t admitted;
	} storms[] = {
	    {5 * MS, 8},
	    {5 * MS + MS / 2, 8},
	    {6 * MS - 1, 8},
	    {6 * MS, 16},
	    {6 * MS + MS / 2, 16},
	    {9 * MS, 24},
	};
	node_default(&a, 1, false);
	message_post(&a, 20 * SLICE, 1, 1 << 2);
	uint32_t count = pump_all(&a, list, 64);
	for (uint32_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
		for (uint32_t k = 0; k < 100; k++)
			nack_give(&a, storms[i].now_ns, nack_make(&list[0], 2, &one, 1));
		CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->nacks, storms[i].admitted);
	}
	list_free(more, pump_all(&a, more, 64));
	list_free(list, count);
	node_close(&a);
}

/* Who receives segments sorts them by these fields before the whole is there. */
static void
segments_say_whose_message_it_is(void)
{
	for (uint64_t to = 0; to <= 1; to++) {
		struct node a;
		struct datagram list[8];
		node_default(&a, 2, false);
		struct send send = message_take(&a, 4 * SLICE, 1);
		send.header->sender = 2;
		send.header->instance = 5;
		send.to = to;
		send.client = to == 0 ? SLOT : 0;
		segmenter_post(a.segmenter, &send);
		uint32_t count = pump_all(&a, list, 8);
		CU_ASSERT_EQUAL(count, 4);
		for (uint32_t i = 0; i < count; i++) {
			const struct message m = parsed(&list[i]);
			CU_ASSERT_EQUAL(m.header->sender, 2);
			CU_ASSERT_EQUAL(m.header->instance, to == 0 ? SLOT : 5);
		}
		list_free(list, count);
		node_close(&a);
	}
}

static void
posted_but_pumped_before_the_refill_is_kept(void)
{
	struct node a;
	struct datagram list[8];
	const struct segment_range one = {1, 1};
	node_default(&a, 1, false);
	struct send send = message_take(&a, 4 * SLICE, 1);
	send.to = 1;
	segmenter_post(a.segmenter, &send);
	uint32_t count = pump_all(&a, list, 8);
	CU_ASSERT_EQUAL(count, 4);
	segmenter_refill(a.segmenter, &a.out);
	CU_ASSERT_EQUAL(segmenter_counters(a.segmenter)->unposted, 0);
	nack_give(&a, 0, nack_make(&list[0], 0, &one, 1));
	CU_ASSERT(segmenter_pending(a.segmenter));
	list_free(list, count);
	node_close(&a);
}

static void
ids_differ_each_time(void)
{
	uint64_t ids[4];
	for (uint32_t i = 0; i < 4; i++) {
		struct node a;
		struct segmenter_config out = segmenter_default();
		struct assembler_config in = assembler_default();
		struct datagram list[4];
		out.id_seed = i == 3;
		node_open(&a, 1, &out, &in);
		message_post(&a, 2000, 1, 1);
		if (i == 2) {
			list_free(list, pump_all(&a, list, 4));
			message_post(&a, 2000, 1, 1); /* the same message again */
		}
		uint32_t count = pump_all(&a, list, 4);
		ids[i] = parsed(&list[0]).header->seq;
		list_free(list, count);
		node_close(&a);
	}
	CU_ASSERT_EQUAL(ids[0], ids[1]);
	CU_ASSERT_NOT_EQUAL(ids[0], ids[2]);
	CU_ASSERT_NOT_EQUAL(ids[0], ids[3]);
	CU_ASSERT_NOT_EQUAL(ids[0], 0);
}

static const struct unit_story stories[] = {
    {"one lost segment costs one", one_lost_segment_costs_one},
    {"hostile NACKs are dropped", hostile_nacks_are_dropped},
    {"a client repairs its own reply", a_client_repairs_its_own_reply},
    {"a NACK storm is bounded", a_nack_storm_is_bounded},
    {"room and budget are respected", room_and_budget_are_respected},
    {"the oldest two take turns", the_oldest_two_take_turns},
    {"the oldest sent is recycled first", the_oldest_sent_is_recycled_first},
    {"recycled first is who ended first", recycled_first_is_who_ended_first},
    {"a second message owes nothing of the first", second_message_owes_nothing_of_the_first},
    {"storms are bounded in each millisecond", storms_are_bounded_in_each_millisecond},
    {"segments say whose message it is", segments_say_whose_message_it_is},
    {"posted, pumped before the refill: kept", posted_but_pumped_before_the_refill_is_kept},
    {"ids differ each time", ids_differ_each_time},
};

UNIT_MAIN("segmenter", stories)
