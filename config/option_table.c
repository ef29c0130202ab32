/* SPDX-License-Identifier: Apache-2.0 */
/* Every option: what it is called, takes, defaults to and means. Constant; any core. */
#include "config/option_table.h"

#include "config/option_value.h"

#include <stddef.h>

#define FIELD(name) .offset = (uint32_t)offsetof(struct options, name)

enum {
	REPLICAS = PROGRAM_CLUSTER | PROGRAM_REPLICA,
	CLIENTS = PROGRAM_CLUSTER | PROGRAM_CLIENT,
	NODES = PROGRAM_CLUSTER | PROGRAM_REPLICA | PROGRAM_CLIENT,
	PROCESSES = PROGRAM_REPLICA | PROGRAM_CLIENT,
	EVERY = NODES | PROGRAM_SIM,
};

const struct option_row option_table[OPTION_COUNT] = {
    [OPTION_MODE] =
	{
	    .name = "mode",
	    .letter = 'm',
	    .argument = "NAME",
	    .help = "the protocol to run; must be given",
	    .parse = option_parse_text,
	    .valid = "one of those that --modes lists",
	    FIELD(mode_name),
	    .programs = EVERY,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_CLUSTER] =
	{
	    .name = "cluster",
	    .letter = 'c',
	    .argument = "FILE",
	    .help = "the cluster file, beside which the keys are: FILE-<i>.pem is replica i's own, "
		    "FILE-client-<k>.pem client node k's, .pub are everybody's; must be given",
	    .parse = option_parse_text,
	    .valid = "a file name that does not begin with -",
	    FIELD(cluster),
	    .programs = PROCESSES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_INDEX] =
	{
	    .name = "index",
	    .letter = 'i',
	    .argument = "N",
	    .initial = "0",
	    .shown = "0 in oskr-client; a replica's must be given",
	    .help = "which of the replicas, or of the client nodes, this process is",
	    .parse = option_parse_u32,
	    .max = LIMIT_REPLICAS - 1,
	    FIELD(index),
	    .programs = PROCESSES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_LIFE] =
	{
	    .name = "life",
	    .argument = "N",
	    .initial = "1",
	    .help = "which life of the cluster this is, the same for all: one higher when all "
		    "replicas had been stopped, and their state is lost",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = UINT32_MAX,
	    FIELD(life),
	    .programs = PROCESSES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_STATE] =
	{
	    .name = "state",
	    .argument = "FILE",
	    .shown = "the cluster file's name and -<i>.ran",
	    .help = "where this replica notes that it has run in this life; every later start is "
		    "then a restart without memory",
	    .parse = option_parse_text,
	    .valid = "a file name that does not begin with -",
	    FIELD(state),
	    .programs = PROGRAM_REPLICA,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_FAULTS] =
	{
	    .name = "faults",
	    .letter = 'f',
	    .argument = "N",
	    .initial = "1",
	    .help = "faulty replicas to tolerate",
	    .parse = option_parse_u32,
	    .max = LIMIT_FAULTS,
	    FIELD(faults),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_REPLICAS] =
	{
	    .name = "replicas",
	    .letter = 'n',
	    .argument = "N",
	    .initial = "0",
	    .shown = "the least for --faults",
	    .help = "replicas; 0 for the least that the mode needs for --faults",
	    .parse = option_parse_u32,
	    .max = LIMIT_REPLICAS,
	    FIELD(replicas),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_INSTANCES] =
	{
	    .name = "instances",
	    .argument = "S",
	    .initial = "1",
	    .help = "ordering instances, merged round robin; client c uses c mod S",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_INSTANCES,
	    FIELD(instances),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_LEADER_OFFSET] =
	{
	    .name = "leader-offset",
	    .argument = "N",
	    .initial = "1",
	    .help = "1: each instance begins with the leader after that of the instance before, so "
		    "that leading is shared; 0: all begin with the same",
	    .parse = option_parse_u32,
	    .max = 1,
	    FIELD(leader_offset),
	    .programs = NODES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_PILLARS] =
	{
	    .name = "pillars",
	    .argument = "L",
	    .initial = "0",
	    .help = "lcores on which a replica orders, instance i on i mod L, beside the one "
		    "on which it executes; 0: one does both",
	    .parse = option_parse_u32,
	    .max = LIMIT_PILLARS,
	    FIELD(pillars),
	    .programs = REPLICAS,
	    .group = GROUP_MACHINE,
	},
    [OPTION_BATCH] =
	{
	    .name = "batch",
	    .letter = 'b',
	    .argument = "N",
	    .initial = "100",
	    .help = "requests in a batch at most",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_BATCH_REQUESTS,
	    FIELD(batch),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_BATCH_TIMEOUT] =
	{
	    .name = "batch-timeout",
	    .argument = "US",
	    .initial = "100",
	    .help = "microseconds after which a batch is closed though not full",
	    .parse = option_parse_u64,
	    .min = MICRO_NS,
	    .max = SECOND_NS,
	    .scale = MICRO_NS,
	    FIELD(batch_timeout_ns),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_ADAPTIVE] =
	{
	    .name = "adaptive",
	    .shown = "off",
	    .help = "close a batch as soon as the pipeline has room, up to --batch",
	    .parse = option_parse_flag,
	    FIELD(adaptive),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_WINDOW] =
	{
	    .name = "window",
	    .argument = "N",
	    .initial = "8",
	    .help = "batches proposed and not yet delivered, per instance",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_BATCHES_OPEN,
	    FIELD(window),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_CHECKPOINT_INTERVAL] =
	{
	    .name = "checkpoint-interval",
	    .argument = "N",
	    .initial = "128",
	    .help = "batches between two checkpoints, per instance; at least --window. "
		    "Several instances share the default: 128 / --instances, but two "
		    "windows at least",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_CHECKPOINT_INTERVAL,
	    FIELD(checkpoint_interval),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_VIEW_TIMEOUT] =
	{
	    .name = "view-timeout",
	    .argument = "MS",
	    .initial = "250",
	    .help = "milliseconds that a known request may wait without any progress, then the "
		    "primary is replaced",
	    .parse = option_parse_u64,
	    .min = MILLI_NS,
	    .max = 60000ull * MILLI_NS,
	    .scale = MILLI_NS,
	    FIELD(view_timeout_ns),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_WATCH_PRIMARY] =
	{
	    .name = "watch-primary",
	    .shown = "off",
	    .help = "replace a primary that is much slower than others were, too",
	    .parse = option_parse_flag,
	    FIELD(watch_primary),
	    .programs = REPLICAS,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_STABLE_LEADER] =
	{
	    .name = "stable-leader",
	    .shown = "off",
	    .help = "a leader stays until it fails, where leaders would take turns (HotStuff)",
	    .parse = option_parse_flag,
	    FIELD(stable_leader),
	    .programs = NODES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_WAIT_ALL] =
	{
	    .name = "wait-all",
	    .shown = "off",
	    .help = "clients take the fast path only: an answer that all replicas give (Zyzzyva)",
	    .parse = option_parse_flag,
	    FIELD(wait_all),
	    .programs = NODES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_TENTATIVE] =
	{
	    .name = "tentative",
	    .shown = "off",
	    .help = "execute what is prepared and commit it later; clients wait for a quorum",
	    .parse = option_parse_flag,
	    FIELD(tentative),
	    .programs = NODES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_READ_ONLY] =
	{
	    .name = "read-only",
	    .shown = "off",
	    .help = "serve read-only operations without ordering them; writes then wait for a "
		    "quorum",
	    .parse = option_parse_flag,
	    FIELD(reads),
	    .programs = NODES,
	    .group = GROUP_PROTOCOL,
	},
    [OPTION_PROFILE] =
	{
	    .name = "profile",
	    .argument = "NAME",
	    .initial = "fast",
	    .help =
		"fast: MACs for all; seed: requests bare, the rest signed; paranoid: all signed",
	    .parse = option_parse_choice,
	    .choices = option_choices_profile,
	    FIELD(profile),
	    .programs = NODES,
	    .group = GROUP_AUTH,
	},
    [OPTION_AUTH] =
	{
	    .name = "auth",
	    .argument = "HOW",
	    .shown = "by --profile",
	    .help = "how replicas authenticate to each other",
	    .parse = option_parse_choice,
	    .choices = option_choices_auth,
	    FIELD(auth),
	    .programs = NODES,
	    .group = GROUP_AUTH,
	},
    [OPTION_REQUEST_AUTH] =
	{
	    .name = "request-auth",
	    .argument = "HOW",
	    .shown = "by --profile",
	    .help = "how clients' requests are authenticated",
	    .parse = option_parse_choice,
	    .choices = option_choices_request_auth,
	    FIELD(request_auth),
	    .programs = NODES,
	    .group = GROUP_AUTH,
	},
    [OPTION_REPLY_AUTH] =
	{
	    .name = "reply-auth",
	    .argument = "HOW",
	    .shown = "by mode and --profile",
	    .help = "how replies are authenticated; batch: one signature over the Merkle root of a "
		    "burst",
	    .parse = option_parse_choice,
	    .choices = option_choices_reply_auth,
	    FIELD(reply_auth),
	    .programs = NODES,
	    .group = GROUP_AUTH,
	},
    [OPTION_CLIENTS] =
	{
	    .name = "clients",
	    .letter = 't',
	    .argument = "N",
	    .initial = "64",
	    .help = "client slots, each with one operation outstanding",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_CLIENTS,
	    FIELD(clients),
	    .programs = CLIENTS,
	    .group = GROUP_LOAD,
	},
    [OPTION_SLOTS] =
	{
	    .name = "slots",
	    .argument = "N",
	    .initial = "256",
	    .help = "client slots that each client node may use, the same for all processes",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_CLIENTS,
	    FIELD(slots),
	    .programs = PROCESSES,
	    .group = GROUP_LOAD,
	},
    [OPTION_RATE] =
	{
	    .name = "rate",
	    .argument = "OPS",
	    .initial = "0",
	    .help = "operations a second, offered whatever the answers, an open loop; 0 is a "
		    "closed loop",
	    .parse = option_parse_u64,
	    .max = LIMIT_RATE,
	    FIELD(rate),
	    .programs = CLIENTS,
	    .group = GROUP_LOAD,
	},
    [OPTION_SECONDS] =
	{
	    .name = "seconds",
	    .letter = 'd',
	    .argument = "S",
	    .initial = "10",
	    .help = "seconds to measure; fractions are fine",
	    .parse = option_parse_u64,
	    .min = MILLI_NS,
	    .max = 604800ull * SECOND_NS,
	    .scale = SECOND_NS,
	    FIELD(seconds_ns),
	    .programs = CLIENTS,
	    .group = GROUP_LOAD,
	},
    [OPTION_WARM] =
	{
	    .name = "warm",
	    .argument = "S",
	    .initial = "1",
	    .help = "seconds to run before measuring",
	    .parse = option_parse_u64,
	    .max = 3600ull * SECOND_NS,
	    .scale = SECOND_NS,
	    FIELD(warm_ns),
	    .programs = CLIENTS,
	    .group = GROUP_LOAD,
	},
    [OPTION_RETRY] =
	{
	    .name = "retry",
	    .argument = "MS",
	    .initial = "50",
	    .help = "milliseconds after which a client sends its request again",
	    .parse = option_parse_u64,
	    .min = MILLI_NS / 10,
	    .max = 60000ull * MILLI_NS,
	    .scale = MILLI_NS,
	    FIELD(retry_ns),
	    .programs = CLIENTS,
	    .group = GROUP_LOAD,
	},
    [OPTION_WAIT] =
	{
	    .name = "wait",
	    .argument = "S",
	    .initial = "30",
	    .help = "seconds to wait for enough replicas before giving up",
	    .parse = option_parse_u64,
	    .min = MILLI_NS,
	    .max = 3600ull * SECOND_NS,
	    .scale = SECOND_NS,
	    FIELD(wait_ns),
	    .programs = PROGRAM_CLIENT,
	    .group = GROUP_LOAD,
	},
    [OPTION_APP] =
	{
	    .name = "app",
	    .argument = "NAME",
	    .initial = "null",
	    .shown = "what --workload needs, else null",
	    .help = "the replicated application",
	    .parse = option_parse_choice,
	    .choices = option_choices_app,
	    FIELD(app),
	    .programs = NODES,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_APP_MEMORY] =
	{
	    .name = "app-memory",
	    .argument = "MIB",
	    .initial = "64",
	    .help = "MiB of application state in each replica",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_APP_MEMORY_MIB,
	    FIELD(app_memory_mib),
	    .programs = REPLICAS,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_WORKLOAD] =
	{
	    .name = "workload",
	    .letter = 'w',
	    .argument = "NAME",
	    .initial = "null",
	    .shown = "null; echo for --app echo, ycsb-b for kv",
	    .help = "what clients ask for",
	    .parse = option_parse_workload,
	    .choices = option_choices_workload,
	    .valid = "null, echo, echo:REQUEST/REPLY (bytes, 0..1048576 and 1..1048576), or ycsb-a "
		     "to ycsb-f",
	    FIELD(workload),
	    .programs = NODES,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_REQUEST_SIZE] =
	{
	    .name = "request-size",
	    .argument = "BYTES",
	    .initial = "64",
	    .help = "bytes of a request of workload echo",
	    .parse = option_parse_u32,
	    .max = LIMIT_VALUE_SIZE,
	    FIELD(request_size),
	    .programs = NODES,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_REPLY_SIZE] =
	{
	    .name = "reply-size",
	    .argument = "BYTES",
	    .shown = "--request-size",
	    .help = "bytes of a reply of workload echo",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_VALUE_SIZE,
	    FIELD(reply_size),
	    .programs = NODES,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_RECORDS] =
	{
	    .name = "records",
	    .argument = "N",
	    .initial = "100000",
	    .help = "records that a ycsb workload loads first",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_RECORDS,
	    FIELD(records),
	    .programs = CLIENTS,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_RECORD_SIZE] =
	{
	    .name = "record-size",
	    .argument = "BYTES",
	    .initial = "100",
	    .help = "bytes of a ycsb record's value",
	    .parse = option_parse_u32,
	    .min = LIMIT_RECORD_SIZE_MIN,
	    .max = LIMIT_VALUE_SIZE,
	    FIELD(record_size),
	    .programs = NODES,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_DISTRIBUTION] =
	{
	    .name = "distribution",
	    .argument = "NAME",
	    .shown = "the workload's own",
	    .help = "how a ycsb workload picks records",
	    .parse = option_parse_choice,
	    .choices = option_choices_distribution,
	    FIELD(distribution),
	    .programs = CLIENTS,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_SEED] =
	{
	    .name = "seed",
	    .argument = "N",
	    .initial = "1",
	    .help = "seed of the workload's random choices",
	    .parse = option_parse_u64,
	    .max = UINT64_MAX,
	    FIELD(seed),
	    .programs = CLIENTS,
	    .group = GROUP_WORKLOAD,
	},
    [OPTION_MTU] =
	{
	    .name = "mtu",
	    .argument = "BYTES",
	    .initial = "1500",
	    .help = "bytes of an IP packet; larger messages travel in segments",
	    .parse = option_parse_u32,
	    .min = LIMIT_MTU_MIN,
	    .max = LIMIT_MTU,
	    FIELD(mtu),
	    .programs = NODES,
	    .group = GROUP_MACHINE,
	},
    [OPTION_PORT] =
	{
	    .name = "port",
	    .argument = "NAME",
	    .shown = "the only one",
	    .help = "the DPDK port to use, by number or name, as net_memif0",
	    .parse = option_parse_text,
	    .valid = "a port that DPDK knows",
	    FIELD(port),
	    .programs = PROCESSES,
	    .group = GROUP_MACHINE,
	},
    [OPTION_QUEUES] =
	{
	    .name = "queues",
	    .argument = "N",
	    .initial = "1",
	    .shown = "1; with --pillars one for each and for the executor, where the port can",
	    .help = "queues of the port, each with an lcore of its own; the first is the "
		    "replica's, others hand over to it what is not theirs",
	    .parse = option_parse_u32,
	    .min = 1,
	    .max = LIMIT_QUEUES,
	    FIELD(queues),
	    .programs = PROGRAM_REPLICA,
	    .group = GROUP_MACHINE,
	},
    [OPTION_HELPERS] =
	{
	    .name = "helpers",
	    .argument = "N",
	    .shown =
		"none, idle lcores help others; of a process of its own: every lcore that has no "
		"queue and no pillar",
	    .help = "the last N lcores only sign and verify, for all others; 0: nobody helps "
		    "anybody",
	    .parse = option_parse_u32,
	    .max = LIMIT_LCORES - 1,
	    FIELD(helpers),
	    .programs = NODES,
	    .group = GROUP_MACHINE,
	},
    [OPTION_IP] =
	{
	    .name = "ip",
	    .argument = "A.B.C.D",
	    .shown = "10.x.y.z of the port's MAC",
	    .help = "this client node's IPv4 address",
	    .parse = option_parse_ip,
	    .valid = "an IPv4 address, as 192.0.2.10",
	    FIELD(ip),
	    .programs = PROGRAM_CLIENT,
	    .group = GROUP_MACHINE,
	},
    [OPTION_CORES] =
	{
	    .name = "cores",
	    .argument = "HOW",
	    .initial = "all",
	    .help = "CPUs to take when no EAL arguments are given",
	    .parse = option_parse_choice,
	    .choices = option_choices_cores,
	    FIELD(cores),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_MACHINE,
	},
    [OPTION_IDLE] =
	{
	    .name = "idle",
	    .argument = "HOW",
	    .initial = "auto",
	    .help = "what an lcore without work does; auto: poll if each has a CPU of its own, "
		    "else yield",
	    .parse = option_parse_choice,
	    .choices = option_choices_idle,
	    FIELD(idle),
	    .programs = NODES,
	    .group = GROUP_MACHINE,
	},
    [OPTION_DROP] =
	{
	    .name = "drop",
	    .argument = "P",
	    .initial = "0",
	    .help = "probability that the switch drops a frame",
	    .parse = option_parse_probability,
	    .max = PROBABILITY_SCALE / 10 * 9,
	    .scale = PROBABILITY_SCALE,
	    FIELD(drop),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_FAULTS,
	},
    [OPTION_KILL_LEADER_AT] =
	{
	    .name = "kill-leader-at",
	    .argument = "S",
	    .shown = "never",
	    .help = "seconds after measuring began at which the primary of that time stops",
	    .parse = option_parse_u64,
	    .min = SECOND_NS / 10,
	    .max = 604800ull * SECOND_NS,
	    .scale = SECOND_NS,
	    FIELD(kill_leader_ns),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_FAULTS,
	},
    [OPTION_RESTART_AT] =
	{
	    .name = "restart-at",
	    .argument = "S",
	    .shown = "never",
	    .help = "seconds after measuring began at which it starts anew, its memory lost",
	    .parse = option_parse_u64,
	    .min = SECOND_NS / 10,
	    .max = 604800ull * SECOND_NS,
	    .scale = SECOND_NS,
	    FIELD(restart_ns),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_FAULTS,
	},
    [OPTION_JSON] =
	{
	    .name = "json",
	    .argument = "FILE",
	    .shown = "none",
	    .help = "write the results as one JSON object",
	    .parse = option_parse_text,
	    .valid = "a file name that does not begin with -",
	    FIELD(json),
	    .programs = CLIENTS,
	    .group = GROUP_OUTPUT,
	},
    [OPTION_HGRM] =
	{
	    .name = "hgrm",
	    .argument = "FILE",
	    .shown = "none",
	    .help = "write the latency distribution in HdrHistogram's .hgrm form",
	    .parse = option_parse_text,
	    .valid = "a file name that does not begin with -",
	    FIELD(hgrm),
	    .programs = CLIENTS,
	    .group = GROUP_OUTPUT,
	},
    [OPTION_HISTORY] =
	{
	    .name = "history",
	    .argument = "FILE",
	    .shown = "none",
	    .help = "write every operation with its times and its answer",
	    .parse = option_parse_text,
	    .valid = "a file name that does not begin with -",
	    FIELD(history),
	    .programs = PROGRAM_CLUSTER,
	    .group = GROUP_OUTPUT,
	},
    [OPTION_LOG_LEVEL] =
	{
	    .name = "log-level",
	    .argument = "TYPE:LEVEL",
	    .shown = "oskr:notice",
	    .help = "what is logged, as oskr:info; may be repeated",
	    .parse = option_parse_log_level,
	    .valid = "TYPE:LEVEL, LEVEL being emergency, alert, critical, error, warning, notice, "
		     "info, debug or 1..8; 16 times at most",
	    .programs = NODES,
	    .group = GROUP_OUTPUT,
	},
    [OPTION_QUIET] =
	{
	    .name = "quiet",
	    .shown = "off",
	    .help = "no line each second, only the summary",
	    .parse = option_parse_flag,
	    FIELD(quiet),
	    .programs = NODES,
	    .group = GROUP_OUTPUT,
	},
    [OPTION_MODES] =
	{
	    .name = "modes",
	    .help = "print the available modes, one a line, and exit",
	    .parse = option_parse_nothing,
	    .programs = EVERY,
	    .group = GROUP_INFORMATION,
	},
    [OPTION_VERSION] =
	{
	    .name = "version",
	    .help = "print the version and exit",
	    .parse = option_parse_nothing,
	    .programs = EVERY,
	    .group = GROUP_INFORMATION,
	},
    [OPTION_HELP] =
	{
	    .name = "help",
	    .letter = 'h',
	    .help = "print this and exit",
	    .parse = option_parse_nothing,
	    .programs = EVERY,
	    .group = GROUP_INFORMATION,
	},
};
