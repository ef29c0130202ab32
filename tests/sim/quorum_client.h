/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the test protocol, for quorum.c alone. One core. */
#ifndef OSKR_TESTS_SIM_QUORUM_CLIENT_H
#define OSKR_TESTS_SIM_QUORUM_CLIENT_H

#include "engine/protocol.h"

extern const struct machine quorum_client;

#endif
