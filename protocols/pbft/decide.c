/* SPDX-License-Identifier: Apache-2.0 */
/* See decide.h. Pure; any core. */
#include "protocols/pbft/decide.h"

#include <string.h>

#include "engine/check.h"
#include "protocols/pbft/mutant.h"

/* Ascending, above `low`, at most `high`, views below `view`; strictly where one each. */
static bool
entries_valid(const struct view_change_entry *list, uint32_t count, uint64_t low, uint64_t high)
{
	uint64_t last = low;
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].seq < last || list[i].seq > high)
			return false;
		last = list[i].seq;
	}
	return true;
}

static bool
views_valid(const struct view_change_entry *list, uint32_t count, uint64_t view)
{
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].view >= view)
			return false;
	}
	return true;
}

static bool
seqs_differ(const struct view_change_entry *list, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		if (list[i].seq == list[i - 1].seq)
			return false;
	}
	return true;
}

bool
view_change_parse(const struct decide_config *config, uint64_t view, const uint8_t *body,
    uint32_t size, struct view_change *c)
{
	const struct view_change_head *head = (const void *)body;
	if (size < sizeof(*head))
		return false;
	uint64_t entries =
	    (uint64_t)head->checkpoints_count + head->prepared_count + head->preprepared_count;
	if (size != sizeof(*head) + entries * sizeof(struct view_change_entry))
		return false;
	if (head->stable > UINT64_MAX / 2 || head->stable % config->interval != 0)
		return false;
	c->stable = head->stable;
	c->checkpoints = (const void *)(body + sizeof(*head));
	c->checkpoints_count = head->checkpoints_count;
	c->prepared = c->checkpoints + c->checkpoints_count;
	c->prepared_count = head->prepared_count;
	c->preprepared = c->prepared + c->prepared_count;
	c->preprepared_count = head->preprepared_count;
	uint64_t high = c->stable + config->window_log;
	return entries_valid(
		   c->checkpoints, c->checkpoints_count, c->stable, high + config->interval) &&
	       seqs_differ(c->checkpoints, c->checkpoints_count) &&
	       entries_valid(c->prepared, c->prepared_count, c->stable + 1, high) &&
	       seqs_differ(c->prepared, c->prepared_count) &&
	       views_valid(c->prepared, c->prepared_count, view) &&
	       entries_valid(c->preprepared, c->preprepared_count, c->stable + 1, high) &&
	       views_valid(c->preprepared, c->preprepared_count, view);
}

/* Index of the first entry of seq, or `count`. */
static uint32_t
entries_at(const struct view_change_entry *list, uint32_t count, uint64_t seq)
{
	uint32_t low = 0;
	uint32_t high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (list[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && list[low].seq == seq ? low : count;
}

/* "The primary selects the checkpoint with the highest number h such that ..." */
static bool
start_fits(const struct decide_config *config, const struct view_change *set, uint32_t count,
    const struct view_change_entry *candidate)
{
	uint32_t below = 0;
	uint32_t vouching = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct view_change *c = &set[i];
		uint32_t at = entries_at(c->checkpoints, c->checkpoints_count, candidate->seq);
		below += c->stable <= candidate->seq;
		vouching += at < c->checkpoints_count &&
			    memcmp(c->checkpoints[at].digest32, candidate->digest32, 32) == 0;
	}
	return below >= config->quorum && vouching >= config->weak;
}

static bool
start_choose(const struct decide_config *config, const struct view_change *set, uint32_t count,
    struct decision *d)
{
	bool any = false;
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < set[i].checkpoints_count; j++) {
			const struct view_change_entry *e = &set[i].checkpoints[j];
			if (any && e->seq <= d->start)
				continue;
			if (!start_fits(config, set, count, e))
				continue;
			any = true;
			d->start = e->seq;
			memcpy(d->start32, e->digest32, 32);
		}
	}
	return any;
}

/*
 * A1: "2f+1 messages m' in S such that m'.h < n, and for all (n, d', v') in m'.P:
 * v' < v, or v' = v and d' = d".
 */
static bool
nothing_newer(const struct decide_config *config, const struct view_change *set, uint32_t count,
    const struct view_change_entry *e)
{
	uint32_t agreeing = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct view_change *c = &set[i];
		if (c->stable >= e->seq)
			continue;
		uint32_t at = entries_at(c->prepared, c->prepared_count, e->seq);
		const struct view_change_entry *other = &c->prepared[at];
		agreeing +=
		    at == c->prepared_count || other->view < e->view ||
		    (other->view == e->view && memcmp(other->digest32, e->digest32, 32) == 0);
	}
	return agreeing >= config->quorum;
}

/* A2: "f+1 messages m' in S: there is (n, d', v') in m'.Q: v' >= v and d' = d". */
static bool
vouched_for(const struct decide_config *config, const struct view_change *set, uint32_t count,
    const struct view_change_entry *e)
{
	uint32_t vouching = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct view_change *c = &set[i];
		uint32_t at = entries_at(c->preprepared, c->preprepared_count, e->seq);
		for (; at < c->preprepared_count && c->preprepared[at].seq == e->seq; at++) {
			if (c->preprepared[at].view >= e->view &&
			    memcmp(c->preprepared[at].digest32, e->digest32, 32) == 0) {
				vouching++;
				break;
			}
		}
	}
	return vouching >= config->weak || !RULE(PBFT_A2_IGNORED);
}

/* B: "2f+1 messages m in S such that m.h < n and m.P has no entry for n". */
static bool
nothing_there(
    const struct decide_config *config, const struct view_change *set, uint32_t count, uint64_t seq)
{
	uint32_t empty = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct view_change *c = &set[i];
		empty += c->stable < seq &&
			 entries_at(c->prepared, c->prepared_count, seq) == c->prepared_count;
	}
	return empty >= config->quorum;
}

static bool
slot_choose(const struct decide_config *config, const struct view_change *set, uint32_t count,
    uint64_t seq, uint8_t *chosen32)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = entries_at(set[i].prepared, set[i].prepared_count, seq);
		if (at == set[i].prepared_count)
			continue;
		const struct view_change_entry *e = &set[i].prepared[at];
		bool fits = nothing_newer(config, set, count, e) || !RULE(PBFT_FIRST_SEEN);
		if (fits && vouched_for(config, set, count, e)) {
			memcpy(chosen32, e->digest32, 32);
			if (!RULE(PBFT_PREPARED_DROPPED))
				memset(chosen32, 0, 32);
			return true;
		}
	}
	memset(chosen32, 0, 32);
	return nothing_there(config, set, count, seq);
}

static uint64_t
last_prepared(const struct decide_config *config, const struct view_change *set, uint32_t count,
    uint64_t start)
{
	uint64_t last = start;
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = set[i].prepared_count; j > 0; j--) {
			uint64_t seq = set[i].prepared[j - 1].seq;
			/* What a correct replica prepared lies within the window above the start.
			 */
			if (seq > start + config->window_log)
				continue;
			last = seq > last ? seq : last;
			break;
		}
	}
	return last;
}

bool
decide(const struct decide_config *config, const struct view_change *set, uint32_t count,
    struct decision *d)
{
	check(config->window_log <= DECIDE_WINDOW_MAX);
	d->start = 0;
	if (count < config->quorum || !start_choose(config, set, count, d))
		return false;
	d->chosen_count = last_prepared(config, set, count, d->start) - d->start;
	check(d->chosen_count <= config->window_log);
	for (uint64_t i = 0; i < d->chosen_count; i++) {
		if (!slot_choose(config, set, count, d->start + 1 + i, d->chosen32[i]))
			return false;
	}
	return true;
}
