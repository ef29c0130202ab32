/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotStuff's scenarios about what does not prove what it should: certificates whose
 * signatures are none, and clients whose MACs hold at some replicas only. See
 * unit_scenarios_hotstuff.c.
 */
#include "tests/hotstuff_rig.h"

/* ---- Certificates that are known, in other bytes ---------------------------------- */

static void
qc_spoilt(struct scenario_letter *l)
{
	struct hotstuff_parts parts;
	if (letter_parts(l, &parts))
		l->letter->body[parts.qc.signatures_at] ^= 1;
}

static void
tc_spoilt(struct scenario_letter *l)
{
	struct hotstuff_parts parts;
	if (!letter_parts(l, &parts))
		return;
	uint32_t entry_at = parts.tc_at + (uint32_t)sizeof(struct tc_head);
	l->letter->body[entry_at + offsetof(struct tc_entry, signature64)] ^= 1;
}

static const char *
spoilt_blocks_refused(struct sim *sim)
{
	for (uint16_t i = 1; i < 4; i++) {
		if (scenario_counters(sim, i)->drops[SHARD_DROP_PROOF] == 0)
			return "a block with spoilt signatures was taken";
	}
	return view_moved(sim);
}

/* All know what the certificates say: from each other's TIMEOUTs, or by counting them. */
#define SPOILT(how)                                                                             \
	{.type = HOTSTUFF_PROPOSAL, .from = R(3), .act = SCENARIO_DROP},                        \
	{                                                                                       \
		.type = HOTSTUFF_PROPOSAL, .from = R(0), .to = REPLICAS, .like = upon_timeouts, \
		.act = SCENARIO_MUTATE, .mutate = (how)                                         \
	}

static const struct scenario spoilt_qc_scenario = {
    .id = "H16 QC",
    .story = "a liar's block has a QC that all know, and a signature in it that is none",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {SPOILT(qc_spoilt)},
    .expect = spoilt_blocks_refused,
};

static const struct scenario spoilt_tc_scenario = {
    .id = "H16 TC",
    .story = "a liar's block has a TC that all know, and a signature in it that is none",
    .mode = "hotstuff",
    .faulty = R(0),
    .rules = {SPOILT(tc_spoilt)},
    .expect = spoilt_blocks_refused,
};

/* ---- Clients ---------------------------------------- */

static bool
anything(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)header;
	(void)to;
	return true;
}

static bool
eighty_answers(struct sim *sim)
{
	return sim->oracle.answered >= 80;
}

/* The silent one makes every fourth view fail; the client's MACs may not. */
static const char *
few_views_of_others(struct sim *sim)
{
	return sim->oracle.views_failed_core <= 12 ? NULL : "views fail again and again";
}

static const struct scenario big_mac_scenario = {
    .id = "C05 with a silent one",
    .story = "a client's MACs do not hold at one of them, and another is silent",
    .mode = "hotstuff",
    .faulty = R(3) | C(1),
    .request_auth = AUTH_MAC,
    .horizon_ns = 2000 * MS,
    .operations = 500,
    .rules =
	{
	    {.from = R(3), .like = anything, .lasting = true, .act = SCENARIO_DROP},
	    {.act = SCENARIO_FAULT,
		.at_ns = 50 * MS,
		.fault = {.kind = FAULT_PARTIAL_VECTOR, .from = C(1), .to = R(2), .amount = 1000}},
	    /* One view fails for want of a vote; from then on the client has to sign. */
	    {.at_ns = 1900 * MS, .when = eighty_answers},
	},
    .expect = few_views_of_others,
};

static const struct scenario big_mac_most_scenario = {
    .id = "C05",
    .story = "a client's MACs hold at one replica only",
    .mode = "hotstuff",
    .faulty = C(1),
    .request_auth = AUTH_MAC,
    .horizon_ns = 2000 * MS,
    .operations = 500,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 50 * MS,
		.fault = {.kind = FAULT_PARTIAL_VECTOR,
		    .from = C(1),
		    .to = R(1) | R(2) | R(3),
		    .amount = 1000}},
	    {.at_ns = 1900 * MS, .when = eighty_answers},
	},
    .expect = few_views_of_others,
};

/* ---- The suite -------------------------------------------------------------------- */

TELL(spoilt_qc)
TELL(spoilt_tc)
TELL(big_mac)
TELL(big_mac_most)

static const struct unit_story stories[] = {
    STORY(spoilt_qc),
    STORY(spoilt_tc),
    STORY(big_mac),
    STORY(big_mac_most),
};

UNIT_MAIN("scenarios_hotstuff_proofs", stories)
