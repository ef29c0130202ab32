/* SPDX-License-Identifier: Apache-2.0 */
/* How each kind of option's value is read, and said in words. Pure; start only. */
#include "config/option_value.h"

#include "config/text.h"
#include "engine/check.h"

#include <inttypes.h>
#include <string.h>

/* ---- words ------------------------------------------------------------ */

const struct option_choice option_choices_profile[] = {
    {"fast", PROFILE_FAST},
    {"seed", PROFILE_SEED},
    {"paranoid", PROFILE_PARANOID},
    {NULL, 0},
};

const struct option_choice option_choices_auth[] = {
    {"mac", AUTH_MAC},
    {"sign", AUTH_SIGN},
    {NULL, 0},
};

const struct option_choice option_choices_request_auth[] = {
    {"none", AUTH_NONE},
    {"mac", AUTH_MAC},
    {"sign", AUTH_SIGN},
    {NULL, 0},
};

const struct option_choice option_choices_reply_auth[] = {
    {"none", AUTH_NONE},
    {"mac", AUTH_MAC},
    {"sign", AUTH_SIGN},
    {"batch", AUTH_BATCH},
    {NULL, 0},
};

const struct option_choice option_choices_app[] = {
    {"null", APP_NULL},
    {"echo", APP_ECHO},
    {"kv", APP_KV},
    {NULL, 0},
};

const struct option_choice option_choices_workload[] = {
    {"null", WORKLOAD_NULL},
    {"echo", WORKLOAD_ECHO},
    {"ycsb-a", WORKLOAD_YCSB_A},
    {"ycsb-b", WORKLOAD_YCSB_B},
    {"ycsb-c", WORKLOAD_YCSB_C},
    {"ycsb-d", WORKLOAD_YCSB_D},
    {"ycsb-e", WORKLOAD_YCSB_E},
    {"ycsb-f", WORKLOAD_YCSB_F},
    {NULL, 0},
};

const struct option_choice option_choices_distribution[] = {
    {"uniform", DISTRIBUTION_UNIFORM},
    {"zipfian", DISTRIBUTION_ZIPFIAN},
    {"latest", DISTRIBUTION_LATEST},
    {NULL, 0},
};

const struct option_choice option_choices_cores[] = {
    {"all", CORES_ALL},
    {"one", CORES_ONE},
    {NULL, 0},
};

const struct option_choice option_choices_idle[] = {
    {"auto", IDLE_AUTO},
    {"poll", IDLE_POLL},
    {"pause", IDLE_PAUSE},
    {"yield", IDLE_YIELD},
    {"sleep", IDLE_SLEEP},
    {NULL, 0},
};

static const char *const log_levels[] = {
    "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};

static const struct option_choice *
choice_find(const struct option_choice *choices, struct text text)
{
	for (; choices->name != NULL; choices++) {
		if (text_equal(text, choices->name))
			return choices;
	}
	return NULL;
}

/* The name of a value of ours: there must be one. */
static const char *
choice_name(const struct option_choice *choices, unsigned int value)
{
	while (choices->name != NULL && choices->value != value)
		choices++;
	check(choices->name != NULL);
	return choices->name;
}

const char *
options_app_name(enum app_kind app)
{
	return choice_name(option_choices_app, app);
}

const char *
options_workload_name(enum workload_kind workload)
{
	return choice_name(option_choices_workload, workload);
}

const char *
options_distribution_name(enum distribution distribution)
{
	return choice_name(option_choices_distribution, distribution);
}

const char *
options_idle_name(enum idle idle)
{
	return choice_name(option_choices_idle, idle);
}

/* ---- one function for each kind of value ------------------------------ */

static void *
field_of(const struct option_row *row, struct options *options)
{
	return (unsigned char *)options + row->offset;
}

/* Reads the number in the field's units; does not write it. */
static int
parse_value(const struct option_row *row, const char *text, uint64_t *value)
{
	int result = row->scale == 0
			 ? text_parse_count(text_of(text), row->max, value)
			 : text_parse_decimal(text_of(text), row->scale, row->max, value);
	return result != 0 || *value < row->min ? -1 : 0;
}

int
option_parse_u32(const struct option_row *row, const char *text, struct options *options)
{
	uint64_t value;
	check(row->max <= UINT32_MAX);
	if (parse_value(row, text, &value) != 0)
		return -1;
	*(uint32_t *)field_of(row, options) = (uint32_t)value;
	return 0;
}

int
option_parse_u64(const struct option_row *row, const char *text, struct options *options)
{
	uint64_t value;
	if (parse_value(row, text, &value) != 0)
		return -1;
	*(uint64_t *)field_of(row, options) = value;
	return 0;
}

int
option_parse_ip(const struct option_row *row, const char *text, struct options *options)
{
	uint32_t ip;
	/* Neither this host, nor a group or beyond: RFC 1122, 3.2.1.3. */
	if (text_parse_ip(text_of(text), &ip) != 0 || ip >> 24 == 0 || ip >> 24 >= 224)
		return -1;
	*(uint32_t *)field_of(row, options) = ip;
	return 0;
}

int
option_parse_probability(const struct option_row *row, const char *text, struct options *options)
{
	uint64_t value;
	if (parse_value(row, text, &value) != 0)
		return -1;
	*(double *)field_of(row, options) = (double)value / (double)row->scale;
	return 0;
}

int
option_parse_flag(const struct option_row *row, const char *text, struct options *options)
{
	check(text == NULL);
	*(bool *)field_of(row, options) = true;
	return 0;
}

int
option_parse_choice(const struct option_row *row, const char *text, struct options *options)
{
	const struct option_choice *choice = choice_find(row->choices, text_of(text));
	if (choice == NULL)
		return -1;
	static_assert(
	    sizeof(enum idle) == sizeof(unsigned int) && sizeof(enum auth) == sizeof(unsigned int),
	    "an enum field is written as what it is");
	memcpy(field_of(row, options), &choice->value, sizeof(choice->value));
	return 0;
}

/* A leading dash is most likely the next option, its argument forgotten. */
int
option_parse_text(const struct option_row *row, const char *text, struct options *options)
{
	if (text[0] == '\0' || text[0] == '-')
		return -1;
	*(const char **)field_of(row, options) = text;
	return 0;
}

/* NAME, or echo:REQUEST/REPLY. A reply of no bytes is what workload null is for. */
int
option_parse_workload(const struct option_row *row, const char *text, struct options *options)
{
	static const char prefix[] = "echo:";
	uint64_t request;
	uint64_t reply;
	if (strncmp(text, prefix, strlen(prefix)) != 0) {
		if (option_parse_choice(row, text, options) != 0)
			return -1;
		options->workload_request_size = -1;
		options->workload_reply_size = -1;
		return 0;
	}
	const char *sizes = text + strlen(prefix);
	const char *slash = strchr(sizes, '/');
	if (slash == NULL)
		return -1;
	struct text before = {sizes, (size_t)(slash - sizes)};
	struct text after = text_of(slash + 1);
	if (text_parse_count(before, LIMIT_VALUE_SIZE, &request) != 0)
		return -1;
	if (text_parse_count(after, LIMIT_VALUE_SIZE, &reply) != 0 || reply == 0)
		return -1;
	options->workload = WORKLOAD_ECHO;
	options->workload_request_size = (int64_t)request;
	options->workload_reply_size = (int64_t)reply;
	return 0;
}

static bool
is_log_level(const char *text)
{
	if (text[0] >= '1' && text[0] <= '8' && text[1] == '\0')
		return true;
	for (size_t i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); i++) {
		if (strcmp(text, log_levels[i]) == 0)
			return true;
	}
	return false;
}

/* Adds TYPE:LEVEL to the list; the last colon parts them. */
int
option_parse_log_level(const struct option_row *row, const char *text, struct options *options)
{
	(void)row;
	const char *colon = strrchr(text, ':');
	if (colon == NULL || colon == text || !is_log_level(colon + 1))
		return -1;
	if (options->log_levels_count == LIMIT_LOG_LEVELS)
		return -1;
	options->log_levels[options->log_levels_count++] = text;
	return 0;
}

/* Rows that ask the program to say something and end: options_parse() acts on them. */
int
option_parse_nothing(const struct option_row *row, const char *text, struct options *options)
{
	(void)row;
	(void)options;
	check(text == NULL);
	return 0;
}

/* ---- values in words -------------------------------------------------- */

static void
choices_in_words(const struct option_choice *choices, char text[OPTION_VALUES_SIZE])
{
	size_t size = (size_t)snprintf(text, OPTION_VALUES_SIZE, "one of %s", choices->name);
	while ((++choices)->name != NULL && size < OPTION_VALUES_SIZE) {
		size +=
		    (size_t)snprintf(text + size, OPTION_VALUES_SIZE - size, ", %s", choices->name);
	}
	check(size < OPTION_VALUES_SIZE);
}

void
option_row_values(const struct option_row *row, char text[OPTION_VALUES_SIZE])
{
	check(row->argument != NULL);
	if (row->valid != NULL) {
		snprintf(text, OPTION_VALUES_SIZE, "%s", row->valid);
	} else if (row->choices != NULL) {
		choices_in_words(row->choices, text);
	} else if (row->scale == 0) {
		snprintf(text, OPTION_VALUES_SIZE, "a whole number %" PRIu64 "..%" PRIu64, row->min,
		    row->max);
	} else {
		snprintf(text, OPTION_VALUES_SIZE, "a number %.9g..%.9g",
		    (double)row->min / (double)row->scale, (double)row->max / (double)row->scale);
	}
}
