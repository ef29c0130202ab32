/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/options*.c: what the command line means, what is refused and with
 * which words, the edges of every number, and the help against the table.
 */
#include "config/options.h"

#include "config/option_table.h"
#include "config/text.h"
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

static const struct options_mode modes[] = {
    {"unreplicated", NULL, 0, 1, false, false, false},
    {"unreplicated-signed", NULL, 0, 1, true, false, false},
    {"pbft", NULL, 3, 1, false, false, false},
    {"hotstuff", "hot-stuff", 3, 1, false, false, true},
    {"zyzzyva", NULL, 3, 1, false, true, false},
};

static const struct options_program cluster = {
    "oskr-cluster", "1.2.3", "Runs all in one process.", PROGRAM_CLUSTER, modes, 5};
static const struct options_program client = {
    "oskr-client", "1.2.3", "Runs clients.", PROGRAM_CLIENT, modes, 5};
static const struct options_program sim = {
    "oskr-sim", "1.2.3", "Simulates.", PROGRAM_SIM, modes, 5};

enum { ARGUMENTS_MAX = 48 };

/* A command line cut from one text at blanks, each argument in memory of its own size. */
struct command {
	int argc;
	char *argv[ARGUMENTS_MAX];
};

static void
command_open(struct command *command, const char *text)
{
	memset(command, 0, sizeof(*command));
	command->argv[command->argc++] = strdup("program");
	for (;;) {
		text += strspn(text, " ");
		size_t size = strcspn(text, " ");
		if (size == 0)
			break;
		CU_ASSERT_FATAL(command->argc + 1 < ARGUMENTS_MAX);
		/* '' stands for an empty argument. */
		size_t kept = size == 2 && memcmp(text, "''", 2) == 0 ? 0 : size;
		command->argv[command->argc++] = strndup(text, kept);
		text += size;
	}
}

static void
command_close(struct command *command)
{
	for (int i = 0; i < command->argc; i++)
		free(command->argv[i]);
}

/* Parses and, if that says to run, resolves. The command must outlive the options. */
static int
take_for(struct options *options, const struct options_program *program, struct command *command,
    const char *text, struct config_error *error)
{
	command_open(command, text);
	memset(options, 0x55, sizeof(*options));
	memset(error, 0x55, sizeof(*error));
	int result = options_parse(options, program, command->argc, command->argv, error);
	if (result == OPTIONS_RUN)
		result = options_resolve(options, program, error);
	return result;
}

/* A story's arrangement: options of oskr-cluster that must be accepted. */
static void
accept(struct options *options, struct command *command, const char *text)
{
	struct config_error error;
	CU_ASSERT_EQUAL(take_for(options, &cluster, command, text, &error), 0);
	CU_ASSERT_STRING_EQUAL(error.text, "");
}

static void
defaults_are_as_the_help_says(void)
{
	struct options o;
	struct command command;
	accept(&o, &command, "-m pbft");
	CU_ASSERT_PTR_EQUAL(o.mode, &modes[2]);
	CU_ASSERT_EQUAL(o.given, UINT64_C(1) << OPTION_MODE);
	CU_ASSERT_EQUAL(o.faults, 1);
	CU_ASSERT_EQUAL(o.replicas, 4);
	CU_ASSERT_EQUAL(o.instances, 1);
	CU_ASSERT_EQUAL(o.leader_offset, 1);
	CU_ASSERT_EQUAL(o.batch, 100);
	CU_ASSERT_EQUAL(o.batch_timeout_ns, 100000);
	CU_ASSERT_FALSE(o.adaptive);
	CU_ASSERT_EQUAL(o.window, 8);
	CU_ASSERT_EQUAL(o.checkpoint_interval, 128);
	CU_ASSERT_EQUAL(o.view_timeout_ns, 250000000);
	CU_ASSERT_FALSE(o.watch_primary);
	CU_ASSERT_FALSE(o.stable_leader);
	CU_ASSERT_FALSE(o.tentative);
	CU_ASSERT_FALSE(o.reads);
	CU_ASSERT_EQUAL(o.kill_leader_ns, 0);
	CU_ASSERT_EQUAL(o.restart_ns, 0);
	CU_ASSERT_EQUAL(o.profile, PROFILE_FAST);
	CU_ASSERT_EQUAL(o.auth, AUTH_MAC);
	CU_ASSERT_EQUAL(o.request_auth, AUTH_MAC);
	CU_ASSERT_EQUAL(o.reply_auth, AUTH_MAC);
	CU_ASSERT_EQUAL(o.clients, 64);
	CU_ASSERT_EQUAL(o.rate, 0);
	CU_ASSERT_EQUAL(o.seconds_ns, 10000000000);
	CU_ASSERT_EQUAL(o.warm_ns, 1000000000);
	CU_ASSERT_EQUAL(o.retry_ns, 50000000);
	CU_ASSERT_EQUAL(o.app, APP_NULL);
	CU_ASSERT_EQUAL(o.app_memory_mib, 64);
	CU_ASSERT_EQUAL(o.workload, WORKLOAD_NULL);
	CU_ASSERT_EQUAL(o.records, 100000);
	CU_ASSERT_EQUAL(o.record_size, 100);
	CU_ASSERT_EQUAL(o.seed, 1);
	CU_ASSERT_EQUAL(o.mtu, 1500);
	CU_ASSERT_EQUAL(o.drop, 0.0);
	CU_ASSERT_EQUAL(o.cores, CORES_ALL);
	CU_ASSERT_EQUAL(o.idle, IDLE_AUTO);
	CU_ASSERT_PTR_NULL(o.json);
	CU_ASSERT_PTR_NULL(o.hgrm);
	CU_ASSERT_PTR_NULL(o.history);
	CU_ASSERT_EQUAL(o.log_levels_count, 1);
	CU_ASSERT_STRING_EQUAL(o.log_levels[0], "oskr:notice");
	CU_ASSERT_FALSE(o.quiet);
	command_close(&command);
}

static void
everything_written_is_taken(void)
{
	struct options o;
	struct command command;
	accept(&o, &command,
	    "--mode=hot-stuff -f2 -n 9 --instances 4 -b 4096 --batch-timeout 2.5 --adaptive "
	    "--window 64 -t 10000 --rate 250000 -d 0.25 --warm 0 --retry 0.1 --app kv "
	    "--app-memory 1024 -w ycsb-f --records 1000000 --record-size 640");
	CU_ASSERT_PTR_EQUAL(o.mode, &modes[3]);
	CU_ASSERT_EQUAL(o.faults, 2);
	CU_ASSERT_EQUAL(o.replicas, 9);
	CU_ASSERT_EQUAL(o.instances, 4);
	CU_ASSERT_EQUAL(o.batch, 4096);
	CU_ASSERT_EQUAL(o.batch_timeout_ns, 2500);
	CU_ASSERT_TRUE(o.adaptive);
	CU_ASSERT_EQUAL(o.window, 64);
	CU_ASSERT_EQUAL(o.clients, 10000);
	CU_ASSERT_EQUAL(o.rate, 250000);
	CU_ASSERT_EQUAL(o.seconds_ns, 250000000);
	CU_ASSERT_EQUAL(o.warm_ns, 0);
	CU_ASSERT_EQUAL(o.retry_ns, 100000);
	CU_ASSERT_EQUAL(o.app, APP_KV);
	CU_ASSERT_EQUAL(o.app_memory_mib, 1024);
	CU_ASSERT_EQUAL(o.workload, WORKLOAD_YCSB_F);
	CU_ASSERT_EQUAL(o.records, 1000000);
	CU_ASSERT_EQUAL(o.record_size, 640);
	CU_ASSERT_EQUAL(o.distribution, DISTRIBUTION_ZIPFIAN);
	command_close(&command);
	accept(&o, &command,
	    "-m zyzzyva --seed 18446744073709551615 --mtu 9216 --drop 0.25 --cores one "
	    "--idle sleep --json out.json --hgrm out.hgrm --history h --log-level oskr:info "
	    "--log-level lib.eal:8 --quiet -t 1 -t 2 --reply-auth batch --distribution uniform "
	    "-w ycsb-d");
	CU_ASSERT_EQUAL(o.seed, UINT64_MAX);
	CU_ASSERT_EQUAL(o.mtu, 9216);
	CU_ASSERT_EQUAL(o.drop, 0.25);
	CU_ASSERT_EQUAL(o.cores, CORES_ONE);
	CU_ASSERT_EQUAL(o.idle, IDLE_SLEEP);
	CU_ASSERT_STRING_EQUAL(o.json, "out.json");
	CU_ASSERT_STRING_EQUAL(o.hgrm, "out.hgrm");
	CU_ASSERT_STRING_EQUAL(o.history, "h");
	CU_ASSERT_EQUAL(o.log_levels_count, 2);
	CU_ASSERT_STRING_EQUAL(o.log_levels[0], "oskr:info");
	CU_ASSERT_STRING_EQUAL(o.log_levels[1], "lib.eal:8");
	CU_ASSERT_TRUE(o.quiet);
	CU_ASSERT_EQUAL(o.clients, 2);
	CU_ASSERT_EQUAL(o.distribution, DISTRIBUTION_UNIFORM);
	CU_ASSERT_EQUAL(o.reply_auth, AUTH_BATCH);
	CU_ASSERT_TRUE(options_given(&o, OPTION_REPLY_AUTH));
	CU_ASSERT_FALSE(options_given(&o, OPTION_AUTH));
	command_close(&command);
}

static void
replication_is_set(void)
{
	struct options o;
	struct command command;
	accept(&o, &command,
	    "-m pbft --checkpoint-interval 64 --window 64 --view-timeout 1.5 --watch-primary "
	    "--stable-leader --tentative --read-only -d 3 --kill-leader-at 0.1 --restart-at 2.999");
	CU_ASSERT_EQUAL(o.checkpoint_interval, 64);
	CU_ASSERT_EQUAL(o.view_timeout_ns, 1500000);
	CU_ASSERT_TRUE(o.watch_primary);
	CU_ASSERT_TRUE(o.stable_leader);
	CU_ASSERT_TRUE(o.tentative);
	CU_ASSERT_TRUE(o.reads);
	CU_ASSERT_EQUAL(o.kill_leader_ns, 100000000);
	CU_ASSERT_EQUAL(o.restart_ns, 2999000000);
	command_close(&command);
	accept(&o, &command, "-m pbft --kill-leader-at 5");
	CU_ASSERT_EQUAL(o.kill_leader_ns, 5000000000);
	CU_ASSERT_EQUAL(o.restart_ns, 0);
	command_close(&command);
	/* Each flag is itself alone. */
	static const char *const flags[] = {"-m pbft --watch-primary", "-m pbft --tentative",
	    "-m pbft --read-only", "-m pbft --adaptive", "-m hotstuff --stable-leader"};
	for (uint32_t i = 0; i < 5; i++) {
		accept(&o, &command, flags[i]);
		CU_ASSERT_EQUAL(o.watch_primary, i == 0);
		CU_ASSERT_EQUAL(o.tentative, i == 1);
		CU_ASSERT_EQUAL(o.reads, i == 2);
		CU_ASSERT_EQUAL(o.adaptive, i == 3);
		CU_ASSERT_EQUAL(o.stable_leader, i == 4);
		command_close(&command);
	}
	/* Without replication: no faults are tolerated, and no checkpoints are taken. */
	accept(&o, &command, "-m unreplicated -f 3 --window 64");
	CU_ASSERT_EQUAL(o.faults, 0);
	CU_ASSERT_EQUAL(o.replicas, 1);
	CU_ASSERT_EQUAL(o.checkpoint_interval, 0);
	command_close(&command);
}

static void
instances_share_the_checkpoint_interval(void)
{
	static const struct {
		const char *text;
		uint32_t interval;
	} cases[] = {
	    {"-m pbft --instances 2", 64},
	    {"-m pbft --instances 7", 18},
	    {"-m pbft --instances 64", 16},
	    {"-m pbft --instances 64 --window 4", 8},
	    {"-m pbft --instances 2 --window 64", 128},
	    {"-m pbft --instances 4 --checkpoint-interval 128", 128},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct command command;
		accept(&o, &command, cases[i].text);
		CU_ASSERT_EQUAL(o.checkpoint_interval, cases[i].interval);
		command_close(&command);
	}
}

struct auth_case {
	const char *text;
	enum auth auth;
	enum auth request_auth;
	enum auth reply_auth;
};

static void
authentication_follows_the_profile(void)
{
	static const struct auth_case cases[] = {
	    {"-m pbft --profile fast", AUTH_MAC, AUTH_MAC, AUTH_MAC},
	    {"-m pbft --profile seed", AUTH_SIGN, AUTH_NONE, AUTH_SIGN},
	    {"-m pbft --profile paranoid", AUTH_SIGN, AUTH_SIGN, AUTH_SIGN},
	    {"-m pbft --reply-auth batch --profile seed", AUTH_SIGN, AUTH_NONE, AUTH_BATCH},
	    {"-m pbft --profile paranoid --auth mac", AUTH_MAC, AUTH_SIGN, AUTH_SIGN},
	    {"-m pbft --request-auth none --reply-auth none", AUTH_MAC, AUTH_NONE, AUTH_NONE},
	    {"-m unreplicated", AUTH_MAC, AUTH_MAC, AUTH_MAC},
	    {"-m unreplicated-signed", AUTH_MAC, AUTH_MAC, AUTH_SIGN},
	    {"-m unreplicated-signed --profile fast", AUTH_MAC, AUTH_MAC, AUTH_SIGN},
	    {"-m unreplicated-signed --reply-auth batch", AUTH_MAC, AUTH_MAC, AUTH_BATCH},
	    {"-m unreplicated-signed --reply-auth none", AUTH_MAC, AUTH_MAC, AUTH_NONE},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct command command;
		accept(&o, &command, cases[i].text);
		CU_ASSERT_EQUAL(o.auth, cases[i].auth);
		CU_ASSERT_EQUAL(o.request_auth, cases[i].request_auth);
		CU_ASSERT_EQUAL(o.reply_auth, cases[i].reply_auth);
		command_close(&command);
	}
}

struct workload_case {
	const char *text;
	enum app_kind app;
	enum workload_kind workload;
	uint32_t request_size;
	uint32_t reply_size;
	enum distribution distribution; /* ycsb alone */
};

static void
workload_and_application_imply_each_other(void)
{
	static const struct workload_case cases[] = {
	    {"", APP_NULL, WORKLOAD_NULL, 0, 0, 0},
	    {"--app null", APP_NULL, WORKLOAD_NULL, 0, 0, 0},
	    {"--app echo", APP_ECHO, WORKLOAD_ECHO, 64, 64, 0},
	    {"--app kv", APP_KV, WORKLOAD_YCSB_B, 0, 0, DISTRIBUTION_ZIPFIAN},
	    {"-w echo", APP_ECHO, WORKLOAD_ECHO, 64, 64, 0},
	    {"-w echo --request-size 9", APP_ECHO, WORKLOAD_ECHO, 9, 9, 0},
	    {"-w echo --reply-size 9", APP_ECHO, WORKLOAD_ECHO, 64, 9, 0},
	    {"-w echo --request-size 0", APP_ECHO, WORKLOAD_ECHO, 0, 0, 0},
	    {"-w echo:0/1048576", APP_ECHO, WORKLOAD_ECHO, 0, 1048576, 0},
	    {"-w echo:8/1 --reply-size 1", APP_ECHO, WORKLOAD_ECHO, 8, 1, 0},
	    {"-w echo:8/9 -w echo", APP_ECHO, WORKLOAD_ECHO, 64, 64, 0},
	    {"-w echo:8/9 -w ycsb-c", APP_KV, WORKLOAD_YCSB_C, 0, 0, DISTRIBUTION_ZIPFIAN},
	    {"-w ycsb-a", APP_KV, WORKLOAD_YCSB_A, 0, 0, DISTRIBUTION_ZIPFIAN},
	    {"-w ycsb-d", APP_KV, WORKLOAD_YCSB_D, 0, 0, DISTRIBUTION_LATEST},
	    {"-w ycsb-e --app kv", APP_KV, WORKLOAD_YCSB_E, 0, 0, DISTRIBUTION_ZIPFIAN},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct command command;
		char text[96];
		snprintf(text, sizeof(text), "-m pbft %s", cases[i].text);
		accept(&o, &command, text);
		CU_ASSERT_EQUAL(o.app, cases[i].app);
		CU_ASSERT_EQUAL(o.workload, cases[i].workload);
		CU_ASSERT_EQUAL(o.request_size, cases[i].request_size);
		CU_ASSERT_EQUAL(o.reply_size, cases[i].reply_size);
		if (o.app == APP_KV)
			CU_ASSERT_EQUAL(o.distribution, cases[i].distribution);
		command_close(&command);
	}
	CU_ASSERT_STRING_EQUAL(options_app_name(APP_KV), "kv");
	CU_ASSERT_STRING_EQUAL(options_workload_name(WORKLOAD_YCSB_E), "ycsb-e");
	CU_ASSERT_STRING_EQUAL(options_distribution_name(DISTRIBUTION_LATEST), "latest");
	CU_ASSERT_STRING_EQUAL(options_idle_name(IDLE_YIELD), "yield");
}

struct broken_line {
	const char *text;
	const char *what; /* must occur in the message, as must `fix` */
	const char *fix;
};

static const struct broken_line broken_lines[] = {
    /* the shape */
    {"", "--mode is missing", "one of unreplicated, unreplicated-signed, pbft, hotstuff"},
    {"-t 1", "--mode is missing", "one of unreplicated"},
    {"-x", "unknown option '-x'", "try --help"},
    {"--quiet -xq", "unknown option '-x'", "try --help"},
    {"--bogus", "unknown option '--bogus'", "try --help"},
    {"--bogus=3", "unknown option '--bogus=3'", "try --help"},
    {"--batch=1 --config=x", "unknown option '--config=x'", "try --help"},
    {"--\x1b[31m", "unknown option '--?[31m'", "try --help"},
    {"--re", "'--re' is ambiguous", "--replicas or --read-only?"},
    {"--record=1", "'--record=1' is ambiguous", "--records or --record-size?"},
    {"-m pbft extra", "unexpected argument 'extra'", "begin with a dash"},
    {"-m pbft -- -t", "unexpected argument '-t'", "try --help"},
    {"-m pbft ''", "unexpected argument ''", "try --help"},
    {"--quiet=yes", "--quiet takes no value", "write --quiet alone"},
    {"--adaptive=", "--adaptive takes no value", "write --adaptive alone"},
    {"--help=all", "--help takes no value", "write --help alone"},
    {"-m", "--mode needs a value", "--modes lists"},
    {"-m pbft -t", "--clients needs a value", "1..65535"},
    {"-m pbft --json", "--json needs a value", "a file name"},
    /* modes and sizes of groups */
    {"-m raft", "bad value 'raft' for --mode", "zyzzyva"},
    {"-m PBFT", "bad value 'PBFT' for --mode", "pbft"},
    {"-m ''", "bad value '' for --mode", "--modes lists"},
    {"-m pbft -f -1", "bad value '-1' for --faults", "0..31"},
    {"-m pbft -f 32", "bad value '32' for --faults", "0..31"},
    {"-m pbft -f 22", "--faults 22 needs 67 replicas", "lower --faults"},
    {"-m pbft -n 3", "--replicas 3 is too few for --faults 1", "give 4..64"},
    {"-m pbft -f 2 -n 6", "--replicas 6 is too few", "give 7..64"},
    {"-m pbft -n 65", "bad value '65' for --replicas", "0..64"},
    {"-m pbft --instances 0", "bad value '0' for --instances", "1..64"},
    {"-m pbft --leader-offset 2", "bad value '2' for --leader-offset", "0..1"},
    {"-m unreplicated --leader-offset 0", "--leader-offset does nothing in mode unreplicated",
	"leave it out"},
    {"-m pbft --instances 65", "bad value '65' for --instances", "1..64"},
    {"-m pbft --pillars 16", "bad value '16' for --pillars", "0..15"},
    {"-m pbft --instances 2 --pillars 3", "--pillars 3 are more than --instances 2", "fewer"},
    {"-m zyzzyva --pillars 1", "--pillars does not fit a speculative mode", "give 0"},
    {"-m pbft --tentative --pillars 1", "--pillars does not fit --tentative", "give 0"},
    {"-m zyzzyva --instances 2", "--instances 2 does not fit mode zyzzyva", "give 1"},
    /* replication, and faults made on purpose */
    {"-m pbft --checkpoint-interval 0", "'0' for --checkpoint-interval", "1..1024"},
    {"-m pbft --checkpoint-interval 1025", "'1025' for --checkpoint-interval", "1..1024"},
    {"-m pbft --checkpoint-interval 7", "7 is less than --window 8", "give 8..1024"},
    {"-m pbft --checkpoint-interval 8 --window 9", "8 is less than --window 9", "give 9..1024"},
    {"-m pbft --view-timeout 0", "'0' for --view-timeout", "1..60000"},
    {"-m pbft --view-timeout 60001", "'60001' for --view-timeout", "1..60000"},
    {"-m pbft --kill-leader-at 0", "'0' for --kill-leader-at", "0.1..604800"},
    {"-m pbft --kill-leader-at 10", "--kill-leader-at 10 is not before", "--seconds 10"},
    {"-m pbft -f 0 --kill-leader-at 1", "--kill-leader-at needs --faults 1", "goes on"},
    {"-m pbft --restart-at 1", "--restart-at needs --kill-leader-at", "nothing restarts"},
    {"-m pbft --kill-leader-at 2 --restart-at 2", "--restart-at 2 is not after", "-at 2"},
    {"-m pbft --kill-leader-at 2 --restart-at 10", "--restart-at 10 is not before", "10"},
    {"-m unreplicated --kill-leader-at 1", "--kill-leader-at does nothing in mode unrep", "out"},
    {"-m unreplicated --restart-at 1", "--restart-at does nothing in mode unrep", "leave it"},
    {"-m unreplicated-signed --tentative", "--tentative does nothing in mode", "leave it out"},
    {"-m unreplicated --read-only", "--read-only does nothing in mode unrep", "leave it out"},
    {"-m unreplicated --view-timeout 9", "--view-timeout does nothing in mode", "leave it out"},
    {"-m unreplicated --checkpoint-interval 9", "--checkpoint-interval does nothing", "out"},
    {"-m unreplicated --watch-primary", "--watch-primary does nothing in mode", "leave it out"},
    /* numbers */
    {"-m pbft -t 12abc", "bad value '12abc' for --clients", "1..65535"},
    {"-m pbft -t 0", "bad value '0' for --clients", "1..65535"},
    {"-m pbft -t 65536", "bad value '65536' for --clients", "1..65535"},
    {"-m pbft -t 4294967297", "bad value '4294967297' for --clients", "1..65535"},
    {"-m pbft -t 18446744073709551617", "for --clients", "1..65535"},
    {"-m pbft -t ''", "bad value '' for --clients", "1..65535"},
    {"-m pbft -t +5", "bad value '+5' for --clients", "1..65535"},
    {"-m pbft -t 1.0", "bad value '1.0' for --clients", "1..65535"},
    {"-m pbft -t 0x10", "bad value '0x10' for --clients", "1..65535"},
    {"-m pbft -b 0", "bad value '0' for --batch", "1..4096"},
    {"-m pbft -b 4097", "bad value '4097' for --batch", "1..4096"},
    {"-m pbft --batch-timeout 0", "bad value '0' for --batch-timeout", "1..1000000"},
    {"-m pbft --batch-timeout 1.0001", "'1.0001' for --batch-timeout", "1..1000000"},
    {"-m pbft --window 65", "bad value '65' for --window", "1..64"},
    {"-m pbft -d 0", "bad value '0' for --seconds", "0.001..604800"},
    {"-m pbft -d -5", "bad value '-5' for --seconds", "0.001..604800"},
    {"-m pbft -d 1e3", "bad value '1e3' for --seconds", "0.001..604800"},
    {"-m pbft -d nan", "bad value 'nan' for --seconds", "0.001..604800"},
    {"-m pbft -d inf", "bad value 'inf' for --seconds", "0.001..604800"},
    {"-m pbft -d 1.", "bad value '1.' for --seconds", "0.001..604800"},
    {"-m pbft -d .5", "bad value '.5' for --seconds", "0.001..604800"},
    {"-m pbft -d 1,5", "bad value '1,5' for --seconds", "0.001..604800"},
    {"-m pbft -d 604801", "bad value '604801' for --seconds", "0.001..604800"},
    {"-m pbft --warm 3601", "bad value '3601' for --warm", "0..3600"},
    {"-m pbft --retry 0", "bad value '0' for --retry", "0.1..60000"},
    {"-m pbft --rate 1000000001", "bad value '1000000001' for --rate", "0..1000000000"},
    {"-m pbft --rate 10k", "bad value '10k' for --rate", "0..1000000000"},
    {"-m pbft --drop 0.91", "bad value '0.91' for --drop", "0..0.9"},
    {"-m pbft --drop 0.900000001", "bad value '0.900000001' for --drop", "0..0.9"},
    {"-m pbft --drop 5%", "bad value '5%' for --drop", "0..0.9"},
    {"-m pbft --mtu 575", "bad value '575' for --mtu", "576..9216"},
    {"-m pbft --mtu 9217", "bad value '9217' for --mtu", "576..9216"},
    {"-m pbft --seed 18446744073709551616", "for --seed", "0..18446744073709551615"},
    {"-m pbft --app-memory 0", "bad value '0' for --app-memory", "1..65536"},
    /* words */
    {"-m pbft --profile slow", "bad value 'slow' for --profile", "fast, seed, paranoid"},
    {"-m pbft --auth none", "bad value 'none' for --auth", "one of mac, sign"},
    {"-m pbft --request-auth batch", "'batch' for --request-auth", "none, mac, sign"},
    {"-m pbft --reply-auth all", "'all' for --reply-auth", "none, mac, sign, batch"},
    {"-m pbft --app sql", "bad value 'sql' for --app", "null, echo, kv"},
    {"-m pbft --idle spin", "bad value 'spin' for --idle", "poll, pause, yield, sleep"},
    {"-m pbft --cores 2", "bad value '2' for --cores", "all, one"},
    {"-m pbft -w ycsb", "bad value 'ycsb' for --workload", "ycsb-a to ycsb-f"},
    {"-m pbft -w ycsb-g", "bad value 'ycsb-g' for --workload", "ycsb-a to ycsb-f"},
    {"-m pbft -w echo:", "bad value 'echo:' for --workload", "echo:REQUEST/REPLY"},
    {"-m pbft -w echo:1", "bad value 'echo:1' for --workload", "echo:REQUEST/REPLY"},
    {"-m pbft -w echo:1/", "bad value 'echo:1/' for --workload", "echo:REQUEST/REPLY"},
    {"-m pbft -w echo:1/0", "bad value 'echo:1/0' for --workload", "echo:REQUEST/REPLY"},
    {"-m pbft -w echo --reply-size 0", "bad value '0' for --reply-size", "1..1048576"},
    {"-m pbft -w ycsb-a --record-size 15", "bad value '15' for --record-size", "16..1048576"},
    {"-m pbft -w echo:/1", "bad value 'echo:/1' for --workload", "echo:REQUEST/REPLY"},
    {"-m pbft -w echo:1/2/3", "'echo:1/2/3' for --workload", "echo:REQUEST/REPLY"},
    {"-m pbft -w echo:1/1048577", "for --workload", "1..1048576"},
    {"-m pbft --distribution hot", "'hot' for --distribution", "uniform, zipfian, latest"},
    {"-m pbft --log-level debug", "bad value 'debug' for --log-level", "TYPE:LEVEL"},
    {"-m pbft --log-level :debug", "':debug' for --log-level", "TYPE:LEVEL"},
    {"-m pbft --log-level oskr:loud", "'oskr:loud' for --log-level", "notice"},
    {"-m pbft --log-level oskr:9", "'oskr:9' for --log-level", "1..8"},
    {"-m pbft --json --quiet", "bad value '--quiet' for --json", "a file name"},
    {"-m pbft --hgrm=", "bad value '' for --hgrm", "a file name"},
    /* contradictions */
    {"-m pbft --app null -w ycsb-a", "--workload ycsb-a needs --app kv, not null", "leave --app"},
    {"-m pbft --app kv -w null", "--workload null needs --app null, not kv", "leave --app out"},
    {"-m pbft --app echo -w ycsb-b", "--workload ycsb-b needs --app kv", "leave --app out"},
    {"-m pbft --request-size 10", "--request-size does nothing", "give --workload echo"},
    {"-m pbft -w ycsb-a --reply-size 10", "--reply-size does nothing", "give --workload echo"},
    {"-m pbft --records 10", "--records does nothing", "give --workload ycsb-a"},
    {"-m pbft --app echo --record-size 16", "--record-size does nothing", "ycsb-a"},
    {"-m pbft --distribution latest", "--distribution does nothing", "ycsb-a"},
    {"-m pbft -w echo:1/2 --request-size 3", "--request-size 3 contradicts", "leave one out"},
    {"-m pbft -w echo:1/2 --reply-size 3", "--reply-size 3 contradicts", "leave one out"},
    {"-m pbft -w echo --reply-size 1048577", "for --reply-size", "1..1048576"},
    {"-m pbft -w ycsb-a --records 1000000", "do not fit --app-memory 64", "more than 95"},
    {"-m pbft -w ycsb-a --records 99999999 --record-size 999", "any --app-memory", "fewer"},
    {"-m pbft -w ycsb-a --records 100000001", "for --records", "1..100000000"},
};

static void
broken_lines_are_refused(void)
{
	size_t count = sizeof(broken_lines) / sizeof(broken_lines[0]);
	CU_ASSERT(count >= 40);
	for (size_t i = 0; i < count; i++) {
		const struct broken_line *broken = &broken_lines[i];
		struct options o;
		struct command command;
		struct config_error error;
		int result = take_for(&o, &cluster, &command, broken->text, &error);
		bool says = result == -EINVAL && strstr(error.text, broken->what) != NULL &&
			    strstr(error.text, broken->fix) != NULL &&
			    strstr(error.text, "; try --help") != NULL &&
			    strncmp(error.text, "oskr-cluster: ", 14) == 0 &&
			    strchr(error.text, '\n') == NULL && error.line == 0;
		CU_ASSERT_TRUE(says);
		if (!says)
			printf("\n  '%s' (%d): %s\n", broken->text, result, error.text);
		command_close(&command);
	}
}

static void
log_levels_are_bounded(void)
{
	struct options o;
	struct command command;
	struct config_error error;
	char text[17 * 20] = "-m pbft";
	for (int i = 0; i < LIMIT_LOG_LEVELS; i++)
		strcat(text, " --log-level=a:1");
	CU_ASSERT_EQUAL(take_for(&o, &cluster, &command, text, &error), 0);
	CU_ASSERT_EQUAL(o.log_levels_count, LIMIT_LOG_LEVELS);
	command_close(&command);
	strcat(text, " --log-level=a:1");
	CU_ASSERT_EQUAL(take_for(&o, &cluster, &command, text, &error), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "16 times at most"));
	command_close(&command);
}

/* Reads one value by its row alone. */
static int
row_takes(const struct option_row *row, uint64_t value)
{
	struct options o;
	char text[32];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return row->parse(row, text, &o) == 0;
}

/* Whole numbers: the edges and one beyond, by the table's own word. */
static void
numbers_keep_to_their_range(void)
{
	size_t rows_count = 0;
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_table[i];
		if (row->scale != 0 || row->max == 0)
			continue;
		rows_count++;
		CU_ASSERT_TRUE(row_takes(row, row->min));
		CU_ASSERT_TRUE(row_takes(row, row->max));
		if (row->min > 0)
			CU_ASSERT_FALSE(row_takes(row, row->min - 1));
		if (row->max < UINT64_MAX)
			CU_ASSERT_FALSE(row_takes(row, row->max + 1));
	}
	CU_ASSERT_EQUAL(rows_count, 22);
}

static char *
help_of(const struct options_program *program)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	options_print_help(file, program);
	fclose(file);
	return text;
}

/* Whether the help has a line for the option, at the column where options stand. */
static bool
help_has(const char *help, const char *name)
{
	char line[64];
	snprintf(line, sizeof(line), "--%s", name);
	for (const char *at = help; (at = strstr(at, line)) != NULL; at++) {
		char after = at[strlen(line)];
		bool stands = at - help >= 7 && at[-7] == '\n';
		if (stands && (after == ' ' || after == '\n'))
			return true;
	}
	return false;
}

static void
the_help_tells_each_option_of_the_program(void)
{
	static const struct options_program *const programs[] = {&cluster, &client, &sim};
	for (size_t p = 0; p < sizeof(programs) / sizeof(programs[0]); p++) {
		char *help = help_of(programs[p]);
		for (int i = 0; i < OPTION_COUNT; i++) {
			const struct option_row *row = &option_table[i];
			bool takes = (row->programs & programs[p]->program) != 0;
			CU_ASSERT_EQUAL(help_has(help, row->name), takes);
		}
		for (const char *at = help; *at != '\0'; at += strcspn(at, "\n") + 1)
			CU_ASSERT(strcspn(at, "\n") <= 100);
		free(help);
	}
	char *help = help_of(&cluster);
	CU_ASSERT_PTR_NOT_NULL(strstr(help, "1..4096; default 100"));
	CU_ASSERT_PTR_NOT_NULL(strstr(help, "Modes: unreplicated unreplicated-signed pbft"));
	CU_ASSERT_PTR_NOT_NULL(strstr(help, "oskr-cluster [EAL arguments --] -m MODE"));
	free(help);
}

static void
information_is_asked_for(void)
{
	struct options o;
	struct command command;
	struct config_error error;
	CU_ASSERT_EQUAL(take_for(&o, &cluster, &command, "-h", &error), OPTIONS_HELP);
	command_close(&command);
	CU_ASSERT_EQUAL(
	    take_for(&o, &cluster, &command, "-t 5 --help --bogus", &error), OPTIONS_HELP);
	command_close(&command);
	CU_ASSERT_EQUAL(take_for(&o, &sim, &command, "--modes", &error), OPTIONS_MODES);
	command_close(&command);
	CU_ASSERT_EQUAL(take_for(&o, &client, &command, "--version", &error), OPTIONS_VERSION);
	command_close(&command);
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	options_print_version(file, &sim);
	options_print_modes(file, &sim);
	fclose(file);
	CU_ASSERT_STRING_EQUAL(
	    text, "oskr-sim 1.2.3\nunreplicated\nunreplicated-signed\npbft\nhotstuff\nzyzzyva\n");
	free(text);
}

static void
a_program_takes_its_own_options_alone(void)
{
	struct options o;
	struct command command;
	struct config_error error;
	CU_ASSERT_EQUAL(
	    take_for(&o, &client, &command, "-m pbft -c quad -t 8 --rate 5", &error), 0);
	CU_ASSERT_STRING_EQUAL(o.cluster, "quad");
	CU_ASSERT_EQUAL(o.index, 0);
	CU_ASSERT_EQUAL(o.life, 1);
	command_close(&command);
	CU_ASSERT_EQUAL(take_for(&o, &client, &command, "-m pbft --drop 0.1", &error), -EINVAL);
	CU_ASSERT_STRING_EQUAL(error.text, "oskr-client: unknown option '--drop'; try --help");
	command_close(&command);
	CU_ASSERT_EQUAL(take_for(&o, &client, &command, "-m pbft -b 8", &error), -EINVAL);
	CU_ASSERT_STRING_EQUAL(error.text, "oskr-client: unknown option '-b'; try --help");
	command_close(&command);
}

/* Which cluster, and which of it: a process must be told, and a whole cluster is not. */
static void
processes_are_told_who_they_are(void)
{
	static const struct options_program replica = {
	    "oskr-replica", "1.2.3", "Runs a replica.", PROGRAM_REPLICA, modes, 5};
	static const struct {
		const struct options_program *program;
		const char *line;
		const char *error; /* NULL: it is taken */
	} cases[] = {
	    {&replica, "-m pbft -c quad -i 3 --life 9 --queues 2 --state s --port net_tap0", NULL},
	    {&replica, "-m pbft -i 3", "--cluster is missing"},
	    {&replica, "-m pbft -c quad", "--index is missing"},
	    {&replica, "-m pbft -c quad -i 64", "'64' for --index"},
	    {&replica, "-m pbft -c quad -i 0 --queues 17", "'17' for --queues"},
	    {&replica, "-m pbft -c quad -i 0 --ip 10.0.0.1", "'--ip'"},
	    {&client, "-m pbft -c quad -i 2 -t 256 --ip 10.0.0.1 --wait 0.5", NULL},
	    {&client, "-m pbft", "--cluster is missing"},
	    {&client, "-m pbft -c quad -t 257", "--slots 256"},
	    {&client, "-m pbft -c quad -t 257 --slots 257", NULL},
	    {&client, "-m pbft -c quad --ip 10.0.0", "'10.0.0' for --ip"},
	    {&client, "-m pbft -c quad --ip 0.0.0.1", "'0.0.0.1' for --ip"},
	    {&client, "-m pbft -c quad --ip 239.0.0.1", "'239.0.0.1' for --ip"},
	    {&client, "-m pbft -c quad --state s", "'--state'"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct command command;
		struct config_error error;
		int result = take_for(&o, cases[i].program, &command, cases[i].line, &error);
		CU_ASSERT_EQUAL(result, cases[i].error == NULL ? 0 : -EINVAL);
		if (cases[i].error != NULL)
			CU_ASSERT_PTR_NOT_NULL(strstr(error.text, cases[i].error));
		command_close(&command);
	}
}

static void
names_of_auth_and_profile_round_trip(void)
{
	for (unsigned int i = 0; i < AUTH_COUNT; i++) {
		enum auth auth = AUTH_COUNT;
		CU_ASSERT_EQUAL(auth_parse(auth_name((enum auth)i), &auth), 0);
		CU_ASSERT_EQUAL(auth, i);
	}
	for (unsigned int i = 0; i < PROFILE_COUNT; i++) {
		enum profile profile = PROFILE_COUNT;
		CU_ASSERT_EQUAL(profile_parse(profile_name((enum profile)i), &profile), 0);
		CU_ASSERT_EQUAL(profile, i);
	}
	enum auth auth = AUTH_SIGN;
	CU_ASSERT_EQUAL(auth_parse("macs", &auth), -1);
	CU_ASSERT_EQUAL(auth_parse("", &auth), -1);
	CU_ASSERT_EQUAL(auth, AUTH_SIGN);
	CU_ASSERT_PTR_NULL(auth_name(AUTH_COUNT));
	CU_ASSERT_PTR_NULL(profile_name(PROFILE_COUNT));
}

struct number_case {
	const char *text;
	uint64_t scale;
	uint64_t max;
	int result;
	uint64_t value;
};

static void
numbers_are_read_exactly_or_not_at_all(void)
{
	static const struct number_case cases[] = {
	    {"5", 1, 5, 0, 5},
	    {"6", 1, 5, -1, 0},
	    {"9", 1, 0, -1, 0},
	    {"0", 1, 0, 0, 0},
	    {"10", 1, 9, -1, 0},
	    {"007", 1, 7, 0, 7},
	    {"18446744073709551615", 1, UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", 1, UINT64_MAX, -1, 0},
	    {"1.5", 1000, 9999, 0, 1500},
	    {"1.500000", 1000, 9999, 0, 1500},
	    {"1.5001", 1000, 9999, -1, 0},
	    {"9.999", 1000, 9999, 0, 9999},
	    {"10", 1000, 9999, -1, 0},
	    {"0.0", 10, 0, 0, 0},
	    {"1..5", 1000, 9999, -1, 0},
	    {" 1", 1, 9, -1, 0},
	    {"1 ", 1, 9, -1, 0},
	    {"", 1, 9, -1, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct number_case *c = &cases[i];
		uint64_t value = 0;
		struct text text = text_of(c->text);
		CU_ASSERT_EQUAL(text_parse_decimal(text, c->scale, c->max, &value), c->result);
		CU_ASSERT_EQUAL(value, c->value);
	}
}

static const struct unit_story stories[] = {
    {"numbers are read exactly or not at all", numbers_are_read_exactly_or_not_at_all},
    {"defaults are as the help says", defaults_are_as_the_help_says},
    {"everything written is taken", everything_written_is_taken},
    {"replication is set", replication_is_set},
    {"instances share the checkpoint interval", instances_share_the_checkpoint_interval},
    {"authentication follows the profile", authentication_follows_the_profile},
    {"workload and application imply each other", workload_and_application_imply_each_other},
    {"broken lines are refused with option and fix", broken_lines_are_refused},
    {"log levels are bounded", log_levels_are_bounded},
    {"numbers keep to their range", numbers_keep_to_their_range},
    {"the help tells each option of the program", the_help_tells_each_option_of_the_program},
    {"information is asked for", information_is_asked_for},
    {"a program takes its own options alone", a_program_takes_its_own_options_alone},
    {"processes are told who they are", processes_are_told_who_they_are},
    {"names of auth and profile round trip", names_of_auth_and_profile_round_trip},
};

UNIT_MAIN("options", stories)
