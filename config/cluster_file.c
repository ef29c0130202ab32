/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster file's parser: a line at a time, each directive checked as far
 * as it can be alone, then the whole. Start only, main lcore.
 */
#include "config/cluster_file.h"

#include "config/text.h"
#include "engine/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WORDS_MAX = 7,		/* replica ADDRESS ip IP port PORT, and one too many */
	NAME_SHOWN = 160,	/* bytes of the file's name in a message */
	WORD_SHOWN = 48,	/* bytes of a wrong word in a message */
	ADDRESS_ID_MAX = 65534, /* 65535 is "none" on the devices that take an id */
	PORT_MAX = 65535,
};

struct parser {
	struct cluster_file *file;
	const char *name;
	struct config_error *error;
	int line; /* being read, from 1 */
	int f_line;
	int multicast_line;
	int instances_line;
	int replica_lines[LIMIT_REPLICAS];
};

struct words {
	struct text list[WORDS_MAX];
	size_t count;
};

static int parse_lines(struct parser *parser, struct text text);
static int check_whole(struct parser *parser, struct cluster_need need);

int
cluster_file_parse(struct cluster_file *file, const char *name, const char *text, size_t size,
    struct cluster_need need, struct config_error *error)
{
	check(file != NULL);
	check(name != NULL);
	check(text != NULL || size == 0);
	memset(file, 0, sizeof(*file));
	config_error_clear(error);
	struct parser parser = {.file = file, .name = name, .error = error};
	file->instances = 1;
	int result = parse_lines(&parser, (struct text){text, size});
	if (result == 0)
		result = check_whole(&parser, need);
	if (result != 0)
		memset(file, 0, sizeof(*file));
	return result;
}

/* The end of a name too long to show whole: the part that tells files apart. */
static const char *
name_end(const char *name)
{
	size_t size = strlen(name);
	return size > NAME_SHOWN ? name + size - NAME_SHOWN : name;
}

/* Sets the error about a line of the file. Returns -EINVAL. */
static int __attribute__((format(printf, 3, 4)))
fail_at(const struct parser *parser, int line, const char *format, ...)
{
	char text[384];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	config_error_set(parser->error, line, "%s:%d: %s", name_end(parser->name), line, text);
	return -EINVAL;
}

#define fail(parser, ...) fail_at(parser, (parser)->line, __VA_ARGS__)

/* For "%.*s": a word, cut to what a message shows. */
#define SHOW(word) (int)((word).size < WORD_SHOWN ? (word).size : WORD_SHOWN), (word).data

/* ---- directives ------------------------------------------------------- */

static int
parse_number(const struct parser *parser, const struct words *words, uint32_t min, uint32_t max,
    uint32_t *number)
{
	struct text directive = words->list[0];
	uint64_t value;
	if (words->count != 2) {
		return fail(parser, "'%.*s' takes one number; write '%.*s N'", SHOW(directive),
		    SHOW(directive));
	}
	if (text_parse_count(words->list[1], max, &value) != 0 || value < min) {
		return fail(parser, "bad %.*s '%.*s'; give a whole number %u..%u", SHOW(directive),
		    SHOW(words->list[1]), min, max);
	}
	*number = (uint32_t)value;
	return 0;
}

/* A directive that may stand once: remembers the line, or refuses the second. */
static int
claim_line(const struct parser *parser, int *line, const char *directive)
{
	if (*line != 0) {
		return fail(
		    parser, "'%s' was already given in line %d; remove one", directive, *line);
	}
	*line = parser->line;
	return 0;
}

/* MAC%ID into address. */
static int
parse_address(const struct parser *parser, struct text word, struct cluster_address *address)
{
	const char *percent = memchr(word.data, '%', word.size);
	if (percent == NULL) {
		return fail(parser,
		    "address '%.*s' has no device id; write it as MAC%%ID, "
		    "as in 12:34:56:aa:aa:aa%%0",
		    SHOW(word));
	}
	struct text mac = {word.data, (size_t)(percent - word.data)};
	struct text id = {percent + 1, word.size - mac.size - 1};
	if (text_parse_mac(mac, address->mac) != 0) {
		return fail(parser,
		    "bad MAC '%.*s'; give six pairs of hexadecimal digits, "
		    "as in 12:34:56:aa:aa:aa",
		    SHOW(mac));
	}
	uint64_t value;
	if (text_parse_count(id, ADDRESS_ID_MAX, &value) != 0) {
		return fail(parser, "bad device id '%.*s' after '%%'; give a whole number 0..%d",
		    SHOW(id), ADDRESS_ID_MAX);
	}
	address->id = (uint16_t)value;
	return 0;
}

/* Whether one host can own the address: not a network, loopback, group or broadcast. */
static bool
ip_is_host(uint32_t ip)
{
	uint32_t first = ip >> 24;
	return first != 0 && first != 127 && first < 224 && ip != 0x0a000000 && ip != 0x0affffff;
}

static uint32_t
mac_tail(const uint8_t mac[6])
{
	return (uint32_t)mac[3] << 16 | (uint32_t)mac[4] << 8 | mac[5];
}

/* One pair of words after the address: "ip A.B.C.D" or "port P". */
static int
parse_extra(
    const struct parser *parser, struct text key, struct text word, struct cluster_address *address)
{
	uint64_t port;
	if (text_equal(key, "ip")) {
		if (address->ip != 0)
			return fail(parser, "'ip' is given twice; remove one");
		if (text_parse_ip(word, &address->ip) != 0 || !ip_is_host(address->ip)) {
			return fail(parser,
			    "bad ip '%.*s'; give a host's IPv4 address, "
			    "as in 192.0.2.10",
			    SHOW(word));
		}
		return 0;
	}
	if (!text_equal(key, "port")) {
		return fail(parser,
		    "unknown word '%.*s'; after the address may stand "
		    "'ip A.B.C.D' and 'port P'",
		    SHOW(key));
	}
	if (address->port != 0)
		return fail(parser, "'port' is given twice; remove one");
	if (text_parse_count(word, PORT_MAX, &port) != 0 || port == 0) {
		return fail(
		    parser, "bad port '%.*s'; give a whole number 1..%d", SHOW(word), PORT_MAX);
	}
	address->port = (uint16_t)port;
	return 0;
}

/* Every replica must be told from every other, as a frame and as a datagram. */
static int
check_unique(const struct parser *parser, const struct cluster_address *address)
{
	for (uint32_t i = 0; i < parser->file->replicas_count; i++) {
		const struct cluster_address *other = &parser->file->replicas[i];
		int line = parser->replica_lines[i];
		if (memcmp(other->mac, address->mac, 6) == 0 && other->id == address->id) {
			return fail(parser,
			    "same address as replica %u in line %d; give each "
			    "replica a MAC%%ID of its own",
			    i, line);
		}
		if (other->ip == address->ip && other->port == address->port) {
			return fail(parser,
			    "same ip and port (%u.%u.%u.%u:%u) as replica %u in "
			    "line %d; give one of them another 'ip' or 'port'",
			    address->ip >> 24, address->ip >> 16 & 255, address->ip >> 8 & 255,
			    address->ip & 255, address->port, i, line);
		}
	}
	return 0;
}

static int
parse_replica(struct parser *parser, const struct words *words)
{
	struct cluster_file *file = parser->file;
	struct cluster_address address = {0};
	if (file->replicas_count == LIMIT_REPLICAS)
		return fail(parser, "more than %d replicas; remove some", LIMIT_REPLICAS);
	if (words->count < 2 || words->count % 2 != 0) {
		return fail(parser, "'replica' is incomplete; write "
				    "'replica MAC%%ID [ip A.B.C.D] [port P]'");
	}
	int result = parse_address(parser, words->list[1], &address);
	if (result == 0 && (address.mac[0] & 1) != 0) {
		return fail(parser, "a replica's MAC must be unicast, this has the group bit; "
				    "give one with an even first byte");
	}
	if (result == 0 &&
	    (mac_tail(address.mac) | address.mac[0] | address.mac[1] | address.mac[2]) == 0)
		return fail(parser, "the MAC is all zero; give the port's own address");
	for (size_t i = 2; result == 0 && i < words->count; i += 2)
		result = parse_extra(parser, words->list[i], words->list[i + 1], &address);
	if (result != 0)
		return result;
	if (address.ip == 0)
		address.ip = 10u << 24 | mac_tail(address.mac);
	if (address.port == 0)
		address.port = CLUSTER_PORT;
	if (!ip_is_host(address.ip)) {
		return fail(parser, "the ip derived from this MAC is no host's address; "
				    "add 'ip A.B.C.D'");
	}
	result = check_unique(parser, &address);
	if (result != 0)
		return result;
	parser->replica_lines[file->replicas_count] = parser->line;
	file->replicas[file->replicas_count++] = address;
	return 0;
}

static int
parse_multicast(struct parser *parser, const struct words *words)
{
	struct cluster_address *address = &parser->file->multicast;
	if (claim_line(parser, &parser->multicast_line, "multicast") != 0)
		return -EINVAL;
	if (words->count != 2)
		return fail(parser, "'multicast' takes one address; write 'multicast MAC%%ID'");
	if (parse_address(parser, words->list[1], address) != 0)
		return -EINVAL;
	if ((address->mac[0] & 1) == 0) {
		return fail(parser, "the multicast MAC is a unicast one; give one with the group "
				    "bit (odd first byte), as in 01:00:5e:00:00:01");
	}
	address->ip = 239u << 24 | (mac_tail(address->mac) & 0x7fffff);
	address->port = CLUSTER_PORT;
	parser->file->has_multicast = true;
	return 0;
}

static int
parse_directive(struct parser *parser, const struct words *words)
{
	struct text directive = words->list[0];
	struct cluster_file *file = parser->file;
	if (text_equal(directive, "replica"))
		return parse_replica(parser, words);
	if (text_equal(directive, "multicast"))
		return parse_multicast(parser, words);
	if (text_equal(directive, "f")) {
		int result = claim_line(parser, &parser->f_line, "f");
		return result != 0 ? result
				   : parse_number(parser, words, 0, LIMIT_FAULTS, &file->f);
	}
	if (text_equal(directive, "instances")) {
		int result = claim_line(parser, &parser->instances_line, "instances");
		return result != 0
			   ? result
			   : parse_number(parser, words, 1, LIMIT_INSTANCES, &file->instances);
	}
	return fail(parser,
	    "unknown word '%.*s'; a line starts with f, replica, multicast, "
	    "instances or #",
	    SHOW(directive));
}

/* ---- lines ------------------------------------------------------------ */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits at blanks, up to the comment. Words beyond WORDS_MAX are left out. */
static struct words
split_words(struct text line)
{
	struct words words = {.count = 0};
	size_t at = 0;
	while (words.count < WORDS_MAX) {
		while (at < line.size && is_blank(line.data[at]))
			at++;
		size_t start = at;
		while (at < line.size && !is_blank(line.data[at]) && line.data[at] != '#')
			at++;
		if (at == start)
			break;
		words.list[words.count++] = (struct text){line.data + start, at - start};
	}
	return words;
}

static int
parse_line(struct parser *parser, struct text line)
{
	if (memchr(line.data, '\0', line.size) != NULL)
		return fail(parser, "the line has a NUL byte; save the file as plain text");
	if (line.size > LIMIT_CLUSTER_LINE_SIZE) {
		return fail(parser, "the line has %zu bytes; keep lines within %d", line.size,
		    LIMIT_CLUSTER_LINE_SIZE);
	}
	struct words words = split_words(line);
	if (words.count == 0)
		return 0;
	if (words.count == WORDS_MAX) {
		return fail(parser, "too many words after '%.*s'; start comments with #",
		    SHOW(words.list[0]));
	}
	return parse_directive(parser, &words);
}

static int
parse_lines(struct parser *parser, struct text text)
{
	if (text.size > LIMIT_CLUSTER_FILE_SIZE) {
		return fail_at(parser, 1, "the file has %zu bytes; at most %d are read", text.size,
		    LIMIT_CLUSTER_FILE_SIZE);
	}
	for (size_t at = 0; at < text.size;) {
		const char *start = text.data + at;
		const char *end = memchr(start, '\n', text.size - at);
		size_t size = end != NULL ? (size_t)(end - start) : text.size - at;
		at += size + (end != NULL);
		if (size > 0 && start[size - 1] == '\r')
			size--;
		parser->line++;
		int result = parse_line(parser, (struct text){start, size});
		if (result != 0)
			return result;
	}
	return 0;
}

/* ---- the whole -------------------------------------------------------- */

static int
check_whole(struct parser *parser, struct cluster_need need)
{
	const struct cluster_file *file = parser->file;
	int last = parser->line > 0 ? parser->line : 1;
	check(need.replicas_per_fault <= LIMIT_REPLICAS);
	check(need.replicas_base >= 1 && need.replicas_base <= LIMIT_REPLICAS);
	if (parser->f_line == 0)
		return fail_at(parser, last, "'f' is missing; add a line 'f 1'");
	uint32_t least = need.replicas_per_fault * file->f + need.replicas_base;
	if (least > LIMIT_REPLICAS) {
		return fail_at(parser, parser->f_line,
		    "f %u needs %u replicas with this protocol, and %d are the most; lower f",
		    file->f, least, LIMIT_REPLICAS);
	}
	if (file->replicas_count < least) {
		bool lower = need.replicas_per_fault > 0 && file->f > 0;
		return fail_at(parser, parser->f_line,
		    "%u replicas are too few: f %u needs %u with this protocol; add %u "
		    "'replica' lines%s",
		    file->replicas_count, file->f, least, least - file->replicas_count,
		    lower ? " or lower f" : "");
	}
	return 0;
}

/* ---- files ------------------------------------------------------------ */

/* Sets the error about the file as a whole. Returns `result`. */
static int
fail_file(struct config_error *error, const char *path, const char *what, int result)
{
	config_error_set(error, 0, "%s: %s", name_end(path), what);
	return result;
}

static int
fail_errno(struct config_error *error, const char *path, int number)
{
	config_error_set(error, 0, "%s: cannot be read: %s; give the path of a cluster file",
	    name_end(path), strerror(number));
	return -number;
}

/* Reads at most `capacity` bytes of a regular file. Returns bytes or a negative errno. */
static ssize_t
read_file(int fd, char *data, size_t capacity)
{
	size_t size = 0;
	while (size < capacity) {
		ssize_t got = read(fd, data + size, capacity - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	return (ssize_t)size;
}

static int
load_open_file(struct cluster_file *file, const char *path, int fd, struct cluster_need need,
    struct config_error *error)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		return fail_errno(error, path, errno);
	if (!S_ISREG(status.st_mode)) {
		return fail_file(error, path,
		    "is not a regular file; give the path of a cluster file",
		    S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL);
	}
	size_t capacity = LIMIT_CLUSTER_FILE_SIZE + 1;
	char *text = malloc(capacity);
	if (text == NULL)
		return fail_errno(error, path, ENOMEM);
	ssize_t size = read_file(fd, text, capacity);
	int result;
	if (size < 0)
		result = fail_errno(error, path, (int)-size);
	else if (size > LIMIT_CLUSTER_FILE_SIZE)
		result = fail_file(
		    error, path, "is larger than 64 KiB; give the path of a cluster file", -EFBIG);
	else
		result = cluster_file_parse(file, path, text, (size_t)size, need, error);
	free(text);
	return result;
}

int
cluster_file_load(struct cluster_file *file, const char *path, struct cluster_need need,
    struct config_error *error)
{
	check(file != NULL);
	check(path != NULL);
	memset(file, 0, sizeof(*file));
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(error, path, errno);
	int result = load_open_file(file, path, fd, need, error);
	close(fd);
	return result;
}
