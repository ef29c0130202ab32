/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oskr-switch: joins memif ports of several processes, or any DPDK ports, as a switch
 * does, with faults on command. Parses, starts DPDK, opens the ports, forwards until a
 * signal comes, and says what it did. The main lcore.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <rte_telemetry.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/limits.h"
#include "config/text.h"
#include "engine/check.h"
#include "lcore/hub_switch.h"
#include "lcore/launch.h"
#include "lcore/loop.h"
#include "lcore/signals.h"

#define VERSION "0.1.0"

enum {
	EXIT_BAD_START = 2, /* command line, script, DPDK: nothing was run */
	VDEV_SIZE = 256,
	QUEUE_MAX = 1 << 20,
	AGE_S_MAX = 1000 * 1000,
	DEFAULT_QUEUE = 4096,
	DEFAULT_AGE_S = 300, /* 802.1D, table 7-5 */
	DEFAULT_MTU = 1500,
};

struct settings {
	struct hub_switch_config config;
	const char *folder; /* of the memif sockets; NULL: DPDK's arguments name the ports */
	const char *script;
	enum loop_idle idle;
	bool quiet;
};

static struct hub_switch hub_switch;
static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER; /* between telemetry's threads */

static const char usage[] =
    "Usage: oskr-switch [DPDK's arguments --] --names LIST [OPTION...]\n"
    "Joins the ports of several processes as a switch does, with faults on command.\n"
    "\n"
    "  --names LIST     the ports' names, as r0,r1,r2,r3,client (letters and digits)\n"
    "  --folder DIR     makes a memif socket DIR/NAME.sock for each name; the process\n"
    "                   NAME takes --vdev=net_memif0,role=client,id=0,socket=DIR/NAME.sock,\n"
    "                   socket-abstract=no. Without --folder the ports are those that\n"
    "                   DPDK's arguments name (--vdev, -a), in their order\n"
    "  --script FILE    commands with times (below)\n"
    "  --wait           the script begins at /oskr/switch/start, not at once\n"
    "  --seed N         of all chance (1): the k-th frame of a link always has one fate\n"
    "  --queue N        frames that may be on their way to a port, and may wait for it (4096)\n"
    "  --age SECONDS    a MAC is forgotten after so long (300)\n"
    "  --mtu BYTES      the largest frame's payload (1500)\n"
    "  --idle HOW       with nothing to do: yield, sleep or poll (yield)\n"
    "  -q, --quiet      print no summary\n"
    "  -h, --help       this text\n"
    "  --version        the version\n"
    "\n"
    "Commands, in a script's lines behind 'at SECONDS', or by telemetry as\n"
    "/oskr/switch/do,COMMAND:\n"
    "  partition A B | C D   frames pass inside a group only; who is in none reaches all\n"
    "  heal                  ends the partition and all cuts\n"
    "  cut A -> B            nothing passes from A to B (A <-> B: in neither direction;\n"
    "                        A -> *: to nobody)\n"
    "  mend A -> B           ends a cut\n"
    "  loss 10%              frames lost by chance, on all links or one (loss 10% A -> B)\n"
    "  delay 1ms 200us       1 ms, and up to 200 us more by chance; the order is kept\n"
    "  reorder 5% 2ms        of 20 frames one is held back for 2 ms\n"
    "  duplicate 1%          frames that come twice\n"
    "  corrupt 1%            frames of which one bit is inverted\n"
    "  clear                 ends all faults\n"
    "Telemetry: /oskr/info, /oskr/stats (counters of each port and link),\n"
    "/oskr/switch/do, /oskr/switch/start (the script, from its beginning).\n"
    "\n"
    "Ends at SIGINT or SIGTERM. Exit status: 0 a clean end; 2 a bad start.\n";

/* ---- command line ------------------------------------------------------- */

static int
refuse(const char *what, const char *value, const char *fix)
{
	fprintf(stderr, "oskr-switch: %s '%s'; %s\n", what, value, fix);
	return EXIT_BAD_START;
}

static int
idle_read(enum loop_idle *idle, const char *value)
{
	if (strcmp(value, "yield") == 0)
		*idle = LOOP_IDLE_YIELD;
	else if (strcmp(value, "sleep") == 0)
		*idle = LOOP_IDLE_SLEEP;
	else if (strcmp(value, "poll") == 0)
		*idle = LOOP_IDLE_POLL;
	else
		return -1;
	return 0;
}

/* A ring's size is a power of two. */
static uint32_t
power_above(uint64_t value)
{
	uint32_t power = 1;
	while (power < value)
		power *= 2;
	return power;
}

/* One option with a value. Returns -1 when that is fine, else the exit status. */
static int
option_take(struct settings *s, int option, const char *value)
{
	struct config_error error;
	uint64_t number;
	switch (option) {
	case 'n':
		if (hub_names_parse(&s->config.names, value, &error) == 0)
			return -1;
		fprintf(stderr, "oskr-switch: %s\n", error.text);
		return EXIT_BAD_START;
	case 'f':
		s->folder = value;
		return -1;
	case 's':
		s->script = value;
		return -1;
	case 'r':
		if (text_parse_count(text_of(value), UINT64_MAX, &s->config.seed) != 0)
			return refuse("bad --seed", value, "give a whole number");
		return -1;
	case 'u':
		if (text_parse_count(text_of(value), QUEUE_MAX, &number) != 0 || number == 0)
			return refuse("bad --queue", value, "give a whole number 1..1048576");
		s->config.queue_max = power_above(number);
		return -1;
	case 'a':
		if (text_parse_count(text_of(value), AGE_S_MAX, &number) != 0 || number == 0)
			return refuse("bad --age", value, "give whole seconds 1..1000000");
		s->config.age_ns = number * NS_PER_S;
		return -1;
	case 'm':
		if (text_parse_count(text_of(value), LIMIT_MTU, &number) != 0 ||
		    number < LIMIT_MTU_MIN)
			return refuse("bad --mtu", value, "give a whole number 576..9216");
		s->config.mtu = (uint32_t)number;
		return -1;
	case 'i':
		if (idle_read(&s->idle, value) != 0)
			return refuse("bad --idle", value, "give yield, sleep or poll");
		return -1;
	default:
		check(false);
		return EXIT_BAD_START;
	}
}

/* Returns -1 to go on, else the exit status. */
static int
settings_read(struct settings *s, int argc, char **argv)
{
	static const struct option options[] = {{"names", 1, NULL, 'n'}, {"folder", 1, NULL, 'f'},
	    {"script", 1, NULL, 's'}, {"seed", 1, NULL, 'r'}, {"queue", 1, NULL, 'u'},
	    {"age", 1, NULL, 'a'}, {"mtu", 1, NULL, 'm'}, {"idle", 1, NULL, 'i'},
	    {"wait", 0, NULL, 'w'}, {"quiet", 0, NULL, 'q'}, {"help", 0, NULL, 'h'},
	    {"version", 0, NULL, 'v'}, {NULL, 0, NULL, 0}};
	*s = (struct settings){.idle = LOOP_IDLE_YIELD,
	    .config = {.seed = 1,
		.age_ns = (uint64_t)DEFAULT_AGE_S * NS_PER_S,
		.queue_max = DEFAULT_QUEUE,
		.mtu = DEFAULT_MTU}};
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, "+:qh", options, NULL)) != -1;) {
		if (option == 'h' || option == 'v') {
			fputs(option == 'h' ? usage : "oskr-switch " VERSION "\n", stdout);
			return EXIT_SUCCESS;
		}
		if (option == '?' || option == ':')
			return refuse(
			    option == ':' ? "a value is missing behind" : "unknown option",
			    argv[optind - 1], "--help lists the options");
		s->quiet |= option == 'q';
		s->config.script_waits |= option == 'w';
		int status = option == 'q' || option == 'w' ? -1 : option_take(s, option, optarg);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return refuse("unknown word", argv[optind], "--help lists the options");
	if (s->config.names.count < 2) {
		fprintf(
		    stderr, "oskr-switch: a switch has two ports at least; give --names r0,r1\n");
		return EXIT_BAD_START;
	}
	return -1;
}

/* ---- memif ports -------------------------------------------------------- */

/* A socket that a killed process left behind; one that somebody serves stays. */
static int
socket_clear(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	if (lstat(path, &status) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (fd < 0)
		return -errno;
	int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	int error = errno;
	close(fd);
	if (result == 0)
		return -EADDRINUSE;
	if (error != ECONNREFUSED)
		return -error;
	return unlink(path) == 0 ? 0 : -errno;
}

/* Adds a memif server for each name to DPDK's arguments. Returns -1 to go on. */
static int
ports_add(struct launch_plan *plan, const struct settings *s)
{
	static char vdevs[HUB_PORTS_MAX][VDEV_SIZE];
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	for (uint32_t i = 0; i < s->config.names.count; i++) {
		const char *name = s->config.names.list[i];
		int size = snprintf(path, sizeof(path), "%s/%s.sock", s->folder, name);
		if (size < 0 || (size_t)size >= sizeof(path))
			return refuse("--folder is too long for a socket's path:", s->folder,
			    "take a short one, as /tmp/oskr");
		if (strchr(path, ',') != NULL)
			return refuse("--folder has a comma:", s->folder, "take another one");
		int result = socket_clear(path);
		if (result != 0) {
			fprintf(stderr,
			    "oskr-switch: %s: %s; end the process that has it, or take another "
			    "--folder\n",
			    path, strerror(-result));
			return EXIT_BAD_START;
		}
		snprintf(vdevs[i], sizeof(vdevs[i]),
		    "--vdev=net_memif%u,role=server,id=0,socket=%s,socket-abstract=no", i, path);
		if (plan->eal_argc >= LAUNCH_ARGUMENTS_MAX)
			return refuse("too many arguments before", "--", "give fewer");
		plan->eal_argv[plan->eal_argc++] = vdevs[i];
	}
	plan->eal_argv[plan->eal_argc] = NULL;
	return -1;
}

static bool
folder_is_usable(const char *folder)
{
	struct stat status;
	int result = stat(folder, &status) != 0 ? errno : 0;
	if (result == 0 && !S_ISDIR(status.st_mode))
		result = ENOTDIR;
	if (result == 0 && access(folder, W_OK | X_OK) != 0)
		result = errno;
	if (result != 0)
		fprintf(stderr,
		    "oskr-switch: --folder %s: %s; name a folder that exists and is yours to "
		    "write\n",
		    folder, strerror(result));
	return result == 0;
}

/* ---- telemetry ---------------------------------------------------------- */

/* "/oskr/switch/do,COMMAND" and "/oskr/switch/start": what happened, in words. */
static int
order_answer(const char *path, const char *parameters, struct rte_tel_data *data)
{
	static struct hub_order order;
	struct config_error error;
	const char *text = parameters != NULL ? parameters : "";
	const char *result = "done";
	pthread_mutex_lock(&order_lock);
	memset(&order, 0, sizeof(order));
	config_error_clear(&error);
	order.start = strcmp(path, "/oskr/switch/start") == 0;
	if (!order.start && hub_command_parse(&order.command, &hub_switch.config.names, "command",
				text, strlen(text), &error) != 0)
		result = error.text;
	else if (!hub_switch_order(&hub_switch, &order))
		result = "busy: earlier commands are under way; ask again";
	rte_tel_data_start_dict(data);
	int added = rte_tel_data_add_dict_string(data, "result", result);
	pthread_mutex_unlock(&order_lock);
	return added;
}

static void
telemetry_start(void)
{
	const struct telemetry_source source = {
	    .self = &hub_switch,
	    .fill = {[TELEMETRY_INFO] = hub_switch_fill_info,
		[TELEMETRY_STATS] = hub_switch_fill_stats},
	};
	int result = telemetry_open(&source);
	if (result == 0)
		result = rte_telemetry_register_cmd("/oskr/switch/do", order_answer,
		    "Changes faults. Parameter: a command, as partition r0 r1 | r2 r3");
	if (result == 0)
		result = rte_telemetry_register_cmd(
		    "/oskr/switch/start", order_answer, "Starts the script from its beginning");
	if (result != 0)
		fprintf(stderr, "oskr-switch: no telemetry: %s\n", strerror(-result));
}

/* ---- the run ------------------------------------------------------------ */

static void
summary_print(const struct hub_switch *s)
{
	for (uint32_t i = 0; i < s->ports_count; i++) {
		const struct hub_port_stats *p = &s->ports[i].stats;
		printf("port %-8s rx %" PRIu64 " tx %" PRIu64 " dropped: down %" PRIu64
		       " full %" PRIu64 "\n",
		    s->config.names.list[i], p->rx_frames, p->tx_frames, p->drop_down,
		    p->drop_full);
	}
	for (uint32_t from = 0; from < s->ports_count; from++) {
		for (uint32_t to = 0; to < s->ports_count; to++) {
			const struct hub_link_counters *c = &s->hub.links[from][to].counters;
			if (c->cut + c->lost + c->delayed + c->duplicated + c->corrupted == 0)
				continue;
			printf("link %s -> %s: frames %" PRIu64 " cut %" PRIu64 " lost %" PRIu64
			       " delayed %" PRIu64 " reordered %" PRIu64 " duplicated %" PRIu64
			       " corrupted %" PRIu64 "\n",
			    s->config.names.list[from], s->config.names.list[to], c->frames, c->cut,
			    c->lost, c->delayed, c->reordered, c->duplicated, c->corrupted);
		}
	}
}

static int
switch_run(const struct settings *settings)
{
	static struct loop loop;
	static struct clock clock;
	static atomic_bool stop;
	struct config_error error;
	config_error_clear(&error);
	clock_start(&clock);
	signals_open(&stop);
	if (hub_switch_open(&hub_switch, &settings->config, &error) != 0) {
		fprintf(stderr, "oskr-switch: %s\n", error.text);
		hub_switch_close(&hub_switch);
		return EXIT_BAD_START;
	}
	telemetry_start();
	loop.clock = &clock;
	loop.stop = &stop;
	loop.idle = settings->idle;
	loop_add(&loop, hub_switch_poll, &hub_switch);
	if (!settings->quiet) {
		printf("ready: %u ports\n", hub_switch.ports_count);
		fflush(stdout);
	}
	loop_run(&loop);
	telemetry_close();
	if (!settings->quiet)
		summary_print(&hub_switch);
	hub_switch_close(&hub_switch);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static struct launch_plan launch;
	static struct launch_machine machine;
	static struct settings settings;
	struct config_error error;
	if (launch_split(&launch, argc, argv) != 0)
		return refuse("too many arguments before", "--", "give fewer");
	int status = settings_read(&settings, launch.argc, launch.argv);
	if (status >= 0)
		return status;
	if (settings.script != NULL && hub_script_load(&hub_switch.script, &settings.config.names,
					   settings.script, &error) != 0) {
		fprintf(stderr, "oskr-switch: %s\n", error.text);
		return EXIT_BAD_START;
	}
	const struct hub_switch_config *c = &settings.config;
	const struct launch_request request = {.cores_wanted = 1,
	    .memory_mib = hub_switch_memory_mib(c->names.count, c->queue_max, c->mtu)};
	launch_look(&machine);
	if (launch_choose(&launch, &machine, &request) != 0)
		return refuse("too many arguments before", "--", "give fewer");
	if (settings.folder != NULL) {
		if (!folder_is_usable(settings.folder))
			return EXIT_BAD_START;
		status = ports_add(&launch, &settings);
		if (status >= 0)
			return status;
	}
	if (launch_eal(&launch) != 0)
		return LAUNCH_EXIT_STATUS;
	status = switch_run(&settings);
	launch_end();
	return status;
}
