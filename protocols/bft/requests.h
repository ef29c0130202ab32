/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and clients, as a replica sees them before execution: which requests
 * are let in, which wait and since when, which go into a batch, whether those of
 * another's batch are authentic here, and which clients have to sign because
 * their MACs hold at some replicas only (Aardvark, NSDI'09). The phases by which
 * a batch is agreed on are the protocol's.
 *
 * Nobody has to sign for ever, for whoever can flip a bit on the way makes a client
 * look like one that lies. How long is counted in batches that were executed, which
 * is the same everywhere, and no client can hurry it: REQUESTS_SIGNED_BATCHES, four
 * times as many with each relapse. A client that lies on purpose can so spoil a
 * batch REQUESTS_RELAPSES_MAX times soon, and then once in some million batches.
 *
 * A request comes by requests_take() and waits in the pool until it is executed:
 * until replies_send() (replies.h) has seen its result. Owned by the replica's
 * machine; requests_init() divides memory of that machine.
 */
#ifndef OSKR_PROTOCOLS_BFT_REQUESTS_H
#define OSKR_PROTOCOLS_BFT_REQUESTS_H

#include "protocols/bft/member.h"
#include "protocols/bft/pool.h"

enum {
	REQUESTS_COMPLAINTS_MAX = 4,   /* sent in one step, of one batch */
	REQUESTS_RECALLS_MAX = 4,      /* delivered in one step of requests_recheck() */
	REQUESTS_SIGNED_BATCHES = 512, /* that a client has to sign for, the first time */
	REQUESTS_CROWD_BATCHES = 16,   /* of ours, among which clients are counted */
	REQUESTS_RELAPSES_MAX = 7,     /* relapses that are told apart: 4 to that power as many */
};

/* A client slot. One cache line. */
struct client_state {
	uint64_t executed;   /* highest timestamp known to be executed */
	uint64_t whole;	     /* timestamp of which the whole result was asked for */
	uint64_t complaints; /* replicas to whom its MACs are bad, mask */
	uint64_t batch_mark; /* the batch in which it was last met */
	uint64_t marked;     /* highest timestamp in a batch of requests_mark(), ... */
	uint32_t marked_in;  /* ... if that was since the last requests_requeue(): `round` */
	uint32_t cell;	     /* 1 + its pending request's; 0: none */
	bool must_sign;
	bool may_sign;	    /* it had to once, or did in a batch: accepted for good */
	uint8_t relapses;   /* times that it had to, less those forgiven */
	uint8_t crowd_mark; /* the count of the crowd in which it was met: `crowd_round` */
	uint32_t settled;   /* the `moves` of the state since which c->executed is the truth */
	uint64_t term_end;  /* the batch with which that ends, or a relapse is forgiven; 0: none */
};
static_assert(sizeof(struct client_state) == 64, "one cache line");

struct requests {
	const struct member *me;
	struct pool pool;
	struct client_state *clients; /* of the slots that are this instance's, without gaps */
	uint64_t places;	      /* 2^32 by the number of instances, rounded up */
	uint64_t head_ns;	      /* when the oldest pending request became that */
	uint64_t executed_seq;	      /* of the last batch of replies_send(); 0: not told */
	uint64_t batch_mark;
	uint32_t round;		/* how often all requests became free for a batch again */
	uint32_t recheck;	/* 1 + next pool cell to be looked up after a transfer; 0: none */
	uint32_t crowd;		/* clients that had requests in some batches of ours, lately */
	uint32_t crowd_met;	/* of the count under way */
	uint32_t crowd_batches; /* in it */
	uint8_t crowd_round;	/* its number */
	uint32_t moves;		/* of the state: requests may have been executed unseen */
	/* Figures. */
	uint64_t batches;     /* written */
	uint64_t batched;     /* requests in them */
	uint64_t macs_failed; /* requests in others' batches that are not authentic here */
	uint64_t pool_full;   /* requests without a place */
};

/* Bytes at `memory` of requests_init(), a multiple of 64. */
size_t requests_size(const struct protocol_config *config);

/* `memory` is zeroed, aligned to 64, and stays with *q; so does `me`. */
void requests_init(struct requests *q, const struct member *me, void *memory);

/* ---- from clients, and relayed ------------------------------------------------ */

/* A REQUEST or a BFT_READ. Pure, by what stays true: see machine.screen. */
enum verdict requests_screen(
    const struct requests *q, const struct message *m, struct claims *claims);

/*
 * An authentic REQUEST: kept, recalled or dropped. `orderer` is who proposes it
 * now, as a mask of one: others relay it there; one that is the orderer itself
 * keeps it; 0: nobody is. "If the replica is not the primary, it relays the
 * request to the primary" (OSDI'99, 4.1). At most one send and one recall.
 */
void requests_take(
    struct requests *q, const struct message *m, uint64_t orderer, struct outbox *out);

/* Which of this instance's slots it is, if it is one: every S-th is. A division, exact. */
static inline uint32_t
requests_place(const struct requests *q, uint16_t client)
{
	return (uint32_t)(client * q->places >> 32);
}

/* Is the slot one of the cluster's, and of this instance? */
static inline bool
requests_has_client(const struct requests *q, uint16_t client)
{
	const struct protocol_config *config = &q->me->config;
	uint32_t first = requests_place(q, client) * config->instances_count;
	return client < config->slots_count && client - first == config->instance;
}

/* One of this instance's. */
static inline struct client_state *
requests_client(const struct requests *q, uint16_t client)
{
	debug_check(requests_has_client(q, client));
	return &q->clients[requests_place(q, client)];
}

/* It will be looked at soon. A batch's clients are a line each, and seldom in the cache. */
static inline void
requests_prefetch(const struct requests *q, uint16_t client)
{
	__builtin_prefetch(requests_client(q, client), 1);
}

/* The client's request that waits, or NULL. */
static inline const struct message_header *
requests_pending(const struct requests *q, uint16_t client)
{
	uint32_t cell = requests_client(q, client)->cell;
	return cell != 0 ? pool_request(&q->pool, cell - 1) : NULL;
}

/* ---- clients whose MACs hold at some replicas only ------------------------------ */

enum verdict requests_screen_complaint(
    const struct requests *q, const struct message *m, struct claims *claims);

/*
 * f + 1 complaints: the client has to sign for a while (REQUESTS_SIGNED_BATCHES), and
 * is told so. At most one send.
 */
void requests_on_complaint(struct requests *q, const struct message *m, struct outbox *out);

/*
 * The client has to sign for a while and is told so, once; what it sent without a
 * signature waits no longer. At most one send.
 */
void requests_demand_signature(struct requests *q, uint16_t client, struct outbox *out);

/* ---- the own batches ------------------------------------------------------------ */

/* Are there enough requests for a batch that has no room for more? */
static inline bool
requests_are_plenty(const struct requests *q)
{
	return q->pool.unordered >= q->me->config.batch_count_max ||
	       q->pool.unordered_size >= q->me->config.batch_size_max;
}

/* When the oldest request that no batch holds came; TIME_NEVER: there is none. */
uint64_t requests_oldest_ns(const struct requests *q);

/* When the newest came; 0: there is none. */
static inline uint64_t
requests_newest_ns(const struct requests *q)
{
	return q->pool.last != 0 ? q->pool.cells[q->pool.last - 1].arrived_ns : 0;
}

/* How many of the oldest requests that no batch holds make a batch, and their bytes. */
uint32_t requests_measure(struct requests *q, uint32_t *size);

/* Writes those `count`, as measured, to `body`. They count as held by a batch from here on. */
void requests_write(struct requests *q, uint8_t *body, uint32_t count);

/*
 * Batches under way may be given up (a new view, another branch): all requests
 * that wait are free for a batch again. requests_mark() those of the batches that
 * are still to be executed; it asks nothing of the bytes (screened before). One
 * that comes here only after its batch was marked counts as held by it, too.
 */
static inline void
requests_requeue(struct requests *q)
{
	pool_requeue(&q->pool);
	q->round++;
}

void requests_mark(struct requests *q, const uint8_t *batch, uint32_t size);

/* ---- others' batches -------------------------------------------------------------- */

/* A batch, and whether the claims about its requests hold: those that screening added. */
struct request_batch {
	const uint8_t *data;
	uint32_t size;	   /* bytes */
	const bool *holds; /* event.holds, from the first claim about a request on */
};

/*
 * Is the batch well formed, no more than batch_count_max requests, each of which
 * might be let in here? (Else VERDICT_DROP.) Adds claims that each is authentic, as
 * optional ones: at most two a request. `claims` NULL: only the form is looked at.
 */
enum verdict requests_screen_batch(
    const struct requests *q, const uint8_t *batch, uint32_t size, struct claims *claims);

/* One batch orders a client once: a correct leader knows one request of each. */
bool requests_are_simple(struct requests *q, const uint8_t *batch, uint32_t size);

/*
 * Are the requests of another's batch authentic to this replica, each by its own
 * proof or because its client sent it here directly? Of those that are not the
 * others hear: at most REQUESTS_COMPLAINTS_MAX sends, and as many to clients.
 */
bool requests_hold(struct requests *q, const struct request_batch *batch, struct outbox *out);

/* ---- after execution ------------------------------------------------------------- */

/* So many batches a client signs that had to so often before; and so many forgive one time. */
static inline uint64_t
requests_term(const struct client_state *c)
{
	return (uint64_t)REQUESTS_SIGNED_BATCHES << 2 * c->relapses;
}

/*
 * Signing ends, and later a relapse is forgiven, when so many batches have been
 * executed. Asked where the client's requests come and where they are executed.
 */
static inline void
requests_ease(const struct requests *q, struct client_state *c)
{
	if (__builtin_expect(c->term_end == 0, 1) || q->executed_seq < c->term_end)
		return;
	if (c->must_sign) {
		/* What was complained of until now is settled. */
		c->must_sign = false;
		c->complaints = 0;
	} else {
		c->relapses--;
	}
	c->term_end = c->relapses > 0 ? q->executed_seq + requests_term(c) : 0;
}

/* The client's request has been executed: nobody waits for it any more. */
static inline void
requests_executed(struct requests *q, uint16_t client, uint64_t timestamp)
{
	struct client_state *c = requests_client(q, client);
	requests_ease(q, c);
	if (timestamp > c->executed)
		c->executed = timestamp;
	if (c->cell == 0 || pool_request(&q->pool, c->cell - 1)->seq > timestamp)
		return;
	bool oldest = q->pool.first == c->cell;
	pool_remove(&q->pool, c->cell - 1);
	c->cell = 0;
	/* "stops the timer when it is no longer waiting to execute the request, but restarts
	   it if at that point it is waiting to execute some other request" (OSDI'99, 4.4) */
	if (oldest)
		q->head_ns = q->me->now_ns;
}

/* An executed batch is undone: its requests may come again, and wait again. */
void requests_undone(struct requests *q, const uint8_t *batch, uint32_t size);

/*
 * The state was moved: some of what waits may have been executed meanwhile. Until the
 * reply cache has said that it was not, no batch of ours holds it: who leads right
 * after a transfer would order it again. The same goes for the first request of each
 * client that comes from now on. If the answer gets lost, the client asks again, and
 * so does this replica.
 */
void requests_moved(struct requests *q);

/* RESULT_NEW: the cache was asked, and the client's request has not been executed. */
void requests_on_new(struct requests *q, uint16_t client, uint64_t timestamp);

/* What a slice says of one request, as to whether it is executed. */
static inline void
requests_on_result(struct requests *q, const struct result *result)
{
	if (__builtin_expect(result->flags & RESULT_NEW, 0)) {
		requests_on_new(q, result->client, result->timestamp);
		return;
	}
	if (result->flags & RESULT_READ)
		return;
	requests_executed(q, result->client, result->timestamp);
	/* What is stale says only that something later was executed. */
	if (!(result->flags & RESULT_STALE))
		requests_client(q, result->client)->settled = q->moves;
}

/*
 * Once a tick: what the reply cache has not answered is looked up again. A queue was full, and
 * its client, who has its replies from others, need not ask again.
 */
void requests_look_again(struct requests *q);

/*
 * While `recheck` is not 0: looks up what waits in the reply cache, at most
 * REQUESTS_RECALLS_MAX deliveries a call. The answers come as EVENT_EXECUTED with
 * seq 0.
 */
void requests_recheck(struct requests *q, struct outbox *out);

/* Every invariant, for machine.audit. */
void requests_audit(const struct requests *q);

#endif
