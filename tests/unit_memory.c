/* SPDX-License-Identifier: Apache-2.0 */
/* config/memory.c: sums, saturation, the printed table, and its bound. One process. */
#include "config/memory.h"

#include "tests/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
sums_every_term(void)
{
	struct memory_plan plan = {0};
	CU_ASSERT_EQUAL(memory_plan_total(&plan), 0);
	memory_plan_add(&plan, (struct memory_term){"buffers", "one burst each", 3, 2048});
	memory_plan_add(&plan, (struct memory_term){"log", "a window", 1, 100});
	memory_plan_add(&plan, (struct memory_term){"nothing", "none needed", 0, 4096});
	CU_ASSERT_EQUAL(plan.terms_count, 3);
	CU_ASSERT_EQUAL(memory_plan_total(&plan), 3 * 2048 + 100);
}

static void
saturates_instead_of_wrapping(void)
{
	struct memory_plan product = {0};
	memory_plan_add(&product, (struct memory_term){"huge", "", UINT64_MAX / 2, 3});
	CU_ASSERT_EQUAL(memory_plan_total(&product), UINT64_MAX);
	struct memory_plan sum = {0};
	memory_plan_add(&sum, (struct memory_term){"a", "", 1, UINT64_MAX});
	CU_ASSERT_EQUAL(memory_plan_total(&sum), UINT64_MAX);
	memory_plan_add(&sum, (struct memory_term){"b", "", 1, 1});
	CU_ASSERT_EQUAL(memory_plan_total(&sum), UINT64_MAX);
}

static void
prints_a_line_for_each_term_and_the_sum(void)
{
	struct memory_plan plan = {0};
	memory_plan_add(&plan, (struct memory_term){"buffers", "one burst each", 2, 1536});
	memory_plan_add(&plan, (struct memory_term){"bits", "one a request", 1, 100});
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	memory_plan_print(&plan, file);
	fclose(file);
	const char *expected =
	    "memory                        count         each        total  reason\n"
	    "buffers                           2      1.5 KiB      3.0 KiB  one burst each\n"
	    "bits                              1        100 B        100 B  one a request\n"
	    "sum                                                   3.1 KiB\n";
	CU_ASSERT_STRING_EQUAL(text, expected);
	free(text);
}

/* Fills a plan with so many terms in a child; returns whether the child aborted. */
static int
fill_aborts(uint32_t terms_count)
{
	pid_t child = fork();
	if (child == 0) {
		struct memory_plan plan = {0};
		int null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		for (uint32_t i = 0; i < terms_count; i++)
			memory_plan_add(&plan, (struct memory_term){"t", "r", 1, 1});
		_exit(memory_plan_total(&plan) == terms_count ? 0 : 1);
	}
	int status = 0;
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
holds_its_bound(void)
{
	CU_ASSERT_FALSE(fill_aborts(LIMIT_MEMORY_TERMS));
	CU_ASSERT_TRUE(fill_aborts(LIMIT_MEMORY_TERMS + 1));
}

static const struct unit_story stories[] = {
    {"sums every term", sums_every_term},
    {"saturates instead of wrapping", saturates_instead_of_wrapping},
    {"prints a line for each term and the sum", prints_a_line_for_each_term_and_the_sum},
    {"holds its bound", holds_its_bound},
};

UNIT_MAIN("memory", stories)
