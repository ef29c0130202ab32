/* SPDX-License-Identifier: Apache-2.0 */
/* See placement.h. Pure. */
#include "engine/placement.h"

#include "engine/check.h"
#include "engine/quorum.h"

/* Measured with pbft, batches of 100 (perf/ratio.sh tells what a machine's signatures cost). */
enum {
	REPLICA_NS = 500,
	PILLARS_SHARE = 80, /* percent of it that is ordering, and replies */
	CLIENT_NS = 300,    /* and for each reply, most of which are dropped unread */
	CLIENT_REPLY_NS = 100,
	SIGN_NS = 21000,
	VERIFY_NS = 27500,
};

/* Clients' bursts are smaller where they have several nodes: it must be worth that. */
static const double MIXED_GAIN = 0.95;

/* How many replies an answer takes: a speculative one those of all replicas. */
static double
replies_needed(const struct options *options)
{
	if (options->mode != NULL && options->mode->speculative)
		return options->replicas;
	return options->replicas > 1 ? (double)options->faults + 1 : 1;
}

struct placement_costs
placement_costs(const struct options *options)
{
	struct placement_costs costs = {
	    .replica = REPLICA_NS,
	    .clients = CLIENT_NS + CLIENT_REPLY_NS * (double)options->replicas,
	};
	if (options->reply_auth == AUTH_SIGN) {
		costs.replica += SIGN_NS;
		costs.clients += VERIFY_NS * replies_needed(options);
	}
	if (options->request_auth == AUTH_SIGN) {
		costs.replica += VERIFY_NS;
		costs.clients += SIGN_NS;
	}
	if (options->mode != NULL && options->mode->votes_signed) {
		/* Each replica signs once a batch, and verifies the signatures of a quorum. */
		double quorum = quorum_size(options->replicas, options->faults);
		costs.replica += (SIGN_NS + quorum * VERIFY_NS) / (double)options->batch;
	}
	return costs;
}

static uint32_t
smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A part of a replica goes to the lcore with least to do. */
static uint16_t
part_place(double *loads, uint32_t lcores_count, double cost)
{
	uint32_t least = 0;
	for (uint32_t j = 1; j < lcores_count; j++)
		least = loads[j] < loads[least] ? j : least;
	loads[least] += cost;
	return (uint16_t)least;
}

/* Executors and pillars: all first parts first, so that each replica has its fair share. */
static void
parts_place(struct placement *placement, double *loads, const struct placement_costs *costs,
    const struct placement_counts *counts)
{
	double pillar = costs->replica * PILLARS_SHARE / 100 / counts->pillars;
	double executor = costs->replica * (100 - PILLARS_SHARE) / 100;
	for (uint32_t i = 0; i < counts->replicas; i++)
		placement->replicas[i] = part_place(loads, counts->lcores, executor);
	for (uint32_t p = 0; p < counts->pillars; p++) {
		for (uint32_t i = 0; i < counts->replicas; i++)
			placement->pillars[i][p] = part_place(loads, counts->lcores, pillar);
	}
}

/* The busiest lcore's share of an operation, where clients sit on the lcores from `own` on. */
static double
place(struct placement *placement, const struct placement_costs *costs,
    const struct placement_counts *counts, uint32_t own)
{
	double loads[LIMIT_LCORES] = {0};
	uint32_t lcores_count = counts->lcores;
	uint32_t clients_count = counts->clients;
	uint32_t client_lcores = lcores_count == 1 ? 1 : lcores_count - own;
	uint32_t nodes_max = smaller(counts->cpus, LIMIT_CLIENT_NODES);
	uint32_t nodes = smaller(smaller(client_lcores, clients_count), nodes_max);
	/* The last node may not be left without slots. */
	uint32_t per_node = (clients_count + nodes - 1) / nodes;
	*placement = (struct placement){
	    .replica_lcores = own,
	    .client_nodes = (clients_count + per_node - 1) / per_node,
	};
	for (uint32_t i = 0; i < placement->client_nodes && lcores_count > 1; i++)
		loads[own + i] = costs->clients / placement->client_nodes;
	if (counts->pillars > 0)
		parts_place(placement, loads, costs, counts);
	for (uint32_t i = 0; i < counts->replicas && counts->pillars == 0; i++) {
		/* Those that can be alone are. */
		bool alone = i < own;
		placement->replicas[i] =
		    alone ? (uint16_t)i : part_place(loads, lcores_count, costs->replica);
		loads[i] += alone ? costs->replica : 0;
	}
	double busiest = 0;
	for (uint32_t i = 0; i < lcores_count; i++)
		busiest = loads[i] > busiest ? loads[i] : busiest;
	return busiest;
}

void
placement_make(struct placement *placement, const struct placement_costs *costs,
    const struct placement_counts *counts)
{
	uint32_t lcores_count = counts->lcores;
	uint32_t replicas_count = counts->replicas;
	check(lcores_count >= 1 && lcores_count <= LIMIT_LCORES);
	check(replicas_count >= 1 && replicas_count <= LIMIT_REPLICAS && counts->clients >= 1);
	check(counts->pillars <= LIMIT_PILLARS && counts->cpus >= 1);
	uint32_t own = smaller((lcores_count + 1) / 2, replicas_count * (1 + counts->pillars));
	double apart = place(placement, costs, counts, own);
	struct placement mixed;
	if (lcores_count == 1 || counts->clients < lcores_count)
		return;
	if (place(&mixed, costs, counts, 0) < apart * MIXED_GAIN)
		*placement = mixed;
}
