/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers on threads of their own: every job is done once, by somebody, and what
 * was written is seen when share() returns; callers do not disturb each other.
 * Built with RTE_USE_C11_MEM_MODEL, as the pipes' suite, for ThreadSanitizer.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "engine/random.h"
#include "lcore/helpers.h"
#include "tests/lcore_eal.h"

#ifndef RTE_USE_C11_MEM_MODEL
#error "build with -DRTE_USE_C11_MEM_MODEL"
#endif

enum {
	CALLERS = 2,
	HELPERS = 3,
	JOBS_MAX = 64,
	ROUNDS = 2000,
	WORK = 200, /* turns of the mixer: a job takes a moment */
};

struct desk {
	const struct crypto_team *team;
	uint64_t round;
	uint32_t done[JOBS_MAX]; /* plain: share() must order them */
	uint64_t results[JOBS_MAX];
	uint64_t wrong;
};

static struct helpers *helpers;
static struct desk desks[CALLERS];
static atomic_bool stop;

static uint64_t
work(uint64_t seed)
{
	for (uint32_t i = 0; i < WORK; i++)
		seed = random_mix(seed + i);
	return seed;
}

static void
job(void *context, uint32_t i)
{
	struct desk *d = context;
	d->done[i]++;
	d->results[i] = work(d->round << 8 | i);
}

static void
round_run(struct desk *d, uint32_t count)
{
	memset(d->done, 0, sizeof(d->done));
	d->team->share(d->team->self, job, d, count);
	for (uint32_t i = 0; i < JOBS_MAX; i++)
		d->wrong += d->done[i] != (i < count);
	for (uint32_t i = 0; i < count; i++)
		d->wrong += d->results[i] != work(d->round << 8 | i);
	d->round++;
}

static void *
call(void *desk)
{
	struct desk *d = desk;
	struct random random;
	random_init(&random, (uint64_t)(d - desks), 1);
	for (uint32_t i = 0; i < ROUNDS; i++)
		round_run(d, (uint32_t)random_below(&random, JOBS_MAX + 1));
	return NULL;
}

static void *
help(void *end)
{
	while (!atomic_load(&stop)) {
		if (helpers_poll(end, 0) == 0)
			sched_yield();
	}
	return NULL;
}

static void
open_as(const struct helpers_config *config)
{
	uint32_t callers = config->callers_count;
	helpers = helpers_open(config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(helpers);
	CU_ASSERT_TRUE(helpers_memory(config) >= callers * config->helpers_count * sizeof(void *));
	memset(desks, 0, sizeof(desks));
	for (uint32_t i = 0; i < callers; i++)
		desks[i].team = helpers_team(helpers, i);
	atomic_store(&stop, false);
}

static void
open_all(uint32_t callers, uint32_t count)
{
	const struct helpers_config config = {
	    .callers_count = callers, .helpers_count = count, .yields = true};
	open_as(&config);
}

static void
many_threads(void)
{
	pthread_t callers[CALLERS];
	pthread_t threads[HELPERS];
	open_all(CALLERS, HELPERS);
	for (uint32_t i = 0; i < HELPERS; i++)
		CU_ASSERT_EQUAL_FATAL(
		    pthread_create(&threads[i], NULL, help, helpers_end(helpers, i)), 0);
	for (uint32_t i = 0; i < CALLERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&callers[i], NULL, call, &desks[i]), 0);
	for (uint32_t i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	atomic_store(&stop, true);
	for (uint32_t i = 0; i < HELPERS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < CALLERS; i++)
		CU_ASSERT_EQUAL(desks[i].wrong, 0);
	/* On any machine somebody was there in time for something. */
	CU_ASSERT_TRUE(helpers_jobs(helpers) > 0);
	helpers_close(helpers);
}

/* Nobody comes: the caller does all; invitations to what is done are good for nothing. */
static void
helpers_that_never_come(void)
{
	open_all(1, HELPERS);
	for (uint32_t i = 0; i < 100; i++)
		round_run(&desks[0], i % (JOBS_MAX + 1));
	CU_ASSERT_EQUAL(desks[0].wrong, 0);
	CU_ASSERT_EQUAL(helpers_jobs(helpers), 0);
	for (uint32_t i = 0; i < HELPERS; i++) {
		CU_ASSERT_EQUAL(helpers_poll(helpers_end(helpers, i), 0), 0);
		CU_ASSERT_EQUAL(helpers_poll(helpers_end(helpers, i), 0), 0);
	}
	CU_ASSERT_EQUAL(desks[0].wrong, 0);
	helpers_close(helpers);
}

/* Each thread calls now, and helps in between, as lcores do that are idle at times. */
static void *
call_and_help(void *desk)
{
	struct desk *d = desk;
	void *end = helpers_end(helpers, (uint32_t)(d - desks));
	struct random random;
	random_init(&random, (uint64_t)(d - desks), 2);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		round_run(d, (uint32_t)random_below(&random, JOBS_MAX + 1));
		for (uint32_t k = (uint32_t)random_below(&random, 8); k > 0; k--)
			helpers_poll(end, 0);
	}
	return NULL;
}

static void
callers_that_help_each_other(void)
{
	const struct helpers_config config = {
	    .callers_count = CALLERS, .helpers_count = CALLERS, .mutual = true, .yields = true};
	pthread_t threads[CALLERS];
	open_as(&config);
	for (uint32_t i = 0; i < CALLERS; i++)
		CU_ASSERT_EQUAL_FATAL(
		    pthread_create(&threads[i], NULL, call_and_help, &desks[i]), 0);
	for (uint32_t i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < CALLERS; i++)
		CU_ASSERT_EQUAL(desks[i].wrong, 0);
	helpers_close(helpers);
}

static void
job_and_look(void *context, uint32_t i)
{
	job(context, i);
	/* The other one is idle: one job each time it looks, for it has work of its own, too. */
	if (i == 0) {
		for (uint32_t k = 0; k < 3; k++)
			CU_ASSERT_EQUAL(helpers_poll(helpers_end(helpers, 1), 0), 1);
		CU_ASSERT_EQUAL(helpers_jobs(helpers), 3);
		/* Nobody invites himself. */
		CU_ASSERT_EQUAL(helpers_poll(helpers_end(helpers, 0), 0), 0);
	}
}

static void
one_job_at_a_time_for_others(void)
{
	const struct helpers_config config = {
	    .callers_count = 2, .helpers_count = 2, .mutual = true};
	open_as(&config);
	struct desk *d = &desks[0];
	d->team->share(d->team->self, job_and_look, d, 6);
	for (uint32_t i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(d->done[i], 1);
	CU_ASSERT_EQUAL(helpers_jobs(helpers), 3);
	CU_ASSERT_EQUAL(helpers_poll(helpers_end(helpers, 1), 0), 0);
	helpers_close(helpers);
}

static const struct unit_story stories[] = {
    {"helpers that never come", helpers_that_never_come},
    {"many threads", many_threads},
    {"callers that help each other", callers_that_help_each_other},
    {"one job at a time for others", one_job_at_a_time_for_others},
};

int
main(void)
{
	return lcore_eal_run("helpers", stories, sizeof(stories) / sizeof(stories[0]));
}
