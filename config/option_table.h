/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table behind options.h: a row for each option, shared by the parser and
 * by the help, so that neither can say what the other does not do. Constant;
 * private to config/.
 */
#ifndef OSKR_CONFIG_OPTION_TABLE_H
#define OSKR_CONFIG_OPTION_TABLE_H

#include "config/options.h"

enum option_group {
	GROUP_PROTOCOL,
	GROUP_AUTH,
	GROUP_LOAD,
	GROUP_WORKLOAD,
	GROUP_MACHINE,
	GROUP_FAULTS,
	GROUP_OUTPUT,
	GROUP_INFORMATION,
	GROUP_COUNT,
};

/* A word that an option takes, and the enum's value it stands for. */
struct option_choice {
	const char *name; /* NULL ends a list */
	unsigned int value;
};

struct option_row {
	const char *name;     /* long name without dashes */
	const char *argument; /* NULL: a flag */
	const char *initial;  /* the default, read as if it were written; NULL: zero */
	const char *shown;    /* what the help says for the default, else `initial` */
	const char *help;
	const char *valid; /* the values in words, where they do not follow from the row */
	/* Reads `text` (NULL for a flag) into the options. 0, or -1 when it is no such value. */
	int (*parse)(const struct option_row *row, const char *text, struct options *options);
	const struct option_choice *choices;
	uint64_t min; /* in the field's units, as max */
	uint64_t max;
	uint64_t scale;	 /* field units in one unit of the command line; 0: whole numbers */
	uint32_t offset; /* of the field in struct options */
	uint32_t programs;
	enum option_group group;
	char letter; /* 0: none */
};

/* Indexed by enum option_id. */
extern const struct option_row option_table[OPTION_COUNT];

enum { OPTION_VALUES_SIZE = 192 };

/* Writes what the row accepts, in words: "a whole number 1..64", "one of a, b". */
void option_row_values(const struct option_row *row, char text[OPTION_VALUES_SIZE]);

#endif
