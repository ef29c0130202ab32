/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios in the manner of Twins (Bano et al., OPODIS'21): a faulty replica is
 * one that lives twice, and a round says who leads it and who hears whom. Here a
 * round is a view, and the leaders of the first views are scripted (the protocol
 * is built anew for it, see hotstuff_leader()); then they take turns again. Two
 * cases on record, which broke other implementations, and generated ones.
 */
#include "tests/hotstuff_rig.h"

#include "protocols/hotstuff/mutant.h"
#include "tests/sim/sim_modes.h"

#ifndef BFT_MUTANTS
#error "the protocol must be built with its mutants: leaders are scripted"
#endif

enum {
	VIEWS_APART = 255, /* views that one byte of a FAULT_VIEW_CUT can tell apart */
	GENERATED = SCENARIO_SEEDS * 12, /* seeds */
	GENERATED_VIEWS = 9,		 /* whose leaders are drawn, too */
};

/* The second life of replica 3. */
#define T SCENARIO_TWIN

/* ---- Leaders ------------------------------------------------------------------------- */

static const uint8_t *leaders; /* of views from 1 on */
static uint64_t leaders_count;

static uint16_t
leader_listed(uint64_t view)
{
	if (view >= 1 && view <= leaders_count)
		return leaders[view - 1];
	return (uint16_t)(view % 4);
}

static uint64_t leaders_seed;
static uint16_t leaders_among;

static uint16_t
leader_drawn(uint64_t view)
{
	if (view > GENERATED_VIEWS)
		return (uint16_t)(view % leaders_among);
	return (uint16_t)(random_mix(leaders_seed * GENERATED_VIEWS + view) % leaders_among);
}

/* ---- Rounds ---------------------------------------------------------------------------- */

/* In view `view`, those in `from` are not heard by those in `to`. */
#define CUT(view, from_, to_)                                                             \
	{                                                                                 \
		.kind = FAULT_VIEW_CUT, .end_ns = 900 * MS, .from = (from_), .to = (to_), \
		.amount = VIEWS_APART << 8 | (view)                                       \
	}
#define APART(view, a, b) CUT(view, a, b), CUT(view, b, a)

/*
 * A block was committed whose parent could not be fetched. Leaders 3 3 3 2 2 4 2,
 * counted from 1; replica 4 lives twice.
 */
static const uint8_t missing_parent_leaders[] = {2, 2, 2, 1, 1, 3, 1};
static const struct fault missing_parent_rounds[] = {
    APART(1, R(0) | R(1) | R(2) | R(3), R(T)),
    APART(2, R(0) | R(1) | R(2) | R(3), R(T)),
    APART(3, R(0) | R(1) | R(2) | R(3), R(T)),
    APART(4, R(0) | R(2) | R(3) | R(T), R(1)),
    APART(5, R(2) | R(3) | R(T), R(0) | R(1)),
    APART(6, R(0) | R(1) | R(2) | R(3), R(T)),
    APART(7, R(0) | R(2) | R(3), R(1) | R(T)),
};

static const struct scenario missing_parent_scenario = {
    .id = "H03",
    .story = "Twins: a certified block whose parent only some have",
    .mode = "hotstuff",
    .twin = R(3),
    .planned = missing_parent_rounds,
    .planned_count = sizeof(missing_parent_rounds) / sizeof(missing_parent_rounds[0]),
};

/* It broke a variant of two phases: no twins, leaders of rounds 3 to 11 are 0 0 1 0 2 1 1 2 2. */
static const uint8_t two_phases_leaders[] = {0, 0, 0, 0, 1, 0, 2, 1, 1, 2, 2};
static const struct fault two_phases_rounds[] = {
    CUT(5, R(1), R(0) | R(2) | R(3)),
    APART(6, R(0) | R(2) | R(3), R(1)),
    APART(7, R(0) | R(2) | R(3), R(1)),
    CUT(7, R(2), R(0) | R(1) | R(3)),
    APART(8, R(0) | R(1) | R(3), R(2)),
    APART(9, R(0) | R(1) | R(3), R(2)),
    CUT(9, R(1), R(0) | R(2) | R(3)),
    APART(10, R(0) | R(2) | R(3), R(1)),
    APART(11, R(0) | R(2) | R(3), R(1)),
};

static const struct scenario two_phases_scenario = {
    .id = "H14",
    .story = "Twins: what broke a variant of two phases",
    .mode = "hotstuff",
    .planned = two_phases_rounds,
    .planned_count = sizeof(two_phases_rounds) / sizeof(two_phases_rounds[0]),
};

static void
missing_parent(void)
{
	leaders = missing_parent_leaders;
	leaders_count = sizeof(missing_parent_leaders);
	hotstuff_leader_script = leader_listed;
	scenario_tell(&missing_parent_scenario);
	hotstuff_leader_script = NULL;
}

static void
two_phases(void)
{
	leaders = two_phases_leaders;
	leaders_count = sizeof(two_phases_leaders);
	hotstuff_leader_script = leader_listed;
	scenario_tell(&two_phases_scenario);
	hotstuff_leader_script = NULL;
}

/* Partitions as the seed gives them, by time and by view, and leaders, twins among them. */
static void
generate(uint32_t faults, uint64_t first)
{
	struct sim_config config;
	struct sim_report report;
	hotstuff_leader_script = leader_drawn;
	leaders_among = (uint16_t)(3 * faults + 1);
	for (uint64_t seed = first; seed < first + GENERATED; seed++) {
		CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "hotstuff", faults));
		config.options.replicas = leaders_among;
		config.preset = PRESET_TWINS;
		config.seed = seed;
		leaders_seed = seed;
		sim_run(&config, &report);
		CU_ASSERT_FALSE(report.failed);
		if (report.failed)
			printf("\n    H15, %u faults, seed %lu: %s\n", faults, (unsigned long)seed,
			    report.violation);
	}
	hotstuff_leader_script = NULL;
}

/* H15. */
static void
generated_of_four(void)
{
	generate(1, 1);
}

static void
generated_of_seven(void)
{
	generate(2, 1);
}

static const struct unit_story stories[] = {
    STORY(missing_parent),
    STORY(two_phases),
    {"H15 of four", generated_of_four},
    {"H15 of seven", generated_of_seven},
};

UNIT_MAIN("twins_hotstuff", stories)
