/* SPDX-License-Identifier: Apache-2.0 */
/* Large buffers on their way out, and their repair. See segmenter.h. One core. */
#include "engine/segmenter.h"

#include "engine/random.h"

enum {
	ALIGNMENT = 64,
	INTERLEAVE_DEFAULT = 2,
	NACKS_PER_MS_DEFAULT = 8,
	REPAIR_FACTOR_DEFAULT = 4,
	ID_TAIL_SIZE_MAX = 64, /* of the message's end, where its proof is */
};

#define NACK_WINDOW_NS 1000000ull

enum buffer_state { BUFFER_FREE, BUFFER_SENDING, BUFFER_SENT };

/* One large buffer. What is not its state is valid from post to the next taking. */
struct buffer {
	enum buffer_state state;
	bool posted;	   /* since the last lending */
	uint16_t client;   /* slot, when to == 0 */
	uint16_t sender;   /* the whole message's */
	uint16_t instance; /* the whole message's, or the client's slot */
	uint64_t to;
	uint64_t id;
	uint64_t order;	       /* of posting; then of the end of sending */
	uint64_t repair_mask;  /* peers with repairs pending */
	uint64_t repair_known; /* peers whose struct repair is in use */
	uint32_t total;	       /* bytes */
	uint32_t segments;
	uint32_t next;	    /* the first segment never sent */
	uint32_t repairs;   /* segments pending for all peers */
	uint32_t peer_turn; /* whose repairs come next */
};

/* What one peer is owed of one buffer, beside its bits. A client has row 0. */
struct repair {
	uint64_t window_ns; /* when the count of NACKs began */
	uint32_t nacks;	    /* in the window */
	uint32_t budget;    /* segments it may still ask for */
	uint32_t pending;   /* bits set */
};

struct segmenter {
	struct segmenter_config config;
	struct segmenter_counters counters;
	uint64_t order_next;
	uint64_t ids_drawn;
	size_t stride; /* bytes from one large buffer to the next */
	uint32_t slice;
	uint32_t words;	  /* 64-bit words of a bitmap of segments */
	uint32_t repairs; /* segments pending in all buffers */
	uint32_t lent_count;
	uint32_t sending_count;
	uint32_t sending_turn;
	uint32_t repair_turn;
	uint8_t lent[OUTBOX_LARGE_MAX];	   /* buffer indexes, as in out->large[] */
	uint8_t sending[OUTBOX_LARGE_MAX]; /* buffer indexes, in the order of posting */
	struct buffer buffers[OUTBOX_LARGE_MAX];
	struct repair *rows; /* by buffer and peer */
	uint64_t *bits;	     /* by buffer, peer, word: segments to send again */
	uint8_t *memory;     /* the large buffers */
};

/* One segment to one envelope. */
struct parcel {
	const struct buffer *buffer;
	uint64_t to; /* replicas; 0: the buffer's client */
	uint32_t index;
};

/* Where the parts of the caller's block begin, in bytes. */
struct layout {
	size_t rows;
	size_t bits;
	size_t memory;
	size_t stride;
	size_t size;
	uint32_t words;
};

static struct layout lay_out(const struct segmenter_config *config);
static void buffer_forget(struct segmenter *s, struct buffer *b);
static void taken_forget(struct segmenter *s, const struct outbox *out);
static void lend(struct segmenter *s, struct outbox *out, uint32_t index);
static uint64_t message_id(struct segmenter *s, const struct message_header *header);
static void fresh_pump(struct segmenter *s, struct outbox *out, const struct stamp *stamp);
static void repair_pump(struct segmenter *s, struct outbox *out, const struct stamp *stamp);
static struct buffer *nack_buffer(
    struct segmenter *s, const struct message *m, uint32_t *peer, enum segmenter_drop *drop);
static bool ranges_valid(const struct message *m, uint32_t segments);
static struct repair *repair_admit(
    struct segmenter *s, struct buffer *b, uint32_t peer, uint64_t now_ns);
static void repair_mark(struct segmenter *s, struct buffer *b, uint32_t peer, uint32_t segment);

static inline uint32_t
index_of(const struct segmenter *s, const struct buffer *b)
{
	return (uint32_t)(b - s->buffers);
}

static inline uint8_t *
buffer_bytes(const struct segmenter *s, uint32_t index)
{
	return s->memory + index * s->stride;
}

static inline struct repair *
repair_row(const struct segmenter *s, const struct buffer *b, uint32_t peer)
{
	return &s->rows[index_of(s, b) * SEGMENT_REPLICAS_MAX + peer];
}

static inline uint64_t *
repair_bits(const struct segmenter *s, const struct buffer *b, uint32_t peer)
{
	size_t row = index_of(s, b) * (size_t)SEGMENT_REPLICAS_MAX + peer;
	return s->bits + row * s->words;
}

size_t
segmenter_size(const struct segmenter_config *config)
{
	return lay_out(config).size;
}

struct segmenter *
segmenter_init(void *memory, const struct segmenter_config *config)
{
	struct layout l = lay_out(config);
	struct segmenter *s = memory;
	check((uintptr_t)memory % ALIGNMENT == 0);
	memset(s, 0, sizeof(*s));
	s->config = *config;
	if (s->config.interleave_max == 0)
		s->config.interleave_max = INTERLEAVE_DEFAULT;
	if (s->config.nacks_per_ms_max == 0)
		s->config.nacks_per_ms_max = NACKS_PER_MS_DEFAULT;
	if (s->config.repair_factor == 0)
		s->config.repair_factor = REPAIR_FACTOR_DEFAULT;
	s->slice = segment_slice(config->envelope_size);
	s->words = l.words;
	s->stride = l.stride;
	s->rows = (struct repair *)(void *)((uint8_t *)memory + l.rows);
	s->bits = (uint64_t *)(void *)((uint8_t *)memory + l.bits);
	s->memory = (uint8_t *)memory + l.memory;
	return s;
}

void
segmenter_refill(struct segmenter *s, struct outbox *out)
{
	check(out->large_count <= out->large_ready);
	taken_forget(s, out);
	for (uint32_t i = 0; i < s->lent_count; i++) {
		struct buffer *b = &s->buffers[s->lent[i]];
		if (i < out->large_count && !b->posted)
			s->counters.unposted++;
		b->posted = false;
	}
	s->lent_count = 0;
	out->large_count = 0;
	out->large_ready = 0;
	for (uint32_t i = 0; i < s->config.buffers_count; i++) {
		if (s->buffers[i].state == BUFFER_FREE)
			lend(s, out, i);
	}
	/* "Oldest fully-sent first": a selection sort of at most OUTBOX_LARGE_MAX. */
	uint64_t after = 0;
	for (;;) {
		uint32_t oldest = UINT32_MAX;
		for (uint32_t i = 0; i < s->config.buffers_count; i++) {
			const struct buffer *b = &s->buffers[i];
			if (b->state != BUFFER_SENT || b->order <= after)
				continue;
			if (oldest == UINT32_MAX || b->order < s->buffers[oldest].order)
				oldest = i;
		}
		if (oldest == UINT32_MAX)
			break;
		after = s->buffers[oldest].order;
		lend(s, out, oldest);
	}
	check(s->lent_count + s->sending_count == s->config.buffers_count);
}

void
segmenter_post(struct segmenter *s, const struct send *send)
{
	check(send->large >= 1);
	check(send->large <= s->config.buffers_count);
	struct buffer *b = &s->buffers[send->large - 1];
	const struct message_header *header = send->header;
	check((const uint8_t *)header == buffer_bytes(s, send->large - 1u));
	check(!b->posted);
	check(b->state != BUFFER_SENDING);
	check(header->size >= sizeof(*header));
	check(header->size <= s->config.message_size_max);
	buffer_forget(s, b);
	b->state = BUFFER_SENDING;
	b->posted = true;
	b->to = send->to;
	b->client = send->client;
	b->sender = header->sender;
	b->instance = send->to == 0 ? send->client : header->instance;
	b->id = message_id(s, header);
	b->order = ++s->order_next;
	b->total = header->size;
	b->segments = segment_count(header->size, s->slice);
	b->next = 0;
	b->peer_turn = 0;
	check(s->sending_count < OUTBOX_LARGE_MAX);
	s->sending[s->sending_count++] = (uint8_t)index_of(s, b);
	s->counters.messages++;
}

void
segmenter_nack(struct segmenter *s, uint64_t now_ns, const struct message *m)
{
	uint32_t peer;
	enum segmenter_drop drop;
	struct buffer *b = nack_buffer(s, m, &peer, &drop);
	if (b == NULL) {
		s->counters.drops[drop]++;
		return;
	}
	struct repair *row = repair_admit(s, b, peer, now_ns);
	if (row == NULL)
		return;
	s->counters.nacks++;
	for (uint32_t at = 0; at < m->body_size; at += (uint32_t)sizeof(struct segment_range)) {
		struct segment_range range;
		memcpy(&range, m->body + at, sizeof(range));
		uint32_t end = range.first_index + range.count;
		/* What has not been sent yet comes anyway. */
		if (end > b->next)
			end = b->next;
		for (uint32_t i = range.first_index; i < end && row->budget > 0; i++)
			repair_mark(s, b, peer, i);
	}
}

uint32_t
segmenter_pump(struct segmenter *s, struct outbox *out, const struct stamp *stamp, uint32_t budget)
{
	uint32_t written = 0;
	taken_forget(s, out);
	uint32_t room = out->sends_ready - out->sends_count;
	if (budget > room)
		budget = room;
	for (; written < budget && s->repairs > 0; written++)
		repair_pump(s, out, stamp);
	for (; written < budget && s->sending_count > 0; written++)
		fresh_pump(s, out, stamp);
	return written;
}

bool
segmenter_pending(const struct segmenter *s)
{
	return s->repairs > 0 || s->sending_count > 0;
}

const struct segmenter_counters *
segmenter_counters(const struct segmenter *s)
{
	return &s->counters;
}

const char *
segmenter_drop_name(uint32_t drop)
{
	static const char *const names[SEGMENTER_DROPS_COUNT] = {
	    [SEGMENTER_DROP_MALFORMED] = "nack_malformed",
	    [SEGMENTER_DROP_UNKNOWN] = "nack_unknown",
	    [SEGMENTER_DROP_PEER] = "nack_peer",
	    [SEGMENTER_DROP_INCONSISTENT] = "nack_inconsistent",
	    [SEGMENTER_DROP_STORM] = "nack_storm",
	    [SEGMENTER_DROP_EXHAUSTED] = "nack_exhausted",
	};
	check(drop < SEGMENTER_DROPS_COUNT);
	return names[drop];
}

static size_t
rounded(size_t size)
{
	return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct layout
lay_out(const struct segmenter_config *config)
{
	check(config->buffers_count >= 1);
	check(config->buffers_count <= OUTBOX_LARGE_MAX);
	check(config->envelope_size >= ENVELOPE_SIZE_MIN);
	check(config->message_size_max >= sizeof(struct message_header));
	check(config->message_size_max <= INT32_MAX);
	struct layout l;
	size_t rows = (size_t)config->buffers_count * SEGMENT_REPLICAS_MAX;
	uint32_t slice = segment_slice(config->envelope_size);
	l.words = (segment_count(config->message_size_max, slice) + 63) / 64;
	l.stride = rounded(config->message_size_max);
	l.rows = rounded(sizeof(struct segmenter));
	l.bits = l.rows + rounded(rows * sizeof(struct repair));
	l.memory = l.bits + rounded(rows * l.words * sizeof(uint64_t));
	l.size = l.memory + config->buffers_count * l.stride;
	return l;
}

/* No repair is owed of this buffer any more. */
static void
buffer_forget(struct segmenter *s, struct buffer *b)
{
	check(s->repairs >= b->repairs);
	s->repairs -= b->repairs;
	b->repairs = 0;
	b->repair_mask = 0;
	b->repair_known = 0;
}

/* A step has overwritten what it took: neither repaired nor, unless posted, of use. */
static void
taken_forget(struct segmenter *s, const struct outbox *out)
{
	for (uint32_t i = 0; i < out->large_count && i < s->lent_count; i++) {
		struct buffer *b = &s->buffers[s->lent[i]];
		if (b->posted)
			continue;
		buffer_forget(s, b);
		b->state = BUFFER_FREE;
	}
}

static void
lend(struct segmenter *s, struct outbox *out, uint32_t index)
{
	check(s->lent_count < OUTBOX_LARGE_MAX);
	s->lent[s->lent_count++] = (uint8_t)index;
	out->large[out->large_ready++] = (struct send){
	    .large = (uint8_t)(index + 1),
	    .capacity = s->config.message_size_max,
	    .header = (struct message_header *)(void *)buffer_bytes(s, index),
	};
}

/*
 * 64 bits that only who has seen the message or one of its segments knows: its
 * proof is unforgeable, hence unguessable; the counter keeps apart what is sent
 * twice. Never 0.
 */
static uint64_t
message_id(struct segmenter *s, const struct message_header *header)
{
	uint64_t words[(sizeof(*header) + ID_TAIL_SIZE_MAX) / sizeof(uint64_t)] = {0};
	uint32_t tail_size = header->size - (uint32_t)sizeof(*header);
	if (tail_size > ID_TAIL_SIZE_MAX)
		tail_size = ID_TAIL_SIZE_MAX;
	memcpy(words, header, sizeof(*header));
	memcpy(words + sizeof(*header) / sizeof(uint64_t),
	    (const uint8_t *)header + header->size - tail_size, tail_size);
	uint64_t id = random_mix(s->config.id_seed + 0x9e3779b97f4a7c15ull) ^ ++s->ids_drawn;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		id = random_mix(id + 0x9e3779b97f4a7c15ull) ^ words[i];
	id = random_mix(id + 0x9e3779b97f4a7c15ull);
	return id != 0 ? id : 1;
}

static void
segment_write(
    struct segmenter *s, struct outbox *out, const struct stamp *stamp, const struct parcel *parcel)
{
	const struct buffer *b = parcel->buffer;
	uint32_t offset = parcel->index * s->slice;
	check(offset < b->total);
	uint32_t size = b->total - offset < s->slice ? b->total - offset : s->slice;
	struct stamp own = *stamp;
	own.sender = b->sender;
	struct letter letter = {
	    .type = MESSAGE_SEGMENT,
	    .proof = PROOF_NONE,
	    .instance = b->instance,
	    .body_size = size,
	    .seq = b->id,
	};
	struct segment_fields fields = {
	    .offset = offset,
	    .total = b->total,
	    .slice = s->slice,
	    .from_client = s->config.from_client,
	};
	struct send *envelope =
	    parcel->to != 0 ? outbox_send(out, parcel->to) : outbox_send_client(out, b->client);
	check(envelope->capacity >= sizeof(struct message_header) + size);
	uint8_t *body = outbox_write(out, envelope, &own, &letter);
	segment_fields_write(envelope->header, &fields);
	memcpy(body, buffer_bytes(s, index_of(s, b)) + offset, size);
}

/* The next slice of one of the oldest messages, in turn. */
static void
fresh_pump(struct segmenter *s, struct outbox *out, const struct stamp *stamp)
{
	uint32_t active = s->sending_count;
	if (active > s->config.interleave_max)
		active = s->config.interleave_max;
	uint32_t at = s->sending_turn < active ? s->sending_turn : 0;
	struct buffer *b = &s->buffers[s->sending[at]];
	check(b->state == BUFFER_SENDING);
	struct parcel parcel = {b, b->to, b->next++};
	segment_write(s, out, stamp, &parcel);
	s->counters.segments++;
	s->sending_turn = at + 1;
	if (b->next < b->segments)
		return;
	b->state = BUFFER_SENT;
	b->order = ++s->order_next;
	s->sending_count--;
	for (uint32_t i = at; i < s->sending_count; i++)
		s->sending[i] = s->sending[i + 1];
	s->sending_turn = at;
}

/* The first set bit; there must be one. */
static uint32_t
first_set(const uint64_t *bits, uint32_t words)
{
	uint32_t word = 0;
	while (word < words && bits[word] == 0)
		word++;
	check(word < words);
	return word * 64 + (uint32_t)__builtin_ctzll(bits[word]);
}

/* The lowest slice that one peer asked for: buffers in turn, and their peers in turn. */
static void
repair_pump(struct segmenter *s, struct outbox *out, const struct stamp *stamp)
{
	while (s->buffers[s->repair_turn].repairs == 0)
		s->repair_turn = (s->repair_turn + 1) % s->config.buffers_count;
	struct buffer *b = &s->buffers[s->repair_turn];
	uint64_t behind = b->repair_mask & (~0ull << b->peer_turn);
	uint32_t peer = (uint32_t)__builtin_ctzll(behind != 0 ? behind : b->repair_mask);
	struct repair *row = repair_row(s, b, peer);
	uint64_t *bits = repair_bits(s, b, peer);
	uint32_t index = first_set(bits, s->words);
	struct parcel parcel = {b, b->to != 0 ? 1ull << peer : 0, index};
	segment_write(s, out, stamp, &parcel);
	s->counters.repairs++;
	bits[index / 64] &= ~(1ull << (index % 64));
	if (--row->pending == 0)
		b->repair_mask &= ~(1ull << peer);
	b->repairs--;
	s->repairs--;
	b->peer_turn = (peer + 1) % SEGMENT_REPLICAS_MAX;
	s->repair_turn = (s->repair_turn + 1) % s->config.buffers_count;
}

/* The buffer that a NACK may ask for, and as which peer; NULL and why not. */
static struct buffer *
nack_buffer(struct segmenter *s, const struct message *m, uint32_t *peer, enum segmenter_drop *drop)
{
	struct segment_fields fields;
	struct buffer *b = NULL;
	segment_fields_read(m->header, &fields);
	*drop = SEGMENTER_DROP_MALFORMED;
	if (m->header->type != MESSAGE_SEGMENT_NACK)
		return NULL;
	if (!segment_fields_valid(m->header, &fields) || fields.offset != 0)
		return NULL;
	*drop = SEGMENTER_DROP_UNKNOWN;
	for (uint32_t i = 0; i < s->config.buffers_count && b == NULL; i++) {
		if (s->buffers[i].state != BUFFER_FREE && s->buffers[i].id == m->header->seq)
			b = &s->buffers[i];
	}
	if (b == NULL)
		return NULL;
	*drop = SEGMENTER_DROP_PEER;
	uint16_t sender = m->header->sender;
	bool to_client = b->to == 0;
	if (to_client != (fields.from_client == 1))
		return NULL;
	if (to_client && sender != b->client)
		return NULL;
	if (!to_client && (sender >= SEGMENT_REPLICAS_MAX || (b->to >> sender & 1) == 0))
		return NULL;
	*drop = SEGMENTER_DROP_INCONSISTENT;
	if (fields.total != b->total || fields.slice != s->slice)
		return NULL;
	*drop = SEGMENTER_DROP_MALFORMED;
	if (!ranges_valid(m, b->segments))
		return NULL;
	*peer = to_client ? 0 : sender;
	return b;
}

/* Ascending and disjoint, so that one NACK costs at most one pass over the bitmap. */
static bool
ranges_valid(const struct message *m, uint32_t segments)
{
	uint32_t count = m->body_size / (uint32_t)sizeof(struct segment_range);
	uint32_t end = 0;
	if (count == 0 || count > SEGMENT_RANGES_MAX)
		return false;
	if (m->body_size % sizeof(struct segment_range) != 0)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct segment_range range;
		memcpy(&range, m->body + i * sizeof(range), sizeof(range));
		if (range.first_index < end || range.first_index >= segments)
			return false;
		if (range.count == 0 || range.count > segments - range.first_index)
			return false;
		end = range.first_index + range.count;
	}
	return true;
}

/* The peer's row, set up when it is new; NULL when the peer asks too much. */
static struct repair *
repair_admit(struct segmenter *s, struct buffer *b, uint32_t peer, uint64_t now_ns)
{
	struct repair *row = repair_row(s, b, peer);
	if ((b->repair_known >> peer & 1) == 0) {
		uint64_t budget = (uint64_t)b->segments * s->config.repair_factor;
		*row = (struct repair){
		    .window_ns = now_ns,
		    .budget = budget < UINT32_MAX ? (uint32_t)budget : UINT32_MAX,
		};
		memset(repair_bits(s, b, peer), 0, s->words * sizeof(uint64_t));
		b->repair_known |= 1ull << peer;
	}
	if (now_ns - row->window_ns >= NACK_WINDOW_NS) {
		row->window_ns = now_ns;
		row->nacks = 0;
	}
	if (row->nacks >= s->config.nacks_per_ms_max) {
		s->counters.drops[SEGMENTER_DROP_STORM]++;
		return NULL;
	}
	if (row->budget == 0) {
		s->counters.drops[SEGMENTER_DROP_EXHAUSTED]++;
		return NULL;
	}
	row->nacks++;
	return row;
}

static void
repair_mark(struct segmenter *s, struct buffer *b, uint32_t peer, uint32_t segment)
{
	struct repair *row = repair_row(s, b, peer);
	uint64_t *word = &repair_bits(s, b, peer)[segment / 64];
	uint64_t bit = 1ull << (segment % 64);
	if (*word & bit)
		return;
	*word |= bit;
	row->budget--;
	row->pending++;
	b->repair_mask |= 1ull << peer;
	b->repairs++;
	s->repairs++;
}
