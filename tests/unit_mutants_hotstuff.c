/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness must notice: HotStuff with one rule broken at a time is caught
 * within a stated number of seeds, and the right one passes the very same runs.
 * Some rules are missed in any run with faults; others only where a liar makes
 * use of what is broken: those have a scenario each.
 */
#include "tests/hotstuff_scripts.h"

#include "engine/session.h"
#include "protocols/hotstuff/mutant.h"
#include "tests/sanitized.h"
#include "tests/sim/sim_modes.h"

/* The executor is built anew, so that sessions can let through what was executed. */
static enum session_verdict session_doubt(
    const struct session *session, uint16_t slot, uint64_t timestamp);
#define session_judge session_doubt
#include "engine/executor.c"
#undef session_judge

#ifndef BFT_MUTANTS
#error "the protocol must be built with its mutants"
#endif

/* Sanitized builds are ten times slower: the unbroken protocol takes a tenth of the seeds. */
enum { SEEDS_SHARE = SANITIZED ? 10 : 1 };

enum { AS_IT_IS = SCRIPT_AS_IT_IS };

static enum session_verdict
session_doubt(const struct session *session, uint16_t slot, uint64_t timestamp)
{
	return RULE(HOTSTUFF_ABANDONED_TWICE) ? session_judge(session, slot, timestamp)
					      : SESSION_NEW;
}

/* ---- What liars propose ------------------------------------------------------------------- */

static uint64_t
justified_by(const struct scenario_letter *l)
{
	struct block_head head;
	memcpy(&head, l->letter->body, sizeof(head));
	return head.justify.view;
}

/* An old certificate, as if it were the view's before. */
static void
fork_renamed(struct scenario_letter *l)
{
	fork_make(l, justified_by(l) - 2, l->letter->header->view - 1, false);
}

/* A second block of the same view. */
static void
second_block(struct scenario_letter *l)
{
	if (letter_copy(l, (const void *)noted_message))
		without_last(l);
}

/* Goes on to a view far ahead by a timeout certificate that nobody signed. */
static void
tc_forged(struct scenario_letter *l)
{
	struct hotstuff_parts parts;
	struct tc_head tc;
	struct block_head head;
	uint64_t view = l->letter->header->view + 400;
	if (!letter_parts(l, &parts) || parts.tc_at == 0)
		return;
	memcpy(&tc, l->letter->body + parts.tc_at, sizeof(tc));
	struct tc_entry *entries = (void *)(l->letter->body + parts.tc_at + sizeof(tc));
	tc.view = view - 1;
	for (uint32_t i = 0; i < (uint32_t)__builtin_popcountll(tc.signers); i++)
		entries[i].header.view = tc.view;
	memcpy(l->letter->body + parts.tc_at, &tc, sizeof(tc));
	memcpy(&head, l->letter->body, sizeof(head));
	head.view = view;
	memcpy(l->letter->body, &head, sizeof(head));
	l->letter->header->view = view;
}

/* ---- Occasions ------------------------------------------------------------------------------ */

static bool
first_of_four(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->view % 4 == 0;
}

/* ---- Scenarios ------------------------------------------------------------------------------- */

/*
 * Blocks 1, 2, 3 follow each other; the certificate of the third, which commits the
 * first, is shown to replica 1 alone, whom nobody hears from then on. The others
 * give up views 3 and 4 without it, and in view 5 the liar forks the chain.
 */
#define FORK_LEADERS                               \
	{                                          \
		2, 3, 2, 0, 0, 2, 3, 2, 3, 2, 3, 2 \
	}
#define FORK_SHOWN                                    \
	{                                             \
		[4 - 1] = R(1), [5 - 1] = R(2) | R(3) \
	}
#define FORK_UPON(view)                                                                       \
	{                                                                                     \
		AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS, (view), AS_IT_IS, AS_IT_IS, AS_IT_IS, \
		    AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS                                    \
	}

static const struct fault fork_unheard[] = {
    SCRIPT_CUT(4, R(1), R(2) | R(3)),
    SCRIPT_CUT(5, R(1), R(2) | R(3)),
    SCRIPT_CUT(6, R(1), R(2) | R(3)),
    SCRIPT_CUT(7, R(1), R(2) | R(3)),
    SCRIPT_CUT(8, R(1), R(2) | R(3)),
};

#define FORK_RULES                                                                                 \
	SCRIPT_RUSH, SCRIPT_LIAR, SCRIPT_FORK, SCRIPT_ECHO(HOTSTUFF_VOTE, R(2) | R(3), vote_copy), \
	    SCRIPT_ECHO(HOTSTUFF_TIMEOUT, R(2) | R(3), timeout_copy)

static const struct hotstuff_script fork_below_lock_script = {
    .leaders = FORK_LEADERS, .shown = FORK_SHOWN, .upon = FORK_UPON(0)};

/* Replicas 2 and 3 are locked on block 1, and have only that lock to keep them from the fork. */
static const struct scenario fork_below_lock = {
    .id = "M lock",
    .story = "a liar forks off below what one has committed, and others are locked on",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20,
    .planned = fork_unheard,
    .planned_count = sizeof(fork_unheard) / sizeof(fork_unheard[0]),
    .rules = {FORK_RULES},
    .expect = view_moved,
};

static const struct hotstuff_script fork_below_certified_script = {
    .leaders = FORK_LEADERS, .shown = FORK_SHOWN, .upon = FORK_UPON(1)};

/* They are locked on no more than block 1, and vote for the fork: so block 2 must not be committed.
 */
static const struct scenario fork_below_certified = {
    .id = "M two-chain",
    .story = "a liar forks off below two blocks that are certified, and not locked on",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20,
    .planned = fork_unheard,
    .planned_count = sizeof(fork_unheard) / sizeof(fork_unheard[0]),
    .rules = {FORK_RULES},
    .expect = view_moved,
};

/*
 * Blocks 1 and 2 follow each other, then 4 and 5, which stand upon nothing. The liar
 * keeps the certificates of 2 and 5 to itself, and brings forth each when it is of use:
 * 7 stands upon 2, and 9 upon 5. Who counts blocks alone commits 1 for 7, as replica 2
 * would, whom nobody hears from then on, and 4 for 9. No lock is in the way: those who
 * vote for 7 are locked on nothing, and those who vote for 9 are locked on 1.
 */
static const struct hotstuff_script gaps_script = {
    .leaders = {2, 1, 0, 0, 1, 0, 0, 2, 0, 1, 3, 1},
    .shown = {[4 - 1] = REPLICAS, [7 - 1] = REPLICAS, [9 - 1] = REPLICAS},
    .upon = {AS_IT_IS, AS_IT_IS, AS_IT_IS, 0, AS_IT_IS, AS_IT_IS, 2, AS_IT_IS, AS_IT_IS, AS_IT_IS,
	AS_IT_IS, AS_IT_IS},
};
/* Two correct replicas see block 2, and two see 5: what their TIMEOUTs tell is no certificate. */
static const struct fault gaps_unheard[] = {
    SCRIPT_CUT(2, R(1), R(3)),
    SCRIPT_CUT(5, R(1), R(3)),
    SCRIPT_CUT(8, R(2), REPLICAS),
    SCRIPT_CUT(9, R(2), REPLICAS),
    SCRIPT_CUT(10, R(2), REPLICAS),
    SCRIPT_CUT(11, R(2), REPLICAS),
};

static const struct scenario gaps = {
    .id = "M gaps",
    .story = "two branches have three blocks each, and none of consecutive views",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20,
    .planned = gaps_unheard,
    .planned_count = sizeof(gaps_unheard) / sizeof(gaps_unheard[0]),
    .rules = {SCRIPT_RUSH, SCRIPT_LIAR, SCRIPT_FORK,
	SCRIPT_ECHO(HOTSTUFF_VOTE, R(1) | R(3), vote_copy),
	SCRIPT_ECHO(HOTSTUFF_TIMEOUT, R(1) | R(3), timeout_copy)},
    .expect = view_moved,
};

static const char *
views_of_others_kept(struct sim *sim)
{
	if (view_moved(sim) != NULL)
		return "no view failed";
	return sim->oracle.views_failed_core == 0 ? NULL : "views of correct leaders failed";
}

/*
 * The certificate of block 2 is shown to replica 3 alone. Replicas 1 and 2 give up
 * views 2 and 3 without hearing of it, and in view 4 replica 1 leads, in good faith,
 * upon block 1. The liar is silent then: without the vote of replica 3 the view fails.
 */
static const struct hotstuff_script hidden_script = {
    .leaders = {1, 2, 0, 1, 2, 3, 1, 2, 3, 1, 2, 3},
    .shown = {[3 - 1] = R(3)},
    .upon = {AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS,
	AS_IT_IS, AS_IT_IS, AS_IT_IS, AS_IT_IS},
};
static const struct fault hidden_unheard[] = {SCRIPT_CUT(3, R(3), R(1) | R(2))};

static const struct scenario hidden_certificate = {
    .id = "M hidden",
    .story = "one of them knows a certificate that others go on without",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20,
    .planned = hidden_unheard,
    .planned_count = 1,
    .rules = {SCRIPT_RUSH, SCRIPT_LIAR, SCRIPT_ECHO(HOTSTUFF_TIMEOUT, R(1) | R(2), timeout_copy)},
    .expect = views_of_others_kept,
};

static const char *
soon_in_spite_of_forks(struct sim *sim)
{
	if (figure_max(sim, "forks_abandoned") == 0)
		return "no block was abandoned";
	return latency_max_ns(sim) <= 8 * sim->plan.protocol.view_timeout_ns
		   ? NULL
		   : "what was in an abandoned block came too late";
}

/* Everybody has the requests of block 2 when it comes, so that none comes anew. */
static const struct scenario abandoned = {
    .id = "M abandoned",
    .story = "a block is abandoned with requests that all have",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20,
    .answered_ns = 2000 * MS,
    .planned = hidden_unheard,
    .planned_count = 1,
    .rules = {SCRIPT_RUSH, SCRIPT_LIAR, SCRIPT_ECHO(HOTSTUFF_TIMEOUT, R(1) | R(2), timeout_copy)},
    .expect = soon_in_spite_of_forks,
};

/* Votes for what replica 0 proposes do not reach replica 1, whose block forks that away. */
static const struct scenario forks = {
    .id = "M forks",
    .story = "block after block is abandoned, and no request is executed twice",
    .mode = "hotstuff",
    .rules =
	{
	    {.type = HOTSTUFF_VOTE, .to = R(1), .act = SCENARIO_DROP},
	    {.type = HOTSTUFF_TIMEOUT,
		.from = R(0) | R(2),
		.act = SCENARIO_DELAY,
		.amount = 2 * MS},
	    {.type = HOTSTUFF_PROPOSAL, .from = R(0), .to = R(3), .act = SCENARIO_DROP},
	},
    .expect = view_moved,
};

static const struct scenario votes_again = {
    .id = "M votes again and again",
    .story = "votes come four times each, and one of them is silent",
    .mode = "hotstuff",
    .rules = {{.type = HOTSTUFF_VOTE, .act = SCENARIO_DUPLICATE, .amount = 3}},
};

static const struct scenario renamed = {
    .id = "M renamed",
    .story = "a liar gives an old certificate another view",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL, .to = R(1), .like = certificate_note},
	    {.type = HOTSTUFF_PROPOSAL,
		.from = R(0),
		.at_ns = 200 * MS,
		.act = SCENARIO_MUTATE,
		.mutate = fork_renamed},
	},
    .expect = view_moved,
};

/* TIMEOUTs take 30 ms, so that they are said before they are heard. */
static const struct scenario late_proposal = {
    .id = "M late",
    .story = "a proposal comes when its view was given up, and not yet left",
    .mode = "hotstuff",
    .rules =
	{
	    {.type = HOTSTUFF_TIMEOUT,
		.like = first_of_four,
		.act = SCENARIO_DELAY,
		.amount = 30 * MS},
	    {.type = HOTSTUFF_PROPOSAL, .from = R(0), .act = SCENARIO_DELAY, .amount = 45 * MS},
	},
    .expect = view_moved,
};

static const struct scenario two_blocks = {
    .id = "M two blocks",
    .story = "a liar shows a second block of its view to one who has seen the first",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {{.type = HOTSTUFF_PROPOSAL,
	.from = R(0),
	.to = R(2),
	.like = message_note,
	.act = SCENARIO_FORGE,
	.fault = {.from = R(0), .to = R(2)},
	.mutate = second_block}},
};

static const struct scenario forged_tc = {
    .id = "M timeout certificate",
    .story = "a liar goes far ahead by a timeout certificate that nobody signed",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(3), .end_ns = 600 * MS}},
	    {.type = HOTSTUFF_PROPOSAL,
		.from = R(0),
		.like = upon_timeouts,
		.act = SCENARIO_MUTATE,
		.mutate = tc_forged},
	},
    .expect = view_moved,
};

/* ---- The mutants -------------------------------------------------------------------------------
 */

struct mutant {
	unsigned which;
	const char *name;
	uint64_t seeds_max;
	enum preset preset;
	const char *broken[2]; /* the promises that it breaks, as a report begins: either is noticed
				  first */
	const struct scenario *scenario; /* NULL: the preset */
	const struct hotstuff_script *script;
};

#define MUTANT(which, name, broken, ...)                           \
	{                                                          \
		which, name, 5, PRESET_NONE, {broken}, __VA_ARGS__ \
	}

static const struct mutant mutants[] = {
    MUTANT(HOTSTUFF_LOCK_IGNORED, "a vote against the lock", "agreement:", &fork_below_lock,
	&fork_below_lock_script),
    MUTANT(HOTSTUFF_LOCK_EARLY, "a lock on a one-chain",
	"scenario: views of correct leaders failed", &hidden_certificate, &hidden_script),
    MUTANT(HOTSTUFF_COMMIT_TWO, "commits on a two-chain", "agreement:", &fork_below_certified,
	&fork_below_certified_script),
    MUTANT(HOTSTUFF_COMMIT_GAPS, "commits though views are missing", "agreement:", &gaps,
	&gaps_script),
    MUTANT(HOTSTUFF_VOTES_TWICE, "votes counted twice", "certificates:", &votes_again, NULL),
    {HOTSTUFF_SIGNERS_SHORT, "a certificate one signer short", 5, PRESET_LOSS, {"certificates:"},
	NULL, NULL},
    {HOTSTUFF_VIEW_UNSIGNED, "a certificate's view outside its signatures", 5, PRESET_NONE,
	{"certificates:", "agreement:"}, &renamed, NULL},
    MUTANT(HOTSTUFF_VOTE_TIMED_OUT, "a vote in a view that was given up",
	"late vote:", &late_proposal, NULL),
    MUTANT(HOTSTUFF_VOTE_AGAIN, "two votes in a view", "two votes:", &two_blocks, NULL),
    /* They are never answered, and view after view is given up for them. */
    {HOTSTUFF_ABANDONED_LOST, "an abandoned block's requests lost", 5, PRESET_NONE, {"liveness:"},
	&abandoned, &hidden_script},
    MUTANT(HOTSTUFF_ABANDONED_TWICE, "an abandoned block's requests executed twice",
	"exactly once:", &forks, NULL),
    {HOTSTUFF_AMNESIA, "a replica without memory votes again", 60, PRESET_CRASH, {"two votes:"},
	NULL, NULL},
    {HOTSTUFF_SPARE_TRUSTED, "a spare replica that believes without proof", 40, PRESET_BYZANTINE,
	{"certificates:", "agreement:"}, NULL, NULL},
    MUTANT(HOTSTUFF_TC_UNPROVEN, "a timeout certificate that nobody signed",
	"certificates:", &forged_tc, NULL),
};

/* Caught, and for what it broke. */
static bool
is_caught(const struct mutant *m, const struct sim_report *report)
{
	bool caught = false;
	for (int i = 0; i < 2; i++) {
		const char *broken = m->broken[i];
		caught |= broken != NULL && strncmp(report->violation, broken, strlen(broken)) == 0;
	}
	return report->failed && caught;
}

static bool
run(const struct mutant *m, uint64_t seed, struct sim_report *report)
{
	struct sim_config config;
	memset(report, 0, sizeof(*report));
	memset(noted_qcs, 0, sizeof(noted_qcs));
	script = m->script;
	hotstuff_leader_script = script != NULL ? script_leader : NULL;
	if (m->scenario != NULL) {
		const char *traced = getenv("OSKR_SCENARIO");
		bool trace = traced != NULL && strcmp(traced, m->scenario->id) == 0;
		scenario_run(m->scenario, seed, trace ? stdout : NULL, report);
	} else {
		CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "hotstuff", 1));
		config.preset = m->preset;
		config.seed = seed;
		sim_run(&config, report);
	}
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
		CU_ASSERT_TRUE(is_caught(m, &report));
		printf("    %-46s %s at seed %lu of %lu: %.60s\n", m->name,
		    is_caught(m, &report) ? "caught" : "NOT CAUGHT", (unsigned long)last,
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

UNIT_MAIN("mutants_hotstuff", stories)
