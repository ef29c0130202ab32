/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target on the files named, once each, and on every prefix of
 * those of up to PREFIXES_SIZE_MAX bytes: the corpus, and with it every crasher
 * ever found, is a regression test in any build. One thread.
 */
#include <stdio.h>

#include "fuzz.h"

enum { INPUT_SIZE_MAX = 1 << 20, PREFIXES_SIZE_MAX = 256 };

static int
replay(const char *path)
{
	static uint8_t bytes[INPUT_SIZE_MAX];
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return 1;
	}
	size_t size = fread(bytes, 1, sizeof(bytes), file);
	if (ferror(file) || fgetc(file) != EOF) {
		fprintf(stderr, "%s: cannot be read, or is above %d bytes\n", path, INPUT_SIZE_MAX);
		fclose(file);
		return 1;
	}
	fclose(file);
	for (size_t prefix = size <= PREFIXES_SIZE_MAX ? 0 : size; prefix <= size; prefix++) {
		uint8_t *copy = fuzz_copy(bytes, prefix);
		int status = LLVMFuzzerTestOneInput(copy, prefix);
		free(copy);
		check(status == 0);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	int status = 0;
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		status |= replay(argv[i]);
	printf("%d inputs replayed\n", argc - 1);
	return status;
}
