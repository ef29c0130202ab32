/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half: f + 1 matching replies. It asks whose turn replies name:
 * see propose_hint().
 */
#include "protocols/bft/client.h"
#include "protocols/hotstuff/hotstuff.h"

/*
 * Where leaders take turns, a chain without work can stop again and again before
 * the same silent one. So an operation that nobody answered is a warning: for a
 * while all replicas hear of what is asked, and their timers see to it.
 */
enum { WARY_OPERATIONS = 64 };

static void
init(void *self, const struct protocol_config *config)
{
	bft_client_init(self, config, &(struct bft_asking){.wary = WARY_OPERATIONS});
}

#ifdef BFT_MUTANTS
uint16_t (*hotstuff_leader_script)(uint64_t view);
#endif

const struct machine hotstuff_client = {BFT_CLIENT_MACHINE, .init = init};
