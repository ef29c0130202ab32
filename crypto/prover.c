/* SPDX-License-Identifier: Apache-2.0 */
/* See prover.h. */
#include "crypto/prover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = sizeof(struct message_header) };

static int config_refuse(const struct crypto_config *config, char *error);
static void digests_flush(struct crypto *c, struct claims *claims);
static void macs_flush(struct crypto *c, struct claims *claims);
static void merkles_flush(struct crypto *c);
static void signatures_prove(struct crypto *c, struct claims *claims);

int
prover_open(struct crypto *c, const struct crypto_config *config, char *error)
{
	if (config_refuse(config, error) != 0)
		return -EINVAL;
	c->cluster = config->cluster;
	c->replicas_count = config->replicas_count;
	c->nodes_count = (uint32_t)config->replicas_count + config->clients_count;
	c->self = config->self;
	c->team = config->team;
	c->slots_count = config->slots_count;
	c->slot_clients = config->slot_clients;
	size_t size = c->nodes_count * sizeof(struct cmac_key);
	c->keys_in = aligned_alloc(alignof(struct cmac_key), size);
	c->keys_out = aligned_alloc(alignof(struct cmac_key), size);
	if (c->keys_in == NULL || c->keys_out == NULL) {
		snprintf(error, 256, "out of memory for the keys of %u nodes", c->nodes_count);
		return -ENOMEM;
	}
	memset(c->keys_in, 0, size);
	memset(c->keys_out, 0, size);
	return 0;
}

static int
config_refuse(const struct crypto_config *config, char *error)
{
	uint32_t nodes = (uint32_t)config->replicas_count + config->clients_count;
	if (config->replicas_count == 0 || config->replicas_count > 64) {
		snprintf(error, 256, "%u replicas: there must be 1 to 64", config->replicas_count);
		return -EINVAL;
	}
	if (config->self >= nodes) {
		snprintf(error, 256, "node %u is not below %u, the number of nodes", config->self,
		    nodes);
		return -EINVAL;
	}
	for (uint32_t slot = 0; slot < config->slots_count; slot++) {
		if (config->slot_clients[slot] < config->clients_count)
			continue;
		snprintf(error, 256, "slot %u belongs to client node %u, but there are %u", slot,
		    config->slot_clients[slot], config->clients_count);
		return -EINVAL;
	}
	return 0;
}

int
prover_open_merkle(struct crypto *c, char *error)
{
	c->merkle = merkle_open(&c->backend, c->cluster);
	if (c->merkle != NULL)
		return 0;
	snprintf(error, 256, "out of memory for Merkle trees");
	return -ENOMEM;
}

static void
keys_free(struct cmac_key *keys, uint32_t count)
{
	for (uint32_t i = 0; keys != NULL && i < count; i++)
		crypto_erase(&keys[i], sizeof(keys[i]));
	free(keys);
}

void
prover_close(struct crypto *c)
{
	merkle_close(c->merkle);
	keys_free(c->keys_in, c->nodes_count);
	keys_free(c->keys_out, c->nodes_count);
	c->merkle = NULL;
	c->keys_in = NULL;
	c->keys_out = NULL;
}

/* The node that holds a claim's key, or PROVER_NODE_NONE: keys come from peers. */
static inline uint32_t
node_of_key(const struct crypto *c, uint32_t key)
{
	if (key < c->replicas_count)
		return key;
	if (key < KEY_CLIENT || key - KEY_CLIENT >= c->slots_count)
		return PROVER_NODE_NONE;
	return (uint32_t)c->replicas_count + c->slot_clients[key - KEY_CLIENT];
}

static inline bool
equal16(const void *a, const void *b)
{
	uint64_t x[2], y[2];
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* ---- Proving ------------------------------------------------------------ */

static inline void
claim_digest(struct crypto *c, struct claims *claims, uint32_t index)
{
	const struct claim *claim = &claims->list[index];
	uint32_t at = c->digests_count++;
	c->digest_jobs[at] = (struct digest_job){claim->data, claim->size, c->digests[at]};
	c->digest_claims[at] = (uint16_t)index;
	if (c->digests_count == PROVER_BURST)
		digests_flush(c, claims);
}

static inline void
claim_mac(struct crypto *c, struct claims *claims, uint32_t index)
{
	const struct claim *claim = &claims->list[index];
	uint32_t node = node_of_key(c, claim->key);
	if (node == PROVER_NODE_NONE || claim->size > MULTIBUFFER_MAC_SIZE_MAX)
		return;
	if (!prover_linked(c, node))
		return;
	uint32_t at = c->macs_count++;
	c->mac_jobs[at] =
	    (struct mac_job){claim->data, &c->keys_in[node], c->macs[at], claim->size};
	c->mac_claims[at] = (uint16_t)index;
	if (c->macs_count == PROVER_BURST)
		macs_flush(c, claims);
}

static void
claim_merkle(struct crypto *c, struct claims *claims, uint32_t index)
{
	const struct claim *claim = &claims->list[index];
	uint32_t node = node_of_key(c, claim->key);
	if (node == PROVER_NODE_NONE)
		return;
	c->merkle_claims[c->merkles_count++] =
	    (struct merkle_claim){claim, node, &claims->holds[index]};
	if (c->merkles_count == PROVER_BURST)
		merkles_flush(c);
}

/* Digests and MACs first: what they refuse costs little. Signatures and trees after. */
void
prover_prove(struct crypto *c, struct claims *claims)
{
	uint32_t merkles_seen = 0;
	check(claims->count <= CLAIMS_MAX);
	c->digests_count = 0;
	c->macs_count = 0;
	c->signatures_count = 0;
	c->merkles_count = 0;
	for (uint32_t i = 0; i < claims->count; i++) {
		claims->holds[i] = false;
		switch (claims->list[i].kind) {
		case CLAIM_DIGEST:
			claim_digest(c, claims, i);
			break;
		case CLAIM_MAC:
			claim_mac(c, claims, i);
			break;
		case CLAIM_SIGNATURE:
			c->signature_claims[c->signatures_count++] = (uint16_t)i;
			break;
		case CLAIM_MERKLE:
			merkles_seen++;
			break;
		default:
			break;
		}
	}
	digests_flush(c, claims);
	macs_flush(c, claims);
	signatures_prove(c, claims);
	for (uint32_t i = 0; merkles_seen > 0; i++) {
		if (claims->list[i].kind == CLAIM_MERKLE) {
			claim_merkle(c, claims, i);
			merkles_seen--;
		}
	}
	merkles_flush(c);
}

static void
digests_flush(struct crypto *c, struct claims *claims)
{
	uint32_t count = c->digests_count;
	if (count == 0)
		return;
	c->digests_count = 0;
	c->backend.digest(c->backend.context, c->digest_jobs, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = c->digest_claims[i];
		claims->holds[index] =
		    crypto_equal(claims->list[index].proof, c->digests[i], DIGEST_SIZE);
	}
}

static void
macs_flush(struct crypto *c, struct claims *claims)
{
	uint32_t count = c->macs_count;
	if (count == 0)
		return;
	c->macs_count = 0;
	c->backend.mac(c->backend.context, c->mac_jobs, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = c->mac_claims[i];
		claims->holds[index] = equal16(claims->list[index].proof, c->macs[i]);
	}
}

static void
merkles_flush(struct crypto *c)
{
	if (c->merkles_count > 0)
		merkle_prove(c->merkle, c->merkle_claims, c->merkles_count);
	c->merkles_count = 0;
}

/* Where a verified signature is remembered. Others may collide: they displace it. */
static struct prover_kept *
kept_at(struct crypto *c, const uint8_t digest32[32], const uint8_t sig64[64])
{
	uint64_t words[2];
	memcpy(&words[0], digest32, sizeof(words[0]));
	memcpy(&words[1], sig64, sizeof(words[1]));
	return &c->kept[(words[0] ^ words[1]) & (PROVER_SIGNATURES_KEPT - 1)];
}

static bool
kept_is(const struct prover_kept *kept, uint32_t node, const uint8_t digest32[32],
    const uint8_t sig64[64])
{
	return kept->known != PROVER_NOTHING && kept->node == node &&
	       memcmp(kept->digest32, digest32, sizeof(kept->digest32)) == 0 &&
	       memcmp(kept->sig64, sig64, sizeof(kept->sig64)) == 0;
}

static void
kept_set(struct prover_kept *kept, enum prover_known known, uint32_t node,
    const uint8_t digest32[32], const uint8_t sig64[64])
{
	kept->known = known;
	kept->node = node;
	memcpy(kept->digest32, digest32, sizeof(kept->digest32));
	memcpy(kept->sig64, sig64, sizeof(kept->sig64));
}

/* ---- Signatures, which several lcores may share ---------------------------- */

static void
job_verify(void *context, uint32_t i)
{
	struct crypto *c = context;
	struct prover_job *job = &c->jobs[i];
	uint64_t begin = crypto_cycles();
	job->holds = c->backend.verify(c->backend.context, job->node, job->digest32, job->verify64);
	job->cycles = crypto_cycles() - begin;
}

static void
job_sign(void *context, uint32_t i)
{
	struct crypto *c = context;
	struct prover_job *job = &c->jobs[i];
	uint64_t begin = crypto_cycles();
	c->backend.sign(c->backend.context, job->digest32, job->sign64);
	job->cycles = crypto_cycles() - begin;
}

/* Returns the cycles that all of them took. */
static uint64_t
jobs_run(struct crypto *c, void (*job)(void *context, uint32_t i))
{
	uint64_t cycles = 0;
	if (c->team != NULL && c->jobs_count > 1) {
		c->team->share(c->team->self, job, c, c->jobs_count);
	} else {
		for (uint32_t i = 0; i < c->jobs_count; i++)
			job(c, i);
	}
	for (uint32_t i = 0; i < c->jobs_count; i++)
		cycles += c->jobs[i].cycles;
	return cycles;
}

/* The job that decides this claim; PROVER_BURST: it is known to hold. */
static uint32_t
job_add(struct crypto *c, uint32_t node, const uint8_t digest32[32], const uint8_t sig64[64])
{
	struct prover_kept *kept = kept_at(c, digest32, sig64);
	if (kept_is(kept, node, digest32, sig64))
		return kept->known == PROVER_HOLDS ? PROVER_BURST : kept->job;
	kept_set(kept, PROVER_ASKED, node, digest32, sig64);
	kept->job = c->jobs_count;
	c->jobs[c->jobs_count] = (struct prover_job){
	    .node = node, .digest32 = digest32, .verify64 = sig64, .kept = kept};
	return c->jobs_count++;
}

/* What was asked is known now; another signature may have taken its place meanwhile. */
static void
jobs_keep(struct crypto *c)
{
	for (uint32_t i = 0; i < c->jobs_count; i++) {
		struct prover_kept *kept = c->jobs[i].kept;
		if (kept->known == PROVER_ASKED && kept->job == i)
			kept->known = c->jobs[i].holds ? PROVER_HOLDS : PROVER_NOTHING;
	}
}

/* Claims number start .. start + count - 1 of those of signatures; at most PROVER_BURST. */
static void
signatures_prove_chunk(struct crypto *c, struct claims *claims, uint32_t start, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct claim *claim = &claims->list[c->signature_claims[start + i]];
		c->digest_jobs[i] = (struct digest_job){claim->data, claim->size, c->digests[i]};
	}
	c->backend.digest(c->backend.context, c->digest_jobs, count);
	c->jobs_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct claim *claim = &claims->list[c->signature_claims[start + i]];
		uint32_t node = node_of_key(c, claim->key);
		c->job_claims[i] = PROVER_BURST + 1;
		if (node != PROVER_NODE_NONE)
			c->job_claims[i] = job_add(c, node, c->digests[i], claim->proof);
	}
	c->counters.verify_cycles += jobs_run(c, job_verify);
	c->counters.verifications += c->jobs_count;
	jobs_keep(c);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t job = c->job_claims[i];
		claims->holds[c->signature_claims[start + i]] =
		    job == PROVER_BURST || (job < PROVER_BURST && c->jobs[job].holds);
	}
}

/* Digests of what was signed in bursts, then the signatures. */
static void
signatures_prove(struct crypto *c, struct claims *claims)
{
	uint32_t chunk;
	for (uint32_t start = 0; start < c->signatures_count; start += chunk) {
		chunk = c->signatures_count - start;
		chunk = chunk < PROVER_BURST ? chunk : PROVER_BURST;
		signatures_prove_chunk(c, claims, start, chunk);
	}
}

/* ---- Sealing ------------------------------------------------------------ */

/* PROOF_MERKLE is written with room for the deepest tree: see outbox_write(). */
static inline uint32_t
send_proof_size(const struct crypto *c, const struct message_header *header)
{
	uint8_t kind = header->proof;
	if (kind == PROOF_MERKLE)
		kind = PROOF_MERKLE + MERKLE_DEPTH_MAX;
	return proof_size(kind, c->replicas_count);
}

static inline uint8_t *
send_proof(const struct crypto *c, const struct message_header *header)
{
	return (uint8_t *)(uintptr_t)header + header->size - send_proof_size(c, header);
}

static void
seal_digests_flush(struct crypto *c)
{
	if (c->digests_count > 0)
		c->backend.digest(c->backend.context, c->digest_jobs, c->digests_count);
	c->digests_count = 0;
}

static void
seal_macs_flush(struct crypto *c)
{
	if (c->macs_count > 0)
		c->backend.mac(c->backend.context, c->mac_jobs, c->macs_count);
	c->macs_count = 0;
}

/* The digest stands for the body: what follows covers the header alone. */
static void
seal_bodies_cut(const struct crypto *c, struct send *sends, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct message_header *header = sends[i].header;
		if (sends[i].flags & SEND_DIGEST_ONLY)
			header->size = HEADER + send_proof_size(c, header);
	}
}

/* One chained to another waits for that one's digest: a chain fills no lanes. */
static void
seal_chain(struct crypto *c, const struct send *sends, uint32_t at)
{
	check(at > 0 && (sends[at].flags & SEND_SEALED) == 0);
	seal_digests_flush(c);
	memcpy(sends[at].header + 1, sends[at - 1].header->digest, 32);
}

/* The bodies' digests go into the headers; returns a set of the kinds of proof met. */
static uint32_t
seal_digests(struct crypto *c, struct send *sends, uint32_t count)
{
	uint32_t kinds = 0;
	uint8_t flags_met = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct message_header *header = sends[i].header;
		uint8_t flags = sends[i].flags;
		flags_met |= flags;
		if (flags & SEND_SEALED)
			continue;
		uint32_t proof = send_proof_size(c, header);
		check(header->proof <= PROOF_MERKLE);
		check(proof != UINT32_MAX);
		check(header->size <= sends[i].capacity && header->size >= HEADER + proof);
		uint32_t body_size = header->size - HEADER - proof;
		kinds |= 1u << header->proof;
		if (body_size == 0 || (proof == 0 && flags == 0))
			continue;
		if (__builtin_expect((flags & SEND_CHAINED) != 0, 0)) {
			check(body_size >= 32);
			seal_chain(c, sends, i);
		}
		c->digest_jobs[c->digests_count++] =
		    (struct digest_job){header + 1, body_size, header->digest};
		if (c->digests_count == PROVER_BURST)
			seal_digests_flush(c);
	}
	seal_digests_flush(c);
	if (flags_met & SEND_DIGEST_ONLY)
		seal_bodies_cut(c, sends, count);
	return kinds;
}

/* The one receiver of a MAC. */
static inline uint32_t
send_node(const struct crypto *c, const struct send *send)
{
	if (send->to == 0) {
		check(send->client < c->slots_count);
		return (uint32_t)c->replicas_count + c->slot_clients[send->client];
	}
	check((send->to & (send->to - 1)) == 0);
	uint32_t node = (uint32_t)__builtin_ctzll(send->to);
	check(node < c->replicas_count);
	return node;
}

static inline void
seal_mac(struct crypto *c, const struct message_header *header, uint32_t node, uint8_t *mac16)
{
	debug_check(prover_linked(c, node));
	c->mac_jobs[c->macs_count++] = (struct mac_job){header, &c->keys_out[node], mac16, HEADER};
	if (c->macs_count == PROVER_BURST)
		seal_macs_flush(c);
}

static void
seal_macs(struct crypto *c, struct send *sends, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct message_header *header = sends[i].header;
		if (sends[i].flags & SEND_SEALED)
			continue;
		if (header->proof == PROOF_MAC) {
			uint32_t node = send_node(c, &sends[i]);
			check(prover_linked(c, node));
			seal_mac(c, header, node, send_proof(c, header));
		} else if (header->proof == PROOF_VECTOR) {
			uint8_t *macs = send_proof(c, header);
			for (uint32_t node = 0; node < c->replicas_count; node++)
				seal_mac(c, header, node, macs + (size_t)node * MAC_SIZE);
		}
	}
	seal_macs_flush(c);
}

static inline bool
seals_signature(const struct send *send)
{
	return send->header->proof == PROOF_SIGNATURE && !(send->flags & SEND_SEALED);
}

static struct prover_made *
made_at(struct crypto *c, const uint8_t digest32[32])
{
	uint64_t word;
	memcpy(&word, digest32, sizeof(word));
	return &c->made[word & (PROVER_MADE_KEPT - 1)];
}

/* Asks for the signature, unless it was made before: then it is written at once. */
static void
seal_signature(struct crypto *c, const uint8_t digest32[32], uint8_t *sig64)
{
	const struct prover_made *made = made_at(c, digest32);
	if (made->made && memcmp(made->digest32, digest32, sizeof(made->digest32)) == 0) {
		memcpy(sig64, made->sig64, SIGNATURE_SIZE);
		return;
	}
	c->jobs[c->jobs_count++] = (struct prover_job){.digest32 = digest32, .sign64 = sig64};
}

static void
made_keep(struct crypto *c)
{
	for (uint32_t i = 0; i < c->jobs_count; i++) {
		struct prover_made *made = made_at(c, c->jobs[i].digest32);
		made->made = true;
		memcpy(made->digest32, c->jobs[i].digest32, sizeof(made->digest32));
		memcpy(made->sig64, c->jobs[i].sign64, sizeof(made->sig64));
	}
}

/* A signed message that comes back to this node is known to be its own. */
static void
seal_own_keep(struct crypto *c, const struct send *sends, uint32_t count)
{
	uint32_t signed_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (!seals_signature(&sends[i]))
			continue;
		const uint8_t *digest32 = c->digests[signed_count++];
		const uint8_t *sig64 = send_proof(c, sends[i].header);
		if (c->self < c->replicas_count && (sends[i].to >> c->self & 1))
			kept_set(
			    kept_at(c, digest32, sig64), PROVER_HOLDS, c->self, digest32, sig64);
	}
}

static void
seal_signatures_chunk(struct crypto *c, struct send *sends, uint32_t count)
{
	uint32_t signed_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (seals_signature(&sends[i])) {
			c->digest_jobs[signed_count] =
			    (struct digest_job){sends[i].header, HEADER, c->digests[signed_count]};
			signed_count++;
		}
	}
	if (signed_count == 0)
		return;
	c->backend.digest(c->backend.context, c->digest_jobs, signed_count);
	c->jobs_count = 0;
	signed_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (seals_signature(&sends[i]))
			seal_signature(
			    c, c->digests[signed_count++], send_proof(c, sends[i].header));
	}
	c->counters.sign_cycles += jobs_run(c, job_sign);
	c->counters.signatures += c->jobs_count;
	made_keep(c);
	seal_own_keep(c, sends, count);
}

static void
seal_signatures(struct crypto *c, struct send *sends, uint32_t count)
{
	for (uint32_t start = 0; start < count; start += PROVER_BURST) {
		uint32_t chunk = count - start < PROVER_BURST ? count - start : PROVER_BURST;
		seal_signatures_chunk(c, sends + start, chunk);
	}
}

static void
seal_merkle(struct crypto *c, struct send *sends, uint32_t count)
{
	uint32_t leaves = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (sends[i].header->proof == PROOF_MERKLE && !(sends[i].flags & SEND_SEALED))
			c->merkle_headers[leaves++] = sends[i].header;
		if (leaves == MERKLE_LEAVES_MAX) {
			merkle_seal(c->merkle, c->merkle_headers, leaves);
			leaves = 0;
		}
	}
	if (leaves > 0)
		merkle_seal(c->merkle, c->merkle_headers, leaves);
}

void
prover_seal(struct crypto *c, struct send *sends, uint32_t count)
{
	c->digests_count = 0;
	c->macs_count = 0;
	uint32_t kinds = seal_digests(c, sends, count);
	if (kinds & (1u << PROOF_MAC | 1u << PROOF_VECTOR))
		seal_macs(c, sends, count);
	if (kinds & 1u << PROOF_SIGNATURE)
		seal_signatures(c, sends, count);
	if (kinds & 1u << PROOF_MERKLE)
		seal_merkle(c, sends, count);
}

void
crypto_count(const struct crypto *c, struct crypto_counters *counters)
{
	const struct crypto_counters *roots = merkle_counters(c->merkle);
	counters->signatures = __atomic_load_n(&c->counters.signatures, __ATOMIC_RELAXED) +
			       __atomic_load_n(&roots->signatures, __ATOMIC_RELAXED);
	counters->verifications = __atomic_load_n(&c->counters.verifications, __ATOMIC_RELAXED) +
				  __atomic_load_n(&roots->verifications, __ATOMIC_RELAXED);
	counters->sign_cycles = __atomic_load_n(&c->counters.sign_cycles, __ATOMIC_RELAXED) +
				__atomic_load_n(&roots->sign_cycles, __ATOMIC_RELAXED);
	counters->verify_cycles = __atomic_load_n(&c->counters.verify_cycles, __ATOMIC_RELAXED) +
				  __atomic_load_n(&roots->verify_cycles, __ATOMIC_RELAXED);
}

void
prover_digest(struct crypto *c, const struct digest_job *jobs, uint32_t count)
{
	c->backend.digest(c->backend.context, jobs, count);
}
