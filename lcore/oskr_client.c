/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-client: one client node on a DPDK port. Says hello to the replicas,
 * loads, measures, reports as oskr-cluster does. Exit status 0 only if every
 * answer was right, 1 if not, 2 when it could not start. The main lcore.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lcore/process.h"
#include "lcore/report.h"

/* Microseconds of the wall clock: later than in any former life of this client node. */
static uint64_t
wall_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* What only replicas were told, for the report. */
static void
terms_take(struct process *process)
{
	struct enrol_terms terms;
	if (!enrolment_terms(&process->enrolment, &terms))
		return;
	process->options.batch = terms.batch;
	process->options.adaptive = (terms.flags & ENROL_ADAPTIVE) != 0;
}

static int
run(const struct program_state *program, struct process *process)
{
	struct telemetry_source source = report_telemetry(&process->cluster);
	telemetry_open(&source);
	if (!program->options.quiet) {
		printf("%s\n", device_text(process->device));
		fflush(stdout);
	}
	cluster_run(&process->cluster);
	int status = EXIT_FAILURE;
	if (process->cluster.control.unserved) {
		char text[ENROLMENT_TEXT_SIZE];
		enrolment_explain(&process->enrolment, &process->terms, text);
		program_fail(program, "%s", text);
	} else {
		terms_take(process);
		status = program_results(program, &process->cluster);
	}
	telemetry_close();
	return status;
}

static int
client_main(const struct program_state *program, const struct process_config *config)
{
	static struct process process;
	char error[PROGRAM_ERROR_SIZE];
	if (!process_open(&process, config, error)) {
		process_close(&process);
		return program_fail(program, "%s", error);
	}
	program_show_memory(&process.cluster.memory);
	int status = run(program, &process);
	uint32_t missing = process_close(&process);
	if (missing == 0)
		return status;
	program_fail(program, "%u packet buffers leaked", missing);
	return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static struct program_state program;
	static struct process_keys keys;
	static struct clock clock;
	char error[KEYS_ERROR_SIZE];
	program_describe(&program, PROGRAM_CLIENT, "oskr-client",
	    "Runs the clients of one client node on a DPDK port against a cluster of\n"
	    "oskr-replica, and measures throughput and latency.");
	int status = program_options(&program, argc, argv);
	if (status != PROGRAM_GOES_ON)
		return status;
	if (!process_keys_load(&keys, &program.options, true, &program.file, error))
		return program_fail(&program, "%s", error);
	if (!program_outputs(&program))
		return PROGRAM_BAD_START;
	launch_look(&program.machine);
	status = program_start(&program, process_memory_mib(&program.options), 1);
	if (status != PROGRAM_GOES_ON)
		return status;
	clock_start(&clock);
	struct process_config config = {
	    .program = &program,
	    .keys = &keys,
	    .clock = &clock,
	    .started_us = wall_us(),
	};
	status = client_main(&program, &config);
	crypto_erase(&keys, sizeof(keys));
	launch_end();
	return status;
}
