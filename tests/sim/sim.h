/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deterministic simulator: n replicas and m client nodes that run the
 * engine as oskr-cluster does, on a virtual clock and one seed. Each node is a
 * struct replica or struct client behind an io table that posts datagrams to a
 * priority queue through the faults; what is next happens next.
 *
 *     queue -> inbox -> node (shard_run) -> transmit -> lies -> faults -> queue
 *                          | executed batches, answers
 *                          v
 *                        oracle
 *
 * Two phases: until the horizon anything may be down; from there on only the
 * lasting faults of at most f replicas are left, and every operation must
 * complete within a bounded virtual time. One thread.
 */
#ifndef OSKR_TESTS_SIM_SIM_H
#define OSKR_TESTS_SIM_SIM_H

#include <setjmp.h>

#include "engine/client.h"
#include "engine/pillar.h"
#include "engine/plan.h"
#include "engine/replica.h"
#include "fault.h"
#include "network.h"
#include "oracle.h"

enum {
	SIM_REPLICAS_MAX = 32,
	SIM_MANY_REPLICAS = 7, /* above, runs have fewer operations and more messages */
	SIM_CLIENT_NODES_MAX = 8,
	SIM_NODES_MAX = 48, /* a twin is a node too */
	SIM_SLOTS_MAX = 256,
	SIM_PILLARS_MAX = 7,
	SIM_INBOX_MAX = 1024,	  /* datagrams that wait at a unit: its receive queue */
	SIM_FLIGHT_MAX = 1 << 20, /* datagrams under way: more is a storm */
	SIM_ACTIVE_MAX = 256,	  /* faults at the same time */
	SIM_OLD_MAX = 64,	  /* old messages that a liar keeps */
	SIM_TEXT_SIZE = 1024,
};

struct sim_node;
struct sim_unit;
struct lie_letter;

/* "These replicas voted so", or "... gave this view up": what a quorum's signatures say. */
struct sim_certificate {
	bool timeout; /* the second: without seq and digest */
	uint16_t instance;
	uint64_t view;
	uint64_t seq;
	const uint8_t *digest32;
	uint64_t signers; /* mask */
};

/* What a liar can do with messages that only the protocol can read: lie_NAME.c. */
struct sim_lies {
	/* Where the batch begins in a proposal's body, which goes on to its end; UINT32_MAX: it
	   cannot be read. */
	uint32_t (*batch_at)(const struct message *m);
	/* Makes certificates lie in what was about to be sent. False: there are none in it. */
	bool (*certificate)(struct sim_node *node, struct lie_letter *letter, uint64_t word);
	/* Writes into an empty letter what the liar might say. False: nothing this time. */
	bool (*invent)(struct sim_node *node, struct lie_letter *letter, uint64_t word);
};

/*
 * What is known of a protocol's messages: a row of sim_modes.c. A type that is
 * 0 is none; masks have bit t for the type MESSAGE_PROTOCOL + t.
 */
struct sim_knowledge {
	const char *mode; /* whose it is */
	const char *(*type_name)(uint8_t type);
	uint8_t types_end;	 /* the protocol's last type, plus 1 */
	uint8_t leader_type;	 /* what a leader proposes with, ... */
	uint8_t vote_type;	 /* ... and what others answer first */
	uint8_t timeout_type;	 /* its sender votes no more in that view or an earlier one */
	uint8_t checkpoint_type; /* seq has one digest at all correct replicas */
	uint32_t slot_votes;	 /* (type, view, seq) is promised one digest */
	uint32_t view_votes;	 /* (type, view) is promised one seq and digest */
	bool rotates; /* views follow each other when all is well: those given up are counted */
	uint16_t (*leader)(const struct protocol_config *config, uint16_t instance, uint64_t view);
	bool tentative; /* these modes it has */
	bool reads;
	bool watch_primary;
	bool instances; /* several can be merged */
	/* Names each certificate in a message; NULL: it has none that can be judged. */
	void (*certificates)(const struct message *m,
	    void (*take)(void *context, const struct sim_certificate *c), void *context);
	const struct sim_lies *lies; /* NULL: what lie.c knows of all protocols */
};

/* A protocol and what the simulator needs to know of it. */
struct sim_protocol {
	const struct protocol *protocol;
	uint8_t index;
	bool byzantine;	  /* survives f liars */
	bool client_lies; /* and clients that lie */
	bool amnesia;	  /* a replica without memory recovers: at most f at a time */
	uint64_t needed;  /* replicas whose loss for ever it does not survive, mask */
	const struct sim_knowledge *known; /* never NULL */
};

enum sim_workload { SIM_MIX, SIM_NULL, SIM_ECHO };

/* Settings of a protocol; where a configuration has none, they are drawn from the seed. Those
   that are 0 stay as the options have them. */
struct sim_settings {
	uint32_t checkpoint_interval; /* batches */
	uint64_t view_timeout_ns;
	bool tentative;
	bool reads;
	bool watch_primary;
};

/* What the seed says about the surroundings. */
struct sim_surroundings {
	uint64_t delay_min_ns;
	uint64_t delay_spread_ns;
	uint32_t tail;	     /* one message in `tail` takes up to 20 times as long; 0: none */
	bool fifo;	     /* links do not reorder */
	uint64_t service_ns; /* of a burst, and a tenth of it for each datagram */
	uint64_t horizon_ns;
	uint64_t answered_ns; /* after it: by then all must be answered; 0: 300 s */
	uint16_t client_nodes;
};

struct sim;

/* A message on its way, before the faults. */
struct sim_passage {
	uint16_t from; /* nodes */
	uint16_t to;
	struct packet *packet; /* may be replaced by another */
	uint64_t later_ns;     /* added to its delay */
	uint32_t copies;       /* 1; more: they come, too */
};

/* What a script does to a run: see scenario.h. */
struct sim_script {
	void *self;
	/* A message leaves; false: it does not arrive. */
	bool (*message)(void *self, struct sim *sim, struct sim_passage *passage);
	void (*event)(void *self, struct sim *sim); /* something has happened */
	void (*end)(void *self, struct sim *sim);   /* the run is over, and nothing has failed */
};

struct sim_config {
	struct sim_protocol protocol;
	struct options options; /* the engine's, resolved */
	uint64_t seed;
	enum preset preset;
	enum sim_workload workload;
	uint32_t value_size_max;	       /* bytes, of the mix; 0: drawn */
	uint64_t operations;		       /* asked for in all, by all clients */
	uint64_t steps_max;		       /* events: more is no progress */
	const struct sim_script *script;       /* NULL: none */
	const struct sim_surroundings *around; /* NULL: drawn */
	const struct sim_settings *settings;   /* NULL: drawn, or (not `drawn`) as planned */
	bool drawn; /* sizes that the options leave open are drawn from the seed */
	bool real_crypto;
	FILE *trace;			 /* NULL: none */
	const struct schedule *schedule; /* NULL: drawn from the seed */
	struct schedule *happened;	 /* the faults of single messages are added; NULL: not */
	struct schedule *planned;	 /* what was drawn; NULL: not wanted */
};

struct sim_report {
	bool failed;
	char violation[SIM_TEXT_SIZE];
	uint64_t hash; /* of everything that happened */
	uint64_t events;
	uint64_t delivered; /* datagrams */
	uint64_t virtual_ns;
	uint64_t bursts;
	uint64_t operations; /* answered */
	uint64_t lost;	     /* executed, but the answer had been evicted: the client was told */
	uint64_t executed;   /* requests in the agreed order */
	uint64_t positions;
	uint64_t view_max;
	uint64_t views_failed;		    /* view changes, or views that were given up */
	uint64_t views_healed;		    /* those after the horizon */
	uint64_t flight_peak;		    /* most datagrams under way at once */
	uint64_t settled_ns;		    /* from the horizon until everything was answered */
	bool undecided;			    /* neither search nor witness could judge the history */
	uint64_t faults[FAULT_KINDS_COUNT]; /* how often each struck */
};

/* Pointers from one unit of a node to another: what is given takes a while to be seen. */
struct sim_lane {
	struct sim_unit *taker;
	bool wakes;	 /* the taker; empty parcels are looked for by who lacks one */
	uint64_t number; /* of what was given: draws the delays */
	uint64_t last_ns;
	uint32_t first;
	uint32_t count;
	uint64_t at_ns[PARCELS_MAX];
	void *objects[PARCELS_MAX];
};

enum { SIM_LANES = 4 }; /* of a link between executor and pillar */

/*
 * What one lcore does of a node: all of it, or the executor (unit 0) or one of
 * the pillars (the others). Units are scheduled apart from each other.
 */
struct sim_unit {
	struct sim_node *node;
	uint16_t index;
	struct pillar *pillar; /* NULL: unit 0 */
	uint64_t busy_until_ns;
	uint64_t wake_ns;
	uint32_t inbox_first;
	uint32_t inbox_count;
	struct packet *inbox[SIM_INBOX_MAX];
	bool inbox_own[SIM_INBOX_MAX]; /* sent by itself, not over the network */
	uint32_t held_count;	       /* in hand while the unit runs */
	struct packet *held[SHARD_BURST_MAX];
	void *envelopes_free; /* a list through the envelopes' first bytes */
	int64_t envelopes_out;
	uint64_t bursts;
	struct sim_lane lanes[SIM_LANES]; /* of a pillar: its link's */
};

/* An instance of the engine with its surroundings. */
struct sim_node {
	struct sim *sim;
	uint16_t index;
	uint16_t identity; /* a twin has the index of its original */
	bool up;
	bool paused;
	bool correct; /* neither lies nor has a twin */
	uint16_t pillars_count;
	struct sim_unit *units; /* 1 + pillars_count */
	struct parcel_link links[SIM_PILLARS_MAX];
	struct replica *replica;
	struct client *client;
	struct workload *workload;
	struct crypto *crypto;
	const struct machine *machine;
	/* The node's clock: local = clock_base + (now - clock_since) * rate / 1024. */
	uint64_t clock_base_ns;
	uint64_t clock_since_ns;
	uint64_t clock_rate;
	uint64_t wake_ns;   /* the earliest of its units' */
	bool forgets;	    /* it went down and will have lost its memory */
	bool recovering;    /* it came back without memory ... */
	uint64_t recovered; /* ... and is itself again when it has executed beyond this */
	uint64_t sends;	    /* so far: numbers the lies */
	bool roused;	    /* its last burst was not of other liars' messages alone */
	uint32_t old_count;
	struct packet *old[SIM_OLD_MAX]; /* what a liar sent or saw before */
};

struct sim {
	const struct sim_config *config;
	struct sim_report *report;
	struct options options;
	struct plan plan;
	struct sim_surroundings around;
	uint64_t operations; /* asked for in all: of large clusters, fewer */
	uint64_t steps_max;
	uint64_t now_ns;
	uint64_t hash;
	uint16_t replicas_count;
	uint16_t clients_count; /* client nodes */
	uint16_t nodes_count;	/* twins included */
	struct sim_node *nodes;
	int16_t twin_of[SIM_NODES_MAX]; /* node that shares the identity, or -1 */
	uint16_t slot_clients[SIM_SLOTS_MAX];
	struct network network;
	struct schedule schedule;
	uint32_t schedule_next;		 /* the first that has not started */
	uint32_t active[SIM_ACTIVE_MAX]; /* faults that have started and not ended */
	uint32_t active_count;
	uint64_t fault_edge_ns;	 /* when the next fault starts or ends */
	uint64_t *explicit_keys; /* hashed: messages that a MESSAGE fault names */
	uint32_t *explicit_faults;
	uint32_t explicit_mask;
	bool explicit_only; /* single messages are named: the drawn faults of messages are off */
	uint64_t link_sent[SIM_NODES_MAX][SIM_NODES_MAX];
	uint64_t link_last_ns[SIM_NODES_MAX][SIM_NODES_MAX];
	uint64_t liars;		  /* nodes that lie now or later, twins too */
	uint64_t core;		  /* replicas that must be live and equal in the end */
	uint64_t view_healed;	  /* the highest view at the horizon */
	uint64_t answered_healed; /* operations, likewise */
	bool disturbed;		  /* somebody lies, or bits flip: bad messages are to be expected */
	struct oracle oracle;
	jmp_buf escape;
	uint8_t *scratch;      /* where liars write */
	uint32_t message_room; /* bytes there: of the largest message, in segments or not */
	uint64_t late_ns;      /* a liar sends what is sent now so much later */
	uint64_t lane_ns;      /* what one unit tells another is seen after up to so long */
	struct executor_observer observers[SIM_NODES_MAX];
};

/* One run. The report says whether a promise was broken. */
void sim_run(const struct sim_config *config, struct sim_report *report);

/* Ends the run with a violation. */
_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A fault that begins now; returns its place in the schedule, which stays. */
uint32_t sim_fault_add(struct sim *sim, const struct fault *fault);
/* Ends one that has begun. */
void sim_fault_end(struct sim *sim, uint32_t index);

/* Adds a word to the hash of the run. */
static inline void
sim_note(struct sim *sim, uint64_t word)
{
	sim->hash = (sim->hash ^ word) * 0x9e3779b97f4a7c15ull;
	sim->hash ^= sim->hash >> 32;
}

/* 64 bits for one decision: they follow from the seed and these alone. */
static inline uint64_t
sim_draw(const struct sim *sim, uint64_t what, uint64_t number)
{
	return random_mix(random_mix(sim->config->seed ^ what * 0xd6e8feb86659fd93ull) +
			  number * 0x9e3779b97f4a7c15ull);
}

static inline bool
sim_chance(uint64_t word, uint64_t in_a_thousand)
{
	return word % 1000 < in_a_thousand;
}

/* ---- sim_draw.c: what the seed says of sizes ------------------------------ */

/* Surroundings, sizes and proofs: what the options leave open is drawn. */
void sim_sizes_draw(struct sim *sim);

/* ---- sim_node.c: nodes --------------------------------------------------- */

void node_open(struct sim *sim, uint16_t index, uint16_t identity, bool restarted);
void node_close(struct sim_node *node);
/* The node's own time, and when in ours its clock shows local_ns (FAULT_NEVER: never). */
uint64_t node_clock(const struct sim_node *node);
uint64_t node_clock_at(const struct sim_node *node, uint64_t local_ns);
void node_clock_set(struct sim_node *node, uint64_t rate, uint64_t jump_ns);
/* Large messages that are being put together. */
uint32_t node_assemblies(const struct sim_node *node);
/* The highest view that a replica's machines are in. */
uint64_t node_view(const struct sim_node *node);
void node_run(struct sim_node *node);
/* Puts a datagram into an inbox; takes over one reference. */
void node_receive(struct sim_node *node, struct packet *packet);
void node_inbox_clear(struct sim_node *node);
/* What a node sends to itself comes back in its next burst. Takes over one reference. */
void node_loop(struct sim_node *node, const struct send *send, struct packet *packet);
/* A correct replica has left the first view, or given one up where they rotate. */
bool sim_view_moved(const struct sim *sim);
/* Operations that clients may have asked for by now, and when one more may be. */
uint64_t sim_allowed(const struct sim *sim);
uint64_t sim_allowed_next_ns(const struct sim *sim);
/* The crypto object of an identity; they live as long as the process. */
struct crypto *sim_crypto(const struct sim *sim, uint16_t identity);
const struct crypto_ops *sim_crypto_ops(const struct sim *sim);
void node_wake(struct sim_node *node);

static inline struct shard *
unit_shard(const struct sim_unit *unit)
{
	const struct sim_node *node = unit->node;
	if (unit->pillar != NULL)
		return unit->pillar->shard;
	return node->replica != NULL ? node->replica->shard : node->client->shard;
}

/* Of a node that is one unit. */
static inline struct shard *
node_shard(const struct sim_node *node)
{
	return unit_shard(&node->units[0]);
}

/* The machine of one of its instances. */
void *node_machine(const struct sim_node *node, uint32_t instance);

/* ---- sim_unit.c: several units of one node --------------------------------- */

/* Opens the links to the node's pillars, and the pillars. */
void units_open(struct sim_node *node, const struct pillar_config *config);
void units_close(struct sim_node *node);
/* When something that another unit gave it can be seen; FAULT_NEVER. */
uint64_t unit_news_ns(const struct sim_unit *unit);
/* Which unit takes the message. */
struct sim_unit *unit_of(struct sim_node *node, const struct packet *packet);
void unit_wake(struct sim_unit *unit);

/* ---- sim_link.c: from a node's transmit to the queue ---------------------- */

/* Sends one message to one identity (a replica) or node (a client's), through the faults. */
void link_send(struct sim_node *from, uint16_t to, struct packet *packet);
void link_explicit_build(struct sim *sim);

/* The same, to one node, which is another than the sender. Takes over one reference. */
void link_pass(struct sim *sim, uint16_t from, uint16_t to, struct packet *packet);

/* ---- lie.c: what liars make of their messages ----------------------------- */

/* A message taken apart in the simulation's scratch memory, to be changed and sealed again. */
struct lie_letter {
	struct message_header *header;
	uint8_t *body;
	uint32_t body_size;
	uint32_t body_room;
	uint8_t flags; /* enum send_flags */
	uint8_t proof; /* as the engine seals it: a Merkle proof without its depth */
};
/* False: it cannot be taken apart. */
bool lie_open(const struct sim *sim, struct lie_letter *letter, const void *data, uint32_t size);
/* Sealed with the node's own keys, for a replica or the client of a slot. */
struct packet *lie_seal(
    struct sim_node *node, struct lie_letter *letter, uint16_t to, uint16_t client);

/* True: the send was replaced; nothing more is to be done with it. */
bool lie_send(struct sim_node *node, const struct send *send);
/* A large message that was sealed just now: receivers that are told something else are struck
   from send->to, or it is changed in place. */
void lie_send_large(struct sim_node *node, struct send *send);
/* lie_batch.c: makes another batch of one in place. False: it is none. */
struct lie_body {
	uint8_t *bytes; /* aligned to 8 */
	uint32_t size;
	uint32_t room;
};
bool lie_batch(
    const struct sim *sim, struct lie_body *body, const struct packet *other, uint64_t word);
/* Where a batch begins in a message's body; UINT32_MAX: it holds none. */
uint32_t lie_batch_at(const struct sim *sim, const struct message *m);
/* lie_batch() of the batch in a letter, which may stand behind other things. */
bool lie_letter_batch(const struct sim_node *node, struct lie_letter *letter,
    const struct packet *other, uint64_t word);
void lie_generate(struct sim_node *node, const struct fault *fault, uint64_t number);
/* The same, of what the protocol's own struct sim_lies writes. */
void lie_invent(struct sim_node *node, const struct fault *fault, uint64_t number);
/* Does a burst that `node` has taken give it occasion to invent something, if it lies? */
bool lie_is_roused(const struct sim_node *node, const struct datagram *list, uint32_t count);
/* What the liar sent or saw before, of a type; NULL: none. `word` chooses. */
const struct packet *lie_old(const struct sim_node *node, uint8_t type, uint64_t word);
void lie_remember(struct sim_node *node, struct packet *packet);

/* ---- sim_trace.c ---------------------------------------------------------- */

void trace_message(
    struct sim *sim, uint16_t from, uint16_t to, const struct packet *packet, const char *verdict);
void trace_note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
