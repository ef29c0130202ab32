/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P24: PBFT's agreement, explored to the end: four replicas, one sequence number, two
 * batches and the null batch, views 0 to 2, one replica Byzantine. Every state that
 * can be reached is visited once (depth first, a hash table of what was seen), and
 * in none of them have two different batches q COMMITs each.
 *
 * The new views' choices are made by decide.c itself, over every set of VIEW-CHANGEs
 * that there can be. What replicas do between view changes is a model of order.c
 * and view_change.c: accept, prepare, commit, learn what others committed, leave for
 * any higher view, enter any view for which some set decides.
 *
 * The network is as bad as it can be: what was said once can arrive at any time, in
 * any order, or never. So a state is what correct replicas have said; a step is
 * possible when messages that allow it exist. The Byzantine replica has said
 * everything that it can sign: every vote, and VIEW-CHANGEs with any P and any Q.
 * NEW-VIEWs need nobody's honesty here: each replica enters a view on any choice that
 * some set justifies, whoever is primary. That is more than can happen.
 *
 * That replicas adopt what f + 1 backups have prepared adds nothing: one of these is
 * correct, and here whoever can hear a proposal at all can hear it at any time.
 *
 * Two reductions, both exact: the batches have no names, so one of two states that
 * differ in those alone stands for both; and what no step can ask for any more is
 * forgotten. The null batch comes by choice of a new view, or by a lie in P.
 *
 * Not in it: checkpoints (the window does not move), batches that are not at hand
 * (which only keeps a replica from going on), and replicas that lose their memory.
 */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "protocols/pbft/decide.h"
#include "protocols/pbft/mutant.h"

enum {
	REPLICAS = 4,
	CORRECT = 3,
	VIEWS = 3,
	WEAK = 2,     /* f + 1 */
	INTERVAL = 8, /* more than the one sequence number */
	STACK_GROWTH = 1 << 16,
};

/* What may be at the sequence number. */
enum value { NOTHING, BATCH_A, BATCH_B, NULL_BATCH, VALUES };

/* P, alone or in a VIEW-CHANGE. */
struct prepared {
	unsigned value : 2; /* NOTHING: none */
	unsigned view : 2;
};

/* A correct replica: what it has said, and where it is. 32 bits. */
struct replica {
	unsigned view : 2;
	unsigned active : 1;
	unsigned accepted0 : 2; /* in each view, and sent a PREPARE for, unless it is primary */
	unsigned accepted1 : 2;
	unsigned accepted2 : 2;
	unsigned committing : VIEWS; /* views in which it has sent COMMIT, mask */
	unsigned p_value : 2;
	unsigned p_view : 2;
	unsigned changed : 2; /* bit 0: has sent VIEW-CHANGE for view 1, bit 1: for 2 */
	unsigned change1_value : 2;
	unsigned change1_view : 2;
	unsigned change2_value : 2;
	unsigned change2_view : 2;
	unsigned unused : 6;
};
static_assert(sizeof(struct replica) == 4, "a word");

struct state {
	struct replica replicas[CORRECT];
	uint32_t marked; /* 1: so that no state is all zero bytes */
};
static_assert(sizeof(struct state) == 16, "the key of the table, no padding");

struct explorer {
	uint32_t quorum;
	unsigned liar;		    /* which of the four is Byzantine */
	unsigned identity[CORRECT]; /* of the correct ones */
	struct state *table;	    /* open addressing */
	uint64_t table_mask;
	uint64_t states;
	uint64_t steps;
	struct state *stack;
	uint64_t stack_count;
	uint64_t stack_capacity;
	uint8_t *choices[VIEWS]; /* by the VIEW-CHANGEs sent: DECIDED | which choices */
	uint64_t decisions;	 /* calls of decide() */
	bool broken;		 /* two batches have q COMMITs each */
};

enum { CHANGE_BITS = 9, DECIDED = 1 << VALUES };

/* ---- a replica's words --------------------------------------------------------------- */

static unsigned
accepted(const struct replica *r, unsigned view)
{
	return view == 0 ? r->accepted0 : view == 1 ? r->accepted1 : r->accepted2;
}

static void
accept(struct replica *r, unsigned view, unsigned value)
{
	check(accepted(r, view) == NOTHING);
	if (view == 0)
		r->accepted0 = value & 3;
	else if (view == 1)
		r->accepted1 = value & 3;
	else
		r->accepted2 = value & 3;
}

static struct prepared
change_of(const struct replica *r, unsigned view)
{
	return view == 1 ? (struct prepared){r->change1_value, r->change1_view}
			 : (struct prepared){r->change2_value, r->change2_view};
}

static bool
has_changed(const struct replica *r, unsigned view)
{
	return view > 0 && (r->changed >> (view - 1) & 1) != 0;
}

/* ---- the table of states --------------------------------------------------------------- */

static uint64_t
state_hash(const struct state *s)
{
	uint64_t words[2];
	memcpy(words, s, sizeof(words));
	uint64_t hash = (words[0] ^ words[1] * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
	hash ^= hash >> 32;
	return (hash * 0xd6e8feb86659fd93ull) ^ hash >> 29;
}

static struct state *
table_place(const struct explorer *x, const struct state *s)
{
	uint64_t at = state_hash(s) & x->table_mask;
	while (x->table[at].marked != 0 && memcmp(&x->table[at], s, sizeof(*s)) != 0)
		at = (at + 1) & x->table_mask;
	return &x->table[at];
}

static void
table_grow(struct explorer *x)
{
	struct state *old = x->table;
	uint64_t count = x->table_mask + 1;
	x->table = calloc(2 * count, sizeof(*x->table));
	check(x->table != NULL);
	x->table_mask = 2 * count - 1;
	for (uint64_t i = 0; i < count; i++) {
		if (old[i].marked != 0)
			*table_place(x, &old[i]) = old[i];
	}
	free(old);
}

/* What nothing can ask for any more is forgotten, so that states that differ in it are one. */
static void
state_forget(struct state *s)
{
	bool enters[VIEWS] = {false}; /* somebody may still enter that view */
	for (unsigned i = 0; i < CORRECT; i++) {
		struct replica *r = &s->replicas[i];
		for (unsigned view = 1; view < VIEWS; view++)
			enters[view] |= r->view < view || (r->view == view && !r->active);
		/* There is no VIEW-CHANGE beyond the last view. */
		if (r->view == VIEWS - 1)
			r->p_value = r->p_view = 0;
	}
	for (unsigned i = 0; i < CORRECT; i++) {
		struct replica *r = &s->replicas[i];
		if (!enters[1]) {
			r->changed &= 2;
			r->change1_value = r->change1_view = 0;
		}
		if (!enters[2]) {
			r->changed &= 1;
			r->change2_value = r->change2_view = 0;
		}
	}
}

static unsigned
swapped(unsigned value)
{
	return (value == BATCH_A ? BATCH_B : value == BATCH_B ? BATCH_A : value) & 3;
}

/* The batches have no names: of two states that differ in those alone, the lesser. */
static void
state_name(struct state *s)
{
	struct state other = *s;
	for (unsigned i = 0; i < CORRECT; i++) {
		struct replica *r = &other.replicas[i];
		r->accepted0 = swapped(r->accepted0) & 3;
		r->accepted1 = swapped(r->accepted1) & 3;
		r->accepted2 = swapped(r->accepted2) & 3;
		r->p_value = swapped(r->p_value) & 3;
		r->change1_value = swapped(r->change1_value) & 3;
		r->change2_value = swapped(r->change2_value) & 3;
	}
	if (memcmp(&other, s, sizeof(other)) < 0)
		*s = other;
}

/* A state that a step leads to: to be visited, if it is new. */
static void
state_reach(struct explorer *x, const struct state *reached)
{
	struct state normal = *reached;
	const struct state *s = &normal;
	state_forget(&normal);
	state_name(&normal);
	struct state *place = table_place(x, s);
	x->steps++;
	if (place->marked != 0)
		return;
	*place = *s;
	if (++x->states > x->table_mask / 2)
		table_grow(x);
	if (x->stack_count == x->stack_capacity) {
		x->stack_capacity += STACK_GROWTH + x->stack_capacity / 2;
		x->stack = realloc(x->stack, x->stack_capacity * sizeof(*x->stack));
		check(x->stack != NULL);
	}
	x->stack[x->stack_count++] = *s;
}

/* ---- what enough replicas say ------------------------------------------------------------ */

/* Backups that sent a PREPARE for it; the liar is one of them, if it is no primary there. */
static uint32_t
prepares(const struct explorer *x, const struct state *s, unsigned view, unsigned value)
{
	uint32_t count = x->liar != view % REPLICAS;
	for (unsigned i = 0; i < CORRECT; i++)
		count +=
		    x->identity[i] != view % REPLICAS && accepted(&s->replicas[i], view) == value;
	return count;
}

static uint32_t
commits(const struct state *s, unsigned view, unsigned value)
{
	uint32_t count = 1; /* the liar's */
	for (unsigned i = 0; i < CORRECT; i++)
		count += (s->replicas[i].committing >> view & 1) != 0 &&
			 accepted(&s->replicas[i], view) == value;
	return count;
}

/* Two batches are committed: agreement is broken. */
static void
agreement_judge(struct explorer *x, const struct state *s)
{
	unsigned found = NOTHING;
	for (unsigned view = 0; view < VIEWS; view++) {
		for (unsigned value = BATCH_A; value < VALUES; value++) {
			if (commits(s, view, value) < x->quorum)
				continue;
			x->broken |= found != NOTHING && found != value;
			found = value;
		}
	}
}

/* ---- new views: what decide.c makes of each set -------------------------------------------- */

/* A VIEW-CHANGE as decide() takes it. */
struct paper {
	struct view_change change;
	struct view_change_entry checkpoint;
	struct view_change_entry prepared;
	struct view_change_entry preprepared[VALUES * VIEWS];
};

static struct view_change_entry
entry(unsigned view, unsigned value)
{
	struct view_change_entry e = {.seq = 1, .view = view};
	/* The null batch has the digest zero. */
	memset(e.digest32, value == NULL_BATCH ? 0 : (int)value, sizeof(e.digest32));
	return e;
}

static void
paper_begin(struct paper *p)
{
	memset(p, 0, sizeof(*p));
	p->change.checkpoints = &p->checkpoint;
	p->change.checkpoints_count = 1;
	p->change.prepared = &p->prepared;
	p->change.preprepared = p->preprepared;
}

static void
paper_prepared(struct paper *p, unsigned view, unsigned value)
{
	p->prepared = entry(view, value);
	p->change.prepared_count = 1;
}

static void
paper_preprepared(struct paper *p, unsigned view, unsigned value)
{
	p->preprepared[p->change.preprepared_count++] = entry(view, value);
}

/* The correct replica's: its P when it left, and for Q all that it accepted before. */
static void
paper_write(struct paper *p, const struct replica *r, unsigned view)
{
	struct prepared prepared = change_of(r, view);
	paper_begin(p);
	if (prepared.value != NOTHING)
		paper_prepared(p, prepared.view, prepared.value);
	for (unsigned v = 0; v < view; v++) {
		if (accepted(r, v) != NOTHING)
			paper_preprepared(p, v, accepted(r, v));
	}
}

/* The liar's number `which` for the view: any P, and any view or none for each value in Q. */
static bool
paper_lie(struct paper *p, unsigned view, unsigned which)
{
	unsigned claims = 1 + view * (VALUES - 1);
	unsigned claim = which % claims;
	which /= claims;
	paper_begin(p);
	if (claim > 0)
		paper_prepared(p, (claim - 1) / (VALUES - 1), BATCH_A + (claim - 1) % (VALUES - 1));
	for (unsigned value = BATCH_A; value < VALUES; value++) {
		if (which % (view + 1) > 0)
			paper_preprepared(p, which % (view + 1) - 1, value);
		which /= view + 1;
	}
	return which == 0;
}

/* As view_change_parse() would: a P of no lower view than the change's is malformed. */
static bool
paper_counts(const struct replica *r, unsigned view)
{
	struct prepared prepared = change_of(r, view);
	return has_changed(r, view) && (prepared.value == NOTHING || prepared.view < view);
}

/* Bit 0: the set leaves the sequence number free; bit v: it chooses value v. */
static unsigned
choice_of(struct explorer *x, struct paper *const *papers, uint32_t count)
{
	static struct decision d;
	struct view_change set[REPLICAS];
	struct decide_config config = {
	    .quorum = x->quorum, .weak = WEAK, .interval = INTERVAL, .window_log = 2 * INTERVAL};
	for (uint32_t i = 0; i < count; i++)
		set[i] = papers[i]->change;
	x->decisions++;
	if (!decide(&config, set, count, &d))
		return 0;
	check(d.start == 0 && d.chosen_count <= 1);
	if (d.chosen_count == 0)
		return 1u << NOTHING;
	unsigned value = d.chosen32[0][0] == 0 ? NULL_BATCH : d.chosen32[0][0];
	check(value < VALUES);
	return 1u << value;
}

/* Of those members, in the order of their numbers; `lie` NULL: without the liar. */
static unsigned
choice_of_members(struct explorer *x, struct paper *honest, unsigned members, struct paper *lie)
{
	struct paper *papers[REPLICAS];
	uint32_t count = 0;
	for (unsigned identity = 0, i = 0; identity < REPLICAS; identity++) {
		if (identity == x->liar) {
			if (lie != NULL)
				papers[count++] = lie;
			continue;
		}
		if ((members >> i & 1) != 0)
			papers[count++] = &honest[i];
		i++;
	}
	return count < x->quorum ? 0 : choice_of(x, papers, count);
}

static unsigned
choices_find(struct explorer *x, const struct state *s, unsigned view)
{
	struct paper honest[CORRECT];
	struct paper lie;
	unsigned here = 0;
	unsigned choices = 0;
	for (unsigned i = 0; i < CORRECT; i++) {
		if (paper_counts(&s->replicas[i], view)) {
			paper_write(&honest[i], &s->replicas[i], view);
			here |= 1u << i;
		}
	}
	for (unsigned members = 1; members < 1u << CORRECT; members++) {
		if ((members & ~here) != 0)
			continue;
		choices |= choice_of_members(x, honest, members, NULL);
		for (unsigned which = 0; paper_lie(&lie, view, which); which++)
			choices |= choice_of_members(x, honest, members, &lie);
	}
	return choices;
}

/* What the VIEW-CHANGEs of this state justify, found once for the same ones. */
static unsigned
choices_of(struct explorer *x, const struct state *s, unsigned view)
{
	uint32_t key = 0;
	for (unsigned i = 0; i < CORRECT; i++) {
		const struct replica *r = &s->replicas[i];
		struct prepared p = change_of(r, view);
		uint32_t word = 0;
		if (paper_counts(r, view))
			word = 1u | (uint32_t)p.value << 1 | (uint32_t)p.view << 3 |
			       (uint32_t)r->accepted0 << 5 |
			       (view > 1 ? (uint32_t)r->accepted1 << 7 : 0);
		key = key << CHANGE_BITS | word;
	}
	uint8_t *found = &x->choices[view][key];
	if (*found == 0)
		*found = (uint8_t)(DECIDED | choices_find(x, s, view));
	return *found;
}

/* ---- steps ------------------------------------------------------------------------------- */

/* A pre-prepare: of the primary's own choice, of a correct primary's, or of a liar's. */
static void
step_accept(struct explorer *x, const struct state *s, unsigned i)
{
	const struct replica *r = &s->replicas[i];
	unsigned primary = r->view % REPLICAS;
	unsigned first = BATCH_A;
	unsigned last = BATCH_B;
	if (!r->active || accepted(r, r->view) != NOTHING)
		return;
	for (unsigned j = 0; j < CORRECT; j++) {
		if (j != i && x->identity[j] == primary)
			first = last = accepted(&s->replicas[j], r->view);
	}
	for (unsigned value = first; value <= last && value != NOTHING; value++) {
		struct state next = *s;
		accept(&next.replicas[i], r->view, value);
		state_reach(x, &next);
	}
}

static void
prepared_reach(struct explorer *x, const struct state *s, unsigned i, struct prepared p)
{
	struct state next = *s;
	struct replica *r = &next.replicas[i];
	r->committing |= 1u << r->view & 7u;
	/* A higher view of the same batch stays: order.c, slot_remember_prepared(). */
	if (r->p_value != p.value || r->p_view <= p.view) {
		r->p_value = p.value;
		r->p_view = p.view;
	}
	state_reach(x, &next);
}

/*
 * Prepared: by q - 1 PREPAREs, or because that very batch is known to be committed,
 * in one of the views in which it was, or by f + 1 that say so and not when.
 */
static void
step_prepare(struct explorer *x, const struct state *s, unsigned i)
{
	const struct replica *r = &s->replicas[i];
	unsigned value = accepted(r, r->view);
	bool known = false;
	if (!r->active || value == NOTHING || (r->committing >> r->view & 1) != 0)
		return;
	if (prepares(x, s, r->view, value) >= x->quorum - 1)
		prepared_reach(x, s, i, (struct prepared){value & 3, r->view});
	for (unsigned view = 0; view < VIEWS; view++) {
		if (commits(s, view, value) < x->quorum)
			continue;
		known = true;
		prepared_reach(x, s, i, (struct prepared){value & 3, view & 3});
	}
	if (known)
		prepared_reach(x, s, i, (struct prepared){value & 3, 0});
}

static void
step_leave(struct explorer *x, const struct state *s, unsigned i)
{
	for (unsigned view = s->replicas[i].view + 1u; view < VIEWS; view++) {
		struct state next = *s;
		struct replica *r = &next.replicas[i];
		r->view = view & 3;
		r->active = 0;
		r->changed |= 1u << (view - 1) & 3u;
		if (view == 1) {
			r->change1_value = r->p_value;
			r->change1_view = r->p_view;
		} else {
			r->change2_value = r->p_value;
			r->change2_view = r->p_view;
		}
		state_reach(x, &next);
	}
}

static void
step_enter(struct explorer *x, const struct state *s, unsigned i)
{
	const struct replica *r = &s->replicas[i];
	for (unsigned view = r->view > 0 ? r->view : 1; view < VIEWS; view++) {
		if (view == r->view && r->active)
			continue;
		unsigned choices = choices_of(x, s, view);
		for (unsigned value = NOTHING; value < VALUES; value++) {
			if ((choices >> value & 1) == 0)
				continue;
			struct state next = *s;
			next.replicas[i].view = view & 3;
			next.replicas[i].active = 1;
			if (value != NOTHING)
				accept(&next.replicas[i], view, value);
			state_reach(x, &next);
		}
	}
}

/* ---- the search ---------------------------------------------------------------------------- */

static void
explorer_open(struct explorer *x, unsigned liar, uint32_t quorum)
{
	memset(x, 0, sizeof(*x));
	x->quorum = quorum;
	x->liar = liar;
	for (unsigned identity = 0, i = 0; identity < REPLICAS; identity++) {
		if (identity != liar)
			x->identity[i++] = identity;
	}
	x->table_mask = (1u << 20) - 1;
	x->table = calloc(x->table_mask + 1, sizeof(*x->table));
	check(x->table != NULL);
	for (unsigned view = 1; view < VIEWS; view++) {
		x->choices[view] = calloc(1u << (CORRECT * CHANGE_BITS), 1);
		check(x->choices[view] != NULL);
	}
}

static void
explorer_close(struct explorer *x)
{
	free(x->table);
	free(x->stack);
	for (unsigned view = 1; view < VIEWS; view++)
		free(x->choices[view]);
}

/* Visits all that can be reached, or until agreement is broken. */
static void
explore(struct explorer *x)
{
	struct state s = {.marked = 1};
	for (unsigned i = 0; i < CORRECT; i++)
		s.replicas[i].active = 1;
	state_reach(x, &s);
	while (x->stack_count > 0 && !x->broken) {
		s = x->stack[--x->stack_count];
		agreement_judge(x, &s);
		for (unsigned i = 0; i < CORRECT; i++) {
			step_accept(x, &s, i);
			step_prepare(x, &s, i);
			step_leave(x, &s, i);
			step_enter(x, &s, i);
		}
	}
}

static void
agreement_holds(unsigned liar)
{
	struct explorer x;
	bft_mutant = BFT_RIGHT;
	explorer_open(&x, liar, 3);
	explore(&x);
	CU_ASSERT_FALSE(x.broken);
	CU_ASSERT(x.states > 1000);
	printf("%lu states, %lu steps, %lu decisions ", (unsigned long)x.states,
	    (unsigned long)x.steps, (unsigned long)x.decisions);
	fflush(stdout);
	explorer_close(&x);
}

static void
liar_leads_view_0(void)
{
	agreement_holds(0);
}

static void
liar_leads_view_1(void)
{
	agreement_holds(1);
}

static void
liar_leads_view_2(void)
{
	agreement_holds(2);
}

static void
liar_leads_nothing(void)
{
	agreement_holds(3);
}

/* The exploration is worth what it can find: a rule broken, and somewhere two batches commit. */
static void
mutant_is_found(unsigned mutant, uint32_t quorum)
{
	bool broken = false;
	bft_mutant = mutant;
	for (unsigned liar = 0; liar < REPLICAS && !broken; liar++) {
		struct explorer x;
		explorer_open(&x, liar, quorum);
		explore(&x);
		broken = x.broken;
		if (broken)
			printf("liar %u, after %lu states ", liar, (unsigned long)x.states);
		explorer_close(&x);
	}
	bft_mutant = BFT_RIGHT;
	CU_ASSERT(broken);
}

static void
quorum_short(void)
{
	mutant_is_found(BFT_RIGHT, 2);
}

static void
prepared_dropped(void)
{
	mutant_is_found(PBFT_PREPARED_DROPPED, 3);
}

static void
first_seen(void)
{
	mutant_is_found(PBFT_FIRST_SEEN, 3);
}

static void
a2_ignored(void)
{
	mutant_is_found(PBFT_A2_IGNORED, 3);
}

static const struct unit_story stories[] = {
    {"P24 agreement: the liar leads view 0", liar_leads_view_0},
    {"P24 agreement: the liar leads view 1", liar_leads_view_1},
    {"P24 agreement: the liar leads view 2", liar_leads_view_2},
    {"P24 agreement: the liar leads nothing", liar_leads_nothing},
    {"P24 found: a quorum one short", quorum_short},
    {"P24 found: a prepared batch is dropped", prepared_dropped},
    {"P24 found: the first batch seen, not the highest view's", first_seen},
    {"P24 found: A2 ignored", a2_ignored},
};

UNIT_MAIN("explore_pbft", stories)
