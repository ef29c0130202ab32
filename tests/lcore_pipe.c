/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipe between two threads: objects arrive once, in order, and with what the
 * producer wrote into them before it gave them away. ThreadSanitizer knows the
 * order only from the ring's own atomics, so this file is built with
 * RTE_USE_C11_MEM_MODEL (DPDK's other ring takes fences, which it does not see).
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "engine/random.h"
#include "lcore/pipe.h"
#include "tests/lcore_eal.h"

#ifndef RTE_USE_C11_MEM_MODEL
#error "build with -DRTE_USE_C11_MEM_MODEL"
#endif

enum {
	OBJECTS_COUNT = 1000000,
	BURST = 32,
	RING_SIZE = 1024,
};

static struct pipe pipe_there;
static struct pipe pipe_back;
static uint64_t objects[OBJECTS_COUNT];

/* Writes each object and gives it away, in bursts of any size. */
static void *
produce(void *unused)
{
	struct random random;
	void *burst[BURST] = {0};
	random_init(&random, 1, 1);
	for (uint32_t sent = 0; sent < OBJECTS_COUNT;) {
		uint32_t count = 1 + (uint32_t)random_below(&random, BURST);
		if (count > OBJECTS_COUNT - sent)
			count = OBJECTS_COUNT - sent;
		for (uint32_t i = 0; i < count; i++) {
			objects[sent + i] = random_mix(sent + i + 1);
			burst[i] = &objects[sent + i];
		}
		/* The rest, which is ours still, is written again with the next burst. */
		uint32_t taken = pipe_push(&pipe_there, burst, count);
		sent += taken;
		if (taken < count)
			sched_yield();
	}
	return unused;
}

/* Changes each object and sends it back: from now on it is the last one's. */
static void *
relay(void *unused)
{
	void *burst[BURST] = {0};
	for (uint32_t done = 0; done < OBJECTS_COUNT;) {
		uint32_t got = pipe_pull(&pipe_there, burst, BURST);
		for (uint32_t i = 0; i < got; i++)
			*(uint64_t *)burst[i] += 1;
		for (uint32_t given = 0; given < got;) {
			uint32_t taken = pipe_push(&pipe_back, burst + given, got - given);
			given += taken;
			if (taken == 0)
				sched_yield();
		}
		done += got;
		if (got == 0)
			sched_yield();
	}
	return unused;
}

static void
objects_arrive_whole_and_in_order(void)
{
	pthread_t producer;
	pthread_t relayer;
	uint32_t wrong = 0;
	CU_ASSERT_TRUE_FATAL(pipe_open(&pipe_there, "there", RING_SIZE));
	CU_ASSERT_TRUE_FATAL(pipe_open(&pipe_back, "back", RING_SIZE));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&producer, NULL, produce, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&relayer, NULL, relay, NULL), 0);
	for (uint32_t done = 0; done < OBJECTS_COUNT;) {
		void *burst[BURST] = {0};
		uint32_t got = pipe_pull(&pipe_back, burst, BURST);
		for (uint32_t i = 0; i < got; i++, done++) {
			wrong += burst[i] != &objects[done];
			wrong += *(const uint64_t *)burst[i] != random_mix(done + 1) + 1;
		}
		if (got == 0)
			sched_yield();
	}
	pthread_join(producer, NULL);
	pthread_join(relayer, NULL);
	CU_ASSERT_EQUAL(wrong, 0);
	void *more;
	CU_ASSERT_EQUAL(pipe_pull(&pipe_back, &more, 1), 0);
	pipe_close(&pipe_there);
	pipe_close(&pipe_back);
}

/* A full pipe takes what fits; the giver has the rest. */
static void
full_pipes_take_less(void)
{
	static void *burst[BURST];
	struct pipe pipe;
	CU_ASSERT_TRUE_FATAL(pipe_open(&pipe, "small", 16));
	for (uint32_t i = 0; i < BURST; i++)
		burst[i] = &objects[i];
	CU_ASSERT_EQUAL(pipe_push(&pipe, burst, BURST), 15);
	CU_ASSERT_EQUAL(pipe_push(&pipe, burst, 1), 0);
	memset(burst, 0, sizeof(burst));
	CU_ASSERT_EQUAL(pipe_pull(&pipe, burst, 10), 10);
	CU_ASSERT_EQUAL(pipe_pull(&pipe, burst + 10, 10), 5);
	for (uint32_t i = 0; i < 15; i++)
		CU_ASSERT_PTR_EQUAL(burst[i], &objects[i]);
	pipe_close(&pipe);
	/* A size that is no power of two is refused. */
	CU_ASSERT_FALSE(pipe_open(&pipe, "odd", 17));
	CU_ASSERT_TRUE(pipe_memory(1024) >= 1024 * sizeof(void *));
}

static const struct unit_story stories[] = {
    {"full pipes take less", full_pipes_take_less},
    {"objects arrive whole and in order", objects_arrive_whole_and_in_order},
};

int
main(void)
{
	return lcore_eal_run("pipe", stories, sizeof(stories) / sizeof(stories[0]));
}
