/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing and erasing secrets without telling an observer where they differ
 * and without the compiler removing the stores. Pure; any core.
 */
#include <string.h>

#include "crypto/crypto.h"

bool
crypto_equal(const void *a, const void *b, uint32_t size)
{
	const uint8_t *left = a;
	const uint8_t *right = b;
	uint64_t difference = 0;
	uint32_t at = 0;
	for (; size - at >= 8; at += 8) {
		uint64_t x, y;
		memcpy(&x, left + at, 8);
		memcpy(&y, right + at, 8);
		difference |= x ^ y;
	}
	for (; at < size; at++)
		difference |= (uint64_t)(left[at] ^ right[at]);
	/* Hides the value from the optimiser, which could else leave the loop early. */
	__asm__("" : "+r"(difference));
	return difference == 0;
}

void
crypto_erase(void *secret, uint32_t size)
{
	if (size == 0)
		return;
	memset(secret, 0, size);
	__asm__ volatile("" : : "r"(secret) : "memory");
}
