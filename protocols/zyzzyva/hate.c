/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the primary is hated, and by whom (SOSP'07, sections 3.1 and 3.2): the
 * timers of a view, I-HATE-THE-PRIMARY, and why a view is left. See replica.h.
 * One core.
 */
#include "protocols/zyzzyva/phases.h"

enum {
	HATES_PER_STEP = 8,
	TICKS_PER_EXPLANATION = 4,
};

/* ---- timers ---------------------------------------------------------------- */

static uint64_t
timeout_ns(const struct zyzzyva *r)
{
	return r->me.config.view_timeout_ns << r->backoff;
}

/*
 * "if its timer expires before it receives an ORDER-REQ for that request" (3.1,
 * step 4c). The timer is for the oldest request, so that no client can be left out
 * while others are served, and for a sequence number that is known to be ordered.
 */
static uint64_t
patience_ends(const struct zyzzyva *r)
{
	uint64_t at_ns = TIME_NEVER;
	if (r->silent || r->moving || r->stranded)
		return TIME_NEVER;
	if (!r->active)
		return r->full_ns == 0 ? TIME_NEVER : r->full_ns + timeout_ns(r);
	if (r->betrayed)
		return 0;
	if (r->requests.pool.count > 0)
		at_ns = r->requests.head_ns + timeout_ns(r);
	/* What lies above the window waits for a checkpoint, not for the primary. */
	bool hole = r->heard > r->top && r->top - r->stable < r->window_log;
	if (hole && r->progress_ns + timeout_ns(r) < at_ns)
		at_ns = r->progress_ns + timeout_ns(r);
	/* What it has not signed, and what a client does not believe in and q have not certified.
	 */
	if (r->top > r->covered && r->uncovered_ns + timeout_ns(r) < at_ns &&
	    RULE(ZYZZYVA_UNSIGNED_BORNE))
		at_ns = r->uncovered_ns + timeout_ns(r);
	if (r->doubt > r->certified && r->doubt_ns + timeout_ns(r) < at_ns)
		at_ns = r->doubt_ns + timeout_ns(r);
	return at_ns;
}

uint64_t
leave_deadline(const struct zyzzyva *r)
{
	return r->hating ? TIME_NEVER : patience_ends(r);
}

/*
 * "<I-HATE-THE-PRIMARY, v>" (3.2): one replica alone does not stop the others. It is
 * signed, for who has f + 1 and leaves shows them to all, who leave then, too: nobody
 * is ever alone in a higher view, from which there is no way back.
 */
static void
hate_send(struct zyzzyva *r, struct outbox *out)
{
	struct peer *own = &r->peers[r->me.config.self];
	r->figures.hates++;
	if (own->hated == r->me.view + 1) {
		/* It may have felt otherwise meanwhile. */
		own->hated_ns = r->me.now_ns;
		r->hates_due |= replica_bit(r->me.config.self);
		return;
	}
	struct letter letter = {.type = ZYZZYVA_HATE, .proof = PROOF_SIGNATURE, .view = r->me.view};
	outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
}

/* Those that are not known to have left the view, too. */
static uint64_t
unconvinced(const struct zyzzyva *r)
{
	uint64_t mask = member_others(&r->me);
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->peers[i].status_view >= r->me.view)
			mask &= ~replica_bit(i);
	}
	return mask;
}

void
leave_explain(struct zyzzyva *r, struct outbox *out)
{
	uint64_t behind = unconvinced(r);
	for (uint32_t i = 0; i < HATES_PER_STEP && r->hates_due != 0; i++) {
		const struct peer *p = &r->peers[__builtin_ctzll(r->hates_due)];
		r->hates_due &= r->hates_due - 1;
		/* Of the present view's primary all may hear. */
		uint64_t to = p->hated > r->me.view ? member_others(&r->me) : behind;
		if (p->hated == 0 || to == 0)
			continue;
		struct send *s = outbox_send(out, to);
		*s->header = p->hate.header;
		memcpy(s->header + 1, p->hate.signature64, SIGNATURE_SIZE);
		s->flags = SEND_SEALED;
	}
}

/* Those who hate the primary of a view: lately, where it is the present one. */
static uint64_t
haters(const struct zyzzyva *r, uint64_t view)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct peer *p = &r->peers[i];
		bool lately = r->me.now_ns - p->hated_ns <= r->me.config.view_timeout_ns;
		/* Who hates a higher view's has left this one. */
		if (p->hated > view && (lately || view != r->me.view))
			mask |= replica_bit(i);
	}
	return mask;
}

/* As many of them as convince anybody. */
static uint64_t
enough_haters(const struct zyzzyva *r, uint64_t mask)
{
	while (quorum_count(mask) > quorum_weak(r->me.config.faults))
		mask &= mask - 1;
	return mask;
}

/* "If a replica receives f + 1 of them, it commits to a view change" (3.2). */
static void
hates_judge(struct zyzzyva *r, struct outbox *out)
{
	uint64_t mask = haters(r, r->me.view);
	if (quorum_count(mask) < quorum_weak(r->me.config.faults) || r->silent)
		return;
	if (r->hating && r->backoff < ZYZZYVA_BACKOFF_MAX)
		r->backoff++;
	leave_begin(r, r->me.view + 1,
	    "leaves view %lu for %lu, executed %lu: f + 1 hate its primary", out);
	r->hates_due = enough_haters(r, mask);
}

/* Also a view that does not begin is its primary's fault. */
void
leave_on_timer(struct zyzzyva *r, struct outbox *out)
{
	if (patience_ends(r) > r->me.now_ns)
		return;
	r->hating = true;
	r->hate_tries = 0;
	hate_send(r, out);
	hates_judge(r, out);
}

void
leave_tick(struct zyzzyva *r, struct outbox *out)
{
	/* Others may not know yet why we left. */
	if (!r->active && r->full_ns == 0 && r->me.view > 0 &&
	    r->tick % TICKS_PER_EXPLANATION == 0) {
		r->hates_due |= enough_haters(r, haters(r, r->me.view - 1));
		pom_repeat(r, out);
	}
	if (!r->hating)
		return;
	/* The request was executed after all: no hard feelings. */
	if (patience_ends(r) > r->me.now_ns) {
		r->hating = false;
		return;
	}
	if (is_turn(++r->hate_tries))
		hate_send(r, out);
	hates_judge(r, out);
}

enum verdict
leave_screen_hate(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (h->proof != PROOF_SIGNATURE || h->sender >= r->me.config.replicas_count ||
	    m->body_size != 0 || h->instance != 0 || h->view < r->me.view ||
	    (h->sender == r->me.config.self && !m->own))
		return VERDICT_DROP;
	const struct peer *p = &r->peers[h->sender];
	bool known = p->hated != 0 && memcmp(&p->hate.header, h, sizeof(*h)) == 0 &&
		     memcmp(p->hate.signature64, m->proof, SIGNATURE_SIZE) == 0;
	if (!m->own && !known)
		claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

void
leave_on_hate(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct peer *p = &r->peers[h->sender];
	if (h->view + 1 < p->hated || h->view < r->me.view)
		return;
	if (h->view + 1 > p->hated) {
		p->hate.header = *h;
		memcpy(p->hate.signature64, m->proof, SIGNATURE_SIZE);
	}
	p->hated = h->view + 1;
	p->hated_ns = r->me.now_ns;
	r->stirred = true;
	hates_judge(r, out);
}
