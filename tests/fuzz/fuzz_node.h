/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole node as a fuzz target: its envelopes, its clock, the attacker's keys,
 * and what is on its way to it. One replica and two client nodes with toy
 * crypto: an attacker who holds the keys of one node seals what he likes, and
 * cannot seal as another. Each datagram lies in memory of exactly its size. One
 * thread.
 */
#ifndef OSKR_TESTS_FUZZ_NODE_H
#define OSKR_TESTS_FUZZ_NODE_H

#include "crypto/crypto.h"
#include "crypto/keys.h"
#include "engine/segment.h"
#include "engine/shard.h"
#include "fuzz.h"

enum {
	FUZZ_CLUSTER = 7,
	FUZZ_PROTOCOL = 2,
	FUZZ_SLOTS = 6, /* 0..2 of the honest client node, 3..5 of the other */
	FUZZ_SLOT_FIRST_OTHER = 3,
	FUZZ_REPLICA = 0, /* nodes */
	FUZZ_HONEST = 1,
	FUZZ_OTHER = 2,
	FUZZ_NODES = 3,
	FUZZ_ENVELOPE_SIZE = 576,
	FUZZ_MESSAGE_MAX = 4096,
	FUZZ_INBOX = SHARD_BURST_MAX,
	FUZZ_PAST = 16, /* datagrams kept for replays */
};

#include "fuzz_envelope.h"

static const struct message_scope fuzz_scope = {
    .cluster = FUZZ_CLUSTER, .replicas_count = 1, .protocol = FUZZ_PROTOCOL};

struct fuzz_bytes {
	uint8_t *data;
	uint32_t size;
};

struct fuzz_node {
	struct crypto *nodes[FUZZ_NODES]; /* all keys; opened once */
	struct fuzz_reader in;
	uint64_t now_ns;
	uint32_t supply; /* envelopes that refill still gives */
	int32_t envelopes_out;
	uint32_t inbox_count;
	struct datagram inbox[FUZZ_INBOX];
	struct fuzz_bytes past[FUZZ_PAST];
	uint32_t past_next;
	void (*sent)(const struct send *send, const struct message *m);
};

static inline void
fuzz_node_open(struct fuzz_node *n)
{
	static const uint16_t slot_clients[FUZZ_SLOTS] = {0, 0, 0, 1, 1, 1};
	static struct key_pair pairs[FUZZ_NODES];
	static uint8_t publics[FUZZ_NODES][CRYPTO_PUBLIC_SIZE];
	char error[256];
	for (uint16_t i = 0; i < FUZZ_NODES; i++) {
		keys_generate_seeded(&pairs[i], 1, i);
		memcpy(publics[i], pairs[i].public33, CRYPTO_PUBLIC_SIZE);
	}
	for (uint16_t i = 0; i < FUZZ_NODES; i++) {
		struct crypto_config config = {
		    .cluster = FUZZ_CLUSTER,
		    .replicas_count = 1,
		    .clients_count = 2,
		    .self = i,
		    .slots_count = FUZZ_SLOTS,
		    .slot_clients = slot_clients,
		    .public_keys = (const uint8_t(*)[CRYPTO_PUBLIC_SIZE])publics,
		};
		memcpy(config.secret, pairs[i].secret, CRYPTO_SECRET_SIZE);
		n->nodes[i] = crypto_toy.open(&config, error);
		check(n->nodes[i] != NULL);
	}
}

static inline void
fuzz_node_reset(struct fuzz_node *n, const uint8_t *bytes, size_t size)
{
	n->in = (struct fuzz_reader){bytes, size};
	n->now_ns = 1000000;
	n->supply = UINT32_MAX;
	n->envelopes_out = 0;
}

/* ---- Envelopes ------------------------------------------------------------ */

static inline uint32_t
fuzz_refill(void *self, struct send *sends, uint32_t count)
{
	struct fuzz_node *n = self;
	count = count < n->supply ? count : n->supply;
	fuzz_envelopes_set_out(sends, count);
	n->supply -= n->supply == UINT32_MAX ? 0 : count;
	n->envelopes_out += (int32_t)count;
	return count;
}

/* What is sent decodes, and fits; whoever listens may look closer. */
static inline void
fuzz_transmit(void *self, struct send *sends, uint32_t count)
{
	struct fuzz_node *n = self;
	for (uint32_t i = 0; i < count; i++) {
		struct message m;
		const struct message_header *h = sends[i].header;
		check(h->size <= sends[i].capacity);
		check(message_parse(&fuzz_scope, (const uint8_t *)h, h->size, &m) == PARSE_OK);
		fuzz_touch((const uint8_t *)h, h->size);
		n->sent(&sends[i], &m);
		fuzz_envelope_give(sends[i].owner);
	}
	n->envelopes_out -= (int32_t)count;
}

/* The envelopes that the node did not use; none may have been lost. */
static inline void
fuzz_reclaim(struct fuzz_node *n, const struct outbox *out)
{
	check(n->envelopes_out == (int32_t)out->sends_ready);
	for (uint32_t i = 0; i < out->sends_ready; i++)
		fuzz_envelope_give(out->sends[i].owner);
}

/* ---- What comes in ------------------------------------------------------- */

static inline void
fuzz_deliver(struct fuzz_node *n, const void *bytes, uint32_t size)
{
	if (n->inbox_count == FUZZ_INBOX)
		return;
	struct fuzz_bytes *past = &n->past[n->past_next++ % FUZZ_PAST];
	free(past->data);
	*past = (struct fuzz_bytes){fuzz_copy(bytes, size), size};
	n->inbox[n->inbox_count++] =
	    (struct datagram){.data = fuzz_copy(bytes, size), .size = size};
}

static inline void
fuzz_inbox_clear(struct fuzz_node *n)
{
	for (uint32_t i = 0; i < n->inbox_count; i++)
		free((void *)(uintptr_t)n->inbox[i].data);
	n->inbox_count = 0;
}

static inline void
fuzz_past_clear(struct fuzz_node *n)
{
	for (uint32_t i = 0; i < FUZZ_PAST; i++) {
		free(n->past[i].data);
		n->past[i] = (struct fuzz_bytes){NULL, 0};
	}
	n->past_next = 0;
}

/* Bytes of the proof that a message of this kind is written with. */
static inline uint32_t
fuzz_proof_room(uint8_t proof)
{
	return proof_size(proof == PROOF_MERKLE ? PROOF_MERKLE + MERKLE_DEPTH_MAX : proof, 1);
}

/*
 * Seals as `node` for the replica or for a slot. The message has room for its
 * proof, and its header->size says how much there is.
 */
static inline void
fuzz_seal(struct fuzz_node *n, uint16_t node, struct message_header *header, int32_t slot)
{
	struct send send = {
	    .to = slot < 0 ? 1u : 0u,
	    .client = (uint16_t)(slot < 0 ? 0 : slot),
	    .capacity = FUZZ_MESSAGE_MAX,
	    .header = header,
	    .owner = header,
	};
	crypto_toy.seal(n->nodes[node], &send, 1);
}

/* In segments when it does not fit a datagram; the bits of `lost` say which do not arrive. */
static inline void
fuzz_deliver_message(
    struct fuzz_node *n, const struct message_header *header, bool from_client, uint64_t lost)
{
	if (header->size <= FUZZ_ENVELOPE_SIZE) {
		fuzz_deliver(n, header, header->size);
		return;
	}
	uint64_t bytes[(size_t)FUZZ_ENVELOPE_SIZE / 8];
	uint32_t slice = segment_slice(FUZZ_ENVELOPE_SIZE);
	uint32_t count = segment_count(header->size, slice);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t left = header->size - i * slice;
		uint32_t size = left < slice ? left : slice;
		struct message_header segment = *header;
		struct segment_fields fields = {.offset = i * slice,
		    .total = header->size,
		    .slice = slice,
		    .from_client = from_client ? 1 : 0};
		segment.size = (uint32_t)sizeof(segment) + size;
		segment.type = MESSAGE_SEGMENT;
		segment.proof = PROOF_NONE;
		segment.seq = header->seq * 8 + header->type;
		segment_fields_write(&segment, &fields);
		memcpy(bytes, &segment, sizeof(segment));
		memcpy(bytes + 8, (const uint8_t *)header + (size_t)i * slice, size);
		if ((lost >> i & 1) == 0)
			fuzz_deliver(n, bytes, segment.size);
	}
}

/*
 * A datagram of the past; where that is allowed, sometimes with one bit turned
 * over. Turned over twice, what was broken is whole again.
 */
static inline void
fuzz_replay(struct fuzz_node *n, bool alter)
{
	const struct fuzz_bytes *past = &n->past[fuzz_below(&n->in, FUZZ_PAST)];
	uint32_t how = (uint32_t)fuzz_take(&n->in, 1);
	if (past->size == 0)
		return;
	uint8_t *copy = fuzz_copy(past->data, past->size);
	uint32_t size = past->size;
	if (how & 1) {
		uint32_t bit = (uint32_t)fuzz_take(&n->in, 2) % (8 * size);
		copy[bit / 8] ^= (uint8_t)((alter ? 1u : 0u) << bit % 8);
	}
	fuzz_deliver(n, copy, size);
	free(copy);
}

/* Can what fuzz_raw wrote be sealed: a kind of proof that is one, and room for it? */
static inline bool
fuzz_raw_sealable(const struct message_header *header, uint32_t size)
{
	return header->proof <= PROOF_MERKLE && proof_size(header->proof, 1) != UINT32_MAX &&
	       header->size == size && size + fuzz_proof_room(header->proof) <= FUZZ_MESSAGE_MAX;
}

/* A header with every field from the input, fitted as far as parsing asks. Unsealed. */
static inline uint32_t
fuzz_raw(struct fuzz_node *n, uint8_t bytes[FUZZ_MESSAGE_MAX])
{
	struct message_header header;
	uint32_t how = (uint32_t)fuzz_take(&n->in, 1);
	memset(&header, 0, sizeof(header));
	header.type = (uint8_t)fuzz_take(&n->in, 1);
	header.proof = (uint8_t)fuzz_take(&n->in, 1);
	header.sender = (uint16_t)fuzz_take(&n->in, how & 1 ? 2 : 1);
	header.instance = (uint16_t)fuzz_take(&n->in, how & 1 ? 2 : 1);
	header.seq = fuzz_take(&n->in, how & 2 ? 8 : 1);
	header.view = fuzz_take(&n->in, how & 2 ? 8 : 0);
	header.cluster = how & 64 ? (uint32_t)fuzz_take(&n->in, 1) : FUZZ_CLUSTER;
	header.protocol = how & 64 ? (uint8_t)fuzz_take(&n->in, 1) : FUZZ_PROTOCOL;
	header.version = MESSAGE_VERSION;
	if (how & 4)
		fuzz_take_bytes(&n->in, header.digest, sizeof(header.digest));
	uint32_t size = (uint32_t)sizeof(header) + fuzz_below(&n->in, how & 8 ? 512 : 100);
	header.size = how & 16 ? (uint32_t)fuzz_take(&n->in, 2) : size;
	memcpy(bytes, &header, sizeof(header));
	fuzz_take_bytes(&n->in, bytes + sizeof(header), size - sizeof(header));
	return size;
}

#endif
