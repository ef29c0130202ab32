/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says about itself: --help, --modes, --version. Start only, main lcore. */
#include "config/option_table.h"
#include "config/options.h"
#include "engine/check.h"

#include <string.h>

enum {
	TEXT_COLUMN = 30, /* where descriptions start */
	LINE_COLUMNS = 96,
};

static const char *const group_titles[GROUP_COUNT] = {
    [GROUP_PROTOCOL] = "Protocol",
    [GROUP_AUTH] = "Authentication",
    [GROUP_LOAD] = "Clients and load",
    [GROUP_WORKLOAD] = "Application and workload",
    [GROUP_MACHINE] = "Machine and network",
    [GROUP_FAULTS] = "Faults made on purpose",
    [GROUP_OUTPUT] = "Output",
    [GROUP_INFORMATION] = "Information",
};

/* Writes words, wrapped, each line after the first indented to TEXT_COLUMN. */
static void
print_wrapped(FILE *file, const char *text)
{
	size_t column = TEXT_COLUMN;
	while (*text != '\0') {
		size_t size = strcspn(text, " ");
		if (column > TEXT_COLUMN && column + 1 + size > LINE_COLUMNS) {
			fprintf(file, "\n%*s", TEXT_COLUMN, "");
			column = TEXT_COLUMN;
		} else if (column > TEXT_COLUMN) {
			fputc(' ', file);
			column++;
		}
		fprintf(file, "%.*s", (int)size, text);
		column += size;
		text += size + (text[size] == ' ');
	}
	fputc('\n', file);
}

/* "  -b, --batch N", filled up to TEXT_COLUMN, on a line of its own if too long. */
static void
print_option(FILE *file, const struct option_row *row)
{
	int column =
	    row->letter != 0 ? fprintf(file, "  -%c, ", row->letter) : fprintf(file, "%6s", "");
	column += fprintf(file, "--%s", row->name);
	if (row->argument != NULL)
		column += fprintf(file, " %s", row->argument);
	if (column + 2 > TEXT_COLUMN) {
		fputc('\n', file);
		column = 0;
	}
	fprintf(file, "%*s", TEXT_COLUMN - column, "");
}

static void
print_row(FILE *file, const struct option_row *row)
{
	char text[512];
	char values[OPTION_VALUES_SIZE] = "";
	const char *initial = row->shown != NULL ? row->shown : row->initial;
	print_option(file, row);
	if (row->argument != NULL)
		option_row_values(row, values);
	if (initial == NULL)
		initial = "";
	bool has_both = values[0] != '\0' && initial[0] != '\0';
	bool has_any = values[0] != '\0' || initial[0] != '\0';
	int size = snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", row->help, has_any ? " (" : "",
	    values, has_both ? "; " : "", initial[0] != '\0' ? "default " : "", initial,
	    has_any ? ")" : "");
	check(size > 0 && size < (int)sizeof(text));
	print_wrapped(file, text);
}

void
options_print_help(FILE *file, const struct options_program *program)
{
	bool has_eal = program->program != PROGRAM_SIM;
	fprintf(file, "Usage: %s %s-m MODE [options]\n%s\n", program->name,
	    has_eal ? "[EAL arguments --] " : "", program->summary);
	fprintf(file, "Modes:");
	for (uint32_t i = 0; i < program->modes_count; i++)
		fprintf(file, " %s", program->modes[i].name);
	fputc('\n', file);
	int group = -1;
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_table[i];
		if ((row->programs & program->program) == 0)
			continue;
		if (group != (int)row->group) {
			group = (int)row->group;
			fprintf(file, "\n%s:\n", group_titles[group]);
		}
		print_row(file, row);
	}
}

void
options_print_modes(FILE *file, const struct options_program *program)
{
	for (uint32_t i = 0; i < program->modes_count; i++)
		fprintf(file, "%s\n", program->modes[i].name);
}

void
options_print_version(FILE *file, const struct options_program *program)
{
	fprintf(file, "%s %s\n", program->name, program->version);
}
