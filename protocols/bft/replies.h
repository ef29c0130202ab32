/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica tells clients: results and their digests (OSDI'99, 5.1), that
 * one has to sign, and cached replies brought again. Stateless but for struct
 * requests, which knows who asked for what. One core.
 */
#ifndef OSKR_PROTOCOLS_BFT_REPLIES_H
#define OSKR_PROTOCOLS_BFT_REPLIES_H

#include "protocols/bft/requests.h"

/*
 * All results of a slice: marks the requests as executed (requests_executed()),
 * and replies to each that is not stale: one send a result. `tentative`: what was
 * executed is not committed yet; reads are answered from what is.
 */
void replies_send(struct requests *q, const struct executed *e, bool tentative, struct outbox *out);

/* What a reply says beside its result. */
struct reply_form {
	bool tentative; /* it may be undone */
	uint32_t
	    head_size; /* bytes at `head`, written before the result: machine.reply_head_size */
	const void *head;
};

/* One result, which is not stale. One send. */
void replies_write(const struct requests *q, const struct result *result,
    const struct reply_form *form, struct outbox *out);

/* Its MACs do not hold here, and f more replicas say so. One send. */
void replies_must_sign(
    const struct requests *q, uint16_t client, uint64_t timestamp, struct outbox *out);

/* The cached reply, again: comes back as EVENT_EXECUTED with seq 0. */
static inline void
replies_recall(uint16_t client, uint64_t timestamp, struct outbox *out)
{
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_RECALL;
	d->client = client;
	d->timestamp = timestamp;
}

/*
 * Executes a BFT_READ on the present state: comes back as EVENT_EXECUTED with
 * seq 0 and RESULT_READ. The caller sees to it that the present state is a
 * committed one and that no other is on its way.
 */
static inline void
replies_read(const struct message *m, struct outbox *out)
{
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_READ;
	d->client = m->header->sender;
	d->timestamp = m->header->seq;
	d->batch = m->body;
	d->batch_size = m->body_size;
}

#endif
