/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/segmenter.c and engine/assembler.c against each other: every size over
 * every MTU, in any order, and over a lossy link. One core.
 */
#include "tests/segment_rig.h"

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
    {"a megabyte survives 30 % loss", a_megabyte_survives_heavy_loss},
    {"several messages share a bad link", several_messages_share_a_bad_link},
    {"every counter has a name", every_counter_has_a_name},
};

UNIT_MAIN("segment", stories)
