/* SPDX-License-Identifier: Apache-2.0 */
/* See replica.h. One core. */
#include "engine/replica.h"

#include <errno.h>

static void drain(void *owner);

static struct merge_options
merge_options(const struct replica_config *config)
{
	uint32_t queue_count = 1;
	while (queue_count < config->shard.protocol->window + 1)
		queue_count *= 2;
	return (struct merge_options){
	    .instances_count = (uint16_t)config->shard.machines_count,
	    .queue_count = queue_count,
	};
}

uint64_t
replica_memory(const struct replica_config *config)
{
	struct merge_options merge = merge_options(config);
	return sizeof(struct replica) + shard_memory(&config->shard) + merge_memory_size(&merge) +
	       executor_memory_size(&config->executor);
}

int
replica_open(struct replica *r, const struct replica_config *config)
{
	*r = (struct replica){0};
	struct merge_options options = merge_options(config);
	int error = merge_open(&r->merge, &options);
	if (error != 0)
		return error;
	error = executor_open(&r->executor, &config->executor);
	if (error != 0) {
		merge_close(&r->merge);
		return error;
	}
	struct shard_config shard = config->shard;
	shard.drain = drain;
	shard.owner = r;
	r->shard = shard_open(&shard);
	if (r->shard == NULL) {
		executor_close(&r->executor);
		merge_close(&r->merge);
		return -ENOMEM;
	}
	return 0;
}

void
replica_close(struct replica *r)
{
	shard_close(r->shard);
	executor_close(&r->executor);
	merge_close(&r->merge);
}

static void
recall_push(struct replica *r, uint32_t machine, const struct delivery *d)
{
	if (r->recalls_count == REPLICA_RECALLS_MAX) {
		r->counters.recalls_dropped++;
		return;
	}
	uint32_t index = (r->recalls_first + r->recalls_count++) % REPLICA_RECALLS_MAX;
	r->recalls[index] = (struct replica_recall){machine, d->client, d->timestamp};
}

/* What the machines have delivered goes to the merge; recalls stand in line. */
static void
deliveries_take(struct replica *r)
{
	struct outbox *out = &r->shard->outbox;
	for (uint32_t i = 0; i < out->deliveries_count; i++) {
		const struct delivery *d = &out->deliveries[i];
		if (d->kind == DELIVERY_RECALL) {
			recall_push(r, d->instance, d);
			continue;
		}
		check(d->kind == DELIVERY_BATCH);
		/* The queue holds a whole window, which the protocol promised to keep to. */
		bool pushed = merge_push(&r->merge, d->instance, d);
		check(pushed);
	}
	out->deliveries_count = 0;
	r->shard->frontier = r->merge.frontier;
}

/* How many of the waiting results can be stepped at once, by envelopes and large buffers. */
static uint32_t
results_that_fit(struct replica *r)
{
	const struct outbox *out = &r->shard->outbox;
	const struct machine *m = r->shard->config.machine;
	uint32_t small = out->sends_ready - out->sends_count - m->sends_per_step;
	uint32_t large = out->large_ready - out->large_count - m->large_per_step;
	uint32_t inline_max = r->shard->result_inline_max;
	uint32_t count = 0;
	while (r->results_next + count < r->results_count && count < small) {
		if (r->results[r->results_next + count].size > inline_max && large-- == 0)
			break;
		count++;
	}
	return count;
}

/* Steps all waiting results. False: no envelopes, they wait on. */
static bool
results_step(struct replica *r)
{
	while (r->results_next < r->results_count) {
		uint32_t count = shard_room(r->shard, 0) ? results_that_fit(r) : 0;
		if (count == 0) {
			shard_flush(r->shard);
			count = shard_room(r->shard, 0) ? results_that_fit(r) : 0;
		}
		if (count == 0)
			return false;
		struct event event = {
		    .type = EVENT_EXECUTED,
		    .now_ns = r->shard->now_ns,
		    .frontier = r->shard->frontier,
		    .executed = {.seq = r->results_seq,
			.results = r->results + r->results_next,
			.results_count = count},
		};
		r->results_next += count;
		shard_step(r->shard, r->results_machine, &event);
	}
	return true;
}

/* The batch is done: its memory goes back to the protocol, with a digest if it asked. */
static bool
batch_finish(struct replica *r)
{
	uint8_t digest32[DIGEST_SIZE];
	if (!shard_room(r->shard, 0))
		return false;
	if (r->batch.checkpoint)
		executor_checkpoint(&r->executor, r->position, digest32);
	struct event event = {
	    .type = EVENT_EXECUTED,
	    .now_ns = r->shard->now_ns,
	    .frontier = r->shard->frontier,
	    .executed = {.seq = r->batch.seq,
		.state_digest32 = r->batch.checkpoint ? digest32 : NULL,
		.last = true},
	};
	r->running = false;
	shard_step(r->shard, r->machine, &event);
	return true;
}

/* Goes on with the batch in execution. False: blocked. */
static bool
batch_run(struct replica *r)
{
	while (!r->finishing) {
		r->results_next = 0;
		r->results_seq = r->batch.seq;
		r->results_machine = r->machine;
		r->results_count = executor_next(&r->executor, r->results, REPLICA_RESULTS_MAX);
		r->finishing = r->results_count == 0;
		if (!results_step(r))
			return false;
	}
	return batch_finish(r);
}

static bool
batch_begin(struct replica *r)
{
	uint16_t instance;
	const struct delivery *d = merge_pop(&r->merge, &instance, &r->position);
	if (d == NULL)
		return false;
	r->batch = *d;
	r->machine = instance;
	r->running = true;
	r->finishing = false;
	struct executor_batch batch = {
	    .position = r->position,
	    .data = d->batch,
	    .valid = d->valid,
	    .size = d->batch_size,
	};
	executor_begin(&r->executor, &batch);
	return true;
}

static bool
recall_begin(struct replica *r)
{
	while (r->recalls_count > 0) {
		struct replica_recall recall = r->recalls[r->recalls_first];
		r->recalls_first = (r->recalls_first + 1) % REPLICA_RECALLS_MAX;
		r->recalls_count--;
		if (!executor_recall(&r->executor, recall.client, recall.timestamp, &r->results[0]))
			continue;
		r->results_seq = 0;
		r->results_machine = recall.machine;
		r->results_next = 0;
		r->results_count = 1;
		return true;
	}
	return false;
}

/* An instance whose siblings are ahead fills its slot, so the merge never waits on silence. */
static bool
idle_fill(struct replica *r)
{
	bool any = false;
	if (r->merge.instances_count == 1)
		return false;
	for (uint32_t i = 0; i < r->merge.instances_count; i++) {
		if (r->merge.slots_next[i] > r->merge.frontier || !shard_room(r->shard, 0))
			continue;
		struct event event = {
		    .type = EVENT_TIMEOUT,
		    .now_ns = r->shard->now_ns,
		    .frontier = r->merge.frontier,
		};
		uint32_t before = r->shard->outbox.deliveries_count;
		shard_step(r->shard, i, &event);
		any |= r->shard->outbox.deliveries_count > before;
	}
	return any;
}

/* Executes as far as deliveries and envelopes go. */
static void
drain(void *owner)
{
	struct replica *r = owner;
	for (;;) {
		deliveries_take(r);
		if (!results_step(r))
			break;
		if (r->running) {
			if (!batch_run(r))
				break;
			continue;
		}
		if (!recall_begin(r) && !batch_begin(r) && !idle_fill(r))
			return;
	}
	r->counters.blocked++;
}

uint64_t
replica_deadline(const struct replica *r)
{
	/* What waits for envelopes is looked at again in the next round. */
	bool waiting = r->running || r->results_next < r->results_count || r->recalls_count > 0;
	return waiting ? r->shard->now_ns : shard_deadline(r->shard);
}
