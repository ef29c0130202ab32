/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/shard.c with a machine that does what each message tells it to, a
 * prover that believes all but one key, and an io that counts its envelopes.
 */
#include "tests/shard_rig.h"

/* ---- Stories ------------------------------------------------------------ */

static void
messages_before_timers(void)
{
	struct rig *rig = rig_open(0, &(struct rig_options){.machines_count = 2, .own_mask = 1});
	struct burst b = {0};
	machine(rig, 0)->due_ns = 0;
	machine(rig, 0)->timeouts_left = 2;
	machine(rig, 1)->due_ns = 500;
	machine(rig, 1)->timeouts_left = 1;
	burst_add(&b, &(struct command){0}, 1)->instance = 1;
	burst_add(&b, &(struct command){0}, 2)->instance = 0;
	burst_add(&b, &(struct command){0}, 3)->instance = 1;
	CU_ASSERT_EQUAL(burst_run(rig, &b, 499), 5);
	CU_ASSERT_EQUAL_FATAL(rig->steps_count, 5);
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(rig->steps[i].type, EVENT_MESSAGE);
		CU_ASSERT_EQUAL(rig->steps[i].seq, i + 1);
		CU_ASSERT_EQUAL(rig->steps[i].machine, (i + 1) % 2);
	}
	CU_ASSERT_EQUAL(rig->steps[3].type, EVENT_TIMEOUT);
	CU_ASSERT_EQUAL(rig->steps[4].type, EVENT_TIMEOUT);
	CU_ASSERT_EQUAL(rig->steps[4].machine, 0);
	CU_ASSERT_EQUAL(shard_deadline(rig->shard), 500);
	CU_ASSERT_EQUAL(burst_run(rig, &b, 500), 1);
	CU_ASSERT_EQUAL(rig->steps[5].machine, 1);
	CU_ASSERT_EQUAL(shard_deadline(rig->shard), TIME_NEVER);
	CU_ASSERT_EQUAL(burst_run(rig, &b, 501), 0);
	CU_ASSERT_EQUAL(rig->shard->counters.timeouts, 3);
	CU_ASSERT_EQUAL(rig->shard->counters.messages, 3);
	CU_ASSERT_EQUAL(rig->shard->counters.datagrams, 3);
	CU_ASSERT_EQUAL(rig->shard->counters.bursts, 2);
	rig_close(rig);
}

static void
timers_of_a_burst_are_bounded(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	machine(rig, 0)->due_ns = 0;
	machine(rig, 0)->timeouts_left = UINT32_MAX;
	CU_ASSERT_EQUAL(burst_run(rig, &b, 0), SHARD_TIMEOUTS_MAX);
	CU_ASSERT_EQUAL(burst_run(rig, &b, 0), SHARD_TIMEOUTS_MAX);
	rig_close(rig);
}

static void
bad_datagrams_are_counted(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	struct command nothing = {0};
	burst_add(&b, &nothing, 1)->cluster++;
	burst_add(&b, &nothing, 1)->version++;
	burst_add(&b, &nothing, 1)->protocol++;
	burst_add(&b, &nothing, 1)->proof = 4;
	burst_add(&b, &nothing, 1)->size++;
	burst_add(&b, &nothing, 1);
	b.list[5].size = 63;
	burst_add(&b, &nothing, 1)->instance = 1;
	burst_add(&b, &nothing, 1)->instance = UINT16_MAX;
	burst_add(&b, &nothing, 1)->type = MESSAGE_PROTOCOL + 1;
	burst_add(&b, &nothing, 1)->type = MESSAGE_SEGMENT;
	burst_add(&b, &nothing, 1)->type = MESSAGE_SEGMENT_NACK;
	CU_ASSERT_EQUAL(burst_run(rig, &b, 0), 0);
	CU_ASSERT_EQUAL(rig->steps_count, 0);
	for (uint32_t error = PARSE_SHORT; error < PARSE_ERRORS_COUNT; error++)
		CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_PARSE + error), 1);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_INSTANCE), 2);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_SCREEN), 1);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_SEGMENT), 2);
	CU_ASSERT_EQUAL(rig->shard->counters.datagrams, 11);
	CU_ASSERT_EQUAL(rig->proves, 0);
	rig_close(rig);
}

static void
a_client_has_one_machine(void)
{
	struct rig *rig = rig_open(0, &(struct rig_options){.machines_count = 1});
	struct burst b = {0};
	burst_add(&b, &(struct command){0}, 1)->instance = 5;
	CU_ASSERT_EQUAL(burst_run(rig, &b, 0), 1);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_INSTANCE), 0);
	rig_close(rig);
}

/* State transfer is the owner's: whatever the instance, and only if it is proven. */
static void
the_owners_messages(void)
{
	for (uint32_t owner = 0; owner < 2; owner++) {
		struct rig *rig = rig_open(0, &(struct rig_options){
						  .machines_count = 1,
						  .own_mask = 1,
						  .owner = owner == 1,
					      });
		struct burst b = {0};
		burst_add(&b, &(struct command){.claims = 1}, 1)->type = MESSAGE_FETCH;
		burst_add(&b, &(struct command){.claims = 1}, 2);
		burst_add(&b, &(struct command){.claims = 2, .claims_bad = 1}, 3)->type =
		    MESSAGE_BLOCKS;
		burst_add(&b, &(struct command){.refused = 1}, 4)->type = MESSAGE_BLOCKS;
		burst_add(&b, &(struct command){0}, 5)->type = MESSAGE_BLOCKS;
		burst_run(rig, &b, 0);
		CU_ASSERT_EQUAL(rig->steps_count, 1);
		CU_ASSERT_EQUAL(rig->owned_count, owner == 1 ? 2 : 0);
		CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_SCREEN), owner == 1 ? 1 : 4);
		CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_PROOF), owner);
		if (owner == 1) {
			CU_ASSERT_EQUAL(rig->owned[0], 1);
			CU_ASSERT_EQUAL(rig->owned[1], 5);
		}
		rig_close(rig);
	}
}

static void
only_the_proven_are_stepped(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	burst_add(&b, &(struct command){.claims = 2}, 1);
	burst_add(&b, &(struct command){.claims = 3, .claims_bad = 1}, 2);
	burst_add(&b, &(struct command){.claims = 2, .claims_bad = 2, .refused = 1}, 3);
	burst_add(&b, &(struct command){.claims = 4, .claims_bad = 3, .optional = 1}, 4);
	burst_add(&b, &(struct command){.claims = 1}, 5);
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL_FATAL(rig->steps_count, 3);
	CU_ASSERT_EQUAL(rig->steps[0].seq, 1);
	CU_ASSERT_EQUAL(rig->steps[0].holds_false, 0);
	CU_ASSERT_EQUAL(rig->steps[1].seq, 4);
	CU_ASSERT_EQUAL(rig->steps[1].holds_false, 3);
	CU_ASSERT_EQUAL(rig->steps[2].seq, 5);
	CU_ASSERT_EQUAL(rig->steps[2].holds_false, 0);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_PROOF), 1);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_SCREEN), 1);
	/* One call for the burst; what was refused costs nothing. */
	CU_ASSERT_EQUAL(rig->proves, 1);
	CU_ASSERT_EQUAL(rig->shard->counters.claims, 10);
	rig_close(rig);
}

static void
claims_in_chunks(void)
{
	claims_bound = 3000;
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	for (uint64_t seq = 1; seq <= 5; seq++)
		burst_add(&b, &(struct command){.claims = 3000, .claims_bad = seq == 4}, seq);
	burst_add(&b, &(struct command){0}, 6);
	burst_run(rig, &b, 0);
	claims_bound = 4;
	CU_ASSERT_EQUAL_FATAL(rig->steps_count, 5);
	for (uint32_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(rig->steps[i].seq, i < 3 ? i + 1 : i + 2);
	CU_ASSERT_EQUAL(rig->proves, 3);
	CU_ASSERT_EQUAL(rig->proved_max, 6000);
	CU_ASSERT_EQUAL(rig->shard->counters.claims, 15000);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_PROOF), 1);
	rig_close(rig);
}

static void
one_message_may_fill_the_claims(void)
{
	claims_bound = CLAIMS_MAX;
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	burst_add(&b, &(struct command){.claims = CLAIMS_MAX}, 1);
	burst_add(&b, &(struct command){.claims = CLAIMS_MAX}, 2);
	burst_run(rig, &b, 0);
	claims_bound = 4;
	CU_ASSERT_EQUAL(rig->steps_count, 2);
	CU_ASSERT_EQUAL(rig->proves, 2);
	rig_close(rig);
}

static void
without_envelopes_messages_are_dropped(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	machine(rig, 0)->due_ns = 0;
	machine(rig, 0)->timeouts_left = 1;
	rig->io.envelopes_count = fake_machine.sends_per_step - 1;
	burst_add(&b, &(struct command){.to = 2, .sends = 1}, 1);
	burst_add(&b, &(struct command){0}, 2);
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL(rig->steps_count, 0);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_ROOM), 2);
	CU_ASSERT_EQUAL(rig->io.lent, fake_machine.sends_per_step - 1);
	/* The timer was not lost: it is stepped as soon as there is room. */
	CU_ASSERT_EQUAL(shard_deadline(rig->shard), 0);
	rig->io.envelopes_count++;
	burst_add(&b, &(struct command){.to = 2, .sends = 1}, 3);
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL_FATAL(rig->steps_count, 2);
	CU_ASSERT_EQUAL(rig->steps[0].seq, 3);
	CU_ASSERT_EQUAL(rig->steps[1].type, EVENT_TIMEOUT);
	CU_ASSERT_EQUAL(rig->io.frames_count, 1);
	rig_close(rig);
}

/* The pool shrinks and grows under load: no send is lost, none comes twice. */
static void
scarce_envelopes(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	uint64_t expected = 0;
	for (uint64_t round = 0; round < 60; round++) {
		rig->io.envelopes_count = (uint32_t)(round * 37 % 40);
		uint64_t steps = rig->shard->counters.messages;
		uint64_t dropped = drops(rig, SHARD_DROP_ROOM);
		for (uint64_t i = 0; i < 6; i++)
			burst_add(&b, &(struct command){.to = 2, .sends = 5}, round * 6 + i + 1);
		burst_run(rig, &b, round);
		steps = rig->shard->counters.messages - steps;
		CU_ASSERT_EQUAL(steps + drops(rig, SHARD_DROP_ROOM) - dropped, 6);
		expected += steps * 5;
		CU_ASSERT_EQUAL(rig->shard->counters.sends, expected);
	}
	CU_ASSERT(expected > 300);
	CU_ASSERT(drops(rig, SHARD_DROP_ROOM) > 30);
	CU_ASSERT_EQUAL(rig->io.frames_count, expected);
	CU_ASSERT_EQUAL(rig->sealed, expected);
	for (uint32_t i = 0; i < rig->io.frames_count; i++) {
		const struct message_header *h = (const void *)rig->io.frames[i].data;
		CU_ASSERT_EQUAL(h->seq, rig->steps[i / 5].seq * 100 + i % 5);
	}
	rig_close(rig);
}

static void
a_full_outbox_is_flushed_amid_the_burst(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	for (uint64_t seq = 1; seq <= SHARD_BURST_MAX; seq++)
		burst_add(&b, &(struct command){.to = 4, .sends = 8}, seq);
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL(rig->steps_count, SHARD_BURST_MAX);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_ROOM), 0);
	CU_ASSERT_EQUAL_FATAL(rig->io.frames_count, SHARD_BURST_MAX * 8);
	CU_ASSERT_EQUAL(rig->io.transmits, 2);
	for (uint32_t i = 0; i < rig->io.frames_count; i++) {
		const struct message_header *h = (const void *)rig->io.frames[i].data;
		CU_ASSERT_EQUAL(h->seq, (i / 8 + 1) * 100 + i % 8);
		CU_ASSERT_EQUAL(rig->io.frames[i].to, 4);
	}
	rig_close(rig);
}

static void
deliveries_and_completions_are_drained(void)
{
	struct rig *rig = rig_open(0, &(struct rig_options){.machines_count = 2, .own_mask = 1});
	struct burst b = {0};
	for (uint64_t seq = 0; seq < SHARD_BURST_MAX; seq++)
		burst_add(&b, &(struct command){.deliveries = 2, .completions = 3}, seq)->instance =
		    seq % 3 == 0;
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL(rig->steps_count, SHARD_BURST_MAX);
	CU_ASSERT_EQUAL_FATAL(rig->delivered_count, SHARD_BURST_MAX * 2);
	CU_ASSERT_EQUAL(rig->completed_count, SHARD_BURST_MAX * 3);
	CU_ASSERT_EQUAL(rig->drains, 2);
	for (uint32_t i = 0; i < rig->delivered_count; i++) {
		CU_ASSERT_EQUAL(rig->delivered[i], i / 2 * 10 + i % 2);
		CU_ASSERT_EQUAL(rig->instances[i], i / 2 % 3 == 0);
	}
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_ROOM), 0);
	rig_close(rig);
}

/* Others wait for it: it goes before what was decided is executed, and the shard's owner knows. */
static void
what_is_urgent_goes_first(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	burst_add(&b, &(struct command){.to = 2, .sends = 1, .deliveries = 1}, 1);
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL(rig->unsent, 1);
	CU_ASSERT_FALSE(rig->shard->urgent);
	burst_add(&b, &(struct command){.to = 2, .sends = 1, .deliveries = 1, .urgent = 1}, 2);
	burst_run(rig, &b, 1);
	CU_ASSERT_EQUAL(rig->unsent, 0);
	CU_ASSERT_TRUE(rig->shard->urgent);
	burst_run(rig, &b, 2);
	CU_ASSERT_FALSE(rig->shard->urgent);
	rig_close(rig);
}

/* ---- Large messages ----------------------------------------------------- */

static struct rig *
rig_open_large(uint16_t self)
{
	return rig_open(self, &(struct rig_options){
				  .self = self,
				  .machines_count = 1,
				  .own_mask = 1ull << self,
				  .message_size_max = MESSAGE_SIZE_MAX,
			      });
}

/* Carries what `from` sent to replica `index` over to `to`, except frame `lost`. */
static void
carry(struct rig *from, struct rig *to, uint64_t mask, uint64_t now_ns, uint32_t lost)
{
	struct burst b = {0};
	for (uint32_t i = 0; i < from->io.frames_count; i++) {
		struct fake_frame *frame = &from->io.frames[i];
		if ((frame->to & mask) == 0 || i == lost)
			continue;
		b.list[b.count++] = (struct datagram){.data = frame->data, .size = frame->size};
		frame->data = NULL;
		if (b.count == SHARD_BURST_MAX)
			burst_run(to, &b, now_ns);
	}
	burst_run(to, &b, now_ns);
	fake_io_clear(&from->io);
}

/* Bursts without input until nothing is left to send. */
static void
settle(struct rig *rig, uint64_t now_ns)
{
	struct burst b = {0};
	for (uint32_t i = 0; i < 100 && segmenter_pending(rig->shard->segmenter); i++) {
		CU_ASSERT_EQUAL(shard_deadline(rig->shard), now_ns);
		uint32_t before = rig->io.frames_count;
		CU_ASSERT(burst_run(rig, &b, now_ns) > 0);
		CU_ASSERT(rig->io.frames_count - before <= SHARD_SEGMENTS_MAX);
	}
	CU_ASSERT_FALSE(segmenter_pending(rig->shard->segmenter));
}

static void
large_messages_arrive(void)
{
	struct rig *a = rig_open_large(0);
	struct rig *b = rig_open_large(1);
	struct burst burst = {0};
	burst_add(&burst, &(struct command){.to = 2, .large_size = 19000}, 7);
	burst_add(&burst, &(struct command){.to = 2, .large_size = 600, .sends = 1}, 17);
	burst_run(a, &burst, 5);
	settle(a, 5);
	CU_ASSERT_EQUAL(a->io.larges, 2);
	CU_ASSERT(a->io.frames_count > 19000 / ENVELOPE_SIZE);
	carry(a, b, 2, 6, UINT32_MAX);
	CU_ASSERT_EQUAL_FATAL(b->steps_count, 3);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT(b->steps[i].body_right);
	CU_ASSERT_EQUAL(b->steps[0].seq, 1700);
	CU_ASSERT_EQUAL(b->steps[1].body_size, 600);
	CU_ASSERT_EQUAL(b->steps[2].body_size, 19000);
	CU_ASSERT_EQUAL(b->steps[2].seq, 8);
	CU_ASSERT_EQUAL(drops(b, SHARD_DROP_SEGMENT), 0);
	rig_close(a);
	rig_close(b);
}

static void
a_lost_segment_is_repaired(void)
{
	struct rig *a = rig_open_large(0);
	struct rig *b = rig_open_large(1);
	struct burst burst = {0};
	burst_add(&burst, &(struct command){.to = 2, .large_size = 9000}, 7);
	burst_run(a, &burst, 5);
	settle(a, 5);
	carry(a, b, 2, 5, 4);
	CU_ASSERT_EQUAL(b->steps_count, 0);
	uint64_t now_ns = shard_deadline(b->shard);
	CU_ASSERT_FATAL(now_ns != TIME_NEVER);
	burst_run(b, &burst, now_ns);
	CU_ASSERT_EQUAL(b->io.frames_count, 1);
	carry(b, a, 1, now_ns, UINT32_MAX);
	settle(a, now_ns);
	CU_ASSERT_EQUAL(a->io.frames_count, 1);
	carry(a, b, 2, now_ns, UINT32_MAX);
	CU_ASSERT_EQUAL_FATAL(b->steps_count, 1);
	CU_ASSERT(b->steps[0].body_right);
	CU_ASSERT_EQUAL(b->steps[0].body_size, 9000);
	rig_close(a);
	rig_close(b);
}

/* To oneself and to another: whole in the next burst here, in segments there. */
static void
large_to_oneself_and_others(void)
{
	struct rig *a = rig_open_large(0);
	struct rig *b = rig_open_large(1);
	struct burst burst = {0};
	burst_add(&burst, &(struct command){.to = 3, .large_size = 5000}, 7);
	burst_run(a, &burst, 5);
	CU_ASSERT_EQUAL(a->steps_count, 1);
	CU_ASSERT_EQUAL(shard_deadline(a->shard), 5);
	burst_run(a, &burst, 5);
	CU_ASSERT_EQUAL_FATAL(a->steps_count, 2);
	CU_ASSERT(a->steps[1].body_right);
	CU_ASSERT_EQUAL(a->steps[1].body_size, 5000);
	settle(a, 5);
	for (uint32_t i = 0; i < a->io.frames_count; i++)
		CU_ASSERT_EQUAL(a->io.frames[i].to, 2);
	carry(a, b, 2, 5, UINT32_MAX);
	CU_ASSERT_EQUAL_FATAL(b->steps_count, 1);
	CU_ASSERT(b->steps[0].body_right);
	CU_ASSERT_EQUAL(shard_deadline(a->shard), TIME_NEVER);
	rig_close(a);
	rig_close(b);
}

/* What is read from the burst before is not overwritten by what steps send now. */
static void
loops_hold_still(void)
{
	struct rig *rig = rig_open_large(0);
	struct burst b = {0};
	for (uint64_t i = 0; i < SHARD_LOOPS_MAX; i++)
		burst_add(&b, &(struct command){.to = 1, .large_size = 3000, .hops = 9}, 100 * i);
	burst_run(rig, &b, 5);
	for (uint32_t i = 0; i < 11; i++)
		burst_run(rig, &b, 5);
	CU_ASSERT_EQUAL_FATAL(rig->steps_count, SHARD_LOOPS_MAX * 11);
	for (uint32_t i = 0; i < rig->steps_count; i++) {
		CU_ASSERT(rig->steps[i].body_right);
		CU_ASSERT_EQUAL(rig->steps[i].seq, i % SHARD_LOOPS_MAX * 100 + i / SHARD_LOOPS_MAX);
	}
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_LOOP), 0);
	CU_ASSERT_EQUAL(rig->io.frames_count, 0);
	CU_ASSERT_EQUAL(shard_deadline(rig->shard), TIME_NEVER);
	rig_close(rig);
}

/* A message is our own where the io or the shard itself looped it, whatever its bytes are. */
static void
no_byte_makes_a_message_our_own(void)
{
	struct rig *rig = rig_open_replica();
	struct burst b = {0};
	/* Our sender's number, our instance, proofs of each kind: as we would send it. */
	for (uint64_t seq = 1; seq <= 6; seq++) {
		struct message_header *h = burst_add(&b, &(struct command){0}, seq);
		h->sender = rig->shard->stamp.sender;
		h->proof = seq == 4 ? PROOF_MAC : PROOF_NONE;
		b.list[b.count - 1].own = seq % 3 == 0;
	}
	burst_run(rig, &b, 0);
	CU_ASSERT_EQUAL_FATAL(rig->steps_count, 6);
	for (uint32_t i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(rig->steps[i].own, (i + 1) % 3 == 0);
	rig_close(rig);
}

/* Each byte of the header and behind it, with each value: none is read as `own`. */
static void
own_is_not_on_the_wire(void)
{
	_Alignas(8) uint8_t bytes[sizeof(struct message_header) + 2 * MAC_SIZE];
	struct message_scope scope = {.cluster = CLUSTER, .replicas_count = REPLICAS};
	uint32_t parsed = 0;
	for (uint32_t at = 0; at < sizeof(bytes); at++) {
		for (uint32_t value = 0; value < 256; value++) {
			memset(bytes, 0xff, sizeof(bytes));
			*(struct message_header *)(void *)bytes = (struct message_header){
			    .size = sizeof(bytes),
			    .cluster = CLUSTER,
			    .type = MESSAGE_PROTOCOL,
			    .version = MESSAGE_VERSION,
			};
			bytes[at] = (uint8_t)value;
			struct message m;
			memset(&m, 0xff, sizeof(m));
			if (message_parse(&scope, bytes, sizeof(bytes), &m) != PARSE_OK)
				continue;
			parsed++;
			CU_ASSERT_FALSE(m.own);
		}
	}
	CU_ASSERT(parsed > 10000);
}

/* Large ones: sealed here they are our own; relayed, or come in segments, they are not. */
static void
large_messages_of_our_own(void)
{
	struct rig *a = rig_open_large(0);
	struct rig *b = rig_open_large(1);
	struct burst burst = {0};
	struct command sealed = {.to = 3, .large_size = 5000};
	struct command relayed = {.to = 3, .large_size = 6000, .flags = SEND_SEALED};
	burst_add(&burst, &sealed, 7);
	burst_add(&burst, &relayed, 17);
	burst_run(a, &burst, 5);
	burst_run(a, &burst, 5);
	CU_ASSERT_EQUAL_FATAL(a->steps_count, 4);
	CU_ASSERT_FALSE(a->steps[0].own);
	CU_ASSERT_EQUAL(a->steps[2].body_size, 5000);
	CU_ASSERT_TRUE(a->steps[2].own);
	CU_ASSERT_EQUAL(a->steps[3].body_size, 6000);
	CU_ASSERT_FALSE(a->steps[3].own);
	settle(a, 5);
	for (uint32_t i = 0; i < a->io.frames_count; i++)
		((struct message_header *)(void *)a->io.frames[i].data)->sender = 1;
	carry(a, b, 2, 5, UINT32_MAX);
	CU_ASSERT_EQUAL(b->steps_count, 2);
	for (uint32_t i = 0; i < b->steps_count; i++)
		CU_ASSERT_FALSE(b->steps[i].own);
	rig_close(a);
	rig_close(b);
}

static void
loops_are_bounded(void)
{
	struct rig *rig = rig_open_large(0);
	struct burst b = {0};
	for (uint64_t i = 0; i < SHARD_LOOPS_MAX + 5; i++)
		burst_add(&b, &(struct command){.to = 1, .large_size = 3000}, 100 * i);
	burst_run(rig, &b, 5);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_LOOP), 5);
	for (uint64_t i = 0; i < SHARD_BURST_MAX; i++)
		burst_add(&b, &(struct command){0}, 9000 + i);
	burst_run(rig, &b, 5);
	CU_ASSERT_EQUAL(rig->steps_count, SHARD_LOOPS_MAX + 5 + SHARD_LOOPS_MAX + SHARD_BURST_MAX);
	rig_close(rig);
}

/* All large buffers are on their way: what may need one is dropped, not lost half. */
static void
no_large_buffer_no_step(void)
{
	struct rig *rig = rig_open_large(0);
	struct burst b = {0};
	for (uint64_t i = 0; i < OUTBOX_LARGE_MAX + 3; i++)
		burst_add(&b, &(struct command){.to = 2, .large_size = MESSAGE_SIZE_MAX - 64}, i);
	burst_run(rig, &b, 5);
	CU_ASSERT_EQUAL(rig->steps_count, OUTBOX_LARGE_MAX);
	CU_ASSERT_EQUAL(drops(rig, SHARD_DROP_ROOM), 3);
	settle(rig, 5);
	burst_add(&b, &(struct command){.to = 2, .large_size = 1000}, 20);
	burst_run(rig, &b, 5);
	CU_ASSERT_EQUAL(rig->steps_count, OUTBOX_LARGE_MAX + 1);
	rig_close(rig);
}

/* A whole message that is itself a segment, or of another cluster, goes no further. */
static void
what_was_assembled_is_judged(void)
{
	struct rig *a = rig_open_large(0);
	struct rig *b = rig_open_large(1);
	struct burst burst = {0};
	for (uint32_t round = 0; round < 3; round++) {
		burst_add(&burst, &(struct command){.to = 2, .large_size = 1000}, 7);
		burst_run(a, &burst, 5);
		settle(a, 5);
		/* The whole message's header is in the first segment. */
		struct message_header *whole =
		    (struct message_header *)(void *)(a->io.frames[0].data + 64);
		if (round == 0)
			whole->type = MESSAGE_SEGMENT;
		if (round == 1)
			whole->cluster++;
		carry(a, b, 2, 5, UINT32_MAX);
	}
	CU_ASSERT_EQUAL(b->steps_count, 1);
	CU_ASSERT_EQUAL(drops(b, SHARD_DROP_SEGMENT), 1);
	CU_ASSERT_EQUAL(drops(b, SHARD_DROP_PARSE + PARSE_CLUSTER), 1);
	rig_close(a);
	rig_close(b);
}

static void
drops_have_names(void)
{
	for (uint32_t i = 0; i < SHARD_DROPS_COUNT; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(shard_drop_name(i));
		for (uint32_t other = 0; other < i; other++)
			CU_ASSERT_STRING_NOT_EQUAL(shard_drop_name(i), shard_drop_name(other));
	}
	CU_ASSERT_PTR_NULL(shard_drop_name(SHARD_DROPS_COUNT));
}

static const struct unit_story stories[] = {
    {"messages before timers", messages_before_timers},
    {"timers of a burst are bounded", timers_of_a_burst_are_bounded},
    {"bad datagrams are counted", bad_datagrams_are_counted},
    {"a client has one machine", a_client_has_one_machine},
    {"the owner's messages", the_owners_messages},
    {"only the proven are stepped", only_the_proven_are_stepped},
    {"claims in chunks", claims_in_chunks},
    {"one message may fill the claims", one_message_may_fill_the_claims},
    {"without envelopes messages are dropped", without_envelopes_messages_are_dropped},
    {"scarce envelopes", scarce_envelopes},
    {"a full outbox is flushed amid the burst", a_full_outbox_is_flushed_amid_the_burst},
    {"deliveries and completions are drained", deliveries_and_completions_are_drained},
    {"what is urgent goes first", what_is_urgent_goes_first},
    {"large messages arrive", large_messages_arrive},
    {"a lost segment is repaired", a_lost_segment_is_repaired},
    {"large to oneself and others", large_to_oneself_and_others},
    {"loops hold still", loops_hold_still},
    {"no byte makes a message our own", no_byte_makes_a_message_our_own},
    {"own is not on the wire", own_is_not_on_the_wire},
    {"large messages of our own", large_messages_of_our_own},
    {"loops are bounded", loops_are_bounded},
    {"no large buffer, no step", no_large_buffer_no_step},
    {"what was assembled is judged", what_was_assembled_is_judged},
    {"drops have names", drops_have_names},
};

UNIT_MAIN("shard", stories)
