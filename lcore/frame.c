/* SPDX-License-Identifier: Apache-2.0 */
/* See frame.h. */
#include "lcore/frame.h"

#include <string.h>

void
frame_template_init(struct frame_template *template, const struct frame_address *from,
    const struct frame_address *to)
{
	memset(template, 0, sizeof(*template));
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)(void *)template->headers;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(ether + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(void *)(ip + 1);
	ether->dst_addr = to->mac;
	ether->src_addr = from->mac;
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->time_to_live = FRAME_TTL;
	ip->next_proto_id = IPPROTO_UDP;
	ip->src_addr = rte_cpu_to_be_32(from->ip);
	ip->dst_addr = rte_cpu_to_be_32(to->ip);
	ip->hdr_checksum = rte_ipv4_cksum(ip); /* with a length of zero: added for each frame */
	udp->src_port = rte_cpu_to_be_16(from->port);
	udp->dst_port = rte_cpu_to_be_16(to->port);
	template->note = FRAME_NOTE | to->port;
}

static struct rte_udp_hdr *
template_udp(const struct frame_template *template)
{
	const uint8_t *at =
	    template->headers + sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr);
	return (struct rte_udp_hdr *)(uintptr_t)at;
}

uint16_t
frame_template_port(const struct frame_template *template)
{
	return rte_be_to_cpu_16(template_udp(template)->src_port);
}

void
frame_template_port_set(struct frame_template *template, uint16_t port)
{
	template_udp(template)->src_port = rte_cpu_to_be_16(port);
}
