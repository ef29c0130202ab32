/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See telemetry.h. An answer is made by asking the source for all of its rows
 * and keeping those of the part that was asked for, so nothing is stored. Only
 * DPDK's telemetry threads come here, one for each connected client: the lock
 * keeps them apart and lets telemetry_close() wait for them.
 */
#include "lcore/telemetry.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <rte_telemetry.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

enum {
	/* rte_telemetry's bound is 256 entries in a dictionary; one is "next". */
	PART_ROWS_MAX = 240,
	/* Its bound is 16 KiB of JSON in an answer; the rest is for braces and "next". */
	PART_SIZE_MAX = 15 * 1024,
	NUMBER_DIGITS_MAX = 20,
	ROW_PUNCTUATION_SIZE = 6, /* quotes of both, colon, comma */
};

struct telemetry_rows {
	struct rte_tel_data *data;
	uint32_t first; /* index of the first row of this part */
	uint32_t index; /* of the next row that the source adds */
	uint32_t rows;	/* in this part */
	uint32_t size;	/* bytes of JSON in this part, at most */
	bool full;	/* all further rows are for the next part, which starts at `next` */
	uint32_t next;
};

static const struct {
	const char *path;
	const char *help;
} commands[TELEMETRY_COMMANDS_COUNT] = {
    [TELEMETRY_INFO] = {"/oskr/info", "What runs in this process. Parameter: first entry"},
    [TELEMETRY_STATS] = {"/oskr/stats", "Counters. Parameter: first entry"},
    [TELEMETRY_VIEW] = {"/oskr/view", "The view of each replica. Parameter: first entry"},
    [TELEMETRY_LATENCY] = {"/oskr/latency", "Clients' latency. Parameter: first entry"},
    [TELEMETRY_SHARDS] = {"/oskr/shards", "What each lcore's nodes do. Parameter: first entry"},
    [TELEMETRY_PEERS] = {"/oskr/peers", "What nodes hear of replicas. Parameter: first entry"},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct telemetry_source source; /* no callbacks while closed */

/* Whether the row that comes now, of value_size bytes at most, is in this part. */
static bool
row_take(struct telemetry_rows *rows, uint32_t value_size)
{
	uint32_t index = rows->index++;
	uint32_t size = TELEMETRY_NAME_SIZE + value_size + ROW_PUNCTUATION_SIZE;
	if (index < rows->first || rows->full)
		return false;
	if (rows->rows == PART_ROWS_MAX || rows->size + size > PART_SIZE_MAX) {
		rows->full = true;
		rows->next = index;
		return false;
	}
	rows->rows++;
	rows->size += size;
	return true;
}

/* What rte_telemetry takes as a name. */
static void
name_write(char *name, const char *format, va_list arguments)
{
	int size = vsnprintf(name, TELEMETRY_NAME_SIZE, format, arguments);
	if (size <= 0)
		snprintf(name, TELEMETRY_NAME_SIZE, "unnamed");
	for (char *c = name; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '/')
			*c = '_';
	}
}

void
telemetry_number(struct telemetry_rows *rows, uint64_t value, const char *name, ...)
{
	char written[TELEMETRY_NAME_SIZE];
	va_list arguments;
	if (!row_take(rows, NUMBER_DIGITS_MAX))
		return;
	va_start(arguments, name);
	name_write(written, name, arguments);
	va_end(arguments);
	int result = rte_tel_data_add_dict_u64(rows->data, written, value);
	check(result == 0);
}

void
telemetry_text(struct telemetry_rows *rows, const char *value, const char *name, ...)
{
	char written[TELEMETRY_NAME_SIZE];
	char text[TELEMETRY_TEXT_SIZE];
	va_list arguments;
	if (!row_take(rows, TELEMETRY_TEXT_SIZE))
		return;
	va_start(arguments, name);
	name_write(written, name, arguments);
	va_end(arguments);
	snprintf(text, sizeof(text), "%s", value);
	/* What JSON would escape: the answer's size stays known. */
	for (char *c = text; *c != '\0'; c++) {
		if (!isascii(*c) || !isprint(*c) || *c == '"' || *c == '\\')
			*c = '?';
	}
	int result = rte_tel_data_add_dict_string(rows->data, written, text);
	check(result == 0);
}

/* A row's index, from the client: input. */
static int
first_parse(const char *parameters, uint32_t *first)
{
	*first = 0;
	if (parameters == NULL || *parameters == '\0')
		return 0;
	char *end;
	if (!isdigit((unsigned char)*parameters))
		return -EINVAL;
	errno = 0;
	unsigned long value = strtoul(parameters, &end, 10);
	if (errno != 0 || *end != '\0' || value > UINT32_MAX)
		return -EINVAL;
	*first = (uint32_t)value;
	return 0;
}

static int
answer(const char *command, const char *parameters, struct rte_tel_data *data)
{
	struct telemetry_rows rows = {.data = data};
	uint32_t which = 0;
	while (which < TELEMETRY_COMMANDS_COUNT && strcmp(command, commands[which].path) != 0)
		which++;
	if (which == TELEMETRY_COMMANDS_COUNT || first_parse(parameters, &rows.first) != 0)
		return -EINVAL;
	rte_tel_data_start_dict(data);
	pthread_mutex_lock(&lock);
	bool open = source.fill[which] != NULL;
	if (open)
		source.fill[which](source.self, &rows);
	pthread_mutex_unlock(&lock);
	if (!open)
		return -ENOENT;
	if (rows.full) {
		int result = rte_tel_data_add_dict_u64(data, "next", rows.next);
		check(result == 0);
	}
	return 0;
}

int
telemetry_open(const struct telemetry_source *given)
{
	pthread_mutex_lock(&lock);
	source = *given;
	pthread_mutex_unlock(&lock);
	for (uint32_t i = 0; i < TELEMETRY_COMMANDS_COUNT; i++) {
		if (given->fill[i] == NULL)
			continue;
		int result = rte_telemetry_register_cmd(commands[i].path, answer, commands[i].help);
		if (result != 0)
			return result;
	}
	return 0;
}

void
telemetry_close(void)
{
	pthread_mutex_lock(&lock);
	memset(&source, 0, sizeof(source));
	pthread_mutex_unlock(&lock);
}
