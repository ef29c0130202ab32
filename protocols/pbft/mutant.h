/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that tests break one at a time, to see that the simulator notices.
 * RULE(x) is simply true in every build but that of the mutants' suite
 * (tests/unit_mutants_pbft.c); those of decide.c tests/unit_pbft_decide.c sees, too.
 */
#ifndef OSKR_PROTOCOLS_PBFT_MUTANT_H
#define OSKR_PROTOCOLS_PBFT_MUTANT_H

enum pbft_mutant {
	PBFT_RIGHT,
	PBFT_QUORUM_SHORT,     /* a quorum one short */
	PBFT_PREPARES_TWICE,   /* a replica's prepare counts each time it comes */
	PBFT_PRIMARY_PREPARES, /* the primary's own prepare is counted */
	PBFT_STABLE_WEAK,      /* a checkpoint is stable at f + 1 */
	PBFT_PREPARED_DROPPED, /* a new view leaves a prepared batch out */
	PBFT_FIRST_SEEN,       /* not the highest view's batch but the first that is met */
	PBFT_A2_IGNORED,       /* no f + 1 need have pre-prepared it */
	PBFT_SUPERSET,	       /* a new view is judged by all VIEW-CHANGEs that are at hand */
	PBFT_UNSIGNED,	       /* a VIEW-CHANGE needs no signature */
	PBFT_SESSIONS_LOST,    /* the session table is not part of the checkpoint */
	PBFT_TWICE,	       /* a duplicate in flight is executed again */
	PBFT_AMNESIA,	       /* a replica that lost its memory votes at once */
	PBFT_MUTANTS_COUNT,
};

#ifdef PBFT_MUTANTS
extern enum pbft_mutant pbft_mutant;
#define RULE(which) (pbft_mutant != (which))
#else
#define RULE(which) true
#endif

#endif
