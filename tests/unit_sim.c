/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator itself: same seed same run, the queue, the faults, the oracles, the shrinker. */
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/sanitized.h"
#include "tests/sim/quorum.h"
#include "tests/sim/scenario.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sim_modes.h"

/* Real signatures and floods take five times as long under a sanitizer: it watches fewer. */
enum {
	QUEUE_COUNT = 5000,
	LOSS_SEEDS = 1000,
	CRYPTO_SEEDS = SANITIZED ? 20 : 100,
	FLOODS = SANITIZED ? 1 : 2, /* sizes of clusters full of liars */
	FLOOD_EVENTS_MAX = 3500000,
	MS = 1000000,
};

static void
run(struct sim_config *config, uint64_t seed, struct sim_report *report)
{
	config->seed = seed;
	sim_run(config, report);
	if (report->failed)
		printf("\n  seed %lu: %s\n", (unsigned long)seed, report->violation);
}

/* ---- The queue ---------------------------------------------------------------- */

static void
arrivals_come_in_order(void)
{
	struct network n;
	struct random r;
	network_init(&n);
	random_init(&r, 5, 0);
	for (uint32_t i = 0; i < QUEUE_COUNT; i++) {
		struct packet *p = packet_make(&i, sizeof(i));
		network_post(&n, &(struct arrival){.at_ns = random_below(&r, 500), .packet = p});
	}
	uint64_t last_ns = 0;
	uint64_t last_order = 0;
	for (uint32_t i = 0; i < QUEUE_COUNT; i++) {
		struct arrival a = network_take(&n);
		CU_ASSERT(a.at_ns >= last_ns);
		CU_ASSERT(i == 0 || a.at_ns > last_ns || a.order > last_order);
		last_ns = a.at_ns;
		last_order = a.order;
		packet_release(a.packet);
	}
	CU_ASSERT_EQUAL(n.count, 0);
	network_free(&n);
}

static void
a_hash_tells_every_bit(void)
{
	uint8_t bytes[100] = {0};
	for (uint32_t size = 1; size <= sizeof(bytes); size++) {
		uint64_t hash = packet_hash(bytes, size);
		CU_ASSERT_EQUAL(packet_hash(bytes, size), hash);
		for (uint32_t bit = 0; bit < 8 * size; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
			CU_ASSERT_NOT_EQUAL(packet_hash(bytes, size), hash);
			bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		}
	}
}

/* ---- Clocks -------------------------------------------------------------------- */

static void
a_clock_drifts_and_jumps_but_never_goes_back(void)
{
	static struct sim sim;
	struct sim_node node = {.sim = &sim, .clock_rate = 1024};
	sim.now_ns = 1000;
	CU_ASSERT_EQUAL(node_clock(&node), 1000);
	node_clock_set(&node, 2048, 0);
	sim.now_ns = 2000;
	CU_ASSERT_EQUAL(node_clock(&node), 3000);
	CU_ASSERT_EQUAL(node_clock_at(&node, 5000), 3000);
	CU_ASSERT_EQUAL(node_clock_at(&node, 10), 2000);
	CU_ASSERT_EQUAL(node_clock_at(&node, UINT64_MAX), FAULT_NEVER);
	node_clock_set(&node, 512, 3600ull * 1000 * MS);
	CU_ASSERT_EQUAL(node_clock(&node), 3000 + 3600ull * 1000 * MS);
	/* When the node is told to look again, its deadline has passed, and not before. */
	for (uint64_t ahead = 0; ahead < 100; ahead++) {
		uint64_t local_ns = node_clock(&node) + ahead;
		uint64_t at_ns = node_clock_at(&node, local_ns);
		uint64_t now_ns = sim.now_ns;
		sim.now_ns = at_ns;
		CU_ASSERT(node_clock(&node) >= local_ns);
		if (at_ns > now_ns) {
			sim.now_ns = at_ns - 1;
			CU_ASSERT(node_clock(&node) < local_ns);
		}
		sim.now_ns = now_ns;
	}
}

/* ---- Schedules ------------------------------------------------------------------ */

static struct fault_model
model_of_four(enum preset preset, uint64_t seed)
{
	return (struct fault_model){
	    .preset = preset,
	    .seed = seed,
	    .horizon_ns = 1000 * (uint64_t)MS,
	    .delay_ns = 10000,
	    .replicas_count = 4,
	    .clients_count = 3,
	    .faults = 1,
	    .quorum = 3,
	    .byzantine = true,
	    .own_lies = true,
	    .client_lies = true,
	    .amnesia = true,
	};
}

static void
a_schedule_survives_its_file(void)
{
	struct schedule drawn;
	struct schedule read;
	char line[256];
	schedule_init(&drawn);
	schedule_init(&read);
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct fault_model model = model_of_four(PRESET_ALL, seed);
		schedule_draw(&drawn, &model);
		FILE *file = tmpfile();
		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		schedule_write(&drawn, file);
		rewind(file);
		read.count = 0;
		while (fgets(line, sizeof(line), file) != NULL)
			CU_ASSERT_EQUAL(schedule_read_line(&read, line), 1);
		fclose(file);
		CU_ASSERT_EQUAL_FATAL(read.count, drawn.count);
		for (uint32_t i = 0; i < read.count; i++) {
			const struct fault *a = &read.list[i];
			const struct fault *b = &drawn.list[i];
			CU_ASSERT(a->kind == b->kind && a->start_ns == b->start_ns &&
				  a->end_ns == b->end_ns && a->from == b->from && a->to == b->to &&
				  a->amount == b->amount && a->type == b->type);
		}
	}
	CU_ASSERT_EQUAL(
	    schedule_read_line(&read, "fault nonsense start 1 end 2 from 1 to 2 amount 3"), 0);
	CU_ASSERT_EQUAL(schedule_read_line(&read, "fault loss start 1"), 0);
	schedule_free(&drawn);
	schedule_free(&read);
}

/* Replicas that lie, stay away, or lost their memory: together at most f. */
static void
no_schedule_asks_for_more_than_f(void)
{
	struct schedule s;
	uint32_t kinds[FAULT_KINDS_COUNT] = {0};
	schedule_init(&s);
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct fault_model model = model_of_four(PRESET_ALL, seed);
		uint64_t lost = 0;
		schedule_draw(&s, &model);
		for (uint32_t i = 0; i < s.count; i++) {
			const struct fault *f = &s.list[i];
			uint64_t side = f->from & 15;
			kinds[f->kind]++;
			CU_ASSERT(f->start_ns < f->end_ns);
			CU_ASSERT(f->end_ns == FAULT_NEVER || f->end_ns <= model.horizon_ns);
			if (fault_is_lie(f->kind) || f->kind == FAULT_AMNESIA)
				lost |= side;
			else if (f->end_ns == FAULT_NEVER)
				lost |= __builtin_popcountll(side) > 2 ? f->to & 15 : side;
		}
		CU_ASSERT(__builtin_popcountll(lost) <= 1);
	}
	for (uint32_t i = 0; i < FAULT_MESSAGE_LOST; i++)
		CU_ASSERT(kinds[i] > 0);
	schedule_free(&s);
}

static void
partitions_are_all_ways_once(void)
{
	/* Of five nodes into 2 or 3 parts, one of at least 3: 5 + 10 (2 parts: 1|4, 2|3) and
	   10 (3 parts: 3|1|1). */
	CU_ASSERT_EQUAL(partition_count(5, 3), 25);
	for (uint32_t i = 0; i < 25; i++) {
		uint64_t a[3];
		partition_at(5, 3, i, a);
		CU_ASSERT_EQUAL(a[0] ^ a[1] ^ a[2], 31);
		CU_ASSERT_EQUAL(a[0] + a[1] + a[2], 31);
		for (uint32_t j = 0; j < i; j++) {
			uint64_t b[3];
			partition_at(5, 3, j, b);
			CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
		}
	}
}

/* ---- Whole runs ------------------------------------------------------------------ */

static void
the_same_seed_is_the_same_run(void)
{
	static const char *const modes[] = {
	    "unreplicated", "unreplicated-signed", "quorum", "pbft"};
	struct sim_config config;
	struct sim_report first;
	struct sim_report second;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		CU_ASSERT_TRUE_FATAL(sim_config_make(&config, modes[i], 1));
		for (uint64_t seed = 1; seed <= 20; seed++) {
			run(&config, seed, &first);
			run(&config, seed, &second);
			CU_ASSERT_FALSE(first.failed);
			CU_ASSERT_EQUAL(first.hash, second.hash);
			CU_ASSERT_EQUAL(first.events, second.events);
			run(&config, seed + 1, &second);
			CU_ASSERT_NOT_EQUAL(first.hash, second.hash);
		}
	}
}

static double
cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void
unreplicated_survives_a_thousand_lossy_seeds(void)
{
	struct sim_config config;
	struct sim_report report;
	uint64_t lost = 0;
	double begin = cpu_seconds();
	CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "unreplicated", 1));
	config.preset = PRESET_LOSS;
	for (uint64_t seed = 1; seed <= LOSS_SEEDS; seed++) {
		run(&config, seed, &report);
		CU_ASSERT_FALSE(report.failed);
		CU_ASSERT(report.operations + report.lost >= config.operations);
		lost += report.faults[FAULT_LOSS];
	}
	CU_ASSERT(lost > 1000);
	double seconds = cpu_seconds() - begin;
	printf("%.1f s ", seconds);
	CU_ASSERT(seconds < 60);
}

static void
real_crypto_finds_nothing_different(void)
{
	static const char *const modes[] = {"quorum", "unreplicated-signed", "pbft"};
	struct sim_config config;
	struct sim_report toy;
	struct sim_report real;
	for (uint64_t seed = 1; seed <= CRYPTO_SEEDS; seed++) {
		const char *mode = modes[seed % (sizeof(modes) / sizeof(modes[0]))];
		CU_ASSERT_TRUE_FATAL(sim_config_make(&config, mode, 1));
		config.operations = 60;
		config.preset = PRESET_CRASH; /* what liars pick depends on the proofs' bytes */
		run(&config, seed, &toy);
		config.real_crypto = true;
		run(&config, seed, &real);
		CU_ASSERT_FALSE(toy.failed);
		CU_ASSERT_FALSE(real.failed);
		CU_ASSERT_EQUAL(toy.operations, real.operations);
		CU_ASSERT_EQUAL(toy.events, real.events);
		CU_ASSERT_EQUAL(toy.positions, real.positions);
		CU_ASSERT_EQUAL(toy.virtual_ns, real.virtual_ns);
	}
}

/* A message named in a schedule is struck, that one alone. */
static void
single_messages_can_be_struck(void)
{
	struct sim_config config;
	struct sim_report report;
	struct schedule s;
	CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "unreplicated", 1));
	schedule_init(&s);
	struct fault f = {.kind = FAULT_MESSAGE_LOST, .end_ns = 1, .from = 1, .to = 2, .amount = 3};
	schedule_add(&s, &f);
	f.kind = FAULT_MESSAGE_DUPLICATED;
	f.amount = 5;
	schedule_add(&s, &f);
	config.schedule = &s;
	run(&config, 1, &report);
	CU_ASSERT_FALSE(report.failed);
	CU_ASSERT_EQUAL(report.faults[FAULT_MESSAGE_LOST], 1);
	CU_ASSERT_EQUAL(report.faults[FAULT_MESSAGE_DUPLICATED], 1);
	schedule_free(&s);
}

/* ---- Promises ---------------------------------------------------------------------- */

static void
a_promise_is_kept_once_given(void)
{
	struct votes v = {0};
	struct random r;
	random_init(&r, 9, 0);
	for (uint64_t i = 0; i < QUEUE_COUNT; i++)
		CU_ASSERT_TRUE(votes_add(&v, random_mix(i), i));
	for (uint64_t i = 0; i < QUEUE_COUNT; i++) {
		CU_ASSERT_TRUE(votes_add(&v, random_mix(i), i));
		CU_ASSERT_FALSE(votes_add(&v, random_mix(i), i + 1));
	}
	CU_ASSERT_EQUAL(v.count, QUEUE_COUNT);
	votes_free(&v);
}

/* ---- Scenarios ----------------------------------------------------------------------- */

static uint64_t last_seq;

static bool
notes_the_seq(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	last_seq = header->seq;
	return true;
}

static const char *
never_content(struct sim *sim)
{
	(void)sim;
	return "not what was expected";
}

static const char *
twelve_copies_and_a_crash(struct sim *sim)
{
	return sim->report->faults[FAULT_CRASH] == 1 ? NULL : "no crash, or several";
}

static void
rules_act_where_they_should(void)
{
	struct sim_report report;
	static const struct scenario s = {
	    .id = "rules",
	    .mode = "quorum",
	    .rules =
		{
		    {.type = QUORUM_PROPOSE,
			.to = 1 << 1,
			.seq = SCENARIO_IS(5),
			.act = SCENARIO_DUPLICATE,
			.amount = 12},
		    {.type = QUORUM_ACK,
			.after = 1,
			.times = 1,
			.act = SCENARIO_FAULT,
			.fault = {.kind = FAULT_CRASH, .from = 1 << 2, .end_ns = 20 * MS}},
		    {.type = QUORUM_PROPOSE,
			.nth = 10,
			.times = 3,
			.act = SCENARIO_HOLD,
			.amount = 4},
		    {.at_ns = 500 * (uint64_t)MS},
		    {.type = QUORUM_COMMIT,
			.after = 4,
			.times = 1,
			.like = notes_the_seq,
			.act = SCENARIO_DROP},
		},
	    .expect = twelve_copies_and_a_crash,
	};
	last_seq = 0;
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_FALSE(report.failed);
	if (report.failed)
		printf("\n  %s\n", report.violation);
	CU_ASSERT(last_seq > 5);
	uint64_t hash = report.hash;
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_EQUAL(report.hash, hash);
}

static void
scenarios_fail_when_they_should(void)
{
	struct sim_report report;
	struct scenario s = {.id = "fails", .mode = "quorum", .expect = never_content};
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_TRUE(report.failed);
	CU_ASSERT_STRING_EQUAL(report.violation, "scenario: not what was expected");
	s.expect = NULL;
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_FALSE(report.failed);
	/* A rule that never acts. */
	s.rules[0] = (struct scenario_rule){.type = QUORUM_PROPOSE, .seq = SCENARIO_IS(100000)};
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_STRING_EQUAL(report.violation, "scenario: rule 1 had no occasion");
	s.rules[0].optional = true;
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_FALSE(report.failed);
	/* Nobody hears the proposer for ever: nothing is answered. */
	s.rules[0] = (struct scenario_rule){.from = 1 << 0, .act = SCENARIO_DROP, .lasting = true};
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_TRUE(report.failed);
	CU_ASSERT_NSTRING_EQUAL(report.violation, "liveness", 8);
	s.mode = "no such mode";
	scenario_run(&s, 1, NULL, &report);
	CU_ASSERT_TRUE(report.failed);
}

/* ---- The tester tested ------------------------------------------------------------- */

/* Runs until a seed breaks a promise in the given words; 0: none did. */
static uint64_t
seed_that_breaks(struct sim_config *config, const char *promise, uint64_t seeds_max)
{
	struct sim_report report;
	for (uint64_t seed = 1; seed <= seeds_max; seed++) {
		config->seed = seed;
		sim_run(config, &report);
		if (report.failed && strncmp(report.violation, promise, strlen(promise)) == 0)
			return seed;
	}
	return 0;
}

/* A protocol for crashes does not survive liars: so their lies arrive, and are seen. */
static void
lies_break_what_is_not_made_for_them(void)
{
	struct sim_config config;
	CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "quorum", 1));
	config.protocol.byzantine = true;
	config.preset = PRESET_BYZANTINE;
	uint64_t seed = seed_that_breaks(&config, "agreement", 200);
	printf("liar at seed %lu ", (unsigned long)seed);
	CU_ASSERT(seed > 0);
	config.preset = PRESET_TWINS;
	seed = seed_that_breaks(&config, "agreement", 200);
	printf("twin at seed %lu ", (unsigned long)seed);
	CU_ASSERT(seed > 0);
}

/* Events of a run in which so many replicas say whatever comes to their mind, to all. */
static uint64_t
events_with_inventors(const char *mode, uint32_t faults, uint32_t inventors)
{
	struct sim_config config;
	struct sim_report report;
	struct schedule schedule;
	CU_ASSERT_TRUE_FATAL(sim_config_make(&config, mode, faults));
	schedule_init(&schedule);
	uint64_t replicas = (1ull << config.options.replicas) - 1;
	for (uint32_t i = 0; i < inventors; i++) {
		struct fault f = {
		    .kind = FAULT_INVENT,
		    .start_ns = 100 * (uint64_t)MS,
		    .end_ns = 2000 * (uint64_t)MS,
		    .from = 1ull << i,
		    .to = replicas & ~(1ull << i),
		    .amount = 1000,
		};
		schedule_add(&schedule, &f);
	}
	config.schedule = &schedule;
	config.operations = 100;
	run(&config, 7, &report);
	CU_ASSERT_FALSE(report.failed);
	CU_ASSERT(report.faults[FAULT_INVENT] > 100);
	schedule_free(&schedule);
	return report.events;
}

/* As many as may lie: each costs about what a lone one does, and no run is mostly that. */
static void
liars_do_not_set_each_other_off(void)
{
	static const char *const modes[] = {"hotstuff", "zyzzyva"};
	static const uint32_t faults[] = {4, 10};
	for (uint32_t i = 0; i < 2 * FLOODS; i++) {
		const char *mode = modes[i / FLOODS];
		uint32_t f = faults[i % FLOODS];
		uint64_t one = events_with_inventors(mode, f, 1);
		uint64_t all = events_with_inventors(mode, f, f);
		printf("%s, %u: %lu, %lu ", mode, f, (unsigned long)one, (unsigned long)all);
		CU_ASSERT(all < 2 * one * f);
		CU_ASSERT(all < FLOOD_EVENTS_MAX);
	}
}

static void
a_failure_is_cut_down_to_what_it_needs(void)
{
	struct sim_config config;
	struct sim_report report;
	struct schedule planned;
	struct schedule shortest;
	schedule_init(&planned);
	schedule_init(&shortest);
	CU_ASSERT_TRUE_FATAL(sim_config_make(&config, "quorum", 1));
	config.preset = PRESET_CRASH;
	quorum_mutant = QUORUM_PROPOSE_AGAIN;
	uint64_t seed = seed_that_breaks(&config, "agreement", 200);
	CU_ASSERT_FATAL(seed > 0);
	config.seed = seed;
	config.planned = &planned;
	sim_run(&config, &report);
	config.planned = NULL;
	uint32_t runs = shrink(&config, &shortest, 500);
	printf("%u faults to %u in %u runs ", planned.count, shortest.count, runs);
	CU_ASSERT(shortest.count < planned.count);
	CU_ASSERT_EQUAL(shortest.count, 1);
	CU_ASSERT_EQUAL(shortest.list[0].kind, FAULT_AMNESIA);
	config.schedule = &shortest;
	sim_run(&config, &report);
	CU_ASSERT_TRUE(report.failed);
	quorum_mutant = QUORUM_RIGHT;
	sim_run(&config, &report);
	CU_ASSERT_FALSE(report.failed);
	schedule_free(&planned);
	schedule_free(&shortest);
}

static const struct unit_story stories[] = {
    {"arrivals come in order", arrivals_come_in_order},
    {"a hash tells every bit", a_hash_tells_every_bit},
    {"a clock drifts and jumps, but never goes back", a_clock_drifts_and_jumps_but_never_goes_back},
    {"a schedule survives its file", a_schedule_survives_its_file},
    {"no schedule asks for more than f", no_schedule_asks_for_more_than_f},
    {"partitions are all ways, once", partitions_are_all_ways_once},
    {"the same seed is the same run", the_same_seed_is_the_same_run},
    {"unreplicated survives 1000 lossy seeds", unreplicated_survives_a_thousand_lossy_seeds},
    {"real crypto finds nothing different", real_crypto_finds_nothing_different},
    {"single messages can be struck", single_messages_can_be_struck},
    {"a promise is kept, once given", a_promise_is_kept_once_given},
    {"rules act where they should", rules_act_where_they_should},
    {"scenarios fail when they should", scenarios_fail_when_they_should},
    {"lies break what is not made for them", lies_break_what_is_not_made_for_them},
    {"liars do not set each other off", liars_do_not_set_each_other_off},
    {"a failure is cut down to what it needs", a_failure_is_cut_down_to_what_it_needs},
};

UNIT_MAIN("sim", stories)
