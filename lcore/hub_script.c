/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of what people tell the switch: a line becomes words, the first of which
 * names a row of the table of verbs; the row says which arguments follow. Any thread;
 * nothing is kept.
 */
#include "lcore/hub_script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/text.h"
#include "engine/check.h"

enum {
	WORDS_MAX = 2 * HUB_PORTS_MAX + 8, /* a partition in groups of one, and its "at" */
	WORD_SHOWN = 48,
	NAME_SHOWN = 160,
	PPM_PER_PERCENT = HUB_PPM / 100,
	NS_PER_S = 1000 * 1000 * 1000,
};

struct parser {
	const struct hub_names *names;
	const char *name;
	struct config_error *error;
	int line;    /* being read, from 1; 0: a command alone */
	uint32_t at; /* of the next word */
	uint32_t count;
	struct text words[WORDS_MAX];
};

/* What follows a verb. */
enum arguments {
	ARGUMENTS_NONE,
	ARGUMENTS_GROUPS,
	ARGUMENTS_LINK,	       /* that must be there */
	ARGUMENTS_SHARE,       /* a probability, then perhaps a link */
	ARGUMENTS_DELAY,       /* one duration or two, then perhaps a link */
	ARGUMENTS_SHARE_DELAY, /* a probability, a duration, then perhaps a link */
};

static const struct {
	const char *word;
	const char *form;
	enum arguments arguments;
} verbs[HUB_VERBS_COUNT] = {
    [HUB_PARTITION] = {"partition", "partition A B | C D", ARGUMENTS_GROUPS},
    [HUB_HEAL] = {"heal", "heal", ARGUMENTS_NONE},
    [HUB_CUT] = {"cut", "cut A -> B", ARGUMENTS_LINK},
    [HUB_MEND] = {"mend", "mend A -> B", ARGUMENTS_LINK},
    [HUB_LOSS] = {"loss", "loss 0.1 [A -> B]", ARGUMENTS_SHARE},
    [HUB_DELAY] = {"delay", "delay 1ms [200us] [A -> B]", ARGUMENTS_DELAY},
    [HUB_REORDER] = {"reorder", "reorder 0.1 2ms [A -> B]", ARGUMENTS_SHARE_DELAY},
    [HUB_DUPLICATE] = {"duplicate", "duplicate 0.1 [A -> B]", ARGUMENTS_SHARE},
    [HUB_CORRUPT] = {"corrupt", "corrupt 0.1 [A -> B]", ARGUMENTS_SHARE},
    [HUB_CLEAR] = {"clear", "clear", ARGUMENTS_NONE},
};

#define SHOW(word) (int)((word).size < WORD_SHOWN ? (word).size : WORD_SHOWN), (word).data

/* Sets the error about the line. Returns -EINVAL. */
static int __attribute__((format(printf, 2, 3)))
fail(const struct parser *p, const char *format, ...)
{
	char text[384];
	size_t size = strlen(p->name);
	const char *name = size > NAME_SHOWN ? p->name + size - NAME_SHOWN : p->name;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (p->line > 0)
		config_error_set(p->error, p->line, "%s:%d: %s", name, p->line, text);
	else
		config_error_set(p->error, 0, "%s: %s", name, text);
	return -EINVAL;
}

/* ---- words -------------------------------------------------------------- */

/* Bytes of the sign at `at`, or 0: "|", "->", "<->". */
static size_t
sign_size(struct text line, size_t at)
{
	static const char *const signs[] = {"|", "->", "<->"};
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		size_t size = strlen(signs[i]);
		if (line.size - at >= size && memcmp(line.data + at, signs[i], size) == 0)
			return size;
	}
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits at blanks and around signs, up to the comment. */
static int
words_split(struct parser *p, struct text line)
{
	p->at = 0;
	p->count = 0;
	if (line.size > 0 && memchr(line.data, '\0', line.size) != NULL)
		return fail(p, "the line has a NUL byte; save the file as plain text");
	for (size_t at = 0; at < line.size && line.data[at] != '#';) {
		if (is_blank(line.data[at])) {
			at++;
			continue;
		}
		if (p->count == WORDS_MAX)
			return fail(p, "too many words; write one command a line");
		size_t size = sign_size(line, at);
		if (size == 0) {
			while (at + size < line.size && !is_blank(line.data[at + size]) &&
			       line.data[at + size] != '#' && sign_size(line, at + size) == 0)
				size++;
		}
		p->words[p->count++] = (struct text){line.data + at, size};
		at += size;
	}
	return 0;
}

/* The next word without taking it; an empty one at the end. */
static struct text
word_peek(const struct parser *p)
{
	return p->at < p->count ? p->words[p->at] : (struct text){"", 0};
}

static struct text
word_take(struct parser *p)
{
	struct text word = word_peek(p);
	p->at += p->at < p->count;
	return word;
}

/* ---- values ------------------------------------------------------------- */

/* Number and unit, "1.5ms", into nanoseconds: 0, or -1. `bare` is the unit when none is written. */
static int
duration_read(struct text word, const char *bare, uint64_t max_s, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t scale;
	} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000 * 1000}, {"s", NS_PER_S}};
	size_t digits = 0;
	while (digits < word.size && strchr("0123456789.", word.data[digits]) != NULL &&
	       word.data[digits] != '\0')
		digits++;
	struct text unit = {word.data + digits, word.size - digits};
	if (unit.size == 0 && bare != NULL)
		unit = text_of(bare);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text_equal(unit, units[i].unit))
			return text_parse_decimal(
			    (struct text){word.data, digits}, units[i].scale, max_s * NS_PER_S, ns);
	}
	return -1;
}

static int
delay_read(struct parser *p, uint64_t *ns)
{
	struct text word = word_take(p);
	if (duration_read(word, NULL, HUB_DELAY_S_MAX, ns) != 0)
		return fail(p,
		    "bad duration '%.*s'; give a number and its unit, as in 1.5ms (at "
		    "most %d s; units are ns, us, ms, s)",
		    SHOW(word), HUB_DELAY_S_MAX);
	return 0;
}

/* "0.1" or "10%". */
static int
share_read(struct parser *p, uint32_t *ppm)
{
	struct text word = word_take(p);
	struct text digits = word;
	uint64_t scale = HUB_PPM;
	uint64_t value;
	if (word.size > 0 && word.data[word.size - 1] == '%') {
		digits.size--;
		scale = PPM_PER_PERCENT;
	}
	if (text_parse_decimal(digits, scale, HUB_PPM, &value) != 0)
		return fail(p,
		    "bad probability '%.*s'; give 0 to 1 with at most 6 decimals, as in "
		    "0.1, or a percentage, as in 10%%",
		    SHOW(word));
	*ppm = (uint32_t)value;
	return 0;
}

static int
port_read(struct parser *p, bool any, uint8_t *port)
{
	struct text word = word_take(p);
	for (uint32_t i = 0; i < p->names->count; i++) {
		if (text_equal(word, p->names->list[i])) {
			*port = (uint8_t)i;
			return 0;
		}
	}
	if (any && text_equal(word, "*")) {
		*port = HUB_PORT_ANY;
		return 0;
	}
	if (word.size == 0)
		return fail(p, "a node's name is missing at the end");
	return fail(p, "no node '%.*s'; nodes are %s%s%s", SHOW(word), p->names->list[0],
	    p->names->count > 1 ? " .. " : "",
	    p->names->count > 1 ? p->names->list[p->names->count - 1] : "");
}

static int
link_read(struct parser *p, struct hub_command *c)
{
	if (port_read(p, true, &c->from) != 0)
		return -EINVAL;
	struct text sign = word_take(p);
	c->both = text_equal(sign, "<->");
	if (!c->both && !text_equal(sign, "->"))
		return fail(p, "'->' or '<->' is expected before '%.*s'; a link is written A -> B",
		    SHOW(sign));
	if (port_read(p, true, &c->to) != 0)
		return -EINVAL;
	if (c->from == c->to && c->from != HUB_PORT_ANY)
		return fail(p, "a node has no link to itself; name two nodes");
	return 0;
}

static int
link_read_optional(struct parser *p, struct hub_command *c)
{
	return p->at < p->count ? link_read(p, c) : 0;
}

static int
groups_read(struct parser *p, struct hub_command *c)
{
	uint64_t seen = 0;
	c->groups_count = 1;
	while (p->at < p->count) {
		uint8_t port;
		uint64_t *group = &c->groups[c->groups_count - 1];
		if (text_equal(word_peek(p), "|")) {
			word_take(p);
			if (*group == 0)
				return fail(p, "a group before '|' is empty; name its nodes");
			if (c->groups_count == HUB_PORTS_MAX)
				return fail(
				    p, "more than %d groups; leave some out", HUB_PORTS_MAX);
			c->groups_count++;
			continue;
		}
		if (port_read(p, false, &port) != 0)
			return -EINVAL;
		if ((seen >> port & 1) != 0)
			return fail(
			    p, "node '%s' is named twice; remove one", p->names->list[port]);
		seen |= 1ull << port;
		*group |= 1ull << port;
	}
	if (c->groups_count < 2 || c->groups[c->groups_count - 1] == 0)
		return fail(p, "a partition has two groups at least; write 'partition A B | C D'");
	return 0;
}

/* ---- commands ----------------------------------------------------------- */

static int
delays_read(struct parser *p, struct hub_command *c)
{
	uint64_t jitter_ns;
	if (delay_read(p, &c->time_ns) != 0)
		return -EINVAL;
	struct text next = word_peek(p);
	if (duration_read(next, NULL, HUB_DELAY_S_MAX, &jitter_ns) != 0)
		return 0;
	word_take(p);
	c->jitter_ns = jitter_ns;
	return 0;
}

static int
arguments_read(struct parser *p, struct hub_command *c)
{
	int result = 0;
	switch (verbs[c->verb].arguments) {
	case ARGUMENTS_NONE:
		return 0;
	case ARGUMENTS_GROUPS:
		return groups_read(p, c);
	case ARGUMENTS_LINK:
		return link_read(p, c);
	case ARGUMENTS_SHARE:
		result = share_read(p, &c->ppm);
		break;
	case ARGUMENTS_DELAY:
		result = delays_read(p, c);
		break;
	case ARGUMENTS_SHARE_DELAY:
		result = share_read(p, &c->ppm);
		if (result == 0 && (c->ppm > 0 || p->at < p->count))
			result = delay_read(p, &c->time_ns);
		break;
	}
	return result != 0 ? result : link_read_optional(p, c);
}

static int
command_read(struct parser *p, struct hub_command *c)
{
	struct text word = word_take(p);
	uint32_t verb = 0;
	memset(c, 0, sizeof(*c));
	c->from = HUB_PORT_ANY;
	c->to = HUB_PORT_ANY;
	while (verb < HUB_VERBS_COUNT && !text_equal(word, verbs[verb].word))
		verb++;
	if (verb == HUB_VERBS_COUNT)
		return fail(p,
		    "unknown command '%.*s'; there are partition, heal, cut, mend, loss, "
		    "delay, reorder, duplicate, corrupt, clear",
		    SHOW(word));
	c->verb = (enum hub_verb)verb;
	int result = arguments_read(p, c);
	if (result == 0 && p->at < p->count)
		return fail(
		    p, "'%.*s' is too much; write '%s'", SHOW(word_peek(p)), verbs[verb].form);
	return result;
}

int
hub_command_parse(struct hub_command *command, const struct hub_names *names, const char *name,
    const char *text, size_t size, struct config_error *error)
{
	struct parser p = {.names = names, .name = name, .error = error};
	check(names->count >= 1 && names->count <= HUB_PORTS_MAX);
	config_error_clear(error);
	if (size > HUB_LINE_SIZE_MAX)
		return fail(
		    &p, "the command has %zu bytes; at most %d are read", size, HUB_LINE_SIZE_MAX);
	int result = words_split(&p, (struct text){text, size});
	if (result == 0)
		result = command_read(&p, command);
	if (result != 0)
		memset(command, 0, sizeof(*command));
	return result;
}

/* ---- scripts ------------------------------------------------------------ */

static int
time_read(struct parser *p, uint64_t *at_ns)
{
	if (!text_equal(word_peek(p), "at"))
		return 0;
	word_take(p);
	struct text word = word_take(p);
	if (duration_read(word, "s", HUB_TIME_S_MAX, at_ns) != 0)
		return fail(p,
		    "bad time '%.*s' after 'at'; give seconds, as in 2.5, or a unit, as "
		    "in 300ms",
		    SHOW(word));
	return 0;
}

static int
line_read(struct parser *p, struct text line, struct hub_script *script)
{
	if (line.size > HUB_LINE_SIZE_MAX)
		return fail(p, "the line has %zu bytes; keep lines within %d", line.size,
		    HUB_LINE_SIZE_MAX);
	if (words_split(p, line) != 0)
		return -EINVAL;
	if (p->count == 0)
		return 0;
	if (script->count == HUB_EVENTS_MAX)
		return fail(p, "more than %d commands; shorten the script", HUB_EVENTS_MAX);
	struct hub_event *event = &script->events[script->count];
	if (time_read(p, &event->at_ns) != 0 || command_read(p, &event->command) != 0)
		return -EINVAL;
	if (script->count > 0 && event[-1].at_ns > event->at_ns)
		return fail(p, "this comes earlier than the line before; order lines by time");
	script->count++;
	return 0;
}

int
hub_script_parse(struct hub_script *script, const struct hub_names *names, const char *name,
    const char *text, size_t size, struct config_error *error)
{
	struct parser p = {.names = names, .name = name, .error = error, .line = 1};
	int result = 0;
	check(names->count >= 1 && names->count <= HUB_PORTS_MAX);
	memset(script, 0, sizeof(*script));
	config_error_clear(error);
	if (size > HUB_SCRIPT_SIZE_MAX)
		result = fail(
		    &p, "the file has %zu bytes; at most %d are read", size, HUB_SCRIPT_SIZE_MAX);
	for (size_t at = 0; result == 0 && at < size; p.line++) {
		const char *start = text + at;
		const char *end = memchr(start, '\n', size - at);
		size_t line_size = end != NULL ? (size_t)(end - start) : size - at;
		at += line_size + (end != NULL);
		if (line_size > 0 && start[line_size - 1] == '\r')
			line_size--;
		result = line_read(&p, (struct text){start, line_size}, script);
	}
	if (result != 0)
		memset(script, 0, sizeof(*script));
	return result;
}

int
hub_script_load(struct hub_script *script, const struct hub_names *names, const char *path,
    struct config_error *error)
{
	struct stat status;
	FILE *file = NULL;
	static char text[HUB_SCRIPT_SIZE_MAX + 1];
	memset(script, 0, sizeof(*script));
	int result = stat(path, &status) != 0 ? -errno : 0;
	/* A FIFO would be waited for. */
	if (result == 0 && !S_ISREG(status.st_mode))
		result = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	if (result == 0) {
		file = fopen(path, "re");
		result = file == NULL ? -errno : 0;
	}
	if (result != 0) {
		config_error_set(error, 0, "%s: cannot be read: %s; give the path of a script",
		    path, strerror(-result));
		return result;
	}
	size_t size = fread(text, 1, sizeof(text), file);
	fclose(file);
	return hub_script_parse(script, names, path, text, size, error);
}

/* ---- names -------------------------------------------------------------- */

static bool
name_is_good(struct text name)
{
	if (name.size == 0 || name.size >= HUB_NAME_SIZE)
		return false;
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		bool good =
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!good)
			return false;
	}
	return true;
}

int
hub_names_parse(struct hub_names *names, const char *list, struct config_error *error)
{
	struct parser p = {.names = names, .name = "--names", .error = error};
	memset(names, 0, sizeof(*names));
	config_error_clear(error);
	for (const char *at = list;; at++) {
		struct text name = {at, strcspn(at, ",")};
		if (names->count == HUB_PORTS_MAX)
			return fail(&p, "more than %d names; leave some out", HUB_PORTS_MAX);
		if (!name_is_good(name))
			return fail(&p,
			    "bad name '%.*s'; give 1 to %d letters and digits, with commas between "
			    "names",
			    SHOW(name), HUB_NAME_SIZE - 1);
		for (uint32_t i = 0; i < names->count; i++) {
			if (text_equal(name, names->list[i]))
				return fail(&p, "name '%s' is there twice; names must differ",
				    names->list[i]);
		}
		memcpy(names->list[names->count++], name.data, name.size);
		at += name.size;
		if (*at == '\0')
			return 0;
	}
}
