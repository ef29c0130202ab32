/* SPDX-License-Identifier: Apache-2.0 */
/*
 * View changes (SOSP'07, section 3.2): when the primary is hated, VIEW-CHANGE and
 * NEW-VIEW. decide.c says what a set of VIEW-CHANGEs leads to, enter.c goes there.
 * See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

static struct decide_config
decide_config(const struct zyzzyva *r)
{
	return (struct decide_config){
	    .me = &r->me, .interval = r->interval, .window_log = r->window_log};
}

uint32_t
leave_size_max(const struct protocol_config *config)
{
	uint64_t entries = 2ull * config->checkpoint_interval;
	uint64_t n = config->replicas_count;
	return (uint32_t)(sizeof(struct message_header) + sizeof(struct view_change_head) +
			  n * (SIGNATURE_SIZE + sizeof(struct stable_signature)) + entries * 32 +
			  SIGNATURE_SIZE);
}

uint32_t
leave_new_view_size_max(const struct protocol_config *config)
{
	return (uint32_t)(sizeof(struct message_header) + sizeof(struct new_view_head) +
			  config->replicas_count * 32ull + SIGNATURE_SIZE);
}

/* ---- leaving a view --------------------------------------------------------- */

static void
change_take(struct change *to, struct change *from)
{
	struct change old = *to;
	*to = *from;
	*from = old;
	from->view = 0;
}

void
leave_begin(struct zyzzyva *r, uint64_t view, const char *cause, struct outbox *out)
{
	check(view > r->me.view);
	outbox_note(out, cause, r->me.view, view, r->executed);
	r->me.view = view;
	/* "stops accepting any messages other than [...] view changes": nothing is stated of
	   the old view from here on, and no certificate of it is taken. */
	r->active = false;
	r->hating = false;
	r->betrayed = false;
	r->doubt = 0;
	r->echo = 0;
	r->full_ns = 0;
	r->hole_ns = TIME_NEVER;
	r->heard = 0;
	r->new_view_due = false;
	r->decided = false;
	r->stirred = true;
	r->figures.view_changes++;
	if (r->offered.view < view)
		r->offered.view = 0;
	if (r->pending.present && r->pending.view < view)
		r->pending.present = false;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		r->now[i].view = 0;
		if (r->next[i].view == view)
			change_take(&r->now[i], &r->next[i]);
	}
	r->change_due = !r->silent;
}

/*
 * "<VIEW-CHANGE, v + 1, CC, O, i>" (3.2): the highest certificate and the history
 * since the stable checkpoint; all of it of the view in which this replica was
 * last active. Signed, to everybody: the own copy comes back and is kept, too.
 */
void
leave_send(struct zyzzyva *r, struct outbox *out)
{
	struct view_change_head head = {
	    .active = r->active_view,
	    .entries_count =
		r->top - r->stable < r->window_log ? r->top - r->stable : r->window_log,
	    .held = r->held.head,
	    .stable = r->stable_proof.head,
	};
	uint32_t held = certificate_signatures_size(head.held.signers);
	uint32_t stable = certificate_stable_size(head.stable.signers);
	struct letter letter = {
	    .type = ZYZZYVA_VIEW_CHANGE,
	    .proof = PROOF_SIGNATURE,
	    .body_size = (uint32_t)sizeof(head) + held + stable + (uint32_t)head.entries_count * 32,
	    .view = r->me.view,
	    .seq = r->stable,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	memcpy(body, &head, sizeof(head));
	body += sizeof(head);
	memcpy(body, r->held.signatures64, held);
	memcpy(body + held, r->stable_proof.signatures, stable);
	body += held + stable;
	/* Above the window nothing has been executed, so nothing has been answered. */
	for (uint64_t i = 1; i <= head.entries_count; i++, body += 32)
		memcpy(body, history_at(r, r->stable + i), 32);
	r->change_due = false;
}

/* ---- VIEW-CHANGE ------------------------------------------------------------ */

/*
 * Is it what the NEW-VIEW names and we lack? A liar may have sent us another one
 * than its primary.
 */
static bool
offered_wants(const struct zyzzyva *r, const struct message_header *h)
{
	const struct new_view_head *head = (const void *)(r->offered.message + 1);
	if (r->offered.view != h->view || (r->wanted >> h->sender & 1) == 0)
		return false;
	uint64_t before = head->members & (replica_bit(h->sender) - 1);
	return digest_equal((const uint8_t *)(head + 1) + 32 * quorum_count(before), h->digest);
}

enum verdict
leave_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	struct decide_config config = decide_config(r);
	struct view_change c;
	if (h->proof != PROOF_SIGNATURE || h->sender >= r->me.config.replicas_count ||
	    h->view < r->me.view || h->view == 0 || h->size > r->changes_size)
		return VERDICT_DROP;
	/* One a view and replica, and it costs signatures: the first is kept, but for what a
	   NEW-VIEW names. */
	bool kept = r->now[h->sender].view == h->view || r->next[h->sender].view == h->view;
	if (kept && !offered_wants(r, h))
		return VERDICT_DROP;
	if (!decide_parse(&config, h->view, m->body, m->body_size, &c))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	commit_claim(&r->me, &c.head->held, c.held_signatures64, claims);
	stable_claim(&r->me, &c.head->stable, c.stable_signatures, claims);
	return VERDICT_STEP;
}

uint64_t
leave_held(const struct zyzzyva *r)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->now[i].view == r->me.view && r->me.view != 0)
			mask |= replica_bit(i);
	}
	return mask;
}

static void
change_keep(struct change *c, const struct message *m)
{
	memcpy(c->message, m->header, sizeof(*m->header));
	memcpy(c->message + 1, m->body, m->header->size - sizeof(*m->header));
	c->view = m->header->view;
}

/* f + 1 have gone on to higher views: so a correct one has. The smallest of them is joined. */
static void
join_others(struct zyzzyva *r, struct outbox *out)
{
	uint32_t count = 0;
	uint64_t smallest = UINT64_MAX;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (i == r->me.config.self || r->next[i].view <= r->me.view)
			continue;
		count++;
		smallest = r->next[i].view < smallest ? r->next[i].view : smallest;
	}
	if (count >= quorum_weak(r->me.config.faults) && !r->silent)
		leave_begin(
		    r, smallest, "leaves view %lu for %lu, executed %lu: f + 1 others did", out);
}

static void
changes_gathered(struct zyzzyva *r)
{
	uint64_t here = leave_held(r);
	uint64_t beyond = 0;
	if (r->active)
		return;
	/* Who has gone on to a higher view will not send one for this any more, but it left. */
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->next[i].view > r->me.view)
			beyond |= replica_bit(i);
	}
	if (r->full_ns == 0 && quorum_count(here | beyond) >= r->me.quorum)
		r->full_ns = r->me.now_ns;
	if (quorum_count(here) >= r->me.quorum && replica_leads(r) && !r->silent &&
	    r->offered.view != r->me.view && !r->decided)
		r->new_view_due = true;
}

static void offered_try(struct zyzzyva *r, struct outbox *out);

void
leave_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct change *place = NULL;
	if (h->view == r->me.view &&
	    (r->now[h->sender].view != r->me.view || offered_wants(r, h))) {
		place = &r->now[h->sender];
	} else if (h->view > r->me.view) {
		/* The highest of each replica, unless a lower one is what a NEW-VIEW names. */
		struct change *next = &r->next[h->sender];
		bool wanted = r->offered.view > r->me.view && next->view == r->offered.view &&
			      (r->wanted >> h->sender & 1) == 0;
		if ((h->view > next->view && !wanted) || offered_wants(r, h))
			place = next;
	}
	if (place == NULL)
		return;
	change_keep(place, m);
	r->stirred = true;
	changes_gathered(r);
	if (h->view > r->me.view)
		join_others(r, out);
	if (r->offered.view != 0)
		offered_try(r, out);
}

/* ---- NEW-VIEW ---------------------------------------------------------------- */

static void
change_parse(const struct zyzzyva *r, const struct change *c, struct view_change *parsed)
{
	struct decide_config config = decide_config(r);
	uint32_t body = c->message->size - (uint32_t)sizeof(*c->message) - SIGNATURE_SIZE;
	bool ok = decide_parse(
	    &config, c->message->view, (const uint8_t *)(c->message + 1), body, parsed);
	check(ok);
}

/* "<NEW-VIEW, v + 1, P>": it names the set, and everybody decides over that. */
void
leave_new_view(struct zyzzyva *r, struct outbox *out)
{
	struct new_view_head head = {.members = leave_held(r)};
	struct letter letter = {
	    .type = ZYZZYVA_NEW_VIEW,
	    .proof = PROOF_SIGNATURE,
	    .body_size = (uint32_t)sizeof(head) + quorum_count(head.members) * 32,
	    .view = r->me.view,
	};
	r->new_view_due = false;
	if (quorum_count(head.members) < r->me.quorum)
		return;
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	memcpy(body, &head, sizeof(head));
	body += sizeof(head);
	for (uint64_t left = head.members; left != 0; left &= left - 1, body += 32)
		memcpy(body, r->now[__builtin_ctzll(left)].message->digest, 32);
}

enum verdict
leave_screen_new_view(const struct zyzzyva *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct new_view_head *head = (const void *)m->body;
	if (h->proof != PROOF_SIGNATURE || h->sender != replica_primary(r, h->view) ||
	    h->view < r->me.view || h->view == 0 || (h->view == r->me.view && r->active) ||
	    h->view <= r->offered.view || m->body_size < sizeof(*head) ||
	    (head->members & ~r->me.everybody) != 0 || quorum_count(head->members) < r->me.quorum ||
	    m->body_size != sizeof(*head) + quorum_count(head->members) * 32)
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

/* f + 1 replicas want this view or a higher one: a liar may sign one whose turn is his. */
static bool
view_is_plausible(const struct zyzzyva *r, uint64_t view)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->next[i].view >= view)
			mask |= replica_bit(i);
	}
	return quorum_count(mask) >= quorum_weak(r->me.config.faults);
}

void
leave_on_new_view(struct zyzzyva *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	if (h->view < r->me.view || (h->view == r->me.view && r->active) ||
	    h->view <= r->offered.view)
		return;
	if (h->view > r->me.view && !view_is_plausible(r, h->view))
		return;
	memcpy(r->offered.message, h, sizeof(*h));
	memcpy(r->offered.message + 1, m->body, h->size - sizeof(*h));
	r->offered.view = h->view;
	r->stirred = true;
	offered_try(r, out);
}

static const struct change *
change_of(const struct zyzzyva *r, uint32_t replica, uint64_t view)
{
	if (r->now[replica].view == view)
		return &r->now[replica];
	return r->next[replica].view == view ? &r->next[replica] : NULL;
}

/* The VIEW-CHANGEs that the NEW-VIEW names. False: some are not here. */
static bool
offered_set(struct zyzzyva *r, struct view_change *set, uint32_t *count)
{
	const struct new_view_head *head = (const void *)(r->offered.message + 1);
	const uint8_t *digest32 = (const uint8_t *)(head + 1);
	r->wanted = 0;
	*count = 0;
	for (uint64_t left = head->members; left != 0; left &= left - 1, digest32 += 32) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		const struct change *c = change_of(r, i, r->offered.view);
		if (c == NULL || !digest_equal(c->message->digest, digest32))
			r->wanted |= replica_bit(i);
		else
			change_parse(r, c, &set[(*count)++]);
	}
	return r->wanted == 0;
}

static void
offered_try(struct zyzzyva *r, struct outbox *out)
{
	struct view_change set[BFT_REPLICAS_MAX];
	struct decide_config config = decide_config(r);
	struct decision d;
	uint32_t count;
	if (r->offered.view < r->me.view || r->decided ||
	    (r->offered.view == r->me.view && r->active)) {
		return;
	}
	if (!offered_set(r, set, &count)) {
		r->status_due = true;
		return;
	}
	decide_history(&config, set, count, &d);
	struct view_change start = set[d.start];
	struct pending p = {.view = r->offered.view, .top = d.top};
	memcpy(p.top32, d.top32, 32);
	if (p.view > r->me.view)
		leave_begin(
		    r, p.view, "leaves view %lu for %lu, executed %lu: that has begun", out);
	r->decided = true;
	stability_prove(r, &start.head->stable, start.stable_signatures, out);
	enter_begin(r, &p, out);
}
