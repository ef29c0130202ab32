/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How PBFT's replicas help each other, and themselves, when something is missing: a
 * proposal that only some heard, a reply that a fetched state holds, votes that are
 * still on their way; replicas that stop in the middle of a vote, all of them at
 * once too; and more liars than are promised to be survived, who are to be noticed.
 */
#include "tests/scenario_rig.h"

#include "protocols/pbft/pbft.h"

enum { SLOT = 20 };

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

TELL(slow_to_some)
TELL(cached_reply)
TELL(slow_links)

static const struct unit_story stories[] = {
    STORY(slow_to_some),
    STORY(cached_reply),
    STORY(slow_links),
};

UNIT_MAIN("scenarios_repair", stories)
