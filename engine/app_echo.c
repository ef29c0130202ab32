/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application that answers with its operation, or with `reply_size` bytes
 * that repeat it (all zero for an empty operation): a client can tell its own
 * answer from any other. Keeps no state. Owned by an executor.
 */
#include "engine/app.h"

#include <errno.h>
#include <string.h>

struct echo {
	uint32_t reply_size; /* bytes; 0: as the operation */
};

static uint64_t
echo_region_size(const struct app_options *options)
{
	(void)options;
	return 0;
}

static int
echo_open(void *self, const struct app_options *options, struct state *state)
{
	struct echo *echo = self;
	(void)state;
	if (options->reply_size > APP_REPLY_SIZE_MAX)
		return -EINVAL;
	echo->reply_size = options->reply_size;
	return 0;
}

/* An answer that does not fit is cut: capacity is the same at all replicas. */
static uint32_t
echo_execute(void *self, const uint8_t *op, uint32_t op_size, uint8_t *reply, uint32_t capacity)
{
	const struct echo *echo = self;
	uint32_t size = echo->reply_size == 0 ? op_size : echo->reply_size;
	if (size > capacity)
		size = capacity;
	if (op_size == 0) {
		memset(reply, 0, size);
		return size;
	}
	for (uint32_t at = 0; at < size; at += op_size)
		memcpy(reply + at, op, size - at < op_size ? size - at : op_size);
	return size;
}

static bool
echo_is_read_only(const uint8_t *op, uint32_t op_size)
{
	(void)op;
	(void)op_size;
	return true;
}

const struct app app_echo = {
    .name = "echo",
    .self_size = sizeof(struct echo),
    .region_size = echo_region_size,
    .open = echo_open,
    .execute = echo_execute,
    .is_read_only = echo_is_read_only,
};
