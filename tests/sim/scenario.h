/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripted runs of the simulator: a cluster of fixed sizes, a fixed number of
 * operations, and rules of the form "when this happens, do that". All oracles
 * of oracle.h judge the run; beyond them, everything must be answered within
 * some view timeouts after the horizon, with few view changes, every rule must
 * have had its occasion, and the scenario may ask for more. One thread.
 *
 *     static const struct scenario silent = {
 *         .id = "P02", .story = "the primary is silent", .mode = "pbft", .faulty = 1 << 0,
 *         .rules = {{.type = PBFT_PRE_PREPARE, .from = 1 << 0, .act = SCENARIO_DROP}},
 *         .expect = view_moved,
 *     };
 */
#ifndef OSKR_TESTS_SIM_SCENARIO_H
#define OSKR_TESTS_SIM_SCENARIO_H

#include "sim.h"

enum { SCENARIO_RULES_MAX = 16 };

/* The node that a scenario's twin is: behind four replicas and two client nodes. */
enum { SCENARIO_TWIN = 6 };

/* In a rule's `type`: what leaders propose with, and what others answer it with. */
enum { SCENARIO_PROPOSAL = 254, SCENARIO_VOTE = 255 };

/* A view or a sequence number in a rule, where 0 says "any". */
#define SCENARIO_IS(number) ((number) + 1ull)

enum scenario_act {
	SCENARIO_COUNT,	    /* nothing: others wait for it */
	SCENARIO_DROP,	    /* the message */
	SCENARIO_DELAY,	    /* by `amount` ns */
	SCENARIO_HOLD,	    /* until rule number `amount` acts, or the horizon */
	SCENARIO_DUPLICATE, /* `amount` copies more */
	SCENARIO_FLIP,	    /* one bit of it: another one each time */
	SCENARIO_MUTATE,    /* by `mutate`, under the sender's own keys */
	SCENARIO_FORGE,	    /* `amount` messages that `mutate` writes, in the name and under the
			       keys of the node in fault.from, to those in fault.to */
	SCENARIO_REPLAY,    /* the message again, `amount` ns later, to all of fault.to */
	SCENARIO_FAULT,	    /* `fault` begins; its end_ns is how long it lasts; from nobody: from
			       who is primary then */
	SCENARIO_HEAL,	    /* the fault of rule number `amount` ends */
};

/* What a rule's function may look at and write. */
struct scenario_letter {
	struct sim *sim;
	struct lie_letter *letter;
	uint64_t number; /* how often this rule has acted before */
	uint16_t to;	 /* node */
};

struct scenario_rule {
	/* Its occasion: a message ... */
	uint8_t type;  /* 0: of any type, if `from` or `to` is given */
	uint64_t from; /* masks of nodes; 0: any */
	uint64_t to;
	uint64_t view;	    /* SCENARIO_IS(v); 0: any */
	uint64_t seq;	    /* SCENARIO_IS(s); 0: any */
	uint64_t seq_every; /* only those that this divides; 0: any */
	bool (*like)(struct sim *sim, const struct message_header *header, uint16_t to);
	/* ... or, without any of these, a moment: */
	uint64_t every_ns;	       /* after each act, not before so much later */
	uint64_t at_ns;		       /* not before, for messages too */
	bool (*when)(struct sim *sim); /* nor before this holds */
	/* Both: */
	uint32_t after; /* number (from 1) of a rule that must have acted */
	uint32_t until; /* number of a rule that must not have acted */
	uint32_t nth;	/* only from this occasion on (from 1); 0: from the first */
	uint32_t times; /* at most so often; 0: always (a moment: once) */
	/* What is done. */
	enum scenario_act act;
	uint64_t amount;
	struct fault fault;
	void (*mutate)(struct scenario_letter *letter);
	bool lasting;  /* also after the horizon */
	bool optional; /* it is no failure if it never acts */
};

struct scenario {
	const char *id;
	const char *story;
	const char *mode; /* NULL: the suite says, see scenario_rig.h */
	/* The cluster; 0: the default. */
	uint16_t faults;      /* 1 */
	uint16_t replicas;    /* the least */
	uint16_t clients;     /* 6, on two nodes */
	uint16_t instances;   /* 1; more: the rig runs it with pillars, too */
	uint16_t pillars;     /* 0 */
	uint32_t batch;	      /* 4 */
	uint32_t window;      /* 4 */
	uint32_t mtu;	      /* 9000: nothing needs segments */
	uint32_t value_size;  /* 64 bytes at most */
	uint32_t operations;  /* 250: of them 150 before the horizon */
	uint64_t horizon_ns;  /* 1 s */
	uint64_t answered_ns; /* so long after it, all must be answered; 0: 300 s */
	enum auth auth;	      /* AUTH_NONE: mac */
	enum auth request_auth;
	struct sim_settings settings; /* checkpoints every 8 batches, view timeout 20 ms */
	uint64_t faulty;	      /* nodes that lie: no promise binds them */
	uint64_t lost;		      /* replicas that need not be live in the end */
	uint64_t twin;		      /* a replica that lives twice: the second is SCENARIO_TWIN */
	uint64_t views_max;	      /* view changes after the horizon; 0: f + 2 */
	uint64_t timeouts_max; /* view timeouts until all is answered; 0: 20 after 3 doublings */
	const struct fault *planned; /* faults at fixed times, beside the rules */
	uint32_t planned_count;
	struct scenario_rule rules[SCENARIO_RULES_MAX];
	/* In the end: NULL, or what is wrong. */
	const char *(*expect)(struct sim *sim);
};

/* One run of a scenario; `trace` may be NULL. The report says whether it failed. */
void scenario_run(
    const struct scenario *scenario, uint64_t seed, FILE *trace, struct sim_report *report);

/* ---- What expectations are made of ---------------------------------------- */

/* A figure of replica `node`, by its name, summed over instances; 0 when it has none. */
uint64_t scenario_figure(const struct sim *sim, uint16_t node, const char *name);

static inline const struct shard_counters *
scenario_counters(const struct sim *sim, uint16_t node)
{
	return &node_shard(&sim->nodes[node])->counters;
}

#endif
