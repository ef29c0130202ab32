/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shard's stories stand on: a machine that does what its messages tell
 * it, a prover that believes marked messages, an owner that drains, and two
 * shards joined by hand. Included by tests/unit_shard.c alone.
 */
#ifndef OSKR_TESTS_SHARD_RIG_H
#define OSKR_TESTS_SHARD_RIG_H

#include "engine/shard.h"

#include "tests/fake_io.h"
#include "tests/unit.h"

enum {
	CLUSTER = 77,
	REPLICAS = 4,
	ENVELOPE_SIZE = ENVELOPE_SIZE_MIN,
	MESSAGE_SIZE_MAX = 20000,
	MACHINES_MAX = 2,
	TRACE_MAX = 1024,
	KEY_BAD = 13,
	DELIVERIES_SEEN_MAX = 256,
};

/* The body of each message: what the machine does with it. */
struct command {
	uint64_t to;	     /* of what it sends */
	uint32_t sends;	     /* messages sent back */
	uint32_t large_size; /* bytes of the body of one more, or 0 */
	uint32_t hops;	     /* of the large one: it commands the next, so many times */
	uint32_t deliveries;
	uint32_t completions;
	uint32_t claims;
	uint32_t claims_bad; /* of them, from the first on */
	uint32_t optional;   /* all of them are */
	uint32_t refused;    /* by screen(), after it has listed the claims */
	uint32_t flags;	     /* of what it sends: enum send_flags */
	uint32_t urgent;     /* others wait for what it sends */
	uint32_t reserved;
};
static_assert(sizeof(struct command) % 8 == 0, "no padding");

/* A step that was made. */
struct step {
	uint32_t machine;
	enum event_type type;
	uint64_t seq;
	uint32_t body_size;
	uint32_t holds_false;
	bool body_right; /* what follows the command */
	bool own;
};

struct fake_machine {
	uint32_t index;
	uint64_t due_ns;
	uint32_t timeouts_left; /* then due never */
	struct stamp stamp;
};

/* What one shard's test sees. */
struct rig {
	struct shard *shard;
	struct fake_io io;
	struct step steps[TRACE_MAX];
	uint32_t steps_count;
	uint64_t delivered[DELIVERIES_SEEN_MAX]; /* seq */
	uint16_t instances[DELIVERIES_SEEN_MAX];
	uint32_t delivered_count;
	uint32_t completed_count;
	uint64_t owned[DELIVERIES_SEEN_MAX]; /* seq of the messages that the owner stepped */
	uint32_t owned_count;
	uint32_t drains;
	uint32_t unsent; /* messages that were still to be sent when it was last drained */
	uint32_t proves;
	uint32_t proved_max; /* claims of one call */
	uint32_t sealed;
};

static struct rig rigs[2];
static struct rig *current; /* whose shard runs */

/* ---- The machine -------------------------------------------------------- */

static uint32_t claims_bound = 4;

static uint32_t
fake_claims(const struct protocol_config *config)
{
	(void)config;
	return claims_bound;
}

static size_t
fake_size(const struct protocol_config *config)
{
	(void)config;
	return sizeof(struct fake_machine);
}

static void
fake_init(void *self, const struct protocol_config *config)
{
	*(struct fake_machine *)self = (struct fake_machine){
	    .index = config->instance,
	    .due_ns = TIME_NEVER,
	    .stamp = {config->cluster, config->self, config->replicas_count, config->protocol},
	};
}

static struct command
command_of(const struct message *m)
{
	struct command command = {0};
	if (m->body_size >= sizeof(command))
		memcpy(&command, m->body, sizeof(command));
	return command;
}

static enum verdict
fake_screen(const void *self, const struct message *m, struct claims *claims)
{
	struct command command = command_of(m);
	(void)self;
	for (uint32_t i = 0; i < command.claims; i++) {
		struct claim *c = claims_add(claims);
		c->kind = CLAIM_MAC;
		c->key = i < command.claims_bad ? KEY_BAD : 1;
		c->optional = command.optional != 0;
		c->size = 0;
		c->data = NULL;
		c->proof = NULL;
	}
	return command.refused || m->header->type != MESSAGE_PROTOCOL ? VERDICT_DROP : VERDICT_STEP;
}

static uint8_t
pattern(uint64_t seq, uint32_t at)
{
	return (uint8_t)(seq * 31 + at * 7 + (at >> 8));
}

static void
body_write(uint8_t *body, const struct command *command, uint64_t seq, uint32_t size)
{
	memcpy(body, command, sizeof(*command));
	for (uint32_t i = (uint32_t)sizeof(*command); i < size; i++)
		body[i] = pattern(seq, i);
}

static void
send_one(const struct fake_machine *f, struct outbox *out, const struct command *command,
    const struct letter *letter)
{
	struct command next = {.to = command->to};
	if (command->hops > 0 && letter->body_size == command->large_size) {
		next.large_size = command->large_size;
		next.hops = command->hops - 1;
	}
	struct send *s =
	    command->to != 0 ? outbox_send(out, command->to) : outbox_send_client(out, 3);
	s->flags = (uint8_t)command->flags;
	uint8_t *body = outbox_write(out, s, &f->stamp, letter);
	body_write(body, &next, letter->seq, letter->body_size);
}

static void
obey(const struct fake_machine *f, const struct message *m, struct outbox *out)
{
	struct command command = command_of(m);
	struct letter letter = {
	    .type = MESSAGE_PROTOCOL,
	    .instance = (uint16_t)f->index,
	    .body_size = sizeof(command),
	    .seq = m->header->seq * 100,
	};
	for (uint32_t i = 0; i < command.sends; i++, letter.seq++)
		send_one(f, out, &command, &letter);
	letter.body_size = command.large_size;
	letter.seq = m->header->seq + 1;
	if (command.large_size > 0)
		send_one(f, out, &command, &letter);
	out->urgent |= command.urgent != 0;
	for (uint32_t i = 0; i < command.deliveries; i++)
		outbox_deliver(out)->seq = m->header->seq * 10 + i;
	for (uint32_t i = 0; i < command.completions; i++)
		*outbox_complete(out) = (struct completion){.timestamp = m->header->seq};
}

static void
fake_step(void *self, const struct event *event, struct outbox *out)
{
	struct fake_machine *f = self;
	CU_ASSERT_FATAL(current->steps_count < TRACE_MAX);
	struct step *step = &current->steps[current->steps_count++];
	*step = (struct step){.machine = f->index, .type = event->type, .body_right = true};
	if (event->type == EVENT_TIMEOUT) {
		f->timeouts_left -= f->timeouts_left > 0;
		f->due_ns = f->timeouts_left > 0 ? f->due_ns : TIME_NEVER;
	}
	if (event->type != EVENT_MESSAGE)
		return;
	const struct message *m = event->message;
	struct command command = command_of(m);
	step->seq = m->header->seq;
	step->body_size = m->body_size;
	step->own = m->own;
	for (uint32_t i = (uint32_t)sizeof(command); i < m->body_size; i++)
		step->body_right &= m->body[i] == pattern(m->header->seq, i);
	for (uint32_t i = 0; i < command.claims; i++)
		step->holds_false += !event->holds[i];
	obey(f, m, out);
}

static uint64_t
fake_deadline(const void *self)
{
	return ((const struct fake_machine *)self)->due_ns;
}

static void
fake_audit(const void *self)
{
	(void)self;
}

static uint64_t
fake_zero(const void *self)
{
	(void)self;
	return 0;
}

static const struct machine fake_machine = {
    .sends_per_step = 8,
    .large_per_step = 1,
    .deliveries_per_step = 2,
    .completions_per_step = 3,
    .claims_per_message = fake_claims,
    .size = fake_size,
    .init = fake_init,
    .screen = fake_screen,
    .step = fake_step,
    .deadline = fake_deadline,
    .audit = fake_audit,
    .view = fake_zero,
    .retransmissions = fake_zero,
};

/* ---- The prover and the owner ------------------------------------------- */

static void
fake_prove(struct crypto *c, struct claims *claims)
{
	(void)c;
	current->proves++;
	if (claims->count > current->proved_max)
		current->proved_max = claims->count;
	CU_ASSERT(claims->count > 0);
	for (uint32_t i = 0; i < claims->count; i++)
		claims->holds[i] = claims->list[i].key != KEY_BAD;
}

static void
fake_seal(struct crypto *c, struct send *sends, uint32_t count)
{
	(void)c;
	(void)sends;
	current->sealed += count;
}

static const struct crypto_ops fake_crypto = {.prove = fake_prove, .seal = fake_seal};

static void
fake_drain(void *owner)
{
	struct rig *rig = owner;
	struct outbox *out = &rig->shard->outbox;
	rig->drains++;
	rig->unsent = out->sends_count;
	for (uint32_t i = 0; i < out->deliveries_count; i++) {
		CU_ASSERT_FATAL(rig->delivered_count < DELIVERIES_SEEN_MAX);
		rig->delivered[rig->delivered_count] = out->deliveries[i].seq;
		rig->instances[rig->delivered_count++] = out->deliveries[i].instance;
	}
	out->deliveries_count = 0;
	rig->completed_count += out->completions_count;
	out->completions_count = 0;
}

/* ---- The rig ------------------------------------------------------------ */

struct rig_options {
	uint16_t self;
	uint32_t machines_count;
	uint64_t own_mask;
	uint32_t message_size_max;
	bool owner; /* it has messages of its own */
};

static enum verdict
owner_screen(const void *owner, const struct message *m, struct claims *claims)
{
	CU_ASSERT_PTR_EQUAL(owner, current);
	struct command command = command_of(m);
	for (uint32_t i = 0; i < command.claims; i++) {
		struct claim *c = claims_add(claims);
		c->kind = CLAIM_MAC;
		c->key = i < command.claims_bad ? KEY_BAD : 1;
	}
	return command.refused ? VERDICT_DROP : VERDICT_STEP;
}

static void
owner_step(void *owner, const struct event *event)
{
	struct rig *rig = owner;
	CU_ASSERT_EQUAL(event->type, EVENT_MESSAGE);
	CU_ASSERT_FATAL(rig->owned_count < DELIVERIES_SEEN_MAX);
	rig->owned[rig->owned_count++] = event->message->header->seq;
}

static struct rig *
rig_open(uint32_t index, const struct rig_options *options)
{
	struct rig *rig = &rigs[index];
	struct protocol_config protocol = {
	    .cluster = CLUSTER,
	    .replicas_count = REPLICAS,
	    .self = options->self,
	    .instances_count = (uint16_t)options->machines_count,
	    .slots_count = 8,
	};
	struct shard_config config = {
	    .machine = &fake_machine,
	    .protocol = &protocol,
	    .machines_count = options->machines_count,
	    .own_mask = options->own_mask,
	    .envelope_size = ENVELOPE_SIZE,
	    .message_size_max = options->message_size_max,
	    .large_count = OUTBOX_LARGE_MAX,
	    .assemblies_count = 16,
	    .crypto_ops = &fake_crypto,
	    .io = {.self = &rig->io, .refill = fake_refill, .transmit = fake_transmit},
	    .drain = fake_drain,
	    .screen = options->owner ? owner_screen : NULL,
	    .step = options->owner ? owner_step : NULL,
	    .owner = rig,
	};
	memset(rig, 0, sizeof(*rig));
	fake_io_open(&rig->io, ENVELOPE_SIZE);
	CU_ASSERT(shard_memory(&config) > sizeof(struct shard));
	rig->shard = shard_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig->shard);
	current = rig;
	return rig;
}

static struct rig *
rig_open_replica(void)
{
	return rig_open(0, &(struct rig_options){.machines_count = 1, .own_mask = 1});
}

static void
rig_close(struct rig *rig)
{
	fake_io_close(&rig->io, rig->shard);
	shard_close(rig->shard);
}

static struct fake_machine *
machine(struct rig *rig, uint32_t index)
{
	return rig->shard->machines[index];
}

/* Messages that wait for the next burst. */
struct burst {
	struct datagram list[SHARD_BURST_MAX];
	uint32_t count;
};

static struct message_header *
burst_add(struct burst *b, const struct command *command, uint64_t seq)
{
	struct message_header *h = malloc(sizeof(*h) + sizeof(*command));
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_FATAL(b->count < SHARD_BURST_MAX);
	*h = (struct message_header){
	    .size = sizeof(*h) + sizeof(*command),
	    .cluster = CLUSTER,
	    .type = MESSAGE_PROTOCOL,
	    .version = MESSAGE_VERSION,
	    .seq = seq,
	};
	memcpy(h + 1, command, sizeof(*command));
	b->list[b->count++] = (struct datagram){.data = (const uint8_t *)h, .size = h->size};
	return h;
}

/* Runs them as one burst and frees them, as the network does. */
static uint32_t
burst_run(struct rig *rig, struct burst *b, uint64_t now_ns)
{
	current = rig;
	uint32_t steps = shard_run(rig->shard, now_ns, b->list, b->count);
	for (uint32_t i = 0; i < b->count; i++)
		free((void *)(uintptr_t)b->list[i].data);
	b->count = 0;
	CU_ASSERT_EQUAL(rig->io.lent, rig->shard->outbox.sends_ready);
	CU_ASSERT_EQUAL(rig->shard->outbox.sends_count, 0);
	return steps;
}

static uint64_t
drops(const struct rig *rig, uint32_t drop)
{
	return rig->shard->counters.drops[drop];
}

#endif
