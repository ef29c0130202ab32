/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One machine of protocols/unreplicated with an outbox of its own, stepped by hand;
 * audit() after each step.
 */
#ifndef OSKR_TESTS_UNREPLICATED_RIG_H
#define OSKR_TESTS_UNREPLICATED_RIG_H

#include "protocols/unreplicated/unreplicated.h"

#include "engine/batch.h"
#include "engine/client_slots.h"
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

static inline void
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

static inline void
rig_close(struct rig *rig)
{
	free(rig->self);
}

/* Steps with an empty outbox whose envelopes are dirty. */
static inline void
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

static inline enum verdict
rig_screen(struct rig *rig, const struct message *m)
{
	rig->claims.count = 0;
	enum verdict verdict = rig->machine->screen(rig->self, m, &rig->claims);
	CU_ASSERT(rig->claims.count <= rig->machine->claims_per_message(&rig->config));
	return verdict;
}

static inline struct message
parsed(const void *bytes)
{
	const struct message_scope scope = {CLUSTER, 1, PROTOCOL};
	struct message m = {0};
	uint32_t size = ((const struct message_header *)bytes)->size;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size, &m), PARSE_OK);
	return m;
}

/* Writes a message to `rig` in its buffer; its body repeats the timestamp's low byte. */
static inline struct message_header *
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
static inline enum verdict
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

static inline enum verdict
request(uint16_t slot, uint64_t timestamp, uint32_t body_size)
{
	struct message_header *h = incoming(replica, MESSAGE_REQUEST, PROOF_MAC, body_size);
	h->sender = slot;
	h->seq = timestamp;
	memset(h + 1, (int)(timestamp & 255), body_size);
	return arrive(replica, 0);
}

static inline void
timeout(struct rig *rig, uint64_t now_ns, uint64_t frontier)
{
	struct event event = {.type = EVENT_TIMEOUT, .now_ns = now_ns, .frontier = frontier};
	rig_step(rig, &event);
}

/* A result with the bytes "done". */
static inline struct result
result_of(uint16_t slot, uint64_t timestamp, uint16_t flags)
{
	return (struct result){slot, flags, 4, timestamp, (const uint8_t *)"done"};
}

static inline void
executed(uint64_t seq, const struct result *results, uint32_t count, bool last)
{
	struct event event = {
	    .type = EVENT_EXECUTED,
	    .executed = {.seq = seq, .results = results, .results_count = count, .last = last},
	};
	rig_step(replica, &event);
	CU_ASSERT(replica->out.sends_count <= replica->machine->sends_per_step + count);
}

static inline void
executed_one(uint64_t seq, uint16_t slot, uint64_t timestamp)
{
	struct result result = result_of(slot, timestamp, 0);
	executed(seq, &result, 1, true);
}

static inline void
replica_open(uint32_t batch_count_max)
{
	struct protocol_config config = defaults;
	config.batch_count_max = batch_count_max;
	rig_open(replica, &unreplicated_replica, &config);
}

static inline uint64_t
replica_deadline(void)
{
	return replica->machine->deadline(replica->self);
}
static inline void
client_open(uint8_t reply_proof)
{
	struct protocol_config config = defaults;
	config.slot_first = 10;
	config.instances_count = 4;
	config.reply_proof = reply_proof;
	rig_open(client, &unreplicated_client, &config);
}

static inline void
submit(uint16_t slot, const char *op, uint64_t now_ns)
{
	struct event event = {
	    .type = EVENT_SUBMIT,
	    .now_ns = now_ns,
	    .submit = {(const uint8_t *)op, (uint32_t)strlen(op), slot, false},
	};
	rig_step(client, &event);
}

static inline void
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

static inline struct message_header *
reply_make(uint16_t slot, uint64_t timestamp)
{
	struct message_header *h = incoming(client, MESSAGE_REPLY, PROOF_MAC, 4);
	h->instance = slot;
	h->seq = timestamp;
	memcpy(h + 1, "done", 4);
	return h;
}

static inline void
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

static inline uint64_t
client_deadline(void)
{
	return client->machine->deadline(client->self);
}

static inline void
expect_nothing(const struct rig *rig)
{
	CU_ASSERT_EQUAL(rig->out.sends_count, 0);
	CU_ASSERT_EQUAL(rig->out.deliveries_count, 0);
	CU_ASSERT_EQUAL(rig->out.completions_count, 0);
}

#endif
