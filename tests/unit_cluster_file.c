/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/cluster_file.c: files that load, files that must not with the line
 * and the fix each time, every truncation, mutations, and what is no file.
 * Texts are parsed from buffers of their exact size, so that ASan sees every
 * overrun.
 */
#include "config/cluster_file.h"

#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct cluster_need need_3f1 = {3, 1};
static const struct cluster_need need_one = {0, 1};

#define R0   "replica 12:34:56:aa:aa:aa%0\n"
#define R1   "replica 12:34:56:bb:bb:bb%0\n"
#define R2   "replica 12:34:56:cc:cc:cc%0\n"
#define R3   "replica 12:34:56:dd:dd:dd%0\n"
#define QUAD "f 1\n" R0 R1 R2 R3

/* The form that earlier files have: MACs alone. */
static const char seed_form[] = QUAD "multicast 01:00:5e:00:00:01%255\n";

static const char every_word[] = "# four replicas\r\n"
				 "\t f  1 # one fault\r\n"
				 "\r\n"
				 "replica 12:34:56:AA:aa:0f%0 ip 192.0.2.10 port 7001\r\n"
				 "replica 12:34:56:aa:aa:0f%1 port 65535 ip 192.0.2.10\r\n"
				 "replica 12:34:56:cc:cc:cc%65534 ip 192.0.2.12#comment\r\n"
				 "   replica\t02:00:00:00:00:01%7\tport\t1\r\n"
				 "replica 02:00:00:01:02:03%00\r\n"
				 "multicast ff:ff:ff:ff:ff:ff%0\r\n"
				 "instances 64\r\n"
				 "# the end";

/* Parses from an exact-size copy of the bytes. */
static int
parse(struct cluster_file *file, const char *text, size_t size, struct cluster_need need,
    struct config_error *error)
{
	char *copy = malloc(size > 0 ? size : 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, text, size);
	memset(error, 0x55, sizeof(*error));
	int result = cluster_file_parse(file, "quad", size > 0 ? copy : NULL, size, need, error);
	free(copy);
	return result;
}

static int
all_zero(const struct cluster_file *file)
{
	const unsigned char *bytes = (const unsigned char *)file;
	for (size_t i = 0; i < sizeof(*file); i++) {
		if (bytes[i] != 0)
			return 0;
	}
	return 1;
}

/* What every refusal has: one printable line that begins with the file and the line. */
static void
assert_refusal(const struct cluster_file *file, const struct config_error *error)
{
	char prefix[32];
	snprintf(prefix, sizeof(prefix), "quad:%d: ", error->line);
	CU_ASSERT(error->line >= 1);
	CU_ASSERT(strncmp(error->text, prefix, strlen(prefix)) == 0);
	CU_ASSERT(strlen(error->text) > strlen(prefix) + 10);
	const char *c = error->text;
	while (*c >= ' ' && *c <= '~')
		c++;
	CU_ASSERT_EQUAL(*c, '\0');
	CU_ASSERT(all_zero(file));
}

static void
the_seed_form_loads(void)
{
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(parse(&file, seed_form, strlen(seed_form), need_3f1, &error), 0);
	CU_ASSERT_STRING_EQUAL(error.text, "");
	CU_ASSERT_EQUAL(file.f, 1);
	CU_ASSERT_EQUAL(file.replicas_count, 4);
	CU_ASSERT_EQUAL(file.instances, 1);
	CU_ASSERT_TRUE(file.has_multicast);
	CU_ASSERT_EQUAL(file.multicast.id, 255);
	CU_ASSERT_EQUAL(file.multicast.ip, 0xef000001);
	static const uint8_t mac_2[6] = {0x12, 0x34, 0x56, 0xcc, 0xcc, 0xcc};
	CU_ASSERT_EQUAL(memcmp(file.replicas[2].mac, mac_2, 6), 0);
	CU_ASSERT_EQUAL(file.replicas[2].ip, 0x0acccccc);
	CU_ASSERT_EQUAL(file.replicas[2].port, 7000);
	CU_ASSERT_EQUAL(file.replicas[2].id, 0);
}

static void
every_word_is_understood(void)
{
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(parse(&file, every_word, strlen(every_word), need_3f1, &error), 0);
	CU_ASSERT_EQUAL(file.f, 1);
	CU_ASSERT_EQUAL(file.replicas_count, 5);
	CU_ASSERT_EQUAL(file.instances, 64);
	CU_ASSERT_EQUAL(file.replicas[0].ip, 0xc000020a);
	CU_ASSERT_EQUAL(file.replicas[0].port, 7001);
	CU_ASSERT_EQUAL(file.replicas[1].port, 65535);
	CU_ASSERT_EQUAL(file.replicas[1].id, 1);
	CU_ASSERT_EQUAL(file.replicas[2].id, 65534);
	CU_ASSERT_EQUAL(file.replicas[2].ip, 0xc000020c);
	CU_ASSERT_EQUAL(file.replicas[3].ip, 0x0a000001);
	CU_ASSERT_EQUAL(file.replicas[3].port, 1);
	CU_ASSERT_EQUAL(file.replicas[4].ip, 0x0a010203);
	CU_ASSERT_EQUAL(file.multicast.mac[0], 0xff);
	CU_ASSERT_EQUAL(file.multicast.ip, 0xef7fffff);
}

static void
the_need_is_the_protocols(void)
{
	static const char one[] = "f 1\n" R0;
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(parse(&file, one, strlen(one), need_one, &error), 0);
	CU_ASSERT_FALSE(file.has_multicast);
	CU_ASSERT_EQUAL(parse(&file, one, strlen(one), need_3f1, &error), -EINVAL);
	static const char three[] = "f 1\n" R0 R1 R2;
	CU_ASSERT_EQUAL(parse(&file, three, strlen(three), (struct cluster_need){2, 1}, &error), 0);
	CU_ASSERT_EQUAL(parse(&file, three, strlen(three), need_3f1, &error), -EINVAL);
	static const char zero[] = "f 0\n" R0;
	CU_ASSERT_EQUAL(parse(&file, zero, strlen(zero), need_3f1, &error), 0);
	CU_ASSERT_EQUAL(file.f, 0);
}

#define TEXT_64	 "#123456789012345678901234567890123456789012345678901234567890123"
#define LINE_256 TEXT_64 TEXT_64 TEXT_64 TEXT_64

struct broken_file {
	const char *text;
	int line;
	const char *what; /* must occur in the message, as must `fix` */
	const char *fix;
};

static const struct broken_file broken_files[] = {
    /* the whole */
    {"", 1, "'f' is missing", "add a line 'f 1'"},
    {"\n\n", 2, "'f' is missing", "add a line"},
    {R0 R1 R2 R3, 4, "'f' is missing", "add a line"},
    {"f 1\n", 1, "0 replicas are too few", "add 4 'replica' lines"},
    {R0 "f 1\n" R1 R2, 2, "3 replicas are too few", "add 1 'replica' lines or lower f"},
    {"f 0\n", 1, "too few", "add 1 'replica' lines"},
    {"# a\nf 2\n" R0 R1 R2 R3, 2, "f 2 needs 7", "lower f"},
    {"f 22\n" R0, 1, "needs 67 replicas", "lower f"},
    /* words */
    {"g 1\n", 1, "unknown word 'g'", "starts with f, replica"},
    {"F 1\n", 1, "unknown word 'F'", "starts with f"},
    {QUAD "replicas 4\n", 6, "unknown word 'replicas'", "starts with f"},
    {"\xef\xbb\xbf"
     "f 1\n",
	1, "unknown word '???f'", "starts with f"},
    {"f 1\rreplica\n", 1, "bad f '1?replica'", "whole number 0..31"},
    {"f\v1\n", 1, "unknown word 'f?1'", "starts with f"},
    {"\x1b[31mf 1\n", 1, "unknown word '?[31mf'", "starts with f"},
    {"{\"f\": 1}\n", 1, "unknown word '{\"f\":'", "starts with f"},
    /* f */
    {"f\n", 1, "'f' takes one number", "write 'f N'"},
    {"f 1 1\n", 1, "'f' takes one number", "write 'f N'"},
    {"\nf x\n", 2, "bad f 'x'", "0..31"},
    {"f -1\n", 1, "bad f '-1'", "0..31"},
    {"f +1\n", 1, "bad f '+1'", "0..31"},
    {"f 1.0\n", 1, "bad f '1.0'", "0..31"},
    {"f 0x1\n", 1, "bad f '0x1'", "0..31"},
    {"f 32\n", 1, "bad f '32'", "0..31"},
    {"f 18446744073709551617\n", 1, "bad f '18446744073709551617'", "0..31"},
    {"f 1\n\nf 1\n", 3, "'f' was already given in line 1", "remove one"},
    /* replica */
    {"f 1\nreplica\n", 2, "incomplete", "write 'replica MAC%ID"},
    {"f 1\nreplica 12:34:56:aa:aa:aa\n", 2, "no device id", "MAC%ID"},
    {"f 1\nreplica 12:34:56:aa:aa%0\n", 2, "bad MAC '12:34:56:aa:aa'", "six pairs"},
    {"f 1\nreplica 12:34:56:aa:aa:ag%0\n", 2, "bad MAC", "six pairs"},
    {"f 1\nreplica 12-34-56-aa-aa-aa%0\n", 2, "bad MAC", "six pairs"},
    {"f 1\nreplica 2:34:56:aa:aa:aa%0\n", 2, "bad MAC", "six pairs"},
    {"f 1\nreplica 12:34:56:aa:aa:aa:aa%0\n", 2, "bad MAC", "six pairs"},
    {"f 1\nreplica %0\n", 2, "bad MAC ''", "six pairs"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%\n", 2, "bad device id ''", "0..65534"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%65535\n", 2, "bad device id '65535'", "0..65534"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%-1\n", 2, "bad device id '-1'", "0..65534"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0%1\n", 2, "bad device id '0%1'", "0..65534"},
    {"f 1\nreplica 01:00:5e:00:00:01%0\n", 2, "must be unicast", "even first byte"},
    {"f 1\nreplica 00:00:00:00:00:00%0\n", 2, "all zero", "port's own address"},
    {QUAD R1, 6, "same address as replica 1 in line 3", "of its own"},
    {"f 1\n" R0 "replica 12:34:56:AA:AA:AA%0 ip 192.0.2.1\n", 3, "same address as replica 0",
	"of its own"},
    {"f 1\n" R0 "replica 12:34:56:aa:aa:aa%1\n", 3,
	"same ip and port (10.170.170.170:7000) as replica 0 in line 2", "another 'ip' or 'port'"},
    {"f 1\n" R0 "replica 12:34:99:aa:aa:aa%0\n", 3, "same ip and port", "another 'ip'"},
    {"f 1\n" R0 "replica 12:34:56:bb:bb:bb%0 ip 10.170.170.170\n", 3, "same ip and port",
	"another 'ip'"},
    {"f 1\nreplica 12:34:56:ff:ff:ff%0\n", 2, "derived from this MAC", "add 'ip A.B.C.D'"},
    {"f 1\nreplica 12:34:56:00:00:00%0\n", 2, "derived from this MAC", "add 'ip A.B.C.D'"},
    /* ip and port */
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip\n", 2, "incomplete", "[ip A.B.C.D]"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 192.0.2.1 7\n", 2, "unknown word '192.0.2.1'",
	"'ip A.B.C.D'"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 192.0.2\n", 2, "bad ip '192.0.2'", "192.0.2.10"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 192.0.2.1.\n", 2, "bad ip '192.0.2.1.'", "192.0.2.10"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 192.0.2.256\n", 2, "bad ip", "192.0.2.10"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 192.0.02.1\n", 2, "bad ip", "192.0.2.10"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 0.0.0.0\n", 2, "bad ip '0.0.0.0'", "192.0.2.10"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 127.0.0.1\n", 2, "bad ip '127.0.0.1'", "host's"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 224.0.0.1\n", 2, "bad ip '224.0.0.1'", "host's"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip ::1\n", 2, "bad ip '::1'", "IPv4"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 192.0.2.1 ip 192.0.2.2\n", 2, "'ip' is given twice",
	"remove one"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 port 1 port 2\n", 2, "'port' is given twice", "remove one"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 port 0\n", 2, "bad port '0'", "1..65535"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 port 65536\n", 2, "bad port '65536'", "1..65535"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 port 70a\n", 2, "bad port '70a'", "1..65535"},
    {"f 1\nreplica 12:34:56:aa:aa:aa%0 ip 192.0.2.1 port 1 x y\n", 2, "too many words",
	"comments with #"},
    /* multicast and instances */
    {QUAD "multicast\n", 6, "'multicast' takes one address", "write 'multicast MAC%ID'"},
    {QUAD "multicast 01:00:5e:00:00:01%255 ip 224.0.0.1\n", 6, "takes one address",
	"write 'multicast MAC%ID'"},
    {QUAD "multicast 01:00:5e:00:00:01\n", 6, "no device id", "MAC%ID"},
    {QUAD "multicast 12:34:56:00:00:01%255\n", 6, "unicast", "group bit"},
    {QUAD "multicast 01:00:5e:00:00:01%65535\n", 6, "bad device id", "0..65534"},
    {QUAD "multicast 01:00:5e:00:00:01%255\nmulticast 01:00:5e:00:00:01%255\n", 7,
	"'multicast' was already given in line 6", "remove one"},
    {QUAD "instances 0\n", 6, "bad instances '0'", "1..64"},
    {QUAD "instances 65\n", 6, "bad instances '65'", "1..64"},
    {QUAD "instances\n", 6, "'instances' takes one number", "write 'instances N'"},
    {QUAD "instances 2\ninstances 2\n", 7, "'instances' was already given in line 6", "remove one"},
    /* lines */
    {QUAD LINE_256 "x\n", 6, "has 257 bytes", "within 256"},
    {QUAD " " LINE_256, 6, "has 257 bytes", "within 256"},
};

static void
broken_files_are_refused(void)
{
	size_t count = sizeof(broken_files) / sizeof(broken_files[0]);
	CU_ASSERT(count >= 40);
	for (size_t i = 0; i < count; i++) {
		const struct broken_file *broken = &broken_files[i];
		struct cluster_file file;
		struct config_error error;
		int result = parse(&file, broken->text, strlen(broken->text), need_3f1, &error);
		CU_ASSERT_EQUAL(result, -EINVAL);
		if (result == 0)
			continue;
		assert_refusal(&file, &error);
		CU_ASSERT_EQUAL(error.line, broken->line);
		CU_ASSERT_PTR_NOT_NULL(strstr(error.text, broken->what));
		CU_ASSERT_PTR_NOT_NULL(strstr(error.text, broken->fix));
		if (error.line != broken->line || strstr(error.text, broken->what) == NULL ||
		    strstr(error.text, broken->fix) == NULL)
			printf("\n  case %zu, line %d: %s\n", i, broken->line, error.text);
	}
}

static void
limits_themselves_are_accepted(void)
{
	static const char longest[] = QUAD LINE_256 "\r\n" LINE_256;
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(strlen(LINE_256), LIMIT_CLUSTER_LINE_SIZE);
	CU_ASSERT_EQUAL(parse(&file, longest, strlen(longest), need_3f1, &error), 0);
	char text[65 * 40];
	size_t size = (size_t)snprintf(text, sizeof(text), "f 21\n");
	for (unsigned int i = 0; i < 64; i++) {
		size += (size_t)snprintf(
		    text + size, sizeof(text) - size, "replica 02:00:00:00:01:%02x%%0\n", i);
	}
	CU_ASSERT_EQUAL(parse(&file, text, size, need_3f1, &error), 0);
	CU_ASSERT_EQUAL(file.replicas_count, 64);
	CU_ASSERT_EQUAL(file.replicas[63].ip, 0x0a00013f);
	size +=
	    (size_t)snprintf(text + size, sizeof(text) - size, "replica 02:00:00:00:02:00%%0\n");
	CU_ASSERT_EQUAL(parse(&file, text, size, need_3f1, &error), -EINVAL);
	assert_refusal(&file, &error);
	CU_ASSERT_EQUAL(error.line, 66);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "more than 64 replicas"));
}

static void
nul_bytes_are_refused(void)
{
	static const char in_word[] = "f 1\nrep\0lica\n";
	static const char in_comment[] = "f 1\n\n# \0\n";
	static const char at_end[] = QUAD;
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(parse(&file, in_word, sizeof(in_word) - 1, need_one, &error), -EINVAL);
	CU_ASSERT_EQUAL(error.line, 2);
	CU_ASSERT_EQUAL(
	    parse(&file, in_comment, sizeof(in_comment) - 1, need_one, &error), -EINVAL);
	CU_ASSERT_EQUAL(error.line, 3);
	CU_ASSERT_EQUAL(parse(&file, at_end, sizeof(at_end), need_one, &error), -EINVAL);
	CU_ASSERT_EQUAL(error.line, 6);
	assert_refusal(&file, &error);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "NUL byte; save the file as plain text"));
}

/* Whether a prefix of `whole` ends where a line could: told from its last line alone. */
static int
ends_whole(const char *text, size_t size)
{
	static const char *const whole_lines[] = {"", "replica 12:34:56:dd:dd:dd%0",
	    "multicast 01:00:5e:00:00:01%2", "multicast 01:00:5e:00:00:01%25",
	    "multicast 01:00:5e:00:00:01%255", "instances 1", "instances 16"};
	size_t start = size;
	while (start > 0 && text[start - 1] != '\n')
		start--;
	for (size_t i = 0; i < sizeof(whole_lines) / sizeof(whole_lines[0]); i++) {
		if (strlen(whole_lines[i]) == size - start &&
		    memcmp(whole_lines[i], text + start, size - start) == 0)
			return 1;
	}
	return 0;
}

static void
every_truncation_is_decided(void)
{
	static const char whole[] = QUAD "multicast 01:00:5e:00:00:01%255\ninstances 16\n";
	size_t last_replica = strlen("f 1\n" R0 R1 R2 R3) - 1;
	size_t accepted = 0;
	for (size_t size = 0; size < sizeof(whole); size++) {
		struct cluster_file file;
		struct config_error error;
		int expected = size >= last_replica && ends_whole(whole, size) ? 0 : -EINVAL;
		CU_ASSERT_EQUAL(parse(&file, whole, size, need_3f1, &error), expected);
		accepted += expected == 0;
		if (expected != 0)
			assert_refusal(&file, &error);
	}
	CU_ASSERT_EQUAL(accepted, 9);
	for (size_t size = 0; size < sizeof(every_word); size++) {
		struct cluster_file file;
		struct config_error error;
		if (parse(&file, every_word, size, need_3f1, &error) != 0)
			assert_refusal(&file, &error);
	}
}

/* Each byte replaced by each other value: decided, and what loads keeps its bounds. */
static void
mutations_are_decided(void)
{
	char text[sizeof(every_word)];
	size_t refused = 0;
	for (size_t at = 0; at < sizeof(every_word) - 1; at++) {
		memcpy(text, every_word, sizeof(text));
		for (int byte = 0; byte < 256; byte++) {
			struct cluster_file file;
			struct config_error error;
			text[at] = (char)byte;
			if (parse(&file, text, sizeof(text) - 1, need_3f1, &error) != 0) {
				assert_refusal(&file, &error);
				refused++;
				continue;
			}
			CU_ASSERT(file.f <= LIMIT_FAULTS);
			CU_ASSERT(file.replicas_count >= 3 * file.f + 1);
			CU_ASSERT(file.replicas_count <= LIMIT_REPLICAS);
			CU_ASSERT(file.instances >= 1 && file.instances <= LIMIT_INSTANCES);
		}
	}
	CU_ASSERT(refused > 10000);
}

/* ---- files ------------------------------------------------------------ */

static void
write_file(const char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(text, 1, size, file), size);
	fclose(file);
}

static void
assert_load_fails(const char *path, int expected, int line, const char *what)
{
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(cluster_file_load(&file, path, need_3f1, &error), expected);
	CU_ASSERT_EQUAL(error.line, line);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, what));
	CU_ASSERT_PTR_NULL(strchr(error.text, '\n'));
	CU_ASSERT(all_zero(&file));
}

static void
only_regular_files_load(void)
{
	char folder[] = "/tmp/unit_cluster_file.XXXXXX";
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/quad", folder);
	assert_load_fails(path, -ENOENT, 0, "No such file or directory; give the path");
	assert_load_fails(folder, -EISDIR, 0, "is not a regular file; give the path");
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	assert_load_fails(path, -EINVAL, 0, "is not a regular file");
	unlink(path);
	assert_load_fails("/dev/zero", -EINVAL, 0, "is not a regular file");
	write_file(path, "f 1\nx\n", 6);
	assert_load_fails(path, -EINVAL, 2, "/quad:2: unknown word 'x'");
	write_file(path, "", 0);
	assert_load_fails(path, -EINVAL, 1, "/quad:1: 'f' is missing");

	char *text = malloc(LIMIT_CLUSTER_FILE_SIZE + 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	memset(text, '\n', LIMIT_CLUSTER_FILE_SIZE + 1);
	memcpy(text, seed_form, strlen(seed_form));
	write_file(path, text, LIMIT_CLUSTER_FILE_SIZE + 1);
	assert_load_fails(path, -EFBIG, 0, "larger than 64 KiB");
	write_file(path, text, LIMIT_CLUSTER_FILE_SIZE);
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(cluster_file_load(&file, path, need_3f1, &error), 0);
	CU_ASSERT_EQUAL(file.replicas_count, 4);
	CU_ASSERT_EQUAL(parse(&file, text, LIMIT_CLUSTER_FILE_SIZE + 1, need_3f1, &error), -EINVAL);
	assert_refusal(&file, &error);
	free(text);
	unlink(path);
	rmdir(folder);
}

static void
a_long_path_leaves_room_for_the_message(void)
{
	char path[2000];
	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	struct cluster_file file;
	struct config_error error;
	CU_ASSERT_EQUAL(cluster_file_load(&file, path, need_3f1, &error), -ENAMETOOLONG);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "give the path of a cluster file"));
	CU_ASSERT_EQUAL(cluster_file_parse(&file, path, "f 1\nx\n", 6, need_3f1, &error), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, ":2: unknown word 'x'"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "instances or #"));
	CU_ASSERT_EQUAL(cluster_file_parse(&file, "quad", "x\n", 2, need_3f1, NULL), -EINVAL);
}

static const struct unit_story stories[] = {
    {"the seed's form loads unchanged", the_seed_form_loads},
    {"every word is understood", every_word_is_understood},
    {"the least n is the protocol's", the_need_is_the_protocols},
    {"broken files are refused with line and fix", broken_files_are_refused},
    {"limits themselves are accepted", limits_themselves_are_accepted},
    {"NUL bytes are refused", nul_bytes_are_refused},
    {"every truncation is decided", every_truncation_is_decided},
    {"mutations are decided", mutations_are_decided},
    {"only regular files load", only_regular_files_load},
    {"a long path leaves room for the message", a_long_path_leaves_room_for_the_message},
};

UNIT_MAIN("cluster_file", stories)
