/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a message's header, and the requests of a batch. The first byte
 * sets the scope and whether headers are made to fit; the rest is a message, and
 * then a batch, in memory of exactly its size. What is accepted lies inside, and
 * appended to a batch of our own it reads back the same.
 */
#include "engine/batch.h"
#include "fuzz.h"

static const uint16_t replicas_counts[4] = {1, 4, 7, 64};

/* Makes the header at `bytes` pass the first tests. */
static void
header_fit(const struct message_scope *scope, uint8_t *bytes, size_t left, bool alone)
{
	struct message_header header;
	if (left < sizeof(header))
		return;
	memcpy(&header, bytes, sizeof(header));
	header.version = MESSAGE_VERSION;
	header.cluster = scope->cluster;
	header.protocol = scope->protocol;
	header.size = alone ? (uint32_t)left : header.size % 512;
	if (!alone)
		header.type = MESSAGE_REQUEST;
	memcpy(bytes, &header, sizeof(header));
}

static void
message_inside(
    const struct message_scope *scope, const struct message *m, const uint8_t *bytes, size_t size)
{
	uint32_t proof = proof_size(m->header->proof, scope->replicas_count);
	check((const uint8_t *)m->header == bytes);
	check(m->header->size <= size);
	check(sizeof(struct message_header) + (uint64_t)m->body_size + proof == m->header->size);
	check(m->body == bytes + sizeof(struct message_header));
	check(m->proof == m->body + m->body_size);
	fuzz_touch(m->body, m->body_size);
	fuzz_touch(m->proof, proof);
}

static void
parse_alone(const struct message_scope *scope, const uint8_t *bytes, size_t size)
{
	struct message m = {0};
	enum parse_error error = message_parse(scope, bytes, size, &m);
	check(error < PARSE_ERRORS_COUNT);
	check((m.header != NULL) == (error == PARSE_OK));
	if (error == PARSE_OK) {
		check(m.header->size == size);
		message_inside(scope, &m, bytes, size);
	}
}

/* The requests of the batch, and their copies in one of our own, which is read back. */
static void
parse_batch(const struct message_scope *scope, const uint8_t *bytes, uint32_t size)
{
	uint8_t *memory = malloc(size > 0 ? size : 1);
	struct batch copy = {.data = memory, .capacity = size & ~7u};
	struct batch_cursor cursor = batch_cursor(bytes, size);
	struct message m;
	check(memory != NULL);
	while (batch_next(&cursor, scope, &m)) {
		message_inside(scope, &m, (const uint8_t *)m.header,
		    (size_t)(bytes + size - (const uint8_t *)m.header));
		check(m.header->type == MESSAGE_REQUEST);
		check(batch_fits(&copy, &m));
		batch_append(&copy, &m);
		check(cursor.at == bytes + copy.size);
	}
	uint32_t count = 0;
	struct batch_cursor again = batch_cursor(copy.data, copy.size);
	while (batch_next(&again, scope, &m)) {
		size_t offset = (size_t)((const uint8_t *)m.header - copy.data);
		check(memcmp(m.header, bytes + offset, m.header->size) == 0);
		count++;
	}
	check(batch_cursor_done(&again));
	check(count == copy.count);
	free(memory);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_reader in = {bytes, size};
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	struct message_scope scope = {
	    .cluster = 7, .replicas_count = replicas_counts[how & 3], .protocol = 2};
	uint8_t *copy = fuzz_copy(in.bytes, in.size);
	if (how & 4)
		header_fit(&scope, copy, in.size, true);
	parse_alone(&scope, copy, in.size);
	/* Where a request of the batch begins depends on the sizes before it. */
	for (size_t at = 0; (how & 4) != 0 && at + sizeof(struct message_header) <= in.size;) {
		header_fit(&scope, copy + at, in.size - at, false);
		uint32_t step = 0;
		memcpy(&step, copy + at, sizeof(step));
		at += step < 8 ? 8 : batch_padded(step);
	}
	parse_batch(&scope, copy, (uint32_t)in.size);
	free(copy);
	return 0;
}
