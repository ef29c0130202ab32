/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mains share: describing the program, reading the command line and
 * the cluster file, starting DPDK, showing what memory was taken, giving
 * results. All of it prints its own errors, one clear line each. The main
 * thread, at start and end.
 */
#ifndef OSKR_LCORE_PROGRAM_H
#define OSKR_LCORE_PROGRAM_H

#include "config/cluster_file.h"
#include "config/options.h"
#include "lcore/cluster.h"
#include "lcore/launch.h"
#include "lcore/loop.h"

#define PROGRAM_VERSION "0.1.0"

enum {
	PROGRAM_MODES_MAX = 16,
	PROGRAM_ERROR_SIZE = 512,
	PROGRAM_GOES_ON = -1,
	PROGRAM_BAD_START = 2, /* command line, configuration, memory: nothing was run */
};

/* A program and how it was started. Static storage: a plan is not copied. */
struct program_state {
	struct options_program description;
	struct options options;
	struct launch_plan launch;
	struct launch_machine machine;
	struct launch_lcores lcores;
	const struct protocol *protocol;
	uint8_t protocol_index;
	struct cluster_file file; /* of programs that read one */
};

/* Describes the program: its modes are the registry's. */
void program_describe(
    struct program_state *p, enum program program, const char *name, const char *summary);

/*
 * Reads the command line, and for a process the cluster file that it names: the options are
 * resolved then. Returns PROGRAM_GOES_ON or an exit status.
 */
int program_options(struct program_state *p, int argc, char **argv);

/* What is written at the end must be writable at the start; nothing is left if that fails. */
bool program_outputs(const struct program_state *p);

/*
 * Starts DPDK with memory_mib at least and so many lcores (0: all), where the user does not
 * say otherwise; then the signals. Returns PROGRAM_GOES_ON or an exit status.
 */
int program_start(struct program_state *p, uint32_t memory_mib, uint32_t cores);

enum loop_idle program_idle(const struct program_state *p);

/* The sum of all memory, with --log-level oskr:info. */
void program_show_memory(const struct memory_plan *memory);

/* Prints and writes what the options ask for. Returns the exit status. */
int program_results(const struct program_state *p, struct cluster *cluster);

/* One line on stderr, after the program's name. Returns PROGRAM_BAD_START. */
int program_fail(const struct program_state *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
