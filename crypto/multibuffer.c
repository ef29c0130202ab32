/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See multibuffer.h. Jobs go through the library's burst interface: take slots,
 * fill them in place, submit, flush. Each call ends with empty lanes, so no
 * state is carried from burst to burst.
 */
#include "crypto/multibuffer.h"

#include <errno.h>
#include <intel-ipsec-mb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"
#include "engine/check.h"

enum {
	BURST = IMB_MAX_BURST_SIZE,
	SORTED_MAX = 512,	/* jobs that are grouped by length together */
	CALIBRATED_CLASSES = 5, /* up to 1 KiB; longer ones behave as the last of these */
	CALIBRATED_COUNT_MAX = 64,
	BLOCK_SIZE = 64,
};

static int manager_open(struct IMB_MGR **manager, uint64_t flags, void (*init)(IMB_MGR *));
static bool narrow_is_avx2(uint64_t features);
static void thresholds_fix(struct multibuffer *m);
static void thresholds_measure(struct multibuffer *m);
static void digest_sorted(struct multibuffer *m, const struct digest_job *jobs, uint32_t count);
static void digest_run(
    struct IMB_MGR *manager, const struct digest_job *jobs, const uint16_t *order, uint32_t count);

int
multibuffer_open(struct multibuffer *m, const struct multibuffer_options *options, char *error)
{
	uint64_t flags = options->no_sha ? IMB_FLAG_SHANI_OFF : 0;
	uint64_t features = imb_get_feature_flags();
	if (options->no_sha)
		features &= ~(uint64_t)IMB_FEATURE_SHANI;
	*m = (struct multibuffer){0};
	if (!(features & IMB_FEATURE_AESNI)) {
		snprintf(error, 256,
		    "the processor has no AES instructions (AES-NI): "
		    "run on a machine that has them");
		return -ENOTSUP;
	}
	bool avx2 = narrow_is_avx2(features);
	m->narrow_name = avx2 ? "avx2" : "sse";
	int status = manager_open(&m->narrow, flags, avx2 ? init_mb_mgr_avx2 : init_mb_mgr_sse);
	bool wide = (features & IMB_CPUFLAGS_AVX512) == IMB_CPUFLAGS_AVX512;
	if (status == 0 && wide && !options->narrow_only)
		status = manager_open(&m->wide, flags, init_mb_mgr_avx512);
	if (status != 0) {
		snprintf(error, 256, "IPsec-MB: %s",
		    status == -ENOMEM ? "out of memory"
				      : "its self test failed; install libipsec-mb-dev again");
		multibuffer_close(m);
		return status;
	}
	thresholds_fix(m);
	if (!options->fixed && m->wide != NULL)
		thresholds_measure(m);
	return 0;
}

void
multibuffer_close(struct multibuffer *m)
{
	if (m->narrow != NULL)
		free_mb_mgr(m->narrow);
	if (m->wide != NULL)
		free_mb_mgr(m->wide);
	*m = (struct multibuffer){0};
}

static int
manager_open(struct IMB_MGR **manager, uint64_t flags, void (*init)(IMB_MGR *))
{
	*manager = alloc_mb_mgr(flags);
	if (*manager == NULL)
		return -ENOMEM;
	init(*manager);
	if (imb_get_errno(*manager) != 0)
		return -ENOTSUP;
	if (!((*manager)->features & IMB_FEATURE_SELF_TEST_PASS))
		return -ENOTSUP;
	return 0;
}

/* AVX2 unless only the SSE manager would use the SHA instructions. */
static bool
narrow_is_avx2(uint64_t features)
{
	if ((features & IMB_CPUFLAGS_AVX2) != IMB_CPUFLAGS_AVX2)
		return false;
	if (!(features & IMB_FEATURE_SHANI))
		return true;
	return (features & IMB_CPUFLAGS_AVX2_T2) == IMB_CPUFLAGS_AVX2_T2;
}

static void
slots_take(struct IMB_MGR *manager, struct IMB_JOB **slots, uint32_t count)
{
	debug_check(count > 0 && count <= BURST);
	check(IMB_GET_NEXT_BURST(manager, count, slots) == count);
}

/* Runs `count` filled slots to the end; every job must report success. */
static void
slots_run(struct IMB_MGR *manager, struct IMB_JOB **slots, uint32_t count)
{
	uint32_t done = IMB_SUBMIT_BURST_NOCHECK(manager, count, slots);
	uint32_t total = 0;
	uint32_t failed = 0;
	for (;;) {
		for (uint32_t i = 0; i < done; i++)
			failed |= (uint32_t)(slots[i]->status != IMB_STATUS_COMPLETED);
		total += done;
		if (total >= count)
			break;
		done = IMB_FLUSH_BURST(manager, count - total, slots);
		check(done > 0);
	}
	check(total == count);
	check(failed == 0);
}

/* What all three kinds of jobs have in common. */
static inline void
slot_fill(struct IMB_JOB *slot, const void *data, uint32_t size, uint8_t *output)
{
	slot->cipher_mode = IMB_CIPHER_NULL;
	slot->cipher_direction = IMB_DIR_ENCRYPT;
	slot->chain_order = IMB_ORDER_HASH_CIPHER;
	slot->src = data;
	slot->hash_start_src_offset_in_bytes = 0;
	slot->msg_len_to_hash_in_bytes = size;
	slot->auth_tag_output = output;
}

static inline uint32_t
smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---- SHA-256 ---------------------------------------------------------- */

static inline uint32_t
digest_class(uint32_t size)
{
	/* The padding takes at least 9 bytes. */
	uint32_t blocks = (uint32_t)(((uint64_t)size + 9 + BLOCK_SIZE - 1) / BLOCK_SIZE);
	if (blocks == 1)
		return 0;
	uint32_t class = 32 - (uint32_t)__builtin_clz(blocks - 1);
	return smaller(class, MULTIBUFFER_CLASSES - 1);
}

static struct IMB_MGR *
digest_manager(const struct multibuffer *m, uint32_t class, uint32_t count)
{
	return m->wide != NULL && count >= m->thresholds.digest[class] ? m->wide : m->narrow;
}

void
multibuffer_digest(struct multibuffer *m, const struct digest_job *jobs, uint32_t count)
{
	while (count > 0) {
		/* One class, nothing empty: no grouping to do. */
		uint32_t chunk = smaller(count, SORTED_MAX);
		uint32_t class = digest_class(jobs[0].size);
		bool same = jobs[0].size > 0;
		for (uint32_t i = 1; i < chunk; i++)
			same &= digest_class(jobs[i].size) == class && jobs[i].size > 0;
		if (same)
			digest_run(digest_manager(m, class, chunk), jobs, NULL, chunk);
		else
			digest_sorted(m, jobs, chunk);
		jobs += chunk;
		count -= chunk;
	}
}

/* Groups at most SORTED_MAX jobs by class; the narrow manager takes the rest in one go. */
static void
digest_sorted(struct multibuffer *m, const struct digest_job *jobs, uint32_t count)
{
	/* FIPS 180-4: the digest of no bytes. */
	static const uint8_t empty32[DIGEST_SIZE] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
	    0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	    0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
	uint16_t ends[MULTIBUFFER_CLASSES + 1] = {0};
	uint16_t order[SORTED_MAX];
	check(count <= SORTED_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (jobs[i].size == 0)
			memcpy(jobs[i].digest32, empty32, DIGEST_SIZE);
		else
			ends[digest_class(jobs[i].size) + 1]++;
	}
	for (uint32_t class = 0; class < MULTIBUFFER_CLASSES; class ++)
		ends[class + 1] = (uint16_t)(ends[class + 1] + ends[class]);
	uint16_t starts[MULTIBUFFER_CLASSES];
	memcpy(starts, ends, sizeof(starts));
	for (uint32_t i = 0; i < count; i++) {
		if (jobs[i].size > 0)
			order[starts[digest_class(jobs[i].size)]++] = (uint16_t)i;
	}
	uint32_t narrow = 0; /* order[0..narrow): left for the narrow manager */
	for (uint32_t class = 0; class < MULTIBUFFER_CLASSES; class ++) {
		uint32_t start = ends[class];
		uint32_t of_class = (uint32_t)ends[class + 1] - start;
		if (of_class > 0 && digest_manager(m, class, of_class) == m->wide) {
			digest_run(m->wide, jobs, order + start, of_class);
		} else {
			memmove(order + narrow, order + start, of_class * sizeof(order[0]));
			narrow += of_class;
		}
	}
	digest_run(m->narrow, jobs, order, narrow);
}

/* Jobs order[0..count), or jobs[0..count) where order is NULL. */
static void
digest_run(
    struct IMB_MGR *manager, const struct digest_job *jobs, const uint16_t *order, uint32_t count)
{
	struct IMB_JOB *slots[BURST];
	for (uint32_t start = 0; start < count; start += BURST) {
		uint32_t chunk = smaller(count - start, BURST);
		slots_take(manager, slots, chunk);
		for (uint32_t i = 0; i < chunk; i++) {
			const struct digest_job *job =
			    order != NULL ? &jobs[order[start + i]] : &jobs[start + i];
			slot_fill(slots[i], job->data, job->size, job->digest32);
			slots[i]->hash_alg = IMB_AUTH_SHA_256;
			slots[i]->auth_tag_output_len_in_bytes = DIGEST_SIZE;
		}
		slots_run(manager, slots, chunk);
	}
}

/* ---- MACs --------------------------------------------------------------- */

void
multibuffer_mac(struct multibuffer *m, const struct mac_job *jobs, uint32_t count)
{
	struct IMB_JOB *slots[BURST];
	struct IMB_MGR *manager =
	    m->wide != NULL && count >= m->thresholds.mac ? m->wide : m->narrow;
	for (uint32_t start = 0; start < count; start += BURST) {
		uint32_t chunk = smaller(count - start, BURST);
		slots_take(manager, slots, chunk);
		for (uint32_t i = 0; i < chunk; i++) {
			const struct mac_job *job = &jobs[start + i];
			struct IMB_JOB *slot = slots[i];
			check(job->size <= MULTIBUFFER_MAC_SIZE_MAX);
			slot_fill(slot, job->data, job->size, job->mac16);
			slot->hash_alg = IMB_AUTH_AES_CMAC;
			slot->auth_tag_output_len_in_bytes = 16;
			slot->u.CMAC._key_expanded = job->key->expanded;
			slot->u.CMAC._skey1 = job->key->subkey1;
			slot->u.CMAC._skey2 = job->key->subkey2;
		}
		slots_run(manager, slots, chunk);
	}
}

void
multibuffer_hmac(struct multibuffer *m, const struct hmac_job *jobs, uint32_t count)
{
	struct IMB_JOB *slots[BURST];
	struct IMB_MGR *manager =
	    m->wide != NULL && count >= m->thresholds.hmac ? m->wide : m->narrow;
	for (uint32_t start = 0; start < count; start += BURST) {
		uint32_t chunk = smaller(count - start, BURST);
		slots_take(manager, slots, chunk);
		for (uint32_t i = 0; i < chunk; i++) {
			const struct hmac_job *job = &jobs[start + i];
			struct IMB_JOB *slot = slots[i];
			check(job->size > 0 && job->size <= MULTIBUFFER_MAC_SIZE_MAX);
			slot_fill(slot, job->data, job->size, job->mac32);
			slot->hash_alg = IMB_AUTH_HMAC_SHA_256;
			slot->auth_tag_output_len_in_bytes = 32;
			slot->u.HMAC._hashed_auth_key_xor_ipad = job->key->inner32;
			slot->u.HMAC._hashed_auth_key_xor_opad = job->key->outer32;
		}
		slots_run(manager, slots, chunk);
	}
}

void
multibuffer_cmac_key(
    const struct multibuffer *m, const uint8_t key16[CMAC_KEY_SIZE], struct cmac_key *key)
{
	alignas(16) uint8_t unused[11 * 16];
	IMB_AES_KEYEXP_128(m->narrow, key16, key->expanded, unused);
	IMB_AES_CMAC_SUBKEY_GEN_128(m->narrow, key->expanded, key->subkey1, key->subkey2);
	crypto_erase(unused, sizeof(unused));
}

void
multibuffer_hmac_key(struct multibuffer *m, const void *secret, uint32_t size, struct hmac_key *key)
{
	alignas(64) uint8_t block[BLOCK_SIZE] = {0};
	if (size > BLOCK_SIZE)
		multibuffer_digest(m, &(struct digest_job){secret, size, block}, 1);
	else if (size > 0)
		memcpy(block, secret, size);
	for (uint32_t i = 0; i < BLOCK_SIZE; i++)
		block[i] ^= 0x36;
	IMB_SHA256_ONE_BLOCK(m->narrow, block, key->inner32);
	for (uint32_t i = 0; i < BLOCK_SIZE; i++)
		block[i] ^= 0x36 ^ 0x5c;
	IMB_SHA256_ONE_BLOCK(m->narrow, block, key->outer32);
	crypto_erase(block, sizeof(block));
}

/* ---- Thresholds --------------------------------------------------------- */

enum trial_kind { TRIAL_DIGEST, TRIAL_MAC, TRIAL_HMAC };

/* What one calibration measures: `count` jobs of `size` bytes. */
struct trial {
	enum trial_kind kind;
	uint32_t size;
	uint8_t *data;
	uint8_t (*output)[DIGEST_SIZE];
};

/* Measured on a processor with both; narrow where the two are close. */
static void
thresholds_fix(struct multibuffer *m)
{
	for (uint32_t class = 0; class < MULTIBUFFER_CLASSES; class ++)
		m->thresholds.digest[class] = class < 3 ? MULTIBUFFER_NEVER : 16;
	m->thresholds.mac = MULTIBUFFER_NEVER;
	m->thresholds.hmac = 64;
}

static uint64_t
clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The best of three runs on `manager`, as both of the object's managers. */
static uint64_t
trial_run_ns(struct IMB_MGR *manager, const struct trial *trial, uint32_t count)
{
	struct multibuffer m = {.narrow = manager};
	struct digest_job digests[CALIBRATED_COUNT_MAX];
	struct mac_job macs[CALIBRATED_COUNT_MAX];
	struct hmac_job hmacs[CALIBRATED_COUNT_MAX];
	struct cmac_key cmac_key;
	struct hmac_key hmac_key = {0};
	multibuffer_cmac_key(&m, trial->data, &cmac_key);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *output = trial->output[i];
		digests[i] = (struct digest_job){trial->data, trial->size, output};
		macs[i] = (struct mac_job){trial->data, &cmac_key, output, trial->size};
		hmacs[i] = (struct hmac_job){trial->data, &hmac_key, output, trial->size};
	}
	uint64_t best_ns = UINT64_MAX;
	for (uint32_t round = 0; round < 3; round++) {
		uint64_t start_ns = clock_ns();
		if (trial->kind == TRIAL_DIGEST)
			digest_run(manager, digests, NULL, count);
		else if (trial->kind == TRIAL_MAC)
			multibuffer_mac(&m, macs, count);
		else
			multibuffer_hmac(&m, hmacs, count);
		uint64_t taken_ns = clock_ns() - start_ns;
		best_ns = taken_ns < best_ns ? taken_ns : best_ns;
	}
	return best_ns;
}

/* The smallest burst from which the wide manager wins by 5 % in every larger one too. */
static uint16_t
trial_threshold(const struct multibuffer *m, const struct trial *trial)
{
	uint16_t threshold = MULTIBUFFER_NEVER;
	for (uint32_t count = CALIBRATED_COUNT_MAX; count >= 4; count /= 2) {
		uint64_t narrow_ns = trial_run_ns(m->narrow, trial, count);
		uint64_t wide_ns = trial_run_ns(m->wide, trial, count);
		if (wide_ns * 100 >= narrow_ns * 95)
			break;
		threshold = (uint16_t)count;
	}
	return threshold;
}

static void
thresholds_measure(struct multibuffer *m)
{
	uint8_t data[BLOCK_SIZE << (CALIBRATED_CLASSES - 1)] = {0};
	uint8_t output[CALIBRATED_COUNT_MAX][DIGEST_SIZE];
	struct trial trial = {.data = data, .output = output};
	for (uint32_t class = 0; class < MULTIBUFFER_CLASSES; class ++) {
		/* The largest size whose padding still fits the class's blocks. */
		trial.size = ((uint32_t)BLOCK_SIZE << class) - 9;
		m->thresholds.digest[class] = class < CALIBRATED_CLASSES
						  ? trial_threshold(m, &trial)
						  : m->thresholds.digest[class - 1];
	}
	trial.size = BLOCK_SIZE;
	trial.kind = TRIAL_MAC;
	m->thresholds.mac = trial_threshold(m, &trial);
	trial.kind = TRIAL_HMAC;
	m->thresholds.hmac = trial_threshold(m, &trial);
}
