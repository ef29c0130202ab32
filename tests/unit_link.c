/* SPDX-License-Identifier: Apache-2.0 */
/* Link keys: both ends agree, every direction and cluster has its own, and HKDF is RFC 5869's. */
#include <string.h>

#include "crypto/keys.h"
#include "crypto/link.h"
#include "crypto/reference.h"
#include "tests/unit.h"

enum { NODES = 4, CLUSTERS = 2 };

static struct multibuffer multibuffer;

static void
open_all(struct ecdsa nodes[NODES], struct ecdsa_public publics[NODES])
{
	char error[256];
	const struct multibuffer_options fixed = {.fixed = true};
	CU_ASSERT_EQUAL_FATAL(multibuffer_open(&multibuffer, &fixed, error), 0);
	for (uint32_t i = 0; i < NODES; i++) {
		struct key_pair pair;
		keys_generate_seeded(&pair, 7, i);
		CU_ASSERT_EQUAL_FATAL(ecdsa_open(&nodes[i], pair.secret), 0);
		CU_ASSERT_FATAL(ecdsa_parse(&nodes[i], pair.public33, &publics[i]));
	}
}

static void
close_all(struct ecdsa nodes[NODES])
{
	for (uint32_t i = 0; i < NODES; i++)
		ecdsa_close(&nodes[i]);
	multibuffer_close(&multibuffer);
}

static void
agreement(void)
{
	struct ecdsa nodes[NODES];
	struct ecdsa_public publics[NODES];
	uint8_t keys[CLUSTERS * NODES * NODES][16];
	uint32_t count = 0;
	open_all(nodes, publics);
	for (uint32_t cluster = 0; cluster < CLUSTERS; cluster++) {
		for (uint16_t from = 0; from < NODES; from++) {
			for (uint16_t to = 0; to < NODES; to++) {
				struct link_ends ends = {cluster, from, to};
				uint8_t shared[32], other[16];
				ecdsa_shared(&nodes[from], &publics[to], shared);
				link_derive(&multibuffer, shared, &ends, keys[count++]);
				ecdsa_shared(&nodes[to], &publics[from], shared);
				link_derive(&multibuffer, shared, &ends, other);
				CU_ASSERT_EQUAL(memcmp(keys[count - 1], other, 16), 0);
			}
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(memcmp(keys[i], keys[j], 16), 0);
	}
	close_all(nodes);
}

/* RFC 5869 by libcrypto's HMAC. */
static void
derivation(void)
{
	struct ecdsa nodes[NODES];
	struct ecdsa_public publics[NODES];
	uint8_t salt[32] = "oskr link keys, version 1"; /* HMAC pads it with zeroes */
	uint8_t shared[32], extracted[32], expanded[32], key[16];
	const uint8_t info[9] = {0x04, 0x03, 0x02, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01};
	struct link_ends ends = {0x01020304, 2, 1};
	open_all(nodes, publics);
	ecdsa_shared(&nodes[2], &publics[1], shared);
	reference_hmac(salt, shared, 32, extracted);
	reference_hmac(extracted, info, sizeof(info), expanded);
	link_derive(&multibuffer, shared, &ends, key);
	CU_ASSERT_EQUAL(memcmp(key, expanded, 16), 0);
	close_all(nodes);
}

static const struct unit_story stories[] = {
    {"both ends agree, each link has its own", agreement},
    {"derivation of RFC 5869", derivation},
};

UNIT_MAIN("link", stories)
