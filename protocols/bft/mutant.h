/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that tests break one at a time, to see that the simulator notices.
 * RULE(x) is simply true in every build but those of the mutants' suites
 * (-DBFT_MUTANTS), where it is false for the one rule that `bft_mutant` names.
 * A protocol's own rules are numbered on from BFT_MUTANTS_COUNT, in its mutant.h.
 */
#ifndef OSKR_PROTOCOLS_BFT_MUTANT_H
#define OSKR_PROTOCOLS_BFT_MUTANT_H

enum bft_mutant {
	BFT_RIGHT,	   /* no rule is broken */
	BFT_STABLE_WEAK,   /* a checkpoint is stable at f + 1 */
	BFT_TWICE,	   /* a duplicate in flight is proposed again */
	BFT_SESSIONS_LOST, /* the session table is not part of the checkpoint */
	BFT_MUTANTS_COUNT,
};

#ifdef BFT_MUTANTS
extern unsigned bft_mutant; /* in bft.c */
#define RULE(which) (bft_mutant != (unsigned)(which))
#else
#define RULE(which) true
#endif

#endif
