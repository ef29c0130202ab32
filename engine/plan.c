/* SPDX-License-Identifier: Apache-2.0 */
/* See plan.h. */
#include "engine/plan.h"

#include "engine/check.h"
#include "engine/transfer.h"

static uint8_t
request_proof(const struct options *options)
{
	switch (options->request_auth) {
	case AUTH_MAC:
		return options->replicas == 1 ? PROOF_MAC : PROOF_VECTOR;
	case AUTH_SIGN:
		return PROOF_SIGNATURE;
	default:
		return PROOF_NONE;
	}
}

static uint8_t
reply_proof(const struct options *options)
{
	switch (options->reply_auth) {
	case AUTH_MAC:
		return PROOF_MAC;
	case AUTH_SIGN:
		return PROOF_SIGNATURE;
	case AUTH_BATCH:
		return PROOF_MERKLE;
	default:
		return PROOF_NONE;
	}
}

static uint32_t
message_size(uint32_t body_size, uint8_t proof, uint32_t replicas)
{
	uint8_t kind = proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : proof;
	return (uint32_t)sizeof(struct message_header) + body_size +
	       proof_size(kind, (uint16_t)replicas);
}

static uint32_t
power_of_two(uint32_t at_least)
{
	uint32_t size = 1;
	while (size < at_least)
		size *= 2;
	return size;
}

static uint32_t
smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t
larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Bytes of a proposal beside its header, batch and proof. */
static uint32_t
proposal_head_size(const struct protocol_config *config, const struct protocol *protocol)
{
	if ((protocol->flags & PROTOCOL_SINGLE) || protocol->replica->proposal_head_size == NULL)
		return 0;
	return protocol->replica->proposal_head_size(config);
}

static void
plan_protocol(struct plan *plan, const struct plan_input *input)
{
	const struct options *o = input->options;
	struct protocol_config *p = &plan->protocol;
	*p = (struct protocol_config){
	    .cluster = input->cluster != 0 ? input->cluster : PLAN_CLUSTER,
	    .protocol = input->protocol_index,
	    .batch_adaptive = o->adaptive,
	    .replicas_count = (uint16_t)o->replicas,
	    .faults = (uint16_t)o->faults,
	    .instances_count = (uint16_t)o->instances,
	    .slots_count = plan->slots_total,
	    .timestamp_first = input->timestamp_first,
	    .request_proof = request_proof(o),
	    .protocol_proof = o->auth == AUTH_SIGN ? PROOF_SIGNATURE : PROOF_VECTOR,
	    .reply_proof = reply_proof(o),
	    .batch_count_max = o->batch,
	    .window = o->window,
	    .tentative = o->tentative,
	    .reads = o->reads,
	    .watch_primary = o->watch_primary,
	    .stable_leader = o->stable_leader,
	    .leaders_together = o->leader_offset == 0,
	    .wait_all = o->wait_all,
	    .view_timeout_ns = o->view_timeout_ns,
	    .batch_timeout_ns = o->batch_timeout_ns,
	    .retry_ns = o->retry_ns,
	};
	p->request_size_max = message_size(input->op_size_max, p->request_proof, o->replicas);
	p->result_size_max = larger(input->result_size_max, EXECUTOR_RESULT_SIZE_MIN);
	/* A batch, with its own header, head and proof, is a message. */
	uint32_t request = batch_padded(p->request_size_max);
	uint32_t head = proposal_head_size(p, input->protocol);
	uint32_t room = (LIMIT_MESSAGE_SIZE - message_size(head, PROOF_VECTOR, o->replicas)) & ~7u;
	p->batch_size_max = larger(request,
	    (uint32_t)smaller(
		room, (uint32_t)((uint64_t)request * o->batch > room ? room : request * o->batch)));
}

static void
plan_executor(struct plan *plan, const struct plan_input *input)
{
	const struct options *o = input->options;
	const struct app *app = app_find(options_app_name(o->app));
	check(app != NULL);
	uint32_t result_size_max = plan->protocol.result_size_max;
	/* A slot's last reply can be asked for again: a cell each, or a ring for all. */
	uint32_t cell_size =
	    result_size_max > SESSION_INLINE_SIZE ? (result_size_max + 63) & ~63u : 0;
	uint64_t ring_size = 0;
	if ((uint64_t)cell_size * plan->slots_total > PLAN_REPLIES_SIZE_MAX) {
		cell_size = 0;
		ring_size = PLAN_REPLIES_SIZE_MAX;
	}
	plan->executor = (struct executor_options){
	    .app = app,
	    .app_options =
		{
		    .memory_size = (uint64_t)o->app_memory_mib << 20,
		    .reply_size = o->reply_size,
		    .hash_seed = o->seed ^ PLAN_HASH_SEED_SALT,
		},
	    .sessions =
		{
		    .slots_count = plan->slots_total,
		    .ring_size = ring_size,
		    .cell_size = cell_size,
		},
	    .scope =
		{
		    .cluster = plan->protocol.cluster,
		    .replicas_count = (uint16_t)o->replicas,
		    .protocol = input->protocol_index,
		},
	    .result_size_max = result_size_max,
	    .marks_max = 2,
	    .huge_pages = true,
	};
}

/*
 * History: back to the stable checkpoint, a log behind, every batch may have a
 * mark, and its pages are copied once. Past the bound the oldest go, which the
 * executor says of a rollback and a peer of a checkpoint: then transfer serves.
 */
static void
plan_history(struct plan *plan)
{
	const struct protocol_config *p = &plan->protocol;
	struct executor_options *e = &plan->executor;
	uint64_t batches = PLAN_CHECKPOINTS_SPANNED * p->checkpoint_interval + p->window;
	uint64_t bytes = session_region_size(&e->sessions) + e->app->region_size(&e->app_options);
	uint64_t region = bytes / STATE_PAGE_SIZE + 4;
	uint64_t request =
	    PLAN_BLOCKS_PER_REQUEST + (p->request_size_max + p->result_size_max) / STATE_PAGE_SIZE;
	uint64_t batch = 1 + p->batch_count_max * request;
	/* A thirty-second of the pages, and so on: the digest tree's blocks. */
	uint64_t undo = (batch < region ? batch : region) * batches;
	undo += undo / 16 + 64;
	e->undo_count = undo < PLAN_UNDO_COUNT_MAX ? (uint32_t)undo : PLAN_UNDO_COUNT_MAX;
	e->marks_max = (uint32_t)batches + PLAN_CHECKPOINTS_SPANNED + 2;
}

/* Bytes of the largest message that any node may have to send. */
static uint32_t
message_size_max(const struct plan *plan, const struct plan_input *input)
{
	const struct protocol_config *p = &plan->protocol;
	const struct machine *machine = input->protocol->replica;
	uint32_t replicas = p->replicas_count;
	uint32_t largest = larger(p->request_size_max,
	    message_size(machine->reply_head_size + p->result_size_max, p->reply_proof, replicas));
	if (input->protocol->flags & PROTOCOL_SINGLE)
		return largest;
	uint32_t head = proposal_head_size(p, input->protocol);
	largest = larger(largest, p->batch_size_max + message_size(head, PROOF_VECTOR, replicas));
	largest = larger(largest, transfer_message_size(p));
	if (machine->message_size_max != NULL)
		largest = larger(largest, machine->message_size_max(p));
	check(largest <= LIMIT_MESSAGE_SIZE);
	return largest;
}

/*
 * A burst may bring a whole message with every second datagram, all of one
 * primary, and each keeps its buffer until the burst's end: so many for every
 * replica, and as many for all clients, where memory allows.
 */
static uint32_t
assemblies_count(const struct plan *plan, uint32_t replicas)
{
	uint32_t wanted = 2 * replicas * (SHARD_BURST_MAX / 2 + 2);
	uint32_t least = larger(16, 2 * replicas);
	uint32_t fit = plan->message_size_max == 0
			   ? least
			   : (uint32_t)(PLAN_ASSEMBLIES_SIZE_MAX / plan->message_size_max);
	return smaller(larger(smaller(wanted, fit), least), ASSEMBLER_BUFFERS_MAX);
}

void
plan_make(struct plan *plan, const struct plan_input *input)
{
	const struct options *o = input->options;
	*plan = (struct plan){0};
	plan->slots_total = input->slots_total != 0 ? input->slots_total : o->clients;
	plan_protocol(plan, input);
	plan_executor(plan, input);
	if (!(input->protocol->flags & PROTOCOL_SINGLE)) {
		plan->protocol.checkpoint_interval = o->checkpoint_interval;
		check(o->checkpoint_interval >= o->window);
		plan_history(plan);
	}
	const struct protocol_config *p = &plan->protocol;
	plan->envelope_size = plan_envelope_size(o);
	uint32_t largest = message_size_max(plan, input);
	plan->message_size_max = largest > plan->envelope_size ? largest : 0;
	/* A replicated protocol shares the cost of agreement over what a burst brings. Its
	   clients need f + 1 replies of n: once those are in, the rest is dropped unverified,
	   but what comes in one burst is verified together. */
	bool signed_each = p->request_proof == PROOF_SIGNATURE || p->reply_proof == PROOF_SIGNATURE;
	bool single = (input->protocol->flags & PROTOCOL_SINGLE) != 0;
	uint32_t burst_signed = smaller(PLAN_BURST_SIGNED * (1 + o->helpers), SHARD_BURST_MAX);
	plan->burst_max = signed_each && single ? burst_signed : SHARD_BURST_MAX;
	plan->client_burst_max = p->reply_proof == PROOF_SIGNATURE ? burst_signed : plan->burst_max;
	plan->large_count = OUTBOX_LARGE_MAX;
	plan->pillars_count = (uint16_t)o->pillars;
	plan->assemblies_count = assemblies_count(plan, o->replicas);
	plan->ring_size = plan_ring_size(o);
	plan->slots_per_node =
	    input->slots_stride != 0
		? input->slots_stride
		: (plan->slots_total + input->client_nodes_count - 1) / input->client_nodes_count;
}

/*
 * Replicas that share an lcore send their clients' replies through one ring: with
 * closed loops it cannot overflow, or what is lost waits for retransmissions.
 */
uint32_t
plan_ring_size(const struct options *options)
{
	uint32_t replies = options->clients * larger(options->replicas, 2);
	return smaller(larger(power_of_two(replies), 1024), 1u << 17);
}

uint32_t
plan_envelope_size(const struct options *options)
{
	return options->mtu - PLAN_IP_UDP_SIZE;
}

uint32_t
plan_slots_count(const struct plan *plan, const struct options *options, uint16_t index)
{
	uint32_t first = plan_slot_first(plan, index);
	/* A client node need not use all that it may: none asks for more than the options say. */
	uint32_t most = smaller(plan->slots_per_node, options->clients);
	return first < plan->slots_total ? smaller(most, plan->slots_total - first) : 0;
}

struct workload_config
plan_workload(const struct options *options, uint16_t index, uint16_t client_nodes_count)
{
	uint32_t per_node = (options->clients + client_nodes_count - 1) / client_nodes_count;
	uint32_t first = per_node * index;
	return (struct workload_config){
	    .name = options_workload_name(options->workload),
	    .distribution = options_distribution_name(options->distribution),
	    .seed = options->seed,
	    .slot_first = (uint16_t)first,
	    .slots_count =
		first < options->clients ? smaller(per_node, options->clients - first) : 0,
	    .node_index = index,
	    .nodes_count = client_nodes_count,
	    .request_size = options->request_size,
	    .reply_size = options->reply_size,
	    .records_count = options->records,
	    .value_size = options->record_size,
	};
}

struct shard_config
plan_shard(const struct plan *plan, const struct protocol *protocol, uint64_t own_mask)
{
	return (struct shard_config){
	    .machine = own_mask != 0 ? protocol->replica : protocol->client,
	    .protocol = &plan->protocol,
	    .machines_count = own_mask != 0 ? plan->protocol.instances_count : 1,
	    .own_mask = own_mask,
	    .envelope_size = plan->envelope_size,
	    .message_size_max = plan->message_size_max,
	    .large_count = plan->large_count,
	    .assemblies_count = plan->assemblies_count,
	};
}
