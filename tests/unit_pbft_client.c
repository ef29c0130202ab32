/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols/pbft/client.c: which replies make a result. (Whom it asks, and when:
 * unit_pbft_client_asks.c.)
 */
#include "tests/pbft_client_rig.h"

/* ---- Quorums ------------------------------------------------------------------ */

static void
f_plus_one_that_match(void)
{
	open_plain(4, 1);
	CU_ASSERT_EQUAL(client_deadline(), TIME_NEVER);
	submit();
	expect_asked(0);
	CU_ASSERT_EQUAL(body(2, "result"), STEPPED);
	CU_ASSERT_EQUAL(rig.claims.count, 2);
	expect_nothing();
	CU_ASSERT_EQUAL(body(0, "result"), STEPPED);
	expect_result("result");
	/* The others come too late, and cost nothing. */
	CU_ASSERT_EQUAL(body(1, "result"), DROPPED);
	submit();
	expect_asked(0);
	body(1, "next");
	body(3, "next");
	expect_result("next");
	client_close();
}

/* C08: f replicas answer first, and wrong. */
static void
f_liars_first(void)
{
	static const uint16_t sizes[][2] = {{4, 1}, {5, 1}, {7, 2}, {31, 10}, {64, 21}};
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint16_t n = sizes[i][0], f = sizes[i][1];
		open_plain(n, f);
		submit();
		for (uint16_t from = 0; from < f; from++) {
			body(from, "a lie");
			expect_nothing();
		}
		for (uint16_t from = f; from < 2 * f; from++) {
			body(from, "true");
			expect_nothing();
		}
		body((uint16_t)(n - 1), "true");
		expect_result("true");
		client_close();
	}
}

/* Each liar says something else: there is room for all, and the truth. */
static void
each_liar_says_something_else(void)
{
	char text[] = "lie no. A";
	open_plain(64, 21);
	submit();
	for (uint16_t from = 0; from < 21; from++) {
		text[8] = (char)('A' + from);
		body(from, text);
		expect_nothing();
	}
	for (uint16_t from = 63; from > 63 - 21; from--)
		digest(from, "true");
	expect_nothing();
	body(21, "true");
	expect_result("true");
	client_close();
}

static void
q_where_reads_are_not_ordered(void)
{
	static const uint16_t sizes[][3] = {{4, 1, 3}, {6, 1, 4}, {7, 2, 5}, {31, 10, 21}};
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint16_t q = sizes[i][2];
		open_reads(sizes[i][0], sizes[i][1]);
		submit();
		expect_asked(0);
		for (uint16_t from = 0; from < q - 1; from++) {
			body(from, "true");
			expect_nothing();
		}
		body(q, "true");
		expect_result("true");
		submit();
		for (uint16_t from = 0; from < q - 1; from++)
			lost(from);
		expect_nothing();
		lost(q);
		expect_lost();
		client_close();
	}
}

static void
q_tentative_ones(void)
{
	open_plain(7, 2);
	submit();
	for (uint16_t from = 0; from < 4; from++) {
		says(from, MESSAGE_REPLY, tentative, "true");
		expect_nothing();
	}
	says(4, MESSAGE_REPLY, tentative, "true");
	expect_result("true");
	/* Final ones add to them, and f + 1 of these are enough. */
	submit();
	for (uint16_t from = 0; from < 3; from++)
		says(from, MESSAGE_REPLY, tentative, "true");
	body(3, "true");
	expect_nothing();
	body(4, "true");
	expect_result("true");
	submit();
	says(0, MESSAGE_REPLY, tentative, "true");
	body(1, "true");
	body(2, "true");
	expect_nothing();
	body(3, "true");
	expect_result("true");
	client_close();
}

/* What was prepared in different views was prepared by a quorum in neither. */
static void
tentative_ones_of_one_view(void)
{
	open_plain(4, 1);
	submit();
	says(0, MESSAGE_REPLY, tentative, "true");
	says(1, MESSAGE_REPLY, tentative, "true");
	rig.view = 1;
	says(2, MESSAGE_REPLY, tentative, "true");
	expect_nothing();
	/* One that has moved on says so, and its earlier word is void. */
	says(1, MESSAGE_REPLY, tentative, "true");
	expect_nothing();
	rig.view = 0;
	says(3, MESSAGE_REPLY, tentative, "true");
	says(1, MESSAGE_REPLY, tentative, "true");
	expect_nothing();
	rig.view = 1;
	says(3, MESSAGE_REPLY, tentative, "true");
	expect_result("true");
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 0);
	client_close();
}

static void
final_ones_replace_tentative_ones(void)
{
	open_plain(4, 1);
	submit();
	/* Undone by a view change, and executed with another result. */
	says(0, MESSAGE_REPLY, tentative, "undone");
	says(1, MESSAGE_REPLY, tentative, "undone");
	body(0, "true");
	expect_nothing();
	/* A late tentative one does not bring it back. */
	says(0, MESSAGE_REPLY, tentative, "undone");
	says(3, MESSAGE_REPLY, tentative, "undone");
	expect_nothing();
	body(1, "true");
	expect_result("true");
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 0);
	client_close();
}

static void
one_vote_a_replica(void)
{
	open_plain(7, 2);
	submit();
	for (uint32_t i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(body(3, "true"), STEPPED);
		CU_ASSERT_EQUAL(digest(3, "true"), STEPPED);
		expect_nothing();
	}
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 0);
	/* Its first word stands. */
	body(4, "a lie");
	body(4, "true");
	body(5, "true");
	expect_nothing();
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 1);
	body(6, "true");
	expect_result("true");
	/* The same with a tentative one of the same view. */
	submit();
	says(4, MESSAGE_REPLY, tentative, "a lie");
	says(4, MESSAGE_REPLY, tentative, "true");
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 2);
	for (uint16_t from = 0; from < 4; from++)
		says(from, MESSAGE_REPLY, tentative, "true");
	expect_nothing();
	says(5, MESSAGE_REPLY, tentative, "true");
	expect_result("true");
	client_close();
}

static void
lost_results(void)
{
	open_plain(4, 1);
	submit();
	lost(0);
	lost(0);
	expect_nothing();
	body(1, "");
	expect_nothing();
	lost(2);
	expect_lost();
	/* Who had it and has it no longer may say so. */
	submit();
	digest(0, "gone");
	lost(0);
	expect_nothing();
	digest(0, "gone");
	expect_nothing();
	lost(3);
	expect_lost();
	CU_ASSERT_EQUAL(figure("replies_conflicting"), 0);
	/* Where it is not certain yet, it is as with results. */
	submit();
	says(0, MESSAGE_REPLY_LOST, tentative, "");
	says(1, MESSAGE_REPLY_LOST, tentative, "");
	expect_nothing();
	says(2, MESSAGE_REPLY_LOST, tentative, "");
	expect_lost();
	client_close();
}

/* ---- Results and their digests ----------------------------------------------- */

static void
body_before_digests(void)
{
	open_plain(7, 2);
	submit();
	body(0, "large");
	digest(1, "large");
	expect_nothing();
	digest(2, "large");
	expect_result("large");
	client_close();
}

static void
body_after_digests(void)
{
	open_plain(7, 2);
	submit();
	for (uint16_t i = 0; i < 4; i++) {
		digest(other(i), "large");
		expect_nothing();
	}
	/* Anybody's will do, for its digest is what was agreed on. */
	body(other(1), "large");
	expect_result("large");
	client_close();
}

static void
liars_body_first(void)
{
	open_plain(7, 2);
	submit();
	body(0, "a lie");
	digest(1, "true");
	body(2, "true");
	expect_nothing();
	digest(3, "true");
	expect_result("true");
	/* One with no more votes than the one that is kept does not displace it. */
	submit();
	body(3, "true");
	body(0, "a lie");
	digest(1, "true");
	digest(2, "true");
	expect_result("true");
	client_close();
}

/* A liar's body is not what honest replicas have the digest of. */
static void
forged_digest(void)
{
	static const uint8_t proofs[] = {PROOF_NONE, PROOF_MAC, PROOF_SIGNATURE};
	for (uint32_t i = 0; i < sizeof(proofs); i++) {
		struct protocol_config config = config_of(4, 1);
		config.reply_proof = proofs[i];
		client_open(&config);
		submit();
		digest(1, "true");
		struct message_header *h = write_message(0, MESSAGE_REPLY, "a lie", 5);
		digest_of("true", 4, h->digest);
		seal_as(0);
		CU_ASSERT_EQUAL(arrive(), UNPROVEN);
		body(2, "true");
		expect_result("true");
		client_close();
	}
}

static void
empty_body_with_an_honest_digest(void)
{
	open_plain(4, 1);
	submit();
	digest(1, "true");
	struct message_header *h = write_message(0, MESSAGE_REPLY, "", 0);
	digest_of("true", 4, h->digest);
	seal_as(0);
	CU_ASSERT_EQUAL(arrive(), STEPPED);
	expect_nothing();
	body(2, "true");
	expect_result("true");
	/* Results that are empty are none the less results. */
	submit();
	body(1, "");
	body(2, "");
	expect_result("");
	submit();
	body(0, "kept");
	digest(1, "");
	body(2, "");
	expect_result("");
	submit();
	body(0, "kept");
	body(2, "");
	digest(1, "");
	expect_result("");
	client_close();
}

static void
big_results(void)
{
	static uint8_t big[RESULT_SIZE_MAX + 1];
	for (uint32_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 256);
	open_plain(4, 1);
	for (uint32_t round = 0; round < 2; round++) {
		submit();
		write_message(0, MESSAGE_REPLY, big, RESULT_SIZE_MAX);
		seal_as(0);
		CU_ASSERT_EQUAL(arrive(), STEPPED);
		/* The message is gone; the result is kept. */
		write_message(
		    1, round == 0 ? BFT_REPLY_DIGEST : MESSAGE_REPLY, big, RESULT_SIZE_MAX);
		seal_as(1);
		CU_ASSERT_EQUAL(arrive(), STEPPED);
		CU_ASSERT_EQUAL_FATAL(rig.out.completions_count, 1);
		CU_ASSERT_EQUAL_FATAL(rig.out.completions[0].size, RESULT_SIZE_MAX);
		CU_ASSERT_EQUAL(memcmp(rig.out.completions[0].data, big, RESULT_SIZE_MAX), 0);
	}
	submit();
	write_message(0, MESSAGE_REPLY, big, RESULT_SIZE_MAX + 1);
	seal_as(0);
	CU_ASSERT_EQUAL(arrive(), DROPPED);
	client_close();
}

/* More slots than cells: who finds none takes the result when the digests are there. */
static void
cells_are_bounded(void)
{
	struct protocol_config config = config_of(4, 1);
	config.slots_count = 300;
	config.result_size_max = 1 << 20;
	client_open(&config);
	uint16_t cells = 256;
	CU_ASSERT(pbft_client.size(&config) < (257u << 20));
	for (uint16_t i = 0; i < 300; i++) {
		slot_set((uint16_t)(SLOT_FIRST + i), 0);
		submit();
		body(0, "large");
	}
	CU_ASSERT_EQUAL(figure("results_unkept"), 300 - cells);
	rig.now_ns = 10;
	slot_set(SLOT_FIRST + 1, 1);
	digest(1, "large");
	expect_result("large");
	struct completion done = rig.out.completions[0];
	/* In the same burst nobody else gets that cell. */
	slot_set(SLOT_FIRST + 299, 1);
	body(0, "other");
	CU_ASSERT_EQUAL(figure("results_unkept"), 301 - cells);
	CU_ASSERT_EQUAL(memcmp(done.data, "large", 5), 0);
	rig.now_ns = 11;
	body(0, "large");
	CU_ASSERT_EQUAL(figure("results_unkept"), 301 - cells);
	digest(1, "large");
	expect_result("large");
	/* Without a cell: the digests first, then the result straight from its message. */
	slot_set(SLOT_FIRST + 298, 1);
	digest(1, "large");
	CU_ASSERT_EQUAL(rig.out.completions_count, 0);
	body(3, "large");
	expect_result("large");
	client_close();
}

/* Digests are quicker than what they are of: it is waited for, but not for long. */
static void
body_is_on_its_way(void)
{
	open_plain(4, 1);
	submit();
	rig.now_ns += 1000;
	digest(other(0), "large");
	digest(other(1), "large");
	expect_nothing();
	/* More digests do not put it off. */
	rig.now_ns += 1000;
	digest(other(2), "large");
	expect_nothing();
	CU_ASSERT_EQUAL(wait_for_send(), PATIENCE_NS - 1000);
	expect_asked_all();
	CU_ASSERT_EQUAL(pbft_client.retransmissions(rig.self), 1);
	digest(other(0), "large");
	expect_nothing();
	CU_ASSERT_EQUAL(wait_for_send(), 2 * RETRY_NS);
	expect_asked_all();
	body(other(1), "large");
	expect_result("large");
	client_close();
}

/* Who did not send it when it was his turn is not relied on, until he does. */
static void
tardy_replier(void)
{
	open_plain(4, 1);
	submit();
	uint16_t tardy = replier();
	digest(other(0), "large");
	digest(other(1), "large");
	wait_for_send();
	body(other(0), "large");
	expect_result("large");
	while (rig.timestamp < 4) {
		submit();
		expect_asked(0);
		body(0, "x");
		body(1, "x");
	}
	submit();
	CU_ASSERT_EQUAL(replier(), tardy);
	expect_asked_all();
	body(tardy, "large");
	body(other(0), "large");
	expect_result("large");
	while (rig.timestamp < 8) {
		submit();
		body(0, "x");
		body(1, "x");
	}
	submit();
	CU_ASSERT_EQUAL(replier(), tardy);
	expect_asked(0);
	client_close();
}

/* He has spoken, and did not send it: there is nothing to wait for. */
static void
replier_without_body(void)
{
	open_plain(7, 2);
	submit();
	digest(replier(), "large");
	digest(other(0), "large");
	expect_nothing();
	digest(other(1), "large");
	expect_asked_all();
	/* Once a try. */
	digest(other(2), "large");
	expect_nothing();
	CU_ASSERT_EQUAL(wait_for_send(), 2 * RETRY_NS);
	body(other(3), "large");
	expect_result("large");
	client_close();
}

/* ---- Whatever f liars say ------------------------------------------------------ */

/*
 * A replica that lies says anything, one that does not says what is true in the
 * forms that it may, in any order: never is a lie believed, and once all that do
 * not lie have said their last word, the whole result with it, all is done.
 */
static void
liar_speaks(uint64_t *seed, uint16_t from)
{
	static const char *const texts[] = {"true", "a lie", "another lie", ""};
	static const uint8_t types[] = {MESSAGE_REPLY, MESSAGE_REPLY, BFT_REPLY_DIGEST,
	    BFT_REPLY_DIGEST, MESSAGE_REPLY_LOST, BFT_MUST_SIGN};
	const char *text = texts[toy_below(seed, 4)];
	uint8_t type = types[toy_below(seed, 6)];
	struct message_header *h = write_message(from, type, text, (uint32_t)strlen(text));
	h->view |= toy_below(seed, 4) | (uint64_t)toy_below(seed, 3) << (62 - toy_below(seed, 60));
	if (toy_below(seed, 4) == 0)
		digest_of("true", 4, h->digest);
	if (toy_below(seed, 8) == 0)
		h->seq += toy_below(seed, 3) - 1u;
	seal_as(from);
	arrive();
}

static bool
answered(void)
{
	if (rig.out.completions_count == 0)
		return false;
	expect_result("true");
	return true;
}

/* At most f replicas have executed what was undone later. */
static void
honest_speaks(uint64_t *seed, uint16_t from, bool misled)
{
	bool early = rig.config.tentative && toy_below(seed, 2) == 0;
	const char *text = misled && toy_below(seed, 4) == 0 ? "undone" : "true";
	rig.view = toy_below(seed, 3);
	if (!early)
		says(from, toy_below(seed, 2) ? BFT_REPLY_DIGEST : MESSAGE_REPLY, final, "true");
	else
		says(from, MESSAGE_REPLY, tentative, text);
}

static void
one_operation(uint64_t *seed)
{
	uint16_t n = rig.config.replicas_count;
	uint16_t f = rig.config.faults;
	uint16_t liars_first = (uint16_t)toy_below(seed, n);
	submit();
	for (uint32_t i = toy_below(seed, 3u * n); i > 0; i--) {
		uint16_t from = (uint16_t)toy_below(seed, n);
		rig.now_ns += toy_below(seed, RETRY_NS / 16);
		if (client_deadline() <= rig.now_ns)
			timeout_at(rig.now_ns);
		uint16_t place = (uint16_t)((from + n - liars_first) % n);
		if (place < f)
			liar_speaks(seed, from);
		else
			honest_speaks(seed, from, place < 2 * f);
		if (answered())
			return;
	}
	for (uint16_t i = f; i < n; i++) {
		rig.view = 2;
		body((uint16_t)((liars_first + i) % n), "true");
		if (answered())
			return;
	}
	CU_FAIL("all honest replicas have spoken");
}

static void
whatever_f_liars_say(void)
{
	static const uint16_t sizes[][2] = {{4, 1}, {6, 1}, {7, 2}, {31, 10}, {64, 21}};
	uint64_t seed = 5;
	for (uint32_t i = 0; i < 4 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct protocol_config config = config_of(sizes[i / 4][0], sizes[i / 4][1]);
		config.tentative = (i & 1) != 0;
		config.reads = (i & 2) != 0;
		client_open(&config);
		for (uint32_t round = 0; round < 400; round++) {
			one_operation(&seed);
			/* Only liars were ever in a view above. */
			CU_ASSERT(pbft_client.view(rig.self) <= 2);
		}
		CU_ASSERT_EQUAL(figure("slots_signed"), 0);
		client_close();
	}
}

static const struct unit_story stories[] = {
    {"f + 1 that match", f_plus_one_that_match},
    {"f liars first", f_liars_first},
    {"each liar says something else", each_liar_says_something_else},
    {"q where reads are not ordered", q_where_reads_are_not_ordered},
    {"q tentative ones", q_tentative_ones},
    {"tentative ones of one view", tentative_ones_of_one_view},
    {"final ones replace tentative ones", final_ones_replace_tentative_ones},
    {"one vote a replica", one_vote_a_replica},
    {"lost results", lost_results},
    {"body before digests", body_before_digests},
    {"body after digests", body_after_digests},
    {"a liar's body first", liars_body_first},
    {"a forged digest", forged_digest},
    {"an empty body with an honest digest", empty_body_with_an_honest_digest},
    {"big results", big_results},
    {"cells are bounded", cells_are_bounded},
    {"a body is on its way", body_is_on_its_way},
    {"a tardy replier", tardy_replier},
    {"a replier without body", replier_without_body},
    {"whatever f liars say", whatever_f_liars_say},
};

UNIT_MAIN("pbft_client", stories)
