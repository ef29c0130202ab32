/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: requests one after another, each a whole message (header, operation,
 * proof) padded with zeroes to 8 bytes. The builder writes into memory of the
 * log that owns it; the cursor reads it back and trusts nothing. Pure; any core.
 */
#ifndef OSKR_ENGINE_BATCH_H
#define OSKR_ENGINE_BATCH_H

#include <string.h>

#include "engine/check.h"
#include "engine/message.h"

/* A batch being filled, in memory that somebody else owns. */
struct batch {
	uint8_t *data;	   /* capacity bytes, aligned to 8 */
	uint32_t capacity; /* bytes */
	uint32_t size;	   /* bytes used, a multiple of 8 */
	uint32_t count;	   /* requests */
};

static inline uint32_t
batch_padded(uint32_t message_size)
{
	return (message_size + 7u) & ~7u;
}

static inline bool
batch_fits(const struct batch *b, const struct message *request)
{
	return batch_padded(request->header->size) <= b->capacity - b->size;
}

/* Appends a copy. Requires batch_fits(). */
static inline void
batch_append(struct batch *b, const struct message *request)
{
	uint32_t size = request->header->size;
	check(batch_fits(b, request));
	uint8_t *at = b->data + b->size;
	memcpy(at, request->header, sizeof(struct message_header));
	/* The header may live apart from the body: see message_parse's callers. */
	if (size > sizeof(struct message_header)) {
		memcpy(at + sizeof(struct message_header), request->body,
		    size - sizeof(struct message_header));
		memset(at + size, 0, batch_padded(size) - size);
	}
	b->size += batch_padded(size);
	b->count++;
}

enum { BATCH_AHEAD = 6 }; /* requests that are on their way to the cache */

/* Reads the requests of a received batch, in order. */
struct batch_cursor {
	const uint8_t *at;
	const uint8_t *end;
};

static inline struct batch_cursor
batch_cursor(const uint8_t *data, uint32_t size)
{
	/* An empty batch has no memory to point into. */
	return (struct batch_cursor){.at = data, .end = size > 0 ? data + size : data};
}

static inline bool
batch_cursor_done(const struct batch_cursor *c)
{
	return c->at == c->end;
}

/*
 * Decodes the next request into *m. False: the batch is malformed here (or it
 * is done, which batch_cursor_done tells beforehand). `data` must have been
 * aligned to 8.
 */
static inline bool
batch_next(struct batch_cursor *c, const struct message_scope *scope, struct message *m)
{
	size_t left = (size_t)(c->end - c->at);
	if (left < sizeof(struct message_header))
		return false;
	const struct message_header *h = (const struct message_header *)(const void *)c->at;
	uint32_t size = h->size;
	if (size > left || batch_padded(size) > left || h->type != MESSAGE_REQUEST)
		return false;
	if (message_parse(scope, c->at, size, m) != PARSE_OK)
		return false;
	/* Most batches' requests are all of one size. */
	__builtin_prefetch((const uint8_t *)((uintptr_t)c->at + BATCH_AHEAD * batch_padded(size)));
	c->at += batch_padded(size);
	return true;
}

#endif
