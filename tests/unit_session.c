/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of the session table: exactly once, cached replies, eviction. */
#include "engine/session.h"

#include <errno.h>
#include <string.h>

#include "tests/toy_digest.h"
#include "tests/unit.h"

enum { SLOTS = 100, RING_SIZE = 4096, CELL_SIZE = 1024 };

static const struct session_options options = {.slots_count = SLOTS, .ring_size = RING_SIZE};
static const struct session_options cells = {.slots_count = SLOTS, .cell_size = CELL_SIZE};

struct rig {
	struct state state;
	struct session session;
};

static void
rig_open_with(struct rig *rig, const struct session_options *how)
{
	struct state_options o = {
	    .size = session_region_size(how),
	    .undo_count = 100,
	    .marks_max = 8,
	    .digester = {.burst = toy_digest_burst},
	};
	CU_ASSERT_EQUAL_FATAL(state_open(&rig->state, &o), 0);
	CU_ASSERT_EQUAL_FATAL(session_open(&rig->session, how, &rig->state), 0);
}

static void
rig_open(struct rig *rig)
{
	rig_open_with(rig, &options);
}

/* Executes as the executor would; the reply is `size` bytes of the timestamp's low byte. */
static enum session_verdict
request(struct rig *rig, uint16_t slot, uint64_t timestamp, uint32_t size)
{
	uint8_t reply[2 * RING_SIZE];
	enum session_verdict verdict = session_judge(&rig->session, slot, timestamp);
	memset(reply, (int)(timestamp & 255), sizeof(reply));
	if (verdict == SESSION_NEW)
		session_record(&rig->session, slot, timestamp, reply, size);
	return verdict;
}

static bool
recalled(const struct rig *rig, uint16_t slot, uint64_t timestamp, uint32_t size)
{
	const uint8_t *reply;
	uint32_t reply_size;
	if (!session_recall(&rig->session, slot, &reply, &reply_size) || reply_size != size)
		return false;
	for (uint32_t i = 0; i < size; i++) {
		if (reply[i] != (uint8_t)timestamp)
			return false;
	}
	return true;
}

static void
options_are_judged(void)
{
	struct state s;
	struct session t;
	struct state_options o = {
	    .size = session_region_size(&options) / 2, .digester = {.burst = toy_digest_burst}};
	CU_ASSERT_EQUAL_FATAL(state_open(&s, &o), 0);
	CU_ASSERT_EQUAL(session_open(&t, &options, &s), -ENOMEM);
	struct session_options bad = {.slots_count = 0};
	CU_ASSERT_EQUAL(session_open(&t, &bad, &s), -EINVAL);
	bad.slots_count = SESSION_SLOTS_MAX + 1;
	CU_ASSERT_EQUAL(session_open(&t, &bad, &s), -EINVAL);
	state_close(&s);
}

static void
timestamps_grow(void)
{
	struct rig rig;
	rig_open(&rig);
	CU_ASSERT_EQUAL(request(&rig, 5, 0, 8), SESSION_STALE);
	CU_ASSERT_EQUAL(request(&rig, 5, 10, 8), SESSION_NEW);
	CU_ASSERT_EQUAL(request(&rig, 5, 10, 8), SESSION_DUPLICATE);
	CU_ASSERT_EQUAL(request(&rig, 5, 9, 8), SESSION_STALE);
	CU_ASSERT_EQUAL(request(&rig, 5, 0, 8), SESSION_STALE);
	CU_ASSERT_EQUAL(request(&rig, 5, 1000, 8), SESSION_NEW);
	CU_ASSERT_EQUAL(request(&rig, 5, 10, 8), SESSION_STALE);
	state_close(&rig.state);
}

static void
last_timestamp_hurts_its_client_only(void)
{
	struct rig rig;
	rig_open(&rig);
	for (uint16_t slot = 0; slot < SLOTS; slot++)
		CU_ASSERT_EQUAL(request(&rig, slot, 1, 8), SESSION_NEW);
	CU_ASSERT_EQUAL(request(&rig, 50, UINT64_MAX, 8), SESSION_NEW);
	CU_ASSERT_EQUAL(request(&rig, 50, UINT64_MAX, 8), SESSION_DUPLICATE);
	CU_ASSERT_EQUAL(request(&rig, 50, 2, 8), SESSION_STALE);
	for (uint16_t slot = 0; slot < SLOTS; slot++) {
		if (slot != 50)
			CU_ASSERT_EQUAL(request(&rig, slot, 2, 8), SESSION_NEW);
	}
	state_close(&rig.state);
}

static void
replies_of_every_size_are_cached(void)
{
	static const uint32_t sizes[] = {0, 1, 103, 104, 105, 1000, 104, 105, 0, RING_SIZE, 3, 0};
	struct rig rig;
	rig_open(&rig);
	for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CU_ASSERT_EQUAL(request(&rig, 7, i + 1, sizes[i]), SESSION_NEW);
		CU_ASSERT(recalled(&rig, 7, i + 1, sizes[i]));
	}
	state_close(&rig.state);
}

static void
entry_depends_on_its_last_operation_only(void)
{
	struct rig rig;
	rig_open(&rig);
	request(&rig, 9, 1, 200); /* so that no position in the ring is 0 by chance */
	request(&rig, 1, 1, 100);
	request(&rig, 1, 2, 500);
	CU_ASSERT_NOT_EQUAL(rig.session.entries[1].position, 0);
	/* Nothing of the small reply is left beside the large one. */
	for (uint32_t i = 0; i < SESSION_INLINE_SIZE; i++)
		CU_ASSERT_EQUAL(rig.session.entries[1].reply[i], 0);
	request(&rig, 1, 3, 0);
	request(&rig, 2, 3, 0);
	request(&rig, 3, 1, 100);
	request(&rig, 3, 3, 50);
	request(&rig, 4, 3, 50);
	CU_ASSERT_EQUAL(
	    memcmp(&rig.session.entries[3], &rig.session.entries[4], sizeof(struct session_entry)),
	    0);
	CU_ASSERT_EQUAL(
	    memcmp(&rig.session.entries[1], &rig.session.entries[2], sizeof(struct session_entry)),
	    0);
	state_close(&rig.state);
}

static void
large_replies_are_evicted_in_order(void)
{
	struct rig rig;
	rig_open(&rig);
	for (uint16_t slot = 0; slot < 4; slot++)
		request(&rig, slot, 1, 1000);
	request(&rig, 90, 1, 50); /* small ones take no part */
	for (uint16_t slot = 0; slot < 4; slot++)
		CU_ASSERT(recalled(&rig, slot, 1, 1000));
	request(&rig, 4, 1, 1000); /* skips the last 96 bytes, overwrites the first */
	CU_ASSERT_FALSE(recalled(&rig, 0, 1, 1000));
	for (uint16_t slot = 1; slot < 5; slot++)
		CU_ASSERT(recalled(&rig, slot, 1, 1000));
	request(&rig, 5, 1, 1001);
	CU_ASSERT_FALSE(recalled(&rig, 1, 1, 1000));
	CU_ASSERT_FALSE(recalled(&rig, 2, 1, 1000));
	CU_ASSERT(recalled(&rig, 3, 1, 1000));
	request(&rig, 6, 1, RING_SIZE + 1); /* never kept; evicts nothing */
	CU_ASSERT_FALSE(recalled(&rig, 6, 1, RING_SIZE + 1));
	CU_ASSERT(recalled(&rig, 5, 1, 1001));
	CU_ASSERT_EQUAL(session_judge(&rig.session, 6, 1), SESSION_DUPLICATE);
	state_close(&rig.state);
}

static void
eviction_at_random_never_gives_wrong_bytes(void)
{
	struct rig rig;
	uint64_t seed = 3;
	uint64_t timestamps[SLOTS] = {0};
	uint32_t sizes[SLOTS] = {0};
	uint32_t kept = 0;
	rig_open(&rig);
	for (uint32_t i = 0; i < 20000; i++) {
		uint16_t slot = (uint16_t)toy_below(&seed, SLOTS);
		sizes[slot] = toy_below(&seed, 700);
		timestamps[slot] += 1 + toy_below(&seed, 3);
		CU_ASSERT_EQUAL(request(&rig, slot, timestamps[slot], sizes[slot]), SESSION_NEW);
		slot = (uint16_t)toy_below(&seed, SLOTS);
		const uint8_t *reply;
		uint32_t size;
		if (timestamps[slot] != 0 && session_recall(&rig.session, slot, &reply, &size)) {
			kept++;
			CU_ASSERT(recalled(&rig, slot, timestamps[slot], sizes[slot]));
		}
	}
	CU_ASSERT(kept > 4000 && kept < 16000);
	state_close(&rig.state);
}

/* A cell of each slot's own: nobody's reply displaces another's. */
static void
cells_keep_each_slots_last_reply(void)
{
	struct rig rig;
	rig_open_with(&rig, &cells);
	request(&rig, 0, 1, CELL_SIZE - 1);
	for (uint64_t timestamp = 1; timestamp <= 3; timestamp++) {
		for (uint16_t slot = 1; slot < SLOTS; slot++) {
			uint32_t size = slot % 3 == 0 ? CELL_SIZE : 105 + slot;
			request(&rig, slot, 100 * timestamp + slot, size);
		}
		for (uint16_t slot = 1; slot < SLOTS; slot++) {
			uint32_t size = slot % 3 == 0 ? CELL_SIZE : 105 + slot;
			CU_ASSERT(recalled(&rig, slot, 100 * timestamp + slot, size));
		}
	}
	/* Everybody else has written several times what all cells hold. */
	CU_ASSERT(recalled(&rig, 0, 1, CELL_SIZE - 1));
	state_close(&rig.state);
}

/* What lies in a cell is part of the state: its digest changes, and a rollback restores it. */
static void
rollback_takes_cells_back(void)
{
	struct rig rig;
	uint8_t before32[DIGEST_SIZE];
	uint8_t after32[DIGEST_SIZE];
	rig_open_with(&rig, &cells);
	request(&rig, 40, 7, CELL_SIZE);
	state_checkpoint(&rig.state, 1, before32);
	request(&rig, 40, 8, CELL_SIZE);
	CU_ASSERT(recalled(&rig, 40, 8, CELL_SIZE));
	CU_ASSERT(state_rollback(&rig.state, 1));
	CU_ASSERT(recalled(&rig, 40, 7, CELL_SIZE));
	state_checkpoint(&rig.state, 2, after32);
	CU_ASSERT_EQUAL(memcmp(before32, after32, DIGEST_SIZE), 0);
	state_close(&rig.state);
}

static void
rollback_takes_sessions_back(void)
{
	struct rig rig;
	uint8_t roots[2][DIGEST_SIZE];
	rig_open(&rig);
	request(&rig, 1, 1, 2000);
	state_checkpoint(&rig.state, 1, roots[0]);
	request(&rig, 1, 2, 3000);
	request(&rig, 2, 2, 30);
	state_checkpoint(&rig.state, 2, roots[1]);
	CU_ASSERT_NOT_EQUAL(memcmp(roots[0], roots[1], DIGEST_SIZE), 0);
	CU_ASSERT(state_rollback(&rig.state, 1));
	CU_ASSERT(recalled(&rig, 1, 1, 2000));
	CU_ASSERT_EQUAL(session_judge(&rig.session, 1, 2), SESSION_NEW);
	CU_ASSERT_EQUAL(session_judge(&rig.session, 2, 2), SESSION_NEW);
	state_close(&rig.state);
}

static const struct unit_story stories[] = {
    {"options are judged", options_are_judged},
    {"timestamps grow", timestamps_grow},
    {"the last timestamp hurts its client only", last_timestamp_hurts_its_client_only},
    {"replies of every size are cached", replies_of_every_size_are_cached},
    {"an entry depends on its last operation", entry_depends_on_its_last_operation_only},
    {"large replies are evicted in order", large_replies_are_evicted_in_order},
    {"eviction at random", eviction_at_random_never_gives_wrong_bytes},
    {"cells keep each slot's last reply", cells_keep_each_slots_last_reply},
    {"rollback takes cells back", rollback_takes_cells_back},
    {"rollback takes sessions back", rollback_takes_sessions_back},
};

UNIT_MAIN("session", stories)
