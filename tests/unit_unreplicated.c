/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/unreplicated: the replica by itself, step by step, then with its client
 * over a network that loses and repeats.
 */
#include "tests/unreplicated_rig.h"

/* Expects one delivered batch, the only one of the step, of these (slot, timestamp). */
static void
expect_batch(uint64_t seq, uint32_t count, const uint64_t (*requests)[2])
{
	const struct message_scope scope = {CLUSTER, 1, PROTOCOL};
	CU_ASSERT_EQUAL_FATAL(replica->out.deliveries_count, 1);
	const struct delivery *d = &replica->out.deliveries[0];
	CU_ASSERT_EQUAL(d->kind, DELIVERY_BATCH);
	CU_ASSERT_EQUAL(d->seq, seq);
	CU_ASSERT_PTR_NULL(d->valid);
	struct batch_cursor cursor = batch_cursor(d->batch, d->batch_size);
	for (uint32_t i = 0; i < count; i++) {
		struct message m;
		CU_ASSERT_FATAL(batch_next(&cursor, &scope, &m));
		CU_ASSERT_EQUAL(m.header->sender, requests[i][0]);
		CU_ASSERT_EQUAL(m.header->seq, requests[i][1]);
		for (uint32_t at = 0; at < m.body_size; at++)
			CU_ASSERT_EQUAL(m.body[at], (uint8_t)requests[i][1]);
	}
	CU_ASSERT(batch_cursor_done(&cursor));
}

static void
expect_recall(uint16_t slot, uint64_t timestamp)
{
	CU_ASSERT_EQUAL_FATAL(replica->out.deliveries_count, 1);
	const struct delivery *d = &replica->out.deliveries[0];
	CU_ASSERT_EQUAL(d->kind, DELIVERY_RECALL);
	CU_ASSERT_EQUAL(d->client, slot);
	CU_ASSERT_EQUAL(d->timestamp, timestamp);
}

static void
expect_reply(uint32_t index, uint16_t slot, uint64_t timestamp, uint8_t type)
{
	CU_ASSERT_FATAL(index < replica->out.sends_count);
	const struct send *s = &replica->out.sends[index];
	struct message m = parsed(s->header);
	CU_ASSERT_EQUAL(s->to, 0);
	CU_ASSERT_EQUAL(s->client, slot);
	CU_ASSERT_EQUAL(m.header->type, type);
	CU_ASSERT_EQUAL(m.header->proof, PROOF_MAC);
	CU_ASSERT_EQUAL(m.header->instance, slot);
	CU_ASSERT_EQUAL(m.header->sender, 0);
	CU_ASSERT_EQUAL(m.header->view, 0);
	CU_ASSERT_EQUAL(m.header->seq, timestamp);
	CU_ASSERT_EQUAL(m.body_size, type == MESSAGE_REPLY ? 4 : 0);
	CU_ASSERT_EQUAL(memcmp(m.body, "done", m.body_size), 0);
}

static void
request_delivery_reply(void)
{
	replica_open(4);
	CU_ASSERT_EQUAL(replica_deadline(), TIME_NEVER);
	CU_ASSERT_EQUAL(request(3, 7, 20), VERDICT_STEP);
	expect_nothing(replica);
	CU_ASSERT_EQUAL(request(5, 1, 0), VERDICT_STEP);
	expect_nothing(replica);
	CU_ASSERT_EQUAL(replica_deadline(), 0);
	timeout(replica, 0, 0);
	expect_batch(1, 2, (const uint64_t[][2]){{3, 7}, {5, 1}});
	CU_ASSERT_EQUAL(replica_deadline(), TIME_NEVER);
	struct result results[] = {result_of(3, 7, 0), result_of(5, 1, 0)};
	executed(1, results, 2, true);
	CU_ASSERT_EQUAL(replica->out.sends_count, 2);
	expect_reply(0, 3, 7, MESSAGE_REPLY);
	expect_reply(1, 5, 1, MESSAGE_REPLY);
	timeout(replica, 0, 0);
	expect_nothing(replica);
	rig_close(replica);
}

static void
duplicates(void)
{
	replica_open(1);
	request(3, 7, 20);
	expect_batch(1, 1, (const uint64_t[][2]){{3, 7}});
	/* In flight: dropped. */
	CU_ASSERT_EQUAL(request(3, 7, 20), VERDICT_STEP);
	expect_nothing(replica);
	executed_one(1, 3, 7);
	/* Executed: the cached reply is asked for, and sent again. */
	request(3, 7, 20);
	expect_recall(3, 7);
	struct result cached = result_of(3, 7, RESULT_DUPLICATE);
	executed(0, &cached, 1, true);
	expect_reply(0, 3, 7, MESSAGE_REPLY);
	/* Older, and never: dropped. */
	request(3, 6, 20);
	expect_nothing(replica);
	request(3, 0, 20);
	expect_nothing(replica);
	/* The batches' numbers went on as if nothing had happened. */
	request(3, 8, 20);
	expect_batch(2, 1, (const uint64_t[][2]){{3, 8}});
	rig_close(replica);
}

static void
results_without_reply(void)
{
	replica_open(1);
	request(3, 7, 20);
	struct result results[] = {
	    result_of(3, 7, RESULT_STALE), result_of(4, 2, RESULT_DUPLICATE | RESULT_LOST)};
	executed(1, results, 2, true);
	CU_ASSERT_EQUAL(replica->out.sends_count, 1);
	expect_reply(0, 4, 2, MESSAGE_REPLY_LOST);
	rig_close(replica);
}

static void
full_batches_go_at_once(void)
{
	replica_open(4);
	for (uint16_t slot = 0; slot < 3; slot++) {
		request(slot, 1, 100);
		expect_nothing(replica);
	}
	request(3, 1, 100);
	expect_batch(1, 4, (const uint64_t[][2]){{0, 1}, {1, 1}, {2, 1}, {3, 1}});
	CU_ASSERT_EQUAL(replica_deadline(), TIME_NEVER);
	rig_close(replica);
}

/* A request that no longer fits closes the batch and stands first in the next. */
static void
batches_are_bounded_in_bytes(void)
{
	struct protocol_config config = defaults;
	config.batch_count_max = 100;
	config.batch_size_max = 2 * 184;
	rig_open(replica, &unreplicated_replica, &config);
	request(0, 1, 100);
	request(1, 1, 100);
	expect_nothing(replica);
	request(2, 1, 100);
	expect_batch(1, 2, (const uint64_t[][2]){{0, 1}, {1, 1}});
	timeout(replica, 0, 0);
	expect_batch(2, 1, (const uint64_t[][2]){{2, 1}});
	rig_close(replica);
}

static void
full_window_withdraws(void)
{
	replica_open(1);
	request(0, 1, 100);
	const uint8_t *first = replica->out.deliveries[0].batch;
	uint8_t before[REQUEST_SIZE_MAX];
	memcpy(before, first, sizeof(before));
	request(1, 1, 100);
	expect_batch(2, 1, (const uint64_t[][2]){{1, 1}});
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(request(2, 1, 100), VERDICT_STEP);
		expect_nothing(replica);
		CU_ASSERT_EQUAL(replica_deadline(), TIME_NEVER);
		timeout(replica, 0, 100);
		expect_nothing(replica);
	}
	CU_ASSERT_EQUAL(memcmp(before, first, sizeof(before)), 0);
	/* Part of the batch is executed: its memory is still the executor's. */
	struct result result = result_of(0, 1, 0);
	executed(1, &result, 1, false);
	expect_reply(0, 0, 1, MESSAGE_REPLY);
	request(2, 1, 100);
	expect_nothing(replica);
	executed(1, NULL, 0, true);
	expect_nothing(replica);
	/* The retransmission is let in. */
	request(2, 1, 100);
	expect_batch(3, 1, (const uint64_t[][2]){{2, 1}});
	CU_ASSERT_PTR_EQUAL(replica->out.deliveries[0].batch, first);
	rig_close(replica);
}

static void
screened_out_by_the_replica(void)
{
	struct protocol_config config = defaults;
	config.instances_count = 2;
	config.instance = 1;
	rig_open(replica, &unreplicated_replica, &config);
	CU_ASSERT_EQUAL(request(3, 1, 100), VERDICT_STEP);
	CU_ASSERT_EQUAL(replica->claims.count, 2);
	CU_ASSERT_EQUAL(replica->claims.list[0].kind, CLAIM_DIGEST);
	CU_ASSERT_EQUAL(replica->claims.list[1].kind, CLAIM_MAC);
	CU_ASSERT_EQUAL(replica->claims.list[1].key, KEY_CLIENT + 3);
	CU_ASSERT_EQUAL(request(3, 1, 101), VERDICT_DROP); /* larger than requests may be */
	CU_ASSERT_EQUAL(request(2, 1, 100), VERDICT_DROP); /* the other instance's client */
	CU_ASSERT_EQUAL(request(SLOTS - 1, 1, 100), VERDICT_STEP);
	CU_ASSERT_EQUAL(request(SLOTS + 1, 1, 100), VERDICT_DROP);
	CU_ASSERT_EQUAL(request(UINT16_MAX, 1, 100), VERDICT_DROP);
	for (uint32_t type = 0; type < 32; type++) {
		struct message_header *h = incoming(replica, (uint8_t)type, PROOF_MAC, 8);
		h->sender = 1;
		h->seq = 100 + type;
		CU_ASSERT_EQUAL(
		    arrive(replica, 0), type == MESSAGE_REQUEST ? VERDICT_STEP : VERDICT_DROP);
	}
	for (uint8_t proof = 0; proof <= PROOF_MERKLE + MERKLE_DEPTH_MAX; proof++) {
		if (proof_size(proof, 1) == UINT32_MAX)
			continue;
		struct message_header *h = incoming(replica, MESSAGE_REQUEST, proof, 8);
		h->sender = 5;
		h->seq = 100 + proof;
		CU_ASSERT_EQUAL(
		    arrive(replica, 0), proof == PROOF_MAC ? VERDICT_STEP : VERDICT_DROP);
	}
	rig_close(replica);
}

static void
one_clients_last_timestamp(void)
{
	replica_open(1);
	request(3, UINT64_MAX, 20);
	expect_batch(1, 1, (const uint64_t[][2]){{3, UINT64_MAX}});
	executed_one(1, 3, UINT64_MAX);
	request(3, UINT64_MAX, 20);
	expect_recall(3, UINT64_MAX);
	uint64_t seq = 1;
	for (uint16_t slot = 0; slot < SLOTS; slot++) {
		request(slot, 1, 20);
		if (slot == 3) {
			expect_nothing(replica);
			continue;
		}
		expect_batch(++seq, 1, (const uint64_t[][2]){{slot, 1}});
		executed_one(seq, slot, 1);
		expect_reply(0, slot, 1, MESSAGE_REPLY);
	}
	rig_close(replica);
}

static void
idle_instances_fill_their_slot(void)
{
	replica_open(4);
	timeout(replica, 0, 0);
	expect_nothing(replica);
	timeout(replica, 0, 1);
	expect_batch(1, 0, NULL);
	CU_ASSERT_EQUAL(replica->out.deliveries[0].batch_size, 0);
	timeout(replica, 0, 1);
	expect_nothing(replica);
	timeout(replica, 0, 2);
	expect_batch(2, 0, NULL);
	timeout(replica, 0, 3); /* the window is full */
	expect_nothing(replica);
	executed(1, NULL, 0, true);
	timeout(replica, 0, 3);
	expect_batch(3, 0, NULL);
	rig_close(replica);
}

/* ---- Both, over a bad network ------------------------------------------- */

enum { WIRE_MAX = 64 };

struct wire {
	uint8_t data[WIRE_MAX][ENVELOPE_SIZE];
	uint32_t count;
};

struct world {
	uint64_t seed;
	uint64_t now_ns;
	struct wire to_replica;
	struct wire to_client;
	struct delivery queue[WINDOW];
	uint32_t queue_count;
	uint64_t executed[SLOTS]; /* the session table: each slot's last */
	uint64_t completed[SLOTS];
	uint64_t submitted[SLOTS];
};

static struct world world;

/* Some are lost, some come twice, and none waits in line. */
static void
wire_put(struct wire *wire, const struct outbox *out)
{
	for (uint32_t i = 0; i < out->sends_count; i++) {
		uint32_t copies = toy_below(&world.seed, 4);
		for (; copies > 0 && wire->count < WIRE_MAX; copies--)
			memcpy(wire->data[wire->count++], out->sends[i].header,
			    out->sends[i].header->size);
	}
}

static bool
wire_take(struct wire *wire, struct rig *rig)
{
	if (wire->count == 0)
		return false;
	uint32_t index = toy_below(&world.seed, wire->count);
	memcpy(rig->incoming, wire->data[index], ENVELOPE_SIZE);
	memmove(wire->data[index], wire->data[--wire->count], ENVELOPE_SIZE);
	return true;
}

static void
deliveries_take(void)
{
	struct outbox out = replica->out;
	for (uint32_t i = 0; i < out.deliveries_count; i++) {
		const struct delivery *d = &out.deliveries[i];
		if (d->kind == DELIVERY_BATCH) {
			CU_ASSERT_FATAL(world.queue_count < WINDOW);
			world.queue[world.queue_count++] = *d;
			continue;
		}
		CU_ASSERT_EQUAL(d->timestamp, world.executed[d->client]);
		struct result cached = result_of(d->client, d->timestamp, RESULT_DUPLICATE);
		executed(0, &cached, 1, true);
		wire_put(&world.to_client, &replica->out);
	}
}

/* Executes the oldest batch: each operation for the first time, and in its slot's order. */
static void
batch_execute(void)
{
	const struct message_scope scope = {CLUSTER, 1, PROTOCOL};
	if (world.queue_count == 0)
		return;
	struct delivery d = world.queue[0];
	memmove(world.queue, world.queue + 1, --world.queue_count * sizeof(d));
	struct batch_cursor cursor = batch_cursor(d.batch, d.batch_size);
	struct result results[ENVELOPES];
	uint32_t count = 0;
	struct message m;
	while (!batch_cursor_done(&cursor)) {
		CU_ASSERT_FATAL(batch_next(&cursor, &scope, &m));
		uint16_t slot = m.header->sender;
		CU_ASSERT_EQUAL(m.header->seq, world.executed[slot] + 1);
		world.executed[slot] = m.header->seq;
		results[count++] = result_of(slot, m.header->seq, 0);
	}
	executed(d.seq, results, count, true);
	wire_put(&world.to_client, &replica->out);
}

static void
client_turn(void)
{
	uint16_t slot = (uint16_t)toy_below(&world.seed, SLOTS);
	if (world.submitted[slot] == world.completed[slot]) {
		world.submitted[slot]++;
		submit(slot, "operation", world.now_ns);
		wire_put(&world.to_replica, &client->out);
	}
	if (client_deadline() <= world.now_ns) {
		timeout(client, world.now_ns, 0);
		wire_put(&world.to_replica, &client->out);
	}
	if (!wire_take(&world.to_client, client) || arrive(client, world.now_ns) == VERDICT_DROP)
		return;
	for (uint32_t i = 0; i < client->out.completions_count; i++) {
		const struct completion *done = &client->out.completions[i];
		CU_ASSERT_EQUAL(done->timestamp, ++world.completed[done->slot]);
		CU_ASSERT(world.executed[done->slot] >= done->timestamp);
	}
}

static void
exactly_once_over_a_bad_network(void)
{
	struct protocol_config config = defaults;
	uint64_t total = 0;
	world = (struct world){.seed = 23};
	rig_open(replica, &unreplicated_replica, &config);
	rig_open(client, &unreplicated_client, &config);
	for (uint32_t round = 0; round < 40000; round++) {
		world.now_ns += toy_below(&world.seed, RETRY_NS / 8);
		client_turn();
		if (wire_take(&world.to_replica, replica) &&
		    arrive(replica, world.now_ns) == VERDICT_STEP)
			deliveries_take();
		if (toy_below(&world.seed, 3) == 0 && replica_deadline() <= world.now_ns) {
			timeout(replica, world.now_ns, 0);
			deliveries_take();
		}
		if (toy_below(&world.seed, 4) == 0)
			batch_execute();
	}
	for (uint32_t i = 0; i < SLOTS; i++)
		total += world.completed[i];
	CU_ASSERT(total > 2000);
	CU_ASSERT(client->machine->retransmissions(client->self) > 200);
	rig_close(client);
	rig_close(replica);
}

static const struct unit_story stories[] = {
    {"request, delivery, reply", request_delivery_reply},
    {"duplicates", duplicates},
    {"results without a reply", results_without_reply},
    {"full batches go at once", full_batches_go_at_once},
    {"batches are bounded in bytes", batches_are_bounded_in_bytes},
    {"a full window withdraws", full_window_withdraws},
    {"screened out by the replica", screened_out_by_the_replica},
    {"one client's last timestamp", one_clients_last_timestamp},
    {"idle instances fill their slot", idle_instances_fill_their_slot},
    {"exactly once over a bad network", exactly_once_over_a_bad_network},
};

UNIT_MAIN("unreplicated", stories)
