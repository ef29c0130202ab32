/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/hub_script: what people tell the switch. Tables of what is understood and what is
 * refused, with the message of each; every truncation of a script.
 */
#include "lcore/hub_script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit.h"

enum { MS = 1000 * 1000 };

static struct hub_names names;
static struct hub_script script;
static struct hub_command command;
static struct config_error error;

static int
parse(const char *text)
{
	if (names.count == 0 && hub_names_parse(&names, "r0,r1,r2,r3,client", NULL) != 0)
		return 1;
	return hub_command_parse(&command, &names, "command", text, strlen(text), &error);
}

static int
parse_script(const char *text, size_t size)
{
	parse("heal");
	return hub_script_parse(&script, &names, "faults", text, size, &error);
}

static void
understood(void)
{
	static const struct {
		const char *text;
		struct hub_command right;
	} cases[] = {
	    {"heal", {.verb = HUB_HEAL, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY}},
	    {"clear # all", {.verb = HUB_CLEAR, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY}},
	    {"cut r0 -> client", {.verb = HUB_CUT, .from = 0, .to = 4}},
	    {"cut r0->r2", {.verb = HUB_CUT, .from = 0, .to = 2}},
	    {"cut r3<->r1", {.verb = HUB_CUT, .from = 3, .to = 1, .both = true}},
	    {"mend * -> r1", {.verb = HUB_MEND, .from = HUB_PORT_ANY, .to = 1}},
	    {"mend * -> *", {.verb = HUB_MEND, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY}},
	    {"loss 0.1",
		{.verb = HUB_LOSS, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = 100000}},
	    {"loss 10% r1 -> *", {.verb = HUB_LOSS, .from = 1, .to = HUB_PORT_ANY, .ppm = 100000}},
	    {"loss 0.000001",
		{.verb = HUB_LOSS, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = 1}},
	    {"loss 100%",
		{.verb = HUB_LOSS, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = 1000000}},
	    {"duplicate 0.0001%",
		{.verb = HUB_DUPLICATE, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = 1}},
	    {"corrupt 1",
		{.verb = HUB_CORRUPT, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = 1000000}},
	    {"delay 1ms",
		{.verb = HUB_DELAY, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .time_ns = MS}},
	    {"delay 0s 200us r0 -> r1",
		{.verb = HUB_DELAY, .from = 0, .to = 1, .jitter_ns = MS / 5}},
	    {"\tdelay  1.5ms\t7ns  r0->r1 ",
		{.verb = HUB_DELAY, .from = 0, .to = 1, .time_ns = 3 * MS / 2, .jitter_ns = 7}},
	    {"reorder 5% 2ms", {.verb = HUB_REORDER,
				   .from = HUB_PORT_ANY,
				   .to = HUB_PORT_ANY,
				   .ppm = 50000,
				   .time_ns = 2 * MS}},
	    {"reorder 0", {.verb = HUB_REORDER, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY}},
	    {"partition r0 r1 | r2 r3", {.verb = HUB_PARTITION,
					    .from = HUB_PORT_ANY,
					    .to = HUB_PORT_ANY,
					    .groups_count = 2,
					    .groups = {3, 12}}},
	    {"partition r0|r1|r2|client", {.verb = HUB_PARTITION,
					      .from = HUB_PORT_ANY,
					      .to = HUB_PORT_ANY,
					      .groups_count = 4,
					      .groups = {1, 2, 4, 16}}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct hub_command *right = &cases[i].right;
		int result = parse(cases[i].text);
		if (result != 0)
			printf("%s: %s\n", cases[i].text, error.text);
		CU_ASSERT_EQUAL(result, 0);
		CU_ASSERT_EQUAL(command.verb, right->verb);
		CU_ASSERT_EQUAL(command.from, right->from);
		CU_ASSERT_EQUAL(command.to, right->to);
		CU_ASSERT_EQUAL(command.both, right->both);
		CU_ASSERT_EQUAL(command.ppm, right->ppm);
		CU_ASSERT_EQUAL(command.time_ns, right->time_ns);
		CU_ASSERT_EQUAL(command.jitter_ns, right->jitter_ns);
		CU_ASSERT_EQUAL(command.groups_count, right->groups_count);
		CU_ASSERT(memcmp(command.groups, right->groups, sizeof(command.groups)) == 0);
		CU_ASSERT_EQUAL(error.text[0], '\0');
	}
}

static void
refused(void)
{
	static const struct {
		const char *text;
		const char *message; /* its beginning */
	} cases[] = {
	    {"", "command: unknown command ''; there are partition, heal, "},
	    {"heel", "command: unknown command 'heel'; there are "},
	    {"heal r0", "command: 'r0' is too much; write 'heal'"},
	    {"cut", "command: a node's name is missing at the end"},
	    {"cut r0", "command: '->' or '<->' is expected before ''; a link is written A -> B"},
	    {"cut r0 r1", "command: '->' or '<->' is expected before 'r1'; "},
	    {"cut r0 -> r9", "command: no node 'r9'; nodes are r0 .. client"},
	    {"cut r0 -> r0", "command: a node has no link to itself; name two nodes"},
	    {"cut r0 -> r1 r2", "command: 'r2' is too much; write 'cut A -> B'"},
	    {"loss", "command: bad probability ''; give 0 to 1 "},
	    {"loss 1.1", "command: bad probability '1.1'; "},
	    {"loss 101%", "command: bad probability '101%'; "},
	    {"loss %", "command: bad probability '%'; "},
	    {"loss -1", "command: bad probability '-1'; "},
	    {"loss 0.1234567", "command: bad probability '0.1234567'; "},
	    {"loss 0.1 r0", "command: '->' or '<->' is expected before ''; "},
	    {"delay", "command: bad duration ''; give a number and its unit, as in 1.5ms "},
	    {"delay 1", "command: bad duration '1'; "},
	    {"delay 61s", "command: bad duration '61s'; "},
	    {"delay 1m", "command: bad duration '1m'; "},
	    {"delay 0.5ns", "command: bad duration '0.5ns'; "},
	    {"delay ms", "command: bad duration 'ms'; "},
	    {"delay 99999999999999999999s", "command: bad duration '99999999999999999999s'; "},
	    {"reorder 5%", "command: bad duration ''; "},
	    {"partition", "command: a partition has two groups at least; "},
	    {"partition r0 r1", "command: a partition has two groups at least; "},
	    {"partition r0 |", "command: a partition has two groups at least; "},
	    {"partition | r0", "command: a group before '|' is empty; name its nodes"},
	    {"partition r0 | r0", "command: node 'r0' is named twice; remove one"},
	    {"partition r0 | *", "command: no node '*'; "},
	    {"at 3 heal", "command: unknown command 'at'; "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const struct hub_command none;
		CU_ASSERT_EQUAL(parse(cases[i].text), -EINVAL);
		bool right = strncmp(error.text, cases[i].message, strlen(cases[i].message)) == 0;
		if (!right)
			printf("%s: %s\n", cases[i].text, error.text);
		CU_ASSERT(right);
		CU_ASSERT(memcmp(&command, &none, sizeof(none)) == 0);
	}
}

static const char long_script[] = "# faults of the rehearsal\r\n"
				  "loss 1%\n"
				  "\n"
				  "at 0.5 delay 1ms 200us\n"
				  "at 3 partition r0 r1 | r2 r3\n"
				  "  at 3s cut client->r0 # twice\n"
				  "at 4500ms heal\n"
				  "at 10 clear";

static void
scripts_have_times(void)
{
	static const struct {
		uint64_t at_ns;
		enum hub_verb verb;
	} right[] = {{0, HUB_LOSS}, {500 * MS, HUB_DELAY}, {3000ull * MS, HUB_PARTITION},
	    {3000ull * MS, HUB_CUT}, {4500ull * MS, HUB_HEAL}, {10000ull * MS, HUB_CLEAR}};
	CU_ASSERT_EQUAL_FATAL(parse_script(long_script, strlen(long_script)), 0);
	CU_ASSERT_EQUAL_FATAL(script.count, sizeof(right) / sizeof(right[0]));
	for (uint32_t i = 0; i < script.count; i++) {
		CU_ASSERT_EQUAL(script.events[i].at_ns, right[i].at_ns);
		CU_ASSERT_EQUAL(script.events[i].command.verb, right[i].verb);
	}
	CU_ASSERT_EQUAL(parse_script("", 0), 0);
	CU_ASSERT_EQUAL(script.count, 0);
}

/* Each prefix is understood, or refused with the line that is cut; nothing is left then. */
static void
every_truncation(void)
{
	for (size_t size = 0; size < strlen(long_script); size++) {
		char copy[sizeof(long_script)];
		char place[32];
		int line = 1;
		memcpy(copy, long_script, size);
		for (size_t i = 0; i < size; i++)
			line += copy[i] == '\n';
		if (parse_script(copy, size) == 0) {
			CU_ASSERT_EQUAL(error.text[0], '\0');
			continue;
		}
		snprintf(place, sizeof(place), "faults:%d: ", line);
		CU_ASSERT(strncmp(error.text, place, strlen(place)) == 0);
		CU_ASSERT_EQUAL(error.line, line);
		CU_ASSERT_EQUAL(script.count, 0);
	}
}

static void
bad_scripts_name_the_line(void)
{
	static char many[(HUB_EVENTS_MAX + 1) * 5 + 1];
	static char wide[HUB_LINE_SIZE_MAX + 2];
	static char huge[HUB_SCRIPT_SIZE_MAX + 1];
	for (uint32_t i = 0; i <= HUB_EVENTS_MAX; i++)
		memcpy(many + (size_t)i * 5, "heal\n", 5);
	memset(wide, ' ', sizeof(wide));
	memset(huge, '\n', sizeof(huge));
	const struct {
		const char *text;
		size_t size;
		const char *message;
	} cases[] = {
	    {"heal\nat x heal", 14, "faults:2: bad time 'x' after 'at'; give seconds, as in 2.5"},
	    {"at", 2, "faults:1: bad time '' after 'at'; "},
	    {"at 9999999 heal", 15, "faults:1: bad time '9999999' after 'at'; "},
	    {"at 2 heal\nat 1 heal", 19,
		"faults:2: this comes earlier than the line before; order lines by time"},
	    {"at 2", 4, "faults:1: unknown command ''; "},
	    {"he\0al", 5, "faults:1: the line has a NUL byte; save the file as plain text"},
	    {many, sizeof(many) - 1, "faults:257: more than 256 commands; shorten the script"},
	    {wide, sizeof(wide) - 1, "faults:1: the line has 4097 bytes; keep lines within 4096"},
	    {huge, sizeof(huge), "faults:1: the file has 65537 bytes; at most 65536 are read"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(parse_script(cases[i].text, cases[i].size), -EINVAL);
		bool right = strncmp(error.text, cases[i].message, strlen(cases[i].message)) == 0;
		if (!right)
			printf("%zu: %s\n", i, error.text);
		CU_ASSERT(right);
	}
}

static void
nul_bytes_are_refused(void)
{
	parse("heal");
	CU_ASSERT_EQUAL(hub_command_parse(&command, &names, "c", "heal #\0", 7, &error), -EINVAL);
	CU_ASSERT_STRING_EQUAL(
	    error.text, "c: the line has a NUL byte; save the file as plain text");
}

static void
files(void)
{
	char path[] = "/tmp/oskr-unit-hub-XXXXXX";
	int fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, "heal\nheel\n", 10), 10);
	CU_ASSERT_EQUAL(hub_script_load(&script, &names, path, &error), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, ":2: unknown command 'heel'"));
	CU_ASSERT_EQUAL(ftruncate(fd, 5), 0);
	CU_ASSERT_EQUAL(hub_script_load(&script, &names, path, &error), 0);
	CU_ASSERT_EQUAL(script.count, 1);
	close(fd);
	unlink(path);
	CU_ASSERT_EQUAL(hub_script_load(&script, &names, path, &error), -ENOENT);
	CU_ASSERT_EQUAL(script.count, 0);
	CU_ASSERT_EQUAL(hub_script_load(&script, &names, "/tmp", &error), -EISDIR);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "; give the path of a script"));
}

static void
names_are_told_apart(void)
{
	static const char *const bad[] = {"", "a,", ",a", "a,,b", "a,b,a", "a b", "a-b", "a_b",
	    "r0|r1", "*", "abcdefghijklmnopqrst", "\xc3\xa9"};
	struct hub_names list;
	char many[HUB_PORTS_MAX * 4 + 8] = "";
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(hub_names_parse(&list, bad[i], &error), -EINVAL);
		CU_ASSERT(strncmp(error.text, "--names: ", 9) == 0);
	}
	CU_ASSERT_EQUAL(hub_names_parse(&list, "a,B7,abcdefghijklmnopqrs", &error), 0);
	CU_ASSERT_EQUAL(list.count, 3);
	CU_ASSERT_STRING_EQUAL(list.list[2], "abcdefghijklmnopqrs");
	for (uint32_t i = 0; i < HUB_PORTS_MAX; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), i > 0 ? ",%u" : "%u", i);
	CU_ASSERT_EQUAL(hub_names_parse(&list, many, &error), 0);
	CU_ASSERT_EQUAL(list.count, HUB_PORTS_MAX);
	strcat(many, ",z");
	CU_ASSERT_EQUAL(hub_names_parse(&list, many, &error), -EINVAL);
}

static const struct unit_story stories[] = {
    {"commands that are understood", understood},
    {"commands that are refused, and why", refused},
    {"scripts have times", scripts_have_times},
    {"every truncation of a script", every_truncation},
    {"bad scripts name the line", bad_scripts_name_the_line},
    {"NUL bytes are refused", nul_bytes_are_refused},
    {"script files", files},
    {"names", names_are_told_apart},
};

UNIT_MAIN("hub_script", stories)
