/* SPDX-License-Identifier: Apache-2.0 */
/* See enrolment.h. */
#include "lcore/enrolment.h"

#include <stdio.h>
#include <string.h>

#include "protocols/registry.h"

enum { PLACE_WORDS = 2, LANE_SIZE = 4 * LIMIT_CLIENT_NODES };

/* ---- A replica and its pillars ---------------------------------------------------- */

bool
enrolment_lane_open(struct enrolment_lane *lane, uint32_t pillar)
{
	char name[RTE_RING_NAMESIZE];
	snprintf(name, sizeof(name), "oskr_places_%u", pillar);
	lane->owed = 0;
	return pipe_open(&lane->pipe, name, LANE_SIZE);
}

void
enrolment_lane_close(struct enrolment_lane *lane)
{
	if (lane->pipe.ring != NULL)
		pipe_close(&lane->pipe);
}

/* A client node and its address as two words: no memory changes hands. */
static void
place_pack(uint16_t client, const struct frame_address *address, void *words[PLACE_WORDS])
{
	uint64_t first = client;
	for (uint32_t i = 0; i < RTE_ETHER_ADDR_LEN; i++)
		first = first << 8 | address->mac.addr_bytes[i];
	words[0] = (void *)(uintptr_t)first;
	words[1] = (void *)(uintptr_t)((uint64_t)address->ip << 16 | address->port);
}

static uint16_t
place_unpack(void *const words[PLACE_WORDS], struct frame_address *address)
{
	uint64_t first = (uintptr_t)words[0];
	uint64_t second = (uintptr_t)words[1];
	for (uint32_t i = RTE_ETHER_ADDR_LEN; i-- > 0; first >>= 8)
		address->mac.addr_bytes[i] = (uint8_t)first;
	address->ip = (uint32_t)(second >> 16);
	address->port = (uint16_t)second;
	return (uint16_t)first;
}

/* Tells pillars what they have not been told yet, as far as their pipes have room. */
static void
places_tell(struct enrolment *e)
{
	for (uint32_t i = 0; i < e->lanes_count; i++) {
		struct enrolment_lane *lane = &e->lanes[i];
		/* Only this lcore fills it: what is free stays free. */
		while (lane->owed != 0 && rte_ring_free_count(lane->pipe.ring) >= PLACE_WORDS) {
			void *words[PLACE_WORDS];
			uint16_t client = (uint16_t)__builtin_ctzll(lane->owed);
			place_pack(client, &e->places[client], words);
			uint32_t given = pipe_push(&lane->pipe, words, PLACE_WORDS);
			check(given == PLACE_WORDS);
			lane->owed &= lane->owed - 1;
		}
	}
}

/* The pillar's side. */
static void
places_hear(struct enrolment *e)
{
	void *words[PLACE_WORDS];
	while (rte_ring_count(e->lanes->pipe.ring) >= PLACE_WORDS) {
		struct frame_address address;
		uint32_t got = pipe_pull(&e->lanes->pipe, words, PLACE_WORDS);
		check(got == PLACE_WORDS);
		uint16_t client = place_unpack(words, &address);
		endpoint_client_set(e->endpoint, client, &address);
	}
}

/* ---- HELLO and WELCOME -------------------------------------------------------------- */

static bool
envelope_take(struct enrolment *e, struct send *send)
{
	const struct shard_io io = endpoint_io(e->endpoint);
	return io.refill(io.self, send, 1) == 1;
}

static void
envelope_post(struct enrolment *e, struct send *send)
{
	const struct shard_io io = endpoint_io(e->endpoint);
	io.transmit(io.self, send, 1);
}

static void
client_arrived(struct enrolment *e, const struct enrol_arrival *arrival)
{
	struct send send;
	if (arrival->news) {
		struct frame_address address = {
		    .port = arrival->address.port,
		    .ip = arrival->address.ip,
		};
		memcpy(address.mac.addr_bytes, arrival->address.mac, RTE_ETHER_ADDR_LEN);
		endpoint_client_set(e->endpoint, arrival->client, &address);
		e->places[arrival->client] = address;
		for (uint32_t i = 0; i < e->lanes_count; i++)
			e->lanes[i].owed |= 1ull << arrival->client;
	}
	/* No envelope: the client node asks again. */
	if (!arrival->answer || !envelope_take(e, &send))
		return;
	enrol_host_write(e->host, arrival, &send);
	envelope_post(e, &send);
}

/* A replica that serves us says how many lcores it has, and we send to each what is its own. */
static void
replica_answered(struct enrolment *e, uint16_t replica)
{
	struct enrol_terms terms;
	if (enrol_guest_status(e->guest, replica, &terms) == ENROL_WELCOME)
		endpoint_parts_set(e->endpoint, replica, terms.queues, terms.pillars);
}

/* False: it is the engine's to drop. */
static bool
datagram_take(struct enrolment *e, uint64_t now_ns, const struct datagram *d)
{
	const struct message_header *h = (const struct message_header *)(const void *)d->data;
	struct enrol_arrival arrival;
	if (h->type == MESSAGE_ASTRAY) {
		endpoint_astray(e->endpoint, h, now_ns);
	} else if (e->guest != NULL) {
		if (enrol_guest_take(e->guest, d->data, d->size))
			replica_answered(e, h->sender);
	} else if (e->host == NULL) {
		return false;
	} else if (enrol_host_take(e->host, d->data, d->size, now_ns, &arrival)) {
		client_arrived(e, &arrival);
	}
	return true;
}

static void
hellos_send(struct enrolment *e, uint64_t now_ns)
{
	uint64_t due = enrol_guest_due(e->guest, now_ns);
	for (uint16_t i = 0; i < e->replicas_count; i++) {
		struct send send;
		if ((due >> i & 1) == 0 || !envelope_take(e, &send))
			continue;
		enrol_guest_write(e->guest, i, &send);
		envelope_post(e, &send);
	}
	/* Whoever is due next is due no earlier than this; a little late does no harm. */
	e->due_ns = now_ns + ENROL_AGAIN_NS;
}

uint32_t
enrolment_poll(struct enrolment *e, uint64_t now_ns, struct datagram *list, uint32_t count)
{
	uint32_t left = 0;
	if (e->neighbour != NULL)
		neighbour_time(e->neighbour, now_ns);
	for (uint32_t i = 0; i < count; i++) {
		bool ours = __builtin_expect(enrol_is_ours(list[i].data, list[i].size), 0);
		if (!ours || !datagram_take(e, now_ns, &list[i]))
			list[left++] = list[i];
	}
	if (e->lanes_count > 0)
		places_tell(e);
	else if (e->lanes != NULL)
		places_hear(e);
	if (e->guest != NULL && now_ns >= e->due_ns)
		hellos_send(e, now_ns);
	return left;
}

enum enrolment_state
enrolment_state(struct enrolment *e, uint64_t now_ns)
{
	uint64_t answered = enrol_guest_answered(e->guest);
	uint64_t refused = enrol_guest_refused(e->guest) & answered;
	uint32_t refusing = (uint32_t)__builtin_popcountll(refused);
	uint32_t serving = (uint32_t)__builtin_popcountll(answered & ~refused);
	if (refusing > e->faults)
		return ENROLMENT_REFUSED;
	if (serving == e->replicas_count)
		return ENROLMENT_READY;
	if (serving + e->faults < e->replicas_count)
		return ENROLMENT_WAITS;
	if (e->quorum_ns == 0)
		e->quorum_ns = now_ns;
	return now_ns - e->quorum_ns >= ENROLMENT_GRACE_NS ? ENROLMENT_READY : ENROLMENT_WAITS;
}

/* The option that differs, as both ends have it. */
static void
difference_write(char *text, size_t size, enum enrol_status status, const struct enrol_terms *ours,
    const struct enrol_terms *theirs)
{
	static const char *const proofs[] = {"none", "mac", "mac (vector)", "sign"};
	const char *names[2] = {"?", "?"};
	switch (status) {
	case ENROL_OTHER_PROTOCOL:
		if (ours->protocol < registry_count())
			names[0] = registry_at(ours->protocol)->name;
		if (theirs->protocol < registry_count())
			names[1] = registry_at(theirs->protocol)->name;
		snprintf(text, size, "runs --mode %s, this client %s", names[1], names[0]);
		break;
	case ENROL_OTHER_SLOTS:
		snprintf(text, size, "has --slots %u, this client %u", theirs->slots, ours->slots);
		break;
	case ENROL_OTHER_CLIENT_NODES:
		snprintf(text, size, "has the public keys of %u client nodes, this client of %u",
		    theirs->client_nodes, ours->client_nodes);
		break;
	case ENROL_OTHER_INSTANCES:
		snprintf(text, size, "has %u instances in its cluster file, this client %u",
		    theirs->instances, ours->instances);
		break;
	case ENROL_OTHER_REQUEST_PROOF:
	case ENROL_OTHER_REPLY_PROOF: {
		bool request = status == ENROL_OTHER_REQUEST_PROOF;
		uint8_t own = request ? ours->request_proof : ours->reply_proof;
		uint8_t other = request ? theirs->request_proof : theirs->reply_proof;
		snprintf(text, size, "has --%s-auth %s, this client %s",
		    request ? "request" : "reply", other < 4 ? proofs[other] : "batch",
		    own < 4 ? proofs[own] : "batch");
		break;
	}
	case ENROL_OTHER_FLAGS:
		snprintf(text, size, "has --tentative %s and --read-only %s, this client %s and %s",
		    theirs->flags & ENROL_TENTATIVE ? "on" : "off",
		    theirs->flags & ENROL_READS ? "on" : "off",
		    ours->flags & ENROL_TENTATIVE ? "on" : "off",
		    ours->flags & ENROL_READS ? "on" : "off");
		break;
	case ENROL_REQUESTS_LARGER:
		snprintf(text, size,
		    "takes operations of %u bytes, this client's workload has %u: give both the "
		    "same --workload and sizes",
		    theirs->request_size_max, ours->request_size_max);
		break;
	case ENROL_REPLIES_LARGER:
		snprintf(text, size,
		    "answers with %u bytes at most, this client's workload wants %u: give both "
		    "the same --workload and sizes",
		    theirs->reply_size_max, ours->reply_size_max);
		break;
	case ENROL_STALE:
		snprintf(text, size,
		    "knows a later life of this client node: set this machine's "
		    "clock, or end the other process of this --index");
		break;
	default:
		snprintf(text, size, "refuses without a reason");
		break;
	}
}

void
enrolment_explain(
    const struct enrolment *e, const struct enrol_terms *ours, char text[ENROLMENT_TEXT_SIZE])
{
	uint64_t answered = enrol_guest_answered(e->guest);
	uint64_t refused = enrol_guest_refused(e->guest) & answered;
	if (refused != 0) {
		struct enrol_terms theirs;
		char difference[ENROLMENT_TEXT_SIZE - 32];
		uint16_t replica = (uint16_t)__builtin_ctzll(refused);
		enum enrol_status status = enrol_guest_status(e->guest, replica, &theirs);
		difference_write(difference, sizeof(difference), status, ours, &theirs);
		snprintf(text, ENROLMENT_TEXT_SIZE, "replica %u %s", replica, difference);
		return;
	}
	char missing[64] = "";
	size_t size = 0;
	for (uint32_t i = 0; i < e->replicas_count && size < sizeof(missing); i++) {
		if ((answered >> i & 1) != 0)
			continue;
		size += (size_t)snprintf(
		    missing + size, sizeof(missing) - size, "%s%u", size > 0 ? ", " : "", i);
	}
	snprintf(text, ENROLMENT_TEXT_SIZE,
	    "no answer from replica %s: is each running and reachable, with the same cluster "
	    "file, keys and --life?",
	    missing);
}

bool
enrolment_terms(const struct enrolment *e, struct enrol_terms *terms)
{
	uint64_t serving = enrol_guest_answered(e->guest) & ~enrol_guest_refused(e->guest);
	if (serving == 0)
		return false;
	(void)enrol_guest_status(e->guest, (uint16_t)__builtin_ctzll(serving), terms);
	return true;
}
