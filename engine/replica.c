/* SPDX-License-Identifier: Apache-2.0 */
/* See replica.h. One core. */
#include "engine/replica.h"

#include <errno.h>

#include "engine/phases.h"

/* What lacks envelopes is tried again after so long. */
#define BLOCKED_RETRY_NS 100000ull

static void drain(void *owner);
static enum verdict screen(const void *owner, const struct message *m, struct claims *claims);
static void step(void *owner, const struct event *event);

static struct merge_options
merge_options(const struct replica_config *config)
{
	uint32_t queue_count = 1;
	while (queue_count < config->shard.protocol->window + 1)
		queue_count *= 2;
	return (struct merge_options){
	    .instances_count = config->shard.protocol->instances_count,
	    .queue_count = queue_count,
	};
}

uint64_t
replica_memory(const struct replica_config *config)
{
	struct merge_options merge = merge_options(config);
	struct shard_config shard = config->shard;
	if (config->pillars_count > 0)
		shard.machines_count = 0;
	return sizeof(struct replica) + shard_memory(&shard) + merge_memory_size(&merge) +
	       executor_memory_size(&config->executor);
}

/* The shard, and what only replicas with peers have: state transfer. */
static bool
shard_make(struct replica *r, const struct replica_config *config)
{
	struct shard_config shard = config->shard;
	struct transfer_config transfer = {
	    .protocol = shard.protocol,
	    .state = &r->executor.state,
	    .envelope_size = shard.envelope_size,
	    .message_size_max = shard.message_size_max,
	};
	shard.drain = drain;
	shard.owner = r;
	if (config->pillars_count > 0)
		shard.machines_count = 0;
	if (shard.protocol->replicas_count > 1) {
		shard.screen = screen;
		shard.step = step;
	}
	transfer_init(&r->transfer, &transfer);
	r->shard = shard_open(&shard);
	r->answers.shard = r->shard;
	r->answers.links = config->links;
	r->answers.links_count = config->pillars_count;
	return r->shard != NULL;
}

int
replica_open(struct replica *r, const struct replica_config *config)
{
	*r = (struct replica){0};
	check(config->pillars_count <= PILLARS_MAX);
	struct merge_options options = merge_options(config);
	int error = merge_open(&r->merge, &options);
	if (error != 0)
		return error;
	error = executor_open(&r->executor, &config->executor);
	if (error != 0) {
		merge_close(&r->merge);
		return error;
	}
	if (!shard_make(r, config)) {
		executor_close(&r->executor);
		merge_close(&r->merge);
		return -ENOMEM;
	}
	r->all = UINT64_MAX >> (64 - options.instances_count);
	r->history = config->executor.undo_count > 0;
	/* The beginning has a name: everything may be undone before the first checkpoint. */
	if (r->history)
		executor_mark(&r->executor, 0);
	return 0;
}

void
replica_close(struct replica *r)
{
	shard_close(r->shard);
	executor_close(&r->executor);
	merge_close(&r->merge);
}

/* ---- moves of the state ------------------------------------------------ */

/* The position at which slot `slot` of every instance has been executed. */
static uint64_t
slot_position(const struct replica *r, uint64_t slot)
{
	return slot * r->merge.instances_count;
}

/* How many slots of the instance lie at or before the position. */
static uint64_t
slots_executed(const struct replica *r, uint32_t instance, uint64_t position)
{
	uint64_t count = r->merge.instances_count;
	return (position + count - 1 - instance) / count;
}

/*
 * Forgets what has been delivered and not been reported. A batch that is half
 * executed is brought to its end, silently: the state is always one of a whole
 * number of batches.
 */
static void
batches_forget(struct replica *r)
{
	while (executor_next(&r->executor, r->results, SLICE_RESULTS_MAX) > 0)
		continue;
	check(executor_done(&r->executor));
	r->running = false;
	r->finishing = false;
	r->named = false;
	r->slot_mark = false;
	r->deferred = 0;
	r->slice = (struct slice){0};
}

/* The state has arrived somewhere: every instance is told, and goes on from there. */
static void
state_moved(struct replica *r, bool done)
{
	merge_restart(&r->merge, executor_position(&r->executor));
	r->moved = r->all;
	r->moved_done = done;
}

static void
rollback(struct replica *r, const struct delivery *d)
{
	if (r->transfer.active) {
		r->forgetting = r->all;
		return;
	}
	batches_forget(r);
	bool done = executor_rollback(&r->executor, slot_position(r, d->seq));
	if (done)
		r->counters.rollbacks++;
	else
		r->counters.rollbacks_failed++;
	r->forgetting = done ? r->all & ~(1ull << d->instance) : r->all;
	state_moved(r, done);
}

static void
transfer_start(struct replica *r, const struct delivery *d)
{
	batches_forget(r);
	/* Nothing is queued and nothing of what comes is executed: see `forgetting`. */
	merge_restart(&r->merge, executor_position(&r->executor));
	r->forgetting = r->all;
	r->moved = 0;
	transfer_begin(&r->transfer, r->shard->now_ns, slot_position(r, d->seq), d->digest);
}

/* Older history may go; what lies ahead of the state is noted for when it is reached. */
static void
stable_note(struct replica *r, uint64_t position)
{
	uint8_t root32[DIGEST_SIZE];
	if (position > r->stable)
		r->stable = position;
	if (r->transfer.active)
		return;
	uint64_t reached = executor_position(&r->executor);
	uint64_t release = r->stable < reached ? r->stable : reached;
	executor_release(&r->executor, release);
	if (state_root(&r->executor.state, release, root32))
		r->transfer.stable = release;
}

/*
 * The wanted state is here, and stable: else nobody would have asked for it. One
 * that names another position than it was fetched as is what it says it is.
 */
static void
transfer_finish(struct replica *r)
{
	uint64_t position = r->transfer.position;
	transfer_end(&r->transfer);
	bool done = executor_position(&r->executor) == position;
	if (done)
		stable_note(r, position);
	else
		r->counters.transfers_failed++;
	state_moved(r, done);
}

/* EVENT_STATE to an instance that is owed one. False: no room for it. */
static bool
moved_step(struct replica *r)
{
	uint32_t instance = (uint32_t)__builtin_ctzll(r->moved);
	uint64_t position = executor_position(&r->executor);
	check(!r->running && !r->transfer.active);
	if (!answers_room(&r->answers, instance))
		return false;
	uint8_t root32[DIGEST_SIZE];
	bool whole = position % r->merge.instances_count == 0;
	bool named = whole && r->moved_done && state_root(&r->executor.state, position, root32);
	struct moved moved = {
	    .seq = slots_executed(r, instance, position),
	    .done = r->moved_done,
	    .state_digest32 = named ? root32 : NULL,
	};
	/* What the machine delivers in this step comes after the move. */
	r->moved &= r->moved - 1;
	r->forgetting &= ~(1ull << instance);
	answers_moved(&r->answers, instance, &moved, r->merge.frontier);
	return true;
}

/* ---- deliveries -------------------------------------------------------- */

static void
recall_push(struct replica *r, const struct delivery *d)
{
	if (r->recalls_count == REPLICA_RECALLS_MAX) {
		r->counters.recalls_dropped++;
		return;
	}
	uint32_t index = (r->recalls_first + r->recalls_count++) % REPLICA_RECALLS_MAX;
	r->recalls[index] = (struct replica_recall){d->instance, d->client, d->timestamp};
}

static void
read_push(struct replica *r, const struct delivery *d)
{
	if (r->reads_count == REPLICA_READS_MAX) {
		r->counters.reads_dropped++;
		return;
	}
	uint32_t index = (r->reads_first + r->reads_count++) % REPLICA_READS_MAX;
	r->reads[index] = (struct replica_read){
	    .instance = d->instance,
	    .op_size = d->batch_size,
	    .timestamp = d->timestamp,
	    .op = d->batch,
	    .client = d->client,
	};
}

void
replica_reads_drop(struct replica *r)
{
	r->counters.reads_dropped += r->reads_count;
	r->reads_count = 0;
}

static void
batch_push(struct replica *r, const struct delivery *d)
{
	if (__builtin_expect(r->forgetting >> d->instance & 1, 0)) {
		r->counters.batches_forgotten++;
		return;
	}
	/* The queue holds a whole window, which the protocol promised to keep to. */
	bool pushed = merge_push(&r->merge, d->instance, d);
	check(pushed);
}

static void
delivery_take(struct replica *r, const struct delivery *d)
{
	switch (d->kind) {
	case DELIVERY_BATCH:
		batch_push(r, d);
		break;
	case DELIVERY_RECALL:
		recall_push(r, d);
		break;
	case DELIVERY_READ:
		read_push(r, d);
		break;
	case DELIVERY_STABLE:
		stable_note(r, slot_position(r, d->seq));
		break;
	case DELIVERY_ROLLBACK:
		rollback(r, d);
		break;
	case DELIVERY_TRANSFER:
		transfer_start(r, d);
		break;
	}
}

/*
 * One of a pillar's. Where its machine has not heard of the state's last move,
 * what it delivers is forgotten, and where it wants a state that this move has
 * brought, it is told of it once more: by then it listens.
 */
static void
record_take(struct replica *r, const struct parcel_delivery *record)
{
	const struct delivery *d = &record->delivery;
	bool outdated = record->moves != r->answers.moves[d->instance];
	check(d->kind != DELIVERY_ROLLBACK);
	if (d->kind == DELIVERY_TRANSFER) {
		r->answers.asks[d->instance]++;
		outdated &= !r->transfer.active &&
			    slot_position(r, d->seq) <= executor_position(&r->executor);
		if (outdated) {
			r->moved_done |= r->moved == 0;
			r->moved |= 1ull << d->instance;
			r->forgetting |= 1ull << d->instance;
			return;
		}
	} else if (d->kind == DELIVERY_BATCH && outdated) {
		r->counters.batches_forgotten++;
		return;
	}
	delivery_take(r, d);
}

static void
parcel_take(struct replica *r, struct lane *empty, struct parcel *p)
{
	while (p->read < p->used) {
		const struct parcel_delivery *record = (const void *)(p->bytes + p->read);
		uint32_t op_size =
		    record->delivery.kind == DELIVERY_READ ? record->delivery.batch_size : 0;
		p->read += (uint32_t)sizeof(*record) + parcel_padded(op_size);
		record_take(r, record);
	}
	check(r->taken_count < PILLARS_MAX * PARCELS_MAX);
	r->taken[r->taken_count++] = (struct replica_parcel){empty, p};
}

static void
parcels_take(struct replica *r)
{
	while (replica_ready(r)) {
		for (uint32_t i = 0; i < r->answers.links_count; i++) {
			struct parcel *p = r->incoming[i];
			r->incoming[i] = NULL;
			if (p != NULL)
				parcel_take(r, &r->answers.links[i].deliveries_empty, p);
		}
	}
}

uint32_t
replica_parcels_return(struct replica *r)
{
	uint32_t count = r->taken_count;
	for (uint32_t i = 0; i < count; i++) {
		struct lane *empty = r->taken[i].empty;
		empty->give(empty->self, r->taken[i].parcel);
	}
	r->taken_count = 0;
	return count;
}

/* What the machines have delivered, in their order. */
static void
deliveries_take(struct replica *r)
{
	struct outbox *out = &r->shard->outbox;
	for (uint32_t i = 0; i < out->deliveries_count; i++)
		delivery_take(r, &out->deliveries[i]);
	out->deliveries_count = 0;
	if (r->answers.links_count > 0)
		parcels_take(r);
	r->shard->frontier = r->merge.frontier;
}

/* ---- results ----------------------------------------------------------- */

/* Gives the state after the batch its name, where somebody asked for one. */
static void
state_name(struct replica *r, bool checkpoint)
{
	enum phase before = phase_enter(PHASE_EXECUTE);
	if (checkpoint)
		executor_checkpoint(&r->executor, r->position, r->digest32);
	else if (r->slot_mark)
		executor_mark(&r->executor, r->position);
	r->slot_mark = false;
	/* It was stable before we got here: what is older goes. */
	if (checkpoint && r->stable >= r->position)
		stable_note(r, r->position);
	phase_enter(before);
}

/*
 * The batch is done. Where a checkpoint was asked for, instances before the
 * last wait for the last one's batch: the digest is of the whole slot. False:
 * no room for the step.
 */
static bool
batch_finish(struct replica *r)
{
	bool whole = r->instance + 1u == r->merge.instances_count;
	r->slot_mark |= r->batch.mark;
	if (r->batch.checkpoint && !whole) {
		r->deferred |= 1ull << r->instance;
		r->running = false;
		return true;
	}
	bool checkpoint = r->batch.checkpoint || (whole && r->deferred != 0);
	if (whole && !r->named && (checkpoint || r->slot_mark))
		state_name(r, checkpoint);
	r->named = true;
	while (whole && r->deferred != 0) {
		uint32_t instance = (uint32_t)__builtin_ctzll(r->deferred);
		if (!answers_room(&r->answers, instance))
			return false;
		r->deferred &= r->deferred - 1;
		/* The last instance may not have asked: it gets the digest all the same. */
		r->batch.checkpoint = true;
		answers_last(&r->answers, instance, r->batch.seq, r->digest32);
	}
	if (!answers_room(&r->answers, r->instance))
		return false;
	r->running = false;
	/* The batch's memory goes back to the protocol. */
	answers_last(
	    &r->answers, r->instance, r->batch.seq, r->batch.checkpoint ? r->digest32 : NULL);
	return true;
}

/* `count` results lie ready. */
static void
slice_begin(struct replica *r, uint32_t instance, uint64_t seq, uint32_t count)
{
	r->slice =
	    (struct slice){.seq = seq, .machine = instance, .count = count, .list = r->results};
}

/* Goes on with the batch in execution. False: blocked. */
static bool
batch_run(struct replica *r)
{
	while (!r->finishing) {
		enum phase before = phase_enter(PHASE_EXECUTE);
		uint32_t count = executor_next(&r->executor, r->results, SLICE_RESULTS_MAX);
		phase_enter(before);
		slice_begin(r, r->instance, r->batch.seq, count);
		r->finishing = count == 0;
		if (!answers_slice(&r->answers, &r->slice))
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
	r->instance = instance;
	r->running = true;
	r->finishing = false;
	r->named = false;
	struct executor_batch batch = {
	    .position = r->position,
	    .data = d->batch,
	    .valid = d->valid,
	    .size = d->batch_size,
	};
	enum phase before = phase_enter(PHASE_EXECUTE);
	executor_begin(&r->executor, &batch);
	phase_enter(before);
	return true;
}

static bool
recall_begin(struct replica *r)
{
	if (r->recalls_count > 0) {
		struct replica_recall recall = r->recalls[r->recalls_first];
		r->recalls_first = (r->recalls_first + 1) % REPLICA_RECALLS_MAX;
		r->recalls_count--;
		if (!executor_recall(&r->executor, recall.client, recall.timestamp, &r->results[0]))
			r->results[0].flags = RESULT_NEW;
		slice_begin(r, recall.instance, 0, 1);
		return true;
	}
	return false;
}

/* An operation that turns out to write is dropped: its client has it ordered. */
static bool
read_begin(struct replica *r)
{
	while (r->reads_count > 0) {
		const struct replica_read *read = &r->reads[r->reads_first];
		struct result *result = &r->results[0];
		r->reads_first = (r->reads_first + 1) % REPLICA_READS_MAX;
		r->reads_count--;
		*result = (struct result){
		    .client = read->client, .flags = RESULT_READ, .timestamp = read->timestamp};
		if (executor_execute_read_only(&r->executor, read->op, read->op_size, result) !=
		    EXECUTOR_READ_DONE) {
			r->counters.reads_dropped++;
			continue;
		}
		slice_begin(r, read->instance, 0, 1);
		return true;
	}
	return false;
}

/* An instance whose siblings are ahead fills its slot, so the merge never waits on
   silence. Pillars do this themselves. */
static bool
idle_fill(struct replica *r)
{
	bool any = false;
	if (r->merge.instances_count == 1 || r->answers.links_count > 0)
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

enum progress { PROGRESS_MADE, PROGRESS_BLOCKED, PROGRESS_DONE };

/* The next piece of work. */
static enum progress
work(struct replica *r)
{
	/* Nothing is under way when the state has moved; a pillar may be told of it later. */
	bool still = !r->running && !r->transfer.active && slice_done(&r->slice);
	if (r->moved != 0 && still)
		return moved_step(r) ? PROGRESS_MADE : PROGRESS_BLOCKED;
	if (r->transfer.active)
		return PROGRESS_DONE;
	if (!answers_slice(&r->answers, &r->slice))
		return PROGRESS_BLOCKED;
	if (r->running)
		return batch_run(r) ? PROGRESS_MADE : PROGRESS_BLOCKED;
	bool any = recall_begin(r) || read_begin(r) || batch_begin(r) || idle_fill(r);
	return any ? PROGRESS_MADE : PROGRESS_DONE;
}

/* Executes as far as deliveries and envelopes go. False: blocked. */
static bool
execute(struct replica *r)
{
	enum progress progress;
	do {
		deliveries_take(r);
		progress = work(r);
		/* The steps' own deliveries may have been what was in the way. */
	} while (progress == PROGRESS_MADE || r->shard->outbox.deliveries_count > 0);
	return progress == PROGRESS_DONE;
}

/* ---- state transfer ---------------------------------------------------- */

static enum verdict
screen(const void *owner, const struct message *m, struct claims *claims)
{
	const struct replica *r = owner;
	return transfer_screen(&r->transfer, m, claims);
}

static void
step(void *owner, const struct event *event)
{
	struct replica *r = owner;
	transfer_step(&r->transfer, event->now_ns, event->message);
}

static bool
transfer_room(struct replica *r)
{
	const struct outbox *out = &r->shard->outbox;
	if (!shard_room(r->shard, 1))
		return false;
	if (!r->transfer.large || out->large_count < out->large_ready)
		return true;
	shard_flush(r->shard);
	return shard_room(r->shard, 1) && out->large_count < out->large_ready;
}

/* Sends what is due, as far as envelopes go. True: the wanted state is here. */
static bool
transfer_pump(struct replica *r)
{
	struct transfer *t = &r->transfer;
	uint64_t now_ns = r->shard->now_ns;
	transfer_expire(t, now_ns);
	for (uint32_t i = 0; i < REPLICA_TRANSFERS_MAX && !transfer_done(t); i++) {
		if (transfer_deadline(t, now_ns) > now_ns)
			break;
		if (!transfer_room(r)) {
			r->blocked = true;
			break;
		}
		if (!transfer_write(t, now_ns, &r->shard->outbox))
			break;
	}
	if (!transfer_done(t))
		return false;
	transfer_finish(r);
	return true;
}

/* There is no state to answer from: clients ask again. */
static void
lines_drop(struct replica *r)
{
	r->counters.recalls_dropped += r->recalls_count;
	r->recalls_count = 0;
	replica_reads_drop(r);
}

/* Results first: what others want to know about an old state can wait. */
static void
drain(void *owner)
{
	struct replica *r = owner;
	do {
		r->blocked = !execute(r);
		r->counters.blocked += r->blocked;
	} while (__builtin_expect(transfer_busy(&r->transfer), 0) && transfer_pump(r));
	if (__builtin_expect(r->transfer.active, 0))
		lines_drop(r);
	if (r->answers.links_count > 0 && !answers_flush(&r->answers, &r->merge))
		r->blocked = true;
}

uint64_t
replica_deadline(const struct replica *r)
{
	uint64_t now_ns = r->shard->now_ns;
	uint64_t at_ns = shard_deadline(r->shard);
	if (r->blocked)
		return at_ns < now_ns + BLOCKED_RETRY_NS ? at_ns : now_ns + BLOCKED_RETRY_NS;
	if (!transfer_busy(&r->transfer))
		return at_ns;
	uint64_t transfer_ns = transfer_deadline(&r->transfer, now_ns);
	return transfer_ns < at_ns ? transfer_ns : at_ns;
}
