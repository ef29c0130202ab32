/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-cluster: n replicas and their clients in one process, measured. Parses,
 * starts DPDK, builds the cluster, runs it, reports. The main lcore.
 */
#include <errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/options.h"
#include "lcore/cluster.h"
#include "lcore/launch.h"
#include "lcore/report.h"
#include "lcore/signals.h"
#include "protocols/registry.h"

#define VERSION "0.1.0"

enum {
	MODES_MAX = 16,
	ERROR_SIZE = 256,
	EXIT_BAD_START = 2, /* command line, configuration, memory: nothing was run */
};

static struct options_mode modes[MODES_MAX];

static const struct options_program *
program_describe(void)
{
	static struct options_program program = {
	    .name = "oskr-cluster",
	    .version = VERSION,
	    .summary =
		"Runs replicas and clients of a replication protocol in one process, joined\n"
		"by an in-process switch, and measures throughput and latency.",
	    .program = PROGRAM_CLUSTER,
	    .modes = modes,
	};
	program.modes_count = registry_count();
	check(registry_count() <= MODES_MAX);
	for (uint32_t i = 0; i < registry_count(); i++) {
		const struct protocol *p = registry_at(i);
		modes[i] = (struct options_mode){
		    .name = p->name,
		    .alias = p->alias,
		    .replicas_per_fault = p->replicas_per_fault,
		    .replicas_base = p->replicas_base,
		    .replies_signed = (p->flags & PROTOCOL_REPLIES_SIGNED) != 0,
		    .speculative = (p->flags & PROTOCOL_SPECULATIVE) != 0,
		};
	}
	return &program;
}

/* Returns an exit status, or -1 to go on. */
static int
options_read(struct options *options, const struct options_program *program, int argc, char **argv)
{
	struct config_error error;
	int action = options_parse(options, program, argc, argv, &error);
	switch (action) {
	case OPTIONS_HELP:
		options_print_help(stdout, program);
		return EXIT_SUCCESS;
	case OPTIONS_MODES:
		options_print_modes(stdout, program);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		options_print_version(stdout, program);
		return EXIT_SUCCESS;
	case OPTIONS_RUN:
		if (options_resolve(options, program, &error) == 0)
			return -1;
		break;
	default:
		break;
	}
	fprintf(stderr, "%s\n", error.text);
	return EXIT_BAD_START;
}

static enum loop_idle
idle_choose(const struct options *options, const struct launch_lcores *lcores)
{
	switch (options->idle) {
	case IDLE_POLL:
		return LOOP_IDLE_POLL;
	case IDLE_PAUSE:
		return LOOP_IDLE_PAUSE;
	case IDLE_YIELD:
		return LOOP_IDLE_YIELD;
	case IDLE_SLEEP:
		return LOOP_IDLE_SLEEP;
	case IDLE_AUTO:
		break;
	}
	return lcores->shared ? LOOP_IDLE_YIELD : LOOP_IDLE_POLL;
}

/* What is written at the end must be writable at the start; nothing is left if that fails. */
static bool
outputs_writable(const struct options *options)
{
	const char *const paths[] = {options->json, options->hgrm, options->history};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (paths[i] == NULL)
			continue;
		bool existed = access(paths[i], F_OK) == 0;
		FILE *file = fopen(paths[i], "a");
		if (file == NULL) {
			fprintf(stderr,
			    "oskr-cluster: %s: %s; name a file in a folder that exists "
			    "and is yours to write\n",
			    paths[i], strerror(errno));
			return false;
		}
		fclose(file);
		if (!existed)
			unlink(paths[i]);
	}
	return true;
}

static bool
written(int error, const char *path)
{
	if (error != 0)
		fprintf(stderr, "oskr-cluster: %s: %s\n", path, strerror(-error));
	return error == 0;
}

static int
results_give(struct cluster *cluster, const struct launch_plan *launch)
{
	static struct report report;
	const struct options *options = cluster->options;
	report_make(&report, cluster, launch->line);
	report_print(&report, cluster, stdout);
	bool ok = report.errors == 0 && report.operations > 0;
	if (options->json != NULL)
		ok &= written(report_write_json(&report, cluster, options->json), options->json);
	if (options->hgrm != NULL)
		ok &= written(report_write_hgrm(&report, options->hgrm), options->hgrm);
	if (options->history != NULL) {
		int error = recorder_save(
		    cluster->recorders, cluster->clients_count, cluster->log, options->history);
		ok &= written(error, options->history);
	}
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
cluster_main(const struct options *options, const struct launch_plan *launch,
    const struct launch_lcores *lcores)
{
	static struct cluster cluster;
	static struct clock clock;
	char error[ERROR_SIZE];
	clock_start(&clock);
	struct cluster_config config = {
	    .options = options,
	    .lcores = lcores,
	    .idle = idle_choose(options, lcores),
	    .clock = &clock,
	};
	for (uint32_t i = 0; i < registry_count(); i++) {
		if (strcmp(registry_at(i)->name, options->mode->name) == 0)
			config.protocol_index = (uint8_t)i;
	}
	config.protocol = registry_at(config.protocol_index);
	if (!cluster_open(&cluster, &config, error)) {
		fprintf(stderr, "oskr-cluster: %s\n", error);
		cluster_close(&cluster);
		return EXIT_BAD_START;
	}
	/* Levels are EAL's: --log-level oskr:info shows the sum of all memory. */
	int log_type = rte_log_register_type_and_pick_level("oskr", RTE_LOG_NOTICE);
	if (log_type >= 0 && rte_log_can_log((uint32_t)log_type, RTE_LOG_INFO))
		memory_plan_print(&cluster.memory, stdout);
	struct telemetry_source source = {
	    .self = &cluster,
	    .fill = {[TELEMETRY_INFO] = report_fill_info, [TELEMETRY_STATS] = report_fill_stats},
	};
	telemetry_open(&source);
	cluster_run(&cluster);
	int status = results_give(&cluster, launch);
	telemetry_close();
	cluster_close(&cluster);
	uint32_t missing = cluster_buffers_missing(&cluster);
	if (missing > 0) {
		fprintf(stderr, "oskr-cluster: %u packet buffers leaked\n", missing);
		status = EXIT_FAILURE;
	}
	return status;
}

int
main(int argc, char **argv)
{
	static struct launch_plan launch;
	static struct launch_machine machine;
	static struct launch_lcores lcores;
	static struct options options;
	if (launch_split(&launch, argc, argv) != 0) {
		fprintf(stderr, "oskr-cluster: more than %d arguments before --\n",
		    LAUNCH_ARGUMENTS_MAX);
		return EXIT_BAD_START;
	}
	int status = options_read(&options, program_describe(), launch.argc, launch.argv);
	if (status >= 0)
		return status;
	if (options.history != NULL && options.app != APP_KV) {
		fprintf(stderr,
		    "oskr-cluster: --history records key-value operations: give --app kv\n");
		return EXIT_BAD_START;
	}
	if (!outputs_writable(&options))
		return EXIT_BAD_START;
	launch_look(&machine);
	uint32_t lcores_count = options.cores == CORES_ONE ? 1 : machine.cpus_count;
	uint32_t memory_mib = cluster_memory_mib(&options, lcores_count);
	struct launch_request request = {
	    .memory_mib = memory_mib > LAUNCH_MEMORY_MIB ? memory_mib : LAUNCH_MEMORY_MIB,
	    .cores_wanted = options.cores == CORES_ONE ? 1 : 0,
	    .log_levels = options.log_levels,
	    .log_levels_count = options.log_levels_count,
	};
	if (launch_choose(&launch, &machine, &request) != 0) {
		fprintf(stderr, "oskr-cluster: the arguments for EAL are too long; give fewer\n");
		return EXIT_BAD_START;
	}
	if (launch_eal(&launch) != 0)
		return LAUNCH_EXIT_STATUS;
	/* Not before: a start that hangs must end at the first signal. */
	signals_open(NULL);
	if (launch_lcores(&lcores) != 0) {
		fprintf(stderr, "oskr-cluster: more than %d lcores\n", LIMIT_LCORES);
		return EXIT_BAD_START;
	}
	if (!options.quiet) {
		printf("eal: %s%s\n", launch.line, launch.chosen ? " (chosen)" : "");
		if (launch.note[0] != '\0')
			printf("%s\n", launch.note);
	}
	status = cluster_main(&options, &launch, &lcores);
	launch_end();
	return status;
}
