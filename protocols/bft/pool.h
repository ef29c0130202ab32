/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that a replica knows and that are not executed yet, in the order in
 * which they came: at most one a client slot, in cells of fixed size. The
 * leader takes from it what no batch holds yet, and what is not in doubt: such
 * requests are free. The others' timer is for the oldest. Owned by one machine.
 */
#ifndef OSKR_PROTOCOLS_BFT_POOL_H
#define OSKR_PROTOCOLS_BFT_POOL_H

#include <string.h>

#include "engine/batch.h"

/* Bytes for all cells; what comes when they are full is left to its client's retry. */
#define POOL_SIZE_MAX (256ull << 20)

struct pool_cell {
	uint64_t arrived_ns;
	uint32_t next; /* 1 + cell behind it; 0: none. Of a free cell: the next free one */
	uint32_t previous;
	uint32_t size; /* bytes of the request, as in a batch; 0: the cell is free */
	bool ordered;  /* some batch under way holds it */
	bool doubtful; /* it may have been executed: nobody here knows yet */
};

struct pool {
	struct pool_cell *cells;
	uint8_t *bytes;
	uint32_t cells_count;
	uint32_t cell_size;
	uint32_t first; /* 1 + the oldest; 0: none */
	uint32_t last;
	uint32_t free; /* 1 + cell */
	uint32_t count;
	uint32_t unordered_first; /* 1 + the oldest that may be free; 0: none */
	uint32_t unordered;	  /* how many are free */
	uint64_t unordered_size;  /* bytes of those, as in a batch */
};

static inline uint32_t
pool_cells_count(uint32_t slots_count, uint32_t request_size_max)
{
	uint64_t fit = POOL_SIZE_MAX / batch_padded(request_size_max);
	if (fit < 64)
		fit = 64;
	return slots_count < fit ? slots_count : (uint32_t)fit;
}

static inline void
pool_init(struct pool *p, struct pool_cell *cells, uint8_t *bytes, uint32_t count, uint32_t size)
{
	*p = (struct pool){
	    .cells = cells, .bytes = bytes, .cells_count = count, .cell_size = batch_padded(size)};
	for (uint32_t i = count; i > 0; i--) {
		cells[i - 1].next = p->free;
		p->free = i;
	}
}

static inline const struct message_header *
pool_request(const struct pool *p, uint32_t cell)
{
	return (
	    const struct message_header *)(const void *)(p->bytes + (size_t)cell * p->cell_size);
}

/* Keeps a copy of an authentic request at the end of the line: its cell, or UINT32_MAX. */
static inline uint32_t
pool_add(struct pool *p, const struct message *m, uint64_t now_ns)
{
	if (p->free == 0)
		return UINT32_MAX;
	uint32_t cell = p->free - 1;
	struct pool_cell *c = &p->cells[cell];
	p->free = c->next;
	if (p->free != 0) {
		const uint8_t *next = p->bytes + (size_t)(p->free - 1) * p->cell_size;
		__builtin_prefetch(&p->cells[p->free - 1], 1);
		__builtin_prefetch(next, 1);
		__builtin_prefetch(next + 64, 1);
	}
	uint8_t *at = p->bytes + (size_t)cell * p->cell_size;
	uint32_t size = m->header->size;
	memcpy(at, m->header, sizeof(struct message_header));
	memcpy(at + sizeof(struct message_header), m->body, size - sizeof(struct message_header));
	memset(at + size, 0, batch_padded(size) - size);
	*c = (struct pool_cell){
	    .arrived_ns = now_ns, .previous = p->last, .size = batch_padded(size)};
	if (p->last != 0)
		p->cells[p->last - 1].next = cell + 1;
	else
		p->first = cell + 1;
	p->last = cell + 1;
	p->count++;
	p->unordered++;
	p->unordered_size += c->size;
	if (p->unordered_first == 0)
		p->unordered_first = cell + 1;
	return cell;
}

/* May a batch take it? */
static inline bool
pool_is_free(const struct pool *p, uint32_t cell)
{
	return !p->cells[cell].ordered && !p->cells[cell].doubtful;
}

/* A free one is so no more: its mark has been set. */
static inline void
pool_bind(struct pool *p, uint32_t cell)
{
	p->unordered--;
	p->unordered_size -= p->cells[cell].size;
}

static inline void
pool_order(struct pool *p, uint32_t cell)
{
	bool was_free = pool_is_free(p, cell);
	p->cells[cell].ordered = true;
	if (was_free)
		pool_bind(p, cell);
}

static inline void
pool_doubt(struct pool *p, uint32_t cell)
{
	bool was_free = pool_is_free(p, cell);
	p->cells[cell].doubtful = true;
	if (was_free)
		pool_bind(p, cell);
}

/* It has not been executed. */
static inline void
pool_settle(struct pool *p, uint32_t cell)
{
	bool was_free = pool_is_free(p, cell);
	p->cells[cell].doubtful = false;
	if (was_free || !pool_is_free(p, cell))
		return;
	p->unordered++;
	p->unordered_size += p->cells[cell].size;
	p->unordered_first = p->first;
}

static inline void
pool_remove(struct pool *p, uint32_t cell)
{
	struct pool_cell *c = &p->cells[cell];
	pool_order(p, cell);
	if (p->unordered_first == cell + 1)
		p->unordered_first = c->next;
	if (c->previous != 0)
		p->cells[c->previous - 1].next = c->next;
	else
		p->first = c->next;
	if (c->next != 0)
		p->cells[c->next - 1].previous = c->previous;
	else
		p->last = c->previous;
	c->size = 0;
	c->next = p->free;
	p->free = cell + 1;
	p->count--;
}

/* The oldest free one: 1 + cell, or 0. */
static inline uint32_t
pool_next(struct pool *p)
{
	while (p->unordered_first != 0 && !pool_is_free(p, p->unordered_first - 1))
		p->unordered_first = p->cells[p->unordered_first - 1].next;
	return p->unordered_first;
}

/* What was under way may be given up: no batch holds anything until pool_order() says so. */
static inline void
pool_requeue(struct pool *p)
{
	p->unordered = 0;
	p->unordered_size = 0;
	for (uint32_t at = p->first; at != 0; at = p->cells[at - 1].next) {
		p->cells[at - 1].ordered = false;
		if (!pool_is_free(p, at - 1))
			continue;
		p->unordered++;
		p->unordered_size += p->cells[at - 1].size;
	}
	p->unordered_first = p->first;
}

#endif
