/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/assembler.c: hostile segments, shares, eviction, expiry, and the NACKs
 * that it sends. One core.
 */
#include "tests/segment_rig.h"

/* ---- hostile segments ---- */

struct spoiled {
	const char *what;
	struct segment_fields fields;
	enum assembler_verdict expected;
	uint32_t body_size;
	uint16_t sender;
	uint8_t proof;
};

static const struct spoiled spoiled[] = {
    {"good", {.total = 9000, .slice = SLICE}, ASSEMBLER_INCOMPLETE, SLICE, 1, 0},
    {"no body", {.total = 9000, .slice = SLICE}, ASSEMBLER_MALFORMED, 0, 1, 0},
    {"short", {.total = 9000, .slice = SLICE}, ASSEMBLER_MALFORMED, SLICE - 8, 1, 0},
    {"long", {.total = 9000, .slice = SLICE}, ASSEMBLER_MALFORMED, SLICE + 8, 1, 0},
    {"total 0", {.total = 0, .slice = SLICE}, ASSEMBLER_MALFORMED, 0, 1, 0},
    {"total 63", {.total = 63, .slice = SLICE}, ASSEMBLER_MALFORMED, 63, 1, 0},
    {"max", {.total = MESSAGE_MAX, .slice = SLICE}, ASSEMBLER_INCOMPLETE, SLICE, 1, 0},
    {"too large", {.total = MESSAGE_MAX + 1, .slice = SLICE}, ASSEMBLER_TOO_LARGE, SLICE, 1, 0},
    {"total 2^32 - 1", {.total = UINT32_MAX, .slice = SLICE}, ASSEMBLER_TOO_LARGE, SLICE, 1, 0},
    {"slice 0", {.total = 9000}, ASSEMBLER_MALFORMED, SLICE, 1, 0},
    {"slice small", {.total = 9000, .slice = SEGMENT_SLICE_MIN - 8}, ASSEMBLER_MALFORMED,
	SEGMENT_SLICE_MIN - 8, 1, 0},
    {"slice least", {.total = 9000, .slice = SEGMENT_SLICE_MIN}, ASSEMBLER_INCOMPLETE,
	SEGMENT_SLICE_MIN, 1, 0},
    {"slice odd", {.total = 9000, .slice = SLICE + 4}, ASSEMBLER_MALFORMED, SLICE + 4, 1, 0},
    {"slice huge", {.total = 1000, .slice = UINT32_MAX - 7}, ASSEMBLER_COMPLETE, 1000, 1, 0},
    {"offset = total", {.offset = 7040, .total = 7040, .slice = SLICE}, ASSEMBLER_MALFORMED, SLICE,
	1, 0},
    {"offset odd", {.offset = 8, .total = 9000, .slice = SLICE}, ASSEMBLER_MALFORMED, SLICE, 1, 0},
    {"offset near 2^32", {.offset = 3050402u * SLICE, .total = 9000, .slice = SLICE},
	ASSEMBLER_MALFORMED, SLICE, 1, 0},
    {"offset 2^32 - 8", {.offset = UINT32_MAX - 7, .total = 9000, .slice = SLICE},
	ASSEMBLER_MALFORMED, 8, 1, 0},
    {"padding", {.total = 9000, .slice = SLICE, .zero = {[18] = 1}}, ASSEMBLER_MALFORMED, SLICE, 1,
	0},
    {"flag 2", {.total = 9000, .slice = SLICE, .from_client = 2}, ASSEMBLER_MALFORMED, SLICE, 1, 0},
    {"proof", {.total = 9000, .slice = SLICE}, ASSEMBLER_MALFORMED, SLICE, 1, PROOF_MAC},
    {"no replica", {.total = 9000, .slice = SLICE}, ASSEMBLER_SENDER, SLICE, REPLICAS, 0},
    {"replica 65535", {.total = 9000, .slice = SLICE}, ASSEMBLER_SENDER, SLICE, 65535, 0},
    {"a slot", {.total = 9000, .slice = SLICE, .from_client = 1}, ASSEMBLER_INCOMPLETE, SLICE, 109,
	0},
    {"no slot above", {.total = 9000, .slice = SLICE, .from_client = 1}, ASSEMBLER_SENDER, SLICE,
	110, 0},
    {"no slot below", {.total = 9000, .slice = SLICE, .from_client = 1}, ASSEMBLER_SENDER, SLICE, 9,
	0},
};

static void
hostile_fields_are_dropped(void)
{
	for (size_t i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++) {
		struct node b;
		struct segmenter_config out = segmenter_default();
		struct assembler_config in = assembler_default();
		in.slot_first = 10;
		in.slots_count = 100;
		node_open(&b, 0, &out, &in);
		struct datagram d = {NULL, 64 + spoiled[i].body_size, 0, 0};
		d.size += spoiled[i].proof == PROOF_MAC ? MAC_SIZE : 0;
		d.bytes = calloc(1, d.size);
		struct message_header *header = (struct message_header *)(void *)d.bytes;
		*header = (struct message_header){.size = d.size,
		    .cluster = 9,
		    .sender = spoiled[i].sender,
		    .protocol = 3,
		    .type = MESSAGE_SEGMENT,
		    .proof = spoiled[i].proof,
		    .version = MESSAGE_VERSION,
		    .seq = 44};
		segment_fields_write(header, &spoiled[i].fields);
		enum assembler_verdict verdict = add_made(&b, 0, d);
		if (verdict != spoiled[i].expected)
			printf("%s: %s\n", spoiled[i].what, assembler_verdict_name(verdict));
		CU_ASSERT_EQUAL(verdict, spoiled[i].expected);
		CU_ASSERT_EQUAL(verdicts(&b, verdict), 1);
		node_close(&b);
	}
}

static void
id_zero_and_other_types_are_malformed(void)
{
	struct node b;
	node_default(&b, 0, false);
	CU_ASSERT_EQUAL(add_segment(&b, 0, 1, 0, 0), ASSEMBLER_MALFORMED);
	struct datagram d = segment_make(1, false, 5, 0, 10 * SLICE);
	d.bytes[offsetof(struct message_header, type)] = MESSAGE_SEGMENT_NACK;
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_MALFORMED);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->opened, 0);
	CU_ASSERT_EQUAL(assembler_deadline(b.assembler), UINT64_MAX);
	node_close(&b);
}

static void
contradictions_do_not_spoil_a_message(void)
{
	struct node b;
	node_default(&b, 0, false);
	CU_ASSERT_EQUAL(add_segment(&b, 0, 1, 5, 0), ASSEMBLER_INCOMPLETE);
	struct datagram d = segment_make(1, false, 5, 1, 10 * SLICE + 8);
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCONSISTENT);
	d = segment_make(1, false, 5, 1, 9 * SLICE);
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCONSISTENT);
	d = segment_make(1, false, 5, 1, 10 * SLICE);
	d.bytes[offsetof(struct message_header, instance)] = 1;
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCONSISTENT);
	struct segment_fields fields = {.offset = 0, .total = 10 * SLICE, .slice = 2 * SLICE};
	d = (struct datagram){calloc(1, 64 + 2 * SLICE), 64 + 2 * SLICE, 0, 0};
	struct datagram pattern = segment_make(1, false, 5, 0, 10 * SLICE);
	memcpy(d.bytes, pattern.bytes, 64);
	free(pattern.bytes);
	((struct message_header *)(void *)d.bytes)->size = d.size;
	segment_fields_write((struct message_header *)(void *)d.bytes, &fields);
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCONSISTENT);
	for (uint32_t i = 1; i < 9; i++)
		CU_ASSERT_EQUAL(add_segment(&b, 0, 1, 5, i), ASSEMBLER_INCOMPLETE);
	/* The same id from another peer is another message. */
	CU_ASSERT_EQUAL(add_segment(&b, 0, 2, 5, 9), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(add_client(&b, 0, 1, 5, 9), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(add_segment(&b, 0, 1, 5, 9), ASSEMBLER_COMPLETE);
	CU_ASSERT_EQUAL(add_segment(&b, 0, 1, 5, 9), ASSEMBLER_LATE);
	node_close(&b);
}

static void
a_client_node_takes_replicas_only(void)
{
	struct node b;
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	in.from_client = true;
	in.slot_first = 3;
	in.slots_count = 2;
	node_open(&b, 3, &out, &in);
	CU_ASSERT_EQUAL(add_client(&b, 0, 3, 1, 0), ASSEMBLER_SENDER);
	CU_ASSERT_EQUAL(add_segment(&b, 0, 1, 1, 0), ASSEMBLER_SENDER);
	struct datagram d = segment_make(1, false, 1, 0, 10 * SLICE);
	d.bytes[offsetof(struct message_header, instance)] = 4;
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCOMPLETE);
	node_close(&b);
}

/* ---- shares, eviction, expiry ---- */

static void
a_flood_fills_its_own_share_only(void)
{
	struct node b;
	node_default(&b, 0, false); /* 12 buffers: 6 for replicas, 2 each; 6 for clients */
	for (uint64_t id = 1; id <= 1000; id++)
		add_segment(&b, 0, 1, id, 0);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->opened, 2);
	CU_ASSERT_EQUAL(verdicts(&b, ASSEMBLER_SHARE_FULL), 998);
	for (uint16_t slot = 0; slot < 1000; slot++) {
		add_client(&b, 0, slot, 5000u + slot, 0);
		add_client(&b, 0, slot, 9000u + slot, 0);
	}
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->opened, 8);
	CU_ASSERT_EQUAL(verdicts(&b, ASSEMBLER_SHARE_FULL), 998 + 6);
	CU_ASSERT_EQUAL(verdicts(&b, ASSEMBLER_FULL), 2 * 994);
	for (uint16_t i = 2; i <= 3; i++) {
		CU_ASSERT_EQUAL(add_segment(&b, 0, i, 7, 0), ASSEMBLER_INCOMPLETE);
		CU_ASSERT_EQUAL(add_segment(&b, 0, i, 8, 0), ASSEMBLER_INCOMPLETE);
	}
	/* Much later everything is stale: each kind evicts its own kind only. */
	for (uint16_t slot = 0; slot < 1000; slot++)
		add_client(&b, 20 * MS, slot, 20000u + slot, 0);
	for (uint32_t i = 1; i < 10; i++) {
		enum assembler_verdict v = add_segment(&b, 21 * MS, 3, 8, i);
		CU_ASSERT_EQUAL(v, i < 9 ? ASSEMBLER_INCOMPLETE : ASSEMBLER_COMPLETE);
	}
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->evicted, 6);
	node_close(&b);
}

static void
only_the_stale_give_way(void)
{
	struct node b;
	node_default(&b, 0, false);
	add_segment(&b, 0, 1, 10, 0);
	add_segment(&b, 1, 1, 11, 0);
	CU_ASSERT_EQUAL(add_segment(&b, 4 * MS - 1, 1, 12, 0), ASSEMBLER_SHARE_FULL);
	CU_ASSERT_EQUAL(add_segment(&b, 4 * MS, 1, 10, 1), ASSEMBLER_INCOMPLETE);
	/* 10 has just made progress, 11 is stale: it goes, though it is the younger. */
	CU_ASSERT_EQUAL(add_segment(&b, 5 * MS, 1, 12, 0), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->evicted, 1);
	CU_ASSERT_EQUAL(add_segment(&b, 5 * MS, 1, 11, 1), ASSEMBLER_LATE);
	CU_ASSERT_EQUAL(add_segment(&b, 5 * MS, 1, 10, 2), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(add_segment(&b, 5 * MS, 1, 13, 0), ASSEMBLER_SHARE_FULL);
	node_close(&b);
}

static void
a_full_share_evicts_its_own(void)
{
	struct node b;
	node_default(&b, 0, false);
	add_segment(&b, 0, 2, 20, 0); /* the stalest of all, but another's */
	add_segment(&b, 1, 1, 10, 0);
	add_segment(&b, 2, 1, 11, 0);
	CU_ASSERT_EQUAL(add_segment(&b, 10 * MS, 1, 12, 0), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(add_segment(&b, 10 * MS, 2, 20, 1), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(add_segment(&b, 10 * MS, 1, 10, 1), ASSEMBLER_LATE);
	CU_ASSERT_EQUAL(add_segment(&b, 10 * MS, 1, 11, 1), ASSEMBLER_INCOMPLETE);
	node_close(&b);
}

static void
progress_begins_the_rounds_anew(void)
{
	struct node b;
	uint64_t now_ns = 0;
	node_default(&b, 0, false);
	add_segment(&b, 0, 1, 10, 0);
	for (uint32_t i = 1; i < 9; i++) {
		for (uint32_t round = 0; round < 5; round++) {
			now_ns = assembler_deadline(b.assembler);
			envelopes_set_out(&b, 1);
			CU_ASSERT_EQUAL(
			    assembler_timeout(b.assembler, now_ns, &b.out, &b.stamp), 1);
		}
		CU_ASSERT_EQUAL(add_segment(&b, now_ns, 1, 10, i), ASSEMBLER_INCOMPLETE);
		envelopes_set_out(&b, 1);
		CU_ASSERT_EQUAL(
		    assembler_timeout(b.assembler, now_ns + MS - 1, &b.out, &b.stamp), 0);
		assembler_timeout(b.assembler, now_ns + MS, &b.out, &b.stamp);
		CU_ASSERT_EQUAL(b.out.sends_count, 1);
	}
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->expired, 0);
	node_close(&b);
}

static void
completed_buffers_stay_until_release(void)
{
	struct node b;
	struct datagram d[2];
	const uint8_t *whole[2];
	uint32_t size;
	node_default(&b, 0, false);
	for (uint64_t i = 0; i < 2; i++) {
		d[i] = segment_make(1, false, i + 1, 0, 64 + 8);
		memset(d[i].bytes + 64, (int)i + 1, 72);
		struct message m = parsed(&d[i]);
		CU_ASSERT_EQUAL(assembler_add(b.assembler, 0, &m, &whole[i], &size), 1);
	}
	CU_ASSERT_EQUAL(add_segment(&b, 100 * MS, 1, 3, 0), ASSEMBLER_SHARE_FULL);
	CU_ASSERT_EQUAL(whole[0][71], 1);
	CU_ASSERT_EQUAL(whole[1][71], 2);
	assembler_release(b.assembler);
	CU_ASSERT_EQUAL(add_segment(&b, 100 * MS, 1, 3, 0), ASSEMBLER_INCOMPLETE);
	list_free(d, 2);
	node_close(&b);
}

static void
what_never_completes_expires(void)
{
	struct node b;
	node_default(&b, 0, false);
	uint64_t now_ns = 5 * MS;
	uint32_t rounds = 0;
	CU_ASSERT_EQUAL(add_segment(&b, now_ns, 1, 10, 3), ASSEMBLER_INCOMPLETE);
	CU_ASSERT_EQUAL(assembler_deadline(b.assembler), now_ns + MS);
	envelopes_set_out(&b, ENVELOPES);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, now_ns + MS - 1, &b.out, &b.stamp), 0);
	while (assembler_deadline(b.assembler) != UINT64_MAX) {
		CU_ASSERT_FATAL(assembler_deadline(b.assembler) > now_ns);
		now_ns = assembler_deadline(b.assembler);
		rounds += assembler_timeout(b.assembler, now_ns, &b.out, &b.stamp);
	}
	CU_ASSERT_EQUAL(rounds, 16);
	/* 1, 1, 2, 2, 4, 4, 8, 8 and then 16 each, until the answer to the last is due. */
	CU_ASSERT_EQUAL(now_ns, 5 * MS + (30ull + 9 * 16) * MS);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->expired, 1);
	CU_ASSERT_EQUAL(add_segment(&b, now_ns, 1, 10, 4), ASSEMBLER_LATE);
	/* Progress puts NACKs off, but nothing outlives a second. */
	uint64_t begin_ns = now_ns;
	for (uint32_t i = 0; i < 9; i++)
		CU_ASSERT_EQUAL(add_segment(&b, begin_ns + 124ull * MS * i, 1, 11, i), 0);
	assembler_timeout(b.assembler, begin_ns + 1000ull * MS, &b.out, &b.stamp);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->expired, 2);
	CU_ASSERT_EQUAL(add_segment(&b, begin_ns + 1000ull * MS, 1, 11, 9), ASSEMBLER_LATE);
	node_close(&b);
}

static void
expiry_may_come_before_any_nack(void)
{
	struct node b;
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	in.nack_ns = 10 * MS;
	in.expiry_ns = 3 * MS;
	node_open(&b, 0, &out, &in);
	add_segment(&b, MS, 1, 10, 0);
	CU_ASSERT_EQUAL(assembler_deadline(b.assembler), 4 * MS);
	envelopes_set_out(&b, 1);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, 4 * MS, &b.out, &b.stamp), 0);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->expired, 1);
	CU_ASSERT_EQUAL(assembler_deadline(b.assembler), UINT64_MAX);
	node_close(&b);
}

/* ---- NACKs on the wire ---- */

static struct segment_range
range_at(const struct message *m, uint32_t index)
{
	struct segment_range range;
	memcpy(&range, m->body + index * sizeof(range), sizeof(range));
	return range;
}

static void
a_nack_names_the_gaps(void)
{
	struct node b;
	struct datagram d;
	struct segment_fields fields;
	node_default(&b, 2, false);
	add_segment(&b, 0, 1, 10, 3);
	add_segment(&b, 0, 1, 10, 4);
	add_segment(&b, 0, 1, 10, 7);
	/* Without an envelope it stays due. */
	envelopes_set_out(&b, 0);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, MS, &b.out, &b.stamp), 0);
	CU_ASSERT_EQUAL(assembler_deadline(b.assembler), MS);
	envelopes_set_out(&b, 1);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, MS, &b.out, &b.stamp), 1);
	CU_ASSERT_EQUAL(outbox_take(&b, &d, 1), 1);
	struct message m = parsed(&d);
	CU_ASSERT_EQUAL(d.to, 1 << 1);
	CU_ASSERT_EQUAL(m.header->type, MESSAGE_SEGMENT_NACK);
	CU_ASSERT_EQUAL(m.header->sender, 2);
	CU_ASSERT_EQUAL(m.header->seq, 10);
	CU_ASSERT_EQUAL_FATAL(m.body_size, 3 * sizeof(struct segment_range));
	CU_ASSERT_EQUAL(range_at(&m, 0).first_index, 0);
	CU_ASSERT_EQUAL(range_at(&m, 0).count, 3);
	CU_ASSERT_EQUAL(range_at(&m, 1).first_index, 5);
	CU_ASSERT_EQUAL(range_at(&m, 1).count, 2);
	CU_ASSERT_EQUAL(range_at(&m, 2).first_index, 8);
	CU_ASSERT_EQUAL(range_at(&m, 2).count, 2);
	segment_fields_read(m.header, &fields);
	CU_ASSERT_EQUAL(fields.total, 10 * SLICE);
	CU_ASSERT_EQUAL(fields.slice, SLICE);
	CU_ASSERT_EQUAL(fields.from_client, 0);
	free(d.bytes);
	node_close(&b);
}

static void
many_gaps_take_several_bounded_nacks(void)
{
	struct node b;
	struct datagram list[8];
	node_default(&b, 2, false);
	for (uint32_t i = 0; i < 740; i += 2) {
		struct datagram d = segment_make(1, false, 10, i, 740 * SLICE);
		CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCOMPLETE);
	}
	envelopes_set_out(&b, 8);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, MS, &b.out, &b.stamp), 4);
	uint32_t count = outbox_take(&b, list, 8);
	CU_ASSERT_EQUAL_FATAL(count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		struct message m = parsed(&list[i]);
		CU_ASSERT_EQUAL(list[i].size, ENVELOPE_SIZE_MIN);
		CU_ASSERT_EQUAL(range_at(&m, 0).first_index, 1 + i * 2 * SEGMENT_RANGES_MAX);
	}
	list_free(list, count);
	node_close(&b);
}

static void
nacks_are_steered(void)
{
	struct node b;
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	struct datagram d;
	in.from_client = true;
	in.instances_count = 4;
	node_open(&b, 70, &out, &in);
	struct datagram made = segment_make(1, false, 10, 0, 10 * SLICE);
	made.bytes[offsetof(struct message_header, instance)] = SLOT;
	add_made(&b, 0, made);
	envelopes_set_out(&b, 1);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, MS, &b.out, &b.stamp), 1);
	outbox_take(&b, &d, 1);
	struct message m = parsed(&d);
	CU_ASSERT_EQUAL(d.to, 1 << 1);
	CU_ASSERT_EQUAL(m.header->sender, SLOT);
	CU_ASSERT_EQUAL(m.header->instance, SLOT % 4);
	free(d.bytes);
	node_close(&b);

	node_default(&b, 3, false);
	add_client(&b, 0, SLOT, 10, 0);
	envelopes_set_out(&b, 1);
	CU_ASSERT_EQUAL(assembler_timeout(b.assembler, MS, &b.out, &b.stamp), 1);
	outbox_take(&b, &d, 1);
	m = parsed(&d);
	CU_ASSERT_EQUAL(d.to, 0);
	CU_ASSERT_EQUAL(d.client, SLOT);
	CU_ASSERT_EQUAL(m.header->sender, 3);
	CU_ASSERT_EQUAL(m.header->instance, SLOT);
	free(d.bytes);
	/* A forged sender can be the node itself: nobody is asked. */
	add_segment(&b, 0, 3, 10, 0);
	envelopes_set_out(&b, 2);
	assembler_timeout(b.assembler, MS, &b.out, &b.stamp);
	CU_ASSERT_EQUAL(b.out.sends_count, 0);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->expired, 1);
	node_close(&b);
}

static void
a_forged_client_gains_no_bytes(void)
{
	struct node b;
	uint64_t now_ns = 0;
	uint64_t sent = 0;
	node_default(&b, 0, false);
	/* The last slice of a message, 8 bytes: 72 bytes came in. */
	struct datagram d = segment_make(SLOT, true, 10, 2, 2 * SLICE + 8);
	uint64_t received = d.size;
	CU_ASSERT_EQUAL(add_made(&b, 0, d), ASSEMBLER_INCOMPLETE);
	while (assembler_deadline(b.assembler) != UINT64_MAX) {
		now_ns = assembler_deadline(b.assembler);
		envelopes_set_out(&b, ENVELOPES);
		assembler_timeout(b.assembler, now_ns, &b.out, &b.stamp);
		for (uint32_t i = 0; i < b.out.sends_count; i++)
			sent += b.out.sends[i].header->size;
	}
	CU_ASSERT(sent > 0);
	CU_ASSERT(sent <= received);
	CU_ASSERT_EQUAL(assembler_counters(b.assembler)->withheld, 15);
	node_close(&b);
}

static const struct unit_story stories[] = {
    {"hostile fields are dropped", hostile_fields_are_dropped},
    {"id zero and other types are malformed", id_zero_and_other_types_are_malformed},
    {"contradictions do not spoil a message", contradictions_do_not_spoil_a_message},
    {"a client node takes replicas only", a_client_node_takes_replicas_only},
    {"a flood fills its own share only", a_flood_fills_its_own_share_only},
    {"only the stale give way", only_the_stale_give_way},
    {"a full share evicts its own", a_full_share_evicts_its_own},
    {"progress begins the rounds anew", progress_begins_the_rounds_anew},
    {"completed buffers stay until release", completed_buffers_stay_until_release},
    {"what never completes expires", what_never_completes_expires},
    {"expiry may come before any NACK", expiry_may_come_before_any_nack},
    {"a NACK names the gaps", a_nack_names_the_gaps},
    {"many gaps take several bounded NACKs", many_gaps_take_several_bounded_nacks},
    {"NACKs are steered", nacks_are_steered},
    {"a forged client gains no bytes", a_forged_client_gains_no_bytes},
};

UNIT_MAIN("assembler", stories)
