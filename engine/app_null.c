/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application that does nothing: any operation, an empty reply. What is
 * measured with it is the protocol. Owned by an executor.
 */
#include "engine/app.h"

static uint64_t
null_region_size(const struct app_options *options)
{
	(void)options;
	return 0;
}

static int
null_open(void *self, const struct app_options *options, struct state *state)
{
	(void)self;
	(void)options;
	(void)state;
	return 0;
}

static uint32_t
null_execute(void *self, const uint8_t *op, uint32_t op_size, uint8_t *reply, uint32_t capacity)
{
	(void)self;
	(void)op;
	(void)op_size;
	(void)reply;
	(void)capacity;
	return 0;
}

static bool
null_is_read_only(const uint8_t *op, uint32_t op_size)
{
	(void)op;
	(void)op_size;
	return true;
}

const struct app app_null = {
    .name = "null",
    .self_size = 0,
    .region_size = null_region_size,
    .open = null_open,
    .execute = null_execute,
    .is_read_only = null_is_read_only,
};
