/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/message.h, engine/batch.h and engine/claims.h: what is decoded and what
 * is refused, in memory of exactly the message's size, so that a sanitizer sees
 * every byte read beyond.
 */
#include "engine/batch.h"
#include "engine/claims.h"

#include <string.h>

#include "tests/toy_digest.h"
#include "tests/unit.h"

enum { CLUSTER = 77, REPLICAS = 4, PROTOCOL = 2, BATCH_CAPACITY = 4096 };

static const struct message_scope scope = {CLUSTER, REPLICAS, PROTOCOL};
static const uint8_t kinds[] = {PROOF_NONE, PROOF_MAC, PROOF_VECTOR, PROOF_SIGNATURE, PROOF_MERKLE,
    PROOF_MERKLE + 1, PROOF_MERKLE + MERKLE_DEPTH_MAX};
enum { KINDS_COUNT = sizeof(kinds) };

/* Memory of exactly `size` bytes, and never the same as for another message. */
static uint8_t *
bytes_take(size_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	CU_ASSERT_EQUAL((uintptr_t)bytes % MESSAGE_ALIGNMENT, 0);
	return bytes;
}

/* A right message of the kind; the body's bytes follow from their index. */
static uint8_t *
message_make(uint8_t type, uint8_t kind, uint32_t body_size)
{
	uint32_t proof = proof_size(kind, REPLICAS);
	struct message_header header = {
	    .size = (uint32_t)sizeof(header) + body_size + proof,
	    .cluster = CLUSTER,
	    .instance = 1,
	    .sender = 3,
	    .protocol = PROTOCOL,
	    .type = type,
	    .proof = kind,
	    .version = MESSAGE_VERSION,
	    .view = 5,
	    .seq = 9,
	};
	uint8_t *bytes = bytes_take(header.size);
	memcpy(bytes, &header, sizeof(header));
	for (uint32_t i = 0; i < body_size + proof; i++)
		bytes[sizeof(header) + i] = (uint8_t)(i * 7 + 1);
	return bytes;
}

static uint32_t
size_of(const uint8_t *bytes)
{
	uint32_t size;
	memcpy(&size, bytes, sizeof(size));
	return size;
}

/* Sums up all that the view shows: a sanitizer watches each access. */
static uint64_t
read_all(const struct message *m)
{
	uint64_t sum = m->header->size;
	for (uint32_t i = 0; i < m->body_size; i++)
		sum += m->body[i];
	for (uint32_t i = 0; i < proof_size(m->header->proof, REPLICAS); i++)
		sum += m->proof[i];
	return sum;
}

static void
proofs_have_their_sizes(void)
{
	CU_ASSERT_EQUAL(proof_size(PROOF_NONE, 4), 0);
	CU_ASSERT_EQUAL(proof_size(PROOF_MAC, 4), 16);
	CU_ASSERT_EQUAL(proof_size(PROOF_VECTOR, 4), 64);
	CU_ASSERT_EQUAL(proof_size(PROOF_VECTOR, 64), 1024);
	CU_ASSERT_EQUAL(proof_size(PROOF_SIGNATURE, 4), 64);
	CU_ASSERT_EQUAL(proof_size(PROOF_MERKLE, 4), 72);
	CU_ASSERT_EQUAL(proof_size(PROOF_MERKLE + 8, 4), 72 + 8 * 32);
	for (uint32_t kind = 0; kind < 256; kind++) {
		bool known = kind <= PROOF_SIGNATURE ||
			     (kind >= PROOF_MERKLE && kind <= PROOF_MERKLE + MERKLE_DEPTH_MAX);
		CU_ASSERT_EQUAL(proof_size((uint8_t)kind, 4) != UINT32_MAX, known);
	}
}

static void
right_messages_are_read(void)
{
	static const uint32_t body_sizes[] = {0, 1, 7, 8, 63, 64, 1000};
	for (uint32_t k = 0; k < KINDS_COUNT; k++) {
		for (uint32_t i = 0; i < sizeof(body_sizes) / sizeof(body_sizes[0]); i++) {
			uint8_t *bytes = message_make(MESSAGE_PROTOCOL, kinds[k], body_sizes[i]);
			uint32_t proof = proof_size(kinds[k], REPLICAS);
			struct message m;
			CU_ASSERT_EQUAL_FATAL(
			    message_parse(&scope, bytes, size_of(bytes), &m), PARSE_OK);
			CU_ASSERT_PTR_EQUAL(m.header, bytes);
			CU_ASSERT_PTR_EQUAL(m.body, bytes + 64);
			CU_ASSERT_EQUAL(m.body_size, body_sizes[i]);
			CU_ASSERT_PTR_EQUAL(m.proof, bytes + size_of(bytes) - proof);
			CU_ASSERT(read_all(&m) > 0);
			free(bytes);
		}
	}
}

/* Cut anywhere: first as it is, then with a size that lies to match the cut. */
static void
every_truncation_is_refused(void)
{
	enum { BODY = 40 };
	for (uint32_t k = 0; k < KINDS_COUNT; k++) {
		uint8_t *whole = message_make(MESSAGE_REQUEST, kinds[k], BODY);
		uint32_t least = 64 + proof_size(kinds[k], REPLICAS);
		for (uint32_t size = 0; size < size_of(whole); size++) {
			struct message m = {0};
			uint8_t *cut = bytes_take(size);
			memcpy(cut, whole, size);
			CU_ASSERT_EQUAL(message_parse(&scope, cut, size, &m),
			    size < 64 ? PARSE_SHORT : PARSE_SIZE);
			CU_ASSERT_PTR_NULL(m.header);
			if (size >= sizeof(size))
				memcpy(cut, &size, sizeof(size));
			enum parse_error error = message_parse(&scope, cut, size, &m);
			CU_ASSERT_EQUAL(error, size < least ? PARSE_SHORT : PARSE_OK);
			CU_ASSERT_EQUAL(m.header != NULL, size >= least);
			if (error == PARSE_OK) {
				CU_ASSERT_EQUAL(m.body_size, size - least);
				CU_ASSERT(read_all(&m) > 0);
			}
			free(cut);
		}
		free(whole);
	}
}

static void
longer_than_said_is_refused(void)
{
	uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_MAC, 8);
	uint32_t size = size_of(bytes);
	uint8_t *longer = bytes_take(size + 1);
	struct message m;
	memcpy(longer, bytes, size);
	longer[size] = 0;
	CU_ASSERT_EQUAL(message_parse(&scope, longer, size + 1, &m), PARSE_SIZE);
	/* A size that equals the bytes at hand only when cut to 32 bits. */
	CU_ASSERT_EQUAL(message_parse(&scope, bytes, size + (UINT64_C(1) << 32), &m), PARSE_SIZE);
	free(bytes);
	free(longer);
}

/* Each field wrong by itself: the first that is wrong gives the verdict. */
static void
every_field_is_judged(void)
{
	static const struct {
		size_t offset;
		uint8_t flip;
		enum parse_error error;
	} rows[] = {
	    {offsetof(struct message_header, size), 1, PARSE_SIZE},
	    {offsetof(struct message_header, size) + 3, 0x80, PARSE_SIZE},
	    {offsetof(struct message_header, cluster), 1, PARSE_CLUSTER},
	    {offsetof(struct message_header, cluster) + 3, 0x80, PARSE_CLUSTER},
	    {offsetof(struct message_header, instance), 0xff, PARSE_OK},
	    {offsetof(struct message_header, sender), 0xff, PARSE_OK},
	    {offsetof(struct message_header, protocol), 1, PARSE_PROTOCOL},
	    {offsetof(struct message_header, type), 0xff, PARSE_OK},
	    {offsetof(struct message_header, proof), 0x80, PARSE_PROOF},
	    {offsetof(struct message_header, proof), PROOF_MAC ^ 4, PARSE_PROOF},
	    {offsetof(struct message_header, proof), PROOF_MAC ^ 15, PARSE_PROOF},
	    {offsetof(struct message_header, proof), PROOF_MAC ^ 25, PARSE_PROOF},
	    {offsetof(struct message_header, proof), PROOF_MAC ^ 24, PARSE_SHORT},
	    {offsetof(struct message_header, version), MESSAGE_VERSION, PARSE_VERSION},
	    {offsetof(struct message_header, version), 3, PARSE_VERSION},
	    {offsetof(struct message_header, view), 0xff, PARSE_OK},
	    {offsetof(struct message_header, seq), 0xff, PARSE_OK},
	    {offsetof(struct message_header, digest), 0xff, PARSE_OK},
	};
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_MAC, 24);
		uint32_t size = size_of(bytes);
		struct message m;
		bytes[rows[i].offset] ^= rows[i].flip;
		CU_ASSERT_EQUAL(message_parse(&scope, bytes, size, &m), rows[i].error);
		free(bytes);
	}
}

/* What a flipped bit at `offset` may lead to. */
static bool
flip_verdict_fits(size_t offset, enum parse_error error)
{
	if (offset < 4)
		return error == PARSE_SIZE;
	if (offset < 8)
		return error == PARSE_CLUSTER;
	switch (offset) {
	case offsetof(struct message_header, protocol):
		return error == PARSE_PROTOCOL;
	case offsetof(struct message_header, proof):
		return error == PARSE_PROOF || error == PARSE_SHORT || error == PARSE_OK;
	case offsetof(struct message_header, version):
		return error == PARSE_VERSION;
	default:
		return error == PARSE_OK;
	}
}

static void
every_flipped_bit_is_harmless(void)
{
	for (uint32_t type = 0; type <= MESSAGE_PROTOCOL; type++) {
		for (uint32_t k = 0; k < KINDS_COUNT; k++) {
			uint8_t *bytes = message_make((uint8_t)type, kinds[k], 16);
			uint32_t size = size_of(bytes);
			for (uint32_t bit = 0; bit < size * 8; bit++) {
				struct message m;
				bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
				enum parse_error error = message_parse(&scope, bytes, size, &m);
				CU_ASSERT(flip_verdict_fits(bit / 8, error));
				if (error == PARSE_OK)
					CU_ASSERT(read_all(&m) > 0);
				bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			free(bytes);
		}
	}
}

/* ---- Batches ------------------------------------------------------------ */

struct rig {
	uint64_t memory[BATCH_CAPACITY / 8];
	struct batch batch;
};

static void
rig_open(struct rig *rig, uint32_t capacity)
{
	memset(rig, 0xa5, sizeof(*rig));
	rig->batch = (struct batch){.data = (uint8_t *)rig->memory, .capacity = capacity};
}

static bool
rig_append(struct rig *rig, const uint8_t *bytes)
{
	struct message m;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size_of(bytes), &m), PARSE_OK);
	if (!batch_fits(&rig->batch, &m))
		return false;
	batch_append(&rig->batch, &m);
	return true;
}

/* How many requests come out of a copy of exactly that size; -1: malformed. */
static int
batch_count(const uint8_t *data, uint32_t size)
{
	uint8_t *copy = bytes_take(size);
	memcpy(copy, data, size);
	struct batch_cursor cursor = batch_cursor(copy, size);
	struct message m;
	int count = 0;
	while (!batch_cursor_done(&cursor) && batch_next(&cursor, &scope, &m)) {
		CU_ASSERT(read_all(&m) > 0);
		count++;
	}
	bool done = batch_cursor_done(&cursor);
	CU_ASSERT(!done || !batch_next(&cursor, &scope, &m));
	free(copy);
	return done ? count : -1;
}

static void
batch_round_trip(void)
{
	struct rig rig;
	uint8_t *requests[64];
	uint32_t count = 0;
	rig_open(&rig, BATCH_CAPACITY);
	for (uint32_t body = 0;; body++) {
		uint8_t *bytes = message_make(MESSAGE_REQUEST, kinds[body % KINDS_COUNT], body);
		if (!rig_append(&rig, bytes)) {
			free(bytes);
			break;
		}
		requests[count++] = bytes;
	}
	CU_ASSERT(count > 15);
	CU_ASSERT_EQUAL(rig.batch.count, count);
	CU_ASSERT_EQUAL(rig.batch.size % 8, 0);
	CU_ASSERT_EQUAL(batch_count(rig.batch.data, rig.batch.size), (int)count);
	struct batch_cursor cursor = batch_cursor(rig.batch.data, rig.batch.size);
	for (uint32_t i = 0; i < count; i++) {
		struct message m;
		CU_ASSERT_FATAL(batch_next(&cursor, &scope, &m));
		CU_ASSERT_EQUAL(m.header->size, size_of(requests[i]));
		CU_ASSERT_EQUAL(memcmp(m.header, requests[i], m.header->size), 0);
		const uint8_t *end = (const uint8_t *)m.header + m.header->size;
		for (; (uintptr_t)end % 8 != 0; end++)
			CU_ASSERT_EQUAL(*end, 0);
		free(requests[i]);
	}
	CU_ASSERT(batch_cursor_done(&cursor));
}

static void
batch_fits_to_the_byte(void)
{
	struct rig rig;
	uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_NONE, 1);
	rig_open(&rig, 144); /* two of 65 bytes, padded to 72 */
	CU_ASSERT(rig_append(&rig, bytes));
	CU_ASSERT(rig_append(&rig, bytes));
	CU_ASSERT_FALSE(rig_append(&rig, bytes));
	CU_ASSERT_EQUAL(rig.batch.size, 144);
	CU_ASSERT_EQUAL(rig.memory[18], 0xa5a5a5a5a5a5a5a5u);
	rig_open(&rig, 136);
	CU_ASSERT(rig_append(&rig, bytes));
	CU_ASSERT_FALSE(rig_append(&rig, bytes));
	free(bytes);
}

static void
batch_of_a_parted_message(void)
{
	struct rig rig;
	uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_MAC, 21);
	struct message m;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size_of(bytes), &m), PARSE_OK);
	uint8_t *tail = bytes_take(21 + MAC_SIZE);
	memcpy(tail, m.body, 21 + MAC_SIZE);
	m.body = tail;
	rig_open(&rig, BATCH_CAPACITY);
	batch_append(&rig.batch, &m);
	CU_ASSERT_EQUAL(memcmp(rig.batch.data, bytes, size_of(bytes)), 0);
	free(tail);
	free(bytes);
}

/* A batch of three, cut at every size: whole requests come out, nothing else. */
static void
batch_truncations(void)
{
	struct rig rig;
	uint32_t ends[4] = {0};
	rig_open(&rig, BATCH_CAPACITY);
	for (uint32_t i = 1; i < 4; i++) {
		uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_MAC, i * 11);
		CU_ASSERT_FATAL(rig_append(&rig, bytes));
		ends[i] = rig.batch.size;
		free(bytes);
	}
	for (uint32_t size = 0; size <= ends[3]; size++) {
		int expected = -1;
		for (int i = 0; i < 4; i++) {
			if (size == ends[i])
				expected = i;
		}
		CU_ASSERT_EQUAL(batch_count(rig.batch.data, size), expected);
	}
}

static void
batch_lies_are_refused(void)
{
	static const uint32_t sizes[] = {
	    0, 1, 63, 64 + 15, 64 + 16 + 8 + 1, 4096, UINT32_MAX - 7, UINT32_MAX - 6, UINT32_MAX};
	struct rig rig;
	uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_MAC, 8);
	rig_open(&rig, BATCH_CAPACITY);
	CU_ASSERT_FATAL(rig_append(&rig, bytes));
	struct message_header *h = (struct message_header *)(void *)rig.batch.data;
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		h->size = sizes[i];
		CU_ASSERT_EQUAL(batch_count(rig.batch.data, rig.batch.size), -1);
	}
	h->size = size_of(bytes);
	CU_ASSERT_EQUAL(batch_count(rig.batch.data, rig.batch.size), 1);
	for (uint32_t type = 0; type < 256; type++) {
		h->type = (uint8_t)type;
		CU_ASSERT_EQUAL(
		    batch_count(rig.batch.data, rig.batch.size), type == MESSAGE_REQUEST ? 1 : -1);
	}
	h->type = MESSAGE_REQUEST;
	h->cluster++;
	CU_ASSERT_EQUAL(batch_count(rig.batch.data, rig.batch.size), -1);
	free(bytes);
}

static void
batch_of_random_bytes(void)
{
	uint64_t seed = 11;
	for (uint32_t round = 0; round < 2000; round++) {
		struct rig rig;
		rig_open(&rig, BATCH_CAPACITY);
		for (uint32_t i = 0; i < 4; i++) {
			uint8_t *bytes = message_make(MESSAGE_REQUEST,
			    kinds[toy_below(&seed, KINDS_COUNT)], toy_below(&seed, 50));
			CU_ASSERT_FATAL(rig_append(&rig, bytes));
			free(bytes);
		}
		for (uint32_t i = 0; i < 3; i++)
			rig.batch.data[toy_below(&seed, rig.batch.size)] ^=
			    (uint8_t)(1u << toy_below(&seed, 8));
		CU_ASSERT(batch_count(rig.batch.data, rig.batch.size) <= 4);
	}
}

/* ---- Claims ------------------------------------------------------------- */

static struct claims claims;

static void
claims_of_each_kind(void)
{
	static const struct {
		uint8_t proof;
		uint8_t claim;
		uint8_t depth;
		uint32_t offset; /* of the proof that counts */
	} rows[] = {
	    {PROOF_MAC, CLAIM_MAC, 0, 0},
	    {PROOF_VECTOR, CLAIM_MAC, 0, 2 * MAC_SIZE},
	    {PROOF_SIGNATURE, CLAIM_SIGNATURE, 0, 0},
	    {PROOF_MERKLE, CLAIM_MERKLE, 0, 0},
	    {PROOF_MERKLE + 3, CLAIM_MERKLE, 3, 0},
	    {PROOF_MERKLE + 8, CLAIM_MERKLE, 8, 0},
	};
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (uint32_t body = 0; body < 20; body += 10) {
			uint8_t *bytes = message_make(MESSAGE_PROTOCOL, rows[i].proof, body);
			struct message m;
			CU_ASSERT_EQUAL_FATAL(
			    message_parse(&scope, bytes, size_of(bytes), &m), PARSE_OK);
			memset(&claims, 0xff, sizeof(claims));
			claims.count = 5;
			claims_add_message(&claims, &m, KEY_CLIENT + 9, 2);
			CU_ASSERT_EQUAL_FATAL(claims.count, body > 0 ? 7 : 6);
			const struct claim *c = &claims.list[claims.count - 1];
			CU_ASSERT_EQUAL(c->kind, rows[i].claim);
			CU_ASSERT_EQUAL(c->depth, rows[i].depth);
			CU_ASSERT_EQUAL(c->key, KEY_CLIENT + 9);
			CU_ASSERT_EQUAL(c->size, sizeof(struct message_header));
			CU_ASSERT_PTR_EQUAL(c->data, bytes);
			CU_ASSERT_PTR_EQUAL(c->proof, m.proof + rows[i].offset);
			CU_ASSERT_FALSE(c->optional);
			CU_ASSERT_EQUAL(c->reserved, 0);
			if (body > 0) {
				const struct claim *digest = &claims.list[5];
				CU_ASSERT_EQUAL(digest->kind, CLAIM_DIGEST);
				CU_ASSERT_EQUAL(digest->size, body);
				CU_ASSERT_PTR_EQUAL(digest->data, m.body);
				CU_ASSERT_PTR_EQUAL(digest->proof, m.header->digest);
				CU_ASSERT_FALSE(digest->optional);
			}
			free(bytes);
		}
	}
}

static void
no_proof_claims_nothing(void)
{
	uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_NONE, 10);
	struct message m;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size_of(bytes), &m), PARSE_OK);
	claims.count = 0;
	claims_add_message(&claims, &m, 1, 0);
	CU_ASSERT_EQUAL(claims.count, 0);
	free(bytes);
}

static void
claims_to_the_last(void)
{
	uint8_t *bytes = message_make(MESSAGE_REQUEST, PROOF_MAC, 10);
	struct message m;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, bytes, size_of(bytes), &m), PARSE_OK);
	claims.count = 0;
	while (claims.count < CLAIMS_MAX)
		claims_add_message(&claims, &m, 1, 0);
	CU_ASSERT_EQUAL(claims.count, CLAIMS_MAX);
	free(bytes);
}

static const struct unit_story stories[] = {
    {"proofs have their sizes", proofs_have_their_sizes},
    {"right messages are read", right_messages_are_read},
    {"every truncation is refused", every_truncation_is_refused},
    {"longer than said is refused", longer_than_said_is_refused},
    {"every field is judged", every_field_is_judged},
    {"every flipped bit is harmless", every_flipped_bit_is_harmless},
    {"batch: round trip", batch_round_trip},
    {"batch: fits to the byte", batch_fits_to_the_byte},
    {"batch: header apart from the body", batch_of_a_parted_message},
    {"batch: every truncation", batch_truncations},
    {"batch: lies are refused", batch_lies_are_refused},
    {"batch: damaged bytes", batch_of_random_bytes},
    {"claims of each kind of proof", claims_of_each_kind},
    {"no proof claims nothing", no_proof_claims_nothing},
    {"claims to the last place", claims_to_the_last},
};

UNIT_MAIN("message", stories)
