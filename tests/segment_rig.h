/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the suites of engine/segmenter.c and engine/assembler.c share: nodes,
 * datagrams, segments made by hand. Every datagram lies in an exact-size
 * allocation, so the address sanitizer sees each overrun. One core.
 */
#ifndef OSKR_TESTS_SEGMENT_RIG_H
#define OSKR_TESTS_SEGMENT_RIG_H

#include "engine/assembler.h"
#include "engine/random.h"
#include "engine/segmenter.h"

#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

enum {
	MESSAGE_MAX = 1024 * 1024 + 4096,
	ENVELOPE = 1472, /* MTU 1500 */
	SLICE = 1408,
	ENVELOPES = 64,
	MS = 1000 * 1000,
	REPLICAS = 4,
	SLOT = 77,
};

/* One end of a link: both halves, an outbox, envelopes of its own. */
struct node {
	struct segmenter *segmenter;
	struct assembler *assembler;
	struct outbox out;
	struct stamp stamp;
	uint32_t envelope_size;
	void *envelopes[ENVELOPES];
};

/* A datagram on its way, in memory of its own. */
struct datagram {
	uint8_t *bytes;
	uint32_t size;
	uint64_t to;
	uint16_t client;
};

static const struct message_scope scope = {.cluster = 9, .replicas_count = REPLICAS, .protocol = 3};

static inline void *
block(size_t size)
{
	void *memory = NULL;
	CU_ASSERT_EQUAL_FATAL(posix_memalign(&memory, 64, size), 0);
	memset(memory, 0xa5, size < 65536 ? size : 65536);
	return memory;
}

static inline struct segmenter_config
segmenter_default(void)
{
	return (struct segmenter_config){
	    .message_size_max = MESSAGE_MAX, .envelope_size = ENVELOPE, .buffers_count = 4};
}

static inline struct assembler_config
assembler_default(void)
{
	return (struct assembler_config){
	    .message_size_max = MESSAGE_MAX, .buffers_count = 12, .replicas_count = REPLICAS};
}

static inline void
node_open(struct node *n, uint16_t self, const struct segmenter_config *out,
    const struct assembler_config *in)
{
	memset(n, 0, sizeof(*n));
	n->segmenter = segmenter_init(block(segmenter_size(out)), out);
	n->assembler = assembler_init(block(assembler_size(in)), in);
	n->stamp = (struct stamp){.cluster = 9, .sender = self, .replicas_count = 4, .protocol = 3};
	n->envelope_size = out->envelope_size;
	for (uint32_t i = 0; i < ENVELOPES; i++)
		n->envelopes[i] = block(out->envelope_size);
	segmenter_refill(n->segmenter, &n->out);
}

/* A replica (or, with from_client, a client's node), all else by default. */
static inline void
node_default(struct node *n, uint16_t self, bool from_client)
{
	struct segmenter_config out = segmenter_default();
	struct assembler_config in = assembler_default();
	out.from_client = from_client;
	in.from_client = from_client;
	node_open(n, self, &out, &in);
}

static inline void
node_close(struct node *n)
{
	free(n->segmenter);
	free(n->assembler);
	for (uint32_t i = 0; i < ENVELOPES; i++)
		free(n->envelopes[i]);
}

static inline void
envelopes_set_out(struct node *n, uint32_t count)
{
	n->out.sends_count = 0;
	n->out.sends_ready = count;
	for (uint32_t i = 0; i < count; i++) {
		n->out.sends[i] = (struct send){
		    .capacity = n->envelope_size, .header = n->envelopes[i], .owner = n};
	}
}

/* Takes what lies in the outbox; the caller frees each. */
static inline uint32_t
outbox_take(struct node *n, struct datagram *list, uint32_t max)
{
	uint32_t count = n->out.sends_count;
	CU_ASSERT_FATAL(count <= max);
	for (uint32_t i = 0; i < count; i++) {
		const struct send *send = &n->out.sends[i];
		list[i] = (struct datagram){
		    malloc(send->header->size), send->header->size, send->to, send->client};
		memcpy(list[i].bytes, send->header, send->header->size);
	}
	n->out.sends_count = 0;
	return count;
}

static inline struct message
parsed(const struct datagram *d)
{
	struct message m = {0};
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, d->bytes, d->size, &m), PARSE_OK);
	return m;
}

static inline void
message_fill(uint8_t *bytes, const struct stamp *stamp, uint32_t size, uint64_t seq)
{
	struct message_header header = {
	    .size = size,
	    .cluster = stamp->cluster,
	    .sender = stamp->sender,
	    .protocol = stamp->protocol,
	    .type = MESSAGE_PROTOCOL,
	    .version = MESSAGE_VERSION,
	    .seq = seq,
	};
	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = sizeof(header); i < size; i++)
		bytes[i] = (uint8_t)random_mix(seq * 2654435761u + i);
}

static inline bool
message_matches(const uint8_t *bytes, uint32_t size, const struct stamp *stamp, uint64_t seq)
{
	uint8_t *expected = malloc(size);
	message_fill(expected, stamp, size, seq);
	bool same = memcmp(expected, bytes, size) == 0;
	free(expected);
	return same;
}

/* Writes a message of `size` bytes into a lent buffer: taken, but not posted. */
static inline struct send
message_take(struct node *n, uint32_t size, uint64_t seq)
{
	CU_ASSERT_FATAL(n->out.large_count < n->out.large_ready);
	struct send send = n->out.large[n->out.large_count++];
	message_fill((uint8_t *)send.header, &n->stamp, size, seq);
	return send;
}

/* Takes, posts and gets new buffers lent, as a shard does. to == 0: to slot SLOT. */
static inline void
message_post(struct node *n, uint32_t size, uint64_t seq, uint64_t to)
{
	struct send send = message_take(n, size, seq);
	send.to = to;
	send.client = to == 0 ? SLOT : 0;
	segmenter_post(n->segmenter, &send);
	segmenter_refill(n->segmenter, &n->out);
}

/* Pumps everything into a list. */
static inline uint32_t
pump_all(struct node *n, struct datagram *list, uint32_t max)
{
	uint32_t count = 0;
	while (segmenter_pending(n->segmenter)) {
		envelopes_set_out(n, ENVELOPES);
		CU_ASSERT(segmenter_pump(n->segmenter, &n->out, &n->stamp, ENVELOPES) > 0);
		count += outbox_take(n, list + count, max - count);
	}
	return count;
}

static inline void
list_free(struct datagram *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(list[i].bytes);
}

/* What assembler_add() says, without interest in the whole. */
static inline enum assembler_verdict
add(struct node *n, uint64_t now_ns, const struct datagram *d)
{
	const uint8_t *whole = NULL;
	uint32_t whole_size = 0;
	struct message m = parsed(d);
	return assembler_add(n->assembler, now_ns, &m, &whole, &whole_size);
}

static inline uint64_t
verdicts(const struct node *n, enum assembler_verdict verdict)
{
	return assembler_counters(n->assembler)->verdicts[verdict];
}

/* A segment made by hand; the story may spoil it before it is added. */
static inline struct datagram
segment_make(uint16_t sender, bool from_client, uint64_t id, uint32_t index, uint32_t total)
{
	struct segment_fields fields = {
	    .offset = index * SLICE, .total = total, .slice = SLICE, .from_client = from_client};
	uint32_t left = total - fields.offset;
	uint32_t size = 64 + (left < SLICE ? left : SLICE);
	struct datagram d = {calloc(1, size), size, 0, 0};
	struct message_header *header = (struct message_header *)(void *)d.bytes;
	*header = (struct message_header){
	    .size = size,
	    .cluster = 9,
	    .sender = sender,
	    .protocol = 3,
	    .type = MESSAGE_SEGMENT,
	    .version = MESSAGE_VERSION,
	    .seq = id,
	};
	segment_fields_write(header, &fields);
	return d;
}

static inline enum assembler_verdict
add_made(struct node *n, uint64_t now_ns, struct datagram d)
{
	enum assembler_verdict verdict = add(n, now_ns, &d);
	free(d.bytes);
	return verdict;
}

static inline enum assembler_verdict
add_segment(struct node *n, uint64_t now_ns, uint16_t sender, uint64_t id, uint32_t index)
{
	return add_made(n, now_ns, segment_make(sender, false, id, index, 10 * SLICE));
}

static inline enum assembler_verdict
add_client(struct node *n, uint64_t now_ns, uint16_t slot, uint64_t id, uint32_t index)
{
	return add_made(n, now_ns, segment_make(slot, true, id, index, 10 * SLICE));
}

#endif
