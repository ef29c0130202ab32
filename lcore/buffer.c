/* SPDX-License-Identifier: Apache-2.0 */
/* See buffer.h. */
#include "lcore/buffer.h"

#include "lcore/frame.h"
#include "lcore/lifo.h"

static uint16_t
room(uint32_t message_size)
{
	return (uint16_t)RTE_ALIGN_CEIL(FRAME_MESSAGE_OFFSET + message_size, 64u);
}

static void
poison_one(struct rte_mempool *pool, void *context, void *object, unsigned int index)
{
	(void)pool;
	(void)context;
	(void)index;
	buffer_poison(object);
}

struct rte_mempool *
buffer_pool_create(const char *name, uint32_t count, uint32_t message_size)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create_by_ops(
	    name, count, BUFFER_CACHE_COUNT, 0, room(message_size), SOCKET_ID_ANY, LIFO_NAME);
	if (pool != NULL)
		rte_mempool_obj_iter(pool, poison_one, NULL);
	return pool;
}

struct rte_mempool *
buffer_pool_create_device(const char *name, uint32_t count, uint32_t data_size)
{
	uint32_t size = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + data_size, 64u);
	return rte_pktmbuf_pool_create(
	    name, count, BUFFER_CACHE_COUNT, BUFFER_DEVICE_MARK, (uint16_t)size, SOCKET_ID_ANY);
}

/*
 * rte_pktmbuf_pool_create() in its parts: it has no place for the flag without which a
 * buffer never crosses a page, and of 4 KiB pages each has one buffer and much that is lost.
 */
struct rte_mempool *
buffer_pool_create_dense(const char *name, uint32_t count, uint32_t data_size)
{
	uint32_t size = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + data_size, 64u);
	struct rte_pktmbuf_pool_private form = {
	    .mbuf_data_room_size = (uint16_t)size,
	    .mbuf_priv_size = BUFFER_DEVICE_MARK,
	};
	uint32_t element_size = (uint32_t)sizeof(struct rte_mbuf) + BUFFER_DEVICE_MARK + size;
	struct rte_mempool *pool = rte_mempool_create_empty(name, count, element_size,
	    BUFFER_CACHE_COUNT, sizeof(form), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (pool == NULL)
		return NULL;
	rte_pktmbuf_pool_init(pool, &form);
	if (rte_mempool_populate_default(pool) < 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

static void
unpoison_one(struct rte_mempool *pool, void *context, void *object, unsigned int index)
{
	(void)pool;
	(void)context;
	(void)index;
	buffer_unpoison(object);
}

void
buffer_pool_free(struct rte_mempool *pool)
{
	if (pool != NULL)
		rte_mempool_obj_iter(pool, unpoison_one, NULL);
	rte_mempool_free(pool);
}

uint64_t
buffer_pool_memory(uint32_t count, uint32_t message_size)
{
	return (uint64_t)count * (sizeof(struct rte_mbuf) + room(message_size) + 64) +
	       lifo_memory(count);
}
