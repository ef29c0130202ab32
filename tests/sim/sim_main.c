/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-sim: runs seeds, says what they did, and of a seed that breaks a promise
 * the shortest schedule of faults that still does. One thread.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "quorum.h"
#include "shrink.h"
#include "sim_modes.h"

enum { ARGUMENTS_MAX = 64, LINE_SIZE = 2048, SHRINK_RUNS = 1000, EXIT_USAGE = 2 };

struct command {
	struct sim_config config;
	uint64_t seeds;
	uint64_t first;
	uint32_t shrink_runs;
	bool quiet;
	bool trace;
	const char *record;
	const char *replay;
	char *engine[ARGUMENTS_MAX]; /* for the engine's parser */
	int engine_count;
	char text[LINE_SIZE];	  /* the command line that reproduces, without the seed */
	struct schedule schedule; /* of --replay */
};

/* Of all runs. */
struct campaign {
	uint64_t runs;
	uint64_t failures;
	uint64_t undecided;
	uint64_t events;
	uint64_t bursts;
	uint64_t delivered;
	uint64_t operations;
	uint64_t virtual_ns;
	uint64_t flight_peak;
	uint64_t views_max;  /* view changes after the horizon, in the worst run */
	uint64_t settled_ns; /* time to answer everything after it, in the worst run */
	uint64_t faults[FAULT_KINDS_COUNT];
	double seconds;
	double cpu_seconds;
};

static const char usage[] =
    "usage: oskr-sim -m MODE [OPTION]...\n"
    "       oskr-sim --replay FILE [--trace]\n"
    "\n"
    "Runs replicas and clients of a protocol in virtual time, through faults drawn\n"
    "from a seed, and judges what they do. Same seed and options, same run.\n"
    "\n"
    "  -m, --mode MODE      a protocol, or quorum, the simulator's own for crashes\n"
    "      --seed N         run this seed (1)\n"
    "      --seeds N        run N seeds\n"
    "      --first K        from seed K on (1)\n"
    "      --faults PRESET  none, loss (network, clocks), crash (and nodes), byzantine\n"
    "                       (network, liars), twins, or all (all)\n"
    "      --ops N          operations of all clients in a run (300)\n"
    "      --steps N        events at most in a run: more is a failure (3000000)\n"
    "  -w, --workload NAME  mix (all key-value operations), null or echo (mix)\n"
    "      --trace          print every message of the run\n"
    "      --record FILE    of a failure: write the shortest schedule that fails; of one\n"
    "                       good seed: the whole schedule\n"
    "      --replay FILE    run a recorded schedule\n"
    "      --no-shrink      do not look for the shortest schedule of a failure\n"
    "      --real-crypto    prove and sign for real\n"
    "      --plain          draw no sizes from the seed: what the options say; with\n"
    "                       --faults none this is the measurement of speed\n"
    "      --mutant K       break rule K of quorum; 0 is none (0)\n"
    "      --quiet          no line for each run, only the summary\n"
    "  -f N, -n N, -t N     faults, replicas, clients; and the engine's --batch,\n"
    "                       --window, --adaptive, --profile, --auth, --request-auth,\n"
    "                       --reply-auth, --instances, --leader-offset, --pillars,\n"
    "                       --retry, --mtu,\n"
    "                       --view-timeout, --checkpoint-interval, --watch-primary, "
    "--stable-leader,\n"
    "                       --tentative, --read-only: as oskr-cluster's\n"
    "      --modes          list the modes\n"
    "  -h, --help           this text\n"
    "\n"
    "Exit status: 0 every run kept every promise; 1 one did not; 2 usage.\n";

enum {
	KEY_SEED = 256,
	KEY_SEEDS,
	KEY_FIRST,
	KEY_FAULTS,
	KEY_OPS,
	KEY_STEPS,
	KEY_TRACE,
	KEY_RECORD,
	KEY_REPLAY,
	KEY_NO_SHRINK,
	KEY_REAL_CRYPTO,
	KEY_PLAIN,
	KEY_MUTANT,
	KEY_QUIET,
	KEY_MODES,
	KEY_ENGINE, /* and on: options that the engine's parser takes */
};

static const struct option longs[] = {
    {"mode", required_argument, NULL, 'm'},
    {"seed", required_argument, NULL, KEY_SEED},
    {"seeds", required_argument, NULL, KEY_SEEDS},
    {"first", required_argument, NULL, KEY_FIRST},
    {"faults", required_argument, NULL, KEY_FAULTS},
    {"ops", required_argument, NULL, KEY_OPS},
    {"steps", required_argument, NULL, KEY_STEPS},
    {"workload", required_argument, NULL, 'w'},
    {"trace", no_argument, NULL, KEY_TRACE},
    {"record", required_argument, NULL, KEY_RECORD},
    {"replay", required_argument, NULL, KEY_REPLAY},
    {"no-shrink", no_argument, NULL, KEY_NO_SHRINK},
    {"real-crypto", no_argument, NULL, KEY_REAL_CRYPTO},
    {"plain", no_argument, NULL, KEY_PLAIN},
    {"mutant", required_argument, NULL, KEY_MUTANT},
    {"quiet", no_argument, NULL, KEY_QUIET},
    {"modes", no_argument, NULL, KEY_MODES},
    {"help", no_argument, NULL, 'h'},
    {"replicas", required_argument, NULL, 'n'},
    {"clients", required_argument, NULL, 't'},
    {"batch", required_argument, NULL, 'b'},
    {"window", required_argument, NULL, KEY_ENGINE},
    {"adaptive", no_argument, NULL, KEY_ENGINE},
    {"profile", required_argument, NULL, KEY_ENGINE},
    {"auth", required_argument, NULL, KEY_ENGINE},
    {"request-auth", required_argument, NULL, KEY_ENGINE},
    {"reply-auth", required_argument, NULL, KEY_ENGINE},
    {"instances", required_argument, NULL, KEY_ENGINE},
    {"leader-offset", required_argument, NULL, KEY_ENGINE},
    {"pillars", required_argument, NULL, KEY_ENGINE},
    {"retry", required_argument, NULL, KEY_ENGINE},
    {"mtu", required_argument, NULL, KEY_ENGINE},
    {"checkpoint-interval", required_argument, NULL, KEY_ENGINE},
    {"view-timeout", required_argument, NULL, KEY_ENGINE},
    {"watch-primary", no_argument, NULL, KEY_ENGINE},
    {"stable-leader", no_argument, NULL, KEY_ENGINE},
    {"tentative", no_argument, NULL, KEY_ENGINE},
    {"read-only", no_argument, NULL, KEY_ENGINE},
    {NULL, 0, NULL, 0},
};

/* ---- The command line --------------------------------------------------------- */

static void
text_add(struct command *c, const char *word)
{
	size_t size = strlen(c->text);
	snprintf(c->text + size, sizeof(c->text) - size, " %s", word);
}

static void
engine_add(struct command *c, const char *word)
{
	if (c->engine_count < ARGUMENTS_MAX - 1)
		c->engine[c->engine_count++] = strdup(word);
	check(c->engine[c->engine_count - 1] != NULL);
}

static bool
number_parse(const char *name, const char *text, uint64_t *number)
{
	char *end;
	*number = strtoull(text, &end, 0);
	if (*text != '\0' && *text != '-' && *end == '\0')
		return true;
	fprintf(stderr, "oskr-sim: bad value '%s' for --%s: give a number\n", text, name);
	return false;
}

static bool
workload_parse(struct command *c, const char *text)
{
	static const char *const names[] = {"mix", "null", "echo"};
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			c->config.workload = (enum sim_workload)i;
			return true;
		}
	}
	fprintf(stderr, "oskr-sim: bad value '%s' for --workload: give mix, null or echo\n", text);
	return false;
}

static bool
mutant_parse(const char *text)
{
	uint64_t number;
	if (!number_parse("mutant", text, &number))
		return false;
	if (number >= QUORUM_MUTANTS_COUNT) {
		fprintf(stderr, "oskr-sim: --mutant is 0..%d\n", QUORUM_MUTANTS_COUNT - 1);
		return false;
	}
	quorum_mutant = (enum quorum_mutant)number;
	return true;
}

/* One option that says which runs, not what is in them. */
static bool
option_of_runs(struct command *c, int key)
{
	switch (key) {
	case KEY_SEED:
		c->seeds = 1;
		return number_parse("seed", optarg, &c->first);
	case KEY_SEEDS:
		return number_parse("seeds", optarg, &c->seeds);
	case KEY_FIRST:
		return number_parse("first", optarg, &c->first);
	case KEY_TRACE:
		c->trace = true;
		return true;
	case KEY_RECORD:
		c->record = optarg;
		return true;
	case KEY_REPLAY:
		c->replay = optarg;
		return true;
	case KEY_NO_SHRINK:
		c->shrink_runs = 0;
		return true;
	default:
		c->quiet = true;
		return true;
	}
}

/* One option that makes a run what it is. */
static bool
option_of_run(struct command *c, int key)
{
	switch (key) {
	case KEY_FAULTS:
		if (preset_parse(optarg, &c->config.preset))
			return true;
		fprintf(stderr,
		    "oskr-sim: bad value '%s' for --faults: give none, loss, crash, byzantine, "
		    "twins or all\n",
		    optarg);
		return false;
	case KEY_OPS:
		return number_parse("ops", optarg, &c->config.operations);
	case KEY_STEPS:
		return number_parse("steps", optarg, &c->config.steps_max);
	case 'w':
		return workload_parse(c, optarg);
	case KEY_REAL_CRYPTO:
		c->config.real_crypto = true;
		return true;
	case KEY_PLAIN:
		c->config.drawn = false;
		return true;
	default:
		return mutant_parse(optarg);
	}
}

static void
engine_option(struct command *c, int key, int long_index)
{
	char word[64];
	if (key < KEY_SEED)
		snprintf(word, sizeof(word), "-%c", key);
	else
		snprintf(word, sizeof(word), "--%s", longs[long_index].name);
	engine_add(c, word);
	if (optarg != NULL)
		engine_add(c, optarg);
}

static void
text_option(struct command *c, int key, int long_index)
{
	char word[64];
	if (key < KEY_SEED)
		snprintf(word, sizeof(word), "-%c", key);
	else
		snprintf(word, sizeof(word), "--%s", longs[long_index].name);
	text_add(c, word);
	if (optarg != NULL)
		text_add(c, optarg);
}

static int
long_find(int key)
{
	for (int i = 0; longs[i].name != NULL; i++) {
		if (longs[i].val == key)
			return i;
	}
	return 0;
}

static void
help_print(bool modes)
{
	struct sim_protocol p;
	if (!modes)
		fputs(usage, stdout);
	for (uint32_t i = 0; modes && sim_mode_at(i, &p); i++)
		puts(p.protocol->name);
}

/* -1: go on; else an exit status. */
static int
command_parse(struct command *c, int argc, char **argv)
{
	optind = 0;
	for (;;) {
		int index = -1;
		int key = getopt_long(argc, argv, "m:f:n:t:b:w:h", longs, &index);
		if (key == -1)
			break;
		if (key == 'h' || key == KEY_MODES) {
			help_print(key == KEY_MODES);
			return EXIT_SUCCESS;
		}
		if (key == '?')
			return EXIT_USAGE;
		bool engine = key == 'm' || key == 'f' || key == 'n' || key == 't' || key == 'b' ||
			      key == KEY_ENGINE;
		bool runs = key == KEY_SEED || key == KEY_SEEDS || key == KEY_FIRST ||
			    key == KEY_TRACE || key == KEY_RECORD || key == KEY_REPLAY ||
			    key == KEY_NO_SHRINK || key == KEY_QUIET;
		index = index < 0 ? long_find(key) : index;
		if (!runs)
			text_option(c, key, index);
		if (engine)
			engine_option(c, key, index);
		else if (!(runs ? option_of_runs(c, key) : option_of_run(c, key)))
			return EXIT_USAGE;
	}
	if (optind < argc) {
		fprintf(stderr, "oskr-sim: unexpected argument '%s'; try --help\n", argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* The engine's own options, with what the simulator's workloads need. */
static bool
command_resolve(struct command *c)
{
	struct config_error error;
	static const char *const mix[] = {"-w", "ycsb-a", "--records", "100", "--app-memory", "4"};
	for (size_t i = 0; c->config.workload == SIM_MIX && i < sizeof(mix) / sizeof(mix[0]); i++)
		engine_add(c, mix[i]);
	if (c->config.workload != SIM_MIX) {
		engine_add(c, "-w");
		engine_add(c, c->config.workload == SIM_NULL ? "null" : "echo");
	}
	if (sim_options(&c->config, c->engine_count, c->engine, &error))
		return true;
	fprintf(stderr, "%s\n", error.text);
	return false;
}

static void
command_free(struct command *c)
{
	for (int i = 0; i < c->engine_count; i++)
		free(c->engine[i]);
	schedule_free(&c->schedule);
}

/* ---- Recorded schedules --------------------------------------------------------- */

static bool
replay_words(struct command *c, char *line)
{
	char *words[ARGUMENTS_MAX];
	int count = 0;
	words[count++] = "oskr-sim";
	for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
		if (count == ARGUMENTS_MAX)
			return false;
		words[count++] = word;
	}
	return command_parse(c, count, words) < 0;
}

static bool
replay_load(struct command *c)
{
	char line[LINE_SIZE];
	bool any = false;
	const char *path = c->replay;
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		perror(path);
		return false;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "arguments ", 10) == 0)
			any = replay_words(c, line + 10);
		else if (line[0] != '#' && line[0] != '\n' &&
			 schedule_read_line(&c->schedule, line) == 0)
			fprintf(stderr, "oskr-sim: %s: not understood: %s", path, line);
	}
	fclose(file);
	if (!any)
		fprintf(stderr, "oskr-sim: %s: no line of arguments\n", path);
	return any;
}

static void
record_save(const struct command *c, uint64_t seed, const struct schedule *schedule)
{
	if (c->record == NULL)
		return;
	FILE *file = fopen(c->record, "we");
	if (file == NULL) {
		perror(c->record);
		return;
	}
	fprintf(file, "# oskr-sim --replay reads this.\narguments%s --seed %" PRIu64 "\n", c->text,
	    seed);
	schedule_write(schedule, file);
	fclose(file);
}

/* ---- Runs -------------------------------------------------------------------------- */

static uint64_t seed_now;
static const char *text_now;

/* A crash of the process is a finding: say which seed it was. */
static void
on_crash(int number)
{
	char line[LINE_SIZE + 128];
	int size = snprintf(line, sizeof(line),
	    "\noskr-sim: signal %d in seed %llu; reproduce: oskr-sim%s --seed %llu\n", number,
	    (unsigned long long)seed_now, text_now, (unsigned long long)seed_now);
	if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
		_exit(EXIT_FAILURE);
	signal(number, SIG_DFL);
	raise(number);
}

static double
seconds_now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
run_print(const struct command *c, uint64_t seed, const struct sim_report *r)
{
	uint64_t faults = 0;
	for (uint32_t i = 0; i < FAULT_KINDS_COUNT; i++)
		faults += r->faults[i];
	if (c->quiet && !r->failed)
		return;
	printf("seed %" PRIu64 " hash %016" PRIx64 " events %" PRIu64 " delivered %" PRIu64
	       " operations %" PRIu64 " positions %" PRIu64 " view %" PRIu64 " faults %" PRIu64
	       " virtual %.3f s %s\n",
	    seed, r->hash, r->events, r->delivered, r->operations, r->positions, r->view_max,
	    faults, (double)r->virtual_ns * 1e-9, r->failed ? "FAILED" : "ok");
}

static void
failure_explain(const struct command *c, uint64_t seed, const struct sim_report *report)
{
	struct schedule shortest;
	schedule_init(&shortest);
	printf("  %s\n", report->violation);
	if (c->shrink_runs > 0) {
		struct sim_config config = c->config;
		config.seed = seed;
		uint32_t runs = shrink(&config, &shortest, c->shrink_runs);
		struct sim_report again;
		config.schedule = &shortest;
		sim_run(&config, &again);
		printf("  the shortest schedule that fails (%u faults, %u runs):\n", shortest.count,
		    runs);
		schedule_write(&shortest, stdout);
		printf("  with it: %s\n", again.violation);
		record_save(c, seed, &shortest);
	}
	printf("  reproduce: oskr-sim%s --seed %" PRIu64 " --trace\n", c->text, seed);
	if (c->record != NULL)
		printf("  shortest:  oskr-sim --replay %s --trace\n", c->record);
	schedule_free(&shortest);
}

static void
campaign_add(struct campaign *all, const struct sim_report *r)
{
	all->runs++;
	all->failures += r->failed;
	all->undecided += r->undecided;
	all->events += r->events;
	all->bursts += r->bursts;
	all->delivered += r->delivered;
	all->operations += r->operations;
	all->virtual_ns += r->virtual_ns;
	if (r->flight_peak > all->flight_peak)
		all->flight_peak = r->flight_peak;
	if (r->views_healed > all->views_max)
		all->views_max = r->views_healed;
	if (r->settled_ns > all->settled_ns)
		all->settled_ns = r->settled_ns;
	for (uint32_t i = 0; i < FAULT_KINDS_COUNT; i++)
		all->faults[i] += r->faults[i];
}

static void
campaign_print(const struct campaign *all)
{
	double wall = all->seconds > 0 ? all->seconds : 1e-9;
	double cpu = all->cpu_seconds > 0 ? all->cpu_seconds : 1e-9;
	printf("seeds %" PRIu64 " events %" PRIu64 " bursts %" PRIu64 " delivered %" PRIu64
	       " operations %" PRIu64 " virtual %.0f s wall %.2f s cpu %.2f s\n",
	    all->runs, all->events, all->bursts, all->delivered, all->operations,
	    (double)all->virtual_ns * 1e-9, all->seconds, all->cpu_seconds);
	printf("delivered/s %.0f of wall time, %.0f of CPU time\n", (double)all->delivered / wall,
	    (double)all->delivered / cpu);
	printf("faults");
	for (uint32_t i = 0; i < FAULT_KINDS_COUNT; i++) {
		if (all->faults[i] > 0)
			printf(" %s %" PRIu64, fault_name((enum fault_kind)i), all->faults[i]);
	}
	printf("\nafter the faults, at worst: %" PRIu64
	       " view changes, %.3f s until all was answered\n",
	    all->views_max, (double)all->settled_ns * 1e-9);
	printf("under way at once, at most: %" PRIu64 " datagrams\n", all->flight_peak);
	printf("histories undecided %" PRIu64 "\nfailures %" PRIu64 "\n", all->undecided,
	    all->failures);
}

static int
runs_make(struct command *c)
{
	struct campaign all = {0};
	struct sim_report report;
	struct schedule planned;
	double start = seconds_now(CLOCK_MONOTONIC);
	schedule_init(&planned);
	text_now = c->text;
	for (uint64_t i = 0; i < c->seeds; i++) {
		struct sim_config config = c->config;
		seed_now = config.seed = c->first + i;
		config.trace = c->trace ? stdout : NULL;
		config.schedule = c->replay != NULL ? &c->schedule : NULL;
		config.planned = c->record != NULL ? &planned : NULL;
		sim_run(&config, &report);
		campaign_add(&all, &report);
		run_print(c, config.seed, &report);
		if (report.failed && c->replay != NULL)
			printf("  %s\n", report.violation);
		else if (report.failed)
			failure_explain(c, config.seed, &report);
		else if (c->seeds == 1)
			record_save(c, config.seed, &planned);
		fflush(stdout);
	}
	all.seconds = seconds_now(CLOCK_MONOTONIC) - start;
	all.cpu_seconds = seconds_now(CLOCK_PROCESS_CPUTIME_ID);
	campaign_print(&all);
	schedule_free(&planned);
	return all.failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static struct command c;
	c.config = (struct sim_config){
	    .preset = PRESET_ALL, .operations = 300, .steps_max = 3000000, .drawn = true};
	c.seeds = 1;
	c.first = 1;
	c.shrink_runs = SHRINK_RUNS;
	engine_add(&c, "oskr-sim");
	int status = command_parse(&c, argc, argv);
	if (status < 0 && c.replay != NULL && !replay_load(&c))
		status = EXIT_USAGE;
	if (status < 0 && !command_resolve(&c))
		status = EXIT_USAGE;
	signal(SIGSEGV, on_crash);
	signal(SIGABRT, on_crash);
	if (status < 0)
		status = runs_make(&c);
	command_free(&c);
	return status;
}
