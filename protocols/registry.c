/* SPDX-License-Identifier: Apache-2.0 */
/* See registry.h. */
#include "protocols/registry.h"

#include "protocols/pbft/pbft.h"
#include "protocols/unreplicated/unreplicated.h"

static const struct protocol protocols[] = {
    {"unreplicated", NULL, PROTOCOL_SINGLE, 0, 1, &unreplicated_replica, &unreplicated_client},
    {"unreplicated-signed", NULL, PROTOCOL_SINGLE | PROTOCOL_REPLIES_SIGNED, 0, 1,
	&unreplicated_replica, &unreplicated_client},
    {"pbft", NULL, 0, 3, 1, &pbft_replica, &pbft_client},
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
