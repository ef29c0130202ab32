/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor and its pillars on threads of their own, over lanes of pipes: every
 * batch is executed in its turn from memory that its machine writes anew as soon
 * as it is told, and every answer is the right one. Built with
 * RTE_USE_C11_MEM_MODEL, as the pipes' suite, for ThreadSanitizer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lcore/lanes.h"
#include "tests/lcore_eal.h"
#include "tests/pillar_rig.h"

#ifndef RTE_USE_C11_MEM_MODEL
#error "build with -DRTE_USE_C11_MEM_MODEL"
#endif

enum { GOAL = 400, INSTANCES = 5, PILLARS = 3 };

static struct rig rig;
static atomic_bool stop;

static void *
execute(void *unused)
{
	uint64_t now_ns = 1;
	(void)unused;
	while (!atomic_load(&stop)) {
		replica_ready(&rig.replica);
		if (replica_run(&rig.replica, ++now_ns, NULL, 0) == 0)
			sched_yield();
	}
	return NULL;
}

static bool
finished(const struct pillar *p)
{
	for (uint32_t i = 0; i < p->shard->config.machines_count; i++) {
		const struct scribe *s = p->shard->machines[i];
		if (s->done < GOAL)
			return false;
	}
	return true;
}

static void *
order(void *pillar)
{
	struct pillar *p = pillar;
	uint64_t now_ns = 1;
	while (!finished(p)) {
		pillar_ready(p);
		if (pillar_run(p, ++now_ns, NULL, 0) == 0)
			sched_yield();
	}
	return NULL;
}

/* As much as a life's parcels: opened twice, for the names of rings differ by life. */
static void
many_threads(void)
{
	for (uint32_t life = 0; life < 2; life++) {
		pthread_t executor;
		pthread_t pillars[PILLARS];
		const struct lanes_config config = {
		    .life = life, .pillars_count = PILLARS, .body_size_max = RIG_BODY_SIZE_MAX};
		struct lanes *lanes = lanes_open(&config);
		CU_ASSERT_PTR_NOT_NULL_FATAL(lanes);
		CU_ASSERT_TRUE(lanes_memory(&config) > 0);
		CU_ASSERT_FATAL(rig_open(&rig, lanes_links(lanes), INSTANCES, PILLARS));
		for (uint32_t i = 0; i < INSTANCES; i++)
			rig_scribe(&rig, i)->goal = GOAL;
		atomic_store(&stop, false);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&executor, NULL, execute, NULL), 0);
		for (uint32_t i = 0; i < PILLARS; i++)
			CU_ASSERT_EQUAL_FATAL(
			    pthread_create(&pillars[i], NULL, order, &rig.pillars[i]), 0);
		for (uint32_t i = 0; i < PILLARS; i++)
			pthread_join(pillars[i], NULL);
		atomic_store(&stop, true);
		pthread_join(executor, NULL);
		for (uint32_t i = 0; i < INSTANCES; i++) {
			CU_ASSERT_EQUAL(rig_scribe(&rig, i)->answers, GOAL * RIG_BATCH);
			CU_ASSERT_EQUAL(rig_scribe(&rig, i)->wrong, 0);
		}
		CU_ASSERT_EQUAL(
		    executor_position(&rig.replica.executor), (uint64_t)GOAL * INSTANCES);
		rig_close(&rig);
		lanes_close(lanes);
	}
}

static const struct unit_story stories[] = {
    {"many threads", many_threads},
};

int
main(void)
{
	return lcore_eal_run("lanes", stories, sizeof(stories) / sizeof(stories[0]));
}
