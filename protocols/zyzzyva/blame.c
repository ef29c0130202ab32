/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the primary owes, and what it is blamed for: holes in its sequence, and
 * two ORDER-REQs where there may be one (SOSP'07, sections 3.1 and 3.2). See
 * replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum { HOLES_PER_TICK = 128 }; /* slots that one replica is sent */

/* ---- holes ------------------------------------------------------------------- */

/* What was only overtaken comes by itself. */
void
hole_note(struct zyzzyva *r)
{
	if (r->hole_ns == TIME_NEVER)
		r->hole_ns = r->me.now_ns + r->tick_ns / 16;
}

/*
 * "it [...] sends a <FILL-HOLE, v, max_n + 1, n, i> message to the primary, and
 * starts a timer. [...] if the timer expires, [it] broadcasts the FILL-HOLE
 * message to all other replicas" (3.1).
 */
void
hole_ask(struct zyzzyva *r, struct outbox *out)
{
	/* Where the next one is here and does not follow, the one before is not as others have it.
	 */
	const struct slot *s = ledger_find(r, r->top + 1);
	bool differs = slot_is_ordered(r, s) && s->refused && r->top > r->stable;
	bool lost = r->hole_tries < ZYZZYVA_HOLE_TRIES;
	uint64_t primary = replica_bit(replica_primary(r, r->me.view));
	uint64_t to = r->hole_tries == 0 && !differs ? primary : r->me.everybody;
	to &= member_others(&r->me);
	r->hole_ns = r->me.now_ns + patience_ns(r->tick_ns, r->hole_tries);
	r->hole_tries++;
	if (to == 0)
		return;
	r->figures.fill_holes++;
	struct word word = {
	    .type = ZYZZYVA_FILL_HOLE, .view = r->me.view, .seq = differs ? r->top : r->top + 1};
	member_say(&r->me, to, &word, out);
	if (lost)
		return;
	/* What they sent is not good here: a certificate is, and bodies by their digests. */
	word.type = ZYZZYVA_VOUCH;
	word.seq = r->heard;
	r->walk_due |= r->pending.present;
	if (r->heard > r->top)
		member_say(&r->me, member_others(&r->me), &word, out);
}

enum verdict
hole_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (!member_proof_fits(&r->me, h) || h->sender == r->me.config.self || m->body_size != 0 ||
	    h->view != r->me.view || !ledger_holds(r, h->seq))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

void
hole_on_message(struct zyzzyva *r, const struct message *m)
{
	const struct message_header *h = m->header;
	struct peer *p = &r->peers[h->sender];
	if (h->view != r->me.view || !r->active || p->answer_seq != 0)
		return;
	/* A bounded rate: what went to it a moment ago is under way. */
	bool again = p->hole_ns != 0 && r->me.now_ns - p->hole_ns < r->tick_ns / 4;
	uint64_t first = again && h->seq < p->hole_end ? p->hole_end : h->seq;
	uint32_t left = ration_left(r, &p->holes, HOLES_PER_TICK);
	if (first > r->top || left == 0)
		return;
	if (!again)
		p->hole_ns = r->me.now_ns;
	p->answer_seq = first;
	p->answer_end = r->top + 1 - first > left ? first + left : r->top + 1;
	p->hole_end = p->answer_end;
	p->holes.count += (uint32_t)(p->answer_end - first);
	r->answers |= replica_bit(h->sender);
}

/* ---- witnesses ----------------------------------------------------------------- */

/*
 * A client that has not heard from all makes replicas compare: the paper has the
 * client look for two ORDER-REQs that differ (step 4d), here replicas do, by what
 * the primary signed.
 */
void
witness_send(struct zyzzyva *r, const struct signed_copy *copy, struct outbox *out)
{
	r->figures.witnesses++;
	struct letter letter = {
	    .type = ZYZZYVA_WITNESS,
	    .proof = r->me.config.protocol_proof,
	    .body_size = sizeof(*copy),
	    .view = r->me.view,
	    .seq = copy->header.seq,
	};
	uint8_t *body =
	    outbox_write(out, outbox_send(out, member_others(&r->me)), &r->me.stamp, &letter);
	memcpy(body, copy, sizeof(*copy));
}

/* Is it what the primary of this view signs, by what can be seen of it? */
static bool
copy_fits(const struct zyzzyva *r, const struct signed_copy *c)
{
	const struct message_header *h = &c->header;
	return (h->type == ZYZZYVA_ORDER_REQ || h->type == ZYZZYVA_STATEMENT) &&
	       h->view == r->me.view && h->sender == replica_primary(r, h->view) &&
	       h->proof == PROOF_SIGNATURE && h->cluster == r->me.config.cluster &&
	       h->protocol == r->me.config.protocol && h->instance == 0 &&
	       h->version == MESSAGE_VERSION;
}

enum verdict
witness_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct signed_copy *c = (const void *)m->body;
	struct signed_copy own;
	if (!member_proof_fits(&r->me, m->header) || m->body_size != sizeof(*c) ||
	    !copy_fits(r, c) || !ledger_holds(r, c->header.seq) || replica_leads(r))
		return VERDICT_DROP;
	/* What is known to be signed tells nothing, and costs no signature. */
	if (cover_find(r, c->header.seq, &own) && digest_equal(own.header.digest, c->header.digest))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	signature_claim(claims, c->header.sender, &c->header, c->signature64);
	return VERDICT_STEP;
}

void
witness_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct signed_copy *c = (const void *)m->body;
	if (!copy_fits(r, c) || !ledger_holds(r, c->header.seq))
		return;
	if (c->header.type == ZYZZYVA_STATEMENT)
		statement_take(r, &c->header, c->signature64, out);
	else
		cover_seen(r, c, out);
}

/*
 * What it told us is proof for us alone: "a correct primary [...] assigns" one order.
 * f + 1 who know of it change the view; fewer are told by others what came of it.
 */
void
betrayal_found(struct zyzzyva *r, const struct signed_copy *copy, struct outbox *out)
{
	if (r->betrayed || !r->active)
		return;
	r->betrayed = true;
	r->stirred = true;
	r->figures.betrayals++;
	r->figures.conflicts++;
	outbox_note(out, "hates the primary of view %lu, executed %lu: it told others otherwise",
	    r->me.view, r->executed, 0);
	if (copy != NULL)
		witness_send(r, copy, out);
}

/* ---- proof of misbehaviour ------------------------------------------------------- */

/*
 * "the client [...] sends a POM message to all replicas, which then initiate a
 * view change" (3.1, step 4d). Each that learns of it tells the others.
 */
static void
pom_send(const struct zyzzyva *r, uint64_t view, struct outbox *out)
{
	struct letter letter = {
	    .type = ZYZZYVA_POM,
	    .proof = r->me.config.protocol_proof,
	    .body_size = sizeof(r->pom),
	    .view = view,
	    .seq = r->pom[0].header.seq,
	};
	struct send *s = outbox_send(out, member_others(&r->me));
	memcpy(outbox_write(out, s, &r->me.stamp, &letter), r->pom, sizeof(r->pom));
}

void
pom_repeat(const struct zyzzyva *r, struct outbox *out)
{
	if (r->pom[0].header.type != 0 && r->pom[0].header.view + 1 == r->me.view)
		pom_send(r, r->me.view - 1, out);
}

void
pom_found(
    struct zyzzyva *r, const struct signed_copy *a, const struct signed_copy *b, struct outbox *out)
{
	struct signed_copy first = *a;
	r->figures.poms++;
	r->figures.conflicts++;
	if (r->silent)
		return;
	r->pom[1] = *b;
	r->pom[0] = first;
	pom_send(r, r->me.view, out);
	leave_begin(r, r->me.view + 1,
	    "leaves view %lu for %lu, executed %lu: its primary signed two histories", out);
}

enum verdict
pom_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct signed_copy *c = (const void *)m->body;
	if (!member_proof_fits(&r->me, m->header) || m->body_size != 2 * sizeof(*c) ||
	    m->header->sender == r->me.config.self)
		return VERDICT_DROP;
	if (!copy_fits(r, &c[0]) || !copy_fits(r, &c[1]) || c[0].header.seq != c[1].header.seq ||
	    digest_equal(c[0].header.digest, c[1].header.digest))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	for (uint32_t i = 0; i < 2; i++)
		signature_claim(claims, c[i].header.sender, &c[i].header, c[i].signature64);
	return VERDICT_STEP;
}

void
pom_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct signed_copy *c = (const void *)m->body;
	if (copy_fits(r, &c[0]))
		pom_found(r, &c[0], &c[1], out);
}
