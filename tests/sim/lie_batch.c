/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another batch out of a batch: what a leader that lies would propose. Some are
 * as valid as the first and only different (equivocation, censorship), others
 * hold requests that are forged, stale or there twice. See sim.h. One thread.
 */
#include <stdlib.h>

#include "engine/batch.h"
#include "sim.h"

enum { REQUESTS_MAX = 256 };

enum batch_lie {
	BATCH_REVERSED,
	BATCH_WITHOUT_LAST,
	BATCH_WITHOUT_FIRST,
	BATCH_WITHOUT_CLIENT, /* all requests of one slot */
	BATCH_TWICE,	      /* one request once more */
	BATCH_STALE,	      /* one of an older batch once more */
	BATCH_FORGED,	      /* an operation that its client did not ask for */
	BATCH_LATER,	      /* a timestamp that its client did not give */
	BATCH_LIES_COUNT,
};

/* The requests of a batch, and those of the new one, in its order. */
struct mixture {
	uint32_t count;
	const struct message_header *list[REQUESTS_MAX];
};

static void
mixture_add(struct mixture *m, const struct message_header *request)
{
	if (m->count < REQUESTS_MAX)
		m->list[m->count++] = request;
}

static bool
mixture_read(
    struct mixture *m, const struct message_scope *scope, const uint8_t *body, uint32_t size)
{
	struct batch_cursor cursor = batch_cursor(body, size);
	struct message request;
	m->count = 0;
	while (!batch_cursor_done(&cursor)) {
		if (!batch_next(&cursor, scope, &request))
			return false;
		mixture_add(m, request.header);
	}
	return m->count > 0;
}

static void
mixture_make(struct mixture *to, const struct mixture *from, enum batch_lie lie, uint32_t which)
{
	uint16_t censored = from->list[which]->sender;
	to->count = 0;
	for (uint32_t i = 0; i < from->count; i++) {
		uint32_t at = lie == BATCH_REVERSED ? from->count - 1 - i : i;
		bool left_out = (lie == BATCH_WITHOUT_LAST && i == from->count - 1) ||
				(lie == BATCH_WITHOUT_FIRST && i == 0) ||
				(lie == BATCH_WITHOUT_CLIENT && from->list[at]->sender == censored);
		if (!left_out)
			mixture_add(to, from->list[at]);
	}
	if (lie == BATCH_TWICE)
		mixture_add(to, from->list[which]);
}

/* Writes the requests one after another; those that do not fit are left out. */
static uint32_t
mixture_write(const struct mixture *m, uint8_t *body, uint32_t room)
{
	uint8_t *copy = malloc(room);
	uint32_t size = 0;
	check(copy != NULL);
	for (uint32_t i = 0; i < m->count; i++) {
		uint32_t padded = batch_padded(m->list[i]->size);
		if (padded > room - size)
			continue;
		memset(copy + size, 0, padded);
		memcpy(copy + size, m->list[i], m->list[i]->size);
		size += padded;
	}
	memcpy(body, copy, size);
	free(copy);
	return size;
}

bool
lie_batch(const struct sim *sim, struct lie_body *body, const struct packet *other, uint64_t word)
{
	const struct message_scope *scope = &sim->oracle.scope;
	static struct mixture now;
	static struct mixture old;
	static struct mixture made;
	enum batch_lie lie = (enum batch_lie)(word % BATCH_LIES_COUNT);
	struct message m;
	if (!mixture_read(&now, scope, body->bytes, body->size))
		return false;
	uint32_t which = (uint32_t)((word >> 8) % now.count);
	mixture_make(&made, &now, lie, which);
	if (lie == BATCH_STALE && other != NULL &&
	    message_parse(scope, other->data, other->size, &m) == PARSE_OK &&
	    lie_batch_at(sim, &m) <= m.body_size &&
	    mixture_read(
		&old, scope, m.body + lie_batch_at(sim, &m), m.body_size - lie_batch_at(sim, &m)))
		mixture_add(&made, old.list[(word >> 16) % old.count]);
	body->size = mixture_write(&made, body->bytes, body->room);
	if (body->size > 0 && (lie == BATCH_FORGED || lie == BATCH_LATER)) {
		struct message_header *first = (struct message_header *)(void *)body->bytes;
		if (lie == BATCH_LATER)
			first->seq++;
		else
			body->bytes[sizeof(*first) + (word >> 24) % 8] ^= 1;
	}
	return true;
}
