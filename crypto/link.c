/* SPDX-License-Identifier: Apache-2.0 */
/* See link.h. Any core. */
#include "crypto/link.h"

#include <string.h>

static const char SALT[] = "oskr link keys, version 1";

void
link_derive(struct multibuffer *m, const uint8_t shared32[32], const struct link_ends *ends,
    uint8_t key16[CMAC_KEY_SIZE])
{
	struct hmac_key key;
	uint8_t extracted32[32];
	uint8_t expanded32[32];

	/* RFC 5869, 2.2: "PRK = HMAC-Hash(salt, IKM)" */
	multibuffer_hmac_key(m, SALT, sizeof(SALT) - 1, &key);
	multibuffer_hmac(m, &(struct hmac_job){shared32, &key, extracted32, 32}, 1);

	/* 2.3: "T(1) = HMAC-Hash(PRK, T(0) | info | 0x01)", of which 16 bytes are used. */
	uint8_t info[9];
	memcpy(info, &ends->cluster, 4);
	memcpy(info + 4, &ends->from, 2);
	memcpy(info + 6, &ends->to, 2);
	info[8] = 0x01;
	multibuffer_hmac_key(m, extracted32, sizeof(extracted32), &key);
	multibuffer_hmac(m, &(struct hmac_job){info, &key, expanded32, sizeof(info)}, 1);
	memcpy(key16, expanded32, CMAC_KEY_SIZE);

	crypto_erase(&key, sizeof(key));
	crypto_erase(extracted32, sizeof(extracted32));
	crypto_erase(expanded32, sizeof(expanded32));
}
