/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes down what the clients of a key-value service asked and were told, as a
 * history (history.h) that the checkers judge afterwards. A client's recorder
 * stands before its workload and looks like one; the replica's log tells at
 * which place each request was executed. Both have a fixed size, taken at start:
 * what does not fit is counted, and such a history is refused. Off unless asked
 * for. Each is owned by one core until the run is over.
 */
#ifndef OSKR_ENGINE_RECORDER_H
#define OSKR_ENGINE_RECORDER_H

#include "engine/executor.h"
#include "engine/history.h"
#include "engine/workload.h"

enum {
	RECORDER_OPS_MAX = 1 << 22, /* of one client node: about 500 MB when full */
	RECORDER_BATCH_SHIFT = 12,  /* places in a batch: LIMIT_BATCH_REQUESTS */
	RECORDER_KEY_SIZE_MAX = 24, /* bytes of the workloads' keys, with room */
};

/* ---- From the store's bytes to a history's words ------------------------- */

/* A key-value operation as a history has it. */
struct recorded {
	struct history_op op; /* pending: nothing is known of an answer */
	uint64_t content;     /* a digest of the operation's bytes */
	uint32_t key_size;
	uint8_t key[RECORDER_KEY_SIZE_MAX];
};

/* False: it is none that a history can hold (no key-value operation, a longer
 * key, a cas that expects absence). Kind, values, limit and key are set. */
bool recorded_from_op(struct recorded *r, const uint8_t *bytes, uint32_t size);

enum recorded_answer {
	RECORDED_TOLD,	  /* status and what was seen are set, the time is not */
	RECORDED_NOTHING, /* no space, too large, cut: the operation stays pending */
	RECORDED_WRONG,	  /* no answer that a correct store gives */
};

enum recorded_answer recorded_from_reply(struct recorded *r, const uint8_t *result, uint32_t size);

/* ---- The client's side --------------------------------------------------- */

struct recorder;

/* Wraps `inner`, whose owner the recorder becomes. Times come from `time`. NULL: no memory. */
struct recorder *recorder_open(
    struct workload *inner, uint64_t (*time)(void *context), void *context);

/* What the client is given instead of the workload; workload_close() closes the recorder. */
struct workload *recorder_workload(struct recorder *r);

/* ---- The replica's side -------------------------------------------------- */

/*
 * The order in which one replica executed requests. What it undid (tentative
 * execution) is struck out again; what it was told by state transfer has no
 * place in the log, and its operations have none in the history.
 */
struct recorder_log;

struct recorder_log *recorder_log_open(const struct message_scope *scope, uint32_t slots_count);
void recorder_log_close(struct recorder_log *log);
const struct executor_observer *recorder_log_observer(const struct recorder_log *log);
/* From now on reads are answered where they were not ordered: none gets a place. */
void recorder_log_reads_apart(struct recorder_log *log);

/*
 * After the run: joins what the recorders saw with the log, and stores it.
 * Returns 0 or a negative errno; -EOVERFLOW when something did not fit.
 */
int recorder_save(
    struct recorder *const *list, uint32_t count, const struct recorder_log *log, const char *path);

#endif
