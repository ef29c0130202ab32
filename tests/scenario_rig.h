/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How suites tell scenarios (sim/scenario.h): each is run with some seeds, and
 * a failure prints what was broken. OSKR_SCENARIO=ID traces that scenario's
 * first seed; OSKR_SCENARIO_MODE=NAME runs that mode alone.
 */
#ifndef OSKR_TESTS_SCENARIO_RIG_H
#define OSKR_TESTS_SCENARIO_RIG_H

#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sanitized.h"
#include "tests/sim/scenario.h"

#define MS   1000000ull
#define R(i) (1ull << (i))
/* Of four replicas and two client nodes. */
#define REPLICAS 0xfull
#define CLIENTS	 0x30ull
#define C(i)	 (1ull << (4 + (i)))
#define ALL	 (REPLICAS | CLIENTS)

enum { SCENARIO_SEEDS = SANITIZED ? 1 : 5 };

/* Those that survive f liars: each goes through the scenarios that name no mode. */
static const char *const byzantine_modes[] = {"pbft", "hotstuff", "zyzzyva"};

static inline void
scenario_tell_mode(const struct scenario *s)
{
	const char *traced = getenv("OSKR_SCENARIO");
	const char *mode = getenv("OSKR_SCENARIO_MODE");
	FILE *trace = traced != NULL && strcmp(traced, s->id) == 0 ? stdout : NULL;
	struct sim_report report;
	if (mode != NULL && strcmp(mode, s->mode) != 0)
		return;
	for (uint64_t seed = 1; seed <= SCENARIO_SEEDS; seed++) {
		scenario_run(s, seed, trace, &report);
		CU_ASSERT_FALSE(report.failed);
		if (report.failed)
			printf("\n    %s (%s), %s, %u pillars, seed %lu: %s\n", s->id, s->story,
			    s->mode, s->pillars, (unsigned long)seed, report.violation);
		if (report.failed || trace != NULL)
			return;
	}
}

/* Several instances are told twice: on one lcore, and with a pillar each. */
static inline void
scenario_tell_forms(const struct scenario *s)
{
	struct scenario spread = *s;
	scenario_tell_mode(s);
	spread.pillars = s->instances;
	if (s->instances > 1)
		scenario_tell_mode(&spread);
}

static inline void
scenario_tell(const struct scenario *s)
{
	if (s->mode != NULL) {
		scenario_tell_forms(s);
		return;
	}
	for (size_t i = 0; i < sizeof(byzantine_modes) / sizeof(byzantine_modes[0]); i++) {
		struct scenario one = *s;
		one.mode = byzantine_modes[i];
		scenario_tell_forms(&one);
	}
}

#define STORY(name)         \
	{                   \
#name, name \
	}
#define TELL(name)                               \
	static void name(void)                   \
	{                                        \
		scenario_tell(&name##_scenario); \
	}

/* ---- What runs come to in the end ------------------------------------------------ */

/* View changes; where views rotate, those that were given up. */
static inline uint64_t
views_max(const struct sim *sim)
{
	return sim->report->views_failed;
}

static inline bool
views_rotate(const struct sim *sim)
{
	return sim->config->protocol.known->rotates;
}

/* The highest view that f + 1 correct replicas have come to. */
static inline uint64_t
view_of_some(const struct sim *sim)
{
	uint64_t highest = 0;
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		uint64_t view = node_view(&sim->nodes[i]);
		uint32_t there = 0;
		for (uint16_t j = 0; j < sim->replicas_count; j++)
			there += sim->nodes[j].correct && node_view(&sim->nodes[j]) >= view;
		if (there > sim->options.faults && view > highest)
			highest = view;
	}
	return highest;
}

static inline const char *
view_moved(struct sim *sim)
{
	return views_max(sim) > 0 ? NULL : "no view change";
}

/* Where views rotate, those of leaders that are gone for good fail, and no others. */
static inline const char *
view_kept(struct sim *sim)
{
	uint64_t views = views_rotate(sim) ? sim->oracle.views_failed_core : views_max(sim);
	return views == 0 ? NULL : "a view change that nothing called for";
}

/* Somebody other than the primary is in trouble; where views rotate, that one leads, too. */
static inline const char *
view_kept_by_primary(struct sim *sim)
{
	return views_rotate(sim) ? NULL : view_kept(sim);
}

#endif
