/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica that ran before and lost its memory: it may have stated anything up to
 * the stable checkpoint of its former life and 2K beyond. It asks the others how
 * far they are, and states nothing until a checkpoint beyond all that is stable;
 * until then it follows as a learner. What it stated lies then in the past of
 * everybody's history, where nothing is decided any more. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

void
rejoin_on_status(struct zyzzyva *r, uint16_t peer, const struct status_body *b)
{
	struct peer *p = &r->peers[peer];
	/* The nonce is of this life: what was said to the former one counts no more. */
	if (!r->silent || b->echo != r->nonce || b->executed > UINT64_MAX / 2)
		return;
	p->estimated = true;
	p->estimate = *b;
}

/*
 * E: executed at some replica, plausible to f others, and at least what q others
 * have executed. A checkpoint that was stable in the former life was voted for by q
 * replicas; q others answer, so a correct one of them is among those, and its
 * `executed` is no higher than E, for what is stable is never undone.
 */
static bool
estimate_fits(const struct zyzzyva *r, uint64_t candidate, uint32_t whose)
{
	uint32_t below = 0;
	uint32_t plausible = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct peer *p = &r->peers[i];
		if (!p->estimated)
			continue;
		below += p->estimate.executed <= candidate;
		plausible += i != whose &&
			     (p->estimate.top >= candidate || p->estimate.executed >= candidate);
	}
	return below >= r->me.quorum && plausible >= r->me.config.faults;
}

static bool
estimate_make(struct zyzzyva *r)
{
	bool fits = false;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct peer *p = &r->peers[i];
		if (!p->estimated || !estimate_fits(r, p->estimate.executed, i))
			continue;
		uint64_t point = p->estimate.executed + r->window_log;
		point += (r->interval - point % r->interval) % r->interval;
		r->recovery = !fits || point < r->recovery ? point : r->recovery;
		fits = true;
	}
	return fits;
}

void
rejoin_check(struct zyzzyva *r, struct outbox *out)
{
	if (r->recovery == 0 && !estimate_make(r))
		return;
	if (r->stable < r->recovery)
		return;
	r->silent = false;
	outbox_note(
	    out, "has recovered: speaks again beyond %lu, in view %lu", r->recovery, r->me.view, 0);
}
