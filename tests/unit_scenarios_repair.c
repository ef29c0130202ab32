/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How PBFT's replicas help each other, and themselves, when something is missing: a
 * proposal that only some heard, a reply that a fetched state holds, votes that are
 * still on their way; replicas that stop in the middle of a vote, all of them at
 * once too; and more liars than are promised to be survived, who are to be noticed.
 */
#include "tests/scenario_rig.h"

#include "protocols/pbft/pbft.h"

/* Votable by a replica that has no checkpoint yet, too. */
enum { SLOT = 10 };

/* ---- Proposals ------------------------------------------------------------------------ */

static const char *
adopted_in_time(struct sim *sim)
{
	for (uint16_t i = 3; i < 5; i++) {
		if (scenario_figure(sim, i, "adopted") == 0)
			return "nobody took others' word for a proposal";
	}
	if (views_max(sim) != 0)
		return "a view change that nothing called for";
	return sim->report->settled_ns < 250 * MS ? NULL : "all waited for the slow primary";
}

/* Of five, q = 4 have to prepare: without the two who wait nothing is agreed on. */
static const struct scenario slow_to_some_scenario = {
    .id = "P05 to some",
    .story = "the primary is slow to two of four, who learn from the others what it proposed",
    .mode = "pbft",
    .replicas = 5,
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE,
	.from = R(0),
	.to = R(3) | R(4),
	.act = SCENARIO_DELAY,
	.amount = 18 * MS,
	.lasting = true}},
    .expect = adopted_in_time,
};

/* ---- Replies --------------------------------------------------------------------------- */

static const char *
nobody_left_alone(struct sim *sim)
{
	if (node_view(&sim->nodes[2]) < 3)
		return "replica 2 never led";
	return node_view(&sim->nodes[2]) == 3 ? NULL : "it left a view for what was long executed";
}

/*
 * Where reads are not ordered a write waits for q replies. Replica 3 sends none to one
 * client node, so that node needs replica 2, which is away while its requests are
 * executed, and comes back as the primary of a view in which it gets nothing ordered.
 * Nobody else will propose again what has long been executed.
 */
static const struct scenario cached_reply_scenario = {
    .id = "cached reply",
    .story = "a primary that fetched its state is asked for what was executed in between",
    .mode = "pbft",
    .operations = 600,
    .faulty = R(3),
    .settings = {.reads = true},
    .rules =
	{
	    {.from = R(3), .to = C(0), .act = SCENARIO_DROP, .lasting = true},
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(2), .to = ALL & ~R(2), .end_ns = 400 * MS}},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(0),
		.view = SCENARIO_IS(0),
		.at_ns = 470 * MS,
		.act = SCENARIO_DROP,
		.lasting = true},
	    {.type = PBFT_NEW_VIEW, .view = SCENARIO_IS(1), .act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW, .from = R(2), .view = SCENARIO_IS(2), .act = SCENARIO_COUNT},
	    {.type = MESSAGE_REQUEST, .from = C(0), .to = R(2), .until = 5, .act = SCENARIO_DROP},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(2),
		.view = SCENARIO_IS(2),
		.act = SCENARIO_DROP,
		.lasting = true},
	},
    .expect = nobody_left_alone,
};

/* ---- Votes that are on their way --------------------------------------------------------- */

static const char *
repair_is_rare(struct sim *sim)
{
	uint64_t statuses = scenario_figure(sim, 1, "statuses");
	uint64_t slots = scenario_figure(sim, 1, "executed_seq");
	if (views_max(sim) != 0)
		return "a view change that nothing called for";
	return statuses <= 3 * slots ? NULL : "they ask again and again for what is on its way";
}

/* A tick is a sixteenth of the timeout, 16 ms; a message takes three of these. */
static const struct scenario slow_links_scenario = {
    .id = "slow links",
    .story = "messages take long, and no more is sent than where they do not",
    .mode = "pbft",
    .operations = 200,
    .clients = 2,
    .settings = {.view_timeout_ns = 256 * MS},
    .horizon_ns = 20000 * MS,
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 1,
	.fault = {.kind = FAULT_SLOW, .from = ALL, .to = ALL, .amount = 48 * MS}}},
    .expect = repair_is_rare,
};

/* ---- Batches ------------------------------------------------------------------------------- */

static const char *
batches_are_full(struct sim *sim)
{
	uint64_t batches = scenario_figure(sim, 0, "proposals");
	uint64_t requests = scenario_figure(sim, 0, "requests_proposed");
	if (views_max(sim) != 0)
		return "a view change that nothing called for";
	return requests >= 12 * batches ? NULL : "agreement is signed for a few requests at a time";
}

/*
 * All but the first operations come after the horizon, of clients that each ask anew
 * when they are answered; how soon that is differs.
 */
static const struct scenario fuller_batches_scenario = {
    .id = "fuller batches",
    .story = "where agreement is signed a batch waits for all clients that ask at present",
    .mode = "pbft",
    .auth = AUTH_SIGN,
    .clients = 20,
    .batch = 64,
    .operations = 4000,
    .horizon_ns = 10 * MS,
    .rules =
	{
	    {.type = MESSAGE_REPLY,
		.to = C(0),
		.act = SCENARIO_DELAY,
		.amount = MS / 4,
		.lasting = true},
	},
    .expect = batches_are_full,
};

/* ---- Stopping while voting ----------------------------------------------------------------- */

#define STOPS(kind_, node, ms) \
	.act = SCENARIO_FAULT, .fault = {.kind = kind_, .from = (node), .end_ns = (ms)*MS}

static const char *
all_went_on(struct sim *sim)
{
	return sim->oracle.answered >= 250 && sim->report->settled_ns < 200 * MS
		   ? NULL
		   : "they were not served in time";
}

static bool
first_has_executed_slot(struct sim *sim)
{
	return sim->oracle.replicas[1].position >= SLOT;
}

/* One has executed a batch that the others only prepared: all that is left is what each kept. */
static const struct scenario all_crash_scenario = {
    .id = "G10",
    .story = "all replicas stop at once, and go on with what they have kept",
    .mode = "pbft",
    .rules =
	{
	    {.type = PBFT_COMMIT,
		.to = R(0) | R(2) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.when = first_has_executed_slot, STOPS(FAULT_CRASH, REPLICAS, 100)},
	    {.type = PBFT_DECIDED,
		.seq = SCENARIO_IS(SLOT),
		.optional = true,
		.act = SCENARIO_DROP},
	},
    .expect = all_went_on,
};

static bool
second_is_down(struct sim *sim)
{
	return !sim->nodes[2].up;
}

static bool
second_is_up(struct sim *sim)
{
	return sim->nodes[2].up;
}

static void
said_of_slot(struct scenario_letter *l, uint8_t type)
{
	const struct protocol_config *config = &l->sim->plan.protocol;
	l->letter->header->type = type;
	l->letter->header->view = 0;
	l->letter->header->seq = SLOT;
	l->letter->proof = config->protocol_proof;
	l->letter->body_size = 0;
}

/* The null batch, in place of what was proposed. */
static void
slot_proposed_anew(struct scenario_letter *l)
{
	said_of_slot(l, PBFT_PRE_PREPARE);
	memset(l->letter->header->digest, 0, DIGEST_SIZE);
}

static void
slot_committed_anew(struct scenario_letter *l)
{
	said_of_slot(l, PBFT_COMMIT);
	memset(l->letter->header->digest, 7, DIGEST_SIZE);
}

/* It has voted, nobody has heard of it, and the primary now says something else. */
static const struct scenario vote_kept_scenario = {
    .id = "G11",
    .story = "a replica stops between keeping a vote and sending it: later it sends that or none",
    .mode = "pbft",
    .faulty = R(0),
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.from = R(2),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.times = 1,
		STOPS(FAULT_CRASH, R(2), 5)},
	    {.type = PBFT_PREPARE,
		.from = R(2),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.times = 3,
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.from = R(1) | R(3),
		.to = R(2),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.when = second_is_down, .act = SCENARIO_COUNT},
	    {.act = SCENARIO_FORGE,
		.after = 4,
		.when = second_is_up,
		.amount = 1,
		.fault = {.from = R(0), .to = R(2)},
		.mutate = slot_proposed_anew},
	},
};

/* The same, when what it voted for is lost with its memory. */
static const struct scenario vote_lost_scenario = {
    .id = "G11 without memory",
    .story = "a replica votes and forgets it: it votes for nothing there again",
    .mode = "pbft",
    .faulty = R(0),
    .operations = 600,
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.from = R(2),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.times = 1,
		STOPS(FAULT_AMNESIA, R(2), 20)},
	    {.when = second_is_down, .act = SCENARIO_COUNT},
	    {.act = SCENARIO_FORGE,
		.after = 2,
		.when = second_is_up,
		.amount = 1,
		.fault = {.from = R(0), .to = R(2)},
		.mutate = slot_proposed_anew},
	},
};

/* ---- More liars than f --------------------------------------------------------------------- */

static const char *
culprits_known(struct sim *sim)
{
	for (uint16_t i = 1; i < 3; i++) {
		if (scenario_figure(sim, i, "culprits") > sim->options.faults)
			return NULL;
	}
	return "nobody noticed that f + 1 of them lie";
}

/*
 * What they say is signed. More is not promised: they stop at what they said, for two
 * more lies and the correct ones would not agree. Reads have writes wait for q replies,
 * so that no two liars answer a client before anybody has executed anything.
 */
static const struct scenario too_many_scenario = {
    .id = "B01",
    .story = "f + 1 replicas contradict themselves, and are named",
    .mode = "pbft",
    .auth = AUTH_SIGN,
    .settings = {.reads = true},
    .faulty = R(0) | R(3),
    .rules =
	{
	    {.type = PBFT_COMMIT,
		.from = R(0) | R(2),
		.to = R(1),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DELAY,
		.amount = 2 * MS},
	    {.type = PBFT_COMMIT,
		.from = R(3),
		.to = R(1),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_COUNT},
	    {.act = SCENARIO_FORGE,
		.after = 2,
		.amount = 1,
		.fault = {.from = R(3), .to = R(1)},
		.mutate = slot_committed_anew},
	    {.act = SCENARIO_FORGE,
		.after = 2,
		.amount = 1,
		.fault = {.from = R(0), .to = R(1)},
		.mutate = slot_proposed_anew},
	},
    .expect = culprits_known,
};

TELL(slow_to_some)
TELL(cached_reply)
TELL(slow_links)
TELL(fuller_batches)
TELL(all_crash)
TELL(vote_kept)
TELL(vote_lost)
TELL(too_many)

static const struct unit_story stories[] = {
    STORY(slow_to_some),
    STORY(cached_reply),
    STORY(slow_links),
    STORY(fuller_batches),
    STORY(all_crash),
    STORY(vote_kept),
    STORY(vote_lost),
    STORY(too_many),
};

UNIT_MAIN("scenarios_repair", stories)
