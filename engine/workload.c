/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of workloads, and the two that need no store: null and echo.
 * See workload.h. One lcore owns each workload.
 */
#include "engine/workload.h"

#include <endian.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/random.h"
#include "engine/workload_ycsb.h"

static const char *const names[] = {
    "null",
    "echo",
    "ycsb-a",
    "ycsb-b",
    "ycsb-c",
    "ycsb-d",
    "ycsb-e",
    "ycsb-f",
};
enum { NAMES_COUNT = sizeof(names) / sizeof(names[0]) };

static struct workload *null_open(const struct workload_config *config, char *error);
static struct workload *echo_open(const struct workload_config *config, char *error);

const char *
workload_name_at(uint32_t index)
{
	return index < NAMES_COUNT ? names[index] : NULL;
}

static bool
config_check(const struct workload_config *config, char *error)
{
	error[0] = '\0';
	if (config->slots_count == 0 ||
	    config->slots_count > (uint32_t)UINT16_MAX - config->slot_first)
		snprintf(error, WORKLOAD_ERROR_SIZE,
		    "workload: %u slots from slot %u on; slots are 0 to %u", config->slots_count,
		    config->slot_first, UINT16_MAX - 1);
	else if (config->node_index >= config->nodes_count)
		snprintf(error, WORKLOAD_ERROR_SIZE, "workload: client node %u of %u",
		    config->node_index, config->nodes_count);
	return error[0] == '\0';
}

struct workload *
workload_open(const struct workload_config *config, char *error)
{
	check(config->name != NULL && error != NULL);
	if (!config_check(config, error))
		return NULL;
	if (strcmp(config->name, "null") == 0)
		return null_open(config, error);
	if (strcmp(config->name, "echo") == 0)
		return echo_open(config, error);
	if (workload_ycsb_known(config->name))
		return workload_ycsb_open(config, error);
	snprintf(error, WORKLOAD_ERROR_SIZE,
	    "unknown workload \"%.40s\"; there are null, echo and ycsb-a to ycsb-f", config->name);
	return NULL;
}

void
workload_close(struct workload *w)
{
	if (w != NULL)
		w->close(w);
}

/* ---- Nothing to load ---------------------------------------------------- */

static bool
none_load_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	(void)w;
	(void)slot;
	op->size = 0;
	return false;
}

static void
plain_close(struct workload *w)
{
	free(w);
}

/* ---- null --------------------------------------------------------------- */

static void
null_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	(void)w;
	(void)slot;
	op->size = 0;
	op->read_only = false;
}

static enum workload_verdict
null_check(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	(void)w;
	(void)slot;
	(void)result;
	return size == 0 ? WORKLOAD_RIGHT : WORKLOAD_WRONG;
}

static void
null_describe(struct workload *w, uint32_t slot, struct workload_record *record)
{
	(void)w;
	(void)slot;
	memset(record, 0, sizeof(*record));
	record->kind = WORKLOAD_OP_NULL;
}

static struct workload *
null_open(const struct workload_config *config, char *error)
{
	struct workload *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		snprintf(error, WORKLOAD_ERROR_SIZE, "workload: out of memory");
		return NULL;
	}
	*w = (struct workload){
	    .next = null_next,
	    .judge = null_check,
	    .load_next = none_load_next,
	    .describe = null_describe,
	    .close = plain_close,
	    .memory_size = sizeof(*w),
	    .slot_first = config->slot_first,
	    .slots_count = config->slots_count,
	};
	return w;
}

/* ---- echo --------------------------------------------------------------- */

/* One allocation: counters of the slots, then the bytes of one operation. */
struct echo {
	struct workload base;
	uint64_t seed;
	uint32_t request_size; /* bytes */
	uint32_t reply_size;   /* bytes */
	uint8_t *scratch;      /* request_size bytes, rounded up to words */
	uint64_t counters[];   /* of each slot: its operations so far */
};

/* Words of the operation: the first differs for every slot and counter. */
static void
echo_write(const struct echo *e, uint32_t slot, uint8_t *data)
{
	uint64_t counter = e->counters[slot - e->base.slot_first];
	struct random random = {(uint64_t)slot << 48 ^ counter ^ e->seed};
	uint32_t at = 0;

	debug_check(slot - e->base.slot_first < e->base.slots_count);
	for (; e->request_size - at >= 8; at += 8) {
		uint64_t word = htole64(random_next(&random));
		memcpy(data + at, &word, 8);
	}
	uint64_t word = htole64(random_next(&random));
	if (at < e->request_size)
		memcpy(data + at, &word, e->request_size - at);
}

static void
echo_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	struct echo *e = (struct echo *)w;
	check(op->capacity >= e->request_size && slot - w->slot_first < w->slots_count);
	e->counters[slot - w->slot_first]++;
	echo_write(e, slot, op->data);
	op->size = e->request_size;
	op->read_only = false;
}

/* The application repeats the operation until the reply is full; zeroes when
 * there is nothing to repeat. */
static enum workload_verdict
echo_check(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct echo *e = (struct echo *)w;
	uint32_t period = e->request_size > 0 ? e->request_size : 8;

	check(slot - w->slot_first < w->slots_count);
	if (size != e->reply_size)
		return WORKLOAD_WRONG;
	if (e->request_size > 0)
		echo_write(e, slot, e->scratch);
	for (uint32_t at = 0; at < size; at += period) {
		uint32_t part = size - at < period ? size - at : period;
		if (memcmp(result + at, e->scratch, part) != 0)
			return WORKLOAD_WRONG;
	}
	return WORKLOAD_RIGHT;
}

static void
echo_describe(struct workload *w, uint32_t slot, struct workload_record *record)
{
	struct echo *e = (struct echo *)w;
	memset(record, 0, sizeof(*record));
	if (e->request_size > 0)
		echo_write(e, slot, e->scratch);
	record->kind = WORKLOAD_OP_ECHO;
	record->value = e->scratch;
	record->value_size = e->request_size;
}

static struct workload *
echo_open(const struct workload_config *config, char *error)
{
	uint64_t scratch_size = ((uint64_t)config->request_size + 15) / 8 * 8;
	uint64_t counters_size = config->slots_count * sizeof(uint64_t);
	uint64_t size = sizeof(struct echo) + counters_size + scratch_size;

	if (config->request_size > WORKLOAD_SIZE_MAX || config->reply_size > WORKLOAD_SIZE_MAX) {
		snprintf(error, WORKLOAD_ERROR_SIZE,
		    "echo: request of %u and reply of %u bytes; each is at most %d",
		    config->request_size, config->reply_size, WORKLOAD_SIZE_MAX);
		return NULL;
	}
	struct echo *e = calloc(1, size);
	if (e == NULL) {
		snprintf(error, WORKLOAD_ERROR_SIZE, "workload: out of memory");
		return NULL;
	}
	e->base = (struct workload){
	    .next = echo_next,
	    .judge = echo_check,
	    .load_next = none_load_next,
	    .describe = echo_describe,
	    .close = plain_close,
	    .memory_size = size,
	    .slot_first = config->slot_first,
	    .slots_count = config->slots_count,
	    .op_size_max = config->request_size,
	};
	e->seed = random_mix(config->seed);
	e->request_size = config->request_size;
	e->reply_size = config->reply_size > 0 ? config->reply_size : config->request_size;
	e->base.result_size_max = e->reply_size;
	e->scratch = (uint8_t *)(e->counters + config->slots_count);
	return &e->base;
}
