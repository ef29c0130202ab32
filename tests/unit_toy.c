/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's prover: the common stories, and its digest's spread. */
#include "tests/prover_stories.h"

static const struct crypto_ops *
prover_ops(void)
{
	return &crypto_toy;
}

/* Digests of texts that differ in one bit, or in trailing zeroes, share no word. */
static void
spread(void)
{
	enum { SIZE = 100 };
	struct fixture *f = &fixture;
	uint8_t text[SIZE] = {0};
	uint64_t base[4], other[4];
	fixture_open(f, &crypto_toy);
	for (uint32_t size = 0; size < SIZE; size++) {
		struct digest_job job = {text, size, (uint8_t *)base};
		f->ops->digest(f->nodes[0], &job, 1);
		job = (struct digest_job){text, size + 1, (uint8_t *)other};
		f->ops->digest(f->nodes[0], &job, 1);
		for (uint32_t word = 0; word < 4; word++)
			CU_ASSERT_NOT_EQUAL(base[word], other[word]);
		for (uint32_t bit = 0; bit < size * 8; bit++) {
			job = (struct digest_job){text, size, (uint8_t *)other};
			text[bit / 8] ^= (uint8_t)(1 << bit % 8);
			f->ops->digest(f->nodes[0], &job, 1);
			text[bit / 8] ^= (uint8_t)(1 << bit % 8);
			for (uint32_t word = 0; word < 4; word++)
				CU_ASSERT_NOT_EQUAL(base[word], other[word]);
		}
	}
	fixture_close(f);
}

/* Runs with the same seed have the same bytes, on any machine. */
static void
frozen(void)
{
	static const uint8_t text[] = "the toy's digest";
	struct fixture *f = &fixture;
	uint64_t digest[4];
	fixture_open(f, &crypto_toy);
	struct digest_job job = {text, sizeof(text) - 1, (uint8_t *)digest};
	f->ops->digest(f->nodes[0], &job, 1);
	CU_ASSERT_EQUAL(digest[0], 0xccc3848455046babu);
	fixture_close(f);
}

static const struct unit_story stories[] = {
    PROVER_STORIES,
    {"spread of the digest", spread},
    {"frozen digest", frozen},
};

UNIT_MAIN("toy", stories)
