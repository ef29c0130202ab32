/* SPDX-License-Identifier: Apache-2.0 */
/* See mix.h. One thread. */
#include "mix.h"

#include <stdlib.h>
#include <string.h>

#include "engine/kv_op.h"
#include "engine/random.h"

enum { VALUE_SIZE_MIN = 8, SEEN_SIZE_MAX = 64, SCAN_COUNT_MAX = 5, KEY_SIZE = 4 };

struct mix_slot {
	struct random random;
	uint32_t version;
	uint32_t key;	    /* of the last operation */
	uint8_t kind;	    /* of the last operation */
	uint32_t seen_key;  /* whose value is `seen` */
	uint32_t seen_size; /* 0: none */
	uint8_t seen[SEEN_SIZE_MAX];
};

struct mix {
	struct workload base;
	struct mix_config config;
	uint8_t *value;
	struct mix_slot slots[];
};

static void
key_write(uint32_t key, uint8_t bytes[KEY_SIZE])
{
	bytes[0] = 'k';
	for (uint32_t i = KEY_SIZE - 1; i > 0; i--, key /= 10)
		bytes[i] = (uint8_t)('0' + key % 10);
}

/* A value of its own: slot and version in front. */
static uint32_t
value_write(struct mix *m, struct mix_slot *s, uint32_t slot)
{
	uint32_t room = m->config.value_size_max - VALUE_SIZE_MIN;
	uint32_t size = VALUE_SIZE_MIN;
	uint32_t words[2] = {slot, ++s->version};
	size += (uint32_t)random_below(&s->random, random_below(&s->random, 2) ? 9 : room + 1);
	memcpy(m->value, words, sizeof(words));
	memset(m->value + sizeof(words), (int)(s->version & 0xff), size - sizeof(words));
	return size;
}

static void
mix_next(struct workload *w, uint32_t slot, struct workload_op *out)
{
	static const uint8_t kinds[] = {KV_GET, KV_GET, KV_GET, KV_GET, KV_PUT, KV_PUT, KV_PUT,
	    KV_APPEND, KV_CAS, KV_CAS, KV_DELETE, KV_SCAN};
	struct mix *m = (struct mix *)w;
	struct mix_slot *s = &m->slots[slot - w->slot_first];
	uint8_t key[KEY_SIZE];
	struct kv_op op = {.key = key, .key_size = KEY_SIZE, .value = m->value};
	op.kind = (enum kv_kind)kinds[random_below(&s->random, sizeof(kinds))];
	s->key = (uint32_t)random_below(&s->random, m->config.keys_count);
	if (op.kind == KV_CAS && s->seen_size == 0)
		op.kind = KV_GET;
	if (op.kind == KV_CAS) {
		s->key = s->seen_key;
		op.expected = s->seen;
		op.expected_size = s->seen_size;
	}
	key_write(s->key, key);
	if (kv_kind_has_value((uint8_t)op.kind))
		op.value_size = value_write(m, s, slot);
	if (op.kind == KV_APPEND)
		op.value_size = VALUE_SIZE_MIN;
	op.limit = 1 + (uint32_t)random_below(&s->random, SCAN_COUNT_MAX);
	s->kind = (uint8_t)op.kind;
	out->size = kv_op_encode(&op, out->data, out->capacity);
	out->read_only = op.kind == KV_GET || op.kind == KV_SCAN;
	check(out->size > 0);
}

static enum workload_verdict
mix_judge(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct mix *m = (struct mix *)w;
	struct mix_slot *s = &m->slots[slot - w->slot_first];
	struct kv_reply reply;
	if (!kv_reply_decode(result, size, &reply))
		return WORKLOAD_WRONG;
	if (s->kind != KV_GET || reply.status != KV_OK || reply.data_size > SEEN_SIZE_MAX)
		return WORKLOAD_RIGHT;
	s->seen_key = s->key;
	s->seen_size = reply.data_size;
	memcpy(s->seen, reply.data, reply.data_size);
	return WORKLOAD_RIGHT;
}

static bool
none_load_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	(void)w;
	(void)slot;
	op->size = 0;
	return false;
}

static void
plain_describe(struct workload *w, uint32_t slot, struct workload_record *record)
{
	(void)w;
	(void)slot;
	memset(record, 0, sizeof(*record));
}

static void
mix_close(struct workload *w)
{
	free(((struct mix *)w)->value);
	free(w);
}

struct workload *
mix_open(const struct mix_config *config)
{
	check(config->value_size_max >= SEEN_SIZE_MAX);
	struct mix *m = calloc(1, sizeof(*m) + config->slots_count * sizeof(m->slots[0]));
	check(m != NULL);
	m->value = calloc(1, config->value_size_max);
	check(m->value != NULL);
	m->config = *config;
	m->base = (struct workload){
	    .next = mix_next,
	    .judge = mix_judge,
	    .load_next = none_load_next,
	    .describe = plain_describe,
	    .close = mix_close,
	    .slot_first = config->slot_first,
	    .slots_count = config->slots_count,
	    .op_size_max = KV_OP_HEADER_SIZE + KEY_SIZE + SEEN_SIZE_MAX + config->value_size_max,
	    .result_size_max = config->result_size_max,
	};
	for (uint32_t i = 0; i < config->slots_count; i++)
		random_init(&m->slots[i].random, config->seed, 1000 + config->slot_first + i);
	return &m->base;
}

/* ---- The listener --------------------------------------------------------- */

struct listener {
	struct workload base;
	struct workload *inner;
	struct oracle *oracle;
};

static void
listener_next(struct workload *w, uint32_t slot, struct workload_op *op)
{
	struct listener *r = (struct listener *)w;
	r->inner->next(r->inner, slot, op);
	oracle_asked(r->oracle, slot, op);
}

static enum workload_verdict
listener_judge(struct workload *w, uint32_t slot, const uint8_t *result, uint32_t size)
{
	struct listener *r = (struct listener *)w;
	enum workload_verdict verdict = r->inner->judge(r->inner, slot, result, size);
	if (!oracle_answered(r->oracle, slot, result, size))
		return WORKLOAD_WRONG;
	return verdict;
}

static void
listener_close(struct workload *w)
{
	workload_close(((struct listener *)w)->inner);
	free(w);
}

struct workload *
listener_open(struct oracle *oracle, struct workload *inner)
{
	struct listener *r = calloc(1, sizeof(*r));
	check(r != NULL && inner != NULL);
	r->base = *inner;
	r->base.next = listener_next;
	r->base.judge = listener_judge;
	r->base.load_next = none_load_next;
	r->base.describe = plain_describe;
	r->base.close = listener_close;
	r->inner = inner;
	r->oracle = oracle;
	return &r->base;
}
