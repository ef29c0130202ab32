/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness must notice: PBFT with one rule broken at a time is caught within
 * a stated number of seeds, and the right one passes the very same runs.
 */
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

#include "protocols/pbft/mutant.h"
#include "tests/sim/sim_modes.h"

#ifndef PBFT_MUTANTS
#error "the protocol must be built with its mutants"
#endif

struct mutant {
	enum pbft_mutant which;
	const char *name;
	enum preset preset;
	uint64_t seeds_max;
};

static const struct mutant mutants[] = {
    {PBFT_TWICE, "an in-flight duplicate ordered twice", PRESET_NONE, 50},
    {PBFT_AMNESIA, "a replica without memory votes again", PRESET_CRASH, 200},
    {PBFT_QUORUM_SHORT, "a quorum one short", PRESET_TWINS, 100},
    {PBFT_PREPARED_DROPPED, "a new view drops a prepared batch", PRESET_CRASH, 100},
};

static bool
run(const struct mutant *m, uint64_t seed, struct sim_report *report)
{
	struct sim_config config;
	CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "pbft", 1));
	config.preset = m->preset;
	config.seed = seed;
	memset(report, 0, sizeof(*report));
	sim_run(&config, report);
	return report->failed;
}

static void
mutants_are_caught(void)
{
	struct sim_report report;
	printf("\n");
	for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
		const struct mutant *m = &mutants[i];
		uint64_t seed = 1;
		pbft_mutant = m->which;
		while (seed < m->seeds_max && !run(m, seed, &report))
			seed++;
		bool caught = report.failed;
		printf("    %-46s %s at seed %lu of %lu: %.60s\n", m->name,
		    caught ? "caught" : "NOT CAUGHT", (unsigned long)seed,
		    (unsigned long)m->seeds_max, report.violation);
		CU_ASSERT_TRUE(caught);
		/* It was the broken rule: the right protocol passes the same run. */
		pbft_mutant = PBFT_RIGHT;
		CU_ASSERT_FALSE(run(m, seed, &report));
	}
}

static const struct unit_story stories[] = {
    {"mutants are caught", mutants_are_caught},
};

UNIT_MAIN("mutants_pbft", stories)
