/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new view starts from, decided by a set of VIEW-CHANGEs alone (TOCS'02,
 * section 3.2.4, figure 4): a checkpoint, and a batch or the null request for
 * each sequence number above it. The same set gives the same decision at every
 * replica. Pure.
 *
 * Body of VIEW-CHANGE: view_change_head, then C, P and Q, each by ascending seq.
 * Body of NEW-VIEW: new_view_head, then a digest for each member of the set in
 * the order of their numbers, then a digest for each sequence number chosen.
 */
#ifndef OSKR_PROTOCOLS_PBFT_DECIDE_H
#define OSKR_PROTOCOLS_PBFT_DECIDE_H

#include <assert.h>

#include "engine/message.h"

struct view_change_head {
	uint64_t stable; /* h: the sender's last stable checkpoint */
	uint32_t checkpoints_count;
	uint32_t prepared_count;
	uint32_t preprepared_count;
	uint32_t reserved; /* zero */
};
static_assert(sizeof(struct view_change_head) == 24, "no padding");

/* An entry of C (view 0), P or Q. */
struct view_change_entry {
	uint64_t seq;
	uint64_t view;
	uint8_t digest32[32];
};
static_assert(sizeof(struct view_change_entry) == 48, "no padding");

/* A VIEW-CHANGE's body, taken apart. */
struct view_change {
	uint64_t stable;
	const struct view_change_entry *checkpoints;
	const struct view_change_entry *prepared;    /* P */
	const struct view_change_entry *preprepared; /* Q */
	uint32_t checkpoints_count;
	uint32_t prepared_count;
	uint32_t preprepared_count;
};

struct new_view_head {
	uint64_t members; /* whose VIEW-CHANGEs it stands on, mask */
	uint64_t start;	  /* checkpoint to start from */
	uint64_t chosen_count;
	uint8_t start32[32]; /* its digest */
};
static_assert(sizeof(struct new_view_head) == 56, "no padding");

struct decide_config {
	uint32_t quorum;
	uint32_t weak; /* f + 1 */
	uint64_t interval;
	uint64_t window_log; /* L */
};

enum { DECIDE_WINDOW_MAX = 4096 };

struct decision {
	uint64_t start;
	uint8_t start32[32];
	uint64_t chosen_count; /* sequence numbers start + 1 .. start + chosen_count */
	uint8_t chosen32[DECIDE_WINDOW_MAX][32]; /* zero: the null request */
};

/* True: the body is well formed and taken apart into *c (which points into it). */
bool view_change_parse(const struct decide_config *config, uint64_t view, const uint8_t *body,
    uint32_t size, struct view_change *c);

/* False: the set does not decide yet. */
bool decide(const struct decide_config *config, const struct view_change *set, uint32_t count,
    struct decision *d);

#endif
