/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of an application: a deterministic function from operations to
 * replies, all of whose data lies in the replicated state. An application
 * belongs to one executor, on one core. It reads no clock, allocates nothing
 * after open, draws no randomness, and keeps nothing outside the region but
 * what follows from the options (pointers into the region): rollback and state
 * transfer change the region under it, without telling.
 */
#ifndef OSKR_ENGINE_APP_H
#define OSKR_ENGINE_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/state.h"

enum {
	APP_BURST_MAX = 32,		       /* operations prefetched at once */
	APP_SELF_SIZE_MAX = 512,	       /* bytes of an application's own struct */
	APP_REPLY_SIZE_MAX = (1 << 20) + 1024, /* bytes: a value of 1 MiB and its frame */
};

/* Same at all replicas: it shapes the replicated state. */
struct app_options {
	uint64_t memory_size; /* bytes for records; kv only */
	uint32_t reply_size;  /* bytes of echo's replies; 0: as the operation */
	uint64_t hash_seed;   /* of kv's index: unknown to clients, it wards off crafted keys */
};

/* An operation as it lies in a batch. */
struct app_op {
	const uint8_t *bytes;
	uint32_t size;
};

struct app {
	const char *name;
	size_t self_size; /* bytes, at most APP_SELF_SIZE_MAX */
	/* Bytes of the region that open() reserves, alignment included; 0 may be. */
	uint64_t (*region_size)(const struct app_options *options);
	/*
	 * Lays its data out by state_reserve in zeroed `self`. Returns 0 or a
	 * negative errno. The region is zero, or holds what an equal application
	 * left there.
	 */
	int (*open)(void *self, const struct app_options *options, struct state *state);
	/*
	 * Runs one operation, from anyone and of any bytes, and returns the size
	 * of the reply written to `reply`. `capacity` is the same at every call
	 * and at all replicas. Calls state_modify before each write.
	 */
	uint32_t (*execute)(
	    void *self, const uint8_t *op, uint32_t op_size, uint8_t *reply, uint32_t capacity);
	/*
	 * Fetches into the cache what a burst of operations, at most
	 * APP_BURST_MAX, is going to read. A hint: changes nothing. NULL: none.
	 */
	void (*prefetch)(const void *self, const struct app_op *ops, uint32_t count);
	/* True: executing it changes nothing. Pure. */
	bool (*is_read_only)(const uint8_t *op, uint32_t op_size);
};

/* The registry: one line in app.c adds an application. */
extern const struct app app_null;
extern const struct app app_echo;
extern const struct app app_kv;

/* The application of that name, or NULL. */
const struct app *app_find(const char *name);

/* Entry `index` of the registry, or NULL past its end: for help texts. */
const struct app *app_at(size_t index);

#endif
