/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients whose MACs hold at some replicas only (Aardvark, NSDI'09, "the big MAC
 * attack"). A replica votes for no block with a request that is not authentic to
 * it, and complains. f + 1 complaints prove that such a client lies, and it has to
 * sign (bft/requests.h). But f faulty replicas may keep silent, and then a block
 * fails for want of a single vote, with a single complaint. So one is enough
 * where a view has failed since: the client's next block must not fail likewise.
 *
 * A replica that complains of honest clients makes them sign, which costs time
 * and nothing else; it is heard about a few clients only for each checkpoint and
 * each view that fails. See replica.h. One core.
 */
#include "protocols/hotstuff/replica.h"

enum { SETTLED_PER_STEP = 8 };

/* One more that `replica` complains of, unless it is known or the replica is heard no more. */
static void
client_note(struct hotstuff *r, uint16_t client, uint16_t replica)
{
	if (requests_client(&r->requests, client)->must_sign)
		return;
	for (uint32_t i = 0; i < r->complained_count; i++) {
		if (r->complained[i] == client)
			return;
	}
	if (r->complaints_of[replica] >= HOTSTUFF_COMPLAINTS_MAX ||
	    r->complained_count == HOTSTUFF_COMPLAINED_MAX)
		return;
	r->complaints_of[replica]++;
	r->complained[r->complained_count++] = client;
}

void
complain_of_batch(struct hotstuff *r, const uint8_t *batch, uint32_t size)
{
	struct batch_cursor cursor = batch_cursor(batch, size);
	struct message request;
	while (batch_next(&cursor, &r->me.scope, &request)) {
		uint16_t client = request.header->sender;
		if ((requests_client(&r->requests, client)->complaints & own_bit(r)) != 0)
			client_note(r, client, r->me.config.self);
	}
}

void
complain_on_message(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	requests_on_complaint(&r->requests, m, out);
	client_note(r, (uint16_t)m->header->seq, m->header->sender);
}

bool
complain_on_failure(struct hotstuff *r)
{
	bool news = r->shun_next < r->complained_count;
	r->shun_next = r->complained_count;
	return news;
}

void
complain_forget(struct hotstuff *r)
{
	r->complained_count = 0;
	r->shun_next = 0;
	memset(r->complaints_of, 0, sizeof(r->complaints_of));
}

void
complain_settle(struct hotstuff *r, struct outbox *out)
{
	for (uint32_t i = 0; i < SETTLED_PER_STEP && r->shun_next > 0; i++)
		requests_demand_signature(&r->requests, r->complained[--r->shun_next], out);
	if (r->shun_next == 0)
		complain_forget(r);
}
