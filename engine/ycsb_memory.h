/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client slot remembers of a record: the version that it wrote there
 * last, and the last value that it saw. From this follow the rules that every
 * read must obey; here they stand. Owned by a workload, on its lcore.
 */
#ifndef OSKR_ENGINE_YCSB_MEMORY_H
#define OSKR_ENGINE_YCSB_MEMORY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/ycsb_value.h"

/* Versions: the run in 8 bits, above a slot's count of writes in 40 bits. */
enum {
	YCSB_VERSION_BITS = 40,
	YCSB_VERSION_LOADED = 1, /* the count in loaded values, and in no others */
};

static inline bool
ycsb_version_loaded(uint64_t version)
{
	return (version & ((UINT64_C(1) << YCSB_VERSION_BITS) - 1)) == YCSB_VERSION_LOADED;
}

/* One record as one slot knows it; zero versions: not known. */
struct ycsb_memory {
	uint64_t own_version;  /* of the slot's last write that succeeded */
	uint64_t seen_version; /* of the value that it saw, or wrote, last */
	uint32_t key;
	uint16_t slot;
	uint16_t seen_writer;
	uint64_t zero; /* two in a cache line */
};
static_assert(sizeof(struct ycsb_memory) == 32, "two in a cache line");

/* The slot's write of this version succeeded. */
static inline void
ycsb_memory_wrote(struct ycsb_memory *m, uint64_t version)
{
	m->own_version = version;
	m->seen_version = version;
	m->seen_writer = m->slot;
}

/* Nothing is known any more: an answer made no sense. */
static inline void
ycsb_memory_forget(struct ycsb_memory *m)
{
	m->own_version = 0;
	m->seen_version = 0;
	m->seen_writer = 0;
}

/*
 * The slot, which has no write outstanding, sees a value of the record. Whether
 * that can be, and remembers it. The rules, since each value is written once:
 * - its own value is its last one, and none that it saw overwritten;
 * - another's value is not older than one of the same writer that it saw;
 * - the loaded value does not come back.
 */
static inline bool
ycsb_memory_saw(struct ycsb_memory *m, const struct ycsb_stamp *stamp)
{
	bool first = m->seen_version == 0;
	bool same_writer = !first && m->seen_writer == stamp->writer;
	bool possible;

	if (stamp->writer == m->slot)
		possible = first || (same_writer && m->own_version == stamp->version);
	else if (same_writer)
		possible = stamp->version >= m->seen_version;
	else
		possible = first || !ycsb_version_loaded(stamp->version);
	if (!possible)
		return false;
	if (stamp->writer == m->slot)
		m->own_version = stamp->version;
	m->seen_version = stamp->version;
	m->seen_writer = stamp->writer;
	return true;
}

#endif
