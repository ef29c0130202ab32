/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a Zyzzyva replica. Each phase has a file (phases.h): ledger.c (the
 * log), order.c (batches, from proposed to accepted), cover.c (the primary's
 * signature of them, doubts), blame.c (holes, witnesses, proofs of misbehaviour),
 * speculate.c (speculation, replies), statement.c (commit certificates), commit.c
 * (commits among replicas),
 * stability.c, hate.c (why a view is left), leave.c with decide.c, enter.c (the new
 * view's history), repair.c, rejoin.c; what is known of requests and clients is in
 * bft/. One machine owns all of it; nothing is allocated after init.
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
	ZYZZYVA_HOLE_TRIES = 2,	     /* FILL-HOLEs after which a certificate is asked for instead */
	ZYZZYVA_TRIES_AT_ONCE = 4,   /* in vain, before it is tried less often ... */
	ZYZZYVA_TRIES_DOUBLINGS = 3, /* ... and less: how often that is halved */
	ZYZZYVA_ANSWERS_PER_STEP = 8,  /* to clients who ASK */
	ZYZZYVA_COMMITS_PER_STEP = 16, /* LOCAL-COMMITs that nobody has to ask for */
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
	bool ordered; /* `order` is the primary's ORDER-REQ of order.view */
	bool vouched; /* its requests are authentic, as far as we or f others can tell */
	bool refused; /* its predecessor is not ours */
	bool stating; /* the own STATEMENT is on its way, for `askers`, too */
	bool asked;   /* a replica wants the own STATEMENT when there is one */
	uint32_t fetches;
	uint64_t fetched_ns;
	uint64_t stating_ns;
	uint8_t history32[32];	     /* where seq <= top */
	uint8_t chain32[32];	     /* of the history that a view begins with (struct pending) */
	struct message_header order; /* its proof: ledger_proof() */
	struct bank banks[ZYZZYVA_BANKS];
};

/* A replica's vote for a checkpoint, with its signature; `head.signers`: its bit, 0: none. */
struct checkpoint_vote {
	struct stable_head head;
	uint64_t view; /* in which it was sent */
	uint8_t signature64[SIGNATURE_SIZE];
};

/* What one replica was sent for its asking, in a tick that began at since_ns. */
struct ration {
	uint64_t since_ns;
	uint32_t count;
};

/* What we know and owe of another replica. */
struct peer {
	struct status_body status; /* the last, of `status_view` */
	uint64_t status_view;
	uint64_t answered_ns;
	uint64_t answer_seq; /* next slot of the answer under way; 0: none */
	uint64_t answer_end;
	uint64_t hole_end; /* what FILL-HOLEs have brought it since hole_ns lies below */
	uint64_t hole_ns;
	uint64_t answer_changes; /* VIEW-CHANGEs still to be relayed, mask */
	bool answer_view;	 /* the NEW-VIEW, too */
	bool answer_certificate;
	bool answer_status; /* a STATUS back: it is recovering */
	bool answer_stable;
	bool estimated; /* recovering: it has answered */
	struct status_body estimate;
	struct ration bodies;
	struct ration vouches;
	struct ration holes; /* slots */
	uint64_t hated;	     /* 1 + the last view whose primary it hated */
	uint64_t hated_ns;
	struct signed_copy hate; /* the HATE of that view, as it signed it */
};

/* A VIEW-CHANGE, whole, in memory of its own. */
struct change {
	uint64_t view;			/* 0: none */
	struct message_header *message; /* changes_size bytes */
};

/*
 * The history that a view begins with, on its way: walked down from its top,
 * body by body, until it meets ours at `at`. Within a view: one that q replicas
 * have, and we lack, or have otherwise.
 */
struct pending {
	bool present;
	bool linked;	/* it met ours: all bodies are here */
	bool certified; /* `proof` has it; else q STATEMENTs have to come */
	uint64_t view;
	uint64_t top;
	uint8_t top32[32];
	uint64_t at; /* chain32 is known above; h wanted at `at` is at32 */
	uint8_t at32[32];
	struct commit_certificate proof;
};

/* The last VIEW-CONFIRM, which is a replica's first STATEMENT of a view, and its only one of it. */
struct confirm {
	uint64_t view; /* 0: none */
	uint64_t seq;
	uint8_t history32[32];
};

/* In place of a seq from which on STATEMENTs are made: none are. */
#define ENTRY_NEVER UINT64_MAX

/* What a client slot was told last. */
struct told {
	uint64_t timestamp; /* of the last request executed here */
	uint64_t seq;	    /* where; timestamp 0: at or below seq */
	uint64_t asked;	    /* seq that it asks a STATEMENT of; 0: nothing */
	uint64_t asked_timestamp;
	uint64_t wanted; /* seq that a LOCAL-COMMIT is due of, once it is certified; 0: none */
	uint64_t wanted_timestamp;
	uint64_t promised; /* operations of which LOCAL-COMMITs are sent without an ASK */
};

struct replica_figures {
	uint64_t view;
	uint64_t stable;
	uint64_t executed;
	uint64_t committed;
	uint64_t fill_holes;
	uint64_t covers; /* STATEMENTs of the own history, as primary */
	uint64_t doubts;
	uint64_t witnesses;
	uint64_t betrayals;
	uint64_t forks; /* histories given up for another that is certified, in one view */
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
	uint64_t votes;	      /* for them, signed */
	uint64_t helps;	      /* of this replica as a spare, where one was late */
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
	uint64_t entry;	      /* STATEMENTs of this view are of this seq or later; ENTRY_NEVER */
	uint64_t stable;      /* proven, and reached by this replica */
	uint8_t stable32[32]; /* h there */
	uint64_t top;
	uint64_t delivered;
	uint64_t executed;    /* reported by the executor, speculatively */
	uint64_t certified;   /* a commit certificate covers so much of this history */
	uint64_t heard;	      /* the highest seq that the primary of this view ordered */
	uint64_t covered;     /* the primary has signed this history so far, or q have */
	uint64_t proposed;    /* by this replica as primary of this view */
	uint64_t nulls_until; /* somebody recovers: the log is to get so far */
	uint64_t null_ns;

	/* Timers. */
	uint64_t progress_ns;  /* when the lowest unaccepted seq became that */
	uint64_t full_ns;      /* when q VIEW-CHANGEs for the view were in; 0: not yet */
	uint64_t uncovered_ns; /* since when there has been more */
	uint64_t doubt;	       /* a client does not believe in this seq; settled: <= certified */
	uint64_t doubt_ns;     /* when that began */
	uint32_t doubt_tries;  /* ticks since then */
	uint64_t wanted_ns;    /* when a client last wanted commits of replicas; 0: never */
	uint64_t late_ns;      /* when the certificate that clients wait for is late */
	uint32_t late_tries;   /* since one was made */
	uint32_t hate_tries;   /* since it is hating */
	uint64_t hole_ns;      /* when to ask for what is missing; TIME_NEVER: nothing is */
	uint32_t hole_tries;
	uint64_t tick_at_ns; /* TIME_NEVER: all is quiet */
	uint64_t tick;
	uint32_t quiet; /* ticks without news */
	bool stirred;	/* there was some */
	bool hating;
	bool betrayed; /* the primary of this view has told others something else than us */
	struct signed_copy pom[2]; /* why we left the view of their headers, if we did */
	uint64_t hates_due;	   /* whose HATEs have to be passed on, mask */
	uint64_t tick_executed;
	uint32_t backoff;
	uint32_t view_batches;

	/* Work left over for the next step. */
	uint64_t answers; /* peers that are owed something, mask */
	bool change_due;
	bool new_view_due;
	bool status_due;
	uint64_t statement_due; /* a checkpoint that this replica is to state; 0: none */
	bool walk_due;		/* the pending history may go on */

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
	struct confirm confirm;
	struct commit_certificate held; /* of active_view, the highest */
	uint32_t changes_size;
	uint32_t new_view_size;

	/* Checkpoints. */
	struct stable_certificate stable_proof;		      /* of `stable` */
	struct stable_certificate stable_seen;		      /* perhaps ahead */
	struct stable_certificate fetch_proof;		      /* of what is fetched */
	struct checkpoint_vote own[ZYZZYVA_CHECKPOINTS_KEPT]; /* taken; signers 0: not voted yet */
	struct checkpoint_vote votes[BFT_REPLICAS_MAX][ZYZZYVA_CHECKPOINTS_KEPT];

	uint64_t spared;    /* the last checkpoint at which this replica was spare; 0: none */
	uint64_t spared_ns; /* since when one of those might have become stable */
	uint32_t helps;	    /* the next checkpoints have no spares */

	/* Clients who wait for a STATEMENT, a ring. */
	uint32_t asks_first;
	uint32_t asks_count;
	uint16_t *asks;
	/* Clients who were promised a LOCAL-COMMIT, a ring in the order of execution. */
	uint32_t commits_first;
	uint32_t commits_count;
	uint16_t *commits;
	uint32_t crowd;	       /* so many of them waited for a certificate at a time, lately */
	uint64_t cover_ns;     /* when the own last STATEMENT for them was made, as primary */
	uint64_t pause_end_ns; /* when they have waited for company for long enough */
	uint64_t echo;	       /* seq of the primary's STATEMENT that is to be joined; 0: none */
	struct told *told;     /* of all slots of the cluster */

	struct replica_figures figures;
	struct requests requests;
	struct peer peers[BFT_REPLICAS_MAX];
	struct slot *slots;
	struct statement *statements; /* slot * n + replica */
	uint8_t *proofs;	      /* of `order`: slots_count * proof_size */
	uint32_t proof_size;
	uint8_t *bodies; /* slots_count * ZYZZYVA_BANKS * body_size_max */
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

/* When to try again what has been tried so often in vain. */
static inline uint64_t
patience_ns(uint64_t first_ns, uint32_t tries)
{
	uint32_t doublings = tries / ZYZZYVA_TRIES_AT_ONCE;
	return first_ns << (doublings < ZYZZYVA_TRIES_DOUBLINGS ? doublings
								: ZYZZYVA_TRIES_DOUBLINGS);
}

/* Is it tried in this tick, too? Others remember for four times as long. */
static inline bool
is_turn(uint32_t tries)
{
	return tries < ZYZZYVA_TRIES_AT_ONCE || tries % ZYZZYVA_TRIES_AT_ONCE == 0;
}

/* How much more of it there may be in this tick: who floods gains nothing. */
static inline uint32_t
ration_left(const struct zyzzyva *r, struct ration *ration, uint32_t most)
{
	if (r->me.now_ns - ration->since_ns >= r->tick_ns)
		*ration = (struct ration){.since_ns = r->me.now_ns};
	return ration->count < most ? most - ration->count : 0;
}

static inline bool
ration_take(const struct zyzzyva *r, struct ration *ration, uint32_t most)
{
	if (ration_left(r, ration, most) == 0)
		return false;
	ration->count++;
	return true;
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
	return s != NULL && s->ordered && s->order.view == r->me.view;
}

/* The proof of the slot's ORDER-REQ, proof_size bytes. */
static inline uint8_t *
ledger_proof(const struct zyzzyva *r, const struct slot *s)
{
	return r->proofs + (size_t)(s - r->slots) * r->proof_size;
}

/* The body with this digest, or NULL. */
struct bank *ledger_bank(const struct slot *s, const uint8_t *digest32);
uint8_t *ledger_bytes(const struct zyzzyva *r, const struct slot *s, const struct bank *bank);
/* Keeps a copy. False: all places hold bodies that may still be needed. */
bool ledger_store(struct zyzzyva *r, struct slot *s, const struct message *m);
size_t ledger_size(const struct protocol_config *config);
uint32_t ledger_message_max(const struct protocol_config *config);
uint32_t ledger_claims_max(const struct protocol_config *config);
/* Divides the machine's memory; me.config is set. */
void ledger_init(struct zyzzyva *r);

#endif
