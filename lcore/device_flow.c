/* SPDX-License-Identifier: Apache-2.0 */
/* See device_flow.h. */
#include "lcore/device_flow.h"

#include <rte_byteorder.h>
#include <rte_flow.h>

bool
device_flow_set(uint16_t port, uint16_t udp_port, uint16_t queue)
{
	const struct rte_flow_attr attributes = {.ingress = 1};
	const struct rte_flow_item_udp wanted = {.hdr.dst_port = rte_cpu_to_be_16(udp_port)};
	const struct rte_flow_item_udp mask = {.hdr.dst_port = RTE_BE16(UINT16_MAX)};
	const struct rte_flow_item pattern[] = {
	    {.type = RTE_FLOW_ITEM_TYPE_ETH},
	    {.type = RTE_FLOW_ITEM_TYPE_IPV4},
	    {.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &wanted, .mask = &mask},
	    {.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action_queue to = {.index = queue};
	const struct rte_flow_action actions[] = {
	    {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
	    {.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error error = {0};
	return rte_flow_validate(port, &attributes, pattern, actions, &error) == 0 &&
	       rte_flow_create(port, &attributes, pattern, actions, &error) != NULL;
}
