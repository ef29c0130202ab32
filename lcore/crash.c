/* SPDX-License-Identifier: Apache-2.0 */
/* See crash.h. */
#include "lcore/crash.h"

#include <stdio.h>

enum { ACT_NS = 1000 * 1000 };

void
crash_init(struct crash *c, const struct crash_config *config)
{
	check(config->kill_ns > 0 || config->restart_ns == 0);
	*c = (struct crash){.config = *config};
}

void
crash_begin(struct crash *c, uint64_t now_ns)
{
	c->begin_ns = now_ns;
}

static bool
lives(const struct crash *c, uint32_t replica)
{
	return node_life(&c->config.nodes[replica]) == NODE_RUNS;
}

static uint64_t
view_of(const struct crash *c, uint32_t replica)
{
	const struct node *node = &c->config.nodes[replica];
	return node_shard(node)->config.machine->view(node_machine(node, 0));
}

/* The view that most of the living are in; the higher one of two as frequent. */
static uint64_t
view_common(const struct crash *c)
{
	uint64_t views[LIMIT_REPLICAS];
	uint32_t count = 0;
	uint64_t common = 0;
	uint32_t most = 0;
	for (uint32_t i = 0; i < c->config.replicas_count; i++) {
		if (lives(c, i))
			views[count++] = view_of(c, i);
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t alike = 0;
		for (uint32_t j = 0; j < count; j++)
			alike += views[i] == views[j];
		if (alike > most || (alike == most && views[i] > common)) {
			most = alike;
			common = views[i];
		}
	}
	return common;
}

static uint64_t
position_of(const struct crash *c, uint32_t replica)
{
	const struct executor *e = &node_replica(&c->config.nodes[replica])->executor;
	return __atomic_load_n(&e->header->position, __ATOMIC_RELAXED);
}

/* The primary of view v, of instance 0, is v mod n. */
static void
victim_kill(struct crash *c, uint64_t now_ns, uint64_t answers)
{
	double seconds = (double)(now_ns - c->begin_ns) / 1e9;
	c->view_before = view_common(c);
	c->victim = (uint16_t)(c->view_before % c->config.replicas_count);
	c->killed_ns = now_ns;
	for (uint32_t i = c->config.replicas_count; i < c->config.nodes_count; i++)
		node_watch(&c->config.nodes[i], now_ns);
	recovery_begin(&c->recovery, now_ns, answers, (double)answers / seconds);
	node_life_set(&c->config.nodes[c->victim], NODE_KILLED);
	c->state = CRASH_KILLED;
}

static void
victim_restart(struct crash *c, uint64_t now_ns)
{
	node_life_set(&c->config.nodes[c->victim], NODE_RESTARTS);
	c->restarted_ns = now_ns;
	c->state = CRASH_RESTARTED;
}

/* Is the restarted one within reach of the furthest, and its state whole? */
static bool
caught_up(struct crash *c)
{
	const struct node *node = &c->config.nodes[c->victim];
	uint64_t furthest = 0;
	if (node_life(node) != NODE_RUNS)
		return false;
	if (__atomic_load_n(&node_replica(node)->transfer.active, __ATOMIC_ACQUIRE))
		return false;
	uint64_t own = position_of(c, c->victim);
	for (uint32_t i = 0; i < c->config.replicas_count; i++) {
		if (i != c->victim && position_of(c, i) > furthest)
			furthest = position_of(c, i);
	}
	c->caught_up_at = own;
	return own > 0 && own + c->config.behind_max >= furthest;
}

void
crash_poll(struct crash *c, uint64_t now_ns, uint64_t answers, char line[CRASH_LINE_SIZE])
{
	uint64_t since_ns = now_ns - c->begin_ns;
	line[0] = '\0';
	if (!crash_due(c, now_ns))
		return;
	c->next_ns = now_ns + ACT_NS;
	if (c->state != CRASH_WAITING)
		recovery_sample(&c->recovery, now_ns, answers);
	switch (c->state) {
	case CRASH_WAITING:
		if (since_ns < c->config.kill_ns)
			return;
		victim_kill(c, now_ns, answers);
		snprintf(line, CRASH_LINE_SIZE, "replica %u, primary of view %lu, is killed",
		    c->victim, c->view_before);
		return;
	case CRASH_KILLED:
		if (c->config.restart_ns == 0 || since_ns < c->config.restart_ns)
			return;
		victim_restart(c, now_ns);
		snprintf(line, CRASH_LINE_SIZE, "replica %u starts anew without memory", c->victim);
		return;
	case CRASH_RESTARTED:
		if (!caught_up(c))
			return;
		c->caught_up_ns = now_ns;
		c->state = CRASH_CAUGHT_UP;
		snprintf(line, CRASH_LINE_SIZE, "replica %u has caught up, at position %lu",
		    c->victim, c->caught_up_at);
		return;
	case CRASH_CAUGHT_UP:
		return;
	}
}

void
crash_end(struct crash *c, uint64_t end_ns)
{
	struct silences common = {0};
	if (c->state == CRASH_WAITING)
		return;
	recovery_end(&c->recovery);
	c->view_after = view_common(c);
	silences_add(&common, c->killed_ns, end_ns);
	for (uint32_t i = c->config.replicas_count; i < c->config.nodes_count; i++) {
		struct silences seen;
		node_silences(&c->config.nodes[i], end_ns, &seen);
		silences_meet(&common, &seen);
	}
	c->gap = silences_longest(&common);
}
