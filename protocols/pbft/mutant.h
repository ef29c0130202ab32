/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PBFT's own rules that tests break one at a time: see bft/mutant.h. The suite
 * is tests/unit_mutants_pbft.c; those of decide.c tests/unit_pbft_decide.c sees, too.
 */
#ifndef OSKR_PROTOCOLS_PBFT_MUTANT_H
#define OSKR_PROTOCOLS_PBFT_MUTANT_H

#include "protocols/bft/mutant.h"

enum pbft_mutant {
	PBFT_QUORUM_SHORT = BFT_MUTANTS_COUNT, /* a quorum one short */
	PBFT_PREPARES_TWICE,		       /* a replica's prepare counts each time it comes */
	PBFT_PRIMARY_PREPARES,		       /* the primary's own prepare is counted */
	PBFT_PREPARED_DROPPED,		       /* a new view leaves a prepared batch out */
	PBFT_FIRST_SEEN, /* not the highest view's batch but the first that is met */
	PBFT_A2_IGNORED, /* no f + 1 need have pre-prepared it */
	PBFT_SUPERSET,	 /* a new view is judged by all VIEW-CHANGEs that are at hand */
	PBFT_UNSIGNED,	 /* a VIEW-CHANGE needs no signature */
	PBFT_AMNESIA,	 /* a replica that lost its memory votes at once */
	PBFT_MUTANTS_COUNT,
};

#endif
