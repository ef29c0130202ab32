/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from hexadecimal text, for tables of test vectors. Pure; any core. */
#ifndef OSKR_TESTS_VECTORS_HEX_H
#define OSKR_TESTS_VECTORS_HEX_H

#include <stdint.h>
#include <string.h>

#include "engine/check.h"

static inline uint8_t
hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found = c == '\0' ? NULL : strchr(digits, c);
	check(found != NULL);
	return (uint8_t)(found - digits);
}

/* Reads all of `text` into `bytes`, which holds `capacity`; returns how many bytes it is. */
static inline uint32_t
hex_read(const char *text, uint8_t *bytes, uint32_t capacity)
{
	uint32_t size = (uint32_t)strlen(text) / 2;
	check(size <= capacity);
	check(strlen(text) % 2 == 0);
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return size;
}

#endif
