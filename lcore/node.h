/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica or a client node on one lcore: its end of the network, its keys,
 * its engine. Its poll is one burst, run to completion. The lcore owns it all;
 * the control and the node tell each other things in single words: `phase`,
 * `settled`, `life`, `watched_from_ns`.
 *
 * A replica that is killed is no longer run, and what its port receives is lost.
 * When it restarts, its lcore puts the spare in its place: a replica that was
 * opened at the start with memory of its own and has never run, so that the
 * lcore's other nodes do not wait for memory to be taken and zeroed. The former
 * replica's memory stays until the end: others may be reading its counters.
 *
 * A replica of several lcores is several nodes: its own, with the executor, and
 * one for each pillar, which has an endpoint, a queue and keys of its own and is
 * polled on its own lcore. They live and die with the replica's: a pillar that
 * sees another generation than its own puts its spare in place. Former and
 * spare have lanes of their own, so no life hears of another.
 */
#ifndef OSKR_LCORE_NODE_H
#define OSKR_LCORE_NODE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/client.h"
#include "engine/pillar.h"
#include "engine/plan.h"
#include "engine/replica.h"
#include "lcore/endpoint.h"
#include "lcore/enrolment.h"
#include "lcore/lanes.h"
#include "lcore/notes.h"
#include "lcore/outage.h"
#include "lcore/trace.h"

enum node_life {
	NODE_RUNS,
	NODE_KILLED,   /* set by the control: nothing is done, what comes is lost */
	NODE_RESTARTS, /* set by the control: the spare takes over; then NODE_RUNS */
};

struct node {
	uint16_t index; /* replicas first, then client nodes */
	bool is_replica;
	uint32_t lcore; /* position among the loops */
	struct endpoint *endpoint;
	struct crypto *crypto;
	struct replica *replica;   /* of a replica; others ask node_replica() */
	struct replica *spare;	   /* takes its place when it restarts; NULL: it never does */
	struct replica *former;	   /* the one that was killed */
	uint16_t pillars_count;	   /* of a replica */
	struct node *pillars;	   /* its pillars' nodes; the cluster's */
	struct lanes *lanes;	   /* to them, ... */
	struct lanes *lanes_spare; /* ... of the spare life, too */
	struct node *of;	   /* of a pillar: the replica's node; else NULL */
	struct pillar *pillar;	   /* of a pillar; others ask node_pillar() */
	struct pillar *pillar_spare;
	struct pillar *pillar_former;
	_Atomic uint32_t generation; /* of a replica: lives begun after the first */
	uint32_t generation_here;    /* of a pillar: the one it serves */
	struct client *client;	     /* of a client node */
	struct workload *workload;
	uint32_t burst_max;		  /* datagrams taken at once */
	uint64_t wake_ns;		  /* until then only a datagram gives it something to do */
	_Atomic uint32_t phase;		  /* enum client_phase that the control wants */
	_Atomic uint32_t life;		  /* enum node_life */
	_Atomic uint64_t watched_from_ns; /* client: silences are kept from then on; 0: none */
	uint64_t answered_ns;		  /* client: when the last answer came */
	uint64_t lost_frames;		  /* replica: came while it was killed */
	struct silences silences;
	struct notes notes;
	struct trace trace;	     /* of a replica */
	struct enrolment *enrolment; /* of a process that is one node; NULL in a whole cluster */
	_Atomic uint32_t settled;    /* client: 1 + the phase that has nothing left to do; else 0 */
	struct datagram datagrams[SHARD_BURST_MAX];
};

/* Where a pillar is. */
struct node_place {
	struct port_queue queue;
	const struct crypto_team *team;
	uint32_t lcore;
	struct enrolment *enrolment; /* in a process of its own; else NULL */
};

/* What a node is opened with. */
struct node_config {
	const struct plan *plan;
	const struct options *options;
	const struct protocol *protocol;
	const struct crypto_config *crypto;	/* `self` says which node this is */
	const struct endpoint_config *endpoint; /* likewise */
	struct notes_config notes;		/* who and number are set by node_open() */
	bool spare;				/* a replica that may have to start anew */
	bool restarted;				/* a replica that ran before, in another process */
	struct enrolment *enrolment; /* NULL, or the caller's; its endpoint is set here */
	struct workload *workload;   /* a client node's; the node's from now on */
	const struct executor_observer *observer; /* of a replica; NULL: nobody watches */
	struct node *pillars;		 /* of a replica of several lcores: zeroed; else NULL */
	const struct node_place *places; /* theirs: plan->pillars_count */
	uint64_t id_seed;
	uint64_t id_seed_spare; /* its large messages are not its former self's */
};

/* False with a line in `error` (256 bytes). node_close() undoes what was done. */
bool node_open(struct node *node, const struct node_config *config, char *error);
void node_close(struct node *node);

/* One burst: for the poll loop. `self` is a struct node. */
uint32_t node_poll(void *self, uint64_t now_ns);

/* For the control: what the node is to do, and whether it has done so. */
static inline enum node_life
node_life(const struct node *node)
{
	return (enum node_life)atomic_load_explicit(&node->life, memory_order_acquire);
}

static inline void
node_life_set(struct node *node, enum node_life life)
{
	atomic_store_explicit(&node->life, life, memory_order_release);
}

/* A client node keeps the longest times without an answer from now_ns on. */
static inline void
node_watch(struct node *node, uint64_t now_ns)
{
	atomic_store_explicit(&node->watched_from_ns, now_ns, memory_order_relaxed);
}

/* What it has kept, with the silence that lasts until end_ns. When its loop has ended. */
void node_silences(const struct node *node, uint64_t end_ns, struct silences *silences);

/* The replica that is in place, for any thread; it stays valid when another takes over. */
static inline const struct replica *
node_replica(const struct node *node)
{
	return __atomic_load_n(&node->replica, __ATOMIC_ACQUIRE);
}

/* The same of a pillar. */
static inline const struct pillar *
node_pillar(const struct node *node)
{
	return __atomic_load_n(&node->pillar, __ATOMIC_ACQUIRE);
}

static inline struct shard *
node_shard(const struct node *node)
{
	if (node->of != NULL)
		return node_pillar(node)->shard;
	return node->is_replica ? node_replica(node)->shard : node->client->shard;
}

/* Machines of the node, its pillars' included. */
static inline uint32_t
node_instances(const struct node *node)
{
	uint32_t count = node_shard(node)->config.machines_count;
	for (uint32_t i = 0; i < node->pillars_count; i++)
		count += node_shard(&node->pillars[i])->config.machines_count;
	return count;
}

/* Which of its replica's queues is the node's. */
static inline uint32_t
node_part(const struct node *node)
{
	return node->of != NULL ? 1 + (uint32_t)(node - node->of->pillars) : 0;
}

/* The shard that has the instance's machine, and the machine. */
static inline struct shard *
node_shard_of(const struct node *node, uint32_t instance)
{
	if (node->pillars_count == 0)
		return node_shard(node);
	return node_shard(&node->pillars[instance % node->pillars_count]);
}

static inline void *
node_machine(const struct node *node, uint32_t instance)
{
	uint32_t stride = node->pillars_count > 0 ? node->pillars_count : 1;
	return node_shard_of(node, instance)->machines[instance / stride];
}

/* Bytes of the lanes to a replica's pillars, and of these, in one life. */
uint64_t node_pillars_memory(const struct plan *plan, const struct protocol *protocol);

#endif
