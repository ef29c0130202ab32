/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the unreplicated replica, whole (shard, segmentation, screen,
 * step, merge, executor, kv), under a client node that holds keys and sends
 * anything in any order, an honest one beside it, and envelopes that run short.
 * What must hold: the machine's audit after each step; nothing of the honest
 * client is executed but what it sent, each operation once; all answers to one
 * operation are the same; nothing the replica sends is malformed; and when the
 * attacker stops, the honest client is answered.
 */
#include "engine/replica.h"
#include "fuzz_honest.h"
#include "fuzz_node.h"
#include "protocols/unreplicated/unreplicated.h"

enum { HONEST_SLOTS = FUZZ_SLOT_FIRST_OTHER, ROUNDS_MAX = 200 };

struct honest {
	uint64_t timestamp; /* of the last operation */
	uint64_t answered;  /* the last operation that was answered */
	uint8_t digest32[DIGEST_SIZE];
};

static struct fuzz_node node;
static struct replica replica;
static struct machine audited;
static struct protocol_config protocol;
static struct honest honest[HONEST_SLOTS];

static void
audited_step(void *self, const struct event *event, struct outbox *out)
{
	unreplicated_replica.step(self, event, out);
	unreplicated_replica.audit(self);
}

/* ---- Operations ---------------------------------------------------------- */

static uint32_t
attacker_op(uint8_t *op, uint32_t room)
{
	static const uint8_t fill[FUZZ_MESSAGE_MAX];
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	uint8_t key[2] = {(uint8_t)fuzz_take(&node.in, 1), 0};
	if (how >> 5 == 7) {
		uint32_t size = fuzz_below(&node.in, 48);
		fuzz_take_bytes(&node.in, op, size);
		fuzz_keep_off(op, size);
		return size;
	}
	struct kv_op o = {.kind = (enum kv_kind)(1 + how % 6),
	    .key = key,
	    .key_size = 1 + (how >> 4 & 1),
	    .value = fill,
	    .expected = fill,
	    .expected_size = KV_EXPECTED_ABSENT,
	    .limit = 8};
	if (kv_kind_has_value((uint8_t)o.kind))
		o.value_size = fuzz_below(&node.in, how & 8 ? FUZZ_MESSAGE_MAX : 64);
	uint32_t size = kv_op_encode(&o, op, room);
	fuzz_keep_off(op, size);
	return size;
}

/* ---- What the replica does ----------------------------------------------- */

static void
batch_seen(void *context, const struct executor_batch *batch)
{
	struct batch_cursor cursor = batch_cursor(batch->data, batch->size);
	struct message m;
	(void)context;
	while (!batch_cursor_done(&cursor)) {
		bool whole = batch_next(&cursor, &fuzz_scope, &m);
		check(whole);
		uint32_t slot = m.header->sender;
		check(slot < FUZZ_SLOTS);
		if (slot < HONEST_SLOTS)
			fuzz_honest_request_check(&m, honest[slot].timestamp);
	}
}

static void
answer_seen(struct honest *h, const struct message *m)
{
	check(m->header->seq >= 1 && m->header->seq <= h->timestamp);
	if (m->header->type == MESSAGE_REPLY) {
		struct kv_reply reply;
		check(kv_reply_decode(m->body, m->body_size, &reply));
		if (m->header->seq == h->answered)
			check(memcmp(h->digest32, m->header->digest, DIGEST_SIZE) == 0);
		memcpy(h->digest32, m->header->digest, DIGEST_SIZE);
	}
	if (m->header->seq > h->answered)
		h->answered = m->header->seq;
}

static void
sent(const struct send *send, const struct message *m)
{
	if (send->large != 0)
		return; /* its segments come one by one */
	check(send->to == 0 && send->client < FUZZ_SLOTS);
	check(m->header->instance == send->client || message_is_segment(m));
	if (message_is_segment(m))
		return;
	check(m->header->type == MESSAGE_REPLY || m->header->type == MESSAGE_REPLY_LOST);
	if (send->client < HONEST_SLOTS)
		answer_seen(&honest[send->client], m);
}

/* ---- What the input asks for --------------------------------------------- */

static uint8_t *
blank(uint16_t slot, uint64_t timestamp)
{
	static uint64_t bytes[FUZZ_MESSAGE_MAX / 8];
	*(struct message_header *)(void *)bytes = (struct message_header){
	    .cluster = FUZZ_CLUSTER,
	    .instance = (uint16_t)(slot % protocol.instances_count),
	    .sender = slot,
	    .protocol = FUZZ_PROTOCOL,
	    .type = MESSAGE_REQUEST,
	    .proof = protocol.request_proof,
	    .version = MESSAGE_VERSION,
	    .seq = timestamp,
	};
	return (uint8_t *)bytes;
}

static void
honest_send(uint32_t slot)
{
	uint8_t *bytes = blank((uint16_t)slot, honest[slot].timestamp);
	struct message_header *header = (struct message_header *)(void *)bytes;
	uint32_t size = fuzz_honest_op(slot, header->seq, bytes + sizeof(*header));
	header->size = (uint32_t)sizeof(*header) + size + fuzz_proof_room(header->proof);
	fuzz_seal(&node, FUZZ_HONEST, header, -1);
	fuzz_deliver(&node, header, header->size);
}

static void
honest_request(void)
{
	uint32_t slot = fuzz_below(&node.in, HONEST_SLOTS);
	if (honest[slot].answered == honest[slot].timestamp)
		honest[slot].timestamp++;
	honest_send(slot);
}

static void
attacker_request(void)
{
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	uint64_t timestamp = fuzz_take(&node.in, how & 64 ? 8 : 1);
	uint8_t *bytes = blank((uint16_t)(how % (FUZZ_SLOTS + 1)), timestamp);
	struct message_header *header = (struct message_header *)(void *)bytes;
	uint32_t proof = fuzz_proof_room(header->proof);
	uint32_t room = FUZZ_MESSAGE_MAX - (uint32_t)sizeof(*header) - proof;
	uint32_t size = attacker_op(bytes + sizeof(*header), room);
	header->size = (uint32_t)sizeof(*header) + size + proof;
	fuzz_seal(&node, FUZZ_OTHER, header, -1);
	fuzz_deliver_message(&node, header, true, how & 128 ? fuzz_take(&node.in, 1) : 0);
}

/* Any header, sealed as far as that can be done, or not at all. */
static void
attacker_raw(void)
{
	static uint64_t memory[FUZZ_MESSAGE_MAX / 8];
	uint8_t *bytes = (uint8_t *)memory;
	struct message_header *header = (struct message_header *)(void *)bytes;
	uint32_t size = fuzz_raw(&node, bytes);
	if (fuzz_raw_sealable(header, size)) {
		fuzz_keep_off(bytes + sizeof(*header), size - (uint32_t)sizeof(*header));
		header->size += fuzz_proof_room(header->proof);
		fuzz_seal(&node, FUZZ_OTHER, header, -1);
		size = header->size;
	}
	fuzz_deliver(&node, bytes, size);
}

static void
burst(void)
{
	replica_run(&replica, node.now_ns, node.inbox, node.inbox_count);
	fuzz_inbox_clear(&node);
	check(replica_deadline(&replica) >= 1 || node.now_ns > 0);
}

static void
run(void)
{
	while (node.in.size > 0) {
		uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
		switch (how % 8) {
		case 0:
		case 1:
			honest_request();
			break;
		case 2:
		case 3:
			attacker_request();
			break;
		case 4:
			attacker_raw();
			break;
		case 5:
			fuzz_replay(&node, true);
			break;
		default:
			node.now_ns += (uint64_t)(how >> 4) * 400000;
			node.supply = how & 8 ? fuzz_below(&node.in, 64) : UINT32_MAX;
			burst();
			break;
		}
	}
}

/* The attacker is silent and envelopes are plenty. */
static void
settle(void)
{
	node.supply = UINT32_MAX;
	burst();
	for (uint32_t slot = 0; slot < HONEST_SLOTS; slot++) {
		for (uint32_t i = 0; honest[slot].answered < honest[slot].timestamp; i++) {
			check(i < ROUNDS_MAX);
			honest_send(slot);
			node.now_ns += 1000000;
			burst();
		}
	}
}

static void
digest(void *context, const struct digest_job *jobs, uint32_t count)
{
	crypto_toy.digest(context, jobs, count);
}

/* The first byte of the input: authentication and instances. */
static void
open_replica(void)
{
	static const uint8_t request_proofs[2] = {PROOF_MAC, PROOF_SIGNATURE};
	static const uint8_t reply_proofs[4] = {
	    PROOF_MAC, PROOF_SIGNATURE, PROOF_MERKLE, PROOF_MAC};
	static const struct executor_observer observer = {
	    .batch = batch_seen, .checkpoint = fuzz_checkpoint_ignore};
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	protocol = (struct protocol_config){
	    .cluster = FUZZ_CLUSTER,
	    .protocol = FUZZ_PROTOCOL,
	    .replicas_count = 1,
	    .instances_count = (uint16_t)(1 + (how >> 3 & 1)),
	    .slots_count = FUZZ_SLOTS,
	    .request_proof = request_proofs[how & 1],
	    .reply_proof = reply_proofs[how >> 1 & 3],
	    .batch_count_max = 1 + (how >> 4 & 7),
	    .batch_size_max = 8192,
	    .window = 1 + (how >> 6),
	    .request_size_max = FUZZ_MESSAGE_MAX,
	    .result_size_max = 2048,
	    .retry_ns = 1000000,
	};
	audited = unreplicated_replica;
	audited.step = audited_step;
	struct replica_config config = {
	    .shard =
		{
		    .machine = &audited,
		    .protocol = &protocol,
		    .machines_count = protocol.instances_count,
		    .own_mask = 1,
		    .envelope_size = FUZZ_ENVELOPE_SIZE,
		    .message_size_max = FUZZ_MESSAGE_MAX,
		    .large_count = 4,
		    .assemblies_count = 8,
		    .crypto_ops = &crypto_toy,
		    .crypto = node.nodes[FUZZ_REPLICA],
		    .io = {.self = &node, .refill = fuzz_refill, .transmit = fuzz_transmit},
		},
	    .executor =
		{
		    .app = app_find("kv"),
		    .app_options = {.memory_size = 16 << 10, .hash_seed = 3},
		    .sessions = {.slots_count = FUZZ_SLOTS, .ring_size = 8192},
		    .scope = fuzz_scope,
		    .result_size_max = 2048,
		    .marks_max = 2,
		    .digester = {digest, node.nodes[FUZZ_REPLICA]},
		    .observer = &observer,
		},
	};
	check(replica_open(&replica, &config) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (node.nodes[0] == NULL)
		fuzz_node_open(&node);
	node.sent = sent;
	memset(honest, 0, sizeof(honest));
	fuzz_node_reset(&node, bytes, size);
	open_replica();
	run();
	settle();
	for (uint32_t slot = 0; slot < HONEST_SLOTS; slot++)
		check(fuzz_honest_once_check(&replica.executor, slot) <= honest[slot].timestamp);
	fuzz_reclaim(&node, &replica.shard->outbox);
	replica_close(&replica);
	fuzz_past_clear(&node);
	return 0;
}
