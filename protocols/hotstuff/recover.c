/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica that ran before and lost its memory. It asks, with a nonce of this
 * life, and says nothing else until q others have shown it their certificates.
 *
 * Its former life may have voted. For a vote in view v it had a certificate that
 * leads to v, of v' < v: a QC or a TC, to which q replicas contributed. Each
 * correct one of those was in view v' when it did, by proof that it keeps, for
 * votes and TIMEOUTs are given in the own view alone. q of them and the q others
 * that answer share f + 1 replicas, so a correct one: the answers prove that v' is
 * reached. The former life was in the view after v' at most, and so nothing that
 * it voted in, or proposed in, lies above the view after what the answers prove.
 *
 * Its lock was the justify of a block b that had a QC: q replicas voted for b and
 * had seen that justify before. By the same count the highest QC that the answers
 * show is no lower. It locks itself on that one. To be locked higher than need be
 * is safe, and costs nothing: its own TIMEOUTs show that QC to the next leader.
 *
 * What it executed is lost, too: it votes only where all ancestors down to its
 * own state are here, so blocks or a state transfer come first. See replica.h.
 */
#include "protocols/hotstuff/replica.h"

void
recover_on_answer(struct hotstuff *r, uint16_t peer, struct outbox *out)
{
	if (!r->silent)
		return;
	r->recovered_by |= replica_bit(peer);
	if (quorum_count(r->recovered_by) < r->me.quorum)
		return;
	r->silent = false;
	r->floor = hotstuff_view_after(&r->me.config, r->view);
	r->voted = r->floor;
	if (r->high.head.view > r->locked.view)
		r->locked = r->high.head;
	outbox_note(out, "has recovered: votes again beyond view %lu, locked on view %lu", r->floor,
	    r->locked.view, 0);
}
