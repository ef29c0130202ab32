/* SPDX-License-Identifier: Apache-2.0 */
/* The replica's memory: its log, and how the machine's bytes are divided. See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

/* ---- the log ------------------------------------------------------------------ */

struct slot *
ledger_slot(struct zyzzyva *r, uint64_t seq)
{
	struct slot *s = &r->slots[seq % r->slots_count];
	check(ledger_holds(r, seq));
	if (!s->used || s->seq != seq) {
		check(!s->used || s->seq < seq);
		memset(s, 0, sizeof(*s));
		memset(ledger_statement(r, s, 0), 0,
		    r->me.config.replicas_count * sizeof(struct statement));
		s->used = true;
		s->seq = seq;
	}
	return s;
}

struct bank *
ledger_bank(const struct slot *s, const uint8_t *digest32)
{
	for (uint32_t i = 0; i < ZYZZYVA_BANKS; i++) {
		if (s->banks[i].full && digest_equal(s->banks[i].digest32, digest32))
			return (struct bank *)(uintptr_t)&s->banks[i];
	}
	return NULL;
}

uint8_t *
ledger_bytes(const struct zyzzyva *r, const struct slot *s, const struct bank *bank)
{
	size_t place = (size_t)(s - r->slots) * ZYZZYVA_BANKS + (size_t)(bank - s->banks);
	return r->bodies + place * r->body_size_max;
}

/* Part of our history, of the one that a view begins with, or of this view's ORDER-REQ. */
static bool
bank_is_needed(const struct zyzzyva *r, const struct slot *s, const struct bank *b)
{
	const struct pending *p = &r->pending;
	return (s->seq <= r->top && digest_equal(b->digest32, s->history32)) ||
	       (p->present && s->seq > p->at && s->seq <= p->top &&
		   digest_equal(b->digest32, s->chain32)) ||
	       (slot_is_ordered(r, s) && digest_equal(b->digest32, s->order.digest));
}

/*
 * The oldest of those that are not needed goes. While the state moves none does:
 * the executor may still be reading a batch that is being undone.
 */
bool
ledger_store(struct zyzzyva *r, struct slot *s, const struct message *m)
{
	struct bank *place = NULL;
	if (ledger_bank(s, m->header->digest) != NULL)
		return true;
	for (uint32_t i = 0; i < ZYZZYVA_BANKS; i++) {
		struct bank *b = &s->banks[i];
		if (b->full && (r->moving || bank_is_needed(r, s, b)))
			continue;
		if (place == NULL || !b->full || (place->full && b->view < place->view))
			place = b;
	}
	if (place == NULL)
		return false;
	*place = (struct bank){.size = m->body_size, .full = true};
	memcpy(place->digest32, m->header->digest, 32);
	memcpy(ledger_bytes(r, s, place), m->body, m->body_size);
	return true;
}

/* ---- memory -------------------------------------------------------------------- */

uint32_t
ledger_claims_max(const struct protocol_config *config)
{
	uint32_t order = 2 + 2 * config->batch_count_max;
	uint32_t change = 3 + 2u * config->replicas_count;
	return order > change ? order : change;
}

struct layout {
	size_t requests, slots, statements, proofs, told, asks, commits, changes, view, bodies, end;
	size_t change_size, view_size, body_size;
};

static struct layout
layout_of(const struct protocol_config *c)
{
	struct layout l;
	size_t slots = 3ull * c->checkpoint_interval + 1;
	size_t n = c->replicas_count;
	l.change_size = bft_rounded(leave_size_max(c));
	l.view_size = bft_rounded(leave_new_view_size_max(c));
	l.body_size = 32 + c->batch_size_max;
	l.requests = bft_rounded(sizeof(struct zyzzyva));
	l.slots = l.requests + requests_size(c);
	l.statements = bft_rounded(l.slots + slots * sizeof(struct slot));
	l.proofs = bft_rounded(l.statements + slots * n * sizeof(struct statement));
	l.told = bft_rounded(l.proofs + slots * proof_size(c->protocol_proof, c->replicas_count));
	l.asks = bft_rounded(l.told + c->slots_count * sizeof(struct told));
	l.commits = bft_rounded(l.asks + c->slots_count * sizeof(uint16_t));
	l.changes = bft_rounded(l.commits + c->slots_count * sizeof(uint16_t));
	l.view = l.changes + 2 * n * l.change_size;
	l.bodies = l.view + l.view_size;
	l.end = l.bodies + slots * ZYZZYVA_BANKS * l.body_size;
	return l;
}

size_t
ledger_size(const struct protocol_config *config)
{
	return layout_of(config).end;
}

uint32_t
ledger_message_max(const struct protocol_config *config)
{
	uint32_t change = leave_size_max(config);
	uint32_t certificate =
	    (uint32_t)(sizeof(struct message_header) + sizeof(struct stable_head)) +
	    (uint32_t)config->replicas_count *
		(uint32_t)(sizeof(struct stable_signature) + MAC_SIZE) +
	    SIGNATURE_SIZE;
	return change > certificate ? change : certificate;
}

void
ledger_init(struct zyzzyva *r)
{
	const struct protocol_config *c = &r->me.config;
	const struct layout layout = layout_of(c);
	const struct layout *l = &layout;
	uint8_t *base = (uint8_t *)r;
	r->slots = (void *)(base + l->slots);
	r->statements = (void *)(base + l->statements);
	r->proofs = base + l->proofs;
	r->proof_size = proof_size(c->protocol_proof, c->replicas_count);
	r->told = (void *)(base + l->told);
	r->asks = (void *)(base + l->asks);
	r->commits = (void *)(base + l->commits);
	r->bodies = base + l->bodies;
	r->body_size_max = (uint32_t)l->body_size;
	for (uint32_t i = 0; i < c->replicas_count; i++) {
		r->now[i].message = (void *)(base + l->changes + 2 * i * l->change_size);
		r->next[i].message = (void *)(base + l->changes + (2 * i + 1) * l->change_size);
	}
	r->offered.message = (void *)(base + l->view);
	r->changes_size = leave_size_max(c);
	r->new_view_size = leave_new_view_size_max(c);
	requests_init(&r->requests, &r->me, base + l->requests);
}
