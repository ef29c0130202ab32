/* SPDX-License-Identifier: Apache-2.0 */
/* See machine.h. A line that is missing leaves its fact unknown: nothing here fails. */
#include "lcore/machine.h"

#include <cpuid.h>
#include <ctype.h>
#include <rte_version.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_SIZE = 4096, /* /proc/cpuinfo's flags are about 1.5 KiB */
	KIB = 1024,
	NS_PER_S = 1000 * 1000 * 1000,
};

/* CPUID leaves and bits: AMD64 APM volume 3, appendix E; Intel SDM volume 2A, CPUID. */
#define CPUID_FEATURES		      1U
#define CPUID_FEATURES_ECX_HYPERVISOR (1U << 31)
#define CPUID_HYPERVISOR	      0x40000000U
#define CPUID_POWER		      0x80000007U
#define CPUID_POWER_EDX_TSC_INVARIANT (1U << 8)

/* Copies up to the end of the line, as printable ASCII. */
static void
text_copy(char *to, size_t to_size, const char *from)
{
	size_t size = 0;
	while (isspace((unsigned char)*from))
		from++;
	for (; from[size] != '\0' && from[size] != '\n' && size + 1 < to_size; size++)
		to[size] = isascii(from[size]) && isprint(from[size]) ? from[size] : '?';
	while (size > 0 && to[size - 1] == ' ')
		size--;
	to[size] = '\0';
}

/* Finds the first line "KEY ... : VALUE"; false if there is none. */
static bool
line_find(const char *path, const char *key, char *value, size_t value_size)
{
	char line[LINE_SIZE];
	size_t key_size = strlen(key);
	bool found = false;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		const char *colon = strchr(line, ':');
		if (colon == NULL || strncmp(line, key, key_size) != 0 ||
		    (line[key_size] != ':' && !isspace((unsigned char)line[key_size])))
			continue;
		text_copy(value, value_size, colon + 1);
		found = true;
	}
	fclose(file);
	return found;
}

static uint64_t
number_find(const char *path, const char *key)
{
	char value[64];
	unsigned long long number;
	if (!line_find(path, key, value, sizeof(value)) || sscanf(value, "%llu", &number) != 1)
		return 0;
	return number;
}

static void
cpu_read(struct machine_facts *facts)
{
	cpu_set_t set;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	facts->cpus = online > 0 ? (uint32_t)online : 1;
	facts->cpus_allowed = facts->cpus;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		facts->cpus_allowed = (uint32_t)CPU_COUNT(&set);
	if (!line_find("/proc/cpuinfo", "model name", facts->cpu, sizeof(facts->cpu)))
		snprintf(facts->cpu, sizeof(facts->cpu), "unknown");
}

static void
cpuid_read(struct machine_facts *facts)
{
	unsigned int a = 0, b = 0, c = 0, d = 0;
	if (__get_cpuid(CPUID_POWER, &a, &b, &c, &d))
		facts->tsc_invariant = (d & CPUID_POWER_EDX_TSC_INVARIANT) != 0;
	if (__get_cpuid(CPUID_FEATURES, &a, &b, &c, &d))
		facts->virtualised = (c & CPUID_FEATURES_ECX_HYPERVISOR) != 0;
	if (!facts->virtualised)
		return;
	unsigned int signature[4] = {0}; /* 12 characters and an end */
	__cpuid(CPUID_HYPERVISOR, a, signature[0], signature[1], signature[2]);
	text_copy(facts->hypervisor, sizeof(facts->hypervisor), (const char *)signature);
}

void
machine_read(struct machine_facts *facts)
{
	struct utsname name;
	memset(facts, 0, sizeof(*facts));
	cpu_read(facts);
	cpuid_read(facts);
	text_copy(facts->dpdk, sizeof(facts->dpdk), rte_version());
	if (uname(&name) == 0)
		snprintf(facts->kernel, sizeof(facts->kernel), "%.20s %.70s %.30s", name.sysname,
		    name.release, name.machine);
	else
		snprintf(facts->kernel, sizeof(facts->kernel), "unknown");
	facts->memory_size = number_find("/proc/meminfo", "MemTotal") * KIB;
	facts->hugepage_size = number_find("/proc/meminfo", "Hugepagesize") * KIB;
	facts->hugepages_total = number_find("/proc/meminfo", "HugePages_Total");
	facts->hugepages_free = number_find("/proc/meminfo", "HugePages_Free");
}

uint64_t
machine_cpu_ns(void)
{
	struct timespec time = {0};
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0)
		return 0;
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t
machine_rss_size(void)
{
	return number_find("/proc/self/status", "VmRSS") * KIB;
}

uint64_t
machine_data_size(void)
{
	return number_find("/proc/self/status", "VmData") * KIB;
}

uint64_t
machine_hugetlb_size(void)
{
	return number_find("/proc/self/status", "HugetlbPages") * KIB;
}
