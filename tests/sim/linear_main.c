/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-linear: judges the history of a key-value service by search and by
 * witness, or makes synthetic histories, right or with one planted violation.
 * One thread. Tests include this file and call main under another name.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/check.h"
#include "engine/history.h"
#include "linear.h"
#include "witness.h"

/* The exit status is a contract. */
enum {
	EXIT_LINEARIZABLE = 0,
	EXIT_VIOLATION = 1,
	EXIT_BAD_INPUT = 2,
	EXIT_UNDECIDED = 3,
};

enum violation {
	VIOLATION_NONE,
	VIOLATION_STALE_READ,
	VIOLATION_LOST_UPDATE,
	VIOLATION_DOUBLE_APPLY,
	VIOLATION_FUTURE_READ,
	VIOLATION_REORDER,
	VIOLATION_WRONG_CAS,
	VIOLATION_DUPLICATE,
	VIOLATION_WRONG_SCAN,
	VIOLATIONS_COUNT,
};

static const char *const violation_names[VIOLATIONS_COUNT] = {"none", "stale-read", "lost-update",
    "double-apply", "future-read", "reorder", "wrong-cas", "duplicate", "wrong-scan"};

enum { GENERATE_CLIENTS_MAX = 65536, GENERATE_KEYS_MAX = 10000000, PERCENT_MAX = 100 };

struct options {
	uint64_t generate; /* operations to make; 0: read files */
	uint64_t seed;
	uint64_t keys;
	uint64_t clients;
	uint64_t values;  /* different values written; 0: each only once */
	uint64_t pending; /* percent of operations never answered */
	uint64_t scans;	  /* percent of operations that are scans */
	enum violation violation;
	const char *output; /* file for what was made; NULL: judge it */
	bool no_seq;
	bool search;
	bool witness;
	struct linear_limits limits;
};

static const char usage[] =
    "usage: oskr-linear [OPTION]... FILE...\n"
    "       oskr-linear --generate N [OPTION]... [--output FILE]\n"
    "\n"
    "Judges whether a history of a key-value service is linearizable. All FILEs\n"
    "together are one history (one file a core, as recorded).\n"
    "\n"
    "  --check WHAT        search, witness or both (both)\n"
    "                      search: key by key, from outside (Wing-Gong-Lowe)\n"
    "                      witness: replays the executed order, scans too, and\n"
    "                      finds places in it for reads that have none\n"
    "  --cache MIB         memory for the search on one key (1024)\n"
    "  --steps N           steps for the search on one key (10000000000)\n"
    "  --generate N        make a history of about N operations and judge it, or\n"
    "                      write it with --output\n"
    "  --output FILE       where to write it\n"
    "  --seed N            same seed and options, same history (1)\n"
    "  --keys N            (10000)\n"
    "  --clients N         that ask at the same time (64)\n"
    "  --values N          different values; 0: each is written once (0)\n"
    "  --pending PERCENT   operations that are never answered (0)\n"
    "  --scans PERCENT     operations that are scans (0)\n"
    "  --no-seq            leave the executed order out\n"
    "  --violate KIND      plant one violation in the middle: stale-read,\n"
    "                      lost-update, double-apply, future-read, reorder,\n"
    "                      wrong-cas; or, which only the witness can see,\n"
    "                      duplicate, wrong-scan\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 linearizable; 1 violation; 2 bad input (empty or incomplete\n"
    "histories too) or usage; 3 undecided, as a limit was met or nothing proves it.\n";

static int options_parse(struct options *options, int argc, char **argv);
static int generate(struct history *h, const struct options *options);
static int load(struct history *h, int files_count, char **files);
static int judge(const struct history *h, const struct options *options);

int
main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(&options, argc, argv);
	if (status >= 0)
		return status;
	struct history h;
	history_init(&h, HISTORY_OPS_MAX);
	if (options.generate == 0) {
		status = load(&h, argc - optind, argv + optind);
	} else {
		status = generate(&h, &options);
		if (status != 0)
			fprintf(stderr, "oskr-linear: %s\n", strerror(-status));
	}
	if (status == 0 && options.output != NULL) {
		status = history_save(&h, options.output);
		if (status != 0)
			fprintf(stderr, "oskr-linear: %s: %s\n", options.output, strerror(-status));
	} else if (status == 0) {
		status = judge(&h, &options);
	}
	history_free(&h);
	return status < 0 ? EXIT_BAD_INPUT : status;
}

/* ---- Judging ------------------------------------------------------------ */

static double
now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void
print_history(const struct history *h)
{
	uint64_t kinds[HISTORY_KINDS_COUNT] = {0};
	uint64_t pending_count = 0;
	for (size_t i = 0; i < h->ops_count; i++) {
		kinds[h->ops[i].kind]++;
		pending_count += h->ops[i].response_ns == HISTORY_PENDING;
	}
	printf("history: %zu operations on %zu keys, %" PRIu64 " never answered (", h->ops_count,
	    h->keys_count, pending_count);
	for (int kind = 0; kind < HISTORY_KINDS_COUNT; kind++)
		printf("%s%" PRIu64 " %s", kind == 0 ? "" : ", ", kinds[kind],
		    history_kind_name((enum history_kind)kind));
	printf(")\n");
}

/* Returns the verdict of the search, or a negative errno. */
static int
judge_by_search(const struct history *h, const struct options *options, bool *all_seen)
{
	static const char *const words[] = {
	    [LINEAR_PASS] = "pass", [LINEAR_VIOLATION] = "VIOLATION", [LINEAR_GAVE_UP] = "gave up"};
	struct linear_report report;
	double start_s = now_s();
	int error = linear_check(h, &options->limits, &report);
	if (error != 0)
		return error;
	printf("search:  %s, %" PRIu64 " operations on %" PRIu64 " keys, %" PRIu64
	       " keys given up, %" PRIu64 " scans skipped, %" PRIu64 " steps, %.3f s\n",
	    words[report.verdict], report.checked, report.keys_checked, report.keys_gave_up,
	    report.skipped, report.steps, now_s() - start_s);
	if (report.verdict == LINEAR_VIOLATION)
		linear_print(stdout, h, &report.evidence);
	*all_seen = report.skipped == 0;
	return (int)report.verdict;
}

/* Returns the verdict of the witness, or a negative errno. */
static int
judge_by_witness(const struct history *h)
{
	static const char *const words[] = {[WITNESS_PASS] = "pass",
	    [WITNESS_VIOLATION] = "VIOLATION",
	    [WITNESS_GAVE_UP] = "gave up"};
	struct witness_report report;
	double start_s = now_s();
	int error = witness_check(h, &report);
	if (error != 0)
		return error;
	printf("witness: %s, %" PRIu64 " operations replayed, %" PRIu64
	       " reads placed between them, %" PRIu64 " answered without a position, %" PRIu64
	       " unjudged, %.3f s\n",
	    words[report.verdict], report.replayed, report.placed, report.unplaced, report.unjudged,
	    now_s() - start_s);
	if (report.verdict == WITNESS_VIOLATION)
		witness_print(stdout, h, &report);
	return (int)report.verdict;
}

/* One proof is enough for a pass, one violation for a refusal. */
static int
judge(const struct history *h, const struct options *options)
{
	print_history(h);
	if (h->ops_count == 0) {
		fprintf(stderr, "oskr-linear: the history is empty: nothing to judge\n");
		return EXIT_BAD_INPUT;
	}
	if (h->dropped > 0) {
		fprintf(stderr,
		    "oskr-linear: %" PRIu64 " operations were not recorded for want of room, "
		    "so nothing can be said: record with a larger buffer\n",
		    h->dropped);
		return EXIT_BAD_INPUT;
	}
	bool all_seen = false;
	int by_search = LINEAR_GAVE_UP;
	int by_witness = WITNESS_GAVE_UP;
	if (options->search)
		by_search = judge_by_search(h, options, &all_seen);
	if (options->witness && by_search >= 0)
		by_witness = judge_by_witness(h);
	if (by_search < 0 || by_witness < 0) {
		fprintf(stderr, "oskr-linear: out of memory\n");
		return EXIT_UNDECIDED;
	}
	if (by_search == LINEAR_VIOLATION || by_witness == WITNESS_VIOLATION) {
		printf("verdict: VIOLATION\n");
		return EXIT_VIOLATION;
	}
	if (by_witness == WITNESS_PASS || (by_search == LINEAR_PASS && all_seen)) {
		printf("verdict: linearizable\n");
		return EXIT_LINEARIZABLE;
	}
	printf("verdict: undecided\n");
	return EXIT_UNDECIDED;
}

static int
load(struct history *h, int files_count, char **files)
{
	for (int i = 0; i < files_count; i++) {
		struct history_error error;
		int status = history_load(h, files[i], &error);
		if (status == -EINVAL && error.reason != NULL)
			fprintf(stderr, "oskr-linear: %s: byte %zu: %s\n", files[i], error.offset,
			    error.reason);
		else if (status == -E2BIG)
			fprintf(stderr, "oskr-linear: %s: more than %u operations\n", files[i],
			    HISTORY_OPS_MAX);
		else if (status != 0)
			fprintf(stderr, "oskr-linear: %s: %s\n", files[i], strerror(-status));
		if (status != 0)
			return status;
	}
	return 0;
}

/* ---- Making histories --------------------------------------------------- */

/* Operations take effect this far apart, one after the other. */
enum { STEP_NS = 1000, ALONE_NS = 100 };

struct made_client {
	uint32_t id;
	uint64_t request;
	size_t last;	       /* its last operation in the history, or SIZE_MAX */
	uint64_t last_step_ns; /* when that took effect */
};

/* A right service: one operation after the other takes effect at step_ns, and
 * is asked some time before and answered some time after. */
struct generator {
	const struct options *options;
	struct history *history;
	struct made_client *clients;
	struct history_value *values; /* what each key holds */
	uint64_t random;
	uint64_t step_ns;
	uint64_t seq;
	uint64_t values_made;
	uint32_t clients_made;
	int error;
};

static uint64_t
random_below(struct generator *g, uint64_t bound)
{
	check(bound > 0);
	g->random += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t x = g->random;
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % bound;
}

/* A value that no one has written and no one will. */
static struct history_value
fresh_value(struct generator *g)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "unique-%" PRIu64, g->values_made++);
	return history_value_of(text, (size_t)size);
}

static struct history_value
random_value(struct generator *g)
{
	if (g->options->values == 0)
		return fresh_value(g);
	char text[32];
	int size = snprintf(text, sizeof(text), "%" PRIu64, random_below(g, g->options->values));
	return history_value_of(text, (size_t)size);
}

/* Adds an operation of `client`, whose call and answer are known. */
static void
record(struct generator *g, struct history_op *op, struct made_client *client)
{
	char name[32];
	int size = snprintf(name, sizeof(name), "key%010" PRIu32, op->key);
	if (g->options->no_seq)
		op->seq = 0;
	client->last = g->history->ops_count;
	client->last_step_ns = g->step_ns;
	int error = history_add(g->history, op, name, (size_t)size);
	check(error != -EINVAL);
	if (error != 0)
		g->error = error;
}

/*
 * Fills client, request and times, next to take effect. A client asks only
 * after its last answer, so that answer is drawn earlier where needed. Alone:
 * no other operation takes effect between call and answer.
 */
static struct made_client *
schedule(struct generator *g, struct history_op *op, bool alone)
{
	uint64_t spread_ns = alone ? ALONE_NS : g->options->clients * STEP_NS;
	struct made_client *client = &g->clients[random_below(g, g->options->clients)];
	g->step_ns += STEP_NS;
	op->invoke_ns = g->step_ns - ALONE_NS;
	if (!alone)
		op->invoke_ns =
		    g->step_ns > spread_ns ? g->step_ns - random_below(g, spread_ns) : g->step_ns;
	if (client->last != SIZE_MAX) {
		struct history_op *last = &g->history->ops[client->last];
		uint64_t room_ns = g->step_ns - ALONE_NS - client->last_step_ns;
		if (last->response_ns >= g->step_ns - ALONE_NS)
			last->response_ns = client->last_step_ns + random_below(g, room_ns);
		if (op->invoke_ns <= last->response_ns)
			op->invoke_ns = last->response_ns + 1;
	}
	op->response_ns = g->step_ns + (alone ? ALONE_NS : random_below(g, spread_ns));
	op->client = client->id;
	op->request = ++client->request;
	check(op->invoke_ns <= g->step_ns);
	return client;
}

/* The client gives up on its operation; a new one takes its place. */
static void
abandon(struct generator *g, struct made_client *client)
{
	*client = (struct made_client){.id = g->clients_made++, .last = SIZE_MAX};
}

static void
make_scan(struct generator *g)
{
	struct history_op op = {.kind = HISTORY_SCAN, .status = HISTORY_OK};
	op.key = (uint32_t)random_below(g, g->options->keys);
	op.limit = 1 + (uint32_t)random_below(g, 20);
	for (uint32_t k = op.key; k < g->options->keys && op.seen.size < op.limit; k++) {
		char name[32];
		int size = snprintf(name, sizeof(name), "key%010" PRIu32, k);
		if (g->values[k].size != UINT64_MAX)
			op.seen = history_scan_added(
			    op.seen, history_value_of(name, (size_t)size), g->values[k]);
	}
	struct made_client *client = schedule(g, &op, false);
	op.seq = ++g->seq;
	record(g, &op, client);
}

static enum history_kind
random_kind(struct generator *g)
{
	uint64_t draw = random_below(g, 100);
	if (draw < 50)
		return HISTORY_GET;
	if (draw < 75)
		return HISTORY_PUT;
	if (draw < 85)
		return HISTORY_CAS;
	return draw < 95 ? HISTORY_APPEND : HISTORY_DELETE;
}

static void
make_op(struct generator *g)
{
	if (random_below(g, PERCENT_MAX) < g->options->scans) {
		make_scan(g);
		return;
	}
	struct history_op op = {.kind = (uint8_t)random_kind(g)};
	op.key = (uint32_t)random_below(g, g->options->keys);
	struct history_value *value = &g->values[op.key];
	if (op.kind == HISTORY_PUT || op.kind == HISTORY_CAS || op.kind == HISTORY_APPEND)
		op.written = random_value(g);
	bool expects = op.kind == HISTORY_CAS && random_below(g, 4) > 0;
	if (op.kind == HISTORY_CAS)
		op.seen = expects && value->size <= UINT32_MAX ? *value : random_value(g);
	struct made_client *client = schedule(g, &op, false);
	bool pending = random_below(g, PERCENT_MAX) < g->options->pending;
	bool happens = !pending || random_below(g, 2) == 0;
	if (op.kind == HISTORY_GET && value->size != UINT64_MAX && !pending)
		op.seen = *value;
	if (happens) {
		op.status = (uint8_t)history_execute(&op, value);
		op.seq = ++g->seq;
	}
	if (pending) {
		op.status = HISTORY_UNKNOWN;
		op.response_ns = HISTORY_PENDING;
	}
	record(g, &op, client);
	if (pending)
		abandon(g, client);
}

/* ---- Planting a violation ----------------------------------------------- */

/* Records an operation alone in time that was told `op->status`, true or not. */
static void
tell(struct generator *g, struct history_op op, uint64_t seq)
{
	struct made_client *client = schedule(g, &op, true);
	op.seq = seq;
	record(g, &op, client);
}

static struct history_op
op_of(enum history_kind kind, uint32_t key, struct history_value value)
{
	struct history_op op = {.kind = (uint8_t)kind, .key = key, .status = HISTORY_OK};
	if (kind == HISTORY_GET)
		op.seen = value;
	else
		op.written = value;
	return op;
}

/* A put a second time under the number of the client's first. */
static void
plant_duplicate(struct generator *g, uint32_t key, struct history_value value)
{
	struct history_op op = op_of(HISTORY_PUT, key, value);
	struct made_client *client = schedule(g, &op, true);
	op.seq = ++g->seq;
	record(g, &op, client);
	uint64_t request = op.request;
	uint32_t id = op.client;
	g->step_ns += STEP_NS;
	op.invoke_ns += STEP_NS;
	op.response_ns += STEP_NS;
	op.request = request;
	op.client = id;
	op.seq = ++g->seq;
	record(g, &op, client);
	g->values[key] = value;
}

/*
 * A short story on one key, of operations that do not overlap. No order of
 * them and of all the others explains it, as a, b and c occur nowhere else.
 */
static void
plant(struct generator *g, enum violation violation)
{
	uint32_t key = (uint32_t)random_below(g, g->options->keys);
	struct history_value a = fresh_value(g);
	struct history_value b = fresh_value(g);
	struct history_value c = fresh_value(g);
	struct history_value ab = history_value_joined(a, b);
	uint64_t seq = g->seq;
	struct history_op cas = op_of(HISTORY_CAS, key, b);
	struct history_op scan = {
	    .kind = HISTORY_SCAN, .key = key, .status = HISTORY_OK, .limit = 1, .seen = c};
	scan.seen.size = 1;
	cas.seen = c;
	g->values[key] = a;
	if (violation == VIOLATION_FUTURE_READ) {
		tell(g, op_of(HISTORY_GET, key, a), seq + 1);
		tell(g, op_of(HISTORY_PUT, key, a), seq + 2);
	} else if (violation == VIOLATION_DUPLICATE) {
		plant_duplicate(g, key, a);
		return;
	} else {
		bool reorder = violation == VIOLATION_REORDER;
		tell(g, op_of(HISTORY_PUT, key, a), reorder ? seq + 2 : seq + 1);
	}
	switch (violation) {
	case VIOLATION_STALE_READ:
		tell(g, op_of(HISTORY_PUT, key, b), seq + 2);
		tell(g, op_of(HISTORY_GET, key, a), seq + 3);
		break;
	case VIOLATION_REORDER:
		tell(g, op_of(HISTORY_PUT, key, b), seq + 1);
		tell(g, op_of(HISTORY_GET, key, a), seq + 3);
		break;
	case VIOLATION_LOST_UPDATE:
		g->values[key] = history_value_joined(a, c);
		tell(g, op_of(HISTORY_APPEND, key, b), seq + 2);
		tell(g, op_of(HISTORY_APPEND, key, c), seq + 3);
		tell(g, op_of(HISTORY_GET, key, g->values[key]), seq + 4);
		break;
	case VIOLATION_DOUBLE_APPLY:
		g->values[key] = history_value_joined(ab, b);
		tell(g, op_of(HISTORY_APPEND, key, b), seq + 2);
		tell(g, op_of(HISTORY_GET, key, g->values[key]), seq + 3);
		break;
	case VIOLATION_WRONG_CAS:
		g->values[key] = b;
		tell(g, cas, seq + 2);
		break;
	case VIOLATION_WRONG_SCAN:
		tell(g, scan, seq + 2);
		break;
	default:
		break;
	}
	g->seq = seq + 4;
}

static int
generate(struct history *h, const struct options *options)
{
	struct generator g = {.options = options, .history = h, .random = options->seed};
	g.clients = calloc(options->clients, sizeof(*g.clients));
	g.values = calloc(options->keys, sizeof(*g.values));
	if (g.clients == NULL || g.values == NULL)
		g.error = -ENOMEM;
	for (uint64_t i = 0; g.error == 0 && i < options->clients; i++)
		abandon(&g, &g.clients[i]);
	for (uint64_t i = 0; g.error == 0 && i < options->keys; i++)
		g.values[i] = HISTORY_ABSENT;
	for (uint64_t i = 0; g.error == 0 && i < options->generate; i++) {
		if (i == options->generate / 2 && options->violation != VIOLATION_NONE)
			plant(&g, options->violation);
		make_op(&g);
	}
	free(g.clients);
	free(g.values);
	return g.error;
}

/* ---- Options ------------------------------------------------------------ */

enum option_value {
	OPTION_CHECK = 256,
	OPTION_CACHE,
	OPTION_STEPS,
	OPTION_GENERATE,
	OPTION_OUTPUT,
	OPTION_SEED,
	OPTION_KEYS,
	OPTION_CLIENTS,
	OPTION_VALUES,
	OPTION_PENDING,
	OPTION_SCANS,
	OPTION_NO_SEQ,
	OPTION_VIOLATE,
};

/* Where an option with a number is stored, and what is allowed. */
struct number_option {
	enum option_value option;
	const char *name;
	uint64_t *number;
	uint64_t min;
	uint64_t max;
};

static bool
number_parse(const struct number_option *option, const char *text)
{
	char *end = NULL;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
	if (digits && number >= option->min && number <= option->max) {
		*option->number = number;
		return true;
	}
	fprintf(stderr,
	    "oskr-linear: --%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'\n",
	    option->name, option->min, option->max, text);
	return false;
}

static bool
check_parse(struct options *options, const char *text)
{
	bool both = strcmp(text, "both") == 0;
	options->search = both || strcmp(text, "search") == 0;
	options->witness = both || strcmp(text, "witness") == 0;
	if (!options->search && !options->witness)
		fprintf(stderr, "oskr-linear: --check takes search, witness or both\n");
	return options->search || options->witness;
}

static bool
violation_parse(struct options *options, const char *text)
{
	for (int i = 1; i < VIOLATIONS_COUNT; i++) {
		if (strcmp(text, violation_names[i]) == 0) {
			options->violation = (enum violation)i;
			return true;
		}
	}
	fprintf(stderr, "oskr-linear: unknown violation '%s'; see --help\n", text);
	return false;
}

static bool
option_parse(struct options *options, uint64_t *cache_mib, int option)
{
	const struct number_option numbers[] = {
	    {OPTION_CACHE, "cache", cache_mib, 1, UINT64_C(1) << 24},
	    {OPTION_STEPS, "steps", &options->limits.steps_max, 1, UINT64_MAX},
	    {OPTION_GENERATE, "generate", &options->generate, 1, HISTORY_OPS_MAX - 8},
	    {OPTION_SEED, "seed", &options->seed, 0, UINT64_MAX},
	    {OPTION_KEYS, "keys", &options->keys, 1, GENERATE_KEYS_MAX},
	    {OPTION_CLIENTS, "clients", &options->clients, 1, GENERATE_CLIENTS_MAX},
	    {OPTION_VALUES, "values", &options->values, 0, UINT32_MAX},
	    {OPTION_PENDING, "pending", &options->pending, 0, PERCENT_MAX},
	    {OPTION_SCANS, "scans", &options->scans, 0, PERCENT_MAX},
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if ((int)numbers[i].option == option)
			return number_parse(&numbers[i], optarg);
	}
	switch (option) {
	case OPTION_CHECK:
		return check_parse(options, optarg);
	case OPTION_OUTPUT:
		options->output = optarg;
		return true;
	case OPTION_NO_SEQ:
		options->no_seq = true;
		return true;
	case OPTION_VIOLATE:
		return violation_parse(options, optarg);
	default:
		fprintf(stderr, "oskr-linear: see --help\n");
		return false;
	}
}

/* Whether what was given goes together. */
static bool
options_agree(const struct options *options, int files_count)
{
	const char *problem = NULL;
	if (options->generate == 0 && files_count == 0)
		problem = "give the files of a history, or --generate";
	else if (options->generate != 0 && files_count != 0)
		problem = "--generate takes no files to judge";
	else if (options->generate == 0 && options->output != NULL)
		problem = "--output goes with --generate";
	else if (options->generate == 0 && options->violation != VIOLATION_NONE)
		problem = "--violate goes with --generate";
	if (problem != NULL)
		fprintf(stderr, "oskr-linear: %s; see --help\n", problem);
	return problem == NULL;
}

/* Returns -1 to go on, or the exit status. */
static int
options_parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
	    {"check", required_argument, NULL, OPTION_CHECK},
	    {"cache", required_argument, NULL, OPTION_CACHE},
	    {"steps", required_argument, NULL, OPTION_STEPS},
	    {"generate", required_argument, NULL, OPTION_GENERATE},
	    {"output", required_argument, NULL, OPTION_OUTPUT},
	    {"seed", required_argument, NULL, OPTION_SEED},
	    {"keys", required_argument, NULL, OPTION_KEYS},
	    {"clients", required_argument, NULL, OPTION_CLIENTS},
	    {"values", required_argument, NULL, OPTION_VALUES},
	    {"pending", required_argument, NULL, OPTION_PENDING},
	    {"scans", required_argument, NULL, OPTION_SCANS},
	    {"no-seq", no_argument, NULL, OPTION_NO_SEQ},
	    {"violate", required_argument, NULL, OPTION_VIOLATE},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	*options = (struct options){.seed = 1,
	    .keys = 10000,
	    .clients = 64,
	    .search = true,
	    .witness = true,
	    .limits = LINEAR_LIMITS_DEFAULT};
	uint64_t cache_mib = options->limits.cache_bytes_max >> 20;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
		if (c == 'h') {
			fputs(usage, stdout);
			return EXIT_LINEARIZABLE;
		}
		if (!option_parse(options, &cache_mib, c))
			return EXIT_BAD_INPUT;
	}
	options->limits.cache_bytes_max = cache_mib << 20;
	return options_agree(options, argc - optind) ? -1 : EXIT_BAD_INPUT;
}
