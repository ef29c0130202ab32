/* SPDX-License-Identifier: Apache-2.0 */
/* The replica: its memory, and which phase an event is for. See replica.h. One core. */
#include "protocols/hotstuff/replica.h"

/* Heights in which a chain can wait for three good views in a row: so many empty blocks. */
enum { RESERVE_MIN = 64, RESERVE_PER_REPLICA = 4 };

/* ---- memory ---------------------------------------------------------------------------- */

static uint32_t
quorum_of(const struct protocol_config *config)
{
	return quorum_size(config->replicas_count, config->faults);
}

static uint32_t
reserve_of(const struct protocol_config *config)
{
	return RESERVE_MIN + RESERVE_PER_REPLICA * (uint32_t)config->replicas_count;
}

/*
 * An interval behind the stable checkpoint, two that may be filled, and one for
 * blocks that others have already and for forks; empty blocks above.
 */
static struct tree_places
places_of(const struct protocol_config *config)
{
	return (struct tree_places){
	    .full = 4 * config->checkpoint_interval, .light = reserve_of(config)};
}

/* The requests; a CERTIFICATE's three certificates are more than any other message has. */
static uint32_t
claims_per_message(const struct protocol_config *config)
{
	return 2 + 2 * config->batch_count_max + 3 * quorum_of(config);
}

static uint32_t
proposal_head_size(const struct protocol_config *config)
{
	return block_head_size_max(quorum_of(config));
}

/* A TIMEOUT or a CERTIFICATE, with the larger head and the larger proof of both. */
static uint32_t
message_size_max(const struct protocol_config *config)
{
	uint32_t certificates =
	    2 * qc_signatures_size(quorum_of(config)) + tc_size(quorum_of(config));
	uint32_t vector = proof_size(PROOF_VECTOR, config->replicas_count);
	static_assert(sizeof(struct timeout_head) >= sizeof(struct certificate_head), "larger");
	return (uint32_t)(sizeof(struct message_header) + sizeof(struct timeout_head)) +
	       certificates + (vector > SIGNATURE_SIZE ? vector : SIGNATURE_SIZE);
}

struct layout {
	size_t requests, heights, tree, end;
};

static struct layout
layout_of(const struct protocol_config *config)
{
	struct tree_places places = places_of(config);
	struct layout l;
	l.requests = bft_rounded(sizeof(struct hotstuff));
	l.heights = l.requests + requests_size(config);
	l.tree = l.heights + bft_rounded((places.full + places.light) * sizeof(uint32_t));
	l.end = l.tree + tree_size(config, &places);
	return l;
}

static size_t
size(const struct protocol_config *config)
{
	return layout_of(config).end;
}

static void
init(void *self, const struct protocol_config *config)
{
	struct hotstuff *r = self;
	struct layout l = layout_of(config);
	struct tree_places places = places_of(config);
	uint8_t *base = self;
	check(config->checkpoint_interval >= config->window && config->window >= 1);
	check(config->view_timeout_ns >= 1000 * HOTSTUFF_TICKS_PER_TIMEOUT);
	member_init(&r->me, config);
	requests_init(&r->requests, &r->me, base + l.requests);
	checkpoints_init(&r->checkpoints, &r->me);
	r->heights = (uint32_t *)(void *)(base + l.heights);
	tree_init(&r->tree, config, &places, base + l.tree);
	r->interval = config->checkpoint_interval;
	r->reserve = reserve_of(config);
	r->tick_ns = config->view_timeout_ns / HOTSTUFF_TICKS_PER_TIMEOUT;
	r->silent = config->restarted && RULE(HOTSTUFF_AMNESIA);
	r->view = 1;
	r->whole = true;
	r->root_known = true; /* the genesis block, whose digest is zero */
}

static void
init_two_phase(void *self, const struct protocol_config *config)
{
	struct hotstuff *r = self;
	init(self, config);
	r->two_phase = true;
}

/* ---- messages ------------------------------------------------------------------------------ */

static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct hotstuff *r = self;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
	case BFT_READ:
		return requests_screen(&r->requests, m, claims);
	case BFT_COMPLAINT:
		return requests_screen_complaint(&r->requests, m, claims);
	case BFT_CHECKPOINT:
		return checkpoints_screen(&r->checkpoints, m, claims);
	case HOTSTUFF_PROPOSAL:
		return propose_screen(r, m, claims);
	case HOTSTUFF_VOTE:
		return vote_screen(r, m, claims);
	case HOTSTUFF_TIMEOUT:
		return pacemaker_screen(r, m, claims);
	case HOTSTUFF_STATUS:
		return sync_screen_status(r, m, claims);
	case HOTSTUFF_CERTIFICATE:
		return sync_screen_certificate(r, m, claims);
	case HOTSTUFF_FETCH:
		return sync_screen_fetch(r, m, claims);
	case HOTSTUFF_BLOCK:
		return sync_screen_block(r, m, claims);
	default:
		return VERDICT_DROP;
	}
}

static void
on_checkpoint(struct hotstuff *r, const struct message *m, struct outbox *out)
{
	struct reach reach = reach_of(r);
	if (checkpoints_on_message(&r->checkpoints, m, &reach, out))
		apply_prune(r);
}

static void
on_message(struct hotstuff *r, const struct event *event, struct outbox *out)
{
	const struct message *m = event->message;
	switch (m->header->type) {
	case MESSAGE_REQUEST:
		propose_on_request(r, m, out);
		break;
	case BFT_READ:
		apply_on_read(r, m, out);
		break;
	case BFT_COMPLAINT:
		complain_on_message(r, m, out);
		break;
	case BFT_CHECKPOINT:
		on_checkpoint(r, m, out);
		break;
	case HOTSTUFF_PROPOSAL:
		propose_on_message(r, event, out);
		break;
	case HOTSTUFF_VOTE:
		vote_on_message(r, event, out);
		break;
	case HOTSTUFF_TIMEOUT:
		pacemaker_on_timeout(r, m, out);
		break;
	case HOTSTUFF_STATUS:
		sync_on_status(r, m);
		break;
	case HOTSTUFF_CERTIFICATE:
		sync_on_certificate(r, m, out);
		break;
	case HOTSTUFF_FETCH:
		if (m->own)
			spare_on_proven(r, m, out);
		else
			sync_on_fetch(r, m);
		break;
	case HOTSTUFF_BLOCK:
		sync_on_block(r, m, out);
		break;
	default:
		break;
	}
}

/* ---- timers and what is left over ------------------------------------------------------------ */

static bool
work_left(const struct hotstuff *r)
{
	return r->untold || sync_owes(r) || r->requests.recheck != 0 || r->shun_next != 0 ||
	       apply_ready(r);
}

static void
on_timeout(struct hotstuff *r, struct outbox *out)
{
	/*
	 * A leader's block first: all others wait for it. But not with requests for which
	 * the view before may have failed.
	 */
	if (r->shun_next != 0)
		complain_settle(r, out);
	else if (propose_deadline(r) <= r->me.now_ns)
		propose_block(r, out);
	else if (r->untold)
		sync_tell(r, out);
	else if (apply_ready(r))
		return; /* after every step: see step() */
	else if (spare_deadline(r) <= r->me.now_ns)
		spare_prove(r, out);
	else if (sync_tell_deadline(r) <= r->me.now_ns)
		sync_tell_spare(r, out);
	else if (sync_owes(r))
		sync_answer(r, out);
	else if (r->requests.recheck != 0)
		requests_recheck(&r->requests, out);
	else if (pacemaker_deadline(r) <= r->me.now_ns)
		pacemaker_on_timer(r, out);
	else if (r->tick_at_ns <= r->me.now_ns)
		sync_tick(r, out);
}

static uint64_t
deadline(const void *self)
{
	const struct hotstuff *r = self;
	uint64_t at_ns = r->tick_at_ns;
	if (work_left(r))
		return 0;
	uint64_t propose = propose_deadline(r);
	uint64_t view = pacemaker_deadline(r);
	uint64_t spare = spare_deadline(r);
	uint64_t tell = sync_tell_deadline(r);
	at_ns = tell < at_ns ? tell : at_ns;
	at_ns = propose < at_ns ? propose : at_ns;
	at_ns = spare < at_ns ? spare : at_ns;
	return view < at_ns ? view : at_ns;
}

/* Time only grows: no former life had this nonce. */
static void
begin(struct hotstuff *r)
{
	r->nonce = r->me.now_ns | 1;
	r->timer_ns = r->me.now_ns;
	r->tenure_ns = r->me.now_ns;
	r->tick_at_ns = r->me.now_ns + (r->silent ? 0 : r->tick_ns);
}

static void
figures_set(struct hotstuff *r)
{
	struct hotstuff_figures *f = &r->figures;
	f->view = r->view;
	f->high_view = r->high.head.view;
	f->locked_view = r->locked.view;
	f->committed = r->committed;
	f->stable = r->checkpoints.stable;
	f->executed = r->executed;
	f->violations = f->conflicts + r->checkpoints.conflicts;
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct hotstuff *r = self;
	r->me.now_ns = event->now_ns;
	r->frontier = event->frontier;
	if (__builtin_expect(r->nonce == 0, 0))
		begin(r);
	switch (event->type) {
	case EVENT_MESSAGE:
		on_message(r, event, out);
		break;
	case EVENT_TIMEOUT:
		on_timeout(r, out);
		break;
	case EVENT_EXECUTED:
		apply_on_executed(r, &event->executed, out);
		break;
	case EVENT_STATE:
		apply_on_state(r, &event->moved, out);
		break;
	case EVENT_SUBMIT:
		break;
	}
	apply_deliver(r, out);
	pacemaker_watch(r);
	figures_set(r);
}

/* ---- audit, figures ------------------------------------------------------------------------- */

static void
audit_chain(const struct hotstuff *r)
{
	uint8_t parent32[32];
	bool known = false;
	for (uint64_t h = r->executed + 1; h <= r->committed && !r->checkpoints.moving; h++) {
		const struct block *b = chain_at(r, h);
		check(b != NULL);
		if (known)
			check(digest_equal(b->justify.digest32, parent32));
		memcpy(parent32, b->digest32, sizeof(parent32));
		known = true;
	}
	if (known && r->root_known)
		check(digest_equal(parent32, r->root32));
}

static void
audit(const void *self)
{
	const struct hotstuff *r = self;
	check(r->checkpoints.stable <= r->executed || r->checkpoints.moving);
	check(r->executed <= r->delivered);
	check(r->delivered <= r->committed);
	check(r->delivered - r->executed <= r->me.config.window || r->checkpoints.moving);
	check(r->locked.view <= r->high.head.view);
	check(r->view > r->high.head.view && r->view > r->tc.head.view);
	check(r->candidate <= r->view && r->proposed <= r->view && r->given_up <= r->view);
	/* One that recovered votes in no view that its former life can have reached. */
	check(r->voted <= r->view || r->voted == r->floor);
	if (r->proposed != 0)
		check(leads(r, r->proposed));
	for (uint32_t i = 0; i < r->tree.places_count; i++) {
		const struct block *b = &r->tree.blocks[i];
		if (b->used && b->certified)
			check(b->view <= r->high.head.view && !b->unproven);
		if (b->used && b->committed)
			check(b->certified && b->height <= r->committed);
	}
	audit_chain(r);
	tree_audit(&r->tree);
	requests_audit(&r->requests);
	checkpoints_audit(&r->checkpoints);
}

static uint64_t
view(const void *self)
{
	const struct hotstuff *r = self;
	return r->view / hotstuff_tenure(&r->me.config);
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
	const struct hotstuff *r = self;
	const struct hotstuff_figures *f = &r->figures;
	figures_add(list, "view", &f->view, false);
	figures_add(list, "high_qc_view", &f->high_view, false);
	figures_add(list, "locked_view", &f->locked_view, false);
	figures_add(list, "committed", &f->committed, false);
	figures_add(list, "stable", &f->stable, false);
	figures_add(list, "executed_seq", &f->executed, false);
	figures_add(list, "proposals", &f->proposals, true);
	figures_add(list, "requests_proposed", &r->requests.batched, true);
	figures_add(list, "empty_blocks", &f->empty_blocks, true);
	figures_add(list, "qcs", &f->qcs, true);
	figures_add(list, "votes_late", &f->votes_late, true);
	figures_add(list, "timeouts", &f->timeouts, true);
	figures_add(list, "tcs", &f->tcs, true);
	figures_add(list, "forks_abandoned", &f->forks_abandoned, true);
	figures_add(list, "blocks_fetched", &f->blocks_fetched, true);
	figures_add(list, "blocks_served", &f->blocks_served, true);
	figures_add(list, "blocks_lost", &f->blocks_lost, true);
	figures_add(list, "resent", &f->resent, true);
	figures_add(list, "relayed", &f->relayed, true);
	figures_add(list, "transfers", &r->checkpoints.transfers, true);
	figures_add(list, "violations", &f->violations, true);
	figures_add(list, "spared", &f->spared, true);
	figures_add(list, "refused", &f->refused, true);
	figures_add(list, "macs_failed", &r->requests.macs_failed, true);
	figures_add(list, "pool_full", &r->requests.pool_full, true);
	figures_add(list, "safety_faults", &f->safety_faults, true);
	figures_add(list, "propose_to_commit_ns", &f->propose_to_commit_ns, false);
}

const char *
hotstuff_type_name(uint8_t type)
{
	static const char *const names[HOTSTUFF_TYPES_END - BFT_TYPES_END] = {
	    "PROPOSAL", "VOTE", "TIMEOUT", "STATUS", "CERTIFICATE", "FETCH", "BLOCK"};
	if (type >= BFT_TYPES_END && type < HOTSTUFF_TYPES_END)
		return names[type - BFT_TYPES_END];
	return bft_type_name(type);
}

/* clang-format off */
#define HOTSTUFF_MACHINE                                        \
	.sends_per_step = HOTSTUFF_SENDS_PER_STEP,              \
	.large_per_step = 1,                                    \
	.deliveries_per_step = HOTSTUFF_DELIVERIES_PER_STEP,    \
	.completions_per_step = 0,                              \
	.claims_per_message = claims_per_message,               \
	.message_size_max = message_size_max,                   \
	.proposal_head_size = proposal_head_size,               \
	.size = size,                                           \
	.screen = screen,                                       \
	.step = step,                                           \
	.deadline = deadline,                                   \
	.audit = audit,                                         \
	.view = view,                                           \
	.figures = figures,                                     \
	.retransmissions = none
/* clang-format on */

const struct machine hotstuff_replica = {HOTSTUFF_MACHINE, .init = init};
const struct machine hotstuff2_replica = {HOTSTUFF_MACHINE, .init = init_two_phase};
