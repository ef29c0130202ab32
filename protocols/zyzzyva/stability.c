/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints, which commit the history (SOSP'07, section 3.1 "garbage collection
 * and commit"). In two steps, for a certificate at one replica can still be
 * overridden: at each K-th seq all replicas exchange STATEMENTs, q of which are a
 * certificate; who has that votes. q votes mean that f + 1 correct replicas hold
 * it, one of whom is in every later view change's set. Votes are signed, so q of
 * them convince anybody.
 *   Signatures are most of what a checkpoint costs, and those of q make it. So at each
 * the others, in turn, are spare: they say nothing unless it is late. A spare replica
 * needs no certificate, for the votes of q are as good. Where it was late, all speak
 * for a while. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum {
	SPARE_PART = 4,	  /* of a tick: how long a checkpoint may take before spares speak */
	SPARE_HELPS = 16, /* checkpoints without spares, after one that was late */
};

/* ---- spares -------------------------------------------------------------------- */

static bool
is_spare(const struct zyzzyva *r, uint64_t seq)
{
	uint32_t n = r->me.config.replicas_count;
	return r->helps == 0 && (r->me.config.self + seq / r->interval) % n < n - r->me.quorum;
}

bool
stability_needs_not(const struct zyzzyva *r, const struct message_header *h)
{
	/* What others want to be certified is another matter. */
	return h->seq % r->interval == 0 && h->seq <= r->top && history_is(r, h->seq, h->digest) &&
	       is_spare(r, h->seq) && r->commits_count == 0 && r->doubt != h->seq &&
	       h->sender != replica_primary(r, r->me.view);
}

uint64_t
stability_deadline(const struct zyzzyva *r)
{
	return r->spared > r->stable && replica_speaks(r) ? r->spared_ns + r->tick_ns / SPARE_PART
							  : TIME_NEVER;
}

/* What was not listened to is asked for: a STATEMENT of each, or the certificate. */
void
stability_help(struct zyzzyva *r, struct outbox *out)
{
	uint64_t wanted = 0;
	r->helps = SPARE_HELPS;
	r->figures.helps++;
	r->spared = 0;
	for (uint64_t seq = r->stable + r->interval; seq <= r->executed; seq += r->interval) {
		if (seq <= r->certified || seq > r->top)
			continue;
		struct slot *s = ledger_slot(r, seq);
		statement_say(r, s, s->history32, r->me.everybody, out);
		wanted = seq;
	}
	struct word word = {.type = ZYZZYVA_VOUCH, .view = r->me.view, .seq = wanted};
	if (wanted != 0)
		member_say(&r->me, member_others(&r->me), &word, out);
	stability_vote(r, out);
}

static struct checkpoint_vote *
place_of(const struct zyzzyva *r, const struct checkpoint_vote *list, uint64_t seq)
{
	return (
	    struct checkpoint_vote *)(uintptr_t)&list[seq / r->interval % ZYZZYVA_CHECKPOINTS_KEPT];
}

/* ---- votes --------------------------------------------------------------------- */

enum verdict
stability_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (h->proof != PROOF_SIGNATURE || h->sender >= r->me.config.replicas_count ||
	    m->body_size != sizeof(struct checkpoint_pair) || h->instance != 0 ||
	    h->seq <= r->stable_seen.head.seq || h->seq % r->interval != 0)
		return VERDICT_DROP;
	if (h->sender == r->me.config.self && !m->own)
		return VERDICT_DROP;
	const struct checkpoint_vote *vote = place_of(r, r->votes[h->sender], h->seq);
	if (vote->head.signers != 0 &&
	    (vote->head.seq > h->seq || (vote->head.seq == h->seq && vote->view >= h->view &&
					    digest_equal(vote->head.digest32, h->digest))))
		return VERDICT_DROP;
	if (!m->own)
		claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

/*
 * The first vote of a replica for a checkpoint in a view sticks. A later view may
 * have another history there: then the former one cannot become stable any more.
 */
static bool
vote_record(struct zyzzyva *r, const struct message *m)
{
	const struct message_header *h = m->header;
	struct checkpoint_vote *vote = place_of(r, r->votes[h->sender], h->seq);
	if (vote->head.signers != 0 && vote->head.seq > h->seq)
		return false;
	if (vote->head.signers != 0 && vote->head.seq == h->seq && vote->view >= h->view) {
		bool differs = !digest_equal(vote->head.digest32, h->digest);
		r->figures.conflicts += differs && vote->view == h->view;
		return false;
	}
	vote->view = h->view;
	vote->head = (struct stable_head){.seq = h->seq, .signers = replica_bit(h->sender)};
	memcpy(vote->head.digest32, h->digest, 32);
	memcpy(&vote->head.pair, m->body, sizeof(vote->head.pair));
	memcpy(vote->signature64, m->proof, SIGNATURE_SIZE);
	return true;
}

static bool
votes_agree(const struct stable_head *a, const struct stable_head *b)
{
	if (!RULE(ZYZZYVA_STABLE_WEAK))
		return digest_equal(a->pair.state32, b->pair.state32);
	return digest_equal(a->digest32, b->digest32);
}

/* q votes for the same: a certificate. */
static void
votes_judge(struct zyzzyva *r, const struct stable_head *like, struct outbox *out)
{
	struct stable_certificate c = {.head = *like};
	uint32_t weak = quorum_weak(r->me.config.faults);
	uint32_t needed = RULE(ZYZZYVA_STABLE_WEAK) ? r->me.quorum : weak;
	uint32_t count = 0;
	c.head.signers = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count && count < needed; i++) {
		const struct checkpoint_vote *vote = place_of(r, r->votes[i], like->seq);
		if (vote->head.signers == 0 || vote->head.seq != like->seq ||
		    !votes_agree(&vote->head, like))
			continue;
		c.head.signers |= replica_bit(i);
		c.signatures[count].view = vote->view;
		memcpy(c.signatures[count++].signature64, vote->signature64, SIGNATURE_SIZE);
	}
	if (count == needed)
		stability_prove(r, &c.head, c.signatures, out);
}

void
stability_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	if (h->seq <= r->stable_seen.head.seq || !vote_record(r, m))
		return;
	struct stable_head like = place_of(r, r->votes[h->sender], h->seq)->head;
	r->stirred = true;
	votes_judge(r, &like, out);
}

static struct send *
vote_write(struct zyzzyva *r, const struct stable_head *head, uint64_t view, uint64_t to,
    struct outbox *out)
{
	struct letter letter = {
	    .type = BFT_CHECKPOINT,
	    .proof = PROOF_SIGNATURE,
	    .body_size = sizeof(head->pair),
	    .view = view,
	    .seq = head->seq,
	};
	struct send *send = outbox_send(out, to);
	uint8_t *body = outbox_write(out, send, &r->me.stamp, &letter);
	memcpy(body, &head->pair, sizeof(head->pair));
	return send;
}

void
stability_vote(struct zyzzyva *r, struct outbox *out)
{
	for (uint32_t i = 0; i < ZYZZYVA_CHECKPOINTS_KEPT; i++) {
		struct checkpoint_vote *own = &r->own[i];
		if (own->head.seq <= r->stable || own->head.seq > r->executed ||
		    own->head.seq > r->certified || own->head.signers != 0 || !replica_speaks(r) ||
		    is_spare(r, own->head.seq) ||
		    !history_is(r, own->head.seq, own->head.pair.history32))
			continue;
		/* One vote a view, whatever became of it; the same one needs no repetition. */
		const struct checkpoint_vote *before =
		    place_of(r, r->votes[r->me.config.self], own->head.seq);
		own->head.signers = replica_bit(r->me.config.self);
		bool voted = before->head.signers != 0 && before->head.seq >= own->head.seq;
		bool same =
		    memcmp(&before->head.pair, &own->head.pair, sizeof(own->head.pair)) == 0;
		if (!voted || (!same && before->view < r->me.view)) {
			vote_write(r, &own->head, r->me.view, r->me.everybody, out);
			r->figures.votes++;
		}
	}
}

void
stability_taken(struct zyzzyva *r, uint64_t seq, const uint8_t *state32, struct outbox *out)
{
	struct checkpoint_vote *own = place_of(r, r->own, seq);
	*own = (struct checkpoint_vote){.head = {.seq = seq}};
	memcpy(own->head.pair.state32, state32, 32);
	memcpy(own->head.pair.history32, history_at(r, seq), 32);
	r->helps -= r->helps > 0;
	if (is_spare(r, seq) && seq > r->stable) {
		if (r->spared <= r->stable)
			r->spared_ns = r->me.now_ns;
		r->spared = seq;
	} else {
		r->statement_due = seq;
	}
	stability_vote(r, out);
	stability_settle(r, out);
}

void
stability_state(struct zyzzyva *r, struct outbox *out)
{
	uint64_t seq = r->statement_due;
	r->statement_due = 0;
	if (!replica_speaks(r) || seq <= r->stable || seq > r->executed)
		return;
	struct slot *s = ledger_slot(r, seq);
	statement_say(r, s, s->history32, r->me.everybody, out);
}

void
stability_answer(struct zyzzyva *r, uint64_t stable, uint64_t to, struct outbox *out)
{
	for (uint32_t i = 0; i < ZYZZYVA_CHECKPOINTS_KEPT; i++) {
		const struct checkpoint_vote *vote = &r->votes[r->me.config.self][i];
		if (vote->head.signers == 0 || vote->head.seq <= stable || r->silent)
			continue;
		struct send *send = vote_write(r, &vote->head, vote->view, to, out);
		memcpy(send->header->digest, vote->head.digest32, 32);
		memcpy((uint8_t *)(send->header + 1) + sizeof(vote->head.pair), vote->signature64,
		    SIGNATURE_SIZE);
		send->flags = SEND_SEALED;
	}
	for (uint64_t seq = r->stable + r->interval; seq <= r->executed; seq += r->interval) {
		if (!replica_speaks(r) || seq > r->top || seq <= stable)
			continue;
		struct slot *s = ledger_slot(r, seq);
		statement_say(r, s, s->history32, to, out);
	}
}

/* ---- what is stable --------------------------------------------------------------- */

static void
stable_advance(struct zyzzyva *r, const struct stable_certificate *c, struct outbox *out)
{
	const struct stable_head *head = &c->head;
	check(head->seq > r->stable && head->seq <= r->executed);
	r->stable_proof = *c;
	memcpy(r->stable32, head->pair.history32, 32);
	r->stable = head->seq;
	if (r->certified < r->stable)
		r->certified = r->stable;
	if (r->top < r->stable)
		r->top = r->stable;
	cover_advance(r, r->stable);
	r->spared_ns = r->me.now_ns;
	r->figures.checkpoints++;
	r->stirred = true;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_STABLE;
	d->seq = head->seq;
}

void
stability_settle(struct zyzzyva *r, struct outbox *out)
{
	const struct stable_head *seen = &r->stable_seen.head;
	if (seen->seq <= r->stable || r->executed < seen->seq || r->moving)
		return;
	const struct checkpoint_vote *own = place_of(r, r->own, seen->seq);
	if (own->head.seq != seen->seq)
		return;
	if (memcmp(&own->head.pair, &seen->pair, sizeof(seen->pair)) != 0 ||
	    !history_is(r, seen->seq, seen->pair.history32)) {
		outbox_note(out,
		    "state or history differs from the stable checkpoint %lu: "
		    "fetching it",
		    seen->seq, 0, 0);
		r->stranded = true;
		stability_catch_up(r, out);
		return;
	}
	stable_advance(r, &r->stable_seen, out);
	/* The window has moved: what was held above it may be accepted. */
	orders_advance(r, out);
}

void
stability_prove(struct zyzzyva *r, const struct stable_head *head,
    const struct stable_signature *signatures, struct outbox *out)
{
	if (head->seq <= r->stable_seen.head.seq)
		return;
	r->stable_seen.head = *head;
	memcpy(r->stable_seen.signatures, signatures, certificate_stable_size(head->signers));
	r->stirred = true;
	stability_settle(r, out);
}

/* ---- for those who are behind --------------------------------------------------------- */

enum verdict
stability_screen_stable(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct stable_head *head = (const void *)m->body;
	if (m->header->proof != PROOF_NONE || m->body_size < sizeof(*head) ||
	    !certificate_signers_fit(&r->me, head->signers) ||
	    m->body_size != sizeof(*head) + certificate_stable_size(head->signers) ||
	    head->seq <= r->stable_seen.head.seq || head->seq % r->interval != 0)
		return VERDICT_DROP;
	stable_claim(&r->me, head, (const void *)(head + 1), claims);
	return VERDICT_STEP;
}

void
stability_on_stable(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct stable_head *head = (const void *)m->body;
	stability_prove(r, head, (const void *)(head + 1), out);
}

void
stability_catch_up(struct zyzzyva *r, struct outbox *out)
{
	const struct stable_head *target = &r->stable_seen.head;
	/* A transfer goes on until it is done, or until others have dropped what it is for. */
	if (target->seq == 0 || (target->seq <= r->executed && !r->stranded) ||
	    r->fetching == target->seq)
		return;
	r->fetch_proof = r->stable_seen;
	r->fetching = target->seq;
	r->moving = true;
	r->figures.transfers++;
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_TRANSFER;
	d->seq = target->seq;
	memcpy(d->digest, target->pair.state32, 32);
}

/* Its history is the one that q have: where ours is another, or shorter, it ends here. */
void
stability_fetched(struct zyzzyva *r, struct outbox *out)
{
	const struct stable_certificate *c = &r->fetch_proof;
	uint64_t seq = r->fetching;
	check(c->head.seq == seq && seq >= r->stable);
	speculate_replace(r, seq);
	if (!history_is(r, seq, c->head.pair.history32)) {
		/* What it stated of the other history it will not contradict in this view. */
		if (r->top > seq && r->top >= r->entry)
			r->entry = r->top + 1;
		r->top = seq;
		/* What was certified beyond it was of that history, too. */
		r->certified = seq;
		r->covered = seq;
	}
	r->executed = seq;
	r->delivered = seq;
	r->stranded = false;
	*place_of(r, r->own, seq) = (struct checkpoint_vote){
	    .head = {.seq = seq, .pair = c->head.pair, .signers = replica_bit(r->me.config.self)}};
	if (seq > r->stable)
		stable_advance(r, c, out);
}
