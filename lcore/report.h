/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of a run: as text for people, as one JSON object for programs, as
 * an .hgrm file for plots of percentiles, and as rows of telemetry while it
 * goes on. Read-only; the main lcore (telemetry: its own thread).
 */
#ifndef OSKR_LCORE_REPORT_H
#define OSKR_LCORE_REPORT_H

#include "lcore/cluster.h"
#include "lcore/machine.h"
#include "lcore/telemetry.h"

struct report {
	const struct options *options;
	const char *eal_line; /* DPDK's arguments */
	bool idle_yields;
	double seconds; /* measured */
	uint64_t operations;
	double throughput; /* operations a second */
	double cpu_us_per_op;
	struct crypto_counters proofs; /* of all nodes together, since the start */
	double signature_us;	       /* that one took, and one verification: means; 0: none */
	double verification_us;
	double busy[CONTROL_KINDS];	       /* share of the lcores that serve them, 0..1 */
	double lcore_busy[CONTROL_LOOPS_MAX];  /* of each lcore, whoever is there */
	double lcore_taken[CONTROL_LOOPS_MAX]; /* what the kernel took from its bursts */
	uint64_t errors;		       /* wrong, lost, refused, unanswered */
	uint64_t unanswered;		       /* of these: operations without an answer */
	uint64_t retransmissions;
	uint64_t view_changes;
	struct client_counters totals;
	struct histogram latency;
	struct machine_facts machine;
	uint64_t
	    drops; /* frames and messages that went nowhere, for whatever reason but that ... */
	uint64_t surplus; /* ... the protocol had no use for them */
};

/* Sums the run up; after cluster_run(). */
void report_make(struct report *r, const struct cluster *c, const char *eal_line);

void report_print(const struct report *r, const struct cluster *c, FILE *file);

/* A process that is a replica: what it did, from its start to its end. */
void report_print_served(const struct cluster *c, FILE *file);

/* Returns 0 or a negative errno. */
int report_write_json(const struct report *r, const struct cluster *c, const char *path);
int report_write_hgrm(const struct report *r, const char *path);

/* For telemetry_open(): `self` is a struct cluster. */
void report_fill_info(void *self, struct telemetry_rows *rows);
void report_fill_stats(void *self, struct telemetry_rows *rows);
void report_fill_view(void *self, struct telemetry_rows *rows);
void report_fill_latency(void *self, struct telemetry_rows *rows);
void report_fill_shards(void *self, struct telemetry_rows *rows);
void report_fill_peers(void *self, struct telemetry_rows *rows);

/* All of them, for telemetry_open(). */
struct telemetry_source report_telemetry(struct cluster *c);

#endif
