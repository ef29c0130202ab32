/* SPDX-License-Identifier: Apache-2.0 */
/* See replies.h. */
#include "protocols/bft/replies.h"

enum { AHEAD = 8 }; /* results whose clients are on their way to the cache */

/* "the other replicas send replies containing just the digest of the result" (OSDI'99, 5.1) */
static bool
digest_suffices(const struct requests *q, const struct result *result)
{
	const struct protocol_config *config = &q->me->config;
	return result->size >= BFT_DIGEST_REPLY_MIN &&
	       requests_client(q, result->client)->whole < result->timestamp &&
	       bft_replier(result->client, result->timestamp, config->replicas_count) !=
		   config->self;
}

void
replies_write(const struct requests *q, const struct result *result, const struct reply_form *form,
    struct outbox *out)
{
	bool lost = (result->flags & RESULT_LOST) != 0;
	bool read = (result->flags & RESULT_READ) != 0;
	bool digest = !lost && digest_suffices(q, result);
	struct send *s = outbox_send_client(out, result->client);
	struct letter letter = {
	    .type = lost     ? MESSAGE_REPLY_LOST
		    : digest ? BFT_REPLY_DIGEST
			     : MESSAGE_REPLY,
	    .proof = q->me->config.reply_proof,
	    .instance = result->client,
	    .body_size = lost ? 0 : form->head_size + result->size,
	    .view = q->me->view << BFT_REPLY_SHIFT |
		    (form->tentative && !read ? BFT_REPLY_TENTATIVE : 0u) |
		    (read ? BFT_REPLY_READ : 0u),
	    .seq = result->timestamp,
	};
	uint8_t *body = outbox_write(out, s, &q->me->stamp, &letter);
	s->flags = digest ? SEND_DIGEST_ONLY : SEND_DIGEST;
	if (letter.body_size == 0)
		return;
	if (form->head_size > 0)
		memcpy(body, form->head, form->head_size);
	if (result->size > 0)
		memcpy(body + form->head_size, result->data, result->size);
}

void
replies_send(struct requests *q, const struct executed *e, bool tentative, struct outbox *out)
{
	const struct reply_form form = {.tentative = tentative};
	if (e->seq != 0)
		q->executed_seq = e->seq;
	for (uint32_t i = 0; i < e->results_count && i < AHEAD; i++)
		requests_prefetch(q, e->results[i].client);
	for (uint32_t i = 0; i < e->results_count; i++) {
		if (i + AHEAD < e->results_count)
			requests_prefetch(q, e->results[i + AHEAD].client);
		const struct result *result = &e->results[i];
		requests_on_result(q, result);
		if (!(result->flags & (RESULT_STALE | RESULT_NEW)))
			replies_write(q, result, &form, out);
	}
}

void
replies_must_sign(const struct requests *q, uint16_t client, uint64_t timestamp, struct outbox *out)
{
	struct letter letter = {
	    .type = BFT_MUST_SIGN,
	    .proof = q->me->config.reply_proof,
	    .instance = client,
	    .view = q->me->view << BFT_REPLY_SHIFT,
	    .seq = timestamp,
	};
	outbox_write(out, outbox_send_client(out, client), &q->me->stamp, &letter);
}
