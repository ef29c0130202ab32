/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scenarios of HotStuff are made of, beyond scenario_rig.h: its views,
 * what its liars write, what its runs come to. Four replicas, leaders in turn.
 */
#ifndef OSKR_TESTS_HOTSTUFF_RIG_H
#define OSKR_TESTS_HOTSTUFF_RIG_H

#include "tests/scenario_rig.h"

#include "protocols/hotstuff/hotstuff.h"
#include "tests/sim/hotstuff_parts.h"
#include "tests/sim/lie_hotstuff.h"

/* Which of lie_batch.c's lies. */
enum { LIE_WITHOUT_LAST = 1, BATCH_LIES_COUNT = 8 };
/* Where the lies about certificates begin that are not simply an older one: lie_hotstuff.c. */
enum { QC_LIE_FALSE = 2, QC_LIES_COUNT = 12 };

/* ---- Messages ----------------------------------------------------------------------- */

static inline uint16_t
led_by(const struct sim *sim, uint64_t view)
{
	return hotstuff_leader(&sim->plan.protocol, 0, view);
}

/* The last message of a type that a liar sent or saw whose digest names it; NULL: none. */
static inline const struct message_header *
last_of(const struct sim_node *liar, uint8_t type, uint64_t view)
{
	const struct message_header *last = NULL;
	for (uint32_t i = 0; i < liar->old_count; i++) {
		const struct message_header *h = (const void *)liar->old[i]->data;
		if (h->type == type && (view == 0 || h->view == view) &&
		    (last == NULL || h->view > last->view))
			last = h;
	}
	return last;
}

/* The letter becomes a copy of a message, in the sender's own name. */
static inline bool
letter_copy(struct scenario_letter *l, const struct message_header *model)
{
	struct message m;
	uint16_t sender = l->letter->header->sender;
	if (model == NULL ||
	    message_parse(&l->sim->oracle.scope, (const void *)model, model->size, &m) !=
		PARSE_OK ||
	    m.body_size > l->letter->body_room)
		return false;
	*l->letter->header = *m.header;
	l->letter->header->sender = sender;
	l->letter->proof = m.header->proof;
	l->letter->body_size = m.body_size;
	if (m.body_size > 0)
		memcpy(l->letter->body, m.body, m.body_size);
	return true;
}

static inline bool
letter_parts(const struct scenario_letter *l, struct hotstuff_parts *parts)
{
	const struct message m = {.header = l->letter->header,
	    .body = l->letter->body,
	    .body_size = l->letter->body_size};
	return hotstuff_parts(&m, parts);
}

/* Another batch in the same block: as valid as the first. */
static inline void
without_last(struct scenario_letter *l)
{
	const struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	lie_letter_batch(liar, l->letter, NULL, LIE_WITHOUT_LAST);
}

static inline void
certificate_false(struct scenario_letter *l)
{
	struct sim_node *liar = &l->sim->nodes[l->letter->header->sender];
	uint64_t lies = QC_LIES_COUNT - QC_LIE_FALSE;
	struct hotstuff_parts parts;
	if (letter_parts(l, &parts))
		lie_hotstuff_qc(liar, l->letter, &parts.qc,
		    QC_LIE_FALSE + l->number / 3 % lies + QC_LIES_COUNT * l->number * 37);
}

/* ---- Outcomes ------------------------------------------------------------------------- */

static inline uint64_t
figure_max(const struct sim *sim, const char *name)
{
	uint64_t max = 0;
	for (uint16_t i = 0; i < sim->replicas_count; i++) {
		uint64_t figure = scenario_figure(sim, i, name);
		max = figure > max ? figure : max;
	}
	return max;
}

/* The longest that a correct client waited for an answer, as far as histories tell. */
static inline uint64_t
latency_max_ns(const struct sim *sim)
{
	uint64_t max_ns = 0;
	for (uint32_t s = 0; s < sim->oracle.slots_count; s++) {
		const struct oracle_slot *slot = &sim->oracle.slots[s];
		for (uint32_t i = 0; !slot->faulty && i < slot->count; i++) {
			const struct history_op *op = &slot->list[i].kv.op;
			if (!slot->list[i].recorded || op->response_ns == HISTORY_PENDING)
				continue;
			uint64_t waited_ns = op->response_ns - op->invoke_ns;
			max_ns = waited_ns > max_ns ? waited_ns : max_ns;
		}
	}
	return max_ns;
}

/* Replica 3 is at most a few blocks behind the others. */
static inline bool
third_is_near(struct sim *sim)
{
	return sim->oracle.replicas[3].position + 2ull * sim->plan.protocol.checkpoint_interval >=
	       sim->oracle.head;
}

/* A proposal that carries a timeout certificate. */
static inline bool
upon_timeouts(struct sim *sim, const struct message_header *header, uint16_t to)
{
	struct message m;
	struct hotstuff_parts parts;
	(void)to;
	return message_parse(&sim->oracle.scope, (const void *)header, header->size, &m) ==
		   PARSE_OK &&
	       hotstuff_parts(&m, &parts) && parts.tc_at != 0;
}

#endif
