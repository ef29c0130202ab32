/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's start: which arguments it gets, and what the operator is told when it
 * will not start. Used by mains, on the main thread, in this order:
 *
 *     launch_split()        argv in DPDK's part and ours, at the first "--"
 *     ...                   our part is parsed (config/options)
 *     launch_look()         CPUs and hugepages of this machine
 *     launch_choose()       DPDK's arguments, where the user gave none
 *     launch_eal()          starts DPDK, or explains
 *     launch_lcores()       who may work where
 *     launch_end()
 *
 * launch_split() and launch_choose() are pure.
 */
#ifndef OSKR_LCORE_LAUNCH_H
#define OSKR_LCORE_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "config/limits.h"

enum {
	LAUNCH_ARGUMENTS_MAX = 128,
	LAUNCH_TEXT_SIZE = 8192,     /* bytes of the arguments that are made here */
	LAUNCH_CPUS_MAX = 1024,	     /* as many as a cpu_set_t has */
	LAUNCH_MEMORY_MIB = 512,     /* taken without hugepages unless asked otherwise */
	LAUNCH_EXIT_STATUS = 2,	     /* of a program whose start failed */
	LAUNCH_CPU_ANY = UINT16_MAX, /* an lcore that is not bound to one CPU */
};

/* What launch_choose() decides from. */
struct launch_machine {
	uint32_t cpus_count;
	uint16_t cpus[LAUNCH_CPUS_MAX]; /* that this process may use, ascending */
	uint64_t hugepages_free_mib;	/* in 2 MiB pages */
	bool hugepages_usable;		/* this process could map one */
	uint32_t pid;
};

/* What the program wants, from its own options. Zeroes are the defaults. */
struct launch_request {
	uint32_t cores_wanted; /* lcores; 0: all allowed CPUs */
	uint32_t memory_mib;   /* what packets and rings take; 0: LAUNCH_MEMORY_MIB */
	/* TYPE:LEVEL each, as DPDK's --log-level takes; TYPE covers its sub-types TYPE.* too. */
	const char *const *log_levels;
	uint32_t log_levels_count;
};

/*
 * The command line in two. Pointers are into main's argv, which stays in place,
 * or into `text`: a plan is not copied.
 */
struct launch_plan {
	int argc;    /* ours: argv[0] is the program's name, then what is for us */
	char **argv; /* ends with NULL */
	int eal_argc;
	char *eal_argv[LAUNCH_ARGUMENTS_MAX + 1]; /* DPDK's, program name first, NULL last */
	bool chosen;				  /* made here: the user gave none */
	bool hugepages;				  /* only meaningful when chosen */
	char line[1024]; /* DPDK's arguments for people, cut to fit: print "eal: LINE" */
	char note[256];	 /* what could be better, with the remedy; else empty */
	uint32_t text_size;
	char text[LAUNCH_TEXT_SIZE];
};

/*
 * Splits at the first "--": before it DPDK's arguments, untouched, behind it
 * ours. Without "--", or with nothing before it, all are ours. The element "--"
 * of argv is overwritten by the program's name. Returns 0, or -E2BIG when DPDK's
 * are more than LAUNCH_ARGUMENTS_MAX.
 */
int launch_split(struct launch_plan *plan, int argc, char **argv);

void launch_look(struct launch_machine *machine);

/*
 * Chooses DPDK's arguments if the user gave none; adds the log levels in either
 * case. After launch_split(). Returns 0, or -E2BIG when they do not fit.
 */
int launch_choose(struct launch_plan *plan, const struct launch_machine *machine,
    const struct launch_request *request);

/*
 * Starts DPDK. Its messages below warnings are not shown unless asked for. On
 * failure prints what is wrong and the remedy as the last line on stderr and
 * returns a negative errno; the caller exits with LAUNCH_EXIT_STATUS. Devices
 * that the arguments name (-a, --vdev) and that did not come up are a failure.
 */
int launch_eal(struct launch_plan *plan);

struct launch_lcore {
	uint16_t lcore; /* DPDK's number */
	uint16_t cpu;	/* the CPU that it is pinned to, or LAUNCH_CPU_ANY */
	bool shared;	/* another lcore may run on the same CPU */
};

struct launch_lcores {
	uint32_t count;
	bool shared;				/* some lcores share a CPU: idle ones must yield */
	uint32_t cpus_count;			/* on which they run */
	struct launch_lcore list[LIMIT_LCORES]; /* the main lcore first, workers ascending */
};

/* After launch_eal(). Returns 0, or -E2BIG when there are more than LIMIT_LCORES. */
int launch_lcores(struct launch_lcores *lcores);

/* Gives DPDK's memory and files back. No lcore may be running. */
void launch_end(void);

#endif
