/* SPDX-License-Identifier: Apache-2.0 */
/* See decide.h. Pure; any core. */
#include "protocols/zyzzyva/decide.h"

#include "protocols/zyzzyva/mutant.h"

static bool
held_fits(const struct decide_config *config, const struct view_change_head *head)
{
	const struct commit_head *held = &head->held;
	if (held->signers == 0)
		return held->view == 0 && held->seq == 0 && digest_is_zero(held->history32) &&
		       (head->active == 0 || !RULE(ZYZZYVA_OLD_CERTIFICATE_WINS));
	return certificate_signers_fit(config->me, held->signers) && held->seq <= UINT64_MAX / 2 &&
	       (held->view == head->active ||
		   (!RULE(ZYZZYVA_OLD_CERTIFICATE_WINS) && held->view < head->active));
}

static bool
stable_fits(const struct decide_config *config, const struct stable_head *stable)
{
	if (stable->seq == 0)
		return stable->signers == 0 && digest_is_zero(stable->digest32) &&
		       digest_is_zero(stable->pair.state32) &&
		       digest_is_zero(stable->pair.history32);
	return certificate_signers_fit(config->me, stable->signers) &&
	       stable->seq % config->interval == 0 && stable->seq <= UINT64_MAX / 2;
}

bool
decide_parse(const struct decide_config *config, uint64_t view, const uint8_t *body, uint32_t size,
    struct view_change *c)
{
	const struct view_change_head *head = (const void *)body;
	if (size < sizeof(*head) || head->active >= view ||
	    head->entries_count > config->window_log || !held_fits(config, head) ||
	    !stable_fits(config, &head->stable))
		return false;
	uint64_t held = certificate_signatures_size(head->held.signers);
	uint64_t stable = certificate_stable_size(head->stable.signers);
	if (size != sizeof(*head) + held + stable + head->entries_count * 32)
		return false;
	c->head = head;
	c->held_signatures64 = body + sizeof(*head);
	c->stable_signatures = (const void *)(c->held_signatures64 + held);
	c->entries = (const uint8_t(*)[32])(c->held_signatures64 + held + stable);
	return true;
}

/* The member's h at seq, or NULL: it says nothing of it. */
static const uint8_t *
history_of(const struct view_change *c, uint64_t seq)
{
	uint64_t stable = c->head->stable.seq;
	if (seq == stable)
		return c->head->stable.pair.history32;
	if (seq < stable || seq - stable > c->head->entries_count)
		return NULL;
	return c->entries[seq - stable - 1];
}

/* Is a's certificate to be preferred? */
static bool
held_beats(const struct commit_head *a, const struct commit_head *b)
{
	if (a->signers == 0 || b->signers == 0)
		return a->signers != 0;
	if (RULE(ZYZZYVA_OLD_CERTIFICATE_WINS) && a->view != b->view)
		return a->view > b->view;
	return a->seq > b->seq;
}

static uint64_t
supporters(const struct view_change *set, uint32_t count, uint64_t group, const struct decision *at)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *history32 = history_of(&set[i], at->top);
		if ((group >> i & 1) != 0 && history32 != NULL &&
		    digest_equal(history32, at->top32))
			mask |= 1ull << i;
	}
	return mask;
}

/* The next seq as most of the group have it (among equals the lowest h): who has it so. */
static uint64_t
extension(const struct view_change *set, uint32_t count, uint64_t group, struct decision *next)
{
	uint64_t best = 0;
	struct decision candidate = *next;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *history32 = history_of(&set[i], next->top);
		if ((group >> i & 1) == 0 || history32 == NULL)
			continue;
		memcpy(candidate.top32, history32, 32);
		uint64_t mask = supporters(set, count, group, &candidate);
		bool more = quorum_count(mask) > quorum_count(best);
		bool equal = quorum_count(mask) == quorum_count(best);
		if (more || (equal && memcmp(history32, next->top32, 32) < 0)) {
			best = mask;
			memcpy(next->top32, history32, 32);
		}
	}
	return best;
}

void
decide_history(const struct decide_config *config, const struct view_change *set, uint32_t count,
    struct decision *d)
{
	const struct commit_head *held = &set[0].head->held;
	uint64_t group = 0;
	check(count >= config->me->quorum && count <= BFT_REPLICAS_MAX);
	d->start = 0;
	for (uint32_t i = 1; i < count; i++) {
		if (set[i].head->stable.seq > set[d->start].head->stable.seq)
			d->start = i;
		if (held_beats(&set[i].head->held, held))
			held = &set[i].head->held;
	}
	const struct stable_head *stable = &set[d->start].head->stable;
	bool beyond = held->seq > stable->seq;
	d->top = beyond ? held->seq : stable->seq;
	memcpy(d->top32, beyond ? held->history32 : stable->pair.history32, 32);
	for (uint32_t i = 0; i < count; i++) {
		if (set[i].head->active >= held->view)
			group |= 1ull << i;
	}
	for (group = supporters(set, count, group, d);;) {
		struct decision next = *d;
		next.top++;
		group = extension(set, count, group, &next);
		if (quorum_count(group) < quorum_weak(config->me->config.faults))
			break;
		*d = next;
	}
}
