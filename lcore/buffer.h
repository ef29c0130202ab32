/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet buffers: mbufs of one pool, taken and given back in bursts, through
 * the lcore's own cache. In sanitizer builds the data of free buffers is
 * poisoned, since AddressSanitizer does not know mempools. Any lcore.
 */
#ifndef OSKR_LCORE_BUFFER_H
#define OSKR_LCORE_BUFFER_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define BUFFER_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUFFER_POISON 1
#endif
#endif

#ifdef BUFFER_POISON
#include <sanitizer/asan_interface.h>
#endif

enum {
	BUFFER_CACHE_COUNT = 512, /* mbufs in an lcore's cache */
	BUFFER_FREE_MAX = 64,	  /* given back to the pool at once */
	BUFFER_DEVICE_MARK = 64,  /* private bytes of a device's buffer: tells it from ours */
};

/* Messages of up to message_size bytes. NULL with rte_errno when memory is short. */
struct rte_mempool *buffer_pool_create(const char *name, uint32_t count, uint32_t message_size);

/*
 * Buffers that a device's driver fills with up to data_size bytes, behind the usual
 * headroom. The driver writes where nobody holds a buffer yet: these are not poisoned.
 */
struct rte_mempool *buffer_pool_create_device(const char *name, uint32_t count, uint32_t data_size);

/*
 * The same, side by side from page to page: for net_af_xdp, which shares the pool with the
 * kernel as one area, of the size that it would have then. Not for what reads it by
 * physical addresses.
 */
struct rte_mempool *buffer_pool_create_dense(const char *name, uint32_t count, uint32_t data_size);

/* Frees the pool, all of whose buffers are back; NULL is allowed. */
void buffer_pool_free(struct rte_mempool *pool);

/* Bytes that such a pool takes, for the memory plan. */
uint64_t buffer_pool_memory(uint32_t count, uint32_t message_size);

static inline void
buffer_poison(struct rte_mbuf *m)
{
#ifdef BUFFER_POISON
	if (m->priv_size != BUFFER_DEVICE_MARK)
		__asan_poison_memory_region(m->buf_addr, m->buf_len);
#else
	(void)m;
#endif
}

static inline void
buffer_unpoison(struct rte_mbuf *m)
{
#ifdef BUFFER_POISON
	__asan_unpoison_memory_region(m->buf_addr, m->buf_len);
#else
	(void)m;
#endif
}

/*
 * Takes up to `count`: all, or as many as there are one by one when the pool runs
 * dry. Free mbufs are single and direct (rte_mbuf.h, rte_mbuf_raw_alloc); all else that
 * they say is of their former lives. Writes nothing there: the line is still with the
 * core that read the last frame in it, so whoever has time asks for it beforehand.
 */
static inline uint32_t
buffer_take(struct rte_mempool *pool, struct rte_mbuf **list, uint32_t count)
{
	uint32_t got = count;
	if (rte_mempool_get_bulk(pool, (void **)list, count) != 0) {
		for (got = 0; got < count; got++) {
			if (rte_mempool_get(pool, (void **)&list[got]) != 0)
				break;
		}
	}
	for (uint32_t i = 0; i < got; i++)
		buffer_unpoison(list[i]);
	return got;
}

/* The same, ready for bytes of any kind; what frame_write() sets is all that is left to set. */
static inline uint32_t
buffer_alloc(struct rte_mempool *pool, struct rte_mbuf **list, uint32_t count)
{
	uint32_t got = buffer_take(pool, list, count);
	for (uint32_t i = 0; i < got; i++) {
		list[i]->ol_flags = 0;
		list[i]->hash.fdir.hi = 0; /* see frame_noted() */
	}
	return got;
}

/* Gives back what is held once by the caller; shared ones lose a reference. */
static inline void
buffer_free(struct rte_mbuf **list, uint32_t count)
{
	void *free_now[BUFFER_FREE_MAX];
	uint32_t free_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *m = list[i];
		bool plain = rte_mbuf_refcnt_read(m) == 1 && m->nb_segs == 1 && RTE_MBUF_DIRECT(m);
		if (__builtin_expect(!plain || m->pool != list[0]->pool, 0)) {
			rte_pktmbuf_free(m);
			continue;
		}
		buffer_poison(m);
		free_now[free_count++] = m;
		if (free_count == BUFFER_FREE_MAX) {
			rte_mempool_put_bulk(list[0]->pool, free_now, free_count);
			free_count = 0;
		}
	}
	if (free_count > 0)
		rte_mempool_put_bulk(((struct rte_mbuf *)free_now[0])->pool, free_now, free_count);
}

#endif
