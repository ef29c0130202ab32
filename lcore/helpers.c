/* SPDX-License-Identifier: Apache-2.0 */
/* See helpers.h. */
#include "lcore/helpers.h"

#include <rte_pause.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/limits.h"
#include "engine/check.h"
#include "lcore/pipe.h"

enum {
	INVITATIONS = 8,   /* places in a pipe; a helper that is behind needs no more */
	SPINS_MAX = 10000, /* rounds of waiting before the CPU is let go, where it is shared */
	LINE = 64,
};

/*
 * What a caller has to do at the moment. `ticket` holds how many jobs there are
 * (high half) and how many were taken (low half) in one word: who comes late, with an
 * invitation to jobs that are done, finds none left, or takes a new one, whole.
 */
struct caller {
	struct crypto_team team;
	struct helpers *helpers;
	uint32_t index;
	uint32_t next; /* the helper that is invited first */
	void (*job)(void *context, uint32_t i);
	void *context;
	_Alignas(LINE) _Atomic uint64_t ticket;
	_Alignas(LINE) _Atomic uint32_t done;
};

struct helper {
	struct helpers *helpers;
	struct caller *joined; /* who may have more jobs; NULL: nobody is known to */
	uint32_t index;
	_Alignas(LINE) _Atomic uint64_t jobs;
};

struct helpers {
	struct helpers_config config;
	struct caller *callers;
	struct helper *list;
	struct pipe *pipes; /* caller * helpers_count + helper */
};

static struct pipe *
pipe_between(const struct helpers *h, uint32_t caller, uint32_t helper)
{
	return &h->pipes[(size_t)caller * h->config.helpers_count + helper];
}

/* Takes jobs until there are no more, or `most` are done; returns how many. */
static uint32_t
take_part(struct caller *c, uint32_t most)
{
	uint32_t taken = 0;
	while (taken < most) {
		uint64_t ticket = atomic_load_explicit(&c->ticket, memory_order_relaxed);
		if ((uint32_t)ticket >= ticket >> 32)
			break;
		if (!atomic_compare_exchange_weak_explicit(&c->ticket, &ticket, ticket + 1,
			memory_order_acquire, memory_order_relaxed))
			continue;
		c->job(c->context, (uint32_t)ticket);
		atomic_fetch_add_explicit(&c->done, 1, memory_order_release);
		taken++;
	}
	return taken;
}

/* As many helpers as can be of use, in turn. A full pipe is one who knows already. */
static void
invite(struct caller *c, uint32_t wanted)
{
	uint32_t count = c->helpers->config.helpers_count;
	void *who = c;
	for (uint32_t i = 0; i < count && wanted > 0; i++) {
		if (!c->helpers->config.mutual || c->next != c->index) {
			pipe_push(pipe_between(c->helpers, c->index, c->next), &who, 1);
			wanted--;
		}
		c->next = c->next + 1 < count ? c->next + 1 : 0;
	}
}

static void
share(void *self, void (*job)(void *context, uint32_t i), void *context, uint32_t count)
{
	struct caller *c = self;
	if (count == 0)
		return;
	c->job = job;
	c->context = context;
	atomic_store_explicit(&c->done, 0, memory_order_relaxed);
	atomic_store_explicit(&c->ticket, (uint64_t)count << 32, memory_order_release);
	invite(c, count - 1);
	take_part(c, UINT32_MAX);
	uint32_t spins = 0;
	while (atomic_load_explicit(&c->done, memory_order_acquire) < count) {
		rte_pause();
		if (c->helpers->config.yields && ++spins > SPINS_MAX)
			sched_yield();
	}
}

/* The next who has invited this helper, or NULL. */
static struct caller *
invitation_take(const struct helper *helper)
{
	const struct helpers *h = helper->helpers;
	void *invitations[INVITATIONS];
	for (uint32_t i = 0; i < h->config.callers_count; i++) {
		if (pipe_pull(pipe_between(h, i, helper->index), invitations, INVITATIONS) > 0)
			return invitations[0];
	}
	return NULL;
}

/* Who has work of its own, too, looks for that after each job. */
uint32_t
helpers_poll(void *self, uint64_t now_ns)
{
	struct helper *helper = self;
	uint32_t most = helper->helpers->config.mutual ? 1 : UINT32_MAX;
	uint32_t taken = 0;
	(void)now_ns;
	if (helper->joined != NULL)
		taken = take_part(helper->joined, most);
	while (taken == 0) {
		helper->joined = invitation_take(helper);
		if (helper->joined == NULL)
			return 0;
		taken = take_part(helper->joined, most);
	}
	if (taken > 0)
		atomic_fetch_add_explicit(&helper->jobs, taken, memory_order_relaxed);
	return taken;
}

static bool
pipes_open(struct helpers *h)
{
	for (uint32_t i = 0; i < h->config.callers_count; i++) {
		for (uint32_t j = 0; j < h->config.helpers_count; j++) {
			char name[32];
			snprintf(name, sizeof(name), "oskr_help_%u_%u", i, j);
			if (!pipe_open(pipe_between(h, i, j), name, INVITATIONS))
				return false;
		}
	}
	return true;
}

struct helpers *
helpers_open(const struct helpers_config *config)
{
	check(config->callers_count >= 1 && config->helpers_count >= 1);
	check(!config->mutual || config->callers_count == config->helpers_count);
	struct helpers *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	h->config = *config;
	h->callers = aligned_alloc(LINE, config->callers_count * sizeof(*h->callers));
	h->list = aligned_alloc(LINE, config->helpers_count * sizeof(*h->list));
	h->pipes = calloc((size_t)config->callers_count * config->helpers_count, sizeof(*h->pipes));
	if (h->callers == NULL || h->list == NULL || h->pipes == NULL || !pipes_open(h)) {
		helpers_close(h);
		return NULL;
	}
	for (uint32_t i = 0; i < config->callers_count; i++) {
		struct caller *c = &h->callers[i];
		*c = (struct caller){.helpers = h, .index = i, .next = i % config->helpers_count};
		c->team = (struct crypto_team){.self = c, .share = share};
	}
	for (uint32_t i = 0; i < config->helpers_count; i++)
		h->list[i] = (struct helper){.helpers = h, .index = i};
	return h;
}

void
helpers_close(struct helpers *h)
{
	if (h == NULL)
		return;
	uint32_t count = h->config.callers_count * h->config.helpers_count;
	for (uint32_t i = 0; h->pipes != NULL && i < count; i++)
		pipe_close(&h->pipes[i]);
	free(h->pipes);
	free(h->list);
	free(h->callers);
	free(h);
}

uint64_t
helpers_memory(const struct helpers_config *config)
{
	return (uint64_t)config->callers_count * config->helpers_count * pipe_memory(INVITATIONS);
}

const struct crypto_team *
helpers_team(struct helpers *h, uint32_t caller)
{
	check(caller < h->config.callers_count);
	return &h->callers[caller].team;
}

void *
helpers_end(struct helpers *h, uint32_t helper)
{
	check(helper < h->config.helpers_count);
	return &h->list[helper];
}

uint64_t
helpers_jobs(const struct helpers *h)
{
	uint64_t jobs = 0;
	for (uint32_t i = 0; i < h->config.helpers_count; i++)
		jobs += atomic_load_explicit(&h->list[i].jobs, memory_order_relaxed);
	return jobs;
}
