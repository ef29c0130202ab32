/* SPDX-License-Identifier: Apache-2.0 */
/* One line about an operator's mistake. Start only, main lcore. */
#include "config/error.h"

#include "engine/check.h"

#include <stdarg.h>
#include <stdio.h>

void
config_error_set(struct config_error *error, int line, const char *format, ...)
{
	check(format != NULL);
	check(line >= 0);
	if (error == NULL)
		return;
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	check(size >= 0);
	error->line = line;
	for (char *c = error->text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}
