/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lying replica of Zyzzyva can do beside what lie.c knows of all protocols:
 * VIEW-CHANGEs that leave history out or invent it, certificates that were signed
 * by others or for something else, hate and statements without cause. See struct
 * sim_lies. One thread.
 */
#include "lie_zyzzyva.h"

#include <string.h>

#include "protocols/zyzzyva/decide.h"

enum { SLOTS_NEAR = 16, ENTRY_SIZE = 32 };

static uint32_t
batch_at(const struct message *m)
{
	return m->body_size >= ENTRY_SIZE ? ENTRY_SIZE : UINT32_MAX;
}

/* Its own history, cut short or changed, or another certificate than it holds. */
static bool
change_lie(struct lie_letter *letter, uint64_t word)
{
	struct view_change_head *head = (void *)letter->body;
	uint64_t kept = head->entries_count;
	if (letter->body_size < sizeof(*head) || kept > letter->body_size / ENTRY_SIZE)
		return false;
	switch (word % 6) {
	case 0:
	case 1: /* the end of it, or all of it, is left out */
		kept = word % 2 == 0 ? 0 : (word >> 8) % (kept + 1);
		letter->body_size -= (uint32_t)(head->entries_count - kept) * ENTRY_SIZE;
		head->entries_count = kept;
		return true;
	case 2: /* from somewhere on it is another */
		for (uint64_t i = 0; i < kept && i < 1 + (word >> 8) % 4; i++)
			letter->body[letter->body_size - 1 - i * ENTRY_SIZE] ^= 1;
		return kept > 0;
	case 3:
		head->held.signers ^= 3;
		return true;
	case 4:
		head->held.seq++;
		return true;
	default: /* active in another view than its certificate is of */
		head->active += 1 + (word >> 8) % 2;
		return true;
	}
}

static bool
certificate(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	(void)node;
	switch (letter->header->type) {
	case ZYZZYVA_VIEW_CHANGE:
		return change_lie(letter, word);
	case ZYZZYVA_CERTIFICATE:
	case ZYZZYVA_STABLE:
		letter->body[(word >> 8) % letter->body_size] ^= (uint8_t)(1u << word % 8);
		return true;
	default:
		return false;
	}
}

static bool
invent(struct sim_node *node, struct lie_letter *letter, uint64_t word)
{
	struct message_header *h = letter->header;
	h->view = node_view(node) + (word >> 8) % 2;
	h->seq = 1 + (word >> 16) % SLOTS_NEAR;
	letter->proof = PROOF_SIGNATURE;
	letter->body_size = 0;
	switch (word % 4) {
	case 0:
		h->type = ZYZZYVA_HATE;
		h->seq = 0;
		return true;
	case 1:
		h->type = ZYZZYVA_STATEMENT;
		memset(h->digest, (int)(word >> 24 & 0xff), sizeof(h->digest));
		return true;
	case 2:
		h->type = ZYZZYVA_VOUCH;
		break;
	default:
		h->type = ZYZZYVA_FILL_HOLE;
		break;
	}
	letter->proof = node->sim->plan.protocol.protocol_proof;
	return true;
}

const struct sim_lies zyzzyva_lies = {batch_at, certificate, invent};
