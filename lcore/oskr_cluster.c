/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-cluster: n replicas and their clients in one process, measured. Parses,
 * starts DPDK, builds the cluster, runs it, reports. The main lcore.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lcore/program.h"
#include "lcore/report.h"

static int
cluster_main(const struct program_state *p)
{
	static struct cluster cluster;
	static struct clock clock;
	char error[PROGRAM_ERROR_SIZE];
	clock_start(&clock);
	struct cluster_config config = {
	    .options = &p->options,
	    .protocol = p->protocol,
	    .protocol_index = p->protocol_index,
	    .lcores = &p->lcores,
	    .idle = program_idle(p),
	    .clock = &clock,
	};
	if (!cluster_open(&cluster, &config, error)) {
		cluster_close(&cluster);
		return program_fail(p, "%s", error);
	}
	program_show_memory(&cluster.memory);
	struct telemetry_source source = report_telemetry(&cluster);
	telemetry_open(&source);
	cluster_run(&cluster);
	int status = program_results(p, &cluster);
	telemetry_close();
	cluster_close(&cluster);
	uint32_t missing = cluster_buffers_missing(&cluster);
	if (missing > 0) {
		program_fail(p, "%u packet buffers leaked", missing);
		status = EXIT_FAILURE;
	}
	return status;
}

int
main(int argc, char **argv)
{
	static struct program_state program;
	const struct options *o = &program.options;
	program_describe(&program, PROGRAM_CLUSTER, "oskr-cluster",
	    "Runs replicas and clients of a replication protocol in one process, joined\n"
	    "by an in-process switch, and measures throughput and latency.");
	int status = program_options(&program, argc, argv);
	if (status != PROGRAM_GOES_ON)
		return status;
	if (o->history != NULL && o->app != APP_KV) {
		return program_fail(
		    &program, "--history records key-value operations: give --app kv");
	}
	if (!program_outputs(&program))
		return PROGRAM_BAD_START;
	launch_look(&program.machine);
	uint32_t cores = o->cores == CORES_ONE ? 1 : 0;
	uint32_t memory_mib = cluster_memory_mib(o, cores == 1 ? 1 : program.machine.cpus_count);
	status = program_start(&program, memory_mib, cores);
	if (status != PROGRAM_GOES_ON)
		return status;
	status = cluster_main(&program);
	launch_end();
	return status;
}
