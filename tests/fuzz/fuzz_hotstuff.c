/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: HotStuff under an attacker who is one replica, one client and the
 * network (fuzz_bft.h). He sees every vote, so he makes certificates where there
 * are enough of them, and leads with them; else he has those that others sent, for
 * blocks that fork, TIMEOUTs that hide what he knows, and answers to nobody's
 * question. Bytes of all of them are changed before he signs.
 */
#include "protocols/hotstuff/hotstuff.h"

#define FUZZ_MODE      "hotstuff"
#define FUZZ_TYPES_END HOTSTUFF_TYPES_END
#define FUZZ_TENTATIVE 0
#include "fuzz_bft.h"
#include "tests/sim/hotstuff_parts.h"

enum { QUORUM = 3, CERTIFICATES_MAX = 2048 };

struct certificate {
	struct qc_head head;
	uint8_t signatures[REPLICAS][SIGNATURE_SIZE];
};

/* ---- Certificates ---------------------------------------------------------------- */

static bool
kept_parse(const struct kept *k, struct message *m)
{
	return k->size > 0 &&
	       message_parse(&scope, (const uint8_t *)k->bytes, k->size, m) == PARSE_OK;
}

/* One that was sent; false: there is none in the message that was drawn. */
static bool
certificate_kept(struct certificate *c)
{
	struct hotstuff_parts parts;
	struct message m;
	if (!kept_parse(past_take(), &m) || !hotstuff_parts(&m, &parts))
		return false;
	c->head = qc_head_read(m.body, &parts.qc);
	uint32_t size = signatures_size(c->head.signers);
	if (size > sizeof(c->signatures))
		return false;
	memcpy(c->signatures, m.body + parts.qc.signatures_at, size);
	return true;
}

static void
vote_begin(const struct qc_head *head)
{
	message_begin(ATTACKER, HOTSTUFF_VOTE, PROOF_SIGNATURE);
	message->view = head->view;
	message->seq = head->height;
	memcpy(message->digest, head->digest32, DIGEST_SIZE);
}

/* The attacker's signature under a vote. */
static void
vote_sign(const struct qc_head *head, uint8_t *signature64)
{
	vote_begin(head);
	check(message_seal(ATTACKER, 0, 0));
	memcpy(signature64, body, SIGNATURE_SIZE);
}

/* Votes of others for what this one is for, and his own; false: too few. */
static bool
certificate_assemble(const struct message *vote, struct certificate *c)
{
	uint8_t found[REPLICAS][SIGNATURE_SIZE];
	c->head = (struct qc_head){.view = vote->header->view, .height = vote->header->seq};
	memcpy(c->head.digest32, vote->header->digest, DIGEST_SIZE);
	for (uint32_t i = 0; i < PAST; i++) {
		struct message m;
		if (!kept_parse(&past[i], &m) || m.header->type != HOTSTUFF_VOTE ||
		    m.header->sender >= CORRECT || m.header->view != vote->header->view ||
		    memcmp(m.header->digest, vote->header->digest, DIGEST_SIZE) != 0)
			continue;
		memcpy(found[m.header->sender], m.proof, SIGNATURE_SIZE);
		c->head.signers |= 1ull << m.header->sender;
	}
	if (__builtin_popcountll(c->head.signers) < QUORUM - 1)
		return false;
	if (__builtin_popcountll(c->head.signers) < QUORUM) {
		vote_sign(&c->head, found[ATTACKER]);
		c->head.signers |= 1ull << ATTACKER;
	}
	uint32_t count = 0;
	for (uint32_t i = 0; i < REPLICAS; i++) {
		if (c->head.signers >> i & 1)
			memcpy(c->signatures[count++], found[i], SIGNATURE_SIZE);
	}
	return true;
}

/* The newest that he can make of votes. */
static bool
certificate_make(struct certificate *c)
{
	for (uint32_t i = 1; i <= PAST; i++) {
		struct message m;
		if (kept_parse(&past[(past_next - i) % PAST], &m) &&
		    m.header->type == HOTSTUFF_VOTE && certificate_assemble(&m, c))
			return true;
	}
	return false;
}

/* A timeout certificate that was sent, to the end of `bytes`; returns its size, 0: none. */
static uint32_t
timeouts_kept(uint8_t *bytes, uint64_t *view)
{
	struct hotstuff_parts parts;
	struct tc_head tc;
	struct message m;
	if (!kept_parse(past_take(), &m) || !hotstuff_parts(&m, &parts) || parts.tc_at == 0)
		return 0;
	memcpy(&tc, m.body + parts.tc_at, sizeof(tc));
	uint32_t size = (uint32_t)sizeof(tc) + entries_size(tc.signers);
	if (size > CERTIFICATES_MAX / 2)
		return 0;
	memcpy(bytes, m.body + parts.tc_at, size);
	*view = tc.view;
	return size;
}

/* Writes bytes at the end of the body; false: it is full. */
static bool
body_add(uint32_t *size, const void *bytes, uint32_t more)
{
	if (more > FUZZ_ENVELOPE_SIZE - sizeof(*message) - SIGNATURE_SIZE - *size)
		return false;
	if (more > 0)
		memcpy(body + *size, bytes, more);
	*size += more;
	return true;
}

static void
bytes_alter(uint32_t size)
{
	uint32_t at = (uint32_t)fuzz_take(&in, 2);
	if (size > 0)
		body[at % size] ^= (uint8_t)fuzz_take(&in, 1);
}

/* ---- What he sends ------------------------------------------------------------------ */

/* A vote for a block that was proposed, or something else without body. */
static void
vote_send(uint32_t how)
{
	struct message m;
	if (!kept_parse(past_take(), &m))
		return;
	struct qc_head head = {.view = m.header->view, .height = m.header->seq};
	memcpy(head.digest32, m.header->digest, DIGEST_SIZE);
	vote_begin(&head);
	if (how & 4)
		fields_alter((uint32_t)fuzz_take(&in, 1));
	if (message->type != HOTSTUFF_VOTE && message->type != HOTSTUFF_TIMEOUT)
		message->proof = plan.protocol.protocol_proof;
	if (message_seal(ATTACKER, 0, 0))
		message_send(fuzz_take(&in, 1));
}

/* He gives up a view with a certificate that may be old, and tells a vote, or none. */
static void
timeout_send(uint32_t how)
{
	struct certificate c;
	struct timeout_head head;
	uint8_t tc[CERTIFICATES_MAX];
	uint64_t tc_view = 0;
	uint32_t tc_size = how & 4 ? timeouts_kept(tc, &tc_view) : 0;
	uint32_t size = 0;
	memset(&head, 0, sizeof(head));
	if (how & 8 && certificate_make(&c)) {
		head.vote = c.head;
		head.vote.signers = 1ull << ATTACKER;
		vote_sign(&head.vote, head.vote_signature64);
	}
	if (!certificate_kept(&c))
		return;
	head.high = c.head;
	head.has_tc = tc_size > 0;
	message_begin(ATTACKER, HOTSTUFF_TIMEOUT, PROOF_SIGNATURE);
	message->seq = head.high.view;
	message->view =
	    tc_size > 0 ? hotstuff_view_after(&plan.protocol, tc_view) : head.high.view + 1;
	if (!body_add(&size, &head, sizeof(head)) ||
	    !body_add(&size, c.signatures, signatures_size(c.head.signers)) ||
	    !body_add(&size, tc, tc_size))
		return;
	if (how & 16)
		bytes_alter(size);
	if (how & 32)
		fields_alter((uint32_t)fuzz_take(&in, 1) & ~16u);
	if (message_seal(ATTACKER, size, 0))
		message_send(fuzz_take(&in, 1));
}

static void
attacker_votes(void)
{
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	if (how & 2)
		timeout_send(how);
	else
		vote_send(how);
}

/* As a leader, in a view that he leads: upon the newest certificate, or upon any. */
static void
attacker_proposes(void)
{
	struct certificate c;
	uint64_t batch_memory[FUZZ_ENVELOPE_SIZE / 8];
	uint8_t tc[CERTIFICATES_MAX];
	uint64_t tc_view = 0;
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint32_t size = 0;
	struct batch batch = attacker_batch(batch_memory, how & 3);
	uint32_t tc_size = how & 8 ? timeouts_kept(tc, &tc_view) : 0;
	if (!(how & 4 ? certificate_kept(&c) : certificate_make(&c)))
		return;
	struct block_head head = {
	    .view = c.head.view + 1,
	    .height = c.head.height + 1,
	    .justify = c.head,
	    .has_tc = tc_size > 0,
	};
	if (tc_size > 0)
		head.view = hotstuff_view_after(&plan.protocol, tc_view);
	message_begin(ATTACKER, how & 64 ? HOTSTUFF_BLOCK : HOTSTUFF_PROPOSAL,
	    how & 64 ? PROOF_NONE : plan.protocol.protocol_proof);
	message->view = head.view;
	message->seq = head.height;
	if (!body_add(&size, &head, sizeof(head)) ||
	    !body_add(&size, c.signatures, signatures_size(c.head.signers)) ||
	    !body_add(&size, tc, tc_size) || !body_add(&size, batch.data, batch.size))
		return;
	if (how & 32)
		bytes_alter(size - batch.size);
	if (message_seal(ATTACKER, size, how & 64 ? SEND_DIGEST : 0))
		message_send(how & 16 ? fuzz_take(&in, 1) : 15);
}
