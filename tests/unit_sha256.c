/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 in bursts, on both managers, against published digests and libcrypto. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/multibuffer.h"
#include "crypto/reference.h"
#include "tests/unit.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/sha256.h"

enum { BURST_MAX = 130, DATA_SIZE = 5 << 20 };

/* Every way that the machine can do it: by calibration, by one manager, without SHA-NI. */
static const struct way {
	const char *name;
	struct multibuffer_options options;
	uint16_t threshold; /* forced for all classes unless 0 */
} ways[] = {
    {"measured", {.fixed = false}, 0},
    {"fixed", {.fixed = true}, 0},
    {"wide", {.fixed = true}, 1},
    {"narrow", {.fixed = true, .narrow_only = true}, 0},
    {"narrow without SHA-NI", {.fixed = true, .narrow_only = true, .no_sha = true}, 0},
    {"wide without SHA-NI", {.fixed = true, .no_sha = true}, 1},
};
enum { WAYS_COUNT = sizeof(ways) / sizeof(ways[0]) };

static uint8_t data[DATA_SIZE];

static void
way_open(struct multibuffer *m, const struct way *way)
{
	char error[256];
	CU_ASSERT_EQUAL_FATAL(multibuffer_open(m, &way->options, error), 0);
	for (uint32_t class = 0; way->threshold > 0 && class < MULTIBUFFER_CLASSES; class ++)
		m->thresholds.digest[class] = way->threshold;
}

static void
digest_one(struct multibuffer *m, const void *bytes, uint32_t size, uint8_t *digest32)
{
	multibuffer_digest(m, &(struct digest_job){bytes, size, digest32}, 1);
}

/* FIPS 180-4 examples as NIST publishes them. */
static void
published(void)
{
	static const char *million = NULL; /* the letter a, 1,000,000 times */
	const struct {
		const char *text;
		uint32_t size;
		const char *digest;
	} examples[] = {
	    {"", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	    {"abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
	     "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	    {million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	};
	memset(data, 'a', 1000000);
	for (uint32_t way = 0; way < WAYS_COUNT; way++) {
		struct multibuffer m;
		way_open(&m, &ways[way]);
		for (uint32_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
			uint8_t expected[32], digest[32];
			hex_read(examples[i].digest, expected, 32);
			digest_one(&m,
			    examples[i].text != NULL ? (const void *)examples[i].text : data,
			    examples[i].size, digest);
			CU_ASSERT_EQUAL(memcmp(digest, expected, 32), 0);
		}
		multibuffer_close(&m);
	}
}

static void
pattern(void)
{
	uint32_t count = sizeof(sha256_pattern_vectors) / sizeof(sha256_pattern_vectors[0]);
	for (uint32_t i = 0; i < DATA_SIZE; i++)
		data[i] = (uint8_t)(i * 7 + i / 251 + 3);
	for (uint32_t way = 0; way < WAYS_COUNT; way++) {
		struct multibuffer m;
		way_open(&m, &ways[way]);
		for (uint32_t i = 0; i < count; i++) {
			uint8_t expected[32], digest[32], reference[32];
			uint32_t size = sha256_pattern_vectors[i].size;
			hex_read(sha256_pattern_vectors[i].digest, expected, 32);
			digest_one(&m, data, size, digest);
			reference_digest(data, size, reference);
			CU_ASSERT_EQUAL(memcmp(digest, expected, 32), 0);
			CU_ASSERT_EQUAL(memcmp(reference, expected, 32), 0);
		}
		multibuffer_close(&m);
	}
}

/* Lengths that a burst may bring: short, long, empty, one of each class. */
static uint32_t
mixed_size(uint32_t burst, uint32_t i)
{
	static const uint32_t sizes[] = {64, 0, 65, 8000, 55, 300, 1, 119, 2048, 56, 64, 20000};
	return sizes[(burst + i * 5) % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void
bursts_of(struct multibuffer *m, bool mixed)
{
	static uint8_t digests[BURST_MAX][32];
	struct digest_job jobs[BURST_MAX];
	for (uint32_t burst = 1; burst <= BURST_MAX; burst++) {
		memset(digests, 0, sizeof(digests));
		for (uint32_t i = 0; i < burst; i++)
			jobs[i] = (struct digest_job){data + i,
			    mixed ? mixed_size(burst, i) : 64 + burst % 3 * 100, digests[i]};
		multibuffer_digest(m, jobs, burst);
		uint32_t wrong = 0;
		for (uint32_t i = 0; i < burst; i++) {
			uint8_t expected[32];
			reference_digest(jobs[i].data, jobs[i].size, expected);
			wrong += memcmp(digests[i], expected, 32) != 0;
		}
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static void
bursts(void)
{
	for (uint32_t way = 0; way < WAYS_COUNT; way++) {
		struct multibuffer m;
		way_open(&m, &ways[way]);
		bursts_of(&m, false);
		bursts_of(&m, true);
		multibuffer_close(&m);
	}
}

/* More jobs than are grouped at once, and more bytes than one message may have. */
static void
large(void)
{
	enum { COUNT = 1300 };
	static uint8_t digests[COUNT][32];
	static struct digest_job jobs[COUNT];
	for (uint32_t way = 0; way < WAYS_COUNT; way++) {
		struct multibuffer m;
		way_open(&m, &ways[way]);
		for (uint32_t i = 0; i < COUNT; i++)
			jobs[i] = (struct digest_job){data + i, i % 200, digests[i]};
		jobs[700].size = DATA_SIZE - 700;
		multibuffer_digest(&m, jobs, COUNT);
		uint32_t wrong = 0;
		for (uint32_t i = 0; i < COUNT; i++) {
			uint8_t expected[32];
			reference_digest(jobs[i].data, jobs[i].size, expected);
			wrong += memcmp(digests[i], expected, 32) != 0;
		}
		CU_ASSERT_EQUAL(wrong, 0);
		multibuffer_digest(&m, jobs, 0);
		multibuffer_close(&m);
	}
}

/* Exact-size buffers: the sanitizers see a read beyond them. */
static void
exact(void)
{
	struct multibuffer m;
	way_open(&m, &ways[1]);
	for (uint32_t size = 0; size <= 300; size++) {
		uint8_t *bytes = malloc(size > 0 ? size : 1);
		uint8_t digest[32], expected[32];
		CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
		memcpy(bytes, data, size);
		digest_one(&m, bytes, size, digest);
		reference_digest(bytes, size, expected);
		CU_ASSERT_EQUAL(memcmp(digest, expected, 32), 0);
		free(bytes);
	}
	multibuffer_close(&m);
}

static void
thresholds(void)
{
	struct multibuffer m, again;
	way_open(&m, &ways[1]);
	way_open(&again, &ways[1]);
	CU_ASSERT_EQUAL(memcmp(&m.thresholds, &again.thresholds, sizeof(m.thresholds)), 0);
	multibuffer_close(&again);
	multibuffer_close(&m);
	CU_ASSERT_PTR_NULL(m.narrow);
	multibuffer_close(&m);
	way_open(&m, &ways[0]);
	for (uint32_t class = 0; class < MULTIBUFFER_CLASSES; class ++)
		CU_ASSERT(m.thresholds.digest[class] >= 4);
	CU_ASSERT(m.thresholds.mac >= 4);
	multibuffer_close(&m);
}

static const struct unit_story stories[] = {
    {"published examples", published},
    {"pattern against two other implementations", pattern},
    {"bursts of 1 to 130, equal and mixed lengths", bursts},
    {"many jobs and a long one", large},
    {"exact buffers", exact},
    {"thresholds are repeatable where fixed", thresholds},
};

UNIT_MAIN("sha256", stories)
