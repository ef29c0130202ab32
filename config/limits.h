/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every maximum of the program, with its reason. Constants only: any file and
 * any core may read them. Sizes are bytes, and limits are inclusive.
 */
#ifndef OSKR_CONFIG_LIMITS_H
#define OSKR_CONFIG_LIMITS_H

#include <assert.h>

enum {
	/* A set of replicas is a 64-bit mask, wherever one is kept or sent to. */
	LIMIT_REPLICAS = 64,
	/* The largest f that any protocol here can use: 2f + 1 <= LIMIT_REPLICAS. */
	LIMIT_FAULTS = 31,
	/* A sender travels as 16 bits; 65535 itself means "nobody". Slots are 0..65534. */
	LIMIT_CLIENTS = 65535,
	/* Processes or lcores that carry client slots; as many as there may be replicas. */
	LIMIT_CLIENT_NODES = 64,
	/* Every node has an entry in the switch and in each peer table. */
	LIMIT_NODES = LIMIT_REPLICAS + LIMIT_CLIENT_NODES,
	/* One instance for each lcore is all that sharding can use. */
	LIMIT_INSTANCES = 64,
	LIMIT_PILLARS = 15, /* lcores of a replica that order: with the executor's, LIMIT_QUEUES */
	/* Sets of lcores are 64-bit masks; pipes are a matrix over lcores. */
	LIMIT_LCORES = 64,
	/* Queues of a port: as many as af_packet and the in-process switch have. */
	LIMIT_QUEUES = 16,
};

enum {
	/* The largest value the store keeps, and the largest echo: what users asked for. */
	LIMIT_VALUE_SIZE = 1024 * 1024,
	/* The least value of a workload's record: it names its key, writer and version. */
	LIMIT_RECORD_SIZE_MIN = 16,
	/* A value, its key (250 bytes) and the operation's own fields. */
	LIMIT_OPERATION_SIZE = LIMIT_VALUE_SIZE + 1024,
	/* A reply carries one value and a few fields. */
	LIMIT_REPLY_SIZE = LIMIT_VALUE_SIZE + 1024,
	/* One largest operation inside a request inside a proposal, each with its proof, and
	   what the proposal says beside: certificates of up to 43 of 64 replicas. */
	LIMIT_MESSAGE_SIZE = LIMIT_VALUE_SIZE + 16 * 1024,
	/* The header that every message starts with: one cache line. */
	LIMIT_HEADER_SIZE = 64,
	/* The largest proof: one 16-byte MAC for each replica. */
	LIMIT_PROOF_SIZE = 16 * LIMIT_REPLICAS,
};
static_assert(
    LIMIT_OPERATION_SIZE + 2 * (LIMIT_HEADER_SIZE + LIMIT_PROOF_SIZE) <= LIMIT_MESSAGE_SIZE,
    "the largest request fits a proposal");
static_assert(LIMIT_REPLY_SIZE + LIMIT_HEADER_SIZE + LIMIT_PROOF_SIZE <= LIMIT_MESSAGE_SIZE,
    "the largest reply fits a message");

enum {
	/* A batch carries a bitmap of its valid requests: 512 bytes at this size. */
	LIMIT_BATCH_REQUESTS = 4096,
	/* Batches proposed and not yet delivered, per instance: a 64-bit mask of open slots. */
	LIMIT_BATCHES_OPEN = 64,
	/*
	 * A log spans two intervals, and whoever changes the view tells of all of it in one
	 * message: some 250 bytes a batch, half of the largest message at this length.
	 */
	LIMIT_CHECKPOINT_INTERVAL = 1024,
	/* Every IPv4 host takes a datagram of this size unfragmented (RFC 791, 3.2). */
	LIMIT_MTU_MIN = 576,
	/* Common jumbo frames: what NICs and memif carry in one 10 KiB buffer. */
	LIMIT_MTU = 9216,
};

enum {
	/* 64 replicas at the longest line need 16 KiB; the rest is room for comments. */
	LIMIT_CLUSTER_FILE_SIZE = 64 * 1024,
	/* Bytes of a line without its end: the longest directive takes under 80. */
	LIMIT_CLUSTER_LINE_SIZE = 256,
	/* A PKCS#8 secp256k1 key takes 237 bytes of PEM; comments may precede it. */
	LIMIT_KEY_FILE_SIZE = 16 * 1024,
	/* --log-level may be repeated so often: each log type once, with room. */
	LIMIT_LOG_LEVELS = 16,
	/* A region is addressed by 32-bit page numbers; no test machine has more. */
	LIMIT_APP_MEMORY_MIB = 64 * 1024,
	/* Terms of the memory plan: one for each kind of object taken at start. */
	LIMIT_MEMORY_TERMS = 64,
};

/* Records of a workload: the zipfian constant is summed over all at start (about 1 s). */
enum { LIMIT_RECORDS = 100 * 1000 * 1000 };

/* Offered operations a second: above the packet rate of any port here. */
enum { LIMIT_RATE = 1000 * 1000 * 1000 };

#endif
