/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has this replica run before? It cannot know of itself: its memory is gone.
 * And it must know, since a replica that forgot what it voted for and votes
 * anew can break agreement, while one that knows asks the others first. So it
 * notes the cluster's life in a small file (FILE-<i>.ran) before its first
 * message leaves, and takes every start in the same life for a restart.
 *
 *     no file, or another cluster's      its first start
 *     a lower life                       its first start in this life
 *     the same life                      it restarts without its memory
 *     a higher life                      refused: --life is not the cluster's
 *
 * When all replicas were stopped, the service's state is lost, and nobody is
 * left to ask: the operator says so with a higher --life, for all alike. Its
 * number is a part of the cluster's, so messages of a former life mean nothing.
 * The file is to live as long as the key does: who copies the one to another
 * machine copies the other. Start only, main lcore.
 */
#ifndef OSKR_LCORE_PROCESS_STATE_H
#define OSKR_LCORE_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum { PROCESS_STATE_ERROR_SIZE = 512 };

struct process_life {
	uint32_t life;
	uint32_t cluster; /* its number in this life: process_keys.h */
};

/* Reads the file. False with one line in `error`. */
bool process_state_look(
    const char *path, const struct process_life *life, bool *restarted, char *error);

/* Notes this life, for good (fsync), whole or not at all. False with one line in `error`. */
bool process_state_note(const char *path, const struct process_life *life, char *error);

#endif
