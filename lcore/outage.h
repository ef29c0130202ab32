/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a service went on after a fault, in two figures. Silences: the longest
 * times without any answer, as one client node saw them, and then as all did
 * together. Recovery: when the rate of answers was back to a share of what it
 * was. Pure; each struct has one owner.
 */
#ifndef OSKR_LCORE_OUTAGE_H
#define OSKR_LCORE_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SILENCES_MAX = 64,
	RECOVERY_SAMPLE_NS = 10 * 1000 * 1000, /* one at most in so long */
	RECOVERY_SAMPLES = 10,		       /* a rate is taken over so many: 100 ms */
	RECOVERY_PERCENT = 80,		       /* of the rate before, that is "back" */
};

/* No answer came between the two times. */
struct silence {
	uint64_t from_ns;
	uint64_t to_ns;
};

/* The longest ones, in no order, none overlapping another. */
struct silences {
	uint32_t count;
	struct silence list[SILENCES_MAX];
};

/* Keeps the silence if it is among the longest. Requires from_ns <= to_ns. */
void silences_add(struct silences *s, uint64_t from_ns, uint64_t to_ns);

/*
 * Leaves in *s what is silent in both. The longest of several nodes' silences is
 * found so, unless one of them has had SILENCES_MAX longer ones of its own.
 */
void silences_meet(struct silences *s, const struct silences *other);

/* The longest; of no length, at time 0, when there is none. */
struct silence silences_longest(const struct silences *s);

/* Answers that have come, up to a time. */
struct recovery_sample {
	uint64_t at_ns;
	uint64_t answers;
};

struct recovery {
	uint64_t begin_ns;  /* of the fault */
	double rate_before; /* answers a second */
	bool dipped;	    /* the rate fell below the share */
	bool back;	    /* and rose again, or it never fell for a whole window */
	uint64_t back_ns;   /* end of the first window that was so; begin_ns: never fell */
	uint32_t count;	    /* samples so far */
	struct recovery_sample samples[RECOVERY_SAMPLES + 1]; /* a ring */
};

/* The fault is now; so many answers have come. */
void recovery_begin(struct recovery *r, uint64_t now_ns, uint64_t answers, double rate_before);

/* As often as the caller likes; samples closer than RECOVERY_SAMPLE_NS are passed over. */
void recovery_sample(struct recovery *r, uint64_t now_ns, uint64_t answers);

/* The end: a rate that never fell below the share is one that is back. */
void recovery_end(struct recovery *r);

#endif
