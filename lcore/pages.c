/* SPDX-License-Identifier: Apache-2.0 */
/* See pages.h. Main thread only. */
#include "lcore/pages.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { LINE_SIZE = 512 };

static const uint64_t LARGE = 2 << 20;
/* A sanitizer's shadow is terabytes of address space, nearly all of it untouched. */
static const uint64_t MAPPING_MAX = 1ull << 37;

/* Of the mapping's whole large pages. */
static uint64_t
mapping_enlarge(uint64_t from, uint64_t to)
{
	uint64_t moved = 0;
	from = (from + LARGE - 1) & ~(LARGE - 1);
	to &= ~(LARGE - 1);
	if (from >= to || to - from > MAPPING_MAX)
		return 0;
	madvise((void *)(uintptr_t)from, to - from, MADV_HUGEPAGE);
	/* One by one: the kernel ends at the first that nobody has touched. */
	for (; from < to; from += LARGE) {
		if (madvise((void *)(uintptr_t)from, LARGE, MADV_COLLAPSE) == 0)
			moved += LARGE;
	}
	return moved;
}

/*
 * One line of /proc/self/maps: "from-to rwxp offset device inode  name". The heap
 * and anonymous memory have inode 0, and the memory file that DPDK makes where
 * it does without hugepages has a name that says so.
 */
static uint64_t
line_enlarge(const char *line)
{
	unsigned long from, to, inode;
	char may[5];
	if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &from, &to, may, &inode) != 4 ||
	    may[0] != 'r' || may[1] != 'w' || strstr(line, "[stack]") != NULL ||
	    (inode != 0 && strstr(line, "/memfd:nohuge") == NULL))
		return 0;
	return mapping_enlarge(from, to);
}

uint64_t
pages_enlarge(void)
{
	char line[LINE_SIZE];
	uint64_t moved = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	if (maps == NULL)
		return 0;
	while (fgets(line, sizeof(line), maps) != NULL)
		moved += line_enlarge(line);
	fclose(maps);
	return moved;
}
