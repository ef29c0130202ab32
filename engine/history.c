/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a key, the history in memory, and its file. A history belongs to
 * one thread; a writer belongs to the lcore whose clients it records.
 */
#include "engine/history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/check.h"

__extension__ typedef unsigned __int128 wide;

/* The field, and the powers of the base up to 8: tests compute them anew. */
#define PRIME ((UINT64_C(1) << 61) - 1)
#define BASE  UINT64_C(0x0f1d3a5c7e9b2461)
static const uint64_t base_powers[9] = {
    1,
    BASE,
    UINT64_C(0x0db8b0f57768ae5a),
    UINT64_C(0x0f0e8bb0ac1d69d0),
    UINT64_C(0x10e2ee816543590),
    UINT64_C(0x2b0dcf1aa64bb4d),
    UINT64_C(0x6e69122e2991c98),
    UINT64_C(0x1d678d0e3f2424e2),
    UINT64_C(0x199c531fc2ef917d),
};

static const char magic[8] = {'o', 's', 'k', 'r', 'h', 'i', 's', 't'};

enum { RECORD_FIXED_SIZE = 40, RECORD_VALUE_SIZE = 12 };

static_assert(
    HISTORY_RECORD_SIZE_MAX == RECORD_FIXED_SIZE + HISTORY_KEY_SIZE_MAX + 2 * RECORD_VALUE_SIZE,
    "the largest record is a cas");
static_assert(sizeof(struct history_op) == 80, "no hidden padding");

static uint64_t field_reduced(wide x);
static uint64_t field_product(uint64_t a, uint64_t b);
static uint64_t field_power(uint64_t exponent);
static int grow(void **items, size_t *capacity, size_t item_size);
static int key_interned(struct history *h, const void *bytes, size_t size, uint32_t *index_out);
static int slots_grown(struct history *h);
static size_t record_size(const struct history_op *op, size_t key_size);
static bool op_has_written(const struct history_op *op);
static bool op_has_seen(const struct history_op *op);

/* ---- The model of a key ------------------------------------------------- */

struct history_value
history_value_of(const void *bytes, size_t size)
{
	check(bytes != NULL || size == 0);
	const uint8_t *b = bytes;
	uint64_t hash = 0;
	size_t i = 0;
	/* Bytes count from 1, so that leading zeros matter. Eight small products
	 * fit 72 bits: one reduction serves eight bytes. */
	for (; i + 8 <= size; i += 8) {
		wide sum = (wide)hash * base_powers[8];
		for (size_t j = 0; j < 8; j++)
			sum += (wide)base_powers[7 - j] * (wide)(b[i + j] + 1U);
		hash = field_reduced(sum);
	}
	for (; i < size; i++)
		hash = field_reduced((wide)hash * BASE + (wide)(b[i] + 1U));
	check(hash < PRIME);
	return (struct history_value){.hash = hash, .size = size};
}

struct history_value
history_value_joined(struct history_value a, struct history_value b)
{
	check(a.size != UINT64_MAX);
	check(b.size != UINT64_MAX);
	struct history_value joined = {
	    .hash = field_reduced((wide)a.hash * field_power(b.size) + b.hash),
	    .size = a.size + b.size,
	};
	return joined;
}

struct history_value
history_scan_added(struct history_value rows, struct history_value key, struct history_value value)
{
	check(key.size != UINT64_MAX);
	check(value.size != UINT64_MAX);
	const uint64_t words[4] = {key.hash, key.size, value.hash, value.size};
	for (size_t i = 0; i < 4; i++)
		rows.hash = field_reduced((wide)rows.hash * BASE + words[i] + 1);
	rows.size++;
	return rows;
}

bool
history_value_equal(struct history_value a, struct history_value b)
{
	return a.hash == b.hash && a.size == b.size;
}

enum history_status
history_execute(const struct history_op *op, struct history_value *value)
{
	check(op->kind < HISTORY_SCAN);
	bool absent = value->size == UINT64_MAX;
	switch ((enum history_kind)op->kind) {
	case HISTORY_PUT:
		*value = op->written;
		return HISTORY_OK;
	case HISTORY_APPEND:
		*value = absent ? op->written : history_value_joined(*value, op->written);
		return HISTORY_OK;
	case HISTORY_DELETE:
		*value = HISTORY_ABSENT;
		return absent ? HISTORY_NOT_FOUND : HISTORY_OK;
	case HISTORY_CAS:
		/* What is expected is never absence: a key that is not there has another value. */
		if (!history_value_equal(*value, op->seen))
			return HISTORY_MISMATCH;
		*value = op->written;
		return HISTORY_OK;
	default:
		return absent ? HISTORY_NOT_FOUND : HISTORY_OK;
	}
}

bool
history_accepts(const struct history_op *op, struct history_value value)
{
	if (op->status == HISTORY_UNKNOWN)
		return true;
	struct history_value after = value;
	if (history_execute(op, &after) != (enum history_status)op->status)
		return false;
	bool returned = op->kind == HISTORY_GET && op->status == HISTORY_OK;
	return !returned || history_value_equal(op->seen, value);
}

bool
history_is_read(const struct history_op *op)
{
	check(op->kind < HISTORY_KINDS_COUNT);
	if (op->kind == HISTORY_GET || op->kind == HISTORY_SCAN)
		return true;
	return op->status == HISTORY_NOT_FOUND || op->status == HISTORY_MISMATCH;
}

bool
history_op_valid(const struct history_op *op)
{
	static const uint8_t statuses[HISTORY_KINDS_COUNT] = {
	    [HISTORY_GET] = 1 << HISTORY_OK | 1 << HISTORY_NOT_FOUND,
	    [HISTORY_PUT] = 1 << HISTORY_OK,
	    [HISTORY_DELETE] = 1 << HISTORY_OK | 1 << HISTORY_NOT_FOUND,
	    [HISTORY_CAS] = 1 << HISTORY_OK | 1 << HISTORY_MISMATCH,
	    [HISTORY_APPEND] = 1 << HISTORY_OK,
	    [HISTORY_SCAN] = 1 << HISTORY_OK,
	};
	if (op->kind >= HISTORY_KINDS_COUNT || op->status >= HISTORY_STATUSES_COUNT)
		return false;
	if (op->response_ns < op->invoke_ns || op->invoke_ns == HISTORY_PENDING)
		return false;
	if (op_has_written(op) && (op->written.hash >= PRIME || op->written.size > UINT32_MAX))
		return false;
	if (op_has_seen(op) && (op->seen.hash >= PRIME || op->seen.size > UINT32_MAX))
		return false;
	if (op->response_ns == HISTORY_PENDING)
		return op->status == HISTORY_UNKNOWN;
	return (statuses[op->kind] >> op->status & 1) != 0;
}

const char *
history_kind_name(enum history_kind kind)
{
	static const char *const names[HISTORY_KINDS_COUNT] = {
	    "get", "put", "delete", "cas", "append", "scan"};
	check(kind < HISTORY_KINDS_COUNT);
	return names[kind];
}

const char *
history_status_name(enum history_status status)
{
	static const char *const names[HISTORY_STATUSES_COUNT] = {
	    "no answer", "OK", "NOT_FOUND", "MISMATCH"};
	check(status < HISTORY_STATUSES_COUNT);
	return names[status];
}

/* ---- The history in memory ---------------------------------------------- */

void
history_init(struct history *h, size_t ops_max)
{
	check(ops_max > 0);
	check(ops_max <= HISTORY_OPS_MAX);
	memset(h, 0, sizeof(*h));
	h->ops_max = ops_max;
}

void
history_free(struct history *h)
{
	free(h->ops);
	free(h->keys);
	free(h->key_bytes);
	free(h->slots);
	memset(h, 0, sizeof(*h));
}

int
history_add(struct history *h, const struct history_op *op, const void *key_bytes, size_t key_size)
{
	check(h->ops_max > 0);
	if (!history_op_valid(op) || key_size > HISTORY_KEY_SIZE_MAX)
		return -EINVAL;
	if (h->ops_count == h->ops_max)
		return -E2BIG;
	if (h->ops_count == h->ops_capacity) {
		void *items = h->ops;
		int error = grow(&items, &h->ops_capacity, sizeof(*h->ops));
		h->ops = items;
		if (error != 0)
			return error;
	}
	uint32_t key = 0;
	int error = key_interned(h, key_bytes, key_size, &key);
	if (error != 0)
		return error;
	h->ops[h->ops_count] = *op;
	h->ops[h->ops_count++].key = key;
	check(key < h->keys_count);
	return 0;
}

const uint8_t *
history_key_bytes(const struct history *h, uint32_t key)
{
	check(key < h->keys_count);
	check(h->keys[key].offset + h->keys[key].size <= h->key_bytes_size);
	return h->key_bytes + h->keys[key].offset;
}

int
history_sort(struct history_rank *ranks, size_t count)
{
	enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };
	size_t starts[DIGITS];
	struct history_rank *from = ranks;
	struct history_rank *to = malloc(sizeof(*to) * (count + 1));
	struct history_rank *const scratch = to;
	if (scratch == NULL)
		return -ENOMEM;
	for (unsigned int shift = 0; shift < 64; shift += DIGIT_BITS) {
		memset(starts, 0, sizeof(starts));
		for (size_t i = 0; i < count; i++)
			starts[from[i].by >> shift & (DIGITS - 1)]++;
		/* A digit that all share leaves the order as it is. */
		if (count == 0 || starts[from[0].by >> shift & (DIGITS - 1)] == count)
			continue;
		size_t sum = 0;
		for (size_t digit = 0; digit < DIGITS; digit++) {
			size_t digit_count = starts[digit];
			starts[digit] = sum;
			sum += digit_count;
		}
		for (size_t i = 0; i < count; i++)
			to[starts[from[i].by >> shift & (DIGITS - 1)]++] = from[i];
		struct history_rank *other = from;
		from = to;
		to = other;
	}
	if (from != ranks)
		memcpy(ranks, from, sizeof(*ranks) * count);
	free(scratch);
	return 0;
}

/* ---- The file: writing -------------------------------------------------- */

static void
put_u32(uint8_t **at, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		*(*at)++ = (uint8_t)(value >> 8 * i);
}

static void
put_u64(uint8_t **at, uint64_t value)
{
	put_u32(at, (uint32_t)value);
	put_u32(at, (uint32_t)(value >> 32));
}

static void
put_value(uint8_t **at, struct history_value value)
{
	put_u64(at, value.hash);
	put_u32(at, (uint32_t)value.size);
}

void
history_writer_init(struct history_writer *w, void *buffer, size_t capacity)
{
	check(buffer != NULL);
	check(capacity >= HISTORY_HEADER_SIZE);
	*w = (struct history_writer){
	    .bytes = buffer, .capacity = capacity, .size = HISTORY_HEADER_SIZE};
}

void
history_write(
    struct history_writer *w, const struct history_op *op, const void *key_bytes, size_t key_size)
{
	check(history_op_valid(op));
	check(key_size <= HISTORY_KEY_SIZE_MAX);
	size_t size = record_size(op, key_size);
	if (w->capacity - w->size < size) {
		w->dropped++;
		return;
	}
	uint8_t *at = w->bytes + w->size;
	*at++ = op->kind;
	*at++ = op->status;
	*at++ = (uint8_t)key_size;
	*at++ = 0;
	put_u32(&at, op->client);
	put_u64(&at, op->request);
	put_u64(&at, op->invoke_ns);
	put_u64(&at, op->response_ns);
	put_u64(&at, op->seq);
	if (key_size > 0)
		memcpy(at, key_bytes, key_size);
	at += key_size;
	if (op_has_written(op))
		put_value(&at, op->written);
	if (op->kind == HISTORY_SCAN)
		put_u32(&at, op->limit);
	if (op_has_seen(op))
		put_value(&at, op->seen);
	w->size += size;
	w->count++;
	check(at == w->bytes + w->size);
}

size_t
history_writer_finish(struct history_writer *w)
{
	uint8_t *at = w->bytes;
	memcpy(at, magic, sizeof(magic));
	at += sizeof(magic);
	put_u32(&at, HISTORY_VERSION);
	put_u32(&at, HISTORY_HEADER_SIZE);
	put_u64(&at, w->count);
	put_u64(&at, w->size - HISTORY_HEADER_SIZE);
	put_u64(&at, w->dropped);
	check(at == w->bytes + HISTORY_HEADER_SIZE);
	return w->size;
}

int
history_writer_save(struct history_writer *w, const char *path)
{
	size_t size = history_writer_finish(w);
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file < 0)
		return -errno;
	int error = 0;
	for (size_t done = 0; done < size && error == 0;) {
		ssize_t written = write(file, w->bytes + done, size - done);
		if (written >= 0)
			done += (size_t)written;
		else if (errno != EINTR)
			error = -errno;
	}
	if (close(file) != 0 && error == 0)
		error = -errno;
	return error;
}

int
history_save(const struct history *h, const char *path)
{
	size_t size = HISTORY_HEADER_SIZE;
	for (size_t i = 0; i < h->ops_count; i++)
		size += record_size(&h->ops[i], h->keys[h->ops[i].key].size);
	void *buffer = malloc(size);
	if (buffer == NULL)
		return -ENOMEM;
	struct history_writer w;
	history_writer_init(&w, buffer, size);
	for (size_t i = 0; i < h->ops_count; i++) {
		const struct history_op *op = &h->ops[i];
		history_write(&w, op, history_key_bytes(h, op->key), h->keys[op->key].size);
	}
	w.dropped += h->dropped;
	check(w.count == h->ops_count);
	int error = history_writer_save(&w, path);
	free(buffer);
	return error;
}

/* ---- The file: reading -------------------------------------------------- */

/* What is left of the untrusted bytes. Once a read does not fit, `failed`
 * stays set and every further read gives zeros. */
struct reader {
	const uint8_t *bytes;
	size_t size;
	size_t offset;
	bool failed;
};

static const uint8_t *
read_bytes(struct reader *r, size_t size)
{
	check(r->offset <= r->size);
	if (r->failed || r->size - r->offset < size) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *at = r->bytes + r->offset;
	r->offset += size;
	return at;
}

static uint64_t
read_number(struct reader *r, size_t size)
{
	check(size <= 8);
	const uint8_t *at = read_bytes(r, size);
	uint64_t value = 0;
	for (size_t i = 0; at != NULL && i < size; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

static struct history_value
read_value(struct reader *r)
{
	struct history_value value = {0};
	value.hash = read_number(r, 8);
	value.size = read_number(r, 4);
	return value;
}

/* Fills the operation and finds its key's bytes; returns why not, or NULL. */
static const char *
read_record(struct reader *r, struct history_op *op, const uint8_t **key, size_t *key_size)
{
	*op = (struct history_op){0};
	op->kind = (uint8_t)read_number(r, 1);
	op->status = (uint8_t)read_number(r, 1);
	*key_size = (size_t)read_number(r, 1);
	uint64_t zero = read_number(r, 1);
	op->client = (uint32_t)read_number(r, 4);
	op->request = read_number(r, 8);
	op->invoke_ns = read_number(r, 8);
	op->response_ns = read_number(r, 8);
	op->seq = read_number(r, 8);
	*key = read_bytes(r, *key_size);
	if (r->failed)
		return "the last record is cut short";
	if (zero != 0)
		return "a reserved byte of a record is not zero";
	if (op->kind >= HISTORY_KINDS_COUNT || op->status >= HISTORY_STATUSES_COUNT)
		return "unknown kind or status of an operation";
	if (op_has_written(op))
		op->written = read_value(r);
	if (op->kind == HISTORY_SCAN)
		op->limit = (uint32_t)read_number(r, 4);
	if (op_has_seen(op))
		op->seen = read_value(r);
	if (r->failed)
		return "the last record is cut short";
	if (!history_op_valid(op))
		return "kind, status, times or values of an operation do not go together";
	return NULL;
}

/* Fills the number of records; returns why not, or NULL. */
static const char *
read_header(struct reader *r, uint64_t *count, uint64_t *dropped)
{
	const uint8_t *start = read_bytes(r, sizeof(magic));
	if (start == NULL || memcmp(start, magic, sizeof(magic)) != 0)
		return "not a history file: it does not start with 'oskrhist'";
	uint64_t version = read_number(r, 4);
	uint64_t header_size = read_number(r, 4);
	*count = read_number(r, 8);
	uint64_t body_size = read_number(r, 8);
	*dropped = read_number(r, 8);
	if (r->failed)
		return "the header is cut short";
	if (version != HISTORY_VERSION)
		return "a version of the format that this program does not know";
	if (header_size != HISTORY_HEADER_SIZE)
		return "wrong header size";
	if (body_size != r->size - r->offset)
		return "the file's size is not what its header says";
	return NULL;
}

int
history_parse(struct history *h, const void *bytes, size_t size, struct history_error *error)
{
	struct reader r = {.bytes = bytes, .size = size};
	uint64_t count = 0;
	uint64_t dropped = 0;
	*error = (struct history_error){.reason = read_header(&r, &count, &dropped)};
	for (uint64_t i = 0; i < count && error->reason == NULL; i++) {
		struct history_op op;
		const uint8_t *key = NULL;
		size_t key_size = 0;
		error->offset = r.offset;
		error->reason = read_record(&r, &op, &key, &key_size);
		int status = error->reason != NULL ? 0 : history_add(h, &op, key, key_size);
		check(status != -EINVAL);
		if (status != 0)
			return status;
	}
	if (error->reason == NULL && r.offset != size) {
		error->offset = r.offset;
		error->reason = "bytes follow the last record";
	}
	if (error->reason != NULL)
		return -EINVAL;
	h->dropped = h->dropped > UINT64_MAX - dropped ? UINT64_MAX : h->dropped + dropped;
	return 0;
}

int
history_load(struct history *h, const char *path, struct history_error *error)
{
	*error = (struct history_error){0};
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		return -errno;
	struct stat status;
	int result = fstat(file, &status) != 0 ? -errno : 0;
	if (result == 0 && !S_ISREG(status.st_mode)) {
		error->reason = "not a regular file";
		result = -EINVAL;
	}
	size_t size = result == 0 ? (size_t)status.st_size : 0;
	uint8_t *bytes = result == 0 ? malloc(size + 1) : NULL;
	if (result == 0 && bytes == NULL)
		result = -ENOMEM;
	size_t done = 0;
	while (result == 0 && done < size) {
		ssize_t got = read(file, bytes + done, size - done);
		if (got == 0)
			size = done;
		else if (got > 0)
			done += (size_t)got;
		else if (errno != EINTR)
			result = -errno;
	}
	if (result == 0)
		result = history_parse(h, bytes, size, error);
	free(bytes);
	close(file);
	return result;
}

/* ---- Printing ----------------------------------------------------------- */

void
history_value_print(FILE *out, struct history_value value)
{
	if (value.size == UINT64_MAX)
		fprintf(out, "nothing");
	else
		fprintf(out, "%016" PRIx64 "/%" PRIu64, value.hash, value.size);
}

void
history_key_print(FILE *out, const struct history *h, uint32_t key)
{
	const uint8_t *bytes = history_key_bytes(h, key);
	fputc('"', out);
	for (uint32_t i = 0; i < h->keys[key].size; i++) {
		bool plain =
		    bytes[i] >= ' ' && bytes[i] < 127 && bytes[i] != '"' && bytes[i] != '\\';
		fprintf(out, plain ? "%c" : "\\x%02x", bytes[i]);
	}
	fputc('"', out);
}

void
history_op_print(FILE *out, const struct history *h, uint32_t op_index)
{
	check(op_index < h->ops_count);
	const struct history_op *op = &h->ops[op_index];
	fprintf(out, "[%" PRIu64 " .. ", op->invoke_ns);
	if (op->response_ns == HISTORY_PENDING)
		fprintf(out, "no answer] ns");
	else
		fprintf(out, "%" PRIu64 "] ns", op->response_ns);
	fprintf(out, " client %" PRIu32 " request %" PRIu64, op->client, op->request);
	if (op->seq != 0)
		fprintf(out, " seq %" PRIu64, op->seq);
	fprintf(out, ": %s ", history_kind_name((enum history_kind)op->kind));
	history_key_print(out, h, op->key);
	if (op->kind == HISTORY_CAS) {
		fprintf(out, " from ");
		history_value_print(out, op->seen);
		fprintf(out, " to ");
	}
	if (op->kind == HISTORY_PUT || op->kind == HISTORY_APPEND)
		fputc(' ', out);
	if (op->kind == HISTORY_PUT || op->kind == HISTORY_APPEND || op->kind == HISTORY_CAS)
		history_value_print(out, op->written);
	if (op->kind == HISTORY_SCAN)
		fprintf(out, " limit %" PRIu32, op->limit);
	fprintf(out, " -> %s", history_status_name((enum history_status)op->status));
	if (op->status == HISTORY_OK && (op->kind == HISTORY_GET || op->kind == HISTORY_SCAN)) {
		fputc(' ', out);
		history_value_print(out, op->seen);
	}
	fputc('\n', out);
}

/* ---- Helpers ------------------------------------------------------------ */

/* x modulo 2^61 - 1: the high part counts once more, as 2^61 = 1 here. */
static uint64_t
field_reduced(wide x)
{
	x = (x & PRIME) + (x >> 61);
	uint64_t low = (uint64_t)(x & PRIME) + (uint64_t)(x >> 61);
	return low >= PRIME ? low - PRIME : low;
}

static uint64_t
field_product(uint64_t a, uint64_t b)
{
	return field_reduced((wide)a * b);
}

/* BASE to the power of `exponent`. */
static uint64_t
field_power(uint64_t exponent)
{
	uint64_t result = base_powers[exponent % 8];
	uint64_t square = base_powers[8];
	for (exponent /= 8; exponent > 0; exponent /= 2) {
		if (exponent % 2 != 0)
			result = field_product(result, square);
		square = field_product(square, square);
	}
	return result;
}

static int
grow(void **items, size_t *capacity, size_t item_size)
{
	check(item_size > 0);
	size_t capacity_new = *capacity == 0 ? 64 : *capacity * 2;
	check(capacity_new <= SIZE_MAX / item_size);
	void *grown = realloc(*items, capacity_new * item_size);
	if (grown == NULL)
		return -ENOMEM;
	*items = grown;
	*capacity = capacity_new;
	return 0;
}

/* Doubles the table of keys, or makes the first one. */
static int
slots_grown(struct history *h)
{
	size_t count = h->slots_count == 0 ? 64 : h->slots_count * 2;
	uint32_t *slots = calloc(count, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	for (size_t key = 0; key < h->keys_count; key++) {
		size_t slot = h->keys[key].value.hash & (count - 1);
		while (slots[slot] != 0)
			slot = (slot + 1) & (count - 1);
		slots[slot] = (uint32_t)key + 1;
	}
	free(h->slots);
	h->slots = slots;
	h->slots_count = count;
	return 0;
}

/* Stores a key that the history has not seen yet at `slot`. */
static int
key_added(struct history *h, const void *bytes, struct history_value value, size_t slot)
{
	void *items = h->keys;
	int error = 0;
	if (h->keys_count == h->keys_capacity)
		error = grow(&items, &h->keys_capacity, sizeof(*h->keys));
	h->keys = items;
	void *pool = h->key_bytes;
	while (error == 0 && h->key_bytes_capacity - h->key_bytes_size <= value.size)
		error = grow(&pool, &h->key_bytes_capacity, 1);
	h->key_bytes = pool;
	if (error != 0)
		return error;
	if (value.size > 0)
		memcpy(h->key_bytes + h->key_bytes_size, bytes, value.size);
	h->keys[h->keys_count] = (struct history_key){
	    .offset = h->key_bytes_size, .size = (uint32_t)value.size, .value = value};
	h->key_bytes_size += value.size;
	h->slots[slot] = (uint32_t)++h->keys_count;
	return 0;
}

/* Finds the key of these bytes, or adds it. Compares bytes, not hashes. */
static int
key_interned(struct history *h, const void *bytes, size_t size, uint32_t *index_out)
{
	check(size <= HISTORY_KEY_SIZE_MAX);
	if (h->keys_count >= h->slots_count / 2) {
		int error = slots_grown(h);
		if (error != 0)
			return error;
	}
	struct history_value value = history_value_of(bytes, size);
	size_t slot = value.hash & (h->slots_count - 1);
	for (; h->slots[slot] != 0; slot = (slot + 1) & (h->slots_count - 1)) {
		uint32_t key = h->slots[slot] - 1;
		if (h->keys[key].size == size &&
		    (size == 0 || memcmp(history_key_bytes(h, key), bytes, size) == 0)) {
			*index_out = key;
			return 0;
		}
	}
	*index_out = (uint32_t)h->keys_count;
	return key_added(h, bytes, value, slot);
}

static bool
op_has_written(const struct history_op *op)
{
	return op->kind == HISTORY_PUT || op->kind == HISTORY_APPEND || op->kind == HISTORY_CAS;
}

static bool
op_has_seen(const struct history_op *op)
{
	if (op->kind == HISTORY_CAS)
		return true;
	return op->status == HISTORY_OK && (op->kind == HISTORY_GET || op->kind == HISTORY_SCAN);
}

static size_t
record_size(const struct history_op *op, size_t key_size)
{
	size_t size = RECORD_FIXED_SIZE + key_size;
	if (op_has_written(op))
		size += RECORD_VALUE_SIZE;
	if (op_has_seen(op))
		size += RECORD_VALUE_SIZE;
	if (op->kind == HISTORY_SCAN)
		size += sizeof(op->limit);
	check(size <= HISTORY_RECORD_SIZE_MAX);
	return size;
}
