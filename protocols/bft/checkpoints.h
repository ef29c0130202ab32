/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints (OSDI'99, section 4.3): each K-th state is voted on, q votes make
 * it stable, and what came before may go. A replica that finds itself behind
 * what is stable, or different from it, fetches the state. Here is which votes
 * count, what is stable, and when to fetch; what the protocol forgets with a
 * stable checkpoint is its own matter: functions that may advance `stable`
 * return true when they did.
 *
 * Owned by the replica's machine, which embeds it. `moving` belongs to whoever
 * moves the state: set here for a transfer, and by a protocol that rolls back.
 * While it is set nothing may be delivered; EVENT_STATE ends it
 * (checkpoints_on_state). Bounds: a call makes at most CHECKPOINTS_KEPT sends,
 * CHECKPOINTS_KEPT + 1 deliveries of STABLE and one of TRANSFER.
 */
#ifndef OSKR_PROTOCOLS_BFT_CHECKPOINTS_H
#define OSKR_PROTOCOLS_BFT_CHECKPOINTS_H

#include "protocols/bft/member.h"

enum { CHECKPOINTS_KEPT = 4 }; /* votes remembered of each replica */

/* A vote for the state after seq. */
struct checkpoint {
	uint64_t seq; /* 0: none */
	uint8_t digest32[32];
};

/* How far the replica has come: what the protocol knows and checkpoints ask. */
struct reach {
	uint64_t executed;  /* reported by the executor, perhaps tentatively */
	uint64_t committed; /* all up to here are; may be above `executed` */
};

struct checkpoints {
	const struct member *me;
	uint64_t stable;		/* h: proven, and reached by this replica */
	uint64_t fetching;		/* the checkpoint asked for last; 0: none */
	bool moving;			/* the state is on its way: nothing is delivered */
	struct checkpoint vouched_seen; /* f + 1 have it: the state is right, to be fetched */
	struct checkpoint stable_seen;	/* proven stable, perhaps ahead of us */
	struct checkpoint own[CHECKPOINTS_KEPT]; /* reached, perhaps tentatively */
	struct checkpoint votes[BFT_REPLICAS_MAX][CHECKPOINTS_KEPT];
	/* Figures. */
	uint64_t conflicts; /* votes that contradict earlier ones: faults */
	uint64_t transfers;
};

/* *c is zeroed. `me` stays with it. */
static inline void
checkpoints_init(struct checkpoints *c, const struct member *me)
{
	check(me->config.checkpoint_interval > 0);
	c->me = me;
}

/* A BFT_CHECKPOINT. Pure, by what stays true: see machine.screen. */
enum verdict checkpoints_screen(
    const struct checkpoints *c, const struct message *m, struct claims *claims);
bool checkpoints_on_message(
    struct checkpoints *c, const struct message *m, const struct reach *reach, struct outbox *out);

/* The executor has taken one (executed.state_digest32): votes, if it is committed. */
bool checkpoints_taken(struct checkpoints *c, const struct checkpoint *taken,
    const struct reach *reach, struct outbox *out);

/* Votes for what has been reached and is committed, once each: after `committed` grew. */
bool checkpoints_vote(struct checkpoints *c, const struct reach *reach, struct outbox *out);

/* It is proven otherwise than by votes (a new view stands on it, say). */
bool checkpoints_prove(struct checkpoints *c, const struct checkpoint *proven,
    const struct reach *reach, struct outbox *out);

/*
 * Takes what has been proven as stable, as far as the own state has come; where
 * the own state is another, that is noted and the state fetched.
 */
bool checkpoints_settle(struct checkpoints *c, const struct reach *reach, struct outbox *out);

/* Is a checkpoint known, by f + 1 or q votes, that this replica has not executed up to? */
static inline bool
checkpoints_behind(const struct checkpoints *c, const struct reach *reach)
{
	return c->stable_seen.seq > reach->executed || c->vouched_seen.seq > reach->executed;
}

/*
 * Fetches the state of the highest checkpoint that f + 1 vouch for: when the log
 * alone leads nowhere, or the own state is wrong. Nothing happens when no such
 * checkpoint is ahead, or that very one is already on its way. Sets `moving`.
 */
void checkpoints_catch_up(struct checkpoints *c, const struct reach *reach, struct outbox *out);

/*
 * EVENT_STATE: the state is somewhere, and `moving` ends. True: where it is now is
 * committed, for it was fetched or is below what is stable; false: only what the
 * protocol knows to be committed is. Follow it with checkpoints_vote() and
 * checkpoints_settle() under the new reach, and, where !moved->done, with
 * checkpoints_catch_up(): what could not be undone leads on by a transfer only.
 */
bool checkpoints_on_state(struct checkpoints *c, const struct moved *moved);

/*
 * What was executed after `seq` is to be undone: the own checkpoints above go, but
 * for one that is being fetched. They must not have been voted for, for `committed`
 * was below.
 */
void checkpoints_forget(struct checkpoints *c, uint64_t seq);

/* The own vote for the state after seq, also for one that is fetched at present; or NULL. */
static inline const struct checkpoint *
checkpoints_own(const struct checkpoints *c, uint64_t seq)
{
	const struct checkpoint *own =
	    &c->own[seq / c->me->config.checkpoint_interval % CHECKPOINTS_KEPT];
	return own->seq == seq && seq != 0 ? own : NULL;
}

/* The highest checkpoint that this replica has voted for; 0: none. */
static inline uint64_t
checkpoints_voted(const struct checkpoints *c)
{
	uint64_t highest = 0;
	for (uint32_t i = 0; i < CHECKPOINTS_KEPT; i++) {
		uint64_t seq = c->votes[c->me->config.self][i].seq;
		highest = seq > highest ? seq : highest;
	}
	return highest;
}

/* To a replica that is behind: the own votes again, from the stable checkpoint on. */
void checkpoints_answer(const struct checkpoints *c, uint64_t to, struct outbox *out);

/* Every invariant, for machine.audit. */
void checkpoints_audit(const struct checkpoints *c);

#endif
