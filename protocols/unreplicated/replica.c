/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one replica. Requests of a burst form a batch (of at most as many as the
 * options say: there is no agreement whose cost a fuller one would share), batches
 * execute in order, each result becomes a reply.
 * Timestamps decide: a duplicate in flight is dropped, one that was executed
 * brings its cached reply back.
 */
#include "engine/admission.h"
#include "engine/batch.h"
#include "protocols/unreplicated/unreplicated.h"

enum { OPEN_MAX = 64 }; /* batches: LIMIT_BATCHES_OPEN */

struct replica {
	struct protocol_config config;
	struct stamp stamp;
	uint64_t seq;			/* of the open batch */
	uint64_t executed;		/* every batch up to here is done */
	struct batch batches[OPEN_MAX]; /* batch of seq: seq % window */
	struct admission *admissions;
};

static uint32_t
claims_per_message(const struct protocol_config *config)
{
	(void)config;
	return 2; /* the body's digest, the proof */
}

static size_t
size(const struct protocol_config *config)
{
	return sizeof(struct replica) + config->slots_count * sizeof(struct admission) +
	       (size_t)config->window * config->batch_size_max;
}

static void
init(void *self, const struct protocol_config *config)
{
	struct replica *r = self;
	check(config->replicas_count == 1 && config->self == 0);
	check(config->window >= 1 && config->window <= OPEN_MAX);
	check(config->batch_size_max % 8 == 0);
	check(config->batch_size_max >= config->request_size_max);
	r->config = *config;
	r->stamp = (struct stamp){
	    .cluster = config->cluster,
	    .sender = config->self,
	    .replicas_count = config->replicas_count,
	    .protocol = config->protocol,
	};
	r->seq = 1;
	r->admissions = (struct admission *)(r + 1);
	uint8_t *memory = (uint8_t *)(r->admissions + config->slots_count);
	for (uint32_t i = 0; i < config->window; i++) {
		r->batches[i].data = memory + (size_t)i * config->batch_size_max;
		r->batches[i].capacity = config->batch_size_max;
	}
}

static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct replica *r = self;
	const struct message_header *h = m->header;
	if (h->type != MESSAGE_REQUEST || h->proof != r->config.request_proof)
		return VERDICT_DROP;
	if (h->sender >= r->config.slots_count || h->size > r->config.request_size_max)
		return VERDICT_DROP;
	if (h->sender % r->config.instances_count != r->config.instance)
		return VERDICT_DROP;
	claims_add_message(claims, m, KEY_CLIENT + h->sender, r->config.self);
	return VERDICT_STEP;
}

static struct batch *
batch_open(struct replica *r)
{
	return &r->batches[r->seq % r->config.window];
}

/* Is the open batch's memory ours, or still with the executor? */
static bool
window_has_room(const struct replica *r)
{
	return r->seq <= r->executed + r->config.window;
}

static void
batch_deliver(struct replica *r, struct outbox *out)
{
	struct batch *b = batch_open(r);
	check(window_has_room(r));
	struct delivery *d = outbox_deliver(out);
	d->seq = r->seq;
	d->batch = b->data;
	d->batch_size = b->size;
	r->seq++;
}

static void
on_request(struct replica *r, const struct message *m, struct outbox *out)
{
	struct admission *a = &r->admissions[m->header->sender];
	uint64_t timestamp = m->header->seq;
	switch (admission_admit(a, timestamp)) {
	case ADMISSION_PENDING:
		return;
	case ADMISSION_EXECUTED: {
		struct delivery *d = outbox_deliver(out);
		d->kind = DELIVERY_RECALL;
		d->client = m->header->sender;
		d->timestamp = timestamp;
		return;
	}
	case ADMISSION_NEW:
		break;
	}
	if (window_has_room(r) && !batch_fits(batch_open(r), m))
		batch_deliver(r, out);
	if (!window_has_room(r)) {
		admission_withdraw(a, timestamp);
		return;
	}
	struct batch *b = batch_open(r);
	batch_append(b, m);
	if (b->count == r->config.batch_count_max)
		batch_deliver(r, out);
}

/* Seldom, and apart: the usual reply's type is a constant then, which needs no place. */
__attribute__((noinline)) static void
reply_lost(struct replica *r, const struct result *result, struct outbox *out)
{
	struct letter letter = {
	    .type = MESSAGE_REPLY_LOST,
	    .proof = r->config.reply_proof,
	    .instance = result->client,
	    .seq = result->timestamp,
	};
	outbox_write(out, outbox_send_client(out, result->client), &r->stamp, &letter);
}

static void
reply(struct replica *r, const struct result *result, struct outbox *out)
{
	if (result->flags & (RESULT_STALE | RESULT_NEW))
		return;
	admission_executed(&r->admissions[result->client], result->timestamp);
	if (__builtin_expect((result->flags & RESULT_LOST) != 0, 0)) {
		reply_lost(r, result, out);
		return;
	}
	struct letter letter = {
	    .type = MESSAGE_REPLY,
	    .proof = r->config.reply_proof,
	    .instance = result->client,
	    .body_size = result->size,
	    .seq = result->timestamp,
	};
	struct send *s = outbox_send_client(out, result->client);
	uint8_t *body = outbox_write(out, s, &r->stamp, &letter);
	if (letter.body_size > 0)
		memcpy(body, result->data, letter.body_size);
}

static void
on_executed(struct replica *r, const struct executed *executed, struct outbox *out)
{
	for (uint32_t i = 0; i < executed->results_count; i++)
		reply(r, &executed->results[i], out);
	if (executed->seq == 0 || !executed->last)
		return;
	check(executed->seq == r->executed + 1);
	r->executed = executed->seq;
	struct batch *done = &r->batches[executed->seq % r->config.window];
	done->size = 0;
	done->count = 0;
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct replica *r = self;
	switch (event->type) {
	case EVENT_MESSAGE:
		on_request(r, event->message, out);
		break;
	case EVENT_TIMEOUT:
		/* A sibling instance is ahead: an empty batch keeps the merge going. */
		if (window_has_room(r) && (batch_open(r)->count > 0 || event->frontier >= r->seq))
			batch_deliver(r, out);
		break;
	case EVENT_EXECUTED:
		on_executed(r, &event->executed, out);
		break;
	case EVENT_STATE:
	case EVENT_SUBMIT:
		break;
	}
}

/* At the end of every burst that brought a request. */
static uint64_t
deadline(const void *self)
{
	const struct replica *r = self;
	if (!window_has_room(r) || r->batches[r->seq % r->config.window].count == 0)
		return TIME_NEVER;
	return 0;
}

static void
audit(const void *self)
{
	const struct replica *r = self;
	check(r->seq > r->executed);
	check(r->seq <= r->executed + r->config.window + 1);
	for (uint32_t i = 0; i < r->config.slots_count; i++)
		check(r->admissions[i].executed <= r->admissions[i].admitted);
}

static uint64_t
zero(const void *self)
{
	(void)self;
	return 0;
}

const struct machine unreplicated_replica = {
    .sends_per_step = 1,
    .large_per_step = 1,
    .deliveries_per_step = 2,
    .completions_per_step = 0,
    .claims_per_message = claims_per_message,
    .size = size,
    .init = init,
    .screen = screen,
    .step = step,
    .deadline = deadline,
    .audit = audit,
    .view = zero,
    .retransmissions = zero,
};
