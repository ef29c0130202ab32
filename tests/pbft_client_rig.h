/* SPDX-License-Identifier: Apache-2.0 */
/* PBFT's client by itself (bft_client_rig.h), and the words of its stories. Static; one core. */
#ifndef OSKR_TESTS_PBFT_CLIENT_RIG_H
#define OSKR_TESTS_PBFT_CLIENT_RIG_H

#include "protocols/pbft/pbft.h"

#define RIG_CLIENT	    pbft_client
#define RIG_PROTOCOL	    2
#define RIG_INSTANCES	    4
#define RIG_RESULT_SIZE_MAX 6000
#include "tests/bft_client_rig.h"

enum {
	INSTANCE = SLOT % INSTANCES,
	PATIENCE_NS = RETRY_NS / 4,
};

static const uint64_t final = 0;
static const uint64_t tentative = BFT_REPLY_TENTATIVE;
static const uint64_t reading = BFT_REPLY_READ;

static inline void
open_plain(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	client_open(&config);
}

static inline void
open_reads(uint16_t n, uint16_t f)
{
	struct protocol_config config = config_of(n, f);
	config.reads = true;
	client_open(&config);
}

static inline void
submit_op(const void *op, uint32_t size, bool read_only)
{
	struct event event = {
	    .type = EVENT_SUBMIT,
	    .submit = {op, size, rig.slot, read_only},
	};
	rig.timestamp++;
	step(&event);
}

static inline void
submit(void)
{
	submit_op("operation", 9, false);
}

/* Replica `from` says that the result is `text`, in a message of that type. */
static inline enum fate
says(uint16_t from, uint8_t type, uint64_t flags, const char *text)
{
	write_message(from, type, text, (uint32_t)strlen(text))->view |= flags;
	seal_as(from);
	return arrive();
}

static inline enum fate
body(uint16_t from, const char *text)
{
	return says(from, MESSAGE_REPLY, final, text);
}

static inline enum fate
digest(uint16_t from, const char *text)
{
	return says(from, BFT_REPLY_DIGEST, final, text);
}

static inline enum fate
lost(uint16_t from)
{
	return says(from, MESSAGE_REPLY_LOST, final, "");
}

static inline enum fate
must_sign(uint16_t from)
{
	return says(from, BFT_MUST_SIGN, final, "");
}

static inline void
expect_sent(uint64_t to, uint8_t type, uint64_t flags, uint8_t proof)
{
	const struct message_scope scope = {CLUSTER, rig.config.replicas_count, PROTOCOL};
	CU_ASSERT_EQUAL(rig.out.completions_count, 0);
	CU_ASSERT_EQUAL_FATAL(rig.out.sends_count, 1);
	const struct message_header *h = rig.out.sends[0].header;
	struct message m;
	CU_ASSERT_EQUAL_FATAL(message_parse(&scope, (const uint8_t *)h, h->size, &m), PARSE_OK);
	CU_ASSERT_EQUAL(rig.out.sends[0].to, to);
	CU_ASSERT_EQUAL(h->type, type);
	CU_ASSERT_EQUAL(h->view, flags);
	CU_ASSERT_EQUAL(h->proof, proof);
	CU_ASSERT_EQUAL(h->instance, rig.slot % INSTANCES);
	CU_ASSERT_EQUAL(h->sender, rig.slot);
	CU_ASSERT_EQUAL(h->seq, rig.timestamp);
	CU_ASSERT_EQUAL_FATAL(m.body_size, 9);
	CU_ASSERT_EQUAL(memcmp(m.body, "operation", 9), 0);
}

static inline uint64_t
everybody(void)
{
	return quorum_everybody(rig.config.replicas_count);
}

static inline void
expect_asked(uint64_t view)
{
	uint64_t primary = (view + rig.slot % INSTANCES) % rig.config.replicas_count;
	expect_sent(1ull << primary, MESSAGE_REQUEST, 0, PROOF_VECTOR);
}

static inline void
expect_asked_all(void)
{
	expect_sent(everybody(), MESSAGE_REQUEST, BFT_WHOLE, PROOF_VECTOR);
}

static inline void
slot_set(uint16_t slot, uint64_t timestamp)
{
	rig.slot = slot;
	rig.timestamp = timestamp;
}

/* The replica whose turn it is to send the whole result of the slot's operation. */
static inline uint16_t
replier(void)
{
	return bft_replier(rig.slot, rig.timestamp, rig.config.replicas_count);
}

static inline uint16_t
other(uint16_t i)
{
	return (uint16_t)((replier() + 1 + i) % rig.config.replicas_count);
}

#endif
