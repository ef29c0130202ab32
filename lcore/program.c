/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "lcore/program.h"

#include <errno.h>
#include <rte_log.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lcore/report.h"
#include "lcore/signals.h"
#include "protocols/registry.h"

static struct options_mode modes[PROGRAM_MODES_MAX];

int
program_fail(const struct program_state *p, const char *format, ...)
{
	va_list arguments;
	fprintf(stderr, "%s: ", p->description.name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return PROGRAM_BAD_START;
}

void
program_describe(
    struct program_state *p, enum program program, const char *name, const char *summary)
{
	p->description = (struct options_program){
	    .name = name,
	    .version = PROGRAM_VERSION,
	    .summary = summary,
	    .program = program,
	    .modes = modes,
	    .modes_count = registry_count(),
	};
	check(registry_count() <= PROGRAM_MODES_MAX);
	for (uint32_t i = 0; i < registry_count(); i++) {
		const struct protocol *protocol = registry_at(i);
		modes[i] = (struct options_mode){
		    .name = protocol->name,
		    .alias = protocol->alias,
		    .replicas_per_fault = protocol->replicas_per_fault,
		    .replicas_base = protocol->replicas_base,
		    .replies_signed = (protocol->flags & PROTOCOL_REPLIES_SIGNED) != 0,
		    .speculative = (protocol->flags & PROTOCOL_SPECULATIVE) != 0,
		    .votes_signed = (protocol->flags & PROTOCOL_VOTES_SIGNED) != 0,
		};
	}
}

/* The cluster file takes the place of --replicas, --faults and --instances. */
static int
file_read(struct program_state *p, struct config_error *error)
{
	struct options *o = &p->options;
	bool process = (p->description.program & (PROGRAM_REPLICA | PROGRAM_CLIENT)) != 0;
	int result = options_resolve_mode(o, &p->description, error);
	/* Without a file's name options_resolve() says so. */
	if (!process || result != 0 || o->cluster == NULL)
		return result;
	struct cluster_need need = {o->mode->replicas_per_fault, o->mode->replicas_base};
	result = cluster_file_load(&p->file, o->cluster, need, error);
	if (result != 0)
		return result;
	/* A mode without replication has one replica: the file's first. */
	o->replicas = options_mode_single(o->mode) ? 1 : p->file.replicas_count;
	o->faults = p->file.f;
	o->instances = p->file.instances;
	return 0;
}

int
program_options(struct program_state *p, int argc, char **argv)
{
	struct config_error error;
	if (launch_split(&p->launch, argc, argv) != 0) {
		return program_fail(p, "more than %d arguments before --", LAUNCH_ARGUMENTS_MAX);
	}
	int action =
	    options_parse(&p->options, &p->description, p->launch.argc, p->launch.argv, &error);
	switch (action) {
	case OPTIONS_HELP:
		options_print_help(stdout, &p->description);
		return EXIT_SUCCESS;
	case OPTIONS_MODES:
		options_print_modes(stdout, &p->description);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		options_print_version(stdout, &p->description);
		return EXIT_SUCCESS;
	case OPTIONS_RUN:
		if (file_read(p, &error) == 0 &&
		    options_resolve(&p->options, &p->description, &error) == 0)
			break;
		/* fall through */
	default:
		fprintf(stderr, "%s\n", error.text);
		return PROGRAM_BAD_START;
	}
	for (uint32_t i = 0; i < registry_count(); i++) {
		if (strcmp(registry_at(i)->name, p->options.mode->name) == 0)
			p->protocol_index = (uint8_t)i;
	}
	p->protocol = registry_at(p->protocol_index);
	return PROGRAM_GOES_ON;
}

bool
program_outputs(const struct program_state *p)
{
	const struct options *o = &p->options;
	const char *const paths[] = {o->json, o->hgrm, o->history};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (paths[i] == NULL)
			continue;
		bool existed = access(paths[i], F_OK) == 0;
		FILE *file = fopen(paths[i], "a");
		if (file == NULL) {
			program_fail(p,
			    "%s: %s; name a file in a folder that exists and is yours to write",
			    paths[i], strerror(errno));
			return false;
		}
		fclose(file);
		if (!existed)
			unlink(paths[i]);
	}
	return true;
}

int
program_start(struct program_state *p, uint32_t memory_mib, uint32_t cores)
{
	struct launch_request request = {
	    .memory_mib = memory_mib > LAUNCH_MEMORY_MIB ? memory_mib : LAUNCH_MEMORY_MIB,
	    .cores_wanted = cores,
	    .log_levels = p->options.log_levels,
	    .log_levels_count = p->options.log_levels_count,
	};
	if (launch_choose(&p->launch, &p->machine, &request) != 0)
		return program_fail(p, "the arguments for EAL are too long; give fewer");
	if (launch_eal(&p->launch) != 0)
		return LAUNCH_EXIT_STATUS;
	/* Not before: a start that hangs must end at the first signal. */
	signals_open(NULL);
	if (launch_lcores(&p->lcores) != 0)
		return program_fail(p, "more than %d lcores", LIMIT_LCORES);
	if (p->options.quiet)
		return PROGRAM_GOES_ON;
	printf("eal: %s%s\n", p->launch.line, p->launch.chosen ? " (chosen)" : "");
	if (p->launch.note[0] != '\0')
		printf("%s\n", p->launch.note);
	return PROGRAM_GOES_ON;
}

enum loop_idle
program_idle(const struct program_state *p)
{
	switch (p->options.idle) {
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
	return p->lcores.shared ? LOOP_IDLE_YIELD : LOOP_IDLE_POLL;
}

void
program_show_memory(const struct memory_plan *memory)
{
	/* Levels are EAL's: --log-level oskr:info shows it. */
	int log_type = rte_log_register_type_and_pick_level("oskr", RTE_LOG_NOTICE);
	if (log_type >= 0 && rte_log_can_log((uint32_t)log_type, RTE_LOG_INFO))
		memory_plan_print(memory, stdout);
}

static bool
written(const struct program_state *p, int error, const char *path)
{
	if (error != 0)
		program_fail(p, "%s: %s", path, strerror(-error));
	return error == 0;
}

int
program_results(const struct program_state *p, struct cluster *cluster)
{
	static struct report report;
	const struct options *o = cluster->options;
	report_make(&report, cluster, p->launch.line);
	report_print(&report, cluster, stdout);
	bool ok = report.errors == 0 && report.operations > 0;
	if (o->json != NULL)
		ok &= written(p, report_write_json(&report, cluster, o->json), o->json);
	if (o->hgrm != NULL)
		ok &= written(p, report_write_hgrm(&report, o->hgrm), o->hgrm);
	if (o->history != NULL) {
		int error = recorder_save(
		    cluster->recorders, cluster->clients_count, cluster->log, o->history);
		ok &= written(p, error, o->history);
	}
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
