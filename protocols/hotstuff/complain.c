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

void
complain_on_message(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	uint16_t client = (uint16_t)m->header->seq;
	uint8_t *heard = &r->complaints_of[m->header->sender];
	const struct client_state *c = &r->requests.clients[client];
	bool again = (c->complaints >> m->header->sender & 1) != 0;
	requests_on_complaint(&r->requests, m, out);
	if (c->must_sign || r->complained_count == HOTSTUFF_COMPLAINED_MAX)
		return;
	for (uint32_t i = 0; again && i < r->complained_count; i++) {
		if (r->complained[i] == client)
			return;
	}
	if (*heard >= HOTSTUFF_COMPLAINTS_MAX)
		return;
	++*heard;
	r->complained[r->complained_count++] = client;
}

void
complain_on_failure(struct hotstuff *r)
{
	r->shun_next = r->complained_count;
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
