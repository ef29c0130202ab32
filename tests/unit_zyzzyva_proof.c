/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica of Zyzzyva wants proven of each kind of message: all that it will act
 * on, and every signature inside. A message is good as it is, and with any one of those
 * changed it is none. One replica by itself (zyzzyva_replica_rig.h).
 */
#include "tests/zyzzyva_replica_rig.h"

/* h of each seq; 0 is the beginning. */
static uint8_t a32[8][32];

static void
grow(uint64_t last)
{
	for (uint64_t seq = 1; seq <= last; seq++) {
		struct order o = {
		    .seq = seq, .before32 = a32[seq - 1], .client = 1, .timestamp = seq};
		CU_ASSERT_EQUAL(order_comes(&o, a32[seq]), STEPPED);
	}
	forget_sent();
}

/* ---- each kind, as it should be ----------------------------------------------------------- */

static void
word_write(uint8_t type, uint8_t proof, uint64_t seq)
{
	message_write(0, type, proof, NULL, 0)->seq = seq;
}

static void
order_write(void)
{
	uint64_t body[BODY_SIZE / 8];
	uint8_t history32[32];
	struct order o = {.seq = 3, .before32 = a32[2], .client = 1, .timestamp = 3};
	order_body(&o, body, history32);
	message_write(0, ZYZZYVA_ORDER_REQ, PROOF_VECTOR, body, BODY_SIZE)->seq = 3;
}

static void
order_body_write(void)
{
	order_write();
	struct message_header *h = (void *)rig.incoming;
	h->type = ZYZZYVA_BODY;
	h->proof = PROOF_NONE;
	h->size = 64 + BODY_SIZE;
	memcpy(h->digest, a32[3], 32);
}

/* It waits for the body of what q have at 3. */
static void
body_wanted(void)
{
	uint64_t body[BODY_SIZE / 8];
	struct order o = {.seq = 3, .before32 = a32[2], .client = 1, .timestamp = 3};
	order_body(&o, body, a32[3]);
	struct point p = {.seq = 3, .history32 = a32[3], .signers = 7};
	CU_ASSERT_EQUAL(certificate_comes(&p), STEPPED);
	CU_ASSERT(rig.r->pending.present);
}

static void
request_kind_write(void)
{
	struct order o = {.client = 1, .timestamp = 7};
	memset(rig.incoming, 0, sizeof(rig.incoming));
	request_write(&o, rig.incoming);
}

static void
statement_kind_write(void)
{
	statement_write(1, 0, 2, a32[2]);
}

static void
ask_write(void)
{
	struct ask_body b = {.seq = 2};
	memcpy(b.history32, a32[2], 32);
	message_write(1, ZYZZYVA_ASK, PROOF_VECTOR, &b, sizeof(b))->seq = 2;
}

static const struct point certified = {.seq = 2, .history32 = a32[2], .signers = 7};

static void
commit_write(void)
{
	uint64_t body[LETTER_SIZE / 16];
	uint32_t size = certificate_write(&certified);
	memcpy(body, rig.incoming + 8, size);
	message_write(1, ZYZZYVA_COMMIT, PROOF_VECTOR, body, size)->seq = 2;
}

static void
certificate_kind_write(void)
{
	certificate_write(&certified);
}

static void
fill_hole_write(void)
{
	word_write(ZYZZYVA_FILL_HOLE, PROOF_VECTOR, 1);
}

static void
vouch_write(void)
{
	word_write(ZYZZYVA_VOUCH, PROOF_VECTOR, 1);
}

static void
fetch_write(void)
{
	word_write(ZYZZYVA_FETCH, PROOF_VECTOR, 1);
}

static void
hate_write(void)
{
	word_write(ZYZZYVA_HATE, PROOF_SIGNATURE, 0);
}

static void
complaint_write(void)
{
	word_write(BFT_COMPLAINT, PROOF_VECTOR, 1);
}

static void
status_write(void)
{
	struct status_body b = {.active = 1};
	message_write(0, ZYZZYVA_STATUS, PROOF_VECTOR, &b, sizeof(b));
}

static struct signed_copy
copy_of(uint64_t seq, const uint8_t *history32)
{
	struct commit_head head = {.seq = seq};
	struct signed_copy copy;
	memcpy(head.history32, history32, 32);
	statement_header(&rig.config, &head, 0, &copy.header);
	toy_proof(0, &copy.header, copy.signature64, SIGNATURE_SIZE);
	return copy;
}

static void
witness_write(void)
{
	struct signed_copy copy = copy_of(2, a32[2]);
	message_write(1, ZYZZYVA_WITNESS, PROOF_VECTOR, &copy, sizeof(copy));
}

static void
pom_write(void)
{
	struct signed_copy copies[2] = {copy_of(2, a32[2]), copy_of(2, a32[1])};
	message_write(1, ZYZZYVA_POM, PROOF_VECTOR, copies, sizeof(copies));
}

static void
checkpoint_write(void)
{
	struct stable_head head;
	stable_head_write(4, a32[2], &head);
	message_write(1, BFT_CHECKPOINT, PROOF_SIGNATURE, &head.pair, sizeof(head.pair))->seq = 4;
}

static void
stable_kind_write(void)
{
	stable_write(4, a32[2]);
}

static void
change_kind_write(void)
{
	struct changed c = {.from = 1,
	    .view = 2,
	    .held = {.view = 1, .seq = 5, .history32 = a32[1], .signers = 7},
	    .stable = 4,
	    .stable32 = a32[2],
	    .entries = a32 + 1,
	    .entries_count = 2};
	change_write(&c);
}

static void
new_view_kind_write(void)
{
	new_view_write(1, 7);
}

/* ---- with something changed ---------------------------------------------------------------- */

/* Where a body has signatures, or what they are for: byte `at`, and `count` times every `stride`.
 */
struct inside {
	uint32_t at;
	uint32_t stride;
	uint32_t count;
};

struct kind {
	const char *name;
	void (*write)(void);
	void (*prepare)(void);
	uint32_t key; /* of the sender, where it is no replica */
	struct inside inside[4];
};

enum {
	HEAD = sizeof(struct commit_head),
	STABLE_HEAD = sizeof(struct stable_head),
	CHANGE_HEAD = sizeof(struct view_change_head),
	STABLE_SIGNATURE = sizeof(struct stable_signature),
	COPY = sizeof(struct signed_copy),
	STABLE_IN_CHANGE = offsetof(struct view_change_head, stable),
};

static const struct kind kinds[] = {
    {"REQUEST", request_kind_write, NULL, KEY_CLIENT + 1, {{0}}},
    {"ORDER-REQ", order_write, NULL, 0, {{0}}},
    {"STATEMENT", statement_kind_write, NULL, 0, {{0}}},
    {"ASK", ask_write, NULL, KEY_CLIENT + 1, {{0}}},
    {"COMMIT", commit_write, NULL, KEY_CLIENT + 1,
	{{HEAD, SIGNATURE_SIZE, QUORUM}, {offsetof(struct commit_head, history32), 0, 1}}},
    {"FILL-HOLE", fill_hole_write, NULL, 0, {{0}}},
    {"VOUCH", vouch_write, NULL, 0, {{0}}},
    {"WITNESS", witness_write, NULL, 0,
	{{sizeof(struct message_header), 0, 1}, {offsetof(struct message_header, digest), 0, 1}}},
    {"POM", pom_write, NULL, 0, {{sizeof(struct message_header), COPY, 2}}},
    {"HATE", hate_write, NULL, 0, {{0}}},
    {"VIEW-CHANGE", change_kind_write, NULL, 0,
	{{CHANGE_HEAD, SIGNATURE_SIZE, QUORUM},
	    {CHANGE_HEAD + QUORUM * SIGNATURE_SIZE + 8, STABLE_SIGNATURE, QUORUM},
	    {offsetof(struct view_change_head, held.history32), 0, 1},
	    {STABLE_IN_CHANGE + offsetof(struct stable_head, pair), 32, 2}}},
    {"NEW-VIEW", new_view_kind_write, NULL, 0, {{0}}},
    {"CHECKPOINT", checkpoint_write, NULL, 0, {{0}}},
    {"STABLE", stable_kind_write, NULL, 0,
	{{STABLE_HEAD + 8, STABLE_SIGNATURE, QUORUM}, {offsetof(struct stable_head, pair), 32, 2},
	    {offsetof(struct stable_head, digest32), 0, 1}}},
    {"CERTIFICATE", certificate_kind_write, NULL, 0,
	{{HEAD, SIGNATURE_SIZE, QUORUM}, {offsetof(struct commit_head, history32), 0, 1}}},
    {"STATUS", status_write, NULL, 0, {{0}}},
    {"FETCH", fetch_write, NULL, 0, {{0}}},
    {"BODY", order_body_write, body_wanted, 0, {{0}}},
    {"COMPLAINT", complaint_write, NULL, 0, {{0}}},
};

/* The byte's bit flips; who sends it signs what comes of that, if `sealed`. */
static enum fate
spoilt(const struct kind *k, uint32_t at, bool sealed)
{
	struct message_header *h = (void *)rig.incoming;
	uint32_t key = k->key != 0 ? k->key : h->sender;
	message_seal(h, key, 0);
	CU_ASSERT_FATAL(at < h->size);
	((uint8_t *)rig.incoming)[at] ^= 1;
	if (sealed)
		message_seal(h, key, 0);
	enum fate fate = hear(rig.incoming, false);
	((uint8_t *)rig.incoming)[at] ^= 1;
	return fate;
}

static void
kind_is_proven(const struct kind *k)
{
	struct message_header *h = (void *)rig.incoming;
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	if (k->prepare != NULL)
		k->prepare();
	k->write();
	for (const struct inside *i = k->inside; i < k->inside + 4; i++) {
		for (uint32_t j = 0; j < i->count; j++) {
			uint32_t at = (uint32_t)sizeof(*h) + i->at + j * i->stride;
			CU_ASSERT_EQUAL(spoilt(k, at, true), UNPROVEN);
		}
	}
	uint32_t proof = proof_size(h->proof, N);
	if (h->size - sizeof(*h) > proof)
		CU_ASSERT_EQUAL(spoilt(k, h->size - proof - 1, false), UNPROVEN);
	/* The last is R(SELF)'s MAC, or the signature's. */
	if (proof > 0)
		CU_ASSERT_EQUAL(spoilt(k, h->size - 1, false), UNPROVEN);
	CU_ASSERT_EQUAL(arrive_from(k->key != 0 ? k->key : h->sender), STEPPED);
	close_replica();
}

static void
all_is_proven(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned failed = CU_get_number_of_failures();
		kind_is_proven(&kinds[i]);
		if (CU_get_number_of_failures() != failed)
			printf("\n    %s\n", kinds[i].name);
	}
}

/* ---- what needs no proof to be none -----------------------------------------------------------
 */

/* What others cannot have from the primary of this view, or what is no contradiction. */
static void
copies_are_the_primarys(void)
{
	struct signed_copy copy;
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	for (uint32_t i = 0; i < 3; i++) {
		copy = copy_of(2, a32[1]);
		copy.header.sender = i == 0 ? 2 : 0;
		copy.header.view = i == 1 ? 1 : 0;
		copy.header.type = i == 2 ? ZYZZYVA_HATE : ZYZZYVA_STATEMENT;
		toy_proof(copy.header.sender, &copy.header, copy.signature64, SIGNATURE_SIZE);
		message_write(1, ZYZZYVA_WITNESS, PROOF_VECTOR, &copy, sizeof(copy));
		CU_ASSERT_EQUAL(arrive(), DROPPED);
		struct signed_copy two[2] = {copy_of(2, a32[2]), copy};
		message_write(1, ZYZZYVA_POM, PROOF_VECTOR, two, sizeof(two));
		CU_ASSERT_EQUAL(arrive(), DROPPED);
	}
	struct signed_copy same[2] = {copy_of(2, a32[2]), copy_of(2, a32[2])};
	message_write(1, ZYZZYVA_POM, PROOF_VECTOR, same, sizeof(same));
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	struct signed_copy apart[2] = {copy_of(2, a32[2]), copy_of(1, a32[1])};
	message_write(1, ZYZZYVA_POM, PROOF_VECTOR, apart, sizeof(apart));
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, 0);
	pom_write();
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(rig.r->me.view, 1);
	close_replica();
}

/* A body that nobody asked for is none, whatever its digest. */
static void
bodies_are_wanted(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	order_body_write();
	digest_of(
	    rig.incoming + 8, BODY_SIZE, ((struct message_header *)(void *)rig.incoming)->digest);
	CU_ASSERT_EQUAL(hear(rig.incoming, false), DROPPED);
	body_wanted();
	order_body_write();
	rig.incoming[8 + 4 + 5] ^= 1;
	digest_of(
	    rig.incoming + 8, BODY_SIZE, ((struct message_header *)(void *)rig.incoming)->digest);
	CU_ASSERT_EQUAL(hear(rig.incoming, false), DROPPED);
	close_replica();
}

/* The walk is elsewhere by now. */
static void
walk_on(void)
{
	rig.r->pending.at--;
}

/* It is not wanted any more when it is stepped. */
static void
bodies_are_wanted_still(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	body_wanted();
	order_body_write();
	CU_ASSERT_EQUAL(arrive_after(walk_on), STEPPED);
	CU_ASSERT_PTR_NULL(ledger_bank(ledger_slot(rig.r, 3), a32[3]));
	enter_again(rig.r);
	order_body_write();
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_PTR_NOT_NULL(ledger_bank(ledger_slot(rig.r, 3), a32[3]));
	close_replica();
}

/* What q have is not what is here: the client is told nothing of this history. */
static void
clients_ask_of_this_history(void)
{
	uint64_t body[LETTER_SIZE / 16];
	struct point other = {.seq = 2, .history32 = a32[7], .signers = 7};
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	memset(a32[7], 'b', 32);
	uint32_t size = certificate_write(&other);
	memcpy(body, rig.incoming + 8, size);
	message_write(1, ZYZZYVA_COMMIT, PROOF_VECTOR, body, size)->seq = 2;
	CU_ASSERT_EQUAL(arrive_from(KEY_CLIENT + 1), STEPPED);
	CU_ASSERT_EQUAL(figure("committed"), 0);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_LOCAL_COMMIT, 0));
	struct ask_body b = {.seq = 2};
	memcpy(b.history32, a32[7], 32);
	message_write(1, ZYZZYVA_ASK, PROOF_VECTOR, &b, sizeof(b))->seq = 2;
	CU_ASSERT_EQUAL(arrive_from(KEY_CLIENT + 1), STEPPED);
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATEMENT, 0));
	CU_ASSERT_PTR_NULL(sent_to(ZYZZYVA_STATED, 0));
	/* Of this one it is. */
	commit_write();
	CU_ASSERT_EQUAL(arrive_from(KEY_CLIENT + 1), STEPPED);
	CU_ASSERT_EQUAL(figure("committed"), 2);
	CU_ASSERT_PTR_NOT_NULL(sent_to(ZYZZYVA_LOCAL_COMMIT, 0));
	close_replica();
}

/* ---- requests that cannot be judged here
 * --------------------------------------------------------- */

/* A batch with a MAC that does not hold here is accepted by the word of one who is not its
 * primary. */
static void
slots_are_vouched(void)
{
	struct order o = {.seq = 1, .before32 = a32[0], .client = 1, .timestamp = 1, .bad = true};
	open_replica();
	memset(a32, 0, sizeof(a32));
	CU_ASSERT_EQUAL(order_comes(&o, a32[1]), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 0);
	CU_ASSERT_PTR_NOT_NULL(sent_to(ZYZZYVA_VOUCH, 7));
	/* That is its own word. */
	CU_ASSERT_EQUAL(states(0, 0, 1, a32[1]), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 0);
	/* Of another history. */
	CU_ASSERT_EQUAL(states(1, 0, 1, a32[7]), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 0);
	CU_ASSERT_EQUAL(states(2, 0, 1, a32[1]), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 1);
	close_replica();
}

/* A client's two requests in one batch: no correct primary has both. */
static void
batches_are_simple(void)
{
	uint64_t body[(32 + 2 * REQUEST_SIZE) / 8] = {0};
	struct order o = {.client = 1, .timestamp = 1};
	open_replica();
	request_write(&o, body + 4);
	o.timestamp = 2;
	request_write(&o, body + 4 + REQUEST_SIZE / 8);
	message_write(0, ZYZZYVA_ORDER_REQ, PROOF_VECTOR, body, sizeof(body))->seq = 1;
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 0);
	close_replica();
}

static void
orders_are_the_primarys(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	order_write();
	((struct message_header *)(void *)rig.incoming)->sender = 1;
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	order_write();
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 3);
	close_replica();
}

/* ---- certificates that are made here
 * ---------------------------------------------------------------- */

/* q STATEMENTs of one history, in one view; of each replica the first counts. */
static void
statements_are_gathered(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	CU_ASSERT_EQUAL(states(0, 0, 2, a32[2]), STEPPED);
	CU_ASSERT_EQUAL(states(1, 0, 2, a32[7]), STEPPED);
	CU_ASSERT_EQUAL(states(1, 0, 2, a32[2]), STEPPED);
	CU_ASSERT_EQUAL(figure("violations"), 1);
	CU_ASSERT_EQUAL(states(2, 0, 2, a32[2]), STEPPED);
	CU_ASSERT_EQUAL(figure("committed"), 0);
	/* Our own is the third. */
	CU_ASSERT_EQUAL(word_comes(2, ZYZZYVA_VOUCH, 0, 2), STEPPED);
	CU_ASSERT_EQUAL(figure("committed"), 2);
	close_replica();
}

/* The primary signed another than it ordered: that order is not accepted. */
static void
what_is_signed_is_ordered(void)
{
	open_replica();
	memset(a32, 0, sizeof(a32));
	grow(2);
	CU_ASSERT_EQUAL(states(0, 0, 3, a32[1]), STEPPED);
	order_write();
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	CU_ASSERT_EQUAL(figure("executed_seq"), 2);
	CU_ASSERT_EQUAL(figure("betrayals"), 1);
	close_replica();
}

static const struct unit_story stories[] = {
    {"all that is acted on is proven", all_is_proven},
    {"copies are the primary's", copies_are_the_primarys},
    {"bodies are wanted", bodies_are_wanted},
    {"bodies are wanted still", bodies_are_wanted_still},
    {"clients ask of this history", clients_ask_of_this_history},
    {"slots are vouched for", slots_are_vouched},
    {"batches are simple", batches_are_simple},
    {"orders are the primary's", orders_are_the_primarys},
    {"statements are gathered", statements_are_gathered},
    {"what is signed is ordered", what_is_signed_is_ordered},
};

UNIT_MAIN("zyzzyva_proof", stories)
