/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a PBFT replica and what its phases share. Each phase has a file:
 * order.c (batches, from proposed to committed), execute.c (delivery),
 * checkpoint.c, view_change.c with decide.c, status.c (repair), recover.c; what
 * is known of requests and clients, and which checkpoints are stable, is in
 * bft/. One machine owns all of it; nothing here is allocated after init.
 *
 * Sequence numbers from `base` + 1 to base + 3K have a place in the log: those
 * up to h + 2K may be voted on, the K beyond are held until the own checkpoint
 * is stable too.
 */
#ifndef OSKR_PROTOCOLS_PBFT_REPLICA_H
#define OSKR_PROTOCOLS_PBFT_REPLICA_H

#include "protocols/bft/checkpoints.h"
#include "protocols/bft/replies.h"
#include "protocols/pbft/decide.h"
#include "protocols/pbft/mutant.h"
#include "protocols/pbft/pbft.h"

enum {
	PBFT_BANKS = 2, /* batches that a slot keeps: the prepared and a newer one */
	PBFT_Q_MAX = 4, /* digests pre-prepared at a slot that are remembered */
	PBFT_SENDS_PER_STEP = 24,
	PBFT_DELIVERIES_PER_STEP = 16,
	PBFT_DELIVER_MAX = 4,	     /* of them, batches at a time */
	PBFT_UNLOOPED_MAX = 4,	     /* proposals on their way back to the primary itself */
	PBFT_TICKS_PER_TIMEOUT = 16, /* STATUS messages while nothing moves */
	PBFT_TICKS_LEAST = 4,	     /* in the shortest timeout, however slow messages are */
	PBFT_TICK_HOPS = 2,	     /* commit phases in a tick, at least */
	PBFT_TICKS_EACH = 4,	     /* ticks without a move before they become half as many */
	PBFT_TICKS_IDLE = 8,	     /* ticks between two STATUS messages without need */
	PBFT_BACKOFF_BATCHES = 8,    /* executed in a view before its timeout is halved */
	PBFT_BACKOFF_MAX = 6,	     /* doublings of the view's timeout */
	PBFT_TIMEOUT_HOPS = 16,	     /* it is halved to no less than so many commit phases */
};

/* Only told that it is committed, not when: as low as can be where it matters (P). */
#define VIEW_UNKNOWN UINT64_MAX

/* The last is no vote but a statement: it is committed, in whatever view. */
enum phase { PHASE_PREPARE, PHASE_COMMIT, PHASE_DECIDED, PHASES_COUNT };

/* What a replica said of a slot, in the highest view in which it said something. */
struct vote {
	uint64_t view;
	uint8_t digest32[32];
	bool present;
};

/* A digest and the view it was seen in: an entry of P or Q. */
struct seen {
	uint64_t view;
	uint8_t digest32[32];
};

struct bank {
	uint8_t digest32[32];
	uint32_t size;
	bool full;
};

/* One sequence number. */
struct slot {
	uint64_t seq; /* 0: never used */

	/* In this view. */
	bool accepted; /* a pre-prepare, or a choice of the new view */
	bool vouched;  /* its requests are authentic, as far as we or f others can tell */
	bool prepare_sent;
	bool commit_sent;
	bool prepared;
	/* For good. */
	bool committed; /* final32 is the batch of this sequence number */
	bool has_p;
	bool wanted; /* a new view that is being made needs the batch of wanted32 */
	uint8_t q_count;
	uint64_t view;	   /* of the acceptance */
	uint64_t prepares; /* who has voted for (view, digest), masks */
	uint64_t commits;
	uint64_t accepted_ns;
	uint64_t prepared_ns;
	uint64_t fetched_ns; /* when its batch was asked for last */
	uint32_t fetches;
	uint8_t digest32[32];
	uint64_t final_view; /* in which it was committed, as far as we know: VIEW_UNKNOWN */
	uint8_t final32[32];
	uint8_t wanted32[32];
	struct seen p;
	struct seen q[PBFT_Q_MAX];
	struct bank banks[PBFT_BANKS];
};

/* Body of STATUS. */
struct status_body {
	uint64_t stable;    /* h */
	uint64_t executed;  /* and committed: all up to here */
	uint64_t prepared;  /* highest sequence number with a prepared batch */
	uint64_t active;    /* 1: in the view of the header; 0: changing to it */
	uint64_t changes;   /* VIEW-CHANGEs for that view that it holds, mask */
	uint64_t wanted;    /* VIEW-CHANGEs that a NEW-VIEW names and it lacks, mask */
	uint64_t bodies;    /* bit i: it has the batch of executed + 1 + i */
	uint64_t ready;	    /* bit i: executed + 1 + i is prepared there */
	uint64_t nonce;	    /* of its recovery; 0: it is not recovering */
	uint64_t echo;	    /* the nonce of the replica that this answers */
	uint64_t recovery;  /* it is silent until this is stable; 0: not, or not known yet */
	uint64_t your_view; /* the highest view that the receiver of an answer asked for here */
};
static_assert(sizeof(struct status_body) == 96, "no padding");

/* What we know and owe of another replica. */
struct peer {
	struct status_body status; /* the last, of `status_view` */
	uint64_t status_view;
	uint64_t answered_ns;
	uint64_t answer_seq; /* next slot of the answer under way; 0: none */
	uint64_t answer_end;
	uint64_t answer_changes; /* VIEW-CHANGEs still to be relayed, mask */
	bool answer_view;	 /* the NEW-VIEW, too */
	bool answer_status;	 /* a STATUS back: it is recovering */
	bool answer_stable;
	bool estimated;	  /* recovering: it has answered */
	uint32_t batches; /* sent to it in this tick */
	struct status_body estimate;
	uint64_t estimate_view;
};

/* A VIEW-CHANGE, whole, in memory of its own. */
struct change {
	uint64_t view;			/* 0: none */
	struct message_header *message; /* changes_size bytes */
};

struct replica_figures {
	uint64_t view;
	uint64_t stable;
	uint64_t executed;
	uint64_t view_changes; /* begun */
	uint64_t new_views;    /* entered */
	uint64_t conflicts;    /* votes or proposals that contradict earlier ones: faults */
	uint64_t refused;      /* proposals with bad requests */
	uint64_t adopted;      /* proposals that others told of */
	uint64_t new_views_refused;
	uint64_t statuses;
	uint64_t resent;
	uint64_t fetches;
	uint64_t batches_served;
	uint64_t rollbacks;
	uint64_t prepare_ns; /* running means */
	uint64_t commit_ns;
	uint64_t execute_ns;
};

struct pbft {
	struct member me;
	uint64_t interval;   /* K */
	uint64_t window_log; /* L = 2K: sequence numbers above h that may be voted on */
	uint64_t slots_count;
	uint64_t tick_ns;

	bool active;	     /* in me.view; false: changing to it */
	bool silent;	     /* lost its memory: votes for nothing until `recovery` is stable */
	bool undoing;	     /* the state moves back, before a tentative batch */
	bool diverged;	     /* a batch that could not be undone: this state is nobody's */
	uint64_t view_floor; /* votes in no view below */
	uint64_t executed;   /* reported by the executor */
	uint64_t delivered;
	uint64_t committed; /* all up to here are */
	uint64_t reached;   /* the highest ever delivered: clients may have been told of it */
	uint64_t fetched; /* up to here by a sibling's state, which no checkpoint of ours proves */
	struct {
		uint64_t seq; /* delivered before it was committed; 0: none is */
		uint8_t digest32[32];
	} tentative;
	uint64_t highest; /* sequence number with a batch: it is waited for */
	uint64_t heard;	  /* the same with a vote: perhaps a liar's */
	uint64_t prepared_max;
	uint64_t proposed;     /* by this replica as primary of this view */
	uint64_t accepted_max; /* of own proposals, come back */
	uint64_t frontier;     /* up to here a sibling instance has delivered: so must we */
	uint64_t nulls_until;  /* somebody recovers: the log is to get so far */
	uint64_t null_ns;      /* when the next empty batch may be proposed */

	/* Timers. */
	uint64_t progress_ns; /* when the lowest unexecuted slot became that */
	uint64_t executed_ns; /* when a batch was executed last */
	uint64_t full_ns;     /* when q VIEW-CHANGEs for `view` were in; 0: not yet */
	uint64_t tick_at_ns;
	uint64_t tick;
	uint64_t tick_mark;	/* a sum of what grows when something moves, at the last tick */
	uint64_t tick_executed; /* `executed` at the last tick */
	uint64_t tick_committed;
	uint32_t tick_quiet; /* ticks in a row at which nothing had moved */
	uint32_t backoff;
	uint32_t view_batches; /* executed of those that this view accepted */

	/* Work left over for the next step. */
	uint64_t reprepare_next; /* slots of the new view yet to be prepared; 0: none */
	uint64_t reprepare_end;
	uint64_t held_next; /* slots that a moved window lets in; 0: none */
	uint64_t answers;   /* peers that are owed something, mask */
	bool change_due;
	bool new_view_due;
	bool new_view_late; /* cannot be decided or made yet */
	bool status_due;

	/* View changes. */
	uint64_t nonce;
	uint64_t recovery; /* 0: not known yet */
	struct new_view_raw {
		uint64_t view; /* 0: none */
		struct message_header *message;
	} entered, offered; /* the one that made this view, and one that lacks VIEW-CHANGEs */
	uint64_t wanted;    /* what `offered` lacks, mask */
	struct change now[BFT_REPLICAS_MAX];  /* for `view` */
	struct change next[BFT_REPLICAS_MAX]; /* for a view above it: see next_place() */
	uint64_t asked[BFT_REPLICAS_MAX];     /* the highest view that each has ever asked for */
	uint64_t asked_max;		      /* of the others' */
	struct decision decision;	      /* scratch */
	struct decision check_decision;
	uint32_t changes_size;
	uint32_t new_view_size;

	/* A primary much slower than its predecessors. */
	uint64_t watch_ns;
	uint64_t watch_executed;
	uint64_t watch_rate;	 /* operations a second of this view, best so far */
	uint64_t watch_rates[4]; /* of the views before */
	uint64_t operations;

	uint64_t culprits; /* who has contradicted itself, mask */
	struct replica_figures figures;
	struct requests requests;
	struct checkpoints checkpoints;
	struct peer peers[BFT_REPLICAS_MAX];
	struct slot *slots;
	struct vote *votes; /* (slot * PHASES_COUNT + phase) * n + replica */
	uint8_t *bodies;    /* slots_count * PBFT_BANKS * batch_size_max */
};

/* ---- who is who ----------------------------------------------------------- */

static inline uint16_t
replica_primary(const struct pbft *r, uint64_t view)
{
	return bft_primary(&r->me.config, r->me.config.instance, view);
}

static inline bool
replica_leads(const struct pbft *r)
{
	return replica_primary(r, r->me.view) == r->me.config.self;
}

/* Who proposes what clients ask for: 0 while the view is changing. */
static inline uint64_t
replica_orderer(const struct pbft *r)
{
	return r->active ? replica_bit(replica_primary(r, r->me.view)) : 0;
}

/* May this replica vote? One that lost its memory could contradict itself. */
static inline bool
replica_votes(const struct pbft *r)
{
	return !r->silent && r->me.view >= r->view_floor;
}

/* ---- the log -------------------------------------------------------------- */

/* No sequence number at or below has a place any more. */
static inline uint64_t
log_base(const struct pbft *r)
{
	uint64_t base = r->checkpoints.stable > r->fetched ? r->checkpoints.stable : r->fetched;
	return base < r->executed ? base : r->executed;
}

/* "between a low water mark, h, and a high water mark, H" (OSDI'99, 4.2), and K more to hold. */
static inline bool
log_holds(const struct pbft *r, uint64_t seq)
{
	uint64_t base = log_base(r);
	return seq > base && seq - base <= r->slots_count;
}

static inline bool
log_votable(const struct pbft *r, uint64_t seq)
{
	return seq > r->checkpoints.stable && seq - r->checkpoints.stable <= r->window_log;
}

/* The slot of `seq` (log_holds), emptied if another's was there. */
struct slot *log_slot(struct pbft *r, uint64_t seq);

/* The slot if anything is known of seq, else NULL. */
static inline struct slot *
log_find(struct pbft *r, uint64_t seq)
{
	struct slot *s = &r->slots[seq % r->slots_count];
	return seq != 0 && s->seq == seq ? s : NULL;
}

static inline struct vote *
log_vote(struct pbft *r, const struct slot *s, enum phase phase, uint32_t replica)
{
	size_t place = (size_t)(s - r->slots) * PHASES_COUNT + (size_t)phase;
	return &r->votes[place * r->me.config.replicas_count + replica];
}

/* The bytes of the batch with this digest, or NULL; the null batch has no bytes and is there. */
const uint8_t *log_body(
    const struct pbft *r, const struct slot *s, const uint8_t *digest32, uint32_t *size);
bool log_has_body(const struct slot *s, const uint8_t *digest32);
/* Keeps a copy. False: all places hold batches that may still be needed. */
bool log_store_body(
    struct pbft *r, struct slot *s, const uint8_t *digest32, const struct message *m);
void log_forget_view(struct pbft *r);

/* ---- order.c -------------------------------------------------------------- */

enum verdict order_screen_pre_prepare(
    const struct pbft *r, const struct message *m, struct claims *claims);
enum verdict order_screen_vote(
    const struct pbft *r, const struct message *m, struct claims *claims);
void order_on_pre_prepare(struct pbft *r, const struct event *event, struct outbox *out);
void order_on_decided(struct pbft *r, const struct message *m, struct outbox *out);
void order_on_vote(struct pbft *r, const struct message *m, struct outbox *out);
/* When a batch can be proposed: 0 now, TIME_NEVER not as things stand. */
uint64_t order_deadline(const struct pbft *r);
/* Accepts what others have prepared and the primary did not tell us of; order_advance() is due. */
void order_adopt(struct pbft *r);
/* The votes that came before the pre-prepare. */
void order_count_votes(struct pbft *r, struct slot *s);
/* `committed` goes as far as the slots above it are. */
void order_count_committed(struct pbft *r);
void order_propose(struct pbft *r, struct outbox *out);
/* Goes as far with the slot as votes and window allow. */
void order_advance(struct pbft *r, struct slot *s, struct outbox *out);
void order_send_pre_prepare(struct pbft *r, const struct slot *s, uint64_t to, struct outbox *out);
/* After a view change: requests that no batch of the new view holds are proposed again. */
void order_requeue(struct pbft *r);

/* ---- execute.c ------------------------------------------------------------ */

void execute_deliver(struct pbft *r, struct outbox *out);
bool execute_ready(const struct pbft *r);
void execute_on_executed(struct pbft *r, const struct executed *e, struct outbox *out);
void execute_on_state(struct pbft *r, const struct moved *moved, struct outbox *out);
void execute_on_read(struct pbft *r, const struct message *m, struct outbox *out);
void execute_undo_tentative(struct pbft *r, struct outbox *out);
/* The own state is given up, for another one: what was tentative in it counts no more. */
void execute_abandon(struct pbft *r);
/* A slot is committed: what was executed of it tentatively stands, or is undone. */
void execute_confirm(struct pbft *r, const struct slot *s, struct outbox *out);

/* ---- checkpoint.c --------------------------------------------------------- */

void checkpoint_on_message(struct pbft *r, const struct message *m, struct outbox *out);
/* The executor has taken one. */
void checkpoint_taken(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out);
/* Votes for what has been reached and is committed. */
void checkpoint_vote(struct pbft *r, struct outbox *out);
/* (seq, digest) is proven: by q votes, or by a new view. */
void checkpoint_proven(struct pbft *r, uint64_t seq, const uint8_t *digest32, struct outbox *out);
/* One that the own execution has not come up to is known. */
bool checkpoint_is_ahead(const struct pbft *r);
/* Fetches the state where the log alone leads nowhere. */
void checkpoint_catch_up(struct pbft *r, struct outbox *out);
void checkpoint_settle(struct pbft *r, struct outbox *out);

/* ---- view_change.c -------------------------------------------------------- */

uint32_t view_change_size_max(const struct protocol_config *config);
uint32_t view_change_new_view_size_max(const struct protocol_config *config);
enum verdict view_change_screen(
    const struct pbft *r, const struct message *m, struct claims *claims);
enum verdict view_change_screen_new_view(
    const struct pbft *r, const struct message *m, struct claims *claims);
void view_change_on_message(struct pbft *r, const struct message *m, struct outbox *out);
void view_change_on_new_view(struct pbft *r, const struct message *m, struct outbox *out);
/* Leaves the view for a higher one. */
void view_change_begin(struct pbft *r, uint64_t view, const char *cause, struct outbox *out);
void view_change_send(struct pbft *r, struct outbox *out);
void view_change_new_view(struct pbft *r, struct outbox *out);
uint64_t view_change_deadline(const struct pbft *r);
void view_change_on_timer(struct pbft *r, struct outbox *out);
uint64_t view_change_held(const struct pbft *r); /* VIEW-CHANGEs for `view`, mask */
/* Something is unexecuted and somebody should do something about it. */
bool view_change_waits(const struct pbft *r);
/* Sibling instances have delivered up to there. */
void view_change_on_frontier(struct pbft *r, uint64_t frontier);

/* ---- status.c, recover.c -------------------------------------------------- */

enum verdict status_screen(const struct pbft *r, const struct message *m, struct claims *claims);
enum verdict status_screen_fetch(
    const struct pbft *r, const struct message *m, struct claims *claims);
enum verdict status_screen_batch(
    const struct pbft *r, const struct message *m, struct claims *claims);
void status_on_message(struct pbft *r, const struct message *m, struct outbox *out);
void status_on_fetch(struct pbft *r, const struct message *m, struct outbox *out);
void status_on_batch(struct pbft *r, const struct message *m, struct outbox *out);
void status_send(struct pbft *r, uint64_t to, uint64_t echo, struct outbox *out);
void status_tick(struct pbft *r, struct outbox *out);
void status_answer(struct pbft *r, struct outbox *out);
/* The slot's batch is needed and not here: asks somebody, now and then. */
void status_fetch(struct pbft *r, struct slot *s, struct outbox *out);
/* The digest whose batch the slot needs, or NULL. */
const uint8_t *status_missing(const struct slot *s);

void recover_on_status(struct pbft *r, uint16_t peer, const struct message *m);
void recover_check(struct pbft *r, struct outbox *out);

#endif
