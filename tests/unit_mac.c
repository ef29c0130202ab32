/* SPDX-License-Identifier: Apache-2.0 */
/* AES-CMAC and HMAC-SHA-256 in bursts against RFC 4493, RFC 4231 and libcrypto. */
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/multibuffer.h"
#include "crypto/reference.h"
#include "tests/unit.h"
#include "tests/vectors/hex.h"
#include "tests/vectors/mac.h"

enum { BURST_MAX = 130, SIZE_MAX_TESTED = MULTIBUFFER_MAC_SIZE_MAX };

static uint8_t data[BURST_MAX + SIZE_MAX_TESTED];

/* 0: narrow, 1: wide, 2: narrow without SHA-NI, 3: as measured. */
static void
way_open(struct multibuffer *m, uint32_t way)
{
	char error[256];
	struct multibuffer_options options = {.fixed = way != 3, .no_sha = way == 2};
	CU_ASSERT_EQUAL_FATAL(multibuffer_open(m, &options, error), 0);
	if (way == 3)
		return;
	m->thresholds.mac = way == 1 ? 1 : MULTIBUFFER_NEVER;
	m->thresholds.hmac = m->thresholds.mac;
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
}

static void
cmac_published(void)
{
	for (uint32_t way = 0; way < 4; way++) {
		struct multibuffer m;
		struct cmac_key key;
		uint8_t key16[16], expected[16], mac[16], bytes[64];
		way_open(&m, way);
		hex_read(cmac_key_vector, key16, 16);
		multibuffer_cmac_key(&m, key16, &key);
		hex_read(cmac_subkey1_vector, expected, 16);
		CU_ASSERT_EQUAL(memcmp(key.subkey1, expected, 16), 0);
		hex_read(cmac_subkey2_vector, expected, 16);
		CU_ASSERT_EQUAL(memcmp(key.subkey2, expected, 16), 0);
		for (uint32_t i = 0; i < sizeof(cmac_vectors) / sizeof(cmac_vectors[0]); i++) {
			uint32_t size = hex_read(cmac_vectors[i].data, bytes, sizeof(bytes));
			hex_read(cmac_vectors[i].mac, expected, 16);
			multibuffer_mac(&m, &(struct mac_job){bytes, &key, mac, size}, 1);
			CU_ASSERT_EQUAL(memcmp(mac, expected, 16), 0);
		}
		multibuffer_close(&m);
	}
}

/* A text of a vector: its string, or a byte repeated. */
static uint32_t
vector_bytes(const char *text, uint8_t byte, uint32_t count, uint8_t *bytes)
{
	if (text == NULL) {
		memset(bytes, byte, count);
		return count;
	}
	uint32_t size = (uint32_t)strlen(text);
	memcpy(bytes, text, size);
	return size;
}

static void
hmac_published(void)
{
	for (uint32_t way = 0; way < 4; way++) {
		struct multibuffer m;
		way_open(&m, way);
		for (uint32_t i = 0; i < sizeof(hmac_vectors) / sizeof(hmac_vectors[0]); i++) {
			struct hmac_key key;
			uint8_t secret[256], bytes[256], expected[32], mac[32];
			uint32_t secret_size = vector_bytes(hmac_vectors[i].key,
			    hmac_vectors[i].key_byte, hmac_vectors[i].key_count, secret);
			uint32_t size = vector_bytes(hmac_vectors[i].data,
			    hmac_vectors[i].data_byte, hmac_vectors[i].data_count, bytes);
			uint32_t mac_size = hex_read(hmac_vectors[i].mac, expected, 32);
			multibuffer_hmac_key(&m, secret, secret_size, &key);
			multibuffer_hmac(&m, &(struct hmac_job){bytes, &key, mac, size}, 1);
			CU_ASSERT_EQUAL(memcmp(mac, expected, mac_size), 0);
		}
		multibuffer_close(&m);
	}
}

static uint32_t
mixed_size(uint32_t burst, uint32_t i)
{
	static const uint32_t sizes[] = {64, 1, 16, 4096, 17, 64, 200, 63};
	return burst % 2 == 0 ? 64 : sizes[(burst + i) % 8];
}

static void
cmac_bursts(void)
{
	static struct cmac_key keys[BURST_MAX];
	static uint8_t secrets[BURST_MAX][16], macs[BURST_MAX][16];
	struct mac_job jobs[BURST_MAX];
	for (uint32_t way = 0; way < 4; way++) {
		struct multibuffer m;
		way_open(&m, way);
		for (uint32_t i = 0; i < BURST_MAX; i++) {
			memset(secrets[i], (int)i + 1, 16);
			multibuffer_cmac_key(&m, secrets[i], &keys[i]);
		}
		for (uint32_t burst = 1; burst <= BURST_MAX; burst++) {
			uint32_t wrong = 0;
			for (uint32_t i = 0; i < burst; i++)
				jobs[i] = (struct mac_job){
				    data + i, &keys[i], macs[i], mixed_size(burst, i)};
			multibuffer_mac(&m, jobs, burst);
			for (uint32_t i = 0; i < burst; i++) {
				uint8_t expected[16];
				reference_cmac(secrets[i], jobs[i].data, jobs[i].size, expected);
				wrong += memcmp(macs[i], expected, 16) != 0;
			}
			CU_ASSERT_EQUAL(wrong, 0);
		}
		multibuffer_close(&m);
	}
}

static void
hmac_bursts(void)
{
	static struct hmac_key keys[BURST_MAX];
	static uint8_t secrets[BURST_MAX][32], macs[BURST_MAX][32];
	struct hmac_job jobs[BURST_MAX];
	for (uint32_t way = 0; way < 4; way++) {
		struct multibuffer m;
		way_open(&m, way);
		for (uint32_t i = 0; i < BURST_MAX; i++) {
			memset(secrets[i], (int)i + 1, 32);
			multibuffer_hmac_key(&m, secrets[i], 32, &keys[i]);
		}
		for (uint32_t burst = 1; burst <= BURST_MAX; burst++) {
			uint32_t wrong = 0;
			for (uint32_t i = 0; i < burst; i++)
				jobs[i] = (struct hmac_job){
				    data + i, &keys[i], macs[i], mixed_size(burst, i)};
			multibuffer_hmac(&m, jobs, burst);
			for (uint32_t i = 0; i < burst; i++) {
				uint8_t expected[32];
				reference_hmac(secrets[i], jobs[i].data, jobs[i].size, expected);
				wrong += memcmp(macs[i], expected, 32) != 0;
			}
			CU_ASSERT_EQUAL(wrong, 0);
		}
		multibuffer_close(&m);
	}
}

static void
equality(void)
{
	uint8_t a[40], b[40];
	for (uint32_t size = 0; size <= sizeof(a); size++) {
		memset(a, 0x5a, sizeof(a));
		memcpy(b, a, sizeof(b));
		CU_ASSERT(crypto_equal(a, b, size));
		for (uint32_t bit = 0; bit < size * 8; bit++) {
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CU_ASSERT_FALSE(crypto_equal(a, b, size));
			b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		if (size < sizeof(a)) {
			b[size] ^= 1; /* beyond what is compared */
			CU_ASSERT(crypto_equal(a, b, size));
		}
	}
	crypto_erase(a, 39);
	for (uint32_t i = 0; i < 39; i++)
		CU_ASSERT_EQUAL(a[i], 0);
	CU_ASSERT_EQUAL(a[39], 0x5a);
	crypto_erase(NULL, 0);
}

static const struct unit_story stories[] = {
    {"AES-CMAC of RFC 4493", cmac_published},
    {"HMAC-SHA-256 of RFC 4231", hmac_published},
    {"CMAC bursts of 1 to 130", cmac_bursts},
    {"HMAC bursts of 1 to 130", hmac_bursts},
    {"equality and erasure", equality},
};

UNIT_MAIN("mac", stories)
