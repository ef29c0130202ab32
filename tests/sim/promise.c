/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What correct replicas may send, as far as it can be seen from outside: votes,
 * checkpoints, views that were given up, certificates. Which messages are which
 * is a protocol's row in sim_modes.c. See oracle.h, votes.h. One thread.
 */
#include <inttypes.h>

#include "engine/quorum.h"
#include "sim.h"

/* What promises are about, beside votes of a type. */
enum { ABOUT_CERTIFICATE = 0x100, ABOUT_GIVEN_UP = 0x101 };

static uint64_t
about(uint16_t instance, uint32_t type, uint64_t who, uint64_t view)
{
	return random_mix(random_mix(who << 32 | (uint64_t)instance << 16 | type) ^ view);
}

static uint64_t
with_seq(uint64_t about, uint64_t seq)
{
	return random_mix(about ^ seq * 0x9e3779b97f4a7c15ull);
}

static bool
has(uint32_t types, uint8_t type)
{
	return (types >> (type - MESSAGE_PROTOCOL) & 1) != 0;
}

/* What is promised about a view: a sequence number (or height) and a digest. */
static uint64_t
content(uint64_t seq, const uint8_t *digest32)
{
	return random_mix(seq) ^ packet_hash(digest32, DIGEST_SIZE);
}

/* One digest for a view and sequence number, or for a view. */
static void
vote_judge(struct oracle *o, uint16_t node, const struct message_header *h)
{
	const struct sim_knowledge *known = o->sim->config->protocol.known;
	uint64_t digest = packet_hash(h->digest, sizeof(h->digest));
	uint64_t view = about(h->instance, h->type, node, h->view);
	uint64_t given_up = *votes_word(&o->votes, about(h->instance, ABOUT_GIVEN_UP, node, 0));
	bool known_vote = votes_hold(&o->votes, view, content(h->seq, h->digest));
	bool ok = true;
	if (has(known->slot_votes, h->type))
		ok = votes_add(&o->votes, with_seq(view, h->seq), digest);
	if (has(known->view_votes, h->type))
		ok = votes_add(&o->votes, view, content(h->seq, h->digest));
	if (!ok)
		sim_fail(o->sim,
		    "two votes: replica %u sends another digest for type %u in view %" PRIu64
		    " at %" PRIu64 " of instance %u",
		    node, h->type, h->view, h->seq, h->instance);
	if (known->timeout_type != 0 && h->type == known->vote_type && !known_vote &&
	    given_up > h->view)
		sim_fail(o->sim,
		    "late vote: replica %u votes in view %" PRIu64 ", but gave up view %" PRIu64
		    " before",
		    node, h->view, given_up - 1);
}

/* A replica gives a view up; of those that are to be live in the end, it counts. */
static void
timeout_judge(struct oracle *o, uint16_t node, const struct message_header *h)
{
	struct sim *sim = o->sim;
	uint64_t *given_up = votes_word(&o->votes, about(h->instance, ABOUT_GIVEN_UP, node, 0));
	if (h->view >= *given_up)
		*given_up = h->view + 1; /* 0: none yet */
	const struct sim_knowledge *known = sim->config->protocol.known;
	if (!known->rotates || (sim->core >> node & 1) == 0)
		return;
	/* The next leader could have kept to himself that it was a success. */
	uint64_t leaders = 1ull << known->leader(&sim->plan.protocol, h->instance, h->view) |
			   1ull << known->leader(&sim->plan.protocol, h->instance, h->view + 1);
	if (h->view < o->failed_next[h->instance])
		return;
	o->failed_next[h->instance] = h->view + 1;
	bool healthy = (leaders & ~sim->core) == 0;
	o->views_failed++;
	o->views_failed_core += healthy;
	uint64_t *healed = &o->failed_healed[h->instance];
	*healed += healthy && sim->now_ns >= sim->around.horizon_ns;
	if (*healed > o->views_failed_healed)
		o->views_failed_healed = *healed;
}

/* Has this replica done what the certificate says of it? */
static bool
signer_judge(struct oracle *o, uint16_t signer, const struct sim_certificate *c)
{
	uint8_t vote_type = o->sim->config->protocol.known->vote_type;
	if ((o->sim->liars >> signer & 1) != 0)
		return true;
	if (c->timeout)
		return *votes_word(&o->votes, about(c->instance, ABOUT_GIVEN_UP, signer, 0)) >
		       c->view;
	return votes_hold(&o->votes, about(c->instance, vote_type, signer, c->view),
	    content(c->seq, c->digest32));
}

/*
 * Every certificate that a correct replica passes on has as many signers as it
 * needs, the correct ones of them have said so, and there is one for a view.
 */
static void
certificate_judge(void *context, const struct sim_certificate *c)
{
	struct oracle *o = context;
	struct sim *sim = o->sim;
	uint32_t needed = quorum_size(sim->replicas_count, sim->options.faults);
	if ((c->signers & ~quorum_everybody(sim->replicas_count)) != 0 ||
	    quorum_count(c->signers) < needed)
		sim_fail(sim,
		    "certificates: one of view %" PRIu64 " has signers %" PRIx64 ", needs %u",
		    c->view, c->signers, needed);
	for (uint64_t left = c->signers; left != 0; left &= left - 1) {
		uint16_t i = (uint16_t)__builtin_ctzll(left);
		if (!signer_judge(o, i, c))
			sim_fail(sim,
			    "certificates: replica %u is named for view %" PRIu64 " at %" PRIu64
			    ", but has not said so",
			    i, c->view, c->seq);
	}
	if (!c->timeout && !votes_add(&o->votes, about(c->instance, ABOUT_CERTIFICATE, 0, c->view),
			       content(c->seq, c->digest32)))
		sim_fail(sim, "certificates: two for view %" PRIu64 " of instance %u", c->view,
		    c->instance);
}

static void
checkpoint_judge(struct oracle *o, uint16_t node, const struct message_header *h)
{
	uint64_t digest = packet_hash(h->digest, sizeof(h->digest));
	uint64_t seq = with_seq(about(h->instance, h->type, UINT16_MAX, 0), h->seq);
	if (!votes_add(&o->votes, seq, digest))
		sim_fail(o->sim,
		    "checkpoints: replica %u has another digest after %" PRIu64 " of instance %u",
		    node, h->seq, h->instance);
}

void
oracle_sent(struct oracle *o, uint16_t node, const struct message_header *header)
{
	const struct sim_knowledge *known = o->sim->config->protocol.known;
	uint32_t type = (uint32_t)header->type - MESSAGE_PROTOCOL;
	struct message m;
	if (type >= 32 || header->sender != node)
		return;
	if (has(known->slot_votes | known->view_votes, header->type))
		vote_judge(o, node, header);
	if (known->checkpoint_type != 0 && header->type == known->checkpoint_type)
		checkpoint_judge(o, node, header);
	if (known->timeout_type != 0 && header->type == known->timeout_type)
		timeout_judge(o, node, header);
	if (known->certificates == NULL)
		return;
	check(message_parse(&o->scope, (const void *)header, header->size, &m) == PARSE_OK);
	known->certificates(&m, certificate_judge, o);
}
