/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica's executor and the pillars on other lcores (engine/pillar.h)
 * tell each other: records of varying size, packed into parcels, blocks of
 * memory that go from one side to the other and come back empty. Each side has
 * so many that are its own to fill; while it has none, it waits, and what it
 * would have told stays where it is. No side writes to what it has given away.
 *
 *     pillar --- deliveries: batches by reference, reads with their bytes --> executor
 *     pillar <-- answers: results with their bytes, EVENT_STATE, frontier --- executor
 *
 * A lane moves pointers one way between two cores, in order. There are four
 * to a link: full parcels each way, and empty ones back. A lane holds as many
 * as there are parcels, so giving never fails.
 */
#ifndef OSKR_ENGINE_PARCEL_H
#define OSKR_ENGINE_PARCEL_H

#include <stdalign.h>

#include "engine/protocol.h"
#include "engine/slice.h"

enum {
	PARCEL_SIZE_MIN = 8 * 1024,   /* bytes: a slice of small results, or a burst's deliveries */
	PARCELS_SIZE_MAX = 4 << 20,   /* bytes of one side's parcels, ... */
	PARCELS_MIN = 4,	      /* ... but so many at least ... */
	PARCELS_MAX = 32,	      /* ... and at most: a power of two */
	PARCEL_RECORD_SIZE_MAX = 512, /* bytes of a record beside a result's or a read's own */
};

/* Pointers from one core to another. `self` is the same at both ends. */
struct lane {
	void *self;
	void (*give)(void *self, void *object);
	void *(*take)(void *self); /* NULL: there is none now */
};

struct parcel {
	uint64_t frontier; /* answers: the highest slot that any instance has delivered */
	uint32_t size;	   /* bytes that fit */
	uint32_t used;
	uint32_t read; /* bytes that the reader is through with */
	alignas(16) uint8_t bytes[];
};

/* Between the executor and one pillar. */
struct parcel_link {
	struct lane deliveries;	      /* full, from the pillar, ... */
	struct lane deliveries_empty; /* ... and back */
	struct lane answers;	      /* full, from the executor, ... */
	struct lane answers_empty;    /* ... and back */
	uint32_t size;		      /* bytes that a parcel holds */
	uint32_t count;		      /* parcels of each side; 0: parcel_link_count() */
	uint8_t *memory;	      /* of all of them */
};

/* A record of deliveries; the operation of a DELIVERY_READ follows it. */
struct parcel_delivery {
	struct delivery delivery; /* of a READ, `batch` points behind */
	uint32_t moves;		  /* EVENT_STATEs that its machine had been told of */
};

enum parcel_kind {
	PARCEL_RESULTS, /* results_count of them follow, then their bytes */
	PARCEL_LAST,	/* the batch is done */
	PARCEL_STATE,	/* EVENT_STATE */
};

/* A record of answers. */
struct parcel_answer {
	enum parcel_kind kind;
	uint32_t size; /* bytes, with what follows */
	uint16_t instance;
	bool checkpoint; /* LAST, STATE: digest32 is the state's */
	bool done;	 /* STATE */
	uint32_t results_count;
	uint32_t asks;	/* of this instance to move the state, as far as the executor knows */
	uint32_t moves; /* STATE: how many that makes for this instance */
	uint64_t seq;	/* of the batch; 0: recalled, or read; STATE: where the state is */
	uint8_t digest32[32];
};

static inline uint32_t
parcel_padded(uint32_t size)
{
	return (size + 7) & ~7u;
}

static inline uint32_t
parcel_room(const struct parcel *p)
{
	return p->size - p->used;
}

/* The next `size` bytes, aligned to 8: zeroes there are not promised. They must fit. */
static inline void *
parcel_add(struct parcel *p, uint32_t size)
{
	check(parcel_padded(size) <= parcel_room(p));
	void *at = p->bytes + p->used;
	p->used += parcel_padded(size);
	return at;
}

/*
 * Opens a link whose lanes are set (each holds parcel_link_count() pointers):
 * takes the parcels' memory and gives every parcel to the side that fills it,
 * before either side runs. body_size_max: bytes of the largest result or
 * operation. False: no memory.
 */
bool parcel_link_open(struct parcel_link *link, uint32_t body_size_max);
/* When both sides have stopped for good. */
void parcel_link_close(struct parcel_link *link);

/* Parcels of one side, and the bytes of both sides' together, for the memory plan. */
uint32_t parcel_link_count(uint32_t body_size_max);
uint64_t parcel_link_memory(uint32_t body_size_max);

#endif
