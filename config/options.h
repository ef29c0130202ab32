/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of every program, from one table: a row is an option, with
 * the programs that take it. Parsing and resolving are separate: parsing takes
 * what is written, resolving fills in what depends on something else and
 * refuses contradictions. Used at start, on the main lcore alone (getopt has
 * global state).
 */
#ifndef OSKR_CONFIG_OPTIONS_H
#define OSKR_CONFIG_OPTIONS_H

#include "config/auth.h"
#include "config/error.h"
#include "config/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum program {
	PROGRAM_CLUSTER = 1 << 0, /* oskr-cluster: replicas and clients in one process */
	PROGRAM_REPLICA = 1 << 1, /* oskr-replica */
	PROGRAM_CLIENT = 1 << 2,  /* oskr-client */
	PROGRAM_SIM = 1 << 3,	  /* oskr-sim */
};

/* The rows of the table, in the order of the help. */
enum option_id {
	OPTION_MODE,
	OPTION_CLUSTER,
	OPTION_INDEX,
	OPTION_LIFE,
	OPTION_STATE,
	OPTION_FAULTS,
	OPTION_REPLICAS,
	OPTION_INSTANCES,
	OPTION_LEADER_OFFSET,
	OPTION_PILLARS,
	OPTION_BATCH,
	OPTION_BATCH_TIMEOUT,
	OPTION_ADAPTIVE,
	OPTION_WINDOW,
	OPTION_CHECKPOINT_INTERVAL,
	OPTION_VIEW_TIMEOUT,
	OPTION_WATCH_PRIMARY,
	OPTION_STABLE_LEADER,
	OPTION_WAIT_ALL,
	OPTION_TENTATIVE,
	OPTION_READ_ONLY,
	OPTION_PROFILE,
	OPTION_AUTH,
	OPTION_REQUEST_AUTH,
	OPTION_REPLY_AUTH,
	OPTION_CLIENTS,
	OPTION_SLOTS,
	OPTION_RATE,
	OPTION_SECONDS,
	OPTION_WARM,
	OPTION_RETRY,
	OPTION_WAIT,
	OPTION_APP,
	OPTION_APP_MEMORY,
	OPTION_WORKLOAD,
	OPTION_REQUEST_SIZE,
	OPTION_REPLY_SIZE,
	OPTION_RECORDS,
	OPTION_RECORD_SIZE,
	OPTION_DISTRIBUTION,
	OPTION_SEED,
	OPTION_MTU,
	OPTION_PORT,
	OPTION_QUEUES,
	OPTION_HELPERS,
	OPTION_IP,
	OPTION_CORES,
	OPTION_IDLE,
	OPTION_DROP,
	OPTION_KILL_LEADER_AT,
	OPTION_RESTART_AT,
	OPTION_JSON,
	OPTION_HGRM,
	OPTION_HISTORY,
	OPTION_LOG_LEVEL,
	OPTION_QUIET,
	OPTION_MODES,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_COUNT,
};
static_assert(OPTION_COUNT <= 64, "a 64-bit mask records which were given");

enum app_kind { APP_NULL, APP_ECHO, APP_KV };

enum workload_kind {
	WORKLOAD_NULL,
	WORKLOAD_ECHO,
	WORKLOAD_YCSB_A,
	WORKLOAD_YCSB_B,
	WORKLOAD_YCSB_C,
	WORKLOAD_YCSB_D,
	WORKLOAD_YCSB_E,
	WORKLOAD_YCSB_F,
};

enum distribution { DISTRIBUTION_UNIFORM, DISTRIBUTION_ZIPFIAN, DISTRIBUTION_LATEST };

/* IDLE_AUTO: the caller takes poll if each lcore has a CPU of its own, else yield. */
enum idle { IDLE_AUTO, IDLE_POLL, IDLE_PAUSE, IDLE_YIELD, IDLE_SLEEP };

enum cores { CORES_ALL, CORES_ONE };

/* A mode the program offers, given by the caller. Static storage. */
struct options_mode {
	const char *name;
	const char *alias;	     /* another accepted spelling, or NULL */
	uint32_t replicas_per_fault; /* the least n is replicas_per_fault * f + ... */
	uint32_t replicas_base;	     /* ... replicas_base */
	bool replies_signed;	     /* --reply-auth is sign unless given */
	bool speculative;	     /* --instances 1 only; an answer takes all replicas' replies */
	bool votes_signed;	     /* replicas sign and verify for each batch, whatever --auth */
};

/* Not replicated: the number of replicas does not follow from that of faults. */
static inline bool
options_mode_single(const struct options_mode *mode)
{
	return mode->replicas_per_fault == 0;
}

/* The program that parses. Static storage; outlives the options. */
struct options_program {
	const char *name; /* as in "oskr-cluster: ..." */
	const char *version;
	const char *summary; /* what the program does: a sentence or two for the help */
	enum program program;
	const struct options_mode *modes;
	uint32_t modes_count;
};

/*
 * What the command line says. Texts point into argv (or are static). After
 * options_resolve() every field is concrete.
 */
struct options {
	uint64_t given; /* bit i: enum option_id i was written on the command line */

	const char *mode_name;		 /* as written; NULL when absent */
	const struct options_mode *mode; /* set by options_resolve() */
	const char *cluster;		 /* the cluster file; NULL in oskr-cluster */
	uint32_t index;			 /* which replica, or which client node, this process is */
	uint32_t life;			 /* of the cluster: see option_table.c */
	const char *state;		 /* a replica's note that it runs; NULL: beside its key */
	uint32_t faults;		 /* 0 in a mode without replication */
	uint32_t replicas;		 /* 0 until resolved: the mode's least for `faults` */
	uint32_t instances;
	uint32_t
	    leader_offset; /* of each instance to the one before; 0: all have the same leader */
	uint32_t pillars;  /* lcores that order, beside the one that executes; 0: one for both */
	uint32_t batch;	   /* requests */
	uint64_t batch_timeout_ns;
	bool adaptive;
	uint32_t window;	      /* open batches per instance */
	uint32_t checkpoint_interval; /* batches; 0 in a mode without replication */
	uint64_t view_timeout_ns;
	bool watch_primary; /* replace one that is much slower than others were */
	bool wait_all;	    /* a speculative answer counts only when all replicas give it */
	bool stable_leader; /* a leader stays until it fails, where others would take turns */
	bool tentative;	    /* execute before commit */
	bool reads;	    /* read-only operations are not ordered */

	enum profile profile;
	enum auth auth;
	enum auth request_auth;
	enum auth reply_auth;

	uint32_t clients; /* slots: each has one operation outstanding */
	uint32_t slots;	  /* that each client node may use; processes only */
	uint64_t rate;	  /* offered operations a second; 0: closed loop */
	uint64_t seconds_ns;
	uint64_t warm_ns;
	uint64_t retry_ns;
	uint64_t wait_ns; /* for replicas, before the first operation */

	enum app_kind app;
	uint32_t app_memory_mib;
	enum workload_kind workload;
	uint32_t request_size; /* bytes; echo only */
	uint32_t reply_size;   /* bytes; echo only; 0 only if request_size is */
	uint32_t records;
	uint32_t record_size; /* bytes of a value */
	enum distribution distribution;
	uint64_t seed;

	uint32_t mtu;	  /* bytes */
	const char *port; /* DPDK's name or number of it; NULL: the only one */
	uint32_t queues;  /* of the port, each with an lcore */
	uint32_t helpers; /* lcores that only sign and verify */
	uint32_t ip;	  /* a client node's address, host order; 0: follows from the MAC */
	enum cores cores;
	enum idle idle;

	double drop;		 /* probability, 0..0.9 */
	uint64_t kill_leader_ns; /* after the measured phase began; 0: never */
	uint64_t restart_ns;	 /* likewise, of the replica that was killed */

	const char *json; /* file names; NULL when absent */
	const char *hgrm;
	const char *history;
	const char *log_levels[LIMIT_LOG_LEVELS]; /* TYPE:LEVEL, in the order given */
	uint32_t log_levels_count;		  /* at least 1: oskr:notice when none is given */
	bool quiet;

	/* Sizes inside the workload's own text, echo:REQUEST/REPLY; -1 when absent. */
	int64_t workload_request_size;
	int64_t workload_reply_size;
};

/* What the caller does after parsing. */
enum options_action {
	OPTIONS_RUN,	 /* go on with options_resolve() */
	OPTIONS_HELP,	 /* options_print_help(stdout), exit status 0 */
	OPTIONS_MODES,	 /* options_print_modes(stdout), exit status 0 */
	OPTIONS_VERSION, /* options_print_version(stdout), exit status 0 */
};

/*
 * Parses argv, argv[0] being skipped: what follows the EAL's "--". Fills
 * `options` with the defaults first. Returns an enum options_action, or
 * -EINVAL with one line in `error`; main prints it to stderr and exits 2. May
 * reorder argv, as getopt_long does.
 */
int options_parse(struct options *options, const struct options_program *program, int argc,
    char **argv, struct config_error *error);

/*
 * Sets options->mode from what was written: what a program needs before it can read a
 * cluster file. Pure. Returns 0, or -EINVAL with one line in `error`.
 */
int options_resolve_mode(
    struct options *options, const struct options_program *program, struct config_error *error);

/*
 * Fills in what depends on other options: mode, replicas, authentication by
 * profile, application, workload, sizes, distribution. Pure. Returns 0, or
 * -EINVAL with one line in `error` for an unknown mode or a contradiction.
 */
int options_resolve(
    struct options *options, const struct options_program *program, struct config_error *error);

/* Whether the option was written on the command line, not defaulted. */
static inline bool
options_given(const struct options *options, enum option_id option)
{
	return (options->given >> option & 1) != 0;
}

void options_print_help(FILE *file, const struct options_program *program);
void options_print_modes(FILE *file, const struct options_program *program);
void options_print_version(FILE *file, const struct options_program *program);

/* The command line's own words, for results. The value must be in range. */
const char *options_app_name(enum app_kind app);
const char *options_workload_name(enum workload_kind workload);
const char *options_distribution_name(enum distribution distribution);
const char *options_idle_name(enum idle idle);

#endif
