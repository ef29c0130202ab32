/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios that two suites tell: unit_scenarios_zyzzyva.c with the right protocol,
 * unit_mutants_zyzzyva.c with the rule broken that each is about. One thread.
 */
#ifndef OSKR_TESTS_ZYZZYVA_SCRIPTS_H
#define OSKR_TESTS_ZYZZYVA_SCRIPTS_H

#include "tests/scenario_rig.h"

#include "engine/batch.h"
#include "protocols/zyzzyva/decide.h"
#include "protocols/zyzzyva/zyzzyva.h"

enum { LIE_WITHOUT_LAST = 1, SLOT = 20 };

static inline uint64_t
figures_sum(const struct sim *sim, uint64_t nodes, const char *name)
{
	uint64_t sum = 0;
	for (uint64_t left = nodes; left != 0; left &= left - 1)
		sum += scenario_figure(sim, (uint16_t)__builtin_ctzll(left), name);
	return sum;
}

/* An ORDER-REQ's batch without its last request. */
static inline void
without_last(struct scenario_letter *l)
{
	struct lie_body body = {
	    l->letter->body + 32, l->letter->body_size - 32, l->letter->body_room - 32};
	if (lie_batch(l->sim, &body, NULL, LIE_WITHOUT_LAST))
		l->letter->body_size = body.size + 32;
}

/* ---- Z13: a primary that signs nothing ---------------------------------------------- */

/* Where checkpoints are far apart no certificate takes the signature's place. */
static const struct scenario never_signs_scenario = {
    .id = "Z13",
    .story = "the primary orders, and never signs what it has ordered",
    .mode = "zyzzyva",
    .faulty = R(0),
    .settings = {.checkpoint_interval = 512},
    .rules = {{.type = ZYZZYVA_STATEMENT,
	.from = R(0),
	.to = R(1) | R(2) | R(3),
	.view = SCENARIO_IS(0),
	.act = SCENARIO_DROP}},
    .expect = view_moved,
};

/* ---- Z15: one was told otherwise, and clients are left in the dark --------------------- */

static inline const char *
one_came_over(struct sim *sim)
{
	if (scenario_figure(sim, 1, "forks") == 0)
		return "the one that was told otherwise kept to its history";
	return view_kept(sim);
}

/*
 * Two backups have what the primary signs, one has what it got by MAC alone, and the
 * primary answers no client: there are two replies of one kind and one of another,
 * and nothing waits to be ordered.
 */
static const struct scenario doubt_scenario = {
    .id = "Z15",
    .story = "the primary tells one backup otherwise, signs what the others have, and is silent",
    .mode = "zyzzyva",
    .faulty = R(0),
    .lost = R(0),
    .settings = {.checkpoint_interval = 512},
    .rules =
	{
	    {.type = ZYZZYVA_ORDER_REQ,
		.from = R(0),
		.to = R(1),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_MUTATE,
		.mutate = without_last},
	    {.type = MESSAGE_REPLY,
		.from = R(0),
		.after = 1,
		.lasting = true,
		.act = SCENARIO_DROP},
	    {.type = BFT_REPLY_DIGEST,
		.from = R(0),
		.after = 1,
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	},
    .expect = one_came_over,
};

/* ---- Z16: neither q have the same, nor f + 1 know that they were betrayed ----------------------
 */

enum { ALL_BUT_LIARS = 0x3e }; /* R(1) to R(5) of seven */

static inline const char *
moved_by_doubt(struct sim *sim)
{
	if (figures_sum(sim, ALL_BUT_LIARS, "doubts") == 0)
		return "nobody doubted";
	return view_moved(sim);
}

/* Of seven, three have what the primary signs, two something else, and two are silent. */
static const struct scenario stalemate_scenario = {
    .id = "Z16",
    .story =
	"three have what the primary signs, two were told otherwise, and no client is answered",
    .mode = "zyzzyva",
    .faults = 2,
    .faulty = R(0) | R(6),
    .lost = R(0) | R(6),
    .settings = {.checkpoint_interval = 512},
    .rules =
	{
	    {.type = ZYZZYVA_ORDER_REQ,
		.from = R(0),
		.to = R(4) | R(5),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_MUTATE,
		.mutate = without_last},
	    {.from = R(6), .lasting = true, .act = SCENARIO_DROP},
	    {.type = MESSAGE_REPLY,
		.from = R(0),
		.after = 1,
		.lasting = true,
		.act = SCENARIO_DROP},
	    {.type = BFT_REPLY_DIGEST,
		.from = R(0),
		.after = 1,
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	},
    .expect = moved_by_doubt,
};

/* ---- Z01, Z02: the schedules of arXiv:1712.01367, section 3 -------------------------------- */

/*
 * Four replicas, of which R(0) lies; it, R(1) and R(2) are the primaries of views 0, 1
 * and 2. At one slot R(0) orders a batch, and for R(3) the same requests the other way
 * round. What q replicas have becomes a certificate that R(2) alone gets. View 1 is made
 * without R(2), by the lie of R(0), with what R(3) has, and that completes. View 2 is made
 * without R(1), with the old certificate of R(2).
 */
struct schedule_seen {
	uint64_t now_ns; /* of this run: time only grows */
	uint64_t slot;	 /* 0: not chosen yet */
	uint32_t size;	 /* of R(3)'s VIEW-CHANGE for view 1, its body; 0: not seen */
	uint8_t body[8192];
};
static struct schedule_seen seen;

enum {
	BATCH_THE_OTHER_WAY = 0, /* of lie_batch.c */
	SLOTS_OF_VIEW_1 = 6,
};

static inline void
seen_begin(const struct sim *sim)
{
	if (sim->now_ns < seen.now_ns)
		memset(&seen, 0, sizeof(seen));
	seen.now_ns = sim->now_ns;
}

/* The first from SLOT on that has something to be told the other way round. */
static inline bool
is_the_slot(struct sim *sim, const struct message_header *h, uint16_t to)
{
	struct message m;
	struct message request;
	(void)to;
	seen_begin(sim);
	if (seen.slot != 0 || h->seq < SLOT || h->view != 0 ||
	    message_parse(&sim->oracle.scope, (const uint8_t *)h, h->size, &m) != PARSE_OK)
		return h->view == 0 && h->seq == seen.slot;
	struct batch_cursor cursor = batch_cursor(m.body + 32, m.body_size - 32);
	uint32_t count = 0;
	while (!batch_cursor_done(&cursor) && batch_next(&cursor, &sim->oracle.scope, &request))
		count++;
	if (count > 1)
		seen.slot = h->seq;
	return count > 1;
}

static inline void
the_other_way(struct scenario_letter *l)
{
	struct lie_body body = {
	    l->letter->body + 32, l->letter->body_size - 32, l->letter->body_room - 32};
	if (lie_batch(l->sim, &body, NULL, BATCH_THE_OTHER_WAY))
		l->letter->body_size = body.size + 32;
}

/* Z01: nothing follows that slot in view 0; Z02: one does, but for R(3). Then a few in view 1. */
static inline bool
is_beyond(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return seen.slot != 0 && ((h->view == 0 && h->seq > seen.slot) ||
				     (h->view == 1 && h->seq > seen.slot + SLOTS_OF_VIEW_1));
}

static inline bool
is_beyond_one(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	return seen.slot != 0 && ((h->view == 0 && h->seq > seen.slot + (to != 3)) || h->view == 1);
}

/* Beside the beginning of view 1 no replica certifies anything. */
static inline bool
is_of_these_views(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return seen.slot != 0 && (h->view == 0 || (h->view == 1 && h->seq > seen.slot));
}

static inline bool
is_slow_in_view_1(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return (h->type == ZYZZYVA_ASK && h->view >> ZYZZYVA_ASK_SHIFT == 1) ||
	       (h->type == ZYZZYVA_COMMIT && h->view == 1);
}

static inline bool
is_reply_in_view_1(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return (h->type == MESSAGE_REPLY || h->type == BFT_REPLY_DIGEST) &&
	       h->view >> BFT_REPLY_SHIFT == 1;
}

static inline bool
is_change_1_or_2(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return h->view <= 2;
}

static inline bool
is_seen(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	if (seen.size == 0) {
		seen.size = h->size - (uint32_t)sizeof(*h) - SIGNATURE_SIZE;
		check(seen.size <= sizeof(seen.body));
		memcpy(seen.body, h + 1, seen.size);
	}
	return true;
}

static inline bool
is_view_2(struct sim *sim)
{
	return node_view(&sim->nodes[2]) == 2;
}

static inline void
change_write(struct scenario_letter *l, uint64_t view, const void *body, uint32_t size)
{
	l->letter->header->type = ZYZZYVA_VIEW_CHANGE;
	l->letter->header->view = view;
	l->letter->proof = PROOF_SIGNATURE;
	check(size <= l->letter->body_room);
	memcpy(l->letter->body, body, size);
	l->letter->body_size = size;
}

/* "r1 [...] lies": it claims R(3)'s history, which it ordered, too. */
static inline void
change_like_seen(struct scenario_letter *l)
{
	change_write(l, 1, seen.body, seen.size);
}

static inline void
change_empty(struct scenario_letter *l)
{
	struct view_change_head head;
	memset(&head, 0, sizeof(head));
	change_write(l, 2, &head, sizeof(head));
}

/* What happened as it should: the old certificate was there, and view 2 was made. */
static inline const char *
schedule_played(struct sim *sim)
{
	if (figures_sum(sim, R(2), "rolled_back") == 0)
		return "what view 0 had was not undone";
	return view_of_some(sim) < 2 ? "there was no view 2" : NULL;
}

static inline const char *
schedule_played_slowly(struct sim *sim)
{
	if (figures_sum(sim, R(4) | R(5), "answers_slow") == 0)
		return "nothing was answered by certificates";
	return schedule_played(sim);
}

#define SCHEDULE(beyond, from_whom, not_heard)                                                    \
	{                                                                                         \
		{.type = ZYZZYVA_ORDER_REQ,                                                       \
		    .from = R(0),                                                                 \
		    .to = R(3),                                                                   \
		    .like = is_the_slot,                                                          \
		    .act = SCENARIO_MUTATE,                                                       \
		    .mutate = the_other_way},                                                     \
		    {.type = ZYZZYVA_ORDER_REQ, .like = (beyond), .act = SCENARIO_DROP},          \
		    {.type = ZYZZYVA_STATEMENT,                                                   \
			.from = REPLICAS,                                                         \
			.like = is_of_these_views,                                                \
			.act = SCENARIO_DROP},                                                    \
		    {.type = ZYZZYVA_VOUCH, .after = 1, .optional = true, .act = SCENARIO_DROP},  \
		    {.type = ZYZZYVA_CERTIFICATE,                                                 \
			.view = SCENARIO_IS(0),                                                   \
			.after = 1,                                                               \
			.optional = true,                                                         \
			.act = SCENARIO_DROP},                                                    \
		    {.type = ZYZZYVA_COMMIT,                                                      \
			.to = ALL & ~R(2),                                                        \
			.view = SCENARIO_IS(0),                                                   \
			.after = 1,                                                               \
			.act = SCENARIO_DROP},                                                    \
		    {.from = (from_whom),                                                         \
			.like = (not_heard),                                                      \
			.optional = true,                                                         \
			.act = SCENARIO_DROP},                                                    \
		    {.type = ZYZZYVA_VIEW_CHANGE,                                                 \
			.from = R(2),                                                             \
			.view = SCENARIO_IS(1),                                                   \
			.act = SCENARIO_DROP},                                                    \
		    {.type = ZYZZYVA_VIEW_CHANGE,                                                 \
			.from = R(0),                                                             \
			.like = is_change_1_or_2,                                                 \
			.act = SCENARIO_DROP},                                                    \
		    {.type = ZYZZYVA_VIEW_CHANGE,                                                 \
			.from = R(3),                                                             \
			.to = R(1),                                                               \
			.view = SCENARIO_IS(1),                                                   \
			.like = is_seen,                                                          \
			.act = SCENARIO_COUNT},                                                   \
		    {.after = 10,                                                                 \
			.at_ns = 1,                                                               \
			.act = SCENARIO_FORGE,                                                    \
			.fault = {.from = R(0), .to = R(1) | R(2) | R(3)},                        \
			.mutate = change_like_seen},                                              \
		    {.type = ZYZZYVA_VIEW_CHANGE,                                                 \
			.from = R(1),                                                             \
			.view = SCENARIO_IS(2),                                                   \
			.act = SCENARIO_DROP},                                                    \
		{                                                                                 \
			.when = is_view_2, .act = SCENARIO_FORGE,                                 \
			.fault = {.from = R(0), .to = R(1) | R(2) | R(3)}, .mutate = change_empty \
		}                                                                                 \
	}

static const struct scenario old_certificate_scenario = {
    .id = "Z01",
    .story = "an old certificate against what was complete by the fast path in a later view",
    .mode = "zyzzyva",
    .clients = 32,
    .faulty = R(0),
    .settings = {.checkpoint_interval = 512},
    .rules = SCHEDULE(is_beyond, CLIENTS, is_slow_in_view_1),
    .expect = schedule_played,
};

static const struct scenario longer_certificate_scenario = {
    .id = "Z02",
    .story = "a longer certificate of an old view against one of a later view",
    .mode = "zyzzyva",
    .clients = 32,
    .faulty = R(0),
    .settings = {.checkpoint_interval = 512},
    .rules = SCHEDULE(is_beyond_one, R(0), is_reply_in_view_1),
    .expect = schedule_played_slowly,
};

#endif
