/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What attackers do to protocols whose votes are signed (after fuzz_bft.h): they see
 * every vote, so they make certificates where there are enough of them, their own
 * among these, and change bytes before they sign. One core.
 */
#ifndef OSKR_TESTS_FUZZ_FORGE_H
#define OSKR_TESTS_FUZZ_FORGE_H

#include "fuzz_bft.h"

enum { QUORUM = 3 };

static bool
kept_parse(const struct kept *k, struct message *m)
{
	return k->size > 0 &&
	       message_parse(&scope, (const uint8_t *)k->bytes, k->size, m) == PARSE_OK;
}

/* ---- Certificates ---------------------------------------------------------------- */

/* A signed word of the attacker, without body, for the same as `like`. */
static void
word_begin(uint8_t type, uint64_t view, uint64_t seq, const uint8_t *digest32)
{
	message_begin(ATTACKER, type, PROOF_SIGNATURE);
	message->view = view;
	message->seq = seq;
	memcpy(message->digest, digest32, DIGEST_SIZE);
}

/* His signature of that. */
static void
word_sign(uint8_t *signature64)
{
	check(message_seal(ATTACKER, 0, 0));
	memcpy(signature64, body, SIGNATURE_SIZE);
}

static bool
is_alike(const struct message_header *a, const struct message_header *b)
{
	return a->type == b->type && a->view == b->view && a->seq == b->seq &&
	       memcmp(a->digest, b->digest, DIGEST_SIZE) == 0;
}

/*
 * Others' signatures of what `like` says, and his own where they are too few, in the
 * order of their signers; returns these, 0: too few all the same.
 */
static uint64_t
signatures_gather(const struct message *like, uint8_t (*signatures64)[SIGNATURE_SIZE])
{
	uint8_t found[REPLICAS][SIGNATURE_SIZE];
	const struct message_header *h = like->header;
	uint64_t signers = 0;
	uint32_t count = 0;
	for (uint32_t i = 0; i < PAST; i++) {
		struct message m;
		if (!kept_parse(&past[i], &m) || m.header->sender >= CORRECT ||
		    !is_alike(m.header, h))
			continue;
		memcpy(found[m.header->sender], m.proof, SIGNATURE_SIZE);
		signers |= 1ull << m.header->sender;
	}
	if (__builtin_popcountll(signers) < QUORUM - 1)
		return 0;
	if (__builtin_popcountll(signers) < QUORUM) {
		word_begin(h->type, h->view, h->seq, h->digest);
		word_sign(found[ATTACKER]);
		signers |= 1ull << ATTACKER;
	}
	for (uint32_t i = 0; i < REPLICAS; i++) {
		if (signers >> i & 1)
			memcpy(signatures64[count++], found[i], SIGNATURE_SIZE);
	}
	return signers;
}

/* The newest that he can make of messages of a type; *like is one of them. */
static uint64_t
signatures_newest(uint8_t type, struct message *like, uint8_t (*signatures64)[SIGNATURE_SIZE])
{
	for (uint32_t i = 1; i <= PAST; i++) {
		if (!kept_parse(&past[(past_next - i) % PAST], like) || like->header->type != type)
			continue;
		uint64_t signers = signatures_gather(like, signatures64);
		if (signers != 0)
			return signers;
	}
	return 0;
}

/* ---- Bodies ----------------------------------------------------------------------- */

/* Writes bytes at the end of the body; false: it is full. */
static bool
body_add(uint32_t *size, const void *bytes, uint32_t more)
{
	if (more > FUZZ_ENVELOPE_SIZE - sizeof(*message) - SIGNATURE_SIZE - *size)
		return false;
	if (more > 0)
		memcpy(body + *size, bytes, more);
	*size += more;
	return true;
}

static void
bytes_alter(uint32_t size)
{
	uint32_t at = (uint32_t)fuzz_take(&in, 2);
	if (size > 0)
		body[at % size] ^= (uint8_t)fuzz_take(&in, 1);
}

#endif
