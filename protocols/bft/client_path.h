/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the client's half (client.h), for a protocol that has another way
 * to an answer beside matching replies: struct client_path, whose functions
 * client.c calls at certain points and which may complete an operation by itself.
 * One machine, on one core.
 */
#ifndef OSKR_PROTOCOLS_BFT_CLIENT_PATH_H
#define OSKR_PROTOCOLS_BFT_CLIENT_PATH_H

#include <stdalign.h>

#include "engine/client_slots.h"
#include "protocols/bft/client.h"
#include "protocols/bft/client_votes.h"

struct slot {
	alignas(64) struct votes votes;
	uint64_t signers;	  /* who wants this operation signed */
	uint32_t cell;		  /* 1 + the one that holds a result; 0: none */
	uint32_t body_size;	  /* bytes of the result in the cell */
	bool reading;		  /* the operation went out as a READ */
	bool must_sign;		  /* f + 1 replicas want signatures: for a while */
	bool hurried;		  /* a quorum waits for the result itself */
	bool on_trial;		  /* the REQUEST goes out with a vector again, for the first time */
	uint8_t retries;	  /* of what is signed: see VECTOR_RETRIES */
	uint8_t signed_doublings; /* of the REQUESTs that are signed before that is tried */
	uint16_t signed_left;
	uint8_t body_digest32[32];
};
static_assert(sizeof(struct slot) == 128, "two cache lines");

/* Of the pool. */
struct cell {
	uint64_t usable_ns; /* a completion may point into it until its burst ends */
	uint32_t owner;	    /* 1 + slot; 0: it is free */
	uint32_t next;	    /* 1 + the free cell behind it */
};

struct client {
	struct client_slots ops; /* what is outstanding */
	struct threshold needed;
	struct bft_asking asking;
	uint32_t wary_left; /* operations that are asked of all from the first */
	uint64_t everybody;
	uint64_t tardy; /* replicas that owed a whole result and did not send it */
	struct slot *slots;
	uint64_t *views;    /* of each instance, each replica's highest */
	uint64_t *believed; /* of each instance */
	struct cell *cells; /* the pool's; unused where each slot has its own */
	uint8_t *bytes;
	uint32_t cells_count;
	uint32_t cell_size;
	uint32_t free_first; /* 1 + the cell that was freed first */
	uint32_t free_last;
	uint64_t conflicts;
	uint64_t reads_fallen_back;
	uint64_t slots_signed;
	uint64_t results_unkept;
	uint64_t now_ns; /* for the path: of the event that is being stepped */
	void *path;	 /* of struct client_path: its own memory, zeroed, aligned to 64 */
};

/* All are called between other work of a step, and keep to its bounds: one send, one completion. */
struct client_path {
	size_t (*size)(const struct protocol_config *config); /* bytes of its own memory */
	/* Messages of the protocol's own types; the slot is one of ours. */
	enum verdict (*screen)(
	    const struct client *c, const struct message *m, struct claims *claims);
	void (*on_message)(
	    struct client *c, uint32_t index, const struct event *event, struct outbox *out);
	/* A reply was counted, and was not enough. */
	void (*on_vote)(
	    struct client *c, uint32_t index, const struct event *event, struct outbox *out);
	/* The slot's timer is off. True: it has been armed again; false: all are asked again. */
	bool (*on_timer)(struct client *c, uint32_t index, uint64_t now_ns, struct outbox *out);
	/* The slot's operation is complete, by this message. */
	void (*on_done)(struct client *c, uint32_t index, const struct message *m);
	/* The slot forgets what it was told. */
	void (*on_clear)(struct client *c, uint32_t index);
	void (*figures)(const struct client *c, struct figures *figures);
};

/* The whole reply with this digest, where it is kept; else NULL. */
const uint8_t *bft_client_body(const struct client *c, uint32_t index, const uint8_t *digest32);

/* Completes the slot's operation with that reply, which is kept. */
void bft_client_answer(struct client *c, uint32_t index, const uint8_t *digest32,
    const struct event *event, struct outbox *out);

/* Completes it with the reply of the event. */
void bft_client_complete(
    struct client *c, uint32_t index, const struct event *event, struct outbox *out);

#endif
