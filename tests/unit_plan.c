/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/plan.c: for the extremes of every option, what is planned fits together
 * and keeps to the limits.
 */
#include "engine/plan.h"

#include "engine/batch.h"
#include "tests/unit.h"

/* The largest message of the protocol's own, as a log of two intervals makes it. */
static uint32_t
log_size_max(const struct protocol_config *config)
{
	return 200 * 2 * config->checkpoint_interval;
}

static const struct machine logging = {.message_size_max = log_size_max};
static const struct machine silent;
static const struct protocol replicated = {
    .name = "replicated", .replicas_per_fault = 3, .replica = &silent};
static const struct protocol logs = {.name = "logs", .replicas_per_fault = 3, .replica = &logging};
static const struct protocol single = {
    .name = "single", .flags = PROTOCOL_SINGLE, .replica = &silent};

static const struct options usual = {
    .faults = 1,
    .replicas = 4,
    .instances = 1,
    .batch = 64,
    .batch_timeout_ns = 1000,
    .window = 8,
    .checkpoint_interval = 128,
    .view_timeout_ns = 250000000,
    .auth = AUTH_MAC,
    .request_auth = AUTH_MAC,
    .reply_auth = AUTH_MAC,
    .clients = 16,
    .retry_ns = 1000000,
    .app = APP_ECHO,
    .app_memory_mib = 64,
    .workload = WORKLOAD_ECHO,
    .seed = 1,
    .mtu = 1500,
};

static struct plan
plan_of(const struct options *options, uint32_t op_size_max, uint32_t result_size_max)
{
	struct plan plan;
	struct plan_input input = {
	    .options = options,
	    .protocol = options->replicas == 1 ? &single : &replicated,
	    .protocol_index = 3,
	    .client_nodes_count = 1,
	    .op_size_max = op_size_max,
	    .result_size_max = result_size_max,
	};
	memset(&plan, 0xee, sizeof(plan));
	plan_make(&plan, &input);
	return plan;
}

/* Bytes of a message with the largest proof of its kind. */
static uint64_t
message_size(uint64_t body_size, uint8_t proof, uint32_t replicas)
{
	uint8_t kind = proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : proof;
	return 64 + body_size + proof_size(kind, (uint16_t)replicas);
}

/* What every shard and protocol relies on. */
static void
expect_whole(const struct options *o, uint32_t op_size, uint32_t result_size)
{
	struct plan plan = plan_of(o, op_size, result_size);
	const struct protocol_config *p = &plan.protocol;
	uint64_t request = message_size(op_size, p->request_proof, o->replicas);
	uint64_t reply = message_size(p->result_size_max, p->reply_proof, o->replicas);
	uint64_t proposal = message_size(p->batch_size_max, PROOF_VECTOR, o->replicas);
	uint64_t room = plan.message_size_max > 0 ? plan.message_size_max : plan.envelope_size;
	CU_ASSERT_EQUAL(plan.envelope_size, o->mtu - PLAN_IP_UDP_SIZE);
	CU_ASSERT(plan.envelope_size >= ENVELOPE_SIZE_MIN);
	CU_ASSERT(plan.message_size_max == 0 || plan.message_size_max > plan.envelope_size);
	CU_ASSERT(plan.message_size_max <= LIMIT_MESSAGE_SIZE);
	CU_ASSERT_EQUAL(p->request_size_max, request);
	CU_ASSERT(request <= room);
	CU_ASSERT(reply <= room);
	CU_ASSERT(o->replicas == 1 || proposal <= room);
	CU_ASSERT(p->result_size_max >= result_size);
	CU_ASSERT(p->result_size_max >= EXECUTOR_RESULT_SIZE_MIN);
	CU_ASSERT(p->result_size_max <= APP_REPLY_SIZE_MAX);
	CU_ASSERT_EQUAL(p->batch_size_max % 8, 0);
	CU_ASSERT(p->batch_size_max >= batch_padded(p->request_size_max));
	/* As many as the options say, unless a proposal would be no message any more. */
	uint64_t wanted = (uint64_t)batch_padded(p->request_size_max) * o->batch;
	CU_ASSERT(p->batch_size_max <= wanted);
	CU_ASSERT(p->batch_size_max == wanted || proposal + 8 > LIMIT_MESSAGE_SIZE);
	/* A reply that fits an envelope needs no large buffer. */
	CU_ASSERT(plan.envelope_size > message_size(0, p->reply_proof, o->replicas));
	CU_ASSERT(plan.large_count >= 1 && plan.large_count <= OUTBOX_LARGE_MAX);
	/* Every peer is sure of a buffer: see assembler.h. */
	CU_ASSERT(plan.assemblies_count >= 2 * o->replicas);
	CU_ASSERT(plan.assemblies_count <= ASSEMBLER_BUFFERS_MAX);
	CU_ASSERT_EQUAL(plan.ring_size & (plan.ring_size - 1), 0);
	CU_ASSERT(plan.ring_size >= 1024 && plan.ring_size <= 1u << 17);
	/* Every replica's reply to every client has room at once. */
	uint64_t replies = (uint64_t)o->clients * o->replicas;
	CU_ASSERT(plan.ring_size >= (replies < 1u << 17 ? replies : 1u << 17));
	CU_ASSERT_EQUAL(plan.executor.result_size_max, p->result_size_max);
	CU_ASSERT_EQUAL(plan.executor.sessions.slots_count, o->clients);
	/* Large replies: a cell for every slot, or a ring where cells would be too much. */
	uint64_t ring_size = plan.executor.sessions.ring_size;
	uint64_t cell_size = plan.executor.sessions.cell_size;
	bool large = p->result_size_max > SESSION_INLINE_SIZE;
	CU_ASSERT_EQUAL(ring_size != 0 || cell_size != 0, large);
	CU_ASSERT(ring_size == 0 || cell_size == 0);
	CU_ASSERT(cell_size == 0 || cell_size >= p->result_size_max);
	CU_ASSERT(ring_size == 0 || ring_size >= 2 * (uint64_t)p->result_size_max);
	CU_ASSERT(cell_size * plan.protocol.slots_count <= PLAN_REPLIES_SIZE_MAX);
	CU_ASSERT(ring_size <= 256u << 20);
}

static void
extremes(void)
{
	static const uint32_t sizes[] = {
	    0, 8, 100, 1400, 9000, LIMIT_VALUE_SIZE, LIMIT_OPERATION_SIZE};
	static const uint32_t mtus[] = {LIMIT_MTU_MIN, 1500, LIMIT_MTU};
	static const uint32_t replicas[] = {1, 4, LIMIT_REPLICAS};
	static const uint32_t clients[] = {1, 1000, LIMIT_CLIENTS};
	static const uint32_t batches[] = {1, 64, LIMIT_BATCH_REQUESTS};
	static const enum auth auths[] = {AUTH_NONE, AUTH_MAC, AUTH_SIGN, AUTH_BATCH};
	for (uint32_t i = 0; i < 7 * 7 * 3 * 3 * 3 * 3 * 4; i++) {
		struct options o = usual;
		uint32_t rest = i;
		uint32_t op_size = sizes[rest % 7];
		uint32_t result_size = sizes[(rest /= 7) % 7];
		o.mtu = mtus[(rest /= 7) % 3];
		o.replicas = replicas[(rest /= 3) % 3];
		o.clients = clients[(rest /= 3) % 3];
		o.batch = batches[(rest /= 3) % 3];
		o.reply_auth = auths[(rest /= 3) % 4];
		o.request_auth = o.reply_auth == AUTH_BATCH ? AUTH_SIGN : o.reply_auth;
		o.instances = i % 2 == 0 ? 1 : LIMIT_INSTANCES;
		expect_whole(&o, op_size, result_size);
	}
}

static void
proofs_as_asked(void)
{
	struct options o = usual;
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.request_proof, PROOF_VECTOR);
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.reply_proof, PROOF_MAC);
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.protocol_proof, PROOF_VECTOR);
	o.replicas = 1;
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.request_proof, PROOF_MAC);
	o.request_auth = AUTH_SIGN;
	o.reply_auth = AUTH_SIGN;
	o.auth = AUTH_SIGN;
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.request_proof, PROOF_SIGNATURE);
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.reply_proof, PROOF_SIGNATURE);
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.protocol_proof, PROOF_SIGNATURE);
	o.request_auth = AUTH_NONE;
	o.reply_auth = AUTH_BATCH;
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.request_proof, PROOF_NONE);
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.reply_proof, PROOF_MERKLE);
	o.reply_auth = AUTH_NONE;
	CU_ASSERT_EQUAL(plan_of(&o, 8, 8).protocol.reply_proof, PROOF_NONE);
}

static void
options_come_through(void)
{
	struct options o = usual;
	o.instances = 3;
	o.adaptive = true;
	o.faults = 2;
	o.replicas = 7;
	o.checkpoint_interval = 32;
	struct plan plan = plan_of(&o, 100, 50);
	const struct protocol_config *p = &plan.protocol;
	CU_ASSERT_EQUAL(p->checkpoint_interval, 32);
	CU_ASSERT_EQUAL(p->view_timeout_ns, 250000000);
	CU_ASSERT_EQUAL(p->cluster, PLAN_CLUSTER);
	CU_ASSERT_EQUAL(p->protocol, 3);
	CU_ASSERT(p->batch_adaptive);
	CU_ASSERT_EQUAL(p->replicas_count, 7);
	CU_ASSERT_EQUAL(p->faults, 2);
	CU_ASSERT_EQUAL(p->instances_count, 3);
	CU_ASSERT_EQUAL(p->slots_count, 16);
	CU_ASSERT_EQUAL(p->batch_count_max, 64);
	CU_ASSERT_EQUAL(p->window, 8);
	CU_ASSERT_EQUAL(p->batch_timeout_ns, 1000);
	CU_ASSERT_EQUAL(p->retry_ns, 1000000);
	CU_ASSERT_EQUAL(plan.executor.scope.cluster, PLAN_CLUSTER);
	CU_ASSERT_EQUAL(plan.executor.scope.replicas_count, 7);
	CU_ASSERT_EQUAL(plan.executor.scope.protocol, 3);
	CU_ASSERT_STRING_EQUAL(plan.executor.app->name, "echo");
	CU_ASSERT_EQUAL(plan.executor.app_options.memory_size, 64u << 20);
}

/* Each switch alone, so that no two can be mixed up. */
static void
switches_come_through(void)
{
	for (uint32_t i = 0; i < 16; i++) {
		struct options o = usual;
		o.tentative = i & 1;
		o.reads = i >> 1 & 1;
		o.watch_primary = i >> 2 & 1;
		o.stable_leader = i >> 3 & 1;
		o.leader_offset = i & 1;
		struct plan plan = plan_of(&o, 100, 50);
		CU_ASSERT_EQUAL(plan.protocol.tentative, i & 1);
		CU_ASSERT_EQUAL(plan.protocol.reads, i >> 1 & 1);
		CU_ASSERT_EQUAL(plan.protocol.watch_primary, i >> 2 & 1);
		CU_ASSERT_EQUAL(plan.protocol.stable_leader, i >> 3 & 1);
		CU_ASSERT_EQUAL(plan.protocol.leaders_together, !(i & 1));
		CU_ASSERT_FALSE(plan.protocol.restarted);
	}
}

/* A longer interval: more history, and room for the messages that tell of a whole log. */
static void
intervals_have_their_history(void)
{
	static const uint32_t intervals[] = {8, 9, 128, LIMIT_CHECKPOINT_INTERVAL};
	uint32_t marks_before = 0;
	for (uint32_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
		struct options o = usual;
		o.checkpoint_interval = intervals[i];
		struct plan plan;
		struct plan_input input = {
		    .options = &o,
		    .protocol = &logs,
		    .client_nodes_count = 1,
		    .op_size_max = 8,
		    .result_size_max = 8,
		};
		plan_make(&plan, &input);
		CU_ASSERT_EQUAL(plan.protocol.checkpoint_interval, intervals[i]);
		CU_ASSERT(plan.executor.undo_count > 0);
		CU_ASSERT(plan.executor.undo_count <= PLAN_UNDO_COUNT_MAX);
		CU_ASSERT(plan.executor.marks_max >= 2 * intervals[i] + o.window);
		CU_ASSERT(plan.executor.marks_max > marks_before);
		CU_ASSERT(plan.message_size_max >= log_size_max(&plan.protocol));
		marks_before = plan.executor.marks_max;
	}
	/* Not replicated: neither checkpoints nor history. */
	struct options o = usual;
	o.replicas = 1;
	struct plan plan = plan_of(&o, 8, 8);
	CU_ASSERT_EQUAL(plan.protocol.checkpoint_interval, 0);
	CU_ASSERT_EQUAL(plan.executor.undo_count, 0);
}

/* Each slot belongs to one node, and the node's workload is told the same. */
static void
slots_are_shared_out(void)
{
	static const uint32_t clients[] = {1, 2, 5, 16, 63, 64, 65, 1000, LIMIT_CLIENTS};
	for (uint32_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct options o = usual;
		o.clients = clients[i];
		for (uint16_t nodes = 1; nodes <= LIMIT_CLIENT_NODES; nodes++) {
			struct plan plan;
			struct plan_input input = {
			    .options = &o,
			    .protocol = &replicated,
			    .client_nodes_count = nodes,
			    .op_size_max = 8,
			    .result_size_max = 8,
			};
			uint32_t next = 0;
			plan_make(&plan, &input);
			for (uint16_t node = 0; node < nodes; node++) {
				uint32_t count = plan_slots_count(&plan, &o, node);
				struct workload_config w = plan_workload(&o, node, nodes);
				CU_ASSERT_EQUAL(w.slots_count, count);
				CU_ASSERT_EQUAL(w.node_index, node);
				CU_ASSERT_EQUAL(w.nodes_count, nodes);
				if (count == 0)
					continue;
				CU_ASSERT_EQUAL(plan_slot_first(&plan, node), next);
				CU_ASSERT_EQUAL(w.slot_first, next);
				next += count;
			}
			CU_ASSERT_EQUAL(next, o.clients);
		}
	}
}

/* A process is told what the others have, and uses a part of its slots. */
static void
processes_have_their_places(void)
{
	enum { NODES = 3, STRIDE = 100, USED = 7 };
	struct options o = usual;
	struct plan plan;
	o.clients = USED;
	struct plan_input input = {
	    .options = &o,
	    .protocol = &replicated,
	    .client_nodes_count = NODES,
	    .op_size_max = 8,
	    .result_size_max = 8,
	    .cluster = 0xc1c2c3c4,
	    .slots_total = NODES * STRIDE,
	    .slots_stride = STRIDE,
	    .timestamp_first = 1ull << 60,
	};
	plan_make(&plan, &input);
	CU_ASSERT_EQUAL(plan.protocol.cluster, 0xc1c2c3c4);
	CU_ASSERT_EQUAL(plan.executor.scope.cluster, 0xc1c2c3c4);
	CU_ASSERT_EQUAL(plan.protocol.slots_count, NODES * STRIDE);
	CU_ASSERT_EQUAL(plan.executor.sessions.slots_count, NODES * STRIDE);
	CU_ASSERT_EQUAL(plan.protocol.timestamp_first, 1ull << 60);
	for (uint16_t node = 0; node < NODES; node++) {
		CU_ASSERT_EQUAL(plan_slot_first(&plan, node), STRIDE * node);
		CU_ASSERT_EQUAL(plan_slots_count(&plan, &o, node), USED);
	}
	CU_ASSERT_EQUAL(plan_slots_count(&plan, &o, NODES), 0);
}

static void
shards_of_replicas_and_clients(void)
{
	static const struct machine a, b;
	const struct protocol protocol = {.replica = &a, .client = &b};
	struct options o = usual;
	o.instances = 5;
	struct plan plan = plan_of(&o, LIMIT_VALUE_SIZE, 8);
	struct shard_config replica = plan_shard(&plan, &protocol, 4);
	struct shard_config client = plan_shard(&plan, &protocol, 0);
	CU_ASSERT_PTR_EQUAL(replica.machine, &a);
	CU_ASSERT_EQUAL(replica.machines_count, 5);
	CU_ASSERT_EQUAL(replica.own_mask, 4);
	CU_ASSERT_PTR_EQUAL(client.machine, &b);
	CU_ASSERT_EQUAL(client.machines_count, 1);
	CU_ASSERT_EQUAL(client.own_mask, 0);
	CU_ASSERT_EQUAL(client.message_size_max, plan.message_size_max);
	CU_ASSERT(client.message_size_max > LIMIT_VALUE_SIZE);
	CU_ASSERT_EQUAL(client.envelope_size, 1472);
	CU_ASSERT_EQUAL(client.large_count, plan.large_count);
	CU_ASSERT_EQUAL(client.assemblies_count, plan.assemblies_count);
	CU_ASSERT_PTR_EQUAL(client.protocol, &plan.protocol);
}

/* Who verifies a signature for each message takes few at once, so as to drop what it needs not. */
static void
bursts_are_short_where_signatures_come(void)
{
	struct options o = usual;
	struct plan plan = plan_of(&o, 8, 8);
	CU_ASSERT_EQUAL(plan.burst_max, SHARD_BURST_MAX);
	CU_ASSERT_EQUAL(plan.client_burst_max, SHARD_BURST_MAX);
	o.reply_auth = AUTH_SIGN;
	plan = plan_of(&o, 8, 8);
	CU_ASSERT_EQUAL(plan.burst_max, SHARD_BURST_MAX);
	CU_ASSERT_EQUAL(plan.client_burst_max, PLAN_BURST_SIGNED);
	o.replicas = 1;
	plan = plan_of(&o, 8, 8);
	CU_ASSERT_EQUAL(plan.burst_max, PLAN_BURST_SIGNED);
	CU_ASSERT_EQUAL(plan.client_burst_max, PLAN_BURST_SIGNED);
	o.reply_auth = AUTH_BATCH;
	plan = plan_of(&o, 8, 8);
	CU_ASSERT_EQUAL(plan.client_burst_max, SHARD_BURST_MAX);
}

static const struct unit_story stories[] = {
    {"extremes", extremes},
    {"proofs as asked", proofs_as_asked},
    {"options come through", options_come_through},
    {"switches come through", switches_come_through},
    {"intervals have their history", intervals_have_their_history},
    {"slots are shared out", slots_are_shared_out},
    {"processes have their places", processes_have_their_places},
    {"shards of replicas and clients", shards_of_replicas_and_clients},
    {"bursts are short where signatures come", bursts_are_short_where_signatures_come},
};

UNIT_MAIN("plan", stories)
