/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A liar that plays by a script: who leads the first views, whom replica 0 shows
 * its proposals of them, and which certificates it builds them upon. In these
 * views it says nothing else of its own, but echoes votes and TIMEOUTs of others,
 * whatever it voted for itself, and never tells in a TIMEOUT what it voted for: so
 * two correct replicas go on with it as a quorum, or to a timeout certificate,
 * without what the third one knows. Four replicas; the protocol must be built with
 * its mutants, for the leaders are scripted.
 */
#ifndef OSKR_TESTS_HOTSTUFF_SCRIPTS_H
#define OSKR_TESTS_HOTSTUFF_SCRIPTS_H

#include "tests/hotstuff_rig.h"

enum {
	SCRIPT_VIEWS = 12, /* then leaders take turns, and the liar does what is right */
	SCRIPT_AS_IT_IS = 255,
	SCRIPT_NOTED = 256,
	SCRIPT_SIGNATURES = 8,
	SCRIPT_MESSAGE = 9000,
};

struct hotstuff_script {
	uint8_t leaders[SCRIPT_VIEWS]; /* of the views from 1 on */
	uint8_t shown[SCRIPT_VIEWS];   /* who sees the liar's proposal of the view, mask */
	uint8_t upon[SCRIPT_VIEWS];    /* of which view the certificate is that it stands upon */
};

static const struct hotstuff_script *script;

static uint16_t
script_leader(uint64_t view)
{
	if (view >= 1 && view <= SCRIPT_VIEWS)
		return script->leaders[view - 1];
	return (uint16_t)(view % 4);
}

/* ---- What liars know -------------------------------------------------------------------- */

/* The certificates that went by, by view; that of view 0 has no signatures. */
static struct {
	struct qc_head head;
	uint8_t signatures[SCRIPT_SIGNATURES * SIGNATURE_SIZE];
} noted_qcs[SCRIPT_NOTED];

static inline bool
certificate_note(struct sim *sim, const struct message_header *header, uint16_t to)
{
	struct message m;
	struct hotstuff_parts parts;
	(void)to;
	if (message_parse(&sim->oracle.scope, (const void *)header, header->size, &m) != PARSE_OK ||
	    !hotstuff_parts(&m, &parts))
		return false;
	struct qc_head head = qc_head_read(m.body, &parts.qc);
	noted_qcs[head.view % SCRIPT_NOTED].head = head;
	memcpy(noted_qcs[head.view % SCRIPT_NOTED].signatures, m.body + parts.qc.signatures_at,
	    signatures_size(head.signers));
	return true;
}

/* A message that the next one is to be like. */
static uint64_t noted_message[SCRIPT_MESSAGE / 8];

static inline bool
message_note(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	check(header->size <= sizeof(noted_message));
	memcpy(noted_message, header, header->size);
	return true;
}

/* ---- What they make of it ----------------------------------------------------------------- */

/* Its sender has voted for nothing. */
static inline void
timeout_copy(struct scenario_letter *l)
{
	struct timeout_head head;
	if (!letter_copy(l, (const void *)noted_message))
		return;
	memcpy(&head, l->letter->body, sizeof(head));
	memset(&head.vote, 0, sizeof(head.vote));
	memset(head.vote_signature64, 0, sizeof(head.vote_signature64));
	memcpy(l->letter->body, &head, sizeof(head));
}

/* The same vote. */
static inline void
vote_copy(struct scenario_letter *l)
{
	letter_copy(l, (const void *)noted_message);
}

static inline void
body_move(struct lie_letter *letter, uint32_t from, uint32_t to)
{
	memmove(letter->body + to, letter->body + from, letter->body_size - from);
	letter->body_size = letter->body_size - from + to;
}

/* The block stands upon the certificate of `view`, and says that it is of `as_view`. */
static inline void
fork_make(struct scenario_letter *l, uint64_t view, uint64_t as_view, bool keep_tc)
{
	struct hotstuff_parts parts;
	struct lie_letter *letter = l->letter;
	struct block_head head;
	if (!letter_parts(l, &parts) || noted_qcs[view % SCRIPT_NOTED].head.view != view)
		return;
	struct qc_head qc = noted_qcs[view % SCRIPT_NOTED].head;
	uint32_t rest = parts.tc_at != 0 && keep_tc ? parts.tc_at : parts.batch_at;
	uint32_t size = signatures_size(qc.signers);
	if (letter->body_size - rest + parts.qc.signatures_at + size > letter->body_room)
		return;
	body_move(letter, rest, parts.qc.signatures_at + size);
	memcpy(
	    letter->body + parts.qc.signatures_at, noted_qcs[view % SCRIPT_NOTED].signatures, size);
	memcpy(&head, letter->body, sizeof(head));
	qc.view = as_view;
	head.justify = qc;
	head.has_tc = head.has_tc != 0 && keep_tc;
	memcpy(letter->body, &head, sizeof(head));
	lie_hotstuff_agree(letter);
}

/* ---- The script's rules ------------------------------------------------------------------------
 */

static inline bool
is_scripted(const struct message_header *header)
{
	return header->view >= 1 && header->view <= SCRIPT_VIEWS;
}

/* What the liar, who does what is right, would have said. It still asks for blocks. */
static inline bool
liar_is_mute(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	if (!is_scripted(header))
		return false;
	switch (header->type) {
	case HOTSTUFF_PROPOSAL:
		return (script->shown[header->view - 1] >> to & 1) == 0;
	case HOTSTUFF_VOTE:
	case HOTSTUFF_TIMEOUT:
	case HOTSTUFF_STATUS:
	case HOTSTUFF_CERTIFICATE:
		return true;
	default:
		return false;
	}
}

static inline bool
liar_forks(struct sim *sim, const struct message_header *header, uint16_t to)
{
	(void)sim;
	(void)to;
	return is_scripted(header) && script->upon[header->view - 1] != SCRIPT_AS_IT_IS;
}

static inline void
fork_as_scripted(struct scenario_letter *l)
{
	uint8_t upon = script->upon[l->letter->header->view - 1];
	fork_make(l, upon, upon, true);
}

static inline bool
liar_echoes(struct sim *sim, const struct message_header *header, uint16_t to)
{
	return is_scripted(header) && message_note(sim, header, to);
}

/* All clients ask at once, so that there are requests for some blocks one after another. */
#define SCRIPT_RUSH                                                                         \
	{.at_ns = 50 * MS},                                                                 \
	{                                                                                   \
		.type = MESSAGE_REQUEST, .from = CLIENTS, .until = 1, .act = SCENARIO_HOLD, \
		.amount = 1                                                                 \
	}

/* The liar says what the script has it say. */
#define SCRIPT_LIAR                                                                      \
	{.type = HOTSTUFF_PROPOSAL, .like = certificate_note},                           \
	{                                                                                \
		.from = R(0), .to = REPLICAS, .like = liar_is_mute, .act = SCENARIO_DROP \
	}
#define SCRIPT_FORK                                                                          \
	{                                                                                    \
		.type = HOTSTUFF_PROPOSAL, .from = R(0), .to = REPLICAS, .like = liar_forks, \
		.act = SCENARIO_MUTATE, .mutate = fork_as_scripted                           \
	}
/* Votes and gives views up with those of `with`. */
#define SCRIPT_ECHO(type_, with, mutate_)                                                    \
	{                                                                                    \
		.type = (type_), .from = (with), .like = liar_echoes, .act = SCENARIO_FORGE, \
		.fault = {.from = R(0), .to = R(1) | R(2) | R(3)}, .mutate = (mutate_)       \
	}

/* In view `view`, those in `from` are not heard by those in `to`. */
#define SCRIPT_CUT(view, from_, to_)                                                       \
	{                                                                                  \
		.kind = FAULT_VIEW_CUT, .end_ns = 1000 * MS, .from = (from_), .to = (to_), \
		.amount = 255 << 8 | (view)                                                \
	}

#endif
