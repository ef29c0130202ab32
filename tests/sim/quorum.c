/* SPDX-License-Identifier: Apache-2.0 */
/* The replica of the test protocol: see quorum.h. One core. */
#include "quorum.h"

#include <string.h>

#include "engine/admission.h"
#include "engine/batch.h"
#include "quorum_client.h"

enum {
	ARENA_SIZE = 8 << 20, /* bytes of all batches of the log */
	REPLICAS_MAX = 64,
	SENDS_PER_STEP = 8,
	LARGE_PER_STEP = 2,
	RESENDS_PER_STEP = 2, /* proposals to one backup */
	DELIVERIES_PER_STEP = 4,
	FIRST_BALLOT = 1,
	REPLY_EARLY_SIZE = 8, /* what the store says when all went well */
};

enum quorum_mutant quorum_mutant;

/* One position of the log. */
struct slot {
	uint64_t ballot;      /* under which it was accepted; 0: nothing was */
	uint64_t votes;	      /* proposer: mask */
	uint32_t votes_count; /* of the mutant that does not look whose they are */
	uint32_t size;	      /* bytes at data */
	uint64_t answers;     /* proposer: who has told what it accepted here, mask */
	uint8_t *data;
};

enum phase {
	PHASE_NORMAL,
	PHASE_RECOVERING, /* backup without memory: has not heard how far the log goes */
	PHASE_CATCHING,	  /* backup without memory: has not got all of it */
	PHASE_FETCHING,	  /* proposer without memory: asks for the log */
};

/* What a backup tells with each ACK. */
struct ack_body {
	uint64_t committed; /* it knows that all up to here is committed */
	uint64_t have;	    /* it has accepted all up to here under this ballot */
	uint64_t normal;    /* 1: that is a vote; 0: it is still recovering */
	uint64_t nonce;	    /* of its recovery: what it said in an earlier life counts no more */
};

/* Before the batch in an ENTRY. */
struct entry_body {
	uint64_t ballot;  /* 0: nothing was accepted there */
	uint64_t highest; /* of the slots where something was */
};

struct peer {
	uint64_t nonce; /* the latest known */
	uint64_t have;
	uint64_t committed;
};

struct quorum {
	struct protocol_config config;
	struct stamp stamp;
	enum phase phase;
	uint64_t ballot; /* the highest known */
	uint64_t nonce;	 /* of the recovery under way */
	uint64_t target; /* slots to have before the first vote */
	uint64_t proposed;
	uint64_t have; /* accepted under `ballot`, without gaps */
	uint64_t highest;
	uint64_t commit_seen; /* COMMIT under `ballot` */
	uint64_t committed;
	uint64_t delivered;
	uint64_t executed;
	uint64_t fetching; /* the slot that is asked for */
	uint64_t resend_ns;
	uint16_t resend_peer; /* next in this round; 0: none is left */
	uint32_t arena_used;
	struct batch open;
	struct peer peers[REPLICAS_MAX];
	struct admission *admissions;
	struct slot *slots; /* of slot s: s - 1 */
	uint8_t *arena;
};

static uint32_t
majority(const struct quorum *q)
{
	return q->config.replicas_count / 2u + 1;
}

static bool
is_proposer(const struct quorum *q)
{
	return q->config.self == 0;
}

static struct slot *
slot_at(struct quorum *q, uint64_t s)
{
	return &q->slots[s - 1];
}

static uint64_t
others(const struct quorum *q)
{
	return ((1ull << q->config.replicas_count) - 1) & ~(1ull << q->config.self);
}

static uint32_t
claims_per_message(const struct protocol_config *config)
{
	(void)config;
	return 2;
}

static size_t
size(const struct protocol_config *config)
{
	return sizeof(struct quorum) + config->slots_count * sizeof(struct admission) +
	       QUORUM_LOG_MAX * sizeof(struct slot) + ARENA_SIZE + config->batch_size_max;
}

static void
init(void *self, const struct protocol_config *config)
{
	struct quorum *q = self;
	q->config = *config;
	q->stamp =
	    (struct stamp){config->cluster, config->self, config->replicas_count, config->protocol};
	q->slots = (struct slot *)(q + 1);
	q->admissions = (struct admission *)(q->slots + QUORUM_LOG_MAX);
	q->arena = (uint8_t *)(q->admissions + config->slots_count);
	q->open.data = q->arena + ARENA_SIZE;
	q->open.capacity = config->batch_size_max;
	q->ballot = is_proposer(q) ? FIRST_BALLOT : 0;
	if (!config->restarted)
		return;
	q->phase = is_proposer(q) ? PHASE_FETCHING : PHASE_RECOVERING;
	if (quorum_mutant == QUORUM_VOTE_AGAIN && !is_proposer(q))
		q->phase = PHASE_NORMAL;
}

/* ---- Messages --------------------------------------------------------------- */

static uint32_t
body_size_min(uint8_t type)
{
	switch (type) {
	case QUORUM_ACK:
		return sizeof(struct ack_body);
	case QUORUM_ENTRY:
		return sizeof(struct entry_body);
	case QUORUM_RECOVERED:
		return sizeof(uint64_t);
	default:
		return 0;
	}
}

static enum verdict
screen(const void *self, const struct message *m, struct claims *claims)
{
	const struct quorum *q = self;
	const struct message_header *h = m->header;
	if (h->type == MESSAGE_REQUEST) {
		if (h->proof != q->config.request_proof || h->sender >= q->config.slots_count ||
		    h->size > q->config.request_size_max)
			return VERDICT_DROP;
		claims_add_message(claims, m, KEY_CLIENT + h->sender, q->config.self);
		return VERDICT_STEP;
	}
	if (h->type < QUORUM_PROPOSE || h->type > QUORUM_ENTRY ||
	    h->proof != q->config.protocol_proof || h->sender >= q->config.replicas_count ||
	    h->sender == q->config.self || m->body_size < body_size_min(h->type))
		return VERDICT_DROP;
	if (h->seq > QUORUM_LOG_MAX)
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, q->config.self);
	return VERDICT_STEP;
}

/* Writes a message of the protocol; returns where its body goes. */
static uint8_t *
post(struct quorum *q, struct outbox *out, uint64_t to, const struct letter *letter)
{
	struct letter full = *letter;
	full.proof = q->config.protocol_proof;
	full.instance = q->config.instance;
	return outbox_write(out, outbox_send(out, to), &q->stamp, &full);
}

static void
propose_send(struct quorum *q, uint64_t s, uint64_t to, struct outbox *out)
{
	const struct slot *slot = slot_at(q, s);
	uint8_t *body = post(q, out, to,
	    &(struct letter){
		.type = QUORUM_PROPOSE, .body_size = slot->size, .view = q->ballot, .seq = s});
	if (slot->size > 0)
		memcpy(body, slot->data, slot->size);
}

static void
commit_send(struct quorum *q, uint64_t to, struct outbox *out)
{
	post(q, out, to,
	    &(struct letter){.type = QUORUM_COMMIT, .view = q->ballot, .seq = q->committed});
}

static void
ack_send(struct quorum *q, uint64_t s, struct outbox *out)
{
	struct ack_body ack = {q->committed, q->have, q->phase == PHASE_NORMAL, q->nonce};
	uint8_t *body = post(q, out, 1,
	    &(struct letter){
		.type = QUORUM_ACK, .body_size = sizeof(ack), .view = q->ballot, .seq = s});
	memcpy(body, &ack, sizeof(ack));
}

/* ---- The log ------------------------------------------------------------------ */

/* A copy in the arena. False: it is full. */
static bool
slot_store(struct quorum *q, uint64_t s, const uint8_t *data, uint32_t data_size)
{
	struct slot *slot = slot_at(q, s);
	uint32_t padded = batch_padded(data_size);
	if (padded > ARENA_SIZE - q->arena_used)
		return false;
	slot->data = q->arena + q->arena_used;
	slot->size = data_size;
	memcpy(slot->data, data, data_size);
	q->arena_used += padded;
	q->highest = s > q->highest ? s : q->highest;
	return true;
}

static bool
delivery_due(const struct quorum *q)
{
	return q->phase == PHASE_NORMAL && q->delivered < q->committed &&
	       q->delivered < q->executed + q->config.window;
}

static void
deliver(struct quorum *q, struct outbox *out)
{
	for (uint32_t i = 0; i < DELIVERIES_PER_STEP - 1 && delivery_due(q); i++) {
		const struct slot *slot = slot_at(q, ++q->delivered);
		struct delivery *d = outbox_deliver(out);
		d->seq = q->delivered;
		d->batch = slot->data;
		d->batch_size = slot->size;
	}
}

/* A backup knows that what it has accepted under the proposer's ballot is committed. */
static void
backup_commit(struct quorum *q)
{
	while (q->have < QUORUM_LOG_MAX && slot_at(q, q->have + 1)->ballot == q->ballot)
		q->have++;
	uint64_t upto = q->commit_seen < q->have ? q->commit_seen : q->have;
	if (quorum_mutant == QUORUM_EXECUTE_EARLY)
		upto = q->have;
	q->committed = upto > q->committed ? upto : q->committed;
}

static void
ballot_raise(struct quorum *q, uint64_t ballot)
{
	if (ballot <= q->ballot)
		return;
	q->ballot = ballot;
	q->have = 0;
	q->commit_seen = 0;
	/* The proposer lost its memory while we were catching up: ask anew. */
	if (q->phase == PHASE_CATCHING) {
		q->phase = PHASE_RECOVERING;
		q->nonce = 0;
		q->resend_ns = 0;
	}
}

/* ---- The proposer --------------------------------------------------------------- */

static bool
committed_by(const struct quorum *q, const struct slot *slot)
{
	uint32_t votes = (uint32_t)__builtin_popcountll(slot->votes);
	uint32_t need = majority(q);
	if (quorum_mutant == QUORUM_VOTES_TWICE)
		votes = slot->votes_count;
	if (quorum_mutant == QUORUM_ONE_SHORT)
		need--;
	return votes >= need || quorum_mutant == QUORUM_EXECUTE_EARLY;
}

static void
proposer_commit(struct quorum *q, struct outbox *out)
{
	uint64_t before = q->committed;
	while (q->committed < q->proposed && committed_by(q, slot_at(q, q->committed + 1)))
		q->committed++;
	if (q->committed > before && q->config.replicas_count > 1)
		commit_send(q, others(q), out);
}

/* Of the mutant that does not wait for the result. */
static void
reply_early(struct quorum *q, struct outbox *out)
{
	struct batch_cursor cursor = batch_cursor(q->open.data, q->open.size);
	struct message_scope scope = {
	    q->config.cluster, q->config.replicas_count, q->config.protocol};
	struct message m;
	for (uint32_t i = 0; i < SENDS_PER_STEP - 3 && !batch_cursor_done(&cursor); i++) {
		if (!batch_next(&cursor, &scope, &m))
			return;
		struct letter letter = {
		    .type = MESSAGE_REPLY,
		    .proof = q->config.reply_proof,
		    .instance = m.header->sender,
		    .body_size = REPLY_EARLY_SIZE,
		    .seq = m.header->seq,
		};
		struct send *s = outbox_send_client(out, m.header->sender);
		memset(outbox_write(out, s, &q->stamp, &letter), 0, REPLY_EARLY_SIZE);
	}
}

static bool
proposer_has_room(const struct quorum *q)
{
	return q->phase == PHASE_NORMAL && q->proposed < q->committed + q->config.window &&
	       q->proposed < QUORUM_LOG_MAX && ARENA_SIZE - q->arena_used >= q->open.capacity;
}

static void
propose(struct quorum *q, struct outbox *out)
{
	uint64_t s = ++q->proposed;
	struct slot *slot = slot_at(q, s);
	check(slot_store(q, s, q->open.data, q->open.size));
	slot->ballot = q->ballot;
	slot->votes = 1;
	slot->votes_count = 1;
	if (quorum_mutant == QUORUM_REPLY_EARLY)
		reply_early(q, out);
	q->open.size = 0;
	q->open.count = 0;
	if (q->config.replicas_count > 1)
		propose_send(q, s, others(q), out);
	proposer_commit(q, out);
}

static void
recall(const struct message *m, struct outbox *out)
{
	struct delivery *d = outbox_deliver(out);
	d->kind = DELIVERY_RECALL;
	d->client = m->header->sender;
	d->timestamp = m->header->seq;
}

static void
on_request(struct quorum *q, const struct message *m, struct outbox *out)
{
	struct admission *a = &q->admissions[m->header->sender];
	uint64_t timestamp = m->header->seq;
	if (timestamp != 0 && timestamp == a->executed) {
		recall(m, out);
		return;
	}
	if (!is_proposer(q) || q->phase != PHASE_NORMAL)
		return;
	bool fresh = admission_admit(a, timestamp) == ADMISSION_NEW;
	if (!fresh && (quorum_mutant != QUORUM_NO_DEDUP || timestamp < a->executed))
		return;
	if (!batch_fits(&q->open, m) || q->open.count == q->config.batch_count_max) {
		if (!proposer_has_room(q)) {
			admission_withdraw(a, timestamp);
			return;
		}
		propose(q, out);
	}
	batch_append(&q->open, m);
}

static void
on_ack(struct quorum *q, const struct message *m, struct outbox *out)
{
	uint16_t i = m->header->sender;
	struct peer *peer = &q->peers[i];
	struct ack_body ack;
	memcpy(&ack, m->body, sizeof(ack));
	if (!is_proposer(q) || q->phase != PHASE_NORMAL || m->header->view != q->ballot ||
	    ack.have > q->proposed || ack.nonce < peer->nonce)
		return;
	if (ack.nonce > peer->nonce)
		*peer = (struct peer){.nonce = ack.nonce};
	for (uint64_t s = q->committed + 1; ack.normal && s <= q->proposed; s++) {
		if (s <= ack.have || s == m->header->seq) {
			slot_at(q, s)->votes |= 1ull << i;
			slot_at(q, s)->votes_count++;
		}
	}
	peer->have = ack.have > peer->have ? ack.have : peer->have;
	peer->committed = ack.committed > peer->committed ? ack.committed : peer->committed;
	proposer_commit(q, out);
}

/* "All that it may have voted for": up to what has been proposed when it asks. */
static void
on_recover(struct quorum *q, const struct message *m, struct outbox *out)
{
	uint16_t i = m->header->sender;
	if (!is_proposer(q) || q->phase != PHASE_NORMAL || m->header->view < q->peers[i].nonce)
		return;
	q->peers[i] = (struct peer){.nonce = m->header->view};
	for (uint64_t s = q->committed + 1; s <= q->proposed; s++)
		slot_at(q, s)->votes &= ~(1ull << i);
	uint8_t *body = post(q, out, 1ull << i,
	    &(struct letter){.type = QUORUM_RECOVERED,
		.body_size = sizeof(uint64_t),
		.view = q->ballot,
		.seq = q->proposed});
	memcpy(body, &m->header->view, sizeof(uint64_t));
}

static void
fetch_send(struct quorum *q, struct outbox *out)
{
	post(q, out, others(q),
	    &(struct letter){.type = QUORUM_FETCH, .view = q->ballot, .seq = q->fetching});
}

/* So many must tell that one of them was in every majority that has committed. */
static uint32_t
fetch_need(const struct quorum *q)
{
	uint32_t need = q->config.replicas_count - majority(q) + 1;
	return quorum_mutant == QUORUM_FETCH_SHORT ? need - 1 : need;
}

/* All is known: everything is proposed again, under the new ballot. */
static void
fetch_end(struct quorum *q)
{
	q->phase = PHASE_NORMAL;
	q->proposed = q->highest;
	for (uint64_t s = 1; s <= q->proposed; s++) {
		struct slot *slot = slot_at(q, s);
		slot->ballot = q->ballot;
		slot->votes = 1;
		slot->votes_count = 1;
	}
	q->resend_ns = 0;
}

static void
on_entry(struct quorum *q, const struct message *m, struct outbox *out)
{
	struct entry_body entry;
	memcpy(&entry, m->body, sizeof(entry));
	if (q->phase != PHASE_FETCHING || m->header->view != q->ballot ||
	    m->header->seq != q->fetching || entry.highest > QUORUM_LOG_MAX)
		return;
	struct slot *slot = slot_at(q, q->fetching);
	bool better = entry.ballot > slot->ballot;
	if (quorum_mutant == QUORUM_ANY_BALLOT)
		better = slot->ballot == 0 && entry.ballot > 0;
	if (better) {
		check(slot_store(q, q->fetching, m->body + sizeof(entry),
		    m->body_size - (uint32_t)sizeof(entry)));
		slot->ballot = entry.ballot;
	}
	q->highest = entry.highest > q->highest ? entry.highest : q->highest;
	slot->answers |= 1ull << m->header->sender;
	if ((uint32_t)__builtin_popcountll(slot->answers) < fetch_need(q))
		return;
	if (q->fetching >= q->highest) {
		fetch_end(q);
		return;
	}
	q->fetching++;
	fetch_send(q, out);
}

/* ---- Backups ---------------------------------------------------------------------- */

static void
on_propose(struct quorum *q, const struct message *m, struct outbox *out)
{
	uint64_t s = m->header->seq;
	if (is_proposer(q) || q->phase == PHASE_RECOVERING || m->header->sender != 0 || s == 0)
		return;
	if (m->header->view < q->ballot && quorum_mutant != QUORUM_OLD_BALLOT)
		return;
	ballot_raise(q, m->header->view);
	if (q->phase == PHASE_RECOVERING)
		return;
	struct slot *slot = slot_at(q, s);
	if (slot->ballot != q->ballot) {
		/* What was delivered stays: the executor reads it, and it is the same. */
		if (s > q->delivered && !slot_store(q, s, m->body, m->body_size))
			return;
		slot->ballot = q->ballot;
	}
	backup_commit(q);
	if (q->phase == PHASE_CATCHING && q->have >= q->target)
		q->phase = PHASE_NORMAL;
	ack_send(q, s, out);
}

static void
on_commit(struct quorum *q, const struct message *m, struct outbox *out)
{
	if (is_proposer(q) || q->phase == PHASE_RECOVERING || m->header->sender != 0 ||
	    m->header->view != q->ballot)
		return;
	q->commit_seen = m->header->seq > q->commit_seen ? m->header->seq : q->commit_seen;
	backup_commit(q);
	ack_send(q, 0, out);
}

static void
on_recovered(struct quorum *q, const struct message *m, struct outbox *out)
{
	uint64_t nonce;
	memcpy(&nonce, m->body, sizeof(nonce));
	if (q->phase != PHASE_RECOVERING || m->header->sender != 0 || nonce != q->nonce ||
	    m->header->view < q->ballot)
		return;
	ballot_raise(q, m->header->view);
	q->target = m->header->seq;
	q->phase = q->have >= q->target ? PHASE_NORMAL : PHASE_CATCHING;
	ack_send(q, 0, out);
}

static void
on_fetch(struct quorum *q, const struct message *m, struct outbox *out)
{
	uint64_t s = m->header->seq;
	if (is_proposer(q) || q->phase != PHASE_NORMAL || m->header->sender != 0 ||
	    m->header->view < q->ballot || s == 0)
		return;
	ballot_raise(q, m->header->view);
	const struct slot *slot = slot_at(q, s);
	struct entry_body entry = {slot->ballot, q->highest};
	uint8_t *body = post(q, out, 1,
	    &(struct letter){.type = QUORUM_ENTRY,
		.body_size = (uint32_t)sizeof(entry) + slot->size,
		.view = q->ballot,
		.seq = s});
	memcpy(body, &entry, sizeof(entry));
	if (slot->size > 0)
		memcpy(body + sizeof(entry), slot->data, slot->size);
}

static void
on_message(struct quorum *q, const struct message *m, struct outbox *out)
{
	switch (m->header->type) {
	case MESSAGE_REQUEST:
		on_request(q, m, out);
		break;
	case QUORUM_PROPOSE:
		on_propose(q, m, out);
		break;
	case QUORUM_ACK:
		on_ack(q, m, out);
		break;
	case QUORUM_COMMIT:
		on_commit(q, m, out);
		break;
	case QUORUM_RECOVER:
		on_recover(q, m, out);
		break;
	case QUORUM_RECOVERED:
		on_recovered(q, m, out);
		break;
	case QUORUM_FETCH:
		on_fetch(q, m, out);
		break;
	case QUORUM_ENTRY:
		on_entry(q, m, out);
		break;
	default:
		break;
	}
}

/* ---- Time --------------------------------------------------------------------------- */

static uint64_t
resend_interval_ns(const struct quorum *q)
{
	return q->config.retry_ns / 2;
}

/* One backup a step gets what it lacks, as far as we know. */
static void
resend_to(struct quorum *q, uint16_t i, struct outbox *out)
{
	const struct peer *peer = &q->peers[i];
	uint64_t s = peer->have + 1;
	for (uint32_t sent = 0; sent < RESENDS_PER_STEP && s <= q->proposed; s++, sent++)
		propose_send(q, s, 1ull << i, out);
	if (peer->committed < q->committed)
		commit_send(q, 1ull << i, out);
}

static void
recovery_send(struct quorum *q, uint64_t now_ns, struct outbox *out)
{
	if (q->phase == PHASE_FETCHING) {
		if (q->fetching == 0) {
			q->ballot = now_ns + FIRST_BALLOT + 1;
			q->fetching = 1;
			if (quorum_mutant == QUORUM_PROPOSE_AGAIN) {
				q->phase = PHASE_NORMAL;
				return;
			}
		}
		fetch_send(q, out);
		return;
	}
	if (q->nonce == 0)
		q->nonce = now_ns + 1;
	post(q, out, 1, &(struct letter){.type = QUORUM_RECOVER, .view = q->nonce});
}

static void
on_timeout(struct quorum *q, const struct event *event, struct outbox *out)
{
	deliver(q, out);
	if (is_proposer(q) && proposer_has_room(q) &&
	    (q->open.count > 0 || event->frontier > q->proposed)) {
		propose(q, out);
		return;
	}
	if (q->resend_peer > 0) {
		resend_to(q, q->resend_peer, out);
		q->resend_peer = (uint16_t)((q->resend_peer + 1) % q->config.replicas_count);
		return;
	}
	if (event->now_ns < q->resend_ns)
		return;
	q->resend_ns = event->now_ns + resend_interval_ns(q);
	if (q->phase == PHASE_FETCHING || q->phase == PHASE_RECOVERING)
		recovery_send(q, event->now_ns, out);
	else if (is_proposer(q) && q->config.replicas_count > 1)
		q->resend_peer = 1;
}

static void
on_executed(struct quorum *q, const struct executed *executed, struct outbox *out)
{
	for (uint32_t i = 0; i < executed->results_count; i++) {
		const struct result *result = &executed->results[i];
		if (result->flags & (RESULT_STALE | RESULT_NEW))
			continue;
		bool lost = (result->flags & RESULT_LOST) != 0;
		struct letter letter = {
		    .type = lost ? MESSAGE_REPLY_LOST : MESSAGE_REPLY,
		    .proof = q->config.reply_proof,
		    .instance = result->client,
		    .body_size = lost ? 0 : result->size,
		    .seq = result->timestamp,
		};
		admission_executed(&q->admissions[result->client], result->timestamp);
		struct send *s = outbox_send_client(out, result->client);
		memcpy(outbox_write(out, s, &q->stamp, &letter), result->data, letter.body_size);
	}
	if (executed->seq == 0 || !executed->last)
		return;
	check(executed->seq == q->executed + 1);
	q->executed = executed->seq;
}

static void
step(void *self, const struct event *event, struct outbox *out)
{
	struct quorum *q = self;
	switch (event->type) {
	case EVENT_MESSAGE:
		on_message(q, event->message, out);
		break;
	case EVENT_TIMEOUT:
		on_timeout(q, event, out);
		break;
	case EVENT_EXECUTED:
		on_executed(q, &event->executed, out);
		break;
	case EVENT_STATE:
	case EVENT_SUBMIT:
		break;
	}
}

static bool
resend_needed(const struct quorum *q)
{
	if (q->phase == PHASE_FETCHING || q->phase == PHASE_RECOVERING)
		return true;
	for (uint16_t i = 1; is_proposer(q) && i < q->config.replicas_count; i++) {
		if (q->peers[i].have < q->proposed || q->peers[i].committed < q->committed)
			return true;
	}
	return false;
}

static uint64_t
deadline(const void *self)
{
	const struct quorum *q = self;
	if (delivery_due(q) || q->resend_peer > 0)
		return 0;
	if (is_proposer(q) && q->open.count > 0 && proposer_has_room(q))
		return 0;
	return resend_needed(q) ? q->resend_ns : TIME_NEVER;
}

static void
audit(const void *self)
{
	const struct quorum *q = self;
	check(q->executed <= q->delivered);
	check(q->delivered <= q->executed + q->config.window);
	check(q->delivered <= q->committed);
	check(q->committed <= (is_proposer(q) ? q->proposed : q->highest));
	check(q->proposed <= QUORUM_LOG_MAX);
}

static uint64_t
zero(const void *self)
{
	(void)self;
	return 0;
}

static const struct machine quorum_replica = {
    .sends_per_step = SENDS_PER_STEP,
    .large_per_step = LARGE_PER_STEP,
    .deliveries_per_step = DELIVERIES_PER_STEP,
    .completions_per_step = 0,
    .claims_per_message = claims_per_message,
    .size = size,
    .init = init,
    .screen = screen,
    .step = step,
    .deadline = deadline,
    .audit = audit,
    .view = zero,
    .retransmissions = zero,
};

const struct protocol quorum_protocol = {
    .name = "quorum",
    .replicas_per_fault = 2,
    .replicas_base = 1,
    .replica = &quorum_replica,
    .client = &quorum_client,
};

const char *
quorum_mutant_name(enum quorum_mutant mutant)
{
	static const char *const names[QUORUM_MUTANTS_COUNT] = {
	    [QUORUM_RIGHT] = "none",
	    [QUORUM_ONE_SHORT] = "quorum one short",
	    [QUORUM_VOTES_TWICE] = "duplicate votes counted",
	    [QUORUM_NO_DEDUP] = "no dedup of requests",
	    [QUORUM_EXECUTE_EARLY] = "execute before commit",
	    [QUORUM_REPLY_EARLY] = "reply before execution",
	    [QUORUM_VOTE_AGAIN] = "restarted backup votes again",
	    [QUORUM_PROPOSE_AGAIN] = "restarted proposer proposes again",
	    [QUORUM_FETCH_SHORT] = "recovery asks one too few",
	    [QUORUM_ANY_BALLOT] = "recovery ignores ballots",
	    [QUORUM_OLD_BALLOT] = "old ballots accepted",
	};
	return names[mutant];
}

const char *
quorum_type_name(uint8_t type)
{
	static const char *const names[] = {
	    "PROPOSE", "ACK", "COMMIT", "RECOVER", "RECOVERED", "FETCH-LOG", "ENTRY"};
	return type >= QUORUM_PROPOSE && type <= QUORUM_ENTRY ? names[type - QUORUM_PROPOSE] : NULL;
}
