/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process tells of itself while it runs, through DPDK's telemetry
 * socket: /oskr/info (what runs here), /oskr/stats (counters), and the rest of the list
 * below. The socket is
 *
 *     RUNTIME/dpdk/PREFIX/dpdk_telemetry.v2
 *
 * of type SOCK_SEQPACKET, where PREFIX is --file-prefix (rte when not given) and
 * RUNTIME is /var/run for root, else $XDG_RUNTIME_DIR or /tmp. Further processes
 * with --in-memory and the same prefix append ":1", ":2", ... to its name. A
 * client sends "/oskr/stats" and reads one JSON object; dpdk-telemetry.py of
 * DPDK's usertools is such a client (dpdk-telemetry.py -f PREFIX -i INSTANCE).
 *
 * The owner's callbacks run on DPDK's telemetry thread, beside the lcores: they
 * may read single words that an lcore writes, and must not write any.
 *
 * An answer has at most 256 entries and 16 KiB (rte_telemetry's own bounds). A
 * longer list comes in parts: the entry "next" is the parameter that asks for
 * the following part, as in "/oskr/stats,240".
 */
#ifndef OSKR_LCORE_TELEMETRY_H
#define OSKR_LCORE_TELEMETRY_H

#include <stdint.h>

/* The commands; a new one is a line here and one in telemetry.c's table. */
enum telemetry_command {
	TELEMETRY_INFO,	   /* /oskr/info */
	TELEMETRY_STATS,   /* /oskr/stats */
	TELEMETRY_VIEW,	   /* /oskr/view */
	TELEMETRY_LATENCY, /* /oskr/latency */
	TELEMETRY_SHARDS,  /* /oskr/shards */
	TELEMETRY_PEERS,   /* /oskr/peers */
	TELEMETRY_COMMANDS_COUNT,
};

enum {
	TELEMETRY_NAME_SIZE = 64,  /* bytes of an entry's name, with its end; longer is cut */
	TELEMETRY_TEXT_SIZE = 128, /* bytes of a text value, with its end; longer is cut */
};

struct telemetry_rows; /* the answer under way */

/*
 * Adds an entry. `name` is in printf's form; it should be of letters, digits,
 * '_' and '/', others become '_'. Names must differ, and come in the same order
 * each time, so that parts fit together.
 */
void telemetry_number(struct telemetry_rows *rows, uint64_t value, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
void telemetry_text(struct telemetry_rows *rows, const char *value, const char *name, ...)
    __attribute__((format(printf, 3, 4)));

/* Who answers. */
struct telemetry_source {
	void *self;
	/* Each adds all of its rows; NULL: the command is not offered. */
	void (*fill[TELEMETRY_COMMANDS_COUNT])(void *self, struct telemetry_rows *rows);
};

/*
 * Registers the commands. After launch_eal(), once a process; `source` is copied, what
 * its self points to lives until telemetry_close(). Returns 0 or a negative errno.
 */
int telemetry_open(const struct telemetry_source *source);

/* Waits for an answer under way; from then on the commands fail. */
void telemetry_close(void);

#endif
