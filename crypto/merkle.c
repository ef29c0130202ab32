/* SPDX-License-Identifier: Apache-2.0 */
/* See merkle.h. Nodes are numbered as in a heap: 1 is the root, 2k and 2k + 1
 * are the children of k, and the leaves start at 2^depth. */
#include "crypto/merkle.h"

#include <stdlib.h>
#include <string.h>

enum {
	HASH = DIGEST_SIZE,
	HEADER = sizeof(struct message_header),
	HASHED_SIZE = 1 + 2 * HASH, /* a prefix, then a header or two nodes */
	HASHED_STRIDE = 80,
	NODES_MAX = 2 * MERKLE_LEAVES_MAX,
	LEVELS_MAX = MERKLE_DEPTH_MAX + 1,
	CLIMBS_MAX = 256, /* claims looked at together */
};
static_assert((int)HEADER == 2 * HASH, "leaves and inner nodes hash the same number of bytes");

/* The fixed part of a proof, as it travels. */
struct merkle_head {
	uint8_t sig64[SIGNATURE_SIZE];
	uint32_t index;
	uint32_t zero;
};
static_assert(sizeof(struct merkle_head) == MERKLE_HEAD_SIZE, "as in message.h");

/* A tree as its receiver knows it. */
struct tree {
	uint32_t node; /* the signer */
	uint32_t depth;
	bool valid; /* the signature is that of nodes[1], and known */
	uint8_t sig64[SIGNATURE_SIZE];
	uint8_t refused32[HASH]; /* fresh only: a root that the signature is not of */
	bool refused;
	uint64_t known[NODES_MAX / 64]; /* bit k: nodes[k] is verified */
	uint8_t nodes[NODES_MAX][HASH];
	/* Which job computes node k at this level: one hash for both its children. */
	struct {
		uint32_t level_stamp;
		uint32_t job;
	} computing[MERKLE_LEAVES_MAX];
};

/* One claim on its way from the leaf up. */
struct climb {
	const struct merkle_claim *claim;
	struct tree *tree;
	const uint8_t *path;
	uint32_t leaf;	 /* its position */
	uint32_t source; /* the job whose digest is the parent */
};

struct merkle {
	struct crypto_backend backend;
	struct crypto_counters counters;
	uint32_t cluster;
	uint32_t level_stamp;
	uint32_t kept_next; /* the next tree to be displaced */
	uint32_t fresh_count;
	struct tree *kept[MERKLE_KEPT_MAX];
	struct tree *fresh[MERKLE_FRESH_MAX];
	struct climb climbs[CLIMBS_MAX];
	uint32_t live[CLIMBS_MAX];
	struct digest_job jobs[CLIMBS_MAX];
	uint8_t hashed[CLIMBS_MAX][HASHED_STRIDE];
	uint8_t levels[LEVELS_MAX][CLIMBS_MAX][HASH]; /* sealing, a level is a tree's level */
	struct tree trees[MERKLE_KEPT_MAX + MERKLE_FRESH_MAX];
};
static_assert((int)CLIMBS_MAX >= (int)MERKLE_LEAVES_MAX, "the scratch holds a tree");

static const struct merkle_claim *climbs_take(
    struct merkle *m, const struct merkle_claim *claim, const struct merkle_claim *end);
static void climbs_run(struct merkle *m, uint32_t count);

struct merkle *
merkle_open(const struct crypto_backend *backend, uint32_t cluster)
{
	struct merkle *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->backend = *backend;
	m->cluster = cluster;
	for (uint32_t i = 0; i < MERKLE_KEPT_MAX; i++)
		m->kept[i] = &m->trees[i];
	for (uint32_t i = 0; i < MERKLE_FRESH_MAX; i++)
		m->fresh[i] = &m->trees[MERKLE_KEPT_MAX + i];
	return m;
}

void
merkle_close(struct merkle *m)
{
	free(m);
}

/* Queues the hash of `prefix` and 64 bytes in one or two parts. */
static inline void
hash_add(struct merkle *m, uint32_t at, uint8_t *output32)
{
	m->jobs[at] = (struct digest_job){m->hashed[at], HASHED_SIZE, output32};
}

static inline void
hash_add_leaf(struct merkle *m, uint32_t at, const void *header, uint8_t *output32)
{
	m->hashed[at][0] = 0x00;
	memcpy(m->hashed[at] + 1, header, HEADER);
	hash_add(m, at, output32);
}

static inline void
hash_add_inner(struct merkle *m, uint32_t at, const uint8_t *children[2], uint8_t *output32)
{
	m->hashed[at][0] = 0x01;
	memcpy(m->hashed[at] + 1, children[0], HASH);
	memcpy(m->hashed[at] + 1 + HASH, children[1], HASH);
	hash_add(m, at, output32);
}

static void
hash_run(struct merkle *m, uint32_t count)
{
	if (count > 0)
		m->backend.digest(m->backend.context, m->jobs, count);
}

/* What is signed for a root. */
static void
root_digest(const struct merkle *m, const uint8_t root32[HASH], uint32_t depth, uint8_t *output32)
{
	static const char tag[15] = "oskr root, v. 1";
	struct {
		char tag[15];
		uint8_t depth;
		uint8_t cluster[4];
		uint8_t root32[HASH];
	} text;
	static_assert(sizeof(text) == 52, "one block, and no header's size");
	memcpy(text.tag, tag, sizeof(tag));
	text.depth = (uint8_t)depth;
	memcpy(text.cluster, &m->cluster, 4);
	memcpy(text.root32, root32, HASH);
	m->backend.digest(
	    m->backend.context, &(struct digest_job){&text, sizeof(text), output32}, 1);
}

/* ---- Sealing ------------------------------------------------------------ */

static void
proof_write(const struct merkle *m, struct message_header *header, uint32_t index,
    const struct merkle_head *head)
{
	uint32_t depth = (uint32_t)(header->proof - PROOF_MERKLE);
	uint8_t *proof = (uint8_t *)header + header->size - proof_size(header->proof, 0);
	memcpy(proof, head, sizeof(*head));
	memcpy(proof + offsetof(struct merkle_head, index), &index, sizeof(index));
	proof += sizeof(*head);
	for (uint32_t level = 0; level < depth; level++)
		memcpy(proof + (size_t)level * HASH, m->levels[level][(index >> level) ^ 1], HASH);
}

void
merkle_seal(struct merkle *m, struct message_header *const *headers, uint32_t count)
{
	check(count > 0 && count <= MERKLE_LEAVES_MAX);
	uint32_t depth = count == 1 ? 0 : 32 - (uint32_t)__builtin_clz(count - 1);
	uint32_t surplus = proof_size(PROOF_MERKLE + MERKLE_DEPTH_MAX, 0) -
			   proof_size((uint8_t)(PROOF_MERKLE + depth), 0);
	for (uint32_t i = 0; i < count; i++) {
		check(headers[i]->size >= HEADER + proof_size(PROOF_MERKLE + MERKLE_DEPTH_MAX, 0));
		headers[i]->size -= surplus;
		headers[i]->proof = (uint8_t)(PROOF_MERKLE + depth);
		hash_add_leaf(m, i, headers[i], m->levels[0][i]);
	}
	hash_run(m, count);
	memset(m->levels[0][count], 0, ((1u << depth) - count) * (size_t)HASH);
	for (uint32_t level = 0; level < depth; level++) {
		uint32_t parents = 1u << (depth - level - 1);
		for (uint32_t i = 0; i < parents; i++) {
			const uint8_t *children[2] = {
			    m->levels[level][2 * i], m->levels[level][2 * i + 1]};
			hash_add_inner(m, i, children, m->levels[level + 1][i]);
		}
		hash_run(m, parents);
	}
	struct merkle_head head = {.zero = 0};
	uint8_t signed32[HASH];
	root_digest(m, m->levels[depth][0], depth, signed32);
	uint64_t begin = crypto_cycles();
	m->backend.sign(m->backend.context, signed32, head.sig64);
	m->counters.sign_cycles += crypto_cycles() - begin;
	m->counters.signatures++;
	for (uint32_t i = 0; i < count; i++)
		proof_write(m, headers[i], i, &head);
}

const struct crypto_counters *
merkle_counters(const struct merkle *m)
{
	return &m->counters;
}

/* ---- Proving ------------------------------------------------------------ */

void
merkle_prove(struct merkle *m, const struct merkle_claim *claims, uint32_t count)
{
	const struct merkle_claim *end = claims + count;
	while (claims < end)
		claims = climbs_take(m, claims, end);
}

static bool
tree_is(const struct tree *t, const struct merkle_claim *claim)
{
	return t->node == claim->node && t->depth == claim->claim->depth &&
	       memcmp(t->sig64, claim->claim->proof, SIGNATURE_SIZE) == 0;
}

/* The claim's tree, a new one where it has not been seen, NULL where there is no room. */
static struct tree *
tree_find(struct merkle *m, const struct merkle_claim *claim)
{
	for (uint32_t i = 0; i < MERKLE_KEPT_MAX; i++) {
		if (m->kept[i]->valid && tree_is(m->kept[i], claim))
			return m->kept[i];
	}
	for (uint32_t i = 0; i < m->fresh_count; i++) {
		if (tree_is(m->fresh[i], claim))
			return m->fresh[i];
	}
	if (m->fresh_count == MERKLE_FRESH_MAX)
		return NULL;
	struct tree *t = m->fresh[m->fresh_count++];
	t->node = claim->node;
	t->depth = claim->claim->depth;
	t->valid = false;
	t->refused = false;
	memcpy(t->sig64, claim->claim->proof, SIGNATURE_SIZE);
	memset(t->known, 0, sizeof(t->known));
	return t;
}

/* Takes as many claims as fit one pass, decides them, returns the first left. */
static const struct merkle_claim *
climbs_take(struct merkle *m, const struct merkle_claim *claim, const struct merkle_claim *end)
{
	uint32_t count = 0;
	m->fresh_count = 0;
	for (; claim < end && count < CLIMBS_MAX; claim++) {
		struct merkle_head head;
		*claim->holds = false;
		if (claim->claim->size != HEADER || claim->claim->depth > MERKLE_DEPTH_MAX)
			continue;
		memcpy(&head, claim->claim->proof, sizeof(head));
		uint32_t leaves = 1u << claim->claim->depth;
		if (head.index >= leaves || head.zero != 0)
			continue;
		struct tree *tree = tree_find(m, claim);
		if (tree == NULL)
			break;
		m->climbs[count++] = (struct climb){
		    .claim = claim,
		    .tree = tree,
		    .path = (const uint8_t *)claim->claim->proof + sizeof(head),
		    .leaf = leaves + head.index,
		};
	}
	climbs_run(m, count);
	return claim;
}

static inline bool
node_known(const struct tree *t, uint32_t position)
{
	return t->known[position / 64] >> position % 64 & 1;
}

static inline void
node_learn(struct tree *t, uint32_t position, const uint8_t node32[HASH])
{
	t->known[position / 64] |= (uint64_t)1 << position % 64;
	memcpy(t->nodes[position], node32, HASH);
}

/* The climb has met verified ground at `level`: so is all it passed. */
static void
climb_accept(struct merkle *m, uint32_t index, uint32_t level)
{
	struct climb *c = &m->climbs[index];
	*c->claim->holds = true;
	for (uint32_t l = 0; l < level; l++) {
		uint32_t position = c->leaf >> l;
		node_learn(c->tree, position, m->levels[l][index]);
		node_learn(c->tree, position ^ 1, c->path + (size_t)l * HASH);
	}
}

/* The signature decides about a root; a tree that passes displaces the oldest. */
static bool
root_accept(struct merkle *m, struct tree *t, const uint8_t root32[HASH])
{
	uint8_t signed32[HASH];
	check(!t->valid);
	if (t->refused && memcmp(t->refused32, root32, HASH) == 0)
		return false;
	root_digest(m, root32, t->depth, signed32);
	m->counters.verifications++;
	uint64_t begin = crypto_cycles();
	bool holds = m->backend.verify(m->backend.context, t->node, signed32, t->sig64);
	m->counters.verify_cycles += crypto_cycles() - begin;
	if (!holds) {
		t->refused = true;
		memcpy(t->refused32, root32, HASH);
		return false;
	}
	t->valid = true;
	node_learn(t, 1, root32);
	return true;
}

/*
 * Is the rest of the path, from `level` up, that of the verified tree? Above a
 * verified node all ancestors and their siblings are verified too, so a proof
 * is accepted here exactly where it would be without this memory.
 */
static bool
path_known(const struct climb *c, uint32_t level)
{
	for (uint32_t l = level; l < c->tree->depth; l++) {
		uint32_t sibling = (c->leaf >> l) ^ 1;
		debug_check(node_known(c->tree, sibling));
		if (memcmp(c->tree->nodes[sibling], c->path + (size_t)l * HASH, HASH) != 0)
			return false;
	}
	return true;
}

/*
 * Ends the climb where its node is known, or is the root. What differs from the
 * verified nodes is refused at once: the signature is known to be another tree's.
 */
static bool
climb_ends(struct merkle *m, uint32_t index, uint32_t level)
{
	const struct climb *c = &m->climbs[index];
	uint32_t position = c->leaf >> level;
	const uint8_t *node32 = m->levels[level][index];
	if (node_known(c->tree, position)) {
		if (memcmp(c->tree->nodes[position], node32, HASH) == 0 && path_known(c, level))
			climb_accept(m, index, level);
		return true;
	}
	if (position > 1)
		return false;
	if (root_accept(m, c->tree, node32))
		climb_accept(m, index, level);
	return true;
}

/* Queues the parent's hash, unless another climb has queued the same: returns the new count. */
static uint32_t
climb_up(struct merkle *m, uint32_t index, uint32_t level, uint32_t jobs_count)
{
	struct climb *c = &m->climbs[index];
	uint32_t position = c->leaf >> level;
	const uint8_t *own = m->levels[level][index];
	const uint8_t *sibling = c->path + (size_t)level * HASH;
	const uint8_t *children[2] = {own, sibling};
	if (position & 1) {
		children[0] = sibling;
		children[1] = own;
	}
	uint32_t parent = position >> 1;
	struct tree *t = c->tree;
	if (t->computing[parent].level_stamp == m->level_stamp &&
	    t->computing[parent].job < jobs_count) {
		uint32_t job = t->computing[parent].job;
		const uint8_t *hashed = m->hashed[job];
		if (memcmp(hashed + 1, children[0], HASH) == 0 &&
		    memcmp(hashed + 1 + HASH, children[1], HASH) == 0) {
			c->source = job;
			return jobs_count;
		}
	}
	t->computing[parent].level_stamp = m->level_stamp;
	t->computing[parent].job = jobs_count;
	c->source = jobs_count;
	hash_add_inner(m, jobs_count, children, m->levels[level + 1][index]);
	return jobs_count + 1;
}

/* Trees whose signature held stay, in the place of the oldest ones. */
static void
fresh_keep(struct merkle *m)
{
	for (uint32_t i = 0; i < m->fresh_count; i++) {
		if (!m->fresh[i]->valid)
			continue;
		struct tree *displaced = m->kept[m->kept_next];
		m->kept[m->kept_next] = m->fresh[i];
		m->fresh[i] = displaced;
		m->kept_next = (m->kept_next + 1) % MERKLE_KEPT_MAX;
	}
}

static void
climbs_run(struct merkle *m, uint32_t count)
{
	uint32_t live_count = count;
	for (uint32_t i = 0; i < count; i++) {
		m->live[i] = i;
		hash_add_leaf(m, i, m->climbs[i].claim->claim->data, m->levels[0][i]);
	}
	hash_run(m, count);
	for (uint32_t level = 0; live_count > 0; level++) {
		uint32_t left = 0;
		uint32_t jobs_count = 0;
		m->level_stamp++;
		for (uint32_t i = 0; i < live_count; i++) {
			uint32_t index = m->live[i];
			if (!climb_ends(m, index, level))
				m->live[left++] = index;
		}
		for (uint32_t i = 0; i < left; i++)
			jobs_count = climb_up(m, m->live[i], level, jobs_count);
		hash_run(m, jobs_count);
		for (uint32_t i = 0; i < left; i++) {
			uint32_t index = m->live[i];
			uint8_t *own = m->levels[level + 1][index];
			const uint8_t *computed = m->jobs[m->climbs[index].source].digest32;
			if (computed != own)
				memcpy(own, computed, HASH);
		}
		live_count = left;
	}
	fresh_keep(m);
}
