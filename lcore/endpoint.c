/* SPDX-License-Identifier: Apache-2.0 */
/* See endpoint.h. One lcore. */
#include "lcore/endpoint.h"

#include <rte_malloc.h>
#include <rte_prefetch.h>
#include <string.h>

#include "engine/check.h"
#include "engine/pillar.h"
#include "lcore/buffer.h"
#include "lcore/steer.h"

enum {
	LOOP_MAX = OUTBOX_SENDS_MAX, /* messages to oneself waiting for the next burst */
	TX_MAX = 64,		     /* frames gathered for one tx_burst */
};
static_assert((LOOP_MAX & (LOOP_MAX - 1)) == 0, "a ring");

struct endpoint {
	struct port_queue queue;
	struct rte_mempool *pool;
	uint32_t envelope_size;
	uint32_t message_offset; /* of a buffer's message, from its mbuf on */
	uint32_t slots_count;
	uint64_t own_mask;	  /* bit of the own replica; 0 in a client */
	uint64_t others_mask;	  /* all other replicas; 0: they have no group address */
	uint64_t clients_unknown; /* mask of client nodes */
	uint16_t replicas_count;
	uint16_t udp_port;
	uint32_t held_count;
	uint32_t tx_count;
	uint32_t loop_first;
	uint32_t loop_count;
	const uint16_t *slot_clients;
	struct notes *notes;
	struct neighbour *neighbour;
	struct frame_address self;
	struct frame_template groups[1 + LIMIT_PILLARS]; /* of each part */
	uint64_t steered_ns[LIMIT_REPLICAS + 1]; /* when ports were changed; the group's last */
	struct endpoint_counters counters;
	struct rte_mbuf *held[SHARD_BURST_MAX]; /* what the present burst's datagrams lie in */
	struct rte_mbuf *tx[TX_MAX];
	struct rte_mbuf *loop[LOOP_MAX];
	bool loop_own[LOOP_MAX]; /* sealed here, not another's that was relayed */
	uint16_t instances_count;
	uint16_t parts_max;   /* templates of each replica */
	uint16_t group_parts; /* of each replica, where the group can be used */
	bool has_group;
	struct frame_address group;
	struct frame_address *addresses; /* of replicas; behind the templates */
	uint16_t pillars[LIMIT_REPLICAS];
	uint16_t queues[LIMIT_REPLICAS];
	struct frame_template templates[]; /* to each part of each replica, then to client nodes */
};

/* To replicas of several queues by a source port that leads to the one of the part. */
static void
template_set(struct endpoint *e, struct frame_template *template, const struct frame_address *to,
    uint32_t part, uint16_t queues_count)
{
	struct frame_address from = e->self;
	const struct steer_flow flow = {from.ip, to->ip, from.port, to->port};
	if (part < queues_count && queues_count > 1)
		from.port = steer_port(&flow, (uint16_t)part, queues_count);
	frame_template_init(template, &from, to);
}

static inline struct frame_template *
template_of_client(struct endpoint *e, uint32_t client)
{
	return &e->templates[(uint32_t)e->replicas_count * e->parts_max + client];
}

static inline uint32_t
part_of(const struct endpoint *e, const struct message_header *header, uint32_t replica)
{
	return pillar_part(header->instance, e->instances_count, e->pillars[replica]);
}

static void
replica_set(struct endpoint *e, uint16_t replica, uint16_t queues_count, uint16_t pillars_count)
{
	e->queues[replica] = queues_count;
	e->pillars[replica] = pillars_count;
	for (uint32_t part = 0; part <= pillars_count; part++)
		template_set(e, &e->templates[(uint32_t)replica * e->parts_max + part],
		    &e->addresses[replica], part, queues_count);
}

/*
 * The group's frames are told from others' by the port alone: it must be everybody's. All
 * must have their parts alike, too, so that one source port is right for all.
 */
static bool
group_fits(const struct endpoint *e)
{
	for (uint32_t i = 0; i < e->replicas_count; i++) {
		if (e->addresses[i].port != e->group.port || e->queues[i] != e->queues[0] ||
		    e->pillars[i] != e->pillars[0])
			return false;
	}
	return true;
}

static void
group_set(struct endpoint *e)
{
	uint64_t all = ~0ull >> (64 - e->replicas_count);
	e->others_mask = 0;
	if (!e->has_group || !group_fits(e))
		return;
	e->others_mask = all & ~e->own_mask;
	e->group_parts = 1 + e->pillars[0];
	for (uint32_t part = 0; part < e->group_parts; part++)
		template_set(e, &e->groups[part], &e->group, part, e->queues[0]);
}

void
endpoint_parts_set(
    struct endpoint *e, uint16_t replica, uint16_t queues_count, uint16_t pillars_count)
{
	check(replica < e->replicas_count);
	bool fits = pillars_count < e->parts_max && queues_count <= LIMIT_QUEUES &&
		    (pillars_count == 0 || queues_count == 1 || queues_count == pillars_count + 1);
	if (!fits) {
		queues_count = 1;
		pillars_count = 0;
	}
	/* Ports that were changed since then stay as they are. */
	if (e->queues[replica] == queues_count && e->pillars[replica] == pillars_count)
		return;
	replica_set(e, replica, queues_count, pillars_count);
	group_set(e);
}

struct endpoint *
endpoint_open(const struct endpoint_config *config)
{
	uint32_t nodes_count = (uint32_t)config->replicas_count + config->clients_count;
	uint32_t parts_max = RTE_MAX(1u + config->pillars_count, (uint32_t)config->parts_max);
	uint32_t templates_count = config->replicas_count * parts_max + config->clients_count;
	uint32_t templates_size = templates_count * (uint32_t)sizeof(struct frame_template);
	check(config->self < nodes_count && parts_max <= 1 + LIMIT_PILLARS);
	check(config->envelope_size >= ENVELOPE_SIZE_MIN);
	struct endpoint *e = rte_zmalloc("endpoint",
	    sizeof(*e) + templates_size + config->replicas_count * sizeof(struct frame_address),
	    RTE_CACHE_LINE_SIZE);
	if (e == NULL)
		return NULL;
	e->queue = config->queue;
	e->pool = config->pool;
	e->message_offset =
	    sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(e->pool) + FRAME_MESSAGE_OFFSET;
	e->envelope_size = config->envelope_size;
	e->slots_count = config->slots_count;
	e->slot_clients = config->slot_clients;
	e->notes = config->notes;
	e->replicas_count = config->replicas_count;
	e->own_mask = config->self < config->replicas_count ? 1ull << config->self : 0;
	e->self = config->addresses[config->self];
	e->udp_port = e->self.port;
	e->neighbour = config->neighbour;
	e->clients_unknown = config->clients_unknown;
	e->parts_max = (uint16_t)parts_max;
	e->instances_count = config->instances_count;
	e->addresses = (struct frame_address *)(void *)&e->templates[templates_count];
	memcpy(e->addresses, config->addresses, config->replicas_count * sizeof(*e->addresses));
	for (uint16_t i = 0; i < config->replicas_count; i++)
		replica_set(e, i, config->queues_count, config->pillars_count);
	for (uint32_t i = config->replicas_count; i < nodes_count; i++)
		template_set(e, template_of_client(e, i - config->replicas_count),
		    &config->addresses[i], 0, config->queues_count);
	e->has_group = config->group != NULL;
	if (e->has_group)
		e->group = *config->group;
	group_set(e);
	return e;
}

void
endpoint_close(struct endpoint *e)
{
	if (e == NULL)
		return;
	endpoint_release(e);
	endpoint_forget(e);
	rte_free(e);
}

void
endpoint_client_set(struct endpoint *e, uint16_t client, const struct frame_address *address)
{
	check(client < 64);
	frame_template_init(template_of_client(e, client), &e->self, address);
	e->clients_unknown &= ~(1ull << client);
}

void
endpoint_astray(struct endpoint *e, const struct message_header *said, uint64_t now_ns)
{
	bool group = said->view == 1;
	if (said->sender >= e->replicas_count || said->seq > UINT16_MAX)
		return;
	uint32_t parts_count = group ? e->group_parts : 1u + e->pillars[said->sender];
	struct frame_template *list =
	    group ? e->groups : &e->templates[(uint32_t)said->sender * e->parts_max];
	uint64_t *last_ns = &e->steered_ns[group ? LIMIT_REPLICAS : said->sender];
	uint16_t port = (uint16_t)said->seq;
	/* About a port that is no longer used, it is late news. */
	uint32_t part = 0;
	while (part < parts_count && frame_template_port(&list[part]) != port)
		part++;
	if (part == parts_count || now_ns - *last_ns < STEER_CHANGE_NS)
		return;
	frame_template_port_set(&list[part], steer_port_next(port));
	*last_ns = now_ns;
	e->counters.steered++;
}

void
endpoint_forget(struct endpoint *e)
{
	for (; e->loop_count > 0; e->loop_count--) {
		buffer_free(&e->loop[e->loop_first], 1);
		e->loop_first = (e->loop_first + 1) % LOOP_MAX;
	}
}

void
endpoint_reclaim(struct endpoint *e, struct outbox *out)
{
	(void)e;
	for (uint32_t i = 0; i < out->sends_ready; i++) {
		struct rte_mbuf *m = out->sends[i].owner;
		buffer_free(&m, 1);
	}
	out->sends_ready = 0;
	out->sends_count = 0;
}

static uint32_t
refill(void *self, struct send *sends, uint32_t count)
{
	struct endpoint *e = self;
	struct rte_mbuf *list[OUTBOX_SENDS_MAX];
	uint32_t got = buffer_take(e->pool, list, count);
	e->counters.pool_empty += got < count;
	for (uint32_t i = 0; i < got; i++) {
		/* frame_message(), told by where the pool's buffers are: nothing is read of them.
		 */
		uint8_t *message = (uint8_t *)list[i] + e->message_offset;
		__builtin_prefetch(list[i], 1);
		sends[i].owner = list[i];
		sends[i].capacity = e->envelope_size;
		sends[i].header = (struct message_header *)(void *)message;
		__builtin_prefetch(sends[i].header, 1);
		__builtin_prefetch((uint8_t *)sends[i].header - RTE_CACHE_LINE_SIZE, 1);
	}
	return got;
}

static void
tx_flush(struct endpoint *e)
{
	if (e->tx_count == 0)
		return;
	e->counters.tx_frames += e->tx_count;
	e->queue.tx_burst(e->queue.self, e->tx, e->tx_count);
	e->tx_count = 0;
}

static inline void
tx_add(struct endpoint *e, struct rte_mbuf *m, const struct frame_template *template, uint32_t size)
{
	frame_write(m, template, size);
	if (e->tx_count == TX_MAX)
		tx_flush(e);
	e->tx[e->tx_count++] = m;
}

static struct rte_mbuf *
copied(struct endpoint *e, const struct message_header *header)
{
	struct rte_mbuf *copy;
	if (buffer_alloc(e->pool, &copy, 1) != 1) {
		e->counters.tx_no_copy++;
		return NULL;
	}
	memcpy(frame_message(copy), header, header->size);
	return copy;
}

static void
loop_add(struct endpoint *e, struct rte_mbuf *m, bool own)
{
	if (e->loop_count == LOOP_MAX) {
		e->counters.loop_full++;
		buffer_free(&m, 1);
		return;
	}
	e->counters.looped++;
	uint32_t at = (e->loop_first + e->loop_count++) % LOOP_MAX;
	e->loop[at] = m;
	e->loop_own[at] = own;
}

/* `m` holds what `s` says: the envelope itself, or a copy. */
static inline void
send_one(struct endpoint *e, const struct send *s, struct rte_mbuf *m, uint32_t replica)
{
	const struct message_header *header = (const void *)frame_message(m);
	uint32_t size = header->size;
	if (e->own_mask >> replica & 1) {
		m->data_off = FRAME_MESSAGE_OFFSET;
		m->data_len = (uint16_t)size;
		loop_add(e, m, (s->flags & SEND_SEALED) == 0);
	} else {
		uint32_t part = part_of(e, header, replica);
		tx_add(e, m, &e->templates[replica * e->parts_max + part], size);
	}
}

/* One frame for all others, where it is known how; returns who is left. */
static uint64_t
send_group(struct endpoint *e, const struct send *s)
{
	struct rte_mbuf *m = s->owner;
	uint64_t own = s->to & e->own_mask;
	if (own != 0 && (m = copied(e, s->header)) == NULL)
		return own;
	e->counters.tx_group++;
	/* All have as many pillars as the others. */
	uint32_t replica = (uint32_t)__builtin_ctzll(e->others_mask);
	tx_add(e, m, &e->groups[part_of(e, s->header, replica)], s->header->size);
	return own;
}

static void
send_replicas(struct endpoint *e, const struct send *s)
{
	uint64_t to = s->to;
	if (e->others_mask != 0 && (to & ~e->own_mask) == e->others_mask &&
	    (to = send_group(e, s)) == 0)
		return;
	while ((to & (to - 1)) != 0) {
		uint32_t replica = (uint32_t)__builtin_ctzll(to);
		to &= to - 1;
		struct rte_mbuf *copy = copied(e, s->header);
		if (copy != NULL)
			send_one(e, s, copy, replica);
	}
	send_one(e, s, s->owner, (uint32_t)__builtin_ctzll(to));
}

static inline void
send_client(struct endpoint *e, const struct send *s)
{
	struct rte_mbuf *m = s->owner;
	if (s->client >= e->slots_count) {
		e->counters.tx_no_slot++;
		buffer_free(&m, 1);
		return;
	}
	uint32_t client = e->slot_clients[s->client];
	if (__builtin_expect(e->clients_unknown >> client & 1, 0)) {
		e->counters.tx_unknown++;
		buffer_free(&m, 1);
		return;
	}
	tx_add(e, m, template_of_client(e, client), s->header->size);
}

static void
transmit(void *self, struct send *sends, uint32_t count)
{
	struct endpoint *e = self;
	for (uint32_t i = 0; i < count; i++) {
		struct send *s = &sends[i];
		if (s->large != 0) {
			/* The message went to the segmenter; the envelope is empty. */
			struct rte_mbuf *m = s->owner;
			buffer_free(&m, 1);
		} else if (s->to != 0) {
			check(s->to >> e->replicas_count == 0);
			send_replicas(e, s);
		} else {
			send_client(e, s);
		}
	}
	tx_flush(e);
}

static void
note(void *self, const struct note *written)
{
	notes_write(((struct endpoint *)self)->notes, written);
}

struct shard_io
endpoint_io(struct endpoint *e)
{
	return (struct shard_io){
	    .self = e,
	    .refill = refill,
	    .transmit = transmit,
	    .note = e->notes != NULL ? note : NULL,
	};
}

/* Nobody else reads this buffer: several may hold a frame to a group, or a clone of one. */
static bool
exclusive(const struct rte_mbuf *m)
{
	return rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m);
}

/*
 * Drivers put frames where they like; messages are read at multiples of 8. The
 * mbuf `*held` may be exchanged for one with a copy. NULL: no buffer for that.
 */
static uint8_t *
aligned(struct endpoint *e, struct rte_mbuf **held, uint8_t *data, uint32_t size)
{
	uintptr_t past = (uintptr_t)data % MESSAGE_ALIGNMENT;
	struct rte_mbuf *copy;
	if (__builtin_expect(past == 0, 1))
		return data;
	if (exclusive(*held)) {
		/* The headers before it have been read, so there is room to move down. */
		e->counters.moved++;
		memmove(data - past, data, size);
		return data - past;
	}
	if (size > e->envelope_size || buffer_alloc(e->pool, &copy, 1) != 1) {
		e->counters.rx_no_copy++;
		return NULL;
	}
	e->counters.moved++;
	memcpy(frame_message(copy), data, size);
	buffer_free(held, 1);
	*held = copy;
	return frame_message(copy);
}

static uint32_t
loop_receive(struct endpoint *e, struct datagram *list, uint32_t count_max)
{
	uint32_t count = 0;
	while (count < count_max && e->loop_count > 0) {
		struct rte_mbuf *m = e->loop[e->loop_first];
		list[count++] = (struct datagram){
		    .data = frame_message(m),
		    .size = m->data_len,
		    .own = e->loop_own[e->loop_first],
		};
		e->loop_first = (e->loop_first + 1) % LOOP_MAX;
		e->loop_count--;
		e->held[e->held_count++] = m;
	}
	return count;
}

uint32_t
endpoint_receive(struct endpoint *e, struct datagram *list, uint32_t count_max)
{
	check(e->held_count == 0 && count_max <= SHARD_BURST_MAX);
	/* Half at most is from ourselves: others are heard too. */
	uint32_t count = e->loop_count > 0 ? loop_receive(e, list, (count_max + 1) / 2) : 0;
	struct rte_mbuf **frames = e->held + e->held_count;
	uint32_t got = e->queue.rx_burst(e->queue.self, frames, count_max - e->held_count);
	e->held_count += got;
	e->counters.rx_frames += got;
	for (uint32_t i = 0; i < got; i++) {
		/* Where our own senders put the frame; right for most drivers, harmless else. */
		const uint8_t *buffer = (const uint8_t *)(frames[i] + 1);
		rte_prefetch0(frames[i]);
		if (!e->queue.in_process)
			rte_prefetch0(buffer + FRAME_MESSAGE_OFFSET - RTE_CACHE_LINE_SIZE);
		rte_prefetch0(buffer + FRAME_MESSAGE_OFFSET);
	}
	for (uint32_t i = 0; i < got; i++) {
		uint8_t *data;
		uint32_t size;
		enum frame_error error = FRAME_OK;
		if (!e->queue.in_process || !frame_noted(frames[i], e->udp_port, &data, &size))
			error = frame_parse(frames[i], e->udp_port, &data, &size);
		if (error != FRAME_OK) {
			e->counters.drops[error]++;
			if (e->neighbour != NULL)
				neighbour_see(e->neighbour, frames[i]);
			continue;
		}
		if (__builtin_expect(size < sizeof(struct message_header), 0) &&
		    e->neighbour != NULL)
			neighbour_see(e->neighbour, frames[i]);
		data = aligned(e, &frames[i], data, size);
		if (data != NULL)
			list[count++] = (struct datagram){.data = data, .size = size};
	}
	return count;
}

void
endpoint_release(struct endpoint *e)
{
	if (e->held_count > 0)
		buffer_free(e->held, e->held_count);
	e->held_count = 0;
}

const struct endpoint_counters *
endpoint_counters(const struct endpoint *e)
{
	return &e->counters;
}

const char *
frame_error_name(uint32_t error)
{
	static const char *const names[FRAME_ERRORS_COUNT] = {
	    [FRAME_OK] = "ok",
	    [FRAME_SHORT] = "short",
	    [FRAME_ETHERTYPE] = "ethertype",
	    [FRAME_IP] = "ip",
	    [FRAME_PORT] = "port",
	    [FRAME_SEGMENTED] = "segmented",
	};
	return error < FRAME_ERRORS_COUNT ? names[error] : NULL;
}
