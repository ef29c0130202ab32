/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of a cluster as a process of its own, on a DPDK port: a replica
 * (oskr-replica) or a client node (oskr-client). The first lcore runs the node,
 * the control and the look at the device; a replica's pillars have an lcore each,
 * and a queue of the port where it has as many; where it has more queues than
 * that, an lcore each hands over what lands there (steer.h).
 *
 * It is a struct cluster of one node, so that the control, the counters, the
 * telemetry and the reports are those of the embedded cluster. Opened and
 * closed on the main lcore.
 */
#ifndef OSKR_LCORE_PROCESS_H
#define OSKR_LCORE_PROCESS_H

#include "lcore/cluster.h"
#include "lcore/device.h"
#include "lcore/enrolment.h"
#include "lcore/process_keys.h"
#include "lcore/program.h"
#include "lcore/steer.h"

struct process_config {
	const struct program_state *program; /* options resolved, DPDK started */
	const struct process_keys *keys;
	const struct clock *clock;
	bool restarted;	     /* replica: it ran before in this life, and has lost its memory */
	uint64_t started_us; /* client: the wall clock, later than in any former life */
};

struct process {
	struct cluster cluster;
	struct options options; /* with all slots, in a replica */
	struct device *device;
	struct steer *steer;
	struct neighbour neighbour;
	struct enrolment enrolment;
	struct enrolment pillar_enrolments[LIMIT_PILLARS]; /* of a replica with pillars, ... */
	struct enrolment_lane lanes[LIMIT_PILLARS];	   /* ... and how they hear of clients */
	struct enrol_terms terms;
	struct frame_address self;
	uint32_t queues_count; /* of the port */
	uint32_t ends_count;   /* lcores that serve it: steer.h */
};

/* MiB that EAL's memory must have. */
uint32_t process_memory_mib(const struct options *options);

/* False with one line in `error` (PROGRAM_ERROR_SIZE); process_close() undoes what was done. */
bool process_open(struct process *p, const struct process_config *config, char *error);

/* Returns the packet buffers that are nowhere: leaks. */
uint32_t process_close(struct process *p);

#endif
