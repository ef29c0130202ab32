/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the line for a broken promise of our own. Any core. */
#include "engine/check.h"

#include <stdio.h>
#include <stdlib.h>

void
check_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
	abort();
}
