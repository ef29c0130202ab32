/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments are split at "--" and chosen as the machine allows; the clock's
 * arithmetic; what the machine says of itself; signals. Nothing here starts DPDK.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lcore/clock.h"
#include "lcore/launch.h"
#include "lcore/machine.h"
#include "lcore/signals.h"
#include "tests/unit.h"

enum { WORDS_MAX = 200 };

static struct launch_plan plan;
static struct launch_machine machine;

/* A machine with CPUs 0 .. count - 1 and free hugepages. */
static void
machine_make(uint32_t count, uint64_t free_mib)
{
	memset(&machine, 0, sizeof(machine));
	for (uint16_t i = 0; i < count; i++)
		machine.cpus[i] = i;
	machine.cpus_count = count;
	machine.hugepages_free_mib = free_mib;
	machine.hugepages_usable = free_mib > 0;
	machine.pid = 77;
}

/* Splits and chooses for a program called without arguments. */
static void
choose(uint32_t cores_wanted, uint32_t memory_mib)
{
	static char *argv[] = {"oskr", NULL};
	const struct launch_request request = {
	    .cores_wanted = cores_wanted, .memory_mib = memory_mib};
	CU_ASSERT_EQUAL_FATAL(launch_split(&plan, 1, argv), 0);
	CU_ASSERT_EQUAL_FATAL(launch_choose(&plan, &machine, &request), 0);
	CU_ASSERT_TRUE(plan.chosen);
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[0], "oskr");
	CU_ASSERT_PTR_NULL(plan.eal_argv[plan.eal_argc]);
}

static void
without_dashes_all_is_ours(void)
{
	char *argv[] = {"oskr", "-m", "pbft", "-l", NULL};
	CU_ASSERT_EQUAL(launch_split(&plan, 4, argv), 0);
	CU_ASSERT_EQUAL(plan.argc, 4);
	CU_ASSERT_PTR_EQUAL(plan.argv, argv);
	CU_ASSERT_EQUAL(plan.eal_argc, 1);
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[0], "oskr");
	CU_ASSERT_PTR_NULL(plan.eal_argv[1]);
}

static void
dashes_split(void)
{
	char *argv[] = {"oskr", "-l", "0-1", "--", "-m", "pbft", "--", "x", NULL};
	CU_ASSERT_EQUAL(launch_split(&plan, 8, argv), 0);
	CU_ASSERT_EQUAL(plan.eal_argc, 3);
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[0], "oskr");
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[1], "-l");
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[2], "0-1");
	CU_ASSERT_PTR_NULL(plan.eal_argv[3]);
	/* Only the first "--" splits. */
	CU_ASSERT_EQUAL(plan.argc, 5);
	CU_ASSERT_STRING_EQUAL(plan.argv[0], "oskr");
	CU_ASSERT_STRING_EQUAL(plan.argv[1], "-m");
	CU_ASSERT_STRING_EQUAL(plan.argv[3], "--");
	CU_ASSERT_STRING_EQUAL(plan.argv[4], "x");
	CU_ASSERT_PTR_NULL(plan.argv[5]);
}

static void
dashes_at_the_ends(void)
{
	char *leading[] = {"oskr", "--", "-m", NULL};
	CU_ASSERT_EQUAL(launch_split(&plan, 3, leading), 0);
	CU_ASSERT_EQUAL(plan.eal_argc, 1);
	CU_ASSERT_EQUAL(plan.argc, 2);
	CU_ASSERT_STRING_EQUAL(plan.argv[1], "-m");
	char *trailing[] = {"oskr", "--no-pci", "--", NULL};
	CU_ASSERT_EQUAL(launch_split(&plan, 3, trailing), 0);
	CU_ASSERT_EQUAL(plan.eal_argc, 2);
	CU_ASSERT_EQUAL(plan.argc, 1);
	CU_ASSERT_STRING_EQUAL(plan.argv[0], "oskr");
	CU_ASSERT_PTR_NULL(plan.argv[1]);
}

/* words arguments before "--". */
static int
split_many(uint32_t words)
{
	static char *argv[WORDS_MAX + 3];
	memset(argv, 0, sizeof(argv));
	for (uint32_t i = 0; i <= words; i++)
		argv[i] = "x";
	argv[words + 1] = "--";
	return launch_split(&plan, (int)words + 2, argv);
}

static void
too_many_arguments(void)
{
	const struct launch_request request = {0};
	machine_make(1, 0);
	CU_ASSERT_EQUAL(split_many(LAUNCH_ARGUMENTS_MAX - 1), 0);
	CU_ASSERT_EQUAL(plan.eal_argc, LAUNCH_ARGUMENTS_MAX);
	CU_ASSERT_EQUAL(launch_choose(&plan, &machine, &request), 0);
	CU_ASSERT_EQUAL(split_many(LAUNCH_ARGUMENTS_MAX), -E2BIG);
	/* No room for what is to be added. */
	const char *const levels[] = {"oskr:info"};
	const struct launch_request more = {.log_levels = levels, .log_levels_count = 1};
	CU_ASSERT_EQUAL(split_many(LAUNCH_ARGUMENTS_MAX - 1), 0);
	CU_ASSERT_EQUAL(launch_choose(&plan, &machine, &more), -E2BIG);
}

static void
given_arguments_stay(void)
{
	char *argv[] = {"oskr", "--lcores", "(0-3)@(0-1)", "--", NULL};
	const struct launch_request request = {.cores_wanted = 1};
	machine_make(4, 0);
	CU_ASSERT_EQUAL(launch_split(&plan, 4, argv), 0);
	CU_ASSERT_EQUAL(launch_choose(&plan, &machine, &request), 0);
	CU_ASSERT_FALSE(plan.chosen);
	CU_ASSERT_EQUAL(plan.eal_argc, 3);
	CU_ASSERT_STRING_EQUAL(plan.line, "--lcores '(0-3)@(0-1)'");
	CU_ASSERT_STRING_EQUAL(plan.note, "");
}

static void
with_hugepages(void)
{
	machine_make(4, 1024);
	choose(0, 0);
	CU_ASSERT_TRUE(plan.hugepages);
	CU_ASSERT_STRING_EQUAL(plan.line, "--in-memory --iova-mode=va --no-pci -l 0-3");
	CU_ASSERT_STRING_EQUAL(plan.note, "");
}

static void
without_hugepages(void)
{
	machine_make(2, 0);
	choose(0, 0);
	CU_ASSERT_FALSE(plan.hugepages);
	CU_ASSERT_STRING_EQUAL(
	    plan.line, "--no-huge --no-shconf -m 512 --file-prefix=oskr-77 --no-pci -l 0-1");
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.note, "echo 512 > /proc/sys/vm/nr_hugepages"));
}

static void
hugepages_that_do_not_do(void)
{
	/* Just enough, one MiB too few, and enough but not for us. */
	machine_make(1, 600);
	choose(0, 600);
	CU_ASSERT_TRUE(plan.hugepages);
	choose(0, 601);
	CU_ASSERT_FALSE(plan.hugepages);
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.line, "-m 601 "));
	machine.hugepages_usable = false;
	choose(0, 600);
	CU_ASSERT_FALSE(plan.hugepages);
	/* The remedy covers what is needed: 4096 MiB are 2048 pages. */
	choose(0, 4096);
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.note, "echo 2048 >"));
}

/* The lcore arguments are the last two. */
static void
expect_lcores(uint32_t wanted, const char *option, const char *value)
{
	choose(wanted, 0);
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[plan.eal_argc - 2], option);
	CU_ASSERT_STRING_EQUAL(plan.eal_argv[plan.eal_argc - 1], value);
}

static void
lcores_of_allowed_cpus(void)
{
	static const uint16_t scattered[] = {1, 2, 3, 5, 8, 9};
	machine_make(6, 1024);
	memcpy(machine.cpus, scattered, sizeof(scattered));
	expect_lcores(0, "-l", "1-3,5,8-9");
	expect_lcores(4, "-l", "1-3,5");
	expect_lcores(2, "-l", "1-2");
	expect_lcores(1, "-l", "1");
}

static void
more_lcores_than_cpus_share(void)
{
	machine_make(2, 1024);
	expect_lcores(2, "-l", "0-1");
	expect_lcores(4, "--lcores", "(0-3)@(0-1)");
	CU_ASSERT_PTR_NOT_NULL(strstr(plan.line, "'(0-3)@(0-1)'"));
	machine_make(1, 1024);
	machine.cpus[0] = 7;
	expect_lcores(2, "--lcores", "(0-1)@(7)");
}

static void
large_machines(void)
{
	/* As many lcores as LIMIT_LCORES, however many CPUs; DPDK's numbers end at 127. */
	machine_make(256, 1024);
	expect_lcores(0, "-l", "0-63");
	expect_lcores(500, "-l", "0-63");
	machine_make(2, 1024);
	machine.cpus[0] = 127;
	machine.cpus[1] = 128;
	expect_lcores(1, "-l", "127");
	expect_lcores(2, "--lcores", "0@127,1@128");
	/* The longest list there is fits. */
	machine_make(1, 1024);
	for (uint16_t i = 0; i < 512; i++)
		machine.cpus[i] = (uint16_t)(2 * i + 1);
	machine.cpus_count = 512;
	choose(0, 0);
	CU_ASSERT_NOT_EQUAL(strlen(plan.eal_argv[plan.eal_argc - 1]), 0);
}

static void
log_levels_are_passed_on(void)
{
	static const char *const levels[] = {"oskr:info", "lib.eal:debug", "pmd.*:8"};
	static char *argv[] = {"oskr", NULL};
	const struct launch_request request = {.log_levels = levels, .log_levels_count = 3};
	machine_make(1, 1024);
	CU_ASSERT_EQUAL(launch_split(&plan, 1, argv), 0);
	CU_ASSERT_EQUAL(launch_choose(&plan, &machine, &request), 0);
	static const char *const expected[] = {"--log-level=oskr:info", "--log-level=oskr.*:info",
	    "--log-level=lib.eal:debug", "--log-level=lib.eal.*:debug", "--log-level=pmd.*:8"};
	CU_ASSERT_EQUAL_FATAL(plan.eal_argc, 6 + 5);
	for (int i = 0; i < 5; i++)
		CU_ASSERT_STRING_EQUAL(plan.eal_argv[6 + i], expected[i]);
	CU_ASSERT_PTR_NULL(strstr(plan.line, "log-level"));
}

static void
long_lines_are_cut(void)
{
	static char word[3000];
	memset(word, 'w', sizeof(word) - 1);
	char *argv[] = {"oskr", "-l", "0", word, "--", NULL};
	const struct launch_request request = {0};
	machine_make(1, 0);
	CU_ASSERT_EQUAL(launch_split(&plan, 5, argv), 0);
	CU_ASSERT_EQUAL(launch_choose(&plan, &machine, &request), 0);
	CU_ASSERT_PTR_EQUAL(plan.eal_argv[3], word);
	CU_ASSERT_TRUE(strlen(plan.line) < sizeof(plan.line));
	CU_ASSERT_EQUAL(strncmp(plan.line, "-l 0 ", 5), 0);
	/* A level that is longer than all room for texts. */
	static char level[LAUNCH_TEXT_SIZE + 10];
	memset(level, 'v', sizeof(level) - 1);
	const char *const levels[] = {level};
	const struct launch_request more = {.log_levels = levels, .log_levels_count = 1};
	CU_ASSERT_EQUAL(launch_choose(&plan, &machine, &more), -E2BIG);
}

static void
this_machine(void)
{
	launch_look(&machine);
	CU_ASSERT_TRUE(machine.cpus_count >= 1);
	for (uint32_t i = 1; i < machine.cpus_count; i++)
		CU_ASSERT_TRUE(machine.cpus[i] > machine.cpus[i - 1]);
	CU_ASSERT_EQUAL(machine.pid, (uint32_t)getpid());
	CU_ASSERT_TRUE(!machine.hugepages_usable || machine.hugepages_free_mib >= 2);

	static struct machine_facts facts;
	machine_read(&facts);
	CU_ASSERT_TRUE(facts.cpus >= 1);
	CU_ASSERT_EQUAL(facts.cpus_allowed, machine.cpus_count);
	CU_ASSERT_NOT_EQUAL(facts.cpu[0], '\0');
	CU_ASSERT_EQUAL(strncmp(facts.kernel, "Linux ", 6), 0);
	CU_ASSERT_EQUAL(strncmp(facts.dpdk, "DPDK ", 5), 0);
	CU_ASSERT_TRUE(facts.memory_size > 64 * 1024 * 1024);
	CU_ASSERT_EQUAL(facts.virtualised, facts.hypervisor[0] != '\0');
	CU_ASSERT_TRUE(machine_rss_size() > 100 * 1024);
	CU_ASSERT_TRUE(machine_rss_size() < facts.memory_size);
}

static void
cpu_time_advances(void)
{
	uint64_t before_ns = machine_cpu_ns();
	uint64_t after_ns = before_ns;
	for (uint64_t i = 0; i < 100 * 1000 * 1000 && after_ns == before_ns; i++)
		after_ns = machine_cpu_ns();
	CU_ASSERT_TRUE(before_ns > 0);
	CU_ASSERT_TRUE(after_ns > before_ns);
}

static void
clock_counts_from_one_second(void)
{
	static const uint64_t hz[] = {CLOCK_HZ_MIN, 24000000, 999999999, 2100000000, 5700000001};
	for (size_t i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
		struct clock c;
		uint64_t day_ns = UINT64_C(86400) * CLOCK_NS_PER_S;
		uint64_t start = UINT64_C(123456789012);
		clock_init(&c, hz[i], start);
		uint64_t start_ns = clock_ns(&c, start);
		CU_ASSERT_TRUE(start_ns >= CLOCK_NS_PER_S - 1 && start_ns <= CLOCK_NS_PER_S);
		/* A CPU whose counter is a little behind. */
		CU_ASSERT_TRUE(clock_ns(&c, start - 1000) <= start_ns);
		CU_ASSERT_TRUE(clock_ns(&c, start - 1000) > 0);
		/* After a thousand days: exact to 1 part in 10^9. */
		uint64_t late_ns = clock_ns(&c, start + 1000 * 86400 * hz[i]) - start_ns;
		CU_ASSERT_TRUE(late_ns <= 1000 * day_ns);
		CU_ASSERT_TRUE(late_ns >= 1000 * day_ns - 1000 * day_ns / 1000000000);
		CU_ASSERT_TRUE(clock_span_ns(&c, hz[i]) <= CLOCK_NS_PER_S);
		CU_ASSERT_TRUE(clock_span_ns(&c, hz[i]) >= CLOCK_NS_PER_S - 1);
	}
}

static void
clock_survives_a_young_counter(void)
{
	/* The counter has run for less than a second, and will wrap below zero time. */
	struct clock c;
	clock_init(&c, 2000000000, 5);
	CU_ASSERT_TRUE(clock_ns(&c, 5) >= CLOCK_NS_PER_S - 1);
	CU_ASSERT_EQUAL(clock_ns(&c, 2000000005) - clock_ns(&c, 5), CLOCK_NS_PER_S);
}

/* Raises signals in a child; its exit status, or 256 + the signal that ended it. */
static int
child_signalled(int first, int second)
{
	pid_t child = fork();
	if (child == 0) {
		static atomic_bool stop;
		if (signals_open(&stop) != 0 || signals_received() != 0 || atomic_load(&stop))
			_exit(1);
		raise(SIGPIPE);
		if (signals_received() != 0)
			_exit(2);
		raise(first);
		if (signals_received() != first || !atomic_load(&stop))
			_exit(3);
		if (second != 0)
			raise(second);
		_exit(0);
	}
	int status = -1;
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void
first_signal_asks_second_ends(void)
{
	CU_ASSERT_EQUAL(child_signalled(SIGINT, 0), 0);
	CU_ASSERT_EQUAL(child_signalled(SIGTERM, 0), 0);
	CU_ASSERT_EQUAL(child_signalled(SIGINT, SIGINT), 256 + SIGINT);
	CU_ASSERT_EQUAL(child_signalled(SIGINT, SIGTERM), 256 + SIGTERM);
	CU_ASSERT_EQUAL(child_signalled(SIGTERM, SIGINT), 256 + SIGINT);
}

static const struct unit_story stories[] = {
    {"without -- all is ours", without_dashes_all_is_ours},
    {"-- splits, once", dashes_split},
    {"-- at the ends", dashes_at_the_ends},
    {"too many arguments", too_many_arguments},
    {"given arguments stay", given_arguments_stay},
    {"with hugepages", with_hugepages},
    {"without hugepages", without_hugepages},
    {"hugepages that do not do", hugepages_that_do_not_do},
    {"lcores of allowed CPUs", lcores_of_allowed_cpus},
    {"more lcores than CPUs share", more_lcores_than_cpus_share},
    {"large machines", large_machines},
    {"log levels are passed on", log_levels_are_passed_on},
    {"long lines are cut", long_lines_are_cut},
    {"this machine", this_machine},
    {"CPU time advances", cpu_time_advances},
    {"clock counts from one second", clock_counts_from_one_second},
    {"clock survives a young counter", clock_survives_a_young_counter},
    {"first signal asks, second ends", first_signal_asks_second_ends},
};

UNIT_MAIN("launch", stories)
