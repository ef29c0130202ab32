/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Zyzzyva's replicas do for those who lack something, and what they know after it
 * was done for them: a state that was fetched, and answers to whoever asks without end.
 * See unit_scenarios_zyzzyva.c.
 */
#include "tests/zyzzyva_scripts.h"

/* ---- Z21: what a fetched state does not have ------------------------------------------------ */

static bool
is_of_the_second(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)to;
	return h->type == MESSAGE_REQUEST && h->sender >= plan_slot_first(&sim->plan, 1);
}

static bool
second_view_is_left(struct sim *sim)
{
	return sim->now_ns < 950 * MS && view_of_some(sim) >= 2;
}

static const char *
state_was_fetched(struct sim *sim)
{
	if (scenario_figure(sim, 0, "transfers") == 0)
		return "the former primary fetched no state";
	return view_moved(sim);
}

/*
 * The primary of view 0 executes what one client node asks, alone with it, while the others
 * go on in view 1; the state that it fetches then has nothing of that. The primary of view 1
 * will not hear of those clients, and of the others one alone does before the horizon: so
 * the former primary has to know that they still wait.
 */
static const struct scenario undone_by_transfer_scenario = {
    .id = "Z21",
    .story = "what a replica executed alone is not in the state that it fetches, and is still due",
    .mode = "zyzzyva",
    .faulty = R(1),
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_PARTITION,
		    .from = R(0) | C(1),
		    .to = R(1) | R(2) | R(3) | C(0),
		    .end_ns = 400 * MS}},
	    {.to = R(1),
		.at_ns = 100 * MS,
		.like = is_of_the_second,
		.lasting = true,
		.act = SCENARIO_DROP},
	    {.from = C(1), .to = R(3), .at_ns = 100 * MS, .act = SCENARIO_DROP},
	    {.at_ns = 500 * MS, .when = second_view_is_left},
	},
    .expect = state_was_fetched,
};

TELL(undone_by_transfer)

static const struct unit_story stories[] = {
    STORY(undone_by_transfer),
};

UNIT_MAIN("scenarios_zyzzyva_repair", stories)
