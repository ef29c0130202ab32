/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a liar makes of its messages: a correct node behind a mangler that holds
 * the node's own keys and no others, in the manner of ByzzFuzz (Winter et al.,
 * OOPSLA'23): fields off by one or taken from old messages, towards any subset
 * of receivers; and a generator of messages that no correct node would send.
 * One thread. See sim.h.
 */
#include <string.h>

#include "engine/kv_op.h"
#include "engine/segment.h"
#include "sim.h"

enum { FLOOD_COUNT = 30, FAR_AHEAD = 1 << 20, NEAR_AHEAD = 64 };

bool
lie_open(const struct sim *sim, struct lie_letter *copy, const void *data, uint32_t size)
{
	const struct message_header *header = data;
	uint32_t proof = proof_size(header->proof, sim->replicas_count);
	if (size < sizeof(*header) || proof == UINT32_MAX || size - sizeof(*header) < proof ||
	    size > sim->message_room)
		return false;
	memcpy(sim->scratch, data, size);
	copy->header = (struct message_header *)(void *)sim->scratch;
	copy->body = sim->scratch + sizeof(*header);
	copy->body_size = size - (uint32_t)sizeof(*header) - proof;
	copy->proof = header->proof >= PROOF_MERKLE ? PROOF_MERKLE : header->proof;
	uint8_t kind = copy->proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : copy->proof;
	uint32_t room =
	    size > sim->plan.envelope_size ? sim->message_room : sim->plan.envelope_size;
	copy->flags = 0;
	copy->body_room = room - (uint32_t)sizeof(*header) - proof_size(kind, sim->replicas_count);
	if (copy->body_size > copy->body_room)
		copy->body_size = copy->body_room;
	return true;
}

struct packet *
lie_seal(struct sim_node *node, struct lie_letter *copy, uint16_t to, uint16_t client)
{
	struct sim *sim = node->sim;
	uint8_t kind = copy->proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : copy->proof;
	copy->header->proof = copy->proof;
	copy->header->size = (uint32_t)sizeof(*copy->header) + copy->body_size +
			     proof_size(kind, sim->replicas_count);
	struct send send = {
	    .to = to < sim->replicas_count ? 1ull << to : 0,
	    .client = client,
	    .flags = copy->flags,
	    .capacity = sim->message_room,
	    .header = copy->header,
	};
	sim_crypto_ops(sim)->seal(node->crypto, &send, 1);
	return packet_make(copy->header, copy->header->size);
}

/* Of any type where the type is 0. */
const struct packet *
lie_old(const struct sim_node *node, uint8_t type, uint64_t word)
{
	uint32_t start = (uint32_t)(word % SIM_OLD_MAX);
	for (uint32_t i = 0; i < node->old_count; i++) {
		const struct packet *p = node->old[(start + i) % node->old_count];
		const struct message_header *header = (const void *)p->data;
		if (type == 0 || header->type == type)
			return p;
	}
	return NULL;
}

void
lie_remember(struct sim_node *node, struct packet *packet)
{
	uint32_t at = node->old_count;
	if (packet->size < sizeof(struct message_header))
		return;
	if (at < SIM_OLD_MAX) {
		node->old_count++;
	} else {
		at = (uint32_t)(packet->hash % SIM_OLD_MAX);
		packet_release(node->old[at]);
	}
	packet->references++;
	node->old[at] = packet;
}

static uint64_t
number_lie(uint64_t number, uint64_t old, uint64_t word)
{
	switch (word % 6) {
	case 5:
		return number + 2 + (word >> 8) % NEAR_AHEAD;
	case 0:
		return number + 1;
	case 1:
		return number - 1;
	case 2:
		return number + (word >> 8) % FAR_AHEAD;
	case 3:
		return old;
	default:
		return word >> 8 & 1 ? UINT64_MAX - (word >> 16) % 4 : (word >> 16) % 4;
	}
}

/* Another content under the same header: an old one, a shorter one, one with other bytes. */
static void
body_lie(struct lie_letter *copy, const struct sim_node *node, uint64_t word)
{
	const struct packet *old = lie_old(node, copy->header->type, word >> 8);
	struct message_header *header = copy->header;
	if (copy->body_size == 0) {
		const struct message_header *other = old != NULL ? (const void *)old->data : NULL;
		if (other != NULL && word % 2 == 0)
			memcpy(header->digest, other->digest, sizeof(header->digest));
		else
			header->digest[word >> 8 & 31] ^= (uint8_t)(1 + (word >> 16) % 255);
		return;
	}
	if (old != NULL && word % 3 == 0) {
		uint32_t proof =
		    proof_size(((const struct message_header *)(const void *)old->data)->proof,
			node->sim->replicas_count);
		uint32_t size = old->size - (uint32_t)sizeof(*header);
		if (proof <= size && size - proof <= copy->body_room) {
			copy->body_size = size - proof;
			memcpy(copy->body, old->data + sizeof(*header), copy->body_size);
			return;
		}
	}
	if (word % 3 == 1)
		copy->body_size = (uint32_t)((word >> 8) % copy->body_size) & ~7u;
	else
		copy->body[(word >> 8) % copy->body_size] ^= (uint8_t)(1 + (word >> 40) % 255);
}

static void
operation_lie(struct lie_letter *copy, uint64_t word)
{
	uint8_t value[16];
	memcpy(value, &word, 8);
	memcpy(value + 8, &word, 8);
	struct kv_op op = {
	    .kind = word & 1 ? KV_PUT : KV_APPEND,
	    .key = (const uint8_t *)"k000",
	    .key_size = 4,
	    .value = value,
	    .value_size = sizeof(value),
	};
	copy->body_size = kv_op_encode(&op, copy->body, copy->body_room);
}

/* MACs of the replicas that the fault names are made bad. */
static void
vector_break(struct sim *sim, struct packet *p, const struct fault *f, uint64_t word)
{
	const struct message_header *header = (const void *)p->data;
	uint8_t *proof = p->data + p->size - proof_size(header->proof, sim->replicas_count);
	if (header->proof == PROOF_NONE ||
	    (f->amount == FAULT_VECTORS_ONLY && header->proof != PROOF_VECTOR))
		return;
	if (header->proof != PROOF_VECTOR || f->kind == FAULT_BAD_PROOF) {
		proof[word % (uint64_t)(p->data + p->size - proof)] ^= 1;
	} else {
		for (uint16_t i = 0; i < sim->replicas_count; i++)
			proof[(size_t)i * MAC_SIZE] ^= (uint8_t)(f->to >> i & 1);
	}
	p->hash = packet_hash(p->data, p->size);
}

/* Where the batch begins in a message that may have one; UINT32_MAX: it has none. */
uint32_t
lie_batch_at(const struct sim *sim, const struct message *m)
{
	const struct sim_lies *lies = sim->config->protocol.known->lies;
	return lies != NULL ? lies->batch_at(m) : 0;
}

bool
lie_letter_batch(
    const struct sim_node *node, struct lie_letter *copy, const struct packet *other, uint64_t word)
{
	const struct message m = {
	    .header = copy->header, .body = copy->body, .body_size = copy->body_size};
	uint32_t at = lie_batch_at(node->sim, &m);
	if (at > copy->body_size)
		return false;
	struct lie_body body = {copy->body + at, copy->body_size - at, copy->body_room - at};
	if (!lie_batch(node->sim, &body, other, word))
		return false;
	copy->body_size = at + body.size;
	return true;
}

/* The one receiver to whom it shows what it hides from others. */
static bool
hide_shows(const struct fault *f, uint16_t to, uint64_t word)
{
	uint64_t left = word % (uint64_t)__builtin_popcountll(f->to);
	uint64_t mask = f->to;
	for (; left > 0; left--)
		mask &= mask - 1;
	return (mask >> to & 1) != 0 && (mask & ((1ull << to) - 1)) == 0;
}

/* The changed message for one receiver; NULL: none goes out. */
static struct packet *
lie_make(struct sim_node *node, const struct send *send, uint16_t to, const struct fault *f,
    uint64_t word)
{
	struct lie_letter copy;
	const struct packet *old = lie_old(node, 0, word >> 20);
	const struct message_header *other = old != NULL ? (const void *)old->data : send->header;
	if (f->kind == FAULT_LATE || f->kind == FAULT_REPLAY || f->kind == FAULT_FLOOD)
		return packet_make(send->header, send->header->size);
	if (f->kind == FAULT_SILENT || (f->kind == FAULT_HIDE && !hide_shows(f, to, word)) ||
	    !lie_open(node->sim, &copy, send->header, send->header->size))
		return NULL;
	copy.flags = send->flags & SEND_DIGEST;
	switch (f->kind) {
	case FAULT_EQUIVOCATE:
	case FAULT_DIGEST:
		body_lie(&copy, node, word);
		break;
	case FAULT_BATCH:
		if (!lie_letter_batch(
			node, &copy, lie_old(node, copy.header->type, word >> 32), word))
			body_lie(&copy, node, word);
		break;
	case FAULT_CERTIFICATE:
		if (!node->sim->config->protocol.known->lies->certificate(node, &copy, word))
			body_lie(&copy, node, word);
		break;
	case FAULT_VIEW:
		copy.header->view = number_lie(copy.header->view, other->view, word);
		break;
	case FAULT_SEQ:
		copy.header->seq = number_lie(copy.header->seq, other->seq, word);
		break;
	case FAULT_FORGE:
		copy.header->sender = (uint16_t)((word >> 8) % node->sim->replicas_count);
		break;
	case FAULT_TWO_OPERATIONS:
		operation_lie(&copy, word);
		break;
	case FAULT_LAST_TIMESTAMP:
		copy.header->seq = UINT64_MAX;
		break;
	default:
		break;
	}
	struct packet *p = lie_seal(node, &copy, to, send->client);
	if (f->kind == FAULT_PARTIAL_VECTOR || f->kind == FAULT_BAD_PROOF)
		vector_break(node->sim, p, f, word);
	return p;
}

/* The lie that strikes this message on its way to `to`, if one does. */
static const struct fault *
lie_choose(struct sim_node *node, uint16_t to, uint8_t type, uint64_t *word)
{
	struct sim *sim = node->sim;
	for (uint32_t i = 0; i < sim->active_count; i++) {
		const struct fault *f = &sim->schedule.list[sim->active[i]];
		bool lie = fault_is_client(f->kind) ||
			   (fault_is_lie(f->kind) && f->kind != FAULT_TWIN &&
			       f->kind != FAULT_GENERATE && f->kind != FAULT_INVENT);
		if (!lie || (f->from >> node->index & 1) == 0)
			continue;
		if ((f->to >> to & 1) == 0 && f->kind != FAULT_PARTIAL_VECTOR)
			continue;
		if (f->kind == FAULT_CENSOR || (f->type != 0 && f->type != type))
			continue;
		if (f->kind == FAULT_LATE) { /* amount: ns */
			sim->report->faults[f->kind]++;
			return f;
		}
		/* One draw for all receivers: those in the mask are told the same. */
		*word = sim_draw(sim, 0x11e00ull << 8 | f->kind, node->sends << 8 | node->index);
		if (sim_chance(*word, f->amount)) {
			*word = random_mix(*word);
			sim->report->faults[f->kind]++;
			return f;
		}
	}
	return NULL;
}

/* A whole message, in one piece or in segments of an id of their own. */
static void
whole_send(struct sim_node *node, uint16_t to, struct packet *p)
{
	struct sim *sim = node->sim;
	uint32_t slice = segment_slice(sim->plan.envelope_size);
	uint32_t offset = 0;
	const struct message_header *whole = (const void *)p->data;
	if (p->size <= sim->plan.envelope_size) {
		link_send(node, to, p);
		return;
	}
	while (offset < p->size) {
		uint32_t size = p->size - offset < slice ? p->size - offset : slice;
		struct packet *segment = packet_blank((uint32_t)sizeof(*whole) + size);
		struct message_header *header = (void *)segment->data;
		*header = *whole;
		header->size = segment->size;
		header->type = MESSAGE_SEGMENT;
		header->proof = PROOF_NONE;
		header->view = 0;
		header->seq = p->hash ^ node->sends;
		segment_fields_write(header, &(struct segment_fields){.offset = offset,
						 .total = p->size,
						 .slice = slice,
						 .from_client = node->client != NULL});
		memcpy(header + 1, p->data + offset, size);
		segment->hash = packet_hash(segment->data, segment->size);
		link_send(node, to, segment);
		offset += size;
	}
	packet_release(p);
}

/* What a lie makes of a message goes out to one receiver; `p` may be NULL. */
static void
lie_deliver(
    struct sim_node *node, uint16_t to, const struct fault *f, struct packet *p, uint64_t word)
{
	struct packet *old = (struct packet *)lie_old(node, 0, word);
	if (f->kind == FAULT_REPLAY && old != NULL) {
		old->references++;
		link_send(node, to, old);
	}
	for (uint32_t i = 0; p != NULL && f->kind == FAULT_FLOOD && i < FLOOD_COUNT; i++) {
		p->references++;
		whole_send(node, to, p);
	}
	node->sim->late_ns = f->kind == FAULT_LATE ? f->amount : 0;
	if (p != NULL)
		whole_send(node, to, p);
	node->sim->late_ns = 0;
}

static void
lie_one(struct sim_node *node, const struct send *send, uint16_t to, struct packet *truth)
{
	uint64_t word = 0;
	const struct fault *f = lie_choose(node, to, send->header->type, &word);
	if (f != NULL) {
		lie_deliver(node, to, f, lie_make(node, send, to, f, word), word);
		return;
	}
	truth->references++;
	link_send(node, to, truth);
}

/* The last receiver of a large message: what he is told stands where the truth stood. */
static void
lie_in_place(struct send *send, struct packet *p)
{
	uint8_t *proof = (uint8_t *)send->header + send->header->size - 1;
	if (p == NULL)
		*proof ^= 1; /* silence: nobody will take it */
	else if (p->size <= send->capacity)
		memcpy(send->header, p->data, p->size);
	if (p != NULL)
		packet_release(p);
}

void
lie_send_large(struct sim_node *node, struct send *send)
{
	struct sim *sim = node->sim;
	uint64_t own = node->replica != NULL ? 1ull << node->identity : 0;
	uint64_t receivers = send->to & ~own;
	uint16_t client = (uint16_t)(sim->replicas_count + sim->slot_clients[send->client]);
	uint64_t word = 0;
	node->sends++;
	if (send->to == 0)
		receivers = 1ull << client;
	for (uint64_t left = receivers; left != 0; left &= left - 1) {
		uint16_t to = (uint16_t)__builtin_ctzll(left);
		const struct fault *f = lie_choose(node, to, send->header->type, &word);
		if (f == NULL)
			continue;
		struct packet *p = lie_make(node, send, to, f, word);
		if ((send->to & ~(1ull << to)) == 0) {
			lie_in_place(send, p);
			return;
		}
		send->to &= ~(1ull << to);
		lie_deliver(node, to, f, p, word);
	}
}

bool
lie_send(struct sim_node *node, const struct send *send)
{
	struct sim *sim = node->sim;
	struct packet *truth = packet_make(send->header, send->header->size);
	lie_remember(node, truth);
	for (uint64_t left = send->to; left != 0; left &= left - 1) {
		uint16_t to = (uint16_t)__builtin_ctzll(left);
		if (to == node->identity) { /* nobody fools himself */
			truth->references++;
			node_loop(node, send, truth);
		} else {
			lie_one(node, send, to, truth);
		}
	}
	if (send->to == 0)
		lie_one(node, send,
		    (uint16_t)(sim->replicas_count + sim->slot_clients[send->client]), truth);
	packet_release(truth);
	return true;
}

/*
 * A message that nobody asked for: a header of a type that was seen, with
 * numbers near those that were seen, and a body from anywhere, under the liar's
 * own name and keys.
 */
void
lie_generate(struct sim_node *node, const struct fault *fault, uint64_t number)
{
	struct sim *sim = node->sim;
	struct lie_letter copy;
	uint64_t word = sim_draw(sim, 0x9e4e7a7eull, number << 8 | node->index);
	if (!sim_chance(word, fault->amount))
		return;
	word = random_mix(word);
	const struct packet *model = lie_old(node, 0, word);
	if (model == NULL || !lie_open(sim, &copy, model->data, model->size))
		return;
	if (copy.header->type == MESSAGE_REQUEST || copy.header->type == MESSAGE_SEGMENT)
		return;
	uint16_t nodes = (uint16_t)(sim->replicas_count + sim->clients_count);
	uint16_t to = (uint16_t)((word >> 8) % nodes);
	const struct packet *other = lie_old(node, 0, word >> 32);
	const struct message_header *header = (const void *)other->data;
	copy.header->sender = node->identity;
	copy.proof = sim->plan.protocol.protocol_proof;
	if (word >> 16 & 1)
		copy.header->view = number_lie(copy.header->view, header->view, word >> 20);
	if (word >> 17 & 1)
		copy.header->seq = number_lie(copy.header->seq, header->seq, word >> 24);
	if (word >> 18 & 1)
		copy.header->type = header->type;
	if (word >> 19 & 1)
		body_lie(&copy, node, word >> 28);
	if (copy.header->type == MESSAGE_REPLY || copy.header->type == MESSAGE_REPLY_LOST)
		copy.proof = sim->plan.protocol.reply_proof;
	if (to == node->identity)
		return;
	uint16_t slot = (uint16_t)((word >> 40) % sim->options.clients);
	if (to >= sim->replicas_count) {
		to = (uint16_t)(sim->replicas_count + sim->slot_clients[slot]);
		if (copy.proof == PROOF_VECTOR)
			copy.proof = PROOF_MAC;
	} else if (copy.proof == PROOF_MAC) {
		copy.proof = PROOF_VECTOR;
	}
	uint8_t kind = copy.proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : copy.proof;
	uint32_t room = sim->plan.envelope_size - (uint32_t)sizeof(*header) -
			proof_size(kind, sim->replicas_count);
	copy.body_size = copy.body_size < room ? copy.body_size : room;
	sim->report->faults[FAULT_GENERATE]++;
	link_send(node, to, lie_seal(node, &copy, to, slot));
}

/* ---- What only the protocol's own liars say --------------------------------------- */

/*
 * Other liars' messages alone are no occasion. What one invents goes to all; if each of
 * those inventions were answered by all other liars with one of theirs, and so on, the
 * more so the more liars there are, they would drown what the run is for. Nothing at all
 * is an occasion: then the node's own time has come.
 */
bool
lie_is_roused(const struct sim_node *node, const struct datagram *list, uint32_t count)
{
	uint64_t liars = node->sim->liars & ((1ull << node->sim->replicas_count) - 1);
	bool roused = count == 0;
	for (uint32_t i = 0; i < count && !roused; i++) {
		struct message_header h;
		if (list[i].size < sizeof(h))
			continue;
		memcpy(&h, list[i].data, sizeof(h));
		roused = h.sender == node->identity || h.sender >= node->sim->replicas_count ||
			 (liars >> h.sender & 1) == 0;
	}
	return roused;
}

void
lie_invent(struct sim_node *node, const struct fault *fault, uint64_t number)
{
	struct sim *sim = node->sim;
	const struct sim_lies *lies = sim->config->protocol.known->lies;
	struct message_header blank = {
	    .size = sizeof(blank),
	    .cluster = sim->plan.protocol.cluster,
	    .sender = node->identity,
	    .protocol = sim->plan.protocol.protocol,
	    .version = MESSAGE_VERSION,
	};
	struct lie_letter letter;
	uint64_t word = sim_draw(sim, 0x1e4e47ull, number << 8 | node->index);
	uint64_t amount = fault->amount;
	/* It goes to more receivers there, and each of more liars does so. */
	if (sim->replicas_count > SIM_MANY_REPLICAS)
		amount = amount * SIM_MANY_REPLICAS / sim->replicas_count;
	if (!sim_chance(word, amount))
		return;
	word = random_mix(word);
	check(lie_open(sim, &letter, &blank, sizeof(blank)));
	letter.proof = sim->plan.protocol.protocol_proof;
	/* Whatever proof it comes to have. */
	uint32_t vector = proof_size(PROOF_VECTOR, sim->replicas_count);
	uint32_t merkle = proof_size(PROOF_MERKLE + MERKLE_DEPTH_MAX, sim->replicas_count);
	letter.body_room =
	    sim->plan.envelope_size - (uint32_t)sizeof(blank) - (vector > merkle ? vector : merkle);
	if (lies == NULL || !lies->invent(node, &letter, random_mix(word)))
		return;
	sim->report->faults[FAULT_INVENT]++;
	/* The same to all of them: each is sealed for its receiver. */
	uint64_t to = fault->to & ((1ull << sim->replicas_count) - 1) & ~(1ull << node->identity);
	to = word & 1 ? to : to & random_mix(word);
	for (; to != 0; to &= to - 1) {
		uint16_t one = (uint16_t)__builtin_ctzll(to);
		whole_send(node, one, lie_seal(node, &letter, one, 0));
	}
}
