/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories of the YCSB workloads, against a naive store that lies: lies of each
 * kind are found, in gets, writes, scans, and with a single writer. One core.
 */
#include "tests/ycsb_rig.h"

/* ---- Lies are found ----------------------------------------------------- */

/* Verdict of a get whose answer has been spoilt; a fresh get each time. */
static void
broken_answers_to_gets_are_wrong(void)
{
	static struct asked a;
	struct workload *w = opened_with_one_record(1);
	struct ycsb_stamp stamp = put_once(w, 10);
	uint32_t right_size = KV_REPLY_HEADER_SIZE + 100;

	for (uint32_t i = 0; i < right_size; i++) {
		ask_for(w, 10, KV_GET, &a);
		store_execute(a.data, a.size);
		answer.data[i] ^= 0x04;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	for (uint32_t size = 0; size < right_size; size++) {
		ask_for(w, 10, KV_GET, &a);
		store_execute(a.data, a.size);
		answer.size = size;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	for (uint8_t status = KV_NOT_FOUND; status < 10; status++) {
		ask_for(w, 10, KV_GET, &a);
		answer_begin((enum kv_status)status, 0);
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	stamp = put_once(w, 10);
	stamp.key = 1;
	CU_ASSERT_EQUAL(get_answered_with(w, 10, stamp), WORKLOAD_WRONG);
	workload_close(w);
}

static void
a_stale_value_of_its_own_is_wrong(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp first = put_once(w, 10);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, first), WORKLOAD_RIGHT);
	struct ycsb_stamp second = put_once(w, 10);
	CU_ASSERT(second.version > first.version);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, first), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, second), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
a_value_never_written_is_wrong(void)
{
	struct workload *w = opened_with_one_record(1);
	struct ycsb_stamp stamp = put_once(w, 10);
	stamp.version++;
	CU_ASSERT_EQUAL(get_answered_with(w, 10, stamp), WORKLOAD_WRONG);
	workload_close(w);
}

static void
an_overwritten_value_does_not_come_back(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp mine = put_once(w, 10);
	struct ycsb_stamp other = put_once(w, 11);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, other), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, mine), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, other), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
others_values_do_not_grow_older(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp old = put_once(w, 11);
	struct ycsb_stamp new = put_once(w, 11);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, old), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, new), WORKLOAD_RIGHT);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, old), WORKLOAD_WRONG);
	workload_close(w);
}

static void
the_loaded_value_does_not_come_back(void)
{
	struct workload *w = opened_with_one_record(2);
	struct ycsb_stamp loaded = stamp_of(store[0]->value, 100);
	CU_ASSERT_EQUAL(loaded.writer, 10);
	CU_ASSERT_EQUAL(get_answered_with(w, 11, loaded), WORKLOAD_RIGHT);
	put_once(w, 11);
	CU_ASSERT_EQUAL(get_answered_with(w, 11, loaded), WORKLOAD_WRONG);
	put_once(w, 10);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, loaded), WORKLOAD_WRONG);
	workload_close(w);
}

static void
a_refused_write_leaves_the_old_value(void)
{
	static struct asked a;
	struct workload *w = opened_with_one_record(1);
	struct ycsb_stamp old = put_once(w, 10);
	ask_for(w, 10, KV_PUT, &a);
	struct ycsb_stamp refused = stamp_of(a.op.value, a.op.value_size);
	answer_begin(KV_NO_SPACE, 0);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_REFUSED);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, refused), WORKLOAD_WRONG);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, old), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
strange_answers_to_writes_are_wrong(void)
{
	static struct asked a;
	struct workload *w = opened_with_one_record(1);
	static const uint8_t wrong[] = {
	    KV_NOT_FOUND, KV_MISMATCH, KV_TOO_LARGE, KV_INVALID, KV_PARTIAL, KV_PARTIAL + 1, 255};
	for (size_t i = 0; i < sizeof(wrong); i++) {
		ask_for(w, 10, KV_PUT, &a);
		answer_begin((enum kv_status)wrong[i], 0);
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	ask_for(w, 10, KV_PUT, &a);
	answer_begin(KV_OK, 1);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	ask_for(w, 10, KV_PUT, &a);
	answer_begin(KV_OK, 0);
	answer_add("x", 1);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	/* What such a write did is not known: either value is believed, then held to. */
	struct ycsb_stamp last = stamp_of(a.op.value, a.op.value_size);
	CU_ASSERT_EQUAL(get_answered_with(w, 10, last), WORKLOAD_RIGHT);
	last.version--;
	CU_ASSERT_EQUAL(get_answered_with(w, 10, last), WORKLOAD_WRONG);
	workload_close(w);
}

/* The answer to a write is lost: whether it was executed or not is found out. */
static void
lost_answers_leave_both_outcomes_open(void)
{
	static struct asked a;
	for (int executed = 0; executed < 2; executed++) {
		struct workload *w = opened_with_one_record(1);
		struct ycsb_stamp old = put_once(w, 10);
		ask_for(w, 10, KV_PUT, &a);
		struct ycsb_stamp lost = stamp_of(a.op.value, a.op.value_size);
		if (executed)
			store_execute(a.data, a.size);
		ask(w, 10, &a); /* no check between */
		while (a.op.kind != KV_GET)
			ask(w, 10, &a); /* further writes are lost, and not executed */
		answer_with(executed ? lost : old);
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_RIGHT);
		CU_ASSERT_EQUAL(get_answered_with(w, 10, executed ? old : lost), WORKLOAD_WRONG);
		workload_close(w);
	}
}

/* ---- Scans -------------------------------------------------------------- */

static struct asked scan_asked;

/* A scan of at least 10 records, with so many behind its start; its place. */
static uint32_t
scan_open(struct workload *w)
{
	for (;;) {
		bool found;
		ask_for(w, 10, KV_SCAN, &scan_asked);
		uint32_t at = store_find(scan_asked.op.key, &found);
		CU_ASSERT_FATAL(found);
		store_execute(scan_asked.data, scan_asked.size);
		if (scan_asked.op.limit >= 10 && store_count - at > scan_asked.op.limit)
			return at;
		CU_ASSERT_EQUAL_FATAL(answered(w, 10), WORKLOAD_RIGHT);
	}
}

/* Answers with the records at these places from the start on, in this order. */
static enum workload_verdict
scan_answered(
    struct workload *w, enum kv_status status, uint32_t at, const uint32_t *offsets, uint32_t count)
{
	answer_begin(status, count);
	for (uint32_t i = 0; i < count; i++)
		answer_add_record(at + offsets[i]);
	return answered(w, 10);
}

static struct workload *
opened_for_scans(void)
{
	struct workload_config config = base;
	store_clear();
	config.name = "ycsb-e";
	struct workload *w = opened(&config);
	load(w);
	return w;
}

static void
lies_in_scans_are_found(void)
{
	struct workload *w = opened_for_scans();
	uint32_t offsets[WORKLOAD_SCAN_MAX + 1];
	for (int lie = 0; lie < 9; lie++) {
		uint32_t at = scan_open(w);
		uint32_t limit = scan_asked.op.limit, count = limit;
		enum kv_status status = KV_OK;
		for (uint32_t i = 0; i <= WORKLOAD_SCAN_MAX; i++)
			offsets[i] = i;
		switch (lie) {
		case 0: /* one too many */
			count++;
			break;
		case 1: /* ends early */
			count--;
			break;
		case 2: /* full, although all is there */
			status = KV_PARTIAL;
			break;
		case 3: /* nothing */
			count = 0;
			break;
		case 4: /* the first is left out */
			for (uint32_t i = 0; i < count; i++)
				offsets[i]++;
			break;
		case 5: /* one in the middle is left out */
			for (uint32_t i = 5; i < count; i++)
				offsets[i]++;
			break;
		case 6: /* twice the same */
			offsets[5] = 4;
			break;
		case 7: /* two have changed places */
			offsets[5] = 6;
			offsets[6] = 5;
			break;
		case 8: /* not found */
			status = KV_NOT_FOUND;
			break;
		}
		CU_ASSERT_EQUAL(scan_answered(w, status, at, offsets, count), WORKLOAD_WRONG);
	}
	uint32_t at = scan_open(w);
	CU_ASSERT_EQUAL(scan_answered(w, KV_PARTIAL, at, offsets, 3), WORKLOAD_RIGHT);
	workload_close(w);
}

static void
broken_bytes_in_scans_are_found(void)
{
	struct workload *w = opened_for_scans();
	uint32_t record_size = KV_SCAN_RECORD_HEADER_SIZE + YCSB_KEY_SIZE + 100;
	for (uint32_t i = 0; i < 2 * record_size; i++) {
		scan_open(w);
		answer.data[KV_REPLY_HEADER_SIZE + record_size + i] ^= 0x40;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	for (uint32_t i = 0; i < record_size; i++) {
		scan_open(w);
		answer.size -= 1 + i;
		CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	}
	scan_open(w);
	answer_add("x", 1);
	CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_WRONG);
	workload_close(w);
}

/* Keys that were inserted may stand between the loaded ones or not. */
static void
scans_see_inserted_records(void)
{
	static struct asked a;
	struct workload *w = opened_for_scans();
	uint32_t inserted = 0, wrong = 0;
	for (uint32_t i = 0; i < 6000; i++) {
		wrong += round_trip(w, 10 + i % 4, &a) != WORKLOAD_RIGHT;
		inserted += a.op.kind == KV_PUT;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(inserted > 200);
	CU_ASSERT_EQUAL(store_count, 500 + inserted);
	workload_close(w);
}

static bool
place_is_inserted(uint32_t at)
{
	return stamp_of(store[at]->value, store[at]->value_size).key >= 500;
}

/* Inserted records: the start, two neighbours, and one behind a loaded record. */
static void
lies_about_inserted_records_are_found(void)
{
	static struct asked a;
	struct workload *w = opened_for_scans();
	uint32_t offsets[WORKLOAD_SCAN_MAX], found[4] = {0};
	for (uint32_t i = 0; i < 12000; i++)
		CU_ASSERT_EQUAL_FATAL(round_trip(w, 11 + i % 3, &a), WORKLOAD_RIGHT);
	for (uint32_t tries = 0; tries < 4000; tries++) {
		uint32_t at = scan_open(w), limit = scan_asked.op.limit, lie = tries % 4;
		bool start = place_is_inserted(at);
		bool pair = place_is_inserted(at + 3) && place_is_inserted(at + 4);
		bool last = !place_is_inserted(at + limit - 1) && place_is_inserted(at + limit);
		for (uint32_t i = 0; i < limit; i++)
			offsets[i] = i;
		if (lie == 0 && start) { /* the start is left out */
			for (uint32_t i = 0; i < limit; i++)
				offsets[i]++;
		} else if (lie == 1 && pair) { /* two have changed places */
			offsets[3] = 4;
			offsets[4] = 3;
		} else if (lie == 2 && pair) { /* twice the same */
			offsets[4] = 3;
		} else if (lie == 3 && last) { /* the last loaded one is left out */
			offsets[limit - 1]++;
		} else {
			CU_ASSERT_EQUAL(answered(w, 10), WORKLOAD_RIGHT);
			continue;
		}
		found[lie]++;
		CU_ASSERT_EQUAL(scan_answered(w, KV_OK, at, offsets, limit), WORKLOAD_WRONG);
	}
	for (int lie = 0; lie < 4; lie++)
		CU_ASSERT(found[lie] > 10);
	workload_close(w);
}

/* ---- A single writer ---------------------------------------------------- */

static void
a_single_writer_knows_every_value(void)
{
	static struct asked a;
	struct workload_config config = base;
	store_clear();
	config.single_writer = true;
	config.slots_count = 3;
	struct workload *w = opened(&config);
	load(w);
	for (uint32_t i = 0; i < 3000; i++)
		CU_ASSERT_EQUAL(round_trip(w, 10 + i % 3, &a), WORKLOAD_RIGHT);
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t slot = 10 + i % 3;
		bool found;
		ask(w, slot, &a);
		uint32_t at = store_find(a.op.key, &found);
		CU_ASSERT_FATAL(found);
		struct ycsb_stamp stamp = stamp_of(store[at]->value, 100);
		CU_ASSERT_EQUAL(stamp.writer, slot);
		CU_ASSERT_EQUAL(stamp.key % 3, slot - 10);
		store_execute(a.data, a.size);
		if (a.op.kind == KV_GET) {
			/* Any other version, and any other writer, of whatever age. */
			stamp.version += i % 2 == 0 ? 1 : UINT64_MAX;
			stamp.writer = (uint16_t)(stamp.writer + (i % 4 == 3));
			if (stamp.version == 0)
				stamp.version = 2;
			answer_with(stamp);
		}
		CU_ASSERT_EQUAL(
		    answered(w, slot), a.op.kind == KV_GET ? WORKLOAD_WRONG : WORKLOAD_RIGHT);
	}
	workload_close(w);
}

static void
a_single_writers_cas_does_not_mismatch(void)
{
	static struct asked a;
	struct workload_config config = base;
	for (int single = 0; single < 2; single++) {
		store_clear();
		config.name = "ycsb-f";
		config.single_writer = single;
		struct workload *w = opened(&config);
		load(w);
		ask_for(w, 10, KV_CAS, &a);
		answer_begin(KV_MISMATCH, 0);
		CU_ASSERT_EQUAL(answered(w, 10), single ? WORKLOAD_WRONG : WORKLOAD_RIGHT);
		workload_close(w);
	}
}

static const struct unit_story stories[] = {
    {"broken answers to gets are wrong", broken_answers_to_gets_are_wrong},
    {"a stale value of its own is wrong", a_stale_value_of_its_own_is_wrong},
    {"a value never written is wrong", a_value_never_written_is_wrong},
    {"an overwritten value does not come back", an_overwritten_value_does_not_come_back},
    {"others' values do not grow older", others_values_do_not_grow_older},
    {"the loaded value does not come back", the_loaded_value_does_not_come_back},
    {"a refused write leaves the old value", a_refused_write_leaves_the_old_value},
    {"strange answers to writes are wrong", strange_answers_to_writes_are_wrong},
    {"lost answers leave both outcomes open", lost_answers_leave_both_outcomes_open},
    {"lies in scans are found", lies_in_scans_are_found},
    {"broken bytes in scans are found", broken_bytes_in_scans_are_found},
    {"scans see inserted records", scans_see_inserted_records},
    {"lies about inserted records are found", lies_about_inserted_records_are_found},
    {"a single writer knows every value", a_single_writer_knows_every_value},
    {"a single writer's cas does not mismatch", a_single_writers_cas_does_not_mismatch},
};

UNIT_MAIN("ycsb_lies", stories)
