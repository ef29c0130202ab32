/* SPDX-License-Identifier: Apache-2.0 */
/* See network.h. One thread. */
#include "network.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/random.h"

enum { CHILDREN = 4, CAPACITY_MIN = 256 };

uint64_t
packet_hash(const void *data, uint32_t size)
{
	const uint8_t *bytes = data;
	uint64_t a = size * 0x9e3779b97f4a7c15ull;
	uint64_t b = ~a;
	uint32_t at = 0;
	uint64_t word;
	for (; size - at >= 16; at += 16) {
		memcpy(&word, bytes + at, 8);
		a = (a ^ word) * 0xff51afd7ed558ccdull;
		a ^= a >> 29;
		memcpy(&word, bytes + at + 8, 8);
		b = (b ^ word) * 0xc4ceb9fe1a85ec53ull;
		b ^= b >> 31;
	}
	for (; at < size; at++)
		a = (a ^ bytes[at]) * 0x100000001b3ull;
	return random_mix(a ^ random_mix(b));
}

struct packet *
packet_blank(uint32_t size)
{
	struct packet *p = malloc(sizeof(*p) + size);
	check(p != NULL);
	p->references = 1;
	p->size = size;
	return p;
}

struct packet *
packet_make(const void *data, uint32_t size)
{
	struct packet *p = packet_blank(size);
	memcpy(p->data, data, size);
	p->hash = packet_hash(p->data, size);
	return p;
}

void
packet_release(struct packet *p)
{
	check(p->references > 0);
	if (--p->references == 0)
		free(p);
}

void
network_init(struct network *n)
{
	*n = (struct network){.capacity = CAPACITY_MIN};
	n->heap = malloc(n->capacity * sizeof(*n->heap));
	check(n->heap != NULL);
}

void
network_free(struct network *n)
{
	for (uint32_t i = 0; i < n->count; i++)
		packet_release(n->heap[i].packet);
	free(n->heap);
	*n = (struct network){0};
}

static inline bool
before(const struct arrival *a, const struct arrival *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void
network_post(struct network *n, const struct arrival *arrival)
{
	if (n->count == n->capacity) {
		n->capacity *= 2;
		n->heap = realloc(n->heap, n->capacity * sizeof(*n->heap));
		check(n->heap != NULL);
	}
	struct arrival item = *arrival;
	item.order = n->posted++;
	uint32_t at = n->count++;
	if (n->count > n->count_peak)
		n->count_peak = n->count;
	while (at > 0) {
		uint32_t parent = (at - 1) / CHILDREN;
		if (!before(&item, &n->heap[parent]))
			break;
		n->heap[at] = n->heap[parent];
		at = parent;
	}
	n->heap[at] = item;
}

struct arrival
network_take(struct network *n)
{
	check(n->count > 0);
	struct arrival first = n->heap[0];
	struct arrival item = n->heap[--n->count];
	uint32_t at = 0;
	for (;;) {
		uint32_t child = at * CHILDREN + 1;
		if (child >= n->count)
			break;
		uint32_t best = child;
		uint32_t end = child + CHILDREN < n->count ? child + CHILDREN : n->count;
		for (uint32_t i = child + 1; i < end; i++)
			best = before(&n->heap[i], &n->heap[best]) ? i : best;
		if (!before(&n->heap[best], &item))
			break;
		n->heap[at] = n->heap[best];
		at = best;
	}
	if (n->count > 0)
		n->heap[at] = item;
	return first;
}
