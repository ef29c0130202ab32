/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of every CUnit suite: a table of named stories and a main that
 * runs them, prints CUnit's closing summary and fails the process if a story
 * failed. One suite a program, one program a meson test.
 */
#ifndef OSKR_TESTS_UNIT_H
#define OSKR_TESTS_UNIT_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdlib.h>

struct unit_story {
	const char *name;
	void (*run)(void);
};

/* Runs `count` stories as one suite; returns the process's exit status. */
static inline int
unit_run(const char *suite_name, const struct unit_story *stories, size_t count)
{
	if (CU_initialize_registry() != CUE_SUCCESS)
		return EXIT_FAILURE;
	CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
	for (size_t i = 0; suite != NULL && i < count; i++) {
		if (CU_add_test(suite, stories[i].name, stories[i].run) == NULL)
			suite = NULL;
	}
	if (suite == NULL || count == 0) {
		CU_cleanup_registry();
		return EXIT_FAILURE;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	unsigned int failures = CU_get_number_of_failures();
	unsigned int stories_run = CU_get_number_of_tests_run();
	CU_cleanup_registry();
	return failures == 0 && stories_run == count ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Usage, at the end of a suite: UNIT_MAIN("window", stories) */
#define UNIT_MAIN(name, stories)                                                        \
	int main(void)                                                                  \
	{                                                                               \
		return unit_run(name, stories, sizeof(stories) / sizeof((stories)[0])); \
	}

#endif
