/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the unreplicated client, whole (shard, segmentation, screen,
 * step, workloads that judge the answers), under a replica that holds its own
 * keys and answers anything, or under somebody who holds none. What must hold:
 * the machine's audit after each step; slots are answered at most once an
 * operation; nothing malformed is sent; and without the replica's key nobody is
 * ever answered.
 */
#include "engine/client.h"
#include "engine/kv_op.h"
#include "fuzz_node.h"
#include "protocols/unreplicated/unreplicated.h"

enum { OWN_SLOTS = FUZZ_SLOT_FIRST_OTHER, RECORDS = 16 };

static struct fuzz_node node;
static struct client client;
static struct machine audited;
static struct protocol_config protocol;
static bool outsider; /* the attacker's seal is broken always */
static uint64_t submitted;
static struct message_header requests[OWN_SLOTS]; /* the last of each slot */

static void
audited_step(void *self, const struct event *event, struct outbox *out)
{
	submitted += event->type == EVENT_SUBMIT;
	unreplicated_client.step(self, event, out);
	unreplicated_client.audit(self);
}

static void
sent(const struct send *send, const struct message *m)
{
	check(send->to == 1);
	if (send->large != 0 || message_is_segment(m))
		return;
	check(m->header->type == MESSAGE_REQUEST);
	check(m->header->sender < OWN_SLOTS);
	check(m->header->proof == protocol.request_proof);
	requests[m->header->sender] = *m->header;
}

/* Writes what the replica answers; returns its size. */
static uint32_t
answer_make(uint8_t *body, uint32_t room)
{
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	uint32_t size = fuzz_below(&node.in, how & 1 ? (uint16_t)room : 128);
	memset(body, 0, size);
	fuzz_take_bytes(&node.in, body, size < 64 ? size : 64);
	if ((how & 2) != 0 && size >= KV_REPLY_HEADER_SIZE)
		kv_reply_encode(body, (enum kv_status)(how >> 2 & 7), how >> 5);
	return size;
}

static void
answer(void)
{
	static uint64_t memory[FUZZ_MESSAGE_MAX / 8];
	struct message_header *header = (struct message_header *)(void *)memory;
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	uint32_t slot = how & 64 ? how % FUZZ_SLOTS : how % OWN_SLOTS;
	uint32_t proof = fuzz_proof_room(protocol.reply_proof);
	bool lost = (how >> 3 & 7) == 7;
	*header = (struct message_header){
	    .cluster = FUZZ_CLUSTER,
	    .instance = (uint16_t)slot,
	    .protocol = FUZZ_PROTOCOL,
	    .type = lost ? MESSAGE_REPLY_LOST : MESSAGE_REPLY,
	    .proof = protocol.reply_proof,
	    .version = MESSAGE_VERSION,
	    .seq = slot < OWN_SLOTS ? requests[slot].seq : 1,
	};
	if (how & 128)
		header->seq += fuzz_below(&node.in, 4) - 2u;
	uint32_t size = answer_make(
	    (uint8_t *)(header + 1), FUZZ_MESSAGE_MAX - (uint32_t)sizeof(*header) - proof);
	header->size = (uint32_t)sizeof(*header) + size + proof;
	fuzz_seal(&node, FUZZ_REPLICA, header, (int32_t)slot);
	if (outsider) {
		/* One bit anywhere behind what parsing looks at. */
		uint32_t bit = 256 + (uint32_t)fuzz_take(&node.in, 2) % (8 * header->size - 256);
		((uint8_t *)memory)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	fuzz_deliver_message(&node, header, false, how & 128 ? fuzz_take(&node.in, 1) : 0);
}

static void
raw(void)
{
	static uint64_t memory[FUZZ_MESSAGE_MAX / 8];
	uint8_t *bytes = (uint8_t *)memory;
	struct message_header *header = (struct message_header *)(void *)bytes;
	uint32_t size = fuzz_raw(&node, bytes);
	if (!outsider && fuzz_raw_sealable(header, size)) {
		header->size += fuzz_proof_room(header->proof);
		fuzz_seal(&node, FUZZ_REPLICA, header, header->instance % FUZZ_SLOTS);
		size = header->size;
	}
	fuzz_deliver(&node, bytes, size);
}

static void
burst(void)
{
	client_run(&client, node.now_ns, node.inbox, node.inbox_count);
	fuzz_inbox_clear(&node);
	check(client.counters.completed <= submitted);
	check(submitted - client.counters.completed == OWN_SLOTS - client.idle_count);
	if (outsider)
		check(client.counters.completed == 0);
}

static void
run(void)
{
	while (node.in.size > 0) {
		uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
		switch (how % 8) {
		case 0:
		case 1:
		case 2:
			answer();
			break;
		case 3:
			raw();
			break;
		case 4:
			fuzz_replay(&node, !outsider);
			break;
		case 5:
			client_phase_set(&client, (enum client_phase)(how >> 3 & 3), node.now_ns);
			break;
		default:
			node.now_ns += (uint64_t)(how >> 4) * 400000;
			node.supply = how & 8 ? fuzz_below(&node.in, 16) : UINT32_MAX;
			burst();
			break;
		}
	}
}

static struct workload *
workload_of(uint32_t how)
{
	static const char *const names[8] = {
	    "null", "echo", "ycsb-a", "ycsb-b", "ycsb-d", "ycsb-e", "ycsb-f", "echo"};
	char error[WORKLOAD_ERROR_SIZE];
	struct workload_config config = {
	    .name = names[how & 7],
	    .seed = 1,
	    .nodes_count = 1,
	    .run = 1,
	    .single_writer = how >> 3 & 1,
	    .slots_count = OWN_SLOTS,
	    .request_size = 700,
	    .reply_size = 700,
	    .records_count = RECORDS,
	    .value_size = 64,
	    .inserts_max = 64,
	};
	struct workload *w = workload_open(&config, error);
	check(w != NULL);
	return w;
}

/* The first byte of the input: workload and authentication; the second: the rest. */
static void
open_client(void)
{
	static const uint8_t reply_proofs[4] = {
	    PROOF_MAC, PROOF_SIGNATURE, PROOF_MERKLE, PROOF_MAC};
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	uint32_t more = (uint32_t)fuzz_take(&node.in, 1);
	outsider = more & 1;
	protocol = (struct protocol_config){
	    .cluster = FUZZ_CLUSTER,
	    .protocol = FUZZ_PROTOCOL,
	    .replicas_count = 1,
	    .instances_count = 1,
	    .slots_count = OWN_SLOTS,
	    .request_proof = how & 64 ? PROOF_SIGNATURE : PROOF_MAC,
	    .reply_proof = reply_proofs[how >> 4 & 3],
	    .request_size_max = FUZZ_MESSAGE_MAX,
	    .result_size_max = 2048,
	    .retry_ns = 1000000,
	};
	audited = unreplicated_client;
	audited.step = audited_step;
	struct client_config config = {
	    .shard =
		{
		    .machine = &audited,
		    .protocol = &protocol,
		    .machines_count = 1,
		    .envelope_size = FUZZ_ENVELOPE_SIZE,
		    .message_size_max = FUZZ_MESSAGE_MAX,
		    .large_count = 4,
		    .assemblies_count = 8,
		    .crypto_ops = &crypto_toy,
		    .crypto = node.nodes[FUZZ_HONEST],
		    .io = {.self = &node, .refill = fuzz_refill, .transmit = fuzz_transmit},
		},
	    .workload = workload_of(how),
	    .rate = more & 2 ? 1e6 : 0,
	};
	check(client_open(&client, &config) == 0);
	client_phase_set(&client, more & 4 ? CLIENT_LOAD : CLIENT_MEASURE, node.now_ns);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (node.nodes[0] == NULL)
		fuzz_node_open(&node);
	node.sent = sent;
	submitted = 0;
	memset(requests, 0, sizeof(requests));
	fuzz_node_reset(&node, bytes, size);
	open_client();
	run();
	node.supply = UINT32_MAX;
	burst();
	struct workload *workload = client.workload;
	fuzz_reclaim(&node, &client.shard->outbox);
	client_close(&client);
	workload_close(workload);
	fuzz_past_clear(&node);
	return 0;
}
