/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a view begins (SOSP'07, section 3.2): the history that was decided is walked
 * down from its top by bodies, each of which names the one before, until it meets
 * ours. What others claimed of it does not matter: digests do not lie. Then it is
 * confirmed; "upon receiving 2f + 1 matching VIEW-CONFIRM messages, a replica
 * begins the new view". VIEW-CONFIRM is a STATEMENT of the new view, so q are its
 * first commit certificate, by which those who missed the rest follow. See
 * decide.h for why that matters. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum { FETCH_LIKELY = 2 }; /* times that who should have it is asked before all others */

void
enter_begin(struct zyzzyva *r, const struct pending *p, struct outbox *out)
{
	check(p->view == r->me.view && !r->active);
	r->pending = *p;
	r->pending.present = true;
	r->stirred = true;
	enter_again(r);
	enter_walk(r, out);
}

bool
enter_may_follow(const struct zyzzyva *r)
{
	const struct pending *p = &r->pending;
	bool blocked =
	    slot_is_ordered(r, ledger_find(r, r->top + 1)) && r->top - r->stable < r->window_log;
	return !r->active || p->top <= r->top || blocked || r->hole_tries >= ZYZZYVA_HOLE_TRIES;
}

void
enter_again(struct zyzzyva *r)
{
	struct pending *p = &r->pending;
	p->linked = false;
	p->at = p->top;
	memcpy(p->at32, p->top32, 32);
	r->walk_due = p->present;
}

void
enter_fetch(struct zyzzyva *r, struct outbox *out)
{
	const struct pending *p = &r->pending;
	if (!p->present || p->linked || p->at <= r->stable || !ledger_holds(r, p->at))
		return;
	struct slot *s = ledger_slot(r, p->at);
	if (s->fetched_ns != 0 && r->me.now_ns - s->fetched_ns < r->tick_ns)
		return;
	uint64_t ask = member_others(&r->me);
	if (p->certified && s->fetches < FETCH_LIKELY && (p->proof.head.signers & ask) != 0)
		ask &= p->proof.head.signers;
	for (uint32_t skip = s->fetches % quorum_count(ask); skip > 0; skip--)
		ask &= ask - 1;
	struct word word = {
	    .type = ZYZZYVA_FETCH, .view = r->me.view, .seq = p->at, .digest32 = p->at32};
	member_say(&r->me, ask & -ask, &word, out);
	s->fetches++;
	s->fetched_ns = r->me.now_ns;
	r->figures.fetches++;
}

/* What a moved checkpoint leaves of the walk. False: it is a history without the checkpoint. */
static bool
walk_trim(struct zyzzyva *r, struct pending *p)
{
	const struct slot *s = ledger_find(r, r->stable);
	if (p->at >= r->stable)
		return true;
	if (p->top == r->stable)
		memcpy(p->at32, p->top32, 32);
	else if (s != NULL)
		memcpy(p->at32, s->chain32, 32);
	p->at = r->stable;
	return s != NULL;
}

/* True: it meets ours at p->at, and all its bodies above are here. */
static bool
walk(struct zyzzyva *r, struct pending *p, struct outbox *out)
{
	while (!history_is(r, p->at, p->at32)) {
		if (p->at <= r->stable) {
			/* Stable histories are part of what is decided: more than f lied. */
			p->present = false;
			r->figures.conflicts++;
			return false;
		}
		struct slot *s = ledger_slot(r, p->at);
		struct bank *bank = ledger_bank(s, p->at32);
		if (bank == NULL) {
			enter_fetch(r, out);
			return false;
		}
		if (bank->view < p->view)
			bank->view = p->view;
		memcpy(s->chain32, p->at32, 32);
		memcpy(p->at32, ledger_bytes(r, s, bank), 32);
		p->at--;
		s->fetches = 0;
		s->fetched_ns = 0;
	}
	return true;
}

/* The new history takes the place of ours from where they part; what we executed there is undone.
 */
static void
history_adopt(struct zyzzyva *r, const struct pending *p, struct outbox *out)
{
	speculate_undo(r, p->at, out);
	for (uint64_t seq = p->at + 1; seq <= p->top; seq++) {
		struct slot *s = ledger_slot(r, seq);
		memcpy(s->history32, s->chain32, 32);
		s->refused = false;
	}
	r->top = p->top;
}

/*
 * What it confirmed is part of what it says of this view's history. Where a certificate
 * has the view begin otherwise, or earlier, f + 1 correct replicas confirmed that, and
 * this one says nothing more: by its word of then, and one of what comes now, q could
 * seem to have two histories (decide.h). What is stable is beyond doubt.
 */
static uint64_t
entry_of_view(const struct zyzzyva *r)
{
	const struct confirm *c = &r->confirm;
	bool otherwise =
	    c->view == r->me.view && c->seq >= r->stable && !history_is(r, c->seq, c->history32);
	return otherwise ? ENTRY_NEVER : r->top;
}

static void
view_begins(struct zyzzyva *r, struct outbox *out)
{
	struct pending *p = &r->pending;
	uint64_t before = r->top;
	uint64_t fork = p->at;
	history_adopt(r, p, out);
	r->active = true;
	r->active_view = r->me.view;
	r->entry = entry_of_view(r);
	r->certified = r->top;
	r->covered = r->top;
	r->doubt = 0;
	r->betrayed = false;
	/* The published protocol knows no certificate of a view's beginning. */
	if (RULE(ZYZZYVA_OLD_CERTIFICATE_WINS))
		r->held = p->proof;
	p->present = false;
	r->decided = false;
	r->offered.view = 0;
	r->wanted = 0;
	r->new_view_due = false;
	r->change_due = false;
	r->full_ns = 0;
	r->view_batches = 0;
	r->proposed = r->top;
	r->progress_ns = r->me.now_ns;
	r->requests.head_ns = r->me.now_ns;
	r->stirred = true;
	r->figures.new_views++;
	orders_requeue(r);
	outbox_note(out, "enters view %lu at %lu; its history was the same up to %lu", r->me.view,
	    r->top, fork < before ? fork : before);
	stability_vote(r, out);
	orders_advance(r, out);
}

/*
 * Within a view: q replicas have this history. Ours, where it is another, was never
 * complete and will not be, for no other certificate of this view can be: f + 1
 * correct replicas have signed this one, and changed to it only by a certificate, too.
 */
static void
history_follows(struct zyzzyva *r, struct outbox *out)
{
	struct pending *p = &r->pending;
	uint64_t before = r->top;
	bool fork = p->at < before;
	check(p->view == r->me.view && p->certified);
	history_adopt(r, p, out);
	p->present = false;
	if (fork) {
		r->figures.forks++;
		/* What it stated of the other history it will not contradict in this view. */
		if (before >= r->entry)
			r->entry = before + 1;
		r->covered = r->certified;
		r->doubt = 0;
		for (uint64_t seq = p->at + 1; seq <= before; seq++)
			ledger_slot(r, seq)->ordered = false;
		betrayal_found(r, NULL, out);
	}
	r->hole_ns = TIME_NEVER;
	r->hole_tries = 0;
	r->progress_ns = r->me.now_ns;
	statement_certified(r, &p->proof.head, (const uint8_t *)p->proof.signatures64, out);
	orders_advance(r, out);
}

void
enter_walk(struct zyzzyva *r, struct outbox *out)
{
	struct pending *p = &r->pending;
	r->walk_due = false;
	if (!p->present || !enter_may_follow(r) || (r->active && (r->moving || r->stranded)))
		return;
	if (r->active && history_is(r, p->top, p->top32)) {
		p->present = false;
		if (p->top > r->certified)
			statement_certified(
			    r, &p->proof.head, (const uint8_t *)p->proof.signatures64, out);
		return;
	}
	if (p->top < r->stable || !walk_trim(r, p)) {
		p->present = false; /* a later certificate leads on */
		return;
	}
	/* Above the log: the state that leads there has to come first. */
	if (!ledger_holds(r, p->top))
		return;
	p->linked = p->linked || walk(r, p, out);
	if (!p->linked)
		return;
	if (r->active) {
		history_follows(r, out);
		return;
	}
	struct slot *s = ledger_slot(r, p->top);
	if (!p->certified && r->confirm.view != p->view && !r->silent) {
		r->confirm = (struct confirm){.view = p->view, .seq = p->top};
		memcpy(r->confirm.history32, p->top32, 32);
		r->figures.confirms++;
		statement_say(r, s, p->top32, r->me.everybody, out);
	}
	if (!p->certified && statement_gather(r, s, p->view, p->top32, &p->proof))
		p->certified = true;
	if (p->certified)
		view_begins(r, out);
}

/* ---- certificates ------------------------------------------------------------- */

static struct pending
pending_of(const struct commit_head *head, const uint8_t *signatures64)
{
	struct pending p = {
	    .present = true, .view = head->view, .top = head->seq, .certified = true};
	memcpy(p.top32, head->history32, 32);
	p.proof.head = *head;
	memcpy(p.proof.signatures64, signatures64, certificate_signatures_size(head->signers));
	return p;
}

/* Of this view: it is on our history, or there is another that q have, or more of it. */
static void
certificate_here(struct zyzzyva *r, const struct commit_head *head, const uint8_t *signatures64,
    struct outbox *out)
{
	struct pending *p = &r->pending;
	if (history_is(r, head->seq, head->history32)) {
		if (head->seq > r->certified)
			statement_certified(r, head, signatures64, out);
		return;
	}
	if (head->seq > r->top) {
		replica_hear(r, head->seq);
		hole_note(r);
	}
	if (head->seq <= r->certified || r->stranded || !ledger_holds(r, head->seq) ||
	    (replica_leads(r) && !r->silent) || !RULE(ZYZZYVA_FORK_KEPT) ||
	    (p->present && p->top >= head->seq))
		return;
	*p = pending_of(head, signatures64);
	enter_again(r);
}

void
enter_certificate(struct zyzzyva *r, const struct commit_head *head, const uint8_t *signatures64,
    struct outbox *out)
{
	const struct pending *old = &r->pending;
	if (head->view < r->me.view)
		return;
	r->stirred = true;
	if (r->active && head->view == r->me.view) {
		certificate_here(r, head, signatures64, out);
		return;
	}
	if (old->present && old->view == head->view && old->certified && ledger_holds(r, old->top))
		return;
	struct pending p = pending_of(head, signatures64);
	if (p.view > r->me.view) {
		leave_begin(
		    r, p.view, "leaves view %lu for %lu, executed %lu: that has begun", out);
		r->change_due = false;
	}
	enter_begin(r, &p, out);
}

enum verdict
enter_screen_certificate(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct commit_head *head = (const void *)m->body;
	if (m->header->proof != PROOF_NONE || m->body_size < sizeof(*head) ||
	    !certificate_signers_fit(&r->me, head->signers) ||
	    m->body_size != sizeof(*head) + certificate_signatures_size(head->signers) ||
	    head->view < r->me.view ||
	    (head->view == r->me.view && r->active && head->seq <= r->certified))
		return VERDICT_DROP;
	commit_claim(&r->me, head, (const uint8_t *)(head + 1), claims);
	return VERDICT_STEP;
}
