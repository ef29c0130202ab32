/* SPDX-License-Identifier: Apache-2.0 */
/* See enrol.h. One core. */
#include "engine/enrol.h"

#include <stdlib.h>
#include <string.h>

/* What both halves do with a message that comes in. */
struct desk {
	struct enrol_config config;
	struct message_scope scope;
	struct enrol_counters counters;
	struct claims *claims;
};

struct enrol_host {
	struct desk desk;
	struct enrol_host_client clients[LIMIT_CLIENT_NODES];
	struct enrol_address addresses[LIMIT_CLIENT_NODES];
};

struct guest_replica {
	uint64_t next_ns;	/* of the next HELLO */
	struct enrol_body body; /* of its last WELCOME */
};

struct enrol_guest {
	struct desk desk;
	uint64_t answered; /* masks */
	uint64_t refused;
	struct guest_replica replicas[LIMIT_REPLICAS];
};

enum enrol_status
enrol_compare(const struct enrol_terms *ours, const struct enrol_terms *theirs)
{
	const uint8_t must = ENROL_TENTATIVE | ENROL_READS;
	if (ours->protocol != theirs->protocol)
		return ENROL_OTHER_PROTOCOL;
	if (ours->slots != theirs->slots)
		return ENROL_OTHER_SLOTS;
	if (ours->client_nodes != theirs->client_nodes)
		return ENROL_OTHER_CLIENT_NODES;
	if (ours->instances != theirs->instances)
		return ENROL_OTHER_INSTANCES;
	if (ours->request_proof != theirs->request_proof)
		return ENROL_OTHER_REQUEST_PROOF;
	if (ours->reply_proof != theirs->reply_proof)
		return ENROL_OTHER_REPLY_PROOF;
	if (((ours->flags ^ theirs->flags) & must) != 0)
		return ENROL_OTHER_FLAGS;
	if (ours->request_size_max < theirs->request_size_max)
		return ENROL_REQUESTS_LARGER;
	if (ours->reply_size_max < theirs->reply_size_max)
		return ENROL_REPLIES_LARGER;
	return ENROL_WELCOME;
}

static bool
desk_open(struct desk *desk, const struct enrol_config *config)
{
	check(config->replicas_count >= 1 && config->replicas_count <= LIMIT_REPLICAS);
	check(config->terms.client_nodes <= LIMIT_CLIENT_NODES);
	desk->config = *config;
	desk->scope = (struct message_scope){
	    .cluster = config->cluster,
	    .replicas_count = config->replicas_count,
	    .protocol = ENROL_PROTOCOL,
	};
	desk->claims = calloc(1, sizeof(*desk->claims));
	return desk->claims != NULL;
}

/* The form alone: a message of this type with a body and a MAC, and nothing else. */
static bool
desk_parse(struct desk *desk, const uint8_t *data, uint32_t size, struct message *m)
{
	return message_parse(&desk->scope, data, size, m) == PARSE_OK &&
	       m->header->proof == PROOF_MAC && m->body_size == sizeof(struct enrol_body);
}

static bool
desk_prove(struct desk *desk, const struct message *m, uint32_t key)
{
	desk->claims->count = 0;
	claims_add_message(desk->claims, m, key, 0);
	desk->config.ops->prove(desk->config.crypto, desk->claims);
	for (uint32_t i = 0; i < desk->claims->count; i++) {
		if (!desk->claims->holds[i])
			return false;
	}
	check(desk->claims->count == 2);
	return true;
}

/* The header and the body; the MAC comes when it is sealed. */
static void
desk_write(const struct desk *desk, struct send *send, const struct message_header *form,
    const struct enrol_body *body)
{
	check(send->capacity >= ENROL_MESSAGE_SIZE);
	*send->header = *form;
	send->header->size = ENROL_MESSAGE_SIZE;
	send->header->cluster = desk->config.cluster;
	send->header->protocol = ENROL_PROTOCOL;
	send->header->proof = PROOF_MAC;
	send->header->version = MESSAGE_VERSION;
	memcpy(send->header + 1, body, sizeof(*body));
	send->large = 0;
	send->flags = 0;
	desk->config.ops->seal(desk->config.crypto, send, 1);
}

/* ---- The replica's half --------------------------------------------------- */

struct enrol_host *
enrol_host_open(const struct enrol_config *config)
{
	struct enrol_host *host = calloc(1, sizeof(*host));
	check(config->self < config->replicas_count);
	if (host != NULL && desk_open(&host->desk, config))
		return host;
	free(host);
	return NULL;
}

void
enrol_host_close(struct enrol_host *host)
{
	if (host != NULL)
		free(host->desk.claims);
	free(host);
}

static void
arrive(struct enrol_host *host, struct enrol_arrival *arrival, uint64_t now_ns)
{
	struct enrol_host_client *client = &host->clients[arrival->client];
	struct enrol_address *address = &host->addresses[arrival->client];
	if (client->known && arrival->started < client->started) {
		host->desk.counters.stale++;
		arrival->status = ENROL_STALE;
	} else {
		arrival->news =
		    !client->known || memcmp(address, &arrival->address, sizeof(*address)) != 0;
		*address = arrival->address;
		client->known = true;
		client->started = arrival->started;
	}
	arrival->answer =
	    client->answered_ns == 0 || now_ns - client->answered_ns >= ENROL_ANSWER_NS;
	if (arrival->answer)
		client->answered_ns = now_ns;
}

bool
enrol_host_take(struct enrol_host *host, const uint8_t *data, uint32_t size, uint64_t now_ns,
    struct enrol_arrival *arrival)
{
	struct desk *desk = &host->desk;
	const struct enrol_terms *terms = &desk->config.terms;
	struct message m;
	struct enrol_body body;
	uint32_t slots_count = terms->slots * terms->client_nodes;
	if (!desk_parse(desk, data, size, &m) || m.header->type != MESSAGE_HELLO ||
	    m.header->sender >= slots_count) {
		desk->counters.malformed++;
		return false;
	}
	if (!desk_prove(desk, &m, KEY_CLIENT + m.header->sender)) {
		desk->counters.unproven++;
		return false;
	}
	desk->counters.taken++;
	memcpy(&body, m.body, sizeof(body));
	*arrival = (struct enrol_arrival){
	    .client = (uint16_t)(m.header->sender / terms->slots),
	    .status = enrol_compare(terms, &body.terms),
	    .started = m.header->seq,
	    .address = body.address,
	};
	arrive(host, arrival, now_ns);
	return true;
}

void
enrol_host_write(struct enrol_host *host, const struct enrol_arrival *arrival, struct send *send)
{
	const struct desk *desk = &host->desk;
	uint32_t slot = desk->config.terms.slots * arrival->client;
	struct message_header form = {
	    .instance = (uint16_t)slot,
	    .sender = desk->config.self,
	    .type = MESSAGE_WELCOME,
	    .seq = arrival->started,
	};
	struct enrol_body body = {.terms = desk->config.terms, .status = arrival->status};
	check(arrival->client < desk->config.terms.client_nodes);
	send->to = 0;
	send->client = (uint16_t)slot;
	desk_write(desk, send, &form, &body);
}

const struct enrol_counters *
enrol_host_counters(const struct enrol_host *host)
{
	return &host->desk.counters;
}

/* ---- The client node's half ------------------------------------------------ */

struct enrol_guest *
enrol_guest_open(const struct enrol_config *config)
{
	struct enrol_guest *guest = calloc(1, sizeof(*guest));
	check(config->self < config->terms.client_nodes);
	if (guest != NULL && desk_open(&guest->desk, config))
		return guest;
	free(guest);
	return NULL;
}

void
enrol_guest_close(struct enrol_guest *guest)
{
	if (guest != NULL)
		free(guest->desk.claims);
	free(guest);
}

uint64_t
enrol_guest_due(struct enrol_guest *guest, uint64_t now_ns)
{
	uint64_t due = 0;
	for (uint32_t i = 0; i < guest->desk.config.replicas_count; i++) {
		struct guest_replica *replica = &guest->replicas[i];
		if (now_ns < replica->next_ns)
			continue;
		bool answered = (guest->answered >> i & 1) != 0;
		due |= 1ull << i;
		replica->next_ns = now_ns + (answered ? ENROL_ALIVE_NS : ENROL_AGAIN_NS);
	}
	return due;
}

void
enrol_guest_write(struct enrol_guest *guest, uint16_t replica, struct send *send)
{
	const struct enrol_config *config = &guest->desk.config;
	struct message_header form = {
	    .instance = MESSAGE_INSTANCE_NONE,
	    .sender = (uint16_t)(config->terms.slots * config->self),
	    .type = MESSAGE_HELLO,
	    .seq = config->started,
	};
	struct enrol_body body = {.terms = config->terms, .address = config->address};
	check(replica < config->replicas_count);
	send->to = 1ull << replica;
	send->client = 0;
	desk_write(&guest->desk, send, &form, &body);
}

bool
enrol_guest_take(struct enrol_guest *guest, const uint8_t *data, uint32_t size)
{
	struct desk *desk = &guest->desk;
	struct message m;
	if (!desk_parse(desk, data, size, &m) || m.header->type != MESSAGE_WELCOME ||
	    m.header->sender >= desk->config.replicas_count ||
	    m.header->seq != desk->config.started) {
		desk->counters.malformed++;
		return false;
	}
	if (!desk_prove(desk, &m, m.header->sender)) {
		desk->counters.unproven++;
		return false;
	}
	struct guest_replica *replica = &guest->replicas[m.header->sender];
	uint64_t bit = 1ull << m.header->sender;
	desk->counters.taken++;
	memcpy(&replica->body, m.body, sizeof(replica->body));
	bool refused = replica->body.status != ENROL_WELCOME;
	uint64_t refusing = refused ? guest->refused | bit : guest->refused & ~bit;
	/* Who reads that it has answered reads what it said, too. */
	__atomic_store_n(&guest->refused, refusing, __ATOMIC_RELEASE);
	__atomic_store_n(&guest->answered, guest->answered | bit, __ATOMIC_RELEASE);
	return true;
}

uint64_t
enrol_guest_answered(const struct enrol_guest *guest)
{
	return __atomic_load_n(&guest->answered, __ATOMIC_ACQUIRE);
}

uint64_t
enrol_guest_refused(const struct enrol_guest *guest)
{
	return __atomic_load_n(&guest->refused, __ATOMIC_ACQUIRE);
}

enum enrol_status
enrol_guest_status(const struct enrol_guest *guest, uint16_t replica, struct enrol_terms *terms)
{
	check(replica < guest->desk.config.replicas_count);
	check(enrol_guest_answered(guest) >> replica & 1);
	const struct enrol_body *body = &guest->replicas[replica].body;
	*terms = body->terms;
	/* A replica may say anything. */
	return body->status < ENROL_STATUSES_COUNT ? (enum enrol_status)body->status
						   : ENROL_OTHER_PROTOCOL;
}

const struct enrol_counters *
enrol_guest_counters(const struct enrol_guest *guest)
{
	return &guest->desk.counters;
}
