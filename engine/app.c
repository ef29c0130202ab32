/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of applications. Constant; any core. */
#include "engine/app.h"

#include <string.h>

static const struct app *const apps[] = {
    &app_null,
    &app_echo,
    &app_kv,
};

const struct app *
app_find(const char *name)
{
	for (size_t i = 0; i < sizeof(apps) / sizeof(apps[0]); i++) {
		if (strcmp(apps[i]->name, name) == 0)
			return apps[i];
	}
	return NULL;
}

const struct app *
app_at(size_t index)
{
	return index < sizeof(apps) / sizeof(apps[0]) ? apps[index] : NULL;
}
