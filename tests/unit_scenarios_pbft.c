/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Byzantine primary, a Byzantine backup and bad luck can do to PBFT,
 * case by case; the network is a good one but for what the case says.
 */
#include "tests/scenario_rig.h"

#include "protocols/pbft/decide.h"
#include "protocols/pbft/pbft.h"

enum { WATERMARK_FAR = 1000, FLOOD_VIEWS = 1000 };

/* Which of lie_batch.c's lies, by its place. */
enum {
	LIE_REVERSED,
	LIE_WITHOUT_LAST,
	LIE_WITHOUT_FIRST,
	LIE_CENSORED,
	LIE_TWICE,
	LIE_STALE,
	LIE_FORGED,
	LIE_LATER,
	LIES_COUNT
};

static void
batch_lie(struct scenario_letter *l, uint64_t which)
{
	struct lie_body body = {l->letter->body, l->letter->body_size, l->letter->body_room};
	static struct packet *stale;
	const struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	stale = NULL;
	for (uint32_t i = 0; i < liar->old_count && stale == NULL; i++) {
		const struct message_header *h = (const void *)liar->old[i]->data;
		if (h->type == PBFT_PRE_PREPARE && h->seq < l->letter->header->seq)
			stale = liar->old[i];
	}
	if (lie_batch(l->sim, &body, stale, which))
		l->letter->body_size = body.size;
}

/* ---- A primary that lies ------------------------------------------------------------- */

static void
without_last(struct scenario_letter *l)
{
	batch_lie(l, LIE_WITHOUT_LAST);
}

static const struct scenario equivocation_scenario = {
    .id = "P01",
    .story = "the primary proposes one batch to half of them, another to the others",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE,
	.from = R(0),
	.to = R(2) | R(3),
	.nth = 20,
	.act = SCENARIO_MUTATE,
	.mutate = without_last}},
    .expect = view_moved,
};

static const struct scenario silent_scenario = {
    .id = "P02 to nobody",
    .story = "the primary proposes nothing",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE, .from = R(0), .act = SCENARIO_DROP}},
    .expect = view_moved,
};

static const char *
answered_before_the_end(struct sim *sim)
{
	return sim->oracle.answered >= 250 && sim->report->settled_ns < 200 * MS
		   ? NULL
		   : "they were not served in time";
}

static const struct scenario to_most_scenario = {
    .id = "P02 to 2f",
    .story = "the primary proposes to 2f of the others",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE, .from = R(0), .to = R(3), .act = SCENARIO_DROP}},
    .expect = answered_before_the_end,
};

static const struct scenario to_few_scenario = {
    .id = "P02 to f",
    .story = "the primary proposes to f of the others",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE, .from = R(0), .to = R(2) | R(3), .act = SCENARIO_DROP}},
    .expect = view_moved,
};

static void
seq_next(struct scenario_letter *l)
{
	if (l->letter->header->seq >= 10)
		l->letter->header->seq++;
}

static const struct scenario gap_scenario = {
    .id = "P03",
    .story = "the primary leaves a sequence number out",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE,
	.from = R(0),
	.view = SCENARIO_IS(0),
	.act = SCENARIO_MUTATE,
	.mutate = seq_next}},
    .expect = view_moved,
};

/* The high watermark, the one above it, and two that are nowhere near. */
static void
seq_beyond(struct scenario_letter *l)
{
	uint64_t seq = l->letter->header->seq;
	uint64_t interval = l->sim->plan.protocol.checkpoint_interval;
	const uint64_t seqs[] = {seq / interval * interval + 2 * interval,
	    seq / interval * interval + 2 * interval + 1, seq + WATERMARK_FAR, 1ull << 63};
	l->letter->header->seq = seqs[l->number % 4];
}

static const struct scenario watermark_scenario = {
    .id = "P04",
    .story = "the primary jumps to the high watermark and beyond",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.type = PBFT_PRE_PREPARE,
	.from = R(0),
	.view = SCENARIO_IS(0),
	.seq_every = 10,
	.act = SCENARIO_MUTATE,
	.mutate = seq_beyond}},
};

static const struct scenario slow_scenario = {
    .id = "P05",
    .story = "the primary delays each batch by nine tenths of the timeout",
    .mode = "pbft",
    .faulty = R(0),
    .horizon_ns = 3000 * MS,
    .rules = {{.type = PBFT_PRE_PREPARE, .from = R(0), .act = SCENARIO_DELAY, .amount = 18 * MS}},
    .expect = answered_before_the_end,
};

static bool
second_view(struct sim *sim)
{
	return views_max(sim) >= 1;
}

static const char *
view_moved_twice(struct sim *sim)
{
	return views_max(sim) >= 2 ? NULL : "the slow primary stayed";
}

static const struct scenario watched_scenario = {
    .id = "P05 watched",
    .story = "a primary is much slower than the one before, and gives way",
    .mode = "pbft",
    .faulty = R(1),
    .horizon_ns = 3000 * MS,
    .operations = 1000,
    .clients = 20,
    .settings = {.watch_primary = true},
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 1000 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 100 * MS}},
	    {.type = PBFT_PRE_PREPARE,
		.from = R(1),
		.view = SCENARIO_IS(1),
		.when = second_view,
		.act = SCENARIO_DELAY,
		.amount = 18 * MS},
	},
    .expect = view_moved_twice,
};

static const struct scenario censor_scenario = {
    .id = "P06",
    .story = "the primary never hears of one client's requests",
    .mode = "pbft",
    .faulty = R(0),
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.fault = {.kind = FAULT_CENSOR, .from = R(0), .to = C(1)}}},
    .expect = view_moved,
};

static void
all_batch_lies(struct scenario_letter *l)
{
	batch_lie(l, l->number / 3 % LIES_COUNT);
}

static const struct scenario bad_batches_scenario = {
    .id = "P07",
    .story = "batches with forged, repeated, stale and missing requests",
    .mode = "pbft",
    .faulty = R(0),
    .request_auth = AUTH_SIGN,
    .rules = {{.type = PBFT_PRE_PREPARE,
	.from = R(0),
	.seq_every = 3,
	.act = SCENARIO_MUTATE,
	.mutate = all_batch_lies}},
};

static const struct scenario bad_batches_mac_scenario = {
    .id = "P07 with MACs",
    .story = "the same, when requests carry MACs",
    .mode = "pbft",
    .faulty = R(0),
    .request_auth = AUTH_MAC,
    .rules = {{.type = PBFT_PRE_PREPARE,
	.from = R(0),
	.seq_every = 3,
	.act = SCENARIO_MUTATE,
	.mutate = all_batch_lies}},
};

/* ---- What was prepared or committed outlives its view --------------------------------- */

enum { SLOT = 20 };

static bool
first_has_executed_slot(struct sim *sim)
{
	return sim->oracle.replicas[1].position >= SLOT;
}

static const struct scenario prepared_once_scenario = {
    .id = "P08",
    .story = "prepared at one replica only, which is heard in the view change",
    .mode = "pbft",
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.to = R(0) | R(2) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.from = R(1),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(0), .end_ns = 300 * MS}},
	},
    .expect = view_moved,
};

static const struct scenario prepared_unheard_scenario = {
    .id = "P08 unheard",
    .story = "prepared at one replica only, which is not heard in the view change",
    .mode = "pbft",
    .rules =
	{
	    {.type = PBFT_PREPARE,
		.to = R(0) | R(1) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.from = R(2),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_ONE_WAY,
		    .from = R(2),
		    .to = R(0) | R(1) | R(3),
		    .end_ns = 300 * MS}},
	},
    .expect = view_moved,
};

static const struct scenario committed_once_scenario = {
    .id = "P09",
    .story = "committed at one replica only, which then is away for some views",
    .mode = "pbft",
    .rules =
	{
	    {.type = PBFT_COMMIT,
		.to = R(0) | R(2) | R(3),
		.view = SCENARIO_IS(0),
		.seq = SCENARIO_IS(SLOT),
		.act = SCENARIO_DROP},
	    {.when = first_has_executed_slot,
		.act = SCENARIO_FAULT,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(1), .to = ALL & ~R(1), .end_ns = 400 * MS}},
	},
    .expect = view_moved,
};

static const struct scenario two_certificates_scenario = {
    .id = "P11",
    .story = "prepared in one view after another, never committed before the last",
    .mode = "pbft",
    .horizon_ns = 2000 * MS,
    .rules =
	{
	    {.type = PBFT_COMMIT,
		.seq = SCENARIO_IS(SLOT),
		.view = SCENARIO_IS(0),
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.seq = SCENARIO_IS(SLOT),
		.view = SCENARIO_IS(1),
		.act = SCENARIO_DROP},
	    {.type = PBFT_COMMIT,
		.seq = SCENARIO_IS(SLOT),
		.view = SCENARIO_IS(2),
		.act = SCENARIO_DROP},
	},
    .expect = view_moved_twice,
};

/* ---- View changes that lie ------------------------------------------------------------ */

/* The primary of view 0 is gone for a while: others change the view. */
#define PRIMARY_STALLS                                               \
	{                                                            \
		.act = SCENARIO_FAULT, .at_ns = 200 * MS, .fault = { \
			.kind = FAULT_PAUSE,                         \
			.from = R(0),                                \
			.end_ns = 200 * MS                           \
		}                                                    \
	}

static struct view_change_entry *
entries_of(struct scenario_letter *l, struct view_change_head *head)
{
	memcpy(head, l->letter->body, sizeof(*head));
	return (struct view_change_entry *)(void *)(l->letter->body + sizeof(*head));
}

/* Claims in VIEW-CHANGE: wrong digests, higher views, other checkpoints, numbers that lie. */
static void
claims_lie(struct scenario_letter *l)
{
	struct view_change_head head;
	struct view_change_entry *entries = entries_of(l, &head);
	uint32_t count = head.checkpoints_count + head.prepared_count + head.preprepared_count;
	uint32_t first = l->number % 2 == 0 ? head.checkpoints_count : 0;
	for (uint32_t i = first; i < count; i++) {
		entries[i].digest32[0] ^= 1;
		if (l->number % 3 == 0 && i >= head.checkpoints_count)
			entries[i].view = l->letter->header->view - 1;
		if (l->number % 5 == 4)
			entries[i].seq = entries[0].seq;
	}
	if (l->number % 4 == 3)
		head.stable += l->sim->plan.protocol.checkpoint_interval;
	if (l->number % 7 == 6)
		head.prepared_count += 1u << 31;
	memcpy(l->letter->body, &head, sizeof(head));
}

static const struct scenario claims_scenario = {
    .id = "P10",
    .story = "a VIEW-CHANGE claims what never was, beside honest ones",
    .mode = "pbft",
    .faulty = R(3),
    .rules =
	{
	    PRIMARY_STALLS,
	    {.act = SCENARIO_FAULT,
		.at_ns = 600 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(1), .end_ns = 200 * MS}},
	    {.type = PBFT_VIEW_CHANGE, .from = R(3), .act = SCENARIO_MUTATE, .mutate = claims_lie},
	},
    .expect = view_moved,
};

/* NEW-VIEW: a choice missing, one too many, one turned to null, another base, few or other
   VIEW-CHANGEs, another view. */
static void
new_view_lie(struct scenario_letter *l)
{
	struct new_view_head head;
	uint8_t *body = l->letter->body;
	memcpy(&head, body, sizeof(head));
	switch (l->sim->config->seed % 7) {
	case 0:
		if (head.chosen_count > 0)
			l->letter->body_size -= DIGEST_SIZE;
		head.chosen_count -= head.chosen_count > 0;
		break;
	case 1:
		memset(body + l->letter->body_size, 7, DIGEST_SIZE);
		l->letter->body_size += DIGEST_SIZE;
		head.chosen_count++;
		break;
	case 2:
		memset(body + l->letter->body_size - DIGEST_SIZE, 0, DIGEST_SIZE);
		break;
	case 3:
		head.start += l->sim->plan.protocol.checkpoint_interval;
		break;
	case 4:
		head.members &= head.members - 1;
		break;
	case 5:
		l->letter->header->view++;
		break;
	default:
		head.start32[0] ^= 1;
		break;
	}
	memcpy(body, &head, sizeof(head));
}

static const struct scenario new_view_scenario = {
    .id = "P12",
    .story = "a NEW-VIEW that does not follow from its VIEW-CHANGEs",
    .mode = "pbft",
    .faulty = R(1),
    .rules =
	{
	    PRIMARY_STALLS,
	    {.type = PBFT_NEW_VIEW, .from = R(1), .act = SCENARIO_MUTATE, .mutate = new_view_lie},
	},
    .expect = view_moved_twice,
};

static const char *
views_in_a_row(struct sim *sim)
{
	return views_max(sim) >= sim->options.faults ? NULL : "too few view changes";
}

static const struct scenario bad_leaders_scenario = {
    .id = "P13",
    .story = "f primaries in a row are silent, n = 7",
    .mode = "pbft",
    .faults = 2,
    .faulty = R(0) | R(1),
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE, .from = R(0) | R(1), .act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW, .from = R(1), .act = SCENARIO_DROP},
	},
    .expect = views_in_a_row,
};

static const struct scenario bad_leaders_ten_scenario = {
    .id = "P13 of ten",
    .story = "f primaries in a row are silent, n = 10",
    .mode = "pbft",
    .faults = 3,
    .faulty = R(0) | R(1) | R(2),
    .horizon_ns = 2000 * MS,
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE, .from = R(0) | R(1) | R(2), .act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW, .from = R(1) | R(2), .act = SCENARIO_DROP},
	},
    .expect = views_in_a_row,
};

static void
view_change_forged(struct scenario_letter *l)
{
	struct view_change_head head = {.stable = 0};
	l->letter->header->type = PBFT_VIEW_CHANGE;
	l->letter->header->view = 1 + l->number * l->number;
	l->letter->proof = PROOF_SIGNATURE;
	memcpy(l->letter->body, &head, sizeof(head));
	l->letter->body_size = sizeof(head);
}

static const struct scenario view_flood_scenario = {
    .id = "P14",
    .story = "a liar floods VIEW-CHANGEs for views up to a million",
    .mode = "pbft",
    .faulty = R(3),
    .rules = {{.act = SCENARIO_FORGE,
	.at_ns = 200 * MS,
	.amount = FLOOD_VIEWS,
	.fault = {.from = R(3), .to = R(0) | R(1) | R(2)},
	.mutate = view_change_forged}},
    .expect = view_kept,
};

#define LATE_HALF (R(4) | R(5) | R(6))

static const struct scenario join_scenario = {
    .id = "P15",
    .story = "some hear nothing of two view changes, and then of a third",
    .mode = "pbft",
    .faults = 2,
    .faulty = R(0),
    .horizon_ns = 2000 * MS,
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE, .from = R(0), .nth = 20, .act = SCENARIO_DROP},
	    {.type = PBFT_VIEW_CHANGE,
		.to = LATE_HALF,
		.view = SCENARIO_IS(1),
		.act = SCENARIO_DROP},
	    {.type = PBFT_NEW_VIEW, .view = SCENARIO_IS(1), .act = SCENARIO_DROP},
	},
    .expect = view_moved_twice,
};

static const char *
last_one_followed(struct sim *sim)
{
	return node_view(&sim->nodes[3]) > 0 ? NULL : "replica 3 never came to the new view";
}

static const struct scenario lost_new_view_scenario = {
    .id = "P16",
    .story = "the NEW-VIEW is lost on its way to one replica",
    .mode = "pbft",
    .rules =
	{
	    PRIMARY_STALLS,
	    {.type = PBFT_NEW_VIEW,
		.to = R(3),
		.view = SCENARIO_IS(1),
		.times = 3,
		.act = SCENARIO_DROP},
	},
    .expect = last_one_followed,
};

static const struct scenario checkpoints_apart_scenario = {
    .id = "P17",
    .story = "a view change while stable checkpoints differ",
    .mode = "pbft",
    .rules =
	{
	    {.type = BFT_CHECKPOINT, .to = R(1), .at_ns = 100 * MS, .act = SCENARIO_DROP},
	    {.type = BFT_CHECKPOINT, .to = R(3), .seq_every = 16, .act = SCENARIO_DROP},
	    {.act = SCENARIO_FAULT,
		.at_ns = 400 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 200 * MS}},
	},
    .expect = view_moved,
};

static const struct scenario crash_voting_scenario = {
    .id = "P18",
    .story = "a replica crashes as it sends a VIEW-CHANGE, another as it sends the NEW-VIEW",
    .mode = "pbft",
    .rules =
	{
	    PRIMARY_STALLS,
	    {.type = PBFT_VIEW_CHANGE,
		.from = R(2),
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(2), .end_ns = 50 * MS}},
	    {.type = PBFT_NEW_VIEW,
		.from = R(1),
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(1), .end_ns = 50 * MS}},
	},
    .expect = view_moved,
};

static const struct scenario forget_voting_scenario = {
    .id = "P18 without memory",
    .story = "a replica loses its memory as it sends a VIEW-CHANGE",
    .mode = "pbft",
    .operations = 600,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 200 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 40 * MS}},
	    {.type = PBFT_VIEW_CHANGE,
		.from = R(2),
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_AMNESIA, .from = R(2), .end_ns = 20 * MS}},
	},
};

/* ---- Checkpoints and state -------------------------------------------------------------- */

static void
digest_lie(struct scenario_letter *l)
{
	l->letter->header->digest[l->number % DIGEST_SIZE] ^= 1;
}

static const struct scenario checkpoint_lies_scenario = {
    .id = "P19",
    .story = "f replicas say another digest of each checkpoint",
    .mode = "pbft",
    .faulty = R(3),
    .rules = {{.type = BFT_CHECKPOINT, .from = R(3), .act = SCENARIO_MUTATE, .mutate = digest_lie}},
    .expect = view_kept,
};

#define FORGETS                                                      \
	{                                                            \
		.act = SCENARIO_FAULT, .at_ns = 400 * MS, .fault = { \
			.kind = FAULT_AMNESIA,                       \
			.from = R(2),                                \
			.end_ns = 20 * MS                            \
		}                                                    \
	}

static void
block_lie(struct scenario_letter *l)
{
	if (l->letter->body_size > 0)
		l->letter->body[l->number * 97 % l->letter->body_size] ^= 1;
}

static const struct scenario wrong_blocks_scenario = {
    .id = "P20",
    .story = "a replica that fetches its state gets wrong blocks from one of them",
    .mode = "pbft",
    .faulty = R(3),
    .operations = 600,
    .rules =
	{
	    FORGETS,
	    {.type = MESSAGE_BLOCKS,
		.from = R(3),
		.to = R(2),
		.act = SCENARIO_MUTATE,
		.mutate = block_lie},
	},
};

static const struct scenario blocks_stop_scenario = {
    .id = "P20 stops",
    .story = "one of them stops in the middle of the state, and never goes on",
    .mode = "pbft",
    .faulty = R(3),
    .operations = 600,
    .rules =
	{
	    FORGETS,
	    {.type = MESSAGE_BLOCKS,
		.from = R(3),
		.to = R(2),
		.nth = 2,
		.lasting = true,
		.optional = true,
		.act = SCENARIO_DROP},
	},
};

static const struct scenario fetcher_crashes_scenario = {
    .id = "P20 crash",
    .story = "the replica that fetches its state crashes, and goes on",
    .mode = "pbft",
    .operations = 600,
    .rules =
	{
	    FORGETS,
	    {.type = MESSAGE_BLOCKS,
		.to = R(2),
		.nth = 2,
		.times = 1,
		.act = SCENARIO_FAULT,
		.fault = {.kind = FAULT_CRASH, .from = R(2), .end_ns = 30 * MS}},
	},
};

static const char *
laggard_moved_on(struct sim *sim)
{
	return scenario_figure(sim, 3, "executed_seq") > 0 ? NULL : "it never came back";
}

static const struct scenario laggard_scenario = {
    .id = "P21",
    .story = "a replica misses some windows, and then is slow for ever, under load",
    .mode = "pbft",
    .operations = 900,
    .horizon_ns = 1500 * MS,
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 200 * MS,
		.fault =
		    {.kind = FAULT_PARTITION, .from = R(3), .to = ALL & ~R(3), .end_ns = 500 * MS}},
	    {.act = SCENARIO_FAULT,
		.at_ns = 700 * MS,
		.lasting = true,
		.fault = {.kind = FAULT_SLOW,
		    .from = ALL,
		    .to = R(3),
		    .amount = 5 * MS,
		    .end_ns = 3600000 * MS}},
	},
    .expect = laggard_moved_on,
};

static const char *
others_in_one_view(struct sim *sim)
{
	for (uint16_t i = 0; i < 3; i++) {
		if (node_view(&sim->nodes[i]) > 1)
			return "it drew the others along";
	}
	return NULL;
}

static const struct scenario alone_scenario = {
    .id = "P22",
    .story = "a replica that went to a higher view alone comes back",
    .mode = "pbft",
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 200 * MS,
	.fault =
	    {.kind = FAULT_PARTITION, .from = R(3), .to = R(0) | R(1) | R(2), .end_ns = 400 * MS}}},
    .expect = others_in_one_view,
};

static const char *
batches_fetched(struct sim *sim)
{
	return scenario_figure(sim, 3, "executed_seq") > 20 ? NULL : "replica 3 stayed behind";
}

static const struct scenario fetch_scenario = {
    .id = "P23",
    .story = "batches reach 2f of them only; the last must ask for them",
    .mode = "pbft",
    .faulty = R(0),
    .rules =
	{
	    {.type = PBFT_PRE_PREPARE, .from = R(0), .to = R(3), .act = SCENARIO_DROP},
	    {.type = MESSAGE_REQUEST, .to = R(3), .optional = true, .act = SCENARIO_DROP},
	},
    .expect = batches_fetched,
};

TELL(equivocation)
TELL(silent)
TELL(to_most)
TELL(to_few)
TELL(gap)
TELL(watermark)
TELL(slow)
TELL(watched)
TELL(censor)
TELL(bad_batches)
TELL(bad_batches_mac)
TELL(prepared_once)
TELL(prepared_unheard)
TELL(committed_once)
TELL(claims)
TELL(two_certificates)
TELL(new_view)
TELL(bad_leaders)
TELL(bad_leaders_ten)
TELL(view_flood)
TELL(join)
TELL(lost_new_view)
TELL(checkpoints_apart)
TELL(crash_voting)
TELL(forget_voting)
TELL(checkpoint_lies)
TELL(wrong_blocks)
TELL(blocks_stop)
TELL(fetcher_crashes)
TELL(laggard)
TELL(alone)
TELL(fetch)

static const struct unit_story stories[] = {
    STORY(equivocation),
    STORY(silent),
    STORY(to_most),
    STORY(to_few),
    STORY(gap),
    STORY(watermark),
    STORY(slow),
    STORY(watched),
    STORY(censor),
    STORY(bad_batches),
    STORY(bad_batches_mac),
    STORY(prepared_once),
    STORY(prepared_unheard),
    STORY(committed_once),
    STORY(claims),
    STORY(two_certificates),
    STORY(new_view),
    STORY(bad_leaders),
    STORY(bad_leaders_ten),
    STORY(view_flood),
    STORY(join),
    STORY(lost_new_view),
    STORY(checkpoints_apart),
    STORY(crash_voting),
    STORY(forget_voting),
    STORY(checkpoint_lies),
    STORY(wrong_blocks),
    STORY(blocks_stop),
    STORY(fetcher_crashes),
    STORY(laggard),
    STORY(alone),
    STORY(fetch),
};

UNIT_MAIN("scenarios_pbft", stories)
