/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values of the YCSB workloads. A value is a stamp (which key, which
 * slot wrote it, that slot's version) from which all its bytes follow: it can
 * be written again from the stamp, and read back with every bit verified. Pure;
 * any core.
 *
 *     value   0                    8                16
 *             | version | writer   | key | checksum | filler ...
 *             |  48     |  16      | 32  |  32 bits | little-endian
 *
 * Checksum and filler are functions of the stamp and the value's size.
 */
#ifndef OSKR_ENGINE_YCSB_VALUE_H
#define OSKR_ENGINE_YCSB_VALUE_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/random.h"

enum {
	YCSB_KEY_SIZE = 20,   /* "user" and 16 hex digits */
	YCSB_STAMP_SIZE = 16, /* bytes of the least value */
};

struct ycsb_stamp {
	uint64_t version; /* the writer's: 48 bits, at least 1; 0: no value */
	uint32_t key;	  /* index of the record */
	uint16_t writer;  /* slot */
};

/* What all other bytes of a value derive from. */
static inline uint64_t
ycsb_value_seed(uint64_t word, uint32_t key, uint32_t size)
{
	return random_mix(random_mix(word) + ((uint64_t)key << 32 | size));
}

/* Word `index` of the filler. One product a word, none depending on another. */
static inline uint64_t
ycsb_filler(uint64_t seed, uint32_t index)
{
	uint64_t product = (seed + index) * 0x9e3779b97f4a7c15ull;
	return htole64(product ^ product >> 32);
}

/* Writes a value of `size` >= YCSB_STAMP_SIZE bytes. */
static inline void
ycsb_value_write(uint8_t *value, uint32_t size, const struct ycsb_stamp *stamp)
{
	uint64_t word = stamp->version | (uint64_t)stamp->writer << 48;
	uint64_t seed = ycsb_value_seed(word, stamp->key, size);
	uint64_t head[2] = {htole64(word), htole64(stamp->key | seed >> 32 << 32)};
	uint32_t at = YCSB_STAMP_SIZE, index = 0;

	memcpy(value, head, sizeof(head));
	for (; size - at >= 8; at += 8) {
		uint64_t filler = ycsb_filler(seed, index++);
		memcpy(value + at, &filler, 8);
	}
	uint64_t filler = ycsb_filler(seed, index);
	memcpy(value + at, &filler, size - at);
}

/* Whether the bytes are a value of that size that somebody wrote; if so, its
 * stamp. Reads every byte. */
static inline bool
ycsb_value_read(const uint8_t *value, uint32_t size, struct ycsb_stamp *stamp)
{
	uint64_t head[2], found, wrong;
	uint32_t at = YCSB_STAMP_SIZE, index = 0;

	if (size < YCSB_STAMP_SIZE)
		return false;
	memcpy(head, value, sizeof(head));
	head[0] = le64toh(head[0]);
	head[1] = le64toh(head[1]);
	stamp->version = head[0] & ((UINT64_C(1) << 48) - 1);
	stamp->writer = (uint16_t)(head[0] >> 48);
	stamp->key = (uint32_t)head[1];
	uint64_t seed = ycsb_value_seed(head[0], stamp->key, size);
	wrong = (head[1] >> 32) ^ (seed >> 32);
	for (; size - at >= 8; at += 8) {
		memcpy(&found, value + at, 8);
		wrong |= found ^ ycsb_filler(seed, index++);
	}
	uint64_t last = ycsb_filler(seed, index);
	found = 0;
	memcpy(&found, value + at, size - at);
	uint64_t rest = 0;
	memcpy(&rest, &last, size - at);
	wrong |= found ^ rest;
	return wrong == 0 && stamp->version != 0;
}

/*
 * The 64 bits that order a record's key among all keys. As in YCSB, keys are
 * hashed, so that records loaded in turn land all over the store; but by a
 * bijection, so that no two records can ever share a key.
 */
static inline uint64_t
ycsb_key_order(uint32_t key)
{
	return random_mix(key + 0x9e3779b97f4a7c15ull);
}

/* Eight hex digits of a 32-bit word, most significant first in memory. */
static inline uint64_t
ycsb_hex(uint32_t word)
{
	uint64_t x = word;
	x = (x | x << 16) & 0x0000ffff0000ffffull;
	x = (x | x << 8) & 0x00ff00ff00ff00ffull;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0full;
	uint64_t letters = (x + 0x0606060606060606ull) >> 4 & 0x0101010101010101ull;
	return htobe64(x + 0x3030303030303030ull + letters * ('a' - '0' - 10));
}

/* The bytes of a record's key: in memcmp's order as in ycsb_key_order()'s. */
static inline void
ycsb_key_write(uint8_t bytes[YCSB_KEY_SIZE], uint32_t key)
{
	uint64_t order = ycsb_key_order(key);
	uint64_t digits[2] = {ycsb_hex((uint32_t)(order >> 32)), ycsb_hex((uint32_t)order)};
	memcpy(bytes, "user", 4);
	memcpy(bytes + 4, digits, sizeof(digits));
}

static inline bool
ycsb_key_is(const uint8_t *bytes, uint32_t size, uint32_t key)
{
	uint8_t expected[YCSB_KEY_SIZE];
	if (size != YCSB_KEY_SIZE)
		return false;
	ycsb_key_write(expected, key);
	return memcmp(bytes, expected, YCSB_KEY_SIZE) == 0;
}

#endif
