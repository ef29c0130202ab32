/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node's machines have to tell people (struct note): a line each in the
 * log, of type oskr.view and level notice, with the time since the run began.
 * So many lines a second and no more: under attack notes may be many, and
 * writing a line is a system call on the node's lcore. One lcore owns it.
 *
 *     oskr: 1234.567 ms  replica 2: enters view 3
 */
#ifndef OSKR_LCORE_NOTES_H
#define OSKR_LCORE_NOTES_H

#include "engine/outbox.h"
#include "lcore/clock.h"

enum { NOTES_PER_SECOND_MAX = 100 };

struct notes_config {
	const struct clock *clock;
	const uint64_t *begin_ns; /* when the run began; 0: it has not */
	const char *who;	  /* "replica" or "client node"; static */
	uint16_t number;
	int log_type;
};

struct notes {
	struct notes_config config;
	uint64_t second_ns; /* when the present second of the bound began */
	uint32_t second_count;
	uint64_t written;
	uint64_t left_out; /* beyond the bound */
};

/* The log type, registered once a process: notes_config.log_type. */
int notes_log_type(void);

void notes_init(struct notes *n, const struct notes_config *config);

/* True: a line may be written at this time; counts it either way. */
bool notes_allow(struct notes *n, uint64_t now_ns);

void notes_write(struct notes *n, const struct note *note);

#endif
