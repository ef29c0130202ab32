/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the executor says of one request. Made by the executor, read by the
 * protocol's replica half; the bytes are the executor's until its next call.
 */
#ifndef OSKR_ENGINE_RESULT_H
#define OSKR_ENGINE_RESULT_H

#include <stdint.h>

enum result_flags {
	RESULT_DUPLICATE = 1 << 0, /* executed before: this is the cached reply */
	RESULT_STALE = 1 << 1,	   /* older than the session's last: no reply */
	RESULT_LOST = 1 << 2,	   /* executed before, but the cached reply was evicted */
	RESULT_READ = 1 << 3,	   /* of a read-only operation, executed out of order */
	RESULT_NEW = 1 << 4,	   /* recalled, but not executed up to here: no reply */
};

struct result {
	uint16_t client; /* slot */
	uint16_t flags;	 /* enum result_flags */
	uint32_t size;	 /* bytes at data */
	uint64_t timestamp;
	const uint8_t *data;
};

#endif
