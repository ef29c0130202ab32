/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one party proves who it is to another, and the profiles that name usual
 * combinations. Names are what the command line takes and what results show.
 * Constant tables and pure functions: any core.
 */
#ifndef OSKR_CONFIG_AUTH_H
#define OSKR_CONFIG_AUTH_H

#include <stddef.h>
#include <string.h>

enum auth {
	AUTH_NONE,  /* nothing: whoever reaches the port is believed */
	AUTH_MAC,   /* a MAC under the link's shared key; a vector of them for a group */
	AUTH_SIGN,  /* one ECDSA signature for each message */
	AUTH_BATCH, /* one signature over the Merkle root of a burst of replies */
	AUTH_COUNT,
};

enum profile {
	PROFILE_FAST,	  /* MACs wherever the protocol allows */
	PROFILE_SEED,	  /* requests bare, protocol messages and each reply signed */
	PROFILE_PARANOID, /* everything signed, requests too */
	PROFILE_COUNT,
};

/* The name of a value in range, else NULL. Static storage. */
static inline const char *
auth_name(enum auth auth)
{
	static const char *const names[AUTH_COUNT] = {"none", "mac", "sign", "batch"};
	return (unsigned int)auth < AUTH_COUNT ? names[auth] : NULL;
}

static inline const char *
profile_name(enum profile profile)
{
	static const char *const names[PROFILE_COUNT] = {"fast", "seed", "paranoid"};
	return (unsigned int)profile < PROFILE_COUNT ? names[profile] : NULL;
}

/* Finds a value by its exact name: 0, or -1 and *auth untouched. */
static inline int
auth_parse(const char *text, enum auth *auth)
{
	for (unsigned int i = 0; i < AUTH_COUNT; i++) {
		if (strcmp(text, auth_name((enum auth)i)) == 0) {
			*auth = (enum auth)i;
			return 0;
		}
	}
	return -1;
}

static inline int
profile_parse(const char *text, enum profile *profile)
{
	for (unsigned int i = 0; i < PROFILE_COUNT; i++) {
		if (strcmp(text, profile_name((enum profile)i)) == 0) {
			*profile = (enum profile)i;
			return 0;
		}
	}
	return -1;
}

#endif
