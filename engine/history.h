/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history: what the clients of a key-value service asked, when, and what
 * they were told. The input of both checkers (linear.h, witness.h).
 *
 * Three parts:
 * - the model of a key: what each operation does to a value. Values are known
 *   by a hash that can be concatenated and a size, so that an append of 16
 *   bytes to a megabyte costs nothing here and a get is compared in two words;
 * - the in-memory history, owned by one thread, which grows up to a stated
 *   maximum (never on a path of a replica);
 * - the file: a writer that one lcore owns, which appends to a buffer taken at
 *   start and never allocates, and a bounds-checked reader for untrusted bytes.
 *
 * All times are nanoseconds of one clock shared by all clients of a history.
 */
#ifndef OSKR_ENGINE_HISTORY_H
#define OSKR_ENGINE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	HISTORY_VERSION = 1,
	HISTORY_KEY_SIZE_MAX = 255,
	HISTORY_HEADER_SIZE = 40,
	/* Fixed part, the longest key, and a cas's two values. */
	HISTORY_RECORD_SIZE_MAX = 40 + HISTORY_KEY_SIZE_MAX + 2 * 12,
};

/* response_ns of an operation that was never answered. */
#define HISTORY_PENDING UINT64_MAX
/* A bound for histories whose size is not known beforehand. */
#define HISTORY_OPS_MAX (UINT32_MAX / 4)

/* ---- The model of a key ------------------------------------------------- */

/*
 * A value by its hash and size. The hash is a polynomial over the field of
 * 2^61 - 1 (Mersenne prime) in a fixed base: equal bytes have equal hashes, and
 * the hash of a concatenation follows from those of its parts. Two different
 * values of a test agree by chance with probability below size / 2^61. It does
 * not resist a peer that searches for collisions on purpose.
 */
struct history_value {
	uint64_t hash; /* below 2^61 - 1 */
	uint64_t size; /* bytes; UINT64_MAX: the key does not exist */
};

#define HISTORY_ABSENT ((struct history_value){.hash = 0, .size = UINT64_MAX})

enum history_kind {
	HISTORY_GET,
	HISTORY_PUT,
	HISTORY_DELETE,
	HISTORY_CAS,
	HISTORY_APPEND,
	HISTORY_SCAN, /* many keys: only the witness can check it */
	HISTORY_KINDS_COUNT,
};

enum history_status {
	HISTORY_UNKNOWN, /* pending: no answer was seen */
	HISTORY_OK,
	HISTORY_NOT_FOUND,
	HISTORY_MISMATCH, /* cas: the value was another one, or there was none */
	HISTORY_STATUSES_COUNT,
};

/* One operation; 80 bytes. Fields that its kind does not use are zero. */
struct history_op {
	uint64_t invoke_ns;
	uint64_t response_ns; /* at least invoke_ns, or HISTORY_PENDING */
	uint64_t seq;	      /* position in the executed order; 0: not known */
	uint64_t request;     /* the client's own number of it; 0: not known */
	/* put, append: the argument; cas: the new value. */
	struct history_value written;
	/* get: what was returned; cas: what was expected; scan: digest of the
	 * rows, with their count as size. */
	struct history_value seen;
	uint32_t client;
	uint32_t key;	/* index in the history; scan: where it starts */
	uint32_t limit; /* scan: rows asked for */
	uint8_t kind;	/* enum history_kind */
	uint8_t status; /* enum history_status */
	uint8_t zero[2];
};

/* The value of `size` bytes, which are only read. About 1 ns a byte. */
struct history_value history_value_of(const void *bytes, size_t size);

/* The value of a's bytes followed by b's. Neither may be absent. */
struct history_value history_value_joined(struct history_value a, struct history_value b);

/*
 * The digest of a scan's rows, one row added: start from {0, 0}, add rows in
 * the order of their keys. `size` counts the rows.
 */
struct history_value history_scan_added(
    struct history_value rows, struct history_value key, struct history_value value);

bool history_value_equal(struct history_value a, struct history_value b);

/* Executes an operation on one key (no scan): moves the value of the key and
 * returns the status that a correct service answers. */
enum history_status history_execute(const struct history_op *op, struct history_value *value);

/* Whether what the client was told is what a correct service says when the key
 * holds `value`. True for pending operations, which were told nothing. */
bool history_accepts(const struct history_op *op, struct history_value value);

/* Whether the answer proves that the operation left the key as it was. */
bool history_is_read(const struct history_op *op);

/* Whether kind, status, times and values go together. */
bool history_op_valid(const struct history_op *op);

const char *history_kind_name(enum history_kind kind);
const char *history_status_name(enum history_status status);

/* ---- The history in memory ---------------------------------------------- */

struct history_key {
	size_t offset;		    /* of its bytes in key_bytes */
	uint32_t size;		    /* bytes, at most HISTORY_KEY_SIZE_MAX */
	struct history_value value; /* of the key's own bytes, for scans */
};

struct history {
	struct history_op *ops;
	size_t ops_count;
	size_t ops_capacity;
	size_t ops_max;
	struct history_key *keys;
	size_t keys_count;
	size_t keys_capacity;
	uint8_t *key_bytes;
	size_t key_bytes_size;
	size_t key_bytes_capacity;
	uint32_t *slots; /* hash table of key index + 1; power of two many */
	size_t slots_count;
	uint64_t dropped; /* operations that a writer had no room for */
};

/* An empty history for at most ops_max operations (<= HISTORY_OPS_MAX). */
void history_init(struct history *h, size_t ops_max);

/* Gives the memory back; the history may be initialised again. */
void history_free(struct history *h);

/*
 * Adds a copy of a valid operation on the key of these bytes; op->key is set by
 * the history. Returns 0, -ENOMEM, -E2BIG beyond ops_max, or -EINVAL for an
 * operation that history_op_valid() or the key size refuses.
 */
int history_add(
    struct history *h, const struct history_op *op, const void *key_bytes, size_t key_size);

/* The bytes of a key; valid until the next history_add(). */
const uint8_t *history_key_bytes(const struct history *h, uint32_t key);

/* For a human: a value as hash/size, a key as quoted text, one operation of a
 * history as a line. */
void history_value_print(FILE *out, struct history_value value);
void history_key_print(FILE *out, const struct history *h, uint32_t key);
void history_op_print(FILE *out, const struct history *h, uint32_t op_index);

/* What orders `count` items by a number: sorted by `by`, stable. */
struct history_rank {
	uint64_t by;
	uint32_t index;
};

/* Sorts by radix, in linear time. Returns 0 or -ENOMEM. */
int history_sort(struct history_rank *ranks, size_t count);

/* ---- The file ----------------------------------------------------------- */

/*
 * File, little-endian: header {"oskrhist", u32 version, u32 header size, u64
 * records, u64 body size, u64 dropped}, then records of
 * {u8 kind, u8 status, u8 key size, u8 zero, u32 client, u64 request,
 * u64 invoke_ns, u64 response_ns, u64 seq, key bytes}, followed by
 * written {u64 hash, u32 size} for put, append and cas, limit {u32} for scan,
 * seen {u64 hash, u32 size} for cas, and for get and scan that are OK.
 */
struct history_writer {
	uint8_t *bytes;
	size_t capacity;
	size_t size; /* bytes used, header included */
	uint64_t count;
	uint64_t dropped;
};

/* Takes a buffer of at least HISTORY_HEADER_SIZE bytes, which stays the
 * caller's and must outlive the writer. */
void history_writer_init(struct history_writer *w, void *buffer, size_t capacity);

/*
 * Appends one valid operation, when its answer comes or, still pending, at the
 * end of the run. Copies; no allocation, no system call; about 15 ns and 70
 * bytes an operation. op->key is not used.
 * Counts `dropped` when there is no room: such a file cannot be judged.
 */
void history_write(
    struct history_writer *w, const struct history_op *op, const void *key_bytes, size_t key_size);

/* Writes the header; returns the size of the finished file. May be called
 * again after more operations. */
size_t history_writer_finish(struct history_writer *w);

/* Finishes and stores the file at `path`. Returns 0 or a negative errno. */
int history_writer_save(struct history_writer *w, const char *path);

/* Where and why a file was refused. */
struct history_error {
	const char *reason; /* static text */
	size_t offset;	    /* bytes from the file's start */
};

/*
 * Adds the operations of a file to a history (so that one file an lcore makes
 * one history). The bytes may be anything. Returns 0; -EINVAL and fills `error`
 * when they are not a history; -ENOMEM; -E2BIG. What came before the fault has
 * been added then.
 */
int history_parse(struct history *h, const void *bytes, size_t size, struct history_error *error);

/* Reads and parses a regular file. As history_parse(), or another negative
 * errno if it cannot be read. */
int history_load(struct history *h, const char *path, struct history_error *error);

/* Stores a whole history as a file. Returns 0 or a negative errno. */
int history_save(const struct history *h, const char *path);

#endif
