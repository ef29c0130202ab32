/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --kill-leader-at and --restart-at: stops the replica that leads at that time,
 * starts it anew without its memory, and finds out what that did to the service.
 * The control's: it is asked in each of its rounds and acts once a millisecond;
 * it reads single words of other lcores, and tells the replica's node what to do
 * by one word (node.h). The main lcore.
 */
#ifndef OSKR_LCORE_CRASH_H
#define OSKR_LCORE_CRASH_H

#include "lcore/node.h"
#include "lcore/outage.h"

struct crash_config {
	struct node *nodes; /* replicas first */
	uint32_t replicas_count;
	uint32_t nodes_count;
	uint64_t kill_ns;    /* after the measured phase began; 0: never */
	uint64_t restart_ns; /* likewise */
	uint64_t behind_max; /* positions: who is no further behind has caught up */
};

enum crash_state {
	CRASH_WAITING, /* nobody has been killed (yet) */
	CRASH_KILLED,
	CRASH_RESTARTED,
	CRASH_CAUGHT_UP,
};

struct crash {
	struct crash_config config;
	enum crash_state state;
	uint64_t next_ns;  /* acts no earlier */
	uint64_t begin_ns; /* of the measured phase */
	uint16_t victim;
	uint64_t view_before; /* of most replicas when it was killed */
	uint64_t view_after;  /* at the end */
	uint64_t killed_ns;   /* times of the clock; 0: it has not happened */
	uint64_t restarted_ns;
	uint64_t caught_up_ns;
	uint64_t caught_up_at; /* position */
	struct recovery recovery;
	struct silence gap; /* set at the end */
};

enum { CRASH_LINE_SIZE = 128 };

void crash_init(struct crash *c, const struct crash_config *config);

/* The measured phase begins, with so many answers so far. */
void crash_begin(struct crash *c, uint64_t now_ns);

/* Has crash_poll() something to do? In most rounds it has not. */
static inline bool
crash_due(const struct crash *c, uint64_t now_ns)
{
	return c->config.kill_ns != 0 && now_ns >= c->next_ns;
}

/* While measuring; `answers` since it began. `line`: what has just happened, for people. */
void crash_poll(struct crash *c, uint64_t now_ns, uint64_t answers, char line[CRASH_LINE_SIZE]);

/* When the loops have ended: joins what the client nodes saw, up to end_ns. */
void crash_end(struct crash *c, uint64_t end_ns);

#endif
