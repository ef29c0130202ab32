/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories, their file, and oskr-linear, which makes and judges them. One core.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdalign.h>

#include "engine/kv_op.h"
#include "engine/recorder.h"
#include "linear_rig.h"
#include "tests/toy_digest.h"

/* ---- The model and the file --------------------------------------------- */

/* Hashes byte by byte, with the plain remainder of the division. */
static uint64_t
hash_plainly(const uint8_t *bytes, size_t size)
{
	unsigned long long prime = (1ULL << 61) - 1;
	__extension__ unsigned __int128 hash = 0;
	for (size_t i = 0; i < size; i++)
		hash = (hash * 0x0f1d3a5c7e9b2461ULL + bytes[i] + 1U) % prime;
	return (uint64_t)hash;
}

static void
value_joins_anywhere(void)
{
	uint8_t bytes[300];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i < 20 ? 0 : i < 40 ? 255 : i * 7);
	for (size_t size = 0; size <= sizeof(bytes); size++)
		CU_ASSERT_EQUAL(history_value_of(bytes, size).hash, hash_plainly(bytes, size));
	struct history_value whole = history_value_of(bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		struct history_value joined = history_value_joined(history_value_of(bytes, cut),
		    history_value_of(bytes + cut, sizeof(bytes) - cut));
		CU_ASSERT(history_value_equal(joined, whole));
	}
	/* A sum that is the prime itself counts as zero. */
	struct history_value rest = {.hash = 0, .size = 3};
	rest.hash = ((UINT64_C(1) << 61) - 1) - history_value_joined(whole, rest).hash;
	CU_ASSERT_EQUAL(history_value_joined(whole, rest).hash, 0);
	struct history_value one = history_value_of(bytes, 1);
	CU_ASSERT_FALSE(history_value_equal(one, history_value_of(bytes, 2)));
	CU_ASSERT_FALSE(history_value_equal(one, history_value_of(bytes, 0)));
}

static void
sort_is_stable(void)
{
	enum { COUNT = 5000 };
	static struct history_rank ranks[COUNT];
	random_state = 5;
	for (uint32_t i = 0; i < COUNT; i++)
		ranks[i] = (struct history_rank){draw(50) * (UINT64_MAX / 50), i};
	CU_ASSERT_EQUAL(history_sort(ranks, COUNT), 0);
	for (size_t i = 1; i < COUNT; i++)
		CU_ASSERT(ranks[i - 1].by < ranks[i].by ||
			  (ranks[i - 1].by == ranks[i].by && ranks[i - 1].index < ranks[i].index));
	CU_ASSERT_EQUAL(history_sort(ranks, 0), 0);
}

/* Writes a small history of all kinds into `buffer`; returns the file's size. */
static size_t
write_sample(uint8_t *buffer, size_t capacity, struct history *h)
{
	struct options options = {
	    .generate = 60, .seed = 2, .keys = 4, .clients = 4, .pending = 20, .scans = 20};
	history_init(h, 1000);
	CU_ASSERT_EQUAL_FATAL(generate(h, &options), 0);
	struct history_writer w;
	history_writer_init(&w, buffer, capacity);
	for (size_t i = 0; i < h->ops_count; i++)
		history_write(&w, &h->ops[i], history_key_bytes(h, h->ops[i].key),
		    h->keys[h->ops[i].key].size);
	CU_ASSERT_EQUAL(w.count + w.dropped, h->ops_count);
	return history_writer_finish(&w);
}

/* Parses a copy of exactly `size` bytes, so that a read beyond is seen. */
static int
parse_exactly(const uint8_t *bytes, size_t size, struct history *h)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	if (size > 0)
		memcpy(copy, bytes, size);
	struct history_error error;
	history_init(h, 1000);
	int status = history_parse(h, copy, size, &error);
	CU_ASSERT_EQUAL(status == -EINVAL, error.reason != NULL);
	CU_ASSERT(error.offset <= size);
	free(copy);
	return status;
}

static void
file_round_trip(void)
{
	static uint8_t buffer[16384];
	struct history h;
	size_t size = write_sample(buffer, sizeof(buffer), &h);
	struct history copy;
	CU_ASSERT_EQUAL_FATAL(parse_exactly(buffer, size, &copy), 0);
	CU_ASSERT_EQUAL_FATAL(copy.ops_count, h.ops_count);
	CU_ASSERT_EQUAL(copy.keys_count, h.keys_count);
	for (size_t i = 0; i < h.ops_count; i++)
		CU_ASSERT_EQUAL(memcmp(&copy.ops[i], &h.ops[i], sizeof(h.ops[i])), 0);
	history_free(&copy);
	for (size_t cut = 0; cut < size; cut++) {
		CU_ASSERT_EQUAL(parse_exactly(buffer, cut, &copy), -EINVAL);
		history_free(&copy);
	}
	buffer[size] = 0;
	CU_ASSERT_EQUAL(parse_exactly(buffer, size + 1, &copy), -EINVAL);
	history_free(&copy);
	history_free(&h);
}

/* Any byte may be any other: refused or judged, never a crash. */
static void
file_survives_damage(void)
{
	static uint8_t buffer[16384];
	struct history h;
	size_t size = write_sample(buffer, sizeof(buffer), &h);
	history_free(&h);
	random_state = 11;
	size_t refused = 0;
	for (size_t i = 0; i < 20000; i++) {
		uint8_t damaged[16384];
		memcpy(damaged, buffer, size);
		size_t flips = 1 + draw(3);
		for (size_t j = 0; j < flips; j++)
			damaged[draw(size)] = (uint8_t)draw(256);
		struct history copy;
		int status = parse_exactly(damaged, size, &copy);
		refused += status != 0;
		struct linear_limits limits = {.cache_bytes_max = 1, .steps_max = 10000};
		struct linear_report report;
		CU_ASSERT_EQUAL(linear_check(&copy, &limits, &report), 0);
		(void)witness_report_of(&copy);
		history_free(&copy);
	}
	CU_ASSERT(refused > 1000);
	static const struct {
		size_t offset;
		uint8_t byte;
	} faults[] = {{0, 'x'}, {8, 2}, {12, 41}, {16, 255}, {24, 255}, {40, HISTORY_KINDS_COUNT},
	    {41, HISTORY_STATUSES_COUNT}, {42, 255}, {43, 1}};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint8_t byte = buffer[faults[i].offset];
		buffer[faults[i].offset] = faults[i].byte;
		CU_ASSERT_EQUAL(parse_exactly(buffer, size, &h), -EINVAL);
		buffer[faults[i].offset] = byte;
		history_free(&h);
	}
}

/* A full buffer drops and counts, and the file says so. */
static void
writer_counts_what_it_drops(void)
{
	for (size_t capacity = HISTORY_HEADER_SIZE; capacity < 600; capacity++) {
		uint8_t *buffer = malloc(capacity);
		CU_ASSERT_PTR_NOT_NULL_FATAL(buffer);
		struct history h;
		size_t size = write_sample(buffer, capacity, &h);
		CU_ASSERT(size <= capacity);
		struct history copy;
		CU_ASSERT_EQUAL(parse_exactly(buffer, size, &copy), 0);
		CU_ASSERT(copy.dropped > 0);
		CU_ASSERT_EQUAL(copy.dropped + copy.ops_count, h.ops_count);
		history_free(&copy);
		history_free(&h);
		free(buffer);
	}
}

static void
history_refuses_too_much(void)
{
	struct history h;
	struct history_op op = {
	    .kind = HISTORY_PUT, .status = HISTORY_OK, .invoke_ns = 2, .response_ns = 3};
	history_init(&h, 2);
	CU_ASSERT_EQUAL(history_add(&h, &op, "", 0), 0);
	op.response_ns = 1;
	CU_ASSERT_EQUAL(history_add(&h, &op, "k", 1), -EINVAL);
	op.response_ns = HISTORY_PENDING;
	CU_ASSERT_EQUAL(history_add(&h, &op, "k", 1), -EINVAL);
	op.status = HISTORY_UNKNOWN;
	CU_ASSERT_EQUAL(history_add(&h, &op, "k", HISTORY_KEY_SIZE_MAX + 1), -EINVAL);
	CU_ASSERT_EQUAL(history_add(&h, &op, "k", 1), 0);
	CU_ASSERT_EQUAL(history_add(&h, &op, "k", 1), -E2BIG);
	history_free(&h);
}

/* ---- The program -------------------------------------------------------- */

/* Runs oskr-linear with a command line; what it prints goes nowhere. */
static int
run(const char *format, const char *text)
{
	char line[512];
	char *words[32] = {NULL};
	int count = 0;
	CU_ASSERT_FATAL(snprintf(line, sizeof(line), format, text) < (int)sizeof(line));
	char *rest = NULL;
	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	fflush(stdout);
	int null = open("/dev/null", O_WRONLY);
	int outs[2] = {dup(1), dup(2)};
	CU_ASSERT_FATAL(null >= 0 && outs[0] >= 0 && outs[1] >= 0);
	dup2(null, 1);
	dup2(null, 2);
	int status = oskr_linear_main(count, words);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		dup2(outs[i], i + 1);
		close(outs[i]);
	}
	close(null);
	return status;
}

static void
program_rejects_planted_violations(void)
{
	for (int i = 1; i < VIOLATIONS_COUNT; i++) {
		const char *name = violation_names[i];
		bool seen_outside = i < VIOLATION_DUPLICATE;
		for (char seed = '1'; seed <= '5'; seed++) {
			char format[128];
			snprintf(format, sizeof(format),
			    "x --generate 5000 --keys 40 --seed %c --violate %%s --check ", seed);
			char search[160];
			char witness[160];
			snprintf(search, sizeof(search), "%ssearch --pending 1", format);
			snprintf(witness, sizeof(witness), "%switness --scans 5", format);
			CU_ASSERT_EQUAL(run(witness, name), EXIT_VIOLATION);
			if (seen_outside)
				CU_ASSERT_EQUAL(run(search, name), EXIT_VIOLATION);
		}
	}
}

static void
program_passes_right_histories(void)
{
	static const char *const lines[] = {"x --generate 20000 --keys 100 --clients %s",
	    "x --generate 20000 --keys 100 --pending 2 --check search --clients %s",
	    "x --generate 20000 --keys 100 --no-seq --clients %s",
	    "x --generate 20000 --keys 100 --scans 20 --pending 1 --clients %s",
	    "x --generate 20000 --keys 100 --values 3 --check search --clients %s"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		CU_ASSERT_EQUAL(run(lines[i], "64"), EXIT_LINEARIZABLE);
		CU_ASSERT_EQUAL(run(lines[i], "1"), EXIT_LINEARIZABLE);
	}
}

/* What cannot be known is never a pass. */
static void
program_says_undecided(void)
{
	CU_ASSERT_EQUAL(run("x --generate 1000 --no-seq --check %s", "witness"), EXIT_UNDECIDED);
	CU_ASSERT_EQUAL(run("x --generate 1000 --no-seq --scans %s", "5"), EXIT_UNDECIDED);
	CU_ASSERT_EQUAL(
	    run("x --generate 9000 --keys 1 --steps %s --check search", "100"), EXIT_UNDECIDED);
}

static void
program_reads_files(void)
{
	char directory[64];
	snprintf(directory, sizeof(directory), "/tmp/unit_linear.%ld", (long)getpid());
	CU_ASSERT_EQUAL_FATAL(mkdir(directory, 0700), 0);
	char path[80];
	snprintf(path, sizeof(path), "%s/h", directory);
	CU_ASSERT_EQUAL(run("x --generate 3000 --output %s", path), 0);
	CU_ASSERT_EQUAL(run("x %s", path), EXIT_LINEARIZABLE);
	/* Two files are one history, and there each position occurs twice. */
	char twice[192];
	snprintf(twice, sizeof(twice), "x %s %%s", path);
	CU_ASSERT_EQUAL(run(twice, path), EXIT_VIOLATION);
	CU_ASSERT_EQUAL(run("x --generate 3000 --violate stale-read --output %s", path), 0);
	CU_ASSERT_EQUAL(run("x %s", path), EXIT_VIOLATION);
	CU_ASSERT_EQUAL(truncate(path, 1000), 0);
	CU_ASSERT_EQUAL(run("x %s", path), EXIT_BAD_INPUT);
	CU_ASSERT_EQUAL(run("x %s", directory), EXIT_BAD_INPUT);
	uint8_t buffer[500];
	struct history h;
	(void)write_sample(buffer, sizeof(buffer), &h);
	struct history_writer w;
	history_writer_init(&w, buffer, sizeof(buffer));
	w.dropped = 1;
	CU_ASSERT_EQUAL(history_writer_save(&w, path), 0);
	CU_ASSERT_EQUAL(run("x %s", path), EXIT_BAD_INPUT);
	history_free(&h);
	history_writer_init(&w, buffer, sizeof(buffer));
	CU_ASSERT_EQUAL(history_writer_save(&w, path), 0);
	CU_ASSERT_EQUAL(run("x %s", path), EXIT_BAD_INPUT);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(run("x %s", path), EXIT_BAD_INPUT);
	CU_ASSERT_EQUAL(rmdir(directory), 0);
}

static void
program_refuses_bad_usage(void)
{
	static const char *const lines[] = {"x", "x --generate 0", "x --generate 12x",
	    "x --generate -1", "x --generate 10 --keys 0", "x --generate 10 --clients 70000",
	    "x --generate 10 --pending 101", "x --generate 10 --violate nothing",
	    "x --generate 10 file", "x --output y z", "x --violate reorder z", "x --check none z",
	    "x --unknown", "x --generate 99999999999999999999", "x --generate"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CU_ASSERT_EQUAL(run("%s", lines[i]), EXIT_BAD_INPUT);
	CU_ASSERT_EQUAL(run("x %s", "--help"), 0);
}

/* The size that was promised; processor time, as the machine is shared. */
static void
million_operations_in_time(void)
{
	clock_t start = clock();
	CU_ASSERT_EQUAL(run("x --generate 1000000 --keys %s --clients 64", "10000"), 0);
	double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
	printf("%.2f s of processor time ", seconds);
	CU_ASSERT(seconds < 60);
}

/* ---- The model and the store ------------------------------------------------- */

enum { STORE_OPS = 20000, STORE_KEYS = 6, STORE_VALUE_MAX = 24, STORE_REPLY_SIZE = 4096 };

static uint32_t
store_op_draw(uint8_t *bytes, uint32_t room)
{
	static const enum kv_kind kinds[] = {KV_GET, KV_PUT, KV_APPEND, KV_CAS, KV_CAS, KV_DELETE};
	static const char *const texts[] = {"", "a", "ab", "abc"};
	char key[3] = {'k', (char)('0' + draw(STORE_KEYS)), 0};
	const char *value = texts[draw(4)];
	const char *expected = texts[draw(4)];
	struct kv_op op = {
	    .kind = kinds[draw(6)],
	    .key = (const uint8_t *)key,
	    .key_size = 2,
	    .value = (const uint8_t *)value,
	    .value_size = (uint32_t)strlen(value),
	    .expected = (const uint8_t *)expected,
	    .expected_size = (uint32_t)strlen(expected),
	};
	if (!kv_kind_has_value((uint8_t)op.kind))
		op.value_size = 0;
	if (op.kind != KV_CAS)
		op.expected_size = 0;
	return kv_op_encode(&op, bytes, room);
}

/* What the store answers is what the model of a history accepts, key by key. */
static void
the_model_is_the_store(void)
{
	static uint8_t reply[STORE_REPLY_SIZE];
	static alignas(16) uint8_t self[APP_SELF_SIZE_MAX];
	static struct state state;
	struct history_value values[STORE_KEYS];
	uint32_t told[HISTORY_STATUSES_COUNT] = {0};
	uint8_t bytes[256];
	const struct app_options options = {.memory_size = 1 << 20, .reply_size = 0};
	const struct state_options o = {
	    .size = app_kv.region_size(&options) + 1, .digester = {.burst = toy_digest_burst}};
	CU_ASSERT_EQUAL_FATAL(state_open(&state, &o), 0);
	CU_ASSERT_EQUAL_FATAL(app_kv.open(self, &options, &state), 0);
	for (uint32_t i = 0; i < STORE_KEYS; i++)
		values[i] = HISTORY_ABSENT;
	random_state = 11;
	for (uint32_t i = 0; i < STORE_OPS; i++) {
		struct recorded r;
		uint32_t size = store_op_draw(bytes, sizeof(bytes));
		CU_ASSERT_TRUE_FATAL(recorded_from_op(&r, bytes, size));
		uint32_t answer = app_kv.execute(self, bytes, size, reply, sizeof(reply));
		CU_ASSERT_EQUAL(recorded_from_reply(&r, reply, answer), RECORDED_TOLD);
		r.op.response_ns = r.op.invoke_ns;
		CU_ASSERT(history_op_valid(&r.op));
		struct history_value *value = &values[r.key[1] - '0'];
		CU_ASSERT(history_accepts(&r.op, *value));
		history_execute(&r.op, value);
		told[r.op.status]++;
	}
	for (uint32_t i = HISTORY_OK; i < HISTORY_STATUSES_COUNT; i++)
		CU_ASSERT(told[i] > 100);
	state_close(&state);
}

static const struct unit_story stories[] = {
    {"model: the store is like it", the_model_is_the_store},
    {"value: hash follows concatenation", value_joins_anywhere},
    {"sort: stable, by radix", sort_is_stable},
    {"history: refuses what is invalid or too much", history_refuses_too_much},
    {"file: round trip, every truncation", file_round_trip},
    {"file: survives damage", file_survives_damage},
    {"writer: counts what it drops", writer_counts_what_it_drops},
    {"program: rejects planted violations", program_rejects_planted_violations},
    {"program: passes right histories", program_passes_right_histories},
    {"program: undecided is no pass", program_says_undecided},
    {"program: reads files", program_reads_files},
    {"program: refuses bad usage", program_refuses_bad_usage},
    {"program: a million operations", million_operations_in_time},
};

UNIT_MAIN("history", stories)
