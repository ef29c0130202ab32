/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a protocol: two pure state machines, the replica's and the
 * client's, that read no clock, allocate nothing, wait for nothing, draw no
 * randomness and cannot fail. Same state and event, same bytes out. A machine
 * belongs to one shard, on one core.
 */
#ifndef OSKR_ENGINE_PROTOCOL_H
#define OSKR_ENGINE_PROTOCOL_H

#include "engine/claims.h"
#include "engine/outbox.h"
#include "engine/result.h"

#define TIME_NEVER UINT64_MAX

/* What both halves of a protocol are told once. All sizes are bytes. */
struct protocol_config {
	uint32_t cluster;
	uint8_t protocol;    /* index in the registry */
	bool batch_adaptive; /* close a batch as soon as the window has room */
	uint16_t replicas_count;
	uint16_t faults;   /* f */
	uint16_t self;	   /* replica index; in a client: its node's number among clients */
	uint16_t instance; /* this machine's, of instances_count */
	uint16_t instances_count;
	uint16_t slot_first;   /* client half: its slots are slot_first .. + slots_count - 1 */
	uint32_t slots_count;  /* replica half: all slots of the cluster, from 0 */
	uint8_t request_proof; /* enum proof_kind of each kind of message */
	uint8_t protocol_proof;
	uint8_t reply_proof;
	bool restarted;		  /* this replica ran before and has lost its memory */
	uint32_t batch_count_max; /* requests */
	uint32_t batch_size_max;
	uint32_t window;	   /* batches open at once */
	uint32_t request_size_max; /* a request message, proof included */
	uint32_t result_size_max;
	uint32_t checkpoint_interval; /* batches between two checkpoints (K) */
	bool tentative;		      /* execute what is prepared; commit later */
	bool reads;		      /* read-only operations are not ordered */
	bool watch_primary; /* a primary that is much slower than others were is replaced */
	bool stable_leader; /* where leaders rotate by themselves: they stay until they fail */
	bool
	    leaders_together; /* all instances begin with the same leader, not each with the next */
	bool wait_all;	      /* where answers may be few: only those of all replicas count */
	uint64_t view_timeout_ns; /* a request known and not executed for so long: a new view */
	uint64_t batch_timeout_ns;
	uint64_t retry_ns;	  /* a client asks again after so long */
	uint64_t timestamp_first; /* client: its requests' timestamps are above this */
};

enum event_type {
	EVENT_MESSAGE,	/* every claim about it that is not optional has been proven */
	EVENT_TIMEOUT,	/* now >= the deadline that the machine asked for */
	EVENT_EXECUTED, /* replica: (a slice of) a delivered batch has been executed */
	EVENT_STATE,	/* replica: the state is now that of `state.seq`, as a delivery asked */
	EVENT_SUBMIT,	/* client: the workload asks for an operation */
};

/* A slice of what the executor did; a large batch comes in several. */
struct executed {
	uint64_t seq; /* of the batch; 0 when a recalled reply */
	const struct result *results;
	const uint8_t *state_digest32; /* NULL unless a checkpoint was taken, with `last` */
	uint32_t results_count;
	bool last; /* the batch is done, and its memory is the protocol's again */
};

/*
 * Where the state is now. Batches that were delivered and not reported as
 * executed have been forgotten: the next one to deliver is seq + 1.
 */
struct moved {
	uint64_t seq;
	const uint8_t *state_digest32; /* of a checkpoint there; NULL: none is kept there */
	bool done; /* false: it could not be done (history gone, transfer given up), seq is
		      where the state stands all the same */
};

/* An operation for a slot that has none outstanding. */
struct submit {
	const uint8_t *op; /* valid during the step */
	uint32_t op_size;
	uint16_t slot;
	bool read_only;
};

struct event {
	enum event_type type;
	uint64_t now_ns;       /* the only clock a protocol ever sees */
	uint64_t frontier;     /* highest seq delivered by any sibling instance */
	const bool *holds;     /* MESSAGE: the result of each claim that screen() added, in order */
	uint32_t claims_count; /* MESSAGE: how many those are */
	union {
		const struct message *message;
		struct executed executed;
		struct moved moved;
		struct submit submit;
	};
};

enum verdict { VERDICT_DROP, VERDICT_STEP };

/* Numbers with names, for the summary, the results and the telemetry. */
enum { FIGURES_MAX = 48 };

struct figure {
	const char *name; /* static */
	uint64_t value;
	bool adds_up; /* a count, summed over instances; else the largest is shown */
};

struct figures {
	uint32_t count;
	struct figure list[FIGURES_MAX];
};

static inline void
figures_add(struct figures *figures, const char *name, const uint64_t *value, bool adds_up)
{
	check(figures->count < FIGURES_MAX);
	figures->list[figures->count++] =
	    (struct figure){name, __atomic_load_n(value, __ATOMIC_RELAXED), adds_up};
}

/*
 * Timers. deadline() is asked after the messages of a burst have been stepped:
 * a machine that wants to act once a burst (to close a batch, say) asks for a
 * time that has passed. What has arrived is always handled before a timer.
 */
struct machine {
	uint32_t sends_per_step; /* upper bounds of a step on MESSAGE, TIMEOUT or SUBMIT; */
	uint32_t large_per_step; /* a step on EVENT_EXECUTED adds one send a result */
	uint32_t deliveries_per_step;
	uint32_t completions_per_step;

	/* Upper bound of the claims that screen() adds for one message. */
	uint32_t (*claims_per_message)(const struct protocol_config *config);
	/* Optional: bytes of the largest message of the protocol's own, beside batches. */
	uint32_t (*message_size_max)(const struct protocol_config *config);
	/* Optional: bytes that a proposal's body has beside its batch. */
	uint32_t (*proposal_head_size)(const struct protocol_config *config);
	uint32_t reply_head_size; /* bytes that a reply's body has before the result */
	/* Bytes of state, taken zeroed and aligned to 64 by the engine. */
	size_t (*size)(const struct protocol_config *config);
	void (*init)(void *self, const struct protocol_config *config);
	/* Pure. Lists what must be true of `m`, by monotone facts only; drops what is useless. */
	enum verdict (*screen)(const void *self, const struct message *m, struct claims *claims);
	/* The state machine. Reads no clock, makes no call out, cannot fail. */
	void (*step)(void *self, const struct event *event, struct outbox *out);
	/* Earliest time of EVENT_TIMEOUT, or TIME_NEVER. */
	uint64_t (*deadline)(const void *self);
	/* Checks every invariant; the simulator calls it after bursts. */
	void (*audit)(const void *self);
	/* The view that this machine is in: for statistics. */
	uint64_t (*view)(const void *self);
	/* Optional: what else people want to see of it. Any thread may ask. */
	void (*figures)(const void *self, struct figures *figures);
	/* Client half: messages sent again because an answer was late. */
	uint64_t (*retransmissions)(const void *self);
};

enum protocol_flags {
	PROTOCOL_REPLIES_SIGNED = 1 << 0, /* replies are signed unless asked otherwise */
	PROTOCOL_SPECULATIVE = 1 << 1,	  /* one instance only; all replicas' replies are an
					     answer */
	PROTOCOL_SINGLE = 1 << 2,	  /* not replicated: f is of no use */
	PROTOCOL_VOTES_SIGNED = 1 << 3,	  /* certificates are made of them, whatever --auth says */
};

struct protocol {
	const char *name;
	const char *alias; /* another accepted spelling, or NULL */
	uint32_t flags;
	uint16_t replicas_per_fault; /* n >= replicas_per_fault * f + replicas_base */
	uint16_t replicas_base;
	const struct machine *replica;
	const struct machine *client;
};

#endif
