/* SPDX-License-Identifier: Apache-2.0 */
/* See certificate.h. */
#include "protocols/zyzzyva/certificate.h"

static struct message_header
signed_header(const struct protocol_config *config, uint8_t type, uint16_t signer, uint32_t body)
{
	return (struct message_header){
	    .size = (uint32_t)sizeof(struct message_header) + body + SIGNATURE_SIZE,
	    .cluster = config->cluster,
	    .sender = signer,
	    .protocol = config->protocol,
	    .type = type,
	    .proof = PROOF_SIGNATURE,
	    .version = MESSAGE_VERSION,
	};
}

void
signature_claim(
    struct claims *claims, uint32_t signer, const void *header, const uint8_t *signature64)
{
	struct claim *c = claims_add(claims);
	c->kind = CLAIM_SIGNATURE;
	c->key = signer;
	c->size = sizeof(struct message_header);
	c->data = header;
	c->proof = signature64;
}

void
statement_header(const struct protocol_config *config, const struct commit_head *head,
    uint16_t signer, struct message_header *header)
{
	*header = signed_header(config, ZYZZYVA_STATEMENT, signer, 0);
	header->view = head->view;
	header->seq = head->seq;
	memcpy(header->digest, head->history32, 32);
}

void
commit_claim(const struct member *me, const struct commit_head *head, const uint8_t *signatures64,
    struct claims *claims)
{
	for (uint64_t rest = head->signers; rest != 0; rest &= rest - 1) {
		uint16_t signer = (uint16_t)__builtin_ctzll(rest);
		struct message_header *header = claims_scratch(claims);
		statement_header(&me->config, head, signer, header);
		signature_claim(claims, signer, header, signatures64);
		signatures64 += SIGNATURE_SIZE;
	}
}

void
stable_claim(const struct member *me, const struct stable_head *head,
    const struct stable_signature *signatures, struct claims *claims)
{
	if (head->signers == 0)
		return;
	struct claim *digest = claims_add(claims);
	digest->kind = CLAIM_DIGEST;
	digest->key = 0;
	digest->size = sizeof(head->pair);
	digest->data = &head->pair;
	digest->proof = head->digest32;
	for (uint64_t rest = head->signers; rest != 0; rest &= rest - 1) {
		uint16_t signer = (uint16_t)__builtin_ctzll(rest);
		struct message_header *header = claims_scratch(claims);
		*header = signed_header(&me->config, BFT_CHECKPOINT, signer, sizeof(head->pair));
		header->view = signatures->view;
		header->seq = head->seq;
		memcpy(header->digest, head->digest32, 32);
		signature_claim(claims, signer, header, signatures->signature64);
		signatures++;
	}
}
