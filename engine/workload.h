/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask, and how they check each answer. One workload for each
 * client node, owned by the lcore that runs the node's slots. Nothing is
 * allocated after workload_open(). Same configuration and same answers give
 * the same operations.
 *
 * For each slot, in turn: workload_load_next() or workload_next() writes an
 * operation, and workload_check() judges its answer. `slot` is always the
 * cluster-wide number: slot_first .. slot_first + slots_count - 1.
 *
 * Workloads:
 *   null    empty operations, empty answers
 *   echo    request_size bytes, from 8 bytes on those of no other operation; the
 *           answer repeats them (up to reply_size, where the application is told)
 *   ycsb-a .. ycsb-f
 *           the core workloads of YCSB (Cooper et al.: Benchmarking Cloud
 *           Serving Systems with YCSB, SoCC 2010), on the kv application:
 *           a 50 % read, 50 % update          zipfian
 *           b 95 % read, 5 % update           zipfian
 *           c 100 % read                      zipfian
 *           d 95 % read, 5 % insert           latest
 *           e 95 % scan of 1..100, 5 % insert zipfian
 *           f 50 % read, 50 % read-modify-write: a get and then a cas that
 *             expects what the get returned, counted as two operations
 *           A record is one value, and updates write it whole.
 *
 * What is checked of YCSB (every answer, nothing sampled):
 * - A value names its key, its writer's slot and that slot's version, and all
 *   other bytes follow from these: corrupt, cut and foreign values are WRONG.
 * - Records that were loaded are never deleted: NOT_FOUND is WRONG.
 * - A slot has one operation outstanding, so a value that it wrote itself must
 *   be the very last that it wrote there; one that it saw overwritten must not
 *   come back; and of another writer's values, it must not see an older one
 *   after a newer one. What a slot remembers is bounded: some may be forgotten,
 *   and then only the other checks apply.
 * - Scans: ascending from the start key, which is there; as many as asked for,
 *   unless the answer was full or the keys ended; no loaded record left out
 *   (up to WORKLOAD_SORTED_MAX records).
 * With single_writer, a slot reads and writes only records of its own (scans
 * see others' too), remembers all of them, and knows each value exactly.
 */
#ifndef OSKR_ENGINE_WORKLOAD_H
#define OSKR_ENGINE_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WORKLOAD_ERROR_SIZE = 160,    /* bytes of the error text, its end included */
	WORKLOAD_VALUE_SIZE_MIN = 16, /* bytes: a value names its key, writer and version */
	WORKLOAD_KEY_SIZE = 20,	      /* bytes of every key: "user" and 16 hex digits */
	/* Bytes of an operation or an answer: 1 MiB of value and what goes with it. */
	WORKLOAD_SIZE_MAX = (1 << 20) + 1024,
	WORKLOAD_SCAN_MAX = 100,       /* records of a scan */
	WORKLOAD_SORTED_MAX = 1 << 24, /* records whose order is kept, for scans: 128 MiB */
};

struct workload_config {
	const char *name;	  /* "null", "echo", "ycsb-a" .. "ycsb-f" */
	const char *distribution; /* "uniform", "zipfian", "latest"; NULL: the workload's own */
	uint64_t seed;
	uint16_t slot_first;
	uint16_t node_index;	/* among the client nodes: 0 .. nodes_count - 1 */
	uint16_t nodes_count;	/* at least 1 */
	uint8_t run;		/* ycsb: larger than any whose values may be in the store */
	bool single_writer;	/* ycsb */
	uint32_t slots_count;	/* at least 1 */
	uint32_t request_size;	/* bytes; echo */
	uint32_t reply_size;	/* bytes; echo: as the application's; 0: as the request */
	uint32_t records_count; /* ycsb: loaded, over all nodes */
	uint32_t value_size;	/* bytes; ycsb: at least WORKLOAD_VALUE_SIZE_MIN */
	/* ycsb-d, -e: records that this node may insert, split evenly over its
	 * slots; inserts beyond are updates. 0: 2^20. */
	uint32_t inserts_max;
};

/* Where to write an operation, and what was written. */
struct workload_op {
	uint8_t *data;
	uint32_t capacity; /* bytes at data: at least workload_op_size_max() */
	uint32_t size;	   /* out: bytes */
	bool read_only;	   /* out: need not be ordered; null and echo are ordered always */
};

enum workload_verdict {
	WORKLOAD_RIGHT,
	WORKLOAD_WRONG,	  /* the answer contradicts what is known */
	WORKLOAD_REFUSED, /* the application had no room, and changed nothing */
};

enum workload_op_kind {
	WORKLOAD_OP_NULL,
	WORKLOAD_OP_ECHO,
	WORKLOAD_OP_GET,
	WORKLOAD_OP_PUT,
	WORKLOAD_OP_DELETE,
	WORKLOAD_OP_CAS,
	WORKLOAD_OP_APPEND,
	WORKLOAD_OP_SCAN,
};

/* An operation in neutral form, to record histories. Unused fields are zero. */
struct workload_record {
	enum workload_op_kind kind;
	uint32_t key_size;	/* bytes */
	uint32_t value_size;	/* bytes; put, append; cas: of the new value */
	uint32_t expected_size; /* bytes; cas */
	uint32_t scan_count;	/* scan: records asked for */
	const uint8_t *key;	/* scan: where it starts */
	const uint8_t *value;
	const uint8_t *expected;
};

/* What every kind of workload starts with; the rest is its own. */
struct workload {
	void (*next)(struct workload *w, uint32_t slot, struct workload_op *op);
	enum workload_verdict (*judge)(
	    struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size);
	bool (*load_next)(struct workload *w, uint32_t slot, struct workload_op *op);
	void (*describe)(struct workload *w, uint32_t slot, struct workload_record *record);
	void (*close)(struct workload *w);
	uint64_t memory_size; /* bytes */
	uint32_t slot_first;
	uint32_t slots_count;
	uint32_t op_size_max;	  /* bytes */
	uint32_t result_size_max; /* bytes */
};

/*
 * Opens a workload; all allocation happens here. Returns NULL and writes one
 * line of at most WORKLOAD_ERROR_SIZE bytes to `error` when the configuration
 * makes no sense or memory is short.
 */
struct workload *workload_open(const struct workload_config *config, char *error);

/* Gives all memory back. NULL is allowed. */
void workload_close(struct workload *w);

/* Bytes that workload_open() took: a term of the memory plan. */
static inline uint64_t
workload_memory_size(const struct workload *w)
{
	return w->memory_size;
}

/* Bytes of the largest operation, and of the largest right answer. */
static inline uint32_t
workload_op_size_max(const struct workload *w)
{
	return w->op_size_max;
}

static inline uint32_t
workload_result_size_max(const struct workload *w)
{
	return w->result_size_max;
}

/*
 * Load phase: writes the insertion of the next record that is this node's to
 * load (index % nodes_count == node_index) and true, or false when all have
 * been handed out. Any slot may load any of them; none is outstanding at
 * `slot`. All answers are to be checked before the first workload_next() at
 * any node. A load that is REFUSED means that the store is too small.
 */
static inline bool
workload_load_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	return w->load_next(w, slot, op);
}

/*
 * Writes the slot's next operation. Without a check before it, the answer to
 * the last one was lost: then nothing is assumed about what that one did.
 */
static inline void
workload_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	w->next(w, slot, op);
}

/*
 * Judges the answer to the slot's outstanding operation, which ends. The bytes
 * may be anything; they are only read.
 */
static inline enum workload_verdict
workload_check(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	return w->judge(w, slot, result, size);
}

/*
 * Describes the slot's last operation, from when it was written until the next
 * one is: before or after the answer was checked. The pointers hold until the
 * next call of any function of this workload. For histories: not a hot path.
 */
static inline void
workload_describe(struct workload *w, uint32_t slot, struct workload_record *record)
{
	w->describe(w, slot, record);
}

/* The names that workload_open() knows, in order, or NULL past their end. */
const char *workload_name_at(uint32_t index);

#endif
