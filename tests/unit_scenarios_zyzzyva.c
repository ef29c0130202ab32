/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Byzantine primaries, backups and clients, and bad luck, can do to Zyzzyva,
 * case by case; the network is a good one but for what the case says.
 */
#include "tests/zyzzyva_scripts.h"

/* ---- Z03: two orders -------------------------------------------------------------------- */

static const char *
moved_by_proof(struct sim *sim)
{
	if (figures_sum(sim, R(1) | R(2) | R(3), "poms") == 0)
		return "nobody proved the primary's misbehaviour";
	return view_moved(sim);
}

/* What they accepted by MAC is not what it signs. */
static const char *
moved_by_betrayal(struct sim *sim)
{
	if (figures_sum(sim, R(1) | R(2) | R(3), "betrayals") == 0)
		return "nobody noticed that others were told otherwise";
	return view_moved(sim);
}

static const struct scenario equivocation_scenario = {
    .id = "Z03",
    .story = "the primary orders one batch for half of them, another for the others",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_ORDER_REQ,
	.from = R(0),
	.to = R(2) | R(3),
	.nth = SLOT,
	.act = SCENARIO_MUTATE,
	.mutate = without_last}},
    .expect = moved_by_betrayal,
};

static const struct scenario equivocation_signed_scenario = {
    .id = "Z03 signed",
    .story = "the primary orders one batch for one of them, another for the others, and signs both",
    .mode = "zyzzyva",
    .auth = AUTH_SIGN,
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_ORDER_REQ,
	.from = R(0),
	.to = R(3),
	.nth = SLOT,
	.act = SCENARIO_MUTATE,
	.mutate = without_last}},
    .expect = moved_by_proof,
};

/* Headers as the primary would write them, signatures as it would not. */
static void
pom_forge(struct scenario_letter *l)
{
	struct signed_copy copies[2];
	memset(copies, 0, sizeof(copies));
	for (uint32_t i = 0; i < 2; i++) {
		copies[i].header = *l->letter->header;
		copies[i].header.type = ZYZZYVA_ORDER_REQ;
		copies[i].header.proof = PROOF_SIGNATURE;
		copies[i].header.sender = 0;
		copies[i].header.seq = 1 + l->number;
		copies[i].header.digest[0] = (uint8_t)(1 + i);
	}
	l->letter->header->type = ZYZZYVA_POM;
	l->letter->header->view = 0;
	l->letter->proof = l->sim->plan.protocol.protocol_proof;
	memcpy(l->letter->body, copies, sizeof(copies));
	l->letter->body_size = sizeof(copies);
}

static const struct scenario forged_proof_scenario = {
    .id = "Z03 forged",
    .story = "a backup makes up proofs of misbehaviour",
    .mode = "zyzzyva",
    .faulty = R(3),
    .rules = {{.act = SCENARIO_FORGE,
	.at_ns = 100 * MS,
	.every_ns = 20 * MS,
	.times = 20,
	.amount = 3,
	.fault = {.from = R(3), .to = R(0) | R(1) | R(2)},
	.mutate = pom_forge}},
    .expect = view_kept,
};

/* ---- Z04: the slow path ------------------------------------------------------------------- */

static const char *
answered_slowly(struct sim *sim)
{
	if (figures_sum(sim, CLIENTS, "answers_slow") == 0)
		return "nothing was answered by certificates";
	if (figures_sum(sim, CLIENTS, "answers_fast") != 0)
		return "three of four replies were taken for an answer";
	return view_kept(sim);
}

static const struct scenario silent_scenario = {
    .id = "Z04",
    .story = "a backup is silent: everything goes on by certificates",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .rules = {{.from = R(3), .lasting = true, .act = SCENARIO_DROP}},
    .expect = answered_slowly,
};

/* After its first operations nobody asks: replicas commit among themselves, all with one CC. */
static const char *
answered_unasked(struct sim *sim)
{
	uint64_t slow = figures_sum(sim, CLIENTS, "answers_slow");
	if (figures_sum(sim, CLIENTS, "asks") * 4 > slow)
		return "clients had to ask for their LOCAL-COMMITs";
	if (figures_sum(sim, CLIENTS, "commits") * 4 > slow)
		return "clients had to make certificates";
	return answered_slowly(sim);
}

static const struct scenario unasked_scenario = {
    .id = "Z17",
    .story = "a backup is silent for long: clients are told what is committed",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .operations = 2000,
    .rules = {{.from = R(3), .lasting = true, .act = SCENARIO_DROP}},
    .expect = answered_unasked,
};

/* What it signs for itself it does not send, but for checkpoints and in its turn. */
static const struct scenario uncovered_scenario = {
    .id = "Z18",
    .story = "the primary replies to nobody, and signs what it must and no more",
    .mode = "zyzzyva",
    .faulty = R(0),
    .lost = R(0),
    .operations = 2000,
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(0), .lasting = true, .act = SCENARIO_DROP},
	    {.type = BFT_REPLY_DIGEST,
		.from = R(0),
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	    {.type = ZYZZYVA_STATEMENT,
		.from = R(0),
		.lasting = true,
		.act = SCENARIO_DELAY,
		.amount = 40 * MS},
	},
    .expect = answered_unasked,
};

static const char *
answered_fast(struct sim *sim)
{
	uint64_t fast = figures_sum(sim, CLIENTS, "answers_fast");
	uint64_t slow = figures_sum(sim, CLIENTS, "answers_slow");
	if (fast == 0 || slow > fast / 10)
		return "the fast path was not taken";
	if (figures_sum(sim, REPLICAS, "statements") > 4 * sim->oracle.ledger_count)
		return "the fast path cost signatures";
	return view_kept(sim);
}

static const struct scenario fast_scenario = {
    .id = "Z04 none",
    .story = "nobody is slow: all is answered by the fast path",
    .mode = "zyzzyva",
    .rules = {{.type = ZYZZYVA_ORDER_REQ, .from = R(0), .act = SCENARIO_COUNT}},
    .expect = answered_fast,
};

/* ---- Z05: undoing -----------------------------------------------------------------------------
 */

static const char *
rolled_back(struct sim *sim)
{
	if (scenario_figure(sim, 0, "rolled_back") == 0)
		return "the old primary undid nothing";
	return view_moved(sim);
}

static const struct scenario rollback_scenario = {
    .id = "Z05",
    .story = "the primary is cut off from the others, and goes on executing what clients ask",
    .mode = "zyzzyva",
    .settings = {.checkpoint_interval = 64},
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.fault =
	    {.kind = FAULT_PARTITION, .from = R(0), .to = R(1) | R(2) | R(3), .end_ns = 150 * MS}}},
    .expect = rolled_back,
};

/* ---- Z06: holes --------------------------------------------------------------------------------
 */

static const char *
holes_filled(struct sim *sim)
{
	if (scenario_figure(sim, 2, "fill_holes") == 0)
		return "nobody asked for what is missing";
	return view_kept(sim);
}

static const struct scenario hole_scenario = {
    .id = "Z06",
    .story = "the primary keeps every third order from one backup, and does not hand it out",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_ORDER_REQ,
	.from = R(0),
	.to = R(2),
	.seq_every = 3,
	.act = SCENARIO_DROP}},
    .expect = holes_filled,
};

static const struct scenario hole_for_all_scenario = {
    .id = "Z06 for all",
    .story = "the primary leaves one order out for everybody",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_ORDER_REQ,
	.from = R(0),
	.to = R(1) | R(2) | R(3),
	.view = SCENARIO_IS(0),
	.seq = SCENARIO_IS(SLOT),
	.act = SCENARIO_DROP}},
    .expect = view_moved,
};

/* ---- Z07: the history counts
 * ---------------------------------------------------------------------- */

static void
history_other(struct scenario_letter *l)
{
	struct reply_head *head = (void *)l->letter->body;
	/* Of a large result the digest alone is told. */
	if (l->letter->body_size >= sizeof(*head))
		head->history32[0] ^= 1;
	else
		l->letter->header->digest[0] ^= 1;
}

static const struct scenario history_scenario = {
    .id = "Z07",
    .story = "a backup's replies differ from the others' in h alone",
    .mode = "zyzzyva",
    .faulty = R(3),
    .rules =
	{
	    {.type = MESSAGE_REPLY,
		.from = R(3),
		.lasting = true,
		.act = SCENARIO_MUTATE,
		.mutate = history_other},
	    {.type = BFT_REPLY_DIGEST,
		.from = R(3),
		.lasting = true,
		.optional = true,
		.act = SCENARIO_MUTATE,
		.mutate = history_other},
	},
    .expect = answered_slowly,
};

/* ---- Z08: what all have executed is kept
 * ------------------------------------------------------------ */

static void
history_omitted(struct scenario_letter *l)
{
	struct view_change_head *head = (void *)l->letter->body;
	l->letter->body_size -= (uint32_t)head->entries_count * 32;
	head->entries_count = 0;
}

static const struct scenario omitted_scenario = {
    .id = "Z08",
    .story = "one of the three who make the new view leaves out what was complete",
    .mode = "zyzzyva",
    .faulty = R(3),
    .settings = {.checkpoint_interval = 64},
    .rules =
	{
	    {.type = ZYZZYVA_VIEW_CHANGE,
		.from = R(3),
		.act = SCENARIO_MUTATE,
		.mutate = history_omitted},
	    {.act = SCENARIO_FAULT,
		.at_ns = 50 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(0), .to = ALL & ~R(0), .end_ns = 400 * MS}},
	},
    .expect = view_moved,
};

/* ---- Z09: late replies
 * -------------------------------------------------------------------------------- */

static const struct scenario late_scenario = {
    .id = "Z09",
    .story = "the fourth reply comes when the client has just given it up",
    .mode = "zyzzyva",
    .rules = {{.type = MESSAGE_REPLY, .from = R(3), .act = SCENARIO_DELAY, .amount = 3 * MS}},
    .expect = view_kept,
};

/* ---- C06, C07: clients
 * ---------------------------------------------------------------------------------- */

static const char *
history_stable(struct sim *sim)
{
	for (uint16_t i = 0; i < 3; i++) {
		if (scenario_figure(sim, i, "stable") == 0)
			return "the history did not become stable";
	}
	return figures_sum(sim, CLIENTS, "commits") == 0 ? "no client asked for a certificate"
							 : view_kept(sim);
}

static const struct scenario no_commit_scenario = {
    .id = "C06",
    .story = "some clients stop before COMMIT: others and checkpoints commit the history",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_COMMIT, .from = C(0), .lasting = true, .act = SCENARIO_DROP},
	},
    .expect = history_stable,
};

static const struct scenario commit_to_one_scenario = {
    .id = "C07 to one",
    .story = "certificates reach one replica alone",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_COMMIT,
		.from = CLIENTS,
		.to = R(0) | R(2) | R(3),
		.act = SCENARIO_DROP},
	},
    .expect = history_stable,
};

/* A signature is wrong, the view another, one signer twice, one too few, or one who is nobody. */
static void
certificate_wrong(struct scenario_letter *l)
{
	struct commit_head *head = (void *)l->letter->body;
	uint8_t *signatures = (uint8_t *)(head + 1);
	switch (l->number % 5) {
	case 0:
		signatures[7] ^= 1;
		break;
	case 1:
		head->view++;
		break;
	case 2:
		memcpy(signatures + SIGNATURE_SIZE, signatures, SIGNATURE_SIZE);
		break;
	case 3:
		head->signers &= head->signers - 1;
		l->letter->body_size -= SIGNATURE_SIZE;
		break;
	default:
		head->seq++;
		break;
	}
}

static const char *
wrong_ones_refused(struct sim *sim)
{
	return figures_sum(sim, CLIENTS, "commits") == 0 ? "no certificate was sent"
							 : view_kept(sim);
}

static const struct scenario bad_certificates_scenario = {
    .id = "C07 forged",
    .story = "a client's certificates are wrong in one way or another",
    .mode = "zyzzyva",
    .faulty = R(3) | C(0),
    .lost = R(3),
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = ZYZZYVA_COMMIT,
		.from = C(0),
		.act = SCENARIO_MUTATE,
		.mutate = certificate_wrong},
	},
    .expect = wrong_ones_refused,
};

/* ---- C05: clients that have to sign -------------------------------------------------------- */

static uint64_t
slots_signed(const struct sim *sim)
{
	return figures_sum(sim, CLIENTS, "slots_signed");
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

static const struct scenario flips_stop_scenario = {
    .id = "C05 flips stop",
    .story = "MACs are spoilt on their way for a while: later nobody has to sign any more",
    .mode = "zyzzyva",
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

/* ---- Z12, Z14: MACs and signatures that do not agree ------------------------------------- */

/* Its own signatures are good, so there is somebody to ask what it is about. */
static const char *
followed_by_certificates(struct sim *sim)
{
	if (scenario_figure(sim, 3, "fetches") == 0)
		return "the backup did not ask for what it cannot judge";
	if (sim->oracle.ledger_count == 0 ||
	    scenario_figure(sim, 3, "executed_seq") + 16 < scenario_figure(sim, 1, "executed_seq"))
		return "the backup was left behind";
	return view_kept(sim);
}

static const struct scenario some_macs_scenario = {
    .id = "Z12",
    .story = "the primary's MACs are good for two backups and bad for the third",
    .mode = "zyzzyva",
    .faulty = R(0),
    .settings = {.checkpoint_interval = 512},
    .rules =
	{
	    {.type = ZYZZYVA_ORDER_REQ, .from = R(0), .to = R(3), .act = SCENARIO_FLIP},
	    /* Passed on, they are what they were. */
	    {.type = ZYZZYVA_ORDER_REQ,
		.from = R(1) | R(2),
		.to = R(3),
		.optional = true,
		.act = SCENARIO_FLIP},
	},
    .expect = followed_by_certificates,
};

static const struct scenario most_macs_scenario = {
    .id = "Z12 most",
    .story = "the primary's MACs are good for one backup and bad for two",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_ORDER_REQ,
	.view = SCENARIO_IS(0),
	.to = R(2) | R(3),
	.act = SCENARIO_DROP}},
    .expect = view_moved,
};

static void
statement_other(struct scenario_letter *l)
{
	l->letter->header->digest[0] ^= 1;
}

static const struct scenario signed_other_scenario = {
    .id = "Z14",
    .story = "the primary signs another history for one backup than it ordered",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_STATEMENT,
	.from = R(0),
	.to = R(3),
	.view = SCENARIO_IS(0),
	.nth = 3,
	.act = SCENARIO_MUTATE,
	.mutate = statement_other}},
    .expect = moved_by_proof,
};

/* ---- a primary that is not there, a replica that forgot
 * ---------------------------------------------------- */

static const struct scenario silent_primary_scenario = {
    .id = "Z10",
    .story = "the primary orders nothing",
    .mode = "zyzzyva",
    .faulty = R(0),
    .rules = {{.type = ZYZZYVA_ORDER_REQ, .from = R(0), .act = SCENARIO_DROP}},
    .expect = view_moved,
};

static const struct scenario restart_scenario = {
    .id = "Z11",
    .story = "a backup loses its memory and comes back",
    .mode = "zyzzyva",
    .operations = 500,
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 150 * MS,
	.fault = {.kind = FAULT_AMNESIA, .from = R(2), .to = R(2), .end_ns = 250 * MS}}},
    .expect = view_kept,
};

/* ---- Z19, Z20: who makes a checkpoint ------------------------------------------------------- */

/* q votes make one; the last may be under way. */
static const char *
made_by_a_quorum(struct sim *sim)
{
	uint64_t stable = scenario_figure(sim, 0, "checkpoints");
	uint64_t votes = figures_sum(sim, R(0) | R(1) | R(2) | R(3), "checkpoint_votes");
	if (stable < 4)
		return "there were no checkpoints to speak of";
	if (votes > 3 * (stable + 1))
		return "spare replicas voted though nobody was late";
	for (uint16_t i = 0; i < 4; i++) {
		if (scenario_figure(sim, i, "checkpoint_votes") >= stable)
			return "one replica was never spare";
	}
	return view_kept(sim);
}

static const struct scenario spares_scenario = {
    .id = "Z19",
    .story = "nobody is late: q replicas make a checkpoint, in turn",
    .mode = "zyzzyva",
    .operations = 500,
    .rules = {{.type = BFT_CHECKPOINT, .act = SCENARIO_COUNT}},
    .expect = made_by_a_quorum,
};

static const char *
spares_helped(struct sim *sim)
{
	if (figures_sum(sim, R(0) | R(1) | R(2), "checkpoint_helps") == 0)
		return "no spare replica spoke, though one of the others was silent";
	if (scenario_figure(sim, 0, "stable") + 64 < scenario_figure(sim, 0, "executed_seq"))
		return "no checkpoint became stable for long";
	return view_kept(sim);
}

static const struct scenario spares_help_scenario = {
    .id = "Z20",
    .story = "a backup orders and answers, but states and votes for nothing",
    .mode = "zyzzyva",
    .faulty = R(3),
    .lost = R(3),
    .operations = 500,
    .rules =
	{
	    {.type = ZYZZYVA_STATEMENT, .from = R(3), .lasting = true, .act = SCENARIO_DROP},
	    {.type = BFT_CHECKPOINT,
		.from = R(3),
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	},
    .expect = spares_helped,
};

TELL(spares)
TELL(spares_help)
TELL(equivocation)
TELL(equivocation_signed)
TELL(forged_proof)
TELL(silent)
TELL(unasked)
TELL(uncovered)
TELL(fast)
TELL(rollback)
TELL(hole)
TELL(hole_for_all)
TELL(history)
TELL(omitted)
TELL(late)
TELL(no_commit)
TELL(commit_to_one)
TELL(bad_certificates)
TELL(flips_stop)
TELL(silent_primary)
TELL(restart)
TELL(some_macs)
TELL(most_macs)
TELL(never_signs)
TELL(signed_other)
TELL(doubt)
TELL(stalemate)
TELL(old_certificate)
TELL(longer_certificate)

static const struct unit_story stories[] = {
    STORY(spares),
    STORY(spares_help),
    STORY(equivocation),
    STORY(equivocation_signed),
    STORY(forged_proof),
    STORY(silent),
    STORY(unasked),
    STORY(uncovered),
    STORY(fast),
    STORY(rollback),
    STORY(hole),
    STORY(hole_for_all),
    STORY(history),
    STORY(omitted),
    STORY(late),
    STORY(no_commit),
    STORY(commit_to_one),
    STORY(bad_certificates),
    STORY(flips_stop),
    STORY(silent_primary),
    STORY(restart),
    STORY(some_macs),
    STORY(most_macs),
    STORY(never_signs),
    STORY(signed_other),
    STORY(doubt),
    STORY(stalemate),
    STORY(old_certificate),
    STORY(longer_certificate),
};

UNIT_MAIN("scenarios_zyzzyva", stories)
