/* SPDX-License-Identifier: Apache-2.0 */
/* See neighbour.h. One lcore. */
#include "lcore/neighbour.h"

#include <rte_arp.h>
#include <rte_icmp.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "lcore/buffer.h"

enum {
	ANSWER_NS = 1000000000 / NEIGHBOUR_ANSWERS_PER_S,
	CREDIT_MAX_NS = NEIGHBOUR_BURST * ANSWER_NS,
	ETHERNET_SIZE = sizeof(struct rte_ether_hdr),
	ARP_SIZE = sizeof(struct rte_arp_hdr),
	IP_SIZE = sizeof(struct rte_ipv4_hdr),
	UDP_SIZE = sizeof(struct rte_udp_hdr),
	ICMP_SIZE = sizeof(struct rte_icmp_hdr),
	FRAME_SIZE_MIN = 60, /* without the check sequence (IEEE 802.3) */
};

/* A frame as it came: copied headers, since it may stand at any address. */
struct seen {
	const uint8_t *data; /* behind Ethernet's header */
	uint32_t size;	     /* bytes of it */
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
};

void
neighbour_init(struct neighbour *n, const struct neighbour_config *config)
{
	*n = (struct neighbour){.config = *config, .credit_ns = CREDIT_MAX_NS};
	snprintf(n->text, sizeof(n->text), "%s", config->text);
}

void
neighbour_time(struct neighbour *n, uint64_t now_ns)
{
	uint64_t credit_ns = n->credit_ns + (now_ns - n->now_ns);
	n->credit_ns = n->now_ns == 0 || credit_ns > CREDIT_MAX_NS ? CREDIT_MAX_NS : credit_ns;
	n->now_ns = now_ns;
}

/* An empty buffer for an answer of `size` bytes behind Ethernet's header; NULL: none is due. */
static struct rte_mbuf *
answer_begin(struct neighbour *n, uint32_t size)
{
	struct rte_mbuf *m;
	if (n->credit_ns < ANSWER_NS || size > IP_SIZE + n->config.data_max ||
	    buffer_alloc(n->config.pool, &m, 1) != 1) {
		n->counters.limited++;
		return NULL;
	}
	n->credit_ns -= ANSWER_NS;
	uint32_t frame_size = ETHERNET_SIZE + size;
	uint32_t padded = frame_size < FRAME_SIZE_MIN ? FRAME_SIZE_MIN : frame_size;
	m->data_off = FRAME_DATA_OFFSET;
	m->data_len = (uint16_t)padded;
	m->pkt_len = padded;
	memset(rte_pktmbuf_mtod(m, uint8_t *) + frame_size, 0, padded - frame_size);
	return m;
}

static void
answer_send(struct neighbour *n, struct rte_mbuf *m, const struct seen *seen)
{
	struct rte_ether_hdr ether = {
	    .dst_addr = seen->ether.src_addr,
	    .src_addr = n->config.self.mac,
	    .ether_type = seen->ether.ether_type,
	};
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), &ether, sizeof(ether));
	n->config.queue.tx_burst(n->config.queue.self, &m, 1);
}

/*
 * RFC 826, "Packet Reception": "Am I the target protocol address? ... Is the opcode
 * ares_op$REQUEST? ... Swap hardware and protocol fields, putting the local hardware and
 * protocol addresses in the sender fields. Set the ar$op field to ares_op$REPLY."
 */
static void
arp_see(struct neighbour *n, const struct seen *seen)
{
	struct rte_arp_hdr arp;
	if (seen->size < ARP_SIZE)
		return;
	memcpy(&arp, seen->data, sizeof(arp));
	if (arp.arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
	    arp.arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
	    arp.arp_hlen != RTE_ETHER_ADDR_LEN || arp.arp_plen != sizeof(uint32_t) ||
	    arp.arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) ||
	    arp.arp_data.arp_tip != rte_cpu_to_be_32(n->config.self.ip))
		return;
	struct rte_mbuf *m = answer_begin(n, ARP_SIZE);
	if (m == NULL)
		return;
	arp.arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = arp.arp_data.arp_sha;
	arp.arp_data.arp_tip = arp.arp_data.arp_sip;
	arp.arp_data.arp_sha = n->config.self.mac;
	arp.arp_data.arp_sip = rte_cpu_to_be_32(n->config.self.ip);
	memcpy(rte_pktmbuf_mtod(m, uint8_t *) + ETHERNET_SIZE, &arp, sizeof(arp));
	n->counters.arp++;
	answer_send(n, m, seen);
}

/* An answer's IPv4 header, back to where the question came from; returns what is behind it. */
static uint8_t *
ip_write(struct neighbour *n, struct rte_mbuf *m, const struct seen *seen, uint32_t size)
{
	struct rte_ipv4_hdr ip = {
	    .version_ihl = RTE_IPV4_VHL_DEF,
	    .total_length = rte_cpu_to_be_16((uint16_t)(IP_SIZE + size)),
	    .packet_id = seen->ip.packet_id,
	    .time_to_live = FRAME_TTL,
	    .next_proto_id = seen->ip.next_proto_id,
	    .src_addr = rte_cpu_to_be_32(n->config.self.ip),
	    .dst_addr = seen->ip.src_addr,
	};
	uint8_t *at = rte_pktmbuf_mtod(m, uint8_t *) + ETHERNET_SIZE;
	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(at, &ip, sizeof(ip));
	return at + IP_SIZE;
}

/*
 * RFC 792, "Echo or Echo Reply Message": "The data received in the echo message must be
 * returned in the echo reply message."
 */
static void
echo_see(struct neighbour *n, const struct seen *seen, uint32_t size)
{
	struct rte_icmp_hdr icmp;
	if (size < ICMP_SIZE)
		return;
	memcpy(&icmp, seen->data + IP_SIZE, sizeof(icmp));
	if (icmp.icmp_type != RTE_IP_ICMP_ECHO_REQUEST || icmp.icmp_code != 0 ||
	    rte_raw_cksum(seen->data + IP_SIZE, size) != 0xffff)
		return;
	struct rte_mbuf *m = answer_begin(n, IP_SIZE + size);
	if (m == NULL)
		return;
	uint8_t *at = ip_write(n, m, seen, size);
	memcpy(at, seen->data + IP_SIZE, size);
	icmp.icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	icmp.icmp_cksum = 0;
	memcpy(at, &icmp, sizeof(icmp));
	icmp.icmp_cksum = (uint16_t)~rte_raw_cksum(at, size);
	memcpy(at, &icmp, sizeof(icmp));
	n->counters.echo++;
	answer_send(n, m, seen);
}

/* "oskr?" is answered by a text, cut to the question's size. */
static void
question_see(struct neighbour *n, const struct seen *seen, uint32_t size)
{
	static const char question[] = "oskr?";
	struct rte_udp_hdr udp;
	if (size < UDP_SIZE + sizeof(question) - 1)
		return;
	memcpy(&udp, seen->data + IP_SIZE, sizeof(udp));
	uint32_t udp_size = rte_be_to_cpu_16(udp.dgram_len);
	if (udp.dst_port != rte_cpu_to_be_16(n->config.self.port) || udp_size > size ||
	    udp_size < UDP_SIZE + sizeof(question) - 1 ||
	    memcmp(seen->data + IP_SIZE + UDP_SIZE, question, sizeof(question) - 1) != 0)
		return;
	uint32_t room = udp_size - UDP_SIZE;
	uint32_t text_size = (uint32_t)strlen(n->text);
	text_size = text_size < room ? text_size : room;
	struct rte_mbuf *m = answer_begin(n, IP_SIZE + UDP_SIZE + text_size);
	if (m == NULL)
		return;
	uint8_t *at = ip_write(n, m, seen, UDP_SIZE + text_size);
	struct rte_udp_hdr back = {
	    .src_port = udp.dst_port,
	    .dst_port = udp.src_port,
	    .dgram_len = rte_cpu_to_be_16((uint16_t)(UDP_SIZE + text_size)),
	};
	memcpy(at, &back, sizeof(back));
	memcpy(at + UDP_SIZE, n->text, text_size);
	n->counters.asked++;
	answer_send(n, m, seen);
}

static void
ip_see(struct neighbour *n, struct seen *seen)
{
	if (seen->size < IP_SIZE)
		return;
	memcpy(&seen->ip, seen->data, sizeof(seen->ip));
	uint32_t ip_size = rte_be_to_cpu_16(seen->ip.total_length);
	/* Fragments are no questions. Nor is what claims to come from a group, or from us. */
	if (seen->ip.version_ihl != RTE_IPV4_VHL_DEF || ip_size < IP_SIZE || ip_size > seen->size ||
	    (seen->ip.fragment_offset & rte_cpu_to_be_16(0x3fff)) != 0 ||
	    seen->ip.dst_addr != rte_cpu_to_be_32(n->config.self.ip) ||
	    seen->ip.src_addr == seen->ip.dst_addr ||
	    rte_be_to_cpu_32(seen->ip.src_addr) >> 28 > 13)
		return;
	if (seen->ip.next_proto_id == IPPROTO_ICMP)
		echo_see(n, seen, ip_size - IP_SIZE);
	else if (seen->ip.next_proto_id == IPPROTO_UDP)
		question_see(n, seen, ip_size - IP_SIZE);
}

void
neighbour_see(struct neighbour *n, const struct rte_mbuf *m)
{
	struct seen seen;
	if (m->nb_segs != 1 || m->data_len < ETHERNET_SIZE)
		return;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	memcpy(&seen.ether, frame, sizeof(seen.ether));
	if ((seen.ether.src_addr.addr_bytes[0] & 1) != 0)
		return;
	seen.data = frame + ETHERNET_SIZE;
	seen.size = m->data_len - ETHERNET_SIZE;
	if (seen.ether.ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP))
		arp_see(n, &seen);
	else if (seen.ether.ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
		ip_see(n, &seen);
}
