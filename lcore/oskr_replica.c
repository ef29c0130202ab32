/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-replica: one replica on a DPDK port, until SIGINT or SIGTERM. Reads the
 * cluster file and the keys beside it, notes that it has run, serves. Exit
 * status 0 after a clean end, 2 when it could not start. The main lcore.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lcore/process.h"
#include "lcore/process_state.h"
#include "lcore/report.h"

enum { PATH_SIZE = 4096 };

/* What the replica notes of its life, and where. */
struct life {
	struct process_life now;
	bool restarted;
	char path[PATH_SIZE];
};

static bool
life_look(struct life *life, const struct program_state *p, const struct process_keys *keys)
{
	char error[PROCESS_STATE_ERROR_SIZE];
	const struct options *o = &p->options;
	life->now = (struct process_life){o->life, keys->cluster};
	int size = o->state != NULL ? snprintf(life->path, sizeof(life->path), "%s", o->state)
				    : snprintf(life->path, sizeof(life->path), "%s-%u.ran",
					  o->cluster, o->index);
	if (size < 0 || size >= (int)sizeof(life->path)) {
		program_fail(p, "--state: the file's name is too long");
		return false;
	}
	if (!process_state_look(life->path, &life->now, &life->restarted, error)) {
		program_fail(p, "%s", error);
		return false;
	}
	if (life->restarted && options_mode_single(o->mode)) {
		program_fail(p,
		    "%s: this replica has run in life %u, and in mode %s its state is lost: give "
		    "all nodes a higher --life",
		    life->path, o->life, o->mode->name);
		return false;
	}
	return true;
}

static int
serve(const struct program_state *program, const struct process_config *config,
    const struct life *life)
{
	static struct process process;
	char error[PROGRAM_ERROR_SIZE];
	const struct options *o = &program->options;
	if (!process_open(&process, config, error) ||
	    !process_state_note(life->path, &life->now, error)) {
		process_close(&process);
		return program_fail(program, "%s", error);
	}
	program_show_memory(&process.cluster.memory);
	struct telemetry_source source = report_telemetry(&process.cluster);
	telemetry_open(&source);
	if (!o->quiet) {
		printf("%s\nreplica %u of %u (%s) serves%s\n", device_text(process.device),
		    o->index, o->replicas, o->mode->name,
		    life->restarted ? ", restarted without its memory" : "");
		fflush(stdout);
	}
	cluster_run(&process.cluster);
	report_print_served(&process.cluster, stdout);
	telemetry_close();
	uint32_t missing = process_close(&process);
	if (missing == 0)
		return EXIT_SUCCESS;
	program_fail(program, "%u packet buffers leaked", missing);
	return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static struct program_state program;
	static struct process_keys keys;
	static struct life life;
	static struct clock clock;
	char error[KEYS_ERROR_SIZE];
	program_describe(&program, PROGRAM_REPLICA, "oskr-replica",
	    "Runs one replica of a cluster on a DPDK port, until it is interrupted.");
	int status = program_options(&program, argc, argv);
	if (status != PROGRAM_GOES_ON)
		return status;
	if (!process_keys_load(&keys, &program.options, false, &program.file, error))
		return program_fail(&program, "%s", error);
	if (!life_look(&life, &program, &keys))
		return PROGRAM_BAD_START;
	launch_look(&program.machine);
	status = program_start(&program, process_memory_mib(&program.options),
	    steer_ends(program.options.queues, program.options.pillars));
	if (status != PROGRAM_GOES_ON)
		return status;
	/* The time of day: what a former life said at its times is not said again. */
	clock_start_real(&clock);
	struct process_config config = {
	    .program = &program,
	    .keys = &keys,
	    .clock = &clock,
	    .restarted = life.restarted,
	};
	status = serve(&program, &config, &life);
	crypto_erase(&keys, sizeof(keys));
	launch_end();
	return status;
}
