/* SPDX-License-Identifier: Apache-2.0 */
/* See certificate.h. */
#include "protocols/hotstuff/certificate.h"

#include "protocols/hotstuff/mutant.h"

bool
reader_take(struct reader *reader, void *to, uint32_t size)
{
	if (reader->left < size)
		return false;
	memcpy(to, reader->at, size);
	reader->at += size;
	reader->left -= size;
	return true;
}

/* Steps over `size` bytes: where they are, or NULL. */
static const uint8_t *
reader_skip(struct reader *reader, uint32_t size)
{
	const uint8_t *at = reader->at;
	if (reader->left < size)
		return NULL;
	reader->at += size;
	reader->left -= size;
	return at;
}

static uint32_t
quorum_needed(const struct member *me)
{
	return RULE(HOTSTUFF_SIGNERS_SHORT) ? me->quorum : me->quorum - 1;
}

/* "(n - f) replicas": exactly q, so that certificates have one size and cost no more than that. */
static bool
signers_fit(const struct member *me, uint64_t signers)
{
	bool enough = quorum_count(signers) == quorum_needed(me) || !RULE(HOTSTUFF_VOTES_TWICE);
	return (signers & ~me->everybody) == 0 && enough;
}

/* ---- reading -------------------------------------------------------------------- */

bool
qc_read(const struct member *me, struct reader *reader, struct qc *qc)
{
	const struct qc_head *head = &qc->head;
	if (qc_is_genesis(head)) {
		qc->signatures = reader->at;
		return head->height == 0 && head->signers == 0 && digest_is_zero(head->digest32);
	}
	if (head->height == 0 || !signers_fit(me, head->signers))
		return false;
	qc->signatures = reader_skip(reader, quorum_count(head->signers) * SIGNATURE_SIZE);
	return qc->signatures != NULL;
}

/* Is it a TIMEOUT of this view by this replica? What it signs besides is its own matter. */
static bool
entry_fits(const struct member *me, const struct message_header *h, uint64_t view, uint32_t signer)
{
	return h->type == HOTSTUFF_TIMEOUT && h->view == view && h->sender == signer &&
	       h->proof == PROOF_SIGNATURE && h->instance == me->config.instance &&
	       h->protocol == me->config.protocol && h->cluster == me->config.cluster &&
	       h->version == MESSAGE_VERSION && h->seq < view;
}

static const struct tc_entry *
entry_at(const uint8_t *entries, uint32_t index)
{
	return (const struct tc_entry *)(const void *)entries + index;
}

bool
tc_read(const struct member *me, struct reader *reader, struct tc *tc)
{
	uint32_t index = 0;
	if (!reader_take(reader, &tc->head, sizeof(tc->head)) || tc->head.view == 0 ||
	    !signers_fit(me, tc->head.signers))
		return false;
	uint32_t count = quorum_count(tc->head.signers);
	tc->entries = reader_skip(reader, count * (uint32_t)sizeof(struct tc_entry));
	if (tc->entries == NULL)
		return false;
	for (uint64_t rest = tc->head.signers; rest != 0; rest &= rest - 1) {
		uint32_t signer = (uint32_t)__builtin_ctzll(rest);
		if (!entry_fits(me, &entry_at(tc->entries, index++)->header, tc->head.view, signer))
			return false;
	}
	return true;
}

/* ---- proving -------------------------------------------------------------------- */

void
vote_header(const struct member *me, const struct qc_head *head, uint16_t signer,
    struct message_header *header)
{
	*header = (struct message_header){
	    .size = sizeof(struct message_header) + SIGNATURE_SIZE,
	    .cluster = me->config.cluster,
	    .instance = me->config.instance,
	    .sender = signer,
	    .protocol = me->config.protocol,
	    .type = HOTSTUFF_VOTE,
	    .proof = PROOF_SIGNATURE,
	    .version = MESSAGE_VERSION,
	    .view = head->view,
	    .seq = head->height,
	};
	memcpy(header->digest, head->digest32, sizeof(header->digest));
}

static void
signature_claim(struct claims *claims, uint32_t signer, const void *header, const void *signature)
{
	struct claim *c = claims_add(claims);
	c->kind = CLAIM_SIGNATURE;
	c->key = signer;
	c->size = sizeof(struct message_header);
	c->data = header;
	c->proof = signature;
}

void
vote_claim(const struct member *me, const struct qc_head *vote, const uint8_t *signature64,
    struct claims *claims)
{
	uint16_t signer = (uint16_t)__builtin_ctzll(vote->signers);
	struct message_header *header = claims_scratch(claims);
	vote_header(me, vote, signer, header);
	signature_claim(claims, signer, header, signature64);
}

void
qc_claim(
    const struct member *me, const struct qc *qc, const struct vote *own, struct claims *claims)
{
	const uint8_t *signature = qc->signatures;
	for (uint64_t rest = qc->head.signers; rest != 0; rest &= rest - 1) {
		uint16_t signer = (uint16_t)__builtin_ctzll(rest);
		/* Its very bytes: else a QC that carries others could not be passed on. */
		bool known = own != NULL && signer == me->config.self &&
			     qc_equal(&own->head, &qc->head) &&
			     memcmp(own->signature64, signature, SIGNATURE_SIZE) == 0;
		if (!known) {
			struct message_header *header = claims_scratch(claims);
			vote_header(me, &qc->head, signer, header);
			signature_claim(claims, signer, header, signature);
		}
		signature += SIGNATURE_SIZE;
	}
}

void
tc_claim(const struct member *me, const struct tc *tc, struct claims *claims)
{
	uint32_t count = quorum_count(tc->head.signers);
	(void)me;
	for (uint32_t i = 0; i < count && RULE(HOTSTUFF_TC_UNPROVEN); i++) {
		const struct tc_entry *entry = entry_at(tc->entries, i);
		signature_claim(claims, entry->header.sender, &entry->header, entry->signature64);
	}
}

/* ---- keeping, assembling, writing ------------------------------------------------- */

uint64_t
tc_high(const struct tc *tc)
{
	uint64_t high = 0;
	for (uint32_t i = 0; i < quorum_count(tc->head.signers); i++) {
		uint64_t seq = entry_at(tc->entries, i)->header.seq;
		high = seq > high ? seq : high;
	}
	return high;
}

uint64_t
tc_kept_high(const struct tc_kept *kept)
{
	struct tc tc = {.head = kept->head, .entries = (const uint8_t *)kept->entries};
	return tc_high(&tc);
}

void
qc_keep(struct qc_kept *kept, const struct qc *qc)
{
	kept->head = qc->head;
	memcpy(kept->signatures64, qc->signatures, quorum_count(qc->head.signers) * SIGNATURE_SIZE);
}

void
tc_keep(struct tc_kept *kept, const struct tc *tc)
{
	kept->head = tc->head;
	memcpy(
	    kept->entries, tc->entries, quorum_count(tc->head.signers) * sizeof(struct tc_entry));
}

bool
qc_assemble(const struct member *me, const struct vote *votes, const struct qc_head *head,
    struct qc_kept *kept)
{
	uint64_t signers = 0;
	uint32_t voices = 0;
	uint32_t count = 0;
	for (uint32_t i = 0; i < me->config.replicas_count; i++) {
		if (votes[i].head.signers == 0 || !qc_equal(&votes[i].head, head))
			continue;
		signers |= replica_bit(i);
		voices += RULE(HOTSTUFF_VOTES_TWICE) ? 1 : votes[i].times;
	}
	if (voices < quorum_needed(me))
		return false;
	kept->head = *head;
	kept->head.signers = 0;
	for (uint64_t rest = signers; rest != 0 && count < quorum_needed(me); rest &= rest - 1) {
		uint32_t signer = (uint32_t)__builtin_ctzll(rest);
		kept->head.signers |= replica_bit(signer);
		memcpy(kept->signatures64[count++], votes[signer].signature64, SIGNATURE_SIZE);
	}
	check(signers_fit(me, kept->head.signers));
	return true;
}

bool
tc_assemble(
    const struct member *me, const struct timeout *timeouts, uint64_t view, struct tc_kept *kept)
{
	uint64_t signers = 0;
	uint32_t count = 0;
	for (uint32_t i = 0; i < me->config.replicas_count; i++) {
		if (timeouts[i].present && timeouts[i].entry.header.view == view)
			signers |= replica_bit(i);
	}
	if (quorum_count(signers) < quorum_needed(me))
		return false;
	kept->head = (struct tc_head){.view = view};
	for (uint64_t rest = signers; count < quorum_needed(me); rest &= rest - 1) {
		uint32_t signer = (uint32_t)__builtin_ctzll(rest);
		kept->head.signers |= replica_bit(signer);
		kept->entries[count++] = timeouts[signer].entry;
	}
	check(signers_fit(me, kept->head.signers));
	return true;
}

uint8_t *
qc_write(const struct qc_kept *kept, uint8_t *at)
{
	uint32_t size = quorum_count(kept->head.signers) * SIGNATURE_SIZE;
	memcpy(at, kept->signatures64, size);
	return at + size;
}

uint8_t *
tc_write(const struct tc_kept *kept, uint8_t *at)
{
	size_t size = quorum_count(kept->head.signers) * sizeof(struct tc_entry);
	memcpy(at, &kept->head, sizeof(kept->head));
	memcpy(at + sizeof(kept->head), kept->entries, size);
	return at + sizeof(kept->head) + size;
}
