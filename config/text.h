/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict reading of short texts that people write: all of the text must be
 * the value, or it is refused. No locale, no sign, no exponent. Pure
 * functions over memory; used at start, on any core.
 */
#ifndef OSKR_CONFIG_TEXT_H
#define OSKR_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of bytes that need not end in NUL; what it points to is not owned. */
struct text {
	const char *data;
	size_t size;
};

static inline struct text
text_of(const char *string)
{
	return (struct text){string, strlen(string)};
}

static inline bool
text_equal(struct text text, const char *string)
{
	return text.size == strlen(string) && memcmp(text.data, string, text.size) == 0;
}

/* Decimal digits alone, at most `max`: 0, or -1 and *value untouched. */
int text_parse_count(struct text text, uint64_t max, uint64_t *value);

/*
 * Digits with an optional fraction, in units of 1/scale: "1.5" at scale 1000
 * is 1500. `scale` is a power of ten; digits beyond it must be zeroes, so
 * that nothing is rounded. 0, or -1 and *value untouched.
 */
int text_parse_decimal(struct text text, uint64_t scale, uint64_t max, uint64_t *value);

/* Six pairs of hexadecimal digits with colons between: 0, or -1. */
int text_parse_mac(struct text text, uint8_t mac[6]);

/* Four numbers 0..255 with dots between, no leading zeroes, host order: 0, or -1. */
int text_parse_ip(struct text text, uint32_t *ip);

#endif
