/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of a replica: order, back-pressure, recall, reads, checkpoints, rollback. */
#include "tests/replica_fixture.h"

enum { BATCH_SIZE = 64 << 10 };

/* The last result but `back`. */
static const struct fake_result *
result_of(struct world *w, uint32_t node, uint32_t back)
{
	const struct fake *f = fake_of(w, node, 0);
	CU_ASSERT_FATAL(f->results_count > back);
	return &f->results[f->results_count - 1 - back];
}

static bool
says(
    const struct fake_result *r, uint64_t seq, uint64_t timestamp, uint16_t flags, const char *data)
{
	return r->seq == seq && r->timestamp == timestamp && r->flags == flags &&
	       r->size == strlen(data) && memcmp(r->data, data, r->size) == 0;
}

static struct batch
batch_of(uint16_t client, uint64_t timestamp, const char *op)
{
	struct batch b = batch_new(1024);
	batch_add(&b, client, timestamp, op, (uint32_t)strlen(op));
	return b;
}

/* The present digest, by way of an empty batch at seq with a checkpoint. */
static void
digest_now(struct world *w, uint32_t node, uint64_t seq, uint8_t *digest32)
{
	say_batch(w, node, seq, NULL)->checkpoint = true;
	world_tick(w);
	memcpy(digest32, digest_of_seq(w, node, 0, seq), 32);
}

static void
batches_are_executed_in_order(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct batch a = batch_of(1, 1, "one");
	struct batch b = batch_of(1, 2, "two");
	for (uint32_t node = 0; node < 2; node++) {
		say_batch(w, node, 1, &a);
		say_batch(w, node, 2, &b)->checkpoint = true;
		say_batch(w, node, 3, NULL);
	}
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->results_count, 2);
	CU_ASSERT(says(result_of(w, 0, 1), 1, 1, 0, "one"));
	CU_ASSERT(says(result_of(w, 0, 0), 2, 2, 0, "two"));
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 3);
	CU_ASSERT_EQUAL(w->nodes[0].replies, 2);
	CU_ASSERT_EQUAL(memcmp(digest_of_seq(w, 0, 0, 2), digest_of_seq(w, 1, 0, 2), 32), 0);
	free(a.data);
	free(b.data);
	world_delete(w);
}

static void
results_wait_for_envelopes(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct batch b = batch_new(BATCH_SIZE);
	for (uint64_t i = 1; i <= 500; i++)
		batch_add(&b, (uint16_t)(i % FIXTURE_SLOTS), i, "x", 1);
	say_batch(w, 0, 1, &b);
	w->nodes[0].envelopes = 300;
	world_tick(w);
	struct fake *f = fake_of(w, 0, 0);
	CU_ASSERT(f->results_count > 0);
	CU_ASSERT(f->results_count <= 300);
	CU_ASSERT_EQUAL(f->done, 0);
	CU_ASSERT(w->nodes[0].replica.counters.blocked > 0);
	CU_ASSERT(replica_deadline(&w->nodes[0].replica) > w->now_ns);
	CU_ASSERT(replica_deadline(&w->nodes[0].replica) < w->now_ns + 1000000);
	uint32_t before = f->results_count;
	world_tick(w);
	CU_ASSERT_EQUAL(f->results_count, before);
	for (uint32_t i = 0; i < 10; i++) {
		w->nodes[0].envelopes += 64;
		world_tick(w);
	}
	CU_ASSERT_EQUAL(f->results_count, 500);
	CU_ASSERT_EQUAL(f->done, 1);
	for (uint32_t i = 0; i < 500; i++)
		CU_ASSERT_EQUAL(f->results[i].timestamp, i + 1);
	CU_ASSERT_EQUAL(replica_deadline(&w->nodes[0].replica), TIME_NEVER);
	free(b.data);
	world_delete(w);
}

static void
recall_brings_the_cached_reply(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct batch b = batch_of(2, 7, "seven");
	say_batch(w, 0, 1, &b);
	world_tick(w);
	const uint64_t timestamps[3] = {7, 6, 8};
	for (uint32_t i = 0; i < 3; i++) {
		struct delivery *d = say(w, 0, 0, DELIVERY_RECALL);
		d->client = 2;
		d->timestamp = timestamps[i];
	}
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->results_count, 4);
	CU_ASSERT(says(result_of(w, 0, 2), 0, 7, RESULT_DUPLICATE, "seven"));
	CU_ASSERT(says(result_of(w, 0, 1), 0, 6, RESULT_STALE, ""));
	/* What has not been executed is said to be new. */
	CU_ASSERT(says(result_of(w, 0, 0), 0, 8, RESULT_NEW, ""));
	free(b.data);
	world_delete(w);
}

static void
read_is_answered_from_the_present_state(void)
{
	struct world *w = world_new("kv");
	world_open(w);
	struct batch b = batch_new(1024);
	batch_add_kv(&b, 1, 1, KV_PUT, "k", (const uint8_t *)"value", 5);
	say_batch(w, 0, 1, &b);
	world_tick(w);
	uint8_t get[64], put[64];
	struct kv_op op = {.kind = KV_GET, .key_size = 1, .key = (const uint8_t *)"k"};
	uint32_t get_size = kv_op_encode(&op, get, sizeof(get));
	op.kind = KV_PUT;
	uint32_t put_size = kv_op_encode(&op, put, sizeof(put));
	for (uint32_t i = 0; i < 2; i++) {
		struct delivery *d = say(w, 0, 0, DELIVERY_READ);
		d->client = 3;
		d->timestamp = 10 + i;
		d->batch = i == 0 ? get : put;
		d->batch_size = i == 0 ? get_size : put_size;
	}
	world_tick(w);
	CU_ASSERT_EQUAL_FATAL(fake_of(w, 0, 0)->results_count, 2);
	const struct fake_result *r = result_of(w, 0, 0);
	CU_ASSERT_EQUAL(r->seq, 0);
	CU_ASSERT_EQUAL(r->client, 3);
	CU_ASSERT_EQUAL(r->timestamp, 10);
	CU_ASSERT_EQUAL(r->flags, RESULT_READ);
	CU_ASSERT_EQUAL(r->size, KV_REPLY_HEADER_SIZE + 5);
	CU_ASSERT_EQUAL(memcmp(r->data + KV_REPLY_HEADER_SIZE, "value", 5), 0);
	CU_ASSERT_EQUAL(w->nodes[0].replica.counters.reads_dropped, 1);
	free(b.data);
	world_delete(w);
}

static void
read_without_envelopes_is_dropped(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct batch b = batch_new(BATCH_SIZE);
	for (uint64_t i = 1; i <= 300; i++)
		batch_add(&b, 1, i, "x", 1);
	w->nodes[0].envelopes = 100;
	say_batch(w, 0, 1, &b);
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 0);
	struct replica *r = &w->nodes[0].replica;
	/* A step for the timer is not to be had either, so the read is delivered by hand. */
	struct delivery *d = outbox_deliver(&r->shard->outbox);
	d->kind = DELIVERY_READ;
	d->batch = (const uint8_t *)"r";
	d->batch_size = 1;
	world_tick(w);
	CU_ASSERT_EQUAL(r->counters.reads_dropped, 1);
	CU_ASSERT_EQUAL(r->reads_count, 0);
	w->nodes[0].envelopes = 1000;
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->results_count, 300);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 1);
	free(b.data);
	world_delete(w);
}

static void
rollback_is_exact_and_what_follows_executes(void)
{
	struct world *w = world_new("kv");
	world_open(w);
	struct batch b[4];
	for (uint32_t i = 0; i < 4; i++) {
		b[i] = batch_new(4096);
		batch_add_kv(&b[i], 1, i + 1, KV_APPEND, "k", (const uint8_t *)"abcd" + i, 1);
	}
	say_batch(w, 0, 1, &b[0])->checkpoint = true;
	say_batch(w, 0, 2, &b[1])->checkpoint = true;
	say_batch(w, 0, 3, &b[2])->mark = true;
	say_batch(w, 0, 4, &b[3]);
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 4);
	/* In one list: undo 3 and 4, then another 3; its checkpoint digest is that of node 1. */
	say_seq(w, 0, DELIVERY_ROLLBACK, 2);
	say_batch(w, 0, 3, &b[3])->checkpoint = true;
	world_tick(w);
	struct fake *f = fake_of(w, 0, 0);
	CU_ASSERT_EQUAL_FATAL(f->moves_count, 1);
	CU_ASSERT_EQUAL(f->moves[0].seq, 2);
	CU_ASSERT(f->moves[0].done);
	CU_ASSERT_EQUAL(f->done, 3);
	CU_ASSERT_EQUAL(w->nodes[0].replica.counters.rollbacks, 1);
	say_batch(w, 1, 1, &b[0]);
	say_batch(w, 1, 2, &b[1]);
	say_batch(w, 1, 3, &b[3])->checkpoint = true;
	world_tick(w);
	CU_ASSERT_EQUAL(memcmp(digest_of_seq(w, 0, 0, 3), digest_of_seq(w, 1, 0, 3), 32), 0);
	/* A rolled back operation was never executed: it is new again, and then a duplicate. */
	CU_ASSERT_EQUAL(result_of(w, 0, 0)->flags, 0);
	CU_ASSERT_EQUAL(result_of(w, 0, 0)->timestamp, 4);
	say_batch(w, 0, 4, &b[3]);
	world_tick(w);
	CU_ASSERT_EQUAL(result_of(w, 0, 0)->flags, RESULT_DUPLICATE);
	for (uint32_t i = 0; i < 4; i++)
		free(b[i].data);
	world_delete(w);
}

static void
rollback_to_a_mark_and_to_the_beginning(void)
{
	struct world *w = world_new("kv");
	world_open(w);
	uint8_t before[32], after[32];
	struct batch b = batch_new(4096);
	batch_add_kv(&b, 1, 1, KV_PUT, "k", (const uint8_t *)"v", 1);
	digest_now(w, 1, 1, before);
	say_batch(w, 0, 1, &b)->mark = true;
	say_batch(w, 0, 2, &b);
	world_tick(w);
	say_seq(w, 0, DELIVERY_ROLLBACK, 1);
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->moves[0].seq, 1);
	CU_ASSERT(fake_of(w, 0, 0)->moves[0].done);
	say_seq(w, 0, DELIVERY_ROLLBACK, 0);
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->moves[1].seq, 0);
	CU_ASSERT(fake_of(w, 0, 0)->moves[1].done);
	digest_now(w, 0, 1, after);
	CU_ASSERT_EQUAL(memcmp(before, after, 32), 0);
	free(b.data);
	world_delete(w);
}

static void
rollback_forgets_what_runs_and_what_is_queued(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct batch b = batch_new(BATCH_SIZE);
	for (uint64_t i = 1; i <= 300; i++)
		batch_add(&b, 1, i, "x", 1);
	struct batch next = batch_of(1, 1000, "next");
	say_batch(w, 0, 1, NULL)->mark = true;
	say_batch(w, 0, 2, &b);
	say_batch(w, 0, 3, &next);
	w->nodes[0].envelopes = 100;
	world_tick(w);
	struct fake *f = fake_of(w, 0, 0);
	uint32_t results = f->results_count;
	CU_ASSERT(results > 0 && results < 300);
	CU_ASSERT_EQUAL(f->done, 1);
	w->nodes[0].envelopes = 1000;
	struct replica *r = &w->nodes[0].replica;
	struct delivery *d = outbox_deliver(&r->shard->outbox);
	d->kind = DELIVERY_ROLLBACK;
	d->seq = 1;
	world_tick(w);
	/* Neither the rest of batch 2 nor batch 3 is reported. */
	CU_ASSERT_EQUAL(f->results_count, results);
	CU_ASSERT_EQUAL_FATAL(f->moves_count, 1);
	CU_ASSERT_EQUAL(f->moves[0].seq, 1);
	CU_ASSERT(f->moves[0].done);
	say_batch(w, 0, 2, &b);
	world_tick(w);
	CU_ASSERT_EQUAL(f->results_count, results + 300);
	CU_ASSERT_EQUAL(f->results[results].flags, 0);
	CU_ASSERT_EQUAL(r->executor.statistics.duplicates, 0);
	free(b.data);
	free(next.data);
	world_delete(w);
}

static void
rollback_beyond_history_says_where_it_stands(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct fake *f = fake_of(w, 0, 0);
	for (uint64_t seq = 1; seq <= 4; seq++)
		say_batch(w, 0, seq, NULL)->checkpoint = seq == 2;
	world_tick(w);
	say_seq(w, 0, DELIVERY_STABLE, 2);
	say_seq(w, 0, DELIVERY_ROLLBACK, 1);
	/* This one belongs to a past that did not come about. */
	say_batch(w, 0, 2, NULL);
	world_tick(w);
	CU_ASSERT_EQUAL_FATAL(f->moves_count, 1);
	CU_ASSERT_EQUAL(f->moves[0].seq, 4);
	CU_ASSERT(!f->moves[0].done);
	CU_ASSERT_EQUAL(w->nodes[0].replica.counters.rollbacks_failed, 1);
	CU_ASSERT_EQUAL(w->nodes[0].replica.counters.batches_forgotten, 1);
	/* The stable checkpoint itself is kept. */
	say_seq(w, 0, DELIVERY_ROLLBACK, 2);
	say_batch(w, 0, 3, NULL);
	world_tick(w);
	CU_ASSERT(f->moves[1].done);
	CU_ASSERT_EQUAL(f->moves[1].seq, 2);
	CU_ASSERT_EQUAL(f->done, 3);
	world_delete(w);
}

static void
stability_may_be_known_before_the_state_is_there(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	struct fake *f = fake_of(w, 0, 0);
	say_batch(w, 0, 1, NULL)->checkpoint = true;
	say_seq(w, 0, DELIVERY_STABLE, 3);
	say_batch(w, 0, 2, NULL)->checkpoint = true;
	world_tick(w);
	CU_ASSERT_EQUAL(w->nodes[0].replica.transfer.stable, 2);
	say_batch(w, 0, 3, NULL)->checkpoint = true;
	world_tick(w);
	CU_ASSERT_EQUAL(w->nodes[0].replica.transfer.stable, 3);
	say_seq(w, 0, DELIVERY_ROLLBACK, 2);
	world_tick(w);
	CU_ASSERT(!f->moves[0].done);
	world_delete(w);
}

static void
checkpoints_of_instances_are_of_whole_slots(void)
{
	struct world *w = world_new("echo");
	w->protocol.instances_count = 2;
	world_open(w);
	struct batch b = batch_of(1, 1, "one");
	for (uint32_t i = 0; i < 2; i++) {
		for (uint64_t seq = 1; seq <= 3; seq++) {
			struct delivery *d = say(w, 0, i, DELIVERY_BATCH);
			d->seq = seq;
			d->checkpoint = seq == 2;
			if (seq == 2 && i == 1) {
				d->batch = b.data;
				d->batch_size = b.size;
			}
		}
	}
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 3);
	CU_ASSERT_EQUAL(fake_of(w, 0, 1)->done, 3);
	const uint8_t *digest32 = digest_of_seq(w, 0, 0, 2);
	CU_ASSERT_EQUAL(memcmp(digest32, digest_of_seq(w, 0, 1, 2), 32), 0);
	CU_ASSERT_EQUAL(executor_position(&w->nodes[0].replica.executor), 6);
	/* Both are told of a rollback that one of them asked for. */
	say_seq(w, 0, DELIVERY_ROLLBACK, 2);
	world_tick(w);
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(fake_of(w, 0, i)->moves_count, 1);
		CU_ASSERT_EQUAL(fake_of(w, 0, i)->moves[0].seq, 2);
		CU_ASSERT(fake_of(w, 0, i)->moves[0].done);
	}
	CU_ASSERT_EQUAL(executor_position(&w->nodes[0].replica.executor), 4);
	free(b.data);
	world_delete(w);
}

/* Until the last instance's batch of the slot is there, the first one's is not done. */
static void
checkpoint_waits_for_the_last_instance(void)
{
	struct world *w = world_new("echo");
	w->protocol.instances_count = 2;
	world_open(w);
	struct delivery *d = say(w, 0, 0, DELIVERY_BATCH);
	d->seq = 1;
	d->checkpoint = true;
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 0);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->digests_count, 0);
	d = say(w, 0, 1, DELIVERY_BATCH);
	d->seq = 1;
	d->checkpoint = true;
	world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->done, 1);
	CU_ASSERT_EQUAL(fake_of(w, 0, 1)->done, 1);
	CU_ASSERT_EQUAL(fake_of(w, 0, 0)->digests_count, 1);
	CU_ASSERT_EQUAL(fake_of(w, 0, 1)->digests_count, 1);
	world_delete(w);
}

static const struct unit_story stories[] = {
    {"batches are executed in order", batches_are_executed_in_order},
    {"results wait for envelopes", results_wait_for_envelopes},
    {"a recall brings the cached reply", recall_brings_the_cached_reply},
    {"a read is answered from the present state", read_is_answered_from_the_present_state},
    {"a read without envelopes is dropped", read_without_envelopes_is_dropped},
    {"a rollback is exact, what follows executes", rollback_is_exact_and_what_follows_executes},
    {"a rollback to a mark and to the beginning", rollback_to_a_mark_and_to_the_beginning},
    {"a rollback forgets what runs and is queued", rollback_forgets_what_runs_and_what_is_queued},
    {"a rollback beyond history says where it stands",
	rollback_beyond_history_says_where_it_stands},
    {"stability known before the state is there", stability_may_be_known_before_the_state_is_there},
    {"checkpoints of instances are of whole slots", checkpoints_of_instances_are_of_whole_slots},
    {"a checkpoint waits for the last instance", checkpoint_waits_for_the_last_instance},
};

UNIT_MAIN("replica", stories)
