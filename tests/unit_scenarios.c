/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The faults that every protocol must survive, each a story on four replicas of
 * each protocol that survives liars: networks, clocks, crashes, lost memory,
 * hostile clients. What one replica or a majority can survive too is told of
 * those protocols as well.
 */
#include "tests/scenario_rig.h"

#include "engine/kv_op.h"
#include "engine/segment.h"

/* ---- The network ------------------------------------------------------------------- */

#define STORM_RULES                                                                               \
	{                                                                                         \
		{.act = SCENARIO_FAULT,                                                           \
		    .at_ns = 1,                                                                   \
		    .fault = {.kind = FAULT_LOSS, .from = ~0ull, .to = ~0ull, .amount = 300}},    \
		    {.act = SCENARIO_FAULT,                                                       \
			.at_ns = 1,                                                               \
			.fault = {                                                                \
			    .kind = FAULT_DUPLICATE, .from = ~0ull, .to = ~0ull, .amount = 500}}, \
		{                                                                                 \
			.act = SCENARIO_FAULT, .at_ns = 1, .fault = {                             \
				.kind = FAULT_JITTER,                                             \
				.from = ~0ull,                                                    \
				.to = ~0ull,                                                      \
				.amount = 100 * MS                                                \
			}                                                                         \
		}                                                                                 \
	}

static const struct scenario storm_scenario = {
    .id = "G01",
    .story = "30 % lost, 50 % twice, out of order, up to 100 ms late",
    .horizon_ns = 4000 * MS,
    .settings = {.view_timeout_ns = 600 * MS},
    .rules = STORM_RULES,
};

static const struct scenario storm_single_scenario = {
    .id = "G01 of one replica",
    .story = "the same storm",
    .mode = "unreplicated",
    .horizon_ns = 4000 * MS,
    .rules = STORM_RULES,
};

static const struct scenario storm_quorum_scenario = {
    .id = "G01 of a majority",
    .story = "the same storm",
    .mode = "quorum",
    .horizon_ns = 4000 * MS,
    .settings = {.view_timeout_ns = 600 * MS},
    .rules = STORM_RULES,
};

#define CLOG(node, from_ms, for_ms)                                      \
	{                                                                \
		.act = SCENARIO_FAULT, .at_ns = (from_ms)*MS, .fault = { \
			.kind = FAULT_CLOG,                              \
			.from = R(node),                                 \
			.to = ALL,                                       \
			.end_ns = (for_ms)*MS                            \
		}                                                        \
	}

static const struct scenario swizzle_scenario = {
    .id = "G02",
    .story = "links stop one by one and come back in another order",
    .rules = {CLOG(2, 100, 500), CLOG(0, 150, 250), CLOG(3, 200, 600), CLOG(1, 250, 300),
	CLOG(4, 300, 200)},
};

static const char *
others_kept_their_view(struct sim *sim)
{
	for (uint16_t i = 0; !views_rotate(sim) && i < 3; i++) {
		if (node_view(&sim->nodes[i]) > 0)
			return "the others changed the view";
	}
	if (view_kept(sim) != NULL)
		return "views of the others failed";
	return sim->oracle.answered >= 150 ? NULL : "too few answers";
}

static const struct scenario deaf_scenario = {
    .id = "G03",
    .story = "a replica sends but hears nothing, for ever",
    .lost = R(3),
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.lasting = true,
	.fault = {.kind = FAULT_ONE_WAY, .from = ALL & ~R(3), .to = R(3)}}},
    .expect = others_kept_their_view,
};

static const struct scenario dumb_primary_scenario = {
    .id = "G04",
    .story = "the primary hears but cannot send",
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.fault = {.kind = FAULT_ONE_WAY, .from = R(0), .to = ALL & ~R(0)}}},
    .expect = view_moved,
};

static const struct scenario dumb_to_clients_scenario = {
    .id = "G04 to clients",
    .story = "the primary cannot send to clients",
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.fault = {.kind = FAULT_ONE_WAY, .from = R(0), .to = CLIENTS}}},
};

static uint64_t noted_head;

/*
 * What is executed is committed, but where it may be undone: there it is what clients
 * were told for good, and what replicas have certificates of.
 */
static uint64_t
committed_head(struct sim *sim)
{
	if (!sim->oracle.tentative)
		return sim->oracle.head;
	uint64_t sum = sim->oracle.answered;
	for (uint16_t i = 0; i < sim->replicas_count; i++)
		sum += scenario_figure(sim, i, "committed");
	return sum;
}

/* Who speculates has clients on both sides who bring what was executed before to an end. */
static bool
head_note(struct sim *sim)
{
	noted_head = committed_head(sim);
	return !sim->oracle.tentative || sim->now_ns >= 300 * MS;
}

static bool
head_stands(struct sim *sim)
{
	return committed_head(sim) == noted_head;
}

static const struct scenario halves_scenario = {
    .id = "G05",
    .story = "f + 1 and 2f replicas apart: neither side commits",
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 200 * MS,
		.fault = {.kind = FAULT_PARTITION,
		    .from = R(0) | R(1),
		    .to = R(2) | R(3),
		    .end_ns = 500 * MS}},
	    {.at_ns = 220 * MS, .when = head_note},
	    {.at_ns = 699 * MS, .when = head_stands},
	},
    .expect = view_moved,
};

static const struct scenario bridge_scenario = {
    .id = "G06",
    .story = "two halves of seven, joined by one replica",
    .faults = 2,
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 200 * MS,
	.fault = {.kind = FAULT_PARTITION,
	    .from = R(0) | R(1) | R(2),
	    .to = R(4) | R(5) | R(6),
	    .end_ns = 500 * MS}}},
};

static const struct scenario full_scenario = {
    .id = "G16",
    .story = "all that a replica sends, then all that it receives, is lost",
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_LOSS,
		    .from = R(0),
		    .to = ALL,
		    .amount = 1000,
		    .end_ns = 300 * MS}},
	    {.act = SCENARIO_FAULT,
		.at_ns = 500 * MS,
		.fault = {.kind = FAULT_LOSS,
		    .from = ALL,
		    .to = R(1),
		    .amount = 1000,
		    .end_ns = 300 * MS}},
	},
    .expect = view_moved,
};

/* ---- Time --------------------------------------------------------------------------- */

static const struct scenario stale_primary_scenario = {
    .id = "G07",
    .story = "the primary stalls and goes on as if nothing had happened",
    .settings = {.reads = true},
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 200 * MS,
	.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 400 * MS}}},
    .expect = view_moved,
};

static const struct scenario clocks_scenario = {
    .id = "G08",
    .story = "one clock jumps an hour, one runs twice as fast, one half",
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 200 * MS,
		.fault = {.kind = FAULT_CLOCK_JUMP, .from = R(1), .amount = 3600000 * MS}},
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_CLOCK_RATE, .from = R(2), .amount = 2048}},
	    {.act = SCENARIO_FAULT,
		.at_ns = 100 * MS,
		.fault = {.kind = FAULT_CLOCK_RATE, .from = R(3), .amount = 512}},
	},
};

static const struct scenario idle_scenario = {
    .id = "G20",
    .story = "little to do for minutes, then load",
    .operations = 60,
    .horizon_ns = 120000 * MS,
    .expect = view_kept,
};

/* ---- Crashes -------------------------------------------------------------------------- */

#define CRASH(node, from_ms, for_ms)                                     \
	{                                                                \
		.act = SCENARIO_FAULT, .at_ns = (from_ms)*MS, .fault = { \
			.kind = FAULT_CRASH,                             \
			.from = R(node),                                 \
			.end_ns = (for_ms)*MS                            \
		}                                                        \
	}

static const struct scenario crashes_scenario = {
    .id = "G09",
    .story = "one replica after another goes down and comes back with its memory",
    .rules = {CRASH(1, 150, 100), CRASH(2, 350, 100), CRASH(0, 550, 150), CRASH(3, 800, 50)},
    .expect = view_moved,
};

static const struct scenario crashes_quorum_scenario = {
    .id = "G09 of a majority",
    .story = "one of three after another goes down",
    .mode = "quorum",
    .rules = {CRASH(1, 150, 100), CRASH(2, 350, 100), CRASH(0, 550, 150)},
};

#define AMNESIA(node, from_ms, for_ms)                                   \
	{                                                                \
		.act = SCENARIO_FAULT, .at_ns = (from_ms)*MS, .fault = { \
			.kind = FAULT_AMNESIA,                           \
			.from = R(node),                                 \
			.end_ns = (for_ms)*MS                            \
		}                                                        \
	}

static const struct scenario amnesia_scenario = {
    .id = "G12",
    .story = "a backup comes back with nothing, under load, and catches up",
    .operations = 600,
    .rules = {AMNESIA(2, 300, 50)},
    .expect = view_kept_by_primary,
};

static const struct scenario amnesia_primary_scenario = {
    .id = "G12 of the primary",
    .story = "the primary comes back with nothing",
    .operations = 600,
    .rules = {AMNESIA(0, 300, 50)},
    .expect = view_moved,
};

static const char *
twenty_views(struct sim *sim)
{
	return views_max(sim) >= 20 ? NULL : "fewer view changes than leaders killed";
}

#define KILLED_LEADERS(kind_killed)                                                          \
	{                                                                                    \
		.act = SCENARIO_FAULT, .at_ns = 100 * MS, .every_ns = 400 * MS, .times = 20, \
		.fault = {                                                                   \
			.kind = kind_killed,                                                 \
			.end_ns = 200 * MS                                                   \
		}                                                                            \
	}

static const struct scenario leaders_scenario = {
    .id = "20 leaders",
    .story = "one leader after another is killed and goes on later",
    .operations = 1500,
    .horizon_ns = 9000 * MS,
    .views_max = 40,
    .rules = {KILLED_LEADERS(FAULT_CRASH)},
    .expect = twenty_views,
};

static const struct scenario forgetful_leaders_scenario = {
    .id = "20 leaders without memory",
    .story = "one leader after another is killed and starts anew",
    .operations = 1500,
    .horizon_ns = 9000 * MS,
    .views_max = 40,
    .rules = {KILLED_LEADERS(FAULT_AMNESIA)},
    .expect = twenty_views,
};

/* ---- Bytes ----------------------------------------------------------------------------- */

static bool
now_and_then(struct sim *sim, const struct message_header *header, uint16_t to)
{
	return (sim->report->events + header->seq + to) % 5 == 0;
}

static const char *
damage_counted(struct sim *sim)
{
	uint64_t dropped = 0;
	for (uint16_t i = 0; i < sim->nodes_count; i++) {
		const struct shard_counters *c = scenario_counters(sim, i);
		for (uint32_t j = 0; j < SHARD_DROP_ROOM; j++)
			dropped += c->drops[j];
	}
	return dropped > 100 ? NULL : "damaged messages were not counted";
}

static const struct scenario flips_scenario = {
    .id = "G14",
    .story = "every bit of every kind of message flips once in a while",
    .operations = 600,
    .horizon_ns = 3000 * MS,
    .rules = {{.from = ALL, .like = now_and_then, .act = SCENARIO_FLIP}},
    .expect = damage_counted,
};

static void
other_cluster(struct scenario_letter *l)
{
	l->letter->header->cluster ^= 1u + (uint32_t)(l->number % 8);
}

/* By whomever the liar votes to: in a chain, those that lead after views it is needed in. */
static const char *
strangers_counted(struct sim *sim)
{
	uint64_t count = 0;
	for (uint16_t i = 0; i < 3; i++)
		count += scenario_counters(sim, i)->drops[SHARD_DROP_PARSE + PARSE_CLUSTER];
	return count > 0 ? NULL : "none was counted";
}

static const struct scenario replay_scenario = {
    .id = "G15",
    .story = "everything comes again to everybody, and messages of another cluster",
    .faulty = R(3),
    .rules =
	{
	    {.from = R(0) | R(1) | R(2) | CLIENTS,
		.act = SCENARIO_REPLAY,
		.amount = 100 * MS,
		.fault = {.to = REPLICAS}},
	    {.from = R(3), .type = SCENARIO_VOTE, .act = SCENARIO_MUTATE, .mutate = other_cluster},
	},
    .expect = strangers_counted,
};

static bool
is_segment(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return header->type == MESSAGE_SEGMENT;
}

/* Offsets and sizes that overlap, contradict each other, or make no sense. */
static void
segment_lie(struct scenario_letter *l)
{
	struct segment_fields fields;
	segment_fields_read(l->letter->header, &fields);
	switch (l->number % 4) {
	case 0:
		fields.offset += 8;
		break;
	case 1:
		fields.total += fields.slice;
		break;
	case 2:
		fields.slice -= 8;
		break;
	default:
		fields.total = UINT32_MAX;
		break;
	}
	segment_fields_write(l->letter->header, &fields);
}

static const char *
no_assembly_left(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->nodes_count; i++) {
		if (!sim->nodes[i].correct)
			continue;
		const struct assembler_counters *c =
		    assembler_counters(node_shard(&sim->nodes[i])->assembler);
		if (c->opened == 0)
			return "a node never had to put segments together";
	}
	return NULL;
}

static const struct scenario segments_scenario = {
    .id = "G18",
    .story = "large batches in segments: lost, late, twice, never complete, contradictory",
    .mtu = 1500,
    .value_size = 3000,
    .batch = 20,
    .clients = 40,
    .faulty = R(3),
    .horizon_ns = 2000 * MS,
    .operations = 400,
    .settings = {.view_timeout_ns = 100 * MS},
    .rules =
	{
	    {.act = SCENARIO_FAULT,
		.at_ns = 1,
		.fault = {.kind = FAULT_LOSS, .from = ALL, .to = ALL, .amount = 100}},
	    {.act = SCENARIO_FAULT,
		.at_ns = 1,
		.fault = {.kind = FAULT_DUPLICATE, .from = ALL, .to = ALL, .amount = 200}},
	    {.act = SCENARIO_FAULT,
		.at_ns = 1,
		.fault = {.kind = FAULT_JITTER, .from = ALL, .to = ALL, .amount = 2 * MS}},
	    {.type = MESSAGE_SEGMENT, .from = R(0), .to = R(1), .act = SCENARIO_DROP},
	    {.from = R(3), .like = is_segment, .act = SCENARIO_MUTATE, .mutate = segment_lie},
	},
    .expect = no_assembly_left,
};

/* ---- Clients ---------------------------------------------------------------------------- */

static const struct scenario thousandfold_scenario = {
    .id = "C01",
    .story = "a request comes a thousand times",
    .rules = {{.type = MESSAGE_REQUEST,
	.from = C(0),
	.nth = 5,
	.times = 12,
	.act = SCENARIO_DUPLICATE,
	.amount = 1000}},
};

static const struct scenario thousandfold_single_scenario = {
    .id = "C01 of one replica",
    .story = "a request comes a thousand times",
    .mode = "unreplicated",
    .rules = {{.type = MESSAGE_REQUEST,
	.nth = 5,
	.times = 12,
	.act = SCENARIO_DUPLICATE,
	.amount = 1000}},
};

static void
other_operation(struct scenario_letter *l)
{
	uint64_t value = 0x1122334455667788ull;
	struct kv_op op = {.kind = KV_PUT,
	    .key = (const uint8_t *)"k001",
	    .key_size = 4,
	    .value = (const uint8_t *)&value,
	    .value_size = sizeof(value)};
	l->letter->body_size = kv_op_encode(&op, l->letter->body, l->letter->body_room);
}

/* It asks all of them only when the primary is silent. */
static const struct scenario two_operations_scenario = {
    .id = "C02",
    .story = "a client gives two operations one timestamp, for different replicas",
    .faulty = C(1),
    .rules =
	{
	    {.type = MESSAGE_REQUEST,
		.from = C(1),
		.to = R(2) | R(3),
		.act = SCENARIO_MUTATE,
		.mutate = other_operation},
	    {.act = SCENARIO_FAULT,
		.at_ns = 200 * MS,
		.fault = {.kind = FAULT_PAUSE, .from = R(0), .end_ns = 200 * MS}},
	},
};

static void
timestamp_last(struct scenario_letter *l)
{
	l->letter->header->seq = UINT64_MAX;
}

static const struct scenario last_timestamp_scenario = {
    .id = "C03",
    .story = "a client uses the last timestamp there is",
    .faulty = C(1),
    .rules = {{.type = MESSAGE_REQUEST,
	.from = C(1),
	.nth = 3,
	.times = 8,
	.act = SCENARIO_MUTATE,
	.mutate = timestamp_last}},
};

static const char *
one_view_change(struct sim *sim)
{
	return view_of_some(sim) <= 1 ? NULL : "repeated view changes";
}

static const struct scenario big_mac_scenario = {
    .id = "C05",
    .story = "a client's MACs hold for the primary only",
    .mode = "pbft",
    .faulty = C(1),
    .request_auth = AUTH_MAC,
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 50 * MS,
	.fault = {.kind = FAULT_PARTIAL_VECTOR,
	    .from = C(1),
	    .to = R(1) | R(2) | R(3),
	    .amount = 1000}}},
    .expect = one_view_change,
};

static void
wrong_result(struct scenario_letter *l)
{
	if (l->letter->body_size > 0)
		l->letter->body[l->letter->body_size - 1] ^= 1;
	else
		l->letter->header->digest[0] ^= 1;
}

static const struct scenario wrong_first_scenario = {
    .id = "C08",
    .story = "f replicas answer wrong, and first",
    .faulty = R(3),
    .rules =
	{
	    {.type = MESSAGE_REPLY, .from = R(3), .act = SCENARIO_MUTATE, .mutate = wrong_result},
	    {.type = MESSAGE_REPLY,
		.from = R(0) | R(1) | R(2),
		.act = SCENARIO_DELAY,
		.amount = 4 * MS},
	},
    .expect = view_kept,
};

static const struct scenario wrong_tentative_scenario = {
    .id = "C08 tentative",
    .story = "f replicas answer wrong, and first, when replies are tentative",
    .mode = "pbft",
    .faulty = R(3),
    .settings = {.tentative = true, .reads = true},
    .rules =
	{{.type = MESSAGE_REPLY, .from = R(3), .act = SCENARIO_MUTATE, .mutate = wrong_result}},
    .expect = view_kept,
};

static const char *
answers_all_along(struct sim *sim)
{
	return sim->report->settled_ns < 900 * MS ? NULL : "reads did not fall back in time";
}

static const struct scenario blocked_reads_scenario = {
    .id = "C09",
    .story = "proposals reach f + 1 correct replicas only, reads are not ordered",
    .faulty = R(0),
    .settings = {.reads = true},
    .rules =
	{
	    {.type = SCENARIO_PROPOSAL, .from = R(0), .to = R(3), .act = SCENARIO_DROP},
	    {.type = MESSAGE_REPLY, .from = R(0), .act = SCENARIO_MUTATE, .mutate = wrong_result},
	},
    .expect = answers_all_along,
};

static const struct scenario many_clients_scenario = {
    .id = "C10",
    .story = "hundreds of clients, a message or two each",
    .clients = 250,
    .batch = 50,
    .operations = 500,
};

/* ---- Loss with one crashed and one that lies ---------------------------------------------- */

#define LOSSY(amount_)                                                         \
	{                                                                      \
		.act = SCENARIO_FAULT, .at_ns = 1, .lasting = true, .fault = { \
			.kind = FAULT_LOSS,                                    \
			.from = ~0ull,                                         \
			.to = ~0ull,                                           \
			.amount = (amount_),                                   \
			.end_ns = 3600000 * MS                                 \
		}                                                              \
	}
#define PRIMARY_LOST                                                                  \
	{                                                                             \
		.act = SCENARIO_FAULT, .at_ns = 300 * MS, .lasting = true, .fault = { \
			.kind = FAULT_CRASH,                                          \
			.from = R(0)                                                  \
		}                                                                     \
	}
#define LIES(kind_)                                                            \
	{                                                                      \
		.act = SCENARIO_FAULT, .at_ns = 1, .lasting = true, .fault = { \
			.kind = (kind_),                                       \
			.from = R(1),                                          \
			.to = ~R(1),                                           \
			.amount = 300                                          \
		}                                                              \
	}

static const struct scenario loss_scenario = {
    .id = "loss of 10 %",
    .story = "a tenth is lost each way for ever, one of seven is down, one lies",
    .faults = 2,
    .faulty = R(1),
    .lost = R(0),
    .views_max = 40,
    .timeouts_max = 2000,
    .rules = {LOSSY(100), PRIMARY_LOST, LIES(FAULT_SILENT), LIES(FAULT_EQUIVOCATE),
	LIES(FAULT_BATCH)},
    .expect = view_moved,
};

static const struct scenario heavy_loss_scenario = {
    .id = "loss of 30 %",
    .story = "three tenths are lost each way for ever, one of seven is down, one lies",
    .faults = 2,
    .faulty = R(1),
    .lost = R(0),
    .views_max = 100,
    .timeouts_max = 6000,
    .rules = {LOSSY(300), PRIMARY_LOST, LIES(FAULT_SILENT), LIES(FAULT_EQUIVOCATE),
	LIES(FAULT_BATCH)},
    .expect = view_moved,
};

static const struct scenario many_scenario = {
    .id = "n = 31",
    .story = "thirty-one replicas, of which ten are lost",
    .faults = 10,
    .operations = 60,
    .lost = 0x3ff0000ull,
    .settings = {.view_timeout_ns = 200 * MS},
    .rules = {{.act = SCENARIO_FAULT,
	.at_ns = 100 * MS,
	.lasting = true,
	.fault = {.kind = FAULT_CRASH, .from = 0x3ff0000ull}}},
};

TELL(storm)
TELL(storm_single)
TELL(storm_quorum)
TELL(swizzle)
TELL(deaf)
TELL(dumb_primary)
TELL(dumb_to_clients)
TELL(halves)
TELL(bridge)
TELL(full)
TELL(stale_primary)
TELL(clocks)
TELL(idle)
TELL(crashes)
TELL(crashes_quorum)
TELL(amnesia)
TELL(amnesia_primary)
TELL(leaders)
TELL(forgetful_leaders)
TELL(flips)
TELL(replay)
TELL(segments)
TELL(thousandfold)
TELL(thousandfold_single)
TELL(two_operations)
TELL(last_timestamp)
TELL(big_mac)
TELL(wrong_first)
TELL(wrong_tentative)
TELL(blocked_reads)
TELL(many_clients)
TELL(loss)
TELL(heavy_loss)
TELL(many)

static const struct unit_story stories[] = {
    STORY(storm),
    STORY(storm_single),
    STORY(storm_quorum),
    STORY(swizzle),
    STORY(deaf),
    STORY(dumb_primary),
    STORY(dumb_to_clients),
    STORY(halves),
    STORY(bridge),
    STORY(full),
    STORY(stale_primary),
    STORY(clocks),
    STORY(idle),
    STORY(crashes),
    STORY(crashes_quorum),
    STORY(amnesia),
    STORY(amnesia_primary),
    STORY(leaders),
    STORY(forgetful_leaders),
    STORY(flips),
    STORY(replay),
    STORY(segments),
    STORY(thousandfold),
    STORY(thousandfold_single),
    STORY(two_operations),
    STORY(last_timestamp),
    STORY(big_mac),
    STORY(wrong_first),
    STORY(wrong_tentative),
    STORY(blocked_reads),
    STORY(many_clients),
    STORY(loss),
    STORY(heavy_loss),
    STORY(many),
};

UNIT_MAIN("scenarios", stories)
