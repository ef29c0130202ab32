/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicas commit among themselves, where clients know that one is silent. A client
 * that ASKs is promised LOCAL-COMMITs of its next operations, too, without asking;
 * it keeps the paper's path (SOSP'07, section 3.1, step 4b: a certificate that it
 * gathers itself) for when they do not come.
 *
 *     client    primary    backups
 *        REQUEST ->
 *            ORDER-REQ ->
 *        <----- REPLY               all of them executed it
 *            STATEMENT ->           for all that it has ordered so far
 *                 <- STATEMENT ->   the same from who has it, too: q are a CC
 *        <----- LOCAL-COMMIT        of each operation that the CC covers: q -> done
 *
 * What a LOCAL-COMMIT says is what it always says: its sender holds a CC of its view
 * that covers (seq, h). A CC is one signature and q - 1 verifications at each replica,
 * whatever it covers, and that is as much work as many operations are. So the primary
 * begins the next when nearly all clients wait that lately did at a time, or else
 * when making the last has been a part of the time only (CROWD_*, PAUSE_TIMES).
 * Clients verify MACs alone.
 * See replica.h. One core.
 */
#include "protocols/zyzzyva/phases.h"

enum {
	COMMIT_PART = 4,  /* of a tick: how long a certificate may take */
	COMMIT_MARKS = 8, /* every so many seqs is one where all state the same */
	PAUSE_TIMES = 3,  /* of what the last certificate took, until the next is begun */
	CROWD_SHARE = 8,  /* all but this part of the clients that waited lately are enough */
	CROWD_DECAY = 16, /* certificates after which a crowd is forgotten, roughly */
};

/* Has a client wanted commits lately? */
static bool
is_wanted(const struct zyzzyva *r)
{
	return r->commits_count > 0 ||
	       (r->wanted_ns != 0 && r->me.now_ns - r->wanted_ns < r->tick_ns);
}

static uint64_t
commit_patience_ns(const struct zyzzyva *r)
{
	return r->tick_ns / COMMIT_PART;
}

/* ---- the certificate ------------------------------------------------------------- */

uint64_t
commit_cover_at(const struct zyzzyva *r)
{
	/* `covered` is above `certified` while a STATEMENT of ours is on its way round. */
	if (r->covered != r->certified || !is_wanted(r))
		return TIME_NEVER;
	return r->commits_count >= r->crowd - r->crowd / CROWD_SHARE ? 0 : r->pause_end_ns;
}

void
commit_cover_begun(struct zyzzyva *r)
{
	r->cover_ns = r->me.now_ns;
	r->crowd -= (r->crowd + CROWD_DECAY - 1) / CROWD_DECAY;
	if (r->crowd < r->commits_count)
		r->crowd = r->commits_count;
}

void
commit_hear(struct zyzzyva *r, uint64_t seq)
{
	if (seq > r->certified && seq > r->echo && !replica_leads(r) && is_wanted(r))
		r->echo = seq;
}

bool
commit_echo_ready(const struct zyzzyva *r)
{
	return r->echo > r->certified && r->echo <= r->top && replica_speaks(r);
}

void
commit_echo(struct zyzzyva *r, struct outbox *out)
{
	struct slot *s = ledger_slot(r, r->echo);
	r->echo = 0;
	statement_say(r, s, s->history32, r->me.everybody, out);
}

void
commit_certified(struct zyzzyva *r, uint64_t seq)
{
	uint64_t most_ns = commit_patience_ns(r) / 2; /* the others' patience is twice that */
	uint64_t pause_ns = PAUSE_TIMES * (r->me.now_ns - r->cover_ns);
	r->certified = seq;
	r->late_tries = 0;
	r->late_ns = r->me.now_ns + commit_patience_ns(r);
	r->pause_end_ns = r->me.now_ns + (pause_ns < most_ns ? pause_ns : most_ns);
}

uint64_t
commit_deadline(const struct zyzzyva *r)
{
	return r->commits_count > 0 && r->top > r->certified && replica_speaks(r) ? r->late_ns
										  : TIME_NEVER;
}

/*
 * Something was lost, or the primary does not do its part: each replica states what
 * others are likely to state, too, or repeats it. Clients wait, so that soon all have
 * the same top; where the service goes on there are marks on the way.
 */
void
commit_again(struct zyzzyva *r, struct outbox *out)
{
	uint64_t seq = r->top;
	r->late_ns = r->me.now_ns + patience_ns(commit_patience_ns(r), r->late_tries);
	r->late_tries++;
	if (seq - r->certified >= COMMIT_MARKS)
		seq -= seq % COMMIT_MARKS;
	if (seq <= r->certified)
		return;
	struct slot *s = ledger_slot(r, seq);
	statement_say(r, s, s->history32, r->me.everybody, out);
}

/* ---- clients --------------------------------------------------------------------- */

bool
commit_promise(struct zyzzyva *r, uint16_t client)
{
	bool promised = r->told[client].promised > 0;
	r->told[client].promised = ZYZZYVA_PROMISE;
	r->wanted_ns = r->me.now_ns;
	return promised;
}

void
commit_want(struct zyzzyva *r, uint16_t client, uint64_t timestamp, uint64_t seq)
{
	struct told *t = &r->told[client];
	bool queued = t->wanted != 0;
	t->wanted = seq;
	t->wanted_timestamp = timestamp;
	r->wanted_ns = r->me.now_ns;
	if (queued)
		return;
	if (r->commits_count == 0) {
		r->late_ns = r->me.now_ns + commit_patience_ns(r);
		r->late_tries = 0;
	}
	check(r->commits_count < r->me.config.slots_count);
	r->commits[(r->commits_first + r->commits_count++) % r->me.config.slots_count] = client;
}

bool
commit_ready(const struct zyzzyva *r)
{
	if (r->commits_count == 0)
		return false;
	const struct told *t = &r->told[r->commits[r->commits_first]];
	return t->wanted <= r->certified || !RULE(ZYZZYVA_COMMIT_UNCERTIFIED);
}

/*
 * What was undone meanwhile is in line again or will be; h tells the client whether
 * what is certified here is what it was told.
 */
void
commit_answer(struct zyzzyva *r, struct outbox *out)
{
	for (uint32_t i = 0; i < ZYZZYVA_COMMITS_PER_STEP && commit_ready(r); i++) {
		uint16_t client = r->commits[r->commits_first];
		struct told *t = &r->told[client];
		const uint8_t *history32 = history_at(r, t->wanted);
		r->commits_first = (r->commits_first + 1) % r->me.config.slots_count;
		r->commits_count--;
		if (t->wanted < r->stable)
			replies_recall(client, t->wanted_timestamp, out);
		else if (history32 != NULL && replica_speaks(r))
			commit_send(r, client, t->wanted_timestamp, history32, out);
		t->wanted = 0;
	}
}

/* "<LOCAL-COMMIT, v, d, h, i, c>" (3.1, step 4b.1). */
void
commit_send(struct zyzzyva *r, uint16_t client, uint64_t timestamp, const uint8_t *history32,
    struct outbox *out)
{
	struct letter letter = {
	    .type = ZYZZYVA_LOCAL_COMMIT,
	    .proof = r->me.config.reply_proof,
	    .instance = client,
	    .view = r->me.view << BFT_REPLY_SHIFT,
	    .seq = timestamp,
	};
	struct send *s = outbox_send_client(out, client);
	outbox_write(out, s, &r->me.stamp, &letter);
	memcpy(s->header->digest, history32, 32);
}
