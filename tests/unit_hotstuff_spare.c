/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a HotStuff replica may leave a block unproven, when it proves it after all, when
 * a leader puts its block off, and whom clients are told to ask: what follows from the
 * state alone, state by state. n = 4, f = 1, q = 3.
 */
#include "tests/unit.h"

#include "protocols/hotstuff/replica.h"

enum {
	VIEW = 9,
	TIMEOUT_NS = 16 * 1000 * 1000,
	TICK_NS = TIMEOUT_NS / HOTSTUFF_TICKS_PER_TIMEOUT,
	NOW_NS = 5 * TIMEOUT_NS,
	BATCH_COUNT = 10,
};

static struct hotstuff *r;
static struct outbox out;
static uint64_t envelope[ENVELOPE_SIZE_MIN / 8];
static struct proposal proposal;

/* `turn` places after the leader of VIEW, in an instance that has followed the chain so far. */
static void
open_at(uint32_t turn, uint16_t instances)
{
	struct protocol_config config = {
	    .replicas_count = 4,
	    .faults = 1,
	    .instances_count = instances,
	    .slots_count = 4,
	    .batch_adaptive = true,
	    .protocol_proof = PROOF_VECTOR,
	    .request_proof = PROOF_VECTOR,
	    .reply_proof = PROOF_MAC,
	    .batch_count_max = BATCH_COUNT,
	    .batch_size_max = 4096,
	    .request_size_max = 256,
	    .result_size_max = 64,
	    .window = 8,
	    .checkpoint_interval = 16,
	    .view_timeout_ns = TIMEOUT_NS,
	};
	config.self = (uint16_t)((bft_primary(&config, 0, VIEW) + turn) % 4);
	void *memory = aligned_alloc(64, hotstuff_replica.size(&config));
	CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
	memset(memory, 0, hotstuff_replica.size(&config));
	hotstuff_replica.init(memory, &config);
	r = memory;
	r->me.now_ns = NOW_NS;
	r->view = VIEW;
	r->high.head = (struct qc_head){.view = VIEW - 1, .height = 6, .digest32 = {6}};
	r->pace_ns = TICK_NS / 8;
	r->timer_ns = NOW_NS - 100;
	proposal = (struct proposal){.head = {.view = VIEW, .height = 7}};
	memset(&out, 0, sizeof(out));
	out.sends[0] = (struct send){
	    .capacity = sizeof(envelope), .header = (struct message_header *)(void *)envelope};
	out.sends_ready = 1;
}

static void
shut(void)
{
	free(r);
}

static bool
may_wait(void)
{
	return spare_may_wait(r, proposal.head.view, &proposal);
}

/* ---- Spare replicas ------------------------------------------------------------------ */

static void
the_last_of_a_view_is_spare(void)
{
	for (uint32_t turn = 0; turn < 4; turn++) {
		open_at(turn, 1);
		CU_ASSERT_EQUAL(may_wait(), turn == 3);
		shut();
	}
}

static void
nobody_is_spare_where_views_fail(void)
{
	open_at(3, 1);
	r->suspects = 1;
	CU_ASSERT_FALSE(may_wait());
	r->suspects = 0;
	r->backoff = 1;
	CU_ASSERT_FALSE(may_wait());
	r->backoff = 0;
	proposal.head.has_tc = 1;
	CU_ASSERT_FALSE(may_wait());
	proposal.head.has_tc = 0;
	r->spare.needed = VIEW;
	CU_ASSERT_FALSE(may_wait());
	r->spare.needed = VIEW - 1;
	CU_ASSERT_TRUE(may_wait());
	shut();
}

/* With n >= 7 one is spare in views that follow each other: it keeps the block before, then. */
static void
one_block_is_unproven_at_a_time(void)
{
	open_at(3, 1);
	r->spare.view = VIEW - 1;
	CU_ASSERT_TRUE(may_wait());
	r->spare.view = VIEW;
	CU_ASSERT_FALSE(may_wait());
	shut();
}

/* What has no proof can claim any height, and would stay where the log ends for long. */
static void
an_unproven_block_is_no_higher_than_its_view_allows(void)
{
	open_at(3, 1);
	proposal.head.height = r->high.head.height + 2;
	CU_ASSERT_TRUE(may_wait());
	proposal.head.height++;
	CU_ASSERT_FALSE(may_wait());
	shut();
}

static void
block_keep_unproven(void)
{
	static struct message_header header = {.view = VIEW, .seq = 7, .digest = {7}};
	static uint64_t body[64];
	struct message m = {.header = &header, .body = (void *)body, .body_size = sizeof(body)};
	proposal.batch = (const uint8_t *)body;
	struct block *b = tree_add(&r->tree, &m, &proposal);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	spare_wait(r, b);
	CU_ASSERT_TRUE(b->unproven);
}

/* A burst may have no room for what is sent to oneself: it is sent again, a tick later. */
static void
the_proof_is_asked_for_until_it_is_there(void)
{
	open_at(3, 1);
	block_keep_unproven();
	CU_ASSERT_EQUAL(spare_deadline(r), NOW_NS + 2 * r->pace_ns);
	for (uint32_t i = 0; i < 3; i++) {
		r->me.now_ns = spare_deadline(r);
		out.sends_count = 0;
		spare_prove(r, &out);
		CU_ASSERT_EQUAL(out.sends_count, 1);
		CU_ASSERT_EQUAL(out.sends[0].header->type, HOTSTUFF_FETCH);
		CU_ASSERT_EQUAL(out.sends[0].to, replica_bit(r->me.config.self));
		CU_ASSERT_EQUAL(spare_deadline(r), r->me.now_ns + TICK_NS);
	}
	r->high.head.view = VIEW;
	CU_ASSERT_EQUAL(spare_deadline(r), TIME_NEVER);
	shut();
}

/* ---- Leaders that are ahead of siblings ---------------------------------------------- */

static void
lead(uint16_t instances)
{
	open_at(0, instances);
	memcpy(r->tip32, r->high.head.digest32, sizeof(r->tip32));
	r->filled = 1;
	r->committed = 4;
	r->delivered = 4;
	r->executed = 3;
	r->frontier = 4;
}

static void
who_is_ahead_of_siblings_puts_its_block_off(void)
{
	lead(2);
	uint64_t put_off_ns = NOW_NS - 100 + TICK_NS / HOTSTUFF_LEAD_PART;
	CU_ASSERT_EQUAL(propose_deadline(r), put_off_ns);
	/* One that is full goes at once. */
	r->requests.pool.unordered = BATCH_COUNT;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->requests.pool.unordered = BATCH_COUNT - 1;
	CU_ASSERT_EQUAL(propose_deadline(r), put_off_ns);
	/* Siblings have come to the same height, ... */
	r->executed = 4;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	/* ... or wait for this instance. */
	r->executed = 3;
	r->frontier = 5;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
}

/* Beside siblings, with clients enough for several full blocks: the next clump is waited for. */
static void
many_clients_requests_are_waited_for(void)
{
	lead(2);
	r->executed = 4;
	r->requests.crowd = 6 * BATCH_COUNT - 1;
	r->requests.pool.unordered = BATCH_COUNT - 1;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->requests.crowd++;
	CU_ASSERT_EQUAL(propose_deadline(r), r->timer_ns + 2 * TICK_NS / 32);
	r->requests.pool.unordered = BATCH_COUNT;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	/* An empty block, too, while others have requests that will be answered. */
	r->requests.pool.unordered = 0;
	CU_ASSERT_EQUAL(propose_deadline(r), r->timer_ns + 2 * TICK_NS / 32);
	r->filled = 0;
	r->frontier = 5;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->filled = 1;
	r->backoff = 1;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
	/* The more instances there are, the longer views take; but others' timers run. */
	lead(40);
	r->executed = 4;
	r->requests.crowd = 6 * BATCH_COUNT;
	CU_ASSERT_EQUAL(propose_deadline(r), r->timer_ns + TICK_NS / 2);
	shut();
	lead(1);
	r->requests.crowd = 6 * BATCH_COUNT;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
}

static void
nothing_is_put_off_where_views_fail_or_siblings_are_none(void)
{
	lead(1);
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
	lead(2);
	r->suspects = 1;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->suspects = 0;
	r->backoff = 1;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->backoff = 0;
	r->high.head.view--;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
}

/* ---- Blocks that are not full -------------------------------------------------------- */

/* Three requests of a crowd of five have come, the last of them just now; replies are signed. */
static void
lead_with_requests(void)
{
	lead(1);
	r->me.config.reply_proof = PROOF_SIGNATURE;
	r->requests.crowd = 5;
	r->requests.pool.unordered = 3;
	r->requests.pool.last = 1;
	r->requests.pool.cells[0].arrived_ns = NOW_NS;
}

static void
requests_wait_for_others_where_replies_are_signed(void)
{
	lead_with_requests();
	uint64_t last_ns = NOW_NS - 100 + TICK_NS / HOTSTUFF_LEAD_PART;
	CU_ASSERT_EQUAL(propose_deadline(r), NOW_NS + r->pace_ns / 4);
	/* No longer than others' timers allow, however slowly they come. */
	r->pace_ns = TICK_NS;
	r->requests.pool.cells[0].arrived_ns = NOW_NS + TICK_NS / 8;
	CU_ASSERT_EQUAL(propose_deadline(r), last_ns);
	/* All have asked; or there is no room for more. */
	r->requests.pool.unordered = 5;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->requests.crowd = 2 * BATCH_COUNT;
	CU_ASSERT_EQUAL(propose_deadline(r), last_ns);
	r->requests.pool.unordered = BATCH_COUNT;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
	/* Where replies cost little, their clients ask all at once. */
	lead_with_requests();
	r->me.config.reply_proof = PROOF_MAC;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
}

static void
requests_do_not_wait_where_views_fail(void)
{
	lead_with_requests();
	r->suspects = 1;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->suspects = 0;
	r->backoff = 1;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	r->backoff = 0;
	CU_ASSERT_NOT_EQUAL(propose_deadline(r), 0);
	r->high.head.view--;
	CU_ASSERT_EQUAL(propose_deadline(r), 0);
	shut();
}

/* The next block is put off, so a spare replica waits for it so much longer. */
static void
spare_replicas_wait_for_who_is_ahead(void)
{
	open_at(3, 2);
	block_keep_unproven();
	uint64_t usual_ns = NOW_NS + 2 * r->pace_ns;
	CU_ASSERT_EQUAL(spare_deadline(r), usual_ns);
	r->committed = 4;
	CU_ASSERT_EQUAL(spare_deadline(r), usual_ns + TICK_NS / HOTSTUFF_LEAD_PART);
	shut();
}

/* ---- Whom clients ask ------------------------------------------------------------------ */

static void
answers_go_out(uint32_t count)
{
	static struct result results[2 * BATCH_COUNT];
	struct executed e = {.results = results, .results_count = count};
	for (uint32_t i = 0; i < count; i++)
		results[i] = (struct result){.flags = RESULT_STALE};
	apply_on_executed(r, &e, &out);
}

/* Those that are answered together do not all ask the same leader, whose block is full soon. */
static void
clients_are_spread_over_leaders(void)
{
	open_at(0, 2);
	uint64_t first = propose_hint(r);
	answers_go_out(BATCH_COUNT);
	CU_ASSERT_EQUAL(r->me.view, first);
	answers_go_out(BATCH_COUNT / 2);
	CU_ASSERT_EQUAL(r->me.view, first + 1);
	answers_go_out(BATCH_COUNT / 2);
	CU_ASSERT_EQUAL(r->me.view, first + 1);
	/* No further than one ahead, however many they are. */
	answers_go_out(BATCH_COUNT);
	CU_ASSERT_EQUAL(r->me.view, first + 1);
	shut();
	/* Where nothing waits for siblings, a view executes no more than a block. */
	open_at(0, 1);
	first = propose_hint(r);
	answers_go_out(BATCH_COUNT);
	answers_go_out(BATCH_COUNT);
	CU_ASSERT_EQUAL(r->me.view, first);
	shut();
}

static const struct unit_story stories[] = {
    {"the last of a view is spare", the_last_of_a_view_is_spare},
    {"nobody is spare where views fail", nobody_is_spare_where_views_fail},
    {"one block is unproven at a time", one_block_is_unproven_at_a_time},
    {"an unproven block is no higher than its view allows",
	an_unproven_block_is_no_higher_than_its_view_allows},
    {"the proof is asked for until it is there", the_proof_is_asked_for_until_it_is_there},
    {"who is ahead of siblings puts its block off", who_is_ahead_of_siblings_puts_its_block_off},
    {"many clients' requests are waited for", many_clients_requests_are_waited_for},
    {"nothing is put off where views fail, or siblings are none",
	nothing_is_put_off_where_views_fail_or_siblings_are_none},
    {"spare replicas wait for who is ahead", spare_replicas_wait_for_who_is_ahead},
    {"requests wait for others where replies are signed",
	requests_wait_for_others_where_replies_are_signed},
    {"requests do not wait where views fail", requests_do_not_wait_where_views_fail},
    {"clients are spread over leaders", clients_are_spread_over_leaders},
};

UNIT_MAIN("hotstuff_spare", stories)
