/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicated state: one paged region that holds the application's data and
 * the session table, so that checkpoint digests, copy-on-write snapshots, exact
 * rollback and state transfer are one mechanism for all of it (as the library
 * of Castro & Liskov, TOCS'02, sections 5 and 6; BASE, TOCS'03). Owned by one
 * executor, on one core.
 *
 *   level 0   pages of 1 KiB: the region
 *   level k   blocks of 1 KiB: 32 digests, of 32 blocks of level k-1
 *   root      the digest of the one block of the highest level
 *
 * Tree blocks have the size of pages and live behind them, so the undo log and
 * state transfer know one kind of thing: a block. The digest of a block covers
 * its level, its index and its bytes; an all-zero block has the all-zero digest,
 * so memory that was never touched costs neither hashing nor residence. The
 * root is a function of the region's content alone.
 *
 * Time is cut into intervals, opened by marks (cheap: one for each batch, to
 * roll back to) and checkpoints (a mark, with digests, that can be read while
 * execution goes on). The first write to a block in an interval copies the old
 * block to the undo log, a ring. What a mark or checkpoint needs lies in the
 * ring from its start on; when the ring is full the oldest marks are dropped,
 * and calls that name them say so.
 *
 * Cost: a write to a dirty page is 1 load and 1 compare; the first write in an
 * interval copies 1 KiB: some 40 ns while the undo log fits the cache, several
 * times that where it does not, so undo_count should be what is needed and not
 * more. A checkpoint hashes 17 SHA-256 blocks for each dirty page, and the paths
 * above them.
 */
#ifndef OSKR_ENGINE_STATE_H
#define OSKR_ENGINE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/digest.h"

enum {
	STATE_PAGE_SIZE = 1024, /* bytes; of tree blocks too */
	STATE_PAGE_SHIFT = 10,
	STATE_FANOUT = STATE_PAGE_SIZE / DIGEST_SIZE,
	STATE_LEVELS_MAX = 8,	/* level 0 included: 32^7 pages */
	STATE_HASH_BURST = 64,	/* blocks hashed by one call */
	STATE_HASH_PREFIX = 16, /* bytes before the block: index, level, tag */
};

struct state_options {
	uint64_t size;	     /* bytes of the region, rounded up to pages */
	uint32_t undo_count; /* blocks that the undo log holds; 0: no history at all */
	uint32_t marks_max;  /* marks and checkpoints alive at once, at least 2 */
	bool huge_pages;     /* ask for transparent huge pages */
	bool populate;	     /* make the undo log resident at open: no page fault later */
	struct digester digester;
};

/* A block's place: level 0 is a page, above it are the tree's blocks. */
struct state_block {
	uint32_t level;
	uint32_t index;
};

enum state_install {
	STATE_INSTALLED,
	STATE_UNWANTED, /* not missing: installed before, or out of range */
	STATE_WRONG,	/* its digest is not the wanted one: the source lies */
};

struct state_statistics {
	uint64_t pages_dirtied; /* first writes in an interval */
	uint64_t blocks_copied; /* to the undo log */
	uint64_t blocks_hashed; /* not counting zero blocks */
	uint64_t marks_dropped; /* because the undo log or the table of marks was full */
	uint64_t rollbacks;	/* done */
	uint64_t blocks_undone; /* by rollbacks */
	uint64_t blocks_wrong;	/* refused by state_install */
	uint64_t blocks_installed;
	uint64_t transfers; /* done */
};

/* Where one interval begins. */
struct state_mark {
	uint64_t seq;	/* the position whose effects are the last included */
	uint64_t start; /* number of the first undo entry of the interval */
	bool checkpoint;
	uint8_t root32[DIGEST_SIZE]; /* of a checkpoint */
};

/* What the undo log says of the block copied beside it. */
struct state_undo {
	uint64_t block; /* number of the block: pages first, then level 1, ... */
	uint64_t older; /* entry number of the copy before this one */
};

struct state {
	uint8_t *base;	      /* the pages, then the tree's blocks, level by level */
	uint64_t *newest;     /* for each block: number of its newest undo entry */
	uint64_t interval;    /* number of the first undo entry of the open interval */
	uint64_t head;	      /* number of the next undo entry */
	uint64_t tail;	      /* number of the oldest undo entry that is held */
	uint64_t *stale;      /* bit: the digest kept above is not the block's */
	uint8_t *undo_blocks; /* undo_count blocks, entry n at n mod undo_count */
	struct state_undo *undo;
	struct state_mark *marks; /* ring, oldest first, seqs ascending */
	uint8_t *hash_input;	  /* STATE_HASH_BURST prefixed blocks */
	uint8_t *hash_output;	  /* STATE_HASH_BURST digests */
	uint32_t undo_count;
	uint32_t marks_max;
	uint32_t marks_first;
	uint32_t marks_count;
	bool recording; /* the open interval's writes are copied to the undo log */
	bool transferring;
	uint32_t levels; /* of blocks, level 0 included, at least 2 */
	uint32_t blocks_count[STATE_LEVELS_MAX];
	uint64_t blocks_first[STATE_LEVELS_MAX]; /* number of a level's first block */
	uint64_t stale_first[STATE_LEVELS_MAX];	 /* index of a level's first word in stale */
	uint64_t missing[STATE_LEVELS_MAX];	 /* blocks known to be wanted by the transfer */
	uint64_t transfer_seq;
	uint8_t target32[DIGEST_SIZE]; /* the root: of the last checkpoint, or wanted */
	uint64_t size;		       /* bytes of the region */
	uint64_t reserved;	       /* bytes given out by state_reserve */
	uint64_t memory_size;	       /* bytes mapped */
	void *memory;
	struct digester digester;
	struct state_statistics statistics;
};

/* Bytes that state_open maps; for the sum of memory. Untouched pages stay non-resident. */
uint64_t state_memory_size(const struct state_options *options);

/* Takes and zeroes all memory. Returns 0, -EINVAL (sizes) or -ENOMEM. */
int state_open(struct state *state, const struct state_options *options);
void state_close(struct state *state);

/*
 * Gives out the next `size` bytes of the region, aligned (a power of two up to
 * 4096), zero. Only at start, in the same order everywhere: the layout is part
 * of the replicated state. NULL: the region is too small.
 */
void *state_reserve(struct state *state, uint64_t size, uint64_t alignment);

/* The slow path of state_modify. */
void state_modify_pages(struct state *state, uint64_t first, uint64_t last);

/*
 * Must come before every write of `size` bytes at `at`, inside the region.
 * Holds until the next mark, checkpoint or rollback.
 */
static inline void
state_modify(struct state *state, const void *at, size_t size)
{
	if (size == 0)
		return;
	uint64_t offset = (uint64_t)((const uint8_t *)at - state->base);
	uint64_t first = offset >> STATE_PAGE_SHIFT;
	uint64_t last = (offset + size - 1) >> STATE_PAGE_SHIFT;
	if (first == last && offset < state->size && state->newest[first] >= state->interval)
		return;
	state_modify_pages(state, first, last);
}

/* Fetches what state_modify reads for a write at `at`, ahead of time. */
static inline void
state_prefetch(const struct state *state, const void *at)
{
	uint64_t offset = (uint64_t)((const uint8_t *)at - state->base);
	__builtin_prefetch(&state->newest[offset >> STATE_PAGE_SHIFT]);
}

/* ---- marks and checkpoints --------------------------------------------- */

/*
 * Names the present content `seq`, to roll back to. Seqs never descend. Does
 * nothing when the region was opened without history.
 */
void state_mark(struct state *state, uint64_t seq);

/*
 * Brings the tree up to date and names the present content `seq`; the root is
 * written to root32. With history, content and tree stay readable at `seq`
 * until they are released, or dropped because the undo log is full.
 */
void state_checkpoint(struct state *state, uint64_t seq, uint8_t *root32);

/*
 * Takes the content back to what mark or checkpoint `seq` named, exactly; later
 * marks and checkpoints are forgotten. False, and nothing is done: there is no
 * such mark, because it was never set, released, dropped, or history is off.
 */
bool state_rollback(struct state *state, uint64_t seq);

/* Forgets marks and checkpoints below `seq`, and frees their undo entries. */
void state_release(struct state *state, uint64_t seq);

/* Blocks that can be copied before the oldest mark must be dropped. */
static inline uint64_t
state_undo_room(const struct state *state)
{
	return state->undo_count - (state->head - state->tail);
}

/* The root of checkpoint `seq`: false when it is not kept. */
bool state_root(const struct state *state, uint64_t seq, uint8_t *root32);

/*
 * The 1 KiB of a block as of checkpoint `seq`, for a fetching peer. NULL: not
 * kept, or no such block (level and index may come from a peer). Valid until
 * the state is next modified.
 */
const uint8_t *state_block_at(
    const struct state *state, uint64_t seq, const struct state_block *block);

/* ---- state transfer, the fetching side --------------------------------- */

/*
 * Starts to turn the content into that of checkpoint `seq` with root `root32`,
 * which the caller has reason to trust. All marks and checkpoints are given up;
 * nothing may be executed until state_transfer_end. Starting anew with another
 * target is allowed at any time, and keeps what was fetched.
 */
void state_transfer_begin(struct state *state, uint64_t seq, const uint8_t *root32);

/*
 * The blocks wanted next, up to `capacity`, from *cursor on: start with 0, and
 * repeated calls hand out further ones; set it to 0 to ask again for what has
 * not come. Level after level from the root down: a level is handed out when
 * those above are complete, so 0 blocks means to wait for what was asked for.
 * Blocks that must be zero are installed here, without asking anyone.
 */
uint32_t state_transfer_next(
    struct state *state, uint64_t *cursor, struct state_block *blocks, uint32_t capacity);

/* Verifies a block's 1 KiB, from any peer, and installs it. */
enum state_install state_transfer_install(
    struct state *state, const struct state_block *block, const uint8_t *bytes);

/* Nothing is missing: the content has the wanted root. */
bool state_transfer_done(const struct state *state);

/* Requires state_transfer_done(). The content is checkpoint `seq` from here on. */
void state_transfer_end(struct state *state);

#endif
