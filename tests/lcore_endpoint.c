/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's end of the network over a queue that the stories fill and look into:
 * envelopes become frames, frames become datagrams, and no mbuf is lost on
 * either way, whatever runs out.
 */
#include <string.h>

#include "lcore/buffer.h"
#include "lcore/endpoint.h"
#include "lcore/enrolment.h"
#include "lcore/steer.h"
#include "tests/lcore_eal.h"

enum {
	POOL_COUNT = 1023,
	ENVELOPE_SIZE = 1024,
	MESSAGE_SIZE = 200,
	REPLICAS = 4,
	CLIENTS = 2,
	NODES = REPLICAS + CLIENTS,
	SLOTS = 3,
	INSTANCES = 2,
	SELF = 1,
	PORT = 7000,
	WIRE_MAX = 1024,
	REPLICA_BITS = (1 << REPLICAS) - 1,
};

/* The network: what was sent, and what will come. */
static struct {
	struct rte_mbuf *sent[WIRE_MAX];
	struct rte_mbuf *coming[WIRE_MAX];
	uint32_t sent_count;
	uint32_t coming_count;
} wire;

static const uint16_t slot_clients[SLOTS] = {0, 1, 1};
static struct frame_address addresses[NODES];
static struct rte_mempool *pool;
static struct endpoint *endpoint;
static struct shard_io io;
static struct datagram datagrams[SHARD_BURST_MAX];

static void
wire_tx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	(void)self;
	CU_ASSERT_FATAL(wire.sent_count + count <= WIRE_MAX);
	memcpy(wire.sent + wire.sent_count, frames, count * sizeof(frames[0]));
	wire.sent_count += count;
}

static uint32_t
wire_rx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	(void)self;
	uint32_t got = count < wire.coming_count ? count : wire.coming_count;
	memcpy(frames, wire.coming, got * sizeof(frames[0]));
	wire.coming_count -= got;
	memmove(wire.coming, wire.coming + got, wire.coming_count * sizeof(frames[0]));
	return got;
}

static bool wire_in_process; /* the wire passes mbufs on as they were sent */

static struct endpoint *
endpoint_new(uint16_t self, uint16_t parts_max, const struct frame_address *group)
{
	for (uint32_t i = 0; i < NODES; i++) {
		addresses[i] = (struct frame_address){
		    .mac.addr_bytes = {2, 0, 0, 0, 0, (uint8_t)i}, .port = PORT, .ip = i + 1};
	}
	struct endpoint_config config = {
	    .queue = {.rx_burst = wire_rx, .tx_burst = wire_tx, .in_process = wire_in_process},
	    .pool = pool,
	    .envelope_size = ENVELOPE_SIZE,
	    .replicas_count = REPLICAS,
	    .clients_count = CLIENTS,
	    .self = self,
	    .slots_count = SLOTS,
	    .slot_clients = slot_clients,
	    .addresses = addresses,
	    .parts_max = parts_max,
	    .instances_count = INSTANCES,
	    .group = group,
	};
	struct endpoint *e = endpoint_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	return e;
}

static void
open_endpoint(uint16_t self)
{
	endpoint = endpoint_new(self, 0, NULL);
	io = endpoint_io(endpoint);
}

static void
wire_clear(void)
{
	buffer_free(wire.sent, wire.sent_count);
	wire.sent_count = 0;
	buffer_free(wire.coming, wire.coming_count);
	wire.coming_count = 0;
}

static void
close_endpoint(void)
{
	wire_clear();
	endpoint_close(endpoint);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
}

/* An envelope with a message whose bytes tell it from others. */
static struct send
envelope(uint64_t to, uint16_t client, uint8_t mark)
{
	struct send s;
	CU_ASSERT_EQUAL_FATAL(io.refill(io.self, &s, 1), 1);
	CU_ASSERT_EQUAL(s.capacity, ENVELOPE_SIZE);
	CU_ASSERT_EQUAL((uintptr_t)s.header % 64, 0);
	memset(s.header, mark, MESSAGE_SIZE);
	s.header->size = MESSAGE_SIZE;
	s.to = to;
	s.client = client;
	s.large = 0;
	s.flags = 0;
	return s;
}

/* Which node the frame is for; checks that it holds the message with `mark`. */
static uint32_t
receiver_of(struct rte_mbuf *m, uint8_t mark)
{
	uint8_t *data = NULL;
	uint32_t size = 0;
	CU_ASSERT_EQUAL_FATAL(frame_parse(m, PORT, &data, &size), FRAME_OK);
	CU_ASSERT_EQUAL(size, MESSAGE_SIZE);
	CU_ASSERT_EQUAL(data[sizeof(uint32_t)], mark);
	CU_ASSERT_EQUAL(data[MESSAGE_SIZE - 1], mark);
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	for (uint32_t i = 0; i < NODES; i++) {
		if (rte_is_same_ether_addr(&ether->dst_addr, &addresses[i].mac))
			return i;
	}
	return NODES;
}

static uint16_t
source_port(struct rte_mbuf *m)
{
	const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, FRAME_HEADERS_SIZE - 8);
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Sends a message of the instance to all replicas; how many frames that made. */
static uint32_t
sent_to_all(uint16_t instance)
{
	struct send s = envelope(REPLICA_BITS, 0, 0x55);
	s.header->instance = instance;
	wire_clear();
	io.transmit(io.self, &s, 1);
	return wire.sent_count;
}

static void
frames_lead_to_the_parts_that_replicas_have(void)
{
	const struct frame_address group = {{{1, 0, 0x5e, 0, 0, 1}}, PORT, RTE_IPV4(239, 0, 0, 1)};
	endpoint = endpoint_new(REPLICAS, 1 + LIMIT_PILLARS, &group);
	io = endpoint_io(endpoint);
	CU_ASSERT_EQUAL(sent_to_all(0), 1);
	CU_ASSERT_EQUAL(source_port(wire.sent[0]), PORT);
	/* One says that it has a queue for each of three parts: the others' port would not do. */
	endpoint_parts_set(endpoint, 2, 3, 2);
	for (uint16_t instance = 0; instance <= INSTANCES; instance++) {
		uint16_t part = instance < INSTANCES ? 1 + instance : 0;
		CU_ASSERT_EQUAL(sent_to_all(instance), REPLICAS);
		for (uint32_t i = 0; i < REPLICAS; i++) {
			uint16_t port = source_port(wire.sent[i]);
			const struct steer_flow flow = {REPLICAS + 1, 3, port, PORT};
			CU_ASSERT_EQUAL(receiver_of(wire.sent[i], 0x55), i);
			if (i == 2)
				CU_ASSERT_EQUAL(steer_table_queue(steer_hash(&flow), 3), part);
			if (i != 2)
				CU_ASSERT_EQUAL(port, PORT);
		}
	}
	/* All say so: one frame again, from a port that leads to the part at each. */
	for (uint16_t i = 0; i < REPLICAS; i++)
		endpoint_parts_set(endpoint, i, 3, 2);
	for (uint16_t instance = 0; instance <= INSTANCES; instance++) {
		uint16_t part = instance < INSTANCES ? 1 + instance : 0;
		CU_ASSERT_EQUAL(sent_to_all(instance), 1);
		const struct steer_flow flow = {
		    REPLICAS + 1, group.ip, source_port(wire.sent[0]), PORT};
		CU_ASSERT_EQUAL(steer_table_queue(steer_hash(&flow), 3), part);
		CU_ASSERT_EQUAL(
		    memcmp(rte_pktmbuf_mtod(wire.sent[0], uint8_t *), &group.mac, 6), 0);
	}
	/* What does not fit together, or is too many, is taken as nothing said. */
	endpoint_parts_set(endpoint, 1, 3, 1);
	CU_ASSERT_EQUAL(sent_to_all(1), REPLICAS);
	CU_ASSERT_EQUAL(source_port(wire.sent[1]), PORT);
	for (uint16_t i = 0; i < REPLICAS; i++)
		endpoint_parts_set(endpoint, i, UINT8_MAX, UINT8_MAX - 1);
	CU_ASSERT_EQUAL(sent_to_all(1), 1);
	CU_ASSERT_EQUAL(source_port(wire.sent[0]), PORT);
	close_endpoint();
}

/* A pillar sends replies: what the replica's node learns of its clients, it must hear. */
static void
pillars_hear_where_clients_are(void)
{
	static struct enrolment replica;
	static struct enrolment pillar;
	struct enrolment_lane lane;
	const struct frame_address moved = {{{2, 9, 8, 7, 6, 5}}, 7001, 0xfedcba98};
	endpoint = endpoint_new(SELF, 0, NULL);
	io = endpoint_io(endpoint);
	CU_ASSERT_TRUE_FATAL(enrolment_lane_open(&lane, 0));
	replica = (struct enrolment){.lanes = &lane, .lanes_count = 1};
	pillar = (struct enrolment){.lanes = &lane, .endpoint = endpoint};
	/* More than the lane holds at once: who finds no room stays owed. */
	for (uint32_t i = 0; i < 3; i++) {
		lane.owed = ~0ull;
		(void)enrolment_poll(&replica, 0, NULL, 0);
	}
	CU_ASSERT_NOT_EQUAL(lane.owed, 0);
	while (rte_ring_count(lane.pipe.ring) > 0) {
		void *word;
		(void)pipe_pull(&lane.pipe, &word, 1);
	}
	lane.owed = 1 << 1;
	replica.places[1] = moved;
	(void)enrolment_poll(&replica, 0, NULL, 0);
	CU_ASSERT_EQUAL(lane.owed, 0);
	(void)enrolment_poll(&pillar, 0, NULL, 0);
	struct send s = envelope(0, 1, 0x66); /* slot 1 is client node 1's */
	io.transmit(io.self, &s, 1);
	CU_ASSERT_EQUAL_FATAL(wire.sent_count, 1);
	const uint8_t *at = rte_pktmbuf_mtod(wire.sent[0], const uint8_t *);
	CU_ASSERT_EQUAL(memcmp(at, &moved.mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(at + 14 + 16, "\xfe\xdc\xba\x98", 4), 0);
	CU_ASSERT_EQUAL(memcmp(at + 34 + 2, "\x1b\x59", 2), 0);
	enrolment_lane_close(&lane);
	close_endpoint();
}

static void
several_replicas_get_copies(void)
{
	open_endpoint(REPLICAS);
	struct send s = envelope(REPLICA_BITS, 0, 7);
	io.transmit(io.self, &s, 1);
	CU_ASSERT_EQUAL(wire.sent_count, REPLICAS);
	uint32_t seen = 0;
	for (uint32_t i = 0; i < wire.sent_count; i++) {
		seen |= 1u << receiver_of(wire.sent[i], 7);
		for (uint32_t j = 0; j < i; j++)
			CU_ASSERT_PTR_NOT_EQUAL(wire.sent[i], wire.sent[j]);
	}
	CU_ASSERT_EQUAL(seen, REPLICA_BITS);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->tx_frames, REPLICAS);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->looped, 0);
	close_endpoint();
}

static void
one_replica_gets_the_envelope_itself(void)
{
	open_endpoint(SELF);
	struct send s = envelope(1u << 3, 0, 9);
	struct rte_mbuf *m = s.owner;
	io.transmit(io.self, &s, 1);
	CU_ASSERT_EQUAL(wire.sent_count, 1);
	CU_ASSERT_PTR_EQUAL(wire.sent[0], m);
	CU_ASSERT_EQUAL(receiver_of(wire.sent[0], 9), 3);
	close_endpoint();
}

static void
own_messages_come_back_in_the_next_burst(void)
{
	open_endpoint(SELF);
	struct send list[2] = {envelope(REPLICA_BITS, 0, 1), envelope(1u << SELF, 0, 2)};
	io.transmit(io.self, list, 2);
	CU_ASSERT_EQUAL(wire.sent_count, REPLICAS - 1);
	for (uint32_t i = 0; i < wire.sent_count; i++)
		CU_ASSERT_NOT_EQUAL(receiver_of(wire.sent[i], 1), SELF);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->looped, 2);
	CU_ASSERT_EQUAL(endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), 2);
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(datagrams[i].size, MESSAGE_SIZE);
		CU_ASSERT_EQUAL(datagrams[i].data[MESSAGE_SIZE - 1], i + 1);
		CU_ASSERT_EQUAL((uintptr_t)datagrams[i].data % MESSAGE_ALIGNMENT, 0);
		CU_ASSERT_TRUE(datagrams[i].own);
	}
	endpoint_release(endpoint);
	CU_ASSERT_EQUAL(endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), 0);
	endpoint_release(endpoint);
	close_endpoint();
}

/* What was relayed is another's word, and what the network brings is nobody's. */
static void
only_what_was_sealed_here_is_our_own(void)
{
	open_endpoint(SELF);
	struct send list[3] = {
	    envelope(1u << SELF, 0, 1), envelope(1u << SELF, 0, 2), envelope(1u << SELF, 0, 3)};
	list[1].flags = SEND_SEALED;
	list[2].flags = SEND_DIGEST;
	io.transmit(io.self, list, 3);
	/* From the network: bytes that we sent ourselves, in the place of an own message. */
	struct send again = envelope(1u << 0, 0, 4);
	io.transmit(io.self, &again, 1);
	wire.coming[wire.coming_count++] = wire.sent[--wire.sent_count];
	memset(datagrams, 0xff, sizeof(datagrams));
	CU_ASSERT_EQUAL(endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), 4);
	for (uint32_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(datagrams[i].data[MESSAGE_SIZE - 1], i + 1);
		CU_ASSERT_EQUAL(datagrams[i].own, i == 0 || i == 2);
	}
	endpoint_release(endpoint);
	close_endpoint();
}

/* More own messages than have a place are counted; the network is not shut out by them. */
static void
own_messages_are_bounded(void)
{
	open_endpoint(SELF);
	for (uint32_t i = 0; i < OUTBOX_SENDS_MAX + 5; i++) {
		struct send s = envelope(1u << SELF, 0, 3);
		io.transmit(io.self, &s, 1);
	}
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->looped, OUTBOX_SENDS_MAX);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->loop_full, 5);
	for (uint32_t i = 0; i < SHARD_BURST_MAX; i++) {
		struct send s = envelope(1u << 0, 0, 4);
		io.transmit(io.self, &s, 1);
	}
	/* What was sent comes in: frames beside own messages in one burst. */
	memcpy(wire.coming, wire.sent, wire.sent_count * sizeof(wire.sent[0]));
	wire.coming_count = wire.sent_count;
	wire.sent_count = 0;
	CU_ASSERT_EQUAL(endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), SHARD_BURST_MAX);
	CU_ASSERT_TRUE(wire.coming_count < SHARD_BURST_MAX);
	CU_ASSERT_EQUAL(datagrams[0].data[MESSAGE_SIZE - 1], 3);
	CU_ASSERT_EQUAL(datagrams[SHARD_BURST_MAX - 1].data[MESSAGE_SIZE - 1], 4);
	endpoint_release(endpoint);
	/* The rest is given back by the close. */
	close_endpoint();
}

static void
clients_are_found_by_slot(void)
{
	open_endpoint(SELF);
	for (uint16_t slot = 0; slot < SLOTS; slot++) {
		struct send s = envelope(0, slot, (uint8_t)(slot + 1));
		io.transmit(io.self, &s, 1);
		CU_ASSERT_EQUAL(receiver_of(wire.sent[slot], (uint8_t)(slot + 1)),
		    (uint32_t)REPLICAS + slot_clients[slot]);
	}
	static const uint16_t unknown[] = {SLOTS, SLOTS + 1, UINT16_MAX};
	for (uint32_t i = 0; i < 3; i++) {
		struct send s = envelope(0, unknown[i], 1);
		io.transmit(io.self, &s, 1);
	}
	CU_ASSERT_EQUAL(wire.sent_count, SLOTS);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->tx_no_slot, 3);
	close_endpoint();
}

/* A large message went elsewhere: its empty envelope is given back. */
static void
empty_envelopes_are_given_back(void)
{
	open_endpoint(SELF);
	struct send s = envelope(1u << 0, 0, 1);
	s.large = 1;
	io.transmit(io.self, &s, 1);
	CU_ASSERT_EQUAL(wire.sent_count, 0);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
	close_endpoint();
}

static void
an_empty_pool_is_counted(void)
{
	static struct outbox out;
	struct rte_mbuf *taken[POOL_COUNT];
	open_endpoint(SELF);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, taken, POOL_COUNT - 100), POOL_COUNT - 100);
	out.sends_ready = io.refill(io.self, out.sends, OUTBOX_SENDS_MAX);
	CU_ASSERT_EQUAL(out.sends_ready, 100);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->pool_empty, 1);
	CU_ASSERT_EQUAL(io.refill(io.self, out.sends + 100, 1), 0);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->pool_empty, 2);
	/* To all: no buffer for copies, so one receiver gets it. */
	struct send *s = &out.sends[--out.sends_ready];
	memset(s->header, 5, MESSAGE_SIZE);
	s->header->size = MESSAGE_SIZE;
	s->to = REPLICA_BITS;
	s->large = 0;
	s->flags = 0;
	io.transmit(io.self, s, 1);
	CU_ASSERT_EQUAL(wire.sent_count, 1);
	CU_ASSERT_EQUAL(receiver_of(wire.sent[0], 5), REPLICAS - 1);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->tx_no_copy, REPLICAS - 1);
	endpoint_reclaim(endpoint, &out);
	CU_ASSERT_EQUAL(out.sends_ready, 0);
	buffer_free(taken, POOL_COUNT - 100);
	close_endpoint();
}

/* A frame for us with the message `mark`, as another node sends it. */
static struct rte_mbuf *
frame_for_us(uint8_t mark)
{
	struct frame_template template;
	struct rte_mbuf *m;
	frame_template_init(&template, &addresses[0], &addresses[SELF]);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	for (uint32_t i = 0; i < MESSAGE_SIZE; i++)
		frame_message(m)[i] = (uint8_t)(mark + i);
	frame_write(m, &template, MESSAGE_SIZE);
	return m;
}

/* Drivers put frames where they like. */
static void
misaligned_datagrams_are_moved(void)
{
	open_endpoint(SELF);
	for (uint16_t past = 0; past < 2 * MESSAGE_ALIGNMENT; past++) {
		struct rte_mbuf *m = frame_for_us((uint8_t)past);
		uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
		memmove(data + past, data, m->data_len);
		m->data_off = (uint16_t)(m->data_off + past);
		wire.coming[wire.coming_count++] = m;
	}
	CU_ASSERT_EQUAL(
	    endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), 2 * MESSAGE_ALIGNMENT);
	for (uint32_t past = 0; past < 2 * MESSAGE_ALIGNMENT; past++) {
		const struct datagram *d = &datagrams[past];
		CU_ASSERT_EQUAL((uintptr_t)d->data % MESSAGE_ALIGNMENT, 0);
		CU_ASSERT_EQUAL(d->size, MESSAGE_SIZE);
		uint32_t wrong = 0;
		for (uint32_t i = 0; i < MESSAGE_SIZE; i++)
			wrong += d->data[i] != (uint8_t)(past + i);
		CU_ASSERT_EQUAL(wrong, 0);
	}
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->moved, 2 * (MESSAGE_ALIGNMENT - 1));
	endpoint_release(endpoint);
	close_endpoint();
}

/* Receives the one frame; the reason why it was not taken, or FRAME_OK. */
static enum frame_error
verdict_on(struct rte_mbuf *m)
{
	uint64_t drops[FRAME_ERRORS_COUNT];
	memcpy(drops, endpoint_counters(endpoint)->drops, sizeof(drops));
	wire.coming[wire.coming_count++] = m;
	uint32_t count = endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX);
	enum frame_error verdict = FRAME_OK;
	for (uint32_t i = 1; i < FRAME_ERRORS_COUNT; i++) {
		if (endpoint_counters(endpoint)->drops[i] > drops[i])
			verdict = (enum frame_error)i;
	}
	CU_ASSERT_EQUAL(count, verdict == FRAME_OK);
	if (count == 1) {
		CU_ASSERT_EQUAL(datagrams[0].size, MESSAGE_SIZE);
		CU_ASSERT_PTR_EQUAL(datagrams[0].data, frame_message(m));
	}
	endpoint_release(endpoint);
	return verdict;
}

/* Where all that writes mbufs is this process, headers need not be read; elsewhere they must. */
static void
what_senders_noted_counts_in_the_process_alone(void)
{
	for (int round = 0; round < 2; round++) {
		wire_in_process = round == 0;
		open_endpoint(SELF);
		struct rte_mbuf *m = frame_for_us(1);
		memset(rte_pktmbuf_mtod(m, uint8_t *), 0, FRAME_HEADERS_SIZE);
		CU_ASSERT_EQUAL(verdict_on(m), wire_in_process ? FRAME_OK : FRAME_ETHERTYPE);
		close_endpoint();
	}
	/* Another's port is another's frame, and an old note says nothing of a new frame. */
	wire_in_process = true;
	open_endpoint(SELF);
	struct frame_template template;
	struct frame_address other = addresses[SELF];
	struct rte_mbuf *m = frame_for_us(2);
	other.port = PORT + 1;
	frame_template_init(&template, &addresses[0], &other);
	frame_write(m, &template, MESSAGE_SIZE);
	CU_ASSERT_EQUAL(verdict_on(m), FRAME_PORT);
	struct rte_mbuf *list[POOL_COUNT];
	for (uint32_t i = 0; i < POOL_COUNT; i++)
		list[i] = frame_for_us(3);
	buffer_free(list, POOL_COUNT);
	CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, &m, 1), 1);
	m->data_off = FRAME_DATA_OFFSET;
	m->data_len = FRAME_HEADERS_SIZE + MESSAGE_SIZE;
	memset(rte_pktmbuf_mtod(m, uint8_t *), 0, m->data_len);
	CU_ASSERT_EQUAL(verdict_on(m), FRAME_ETHERTYPE);
	close_endpoint();
	wire_in_process = false;
}

/* Others read a shared frame: it stays as it is, and we get a copy, or count the loss. */
static void
shared_frames_are_copied(void)
{
	struct rte_mbuf *taken[POOL_COUNT];
	for (uint32_t round = 0; round < 3; round++) {
		open_endpoint(SELF);
		struct rte_mbuf *m = frame_for_us(1);
		uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
		uint32_t frame_size = m->data_len;
		memmove(data + 3, data, frame_size);
		m->data_off = (uint16_t)(m->data_off + 3);
		uint8_t before[MESSAGE_SIZE + FRAME_HEADERS_SIZE];
		memcpy(before, data + 3, frame_size);
		/* Shared as the switch shares, or by a clone, as drivers may. */
		struct rte_mbuf *other = m;
		if (round == 1)
			other = rte_pktmbuf_clone(m, pool);
		else
			rte_mbuf_refcnt_update(m, 1);
		wire.coming[wire.coming_count++] = other;
		uint32_t left = rte_mempool_avail_count(pool);
		if (round == 2)
			CU_ASSERT_EQUAL_FATAL(buffer_alloc(pool, taken, left), left);
		uint32_t got = endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX);
		CU_ASSERT_EQUAL(got, round == 2 ? 0 : 1);
		CU_ASSERT_EQUAL(endpoint_counters(endpoint)->rx_no_copy, round == 2);
		CU_ASSERT_EQUAL(endpoint_counters(endpoint)->moved, got);
		if (got == 1) {
			CU_ASSERT_EQUAL((uintptr_t)datagrams[0].data % MESSAGE_ALIGNMENT, 0);
			CU_ASSERT_EQUAL(datagrams[0].size, MESSAGE_SIZE);
			CU_ASSERT_EQUAL(
			    memcmp(datagrams[0].data, before + FRAME_HEADERS_SIZE, MESSAGE_SIZE),
			    0);
		}
		CU_ASSERT_EQUAL(memcmp(data + 3, before, frame_size), 0);
		endpoint_release(endpoint);
		CU_ASSERT_EQUAL(rte_mbuf_refcnt_read(m), 1);
		if (round == 2)
			buffer_free(taken, left);
		buffer_free(&m, 1);
		close_endpoint();
	}
}

/* Wrong frames between right ones: each counted by its reason, none handed on or lost. */
static void
wrong_frames_are_counted(void)
{
	open_endpoint(SELF);
	struct rte_mbuf *m[7];
	for (uint8_t i = 0; i < 7; i++)
		m[i] = frame_for_us(i);
	m[1]->data_len = 41;
	rte_pktmbuf_mtod(m[2], uint8_t *)[12] = 0x86;
	rte_pktmbuf_mtod(m[3], uint8_t *)[14] = 0x46;
	rte_pktmbuf_mtod(m[4], uint8_t *)[37] ^= 1;
	CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(m[5], frame_for_us(9)), 0);
	memcpy(wire.coming, m, sizeof(m));
	wire.coming_count = 7;
	CU_ASSERT_EQUAL(endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), 2);
	CU_ASSERT_EQUAL(datagrams[0].data[0], 0);
	CU_ASSERT_EQUAL(datagrams[1].data[0], 6);
	CU_ASSERT_EQUAL(endpoint_counters(endpoint)->rx_frames, 7);
	for (uint32_t i = FRAME_OK + 1; i < FRAME_ERRORS_COUNT; i++)
		CU_ASSERT_EQUAL(endpoint_counters(endpoint)->drops[i], 1);
	endpoint_release(endpoint);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT);
	close_endpoint();
}

/* A burst in hand and own messages waiting are given back, too. */
static void
close_gives_all_back(void)
{
	open_endpoint(SELF);
	struct send s = envelope(1u << SELF, 0, 1);
	io.transmit(io.self, &s, 1);
	wire.coming[wire.coming_count++] = frame_for_us(1);
	CU_ASSERT_EQUAL(endpoint_receive(endpoint, datagrams, SHARD_BURST_MAX), 2);
	s = envelope(1u << SELF, 0, 1);
	io.transmit(io.self, &s, 1);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_COUNT - 3);
	close_endpoint();
	endpoint_close(NULL);
}

static void
pool_opens(void)
{
	pool = buffer_pool_create("endpoint", POOL_COUNT, ENVELOPE_SIZE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
}

static const struct unit_story stories[] = {
    {"pool opens", pool_opens},
    {"several replicas get copies", several_replicas_get_copies},
    {"frames lead to the parts that replicas have", frames_lead_to_the_parts_that_replicas_have},
    {"pillars hear where clients are", pillars_hear_where_clients_are},
    {"one replica gets the envelope itself", one_replica_gets_the_envelope_itself},
    {"own messages come back in the next burst", own_messages_come_back_in_the_next_burst},
    {"only what was sealed here is our own", only_what_was_sealed_here_is_our_own},
    {"own messages are bounded", own_messages_are_bounded},
    {"clients are found by slot", clients_are_found_by_slot},
    {"empty envelopes are given back", empty_envelopes_are_given_back},
    {"an empty pool is counted", an_empty_pool_is_counted},
    {"misaligned datagrams are moved", misaligned_datagrams_are_moved},
    {"what senders noted counts in the process alone",
	what_senders_noted_counts_in_the_process_alone},
    {"shared frames are copied", shared_frames_are_copied},
    {"wrong frames are counted", wrong_frames_are_counted},
    {"close gives all back", close_gives_all_back},
};

int
main(void)
{
	return lcore_eal_run("endpoint", stories, sizeof(stories) / sizeof(stories[0]));
}
