/* SPDX-License-Identifier: Apache-2.0 */
/* See buffer.h. */
#include "lcore/buffer.h"

#include "lcore/frame.h"

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
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
	    name, count, BUFFER_CACHE_COUNT, 0, room(message_size), SOCKET_ID_ANY);
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
	return (uint64_t)count * (sizeof(struct rte_mbuf) + room(message_size) + 64);
}
