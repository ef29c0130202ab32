/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness must notice: Zyzzyva with one rule broken at a time is caught within
 * a stated number of seeds, and the right one passes the very same runs. Some
 * rules are missed in any run with faults; others only where liars make use of
 * what is broken: those have a scenario each. What the published view change gets
 * wrong is shown on the schedule of arXiv:1712.01367 itself.
 */
#include "tests/zyzzyva_scripts.h"

#include "engine/session.h"
#include "protocols/zyzzyva/mutant.h"
#include "tests/sim/sim_modes.h"

#ifndef BFT_MUTANTS
#error "the protocol must be built with its mutants"
#endif

/* ---- sessions that are not undone --------------------------------------------------------- */

enum { STATES_MAX = 256 };

/* The tables' own memory, of one run: no rollback reaches it. */
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
	if (RULE(ZYZZYVA_ROLLBACK_FORGETS_SESSIONS))
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

/* ---- the published rule ------------------------------------------------------------------ */

/*
 * Schedule Z1: in view 1 a certificate for (a, a') reaches one replica; view 2
 * decides for b, which completes; view 3's set has the old certificate in it.
 */
static bool
b_is_kept(void)
{
	const struct protocol_config protocol = {.replicas_count = 4, .faults = 1};
	static struct view_change_head heads[3];
	static uint8_t histories[3][2][32];
	struct view_change set[3];
	struct member me;
	struct decision d;
	uint8_t b32[32];
	member_init(&me, &protocol);
	struct decide_config config = {.me = &me, .interval = 4, .window_log = 8};
	memset(heads, 0, sizeof(heads));
	heads[0] = (struct view_change_head){
	    .active = 1, .entries_count = 2, .held = {.view = 1, .seq = 2, .signers = 7}};
	memset(heads[0].held.history32, 'A', 32);
	memset(histories[0][0], 'a', 32);
	memset(histories[0][1], 'A', 32);
	memset(b32, 'b', sizeof(b32));
	for (uint32_t i = 1; i < 3; i++) {
		heads[i] = (struct view_change_head){
		    .active = 2, .entries_count = 1, .held = {.view = 2, .seq = 0, .signers = 7}};
		memcpy(histories[i][0], b32, 32);
	}
	for (uint32_t i = 0; i < 3; i++)
		set[i] = (struct view_change){
		    .head = &heads[i], .entries = (const uint8_t(*)[32])histories[i]};
	decide_history(&config, set, 3, &d);
	return d.top == 1 && digest_equal(d.top32, b32);
}

static void
published_rule_loses_what_was_complete(void)
{
	bft_mutant = BFT_RIGHT;
	CU_ASSERT_TRUE(b_is_kept());
	bft_mutant = ZYZZYVA_OLD_CERTIFICATE_WINS;
	CU_ASSERT_FALSE(b_is_kept());
	bft_mutant = BFT_RIGHT;
}

/* ---- scenarios that need a liar ------------------------------------------------------------- */

/* The oracle knows nothing of paths: an answer that too few gave is told by who was silent. */
static const char *
none_was_fast(struct sim *sim)
{
	for (uint16_t i = 4; i < 6; i++) {
		if (scenario_figure(sim, i, "answers_fast") != 0)
			return "three of four replies were taken for an answer";
	}
	return NULL;
}

static const struct scenario silent_scenario = {
    .id = "M01",
    .story = "a backup is silent",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .rules = {{.from = R(3), .lasting = true, .act = SCENARIO_DROP}},
    .expect = none_was_fast,
};

static bool slow_too_early;

/* Never an occasion: it looks on. */
static bool
looks_on(struct sim *sim)
{
	for (uint16_t i = 4; i < 6 && sim->now_ns < 900 * MS; i++)
		slow_too_early |= scenario_figure(sim, i, "answers_slow") != 0;
	return false;
}

static const char *
none_was_slow(struct sim *sim)
{
	(void)sim;
	bool early = slow_too_early;
	slow_too_early = false;
	return early ? "LOCAL-COMMITs were taken for an answer that are none" : NULL;
}

/* Who has no certificate cannot lose it: only two of four ever get so far as to say so. */
static const struct scenario two_commits_scenario = {
    .id = "M02",
    .story = "LOCAL-COMMITs of two replicas are all that come, and a backup does not reply",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = BFT_REPLY_DIGEST,
		.from = R(3),
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_LOCAL_COMMIT, .from = R(2) | R(3), .act = SCENARIO_DROP},
	    {.when = looks_on, .optional = true},
	},
    .expect = none_was_slow,
};

static uint64_t slow_before;

/* What was certified before that may still be on its way. */
static bool
looks_on_later(struct sim *sim)
{
	uint64_t slow = 0;
	for (uint16_t i = 4; i < 6; i++)
		slow += scenario_figure(sim, i, "answers_slow");
	if (sim->now_ns < 450 * MS)
		slow_before = slow;
	slow_too_early |= sim->now_ns < 900 * MS && slow != slow_before;
	return false;
}

/* From some time on no backup's STATEMENT reaches anybody, so nothing more is certified. */
static const struct scenario no_certificate_scenario = {
    .id = "M04",
    .story = "clients are promised LOCAL-COMMITs, and no replica gets certificates any more",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .settings = {.checkpoint_interval = 512},
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = BFT_REPLY_DIGEST,
		.from = R(3),
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_STATEMENT,
		.from = R(1) | R(2) | R(3),
		.at_ns = 300 * MS,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_STATED, .at_ns = 300 * MS, .optional = true, .act = SCENARIO_DROP},
	    {.when = looks_on_later, .optional = true},
	},
    .expect = none_was_slow,
};

/* One order has another batch, and so another h, which the next one does not name. */
static const struct scenario past_scenario = {
    .id = "M03",
    .story = "the primary sends one backup another order, once",
    .mode = "zyzzyva",
    .faulty = R(0),
    .settings = {.checkpoint_interval = 512},
    .rules = {{.type = ZYZZYVA_ORDER_REQ,
	.from = R(0),
	.to = R(2),
	.nth = 20,
	.times = 1,
	.act = SCENARIO_MUTATE,
	.mutate = without_last}},
};

/* ---- all of them ------------------------------------------------------------------------------
 */

struct mutant {
	const char *name;
	unsigned which;
	const struct scenario *scenario; /* NULL: drawn runs of this preset */
	enum preset preset;
	uint64_t seeds_max;
};

static const struct mutant mutants[] = {
    {"the fast path completes at 3f", ZYZZYVA_FAST_AT_3F, &silent_scenario, 0, 3},
    {"LOCAL-COMMITs of f + 1 suffice", ZYZZYVA_LOCAL_COMMIT_WEAK, &two_commits_scenario, 0, 3},
    {"LOCAL-COMMITs without a certificate", ZYZZYVA_COMMIT_UNCERTIFIED, &no_certificate_scenario, 0,
	3},
    {"the history is not checked", ZYZZYVA_HISTORY_UNCHECKED, &past_scenario, 0, 3},
    {"an older view's certificate wins", ZYZZYVA_OLD_CERTIFICATE_WINS, &old_certificate_scenario, 0,
	3},
    {"an older view's longer one wins", ZYZZYVA_OLD_CERTIFICATE_WINS, &longer_certificate_scenario,
	0, 3},
    {"a primary that never signs is borne", ZYZZYVA_UNSIGNED_BORNE, &never_signs_scenario, 0, 3},
    {"doubts are borne", ZYZZYVA_DOUBT_BORNE, &stalemate_scenario, 0, 3},
    {"a fork is kept to", ZYZZYVA_FORK_KEPT, &doubt_scenario, 0, 3},
    {"undoing forgets sessions", ZYZZYVA_ROLLBACK_FORGETS_SESSIONS, NULL, PRESET_LOSS, 60},
    {"a checkpoint is stable at f + 1", ZYZZYVA_STABLE_WEAK, NULL, PRESET_BYZANTINE, 60},
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
		CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "zyzzyva", 1));
		config.preset = m->preset;
		config.seed = seed;
		sim_run(&config, report);
	}
	states_free();
	return report->failed;
}

static void
mutants_are_caught(void)
{
	struct sim_report report;
	printf("\n");
	for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
		const struct mutant *m = &mutants[i];
		uint64_t last = 1;
		bft_mutant = m->which;
		while (!run(m, last, &report) && last < m->seeds_max)
			last++;
		bft_mutant = BFT_RIGHT;
		CU_ASSERT_TRUE(report.failed);
		printf("    %-40s %s at seed %lu of %lu: %.80s\n", m->name,
		    report.failed ? "caught" : "NOT CAUGHT", (unsigned long)last,
		    (unsigned long)m->seeds_max, report.violation);
		/* It was the broken rule: the right protocol passes the same runs. */
		for (uint64_t seed = 1; seed <= last; seed++) {
			CU_ASSERT_FALSE(run(m, seed, &report));
			if (report.failed)
				printf("    unbroken, seed %lu: %s\n", (unsigned long)seed,
				    report.violation);
		}
	}
}

static const struct unit_story stories[] = {
    {"the published rule loses what was complete", published_rule_loses_what_was_complete},
    {"mutants are caught", mutants_are_caught},
};

UNIT_MAIN("mutants_zyzzyva", stories)
