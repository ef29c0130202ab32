/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: scripts of oskr-switch. A refusal is one printable line that names the line
 * and leaves nothing behind; what is accepted can be carried out, in order, and each line
 * alone means the same by telemetry as in the script.
 */
#include <errno.h>

#include "fuzz.h"
#include "lcore/hub_script.h"

static struct hub_names names;
static struct hub_script script;
static struct hub hub;

static void
refusal_check(const struct config_error *error)
{
	size_t size = strnlen(error->text, sizeof(error->text));
	check(size > 0 && size < sizeof(error->text));
	for (size_t i = 0; i < size; i++)
		check(error->text[i] >= ' ' && error->text[i] <= '~');
	check(error->line > 0);
	check(script.count == 0);
}

static void
carry_out(void)
{
	const struct hub_config config = {names.count, 1, 1000};
	hub_init(&hub, &config);
	for (uint32_t i = 0; i < script.count; i++) {
		check(i == 0 || script.events[i].at_ns >= script.events[i - 1].at_ns);
		hub_command(&hub, &script.events[i].command);
		for (uint32_t from = 0; from < names.count; from++) {
			uint32_t to = (from + 1) % names.count;
			struct hub_fate fate = hub_judge(&hub, from, to, 64, 1000 + i);
			check(fate.copies <= HUB_COPIES_MAX);
			for (uint32_t k = 0; k < fate.copies; k++)
				check(fate.due_ns[k] >= 1000 + i);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct config_error error;
	struct hub_command command;
	int status = hub_names_parse(&names, "0,1,2,3,c", &error);
	check(status == 0);
	char *text = (char *)fuzz_copy(bytes, size);
	memset(&script, 0x55, sizeof(script));
	status = hub_script_parse(&script, &names, "script", text, size, &error);
	check(status == 0 || status == -EINVAL);
	if (status == 0)
		carry_out();
	else
		refusal_check(&error);
	/* As telemetry would have it: one line, no time. */
	bool one_line = memchr(text, '\n', size) == NULL && memchr(text, '\r', size) == NULL;
	int alone = hub_command_parse(&command, &names, "command", text, size, &error);
	if (alone == 0 && one_line && size > 0) {
		check(status == 0 && script.count == 1);
		check(memcmp(&command, &script.events[0].command, sizeof(command)) == 0);
	}
	free(text);
	return 0;
}
