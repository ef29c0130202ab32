/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: history files and both checkers. The first byte says whether the
 * rest is a file, or records that get a header that fits. Whatever was read is
 * judged by search, under small limits, and by witness; a history that is
 * whole, written again, reads back the same; and where the order of execution
 * explains every answer, the search must not find a violation.
 */
#include <errno.h>

#include "engine/history.h"
#include "fuzz.h"
#include "tests/sim/linear.h"
#include "tests/sim/witness.h"

enum { OPS_MAX = 4096, STEPS_MAX = 2000, CACHE_MAX = 1 << 16, BODY_SIZE_MAX = 1 << 16 };

static uint8_t *
file_of_records(const uint8_t *body, size_t size, uint64_t count)
{
	struct {
		char magic[8];
		uint32_t version;
		uint32_t header_size;
		uint64_t count;
		uint64_t body_size;
		uint64_t dropped;
	} header = {{'o', 's', 'k', 'r', 'h', 'i', 's', 't'}, HISTORY_VERSION, HISTORY_HEADER_SIZE,
	    count, size, 0};
	_Static_assert(sizeof(header) == HISTORY_HEADER_SIZE, "as in the file");
	uint8_t *file = malloc(sizeof(header) + size);
	check(file != NULL);
	memcpy(file, &header, sizeof(header));
	if (size > 0)
		memcpy(file + sizeof(header), body, size);
	return file;
}

static void
judge(const struct history *h)
{
	static const struct linear_limits limits = {CACHE_MAX, STEPS_MAX};
	struct linear_report linear;
	struct witness_report witness;
	check(linear_check(h, &limits, &linear) == 0);
	check(witness_check(h, &witness) == 0);
	check(linear.checked + linear.skipped <= h->ops_count);
	check(witness.replayed + witness.unplaced <= h->ops_count);
	/* Two requests of one number are a violation to the witness alone. */
	if (witness.verdict == WITNESS_PASS)
		check(linear.verdict != LINEAR_VIOLATION);
	if (linear.verdict == LINEAR_VIOLATION)
		check(
		    linear.evidence.key < h->keys_count && linear.evidence.blocked < h->ops_count);
}

/* Writes all operations and reads them back. */
static void
round_trip(const struct history *h)
{
	size_t capacity = HISTORY_HEADER_SIZE + h->ops_count * HISTORY_RECORD_SIZE_MAX;
	uint8_t *buffer = malloc(capacity);
	struct history_writer writer;
	struct history_error error;
	struct history again;
	check(buffer != NULL);
	history_writer_init(&writer, buffer, capacity);
	for (size_t i = 0; i < h->ops_count; i++) {
		const struct history_op *op = &h->ops[i];
		history_write(&writer, op, history_key_bytes(h, op->key), h->keys[op->key].size);
	}
	size_t size = history_writer_finish(&writer);
	check(size <= capacity && writer.dropped == 0);
	history_init(&again, OPS_MAX);
	check(history_parse(&again, buffer, size, &error) == 0);
	check(again.ops_count == h->ops_count && again.keys_count == h->keys_count);
	if (h->ops_count > 0)
		check(memcmp(again.ops, h->ops, h->ops_count * sizeof(*h->ops)) == 0);
	history_free(&again);
	free(buffer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_reader in = {bytes, size};
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	struct history h;
	struct history_error error = {0};
	if (in.size > BODY_SIZE_MAX)
		return 0;
	uint64_t count = how & 2 ? UINT64_MAX : how >> 2;
	uint8_t *file =
	    how & 1 ? file_of_records(in.bytes, in.size, count) : fuzz_copy(in.bytes, in.size);
	size_t file_size = in.size + (how & 1 ? HISTORY_HEADER_SIZE : 0);
	history_init(&h, OPS_MAX);
	int status = history_parse(&h, file, file_size, &error);
	free(file);
	check(status == 0 || status == -EINVAL || status == -E2BIG);
	if (status == -EINVAL)
		check(error.reason != NULL && error.offset <= file_size);
	judge(&h);
	if (status == 0)
		round_trip(&h);
	history_free(&h);
	return 0;
}
