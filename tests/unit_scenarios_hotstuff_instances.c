/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several ordering instances of HotStuff beside each other, one of whose leaders is
 * silent: each follows the others with empty blocks, and none of them for ever. See
 * unit_scenarios_hotstuff.c.
 */
#include "tests/hotstuff_rig.h"

/* A client's operation is a block and, for its commit, a few more, in each instance. */
enum { POSITIONS_PER_OPERATION = 12, VIEWS_PER_OPERATION = 4 };

static const char *
no_chase(struct sim *sim)
{
	uint64_t most = POSITIONS_PER_OPERATION * sim->oracle.answered;
	if (sim->oracle.head > most)
		return "instances chase each other with empty blocks";
	if (sim->oracle.views_failed > VIEWS_PER_OPERATION * sim->oracle.answered)
		return "views are given up without end";
	return view_moved(sim);
}

#define SILENT_LEADER                                                                          \
	{                                                                                      \
		.type = HOTSTUFF_PROPOSAL, .from = R(0), .lasting = true, .act = SCENARIO_DROP \
	}

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

TELL(one_client)
TELL(few_clients)

static const struct unit_story stories[] = {
    STORY(one_client),
    STORY(few_clients),
};

UNIT_MAIN("scenarios_hotstuff_instances", stories)
