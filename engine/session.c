/* SPDX-License-Identifier: Apache-2.0 */
/* The table of client sessions. See session.h. The executor's core. */
#include "engine/session.h"

#include <errno.h>
#include <string.h>

#include "engine/check.h"

/* Bytes for the replies that do not fit an entry. */
static uint64_t
replies_size(const struct session_options *options)
{
	uint64_t cells_size = (uint64_t)options->slots_count * options->cell_size;
	return options->cell_size > 0 ? cells_size : options->ring_size;
}

uint64_t
session_region_size(const struct session_options *options)
{
	uint64_t entries = (uint64_t)options->slots_count * sizeof(struct session_entry);
	/* Up to a page is lost to the alignment of each of the three parts. */
	return entries + sizeof(struct session_ring) + replies_size(options) + 3 * STATE_PAGE_SIZE;
}

int
session_open(struct session *session, const struct session_options *options, struct state *state)
{
	memset(session, 0, sizeof(*session));
	if (options->slots_count == 0 || options->slots_count > SESSION_SLOTS_MAX)
		return -EINVAL;
	uint64_t entries_size = (uint64_t)options->slots_count * sizeof(struct session_entry);
	session->entries = state_reserve(state, entries_size, STATE_PAGE_SIZE);
	session->ring = state_reserve(state, sizeof(struct session_ring), STATE_PAGE_SIZE);
	session->ring_bytes = state_reserve(state, replies_size(options), STATE_PAGE_SIZE);
	if (session->entries == NULL || session->ring == NULL || session->ring_bytes == NULL)
		return -ENOMEM;
	session->state = state;
	session->ring_size = replies_size(options);
	session->cell_size = options->cell_size;
	session->slots_count = options->slots_count;
	return 0;
}

/*
 * Copies a large reply to the ring and returns its position. A reply does not
 * wrap: the bytes before the end that it cannot use are skipped.
 */
static uint64_t
ring_append(struct session *session, const uint8_t *reply, uint32_t size)
{
	uint64_t position = session->ring->head;
	uint64_t offset = position % session->ring_size;
	if (size > session->ring_size - offset) {
		position += session->ring_size - offset;
		offset = 0;
	}
	state_modify(session->state, session->ring, sizeof(*session->ring));
	session->ring->head = position + size;
	state_modify(session->state, session->ring_bytes + offset, size);
	memcpy(session->ring_bytes + offset, reply, size);
	return position;
}

/* Copies a large reply to the slot's cell and returns its position. */
static uint64_t
cell_write(struct session *session, uint64_t slot, const uint8_t *reply, uint32_t size)
{
	uint64_t position = slot * session->cell_size;
	check(size <= session->cell_size);
	state_modify(session->state, session->ring_bytes + position, size);
	memcpy(session->ring_bytes + position, reply, size);
	return position;
}

void
session_record_reply(
    struct session *session, struct session_entry *entry, const uint8_t *reply, uint32_t size)
{
	entry->size = size;
	entry->position = 0;
	if (size <= SESSION_INLINE_SIZE) {
		/* The whole array, so that an entry depends on its last operation only. */
		memcpy(entry->reply, reply, size);
		memset(entry->reply + size, 0, SESSION_INLINE_SIZE - size);
		return;
	}
	memset(entry->reply, 0, SESSION_INLINE_SIZE);
	if (session->cell_size > 0)
		entry->position =
		    cell_write(session, (uint64_t)(entry - session->entries), reply, size);
	else if (size <= session->ring_size)
		entry->position = ring_append(session, reply, size);
}

bool
session_recall(const struct session *session, uint16_t slot, const uint8_t **reply, uint32_t *size)
{
	check(slot < session->slots_count);
	const struct session_entry *entry = &session->entries[slot];
	*size = entry->size;
	*reply = entry->reply;
	if (entry->size <= SESSION_INLINE_SIZE)
		return true;
	/* Cells live on; of a ring, the last ring_size bytes written do. */
	if (session->cell_size > 0) {
		*reply = session->ring_bytes + entry->position;
		return true;
	}
	if (entry->size > session->ring_size ||
	    session->ring->head - entry->position > session->ring_size)
		return false;
	*reply = session->ring_bytes + entry->position % session->ring_size;
	return true;
}
