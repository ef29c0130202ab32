/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the network's headers of a received frame. The first byte says
 * where the frame begins in its buffer and whether its headers are made to fit;
 * the rest is the frame, in a buffer of exactly its size. What is accepted lies
 * inside the frame, and what we write around it is accepted again.
 */
#include "fuzz.h"
#include "lcore/frame.h"

enum { PORT = 7000, HEADROOM_MAX = 8 };

static struct rte_mbuf
mbuf_of(uint8_t *buffer, uint32_t headroom, size_t size)
{
	struct rte_mbuf m;
	memset(&m, 0, sizeof(m));
	m.buf_addr = buffer;
	m.buf_len = (uint16_t)(headroom + size);
	m.data_off = (uint16_t)headroom;
	m.nb_segs = 1;
	m.data_len = (uint16_t)size;
	m.pkt_len = (uint32_t)size;
	return m;
}

/* Headers that nearly fit: the bits of `keep` say which fields stay as they are. */
static void
headers_fit(uint8_t *at, size_t size, uint32_t keep)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)(void *)at;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(ether + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(void *)(ip + 1);
	if (size < FRAME_HEADERS_SIZE)
		return;
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	if ((keep & 1) == 0) {
		ip->version_ihl = RTE_IPV4_VHL_DEF;
		ip->next_proto_id = IPPROTO_UDP;
		ip->fragment_offset = 0;
	}
	if ((keep & 2) == 0)
		udp->dst_port = rte_cpu_to_be_16(PORT);
	if ((keep & 4) == 0)
		ip->total_length =
		    rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(udp->dgram_len) + sizeof(*ip)));
}

/* Puts our own headers around the datagram: it must come back. */
static void
round_trip(const uint8_t *data, uint32_t size)
{
	static const struct frame_address from = {.mac = {{2, 0, 0, 0, 0, 1}}, .port = 1, .ip = 2};
	static const struct frame_address to = {.mac = {{2, 0, 0, 0, 0, 2}}, .port = PORT, .ip = 3};
	struct frame_template template;
	uint8_t *again;
	uint32_t again_size;
	uint8_t *buffer = malloc(FRAME_MESSAGE_OFFSET + (size_t)size);
	check(buffer != NULL);
	struct rte_mbuf m = mbuf_of(buffer, 0, 0);
	frame_template_init(&template, &from, &to);
	memcpy(frame_message(&m), data, size);
	frame_write(&m, &template, size);
	check(frame_parse(&m, PORT, &again, &again_size) == FRAME_OK);
	check(again_size == size && again == frame_message(&m));
	const uint8_t *ip = buffer + FRAME_DATA_OFFSET + sizeof(struct rte_ether_hdr);
	check(rte_raw_cksum(ip, sizeof(struct rte_ipv4_hdr)) == 0xffff);
	free(buffer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_reader in = {bytes, size};
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint32_t headroom = 2 * (how & 3);
	if (in.size > UINT16_MAX - HEADROOM_MAX)
		return 0;
	uint8_t *data = NULL;
	uint32_t data_size = 0;
	uint8_t *buffer = malloc(headroom + in.size > 0 ? headroom + in.size : 1);
	check(buffer != NULL);
	memset(buffer, 0, headroom);
	if (in.size > 0)
		memcpy(buffer + headroom, in.bytes, in.size);
	struct rte_mbuf m = mbuf_of(buffer, headroom, in.size);
	if (how & 4)
		headers_fit(buffer + headroom, in.size, how >> 5);
	m.nb_segs = (uint16_t)(1 + (how >> 3 & how >> 4 & 1));
	enum frame_error error = frame_parse(&m, PORT, &data, &data_size);
	check(error < FRAME_ERRORS_COUNT);
	check((data != NULL) == (error == FRAME_OK));
	if (error == FRAME_OK) {
		check(m.nb_segs == 1);
		check(data == buffer + headroom + FRAME_HEADERS_SIZE);
		check(data_size <= in.size - FRAME_HEADERS_SIZE);
		fuzz_touch(data, data_size);
		round_trip(data, data_size);
	}
	free(buffer);
	return 0;
}
