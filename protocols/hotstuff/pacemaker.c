/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views and their timers (PODC'19, section 4.4 and figure 6, as DiemBFT and
 * Jolteon made it: views move by certificates alone). A view ends by a QC or by
 * a TC. A replica that has work to wait for gives a view up when its time is
 * over: it tells everybody, with proof that it was in that view, and votes in it
 * no more. f + 1 such TIMEOUTs take others along; q are a TC, with which all go
 * on, and laggards jump.
 *
 * How long a view may take doubles only after more than 2f views in a row have
 * failed. A faulty leader spoils two, its own and the one before, whose votes go
 * to it: so 2f mean nothing; one more, and the network is slower than was
 * thought. Nor does one mean anything for which a client can be to blame, of whom
 * somebody has just complained. A doubling is given up again step by step, as
 * blocks are committed.
 *
 * A leader who is dead would cost a timeout each time that it is its turn, and one
 * is hundreds of views long. So who is suspect, because its last view failed, is given
 * no more than a few times what views take just now, until it makes a good one; and the
 * votes that it should collect go to all, who have the QC so without it. This
 * is an own matter of each replica, for time-outs are: no safety hangs on it, and who
 * leads remains a matter of the view alone. Nor does liveness: if such a short time is
 * too short for a network that has become slower, views fail one after the other, all
 * become suspect, and then their time doubles as ever, from the whole time on. And
 * where views fail though the network is well, for a request that nobody can propose,
 * they do not fail the faster: after 2f that led to nothing all have the whole time.
 * See replica.h. One core.
 */
#include "protocols/hotstuff/replica.h"

/* A request waits for a block, and that for three more to stand on it. */
enum { VIEWS_PER_REQUEST = 4 };

enum {
	PACES_PER_SUSPECT = 4,	 /* what a suspect's view may take: so many usual ones, ... */
	SUSPECTS_PART_MIN = 256, /* ... and no less than this part of a timeout */
	PACE_WEIGHT = 8,	 /* of one view in the mean: its reciprocal */
};

/* A TIMEOUT's body, read. */
struct words {
	struct timeout_head head;
	struct qc high;
	struct tc tc; /* where head.has_tc */
};

/* ---- views ---------------------------------------------------------------------- */

/* Is it one of the two on whom the view hangs? Its votes go to the next one's leader. */
static bool
hangs_on_suspect(const struct hotstuff *r, uint64_t view)
{
	uint64_t both = replica_bit(leader_of(r, view)) | replica_bit(leader_of(r, view + 1));
	return (r->suspects & both) != 0;
}

/* How long a view may take. */
static uint64_t
patience(const struct hotstuff *r, uint64_t view)
{
	uint64_t whole_ns = r->me.config.view_timeout_ns;
	if (r->suspects == 0 || r->backoff > 0 || r->pace_ns == 0 || r->me.config.stable_leader ||
	    r->barren > 2u * r->me.config.faults || !hangs_on_suspect(r, view))
		return whole_ns << r->backoff;
	uint64_t least_ns = whole_ns / SUSPECTS_PART_MIN;
	uint64_t short_ns = PACES_PER_SUSPECT * r->pace_ns;
	short_ns = short_ns > least_ns ? short_ns : least_ns;
	return short_ns < whole_ns ? short_ns : whole_ns;
}

/* A view ends with its QC: how long has it taken, if there was work all the time? */
static void
pace_note(struct hotstuff *r)
{
	if (!r->working || r->high.head.view != r->view || r->given_up >= r->view)
		return;
	uint64_t taken_ns = r->me.now_ns - r->timer_ns;
	if (r->pace_ns == 0)
		r->pace_ns = taken_ns;
	r->pace_ns += taken_ns / PACE_WEIGHT - r->pace_ns / PACE_WEIGHT;
}

/*
 * The view that was given up got its QC all the same, of votes that TIMEOUTs told:
 * it was not its leader that failed but the next one, to whom the votes went. That
 * one has had most of its time already.
 */
static uint64_t
time_had(const struct hotstuff *r, uint64_t view)
{
	bool next = view == r->view + 1 && r->given_up == r->view && r->high.head.view == r->view;
	uint64_t had = next ? patience(r, view) - patience(r, view) / 4 : 0;
	return had < r->me.now_ns ? had : r->me.now_ns;
}

/* Whose last view failed may be silent: see propose.c for what follows from that. */
static void
suspect(struct hotstuff *r, uint64_t view)
{
	if (r->high.head.view < view)
		r->suspects |= replica_bit(leader_of(r, view));
}

void
pacemaker_enter(struct hotstuff *r, bool failed, struct outbox *out)
{
	const struct protocol_config *config = &r->me.config;
	uint64_t tenure = hotstuff_tenure(config);
	uint64_t view = r->high.head.view + 1;
	(void)out;
	if (r->tc.head.view != 0 && hotstuff_view_after(config, r->tc.head.view) > view)
		view = hotstuff_view_after(config, r->tc.head.view);
	if (view <= r->view)
		return;
	/* The own proposal did not even come back here. */
	if (r->proposed == r->view && r->candidate != r->view)
		chain_remark(r);
	if (view / tenure != r->view / tenure)
		r->tenure_ns = r->me.now_ns;
	pace_note(r);
	r->timer_ns = r->me.now_ns - time_had(r, view);
	r->view = view;
	r->stuck_ticks = 0;
	r->barren += failed;
	if (failed && ++r->failures > 2u * config->faults) {
		r->backoff += r->backoff < HOTSTUFF_BACKOFF_MAX;
		r->calm = 0;
	}
	chain_prepare(r);
}

/*
 * The height up to which what is committed was wanted, by clients or by siblings. The
 * frontier is this instance's own where none is ahead: then nobody wants what it says.
 */
static uint64_t
height_wanted(const struct hotstuff *r)
{
	uint64_t followed = r->frontier < r->committed ? r->frontier : r->committed;
	if (r->frontier <= r->delivered)
		followed = 0;
	return r->asked > followed ? r->asked : followed;
}

void
pacemaker_on_commit(struct hotstuff *r)
{
	uint64_t wanted = height_wanted(r);
	if (wanted > r->wanted) {
		r->barren = 0;
		r->wanted = wanted;
	}
	r->failures = 0;
	r->explained = 0;
	if (r->backoff > 0 && ++r->calm % HOTSTUFF_BACKOFF_COMMITS == 0)
		r->backoff--;
}

void
pacemaker_on_tc(struct hotstuff *r, const struct tc *tc, struct outbox *out)
{
	if (tc->head.view <= r->tc.head.view)
		return;
	tc_keep(&r->tc, tc);
	suspect(r, tc->head.view);
	/* A client's fault says nothing of the network. But liars complain, too. */
	bool explained = complain_on_failure(r) && r->explained < HOTSTUFF_EXPLAINED_MAX;
	r->explained += explained;
	pacemaker_enter(r, !explained, out);
}

/* ---- timers ----------------------------------------------------------------------- */

bool
pacemaker_waits(const struct hotstuff *r)
{
	if (r->silent || r->broken || r->checkpoints.moving)
		return false;
	if (r->filled > 0 || r->frontier > r->delivered)
		return true;
	/*
	 * What is committed waits for siblings, and so may room for more: no leader of this
	 * instance is to blame. If views were given up for that, the empty blocks that follow
	 * would keep this instance ahead of them for ever.
	 */
	if (has_siblings(r) && r->executed < apply_due(r))
		return false;
	return r->requests.pool.count > 0;
}

void
pacemaker_watch(struct hotstuff *r)
{
	bool waits = pacemaker_waits(r);
	if (waits && !r->working) {
		r->timer_ns = r->me.now_ns;
		r->stuck_ticks = 0;
	}
	r->working = waits;
}

uint64_t
pacemaker_deadline(const struct hotstuff *r)
{
	uint64_t wait_ns = patience(r, r->view);
	if (!r->working)
		return TIME_NEVER;
	/* Said again while nobody follows: it may have been lost. */
	if (r->given_up >= r->view)
		return r->repeat_ns + (wait_ns > r->tick_ns ? wait_ns : r->tick_ns) / 2;
	uint64_t at_ns = r->timer_ns + wait_ns;
	/* Leaders that stay could serve all but one client: the oldest request has its time, too.
	 */
	if (r->me.config.stable_leader && r->requests.pool.count > 0) {
		uint64_t head_ns = r->requests.head_ns;
		uint64_t since = head_ns > r->tenure_ns ? head_ns : r->tenure_ns;
		uint64_t end_ns = since + VIEWS_PER_REQUEST * wait_ns;
		at_ns = end_ns < at_ns ? end_ns : at_ns;
	}
	return at_ns;
}

/* ---- giving a view up --------------------------------------------------------------- */

static bool
entered_by_qc(const struct hotstuff *r)
{
	return r->high.head.view + 1 == r->view;
}

static void
timeout_send(struct hotstuff *r, struct outbox *out)
{
	bool has_tc = !entered_by_qc(r);
	const struct vote *own = &r->votes[r->me.config.self];
	struct timeout_head head = {.high = r->high.head, .has_tc = has_tc};
	if (own->head.signers != 0 && own->head.view > r->high.head.view) {
		head.vote = own->head;
		memcpy(head.vote_signature64, own->signature64, sizeof(head.vote_signature64));
	}
	uint32_t certificates = quorum_count(r->high.head.signers) * SIGNATURE_SIZE +
				(has_tc ? tc_kept_size(&r->tc) : 0);
	struct letter letter = {
	    .type = HOTSTUFF_TIMEOUT,
	    .proof = PROOF_SIGNATURE,
	    .instance = r->me.config.instance,
	    .body_size = (uint32_t)sizeof(head) + certificates,
	    .view = r->view,
	    .seq = r->high.head.view,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	memcpy(body, &head, sizeof(head));
	body = qc_write(&r->high, body + sizeof(head));
	if (has_tc)
		tc_write(&r->tc, body);
}

static void
give_up(struct hotstuff *r, const char *cause, struct outbox *out)
{
	check(!r->silent);
	if (r->given_up < r->view) {
		r->figures.timeouts++;
		outbox_note(out, cause, r->view, leader_of(r, r->view), r->committed);
	}
	r->given_up = r->view;
	r->repeat_ns = r->me.now_ns;
	/* "a replica does not vote in a view that it timed out of": a TC says so of q. */
	if (RULE(HOTSTUFF_VOTE_TIMED_OUT) && r->voted < r->view)
		r->voted = r->view;
	timeout_send(r, out);
}

void
pacemaker_on_timer(struct hotstuff *r, struct outbox *out)
{
	give_up(r, "view %lu timed out: leader %lu, committed %lu", out);
}

/* ---- TIMEOUT -------------------------------------------------------------------------- */

static bool
vote_fits(const struct message_header *h, const struct qc_head *vote)
{
	if (vote->signers == 0)
		return vote->view == 0 && vote->height == 0;
	return vote->signers == replica_bit(h->sender) && vote->view <= h->view && vote->view > 0 &&
	       vote->height > 0;
}

static bool
words_read(const struct hotstuff *r, const struct message *m, struct words *w)
{
	const struct message_header *h = m->header;
	struct reader reader = {m->body, m->body_size};
	if (!reader_take(&reader, &w->head, sizeof(w->head)))
		return false;
	w->high.head = w->head.high;
	if (!qc_read(&r->me, &reader, &w->high) || w->high.head.view != h->seq ||
	    w->high.head.view >= h->view || !vote_fits(h, &w->head.vote))
		return false;
	/* The sender was in this view. */
	if (w->head.has_tc == 0)
		return reader.left == 0 && w->high.head.view + 1 == h->view;
	return w->head.has_tc == 1 && tc_read(&r->me, &reader, &w->tc) && reader.left == 0 &&
	       hotstuff_view_after(&r->me.config, w->tc.head.view) == h->view;
}

enum verdict
pacemaker_screen(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	struct words w;
	if (h->proof != PROOF_SIGNATURE || h->sender >= r->me.config.replicas_count ||
	    h->view < r->view)
		return VERDICT_DROP;
	const struct timeout *known = &r->timeouts[h->sender];
	if ((known->present && known->entry.header.view >= h->view) || !words_read(r, m, &w))
		return VERDICT_DROP;
	if (m->own)
		return VERDICT_STEP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	claims_add_qc(r, &w.high, claims);
	if (w.head.has_tc)
		claims_add_tc(r, &w.tc, claims);
	if (w.head.vote.view > r->high.head.view)
		vote_claim(&r->me, &w.head.vote,
		    m->body + offsetof(struct timeout_head, vote_signature64), claims);
	return VERDICT_STEP;
}

/* What it tells beside: where its sender is, and what it voted for last. */
static void
words_learn(struct hotstuff *r, const struct words *w, struct outbox *out)
{
	chain_on_qc(r, &w->high, out);
	if (w->head.has_tc)
		pacemaker_on_tc(r, &w->tc, out);
	if (w->head.vote.signers == 0 || w->head.vote.view <= r->high.head.view)
		return;
	struct vote vote = {.head = w->head.vote};
	memcpy(vote.signature64, w->head.vote_signature64, sizeof(vote.signature64));
	vote_record(r, &vote, out);
}

static uint32_t
timeouts_count(const struct hotstuff *r, uint64_t view)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++)
		count += r->timeouts[i].present && r->timeouts[i].entry.header.view == view;
	return count;
}

void
pacemaker_on_timeout(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct timeout *place = &r->timeouts[h->sender];
	struct words w;
	if (!words_read(r, m, &w))
		return;
	words_learn(r, &w, out);
	if (place->present && place->entry.header.view >= h->view)
		return;
	place->present = true;
	place->entry.header = *h;
	memcpy(place->entry.signature64, m->proof, sizeof(place->entry.signature64));
	if (h->view != r->view)
		return;
	if (tc_assemble(&r->me, r->timeouts, r->view, &r->made_tc)) {
		r->figures.tcs++;
		struct tc tc = {
		    .head = r->made_tc.head, .entries = (const uint8_t *)r->made_tc.entries};
		pacemaker_on_tc(r, &tc, out);
		return;
	}
	/* One of f + 1 is correct and has waited long enough: "f+1 timeouts amplify". */
	if (!r->silent && r->given_up < r->view &&
	    timeouts_count(r, r->view) >= quorum_weak(r->me.config.faults))
		give_up(r, "view %lu given up with f + 1 others: leader %lu, committed %lu", out);
}
