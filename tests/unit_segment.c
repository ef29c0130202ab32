/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/segmenter.c and engine/assembler.c: alone, against hostile segments
 * and NACKs, and against each other over a lossy link. Every datagram lies in
 * an exact-size allocation, so the address sanitizer sees each overrun. One core.
 */
#include "engine/assembler.h"
#include "engine/random.h"
#include "engine/segmenter.h"

#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

enum {
	MESSAGE_MAX = 1024 * 1024 + 4096,
	ENVELOPE = 1472, /* MTU 1500 */
	SLICE = 1408,
	ENVELOPES = 64,
	MS = 1000 * 1000,
	REPLICAS = 4,
	SLOT = 77,
};

/* One end of a link: both halves, an outbox, envelopes of its own. */
struct node {
	struct segmenter *segmenter;
	struct assembler *assembler;
	struct outbox out;
	struct stamp stamp;
	uint32_t envelope_size;
	void *envelopes[ENVELOPES];
};

/* A datagram on its way, in memory of its own. */
struct datagram {
	uint8_t *bytes;
	uint32_t size;
	uint64_t to;
	uint16_t client;
};

static const struct message_scope scope = {.cluster = 9, .replicas_count = REPLICAS, .protocol = 3};

static void *
block(size_t size)
{
	void *memory = NULL;
	CU_ASSERT_EQUAL_FATAL(posix_memalign(&memory, 64, size), 0);
	memset(memory, 0xa5, size < 65536 ? size : 65536);
	return memory;
}

static struct segmenter_config
segmenter_default(void)
{
	return (struct segmenter_config){
	    .message_size_max = MESSAGE_MAX, .envelope_size = ENVELOPE, .buffers_count = 4};
}

static struct assembler_config
assembler_default(void)
{
	return (struct assembler_config){
	    .message_size_max = MESSAGE_MAX, .buffers_count = 12, .replicas_count = REPLICAS};
}

static void
node_open(struct node *n, uint16_t self, const struct segmenter_config *out,
    const struct assembler_config *in)
{
	memset(n, 0, sizeof(*n));
	n->segmenter = segmenter_init(block(segmenter_size(out)), out);
	n->assembler = assembler_init(block(assembler_size(in)), in);
	n->stamp = (struct stamp){.cluster = 9, .sender = self, .replicas_count = 4, .protocol = 3};
	n->envelope_size = out->envelope_size;
	for (uint32_t i = 0; i < ENVELOPES; i++)
		n->envelopes[i] = block(out->envelope_size);
	segmenter_refill(n->segmenter, &n->out);
}

/* A replica (or, with from_client, a client's node), all else by default. */
static void
node_default(struct node *n, uint16_t self, bool from_client)
{
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	out.from_client = from_client;
	in.from_client = from_client;
	node_open(n, self, &out, &in);
}

static void
node_close(struct node *n)
{
	free(n->segmenter);
	free(n->assembler);
	for (uint32_t i = 0; i < ENVELOPES; i++)
		free(n->envelopes[i]);
}

static void
envelopes_set_out(struct node *n, uint32_t count)
{
	n->out.sends_count = 0;
	n->out.sends_ready = count;
	for (uint32_t i = 0; i < count; i++) {
		n->out.sends[i] = (struct send){
		    .capacity = n->envelope_size, .header = n->envelopes[i], .owner = n};
	}
}

/* Takes what lies in the outbox; the caller frees each. */
static uint32_t
outbox_take(struct node *n, struct datagram *list, uint32_t max)
{
	uint32_t count = n->out.sends_count;
	CU_ASSERT_FATAL(count <= max);
	for (uint32_t i = 0; i < count; i++) {
		const struct send *send = &n->out.sends[i];
		list[i] = (struct datagram){
		    malloc(send->header->size), send->header->size, send->to, send->client};
		memcpy(list[i].bytes, send->header, send->header->size);
	}
	n->out.sends_count = 0;
	return count;
}

static struct message
parsed(const struct datagram *d)
{
	struct message m = {0};
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, d->bytes, d->size, &m), PARSE_OK);
	return m;
}

static void
message_fill(uint8_t *bytes, const struct stamp *stamp, uint32_t size, uint64_t seq)
{
	struct message_header header = {
	    .size = size,
	    .cluster = stamp->cluster,
	    .sender = stamp->sender,
	    .protocol = stamp->protocol,
	    .type = MESSAGE_PROTOCOL,
	    .version = MESSAGE_VERSION,
	    .seq = seq,
	};
	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = sizeof(header); i < size; i++)
		bytes[i] = (uint8_t)random_mix(seq * 2654435761u + i);
}

static bool
message_matches(const uint8_t *bytes, uint32_t size, const struct stamp *stamp, uint64_t seq)
{
	uint8_t *expected = malloc(size);
	message_fill(expected, stamp, size, seq);
	bool same = memcmp(expected, bytes, size) == 0;
	free(expected);
	return same;
}

/* Writes a message of `size` bytes into a lent buffer: taken, but not posted. */
static struct send
message_take(struct node *n, uint32_t size, uint64_t seq)
{
	CU_ASSERT_FATAL(n->out.large_count < n->out.large_ready);
	struct send send = n->out.large[n->out.large_count++];
	message_fill((uint8_t *)send.header, &n->stamp, size, seq);
	return send;
}

/* Takes, posts and gets new buffers lent, as a shard does. to == 0: to slot SLOT. */
static void
message_post(struct node *n, uint32_t size, uint64_t seq, uint64_t to)
{
	struct send send = message_take(n, size, seq);
	send.to = to;
	send.client = to == 0 ? SLOT : 0;
	segmenter_post(n->segmenter, &send);
	segmenter_refill(n->segmenter, &n->out);
}

/* Pumps everything into a list. */
static uint32_t
pump_all(struct node *n, struct datagram *list, uint32_t max)
{
	uint32_t count = 0;
	while (segmenter_pending(n->segmenter)) {
		envelopes_set_out(n, ENVELOPES);
		CU_ASSERT(segmenter_pump(n->segmenter, &n->out, &n->stamp, ENVELOPES) > 0);
		count += outbox_take(n, list + count, max - count);
	}
	return count;
}

static void
list_free(struct datagram *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(list[i].bytes);
}

/* What assembler_add() says, without interest in the whole. */
static enum assembler_verdict
add(struct node *n, uint64_t now_ns, const struct datagram *d)
{
	const uint8_t *whole = NULL;
	uint32_t whole_size = 0;
	struct message m = parsed(d);
	return assembler_add(n->assembler, now_ns, &m, &whole, &whole_size);
}

static uint64_t
verdicts(const struct node *n, enum assembler_verdict verdict)
{
	return assembler_counters(n->assembler)->verdicts[verdict];
}

/* A segment made by hand; the story may spoil it before it is added. */
static struct datagram
segment_make(uint16_t sender, bool from_client, uint64_t id, uint32_t index, uint32_t total)
{
	struct segment_fields fields = {
	    .offset = index * SLICE, .total = total, .slice = SLICE, .from_client = from_client};
	uint32_t left = total - fields.offset;
	uint32_t size = 64 + (left < SLICE ? left : SLICE);
	struct datagram d = {calloc(1, size), size, 0, 0};
	struct message_header *header = (struct message_header *)(void *)d.bytes;
	*header = (struct message_header){
	    .size = size,
	    .cluster = 9,
	    .sender = sender,
	    .protocol = 3,
	    .type = MESSAGE_SEGMENT,
	    .version = MESSAGE_VERSION,
	    .seq = id,
	};
	segment_fields_write(header, &fields);
	return d;
}

static enum assembler_verdict
add_made(struct node *n, uint64_t now_ns, struct datagram d)
{
	enum assembler_verdict verdict = add(n, now_ns, &d);
	free(d.bytes);
	return verdict;
}

static enum assembler_verdict
add_segment(struct node *n, uint64_t now_ns, uint16_t sender, uint64_t id, uint32_t index)
{
	return add_made(n, now_ns, segment_make(sender, false, id, index, 10 * SLICE));
}

static enum assembler_verdict
add_client(struct node *n, uint64_t now_ns, uint16_t slot, uint64_t id, uint32_t index)
{
	return add_made(n, now_ns, segment_make(slot, true, id, index, 10 * SLICE));
}

/* ---- whole messages ---- */

static void
travels(uint32_t envelope_size, uint32_t size, uint64_t to)
{
	struct node a;
	struct node b;
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	struct datagram *list = calloc(4096, sizeof(*list));
	uint32_t completed = 0;
	out.envelope_size = envelope_size;
	node_open(&a, 1, &out, &in);
	in.from_client = to == 0;
	node_open(&b, 0, &out, &in);
	message_post(&a, size, 5, to);
	uint32_t count = pump_all(&a, list, 4096);
	CU_ASSERT_EQUAL(count, segment_count(size, segment_slice(envelope_size)));
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *whole;
		uint32_t whole_size;
		struct message m = parsed(&list[i]);
		CU_ASSERT(list[i].size <= envelope_size);
		CU_ASSERT_EQUAL(list[i].to, to);
		CU_ASSERT_EQUAL(m.header->instance, to == 0 ? SLOT : 0);
		if (assembler_add(b.assembler, 0, &m, &whole, &whole_size) != ASSEMBLER_COMPLETE)
			continue;
		CU_ASSERT_EQUAL(i, count - 1);
		CU_ASSERT_EQUAL(whole_size, size);
		CU_ASSERT_EQUAL((uintptr_t)whole % 64, 0);
		CU_ASSERT(message_matches(whole, size, &a.stamp, 5));
		completed++;
	}
	CU_ASSERT_EQUAL(completed, 1);
	assembler_release(b.assembler);
	list_free(list, count);
	free(list);
	node_close(&a);
	node_close(&b);
}

static void
every_size_travels_over_every_mtu(void)
{
	static const uint32_t mtus[] = {576, 1500, 9000};
	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		uint32_t envelope = mtus[i] - 28;
		uint32_t slice = segment_slice(envelope);
		const uint32_t sizes[] = {64, 65, slice - 1, slice, slice + 1, envelope + 1, 1473,
		    2 * slice, 2 * slice + 1, 64 * slice, 64 * slice + 8, 1024 * 1024, MESSAGE_MAX};
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			travels(envelope, sizes[k], k % 2 == 0 ? 1 : 0);
	}
}

static void
shuffle(struct datagram *list, uint32_t count, uint64_t seed)
{
	struct random r;
	random_init(&r, seed, 0);
	for (uint32_t i = count; i > 1; i--) {
		uint32_t k = (uint32_t)random_below(&r, i);
		struct datagram swapped = list[i - 1];
		list[i - 1] = list[k];
		list[k] = swapped;
	}
}

static void
order_does_not_matter_and_twice_is_once(void)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct node a;
		struct node b;
		struct datagram list[128];
		uint32_t completed = 0;
		uint32_t size = 30000 + (uint32_t)seed * 777;
		node_default(&a, 1, false);
		node_default(&b, 0, false);
		message_post(&a, size, seed, 1);
		uint32_t count = pump_all(&a, list, 64);
		memcpy(list + count, list, count * sizeof(list[0]));
		shuffle(list, 2 * count, seed);
		for (uint32_t i = 0; i < 2 * count; i++) {
			const uint8_t *whole;
			uint32_t whole_size;
			struct message m = parsed(&list[i]);
			enum assembler_verdict v =
			    assembler_add(b.assembler, 0, &m, &whole, &whole_size);
			if (v != ASSEMBLER_COMPLETE)
				continue;
			completed++;
			CU_ASSERT_EQUAL(whole_size, size);
			CU_ASSERT(message_matches(whole, size, &a.stamp, seed));
		}
		CU_ASSERT_EQUAL(completed, 1);
		CU_ASSERT(verdicts(&b, ASSEMBLER_LATE) > 0);
		CU_ASSERT_EQUAL(
		    verdicts(&b, ASSEMBLER_DUPLICATE) + verdicts(&b, ASSEMBLER_LATE), count);
		CU_ASSERT_EQUAL(assembler_counters(b.assembler)->opened, 1);
		for (uint32_t i = 0; i < 2 * count; i++) {
			bool first = true;
			for (uint32_t k = 0; k < i; k++)
				first = first && list[k].bytes != list[i].bytes;
			if (!first)
				list[i].bytes = NULL;
		}
		list_free(list, 2 * count);
		node_close(&a);
		node_close(&b);
	}
}

static void
same_seed_same_bytes(void)
{
	struct datagram list[2][64];
	uint32_t count[2];
	for (int run = 0; run < 2; run++) {
		struct node a;
		node_default(&a, 1, false);
		message_post(&a, 40000, 1, 0xd);
		message_post(&a, 20000, 2, 0xd);
		count[run] = pump_all(&a, list[run], 64);
		node_close(&a);
	}
	CU_ASSERT_EQUAL_FATAL(count[0], count[1]);
	for (uint32_t i = 0; i < count[0]; i++) {
		CU_ASSERT_EQUAL_FATAL(list[0][i].size, list[1][i].size);
		CU_ASSERT_EQUAL(memcmp(list[0][i].bytes, list[1][i].bytes, list[0][i].size), 0);
	}
	list_free(list[0], count[0]);
	list_free(list[1], count[1]);
}

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

/* ---- the segmenter ---- */

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

/* ---- both, over a bad link ---- */

enum { FLIGHT_MAX = 4096 };

struct link {
	struct datagram flight[FLIGHT_MAX];
	uint64_t due_ns[FLIGHT_MAX];
	uint32_t count;
	uint32_t loss; /* percent */
	uint64_t delay_ns;
	struct random random;
};

static void
link_carry(struct link *l, struct node *from, uint64_t now_ns)
{
	struct datagram list[ENVELOPES];
	uint32_t count = outbox_take(from, list, ENVELOPES);
	for (uint32_t i = 0; i < count; i++) {
		if (random_below(&l->random, 100) < l->loss) {
			free(list[i].bytes);
			continue;
		}
		CU_ASSERT_FATAL(l->count < FLIGHT_MAX);
		l->flight[l->count] = list[i];
		l->due_ns[l->count++] =
		    now_ns + l->delay_ns + random_below(&l->random, l->delay_ns);
	}
}

/* Delivers what is due; returns how many messages got whole. */
static uint32_t
link_deliver(struct link *l, struct node *to, uint64_t now_ns, const struct stamp *stamp)
{
	uint32_t wholes = 0;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->due_ns[i] > now_ns) {
			l->flight[kept] = l->flight[i];
			l->due_ns[kept++] = l->due_ns[i];
			continue;
		}
		const uint8_t *whole;
		uint32_t size;
		struct message m = parsed(&l->flight[i]);
		if (m.header->type == MESSAGE_SEGMENT_NACK) {
			segmenter_nack(to->segmenter, now_ns, &m);
		} else if (assembler_add(to->assembler, now_ns, &m, &whole, &size) ==
			   ASSEMBLER_COMPLETE) {
			const struct message_header *header = (const void *)whole;
			CU_ASSERT_EQUAL(header->size, size);
			CU_ASSERT(message_matches(whole, size, stamp, header->seq));
			wholes++;
		}
		free(l->flight[i].bytes);
	}
	assembler_release(to->assembler);
	l->count = kept;
	return wholes;
}

/* Runs `a` -> `b` until nothing moves; returns messages completed, and when in *end_ns. */
static uint32_t
link_run(struct link links[2], struct node *a, struct node *b, uint64_t *end_ns)
{
	uint32_t wholes = 0;
	for (uint64_t now_ns = 0; now_ns < 3000ull * MS; now_ns += 50000) {
		uint32_t count = link_deliver(&links[0], b, now_ns, &a->stamp);
		wholes += count;
		if (count > 0)
			*end_ns = now_ns;
		link_deliver(&links[1], a, now_ns, &b->stamp);
		envelopes_set_out(a, ENVELOPES);
		envelopes_set_out(b, ENVELOPES);
		segmenter_pump(a->segmenter, &a->out, &a->stamp, 32);
		assembler_timeout(b->assembler, now_ns, &b->out, &b->stamp);
		link_carry(&links[0], a, now_ns);
		link_carry(&links[1], b, now_ns);
		if (links[0].count + links[1].count == 0 && !segmenter_pending(a->segmenter) &&
		    assembler_deadline(b->assembler) == UINT64_MAX)
			break;
	}
	return wholes;
}

static struct link *
links_open(uint32_t loss, uint64_t seed)
{
	struct link *links = calloc(2, sizeof(*links));
	for (uint32_t i = 0; i < 2; i++) {
		links[i].loss = loss;
		links[i].delay_ns = 100000;
		random_init(&links[i].random, seed, i);
	}
	return links;
}

static void
links_close(struct link *links)
{
	list_free(links[0].flight, links[0].count);
	list_free(links[1].flight, links[1].count);
	free(links);
}

static void
a_megabyte_survives_heavy_loss(void)
{
	uint64_t sent = 0;
	uint64_t least = 0;
	uint64_t worst_ns = 0;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct node a;
		struct node b;
		struct link *links = links_open(30, seed);
		uint64_t end_ns = 0;
		bool client = seed % 2 == 0; /* a client's request, or a replica's proposal */
		node_default(&a, 1, client);
		node_default(&b, 0, false);
		message_post(&a, 1024 * 1024, seed, 1);
		CU_ASSERT_EQUAL(link_run(links, &a, &b, &end_ns), 1);
		const struct segmenter_counters *c = segmenter_counters(a.segmenter);
		CU_ASSERT((c->segments + c->repairs) < 2 * c->segments);
		sent += c->segments + c->repairs;
		least += c->segments;
		worst_ns = end_ns > worst_ns ? end_ns : worst_ns;
		links_close(links);
		node_close(&a);
		node_close(&b);
	}
	printf(" [%.3f x the least, at worst %.1f ms]", (double)sent / (double)least,
	    (double)worst_ns / MS);
	CU_ASSERT(sent < 2 * least);
	CU_ASSERT(worst_ns < 200ull * MS);
}

static void
several_messages_share_a_bad_link(void)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct node a;
		struct node b;
		struct link *links = links_open(5, seed);
		uint64_t end_ns = 0;
		struct segmenter_config out = segmenter_default();
		struct assembler_config in = assembler_default();
		node_open(&a, 1, &out, &in);
		in.from_client = true;
		node_open(&b, 0, &out, &in);
		for (uint64_t i = 0; i < 4; i++)
			message_post(&a, 50000 + 1000 * (uint32_t)i, seed * 10 + i, 0);
		/* A share of 12 / 4 buffers for four messages, two under way at once. */
		uint32_t wholes = link_run(links, &a, &b, &end_ns);
		CU_ASSERT(wholes >= 3);
		CU_ASSERT_EQUAL(assembler_deadline(b.assembler), UINT64_MAX);
		links_close(links);
		node_close(&a);
		node_close(&b);
	}
}

static void
every_counter_has_a_name(void)
{
	for (uint32_t i = 0; i < ASSEMBLER_VERDICTS_COUNT; i++)
		CU_ASSERT_PTR_NOT_NULL(assembler_verdict_name(i));
	for (uint32_t i = 0; i < SEGMENTER_DROPS_COUNT; i++)
		CU_ASSERT_PTR_NOT_NULL(segmenter_drop_name(i));
}

static const struct unit_story stories[] = {
    {"every size travels over every MTU", every_size_travels_over_every_mtu},
    {"order does not matter, twice is once", order_does_not_matter_and_twice_is_once},
    {"same seed, same bytes", same_seed_same_bytes},
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
    {"one lost segment costs one", one_lost_segment_costs_one},
    {"hostile NACKs are dropped", hostile_nacks_are_dropped},
    {"a client repairs its own reply", a_client_repairs_its_own_reply},
    {"a NACK storm is bounded", a_nack_storm_is_bounded},
    {"room and budget are respected", room_and_budget_are_respected},
    {"the oldest two take turns", the_oldest_two_take_turns},
    {"the oldest sent is recycled first", the_oldest_sent_is_recycled_first},
    {"posted, pumped before the refill: kept", posted_but_pumped_before_the_refill_is_kept},
    {"ids differ each time", ids_differ_each_time},
    {"a megabyte survives 30 % loss", a_megabyte_survives_heavy_loss},
    {"several messages share a bad link", several_messages_share_a_bad_link},
    {"every counter has a name", every_counter_has_a_name},
};

UNIT_MAIN("segment", stories)
