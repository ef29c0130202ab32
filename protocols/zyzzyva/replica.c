/* SPDX-License-Identifier: Apache-2.0 */
/* The replica: which phase an event is for. See replica.h. One core. */
#include "protocols/zyzzyva/phases.h"

static uint32_t
proposal_head_size(const struct protocol_config *config)
{
	(void)config;
	return 32;
}

static void
init(void *self, const struct protocol_config *config)
{
	struct zyzzyva *r = self;
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
	ledger_init(r);
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
	       r->statement_due != 0 || r->answers != 0 || r->hates_due != 0 ||
	       r->requests.recheck != 0 || speculate_ready(r) || commit_echo_ready(r) ||
	       commit_ready(r) || statement_asks_ready(r);
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
	} else if (r->statement_due != 0) {
		stability_state(r, out);
	} else if (commit_echo_ready(r)) {
		commit_echo(r, out);
	} else if (commit_ready(r)) {
		commit_answer(r, out);
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
	if (cover_deadline(r) <= r->me.now_ns) {
		cover_send(r, out);
		return;
	}
	if (commit_deadline(r) <= r->me.now_ns) {
		commit_again(r, out);
		return;
	}
	if (stability_deadline(r) <= r->me.now_ns) {
		stability_help(r, out);
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
	at_ns = smaller(at_ns, smaller(cover_deadline(r), commit_deadline(r)));
	at_ns = smaller(at_ns, stability_deadline(r));
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
	check(r->covered >= r->certified && r->covered >= r->stable);
	check(r->covered <= r->top || r->stranded);
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
	figures_add(list, "covers", &f->covers, true);
	figures_add(list, "doubts", &f->doubts, true);
	figures_add(list, "witnesses", &f->witnesses, true);
	figures_add(list, "betrayals", &f->betrayals, true);
	figures_add(list, "forks", &f->forks, true);
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
	figures_add(list, "checkpoint_votes", &f->votes, true);
	figures_add(list, "checkpoint_helps", &f->helps, true);
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
    .claims_per_message = ledger_claims_max,
    .message_size_max = ledger_message_max,
    .proposal_head_size = proposal_head_size,
    .reply_head_size = sizeof(struct reply_head),
    .size = ledger_size,
    .init = init,
    .screen = screen,
    .step = step,
    .deadline = deadline,
    .audit = audit,
    .view = view,
    .figures = figures,
    .retransmissions = none,
};
