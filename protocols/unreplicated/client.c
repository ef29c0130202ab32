/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half: each slot has at most one operation outstanding, sends it
 * to the one replica, and takes the first proven reply. An operation that has
 * no answer is sent again, at intervals that double up to a limit.
 */
#include "engine/client_slots.h"
#include "protocols/unreplicated/unreplicated.h"

static uint32_t
claims_per_message(const struct protocol_config *config)
{
	(void)config;
	return 2;
}

static size_t
size(const struct protocol_config *config)
{
	return sizeof(struct client_slots) + client_slots_size(config);
}

static void
init(void *self, const struct protocol_config *config)
{
	struct client_slots *c = self;
	check(config->replicas_count == 1);
	client_slots_init(c, config, c + 1);
}

/* "Clients verify": a reply counts only when its proof is that of its sender. */
static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct client_slots *c = self;
	const struct message_header *h = m->header;
	if (h->type != MESSAGE_REPLY && h->type != MESSAGE_REPLY_LOST)
		return VERDICT_DROP;
	if (h->sender >= c->config.replicas_count || !client_slots_proof_fits(c, h->proof))
		return VERDICT_DROP;
	if (!client_slots_awaits(c, h))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, 0);
	return VERDICT_STEP;
}

static void
request_send(const struct client_slots *c, uint32_t index, struct outbox *out)
{
	struct client_ask ask = {
	    .to = 1,
	    .type = MESSAGE_REQUEST,
	    .proof = c->config.request_proof,
	};
	client_slots_send(c, index, &ask, out);
}

static void
on_submit(struct client_slots *c, const struct event *event, struct outbox *out)
{
	request_send(c, client_slots_submit(c, &event->submit, event->now_ns), out);
}

static void
on_reply(struct client_slots *c, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	if (!client_slots_awaits(c, m->header))
		return; /* its twin came earlier in the same burst */
	uint32_t index = client_slots_index(c, m->header);
	struct completion *done = client_slots_complete(c, index, event->now_ns, out);
	done->lost = m->header->type == MESSAGE_REPLY_LOST;
	done->size = m->body_size;
	done->data = m->body;
}

/* One retransmission a step: the next is due at once, so the engine comes back. */
static void
on_timeout(struct client_slots *c, uint64_t now_ns, struct outbox *out)
{
	uint32_t index = client_slots_expire(c, now_ns);
	if (index == WHEEL_NONE)
		return;
	client_slots_again(c, index, now_ns);
	request_send(c, index, out);
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct client_slots *c = self;
	switch (event->type) {
	case EVENT_MESSAGE:
		on_reply(c, event, out);
		break;
	case EVENT_TIMEOUT:
		on_timeout(c, event->now_ns, out);
		break;
	case EVENT_SUBMIT:
		on_submit(c, event, out);
		break;
	case EVENT_EXECUTED:
	case EVENT_STATE:
		break;
	}
}

static uint64_t
deadline(const void *self)
{
	const struct client_slots *c = self;
	return wheel_deadline(&c->wheel);
}

static void
audit(const void *self)
{
	client_slots_audit(self);
}

static uint64_t
view(const void *self)
{
	(void)self;
	return 0;
}

static uint64_t
retransmissions(const void *self)
{
	const struct client_slots *c = self;
	return c->retransmissions;
}

const struct machine unreplicated_client = {
    .sends_per_step = 1,
    .large_per_step = 1,
    .deliveries_per_step = 0,
    .completions_per_step = 1,
    .claims_per_message = claims_per_message,
    .size = size,
    .init = init,
    .screen = screen,
    .step = step,
    .deadline = deadline,
    .audit = audit,
    .view = view,
    .retransmissions = retransmissions,
};
