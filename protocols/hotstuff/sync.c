/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: now and then, and more often while something is missing, a replica
 * says where it stands; others answer with the certificates that brought them to
 * where they are, and with votes for checkpoints, at a bounded rate. Blocks are
 * fetched by their digests, from those who signed for them. See replica.h. One
 * core.
 */
#include "protocols/hotstuff/replica.h"

enum {
	BLOCKS_PER_FETCH = 8,
	BLOCKS_PER_TICK = 64, /* served to one replica */
	STUCK_TICKS = 4,      /* of a view: a quarter of its timeout, at first */
	STATUS_GAP_MAX = HOTSTUFF_TICKS_PER_TIMEOUT, /* ticks between two STATUS messages */
	STATUS_GAP_IDLE_MAX = 64,		     /* ... where nothing is missing */
	/* Usual views until a spare replica hears of the chain's end: those who ask again at
	   once when they are answered have done so by then, and a block tells it. */
	PACES_PER_TELLING = 2,
};

/* A CERTIFICATE's body, read. */
struct answer {
	struct certificate_head head;
	struct qc high;
	struct tc tc; /* where head.has_tc */
	struct qc deciding;
};

static bool
peer_fits(const struct hotstuff *r, const struct message *m)
{
	return member_proof_fits(&r->me, m->header) && m->header->sender != r->me.config.self;
}

/* ---- STATUS ------------------------------------------------------------------------ */

enum verdict
sync_screen_status(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	if (!peer_fits(r, m) || m->body_size != sizeof(struct hotstuff_status))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	return VERDICT_STEP;
}

static void
status_send(struct hotstuff *r, struct outbox *out)
{
	/* Empty blocks that wait for siblings are not lacking. */
	bool all = r->executed >= apply_due(r) && !r->checkpoints.moving;
	struct hotstuff_status status = {
	    .stable = r->checkpoints.stable,
	    .committed = all ? r->committed : r->executed,
	    .high = r->high.head.view,
	    .nonce = r->silent ? r->nonce : 0,
	};
	struct letter letter = {
	    .type = HOTSTUFF_STATUS,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = sizeof(status),
	    .view = r->view,
	};
	struct send *s = outbox_send(out, member_others(&r->me));
	memcpy(outbox_write(out, s, &r->me.stamp, &letter), &status, sizeof(status));
	r->status_due = false;
}

/* "messages are retransmitted at a bounded rate": who floods gains nothing. */
void
sync_on_status(struct hotstuff *r, const struct message *m)
{
	uint64_t bit = replica_bit(m->header->sender);
	struct peer *p = &r->peers[m->header->sender];
	/* One that lost its memory, too, has nothing to show. */
	if (r->silent || (r->answers & bit) != 0 ||
	    (p->answered_ns != 0 && r->me.now_ns - p->answered_ns < r->tick_ns / 4))
		return;
	memcpy(&p->status, m->body, sizeof(p->status));
	p->status_view = m->header->view;
	p->answered_ns = r->me.now_ns;
	r->answers |= bit;
}

struct certificate {
	uint64_t to;
	uint64_t nonce;
	const struct qc_kept *deciding; /* view 0: it is left out */
};

static void
certificate_send(struct hotstuff *r, const struct certificate *c, struct outbox *out)
{
	bool has_tc = r->tc.head.view > r->high.head.view;
	struct certificate_head head = {
	    .nonce = c->nonce,
	    .has_tc = has_tc,
	    .high = r->high.head,
	    .deciding = c->deciding->head,
	};
	uint32_t signatures =
	    quorum_count(r->high.head.signers) + quorum_count(c->deciding->head.signers);
	struct letter letter = {
	    .type = HOTSTUFF_CERTIFICATE,
	    .proof = r->me.config.protocol_proof,
	    .instance = r->me.config.instance,
	    .body_size = (uint32_t)sizeof(head) + signatures * SIGNATURE_SIZE +
			 (has_tc ? tc_kept_size(&r->tc) : 0),
	    .view = r->view,
	    .seq = r->high.head.view,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, c->to), &r->me.stamp, &letter);
	memcpy(body, &head, sizeof(head));
	body = qc_write(&r->high, body + sizeof(head));
	if (has_tc)
		body = tc_write(&r->tc, body);
	qc_write(c->deciding, body);
}

static const struct qc_kept none;

/*
 * The QC that commits the last requests is made by one replica, and no block
 * follows that would carry it: so it goes by itself, or clients would wait for
 * f + 1 answers until somebody asks. Who is spare in the view that comes hears of it
 * later: by then there may be a block that carries it.
 */
void
sync_tell(struct hotstuff *r, struct outbox *out)
{
	uint64_t spare = spare_next(r);
	const struct certificate c = {.to = member_others(&r->me) & ~spare, .deciding = &none};
	r->untold = false;
	r->untold_spare = spare;
	r->tell_spare_ns = r->me.now_ns + PACES_PER_TELLING * r->pace_ns;
	certificate_send(r, &c, out);
}

uint64_t
sync_tell_deadline(const struct hotstuff *r)
{
	return r->untold_spare != 0 ? r->tell_spare_ns : TIME_NEVER;
}

void
sync_tell_spare(struct hotstuff *r, struct outbox *out)
{
	const struct certificate c = {.to = r->untold_spare, .deciding = &none};
	r->untold_spare = 0;
	certificate_send(r, &c, out);
}

static void
status_answer(struct hotstuff *r, uint32_t peer, struct outbox *out)
{
	const struct peer *p = &r->peers[peer];
	uint64_t to = replica_bit(peer);
	bool behind = p->status_view < r->view || p->status.high < r->high.head.view ||
		      p->status.committed < r->committed;
	r->answers &= ~to;
	bool lacks = p->status.committed < r->decided.height;
	const struct certificate c = {
	    .to = to, .nonce = p->status.nonce, .deciding = lacks ? &r->deciding : &none};
	if (p->status.nonce != 0 || behind)
		certificate_send(r, &c, out);
	if (p->status.stable < r->checkpoints.stable || p->status.committed < r->checkpoints.stable)
		checkpoints_answer(&r->checkpoints, to, out);
}

/* ---- CERTIFICATE ---------------------------------------------------------------------- */

static bool
answer_read(const struct hotstuff *r, const struct message *m, struct answer *a)
{
	struct reader reader = {m->body, m->body_size};
	if (!reader_take(&reader, &a->head, sizeof(a->head)))
		return false;
	a->high.head = a->head.high;
	if (!qc_read(&r->me, &reader, &a->high))
		return false;
	if (a->head.has_tc > 1 || (a->head.has_tc == 1 && !tc_read(&r->me, &reader, &a->tc)))
		return false;
	a->deciding.head = a->head.deciding;
	return qc_read(&r->me, &reader, &a->deciding) && reader.left == 0;
}

/* Of use: something is new, or this replica asks because it lost its memory. */
static bool
answer_is_news(const struct hotstuff *r, const struct answer *a)
{
	if (r->silent || a->high.head.view > r->high.head.view)
		return true;
	if (a->head.has_tc == 1 && a->tc.head.view > r->tc.head.view)
		return true;
	return a->deciding.head.height > r->committed && !chain_knows(r, &a->deciding.head);
}

enum verdict
sync_screen_certificate(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	struct answer a;
	if (!peer_fits(r, m) || !answer_read(r, m, &a) || !answer_is_news(r, &a))
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	claims_add_qc(r, &a.high, claims);
	if (a.head.has_tc)
		claims_add_tc(r, &a.tc, claims);
	claims_add_qc(r, &a.deciding, claims);
	return VERDICT_STEP;
}

void
sync_on_certificate(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	struct answer a;
	if (!answer_read(r, m, &a))
		return;
	chain_on_qc(r, &a.high, out);
	if (a.head.has_tc)
		pacemaker_on_tc(r, &a.tc, out);
	chain_on_qc(r, &a.deciding, out);
	/* It may be of a branch that nothing here leads to. */
	if (!qc_is_genesis(&a.deciding.head) &&
	    tree_find(&r->tree, a.deciding.head.digest32) == NULL)
		sync_want(r, &a.deciding.head, out);
	/* The nonce is of this life: what was said to a former one counts no more. */
	if (a.head.nonce != 0 && a.head.nonce == r->nonce)
		recover_on_answer(r, m->header->sender, out);
	vote_try(r, out);
	/* The chain stops here, and what came while it seemed to go on is another's to propose. */
	if (r->filled == 0 && r->requests.pool.unordered > 0)
		propose_relay(r, out);
}

/* ---- asking for blocks ------------------------------------------------------------------ */

/* Those who signed for it are asked in turn, then everybody. */
static void
want_ask(struct hotstuff *r, struct want *w, struct outbox *out)
{
	uint64_t others = member_others(&r->me);
	uint64_t likely = w->signers & others;
	uint64_t ask = likely != 0 && w->tries < 2 * quorum_count(likely) ? likely : others;
	uint32_t turn = (w->tries++ + r->me.config.self) % quorum_count(ask);
	for (; turn > 0; turn--)
		ask &= ask - 1;
	struct word word = {
	    .type = HOTSTUFF_FETCH,
	    .view = r->committed,
	    .seq = w->height,
	    .digest32 = w->digest32,
	};
	member_say(&r->me, ask & -ask, &word, out);
}

void
sync_want(struct hotstuff *r, const struct qc_head *head, struct outbox *out)
{
	struct want *free = NULL;
	/* Too far away: the state is fetched, not the blocks. */
	if (head->height <= r->committed || head->height > height_max(r) || r->checkpoints.moving)
		return;
	for (uint32_t i = 0; i < HOTSTUFF_WANTS_MAX; i++) {
		struct want *w = &r->wants[i];
		if (w->height == head->height && digest_equal(w->digest32, head->digest32))
			return;
		if (w->height == 0)
			free = w;
	}
	if (free == NULL)
		return;
	*free = (struct want){.height = head->height, .signers = head->signers};
	memcpy(free->digest32, head->digest32, sizeof(free->digest32));
	want_ask(r, free, out);
}

static struct want *
want_find(const struct hotstuff *r, const uint8_t *digest32)
{
	for (uint32_t i = 0; i < HOTSTUFF_WANTS_MAX; i++) {
		const struct want *w = &r->wants[i];
		if (w->height != 0 && digest_equal(w->digest32, digest32))
			return (struct want *)(uintptr_t)w;
	}
	return NULL;
}

static bool
wants_any(const struct hotstuff *r)
{
	for (uint32_t i = 0; i < HOTSTUFF_WANTS_MAX; i++) {
		if (r->wants[i].height != 0)
			return true;
	}
	return false;
}

/* Once a tick: what is here by now is forgotten, the rest is asked for again. */
static void
wants_again(struct hotstuff *r, struct outbox *out)
{
	for (uint32_t i = 0; i < HOTSTUFF_WANTS_MAX; i++) {
		struct want *w = &r->wants[i];
		if (w->height == 0)
			continue;
		if (w->height <= r->committed || w->height > height_max(r) ||
		    tree_find(&r->tree, w->digest32) != NULL)
			w->height = 0;
		else
			want_ask(r, w, out);
	}
}

/* ---- blocks -------------------------------------------------------------------------------- */

enum verdict
sync_screen_fetch(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	if (m->own)
		return spare_screen(r, m, claims);
	if (!peer_fits(r, m) || m->body_size != 0)
		return VERDICT_DROP;
	claims_add_message(claims, m, m->header->sender, r->me.config.self);
	return VERDICT_STEP;
}

void
sync_on_fetch(struct hotstuff *r, const struct message *m)
{
	const struct message_header *h = m->header;
	struct peer *p = &r->peers[h->sender];
	const struct block *b = tree_find(&r->tree, h->digest);
	if (b == NULL || b->unproven || p->served >= BLOCKS_PER_TICK)
		return;
	p->serve_left = BLOCKS_PER_FETCH;
	p->serve_floor = h->view;
	memcpy(p->serve32, h->digest, sizeof(p->serve32));
	r->serving |= replica_bit(h->sender);
}

/* One block of an answer: the wanted one, then its ancestors. */
static void
block_answer(struct hotstuff *r, uint32_t peer, struct outbox *out)
{
	struct peer *p = &r->peers[peer];
	const struct block *b = tree_find(&r->tree, p->serve32);
	if (b == NULL || b->unproven || p->serve_left == 0 || b->height <= p->serve_floor ||
	    p->served >= BLOCKS_PER_TICK) {
		r->serving &= ~replica_bit(peer);
		return;
	}
	struct letter letter = {
	    .type = HOTSTUFF_BLOCK,
	    .proof = PROOF_NONE,
	    .instance = r->me.config.instance,
	    .body_size = b->body_size,
	    .view = b->view,
	    .seq = b->height,
	};
	struct send *s = outbox_send(out, replica_bit(peer));
	memcpy(outbox_write(out, s, &r->me.stamp, &letter), tree_body(&r->tree, b), b->body_size);
	memcpy(s->header->digest, b->digest32, sizeof(b->digest32));
	memcpy(p->serve32, b->justify.digest32, sizeof(p->serve32));
	p->serve_left--;
	p->served++;
	r->figures.blocks_served++;
}

/*
 * A block that was asked for proves itself: its digest is known. Its certificates
 * are not proven again: a valid QC names it, so f + 1 correct replicas voted for
 * it, each of which knew them to be valid.
 */
enum verdict
sync_screen_block(const struct hotstuff *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	struct proposal p;
	if (h->proof != PROOF_NONE || !wants_any(r) || tree_find(&r->tree, h->digest) != NULL ||
	    !block_read(&r->me, m, &p) ||
	    requests_screen_batch(&r->requests, p.batch, p.batch_size, NULL) == VERDICT_DROP)
		return VERDICT_DROP;
	struct claim *c = claims_add(claims);
	c->kind = CLAIM_DIGEST;
	c->key = 0;
	c->size = m->body_size;
	c->data = m->body;
	c->proof = h->digest;
	return VERDICT_STEP;
}

/* Kept only if it is wanted; then its parent is, where that is not here. */
void
sync_on_block(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	struct want *w = want_find(r, m->header->digest);
	struct proposal p;
	if (w == NULL || tree_find(&r->tree, m->header->digest) != NULL ||
	    !block_read(&r->me, m, &p) || p.head.height != w->height)
		return;
	w->height = 0;
	if (p.head.height <= r->committed || p.head.height > height_max(r))
		return;
	struct block *b = chain_add(r, m, &p);
	if (b == NULL)
		return;
	r->figures.blocks_fetched++;
	chain_on_fetched(r, b, out);
	vote_try(r, out);
}

/* ---- once a tick ------------------------------------------------------------------------------
 */

/*
 * Blocks alone do not lead on: what is stable elsewhere is ahead, and nothing has
 * moved here for some ticks.
 */
static void
catch_up(struct hotstuff *r, struct outbox *out)
{
	struct reach reach = reach_of(r);
	if (r->still_ticks >= STUCK_TICKS && checkpoints_behind(&r->checkpoints, &reach))
		checkpoints_catch_up(&r->checkpoints, &reach, out);
}

/* A view that lasts: its proposal, or votes for it, may have been lost. Less and less often. */
static void
view_repair(struct hotstuff *r, struct outbox *out)
{
	if (r->stuck_ticks < STUCK_TICKS || (r->stuck_ticks & (r->stuck_ticks - 1)) != 0)
		return;
	propose_again(r, out);
	vote_again(r, out);
	if (r->requests.pool.unordered > 0)
		propose_relay(r, out);
}

/* Something is missing here, so that others are to be asked. */
static bool
is_lacking(const struct hotstuff *r, bool moved)
{
	struct reach reach = reach_of(r);
	return r->silent || r->checkpoints.moving || r->stuck_ticks >= STUCK_TICKS ||
	       wants_any(r) || (!moved && checkpoints_behind(&r->checkpoints, &reach));
}

/*
 * The first STATUS goes as soon as something is missing. While nothing changes, the
 * next ones take twice as long each, up to a view's timeout: whoever could help has
 * heard, or is not to be reached for longer. Without need the steps are larger.
 */
static void
status_plan(struct hotstuff *r, bool moved)
{
	bool lacking = is_lacking(r, moved);
	if (moved || r->view != r->tick_view || (lacking && !r->lacking))
		r->status_gap = 1;
	r->lacking = lacking;
	r->tick_view = r->view;
	uint64_t gap = r->status_gap;
	if (!lacking)
		gap = gap * HOTSTUFF_TICKS_IDLE < STATUS_GAP_IDLE_MAX ? gap * HOTSTUFF_TICKS_IDLE
								      : STATUS_GAP_IDLE_MAX;
	if (r->tick - r->status_tick < gap)
		return;
	r->status_tick = r->tick;
	r->status_due = true;
	r->status_gap = 2 * r->status_gap < STATUS_GAP_MAX ? 2 * r->status_gap : STATUS_GAP_MAX;
}

void
sync_tick(struct hotstuff *r, struct outbox *out)
{
	bool moved = r->executed != r->tick_executed || r->committed != r->tick_committed;
	r->stuck_ticks += r->working;
	r->still_ticks = moved ? 0 : r->still_ticks + 1;
	r->tick_at_ns = r->me.now_ns + r->tick_ns;
	r->tick++;
	requests_look_again(&r->requests);
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++)
		r->peers[i].served = 0;
	status_plan(r, moved);
	catch_up(r, out);
	wants_again(r, out);
	chain_seek(r, out);
	view_repair(r, out);
	r->tick_committed = r->committed;
	r->tick_executed = r->executed;
}

/* ---- answering ----------------------------------------------------------------------------------
 */

bool
sync_owes(const struct hotstuff *r)
{
	return r->status_due || r->answers != 0 || r->serving != 0;
}

void
sync_answer(struct hotstuff *r, struct outbox *out)
{
	if (r->status_due)
		status_send(r, out);
	else if (r->answers != 0)
		status_answer(r, (uint32_t)__builtin_ctzll(r->answers), out);
	else if (r->serving != 0)
		block_answer(r, (uint32_t)__builtin_ctzll(r->serving), out);
}
