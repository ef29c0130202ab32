/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers as they go out, against DPDK's own checksum, and every way in which
 * what comes in can be wrong. Parsed bytes lie in malloc blocks of exact size,
 * so that AddressSanitizer sees any byte read beyond.
 */
#include <rte_ip.h>
#include <string.h>

#include "engine/random.h"
#include "lcore/buffer.h"
#include "lcore/endpoint.h"
#include "lcore/frame.h"
#include "tests/lcore_eal.h"

enum {
	MESSAGE_SIZE = 100,
	FRAME_SIZE = FRAME_HEADERS_SIZE + MESSAGE_SIZE,
	PORT = 7000,
	POOL_COUNT = 1023,
	ENVELOPE_SIZE = 9188,
};

static const struct frame_address from = {
    .mac.addr_bytes = {2, 0, 0, 0, 0, 1}, .port = 7001, .ip = RTE_IPV4(10, 0, 0, 1)};
static const struct frame_address to = {
    .mac.addr_bytes = {2, 0, 0, 0, 0, 2}, .port = PORT, .ip = RTE_IPV4(10, 0, 0, 2)};
static struct rte_mempool *pool;

/* An mbuf around exactly `size` bytes of a malloc block of its own. */
static struct rte_mbuf *
mbuf_make(const uint8_t *bytes, uint16_t size)
{
	struct rte_mbuf *m = calloc(1, sizeof(*m));
	uint8_t *block = malloc(size > 0 ? size : 1);
	CU_ASSERT_FATAL(m != NULL && block != NULL);
	memcpy(block, bytes, size);
	m->buf_addr = block;
	m->data_len = size;
	m->pkt_len = size;
	m->nb_segs = 1;
	return m;
}

static void
mbuf_drop(struct rte_mbuf *m)
{
	free(m->buf_addr);
	free(m);
}

/* A whole correct frame with a message of bytes 0, 1, 2, ... */
static void
frame_make(uint8_t frame[FRAME_SIZE])
{
	struct frame_template template;
	struct rte_mbuf *m;
	frame_template_init(&template, &from, &to);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	for (uint32_t i = 0; i < MESSAGE_SIZE; i++)
		frame_message(m)[i] = (uint8_t)i;
	frame_write(m, &template, MESSAGE_SIZE);
	memcpy(frame, rte_pktmbuf_mtod(m, uint8_t *), FRAME_SIZE);
	buffer_free(&m, 1);
}

static enum frame_error
parse_bytes(const uint8_t *bytes, uint16_t size)
{
	struct rte_mbuf *m = mbuf_make(bytes, size);
	uint8_t *data = NULL;
	uint32_t data_size = 0;
	enum frame_error error = frame_parse(m, PORT, &data, &data_size);
	if (error == FRAME_OK) {
		uint8_t *block = m->buf_addr;
		CU_ASSERT_PTR_EQUAL(data, block + FRAME_HEADERS_SIZE);
		CU_ASSERT_TRUE(FRAME_HEADERS_SIZE + data_size <= size);
	}
	mbuf_drop(m);
	return error;
}

static void
headers_say_where_from_and_where_to(void)
{
	uint8_t frame[FRAME_SIZE];
	frame_make(frame);
	const struct rte_ether_hdr *ether = (const struct rte_ether_hdr *)(const void *)frame;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	memcpy(&ip, frame + 14, sizeof(ip));
	memcpy(&udp, frame + 34, sizeof(udp));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&ether->dst_addr, &to.mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&ether->src_addr, &from.mac));
	CU_ASSERT_EQUAL(frame[12], 0x08);
	CU_ASSERT_EQUAL(frame[13], 0x00);
	CU_ASSERT_EQUAL(ip.version_ihl, 0x45);
	CU_ASSERT_EQUAL(ip.next_proto_id, 17);
	CU_ASSERT_EQUAL(ip.time_to_live, FRAME_TTL);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(ip.total_length), FRAME_SIZE - 14);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(ip.src_addr), from.ip);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(ip.dst_addr), to.ip);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(udp.src_port), from.port);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(udp.dst_port), to.port);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(udp.dgram_len), MESSAGE_SIZE + 8);
	CU_ASSERT_EQUAL(udp.dgram_cksum, 0);
	for (uint32_t i = 0; i < MESSAGE_SIZE; i++)
		CU_ASSERT_EQUAL(frame[FRAME_HEADERS_SIZE + i], i);
}

/* Any addresses, any size: the sum that frame_write() carries on is DPDK's. */
static void
checksum_is_right_for_any_address_and_size(void)
{
	struct random random;
	struct rte_mbuf *m;
	random_init(&random, 1, 0);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	uint32_t wrong = 0;
	for (uint32_t round = 0; round < 20000; round++) {
		struct frame_address a = {.ip = (uint32_t)random_next(&random)};
		struct frame_address b = {.ip = (uint32_t)random_next(&random)};
		struct frame_template template;
		frame_template_init(&template, &a, &b);
		frame_write(m, &template, (uint32_t)random_below(&random, ENVELOPE_SIZE + 1));
		struct rte_ipv4_hdr ip;
		memcpy(&ip, rte_pktmbuf_mtod_offset(m, uint8_t *, 14), sizeof(ip));
		uint16_t written = ip.hdr_checksum;
		wrong += rte_ipv4_cksum(&ip) != 0;
		ip.hdr_checksum = 0;
		wrong += rte_ipv4_cksum(&ip) != written;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	buffer_free(&m, 1);
}

static void
message_starts_a_cache_line(void)
{
	struct rte_mbuf *m;
	struct frame_template template;
	frame_template_init(&template, &from, &to);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	CU_ASSERT_EQUAL((uintptr_t)frame_message(m) % 64, 0);
	frame_write(m, &template, ENVELOPE_SIZE);
	CU_ASSERT_PTR_EQUAL(rte_pktmbuf_mtod(m, uint8_t *) + FRAME_HEADERS_SIZE, frame_message(m));
	CU_ASSERT_EQUAL(m->data_len, ENVELOPE_SIZE + FRAME_HEADERS_SIZE);
	CU_ASSERT_EQUAL(m->pkt_len, ENVELOPE_SIZE + FRAME_HEADERS_SIZE);
	CU_ASSERT_TRUE(m->data_off + m->data_len <= m->buf_len);
	buffer_free(&m, 1);
}

static void
every_truncation_is_short(void)
{
	uint8_t frame[FRAME_SIZE];
	frame_make(frame);
	CU_ASSERT_EQUAL(parse_bytes(frame, FRAME_SIZE), FRAME_OK);
	for (uint16_t size = 0; size < FRAME_SIZE; size++)
		CU_ASSERT_EQUAL(parse_bytes(frame, size), FRAME_SHORT);
}

/* Ethernet pads short frames to 60 bytes: what is behind the datagram is not ours. */
static void
padding_is_left_out(void)
{
	struct frame_template template;
	struct rte_mbuf *m;
	uint8_t frame[60] = {0};
	uint8_t *data;
	uint32_t size;
	frame_template_init(&template, &from, &to);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	frame_write(m, &template, 0);
	memcpy(frame, rte_pktmbuf_mtod(m, uint8_t *), FRAME_HEADERS_SIZE);
	buffer_free(&m, 1);
	m = mbuf_make(frame, sizeof(frame));
	CU_ASSERT_EQUAL(frame_parse(m, PORT, &data, &size), FRAME_OK);
	CU_ASSERT_EQUAL(size, 0);
	mbuf_drop(m);
}

static void
each_wrong_field_has_its_reason(void)
{
	static const struct {
		uint16_t at;
		uint8_t value;
		enum frame_error error;
	} cases[] = {
	    {12, 0x86, FRAME_ETHERTYPE}, {12, 0x81, FRAME_ETHERTYPE}, {13, 0x06, FRAME_ETHERTYPE},
	    {14, 0x44, FRAME_IP}, /* a header of 16 bytes */
	    {14, 0x46, FRAME_IP}, /* options */
	    {14, 0x4f, FRAME_IP}, {14, 0x65, FRAME_IP}, {14, 0x00, FRAME_IP},
	    {20, 0x20, FRAME_IP},			/* more fragments */
	    {20, 0x01, FRAME_IP},			/* offset */
	    {21, 0x01, FRAME_IP}, {20, 0x40, FRAME_OK}, /* don't fragment */
	    {23, 6, FRAME_IP}, {23, 1, FRAME_IP}, {36, 0, FRAME_PORT}, {37, 0, FRAME_PORT},
	    {16, 0xff, FRAME_SHORT}, /* IP says more than there is */
	    {17, 0, FRAME_SHORT}, {17, FRAME_SIZE - 14 + 1, FRAME_SHORT},
	    {38, 0xff, FRAME_SHORT}, /* UDP says more than IP */
	    {39, MESSAGE_SIZE + 8 - 1, FRAME_SHORT}, {39, 7, FRAME_SHORT}, {39, 0, FRAME_SHORT},
	    {0, 0xff, FRAME_OK}, /* the switch looks at MACs, the parser does not */
	    {22, 1, FRAME_OK},	 /* time to live */
	    {24, 0, FRAME_OK},	 /* checksum: the message has its own proof */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t frame[FRAME_SIZE];
		frame_make(frame);
		frame[cases[i].at] = cases[i].value;
		CU_ASSERT_EQUAL(parse_bytes(frame, FRAME_SIZE), cases[i].error);
	}
}

/* Both lengths agree on less than UDP's own header. */
static void
lengths_that_agree_may_still_be_too_small(void)
{
	for (uint8_t udp_size = 0; udp_size < 12; udp_size++) {
		uint8_t frame[FRAME_SIZE];
		frame_make(frame);
		frame[17] = (uint8_t)(20 + udp_size);
		frame[39] = udp_size;
		CU_ASSERT_EQUAL(
		    parse_bytes(frame, FRAME_SIZE), udp_size < 8 ? FRAME_SHORT : FRAME_OK);
	}
}

static void
chains_are_refused(void)
{
	uint8_t frame[FRAME_SIZE];
	uint8_t *data;
	uint32_t size;
	frame_make(frame);
	struct rte_mbuf *m = mbuf_make(frame, FRAME_SIZE);
	struct rte_mbuf *tail = mbuf_make(frame, FRAME_SIZE);
	CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(m, tail), 0);
	CU_ASSERT_EQUAL(frame_parse(m, PORT, &data, &size), FRAME_SEGMENTED);
	m->nb_segs = 1;
	CU_ASSERT_EQUAL(frame_parse(m, PORT, &data, &size), FRAME_OK);
	m->nb_segs = 0;
	CU_ASSERT_EQUAL(frame_parse(m, PORT, &data, &size), FRAME_SEGMENTED);
	mbuf_drop(tail);
	mbuf_drop(m);
}

/* Flips bits, cuts, or draws all anew: what is accepted lies inside (parse_bytes()). */
static void
random_frames_stay_inside(void)
{
	struct random random;
	uint64_t seen[FRAME_ERRORS_COUNT] = {0};
	uint8_t good[FRAME_SIZE];
	random_init(&random, 2, 0);
	frame_make(good);
	for (uint32_t round = 0; round < 50000; round++) {
		uint8_t frame[FRAME_SIZE];
		memcpy(frame, good, sizeof(frame));
		uint64_t flips = random_below(&random, 4);
		for (uint64_t i = 0; i < flips; i++) {
			uint64_t bit = random_below(&random, 8 * FRAME_HEADERS_SIZE);
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		uint16_t size = FRAME_SIZE;
		if (random_below(&random, 4) == 0)
			size = (uint16_t)random_below(&random, FRAME_SIZE + 1);
		enum frame_error error = parse_bytes(frame, size);
		CU_ASSERT_FATAL(error < FRAME_ERRORS_COUNT);
		seen[error]++;
	}
	for (uint32_t i = 0; i < FRAME_ERRORS_COUNT; i++)
		CU_ASSERT_EQUAL(seen[i] > 0, i != FRAME_SEGMENTED);
}

static void
errors_have_names(void)
{
	for (uint32_t i = 0; i < FRAME_ERRORS_COUNT; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(frame_error_name(i));
		for (uint32_t j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(frame_error_name(i), frame_error_name(j));
	}
	CU_ASSERT_PTR_NULL(frame_error_name(FRAME_ERRORS_COUNT));
}

static void
pool_opens(void)
{
	pool = buffer_pool_create("frames", POOL_COUNT, ENVELOPE_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
}

static void
pool_has_all_back(void)
{
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
	buffer_pool_free(pool);
}

static const struct unit_story stories[] = {
    {"pool opens", pool_opens},
    {"headers say where from and where to", headers_say_where_from_and_where_to},
    {"checksum is right for any address and size", checksum_is_right_for_any_address_and_size},
    {"message starts a cache line", message_starts_a_cache_line},
    {"every truncation is short", every_truncation_is_short},
    {"padding is left out", padding_is_left_out},
    {"each wrong field has its reason", each_wrong_field_has_its_reason},
    {"lengths that agree may still be too small", lengths_that_agree_may_still_be_too_small},
    {"chains are refused", chains_are_refused},
    {"random frames stay inside", random_frames_stay_inside},
    {"errors have names", errors_have_names},
    {"pool has all back", pool_has_all_back},
};

int
main(void)
{
	return lcore_eal_run("frame", stories, sizeof(stories) / sizeof(stories[0]));
}
