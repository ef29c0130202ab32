/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a node that is a process of its own, from the files beside the
 * cluster file FILE (deploy/keygen.sh makes them):
 *
 *     FILE-<i>.pem, FILE-client-<k>.pem    this node's own, which no other has
 *     FILE-<i>.pub, FILE-client-<k>.pub    everybody's
 *
 * Who has a public key here may be a client node: they are numbered from 0
 * without gaps. The cluster's number follows from what all nodes have alike, so
 * that messages of another cluster, or of a former life, mean nothing.
 */
#ifndef OSKR_LCORE_PROCESS_KEYS_H
#define OSKR_LCORE_PROCESS_KEYS_H

#include "config/cluster_file.h"
#include "config/options.h"
#include "crypto/keys.h"

struct process_keys {
	uint16_t self; /* node: replica index, or replicas_count + client node */
	uint16_t replicas_count;
	uint16_t clients_count; /* client nodes */
	uint32_t cluster;	/* the cluster's number */
	struct key_pair own;
	uint8_t public_keys[LIMIT_NODES][CRYPTO_PUBLIC_SIZE]; /* replicas, then client nodes */
};

/* False with one line in `error` (KEYS_ERROR_SIZE bytes). The caller erases *keys after use. */
bool process_keys_load(struct process_keys *keys, const struct options *options, bool client,
    const struct cluster_file *file, char *error);

/* The cluster's number of these nodes in this life. Pure. */
uint32_t process_keys_cluster(
    const struct process_keys *keys, const struct cluster_file *file, uint32_t life);

#endif
