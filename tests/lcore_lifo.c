/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/lifo.c: what came back last goes out first, all that is asked for or nothing,
 * and whatever several threads do at once, each object is with one of them or in the
 * pool, once. The driver's own file is part of this one: a story looks inside.
 */
#include "lcore/lifo.c"

#include <pthread.h>

#include "engine/random.h"
#include "tests/lcore_eal.h"

enum {
	OBJECTS = 4096,
	OBJECT_SIZE = 64,
	THREADS = 4,
	ROUNDS = 200000,
	HAND_MAX = 300, /* more than two chunks */
};

/* Without caches: each call is the driver's. */
static struct rte_mempool *
pool_open(uint32_t count)
{
	struct rte_mempool *pool =
	    rte_mempool_create_empty("lifo", count, OBJECT_SIZE, 0, 0, SOCKET_ID_ANY, 0);
	CU_ASSERT_FATAL(pool != NULL);
	CU_ASSERT_FATAL(rte_mempool_set_ops_byname(pool, LIFO_NAME, NULL) == 0);
	CU_ASSERT_FATAL(rte_mempool_populate_default(pool) == (int)count);
	return pool;
}

static void
put(struct rte_mempool *pool, void **list, uint32_t count)
{
	rte_mempool_generic_put(pool, list, count, NULL);
}

static bool
get(struct rte_mempool *pool, void **list, uint32_t count)
{
	return rte_mempool_generic_get(pool, list, count, NULL) == 0;
}

/* Is each of the pool's objects there once? It is empty after that. */
static bool
all_there(struct rte_mempool *pool, uint32_t count)
{
	static void *list[OBJECTS];
	if (rte_mempool_avail_count(pool) != count || !get(pool, list, count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		*(uint64_t *)list[i] = 0;
	for (uint32_t i = 0; i < count; i++) {
		if ((*(uint64_t *)list[i])++ != 0)
			return false;
	}
	return rte_mempool_avail_count(pool) == 0 && !get(pool, list, 1);
}

static void
the_last_is_the_first(void)
{
	struct rte_mempool *pool = pool_open(OBJECTS);
	void *first[HAND_MAX], *again[HAND_MAX];
	for (uint32_t count = 1; count <= HAND_MAX; count += 13) {
		CU_ASSERT(get(pool, first, count));
		for (uint32_t i = 0; i < count; i++)
			*(uint64_t *)first[i] = 1;
		put(pool, first, count);
		CU_ASSERT(get(pool, again, count));
		uint64_t same = 0;
		for (uint32_t i = 0; i < count; i++) {
			same += *(uint64_t *)again[i];
			*(uint64_t *)again[i] = 0;
		}
		CU_ASSERT_EQUAL(same, count);
		put(pool, again, count);
	}
	CU_ASSERT(all_there(pool, OBJECTS));
	rte_mempool_free(pool);
}

static void
all_or_nothing(void)
{
	struct rte_mempool *pool = pool_open(OBJECTS);
	static void *list[OBJECTS + 1];
	CU_ASSERT(!get(pool, list, OBJECTS + 1));
	CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), OBJECTS);
	CU_ASSERT(get(pool, list, OBJECTS - 5));
	CU_ASSERT(!get(pool, list + OBJECTS - 5, 6));
	CU_ASSERT(get(pool, list + OBJECTS - 5, 5));
	put(pool, list, OBJECTS);
	CU_ASSERT(all_there(pool, OBJECTS));
	rte_mempool_free(pool);
}

/* Several lcores at once can leave chunks half full: room is found in them in the end. */
static void
room_is_found_where_no_chunk_is_empty(void)
{
	struct rte_mempool *pool = pool_open(OBJECTS);
	struct lifo *l = pool->pool_data;
	static void *list[OBJECTS];
	uint32_t used = 0;
	CU_ASSERT_FATAL(get(pool, list, OBJECTS));
	for (struct chunk *c; (c = pop(l, &l->empty)) != NULL; used++) {
		c->count = 1;
		c->buffers[0] = list[used];
		push(l, &l->full, c);
	}
	atomic_fetch_add(&l->buffers, used);
	CU_ASSERT(used < OBJECTS / 2);
	for (uint32_t i = used; i < OBJECTS; i++)
		put(pool, &list[i], 1);
	CU_ASSERT(all_there(pool, OBJECTS));
	rte_mempool_free(pool);
}

/* Who looked at the top before it left and came back would take what lay below it then. */
static void
what_came_back_is_known(void)
{
	struct rte_mempool *pool = pool_open(OBJECTS);
	struct lifo *l = pool->pool_data;
	uint64_t before = atomic_load(&l->full.top);
	struct chunk *first = pop(l, &l->full);
	struct chunk *second = pop(l, &l->full);
	push(l, &l->full, first);
	CU_ASSERT_EQUAL((uint32_t)atomic_load(&l->full.top), (uint32_t)before);
	CU_ASSERT_NOT_EQUAL(atomic_load(&l->full.top), before);
	push(l, &l->full, second);
	CU_ASSERT(all_there(pool, OBJECTS));
	rte_mempool_free(pool);
}

static struct rte_mempool *shared;
static _Atomic uint64_t twice; /* objects that somebody else had, too */

/* Takes and gives back by turns, some at a time; marks what it has. */
static void *
juggle(void *seed)
{
	struct random random;
	void *hand[2 * HAND_MAX];
	uint32_t held = 0;
	random_init(&random, (uint64_t)(uintptr_t)seed, 1);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t count = 1 + (uint32_t)random_below(&random, HAND_MAX);
		if (held < HAND_MAX && get(shared, hand + held, count)) {
			for (uint32_t i = held; i < held + count; i++)
				twice += atomic_exchange((_Atomic uint64_t *)hand[i], 1);
			held += count;
		}
		count = (uint32_t)random_below(&random, held + 1);
		for (uint32_t i = held - count; i < held; i++)
			atomic_store((_Atomic uint64_t *)hand[i], 0);
		put(shared, hand + held - count, count);
		held -= count;
	}
	for (uint32_t i = 0; i < held; i++)
		atomic_store((_Atomic uint64_t *)hand[i], 0);
	put(shared, hand, held);
	return NULL;
}

static void
each_is_with_one_thread_or_in_the_pool(void)
{
	pthread_t threads[THREADS];
	shared = pool_open(THREADS * HAND_MAX / 2); /* too few for all: some get nothing */
	twice = 0;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, juggle, (void *)(i + 1));
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(twice, 0);
	CU_ASSERT(all_there(shared, THREADS * HAND_MAX / 2));
	rte_mempool_free(shared);
}

static const struct unit_story stories[] = {
    {"the last is the first", the_last_is_the_first},
    {"all or nothing", all_or_nothing},
    {"room is found where no chunk is empty", room_is_found_where_no_chunk_is_empty},
    {"what came back is known", what_came_back_is_known},
    {"each is with one thread, or in the pool", each_is_with_one_thread_or_in_the_pool},
};

int
main(void)
{
	return lcore_eal_run("lcore_lifo", stories, sizeof(stories) / sizeof(stories[0]));
}
