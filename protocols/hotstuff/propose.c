/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From requests to blocks: what a leader proposes and when, and what becomes of
 * a proposal that comes in (PODC'19, section 5 and figure 5). See replica.h.
 * One core.
 *
 * A leader goes on as soon as it may: at once where blocks with requests wait to
 * be committed (an empty block pushes them on), else when there are requests. A
 * chain without work stops, and its last QC stays with the next leader.
 */
#include "protocols/hotstuff/replica.h"

enum {
	VIEWS_KEPT = 8, /* proposals of so many views ago may still be of use */
	LULL_PART = 4,	/* of a view: so long do no requests come, where no more are on their way */
	CLUMP_PART = 32, /* of a tick: waited for requests, for each instance that takes its turn */
	CROWD_BLOCKS = 6, /* full blocks: whose clients are as many has enough for the next one */
};

/* ---- whose turn it is ----------------------------------------------------------------- */

/* The view of the proposal that comes next, as far as this replica can tell. */
static uint64_t
view_next(const struct hotstuff *r)
{
	bool over = r->candidate == r->view || r->proposed == r->view || r->given_up >= r->view;
	return r->view + over;
}

/*
 * The view whose leader should have a request that comes now. While the chain
 * runs, the next block is under way before anything could reach its leader. And
 * one whose last view failed may be silent.
 */
static uint64_t
view_reached(const struct hotstuff *r)
{
	bool runs = r->filled > 0 && r->given_up < r->view;
	uint64_t view = view_next(r) + runs;
	uint64_t tenure = hotstuff_tenure(&r->me.config);
	for (uint32_t i = 0; i < r->me.config.replicas_count && is_suspect(r, view); i++)
		view = (view / tenure + 1) * tenure;
	return view;
}

uint64_t
propose_hint(const struct hotstuff *r)
{
	return view_reached(r) / hotstuff_tenure(&r->me.config);
}

/*
 * Who should have a request that came here: this replica, if it can propose it
 * next, else whoever can. One that came a moment too late for the own block is
 * handed on at once, for the own turn may be far away.
 */
static uint64_t
orderer(const struct hotstuff *r)
{
	if (leads(r, view_next(r)))
		return own_bit(r);
	return replica_bit(leader_of(r, view_reached(r)));
}

/* To everybody, where it is the turn of one who may be silent: f + 1 timers have to run. */
static uint64_t
relay_targets(const struct hotstuff *r)
{
	uint64_t view = view_next(r);
	return is_suspect(r, view) ? member_others(&r->me) : replica_bit(leader_of(r, view));
}

void
propose_on_request(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	uint64_t to = orderer(r);
	const struct pool *pool = &r->requests.pool;
	uint32_t before = pool->last;
	requests_take(&r->requests, m, to, out);
	bool kept = pool->last != before && pool->last != 0;
	if (!kept || to != own_bit(r))
		return;
	if (r->filled == 0 && is_suspect(r, view_next(r)))
		outbox_relay(
		    out, outbox_send(out, relay_targets(r)), pool_request(pool, pool->last - 1));
}

/*
 * The chain is about to stop, as far as others can see, and requests wait here
 * that only this replica knows of: the next leader hears of the oldest.
 */
void
propose_relay(struct hotstuff *r, struct outbox *out)
{
	const struct pool *pool = &r->requests.pool;
	uint64_t to = relay_targets(r);
	bool large = r->me.config.request_size_max > ENVELOPE_SIZE_MIN;
	uint32_t left = large ? 1 : HOTSTUFF_RELAYS_MAX;
	if (to == own_bit(r))
		return;
	for (uint32_t at = pool->unordered_first; at != 0 && left > 0;
	     at = pool->cells[at - 1].next) {
		if (!pool_is_free(pool, at - 1))
			continue;
		outbox_relay(out, outbox_send(out, to), pool_request(pool, at - 1));
		r->figures.relayed++;
		left--;
	}
}

/* ---- the own blocks --------------------------------------------------------------------- */

/* The height of the block that would be proposed. */
static uint64_t
height_next(const struct hotstuff *r)
{
	return r->high.head.height + 1;
}

static bool
may_propose(const struct hotstuff *r)
{
	if (!leads(r, r->view) || r->proposed >= r->view || r->given_up >= r->view ||
	    r->view <= r->floor || r->silent || r->broken || r->checkpoints.moving)
		return false;
	/* What the parent holds must be known, or it would be proposed again. */
	bool parent = digest_equal(r->tip32, r->high.head.digest32) && r->whole;
	return parent && height_next(r) > r->committed &&
	       height_next(r) <= r->checkpoints.stable + 2 * r->interval + r->reserve;
}

/* May the next block hold requests? Not above 2K, nor when execution does not keep up. */
static bool
may_fill(const struct hotstuff *r)
{
	return height_next(r) <= r->checkpoints.stable + 2 * r->interval &&
	       r->committed - r->executed < r->me.config.window;
}

/* "The tail": blocks, or siblings, wait for others to stand on them; or somebody for a view. */
static bool
tail_waits(const struct hotstuff *r)
{
	bool failed = r->high.head.view + 1 != r->view;
	return r->filled > 0 || r->frontier > r->committed || failed;
}

bool
propose_leads(const struct hotstuff *r)
{
	return has_siblings(r) && r->committed > r->executed && r->frontier <= r->committed;
}

/* No view has failed of late: a leader may take its time, others' timers are far off. */
static bool
views_go_well(const struct hotstuff *r)
{
	return r->high.head.view + 1 == r->view && r->suspects == 0 && r->backoff == 0;
}

/*
 * This instance is ahead of its siblings: what it has committed waits for theirs. Who
 * goes on then with blocks that are not full, or empty, pays signatures for what
 * nobody gets the sooner, and the siblings have to reach those heights, too. So such a
 * block is put off until they have come here, or are ahead, but not for long: others'
 * timers run.
 */
static uint64_t
lead_deadline(const struct hotstuff *r)
{
	if (!propose_leads(r) || !views_go_well(r))
		return 0;
	return r->timer_ns + r->tick_ns / HOTSTUFF_LEAD_PART;
}

/*
 * Requests come in clumps where siblings have to be waited for before they are executed,
 * and between two of them a leader finds few. Where clients are enough for several full
 * blocks, it is worth while to wait for the next clump: the longer, the more siblings
 * there are, for views take as much longer then.
 */
static uint64_t
clump_deadline(const struct hotstuff *r)
{
	bool many = r->requests.crowd >= CROWD_BLOCKS * r->me.config.batch_count_max;
	bool stopped = r->filled == 0 && r->requests.pool.unordered == 0;
	if (!has_siblings(r) || !many || stopped || !views_go_well(r))
		return 0;
	uint64_t wait_ns = r->me.config.instances_count * r->tick_ns / CLUMP_PART;
	uint64_t most_ns = r->tick_ns / 2;
	return r->timer_ns + (wait_ns < most_ns ? wait_ns : most_ns);
}

/*
 * Where each reply is signed, clients hear one after the other of what was executed
 * together, and ask again so: who takes the first of them at once leaves the others for
 * blocks of their own, each with signatures to be made and checked by all. So a block
 * that is not full waits while they come.
 */
static uint64_t
partial_deadline(const struct hotstuff *r)
{
	const struct requests *q = &r->requests;
	if (r->me.config.reply_proof != PROOF_SIGNATURE || q->pool.unordered >= q->crowd ||
	    !views_go_well(r))
		return 0;
	uint64_t lull_ns = requests_newest_ns(q) + r->pace_ns / LULL_PART;
	uint64_t end_ns = r->timer_ns + r->tick_ns / HOTSTUFF_LEAD_PART;
	return lull_ns < end_ns ? lull_ns : end_ns;
}

uint64_t
propose_deadline(const struct hotstuff *r)
{
	if (!may_propose(r))
		return TIME_NEVER;
	bool fill = may_fill(r) && r->requests.pool.unordered > 0;
	uint64_t clump_ns = clump_deadline(r);
	uint64_t lead_ns = lead_deadline(r);
	uint64_t siblings_ns = clump_ns > lead_ns ? clump_ns : lead_ns;
	if (!fill)
		return tail_waits(r) ? siblings_ns : TIME_NEVER;
	if (requests_are_plenty(&r->requests))
		return 0;
	if (r->me.config.batch_adaptive) {
		uint64_t partial_ns = partial_deadline(r);
		return siblings_ns > partial_ns ? siblings_ns : partial_ns;
	}
	return requests_oldest_ns(&r->requests) + r->me.config.batch_timeout_ns;
}

/*
 * onBeat and onPropose: "bnew <- createLeaf(bleaf, cmd, qchigh, ...); broadcast".
 * The own copy comes back with the digest, like everybody's.
 */
void
propose_block(struct hotstuff *r, struct outbox *out)
{
	uint32_t batch_size = 0;
	bool has_tc = r->high.head.view + 1 != r->view;
	uint32_t count = may_fill(r) ? requests_measure(&r->requests, &batch_size) : 0;
	struct block_head head = {
	    .view = r->view,
	    .height = height_next(r),
	    .justify = r->high.head,
	    .has_tc = has_tc,
	};
	uint32_t certificates = quorum_count(r->high.head.signers) * SIGNATURE_SIZE +
				(has_tc ? tc_kept_size(&r->tc) : 0);
	struct letter letter = {
	    .type = HOTSTUFF_PROPOSAL,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = (uint32_t)sizeof(head) + certificates + batch_size,
	    .view = head.view,
	    .seq = head.height,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	r->untold = false;
	r->untold_spare = 0;
	memcpy(body, &head, sizeof(head));
	body = qc_write(&r->high, body + sizeof(head));
	if (has_tc)
		body = tc_write(&r->tc, body);
	if (count > 0)
		requests_write(&r->requests, body, count);
	out->urgent = true;
	r->proposed = r->view;
	r->figures.proposals++;
	r->figures.empty_blocks += count == 0;
}

/* ---- proposals ------------------------------------------------------------------------------ */

static void
proposal_send(const struct hotstuff *r, const struct block *b, uint64_t to, struct outbox *out)
{
	struct letter letter = {
	    .type = HOTSTUFF_PROPOSAL,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = b->body_size,
	    .view = b->view,
	    .seq = b->height,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, to), &r->me.stamp, &letter);
	memcpy(body, tree_body(&r->tree, b), b->body_size);
}

void
propose_again(struct hotstuff *r, struct outbox *out)
{
	const struct block *b = tree_find(&r->tree, r->candidate32);
	if (b == NULL || r->proposed != r->view || r->candidate != r->view ||
	    r->given_up >= r->view)
		return;
	proposal_send(r, b, member_others(&r->me), out);
	r->figures.resent++;
}

void
claims_add_qc(const struct hotstuff *r, const struct qc *qc, struct claims *claims)
{
	if (!chain_knows(r, &qc->head))
		qc_claim(&r->me, qc, &r->votes[r->me.config.self], claims);
}

/* One that is no higher than what is known leads nowhere: it is not looked at. */
void
claims_add_tc(const struct hotstuff *r, const struct tc *tc, struct claims *claims)
{
	if (tc->head.view > r->tc.head.view)
		tc_claim(&r->me, tc, claims);
}

bool
justify_is_kept(const struct hotstuff *r, const struct qc *qc)
{
	if (!RULE(HOTSTUFF_VIEW_UNSIGNED) && chain_knows(r, &qc->head))
		return true;
	return qc_equal(&r->high.head, &qc->head) && r->high.head.signers == qc->head.signers &&
	       memcmp(r->high.signatures64, qc->signatures,
		   quorum_count(qc->head.signers) * SIGNATURE_SIZE) == 0;
}

/* It is made of TIMEOUTs that came here, too, or is the very one that is kept. */
static bool
tc_is_kept(const struct hotstuff *r, const struct tc *tc)
{
	const struct tc_entry *entry = (const void *)tc->entries;
	uint32_t count = quorum_count(tc->head.signers);
	if (r->tc.head.view == tc->head.view && r->tc.head.signers == tc->head.signers &&
	    memcmp(r->tc.entries, entry, count * sizeof(*entry)) == 0)
		return true;
	for (uint64_t rest = tc->head.signers; rest != 0; rest &= rest - 1, entry++) {
		const struct timeout *known = &r->timeouts[__builtin_ctzll(rest)];
		if (!known->present || memcmp(&known->entry, entry, sizeof(*entry)) != 0)
			return false;
	}
	return true;
}

/*
 * Whoever votes for a block vouches for the very bytes of its certificates: those who
 * fetch it later do not prove them (sync_screen_block). So it is not enough that what
 * they say is known.
 */
static void
claims_add_certificates(const struct hotstuff *r, const struct proposal *p, struct claims *claims)
{
	if (!justify_is_kept(r, &p->justify))
		qc_claim(&r->me, &p->justify, &r->votes[r->me.config.self], claims);
	if (p->head.has_tc && !tc_is_kept(r, &p->tc))
		tc_claim(&r->me, &p->tc, claims);
}

/*
 * "The proposer is the leader of that view". What certificates must prove comes
 * last, so that the requests' claims have known places.
 */
enum verdict
propose_screen(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	struct proposal p;
	if (!member_proof_fits(&r->me, h) || h->sender != leader_of(r, h->view) ||
	    h->view + VIEWS_KEPT < r->view || tree_find(&r->tree, h->digest) != NULL)
		return VERDICT_DROP;
	if (!block_read(&r->me, m, &p))
		return VERDICT_DROP;
	if (!m->own)
		claims_add_message(claims, m, h->sender, r->me.config.self);
	if (requests_screen_batch(&r->requests, p.batch, p.batch_size, m->own ? NULL : claims) ==
	    VERDICT_DROP)
		return VERDICT_DROP;
	if (!m->own && !spare_may_wait(r, h->view, &p))
		claims_add_certificates(r, &p, claims);
	return VERDICT_STEP;
}

/* The first proposal of a view counts; a second one is proof that its leader lies. */
static bool
is_first(struct hotstuff *r, const struct message_header *h)
{
	struct first *first = &r->firsts[h->view % HOTSTUFF_FIRSTS];
	if (first->view == h->view) {
		bool same = digest_equal(first->digest32, h->digest);
		r->figures.conflicts += !same;
		return same || !RULE(HOTSTUFF_VOTE_AGAIN);
	}
	if (first->view > h->view)
		return false;
	first->view = h->view;
	memcpy(first->digest32, h->digest, sizeof(first->digest32));
	return true;
}

/* "every request in it is authentic to this replica", and no client is in it twice. */
static bool
batch_is_vouched(
    struct hotstuff *r, const struct event *event, const struct proposal *p, struct outbox *out)
{
	const struct message *m = event->message;
	if (m->own)
		return true;
	struct request_batch batch = {
	    .data = p->batch,
	    .size = p->batch_size,
	    .holds = event->holds + member_claims_count(m),
	};
	bool holds = requests_hold(&r->requests, &batch, out);
	if (!holds)
		complain_of_batch(r, p->batch, p->batch_size);
	return holds && requests_are_simple(&r->requests, p->batch, p->batch_size);
}

static struct block *
block_keep(
    struct hotstuff *r, const struct event *event, const struct proposal *p, struct outbox *out)
{
	struct block *b = chain_add(r, event->message, p);
	if (b == NULL)
		return NULL;
	b->arrived_ns = r->me.now_ns;
	b->vouched = batch_is_vouched(r, event, p, out);
	r->figures.refused += !b->vouched;
	return b;
}

void
propose_accepted(struct hotstuff *r, struct block *b, struct outbox *out)
{
	check(!b->unproven);
	if (b->view > r->tip_view) {
		struct qc_head end = {.view = b->view, .height = b->height};
		memcpy(end.digest32, b->digest32, sizeof(end.digest32));
		chain_follow(r, &end);
	}
	if (b->view == r->view) {
		r->candidate = b->view;
		memcpy(r->candidate32, b->digest32, sizeof(r->candidate32));
	}
	/* Its votes, or its children, were here before it. */
	if (chain_names(r, b))
		chain_on_fetched(r, b, out);
}

/*
 * onReceiveProposal: the certificates first, for they hold whatever the block is
 * worth; then the block finds its place, and perhaps this replica's vote.
 */
void
propose_on_message(struct hotstuff *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	struct proposal p;
	if (!block_read(&r->me, m, &p))
		return;
	bool unproven = RULE(HOTSTUFF_SPARE_TRUSTED) && spare_left_unproven(r, event, &p);
	if (p.head.has_tc)
		pacemaker_on_tc(r, &p.tc, out);
	if (!unproven)
		chain_on_qc(r, &p.justify, out);
	if (tree_find(&r->tree, m->header->digest) != NULL || !is_first(r, m->header) ||
	    p.head.height <= r->committed || p.head.height > height_max(r))
		return;
	struct block *b = block_keep(r, event, &p, out);
	if (b == NULL)
		return;
	/* Its votes, or its children, were here before it: then it is proven all the same. */
	if (unproven && !chain_names(r, b)) {
		spare_wait(r, b);
	} else {
		propose_accepted(r, b, out);
		vote_try(r, out);
	}
	/* Others see no more work: if some waits here, it has to be told. */
	if (r->filled == 0 && r->requests.pool.unordered > 0)
		propose_relay(r, out);
}
