/* SPDX-License-Identifier: Apache-2.0 */
/* Messages put together from segments. See assembler.h. One core. */
#include "engine/assembler.h"

enum {
	ALIGNMENT = 64,
	TRIES_DEFAULT = 16,
	TRIES_SHIFT_MAX = 4, /* back-off doubles no further: 16 times nack_ns */
	ROUND_NACKS_MAX = 4, /* one NACK names few of the gaps of a large message */
	ENDED_REPLICA_IDS = 64,
	ENDED_CLIENT_BUCKETS = 1024,
	ENDED_CLIENT_IDS = 8,
};

#define NACK_NS_DEFAULT	  1000000ull
#define STALE_NS_DEFAULT  4000000ull
#define EXPIRY_NS_DEFAULT 1000000000ull
#define TIME_MAX_NS	  UINT64_MAX

static_assert(SEGMENT_RANGES_MAX * sizeof(struct segment_range) <= SEGMENT_SLICE_MIN,
    "a NACK fits the smallest envelope");

enum assembly_state { ASSEMBLY_FREE, ASSEMBLY_OPEN, ASSEMBLY_DONE };

/* A message that is coming in. */
struct assembly {
	enum assembly_state state;
	bool from_client;
	uint16_t sender;
	uint16_t instance; /* as its segments have it */
	uint64_t id;
	uint64_t opened_ns;
	uint64_t progress_ns; /* when the last new slice came */
	uint64_t nack_at_ns;
	uint64_t in_size;   /* bytes of its segments that were kept */
	uint64_t nack_size; /* bytes of NACKs sent */
	uint32_t total;	    /* bytes */
	uint32_t slice;	    /* bytes */
	uint32_t segments;
	uint32_t missing; /* segments */
	uint32_t tries;	  /* NACK rounds since the last new slice */
};

/* The last messages of a peer that have ended one way or the other: ids, 0 for none. */
struct ended {
	uint64_t *ids;
	uint32_t *next;
	uint32_t count;
};

struct assembler {
	struct assembler_config config;
	struct assembler_counters counters;
	uint64_t deadline_ns; /* nothing is due earlier */
	size_t stride;	      /* bytes from one buffer to the next */
	uint32_t words;	      /* 64-bit words of a bitmap of segments */
	uint32_t done_count;
	uint32_t newest; /* the assembly of the last segment */
	uint32_t ended_replica_next[SEGMENT_REPLICAS_MAX];
	uint32_t ended_client_next[ENDED_CLIENT_BUCKETS];
	uint64_t ended_replica[SEGMENT_REPLICAS_MAX][ENDED_REPLICA_IDS];
	uint64_t ended_client[ENDED_CLIENT_BUCKETS][ENDED_CLIENT_IDS];
	struct assembly *assemblies;
	uint64_t *bits;	 /* by assembly, word: slices that are here */
	uint8_t *memory; /* the buffers */
};

/* Where the parts of the caller's block begin, in bytes. */
struct layout {
	size_t assemblies;
	size_t bits;
	size_t memory;
	size_t stride;
	size_t size;
	uint32_t words;
};

/* The buffers that replicas, or clients, may use. */
struct part {
	uint32_t first;
	uint32_t end;
	uint32_t share; /* of one peer */
};

/* A list of missing segments under way. */
struct gaps {
	uint32_t at; /* nothing below it is still to be listed */
	uint32_t count;
	struct segment_range ranges[SEGMENT_RANGES_MAX];
};

static struct layout lay_out(const struct assembler_config *config);
static void config_default(struct assembler_config *config);
static enum assembler_verdict segment_judge(
    const struct assembler *a, const struct message *m, const struct segment_fields *fields);
static bool assembly_find(
    struct assembler *a, const struct message *m, const struct segment_fields *fields);
static enum assembler_verdict assembly_open(struct assembler *a, uint64_t now_ns,
    const struct message *m, const struct segment_fields *fields);
static enum assembler_verdict assembly_choose(struct assembler *a, uint64_t now_ns,
    const struct assembly *newcomer, struct assembly **chosen);
static enum assembler_verdict slice_keep(struct assembler *a, struct assembly *one,
    const struct message *m, const struct segment_fields *fields);
static bool assembly_expired(const struct assembler *a, const struct assembly *one, uint64_t now_ns,
    const struct stamp *stamp);
static uint64_t back_off_ns(const struct assembler *a, uint32_t tries);
static void assembly_give_up(struct assembler *a, struct assembly *one);
static struct ended ended_of(struct assembler *a, bool from_client, uint16_t sender);
static bool ended_has(const struct ended *ended, uint64_t id);
static void ended_add(const struct ended *ended, uint64_t id);
static bool out_has_room(const struct outbox *out);
static uint32_t nack_round(
    struct assembler *a, struct assembly *one, struct outbox *out, const struct stamp *stamp);

static inline uint32_t
index_of(const struct assembler *a, const struct assembly *one)
{
	return (uint32_t)(one - a->assemblies);
}

static inline uint64_t *
assembly_bits(const struct assembler *a, const struct assembly *one)
{
	return a->bits + (size_t)index_of(a, one) * a->words;
}

static inline uint8_t *
assembly_bytes(const struct assembler *a, const struct assembly *one)
{
	return a->memory + index_of(a, one) * a->stride;
}

size_t
assembler_size(const struct assembler_config *config)
{
	return lay_out(config).size;
}

struct assembler *
assembler_init(void *memory, const struct assembler_config *config)
{
	struct layout l = lay_out(config);
	struct assembler *a = memory;
	check((uintptr_t)memory % ALIGNMENT == 0);
	memset(a, 0, sizeof(*a));
	a->config = *config;
	config_default(&a->config);
	a->deadline_ns = TIME_MAX_NS;
	a->words = l.words;
	a->stride = l.stride;
	a->assemblies = (struct assembly *)(void *)((uint8_t *)memory + l.assemblies);
	a->bits = (uint64_t *)(void *)((uint8_t *)memory + l.bits);
	a->memory = (uint8_t *)memory + l.memory;
	memset(a->assemblies, 0, config->buffers_count * sizeof(struct assembly));
	return a;
}

enum assembler_verdict
assembler_add(struct assembler *a, uint64_t now_ns, const struct message *segment,
    const uint8_t **whole, uint32_t *whole_size)
{
	struct segment_fields fields;
	segment_fields_read(segment->header, &fields);
	enum assembler_verdict verdict = segment_judge(a, segment, &fields);
	if (verdict == ASSEMBLER_INCOMPLETE && !assembly_find(a, segment, &fields))
		verdict = assembly_open(a, now_ns, segment, &fields);
	struct assembly *one = &a->assemblies[a->newest];
	if (verdict == ASSEMBLER_INCOMPLETE)
		verdict = slice_keep(a, one, segment, &fields);
	a->counters.verdicts[verdict]++;
	if (verdict >= ASSEMBLER_DROPS)
		return verdict;
	one->progress_ns = now_ns;
	one->nack_at_ns = now_ns + a->config.nack_ns;
	one->tries = 0;
	/* After a long back-off this is earlier than what was due. */
	if (one->nack_at_ns < a->deadline_ns && verdict == ASSEMBLER_INCOMPLETE)
		a->deadline_ns = one->nack_at_ns;
	if (verdict == ASSEMBLER_COMPLETE) {
		struct ended ended = ended_of(a, one->from_client, one->sender);
		ended_add(&ended, one->id);
		one->state = ASSEMBLY_DONE;
		a->done_count++;
		*whole = assembly_bytes(a, one);
		*whole_size = one->total;
	}
	return verdict;
}

void
assembler_release(struct assembler *a)
{
	for (uint32_t i = 0; i < a->config.buffers_count && a->done_count > 0; i++) {
		if (a->assemblies[i].state != ASSEMBLY_DONE)
			continue;
		a->assemblies[i].state = ASSEMBLY_FREE;
		a->done_count--;
	}
	check(a->done_count == 0);
}

uint64_t
assembler_deadline(const struct assembler *a)
{
	return a->deadline_ns;
}

uint32_t
assembler_timeout(
    struct assembler *a, uint64_t now_ns, struct outbox *out, const struct stamp *stamp)
{
	uint32_t nacks = 0;
	if (now_ns < a->deadline_ns)
		return 0;
	a->deadline_ns = TIME_MAX_NS;
	for (uint32_t i = 0; i < a->config.buffers_count; i++) {
		struct assembly *one = &a->assemblies[i];
		if (one->state != ASSEMBLY_OPEN)
			continue;
		if (assembly_expired(a, one, now_ns, stamp)) {
			a->counters.expired++;
			assembly_give_up(a, one);
			continue;
		}
		if (now_ns >= one->nack_at_ns && out_has_room(out)) {
			nacks += nack_round(a, one, out, stamp);
			one->tries++;
			one->nack_at_ns = now_ns + back_off_ns(a, one->tries);
		}
		uint64_t next_ns = one->opened_ns + a->config.expiry_ns;
		if (one->nack_at_ns < next_ns)
			next_ns = one->nack_at_ns;
		if (next_ns < a->deadline_ns)
			a->deadline_ns = next_ns;
	}
	a->counters.nacks += nacks;
	return nacks;
}

const struct assembler_counters *
assembler_counters(const struct assembler *a)
{
	return &a->counters;
}

const char *
assembler_verdict_name(uint32_t verdict)
{
	static const char *const names[ASSEMBLER_VERDICTS_COUNT] = {
	    [ASSEMBLER_INCOMPLETE] = "segment_kept",
	    [ASSEMBLER_COMPLETE] = "segment_completing",
	    [ASSEMBLER_MALFORMED] = "segment_malformed",
	    [ASSEMBLER_TOO_LARGE] = "segment_too_large",
	    [ASSEMBLER_SENDER] = "segment_sender",
	    [ASSEMBLER_INCONSISTENT] = "segment_inconsistent",
	    [ASSEMBLER_DUPLICATE] = "segment_duplicate",
	    [ASSEMBLER_LATE] = "segment_late",
	    [ASSEMBLER_SHARE_FULL] = "segment_share_full",
	    [ASSEMBLER_FULL] = "segment_full",
	};
	check(verdict < ASSEMBLER_VERDICTS_COUNT);
	return names[verdict];
}

static bool
assembly_expired(const struct assembler *a, const struct assembly *one, uint64_t now_ns,
    const struct stamp *stamp)
{
	if (now_ns - one->opened_ns >= a->config.expiry_ns)
		return true;
	if (now_ns < one->nack_at_ns)
		return false;
	/* A forged sender can be ourselves: who would answer? */
	if (!a->config.from_client && !one->from_client && one->sender == stamp->sender)
		return true;
	return one->tries >= a->config.tries_max;
}

/*
 * From one round of NACKs to the next: it doubles each second round, up to a
 * limit. One lost NACK is likelier than a peer that is gone.
 */
static uint64_t
back_off_ns(const struct assembler *a, uint32_t tries)
{
	uint32_t shift = tries / 2;
	return a->config.nack_ns << (shift < TRIES_SHIFT_MAX ? shift : TRIES_SHIFT_MAX);
}

static size_t
rounded(size_t size)
{
	return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct layout
lay_out(const struct assembler_config *config)
{
	check(config->buffers_count >= 1);
	check(config->buffers_count <= ASSEMBLER_BUFFERS_MAX);
	check(config->replicas_count >= 1);
	check(config->replicas_count <= SEGMENT_REPLICAS_MAX);
	check(config->replica_buffers <= config->buffers_count);
	check(config->message_size_max >= sizeof(struct message_header));
	check(config->message_size_max <= INT32_MAX);
	struct layout l;
	size_t count = config->buffers_count;
	l.words = (segment_count(config->message_size_max, SEGMENT_SLICE_MIN) + 63) / 64;
	l.stride = rounded(config->message_size_max);
	l.assemblies = rounded(sizeof(struct assembler));
	l.bits = l.assemblies + rounded(count * sizeof(struct assembly));
	l.memory = l.bits + rounded(count * l.words * sizeof(uint64_t));
	l.size = l.memory + count * l.stride;
	return l;
}

static void
config_default(struct assembler_config *config)
{
	uint32_t peers = config->replicas_count;
	if (!config->from_client)
		peers--;
	if (config->from_client)
		config->replica_buffers = config->buffers_count;
	else if (peers == 0)
		config->replica_buffers = 0;
	else if (config->replica_buffers == 0)
		config->replica_buffers = config->buffers_count - config->buffers_count / 2;
	if (config->per_replica_max == 0 && peers > 0)
		config->per_replica_max = config->replica_buffers / peers;
	if (config->per_replica_max == 0)
		config->per_replica_max = 1;
	if (config->instances_count == 0)
		config->instances_count = 1;
	if (config->tries_max == 0)
		config->tries_max = TRIES_DEFAULT;
	if (config->nack_ns == 0)
		config->nack_ns = NACK_NS_DEFAULT;
	if (config->stale_ns == 0)
		config->stale_ns = STALE_NS_DEFAULT;
	if (config->expiry_ns == 0)
		config->expiry_ns = EXPIRY_NS_DEFAULT;
	check(config->nack_ns <= TIME_MAX_NS >> (TRIES_SHIFT_MAX + 1));
}

static bool
slot_valid(const struct assembler *a, uint16_t slot)
{
	if (a->config.slots_count == 0)
		return true;
	return slot >= a->config.slot_first &&
	       (uint32_t)(slot - a->config.slot_first) < a->config.slots_count;
}

/* Whether a segment makes sense in itself: ASSEMBLER_INCOMPLETE, or why not. */
static enum assembler_verdict
segment_judge(
    const struct assembler *a, const struct message *m, const struct segment_fields *fields)
{
	const struct message_header *header = m->header;
	if (header->type != MESSAGE_SEGMENT || header->seq == 0)
		return ASSEMBLER_MALFORMED;
	if (!segment_fields_valid(header, fields))
		return ASSEMBLER_MALFORMED;
	if (fields->total > a->config.message_size_max)
		return ASSEMBLER_TOO_LARGE;
	if (fields->offset >= fields->total || fields->offset % fields->slice != 0)
		return ASSEMBLER_MALFORMED;
	uint32_t left = fields->total - fields->offset;
	if (m->body_size != (left < fields->slice ? left : fields->slice))
		return ASSEMBLER_MALFORMED;
	if (fields->from_client == 0) {
		if (header->sender >= a->config.replicas_count)
			return ASSEMBLER_SENDER;
		if (a->config.from_client && !slot_valid(a, header->instance))
			return ASSEMBLER_SENDER;
		return ASSEMBLER_INCOMPLETE;
	}
	if (a->config.from_client || !slot_valid(a, header->sender))
		return ASSEMBLER_SENDER;
	return ASSEMBLER_INCOMPLETE;
}

static inline bool
assembly_is(const struct assembly *one, const struct message_header *header, bool from_client)
{
	return one->id == header->seq && one->state == ASSEMBLY_OPEN &&
	       one->sender == header->sender && one->from_client == from_client;
}

/* Whether the message has begun; it is a->newest then. */
static bool
assembly_find(struct assembler *a, const struct message *m, const struct segment_fields *fields)
{
	bool from_client = fields->from_client == 1;
	if (assembly_is(&a->assemblies[a->newest], m->header, from_client))
		return true;
	for (uint32_t i = 0; i < a->config.buffers_count; i++) {
		if (!assembly_is(&a->assemblies[i], m->header, from_client))
			continue;
		a->newest = i;
		return true;
	}
	return false;
}

/* Begins a message, which is a->newest then. */
static enum assembler_verdict
assembly_open(struct assembler *a, uint64_t now_ns, const struct message *m,
    const struct segment_fields *fields)
{
	struct assembly *one;
	struct assembly newcomer = {
	    .state = ASSEMBLY_OPEN,
	    .from_client = fields->from_client == 1,
	    .sender = m->header->sender,
	    .instance = m->header->instance,
	    .id = m->header->seq,
	    .opened_ns = now_ns,
	    .total = fields->total,
	    .slice = fields->slice,
	    .segments = segment_count(fields->total, fields->slice),
	};
	newcomer.missing = newcomer.segments;
	struct ended ended = ended_of(a, newcomer.from_client, newcomer.sender);
	if (ended_has(&ended, newcomer.id))
		return ASSEMBLER_LATE;
	enum assembler_verdict verdict = assembly_choose(a, now_ns, &newcomer, &one);
	if (verdict >= ASSEMBLER_DROPS)
		return verdict;
	*one = newcomer;
	check(newcomer.segments <= a->words * 64);
	memset(assembly_bits(a, one), 0, (newcomer.segments + 63) / 64 * sizeof(uint64_t));
	a->newest = index_of(a, one);
	a->counters.opened++;
	if (now_ns + a->config.expiry_ns < a->deadline_ns)
		a->deadline_ns = now_ns + a->config.expiry_ns;
	return ASSEMBLER_INCOMPLETE;
}

static struct part
part_of(const struct assembler *a, bool from_client)
{
	if (from_client)
		return (struct part){a->config.replica_buffers, a->config.buffers_count, 1};
	return (struct part){0, a->config.replica_buffers, a->config.per_replica_max};
}

/* A buffer for a newcomer: a free one, or the stalest where its peer or its kind has enough. */
static enum assembler_verdict
assembly_choose(
    struct assembler *a, uint64_t now_ns, const struct assembly *newcomer, struct assembly **chosen)
{
	struct part part = part_of(a, newcomer->from_client);
	struct assembly *free_one = NULL;
	struct assembly *stalest = NULL;     /* of all peers of its kind */
	struct assembly *stalest_own = NULL; /* of its own peer */
	uint32_t own_count = 0;
	for (uint32_t i = part.first; i < part.end; i++) {
		struct assembly *one = &a->assemblies[i];
		if (one->state == ASSEMBLY_FREE) {
			if (free_one == NULL)
				free_one = one;
			continue;
		}
		bool own = one->sender == newcomer->sender;
		own_count += own;
		if (one->state == ASSEMBLY_DONE || now_ns - one->progress_ns < a->config.stale_ns)
			continue;
		if (stalest == NULL || one->progress_ns < stalest->progress_ns)
			stalest = one;
		if (own && (stalest_own == NULL || one->progress_ns < stalest_own->progress_ns))
			stalest_own = one;
	}
	bool share_full = own_count >= part.share;
	if (!share_full && free_one != NULL) {
		*chosen = free_one;
		return ASSEMBLER_INCOMPLETE;
	}
	struct assembly *victim = share_full ? stalest_own : stalest;
	if (victim == NULL)
		return share_full ? ASSEMBLER_SHARE_FULL : ASSEMBLER_FULL;
	a->counters.evicted++;
	assembly_give_up(a, victim);
	*chosen = victim;
	return ASSEMBLER_INCOMPLETE;
}

static enum assembler_verdict
slice_keep(struct assembler *a, struct assembly *one, const struct message *m,
    const struct segment_fields *fields)
{
	if (fields->total != one->total || fields->slice != one->slice ||
	    m->header->instance != one->instance)
		return ASSEMBLER_INCONSISTENT;
	uint32_t segment = fields->offset / one->slice;
	check(segment < one->segments);
	uint64_t *word = &assembly_bits(a, one)[segment / 64];
	uint64_t bit = 1ull << (segment % 64);
	if (*word & bit)
		return ASSEMBLER_DUPLICATE;
	*word |= bit;
	check(fields->offset + m->body_size <= one->total);
	memcpy(assembly_bytes(a, one) + fields->offset, m->body, m->body_size);
	one->in_size += m->header->size;
	check(one->missing > 0);
	one->missing--;
	return one->missing == 0 ? ASSEMBLER_COMPLETE : ASSEMBLER_INCOMPLETE;
}

/* Late segments of it are not to begin it anew. */
static void
assembly_give_up(struct assembler *a, struct assembly *one)
{
	struct ended ended = ended_of(a, one->from_client, one->sender);
	check(one->state == ASSEMBLY_OPEN);
	ended_add(&ended, one->id);
	one->state = ASSEMBLY_FREE;
}

static struct ended
ended_of(struct assembler *a, bool from_client, uint16_t sender)
{
	if (!from_client) {
		check(sender < SEGMENT_REPLICAS_MAX);
		return (struct ended){
		    a->ended_replica[sender], &a->ended_replica_next[sender], ENDED_REPLICA_IDS};
	}
	uint32_t bucket = sender % ENDED_CLIENT_BUCKETS;
	return (struct ended){
	    a->ended_client[bucket], &a->ended_client_next[bucket], ENDED_CLIENT_IDS};
}

static bool
ended_has(const struct ended *ended, uint64_t id)
{
	for (uint32_t i = 0; i < ended->count; i++) {
		if (ended->ids[i] == id)
			return true;
	}
	return false;
}

static void
ended_add(const struct ended *ended, uint64_t id)
{
	ended->ids[*ended->next] = id;
	*ended->next = (*ended->next + 1) % ended->count;
}

static bool
out_has_room(const struct outbox *out)
{
	return out->sends_count < out->sends_ready;
}

/* The first segment from `from` on that is here (or not); `segments` when there is none. */
static uint32_t
segment_next(const uint64_t *bits, uint32_t from, uint32_t segments, bool here)
{
	while (from < segments) {
		uint64_t word = here ? bits[from / 64] : ~bits[from / 64];
		word &= ~0ull << (from % 64);
		if (word != 0) {
			from = from / 64 * 64 + (uint32_t)__builtin_ctzll(word);
			return from < segments ? from : segments;
		}
		from = from / 64 * 64 + 64;
	}
	return segments;
}

/* Lists up to `max` gaps from gaps->at on, and moves that behind them. */
static void
gaps_list(const struct assembler *a, const struct assembly *one, struct gaps *gaps, uint32_t max)
{
	const uint64_t *bits = assembly_bits(a, one);
	gaps->count = 0;
	while (gaps->count < max) {
		uint32_t first = segment_next(bits, gaps->at, one->segments, false);
		if (first >= one->segments) {
			gaps->at = one->segments;
			return;
		}
		gaps->at = segment_next(bits, first, one->segments, true);
		gaps->ranges[gaps->count++] = (struct segment_range){first, gaps->at - first};
	}
}

/* Ranges that the next NACK may hold: to a client no more bytes than came from it. */
static uint32_t
ranges_allowed(const struct assembly *one)
{
	uint64_t used = one->nack_size + sizeof(struct message_header);
	if (!one->from_client)
		return SEGMENT_RANGES_MAX;
	if (one->in_size <= used)
		return 0;
	uint64_t count = (one->in_size - used) / sizeof(struct segment_range);
	return count < SEGMENT_RANGES_MAX ? (uint32_t)count : SEGMENT_RANGES_MAX;
}

static void
nack_write(const struct assembler *a, const struct assembly *one, struct outbox *out,
    const struct stamp *stamp, const struct gaps *gaps)
{
	struct stamp own = *stamp;
	struct letter letter = {
	    .type = MESSAGE_SEGMENT_NACK,
	    .proof = PROOF_NONE,
	    .instance = one->from_client ? one->sender : one->instance,
	    .body_size = gaps->count * (uint32_t)sizeof(struct segment_range),
	    .seq = one->id,
	};
	struct segment_fields fields = {
	    .total = one->total,
	    .slice = one->slice,
	    .from_client = a->config.from_client,
	};
	if (a->config.from_client) {
		own.sender = one->instance;
		letter.instance = (uint16_t)(one->instance % a->config.instances_count);
	}
	struct send *envelope = one->from_client ? outbox_send_client(out, one->sender)
						 : outbox_send(out, 1ull << one->sender);
	uint8_t *body = outbox_write(out, envelope, &own, &letter);
	segment_fields_write(envelope->header, &fields);
	memcpy(body, gaps->ranges, letter.body_size);
}

/* Asks for what is missing, from the first gap on, in a few NACKs; returns how many. */
static uint32_t
nack_round(struct assembler *a, struct assembly *one, struct outbox *out, const struct stamp *stamp)
{
	const uint64_t *bits = assembly_bits(a, one);
	struct gaps gaps = {.at = 0};
	uint32_t nacks = 0;
	while (nacks < ROUND_NACKS_MAX && out_has_room(out)) {
		gaps.at = segment_next(bits, gaps.at, one->segments, false);
		if (gaps.at == one->segments)
			break;
		uint32_t allowed = ranges_allowed(one);
		if (allowed == 0) {
			a->counters.withheld++;
			break;
		}
		gaps_list(a, one, &gaps, allowed);
		nack_write(a, one, out, stamp, &gaps);
		one->nack_size +=
		    sizeof(struct message_header) + gaps.count * sizeof(struct segment_range);
		nacks++;
	}
	return nacks;
}
