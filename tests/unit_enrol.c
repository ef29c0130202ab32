/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine/enrol.c: client nodes come to a replica, and meet what a network can do
 * to a HELLO and a WELCOME: cuts, forgeries, replays, other terms, other lives.
 */
#include "engine/enrol.h"

#include "tests/crypto_fixture.h"
#include "tests/unit.h"

enum { SLOTS = 3, MS = 1000000, STARTED = 5000 };

static struct fixture fixture;
static uint64_t bytes[2][ENVELOPE_SIZE_MIN / 8];

static const struct enrol_terms terms = {
    .slots = SLOTS,
    .request_size_max = 100,
    .reply_size_max = 200,
    .batch = 64,
    .client_nodes = FIXTURE_CLIENTS,
    .instances = 1,
    .protocol = 2,
    .request_proof = PROOF_VECTOR,
    .reply_proof = PROOF_MAC,
    .flags = ENROL_READS,
};

static struct enrol_config
config_of(uint16_t node)
{
	bool replica = node < FIXTURE_REPLICAS;
	return (struct enrol_config){
	    .ops = fixture.ops,
	    .crypto = fixture.nodes[node],
	    .cluster = FIXTURE_CLUSTER,
	    .replicas_count = FIXTURE_REPLICAS,
	    .self = (uint16_t)(replica ? node : node - FIXTURE_REPLICAS),
	    .started = STARTED,
	    .terms = terms,
	    .address = {.ip = 0x0a000001, .port = 7000, .mac = {2, 0, 0, 0, 0, (uint8_t)node}},
	};
}

static struct enrol_host *
host_new(uint16_t replica, const struct enrol_terms *own)
{
	struct enrol_config config = config_of(replica);
	config.terms = *own;
	struct enrol_host *host = enrol_host_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(host);
	return host;
}

static struct enrol_guest *
guest_new(uint16_t client, uint64_t started, const struct enrol_terms *own)
{
	struct enrol_config config = config_of((uint16_t)(FIXTURE_REPLICAS + client));
	config.started = started;
	config.terms = *own;
	struct enrol_guest *guest = enrol_guest_open(&config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(guest);
	return guest;
}

static struct send
envelope(uint32_t which)
{
	memset(bytes[which], 0xee, sizeof(bytes[which]));
	return (struct send){
	    .capacity = sizeof(bytes[which]),
	    .header = (struct message_header *)(void *)bytes[which],
	};
}

static const uint8_t *
hello_from(struct enrol_guest *guest, uint16_t replica)
{
	struct send send = envelope(0);
	enrol_guest_write(guest, replica, &send);
	CU_ASSERT_EQUAL(send.to, 1ull << replica);
	CU_ASSERT_EQUAL(send.header->size, ENROL_MESSAGE_SIZE);
	return (const uint8_t *)bytes[0];
}

/* The whole exchange at time now_ns; what the guest then knows of the replica. */
static enum enrol_status
exchange(struct enrol_host *host, struct enrol_guest *guest, uint64_t now_ns)
{
	struct enrol_arrival arrival;
	struct enrol_terms theirs;
	const uint8_t *hello = hello_from(guest, 0);
	CU_ASSERT_FATAL(enrol_host_take(host, hello, ENROL_MESSAGE_SIZE, now_ns, &arrival));
	CU_ASSERT_FATAL(arrival.answer);
	struct send send = envelope(1);
	enrol_host_write(host, &arrival, &send);
	CU_ASSERT_EQUAL(send.to, 0);
	CU_ASSERT_EQUAL(send.client / SLOTS, arrival.client);
	CU_ASSERT_FATAL(enrol_guest_take(guest, (const uint8_t *)bytes[1], ENROL_MESSAGE_SIZE));
	return enrol_guest_status(guest, 0, &theirs);
}

static void
a_client_comes_and_is_welcome(void)
{
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *guest = guest_new(1, STARTED, &terms);
	struct enrol_arrival arrival;
	CU_ASSERT_EQUAL(enrol_guest_answered(guest), 0);
	const uint8_t *hello = hello_from(guest, 0);
	CU_ASSERT_TRUE(enrol_is_ours(hello, ENROL_MESSAGE_SIZE));
	CU_ASSERT_TRUE_FATAL(enrol_host_take(host, hello, ENROL_MESSAGE_SIZE, MS, &arrival));
	CU_ASSERT_EQUAL(arrival.client, 1);
	CU_ASSERT_TRUE(arrival.news);
	CU_ASSERT_EQUAL(arrival.status, ENROL_WELCOME);
	CU_ASSERT_EQUAL(arrival.address.ip, 0x0a000001);
	CU_ASSERT_EQUAL(arrival.address.port, 7000);
	CU_ASSERT_EQUAL(arrival.address.mac[5], FIXTURE_REPLICAS + 1);
	CU_ASSERT_EQUAL(exchange(host, guest, 3 * MS), ENROL_WELCOME);
	CU_ASSERT_EQUAL(enrol_guest_answered(guest), 1);
	CU_ASSERT_EQUAL(enrol_guest_refused(guest), 0);
	enrol_guest_close(guest);
	enrol_host_close(host);
}

/* Any cut, any inverted bit, another's key, another replica's copy: nothing happens. */
static void
forgeries_change_nothing(void)
{
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *guest = guest_new(0, STARTED, &terms);
	struct enrol_arrival arrival;
	uint64_t copy[ENROL_MESSAGE_SIZE / 8];
	static_assert(sizeof(copy) == ENROL_MESSAGE_SIZE, "whole words");
	memcpy(copy, hello_from(guest, 0), sizeof(copy));
	for (uint32_t size = 0; size < ENROL_MESSAGE_SIZE; size++)
		CU_ASSERT_FALSE(enrol_host_take(host, (uint8_t *)copy, size, MS, &arrival));
	for (uint32_t bit = 0; bit < 8 * ENROL_MESSAGE_SIZE; bit++) {
		((uint8_t *)copy)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(enrol_host_take(host, (uint8_t *)copy, sizeof(copy), MS, &arrival));
		((uint8_t *)copy)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* Made for replica 1: the link's key is another. */
	memcpy(copy, hello_from(guest, 1), sizeof(copy));
	CU_ASSERT_FALSE(enrol_host_take(host, (uint8_t *)copy, sizeof(copy), MS, &arrival));
	CU_ASSERT_TRUE(enrol_host_counters(host)->unproven > 0);
	CU_ASSERT_TRUE(enrol_host_counters(host)->malformed > 0);
	CU_ASSERT_EQUAL(enrol_host_counters(host)->taken, 0);
	enrol_guest_close(guest);
	enrol_host_close(host);
}

static void
welcomes_are_proven_and_for_this_life(void)
{
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *guest = guest_new(0, STARTED, &terms);
	struct enrol_guest *later = guest_new(0, STARTED + 1, &terms);
	uint64_t copy[ENROL_MESSAGE_SIZE / 8];
	CU_ASSERT_EQUAL(exchange(host, guest, MS), ENROL_WELCOME);
	memcpy(copy, bytes[1], sizeof(copy));
	for (uint32_t bit = 0; bit < 8 * ENROL_MESSAGE_SIZE; bit++) {
		((uint8_t *)copy)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(enrol_guest_take(later, (uint8_t *)copy, sizeof(copy)));
		((uint8_t *)copy)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* What was said to the former life counts no more. */
	CU_ASSERT_FALSE(enrol_guest_take(later, (uint8_t *)copy, sizeof(copy)));
	CU_ASSERT_EQUAL(enrol_guest_answered(later), 0);
	enrol_guest_close(later);
	enrol_guest_close(guest);
	enrol_host_close(host);
}

/* A later life moves the address, a former one's HELLO that is sent again does not. */
static void
lives_and_places(void)
{
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *first = guest_new(0, STARTED, &terms);
	struct enrol_config moved = config_of(FIXTURE_REPLICAS);
	moved.started = STARTED + 7;
	moved.address.ip++;
	struct enrol_guest *second = enrol_guest_open(&moved);
	struct enrol_arrival arrival;
	CU_ASSERT_EQUAL(exchange(host, first, MS), ENROL_WELCOME);
	CU_ASSERT_TRUE_FATAL(
	    enrol_host_take(host, hello_from(first, 0), ENROL_MESSAGE_SIZE, 5 * MS, &arrival));
	CU_ASSERT_FALSE(arrival.news);
	CU_ASSERT_TRUE_FATAL(
	    enrol_host_take(host, hello_from(second, 0), ENROL_MESSAGE_SIZE, 9 * MS, &arrival));
	CU_ASSERT_TRUE(arrival.news);
	CU_ASSERT_EQUAL(arrival.address.ip, 0x0a000002);
	CU_ASSERT_EQUAL(exchange(host, first, 20 * MS), ENROL_STALE);
	CU_ASSERT_EQUAL(enrol_host_counters(host)->stale, 1);
	CU_ASSERT_EQUAL(enrol_guest_refused(first), 1);
	CU_ASSERT_TRUE_FATAL(
	    enrol_host_take(host, hello_from(second, 0), ENROL_MESSAGE_SIZE, 30 * MS, &arrival));
	CU_ASSERT_FALSE(arrival.news);
	enrol_guest_close(second);
	enrol_guest_close(first);
	enrol_host_close(host);
}

/* Answers are fewer than one a millisecond, whatever is asked. */
static void
answers_are_bounded(void)
{
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *guest = guest_new(0, STARTED, &terms);
	struct enrol_arrival arrival;
	uint32_t answers = 0;
	for (uint64_t now_ns = MS; now_ns < 11 * MS; now_ns += MS / 100) {
		CU_ASSERT_TRUE_FATAL(enrol_host_take(
		    host, hello_from(guest, 0), ENROL_MESSAGE_SIZE, now_ns, &arrival));
		answers += arrival.answer;
	}
	CU_ASSERT_EQUAL(answers, 10);
	enrol_guest_close(guest);
	enrol_host_close(host);
}

static void
other_terms_are_refused_by_name(void)
{
#define FIELD(name, value) offsetof(struct enrol_terms, name), sizeof(terms.name), value
	static const struct {
		enum enrol_status status;
		size_t offset;
		size_t size;
		uint32_t value;
	} cases[] = {
	    {ENROL_WELCOME, FIELD(batch, 1)},
	    {ENROL_WELCOME, FIELD(request_size_max, 99)},
	    {ENROL_WELCOME, FIELD(reply_size_max, 0)},
	    {ENROL_WELCOME, FIELD(flags, ENROL_READS | ENROL_ADAPTIVE)},
	    {ENROL_OTHER_PROTOCOL, FIELD(protocol, 1)},
	    {ENROL_OTHER_SLOTS, FIELD(slots, SLOTS + 1)},
	    {ENROL_OTHER_CLIENT_NODES, FIELD(client_nodes, 3)},
	    {ENROL_OTHER_INSTANCES, FIELD(instances, 2)},
	    {ENROL_OTHER_REQUEST_PROOF, FIELD(request_proof, PROOF_NONE)},
	    {ENROL_OTHER_REPLY_PROOF, FIELD(reply_proof, PROOF_SIGNATURE)},
	    {ENROL_OTHER_FLAGS, FIELD(flags, 0)},
	    {ENROL_OTHER_FLAGS, FIELD(flags, ENROL_READS | ENROL_TENTATIVE)},
	    {ENROL_REQUESTS_LARGER, FIELD(request_size_max, 101)},
	    {ENROL_REPLIES_LARGER, FIELD(reply_size_max, 201)},
	};
#undef FIELD
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct enrol_terms theirs = terms;
		memcpy((uint8_t *)&theirs + cases[i].offset, &cases[i].value, cases[i].size);
		CU_ASSERT_EQUAL(enrol_compare(&terms, &theirs), cases[i].status);
	}
	/* And over the wire. */
	struct enrol_terms larger = terms;
	larger.reply_size_max++;
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *guest = guest_new(0, STARTED, &larger);
	CU_ASSERT_EQUAL(exchange(host, guest, MS), ENROL_REPLIES_LARGER);
	CU_ASSERT_EQUAL(enrol_guest_refused(guest), 1);
	enrol_guest_close(guest);
	enrol_host_close(host);
}

/* Who has not answered is asked soon again, who has is told more seldom. */
static void
replicas_are_told_again(void)
{
	struct enrol_host *host = host_new(0, &terms);
	struct enrol_guest *guest = guest_new(0, STARTED, &terms);
	uint64_t all = (1u << FIXTURE_REPLICAS) - 1;
	uint64_t now_ns = MS;
	CU_ASSERT_EQUAL(enrol_guest_due(guest, now_ns), all);
	CU_ASSERT_EQUAL(enrol_guest_due(guest, now_ns + ENROL_AGAIN_NS - 1), 0);
	CU_ASSERT_EQUAL(exchange(host, guest, now_ns), ENROL_WELCOME);
	now_ns += ENROL_AGAIN_NS;
	CU_ASSERT_EQUAL(enrol_guest_due(guest, now_ns), all);
	now_ns += ENROL_AGAIN_NS;
	CU_ASSERT_EQUAL(enrol_guest_due(guest, now_ns), all & ~1ull);
	CU_ASSERT_EQUAL(enrol_guest_due(guest, now_ns + ENROL_ALIVE_NS), all);
	enrol_guest_close(guest);
	enrol_host_close(host);
}

static void
with(const struct crypto_ops *ops, void (*story)(void))
{
	fixture_open(&fixture, ops);
	story();
	fixture_close(&fixture);
}

#define STORY(name)                       \
	static void name##_real(void)     \
	{                                 \
		with(&crypto_real, name); \
	}                                 \
	static void name##_toy(void)      \
	{                                 \
		with(&crypto_toy, name);  \
	}
STORY(a_client_comes_and_is_welcome)
STORY(forgeries_change_nothing)
STORY(welcomes_are_proven_and_for_this_life)
STORY(lives_and_places)
STORY(answers_are_bounded)
STORY(replicas_are_told_again)
STORY(other_terms_are_refused_by_name)

static const struct unit_story stories[] = {
    {"a client comes and is welcome", a_client_comes_and_is_welcome_real},
    {"a client comes and is welcome (toy)", a_client_comes_and_is_welcome_toy},
    {"forgeries change nothing", forgeries_change_nothing_real},
    {"forgeries change nothing (toy)", forgeries_change_nothing_toy},
    {"welcomes are proven, and for this life", welcomes_are_proven_and_for_this_life_real},
    {"welcomes are proven (toy)", welcomes_are_proven_and_for_this_life_toy},
    {"lives and places", lives_and_places_real},
    {"lives and places (toy)", lives_and_places_toy},
    {"answers are bounded", answers_are_bounded_real},
    {"answers are bounded (toy)", answers_are_bounded_toy},
    {"other terms are refused by name", other_terms_are_refused_by_name_real},
    {"other terms are refused by name (toy)", other_terms_are_refused_by_name_toy},
    {"replicas are told again", replicas_are_told_again_real},
    {"replicas are told again (toy)", replicas_are_told_again_toy},
};

UNIT_MAIN("enrol", stories)
