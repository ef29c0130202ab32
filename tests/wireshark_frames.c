/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for the test of the Wireshark dissector, made from the structures and constants
 * that the decoder is compiled from: as text for text2pcap on stdout, and what the dissector
 * must say of each, one line a message, in the file that the first argument names.
 *
 *     protocol type sender instance cluster view seq body_size proof_size malformed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/enrol.h"
#include "engine/message.h"
#include "engine/segment.h"
#include "protocols/hotstuff/hotstuff.h"
#include "protocols/pbft/pbft.h"
#include "protocols/registry.h"
#include "protocols/zyzzyva/zyzzyva.h"

enum { REPLICAS = 4, FRAME_MAX = 1400 };

struct type {
	const char *protocol;
	const char *name; /* of the constant; the dissector leaves its first word out */
	uint8_t value;
};

#define TYPE(protocol, constant)              \
	{                                     \
		protocol, #constant, constant \
	}

static const struct type types[] = {
    TYPE("unreplicated", MESSAGE_REQUEST),
    TYPE("unreplicated", MESSAGE_REPLY),
    TYPE("unreplicated-signed", MESSAGE_REPLY_LOST),
    TYPE("pbft", MESSAGE_SEGMENT),
    TYPE("pbft", MESSAGE_SEGMENT_NACK),
    TYPE("pbft", MESSAGE_FETCH),
    TYPE("pbft", MESSAGE_BLOCKS),
    TYPE("enrolment", MESSAGE_HELLO),
    TYPE("enrolment", MESSAGE_WELCOME),
    TYPE("pbft", MESSAGE_ASTRAY),
    TYPE("pbft", BFT_READ),
    TYPE("pbft", BFT_REPLY_DIGEST),
    TYPE("pbft", BFT_MUST_SIGN),
    TYPE("pbft", BFT_COMPLAINT),
    TYPE("hotstuff", BFT_CHECKPOINT),
    TYPE("pbft", PBFT_PRE_PREPARE),
    TYPE("pbft", PBFT_PREPARE),
    TYPE("pbft", PBFT_COMMIT),
    TYPE("pbft", PBFT_VIEW_CHANGE),
    TYPE("pbft", PBFT_NEW_VIEW),
    TYPE("pbft", PBFT_STATUS),
    TYPE("pbft", PBFT_FETCH),
    TYPE("pbft", PBFT_BATCH),
    TYPE("pbft", PBFT_DECIDED),
    TYPE("hotstuff", HOTSTUFF_PROPOSAL),
    TYPE("hotstuff", HOTSTUFF_VOTE),
    TYPE("hotstuff", HOTSTUFF_TIMEOUT),
    TYPE("hotstuff2", HOTSTUFF_STATUS),
    TYPE("hotstuff", HOTSTUFF_CERTIFICATE),
    TYPE("hotstuff", HOTSTUFF_FETCH),
    TYPE("hotstuff2", HOTSTUFF_BLOCK),
    TYPE("zyzzyva", ZYZZYVA_ORDER_REQ),
    TYPE("zyzzyva", ZYZZYVA_BODY),
};

static const uint8_t proofs[] = {PROOF_NONE, PROOF_MAC, PROOF_VECTOR, PROOF_SIGNATURE, PROOF_MERKLE,
    PROOF_MERKLE + MERKLE_DEPTH_MAX};

/* The protocol's number on the wire. */
static uint8_t
protocol_number(const char *name)
{
	if (strcmp(name, "enrolment") == 0)
		return ENROL_PROTOCOL;
	for (uint32_t i = 0; i < registry_count(); i++) {
		if (strcmp(registry_at(i)->name, name) == 0)
			return (uint8_t)i;
	}
	fprintf(stderr, "wireshark_frames: no protocol %s\n", name);
	exit(EXIT_FAILURE);
}

static void
frame_print(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (i % 16 == 0)
			printf("%s%06zx", i > 0 ? "\n" : "", i);
		printf(" %02x", bytes[i]);
	}
	printf("\n\n");
}

/* The k-th message: all fields differ, and reach beyond 32 bits where they can. */
static struct message_header
header_make(const struct type *type, uint32_t k, uint32_t body_size, uint8_t proof)
{
	struct message_header h = {
	    .size = (uint32_t)sizeof(h) + body_size + proof_size(proof, REPLICAS),
	    .cluster = 0xc0ffee00u + k,
	    .instance = (uint16_t)(1000 + k),
	    .sender = (uint16_t)(60000 + k),
	    .protocol = protocol_number(type->protocol),
	    .type = type->value,
	    .proof = proof,
	    .version = MESSAGE_VERSION,
	    .view = 0x8000000000000000ull + k,
	    .seq = 0x123456789abcdefull + k,
	};
	memset(h.digest, (int)k, sizeof(h.digest));
	return h;
}

static void
message_print(FILE *expected, const struct type *type, uint32_t k)
{
	uint8_t frame[FRAME_MAX];
	uint32_t body_size = k * 7 % 100;
	uint8_t proof = proofs[k % sizeof(proofs)];
	struct message_header h = header_make(type, k, body_size, proof);
	memset(frame, (int)k, sizeof(frame));
	memcpy(frame, &h, sizeof(h));
	frame_print(frame, h.size);
	fprintf(expected, "%s %s %u %u %u %lu %lu %u %u -\n", type->protocol,
	    strchr(type->name, '_') + 1, h.sender, h.instance, h.cluster, h.view, h.seq, body_size,
	    proof_size(proof, REPLICAS));
}

/* What message_parse() refuses: the dissector says so too. */
static void
malformed_print(FILE *expected)
{
	const struct type type = TYPE("pbft", PBFT_COMMIT);
	for (uint32_t k = 0; k < 4; k++) {
		uint8_t frame[FRAME_MAX] = {0};
		struct message_header h = header_make(&type, k, 8, PROOF_NONE);
		uint32_t size = h.size;
		h.size += k == 0;
		h.version = k == 1 ? MESSAGE_VERSION + 1 : h.version;
		h.proof = k == 2 ? 9 : k == 3 ? PROOF_SIGNATURE : h.proof;
		memcpy(frame, &h, sizeof(h));
		frame_print(frame, size);
		fprintf(expected, "pbft COMMIT %u %u %u %lu %lu - - malformed\n", h.sender,
		    h.instance, h.cluster, h.view, h.seq);
	}
	const uint8_t few[10] = {0};
	frame_print(few, sizeof(few));
	fprintf(expected, "- - - - - - - - - malformed\n");
}

int
main(int argc, char **argv)
{
	FILE *expected = argc == 2 ? fopen(argv[1], "w") : NULL;
	if (expected == NULL) {
		fprintf(stderr, "usage: wireshark_frames EXPECTED-FILE >FRAMES\n");
		return EXIT_FAILURE;
	}
	for (uint32_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
		message_print(expected, &types[k], k + 1);
	malformed_print(expected);
	return fclose(expected) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
