/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's own protocol, there to test the simulator: replication for
 * crashes, in the manner of Paxos (Lamport: Paxos made simple, 2001) with one
 * fixed proposer, replica 0, and a quorum of a majority, n = 2f + 1.
 *
 *     client          0                       1 .. n-1
 *       REQUEST ----> | PROPOSE(ballot, s) -> |  accepted, unless a higher ballot is known
 *                     | <------- ACK(b, s) -- |
 *                     | COMMIT(b, s) -------> |  a majority has accepted all up to s
 *       <- REPLY ---- | execute               |  execute
 *
 * Restart without memory. A backup says nothing until the proposer has told it
 * how far the log goes (RECOVER, RECOVERED) and it has the log up to there
 * again: all that it may have voted for. The proposer takes a higher ballot and
 * asks for each slot what was accepted there (FETCH, ENTRY): when as many have
 * answered that every majority is met, it proposes what has the highest ballot
 * again. Messages that get lost are sent again until they are answered.
 *
 * `quorum_mutant` breaks one rule at a time; the harness must notice.
 */
#ifndef OSKR_TESTS_SIM_QUORUM_H
#define OSKR_TESTS_SIM_QUORUM_H

#include "engine/protocol.h"

enum {
	QUORUM_PROPOSE = MESSAGE_PROTOCOL,
	QUORUM_ACK,
	QUORUM_COMMIT,
	QUORUM_RECOVER,
	QUORUM_RECOVERED,
	QUORUM_FETCH,
	QUORUM_ENTRY,
	QUORUM_LOG_MAX = 1 << 14, /* slots: the log is never cut, runs are short */
};

enum quorum_mutant {
	QUORUM_RIGHT,
	QUORUM_ONE_SHORT,     /* commits with one vote less than a majority */
	QUORUM_VOTES_TWICE,   /* a vote that comes twice counts twice */
	QUORUM_NO_DEDUP,      /* a request that comes twice is ordered twice */
	QUORUM_EXECUTE_EARLY, /* executes what is proposed, before it is committed */
	QUORUM_REPLY_EARLY,   /* answers before it has executed */
	QUORUM_VOTE_AGAIN,    /* a backup that lost its memory votes at once */
	QUORUM_PROPOSE_AGAIN, /* the proposer that lost its memory starts from nothing */
	QUORUM_FETCH_SHORT,   /* the proposer asks one replica too few for the log */
	QUORUM_ANY_BALLOT,    /* takes the first entry it hears of, whatever its ballot */
	QUORUM_OLD_BALLOT,    /* accepts proposals below the ballot it knows */
	QUORUM_MUTANTS_COUNT,
};

/* What is broken in replicas that are opened from now on. Tests only. */
extern enum quorum_mutant quorum_mutant;

extern const struct protocol quorum_protocol;

const char *quorum_mutant_name(enum quorum_mutant mutant);
/* NULL: no such message. */
const char *quorum_type_name(uint8_t type);

#endif
