/* SPDX-License-Identifier: Apache-2.0 */
/* What workload.c knows of the YCSB workloads; see workload.h for what they are. */
#ifndef OSKR_ENGINE_WORKLOAD_YCSB_H
#define OSKR_ENGINE_WORKLOAD_YCSB_H

#include <stdbool.h>

#include "engine/workload.h"

/* Whether the name is one of theirs. */
bool workload_ycsb_known(const char *name);

/* As workload_open(), for a known name; the part common to all is checked. */
struct workload *workload_ycsb_open(const struct workload_config *config, char *error);

#endif
