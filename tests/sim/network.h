/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages under way: packets of exactly their size (so that the address
 * sanitizer sees every overrun), shared among their receivers, and a priority
 * queue of their arrivals. Owned by one simulation, one thread.
 */
#ifndef OSKR_TESTS_SIM_NETWORK_H
#define OSKR_TESTS_SIM_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

/* What was sent, once; freed with its last arrival. */
struct packet {
	uint32_t references;
	uint32_t size; /* bytes at data */
	uint64_t hash; /* of data */
	uint8_t data[];
};

struct arrival {
	uint64_t at_ns;
	uint64_t order; /* of posting: ties are broken by it */
	struct packet *packet;
	uint16_t from; /* nodes */
	uint16_t to;
};

struct network {
	struct arrival *heap; /* four children a place */
	uint32_t count;
	uint32_t capacity;
	uint32_t count_peak;
	uint64_t posted;
};

/* A copy of the bytes, with one reference. */
struct packet *packet_make(const void *data, uint32_t size);
/* One whose bytes, and then its hash, the caller writes. */
struct packet *packet_blank(uint32_t size);
void packet_release(struct packet *p);
/* 64 bits that follow from the bytes alone, the same on every machine. */
uint64_t packet_hash(const void *data, uint32_t size);

void network_init(struct network *n);
/* Releases what is under way. */
void network_free(struct network *n);

/* Takes over one reference. */
void network_post(struct network *n, const struct arrival *arrival);

/* Requires count > 0. */
static inline const struct arrival *
network_first(const struct network *n)
{
	return &n->heap[0];
}

struct arrival network_take(struct network *n);

#endif
