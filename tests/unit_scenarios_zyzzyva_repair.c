/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Zyzzyva's replicas do for those who lack something, and what they know after it
 * was done for them: a state that was fetched, and answers to whoever asks without end.
 * See unit_scenarios_zyzzyva.c.
 */
#include "tests/zyzzyva_scripts.h"

/* ---- Z21: what a fetched state does not have ----------------------------------------------- */

static bool
is_of_the_second(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)to;
	return h->type == MESSAGE_REQUEST && h->sender >= plan_slot_first(&sim->plan, 1);
}

static bool
second_view_is_left(struct sim *sim)
{
	return sim->now_ns < 950 * MS && view_of_some(sim) >= 2;
}

static const char *
state_was_fetched(struct sim *sim)
{
	if (scenario_figure(sim, 0, "transfers") == 0)
		return "the former primary fetched no state";
	return view_moved(sim);
}

/*
 * The primary of view 0 executes what one client node asks, alone with it, while the others
 * go on in view 1; the state that it fetches then has nothing of that. The primary of view 1
 * will not hear of those clients, and of the others one alone does before the horizon: so
 * the former primary has to know that they still wait.
 */
static const struct scenario undone_by_transfer_scenario = {
    .id = "Z21",
    .story = "what a replica executed alone is not in the state that it fetches, and is still due",
    .mode = "zyzzyva",
    .faulty = R(1),
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_PARTITION,
		    .from = R(0) | C(1),
		    .to = R(1) | R(2) | R(3) | C(0),
		    .end_ns = 400 * MS}},
	    {.to = R(1),
		.at_ns = 100 * MS,
		.like = is_of_the_second,
		.lasting = true,
		.act = SCENARIO_DROP},
	    {.from = C(1), .to = R(3), .at_ns = 100 * MS, .act = SCENARIO_DROP},
	    {.at_ns = 500 * MS, .when = second_view_is_left},
	},
    .expect = state_was_fetched,
};

/* ---- Z24: what was certified of the other history ------------------------------------------ */

enum { FORK = 20, CHECKPOINT = 24 };

static bool
is_above_fork(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return h->view == 0 && h->seq > FORK;
}

static bool
alone_with_more(struct sim *sim)
{
	return scenario_figure(sim, 2, "committed") > CHECKPOINT;
}

static bool
others_are_stable(struct sim *sim)
{
	return scenario_figure(sim, 1, "stable") == CHECKPOINT;
}

static bool
fetched_just_that(struct sim *sim)
{
	return scenario_figure(sim, 2, "transfers") == 1 &&
	       scenario_figure(sim, 2, "stable") == CHECKPOINT;
}

static void
history_left_out(struct scenario_letter *l)
{
	struct view_change_head *head = (void *)l->letter->body;
	l->letter->body_size -= (uint32_t)head->entries_count * 32;
	head->entries_count = 0;
}

/*
 * R(2) alone gets certificates above the fork, and R(3) nothing that was ordered there. View
 * 1 is made without R(2), by the lie of the former primary, and orders others; R(2) comes
 * back when a checkpoint of those is stable, which lies below what it has certified.
 */
static const struct scenario certified_otherwise_scenario = {
    .id = "Z24",
    .story = "a certificate that reached one alone is of another history than what it fetches",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules =
	{
	    {.type = ZYZZYVA_ORDER_REQ, .to = R(3), .like = is_above_fork, .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_STATEMENT,
		.to = ALL & ~R(2),
		.like = is_above_fork,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_CERTIFICATE,
		.view = SCENARIO_IS(0),
		.optional = true,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_COMMIT,
		.to = ALL & ~R(2),
		.view = SCENARIO_IS(0),
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_VIEW_CHANGE,
		.from = R(0),
		.view = SCENARIO_IS(1),
		.act = SCENARIO_MUTATE,
		.mutate = history_left_out},
	    {.when = alone_with_more,
		.act = SCENARIO_FAULT,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(2), .to = ALL & ~R(2), .end_ns = 900 * MS}},
	    {.when = others_are_stable, .after = 6, .act = SCENARIO_HEAL, .amount = 6},
	    {.when = fetched_just_that, .after = 7},
	},
    .expect = view_moved,
};

/* ---- Z25: what is voted for ---------------------------------------------------------------- */

static struct {
	uint64_t now_ns; /* of this run: time only grows */
	uint64_t votes;
	bool voted;	   /* without a certificate */
	uint64_t executed; /* by others when the one came back */
	bool spoke;	   /* too early */
	bool certified;	   /* by what is none */
} looked;

static void
look_begin(const struct sim *sim)
{
	if (sim->now_ns < looked.now_ns)
		memset(&looked, 0, sizeof(looked));
	looked.now_ns = sim->now_ns;
}

/* Nothing is certified any more from 300 ms on; what was before may be on its way. */
static bool
votes_go_on(struct sim *sim)
{
	uint64_t votes = figures_sum(sim, REPLICAS, "checkpoint_votes");
	look_begin(sim);
	if (sim->now_ns < 350 * MS)
		looked.votes = votes;
	looked.voted |= sim->now_ns < 950 * MS && votes != looked.votes;
	return false;
}

static const char *
none_voted(struct sim *sim)
{
	(void)sim;
	if (looked.votes == 0)
		return "there were no votes for checkpoints before";
	return looked.voted ? "a replica voted for a checkpoint that it has no certificate of"
			    : NULL;
}

static const struct scenario votes_uncertified_scenario = {
    .id = "Z25",
    .story = "no STATEMENT of a backup comes: nobody votes for a checkpoint",
    .mode = "zyzzyva",
    .rules =
	{
	    {.type = ZYZZYVA_STATEMENT,
		.from = R(1) | R(2) | R(3),
		.at_ns = 300 * MS,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_STATED, .at_ns = 300 * MS, .optional = true, .act = SCENARIO_DROP},
	    {.when = votes_go_on, .optional = true},
	},
    .expect = none_voted,
};

/* ---- Z26: who lost its memory --------------------------------------------------------------- */

enum { WINDOW = 16 }; /* twice the checkpoint interval: so far it may have stated something */

static bool
comes_back(struct sim *sim)
{
	look_begin(sim);
	if (sim->now_ns < 250 * MS)
		looked.executed = scenario_figure(sim, 1, "executed_seq");
	return false;
}

static bool
is_too_early(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)to;
	looked.spoke |= sim->now_ns > 250 * MS && h->seq < looked.executed + WINDOW;
	return false;
}

static const char *
was_silent(struct sim *sim)
{
	if (looked.spoke)
		return "a replica without memory stated what it may have stated otherwise before";
	if (scenario_figure(sim, 2, "statements") == 0)
		return "it never spoke again";
	return view_kept(sim);
}

static const struct scenario forgetful_scenario = {
    .id = "Z26",
    .story = "a backup loses its memory, and states nothing until that cannot matter",
    .mode = "zyzzyva",
    .operations = 600,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 150 * MS,
		.fault = {.kind = FAULT_AMNESIA, .from = R(2), .to = R(2), .end_ns = 100 * MS}},
	    {.when = comes_back, .optional = true},
	    {.type = ZYZZYVA_STATEMENT, .from = R(2), .like = is_too_early, .optional = true},
	},
    .expect = was_silent,
};

/* ---- Z27: certificates that are none --------------------------------------------------------- */

static void
signature_flip(struct scenario_letter *l)
{
	struct commit_head *head = (void *)l->letter->body;
	((uint8_t *)(head + 1))[7] ^= 1;
}

static bool
certified_at_all(struct sim *sim)
{
	look_begin(sim);
	looked.certified |=
	    sim->now_ns < 950 * MS && figures_sum(sim, R(0) | R(1) | R(2), "committed") != 0;
	return false;
}

static const char *
none_certified(struct sim *sim)
{
	(void)sim;
	return looked.certified ? "a certificate was taken that nobody signed so" : NULL;
}

static const struct scenario unsigned_certificate_scenario = {
    .id = "Z27",
    .story = "all certificates that there are come from a client, and one signature is wrong",
    .mode = "zyzzyva",
    .faulty = R(3) | C(0),
    .lost = R(3),
    .settings = {.checkpoint_interval = 512},
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_STATEMENT, .from = R(1) | R(2) | R(3), .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_COMMIT, .from = C(1), .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_COMMIT,
		.from = C(0),
		.act = SCENARIO_MUTATE,
		.mutate = signature_flip},
	    {.when = certified_at_all, .optional = true},
	},
    .expect = none_certified,
};

/* ---- Z22: who asks without end ------------------------------------------------------------- */

/*
 * One liar asks R(1) a hundred times a millisecond, for a tenth of a second, when the log is
 * long. A tick is a sixteenth of the view's timeout of 20 ms: there are 80, and some begun.
 */
enum { FLOOD_MS = 100, FLOOD_TICKS = 82, FLOOD_AMOUNT = 100, FLOOD_OTHERS = 64 };

static struct {
	uint64_t seq;
	uint8_t digest32[32];
} ordered; /* the last that the liar was sent */

static bool
is_ordered(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	ordered.seq = h->seq;
	memcpy(ordered.digest32, h->digest, 32);
	return true;
}

static void
word_write(struct scenario_letter *l, uint8_t type, uint64_t seq)
{
	l->letter->header->type = type;
	l->letter->header->view = 0;
	l->letter->header->seq = seq;
	l->letter->proof = l->sim->plan.protocol.protocol_proof;
	l->letter->body_size = 0;
}

static void
hole_ask_all(struct scenario_letter *l)
{
	word_write(l, ZYZZYVA_FILL_HOLE, 1);
}

static void
vouch_ask(struct scenario_letter *l)
{
	word_write(l, ZYZZYVA_VOUCH, 1 + l->number % ordered.seq);
}

static void
body_ask(struct scenario_letter *l)
{
	word_write(l, ZYZZYVA_FETCH, ordered.seq);
	memcpy(l->letter->header->digest, ordered.digest32, 32);
}

/* It says that it has nothing. */
static void
status_write(struct scenario_letter *l)
{
	struct status_body b = {.active = 1};
	word_write(l, ZYZZYVA_STATUS, 0);
	memcpy(l->letter->body, &b, sizeof(b));
	l->letter->body_size = sizeof(b);
}

static const char *
resent_little(struct sim *sim, uint64_t per_tick)
{
	uint64_t resent = scenario_figure(sim, 1, "resent");
	if (resent < per_tick)
		return "the liar was told nothing";
	if (resent > FLOOD_TICKS * per_tick + FLOOD_OTHERS)
		return "a liar has things sent to it without end";
	return view_kept(sim);
}

/* As many as the protocol allows one replica in a tick, each in its file. */
static const char *
holes_bounded(struct sim *sim)
{
	return resent_little(sim, 128);
}

static const char *
vouches_bounded(struct sim *sim)
{
	return resent_little(sim, 8);
}

static const char *
bodies_bounded(struct sim *sim)
{
	return resent_little(sim, 64);
}

/* Four answers of 32. */
static const char *
statuses_bounded(struct sim *sim)
{
	return resent_little(sim, 4 * 32);
}

#define FLOOD(name, id_, story_, ask, bounded)                                     \
	static const struct scenario name##_scenario = {                           \
	    .id = (id_),                                                           \
	    .story = (story_),                                                     \
	    .mode = "zyzzyva",                                                     \
	    .faulty = R(3),                                                        \
	    .batch = 1,                                                            \
	    .operations = 1000,                                                    \
	    .settings = {.checkpoint_interval = 1024},                             \
	    .rules =                                                               \
		{                                                                  \
		    {.type = ZYZZYVA_ORDER_REQ, .to = R(3), .like = is_ordered},   \
		    {.act = SCENARIO_FORGE,                                        \
			.at_ns = 800 * MS,                                         \
			.every_ns = MS / FLOOD_AMOUNT, /* each letter is an act */ \
			.times = FLOOD_MS * FLOOD_AMOUNT,                          \
			.amount = FLOOD_AMOUNT,                                    \
			.fault = {.from = R(3), .to = R(1)},                       \
			.mutate = (ask)},                                          \
		},                                                                 \
	    .expect = (bounded),                                                   \
	};

FLOOD(hole_flood, "Z22 holes", "a liar asks for all that was ordered, without end", hole_ask_all,
    holes_bounded)
FLOOD(vouch_flood, "Z22 vouches", "a liar asks for STATEMENTs and certificates without end",
    vouch_ask, vouches_bounded)
FLOOD(body_flood, "Z22 bodies", "a liar asks for a body without end", body_ask, bodies_bounded)
FLOOD(status_flood, "Z22 statuses", "a liar says without end that it has nothing", status_write,
    statuses_bounded)

/* ---- Z23: what is tried in vain ------------------------------------------------------------ */

/* Each case lasts 600 ms at least, 480 ticks: what is tried in each would be more than these. */
enum { HATES_MAX = 400, ASKED_MAX = 200, STATED_MAX = 550 };

static const char *
hates_seldom(struct sim *sim)
{
	uint64_t hates = scenario_figure(sim, 3, "hates");
	if (hates < 8)
		return "the one that hears of the clients does not hate the primary";
	return hates <= HATES_MAX ? view_kept(sim) : "one replica's hate floods the others";
}

static const struct scenario lone_hater_scenario = {
    .id = "Z23 hate",
    .story = "clients reach one backup alone, and that reaches nobody for them",
    .mode = "zyzzyva",
    .rules = {{.to = ALL & ~R(3), .like = is_of_the_second, .act = SCENARIO_DROP}},
    .expect = hates_seldom,
};

static const char *
holes_asked_seldom(struct sim *sim)
{
	uint64_t asked = scenario_figure(sim, 3, "fill_holes");
	if (asked < 8)
		return "who lacks what was ordered does not ask for it";
	return asked <= ASKED_MAX ? view_kept(sim) : "one replica's questions flood the others";
}

static const struct scenario hole_in_vain_scenario = {
    .id = "Z23 holes",
    .story = "one backup hears of orders, and gets none however it asks",
    .mode = "zyzzyva",
    .settings = {.checkpoint_interval = 512},
    .rules =
	{
	    {.type = ZYZZYVA_ORDER_REQ, .to = R(3), .at_ns = 200 * MS, .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_BODY,
		.to = R(3),
		.at_ns = 200 * MS,
		.optional = true,
		.act = SCENARIO_DROP},
	},
    .expect = holes_asked_seldom,
};

static const char *
stated_seldom(struct sim *sim)
{
	uint64_t resent = scenario_figure(sim, 0, "resent");
	if (resent < 8)
		return "nobody waited for a certificate";
	return resent <= STATED_MAX ? NULL : "one replica's statements flood the others";
}

/* What they wait for it states four times a tick at first, and what they doubt once a tick. */
static const struct scenario commit_in_vain_scenario = {
    .id = "Z23 statements",
    .story = "the primary is left with clients who were promised LOCAL-COMMITs",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .rules =
	{
	    {.from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.act = SCENARIO_FAULT,
		.at_ns = 300 * MS,
		.fault = {.kind = FAULT_PARTITION,
		    .from = R(0) | C(1),
		    .to = R(1) | R(2) | R(3) | C(0),
		    .end_ns = 600 * MS}},
	},
    .expect = stated_seldom,
};

TELL(undone_by_transfer)
TELL(certified_otherwise)
TELL(votes_uncertified)
TELL(forgetful)
TELL(unsigned_certificate)
TELL(hole_flood)
TELL(vouch_flood)
TELL(body_flood)
TELL(status_flood)
TELL(lone_hater)
TELL(hole_in_vain)
TELL(commit_in_vain)

static const struct unit_story stories[] = {
    STORY(undone_by_transfer),
    STORY(certified_otherwise),
    STORY(votes_uncertified),
    STORY(forgetful),
    STORY(unsigned_certificate),
    STORY(hole_flood),
    STORY(vouch_flood),
    STORY(body_flood),
    STORY(status_flood),
    STORY(lone_hater),
    STORY(hole_in_vain),
    STORY(commit_in_vain),
};

UNIT_MAIN("scenarios_zyzzyva_repair", stories)
