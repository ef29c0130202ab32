/* SPDX-License-Identifier: Apache-2.0 */
/* The client of protocols/unreplicated by itself, step by step. */
#include "tests/unreplicated_rig.h"

static void
submit_and_answer(void)
{
	client_open(PROOF_MAC);
	CU_ASSERT_EQUAL(client_deadline(), TIME_NEVER);
	submit(15, "first", 1000);
	expect_request(15, 1, "first");
	CU_ASSERT(client_deadline() <= 1000 + RETRY_NS);
	CU_ASSERT(client_deadline() > 1000);
	reply_make(15, 1);
	CU_ASSERT_EQUAL(arrive(client, 2000), VERDICT_STEP);
	CU_ASSERT_EQUAL(client->claims.count, 2);
	CU_ASSERT_EQUAL(client->claims.list[1].key, 0);
	expect_completion(15, 1);
	submit(15, "", 3000);
	expect_request(15, 2, "");
	submit(10, "other", 3000);
	expect_request(10, 1, "other");
	rig_close(client);
}

/* Waits for the next retransmission; returns when it came. */
static uint64_t
wait_for_send(uint64_t now_ns)
{
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t next_ns = client_deadline();
		CU_ASSERT_FATAL(next_ns != TIME_NEVER);
		now_ns = next_ns > now_ns ? next_ns : now_ns;
		timeout(client, now_ns, 0);
		if (client->out.sends_count > 0)
			return now_ns;
	}
	CU_FAIL("no retransmission");
	return now_ns;
}

static void
retransmissions_double(void)
{
	static const uint64_t factors[] = {1, 2, 4, 8, 16, 32, 32, 32};
	uint64_t now_ns = 777;
	client_open(PROOF_MAC);
	submit(12, "again", now_ns);
	for (uint32_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
		uint64_t sent_ns = wait_for_send(now_ns);
		CU_ASSERT_EQUAL(sent_ns - now_ns, factors[i] * RETRY_NS);
		expect_request(12, 1, "again");
		CU_ASSERT_EQUAL(client->machine->retransmissions(client->self), i + 1);
		now_ns = sent_ns;
	}
	reply_make(12, 1);
	arrive(client, now_ns);
	expect_completion(12, 1);
	/* The next is given twice the time: answers are late, it seems. */
	submit(12, "next", now_ns);
	CU_ASSERT_EQUAL(wait_for_send(now_ns) - now_ns, 2 * RETRY_NS);
	expect_request(12, 2, "next");
	rig_close(client);
}

/* However late the answers of before were: a service that is back is noticed soon. */
static void
retransmissions_are_never_far_apart(void)
{
	enum { LATE_OPERATIONS = 8, TRIES = 8, FACTOR_MAX = 32 };
	uint64_t now_ns = 777;
	client_open(PROOF_MAC);
	for (uint32_t i = 1; i <= LATE_OPERATIONS; i++) {
		submit(12, "late", now_ns);
		now_ns = wait_for_send(now_ns);
		expect_request(12, i, "late");
		reply_make(12, i);
		arrive(client, now_ns);
		expect_completion(12, i);
	}
	submit(12, "lost", now_ns);
	for (uint32_t i = 0; i < TRIES; i++) {
		uint64_t sent_ns = wait_for_send(now_ns);
		CU_ASSERT_EQUAL(sent_ns - now_ns, FACTOR_MAX * RETRY_NS);
		expect_request(12, LATE_OPERATIONS + 1, "lost");
		now_ns = sent_ns;
	}
	rig_close(client);
}

/* How often a request is sent until then. */
static uint32_t
sends_until(uint64_t end_ns)
{
	uint32_t sends = 0;
	while (client_deadline() <= end_ns) {
		timeout(client, client_deadline(), 0);
		sends += client->out.sends_count;
	}
	return sends;
}

/* A service whose answers always take longer than --retry is soon given the time. */
static void
retransmissions_learn_the_latency(void)
{
	enum { LATENCY = 3 * RETRY_NS / 2 };
	uint64_t now_ns = 777;
	client_open(PROOF_MAC);
	for (uint32_t i = 1; i <= 8; i++) {
		submit(12, "slow", now_ns);
		CU_ASSERT_EQUAL(sends_until(now_ns + LATENCY - 1), i == 1);
		now_ns += LATENCY;
		reply_make(12, i);
		arrive(client, now_ns);
		expect_completion(12, i);
	}
	/* Of the second it was learnt. */
	submit(12, "lost", now_ns);
	CU_ASSERT_EQUAL(wait_for_send(now_ns) - now_ns, CLIENT_PATIENCE * LATENCY);
	rig_close(client);
}

static void
answered_is_not_sent_again(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	submit(13, "b", 10);
	reply_make(12, 1);
	arrive(client, 20);
	uint64_t sent_ns = wait_for_send(20);
	CU_ASSERT_EQUAL(sent_ns, 10 + RETRY_NS);
	expect_request(13, 1, "b");
	CU_ASSERT_EQUAL(client->machine->retransmissions(client->self), 1);
	rig_close(client);
}

static void
many_late_at_once(void)
{
	uint32_t seen = 0;
	client_open(PROOF_MAC);
	for (uint16_t slot = 10; slot < 10 + SLOTS; slot++)
		submit(slot, "x", 5);
	for (uint32_t i = 0; i < SLOTS; i++) {
		CU_ASSERT(client_deadline() <= 10 * RETRY_NS);
		timeout(client, 10 * RETRY_NS, 0);
		CU_ASSERT_EQUAL_FATAL(client->out.sends_count, 1);
		seen |= 1u << (client->out.sends[0].header->sender - 10);
	}
	CU_ASSERT_EQUAL(seen, (1u << SLOTS) - 1);
	timeout(client, 10 * RETRY_NS, 0);
	expect_nothing(client);
	CU_ASSERT(client_deadline() > 10 * RETRY_NS);
	rig_close(client);
}

static void
late_and_twin_replies(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	/* Twins in one burst are both screened before either is stepped. */
	reply_make(12, 1);
	struct message twin = parsed(client->incoming);
	CU_ASSERT_EQUAL(rig_screen(client, &twin), VERDICT_STEP);
	struct event event = {.type = EVENT_MESSAGE, .message = &twin};
	rig_step(client, &event);
	expect_completion(12, 1);
	rig_step(client, &event);
	expect_nothing(client);
	CU_ASSERT_EQUAL(rig_screen(client, &twin), VERDICT_DROP);
	/* The old answer is none to the next operation, even if it was screened before. */
	submit(12, "b", 0);
	CU_ASSERT_EQUAL(rig_screen(client, &twin), VERDICT_DROP);
	rig_step(client, &event);
	expect_nothing(client);
	reply_make(12, 2);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_STEP);
	expect_completion(12, 2);
	rig_close(client);
}

static void
screened_out_by_the_client(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	reply_make(12, 0);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(12, 2);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(11, 1); /* idle */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(11, 0); /* never used */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(9, 1); /* of another node */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(10 + SLOTS, 1);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	reply_make(12, 1)->sender = 1; /* no such replica */
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_DROP);
	for (uint8_t type = 0; type < 32; type++) {
		reply_make(12, 1)->type = type;
		struct message m = parsed(client->incoming);
		bool known = type == MESSAGE_REPLY || type == MESSAGE_REPLY_LOST;
		CU_ASSERT_EQUAL(rig_screen(client, &m), known ? VERDICT_STEP : VERDICT_DROP);
	}
	reply_make(12, 1);
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_STEP);
	expect_completion(12, 1);
	rig_close(client);
}

static void
replies_have_the_agreed_proof(void)
{
	static const uint8_t agreed[] = {PROOF_NONE, PROOF_MAC, PROOF_SIGNATURE, PROOF_MERKLE};
	for (uint32_t i = 0; i < sizeof(agreed); i++) {
		client_open(agreed[i]);
		submit(12, "a", 0);
		for (uint8_t proof = 0; proof <= PROOF_MERKLE + MERKLE_DEPTH_MAX; proof++) {
			if (proof_size(proof, 1) == UINT32_MAX)
				continue;
			struct message_header *h = incoming(client, MESSAGE_REPLY, proof, 4);
			h->instance = 12;
			h->seq = 1;
			struct message m = parsed(h);
			bool fits =
			    agreed[i] == PROOF_MERKLE ? proof >= PROOF_MERKLE : proof == agreed[i];
			CU_ASSERT_EQUAL(rig_screen(client, &m), fits ? VERDICT_STEP : VERDICT_DROP);
			CU_ASSERT_EQUAL(client->claims.count, fits && proof != PROOF_NONE ? 2 : 0);
		}
		rig_close(client);
	}
}

static void
lost_replies_complete(void)
{
	client_open(PROOF_MAC);
	submit(12, "a", 0);
	struct message_header *h = incoming(client, MESSAGE_REPLY_LOST, PROOF_MAC, 0);
	h->instance = 12;
	h->seq = 1;
	CU_ASSERT_EQUAL(arrive(client, 0), VERDICT_STEP);
	CU_ASSERT_EQUAL_FATAL(client->out.completions_count, 1);
	CU_ASSERT(client->out.completions[0].lost);
	CU_ASSERT_EQUAL(client->out.completions[0].size, 0);
	submit(12, "b", 0);
	expect_request(12, 2, "b");
	rig_close(client);
}

static const struct unit_story stories[] = {
    {"submit and answer", submit_and_answer},
    {"retransmissions double", retransmissions_double},
    {"retransmissions are never far apart", retransmissions_are_never_far_apart},
    {"retransmissions learn the latency", retransmissions_learn_the_latency},
    {"answered is not sent again", answered_is_not_sent_again},
    {"many late at once", many_late_at_once},
    {"late and twin replies", late_and_twin_replies},
    {"screened out by the client", screened_out_by_the_client},
    {"replies have the agreed proof", replies_have_the_agreed_proof},
    {"lost replies complete", lost_replies_complete},
};

UNIT_MAIN("unreplicated_client", stories)
