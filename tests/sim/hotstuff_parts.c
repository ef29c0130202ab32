/* SPDX-License-Identifier: Apache-2.0 */
/* See hotstuff_parts.h. */
#include "hotstuff_parts.h"

#include <string.h>

#include "sim.h"

/* A position in a body. */
struct walk {
	const struct message *m;
	uint32_t at;
	bool ok;
};

static void
walk_over(struct walk *w, uint64_t size)
{
	w->ok = w->ok && size <= w->m->body_size - w->at;
	if (w->ok)
		w->at += (uint32_t)size;
}

/* A certificate whose head stands elsewhere: its signatures are next. */
static void
walk_qc(struct walk *w, struct hotstuff_qc *qc, uint32_t head_at)
{
	*qc = (struct hotstuff_qc){head_at, w->at};
	if (w->ok)
		walk_over(w, signatures_size(qc_head_read(w->m->body, qc).signers));
}

static void
walk_tc(struct walk *w, struct hotstuff_parts *parts, uint32_t has_tc_at)
{
	struct tc_head tc;
	uint64_t has_tc = 0;
	uint32_t at = w->at;
	parts->has_tc_at = has_tc_at;
	if (w->ok)
		memcpy(&has_tc, w->m->body + has_tc_at, sizeof(has_tc));
	if (has_tc == 0)
		return;
	walk_over(w, sizeof(tc));
	if (!w->ok)
		return;
	memcpy(&tc, w->m->body + at, sizeof(tc));
	walk_over(w, entries_size(tc.signers));
	parts->tc_at = at;
}

bool
hotstuff_parts(const struct message *m, struct hotstuff_parts *parts)
{
	struct walk w = {m, 0, true};
	memset(parts, 0, sizeof(*parts));
	switch (m->header->type) {
	case HOTSTUFF_PROPOSAL:
	case HOTSTUFF_BLOCK:
		walk_over(&w, sizeof(struct block_head));
		walk_qc(&w, &parts->qc, offsetof(struct block_head, justify));
		walk_tc(&w, parts, offsetof(struct block_head, has_tc));
		break;
	case HOTSTUFF_TIMEOUT:
		walk_over(&w, sizeof(struct timeout_head));
		walk_qc(&w, &parts->qc, offsetof(struct timeout_head, high));
		walk_tc(&w, parts, offsetof(struct timeout_head, has_tc));
		break;
	case HOTSTUFF_CERTIFICATE:
		walk_over(&w, sizeof(struct certificate_head));
		walk_qc(&w, &parts->qc, offsetof(struct certificate_head, high));
		walk_tc(&w, parts, offsetof(struct certificate_head, has_tc));
		break;
	default:
		return false;
	}
	parts->batch_at = w.at;
	return w.ok;
}

void
hotstuff_certificates(const struct message *m,
    void (*take)(void *context, const struct sim_certificate *c), void *context)
{
	struct hotstuff_parts parts;
	if (!hotstuff_parts(m, &parts))
		return;
	const struct qc_head head = qc_head_read(m->body, &parts.qc);
	const struct sim_certificate c = {.instance = m->header->instance,
	    .view = head.view,
	    .seq = head.height,
	    .digest32 = head.digest32,
	    .signers = head.signers};
	if (head.view > 0) /* the genesis certificate has no signers */
		take(context, &c);
	if (parts.tc_at == 0)
		return;
	struct tc_head tc;
	memcpy(&tc, m->body + parts.tc_at, sizeof(tc));
	take(context, &(struct sim_certificate){.timeout = true,
			  .instance = m->header->instance,
			  .view = tc.view,
			  .signers = tc.signers});
}
