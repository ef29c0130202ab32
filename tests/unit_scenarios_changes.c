/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may go wrong in PBFT beyond the cases of unit_scenarios_pbft.c: tentative
 * execution (TOCS'02, section 5.1.2) and read-only operations (5.1.3), for what a
 * replica executed before it was committed may not be what is decided, and what
 * it has told clients must stay true; liars that sign two VIEW-CHANGEs; and a
 * replica whose state is not the others'.
 */
#include "tests/scenario_rig.h"

#include "protocols/pbft/decide.h"
#include "protocols/pbft/pbft.h"

enum { SEQ_APART = 21 };

/* ---- Tentative execution ------------------------------------------------------------ */

static uint64_t
rollbacks(const struct sim *sim)
{
	uint64_t sum = 0;
	for (uint16_t i = 0; i < sim->replicas_count; i++)
		sum += scenario_figure(sim, i, "rollbacks");
	return sum;
}

static const char *
undone(struct sim *sim)
{
	if (views_max(sim) == 0)
		return "no view change";
	return rollbacks(sim) > 0 ? NULL : "nothing was undone";
}

static const char *
undone_at_three(struct sim *sim)
{
	return scenario_figure(sim, 3, "rollbacks") > 0 ? NULL : "replica 3 undid nothing";
}

/*
 * Replica 3 alone has the batch prepared, and executes it. The others change the
 * view without hearing of it and decide otherwise; replica 3, whose clock is slow
 * and to whom nobody tells of the view change, sees only their COMMITs.
 */
static const struct scenario decided_otherwise_scenario = {
    .id = "decided otherwise",
    .story = "what one replica executed tentatively is not what the next view decides",
    .mode = "pbft",
    .settings = {.tentative = true},
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.to = R(0) | R(1) | R(2),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SEQ_APART),
		.act = SCENARIO_DROP},
	    {.act = SCENARIO_FAULT,
		.fault =
		    {.kind = FAULT_CLOCK_RATE, .from = R(3), .amount = 256, .end_ns = 600 * MS}},
	    {.type = PBFT_VIEW_CHANGE, .to = R(3), .act = SCENARIO_DROP},
	    {.type = PBFT_VIEW_CHANGE, .from = R(3), .act = SCENARIO_DROP, .optional = true},
	    {.type = PBFT_NEW_VIEW, .to = R(3), .act = SCENARIO_DROP},
	},
    .expect = undone_at_three,
};

/*
 * Clients have q tentative answers to their writes when the COMMITs stop. The
 * view change undoes the writes at all of those q, and they stand still for a
 * while: a read that is not ordered would find the state before the writes.
 */
static const struct scenario reads_after_undoing_scenario = {
    .id = "reads after undoing",
    .story = "answered writes are undone by a view change; reads come before they are redone",
    .mode = "pbft",
    .settings = {.tentative = true, .reads = true},
    .rules =
	{
	    {.type = PBFT_COMMIT, .view = SCENARIO_IS(0), .at_ns = 100 * MS, .act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW,
		.view = SCENARIO_IS(1),
		.act = SCENARIO_DELAY,
		.amount = 15 * MS},
	},
    .expect = undone,
};

/* ---- Two VIEW-CHANGEs of one liar ---------------------------------------------------- */

/* Claims nothing at all: a well-formed VIEW-CHANGE that is not the one the others got. */
static void
claims_withdrawn(struct scenario_letter *l)
{
	struct view_change_head head;
	memcpy(&head, l->letter->body, sizeof(head));
	uint32_t entries = head.prepared_count + head.preprepared_count;
	l->letter->body_size -= entries * (uint32_t)sizeof(struct view_change_entry);
	head.prepared_count = 0;
	head.preprepared_count = 0;
	memcpy(l->letter->body, &head, sizeof(head));
}

static const char *
one_view_change(struct sim *sim)
{
	if (views_max(sim) != 1)
		return "other than one view change";
	return node_view(&sim->nodes[3]) == 1 ? NULL : "replica 3 never came to the new view";
}

/*
 * The NEW-VIEW of replica 1 stands on the VIEW-CHANGEs of 1, 2 and 3; replica 3
 * has another one of replica 2 than it names. And replica 2 votes for nothing, so
 * that view 1 lives only if replica 3 comes to it.
 */
static const struct scenario changes_differ_scenario = {
    .id = "changes differ",
    .story = "a liar signs one VIEW-CHANGE for the primary, another for the rest",
    .mode = "pbft",
    .faulty = R(2),
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE,
		.from = R(0),
		.view = SCENARIO_IS(0),
		.nth = 60,
		.act = SCENARIO_DROP},
	    {.type = PBFT_VIEW_CHANGE,
		.from = R(2),
		.to = R(3),
		.times = 1,
		.act = SCENARIO_MUTATE,
		.mutate = claims_withdrawn},
	    {.type = PBFT_VIEW_CHANGE, .from = R(0), .act = SCENARIO_DELAY, .amount = 4 * MS},
	    {.type = PBFT_PREPARE, .from = R(2), .view = SCENARIO_IS(1), .act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT, .from = R(2), .view = SCENARIO_IS(1), .act = SCENARIO_DROP},
	},
    .expect = one_view_change,
};

/* ---- A replica that computed something else ------------------------------------------- */

enum { ODD = 3, ODD_MS = 300 };

/* One byte of its application's memory is not what the others have. */
static bool
odd_spoilt(struct sim *sim)
{
	struct state *state = &sim->nodes[ODD].replica->executor.state;
	uint8_t *at = state->base + state->reserved - 1;
	state_modify(state, at, 1);
	*at ^= 0xff;
	return true;
}

static const char *
odd_repaired(struct sim *sim)
{
	const struct state *odd = &sim->nodes[ODD].replica->executor.state;
	const struct state *other = &sim->nodes[0].replica->executor.state;
	uint64_t stable = scenario_figure(sim, ODD, "stable");
	if (scenario_figure(sim, ODD, "transfers") == 0)
		return "the odd one did not fetch the state";
	if (stable + 2 * sim->plan.protocol.checkpoint_interval < scenario_figure(sim, 0, "stable"))
		return "the odd one did not come back";
	if (odd->base[odd->reserved - 1] != other->base[other->reserved - 1])
		return "the odd one still has what it had";
	return views_max(sim) == 0 ? NULL : "a view change that nothing called for";
}

/* It counts as faulty, for its checkpoint is not the others'; but it lies to nobody. */
static const struct scenario odd_state_scenario = {
    .id = "P19 odd state",
    .story = "one replica's state differs: it notices at the next checkpoint, and fetches it",
    .mode = "pbft",
    .faulty = R(ODD),
    .rules = {{.at_ns = ODD_MS * MS, .when = odd_spoilt, .act = SCENARIO_COUNT}},
    .expect = odd_repaired,
};

TELL(decided_otherwise)
TELL(reads_after_undoing)
TELL(changes_differ)
TELL(odd_state)

static const struct unit_story stories[] = {
    STORY(decided_otherwise),
    STORY(reads_after_undoing),
    STORY(changes_differ),
    STORY(odd_state),
};

UNIT_MAIN("scenarios_changes", stories)
