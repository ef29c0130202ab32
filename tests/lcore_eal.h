/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a suite of stories that need DPDK: no hugepages, no devices, one lcore,
 * little memory, nothing shared with other processes. Main thread.
 */
#ifndef OSKR_TESTS_LCORE_EAL_H
#define OSKR_TESTS_LCORE_EAL_H

#include <sched.h>
#include <stdio.h>

#include "lcore/launch.h"
#include "tests/unit.h"

/* Starts DPDK under the file prefix `name`; false after a line on stderr. */
static inline bool
lcore_eal_start(const char *name)
{
	static char prefix[64];
	static char lcores[32];
	static char program[] = "test";
	static char *words[] = {program, "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
	    "--no-telemetry", prefix, lcores, "--", NULL};
	static struct launch_plan plan;
	static struct launch_machine machine;
	const struct launch_request request = {.cores_wanted = 1};
	snprintf(prefix, sizeof(prefix), "--file-prefix=oskr-test-%s", name);
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", sched_getcpu());
	launch_look(&machine);
	int words_count = (int)(sizeof(words) / sizeof(words[0])) - 1;
	return launch_split(&plan, words_count, words) == 0 &&
	       launch_choose(&plan, &machine, &request) == 0 && launch_eal(&plan) == 0;
}

/* The whole of a suite's main: returns the process's exit status. */
static inline int
lcore_eal_run(const char *name, const struct unit_story *stories, size_t count)
{
	if (!lcore_eal_start(name))
		return EXIT_FAILURE;
	int status = unit_run(name, stories, count);
	launch_end();
	return status;
}

#endif
