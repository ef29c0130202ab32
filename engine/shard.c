/* SPDX-License-Identifier: Apache-2.0 */
/* See shard.h. One core. */
#include "engine/shard.h"

#include <stdlib.h>

#include "engine/phases.h"

/* What one message asked of the prover, while its burst is being screened. */
struct screened {
	const struct message *message;
	uint32_t machine;
	uint32_t claims_first;
	uint32_t claims_end;
};

static size_t
rounded(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

static size_t
machine_size(const struct shard_config *config)
{
	return rounded(config->machine->size(config->protocol));
}

static struct segmenter_config
segmenter_config(const struct shard_config *config)
{
	return (struct segmenter_config){
	    .message_size_max = config->message_size_max,
	    .envelope_size = config->envelope_size,
	    .buffers_count = config->large_count,
	    .from_client = config->own_mask == 0,
	    .id_seed = config->id_seed,
	};
}

static struct assembler_config
assembler_config(const struct shard_config *config)
{
	const struct protocol_config *protocol = config->protocol;
	return (struct assembler_config){
	    .message_size_max = config->message_size_max,
	    .buffers_count = config->assemblies_count,
	    .replicas_count = protocol->replicas_count,
	    .from_client = config->own_mask == 0,
	    .instances_count = protocol->instances_count,
	    .slot_first = protocol->slot_first,
	    .slots_count = protocol->slots_count,
	};
}

static size_t
loops_size(const struct shard_config *config)
{
	bool loops = config->own_mask != 0 && config->message_size_max > 0;
	return loops ? 2 * (size_t)SHARD_LOOPS_MAX * rounded(config->message_size_max) : 0;
}

size_t
shard_memory(const struct shard_config *config)
{
	size_t size = sizeof(struct shard) + sizeof(struct claims) + loops_size(config) +
		      config->machines_count * (machine_size(config) + sizeof(void *));
	if (config->message_size_max > 0) {
		struct segmenter_config out = segmenter_config(config);
		struct assembler_config in = assembler_config(config);
		size += segmenter_size(&out) + assembler_size(&in);
	}
	return size;
}

/* Zeroed memory aligned to 64, whose untouched pages stay away; block_free() frees. */
static void *
block_take(size_t size)
{
	uint8_t *raw = calloc(1, size + 128);
	if (raw == NULL)
		return NULL;
	uint8_t *at = raw + 64 + (64 - (uintptr_t)raw % 64) % 64;
	memcpy(at - sizeof(raw), &raw, sizeof(raw));
	return at;
}

static void
block_free(void *at)
{
	uint8_t *raw;
	if (at == NULL)
		return;
	memcpy(&raw, (uint8_t *)at - sizeof(raw), sizeof(raw));
	free(raw);
}

static bool
segmentation_open(struct shard *s)
{
	if (s->config.message_size_max == 0)
		return true;
	struct segmenter_config out = segmenter_config(&s->config);
	struct assembler_config in = assembler_config(&s->config);
	void *out_memory = block_take(segmenter_size(&out));
	void *in_memory = block_take(assembler_size(&in));
	if (out_memory != NULL)
		s->segmenter = segmenter_init(out_memory, &out);
	if (in_memory != NULL)
		s->assembler = assembler_init(in_memory, &in);
	if (s->config.own_mask != 0)
		s->loops = block_take(loops_size(&s->config));
	return s->segmenter != NULL && s->assembler != NULL &&
	       (s->config.own_mask == 0 || s->loops != NULL);
}

static inline uint16_t
instance_of(const struct shard *s, uint32_t machine)
{
	return (uint16_t)(s->config.instance_first + machine * s->config.instance_stride);
}

static bool
machines_open(struct shard *s)
{
	struct protocol_config protocol = *s->config.protocol;
	s->machines = calloc(s->config.machines_count, sizeof(*s->machines));
	if (s->machines == NULL)
		return s->config.machines_count == 0;
	for (uint32_t i = 0; i < s->config.machines_count; i++) {
		protocol.instance = instance_of(s, i);
		s->machines[i] = block_take(machine_size(&s->config));
		if (s->machines[i] == NULL)
			return false;
		s->config.machine->init(s->machines[i], &protocol);
	}
	return true;
}

static void
constants_set(struct shard *s)
{
	const struct protocol_config *protocol = s->config.protocol;
	s->scope = (struct message_scope){
	    .cluster = protocol->cluster,
	    .replicas_count = protocol->replicas_count,
	    .protocol = protocol->protocol,
	};
	s->stamp = (struct stamp){
	    .cluster = protocol->cluster,
	    .sender = s->config.own_mask == 0 ? protocol->slot_first : protocol->self,
	    .replicas_count = protocol->replicas_count,
	    .protocol = protocol->protocol,
	};
	uint8_t proof = protocol->reply_proof;
	if (proof == PROOF_MERKLE)
		proof += MERKLE_DEPTH_MAX;
	s->result_inline_max = s->config.envelope_size - (uint32_t)sizeof(struct message_header) -
			       s->config.machine->reply_head_size -
			       proof_size(proof, protocol->replicas_count);
	s->claims_per_message = s->config.machine->claims_per_message(protocol);
	if (s->config.screen != NULL && s->claims_per_message < SHARD_OWNER_CLAIMS_MAX)
		s->claims_per_message = SHARD_OWNER_CLAIMS_MAX;
}

struct shard *
shard_open(const struct shard_config *config)
{
	check(config->own_mask != 0 || config->machines_count == 1);
	check((config->screen == NULL) == (config->step == NULL));
	check(config->machine->claims_per_message(config->protocol) <= CLAIMS_MAX);
	check(config->machine->sends_per_step <= OUTBOX_SENDS_MAX / 2);
	struct shard *s = block_take(sizeof(struct shard));
	if (s == NULL)
		return NULL;
	s->config = *config;
	if (s->config.instance_stride == 0)
		s->config.instance_stride = 1;
	constants_set(s);
	s->claims = block_take(sizeof(struct claims));
	if (s->claims == NULL || !segmentation_open(s) || !machines_open(s)) {
		shard_close(s);
		return NULL;
	}
	return s;
}

void
shard_close(struct shard *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; s->machines != NULL && i < s->config.machines_count; i++)
		block_free(s->machines[i]);
	free(s->machines);
	block_free(s->segmenter);
	block_free(s->assembler);
	block_free(s->loops);
	block_free(s->claims);
	block_free(s);
}

/*
 * New envelopes take the places of those that were used, at the front: buffers
 * that were freed a moment ago are warm, and those never reached stay where they are.
 */
static void
envelopes_refill(struct shard *s)
{
	struct outbox *out = &s->outbox;
	uint32_t used = out->sends_count;
	out->sends_count = 0;
	if (used > 0) {
		uint32_t got = s->config.io.refill(s->config.io.self, out->sends, used);
		if (got < used) {
			uint32_t left = out->sends_ready - used;
			memmove(out->sends + got, out->sends + used, left * sizeof(struct send));
			out->sends_ready = got + left;
		}
	} else if (out->sends_ready < OUTBOX_SENDS_MAX) {
		out->sends_ready += s->config.io.refill(s->config.io.self,
		    out->sends + out->sends_ready, OUTBOX_SENDS_MAX - out->sends_ready);
	}
}

/* Two banks: what came from the burst before is read while steps fill the other. */
static uint8_t *
loop_at(const struct shard *s, uint32_t index)
{
	size_t place = (size_t)s->loops_bank * SHARD_LOOPS_MAX + index;
	return s->loops + place * rounded(s->config.message_size_max);
}

/* A large message to ourselves is kept whole for the next burst. */
static void
loop_add(struct shard *s, const struct send *send)
{
	if (s->loops_count == SHARD_LOOPS_MAX) {
		s->counters.drops[SHARD_DROP_LOOP]++;
		return;
	}
	s->loops_own[s->loops_bank][s->loops_count] = (send->flags & SEND_SEALED) == 0;
	memcpy(loop_at(s, s->loops_count++), send->header, send->header->size);
}

/* Large messages go to the segmenter, and to ourselves where we are a receiver. */
static void
large_post(struct shard *s)
{
	struct outbox *out = &s->outbox;
	for (uint32_t i = 0; i < out->sends_count; i++) {
		struct send *send = &out->sends[i];
		if (send->large == 0)
			continue;
		if ((send->to & s->config.own_mask) == 0) {
			segmenter_post(s->segmenter, send);
			continue;
		}
		loop_add(s, send);
		send->to &= ~s->config.own_mask;
		if (send->to != 0)
			segmenter_post(s->segmenter, send);
	}
}

void
shard_flush(struct shard *s)
{
	struct outbox *out = &s->outbox;
	enum phase before = phase_enter(PHASE_SEAL);
	out->urgent = false;
	if (out->sends_count > 0) {
		s->config.crypto_ops->seal(s->config.crypto, out->sends, out->sends_count);
		phase_enter(PHASE_SEND);
		s->counters.sends += out->sends_count;
		if (out->large_count > 0)
			large_post(s);
		s->config.io.transmit(s->config.io.self, out->sends, out->sends_count);
	}
	if (s->segmenter != NULL)
		segmenter_refill(s->segmenter, out);
	envelopes_refill(s);
	phase_enter(before);
}

/* Room for a step on a message or a timeout: what the owner has to take may be in the way. */
static bool
room_for_step(struct shard *s)
{
	if (shard_has_room(s, 1, 0))
		return true;
	s->config.drain(s->config.owner);
	return shard_room(s, 0);
}

static void
notes_take(struct shard *s)
{
	struct outbox *out = &s->outbox;
	for (uint32_t i = 0; i < out->notes_count && s->config.io.note != NULL; i++)
		s->config.io.note(s->config.io.self, &out->notes[i]);
	out->notes_count = 0;
}

void
shard_stepped(struct shard *s, uint32_t machine, uint32_t delivered)
{
	struct outbox *out = &s->outbox;
	for (; delivered < out->deliveries_count; delivered++)
		out->deliveries[delivered].instance = instance_of(s, machine);
	if (out->notes_count > 0)
		notes_take(s);
}

/*
 * The place of the burst's next message, which is taken by counting it. Messages are
 * parsed where they stay: a copy would wait for the stores of its parts.
 */
static inline struct message *
message_place(struct shard *s)
{
	check(s->messages_count < SHARD_BURST_MAX + SHARD_LOOPS_MAX);
	return &s->messages[s->messages_count];
}

/* A segment, or a request for some: now and then a whole message comes out. */
static void
segment_accept(struct shard *s, const struct message *m)
{
	const uint8_t *whole;
	uint32_t whole_size;
	if (s->segmenter == NULL) {
		s->counters.drops[SHARD_DROP_SEGMENT]++;
		return;
	}
	if (m->header->type == MESSAGE_SEGMENT_NACK) {
		segmenter_nack(s->segmenter, s->now_ns, m);
		return;
	}
	enum assembler_verdict verdict =
	    assembler_add(s->assembler, s->now_ns, m, &whole, &whole_size);
	s->counters.drops[SHARD_DROP_SEGMENT] += verdict >= ASSEMBLER_DROPS;
	if (verdict != ASSEMBLER_COMPLETE)
		return;
	struct message *inner = message_place(s);
	enum parse_error error = message_parse(&s->scope, whole, whole_size, inner);
	if (error != PARSE_OK)
		s->counters.drops[SHARD_DROP_PARSE + error]++;
	else if (message_is_segment(inner))
		s->counters.drops[SHARD_DROP_SEGMENT]++;
	else
		s->messages_count++;
}

static void
datagrams_parse(struct shard *s, const struct datagram *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = message_place(s);
		enum parse_error error = message_parse(&s->scope, list[i].data, list[i].size, m);
		if (error != PARSE_OK) {
			s->counters.drops[SHARD_DROP_PARSE + error]++;
		} else if (message_is_segment(m)) {
			struct message segment = *m;
			segment_accept(s, &segment);
		} else {
			m->own = list[i].own;
			s->messages_count++;
		}
	}
	s->counters.datagrams += count;
}

/* Our own large messages of the burst before: they passed our own seal, or were relayed. */
static void
loops_parse(struct shard *s)
{
	for (uint32_t i = 0; i < s->loops_count; i++) {
		struct message *m = message_place(s);
		const uint8_t *data = loop_at(s, i);
		uint32_t size = ((const struct message_header *)(const void *)data)->size;
		enum parse_error error = message_parse(&s->scope, data, size, m);
		check(error == PARSE_OK);
		m->own = s->loops_own[s->loops_bank][i];
		s->messages_count++;
	}
	s->loops_count = 0;
	s->loops_bank ^= 1;
}

/*
 * Which machine a message is for: a client has one, a replica one an instance.
 * The number behind the machines' stands for the owner.
 */
static inline uint32_t
machine_of(const struct shard *s, const struct message *m)
{
	uint8_t type = m->header->type;
	if (s->config.screen != NULL && (type == MESSAGE_FETCH || type == MESSAGE_BLOCKS))
		return s->config.machines_count;
	if (s->config.own_mask == 0)
		return 0;
	uint32_t machine = m->header->instance;
	if (__builtin_expect(s->config.instance_stride > 1, 0)) {
		if (machine % s->config.instance_stride != s->config.instance_first)
			return UINT32_MAX;
		machine /= s->config.instance_stride;
	}
	return machine < s->config.machines_count ? machine : UINT32_MAX;
}

static inline enum verdict
message_screen(struct shard *s, uint32_t machine, const struct message *m)
{
	if (machine == s->config.machines_count)
		return s->config.screen(s->config.owner, m, s->claims);
	return s->config.machine->screen(s->machines[machine], m, s->claims);
}

/* Does the largest message's worth of claims fit behind what is there? */
static inline bool
claims_room(const struct shard *s)
{
	return s->claims->count + s->claims_per_message <= CLAIMS_MAX &&
	       s->claims->scratch_count + CLAIMS_SCRATCH_PER_MESSAGE <= CLAIMS_SCRATCH_MAX;
}

/* Screens messages from *next on, as many as the list of claims holds. */
static uint32_t
messages_screen(struct shard *s, uint32_t *next, struct screened *list)
{
	struct claims *claims = s->claims;
	uint32_t count = 0;
	claims->count = 0;
	claims->scratch_count = 0;
	while (*next < s->messages_count && claims_room(s)) {
		const struct message *m = &s->messages[(*next)++];
		uint32_t machine = machine_of(s, m);
		uint32_t first = claims->count;
		uint32_t scratch_first = claims->scratch_count;
		if (machine == UINT32_MAX) {
			s->counters.drops[SHARD_DROP_INSTANCE]++;
			continue;
		}
		if (message_screen(s, machine, m) == VERDICT_DROP) {
			claims->count = first;
			claims->scratch_count = scratch_first;
			s->counters.drops[SHARD_DROP_SCREEN]++;
			continue;
		}
		check(claims->count - first <= s->claims_per_message);
		check(claims->scratch_count - scratch_first <= CLAIMS_SCRATCH_PER_MESSAGE);
		list[count++] = (struct screened){m, machine, first, claims->count};
	}
	return count;
}

static inline bool
proven(const struct claims *claims, const struct screened *one)
{
	for (uint32_t i = one->claims_first; i < one->claims_end; i++) {
		if (!claims->holds[i] && !claims->list[i].optional)
			return false;
	}
	return true;
}

/* A request's sender is a client's slot; of all else, a replica. */
static inline void
peer_hear(struct shard *s, const struct message_header *header)
{
	if (header->type == MESSAGE_REQUEST || header->sender >= LIMIT_REPLICAS)
		return;
	s->peers[header->sender].messages++;
	s->peers[header->sender].heard_ns = s->now_ns;
}

static void
messages_step(struct shard *s, const struct screened *list, uint32_t count)
{
	struct event event = {
	    .type = EVENT_MESSAGE,
	    .now_ns = s->now_ns,
	    .frontier = s->frontier,
	};
	/* Mostly there is room for whatever the burst may ask for: then nobody asks again. */
	bool roomy = shard_has_room(s, count, 0);
	for (uint32_t i = 0; i < count; i++) {
		if (!proven(s->claims, &list[i])) {
			s->counters.drops[SHARD_DROP_PROOF]++;
			continue;
		}
		event.holds = s->claims->holds + list[i].claims_first;
		event.claims_count = list[i].claims_end - list[i].claims_first;
		event.message = list[i].message;
		peer_hear(s, event.message->header);
		if (list[i].machine == s->config.machines_count) {
			s->counters.messages++;
			s->config.step(s->config.owner, &event);
			continue;
		}
		if (!roomy && !room_for_step(s)) {
			s->counters.drops[SHARD_DROP_ROOM]++;
			continue;
		}
		s->counters.messages++;
		shard_step(s, list[i].machine, &event);
	}
}

static uint32_t
messages_run(struct shard *s)
{
	struct screened list[SHARD_BURST_MAX + SHARD_LOOPS_MAX];
	uint32_t next = 0;
	uint32_t steps = 0;
	while (next < s->messages_count) {
		phase_enter(PHASE_SCREEN);
		uint32_t count = messages_screen(s, &next, list);
		phase_enter(PHASE_PROVE);
		if (s->claims->count > 0)
			s->config.crypto_ops->prove(s->config.crypto, s->claims);
		s->counters.claims += s->claims->count;
		phase_enter(PHASE_STEP);
		messages_step(s, list, count);
		steps += count;
	}
	s->messages_count = 0;
	return steps;
}

/* "What has arrived is handled before any timer fires": so this comes after. */
static uint32_t
timers_run(struct shard *s)
{
	struct event event = {
	    .type = EVENT_TIMEOUT,
	    .now_ns = s->now_ns,
	    .frontier = s->frontier,
	};
	uint32_t steps = 0;
	for (uint32_t i = 0; i < s->config.machines_count; i++) {
		for (uint32_t round = 0; round < SHARD_TIMEOUTS_MAX; round++) {
			if (s->config.machine->deadline(s->machines[i]) > s->now_ns)
				break;
			if (!room_for_step(s))
				break;
			s->counters.timeouts++;
			shard_step(s, i, &event);
			steps++;
		}
	}
	return steps;
}

/* Large messages move on a bounded number of segments a burst. */
static uint32_t
segments_run(struct shard *s)
{
	uint32_t sent = assembler_timeout(s->assembler, s->now_ns, &s->outbox, &s->stamp);
	assembler_release(s->assembler);
	if (s->outbox.sends_count > 0)
		shard_flush(s);
	if (segmenter_pending(s->segmenter)) {
		sent += segmenter_pump(s->segmenter, &s->outbox, &s->stamp, SHARD_SEGMENTS_MAX);
		shard_flush(s);
	}
	return sent;
}

uint32_t
shard_run(struct shard *s, uint64_t now_ns, const struct datagram *list, uint32_t count)
{
	check(count <= SHARD_BURST_MAX);
	check(now_ns >= s->now_ns);
	s->now_ns = now_ns;
	phase_enter(PHASE_PARSE);
	if (s->outbox.sends_ready < OUTBOX_SENDS_MAX / 2)
		shard_flush(s);
	if (s->loops_count > 0)
		loops_parse(s);
	datagrams_parse(s, list, count);
	uint32_t steps = messages_run(s);
	phase_enter(PHASE_STEP);
	steps += timers_run(s);
	s->urgent = s->outbox.urgent;
	if (s->urgent)
		shard_flush(s);
	s->config.drain(s->config.owner);
	if (s->segmenter != NULL)
		steps += segments_run(s);
	else if (s->outbox.sends_count > 0)
		shard_flush(s);
	s->counters.bursts += steps > 0;
	return steps;
}

uint64_t
shard_deadline(const struct shard *s)
{
	uint64_t at_ns = s->loops_count > 0 ? s->now_ns : TIME_NEVER;
	for (uint32_t i = 0; i < s->config.machines_count; i++) {
		uint64_t machine_ns = s->config.machine->deadline(s->machines[i]);
		at_ns = machine_ns < at_ns ? machine_ns : at_ns;
	}
	if (s->segmenter == NULL)
		return at_ns;
	if (segmenter_pending(s->segmenter))
		return s->now_ns;
	uint64_t assembler_ns = assembler_deadline(s->assembler);
	return assembler_ns < at_ns ? assembler_ns : at_ns;
}

const char *
shard_drop_name(uint32_t drop)
{
	static const char *const names[SHARD_DROPS_COUNT] = {
	    [SHARD_DROP_PARSE + PARSE_OK] = "drop_none",
	    [SHARD_DROP_PARSE + PARSE_SHORT] = "drop_short",
	    [SHARD_DROP_PARSE + PARSE_SIZE] = "drop_size",
	    [SHARD_DROP_PARSE + PARSE_VERSION] = "drop_version",
	    [SHARD_DROP_PARSE + PARSE_CLUSTER] = "drop_cluster",
	    [SHARD_DROP_PARSE + PARSE_PROTOCOL] = "drop_protocol",
	    [SHARD_DROP_PARSE + PARSE_PROOF] = "drop_proof_kind",
	    [SHARD_DROP_INSTANCE] = "drop_instance",
	    [SHARD_DROP_SEGMENT] = "drop_segment",
	    [SHARD_DROP_SCREEN] = "drop_screened",
	    [SHARD_DROP_PROOF] = "drop_unproven",
	    [SHARD_DROP_ROOM] = "drop_no_room",
	    [SHARD_DROP_LOOP] = "drop_loop_large",
	};
	return drop < SHARD_DROPS_COUNT ? names[drop] : NULL;
}
