/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heart of oskr-switch: where a frame goes, and what becomes of it on its way.
 *
 *     hub_targets()   the ports that a frame from one port is for: what was learnt of
 *                     its destination, or all others (IEEE 802.1D, 7.7 to 7.9)
 *     hub_judge()     the frame's fate on the link from one port to another: lost,
 *                     late, twice, damaged, or none of these
 *     hub_command()   changes the faults
 *
 * Pure: time and the seed come from outside, frames are never seen. Each directed
 * link draws from a stream of its own, so that what becomes of the k-th frame of a
 * link depends on the seed, the link and k alone. Owned by one lcore; others may read
 * single counters.
 */
#ifndef OSKR_LCORE_HUB_H
#define OSKR_LCORE_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/random.h"

enum {
	HUB_PORTS_MAX = 64, /* a set of ports is a 64-bit mask */
	/* Entries of the table of MACs, a power of two: 16 a port when all ports are there. */
	HUB_MACS_MAX = 1024,
	HUB_PROBES = 16,	/* places where a MAC may lie */
	HUB_SWEEPS_PER_AGE = 8, /* searches of the whole table for old MACs, at most */
	HUB_PORT_MACS_MAX =
	    64, /* learnt of one port, so that a hostile one cannot fill the table */
	HUB_COPIES_MAX = 2,
	HUB_PPM = 1000 * 1000, /* probabilities are in millionths */
	HUB_PORT_ANY = 255,
	HUB_UNDAMAGED = INT32_MAX,
	/* Group addresses up to here are a bridge's own and never forwarded (802.1D, 7.12.6). */
	HUB_RESERVED_LAST = 0x0f,
};

/* What may be wrong with a link. All zero: nothing. */
struct hub_faults {
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm;
	uint32_t corrupt_ppm;
	uint64_t reorder_ns; /* a frame that is held back comes so much later */
	uint64_t delay_ns;
	uint64_t jitter_ns; /* uniform in 0 .. jitter_ns on top of the delay */
};

struct hub_link_counters {
	uint64_t frames; /* that were for this link */
	uint64_t bytes;
	uint64_t cut; /* lost by a cut or a partition */
	uint64_t lost;
	uint64_t delayed;
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t corrupted;
};

struct hub_link {
	struct hub_faults faults;
	struct random random;
	uint64_t last_due_ns; /* of the frames that keep their order */
	struct hub_link_counters counters;
};

struct hub_mac {
	uint64_t seen_ns; /* 0: a free place */
	uint8_t mac[6];
	uint8_t port;
};

struct hub_port_counters {
	uint64_t flooded;    /* frames for a MAC that nobody had */
	uint64_t reserved;   /* frames to a bridge's own addresses, and malformed ones: dropped */
	uint64_t learnt;     /* MACs */
	uint64_t moved;	     /* MACs that were another port's before */
	uint64_t not_learnt; /* the port has its share, or all places are taken */
};

struct hub_config {
	uint32_t ports_count; /* 1 .. HUB_PORTS_MAX */
	uint64_t seed;
	uint64_t age_ns; /* a MAC that was not heard of for so long is forgotten */
};

struct hub {
	struct hub_config config;
	uint64_t partitioned[HUB_PORTS_MAX]; /* ports that each one's frames do not reach */
	uint64_t cut[HUB_PORTS_MAX];	     /* the same, one link at a time */
	uint32_t macs_of_port[HUB_PORTS_MAX];
	uint64_t swept_ns; /* when all old MACs were last forgotten */
	struct hub_port_counters ports[HUB_PORTS_MAX];
	struct hub_mac macs[HUB_MACS_MAX];
	struct hub_link links[HUB_PORTS_MAX][HUB_PORTS_MAX]; /* [from][to] */
};

/* What becomes of a frame on one link. */
struct hub_fate {
	uint32_t copies; /* 0: lost */
	uint64_t due_ns[HUB_COPIES_MAX];
	uint32_t damaged_bit[HUB_COPIES_MAX]; /* of the frame, to be inverted; or HUB_UNDAMAGED */
};

enum hub_verb {
	HUB_PARTITION, /* `groups`: frames pass inside a group only; ports in none reach all */
	HUB_HEAL,      /* ends the partition and all cuts */
	HUB_CUT,       /* the links named */
	HUB_MEND,      /* ends cuts of the links named */
	HUB_LOSS,      /* `ppm` */
	HUB_DELAY,     /* `time_ns`, `jitter_ns` */
	HUB_REORDER,   /* `ppm`, `time_ns` */
	HUB_DUPLICATE, /* `ppm` */
	HUB_CORRUPT,   /* `ppm` */
	HUB_CLEAR,     /* ends everything, as at the start */
	HUB_VERBS_COUNT,
};

struct hub_command {
	enum hub_verb verb;
	uint8_t from; /* the links from..to; HUB_PORT_ANY: of every port */
	uint8_t to;
	bool both;	       /* and those from `to` to `from` */
	uint32_t groups_count; /* of a partition */
	uint64_t groups[HUB_PORTS_MAX];
	uint32_t ppm;
	uint64_t time_ns;
	uint64_t jitter_ns;
};

/* Without faults, nothing learnt. */
void hub_init(struct hub *h, const struct hub_config *config);

/*
 * Learns that source[6] is behind `from` at now_ns, and returns the ports that a frame to
 * destination[6] goes to: never `from` itself. now_ns is not 0 and never falls.
 */
uint64_t hub_targets(struct hub *h, uint32_t from, const uint8_t *destination,
    const uint8_t *source, uint64_t now_ns);

/* Decides about one frame of `size` bytes, at least 1, on the link from -> to. */
struct hub_fate hub_judge(
    struct hub *h, uint32_t from, uint32_t to, uint32_t size, uint64_t now_ns);

/* The command's ports are below ports_count, or HUB_PORT_ANY. */
void hub_command(struct hub *h, const struct hub_command *command);

#endif
