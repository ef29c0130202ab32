/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From proposals to votes, and from votes to QCs (PODC'19, figure 4 and 5). See
 * replica.h. One core.
 */
#include "protocols/hotstuff/replica.h"

enum { CLAIMS_LOOKED_AT = 256 }; /* of a burst, for votes that are being proven */

/* ---- others' votes -------------------------------------------------------------- */

static bool
votes_alike(const struct message_header *a, const struct message_header *b)
{
	return a->type == b->type && a->view == b->view && a->seq == b->seq &&
	       digest_equal(a->digest, b->digest);
}

/* The own vote for this is under way: it comes back signed, with a later burst. */
static bool
own_comes(const struct hotstuff *r, const struct qc_head *head)
{
	return r->voted == head->view && digest_equal(r->voted32, head->digest32) &&
	       r->me.now_ns - r->voted_ns < r->tick_ns;
}

/*
 * Are there enough votes for the same without this one, with the own one and those of
 * the burst that are being proven just now? Then its signature is not worth the time,
 * unless one of those turns out to be false.
 */
static bool
is_surplus(const struct hotstuff *r, const struct message *m, const struct claims *claims)
{
	struct qc_head head = {.view = m->header->view, .height = m->header->seq};
	uint32_t first = claims->count > CLAIMS_LOOKED_AT ? claims->count - CLAIMS_LOOKED_AT : 0;
	memcpy(head.digest32, m->header->digest, sizeof(head.digest32));
	uint64_t voters = own_comes(r, &head) ? own_bit(r) : 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->votes[i].head.signers != 0 && qc_equal(&r->votes[i].head, &head))
			voters |= replica_bit(i);
	}
	for (uint32_t i = first; i < claims->count; i++) {
		const struct claim *c = &claims->list[i];
		if (c->kind == CLAIM_SIGNATURE && c->key < r->me.config.replicas_count &&
		    votes_alike(c->data, m->header))
			voters |= replica_bit(c->key);
	}
	return quorum_count(voters & ~replica_bit(m->header->sender)) >= r->me.quorum;
}

/* The votes of a view go to the next leader; to all, if that one may be silent. */
static uint64_t
collectors(const struct hotstuff *r, uint64_t view)
{
	return is_suspect(r, view + 1) ? r->me.everybody : replica_bit(leader_of(r, view + 1));
}

static bool
collects(const struct hotstuff *r, uint64_t view)
{
	return (collectors(r, view) & own_bit(r)) != 0;
}

enum verdict
vote_screen(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	if (h->proof != PROOF_SIGNATURE || h->sender >= r->me.config.replicas_count ||
	    m->body_size != 0 || h->seq == 0)
		return VERDICT_DROP;
	/* "late votes cost nothing": there is a QC of this view already, or a later one. */
	if (h->view <= r->high.head.view)
		return VERDICT_DROP;
	if (!m->own && !collects(r, h->view))
		return VERDICT_DROP;
	const struct vote *known = &r->votes[h->sender];
	if (known->head.signers != 0 && RULE(HOTSTUFF_VOTES_TWICE) &&
	    (known->head.view > h->view ||
		(known->head.view == h->view && digest_equal(known->head.digest32, h->digest))))
		return VERDICT_DROP;
	if (!m->own && !is_surplus(r, m, claims))
		claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

void
vote_on_message(struct hotstuff *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	const struct message_header *h = m->header;
	if (!m->own && event->claims_count == 0) {
		/* It was surplus, and so nobody knows whether it is good: it may be needed. */
		if (h->view > r->high.head.view)
			outbox_relay(out, outbox_send(out, own_bit(r)), h);
		else
			r->figures.votes_late++;
		return;
	}
	struct vote vote = {.head = {
				.view = h->view,
				.height = h->seq,
				.signers = replica_bit(h->sender),
			    }};
	memcpy(vote.head.digest32, h->digest, sizeof(vote.head.digest32));
	memcpy(vote.signature64, m->proof, sizeof(vote.signature64));
	vote_record(r, &vote, out);
}

/*
 * "as a leader: wait for (n - f) votes v from replicas: V <- {v | matchingMsg(v,
 * generic, curView)}; QC(V)". A set, one place a replica: its first vote of a
 * view sticks, and one in a higher view takes its place. It may come before the
 * proposal, so nothing is asked of the block.
 */
void
vote_record(struct hotstuff *r, const struct vote *vote, struct outbox *out)
{
	struct vote *place = &r->votes[__builtin_ctzll(vote->head.signers)];
	if (vote->head.view <= r->high.head.view) {
		r->figures.votes_late++;
		return;
	}
	bool again = place->head.signers != 0 && place->head.view == vote->head.view;
	if (again && !qc_equal(&place->head, &vote->head)) {
		r->figures.conflicts++;
		return;
	}
	if (place->head.signers != 0 && place->head.view > vote->head.view)
		return;
	place->times = again ? place->times + 1 : 1;
	if (again && RULE(HOTSTUFF_VOTES_TWICE))
		return;
	uint32_t times = place->times;
	*place = *vote;
	place->times = times;
	if (!qc_assemble(&r->me, r->votes, &vote->head, &r->made))
		return;
	r->figures.qcs++;
	struct qc qc = {.head = r->made.head, .signatures = r->made.signatures64[0]};
	chain_on_qc(r, &qc, out);
}

/* ---- the own vote ----------------------------------------------------------------- */

/*
 * safeNode(): "(node extends from lockedQC.node) or (qc.viewNumber >
 * lockedQC.viewNumber)" (figure 4). A block's parent is the very block that its
 * justify certifies, there is one QC a view, and views grow along a branch. So a
 * block that extends the locked one has a justify of the locked view or of a
 * later one; and one whose justify is of the locked view has the locked block as
 * its parent. Both halves together are: justify.view >= locked.view.
 */
static bool
block_is_safe(const struct hotstuff *r, const struct block *b)
{
	/*
	 * Two phases: a QC that one of q has seen may have been decided by others; who
	 * proposes after a TC has to build on the highest that its signers had.
	 */
	if (r->two_phase && b->justify.view < b->tc_high)
		return false;
	return b->justify.view >= r->locked.view || !RULE(HOTSTUFF_LOCK_IGNORED);
}

static void
vote_send(struct hotstuff *r, const struct block *b, uint64_t to, struct outbox *out)
{
	struct letter letter = {
	    .type = HOTSTUFF_VOTE,
	    .proof = PROOF_SIGNATURE,
	    .instance = r->me.config.instance,
	    .view = b->view,
	    .seq = b->height,
	};
	struct send *s = outbox_send(out, to);
	outbox_write(out, s, &r->me.stamp, &letter);
	memcpy(s->header->digest, b->digest32, sizeof(s->header->digest));
	/* The chain waits for it, and what it commits can be executed meanwhile. */
	out->urgent = true;
}

/* "vote only once a view", and never in one that was given up. */
static bool
may_vote(const struct hotstuff *r, const struct block *b)
{
	if (b->view > r->voted)
		return true;
	return !RULE(HOTSTUFF_VOTE_AGAIN) && b->view == r->voted && r->given_up < b->view &&
	       !digest_equal(r->voted32, b->digest32);
}

void
vote_try(struct hotstuff *r, struct outbox *out)
{
	if (r->silent || r->broken || r->candidate != r->view)
		return;
	const struct block *b = tree_find(&r->tree, r->candidate32);
	if (b == NULL || b->unproven || !b->vouched || !may_vote(r, b) || !block_is_safe(r, b))
		return;
	/* All ancestors are here, so whoever makes a QC has somewhere to fetch them from. */
	if (!chain_is_whole(r, b, out))
		return;
	r->voted = b->view;
	memcpy(r->voted32, b->digest32, sizeof(r->voted32));
	r->voted_ns = r->me.now_ns;
	/* The own copy comes back with the signature, which TIMEOUTs and QCs want. */
	vote_send(r, b, collectors(r, b->view) | own_bit(r), out);
}

void
vote_again(struct hotstuff *r, struct outbox *out)
{
	const struct block *b = tree_find(&r->tree, r->voted32);
	if (b == NULL || b->view != r->voted || b->view <= r->high.head.view ||
	    r->given_up >= b->view || leads(r, b->view + 1))
		return;
	vote_send(r, b, collectors(r, b->view) & ~own_bit(r), out);
	r->figures.resent++;
}
