/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half (SOSP'07, section 3.1, step 4): bft/client.h counts replies, of
 * which all n must match; here is what to do where only q do. Slots of one node
 * share what they learn: a STATEMENT that one has proven is known to all, and with
 * q of them a slot goes on to COMMIT at once. Who has asked once is promised LOCAL-COMMITs
 * of its next operations without asking (commit.c), so it only has to ask where they
 * do not come; and the fast path goes on being tried, for the fourth reply may come
 * first. One machine, on one core.
 */
#include "protocols/bft/client_path.h"
#include "protocols/zyzzyva/certificate.h"
#include "protocols/zyzzyva/mutant.h"

enum {
	GATHERED_COUNT = 256,	  /* certificates in the making that a node remembers */
	FAST_PATIENCE = 2,	  /* latencies after which the fast path is given up */
	PROMISE_PATIENCE = 8,	  /* ... and LOCAL-COMMITs that were promised */
	HASTE_PART = 2,		  /* of the patience without a fast answer: then haste begins */
	SLOW_REPEATS_MAX = 2,	  /* ASKs or COMMITs again, before the result is asked for again */
	FAST_STREAK = 16,	  /* fast answers after which the fast path is waited for again */
	STREAK_DOUBLINGS_MAX = 6, /* of that number, each time that it was waited for in vain */
};

enum slow_state {
	SLOW_NONE,	 /* too few replies so far */
	SLOW_WAITING,	 /* q match: the others may still come */
	SLOW_PROMISED,	 /* LOCAL-COMMITs may come by themselves */
	SLOW_ASKED,	 /* for STATEMENTs */
	SLOW_COMMITTING, /* the certificate is with the replicas */
	SLOW_COMMITTED,	 /* q have it: only the result itself is not here */
};

/* A slot's slow path. */
struct slow {
	struct commit_head head; /* what its q replies say; signers 0 */
	uint8_t result32[32];	 /* digest of the reply */
	uint64_t local;		 /* whose LOCAL-COMMITs are here, mask */
	enum slow_state state;
	bool again;	   /* it has asked before */
	uint8_t repeated;  /* how often, since all were asked for the result */
	uint16_t promised; /* operations, this one included, of which LOCAL-COMMITs come unasked */
};

/* What a replica's LOCAL-COMMIT is of: it may come before the replies that say the same. */
struct local {
	uint64_t view;
	uint8_t history32[32];
};

/* STATEMENTs for one (view, seq, h), all proven. */
struct gathered {
	struct commit_head head; /* signers: whose are here */
	uint8_t signatures64[BFT_REPLICAS_MAX][SIGNATURE_SIZE];
};

struct path {
	uint32_t quorum;
	bool hasty;	  /* the fast path has failed lately: a certificate is asked for at once */
	bool overtaken;	  /* a certificate has brought the last answer, not the fast path */
	uint32_t vain;	  /* waits for the fast path since it brought an answer */
	uint64_t fast_ns; /* when the last one came by the fast path, roughly */
	uint32_t streak;  /* fast answers since a wait was in vain */
	uint32_t doublings; /* of the streak that ends the haste */
	uint64_t fast;
	uint64_t slow;
	uint64_t settled; /* by a stable checkpoint */
	uint64_t asks;
	uint64_t commits;
	uint64_t promises_broken;
	struct local *locals; /* slot * n + replica */
	struct gathered gathered[GATHERED_COUNT];
	struct slow slots[];
};

static struct path *
path_of(const struct client *c)
{
	return c->path;
}

static size_t
path_size(const struct protocol_config *config)
{
	size_t locals = (size_t)config->slots_count * config->replicas_count;
	return sizeof(struct path) + config->slots_count * sizeof(struct slow) +
	       locals * sizeof(struct local);
}

static struct local *
local_of(const struct client *c, uint32_t index, uint32_t replica)
{
	return &path_of(c)->locals[(size_t)index * c->ops.config.replicas_count + replica];
}

static struct stamp
stamp_of(const struct client *c, uint32_t index)
{
	return (struct stamp){
	    .cluster = c->ops.config.cluster,
	    .sender = client_slots_number(&c->ops, index),
	    .replicas_count = c->ops.config.replicas_count,
	    .protocol = c->ops.config.protocol,
	};
}

static bool
heads_equal(const struct commit_head *a, const struct commit_head *b)
{
	return a->view == b->view && a->seq == b->seq &&
	       memcmp(a->history32, b->history32, 32) == 0;
}

/* ---- asking ---------------------------------------------------------------------- */

static uint8_t *
tell_all(struct client *c, uint32_t index, struct letter *letter, struct outbox *out)
{
	struct stamp stamp = stamp_of(c, index);
	/* Once it has a vector: of a replica that lost its memory nobody had to sign. */
	bool signs = c->slots[index].must_sign && path_of(c)->slots[index].repeated != 1;
	letter->proof = signs ? PROOF_SIGNATURE : c->ops.config.request_proof;
	letter->seq = c->ops.list[index].timestamp;
	/* Replies have just come, however long they took: this is asked again after the usual
	   time, and then all are asked anew, after twice as long as before. */
	wheel_arm(&c->ops.wheel, index, c->now_ns + client_slots_patience(&c->ops));
	return outbox_write(out, outbox_send(out, c->everybody), &stamp, letter);
}

/* "the client [...] sends a <COMMIT, c, CC> message to all replicas" (step 4b). */
static void
commit(struct client *c, uint32_t index, const struct gathered *g, struct outbox *out)
{
	struct path *p = path_of(c);
	struct commit_head head = g->head;
	uint64_t spare = quorum_count(head.signers) - p->quorum;
	for (; spare > 0; spare--)
		head.signers &= head.signers - 1;
	struct letter letter = {
	    .type = ZYZZYVA_COMMIT,
	    .body_size = (uint32_t)sizeof(head) + certificate_signatures_size(head.signers),
	    .view = head.view,
	};
	uint8_t *body = tell_all(c, index, &letter, out);
	memcpy(body, &head, sizeof(head));
	body += sizeof(head);
	for (uint64_t left = head.signers; left != 0; left &= left - 1, body += SIGNATURE_SIZE)
		memcpy(body, g->signatures64[__builtin_ctzll(left)], SIGNATURE_SIZE);
	p->slots[index].state = SLOW_COMMITTING;
	p->commits++;
}

static struct gathered *
gathered_of(const struct client *c, const struct commit_head *head)
{
	return &path_of(c)->gathered[head->seq % GATHERED_COUNT];
}

static bool
gathered_enough(const struct client *c, const struct commit_head *head)
{
	const struct gathered *g = gathered_of(c, head);
	return heads_equal(&g->head, head) && quorum_count(g->head.signers) >= path_of(c)->quorum;
}

static void
slow_ask(struct client *c, uint32_t index, struct outbox *out)
{
	struct path *p = path_of(c);
	struct slow *s = &p->slots[index];
	if (gathered_enough(c, &s->head)) {
		commit(c, index, gathered_of(c, &s->head), out);
		return;
	}
	struct ask_body b = {.seq = s->head.seq};
	memcpy(b.history32, s->head.history32, 32);
	struct letter letter = {
	    .type = ZYZZYVA_ASK,
	    .body_size = sizeof(b),
	    .view = s->head.view << ZYZZYVA_ASK_SHIFT | (s->again ? ZYZZYVA_ASK_AGAIN : 0u) |
		    (p->hasty ? ZYZZYVA_ASK_HASTY : 0u),
	};
	memcpy(tell_all(c, index, &letter, out), &b, sizeof(b));
	s->state = SLOW_ASKED;
	s->again = true;
	s->promised = p->hasty ? ZYZZYVA_PROMISE : 0;
	p->asks++;
}

/* ---- replies ----------------------------------------------------------------------- */

/* A speculative result that q replicas of one view gave, or NULL. */
static const struct tally *
tally_of_quorum(const struct client *c, uint32_t index)
{
	const struct votes *v = &c->slots[index].votes;
	for (uint32_t i = 0; i < v->count; i++) {
		const struct tally *t = votes_at(v, i);
		if (t->rank < RANK_FINAL && (t->rank & 1) == 0 &&
		    quorum_count(t->voters) >= path_of(c)->quorum)
			return t;
	}
	return NULL;
}

/* Notes what they say, where the reply itself is at hand. */
static bool
slow_begin(struct client *c, uint32_t index, const struct tally *t, const struct message *m)
{
	struct slow *s = &path_of(c)->slots[index];
	struct reply_head head;
	const uint8_t *body = bft_client_body(c, index, t->digest32);
	bool here = m != NULL && m->header->type == MESSAGE_REPLY &&
		    memcmp(m->header->digest, t->digest32, 32) == 0;
	if (body == NULL && !here)
		return false;
	memcpy(&head, body != NULL ? body : m->body, sizeof(head));
	struct commit_head said = {.view = t->rank >> 1, .seq = head.seq};
	memcpy(said.history32, head.history32, 32);
	memcpy(s->result32, t->digest32, 32);
	s->head = said;
	return true;
}

/*
 * The others' replies come after a few latencies, or not at all. "if the client
 * receives between 2f + 1 and 3f matching responses [before its timer expires]"
 */
static void
slow_wait(struct client *c, uint32_t index, enum slow_state state)
{
	uint32_t latencies = state == SLOW_PROMISED ? PROMISE_PATIENCE : FAST_PATIENCE;
	uint64_t least_ns =
	    latencies * c->ops.config.retry_ns / CLIENT_TICKS_PER_RETRY / FAST_PATIENCE;
	uint64_t most_ns = client_slots_patience(&c->ops) / (state == SLOW_PROMISED ? 1 : 2);
	uint64_t wait_ns = latencies * c->ops.latency_ns;
	if (wait_ns < least_ns)
		wait_ns = least_ns;
	/* All may be starting at once, and nobody knows yet how long answers take. */
	if (wait_ns > most_ns || c->ops.latency_ns == 0)
		wait_ns = most_ns;
	path_of(c)->slots[index].state = state;
	if (c->now_ns + wait_ns < c->ops.wheel.entries[index].due_ns)
		wheel_arm(&c->ops.wheel, index, c->now_ns + wait_ns);
}

/* "Once the client receives 2f + 1 LOCAL-COMMIT messages, it [...] completes the request" */
static bool
locals_suffice(const struct client *c, uint32_t index)
{
	const struct slow *s = &path_of(c)->slots[index];
	uint32_t needed = RULE(ZYZZYVA_LOCAL_COMMIT_WEAK) ? path_of(c)->quorum
							  : quorum_weak(c->ops.config.faults);
	uint32_t count = 0;
	if (quorum_count(s->local) < needed)
		return false;
	for (uint64_t left = s->local; left != 0; left &= left - 1) {
		const struct local *l = local_of(c, index, (uint32_t)__builtin_ctzll(left));
		count +=
		    l->view == s->head.view && memcmp(l->history32, s->head.history32, 32) == 0;
	}
	return count >= needed;
}

/* True: that was it, but for the result itself, perhaps. */
static bool
slow_settle(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	struct slow *s = &path_of(c)->slots[index];
	if (s->head.seq == 0 || !locals_suffice(c, index))
		return false;
	s->state = SLOW_COMMITTED;
	if (bft_client_body(c, index, s->result32) != NULL)
		bft_client_answer(c, index, s->result32, event, out);
	return true;
}

/*
 * An operation that needs all replicas' answers, or two rounds of a quorum's, is seldom
 * answered at the first attempt where messages are lost, though nobody is busy. That f + 1
 * have answered the one that is timed before it was asked for again tells that, and how
 * long answers take, unambiguously.
 */
static void
patience_restore(struct client *c, uint32_t index)
{
	struct client_slots *ops = &c->ops;
	const struct client_operation *o = &ops->list[index];
	if (ops->doublings == 0 || ops->timed_ns == 0 || ops->timed != index ||
	    ops->timed_timestamp != o->timestamp || o->tries > 0 ||
	    votes_most(&c->slots[index].votes) < quorum_weak(ops->config.faults))
		return;
	if (c->now_ns - ops->timed_ns > ops->latency_ns)
		ops->latency_ns = c->now_ns - ops->timed_ns;
	ops->doublings = 0;
}

static void
on_vote(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	struct path *p = path_of(c);
	struct slow *s = &p->slots[index];
	const struct message *m = event->message;
	if (c->ops.config.wait_all)
		return;
	c->now_ns = event->now_ns;
	patience_restore(c, index);
	if (s->state == SLOW_COMMITTED && bft_client_body(c, index, s->result32) != NULL) {
		bft_client_answer(c, index, s->result32, event, out);
		return;
	}
	const struct tally *t = tally_of_quorum(c, index);
	if (t == NULL || s->state != SLOW_NONE || !slow_begin(c, index, t, m))
		return;
	if (slow_settle(c, index, event, out))
		return;
	/* The last that was promised prolongs it. */
	if (p->hasty && s->promised > 1 && !s->again)
		slow_wait(c, index, SLOW_PROMISED);
	else if (p->hasty || s->again)
		slow_ask(c, index, out);
	else
		slow_wait(c, index, SLOW_WAITING);
}

/*
 * In haste answers come by certificates, some still by the fast path, where that is the
 * quicker one: so it need not be probed, and a silent replica costs no more waiting. One
 * that is slow now and then ends the haste ever more rarely.
 */
static void
haste_begin(struct client *c)
{
	struct path *p = path_of(c);
	/* Who is late once, as after a stall, is waited for again by the next operation. Nor is
	   there haste where all are late once: certificates have to be the quicker way, or a
	   slot has waited in vain twice running. */
	if (!p->overtaken && p->vain <= c->ops.config.slots_count)
		return;
	if (c->now_ns - p->fast_ns < client_slots_patience(&c->ops) / HASTE_PART)
		return;
	if (!p->hasty && p->doublings < STREAK_DOUBLINGS_MAX)
		p->doublings++;
	p->hasty = true;
	p->streak = 0;
}

static void
haste_judge(struct path *p)
{
	p->streak++;
	if (p->hasty && p->streak >= (uint32_t)FAST_STREAK << p->doublings) {
		p->hasty = false;
		p->streak = 0;
	} else if (p->streak >= (uint32_t)FAST_STREAK << STREAK_DOUBLINGS_MAX) {
		p->doublings -= p->doublings > 0;
		p->streak = 0;
	}
}

/* True: it has been armed again. */
static bool
on_timer(struct client *c, uint32_t index, uint64_t now_ns, struct outbox *out)
{
	struct path *p = path_of(c);
	struct slow *s = &p->slots[index];
	c->now_ns = now_ns;
	if (s->state == SLOW_WAITING || s->state == SLOW_PROMISED) {
		p->promises_broken += s->state == SLOW_PROMISED;
		client_slots_untime(&c->ops, index);
		p->vain += p->vain <= c->ops.config.slots_count;
		haste_begin(c);
		slow_ask(c, index, out);
		return true;
	}
	/* Something was lost on the way: it is asked about again. */
	if ((s->state == SLOW_ASKED || s->state == SLOW_COMMITTING) &&
	    s->repeated < SLOW_REPEATS_MAX) {
		s->repeated++;
		slow_ask(c, index, out);
		return true;
	}
	/* No certificate came of it: its view may be over. All are asked anew, and what q of
	   them say then is asked about. "Fewer than 2f + 1: it resends the request to all." */
	s->repeated = 0;
	s->state = s->state == SLOW_COMMITTED ? SLOW_COMMITTED : SLOW_NONE;
	return false;
}

/* ---- statements and commits ---------------------------------------------------------- */

static bool
statement_known(const struct client *c, const struct message *m, const struct stated_body *b)
{
	struct commit_head head = {.view = m->header->view >> BFT_REPLY_SHIFT, .seq = b->seq};
	memcpy(head.history32, b->history32, 32);
	const struct gathered *g = gathered_of(c, &head);
	return heads_equal(&g->head, &head) && (g->head.signers >> m->header->sender & 1) != 0;
}

static bool
is_about(const struct slow *s, const struct message_header *h, const uint8_t *history32)
{
	return s->head.view == h->view >> BFT_REPLY_SHIFT &&
	       memcmp(s->head.history32, history32, 32) == 0;
}

/* A LOCAL-COMMIT is kept until its replica has one of a later view. */
static bool
local_is_news(const struct client *c, uint32_t index, const struct message_header *h)
{
	const struct local *l = local_of(c, index, h->sender);
	uint64_t view = h->view >> BFT_REPLY_SHIFT;
	if ((path_of(c)->slots[index].local >> h->sender & 1) == 0)
		return true;
	return view > l->view || (view == l->view && memcmp(l->history32, h->digest, 32) != 0);
}

/* What a slot waits for only ever moves on, so what is useless now stays useless. */
static enum verdict
screen(const struct client *c, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct stated_body *b = (const void *)m->body;
	uint32_t index = client_slots_index(&c->ops, h);
	bool stated = h->type == ZYZZYVA_STATED;
	if (!stated && h->type != ZYZZYVA_LOCAL_COMMIT)
		return VERDICT_DROP;
	if (m->body_size != (stated ? sizeof(*b) : 0) ||
	    h->sender >= c->ops.config.replicas_count ||
	    !client_slots_proof_fits(&c->ops, h->proof) || !client_slots_awaits(&c->ops, h))
		return VERDICT_DROP;
	const struct slow *s = &path_of(c)->slots[index];
	if (stated &&
	    (s->state != SLOW_ASKED || b->seq != s->head.seq || !is_about(s, h, b->history32)))
		return VERDICT_DROP;
	if (!stated && !local_is_news(c, index, h))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, 0);
	if (stated && !statement_known(c, m, b)) {
		struct message_header *header = claims_scratch(claims);
		statement_header(&c->ops.config, &s->head, h->sender, header);
		signature_claim(claims, h->sender, header, b->signature64);
	}
	return VERDICT_STEP;
}

static void
on_stated(struct client *c, uint32_t index, const struct message *m, struct outbox *out)
{
	const struct stated_body *b = (const void *)m->body;
	const struct slow *s = &path_of(c)->slots[index];
	if (s->state != SLOW_ASKED || b->seq != s->head.seq ||
	    !is_about(s, m->header, b->history32))
		return;
	struct gathered *g = gathered_of(c, &s->head);
	if (!heads_equal(&g->head, &s->head)) {
		g->head = s->head;
		g->head.signers = 0;
	}
	if ((g->head.signers >> m->header->sender & 1) == 0) {
		g->head.signers |= 1ull << m->header->sender;
		memcpy(g->signatures64[m->header->sender], b->signature64, SIGNATURE_SIZE);
	}
	if (gathered_enough(c, &s->head))
		commit(c, index, g, out);
}

static void
on_local_commit(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	struct slow *s = &path_of(c)->slots[index];
	const struct message_header *h = event->message->header;
	if (!local_is_news(c, index, h))
		return;
	struct local *l = local_of(c, index, h->sender);
	s->local |= 1ull << h->sender;
	l->view = h->view >> BFT_REPLY_SHIFT;
	memcpy(l->history32, h->digest, 32);
	if (s->state != SLOW_COMMITTED)
		slow_settle(c, index, event, out);
}

static void
on_message(struct client *c, uint32_t index, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	c->now_ns = event->now_ns;
	if (!client_slots_awaits(&c->ops, m->header))
		return; /* answered by another message of the same burst */
	if (m->header->type == ZYZZYVA_STATED)
		on_stated(c, index, m, out);
	else
		on_local_commit(c, index, event, out);
}

/* ---- the end of it --------------------------------------------------------------------- */

static void
on_done(struct client *c, uint32_t index, const struct message *m)
{
	struct path *p = path_of(c);
	bool slow = p->slots[index].state == SLOW_COMMITTED;
	bool settled = !slow && (m->header->view & BFT_REPLY_TENTATIVE) == 0;
	p->slow += slow;
	p->settled += settled;
	p->fast += !slow && !settled;
	p->overtaken = slow || (settled && p->overtaken);
	if (slow || settled)
		return;
	p->fast_ns = c->now_ns;
	p->vain = 0;
	haste_judge(p);
}

static void
on_clear(struct client *c, uint32_t index)
{
	struct slow *s = &path_of(c)->slots[index];
	uint16_t promised = s->promised > 0 ? s->promised - 1 : 0;
	*s = (struct slow){.promised = promised};
}

static void
path_figures(const struct client *c, struct figures *figures)
{
	const struct path *p = path_of(c);
	figures_add(figures, "answers_fast", &p->fast, true);
	figures_add(figures, "answers_slow", &p->slow, true);
	figures_add(figures, "answers_settled", &p->settled, true);
	figures_add(figures, "asks", &p->asks, true);
	figures_add(figures, "commits", &p->commits, true);
	figures_add(figures, "promises_broken", &p->promises_broken, true);
}

static const struct client_path slow_path = {
    .size = path_size,
    .screen = screen,
    .on_message = on_message,
    .on_vote = on_vote,
    .on_timer = on_timer,
    .on_done = on_done,
    .on_clear = on_clear,
    .figures = path_figures,
};

/* "the client receives 3f + 1 matching responses and completes the request" (step 4a). */
static struct bft_asking
asking_of(const struct protocol_config *config)
{
	return (struct bft_asking){
	    .tentative_needed =
		RULE(ZYZZYVA_FAST_AT_3F) ? config->replicas_count : config->replicas_count - 1u,
	    .head_size = sizeof(struct reply_head),
	    .path = &slow_path,
	};
}

static size_t
size(const struct protocol_config *config)
{
	struct bft_asking asking = asking_of(config);
	return bft_client_size_with(config, &asking);
}

static void
init(void *self, const struct protocol_config *config)
{
	struct bft_asking asking = asking_of(config);
	check(!config->reads);
	bft_client_init(self, config, &asking);
	struct path *p = path_of(self);
	p->quorum = quorum_size(config->replicas_count, config->faults);
	p->locals = (struct local *)(void *)&p->slots[config->slots_count];
}

const struct machine zyzzyva_client = {
    BFT_CLIENT_MACHINE_BUT_SIZE,
    .size = size,
    .init = init,
};
