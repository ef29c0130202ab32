/* SPDX-License-Identifier: Apache-2.0 */
/*
 * View changes (TOCS'02, section 3.2.4): VIEW-CHANGE and NEW-VIEW are always
 * signed, so anybody can pass them on; P and Q are claims without proof, and
 * decide.c chooses what the new view starts from. See replica.h. One core.
 */
#include "protocols/pbft/replica.h"

static struct decide_config
decide_config(const struct pbft *r)
{
	return (struct decide_config){
	    .quorum = r->me.quorum,
	    .weak = quorum_weak(r->me.config.faults),
	    .interval = r->interval,
	    .window_log = r->window_log,
	};
}

uint32_t
view_change_size_max(const struct protocol_config *config)
{
	uint64_t window = 2ull * config->checkpoint_interval;
	uint64_t entries = CHECKPOINTS_KEPT + 1 + window * (1 + PBFT_Q_MAX);
	return (uint32_t)(sizeof(struct message_header) + sizeof(struct view_change_head) +
			  entries * sizeof(struct view_change_entry) + SIGNATURE_SIZE);
}

uint32_t
view_change_new_view_size_max(const struct protocol_config *config)
{
	uint64_t digests = config->replicas_count + 2ull * config->checkpoint_interval;
	return (uint32_t)(sizeof(struct message_header) + sizeof(struct new_view_head) +
			  digests * 32 + SIGNATURE_SIZE);
}

/* ---- timers ---------------------------------------------------------------- */

static uint64_t
timeout_ns(const struct pbft *r)
{
	return r->me.config.view_timeout_ns << r->backoff;
}

static bool
slots_wait(const struct pbft *r)
{
	/* What has been executed tentatively is waited for until it is committed. */
	uint64_t done = r->executed < r->committed ? r->executed : r->committed;
	bool siblings = r->frontier > r->committed;
	return (r->highest > done || siblings) && !r->checkpoints.moving;
}

void
view_change_on_frontier(struct pbft *r, uint64_t frontier)
{
	/* Slots that siblings have passed are waited for although nobody asks for anything. */
	if (frontier != r->frontier && !slots_wait(r))
		r->progress_ns = r->me.now_ns;
	r->frontier = frontier;
}

bool
view_change_waits(const struct pbft *r)
{
	return r->requests.pool.count > 0 || slots_wait(r);
}

/*
 * "A backup is waiting for a request if it received a valid request and has not
 * executed it" (OSDI'99, 4.4). The timer is for the oldest one, so that one
 * client cannot be left out for ever while others are served, and for the
 * lowest sequence number that something is known of. A primary stays while all
 * others do: alone, it would stop the view for them. But not when one has left,
 * which may lack just what the primary lacks, for f + 1 must ask before all go.
 */
static uint64_t
patience_ends(const struct pbft *r)
{
	uint64_t at_ns = TIME_NEVER;
	if (r->silent || r->checkpoints.moving)
		return TIME_NEVER;
	if (!r->active)
		return r->full_ns == 0 ? TIME_NEVER : r->full_ns + timeout_ns(r);
	if (replica_leads(r) && r->asked_max <= r->me.view)
		return TIME_NEVER;
	if (r->requests.pool.count > 0)
		at_ns = r->requests.head_ns + timeout_ns(r);
	if (slots_wait(r) && r->progress_ns + timeout_ns(r) < at_ns)
		at_ns = r->progress_ns + timeout_ns(r);
	return at_ns;
}

static uint64_t
watch_ends(const struct pbft *r)
{
	return r->me.config.watch_primary && r->active && !replica_leads(r) && !r->silent
		   ? r->watch_ns + r->me.config.view_timeout_ns
		   : TIME_NEVER;
}

uint64_t
view_change_deadline(const struct pbft *r)
{
	uint64_t patience = patience_ends(r);
	uint64_t watch = watch_ends(r);
	return patience < watch ? patience : watch;
}

/* What this instance has decided is not executed, for a sibling's slots are missing. */
static bool
siblings_are_waited_for(const struct pbft *r)
{
	return r->active && r->me.config.instances_count > 1 && r->delivered > r->executed &&
	       r->delivered == r->committed;
}

static bool
siblings_are_late(const struct pbft *r)
{
	return siblings_are_waited_for(r) &&
	       r->me.now_ns - r->executed_ns >= r->me.config.view_timeout_ns / 4;
}

/*
 * A primary that stays just inside the timeout (Aardvark, NSDI'09, section 4.2):
 * with work waiting all the time, a view must do at least half of what the best
 * of the last views did.
 */
static void
watch_judge(struct pbft *r, struct outbox *out)
{
	uint64_t span = r->me.now_ns - r->watch_ns;
	uint64_t done = r->operations - r->watch_executed;
	uint64_t rate = span > 0 ? done * 1000000000ull / span : 0;
	uint64_t best = 0;
	for (uint32_t i = 0; i < 4; i++)
		best = r->watch_rates[i] > best ? r->watch_rates[i] : best;
	/* One that keeps up leaves nobody waiting for so long, but for its siblings' fault. */
	bool busy = r->requests.pool.count > 0 && !siblings_are_waited_for(r) &&
		    r->me.now_ns - r->requests.head_ns >= r->me.config.view_timeout_ns / 8;
	r->watch_ns = r->me.now_ns;
	r->watch_executed = r->operations;
	if (rate > r->watch_rate)
		r->watch_rate = rate;
	if (busy && best > 0 && rate < best / 2)
		view_change_begin(r, r->me.view + 1,
		    "leaves view %lu for %lu, executed %lu: its primary is slow", out);
}

void
view_change_on_timer(struct pbft *r, struct outbox *out)
{
	if (patience_ends(r) <= r->me.now_ns && siblings_are_late(r)) {
		/* This instance's primary is not to blame: the wait begins anew. */
		r->progress_ns = r->me.now_ns;
		r->requests.head_ns = r->me.now_ns;
	} else if (patience_ends(r) <= r->me.now_ns) {
		if (r->backoff < PBFT_BACKOFF_MAX)
			r->backoff++;
		view_change_begin(r, r->me.view + 1,
		    r->active ? "leaves view %lu for %lu, executed %lu: a request waits too long"
			      : "leaves view %lu for %lu, executed %lu: its primary made none",
		    out);
		return;
	}
	if (watch_ends(r) <= r->me.now_ns)
		watch_judge(r, out);
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
view_change_begin(struct pbft *r, uint64_t view, const char *cause, struct outbox *out)
{
	check(view > r->me.view);
	outbox_note(out, cause, r->me.view, view, r->executed);
	r->watch_rates[r->me.view % 4] = r->watch_rate;
	r->watch_rate = 0;
	r->me.view = view;
	r->active = false;
	r->full_ns = 0;
	r->new_view_due = false;
	r->new_view_late = false;
	r->reprepare_next = 0;
	r->figures.view_changes++;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		r->now[i].view = 0;
		if (r->next[i].view == view)
			change_take(&r->now[i], &r->next[i]);
	}
	/* "stops accepting messages (other than checkpoint, view-change, and new-view)" */
	execute_undo_tentative(r, out);
	r->change_due = !r->silent;
}

static uint32_t
entries_p(const struct pbft *r, struct view_change_entry *list)
{
	uint32_t count = 0;
	for (uint64_t seq = r->checkpoints.stable + 1; seq <= r->checkpoints.stable + r->window_log;
	     seq++) {
		const struct slot *s = &r->slots[seq % r->slots_count];
		if (s->seq != seq || !s->has_p)
			continue;
		if (list != NULL) {
			list[count] = (struct view_change_entry){.seq = seq, .view = s->p.view};
			memcpy(list[count].digest32, s->p.digest32, 32);
		}
		count++;
	}
	return count;
}

static uint32_t
entries_q(const struct pbft *r, struct view_change_entry *list)
{
	uint32_t count = 0;
	for (uint64_t seq = r->checkpoints.stable + 1; seq <= r->checkpoints.stable + r->window_log;
	     seq++) {
		const struct slot *s = &r->slots[seq % r->slots_count];
		for (uint32_t i = 0; s->seq == seq && i < s->q_count; i++) {
			if (list != NULL) {
				list[count] =
				    (struct view_change_entry){.seq = seq, .view = s->q[i].view};
				memcpy(list[count].digest32, s->q[i].digest32, 32);
			}
			count++;
		}
	}
	return count;
}

/* C: what this replica could serve: its stable checkpoint and the ones above. */
static uint32_t
entries_c(const struct pbft *r, struct view_change_entry *list)
{
	uint32_t count = 0;
	for (uint64_t i = 0; i < CHECKPOINTS_KEPT; i++) {
		uint64_t seq = r->checkpoints.stable + i * r->interval;
		const struct checkpoint *c = checkpoints_own(&r->checkpoints, seq);
		bool beginning = seq == 0;
		if (!beginning &&
		    (c == NULL || (seq > r->executed && seq != r->checkpoints.stable)))
			continue;
		if (seq > r->committed)
			continue;
		if (list != NULL) {
			list[count] = (struct view_change_entry){.seq = seq};
			if (!beginning)
				memcpy(list[count].digest32, c->digest32, 32);
		}
		count++;
	}
	return count;
}

/* Signed, to everybody: the own copy comes back and is kept with the others'. */
void
view_change_send(struct pbft *r, struct outbox *out)
{
	struct view_change_head head = {
	    .stable = r->checkpoints.stable,
	    .checkpoints_count = entries_c(r, NULL),
	    .prepared_count = entries_p(r, NULL),
	    .preprepared_count = entries_q(r, NULL),
	};
	uint32_t entries = head.checkpoints_count + head.prepared_count + head.preprepared_count;
	struct letter letter = {
	    .type = PBFT_VIEW_CHANGE,
	    .proof = PROOF_SIGNATURE,
	    .instance = r->me.config.instance,
	    .body_size = (uint32_t)(sizeof(head) + entries * sizeof(struct view_change_entry)),
	    .view = r->me.view,
	    .seq = r->checkpoints.stable,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	struct view_change_entry *list = (void *)(body + sizeof(head));
	memcpy(body, &head, sizeof(head));
	list += entries_c(r, list);
	list += entries_p(r, list);
	entries_q(r, list);
	r->change_due = false;
}

/* ---- VIEW-CHANGE ------------------------------------------------------------ */

/*
 * Is it the one that the NEW-VIEW at hand names? A liar may sign several for a
 * view: who got another than the primary's must be able to take the primary's, too.
 */
static bool
change_is_named(const struct pbft *r, const struct message_header *h)
{
	if (r->offered.view != h->view || (r->wanted >> h->sender & 1) == 0)
		return false;
	const struct new_view_head *head = (const void *)(r->offered.message + 1);
	uint64_t before = head->members & (replica_bit(h->sender) - 1);
	const uint8_t *digests = (const uint8_t *)(head + 1);
	return digest_equal(digests + quorum_count(before) * 32ull, h->digest);
}

enum verdict
view_change_screen(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	struct decide_config config = decide_config(r);
	struct view_change c;
	if ((h->proof != PROOF_SIGNATURE && RULE(PBFT_UNSIGNED)) ||
	    h->sender >= r->me.config.replicas_count || h->view < r->me.view || h->view == 0 ||
	    h->size > r->changes_size)
		return VERDICT_DROP;
	/* One a view and replica, and it costs a signature: the first is kept. */
	bool here = r->now[h->sender].view == h->view || r->next[h->sender].view == h->view;
	if (here && !change_is_named(r, h))
		return VERDICT_DROP;
	if (!view_change_parse(&config, h->view, m->body, m->body_size, &c))
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

uint64_t
view_change_held(const struct pbft *r)
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

/*
 * "if a replica receives a set of f+1 valid view-change messages from other
 * replicas for views greater than its current view, it sends a view-change
 * message for the smallest view in the set" (OSDI'99, 4.5.2).
 */
static void
join_others(struct pbft *r, struct outbox *out)
{
	uint32_t count = 0;
	uint64_t smallest = UINT64_MAX;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (i == r->me.config.self || r->asked[i] <= r->me.view)
			continue;
		count++;
		smallest = r->asked[i] < smallest ? r->asked[i] : smallest;
	}
	if (count >= quorum_weak(r->me.config.faults) && !r->silent)
		view_change_begin(
		    r, smallest, "leaves view %lu for %lu, executed %lu: f + 1 others did", out);
}

static void
changes_gathered(struct pbft *r)
{
	uint64_t here = view_change_held(r);
	uint64_t beyond = 0;
	if (r->active)
		return;
	/* "waits for 2f+1 view-change messages for view v+1" before its timer runs. Who has
	   gone on to a higher view will not send one for this any more, but it left. */
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->asked[i] > r->me.view)
			beyond |= replica_bit(i);
	}
	if (r->full_ns == 0 && quorum_count(here | beyond) >= r->me.quorum)
		r->full_ns = r->me.now_ns;
	if (quorum_count(here) < r->me.quorum)
		return;
	r->new_view_due = replica_leads(r) && !r->silent;
	r->new_view_late = false;
}

static void offered_try(struct pbft *r, struct outbox *out);

/*
 * Where a VIEW-CHANGE for a higher view is kept, or NULL: the highest of each
 * replica, unless a lower one is what the NEW-VIEW at hand names. That one may
 * never become complete, for others drop theirs when they go on: so what a replica
 * has asked for counts (`asked`) although its message finds no place.
 */
static struct change *
next_place(struct pbft *r, const struct message_header *h, bool named)
{
	struct change *next = &r->next[h->sender];
	bool kept_for_offer = r->offered.view > r->me.view && next->view == r->offered.view &&
			      (r->wanted >> h->sender & 1) == 0;
	return (h->view > next->view && !kept_for_offer) || named ? next : NULL;
}

void
view_change_on_message(struct pbft *r, const struct message *m, struct outbox *out)
{
	const struct message_header *h = m->header;
	struct change *place = NULL;
	bool named = change_is_named(r, h);
	if (h->view == r->me.view && (named || r->now[h->sender].view != r->me.view)) {
		place = &r->now[h->sender];
	} else if (h->view > r->me.view) {
		place = next_place(r, h, named);
	}
	bool news = h->view > r->asked[h->sender];
	if (news)
		r->asked[h->sender] = h->view;
	if (h->view > r->asked_max && h->sender != r->me.config.self)
		r->asked_max = h->view;
	if (place == NULL && !news)
		return;
	if (place != NULL)
		change_keep(place, m);
	changes_gathered(r);
	if (h->view > r->me.view)
		join_others(r, out);
	if (r->offered.view != 0)
		offered_try(r, out);
}

/* ---- NEW-VIEW ---------------------------------------------------------------- */

static void
change_parse(const struct pbft *r, const struct change *c, struct view_change *parsed)
{
	struct decide_config config = decide_config(r);
	uint32_t body = c->message->size - (uint32_t)sizeof(*c->message) -
			proof_size(c->message->proof, r->me.config.replicas_count);
	bool ok = view_change_parse(
	    &config, c->message->view, (const uint8_t *)(c->message + 1), body, parsed);
	check(ok);
}

/* A3: "the primary has the request with that digest". Asks for what is missing. */
static bool
batches_here(struct pbft *r, const struct decision *d, struct outbox *out)
{
	bool all = true;
	uint32_t fetches = 0;
	for (uint64_t i = 0; i < d->chosen_count; i++) {
		uint64_t seq = d->start + 1 + i;
		if (!log_holds(r, seq) || digest_is_zero(d->chosen32[i]))
			continue;
		struct slot *s = log_slot(r, seq);
		if (log_has_body(s, d->chosen32[i]))
			continue;
		all = false;
		s->wanted = true;
		memcpy(s->wanted32, d->chosen32[i], 32);
		if (fetches < 8 && r->me.now_ns - s->fetched_ns >= r->tick_ns) {
			status_fetch(r, s, out);
			fetches++;
		}
	}
	return all;
}

/* The primary of a view that it is changing to: makes it, if the set decides. */
void
view_change_new_view(struct pbft *r, struct outbox *out)
{
	struct view_change set[BFT_REPLICAS_MAX];
	struct decide_config config = decide_config(r);
	struct decision *d = &r->decision;
	uint64_t members = view_change_held(r);
	uint32_t count = 0;
	r->new_view_due = false;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (members >> i & 1)
			change_parse(r, &r->now[i], &set[count++]);
	}
	if (!decide(&config, set, count, d) || !batches_here(r, d, out)) {
		r->new_view_late = true;
		return;
	}
	struct new_view_head head = {
	    .members = members, .start = d->start, .chosen_count = d->chosen_count};
	memcpy(head.start32, d->start32, 32);
	struct letter letter = {
	    .type = PBFT_NEW_VIEW,
	    .proof = PROOF_SIGNATURE,
	    .instance = r->me.config.instance,
	    .body_size = (uint32_t)(sizeof(head) + (count + d->chosen_count) * 32),
	    .view = r->me.view,
	};
	uint8_t *body = outbox_write(out, outbox_send(out, r->me.everybody), &r->me.stamp, &letter);
	memcpy(body, &head, sizeof(head));
	body += sizeof(head);
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (members >> i & 1) {
			memcpy(body, r->now[i].message->digest, 32);
			body += 32;
		}
	}
	memcpy(body, d->chosen32, d->chosen_count * 32);
}

enum verdict
view_change_screen_new_view(const struct pbft *r, const struct message *m, struct claims *claims)
{
	const struct message_header *h = m->header;
	const struct new_view_head *head = (const void *)m->body;
	if (h->proof != PROOF_SIGNATURE || h->sender != replica_primary(r, h->view) ||
	    h->view < r->me.view || h->view == 0 || (h->view == r->me.view && r->active) ||
	    h->size > r->new_view_size || m->body_size < sizeof(*head))
		return VERDICT_DROP;
	if (h->view == r->offered.view && digest_equal(h->digest, r->offered.message->digest))
		return VERDICT_DROP;
	uint64_t digests = quorum_count(head->members) + head->chosen_count;
	if ((head->members & ~r->me.everybody) != 0 || head->chosen_count > r->window_log ||
	    quorum_count(head->members) < r->me.quorum ||
	    m->body_size != sizeof(*head) + digests * 32)
		return VERDICT_DROP;
	claims_add_message(claims, m, h->sender, r->me.config.self);
	return VERDICT_STEP;
}

/*
 * f + 1 replicas want this view or a higher one: so a correct one does. A liar
 * may sign a NEW-VIEW for any view whose turn is his.
 */
static bool
view_is_plausible(const struct pbft *r, uint64_t view)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		if (r->asked[i] >= view)
			mask |= replica_bit(i);
	}
	return quorum_count(mask) >= quorum_weak(r->me.config.faults);
}

void
view_change_on_new_view(struct pbft *r, const struct message *m, struct outbox *out)
{
	if (m->header->view < r->me.view || (m->header->view == r->me.view && r->active) ||
	    m->header->view < r->offered.view)
		return;
	if (m->header->view > r->me.view && !view_is_plausible(r, m->header->view))
		return;
	memcpy(r->offered.message, m->header, sizeof(*m->header));
	memcpy(r->offered.message + 1, m->body, m->header->size - sizeof(*m->header));
	r->offered.view = m->header->view;
	offered_try(r, out);
}

static const struct change *
change_of(const struct pbft *r, uint32_t replica, uint64_t view)
{
	if (r->now[replica].view == view)
		return &r->now[replica];
	return r->next[replica].view == view ? &r->next[replica] : NULL;
}

/* The VIEW-CHANGEs that the NEW-VIEW names. False: some are not here. */
static bool
offered_set(struct pbft *r, struct view_change *set, uint32_t *count)
{
	const struct new_view_head *head = (const void *)(r->offered.message + 1);
	const uint8_t *digest32 = (const uint8_t *)(head + 1);
	r->wanted = 0;
	*count = 0;
	for (uint32_t i = 0; i < r->me.config.replicas_count; i++) {
		const struct change *c = change_of(r, i, r->offered.view);
		if ((head->members >> i & 1) == 0) {
			/* Of a superset, too, some rule must hold: but of this set it is asked. */
			if (!RULE(PBFT_SUPERSET) && c != NULL)
				change_parse(r, c, &set[(*count)++]);
			continue;
		}
		if (c == NULL || !digest_equal(c->message->digest, digest32))
			r->wanted |= replica_bit(i);
		else
			change_parse(r, c, &set[(*count)++]);
		digest32 += 32;
	}
	return r->wanted == 0;
}

static bool
offered_matches(const struct pbft *r, const struct decision *d)
{
	const struct new_view_head *head = (const void *)(r->offered.message + 1);
	const uint8_t *chosen = (const uint8_t *)(head + 1) + quorum_count(head->members) * 32ull;
	return head->start == d->start && digest_equal(head->start32, d->start32) &&
	       head->chosen_count == d->chosen_count &&
	       memcmp(chosen, d->chosen32, d->chosen_count * 32) == 0;
}

/* Accepts the new view's choices: as if each had been pre-prepared by its primary. */
static void
choices_accept(struct pbft *r, const struct decision *d)
{
	for (uint64_t i = 0; i < d->chosen_count; i++) {
		uint64_t seq = d->start + 1 + i;
		if (!log_holds(r, seq))
			continue;
		struct slot *s = log_slot(r, seq);
		s->accepted = true;
		s->vouched = true;
		s->view = r->me.view;
		s->accepted_ns = r->me.now_ns;
		s->fetches = 0;
		memcpy(s->digest32, d->chosen32[i], 32);
		order_count_votes(r, s);
	}
	r->reprepare_next = d->start + 1;
	r->reprepare_end = d->start + d->chosen_count;
}

static void
view_enter(struct pbft *r, const struct decision *d, struct outbox *out)
{
	struct new_view_raw old = r->entered;
	execute_undo_tentative(r, out);
	for (uint32_t i = 0; i < r->me.config.replicas_count && r->me.view != r->offered.view;
	     i++) {
		r->now[i].view = 0;
		if (r->next[i].view == r->offered.view)
			change_take(&r->now[i], &r->next[i]);
	}
	r->entered = r->offered;
	r->offered = old;
	r->offered.view = 0;
	r->wanted = 0;
	r->me.view = r->entered.view;
	r->active = true;
	r->new_view_due = false;
	r->new_view_late = false;
	r->change_due = false;
	r->full_ns = 0;
	r->figures.new_views++;
	r->view_batches = 0;
	log_forget_view(r);
	choices_accept(r, d);
	r->proposed = d->start + d->chosen_count;
	r->accepted_max = r->proposed;
	r->highest = r->proposed > r->executed ? r->proposed : r->executed;
	r->progress_ns = r->me.now_ns;
	r->requests.head_ns = r->me.now_ns;
	r->watch_ns = r->me.now_ns;
	r->watch_executed = r->operations;
	order_requeue(r);
	outbox_note(out, "enters view %lu from checkpoint %lu with %lu batches", r->me.view,
	    d->start, d->chosen_count);
	if (d->start > r->checkpoints.stable)
		checkpoint_proven(r, d->start, d->start32, out);
	if (d->start > r->executed && !r->checkpoints.moving)
		checkpoint_catch_up(r, out);
}

/* "verifies the correctness of O by performing a computation similar to the one used by
   the primary" (OSDI'99, 4.4), over the very set that the primary names. */
static void
offered_try(struct pbft *r, struct outbox *out)
{
	struct view_change set[BFT_REPLICAS_MAX];
	struct decide_config config = decide_config(r);
	uint32_t count;
	if (r->offered.view < r->me.view || (r->offered.view == r->me.view && r->active)) {
		r->offered.view = 0;
		r->wanted = 0;
		return;
	}
	if (!offered_set(r, set, &count)) {
		r->status_due = true;
		return;
	}
	if (decide(&config, set, count, &r->check_decision) &&
	    offered_matches(r, &r->check_decision)) {
		view_enter(r, &r->check_decision, out);
		return;
	}
	uint64_t view = r->offered.view;
	r->offered.view = 0;
	r->figures.new_views_refused++;
	if (view == r->me.view && !r->silent)
		view_change_begin(r, view + 1,
		    "leaves view %lu for %lu, executed %lu: its NEW-VIEW is wrong", out);
}
