/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several ordering instances of PBFT beside each other: what one has decided waits
 * for the slots of another, and a replica's state is moved for all of them at once.
 */
#include "tests/scenario_rig.h"

#include "protocols/pbft/pbft.h"

static bool
of_second_instance(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return h->instance == 1;
}

static const char *
first_instance_kept(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		const struct sim_node *n = &sim->nodes[i];
		if (n->machine->view(node_machine(n, 0)) != 0)
			return "the other instance's primary was blamed for it";
	}
	return NULL;
}

/*
 * What instance 0 has decided waits for the slots of instance 1, as it would for an
 * executor that is slow: no more than the window is under way, votes go on, and
 * nobody blames instance 0's primary for it. That nothing is delivered beyond the
 * window, and no vote is lost or given twice, audits and oracles see.
 */
static const struct scenario slow_executor_scenario = {
    .id = "G17",
    .story = "execution is slower than agreement: what is decided waits, and its primary stays",
    .mode = "pbft",
    .instances = 2,
    .clients = 16,
    .window = 2,
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE,
		.like = of_second_instance,
		.act = SCENARIO_DELAY,
		.amount = 16 * MS},
	    {.type = PBFT_COMMIT,
		.like = of_second_instance,
		.act = SCENARIO_DELAY,
		.amount = 16 * MS},
	},
    .expect = first_instance_kept,
};

static const char *
first_instance_moved_once(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		const struct sim_node *n = &sim->nodes[i];
		uint64_t view = n->machine->view(node_machine(n, 0));
		if (view != 1)
			return view == 0 ? "the primary's pause was not noticed"
					 : "the other instance's primary was blamed for it";
	}
	return NULL;
}

/*
 * A primary that is watched (Aardvark) is not blamed either for what its sibling holds
 * up. The first view is fast, so that there is something to compare with.
 */
static const struct scenario watched_sibling_scenario = {
    .id = "watched sibling",
    .story = "primaries are watched, and one instance becomes slow: the other's primary stays",
    .mode = "pbft",
    .instances = 2,
    .clients = 20,
    .operations = 2500,
    .settings = {.watch_primary = true},
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 25 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 100 * MS}},
	    {.type = PBFT_PRE_PREPARE,
		.like = of_second_instance,
		.at_ns = 150 * MS,
		.act = SCENARIO_DELAY,
		.lasting = true,
		.amount = 12 * MS},
	},
    .expect = first_instance_moved_once,
};

static const char *
second_instance_moved(struct sim *sim)
{
	if (views_max(sim) == 0)
		return "the instance that nobody asks for anything kept its dead primary";
	return first_instance_kept(sim);
}

/* The one client is served by instance 0, whose batches wait for those of instance 1. */
static const struct scenario idle_sibling_scenario = {
    .id = "idle sibling",
    .story = "two primaries of an instance without clients are silent: it changes its view",
    .mode = "pbft",
    .instances = 2,
    .clients = 1,
    .faulty = R(1),
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE,
		.from = R(1),
		.like = of_second_instance,
		.at_ns = 50 * MS,
		.act = SCENARIO_DROP,
		.lasting = true},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(2),
		.like = of_second_instance,
		.view = SCENARIO_IS(1),
		.act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW,
		.from = R(2),
		.like = of_second_instance,
		.view = SCENARIO_IS(1),
		.act = SCENARIO_DROP},
	},
    .expect = second_instance_moved,
};

static const char *
sibling_fetched(struct sim *sim)
{
	return scenario_figure(sim, 3, "transfers") > 0 ? NULL : "no state was fetched";
}

/* The instance that did not ask for the state finds itself beyond what it knows to be decided. */
static const struct scenario sibling_fetches_scenario = {
    .id = "sibling fetches",
    .story = "a replica is cut off; one of its instances fetches the state for both",
    .mode = "pbft",
    .instances = 2,
    .operations = 600,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(3), .to = ALL & ~R(3), .end_ns = 300 * MS}},
	    {.type = BFT_CHECKPOINT, .to = R(3), .like = of_second_instance, .act = SCENARIO_DROP},
	},
    .expect = sibling_fetched,
};

static bool
state_is_here(struct sim *sim)
{
	const struct replica *r = sim->nodes[3].replica;
	return scenario_figure(sim, 3, "transfers") > 0 && !r->transfer.active && r->moved == 0;
}

/*
 * The other instance hears of the checkpoint only when the state is there: it has to
 * know that this is the one, for what it may vote on begins at what is stable. Then
 * replica 2 is gone, and nothing moves without replica 3's votes.
 */
static const struct scenario sibling_checkpoint_scenario = {
    .id = "sibling's checkpoint",
    .story = "what one instance fetched is stable for the other, too, and its votes are needed",
    .mode = "pbft",
    .instances = 2,
    .operations = 600,
    .lost = R(2),
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(3), .to = ALL & ~R(3), .end_ns = 300 * MS}},
	    {.when = state_is_here,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(2), .end_ns = 3600000 * MS},
		.lasting = true},
	    {.type = BFT_CHECKPOINT,
		.to = R(3),
		.like = of_second_instance,
		.until = 2,
		.act = SCENARIO_DROP},
	},
    .expect = sibling_fetched,
};

TELL(slow_executor)
TELL(watched_sibling)
TELL(idle_sibling)
TELL(sibling_fetches)
TELL(sibling_checkpoint)

static const struct unit_story stories[] = {
    STORY(slow_executor),
    STORY(watched_sibling),
    STORY(idle_sibling),
    STORY(sibling_fetches),
    STORY(sibling_checkpoint),
};

UNIT_MAIN("scenarios_instances", stories)
