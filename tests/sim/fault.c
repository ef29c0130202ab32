/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. One thread. */
#include "fault.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

enum {
	TWIN_ROUNDS_MIN = 4,
	TWIN_ROUNDS_MAX = 8,
	MS = 1000000,
	TYPE_FIRST = 16, /* of a protocol's own messages; and a last one, where none is known */
	TYPE_LAST = 28,
	STREAM_OWN_LIES = 6, /* of the seed's random numbers */
	STREAM_SECOND_TWIN = 7,
	TWIN_NODES_MAX = 9, /* that rounds part: seven replicas and two twins */
};

static const char *const names[FAULT_KINDS_COUNT] = {
    [FAULT_LOSS] = "loss",
    [FAULT_DUPLICATE] = "duplicate",
    [FAULT_CORRUPT] = "corrupt",
    [FAULT_JITTER] = "jitter",
    [FAULT_SLOW] = "slow",
    [FAULT_PARTITION] = "partition",
    [FAULT_ONE_WAY] = "one-way",
    [FAULT_VIEW_CUT] = "view-cut",
    [FAULT_CLOG] = "clog",
    [FAULT_CLOCK_RATE] = "clock-rate",
    [FAULT_CLOCK_JUMP] = "clock-jump",
    [FAULT_PAUSE] = "pause",
    [FAULT_CRASH] = "crash",
    [FAULT_AMNESIA] = "amnesia",
    [FAULT_SILENT] = "silent",
    [FAULT_EQUIVOCATE] = "equivocate",
    [FAULT_VIEW] = "view",
    [FAULT_SEQ] = "seq",
    [FAULT_DIGEST] = "digest",
    [FAULT_REPLAY] = "replay",
    [FAULT_FORGE] = "forge",
    [FAULT_BAD_PROOF] = "bad-proof",
    [FAULT_BATCH] = "batch",
    [FAULT_LATE] = "late",
    [FAULT_CENSOR] = "censor",
    [FAULT_GENERATE] = "generate",
    [FAULT_TWIN] = "twin",
    [FAULT_TWO_OPERATIONS] = "two-operations",
    [FAULT_PARTIAL_VECTOR] = "partial-vector",
    [FAULT_LAST_TIMESTAMP] = "last-timestamp",
    [FAULT_FLOOD] = "flood",
    [FAULT_CERTIFICATE] = "certificate",
    [FAULT_HIDE] = "hide",
    [FAULT_INVENT] = "invent",
    [FAULT_MESSAGE_LOST] = "message-lost",
    [FAULT_MESSAGE_DUPLICATED] = "message-duplicated",
    [FAULT_MESSAGE_CORRUPTED] = "message-corrupted",
};

static const char *const preset_names[PRESETS_COUNT] = {
    [PRESET_NONE] = "none",
    [PRESET_LOSS] = "loss",
    [PRESET_CRASH] = "crash",
    [PRESET_BYZANTINE] = "byzantine",
    [PRESET_TWINS] = "twins",
    [PRESET_ALL] = "all",
};

const char *
fault_name(enum fault_kind kind)
{
	return names[kind];
}

const char *
preset_name(enum preset preset)
{
	return preset_names[preset];
}

bool
preset_parse(const char *text, enum preset *preset)
{
	for (uint32_t i = 0; i < PRESETS_COUNT; i++) {
		if (strcmp(text, preset_names[i]) == 0) {
			*preset = (enum preset)i;
			return true;
		}
	}
	return false;
}

/* ---- The list ----------------------------------------------------------- */

void
schedule_init(struct schedule *s)
{
	*s = (struct schedule){0};
}

void
schedule_free(struct schedule *s)
{
	free(s->list);
	*s = (struct schedule){0};
}

void
schedule_add(struct schedule *s, const struct fault *fault)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity == 0 ? 64 : 2 * s->capacity;
		s->list = realloc(s->list, s->capacity * sizeof(*s->list));
		check(s->list != NULL);
	}
	/* In the order of their starts; those of equal start as they came. */
	uint32_t at = s->count++;
	for (; at > 0 && s->list[at - 1].start_ns > fault->start_ns; at--)
		s->list[at] = s->list[at - 1];
	s->list[at] = *fault;
}

void
schedule_copy(struct schedule *to, const struct schedule *from)
{
	to->count = 0;
	for (uint32_t i = 0; i < from->count; i++)
		schedule_add(to, &from->list[i]);
}

void
schedule_write(const struct schedule *s, FILE *out)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct fault *f = &s->list[i];
		fprintf(out, "fault %-18s start %" PRIu64 " end ", names[f->kind], f->start_ns);
		if (f->end_ns == FAULT_NEVER)
			fprintf(out, "never");
		else
			fprintf(out, "%" PRIu64, f->end_ns);
		fprintf(out, " from %" PRIx64 " to %" PRIx64 " amount %" PRIu64, f->from, f->to,
		    f->amount);
		if (f->type != 0)
			fprintf(out, " type %u", f->type);
		fprintf(out, "\n");
	}
}

int
schedule_read_line(struct schedule *s, const char *line)
{
	char name[32];
	char end[32];
	struct fault f = {0};
	if (sscanf(line,
		"fault %31s start %" SCNu64 " end %31s from %" SCNx64 " to %" SCNx64
		" amount %" SCNu64 " type %" SCNu8,
		name, &f.start_ns, end, &f.from, &f.to, &f.amount, &f.type) < 6)
		return 0;
	f.end_ns = strcmp(end, "never") == 0 ? FAULT_NEVER : strtoull(end, NULL, 10);
	for (uint32_t i = 0; i < FAULT_KINDS_COUNT; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		f.kind = (enum fault_kind)i;
		schedule_add(s, &f);
		return 1;
	}
	return 0;
}

/* ---- Drawing ------------------------------------------------------------ */

struct drawer {
	struct random random;
	const struct fault_model *model;
	struct schedule *schedule;
	uint64_t replicas; /* masks of nodes */
	uint64_t clients;
	uint64_t faulty; /* replicas that lie or are lost for ever */
};

static uint64_t
between(struct drawer *d, uint64_t low, uint64_t high)
{
	return low + random_below(&d->random, high - low + 1);
}

static bool
chance(struct drawer *d, uint32_t percent)
{
	return random_below(&d->random, 100) < percent;
}

/* One of the nodes of a mask that is not empty. */
static uint64_t
one_of(struct drawer *d, uint64_t mask)
{
	uint64_t left = random_below(&d->random, (uint64_t)__builtin_popcountll(mask));
	for (; left > 0; left--)
		mask &= mask - 1;
	return mask & -mask;
}

/* Some of the nodes of a mask, perhaps none. */
static uint64_t
some_of(struct drawer *d, uint64_t mask)
{
	return random_next(&d->random) & mask;
}

/* A span within the horizon; short ones are more frequent. */
static void
span(struct drawer *d, struct fault *f)
{
	uint64_t horizon = d->model->horizon_ns;
	f->start_ns = random_below(&d->random, horizon * 9 / 10);
	uint64_t longest = horizon - f->start_ns;
	longest = chance(d, 70) ? longest / 4 : longest;
	f->end_ns = f->start_ns + 1 + random_below(&d->random, longest);
}

static void
network_links(struct drawer *d, struct fault *f)
{
	uint64_t all = d->replicas | d->clients;
	f->from = all;
	f->to = all;
	if (chance(d, 50))
		f->from = one_of(d, all);
	else if (chance(d, 50))
		f->to = one_of(d, all);
}

static void
network_cut(struct drawer *d, struct fault *f)
{
	uint64_t all = d->replicas | d->clients;
	uint64_t part = chance(d, 50) ? one_of(d, all) : some_of(d, all);
	f->from = part;
	f->to = all & ~part;
	if (chance(d, 30)) /* the clients see both sides */
		f->to &= ~d->clients;
}

static void
network_draw(struct drawer *d, enum fault_kind kind)
{
	static const uint32_t amounts_max[] = {
	    [FAULT_LOSS] = 300, [FAULT_DUPLICATE] = 500, [FAULT_CORRUPT] = 100};
	uint64_t count = between(d, 1, 3);
	for (uint64_t i = 0; i < count; i++) {
		struct fault f = {.kind = kind};
		span(d, &f);
		if (kind >= FAULT_PARTITION)
			network_cut(d, &f);
		else
			network_links(d, &f);
		if (kind <= FAULT_CORRUPT)
			f.amount = between(d, 1, amounts_max[kind]);
		else if (kind == FAULT_JITTER)
			f.amount = between(d, 1, 20 * d->model->delay_ns);
		else if (kind == FAULT_SLOW)
			f.amount = between(d, 1, 100 * d->model->delay_ns);
		schedule_add(d->schedule, &f);
	}
}

/* Links stopped one by one and restored in another order (FoundationDB's swizzle). */
static void
swizzle_draw(struct drawer *d)
{
	uint64_t all = d->replicas | d->clients;
	uint64_t half = d->model->horizon_ns / 2;
	for (uint64_t left = some_of(d, all); left != 0; left &= left - 1) {
		struct fault f = {.kind = FAULT_CLOG, .from = left & -left, .to = all};
		f.start_ns = random_below(&d->random, half);
		f.end_ns = half + random_below(&d->random, half);
		schedule_add(d->schedule, &f);
	}
}

static void
clocks_draw(struct drawer *d)
{
	uint64_t all = d->replicas | d->clients;
	for (uint64_t left = some_of(d, all); left != 0; left &= left - 1) {
		struct fault f = {.from = left & -left};
		f.kind = chance(d, 50) ? FAULT_CLOCK_RATE : FAULT_CLOCK_JUMP;
		span(d, &f);
		/* Half to double speed; up to an hour. */
		f.amount = f.kind == FAULT_CLOCK_RATE ? between(d, 512, 2048)
			   : chance(d, 50)	      ? between(d, 1, 100 * (uint64_t)MS)
						      : 3600000 * (uint64_t)MS;
		schedule_add(d->schedule, &f);
	}
}

static void
nodes_draw(struct drawer *d, enum fault_kind kind)
{
	const struct fault_model *m = d->model;
	uint64_t count = between(d, 1, 4);
	uint64_t whom = d->replicas;
	if (kind == FAULT_PAUSE)
		whom |= d->clients;
	if (kind == FAULT_AMNESIA && m->byzantine) {
		/* It counts among the f that may do anything, for good. */
		uint32_t room = m->faults - (uint32_t)__builtin_popcountll(d->faulty);
		if (room == 0)
			return;
		whom = one_of(d, d->replicas & ~d->faulty);
		d->faulty |= whom;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct fault f = {.kind = kind, .from = one_of(d, whom)};
		if (kind != FAULT_AMNESIA && chance(d, 20))
			f.from |= some_of(d, whom);
		span(d, &f);
		schedule_add(d->schedule, &f);
	}
}

/* Leaders' messages, or those of another type. */
static uint8_t
lie_type(struct drawer *d)
{
	const struct fault_model *m = d->model;
	if (chance(d, 60))
		return m->leader_type != 0 ? m->leader_type : TYPE_FIRST;
	return (uint8_t)between(d, TYPE_FIRST, m->type_last != 0 ? m->type_last : TYPE_LAST);
}

/* A lie's receivers and chance, or what else its kind wants. */
static void
lie_measure(struct drawer *d, struct fault *f, uint64_t others)
{
	const struct fault_model *m = d->model;
	uint64_t patience_ns = m->timeout_ns > 0 ? m->timeout_ns : m->horizon_ns / 20;
	f->to = chance(d, 60) ? some_of(d, others) : others;
	f->amount = chance(d, 30) ? 1000 : between(d, 10, 500);
	if (chance(d, 30))
		f->type = lie_type(d);
	if (f->kind == FAULT_BATCH)
		f->type = 0;
	if (f->kind == FAULT_LATE)
		f->amount = patience_ns * between(d, 1, 19) / 20;
	if (f->kind == FAULT_CENSOR) {
		f->to = one_of(d, d->clients);
		f->amount = 0;
		f->type = 0;
	}
}

/* Lies that only some protocols know; from numbers of their own, so that others' stay. */
static void
own_lies_draw(struct drawer *d, uint64_t liar)
{
	struct random others = d->random;
	uint64_t rest = (d->replicas | d->clients) & ~liar;
	random_init(&d->random, d->model->seed ^ liar << 32, STREAM_OWN_LIES);
	for (uint32_t kind = FAULT_CERTIFICATE; kind <= FAULT_INVENT; kind++) {
		if (!chance(d, 40))
			continue;
		struct fault f = {.kind = (enum fault_kind)kind, .from = liar};
		span(d, &f);
		if (chance(d, 30))
			f.end_ns = FAULT_NEVER;
		lie_measure(d, &f, rest);
		if (kind == FAULT_HIDE)
			f.type = d->model->leader_type;
		schedule_add(d->schedule, &f);
	}
	d->random = others;
}

/* Kinds of lies of one replica, each for a span or for good. */
static void
liar_draw(struct drawer *d)
{
	uint64_t liar = one_of(d, d->replicas & ~d->faulty);
	d->faulty |= liar;
	uint64_t others = (d->replicas | d->clients) & ~liar;
	for (uint32_t kind = FAULT_SILENT; kind <= FAULT_GENERATE; kind++) {
		if (!chance(d, 35))
			continue;
		struct fault f = {.kind = (enum fault_kind)kind, .from = liar};
		span(d, &f);
		if (chance(d, 30))
			f.end_ns = FAULT_NEVER;
		lie_measure(d, &f, others);
		schedule_add(d->schedule, &f);
	}
	if (d->model->own_lies)
		own_lies_draw(d, liar);
}

static void
client_draw(struct drawer *d)
{
	/* The last client node is the one that misbehaves: the others are to be served. */
	uint64_t liar = 1ull << (d->model->replicas_count + d->model->clients_count - 1);
	for (uint32_t kind = FAULT_TWO_OPERATIONS; kind <= FAULT_FLOOD; kind++) {
		if (!chance(d, 50))
			continue;
		struct fault f = {.kind = (enum fault_kind)kind, .from = liar};
		span(d, &f);
		f.to = chance(d, 60) ? some_of(d, d->replicas) : d->replicas;
		f.amount = between(d, 10, 500);
		if (kind == FAULT_LAST_TIMESTAMP)
			f.amount = between(d, 1, 20);
		schedule_add(d->schedule, &f);
	}
}

/* Those that stay away after the horizon, as far as f allows: their fault is frozen for ever. */
static void
lasting_draw(struct drawer *d)
{
	uint64_t all = d->replicas | d->clients;
	uint32_t room = d->model->faults - (uint32_t)__builtin_popcountll(d->faulty);
	/* Whoever is still recovering then counts among the f, too. */
	for (uint32_t i = 0; i < d->schedule->count && !d->model->byzantine; i++) {
		if (d->schedule->list[i].kind == FAULT_AMNESIA)
			return;
	}
	for (; room > 0 && chance(d, 40); room--) {
		struct fault f = {.start_ns = d->model->horizon_ns, .end_ns = FAULT_NEVER};
		uint64_t whom = one_of(d, d->replicas & ~d->faulty & ~d->model->needed);
		d->faulty |= whom;
		f.kind = chance(d, 34) ? FAULT_CRASH : FAULT_ONE_WAY;
		f.from = whom;
		f.to = all & ~whom;
		if (f.kind == FAULT_ONE_WAY && chance(d, 50)) {
			f.from = f.to;
			f.to = whom;
		}
		schedule_add(d->schedule, &f);
	}
}

/* ---- Twins -------------------------------------------------------------- */

/* Digits in base 3: the part of each node. Node 0 is in part 0, and parts are numbered in
   the order of their first node, so each way occurs once. */
static bool
partition_valid(uint32_t nodes_count, uint32_t quorum, uint32_t code, uint64_t parts[3])
{
	uint32_t used = 0;
	memset(parts, 0, 3 * sizeof(*parts));
	for (uint32_t i = 0; i < nodes_count; i++, code /= 3) {
		uint32_t part = code % 3;
		if (part > used)
			return false;
		used += part == used;
		parts[part] |= 1ull << i;
	}
	for (uint32_t i = 0; used > 1 && i < 3; i++) {
		if ((uint32_t)__builtin_popcountll(parts[i]) >= quorum)
			return true;
	}
	return false;
}

static uint32_t
codes_count(uint32_t nodes_count)
{
	uint32_t count = 1;
	for (uint32_t i = 0; i < nodes_count; i++)
		count *= 3;
	return count;
}

uint32_t
partition_count(uint32_t nodes_count, uint32_t quorum)
{
	uint64_t parts[3];
	uint32_t count = 0;
	check(nodes_count <= 12);
	for (uint32_t code = 0; code < codes_count(nodes_count); code++)
		count += partition_valid(nodes_count, quorum, code, parts);
	return count;
}

void
partition_at(uint32_t nodes_count, uint32_t quorum, uint32_t index, uint64_t parts[3])
{
	for (uint32_t code = 0; code < codes_count(nodes_count); code++) {
		if (partition_valid(nodes_count, quorum, code, parts) && index-- == 0)
			return;
	}
	check(false);
}

/*
 * One round's way to part the nodes. A round is a share of the time, or a view: then each leader
 * has a partition of its own, and views rotate through them, as in Twins.
 */
struct twin_round {
	uint64_t number;
	uint64_t count; /* of rounds */
	uint64_t way;
	bool by_view;
};

static void
twin_round_add(struct drawer *d, const struct twin_round *r, uint32_t twin_node, uint32_t twins)
{
	const struct fault_model *m = d->model;
	uint64_t parts[3];
	partition_at(m->replicas_count + twins, m->quorum, (uint32_t)r->way, parts);
	for (uint32_t i = 0; i < 3; i++) { /* twins are nodes `replicas_count` and on there */
		uint64_t bits = parts[i] >> m->replicas_count;
		parts[i] = (parts[i] & d->replicas) | bits << twin_node;
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct fault f = {.kind = FAULT_ONE_WAY, .from = parts[i]};
		f.to = parts[(i + 1) % 3] | parts[(i + 2) % 3];
		f.start_ns = m->horizon_ns * r->number / r->count;
		f.end_ns = m->horizon_ns * (r->number + 1) / r->count;
		if (r->by_view) {
			f.kind = FAULT_VIEW_CUT;
			f.amount = r->count << 8 | r->number;
			f.start_ns = 0;
			f.end_ns = m->horizon_ns;
		}
		if (f.from != 0)
			schedule_add(d->schedule, &f);
	}
}

/* One of them lives twice. */
static void
twin_add(struct drawer *d, uint64_t twin, uint32_t node)
{
	d->faulty |= twin;
	schedule_add(d->schedule,
	    &(struct fault){
		.kind = FAULT_TWIN, .end_ns = FAULT_NEVER, .from = twin, .to = 1ull << node});
}

/* Where two may be faulty, two live twice in half of the seeds; returns how many there are. */
static uint32_t
twins_add(struct drawer *d, uint32_t twin_node)
{
	struct random more;
	twin_add(d, one_of(d, d->replicas & ~d->faulty), twin_node);
	random_init(&more, d->model->seed, STREAM_SECOND_TWIN);
	if (d->model->faults < 2 || random_below(&more, 2) == 0)
		return 1;
	struct random others = d->random;
	d->random = more;
	twin_add(d, one_of(d, d->replicas & ~d->faulty), twin_node + 1);
	d->random = others;
	return 2;
}

/*
 * A scenario is a product over rounds of the ways to part the replicas and the twins. As the seed
 * counts up, the first two rounds go through all pairs of ways, with time and views in turn; the
 * other rounds are sampled.
 */
static void
twins_draw(struct drawer *d)
{
	const struct fault_model *m = d->model;
	uint32_t twin_node = (uint32_t)m->replicas_count + m->clients_count;
	uint32_t twins = twins_add(d, twin_node);
	uint32_t nodes = m->replicas_count + twins;
	if (nodes > TWIN_NODES_MAX)
		return;
	uint32_t ways = partition_count(nodes, m->quorum);
	struct twin_round round = {.count = between(d, TWIN_ROUNDS_MIN, TWIN_ROUNDS_MAX)};
	round.by_view = m->seed % 2 != 0;
	for (; ways > 0 && round.number < round.count; round.number++) {
		round.way = random_below(&d->random, ways);
		if (round.number > 1 && chance(d, 25))
			continue;
		if (round.number < 2)
			round.way = m->seed / 2 / (round.number == 0 ? 1 : ways) % ways;
		twin_round_add(d, &round, twin_node, twins);
	}
}

void
schedule_draw(struct schedule *s, const struct fault_model *m)
{
	struct drawer d = {.model = m, .schedule = s};
	bool network = m->preset != PRESET_NONE && m->preset != PRESET_TWINS;
	bool nodes = m->preset == PRESET_CRASH || m->preset == PRESET_ALL;
	bool lies = m->preset == PRESET_BYZANTINE || m->preset == PRESET_ALL;
	s->count = 0;
	random_init(&d.random, m->seed, 1);
	d.replicas = (1ull << m->replicas_count) - 1;
	d.clients = ((1ull << m->clients_count) - 1) << m->replicas_count;
	if (m->byzantine && m->faults > 0 &&
	    (m->preset == PRESET_TWINS || (m->preset == PRESET_ALL && chance(&d, 25))))
		twins_draw(&d);
	for (uint32_t kind = FAULT_LOSS; network && kind <= FAULT_CLOG; kind++) {
		if (chance(&d, 50) && kind != FAULT_VIEW_CUT)
			network_draw(&d, (enum fault_kind)kind);
	}
	if (network && chance(&d, 20))
		swizzle_draw(&d);
	if (network && chance(&d, 30))
		clocks_draw(&d);
	uint32_t liars = (uint32_t)__builtin_popcountll(d.faulty);
	for (; lies && m->byzantine && liars < m->faults && chance(&d, 80); liars++)
		liar_draw(&d);
	if (lies && m->client_lies && m->clients_count > 1 && chance(&d, 50))
		client_draw(&d);
	for (uint32_t kind = FAULT_PAUSE; nodes && kind <= FAULT_AMNESIA; kind++) {
		if (chance(&d, 60) && (kind != FAULT_AMNESIA || (!m->single && m->amnesia)))
			nodes_draw(&d, (enum fault_kind)kind);
	}
	if ((network || nodes) && !m->single)
		lasting_draw(&d);
}
