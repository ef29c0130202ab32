/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the command line. The first byte picks the program, the rest is
 * cut into arguments at blanks, each in memory of exactly its size. A refusal
 * is one printable line; what is accepted is within its limits, and parsing the
 * same line again gives the same.
 */
#include <errno.h>

#include "config/options.h"
#include "fuzz.h"

enum { ARGUMENTS_MAX = 32 };

static const struct options_mode modes[] = {
    {"unreplicated", NULL, 0, 1, false, false, false},
    {"unreplicated-signed", NULL, 0, 1, true, false, false},
    {"pbft", NULL, 3, 1, false, false, false},
    {"hotstuff", "hot-stuff", 3, 1, false, false, true},
    {"zyzzyva", NULL, 3, 1, false, true, false},
};

static const struct options_program programs[4] = {
    {"oskr-cluster", "1", "Runs all.", PROGRAM_CLUSTER, modes, 5},
    {"oskr-replica", "1", "Runs a replica.", PROGRAM_REPLICA, modes, 5},
    {"oskr-client", "1", "Runs clients.", PROGRAM_CLIENT, modes, 5},
    {"oskr-sim", "1", "Simulates.", PROGRAM_SIM, modes, 5},
};

struct command {
	int argc;
	char *argv[ARGUMENTS_MAX + 1];
};

static void
command_add(struct command *command, const uint8_t *bytes, size_t size)
{
	if (command->argc == ARGUMENTS_MAX)
		return;
	char *argument = malloc(size + 1);
	check(argument != NULL);
	memcpy(argument, bytes, size);
	argument[size] = '\0';
	command->argv[command->argc++] = argument;
}

static void
command_open(struct command *command, const uint8_t *bytes, size_t size)
{
	static const uint8_t name[] = "oskr";
	size_t from = 0;
	*command = (struct command){0};
	command_add(command, name, sizeof(name) - 1);
	for (size_t i = 0; i <= size; i++) {
		if (i < size && bytes[i] != ' ' && bytes[i] != '\n' && bytes[i] != '\0')
			continue;
		if (i > from)
			command_add(command, bytes + from, i - from);
		from = i + 1;
	}
}

static void
command_close(struct command *command)
{
	for (int i = 0; i < command->argc; i++)
		free(command->argv[i]);
}

static void
refusal_check(const struct config_error *error)
{
	size_t size = strnlen(error->text, sizeof(error->text));
	check(size > 0 && size < sizeof(error->text));
	for (size_t i = 0; i < size; i++)
		check(error->text[i] >= ' ' && error->text[i] <= '~');
}

static void
limits_check(const struct options *o)
{
	check(o->mode != NULL);
	check(o->replicas >= 1 && o->replicas <= LIMIT_REPLICAS);
	check(o->replicas >= o->mode->replicas_per_fault * o->faults + o->mode->replicas_base);
	check(o->instances >= 1 && o->instances <= LIMIT_INSTANCES);
	check(o->clients >= 1 && o->clients <= LIMIT_CLIENTS);
	check(o->batch >= 1 && o->batch <= LIMIT_BATCH_REQUESTS);
	check(o->window >= 1 && o->window <= LIMIT_BATCHES_OPEN);
	check(o->mtu >= LIMIT_MTU_MIN && o->mtu <= LIMIT_MTU);
	check(o->drop >= 0 && o->drop <= 0.9);
	check(o->request_size <= LIMIT_VALUE_SIZE && o->reply_size <= LIMIT_VALUE_SIZE);
	check(o->app_memory_mib <= LIMIT_APP_MEMORY_MIB);
	check(options_app_name(o->app) != NULL && options_workload_name(o->workload) != NULL);
	check(options_idle_name(o->idle) != NULL);
}

static int
run(const struct options_program *program, const uint8_t *bytes, size_t size,
    struct options *options)
{
	struct command command;
	struct config_error error;
	memset(options, 0, sizeof(*options));
	memset(&error, 0x55, sizeof(error));
	command_open(&command, bytes, size);
	int status = options_parse(options, program, command.argc, command.argv, &error);
	check(status >= 0 || status == -EINVAL);
	if (status == OPTIONS_RUN) {
		status = options_resolve(options, program, &error);
		check(status == 0 || status == -EINVAL);
		if (status == 0)
			limits_check(options);
	}
	if (status < 0)
		refusal_check(&error);
	command_close(&command);
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_reader in = {bytes, size};
	const struct options_program *program = &programs[fuzz_take(&in, 1) & 3];
	struct options first;
	struct options second;
	int status = run(program, in.bytes, in.size, &first);
	check(run(program, in.bytes, in.size, &second) == status);
	check(first.given == second.given);
	check(first.clients == second.clients && first.replicas == second.replicas);
	return 0;
}
