/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How client nodes and replicas of different processes find each other: what
 * engine/enrol.h decides, between a node's endpoint and its engine. HELLO and
 * WELCOME are taken out of each burst before the engine sees it; the replica's
 * endpoint learns a client's address from an authentic HELLO alone.
 *
 * The node's lcore owns it. The control asks from the main lcore how far a
 * client node is. Each pillar of a replica has one of its own, without a host: it
 * hears from the replica's, by a pipe, where client nodes are.
 */
#ifndef OSKR_LCORE_ENROLMENT_H
#define OSKR_LCORE_ENROLMENT_H

#include "engine/enrol.h"
#include "lcore/endpoint.h"
#include "lcore/pipe.h"

enum {
	ENROLMENT_TEXT_SIZE = 256,
	ENROLMENT_GRACE_NS = 1000000000, /* for the last f replicas, once n - f have answered */
};

/* From a replica's enrolment to one of its pillars'. */
struct enrolment_lane {
	struct pipe pipe; /* words: enrolment.c */
	uint64_t owed;	  /* client nodes that the pillar has not been told of; the giver's */
};

struct enrolment {
	struct enrol_host *host;   /* of a replica, or */
	struct enrol_guest *guest; /* of a client node; of a pillar neither */
	struct endpoint *endpoint;
	struct enrolment_lane *lanes; /* of a replica: to its pillars; of a pillar: its own */
	uint16_t lanes_count;	      /* of a replica */
	struct frame_address places[LIMIT_CLIENT_NODES]; /* of a replica: those that it knows */
	struct neighbour *neighbour; /* is told the time of each burst; NULL: there is none */
	uint16_t replicas_count;
	uint16_t faults;
	uint64_t due_ns;    /* a client node says HELLO again */
	uint64_t quorum_ns; /* the control's: when n - f had answered; 0: not yet */
};

/* Two words for each client node, of which it may hear twice before it looks. False: no memory. */
bool enrolment_lane_open(struct enrolment_lane *lane, uint32_t pillar);
void enrolment_lane_close(struct enrolment_lane *lane);

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
