/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half: bft/client.h, which asks the primary of the view first. */
#include "protocols/bft/client.h"

#include "protocols/pbft/pbft.h"

/*
 * So many operations are sent to all at first, once two in a row had to be asked for
 * again. Whom a client believes to be the primary may be another: a correct replica
 * that left the view alone and one that lies are f + 1 where f is 1, and name a view
 * that nobody else is in. Each operation would wait for its timer, twice as long each
 * time. Not many, for under overload such copies are load, too.
 */
enum { WARY_OPERATIONS = 16, WARY_DOUBLINGS = 1 };

static void
init(void *self, const struct protocol_config *config)
{
	bft_client_init(self, config,
	    &(struct bft_asking){.wary = WARY_OPERATIONS, .wary_doublings = WARY_DOUBLINGS});
}

const struct machine pbft_client = {BFT_CLIENT_MACHINE, .init = init};
