/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for segmentation: the input is a program of small commands
 * that feed one assembler and one segmenter with datagrams (made up from a few
 * fields, or raw bytes), steps of time, lacking envelopes, posts and pumps.
 * Each datagram lies in an exact-size allocation. What must hold whatever comes:
 * no overrun, a whole message consists of its own slices, deadlines move on,
 * our own segments and NACKs decode, and clients' NACKs weigh no more than what
 * came in. One core.
 *
 * Build: clang -fsanitize=fuzzer,address,undefined with engine/assembler.c,
 * engine/segmenter.c and engine/check.c.
 */
#include "engine/assembler.h"
#include "engine/random.h"
#include "engine/segmenter.h"

#include <stdlib.h>
#include <string.h>

enum {
	MESSAGE_MAX = 16 * 1024,
	REPLICAS = 4,
	SELF = 0,
	ENVELOPE_SIZE = 576,
	ENVELOPES = 16,
	RAW_SIZE_MAX = 700,
};

#define RAW_ID (1ull << 63) /* set in the ids of raw segments: their bytes are not known */

/* The input, read from its start; zeroes behind its end. */
struct reader {
	const uint8_t *bytes;
	size_t size;
};

struct world {
	struct reader in;
	uint64_t now_ns;
	uint64_t client_in;  /* bytes kept of clients' segments */
	uint64_t client_out; /* bytes of NACKs to clients */
	uint64_t id_last;    /* of the segmenter's last segment */
	uint32_t total_last; /* bytes of its message */
	struct assembler *assembler;
	struct segmenter *segmenter;
	struct outbox out;
	struct stamp stamp;
	void *envelopes[ENVELOPES];
};

static const struct message_scope scope = {.cluster = 1, .replicas_count = REPLICAS, .protocol = 2};

static uint32_t
take(struct reader *in, size_t size)
{
	uint32_t value = 0;
	if (size > in->size)
		size = in->size;
	memcpy(&value, in->bytes, size);
	in->bytes += size;
	in->size -= size;
	return value;
}

static uint8_t
byte_of(uint64_t id, uint32_t total, uint32_t offset)
{
	return (uint8_t)random_mix(id * 31 + total * 7ull + offset);
}

static void
whole_check(const struct message *m, const uint8_t *whole, uint32_t size)
{
	struct segment_fields fields;
	uint8_t sum = 0;
	segment_fields_read(m->header, &fields);
	check(size == fields.total);
	check(size <= MESSAGE_MAX);
	for (uint32_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + whole[i]);
		if ((m->header->seq & RAW_ID) == 0)
			check(whole[i] == byte_of(m->header->seq, size, i));
	}
	__asm__ volatile("" ::"r"(sum));
}

/* Hands exact-size bytes to whom they are for, and frees them. */
static void
deliver(struct world *w, uint8_t *bytes, uint32_t size)
{
	struct message m;
	const uint8_t *whole = NULL;
	uint32_t whole_size = 0;
	if (message_parse(&scope, bytes, size, &m) == PARSE_OK && message_is_segment(&m)) {
		enum assembler_verdict verdict = ASSEMBLER_DROPS;
		if (m.header->type == MESSAGE_SEGMENT_NACK)
			segmenter_nack(w->segmenter, w->now_ns, &m);
		else
			verdict = assembler_add(w->assembler, w->now_ns, &m, &whole, &whole_size);
		check((whole != NULL) == (verdict == ASSEMBLER_COMPLETE));
		if (verdict == ASSEMBLER_COMPLETE)
			whole_check(&m, whole, whole_size);
		struct segment_fields fields;
		segment_fields_read(m.header, &fields);
		if (verdict < ASSEMBLER_DROPS && fields.from_client == 1)
			w->client_in += size;
	}
	free(bytes);
}

static struct message_header
header_of(uint8_t type, uint16_t sender, uint64_t id, uint32_t size)
{
	return (struct message_header){
	    .size = size,
	    .cluster = scope.cluster,
	    .sender = sender,
	    .protocol = scope.protocol,
	    .type = type,
	    .version = MESSAGE_VERSION,
	    .seq = id,
	};
}

/* A segment that makes sense, nearly always. */
static void
run_segment(struct world *w)
{
	uint32_t kind = take(&w->in, 1);
	uint32_t index = take(&w->in, 1);
	uint32_t total = take(&w->in, 2);
	struct segment_fields fields = {
	    .total = total,
	    .slice = SEGMENT_SLICE_MIN + SEGMENT_UNIT * (kind >> 7),
	    .from_client = kind >> 6 & 1,
	};
	fields.offset = index * fields.slice;
	uint32_t left = fields.offset < total ? total - fields.offset : 0;
	uint32_t body_size = left < fields.slice ? left : fields.slice;
	uint32_t size = (uint32_t)sizeof(struct message_header) + body_size;
	uint64_t id = 1 + (kind >> 3 & 7);
	struct message_header header = header_of(MESSAGE_SEGMENT, kind & 7, id, size);
	segment_fields_write(&header, &fields);
	uint8_t *bytes = malloc(size);
	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = 0; i < body_size; i++)
		bytes[sizeof(header) + i] = byte_of(id, total, fields.offset + i);
	deliver(w, bytes, size);
}

/* A header that parses, with raw fields and body. */
static void
run_raw(struct world *w)
{
	uint32_t nack = take(&w->in, 1) & 1;
	uint32_t sender = take(&w->in, 1);
	uint32_t size = (uint32_t)sizeof(struct message_header) + take(&w->in, 2) % RAW_SIZE_MAX;
	struct message_header header = header_of(nack ? MESSAGE_SEGMENT_NACK : MESSAGE_SEGMENT,
	    (uint16_t)sender, RAW_ID | take(&w->in, 1), size);
	uint8_t *bytes = calloc(1, size);
	for (size_t i = 0; i < sizeof(header.digest) / 2; i++)
		header.digest[i] = (uint8_t)take(&w->in, 1);
	memcpy(bytes, &header, sizeof(header));
	for (size_t i = sizeof(header); i < size && w->in.size > 0; i++)
		bytes[i] = (uint8_t)take(&w->in, 1);
	deliver(w, bytes, size);
}

/* A NACK for what was sent last, with ranges from the input. */
static void
run_nack(struct world *w)
{
	uint32_t count = take(&w->in, 1) % (SEGMENT_RANGES_MAX + 2);
	uint32_t sender = take(&w->in, 1) & 7;
	uint32_t size = (uint32_t)sizeof(struct message_header) + 8 * count;
	struct message_header header =
	    header_of(MESSAGE_SEGMENT_NACK, (uint16_t)sender, w->id_last, size);
	struct segment_fields fields = {
	    .total = w->total_last,
	    .slice = segment_slice(ENVELOPE_SIZE),
	    .from_client = take(&w->in, 1) & 1,
	};
	segment_fields_write(&header, &fields);
	uint8_t *bytes = calloc(1, size);
	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = 0; i < count; i++) {
		struct segment_range range = {take(&w->in, 1), take(&w->in, 1)};
		memcpy(bytes + sizeof(header) + 8 * i, &range, sizeof(range));
	}
	deliver(w, bytes, size);
}

static void
envelopes_set_out(struct world *w, uint32_t count)
{
	w->out.sends_count = 0;
	w->out.sends_ready = count % (ENVELOPES + 1);
	for (uint32_t i = 0; i < w->out.sends_ready; i++)
		w->out.sends[i] =
		    (struct send){.capacity = ENVELOPE_SIZE, .header = w->envelopes[i]};
}

/* What we send decodes, and fits where it goes. */
static void
sends_check(struct world *w, uint8_t type)
{
	for (uint32_t i = 0; i < w->out.sends_count; i++) {
		const struct send *send = &w->out.sends[i];
		struct message m;
		struct segment_fields fields;
		check(send->header->size <= ENVELOPE_SIZE);
		check(message_parse(&scope, (const uint8_t *)send->header, send->header->size,
			  &m) == PARSE_OK);
		check(m.header->type == type);
		segment_fields_read(m.header, &fields);
		check(segment_fields_valid(m.header, &fields));
		if (type == MESSAGE_SEGMENT) {
			w->id_last = m.header->seq;
			w->total_last = fields.total;
		} else {
			check(m.header->size <= ENVELOPE_SIZE_MIN);
			w->client_out += send->to == 0 ? m.header->size : 0;
		}
	}
}

static void
run_timeout(struct world *w)
{
	w->now_ns += (uint64_t)take(&w->in, 2) * 100000;
	envelopes_set_out(w, take(&w->in, 1));
	uint32_t count = assembler_timeout(w->assembler, w->now_ns, &w->out, &w->stamp);
	check(count == w->out.sends_count);
	check(w->out.sends_count == w->out.sends_ready ||
	      assembler_deadline(w->assembler) > w->now_ns);
	sends_check(w, MESSAGE_SEGMENT_NACK);
	check(w->client_out <= w->client_in);
}

static void
run_post(struct world *w)
{
	uint32_t to = take(&w->in, 1);
	uint32_t size =
	    (uint32_t)sizeof(struct message_header) + take(&w->in, 2) % (MESSAGE_MAX - 64);
	if (w->out.large_count < w->out.large_ready) {
		struct send send = w->out.large[w->out.large_count++];
		memset(send.header, (int)to, size);
		*send.header = header_of(MESSAGE_PROTOCOL, SELF, to, size);
		send.to = to & 0xe;
		send.client = (uint16_t)(to >> 4);
		if (to & 1)
			segmenter_post(w->segmenter, &send);
	}
	if (take(&w->in, 1) & 1)
		segmenter_refill(w->segmenter, &w->out);
}

static void
run_pump(struct world *w)
{
	uint32_t budget = take(&w->in, 1);
	envelopes_set_out(w, take(&w->in, 1));
	bool pending = segmenter_pending(w->segmenter);
	uint32_t count = segmenter_pump(w->segmenter, &w->out, &w->stamp, budget);
	check(count == w->out.sends_count);
	check(count <= budget);
	check(pending || count == 0);
	sends_check(w, MESSAGE_SEGMENT);
}

static void
run_program(struct world *w)
{
	while (w->in.size > 0) {
		switch (take(&w->in, 1) % 8) {
		case 0:
			run_raw(w);
			break;
		case 1:
			run_timeout(w);
			break;
		case 2:
			assembler_release(w->assembler);
			break;
		case 3:
			run_post(w);
			break;
		case 4:
			run_pump(w);
			break;
		case 5:
			run_nack(w);
			break;
		default:
			run_segment(w);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct world w;
	static const struct assembler_config in = {
	    .message_size_max = MESSAGE_MAX,
	    .buffers_count = 8,
	    .replicas_count = REPLICAS,
	    .slots_count = 6,
	};
	static const struct segmenter_config out = {
	    .message_size_max = MESSAGE_MAX,
	    .envelope_size = ENVELOPE_SIZE,
	    .buffers_count = 3,
	};
	static void *memory[2];
	if (memory[0] == NULL) {
		if (posix_memalign(&memory[0], 64, assembler_size(&in)) != 0 ||
		    posix_memalign(&memory[1], 64, segmenter_size(&out)) != 0)
			abort();
		for (uint32_t i = 0; i < ENVELOPES; i++)
			w.envelopes[i] = malloc(ENVELOPE_SIZE);
	}
	struct world fresh = {
	    .in = {bytes, size},
	    .assembler = assembler_init(memory[0], &in),
	    .segmenter = segmenter_init(memory[1], &out),
	    .stamp = {.cluster = 1, .sender = SELF, .replicas_count = REPLICAS, .protocol = 2},
	};
	memcpy(fresh.envelopes, w.envelopes, sizeof(fresh.envelopes));
	w = fresh;
	segmenter_refill(w.segmenter, &w.out);
	run_program(&w);
	return 0;
}
