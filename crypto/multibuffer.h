/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256, AES-CMAC-128 and HMAC-SHA-256 in bursts over IPsec-MB. One object a
 * lcore; it holds two managers, because no single one is best:
 *
 *     narrow: SSE or AVX2 with SHA-NI; 2 lanes of SHA, quick from the first job
 *     wide:   AVX512; 16 lanes of SHA, quicker from about 16 jobs of 256 bytes on
 *
 * A calibration at open (below 1 ms) finds from which burst size the wide one
 * pays for each class of length; `fixed` takes set thresholds instead. SHA jobs
 * are grouped by length class, so that a long job does not hold the lanes of
 * short ones. All memory is taken at open.
 */
#ifndef OSKR_CRYPTO_MULTIBUFFER_H
#define OSKR_CRYPTO_MULTIBUFFER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/digest.h"

enum {
	MULTIBUFFER_CLASSES = 16,	 /* class k: up to 2^k blocks of 64 bytes, padded */
	MULTIBUFFER_NEVER = UINT16_MAX,	 /* a threshold: the wide manager never pays */
	MULTIBUFFER_MAC_SIZE_MAX = 4096, /* bytes under one MAC; the lanes count in 16 bits */
	CMAC_KEY_SIZE = 16,
};

struct IMB_MGR; /* IPsec-MB's */

/* An AES-128 key as the lanes want it. */
struct cmac_key {
	alignas(16) uint8_t expanded[11 * 16];
	alignas(16) uint8_t subkey1[16];
	alignas(16) uint8_t subkey2[16];
};

/* An HMAC key: the SHA-256 states after its two padded blocks. */
struct hmac_key {
	alignas(16) uint8_t inner32[32];
	alignas(16) uint8_t outer32[32];
};

struct mac_job {
	const void *data;
	const struct cmac_key *key;
	uint8_t *mac16; /* written */
	uint32_t size;	/* bytes at data, at most MULTIBUFFER_MAC_SIZE_MAX */
};

struct hmac_job {
	const void *data;
	const struct hmac_key *key;
	uint8_t *mac32; /* written */
	uint32_t size;	/* bytes at data, at least 1 and at most MULTIBUFFER_MAC_SIZE_MAX */
};

/* Burst sizes from which the wide manager is taken. */
struct multibuffer_thresholds {
	uint16_t digest[MULTIBUFFER_CLASSES];
	uint16_t mac;
	uint16_t hmac;
};

struct multibuffer_options {
	bool fixed;	  /* set thresholds: no clock is read */
	bool narrow_only; /* as on a machine without AVX512 */
	bool no_sha;	  /* as on a machine without SHA-NI */
};

struct multibuffer {
	struct IMB_MGR *narrow;
	struct IMB_MGR *wide; /* NULL where the machine has no AVX512 */
	const char *narrow_name;
	struct multibuffer_thresholds thresholds; /* may be reported, and set by tests */
};

/*
 * Takes the managers and checks the library's self test. 0, or -ENOTSUP or
 * -ENOMEM with a line in `error` (at least 256 bytes).
 */
int multibuffer_open(struct multibuffer *m, const struct multibuffer_options *options, char *error);

/* Frees and erases the managers; a zeroed object is closed already. */
void multibuffer_close(struct multibuffer *m);

/* The SHA-256 of each job's data; any count, any mix of lengths, empty ones too. */
void multibuffer_digest(struct multibuffer *m, const struct digest_job *jobs, uint32_t count);

/* The AES-CMAC (RFC 4493) of each job's data. */
void multibuffer_mac(struct multibuffer *m, const struct mac_job *jobs, uint32_t count);

/* The HMAC-SHA-256 (RFC 2104) of each job's data. */
void multibuffer_hmac(struct multibuffer *m, const struct hmac_job *jobs, uint32_t count);

/* Expands a key of 16 bytes; once, at start. */
void multibuffer_cmac_key(
    const struct multibuffer *m, const uint8_t key16[CMAC_KEY_SIZE], struct cmac_key *key);

/* Expands a key of any size; once, at start. */
void multibuffer_hmac_key(
    struct multibuffer *m, const void *secret, uint32_t size, struct hmac_key *key);

#endif
