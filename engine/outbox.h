/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a step writes what it wants done: messages to send, batches to execute,
 * operations completed. Envelopes are transmit buffers that the engine has set
 * out before the burst, so writing a message is writing the packet. The engine
 * calls step() only when the bounds that the protocol declared fit, so nothing
 * here can fail. Owned by one shard, on one core.
 */
#ifndef OSKR_ENGINE_OUTBOX_H
#define OSKR_ENGINE_OUTBOX_H

#include <string.h>

#include "engine/check.h"
#include "engine/message.h"

enum {
	OUTBOX_SENDS_MAX = 256,
	OUTBOX_LARGE_MAX = 8,
	OUTBOX_DELIVERIES_MAX = 64,
	OUTBOX_COMPLETIONS_MAX = 128,
	OUTBOX_NOTES_MAX = 16,
	ENVELOPE_SIZE_MIN = 512, /* every envelope holds a message of this many bytes */
};

/* What seal() does beside what the header's kind of proof asks for. */
enum send_flags {
	SEND_SEALED = 1 << 0,	   /* nothing: the message is another's, or an old one of ours */
	SEND_DIGEST = 1 << 1,	   /* the body's digest is written even where there is no proof */
	SEND_DIGEST_ONLY = 1 << 2, /* the same, and then the body is cut off: its digest stands
				      for it */
	SEND_CHAINED = 1 << 3,	   /* first, the digest of the send before becomes the first 32
				      bytes of the body: whose own digest then covers both */
};

/* One message on its way out. */
struct send {
	uint64_t to;	   /* bit i: replica i; the own bit loops back; 0: to `client` */
	uint16_t client;   /* slot, when to == 0 */
	uint8_t large;	   /* 0, or 1 + the index of the large buffer that holds the message */
	uint8_t flags;	   /* enum send_flags */
	uint32_t capacity; /* bytes at header */
	struct message_header *header; /* what is sent: write here */
	void *owner;		       /* the envelope: an mbuf, or a test's buffer */
};

enum delivery_kind {
	DELIVERY_BATCH,	   /* execute the batch; EVENT_EXECUTED brings the results */
	DELIVERY_RECALL,   /* bring the cached reply of (client, timestamp) again, or say that there
			      is none */
	DELIVERY_READ,	   /* execute a read-only operation on the present state */
	DELIVERY_STABLE,   /* the checkpoint at seq is stable: older history may go */
	DELIVERY_ROLLBACK, /* undo what was executed after seq; EVENT_STATE follows */
	DELIVERY_TRANSFER, /* fetch the state of checkpoint (seq, digest); EVENT_STATE follows */
};

/* Work for the executor, in the order given; batches in the order of `seq`. */
struct delivery {
	enum delivery_kind kind;
	uint16_t instance;  /* set by the shard: the machine that delivers */
	uint16_t client;    /* RECALL, READ */
	bool checkpoint;    /* BATCH: take the state's digest right after it */
	bool mark;	    /* BATCH: a later ROLLBACK may name its seq */
	uint64_t timestamp; /* RECALL, READ */
	uint64_t seq;	    /* BATCH: instance-local, gapless, from 1; STABLE, ROLLBACK, TRANSFER */
	const uint8_t *batch;  /* BATCH: batch_size bytes in the log, aligned to 8, kept until
				  its EVENT_EXECUTED with `last` set has been stepped, or until
				  the EVENT_STATE after a ROLLBACK or TRANSFER; READ: the
				  operation, valid until the burst ends */
	const uint64_t *valid; /* BATCH: bit i: request i is authentic; NULL: all are */
	uint32_t batch_size;   /* bytes; 0 is the empty batch */
	uint8_t digest[32];    /* TRANSFER: what the checkpoint's state must have */
};

/* A client's operation has its answer. */
struct completion {
	uint16_t slot;
	bool lost;	     /* it was executed, but nobody has the result any more */
	uint32_t size;	     /* bytes of the result */
	uint64_t timestamp;  /* the operation's */
	const uint8_t *data; /* valid until the burst ends */
};

/*
 * Something rare that people want to know of: a line in the log, with the time
 * and the replica before it. `text` is static and takes up to three %lu.
 */
struct note {
	const char *text;
	uint64_t values[3];
};

struct outbox {
	struct send sends[OUTBOX_SENDS_MAX];
	struct delivery deliveries[OUTBOX_DELIVERIES_MAX];
	struct completion completions[OUTBOX_COMPLETIONS_MAX];
	struct note notes[OUTBOX_NOTES_MAX];
	struct send large[OUTBOX_LARGE_MAX]; /* buffers for messages above an envelope */
	uint32_t sends_count;
	uint32_t sends_ready; /* envelopes set out */
	uint32_t deliveries_count;
	uint32_t completions_count;
	uint32_t notes_count;
	uint32_t large_count;
	uint32_t large_ready;
	bool urgent; /* others wait for what was written: it goes out before anything is executed */
};

/* The next envelope, to the replicas in mask `to` (not 0). */
static inline struct send *
outbox_send(struct outbox *out, uint64_t to)
{
	check(out->sends_count < out->sends_ready);
	struct send *s = &out->sends[out->sends_count++];
	s->to = to;
	s->client = 0;
	s->large = 0;
	s->flags = 0;
	return s;
}

static inline struct send *
outbox_send_client(struct outbox *out, uint16_t slot)
{
	struct send *s = outbox_send(out, 0);
	s->client = slot;
	return s;
}

/*
 * Makes room for a message of `size` bytes: the envelope itself where it holds
 * that many, else a large buffer, whose message travels in segments.
 */
static inline void
outbox_grow(struct outbox *out, struct send *s, uint32_t size)
{
	if (size <= s->capacity)
		return;
	check(out->large_count < out->large_ready);
	const struct send *large = &out->large[out->large_count++];
	check(size <= large->capacity);
	s->large = large->large;
	s->header = large->header;
	s->capacity = large->capacity;
}

static inline struct delivery *
outbox_deliver(struct outbox *out)
{
	check(out->deliveries_count < OUTBOX_DELIVERIES_MAX);
	struct delivery *d = &out->deliveries[out->deliveries_count++];
	*d = (struct delivery){.kind = DELIVERY_BATCH};
	return d;
}

static inline struct completion *
outbox_complete(struct outbox *out)
{
	check(out->completions_count < OUTBOX_COMPLETIONS_MAX);
	return &out->completions[out->completions_count++];
}

/* One that finds no place is lost: notes are for people. */
static inline void
outbox_note(struct outbox *out, const char *text, uint64_t a, uint64_t b, uint64_t c)
{
	if (out->notes_count == OUTBOX_NOTES_MAX)
		return;
	out->notes[out->notes_count++] = (struct note){.text = text, .values = {a, b, c}};
}

/* What is the same in every message of one sender. */
struct stamp {
	uint32_t cluster;
	uint16_t sender;
	uint16_t replicas_count;
	uint8_t protocol;
};

/* What differs from message to message. */
struct letter {
	uint8_t type;
	uint8_t proof;	    /* PROOF_MERKLE: the engine sets the depth when it seals */
	uint16_t instance;  /* in what goes to a client: its slot */
	uint32_t body_size; /* bytes */
	uint64_t view;
	uint64_t seq;
};

/*
 * Writes the header into an envelope (grown where needed) and returns where
 * the body goes: body_size bytes, all of which the caller must write. The
 * digest of a message without body is zero until the caller sets it.
 */
static inline uint8_t *
outbox_write(
    struct outbox *out, struct send *s, const struct stamp *stamp, const struct letter *letter)
{
	uint8_t kind =
	    letter->proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : letter->proof;
	uint32_t proof = proof_size(kind, stamp->replicas_count);
	uint32_t size = (uint32_t)sizeof(struct message_header) + letter->body_size + proof;
	outbox_grow(out, s, size);
	*s->header = (struct message_header){
	    .size = size,
	    .cluster = stamp->cluster,
	    .instance = letter->instance,
	    .sender = stamp->sender,
	    .protocol = stamp->protocol,
	    .type = letter->type,
	    .proof = letter->proof,
	    .version = MESSAGE_VERSION,
	    .view = letter->view,
	    .seq = letter->seq,
	};
	return (uint8_t *)(s->header + 1);
}

/*
 * Puts a whole message of somebody (or an old one of ours) into an envelope as
 * it is: its proof stays that of its sender. The bytes must be aligned to 8.
 */
static inline void
outbox_relay(struct outbox *out, struct send *s, const struct message_header *message)
{
	outbox_grow(out, s, message->size);
	memcpy(s->header, message, message->size);
	s->flags = SEND_SEALED;
}

#endif
