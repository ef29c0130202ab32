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
#include "fuzz_forge.h"
#include "tests/sim/hotstuff_parts.h"

enum { CERTIFICATES_MAX = 2048 };

struct certificate {
	struct qc_head head;
	uint8_t signatures[REPLICAS][SIGNATURE_SIZE];
};

/* ---- Certificates ---------------------------------------------------------------- */

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
	word_begin(HOTSTUFF_VOTE, head->view, head->height, head->digest32);
}

/* The newest that he can make of votes. */
static bool
certificate_make(struct certificate *c)
{
	struct message vote;
	uint64_t signers = signatures_newest(HOTSTUFF_VOTE, &vote, c->signatures);
	if (signers == 0)
		return false;
	c->head = (struct qc_head){
	    .view = vote.header->view, .height = vote.header->seq, .signers = signers};
	memcpy(c->head.digest32, vote.header->digest, DIGEST_SIZE);
	return true;
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
		vote_begin(&head.vote);
		word_sign(head.vote_signature64);
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
