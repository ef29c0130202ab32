/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories of the YCSB workloads, against a naive store: everything that a
 * correct store answers is right, and what is asked is what YCSB describes.
 * One core.
 */
#include "engine/random.h"
#include "engine/zipf.h"
#include "tests/ycsb_rig.h"

/* ---- Values and keys ---------------------------------------------------- */

static void
values_read_back_and_every_flipped_bit_is_found(void)
{
	static const uint32_t sizes[] = {16, 17, 23, 24, 25, 100, 999, 1000};
	struct ycsb_stamp stamp = {.version = 0x123456789abc, .key = 77, .writer = 65534}, read;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *value = malloc(sizes[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(value);
		ycsb_value_write(value, sizes[i], &stamp);
		CU_ASSERT(ycsb_value_read(value, sizes[i], &read));
		CU_ASSERT(read.version == stamp.version && read.key == 77 && read.writer == 65534);
		for (uint32_t bit = 0; bit < sizes[i] * 8; bit++) {
			value[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_FALSE(ycsb_value_read(value, sizes[i], &read));
			value[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (uint32_t size = 0; size < sizes[i]; size++)
			CU_ASSERT_FALSE(ycsb_value_read(value, size, &read));
		free(value);
	}
}

static void
keys_are_hex_in_the_order_of_their_hash(void)
{
	uint8_t key[YCSB_KEY_SIZE], before[YCSB_KEY_SIZE];
	char text[64];
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t index = i < 2500 ? i : UINT32_MAX - i;
		snprintf(
		    text, sizeof(text), "user%016llx", (unsigned long long)ycsb_key_order(index));
		ycsb_key_write(key, index);
		CU_ASSERT_EQUAL(memcmp(key, text, YCSB_KEY_SIZE), 0);
		CU_ASSERT(ycsb_key_is(key, YCSB_KEY_SIZE, index));
		CU_ASSERT_FALSE(ycsb_key_is(key, YCSB_KEY_SIZE, index + 1));
		ycsb_key_write(before, index + 1);
		CU_ASSERT_EQUAL(memcmp(before, key, YCSB_KEY_SIZE) < 0,
		    ycsb_key_order(index + 1) < ycsb_key_order(index));
	}
}

/* ---- A correct store is never blamed ------------------------------------ */

static void
nodes_load_each_record_once(void)
{
	struct workload_config config = base;
	uint32_t total = 0;
	store_clear();
	config.nodes_count = 3;
	for (uint16_t node = 0; node < 3; node++) {
		config.node_index = node;
		config.slot_first = (uint16_t)(node * 4);
		struct workload *w = opened(&config);
		uint32_t count = load(w);
		CU_ASSERT_EQUAL(count, 500 / 3 + (node < 500 % 3));
		total += count;
		workload_close(w);
	}
	CU_ASSERT_EQUAL(total, 500);
	CU_ASSERT_EQUAL(store_count, 500);
	for (uint32_t i = 0; i < store_count; i++) {
		struct ycsb_stamp stamp = stamp_of(store[i]->value, store[i]->value_size);
		CU_ASSERT_EQUAL(stamp.writer, stamp.key % 3 * 4 + stamp.key / 3 % 4);
	}
}

struct counts {
	uint32_t kinds[KV_SCAN + 1];
	uint32_t mismatches;
	uint32_t wrong;
	uint64_t scan_limits;
	uint32_t scan_limit_min, scan_limit_max;
};

static void
count_operation(struct counts *c, const struct asked *a)
{
	c->kinds[a->op.kind]++;
	if (a->op.kind != KV_SCAN)
		return;
	c->scan_limits += a->op.limit;
	c->scan_limit_max = a->op.limit > c->scan_limit_max ? a->op.limit : c->scan_limit_max;
	c->scan_limit_min = a->op.limit < c->scan_limit_min ? a->op.limit : c->scan_limit_min;
}

/* Two nodes whose slots' operations overlap in time and execute in any order. */
static struct counts
run_concurrently(struct workload_config config, uint32_t steps)
{
	static struct asked asked[SLOTS_MAX];
	static struct answer answers[SLOTS_MAX];
	enum { IDLE, ASKED, EXECUTED } states[SLOTS_MAX] = {IDLE};
	struct counts counts = {.scan_limit_min = UINT32_MAX};
	struct workload *nodes[2];
	struct random random;

	store_clear();
	random_init(&random, config.seed, 99);
	config.nodes_count = 2;
	config.slots_count = 4;
	for (uint16_t i = 0; i < 2; i++) {
		config.node_index = i;
		config.slot_first = (uint16_t)(4 * i);
		nodes[i] = opened(&config);
		load(nodes[i]);
	}
	for (uint32_t step = 0; step < steps; step++) {
		uint32_t slot = (uint32_t)random_below(&random, 8);
		struct workload *w = nodes[slot / 4];
		if (states[slot] == IDLE) {
			ask(w, slot, &asked[slot]);
			count_operation(&counts, &asked[slot]);
			states[slot] = ASKED;
		} else if (states[slot] == ASKED) {
			store_execute(asked[slot].data, asked[slot].size);
			memcpy(&answers[slot], &answer, 4 + answer.size);
			states[slot] = EXECUTED;
		} else {
			memcpy(&answer, &answers[slot], 4 + answers[slot].size);
			counts.mismatches += answer.data[0] == KV_MISMATCH;
			counts.wrong += answered(w, slot) != WORKLOAD_RIGHT;
			states[slot] = IDLE;
		}
	}
	workload_close(nodes[0]);
	workload_close(nodes[1]);
	return counts;
}

static void
concurrent_clients_of_a_correct_store_are_content(void)
{
	static const char *const distributions[] = {NULL, "uniform", "zipfian", "latest"};
	struct workload_config config = base;
	char name[] = "ycsb-?";
	config.name = name;
	for (name[5] = 'a'; name[5] <= 'f'; name[5]++) {
		for (uint32_t i = 0; i < 8; i++) {
			config.distribution = distributions[i % 4];
			config.single_writer = i >= 4;
			config.seed++;
			struct counts counts = run_concurrently(config, 9000);
			CU_ASSERT_EQUAL(counts.wrong, 0);
			if (config.single_writer)
				CU_ASSERT_EQUAL(counts.mismatches, 0);
		}
	}
}

/* Few records, so that slots often meet. */
static void
contended_records_are_judged_right(void)
{
	struct workload_config config = base;
	config.records_count = 3;
	for (uint32_t i = 0; i < 20; i++) {
		config.name = i % 2 == 0 ? "ycsb-a" : "ycsb-f";
		config.seed = 100 + i;
		struct counts counts = run_concurrently(config, 20000);
		CU_ASSERT_EQUAL(counts.wrong, 0);
		CU_ASSERT_EQUAL(counts.mismatches > 0, i % 2 == 1);
	}
}

static bool
near(uint32_t count, uint32_t total, double percent)
{
	double found = 100.0 * count / total;
	return found > percent - 1.5 && found < percent + 1.5;
}

static void
mixes_are_those_of_ycsb(void)
{
	/* Percent: get, put, cas, scan. Of f's operations a third follow their get. */
	static const double percents[6][4] = {{50, 50, 0, 0}, {95, 5, 0, 0}, {100, 0, 0, 0},
	    {95, 5, 0, 0}, {0, 5, 0, 95}, {66.7, 0, 33.3, 0}};
	struct workload_config config = base;
	char name[] = "ycsb-?";
	config.name = name;
	config.inserts_max = 3000;
	for (int i = 0; i < 6; i++) {
		name[5] = (char)('a' + i);
		struct counts c = run_concurrently(config, 30000);
		uint32_t total =
		    c.kinds[KV_GET] + c.kinds[KV_PUT] + c.kinds[KV_CAS] + c.kinds[KV_SCAN];
		CU_ASSERT(near(c.kinds[KV_GET], total, percents[i][0]));
		CU_ASSERT(near(c.kinds[KV_PUT], total, percents[i][1]));
		CU_ASSERT(near(c.kinds[KV_CAS], total, percents[i][2]));
		CU_ASSERT(near(c.kinds[KV_SCAN], total, percents[i][3]));
		bool grows = i == 3 || i == 4;
		CU_ASSERT_EQUAL(store_count > 500, grows);
		if (i == 4) {
			CU_ASSERT_EQUAL(c.scan_limit_min, 1);
			CU_ASSERT_EQUAL(c.scan_limit_max, WORKLOAD_SCAN_MAX);
			double mean = (double)c.scan_limits / c.kinds[KV_SCAN];
			CU_ASSERT(mean > 49.5 && mean < 51.5);
		}
	}
}

/* More records and slots than are remembered: forgetting blames nobody. */
static void
forgetting_blames_nobody(void)
{
	static struct asked a;
	struct workload_config config = base;
	uint32_t wrong = 0;
	store_clear();
	config.records_count = 4000;
	config.slots_count = 1;
	config.distribution = "uniform";
	struct workload *w = opened(&config);
	load(w);
	for (uint32_t i = 0; i < 100000; i++)
		wrong += round_trip(w, 10, &a) != WORKLOAD_RIGHT;
	CU_ASSERT_EQUAL(wrong, 0);
	workload_close(w);
}

static void
inserts_end_as_updates(void)
{
	static struct asked a;
	struct workload_config config = base;
	uint32_t wrong = 0;
	store_clear();
	config.name = "ycsb-d";
	config.inserts_max = 43; /* 10 for each of 4 slots */
	struct workload *w = opened(&config);
	load(w);
	for (uint32_t i = 0; i < 8000; i++)
		wrong += round_trip(w, 10 + i % 4, &a) != WORKLOAD_RIGHT;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(store_count, 540);
	workload_close(w);
}

static void
every_value_size_works(void)
{
	static const uint32_t sizes[] = {16, 17, 31, 64, 333, 900};
	struct workload_config config = base;
	config.name = "ycsb-f";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		config.value_size = sizes[i];
		CU_ASSERT_EQUAL(run_concurrently(config, 3000).wrong, 0);
	}
}

/* ---- What is asked ------------------------------------------------------ */

static void
a_cas_follows_its_get(void)
{
	static struct asked a;
	struct workload_config config = base;
	uint8_t value[100];
	store_clear();
	config.name = "ycsb-f";
	struct workload *w = opened(&config);
	load(w);
	for (int i = 0; i < 500; i++) {
		struct asked get = {.size = 0};
		do {
			get = a;
			ask(w, 10, &a);
			store_execute(a.data, a.size);
			if (a.op.kind == KV_GET)
				memcpy(value, answer.data + KV_REPLY_HEADER_SIZE, 100);
			CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_RIGHT);
		} while (a.op.kind != KV_CAS);
		CU_ASSERT_EQUAL(memcmp(get.data + KV_OP_HEADER_SIZE, a.op.key, YCSB_KEY_SIZE), 0);
		CU_ASSERT_EQUAL(a.op.expected_size, 100);
		CU_ASSERT_EQUAL(memcmp(a.op.expected, value, 100), 0);
		CU_ASSERT_EQUAL(answer.data[0], KV_OK);
	}
	workload_close(w);
}

static void
descriptions_agree_with_the_bytes(void)
{
	static struct asked a;
	static const enum workload_op_kind kinds[] = {[KV_GET] = WORKLOAD_OP_GET,
	    [KV_PUT] = WORKLOAD_OP_PUT,
	    [KV_CAS] = WORKLOAD_OP_CAS,
	    [KV_SCAN] = WORKLOAD_OP_SCAN};
	struct workload_config config = base;
	char name[] = "ycsb-?";
	config.name = name;
	for (name[5] = 'a'; name[5] <= 'f'; name[5]++) {
		store_clear();
		struct workload *w = opened(&config);
		load(w);
		for (int i = 0; i < 300; i++) {
			struct workload_record r;
			ask(w, 12, &a);
			workload_describe(w, 12, &r);
			store_execute(a.data, a.size);
			CU_ASSERT_EQUAL(answered(w, 12), WORKLOAD_RIGHT);
			workload_describe(w, 12, &r); /* after the check, as before */
			CU_ASSERT_EQUAL(r.kind, kinds[a.op.kind]);
			CU_ASSERT_EQUAL(r.key_size, a.op.key_size);
			CU_ASSERT_EQUAL(r.value_size, a.op.value_size);
			CU_ASSERT_EQUAL(r.expected_size, a.op.expected_size);
			CU_ASSERT_EQUAL(r.scan_count, a.op.limit);
			CU_ASSERT_EQUAL(memcmp(r.key, a.op.key, r.key_size), 0);
			if (r.value_size > 0)
				CU_ASSERT_EQUAL(memcmp(r.value, a.op.value, r.value_size), 0);
			if (r.expected_size > 0)
				CU_ASSERT_EQUAL(
				    memcmp(r.expected, a.op.expected, r.expected_size), 0);
		}
		workload_close(w);
	}
}

/* A slot's operations depend on the seed and its number, not on other slots. */
static void
same_seed_same_operations(void)
{
	static struct asked a, b;
	struct workload_config config = base;
	bool differ = false;
	store_clear();
	struct workload *one = opened(&config), *two = opened(&config);
	config.seed = 2;
	struct workload *other = opened(&config);
	load(one);
	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(round_trip(one, 11, &a), WORKLOAD_RIGHT);
		if (i % 3 == 0)
			ask(two, 12, &b);
		ask(two, 11, &b);
		CU_ASSERT(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
		ask(other, 11, &b);
		differ |= memcmp(a.op.key, b.op.key, YCSB_KEY_SIZE) != 0;
	}
	CU_ASSERT(differ);
	workload_close(one);
	workload_close(two);
	workload_close(other);
}

static void
later_runs_have_later_versions(void)
{
	struct workload_config config = base;
	uint64_t versions[2];
	for (uint8_t run = 0; run < 2; run++) {
		store_clear();
		config.run = run;
		struct workload *w = opened(&config);
		load(w);
		for (int i = 0; i < 100; i++)
			versions[run] = put_once(w, 10).version;
		workload_close(w);
	}
	CU_ASSERT(versions[0] < versions[1] - 200);
}

/* ---- Distributions, through the workload --------------------------------- */

enum { GETS_COUNT = 200000 };

/* How often each record is read, by its index; answers come from the store. */
static void
count_gets(struct workload *w, uint32_t *gets, uint32_t gets_size)
{
	static struct asked a;
	for (uint32_t i = 0; i < GETS_COUNT; i++) {
		CU_ASSERT_EQUAL_FATAL(round_trip(w, 10, &a), WORKLOAD_RIGHT);
		uint32_t key = stamp_of(answer.data + KV_REPLY_HEADER_SIZE, 100).key;
		CU_ASSERT_FATAL(key < gets_size);
		gets[key]++;
	}
}

static void
records_are_read_as_often_as_theory_says(void)
{
	static uint32_t gets[500];
	static const char *const names[] = {"uniform", "zipfian", "latest"};
	struct workload_config config = base;
	struct zipf z;
	config.name = "ycsb-c";
	zipf_init(&z, 500);
	for (int i = 0; i < 3; i++) {
		memset(gets, 0, sizeof(gets));
		store_clear();
		config.distribution = names[i];
		struct workload *w = opened(&config);
		load(w);
		count_gets(w, gets, 500);
		double hottest = (double)gets[zipf_hash(0) % 500] / GETS_COUNT;
		double newest = (double)gets[499] / GETS_COUNT;
		double second = (double)gets[498] / GETS_COUNT;
		if (i == 0) {
			for (uint32_t j = 0; j < 500; j++)
				CU_ASSERT(gets[j] > 280 && gets[j] < 520);
		} else if (i == 1) {
			CU_ASSERT(hottest > 1 / 26.469 - 0.001 && hottest < 1 / 26.469 + 0.004);
		} else {
			CU_ASSERT_DOUBLE_EQUAL(newest, 1 / z.zeta, 0.004);
			CU_ASSERT_DOUBLE_EQUAL(second, 1 / z.zeta / 1.9862, 0.003);
			CU_ASSERT(gets[0] < 120);
		}
		workload_close(w);
	}
}

/* After each insertion, the newest record is the one read most: 1 / zeta of the time. */
static void
latest_follows_insertions(void)
{
	static struct asked a;
	struct workload_config config = base;
	struct zipf z;
	uint32_t newest = 499, gets = 0, hits = 0;
	double expected_hits = 0;
	store_clear();
	config.name = "ycsb-d";
	config.inserts_max = 8000;
	struct workload *w = opened(&config);
	load(w);
	zipf_init(&z, store_count);
	for (uint32_t i = 0; i < 60000; i++) {
		CU_ASSERT_EQUAL_FATAL(round_trip(w, 10 + i % 4, &a), WORKLOAD_RIGHT);
		if (a.op.kind == KV_PUT) {
			newest = stamp_of(a.op.value, 100).key;
			CU_ASSERT(newest >= 500);
			zipf_grow(&z, store_count);
			continue;
		}
		gets++;
		expected_hits += 1 / z.zeta;
		hits += stamp_of(answer.data + KV_REPLY_HEADER_SIZE, 100).key == newest;
	}
	CU_ASSERT(store_count > 3000);
	CU_ASSERT_DOUBLE_EQUAL((double)hits / gets, expected_hits / gets, 0.005);
	workload_close(w);
}

static const struct unit_story stories[] = {
    {"values read back, every flipped bit is found",
	values_read_back_and_every_flipped_bit_is_found},
    {"keys are hex in the order of their hash", keys_are_hex_in_the_order_of_their_hash},
    {"nodes load each record once", nodes_load_each_record_once},
    {"concurrent clients of a correct store are content",
	concurrent_clients_of_a_correct_store_are_content},
    {"contended records are judged right", contended_records_are_judged_right},
    {"mixes are those of YCSB", mixes_are_those_of_ycsb},
    {"forgetting blames nobody", forgetting_blames_nobody},
    {"inserts end as updates", inserts_end_as_updates},
    {"every value size works", every_value_size_works},
    {"a cas follows its get", a_cas_follows_its_get},
    {"descriptions agree with the bytes", descriptions_agree_with_the_bytes},
    {"same seed, same operations", same_seed_same_operations},
    {"later runs have later versions", later_runs_have_later_versions},
    {"records are read as often as theory says", records_are_read_as_often_as_theory_says},
    {"latest follows insertions", latest_follows_insertions},
};

UNIT_MAIN("ycsb", stories)
