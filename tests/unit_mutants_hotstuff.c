/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness must notice: HotStuff with one rule broken at a time is caught
 * within a stated number of seeds, and the right one passes the very same runs.
 * Some rules are missed in any run with faults; others only where a liar makes
 * use of what is broken: those have a scenario each.
 */
#include "tests/hotstuff_rig.h"

#include "engine/session.h"
#include "protocols/hotstuff/mutant.h"
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
#if defined(__SANITIZE_ADDRESS__)
enum { SEEDS_SHARE = 10 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SEEDS_SHARE = 10 };
#else
enum { SEEDS_SHARE = 1 };
#endif
#else
enum { SEEDS_SHARE = 1 };
#endif

enum { NOTED = 256, SIGNATURES_MAX = 8, MESSAGE_MAX = 9000 };

static enum session_verdict
session_doubt(const struct session *session, uint16_t slot, uint64_t timestamp)
{
	return RULE(HOTSTUFF_ABANDONED_TWICE) ? session_judge(session, slot, timestamp)
					      : SESSION_NEW;
}

/* ---- What liars know -------------------------------------------------------------------- */

/* The certificates that went by, by view. */
static struct {
	struct qc_head head;
	uint8_t signatures[SIGNATURES_MAX * SIGNATURE_SIZE];
} noted_qcs[NOTED];

static bool
certificate_note(struct sim *sim, const struct message_header *header, uint16_t to)
{
	struct message m;
	struct hotstuff_parts parts;
	(void)to;
	if (message_parse(&sim->oracle.scope, (const void *)header, header->size, &m) != PARSE_OK ||
	    !hotstuff_parts(&m, &parts))
		return false;
	struct qc_head head = qc_head_read(m.body, &parts.qc);
	noted_qcs[head.view % NOTED].head = head;
	memcpy(noted_qcs[head.view % NOTED].signatures, m.body + parts.qc.signatures_at,
	    signatures_size(head.signers));
	return true;
}

/* A message that the next one is to be like. */
static uint64_t noted_message[MESSAGE_MAX / 8];

static bool
message_note(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	check(header->size <= sizeof(noted_message));
	memcpy(noted_message, header, header->size);
	return true;
}

/* Its sender has voted for nothing. */
static void
timeout_copy(struct scenario_letter *l)
{
	struct timeout_head head;
	if (!letter_copy(l, (const void *)noted_message))
		return;
	memcpy(&head, l->letter->body, sizeof(head));
	memset(&head.vote, 0, sizeof(head.vote));
	memset(head.vote_signature64, 0, sizeof(head.vote_signature64));
	memcpy(l->letter->body, &head, sizeof(head));
}

/* The same vote. */
static void
vote_copy(struct scenario_letter *l)
{
	letter_copy(l, (const void *)noted_message);
}

/* ---- What liars propose ------------------------------------------------------------------- */

static void
body_move(struct lie_letter *letter, uint32_t from, uint32_t to)
{
	memmove(letter->body + to, letter->body + from, letter->body_size - from);
	letter->body_size = letter->body_size - from + to;
}

/* The block stands upon the certificate of `view`, and says that it is of `as_view`. */
static void
fork_make(struct scenario_letter *l, uint64_t view, uint64_t as_view, bool keep_tc)
{
	struct hotstuff_parts parts;
	struct lie_letter *letter = l->letter;
	struct block_head head;
	if (!letter_parts(l, &parts) || noted_qcs[view % NOTED].head.view != view)
		return;
	struct qc_head qc = noted_qcs[view % NOTED].head;
	uint32_t rest = parts.tc_at != 0 && keep_tc ? parts.tc_at : parts.batch_at;
	uint32_t size = signatures_size(qc.signers);
	if (letter->body_size - rest + parts.qc.signatures_at + size > letter->body_room)
		return;
	body_move(letter, rest, parts.qc.signatures_at + size);
	memcpy(letter->body + parts.qc.signatures_at, noted_qcs[view % NOTED].signatures, size);
	memcpy(&head, letter->body, sizeof(head));
	qc.view = as_view;
	head.justify = qc;
	head.has_tc = head.has_tc != 0 && keep_tc;
	memcpy(letter->body, &head, sizeof(head));
	lie_hotstuff_agree(letter);
}

static uint64_t
justified_by(const struct scenario_letter *l)
{
	struct block_head head;
	memcpy(&head, l->letter->body, sizeof(head));
	return head.justify.view;
}

static void
fork_by_two(struct scenario_letter *l)
{
	fork_make(l, justified_by(l) - 2, justified_by(l) - 2, true);
}

static void
fork_by_three(struct scenario_letter *l)
{
	fork_make(l, justified_by(l) - 3, justified_by(l) - 3, true);
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
first_of_eight(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->view % 8 == 0;
}

static bool
fifth_of_eight(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->view % 8 == 4;
}

static bool
not_the_fork(struct sim *sim, const struct message_header *header, uint16_t to)
{
	return header->type != HOTSTUFF_PROPOSAL || !first_of_eight(sim, header, to);
}

static bool
first_of_four(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->view % 4 == 0;
}

static bool
not_a_proposal_to_last(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	return header->type != HOTSTUFF_PROPOSAL || to != 3;
}

static bool
upon_timeouts(struct sim *sim, const struct message_header *header, uint16_t to)
{
	struct message m;
	struct hotstuff_parts parts;
	(void)to;
	return message_parse(&sim->oracle.scope, (const void *)header, header->size, &m) ==
		   PARSE_OK &&
	       hotstuff_parts(&m, &parts) && parts.tc_at != 0;
}

/* ---- Scenarios ------------------------------------------------------------------------------- */

/*
 * The certificate of view 8k + 3 is shown to replica 1 alone, whom others do not
 * hear from then on; the liar helps those to timeout certificates without it, and
 * the proposals of correct leaders are lost; in its next view it forks the chain.
 */
#define LATE_FORK(how)                                                              \
	{.type = HOTSTUFF_PROPOSAL, .like = certificate_note},                      \
	    {.type = HOTSTUFF_PROPOSAL,                                             \
		.from = R(0),                                                       \
		.to = R(1),                                                         \
		.at_ns = 200 * MS,                                                  \
		.times = 1,                                                         \
		.like = fifth_of_eight,                                             \
		.act = SCENARIO_FAULT,                                              \
		.fault = {.kind = FAULT_ONE_WAY, .from = R(1), .to = R(2) | R(3)}}, \
	    {.from = R(0),                                                          \
		.to = R(2) | R(3),                                                  \
		.after = 2,                                                         \
		.until = 6,                                                         \
		.like = not_the_fork,                                               \
		.act = SCENARIO_DROP},                                              \
	    {.type = HOTSTUFF_PROPOSAL,                                             \
		.from = R(2) | R(3),                                                \
		.after = 2,                                                         \
		.until = 6,                                                         \
		.act = SCENARIO_DROP},                                              \
	    {.type = HOTSTUFF_TIMEOUT,                                              \
		.from = R(2),                                                       \
		.to = R(3),                                                         \
		.after = 2,                                                         \
		.until = 6,                                                         \
		.like = message_note,                                               \
		.act = SCENARIO_FORGE,                                              \
		.fault = {.from = R(0), .to = R(2) | R(3)},                         \
		.mutate = timeout_copy},                                            \
	    {.type = HOTSTUFF_PROPOSAL,                                             \
		.from = R(0),                                                       \
		.to = R(2) | R(3),                                                  \
		.after = 2,                                                         \
		.times = 2,                                                         \
		.like = first_of_eight,                                             \
		.act = SCENARIO_MUTATE,                                             \
		.mutate = (how)},                                                   \
	    {.type = HOTSTUFF_VOTE,                                                 \
		.from = R(0),                                                       \
		.to = R(1),                                                         \
		.after = 2,                                                         \
		.like = first_of_eight,                                             \
		.act = SCENARIO_DROP},                                              \
	    {.type = HOTSTUFF_VOTE,                                                 \
		.from = R(2),                                                       \
		.to = R(1),                                                         \
		.after = 6,                                                         \
		.times = 1,                                                         \
		.optional = true,                                                   \
		.like = message_note,                                               \
		.act = SCENARIO_FORGE,                                              \
		.fault = {.from = R(0), .to = R(1) | R(2)},                         \
		.mutate = vote_copy},                                               \
	{                                                                           \
		.after = 6, .act = SCENARIO_HEAL, .amount = 2                       \
	}

static const struct scenario fork_below_lock = {
    .id = "M lock",
    .story = "a liar forks off below what others are locked on",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20, /* the chain does not stop */
    .operations = 3000,
    .rules = {LATE_FORK(fork_by_three)},
    .expect = view_moved,
};

static const struct scenario fork_below_certified = {
    .id = "M two-chain",
    .story = "a liar forks off below two blocks that are certified, and not locked on",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 20, /* the chain does not stop */
    .operations = 3000,
    .rules = {LATE_FORK(fork_by_two)},
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
 * The liar shows the newest certificate to replica 3 alone, which others do not
 * hear for a while, and helps them to a timeout certificate without it.
 */
#define HIDDEN_LOCK                                                                          \
	{.type = HOTSTUFF_PROPOSAL,                                                          \
	    .from = R(0),                                                                    \
	    .to = R(3),                                                                      \
	    .at_ns = 200 * MS,                                                               \
	    .times = 1,                                                                      \
	    .act = SCENARIO_FAULT,                                                           \
	    .fault = {.kind = FAULT_ONE_WAY, .from = R(3), .to = R(1) | R(2)}},              \
	    {.from = R(0),                                                                   \
		.to = REPLICAS,                                                              \
		.at_ns = 200 * MS,                                                           \
		.like = not_a_proposal_to_last,                                              \
		.act = SCENARIO_DROP},                                                       \
	    {.type = HOTSTUFF_TIMEOUT,                                                       \
		.from = R(1),                                                                \
		.to = R(2),                                                                  \
		.after = 1,                                                                  \
		.until = 4,                                                                  \
		.like = message_note,                                                        \
		.act = SCENARIO_FORGE,                                                       \
		.fault = {.from = R(0), .to = R(1) | R(2)},                                  \
		.mutate = timeout_copy},                                                     \
	{                                                                                    \
		.type = HOTSTUFF_PROPOSAL, .from = R(1), .to = R(3), .after = 1, .times = 1, \
		.act = SCENARIO_HEAL, .amount = 1                                            \
	}

static const struct scenario hidden_lock = {
    .id = "M hidden lock",
    .story = "one of them knows a certificate that others go on without",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {HIDDEN_LOCK},
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

static const struct scenario abandoned = {
    .id = "M abandoned",
    .story = "a block with requests is abandoned each time round",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {HIDDEN_LOCK},
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

static uint64_t noted_head;

static bool
head_note(struct sim *sim)
{
	noted_head = sim->oracle.head;
	return true;
}

static bool
head_stands(struct sim *sim)
{
	return sim->oracle.head == noted_head;
}

static bool
in_third_view(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->view % 3 == 2;
}

static const struct scenario gaps = {
    .id = "M gaps",
    .story = "there are chains, but none of consecutive views",
    .mode = "hotstuff",
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL,
		.at_ns = 200 * MS,
		.like = in_third_view,
		.act = SCENARIO_DROP},
	    {.at_ns = 300 * MS, .when = head_note},
	    {.at_ns = 900 * MS, .when = head_stands},
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
	const struct scenario *scenario; /* NULL: the preset */
};

static const struct mutant mutants[] = {
    {HOTSTUFF_LOCK_IGNORED, "a vote against the lock", 5, PRESET_NONE, &fork_below_lock},
    {HOTSTUFF_LOCK_EARLY, "a lock on a one-chain", 5, PRESET_NONE, &hidden_lock},
    {HOTSTUFF_COMMIT_TWO, "commits on a two-chain", 5, PRESET_NONE, &fork_below_certified},
    {HOTSTUFF_COMMIT_GAPS, "commits though views are missing", 5, PRESET_NONE, &gaps},
    {HOTSTUFF_VOTES_TWICE, "votes counted twice", 5, PRESET_NONE, &votes_again},
    {HOTSTUFF_SIGNERS_SHORT, "a certificate one signer short", 5, PRESET_LOSS, NULL},
    {HOTSTUFF_VIEW_UNSIGNED, "a certificate's view outside its signatures", 5, PRESET_NONE,
	&renamed},
    {HOTSTUFF_VOTE_TIMED_OUT, "a vote in a view that was given up", 5, PRESET_NONE, &late_proposal},
    {HOTSTUFF_VOTE_AGAIN, "two votes in a view", 5, PRESET_NONE, &two_blocks},
    {HOTSTUFF_ABANDONED_LOST, "an abandoned block's requests lost", 5, PRESET_NONE, &abandoned},
    {HOTSTUFF_ABANDONED_TWICE, "an abandoned block's requests executed twice", 5, PRESET_NONE,
	&forks},
    {HOTSTUFF_AMNESIA, "a replica without memory votes again", 60, PRESET_CRASH, NULL},
    {HOTSTUFF_TC_UNPROVEN, "a timeout certificate that nobody signed", 5, PRESET_NONE, &forged_tc},
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

UNIT_MAIN("mutants_hotstuff", stories)
