/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness must notice: PBFT with one rule broken at a time is caught within
 * a stated number of seeds, and the right one passes the very same runs. Some
 * rules are missed in any run with faults; others only where liars, or a view
 * change, make use of what is broken: those have a scenario each.
 */
#include "tests/scenario_rig.h"

#include "engine/session.h"
#include "protocols/pbft/decide.h"
#include "protocols/pbft/mutant.h"
#include "protocols/pbft/pbft.h"
#include "tests/sanitized.h"
#include "tests/sim/sim_modes.h"

#ifndef BFT_MUTANTS
#error "the protocol must be built with its mutants"
#endif

/* Sanitized builds are ten times slower: the unbroken protocol takes a tenth of the seeds. */
enum { SEEDS_SHARE = SANITIZED ? 10 : 1 };

/* Numbers of batches. */
enum { SLOT = 20, EARLY = 5, CLAIMS_MAX_EARLY = 64, STATES_MAX = 256 };

/* ---- Sessions that no checkpoint holds ------------------------------------------------ */

/* The tables' own memory, of one run: none of it is in a digest, none of it is transferred. */
static struct state states[STATES_MAX];
static uint32_t states_count;

int __real_session_open(
    struct session *session, const struct session_options *options, struct state *state);
int __wrap_session_open(
    struct session *session, const struct session_options *options, struct state *state);

/* The linker has the executor call this: see sim/meson.build. */
int
__wrap_session_open(
    struct session *session, const struct session_options *options, struct state *state)
{
	if (RULE(BFT_SESSIONS_LOST))
		return __real_session_open(session, options, state);
	check(states_count < STATES_MAX);
	struct state_options apart = {
	    .size = session_region_size(options), .marks_max = 2, .digester = state->digester};
	struct state *own = &states[states_count++];
	int error = state_open(own, &apart);
	return error != 0 ? error : __real_session_open(session, options, own);
}

static void
states_free(void)
{
	while (states_count > 0)
		state_close(&states[--states_count]);
}

/* ---- What liars write ------------------------------------------------------------------ */

/* Which of lie_batch.c's lies. */
enum { LIE_WITHOUT_LAST = 1 };

static void
without_last(struct scenario_letter *l)
{
	struct lie_body body = {l->letter->body, l->letter->body_size, l->letter->body_room};
	if (lie_batch(l->sim, &body, NULL, LIE_WITHOUT_LAST))
		l->letter->body_size = body.size;
}

static bool
is_no_proposal(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->type != PBFT_PRE_PREPARE;
}

static bool
batch_names(const struct scenario_letter *l, uint16_t client)
{
	struct batch_cursor cursor = batch_cursor(l->letter->body, l->letter->body_size);
	struct message request;
	while (batch_next(&cursor, &l->sim->oracle.scope, &request)) {
		if (request.header->sender == client)
			return true;
	}
	return false;
}

/* Appends old requests, as they were, of clients that the batch does not name. */
static void
batch_append_old(struct scenario_letter *l, const struct packet *old)
{
	struct message m;
	struct message request;
	struct lie_letter *letter = l->letter;
	const struct message_scope *scope = &l->sim->oracle.scope;
	if (message_parse(scope, old->data, old->size, &m) != PARSE_OK ||
	    m.header->type != PBFT_PRE_PREPARE || m.header->seq >= letter->header->seq)
		return;
	struct batch_cursor cursor = batch_cursor(m.body, m.body_size);
	while (batch_next(&cursor, scope, &request)) {
		uint32_t padded = batch_padded(request.header->size);
		if (batch_names(l, request.header->sender) ||
		    padded > letter->body_room - letter->body_size)
			continue;
		memset(letter->body + letter->body_size, 0, padded);
		memcpy(letter->body + letter->body_size, request.header, request.header->size);
		letter->body_size += padded;
	}
}

/* A batch that orders one batch's worth of requests once more. */
static void
with_old(struct scenario_letter *l)
{
	const struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	uint32_t before = l->letter->body_size;
	for (uint32_t i = liar->old_count; i > 0 && l->letter->body_size == before; i--)
		batch_append_old(l, liar->old[i - 1]);
}

/* Says in P and Q of a VIEW-CHANGE that the null request was prepared just before. */
static void
claims_null(struct scenario_letter *l)
{
	struct view_change_head head;
	memcpy(&head, l->letter->body, sizeof(head));
	struct view_change_entry *e = (void *)(l->letter->body + sizeof(head));
	e += head.checkpoints_count;
	for (uint32_t i = 0; i < head.prepared_count + head.preprepared_count; i++) {
		memset(e[i].digest32, 0, sizeof(e[i].digest32));
		e[i].view = l->letter->header->view - 1;
	}
}

/* A VIEW-CHANGE for view 2 in which nothing but null requests was prepared in view 1: the
   first in the liar's own name, the next in that of replica 0, unsigned. */
static void
claims_forged(struct scenario_letter *l)
{
	struct view_change_head head = {.checkpoints_count = 1,
	    .prepared_count = CLAIMS_MAX_EARLY,
	    .preprepared_count = CLAIMS_MAX_EARLY};
	struct view_change_entry *e = (void *)(l->letter->body + sizeof(head));
	uint32_t count = 1 + 2 * CLAIMS_MAX_EARLY;
	memcpy(l->letter->body, &head, sizeof(head));
	memset(e, 0, count * sizeof(*e));
	for (uint32_t i = 0; i < 2 * CLAIMS_MAX_EARLY; i++) {
		e[1 + i].seq = 1 + i % CLAIMS_MAX_EARLY;
		e[1 + i].view = 1;
	}
	l->letter->header->type = PBFT_VIEW_CHANGE;
	l->letter->header->view = 2;
	l->letter->proof = l->number == 0 ? PROOF_SIGNATURE : PROOF_NONE;
	if (l->number > 0)
		l->letter->header->sender = 0;
	l->letter->body_size = (uint32_t)(sizeof(head) + count * sizeof(*e));
}

/* ---- Scenarios --------------------------------------------------------------------------- */

static bool
first_is_early(struct sim *sim)
{
	return sim->oracle.replicas[1].position >= EARLY;
}

static bool
first_has_executed_slot(struct sim *sim)
{
	return sim->oracle.replicas[1].position >= SLOT;
}

static bool
first_is_past_checkpoint(struct sim *sim)
{
	return sim->oracle.replicas[1].position > sim->plan.protocol.checkpoint_interval;
}

/* Three prepare one batch and two another, none of them enough; then the liars are gone. */
static const struct scenario prepares_twice = {
    .id = "M prepares twice",
    .story = "prepares come four times each, of two batches that too few have",
    .mode = "pbft",
    .faults = 2,
    .faulty = R(0) | R(6),
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE,
		.from = R(0),
		.to = R(4) | R(5),
		.nth = 20,
		.act = SCENARIO_MUTATE,
		.mutate = without_last},
	    {.from = R(0) | R(6),
		.like = is_no_proposal,
		.after = 1,
		.lasting = true,
		.act = SCENARIO_DROP},
	    {.type = PBFT_PREPARE, .after = 1, .amount = 3, .act = SCENARIO_DUPLICATE},
	},
    .expect = view_moved,
};

/* Replica 1 has a batch for itself; then the liar is gone. */
static const struct scenario primary_prepares = {
    .id = "M primary prepares",
    .story = "one backup has another batch than the others",
    .mode = "pbft",
    .faulty = R(0),
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE,
		.from = R(0),
		.to = R(2) | R(3),
		.nth = 20,
		.act = SCENARIO_MUTATE,
		.mutate = without_last},
	    {.from = R(0),
		.like = is_no_proposal,
		.after = 1,
		.lasting = true,
		.act = SCENARIO_DROP},
	},
    .expect = view_moved,
};

/* Two reach the checkpoint, and the liar of them is gone: one is left that has what was. */
static const struct scenario stable_weak = {
    .id = "M stable weak",
    .story = "two of four have a checkpoint, and one of these is lost",
    .mode = "pbft",
    .faulty = R(0),
    .settings = {.view_timeout_ns = 200 * MS},
    .rules =
	{
	    {.from = R(0), .when = first_is_past_checkpoint, .lasting = true, .act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT, .to = R(2) | R(3), .until = 1, .act = SCENARIO_DROP},
	    {.type = PBFT_DECIDED,
		.to = R(2) | R(3),
		.until = 1,
		.optional = true,
		.act = SCENARIO_DROP},
	    {.type = BFT_CHECKPOINT, .to = R(2) | R(3), .until = 1, .act = SCENARIO_DROP},
	},
};

/*
 * Replica 0 alone prepares a batch, the others then decide on null in its place:
 * one commits that and is away, so that the other two need what replica 0 says.
 */
static const struct scenario first_seen = {
    .id = "M first seen",
    .story = "one prepared in view 0 what others decided against in view 1",
    .mode = "pbft",
    .batch = 1, /* the next ones are prepared, so that SLOT is not left free */
    .settings = {.checkpoint_interval = 128},
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.to = R(1) | R(2) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.from = R(0),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(0), .to = ALL & ~R(0), .end_ns = 150 * MS}},
	    {.type = PBFT_PREPARE,
		.to = R(0),
		.view = SCENARIO_IS(1),
		.seq = SCENARIO_IS(SLOT),
		.optional = true,
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.to = R(0) | R(2) | R(3),
		.view = SCENARIO_IS(1),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.when = first_has_executed_slot,
		.act = SCENARIO_FAULT,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(1), .to = ALL & ~R(1), .end_ns = 400 * MS}},
	},
    .expect = view_moved,
};

/* What the others only prepared is committed at one, which is not heard in the next view. */
static const struct scenario prepared_dropped = {
    .id = "M prepared dropped",
    .story = "committed at one replica only, which then is away",
    .mode = "pbft",
    .rules =
	{
	    {.type = PBFT_COMMIT,
		.to = R(0) | R(2) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.when = first_has_executed_slot,
		.act = SCENARIO_FAULT,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(1), .to = ALL & ~R(1), .end_ns = 400 * MS}},
	},
    .expect = view_moved,
};

/*
 * Only replica 1 commits a batch that all prepared; the liar's VIEW-CHANGE is
 * one of the first three at the primary of view 2.
 */
static const struct scenario a2_ignored = {
    .id = "M A2",
    .story = "one claims that null requests were prepared, in a view that never was",
    .mode = "pbft",
    .faulty = R(0),
    .rules =
	{
	    {.type = PBFT_COMMIT,
		.to = R(0) | R(2) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW, .view = SCENARIO_IS(1), .act = SCENARIO_DROP},
	    {.type = PBFT_VIEW_CHANGE, .from = R(0), .act = SCENARIO_MUTATE, .mutate = claims_null},
	    {.type = PBFT_VIEW_CHANGE,
		.from = R(1),
		.to = R(2),
		.view = SCENARIO_IS(2),
		.amount = 15 * MS,
		.act = SCENARIO_DELAY},
	},
    .expect = view_moved,
};

static const char *
new_view_taken(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		if (scenario_figure(sim, i, "new_views_refused") > 0)
			return "a correct primary's NEW-VIEW was refused";
	}
	return view_moved(sim);
}

/* What one alone prepared is in its VIEW-CHANGE, and that is not among those of the NEW-VIEW. */
static const struct scenario superset = {
    .id = "M superset",
    .story = "prepared at one replica only, which the new primary does not hear",
    .mode = "pbft",
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.to = R(0) | R(1) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.type = PBFT_VIEW_CHANGE,
		.from = R(2),
		.to = R(1),
		.view = SCENARIO_IS(1),
		.act = SCENARIO_DROP},
	},
    .expect = new_view_taken,
};

static const struct scenario unsigned_change = {
    .id = "M unsigned",
    .story = "a liar writes a VIEW-CHANGE in another's name",
    .mode = "pbft",
    .faulty = R(3),
    .settings = {.checkpoint_interval = CLAIMS_MAX_EARLY / 2},
    .rules = {{.when = first_is_early,
	.amount = 2,
	.fault = {.from = R(3), .to = R(1) | R(2)},
	.act = SCENARIO_FORGE,
	.mutate = claims_forged}},
    .expect = view_kept,
};

/* A primary that orders old requests again meets a replica that has fetched its state. */
static const struct scenario sessions_lost = {
    .id = "M sessions",
    .story = "old requests are ordered again after a state transfer",
    .mode = "pbft",
    .faults = 2, /* one lies, one has lost its memory */
    .faulty = R(0),
    .rules =
	{
	    {.at_ns = 200 * MS,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_AMNESIA, .from = R(2), .end_ns = 20 * MS}},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(0),
		.after = 1,
		.act = SCENARIO_MUTATE,
		.mutate = with_old},
	},
};

/* ---- The mutants --------------------------------------------------------------------------- */

struct mutant {
	unsigned which;
	const char *name;
	uint64_t seeds_max;
	enum preset preset;
	const struct scenario *scenario; /* NULL: the preset */
};

static const struct mutant mutants[] = {
    {PBFT_QUORUM_SHORT, "a quorum one short", 20, PRESET_TWINS, NULL},
    {PBFT_PREPARES_TWICE, "prepares counted twice", 5, PRESET_NONE, &prepares_twice},
    {PBFT_PRIMARY_PREPARES, "the primary's own prepare counted", 5, PRESET_NONE, &primary_prepares},
    {BFT_STABLE_WEAK, "a checkpoint stable at f + 1", 5, PRESET_NONE, &stable_weak},
    {PBFT_PREPARED_DROPPED, "a new view drops a prepared batch", 5, PRESET_NONE, &prepared_dropped},
    {PBFT_FIRST_SEEN, "the first batch seen, not the highest view's", 5, PRESET_NONE, &first_seen},
    {PBFT_A2_IGNORED, "A2 ignored", 5, PRESET_NONE, &a2_ignored},
    {PBFT_SUPERSET, "the set and a local superset mixed", 5, PRESET_NONE, &superset},
    {PBFT_UNSIGNED, "a VIEW-CHANGE without a signature", 5, PRESET_NONE, &unsigned_change},
    {BFT_SESSIONS_LOST, "sessions left out of the checkpoint", 20, PRESET_NONE, &sessions_lost},
    {BFT_TWICE, "an in-flight duplicate ordered twice", 20, PRESET_NONE, NULL},
    {PBFT_AMNESIA, "a replica without memory votes again", 60, PRESET_CRASH, NULL},
};

static bool
run(const struct mutant *m, uint64_t seed, struct sim_report *report)
{
	struct sim_config config;
	memset(report, 0, sizeof(*report));
	if (m->scenario != NULL) {
		const char *traced = getenv("OSKR_SCENARIO");
		bool trace = traced != NULL && strcmp(traced, m->scenario->id) == 0;
		scenario_run(m->scenario, seed, trace ? stdout : NULL, report);
	} else {
		CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "pbft", 1));
		config.preset = m->preset;
		config.seed = seed;
		sim_run(&config, report);
	}
	states_free();
	return report->failed;
}

/* The first seed that catches it, or the last one tried. */
static uint64_t
mutant_try(const struct mutant *m, struct sim_report *report)
{
	uint64_t seed = 1;
	bft_mutant = m->which;
	while (!run(m, seed, report) && seed < m->seeds_max)
		seed++;
	bft_mutant = BFT_RIGHT;
	return seed;
}

static void
mutants_are_caught(void)
{
	struct sim_report report;
	printf("\n");
	for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
		const struct mutant *m = &mutants[i];
		uint64_t last = mutant_try(m, &report);
		CU_ASSERT_TRUE(report.failed);
		printf("    %-46s %s at seed %lu of %lu: %.60s\n", m->name,
		    report.failed ? "caught" : "NOT CAUGHT", (unsigned long)last,
		    (unsigned long)m->seeds_max, report.violation);
		/* It was the broken rule: the right protocol passes the same runs, and all that
		   were allowed. */
		uint64_t all = m->seeds_max / SEEDS_SHARE;
		for (uint64_t seed = 1; seed <= last || seed <= all; seed++) {
			CU_ASSERT_FALSE(run(m, seed, &report));
			if (report.failed)
				printf("    unbroken, seed %lu: %s\n", (unsigned long)seed,
				    report.violation);
		}
	}
}

static const struct unit_story stories[] = {
    {"mutants are caught", mutants_are_caught},
};

UNIT_MAIN("mutants_pbft", stories)
