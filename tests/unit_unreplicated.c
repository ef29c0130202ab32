/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/unreplicated: both machines by themselves, step by step, then
 * together over a network that loses and repeats. audit() after each step.
 */
#include "protocols/unreplicated/unreplicated.h"

#include "engine/batch.h"
#include "tests/toy_digest.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	PROTOCOL = 1,
	SLOTS = 8,
	WINDOW = 2,
	ENVELOPE_SIZE = 2048,
	ENVELOPES = 16,
	RETRY_NS = 64000,
	REQUEST_SIZE_MAX = 64 + 100 + MAC_SIZE,
};

static const struct protocol_config defaults = {
    .cluster = CLUSTER,
    .protocol = PROTOCOL,
    .replicas_count = 1,
    .instances_count = 1,
    .slots_count = SLOTS,
    .request_proof = PROOF_MAC,
    .reply_proof = PROOF_MAC,
    .batch_count_max = 4,
    .batch_size_max = 4 * ((REQUEST_SIZE_MAX + 7) & ~7),
    .window = WINDOW,
    .request_size_max = REQUEST_SIZE_MAX,
    .result_size_max = 100,
    .retry_ns = RETRY_NS,
};

/* One machine with an outbox of its own. */
struct rig {
	const struct machine *machine;
	struct protocol_config config;
	void *self;
	struct outbox out;
	struct claims claims;
	uint64_t envelopes[ENVELOPES][ENVELOPE_SIZE / 8];
	uint64_t incoming[ENVELOPE_SIZE / 8];
};

static struct rig rigs[2];
static struct rig *const replica = &rigs[0];
static struct rig *const client = &rigs[1];

static void
rig_open(struct rig *rig, const struct machine *machine, const struct protocol_config *config)
{
	memset(rig, 0, sizeof(*rig));
	rig->machine = machine;
	rig->config = *config;
	rig->self = calloc(1, machine->size(config));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig->self);
	machine->init(rig->self, config);
	machine->audit(rig->self);
}

static void
rig_close(struct rig *rig)
{
	free(rig->self);
}

/* Steps with an empty outbox whose envelopes are dirty. */
static void
rig_step(struct rig *rig, const struct event *event)
{
	struct outbox *out = &rig->out;
	*out = (struct outbox){.sends_ready = ENVELOPES};
	memset(rig->envelopes, 0xee, sizeof(rig->envelopes));
	for (uint32_t i = 0; i < ENVELOPES; i++)
		out->sends[i] = (struct send){
		    .capacity = ENVELOPE_SIZE,
		    .header = (struct message_header *)(void *)rig->envelopes[i],
		};
	rig->machine->step(rig->self, event, out);
	rig->machine->audit(rig->self);
	if (event->type != EVENT_EXECUTED)
		CU_ASSERT(out->sends_count <= rig->machine->sends_per_step);
	CU_ASSERT(out->deliveries_count <= rig->machine->deliveries_per_step);
	CU_ASSERT(out->completions_count <= rig->machine->completions_per_step);
	CU_ASSERT_EQUAL(out->large_count, 0);
}

static enum verdict
rig_screen(struct rig *rig, const struct message *m)
{
	rig->claims.count = 0;
	enum verdict verdict = rig->machine->screen(rig->self, m, &rig->claims);
	CU_ASSERT(rig->claims.count <= rig->machine->claims_per_message(&rig->config));
	return verdict;
}

static struct message
parsed(const void *bytes)
{
	const struct message_scope scope = {CLUSTER, 1, PROTOCOL};
	struct message m = {0};
	uint32_t size = ((const struct message_header *)bytes)->size;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size, &m), PARSE_OK);
	return m;
}

/* Writes a message to `rig` in its buffer; its body repeats the timestamp's low byte. */
static struct message_header *
incoming(struct rig *rig, uint8_t type, uint8_t proof, uint32_t body_size)
{
	struct message_header *h = (struct message_header *)(void *)rig->incoming;
	memset(rig->incoming, 0, sizeof(rig->incoming));
	*h = (struct message_header){
	    .size = (uint32_t)sizeof(*h) + body_size + proof_size(proof, 1),
	    .cluster = CLUSTER,
	    .protocol = PROTOCOL,
	    .type = type,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	};
	return h;
}

/* Screens what incoming() wrote and steps it. */
static enum verdict
arrive(struct rig *rig, uint64_t now_ns)
{
	struct message m = parsed(rig->incoming);
	enum verdict verdict = rig_screen(rig, &m);
	struct event event = {.type = EVENT_MESSAGE, .now_ns = now_ns, .message = &m};
	if (verdict == VERDICT_STEP)
		rig_step(rig, &event);
	else
		rig->out = (struct outbox){0};
	return verdict;
}

static enum verdict
request(uint16_t slot, uint64_t timestamp, uint32_t body_size)
{
	struct message_header *h = incoming(replica, MESSAGE_REQUEST, PROOF_MAC, body_size);
	h->sender = slot;
	h->seq = timestamp;
	memset(h + 1, (int)(timestamp & 255), body_size);
	return arrive(replica, 0);
}

static void
timeout(struct rig *rig, uint64_t now_ns, uint64_t frontier)
{
	struct event event = {.type = EVENT_TIMEOUT, .now_ns = now_ns, .frontier = frontier};
	rig_step(rig, &event);
}

/* A result with the bytes "done". */
static struct result
result_of(uint16_t slot, uint64_t timestamp, uint16_t flags)
{
	return (struct result){slot, flags, 4, timestamp, (const uint8_t *)"done"};
}

static void
executed(uint64_t seq, const struct result *results, uint32_t count, bool last)
{
	struct event event = {
	    .type = EVENT_EXECUTED,
	    .executed = {.seq = seq, .results = results, .results_count = count, .last = last},
	};
	rig_step(replica, &event);
	CU_ASSERT(replica->out.sends_count <= replica->machine->sends_per_step + count);
}

static void
executed_one(uint64_t seq, uint16_t slot, uint64_t timestamp)
{
	struct result result = result_of(slot, timestamp, 0);
	executed(seq, &result, 1, true);
}

/* ---- The replica -------------------------------------------------------- */

static void
replica_open(uint32_t batch_count_max)
{
	struct protocol_config config = defaults;
	config.batch_count_max = batch_count_max;
	rig_open(replica, &unreplicated_replica, &config);
}

static uint64_t
replica_deadline(void)
{
	return replica->machine->deadline(replica->self);
}

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
expect_nothing(const struct rig *rig)
{
	CU_ASSERT_EQUAL(rig->out.sends_count, 0);
	CU_ASSERT_EQUAL(rig->out.deliveries_count, 0);
	CU_ASSERT_EQUAL(rig->out.completions_count, 0);
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

/* ---- The client --------------------------------------------------------- */

static void
client_open(uint8_t reply_proof)
{
	struct protocol_config config = defaults;
	config.slot_first = 10;
	config.instances_count = 4;
	config.reply_proof = reply_proof;
	rig_open(client, &unreplicated_client, &config);
}

static void
submit(uint16_t slot, const char *op, uint64_t now_ns)
{
	struct event event = {
	    .type = EVENT_SUBMIT,
	    .now_ns = now_ns,
	    .submit = {(const uint8_t *)op, (uint32_t)strlen(op), slot, false},
	};
	rig_step(client, &event);
}

static void
expect_request(uint16_t slot, uint64_t timestamp, const char *op)
{
	CU_ASSERT_EQUAL_FATAL(client->out.sends_count, 1);
	const struct send *s = &client->out.sends[0];
	struct message m = parsed(s->header);
	CU_ASSERT_EQUAL(s->to, 1);
	CU_ASSERT_EQUAL(m.header->type, MESSAGE_REQUEST);
	CU_ASSERT_EQUAL(m.header->proof, PROOF_MAC);
	CU_ASSERT_EQUAL(m.header->sender, slot);
	CU_ASSERT_EQUAL(m.header->instance, slot % 4);
	CU_ASSERT_EQUAL(m.header->seq, timestamp);
	CU_ASSERT_EQUAL(m.header->view, 0);
	CU_ASSERT_EQUAL_FATAL(m.body_size, strlen(op));
	CU_ASSERT_EQUAL(memcmp(m.body, op, m.body_size), 0);
}

static struct message_header *
reply_make(uint16_t slot, uint64_t timestamp)
{
	struct message_header *h = incoming(client, MESSAGE_REPLY, PROOF_MAC, 4);
	h->instance = slot;
	h->seq = timestamp;
	memcpy(h + 1, "done", 4);
	return h;
}

static void
expect_completion(uint16_t slot, uint64_t timestamp)
{
	CU_ASSERT_EQUAL_FATAL(client->out.completions_count, 1);
	const struct completion *done = &client->out.completions[0];
	CU_ASSERT_EQUAL(done->slot, slot);
	CU_ASSERT_EQUAL(done->timestamp, timestamp);
	CU_ASSERT_FALSE(done->lost);
	CU_ASSERT_EQUAL_FATAL(done->size, 4);
	CU_ASSERT_EQUAL(memcmp(done->data, "done", 4), 0);
}

static uint64_t
client_deadline(void)
{
	return client->machine->deadline(client->self);
}

static void
submit_and_answer(void)
{
	client_open(PROOF_MAC);
	CU_ASSERT_EQUAL(client_deadline(), TIME_NEVER);
	submit(15, "first", 1000);
	expect_request(15, 1, "first");
	CU_ASSERT(client_deadline() <= 1000 + RETRY_NS);
	CU_ASSERT(client_deadline() > 1000);
	reply_make(15, 1);
	CU_ASSERT_EQUAL(arrive(client, 2000), VERDICT_STEP);
	CU_ASSERT_EQUAL(client->claims.count, 2);
	CU_ASSERT_EQUAL(client->claims.list[1].key, 0);
	expect_completion(15, 1);
	submit(15, "", 3000);
	expect_request(15, 2, "");
	submit(10, "other", 3000);
	expect_request(10, 1, "other");
	rig_close(client);
}

/* Waits for the next retransmission; returns when it came. */
static uint64_t
wait_for_send(uint64_t now_ns)
{
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t next_ns = client_deadline();
		CU_ASSERT_FATAL(next_ns != TIME_NEVER);
		now_ns = next_ns > now_ns ? next_ns : now_ns;
		timeout(client, now_ns, 0);
		if (client->out.sends_count > 0)
			return now_ns;
	}
	CU_FAIL("no retransmission");
	return now_ns;
}

static void
retransmissions_double(void)
{
	static const uint64_t factors[] = {1, 2, 4, 8, 16, 32, 32, 32};
	uint64_t now_ns = 777;
	client_open(PROOF_MAC);
	submit(12, "again", now_ns);
	for (uint32_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
		uint64_t sent_ns = wait_for_send(now_ns);
		CU_ASSERT_EQUAL(sent_ns - now_ns, factors[i] * RETRY_NS);
		expect_request(12, 1, "again");
		CU_ASSERT_EQUAL(client->machine->retransmissions(client->self), i + 1);
		now_ns = sent_ns;
	}
	reply_make(12, 1);
	arrive(client, now_ns);
	expect_completion(12, 1);
	/* The next is given twice the time: answers are late, it seems. */
	submit(12, "next", now_ns);
	CU_ASSERT_EQUAL(wait_for_send(now_ns) - now_ns, 2 * RETRY_NS);
	expect_request(12, 2, "next");
	rig_close(client);
}

static void
answered_is_not_sent_again(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	submit(13, "b", 10);
	reply_make(12, 1);
	arrive(client, 20);
	uint64_t sent_ns = wait_for_send(20);
	CU_ASSERT_EQUAL(sent_ns, 10 + RETRY_NS);
	expect_request(13, 1, "b");
	CU_ASSERT_EQUAL(client->machine->retransmissions(client->self), 1);
	rig_close(client);
}

static void
many_late_at_once(void)
{
	uint32_t seen = 0;
	client_open(PROOF_MAC);
	for (uint16_t slot = 10; slot < 10 + SLOTS; slot++)
		submit(slot, "x", 5);
	for (uint32_t i = 0; i < SLOTS; i++) {
		CU_ASSERT(client_deadline() <= 10 * RETRY_NS);
		timeout(client, 10 * RETRY_NS, 0);
		CU_ASSERT_EQUAL_FATAL(client->out.sends_count, 1);
		seen |= 1u << (client->out.sends[0].header->sender - 10);
	}
	CU_ASSERT_EQUAL(seen, (1u << SLOTS) - 1);
	timeout(client, 10 * RETRY_NS, 0);
	expect_nothing(client);
	CU_ASSERT(client_deadline() > 10 * RETRY_NS);
	rig_close(client);
}

static void
late_and_twin_replies(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	/* Twins in one burst are both screened before either is stepped. */
	reply_make(12, 1);
	struct message twin = parsed(client->incoming);
	CU_ASSERT_EQUAL(rig_screen(client, &twin), VERDICT_STEP);
	struct event event = {.type = EVENT_MESSAGE, .message = &twin};
	rig_step(client, &event);
	expect_completion(12, 1);
	rig_step(client, &event);
	expect_nothing(client);
	CU_ASSERT_EQUAL(rig_screen(client, &twin), VERDICT_DROP);
	/* The old answer is none to the next operation, even if it was screened before. */
	submit(12, "b", 0);
	CU_ASSERT_EQUAL(rig_screen(client, &twin), VERDICT_DROP);
	rig_step(client, &event);
	expect_nothing(client);
	reply_make(12, 2);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_STEP);
	expect_completion(12, 2);
	rig_close(client);
}

static void
screened_out_by_the_client(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	reply_make(12, 0);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(12, 2);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(11, 1); /* idle */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(11, 0); /* never used */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(9, 1); /* of another node */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(10 + SLOTS, 1);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(12, 1)->sender = 1; /* no such replica */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	for (uint8_t type = 0; type < 32; type++) {
		reply_make(12, 1)->type = type;
		struct message m = parsed(client->incoming);
		bool known = type == MESSAGE_REPLY || type == MESSAGE_REPLY_LOST;
		CU_ASSERT_EQUAL(rig_screen(client, &m), known ? VERDICT_STEP : VERDICT_DROP);
	}
	reply_make(12, 1);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_STEP);
	expect_completion(12, 1);
	rig_close(client);
}

static void
replies_have_the_agreed_proof(void)
{
	static const uint8_t agreed[] = {PROOF_NONE, PROOF_MAC, PROOF_SIGNATURE, PROOF_MERKLE};
	for (uint32_t i = 0; i < sizeof(agreed); i++) {
		client_open(agreed[i]);
		submit(12, "a", 0);
		for (uint8_t proof = 0; proof <= PROOF_MERKLE + MERKLE_DEPTH_MAX; proof++) {
			if (proof_size(proof, 1) == UINT32_MAX)
				continue;
			struct message_header *h = incoming(client, MESSAGE_REPLY, proof, 4);
			h->instance = 12;
			h->seq = 1;
			struct message m = parsed(h);
			bool fits =
			    agreed[i] == PROOF_MERKLE ? proof >= PROOF_MERKLE : proof == agreed[i];
			CU_ASSERT_EQUAL(rig_screen(client, &m), fits ? VERDICT_STEP : VERDICT_DROP);
			CU_ASSERT_EQUAL(client->claims.count, fits && proof != PROOF_NONE ? 2 : 0);
		}
		rig_close(client);
	}
}

static void
lost_replies_complete(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	struct message_header *h = incoming(client, MESSAGE_REPLY_LOST, PROOF_MAC, 0);
	h->instance = 12;
	h->seq = 1;
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_STEP);
	CU_ASSERT_EQUAL_FATAL(client->out.completions_count, 1);
	CU_ASSERT(client->out.completions[0].lost);
	CU_ASSERT_EQUAL(client->out.completions[0].size, 0);
	submit(12, "b", 0);
	expect_request(12, 2, "b");
	rig_close(client);
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
    {"submit and answer", submit_and_answer},
    {"retransmissions double", retransmissions_double},
    {"answered is not sent again", answered_is_not_sent_again},
    {"many late at once", many_late_at_once},
    {"late and twin replies", late_and_twin_replies},
    {"screened out by the client", screened_out_by_the_client},
    {"replies have the agreed proof", replies_have_the_agreed_proof},
    {"lost replies complete", lost_replies_complete},
    {"exactly once over a bad network", exactly_once_over_a_bad_network},
};

UNIT_MAIN("unreplicated", stories)
