/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a faulty replica of HotStuff says: certificates with too few signers,
 * the same one twice, strangers, another view, height or block; old ones in
 * place of the newest (a lock that is hidden, a fork); votes for every block
 * that it saw, in views long gone; proposals of blocks upon any certificate
 * that it has; answers with junk. All under its own keys and no others'.
 * See struct sim_lies. One thread.
 */
#include "lie_hotstuff.h"

#include <string.h>

#include "hotstuff_parts.h"

enum { VIEWS_NEAR = 8, VIEWS_FAR = 1 << 20, LISTED_HEIGHTS = 4 };

static uint32_t
batch_at(const struct message *m)
{
	struct hotstuff_parts parts;
	if (m->header->type != HOTSTUFF_PROPOSAL && m->header->type != HOTSTUFF_BLOCK)
		return UINT32_MAX;
	return hotstuff_parts(m, &parts) ? parts.batch_at : UINT32_MAX;
}

static bool
letter_parts(const struct lie_letter *letter, struct hotstuff_parts *parts)
{
	const struct message m = {
	    .header = letter->header, .body = letter->body, .body_size = letter->body_size};
	return hotstuff_parts(&m, parts);
}

/* An old message as it was sent, parsed; false: it is none that can be. */
static bool
old_parse(const struct sim_node *node, const struct packet *old, struct message *m)
{
	return old != NULL &&
	       message_parse(&node->sim->oracle.scope, old->data, old->size, m) == PARSE_OK;
}

/* ---- Bodies ------------------------------------------------------------------- */

/* `size` bytes at `at` become `size_new`; false: there is no room. */
static bool
body_resize(struct lie_letter *letter, uint32_t at, uint32_t size, uint32_t size_new)
{
	uint32_t rest = letter->body_size - at - size;
	if (size_new > size && size_new - size > letter->body_room - letter->body_size)
		return false;
	memmove(letter->body + at + size_new, letter->body + at + size, rest);
	if (size_new > size)
		memset(letter->body + at + size, 0, size_new - size);
	letter->body_size = letter->body_size - size + size_new;
	return true;
}

/* Puts another certificate in the place of one. */
static bool
qc_replace(struct lie_letter *letter, const struct hotstuff_qc *qc, const struct qc_head *head,
    const uint8_t *signatures)
{
	uint32_t before = signatures_size(qc_head_read(letter->body, qc).signers);
	uint32_t size = signatures_size(head->signers);
	if (!body_resize(letter, qc->signatures_at, before, size))
		return false;
	memcpy(letter->body + qc->head_at, head, sizeof(*head));
	memcpy(letter->body + qc->signatures_at, signatures, size);
	return true;
}

/* A certificate that the liar saw in an old message of any kind. */
static bool
qc_old(const struct sim_node *node, uint64_t word, struct qc_head *head, const uint8_t **signatures)
{
	static const uint8_t types[] = {
	    HOTSTUFF_PROPOSAL, HOTSTUFF_PROPOSAL, HOTSTUFF_TIMEOUT, HOTSTUFF_CERTIFICATE};
	struct hotstuff_parts parts;
	struct message m;
	const struct packet *old = lie_old(node, types[word % 4], word >> 2);
	if (!old_parse(node, old, &m) || !hotstuff_parts(&m, &parts))
		return false;
	*head = qc_head_read(m.body, &parts.qc);
	*signatures = m.body + parts.qc.signatures_at;
	return true;
}

/* The liar's own signature under the vote that a certificate stands for. */
static void
vote_sign(struct sim_node *node, uint16_t instance, const struct qc_head *head, uint8_t *signature)
{
	struct {
		struct message_header header;
		uint8_t signature[SIGNATURE_SIZE];
	} vote = {.header = {.size = sizeof(vote),
		      .cluster = node->sim->plan.protocol.cluster,
		      .instance = instance,
		      .sender = node->identity,
		      .protocol = node->sim->plan.protocol.protocol,
		      .type = HOTSTUFF_VOTE,
		      .proof = PROOF_SIGNATURE,
		      .version = MESSAGE_VERSION,
		      .view = head->view,
		      .seq = head->height}};
	struct send send = {.to = 1, .capacity = sizeof(vote), .header = &vote.header};
	memcpy(vote.header.digest, head->digest32, DIGEST_SIZE);
	sim_crypto_ops(node->sim)->seal(node->crypto, &send, 1);
	memcpy(signature, vote.signature, SIGNATURE_SIZE);
}

/* ---- Certificates that lie ------------------------------------------------------ */

enum qc_lie {
	QC_OLD,	       /* another one, valid: the newest is kept back */
	QC_OLD_AGAIN,  /* that is the most dangerous of them */
	QC_SHORT,      /* one signer fewer */
	QC_STRANGER,   /* one more, outside the cluster, with a signature from inside */
	QC_WRONG_NAME, /* one signature under another's name */
	QC_TWICE,      /* one signature in the place of another */
	QC_OWN,	       /* all signatures are the liar's own */
	QC_VIEW,       /* votes of another view */
	QC_HEIGHT,
	QC_BLOCK, /* votes for another block */
	QC_JUNK,  /* a bit of a signature */
	QC_EMPTY, /* no signers: as if it were the first of all */
	QC_LIES_COUNT,
};

static void
signers_lie(struct sim_node *node, struct lie_letter *letter, const struct hotstuff_qc *qc,
    enum qc_lie lie, uint64_t word)
{
	struct qc_head head = qc_head_read(letter->body, qc);
	uint32_t count = (uint32_t)__builtin_popcountll(head.signers);
	uint8_t *signatures = letter->body + qc->signatures_at;
	uint64_t strangers = ~((1ull << node->sim->replicas_count) - 1);
	uint64_t others = ((1ull << node->sim->replicas_count) - 1) & ~head.signers;
	uint64_t last = 1ull << (63 - __builtin_clzll(head.signers));
	if (lie == QC_SHORT) {
		body_resize(
		    letter, qc->signatures_at + (count - 1) * SIGNATURE_SIZE, SIGNATURE_SIZE, 0);
		head.signers &= ~last;
	} else if (lie == QC_STRANGER) {
		if (!body_resize(
			letter, qc->signatures_at + count * SIGNATURE_SIZE, 0, SIGNATURE_SIZE))
			return;
		memcpy(signatures + count * SIGNATURE_SIZE, signatures, SIGNATURE_SIZE);
		head.signers |= word & 1 ? 1ull << 63 : strangers & -strangers;
	} else if (lie == QC_WRONG_NAME && others != 0) {
		head.signers = (head.signers & ~last) | (others & -others);
	} else if (lie == QC_TWICE) {
		memcpy(signatures + (count - 1) * SIGNATURE_SIZE, signatures, SIGNATURE_SIZE);
	} else {
		for (uint32_t i = 0; i < count; i++)
			vote_sign(
			    node, letter->header->instance, &head, signatures + i * SIGNATURE_SIZE);
	}
	memcpy(letter->body + qc->head_at, &head, sizeof(head));
}

static void
content_lie(const struct sim_node *node, struct lie_letter *letter, const struct hotstuff_qc *qc,
    enum qc_lie lie, uint64_t word)
{
	struct qc_head head = qc_head_read(letter->body, qc);
	struct message m;
	switch (lie) {
	case QC_VIEW:
		head.view += word & 1 ? 1 + (word >> 8) % VIEWS_NEAR : (word >> 8) % VIEWS_FAR;
		break;
	case QC_HEIGHT:
		head.height += word & 1 ? 1 : (word >> 8) % VIEWS_FAR;
		break;
	case QC_BLOCK:
		if (old_parse(node, lie_old(node, HOTSTUFF_PROPOSAL, word), &m))
			memcpy(head.digest32, m.header->digest, DIGEST_SIZE);
		else
			head.digest32[word % DIGEST_SIZE] ^= 1;
		break;
	case QC_JUNK:
		letter->body[qc->signatures_at + word % signatures_size(head.signers)] ^= 1;
		break;
	default:
		body_resize(letter, qc->signatures_at, signatures_size(head.signers), 0);
		head.signers = 0;
		break;
	}
	memcpy(letter->body + qc->head_at, &head, sizeof(head));
}

void
lie_hotstuff_qc(
    struct sim_node *node, struct lie_letter *letter, const struct hotstuff_qc *qc, uint64_t word)
{
	enum qc_lie lie = (enum qc_lie)(word % QC_LIES_COUNT);
	const uint8_t *signatures;
	struct qc_head head = qc_head_read(letter->body, qc);
	if (lie <= QC_OLD_AGAIN || head.signers == 0) {
		if (qc_old(node, word >> 8, &head, &signatures))
			qc_replace(letter, qc, &head, signatures);
	} else if (lie <= QC_OWN) {
		signers_lie(node, letter, qc, lie, word >> 8);
	} else {
		content_lie(node, letter, qc, lie, word >> 8);
	}
}

/* A timeout certificate: one entry fewer, one twice, another view, another high QC, none. */
static void
tc_lie(struct lie_letter *letter, uint32_t tc_at, uint64_t word)
{
	struct tc_head tc;
	struct tc_entry *entries = (void *)(letter->body + tc_at + sizeof(tc));
	memcpy(&tc, letter->body + tc_at, sizeof(tc));
	uint32_t count = (uint32_t)__builtin_popcountll(tc.signers);
	if (count == 0)
		return;
	uint32_t last_at = tc_at + (uint32_t)(sizeof(tc) + (count - 1) * sizeof(*entries));
	switch (word % 6) {
	case 0:
		body_resize(letter, last_at, sizeof(*entries), 0);
		tc.signers &= ~(1ull << (63 - __builtin_clzll(tc.signers)));
		break;
	case 1:
		memcpy(&entries[count - 1], &entries[0], sizeof(*entries));
		break;
	case 2:
		tc.view += 1 + (word >> 8) % VIEWS_NEAR;
		break;
	case 3:
		entries[(word >> 8) % count].header.seq += word >> 16 & 1 ? 1 : UINT64_MAX;
		break;
	case 4:
		entries[(word >> 8) % count].header.view += word >> 16 & 1 ? 1 : UINT64_MAX;
		break;
	default:
		tc.signers |= 1ull << 63;
		break;
	}
	memcpy(letter->body + tc_at, &tc, sizeof(tc));
}

/* What the header and the head say again follows the certificate, as a clever liar has it. */
void
lie_hotstuff_agree(struct lie_letter *letter)
{
	struct hotstuff_parts parts;
	if (!letter_parts(letter, &parts))
		return;
	struct qc_head qc = qc_head_read(letter->body, &parts.qc);
	if (letter->header->type == HOTSTUFF_TIMEOUT)
		letter->header->seq = qc.view;
	if (letter->header->type != HOTSTUFF_PROPOSAL && letter->header->type != HOTSTUFF_BLOCK)
		return;
	struct block_head head;
	memcpy(&head, letter->body, sizeof(head));
	head.height = qc.height + 1;
	memcpy(letter->body, &head, sizeof(head));
	letter->header->seq = head.height;
}

/* What a TIMEOUT tells of its sender's vote: another's, another one, none. */
static void
told_vote_lie(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	struct timeout_head head;
	const uint8_t *signatures;
	struct qc_head old;
	memcpy(&head, letter->body, sizeof(head));
	switch (word % 4) {
	case 0:
		head.vote.signers <<= 1;
		break;
	case 1:
		if (qc_old(node, word >> 8, &old, &signatures))
			head.vote = old;
		break;
	case 2:
		if (qc_old(node, word >> 8, &old, &signatures))
			head.vote = old;
		head.vote.signers = 1ull << node->identity;
		vote_sign(node, letter->header->instance, &head.vote, head.vote_signature64);
		break;
	default:
		memset(&head.vote, 0, sizeof(head.vote));
		break;
	}
	memcpy(letter->body, &head, sizeof(head));
}

static bool
certificate(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	struct hotstuff_parts parts;
	if (!letter_parts(letter, &parts))
		return false;
	if (letter->header->type == HOTSTUFF_TIMEOUT && (word >> 2 & 3) == 0)
		told_vote_lie(node, letter, word >> 8);
	else if (parts.tc_at != 0 && word % 4 == 0)
		tc_lie(letter, parts.tc_at, word >> 8);
	else
		lie_hotstuff_qc(node, letter, &parts.qc, word >> 8);
	if (word >> 60 != 0)
		lie_hotstuff_agree(letter);
	return true;
}

/* ---- Messages of its own making ---------------------------------------------------- */

/* Copies an old message of a type as a model; false: there is none that fits. */
static bool
model_take(const struct sim_node *node, struct lie_letter *letter, uint8_t type, uint64_t word)
{
	struct message m;
	if (!old_parse(node, lie_old(node, type, word), &m) || m.body_size > letter->body_room)
		return false;
	*letter->header = *m.header;
	letter->header->sender = node->identity;
	letter->body_size = m.body_size;
	letter->proof = m.header->proof >= PROOF_MERKLE ? PROOF_MERKLE : m.header->proof;
	if (m.body_size > 0)
		memcpy(letter->body, m.body, m.body_size);
	return true;
}

/* A vote for a block that somebody proposed: for two of one view, for one long gone. */
static bool
vote_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	if (!model_take(node, letter, HOTSTUFF_PROPOSAL, word))
		return false;
	letter->header->type = HOTSTUFF_VOTE;
	letter->proof = PROOF_SIGNATURE;
	letter->body_size = 0;
	if (word >> 32 & 1)
		letter->header->view += 1 + (word >> 40) % VIEWS_NEAR;
	if ((word >> 33 & 7) == 0)
		letter->header->seq += 1 + (word >> 48) % VIEWS_NEAR;
	return true;
}

/* Gives up views that are near, with whatever certificate was seen. */
static bool
timeout_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	struct timeout_head head;
	const uint8_t *signatures;
	memset(&head, 0, sizeof(head));
	if (!qc_old(node, word, &head.high, &signatures))
		return false;
	letter->header->type = HOTSTUFF_TIMEOUT;
	letter->header->view = head.high.view + 1;
	if ((word >> 40 & 7) == 0)
		letter->header->view += (word >> 44) % (word >> 60 & 1 ? VIEWS_FAR : VIEWS_NEAR);
	letter->header->seq = head.high.view;
	if ((word >> 32 & 7) != 0 && qc_old(node, word >> 33, &head.vote, &signatures)) {
		head.vote.signers = 1ull << node->identity;
		vote_sign(node, letter->header->instance, &head.vote, head.vote_signature64);
		check(qc_old(node, word, &head.high, &signatures));
	}
	letter->proof = PROOF_SIGNATURE;
	letter->body_size = (uint32_t)sizeof(head) + signatures_size(head.high.signers);
	memcpy(letter->body, &head, sizeof(head));
	memcpy(letter->body + sizeof(head), signatures, signatures_size(head.high.signers));
	return true;
}

/* The next view from `view` on that the liar leads. */
static uint64_t
view_led(const struct sim_node *node, uint64_t view)
{
	const struct protocol_config *config = &node->sim->plan.protocol;
	for (uint32_t i = 0; i < config->replicas_count; i++) {
		if (hotstuff_leader(config, 0, view) == node->identity)
			break;
		view = hotstuff_view_after(config, view);
	}
	return view;
}

/* A block upon any certificate, in the view after it if the liar leads that: a fork, a block that
   skips others, two blocks of one view. */
static bool
proposal_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	struct block_head head;
	struct hotstuff_parts parts;
	struct qc_head qc;
	const uint8_t *signatures;
	if (!model_take(node, letter, HOTSTUFF_PROPOSAL, word) || !letter_parts(letter, &parts))
		return false;
	if (word >> 32 & 1 && qc_old(node, word >> 36, &qc, &signatures))
		qc_replace(letter, &parts.qc, &qc, signatures);
	lie_hotstuff_agree(letter);
	memcpy(&head, letter->body, sizeof(head));
	head.view = view_led(node, head.justify.view + 1);
	memcpy(letter->body, &head, sizeof(head));
	letter->header->view = head.view;
	lie_letter_batch(node, letter, NULL, word >> 40);
	return true;
}

/* A block that was asked for, or not: changed, so that it is another. */
static bool
block_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	if (!model_take(node, letter, HOTSTUFF_PROPOSAL, word) || letter->body_size == 0)
		return false;
	letter->header->type = HOTSTUFF_BLOCK;
	letter->proof = PROOF_NONE;
	if (word >> 32 & 1)
		letter->body[(word >> 33) % letter->body_size] ^= 1;
	else
		certificate(node, letter, word >> 33);
	return true;
}

static bool
fetch_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	if (!model_take(node, letter, HOTSTUFF_PROPOSAL, word))
		return false;
	letter->header->type = HOTSTUFF_FETCH;
	letter->body_size = 0;
	if (word >> 32 & 1)
		letter->header->digest[(word >> 33) % DIGEST_SIZE] ^= 1;
	if (word >> 40 & 1)
		letter->header->seq += (word >> 41) % LISTED_HEIGHTS;
	return true;
}

static bool
status_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	struct hotstuff_status status = {
	    .stable = word >> 8 & 255,
	    .committed = word >> 16 & 255,
	    .high = word & 1 ? word >> 24 & 255 : word >> 24,
	    .nonce = word & 2 ? word >> 32 : 0,
	};
	(void)node;
	letter->header->type = HOTSTUFF_STATUS;
	memcpy(letter->body, &status, sizeof(status));
	letter->body_size = sizeof(status);
	return true;
}

/* An old answer again, with certificates that lie, for whoever may wait for one. */
static bool
certificate_invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	if (!model_take(node, letter, HOTSTUFF_CERTIFICATE, word))
		return false;
	return word >> 32 & 1 ? certificate(node, letter, word >> 33) : true;
}

static bool
invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	static bool (*const inventions[])(struct sim_node *, struct lie_letter *, uint64_t) = {
	    vote_invent, vote_invent, timeout_invent, proposal_invent, proposal_invent,
	    block_invent, fetch_invent, status_invent, certificate_invent};
	uint64_t which = word % (sizeof(inventions) / sizeof(inventions[0]));
	return inventions[which](node, letter, random_mix(word));
}

const struct sim_lies hotstuff_lies = {batch_at, certificate, invent};
