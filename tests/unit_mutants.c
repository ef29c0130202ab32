/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness must notice: the simulator's own protocol with one rule broken at
 * a time is caught within a stated number of seeds, and the right one is not.
 */
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/quorum.h"
#include "tests/sim/sim_modes.h"

/* Sanitized builds are ten times slower, and take a tenth of the seeds. */
#if defined(__SANITIZE_ADDRESS__)
enum { RIGHT_SEEDS = 100 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { RIGHT_SEEDS = 100 };
#else
enum { RIGHT_SEEDS = 1000 };
#endif
#else
enum { RIGHT_SEEDS = 1000 };
#endif

struct mutant {
	enum quorum_mutant which;
	uint16_t faults;
	uint16_t replicas; /* 0: the least */
	uint32_t seeds_max;
};

static const struct mutant mutants[] = {
    {QUORUM_ONE_SHORT, 1, 0, 200},
    {QUORUM_VOTES_TWICE, 1, 4, 2000},
    {QUORUM_NO_DEDUP, 1, 0, 50},
    {QUORUM_EXECUTE_EARLY, 1, 0, 200},
    {QUORUM_REPLY_EARLY, 1, 0, 10},
    {QUORUM_VOTE_AGAIN, 1, 0, 50},
    {QUORUM_PROPOSE_AGAIN, 1, 0, 100},
    {QUORUM_FETCH_SHORT, 1, 0, 200},
};

static bool
config_make(struct sim_config *config, const struct mutant *m)
{
	bool ok = sim_config_make(config, "quorum", m->faults);
	config->preset = PRESET_CRASH;
	if (m->replicas > 0)
		config->options.replicas = m->replicas;
	return ok;
}

static void
mutants_are_caught(void)
{
	struct sim_config config;
	struct sim_report report;
	printf("\n");
	for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
		const struct mutant *m = &mutants[i];
		CU_ASSERT_TRUE_FATAL(config_make(&config, m));
		quorum_mutant = m->which;
		memset(&report, 0, sizeof(report));
		for (config.seed = 1; config.seed <= m->seeds_max; config.seed++) {
			sim_run(&config, &report);
			if (report.failed)
				break;
		}
		CU_ASSERT_TRUE(report.failed);
		printf("    %-34s %s at seed %lu of %u: %.50s\n", quorum_mutant_name(m->which),
		    report.failed ? "caught" : "NOT CAUGHT", (unsigned long)config.seed,
		    m->seeds_max, report.violation);
	}
	quorum_mutant = QUORUM_RIGHT;
}

/* The right protocol, through all that it promises to survive, with the mutants' clusters. */
static void
the_right_protocol_passes(void)
{
	static const struct mutant shapes[] = {
	    {QUORUM_RIGHT, 1, 0, 0}, {QUORUM_RIGHT, 1, 4, 0}, {QUORUM_RIGHT, 2, 0, 0}};
	struct sim_config config;
	struct sim_report report;
	quorum_mutant = QUORUM_RIGHT;
	for (uint64_t seed = 1; seed <= RIGHT_SEEDS; seed++) {
		CU_ASSERT_TRUE_FATAL(config_make(&config, &shapes[seed % 3]));
		config.seed = seed;
		config.preset = seed % 2 ? PRESET_CRASH : PRESET_ALL;
		sim_run(&config, &report);
		CU_ASSERT_FALSE(report.failed);
		if (report.failed)
			printf("\n  seed %lu: %s\n", (unsigned long)seed, report.violation);
	}
}

static const struct unit_story stories[] = {
    {"mutants are caught", mutants_are_caught},
    {"the right protocol passes all its seeds", the_right_protocol_passes},
};

UNIT_MAIN("mutants", stories)
