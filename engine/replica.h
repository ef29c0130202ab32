/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica on one core: a shard with all ordering instances, the merge of what
 * they deliver, and the executor. Batches are executed in the merged order as
 * soon as there are envelopes for their replies; what does not fit waits, and
 * the protocol's window pushes back. One core owns it.
 */
#ifndef OSKR_ENGINE_REPLICA_H
#define OSKR_ENGINE_REPLICA_H

#include "engine/executor.h"
#include "engine/merge.h"
#include "engine/shard.h"

enum {
	REPLICA_RESULTS_MAX = 64,  /* results in one slice */
	REPLICA_RECALLS_MAX = 256, /* cached replies asked for and not yet looked up */
};

struct replica_config {
	struct shard_config shard; /* drain and owner are set here */
	struct executor_options executor;
};

struct replica_recall {
	uint32_t machine;
	uint16_t client;
	uint64_t timestamp;
};

struct replica_counters {
	uint64_t recalls_dropped; /* no place in line: the client asks again */
	uint64_t blocked;	  /* bursts that ended with results waiting for envelopes */
};

struct replica {
	struct shard *shard;
	struct merge merge;
	struct executor executor;
	struct replica_counters counters;

	/* The batch in execution. */
	bool running;
	bool finishing; /* every result is out; its memory has yet to be given back */
	uint32_t machine;
	struct delivery batch;
	uint64_t position;

	/* Its results, or a recalled one, as far as they have been stepped. */
	uint64_t results_seq; /* 0: recalled */
	uint32_t results_machine;
	uint32_t results_next;
	uint32_t results_count;
	struct result results[REPLICA_RESULTS_MAX];

	uint32_t recalls_first;
	uint32_t recalls_count;
	struct replica_recall recalls[REPLICA_RECALLS_MAX];
};

/* Bytes that replica_open() takes, for the memory plan. */
uint64_t replica_memory(const struct replica_config *config);

/* Returns 0 or a negative errno; replica_close() undoes it. */
int replica_open(struct replica *r, const struct replica_config *config);
void replica_close(struct replica *r);

/* One burst; returns the steps made, 0 when idle. */
static inline uint32_t
replica_run(struct replica *r, uint64_t now_ns, const struct datagram *list, uint32_t count)
{
	return shard_run(r->shard, now_ns, list, count);
}

/* The earliest time at which replica_run() has something to do unasked. */
uint64_t replica_deadline(const struct replica *r);

#endif
