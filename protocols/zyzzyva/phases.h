/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the phases of a Zyzzyva replica offer each other, file by file. All of them
 * work on its one state, replica.h, within a step; the functions that screen are
 * pure. One core.
 */
#ifndef OSKR_PROTOCOLS_ZYZZYVA_PHASES_H
#define OSKR_PROTOCOLS_ZYZZYVA_PHASES_H

#include "protocols/zyzzyva/replica.h"

/* ---- order.c -------------------------------------------------------------- */

enum verdict orders_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
void orders_on_message(struct zyzzyva *r, const struct event *event, struct outbox *out);
/* Accepts what follows the history, as far as it is here. */
void orders_advance(struct zyzzyva *r, struct outbox *out);
/* When a batch can be proposed: 0 now, TIME_NEVER not as things stand. */
uint64_t orders_deadline(const struct zyzzyva *r);
void orders_propose(struct zyzzyva *r, struct outbox *out);
/* After a view change: requests that no batch of the new view holds are proposed again. */
void orders_requeue(struct zyzzyva *r);
/* The slot's ORDER-REQ, passed on. */
void orders_relay(const struct zyzzyva *r, const struct slot *s, uint64_t to, struct outbox *out);

/* ---- cover.c -------------------------------------------------------------- */

/* The history up to seq is the primary's signed word, or a quorum's. */
static inline void
cover_advance(struct zyzzyva *r, uint64_t seq)
{
	if (seq <= r->covered)
		return;
	r->covered = seq;
	r->uncovered_ns = r->me.now_ns;
}

/* When the primary has to sign, or TIME_NEVER. */
uint64_t cover_deadline(const struct zyzzyva *r);
void cover_send(struct zyzzyva *r, struct outbox *out);
/* A backup asks for the signature that has not come. */
void cover_ask(struct zyzzyva *r, struct outbox *out);
/* What the primary of this view signed of a slot. False: nothing that we know. */
bool cover_find(const struct zyzzyva *r, uint64_t seq, struct signed_copy *copy);
/* It signed this: for what we have, or against it. */
void cover_seen(struct zyzzyva *r, const struct signed_copy *copy, struct outbox *out);
/* ... and another than it ordered: s may be NULL. */
void cover_contradicts(
    struct zyzzyva *r, const struct slot *s, const struct signed_copy *copy, struct outbox *out);
/* A client still asks for what was executed at seq: is it what others have? */
void doubt_begin(struct zyzzyva *r, uint64_t seq, struct outbox *out);
void doubt_ask(struct zyzzyva *r, struct outbox *out);

/* ---- blame.c -------------------------------------------------------------- */

/* Something is missing at top + 1: asks the primary for it, later everybody. */
void hole_note(struct zyzzyva *r);
void hole_ask(struct zyzzyva *r, struct outbox *out);
enum verdict hole_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
void hole_on_message(struct zyzzyva *r, const struct message *m);
enum verdict witness_screen(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void witness_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* Shows others what the primary signed. */
void witness_send(struct zyzzyva *r, const struct signed_copy *copy, struct outbox *out);
/* It told us something else than others: it is hated at once. `copy`: what shows it, or NULL. */
void betrayal_found(struct zyzzyva *r, const struct signed_copy *copy, struct outbox *out);
enum verdict pom_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
void pom_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* Where that is why this replica left the view before: says so again. */
void pom_repeat(const struct zyzzyva *r, struct outbox *out);
/* Two of the primary's signatures of this view that contradict each other. */
void pom_found(struct zyzzyva *r, const struct signed_copy *a, const struct signed_copy *b,
    struct outbox *out);

/* ---- speculate.c ------------------------------------------------------------ */

void speculate_deliver(struct zyzzyva *r, struct outbox *out);
bool speculate_ready(const struct zyzzyva *r);
void speculate_on_executed(struct zyzzyva *r, const struct executed *e, struct outbox *out);
void speculate_on_state(struct zyzzyva *r, const struct moved *moved, struct outbox *out);
/* The history above `fork` is another now: what was executed of it is undone. */
void speculate_undo(struct zyzzyva *r, uint64_t fork, struct outbox *out);
/* The state of seq was fetched: it takes the place of all that was executed. */
void speculate_replace(struct zyzzyva *r, uint64_t seq);
void speculate_on_request(struct zyzzyva *r, const struct message *m, struct outbox *out);

/* ---- statement.c ---------------------------------------------------------- */

enum verdict statement_screen(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void statement_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* A STATEMENT that was proven, however it came. */
void statement_take(struct zyzzyva *r, const struct message_header *h, const uint8_t *signature64,
    struct outbox *out);
enum verdict statement_screen_vouch(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void statement_on_vouch(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* States that history32 is h of seq in me.view, to those in `to`: once signed, then repeated. */
void statement_say(
    struct zyzzyva *r, struct slot *s, const uint8_t *history32, uint64_t to, struct outbox *out);
/* q STATEMENTs like this at the slot? Makes a certificate of them. */
bool statement_gather(const struct zyzzyva *r, const struct slot *s, uint64_t view,
    const uint8_t *history32, struct commit_certificate *c);
/* A certificate of this view, on this history. */
void statement_certified(struct zyzzyva *r, const struct commit_head *head,
    const uint8_t *signatures64, struct outbox *out);
enum verdict statement_screen_client(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void statement_on_ask(struct zyzzyva *r, const struct message *m, struct outbox *out);
void statement_on_commit(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* Clients whose STATEMENT has been signed meanwhile. */
bool statement_asks_ready(const struct zyzzyva *r);
void statement_answer(struct zyzzyva *r, struct outbox *out);

/* ---- commit.c ------------------------------------------------------------- */

/* The client's next operations are committed without its asking. True: they were already. */
bool commit_promise(struct zyzzyva *r, uint16_t client);
/* Its operation at seq is to be committed. */
void commit_want(struct zyzzyva *r, uint16_t client, uint64_t timestamp, uint64_t seq);
/* As primary: when a certificate is to be made for clients who want one; TIME_NEVER: not now. */
uint64_t commit_cover_at(const struct zyzzyva *r);
/* ... and this replica has stated what it is to cover. */
void commit_cover_begun(struct zyzzyva *r);
/* The primary of this view has stated its history up to seq. */
void commit_hear(struct zyzzyva *r, uint64_t seq);
/* A STATEMENT of the primary that this replica can join. */
bool commit_echo_ready(const struct zyzzyva *r);
void commit_echo(struct zyzzyva *r, struct outbox *out);
/* A certificate covers the history up to seq, which is more than before. */
void commit_certified(struct zyzzyva *r, uint64_t seq);
/* When the certificate is late: TIME_NEVER where none is wanted. */
uint64_t commit_deadline(const struct zyzzyva *r);
void commit_again(struct zyzzyva *r, struct outbox *out);
/* Clients whose operation is certified by now. */
bool commit_ready(const struct zyzzyva *r);
void commit_answer(struct zyzzyva *r, struct outbox *out);
/* LOCAL-COMMIT: a certificate of this view covers history32 here. */
void commit_send(struct zyzzyva *r, uint16_t client, uint64_t timestamp, const uint8_t *history32,
    struct outbox *out);

/* ---- stability.c --------------------------------------------------------- */

enum verdict stability_screen(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void stability_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
enum verdict stability_screen_stable(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void stability_on_stable(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* The executor has taken one. */
void stability_taken(struct zyzzyva *r, uint64_t seq, const uint8_t *state32, struct outbox *out);
/* A STATEMENT for a certificate that this replica does without, being spare. */
bool stability_needs_not(const struct zyzzyva *r, const struct message_header *h);
/* When a checkpoint at which this replica is spare is late; TIME_NEVER: none is. */
uint64_t stability_deadline(const struct zyzzyva *r);
void stability_help(struct zyzzyva *r, struct outbox *out);
/* States the checkpoint that was taken: a burst later, for replies need not wait for that. */
void stability_state(struct zyzzyva *r, struct outbox *out);
/* Votes for what has been reached and is certified. */
void stability_vote(struct zyzzyva *r, struct outbox *out);
/* It is proven stable. */
void stability_prove(struct zyzzyva *r, const struct stable_head *head,
    const struct stable_signature *signatures, struct outbox *out);
void stability_settle(struct zyzzyva *r, struct outbox *out);
/* Fetches the state of the highest stable checkpoint, where the log alone leads nowhere. */
void stability_catch_up(struct zyzzyva *r, struct outbox *out);
/* The state that was asked for is here. */
void stability_fetched(struct zyzzyva *r, struct outbox *out);
/* The own votes that a replica with this stable checkpoint lacks, and its STATEMENTs. */
void stability_answer(struct zyzzyva *r, uint64_t stable, uint64_t to, struct outbox *out);

/* ---- hate.c, leave.c, enter.c ----------------------------------------------- */

uint32_t leave_size_max(const struct protocol_config *config);
uint32_t leave_new_view_size_max(const struct protocol_config *config);
enum verdict leave_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
enum verdict leave_screen_new_view(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
enum verdict leave_screen_hate(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void leave_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
void leave_on_new_view(struct zyzzyva *r, const struct message *m, struct outbox *out);
void leave_on_hate(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* Leaves the view for a higher one. */
void leave_begin(struct zyzzyva *r, uint64_t view, const char *cause, struct outbox *out);
void leave_send(struct zyzzyva *r, struct outbox *out);
void leave_new_view(struct zyzzyva *r, struct outbox *out);
uint64_t leave_deadline(const struct zyzzyva *r);
void leave_on_timer(struct zyzzyva *r, struct outbox *out);
void leave_tick(struct zyzzyva *r, struct outbox *out);
/* Passes on why this replica left a view: else it would be alone in the next. */
void leave_explain(struct zyzzyva *r, struct outbox *out);
uint64_t leave_held(const struct zyzzyva *r); /* VIEW-CHANGEs for me.view, mask */

/* A view begins with (top, top32): as a NEW-VIEW has it, or as `proof` says (else NULL). */
void enter_begin(struct zyzzyva *r, const struct pending *p, struct outbox *out);
/* Goes on with the pending history: bodies, our STATEMENT, the view. */
void enter_walk(struct zyzzyva *r, struct outbox *out);
/* A commit certificate that was proven, of whatever view. */
void enter_certificate(struct zyzzyva *r, const struct commit_head *head,
    const uint8_t *signatures64, struct outbox *out);
enum verdict enter_screen_certificate(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
/* The own history has changed: the pending one is walked anew. */
void enter_again(struct zyzzyva *r);
/* One of this view has been reached, or leads on where the primary does not. */
bool enter_may_follow(const struct zyzzyva *r);
/* Asks somebody for the body that the pending history needs next. */
void enter_fetch(struct zyzzyva *r, struct outbox *out);

/* ---- repair.c, rejoin.c -------------------------------------------------- */

enum verdict repair_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
enum verdict repair_screen_fetch(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
enum verdict repair_screen_body(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void repair_on_message(struct zyzzyva *r, const struct message *m);
void repair_on_fetch(struct zyzzyva *r, const struct message *m, struct outbox *out);
void repair_on_body(struct zyzzyva *r, const struct message *m, struct outbox *out);
void repair_send(struct zyzzyva *r, uint64_t to, uint64_t echo, struct outbox *out);
void repair_tick(struct zyzzyva *r, struct outbox *out);
void repair_answer(struct zyzzyva *r, struct outbox *out);
/* The highest certificate of this view. */
void repair_send_certificate(const struct zyzzyva *r, uint64_t to, struct outbox *out);

void rejoin_on_status(struct zyzzyva *r, uint16_t peer, const struct status_body *b);
void rejoin_check(struct zyzzyva *r, struct outbox *out);

#endif
