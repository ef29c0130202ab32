/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State transfer: brings a replica's state to a checkpoint that others have
 * (Castro & Liskov, TOCS'02, section 6.2.2), and serves the own checkpoints to
 * those who ask. Two messages, told apart by their type in every protocol:
 *
 *     FETCH   seq: position of the checkpoint; view: number of this fetch
 *             body: struct state_block, 1 .. TRANSFER_FETCH_MAX of them
 *     BLOCKS  seq, view: the fetch's; one or several answer a fetch
 *             body: struct blocks_head, then struct blocks_entry for each block
 *
 * Both are of no ordering instance, so that they and their segments find the
 * executor's lcore where a replica has several.
 *
 * Nothing that comes in is trusted: a block counts when its digest is the one
 * that the tree holds of it, from the root down (engine/state.h). A peer that
 * sends a wrong one is left out for a while, so is one that is silent or sends
 * nothing of use; what it was asked for, others are asked. A peer that has been
 * asked and is slow holds nobody up: idle peers are asked for the same. A
 * transfer has no end but success or another target, and what has been
 * installed stays.
 *
 * A fetch is answered at a bounded rate, and a newer one of the same peer takes
 * its place: who floods loses only his own answers. An answer is small because
 * the request is: up to 32 KiB for 0.4 KiB, to a replica that proved itself.
 *
 * Pure: time, memory and envelopes are given. Owned by one replica, on one core.
 */
#ifndef OSKR_ENGINE_TRANSFER_H
#define OSKR_ENGINE_TRANSFER_H

#include <assert.h>

#include "engine/protocol.h"
#include "engine/state.h"

enum {
	TRANSFER_PEERS_MAX = 64,
	TRANSFER_FETCH_MAX = 32,	   /* blocks in one fetch; one fetch a peer at once */
	TRANSFER_ASKED_MAX = 8,		   /* peers asked at once: 256 KiB under way */
	TRANSFER_RETRIES_MAX = 2048,	   /* blocks asked for in vain: one fetch of every peer */
	TRANSFER_BLOCKS_LARGE = 16,	   /* blocks in one message that travels in segments */
	TRANSFER_PEER_BLOCKS_PER_MS = 64,  /* served to one peer: 64 MiB a second */
	TRANSFER_TOTAL_BLOCKS_PER_MS = 96, /* served to all: some tenth of a core */
};
static_assert(TRANSFER_RETRIES_MAX >= TRANSFER_PEERS_MAX * TRANSFER_FETCH_MAX,
    "everything asked for can be asked for again");

enum blocks_flags {
	BLOCKS_LAST = 1 << 0, /* nothing more comes of this fetch */
	BLOCKS_GONE = 1 << 1, /* the checkpoint is not kept: no blocks, and the last */
};

/* Begins the body of MESSAGE_BLOCKS. */
struct blocks_head {
	uint32_t blocks_count;
	uint32_t flags;	 /* enum blocks_flags */
	uint64_t stable; /* position of the sender's newest stable checkpoint; 0: none */
};
static_assert(sizeof(struct blocks_head) == 16, "no padding");

struct blocks_entry {
	struct state_block block;
	uint8_t bytes[STATE_PAGE_SIZE];
};
static_assert(sizeof(struct blocks_entry) == 8 + STATE_PAGE_SIZE, "no padding");
static_assert(sizeof(struct message_header) + TRANSFER_FETCH_MAX * sizeof(struct state_block) +
		      SIGNATURE_SIZE <=
		  ENVELOPE_SIZE_MIN,
    "a fetch fits every envelope");

/* What we asked of one peer, and what we think of it. */
struct transfer_ask {
	uint64_t number; /* of the last fetch; only grows */
	uint64_t sent_ns;
	uint64_t expiry_ns;  /* then the rest is asked of others */
	uint64_t timeout_ns; /* patience, by how quick it has been */
	uint64_t rest_ns;    /* left out until then */
	uint64_t stable;     /* as of its last answer that said `gone` */
	uint32_t waiting;    /* bit i: blocks[i] has not come; 0: idle */
	uint32_t strikes;    /* wrong blocks */
	bool useful;	     /* a block of this fetch has come */
	bool hedged;	     /* somebody else was asked for the same */
	struct state_block blocks[TRANSFER_FETCH_MAX];
};

/* What one peer asked of us. */
struct transfer_serve {
	uint64_t number;
	uint64_t position;
	uint64_t window_ms; /* of the rate's bound */
	uint32_t window_blocks;
	uint32_t next; /* blocks[next .. count - 1] are to be served */
	uint32_t count;
	struct state_block blocks[TRANSFER_FETCH_MAX];
};

/* Written by the owner's core alone. */
struct transfer_counters {
	uint64_t begun;	       /* targets */
	uint64_t done;	       /* targets reached */
	uint64_t fetches;      /* sent */
	uint64_t hedges;       /* of those: for what another peer owes us */
	uint64_t expired;      /* fetches that were not answered, or in part, in time */
	uint64_t late;	       /* answers to older fetches: dropped */
	uint64_t wrong;	       /* blocks that are not what they claim to be */
	uint64_t gone;	       /* answers: the checkpoint is not kept there */
	uint64_t fetched;      /* fetches that came in */
	uint64_t displaced;    /* of those: took the place of one half served */
	uint64_t served;       /* blocks sent */
	uint64_t served_gone;  /* answers sent: not kept here */
	uint64_t served_bytes; /* of bodies */
};

struct transfer_config {
	const struct protocol_config *protocol; /* read at init only */
	struct state *state;
	uint32_t envelope_size;	   /* bytes of a message in an envelope */
	uint32_t message_size_max; /* bytes; 0: no large messages */
};

struct transfer {
	struct state *state;
	struct stamp stamp;
	uint8_t proof;	   /* of both messages */
	bool large;	   /* BLOCKS travel in large buffers */
	bool active;	   /* a target is being fetched */
	bool dry;	   /* every block known to be wanted has been asked for */
	uint16_t ask_turn; /* peers are asked and served in turn, from here on */
	uint16_t serve_turn;
	uint32_t serves_count;	     /* peers that have something to come */
	uint32_t asked_count;	     /* peers that owe us something */
	uint32_t blocks_per_message; /* at most */
	uint64_t timeout_ns_min;
	uint64_t position;  /* of the target */
	uint64_t cursor;    /* of state_transfer_next */
	uint64_t stable;    /* position of the newest stable checkpoint; 0: none */
	uint64_t window_ms; /* of the bound on what is served in all */
	uint32_t window_blocks;
	uint32_t retries_count;
	struct transfer_counters counters;
	struct transfer_ask asks[TRANSFER_PEERS_MAX];
	struct transfer_serve serves[TRANSFER_PEERS_MAX];
	struct state_block retries[TRANSFER_RETRIES_MAX]; /* asked for in vain */
};

/*
 * Whoever may have to serve must be able to send one block: envelopes, or large
 * messages, of transfer_message_size() bytes at least.
 */
void transfer_init(struct transfer *t, const struct transfer_config *config);

/* Bytes of a message of BLOCKS with one block. */
uint32_t transfer_message_size(const struct protocol_config *protocol);

/* Is the message well formed, from a replica, and not certainly useless? Claims its proof. */
enum verdict transfer_screen(
    const struct transfer *t, const struct message *m, struct claims *claims);

/* Takes a proven FETCH or BLOCKS. Sends nothing: transfer_write does. */
void transfer_step(struct transfer *t, uint64_t now_ns, const struct message *m);

/*
 * Sets the target: the checkpoint at `position`, whose root the caller has
 * reason to trust. Replaces a target that has not been reached.
 */
void transfer_begin(struct transfer *t, uint64_t now_ns, uint64_t position, const uint8_t *root32);

/* Everything is there. transfer_end() then makes the state that of the target. */
static inline bool
transfer_done(const struct transfer *t)
{
	return t->active && state_transfer_done(t->state);
}
void transfer_end(struct transfer *t);

/* Has transfer_write anything to do, now or later? */
static inline bool
transfer_busy(const struct transfer *t)
{
	return t->active || t->serves_count > 0;
}

/* Is over with those that were asked and did not answer. Before transfer_write. */
void transfer_expire(struct transfer *t, uint64_t now_ns);

/*
 * Writes one message that is due, if any: needs one send and, where t->large,
 * one large buffer. False: nothing is due.
 */
bool transfer_write(struct transfer *t, uint64_t now_ns, struct outbox *out);

/* When something is due: now_ns or later; TIME_NEVER. */
uint64_t transfer_deadline(const struct transfer *t, uint64_t now_ns);

#endif
