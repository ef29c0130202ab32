/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet + IPv4 + UDP around a message: what NICs can spread by RSS and what
 * any switch forwards. 42 bytes, placed so that the message behind them starts
 * on a cache line of its own. Pure but for the mbuf; any lcore.
 *
 *   mbuf buffer:  0 ... 144    150          192
 *                 headroom | 6 | eth ip udp | message ...
 *
 * UDP's checksum is left out (RFC 768 allows zero over IPv4): the MAC or
 * signature of the message covers its header, whose digest covers its body.
 */
#ifndef OSKR_LCORE_FRAME_H
#define OSKR_LCORE_FRAME_H

#include <assert.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_HEADERS_SIZE = 42,
	FRAME_IP_UDP_SIZE = 28,
	FRAME_MESSAGE_OFFSET = 192, /* from the start of the mbuf's buffer */
	FRAME_DATA_OFFSET = FRAME_MESSAGE_OFFSET - FRAME_HEADERS_SIZE,
	FRAME_TTL = 64,
};
static_assert(
    sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) ==
	FRAME_HEADERS_SIZE,
    "headers without options");
static_assert(FRAME_DATA_OFFSET >= RTE_PKTMBUF_HEADROOM, "room for drivers");

/* Where a node is: what the cluster file says of it. */
struct frame_address {
	struct rte_ether_addr mac;
	uint16_t port; /* UDP, host order */
	uint32_t ip;   /* host order */
};

/* The headers of every frame between two nodes; 48 bytes are copied in three stores. */
struct frame_template {
	uint8_t before[6];
	uint8_t headers[FRAME_HEADERS_SIZE];
	uint32_t note; /* what frame_write() notes of such frames: see frame_noted() */
};
enum {
	FRAME_BEFORE_SIZE = offsetof(struct frame_template, note), /* bytes before a message */
	FRAME_NOTE = 1 << 16, /* beside the UDP port to which the frame goes; 0: nothing noted */
};
static_assert(FRAME_BEFORE_SIZE == 48, "three 16-byte stores");

void frame_template_init(struct frame_template *template, const struct frame_address *from,
    const struct frame_address *to);

/* The UDP source port of such frames. No checksum covers it: see above. */
uint16_t frame_template_port(const struct frame_template *template);
void frame_template_port_set(struct frame_template *template, uint16_t port);

/* The 16-bit words' sum of a header that had `sum` before `added` came to it. */
static inline uint16_t
frame_checksum_add(uint16_t checksum, uint16_t added)
{
	uint32_t sum = (uint32_t)(uint16_t)~checksum + added;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Room for a message in an mbuf of an empty envelope. */
static inline uint8_t *
frame_message(struct rte_mbuf *m)
{
	return (uint8_t *)m->buf_addr + FRAME_MESSAGE_OFFSET;
}

/* Puts headers before the message_size bytes that frame_message() holds. */
static inline void
frame_write(struct rte_mbuf *m, const struct frame_template *template, uint32_t message_size)
{
	uint8_t *at = frame_message(m) - FRAME_BEFORE_SIZE;
	__builtin_memcpy(at, template, FRAME_BEFORE_SIZE);
	struct rte_ipv4_hdr *ip =
	    (struct rte_ipv4_hdr *)(void *)(at + 6 + sizeof(struct rte_ether_hdr));
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(void *)(ip + 1);
	uint16_t ip_size = rte_cpu_to_be_16((uint16_t)(message_size + FRAME_IP_UDP_SIZE));
	ip->total_length = ip_size;
	/* Read from the template: the packet's copy is still on its way to the cache. */
	const struct rte_ipv4_hdr *blank =
	    (const struct rte_ipv4_hdr *)(const void *)(template->headers +
							sizeof(struct rte_ether_hdr));
	ip->hdr_checksum = frame_checksum_add(blank->hdr_checksum, ip_size);
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(message_size + sizeof(*udp)));
	m->ol_flags = 0;
	m->hash.fdir.hi = template->note;
	m->data_off = FRAME_DATA_OFFSET;
	m->data_len = (uint16_t)(message_size + FRAME_HEADERS_SIZE);
	m->pkt_len = message_size + FRAME_HEADERS_SIZE;
}

/*
 * Finds the datagram in a frame that frame_write() wrote to this port, by what it noted in
 * the mbuf, as a NIC that knows headers would. The headers are not read: between cores
 * their cache line costs more than all else that is done with them. Only where nobody but
 * this process writes mbufs; buffer_alloc() takes the note of an earlier frame away.
 */
static inline bool
frame_noted(struct rte_mbuf *m, uint16_t port, uint8_t **data, uint32_t *size)
{
	if (m->hash.fdir.hi != (uint32_t)(FRAME_NOTE | port))
		return false;
	*data = rte_pktmbuf_mtod_offset(m, uint8_t *, FRAME_HEADERS_SIZE);
	*size = m->data_len - (uint32_t)FRAME_HEADERS_SIZE;
	return true;
}

/* Why a frame is not for us: the index of a drop counter. */
enum frame_error {
	FRAME_OK,
	FRAME_SHORT,	 /* less than its headers say */
	FRAME_ETHERTYPE, /* not IPv4 */
	FRAME_IP,	 /* version, options, fragments, or not UDP */
	FRAME_PORT,	 /* not our UDP port */
	FRAME_SEGMENTED, /* in more than one mbuf */
	FRAME_ERRORS_COUNT,
};

/*
 * Finds the datagram in a received frame. Trusts nothing; reads only what the
 * mbuf holds.
 */
static inline enum frame_error
frame_parse(struct rte_mbuf *m, uint16_t port, uint8_t **data, uint32_t *size)
{
	if (m->nb_segs != 1)
		return FRAME_SEGMENTED;
	if (m->data_len < FRAME_HEADERS_SIZE)
		return FRAME_SHORT;
	uint8_t *at = rte_pktmbuf_mtod(m, uint8_t *);
	/* A frame may stand at any address; these two headers are packed, Ethernet's is not. */
	const struct rte_ipv4_hdr *ip =
	    (const struct rte_ipv4_hdr *)(const void *)(at + sizeof(struct rte_ether_hdr));
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(const void *)(ip + 1);
	uint16_t ether_type;
	__builtin_memcpy(
	    &ether_type, at + offsetof(struct rte_ether_hdr, ether_type), sizeof(ether_type));
	if (ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
		return FRAME_ETHERTYPE;
	bool fragment = (ip->fragment_offset & rte_cpu_to_be_16(0x3fff)) != 0;
	if (ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_UDP || fragment)
		return FRAME_IP;
	if (udp->dst_port != rte_cpu_to_be_16(port))
		return FRAME_PORT;
	uint32_t datagram_size = rte_be_to_cpu_16(udp->dgram_len);
	uint32_t ip_size = rte_be_to_cpu_16(ip->total_length);
	if (datagram_size < sizeof(*udp) || datagram_size + sizeof(*ip) != ip_size ||
	    ip_size + sizeof(struct rte_ether_hdr) > m->data_len)
		return FRAME_SHORT;
	*data = at + FRAME_HEADERS_SIZE;
	*size = datagram_size - (uint32_t)sizeof(*udp);
	return FRAME_OK;
}

#endif
