/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded cluster: any number of replicas and client nodes in one process
 * on the lcores there are, joined by the in-process switch. With one lcore all
 * share it; with two, replicas have the first and clients the second; with more,
 * half of them (at most one a replica) serve replicas and the rest clients. With
 * --helpers, the last lcores serve nobody, and sign and verify for all others.
 * Opened and closed on the main lcore.
 */
#ifndef OSKR_LCORE_CLUSTER_H
#define OSKR_LCORE_CLUSTER_H

#include "config/memory.h"
#include "engine/placement.h"
#include "engine/recorder.h"
#include "lcore/control.h"
#include "lcore/fabric.h"
#include "lcore/helpers.h"
#include "lcore/launch.h"
#include "lcore/node.h"

struct cluster_config {
	const struct options *options; /* resolved */
	const struct protocol *protocol;
	uint8_t protocol_index;
	const struct launch_lcores *lcores; /* one loop each; outlives the cluster */
	enum loop_idle idle;
	const struct clock *clock;
	/*
	 * NULL, or what puts something of the caller's between a node and the switch: called
	 * for each node while the cluster is opened; the queue it returns is the node's, and is
	 * used on the node's lcore. For faults that a test makes.
	 */
	struct port_queue (*tap)(void *tap_self, uint32_t node, struct port_queue queue);
	void *tap_self;
};

struct cluster {
	const struct options *options;
	struct plan plan;
	struct memory_plan memory;
	const struct launch_lcores *lcores;
	uint32_t lcores_count;
	uint32_t helpers_count;	 /* of them, the last */
	struct helpers *helpers; /* NULL: none */
	struct placement placement;
	uint16_t replicas_count;
	uint16_t clients_count; /* client nodes */
	uint32_t nodes_count;	/* that are here: all, or the one of a process of its own */
	uint32_t pool_count;
	atomic_bool stop;
	struct rte_mempool *pool;
	struct fabric *fabric;	       /* NULL in a process of its own, */
	const struct process *process; /* which this is then a part of */
	struct node *nodes;
	struct node *pillars; /* of all replicas, in turn; node.pillars points to them */
	struct loop *loops;
	uint16_t *slot_clients;
	struct recorder *recorders[LIMIT_CLIENT_NODES]; /* with --history: one a client node */
	struct recorder_log *log;			/* and what one replica executed */
	uint32_t observed;				/* that replica; UINT32_MAX: none */
	struct control control;
};

/*
 * MiB that EAL's memory must have for this cluster's packets and rings, on so many
 * lcores: for launch_request.memory_mib, before there is anything else.
 */
uint32_t cluster_memory_mib(const struct options *options, uint32_t lcores_count);

/* False with one line in `error` (256 bytes); cluster_close() undoes what was done. */
bool cluster_open(struct cluster *c, const struct cluster_config *config, char *error);
void cluster_close(struct cluster *c);

/* Of cluster_open() and process_open(): the loops, room for the nodes and for c->slot_clients. */
bool cluster_parts_open(
    struct cluster *c, const struct cluster_config *config, uint32_t slots_count);

/* Packet buffers that the nodes of this process may hold, with large messages and without. */
uint32_t cluster_buffers_count(const struct cluster *c, bool segments);

/* The lcores that sign and verify for the others, if there are any. False: EAL lacks memory. */
bool cluster_helpers_open(struct cluster *c, bool yields);

/* What node_open() needs of a node on this lcore: NULL without helpers. */
const struct crypto_team *cluster_team(struct cluster *c, uint32_t lcore);

/* Runs the loops on their lcores until the control ends them. */
void cluster_run(struct cluster *c);

/* Buffers that are neither free nor known to be somewhere, after cluster_run(): leaks. */
uint32_t cluster_buffers_missing(struct cluster *c);

#endif
