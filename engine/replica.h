/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica: the merge of what its ordering instances deliver, the executor, and
 * state transfer. On one core, its shard has the instances' machines, too, and
 * hands them what is executed by plain calls. On several, the machines are with
 * pillars on cores of their own (engine/pillar.h), reached by parcels, and the
 * shard here is left with the messages of state transfer. Batches are executed
 * in the merged order as soon as there are envelopes, or parcels, for their
 * replies; what does not fit waits, and the protocol's window pushes back. One
 * core owns it.
 *
 * What machines call seq is a slot of their instance; here everything that
 * concerns the state is a position of the merged order (engine/merge.h). Slot s
 * is whole with the batch of the last instance, at position s * S, so marks,
 * checkpoints, rollbacks and transfers are of such positions, and every
 * instance's batch of a slot with a checkpoint is reported done (`last`), with
 * the digest, when that position has been executed. With S = 1 the two are the
 * same number.
 *
 * Moves of the state: a ROLLBACK is done at once, a TRANSFER takes its time;
 * then each instance gets EVENT_STATE. Until it has that, what it delivers is
 * forgotten, save for what follows a ROLLBACK that was done, of the instance
 * that asked for it. One EVENT_STATE answers all moves asked for before it; a
 * ROLLBACK during a transfer is answered by the transfer's. With pillars there
 * is no ROLLBACK, and each delivery says of how many moves its machine had been
 * told: one that does not know of the last is forgotten, and a TRANSFER to where
 * the state has been since is answered with where it is.
 */
#ifndef OSKR_ENGINE_REPLICA_H
#define OSKR_ENGINE_REPLICA_H

#include "engine/answers.h"
#include "engine/executor.h"
#include "engine/merge.h"
#include "engine/transfer.h"

enum {
	REPLICA_RECALLS_MAX = 256,  /* cached replies asked for and not yet looked up */
	REPLICA_READS_MAX = 256,    /* read-only operations of a burst */
	REPLICA_TRANSFERS_MAX = 64, /* messages of state transfer sent in a burst */
};

struct replica_config {
	struct shard_config shard; /* drain, screen, step and owner are set here */
	struct executor_options executor;
	uint16_t pillars_count;	   /* 0: the machines are here */
	struct parcel_link *links; /* to each pillar; open; outlive the replica */
};

struct replica_recall {
	uint32_t instance;
	uint16_t client;
	uint64_t timestamp;
};

/* A read-only operation; the bytes are the shard's, until the burst ends. */
struct replica_read {
	uint32_t instance;
	uint32_t op_size;
	uint64_t timestamp;
	const uint8_t *op;
	uint16_t client;
};

/* Given back when the burst ends: reads lie in it. */
struct replica_parcel {
	struct lane *empty;
	struct parcel *parcel;
};

struct replica_counters {
	uint64_t recalls_dropped;   /* no place in line, or no state: the client asks again */
	uint64_t reads_dropped;	    /* no place, no envelopes, no state, or it writes */
	uint64_t blocked;	    /* bursts that ended with results waiting for envelopes */
	uint64_t batches_forgotten; /* delivered while the state was about to move */
	uint64_t rollbacks;	    /* done */
	uint64_t rollbacks_failed;  /* that history is gone */
	uint64_t transfers_failed;  /* ended at a state that names another position */
};

struct replica {
	struct shard *shard;
	struct merge merge;
	struct executor executor;
	struct answers answers;
	struct replica_counters counters;

	/* The batch in execution. */
	bool running;
	bool finishing; /* every result is out; its memory has yet to be given back */
	bool named;	/* its mark or checkpoint has been taken */
	bool slot_mark; /* an instance asked for a mark of this slot */
	uint32_t instance;
	struct delivery batch;
	uint64_t position;
	uint64_t deferred; /* bit i: instance i's batch of this slot is done save the checkpoint */
	uint8_t digest32[DIGEST_SIZE]; /* of the last checkpoint */

	/* Where the state goes. */
	uint64_t all;	     /* one bit an instance */
	uint64_t moved;	     /* bit i: instance i is owed an EVENT_STATE */
	uint64_t forgetting; /* bit i: what instance i delivers is forgotten */
	bool moved_done;     /* what the EVENT_STATE says */
	bool history;	     /* marks and checkpoints can be kept */
	bool blocked;	     /* the last burst lacked envelopes */
	uint64_t stable;     /* position of the newest stable checkpoint, executed or not */
	struct transfer transfer;

	/* Its results, or a recalled one, as far as they have been handed on. */
	struct slice slice;
	struct result results[SLICE_RESULTS_MAX];

	uint32_t recalls_first;
	uint32_t recalls_count;
	struct replica_recall recalls[REPLICA_RECALLS_MAX];
	uint32_t reads_first;
	uint32_t reads_count;
	struct replica_read reads[REPLICA_READS_MAX];

	/* Of pillars: what came from each, and full parcels that this burst has read. */
	struct parcel *incoming[PILLARS_MAX];
	uint32_t taken_count;
	struct replica_parcel taken[PILLARS_MAX * PARCELS_MAX];
};

/* Bytes that replica_open() takes, for the memory plan. */
uint64_t replica_memory(const struct replica_config *config);

/* Returns 0 or a negative errno; replica_close() undoes it. */
int replica_open(struct replica *r, const struct replica_config *config);
void replica_close(struct replica *r);

/* Drops the reads that could not be executed in their burst. */
void replica_reads_drop(struct replica *r);

/* Gives the pillars their parcels back; returns how many. */
uint32_t replica_parcels_return(struct replica *r);

/* Have the pillars delivered something? Cheap enough for every poll. */
static inline bool
replica_ready(struct replica *r)
{
	bool any = false;
	for (uint32_t i = 0; i < r->answers.links_count; i++) {
		struct lane *lane = &r->answers.links[i].deliveries;
		if (r->incoming[i] == NULL)
			r->incoming[i] = lane->take(lane->self);
		any |= r->incoming[i] != NULL;
	}
	return any;
}

/* One burst; returns the steps made, 0 when idle. */
static inline uint32_t
replica_run(struct replica *r, uint64_t now_ns, const struct datagram *list, uint32_t count)
{
	uint32_t steps = shard_run(r->shard, now_ns, list, count);
	if (r->reads_count > 0)
		replica_reads_drop(r);
	if (r->taken_count > 0)
		steps += replica_parcels_return(r);
	return steps;
}

/*
 * The earliest time at which replica_run() has something to do unasked: of the
 * machines, of state transfer, or (a moment later) of what lacks envelopes.
 */
uint64_t replica_deadline(const struct replica *r);

#endif
