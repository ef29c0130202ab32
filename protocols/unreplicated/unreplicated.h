/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unreplicated service: one replica executes and replies. The baseline that
 * every replication protocol is measured against, and the smallest example of
 * a protocol here: what it needs of the frame, all others need too.
 *
 *     client                          replica
 *       REQUEST(t, op)  ------------>   admitted once, executed in order
 *       REPLY(t, result) <-----------   (a late duplicate: the cached reply)
 *
 * `unreplicated-signed` is the same machine with signed replies.
 */
#ifndef OSKR_PROTOCOLS_UNREPLICATED_H
#define OSKR_PROTOCOLS_UNREPLICATED_H

#include "engine/protocol.h"

extern const struct machine unreplicated_replica;
extern const struct machine unreplicated_client;

#endif
