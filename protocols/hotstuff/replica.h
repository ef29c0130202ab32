/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a HotStuff replica and what its phases share. Each phase has a
 * file: propose.c (requests to blocks, blocks that come in), vote.c (votes to
 * QCs), chain.c (what QCs mean: lock, commit, which branch is ours), pacemaker.c
 * (views, timeouts), apply.c (delivery, replies), sync.c (repair), recover.c.
 * One machine owns all of it; nothing here is allocated after init.
 *
 * What is known of views follows from two certificates, the highest QC and the
 * highest TC: the view is the one after either. So views move by proof alone.
 *
 * Heights: `stable` <= executed <= delivered <= committed. With siblings, committed
 * blocks at the end that are empty may wait undelivered (apply.c). A leader proposes
 * requests up to stable + 2K; beyond that only empty blocks, `reserve` of them, so
 * that a long time without three good views in a row does not end all progress.
 */
#ifndef OSKR_PROTOCOLS_HOTSTUFF_REPLICA_H
#define OSKR_PROTOCOLS_HOTSTUFF_REPLICA_H

#include "protocols/bft/checkpoints.h"
#include "protocols/bft/replies.h"
#include "protocols/bft/requests.h"
#include "protocols/hotstuff/block.h"
#include "protocols/hotstuff/mutant.h"

enum {
	HOTSTUFF_SENDS_PER_STEP = 32,
	HOTSTUFF_DELIVERIES_PER_STEP = 24,
	HOTSTUFF_DELIVER_MAX = 4,	 /* of them, batches */
	HOTSTUFF_WANTS_MAX = 4,		 /* blocks asked for at a time */
	HOTSTUFF_FIRSTS = 64,		 /* views of which the first proposal is remembered */
	HOTSTUFF_TICKS_PER_TIMEOUT = 16, /* of a view, before it is doubled */
	HOTSTUFF_LEAD_PART = 4, /* of a tick: so long does who is ahead of siblings wait for them */
	HOTSTUFF_TICKS_IDLE = 8,      /* ticks until the first STATUS without need */
	HOTSTUFF_BACKOFF_MAX = 6,     /* doublings of a view's timeout */
	HOTSTUFF_EXPLAINED_MAX = 4,   /* failures between two commits that count as a client's */
	HOTSTUFF_BACKOFF_COMMITS = 2, /* commits until one doubling is given up */
	HOTSTUFF_RELAYS_MAX = 8,      /* requests handed on in one step */
	HOTSTUFF_COMPLAINTS_MAX = 16, /* that are heard of one replica, between two checkpoints */
	HOTSTUFF_COMPLAINED_MAX = 256,
};

/* The first proposal of a view. */
struct first {
	uint64_t view;
	uint8_t digest32[32];
};

/* A block that is needed and not here. A valid QC names it, so q replicas had it. */
struct want {
	uint64_t height; /* 0: nothing is wanted */
	uint64_t signers;
	uint32_t tries;
	uint8_t digest32[32];
};

/* What we owe another replica. */
struct peer {
	struct hotstuff_status status; /* the last that is answered */
	uint64_t status_view;
	uint64_t answered_ns;
	uint64_t serve_floor; /* heights of the blocks that it fetches: above this */
	uint32_t serve_left;  /* blocks; 0: none */
	uint32_t served;      /* in this tick */
	uint8_t serve32[32];  /* the next */
};

/* The last block that a spare replica keeps unproven. */
struct spare {
	uint64_t view; /* 0: none */
	uint64_t until_ns;
	uint64_t late;	 /* the last view that it voted in after all; 0: none */
	uint64_t needed; /* nobody waits in views up to here: such a vote made a QC lately */
	uint8_t digest32[32];
};

struct hotstuff_figures {
	uint64_t view;
	uint64_t high_view;
	uint64_t locked_view;
	uint64_t committed;
	uint64_t stable;
	uint64_t executed;
	uint64_t proposals;
	uint64_t empty_blocks; /* of them, without requests */
	uint64_t qcs;	       /* made of votes */
	uint64_t votes_late;   /* for what was certified already */
	uint64_t timeouts;     /* views given up */
	uint64_t tcs;	       /* made of TIMEOUTs */
	uint64_t forks_abandoned;
	uint64_t blocks_fetched;
	uint64_t blocks_served;
	uint64_t blocks_lost; /* without a place */
	uint64_t resent;
	uint64_t relayed;
	uint64_t conflicts;  /* votes or proposals that contradict earlier ones: faults */
	uint64_t violations; /* those, and of checkpoints */
	uint64_t spared;     /* blocks that were not proven when they came, and never had to be */
	uint64_t refused;    /* proposals that are not voted for because of their requests */
	uint64_t safety_faults;
	uint64_t propose_to_commit_ns; /* a running mean */
};

struct hotstuff {
	struct member me;
	struct requests requests;
	struct checkpoints checkpoints;
	struct tree tree;
	bool two_phase;	   /* HotStuff-2's rules: see chain.c */
	bool silent;	   /* lost its memory: asks, and says nothing else */
	bool broken;	   /* what is committed contradicts itself: delivers no more */
	uint64_t interval; /* K */
	uint64_t reserve;  /* heights for empty blocks above stable + 2K */
	uint64_t tick_ns;

	/* "Data structures" of the paper's figures 4 and 5. */
	uint64_t view;		 /* curView */
	uint64_t voted;		 /* the highest view voted in, or given up */
	uint8_t voted32[32];	 /* what was voted for last */
	uint64_t voted_ns;	 /* ... and when */
	struct qc_kept high;	 /* genericQC: the highest that is known */
	struct qc_head locked;	 /* lockedQC */
	struct tc_kept tc;	 /* the highest; view 0: none */
	struct qc_head decided;	 /* the highest block that is known to be committed */
	struct qc_kept deciding; /* the QC that showed it, if that was the highest then */
	bool untold;		 /* that is the highest QC, made here, and nobody else has it */
	uint64_t untold_spare;	 /* those to whom it has not been told, mask; and when it is: */
	uint64_t tell_spare_ns;

	/* The view. */
	uint64_t proposed;  /* the last view that this replica proposed in */
	uint64_t given_up;  /* the last view that it sent a TIMEOUT for */
	uint64_t candidate; /* the last view whose proposal is here, and that: */
	uint8_t candidate32[32];
	uint64_t suspects; /* replicas whose last view ended with a TC, mask */
	struct first firsts[HOTSTUFF_FIRSTS];
	struct vote votes[BFT_REPLICAS_MAX]; /* each replica's in its highest view */
	struct timeout timeouts[BFT_REPLICAS_MAX];
	struct spare spare;
	struct qc_kept made;	/* scratch */
	struct tc_kept made_tc; /* scratch */

	/* The chain. */
	uint64_t committed;
	uint64_t delivered;
	uint64_t executed;  /* reported by the executor */
	uint64_t asked;	    /* the highest committed block with requests: its height */
	bool root_known;    /* false: `committed` came with a state, without its block */
	uint8_t root32[32]; /* the block at `committed` */
	uint32_t *heights;  /* at height mod places_count: 1 + the place of the committed block */
	uint8_t tip32[32];  /* the end of the branch whose requests count as ordered */
	uint64_t tip_view;
	uint64_t tip_height;
	bool whole;	 /* all of it is here, down to what is committed */
	uint32_t filled; /* blocks of it that others have to stand on */
	uint64_t frontier;
	uint32_t hinted; /* clients that were told to ask the leader of me.view */

	/* Timers. */
	bool working;	    /* there is something to be done: the view's timer runs */
	uint64_t timer_ns;  /* since when */
	uint64_t repeat_ns; /* when the TIMEOUT was said last */
	uint64_t tenure_ns; /* since when the leader has been it */
	uint64_t pace_ns;   /* what views take that end well: a running mean; 0: none has yet */
	uint32_t failures;  /* views that ended with a TC since the last commit, save for */
	uint32_t explained; /* ... those for which a client may be to blame */
	uint32_t barren; /* views that ended with a TC since a commit that somebody waited for: */
	uint64_t wanted; /* ... up to this height */
	uint32_t backoff;
	uint32_t calm; /* commits since the last doubling */
	uint64_t tick_at_ns;
	uint64_t tick;
	uint64_t tick_committed;
	uint64_t tick_executed;
	uint64_t tick_view;
	uint64_t stuck_ticks; /* since the view, or the work in it, began */
	uint64_t still_ticks; /* since something was committed or executed */

	/* Clients complained of since the last checkpoint, each by one replica at least. */
	uint16_t complained[HOTSTUFF_COMPLAINED_MAX];
	uint8_t complaints_of[BFT_REPLICAS_MAX];
	uint32_t complained_count;
	uint32_t shun_next; /* those up to here are yet to be told that they have to sign */

	/* Repair. */
	uint64_t nonce;
	uint64_t recovered_by; /* who has answered, mask */
	uint64_t floor;	  /* a former life may have spoken in views up to here; 0: there is none */
	uint64_t answers; /* who is owed an answer, masks */
	uint64_t serving; /* ... blocks */
	bool status_due;
	bool lacking;	      /* at the last tick something was missing */
	uint64_t status_gap;  /* ticks until the next STATUS, where something is missing */
	uint64_t status_tick; /* of the last one */
	struct want wants[HOTSTUFF_WANTS_MAX];
	struct peer peers[BFT_REPLICAS_MAX];
	struct hotstuff_figures figures;
};

/* ---- who is who ----------------------------------------------------------- */

static inline uint16_t
leader_of(const struct hotstuff *r, uint64_t view)
{
	return hotstuff_leader(&r->me.config, r->me.config.instance, view);
}

static inline bool
leads(const struct hotstuff *r, uint64_t view)
{
	return leader_of(r, view) == r->me.config.self;
}

/* The last view that it led has failed: it may be silent. */
static inline bool
is_suspect(const struct hotstuff *r, uint64_t view)
{
	return (r->suspects >> leader_of(r, view) & 1) != 0;
}

static inline uint64_t
own_bit(const struct hotstuff *r)
{
	return replica_bit(r->me.config.self);
}

static inline bool
has_siblings(const struct hotstuff *r)
{
	return r->me.config.instances_count > 1;
}

static inline struct reach
reach_of(const struct hotstuff *r)
{
	return (struct reach){.executed = r->executed, .committed = r->committed};
}

/* Blocks above have no place. */
static inline uint64_t
height_max(const struct hotstuff *r)
{
	return r->checkpoints.stable + 3 * r->interval + r->reserve;
}

/* ---- propose.c ------------------------------------------------------------ */

enum verdict propose_screen(
    const struct hotstuff *r, const struct message *m, struct claims *claims);
void propose_on_message(struct hotstuff *r, const struct event *event, struct outbox *out);
/* When a block can be proposed: 0 now, TIME_NEVER not as things stand. */
uint64_t propose_deadline(const struct hotstuff *r);
/* Is what this instance has committed waiting for its siblings, and none of them for it? */
bool propose_leads(const struct hotstuff *r);
void propose_block(struct hotstuff *r, struct outbox *out);
/* Once more, to who may have missed it. */
void propose_again(struct hotstuff *r, struct outbox *out);
void propose_on_request(struct hotstuff *r, const struct message *m, struct outbox *out);
/* Requests that wait here go to whose turn is next. */
void propose_relay(struct hotstuff *r, struct outbox *out);
/* The number that replies tell: see bft_asking. */
uint64_t propose_hint(const struct hotstuff *r);

/* Do these certificates need no proof, byte by byte? They are those that are kept here. */
bool justify_is_kept(const struct hotstuff *r, const struct qc *qc);
/* A block whose certificates are proven and learned takes its place. */
void propose_accepted(struct hotstuff *r, struct block *b, struct outbox *out);

/* ---- spare.c -------------------------------------------------------------- */

/* Screening: are the signatures of the block's QC left for later? */
bool spare_may_wait(const struct hotstuff *r, uint64_t view, const struct proposal *p);
/* The step after it: have they been? */
bool spare_left_unproven(
    const struct hotstuff *r, const struct event *event, const struct proposal *p);
/* This block waits for the next one. */
void spare_wait(struct hotstuff *r, struct block *b);
uint64_t spare_deadline(const struct hotstuff *r);
void spare_prove(struct hotstuff *r, struct outbox *out);
/* Who will be spare in this view, and need not hear of the QC before it at once: a mask. */
uint64_t spare_next(const struct hotstuff *r);
/* A QC: was the own late vote needed for it? */
void spare_on_qc(struct hotstuff *r, const struct qc_head *head);
/* The FETCH that spare_prove() sent here. */
enum verdict spare_screen(const struct hotstuff *r, const struct message *m, struct claims *claims);
void spare_on_proven(struct hotstuff *r, const struct message *m, struct outbox *out);

/* ---- complain.c ----------------------------------------------------------- */

/* This replica does not vote for the batch: some of its requests are not authentic here. */
void complain_of_batch(struct hotstuff *r, const uint8_t *batch, uint32_t size);
void complain_on_message(struct hotstuff *r, const struct message *m, struct outbox *out);
/* A view has failed. True: perhaps because of a client of which nobody had complained before. */
bool complain_on_failure(struct hotstuff *r);
/* A checkpoint is stable. */
void complain_forget(struct hotstuff *r);
/* One step's share of clients that have to sign. */
void complain_settle(struct hotstuff *r, struct outbox *out);

/* ---- vote.c ---------------------------------------------------------------- */

enum verdict vote_screen(const struct hotstuff *r, const struct message *m, struct claims *claims);
void vote_on_message(struct hotstuff *r, const struct event *event, struct outbox *out);
/* A vote whose signature holds. */
void vote_record(struct hotstuff *r, const struct vote *vote, struct outbox *out);
/* Votes for the proposal of this view, if that is safe and not done yet. */
void vote_try(struct hotstuff *r, struct outbox *out);
void vote_again(struct hotstuff *r, struct outbox *out);

/* ---- chain.c --------------------------------------------------------------- */

/* Is it known that this QC is valid? Then its signatures need no proof. Once true, true for ever.
 */
bool chain_knows(const struct hotstuff *r, const struct qc_head *head);
/* A valid QC. Where its view is above the highest known one's, its signatures were proven. */
void chain_on_qc(struct hotstuff *r, const struct qc *qc, struct outbox *out);
/* Does a QC name it that is known, or that a block here carries? */
bool chain_names(const struct hotstuff *r, const struct block *b);
/* A certified block that has come late: what was waiting for it goes on. */
void chain_on_fetched(struct hotstuff *r, struct block *b, struct outbox *out);
/* Takes what is decided as committed, as far as blocks are here. */
void chain_advance(struct hotstuff *r, struct outbox *out);
/* Is every ancestor here, down to what is committed? Asks for the first that is not. */
bool chain_is_whole(struct hotstuff *r, const struct block *b, struct outbox *out);
/* Asks for what is missing of the highest QC's branch, and of what is decided. */
void chain_seek(struct hotstuff *r, struct outbox *out);
/*
 * From now on requests count as ordered where they are in the block that `end` names
 * (its signers do not matter) or in its ancestors.
 */
void chain_follow(struct hotstuff *r, const struct qc_head *end);
/* Counts requests as ordered anew: some were taken for a block that is not to be. */
void chain_remark(struct hotstuff *r);
/* Makes the block of the highest QC the end of our branch: a leader's before it proposes. */
void chain_prepare(struct hotstuff *r);
/*
 * Counts again the blocks of our branch that wait to be committed: those with
 * requests, and those that were proposed after a TC. For a TC means that somebody
 * waits for something, if only for the QCs that others have of a branch that is
 * given up; once such a block is committed, all who see that have the same.
 */
void chain_count_filled(struct hotstuff *r);
struct block *chain_add(struct hotstuff *r, const struct message *m, const struct proposal *p);
/* The committed block of this height, or NULL. */
struct block *chain_at(const struct hotstuff *r, uint64_t height);
/* The state is at this height, by a transfer: blocks lead on from there. */
void chain_restart(struct hotstuff *r, uint64_t height, struct outbox *out);

/* ---- pacemaker.c ------------------------------------------------------------ */

enum verdict pacemaker_screen(
    const struct hotstuff *r, const struct message *m, struct claims *claims);
void pacemaker_on_timeout(struct hotstuff *r, const struct message *m, struct outbox *out);
/* A valid TC: its view is above that of the highest known one, or it is of no use. */
void pacemaker_on_tc(struct hotstuff *r, const struct tc *tc, struct outbox *out);
/* The highest certificates have changed: goes on to the view after them. */
void pacemaker_enter(struct hotstuff *r, bool failed, struct outbox *out);
void pacemaker_on_commit(struct hotstuff *r);
/* Something waits to be done, so somebody has to do something about it. */
bool pacemaker_waits(const struct hotstuff *r);
uint64_t pacemaker_deadline(const struct hotstuff *r);
void pacemaker_on_timer(struct hotstuff *r, struct outbox *out);
/* After each step: the timer begins to run when there is something to wait for. */
void pacemaker_watch(struct hotstuff *r);

/* ---- apply.c --------------------------------------------------------------- */

void apply_deliver(struct hotstuff *r, struct outbox *out);
/* The height up to which committed blocks are delivered: see apply.c. */
uint64_t apply_due(const struct hotstuff *r);
bool apply_ready(const struct hotstuff *r);
void apply_on_executed(struct hotstuff *r, const struct executed *e, struct outbox *out);
void apply_on_state(struct hotstuff *r, const struct moved *moved, struct outbox *out);
void apply_on_read(struct hotstuff *r, const struct message *m, struct outbox *out);
/* `stable` has advanced: what lies below goes. */
void apply_prune(struct hotstuff *r);

/* ---- sync.c, recover.c --------------------------------------------------------- */

enum verdict sync_screen_status(
    const struct hotstuff *r, const struct message *m, struct claims *claims);
enum verdict sync_screen_certificate(
    const struct hotstuff *r, const struct message *m, struct claims *claims);
enum verdict sync_screen_fetch(
    const struct hotstuff *r, const struct message *m, struct claims *claims);
enum verdict sync_screen_block(
    const struct hotstuff *r, const struct message *m, struct claims *claims);
void sync_on_status(struct hotstuff *r, const struct message *m);
void sync_on_certificate(struct hotstuff *r, const struct message *m, struct outbox *out);
void sync_on_fetch(struct hotstuff *r, const struct message *m);
void sync_on_block(struct hotstuff *r, const struct message *m, struct outbox *out);
/* The block that this QC certifies is needed and not here: asks for it. */
void sync_want(struct hotstuff *r, const struct qc_head *head, struct outbox *out);
void sync_tick(struct hotstuff *r, struct outbox *out);
/* One step's share of what others are owed. */
bool sync_owes(const struct hotstuff *r);
void sync_answer(struct hotstuff *r, struct outbox *out);
/* Shows everybody the highest QC; those who are spare not at once. */
void sync_tell(struct hotstuff *r, struct outbox *out);
uint64_t sync_tell_deadline(const struct hotstuff *r);
void sync_tell_spare(struct hotstuff *r, struct outbox *out);

/* An answer of another to this replica's STATUS; its certificates have been learned. */
void recover_on_answer(struct hotstuff *r, uint16_t peer, struct outbox *out);

/* ---- shared by screens ----------------------------------------------------------- */

/* Claims for the certificates of a message that are not known to be valid. */
void claims_add_qc(const struct hotstuff *r, const struct qc *qc, struct claims *claims);
void claims_add_tc(const struct hotstuff *r, const struct tc *tc, struct claims *claims);

#endif
