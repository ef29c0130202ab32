/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the workloads that need no store, and of configurations that are refused. */
#include "engine/workload.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit.h"

static const struct workload_config base = {
    .name = "null",
    .seed = 1,
    .slot_first = 100,
    .slots_count = 4,
    .nodes_count = 1,
    .records_count = 100,
    .value_size = 100,
};

static struct workload *
opened(struct workload_config config)
{
	char error[WORKLOAD_ERROR_SIZE];
	struct workload *w = workload_open(&config, error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	return w;
}

/* The slot's next operation in memory of exactly its size, to be freed. */
static uint8_t *
next_op(struct workload *w, uint32_t slot, uint32_t *size)
{
	uint32_t capacity = workload_op_size_max(w);
	uint8_t *data = malloc(capacity > 0 ? capacity : 1);
	struct workload_op op = {.data = data, .capacity = capacity, .size = 12345};
	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	workload_next(w, slot, &op);
	CU_ASSERT_FATAL(op.size <= capacity);
	CU_ASSERT_FALSE(op.read_only);
	*size = op.size;
	return data;
}

static void
null_wants_nothing(void)
{
	struct workload *w = opened(base);
	struct workload_record record;
	struct workload_op op = {.size = 1};
	uint32_t size;
	CU_ASSERT_FALSE(workload_load_next(w, 100, &op));
	uint8_t *data = next_op(w, 101, &size);
	CU_ASSERT_EQUAL(size, 0);
	CU_ASSERT_EQUAL(workload_check(w, 101, data, 0), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(workload_check(w, 101, (const uint8_t *)"x", 1), WORKLOAD_WRONG);
	workload_describe(w, 101, &record);
	CU_ASSERT_EQUAL(record.kind, WORKLOAD_OP_NULL);
	CU_ASSERT(workload_memory_size(w) > 0);
	free(data);
	workload_close(w);
	workload_close(NULL);
}

/* What app_echo does: repeats the operation until the reply is full. */
static uint8_t *
echoed(const uint8_t *data, uint32_t size, uint32_t reply_size)
{
	uint8_t *reply = malloc(reply_size > 0 ? reply_size : 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(reply);
	for (uint32_t i = 0; i < reply_size; i++)
		reply[i] = size > 0 ? data[i % size] : 0;
	return reply;
}

static void
echo_round(uint32_t request_size, uint32_t reply_size)
{
	struct workload_config config = base;
	uint32_t size, expected_size = reply_size > 0 ? reply_size : request_size;
	config.name = "echo";
	config.request_size = request_size;
	config.reply_size = reply_size;
	struct workload *w = opened(config);
	uint8_t *data = next_op(w, 102, &size);
	uint8_t *reply = echoed(data, size, expected_size);

	CU_ASSERT_EQUAL(size, request_size);
	CU_ASSERT_EQUAL(workload_result_size_max(w), expected_size);
	CU_ASSERT_EQUAL(workload_check(w, 102, reply, expected_size), WORKLOAD_RIGHT);
	for (uint32_t i = 0; i < expected_size; i++) {
		CU_ASSERT_EQUAL(workload_check(w, 102, reply, i), WORKLOAD_WRONG);
		reply[i] ^= 0x10;
		CU_ASSERT_EQUAL(workload_check(w, 102, reply, expected_size), WORKLOAD_WRONG);
		reply[i] ^= 0x10;
	}
	CU_ASSERT_EQUAL(workload_check(w, 102, reply, expected_size), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(workload_check(w, 102, reply, expected_size + 1), WORKLOAD_WRONG);
	free(reply);
	free(data);
	workload_close(w);
}

static void
echo_finds_every_wrong_byte_and_size(void)
{
	static const uint32_t sizes[][2] = {{0, 0}, {0, 5}, {1, 0}, {1, 7}, {7, 0}, {8, 0}, {8, 8},
	    {9, 4}, {15, 16}, {16, 100}, {64, 0}, {100, 0}, {100, 1}, {100, 350}, {1000, 1000}};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		echo_round(sizes[i][0], sizes[i][1]);
}

static void
echo_of_a_megabyte_is_right(void)
{
	struct workload_config config = base;
	uint32_t size;
	config.name = "echo";
	config.request_size = 1 << 20;
	struct workload *w = opened(config);
	uint8_t *data = next_op(w, 103, &size);
	CU_ASSERT_EQUAL(size, 1 << 20);
	CU_ASSERT_EQUAL(workload_check(w, 103, data, size), WORKLOAD_RIGHT);
	data[size - 1] ^= 1;
	CU_ASSERT_EQUAL(workload_check(w, 103, data, size), WORKLOAD_WRONG);
	free(data);
	workload_close(w);
}

/* Another slot's answer, and the answer to the slot's operation before. */
static void
echo_finds_swapped_answers(void)
{
	struct workload_config config = base;
	uint32_t size;
	config.name = "echo";
	config.request_size = 8;
	struct workload *w = opened(config);
	uint8_t *first = next_op(w, 100, &size);
	uint8_t *other = next_op(w, 101, &size);
	CU_ASSERT_EQUAL(workload_check(w, 100, other, size), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(workload_check(w, 101, first, size), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(workload_check(w, 100, first, size), WORKLOAD_RIGHT);
	uint8_t *second = next_op(w, 100, &size);
	CU_ASSERT_EQUAL(workload_check(w, 100, first, size), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(workload_check(w, 100, second, size), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(workload_check(w, 101, other, size), WORKLOAD_RIGHT);
	free(first);
	free(other);
	free(second);
	workload_close(w);
}

static void
echo_describes_its_operation(void)
{
	struct workload_config config = base;
	struct workload_record record;
	uint32_t size;
	config.name = "echo";
	config.request_size = 50;
	struct workload *w = opened(config);
	uint8_t *data = next_op(w, 100, &size);
	workload_describe(w, 100, &record);
	CU_ASSERT_EQUAL(record.kind, WORKLOAD_OP_ECHO);
	CU_ASSERT_EQUAL_FATAL(record.value_size, 50);
	CU_ASSERT_EQUAL(memcmp(record.value, data, 50), 0);
	free(data);
	workload_close(w);
}

static void
seeds_differ_and_repeat(void)
{
	struct workload_config config = base;
	uint32_t size;
	uint8_t *data[3];
	config.name = "echo";
	config.request_size = 32;
	for (int i = 0; i < 3; i++) {
		config.seed = i == 1 ? 2 : 1;
		struct workload *w = opened(config);
		data[i] = next_op(w, 100, &size);
		workload_close(w);
	}
	CU_ASSERT_NOT_EQUAL(memcmp(data[0], data[1], 32), 0);
	CU_ASSERT_EQUAL(memcmp(data[0], data[2], 32), 0);
	for (int i = 0; i < 3; i++)
		free(data[i]);
}

/* One line each, which names what is wrong. */
static void
bad_configurations_are_refused(void)
{
	struct row {
		const char *text; /* must be in the error */
		struct workload_config config;
	};
#define ROW(text, ...)                         \
	{                                      \
		text,                          \
		{                              \
			.seed = 1, __VA_ARGS__ \
		}                              \
	}
#define ROW_1(text, ...)                                         \
	{                                                        \
		text,                                            \
		{                                                \
			.seed = 1, .nodes_count = 1, __VA_ARGS__ \
		}                                                \
	}
	const struct row rows[] = {
	    ROW_1("unknown workload \"ycsb-g\"", .name = "ycsb-g", .slots_count = 1),
	    ROW_1("unknown workload \"\"", .name = "", .slots_count = 1),
	    ROW_1("0 slots", .name = "null", .slots_count = 0),
	    ROW_1("65000", .name = "null", .slot_first = 65000, .slots_count = 536),
	    ROW("node 2 of 2", .name = "null", .slots_count = 1, .node_index = 2, .nodes_count = 2),
	    ROW("node 0 of 0", .name = "null", .slots_count = 1, .nodes_count = 0),
	    ROW_1("2000000", .name = "echo", .slots_count = 1, .request_size = 2000000),
	    ROW_1("2000001", .name = "echo", .slots_count = 1, .reply_size = 2000001),
	    ROW_1("0 records", .name = "ycsb-a", .slots_count = 1, .value_size = 100),
	    ROW_1("15 bytes", .name = "ycsb-a", .slots_count = 1, .records_count = 1,
		.value_size = 15),
	    ROW_1("1048577 bytes", .name = "ycsb-a", .slots_count = 1, .records_count = 1,
		.value_size = 1048577),
	    ROW_1("524785 bytes", .name = "ycsb-f", .slots_count = 1, .records_count = 1,
		.value_size = 524785),
	    ROW_1("below 2^32", .name = "ycsb-d", .slots_count = 1, .records_count = 4000000000u,
		.value_size = 16, .inserts_max = 400000000u),
	    ROW_1("unknown distribution \"normal\"", .name = "ycsb-a", .slots_count = 1,
		.records_count = 1, .value_size = 100, .distribution = "normal"),
	    ROW_1("too few", .name = "ycsb-a", .slots_count = 8, .records_count = 7,
		.value_size = 100, .single_writer = true),
	};
#undef ROW
#undef ROW_1
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[WORKLOAD_ERROR_SIZE] = "";
		CU_ASSERT_PTR_NULL(workload_open(&rows[i].config, error));
		if (strstr(error, rows[i].text) == NULL)
			printf("\n    row %zu: %s\n", i, error);
		CU_ASSERT_PTR_NOT_NULL(strstr(error, rows[i].text));
		CU_ASSERT_PTR_NULL(strchr(error, '\n'));
	}
}

static void
every_listed_name_opens(void)
{
	uint32_t count = 0;
	for (const char *name; (name = workload_name_at(count)) != NULL; count++) {
		struct workload_config config = base;
		config.name = name;
		workload_close(opened(config));
	}
	CU_ASSERT_EQUAL(count, 8);
}

static const struct unit_story stories[] = {
    {"null wants nothing", null_wants_nothing},
    {"echo finds every wrong byte and size", echo_finds_every_wrong_byte_and_size},
    {"an echo of a megabyte is right", echo_of_a_megabyte_is_right},
    {"echo finds swapped answers", echo_finds_swapped_answers},
    {"echo describes its operation", echo_describes_its_operation},
    {"seeds differ, and repeat", seeds_differ_and_repeat},
    {"bad configurations are refused", bad_configurations_are_refused},
    {"every listed name opens", every_listed_name_opens},
};

UNIT_MAIN("workload", stories)
