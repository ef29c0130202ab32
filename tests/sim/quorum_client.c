/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the test protocol: each slot has at most one operation
 * outstanding, sends it to the proposer, and takes the first proven reply:
 * replicas crash, but they do not lie. An operation that has no answer is sent
 * again, to all, at intervals that double up to a limit.
 */
#include "quorum_client.h"

#include "engine/wheel.h"

enum { RETRY_DOUBLINGS_MAX = 5 };

struct slot {
	const uint8_t *op; /* the submitter's, valid until completion */
	uint64_t timestamp;
	uint32_t op_size;
	uint16_t tries;
	bool outstanding;
};

struct client {
	struct protocol_config config;
	uint64_t retransmissions;
	struct slot *slots;
	struct wheel wheel;
};

static uint32_t
claims_per_message(const struct protocol_config *config)
{
	(void)config;
	return 2;
}

static size_t
size(const struct protocol_config *config)
{
	return sizeof(struct client) +
	       config->slots_count * (sizeof(struct slot) + sizeof(struct wheel_entry));
}

static void
init(void *self, const struct protocol_config *config)
{
	struct client *c = self;
	check(config->retry_ns >= 64);
	c->config = *config;
	c->slots = (struct slot *)(c + 1);
	struct wheel_entry *entries = (struct wheel_entry *)(c->slots + config->slots_count);
	wheel_init(&c->wheel, entries, config->retry_ns / 64);
}

/* The slot that a reply names, or NULL when it is none of ours. */
static struct slot *
slot_of(const struct client *c, const struct message_header *h)
{
	uint32_t index = (uint32_t)h->instance - c->config.slot_first;
	return index < c->config.slots_count ? &c->slots[index] : NULL;
}

static bool
proof_fits(const struct client *c, uint8_t proof)
{
	if (c->config.reply_proof == PROOF_MERKLE)
		return proof >= PROOF_MERKLE && proof <= PROOF_MERKLE + MERKLE_DEPTH_MAX;
	return proof == c->config.reply_proof;
}

/* "Clients verify": a reply counts only when its proof is that of its sender. */
static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct client *c = self;
	const struct message_header *h = m->header;
	if (h->type != MESSAGE_REPLY && h->type != MESSAGE_REPLY_LOST)
		return VERDICT_DROP;
	if (h->sender >= c->config.replicas_count || !proof_fits(c, h->proof))
		return VERDICT_DROP;
	const struct slot *slot = slot_of(c, h);
	if (slot == NULL || !slot->outstanding || h->seq != slot->timestamp)
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, 0);
	return VERDICT_STEP;
}

static void
request_send(struct client *c, uint32_t index, struct outbox *out)
{
	uint64_t all = (1ull << c->config.replicas_count) - 1;
	struct slot *slot = &c->slots[index];
	uint16_t number = (uint16_t)(c->config.slot_first + index);
	struct stamp stamp = {
	    .cluster = c->config.cluster,
	    .sender = number,
	    .replicas_count = c->config.replicas_count,
	    .protocol = c->config.protocol,
	};
	struct letter letter = {
	    .type = MESSAGE_REQUEST,
	    .proof = c->config.request_proof,
	    .instance = (uint16_t)(number % c->config.instances_count),
	    .body_size = slot->op_size,
	    .seq = slot->timestamp,
	};
	uint8_t *body =
	    outbox_write(out, outbox_send(out, slot->tries > 0 ? all : 1), &stamp, &letter);
	if (slot->op_size > 0)
		memcpy(body, slot->op, slot->op_size);
}

static void
on_submit(struct client *c, const struct event *event, struct outbox *out)
{
	const struct submit *submit = &event->submit;
	uint32_t index = (uint32_t)submit->slot - c->config.slot_first;
	check(index < c->config.slots_count);
	struct slot *slot = &c->slots[index];
	check(!slot->outstanding);
	slot->op = submit->op;
	slot->op_size = submit->op_size;
	slot->timestamp++;
	slot->tries = 0;
	slot->outstanding = true;
	wheel_arm(&c->wheel, index, event->now_ns + c->config.retry_ns);
	request_send(c, index, out);
}

static void
on_reply(struct client *c, const struct message *m, struct outbox *out)
{
	struct slot *slot = slot_of(c, m->header);
	if (!slot->outstanding || m->header->seq != slot->timestamp)
		return; /* its twin came earlier in the same burst */
	slot->outstanding = false;
	wheel_disarm(&c->wheel, (uint32_t)(slot - c->slots));
	struct completion *done = outbox_complete(out);
	done->slot = m->header->instance;
	done->lost = m->header->type == MESSAGE_REPLY_LOST;
	done->size = m->body_size;
	done->timestamp = slot->timestamp;
	done->data = m->body;
}

/* One retransmission a step: the next is due at once, so the engine comes back. */
static void
on_timeout(struct client *c, uint64_t now_ns, struct outbox *out)
{
	uint32_t index = wheel_expire(&c->wheel, now_ns);
	if (index == WHEEL_NONE)
		return;
	struct slot *slot = &c->slots[index];
	check(slot->outstanding);
	if (slot->tries < RETRY_DOUBLINGS_MAX)
		slot->tries++;
	c->retransmissions++;
	wheel_arm(&c->wheel, index, now_ns + (c->config.retry_ns << slot->tries));
	request_send(c, index, out);
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct client *c = self;
	switch (event->type) {
	case EVENT_MESSAGE:
		on_reply(c, event->message, out);
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
	const struct client *c = self;
	return wheel_deadline(&c->wheel);
}

static void
audit(const void *self)
{
	const struct client *c = self;
	for (uint32_t i = 0; i < c->config.slots_count; i++) {
		bool armed =
		    c->wheel.entries[i].due_ns != UINT64_MAX && c->wheel.entries[i].due_ns != 0;
		check(armed == c->slots[i].outstanding);
	}
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
	const struct client *c = self;
	return c->retransmissions;
}

const struct machine quorum_client = {
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
