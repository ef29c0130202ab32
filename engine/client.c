/* SPDX-License-Identifier: Apache-2.0 */
/* See client.h. One core. */
#include "engine/client.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/phases.h"

static void drain(void *owner);

static uint32_t
op_stride(const struct client_config *config)
{
	return (workload_op_size_max(config->workload) + 63u) & ~63u;
}

uint64_t
client_memory(const struct client_config *config)
{
	uint64_t slot_size = sizeof(uint32_t) + sizeof(struct client_slot) + op_stride(config);
	return sizeof(struct client) + shard_memory(&config->shard) +
	       slot_size * config->shard.protocol->slots_count;
}

int
client_open(struct client *c, const struct client_config *config)
{
	*c = (struct client){0};
	histogram_init(&c->latency);
	c->workload = config->workload;
	c->slot_first = config->shard.protocol->slot_first;
	c->slots_count = config->shard.protocol->slots_count;
	c->interval_ns = config->rate > 0 ? 1e9 / config->rate : 0;
	c->op_stride = op_stride(config);
	c->idle = calloc(c->slots_count, sizeof(*c->idle));
	c->slots = calloc(c->slots_count, sizeof(*c->slots));
	c->ops = calloc((size_t)c->slots_count, c->op_stride > 0 ? c->op_stride : 1);
	struct shard_config shard = config->shard;
	shard.drain = drain;
	shard.owner = c;
	shard.machines_count = 1;
	c->shard = shard_open(&shard);
	if (c->idle == NULL || c->slots == NULL || c->ops == NULL || c->shard == NULL) {
		client_close(c);
		return -ENOMEM;
	}
	c->idle_count = c->slots_count;
	for (uint32_t i = 0; i < c->slots_count; i++)
		c->idle[i] = c->slots_count - 1 - i;
	return 0;
}

void
client_close(struct client *c)
{
	shard_close(c->shard);
	free(c->idle);
	free(c->slots);
	free(c->ops);
	*c = (struct client){0};
}

void
client_phase_set(struct client *c, enum client_phase phase, uint64_t now_ns)
{
	bool running = c->phase == CLIENT_WARM || c->phase == CLIENT_MEASURE;
	if (!running)
		c->next_start_ns = (double)now_ns;
	c->phase = phase;
}

static void
answer_judge(struct client *c, const struct completion *done)
{
	if (done->lost) {
		c->counters.lost++;
		return;
	}
	switch (workload_check(c->workload, done->slot, done->data, done->size)) {
	case WORKLOAD_RIGHT:
		break;
	case WORKLOAD_WRONG:
		c->counters.wrong++;
		break;
	case WORKLOAD_REFUSED:
		c->counters.refused++;
		break;
	}
}

/* Takes the answers out of the outbox. */
static void
drain(void *owner)
{
	struct client *c = owner;
	struct outbox *out = &c->shard->outbox;
	enum phase before = phase_enter(PHASE_CLIENT);
	for (uint32_t i = 0; i < out->completions_count; i++) {
		const struct completion *done = &out->completions[i];
		uint32_t index = done->slot - c->slot_first;
		struct client_slot *slot = &c->slots[index];
		answer_judge(c, done);
		c->counters.completed++;
		c->counters.loaded += slot->loading;
		if (c->phase == CLIENT_MEASURE) {
			c->counters.measured++;
			histogram_record(&c->latency, c->shard->now_ns - slot->started_ns);
		}
		check(c->idle_count < c->slots_count);
		c->idle[c->idle_count++] = index;
	}
	out->completions_count = 0;
	phase_enter(before);
}

/* May an operation start now? Takes its place in the open loop's schedule. */
static bool
start_due(struct client *c, uint64_t *started_ns)
{
	*started_ns = c->shard->now_ns;
	switch (c->phase) {
	case CLIENT_IDLE:
		return false;
	case CLIENT_LOAD:
		return !c->load_done;
	case CLIENT_WARM:
	case CLIENT_MEASURE:
		break;
	}
	if (c->interval_ns <= 0)
		return true;
	uint64_t next_ns = (uint64_t)c->next_start_ns; /* whole, as client_deadline() has it */
	if (next_ns > c->shard->now_ns)
		return false;
	*started_ns = next_ns;
	c->next_start_ns += c->interval_ns;
	return true;
}

/* Asks for as many operations as are due and there is room for. */
static uint32_t
operations_start(struct client *c)
{
	uint32_t started = 0;
	uint64_t started_ns;
	while (c->idle_count > 0 && shard_room(c->shard, 0) && start_due(c, &started_ns)) {
		uint32_t index = c->idle[c->idle_count - 1];
		uint16_t slot = (uint16_t)(c->slot_first + index);
		struct workload_op op = {
		    .data = c->ops + (size_t)index * c->op_stride,
		    .capacity = c->op_stride,
		};
		bool loading = c->phase == CLIENT_LOAD;
		if (!loading)
			workload_next(c->workload, slot, &op);
		else if (!workload_load_next(c->workload, slot, &op)) {
			c->load_done = true;
			break;
		}
		c->idle_count--;
		c->slots[index] = (struct client_slot){started_ns, loading};
		struct event event = {
		    .type = EVENT_SUBMIT,
		    .now_ns = c->shard->now_ns,
		    .submit = {op.data, op.size, slot, op.read_only},
		};
		shard_step(c->shard, 0, &event);
		started++;
	}
	return started;
}

uint32_t
client_run(struct client *c, uint64_t now_ns, const struct datagram *list, uint32_t count)
{
	uint32_t steps = shard_run(c->shard, now_ns, list, count);
	phase_enter(PHASE_CLIENT);
	uint32_t started = operations_start(c);
	if (started > 0)
		shard_flush(c->shard);
	return steps + started;
}

uint64_t
client_deadline(const struct client *c)
{
	uint64_t at_ns = shard_deadline(c->shard);
	bool loading = c->phase == CLIENT_LOAD && !c->load_done;
	bool running = c->phase == CLIENT_WARM || c->phase == CLIENT_MEASURE;
	if (c->idle_count == 0 || (!loading && !running))
		return at_ns;
	bool timed = running && c->interval_ns > 0;
	uint64_t next_ns = timed ? (uint64_t)c->next_start_ns : c->shard->now_ns;
	return next_ns < at_ns ? next_ns : at_ns;
}
