/* SPDX-License-Identifier: Apache-2.0 */
/* The replica: its log, and which phase an event is for. See replica.h. One core. */
#include "protocols/pbft/replica.h"

/* ---- the log ------------------------------------------------------------------ */

struct slot *
log_slot(struct pbft *r, uint64_t seq)
{
	struct slot *s = &r->slots[seq % r->slots_count];
	check(log_holds(r, seq));
	if (s->seq != seq) {
		check(s->seq < seq);
		size_t votes = (size_t)PHASES_COUNT * r->me.config.replicas_count;
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
	return r->bodies + place * r->me.config.batch_size_max;
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
	size_t requests, slots, votes, changes, views, bodies, end;
};

static struct layout
layout_of(const struct protocol_config *c)
{
	struct layout l;
	size_t slots = 3ull * c->checkpoint_interval;
	size_t n = c->replicas_count;
	l.requests = bft_rounded(sizeof(struct pbft));
	l.slots = l.requests + requests_size(c);
	l.votes = bft_rounded(l.slots + slots * sizeof(struct slot));
	l.changes = bft_rounded(l.votes + slots * PHASES_COUNT * n * sizeof(struct vote));
	l.views = bft_rounded(l.changes + 2 * n * bft_rounded(view_change_size_max(c)));
	l.bodies = bft_rounded(l.views + 2 * bft_rounded(view_change_new_view_size_max(c)));
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
	const struct protocol_config *c = &r->me.config;
	uint8_t *base = (uint8_t *)r;
	size_t change = bft_rounded(view_change_size_max(c));
	r->slots = (void *)(base + l->slots);
	r->votes = (void *)(base + l->votes);
	r->bodies = base + l->bodies;
	for (uint32_t i = 0; i < c->replicas_count; i++) {
		r->now[i].message = (void *)(base + l->changes + 2 * i * change);
		r->next[i].message = (void *)(base + l->changes + (2 * i + 1) * change);
	}
	r->entered.message = (void *)(base + l->views);
	r->offered.message =
	    (void *)(base + l->views + bft_rounded(view_change_new_view_size_max(c)));
}

static void
init(void *self, const struct protocol_config *config)
{
	struct pbft *r = self;
	struct layout l = layout_of(config);
	check(config->checkpoint_interval >= config->window && config->window >= 1);
	check(2ull * config->checkpoint_interval <= DECIDE_WINDOW_MAX);
	check(config->view_timeout_ns >= 1000 * PBFT_TICKS_PER_TIMEOUT);
	member_init(&r->me, config);
	if (!RULE(PBFT_QUORUM_SHORT))
		r->me.quorum--;
	r->interval = config->checkpoint_interval;
	r->window_log = 2 * r->interval;
	r->slots_count = 3 * r->interval;
	r->tick_ns = config->view_timeout_ns / PBFT_TICKS_PER_TIMEOUT;
	r->active = true;
	r->silent = config->restarted && RULE(PBFT_AMNESIA);
	r->changes_size = view_change_size_max(config);
	r->new_view_size = view_change_new_view_size_max(config);
	memory_divide(r, &l);
	requests_init(&r->requests, &r->me, (uint8_t *)r + l.requests);
	checkpoints_init(&r->checkpoints, &r->me);
}

static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct pbft *r = self;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
	case BFT_READ:
		return requests_screen(&r->requests, m, claims);
	case PBFT_PRE_PREPARE:
		return order_screen_pre_prepare(r, m, claims);
	case PBFT_PREPARE:
	case PBFT_COMMIT:
	case PBFT_DECIDED:
		return order_screen_vote(r, m, claims);
	case BFT_CHECKPOINT:
		return checkpoints_screen(&r->checkpoints, m, claims);
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
	case BFT_COMPLAINT:
		return requests_screen_complaint(&r->requests, m, claims);
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
		requests_take(&r->requests, m, replica_orderer(r), out);
		break;
	case BFT_READ:
		execute_on_read(r, m, out);
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
	case BFT_CHECKPOINT:
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
	case BFT_COMPLAINT:
		requests_on_complaint(&r->requests, m, out);
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
	       r->reprepare_next != 0 || r->held_next != 0 || r->requests.recheck != 0 ||
	       execute_ready(r);
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
		uint64_t end = r->checkpoints.stable + r->window_log;
		slots_resume(r, &r->held_next, end < r->highest ? end : r->highest, out);
	} else if (execute_ready(r)) {
		execute_deliver(r, out);
	} else if (r->requests.recheck != 0) {
		requests_recheck(&r->requests, out);
	} else if (r->status_due) {
		r->status_due = false;
		status_send(r, member_others(&r->me), 0, out);
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
	if (order_deadline(r) <= r->me.now_ns) {
		order_propose(r, out);
		return;
	}
	/* The rest cannot be in a hurry: the view's timer, and once a tick a look around. */
	if (view_change_deadline(r) <= r->me.now_ns)
		view_change_on_timer(r, out);
	else if (r->tick_at_ns <= r->me.now_ns)
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
	r->me.now_ns = event->now_ns;
	if (__builtin_expect(r->nonce == 0, 0)) {
		/* Time only grows: no former life had this number. */
		r->nonce = event->now_ns | 1;
		r->progress_ns = event->now_ns;
		r->tick_at_ns = event->now_ns + r->tick_ns;
		r->watch_ns = event->now_ns;
	}
	view_change_on_frontier(r, event->frontier);
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
	r->figures.view = r->me.view;
	r->figures.stable = r->checkpoints.stable;
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
		check(s->view == r->me.view);
	/* What is committed in a view is all that can prepare in a later one. */
	if (s->committed && s->prepared && s->seq > r->checkpoints.stable &&
	    s->view >= s->final_view)
		check(digest_equal(s->final32, s->digest32));
}

static void
audit(const void *self)
{
	struct pbft *r = (struct pbft *)(uintptr_t)self;
	check(r->executed <= r->delivered);
	check(r->delivered - r->executed <= r->me.config.window || r->checkpoints.moving);
	/* Beyond what is committed there is one tentative batch, and what lies on top of it. */
	if (r->tentative.seq == 0 && !r->checkpoints.moving && !r->diverged)
		check(r->delivered <= r->committed);
	if (r->tentative.seq != 0)
		check(r->me.config.tentative && r->tentative.seq == r->committed + 1);
	if (r->diverged || r->undoing)
		check(r->tentative.seq == 0 && r->me.config.tentative);
	for (uint64_t i = 0; i < r->slots_count; i++) {
		if (r->slots[i].seq > log_base(r))
			audit_slot(r, &r->slots[i]);
	}
	requests_audit(&r->requests);
	checkpoints_audit(&r->checkpoints);
}

static uint64_t
view(const void *self)
{
	const struct pbft *r = self;
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
	const struct pbft *r = self;
	const struct replica_figures *f = &r->figures;
	uint64_t violations = __atomic_load_n(&f->conflicts, __ATOMIC_RELAXED) +
			      __atomic_load_n(&r->checkpoints.conflicts, __ATOMIC_RELAXED);
	uint64_t culprits = quorum_count(__atomic_load_n(&r->culprits, __ATOMIC_RELAXED));
	figures_add(list, "view", &f->view, false);
	figures_add(list, "stable", &f->stable, false);
	figures_add(list, "executed_seq", &f->executed, false);
	figures_add(list, "proposals", &r->requests.batches, true);
	figures_add(list, "requests_proposed", &r->requests.batched, true);
	figures_add(list, "view_changes", &f->view_changes, true);
	figures_add(list, "new_views", &f->new_views, true);
	figures_add(list, "new_views_refused", &f->new_views_refused, true);
	figures_add(list, "violations", &violations, true);
	figures_add(list, "culprits", &culprits, false);
	figures_add(list, "refused", &f->refused, true);
	figures_add(list, "adopted", &f->adopted, true);
	figures_add(list, "macs_failed", &r->requests.macs_failed, true);
	figures_add(list, "pool_full", &r->requests.pool_full, true);
	figures_add(list, "statuses", &f->statuses, true);
	figures_add(list, "resent", &f->resent, true);
	figures_add(list, "fetches", &f->fetches, true);
	figures_add(list, "batches_served", &f->batches_served, true);
	figures_add(list, "transfers", &r->checkpoints.transfers, true);
	figures_add(list, "rollbacks", &f->rollbacks, true);
	figures_add(list, "prepare_ns", &f->prepare_ns, false);
	figures_add(list, "commit_ns", &f->commit_ns, false);
	figures_add(list, "execute_ns", &f->execute_ns, false);
}

const char *
pbft_type_name(uint8_t type)
{
	static const char *const names[PBFT_TYPES_END - BFT_TYPES_END] = {"PRE-PREPARE", "PREPARE",
	    "COMMIT", "VIEW-CHANGE", "NEW-VIEW", "STATUS", "FETCH", "BATCH", "DECIDED"};
	return type >= BFT_TYPES_END && type < PBFT_TYPES_END ? names[type - BFT_TYPES_END]
							      : bft_type_name(type);
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
