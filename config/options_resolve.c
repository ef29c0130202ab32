/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills in the options that depend on others, and refuses those that
 * contradict each other. What was written always wins over what is derived.
 * Pure; start only.
 */
#include "config/option_table.h"
#include "config/options.h"
#include "engine/check.h"

#include <errno.h>
#include <string.h>

/* Sets "PROGRAM: ...; try --help". Evaluates to -EINVAL. */
#define fail(program, error, format, ...)                                                          \
	(config_error_set((error), 0, "%s: " format "; try --help", (program)->name, __VA_ARGS__), \
	    -EINVAL)

int
options_resolve_mode(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	char names[192] = "";
	size_t size = 0;
	for (uint32_t i = 0; i < program->modes_count; i++) {
		const struct options_mode *mode = &program->modes[i];
		const char *name = options->mode_name;
		if (name != NULL && (strcmp(name, mode->name) == 0 ||
					(mode->alias != NULL && strcmp(name, mode->alias) == 0))) {
			options->mode = mode;
			return 0;
		}
		if (size < sizeof(names)) {
			size += (size_t)snprintf(names + size, sizeof(names) - size, "%s%s",
			    i > 0 ? ", " : "", mode->name);
		}
	}
	if (options->mode_name == NULL)
		return fail(program, error, "--mode is missing: give one of %s", names);
	return fail(program, error, "bad value '%.64s' for --mode: give one of %s",
	    options->mode_name, names);
}

static int
resolve_replicas(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	const struct options_mode *mode = options->mode;
	uint32_t least = mode->replicas_per_fault * options->faults + mode->replicas_base;
	check(mode->replicas_base >= 1);
	if (least > LIMIT_REPLICAS) {
		return fail(program, error,
		    "--faults %u needs %u replicas in mode %s, and %d are the most: lower --faults",
		    options->faults, least, mode->name, LIMIT_REPLICAS);
	}
	if (options->replicas == 0)
		options->replicas = least;
	if (options->replicas < least) {
		return fail(program, error,
		    "--replicas %u is too few for --faults %u in mode %s: give %u..%d",
		    options->replicas, options->faults, mode->name, least, LIMIT_REPLICAS);
	}
	if (mode->speculative && options->instances > 1) {
		return fail(program, error,
		    "--instances %u does not fit mode %s, which is speculative: give 1",
		    options->instances, mode->name);
	}
	/* It executes speculatively as it is, and nothing can be read from what may be undone. */
	if (mode->speculative && (options->tentative || options->reads)) {
		return fail(program, error, "%s does not fit mode %s, which is speculative",
		    options->tentative ? "--tentative" : "--read-only", mode->name);
	}
	/* What one instance executes tentatively lies beneath the committed batches of others. */
	if (options->tentative && options->instances > 1) {
		return fail(program, error, "--tentative does not fit --instances %u: give 1",
		    options->instances);
	}
	if (options->pillars > options->instances) {
		bool file = (program->program & PROGRAM_REPLICA) != 0;
		return fail(program, error,
		    "--pillars %u are more than %s %u, and some would have nothing to do: "
		    "give fewer",
		    options->pillars, file ? "the cluster file's instances" : "--instances",
		    options->instances);
	}
	/* What may be undone stays on the lcore that executes it. */
	if (options->pillars > 0 && (mode->speculative || options->tentative)) {
		return fail(program, error, "--pillars does not fit %s: give 0",
		    options->tentative ? "--tentative" : "a speculative mode");
	}
	if (!mode->speculative && options->wait_all)
		return fail(program, error,
		    "--wait-all does not fit mode %s: it is for speculative ones", mode->name);
	return 0;
}

/* What a mode without replication has no use for is refused, not ignored. */
static int
resolve_single(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	static const enum option_id replicated[] = {OPTION_CHECKPOINT_INTERVAL, OPTION_VIEW_TIMEOUT,
	    OPTION_WATCH_PRIMARY, OPTION_LEADER_OFFSET, OPTION_STABLE_LEADER, OPTION_TENTATIVE,
	    OPTION_READ_ONLY, OPTION_KILL_LEADER_AT, OPTION_RESTART_AT};
	for (size_t i = 0; i < sizeof(replicated) / sizeof(replicated[0]); i++) {
		if (!options_given(options, replicated[i]))
			continue;
		return fail(program, error,
		    "--%s does nothing in mode %s, which is not replicated: leave it out",
		    option_table[replicated[i]].name, options->mode->name);
	}
	options->faults = 0;
	options->checkpoint_interval = 0;
	return 0;
}

/*
 * The logs of all instances together stay as long as that of one: whoever gives each its
 * own has a log that no cache holds.
 */
static uint32_t
interval_shared(const struct options *options)
{
	uint32_t share = options->checkpoint_interval / options->instances;
	uint32_t least = 2 * options->window;
	if (share >= least || options->instances == 1)
		return share;
	return least < options->checkpoint_interval ? least : options->checkpoint_interval;
}

static int
resolve_replication(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	if (options_mode_single(options->mode))
		return resolve_single(options, program, error);
	if (!options_given(options, OPTION_CHECKPOINT_INTERVAL))
		options->checkpoint_interval = interval_shared(options);
	if (options->checkpoint_interval < options->window) {
		return fail(program, error,
		    "--checkpoint-interval %u is less than --window %u, and more than one "
		    "checkpoint would be open at once: give %u..%d, or a smaller window",
		    options->checkpoint_interval, options->window, options->window,
		    LIMIT_CHECKPOINT_INTERVAL);
	}
	if (!options_given(options, OPTION_KILL_LEADER_AT)) {
		if (!options_given(options, OPTION_RESTART_AT))
			return 0;
		return fail(program, error, "--restart-at needs --kill-leader-at: %s",
		    "nothing restarts that was not killed");
	}
	if (options->faults == 0) {
		return fail(program, error, "--kill-leader-at needs --faults %d at least: %s", 1,
		    "with 0 nothing goes on without the leader");
	}
	if (options->kill_leader_ns >= options->seconds_ns) {
		return fail(program, error,
		    "--kill-leader-at %g is not before the end of --seconds %g",
		    (double)options->kill_leader_ns / 1e9, (double)options->seconds_ns / 1e9);
	}
	if (!options_given(options, OPTION_RESTART_AT))
		return 0;
	if (options->restart_ns <= options->kill_leader_ns) {
		return fail(program, error, "--restart-at %g is not after --kill-leader-at %g",
		    (double)options->restart_ns / 1e9, (double)options->kill_leader_ns / 1e9);
	}
	if (options->restart_ns >= options->seconds_ns) {
		return fail(program, error, "--restart-at %g is not before the end of --seconds %g",
		    (double)options->restart_ns / 1e9, (double)options->seconds_ns / 1e9);
	}
	return 0;
}

static void
resolve_auth(struct options *options)
{
	static const struct {
		enum auth auth;
		enum auth request_auth;
		enum auth reply_auth;
	} profiles[PROFILE_COUNT] = {
	    [PROFILE_FAST] = {AUTH_MAC, AUTH_MAC, AUTH_MAC},
	    [PROFILE_SEED] = {AUTH_SIGN, AUTH_NONE, AUTH_SIGN},
	    [PROFILE_PARANOID] = {AUTH_SIGN, AUTH_SIGN, AUTH_SIGN},
	};
	check(options->profile < PROFILE_COUNT);
	if (!options_given(options, OPTION_AUTH))
		options->auth = profiles[options->profile].auth;
	if (!options_given(options, OPTION_REQUEST_AUTH))
		options->request_auth = profiles[options->profile].request_auth;
	if (!options_given(options, OPTION_REPLY_AUTH)) {
		options->reply_auth = options->mode->replies_signed
					  ? AUTH_SIGN
					  : profiles[options->profile].reply_auth;
	}
}

static enum app_kind
app_of_workload(enum workload_kind workload)
{
	switch (workload) {
	case WORKLOAD_NULL:
		return APP_NULL;
	case WORKLOAD_ECHO:
		return APP_ECHO;
	default:
		return APP_KV;
	}
}

static enum workload_kind
workload_of_app(enum app_kind app)
{
	switch (app) {
	case APP_NULL:
		return WORKLOAD_NULL;
	case APP_ECHO:
		return WORKLOAD_ECHO;
	default:
		return WORKLOAD_YCSB_B;
	}
}

static int
resolve_workload(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	bool app_given = options_given(options, OPTION_APP);
	if (!options_given(options, OPTION_WORKLOAD) && app_given)
		options->workload = workload_of_app(options->app);
	enum app_kind needed = app_of_workload(options->workload);
	if (app_given && options->app != needed) {
		return fail(program, error,
		    "--workload %s needs --app %s, not %s: change one or leave --app out",
		    options_workload_name(options->workload), options_app_name(needed),
		    options_app_name(options->app));
	}
	options->app = needed;
	return 0;
}

/* Options that mean something to some workloads only are refused with others. */
static int
check_workload_options(const struct options *options, const struct options_program *program,
    struct config_error *error)
{
	static const struct {
		enum option_id option;
		enum app_kind app;
		const char *workload;
	} needs[] = {
	    {OPTION_REQUEST_SIZE, APP_ECHO, "echo"},
	    {OPTION_REPLY_SIZE, APP_ECHO, "echo"},
	    {OPTION_RECORDS, APP_KV, "ycsb-a to ycsb-f"},
	    {OPTION_RECORD_SIZE, APP_KV, "ycsb-a to ycsb-f"},
	    {OPTION_DISTRIBUTION, APP_KV, "ycsb-a to ycsb-f"},
	};
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (!options_given(options, needs[i].option) || options->app == needs[i].app)
			continue;
		return fail(program, error,
		    "--%s does nothing with --workload %s: leave it out or give --workload %s",
		    option_table[needs[i].option].name, options_workload_name(options->workload),
		    needs[i].workload);
	}
	return 0;
}

/* One of a pair of sizes may stand in --workload echo:REQUEST/REPLY. */
static int
resolve_size(const struct options *options, const struct options_program *program,
    enum option_id option, uint32_t *size, int64_t workload_size, struct config_error *error)
{
	if (workload_size < 0)
		return 0;
	if (options_given(options, option) && *size != (uint32_t)workload_size) {
		return fail(program, error,
		    "--%s %u contradicts --workload, which says %u: leave one out",
		    option_table[option].name, *size, (uint32_t)workload_size);
	}
	*size = (uint32_t)workload_size;
	return 0;
}

static int
resolve_echo(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	bool reply_given = options_given(options, OPTION_REPLY_SIZE);
	if (options->workload != WORKLOAD_ECHO) {
		options->request_size = 0;
		options->reply_size = 0;
		return 0;
	}
	int result = resolve_size(options, program, OPTION_REQUEST_SIZE, &options->request_size,
	    options->workload_request_size, error);
	if (result != 0)
		return result;
	result = resolve_size(options, program, OPTION_REPLY_SIZE, &options->reply_size,
	    options->workload_reply_size, error);
	if (result == 0 && !reply_given && options->workload_reply_size < 0)
		options->reply_size = options->request_size;
	return result;
}

static int
resolve_ycsb(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	if (options->app != APP_KV)
		return 0;
	/* YCSB's core workloads: D reads what was inserted last, the others are zipfian. */
	if (!options_given(options, OPTION_DISTRIBUTION)) {
		options->distribution = options->workload == WORKLOAD_YCSB_D ? DISTRIBUTION_LATEST
									     : DISTRIBUTION_ZIPFIAN;
	}
	/* Where replicas and clients are told apart, neither knows both figures. */
	if ((program->program & (PROGRAM_REPLICA | PROGRAM_CLIENT)) != 0)
		return 0;
	uint64_t size_mib = ((uint64_t)options->records * options->record_size) >> 20;
	if (size_mib < options->app_memory_mib)
		return 0;
	if (size_mib >= LIMIT_APP_MEMORY_MIB) {
		return fail(program, error,
		    "--records %u of --record-size %u are more than any --app-memory holds: "
		    "give fewer or smaller ones",
		    options->records, options->record_size);
	}
	return fail(program, error,
	    "--records %u of --record-size %u do not fit --app-memory %u (MiB): "
	    "give more than %u, or fewer records",
	    options->records, options->record_size, options->app_memory_mib, (uint32_t)size_mib);
}

/* What a process that is one node of a cluster must be told. */
static int
resolve_process(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	if ((program->program & (PROGRAM_REPLICA | PROGRAM_CLIENT)) == 0)
		return 0;
	if (options->cluster == NULL)
		return fail(program, error, "--cluster is missing: give %s", "the cluster file");
	if (program->program == PROGRAM_REPLICA && !options_given(options, OPTION_INDEX)) {
		return fail(program, error, "--index is missing: %s",
		    "say which replica of the cluster file this is, from 0");
	}
	/* A queue for each lcore that has one of its own, or one for all of them. */
	uint32_t parts = options->pillars + 1;
	if (!options_given(options, OPTION_QUEUES))
		options->queues = parts;
	if (options->pillars > 0 && options->queues != 1 && options->queues != parts) {
		return fail(program, error, "--queues %u does not fit --pillars %u: give 1 or %u",
		    options->queues, options->pillars, parts);
	}
	if (program->program == PROGRAM_CLIENT && options->clients > options->slots) {
		return fail(program, error,
		    "--clients %u are more than the --slots %u of a client node: give fewer, or "
		    "all processes more --slots",
		    options->clients, options->slots);
	}
	return 0;
}

int
options_resolve(
    struct options *options, const struct options_program *program, struct config_error *error)
{
	check(program->modes_count > 0);
	config_error_clear(error);
	int result = options_resolve_mode(options, program, error);
	if (result == 0)
		result = resolve_process(options, program, error);
	if (result == 0)
		result = resolve_replicas(options, program, error);
	if (result == 0)
		result = resolve_replication(options, program, error);
	if (result == 0)
		result = resolve_workload(options, program, error);
	if (result == 0)
		result = check_workload_options(options, program, error);
	if (result == 0)
		result = resolve_echo(options, program, error);
	if (result == 0)
		result = resolve_ycsb(options, program, error);
	if (result == 0)
		resolve_auth(options);
	return result;
}
