/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the segmenter, a link that loses what the input says, and an
 * honest assembler at its other end, whose NACKs come back among forged ones.
 * What must hold: whatever is sent decodes, carries the bytes of the message
 * that it names, and goes to whom the message was for; what the assembler puts
 * together is what was posted; repairs stay within each peer's share.
 */
#include "engine/assembler.h"
#include "engine/random.h"
#include "engine/segmenter.h"
#include "fuzz.h"

enum {
	MESSAGE_MAX = 8 * 1024,
	REPLICAS = 4,
	PEER = 1, /* replica whose assembler we are */
	ENVELOPE_SIZE = 600,
	ENVELOPES = 16,
	POSTS_MAX = 64,
	REPAIR_FACTOR = 4, /* the default */
};

struct post {
	uint64_t id;
	uint32_t size;
	uint64_t to;
	uint16_t client;
};

struct world {
	struct fuzz_reader in;
	uint64_t now_ns;
	uint64_t segments; /* of everything posted, for each receiver */
	struct assembler *assembler;
	struct segmenter *segmenter;
	struct outbox out;
	uint32_t posts_count;
	struct post posts[POSTS_MAX];
	uint64_t last_id; /* on the wire */
	uint32_t last_total;
	uint32_t last_slice;
	void *envelopes[ENVELOPES];
};

static const struct message_scope scope = {.cluster = 1, .replicas_count = REPLICAS, .protocol = 2};
static const struct stamp stamp = {.cluster = 1, .replicas_count = REPLICAS, .protocol = 2};

/* Byte `offset` of the body of the post number `number`: the view says which it is. */
static uint8_t
byte_of(uint64_t number, uint32_t offset)
{
	return (uint8_t)random_mix(number * 131 + offset / 8) + (uint8_t)offset;
}

static void
bytes_check(const uint8_t *bytes, uint32_t offset, uint32_t size, uint64_t number)
{
	for (uint32_t i = 0; i < size; i++) {
		if (offset + i >= sizeof(struct message_header))
			check(bytes[i] == byte_of(number, offset + i));
	}
}

static void
post(struct world *w)
{
	uint32_t how = (uint32_t)fuzz_take(&w->in, 1);
	uint32_t size = ENVELOPE_SIZE + fuzz_below(&w->in, MESSAGE_MAX - ENVELOPE_SIZE + 1);
	if (w->out.large_count == w->out.large_ready || w->posts_count == POSTS_MAX)
		return;
	uint64_t number = w->posts_count;
	struct send send = w->out.large[w->out.large_count++];
	check(size <= send.capacity);
	for (uint32_t i = sizeof(struct message_header); i < size; i++)
		((uint8_t *)send.header)[i] = byte_of(number, i);
	*send.header = (struct message_header){
	    .size = size,
	    .cluster = scope.cluster,
	    .protocol = scope.protocol,
	    .type = MESSAGE_PROTOCOL,
	    .version = MESSAGE_VERSION,
	    .view = number,
	};
	send.to = how & 14;
	send.client = (uint16_t)(how >> 4);
	w->posts[w->posts_count++] =
	    (struct post){.size = size, .to = send.to, .client = send.client};
	uint32_t count = segment_count(size, segment_slice(ENVELOPE_SIZE));
	w->segments +=
	    (uint64_t)count * (send.to == 0 ? 1 : (uint32_t)__builtin_popcountll(send.to));
	segmenter_post(w->segmenter, &send);
	if (how & 1)
		segmenter_refill(w->segmenter, &w->out);
}

/* The post whose segment this is: its id is learnt from the first segment, which holds the view. */
static const struct post *
post_of(struct world *w, const struct message *m, const struct segment_fields *fields)
{
	struct message_header inner;
	for (uint32_t i = 0; i < w->posts_count; i++) {
		if (w->posts[i].id == m->header->seq)
			return &w->posts[i];
	}
	if (fields->offset != 0)
		return NULL;
	memcpy(&inner, m->body, sizeof(inner));
	check(inner.view < w->posts_count);
	w->posts[inner.view].id = m->header->seq;
	return &w->posts[inner.view];
}

static void
segment_check(struct world *w, const struct send *send, const struct message *m)
{
	struct segment_fields fields;
	segment_fields_read(m->header, &fields);
	check(m->header->type == MESSAGE_SEGMENT);
	check(segment_fields_valid(m->header, &fields));
	check(fields.offset % fields.slice == 0);
	check((uint64_t)fields.offset + m->body_size <= fields.total);
	w->last_id = m->header->seq;
	w->last_total = fields.total;
	w->last_slice = fields.slice;
	const struct post *p = post_of(w, m, &fields);
	if (p == NULL)
		return;
	check(fields.total == p->size);
	check((send->to & ~p->to) == 0);
	check((send->to == 0) == (p->to == 0));
	if (send->to == 0)
		check(send->client == p->client);
	bytes_check(m->body, fields.offset, m->body_size, (uint64_t)(p - w->posts));
}

static void
segment_deliver(struct world *w, const struct message *segment)
{
	const uint8_t *whole = NULL;
	uint32_t size = 0;
	struct message m;
	uint8_t *copy = fuzz_copy(segment->header, segment->header->size);
	check(message_parse(&scope, copy, segment->header->size, &m) == PARSE_OK);
	if (assembler_add(w->assembler, w->now_ns, &m, &whole, &size) == ASSEMBLER_COMPLETE) {
		const struct message_header *h = (const void *)whole;
		check(h->size == size && h->view < w->posts_count);
		check(w->posts[h->view].size == size);
		check(w->posts[h->view].to >> PEER & 1);
		bytes_check(whole, 0, size, h->view);
	}
	free(copy);
}

static void
envelopes_set_out(struct world *w, uint32_t count)
{
	w->out.sends_count = 0;
	w->out.sends_ready = count;
	for (uint32_t i = 0; i < count; i++)
		w->out.sends[i] =
		    (struct send){.capacity = ENVELOPE_SIZE, .header = w->envelopes[i]};
}

static void
pump(struct world *w)
{
	uint32_t budget = fuzz_below(&w->in, 20);
	uint64_t lost = fuzz_take(&w->in, 2);
	envelopes_set_out(w, fuzz_below(&w->in, ENVELOPES + 1));
	bool pending = segmenter_pending(w->segmenter);
	uint32_t count = segmenter_pump(w->segmenter, &w->out, &stamp, budget);
	check(count == w->out.sends_count && count <= budget);
	check(pending || count == 0);
	for (uint32_t i = 0; i < count; i++) {
		const struct send *send = &w->out.sends[i];
		struct message m;
		const uint8_t *bytes = (const uint8_t *)send->header;
		check(send->header->size <= ENVELOPE_SIZE);
		check(message_parse(&scope, bytes, send->header->size, &m) == PARSE_OK);
		segment_check(w, send, &m);
		if ((send->to >> PEER & 1) != 0 && (lost >> i & 1) == 0)
			segment_deliver(w, &m);
	}
	assembler_release(w->assembler);
}

static void
nack_deliver(struct world *w, const void *bytes, uint32_t size)
{
	struct message m;
	uint8_t *copy = fuzz_copy(bytes, size);
	if (message_parse(&scope, copy, size, &m) == PARSE_OK &&
	    m.header->type == MESSAGE_SEGMENT_NACK)
		segmenter_nack(w->segmenter, w->now_ns, &m);
	free(copy);
}

/* The honest peer's NACKs. */
static void
timeout(struct world *w)
{
	struct stamp own = stamp;
	own.sender = PEER;
	w->now_ns += fuzz_take(&w->in, 2) * 50000;
	uint32_t lost = (uint32_t)fuzz_take(&w->in, 1);
	envelopes_set_out(w, ENVELOPES);
	uint32_t count = assembler_timeout(w->assembler, w->now_ns, &w->out, &own);
	for (uint32_t i = 0; i < count; i++) {
		if ((lost >> i % 8 & 1) == 0)
			nack_deliver(w, w->out.sends[i].header, w->out.sends[i].header->size);
	}
}

/* Anything that says that it is a NACK, mostly for what was sent last. */
static void
forge(struct world *w)
{
	uint32_t how = (uint32_t)fuzz_take(&w->in, 1);
	uint32_t body_size = fuzz_below(&w->in, 8 * (SEGMENT_RANGES_MAX + 2));
	uint8_t bytes[sizeof(struct message_header) + 8 * (SEGMENT_RANGES_MAX + 2)];
	struct segment_fields fields = {
	    .total = w->last_total, .slice = w->last_slice, .from_client = how & 1};
	struct message_header header = {
	    .size = (uint32_t)sizeof(header) + body_size,
	    .cluster = scope.cluster,
	    .instance = (uint16_t)fuzz_take(&w->in, 1),
	    .sender = (uint16_t)fuzz_take(&w->in, 1),
	    .protocol = scope.protocol,
	    .type = MESSAGE_SEGMENT_NACK,
	    .version = MESSAGE_VERSION,
	    .seq = how & 2 ? fuzz_take(&w->in, 8) : w->last_id,
	};
	if (how & 4)
		fields.total = (uint32_t)fuzz_take(&w->in, 4);
	if (how & 8)
		fields.slice = (uint32_t)fuzz_take(&w->in, 4);
	segment_fields_write(&header, &fields);
	memcpy(bytes, &header, sizeof(header));
	for (uint32_t at = sizeof(header); at < header.size; at += 4) {
		uint32_t word = (uint32_t)fuzz_take(&w->in, how & 16 ? 4 : 1);
		memcpy(bytes + at, &word, header.size - at < 4 ? header.size - at : 4);
	}
	nack_deliver(w, bytes, header.size);
}

static void
run(struct world *w)
{
	while (w->in.size > 0) {
		switch (fuzz_below(&w->in, 5)) {
		case 0:
			post(w);
			break;
		case 1:
		case 2:
			pump(w);
			break;
		case 3:
			timeout(w);
			break;
		default:
			forge(w);
			break;
		}
		const struct segmenter_counters *c = segmenter_counters(w->segmenter);
		check(c->repairs <= REPAIR_FACTOR * w->segments);
		check(c->segments <= w->segments);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct world w;
	static void *memory[2];
	static const struct assembler_config in = {.message_size_max = MESSAGE_MAX,
	    .buffers_count = 8,
	    .replicas_count = REPLICAS,
	    .slots_count = 6};
	static const struct segmenter_config out = {
	    .message_size_max = MESSAGE_MAX, .envelope_size = ENVELOPE_SIZE, .buffers_count = 4};
	if (memory[0] == NULL) {
		check(posix_memalign(&memory[0], 64, assembler_size(&in)) == 0);
		check(posix_memalign(&memory[1], 64, segmenter_size(&out)) == 0);
		for (uint32_t i = 0; i < ENVELOPES; i++)
			w.envelopes[i] = malloc(ENVELOPE_SIZE);
	}
	w.in = (struct fuzz_reader){bytes, size};
	w.now_ns = 0;
	w.segments = 0;
	w.posts_count = 0;
	w.last_id = 0;
	w.last_total = 0;
	w.last_slice = 0;
	w.out.sends_count = 0;
	w.out.large_count = 0;
	w.out.large_ready = 0;
	w.assembler = assembler_init(memory[0], &in);
	w.segmenter = segmenter_init(memory[1], &out);
	segmenter_refill(w.segmenter, &w.out);
	run(&w);
	return 0;
}
