/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: PBFT; the attacker is one replica, one client and the network: see fuzz_bft.h. */
#include "protocols/pbft/pbft.h"

#define FUZZ_MODE      "pbft"
#define FUZZ_TYPES_END PBFT_TYPES_END
#define FUZZ_TENTATIVE 1
#include "fuzz_bft.h"

/* A vote for what is going on, or something else without body. */
static void
attacker_votes(void)
{
	/* In the order in which the corpus names them, whatever their numbers on the wire are. */
	static const uint8_t types[] = {PBFT_PREPARE, PBFT_COMMIT, BFT_CHECKPOINT, PBFT_VIEW_CHANGE,
	    PBFT_NEW_VIEW, PBFT_STATUS, PBFT_FETCH, PBFT_BATCH, BFT_READ, BFT_REPLY_DIGEST,
	    BFT_MUST_SIGN, BFT_COMPLAINT, PBFT_DECIDED};
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	const struct replica *r = &nodes[how % CORRECT].replica;
	const struct kept *k = past_take();
	message_begin(ATTACKER, types[fuzz_below(&in, (uint32_t)sizeof(types))],
	    plan.protocol.protocol_proof);
	message->view = machine->view(r->shard->machines[0]);
	if (k->size > 0) {
		message->seq = ((const struct message_header *)(const void *)k->bytes)->seq;
		memcpy(message->digest,
		    ((const struct message_header *)(const void *)k->bytes)->digest, DIGEST_SIZE);
	}
	fields_alter(how >> 2 & 15);
	if (message_seal(ATTACKER, 0, 0))
		message_send(fuzz_take(&in, 1));
}

/* As a primary: a batch of requests that were sent, for some; another for others. */
static void
attacker_proposes(void)
{
	uint32_t how = (uint32_t)fuzz_take(&in, 1);
	uint64_t batch_memory[FUZZ_ENVELOPE_SIZE / 8];
	struct batch batch = attacker_batch(batch_memory, how & 3);
	message_begin(ATTACKER, PBFT_PRE_PREPARE, plan.protocol.protocol_proof);
	uint64_t view = machine->view(nodes[how >> 2 & 1].replica.shard->machines[0]);
	while (bft_primary(&plan.protocol, 0, view) != ATTACKER)
		view++;
	message->view = view;
	message->seq = fuzz_below(&in, 4 * INTERVAL);
	if (how & 8)
		fields_alter((uint32_t)fuzz_take(&in, 1) & 3);
	memcpy(body, batch.data, batch.size);
	if (message_seal(ATTACKER, batch.size, 0))
		message_send(how & 16 ? fuzz_take(&in, 1) : 15);
}
