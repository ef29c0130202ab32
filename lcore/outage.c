/* SPDX-License-Identifier: Apache-2.0 */
/* See outage.h. */
#include "lcore/outage.h"

#include "engine/check.h"

static uint64_t
length(const struct silence *s)
{
	return s->to_ns - s->from_ns;
}

void
silences_add(struct silences *s, uint64_t from_ns, uint64_t to_ns)
{
	check(from_ns <= to_ns);
	const struct silence added = {from_ns, to_ns};
	if (from_ns == to_ns)
		return;
	if (s->count < SILENCES_MAX) {
		s->list[s->count++] = added;
		return;
	}
	uint32_t shortest = 0;
	for (uint32_t i = 1; i < SILENCES_MAX; i++) {
		if (length(&s->list[i]) < length(&s->list[shortest]))
			shortest = i;
	}
	if (length(&added) > length(&s->list[shortest]))
		s->list[shortest] = added;
}

void
silences_meet(struct silences *s, const struct silences *other)
{
	struct silences met = {0};
	for (uint32_t i = 0; i < s->count; i++) {
		for (uint32_t j = 0; j < other->count; j++) {
			const struct silence *a = &s->list[i];
			const struct silence *b = &other->list[j];
			uint64_t from_ns = a->from_ns > b->from_ns ? a->from_ns : b->from_ns;
			uint64_t to_ns = a->to_ns < b->to_ns ? a->to_ns : b->to_ns;
			if (from_ns < to_ns)
				silences_add(&met, from_ns, to_ns);
		}
	}
	*s = met;
}

struct silence
silences_longest(const struct silences *s)
{
	struct silence longest = {0, 0};
	for (uint32_t i = 0; i < s->count; i++) {
		if (length(&s->list[i]) > length(&longest))
			longest = s->list[i];
	}
	return longest;
}

void
recovery_begin(struct recovery *r, uint64_t now_ns, uint64_t answers, double rate_before)
{
	*r = (struct recovery){.begin_ns = now_ns, .rate_before = rate_before};
	r->samples[r->count++] = (struct recovery_sample){now_ns, answers};
}

void
recovery_sample(struct recovery *r, uint64_t now_ns, uint64_t answers)
{
	enum { RING = RECOVERY_SAMPLES + 1 };
	check(r->count > 0);
	const struct recovery_sample *newest = &r->samples[(r->count - 1) % RING];
	if (r->back || now_ns - newest->at_ns < RECOVERY_SAMPLE_NS)
		return;
	r->samples[r->count++ % RING] = (struct recovery_sample){now_ns, answers};
	if (r->count <= RECOVERY_SAMPLES)
		return;
	/* The oldest one left: a window that lies after the fault as a whole. */
	const struct recovery_sample *oldest = &r->samples[r->count % RING];
	double seconds = (double)(now_ns - oldest->at_ns) / 1e9;
	double rate = (double)(answers - oldest->answers) / seconds;
	bool enough = rate * 100 >= r->rate_before * RECOVERY_PERCENT;
	r->dipped |= !enough;
	r->back = r->dipped && enough;
	if (r->back)
		r->back_ns = now_ns;
}

void
recovery_end(struct recovery *r)
{
	if (r->dipped || r->back || r->count <= RECOVERY_SAMPLES)
		return;
	r->back = true;
	r->back_ns = r->begin_ns;
}
