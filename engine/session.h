/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exactly once: for each client slot the timestamp of its last executed
 * operation and the reply to it. The table is part of the replicated state, so
 * it is in every checkpoint, rollback and transfer. A client has one operation
 * outstanding and its timestamps grow, gaps allowed; what one client sends
 * touches its own entry only. Owned by one executor, on one core.
 *
 * Small replies lie in the entry. Larger ones lie in a cell of the slot's own or,
 * where cells for all slots would be too much memory, in a ring in the region:
 * there they are overwritten in the order of execution, hence alike at all
 * replicas, and recalling one that was overwritten says so.
 */
#ifndef OSKR_ENGINE_SESSION_H
#define OSKR_ENGINE_SESSION_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/state.h"

enum {
	SESSION_INLINE_SIZE = 104, /* bytes of a reply that fit an entry */
	SESSION_SLOTS_MAX = 65536,
};

struct session_options {
	uint32_t slots_count; /* client slots: 1 .. SESSION_SLOTS_MAX */
	uint64_t ring_size;   /* bytes for replies that do not fit an entry; 0: none is kept */
	/* Where not 0, every slot has a cell of so many bytes for such a reply instead of
	 * a share of the ring, and none is ever lost; ring_size is not used. */
	uint32_t cell_size;
};

/* One client's. Two cache lines. */
struct session_entry {
	uint64_t timestamp; /* of the last executed operation; 0: none yet */
	uint64_t position;  /* in the ring's endless sequence of bytes, of a large reply */
	uint32_t size;	    /* bytes of the reply */
	uint32_t reserved;  /* zero */
	uint8_t reply[SESSION_INLINE_SIZE];
};
static_assert(sizeof(struct session_entry) == 128, "eight entries a page");

/* The ring's own word in the region. */
struct session_ring {
	uint64_t head; /* bytes ever written, gaps before the wrap included */
};

struct session {
	struct state *state;
	struct session_entry *entries;
	struct session_ring *ring;
	uint8_t *ring_bytes;
	uint64_t ring_size; /* of all cells, where there are cells */
	uint32_t cell_size; /* 0: a ring */
	uint32_t slots_count;
};

/* What a request is to its session. */
enum session_verdict {
	SESSION_NEW,	   /* execute it */
	SESSION_DUPLICATE, /* the last executed one: answer from the cache */
	SESSION_STALE,	   /* older than the last executed one, or timestamp 0 */
};

/* Bytes of the region that session_open reserves. */
uint64_t session_region_size(const struct session_options *options);

/* Returns 0, -EINVAL (options) or -ENOMEM (the region is too small). */
int session_open(
    struct session *session, const struct session_options *options, struct state *state);

/* `slot` must be below slots_count. */
static inline enum session_verdict
session_judge(const struct session *session, uint16_t slot, uint64_t timestamp)
{
	uint64_t last = session->entries[slot].timestamp;
	if (timestamp > last)
		return SESSION_NEW;
	return timestamp == last && timestamp != 0 ? SESSION_DUPLICATE : SESSION_STALE;
}

static inline void
session_prefetch(const struct session *session, uint16_t slot)
{
	if (slot < session->slots_count)
		__builtin_prefetch(&session->entries[slot], 1);
}

/* The slow path of session_record. */
void session_record_reply(
    struct session *session, struct session_entry *entry, const uint8_t *reply, uint32_t size);

/* Notes that the slot's operation `timestamp`, judged new, gave this reply. */
static inline void
session_record(
    struct session *session, uint16_t slot, uint64_t timestamp, const uint8_t *reply, uint32_t size)
{
	struct session_entry *entry = &session->entries[slot];
	state_modify(session->state, entry, sizeof(*entry));
	entry->timestamp = timestamp;
	if (size != 0 || entry->size != 0)
		session_record_reply(session, entry, reply, size);
}

/*
 * The reply to the slot's last executed operation: *reply and *size, in the
 * region, valid until the next operation is executed. False: overwritten.
 */
bool session_recall(
    const struct session *session, uint16_t slot, const uint8_t **reply, uint32_t *size);

#endif
