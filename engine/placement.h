/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lcore serves which replica and which client node, so that none has much
 * more to do than the others. Pure; before the start.
 */
#ifndef OSKR_ENGINE_PLACEMENT_H
#define OSKR_ENGINE_PLACEMENT_H

#include "config/limits.h"
#include "config/options.h"

/* What one operation costs each node, in nanoseconds of an lcore; only their ratios matter. */
struct placement_costs {
	double replica; /* on average */
	double clients;
};

struct placement {
	uint32_t replica_lcores; /* lcores 0 .. that serve no clients, or 0; with one lcore: 1 */
	uint32_t client_nodes;	 /* each has an lcore of replica_lcores .. (with one: lcore 0) */
	uint16_t replicas[LIMIT_REPLICAS];		 /* the lcore of each, or of its executor */
	uint16_t pillars[LIMIT_REPLICAS][LIMIT_PILLARS]; /* and of each of its pillars */
};

/* What is to be placed. */
struct placement_counts {
	uint32_t lcores;   /* 1 .. LIMIT_LCORES */
	uint32_t cpus;	   /* on which they run: at least 1; not fewer: each has its own */
	uint32_t replicas; /* 1 .. LIMIT_REPLICAS */
	uint32_t pillars;  /* of each replica: 0 .. LIMIT_PILLARS */
	uint32_t clients;
};

/* By the kinds of proof that `options` ask for. */
struct placement_costs placement_costs(const struct options *options);

/*
 * Half of the lcores, rounded up, are for replicas, the others for a client node
 * each. Where replicas must share lcores, each goes where there is least to do,
 * be it beside clients. Where that leaves an lcore with clearly more to do than
 * clients on all lcores would, there is a client node on each. The parts of a
 * replica of several lcores are placed one by one, as if each were a replica.
 * There are no more client nodes than CPUs: several that take turns on one have
 * smaller bursts, which cost as much as a tenth of all CPU time, and bring nothing.
 */
void placement_make(struct placement *placement, const struct placement_costs *costs,
    const struct placement_counts *counts);

#endif
