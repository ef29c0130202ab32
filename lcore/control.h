/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the experiment: load, warm up, measure, let the last answers come in,
 * stop. A task of the main lcore's loop: it looks at the time in each round and
 * acts a few times a second. It tells client nodes the phase, reads their
 * counters, and prints a line a second.
 */
#ifndef OSKR_LCORE_CONTROL_H
#define OSKR_LCORE_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lcore/crash.h"
#include "lcore/loop.h"
#include "lcore/node.h"

enum {
	CONTROL_DRAIN_NS = 2000000000, /* drain_ns, when nothing has gone wrong */
	CONTROL_DRAINS_MAX = 10,       /* so many drain_ns at most, while answers come */
	CONTROL_LOOPS_MAX = 64,
	CONTROL_GAUGE_NS = 10000000, /* between two looks at the pool */
};

struct control_config {
	struct node *nodes;
	uint32_t nodes_count;
	struct loop *loops;
	uint32_t loops_count;
	uint64_t warm_ns;
	uint64_t measure_ns;
	uint64_t drain_ns; /* after so long without an answer, no more are waited for */
	struct crash_config crash;
	const struct rte_mempool *pool; /* packet buffers, whose low-water mark is kept; or NULL */
	bool load;			/* the workload has records to insert first */
	bool quiet;
	bool serve;		     /* replicas alone: until a signal comes */
	struct enrolment *enrolment; /* a client node's, which comes first; NULL: nothing does */
	uint64_t wait_ns;	     /* for that, at most */
	const struct clock *clock;
	atomic_bool *stop; /* of all loops; set at the end */
};

/* Whom an lcore's cycles went to. */
enum control_kind { CONTROL_REPLICAS, CONTROL_CLIENTS, CONTROL_HELPERS, CONTROL_KINDS };

/* What the loops had done at one moment. */
struct control_sample {
	uint64_t at_ns;
	uint64_t cpu_ns; /* of the process */
	uint64_t measured;
	uint64_t busy_cycles[CONTROL_LOOPS_MAX][CONTROL_KINDS];
	uint64_t idle_cycles[CONTROL_LOOPS_MAX][CONTROL_KINDS];
	uint64_t taken_cycles[CONTROL_LOOPS_MAX]; /* by the kernel: see loop.h */
};

enum control_state {
	CONTROL_START,
	CONTROL_SERVING,
	CONTROL_ENROLLING,
	CONTROL_LOADING,
	CONTROL_WARMING,
	CONTROL_MEASURING,
	CONTROL_DRAINING,
	CONTROL_DONE,
};

struct control {
	struct control_config config;
	enum control_state state;
	uint64_t until_ns;	  /* of the present state */
	uint64_t drain_until_ns;  /* at the latest */
	uint64_t drain_completed; /* answers, when until_ns was set */
	uint64_t next_line_ns;
	uint64_t last_line_ns;
	uint64_t last_completed;
	uint64_t first_ns; /* when it all began */
	uint64_t load_begin_ns;
	uint64_t load_ns; /* how long loading took */
	uint64_t next_gauge_ns;
	uint32_t available_min; /* buffers in the pool at the worst look; telemetry reads */
	uint64_t loaded;
	bool unserved;		     /* enough replicas did not come, or refused */
	bool interrupted;	     /* by a signal: the summary is of what was measured */
	bool drained;		     /* every operation was answered in the end */
	struct control_sample first; /* when measuring began */
	struct control_sample last;  /* when it ended */
	struct crash crash;
};

void control_init(struct control *c, const struct control_config *config);

/* For the loop. `self` is a struct control. Returns 0: it is never busy. */
uint32_t control_poll(void *self, uint64_t now_ns);

/* Sums over all client nodes. */
void control_totals(const struct control *c, struct client_counters *totals);

#endif
