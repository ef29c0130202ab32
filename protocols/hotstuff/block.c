/* SPDX-License-Identifier: Apache-2.0 */
/* See block.h. */
#include "protocols/hotstuff/block.h"

/* ---- what is a block -------------------------------------------------------------- */

uint32_t
block_head_size_max(uint32_t quorum)
{
	return (uint32_t)sizeof(struct block_head) + qc_signatures_size(quorum) + tc_size(quorum);
}

/*
 * How its view was entered: by the QC of the view before, or by a TC that leads
 * there. One of them, never both: there is one way to write a block.
 */
static bool
entry_is_proven(const struct member *me, const struct proposal *p)
{
	uint64_t view = p->head.view;
	if (p->head.has_tc == 0)
		return p->head.justify.view + 1 == view;
	return p->head.has_tc == 1 && p->head.justify.view + 1 != view &&
	       p->tc.head.view >= p->head.justify.view &&
	       hotstuff_view_after(&me->config, p->tc.head.view) == view;
}

bool
block_read(const struct member *me, const struct message *m, struct proposal *p)
{
	struct reader reader = {m->body, m->body_size};
	if (!reader_take(&reader, &p->head, sizeof(p->head)))
		return false;
	p->justify.head = p->head.justify;
	if (!qc_read(me, &reader, &p->justify))
		return false;
	if (p->head.has_tc == 1 && !tc_read(me, &reader, &p->tc))
		return false;
	/* "parent and justify are consistent": the parent is what justify certifies. */
	if (p->head.height == 0 || p->head.height - 1 != p->head.justify.height ||
	    p->head.view <= p->head.justify.view)
		return false;
	if (m->header->view != p->head.view || m->header->seq != p->head.height)
		return false;
	p->batch = reader.at;
	p->batch_size = reader.left;
	return p->batch_size <= me->config.batch_size_max && entry_is_proven(me, p);
}

/* ---- places ------------------------------------------------------------------------ */

struct layout {
	size_t heads, bodies, end;
	size_t full_size, light_size;
	uint32_t heads_count;
};

static struct layout
layout_of(const struct protocol_config *config, const struct tree_places *places)
{
	struct layout l = {.heads_count = 1};
	uint32_t count = places->full + places->light;
	uint32_t head = block_head_size_max(quorum_size(config->replicas_count, config->faults));
	while (l.heads_count < 2 * count)
		l.heads_count *= 2;
	l.full_size = bft_rounded((size_t)head + config->batch_size_max);
	l.light_size = bft_rounded(head);
	l.heads = bft_rounded(count * sizeof(struct block));
	l.bodies = l.heads + bft_rounded(l.heads_count * sizeof(uint32_t));
	l.end = l.bodies + places->full * l.full_size + places->light * l.light_size;
	return l;
}

size_t
tree_size(const struct protocol_config *config, const struct tree_places *places)
{
	return layout_of(config, places).end;
}

void
tree_init(struct tree *t, const struct protocol_config *config, const struct tree_places *places,
    void *memory)
{
	struct layout l = layout_of(config, places);
	uint8_t *base = memory;
	check((uintptr_t)memory % 64 == 0);
	*t = (struct tree){
	    .blocks = memory,
	    .heads = (uint32_t *)(void *)(base + l.heads),
	    .bodies = base + l.bodies,
	    .heads_mask = l.heads_count - 1,
	    .full_count = places->full,
	    .places_count = places->full + places->light,
	    .full_size = l.full_size,
	    .light_size = l.light_size,
	};
	for (uint32_t i = t->places_count; i > 0; i--) {
		uint32_t *list = i <= t->full_count ? &t->full_free : &t->light_free;
		t->blocks[i - 1].next = *list;
		*list = i;
	}
}

static uint32_t *
head_of(const struct tree *t, const uint8_t *digest32)
{
	uint32_t word;
	memcpy(&word, digest32, sizeof(word));
	return &t->heads[word & t->heads_mask];
}

struct block *
tree_find(const struct tree *t, const uint8_t *digest32)
{
	for (uint32_t at = *head_of(t, digest32); at != 0; at = t->blocks[at - 1].next) {
		struct block *b = &t->blocks[at - 1];
		if (digest_equal(b->digest32, digest32))
			return b;
	}
	return NULL;
}

/* An empty block leaves places that hold a batch to others while it can. */
static uint32_t *
free_list(struct tree *t, bool batch)
{
	return !batch && t->light_free != 0 ? &t->light_free : &t->full_free;
}

struct block *
tree_add(struct tree *t, const struct message *m, const struct proposal *p)
{
	uint32_t *list = free_list(t, p->batch_size > 0);
	check(tree_find(t, m->header->digest) == NULL);
	if (*list == 0)
		return NULL;
	uint32_t place = *list;
	struct block *b = &t->blocks[place - 1];
	check(!b->used);
	*list = b->next;
	*b = (struct block){
	    .justify = p->head.justify,
	    .view = p->head.view,
	    .height = p->head.height,
	    .tc_high = p->head.has_tc != 0 ? tc_high(&p->tc) : 0,
	    .body_size = m->body_size,
	    .batch_at = m->body_size - p->batch_size,
	    .batch_size = p->batch_size,
	    .used = true,
	    .pushed = p->batch_size > 0 || p->head.has_tc != 0,
	};
	check(m->body_size <= (place <= t->full_count ? t->full_size : t->light_size));
	memcpy(b->digest32, m->header->digest, sizeof(b->digest32));
	memcpy(tree_body(t, b), m->body, m->body_size);
	uint32_t *head = head_of(t, b->digest32);
	b->next = *head;
	*head = place;
	t->used_count++;
	return b;
}

void
tree_remove(struct tree *t, struct block *b)
{
	uint32_t place = (uint32_t)(b - t->blocks) + 1;
	uint32_t *at = head_of(t, b->digest32);
	check(b->used);
	while (*at != place)
		at = &t->blocks[*at - 1].next;
	*at = b->next;
	uint32_t *list = place <= t->full_count ? &t->full_free : &t->light_free;
	*b = (struct block){.next = *list};
	*list = place;
	t->used_count--;
}

void
tree_prune(struct tree *t, uint64_t height)
{
	for (uint32_t i = 0; i < t->places_count; i++) {
		if (t->blocks[i].used && t->blocks[i].height <= height)
			tree_remove(t, &t->blocks[i]);
	}
}

/* ---- room ---------------------------------------------------------------------------- */

static void
branches_mark(struct tree *t, const struct tree_keep *keep)
{
	for (uint32_t i = 0; i < t->places_count; i++)
		t->blocks[i].marked = t->blocks[i].committed;
	for (uint32_t i = 0; i < keep->branches_count; i++) {
		struct block *b = tree_find(t, keep->branches[i].digest32);
		while (b != NULL && b->height > keep->executed) {
			b->marked = true;
			b = tree_parent(t, b);
		}
	}
}

/* Does `a` go before `b`? What has been executed by height, the rest by view. */
static bool
goes_first(const struct block *a, const struct block *b, uint64_t executed)
{
	bool a_old = a->height <= executed;
	bool b_old = b->height <= executed;
	if (a_old != b_old)
		return a_old;
	return a_old ? a->height < b->height : a->view < b->view;
}

bool
tree_make_room(struct tree *t, bool batch, const struct tree_keep *keep)
{
	struct block *victim = NULL;
	if (*free_list(t, batch) != 0)
		return true;
	branches_mark(t, keep);
	/* A place for a batch serves both; one without does not serve a batch. */
	uint32_t end = batch ? t->full_count : t->places_count;
	for (uint32_t i = 0; i < end; i++) {
		struct block *b = &t->blocks[i];
		check(b->used || !batch);
		if (!b->used || (b->marked && b->height > keep->executed))
			continue;
		if (victim == NULL || goes_first(b, victim, keep->executed))
			victim = b;
	}
	if (victim == NULL)
		return false;
	tree_remove(t, victim);
	return true;
}

void
tree_audit(const struct tree *t)
{
	uint32_t used = 0;
	for (uint32_t i = 0; i < t->places_count; i++) {
		const struct block *b = &t->blocks[i];
		if (!b->used)
			continue;
		used++;
		check(tree_find(t, b->digest32) == b);
		check(b->height == b->justify.height + 1);
		check(b->view > b->justify.view);
		check(b->batch_at + b->batch_size == b->body_size);
		check(i < t->full_count || b->batch_size == 0);
	}
	check(used == t->used_count);
}
