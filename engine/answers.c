/* SPDX-License-Identifier: Apache-2.0 */
/* See answers.h. The executor's core. */
#include "engine/answers.h"

static uint32_t
pillar_of(const struct answers *a, uint32_t instance)
{
	return instance % a->links_count;
}

static void
parcel_send(struct answers *a, uint32_t pillar)
{
	struct lane *lane = &a->links[pillar].answers;
	struct parcel *p = a->filling[pillar];
	p->frontier = a->shard->frontier;
	p->read = 0;
	a->filling[pillar] = NULL;
	a->told[pillar] = p->frontier;
	a->counters.parcels++;
	lane->give(lane->self, p);
}

/* A parcel with room for so many bytes; NULL: the pillar has all of them. */
static struct parcel *
parcel_for(struct answers *a, uint32_t pillar, uint32_t size)
{
	struct lane *empty = &a->links[pillar].answers_empty;
	struct parcel *p = a->filling[pillar];
	if (p != NULL && parcel_room(p) >= size)
		return p;
	if (p != NULL)
		parcel_send(a, pillar);
	p = empty->take(empty->self);
	if (p == NULL) {
		a->counters.waits++;
		return NULL;
	}
	p->used = 0;
	check(parcel_room(p) >= size);
	a->filling[pillar] = p;
	return p;
}

static uint32_t
result_size(const struct result *result)
{
	return (uint32_t)sizeof(*result) + parcel_padded(result->size);
}

/* Writes as many results as the parcel holds, one at least. */
static void
results_write(struct parcel *p, struct slice *slice, uint32_t asks)
{
	uint32_t first = p->used;
	uint32_t room = parcel_room(p) - (uint32_t)sizeof(struct parcel_answer);
	uint32_t count = 0;
	for (uint32_t i = slice->next; i < slice->count; i++) {
		uint32_t size = result_size(&slice->list[i]);
		if (size > room)
			break;
		room -= size;
		count++;
	}
	check(count > 0);
	struct parcel_answer *answer = parcel_add(p, sizeof(*answer));
	struct result *results = parcel_add(p, count * (uint32_t)sizeof(*results));
	for (uint32_t i = 0; i < count; i++) {
		results[i] = slice->list[slice->next++];
		uint8_t *data = parcel_add(p, results[i].size);
		if (results[i].size > 0)
			memcpy(data, results[i].data, results[i].size);
		results[i].data = data;
	}
	*answer = (struct parcel_answer){
	    .kind = PARCEL_RESULTS,
	    .size = p->used - first,
	    .instance = (uint16_t)slice->machine,
	    .results_count = count,
	    .asks = asks,
	    .seq = slice->seq,
	};
}

bool
answers_slice(struct answers *a, struct slice *slice)
{
	if (a->links_count == 0)
		return slice_step(slice, a->shard);
	uint32_t head = sizeof(struct parcel_answer);
	while (!slice_done(slice)) {
		uint32_t first = result_size(&slice->list[slice->next]);
		struct parcel *p = parcel_for(a, pillar_of(a, slice->machine), head + first);
		if (p == NULL)
			return false;
		results_write(p, slice, a->asks[slice->machine]);
	}
	return true;
}

bool
answers_room(struct answers *a, uint32_t instance)
{
	if (a->links_count == 0)
		return shard_room(a->shard, 0);
	return parcel_for(a, pillar_of(a, instance), sizeof(struct parcel_answer)) != NULL;
}

static struct parcel_answer *
answer_add(struct answers *a, uint32_t instance)
{
	struct parcel *p = a->filling[pillar_of(a, instance)];
	struct parcel_answer *answer = parcel_add(p, sizeof(*answer));
	*answer = (struct parcel_answer){
	    .size = sizeof(*answer),
	    .instance = (uint16_t)instance,
	    .asks = a->asks[instance],
	};
	return answer;
}

void
answers_last(struct answers *a, uint32_t instance, uint64_t seq, const uint8_t *digest32)
{
	if (a->links_count == 0) {
		struct event event = {
		    .type = EVENT_EXECUTED,
		    .now_ns = a->shard->now_ns,
		    .frontier = a->shard->frontier,
		    .executed = {.seq = seq, .state_digest32 = digest32, .last = true},
		};
		shard_step(a->shard, instance, &event);
		return;
	}
	struct parcel_answer *answer = answer_add(a, instance);
	answer->kind = PARCEL_LAST;
	answer->seq = seq;
	answer->checkpoint = digest32 != NULL;
	if (digest32 != NULL)
		memcpy(answer->digest32, digest32, sizeof(answer->digest32));
}

void
answers_moved(struct answers *a, uint32_t instance, const struct moved *moved, uint64_t frontier)
{
	if (a->links_count == 0) {
		struct event event = {
		    .type = EVENT_STATE,
		    .now_ns = a->shard->now_ns,
		    .frontier = frontier,
		    .moved = *moved,
		};
		shard_step(a->shard, instance, &event);
		return;
	}
	struct parcel_answer *answer = answer_add(a, instance);
	answer->kind = PARCEL_STATE;
	answer->seq = moved->seq;
	answer->done = moved->done;
	answer->moves = ++a->moves[instance];
	answer->checkpoint = moved->state_digest32 != NULL;
	if (answer->checkpoint)
		memcpy(answer->digest32, moved->state_digest32, sizeof(answer->digest32));
}

/* Has the pillar an instance that has not delivered what another one has? */
static bool
behind(const struct answers *a, uint32_t pillar, const struct merge *merge)
{
	for (uint32_t i = pillar; i < merge->instances_count; i += a->links_count) {
		if (merge->slots_next[i] <= merge->frontier)
			return true;
	}
	return false;
}

bool
answers_flush(struct answers *a, const struct merge *merge)
{
	bool told = true;
	for (uint32_t i = 0; i < a->links_count; i++) {
		bool news = a->told[i] < merge->frontier && behind(a, i, merge);
		if (a->filling[i] != NULL || (news && parcel_for(a, i, 0) != NULL))
			parcel_send(a, i);
		else
			told &= !news;
	}
	return told;
}
