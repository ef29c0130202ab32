/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers and addresses from text. Pure; any core. */
#include "config/text.h"

#include "engine/check.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Appends one decimal digit to *value unless that would pass `max`. */
static int
append_digit(uint64_t *value, char digit, uint64_t max)
{
	uint64_t units = (uint64_t)(digit - '0');
	if (units > max || *value > (max - units) / 10)
		return -1;
	*value = *value * 10 + units;
	return 0;
}

int
text_parse_count(struct text text, uint64_t max, uint64_t *value)
{
	if (text.size > 0 && memchr(text.data, '.', text.size) != NULL)
		return -1;
	return text_parse_decimal(text, 1, max, value);
}

int
text_parse_decimal(struct text text, uint64_t scale, uint64_t max, uint64_t *value)
{
	check(scale >= 1);
	uint64_t sum = 0;
	size_t i = 0;
	for (; i < text.size && is_digit(text.data[i]); i++) {
		if (append_digit(&sum, text.data[i], max) != 0)
			return -1;
	}
	if (i == 0)
		return -1;
	if (i < text.size && text.data[i] == '.') {
		if (++i == text.size)
			return -1;
		for (; i < text.size && is_digit(text.data[i]); i++) {
			if (scale == 1 && text.data[i] != '0')
				return -1;
			if (scale > 1 && append_digit(&sum, text.data[i], max) != 0)
				return -1;
			scale = scale > 1 ? scale / 10 : 1;
		}
	}
	if (i != text.size)
		return -1;
	for (; scale > 1; scale /= 10) {
		if (append_digit(&sum, '0', max) != 0)
			return -1;
	}
	*value = sum;
	return 0;
}

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
text_parse_mac(struct text text, uint8_t mac[6])
{
	if (text.size != 17)
		return -1;
	for (size_t i = 0; i < 6; i++) {
		int high = hex_digit(text.data[3 * i]);
		int low = hex_digit(text.data[3 * i + 1]);
		if (high < 0 || low < 0 || (i < 5 && text.data[3 * i + 2] != ':'))
			return -1;
		mac[i] = (uint8_t)(high * 16 + low);
	}
	return 0;
}

int
text_parse_ip(struct text text, uint32_t *ip)
{
	uint32_t sum = 0;
	size_t at = 0;
	for (int i = 0; i < 4; i++) {
		size_t start = at;
		while (at < text.size && is_digit(text.data[at]))
			at++;
		uint64_t byte;
		struct text digits = {text.data + start, at - start};
		if (text_parse_count(digits, 255, &byte) != 0)
			return -1;
		if (digits.size > 1 && digits.data[0] == '0')
			return -1;
		if (i < 3 && (at == text.size || text.data[at++] != '.'))
			return -1;
		sum = sum << 8 | (uint32_t)byte;
	}
	if (at != text.size)
		return -1;
	*ip = sum;
	return 0;
}
