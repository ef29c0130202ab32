/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered index. See kv_tree.h. The executor's core. */
#include "engine/kv_tree.h"

#include "engine/check.h"

static_assert(KV_NODE_ENTRIES_MIN >= 2, "no node but the root can become empty");

/* A step of the way down: the entry taken, or in a leaf the place looked for. */
struct step {
	uint32_t node;
	uint32_t index;
};

struct path {
	struct step steps[KV_TREE_LEVELS_MAX]; /* by level, leaves first */
	uint32_t found;			       /* the record with the key, or 0 */
};

struct entry {
	uint64_t head;
	uint32_t record;
	uint32_t child;
};

static struct kv_node *
node_at(const struct kv_tree *tree, uint32_t ref)
{
	return kv_heap_at(tree->heap, ref);
}

static struct kv_node *
node_modify(struct kv_tree *tree, uint32_t ref)
{
	struct kv_node *node = node_at(tree, ref);
	state_modify(tree->heap->state, node, sizeof(*node));
	return node;
}

static int
key_compare(const struct kv_key *a, const struct kv_key *b)
{
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	uint32_t size = a->size < b->size ? a->size : b->size;
	int order = memcmp(a->bytes, b->bytes, size);
	if (order != 0)
		return order;
	return a->size == b->size ? 0 : a->size < b->size ? -1 : 1;
}

/* How the key compares to an entry's: the record is looked at when the heads are equal. */
static int
entry_compare(const struct kv_tree *tree, const struct kv_key *key, const struct kv_node *node,
    uint32_t index)
{
	if (key->head != node->heads[index])
		return key->head < node->heads[index] ? -1 : 1;
	struct kv_key other = kv_record_key(tree->heap, node->records[index]);
	return key_compare(key, &other);
}

/* Number of the node's entries that are not above the key. */
static uint32_t
node_rank(const struct kv_tree *tree, const struct kv_node *node, const struct kv_key *key)
{
	uint32_t low = 0;
	uint32_t high = node->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (entry_compare(tree, key, node, middle) >= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* In the leaf the step's index is the key's, or where it would be inserted. */
static void
descend(const struct kv_tree *tree, const struct kv_key *key, struct path *path)
{
	uint32_t ref = tree->header->root;
	path->found = 0;
	for (uint32_t level = tree->header->levels; level-- > 0;) {
		const struct kv_node *node = node_at(tree, ref);
		uint32_t rank = node_rank(tree, node, key);
		uint32_t index = rank > 0 ? rank - 1 : 0;
		path->steps[level] = (struct step){.node = ref, .index = index};
		if (level > 0) {
			ref = node->children[index];
			continue;
		}
		if (rank > 0 && entry_compare(tree, key, node, index) == 0)
			path->found = node->records[index];
		else
			path->steps[0].index = rank;
	}
}

uint32_t
kv_tree_find(const struct kv_tree *tree, const struct kv_key *key)
{
	struct path path;
	descend(tree, key, &path);
	return path.found;
}

/* The least record of the leaf has changed: say so above it. */
static void
path_set_least(struct kv_tree *tree, const struct path *path, uint64_t head, uint32_t record)
{
	for (uint32_t level = 1; level < tree->header->levels; level++) {
		struct kv_node *node = node_modify(tree, path->steps[level].node);
		uint32_t index = path->steps[level].index;
		node->heads[index] = head;
		node->records[index] = record;
		if (index != 0)
			break;
	}
}

/* Moves entries of one node to another (or the same); both are marked for writing. */
static void
entries_move(struct kv_node *to, uint32_t to_index, const struct kv_node *from, uint32_t from_index,
    uint32_t count)
{
	memmove(&to->heads[to_index], &from->heads[from_index], count * sizeof(uint64_t));
	memmove(&to->records[to_index], &from->records[from_index], count * sizeof(uint32_t));
	memmove(&to->children[to_index], &from->children[from_index], count * sizeof(uint32_t));
}

static void
node_insert(struct kv_node *node, uint32_t index, const struct entry *entry)
{
	check(node->count < KV_NODE_ENTRIES && index <= node->count);
	entries_move(node, index + 1, node, index, node->count - index);
	node->heads[index] = entry->head;
	node->records[index] = entry->record;
	node->children[index] = entry->child;
	node->count++;
}

static void
node_remove(struct kv_node *node, uint32_t index)
{
	check(index < node->count);
	entries_move(node, index, node, index + 1, node->count - index - 1);
	node->count--;
}

/* The entry by which a parent names this node. */
static struct entry
entry_of(const struct kv_node *node, uint32_t ref)
{
	return (struct entry){.head = node->heads[0], .record = node->records[0], .child = ref};
}

static void
node_init(struct kv_tree *tree, uint32_t ref)
{
	memset(node_modify(tree, ref), 0, sizeof(struct kv_node));
}

/* Allocates the nodes that splits along the path will take: all, or none and false. */
static bool
nodes_reserve(struct kv_tree *tree, const struct path *path, uint32_t *nodes)
{
	uint32_t levels = tree->header->levels;
	uint32_t wanted = 0;
	while (wanted < levels && node_at(tree, path->steps[wanted].node)->count == KV_NODE_ENTRIES)
		wanted++;
	/* All full, or no node at all: a new root too. */
	wanted += wanted == levels ? 1 : 0;
	check(wanted <= KV_TREE_LEVELS_MAX);
	for (uint32_t i = 0; i < wanted; i++) {
		nodes[i] = kv_heap_alloc(tree->heap, KV_NODE_ORDER);
		if (nodes[i] != 0)
			continue;
		while (i-- > 0)
			kv_heap_free(tree->heap, nodes[i], KV_NODE_ORDER);
		return false;
	}
	return true;
}

/* Splits a full node and inserts the entry; returns the entry of the new right half. */
static struct entry
node_split(
    struct kv_tree *tree, const struct step *step, uint32_t right_ref, const struct entry *entry)
{
	struct kv_node *left = node_modify(tree, step->node);
	node_init(tree, right_ref);
	struct kv_node *right = node_at(tree, right_ref);
	uint32_t half = KV_NODE_ENTRIES / 2;
	right->count = KV_NODE_ENTRIES - half;
	entries_move(right, 0, left, half, right->count);
	left->count = half;
	right->next = left->next;
	left->next = right_ref;
	if (step->index <= half)
		node_insert(left, step->index, entry);
	else
		node_insert(right, step->index - half, entry);
	return entry_of(right, right_ref);
}

bool
kv_tree_insert(struct kv_tree *tree, uint32_t record)
{
	struct kv_key key = kv_record_key(tree->heap, record);
	uint32_t nodes[KV_TREE_LEVELS_MAX];
	uint32_t nodes_used = 0;
	struct path path;
	descend(tree, &key, &path);
	check(path.found == 0);
	if (!nodes_reserve(tree, &path, nodes))
		return false;
	struct kv_tree_header *header = tree->header;
	state_modify(tree->heap->state, header, sizeof(*header));
	header->count++;
	struct entry entry = {.head = key.head, .record = record};
	if (header->levels > 0 && path.steps[0].index == 0)
		path_set_least(tree, &path, key.head, record);
	for (uint32_t level = 0; level < header->levels; level++) {
		struct step *step = &path.steps[level];
		step->index += level > 0 ? 1 : 0; /* right of the node that was split */
		if (node_at(tree, step->node)->count < KV_NODE_ENTRIES) {
			node_insert(node_modify(tree, step->node), step->index, &entry);
			return true;
		}
		entry = node_split(tree, step, nodes[nodes_used++], &entry);
	}
	uint32_t root_ref = nodes[nodes_used];
	node_init(tree, root_ref);
	struct kv_node *root = node_at(tree, root_ref);
	if (header->levels > 0) {
		struct entry old = entry_of(node_at(tree, header->root), header->root);
		node_insert(root, 0, &old);
	}
	node_insert(root, root->count, &entry);
	header->root = root_ref;
	header->levels++;
	check(header->levels <= KV_TREE_LEVELS_MAX);
	return true;
}

/*
 * Merges child `index` of the parent with the child to its right, or shares
 * their entries evenly where one node does not hold them all.
 */
static void
siblings_level(struct kv_tree *tree, uint32_t parent_ref, uint32_t index)
{
	struct kv_node *parent = node_modify(tree, parent_ref);
	uint32_t right_ref = parent->children[index + 1];
	struct kv_node *left = node_modify(tree, parent->children[index]);
	struct kv_node *right = node_modify(tree, right_ref);
	uint32_t sum = left->count + right->count;
	if (sum <= KV_NODE_ENTRIES) {
		entries_move(left, left->count, right, 0, right->count);
		left->count = sum;
		left->next = right->next;
		kv_heap_free(tree->heap, right_ref, KV_NODE_ORDER);
		node_remove(parent, index + 1);
		return;
	}
	uint32_t half = sum / 2;
	if (left->count < half) {
		uint32_t moved = half - left->count;
		entries_move(left, left->count, right, 0, moved);
		entries_move(right, 0, right, moved, right->count - moved);
	} else {
		uint32_t moved = left->count - half;
		entries_move(right, moved, right, 0, right->count);
		entries_move(right, 0, left, half, moved);
	}
	left->count = half;
	right->count = sum - half;
	parent->heads[index + 1] = right->heads[0];
	parent->records[index + 1] = right->records[0];
}

/* Takes roots with a single child, and an empty root leaf, away. */
static void
root_shrink(struct kv_tree *tree)
{
	struct kv_tree_header *header = tree->header;
	while (header->levels > 0) {
		uint32_t ref = header->root;
		const struct kv_node *root = node_at(tree, ref);
		if (root->count > (header->levels > 1 ? 1u : 0u))
			break;
		header->root = header->levels > 1 ? root->children[0] : 0;
		header->levels--;
		kv_heap_free(tree->heap, ref, KV_NODE_ORDER);
	}
}

void
kv_tree_remove(struct kv_tree *tree, const struct kv_key *key)
{
	struct path path;
	descend(tree, key, &path);
	check(path.found != 0);
	struct kv_tree_header *header = tree->header;
	state_modify(tree->heap->state, header, sizeof(*header));
	header->count--;
	struct kv_node *leaf = node_modify(tree, path.steps[0].node);
	node_remove(leaf, path.steps[0].index);
	if (path.steps[0].index == 0 && leaf->count > 0)
		path_set_least(tree, &path, leaf->heads[0], leaf->records[0]);
	for (uint32_t level = 0; level + 1 < header->levels; level++) {
		if (node_at(tree, path.steps[level].node)->count >= KV_NODE_ENTRIES_MIN)
			break;
		const struct step *parent = &path.steps[level + 1];
		siblings_level(tree, parent->node, parent->index > 0 ? parent->index - 1 : 0);
	}
	root_shrink(tree);
}

void
kv_tree_replace(struct kv_tree *tree, const struct kv_key *key, uint32_t record)
{
	struct path path;
	descend(tree, key, &path);
	check(path.found != 0);
	uint32_t index = path.steps[0].index;
	node_modify(tree, path.steps[0].node)->records[index] = record;
	if (index == 0)
		path_set_least(tree, &path, key->head, record);
}

struct kv_cursor
kv_tree_seek(const struct kv_tree *tree, const struct kv_key *key)
{
	struct path path;
	if (tree->header->levels == 0)
		return (struct kv_cursor){0};
	descend(tree, key, &path);
	return (struct kv_cursor){.node = path.steps[0].node, .index = path.steps[0].index};
}

uint32_t
kv_tree_next(const struct kv_tree *tree, struct kv_cursor *cursor)
{
	while (cursor->node != 0) {
		const struct kv_node *node = node_at(tree, cursor->node);
		if (cursor->index < node->count)
			return node->records[cursor->index++];
		*cursor = (struct kv_cursor){.node = node->next};
	}
	return 0;
}

/* ---- invariants -------------------------------------------------------- */

/* Checks the node and what is below it; returns the number of records there. */
static uint64_t
check_node(const struct kv_tree *tree, uint32_t ref, uint32_t level)
{
	const struct kv_node *node = node_at(tree, ref);
	uint64_t count = 0;
	check(node->count <= KV_NODE_ENTRIES);
	check(ref == tree->header->root || node->count >= KV_NODE_ENTRIES_MIN);
	for (uint32_t i = 0; i < node->count; i++) {
		struct kv_key key = kv_record_key(tree->heap, node->records[i]);
		check(key.head == node->heads[i]);
		if (i > 0)
			check(entry_compare(tree, &key, node, i - 1) > 0);
		if (level == 0) {
			count++;
			continue;
		}
		check(node_at(tree, node->children[i])->records[0] == node->records[i]);
		count += check_node(tree, node->children[i], level - 1);
	}
	return count;
}

void
kv_tree_check(const struct kv_tree *tree)
{
	const struct kv_tree_header *header = tree->header;
	check((header->levels == 0) == (header->root == 0));
	uint64_t count =
	    header->levels > 0 ? check_node(tree, header->root, header->levels - 1) : 0;
	check(count == header->count);
	uint64_t chained = 0;
	uint8_t least = 0;
	struct kv_key key = kv_key(&least, 1);
	struct kv_cursor cursor = kv_tree_seek(tree, &key);
	while (kv_tree_next(tree, &cursor) != 0)
		chained++;
	check(chained == count);
}
