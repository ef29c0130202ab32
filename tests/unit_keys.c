/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files: the project's own format loads, and each broken file gives one line
 * that names it and the fix. Takes the folder of the test keys as an argument of
 * the build (KEYS_FOLDER), else tests/vectors from where it runs.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/keys.h"
#include "tests/unit.h"

#ifndef KEYS_FOLDER
#define KEYS_FOLDER "tests/vectors"
#endif

enum { PATH_SIZE = 256 };

static char folder[] = "/tmp/oskr-keys-XXXXXX";

static void
folder_make(void)
{
	snprintf(folder, sizeof(folder), "/tmp/oskr-keys-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static void
folder_remove(void)
{
	char command[PATH_SIZE];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static void
write_file(const char *path, const char *bytes, size_t size, mode_t mode)
{
	FILE *file = fopen(path, "wb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(bytes, 1, size, file), size);
	CU_ASSERT_EQUAL(fclose(file), 0);
	CU_ASSERT_EQUAL(chmod(path, mode), 0);
}

/* Copies a checked-in key, of which only the first `limit` bytes, into the folder. */
static void
copy_key(const char *name, size_t limit, mode_t mode, char path[PATH_SIZE])
{
	char from[PATH_SIZE], bytes[4096];
	snprintf(from, sizeof(from), "%s/%s", KEYS_FOLDER, name);
	snprintf(path, PATH_SIZE, "%s/%s", folder, name);
	FILE *file = fopen(from, "rb");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	size_t size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	write_file(path, bytes, size < limit ? size : limit, mode);
}

static void
expect_line(const char *path, int status, const char *error, const char *part)
{
	CU_ASSERT(status < 0);
	CU_ASSERT_EQUAL(strncmp(error, path, strlen(path)), 0);
	CU_ASSERT_PTR_NULL(strchr(error, '\n'));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "; ")); /* the fix */
	CU_ASSERT_PTR_NOT_NULL(strstr(error, part));
	if (strstr(error, part) == NULL)
		printf("\n    expected \"%s\" in: %s\n", part, error);
}

static void
secret_refused(const char *path, const char *part)
{
	struct key_pair pair;
	const struct key_pair zero = {0};
	char error[KEYS_ERROR_SIZE] = "";
	memset(&pair, 0x77, sizeof(pair));
	expect_line(path, keys_load_secret(path, &pair, error), error, part);
	CU_ASSERT_EQUAL(memcmp(&pair, &zero, sizeof(pair)), 0);
}

static void
public_refused(const char *path, const char *part)
{
	uint8_t key[CRYPTO_PUBLIC_SIZE];
	char error[KEYS_ERROR_SIZE] = "";
	expect_line(path, keys_load_public(path, key, error), error, part);
}

static void
pairs(void)
{
	char path[PATH_SIZE], error[KEYS_ERROR_SIZE] = "";
	struct key_pair pair[2];
	uint8_t key[2][CRYPTO_PUBLIC_SIZE];
	folder_make();
	for (uint32_t i = 0; i < 2; i++) {
		char name[32];
		snprintf(name, sizeof(name), "test-%u.pem", i);
		copy_key(name, SIZE_MAX, 0600, path);
		CU_ASSERT_EQUAL(keys_load_secret(path, &pair[i], error), 0);
		CU_ASSERT_EQUAL(chmod(path, 0400), 0);
		CU_ASSERT_EQUAL(keys_load_secret(path, &pair[i], error), 0);
		snprintf(name, sizeof(name), "test-%u.pub", i);
		copy_key(name, SIZE_MAX, 0644, path);
		CU_ASSERT_EQUAL(keys_load_public(path, key[i], error), 0);
		CU_ASSERT_EQUAL(memcmp(pair[i].public33, key[i], sizeof(key[i])), 0);
		CU_ASSERT_EQUAL(keys_match(path, &pair[i], key[i], error), 0);
	}
	/* The same curve, spelt out instead of named. */
	struct key_pair spelt;
	copy_key("explicit.pem", SIZE_MAX, 0600, path);
	CU_ASSERT_EQUAL(keys_load_secret(path, &spelt, error), 0);
	CU_ASSERT_EQUAL(memcmp(&spelt, &pair[0], sizeof(spelt)), 0);
	CU_ASSERT_STRING_EQUAL(error, "");
	expect_line(path, keys_match(path, &pair[0], key[1], error), error, "does not belong");
	folder_remove();
}

/* The command that the documentation gives, where there is an openssl. */
static void
openssl_command(void)
{
	char command[1024], path[PATH_SIZE], error[KEYS_ERROR_SIZE] = "";
	struct key_pair pair;
	uint8_t key[CRYPTO_PUBLIC_SIZE];
	if (system("command -v openssl >/dev/null") != 0)
		return;
	folder_make();
	snprintf(command, sizeof(command),
	    "umask 077; cd %s && openssl ecparam -genkey -noout -name secp256k1 | "
	    "openssl pkcs8 -topk8 -nocrypt > n-0.pem && "
	    "openssl pkey -in n-0.pem -pubout > n-0.pub && "
	    "openssl ec -in n-0.pem -pubout -conv_form compressed > n-c.pub 2>/dev/null",
	    folder);
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
	snprintf(path, sizeof(path), "%s/n-0.pem", folder);
	CU_ASSERT_EQUAL(keys_load_secret(path, &pair, error), 0);
	snprintf(path, sizeof(path), "%s/n-0.pub", folder);
	CU_ASSERT_EQUAL(keys_load_public(path, key, error), 0);
	CU_ASSERT_EQUAL(memcmp(key, pair.public33, sizeof(key)), 0);
	snprintf(path, sizeof(path), "%s/n-c.pub", folder);
	CU_ASSERT_EQUAL(keys_load_public(path, key, error), 0);
	CU_ASSERT_EQUAL(memcmp(key, pair.public33, sizeof(key)), 0);
	CU_ASSERT_STRING_EQUAL(error, "");
	folder_remove();
}

/* What is wrong inside the file. */
static void
broken_contents(void)
{
	char path[PATH_SIZE];
	folder_make();
	copy_key("other-curve.pem", SIZE_MAX, 0600, path);
	secret_refused(path, "curve secp256k1");
	copy_key("other-kind.pem", SIZE_MAX, 0600, path);
	secret_refused(path, "curve secp256k1");
	copy_key("encrypted.pem", SIZE_MAX, 0600, path);
	secret_refused(path, "is encrypted");
	copy_key("mismatch.pem", SIZE_MAX, 0600, path);
	secret_refused(path, "not the private key's");
	copy_key("scalar.pem", SIZE_MAX, 0600, path);
	secret_refused(path, "");
	copy_key("test-0.pub", SIZE_MAX, 0600, path);
	secret_refused(path, "no private key");
	copy_key("test-0.pem", SIZE_MAX, 0600, path);
	public_refused(path, "no public key");
	copy_key("other-curve.pub", SIZE_MAX, 0600, path);
	public_refused(path, "curve secp256k1");
	write_file(path, "", 0, 0600);
	secret_refused(path, "is empty");
	public_refused(path, "is empty");
	write_file(path, "12:34:56:aa:aa:aa%0\n\0\xff\xfe", 23, 0600);
	secret_refused(path, "no private key");
	public_refused(path, "no public key");
	static const char armour[] =
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
	write_file(path, armour, sizeof(armour) - 1, 0600);
	secret_refused(path, "is damaged");
	static char large[20000];
	memset(large, 'x', sizeof(large));
	write_file(path, large, sizeof(large), 0600);
	secret_refused(path, "too large");
	folder_remove();
}

/* What is wrong about the file. */
static void
broken_files(void)
{
	char path[PATH_SIZE], link[PATH_SIZE];
	static const mode_t modes[] = {0640, 0604, 0660, 0644, 0610, 0601, 0777};
	folder_make();
	copy_key("test-0.pem", SIZE_MAX, 0600, path);
	snprintf(link, sizeof(link), "%s/link.pem", folder);
	CU_ASSERT_EQUAL(symlink(path, link), 0);
	secret_refused(link, "symbolic link");
	public_refused(link, "symbolic link");
	for (uint32_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		CU_ASSERT_EQUAL(chmod(path, modes[i]), 0);
		secret_refused(path, "chmod 600");
	}
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chmod(path, 0600), 0);
		CU_ASSERT_EQUAL(chown(path, 12345, (gid_t)-1), 0);
		secret_refused(path, "another user");
	}
	secret_refused(folder, "not a regular file");
	snprintf(path, sizeof(path), "%s/pipe", folder);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	secret_refused(path, "not a regular file");
	snprintf(path, sizeof(path), "%s/none.pem", folder);
	secret_refused(path, "No such file");
	public_refused(path, "No such file");
	folder_remove();
}

/* No shorter file loads, save that the last line end may be missing. */
static void
truncated(void)
{
	char path[PATH_SIZE], error[KEYS_ERROR_SIZE];
	struct key_pair pair;
	uint8_t key[CRYPTO_PUBLIC_SIZE];
	struct stat about;
	folder_make();
	copy_key("test-0.pem", SIZE_MAX, 0600, path);
	CU_ASSERT_EQUAL(stat(path, &about), 0);
	for (off_t size = 0; size < about.st_size - 1; size++) {
		copy_key("test-0.pem", (size_t)size, 0600, path);
		expect_line(path, keys_load_secret(path, &pair, error), error, "");
	}
	copy_key("test-0.pub", SIZE_MAX, 0600, path);
	CU_ASSERT_EQUAL(stat(path, &about), 0);
	for (off_t size = 0; size < about.st_size - 1; size++) {
		copy_key("test-0.pub", (size_t)size, 0600, path);
		expect_line(path, keys_load_public(path, key, error), error, "");
	}
	folder_remove();
}

static void
generated(void)
{
	struct key_pair pair[3], again;
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(keys_generate(&pair[i]), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(&pair[0], &pair[1], sizeof(pair[0])), 0);
	CU_ASSERT(pair[2].public33[0] == 2 || pair[2].public33[0] == 3);
	for (uint32_t i = 0; i < 3; i++)
		keys_generate_seeded(&pair[i], 1 + i / 2, i % 2);
	keys_generate_seeded(&again, 1, 1);
	CU_ASSERT_EQUAL(memcmp(&pair[1], &again, sizeof(again)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(&pair[0], &pair[1], sizeof(again)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(&pair[0], &pair[2], sizeof(again)), 0);
}

static const struct unit_story stories[] = {
    {"pairs load and match", pairs},
    {"openssl's command", openssl_command},
    {"broken contents", broken_contents},
    {"broken files", broken_files},
    {"every truncation", truncated},
    {"generated pairs", generated},
};

UNIT_MAIN("keys", stories)
