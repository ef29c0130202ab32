/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quorum and timeout certificates: which bytes are one, what has to be proven of
 * them, and how votes become one. n = 7, f = 2, q = 5.
 */
#include "tests/unit.h"

#include <stdalign.h>

#include "protocols/hotstuff/certificate.h"

enum { N = 7, F = 2, Q = 5, SELF = 3, INSTANCE = 1 };

static struct member me;
static struct claims claims;
static struct vote votes[BFT_REPLICAS_MAX];
static struct timeout timeouts[BFT_REPLICAS_MAX];
static struct qc_kept made;
static struct tc_kept made_tc;
static alignas(64) uint8_t bytes[8192];

static void
open_all(void)
{
	struct protocol_config config = {
	    .cluster = 77,
	    .protocol = 5,
	    .replicas_count = N,
	    .faults = F,
	    .self = SELF,
	    .instance = INSTANCE,
	    .instances_count = 2,
	};
	member_init(&me, &config);
	memset(votes, 0, sizeof(votes));
	memset(timeouts, 0, sizeof(timeouts));
	memset(bytes, 0, sizeof(bytes));
	claims.count = 0;
	claims.scratch_count = 0;
}

static struct qc_head
head_of(uint64_t view, uint64_t height, uint8_t digest)
{
	struct qc_head head = {.view = view, .height = height};
	memset(head.digest32, digest, sizeof(head.digest32));
	return head;
}

static void
vote(uint32_t replica, const struct qc_head *head)
{
	votes[replica] = (struct vote){.head = *head, .times = 1};
	votes[replica].head.signers = replica_bit(replica);
	memset(votes[replica].signature64, (int)(0x80 + replica), SIGNATURE_SIZE);
}

static void
timeout(uint32_t replica, uint64_t view, uint64_t high)
{
	struct tc_entry *e = &timeouts[replica].entry;
	timeouts[replica].present = true;
	e->header = (struct message_header){
	    .size = 400,
	    .cluster = 77,
	    .instance = INSTANCE,
	    .sender = (uint16_t)replica,
	    .protocol = 5,
	    .type = HOTSTUFF_TIMEOUT,
	    .proof = PROOF_SIGNATURE,
	    .version = MESSAGE_VERSION,
	    .view = view,
	    .seq = high,
	};
	memset(e->signature64, (int)(0x40 + replica), SIGNATURE_SIZE);
}

static bool
qc_reads(const struct qc_head *head, uint32_t size, struct qc *qc)
{
	struct reader reader = {bytes, size};
	qc->head = *head;
	return qc_read(&me, &reader, qc) && reader.left == 0;
}

static bool
tc_reads(uint32_t size, struct tc *tc)
{
	struct reader reader = {bytes, size};
	return tc_read(&me, &reader, tc) && reader.left == 0;
}

/* ---- assembling ------------------------------------------------------------------- */

static void
q_votes_for_the_same_are_a_certificate(void)
{
	open_all();
	struct qc_head head = head_of(9, 4, 0xaa);
	struct qc_head other = head_of(9, 4, 0xbb);
	for (uint32_t i = 0; i < 4; i++)
		vote(2 * i, &head);
	CU_ASSERT_FALSE(qc_assemble(&me, votes, &head, &made));
	/* Another block, view or height is another thing. */
	vote(1, &other);
	CU_ASSERT_FALSE(qc_assemble(&me, votes, &head, &made));
	other = head_of(8, 4, 0xaa);
	vote(1, &other);
	CU_ASSERT_FALSE(qc_assemble(&me, votes, &head, &made));
	other = head_of(9, 5, 0xaa);
	vote(1, &other);
	CU_ASSERT_FALSE(qc_assemble(&me, votes, &head, &made));
	vote(3, &head);
	CU_ASSERT_TRUE(qc_assemble(&me, votes, &head, &made));
	CU_ASSERT_EQUAL(made.head.signers, 0x5d); /* 0, 2, 3, 4, 6 */
	CU_ASSERT_TRUE(qc_equal(&made.head, &head));
	static const uint8_t signers[Q] = {0, 2, 3, 4, 6};
	for (uint32_t i = 0; i < Q; i++)
		CU_ASSERT_EQUAL(made.signatures64[i][63], 0x80 + signers[i]);
}

/* All of them have voted: the certificate is of q, no more. */
static void
more_votes_make_it_no_larger(void)
{
	open_all();
	struct qc_head head = head_of(2, 2, 1);
	for (uint32_t i = 0; i < N; i++)
		vote(i, &head);
	CU_ASSERT_TRUE(qc_assemble(&me, votes, &head, &made));
	CU_ASSERT_EQUAL(made.head.signers, 0x1f);
	CU_ASSERT_EQUAL(qc_write(&made, bytes) - bytes, (ptrdiff_t)qc_signatures_size(Q));
}

/* However often one replica votes, it has one place: the second vote is no second voter. */
static void
a_vote_that_comes_often_is_one(void)
{
	open_all();
	struct qc_head head = head_of(2, 2, 1);
	for (uint32_t i = 0; i < 4; i++) {
		vote(i, &head);
		votes[i].times = 100;
	}
	CU_ASSERT_FALSE(qc_assemble(&me, votes, &head, &made));
}

static void
q_timeouts_of_a_view_are_a_certificate(void)
{
	open_all();
	for (uint32_t i = 0; i < 4; i++)
		timeout(i, 6, 5 - i);
	timeout(5, 7, 6);
	CU_ASSERT_FALSE(tc_assemble(&me, timeouts, 6, &made_tc));
	timeout(6, 6, 3);
	CU_ASSERT_TRUE(tc_assemble(&me, timeouts, 6, &made_tc));
	CU_ASSERT_EQUAL(made_tc.head.view, 6);
	CU_ASSERT_EQUAL(made_tc.head.signers, 0x4f);
	CU_ASSERT_EQUAL(tc_kept_high(&made_tc), 5);
	uint32_t size = (uint32_t)(tc_write(&made_tc, bytes) - bytes);
	CU_ASSERT_EQUAL(size, tc_size(Q));
	CU_ASSERT_EQUAL(size, tc_kept_size(&made_tc));
	struct tc tc;
	CU_ASSERT_TRUE(tc_reads(size, &tc));
	CU_ASSERT_EQUAL(tc_high(&tc), 5);
	struct tc_kept again = {0};
	tc_keep(&again, &tc);
	CU_ASSERT_EQUAL(memcmp(&again.head, &made_tc.head, sizeof(again.head)), 0);
	CU_ASSERT_EQUAL(memcmp(again.entries, made_tc.entries, Q * sizeof(struct tc_entry)), 0);
}

/* ---- reading ------------------------------------------------------------------------ */

static void
a_certificate_has_exactly_q_signers_of_n(void)
{
	open_all();
	struct qc_head head = head_of(9, 4, 0xaa);
	struct qc qc;
	for (uint64_t mask = 0; mask < 512; mask++) {
		uint32_t count = quorum_count(mask);
		head.signers = mask;
		bool fits = count == Q && mask < 128;
		CU_ASSERT_EQUAL(qc_reads(&head, count * SIGNATURE_SIZE, &qc), fits);
	}
	head.signers = 0x1f;
	for (uint32_t size = 0; size < Q * SIGNATURE_SIZE; size++)
		CU_ASSERT_FALSE(qc_reads(&head, size, &qc));
	head.height = 0;
	CU_ASSERT_FALSE(qc_reads(&head, Q * SIGNATURE_SIZE, &qc));
}

static void
there_is_one_genesis_certificate(void)
{
	open_all();
	struct qc_head head = {0};
	struct qc qc;
	CU_ASSERT_TRUE(qc_reads(&head, 0, &qc));
	CU_ASSERT_TRUE(qc_is_genesis(&qc.head));
	head.height = 1;
	CU_ASSERT_FALSE(qc_reads(&head, 0, &qc));
	head = (struct qc_head){.signers = 0x1f};
	CU_ASSERT_FALSE(qc_reads(&head, Q * SIGNATURE_SIZE, &qc));
	head = head_of(0, 0, 0);
	head.digest32[31] = 1;
	CU_ASSERT_FALSE(qc_reads(&head, 0, &qc));
}

/* Bytes of a good TC of five, in `bytes`. */
static uint32_t
tc_open(void)
{
	open_all();
	for (uint32_t i = 1; i < 6; i++)
		timeout(i, 6, i - 1);
	CU_ASSERT_TRUE_FATAL(tc_assemble(&me, timeouts, 6, &made_tc));
	return (uint32_t)(tc_write(&made_tc, bytes) - bytes);
}

static struct message_header *
entry_header(uint32_t index)
{
	return (struct message_header *)(void *)(bytes + sizeof(struct tc_head) +
						 index * sizeof(struct tc_entry));
}

/* Each entry is a TIMEOUT of that view, by the replica whose bit is set. */
static void
entries_are_timeouts_of_the_signers(void)
{
	struct tc tc;
	uint32_t size = tc_open();
	CU_ASSERT_TRUE(tc_reads(size, &tc));
	for (uint32_t i = 0; i < size; i++)
		CU_ASSERT_FALSE(tc_reads(i, &tc));
	for (uint32_t i = 0; i < Q; i++) {
		for (uint32_t field = 0; field < 9; field++) {
			tc_open();
			struct message_header *h = entry_header(i);
			h->view += field == 0;
			h->sender = (uint16_t)(h->sender + (field == 1));
			h->type = (uint8_t)(h->type + (field == 2));
			h->cluster += field == 3;
			h->instance = (uint16_t)(h->instance + (field == 4));
			h->protocol = (uint8_t)(h->protocol + (field == 5));
			h->proof = field == 6 ? PROOF_VECTOR : h->proof;
			h->version = (uint8_t)(h->version + (field == 7));
			h->seq = field == 8 ? 6 : h->seq; /* a QC of the view that failed */
			CU_ASSERT_FALSE(tc_reads(size, &tc));
		}
	}
	/* The same replica twice is one signer; a view 0 does not exist. */
	tc_open();
	*entry_header(1) = *entry_header(0);
	CU_ASSERT_FALSE(tc_reads(size, &tc));
	tc_open();
	((struct tc_head *)(void *)bytes)->view = 0;
	CU_ASSERT_FALSE(tc_reads(size, &tc));
}

/* ---- proving -------------------------------------------------------------------------- */

/* What a signer is said to have signed is what it would send: all of it is bound. */
static void
claims_are_about_the_votes_themselves(void)
{
	open_all();
	struct qc_head head = head_of(9, 4, 0xaa);
	for (uint32_t i = 2; i < N; i++)
		vote(i, &head);
	CU_ASSERT_TRUE_FATAL(qc_assemble(&me, votes, &head, &made));
	struct qc qc = {.head = made.head, .signatures = made.signatures64[0]};
	qc_claim(&me, &qc, NULL, &claims);
	CU_ASSERT_EQUAL_FATAL(claims.count, Q);
	for (uint32_t i = 0; i < Q; i++) {
		const struct claim *c = &claims.list[i];
		const struct message_header *h = c->data;
		CU_ASSERT_EQUAL(c->kind, CLAIM_SIGNATURE);
		CU_ASSERT_EQUAL(c->key, 2 + i);
		CU_ASSERT_EQUAL(c->size, sizeof(*h));
		CU_ASSERT_FALSE(c->optional);
		CU_ASSERT_PTR_EQUAL(c->proof, made.signatures64[i]);
		CU_ASSERT_EQUAL(h->size, sizeof(*h) + SIGNATURE_SIZE);
		CU_ASSERT_EQUAL(h->cluster, 77);
		CU_ASSERT_EQUAL(h->instance, INSTANCE);
		CU_ASSERT_EQUAL(h->sender, 2 + i);
		CU_ASSERT_EQUAL(h->protocol, 5);
		CU_ASSERT_EQUAL(h->type, HOTSTUFF_VOTE);
		CU_ASSERT_EQUAL(h->proof, PROOF_SIGNATURE);
		CU_ASSERT_EQUAL(h->version, MESSAGE_VERSION);
		CU_ASSERT_EQUAL(h->view, 9);
		CU_ASSERT_EQUAL(h->seq, 4);
		CU_ASSERT_TRUE(digest_equal(h->digest, head.digest32));
	}
}

/* The own signature needs no proof where these are its very bytes, for this very block. */
static void
the_own_signature_is_known(void)
{
	open_all();
	struct qc_head head = head_of(9, 4, 0xaa);
	for (uint32_t i = 0; i < N; i++)
		vote(i, &head);
	CU_ASSERT_TRUE_FATAL(qc_assemble(&me, votes, &head, &made));
	struct qc qc = {.head = made.head, .signatures = made.signatures64[0]};
	qc_claim(&me, &qc, &votes[SELF], &claims);
	CU_ASSERT_EQUAL(claims.count, Q - 1);
	for (uint32_t i = 0; i < claims.count; i++)
		CU_ASSERT_NOT_EQUAL(claims.list[i].key, SELF);
	claims.count = claims.scratch_count = 0;
	made.signatures64[SELF][0] ^= 1;
	qc_claim(&me, &qc, &votes[SELF], &claims);
	CU_ASSERT_EQUAL(claims.count, Q);
	claims.count = claims.scratch_count = 0;
	made.signatures64[SELF][0] ^= 1;
	votes[SELF].head.view = 8;
	qc_claim(&me, &qc, &votes[SELF], &claims);
	CU_ASSERT_EQUAL(claims.count, Q);
}

static void
timeouts_are_proven_as_they_were_signed(void)
{
	struct tc tc;
	uint32_t size = tc_open();
	CU_ASSERT_TRUE_FATAL(tc_reads(size, &tc));
	tc_claim(&me, &tc, &claims);
	CU_ASSERT_EQUAL_FATAL(claims.count, Q);
	CU_ASSERT_EQUAL(claims.scratch_count, 0);
	for (uint32_t i = 0; i < Q; i++) {
		CU_ASSERT_EQUAL(claims.list[i].kind, CLAIM_SIGNATURE);
		CU_ASSERT_EQUAL(claims.list[i].key, 1 + i);
		CU_ASSERT_PTR_EQUAL(claims.list[i].data, entry_header(i));
		CU_ASSERT_PTR_EQUAL(claims.list[i].proof, entry_header(i) + 1);
	}
}

static const struct unit_story stories[] = {
    {"q votes for the same are a certificate", q_votes_for_the_same_are_a_certificate},
    {"more votes make it no larger", more_votes_make_it_no_larger},
    {"a vote that comes often is one", a_vote_that_comes_often_is_one},
    {"q timeouts of a view are a certificate", q_timeouts_of_a_view_are_a_certificate},
    {"a certificate has exactly q signers of n", a_certificate_has_exactly_q_signers_of_n},
    {"there is one genesis certificate", there_is_one_genesis_certificate},
    {"entries are timeouts of the signers", entries_are_timeouts_of_the_signers},
    {"claims are about the votes themselves", claims_are_about_the_votes_themselves},
    {"the own signature is known", the_own_signature_is_known},
    {"timeouts are proven as they were signed", timeouts_are_proven_as_they_were_signed},
};

int
main(void)
{
	return unit_run("hotstuff certificate", stories, sizeof(stories) / sizeof(stories[0]));
}
