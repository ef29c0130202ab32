/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor: runs ordered batches against the application, exactly once for
 * each client operation, and hands the results out in slices of bounded memory.
 * Owns the replicated state (application and sessions). One per replica, on one
 * core.
 *
 * Positions are numbers of the merged order (engine/merge.h), gapless, from 1;
 * checkpoints and marks name the position whose effects are the last included.
 * Cost: about 15 ns for an empty operation in a batch of 32 or more; session
 * entries are prefetched a burst ahead.
 */
#ifndef OSKR_ENGINE_EXECUTOR_H
#define OSKR_ENGINE_EXECUTOR_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/app.h"
#include "engine/batch.h"
#include "engine/result.h"
#include "engine/session.h"
#include "engine/state.h"

enum {
	EXECUTOR_BURST = APP_BURST_MAX, /* requests decoded and prefetched ahead */
	EXECUTOR_RESULT_SIZE_MIN = 64,
};

/* An ordered batch. */
struct executor_batch {
	uint64_t position;     /* of the merged order: the last one's successor */
	const uint8_t *data;   /* size bytes, aligned to 8, valid until the batch is done */
	const uint64_t *valid; /* bit i: request i is authentic; NULL: all are */
	uint32_t size;	       /* bytes; 0 is the empty batch */
};

/* Who watches what is executed: the simulator. Called from the executor's core. */
struct executor_observer {
	void *context;
	/* A batch is about to be executed. */
	void (*batch)(void *context, const struct executor_batch *batch);
	/* The state after `position` has this digest. */
	void (*checkpoint)(void *context, uint64_t position, const uint8_t *digest32);
	/* What was executed after `position` is undone. NULL: nobody wants to know. */
	void (*undone)(void *context, uint64_t position);
};

/* All of it, except history, residence and observer, must be the same at all replicas. */
struct executor_options {
	const struct app *app;
	struct app_options app_options;
	struct session_options sessions;
	struct message_scope scope; /* of the requests in batches */
	uint32_t result_size_max;   /* bytes of one reply; EXECUTOR_RESULT_SIZE_MIN ..
				       APP_REPLY_SIZE_MAX */
	uint32_t undo_count;	    /* blocks of history (engine/state.h); 0: none */
	uint32_t marks_max;	    /* marks and checkpoints alive at once */
	bool huge_pages;
	bool populate; /* the undo log resident from the start */
	struct digester digester;
	const struct executor_observer *observer; /* outlives the executor; NULL: nobody */
};

struct executor_statistics {
	uint64_t batches;
	uint64_t executed;
	uint64_t duplicates;	    /* answered from the cache */
	uint64_t stale;		    /* older than the session's last */
	uint64_t lost;		    /* duplicates whose reply was overwritten */
	uint64_t invalid;	    /* not authentic, by the batch's bitmap */
	uint64_t slots_unknown;	    /* requests of slots beyond the table */
	uint64_t batches_malformed; /* whose rest was skipped */
	uint64_t read_only;	    /* executed out of order */
};

/* The executor's own page of the replicated state: what shaped it, what it did. */
struct executor_header {
	uint64_t magic;
	uint8_t app_name[24];
	uint32_t slots_count;
	uint32_t result_size_max;
	uint64_t region_size;
	uint64_t batches;  /* ordered so far */
	uint64_t position; /* of the last batch */
};

/* A request decoded ahead; stays valid across slices. */
struct executor_request {
	uint16_t client; /* below slots_count */
	uint64_t timestamp;
};

struct executor {
	struct state state;
	struct session session;
	const struct app *app;
	const struct executor_observer *observer;
	struct executor_header *header; /* in the region */
	struct message_scope scope;
	struct batch_cursor cursor;
	const uint64_t *valid;
	uint32_t request_index; /* in the batch, of the next to decode */
	uint32_t result_size_max;
	bool running; /* requests of the batch are left */
	uint32_t burst_next;
	uint32_t burst_count;
	struct executor_request burst[EXECUTOR_BURST];
	struct app_op burst_ops[EXECUTOR_BURST]; /* what they ask for */
	uint8_t *results; /* result memory: room for two of the largest replies */
	uint32_t results_size;
	struct executor_statistics statistics;
	alignas(16) uint8_t app_self[APP_SELF_SIZE_MAX];
};

/* Bytes that executor_open takes, beside the struct itself. */
uint64_t executor_memory_size(const struct executor_options *options);

/* Returns 0, -EINVAL (options) or -ENOMEM. */
int executor_open(struct executor *executor, const struct executor_options *options);
void executor_close(struct executor *executor);

/* The batch before must be done. */
void executor_begin(struct executor *executor, const struct executor_batch *batch);

/*
 * Executes further requests of the batch and writes up to `capacity` (at least
 * 1) results, one for each request that is authentic and of a known slot, in
 * order. 0: there are none left. Their data is valid until the next call of any
 * function of the executor. executor_done() tells whether a slice was the last.
 */
uint32_t executor_next(struct executor *executor, struct result *results, uint32_t capacity);

static inline bool
executor_done(const struct executor *executor)
{
	return !executor->running;
}

/*
 * Looks the cached reply of (client, timestamp) up. False: that operation has
 * not been executed. True: *result is the reply (RESULT_DUPLICATE), or says
 * that a later one took its place (RESULT_STALE), or that it was overwritten
 * (RESULT_DUPLICATE and RESULT_LOST). Data as of executor_next.
 */
bool executor_recall(
    struct executor *executor, uint16_t client, uint64_t timestamp, struct result *result);

/* Why a read-only operation was not executed. */
enum executor_read {
	EXECUTOR_READ_DONE,
	EXECUTOR_READ_BUSY,   /* a batch is half done: ask again after it */
	EXECUTOR_READ_WRITES, /* the operation is not read-only: order it */
};

/*
 * Executes an operation out of order, on the present state, without a trace:
 * the optimisation of Castro & Liskov, section 5.1.3. Sets result->data and
 * ->size only; client and timestamp are the caller's.
 */
enum executor_read executor_execute_read_only(
    struct executor *executor, const uint8_t *op, uint32_t op_size, struct result *result);

/*
 * Between batches: names the state after `position`, to roll back to; takes its
 * digest; goes back to a name (false: no longer possible); forgets older names.
 * As the functions of engine/state.h. After a rollback the next batch is that
 * position's successor.
 */
void executor_mark(struct executor *executor, uint64_t position);
void executor_checkpoint(struct executor *executor, uint64_t position, uint8_t *digest32);
bool executor_rollback(struct executor *executor, uint64_t position);
void executor_release(struct executor *executor, uint64_t position);

/* The position of the last batch, as the replicated state has it. */
static inline uint64_t
executor_position(const struct executor *executor)
{
	return executor->header->position;
}

#endif
