/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/pages.c: what was written stays as it was, what nobody has touched stays
 * away, and where the kernel offers large pages they are there. One process.
 */
#include "lcore/pages.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit.h"

enum { MAPPING = 16 << 20, TOUCHED = 8 << 20, LARGE = 2 << 20, PAGE = 4096 };

static uint8_t *
mapping_take(void)
{
	uint8_t *at =
	    mmap(NULL, MAPPING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(at != MAP_FAILED);
	for (uint32_t i = 0; i < TOUCHED; i += PAGE)
		at[i + i / PAGE % PAGE] = (uint8_t)(1 + i / PAGE % 255);
	return at;
}

static bool
mapping_holds(const uint8_t *at)
{
	for (uint32_t i = 0; i < TOUCHED; i += PAGE) {
		if (at[i + i / PAGE % PAGE] != (uint8_t)(1 + i / PAGE % 255))
			return false;
	}
	return true;
}

static uint32_t
pages_present(uint8_t *at, uint32_t size)
{
	static unsigned char present[MAPPING / PAGE];
	uint32_t count = 0;
	CU_ASSERT_FATAL(mincore(at, size, present) == 0);
	for (uint32_t i = 0; i < size / PAGE; i++)
		count += present[i] & 1;
	return count;
}

/* The kernel's own opinion: MADV_COLLAPSE of memory that is fit for it. */
static bool
kernel_offers(void)
{
	uint8_t *at = mapping_take();
	uintptr_t first = ((uintptr_t)at + LARGE - 1) & ~(uintptr_t)(LARGE - 1);
	bool offered = madvise((void *)first, LARGE, 25) == 0;
	munmap(at, MAPPING);
	return offered;
}

static void
contents_stay_and_the_untouched_stays_away(void)
{
	uint8_t *at = mapping_take();
	uint64_t moved = pages_enlarge();
	CU_ASSERT(mapping_holds(at));
	CU_ASSERT_EQUAL(moved % LARGE, 0);
	/* The large page in which the touched part ends may come whole. */
	CU_ASSERT_EQUAL(pages_present(at + TOUCHED + LARGE, MAPPING - TOUCHED - LARGE), 0);
	if (kernel_offers())
		CU_ASSERT(moved >= TOUCHED - LARGE);
	munmap(at, MAPPING);
}

/* Again, when all is large: nothing breaks, and nothing is counted that was not moved then. */
static void
twice_is_harmless(void)
{
	uint8_t *at = mapping_take();
	pages_enlarge();
	pages_enlarge();
	CU_ASSERT(mapping_holds(at));
	at[MAPPING - 1] = 1;
	CU_ASSERT_EQUAL(at[MAPPING - 1], 1);
	munmap(at, MAPPING);
}

static const struct unit_story stories[] = {
    {"contents stay, and the untouched stays away", contents_stay_and_the_untouched_stays_away},
    {"twice is harmless", twice_is_harmless},
};

UNIT_MAIN("pages", stories)
