/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a silent leader of HotStuff costs: views of its own, and where several ordering
 * instances follow each other with empty blocks, none of them goes on for ever. See
 * unit_scenarios_hotstuff.c.
 */
#include "tests/hotstuff_rig.h"

/*
 * An operation is a block, in each instance, and two more to commit it; or as many
 * again, where the silent leader's turn comes between.
 */
enum { HEIGHTS_PER_OPERATION = 6, FAILURES_PER_OPERATION = 2 };

static const char *
no_chase(struct sim *sim)
{
	uint64_t most = sim->oracle.answered * sim->options.instances;
	if (sim->oracle.head > HEIGHTS_PER_OPERATION * most)
		return "instances chase each other with empty blocks";
	if (sim->oracle.views_failed > FAILURES_PER_OPERATION * most)
		return "views are given up without end";
	return view_moved(sim);
}

#define SILENT_LEADER                                                                          \
	{                                                                                      \
		.type = HOTSTUFF_PROPOSAL, .from = R(0), .lasting = true, .act = SCENARIO_DROP \
	}

/* ---- One instance ----------------------------------------------------------------- */

/* Half a second of which each turn of the silent one, with a whole timeout, took 25 ms. */
enum { ANSWERS_MIN = 600 };

static bool
answers_are_many(struct sim *sim)
{
	return sim->oracle.answered >= ANSWERS_MIN;
}

static const struct scenario short_turns_scenario = {
    .id = "H08 pace",
    .story = "a leader is silent, but its turns cost no more than a few views",
    .mode = "hotstuff",
    .faulty = R(0),
    .clients = 12,
    .operations = 4000,
    .rules =
	{
	    SILENT_LEADER,
	    {.at_ns = 500 * MS, .when = answers_are_many},
	},
    .expect = view_moved,
};

/* ---- Votes of spare replicas ------------------------------------------------------- */

/* In half a second; where a late vote was waited for in three views of four, 623. */
enum { ANSWERS_OF_SPARE_MIN = 6500 };

static bool
late_votes_are_few(struct sim *sim)
{
	return sim->oracle.answered >= ANSWERS_OF_SPARE_MIN;
}

static const char *
no_view_failed(struct sim *sim)
{
	return sim->oracle.views_failed == 0 ? NULL : "views failed, though all lead well";
}

static const struct scenario spare_needed_scenario = {
    .id = "spare, needed",
    .story = "one replica leads and collects well, and votes for nobody else",
    .mode = "hotstuff",
    .settings = {.view_timeout_ns = 250 * MS},
    .faulty = R(0),
    .clients = 12,
    .operations = 16000,
    .rules =
	{
	    {.type = HOTSTUFF_VOTE, .from = R(0), .lasting = true, .act = SCENARIO_DROP},
	    {.at_ns = 500 * MS, .when = late_votes_are_few},
	},
    .expect = no_view_failed,
};

/* ---- Nothing can be proposed ------------------------------------------------------- */

/* 400 ms in which each view that fails should take a whole timeout, but for some at first. */
enum { FAILURES_MAX = 400 / 20 + 6 };

static const char *
failed_no_faster(struct sim *sim)
{
	if (sim->oracle.views_failed > FAILURES_MAX)
		return "views fail faster than timeouts, though that is of no use";
	return view_moved(sim);
}

static const struct scenario barren_scenario = {
    .id = "barren",
    .story = "no checkpoint becomes stable: requests wait that nobody may propose, views fail",
    .mode = "hotstuff",
    .clients = 12,
    .operations = 800,
    .horizon_ns = 600 * MS,
    .rules = {{.type = BFT_CHECKPOINT, .at_ns = 200 * MS, .act = SCENARIO_DROP}},
    .expect = failed_no_faster,
};

/* ---- Several instances -------------------------------------------------------------- */

static const struct scenario one_client_scenario = {
    .id = "H17 one client",
    .story = "a leader is silent; of two instances one has a client, the other none",
    .mode = "hotstuff",
    .faulty = R(0),
    .instances = 2,
    .clients = 1,
    .operations = 15,
    .horizon_ns = 60000 * MS,
    .rules = {SILENT_LEADER},
    .expect = no_chase,
};

static const struct scenario few_clients_scenario = {
    .id = "H17 few clients",
    .story = "a leader is silent; four instances have three clients, small logs, a small window",
    .mode = "hotstuff",
    .faulty = R(0),
    .instances = 4,
    .clients = 3,
    .operations = 90,
    .window = 1,
    .settings = {.checkpoint_interval = 4, .view_timeout_ns = 20 * MS},
    .rules = {SILENT_LEADER},
    .expect = no_chase,
};

/* ---- The suite -------------------------------------------------------------------- */

TELL(short_turns)
TELL(spare_needed)
TELL(barren)
TELL(one_client)
TELL(few_clients)

static const struct unit_story stories[] = {
    STORY(short_turns),
    STORY(spare_needed),
    STORY(barren),
    STORY(one_client),
    STORY(few_clients),
};

UNIT_MAIN("scenarios_hotstuff_silent", stories)
