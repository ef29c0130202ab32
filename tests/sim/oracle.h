/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold, judged from outside the protocol: correct replicas execute
 * the same at each position, only what a correct client asked for, each
 * operation once; checkpoints agree; answers fit one order of all operations.
 * Owned by one simulation, one thread.
 */
#ifndef OSKR_TESTS_SIM_ORACLE_H
#define OSKR_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/limits.h"
#include "engine/executor.h"
#include "engine/recorder.h"
#include "engine/workload.h"
#include "linear.h"
#include "votes.h"

enum { ORACLE_REPLICAS_MAX = 48 };

/* An operation that a client asked for. */
struct asked {
	uint64_t hash; /* of its bytes */
	bool executed;
	bool read_only;
	bool answered;
	bool recorded; /* a key-value operation: part of the history */
	struct recorded kv;
};

struct oracle_slot {
	struct asked *list;
	uint32_t count;
	uint32_t capacity;
	uint32_t executed;  /* as far as the executed order has come: operations of the list */
	uint64_t timestamp; /* of the last executed request */
	bool faulty;	    /* its client lies: nothing that it asks for is accounted for */
};

/* What was executed at a position. */
struct ledger_entry {
	uint64_t hash;	   /* of the authentic requests */
	uint64_t executed; /* requests that were new, up to here */
	uint64_t digest;   /* of the checkpoint, its first 8 bytes, when `checkpoint` */
	bool checkpoint;
};

/* What somebody executed at a position, kept where it may be undone. */
struct content {
	struct content *next; /* of the same position */
	uint64_t hash;
	uint32_t size;
	uint32_t valid_words;
	uint64_t words[]; /* the bitmap, then the batch */
};

/* What one correct replica did so far. */
struct oracle_replica {
	struct oracle *oracle;
	const struct executor *executor;
	uint16_t node;
	uint64_t position;
	uint64_t executed_base; /* the executor's count minus the ledger's */
	uint64_t *own;		/* tentative: its hash of each position; 0: not known */
	uint64_t own_capacity;
	uint64_t transfers; /* of its state, as far as `own` knows */
};

struct sim;

struct oracle {
	struct sim *sim;
	struct oracle_slot *slots;
	uint32_t slots_count;
	bool tentative;	     /* what is executed may be undone: judged at the end */
	uint64_t undone_max; /* ... and so many positions of it at a time */
	bool once;	     /* a request is ordered once: no view change, no lost memory so far */
	bool requests_bound; /* requests carry proofs: nobody can make up another's */
	struct message_scope scope;
	struct ledger_entry *ledger; /* of position i: i - 1 */
	uint64_t ledger_count;
	uint64_t ledger_capacity;
	uint64_t executed;
	uint64_t head;		   /* the highest position that somebody executed */
	struct content **contents; /* tentative: of each position */
	uint64_t contents_capacity;
	bool gaps; /* positions whose content nobody knows any more */
	struct votes votes;
	uint64_t views_failed; /* that a replica of the core gave up, where views rotate; ... */
	uint64_t views_failed_core;   /* ... though their leader is of the core, too; ... */
	uint64_t views_failed_healed; /* ... and after the horizon, of the worst instance */
	uint64_t failed_healed[LIMIT_INSTANCES]; /* of each */
	uint64_t failed_next[LIMIT_INSTANCES];	 /* the first view that may be counted next */
	uint64_t asked;
	uint64_t answered;
	struct asked *foreign; /* executed operations of clients that lie */
	uint32_t foreign_count;
	uint32_t foreign_capacity;
	struct oracle_replica replicas[ORACLE_REPLICAS_MAX];
};

void oracle_open(struct oracle *o, struct sim *sim, uint32_t slots_count);
void oracle_close(struct oracle *o);

/* A replica's executor starts, with an empty state. */
void oracle_replica_set(struct oracle *o, uint16_t node, const struct executor *executor);

void oracle_asked(struct oracle *o, uint32_t slot, const struct workload_op *op);
/* False: the answer is none that a correct service gives. */
bool oracle_answered(struct oracle *o, uint32_t slot, const uint8_t *result, uint32_t size);

/* struct executor_observer; the context is a struct oracle_replica. */
void oracle_batch(void *context, const struct executor_batch *batch);
void oracle_checkpoint(void *context, uint64_t position, const uint8_t *digest32);
void oracle_undone(void *context, uint64_t position);

/* promise.c: a correct replica sends this: is it a promise, and does it break another? */
void oracle_sent(struct oracle *o, uint16_t node, const struct message_header *header);

/* At the end: is the history linearizable, does it fit the executed order? */
void oracle_judge(struct oracle *o);

#endif
