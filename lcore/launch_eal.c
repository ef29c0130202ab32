/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's start, and what to say when it fails. DPDK tells its reasons as text
 * alone, in several lines, with 90 lines of usage: so what it prints while it
 * starts is kept, searched for known reasons, and replaced by one line. Main
 * thread only. See launch.h.
 */
/* For rte_dev_iterator: which devices came up. Experimental in 22.11. */
#define ALLOW_EXPERIMENTAL_API

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/check.h"
#include "lcore/launch.h"

#define HUGEPAGES_REMEDY                                                               \
	"reserve some as root (echo 512 > /proc/sys/vm/nr_hugepages), or do without: " \
	"--no-huge --no-shconf -m 512"

enum {
	TRANSCRIPT_SIZE = 16384,
	DETAIL_SIZE = 512,
	MEMORY_PROBE_SIZE = 64 * 1024,
	PATH_SIZE = 512,
	DIRECTORY_MODE = 0700,
};

/* What DPDK has printed. It may go on to print through the stream later. */
struct transcript {
	FILE *stream; /* stands in for stderr; never closed */
	FILE *sink;   /* stands in for stdout, or NULL */
	bool shown;   /* passed on at once, too */
	uint32_t size;
	char text[TRANSCRIPT_SIZE];
};

static struct transcript transcript;
static bool prefix_own; /* the runtime directory is this process's alone */

/* What the detail of a reason is. */
enum detail {
	DETAIL_NONE,
	DETAIL_LINE,   /* the line of the transcript, less its "EAL: " */
	DETAIL_QUOTED, /* what is between quotes on that line */
};

/* A known reason: a text that the transcript has, and what to say. First match wins. */
struct reason {
	const char *needle;
	enum detail detail;
	const char *before; /* the detail comes between these */
	const char *after;
};

static const struct reason reasons[] = {
    {"is not compatible with --in-memory", DETAIL_NONE,
	"--no-huge and --in-memory exclude each other; ",
	"take --no-huge --no-shconf -m 512, or --in-memory with hugepages"},
    {"unrecognized option", DETAIL_QUOTED, "DPDK has no option ",
	"; what is before \"--\" is for DPDK, our own options come behind it"},
    {"invalid option --", DETAIL_QUOTED, "DPDK has no option -",
	"; what is before \"--\" is for DPDK, our own options come behind it"},
    {"requires an argument", DETAIL_QUOTED, "DPDK's option ", " needs a value"},
    {"is ambiguous", DETAIL_QUOTED, "DPDK's option ", " is ambiguous: write it out"},
    {"Main lcore is not enabled", DETAIL_NONE,
	"--main-lcore names an lcore that -l or --lcores does not have",
	"; leave it out, or name one of them"},
    {"is ignored, because", DETAIL_LINE, "-c, -l and --lcores exclude each other (", "): keep one"},
    {"Cannot get hugepage information", DETAIL_NONE,
	"no hugepages that DPDK can use: " HUGEPAGES_REMEDY,
	"; where they are reserved but not mounted, --in-memory is needed"},
    {"Not enough memory available", DETAIL_LINE, "too few hugepages for -m or --socket-mem (",
	"): ask for less, or raise /proc/sys/vm/nr_hugepages as root"},
    {"Unable to parse device", DETAIL_QUOTED, "no such device or driver: ",
	" (-a or --vdev); devices: dpdk-devbind.py --status; virtual ones are named driver and "
	"number, as net_tap0"},
    {"failed to parse device", DETAIL_QUOTED, "no such device or driver: ",
	" (-a or --vdev); devices: dpdk-devbind.py --status; virtual ones are named driver and "
	"number, as net_tap0"},
    {"Cannot create lock on", DETAIL_LINE, "another process uses this --file-prefix (",
	"): give another one, or --in-memory"},
    {"Is another primary process running", DETAIL_LINE, "another process uses this --file-prefix (",
	"): give another one, or --in-memory"},
    {"Error creating '", DETAIL_QUOTED, "cannot make DPDK's directory ",
	": set XDG_RUNTIME_DIR to a directory of this user's, or run as root"},
    {"Permission denied", DETAIL_LINE, "no permission (",
	"): run as root, or take --in-memory --no-pci"},
    {"Cannot init memory", DETAIL_NONE,
	"DPDK got no memory: ask for less (-m), or " HUGEPAGES_REMEDY, ""},
};

/* Copies the line that holds text[at], without "EAL: " and the program's name. */
static void
line_copy(const char *text, size_t at, char *line, size_t line_size)
{
	while (at > 0 && text[at - 1] != '\n')
		at--;
	size_t size = strcspn(text + at, "\n");
	if (strncmp(text + at, "EAL: ", 5) == 0) {
		at += 5;
		size -= 5;
	}
	snprintf(line, line_size, "%.*s", (int)size, text + at);
}

/* Leaves what stands between the first two quotes, if there are two. */
static void
quoted_keep(char *line)
{
	char *first = strpbrk(line, "'\"");
	char *second = first == NULL ? NULL : strpbrk(first + 1, "'\"");
	if (second == NULL)
		return;
	*second = '\0';
	memmove(line, first + 1, (size_t)(second - first));
}

/* The operator's value of an option in DPDK's arguments, or NULL. */
static const char *
argument_value(const struct launch_plan *plan, const char *option)
{
	size_t size = strlen(option);
	for (int i = 1; i < plan->eal_argc; i++) {
		const char *argument = plan->eal_argv[i];
		if (strncmp(argument, option, size) != 0)
			continue;
		if (argument[size] == '\0')
			return i + 1 < plan->eal_argc ? plan->eal_argv[i + 1] : NULL;
		if (argument[size] == '=')
			return argument + size + 1;
		if (option[1] != '-')
			return argument + size; /* -l0-1 */
	}
	return NULL;
}

/* "0-1", from "... please check specified cores are part of 0-1", or all that we may use. */
static void
cpus_describe(char *text, size_t text_size)
{
	static struct launch_machine machine;
	launch_look(&machine);
	const uint16_t *cpus = machine.cpus;
	uint32_t count = machine.cpus_count;
	if (count == 1)
		snprintf(text, text_size, "%u", cpus[0]);
	else if (cpus[count - 1] - cpus[0] == (int)count - 1)
		snprintf(text, text_size, "%u-%u", cpus[0], cpus[count - 1]);
	else
		snprintf(text, text_size, "%u,..,%u", cpus[0], cpus[count - 1]);
}

static bool
explain_lcores(const struct launch_plan *plan, const char *name)
{
	const char *list = argument_value(plan, "-l");
	const char *map = argument_value(plan, "--lcores");
	char cpus[64];
	cpus_describe(cpus, sizeof(cpus));
	if (list == NULL && map == NULL)
		list = argument_value(plan, "-c");
	if (list == NULL && map == NULL)
		return false;
	bool digits = list != NULL && strspn(list, "0123456789-,") == strlen(list);
	if (strstr(transcript.text, "unavailable") == NULL && !digits) {
		fprintf(stderr,
		    "%s: '%s' is no list of lcores: write -l 0-1, -l 0,2 or "
		    "--lcores '(0-3)@(0-1)'\n",
		    name, list != NULL ? list : map);
		return true;
	}
	fprintf(stderr,
	    "%s: '%s' asks for CPUs that this machine does not have (it has %s): take "
	    "-l %s, or let lcores share CPUs: --lcores '(%s)@(%s)'\n",
	    name, list != NULL ? list : map, cpus, cpus, digits ? list : "0-14", cpus);
	return true;
}

static bool
explain_known(const char *name)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		const struct reason *r = &reasons[i];
		const char *found = strstr(transcript.text, r->needle);
		if (found == NULL)
			continue;
		char detail[DETAIL_SIZE] = "";
		if (r->detail != DETAIL_NONE)
			line_copy(transcript.text, (size_t)(found - transcript.text), detail,
			    sizeof(detail));
		if (r->detail == DETAIL_QUOTED)
			quoted_keep(detail);
		fprintf(stderr, "%s: %s%s%s\n", name, r->before, detail, r->after);
		return true;
	}
	return false;
}

/* Not known: what DPDK said, and then that it failed. */
static void
explain_other(const char *name, const char *line, int error)
{
	if (!transcript.shown)
		fputs(transcript.text, stderr);
	fprintf(stderr, "%s: DPDK did not start (%s) with: %s\n", name, strerror(error), line);
}

static void
explain(const struct launch_plan *plan, int error)
{
	const char *name = plan->eal_argv[0];
	bool lcores = strstr(transcript.text, "invalid core list") != NULL ||
		      strstr(transcript.text, "invalid coremask") != NULL ||
		      strstr(transcript.text, "invalid parameter for --lcores") != NULL;
	if (lcores && explain_lcores(plan, name))
		return;
	if (!explain_known(name))
		explain_other(name, plan->line, error);
}

static ssize_t
transcript_write(void *self, const char *text, size_t size)
{
	struct transcript *t = self;
	size_t room = sizeof(t->text) - 1 - t->size;
	size_t kept = size < room ? size : room;
	memcpy(t->text + t->size, text, kept);
	t->size += (uint32_t)kept;
	t->text[t->size] = '\0';
	/* A panic ends the process before anybody could look into the transcript. */
	bool panic = memmem(text, size, "PANIC", 5) != NULL;
	if ((t->shown || panic) && write(STDERR_FILENO, text, size) < 0)
		return 0;
	return (ssize_t)size;
}

/* Whether somebody wants to see what DPDK prints while it starts. */
static bool
chatter_wanted(const struct launch_plan *plan)
{
	for (int i = 1; i < plan->eal_argc; i++) {
		const char *argument = plan->eal_argv[i];
		if (strncmp(argument, "--log-level", 11) != 0)
			continue;
		const char *type = argument[11] == '=' || plan->eal_argv[i + 1] == NULL
				       ? argument + 11 + (argument[11] == '=')
				       : plan->eal_argv[i + 1];
		if (strncmp(type, "oskr", 4) != 0)
			return true;
	}
	return false;
}

static bool
help_wanted(const struct launch_plan *plan)
{
	for (int i = 1; i < plan->eal_argc; i++) {
		if (strcmp(plan->eal_argv[i], "-h") == 0 ||
		    strcmp(plan->eal_argv[i], "--help") == 0)
			return true;
	}
	return false;
}

/*
 * rte_eal_init() with its output in the transcript. The C library lets stdout
 * and stderr be assigned; DPDK's log and getopt write to whatever they are then.
 */
static int
init_recorded(struct launch_plan *plan)
{
	const cookie_io_functions_t functions = {.write = transcript_write};
	transcript.shown = chatter_wanted(plan);
	transcript.stream = fopencookie(&transcript, "w", functions);
	transcript.sink = help_wanted(plan) ? NULL : fopen("/dev/null", "we");
	FILE *out = stdout;
	FILE *err = stderr;
	fflush(out);
	if (transcript.stream != NULL) {
		setvbuf(transcript.stream, NULL, _IONBF, 0);
		stderr = transcript.stream;
	}
	if (transcript.sink != NULL)
		stdout = transcript.sink;
	/* DPDK's getopt says which option is wrong, unless our own parser has silenced it. */
	int opterr_before = opterr;
	opterr = 1;
	int result = rte_eal_init(plan->eal_argc, plan->eal_argv);
	int error = rte_errno;
	opterr = opterr_before;
	stdout = out;
	stderr = err;
	/* Whatever comes later is shown at once. */
	transcript.shown |= result >= 0;
	if (result >= 0)
		return 0;
	return error > 0 ? -error : -EINVAL;
}

/* Warnings of a start that went well, but for those that mean nothing to the operator. */
static void
warnings_print(void)
{
	for (const char *line = transcript.text; *line != '\0';) {
		int size = (int)strcspn(line, "\n");
		/* memif says the second of each port without secondary processes. */
		if (memmem(line, (size_t)size, "No legacy callbacks", 19) == NULL &&
		    memmem(line, (size_t)size, "Failed to register mp action", 28) == NULL)
			fprintf(stderr, "%.*s\n", size, line);
		line += size + (line[size] == '\n');
	}
}

/*
 * DPDK keeps its files in XDG_RUNTIME_DIR or /tmp/dpdk, which belongs to the
 * first user who ran anything. An ordinary user without a usable directory gets
 * one. Quiet when even that fails: DPDK then says so.
 */
static void
runtime_prepare(void)
{
	const char *given = getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0 || (given != NULL && access(given, W_OK | X_OK) == 0))
		return;
	char path[PATH_SIZE];
	struct stat status;
	snprintf(path, sizeof(path), "/tmp/oskr-%u", (unsigned int)geteuid());
	if (mkdir(path, DIRECTORY_MODE) != 0 && errno != EEXIST)
		return;
	/* Somebody else's, or a link to elsewhere, is not used. */
	if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid())
		return;
	setenv("XDG_RUNTIME_DIR", path, 1);
}

/* "99:00.0" is "0000:99:00.0"; what follows a comma are the device's arguments. */
static bool
device_is_up(const char *bus, const char *argument)
{
	struct rte_dev_iterator iterator;
	struct rte_device *device;
	size_t size = strcspn(argument, ",");
	bool up = false;
	RTE_DEV_FOREACH(device, bus, &iterator)
	{
		const char *name = rte_dev_name(device);
		size_t name_size = strlen(name);
		bool same =
		    name_size >= size && strncasecmp(name + name_size - size, argument, size) == 0;
		up |= same && rte_dev_is_probed(device);
	}
	return up;
}

/* Reads arguments as getopt does: "-a X", "-aX", "--allow X", "--allow=X", "--vdev X", "--vdev=X".
 */
static const char *
device_argument(const struct launch_plan *plan, int i, const char **bus)
{
	static const struct {
		const char *option;
		const char *bus;
	} options[] = {{"--allow", "bus=pci"}, {"--vdev", "bus=vdev"}, {"-a", "bus=pci"}};
	const char *argument = plan->eal_argv[i];
	for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
		size_t size = strlen(options[k].option);
		if (strncmp(argument, options[k].option, size) != 0)
			continue;
		*bus = options[k].bus;
		if (argument[size] == '\0')
			return plan->eal_argv[i + 1];
		if (argument[size] == '=')
			return argument + size + 1;
		return argument[1] == '-' ? NULL : argument + size;
	}
	return NULL;
}

/* DPDK goes on without a device that it was told to use: we do not. */
static int
devices_check(const struct launch_plan *plan)
{
	for (int i = 1; i < plan->eal_argc; i++) {
		const char *bus;
		const char *device = device_argument(plan, i, &bus);
		if (device == NULL || device_is_up(bus, device))
			continue;
		bool pci = strcmp(bus, "bus=pci") == 0;
		fprintf(stderr, "%s: device '%s' is not there or did not start: %s\n",
		    plan->eal_argv[0], device,
		    pci ? "see dpdk-devbind.py --status, bind it to vfio-pci unless its driver "
			  "is bifurcated, and leave --no-pci out"
			: "check its driver's name and arguments, and that its interface exists");
		return -ENODEV;
	}
	return 0;
}

/* With --in-memory DPDK starts without any hugepage, and fails at the first allocation. */
static int
memory_check(const struct launch_plan *plan)
{
	void *probe = rte_malloc(NULL, MEMORY_PROBE_SIZE, 0);
	if (probe == NULL) {
		fprintf(stderr, "%s: no free hugepages: %s\n", plan->eal_argv[0], HUGEPAGES_REMEDY);
		return -ENOMEM;
	}
	rte_free(probe);
	return 0;
}

/* As a secondary process DPDK would wait for a primary one without end. */
static bool
secondary_wanted(const struct launch_plan *plan)
{
	const char *type = argument_value(plan, "--proc-type");
	return type != NULL && strcmp(type, "primary") != 0;
}

int
launch_eal(struct launch_plan *plan)
{
	check(plan->eal_argc >= 1);
	/* The transcript and DPDK itself are for one start. */
	check(transcript.stream == NULL);
	if (secondary_wanted(plan)) {
		fprintf(stderr, "%s: --proc-type: only primary works here; leave it out\n",
		    plan->eal_argv[0]);
		return -ENOTSUP;
	}
	char *arguments[LAUNCH_ARGUMENTS_MAX + 1];
	memcpy(arguments, plan->eal_argv, sizeof(arguments));
	runtime_prepare();
	rte_log_set_level_pattern("lib.*", RTE_LOG_WARNING);
	int result = init_recorded(plan);
	/* getopt has sorted them. */
	memcpy(plan->eal_argv, arguments, sizeof(arguments));
	if (result != 0) {
		explain(plan, -result);
		return result;
	}
	prefix_own = plan->chosen && !plan->hugepages;
	if (!chatter_wanted(plan))
		warnings_print();
	result = memory_check(plan);
	if (result == 0)
		result = devices_check(plan);
	if (result != 0)
		launch_end();
	return result;
}

/* Adds an lcore, with its CPU if it has just one. */
static void
lcore_add(struct launch_lcores *lcores, unsigned int lcore)
{
	rte_cpuset_t set = rte_lcore_cpuset(lcore);
	struct launch_lcore *added = &lcores->list[lcores->count++];
	*added = (struct launch_lcore){.lcore = (uint16_t)lcore, .cpu = LAUNCH_CPU_ANY};
	if (CPU_COUNT(&set) != 1)
		return;
	for (uint16_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set))
			added->cpu = cpu;
	}
}

static bool
lcores_overlap(uint16_t a, uint16_t b)
{
	rte_cpuset_t set_a = rte_lcore_cpuset(a);
	rte_cpuset_t set_b = rte_lcore_cpuset(b);
	rte_cpuset_t both;
	CPU_AND(&both, &set_a, &set_b);
	return CPU_COUNT(&both) > 0;
}

int
launch_lcores(struct launch_lcores *lcores)
{
	memset(lcores, 0, sizeof(*lcores));
	if (rte_lcore_count() > LIMIT_LCORES)
		return -E2BIG;
	lcore_add(lcores, rte_get_main_lcore());
	for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (rte_lcore_is_enabled(lcore) && lcore != rte_get_main_lcore())
			lcore_add(lcores, lcore);
	}
	check(lcores->count == rte_lcore_count());
	rte_cpuset_t cpus;
	CPU_ZERO(&cpus);
	for (uint32_t i = 0; i < lcores->count; i++) {
		rte_cpuset_t set = rte_lcore_cpuset(lcores->list[i].lcore);
		CPU_OR(&cpus, &cpus, &set);
		for (uint32_t k = 0; k < lcores->count; k++) {
			if (i != k && lcores_overlap(lcores->list[i].lcore, lcores->list[k].lcore))
				lcores->list[i].shared = true;
		}
		lcores->shared |= lcores->list[i].shared;
	}
	lcores->cpus_count = (uint32_t)CPU_COUNT(&cpus);
	return 0;
}

/* DPDK leaves the directory of its --file-prefix behind. */
static void
runtime_remove(const char *path)
{
	DIR *directory = opendir(path);
	if (directory == NULL)
		return;
	for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(directory), entry->d_name, 0);
	}
	closedir(directory);
	rmdir(path);
}

void
launch_end(void)
{
	char path[PATH_SIZE];
	snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	if (prefix_own)
		runtime_remove(path);
	prefix_own = false;
}
