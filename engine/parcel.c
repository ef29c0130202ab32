/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of parcels. See parcel.h. Before the start and after the end. */
#include "engine/parcel.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

static_assert(sizeof(struct parcel_answer) + sizeof(struct result) <= PARCEL_RECORD_SIZE_MAX,
    "a record of one result");
static_assert(sizeof(struct parcel_delivery) <= PARCEL_RECORD_SIZE_MAX, "a record of one read");

/* Any single record fits an empty parcel. */
static uint32_t
size_of(uint32_t body_size_max)
{
	uint32_t size = parcel_padded(body_size_max) + PARCEL_RECORD_SIZE_MAX;
	return size < PARCEL_SIZE_MIN ? PARCEL_SIZE_MIN : size;
}

static uint64_t
stride_of(uint32_t size)
{
	return ((uint64_t)sizeof(struct parcel) + size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

uint32_t
parcel_link_count(uint32_t body_size_max)
{
	uint32_t count = PARCELS_MAX;
	while (count > PARCELS_MIN && count * stride_of(size_of(body_size_max)) > PARCELS_SIZE_MAX)
		count /= 2;
	return count;
}

uint64_t
parcel_link_memory(uint32_t body_size_max)
{
	return 2 * parcel_link_count(body_size_max) * stride_of(size_of(body_size_max));
}

bool
parcel_link_open(struct parcel_link *link, uint32_t body_size_max)
{
	link->size = size_of(body_size_max);
	if (link->count == 0)
		link->count = parcel_link_count(body_size_max);
	link->memory = aligned_alloc(ALIGNMENT, 2 * link->count * stride_of(link->size));
	if (link->memory == NULL)
		return false;
	for (uint32_t i = 0; i < 2 * link->count; i++) {
		struct parcel *p = (void *)(link->memory + i * stride_of(link->size));
		struct lane *lane =
		    i < link->count ? &link->deliveries_empty : &link->answers_empty;
		*p = (struct parcel){.size = link->size};
		lane->give(lane->self, p);
	}
	return true;
}

void
parcel_link_close(struct parcel_link *link)
{
	free(link->memory);
	link->memory = NULL;
}
