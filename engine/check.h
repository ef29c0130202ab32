/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions. check() states what we promise to ourselves and stays on in
 * release builds; debug_check() may be slow and is on where OSKR_DEBUG is set.
 * Neither is ever applied to what a peer controls: that is input, not a bug.
 */
#ifndef OSKR_ENGINE_CHECK_H
#define OSKR_ENGINE_CHECK_H

/* Prints where and what, then aborts. */
_Noreturn void check_failed(const char *file, int line, const char *condition);

#define check(condition)                                              \
	do {                                                          \
		if (__builtin_expect(!(condition), 0))                \
			check_failed(__FILE__, __LINE__, #condition); \
	} while (0)

#ifdef OSKR_DEBUG
#define debug_check(condition) check(condition)
#else
#define debug_check(condition) \
	do {                   \
	} while (0)
#endif

#endif
