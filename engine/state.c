/* SPDX-License-Identifier: Apache-2.0 */
/* Pages, their digest tree, their undo log. See state.h. The executor's core. */
#include "engine/state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/check.h"

enum {
	HASH_STRIDE = 1088, /* bytes from one prefixed block to the next: cache lines */
	HASH_INPUT_SIZE = STATE_HASH_PREFIX + STATE_PAGE_SIZE,
	CURSOR_LEVEL_SHIFT = 40,
};
static_assert(HASH_INPUT_SIZE <= HASH_STRIDE, "a block and its prefix fit");
static_assert(STATE_FANOUT == 32, "index / STATE_FANOUT is the parent's index");

#define STATE_SIZE_MAX (1ull << 40) /* bytes: block indexes are 32 bits */
static const uint32_t hash_tag = 0x53544b4f;
static const uint8_t zero_block[STATE_PAGE_SIZE];

/* Where the parts of the one mapping begin, in bytes. */
struct layout {
	uint64_t newest;
	uint64_t stale;
	uint64_t undo_blocks;
	uint64_t undo;
	uint64_t marks;
	uint64_t hash_input;
	uint64_t hash_output;
	uint64_t size;
};

static bool options_valid(const struct state_options *options);
static void shape(struct state *state, const struct state_options *options);
static struct layout lay_out(const struct state *state);
static void touch(struct state *state, uint64_t number);
static void mark_push(struct state *state, uint64_t seq, bool checkpoint);
static void mark_drop_oldest(struct state *state);
static void marks_forget(struct state *state);
static struct state_mark *mark_at(const struct state *state, uint32_t index);
static const struct state_mark *checkpoint_find(const struct state *state, uint64_t seq);
static void rehash(struct state *state);
static void digest_of(
    struct state *state, const struct state_block *block, const uint8_t *bytes, uint8_t *digest32);

static inline uint64_t
block_number(const struct state *state, uint32_t level, uint32_t index)
{
	return state->blocks_first[level] + index;
}

static inline uint8_t *
block_bytes(const struct state *state, uint64_t number)
{
	return state->base + (number << STATE_PAGE_SHIFT);
}

static inline uint8_t *
undo_bytes(const struct state *state, uint64_t entry)
{
	return state->undo_blocks + ((entry % state->undo_count) << STATE_PAGE_SHIFT);
}

static inline uint64_t *
stale_word(const struct state *state, uint32_t level, uint32_t index)
{
	return &state->stale[state->stale_first[level] + (index >> 6)];
}

static inline bool
stale_test(const struct state *state, uint32_t level, uint32_t index)
{
	return (*stale_word(state, level, index) >> (index & 63) & 1) != 0;
}

static inline void
stale_set(struct state *state, uint32_t level, uint32_t index)
{
	*stale_word(state, level, index) |= 1ull << (index & 63);
}

static inline bool
is_top(const struct state *state, uint32_t level)
{
	return level + 1 == state->levels;
}

/* The digest that the block above (or the root) holds of this block. */
static inline uint8_t *
digest_above(struct state *state, uint32_t level, uint32_t index)
{
	if (is_top(state, level))
		return state->target32;
	uint64_t parent = block_number(state, level + 1, index / STATE_FANOUT);
	return block_bytes(state, parent) + (size_t)(index % STATE_FANOUT) * DIGEST_SIZE;
}

uint64_t
state_memory_size(const struct state_options *options)
{
	struct state state = {0};
	if (!options_valid(options))
		return 0;
	shape(&state, options);
	return lay_out(&state).size;
}

int
state_open(struct state *state, const struct state_options *options)
{
	memset(state, 0, sizeof(*state));
	if (!options_valid(options) || options->digester.burst == NULL)
		return -EINVAL;
	shape(state, options);
	struct layout layout = lay_out(state);
	uint8_t *memory = mmap(NULL, layout.size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* Advice only: without huge pages everything works, with more TLB misses. */
	if (options->huge_pages)
		(void)madvise(memory, layout.size, MADV_HUGEPAGE);
	if (options->populate)
		(void)madvise(memory + layout.undo_blocks, layout.marks - layout.undo_blocks,
		    MADV_POPULATE_WRITE);
	state->memory = memory;
	state->memory_size = layout.size;
	state->base = memory;
	state->newest = (uint64_t *)(void *)(memory + layout.newest);
	state->stale = (uint64_t *)(void *)(memory + layout.stale);
	state->undo_blocks = memory + layout.undo_blocks;
	state->undo = (struct state_undo *)(void *)(memory + layout.undo);
	state->marks = (struct state_mark *)(void *)(memory + layout.marks);
	state->hash_input = memory + layout.hash_input;
	state->hash_output = memory + layout.hash_output;
	/* Entry 0 means "never": newest[] is zero and below the first interval. */
	state->head = state->tail = state->interval = 1;
	/* The root of an untouched region is not known yet. */
	stale_set(state, state->levels - 1, 0);
	return 0;
}

void
state_close(struct state *state)
{
	if (state->memory != NULL)
		check(munmap(state->memory, state->memory_size) == 0);
	memset(state, 0, sizeof(*state));
}

void *
state_reserve(struct state *state, uint64_t size, uint64_t alignment)
{
	check(alignment != 0 && (alignment & (alignment - 1)) == 0 && alignment <= 4096);
	uint64_t at = (state->reserved + alignment - 1) & ~(alignment - 1);
	if (at > state->size || size > state->size - at)
		return NULL;
	state->reserved = at + size;
	return state->base + at;
}

void
state_modify_pages(struct state *state, uint64_t first, uint64_t last)
{
	check(first <= last);
	check(last < state->blocks_count[0]);
	check(!state->transferring);
	for (uint64_t page = first; page <= last; page++) {
		if (state->newest[page] >= state->interval)
			continue;
		touch(state, page);
		stale_set(state, 0, (uint32_t)page);
		state->statistics.pages_dirtied++;
	}
}

void
state_mark(struct state *state, uint64_t seq)
{
	check(!state->transferring);
	if (state->undo_count != 0)
		mark_push(state, seq, false);
}

void
state_checkpoint(struct state *state, uint64_t seq, uint8_t *root32)
{
	check(!state->transferring);
	rehash(state);
	memcpy(root32, state->target32, DIGEST_SIZE);
	if (state->undo_count != 0)
		mark_push(state, seq, true);
	/* All pages are clean: the next write to each must set its stale bit. */
	state->interval = state->head;
}

/*
 * Restores the copies from the newest back. A restored block may differ from
 * the digest above it, so it is stale. A restored tree block says what its
 * children were at an earlier checkpoint: those that it now describes wrongly
 * are stale too, though they may not be restored themselves.
 */
static void
undo_newest(struct state *state)
{
	uint64_t entry = state->head - 1;
	const struct state_undo *undo = &state->undo[entry % state->undo_count];
	uint64_t number = undo->block;
	uint32_t level = 0;
	while (!is_top(state, level) && number >= state->blocks_first[level + 1])
		level++;
	uint32_t index = (uint32_t)(number - state->blocks_first[level]);
	uint8_t *now = block_bytes(state, number);
	const uint8_t *then = undo_bytes(state, entry);
	for (uint32_t i = 0; level > 0 && i < STATE_FANOUT; i++) {
		if (memcmp(now + i * DIGEST_SIZE, then + i * DIGEST_SIZE, DIGEST_SIZE) != 0)
			stale_set(state, level - 1, index * STATE_FANOUT + i);
	}
	memcpy(now, then, STATE_PAGE_SIZE);
	stale_set(state, level, index);
	state->newest[number] = undo->older;
	state->head = entry;
	state->statistics.blocks_undone++;
}

bool
state_rollback(struct state *state, uint64_t seq)
{
	check(!state->transferring);
	uint32_t count = state->marks_count;
	while (count > 0 && mark_at(state, count - 1)->seq != seq)
		count--;
	if (count == 0)
		return false;
	uint64_t start = mark_at(state, count - 1)->start;
	check(start >= state->tail);
	while (state->head > start)
		undo_newest(state);
	state->marks_count = count;
	state->interval = start;
	state->recording = true;
	state->statistics.rollbacks++;
	return true;
}

void
state_release(struct state *state, uint64_t seq)
{
	while (state->marks_count > 0 && mark_at(state, 0)->seq < seq)
		mark_drop_oldest(state);
}

bool
state_root(const struct state *state, uint64_t seq, uint8_t *root32)
{
	const struct state_mark *mark = checkpoint_find(state, seq);
	if (mark == NULL)
		return false;
	memcpy(root32, mark->root32, DIGEST_SIZE);
	return true;
}

/* The oldest copy made since the checkpoint is what the block was then. */
const uint8_t *
state_block_at(const struct state *state, uint64_t seq, const struct state_block *block)
{
	if (block->level >= state->levels || block->index >= state->blocks_count[block->level])
		return NULL;
	const struct state_mark *mark = checkpoint_find(state, seq);
	if (mark == NULL)
		return NULL;
	uint64_t number = block_number(state, block->level, block->index);
	const uint8_t *bytes = block_bytes(state, number);
	uint64_t entry = state->newest[number];
	while (entry >= mark->start) {
		const struct state_undo *undo = &state->undo[entry % state->undo_count];
		check(undo->block == number);
		check(undo->older < entry);
		bytes = undo_bytes(state, entry);
		entry = undo->older;
	}
	return bytes;
}

/*
 * A stale bit means "the digest above is not the block's". A checkpoint mends
 * that by changing the digest, a transfer by changing the block; so what a
 * transfer still misses is what is stale, and a rehash ends any transfer.
 */
void
state_transfer_begin(struct state *state, uint64_t seq, const uint8_t *root32)
{
	rehash(state);
	marks_forget(state);
	state->interval = state->head;
	state->transferring = true;
	state->transfer_seq = seq;
	memset(state->missing, 0, sizeof(state->missing));
	if (memcmp(state->target32, root32, DIGEST_SIZE) == 0)
		return;
	memcpy(state->target32, root32, DIGEST_SIZE);
	stale_set(state, state->levels - 1, 0);
	state->missing[state->levels - 1] = 1;
}

/* First stale index of the level from `index` on; the level's count if none. */
static uint32_t
stale_next(const struct state *state, uint32_t level, uint32_t index)
{
	uint32_t count = state->blocks_count[level];
	while (index < count) {
		uint64_t bits = *stale_word(state, level, index) >> (index & 63);
		if (bits != 0)
			return index + (uint32_t)__builtin_ctzll(bits);
		if (count - index <= 64 - (index & 63))
			break;
		index += 64 - (index & 63);
	}
	return count;
}

/* The highest level that misses a block. Some level must. */
static uint32_t
missing_level(const struct state *state)
{
	uint32_t level = state->levels - 1;
	while (state->missing[level] == 0) {
		check(level > 0);
		level--;
	}
	return level;
}

uint32_t
state_transfer_next(
    struct state *state, uint64_t *cursor, struct state_block *blocks, uint32_t capacity)
{
	check(state->transferring);
	uint32_t count = 0;
	while (count < capacity && !state_transfer_done(state)) {
		uint32_t level = missing_level(state);
		bool resumed = *cursor >> CURSOR_LEVEL_SHIFT == level;
		uint64_t from = resumed ? *cursor & ((1ull << CURSOR_LEVEL_SHIFT) - 1) : 0;
		uint32_t end = state->blocks_count[level];
		uint32_t index = from < end ? stale_next(state, level, (uint32_t)from) : end;
		*cursor = (uint64_t)level << CURSOR_LEVEL_SHIFT | (index < end ? index + 1u : end);
		if (index == end)
			break;
		struct state_block block = {.level = level, .index = index};
		const uint8_t *wanted = digest_above(state, level, index);
		bool zero = !is_top(state, level) && memcmp(wanted, zero_block, DIGEST_SIZE) == 0;
		if (!zero)
			blocks[count++] = block;
		else
			check(state_transfer_install(state, &block, zero_block) == STATE_INSTALLED);
	}
	return count;
}

/* Children beyond the level's end have the zero digest, in every true block. */
static bool
children_exist(const struct state *state, const struct state_block *block, const uint8_t *bytes)
{
	uint64_t first = (uint64_t)block->index * STATE_FANOUT;
	for (uint32_t i = 0; i < STATE_FANOUT; i++) {
		if (first + i >= state->blocks_count[block->level - 1] &&
		    memcmp(bytes + i * DIGEST_SIZE, zero_block, DIGEST_SIZE) != 0)
			return false;
	}
	return true;
}

/* The children whose digest a verified tree block changes are wanted from now on. */
static void
want_children(struct state *state, const struct state_block *block, const uint8_t *bytes)
{
	const uint8_t *old = block_bytes(state, block_number(state, block->level, block->index));
	for (uint32_t i = 0; i < STATE_FANOUT; i++) {
		uint32_t child = block->index * STATE_FANOUT + i;
		if (memcmp(old + i * DIGEST_SIZE, bytes + i * DIGEST_SIZE, DIGEST_SIZE) == 0)
			continue;
		check(!stale_test(state, block->level - 1, child));
		stale_set(state, block->level - 1, child);
		state->missing[block->level - 1]++;
	}
}

enum state_install
state_transfer_install(struct state *state, const struct state_block *block, const uint8_t *bytes)
{
	uint32_t level = block->level;
	uint32_t index = block->index;
	if (!state->transferring || level >= state->levels || index >= state->blocks_count[level] ||
	    !stale_test(state, level, index))
		return STATE_UNWANTED;
	uint8_t digest32[DIGEST_SIZE];
	digest_of(state, block, bytes, digest32);
	bool right = memcmp(digest32, digest_above(state, level, index), DIGEST_SIZE) == 0;
	if (!right || (level > 0 && !children_exist(state, block, bytes))) {
		state->statistics.blocks_wrong++;
		return STATE_WRONG;
	}
	if (level > 0)
		want_children(state, block, bytes);
	memcpy(block_bytes(state, block_number(state, level, index)), bytes, STATE_PAGE_SIZE);
	*stale_word(state, level, index) &= ~(1ull << (index & 63));
	check(state->missing[level] > 0);
	state->missing[level]--;
	state->statistics.blocks_installed++;
	return STATE_INSTALLED;
}

bool
state_transfer_done(const struct state *state)
{
	uint64_t missing = 0;
	for (uint32_t level = 0; level < state->levels; level++)
		missing += state->missing[level];
	return state->transferring && missing == 0;
}

void
state_transfer_end(struct state *state)
{
	state->statistics.transfers++;
	check(state_transfer_done(state));
	state->transferring = false;
	if (state->undo_count != 0)
		mark_push(state, state->transfer_seq, true);
	state->interval = state->head;
}

/* ---- undo log and marks ------------------------------------------------ */

/* Copies a block to the undo log, once an interval, and notes that it did. */
static void
touch(struct state *state, uint64_t number)
{
	if (state->newest[number] >= state->interval)
		return;
	while (state->recording && state->head - state->tail == state->undo_count) {
		mark_drop_oldest(state);
		state->statistics.marks_dropped++;
	}
	/* Without a mark to go back to, a number is used up and nothing is copied. */
	uint64_t entry = state->head++;
	if (state->recording) {
		struct state_undo *undo = &state->undo[entry % state->undo_count];
		*undo = (struct state_undo){.block = number, .older = state->newest[number]};
		memcpy(undo_bytes(state, entry), block_bytes(state, number), STATE_PAGE_SIZE);
		state->statistics.blocks_copied++;
	} else {
		state->tail = state->head;
	}
	state->newest[number] = entry;
}

static struct state_mark *
mark_at(const struct state *state, uint32_t index)
{
	return &state->marks[(state->marks_first + index) % state->marks_max];
}

static const struct state_mark *
checkpoint_find(const struct state *state, uint64_t seq)
{
	for (uint32_t i = state->marks_count; i-- > 0;) {
		const struct state_mark *mark = mark_at(state, i);
		if (mark->checkpoint && mark->seq == seq)
			return mark;
	}
	return NULL;
}

static void
mark_push(struct state *state, uint64_t seq, bool checkpoint)
{
	if (state->marks_count > 0)
		check(mark_at(state, state->marks_count - 1)->seq <= seq);
	if (state->marks_count == state->marks_max) {
		mark_drop_oldest(state);
		state->statistics.marks_dropped++;
	}
	struct state_mark *mark = mark_at(state, state->marks_count++);
	*mark = (struct state_mark){.seq = seq, .start = state->head, .checkpoint = checkpoint};
	if (checkpoint)
		memcpy(mark->root32, state->target32, DIGEST_SIZE);
	state->interval = state->head;
	state->recording = true;
}

static void
mark_drop_oldest(struct state *state)
{
	check(state->marks_count > 0);
	state->marks_first = (state->marks_first + 1) % state->marks_max;
	state->marks_count--;
	state->recording = state->marks_count > 0;
	state->tail = state->recording ? mark_at(state, 0)->start : state->head;
}

static void
marks_forget(struct state *state)
{
	while (state->marks_count > 0)
		mark_drop_oldest(state);
}

/* ---- digests ----------------------------------------------------------- */

/* Writes a block with its prefix as input `lane` of the next hash burst. */
static void
hash_input_write(
    struct state *state, uint32_t lane, const struct state_block *block, const uint8_t *bytes)
{
	uint8_t *input = state->hash_input + (size_t)lane * HASH_STRIDE;
	/* The top block's digest is the root: it covers the region's size. */
	uint64_t index = is_top(state, block->level) ? state->blocks_count[0] : block->index;
	memcpy(input, &index, sizeof(index));
	memcpy(input + 8, &block->level, sizeof(block->level));
	memcpy(input + 12, &hash_tag, sizeof(hash_tag));
	memcpy(input + STATE_HASH_PREFIX, bytes, STATE_PAGE_SIZE);
}

static bool
digest_is_zero(const struct state *state, uint32_t level, const uint8_t *bytes)
{
	return !is_top(state, level) && memcmp(bytes, zero_block, STATE_PAGE_SIZE) == 0;
}

static void
digest_of(
    struct state *state, const struct state_block *block, const uint8_t *bytes, uint8_t *digest32)
{
	memset(digest32, 0, DIGEST_SIZE);
	if (digest_is_zero(state, block->level, bytes))
		return;
	hash_input_write(state, 0, block, bytes);
	struct digest_job job = {
	    .data = state->hash_input, .size = HASH_INPUT_SIZE, .digest32 = digest32};
	digest_burst(&state->digester, &job, 1);
}

/* Puts a block's new digest where it belongs; what that changes is stale. */
static void
digest_store(struct state *state, uint32_t level, uint32_t index, const uint8_t *digest32)
{
	uint8_t *above = digest_above(state, level, index);
	if (memcmp(above, digest32, DIGEST_SIZE) == 0)
		return;
	if (!is_top(state, level)) {
		touch(state, block_number(state, level + 1, index / STATE_FANOUT));
		stale_set(state, level + 1, index / STATE_FANOUT);
	}
	memcpy(above, digest32, DIGEST_SIZE);
}

static void
hash_blocks(struct state *state, uint32_t level, const uint32_t *indexes, uint32_t count)
{
	struct digest_job jobs[STATE_HASH_BURST];
	uint32_t jobs_count = 0;
	check(count <= STATE_HASH_BURST);
	for (uint32_t i = 0; i < count; i++) {
		struct state_block block = {.level = level, .index = indexes[i]};
		const uint8_t *bytes = block_bytes(state, block_number(state, level, indexes[i]));
		uint8_t *digest32 = state->hash_output + (size_t)i * DIGEST_SIZE;
		if (digest_is_zero(state, level, bytes)) {
			memset(digest32, 0, DIGEST_SIZE);
			continue;
		}
		hash_input_write(state, jobs_count, &block, bytes);
		jobs[jobs_count] = (struct digest_job){
		    .data = state->hash_input + (size_t)jobs_count * HASH_STRIDE,
		    .size = HASH_INPUT_SIZE,
		    .digest32 = digest32,
		};
		jobs_count++;
	}
	if (jobs_count > 0)
		digest_burst(&state->digester, jobs, jobs_count);
	state->statistics.blocks_hashed += jobs_count;
	for (uint32_t i = 0; i < count; i++)
		digest_store(
		    state, level, indexes[i], state->hash_output + (size_t)i * DIGEST_SIZE);
}

static void
rehash_level(struct state *state, uint32_t level)
{
	uint32_t indexes[STATE_HASH_BURST];
	uint32_t count = 0;
	uint64_t *words = state->stale + state->stale_first[level];
	uint32_t words_count = (state->blocks_count[level] + 63) / 64;
	for (uint32_t word = 0; word < words_count; word++) {
		uint64_t bits = words[word];
		words[word] = 0;
		for (; bits != 0; bits &= bits - 1) {
			indexes[count++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
			if (count == STATE_HASH_BURST) {
				hash_blocks(state, level, indexes, count);
				count = 0;
			}
		}
	}
	hash_blocks(state, level, indexes, count);
}

/* From the pages up: afterwards no block is stale and target32 is the root. */
static void
rehash(struct state *state)
{
	for (uint32_t level = 0; level < state->levels; level++)
		rehash_level(state, level);
}

/* ---- memory ------------------------------------------------------------ */

static bool
options_valid(const struct state_options *options)
{
	return options->size > 0 && options->size <= STATE_SIZE_MAX &&
	       (options->undo_count == 0 || options->marks_max >= 2);
}

static void
shape(struct state *state, const struct state_options *options)
{
	uint64_t pages = (options->size + STATE_PAGE_SIZE - 1) >> STATE_PAGE_SHIFT;
	uint64_t count = pages;
	uint64_t number = 0;
	uint64_t word = 0;
	do {
		check(state->levels < STATE_LEVELS_MAX);
		state->blocks_count[state->levels] = (uint32_t)count;
		state->blocks_first[state->levels] = number;
		state->stale_first[state->levels] = word;
		number += count;
		word += (count + 63) / 64;
		state->levels++;
		if (count == 1 && state->levels > 1)
			break;
		count = (count + STATE_FANOUT - 1) / STATE_FANOUT;
	} while (true);
	state->size = pages << STATE_PAGE_SHIFT;
	state->undo_count = options->undo_count;
	state->marks_max = options->undo_count == 0 ? 1 : options->marks_max;
	state->digester = options->digester;
}

/* The offset of a part of `size` bytes at the end of the layout, which grows. */
static uint64_t
lay_part(struct layout *layout, uint64_t size)
{
	uint64_t at = layout->size;
	layout->size = (at + size + 4095) & ~4095ull;
	return at;
}

static struct layout
lay_out(const struct state *state)
{
	struct layout layout = {0};
	uint32_t top = state->levels - 1;
	uint64_t blocks = state->blocks_first[top] + state->blocks_count[top];
	uint64_t words = state->stale_first[top] + (state->blocks_count[top] + 63) / 64;
	(void)lay_part(&layout, blocks << STATE_PAGE_SHIFT);
	layout.newest = lay_part(&layout, blocks * sizeof(uint64_t));
	layout.stale = lay_part(&layout, words * sizeof(uint64_t));
	layout.undo_blocks = lay_part(&layout, (uint64_t)state->undo_count << STATE_PAGE_SHIFT);
	layout.undo = lay_part(&layout, state->undo_count * sizeof(struct state_undo));
	layout.marks = lay_part(&layout, state->marks_max * sizeof(struct state_mark));
	layout.hash_input = lay_part(&layout, (uint64_t)STATE_HASH_BURST * HASH_STRIDE);
	layout.hash_output = lay_part(&layout, (uint64_t)STATE_HASH_BURST * DIGEST_SIZE);
	return layout;
}
