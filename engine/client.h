/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client node on one core: many slots, each with at most one operation
 * outstanding, a workload that says what to ask and judges each answer, and the
 * times of all that. Closed loop: a slot asks again as soon as it is answered.
 * Open loop: operations start at fixed intervals whatever the answers do, and
 * an operation's latency counts from when it should have started. One core owns
 * it; other cores may read single words of `counters` for display.
 *
 * Times are those of the burst: an operation starts at the time of the burst
 * that submits it (before it is built and sealed) and ends at the time of the
 * burst that finds its answer.
 */
#ifndef OSKR_ENGINE_CLIENT_H
#define OSKR_ENGINE_CLIENT_H

#include "engine/histogram.h"
#include "engine/shard.h"
#include "engine/workload.h"

/* What the node does; set by whoever runs it, between bursts. */
enum client_phase {
	CLIENT_IDLE,	/* answers are taken, nothing new is asked */
	CLIENT_LOAD,	/* inserts the workload's records */
	CLIENT_WARM,	/* as CLIENT_MEASURE, but nothing counts */
	CLIENT_MEASURE, /* operations that end now are counted */
};

struct client_config {
	struct shard_config shard; /* drain and owner are set here */
	struct workload *workload; /* the caller's */
	double rate;		   /* operations a second of this node; 0: closed loop */
};

struct client_counters {
	uint64_t completed; /* answered, in every phase */
	uint64_t measured;  /* answered in CLIENT_MEASURE */
	uint64_t wrong;	    /* contradicts what is known */
	uint64_t refused;   /* the application had no room */
	uint64_t lost;	    /* executed, the result is nowhere any more */
	uint64_t loaded;    /* records */
};

struct client_slot {
	uint64_t started_ns; /* open loop: when it should have started */
	bool loading;	     /* the outstanding operation is an insertion of CLIENT_LOAD */
};

struct client {
	struct shard *shard;
	struct workload *workload;
	enum client_phase phase;
	bool load_done; /* every record has been handed out */
	uint32_t slot_first;
	uint32_t slots_count;
	uint32_t idle_count; /* slots without an operation outstanding */
	uint32_t op_stride;  /* bytes between two slots' operations */
	uint32_t *idle;	     /* stack of slot indexes */
	struct client_slot *slots;
	uint8_t *ops;
	double interval_ns; /* open loop */
	double next_start_ns;
	struct client_counters counters;
	struct histogram latency; /* of measured operations */
};

/* Bytes that client_open() takes, for the memory plan. */
uint64_t client_memory(const struct client_config *config);

/* Returns 0 or -ENOMEM; client_close() undoes it (not the workload). */
int client_open(struct client *c, const struct client_config *config);
void client_close(struct client *c);

/*
 * Changes the phase. The open loop's clock starts anew where it stood still, in
 * CLIENT_IDLE and CLIENT_LOAD; from CLIENT_WARM to CLIENT_MEASURE it goes on.
 */
void client_phase_set(struct client *c, enum client_phase phase, uint64_t now_ns);

/* One burst; returns the steps made, 0 when idle. */
uint32_t client_run(struct client *c, uint64_t now_ns, const struct datagram *list, uint32_t count);

/* No operation is outstanding. */
static inline bool
client_quiet(const struct client *c)
{
	return c->idle_count == c->slots_count;
}

/* The earliest time at which client_run() has something to do unasked. */
uint64_t client_deadline(const struct client *c);

#endif
