/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What history a new view starts with, decided by a set of q or more VIEW-CHANGEs
 * alone, so that the same set gives the same decision at every replica. Pure.
 *
 * Body of VIEW-CHANGE: view_change_head, the signatures of `held`, those of
 * `stable`, then the sender's history h from stable.seq + 1 on, 32 bytes each.
 *
 * The rule. Of all commit certificates in the set, that of the highest view
 * counts, and in that view that of the highest sequence number; from there on
 * the history goes on as f + 1 members have it who were active in that view and
 * whose histories are the same from the certificate on.
 *
 * Why it is safe. A view begins with a certificate of its own (VIEW-CONFIRM is a
 * STATEMENT of the new view), and STATEMENTs of a view are of its beginning or
 * later. So (1) a correct replica's `held` is of the view it was last active in,
 * and (2) certificates of view w cover all that was complete in views below w, if
 * the decision for w kept it. Let an operation be complete in view w at (s, h).
 *   By the slow path, q replicas active in w hold a certificate of w at or above
 * s; one of them is correct and in the set, and by now it holds that, one of w
 * that is higher, or one of a later view. By the fast path all n were active in w
 * and had (s, h).
 *   Let w* be the highest view of a certificate in the set. In either case w* >= w.
 * If w* > w, (2) has it. If w* = w: by the slow path the certificate that counts is
 * at or above s, and two certificates of one view lie on one history, for their
 * signers share a correct replica, whose history in a view only grows - or becomes
 * that of a certificate of the view (enter.c), which changes nothing: of the first
 * two that would not lie on one history, a replica that signed both would have had
 * to change by a third, which comes before the later one. By the fast path each
 * correct member (f + 1 at least) was last active in w, or it would hold a
 * certificate of a higher view, and it still has (s, h), for no certificate of w can
 * be on another history: f + 1 correct replicas would have signed it who had (s, h).
 * So at every seq up to s f + 1 members agree on that history, and at most f, who
 * lie, on another.
 *   A primary who lies can name two beginnings of a view. A correct replica confirms
 * one; where a certificate has it begin with another, or before that, what it confirmed
 * is no part of its history, and it signs nothing more in that view (enter.c:
 * entry_of_view). So whoever signed two certificates had the history of both. And no
 * certificate consists of such words alone: those who confirmed the first one of a view
 * are more than half of the correct replicas, as the signers of any other are.
 *   The published rule took the highest sequence number of whatever view: so a
 * certificate that never made anything complete could undo a later view's fast
 * path (arXiv:1712.01367, section 3).
 *   A stable checkpoint is as good as complete: f + 1 correct replicas held a
 * certificate of it when they voted.
 */
#ifndef OSKR_PROTOCOLS_ZYZZYVA_DECIDE_H
#define OSKR_PROTOCOLS_ZYZZYVA_DECIDE_H

#include "protocols/zyzzyva/certificate.h"

struct view_change_head {
	uint64_t active;	 /* the last view in which its sender was active */
	uint64_t entries_count;	 /* of its history, above the stable checkpoint */
	struct commit_head held; /* of view `active`; none: only in view 0 */
	struct stable_head stable;
};
static_assert(sizeof(struct view_change_head) == 184, "no padding");

/* A VIEW-CHANGE's body, taken apart. */
struct view_change {
	const struct view_change_head *head;
	const uint8_t *held_signatures64;
	const struct stable_signature *stable_signatures;
	const uint8_t (*entries)[32];
};

struct decide_config {
	const struct member *me;
	uint64_t interval;
	uint64_t window_log; /* L: how far histories reach above a stable checkpoint */
};

struct decision {
	uint32_t start; /* the member with the highest stable checkpoint */
	uint64_t top;	/* the new history's last sequence number, and h there */
	uint8_t top32[32];
};

/*
 * True: the body is well formed and taken apart into *c (which points into it).
 * That its certificates hold is another matter: commit_claim() and stable_claim().
 */
bool decide_parse(const struct decide_config *config, uint64_t view, const uint8_t *body,
    uint32_t size, struct view_change *c);

/* At least q members; always decides. */
void decide_history(const struct decide_config *config, const struct view_change *set,
    uint32_t count, struct decision *d);

#endif
