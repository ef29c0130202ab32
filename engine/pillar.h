/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pillar: some of a replica's ordering instances on an lcore of their own,
 * from end to end, with their batching, proving and sealing ("consensus-
 * oriented parallelization", Behl et al., Middleware'15). Pillar p of L has
 * the instances i with i mod L = p; what they deliver goes to the replica's
 * executor (engine/replica.h) on another lcore, whose answers come back, both
 * in parcels (engine/parcel.h). Replies leave from here.
 *
 * The machines see what they see where all is on one lcore:
 *  - A batch's memory is lent to the executor until its `last`, or EVENT_STATE.
 *  - After it has asked for a TRANSFER, a machine hears nothing of batches that
 *    it delivered before, nor of moves that are not the answer: what the
 *    executor says before it knows of the request is dropped here. What a
 *    machine delivers before it hears of a move is dropped there.
 *  - ROLLBACK is for replicas on one lcore: the machine goes on behind it at
 *    once, which is right only where nothing is under way.
 *
 * One core owns it.
 */
#ifndef OSKR_ENGINE_PILLAR_H
#define OSKR_ENGINE_PILLAR_H

#include "engine/answers.h"

struct pillar_config {
	struct shard_config shard; /* drain, owner, machines and instances are set here */
	uint16_t index;		   /* of pillars_count */
	uint16_t pillars_count;
	struct parcel_link *link; /* to the executor; open; outlives the pillar */
};

/* Written by the owner's core alone. */
struct pillar_counters {
	uint64_t parcels;	/* given to the executor */
	uint64_t waits;		/* times that none was empty: the executor is late */
	uint64_t reads_dropped; /* no parcel in their burst, or larger than any operation is */
	uint64_t blocked;	/* bursts that ended with answers waiting for envelopes */
	uint64_t outdated;	/* answers to what was delivered before a move was asked for */
};

/* What is known here of one machine. */
struct pillar_machine {
	uint64_t slot_next; /* to be delivered */
	uint32_t asks;	    /* TRANSFERs it has asked for */
	uint32_t moves;	    /* as the last EVENT_STATE says */
};

struct pillar {
	struct shard *shard;
	struct parcel_link *link;
	uint16_t index;
	uint16_t pillars_count;
	uint16_t instances_count; /* of the replica */
	bool blocked;		  /* something waits for envelopes, or for a parcel */
	bool more;		  /* answers are left for the next burst */
	uint64_t told;		  /* the frontier, by the executor */
	struct parcel *giving;	  /* deliveries that have not gone off */
	struct parcel *reading;	  /* answers that have not been stepped */
	struct slice slice;	  /* of the present record there */
	uint32_t record_size;	  /* bytes; 0: none is begun */
	struct pillar_counters counters;
	struct pillar_machine machines[MERGE_INSTANCES_MAX];
};

/*
 * Which part of a replica a message is for: 0, the executor, or 1 + the pillar.
 * `instance` as in its header, from anybody; pillars_count 0: there is one part.
 */
static inline uint32_t
pillar_part(uint16_t instance, uint16_t instances_count, uint16_t pillars_count)
{
	return instance < instances_count && pillars_count > 0 ? 1u + instance % pillars_count : 0;
}

/* Bytes that pillar_open() takes, for the memory plan. */
uint64_t pillar_memory(const struct pillar_config *config);

/* Returns 0 or -ENOMEM; pillar_close() undoes it. */
int pillar_open(struct pillar *p, const struct pillar_config *config);
void pillar_close(struct pillar *p);

/* Are there answers to step? Cheap enough for every poll. */
static inline bool
pillar_ready(struct pillar *p)
{
	if (p->reading == NULL)
		p->reading = p->link->answers.take(p->link->answers.self);
	return p->reading != NULL;
}

/* False: the executor is behind, and datagrams had better wait where they are. */
static inline bool
pillar_open_for_more(const struct pillar *p)
{
	return p->shard->outbox.deliveries_count == 0;
}

/* One burst; returns the steps made, 0 when idle. */
uint32_t pillar_run(struct pillar *p, uint64_t now_ns, const struct datagram *list, uint32_t count);

/* The earliest time at which pillar_run() has something to do unasked, beside answers. */
uint64_t pillar_deadline(const struct pillar *p);

#endif
