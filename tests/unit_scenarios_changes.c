/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may go wrong in PBFT beyond the cases of unit_scenarios_pbft.c: tentative
 * execution (TOCS'02, section 5.1.2) and read-only operations (5.1.3), for what a
 * replica executed before it was committed may not be what is decided, and what
 * it has told clients must stay true; liars that sign two VIEW-CHANGEs; a replica
 * whose state is not the others'; replicas that start anew; timeouts; and clients
 * that have to sign.
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

/* ---- Timeouts -------------------------------------------------------------------------- */

/* "A backup is waiting for a request": a primary that left alone would stop the view. */
static const struct scenario primary_stays_scenario = {
    .id = "primary stays",
    .story = "the primary's clock jumps again and again: it does not leave its own view",
    .mode = "pbft",
    .rules = {{.type = PBFT_PREPARE,
	.to = R(0),
	.seq_every = 5,
	.times = 24,
	.act = SCENARIO_FAULT,
	.fault = {.kind = FAULT_CLOCK_JUMP, .from = R(0), .amount = 1000 * MS, .end_ns = 1 * MS}}},
    .expect = view_kept,
};

/*
 * Replica 3 is down. Of the others 2 alone commits the last batch, and its client asks
 * for no more before that is answered: 2 waits for nothing. Of f + 1 who have to ask
 * for a view the primary is one.
 */
static const struct scenario primary_follows_scenario = {
    .id = "primary follows",
    .story = "the primary waits for the same as the one that left: it leaves by its own timer",
    .mode = "pbft",
    .clients = 1,
    .lost = R(3),
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 10 * MS,
		.fault = {.kind = FAULT_CRASH, .from = R(3), .end_ns = 3600000 * MS},
		.lasting = true},
	    {.type = PBFT_COMMIT,
		.from = R(2),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SEQ_APART),
		.act = SCENARIO_DROP,
		.lasting = true},
	},
    .expect = view_moved,
};

static const char *
few_views(struct sim *sim)
{
	return views_max(sim) <= 5 ? NULL : "views come and go";
}

/* Each phase takes about half of the view's timeout. */
static const struct scenario slow_network_scenario = {
    .id = "slow network",
    .story = "messages take longer than the timeout allows: it grows, and stays grown",
    .mode = "pbft",
    .operations = 600,
    .horizon_ns = 20000 * MS,
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 1,
	.fault = {.kind = FAULT_SLOW, .from = ALL, .to = ALL, .amount = 12 * MS}}},
    .expect = few_views,
};

/* ---- Replicas that start anew ----------------------------------------------------------- */

enum { STARTED_ANEW = 3 };

/* What replica 2 signed to leave view 0, relayed by whomever. */
static bool
second_leaves_first_view(struct sim *sim, const struct message_header *h, uint16_t to)
{
	(void)sim;
	(void)to;
	return h->view == 1 && h->sender == 2;
}

static const char *
came_along(struct sim *sim)
{
	if (views_max(sim) < 2)
		return "fewer than two view changes";
	return node_view(&sim->nodes[STARTED_ANEW]) >= 2 ? NULL
							 : "replica 3 never left the old view";
}

/*
 * It gets the NEW-VIEW of view 1 but not all VIEW-CHANGEs that this stands on; then
 * the others go on to view 2, and nobody has those any more. It does not leave views
 * by itself while it is silent.
 */
static const struct scenario half_a_view_scenario = {
    .id = "half a new view",
    .story = "a replica that starts anew hears a NEW-VIEW in part: the next takes it along",
    .mode = "pbft",
    .operations = 600,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_AMNESIA, .from = R(STARTED_ANEW), .end_ns = 20 * MS}},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(0),
		.view = SCENARIO_IS(0),
		.at_ns = 122 * MS,
		.act = SCENARIO_DROP},
	    {.type = PBFT_VIEW_CHANGE,
		.to = R(STARTED_ANEW),
		.like = second_leaves_first_view,
		.act = SCENARIO_DROP,
		.lasting = true},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(1),
		.view = SCENARIO_IS(1),
		.nth = 4,
		.act = SCENARIO_DROP,
		.lasting = true},
	},
    .expect = came_along,
};

static const char *
all_recovered(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		if (scenario_figure(sim, i, "stable") == 0)
			return "a replica never came back";
	}
	return sim->report->settled_ns < 300 * MS ? NULL : "they were not served in time";
}

#define STARTS_ANEW(node, from_ms)                                       \
	{                                                                \
		.act = SCENARIO_FAULT, .at_ns = (from_ms)*MS, .fault = { \
			.kind = FAULT_AMNESIA,                           \
			.from = R(node),                                 \
			.end_ns = 50 * MS                                \
		}                                                        \
	}

/* Each is silent until it is beyond all that it may have voted for; then the next one may. */
static const struct scenario rolling_scenario = {
    .id = "G19",
    .story = "all replicas are restarted without memory, one after another, under load",
    .mode = "pbft",
    .operations = 2000,
    .horizon_ns = 4000 * MS,
    .rules = {STARTS_ANEW(1, 200), STARTS_ANEW(2, 1000), STARTS_ANEW(3, 1800),
	STARTS_ANEW(0, 2600)},
    .expect = all_recovered,
};

/* ---- Clients that have to sign ----------------------------------------------------------- */

static uint64_t
slots_signed(const struct sim *sim)
{
	return scenario_figure(sim, 4, "slots_signed") + scenario_figure(sim, 5, "slots_signed");
}

static bool
somebody_signs(struct sim *sim)
{
	return slots_signed(sim) > 0;
}

static const char *
nobody_signs(struct sim *sim)
{
	return slots_signed(sim) == 0 ? NULL : "a client signs although nothing spoils its MACs";
}

/* A flipped bit makes an honest client look like one that lies. */
static const struct scenario flips_stop_scenario = {
    .id = "C05 flips stop",
    .story = "MACs are spoilt on their way for a while: later nobody has to sign any more",
    .mode = "pbft",
    .faulty = C(1),
    .request_auth = AUTH_MAC,
    .operations = 6000,
    .batch = 1,
    .horizon_ns = 4000 * MS,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 50 * MS,
		.fault = {.kind = FAULT_PARTIAL_VECTOR,
		    .from = C(1),
		    .to = R(1) | R(2) | R(3),
		    .amount = FAULT_VECTORS_ONLY,
		    .end_ns = 150 * MS}},
	    {.at_ns = 60 * MS, .when = somebody_signs, .act = SCENARIO_COUNT},
	},
    .expect = nobody_signs,
};

static const char *
relapses_are_rare(struct sim *sim)
{
	if (views_max(sim) < 2)
		return "it was never tried whether its MACs hold again";
	return views_max(sim) <= 4 ? NULL : "it spoils one batch after another";
}

#define VIEW_REACHED(number)                          \
	static bool view_##number(struct sim *sim)    \
	{                                             \
		return view_of_some(sim) >= (number); \
	}
VIEW_REACHED(1)
VIEW_REACHED(2)
VIEW_REACHED(3)
VIEW_REACHED(4)
VIEW_REACHED(5)

/* Its MACs hold for replica `primary` only. */
#define HOLDS_FOR(primary)                                             \
	.act = SCENARIO_FAULT, .fault = {.kind = FAULT_PARTIAL_VECTOR, \
				   .from = C(1),                       \
				   .to = REPLICAS & ~R(primary),       \
				   .amount = FAULT_VECTORS_ONLY}

/*
 * It may spoil a batch at once, one soon after, one much later: with 512, 2048 and
 * 8192 batches between them.
 */
static const struct scenario flips_stay_scenario = {
    .id = "C05 for ever",
    .story = "a client's MACs hold for whoever is primary only: that is tried ever more rarely",
    .mode = "pbft",
    .faulty = C(1),
    .request_auth = AUTH_MAC,
    .clients = 2,
    .operations = 12000,
    .batch = 1,
    .horizon_ns = 8000 * MS,
    .rules =
	{
	    {.at_ns = 50 * MS, HOLDS_FOR(0)},
	    {.when = view_1, .act = SCENARIO_HEAL, .amount = 1},
	    {.after = 2, HOLDS_FOR(1)},
	    {.when = view_2, .act = SCENARIO_HEAL, .amount = 3},
	    {.after = 4, HOLDS_FOR(2)},
	    {.when = view_3, .act = SCENARIO_HEAL, .amount = 5, .optional = true},
	    {.after = 6, HOLDS_FOR(3), .optional = true},
	    {.when = view_4, .act = SCENARIO_HEAL, .amount = 7, .optional = true},
	    {.after = 8, HOLDS_FOR(0), .optional = true},
	    {.when = view_5, .act = SCENARIO_HEAL, .amount = 9, .optional = true},
	    {.after = 10, HOLDS_FOR(1), .optional = true},
	},
    .expect = relapses_are_rare,
};

/* By the client that lies, whose slot 1 it is. */
static void
badly_signed(struct scenario_letter *l)
{
	l->letter->header->type = MESSAGE_REQUEST;
	l->letter->header->instance = 0;
	l->letter->header->sender = 5;
	l->letter->header->seq = 1000000 + l->number;
	l->letter->proof = PROOF_SIGNATURE;
	l->letter->body_size = 32;
	memset(l->letter->body, (int)l->number, 32);
}

/* Signatures are dear to check: of a client of whom nobody complained not one is. */
static const char *
none_was_checked(struct sim *sim)
{
	/* What of it finds room at the receiver. */
	if (scenario_counters(sim, 1)->drops[SHARD_DROP_SCREEN] < 1000)
		return "the flood did not arrive, or was checked";
	return sim->report->settled_ns < 100 * MS ? view_kept(sim) : "others were not served";
}

static const struct scenario signature_flood_scenario = {
    .id = "C04",
    .story = "a client sends thousands of signatures: none is checked, others are served",
    .mode = "pbft",
    .faulty = C(1),
    .request_auth = AUTH_MAC,
    .rules = {{.act = SCENARIO_FORGE,
	.at_ns = 100 * MS,
	.amount = 4000,
	.fault = {.from = C(1), .to = REPLICAS},
	.mutate = badly_signed}},
    .expect = none_was_checked,
};

TELL(decided_otherwise)
TELL(reads_after_undoing)
TELL(changes_differ)
TELL(odd_state)
TELL(primary_stays)
TELL(primary_follows)
TELL(slow_network)
TELL(half_a_view)
TELL(rolling)
TELL(flips_stop)
TELL(flips_stay)
TELL(signature_flood)

static const struct unit_story stories[] = {
    STORY(decided_otherwise),
    STORY(reads_after_undoing),
    STORY(changes_differ),
    STORY(odd_state),
    STORY(primary_stays),
    STORY(primary_follows),
    STORY(slow_network),
    STORY(half_a_view),
    STORY(rolling),
    STORY(flips_stop),
    STORY(flips_stay),
    STORY(signature_flood),
};

UNIT_MAIN("scenarios_changes", stories)
