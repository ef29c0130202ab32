/* SPDX-License-Identifier: Apache-2.0 */
/* See shrink.h. One thread. */
#include "shrink.h"

#include <stdlib.h>

/* Long failures get fewer tries: so many events in all. */
enum { EVENTS_MAX = 50000000 };

struct shrinker {
	struct sim_config config;
	uint32_t runs_left;
	uint64_t events;
	uint32_t runs;
	struct schedule trial;
};

static bool
fails(struct shrinker *s, const struct schedule *schedule)
{
	struct sim_report report;
	if (s->runs_left == 0)
		return false;
	s->runs_left--;
	s->runs++;
	s->config.schedule = schedule;
	sim_run(&s->config, &report);
	s->events += report.events;
	if (s->events > EVENTS_MAX)
		s->runs_left = 0;
	return report.failed;
}

/* The schedule without items [first, end). */
static void
without(struct schedule *to, const struct schedule *from, uint32_t first, uint32_t end)
{
	to->count = 0;
	for (uint32_t i = 0; i < from->count; i++) {
		if (i < first || i >= end)
			schedule_add(to, &from->list[i]);
	}
}

/* Leaves out chunks, ever smaller ones, as long as it still fails. */
static void
items_shrink(struct shrinker *s, struct schedule *best)
{
	if (best->count > 0) {
		without(&s->trial, best, 0, best->count);
		if (fails(s, &s->trial))
			schedule_copy(best, &s->trial);
	}
	for (uint32_t chunk = (best->count + 1) / 2; best->count > 0 && chunk > 0;) {
		bool any = false;
		for (uint32_t at = 0; at < best->count && s->runs_left > 0;) {
			without(&s->trial, best, at, at + chunk);
			if (fails(s, &s->trial)) {
				schedule_copy(best, &s->trial);
				any = true;
			} else {
				at += chunk;
			}
		}
		if (chunk == 1 && !any)
			break;
		chunk = chunk > 1 ? chunk / 2 : 1;
		if (s->runs_left == 0)
			break;
	}
}

/* Names the messages that were struck in place of the chances that struck them. */
static void
messages_name(struct shrinker *s, struct schedule *best)
{
	struct schedule happened;
	struct sim_report report;
	schedule_init(&happened);
	s->config.schedule = best;
	s->config.happened = &happened;
	s->runs++;
	sim_run(&s->config, &report);
	s->config.happened = NULL;
	if (happened.count > 0) {
		s->trial.count = 0;
		for (uint32_t i = 0; i < best->count; i++) {
			if (best->list[i].kind > FAULT_CORRUPT)
				schedule_add(&s->trial, &best->list[i]);
		}
		for (uint32_t i = 0; i < happened.count; i++)
			schedule_add(&s->trial, &happened.list[i]);
		if (fails(s, &s->trial))
			schedule_copy(best, &s->trial);
	}
	schedule_free(&happened);
}

/* Halves what a fault lasts, from either end. */
static void
spans_shrink(struct shrinker *s, struct schedule *best)
{
	for (uint32_t i = 0; i < best->count; i++) {
		for (uint32_t round = 0; round < 8 && s->runs_left > 0; round++) {
			struct fault f = best->list[i];
			if (f.end_ns == FAULT_NEVER || f.end_ns - f.start_ns < 1000 ||
			    fault_is_message(f.kind))
				break;
			schedule_copy(&s->trial, best);
			s->trial.list[i].end_ns = f.start_ns + (f.end_ns - f.start_ns) / 2;
			if (!fails(s, &s->trial))
				break;
			schedule_copy(best, &s->trial);
		}
	}
}

uint32_t
shrink(const struct sim_config *config, struct schedule *shortest, uint32_t runs_max)
{
	struct shrinker s = {.config = *config, .runs_left = runs_max};
	struct sim_report report;
	s.config.trace = NULL;
	s.config.happened = NULL;
	schedule_init(&s.trial);
	if (config->schedule == NULL) {
		s.config.planned = shortest;
		sim_run(&s.config, &report);
	} else {
		schedule_copy(shortest, config->schedule);
	}
	s.config.planned = NULL;
	items_shrink(&s, shortest);
	messages_name(&s, shortest);
	items_shrink(&s, shortest);
	spans_shrink(&s, shortest);
	schedule_free(&s.trial);
	return s.runs;
}
