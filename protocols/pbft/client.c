/* SPDX-License-Identifier: Apache-2.0 */
/* The client's half: bft/client.h, which asks the primary of the view first. */
#include "protocols/bft/client.h"

#include "protocols/pbft/pbft.h"

static void
init(void *self, const struct protocol_config *config)
{
	bft_client_init(self, config, &(struct bft_asking){.ahead = 0});
}

const struct machine pbft_client = {BFT_CLIENT_MACHINE, .init = init};
