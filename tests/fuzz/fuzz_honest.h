/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of an honest client among attackers: each appends its
 * timestamp to a record of the slot's own, so that what was executed, and how
 * often, can be read back from the state. One thread.
 */
#ifndef OSKR_TESTS_FUZZ_HONEST_H
#define OSKR_TESTS_FUZZ_HONEST_H

#include "engine/executor.h"
#include "engine/kv_op.h"
#include "fuzz.h"

enum { FUZZ_HONEST_OP_MAX = 64 };

static inline uint32_t
fuzz_honest_op(uint32_t slot, uint64_t timestamp, uint8_t op[FUZZ_HONEST_OP_MAX])
{
	uint8_t key[2] = {'H', (uint8_t)slot};
	struct kv_op o = {.kind = KV_APPEND,
	    .key = key,
	    .key_size = sizeof(key),
	    .value = (const uint8_t *)&timestamp,
	    .value_size = sizeof(timestamp)};
	return kv_op_encode(&o, op, FUZZ_HONEST_OP_MAX);
}

/* The attacker keeps off the honest client's records, which nothing protects from him. */
static inline void
fuzz_keep_off(uint8_t *op, uint32_t size)
{
	if (size > KV_OP_HEADER_SIZE && op[KV_OP_HEADER_SIZE] == 'H')
		op[KV_OP_HEADER_SIZE] = 'h';
}

/* Is the request one that the honest slot sent, up to timestamp `last`? */
static inline void
fuzz_honest_request_check(const struct message *m, uint64_t last)
{
	uint8_t op[FUZZ_HONEST_OP_MAX];
	check(m->header->seq >= 1 && m->header->seq <= last);
	check(m->body_size == fuzz_honest_op(m->header->sender, m->header->seq, op));
	check(memcmp(m->body, op, m->body_size) == 0);
}

/* For observers that only look at batches. */
static inline void
fuzz_checkpoint_ignore(void *context, uint64_t position, const uint8_t *digest32)
{
	(void)context;
	(void)position;
	(void)digest32;
}

/*
 * The slot's record holds timestamps that ascend: nothing was executed twice.
 * Returns the last.
 */
static inline uint64_t
fuzz_honest_once_check(struct executor *executor, uint32_t slot)
{
	uint8_t op[FUZZ_HONEST_OP_MAX];
	uint8_t key[2] = {'H', (uint8_t)slot};
	struct kv_op get = {.kind = KV_GET, .key = key, .key_size = sizeof(key)};
	struct result result = {0};
	struct kv_reply reply;
	uint64_t last = 0;
	uint32_t size = kv_op_encode(&get, op, sizeof(op));
	if (executor_execute_read_only(executor, op, size, &result) != EXECUTOR_READ_DONE)
		return 0;
	check(kv_reply_decode(result.data, result.size, &reply));
	if (reply.status != KV_OK)
		return 0;
	check(reply.data_size % sizeof(last) == 0);
	for (uint32_t at = 0; at < reply.data_size; at += sizeof(last)) {
		uint64_t timestamp;
		memcpy(&timestamp, reply.data + at, sizeof(timestamp));
		check(timestamp > last);
		last = timestamp;
	}
	return last;
}

#endif
