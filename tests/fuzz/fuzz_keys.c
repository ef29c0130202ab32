/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: key files. The first byte says whether a private or a public key
 * is read, and whether the rest is the file as it is, or DER that is put into
 * PEM's armour first (so that the fuzzer need not find base64 by itself). A
 * refusal leaves no key behind; what is accepted is a key that works.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/ecdsa.h"
#include "crypto/keys.h"
#include "fuzz.h"

enum { FILE_SIZE_MAX = 20000 };

static char path[64];
static int file = -1;

/* One file in memory for all inputs, closed to others as a private key's must be. */
static void
file_open(void)
{
	file = memfd_create("oskr-fuzz-keys", 0);
	check(file >= 0);
	check(fchmod(file, 0600) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
}

static void
file_write(const void *bytes, size_t size)
{
	check(ftruncate(file, 0) == 0);
	check(pwrite(file, bytes, size, 0) == (ssize_t)size);
}

/* The armour of RFC 7468 around `size` bytes; returns the text's size. */
static size_t
armour(char *to, const uint8_t *der, size_t size, const char *label)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t at = (size_t)sprintf(to, "-----BEGIN %s-----\n", label);
	for (size_t i = 0; i < size; i += 3) {
		uint32_t word = 0;
		for (size_t j = 0; j < 3; j++)
			word = word << 8 | (i + j < size ? der[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			to[at++] = i + j > size ? '=' : digits[word >> (18 - 6 * j) & 63];
		if (i % 48 == 45)
			to[at++] = '\n';
	}
	return at + (size_t)sprintf(to + at, "\n-----END %s-----\n", label);
}

static void
read_secret(void)
{
	static const struct key_pair none;
	struct key_pair pair;
	struct ecdsa ecdsa;
	uint8_t public33[CRYPTO_PUBLIC_SIZE];
	char error[KEYS_ERROR_SIZE] = "";
	memset(&pair, 0x55, sizeof(pair));
	if (keys_load_secret(path, &pair, error) != 0) {
		check(memcmp(&pair, &none, sizeof(pair)) == 0);
		check(error[0] != '\0' && strchr(error, '\n') == NULL);
		return;
	}
	check(ecdsa_open(&ecdsa, pair.secret) == 0);
	ecdsa_own_public(&ecdsa, public33);
	ecdsa_close(&ecdsa);
	check(keys_match(path, &pair, public33, error) == 0);
}

static void
read_public(void)
{
	uint8_t public33[CRYPTO_PUBLIC_SIZE];
	char error[KEYS_ERROR_SIZE] = "";
	memset(public33, 0x55, sizeof(public33));
	if (keys_load_public(path, public33, error) != 0) {
		check(error[0] != '\0' && strchr(error, '\n') == NULL);
		return;
	}
	check(public33[0] == 2 || public33[0] == 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char text[2 * FILE_SIZE_MAX];
	static const char *const labels[4] = {
	    "PRIVATE KEY", "PUBLIC KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"};
	struct fuzz_reader in = {bytes, size};
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	if (in.size > FILE_SIZE_MAX)
		return 0;
	if (file < 0)
		file_open();
	if (how & 2)
		file_write(text, armour(text, in.bytes, in.size, labels[how >> 2 & 3]));
	else
		file_write(in.bytes, in.size);
	if (how & 1)
		read_public();
	else
		read_secret();
	return 0;
}
