/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster file: who the replicas are and where, the same on every node.
 *
 *	f 1
 *	replica 12:34:56:aa:aa:aa%0 [ip 192.0.2.10] [port 7000]
 *	...
 *	multicast 01:00:5e:00:00:01%255
 *	instances 1
 *
 * A line is a directive, a comment from '#' on, or blank; lines may end in
 * CRLF; the last needs no end. Replicas are numbered from 0 in the file's
 * order. Read once, at start, on the main lcore; immutable afterwards.
 */
#ifndef OSKR_CONFIG_CLUSTER_FILE_H
#define OSKR_CONFIG_CLUSTER_FILE_H

#include "config/error.h"
#include "config/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The default of `port`. */
enum { CLUSTER_PORT = 7000 };

/* Where frames for a node, or for the whole group, go. */
struct cluster_address {
	uint8_t mac[6];
	uint16_t id;   /* after '%': local to the device, 0..65534 */
	uint32_t ip;   /* host byte order; 10.x.y.z of the MAC's last 3 bytes when not given */
	uint16_t port; /* UDP */
};

struct cluster_file {
	uint32_t f;
	uint32_t replicas_count; /* n */
	uint32_t instances;
	bool has_multicast;
	struct cluster_address replicas[LIMIT_REPLICAS];
	/* Its ip is 239.x.y.z of the MAC's last 23 bits (RFC 1112, 6.4; RFC 2365, 6). */
	struct cluster_address multicast;
};

/* The least n of the protocol at hand: replicas_per_fault * f + replicas_base. */
struct cluster_need {
	uint32_t replicas_per_fault;
	uint32_t replicas_base;
};

/*
 * Parses `size` bytes of text. Pure; any bytes may come. `name` stands for the
 * file in messages. Returns 0; or -EINVAL with "NAME:LINE: what; the fix" in
 * `error`, *file being all zero then.
 */
int cluster_file_parse(struct cluster_file *file, const char *name, const char *text, size_t size,
    struct cluster_need need, struct config_error *error);

/*
 * Reads a regular file of at most LIMIT_CLUSTER_FILE_SIZE bytes and parses it.
 * Returns 0 or a negative errno, with one line in `error`; never waits, not
 * even on a FIFO.
 */
int cluster_file_load(struct cluster_file *file, const char *path, struct cluster_need need,
    struct config_error *error);

#endif
