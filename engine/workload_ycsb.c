/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YCSB workloads: which operation on which record comes next, and whether
 * each answer can be true. See workload.h; ycsb_value.h for keys and values,
 * ycsb_memory.h for the rules of reads. One lcore owns each workload.
 *
 * Records have indexes. 0 .. records_count - 1 are loaded, each by the node
 * index % nodes_count. Slot s of node n may insert the records_count + n +
 * nodes_count * (s + slots_count * j), j = 0, 1, ..., so that no two slots ever
 * insert the same. By the same formula without records_count, each loaded record
 * is a certain slot's own: it alone writes it when there is a single writer.
 */
#include "engine/workload_ycsb.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/kv_op.h"
#include "engine/random.h"
#include "engine/ycsb_memory.h"
#include "engine/ycsb_order.h"
#include "engine/ycsb_value.h"
#include "engine/zipf.h"

enum {
	INSERTS_MAX_DEFAULT = 1 << 20,
	/* Entries of the table of what slots remember: 2 MiB, so that it stays in
	 * the second-level cache of common machines. */
	MEMORIES_MAX = 1 << 16,
	MEMORIES_MIN = 1 << 10,
	MEMORIES_PER_SLOT = 64,
	/* A record that is not there yet is drawn again so often. */
	DRAWS_MAX = 64,
	VERSION_RUN_SHIFT = YCSB_VERSION_BITS,
};
static_assert((int)WORKLOAD_KEY_SIZE == (int)YCSB_KEY_SIZE, "one key");
static_assert((int)WORKLOAD_VALUE_SIZE_MIN == (int)YCSB_STAMP_SIZE, "the least value");

/* Percent of operations. What is left of 100 is read-modify-write. */
struct mix {
	const char *name;
	const char *distribution;
	uint8_t read;
	uint8_t update;
	uint8_t insert;
	uint8_t scan;
};

/* The core workloads' property files, workloada .. workloadf. */
static const struct mix mixes[] = {
    {"ycsb-a", "zipfian", 50, 50, 0, 0},
    {"ycsb-b", "zipfian", 95, 5, 0, 0},
    {"ycsb-c", "zipfian", 100, 0, 0, 0},
    {"ycsb-d", "latest", 95, 0, 5, 0},
    {"ycsb-e", "zipfian", 0, 0, 5, 95},
    {"ycsb-f", "zipfian", 50, 0, 0, 0},
};

/* A slot and its last operation. */
struct slot {
	struct random random;
	uint64_t version;	    /* the last one given out */
	struct ycsb_stamp written;  /* put, cas: of the new value; get, scan: the key alone */
	struct ycsb_stamp expected; /* cas: of the expected value */
	uint32_t inserted;	    /* records inserted and acknowledged */
	uint16_t limit;		    /* scan: records asked for */
	uint8_t kind;		    /* enum kv_kind */
	bool outstanding;
	bool inserting;	  /* the put makes a new record */
	bool loading;	  /* the put is the load phase's */
	bool modifying;	  /* the get is the first half of a read-modify-write */
	bool modify_next; /* the second half comes next */
};
static_assert(sizeof(struct slot) <= 64, "one cache line");

struct ycsb {
	struct workload base;
	uint32_t (*choose)(struct ycsb *y, struct slot *s, uint32_t index);
	struct mix mix;
	struct zipf scrambled;
	struct zipf latest; /* over all records that are there */
	uint32_t records_count;
	uint32_t value_size; /* bytes */
	uint32_t node_index;
	uint32_t nodes_count;
	uint32_t node_records;	   /* loaded records that are this node's */
	uint32_t load_cursor;	   /* of those, handed out */
	uint32_t inserts_per_slot; /* the most */
	uint32_t inserted_count;   /* acknowledged, all slots */
	uint32_t space;		   /* records over which popular ones are scattered */
	uint64_t version_base;	   /* the run, above the count of versions */
	bool single_writer;
	uint32_t memories_shift; /* of the hash; unused with a single writer */
	uint64_t memories_count;
	struct ycsb_memory *memories;
	uint32_t *inserted;	 /* records in the order of their acknowledgement */
	struct ycsb_order order; /* of loaded keys; empty unless there are scans */
	struct slot *slots;
	uint8_t *scratch;	   /* one value */
	uint8_t *scratch_expected; /* another */
	uint8_t scratch_key[YCSB_KEY_SIZE];
};

static void ycsb_next(struct workload *w, uint32_t slot, struct workload_op *op);
static bool ycsb_load_next(struct workload *w, uint32_t slot, struct workload_op *op);
static enum workload_verdict ycsb_check(
    struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size);
static void ycsb_describe(struct workload *w, uint32_t slot, struct workload_record *record);
static void ycsb_close(struct workload *w);

/* ---- Records and their owners ------------------------------------------- */

/* The j-th loaded record of the slot with this index in the node. */
static inline uint32_t
own_record(const struct ycsb *y, uint32_t index, uint32_t j)
{
	return y->node_index + y->nodes_count * (index + y->base.slots_count * j);
}

static inline uint32_t
own_records_count(const struct ycsb *y, uint32_t index)
{
	uint32_t rounded_up = y->node_records + y->base.slots_count - 1 - index;
	return rounded_up / y->base.slots_count;
}

/* Whether the record is one of this node's; if so, its place among them: the
 * loaded ones come first. */
static inline bool
node_place(const struct ycsb *y, uint32_t key, uint32_t *place)
{
	bool loaded = key < y->records_count;
	uint32_t index = loaded ? key : key - y->records_count;
	if (index % y->nodes_count != y->node_index)
		return false;
	*place = index / y->nodes_count + (loaded ? 0 : y->node_records);
	return true;
}

/* The index in the node of the slot that owns the record at this place. */
static inline uint32_t
place_owner(const struct ycsb *y, uint32_t place)
{
	uint32_t index = place < y->node_records ? place : place - y->node_records;
	return index % y->base.slots_count;
}

/*
 * What the slot remembers of the record. A single writer has an entry for each
 * record of its own; else slots share a table, where a new entry displaces
 * whatever stood in its place.
 */
static inline struct ycsb_memory *
memory_of(struct ycsb *y, uint32_t slot, uint32_t key)
{
	uint64_t at;

	if (y->single_writer) {
		uint32_t place = 0;
		bool own = node_place(y, key, &place);
		check(own && place < y->memories_count);
		at = place;
	} else {
		uint64_t name = (uint64_t)slot << 32 | key;
		at = name * 0x9e3779b97f4a7c15ull >> y->memories_shift;
	}
	struct ycsb_memory *m = &y->memories[at];
	if (m->key != key || m->slot != slot)
		*m = (struct ycsb_memory){.key = key, .slot = (uint16_t)slot};
	return m;
}

/* ---- Distributions: the record that an operation goes to ---------------- */

static uint32_t
choose_uniform(struct ycsb *y, struct slot *s, uint32_t index)
{
	(void)index;
	return (uint32_t)random_below(&s->random, y->records_count);
}

/* As YCSB does, records to come have their popularity from the start, and are
 * drawn again as long as they are not there. */
static uint32_t
choose_zipfian(struct ycsb *y, struct slot *s, uint32_t index)
{
	(void)index;
	for (int i = 0; i < DRAWS_MAX; i++) {
		uint64_t item = zipf_next_scrambled(&y->scrambled, &s->random, y->space);
		if (item < y->records_count)
			return (uint32_t)item;
		if (item - y->records_count < y->inserted_count)
			return y->inserted[item - y->records_count];
	}
	return (uint32_t)random_below(&s->random, y->records_count);
}

/* The newest record is the most popular. */
static uint32_t
choose_latest(struct ycsb *y, struct slot *s, uint32_t index)
{
	(void)index;
	uint32_t age = (uint32_t)zipf_next(&y->latest, &s->random);
	if (age < y->inserted_count)
		return y->inserted[y->inserted_count - 1 - age];
	return y->records_count - 1 - (age - y->inserted_count);
}

/* With a single writer: the same shapes, over the slot's own records. */
static uint32_t
choose_own_uniform(struct ycsb *y, struct slot *s, uint32_t index)
{
	uint64_t count = own_records_count(y, index);
	return own_record(y, index, (uint32_t)random_below(&s->random, count));
}

static uint32_t
choose_own_zipfian(struct ycsb *y, struct slot *s, uint32_t index)
{
	uint64_t count = own_records_count(y, index);
	uint64_t j = zipf_next_scrambled(&y->scrambled, &s->random, count);
	return own_record(y, index, (uint32_t)j);
}

static uint32_t
choose_own_latest(struct ycsb *y, struct slot *s, uint32_t index)
{
	uint32_t count = own_records_count(y, index);
	uint64_t age = zipf_next(&y->latest, &s->random) % ((uint64_t)count + s->inserted);
	if (age < s->inserted) {
		uint32_t j = s->inserted - 1 - (uint32_t)age;
		return y->records_count + own_record(y, index, j);
	}
	return own_record(y, index, count - 1 - (uint32_t)(age - s->inserted));
}

/* ---- Operations --------------------------------------------------------- */

/* Writes the slot's operation, which its fields describe, into op. */
static void
encode(struct ycsb *y, struct slot *s, struct workload_op *op)
{
	struct kv_op kv = {
	    .kind = (enum kv_kind)s->kind,
	    .key_size = YCSB_KEY_SIZE,
	    .limit = s->limit,
	    .key = y->scratch_key,
	    .value = y->scratch,
	    .expected = y->scratch_expected,
	};
	ycsb_key_write(y->scratch_key, s->written.key);
	if (s->kind == KV_PUT || s->kind == KV_CAS) {
		kv.value_size = y->value_size;
		ycsb_value_write(y->scratch, y->value_size, &s->written);
	}
	if (s->kind == KV_CAS) {
		kv.expected_size = y->value_size;
		ycsb_value_write(y->scratch_expected, y->value_size, &s->expected);
	}
	op->read_only = s->kind == KV_GET || s->kind == KV_SCAN;
	op->size = kv_op_encode(&kv, op->data, op->capacity);
	check(op->size > 0);
	s->outstanding = true;
}

/* The last operation's answer never came: it may have been executed or not. */
static void
abandon(struct ycsb *y, struct slot *s)
{
	if (s->kind == KV_PUT || s->kind == KV_CAS)
		ycsb_memory_forget(memory_of(y, s->written.writer, s->written.key));
	s->outstanding = false;
}

static struct slot *
slot_begin(struct ycsb *y, uint32_t slot)
{
	uint32_t index = slot - y->base.slot_first;
	check(index < y->base.slots_count);
	struct slot *s = &y->slots[index];
	if (__builtin_expect(s->outstanding, 0))
		abandon(y, s);
	s->inserting = false;
	s->loading = false;
	s->modifying = false;
	s->limit = 0;
	return s;
}

static inline void
set_write(struct slot *s, uint32_t slot, enum kv_kind kind, uint32_t key)
{
	s->kind = (uint8_t)kind;
	s->written = (struct ycsb_stamp){++s->version, key, (uint16_t)slot};
}

static inline void
set_read(struct slot *s, enum kv_kind kind, uint32_t key)
{
	s->kind = (uint8_t)kind;
	s->written = (struct ycsb_stamp){.key = key};
}

/* The slot's next new record; when all are there, an update instead. */
static void
set_insert(struct ycsb *y, struct slot *s, uint32_t slot)
{
	uint32_t index = slot - y->base.slot_first;
	if (s->inserted == y->inserts_per_slot) {
		set_write(s, slot, KV_PUT, y->choose(y, s, index));
		return;
	}
	set_write(s, slot, KV_PUT, y->records_count + own_record(y, index, s->inserted));
	s->inserting = true;
}

static void
ycsb_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	struct ycsb *y = (struct ycsb *)w;
	struct slot *s = slot_begin(y, slot);
	uint32_t index = slot - w->slot_first;

	if (s->modify_next) {
		s->modify_next = false;
		set_write(s, slot, KV_CAS, s->expected.key);
		encode(y, s, op);
		return;
	}
	uint32_t draw = (uint32_t)random_below(&s->random, 100);
	if (draw < y->mix.read) {
		set_read(s, KV_GET, y->choose(y, s, index));
	} else if ((draw -= y->mix.read) < y->mix.update) {
		set_write(s, slot, KV_PUT, y->choose(y, s, index));
	} else if ((draw -= y->mix.update) < y->mix.insert) {
		set_insert(y, s, slot);
	} else if (draw - y->mix.insert < y->mix.scan) {
		set_read(s, KV_SCAN, y->choose(y, s, index));
		s->limit = (uint16_t)(1 + random_below(&s->random, WORKLOAD_SCAN_MAX));
	} else {
		set_read(s, KV_GET, y->choose(y, s, index));
		s->modifying = true;
	}
	encode(y, s, op);
}

/* Loaded values count as written by the record's own slot, whoever loads them. */
static bool
ycsb_load_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	struct ycsb *y = (struct ycsb *)w;
	op->size = 0;
	if (y->load_cursor == y->node_records)
		return false;
	struct slot *s = slot_begin(y, slot);
	uint32_t place = y->load_cursor++;
	uint32_t owner = w->slot_first + place_owner(y, place);
	s->kind = KV_PUT;
	s->loading = true;
	s->modify_next = false;
	s->written = (struct ycsb_stamp){
	    .version = y->version_base | YCSB_VERSION_LOADED,
	    .key = y->node_index + y->nodes_count * place,
	    .writer = (uint16_t)owner,
	};
	encode(y, s, op);
	return true;
}

/* ---- Answers ------------------------------------------------------------ */

/* A slot sees a record's value: is it one, that record's, and a possible one? */
static bool
value_possible(struct ycsb *y, uint32_t slot, struct ycsb_stamp *stamp)
{
	uint32_t place, owner;
	if (!y->single_writer)
		return ycsb_memory_saw(memory_of(y, slot, stamp->key), stamp);
	if (!node_place(y, stamp->key, &place))
		return true;
	owner = y->base.slot_first + place_owner(y, place);
	if (place >= y->memories_count || stamp->writer != owner)
		return false;
	return owner != slot || ycsb_memory_saw(memory_of(y, slot, stamp->key), stamp);
}

static bool
get_right(struct ycsb *y, struct slot *s, uint32_t slot, const struct kv_reply *reply)
{
	struct ycsb_stamp stamp;
	if (reply->status != KV_OK || reply->count != y->value_size ||
	    reply->data_size != y->value_size)
		return false;
	if (!ycsb_value_read(reply->data, reply->data_size, &stamp))
		return false;
	if (stamp.key != s->written.key || !value_possible(y, slot, &stamp))
		return false;
	s->expected = stamp;
	s->modify_next = s->modifying;
	return true;
}

/* One record of a scan: well-formed, and behind the record before it. */
static bool
scan_record_right(
    struct ycsb *y, uint32_t slot, const struct kv_scan_record *record, struct ycsb_stamp *stamp)
{
	return record->value_size == y->value_size &&
	       ycsb_value_read(record->value, record->value_size, stamp) &&
	       ycsb_key_is(record->key, record->key_size, stamp->key) &&
	       value_possible(y, slot, stamp);
}

static bool
scan_right(struct ycsb *y, struct slot *s, uint32_t slot, const struct kv_reply *reply)
{
	struct kv_reply rest = *reply;
	struct kv_scan_record record;
	struct ycsb_stamp stamp;
	struct ycsb_order_cursor cursor = ycsb_order_find(&y->order, s->written.key);

	if (reply->status != KV_OK && reply->status != KV_PARTIAL)
		return false;
	if (reply->count == 0 || reply->count > s->limit)
		return false;
	if (reply->status == KV_PARTIAL && reply->count == s->limit)
		return false;
	for (uint32_t i = 0; i < reply->count; i++) {
		if (!kv_scan_next(&rest, &record) || !scan_record_right(y, slot, &record, &stamp))
			return false;
		if (i == 0 && stamp.key != s->written.key)
			return false;
		if (!ycsb_order_step(&y->order, &cursor, stamp.key))
			return false;
	}
	if (rest.data_size != 0)
		return false;
	/* Fewer than asked for, although there was room: the keys ended. */
	bool ended = reply->status == KV_OK && reply->count < s->limit;
	return !ended || ycsb_order_ended(&y->order, &cursor);
}

static void
inserted_add(struct ycsb *y, struct slot *s)
{
	s->inserted++;
	y->inserted[y->inserted_count++] = s->written.key;
	zipf_grow(&y->latest, (uint64_t)y->records_count + y->inserted_count);
}

static enum workload_verdict
write_verdict(struct ycsb *y, struct slot *s, const struct kv_reply *reply)
{
	struct ycsb_memory *m = memory_of(y, s->written.writer, s->written.key);
	bool bare = reply->count == 0 && reply->data_size == 0;

	if (bare && reply->status == KV_OK) {
		ycsb_memory_wrote(m, s->written.version);
		if (s->inserting)
			inserted_add(y, s);
		return WORKLOAD_RIGHT;
	}
	if (bare && reply->status == KV_NO_SPACE)
		return WORKLOAD_REFUSED;
	/* Somebody else may have written since the get, unless nobody else may. */
	if (bare && reply->status == KV_MISMATCH && s->kind == KV_CAS && !y->single_writer)
		return WORKLOAD_RIGHT;
	ycsb_memory_forget(m);
	return WORKLOAD_WRONG;
}

static enum workload_verdict
ycsb_check(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct ycsb *y = (struct ycsb *)w;
	uint32_t index = slot - w->slot_first;
	struct kv_reply reply;
	bool right;

	check(index < w->slots_count);
	struct slot *s = &y->slots[index];
	check(s->outstanding);
	s->outstanding = false;
	if (!kv_reply_decode(result, size, &reply)) {
		abandon(y, s);
		return WORKLOAD_WRONG;
	}
	switch (s->kind) {
	case KV_GET:
		right = get_right(y, s, slot, &reply);
		break;
	case KV_SCAN:
		right = scan_right(y, s, slot, &reply);
		break;
	default:
		return write_verdict(y, s, &reply);
	}
	return right ? WORKLOAD_RIGHT : WORKLOAD_WRONG;
}

static enum workload_op_kind
op_kind(uint8_t kind)
{
	switch (kind) {
	case KV_GET:
		return WORKLOAD_OP_GET;
	case KV_CAS:
		return WORKLOAD_OP_CAS;
	case KV_SCAN:
		return WORKLOAD_OP_SCAN;
	default:
		return WORKLOAD_OP_PUT;
	}
}

static void
ycsb_describe(struct workload *w, uint32_t slot, struct workload_record *record)
{
	struct ycsb *y = (struct ycsb *)w;
	uint32_t index = slot - w->slot_first;
	check(index < w->slots_count);
	const struct slot *s = &y->slots[index];

	check(s->kind != 0);
	memset(record, 0, sizeof(*record));
	record->kind = op_kind(s->kind);
	ycsb_key_write(y->scratch_key, s->written.key);
	record->key = y->scratch_key;
	record->key_size = YCSB_KEY_SIZE;
	record->scan_count = s->limit;
	if (s->kind == KV_PUT || s->kind == KV_CAS) {
		ycsb_value_write(y->scratch, y->value_size, &s->written);
		record->value = y->scratch;
		record->value_size = y->value_size;
	}
	if (s->kind == KV_CAS) {
		ycsb_value_write(y->scratch_expected, y->value_size, &s->expected);
		record->expected = y->scratch_expected;
		record->expected_size = y->value_size;
	}
}

/* ---- Opening ------------------------------------------------------------ */

static const struct mix *
mix_find(const char *name)
{
	for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
		if (strcmp(mixes[i].name, name) == 0)
			return &mixes[i];
	}
	return NULL;
}

bool
workload_ycsb_known(const char *name)
{
	return mix_find(name) != NULL;
}

static bool
choose_set(struct ycsb *y, const char *name)
{
	bool own = y->single_writer;
	if (strcmp(name, "uniform") == 0)
		y->choose = own ? choose_own_uniform : choose_uniform;
	else if (strcmp(name, "zipfian") == 0)
		y->choose = own ? choose_own_zipfian : choose_zipfian;
	else if (strcmp(name, "latest") == 0)
		y->choose = own ? choose_own_latest : choose_latest;
	else
		return false;
	return true;
}

static uint32_t
value_size_max(const struct mix *mix)
{
	bool modifies = mix->read + mix->update + mix->insert + mix->scan < 100;
	uint32_t room = WORKLOAD_SIZE_MAX - KV_OP_HEADER_SIZE - YCSB_KEY_SIZE;
	return modifies ? room / 2 : KV_VALUE_SIZE_MAX;
}

/* Fills in what follows from the configuration; false: error says what is wrong. */
static bool
configure(struct ycsb *y, const struct workload_config *c, char *error)
{
	const char *distribution = c->distribution != NULL ? c->distribution : y->mix.distribution;
	uint32_t inserts_max = c->inserts_max > 0 ? c->inserts_max : INSERTS_MAX_DEFAULT;

	y->inserts_per_slot = y->mix.insert > 0 ? inserts_max / c->slots_count : 0;
	y->records_count = c->records_count;
	y->value_size = c->value_size;
	y->node_index = c->node_index;
	y->nodes_count = c->nodes_count;
	y->single_writer = c->single_writer;
	y->version_base = (uint64_t)c->run << VERSION_RUN_SHIFT;
	y->node_records =
	    c->records_count / c->nodes_count + (c->node_index < c->records_count % c->nodes_count);
	uint64_t inserts = (uint64_t)y->inserts_per_slot * c->slots_count;
	uint64_t keys = c->records_count + inserts * c->nodes_count;
	uint64_t space =
	    c->records_count + (inserts < c->records_count ? inserts : c->records_count);

	if (c->records_count == 0 || keys > UINT32_MAX || space > UINT32_MAX)
		snprintf(error, WORKLOAD_ERROR_SIZE,
		    "%s: %u records and %llu insertions; at least 1, together below 2^32", c->name,
		    c->records_count, (unsigned long long)(inserts * c->nodes_count));
	else if (c->value_size < YCSB_STAMP_SIZE || c->value_size > value_size_max(&y->mix))
		snprintf(error, WORKLOAD_ERROR_SIZE, "%s: a record of %u bytes; valid are %d to %u",
		    c->name, c->value_size, YCSB_STAMP_SIZE, value_size_max(&y->mix));
	else if (!choose_set(y, distribution))
		snprintf(error, WORKLOAD_ERROR_SIZE,
		    "%s: unknown distribution \"%.40s\"; valid are uniform, zipfian, latest",
		    c->name, distribution);
	else if (c->single_writer && y->node_records < c->slots_count)
		snprintf(error, WORKLOAD_ERROR_SIZE,
		    "%s: a single writer needs a record of its own: %u records for %u slots of "
		    "each "
		    "of %u nodes are too few",
		    c->name, c->records_count, c->slots_count, c->nodes_count);
	y->space = (uint32_t)space;
	return error[0] == '\0';
}

/* Bytes of the largest operation and answer. */
static void
sizes_set(struct ycsb *y)
{
	bool modifies = value_size_max(&y->mix) < KV_VALUE_SIZE_MAX;
	bool writes = modifies || y->mix.update + y->mix.insert > 0 || y->node_records > 0;
	uint32_t record_size = KV_SCAN_RECORD_HEADER_SIZE + YCSB_KEY_SIZE + y->value_size;
	uint64_t scan_size = y->mix.scan > 0 ? (uint64_t)record_size * WORKLOAD_SCAN_MAX : 0;
	uint64_t data_size = scan_size > y->value_size ? scan_size : y->value_size;

	y->base.op_size_max = KV_OP_HEADER_SIZE + YCSB_KEY_SIZE;
	if (writes)
		y->base.op_size_max += modifies ? 2 * y->value_size : y->value_size;
	if (data_size > WORKLOAD_SIZE_MAX - KV_REPLY_HEADER_SIZE)
		data_size = WORKLOAD_SIZE_MAX - KV_REPLY_HEADER_SIZE;
	y->base.result_size_max = KV_REPLY_HEADER_SIZE + (uint32_t)data_size;
}

static uint64_t
memories_count(const struct ycsb *y)
{
	uint32_t inserts = y->inserts_per_slot * y->base.slots_count;
	uint64_t wanted = (uint64_t)y->base.slots_count * MEMORIES_PER_SLOT;
	uint64_t count = MEMORIES_MIN;

	if (y->single_writer)
		return (uint64_t)y->node_records + inserts;
	while (count < wanted && count < MEMORIES_MAX)
		count *= 2;
	return count;
}

static void *
take(struct ycsb *y, uint64_t count, uint64_t size_each)
{
	y->base.memory_size += count * size_each;
	return calloc(count > 0 ? count : 1, size_each);
}

/* Takes all memory; false when it is short. */
static bool
memory_take(struct ycsb *y)
{
	uint64_t inserts = (uint64_t)y->inserts_per_slot * y->base.slots_count;
	y->memories_count = memories_count(y);
	if (!y->single_writer)
		y->memories_shift = 64 - (uint32_t)__builtin_ctzll(y->memories_count);
	y->memories = take(y, y->memories_count, sizeof(*y->memories));
	y->inserted = take(y, inserts, sizeof(*y->inserted));
	y->slots = take(y, y->base.slots_count, sizeof(*y->slots));
	y->scratch = take(y, 1, y->value_size);
	y->scratch_expected = take(y, 1, y->value_size);
	if (y->mix.scan > 0 && y->records_count <= WORKLOAD_SORTED_MAX) {
		if (!ycsb_order_open(&y->order, y->records_count))
			return false;
		y->base.memory_size += ycsb_order_memory_size(&y->order);
	}
	return y->memories != NULL && y->inserted != NULL && y->slots != NULL &&
	       y->scratch != NULL && y->scratch_expected != NULL;
}

static void
slots_init(struct ycsb *y, uint64_t seed)
{
	for (uint32_t i = 0; i < y->base.slots_count; i++) {
		random_init(&y->slots[i].random, seed, y->base.slot_first + i);
		y->slots[i].version = y->version_base | YCSB_VERSION_LOADED;
	}
}

struct workload *
workload_ycsb_open(const struct workload_config *config, char *error)
{
	struct ycsb *y = calloc(1, sizeof(*y));
	if (y == NULL) {
		snprintf(error, WORKLOAD_ERROR_SIZE, "%s: out of memory", config->name);
		return NULL;
	}
	y->base = (struct workload){
	    .next = ycsb_next,
	    .judge = ycsb_check,
	    .load_next = ycsb_load_next,
	    .describe = ycsb_describe,
	    .close = ycsb_close,
	    .memory_size = sizeof(*y),
	    .slot_first = config->slot_first,
	    .slots_count = config->slots_count,
	};
	y->mix = *mix_find(config->name);
	if (!configure(y, config, error)) {
		ycsb_close(&y->base);
		return NULL;
	}
	if (!memory_take(y)) {
		snprintf(error, WORKLOAD_ERROR_SIZE, "%s: out of memory (%llu bytes)", config->name,
		    (unsigned long long)y->base.memory_size);
		ycsb_close(&y->base);
		return NULL;
	}
	sizes_set(y);
	slots_init(y, config->seed);
	zipf_init(&y->scrambled, ZIPF_SCRAMBLED_ITEMS);
	zipf_init(&y->latest, y->records_count);
	return &y->base;
}

static void
ycsb_close(struct workload *w)
{
	struct ycsb *y = (struct ycsb *)w;
	ycsb_order_close(&y->order);
	free(y->memories);
	free(y->inserted);
	free(y->slots);
	free(y->scratch);
	free(y->scratch_expected);
	free(y);
}
