/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the command line by the table, with getopt_long. Every failure is one
 * line that names the program, the option, the value and what it may be.
 * Start only, main lcore.
 */
#include "config/options.h"

#include "config/option_table.h"
#include "engine/check.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

/* getopt_long's value for a row: above every letter. */
enum { LONG_VALUE = 256 };

enum { VALUE_SHOWN = 96 /* bytes of a wrong value in a message */ };

struct getopt_table {
	struct option longs[OPTION_COUNT + 1];
	char letters[2 * OPTION_COUNT + 2];
};

static bool
row_is_for(const struct option_row *row, const struct options_program *program)
{
	return (row->programs & program->program) != 0;
}

/* The rows that this program takes, in getopt's form; ':' first keeps it silent. */
static void
build_getopt_table(struct getopt_table *table, const struct options_program *program)
{
	size_t longs_count = 0;
	size_t letters_count = 0;
	memset(table, 0, sizeof(*table));
	table->letters[letters_count++] = ':';
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_table[i];
		if (!row_is_for(row, program))
			continue;
		int has_argument = row->argument != NULL ? required_argument : no_argument;
		table->longs[longs_count++] =
		    (struct option){row->name, has_argument, NULL, LONG_VALUE + i};
		if (row->letter != 0)
			table->letters[letters_count++] = row->letter;
		if (row->letter != 0 && row->argument != NULL)
			table->letters[letters_count++] = ':';
	}
}

/* The row of getopt's value, be it a letter or long; NULL if there is none. */
static const struct option_row *
find_row(int value)
{
	if (value >= LONG_VALUE && value < LONG_VALUE + OPTION_COUNT)
		return &option_table[value - LONG_VALUE];
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (value != 0 && option_table[i].letter == value)
			return &option_table[i];
	}
	return NULL;
}

static void
set_defaults(struct options *options)
{
	memset(options, 0, sizeof(*options));
	options->workload_request_size = -1;
	options->workload_reply_size = -1;
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_table[i];
		if (row->initial != NULL)
			check(row->parse(row, row->initial, options) == 0);
	}
}

/* A letter that getopt left in optopt, or a long option in `word`: none, or several. */
static int
fail_unknown(const struct options_program *program, const char *word, struct config_error *error)
{
	if (optopt != 0) {
		config_error_set(
		    error, 0, "%s: unknown option '-%c'; try --help", program->name, optopt);
		return -EINVAL;
	}
	check(strncmp(word, "--", 2) == 0);
	size_t size = strcspn(word + 2, "=");
	const struct option_row *first = NULL;
	const struct option_row *second = NULL;
	for (int i = 0; i < OPTION_COUNT && second == NULL; i++) {
		const struct option_row *row = &option_table[i];
		if (!row_is_for(row, program) || strncmp(row->name, word + 2, size) != 0)
			continue;
		if (first == NULL)
			first = row;
		else
			second = row;
	}
	if (second != NULL) {
		config_error_set(error, 0,
		    "%s: option '%.*s' is ambiguous: --%s or --%s?; try --help", program->name,
		    VALUE_SHOWN, word, first->name, second->name);
	} else {
		config_error_set(error, 0, "%s: unknown option '%.*s'; try --help", program->name,
		    VALUE_SHOWN, word);
	}
	return -EINVAL;
}

static int
fail_value(const struct options_program *program, const struct option_row *row, const char *text,
    struct config_error *error)
{
	char values[OPTION_VALUES_SIZE];
	option_row_values(row, values);
	if (text == NULL) {
		config_error_set(error, 0, "%s: --%s needs a value: give %s; try --help",
		    program->name, row->name, values);
	} else {
		config_error_set(error, 0, "%s: bad value '%.*s' for --%s: give %s; try --help",
		    program->name, VALUE_SHOWN, text, row->name, values);
	}
	return -EINVAL;
}

/* What getopt_long could not take: '?' or ':'. A long option stood in `word`. */
static int
fail_getopt(
    const struct options_program *program, int value, const char *word, struct config_error *error)
{
	const struct option_row *row = find_row(optopt);
	if (value == ':') {
		check(row != NULL);
		return fail_value(program, row, NULL, error);
	}
	if (optopt >= LONG_VALUE && row != NULL) {
		config_error_set(error, 0, "%s: --%s takes no value: write --%s alone; try --help",
		    program->name, row->name, row->name);
		return -EINVAL;
	}
	return fail_unknown(program, word, error);
}

/* Takes one option. Returns what to do next, or -EINVAL. */
static int
take(struct options *options, const struct options_program *program, const struct option_row *row,
    struct config_error *error)
{
	const char *text = row->argument != NULL ? optarg : NULL;
	if (row->parse(row, text, options) != 0)
		return fail_value(program, row, text, error);
	enum option_id option = (enum option_id)(row - option_table);
	options->given |= UINT64_C(1) << option;
	switch (option) {
	case OPTION_HELP:
		return OPTIONS_HELP;
	case OPTION_MODES:
		return OPTIONS_MODES;
	case OPTION_VERSION:
		return OPTIONS_VERSION;
	default:
		return OPTIONS_RUN;
	}
}

int
options_parse(struct options *options, const struct options_program *program, int argc, char **argv,
    struct config_error *error)
{
	check(program->modes_count > 0);
	check(argc >= 1);
	struct getopt_table table;
	build_getopt_table(&table, program);
	set_defaults(options);
	config_error_clear(error);
	optind = 0; /* glibc: start anew, also after an earlier parse */
	opterr = 0;
	for (;;) {
		int value = getopt_long(argc, argv, table.letters, table.longs, NULL);
		if (value == -1)
			break;
		const struct option_row *row =
		    value == '?' || value == ':' ? NULL : find_row(value);
		if (row == NULL)
			return fail_getopt(program, value, argv[optind - 1], error);
		int result = take(options, program, row, error);
		if (result != OPTIONS_RUN)
			return result;
	}
	if (optind < argc) {
		config_error_set(error, 0,
		    "%s: unexpected argument '%.*s': options begin with a dash; try --help",
		    program->name, VALUE_SHOWN, argv[optind]);
		return -EINVAL;
	}
	if (options->log_levels_count == 0)
		options->log_levels[options->log_levels_count++] = "oskr:notice";
	return OPTIONS_RUN;
}
