/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong in something the operator wrote: one line that says where,
 * what, and the fix. Owned by the caller; used at start, on the main lcore.
 */
#ifndef OSKR_CONFIG_ERROR_H
#define OSKR_CONFIG_ERROR_H

#include <string.h>

struct config_error {
	char text[512]; /* one printable line, no newline; empty when all is well */
	int line;	/* of the file, from 1; 0 when it is not about a line */
};

/*
 * Writes the line, cut to fit, every byte outside printable ASCII shown as
 * '?', so that a hostile file cannot write to a terminal. `error` may be NULL.
 */
void config_error_set(struct config_error *error, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* No error. `error` may be NULL. */
static inline void
config_error_clear(struct config_error *error)
{
	if (error != NULL)
		memset(error, 0, sizeof(*error));
}

#endif
