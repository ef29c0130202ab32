/* SPDX-License-Identifier: Apache-2.0 */
/* The replica: its log, and which phase an event is for. See replica.h. One core. */
#include "protocols/zyzzyva/replica.h"

/* ---- the log ------------------------------------------------------------------ */

struct slot *
ledger_slot(struct zyzzyva *r, uint64_t seq)
{
	struct slot *s = &r->slots[seq % r->slots_count];
	check(ledger_holds(r, seq));
	if (!s->used || s->seq != seq) {
		check(!s->used || s->seq < seq);
		memset(s, 0, sizeof(*s));
		memset(ledger_statement(r, s, 0), 0,
		    r->me.config.replicas_count * sizeof(struct statement));
		s->used = true;
		s->seq = seq;
	}
	return s;
}

struct bank *
ledger_bank(const struct slot *s, const uint8_t *digest32)
{
	for (uint32_t i = 0; i < ZYZZYVA_BANKS; i++) {
		if (s->banks[i].full && digest_equal(s->banks[i].digest32, digest32))
			return (struct bank *)(uintptr_t)&s->banks[i];
	}
	return NULL;
}

uint8_t *
ledger_bytes(const struct zyzzyva *r, const struct slot *s, const struct bank *bank)
{
	size_t place = (size_t)(s - r->slots) * ZYZZYVA_BANKS + (size_t)(bank - s->banks);
	return r->bodies + place * r->body_size_max;
}

/* Part of our history, of the one that a view begins with, or of this view's ORDER-REQ. */
static bool
bank_is_needed(const struct zyzzyva *r, const struct slot *s, const struct bank *b)
{
	const struct pending *p = &r->pending;
	return (s->seq <= r->top && digest_equal(b->digest32, s->history32)) ||
	       (p->present && s->seq > p->at && s->seq <= p->top &&
		   digest_equal(b->digest32, s->chain32)) ||
	       (slot_is_ordered(r, s) && digest_equal(b->digest32, s->order.header.digest));
}

/*
 * The oldest of those that are not needed goes. While the state moves none does:
 * the executor may still be reading a batch that is being undone.
 */
bool
ledger_store(struct zyzzyva *r, struct slot *s, const struct message *m)
{
	struct bank *place = NULL;
	if (ledger_bank(s, m->header->digest) != NULL)
		return true;
	for (uint32_t i = 0; i < ZYZZYVA_BANKS; i++) {
		struct bank *b = &s->banks[i];
		if (b->full && (r->moving || bank_is_needed(r, s, b)))
			continue;
		if (place == NULL || !b->full || (place->full && b->view < place->view))
			place = b;
	}
	if (place == NULL)
		return false;
	*place = (struct bank){.size = m->body_size, .full = true};
	memcpy(place->digest32, m->header->digest, 32);
	memcpy(ledger_bytes(r, s, place), m->body, m->body_size);
	return true;
}

/* ---- memory -------------------------------------------------------------------- */

static uint32_t
claims_per_message(const struct protocol_config *config)
{
	uint32_t order = 2 + 2 * config->batch_count_max;
	uint32_t change = 3 + 2u * config->replicas_count;
	return order > change ? order : change;
}

struct layout {
	size_t requests, slots, statements, told, asks, changes, view, bodies, end;
	size_t change_size, view_size, body_size;
};

static struct layout
layout_of(const struct protocol_config *c)
{
	struct layout l;
	size_t slots = 3ull * c->checkpoint_interval + 1;
	size_t n = c->replicas_count;
	l.change_size = bft_rounded(leave_size_max(c));
	l.view_size = bft_rounded(leave_new_view_size_max(c));
	l.body_size = 32 + c->batch_size_max;
	l.requests = bft_rounded(sizeof(struct zyzzyva));
	l.slots = l.requests + requests_size(c);
	l.statements = bft_rounded(l.slots + slots * sizeof(struct slot));
	l.told = bft_rounded(l.statements + slots * n * sizeof(struct statement));
	l.asks = bft_rounded(l.told + c->slots_count * sizeof(struct told));
	l.changes = bft_rounded(l.asks + c->slots_count * sizeof(uint16_t));
	l.view = l.changes + 2 * n * l.change_size;
	l.bodies = l.view + l.view_size;
	l.end = l.bodies + slots * ZYZZYVA_BANKS * l.body_size;
	return l;
}

static size_t
size(const struct protocol_config *config)
{
	return layout_of(config).end;
}

static uint32_t
message_size_max(const struct protocol_config *config)
{
	uint32_t change = leave_size_max(config);
	uint32_t certificate =
	    (uint32_t)(sizeof(struct message_header) + sizeof(struct stable_head)) +
	    (uint32_t)config->replicas_count *
		(uint32_t)(sizeof(struct stable_signature) + MAC_SIZE) +
	    SIGNATURE_SIZE;
	return change > certificate ? change : certificate;
}

static uint32_t
proposal_head_size(const struct protocol_config *config)
{
	(void)config;
	return 32;
}

static void
memory_divide(struct zyzzyva *r, const struct layout *l)
{
	const struct protocol_config *c = &r->me.config;
	uint8_t *base = (uint8_t *)r;
	r->slots = (void *)(base + l->slots);
	r->statements = (void *)(base + l->statements);
	r->told = (void *)(base + l->told);
	r->asks = (void *)(base + l->asks);
	r->bodies = base + l->bodies;
	r->body_size_max = (uint32_t)l->body_size;
	for (uint32_t i = 0; i < c->replicas_count; i++) {
		r->now[i].message = (void *)(base + l->changes + 2 * i * l->change_size);
		r->next[i].message = (void *)(base + l->changes + (2 * i + 1) * l->change_size);
	}
	r->offered.message = (void *)(base + l->view);
}

static void
init(void *self, const struct protocol_config *config)
{
	struct zyzzyva *r = self;
	struct layout l = layout_of(config);
	check(config->checkpoint_interval >= config->window && config->window >= 1);
	check(config->view_timeout_ns >= 1000 * ZYZZYVA_TICKS_PER_TIMEOUT);
	check(config->instances_count == 1);
	member_init(&r->me, config);
	/* A speculative state may be undone, so nothing is read from it. */
	r->me.config.reads = false;
	r->interval = config->checkpoint_interval;
	r->window_log = 2 * r->interval;
	r->slots_count = 3 * r->interval + 1;
	r->tick_ns = config->view_timeout_ns / ZYZZYVA_TICKS_PER_TIMEOUT;
	r->active = true;
	r->silent = config->restarted;
	r->hole_ns = TIME_NEVER;
	r->changes_size = leave_size_max(config);
	r->new_view_size = leave_new_view_size_max(config);
	memory_divide(r, &l);
	requests_init(&r->requests, &r->me, (uint8_t *)r + l.requests);
}

/* ---- messages ------------------------------------------------------------------ */

static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct zyzzyva *r = self;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
		return requests_screen(&r->requests, m, claims);
	case ZYZZYVA_ORDER_REQ:
		return orders_screen(r, m, claims);
	case ZYZZYVA_STATEMENT:
		return statement_screen(r, m, claims);
	case ZYZZYVA_ASK:
	case ZYZZYVA_COMMIT:
		return statement_screen_client(r, m, claims);
	case ZYZZYVA_FILL_HOLE:
		return hole_screen(r, m, claims);
	case ZYZZYVA_VOUCH:
		return statement_screen_vouch(r, m, claims);
	case ZYZZYVA_WITNESS:
		return witness_screen(r, m, claims);
	case ZYZZYVA_POM:
		return pom_screen(r, m, claims);
	case ZYZZYVA_HATE:
		return leave_screen_hate(r, m, claims);
	case ZYZZYVA_VIEW_CHANGE:
		return leave_screen(r, m, claims);
	case ZYZZYVA_NEW_VIEW:
		return leave_screen_new_view(r, m, claims);
	case BFT_CHECKPOINT:
		return stability_screen(r, m, claims);
	case ZYZZYVA_STABLE:
		return stability_screen_stable(r, m, claims);
	case ZYZZYVA_CERTIFICATE:
		return enter_screen_certificate(r, m, claims);
	case ZYZZYVA_STATUS:
		return repair_screen(r, m, claims);
	case ZYZZYVA_FETCH:
		return repair_screen_fetch(r, m, claims);
	case ZYZZYVA_BODY:
		return repair_screen_body(r, m, claims);
	case BFT_COMPLAINT:
		return requests_screen_complaint(&r->requests, m, claims);
	default:
		return VERDICT_DROP;
	}
}

/* What is about the order of requests and its proof. True: that was it. */
static bool
on_order(struct zyzzyva *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
		speculate_on_request(r, m, out);
		return true;
	case ZYZZYVA_ORDER_REQ:
		orders_on_message(r, event, out);
		return true;
	case ZYZZYVA_STATEMENT:
		statement_on_message(r, m, out);
		return true;
	case ZYZZYVA_ASK:
		statement_on_ask(r, m, out);
		return true;
	case ZYZZYVA_COMMIT:
		statement_on_commit(r, m, out);
		return true;
	case ZYZZYVA_FILL_HOLE:
		hole_on_message(r, m);
		return true;
	case ZYZZYVA_VOUCH:
		statement_on_vouch(r, m, out);
		return true;
	case BFT_CHECKPOINT:
		stability_on_message(r, m, out);
		return true;
	case BFT_COMPLAINT:
		requests_on_complaint(&r->requests, m, out);
		return true;
	default:
		return false;
	}
}

static void
on_message(struct zyzzyva *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	const struct commit_head *head = (const void *)m->body;
	if (on_order(r, event, out))
		return;
	switch (m->header->type) {
	case ZYZZYVA_WITNESS:
		witness_on_message(r, m, out);
		break;
	case ZYZZYVA_POM:
		pom_on_message(r, m, out);
		break;
	case ZYZZYVA_HATE:
		leave_on_hate(r, m, out);
		break;
	case ZYZZYVA_VIEW_CHANGE:
		leave_on_message(r, m, out);
		break;
	case ZYZZYVA_NEW_VIEW:
		leave_on_new_view(r, m, out);
		break;
	case ZYZZYVA_STABLE:
		stability_on_stable(r, m, out);
		break;
	case ZYZZYVA_CERTIFICATE:
		enter_certificate(r, head, (const uint8_t *)(head + 1), out);
		break;
	case ZYZZYVA_STATUS:
		repair_on_message(r, m);
		break;
	case ZYZZYVA_FETCH:
		repair_on_fetch(r, m, out);
		break;
	case ZYZZYVA_BODY:
		repair_on_body(r, m, out);
		break;
	default:
		break;
	}
}

/* ---- timers and what is left over ------------------------------------------------- */

static bool
work_left(const struct zyzzyva *r)
{
	return r->change_due || r->new_view_due || r->status_due || r->walk_due ||
	       r->answers != 0 || r->hates_due != 0 || r->requests.recheck != 0 ||
	       speculate_ready(r) || statement_asks_ready(r);
}

static void
work(struct zyzzyva *r, struct outbox *out)
{
	if (r->change_due) {
		leave_send(r, out);
	} else if (r->new_view_due) {
		leave_new_view(r, out);
	} else if (r->hates_due != 0) {
		leave_explain(r, out);
	} else if (r->walk_due) {
		enter_walk(r, out);
	} else if (speculate_ready(r)) {
		speculate_deliver(r, out);
	} else if (statement_asks_ready(r)) {
		statement_answer(r, out);
	} else if (r->requests.recheck != 0) {
		requests_recheck(&r->requests, out);
	} else if (r->status_due) {
		r->status_due = false;
		repair_send(r, member_others(&r->me), 0, out);
	} else {
		repair_answer(r, out);
	}
}

static void
on_timeout(struct zyzzyva *r, struct outbox *out)
{
	if (work_left(r)) {
		work(r, out);
		return;
	}
	if (orders_deadline(r) <= r->me.now_ns) {
		orders_propose(r, out);
		return;
	}
	/* The rest cannot be in a hurry: holes, the view's timer, once a tick a look around. */
	if (r->hole_ns <= r->me.now_ns)
		hole_ask(r, out);
	else if (leave_deadline(r) <= r->me.now_ns)
		leave_on_timer(r, out);
	else if (r->tick_at_ns <= r->me.now_ns)
		repair_tick(r, out);
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
deadline(const void *self)
{
	const struct zyzzyva *r = self;
	if (work_left(r))
		return 0;
	uint64_t at_ns = smaller(r->tick_at_ns, orders_deadline(r));
	return smaller(smaller(at_ns, r->hole_ns), leave_deadline(r));
}

static void
first_step(struct zyzzyva *r, uint64_t now_ns)
{
	/* Time only grows: no former life had this number. */
	r->nonce = now_ns | 1;
	r->progress_ns = now_ns;
	r->tick_at_ns = now_ns + r->tick_ns;
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct zyzzyva *r = self;
	r->me.now_ns = event->now_ns;
	if (__builtin_expect(r->nonce == 0, 0))
		first_step(r, event->now_ns);
	switch (event->type) {
	case EVENT_MESSAGE:
		on_message(r, event, out);
		break;
	case EVENT_TIMEOUT:
		on_timeout(r, out);
		break;
	case EVENT_EXECUTED:
		speculate_on_executed(r, &event->executed, out);
		break;
	case EVENT_STATE:
		speculate_on_state(r, &event->moved, out);
		break;
	case EVENT_SUBMIT:
		break;
	}
	if (r->stirred && r->tick_at_ns == TIME_NEVER)
		r->tick_at_ns = event->now_ns + r->tick_ns;
	r->figures.view = r->me.view;
	r->figures.stable = r->stable;
	r->figures.executed = r->executed;
	r->figures.committed = r->certified;
}

/* ---- what others ask ------------------------------------------------------------- */

static void
audit(const void *self)
{
	const struct zyzzyva *r = self;
	check(r->stable <= r->top);
	check(r->stable % r->interval == 0);
	check(r->stable <= r->stable_seen.head.seq);
	check(r->stable_proof.head.seq == r->stable);
	/* A view may begin above the own window, where others' checkpoints are ahead; what is
	   executed lies within, so that it can be undone. */
	check(r->top - r->stable < r->slots_count);
	if (!r->moving && !r->stranded)
		check(r->delivered <= r->stable + r->window_log);
	check(r->executed <= r->delivered);
	check(r->certified <= r->top || r->stranded);
	check(r->fetching == 0 || r->moving);
	check(!r->active || r->active_view == r->me.view);
	if (r->active && r->me.view != 0 && RULE(ZYZZYVA_OLD_CERTIFICATE_WINS))
		check(r->held.head.view == r->me.view);
	if (!r->moving && !r->stranded) {
		check(r->delivered <= r->top);
		check(r->executed >= r->stable);
	}
	/* Each body names the one before. */
	for (uint64_t seq = r->stable + 1; seq <= r->top; seq++) {
		const struct slot *s = ledger_find(r, seq);
		check(s != NULL);
		const struct bank *bank = ledger_bank(s, s->history32);
		check(bank != NULL);
		if (RULE(ZYZZYVA_HISTORY_UNCHECKED))
			check(digest_equal(ledger_bytes(r, s, bank), history_at(r, seq - 1)));
	}
	requests_audit(&r->requests);
}

static uint64_t
view(const void *self)
{
	const struct zyzzyva *r = self;
	return r->me.view;
}

static uint64_t
none(const void *self)
{
	(void)self;
	return 0;
}

static void
figures(const void *self, struct figures *list)
{
	const struct zyzzyva *r = self;
	const struct replica_figures *f = &r->figures;
	figures_add(list, "view", &f->view, false);
	figures_add(list, "stable", &f->stable, false);
	figures_add(list, "executed_seq", &f->executed, false);
	figures_add(list, "committed", &f->committed, false);
	figures_add(list, "proposals", &r->requests.batches, true);
	figures_add(list, "requests_proposed", &r->requests.batched, true);
	figures_add(list, "fill_holes", &f->fill_holes, true);
	figures_add(list, "witnesses", &f->witnesses, true);
	figures_add(list, "poms", &f->poms, true);
	figures_add(list, "hates", &f->hates, true);
	figures_add(list, "view_changes", &f->view_changes, true);
	figures_add(list, "new_views", &f->new_views, true);
	figures_add(list, "confirms", &f->confirms, true);
	figures_add(list, "rollbacks", &f->rollbacks, true);
	figures_add(list, "rolled_back", &f->rolled_back, true);
	figures_add(list, "statements", &f->statements, true);
	figures_add(list, "commits", &f->commits, true);
	figures_add(list, "checkpoints", &f->checkpoints, true);
	figures_add(list, "violations", &f->conflicts, true);
	figures_add(list, "refused", &f->refused, true);
	figures_add(list, "macs_failed", &r->requests.macs_failed, true);
	figures_add(list, "pool_full", &r->requests.pool_full, true);
	figures_add(list, "statuses", &f->statuses, true);
	figures_add(list, "resent", &f->resent, true);
	figures_add(list, "fetches", &f->fetches, true);
	figures_add(list, "transfers", &f->transfers, true);
}

const char *
zyzzyva_type_name(uint8_t type)
{
	static const char *const names[ZYZZYVA_TYPES_END - BFT_TYPES_END] = {"ORDER-REQ",
	    "STATEMENT", "ASK", "STATED", "COMMIT", "LOCAL-COMMIT", "FILL-HOLE", "VOUCH", "WITNESS",
	    "POM", "HATE", "VIEW-CHANGE", "NEW-VIEW", "STABLE", "CERTIFICATE", "STATUS", "FETCH",
	    "BODY"};
	return type >= BFT_TYPES_END && type < ZYZZYVA_TYPES_END ? names[type - BFT_TYPES_END]
								 : bft_type_name(type);
}

const struct machine zyzzyva_replica = {
    .sends_per_step = ZYZZYVA_SENDS_PER_STEP,
    .large_per_step = 1,
    .deliveries_per_step = ZYZZYVA_DELIVERIES_PER_STEP,
    .completions_per_step = 0,
    .claims_per_message = claims_per_message,
    .message_size_max = message_size_max,
    .proposal_head_size = proposal_head_size,
    .reply_head_size = sizeof(struct reply_head),
    .size = size,
    .init = init,
    .screen = screen,
    .step = step,
    .deadline = deadline,
    .audit = audit,
    .view = view,
    .figures = figures,
    .retransmissions = none,
};
