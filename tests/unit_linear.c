/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search and the witness: hand-made stories, and thousands of random ones
 * judged again by checkers that try everything on real bytes. One core.
 */
#include <stdlib.h>
#include <string.h>

#include "linear_rig.h"

/* ---- One line of a story ------------------------------------------------ */

/* Values are short texts. NULL stands for "not used", and where a get returns
 * it, for NOT_FOUND. */
struct line {
	enum history_kind kind;
	const char *written;
	const char *seen;
	enum history_status status;
	uint64_t invoke_ns;
	uint64_t response_ns;
	uint64_t seq;
	const char *key; /* NULL: "k" */
};

#define NEVER HISTORY_PENDING

enum { LINES_MAX = 9 };

static struct history_value
value_of_text(const char *text)
{
	return text == NULL ? (struct history_value){0} : history_value_of(text, strlen(text));
}

/* Makes the history of the lines up to the first one without times. */
static void
history_of_lines(struct history *h, const struct line *lines, size_t count)
{
	history_init(h, 1000);
	for (size_t i = 0; i < count && lines[i].response_ns != 0; i++) {
		const struct line *line = &lines[i];
		const char *key = line->key != NULL ? line->key : "k";
		struct history_op op = {
		    .kind = (uint8_t)line->kind,
		    .status = (uint8_t)line->status,
		    .written = value_of_text(line->written),
		    .seen = value_of_text(line->seen),
		    .invoke_ns = line->invoke_ns,
		    .response_ns = line->response_ns,
		    .seq = line->seq,
		    .client = (uint32_t)i,
		    .request = 1,
		};
		CU_ASSERT_EQUAL_FATAL(history_add(h, &op, key, strlen(key)), 0);
	}
}

static enum linear_verdict
search_verdict(const struct history *h)
{
	struct linear_limits limits = LINEAR_LIMITS_DEFAULT;
	struct linear_report report;
	CU_ASSERT_EQUAL_FATAL(linear_check(h, &limits, &report), 0);
	return report.verdict;
}

#define PUT(v, from, to)                                            \
	{                                                           \
		HISTORY_PUT, v, NULL, HISTORY_OK, from, to, 0, NULL \
	}
#define APPEND(v, from, to)                                            \
	{                                                              \
		HISTORY_APPEND, v, NULL, HISTORY_OK, from, to, 0, NULL \
	}
#define GET(v, from, to)                                            \
	{                                                           \
		HISTORY_GET, NULL, v, HISTORY_OK, from, to, 0, NULL \
	}
#define GET_NONE(from, to)                                                    \
	{                                                                     \
		HISTORY_GET, NULL, NULL, HISTORY_NOT_FOUND, from, to, 0, NULL \
	}
#define DELETE(from, to)                                                  \
	{                                                                 \
		HISTORY_DELETE, NULL, NULL, HISTORY_OK, from, to, 0, NULL \
	}
#define DELETE_NONE(from, to)                                                    \
	{                                                                        \
		HISTORY_DELETE, NULL, NULL, HISTORY_NOT_FOUND, from, to, 0, NULL \
	}
#define CAS(e, v, from, to)                                      \
	{                                                        \
		HISTORY_CAS, v, e, HISTORY_OK, from, to, 0, NULL \
	}
#define CAS_OTHER(e, v, from, to)                                      \
	{                                                              \
		HISTORY_CAS, v, e, HISTORY_MISMATCH, from, to, 0, NULL \
	}
#define LOST(kind, v, e, from)                                    \
	{                                                         \
		kind, v, e, HISTORY_UNKNOWN, from, NEVER, 0, NULL \
	}

struct story {
	const char *name;
	enum linear_verdict verdict;
	struct line lines[LINES_MAX];
};

static const struct story stories_by_hand[] = {
    {"nothing at all", LINEAR_PASS, {{0}}},
    {"one after the other", LINEAR_PASS,
	{PUT("a", 1, 2), GET("a", 3, 4), DELETE(5, 6), GET_NONE(7, 8)}},
    {"a get may see a put that runs", LINEAR_PASS,
	{PUT("a", 1, 9), GET("a", 2, 3), GET("a", 4, 5)}},
    {"a get may miss a put that runs", LINEAR_PASS,
	{PUT("a", 1, 9), GET_NONE(2, 3), GET("a", 4, 5)}},
    {"answered as the other is asked: concurrent", LINEAR_PASS, {PUT("a", 1, 5), GET_NONE(5, 6)}},
    {"append creates, then extends", LINEAR_PASS,
	{APPEND("a", 1, 2), APPEND("b", 3, 4), GET("ab", 5, 6)}},
    {"two appends in the other order", LINEAR_PASS,
	{APPEND("a", 1, 5), APPEND("b", 2, 4), GET("ba", 6, 7)}},
    {"a lost put took effect late", LINEAR_PASS,
	{PUT("a", 1, 2), LOST(HISTORY_PUT, "b", NULL, 3), GET("a", 4, 5), GET("b", 6, 7)}},
    {"a lost put never took effect", LINEAR_PASS,
	{PUT("a", 1, 2), LOST(HISTORY_PUT, "b", NULL, 3), GET("a", 4, 5)}},
    {"a lost delete took effect", LINEAR_PASS,
	{PUT("a", 1, 2), LOST(HISTORY_DELETE, NULL, NULL, 3), CAS_OTHER("a", "b", 4, 5)}},
    {"a lost cas took effect", LINEAR_PASS,
	{PUT("a", 1, 2), LOST(HISTORY_CAS, "b", "a", 3), CAS("b", "c", 4, 5), GET("c", 6, 7)}},
    {"a lost append took effect", LINEAR_PASS,
	{PUT("a", 1, 2), LOST(HISTORY_APPEND, "b", NULL, 3), GET("a", 4, 5), GET("ab", 6, 7)}},
    {"a lost get says nothing", LINEAR_PASS,
	{LOST(HISTORY_GET, NULL, NULL, 1), PUT("a", 2, 3), GET("a", 4, 5)}},
    {"of two cas one wins", LINEAR_PASS,
	{PUT("a", 1, 2), CAS("a", "b", 3, 6), CAS_OTHER("a", "c", 3, 6), GET("b", 7, 8)}},
    {"cas: loses against nothing", LINEAR_PASS,
	{CAS_OTHER("a", "b", 1, 2), PUT("a", 3, 4), DELETE(5, 6), CAS_OTHER("a", "b", 7, 8)}},
    {"equal values written twice", LINEAR_PASS,
	{PUT("a", 1, 2), PUT("b", 3, 9), GET("a", 4, 5), PUT("a", 6, 20), GET("b", 10, 11),
	    GET("a", 12, 13)}},
    {"cas to the same value", LINEAR_PASS, {PUT("a", 1, 2), CAS("a", "a", 3, 4), GET("a", 5, 6)}},
    {"an append that adds nothing", LINEAR_PASS, {APPEND("", 1, 2), GET("", 3, 4), DELETE(5, 6)}},
    {"an append makes a needed value again", LINEAR_PASS,
	{PUT("ab", 1, 2), PUT("a", 3, 20), GET("a", 4, 5), APPEND("b", 3, 20), GET("ab", 6, 7)}},

    {"get: a value of before", LINEAR_VIOLATION, {PUT("a", 1, 2), PUT("b", 3, 4), GET("a", 5, 6)}},
    {"get: a value of later", LINEAR_VIOLATION, {GET("a", 1, 2), PUT("a", 3, 4)}},
    {"get: a value of nobody", LINEAR_VIOLATION, {PUT("a", 1, 2), GET("b", 3, 4)}},
    {"get: nothing where something is", LINEAR_VIOLATION, {PUT("a", 1, 2), GET_NONE(3, 4)}},
    {"get: new, then old again", LINEAR_VIOLATION,
	{PUT("a", 1, 2), PUT("b", 3, 20), GET("b", 4, 5), GET("a", 6, 7)}},
    {"get: two readers, two orders", LINEAR_VIOLATION,
	{PUT("a", 1, 20), PUT("b", 1, 20), GET("a", 2, 3), GET("b", 4, 5), GET("a", 6, 7)}},
    {"put: lost", LINEAR_VIOLATION,
	{PUT("a", 1, 2), GET("a", 3, 4), PUT("b", 5, 6), GET("a", 7, 8)}},
    {"put: applied again after a later one", LINEAR_VIOLATION,
	{PUT("a", 1, 2), PUT("b", 3, 4), GET("b", 5, 6), GET("a", 7, 8)}},
    {"delete: undone", LINEAR_VIOLATION, {PUT("a", 1, 2), DELETE(3, 4), GET("a", 5, 6)}},
    {"delete: twice", LINEAR_VIOLATION, {PUT("a", 1, 2), DELETE(3, 6), DELETE(3, 6)}},
    {"delete: of nothing", LINEAR_VIOLATION, {DELETE(1, 2), PUT("a", 3, 4)}},
    {"delete: did not find what is there", LINEAR_VIOLATION, {PUT("a", 1, 2), DELETE_NONE(3, 4)}},
    {"cas: both win", LINEAR_VIOLATION, {PUT("a", 1, 2), CAS("a", "b", 3, 6), CAS("a", "c", 3, 6)}},
    {"cas: wins against another value", LINEAR_VIOLATION, {PUT("a", 1, 2), CAS("b", "c", 3, 4)}},
    {"cas: loses against the same value", LINEAR_VIOLATION,
	{PUT("a", 1, 2), CAS_OTHER("a", "c", 3, 4)}},
    {"cas: wins against nothing", LINEAR_VIOLATION, {CAS("a", "c", 1, 2)}},
    {"cas: lost, but wrote", LINEAR_VIOLATION,
	{PUT("a", 1, 2), CAS_OTHER("x", "c", 3, 4), GET("c", 5, 6)}},
    {"append: lost", LINEAR_VIOLATION,
	{APPEND("a", 1, 2), APPEND("b", 3, 4), APPEND("c", 5, 6), GET("ac", 7, 8)}},
    {"append: twice", LINEAR_VIOLATION, {APPEND("a", 1, 2), APPEND("b", 3, 4), GET("abb", 5, 6)}},
    {"append: in the wrong order", LINEAR_VIOLATION,
	{APPEND("a", 1, 2), APPEND("b", 3, 4), GET("ba", 5, 6)}},
    {"append: twice, once unanswered", LINEAR_VIOLATION,
	{PUT("a", 1, 2), LOST(HISTORY_APPEND, "b", NULL, 3), GET("abb", 4, 5)}},
    {"lost put: seen, then unseen", LINEAR_VIOLATION,
	{PUT("a", 1, 2), LOST(HISTORY_PUT, "b", NULL, 3), GET("b", 4, 5), GET("a", 6, 7)}},
    {"lost put: seen before it was asked", LINEAR_VIOLATION,
	{GET("b", 1, 2), LOST(HISTORY_PUT, "b", NULL, 3)}},
    {"lost cas: against its condition", LINEAR_VIOLATION,
	{PUT("a", 1, 2), LOST(HISTORY_CAS, "c", "b", 3), GET("c", 4, 5)}},
    {"one bad key among good ones", LINEAR_VIOLATION,
	{PUT("a", 1, 2), GET("a", 3, 4), {HISTORY_PUT, "x", NULL, HISTORY_OK, 1, 2, 0, "other"},
	    {HISTORY_GET, NULL, NULL, HISTORY_NOT_FOUND, 3, 4, 0, "other"}}},
};

static void
search_judges_stories(void)
{
	size_t count = sizeof(stories_by_hand) / sizeof(stories_by_hand[0]);
	for (size_t i = 0; i < count; i++) {
		struct history h;
		history_of_lines(&h, stories_by_hand[i].lines, LINES_MAX);
		enum linear_verdict verdict = search_verdict(&h);
		if (verdict != stories_by_hand[i].verdict)
			printf("\n    wrong: %s\n", stories_by_hand[i].name);
		CU_ASSERT_EQUAL(verdict, stories_by_hand[i].verdict);
		history_free(&h);
	}
}

/* The evidence names the key, the blocked operation, and what came before. */
static void
search_shows_evidence(void)
{
	const struct line lines[] = {PUT("a", 1, 2), PUT("b", 3, 4), GET("a", 5, 6), GET("b", 7, 8),
	    {HISTORY_PUT, "x", NULL, HISTORY_OK, 1, 2, 0, "other"}};
	struct history h;
	history_of_lines(&h, lines, 5);
	struct linear_limits limits = LINEAR_LIMITS_DEFAULT;
	struct linear_report report;
	CU_ASSERT_EQUAL(linear_check(&h, &limits, &report), 0);
	CU_ASSERT_EQUAL_FATAL(report.verdict, LINEAR_VIOLATION);
	CU_ASSERT_EQUAL(report.evidence.key, 0);
	CU_ASSERT_EQUAL(report.evidence.total_count, 4);
	CU_ASSERT(report.evidence.blocked == 1 || report.evidence.blocked == 2);
	CU_ASSERT(report.evidence.last_count >= 1);
	CU_ASSERT_EQUAL(report.evidence.last[0], 0);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	linear_print(out, &h, &report.evidence);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "key \"k\": of 4 operations at most"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "  > ["));
	free(text);
	history_free(&h);
}

/* ---- Against checkers that try everything ------------------------------- */

/* A key's value as bytes: shares nothing with the model under test. */
struct text_value {
	bool exists;
	char text[64];
};

static enum history_status
text_execute(struct text_value *value, const struct line *line)
{
	bool same = value->exists && line->seen != NULL && strcmp(value->text, line->seen) == 0;
	bool existed = value->exists;
	switch (line->kind) {
	case HISTORY_PUT:
		strcpy(value->text, line->written);
		value->exists = true;
		return HISTORY_OK;
	case HISTORY_APPEND:
		strcat(value->text, line->written);
		value->exists = true;
		return HISTORY_OK;
	case HISTORY_DELETE:
		*value = (struct text_value){0};
		return existed ? HISTORY_OK : HISTORY_NOT_FOUND;
	case HISTORY_CAS:
		if (same)
			strcpy(value->text, line->written);
		return same ? HISTORY_OK : HISTORY_MISMATCH;
	default:
		return existed ? HISTORY_OK : HISTORY_NOT_FOUND;
	}
}

/* Executes a line; false if it was told something else. */
static bool
text_agrees(struct text_value *value, const struct line *line)
{
	struct text_value before = *value;
	enum history_status status = text_execute(value, line);
	if (line->response_ns == NEVER)
		return true;
	if (status != line->status)
		return false;
	return line->kind != HISTORY_GET || !before.exists || strcmp(before.text, line->seen) == 0;
}

/* Tries every order; `done` has a bit for each line taken. */
static bool
brute_force(const struct line *lines, size_t count, unsigned int done, struct text_value value)
{
	bool all_answered = true;
	for (size_t i = 0; i < count; i++)
		all_answered &= (done >> i & 1) != 0 || lines[i].response_ns == NEVER;
	if (all_answered)
		return true;
	for (size_t i = 0; i < count; i++) {
		bool first = (done >> i & 1) == 0;
		for (size_t j = 0; j < count; j++)
			first &= (done >> j & 1) != 0 || lines[j].response_ns >= lines[i].invoke_ns;
		struct text_value after = value;
		if (first && text_agrees(&after, &lines[i]) &&
		    brute_force(lines, count, done | 1U << i, after))
			return true;
	}
	return false;
}

/* Lines have the key "k" (NULL) or another. */
struct text_values {
	struct text_value of[2];
};

static struct text_value *
value_of_line(struct text_values *values, const struct line *line)
{
	return &values->of[line->key != NULL];
}

/* Replays those with a position by it, and compares every pair of their times. */
static bool
brute_witness(const struct line *lines, size_t count)
{
	struct text_values values = {0};
	bool good = true;
	for (size_t seq = 1; seq <= count; seq++) {
		for (size_t i = 0; i < count; i++) {
			if (lines[i].seq == seq)
				good &= text_agrees(value_of_line(&values, &lines[i]), &lines[i]);
		}
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++)
			good &= lines[i].response_ns >= lines[j].invoke_ns || lines[i].seq == 0 ||
				lines[j].seq == 0 || lines[i].seq < lines[j].seq;
	}
	return good;
}

/* Tries every order of all that keeps the positions of those that have one. */
static bool
brute_places(const struct line *lines, size_t count, unsigned int done, struct text_values values)
{
	bool all_answered = true;
	for (size_t i = 0; i < count; i++)
		all_answered &= (done >> i & 1) != 0 || lines[i].response_ns == NEVER;
	if (all_answered)
		return true;
	for (size_t i = 0; i < count; i++) {
		bool first = (done >> i & 1) == 0;
		for (size_t j = 0; j < count; j++) {
			bool before = lines[j].response_ns < lines[i].invoke_ns ||
				      (lines[j].seq != 0 && lines[j].seq < lines[i].seq);
			first &= (done >> j & 1) != 0 || !before;
		}
		struct text_values after = values;
		if (first && text_agrees(value_of_line(&after, &lines[i]), &lines[i]) &&
		    brute_places(lines, count, done | 1U << i, after))
			return true;
	}
	return false;
}

/* What a get returned is kept here, as lines hold pointers only. */
static char texts_seen[LINES_MAX][64];

/* Changes what a line was told, or when. */
static void
change_line(struct line *line)
{
	static const char *const texts[] = {"a", "b", "ab", "", "ba"};
	if (line->response_ns == NEVER)
		return;
	if (line->kind == HISTORY_GET) {
		line->status = draw(3) == 0 ? HISTORY_NOT_FOUND : HISTORY_OK;
		line->seen = line->status == HISTORY_OK ? texts[draw(5)] : NULL;
	} else if (line->kind == HISTORY_DELETE) {
		line->status = draw(2) == 0 ? HISTORY_OK : HISTORY_NOT_FOUND;
	} else if (line->kind == HISTORY_CAS) {
		line->status = draw(2) == 0 ? HISTORY_OK : HISTORY_MISMATCH;
	} else {
		line->invoke_ns += 3;
		line->response_ns += 3;
	}
}

/* Lines that a right service may have answered, one of them perhaps changed
 * afterwards. Times from a small range, so that many are equal. */
static size_t
random_lines(struct line *lines)
{
	static const char *const texts[] = {"a", "b", "ab", "", "ba"};
	size_t count = 1 + draw(7);
	struct text_value value = {0};
	uint64_t spread_ns = 1 + draw(6);
	uint64_t step_ns = 8;
	for (size_t i = 0; i < count; i++) {
		struct line *line = &lines[i];
		*line = (struct line){.kind = (enum history_kind)draw(HISTORY_SCAN), .seq = i + 1};
		bool writes = line->kind == HISTORY_PUT || line->kind == HISTORY_APPEND ||
			      line->kind == HISTORY_CAS;
		line->written = writes ? texts[draw(5)] : NULL;
		line->seen = line->kind == HISTORY_CAS ? texts[draw(3)] : NULL;
		step_ns += draw(4);
		line->invoke_ns = step_ns - draw(spread_ns);
		line->response_ns = draw(8) == 0 ? NEVER : step_ns + draw(spread_ns);
		bool pending = line->response_ns == NEVER;
		if (line->kind == HISTORY_GET && value.exists && !pending)
			line->seen = strcpy(texts_seen[i], value.text);
		if (!pending || draw(2) == 0)
			line->status = text_execute(&value, line);
		if (pending)
			line->status = HISTORY_UNKNOWN;
	}
	for (uint64_t changes = draw(4); changes > 0; changes--)
		change_line(&lines[draw(count)]);
	return count;
}

enum { RANDOM_HISTORIES_COUNT = 40000 };

static void
search_agrees_with_brute_force(void)
{
	size_t passed = 0;
	size_t refused = 0;
	random_state = 7;
	for (size_t i = 0; i < RANDOM_HISTORIES_COUNT; i++) {
		struct line lines[LINES_MAX] = {0};
		size_t count = random_lines(lines);
		bool good = brute_force(lines, count, 0, (struct text_value){0});
		struct history h;
		history_of_lines(&h, lines, count);
		enum linear_verdict verdict = search_verdict(&h);
		if (verdict != (good ? LINEAR_PASS : LINEAR_VIOLATION))
			printf("\n    history %zu: brute force says %d\n", i, good);
		CU_ASSERT_EQUAL_FATAL(verdict, good ? LINEAR_PASS : LINEAR_VIOLATION);
		passed += good;
		refused += !good;
		history_free(&h);
	}
	printf("%zu passed, %zu refused ", passed, refused);
	CU_ASSERT(passed > RANDOM_HISTORIES_COUNT / 10);
	CU_ASSERT(refused > RANDOM_HISTORIES_COUNT / 10);
}

static void
witness_agrees_with_brute_force(void)
{
	size_t passed = 0;
	size_t refused = 0;
	random_state = 8;
	for (size_t i = 0; i < RANDOM_HISTORIES_COUNT; i++) {
		struct line lines[LINES_MAX] = {0};
		size_t count = random_lines(lines);
		struct history h;
		history_of_lines(&h, lines, count);
		bool good = brute_witness(lines, count);
		enum witness_verdict verdict = witness_report_of(&h).verdict;
		CU_ASSERT_EQUAL_FATAL(verdict, good ? WITNESS_PASS : WITNESS_VIOLATION);
		/* An order that the service names is an order. */
		if (good)
			CU_ASSERT_EQUAL(search_verdict(&h), LINEAR_PASS);
		passed += good;
		refused += !good;
		history_free(&h);
	}
	printf("%zu passed, %zu refused ", passed, refused);
	CU_ASSERT(passed > RANDOM_HISTORIES_COUNT / 10);
	CU_ASSERT(refused > RANDOM_HISTORIES_COUNT / 10);
}

/* Lines on two keys, of whose reads some have no position. */
static size_t
random_lines_apart(struct line *lines)
{
	size_t count = random_lines(lines);
	struct text_values values = {0};
	for (size_t i = 0; i < count; i++) {
		struct line *line = &lines[i];
		bool pending = line->response_ns == NEVER;
		line->key = draw(2) == 0 ? NULL : "j";
		struct text_value *value = value_of_line(&values, line);
		if (line->kind == HISTORY_GET && !pending)
			line->seen = value->exists ? strcpy(texts_seen[i], value->text) : NULL;
		enum history_status status = text_execute(value, line);
		line->status = pending ? HISTORY_UNKNOWN : status;
	}
	for (uint64_t changes = draw(3); changes > 0; changes--)
		change_line(&lines[draw(count)]);
	for (size_t i = 0; i < count; i++) {
		bool read = lines[i].kind == HISTORY_GET || lines[i].status == HISTORY_NOT_FOUND ||
			    lines[i].status == HISTORY_MISMATCH;
		if (read && lines[i].response_ns != NEVER && draw(4) != 0)
			lines[i].seq = 0;
	}
	return count;
}

/* Reads without a position: a place for all of them, if there is one. */
static void
witness_places_reads(void)
{
	size_t verdicts[WITNESS_GAVE_UP + 1] = {0};
	uint64_t placed = 0;
	random_state = 9;
	for (size_t i = 0; i < RANDOM_HISTORIES_COUNT; i++) {
		struct line lines[LINES_MAX] = {0};
		size_t count = random_lines_apart(lines);
		struct history h;
		history_of_lines(&h, lines, count);
		enum witness_verdict expected = WITNESS_VIOLATION;
		if (brute_places(lines, count, 0, (struct text_values){0}))
			expected = WITNESS_PASS;
		else if (brute_witness(lines, count))
			expected = WITNESS_GAVE_UP;
		struct witness_report report = witness_report_of(&h);
		if (report.verdict != expected)
			printf("\n    history %zu: brute force says %d\n", i, (int)expected);
		CU_ASSERT_EQUAL_FATAL(report.verdict, expected);
		if (expected == WITNESS_PASS)
			CU_ASSERT_EQUAL(search_verdict(&h), LINEAR_PASS);
		verdicts[expected]++;
		placed += expected == WITNESS_PASS ? report.placed : 0;
		history_free(&h);
	}
	printf("%zu passed with %lu reads placed, %zu refused, %zu left open ",
	    verdicts[WITNESS_PASS], placed, verdicts[WITNESS_VIOLATION], verdicts[WITNESS_GAVE_UP]);
	CU_ASSERT(verdicts[WITNESS_PASS] > RANDOM_HISTORIES_COUNT / 10);
	CU_ASSERT(verdicts[WITNESS_VIOLATION] > RANDOM_HISTORIES_COUNT / 10);
	CU_ASSERT(verdicts[WITNESS_GAVE_UP] > RANDOM_HISTORIES_COUNT / 20);
	CU_ASSERT(placed > RANDOM_HISTORIES_COUNT / 10);
}

/* ---- Limits ------------------------------------------------------------- */

/* A search without room says so, for good and for bad histories. */
static void
search_gives_up_within_limits(void)
{
	for (int bad = 0; bad < 2; bad++) {
		struct options options = {.generate = 20000,
		    .seed = 3,
		    .keys = 1,
		    .clients = 24,
		    .violation = bad ? VIOLATION_STALE_READ : VIOLATION_NONE};
		struct history h;
		history_init(&h, HISTORY_OPS_MAX);
		CU_ASSERT_EQUAL_FATAL(generate(&h, &options), 0);
		struct linear_report report;
		struct linear_limits few_steps = {.cache_bytes_max = 1 << 30, .steps_max = 5000};
		CU_ASSERT_EQUAL(linear_check(&h, &few_steps, &report), 0);
		CU_ASSERT_EQUAL(report.verdict, LINEAR_GAVE_UP);
		CU_ASSERT(report.steps < 5000 + 2 * 24);
		struct linear_limits no_memory = {.cache_bytes_max = 1, .steps_max = UINT64_MAX};
		CU_ASSERT_EQUAL(linear_check(&h, &no_memory, &report), 0);
		CU_ASSERT_EQUAL(report.verdict, LINEAR_GAVE_UP);
		CU_ASSERT_EQUAL(report.keys_gave_up, 1);
		CU_ASSERT(report.cache_bytes_peak <= 1024 * 16);
		history_free(&h);
	}
}

/* ---- The witness -------------------------------------------------------- */

static void
witness_finds_twice(void)
{
	struct line lines[] = {PUT("a", 1, 2), PUT("b", 3, 4)};
	lines[0].seq = 1;
	lines[1].seq = 1;
	struct history h;
	history_of_lines(&h, lines, 2);
	struct witness_report report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_VIOLATION);
	CU_ASSERT_EQUAL(report.fault, WITNESS_FAULT_SEQ_TWICE);
	h.ops[1].seq = 2;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	h.ops[1].client = h.ops[0].client;
	report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_VIOLATION);
	CU_ASSERT_EQUAL(report.fault, WITNESS_FAULT_CLIENT_TWICE);
	/* Numbers that are not known cannot be the same. */
	h.ops[0].request = h.ops[1].request = 0;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	history_free(&h);
}

static void
witness_keeps_real_time(void)
{
	struct line lines[] = {PUT("a", 1, 2), PUT("b", 3, 4), PUT("c", 1, 9)};
	lines[0].seq = 2;
	lines[1].seq = 1;
	lines[2].seq = 3;
	struct history h;
	history_of_lines(&h, lines, 3);
	struct witness_report report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.fault, WITNESS_FAULT_TIME);
	CU_ASSERT_EQUAL(report.first, 0);
	CU_ASSERT_EQUAL(report.second, 1);
	/* Answered in the very moment that the other is asked: either order. */
	h.ops[0].response_ns = 3;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	history_free(&h);
}

/* Without a position, nothing is proved: neither pass nor violation. */
static void
witness_leaves_open(void)
{
	struct line lines[] = {
	    PUT("a", 1, 2), LOST(HISTORY_PUT, "b", NULL, 3), GET("b", 4, 5), GET("c", 6, 7)};
	for (size_t i = 0; i < 4; i++)
		lines[i].seq = i + 1;
	struct history h;
	history_of_lines(&h, lines, 3);
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	h.ops[1].seq = 0;
	struct witness_report report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_GAVE_UP);
	CU_ASSERT_EQUAL(report.unjudged, 1);
	h.ops[2].seen = h.ops[0].written;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	/* A read finds its place beside the lost put, but not after one that nobody made. */
	h.ops[2].seq = 0;
	report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_PASS);
	CU_ASSERT_EQUAL(report.placed, 1);
	h.ops[2].seen = value_of_text("c");
	report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_GAVE_UP);
	CU_ASSERT_EQUAL(report.unplaced, 1);
	/* A write has none: it would have to be searched. */
	h.ops[2].seen = h.ops[0].written;
	h.ops[0].seq = 0;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_GAVE_UP);
	history_free(&h);
	history_of_lines(&h, lines, 4);
	report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.fault, WITNESS_FAULT_RESULT);
	CU_ASSERT_EQUAL(report.first, 3);
	history_free(&h);
}

/* Rows come in the order of the keys' bytes, whatever order they came in. */
static void
witness_replays_scans(void)
{
	struct history h;
	history_init(&h, 100);
	static const char *const keys[] = {"b", "ab", "a", "c"};
	for (size_t i = 0; i < 4; i++) {
		struct history_op op = {.kind = HISTORY_PUT,
		    .status = HISTORY_OK,
		    .written = value_of_text(keys[i]),
		    .invoke_ns = i,
		    .response_ns = i,
		    .seq = i + 1};
		CU_ASSERT_EQUAL_FATAL(history_add(&h, &op, keys[i], strlen(keys[i])), 0);
	}
	struct history_op gone = {.kind = HISTORY_DELETE,
	    .status = HISTORY_OK,
	    .invoke_ns = 4,
	    .response_ns = 5,
	    .seq = 5};
	CU_ASSERT_EQUAL_FATAL(history_add(&h, &gone, "b", 1), 0);
	struct history_op scan = {.kind = HISTORY_SCAN,
	    .status = HISTORY_OK,
	    .limit = 2,
	    .invoke_ns = 6,
	    .response_ns = 7,
	    .seq = 6};
	scan.seen = history_scan_added(scan.seen, value_of_text("ab"), value_of_text("ab"));
	scan.seen = history_scan_added(scan.seen, value_of_text("c"), value_of_text("c"));
	CU_ASSERT_EQUAL_FATAL(history_add(&h, &scan, "aa", 2), 0);
	struct history_value rows =
	    history_scan_added((struct history_value){0}, value_of_text("a"), value_of_text("a"));
	rows = history_scan_added(rows, value_of_text("ab"), value_of_text("ab"));
	scan.seq = 8;
	scan.seen = rows;
	CU_ASSERT_EQUAL_FATAL(history_add(&h, &scan, "", 0), 0);
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	h.ops[5].limit = 1;
	CU_ASSERT_EQUAL(witness_report_of(&h).fault, WITNESS_FAULT_RESULT);
	h.ops[5].limit = 3;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_PASS);
	h.ops[4].seq = 7;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_VIOLATION);
	/* Beside the order: not before a delete that was answered before it was asked. */
	h.ops[4].seq = 5;
	h.ops[6].seq = 0;
	struct witness_report report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_PASS);
	CU_ASSERT_EQUAL(report.placed, 1);
	h.ops[6].seen = history_scan_added(rows, value_of_text("b"), value_of_text("b"));
	h.ops[6].limit = 3;
	report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_GAVE_UP);
	CU_ASSERT_EQUAL(report.unplaced, 1);
	h.ops[6].seq = 8;
	CU_ASSERT_EQUAL(witness_report_of(&h).verdict, WITNESS_VIOLATION);
	h.ops[6].seq = 0;
	h.ops[6].invoke_ns = 5;
	report = witness_report_of(&h);
	CU_ASSERT_EQUAL(report.verdict, WITNESS_PASS);
	CU_ASSERT_EQUAL(report.placed, 1);
	history_free(&h);
}

static const struct unit_story stories[] = {
    {"search: stories by hand", search_judges_stories},
    {"search: shows evidence", search_shows_evidence},
    {"search: agrees with brute force", search_agrees_with_brute_force},
    {"search: gives up within limits", search_gives_up_within_limits},
    {"witness: agrees with brute force", witness_agrees_with_brute_force},
    {"witness: exactly once", witness_finds_twice},
    {"witness: real time", witness_keeps_real_time},
    {"witness: leaves open what is not known", witness_leaves_open},
    {"witness: scans", witness_replays_scans},
    {"witness: reads beside the order", witness_places_reads},
};

UNIT_MAIN("linear", stories)
