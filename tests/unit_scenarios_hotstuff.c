/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Byzantine leaders, Byzantine voters and bad luck can do to HotStuff, case
 * by case; the network is a good one but for what the case says. Cases in which
 * leaders do not take turns are in unit_twins_hotstuff.c.
 */
#include "tests/hotstuff_rig.h"

enum { VIEWS_AHEAD = 1000000, ANCESTORS_MISSING = 10000, SOON_MS = 10, AT_ONCE_MS = 2 };

/* ---- Leaders that lie ---------------------------------------- */

static const struct scenario equivocation_scenario = {
    .id = "H01",
    .story = "a leader proposes one block to half of them, another to the others",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {{.type = HOTSTUFF_PROPOSAL,
	.from = R(0),
	.to = R(2) | R(3),
	.act = SCENARIO_MUTATE,
	.mutate = without_last}},
    .expect = view_moved,
};

static struct message_header other_vote;

/* Replica 2 votes for the block that it was shown. */
static bool
votes_for_the_other(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)to;
	if (led_by(sim, header->view) != 0)
		return false;
	other_vote = *header;
	return true;
}

static void
vote_the_same(struct scenario_letter *l)
{
	l->letter->header->type = HOTSTUFF_VOTE;
	l->letter->header->view = other_vote.view;
	l->letter->header->seq = other_vote.seq;
	memcpy(l->letter->header->digest, other_vote.digest, DIGEST_SIZE);
	l->letter->proof = PROOF_SIGNATURE;
}

/* The next leader gets a certificate for the block that it was not shown. */
static const struct scenario two_votes_scenario = {
    .id = "H01 both ways",
    .story = "a leader proposes two blocks and votes for both",
    .mode = "hotstuff",
    .faulty = R(0),
    .operations = 800,
    .clients = 20,
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL,
		.from = R(0),
		.to = R(2) | R(3),
		.act = SCENARIO_MUTATE,
		.mutate = without_last},
	    {.type = HOTSTUFF_VOTE,
		.from = R(2),
		.to = R(1),
		.like = votes_for_the_other,
		.act = SCENARIO_FORGE,
		.fault = {.from = R(0), .to = R(1)},
		.mutate = vote_the_same},
	},
};

static uint64_t noted_head;

static bool
head_note(struct sim *sim)
{
	noted_head = sim->oracle.head;
	return true;
}

static bool
head_stands(struct sim *sim)
{
	return sim->oracle.head == noted_head;
}

static bool
in_third_view(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->view % 3 == 2;
}

static const struct scenario gaps_scenario = {
    .id = "H02",
    .story = "every third view fails: there are chains, but none of consecutive views",
    .mode = "hotstuff",
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL,
		.at_ns = 200 * MS,
		.like = in_third_view,
		.act = SCENARIO_DROP},
	    {.at_ns = 300 * MS, .when = head_note},
	    {.at_ns = 900 * MS, .when = head_stands},
	},
    .expect = view_moved,
};

/* ---- Certificates ---------------------------------------- */

/* A TIMEOUT of the liar's for a view ahead, with a certificate that lies. */
static void
timeout_false(struct scenario_letter *l)
{
	struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	const struct message_header *proposal = last_of(liar, HOTSTUFF_PROPOSAL, 0);
	struct message m;
	struct hotstuff_parts parts;
	struct timeout_head head;
	memset(&head, 0, sizeof(head));
	if (proposal == NULL ||
	    message_parse(&l->sim->oracle.scope, (const void *)proposal, proposal->size, &m) !=
		PARSE_OK ||
	    !hotstuff_parts(&m, &parts))
		return;
	head.high = qc_head_read(m.body, &parts.qc);
	l->letter->header->type = HOTSTUFF_TIMEOUT;
	l->letter->proof = PROOF_SIGNATURE;
	l->letter->body_size = (uint32_t)sizeof(head) + signatures_size(head.high.signers);
	memcpy(l->letter->body, &head, sizeof(head));
	memcpy(l->letter->body + sizeof(head), m.body + parts.qc.signatures_at,
	    signatures_size(head.high.signers));
	certificate_false(l);
	memcpy(&head, l->letter->body, sizeof(head));
	l->letter->header->seq = head.high.view;
	l->letter->header->view = head.high.view + 1;
}

static const char *
views_not_inflated(struct sim *sim)
{
	if (sim->report->view_max > VIEWS_AHEAD / 2)
		return "a liar's view became everybody's";
	return view_kept(sim);
}

static const struct scenario timeouts_false_scenario = {
    .id = "H04",
    .story = "TIMEOUTs with forged certificates of this view and of higher ones",
    .mode = "hotstuff",
    .faulty = R(3),
    .rules = {{.act = SCENARIO_FORGE,
	.at_ns = 100 * MS,
	.every_ns = 5 * MS,
	.times = 150,
	.fault = {.from = R(3), .to = R(0) | R(1) | R(2)},
	.mutate = timeout_false}},
    .expect = views_not_inflated,
};

static const char *
certificates_refused(struct sim *sim)
{
	const struct shard_counters *c = scenario_counters(sim, 1);
	if (c->drops[SHARD_DROP_PROOF] == 0)
		return "no signature was found to be wrong";
	return view_moved(sim);
}

static const struct scenario certificates_scenario = {
    .id = "H05",
    .story = "a signer twice, a stranger, one too few, another view, another block",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {{.type = HOTSTUFF_PROPOSAL,
	.from = R(0),
	.at_ns = 50 * MS,
	.act = SCENARIO_MUTATE,
	.mutate = certificate_false}},
    .expect = certificates_refused,
};

static const struct scenario hidden_lock_scenario = {
    .id = "H06",
    .story = "a leader shows the newest certificate to one of them, the next does not hear of it",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL, .from = R(0), .to = R(1) | R(2), .act = SCENARIO_DROP},
	    {.type = HOTSTUFF_TIMEOUT,
		.from = R(3),
		.to = R(1) | R(2),
		.act = SCENARIO_DELAY,
		.amount = 3 * MS},
	},
    .expect = view_moved,
};

/* What R(0) leads fails, and nothing else, though one of them has a lock that others lack. */
static const char *
others_views_kept(struct sim *sim)
{
	if (view_moved(sim) != NULL)
		return "no view failed";
	return sim->oracle.views_failed_core == 0 ? NULL : "views of correct leaders failed";
}

static const struct scenario hidden_lock_liar_scenario = {
    .id = "H06 for ever",
    .story = "the same, and the liar helps others to a timeout certificate at once",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL,
		.from = R(0),
		.to = R(1) | R(2),
		.lasting = true,
		.act = SCENARIO_DROP},
	    {.type = HOTSTUFF_TIMEOUT,
		.from = R(3),
		.to = R(1) | R(2),
		.lasting = true,
		.act = SCENARIO_DELAY,
		.amount = 500000},
	},
    .expect = others_views_kept,
};

static void
proposal_ahead(struct scenario_letter *l)
{
	const struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	uint64_t ahead = VIEWS_AHEAD / 4 * 4;
	struct block_head head;
	if (!letter_copy(l, last_of(liar, HOTSTUFF_PROPOSAL, 0)))
		return;
	memcpy(&head, l->letter->body, sizeof(head));
	head.view += ahead;
	head.view += (l->letter->header->sender + 4 - head.view % 4) % 4;
	if (l->number % 2 != 0)
		head.justify.view = head.view - 1;
	memcpy(l->letter->body, &head, sizeof(head));
	l->letter->header->view = head.view;
}

static void
timeout_ahead(struct scenario_letter *l)
{
	struct timeout_head head;
	memset(&head, 0, sizeof(head));
	l->letter->header->type = HOTSTUFF_TIMEOUT;
	l->letter->header->view = VIEWS_AHEAD + l->number;
	l->letter->proof = PROOF_SIGNATURE;
	if (l->number % 2 != 0)
		head.high.view = l->letter->header->view - 1;
	l->letter->header->seq = head.high.view;
	memcpy(l->letter->body, &head, sizeof(head));
	l->letter->body_size = sizeof(head);
}

static void
vote_ahead(struct scenario_letter *l)
{
	l->letter->header->type = HOTSTUFF_VOTE;
	l->letter->header->view = VIEWS_AHEAD + 4 * l->number;
	l->letter->header->seq = 1 + l->number;
	l->letter->header->digest[0] = (uint8_t)l->number;
	l->letter->proof = PROOF_SIGNATURE;
}

#define AHEAD(what)                                                                               \
	{                                                                                         \
		.act = SCENARIO_FORGE, .at_ns = 100 * MS, .every_ns = 20 * MS, .times = 40,       \
		.amount = 10, .fault = {.from = R(3), .to = R(0) | R(1) | R(2)}, .mutate = (what) \
	}

static const struct scenario inflation_scenario = {
    .id = "H07",
    .story = "proposals, votes and TIMEOUTs of views a million ahead",
    .mode = "hotstuff",
    .faulty = R(3),
    .rules = {AHEAD(proposal_ahead), AHEAD(timeout_ahead), AHEAD(vote_ahead)},
    .expect = views_not_inflated,
};

/* ---- Leaders that are silent ---------------------------------------- */

static bool
sixty_answers(struct sim *sim)
{
	return sim->oracle.answered >= 60;
}

/* An operation waits for three consecutive views that end before the silent one. */
static const char *
a_few_timeouts(struct sim *sim)
{
	uint64_t most_ns = 4 * sim->plan.protocol.view_timeout_ns;
	if (sim->oracle.views_failed_core > 0)
		return "views of leaders that are not silent failed";
	return latency_max_ns(sim) <= most_ns ? NULL : "an answer took more than the timeouts";
}

static const struct scenario silent_scenario = {
    .id = "H08",
    .story = "a silent leader every fourth view costs at most the timeouts",
    .mode = "hotstuff",
    .faulty = R(0),
    .operations = 500,
    .rules =
	{
	    {.type = HOTSTUFF_PROPOSAL, .from = R(0), .lasting = true, .act = SCENARIO_DROP},
	    {.at_ns = 900 * MS, .when = sixty_answers},
	},
    .expect = a_few_timeouts,
};

static const struct scenario silent_two_scenario = {
    .id = "H08 two",
    .story = "two silent leaders in a row, n = 7",
    .mode = "hotstuff",
    .faults = 2,
    .faulty = R(2) | R(3),
    .operations = 400,
    .rules =
	{
	    {.from = R(2) | R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.at_ns = 900 * MS, .when = sixty_answers},
	},
    .expect = view_moved,
};

#define FIRST_TEN 0x3ffull

static const struct scenario ten_in_a_row_scenario = {
    .id = "ten in a row",
    .story = "ten leaders in a row are gone for good, n = 31",
    .mode = "hotstuff",
    .faults = 10,
    .operations = 60,
    .lost = FIRST_TEN,
    .horizon_ns = 3000 * MS,
    .timeouts_max = 4000,
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.lasting = true,
	.fault = {.kind = FAULT_CRASH, .from = FIRST_TEN}}},
    .expect = view_moved,
};

static const struct scenario late_votes_scenario = {
    .id = "H09",
    .story = "the votes of one of them come when the view has moved on",
    .mode = "hotstuff",
    .rules = {{.type = HOTSTUFF_VOTE, .from = R(2), .act = SCENARIO_DELAY, .amount = SOON_MS * MS}},
    .expect = view_kept,
};

static const struct scenario late_votes_needed_scenario = {
    .id = "H09 needed",
    .story = "the same, and another is gone: nothing goes on without them",
    .mode = "hotstuff",
    .lost = R(3),
    .horizon_ns = 2000 * MS,
    .settings = {.view_timeout_ns = 60 * MS},
    .rules =
	{
	    {.type = HOTSTUFF_VOTE, .from = R(2), .act = SCENARIO_DELAY, .amount = SOON_MS * MS},
	    {.act = SCENARIO_FAULT,
		.at_ns = 300 * MS,
		.lasting = true,
		.fault = {.kind = FAULT_CRASH, .from = R(3)}},
	},
    .expect = others_views_kept,
};

/* ---- Restarts ---------------------------------------- */

static uint64_t noted_view;

/* n = 7: replica 2 votes for what replica 0 proposed. */
static bool
votes_for_the_liar(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)to;
	noted_view = header->view;
	return led_by(sim, header->view) == 0;
}

static void
other_block(struct scenario_letter *l)
{
	const struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	if (letter_copy(l, last_of(liar, HOTSTUFF_PROPOSAL, noted_view)))
		without_last(l);
}

static const struct scenario forgets_vote_scenario = {
    .id = "H10",
    .story = "a replica votes, forgets it, and is shown another block of that view",
    .mode = "hotstuff",
    .faults = 2, /* one lies, one forgets */
    .faulty = R(0),
    .operations = 600,
    .rules =
	{
	    {.type = HOTSTUFF_VOTE,
		.from = R(2),
		.at_ns = 200 * MS,
		.like = votes_for_the_liar,
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_AMNESIA, .from = R(2), .end_ns = 100000}},
	    {.after = 1,
		.at_ns = 200 * MS,
		.every_ns = 200000,
		.times = 200,
		.act = SCENARIO_FORGE,
		.fault = {.from = R(0), .to = R(2)},
		.mutate = other_block},
	},
};

static const struct scenario crashes_voting_scenario = {
    .id = "H11",
    .story = "a replica crashes as it votes, the vote is lost, another is slow",
    .mode = "hotstuff",
    .rules =
	{
	    {.type = HOTSTUFF_VOTE,
		.from = R(2),
		.at_ns = 200 * MS,
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(2), .end_ns = 30 * MS}},
	    {.type = HOTSTUFF_VOTE,
		.from = R(2),
		.at_ns = 200 * MS,
		.times = 1,
		.act = SCENARIO_DROP},
	    {.type = HOTSTUFF_VOTE, .from = R(3), .after = 1, .times = 1, .act = SCENARIO_DROP},
	},
    .expect = view_moved,
};

/* ---- Blocks that are missing ---------------------------------------- */

/* A block far up, upon one that nobody has. */
static void
orphan(struct scenario_letter *l)
{
	struct block_head head;
	memcpy(&head, l->letter->body, sizeof(head));
	if (l->number % 3 == 0) {
		head.height += ANCESTORS_MISSING;
		head.justify.height += ANCESTORS_MISSING;
	} else if (l->number % 3 == 1) { /* its own child, as far as digests can say so */
		memcpy(head.justify.digest32, l->letter->header->digest, DIGEST_SIZE);
	} else {
		head.height--;
	}
	memcpy(l->letter->body, &head, sizeof(head));
	l->letter->header->seq = head.height;
}

static const struct scenario orphans_scenario = {
    .id = "H12",
    .story = "blocks upon ten thousand that nobody has, upon themselves, at a height of their own",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {{.type = HOTSTUFF_PROPOSAL, .from = R(0), .act = SCENARIO_MUTATE, .mutate = orphan}},
    .expect = view_moved,
};

static void
block_junk(struct scenario_letter *l)
{
	struct block_head head;
	if (l->letter->body_size < sizeof(head))
		return;
	memcpy(&head, l->letter->body, sizeof(head));
	if (l->number % 3 == 0)
		head.justify.digest32[0] ^= 1;
	else if (l->number % 3 == 1)
		head.height += ANCESTORS_MISSING;
	else
		l->letter->body_size = (uint32_t)sizeof(head);
	memcpy(l->letter->body, &head, sizeof(head));
}

static const char *
blocks_were_fetched(struct sim *sim)
{
	return figure_max(sim, "blocks_fetched") > 0 ? NULL : "nobody had to fetch a block";
}

static bool
third_came_back(struct sim *sim)
{
	return sim->now_ns < 990 * MS && third_is_near(sim);
}

static const struct scenario junk_scenario = {
    .id = "H12 junk",
    .story = "who was away asks for blocks, and one of them answers with junk",
    .mode = "hotstuff",
    .faulty = R(0),
    .operations = 400,
    .settings = {.checkpoint_interval = 64},
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 300 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(3), .to = ALL & ~R(3), .end_ns = 100 * MS}},
	    {.type = HOTSTUFF_BLOCK,
		.from = R(0),
		.optional = true,
		.act = SCENARIO_MUTATE,
		.mutate = block_junk},
	    {.at_ns = 600 * MS, .when = third_came_back},
	},
    .expect = blocks_were_fetched,
};

static void
fetch_anything(struct scenario_letter *l)
{
	l->letter->header->type = HOTSTUFF_FETCH;
	l->letter->header->seq = l->number % 40;
	for (uint32_t i = 0; i < DIGEST_SIZE; i++)
		l->letter->header->digest[i] = (uint8_t)(l->number * 31 + i);
	if (l->number % 2 == 0) {
		const struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
		const struct message_header *proposal = last_of(liar, HOTSTUFF_PROPOSAL, 0);
		if (proposal == NULL)
			return;
		memcpy(l->letter->header->digest, proposal->digest, DIGEST_SIZE);
		l->letter->header->seq = proposal->seq;
	}
}

/* What is served to one who asks without end is bounded, and costs others nothing. */
static const char *
served_little(struct sim *sim)
{
	if (scenario_figure(sim, 1, "blocks_served") > 2000)
		return "a liar has blocks sent to it without end";
	return view_kept(sim);
}

static const struct scenario fetch_flood_scenario = {
    .id = "H12 flood",
    .story = "one of them asks for blocks that are there and that are not, without end",
    .mode = "hotstuff",
    .faulty = R(3),
    .rules = {{.act = SCENARIO_FORGE,
	.at_ns = 100 * MS,
	.every_ns = 2 * MS,
	.times = 400,
	.amount = 20,
	.fault = {.from = R(3), .to = R(1)},
	.mutate = fetch_anything}},
    .expect = served_little,
};

/* ---- The pacemaker ---------------------------------------- */

#define RATE(node, rate)                                             \
	{                                                            \
		.act = SCENARIO_FAULT, .at_ns = 100 * MS, .fault = { \
			.kind = FAULT_CLOCK_RATE,                    \
			.from = R(node),                             \
			.amount = (rate),                            \
			.end_ns = 800 * MS                           \
		}                                                    \
	}

static const struct scenario desynchronised_scenario = {
    .id = "H13",
    .story = "clocks differ fourfold, halves are apart for a while: they meet again soon",
    .mode = "hotstuff",
    .timeouts_max = 40,
    .horizon_ns = 1000 * MS,
    .rules =
	{
	    RATE(1, 2048),
	    RATE(2, 512),
	    {.act = SCENARIO_FAULT,
		.at_ns = 300 * MS,
		.fault = {.kind = FAULT_PARTITION,
		    .from = R(0) | R(1),
		    .to = R(2) | R(3),
		    .end_ns = 700 * MS}},
	},
    .expect = view_moved,
};

/* The votes that would have told of the certificate are the only ones that are lost. */
static const struct scenario timeouts_lost_scenario = {
    .id = "amplification",
    .story = "TIMEOUTs of two of them are lost again and again, so that views differ",
    .mode = "hotstuff",
    .timeouts_max = 60,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 600 * MS}},
	    {.type = HOTSTUFF_TIMEOUT, .from = R(1), .to = R(2) | R(3), .act = SCENARIO_DROP},
	    {.type = HOTSTUFF_TIMEOUT, .from = R(2), .to = R(1), .act = SCENARIO_DROP},
	},
    .expect = view_moved,
};

/* ---- Load, high and low ---------------------------------------- */

static const char *
answered_at_once(struct sim *sim)
{
	if (latency_max_ns(sim) > AT_ONCE_MS * MS)
		return "an answer waited for others' requests, or for a timer";
	return view_kept(sim);
}

static const struct scenario tail_scenario = {
    .id = "tail",
    .story = "one client, an operation now and then: each is committed without another",
    .mode = "hotstuff",
    .clients = 1,
    .operations = 60,
    .horizon_ns = 6000 * MS,
    .expect = answered_at_once,
};

/* A STATUS to each of the others in half of a timeout, for six seconds. */
enum { HEARTBEATS_MAX = 6000 / 10 * 4 * 3 + 200 };

static bool
to_the_leader_after(struct sim *sim, const struct message_header *header, uint16_t to)
{
	return led_by(sim, header->view + 1) == to;
}

/* Whoever is asked next must not be one who does not know yet that the chain has stopped. */
static const struct scenario tail_late_scenario = {
    .id = "tail, late",
    .story = "one client without a pause; the last certificate comes late to the leader after next",
    .mode = "hotstuff",
    .clients = 1,
    .operations = 60,
    .horizon_ns = 30 * MS,
    .rules = {{.type = HOTSTUFF_CERTIFICATE,
	.like = to_the_leader_after,
	.lasting = true,
	.act = SCENARIO_DELAY,
	.amount = MS}},
    .expect = answered_at_once,
};

/*
 * A request that comes while the chain seems to go on waits for the leader after the next
 * one; when the chain turns out to have stopped, that leader passes it on.
 */
static const struct scenario passed_on_scenario = {
    .id = "tail, passed on",
    .story =
	"two clients: one asks while the chain runs for the other, and all hear late of its end",
    .mode = "hotstuff",
    .clients = 2,
    .operations = 600,
    .horizon_ns = 400 * MS,
    .rules =
	{{.type = HOTSTUFF_CERTIFICATE, .lasting = true, .act = SCENARIO_DELAY, .amount = MS / 4}},
    .expect = answered_at_once,
};

static uint64_t noted_delivered;

static bool
traffic_note(struct sim *sim)
{
	bool idle = sim->oracle.answered == sim->oracle.asked && sim->network.count == 0;
	noted_delivered = sim->report->delivered;
	return idle;
}

static bool
traffic_is_little(struct sim *sim)
{
	uint64_t sent = sim->report->delivered - noted_delivered;
	return sim->oracle.asked > 2 && sent < HEARTBEATS_MAX;
}

static const struct scenario quiet_scenario = {
    .id = "idle",
    .story = "a chain without work says no more than that it is there, for seconds",
    .mode = "hotstuff",
    .clients = 1,
    .operations = 15,
    .horizon_ns = 60000 * MS,
    .rules =
	{
	    {.at_ns = 8000 * MS, .when = traffic_note},
	    {.after = 1, .at_ns = 14000 * MS, .when = traffic_is_little},
	},
    .expect = answered_at_once,
};

static const struct scenario laggard_scenario = {
    .id = "laggard",
    .story = "one of them is away for some windows, and catches up while the chain runs",
    .mode = "hotstuff",
    .operations = 3000,
    .clients = 20,
    .horizon_ns = 1000 * MS,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 200 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(3), .to = ALL & ~R(3), .end_ns = 300 * MS}},
	    {.at_ns = 650 * MS, .when = third_came_back},
	},
};

static bool
second_came_back(struct sim *sim)
{
	const struct oracle *o = &sim->oracle;
	return sim->now_ns < 990 * MS && o->replicas[2].position > 0 &&
	       o->replicas[2].position + 2ull * sim->plan.protocol.checkpoint_interval >= o->head;
}

#define RESTARTS(kind_)                                              \
	{                                                            \
		.act = SCENARIO_FAULT, .at_ns = 300 * MS, .fault = { \
			.kind = (kind_),                             \
			.from = R(2),                                \
			.end_ns = 100 * MS                           \
		}                                                    \
	}

static const struct scenario restart_scenario = {
    .id = "restart",
    .story = "a replica crashes under load and goes on",
    .mode = "hotstuff",
    .operations = 1500,
    .rules = {RESTARTS(FAULT_CRASH), {.at_ns = 700 * MS, .when = second_came_back}},
};

static const struct scenario restart_anew_scenario = {
    .id = "restart without memory",
    .story = "a replica crashes under load and starts anew",
    .mode = "hotstuff",
    .operations = 1500,
    .rules = {RESTARTS(FAULT_AMNESIA), {.at_ns = 800 * MS, .when = second_came_back}},
};

/* The one that came back is needed: it must vote again, not only follow. */
static const struct scenario restart_needed_scenario = {
    .id = "restart, then another",
    .story = "one starts anew, and soon after that another is gone for good",
    .mode = "hotstuff",
    .operations = 600,
    .lost = R(3),
    .rules =
	{
	    RESTARTS(FAULT_AMNESIA),
	    {.at_ns = 700 * MS, .when = second_came_back},
	    {.after = 2,
		.at_ns = 700 * MS,
		.lasting = true,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(3)}},
	},
};

/* ---- Forks
 * -----------------------------------------------------------------------------------------------
 */

static const char *
forks_happened(struct sim *sim)
{
	return figure_max(sim, "forks_abandoned") > 0 ? NULL : "no block was abandoned";
}

/* Replica 1 never hears of the votes for what replica 0 proposes: its block forks that away. */
static const struct scenario forks_scenario = {
    .id = "forks",
    .story = "block after block is abandoned: each request is executed once, in the end",
    .mode = "hotstuff",
    .rules =
	{
	    {.type = HOTSTUFF_VOTE, .to = R(1), .act = SCENARIO_DROP},
	    {.type = HOTSTUFF_TIMEOUT,
		.from = R(0) | R(2),
		.act = SCENARIO_DELAY,
		.amount = 2 * MS},
	    {.type = HOTSTUFF_PROPOSAL, .from = R(0), .to = R(3), .act = SCENARIO_DROP},
	},
    .expect = forks_happened,
};

TELL(equivocation)
TELL(two_votes)
TELL(gaps)
TELL(timeouts_false)
TELL(certificates)
TELL(hidden_lock)
TELL(hidden_lock_liar)
TELL(inflation)
TELL(silent)
TELL(silent_two)
TELL(ten_in_a_row)
TELL(late_votes)
TELL(late_votes_needed)
TELL(forgets_vote)
TELL(crashes_voting)
TELL(orphans)
TELL(junk)
TELL(fetch_flood)
TELL(desynchronised)
TELL(timeouts_lost)
TELL(tail)
TELL(tail_late)
TELL(passed_on)
TELL(quiet)
TELL(laggard)
TELL(restart)
TELL(restart_anew)
TELL(restart_needed)
TELL(forks)

static const struct unit_story stories[] = {
    STORY(equivocation),
    STORY(two_votes),
    STORY(gaps),
    STORY(timeouts_false),
    STORY(certificates),
    STORY(hidden_lock),
    STORY(hidden_lock_liar),
    STORY(inflation),
    STORY(silent),
    STORY(silent_two),
    STORY(ten_in_a_row),
    STORY(late_votes),
    STORY(late_votes_needed),
    STORY(forgets_vote),
    STORY(crashes_voting),
    STORY(orphans),
    STORY(junk),
    STORY(fetch_flood),
    STORY(desynchronised),
    STORY(timeouts_lost),
    STORY(tail),
    STORY(tail_late),
    STORY(passed_on),
    STORY(quiet),
    STORY(laggard),
    STORY(restart),
    STORY(restart_anew),
    STORY(restart_needed),
    STORY(forks),
};

UNIT_MAIN("scenarios_hotstuff", stories)
