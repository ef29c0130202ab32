/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the keys: a B+tree of references to records, in nodes of 1 KiB,
 * which are pages of the replicated state. An inner entry names the least record
 * below its child, so keys are not copied; the first 8 bytes of each key lie in
 * the node, so most comparisons touch no record. Nodes are at least a quarter
 * full (but the root): no sequence of deletions leaves a hollow tree behind.
 * Owned by one executor.
 */
#ifndef OSKR_ENGINE_KV_TREE_H
#define OSKR_ENGINE_KV_TREE_H

#include "engine/kv_record.h"

enum {
	KV_NODE_ORDER = 4, /* a block of 1 KiB */
	KV_NODE_ENTRIES = 63,
	KV_NODE_ENTRIES_MIN = KV_NODE_ENTRIES / 4,
	KV_TREE_LEVELS_MAX = 10, /* 2^32 records in nodes a quarter full */
};

struct kv_node {
	uint32_t count;
	uint32_t next; /* leaf: the leaf to the right, or 0 */
	uint64_t reserved;
	uint64_t heads[KV_NODE_ENTRIES]; /* of the records' keys, see struct kv_key */
	uint32_t records[KV_NODE_ENTRIES];
	uint32_t children[KV_NODE_ENTRIES]; /* inner nodes: else zero */
};
static_assert(sizeof(struct kv_node) == STATE_PAGE_SIZE, "a node is a page");

/* In the region. */
struct kv_tree_header {
	uint64_t count;	 /* records */
	uint32_t root;	 /* 0: none */
	uint32_t levels; /* of nodes; the leaves are level 0 */
};

struct kv_tree {
	struct kv_heap *heap;
	struct kv_tree_header *header;
};

/* A place among the records. Void after the next change. */
struct kv_cursor {
	uint32_t node; /* 0: past the end */
	uint32_t index;
};

/* The record with this key, or 0. */
uint32_t kv_tree_find(const struct kv_tree *tree, const struct kv_key *key);

/* Adds a record, whose key must be absent. False: no space, nothing has changed. */
bool kv_tree_insert(struct kv_tree *tree, uint32_t record);

/* Takes a record out; its key must be present. */
void kv_tree_remove(struct kv_tree *tree, const struct kv_key *key);

/* The record with this key, which must be present, has moved. */
void kv_tree_replace(struct kv_tree *tree, const struct kv_key *key, uint32_t record);

/* The first record whose key is not below `key`. */
struct kv_cursor kv_tree_seek(const struct kv_tree *tree, const struct kv_key *key);

/* The record at the cursor, which moves on; 0: past the end. */
uint32_t kv_tree_next(const struct kv_tree *tree, struct kv_cursor *cursor);

/* Checks every invariant: for tests. */
void kv_tree_check(const struct kv_tree *tree);

#endif
