/* SPDX-License-Identifier: Apache-2.0 */
/* Which arguments DPDK gets. The start itself is in launch_eal.c. See launch.h. */
#include "lcore/launch.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/check.h"

#define HUGEPAGES_DIR "/sys/kernel/mm/hugepages/hugepages-2048kB/"

enum {
	HUGEPAGE_SIZE = 2 * 1024 * 1024,
	HUGEPAGE_MIB = 2,
	HUGEPAGE_SIZE_LOG = 21,
	/* DPDK's RTE_MAX_LCORE: an lcore's number is less. CPUs above it need a mapping. */
	LCORES_MAX = 128,
	CPU_LIST_SIZE = 1024,
};

static int argument_add(struct launch_plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

int
launch_split(struct launch_plan *plan, int argc, char **argv)
{
	check(argc >= 1);
	check(argv[argc] == NULL);
	memset(plan, 0, sizeof(*plan));
	plan->argc = argc;
	plan->argv = argv;
	plan->eal_argv[plan->eal_argc++] = argv[0];
	int end = 1;
	while (end < argc && strcmp(argv[end], "--") != 0)
		end++;
	if (end == argc)
		return 0;
	if (end > LAUNCH_ARGUMENTS_MAX)
		return -E2BIG;
	for (int i = 1; i < end; i++)
		plan->eal_argv[plan->eal_argc++] = argv[i];
	argv[end] = argv[0];
	plan->argc = argc - end;
	plan->argv = &argv[end];
	check(plan->argv[plan->argc] == NULL);
	return 0;
}

/* Appends an argument that is made here. */
static int
argument_add(struct launch_plan *plan, const char *format, ...)
{
	uint32_t room = LAUNCH_TEXT_SIZE - plan->text_size;
	if (plan->eal_argc >= LAUNCH_ARGUMENTS_MAX)
		return -E2BIG;
	char *at = &plan->text[plan->text_size];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(at, room, format, arguments);
	va_end(arguments);
	if (size < 0 || (uint32_t)size >= room)
		return -E2BIG;
	plan->eal_argv[plan->eal_argc++] = at;
	plan->eal_argv[plan->eal_argc] = NULL;
	plan->text_size += (uint32_t)size + 1;
	return 0;
}

/* Writes the CPUs as "0-3,8"; returns -E2BIG when they do not fit. */
static int
cpu_list_write(const uint16_t *cpus, uint32_t count, char *text, uint32_t text_size)
{
	uint32_t size = 0;
	text[0] = '\0';
	for (uint32_t first = 0, next; first < count; first = next) {
		next = first + 1;
		while (next < count && cpus[next] == cpus[next - 1] + 1)
			next++;
		const char *comma = first > 0 ? "," : "";
		int wrote = next - first == 1 ? snprintf(text + size, text_size - size, "%s%u",
						    comma, cpus[first])
					      : snprintf(text + size, text_size - size, "%s%u-%u",
						    comma, cpus[first], cpus[next - 1]);
		if (wrote < 0 || (uint32_t)wrote >= text_size - size)
			return -E2BIG;
		size += (uint32_t)wrote;
	}
	return 0;
}

/* One lcore a CPU, numbered as the CPU, where DPDK's numbers reach. */
static int
lcores_add_own(struct launch_plan *plan, const struct launch_machine *machine, uint32_t count)
{
	char list[CPU_LIST_SIZE];
	if (machine->cpus[count - 1] < LCORES_MAX) {
		if (cpu_list_write(machine->cpus, count, list, sizeof(list)) != 0)
			return -E2BIG;
		if (argument_add(plan, "-l") != 0)
			return -E2BIG;
		return argument_add(plan, "%s", list);
	}
	uint32_t size = 0;
	for (uint32_t i = 0; i < count; i++) {
		int wrote = snprintf(list + size, sizeof(list) - size, "%s%u@%u", i > 0 ? "," : "",
		    i, machine->cpus[i]);
		if (wrote < 0 || (uint32_t)wrote >= sizeof(list) - size)
			return -E2BIG;
		size += (uint32_t)wrote;
	}
	if (argument_add(plan, "--lcores") != 0)
		return -E2BIG;
	return argument_add(plan, "%s", list);
}

/* More lcores than CPUs: each may run on any of them. */
static int
lcores_add_shared(struct launch_plan *plan, const struct launch_machine *machine, uint32_t count)
{
	char list[CPU_LIST_SIZE];
	if (cpu_list_write(machine->cpus, machine->cpus_count, list, sizeof(list)) != 0)
		return -E2BIG;
	if (argument_add(plan, "--lcores") != 0)
		return -E2BIG;
	return argument_add(plan, "(0-%u)@(%s)", count - 1, list);
}

static int
lcores_add(struct launch_plan *plan, const struct launch_machine *machine, uint32_t wanted)
{
	uint32_t count = wanted == 0 ? machine->cpus_count : wanted;
	if (count > LIMIT_LCORES)
		count = LIMIT_LCORES;
	return count <= machine->cpus_count ? lcores_add_own(plan, machine, count)
					    : lcores_add_shared(plan, machine, count);
}

static int
memory_add(struct launch_plan *plan, const struct launch_machine *machine, uint32_t memory_mib)
{
	plan->hugepages = machine->hugepages_usable && machine->hugepages_free_mib >= memory_mib;
	if (plan->hugepages) {
		/* Nothing is left behind; addresses are ours to choose without devices. */
		if (argument_add(plan, "--in-memory") != 0)
			return -E2BIG;
		return argument_add(plan, "--iova-mode=va");
	}
	snprintf(plan->note, sizeof(plan->note),
	    "without hugepages all is several times slower: %llu MiB are free, %u are needed; "
	    "as root: echo %u > /proc/sys/vm/nr_hugepages",
	    (unsigned long long)machine->hugepages_free_mib, memory_mib,
	    memory_mib < 2 * LAUNCH_MEMORY_MIB ? LAUNCH_MEMORY_MIB : memory_mib / HUGEPAGE_MIB);
	if (argument_add(plan, "--no-huge") != 0 || argument_add(plan, "--no-shconf") != 0 ||
	    argument_add(plan, "-m") != 0 || argument_add(plan, "%u", memory_mib) != 0)
		return -E2BIG;
	return argument_add(plan, "--file-prefix=oskr-%u", machine->pid);
}

/* "oskr:info" is for oskr.* too. Both are passed as DPDK's own option. */
static int
log_level_add(struct launch_plan *plan, const char *level)
{
	const char *colon = strrchr(level, ':');
	if (argument_add(plan, "--log-level=%s", level) != 0)
		return -E2BIG;
	if (colon == NULL || strchr(level, '*') != NULL)
		return 0;
	return argument_add(plan, "--log-level=%.*s.*%s", (int)(colon - level), level, colon);
}

/* Characters that a shell would take for its own. */
static bool
needs_quotes(const char *argument)
{
	return argument[0] == '\0' || strpbrk(argument, " \t\n\"$&'()*;<>?[\\]`{|}~") != NULL;
}

static void
line_write(struct launch_plan *plan)
{
	size_t size = 0;
	for (int i = 1; i < plan->eal_argc; i++) {
		const char *quote = needs_quotes(plan->eal_argv[i]) ? "'" : "";
		int wrote = snprintf(plan->line + size, sizeof(plan->line) - size, "%s%s%s%s",
		    i > 1 ? " " : "", quote, plan->eal_argv[i], quote);
		if (wrote < 0 || (size_t)wrote >= sizeof(plan->line) - size)
			return; /* cut */
		size += (size_t)wrote;
	}
}

int
launch_choose(struct launch_plan *plan, const struct launch_machine *machine,
    const struct launch_request *request)
{
	check(plan->eal_argc >= 1);
	check(machine->cpus_count >= 1);
	uint32_t memory_mib = request->memory_mib > 0 ? request->memory_mib : LAUNCH_MEMORY_MIB;
	plan->chosen = plan->eal_argc == 1;
	if (plan->chosen) {
		if (memory_add(plan, machine, memory_mib) != 0 ||
		    argument_add(plan, "--no-pci") != 0 ||
		    lcores_add(plan, machine, request->cores_wanted) != 0)
			return -E2BIG;
	}
	line_write(plan);
	for (uint32_t i = 0; i < request->log_levels_count; i++) {
		if (log_level_add(plan, request->log_levels[i]) != 0)
			return -E2BIG;
	}
	check(plan->eal_argv[plan->eal_argc] == NULL);
	return 0;
}

static uint64_t
hugepages_read(const char *path)
{
	unsigned long long value = 0;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

/* Maps one and fills it, without the SIGBUS that a cgroup's limit would cause. */
static bool
hugepage_try(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | HUGEPAGE_SIZE_LOG << MAP_HUGE_SHIFT;
	void *page = mmap(NULL, HUGEPAGE_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (page == MAP_FAILED)
		return false;
	bool usable = true;
#ifdef MADV_POPULATE_WRITE
	/* EINVAL: a kernel before 5.14, which cannot tell. */
	usable = madvise(page, HUGEPAGE_SIZE, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
#endif
	munmap(page, HUGEPAGE_SIZE);
	return usable;
}

static void
cpus_look(struct launch_machine *machine)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		CPU_SET(0, &set);
	for (uint16_t cpu = 0; cpu < LAUNCH_CPUS_MAX; cpu++) {
		if (CPU_ISSET(cpu, &set))
			machine->cpus[machine->cpus_count++] = cpu;
	}
	check(machine->cpus_count >= 1);
}

void
launch_look(struct launch_machine *machine)
{
	static_assert((int)LAUNCH_CPUS_MAX <= CPU_SETSIZE, "a cpu_set_t has them all");
	memset(machine, 0, sizeof(*machine));
	machine->pid = (uint32_t)getpid();
	cpus_look(machine);
	uint64_t free_pages = hugepages_read(HUGEPAGES_DIR "free_hugepages");
	uint64_t promised = hugepages_read(HUGEPAGES_DIR "resv_hugepages");
	if (free_pages > promised)
		machine->hugepages_free_mib = (free_pages - promised) * HUGEPAGE_MIB;
	machine->hugepages_usable = machine->hugepages_free_mib > 0 && hugepage_try();
}
