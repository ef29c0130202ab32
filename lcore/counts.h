/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node has counted, as rows of name and value: the same names in the
 * telemetry and in results. Reads single words that other lcores write; any
 * thread.
 */
#ifndef OSKR_LCORE_COUNTS_H
#define OSKR_LCORE_COUNTS_H

#include "lcore/cluster.h"

enum { COUNTS_MAX = 128 };

struct count_row {
	const char *name;
	uint64_t value;
};

struct count_rows {
	uint32_t count;
	struct count_row list[COUNTS_MAX];
};

/* All that the node counts, reasons for drops included. */
void counts_all(const struct cluster *c, const struct node *node, struct count_rows *rows);

/* What the node has dropped, a row for each reason. */
void counts_drops(const struct cluster *c, const struct node *node, struct count_rows *rows);

/*
 * What the node's protocol shows of itself, its instances put together: counts
 * added up, of other figures the largest. Empty when it shows nothing.
 */
void counts_protocol(const struct node *node, struct figures *figures);

/*
 * The share of figure `index` in the whole that some of them divide (answers by which
 * path, say); below 0: it is part of none, or that is 0.
 */
double counts_share(const struct figures *figures, uint32_t index);

/* Puts another node's figures, of the same protocol, to these in the same way. */
void counts_join(struct figures *figures, const struct figures *other);

#endif
