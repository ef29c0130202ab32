/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What history a new view of Zyzzyva starts with (protocols/zyzzyva/decide.h), on
 * hand-made sets of VIEW-CHANGEs, among them the two schedules of arXiv:1712.01367
 * that undo what the published protocol had acknowledged. n = 4, f = 1, K = 4.
 */
#include "tests/unit.h"

#include <string.h>

#include "protocols/zyzzyva/decide.h"

enum { ENTRIES_MAX = 8, INTERVAL = 4, BODY_MAX = 2048 };

static struct member me;
static struct decide_config config;

/* A VIEW-CHANGE while it is being put together. */
struct sheet {
	struct view_change_head head;
	uint8_t entries[ENTRIES_MAX][32];
};

static struct sheet sheets[4];

static void
open(void)
{
	const struct protocol_config protocol = {.replicas_count = 4, .faults = 1};
	member_init(&me, &protocol);
	config =
	    (struct decide_config){.me = &me, .interval = INTERVAL, .window_log = 2 * INTERVAL};
	memset(sheets, 0, sizeof(sheets));
}

/* Its history: a letter for each seq above its checkpoint; the h of a letter is that letter. */
static void
history(uint32_t replica, uint64_t active, const char *letters)
{
	struct sheet *s = &sheets[replica];
	s->head.active = active;
	s->head.entries_count = strlen(letters);
	for (size_t i = 0; letters[i] != 0; i++)
		memset(s->entries[i], letters[i], 32);
}

static void
certificate(uint32_t replica, uint64_t view, uint64_t seq, char letter)
{
	struct commit_head *held = &sheets[replica].head.held;
	*held = (struct commit_head){.view = view, .seq = seq, .signers = 7};
	memset(held->history32, letter, 32);
}

/* A view that began with an empty history: its first certificate is of seq 0. */
static void
began_empty(uint32_t replica, uint64_t view)
{
	certificate(replica, view, 0, 0);
}

static void
stable(uint32_t replica, uint64_t seq, char letter)
{
	struct stable_head *head = &sheets[replica].head.stable;
	*head = (struct stable_head){.seq = seq, .signers = 7};
	memset(head->pair.history32, letter, 32);
}

/* Decides over the replicas of the mask: the letters at and below the new top, from `from` on. */
static struct decision
decided(uint32_t mask)
{
	struct view_change set[4];
	struct decision d;
	uint32_t count = 0;
	for (uint32_t i = 0; i < 4; i++) {
		if ((mask >> i & 1) != 0)
			set[count++] = (struct view_change){.head = &sheets[i].head,
			    .entries = (const uint8_t(*)[32])sheets[i].entries};
	}
	decide_history(&config, set, count, &d);
	return d;
}

#define EXPECT(mask, seq, letter)                                   \
	do {                                                        \
		struct decision is = decided(mask);                 \
		uint8_t expected32[32];                             \
		memset(expected32, letter, sizeof(expected32));     \
		CU_ASSERT_EQUAL(is.top, seq);                       \
		CU_ASSERT_TRUE(digest_equal(is.top32, expected32)); \
	} while (0)

static void
nothing_is_nothing(void)
{
	open();
	EXPECT(0x7, 0, 0);
	EXPECT(0xf, 0, 0);
}

static void
fast_path_is_kept(void)
{
	open();
	for (uint32_t i = 0; i < 4; i++)
		history(i, 0, "abc");
	EXPECT(0x7, 3, 'c');
	/* One liar leaves it out (Z08), or says otherwise, in front or behind. */
	history(0, 0, "");
	EXPECT(0x7, 3, 'c');
	history(0, 0, "xyz");
	EXPECT(0x7, 3, 'c');
	history(0, 0, "abx");
	EXPECT(0x7, 3, 'c');
}

static void
one_alone_is_not_followed(void)
{
	open();
	history(0, 0, "abcd");
	history(1, 0, "ab");
	history(2, 0, "a");
	EXPECT(0x7, 2, 'b');
}

static void
false_prefix_does_not_help(void)
{
	open();
	/* The liar agrees with replica 1 at seq 3 and lies about what is before. */
	history(0, 0, "xyc");
	history(1, 0, "abc");
	history(2, 0, "ab");
	EXPECT(0x7, 2, 'b');
}

static void
certificate_of_one_suffices(void)
{
	open();
	history(0, 0, "xyz");
	history(1, 0, "abc");
	history(2, 0, "");
	certificate(1, 0, 2, 'b');
	EXPECT(0x7, 2, 'b');
	/* The liar follows it, and goes on: f + 1 from there. */
	history(0, 0, "abc");
	EXPECT(0x7, 3, 'c');
	/* A history that leaves the certificate's is no support, whatever it has above. */
	history(0, 0, "axc");
	EXPECT(0x7, 2, 'b');
}

static void
within_a_view_the_certificate_wins(void)
{
	open();
	history(0, 0, "xy");
	history(1, 0, "xy");
	history(2, 0, "a");
	certificate(2, 0, 1, 'a');
	EXPECT(0x7, 1, 'a');
}

/*
 * Z1. In view 1 a certificate for a reaches one replica alone; view 2 decides for b,
 * which completes by the fast path: all four have it. In view 3 the liar shows the
 * old certificate. It may not win, however long its history is.
 */
static void
old_certificate_does_not_beat_the_fast_path(void)
{
	open();
	certificate(0, 1, 1, 'a');
	history(0, 1, "a");
	began_empty(2, 2);
	history(2, 2, "b");
	began_empty(3, 2);
	history(3, 2, "b");
	EXPECT(0xd, 1, 'b');
	/* Nor by its length. */
	history(0, 1, "aaaa");
	certificate(0, 1, 4, 'a');
	EXPECT(0xd, 1, 'b');
}

/* Z2. A longer certificate of an older view against a shorter one of a newer. */
static void
length_does_not_beat_the_view(void)
{
	open();
	history(0, 1, "ac");
	certificate(0, 1, 2, 'c');
	history(1, 2, "b");
	certificate(1, 2, 1, 'b');
	history(3, 2, "b");
	began_empty(3, 2);
	EXPECT(0xb, 1, 'b');
}

static void
checkpoints_are_where_it_begins(void)
{
	open();
	/* Replica 1 is behind: what it has below the checkpoint does not count. */
	stable(0, 4, 'd');
	history(0, 0, "e");
	history(1, 0, "abcdef");
	stable(2, 4, 'd');
	history(2, 0, "ef");
	EXPECT(0x7, 6, 'f');
	CU_ASSERT_EQUAL(decided(0x7).start, 0);
	/* Where its history does not have the checkpoint's h it supports nothing. */
	history(1, 0, "abcxef");
	EXPECT(0x7, 5, 'e');
}

static void
two_groups_give_one_decision(void)
{
	open();
	history(0, 0, "b");
	history(1, 0, "b");
	history(2, 0, "a");
	history(3, 0, "a");
	/* Neither can be complete: the lower h, whoever asks. */
	EXPECT(0xf, 1, 'a');
}

/* ---- what a VIEW-CHANGE may look like ------------------------------------------------- */

static uint32_t
body_write(uint32_t replica, uint8_t *body)
{
	const struct sheet *s = &sheets[replica];
	uint32_t size = sizeof(s->head);
	memcpy(body, &s->head, sizeof(s->head));
	size += certificate_signatures_size(s->head.held.signers);
	size += certificate_stable_size(s->head.stable.signers);
	memcpy(body + size, s->entries, s->head.entries_count * 32);
	return size + (uint32_t)s->head.entries_count * 32;
}

static bool
parses(uint32_t replica, uint64_t view)
{
	static _Alignas(8) uint8_t body[BODY_MAX];
	struct view_change c;
	uint32_t size = body_write(replica, body);
	for (uint32_t cut = 0; cut < size; cut++)
		CU_ASSERT_FALSE(decide_parse(&config, view, body, cut, &c));
	CU_ASSERT_FALSE(decide_parse(&config, view, body, size + 8, &c));
	return decide_parse(&config, view, body, size, &c);
}

static void
form_is_checked(void)
{
	open();
	history(0, 0, "ab");
	CU_ASSERT_TRUE(parses(0, 1));
	/* Who was active in a later view has a certificate of it, and of no other. */
	history(0, 2, "ab");
	CU_ASSERT_FALSE(parses(0, 3));
	certificate(0, 2, 1, 'a');
	CU_ASSERT_TRUE(parses(0, 3));
	CU_ASSERT_FALSE(parses(0, 2));
	certificate(0, 1, 1, 'a');
	CU_ASSERT_FALSE(parses(0, 3));
	/* Exactly q signers, who exist. */
	certificate(0, 2, 1, 'a');
	sheets[0].head.held.signers = 3;
	CU_ASSERT_FALSE(parses(0, 3));
	sheets[0].head.held.signers = 0xf;
	CU_ASSERT_FALSE(parses(0, 3));
	sheets[0].head.held.signers = 0x13;
	CU_ASSERT_FALSE(parses(0, 3));
	/* Checkpoints lie where they are taken, and are proven. */
	open();
	stable(1, 4, 'd');
	CU_ASSERT_TRUE(parses(1, 1));
	stable(1, 5, 'd');
	CU_ASSERT_FALSE(parses(1, 1));
	stable(1, 4, 'd');
	sheets[1].head.stable.signers = 0;
	CU_ASSERT_FALSE(parses(1, 1));
	open();
	sheets[2].head.stable.pair.history32[3] = 1;
	CU_ASSERT_FALSE(parses(2, 1));
}

static const struct unit_story stories[] = {
    {"nothing is nothing", nothing_is_nothing},
    {"the fast path is kept", fast_path_is_kept},
    {"one alone is not followed", one_alone_is_not_followed},
    {"a false prefix does not help", false_prefix_does_not_help},
    {"a certificate of one suffices", certificate_of_one_suffices},
    {"within a view the certificate wins", within_a_view_the_certificate_wins},
    {"Z1: an old certificate does not beat the fast path",
	old_certificate_does_not_beat_the_fast_path},
    {"Z2: length does not beat the view", length_does_not_beat_the_view},
    {"checkpoints are where it begins", checkpoints_are_where_it_begins},
    {"two groups give one decision", two_groups_give_one_decision},
    {"the form is checked", form_is_checked},
};

UNIT_MAIN("zyzzyva_decide", stories)
