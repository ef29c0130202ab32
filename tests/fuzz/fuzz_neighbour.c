/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: frames that are no messages, as they come from anybody on the
 * network: ARP, ICMP echo, "oskr?". Each lies in memory of exactly its size. What
 * must hold: an answer is no longer than its question (or Ethernet's least), goes
 * back to where the question came from, and to no group; answers are no more than
 * the credit allows; their checksums fit; and no buffer is lost.
 */
#include "fuzz.h"
#include "lcore/buffer.h"

/* Buffers of exactly their size instead of a pool, which needs all of DPDK. */
static uint32_t fuzz_buffers(struct rte_mempool *pool, struct rte_mbuf **list, uint32_t count);
#define buffer_alloc fuzz_buffers
#include "lcore/neighbour.c"
#undef buffer_alloc

enum { IP = 0x0a000001, PORT = 7000, DATA_MAX = 1480, FRAME_MAX = 2048, SUPPLY_MAX = 3 };

static const struct rte_ether_addr own_mac = {{2, 0, 0, 0, 0, 1}};
static struct neighbour neighbour;
static struct rte_mbuf answer; /* one at a time */
static const struct rte_mbuf *question;
static uint32_t buffers_out;
static uint32_t supply; /* of buffers; 0: the pool is empty */

static uint32_t
fuzz_buffers(struct rte_mempool *pool, struct rte_mbuf **list, uint32_t count)
{
	(void)pool;
	check(count == 1 && buffers_out == 0);
	if (supply == 0)
		return 0;
	supply--;
	memset(&answer, 0, sizeof(answer));
	answer.buf_addr = malloc(FRAME_MESSAGE_OFFSET + DATA_MAX);
	check(answer.buf_addr != NULL);
	answer.buf_len = FRAME_MESSAGE_OFFSET + DATA_MAX;
	answer.nb_segs = 1;
	buffers_out = 1;
	list[0] = &answer;
	return 1;
}

static void
ip_check(const uint8_t *data, uint32_t size)
{
	struct rte_ipv4_hdr ip;
	memcpy(&ip, data, sizeof(ip));
	uint32_t ip_size = rte_be_to_cpu_16(ip.total_length);
	check(ip_size <= size);
	check(rte_raw_cksum(&ip, sizeof(ip)) == 0xffff);
	check(ip.src_addr == rte_cpu_to_be_32(IP));
	if (ip.next_proto_id == IPPROTO_ICMP)
		check(rte_raw_cksum(data + IP_SIZE, ip_size - IP_SIZE) == 0xffff);
	else
		check(ip.next_proto_id == IPPROTO_UDP);
}

static void
tx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	(void)self;
	check(count == 1 && frames[0] == &answer && buffers_out == 1);
	check(answer.data_len == answer.pkt_len);
	check(answer.data_off + answer.data_len <= answer.buf_len);
	uint32_t least = question->data_len < FRAME_SIZE_MIN ? FRAME_SIZE_MIN : question->data_len;
	check(answer.data_len <= least);
	const uint8_t *frame = rte_pktmbuf_mtod(&answer, const uint8_t *);
	const uint8_t *asked = rte_pktmbuf_mtod(question, const uint8_t *);
	check(memcmp(frame, asked + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN) == 0);
	check((frame[0] & 1) == 0);
	check(memcmp(frame + RTE_ETHER_ADDR_LEN, &own_mac, sizeof(own_mac)) == 0);
	fuzz_touch(frame, answer.data_len);
	if (frame[12] == 0x08 && frame[13] == 0x00)
		ip_check(frame + ETHERNET_SIZE, answer.data_len - ETHERNET_SIZE);
	free(answer.buf_addr);
	buffers_out = 0;
}

/* Fields without which nothing is looked at any further: the bits say which are set right. */
static void
fields_fit(uint8_t *frame, uint32_t size, uint32_t bits)
{
	uint8_t *at = frame + ETHERNET_SIZE;
	if (size < ETHERNET_SIZE + IP_SIZE + UDP_SIZE)
		return;
	frame[6] &= (uint8_t)~1;
	frame[12] = 0x08;
	frame[13] = bits & 1 ? 0x06 : 0x00;
	if (bits & 1) {
		static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
		memcpy(at, request, sizeof(request));
		if (size >= ETHERNET_SIZE + ARP_SIZE)
			memcpy(at + 24, (const uint8_t[]){10, 0, 0, 1}, 4);
		return;
	}
	struct rte_ipv4_hdr ip;
	memcpy(&ip, at, sizeof(ip));
	ip.version_ihl = RTE_IPV4_VHL_DEF;
	ip.fragment_offset = 0;
	ip.dst_addr = rte_cpu_to_be_32(IP);
	ip.next_proto_id = bits & 2 ? IPPROTO_ICMP : IPPROTO_UDP;
	if (bits & 4)
		ip.total_length = rte_cpu_to_be_16((uint16_t)(size - ETHERNET_SIZE));
	memcpy(at, &ip, sizeof(ip));
	uint8_t *data = at + IP_SIZE;
	uint32_t data_size = size - ETHERNET_SIZE - IP_SIZE;
	if (bits & 2) {
		memcpy(data, (const uint8_t[]){8, 0, 0, 0}, 4);
		uint16_t sum = (uint16_t)~rte_raw_cksum(data, data_size);
		memcpy(data + 2, &sum, sizeof(sum));
		return;
	}
	if (data_size < UDP_SIZE + 5)
		return;
	memcpy(data + 2, (const uint8_t[]){PORT >> 8, PORT & 0xff}, 2);
	if (bits & 8)
		memcpy(
		    data + 4, (const uint8_t[]){(uint8_t)(data_size >> 8), (uint8_t)data_size}, 2);
	memcpy(data + UDP_SIZE, "oskr?", 5);
}

static void
frame_comes(struct fuzz_reader *in)
{
	struct rte_mbuf m;
	uint32_t bits = (uint32_t)fuzz_take(in, 1);
	uint32_t size = fuzz_below(in, bits & 32 ? FRAME_MAX : 128);
	uint8_t *frame = malloc(size > 0 ? size : 1);
	check(frame != NULL);
	fuzz_take_bytes(in, frame, size);
	if (bits & 16)
		fields_fit(frame, size, bits);
	memset(&m, 0, sizeof(m));
	m.buf_addr = frame;
	m.buf_len = (uint16_t)size;
	m.nb_segs = (uint16_t)(1 + (bits >> 7 & bits >> 6 & 1));
	m.data_len = (uint16_t)size;
	m.pkt_len = size;
	question = &m;
	neighbour_see(&neighbour, &m);
	check(buffers_out == 0);
	free(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_reader in = {bytes, size};
	const struct neighbour_config config = {
	    .queue = {.tx_burst = tx},
	    .data_max = DATA_MAX,
	    .self = {.mac = own_mac, .port = PORT, .ip = IP},
	    .text = "oskr replica 1",
	};
	uint64_t now_ns = 1;
	neighbour_init(&neighbour, &config);
	neighbour_time(&neighbour, now_ns);
	while (in.size > 0) {
		uint32_t how = (uint32_t)fuzz_take(&in, 1);
		supply = how & 1 ? SUPPLY_MAX : how >> 6;
		if (how & 2)
			now_ns += fuzz_take(&in, 3);
		neighbour_time(&neighbour, now_ns);
		frame_comes(&in);
	}
	const struct neighbour_counters *c = &neighbour.counters;
	check(c->arp + c->echo + c->asked <= NEIGHBOUR_BURST + now_ns / ANSWER_NS + 1);
	return 0;
}
