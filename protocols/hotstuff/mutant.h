/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotStuff's rules that tests break one at a time: numbered on from those that
 * all protocols share. See bft/mutant.h for RULE().
 */
#ifndef OSKR_PROTOCOLS_HOTSTUFF_MUTANT_H
#define OSKR_PROTOCOLS_HOTSTUFF_MUTANT_H

#include "protocols/bft/mutant.h"

enum hotstuff_mutant {
	HOTSTUFF_LOCK_IGNORED = BFT_MUTANTS_COUNT, /* votes without looking at the lock */
	HOTSTUFF_LOCK_EARLY,			   /* locks on what has one QC: a one-chain */
	HOTSTUFF_COMMIT_TWO,			   /* commits on a two-chain */
	HOTSTUFF_COMMIT_GAPS,	  /* commits on a three-chain whose views have gaps */
	HOTSTUFF_VOTES_TWICE,	  /* a replica's vote counts each time it comes */
	HOTSTUFF_SIGNERS_SHORT,	  /* a QC needs one signer less than q */
	HOTSTUFF_VIEW_UNSIGNED,	  /* the view of a QC is not what was signed */
	HOTSTUFF_VOTE_TIMED_OUT,  /* votes in a view that it gave up */
	HOTSTUFF_VOTE_AGAIN,	  /* votes for each block of a view */
	HOTSTUFF_ABANDONED_LOST,  /* requests of an abandoned block are not proposed again */
	HOTSTUFF_ABANDONED_TWICE, /* a request of an abandoned block is executed again */
	HOTSTUFF_AMNESIA,	  /* a replica that lost its memory votes at once */
	HOTSTUFF_TC_UNPROVEN,	  /* a TC's signatures are not looked at */
	HOTSTUFF_SPARE_TRUSTED,	  /* a spare replica believes what it has not proven */
	HOTSTUFF_MUTANTS_COUNT,
};

#endif
