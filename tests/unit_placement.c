/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/placement.c: every node has an lcore, for any number of lcores,
 * replicas and clients; and the lcores' shares of the work are as even as whole
 * nodes let them be.
 */
#include "engine/placement.h"

#include "tests/unit.h"

static struct options
options_of(uint32_t replicas, enum auth reply_auth)
{
	return (struct options){
	    .replicas = (uint16_t)replicas,
	    .faults = (uint16_t)((replicas - 1) / 3),
	    .request_auth = AUTH_MAC,
	    .reply_auth = reply_auth,
	};
}

static struct placement
placed_on(const struct options *options, uint32_t lcores, uint32_t cpus, uint32_t clients)
{
	struct placement p;
	struct placement_costs costs = placement_costs(options);
	struct placement_counts counts = {
	    .lcores = lcores,
	    .cpus = cpus,
	    .replicas = options->replicas,
	    .pillars = options->pillars,
	    .clients = clients,
	};
	placement_make(&p, &costs, &counts);
	return p;
}

/* Each lcore has a CPU of its own. */
static struct placement
placed(const struct options *options, uint32_t lcores, uint32_t clients)
{
	return placed_on(options, lcores, lcores, clients);
}

static void
every_node_has_an_lcore(void)
{
	static const uint32_t clients[] = {1, 2, 3, 7, 64, 65, 400, LIMIT_CLIENTS};
	for (uint32_t lcores = 1; lcores <= LIMIT_LCORES; lcores++) {
		for (uint32_t n = 1; n <= LIMIT_REPLICAS; n++) {
			struct options o = options_of(n, AUTH_MAC);
			for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
				struct placement p = placed(&o, lcores, clients[i]);
				bool fits = p.client_nodes >= 1 && p.client_nodes <= clients[i];
				fits &= lcores == 1 ? p.client_nodes == 1
						    : p.replica_lcores + p.client_nodes <= lcores;
				for (uint32_t r = 0; r < n; r++)
					fits &= p.replicas[r] < lcores;
				if (!fits)
					CU_FAIL("a node without an lcore");
			}
		}
	}
	CU_PASS("all placed");
}

/* With an lcore for each replica, none shares it with anybody. */
static void
replicas_are_alone_where_they_can_be(void)
{
	struct options o = options_of(4, AUTH_MAC);
	for (uint32_t lcores = 7; lcores <= 12; lcores++) {
		struct placement p = placed(&o, lcores, 64);
		for (uint16_t r = 0; r < 4; r++)
			CU_ASSERT_EQUAL(p.replicas[r], r);
		CU_ASSERT_EQUAL(p.replica_lcores, 4);
		CU_ASSERT_EQUAL(p.client_nodes, lcores - 4);
	}
}

/* Where lcores take turns on CPUs, clients are divided by CPUs, not by lcores. */
static void
clients_are_divided_by_cpus(void)
{
	struct options o = options_of(4, AUTH_MAC);
	for (uint32_t lcores = 3; lcores <= 15; lcores++) {
		for (uint32_t cpus = 1; cpus < lcores; cpus++) {
			struct placement p = placed_on(&o, lcores, cpus, 1600);
			struct placement apart = placed(&o, lcores, 1600);
			CU_ASSERT(p.client_nodes <= cpus);
			CU_ASSERT(p.client_nodes == cpus || p.client_nodes >= apart.client_nodes);
		}
	}
	struct placement p = placed_on(&o, 15, 2, 1600);
	CU_ASSERT_EQUAL(p.client_nodes, 2);
	CU_ASSERT_EQUAL(p.replica_lcores, 4);
}

static void
one_replica_leaves_its_lcore_to_nobody(void)
{
	struct options o = options_of(1, AUTH_MAC);
	struct placement p = placed(&o, 2, 64);
	CU_ASSERT_EQUAL(p.replicas[0], 0);
	CU_ASSERT_EQUAL(p.replica_lcores, 1);
	CU_ASSERT_EQUAL(p.client_nodes, 1);
}

static uint32_t
beside_clients(const struct placement *p, uint32_t replicas)
{
	uint32_t count = 0;
	for (uint32_t r = 0; r < replicas; r++)
		count += p->replicas[r] >= p->replica_lcores;
	return count;
}

/* Replicas of a whole lcore's work beside clients: what is even is best. */
static void
crowded_lcores_have_a_share_of_all(void)
{
	struct options macs = options_of(4, AUTH_MAC);
	struct placement p = placed(&macs, 2, 64);
	CU_ASSERT_EQUAL(p.replica_lcores, 0);
	CU_ASSERT_EQUAL(p.client_nodes, 2);
	CU_ASSERT_EQUAL(p.replicas[0] + p.replicas[1] + p.replicas[2] + p.replicas[3], 2);
	struct options signs = options_of(4, AUTH_SIGN);
	p = placed(&signs, 2, 64);
	CU_ASSERT_EQUAL(p.client_nodes, 2);
	/* Three lcores come out even with clients on one of them alone. */
	p = placed(&macs, 3, 64);
	CU_ASSERT_EQUAL(p.replica_lcores, 2);
	CU_ASSERT_EQUAL(p.client_nodes, 1);
	p = placed(&macs, 1, 64);
	CU_ASSERT_EQUAL(p.client_nodes, 1);
}

/* One client cannot be on both lcores: it has time for one replica of four. */
static void
crowded_replicas_go_beside_clients(void)
{
	struct options macs = options_of(4, AUTH_MAC);
	struct placement p = placed(&macs, 2, 1);
	CU_ASSERT_EQUAL(p.replica_lcores, 1);
	CU_ASSERT_EQUAL(beside_clients(&p, 4), 1);
	struct options signs = options_of(4, AUTH_SIGN);
	p = placed(&signs, 2, 1);
	CU_ASSERT_EQUAL(beside_clients(&p, 4), 1);
	/* Who has to verify what all of them sign has no time for any. */
	static const struct options_mode speculative = {.name = "speculative", .speculative = true};
	signs.mode = &speculative;
	p = placed(&signs, 2, 1);
	CU_ASSERT_EQUAL(beside_clients(&p, 4), 0);
	struct options many = options_of(7, AUTH_MAC);
	p = placed(&many, 2, 1);
	CU_ASSERT_EQUAL(beside_clients(&p, 7), 2);
}

/* Where votes are signed, replicas have more to do than their clients: two sit apart. */
static void
signed_votes_weigh(void)
{
	static const struct options_mode signing = {.name = "signing", .votes_signed = true};
	struct options o = options_of(4, AUTH_MAC);
	double plain = placement_costs(&o).replica;
	o.mode = &signing;
	o.batch = 100;
	double large = placement_costs(&o).replica;
	CU_ASSERT(large > plain);
	struct placement p = placed(&o, 2, 1);
	CU_ASSERT_EQUAL(beside_clients(&p, 4), 2);
	o.batch = 1;
	CU_ASSERT(placement_costs(&o).replica > large);
}

/* No lcore has more than the lightest and one replica, unless it is a single node's. */
static void
shares_are_even(void)
{
	for (uint32_t n = 4; n <= 31; n += 3) {
		struct options o = options_of(n, AUTH_MAC);
		struct placement_costs costs = placement_costs(&o);
		for (uint32_t lcores = 2; lcores <= n; lcores++) {
			struct placement p = placed(&o, lcores, LIMIT_CLIENTS);
			double loads[LIMIT_LCORES] = {0};
			double most = 0;
			double least = 1e12;
			for (uint32_t i = 0; i < p.client_nodes; i++)
				loads[p.replica_lcores + i] = costs.clients / p.client_nodes;
			for (uint32_t r = 0; r < n; r++)
				loads[p.replicas[r]] += costs.replica;
			for (uint32_t i = 0; i < lcores; i++) {
				most = loads[i] > most ? loads[i] : most;
				least = loads[i] < least ? loads[i] : least;
			}
			/* A node is never split: one may stand out alone. */
			double whole = costs.clients / p.client_nodes;
			bool even = most - least <= costs.replica + 1e-6;
			CU_ASSERT(even || most == whole || most == costs.replica);
		}
	}
}

/* Each part has an lcore, and none much more than another: an executor weighs as up to four of
   the smallest pillars. */
static void
pillars_are_spread(void)
{
	enum { EXECUTOR_WEIGHT = 4 };
	for (uint32_t lcores = 1; lcores <= 16; lcores++) {
		for (uint32_t pillars = 1; pillars <= LIMIT_PILLARS; pillars++) {
			struct options o = options_of(4, AUTH_MAC);
			o.pillars = pillars;
			struct placement p = placed(&o, lcores, LIMIT_CLIENTS);
			uint32_t parts[LIMIT_LCORES] = {0};
			uint32_t placed_count = 0;
			bool beside = false;
			for (uint32_t r = 0; r < 4; r++) {
				for (uint32_t k = 0; k < pillars; k++) {
					CU_ASSERT_FATAL(p.pillars[r][k] < lcores);
					parts[p.pillars[r][k]]++;
					placed_count++;
				}
				CU_ASSERT_FATAL(p.replicas[r] < lcores);
			}
			CU_ASSERT_EQUAL(placed_count, 4 * pillars);
			CU_ASSERT(p.client_nodes >= 1);
			for (uint32_t i = 1; i < p.replica_lcores; i++) {
				beside |= parts[i] > parts[0] + 1 + EXECUTOR_WEIGHT;
				beside |= parts[0] > parts[i] + 1 + EXECUTOR_WEIGHT;
			}
			CU_ASSERT_FALSE(beside);
		}
	}
}

static const struct unit_story stories[] = {
    {"every node has an lcore", every_node_has_an_lcore},
    {"replicas are alone where they can be", replicas_are_alone_where_they_can_be},
    {"clients are divided by CPUs", clients_are_divided_by_cpus},
    {"one replica leaves its lcore to nobody", one_replica_leaves_its_lcore_to_nobody},
    {"crowded lcores have a share of all", crowded_lcores_have_a_share_of_all},
    {"crowded replicas go beside clients", crowded_replicas_go_beside_clients},
    {"signed votes weigh", signed_votes_weigh},
    {"pillars are spread", pillars_are_spread},
    {"shares are even", shares_are_even},
};

UNIT_MAIN("placement", stories)
