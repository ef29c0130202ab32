/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica that ran before and lost its memory (TOCS'02, section 4.3.2): it may
 * have voted for anything up to h + L of its former life. It asks the others how
 * far they are, and votes for nothing until a checkpoint beyond all that is
 * stable. Until then it follows as a learner. See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

void
recover_on_status(struct pbft *r, uint16_t peer, const struct message *m)
{
	struct status_body b;
	struct peer *p = &r->peers[peer];
	memcpy(&b, m->body, sizeof(b));
	/* The nonce is of this life: what was said to the former one counts no more. */
	if (!r->silent || b.echo != r->nonce || b.executed > UINT64_MAX / 2)
		return;
	p->estimated = true;
	p->estimate = b;
	p->estimate_view = m->header->view;
}

/*
 * E: executed at some replica, plausible to f others, and at least what q others
 * have executed. A checkpoint that was stable in the former life was taken by q
 * replicas; q others answer, so a correct one of them is among those, and
 * its `executed` is no higher than E. The former life voted up to E + L.
 */
static bool
estimate_fits(const struct pbft *r, uint64_t candidate, uint32_t whose)
{
	uint32_t below = 0;
	uint32_t plausible = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct peer *p = &r->peers[i];
		if (!p->estimated)
			continue;
		below += p->estimate.executed <= candidate;
		plausible += i != whose && (p->estimate.prepared >= candidate ||
					       p->estimate.executed >= candidate);
	}
	return below >= r->me.quorum && plausible >= r->me.config.faults;
}

static bool
estimate_make(struct pbft *r)
{
	uint64_t floor = 0;
	bool fits = false;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct peer *p = &r->peers[i];
		if (!p->estimated)
			continue;
		uint64_t executed = p->estimate.executed;
		if (estimate_fits(r, executed, i)) {
			uint64_t point = executed + r->window_log;
			point += (r->interval - point % r->interval) % r->interval;
			r->recovery = !fits || point < r->recovery ? point : r->recovery;
			fits = true;
		}
		/* A view in which it asked for a change: it is not to vote below. */
		floor = p->estimate.your_view > floor ? p->estimate.your_view : floor;
	}
	if (fits)
		r->view_floor = floor;
	return fits;
}

void
recover_check(struct pbft *r, struct outbox *out)
{
	if (r->recovery == 0 && !estimate_make(r))
		return;
	if (r->checkpoints.stable < r->recovery)
		return;
	r->silent = false;
	outbox_note(
	    out, "has recovered: votes again beyond %lu, in view %lu", r->recovery, r->me.view, 0);
}
