/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zyzzyva's own rules that tests break one at a time: see bft/mutant.h. The suite
 * is tests/unit_mutants_zyzzyva.c; the first tests/unit_zyzzyva_decide.c sees, too.
 */
#ifndef OSKR_PROTOCOLS_ZYZZYVA_MUTANT_H
#define OSKR_PROTOCOLS_ZYZZYVA_MUTANT_H

#include "protocols/bft/mutant.h"

enum zyzzyva_mutant {
	ZYZZYVA_OLD_CERTIFICATE_WINS = BFT_MUTANTS_COUNT, /* the published rule: the certificate of
							     the highest seq, of whatever view */
	ZYZZYVA_FAST_AT_3F,				  /* the fast path completes at n - 1 */
	ZYZZYVA_LOCAL_COMMIT_WEAK,			  /* LOCAL-COMMITs of f + 1 suffice */
	ZYZZYVA_HISTORY_UNCHECKED,	   /* h of seq - 1 in an ORDER-REQ is not compared */
	ZYZZYVA_ROLLBACK_FORGETS_SESSIONS, /* sessions are not undone with the rest (the suite) */
	ZYZZYVA_STABLE_WEAK,	/* a checkpoint is stable at f + 1, whatever its history */
	ZYZZYVA_UNSIGNED_BORNE, /* a primary that signs nothing is not hated for it */
	ZYZZYVA_DOUBT_BORNE,	/* who asks again gets the same answer again, and no more */
	ZYZZYVA_FORK_KEPT, /* a certificate for another history of the same view changes nothing */
	ZYZZYVA_COMMIT_UNCERTIFIED, /* a promised LOCAL-COMMIT does not wait for a certificate */
	ZYZZYVA_MUTANTS_COUNT,
};

#endif
