/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How client nodes and replicas of different processes find each other: what
 * engine/enrol.h decides, between a node's endpoint and its engine. HELLO and
 * WELCOME are taken out of each burst before the engine sees it; the replica's
 * endpoint learns a client's address from an authentic HELLO alone.
 *
 * The node's lcore owns it. The control asks from the main lcore how far a
 * client node is.
 */
#ifndef OSKR_LCORE_ENROLMENT_H
#define OSKR_LCORE_ENROLMENT_H

#include "engine/enrol.h"
#include "lcore/endpoint.h"

enum {
	ENROLMENT_TEXT_SIZE = 256,
	ENROLMENT_GRACE_NS = 1000000000, /* for the last f replicas, once n - f have answered */
};

struct enrolment {
	struct enrol_host *host;   /* of a replica, or */
	struct enrol_guest *guest; /* of a client node */
	struct endpoint *endpoint;
	struct neighbour *neighbour; /* is told the time of each burst; NULL: there is none */
	uint16_t replicas_count;
	uint16_t faults;
	uint64_t due_ns;    /* a client node says HELLO again */
	uint64_t quorum_ns; /* the control's: when n - f had answered; 0: not yet */
};

/*
 * One burst's datagrams: takes out those that are its own and closes the gaps. Returns how
 * many are left.
 */
uint32_t enrolment_poll(
    struct enrolment *e, uint64_t now_ns, struct datagram *list, uint32_t count);

enum enrolment_state {
	ENROLMENT_WAITS,
	ENROLMENT_READY,   /* all replicas serve this client node, or n - f for a while */
	ENROLMENT_REFUSED, /* more than f will not: no protocol would go on without them */
};

/* How far a client node is. The control's lcore. */
enum enrolment_state enrolment_state(struct enrolment *e, uint64_t now_ns);

/* Who is missing, or why a replica refuses: one line for people, without an end. */
void enrolment_explain(
    const struct enrolment *e, const struct enrol_terms *ours, char text[ENROLMENT_TEXT_SIZE]);

/* The first answer's terms, for reports: what only replicas were told. */
bool enrolment_terms(const struct enrolment *e, struct enrol_terms *terms);

#endif
