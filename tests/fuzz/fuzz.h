/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share: the input as a reader, and copies of exact size,
 * so that the address sanitizer sees every byte read too far. A target is one
 * file with LLVMFuzzerTestOneInput; libFuzzer drives it in fuzzing builds, and
 * replay.c in all builds. One thread.
 */
#ifndef OSKR_TESTS_FUZZ_H
#define OSKR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

/* Returns 0. Leaves nothing behind that a later input could notice. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The input, read from its start; zeroes behind its end. */
struct fuzz_reader {
	const uint8_t *bytes;
	size_t size;
};

/* Takes `size` bytes: what is there goes to `to`, the rest of which is zeroed. */
static inline void
fuzz_take_bytes(struct fuzz_reader *in, void *to, size_t size)
{
	size_t got = size < in->size ? size : in->size;
	memset(to, 0, size);
	if (got > 0)
		memcpy(to, in->bytes, got);
	in->bytes += got;
	in->size -= got;
}

/* Takes a little-endian number of up to 8 bytes. */
static inline uint64_t
fuzz_take(struct fuzz_reader *in, size_t size)
{
	uint64_t value = 0;
	fuzz_take_bytes(in, &value, size);
	return value;
}

/* Takes a number below `bound`, which is at most 65536. */
static inline uint32_t
fuzz_below(struct fuzz_reader *in, uint32_t bound)
{
	return (uint32_t)fuzz_take(in, bound > 256 ? 2 : 1) % bound;
}

/* A copy with nothing behind its end. free() it. */
static inline uint8_t *
fuzz_copy(const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	check(copy != NULL);
	if (size > 0)
		memcpy(copy, bytes, size);
	return copy;
}

/* Reads every byte, which the compiler must not leave out. */
static inline void
fuzz_touch(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	__asm__ volatile("" ::"r"(sum));
}

#endif
