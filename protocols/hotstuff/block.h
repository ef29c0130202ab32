/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks and the tree they form. A block is the body of its PROPOSAL, named by
 * its SHA-256; its parent is the block that its QC certifies, so the tree needs
 * no other links. Here is what is a well-formed block, and where blocks lie: a
 * fixed number of places, some for blocks with a batch, some for empty ones.
 * What a block means for locks and commits is chain.c's. Owned by the replica's
 * machine; nothing is allocated after tree_init().
 *
 * "Each node is given a parent link [...] A branch led by a given node is the
 * path from the node all the way to the tree root" (PODC'19, section 3).
 */
#ifndef OSKR_PROTOCOLS_HOTSTUFF_BLOCK_H
#define OSKR_PROTOCOLS_HOTSTUFF_BLOCK_H

#include "protocols/hotstuff/certificate.h"

/* The body of a PROPOSAL, read: a view of it. */
struct proposal {
	struct block_head head;
	struct qc justify;
	struct tc tc; /* where head.has_tc */
	const uint8_t *batch;
	uint32_t batch_size;
};

/* Bytes that a body has beside its batch, at most. */
uint32_t block_head_size_max(uint32_t quorum);

/*
 * Reads a body. False: it is no block that a correct leader makes, whatever it is
 * about (sizes, "parent and justify are consistent", a proof that the view was
 * entered). Signatures are not proven, requests not looked at.
 */
bool block_read(const struct member *me, const struct message *m, struct proposal *p);

/* A block that has a place. */
struct block {
	uint8_t digest32[32];
	struct qc_head justify; /* of its parent */
	uint64_t view;
	uint64_t height;
	uint64_t tc_high;    /* the highest QC that its TC's signers had; 0: it has no TC */
	uint64_t arrived_ns; /* as a proposal, for figures; 0: it was fetched */
	uint32_t body_size;
	uint32_t batch_at;   /* offset in the body */
	uint32_t batch_size; /* bytes; 0: an empty block */
	uint32_t next;	     /* 1 + place, in its hash chain or the list of free places */
	bool used;
	bool pushed;	/* it waits for others to stand on it: see chain_count_filled() */
	bool certified; /* a valid QC for it is known */
	bool vouched;	/* proposed to this replica, with requests that are authentic here */
	bool committed;
	bool unproven; /* its certificates have not been looked at: see spare.c */
	bool marked;   /* scratch of tree_make_room() */
};

struct tree {
	struct block *blocks;
	uint32_t *heads; /* hash table: 1 + place */
	uint8_t *bodies;
	uint32_t heads_mask;
	uint32_t full_count; /* places for any block, the first ones */
	uint32_t places_count;
	uint32_t full_free; /* 1 + place; 0: none is free */
	uint32_t light_free;
	uint32_t used_count;
	size_t full_size; /* bytes of a place */
	size_t light_size;
};

/* How many places: `full` for any block, `light` more for blocks without a batch. */
struct tree_places {
	uint32_t full;
	uint32_t light;
};

/* Bytes at `memory` of tree_init(), a multiple of 64. */
size_t tree_size(const struct protocol_config *config, const struct tree_places *places);

/* `memory` is zeroed, aligned to 64, and stays with *t. */
void tree_init(struct tree *t, const struct protocol_config *config,
    const struct tree_places *places, void *memory);

struct block *tree_find(const struct tree *t, const uint8_t *digest32);

/* NULL where it is not here: pruned, never seen, or the genesis block. */
static inline struct block *
tree_parent(const struct tree *t, const struct block *b)
{
	return tree_find(t, b->justify.digest32);
}

/* Keeps a copy of a block that is not here yet. NULL: there is no place for it. */
struct block *tree_add(struct tree *t, const struct message *m, const struct proposal *p);

void tree_remove(struct tree *t, struct block *b);

/* Drops every block up to this height. */
void tree_prune(struct tree *t, uint64_t height);

/* What tree_make_room() must not drop. */
struct tree_keep {
	uint64_t executed;		/* what is committed and above this height stays; */
	const struct qc_head *branches; /* blocks of these branches above it, too */
	uint32_t branches_count;
};

/*
 * Makes a place free for a block (with a batch or without): what has been
 * executed goes first, the lowest of it, then what is on no branch of *keep, of
 * the lowest view. False: there is nothing that may go.
 */
bool tree_make_room(struct tree *t, bool batch, const struct tree_keep *keep);

static inline uint8_t *
tree_body(const struct tree *t, const struct block *b)
{
	size_t place = (size_t)(b - t->blocks);
	if (place < t->full_count)
		return t->bodies + place * t->full_size;
	return t->bodies + t->full_count * t->full_size + (place - t->full_count) * t->light_size;
}

/* The batch of a block; aligned to 8. */
static inline const uint8_t *
tree_batch(const struct tree *t, const struct block *b)
{
	return tree_body(t, b) + b->batch_at;
}

/* Every invariant, for machine.audit. */
void tree_audit(const struct tree *t);

#endif
