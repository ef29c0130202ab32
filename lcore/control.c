/* SPDX-License-Identifier: Apache-2.0 */
/* See control.h. The main lcore. */
#include "lcore/control.h"

#include <rte_mempool.h>
#include <stdio.h>

#include "lcore/helpers.h"
#include "lcore/machine.h"
#include "lcore/signals.h"

enum { LINE_NS = 1000000000 };

void
control_init(struct control *c, const struct control_config *config)
{
	*c = (struct control){.config = *config, .available_min = UINT32_MAX};
	crash_init(&c->crash, &config->crash);
}

static uint64_t
word(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

void
control_totals(const struct control *c, struct client_counters *totals)
{
	*totals = (struct client_counters){0};
	for (uint32_t i = 0; i < c->config.nodes_count; i++) {
		const struct node *node = &c->config.nodes[i];
		if (node->is_replica)
			continue;
		const struct client_counters *one = &node->client->counters;
		totals->completed += word(&one->completed);
		totals->measured += word(&one->measured);
		totals->wrong += word(&one->wrong);
		totals->refused += word(&one->refused);
		totals->lost += word(&one->lost);
		totals->loaded += word(&one->loaded);
	}
}

static void
sample(const struct control *c, struct control_sample *s, uint64_t now_ns)
{
	struct client_counters totals;
	*s = (struct control_sample){.at_ns = now_ns, .cpu_ns = machine_cpu_ns()};
	control_totals(c, &totals);
	s->measured = totals.measured;
	for (uint32_t i = 0; i < c->config.loops_count; i++) {
		const struct loop *loop = &c->config.loops[i];
		for (uint32_t j = 0; j < loop->tasks_count; j++) {
			const struct loop_task *task = &loop->tasks[j];
			enum control_kind kind = CONTROL_HELPERS;
			if (task->poll == node_poll)
				kind = ((const struct node *)task->self)->is_replica
					   ? CONTROL_REPLICAS
					   : CONTROL_CLIENTS;
			else if (task->poll != helpers_poll)
				continue;
			s->busy_cycles[i][kind] += word(&task->busy_cycles);
			s->idle_cycles[i][kind] += word(&task->idle_cycles);
		}
		s->busy_cycles[i][CONTROL_HELPERS] += word(&loop->aside.busy_cycles);
		s->taken_cycles[i] = word(&loop->taken_cycles);
	}
}

static void
phase_set(struct control *c, enum client_phase phase)
{
	for (uint32_t i = 0; i < c->config.nodes_count; i++) {
		struct node *node = &c->config.nodes[i];
		atomic_store_explicit(&node->phase, phase, memory_order_release);
	}
}

static bool
all_settled(const struct control *c)
{
	for (uint32_t i = 0; i < c->config.nodes_count; i++) {
		const struct node *node = &c->config.nodes[i];
		uint32_t wanted = atomic_load_explicit(&node->phase, memory_order_relaxed);
		uint32_t settled = atomic_load_explicit(&node->settled, memory_order_acquire);
		if (!node->is_replica && settled != 1 + wanted)
			return false;
	}
	return true;
}

/* Operations so far: answered, or where there are replicas alone, executed. */
static uint64_t
progress(const struct control *c)
{
	struct client_counters totals;
	uint64_t executed = 0;
	if (!c->config.serve) {
		control_totals(c, &totals);
		return totals.completed;
	}
	for (uint32_t i = 0; i < c->config.nodes_count; i++)
		executed += word(&node_replica(&c->config.nodes[i])->executor.statistics.executed);
	return executed;
}

static void
line_print(struct control *c, uint64_t now_ns)
{
	static const char *const names[] = {
	    "", "serve", "wait", "load", "warm", "run", "drain", ""};
	uint64_t completed = progress(c);
	double seconds = (double)(now_ns - c->last_line_ns) / 1e9;
	double rate = (double)(completed - c->last_completed) / seconds;
	if (!c->config.quiet) {
		printf("%6.1f s  %-5s  %10.0f ops/s\n", (double)(now_ns - c->first_ns) / 1e9,
		    names[c->state], rate);
		fflush(stdout);
	}
	c->last_completed = completed;
	c->last_line_ns = now_ns;
	c->next_line_ns = now_ns + LINE_NS;
}

static void
begin(struct control *c, enum control_state state, uint64_t now_ns, uint64_t duration_ns)
{
	c->state = state;
	c->until_ns = now_ns + duration_ns;
}

static void
begin_measuring(struct control *c, uint64_t now_ns)
{
	begin(c, CONTROL_MEASURING, now_ns, c->config.measure_ns);
	phase_set(c, CLIENT_MEASURE);
	sample(c, &c->first, now_ns);
	crash_begin(&c->crash, now_ns);
}

static void
begin_run(struct control *c, uint64_t now_ns)
{
	if (c->config.warm_ns == 0) {
		begin_measuring(c, now_ns);
		return;
	}
	begin(c, CONTROL_WARMING, now_ns, c->config.warm_ns);
	phase_set(c, CLIENT_WARM);
}

static void
begin_drain(struct control *c, uint64_t now_ns)
{
	if (c->state == CONTROL_MEASURING)
		sample(c, &c->last, now_ns);
	begin(c, CONTROL_DRAINING, now_ns, c->config.drain_ns);
	c->drain_until_ns = now_ns + CONTROL_DRAINS_MAX * c->config.drain_ns;
	struct client_counters totals;
	control_totals(c, &totals);
	c->drain_completed = totals.completed;
	phase_set(c, CLIENT_IDLE);
}

/* Thousands of clients on a slow machine: as long as answers come, they are waited for. */
static bool
drain_over(struct control *c, uint64_t now_ns)
{
	struct client_counters totals;
	if (now_ns < c->until_ns)
		return false;
	control_totals(c, &totals);
	bool moves = totals.completed != c->drain_completed;
	c->drain_completed = totals.completed;
	c->until_ns = now_ns + c->config.drain_ns;
	return !moves || now_ns >= c->drain_until_ns;
}

/* The faults that are made on purpose, each with a line of its own. */
static void
crash_follow(struct control *c, uint64_t now_ns)
{
	char line[CRASH_LINE_SIZE];
	struct client_counters totals;
	if (!crash_due(&c->crash, now_ns))
		return;
	control_totals(c, &totals);
	crash_poll(&c->crash, now_ns, totals.measured, line);
	if (line[0] == '\0' || c->config.quiet)
		return;
	printf("%6.1f s  %-5s  %s\n", (double)(now_ns - c->first_ns) / 1e9, "fault", line);
	fflush(stdout);
}

static void
begin_load(struct control *c, uint64_t now_ns)
{
	c->load_begin_ns = now_ns;
	if (!c->config.load) {
		begin_run(c, now_ns);
		return;
	}
	begin(c, CONTROL_LOADING, now_ns, 0);
	phase_set(c, CLIENT_LOAD);
}

static void
begin_all(struct control *c, uint64_t now_ns)
{
	c->first_ns = c->last_line_ns = now_ns;
	c->next_line_ns = now_ns + LINE_NS;
	if (c->config.serve) {
		begin(c, CONTROL_SERVING, now_ns, 0);
		sample(c, &c->first, now_ns);
	} else if (c->config.enrolment != NULL) {
		begin(c, CONTROL_ENROLLING, now_ns, c->config.wait_ns);
	} else {
		begin_load(c, now_ns);
	}
}

static void
finish(struct control *c)
{
	c->state = CONTROL_DONE;
	atomic_store_explicit(c->config.stop, true, memory_order_release);
}

static void
enrolment_follow(struct control *c, uint64_t now_ns)
{
	enum enrolment_state state = enrolment_state(c->config.enrolment, now_ns);
	if (state == ENROLMENT_READY) {
		begin_load(c, now_ns);
	} else if (state == ENROLMENT_REFUSED || now_ns >= c->until_ns) {
		c->unserved = true;
		finish(c);
	}
}

static void
advance(struct control *c, uint64_t now_ns)
{
	switch (c->state) {
	case CONTROL_START:
		begin_all(c, now_ns);
		break;
	case CONTROL_SERVING:
		break;
	case CONTROL_ENROLLING:
		enrolment_follow(c, now_ns);
		break;
	case CONTROL_LOADING:
		if (!all_settled(c))
			break;
		c->load_ns = now_ns - c->load_begin_ns;
		begin_run(c, now_ns);
		break;
	case CONTROL_WARMING:
		if (now_ns >= c->until_ns)
			begin_measuring(c, now_ns);
		break;
	case CONTROL_MEASURING:
		crash_follow(c, now_ns);
		if (now_ns >= c->until_ns)
			begin_drain(c, now_ns);
		break;
	case CONTROL_DRAINING:
		c->drained = all_settled(c);
		if (!c->drained && !drain_over(c, now_ns))
			break;
		finish(c);
		break;
	case CONTROL_DONE:
		break;
	}
}

/* How near the pool came to its end, as a look each 10 ms sees it. A look reads the
 * ring and every lcore's cache: a few microseconds. */
static void
gauge_follow(struct control *c, uint64_t now_ns)
{
	if (c->config.pool == NULL || now_ns < c->next_gauge_ns)
		return;
	uint32_t available = rte_mempool_avail_count(c->config.pool);
	if (available < c->available_min)
		__atomic_store_n(&c->available_min, available, __ATOMIC_RELAXED);
	c->next_gauge_ns = now_ns + CONTROL_GAUGE_NS;
}

/* The end of a service; of an experiment, as early as the last answers allow. */
static void
interrupt(struct control *c, uint64_t now_ns)
{
	bool begun = c->state > CONTROL_ENROLLING;
	c->interrupted = !c->config.serve;
	if (begun) {
		begin_drain(c, now_ns);
		return;
	}
	sample(c, &c->last, now_ns);
	finish(c);
}

uint32_t
control_poll(void *self, uint64_t now_ns)
{
	struct control *c = self;
	if (c->state < CONTROL_DRAINING && signals_received() != 0)
		interrupt(c, now_ns);
	advance(c, now_ns);
	gauge_follow(c, now_ns);
	if (c->state < CONTROL_DRAINING && now_ns >= c->next_line_ns)
		line_print(c, now_ns);
	return 0;
}
