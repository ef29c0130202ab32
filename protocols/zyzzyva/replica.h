/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a Zyzzyva replica and what its phases share. Each phase has a
 * file: order.c (batches, from proposed to accepted), blame.c (holes, witnesses,
 * proofs of misbehaviour), speculate.c (speculation, replies), statement.c (commit
 * certificates), stability.c, leave.c with decide.c, enter.c (the new
 * view's history), repair.c (repair), rejoin.c; what is known of requests and
 * clients is in bft/. One machine owns all of it; nothing is allocated after init.
 *
 * The log has places for seq = stable .. stable + 3K. The present history, which
 * is that of view `active_view`, is stable32 and then slot.history32 up to `top`;
 * all of it has a body, which names the one before. Up to stable + 2K may be
 * accepted; the K beyond are held, for others may be ahead.
 */
#ifndef OSKR_PROTOCOLS_ZYZZYVA_REPLICA_H
#define OSKR_PROTOCOLS_ZYZZYVA_REPLICA_H

#include "protocols/bft/replies.h"
#include "protocols/zyzzyva/decide.h"
#include "protocols/zyzzyva/mutant.h"

enum {
	ZYZZYVA_BANKS = 3, /* bodies that a slot keeps: the history's, a confirmed one, a newer */
	ZYZZYVA_SENDS_PER_STEP = 24,
	ZYZZYVA_DELIVERIES_PER_STEP = 24,
	ZYZZYVA_DELIVER_MAX = 4,	/* of them, batches at a time */
	ZYZZYVA_TICKS_PER_TIMEOUT = 16, /* STATUS messages while nothing moves */
	ZYZZYVA_TICKS_IDLE = 8,		/* ticks between two STATUS messages without need */
	ZYZZYVA_TICKS_QUIET = 32,	/* ticks without news after which nothing is sent */
	ZYZZYVA_BACKOFF_BATCHES = 8,	/* executed in a view before its timeout is halved */
	ZYZZYVA_BACKOFF_MAX = 6,	/* doublings of the view's timeout */
	ZYZZYVA_CHECKPOINTS_KEPT = 4,
	ZYZZYVA_ANSWERS_PER_STEP = 8, /* to clients who ASK */
};

/* The body of an ORDER-REQ: h of the one before, then the batch. */
struct bank {
	uint8_t digest32[32];
	uint64_t view; /* the last whose history it was part of, as far as we know */
	uint32_t size;
	bool full;
};

/* What a replica stated of a slot, in the highest view in which it stated something. */
struct statement {
	uint64_t view;
	uint8_t history32[32];
	uint8_t signature64[SIGNATURE_SIZE];
	bool present;
};

/* One sequence number. */
struct slot {
	uint64_t seq;
	bool used;
	bool ordered; /* `order` is the primary's ORDER-REQ of order.header.view */
	bool vouched; /* its requests are authentic, as far as we or f others can tell */
	bool refused; /* its predecessor is not ours */
	bool stating; /* the own STATEMENT is on its way, for `askers`, too */
	bool asked;   /* a replica wants the own STATEMENT when there is one */
	uint32_t fetches;
	uint64_t fetched_ns;
	uint64_t stating_ns;
	uint64_t witness_ns;   /* when its ORDER-REQ was last shown to others */
	uint8_t history32[32]; /* where seq <= top */
	uint8_t chain32[32];   /* of the history that a view begins with (struct pending) */
	struct order_copy order;
	struct bank banks[ZYZZYVA_BANKS];
};

/* A replica's vote for a checkpoint, with its signature; `head.signers`: its bit, 0: none. */
struct checkpoint_vote {
	struct stable_head head;
	uint64_t view; /* in which it was sent */
	uint8_t signature64[SIGNATURE_SIZE];
};

/* What we know and owe of another replica. */
struct peer {
	struct status_body status; /* the last, of `status_view` */
	uint64_t status_view;
	uint64_t answered_ns;
	uint64_t answer_seq; /* next slot of the answer under way; 0: none */
	uint64_t answer_end;
	uint64_t answer_changes; /* VIEW-CHANGEs still to be relayed, mask */
	bool answer_view;	 /* the NEW-VIEW, too */
	bool answer_certificate;
	bool answer_status; /* a STATUS back: it is recovering */
	bool answer_stable;
	bool estimated; /* recovering: it has answered */
	struct status_body estimate;
	uint32_t bodies; /* sent to it in this tick */
	uint64_t hated;	 /* 1 + the last view whose primary it hated */
	uint64_t hated_ns;
	struct order_copy hate; /* the HATE of that view, as it signed it */
};

/* A VIEW-CHANGE, whole, in memory of its own. */
struct change {
	uint64_t view;			/* 0: none */
	struct message_header *message; /* changes_size bytes */
};

/*
 * The history that a view begins with, on its way: walked down from its top,
 * body by body, until it meets ours at `at`.
 */
struct pending {
	bool present;
	bool linked;	/* it met ours: all bodies are here */
	bool certified; /* `proof` has it; else q STATEMENTs have to come */
	bool confirmed; /* we have stated it */
	uint64_t view;
	uint64_t top;
	uint8_t top32[32];
	uint64_t at; /* chain32 is known above; h wanted at `at` is at32 */
	uint8_t at32[32];
	struct commit_certificate proof;
};

/* What a client slot was told last. */
struct told {
	uint64_t timestamp; /* of the last request executed here */
	uint64_t seq;	    /* where; timestamp 0: at or below seq */
	uint64_t asked;	    /* seq that it asks a STATEMENT of; 0: nothing */
	uint64_t asked_timestamp;
};

struct replica_figures {
	uint64_t view;
	uint64_t stable;
	uint64_t executed;
	uint64_t committed;
	uint64_t fill_holes;
	uint64_t witnesses;
	uint64_t poms;
	uint64_t hates;
	uint64_t view_changes; /* begun */
	uint64_t new_views;    /* entered */
	uint64_t confirms;
	uint64_t rollbacks;
	uint64_t rolled_back; /* slots */
	uint64_t statements;  /* signed */
	uint64_t commits;     /* certificates verified or made */
	uint64_t checkpoints; /* stable */
	uint64_t conflicts;   /* statements or orders that contradict earlier ones: faults */
	uint64_t refused;     /* ORDER-REQs with bad requests or of another history */
	uint64_t statuses;
	uint64_t resent;
	uint64_t fetches;
	uint64_t transfers;
};

struct zyzzyva {
	struct member me;
	uint64_t interval;   /* K */
	uint64_t window_log; /* L = 2K: how far may be accepted above the stable checkpoint */
	uint64_t slots_count;
	uint64_t tick_ns;

	bool active;	      /* in me.view; false: changing to it */
	bool silent;	      /* lost its memory: states nothing until `recovery` is stable */
	bool moving;	      /* the state is on its way: nothing is delivered */
	bool stranded;	      /* the state is none of this history: it must be fetched */
	uint64_t fetching;    /* the checkpoint that is fetched; 0: none */
	uint64_t active_view; /* whose history this is */
	uint64_t entry;	      /* STATEMENTs of this view are of this seq or later */
	uint64_t stable;      /* proven, and reached by this replica */
	uint8_t stable32[32]; /* h there */
	uint64_t top;
	uint64_t delivered;
	uint64_t executed;  /* reported by the executor, speculatively */
	uint64_t certified; /* a commit certificate covers so much of this history */
	uint64_t heard;	    /* the highest seq that the primary of this view signed */
	uint64_t proposed;  /* by this replica as primary of this view */
	uint64_t proposed_ns;
	uint64_t nulls_until; /* somebody recovers: the log is to get so far */
	uint64_t null_ns;

	/* Timers. */
	uint64_t progress_ns; /* when the lowest unaccepted seq became that */
	uint64_t full_ns;     /* when q VIEW-CHANGEs for the view were in; 0: not yet */
	uint64_t hole_ns;     /* when to ask for what is missing; TIME_NEVER: nothing is */
	uint32_t hole_tries;
	uint64_t tick_at_ns; /* TIME_NEVER: all is quiet */
	uint64_t tick;
	uint32_t quiet; /* ticks without news */
	bool stirred;	/* there was some */
	bool hating;
	struct order_copy pom[2]; /* why we left the view of their headers, if we did */
	uint64_t hates_due;	  /* whose HATEs have to be passed on, mask */
	uint64_t tick_executed;
	uint32_t backoff;
	uint32_t view_batches;

	/* Work left over for the next step. */
	uint64_t answers; /* peers that are owed something, mask */
	bool change_due;
	bool new_view_due;
	bool status_due;
	bool walk_due; /* the pending history may go on */

	/* View changes. */
	uint64_t nonce;
	uint64_t recovery;		      /* 0: not known yet */
	struct change now[BFT_REPLICAS_MAX];  /* for me.view */
	struct change next[BFT_REPLICAS_MAX]; /* for the highest view above it */
	struct {
		uint64_t view; /* 0: none */
		struct message_header *message;
	} offered;	 /* the NEW-VIEW of a view that is not begun yet */
	uint64_t wanted; /* what it names and we lack, mask */
	bool decided;	 /* it led to `pending` */
	struct pending pending;
	struct commit_certificate held; /* of active_view, the highest */
	uint32_t changes_size;
	uint32_t new_view_size;

	/* Checkpoints. */
	struct stable_certificate stable_proof;		      /* of `stable` */
	struct stable_certificate stable_seen;		      /* perhaps ahead */
	struct stable_certificate fetch_proof;		      /* of what is fetched */
	struct checkpoint_vote own[ZYZZYVA_CHECKPOINTS_KEPT]; /* taken; signers 0: not voted yet */
	struct checkpoint_vote votes[BFT_REPLICAS_MAX][ZYZZYVA_CHECKPOINTS_KEPT];

	/* Clients who wait for a STATEMENT, a ring. */
	uint32_t asks_first;
	uint32_t asks_count;
	uint16_t *asks;
	struct told *told; /* of all slots of the cluster */

	struct replica_figures figures;
	struct requests requests;
	struct peer peers[BFT_REPLICAS_MAX];
	struct slot *slots;
	struct statement *statements; /* slot * n + replica */
	uint8_t *bodies;	      /* slots_count * ZYZZYVA_BANKS * body_size_max */
	uint32_t body_size_max;
};

/* ---- who is who ----------------------------------------------------------- */

static inline uint16_t
replica_primary(const struct zyzzyva *r, uint64_t view)
{
	return bft_primary(&r->me.config, 0, view);
}

static inline bool
replica_leads(const struct zyzzyva *r)
{
	return replica_primary(r, r->me.view) == r->me.config.self;
}

/* Who proposes what clients ask for: 0 while the view is changing. */
static inline uint64_t
replica_orderer(const struct zyzzyva *r)
{
	return r->active ? replica_bit(replica_primary(r, r->me.view)) : 0;
}

/* May this replica say what its history is? */
static inline bool
replica_speaks(const struct zyzzyva *r)
{
	return r->active && !r->silent && !r->stranded;
}

/* ---- the log -------------------------------------------------------------- */

static inline bool
ledger_holds(const struct zyzzyva *r, uint64_t seq)
{
	return seq >= r->stable && seq - r->stable < r->slots_count;
}

/* The slot of `seq` (log_holds), emptied if another's was there. */
struct slot *ledger_slot(struct zyzzyva *r, uint64_t seq);

/* The slot if anything is known of seq, else NULL. */
static inline struct slot *
ledger_find(const struct zyzzyva *r, uint64_t seq)
{
	struct slot *s = &r->slots[seq % r->slots_count];
	return s->used && s->seq == seq && ledger_holds(r, seq) ? s : NULL;
}

static inline struct statement *
ledger_statement(const struct zyzzyva *r, const struct slot *s, uint32_t replica)
{
	return &r->statements[(size_t)(s - r->slots) * r->me.config.replicas_count + replica];
}

/* h of seq in the present history, or NULL where it is not known. */
static inline const uint8_t *
history_at(const struct zyzzyva *r, uint64_t seq)
{
	if (seq == r->stable)
		return r->stable32;
	if (seq < r->stable || seq > r->top)
		return NULL;
	return r->slots[seq % r->slots_count].history32;
}

static inline bool
history_is(const struct zyzzyva *r, uint64_t seq, const uint8_t *history32)
{
	const uint8_t *own = history_at(r, seq);
	return own != NULL && digest_equal(own, history32);
}

/* The primary of this view has ordered seq: what lies below it is waited for, from now on. */
static inline void
replica_hear(struct zyzzyva *r, uint64_t seq)
{
	if (r->heard <= r->top)
		r->progress_ns = r->me.now_ns;
	if (seq > r->heard)
		r->heard = seq;
}

/* Is it the ORDER-REQ of this view? */
static inline bool
slot_is_ordered(const struct zyzzyva *r, const struct slot *s)
{
	return s != NULL && s->ordered && s->order.header.view == r->me.view;
}

/* The body with this digest, or NULL. */
struct bank *ledger_bank(const struct slot *s, const uint8_t *digest32);
uint8_t *ledger_bytes(const struct zyzzyva *r, const struct slot *s, const struct bank *bank);
/* Keeps a copy. False: all places hold bodies that may still be needed. */
bool ledger_store(struct zyzzyva *r, struct slot *s, const struct message *m);

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

/* ---- blame.c -------------------------------------------------------------- */

/* Something is missing at top + 1: asks the primary for it, later everybody. */
void hole_note(struct zyzzyva *r);
void hole_ask(struct zyzzyva *r, struct outbox *out);
enum verdict hole_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
void hole_on_message(struct zyzzyva *r, const struct message *m);
enum verdict witness_screen(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void witness_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* Shows others the ORDER-REQ of a request that a client still asks for. */
void witness_send(struct zyzzyva *r, uint64_t seq, struct outbox *out);
enum verdict pom_screen(const struct zyzzyva *r, const struct message *m, struct claims *claims);
void pom_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* Where that is why this replica left the view before: says so again. */
void pom_repeat(const struct zyzzyva *r, struct outbox *out);
/* Two of the primary's signatures of this view that contradict each other. */
void pom_found(
    struct zyzzyva *r, const struct order_copy *a, const struct order_copy *b, struct outbox *out);

/* ---- speculate.c ------------------------------------------------------------ */

void speculate_deliver(struct zyzzyva *r, struct outbox *out);
bool speculate_ready(const struct zyzzyva *r);
void speculate_on_executed(struct zyzzyva *r, const struct executed *e, struct outbox *out);
void speculate_on_state(struct zyzzyva *r, const struct moved *moved, struct outbox *out);
/* The history above `fork` is another now: what was executed of it is undone. */
void speculate_undo(struct zyzzyva *r, uint64_t fork, struct outbox *out);
void speculate_on_request(struct zyzzyva *r, const struct message *m, struct outbox *out);

/* ---- statement.c ---------------------------------------------------------- */

enum verdict statement_screen(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void statement_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
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

/* ---- stability.c --------------------------------------------------------- */

enum verdict stability_screen(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void stability_on_message(struct zyzzyva *r, const struct message *m, struct outbox *out);
enum verdict stability_screen_stable(
    const struct zyzzyva *r, const struct message *m, struct claims *claims);
void stability_on_stable(struct zyzzyva *r, const struct message *m, struct outbox *out);
/* The executor has taken one. */
void stability_taken(struct zyzzyva *r, uint64_t seq, const uint8_t *state32, struct outbox *out);
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

/* ---- leave.c, enter.c ----------------------------------------------- */

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

void rejoin_on_status(struct zyzzyva *r, uint16_t peer, const struct status_body *b);
void rejoin_check(struct zyzzyva *r, struct outbox *out);

#endif
