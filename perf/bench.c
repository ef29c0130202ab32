/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf/bench: what this machine can do at most, piece by piece, to hold the
 * real thing against. One JSON object a line on stdout. Main lcore.
 */
#include "perf/bench.h"

#include <errno.h>
#include <math.h>
#include <rte_cycles.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lcore/signals.h"

enum {
	REPEATS_DEFAULT = 5,
	CORES_WANTED = 2,
	MEMORY_MIB = 64,
};

static const double seconds_default = 1.0;
static const double seconds_max = 3600.0;

static const struct bench {
	const char *name;
	const char *help;
	int (*run)(const struct bench_settings *s);
} benches[] = {
    {"machine", "what machine this is", bench_machine},
    {"ring-echo", "request and reply over two bare rings between two lcores", bench_ring_echo},
    {"sign", "ECDSA signatures on one lcore", bench_sign},
    {"verify", "verified ECDSA signatures on one lcore", bench_verify},
    {"crypto", "SHA-256, AES-CMAC and HMAC-SHA-256 of 64 bytes in bursts", bench_crypto},
};

enum { BENCHES_COUNT = sizeof(benches) / sizeof(benches[0]) };

struct arguments {
	const char *bench; /* NULL: all */
	const char *json;  /* NULL: no file */
	bool help;
	struct bench_settings settings;
};

static FILE *json_file; /* of --json, or NULL */
static bool first_entry;

static void
usage(FILE *out)
{
	fprintf(out,
	    "usage: bench [EAL arguments --] BENCH [options]\n\n"
	    "Measures what this machine can do at most; one JSON object a line. Medians.\n\n");
	for (uint32_t i = 0; i < BENCHES_COUNT; i++)
		fprintf(out, "  %-12s %s\n", benches[i].name, benches[i].help);
	fprintf(out,
	    "  %-12s every one of these\n\n"
	    "  --window W     ring-echo: messages under way, 1..%u (1, 16, 64 and 512)\n"
	    "  --seconds S    measured for each result, over all repeats (%.0f)\n"
	    "  --repeats N    repeats, an odd number up to %u (%u)\n"
	    "  --beside       sign, verify: the other lcores do the same meanwhile, uncounted\n"
	    "  --json [FILE]  write the objects to FILE, too\n"
	    "  -h, --help     this\n\n"
	    "EAL arguments are DPDK's own, such as --in-memory --no-pci -l 0-1; chosen when none\n"
	    "are given. Exit status: 0; 1 a bench failed; 2 wrong arguments, DPDK did not start.\n",
	    "all", BENCH_WINDOW_MAX, seconds_default, BENCH_REPEATS_MAX, REPEATS_DEFAULT);
}

uint64_t
bench_repeat_ns(const struct bench_settings *s)
{
	return (uint64_t)(s->seconds * CLOCK_NS_PER_S / s->repeats);
}

static int
doubles_compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

double
bench_median(double *values, uint32_t count)
{
	check(count % 2 == 1);
	qsort(values, count, sizeof(values[0]), doubles_compare);
	return values[count / 2];
}

double
bench_ns_per_op(const struct bench_settings *s, uint32_t (*round)(void *self), void *self)
{
	double values[BENCH_REPEATS_MAX];
	round(self); /* warms up */
	for (uint32_t i = 0; i < s->repeats; i++) {
		uint64_t count = 0;
		uint64_t start_ns = clock_ns(&s->clock, rte_rdtsc());
		uint64_t end_ns = start_ns + bench_repeat_ns(s);
		uint64_t now_ns;
		do {
			count += round(self);
			now_ns = clock_ns(&s->clock, rte_rdtsc());
		} while (now_ns < end_ns && signals_received() == 0);
		values[i] = (double)(now_ns - start_ns) / (double)count;
	}
	return bench_median(values, s->repeats);
}

__attribute__((format(printf, 1, 2))) static void
output(const char *format, ...)
{
	FILE *files[] = {stdout, json_file};
	for (uint32_t i = 0; i < 2 && files[i] != NULL; i++) {
		va_list arguments;
		va_start(arguments, format);
		vfprintf(files[i], format, arguments);
		va_end(arguments);
	}
}

/* The name, and a comma where one is due. */
static void
entry(const char *name)
{
	output("%s\"%s\":", first_entry ? "" : ",", name);
	first_entry = false;
}

void
bench_begin(const char *name)
{
	first_entry = true;
	output("{");
	bench_text("bench", name);
}

void
bench_text(const char *name, const char *value)
{
	check(strpbrk(value, "\"\\") == NULL);
	entry(name);
	output("\"%s\"", value);
}

void
bench_integer(const char *name, uint64_t value)
{
	entry(name);
	output("%llu", (unsigned long long)value);
}

void
bench_decimal(const char *name, double value)
{
	check(isfinite(value));
	entry(name);
	output("%.2f", value);
}

void
bench_rate(double ns_per_op)
{
	bench_integer("ops_per_s", (uint64_t)(CLOCK_NS_PER_S / ns_per_op));
	bench_decimal("ns_per_op", ns_per_op);
}

void
bench_end(void)
{
	output("}\n");
	fflush(stdout);
}

static bool
integer_parse(const char *text, uint32_t max, uint32_t *value)
{
	char *end;
	errno = 0;
	unsigned long parsed = text == NULL ? 0 : strtoul(text, &end, 10);
	if (text == NULL || *text < '0' || *text > '9' || *end != '\0' || errno != 0)
		return false;
	*value = (uint32_t)parsed;
	return parsed >= 1 && parsed <= max;
}

static bool
seconds_parse(const char *text, double *value)
{
	char *end;
	if (text == NULL)
		return false;
	*value = strtod(text, &end);
	return end != text && *end == '\0' && *value >= 0.001 && *value <= seconds_max;
}

static bool
wrong(const char *what, const char *valid)
{
	fprintf(stderr, "bench: %s: %s; -h explains\n", what, valid);
	return false;
}

static bool
bench_named(struct arguments *a, const char *name)
{
	bool known = strcmp(name, "all") == 0;
	for (uint32_t i = 0; i < BENCHES_COUNT; i++)
		known |= strcmp(name, benches[i].name) == 0;
	if (!known)
		return wrong(name, "no such bench or option");
	if (a->bench != NULL)
		return wrong(name, "one bench at a time, or all");
	a->bench = name;
	return true;
}

/* One option and its value; *i moves on to the last that belongs to it. */
static bool
option_parse(struct arguments *a, char **argv, int *i)
{
	const char *option = argv[*i];
	const char *value = argv[*i + 1];
	if (strcmp(option, "-h") == 0 || strcmp(option, "--help") == 0) {
		a->help = true;
		return true;
	}
	if (strcmp(option, "--json") == 0) {
		if (value != NULL && value[0] != '-') {
			a->json = value;
			*i += 1;
		}
		return true;
	}
	if (strcmp(option, "--beside") == 0)
		return a->settings.beside = true;
	*i += value != NULL;
	if (strcmp(option, "--window") == 0)
		return integer_parse(value, BENCH_WINDOW_MAX, &a->settings.window) ||
		       wrong(option, "takes a number from 1 to 1024");
	if (strcmp(option, "--seconds") == 0)
		return seconds_parse(value, &a->settings.seconds) ||
		       wrong(option, "takes seconds from 0.001 to 3600");
	if (strcmp(option, "--repeats") == 0)
		return (integer_parse(value, BENCH_REPEATS_MAX, &a->settings.repeats) &&
			   a->settings.repeats % 2 == 1) ||
		       wrong(option, "takes an odd number from 1 to 99");
	return wrong(option, "no such option");
}

static bool
arguments_parse(struct arguments *a, int argc, char **argv)
{
	*a = (struct arguments){
	    .settings = {.repeats = REPEATS_DEFAULT, .seconds = seconds_default},
	};
	for (int i = 1; i < argc; i++) {
		bool good = argv[i][0] == '-' ? option_parse(a, argv, &i) : bench_named(a, argv[i]);
		if (!good)
			return false;
	}
	if (a->bench == NULL && !a->help)
		return wrong("which bench?", "machine, ring-echo, sign, verify, crypto or all");
	return true;
}

/* DPDK and the clock; what was chosen goes to stderr, out of the results' way. */
static bool
start(struct launch_plan *plan, struct bench_settings *s)
{
	static struct launch_machine machine;
	const struct launch_request request = {
	    .cores_wanted = CORES_WANTED,
	    .memory_mib = MEMORY_MIB,
	};
	launch_look(&machine);
	if (launch_choose(plan, &machine, &request) != 0) {
		fprintf(stderr, "bench: too many arguments for DPDK\n");
		return false;
	}
	fprintf(stderr, "eal: %s\n", plan->line);
	if (plan->note[0] != '\0')
		fprintf(stderr, "note: %s\n", plan->note);
	if (launch_eal(plan) != 0)
		return false;
	if (launch_lcores(&s->lcores) != 0) {
		fprintf(stderr, "bench: at most %u lcores: fewer with -l\n", LIMIT_LCORES);
		return false;
	}
	clock_start(&s->clock);
	return true;
}

static int
run(const struct arguments *a)
{
	bool all = strcmp(a->bench, "all") == 0;
	int status = EXIT_SUCCESS;
	for (uint32_t i = 0; i < BENCHES_COUNT && signals_received() == 0; i++) {
		if (!all && strcmp(a->bench, benches[i].name) != 0)
			continue;
		if (benches[i].run(&a->settings) != 0)
			status = EXIT_FAILURE;
	}
	return signals_received() == 0 ? status : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static struct launch_plan plan;
	struct arguments a;
	if (launch_split(&plan, argc, argv) != 0) {
		wrong("too many arguments before \"--\"", "128 at most");
		return LAUNCH_EXIT_STATUS;
	}
	if (!arguments_parse(&a, plan.argc, plan.argv))
		return LAUNCH_EXIT_STATUS;
	if (a.help) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (a.json != NULL && (json_file = fopen(a.json, "we")) == NULL) {
		fprintf(stderr, "bench: %s: %s\n", a.json, strerror(errno));
		return LAUNCH_EXIT_STATUS;
	}
	if (!start(&plan, &a.settings) || signals_open(NULL) != 0)
		return LAUNCH_EXIT_STATUS;
	int status = run(&a);
	if (json_file != NULL && fclose(json_file) != 0) {
		fprintf(stderr, "bench: %s: %s\n", a.json, strerror(errno));
		status = EXIT_FAILURE;
	}
	launch_end();
	return status;
}
