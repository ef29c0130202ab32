/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: Zyzzyva under an attacker who is one replica, one client and the
 * network (fuzz_bft.h). He sees every STATEMENT, so he makes certificates where there
 * are enough of them, and shows them to whom he likes; he claims histories made of
 * the digests that he has seen, orders one thing for some and another for others in
 * the views that he leads, and signs yet another. Bytes of all of it are changed
 * before he signs.
 */
#include "protocols/zyzzyva/zyzzyva.h"

#define FUZZ_MODE	 "zyzzyva"
#define FUZZ_TYPES_END	 ZYZZYVA_TYPES_END
#define FUZZ_TENTATIVE	 0
#define FUZZ_SPECULATIVE 1
#include "fuzz_forge.h"
#include "protocols/zyzzyva/certificate.h"
#include "protocols/zyzzyva/decide.h"

enum { ENTRIES_MAX = 2 * INTERVAL };

struct certificate {
	struct commit_head head; /* signers 0: none */
	uint8_t signatures64[REPLICAS][SIGNATURE_SIZE];
};

static uint64_t
view_now(uint32_t which)
{
	return machine->view(nodes[which % CORRECT].replica.shard->machines[0]);
}

/* The newest certificate that he can make of STATEMENTs; none where he cannot. */
static bool
certificate_make(struct certificate *c)
{
	struct message like;
	memset(c, 0, sizeof(*c));
	uint64_t signers = signatures_newest(ZYZZYVA_STATEMENT, &like, c->signatures64);
	if (signers == 0)
		return false;
	c->head = (struct commit_head){
	    .view = like.header->view, .seq = like.header->seq, .signers = signers};
	memcpy(c->head.history32, like.header->digest, DIGEST_SIZE);
	return true;
}

/* ---- What he sends -------------------------------------------------------------------- */

/* A word without body: about what somebody said, or near it. */
static void
word_send(uint32_t how)
{
	/* In the order in which the corpus names them. */
	static const uint8_t types[] = {ZYZZYVA_STATEMENT, ZYZZYVA_HATE, ZYZZYVA_VOUCH,
	    ZYZZYVA_FILL_HOLE, ZYZZYVA_FETCH, BFT_COMPLAINT};
	struct message m;
	if (!kept_parse(past_take(), &m))
		return;
	uint8_t type = types[fuzz_below(&in, (uint32_t)sizeof(types))];
	bool is_signed = type == ZYZZYVA_STATEMENT || type == ZYZZYVA_HATE;
	message_begin(ATTACKER, type, is_signed ? PROOF_SIGNATURE : plan.protocol.protocol_proof);
	message->view = how & 4 ? m.header->view : view_now(how >> 3);
	if (type != ZYZZYVA_HATE)
		message->seq = m.header->seq;
	if (type == ZYZZYVA_STATEMENT || type == ZYZZYVA_FETCH)
		memcpy(message->digest, m.header->digest, DIGEST_SIZE);
	if (how & 32)
		fields_alter((uint32_t)fuzz_take(&in, 1) & 15);
	if (message_seal(ATTACKER, 0, 0))
		message_send(fuzz_take(&in, 1));
}

/* As a replica to others, or as a client who brings it. */
static void
certificate_send(uint32_t how)
{
	struct certificate c;
	uint32_t size = 0;
	if (!certificate_make(&c))
		return;
	bool client = (how & 4) != 0;
	message_begin(client ? HONEST_SLOTS : ATTACKER,
	    client ? ZYZZYVA_COMMIT : ZYZZYVA_CERTIFICATE,
	    client ? plan.protocol.request_proof : PROOF_NONE);
	message->view = c.head.view;
	message->seq = 1 + fuzz_below(&in, 8);
	if (!body_add(&size, &c.head, sizeof(c.head)) ||
	    !body_add(&size, c.signatures64, certificate_signatures_size(c.head.signers)))
		return;
	if (how & 8)
		bytes_alter(size);
	if (message_seal(client ? OTHER_CLIENT : ATTACKER, size, 0))
		message_send(fuzz_take(&in, 1));
}

/* A client of his wants STATEMENTs of what somebody ordered. */
static void
ask_send(uint32_t how)
{
	struct ask_body b;
	struct message m;
	if (!kept_parse(past_take(), &m))
		return;
	memset(&b, 0, sizeof(b));
	b.seq = m.header->seq;
	memcpy(b.history32, m.header->digest, DIGEST_SIZE);
	message_begin(HONEST_SLOTS, ZYZZYVA_ASK, plan.protocol.request_proof);
	message->view = view_now(how >> 3) << ZYZZYVA_ASK_SHIFT | (how >> 2 & 1);
	message->seq = 1 + fuzz_below(&in, 8);
	memcpy(body, &b, sizeof(b));
	if (message_seal(OTHER_CLIENT, sizeof(b), 0))
		message_send(fuzz_take(&in, 1));
}

/* Two headers that somebody signed, or one. */
static void
copies_send(uint32_t how)
{
	uint32_t size = 0;
	for (uint32_t i = 0; i < 1 + (how >> 2 & 1); i++) {
		struct signed_copy copy;
		struct message m;
		if (!kept_parse(past_take(), &m) || m.header->proof != PROOF_SIGNATURE)
			return;
		copy.header = *m.header;
		memcpy(copy.signature64, m.proof, SIGNATURE_SIZE);
		if (!body_add(&size, &copy, sizeof(copy)))
			return;
	}
	message_begin(
	    ATTACKER, how & 4 ? ZYZZYVA_POM : ZYZZYVA_WITNESS, plan.protocol.protocol_proof);
	message->view = view_now(how >> 3);
	if (how & 32)
		bytes_alter(size);
	if (message_seal(ATTACKER, size, 0))
		message_send(fuzz_take(&in, 1));
}

/* He leaves a view, with a history of digests that were seen, and a certificate or none. */
static void
change_send(uint32_t how)
{
	struct certificate c;
	struct view_change_head head;
	uint32_t size = 0;
	memset(&head, 0, sizeof(head));
	memset(&c, 0, sizeof(c));
	if (how & 4)
		certificate_make(&c);
	head.active = c.head.view;
	head.held = c.head;
	head.entries_count = fuzz_below(&in, ENTRIES_MAX + 1);
	message_begin(ATTACKER, ZYZZYVA_VIEW_CHANGE, PROOF_SIGNATURE);
	message->view = view_now(how >> 3) + (how >> 5 & 1);
	if (!body_add(&size, &head, sizeof(head)) ||
	    !body_add(&size, c.signatures64, certificate_signatures_size(c.head.signers)))
		return;
	for (uint64_t i = 0; i < head.entries_count; i++) {
		if (!body_add(&size, digests[fuzz_below(&in, DIGESTS)], DIGEST_SIZE))
			return;
	}
	if (how & 64)
		bytes_alter(size);
	if (message_seal(ATTACKER, size, 0))
		message_send(fuzz_take(&in, 1));
}

/* Who has left for the view, by what the attacker remembers; *last is one of theirs. */
static uint64_t
changes_kept(uint64_t view, uint8_t found[][DIGEST_SIZE], struct message *last)
{
	uint64_t members = 0;
	for (uint32_t i = 0; i < PAST; i++) {
		struct message m;
		if (!kept_parse(&past[i], &m) || m.header->type != ZYZZYVA_VIEW_CHANGE ||
		    m.header->view != view || m.header->sender >= REPLICAS)
			continue;
		memcpy(found[m.header->sender], m.header->digest, DIGEST_SIZE);
		members |= 1ull << m.header->sender;
		*last = m;
	}
	return members;
}

/* He says what another said. */
static bool
change_repeat(const struct message *m)
{
	uint32_t size = m->body_size;
	message_begin(ATTACKER, ZYZZYVA_VIEW_CHANGE, PROOF_SIGNATURE);
	message->view = m->header->view;
	memcpy(body, m->body, size);
	if (!message_seal(ATTACKER, size, 0))
		return false;
	message_send(15);
	return true;
}

/* As the primary of a view that he leads: whichever VIEW-CHANGEs he has seen, and his own. */
static void
new_view_send(uint32_t how)
{
	struct new_view_head head = {0};
	struct message last;
	uint8_t found[REPLICAS][DIGEST_SIZE];
	uint32_t size = 0;
	uint64_t view = view_now(how >> 3);
	while (bft_primary(&plan.protocol, 0, view) != ATTACKER)
		view++;
	head.members = changes_kept(view, found, &last);
	if (head.members != 0 && (head.members >> ATTACKER & 1) == 0 && change_repeat(&last))
		head.members = changes_kept(view, found, &last);
	message_begin(ATTACKER, ZYZZYVA_NEW_VIEW, PROOF_SIGNATURE);
	message->view = view;
	body_add(&size, &head, sizeof(head));
	for (uint32_t i = 0; i < REPLICAS; i++) {
		if (head.members >> i & 1)
			body_add(&size, found[i], DIGEST_SIZE);
	}
	if (how & 32)
		bytes_alter(size);
	if (message_seal(ATTACKER, size, 0))
		message_send(fuzz_take(&in, 1));
}

static void
attacker_votes(void)
{
	static void (*const acts[])(uint32_t how) = {word_send, certificate_send, word_send,
	    ask_send, copies_send, change_send, new_view_send, word_send};
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	acts[fuzz_below(&in, sizeof(acts) / sizeof(acts[0]))](how);
}

/* The newest that says what h of a sequence number is. */
static bool
history_kept(struct message *m)
{
	for (uint32_t i = 1; i <= PAST; i++) {
		if (kept_parse(&past[(past_next - i) % PAST], m) &&
		    (m->header->type == ZYZZYVA_STATEMENT || m->header->type == ZYZZYVA_ORDER_REQ))
			return true;
	}
	return false;
}

/* As a primary: after what is newest, or after anything; some get another batch. */
static void
attacker_proposes(void)
{
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint64_t batch_memory[FUZZ_ENVELOPE_SIZE / 8];
	struct message m;
	if (!(how & 128 ? kept_parse(past_take(), &m) : history_kept(&m)))
		return;
	uint8_t before32[DIGEST_SIZE];
	uint64_t seq = m.header->seq + 1;
	memcpy(before32, m.header->digest, DIGEST_SIZE);
	if (how & 4) {
		seq = 1;
		memset(before32, 0, sizeof(before32));
	}
	struct batch batch = attacker_batch(batch_memory, how & 3);
	message_begin(ATTACKER, ZYZZYVA_ORDER_REQ, plan.protocol.protocol_proof);
	message->view = view_now(how >> 3);
	while (bft_primary(&plan.protocol, 0, message->view) != ATTACKER)
		message->view++;
	message->seq = seq;
	memcpy(body, before32, DIGEST_SIZE);
	memcpy(body + DIGEST_SIZE, batch.data, batch.size);
	if (how & 32)
		fields_alter((uint32_t)fuzz_take(&in, 1) & 3);
	if (message_seal(ATTACKER, DIGEST_SIZE + batch.size, 0))
		message_send(how & 64 ? fuzz_take(&in, 1) : 15);
}
