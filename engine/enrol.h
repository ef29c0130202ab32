/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client node comes to a cluster of processes. It says HELLO to every
 * replica: who it is, where it is, when it started, and on what terms it would
 * be served. The proof is the MAC of their link, whose key both derived at
 * start, so nobody without the client's key costs a replica a signature check
 * or makes it send anywhere. A replica answers WELCOME, with its own terms and
 * whether they fit. HELLOs go on for as long as the client lives: a replica
 * that starts anew learns in a second where its clients are.
 *
 *     HELLO, WELCOME:  header | struct enrol_body | MAC
 *     header.seq: when the client started; header.protocol: ENROL_PROTOCOL
 *     header.instance of a WELCOME: the client node's first slot, as in a reply;
 *     of a HELLO: MESSAGE_INSTANCE_NONE, for it goes to the replica's executor
 *
 * A client that starts again has a later start, and its former life's HELLOs,
 * if somebody sends them again, change nothing. Pure; one core owns an object.
 */
#ifndef OSKR_ENGINE_ENROL_H
#define OSKR_ENGINE_ENROL_H

#include "config/limits.h"
#include "crypto/crypto.h"
#include "engine/message.h"

enum {
	ENROL_PROTOCOL = 255,	    /* in the header: terms say which protocol it is about */
	ENROL_AGAIN_NS = 50000000,  /* a replica that has not answered is asked again */
	ENROL_ALIVE_NS = 500000000, /* one that has is told that we are still here */
	ENROL_ANSWER_NS = 1000000,  /* a client node is answered no more often than this */
};

enum enrol_flags {
	ENROL_TENTATIVE = 1 << 0,
	ENROL_READS = 1 << 1,
	ENROL_ADAPTIVE = 1 << 2, /* for reports: need not be the same */
};

/* What both ends were started with; the sizes are maxima in bytes. */
struct enrol_terms {
	uint32_t slots; /* of each client node */
	uint32_t request_size_max;
	uint32_t reply_size_max;
	uint32_t batch; /* for reports: need not be the same */
	uint16_t client_nodes;
	uint16_t instances;
	uint8_t protocol; /* index in the registry */
	uint8_t request_proof;
	uint8_t reply_proof;
	uint8_t flags;
	uint8_t queues; /* of the replica's port, and its pillars: where to send (lcore/steer.h); */
	uint8_t pillars;     /* of a replica alone, zero in a HELLO: need not be the same */
	uint8_t reserved[2]; /* zero */
};
static_assert(sizeof(struct enrol_terms) == 28, "no padding");

/* Where the client node is. */
struct enrol_address {
	uint32_t ip;   /* IPv4, as a number */
	uint16_t port; /* UDP */
	uint8_t mac[6];
};
static_assert(sizeof(struct enrol_address) == 12, "no padding");

/* What became of it. The first that applies. */
enum enrol_status {
	ENROL_WELCOME,
	ENROL_STALE, /* a later life of the same client node has been here */
	ENROL_OTHER_PROTOCOL,
	ENROL_OTHER_SLOTS,
	ENROL_OTHER_CLIENT_NODES,
	ENROL_OTHER_INSTANCES,
	ENROL_OTHER_REQUEST_PROOF,
	ENROL_OTHER_REPLY_PROOF,
	ENROL_OTHER_FLAGS,
	ENROL_REQUESTS_LARGER, /* the client's than the replica takes */
	ENROL_REPLIES_LARGER,
	ENROL_STATUSES_COUNT,
};

struct enrol_body {
	struct enrol_terms terms;     /* of the sender */
	struct enrol_address address; /* of the client node; zero in a WELCOME */
	uint32_t status;	      /* enum enrol_status of a WELCOME; zero in a HELLO */
	uint8_t reserved[20];	      /* zero */
};
static_assert(sizeof(struct enrol_body) == 64, "one cache line");

enum { ENROL_MESSAGE_SIZE = 64 + 64 + MAC_SIZE };
static_assert((int)ENROL_MESSAGE_SIZE <= (int)ENVELOPE_SIZE_MIN, "fits any envelope");

/* What both halves are opened with. */
struct enrol_config {
	const struct crypto_ops *ops;
	struct crypto *crypto; /* the caller's */
	uint32_t cluster;
	uint16_t replicas_count;
	uint16_t self;	  /* replica index, or client node */
	uint64_t started; /* guest: later than in any former life */
	struct enrol_terms terms;
	struct enrol_address address; /* guest: where it is */
};

/* Written by the owner's core alone; others read single words. */
struct enrol_counters {
	uint64_t taken;	    /* HELLOs or WELCOMEs that were authentic */
	uint64_t malformed; /* in form, or not for us */
	uint64_t unproven;
	uint64_t stale;
};

/* Is it between processes, and nothing of a protocol's? `data` is aligned to 8. */
static inline bool
enrol_is_ours(const uint8_t *data, uint32_t size)
{
	const struct message_header *h = (const struct message_header *)(const void *)data;
	return size >= sizeof(*h) && h->protocol == ENROL_PROTOCOL;
}

/* Whether a client node with `theirs` can be served by a replica with `ours`. */
enum enrol_status enrol_compare(const struct enrol_terms *ours, const struct enrol_terms *theirs);

/* ---- The replica's half --------------------------------------------------- */

struct enrol_host;

struct enrol_host_client {
	bool known;	  /* it has been here, in this life of the replica */
	uint64_t started; /* of its latest life */
	uint64_t answered_ns;
};

/* An authentic HELLO. */
struct enrol_arrival {
	uint16_t client; /* node */
	bool news;	 /* its first, or from another place than before: take the address */
	bool answer;	 /* an answer is due: enrol_host_write() */
	enum enrol_status status;
	uint64_t started;
	struct enrol_address address;
};

/* NULL when memory is short. */
struct enrol_host *enrol_host_open(const struct enrol_config *config);
void enrol_host_close(struct enrol_host *host);

/* Takes what came in; false: dropped and counted. */
bool enrol_host_take(struct enrol_host *host, const uint8_t *data, uint32_t size, uint64_t now_ns,
    struct enrol_arrival *arrival);

/* Writes and seals the WELCOME into an envelope of ENVELOPE_SIZE_MIN bytes at least. */
void enrol_host_write(
    struct enrol_host *host, const struct enrol_arrival *arrival, struct send *send);

const struct enrol_counters *enrol_host_counters(const struct enrol_host *host);

/* ---- The client node's half ------------------------------------------------ */

struct enrol_guest;

/* NULL when memory is short. */
struct enrol_guest *enrol_guest_open(const struct enrol_config *config);
void enrol_guest_close(struct enrol_guest *guest);

/* The replicas, as a mask, that are to be told now; they count as told from then on. */
uint64_t enrol_guest_due(struct enrol_guest *guest, uint64_t now_ns);

/* Writes and seals the HELLO to one of them. */
void enrol_guest_write(struct enrol_guest *guest, uint16_t replica, struct send *send);

/* Takes what came in; false: dropped and counted. */
bool enrol_guest_take(struct enrol_guest *guest, const uint8_t *data, uint32_t size);

/* Masks of replicas, which other cores may read: who has answered, and of those who refused. */
uint64_t enrol_guest_answered(const struct enrol_guest *guest);
uint64_t enrol_guest_refused(const struct enrol_guest *guest);

/* What a replica that has answered said; its terms. */
enum enrol_status enrol_guest_status(
    const struct enrol_guest *guest, uint16_t replica, struct enrol_terms *terms);

const struct enrol_counters *enrol_guest_counters(const struct enrol_guest *guest);

#endif
