/* SPDX-License-Identifier: Apache-2.0 */
/* The replica: its log, and which phase an event is for. See replica.h. One core. */
#include "protocols/pbft/replica.h"

#ifdef PBFT_MUTANTS
enum pbft_mutant pbft_mutant;
#endif

/* ---- the log ------------------------------------------------------------------ */

struct slot *
log_slot(struct pbft *r, uint64_t seq)
{
	struct slot *s = &r->slots[seq % r->slots_count];
	check(log_holds(r, seq));
	if (s->seq != seq) {
		check(s->seq < seq);
		size_t votes = (size_t)PHASES_COUNT * r->config.replicas_count;
		memset(s, 0, sizeof(*s));
		memset(log_vote(r, s, PHASE_PREPARE, 0), 0, votes * sizeof(struct vote));
		s->seq = seq;
	}
	if (seq > r->heard)
		r->heard = seq;
	return s;
}

static uint8_t *
bank_bytes(const struct pbft *r, const struct slot *s, uint32_t bank)
{
	size_t place = (size_t)(s - r->slots) * PBFT_BANKS + bank;
	return r->bodies + place * r->config.batch_size_max;
}

const uint8_t *
log_body(const struct pbft *r, const struct slot *s, const uint8_t *digest32, uint32_t *size)
{
	for (uint32_t i = 0; i < PBFT_BANKS; i++) {
		if (s->banks[i].full && digest_equal(s->banks[i].digest32, digest32)) {
			*size = s->banks[i].size;
			return bank_bytes(r, s, i);
		}
	}
	*size = 0;
	return digest_is_zero(digest32) ? r->bodies : NULL;
}

bool
log_has_body(const struct slot *s, const uint8_t *digest32)
{
	for (uint32_t i = 0; i < PBFT_BANKS; i++) {
		if (s->banks[i].full && digest_equal(s->banks[i].digest32, digest32))
			return true;
	}
	return digest_is_zero(digest32);
}

/* Prepared, committed, or accepted and perhaps in execution: such a batch stays. */
static bool
bank_is_needed(const struct slot *s, const struct bank *b)
{
	return b->full && ((s->has_p && digest_equal(b->digest32, s->p.digest32)) ||
			      (s->committed && digest_equal(b->digest32, s->final32)) ||
			      (s->accepted && digest_equal(b->digest32, s->digest32)) ||
			      (s->wanted && digest_equal(b->digest32, s->wanted32)));
}

bool
log_store_body(struct pbft *r, struct slot *s, const uint8_t *digest32, const struct message *m)
{
	if (log_has_body(s, digest32))
		return true;
	for (uint32_t i = 0; i < PBFT_BANKS; i++) {
		struct bank *b = &s->banks[i];
		if (bank_is_needed(s, b))
			continue;
		b->full = true;
		b->size = m->body_size;
		memcpy(b->digest32, digest32, 32);
		memcpy(bank_bytes(r, s, i), m->body, m->body_size);
		return true;
	}
	return false;
}

/* A new view: what was said in the old one stays in P, Q and the votes. */
void
log_forget_view(struct pbft *r)
{
	for (uint64_t i = 0; i < r->slots_count; i++) {
		struct slot *s = &r->slots[i];
		s->accepted = false;
		s->wanted = false;
		s->vouched = false;
		s->prepare_sent = false;
		s->commit_sent = false;
		s->prepared = false;
		s->prepares = 0;
		s->commits = 0;
		s->view = 0;
		s->prepared_ns = 0;
	}
}

/* ---- the machine ---------------------------------------------------------------- */

static uint32_t
claims_per_message(const struct protocol_config *config)
{
	return 2 + 2 * config->batch_count_max;
}

struct layout {
	size_t clients, slots, votes, cells, requests, changes, views, bodies, end;
	uint32_t cells_count;
};

static size_t
rounded(size_t size)
{
	return (size + 63) & ~(size_t)63;
}

static struct layout
layout_of(const struct protocol_config *c)
{
	struct layout l = {.cells_count = pool_cells_count(c->slots_count, c->request_size_max)};
	size_t slots = 3ull * c->checkpoint_interval;
	size_t n = c->replicas_count;
	l.clients = rounded(sizeof(struct pbft));
	l.slots = l.clients + c->slots_count * sizeof(struct client_state);
	l.votes = rounded(l.slots + slots * sizeof(struct slot));
	l.cells = rounded(l.votes + slots * PHASES_COUNT * n * sizeof(struct vote));
	l.requests = rounded(l.cells + l.cells_count * sizeof(struct pool_cell));
	l.changes = rounded(l.requests + (size_t)l.cells_count * batch_padded(c->request_size_max));
	l.views = rounded(l.changes + 2 * n * rounded(view_change_size_max(c)));
	l.bodies = rounded(l.views + 2 * rounded(view_change_new_view_size_max(c)));
	l.end = l.bodies + slots * PBFT_BANKS * c->batch_size_max;
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
	uint32_t change = view_change_size_max(config);
	uint32_t new_view = view_change_new_view_size_max(config);
	return change > new_view ? change : new_view;
}

static void
memory_divide(struct pbft *r, const struct layout *l)
{
	const struct protocol_config *c = &r->config;
	uint8_t *base = (uint8_t *)r;
	size_t change = rounded(view_change_size_max(c));
	r->clients = (void *)(base + l->clients);
	r->slots = (void *)(base + l->slots);
	r->votes = (void *)(base + l->votes);
	r->bodies = base + l->bodies;
	for (uint32_t i = 0; i < c->replicas_count; i++) {
		r->now[i].message = (void *)(base + l->changes + 2 * i * change);
		r->next[i].message = (void *)(base + l->changes + (2 * i + 1) * change);
	}
	r->entered.message = (void *)(base + l->views);
	r->offered.message = (void *)(base + l->views + rounded(view_change_new_view_size_max(c)));
	pool_init(&r->pool, (void *)(base + l->cells), base + l->requests, l->cells_count,
	    c->request_size_max);
}

static void
init(void *self, const struct protocol_config *config)
{
	struct pbft *r = self;
	struct layout l = layout_of(config);
	check(config->replicas_count <= PBFT_REPLICAS_MAX);
	check(config->replicas_count > 3u * config->faults);
	check(config->checkpoint_interval >= config->window && config->window >= 1);
	check(2ull * config->checkpoint_interval <= DECIDE_WINDOW_MAX);
	check(config->batch_size_max % 8 == 0);
	check(config->batch_size_max >= batch_padded(config->request_size_max));
	check(config->view_timeout_ns >= 1000 * PBFT_TICKS_PER_TIMEOUT);
	r->config = *config;
	r->stamp =
	    (struct stamp){config->cluster, config->self, config->replicas_count, config->protocol};
	r->scope =
	    (struct message_scope){config->cluster, config->replicas_count, config->protocol};
	r->q = quorum_size(config->replicas_count, config->faults);
	if (!RULE(PBFT_QUORUM_SHORT))
		r->q--;
	r->everybody = quorum_everybody(config->replicas_count);
	r->interval = config->checkpoint_interval;
	r->window_log = 2 * r->interval;
	r->slots_count = 3 * r->interval;
	r->tick_ns = config->view_timeout_ns / PBFT_TICKS_PER_TIMEOUT;
	r->active = true;
	r->silent = config->restarted && RULE(PBFT_AMNESIA);
	r->changes_size = view_change_size_max(config);
	r->new_view_size = view_change_new_view_size_max(config);
	memory_divide(r, &l);
}

static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct pbft *r = self;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
	case PBFT_READ:
		return order_screen_request(r, m, claims);
	case PBFT_PRE_PREPARE:
		return order_screen_pre_prepare(r, m, claims);
	case PBFT_PREPARE:
	case PBFT_COMMIT:
	case PBFT_DECIDED:
		return order_screen_vote(r, m, claims);
	case PBFT_CHECKPOINT:
		return checkpoint_screen(r, m, claims);
	case PBFT_VIEW_CHANGE:
		return view_change_screen(r, m, claims);
	case PBFT_NEW_VIEW:
		return view_change_screen_new_view(r, m, claims);
	case PBFT_STATUS:
		return status_screen(r, m, claims);
	case PBFT_FETCH:
		return status_screen_fetch(r, m, claims);
	case PBFT_BATCH:
		return status_screen_batch(r, m, claims);
	case PBFT_COMPLAINT:
		if (m->header->proof != r->config.protocol_proof || m->body_size != 0 ||
		    m->header->sender >= r->config.replicas_count ||
		    m->header->seq >= r->config.slots_count)
			return VERDICT_DROP;
		claims_add_message(claims, m, m->header->sender, r->config.self);
		return VERDICT_STEP;
	default:
		return VERDICT_DROP;
	}
}

static void
on_message(struct pbft *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
	case PBFT_READ:
		order_on_request(r, m, out);
		break;
	case PBFT_PRE_PREPARE:
		order_on_pre_prepare(r, event, out);
		break;
	case PBFT_PREPARE:
	case PBFT_COMMIT:
		order_on_vote(r, m, out);
		break;
	case PBFT_DECIDED:
		order_on_decided(r, m, out);
		break;
	case PBFT_CHECKPOINT:
		checkpoint_on_message(r, m, out);
		break;
	case PBFT_VIEW_CHANGE:
		view_change_on_message(r, m, out);
		break;
	case PBFT_NEW_VIEW:
		view_change_on_new_view(r, m, out);
		break;
	case PBFT_STATUS:
		status_on_message(r, m, out);
		break;
	case PBFT_FETCH:
		status_on_fetch(r, m, out);
		break;
	case PBFT_BATCH:
		status_on_batch(r, m, out);
		break;
	case PBFT_COMPLAINT:
		order_on_complaint(r, m, out);
		break;
	default:
		break;
	}
}

/* ---- timers and what is left over ------------------------------------------------- */

/* Slots of a new view, or that a moved window lets in, a few a step. */
static void
slots_resume(struct pbft *r, uint64_t *next, uint64_t end, struct outbox *out)
{
	for (uint32_t i = 0; i < 2 && *next != 0; i++) {
		struct slot *s = *next <= end ? log_find(r, *next) : NULL;
		if (s != NULL)
			order_advance(r, s, out);
		*next = *next >= end ? 0 : *next + 1;
	}
}

static bool
work_left(const struct pbft *r)
{
	return r->change_due || r->new_view_due || r->status_due || r->answers != 0 ||
	       r->reprepare_next != 0 || r->held_next != 0 || r->recheck != 0 || execute_ready(r);
}

static void
work(struct pbft *r, struct outbox *out)
{
	if (r->change_due) {
		view_change_send(r, out);
	} else if (r->new_view_due) {
		view_change_new_view(r, out);
	} else if (r->reprepare_next != 0) {
		slots_resume(r, &r->reprepare_next, r->reprepare_end, out);
	} else if (r->held_next != 0) {
		uint64_t end = r->stable + r->window_log;
		slots_resume(r, &r->held_next, end < r->highest ? end : r->highest, out);
	} else if (execute_ready(r)) {
		execute_deliver(r, out);
	} else if (r->recheck != 0) {
		execute_recheck(r, out);
	} else if (r->status_due) {
		r->status_due = false;
		status_send(r, replica_others(r), 0, out);
	} else {
		status_answer(r, out);
	}
}

static void
on_timeout(struct pbft *r, struct outbox *out)
{
	if (work_left(r)) {
		work(r, out);
		return;
	}
	if (order_deadline(r) <= r->now_ns) {
		order_propose(r, out);
		return;
	}
	/* The rest cannot be in a hurry: the view's timer, and once a tick a look around. */
	if (view_change_deadline(r) <= r->now_ns)
		view_change_on_timer(r, out);
	else if (r->tick_at_ns <= r->now_ns)
		status_tick(r, out);
}

static uint64_t
deadline(const void *self)
{
	const struct pbft *r = self;
	if (work_left(r))
		return 0;
	uint64_t at_ns = r->tick_at_ns;
	uint64_t propose = order_deadline(r);
	uint64_t change = view_change_deadline(r);
	at_ns = propose < at_ns ? propose : at_ns;
	return change < at_ns ? change : at_ns;
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct pbft *r = self;
	r->now_ns = event->now_ns;
	r->frontier = event->frontier;
	if (__builtin_expect(r->nonce == 0, 0)) {
		/* Time only grows: no former life had this number. */
		r->nonce = event->now_ns | 1;
		r->progress_ns = event->now_ns;
		r->tick_at_ns = event->now_ns + r->tick_ns;
		r->watch_ns = event->now_ns;
	}
	switch (event->type) {
	case EVENT_MESSAGE:
		on_message(r, event, out);
		break;
	case EVENT_TIMEOUT:
		on_timeout(r, out);
		break;
	case EVENT_EXECUTED:
		execute_on_executed(r, &event->executed, out);
		break;
	case EVENT_STATE:
		execute_on_state(r, &event->moved, out);
		break;
	case EVENT_SUBMIT:
		break;
	}
	r->figures.view = r->view;
	r->figures.stable = r->stable;
	r->figures.executed = r->executed;
}

static void
audit_slot(struct pbft *r, struct slot *s)
{
	if (s->prepare_sent)
		check(s->accepted && s->vouched);
	if (s->commit_sent)
		check(s->prepared);
	if (s->prepared)
		check(s->accepted && s->has_p && digest_equal(s->p.digest32, s->digest32));
	if (s->accepted && r->active)
		check(s->view == r->view);
	/* What is committed in a view is all that can prepare in a later one. */
	if (s->committed && s->prepared && s->seq > r->stable && s->view >= s->final_view)
		check(digest_equal(s->final32, s->digest32));
}

static void
audit(const void *self)
{
	struct pbft *r = (struct pbft *)(uintptr_t)self;
	check(r->executed <= r->delivered);
	check(r->delivered - r->executed <= r->config.window || r->moving);
	check(r->stable % r->interval == 0);
	if (!r->config.tentative && !r->moving)
		check(r->delivered <= r->committed);
	for (uint64_t i = 0; i < r->slots_count; i++) {
		if (r->slots[i].seq > log_base(r))
			audit_slot(r, &r->slots[i]);
	}
	uint32_t pending = 0;
	for (uint32_t at = r->pool.first; at != 0; at = r->pool.cells[at - 1].next)
		pending++;
	check(pending == r->pool.count);
}

static uint64_t
view(const void *self)
{
	const struct pbft *r = self;
	return r->view;
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
	const struct replica_figures *f = &((const struct pbft *)self)->figures;
	figures_add(list, "view", &f->view, false);
	figures_add(list, "stable", &f->stable, false);
	figures_add(list, "executed_seq", &f->executed, false);
	figures_add(list, "proposals", &f->proposals, true);
	figures_add(list, "requests_proposed", &f->requests_proposed, true);
	figures_add(list, "view_changes", &f->view_changes, true);
	figures_add(list, "new_views", &f->new_views, true);
	figures_add(list, "new_views_refused", &f->new_views_refused, true);
	figures_add(list, "violations", &f->conflicts, true);
	figures_add(list, "refused", &f->refused, true);
	figures_add(list, "macs_failed", &f->macs_failed, true);
	figures_add(list, "pool_full", &f->pool_full, true);
	figures_add(list, "statuses", &f->statuses, true);
	figures_add(list, "resent", &f->resent, true);
	figures_add(list, "fetches", &f->fetches, true);
	figures_add(list, "batches_served", &f->batches_served, true);
	figures_add(list, "transfers", &f->transfers, true);
	figures_add(list, "rollbacks", &f->rollbacks, true);
	figures_add(list, "prepare_ns", &f->prepare_ns, false);
	figures_add(list, "commit_ns", &f->commit_ns, false);
	figures_add(list, "execute_ns", &f->execute_ns, false);
}

const char *
pbft_type_name(uint8_t type)
{
	static const char *const names[PBFT_TYPES_END - MESSAGE_PROTOCOL] = {"PRE-PREPARE",
	    "PREPARE", "COMMIT", "CHECKPOINT", "VIEW-CHANGE", "NEW-VIEW", "STATUS", "FETCH",
	    "BATCH", "READ", "REPLY-DIGEST", "MUST-SIGN", "COMPLAINT", "DECIDED"};
	return type >= MESSAGE_PROTOCOL && type < PBFT_TYPES_END ? names[type - MESSAGE_PROTOCOL]
								 : NULL;
}

const struct machine pbft_replica = {
    .sends_per_step = PBFT_SENDS_PER_STEP,
    .large_per_step = 1,
    .deliveries_per_step = PBFT_DELIVERIES_PER_STEP,
    .completions_per_step = 0,
    .claims_per_message = claims_per_message,
    .message_size_max = message_size_max,
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
