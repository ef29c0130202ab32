/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica or a client node on one lcore: its end of the network, its keys,
 * its engine. Its poll is one burst, run to completion. The lcore owns it all;
 * `phase` is written by the control and `settled` by the node, one word each.
 */
#ifndef OSKR_LCORE_NODE_H
#define OSKR_LCORE_NODE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/client.h"
#include "engine/plan.h"
#include "engine/replica.h"
#include "lcore/endpoint.h"

struct node {
	uint16_t index; /* replicas first, then client nodes */
	bool is_replica;
	uint32_t lcore; /* position among the loops */
	struct endpoint *endpoint;
	struct crypto *crypto;
	struct replica *replica; /* of a replica */
	struct client *client;	 /* of a client node */
	struct workload *workload;
	uint32_t burst_max;	  /* datagrams taken at once */
	uint64_t wake_ns;	  /* until then only a datagram gives it something to do */
	_Atomic uint32_t phase;	  /* enum client_phase that the control wants */
	_Atomic uint32_t settled; /* client: 1 + the phase that has nothing left to do; else 0 */
	struct datagram datagrams[SHARD_BURST_MAX];
};

/* What a node is opened with. */
struct node_config {
	const struct plan *plan;
	const struct options *options;
	const struct protocol *protocol;
	const struct crypto_config *crypto;	  /* `self` says which node this is */
	const struct endpoint_config *endpoint;	  /* likewise */
	struct workload *workload;		  /* a client node's; the node's from now on */
	const struct executor_observer *observer; /* of a replica; NULL: nobody watches */
	uint64_t id_seed;
};

/* False with a line in `error` (256 bytes). node_close() undoes what was done. */
bool node_open(struct node *node, const struct node_config *config, char *error);
void node_close(struct node *node);

/* One burst: for the poll loop. `self` is a struct node. */
uint32_t node_poll(void *self, uint64_t now_ns);

static inline struct shard *
node_shard(const struct node *node)
{
	return node->is_replica ? node->replica->shard : node->client->shard;
}

#endif
