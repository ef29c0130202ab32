/* SPDX-License-Identifier: Apache-2.0 */
/* See process_keys.h. Start only, main lcore. */
#include "lcore/process_keys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/random.h"

enum { PATH_SIZE = 4096 };

static const char KEYGEN[] = "deploy/keygen.sh --add";

/* FILE-<i>.end, or FILE-client-<k>.end; false: it does not fit. */
static bool
path_write(char path[PATH_SIZE], const char *prefix, const char *kind, uint32_t number,
    const char *end, char *error)
{
	int size = snprintf(path, PATH_SIZE, "%s-%s%u.%s", prefix, kind, number, end);
	if (size > 0 && size < PATH_SIZE)
		return true;
	snprintf(error, KEYS_ERROR_SIZE, "--cluster: the file's name is too long");
	return false;
}

static bool
publics_load(struct process_keys *keys, const char *prefix, char *error)
{
	char path[PATH_SIZE];
	for (uint32_t i = 0; i < keys->replicas_count; i++) {
		if (!path_write(path, prefix, "", i, "pub", error))
			return false;
		if (access(path, F_OK) != 0) {
			snprintf(error, KEYS_ERROR_SIZE,
			    "%.200s is not there: each node needs every replica's; copy it, or "
			    "make "
			    "what is missing with %s %.80s %u 1",
			    path, KEYGEN, prefix, keys->replicas_count);
			return false;
		}
		if (keys_load_public(path, keys->public_keys[i], error) != 0)
			return false;
	}
	for (uint32_t k = 0; k < LIMIT_CLIENT_NODES; k++) {
		if (!path_write(path, prefix, "client-", k, "pub", error))
			return false;
		if (access(path, F_OK) != 0)
			break;
		if (keys_load_public(path, keys->public_keys[keys->replicas_count + k], error) != 0)
			return false;
		keys->clients_count++;
	}
	if (keys->clients_count > 0)
		return true;
	snprintf(error, KEYS_ERROR_SIZE,
	    "%.200s: there is no public key of any client node; make keys with %s %.80s %u 1", path,
	    KEYGEN, prefix, keys->replicas_count);
	return false;
}

/* One key for two nodes would make one of the other: a file was copied under a wrong name. */
static bool
publics_differ(const struct process_keys *keys, const char *prefix, char *error)
{
	uint32_t nodes = (uint32_t)keys->replicas_count + keys->clients_count;
	for (uint32_t i = 0; i < nodes; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (memcmp(keys->public_keys[i], keys->public_keys[j],
				CRYPTO_PUBLIC_SIZE) != 0)
				continue;
			bool client = i >= keys->replicas_count;
			snprintf(error, KEYS_ERROR_SIZE,
			    "%.300s-%s%u.pub: holds the same key as node %u's; each node has a "
			    "pair of its own: copy the files again",
			    prefix, client ? "client-" : "", client ? i - keys->replicas_count : i,
			    j);
			return false;
		}
	}
	return true;
}

static bool
self_find(struct process_keys *keys, const struct options *o, bool client, char *error)
{
	uint32_t count = client ? keys->clients_count : keys->replicas_count;
	keys->self = (uint16_t)(o->index + (client ? keys->replicas_count : 0));
	if (o->index < count)
		return true;
	if (client) {
		snprintf(error, KEYS_ERROR_SIZE,
		    "--index %u: %.200s-client-<k>.pub are there for client nodes 0..%u: give one "
		    "of these, or more keys to all nodes",
		    o->index, o->cluster, count - 1);
	} else if (options_mode_single(o->mode)) {
		snprintf(error, KEYS_ERROR_SIZE,
		    "--index %u: mode %s is not replicated, only replica 0 serves: give 0",
		    o->index, o->mode->name);
	} else {
		snprintf(error, KEYS_ERROR_SIZE,
		    "--index %u: %.200s has the replicas 0..%u: give one of these", o->index,
		    o->cluster, count - 1);
	}
	return false;
}

bool
process_keys_load(struct process_keys *keys, const struct options *options, bool client,
    const struct cluster_file *file, char *error)
{
	char path[PATH_SIZE];
	*keys = (struct process_keys){.replicas_count = (uint16_t)options->replicas};
	check(keys->replicas_count >= 1 && keys->replicas_count <= file->replicas_count);
	if (!client && !self_find(keys, options, false, error))
		return false;
	if (!publics_load(keys, options->cluster, error) ||
	    !publics_differ(keys, options->cluster, error) ||
	    !self_find(keys, options, client, error))
		return false;
	if (!path_write(
		path, options->cluster, client ? "client-" : "", options->index, "pem", error) ||
	    keys_load_secret(path, &keys->own, error) != 0)
		return false;
	keys->cluster = process_keys_cluster(keys, file, options->life);
	return keys_match(path, &keys->own, keys->public_keys[keys->self], error) == 0;
}

static uint64_t
mixed(uint64_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++)
		sum = random_mix(sum ^ bytes[i]);
	return sum;
}

uint32_t
process_keys_cluster(
    const struct process_keys *keys, const struct cluster_file *file, uint32_t life)
{
	uint32_t numbers[3] = {keys->replicas_count, file->f, file->instances};
	uint64_t sum = mixed(LIMIT_NODES, numbers, sizeof(numbers));
	for (uint32_t i = 0; i < keys->replicas_count; i++)
		sum = mixed(sum, keys->public_keys[i], CRYPTO_PUBLIC_SIZE);
	/*
	 * Lives are told apart for certain, clusters very likely: nobody who could make two
	 * clusters' numbers the same would gain anything, since their keys differ.
	 */
	return (uint32_t)(sum >> 32) + life;
}
