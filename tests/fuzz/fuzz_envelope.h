/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes of nodes under fuzzing: each lies in an allocation of its own, of
 * exactly FUZZ_ENVELOPE_SIZE bytes, which the target sets before it includes
 * this. Those that come back are poisoned and given out again: a node takes
 * hundreds for every input. One thread.
 */
#ifndef OSKR_TESTS_FUZZ_ENVELOPE_H
#define OSKR_TESTS_FUZZ_ENVELOPE_H

#include <sanitizer/asan_interface.h>

#include "engine/outbox.h"
#include "fuzz.h"

enum { FUZZ_SPARE_MAX = 4 * OUTBOX_SENDS_MAX };

static uint8_t *fuzz_spare[FUZZ_SPARE_MAX];
static uint32_t fuzz_spare_count;

static inline void *
fuzz_envelope_take(void)
{
	if (fuzz_spare_count == 0) {
		uint8_t *fresh = malloc(FUZZ_ENVELOPE_SIZE);
		check(fresh != NULL);
		return fresh;
	}
	uint8_t *envelope = fuzz_spare[--fuzz_spare_count];
	ASAN_UNPOISON_MEMORY_REGION(envelope, FUZZ_ENVELOPE_SIZE);
	return envelope;
}

static inline void
fuzz_envelope_give(void *envelope)
{
	if (fuzz_spare_count == FUZZ_SPARE_MAX) {
		free(envelope);
		return;
	}
	ASAN_POISON_MEMORY_REGION(envelope, FUZZ_ENVELOPE_SIZE);
	fuzz_spare[fuzz_spare_count++] = envelope;
}

/* Sets out `count` of them. */
static inline void
fuzz_envelopes_set_out(struct send *sends, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		sends[i] = (struct send){.capacity = FUZZ_ENVELOPE_SIZE};
		sends[i].owner = fuzz_envelope_take();
		sends[i].header = sends[i].owner;
	}
}

#endif
