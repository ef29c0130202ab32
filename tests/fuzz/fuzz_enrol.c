/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: how client nodes come to a replica. A replica, an honest client
 * node and one who holds the other client's keys (or, towards the honest client,
 * the replica's): she cuts, changes, replays and seals what she likes. What must
 * hold: nobody arrives without his own keys; the honest client's address and
 * life are what it said last, however old HELLOs come back; a client node is
 * answered once in ENROL_ANSWER_NS at most; and what is written decodes.
 */
#include "engine/enrol.h"
#include "fuzz_node.h"

enum { SLOTS_EACH = FUZZ_SLOT_FIRST_OTHER, LIVES_MAX = 4, STARTED = 1000 };

static struct fuzz_node node;
static struct enrol_host *host;
static struct enrol_guest *guest;
static struct enrol_terms terms;
static uint64_t life; /* when the honest client started */
static uint64_t answered_ns[2];
static bool honest_came;
static uint64_t honest_came_life;

static struct enrol_config
config_of(uint16_t who)
{
	return (struct enrol_config){
	    .ops = &crypto_toy,
	    .crypto = node.nodes[who],
	    .cluster = FUZZ_CLUSTER,
	    .replicas_count = 1,
	    .self = (uint16_t)(who == FUZZ_REPLICA ? 0 : who - FUZZ_HONEST),
	    .started = life,
	    .terms = terms,
	    .address = {.ip = 0x0a000001, .port = 7000, .mac = {2, 0, 0, 0, 0, 1}},
	};
}

static void
honest_starts(void)
{
	struct enrol_config config = config_of(FUZZ_HONEST);
	enrol_guest_close(guest);
	guest = enrol_guest_open(&config);
	check(guest != NULL);
}

/* A HELLO of the honest client. */
static void
hello_write(struct message_header *header)
{
	struct send send = {.capacity = FUZZ_ENVELOPE_SIZE, .header = header, .owner = header};
	enrol_guest_write(guest, 0, &send);
	check(send.to == 1 && header->size == ENROL_MESSAGE_SIZE);
}

/* What the attacker says, under keys of hers or under none that fit. */
static void
lie_write(struct message_header *header, bool to_replica)
{
	struct enrol_body body = {.terms = terms};
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	*header = (struct message_header){
	    .size = ENROL_MESSAGE_SIZE,
	    .cluster = FUZZ_CLUSTER,
	    .sender = to_replica ? FUZZ_SLOT_FIRST_OTHER : 0,
	    .protocol = ENROL_PROTOCOL,
	    .type = to_replica ? MESSAGE_HELLO : MESSAGE_WELCOME,
	    .proof = PROOF_MAC,
	    .version = MESSAGE_VERSION,
	    .seq = how & 1 ? fuzz_take(&node.in, 8) : life,
	};
	if (how & 2)
		fuzz_take_bytes(&node.in, &body, sizeof(body));
	if (how & 4)
		header->sender = (uint16_t)fuzz_take(&node.in, 2);
	if (how & 8)
		header->type = (uint8_t)fuzz_take(&node.in, 1);
	memcpy(header + 1, &body, sizeof(body));
	if ((how & 16) == 0)
		fuzz_seal(
		    &node, to_replica ? FUZZ_OTHER : FUZZ_REPLICA, header, to_replica ? -1 : 0);
}

static void
welcome_check(const struct enrol_arrival *arrival)
{
	static uint64_t bytes[FUZZ_ENVELOPE_SIZE / 8];
	struct message_header *header = (struct message_header *)(void *)bytes;
	struct send send = {.capacity = sizeof(bytes), .header = header, .owner = header};
	struct message m;
	uint64_t *last_ns = &answered_ns[arrival->client];
	const struct message_scope scope = {FUZZ_CLUSTER, 1, ENROL_PROTOCOL};
	check(*last_ns == 0 || node.now_ns - *last_ns >= ENROL_ANSWER_NS);
	*last_ns = node.now_ns;
	enrol_host_write(host, arrival, &send);
	check(send.client / SLOTS_EACH == arrival->client);
	check(message_parse(&scope, (const uint8_t *)header, header->size, &m) == PARSE_OK);
	if (arrival->client != 0)
		return;
	/* What a replica says reaches the client of that life, and no other. */
	bool taken = enrol_guest_take(guest, (const uint8_t *)header, header->size);
	check(taken == (arrival->started == life));
}

static void
replica_takes(const uint8_t *data, uint32_t size)
{
	struct enrol_arrival arrival;
	if (!enrol_is_ours(data, size) || !enrol_host_take(host, data, size, node.now_ns, &arrival))
		return;
	check(arrival.client < 2 && arrival.status < ENROL_STATUSES_COUNT);
	if (arrival.client == 0) {
		const struct enrol_config own = config_of(FUZZ_HONEST);
		check(memcmp(&arrival.address, &own.address, sizeof(own.address)) == 0);
		check(arrival.started <= life);
		bool stale = honest_came && arrival.started < honest_came_life;
		check((arrival.status == ENROL_STALE) == stale);
		check(arrival.news == !honest_came);
		honest_came = true;
		if (!stale)
			honest_came_life = arrival.started;
	}
	if (arrival.answer)
		welcome_check(&arrival);
}

static void
guest_takes(const uint8_t *data, uint32_t size)
{
	struct enrol_terms theirs;
	if (!enrol_is_ours(data, size))
		return;
	bool taken = enrol_guest_take(guest, data, size);
	uint64_t answered = enrol_guest_answered(guest);
	check((answered & ~1ull) == 0 && (enrol_guest_refused(guest) & ~answered) == 0);
	check(!taken || answered == 1);
	if (answered != 0)
		check(enrol_guest_status(guest, 0, &theirs) < ENROL_STATUSES_COUNT);
}

/* Cuts it or changes some of its bytes, or neither. */
static uint32_t
spoil(uint8_t *data, uint32_t size)
{
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	for (uint32_t i = 0; i < (how & 3) && size > 0; i++)
		data[fuzz_below(&node.in, size)] ^= (uint8_t)fuzz_take(&node.in, 1);
	return how & 4 ? fuzz_below(&node.in, size + 1) : size;
}

static void
arrives(bool to_replica, const void *bytes, uint32_t size)
{
	uint8_t *data = fuzz_copy(bytes, size);
	if (to_replica)
		replica_takes(data, size);
	else
		guest_takes(data, size);
	free(data);
}

static void
act(void)
{
	static uint64_t bytes[FUZZ_ENVELOPE_SIZE / 8];
	struct message_header *header = (struct message_header *)(void *)bytes;
	uint32_t how = (uint32_t)fuzz_take(&node.in, 1);
	bool to_replica = (how & 8) == 0;
	uint32_t size = ENROL_MESSAGE_SIZE;
	memset(bytes, 0, sizeof(bytes));
	switch (how & 7) {
	case 0:
		node.now_ns += fuzz_take(&node.in, 4);
		return;
	case 1: /* a new life */
		if (life == STARTED + LIVES_MAX)
			return;
		life++;
		honest_starts();
		return;
	case 2: /* anything */
		size = fuzz_below(&node.in, FUZZ_ENVELOPE_SIZE);
		fuzz_take_bytes(&node.in, bytes, size);
		break;
	case 3: { /* an old one again */
		const struct fuzz_bytes *past = &node.past[how >> 4];
		if (past->data != NULL)
			arrives(to_replica, past->data, past->size);
		return;
	}
	case 4:
	case 5:
		hello_write(header);
		to_replica = true;
		break;
	default:
		lie_write(header, to_replica);
		break;
	}
	if ((how & 7) != 4)
		size = spoil((uint8_t *)bytes, size);
	fuzz_deliver(&node, bytes, size);
	fuzz_inbox_clear(&node);
	arrives(to_replica, bytes, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (node.nodes[0] == NULL)
		fuzz_node_open(&node);
	fuzz_node_reset(&node, bytes, size);
	terms = (struct enrol_terms){.slots = SLOTS_EACH,
	    .request_size_max = 100,
	    .reply_size_max = 100,
	    .client_nodes = 2,
	    .instances = 1,
	    .protocol = FUZZ_PROTOCOL};
	life = STARTED;
	honest_came = false;
	memset(answered_ns, 0, sizeof(answered_ns));
	struct enrol_config config = config_of(FUZZ_REPLICA);
	host = enrol_host_open(&config);
	check(host != NULL);
	honest_starts();
	while (node.in.size > 0)
		act();
	/* Whatever happened, the honest client comes in. */
	uint64_t hello[FUZZ_ENVELOPE_SIZE / 8] = {0};
	hello_write((struct message_header *)(void *)hello);
	node.now_ns += ENROL_ANSWER_NS;
	arrives(true, hello, ENROL_MESSAGE_SIZE);
	check(honest_came && honest_came_life == life);
	check(enrol_guest_answered(guest) == 1);
	enrol_guest_close(guest);
	enrol_host_close(host);
	guest = NULL;
	fuzz_past_clear(&node);
	return 0;
}
