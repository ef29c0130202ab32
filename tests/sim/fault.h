/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong in a run of the simulator: a list of faults, each a kind, a
 * span of virtual time, whom it strikes and how hard. The list follows from the
 * seed; it can be cut down, written to a file and read back, and every random
 * choice that a fault makes later depends on the seed and the message alone, so
 * that leaving one fault out leaves the others as they were. One thread.
 */
#ifndef OSKR_TESTS_SIM_FAULT_H
#define OSKR_TESTS_SIM_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/random.h"

#define FAULT_NEVER UINT64_MAX

enum fault_kind {
	/* The network. amount: chances in a thousand, or ns. */
	FAULT_LOSS,
	FAULT_DUPLICATE,
	FAULT_CORRUPT,	 /* bits flipped */
	FAULT_JITTER,	 /* up to `amount` ns more: reorders */
	FAULT_SLOW,	 /* `amount` ns more */
	FAULT_PARTITION, /* between `from` and `to`, both ways */
	FAULT_ONE_WAY,
	FAULT_VIEW_CUT, /* one way, while the sender's view is `amount & 255`, mod `amount >> 8` */
	FAULT_CLOG,	/* held until the end, then all at once */
	/* Nodes in `from`. */
	FAULT_CLOCK_RATE, /* amount / 1024 of real time */
	FAULT_CLOCK_JUMP, /* forward, by amount ns */
	FAULT_PAUSE,
	FAULT_CRASH,   /* down, then goes on with what it knew */
	FAULT_AMNESIA, /* down, then starts anew */
	/* A replica in `from` lies to those in `to`, `amount` messages in a thousand. */
	FAULT_SILENT,
	FAULT_EQUIVOCATE,
	FAULT_VIEW,
	FAULT_SEQ,
	FAULT_DIGEST,
	FAULT_REPLAY,
	FAULT_FORGE, /* another's id */
	FAULT_BAD_PROOF,
	FAULT_BATCH,	/* another batch, valid or not */
	FAULT_LATE,	/* every message, by amount ns */
	FAULT_CENSOR,	/* takes no requests of the clients' nodes in `to` */
	FAULT_GENERATE, /* messages of known types that no correct replica would make */
	FAULT_TWIN,	/* the identity of `from` lives twice */
	/* A client node in `from`. */
	FAULT_TWO_OPERATIONS, /* one timestamp, different operations */
	FAULT_PARTIAL_VECTOR, /* MACs good for some replicas only */
	FAULT_LAST_TIMESTAMP, /* 2^64 - 1 */
	FAULT_FLOOD,
	/* A replica in `from` lies as only those can who know its protocol (struct sim_lies). */
	FAULT_CERTIFICATE, /* certificates in its messages: old ones, forged ones, stolen ones */
	FAULT_HIDE,	   /* what it proposes reaches one of `to` only, another one each time */
	FAULT_INVENT,	   /* votes for everything, forks, answers that nobody asked for */
	/* One message: the amount-th of the link from `from` to `to`. */
	FAULT_MESSAGE_LOST,
	FAULT_MESSAGE_DUPLICATED,
	FAULT_MESSAGE_CORRUPTED,
	FAULT_KINDS_COUNT,
};

/* The amount of a FAULT_PARTIAL_VECTOR that is always there, and leaves signatures alone. */
enum { FAULT_VECTORS_ONLY = 1001 };

struct fault {
	enum fault_kind kind;
	uint64_t start_ns;
	uint64_t end_ns; /* exclusive; FAULT_NEVER: it stays */
	uint64_t from;	 /* masks of nodes */
	uint64_t to;
	uint64_t amount;
	uint8_t type; /* a lie about messages of this type only; 0: of all */
};

struct schedule {
	struct fault *list; /* by start_ns */
	uint32_t count;
	uint32_t capacity;
};

/* What --faults chooses. */
enum preset {
	PRESET_NONE,
	PRESET_LOSS,	  /* the network and the clocks */
	PRESET_CRASH,	  /* those, and pauses, crashes */
	PRESET_BYZANTINE, /* the network, lying replicas and clients */
	PRESET_TWINS,	  /* one identity, two replicas, partitions in rounds of time or by view */
	PRESET_ALL,
	PRESETS_COUNT,
};

/* What the protocol promises to survive, and the nodes there are. */
struct fault_model {
	enum preset preset;
	uint64_t seed;
	uint64_t horizon_ns; /* all but the lasting faults end here */
	uint64_t delay_ns;   /* of a message, about */
	uint64_t timeout_ns; /* replicas wait so long for a leader; 0: they have no such time */
	uint16_t replicas_count;
	uint16_t clients_count; /* client nodes */
	uint16_t faults;	/* f: replicas that may be lost at the same time */
	uint16_t quorum;	/* the largest part of a partition in twins' rounds has as many */
	uint64_t needed;	/* replicas that the protocol cannot do without for ever, mask */
	uint8_t leader_type;	/* of a leader's messages; 0: not known */
	uint8_t type_last;	/* of the protocol's own; 0: not known */
	bool byzantine;		/* up to f replicas may lie */
	bool own_lies;		/* and know how, beyond what lie.c does to all messages */
	bool client_lies;	/* clients may */
	bool amnesia;		/* a replica that lost its memory recovers */
	bool single;		/* one replica, which may not be lost */
};

const char *fault_name(enum fault_kind kind);
const char *preset_name(enum preset preset);
/* False: no such preset. */
bool preset_parse(const char *text, enum preset *preset);

void schedule_init(struct schedule *s);
void schedule_free(struct schedule *s);
void schedule_add(struct schedule *s, const struct fault *fault);
void schedule_copy(struct schedule *to, const struct schedule *from);
/* The faults that the seed gives. */
void schedule_draw(struct schedule *s, const struct fault_model *model);
/* One fault a line, readable and read back by schedule_read_line(). */
void schedule_write(const struct schedule *s, FILE *out);
/* 1: a fault was read, 0: the line is none. */
int schedule_read_line(struct schedule *s, const char *line);

/* Number of the ways to part `nodes_count` nodes into two or three, one part of them at least
   `quorum`; and way `index`, as the parts' masks. */
uint32_t partition_count(uint32_t nodes_count, uint32_t quorum);
void partition_at(uint32_t nodes_count, uint32_t quorum, uint32_t index, uint64_t parts[3]);

static inline bool
fault_is_message(enum fault_kind kind)
{
	return kind >= FAULT_MESSAGE_LOST;
}

static inline bool
fault_is_lie(enum fault_kind kind)
{
	return (kind >= FAULT_SILENT && kind <= FAULT_TWIN) ||
	       (kind >= FAULT_CERTIFICATE && kind <= FAULT_INVENT);
}

static inline bool
fault_is_client(enum fault_kind kind)
{
	return kind >= FAULT_TWO_OPERATIONS && kind <= FAULT_FLOOD;
}

#endif
