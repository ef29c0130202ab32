/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/notes.c: what a note looks like in the log, and that a flood of them is
 * bounded and counted.
 */
#include "lcore/notes.h"

#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lcore_eal.h"

static struct clock time_base;
static uint64_t begin_ns;

static struct notes
notes_of(const char *who, uint16_t number)
{
	struct notes n;
	struct notes_config config = {
	    .clock = &time_base,
	    .begin_ns = &begin_ns,
	    .who = who,
	    .number = number,
	    .log_type = notes_log_type(),
	};
	CU_ASSERT_FATAL(config.log_type >= 0);
	notes_init(&n, &config);
	return n;
}

/* What the log gets from a note; the caller frees it. */
static char *
logged(struct notes *n, const struct note *note)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	rte_openlog_stream(file);
	notes_write(n, note);
	rte_openlog_stream(NULL);
	fclose(file);
	return text;
}

static void
a_note_is_a_line(void)
{
	clock_start(&time_base);
	struct notes n = notes_of("replica", 3);
	static const struct note note = {"enters view %lu with %lu of %lu", {7, 11, UINT64_MAX}};
	begin_ns = 0;
	char *text = logged(&n, &note);
	CU_ASSERT_STRING_EQUAL(
	    text, "oskr: 0.000 ms  replica 3: enters view 7 with 11 of 18446744073709551615\n");
	free(text);
	/* Times count from when the run began. */
	begin_ns = CLOCK_NS_PER_S / 2;
	text = logged(&n, &(struct note){"says nothing", {0}});
	double ms = 0;
	char rest[64] = "";
	CU_ASSERT_EQUAL(sscanf(text, "oskr: %lf ms  %63[^\n]", &ms, rest), 2);
	CU_ASSERT(ms >= 500 && ms < 60000);
	CU_ASSERT_STRING_EQUAL(rest, "replica 3: says nothing");
	free(text);
	CU_ASSERT_EQUAL(n.written, 2);
	CU_ASSERT_EQUAL(n.left_out, 0);
}

static void
the_level_is_notice(void)
{
	struct notes n = notes_of("client node", 0);
	CU_ASSERT_EQUAL(rte_log_get_level((uint32_t)n.config.log_type), RTE_LOG_NOTICE);
	rte_log_set_level((uint32_t)n.config.log_type, RTE_LOG_WARNING);
	char *text = logged(&n, &(struct note){"is not shown", {0}});
	CU_ASSERT_STRING_EQUAL(text, "");
	free(text);
	rte_log_set_level((uint32_t)n.config.log_type, RTE_LOG_NOTICE);
}

static void
a_flood_is_bounded(void)
{
	struct notes n = notes_of("replica", 0);
	uint64_t allowed = 0;
	/* A thousand a second, for ten seconds. */
	for (uint64_t i = 0; i < 10000; i++)
		allowed += notes_allow(&n, CLOCK_NS_PER_S + i * CLOCK_NS_PER_S / 1000);
	CU_ASSERT_EQUAL(allowed, 10 * NOTES_PER_SECOND_MAX);
	CU_ASSERT_EQUAL(n.written, allowed);
	CU_ASSERT_EQUAL(n.left_out, 10000 - allowed);
	/* After a quiet time there is room again. */
	CU_ASSERT_TRUE(notes_allow(&n, 100ull * CLOCK_NS_PER_S));
}

static const struct unit_story stories[] = {
    {"a note is a line", a_note_is_a_line},
    {"the level is notice", the_level_is_notice},
    {"a flood is bounded", a_flood_is_bounded},
};

int
main(void)
{
	return lcore_eal_run("notes", stories, sizeof(stories) / sizeof(stories[0]));
}
