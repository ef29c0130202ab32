/* SPDX-License-Identifier: Apache-2.0 */
/* See registry.h. */
#include "protocols/registry.h"

#include "protocols/hotstuff/hotstuff.h"
#include "protocols/pbft/pbft.h"
#include "protocols/unreplicated/unreplicated.h"
#include "protocols/zyzzyva/zyzzyva.h"

static const struct protocol protocols[] = {
    {"unreplicated", NULL, PROTOCOL_SINGLE, 0, 1, &unreplicated_replica, &unreplicated_client},
    {"unreplicated-signed", NULL, PROTOCOL_SINGLE | PROTOCOL_REPLIES_SIGNED, 0, 1,
	&unreplicated_replica, &unreplicated_client},
    {"pbft", NULL, 0, 3, 1, &pbft_replica, &pbft_client},
    {"hotstuff", "hot-stuff", PROTOCOL_VOTES_SIGNED, 3, 1, &hotstuff_replica, &hotstuff_client},
    {"hotstuff2", "hot-stuff-2", PROTOCOL_VOTES_SIGNED, 3, 1, &hotstuff2_replica, &hotstuff_client},
    {"zyzzyva", NULL, PROTOCOL_SPECULATIVE, 3, 1, &zyzzyva_replica, &zyzzyva_client},
};

const struct protocol *
registry_at(uint32_t index)
{
	return index < registry_count() ? &protocols[index] : NULL;
}

uint32_t
registry_count(void)
{
	return sizeof(protocols) / sizeof(protocols[0]);
}
