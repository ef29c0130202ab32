/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All protocols, by name and by number. A protocol is a folder here and a line
 * in registry.c; its number, which is in every message, is its place there, so
 * new ones go to the end. Constant; any core.
 */
#ifndef OSKR_PROTOCOLS_REGISTRY_H
#define OSKR_PROTOCOLS_REGISTRY_H

#include "engine/protocol.h"

/* Entry `index`, or NULL past the end. */
const struct protocol *registry_at(uint32_t index);

uint32_t registry_count(void);

#endif
