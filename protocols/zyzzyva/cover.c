/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primary's signature, off the path: an ORDER-REQ convinces its receiver alone,
 * by a MAC, and is executed. A history is a chain of digests, so one signature of h
 * at seq is one of every ORDER-REQ up to there. It is the primary's STATEMENT, sent
 * some time after the first ORDER-REQ that none covers, and at once to who asks.
 * Nothing that was decided depends on it (see decide.h); it is there to catch a
 * primary that tells one this and another that:
 *   - two signatures for one seq prove it to anybody (blame.c: POM);
 *   - one against what was accepted by MAC is proof for who accepted it, who hates
 *     the primary at once and shows the others what it has;
 *   - who is not given one for as long as a request may wait hates the primary, too.
 * Where it signs nothing that contradicts itself and some were told otherwise all the
 * same, clients get no answer, and ask again. Then there is a doubt: replicas state
 * what they have, and either q agree, and by their certificate those who were told
 * otherwise take that history (enter.c), or all correct ones hate the primary.
 * See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum { COVER_PART = 4 }; /* of a tick: how long an ORDER-REQ goes without a signature */

static uint64_t
cover_patience_ns(const struct zyzzyva *r)
{
	return r->tick_ns / COVER_PART;
}

uint64_t
cover_deadline(const struct zyzzyva *r)
{
	if (!replica_speaks(r) || !replica_leads(r) || r->top <= r->covered)
		return TIME_NEVER;
	uint64_t wanted_ns = commit_cover_at(r);
	uint64_t usual_ns = r->uncovered_ns + cover_patience_ns(r);
	return wanted_ns < usual_ns ? wanted_ns : usual_ns;
}

void
cover_send(struct zyzzyva *r, struct outbox *out)
{
	struct slot *s = ledger_slot(r, r->top);
	check(replica_leads(r));
	r->figures.covers++;
	statement_say(r, s, s->history32, r->me.everybody, out);
	cover_advance(r, r->top);
	commit_cover_begun(r);
}

/* What was lost is sent again only to who misses it. */
void
cover_ask(struct zyzzyva *r, struct outbox *out)
{
	if (!replica_speaks(r) || replica_leads(r) || r->top <= r->covered ||
	    r->me.now_ns - r->uncovered_ns < 2 * cover_patience_ns(r))
		return;
	struct word word = {.type = ZYZZYVA_VOUCH, .view = r->me.view, .seq = r->top};
	member_say(&r->me, replica_bit(replica_primary(r, r->me.view)), &word, out);
}

bool
cover_find(const struct zyzzyva *r, uint64_t seq, struct signed_copy *copy)
{
	const struct slot *s = ledger_find(r, seq);
	uint16_t primary = replica_primary(r, r->me.view);
	if (s == NULL)
		return false;
	const struct statement *t = ledger_statement(r, s, primary);
	if (t->present && t->view == r->me.view) {
		struct commit_head head = {.view = t->view, .seq = seq};
		memcpy(head.history32, t->history32, 32);
		statement_header(&r->me.config, &head, primary, &copy->header);
		memcpy(copy->signature64, t->signature64, SIGNATURE_SIZE);
		return true;
	}
	if (!slot_is_ordered(r, s) || s->order.proof != PROOF_SIGNATURE)
		return false;
	copy->header = s->order;
	memcpy(copy->signature64, ledger_proof(r, s), SIGNATURE_SIZE);
	return true;
}

/* It ordered another than it signed. */
void
cover_contradicts(
    struct zyzzyva *r, const struct slot *s, const struct signed_copy *copy, struct outbox *out)
{
	struct signed_copy own = {.header = s->order};
	if (!slot_is_ordered(r, s) || s->order.proof != PROOF_SIGNATURE ||
	    digest_equal(s->order.digest, copy->header.digest)) {
		betrayal_found(r, copy, out);
		return;
	}
	memcpy(own.signature64, ledger_proof(r, s), SIGNATURE_SIZE);
	pom_found(r, &own, copy, out);
}

void
cover_seen(struct zyzzyva *r, const struct signed_copy *copy, struct outbox *out)
{
	const struct message_header *h = &copy->header;
	const struct slot *s = ledger_find(r, h->seq);
	struct signed_copy own;
	if (h->view != r->me.view || !r->active || r->stranded || replica_leads(r) ||
	    h->seq <= r->stable || !ledger_holds(r, h->seq))
		return;
	if (cover_find(r, h->seq, &own) && !digest_equal(own.header.digest, h->digest)) {
		pom_found(r, &own, copy, out);
	} else if (h->seq <= r->top && history_is(r, h->seq, h->digest)) {
		cover_advance(r, h->seq);
	} else if (h->seq <= r->top ||
		   (slot_is_ordered(r, s) && !digest_equal(s->order.digest, h->digest))) {
		cover_contradicts(r, s, copy, out);
	} else {
		/* The primary ordered it, and kept it from us, or it was lost. */
		replica_hear(r, h->seq);
		r->stirred = true;
		hole_note(r);
	}
}

/* ---- doubts ------------------------------------------------------------------------- */

static uint64_t
silent_about(const struct zyzzyva *r, const struct slot *s)
{
	uint64_t mask = member_others(&r->me);
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct statement *t = ledger_statement(r, s, i);
		if (t->present && t->view == r->me.view)
			mask &= ~replica_bit(i);
	}
	return mask;
}

void
doubt_ask(struct zyzzyva *r, struct outbox *out)
{
	struct signed_copy copy;
	if (!replica_speaks(r) || r->doubt <= r->certified || r->doubt > r->top ||
	    !is_turn(r->doubt_tries++))
		return;
	struct slot *s = ledger_slot(r, r->doubt);
	statement_say(r, s, s->history32, r->me.everybody, out);
	struct word word = {.type = ZYZZYVA_VOUCH, .view = r->me.view, .seq = s->seq};
	uint64_t to = silent_about(r, s);
	if (to != 0)
		member_say(&r->me, to, &word, out);
	if (cover_find(r, s->seq, &copy))
		witness_send(r, &copy, out);
}

/* One at a time, and one a tick: what is certified then covers most that others doubt. */
void
doubt_begin(struct zyzzyva *r, uint64_t seq, struct outbox *out)
{
	if (!RULE(ZYZZYVA_DOUBT_BORNE) || !replica_speaks(r) || seq <= r->certified ||
	    seq > r->top || r->doubt > r->certified ||
	    (r->doubt_ns != 0 && r->me.now_ns - r->doubt_ns < r->tick_ns))
		return;
	r->doubt = seq;
	r->doubt_ns = r->me.now_ns;
	r->doubt_tries = 0;
	r->figures.doubts++;
	doubt_ask(r, out);
}
