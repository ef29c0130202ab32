/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Votes that are likely not needed. q replicas are enough for a QC: those that are
 * counted from the leader on, itself, the one who collects the votes, and those after.
 * What the others prove and sign in a view helps nobody, and where replicas share
 * lcores it delays those for whom others wait. So they are spare: they keep the block
 * as it came from its leader, with the signatures of its QC unproven, and wait for the
 * next one. The QC in that is proof for both: f + 1 correct replicas voted for the
 * block, and proved what it carries.
 *
 * If nothing comes for as long as two views take, the spare one proves and votes after
 * all, so that no view fails because some other replica is slow. Nobody is spare while
 * anybody is suspect (pacemaker.c), nor after a TC.
 *
 * An unproven block carries no weight: nobody votes for it, what it names counts as
 * unnamed, it ends no branch, and it is not served to others. See replica.h. One core.
 */
#include "protocols/hotstuff/replica.h"

enum {
	PACES_PER_SPARE = 2, /* views that a spare replica waits for the next block */
	/* Nobody is spare for so many views once a late vote was needed: the wait is part of how
	   long views take, and would grow by itself where each of them needs such a vote. */
	VIEWS_NEEDED = 256,
	HEIGHTS_AHEAD = 2, /* of the highest QC: a view ahead, a block is no higher */
};

/* Not among the q that are counted from the leader on. Told by the view alone. */
static bool
is_spare(const struct hotstuff *r, uint32_t replica, uint64_t view)
{
	uint32_t n = r->me.config.replicas_count;
	uint32_t turn = (replica + n - leader_of(r, view)) % n;
	return turn >= r->me.quorum;
}

static bool
stands_by(const struct hotstuff *r, uint64_t view)
{
	return is_spare(r, r->me.config.self, view);
}

/*
 * Siblings wait for what each replica has committed: they could wait in a circle, each for
 * what the next one's leader keeps from its spare replica.
 */
uint64_t
spare_next(const struct hotstuff *r)
{
	uint64_t spare = 0;
	bool failed = r->high.head.view + 1 != r->view;
	if (has_siblings(r) || failed || r->suspects != 0 || r->backoff != 0 ||
	    r->me.config.stable_leader)
		return 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++)
		spare |= is_spare(r, i, r->view) ? replica_bit(i) : 0;
	return spare;
}

bool
spare_may_wait(const struct hotstuff *r, uint64_t view, const struct proposal *p)
{
	return stands_by(r, view) && p->head.has_tc == 0 && r->suspects == 0 && r->backoff == 0 &&
	       r->pace_ns != 0 && !r->silent && view >= r->view && view - r->view <= 1 &&
	       !r->me.config.stable_leader && view > r->spare.needed &&
	       r->spare.view <= r->high.head.view &&
	       p->head.height <= r->high.head.height + HEIGHTS_AHEAD;
}

/* What screening claims of a proposal beside its certificates. */
static uint32_t
claims_without_certificates(
    const struct hotstuff *r, const struct message *m, const struct proposal *p)
{
	struct batch_cursor cursor = batch_cursor(p->batch, p->batch_size);
	struct message request;
	uint32_t count = member_claims_count(m);
	while (batch_next(&cursor, &r->me.scope, &request))
		count += member_claims_count(&request);
	return count;
}

bool
spare_left_unproven(const struct hotstuff *r, const struct event *event, const struct proposal *p)
{
	const struct message *m = event->message;
	if (m->own || !stands_by(r, m->header->view) || p->head.has_tc != 0 ||
	    event->claims_count != claims_without_certificates(r, m, p))
		return false;
	/* Where nothing was left to be claimed, its vote is not needed any the more. */
	return !justify_is_kept(r, &p->justify) || spare_may_wait(r, m->header->view, p);
}

void
spare_wait(struct hotstuff *r, struct block *b)
{
	uint64_t wait_ns = PACES_PER_SPARE * r->pace_ns;
	b->unproven = true;
	r->spare.view = b->view;
	r->spare.until_ns = r->me.now_ns + (wait_ns < r->tick_ns ? wait_ns : r->tick_ns);
	memcpy(r->spare.digest32, b->digest32, sizeof(r->spare.digest32));
}

uint64_t
spare_deadline(const struct hotstuff *r)
{
	if (r->spare.view <= r->high.head.view)
		return TIME_NEVER;
	/* The next block may be put off: see propose.c. */
	uint64_t lead_ns = propose_leads(r) ? r->tick_ns / HOTSTUFF_LEAD_PART : 0;
	return r->spare.until_ns + lead_ns;
}

/* A FETCH to this replica itself, whose screening claims what was left out. */
void
spare_prove(struct hotstuff *r, struct outbox *out)
{
	const struct block *b = tree_find(&r->tree, r->spare.digest32);
	if (b == NULL || !b->unproven) {
		r->spare.view = 0;
		return;
	}
	/* Until it is proven: a burst may have no room for what is sent to oneself. */
	r->spare.until_ns = r->me.now_ns + r->tick_ns;
	struct word word = {
	    .type = HOTSTUFF_FETCH,
	    .view = b->view,
	    .seq = b->height,
	    .digest32 = b->digest32,
	};
	member_say(&r->me, own_bit(r), &word, out);
}

/* The unproven block that such a message names, and what it says; NULL: there is none. */
static struct block *
unproven_read(const struct hotstuff *r, const struct message *m, struct proposal *p)
{
	struct block *b = tree_find(&r->tree, m->header->digest);
	if (b == NULL || !b->unproven)
		return NULL;
	struct message kept = {
	    .header = m->header, .body = tree_body(&r->tree, b), .body_size = b->body_size};
	return block_read(&r->me, &kept, p) ? b : NULL;
}

/* Its signatures lie in the tree, which no step changes before they are proven. */
enum verdict
spare_screen(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	struct proposal p;
	if (unproven_read(r, m, &p) == NULL)
		return VERDICT_DROP;
	if (!justify_is_kept(r, &p.justify))
		qc_claim(&r->me, &p.justify, &r->votes[r->me.config.self], claims);
	return VERDICT_STEP;
}

/* The digest names the very bytes, so what was proven is what is here now. */
void
spare_on_proven(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	struct proposal p;
	struct block *b = unproven_read(r, m, &p);
	if (b == NULL)
		return;
	b->unproven = false;
	r->spare.view = 0;
	chain_on_qc(r, &p.justify, out);
	propose_accepted(r, b, out);
	vote_try(r, out);
	if (r->voted == b->view)
		r->spare.late = b->view;
}

void
spare_on_qc(struct hotstuff *r, const struct qc_head *head)
{
	if (head->view == r->spare.late && (head->signers & own_bit(r)) != 0)
		r->spare.needed = head->view + VIEWS_NEEDED;
}
