/* SPDX-License-Identifier: Apache-2.0 */
/* See pillar.h. One core. */
#include "engine/pillar.h"

#include <errno.h>

/* What lacks envelopes or a parcel is tried again after so long. */
#define BLOCKED_RETRY_NS 100000ull

enum { PARCELS_BURST = 8 }; /* whose answers are stepped in one burst */

static void drain(void *owner);

static struct shard_config
shard_config(const struct pillar_config *config)
{
	struct shard_config shard = config->shard;
	uint32_t instances = shard.protocol->instances_count;
	check(config->index < config->pillars_count && config->pillars_count <= instances);
	shard.instance_first = config->index;
	shard.instance_stride = config->pillars_count;
	shard.machines_count =
	    (instances - config->index + config->pillars_count - 1) / config->pillars_count;
	shard.drain = drain;
	return shard;
}

uint64_t
pillar_memory(const struct pillar_config *config)
{
	struct shard_config shard = shard_config(config);
	return sizeof(struct pillar) + shard_memory(&shard);
}

int
pillar_open(struct pillar *p, const struct pillar_config *config)
{
	struct shard_config shard = shard_config(config);
	*p = (struct pillar){
	    .link = config->link,
	    .index = config->index,
	    .pillars_count = config->pillars_count,
	    .instances_count = shard.protocol->instances_count,
	};
	for (uint32_t i = 0; i < shard.machines_count; i++)
		p->machines[i].slot_next = 1;
	shard.owner = p;
	p->shard = shard_open(&shard);
	return p->shard == NULL ? -ENOMEM : 0;
}

void
pillar_close(struct pillar *p)
{
	shard_close(p->shard);
	p->shard = NULL;
}

static struct pillar_machine *
machine_of(struct pillar *p, uint32_t instance)
{
	check(instance % p->pillars_count == p->index);
	return &p->machines[instance / p->pillars_count];
}

/* ---- deliveries -------------------------------------------------------- */

static void
parcel_send(struct pillar *p)
{
	struct lane *lane = &p->link->deliveries;
	p->giving->read = 0;
	p->counters.parcels++;
	lane->give(lane->self, p->giving);
	p->giving = NULL;
}

/* NULL: the executor has all of them. */
static struct parcel *
parcel_for(struct pillar *p, uint32_t size)
{
	struct lane *empty = &p->link->deliveries_empty;
	if (p->giving != NULL && parcel_room(p->giving) >= size)
		return p->giving;
	if (p->giving != NULL)
		parcel_send(p);
	p->giving = empty->take(empty->self);
	if (p->giving == NULL)
		p->counters.waits++;
	else
		p->giving->used = 0;
	return p->giving;
}

/* What follows from it for what may be heard of the machine's. */
static void
delivery_note(struct pillar_machine *machine, const struct delivery *d)
{
	if (d->kind == DELIVERY_BATCH)
		machine->slot_next = d->seq + 1;
	else if (d->kind == DELIVERY_TRANSFER)
		machine->asks++;
}

/* False: no parcel. */
static bool
delivery_give(struct pillar *p, const struct delivery *d)
{
	uint32_t op_size = d->kind == DELIVERY_READ ? d->batch_size : 0;
	uint32_t size = (uint32_t)sizeof(struct parcel_delivery) + parcel_padded(op_size);
	struct pillar_machine *machine = machine_of(p, d->instance);
	check(d->kind != DELIVERY_ROLLBACK);
	if (size > p->link->size) {
		p->counters.reads_dropped++;
		return true;
	}
	struct parcel *parcel = parcel_for(p, size);
	if (parcel == NULL)
		return false;
	struct parcel_delivery *record = parcel_add(parcel, sizeof(*record));
	*record = (struct parcel_delivery){.delivery = *d, .moves = machine->moves};
	delivery_note(machine, d);
	if (d->kind == DELIVERY_READ) {
		uint8_t *op = parcel_add(parcel, op_size);
		if (op_size > 0)
			memcpy(op, d->batch, op_size);
		record->delivery.batch = op;
	}
	return true;
}

/* What others have delivered, as far as is known, and what was delivered here. */
static void
frontier_set(struct pillar *p)
{
	uint64_t frontier = p->told;
	for (uint32_t i = 0; i < p->shard->config.machines_count; i++) {
		uint64_t delivered = p->machines[i].slot_next - 1;
		frontier = delivered > frontier ? delivered : frontier;
	}
	p->shard->frontier = frontier;
}

/* Gives the executor what the machines have delivered. False: some has to wait. */
static bool
deliveries_give(struct pillar *p)
{
	struct outbox *out = &p->shard->outbox;
	uint32_t given = 0;
	if (out->deliveries_count == 0)
		return true;
	while (given < out->deliveries_count && delivery_give(p, &out->deliveries[given]))
		given++;
	out->deliveries_count -= given;
	memmove(out->deliveries, out->deliveries + given,
	    out->deliveries_count * sizeof(out->deliveries[0]));
	frontier_set(p);
	return out->deliveries_count == 0;
}

/* ---- answers ----------------------------------------------------------- */

static void
record_end(struct pillar *p)
{
	struct lane *empty = &p->link->answers_empty;
	p->reading->read += p->record_size;
	p->record_size = 0;
	if (p->reading->read < p->reading->used)
		return;
	empty->give(empty->self, p->reading);
	p->reading = NULL;
}

static void
last_step(struct pillar *p, const struct parcel_answer *answer)
{
	struct event event = {
	    .type = EVENT_EXECUTED,
	    .now_ns = p->shard->now_ns,
	    .frontier = p->shard->frontier,
	    .executed = {.seq = answer->seq,
		.state_digest32 = answer->checkpoint ? answer->digest32 : NULL,
		.last = true},
	};
	shard_step(p->shard, answer->instance / p->pillars_count, &event);
}

static void
state_step(struct pillar *p, const struct parcel_answer *answer)
{
	struct pillar_machine *machine = machine_of(p, answer->instance);
	/* What the machine delivers in this step comes after the move. */
	machine->moves = answer->moves;
	machine->slot_next = answer->seq + 1;
	struct event event = {
	    .type = EVENT_STATE,
	    .now_ns = p->shard->now_ns,
	    .frontier = p->shard->frontier,
	    .moved = {.seq = answer->seq,
		.done = answer->done,
		.state_digest32 = answer->checkpoint ? answer->digest32 : NULL},
	};
	shard_step(p->shard, answer->instance / p->pillars_count, &event);
}

/* Begins the next record: what is not of results is done with then. False: no room. */
static bool
record_begin(struct pillar *p)
{
	const struct parcel_answer *answer = (const void *)(p->reading->bytes + p->reading->read);
	const struct pillar_machine *machine = machine_of(p, answer->instance);
	/* A reply from the cache, or to a read, is not of a batch. */
	bool alone = answer->kind == PARCEL_RESULTS && answer->seq == 0;
	p->record_size = answer->size;
	if (answer->asks != machine->asks && !alone) {
		p->counters.outdated++;
		record_end(p);
		return true;
	}
	if (answer->kind == PARCEL_RESULTS) {
		p->slice = (struct slice){
		    .seq = answer->seq,
		    .machine = answer->instance / p->pillars_count,
		    .count = answer->results_count,
		    .list = (const void *)(answer + 1),
		};
		return true;
	}
	if (!shard_room(p->shard, 0)) {
		p->record_size = 0;
		return false;
	}
	if (answer->kind == PARCEL_LAST)
		last_step(p, answer);
	else
		state_step(p, answer);
	record_end(p);
	return true;
}

/* An instance whose siblings are ahead fills its slot, so the merge never waits on silence. */
static bool
idle_fill(struct pillar *p)
{
	bool any = false;
	if (p->instances_count == 1)
		return false;
	for (uint32_t i = 0; i < p->shard->config.machines_count; i++) {
		if (p->machines[i].slot_next > p->shard->frontier || !shard_room(p->shard, 0))
			continue;
		struct event event = {
		    .type = EVENT_TIMEOUT,
		    .now_ns = p->shard->now_ns,
		    .frontier = p->shard->frontier,
		};
		uint32_t before = p->shard->outbox.deliveries_count;
		shard_step(p->shard, i, &event);
		any |= p->shard->outbox.deliveries_count > before;
	}
	return any;
}

enum progress { PROGRESS_MADE, PROGRESS_BLOCKED, PROGRESS_DONE };

/* The next piece of work. `parcels`: how many more may be begun in this burst. */
static enum progress
work(struct pillar *p, uint32_t *parcels)
{
	/* What is answered is judged by what has been asked for: all of that must have gone. */
	if (!deliveries_give(p))
		return PROGRESS_BLOCKED;
	if (p->record_size > 0) {
		if (!slice_step(&p->slice, p->shard))
			return PROGRESS_BLOCKED;
		record_end(p);
		return PROGRESS_MADE;
	}
	if (!pillar_ready(p) || (*parcels == 0 && p->reading->read == 0))
		return idle_fill(p) ? PROGRESS_MADE : PROGRESS_DONE;
	if (p->reading->read == 0) {
		*parcels -= 1;
		p->told = p->reading->frontier;
		frontier_set(p);
	}
	/* With news of the frontier alone it is empty. */
	if (p->reading->used == 0)
		record_end(p);
	else if (!record_begin(p))
		return PROGRESS_BLOCKED;
	return PROGRESS_MADE;
}

static void
drain(void *owner)
{
	struct pillar *p = owner;
	uint32_t parcels = PARCELS_BURST;
	enum progress progress;
	do {
		progress = work(p, &parcels);
		/* The steps' own deliveries may have been what was in the way. */
	} while (progress == PROGRESS_MADE ||
		 (progress == PROGRESS_DONE && p->shard->outbox.deliveries_count > 0));
	p->blocked = progress == PROGRESS_BLOCKED;
	p->more = parcels == 0;
	p->counters.blocked += p->blocked;
	if (p->giving != NULL)
		parcel_send(p);
}

/* The bytes of those that found no parcel are gone with the burst: their clients ask again. */
static void
reads_drop(struct pillar *p)
{
	struct outbox *out = &p->shard->outbox;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < out->deliveries_count; i++) {
		if (out->deliveries[i].kind == DELIVERY_READ)
			p->counters.reads_dropped++;
		else
			out->deliveries[kept++] = out->deliveries[i];
	}
	out->deliveries_count = kept;
}

uint32_t
pillar_run(struct pillar *p, uint64_t now_ns, const struct datagram *list, uint32_t count)
{
	uint64_t stepped = p->counters.parcels;
	bool answers = p->reading != NULL;
	uint32_t steps = shard_run(p->shard, now_ns, list, count);
	if (p->shard->outbox.deliveries_count > 0)
		reads_drop(p);
	return steps + answers + (uint32_t)(p->counters.parcels - stepped);
}

uint64_t
pillar_deadline(const struct pillar *p)
{
	uint64_t now_ns = p->shard->now_ns;
	uint64_t at_ns = shard_deadline(p->shard);
	if (p->more)
		return now_ns;
	if (p->blocked && now_ns + BLOCKED_RETRY_NS < at_ns)
		return now_ns + BLOCKED_RETRY_NS;
	return at_ns;
}
