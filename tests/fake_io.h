/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard's io for tests: a bounded pool of envelopes, each in memory of its own
 * so that a sanitizer sees every byte written beyond, and a copy of all that was
 * sent. Static; one core.
 */
#ifndef OSKR_TESTS_FAKE_IO_H
#define OSKR_TESTS_FAKE_IO_H

#include <CUnit/CUnit.h>
#include <stdlib.h>
#include <string.h>

#include "engine/shard.h"

enum { FAKE_FRAMES_MAX = 2048 };

/* One message that was sent. */
struct fake_frame {
	uint64_t to;
	uint16_t client;
	uint32_t size;
	uint8_t *data; /* size bytes */
};

struct fake_io {
	uint32_t envelope_size;	  /* bytes */
	uint32_t envelopes_count; /* may be lowered and raised between bursts */
	uint32_t lent;		  /* envelopes that the shard holds */
	uint32_t transmits;	  /* calls */
	uint32_t larges;	  /* sends whose message went by segments */
	uint32_t frames_count;
	struct fake_frame frames[FAKE_FRAMES_MAX];
};

static inline uint32_t
fake_refill(void *self, struct send *sends, uint32_t count)
{
	struct fake_io *io = self;
	uint32_t given = 0;
	for (; given < count && io->lent < io->envelopes_count; given++) {
		void *memory = malloc(io->envelope_size);
		CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
		memset(memory, 0xee, io->envelope_size);
		sends[given] = (struct send){
		    .capacity = io->envelope_size,
		    .header = memory,
		    .owner = memory,
		};
		io->lent++;
	}
	return given;
}

static inline void
fake_transmit(void *self, struct send *sends, uint32_t count)
{
	struct fake_io *io = self;
	io->transmits++;
	for (uint32_t i = 0; i < count; i++) {
		CU_ASSERT_FATAL(io->lent > 0);
		io->lent--;
		if (sends[i].large != 0)
			io->larges++;
		else {
			CU_ASSERT_FATAL(io->frames_count < FAKE_FRAMES_MAX);
			struct fake_frame *frame = &io->frames[io->frames_count++];
			uint32_t size = sends[i].header->size;
			CU_ASSERT_FATAL(size <= io->envelope_size);
			*frame = (struct fake_frame){sends[i].to, sends[i].client, size, NULL};
			frame->data = malloc(size);
			CU_ASSERT_PTR_NOT_NULL_FATAL(frame->data);
			memcpy(frame->data, sends[i].header, size);
		}
		free(sends[i].owner);
	}
}

static inline void
fake_io_open(struct fake_io *io, uint32_t envelope_size)
{
	memset(io, 0, sizeof(*io));
	io->envelope_size = envelope_size;
	io->envelopes_count = OUTBOX_SENDS_MAX;
}

/* Forgets what was sent. */
static inline void
fake_io_clear(struct fake_io *io)
{
	for (uint32_t i = 0; i < io->frames_count; i++)
		free(io->frames[i].data);
	io->frames_count = 0;
}

/* Takes the envelopes back from a shard that is about to be closed: none is missing. */
static inline void
fake_io_close(struct fake_io *io, struct shard *s)
{
	CU_ASSERT_EQUAL(io->lent, s->outbox.sends_ready);
	for (uint32_t i = 0; i < s->outbox.sends_ready; i++)
		free(s->outbox.sends[i].owner);
	fake_io_clear(io);
}

#endif
