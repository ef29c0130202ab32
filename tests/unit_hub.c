/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcore/hub and lcore/hub_queue: who gets a frame, what becomes of it, and in which order
 * late ones arrive. Pure: time is a number here.
 */
#include "lcore/hub.h"
#include "lcore/hub_queue.h"

#include <string.h>

#include "tests/unit.h"

enum {
	MS = 1000 * 1000,
	AGE_NS = 100 * MS,
	FRAMES = 20000,
};

static const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 1};

static struct hub hub;

static void
open_ports(uint32_t ports_count, uint64_t seed)
{
	const struct hub_config config = {ports_count, seed, AGE_NS};
	hub_init(&hub, &config);
}

/* A MAC of its own for each number. */
static const uint8_t *
mac_of(uint32_t number)
{
	static uint8_t macs[4][6];
	static uint32_t next;
	uint8_t *mac = macs[next++ % 4];
	mac[0] = 2;
	for (uint32_t i = 1; i < 5; i++)
		mac[i] = (uint8_t)(number >> (8 * (i - 1)));
	mac[5] = 7;
	return mac;
}

static uint64_t
sent(uint32_t from, uint32_t source, uint32_t destination, uint64_t now_ns)
{
	return hub_targets(&hub, from, mac_of(destination), mac_of(source), now_ns);
}

static void
do_command(struct hub_command command)
{
	hub_command(&hub, &command);
}

/* ---- learning ----------------------------------------------------------- */

static void
unknown_goes_to_all_others(void)
{
	open_ports(4, 1);
	CU_ASSERT_EQUAL(sent(1, 10, 20, 1), 0xd);
	CU_ASSERT_EQUAL(hub.ports[1].flooded, 1);
	CU_ASSERT_EQUAL(hub_targets(&hub, 1, group, mac_of(10), 2), 0xd);
	CU_ASSERT_EQUAL(hub.ports[1].flooded, 1);
}

static void
all_ports_there(void)
{
	open_ports(HUB_PORTS_MAX, 1);
	CU_ASSERT_EQUAL(sent(63, 10, 20, 1), UINT64_MAX >> 1);
	CU_ASSERT_EQUAL(sent(0, 20, 10, 2), 1ull << 63);
}

static void
learnt_goes_to_its_port(void)
{
	open_ports(4, 1);
	sent(2, 20, 99, 1);
	CU_ASSERT_EQUAL(sent(1, 10, 20, 2), 1 << 2);
	CU_ASSERT_EQUAL(sent(2, 20, 10, 3), 1 << 1);
	/* Both are behind one port: whoever is there has heard it. */
	CU_ASSERT_EQUAL(sent(2, 21, 20, 4), 0);
}

static void
moved_is_learnt_anew(void)
{
	open_ports(4, 1);
	sent(2, 20, 99, 1);
	sent(3, 20, 99, 2);
	CU_ASSERT_EQUAL(sent(1, 10, 20, 3), 1 << 3);
	CU_ASSERT_EQUAL(hub.ports[3].moved, 1);
	CU_ASSERT_EQUAL(hub.macs_of_port[2], 0);
	CU_ASSERT_EQUAL(hub.macs_of_port[3], 1);
}

static void
forgotten_after_its_age(void)
{
	open_ports(4, 1);
	sent(2, 20, 99, 1);
	CU_ASSERT_EQUAL(sent(1, 10, 20, 1 + AGE_NS), 1 << 2);
	CU_ASSERT_EQUAL(sent(1, 10, 20, 2 + AGE_NS), 0xd);
	/* Heard again, it counts from then. */
	sent(2, 20, 99, 2 + AGE_NS);
	CU_ASSERT_EQUAL(sent(1, 10, 20, 2 + 2 * AGE_NS), 1 << 2);
}

static void
strange_addresses_are_dropped(void)
{
	static const uint8_t pause[6] = {0x01, 0x80, 0xc2, 0, 0, 1};
	static const uint8_t beyond[6] = {0x01, 0x80, 0xc2, 0, 0, 0x10};
	static const uint8_t zero[6];
	open_ports(3, 1);
	CU_ASSERT_EQUAL(hub_targets(&hub, 0, pause, mac_of(1), 1), 0);
	CU_ASSERT_EQUAL(hub_targets(&hub, 0, mac_of(2), group, 1), 0);
	CU_ASSERT_EQUAL(hub_targets(&hub, 0, mac_of(2), zero, 1), 0);
	CU_ASSERT_EQUAL(hub.ports[0].reserved, 3);
	CU_ASSERT_EQUAL(hub.ports[0].learnt, 0);
	CU_ASSERT_EQUAL(hub_targets(&hub, 0, beyond, mac_of(1), 1), 6);
}

/* A port that floods the table with MACs fills its share, and no other's. */
static void
flood_of_macs_keeps_to_its_share(void)
{
	open_ports(4, 1);
	sent(1, 500000, 0, 1);
	for (uint32_t i = 0; i < FRAMES; i++)
		sent(0, 1000 + i, 500000, 2);
	CU_ASSERT_EQUAL(hub.macs_of_port[0], HUB_PORT_MACS_MAX);
	CU_ASSERT_EQUAL(hub.ports[0].learnt, HUB_PORT_MACS_MAX);
	CU_ASSERT_EQUAL(hub.ports[0].not_learnt, FRAMES - HUB_PORT_MACS_MAX);
	/* The others are learnt still, and known. */
	sent(2, 600000, 0, 3);
	CU_ASSERT_EQUAL(sent(3, 700000, 600000, 4), 1 << 2);
	CU_ASSERT_EQUAL(sent(3, 700000, 500000, 4), 1 << 1);
	/* Nor does a full port take them by their names. */
	sent(0, 600000, 0, 5);
	CU_ASSERT_EQUAL(sent(3, 700000, 600000, 6), 1 << 2);
}

static void
full_share_is_free_again_after_the_age(void)
{
	open_ports(4, 1);
	for (uint32_t i = 0; i < HUB_PORT_MACS_MAX; i++)
		sent(0, 1000 + i, 0, 2);
	sent(0, 1, 0, 3 + 2 * (uint64_t)AGE_NS);
	CU_ASSERT_EQUAL(hub.macs_of_port[0], 1);
	CU_ASSERT_EQUAL(sent(1, 2, 1, 4 + 2 * (uint64_t)AGE_NS), 1);
}

/* Against a model: the last port of each MAC, whatever came between. */
static void
random_frames_match_a_model(void)
{
	enum { MACS = 48, PORTS = 5 };
	uint32_t port_of[MACS];
	uint64_t seen_ns[MACS] = {0};
	struct random random;
	uint64_t now_ns = 1;
	random_init(&random, 7, 0);
	open_ports(PORTS, 1);
	for (uint32_t i = 0; i < FRAMES; i++) {
		uint32_t from = (uint32_t)random_below(&random, PORTS);
		uint32_t source = (uint32_t)random_below(&random, MACS);
		uint32_t destination = (uint32_t)random_below(&random, MACS);
		now_ns += random_below(&random, MS);
		port_of[source] = from;
		seen_ns[source] = now_ns;
		bool known = seen_ns[destination] != 0 && now_ns - seen_ns[destination] <= AGE_NS;
		uint64_t others = ((1u << PORTS) - 1) & ~(1u << from);
		uint64_t right = known ? others & 1ull << port_of[destination] : others;
		CU_ASSERT_EQUAL_FATAL(sent(from, source, destination, now_ns), right);
	}
	CU_ASSERT(hub.ports[0].moved > 100);
	CU_ASSERT(hub.ports[0].flooded > 0);
}

/* ---- fates -------------------------------------------------------------- */

static void
without_faults_at_once(void)
{
	open_ports(2, 1);
	struct hub_fate fate = hub_judge(&hub, 0, 1, 100, 5);
	CU_ASSERT_EQUAL(fate.copies, 1);
	CU_ASSERT_EQUAL(fate.due_ns[0], 5);
	CU_ASSERT_EQUAL(fate.damaged_bit[0], HUB_UNDAMAGED);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.frames, 1);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.bytes, 100);
}

/* The links on which a frame passes, as a matrix of bits. */
static uint32_t
passing(uint32_t ports_count)
{
	uint32_t mask = 0;
	for (uint32_t from = 0; from < ports_count; from++) {
		for (uint32_t to = 0; to < ports_count; to++) {
			if (from != to && hub_judge(&hub, from, to, 1, 1).copies > 0)
				mask |= 1u << (from * ports_count + to);
		}
	}
	return mask;
}

static void
partition_splits_groups_only(void)
{
	struct hub_command command = {.verb = HUB_PARTITION, .groups_count = 2};
	open_ports(4, 1);
	uint32_t all = passing(4);
	command.groups[0] = 1 << 0;
	command.groups[1] = 1 << 1 | 1 << 2;
	do_command(command);
	/* 0 and {1, 2} hear nothing of each other; 3 is in no group. */
	uint32_t lost = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8;
	CU_ASSERT_EQUAL(passing(4), all & ~lost);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.cut, 1);
	/* Another partition takes its place. */
	command.groups[0] = 1 << 2;
	command.groups[1] = 1 << 3;
	do_command(command);
	CU_ASSERT_EQUAL(passing(4), all & ~(1u << 11 | 1u << 14));
	do_command((struct hub_command){.verb = HUB_HEAL});
	CU_ASSERT_EQUAL(passing(4), all);
}

static void
cuts_are_directed(void)
{
	open_ports(3, 1);
	uint32_t all = passing(3);
	do_command((struct hub_command){.verb = HUB_CUT, .from = 0, .to = 2});
	CU_ASSERT_EQUAL(passing(3), all & ~(1u << 2));
	do_command((struct hub_command){.verb = HUB_CUT, .from = 1, .to = 2, .both = true});
	CU_ASSERT_EQUAL(passing(3), all & ~(1u << 2 | 1u << 5 | 1u << 7));
	do_command((struct hub_command){.verb = HUB_MEND, .from = HUB_PORT_ANY, .to = 2});
	CU_ASSERT_EQUAL(passing(3), all & ~(1u << 7));
	do_command((struct hub_command){.verb = HUB_CUT, .from = 0, .to = HUB_PORT_ANY});
	CU_ASSERT_EQUAL(passing(3), all & ~(1u << 7 | 1u << 1 | 1u << 2));
	do_command((struct hub_command){.verb = HUB_HEAL});
	CU_ASSERT_EQUAL(passing(3), all);
}

/* A tenth within five standard deviations (0.0106), on the link that was named alone. */
static void
loss_is_as_likely_as_asked(void)
{
	uint32_t lost = 0;
	open_ports(2, 3);
	do_command((struct hub_command){.verb = HUB_LOSS, .from = 0, .to = 1, .ppm = 100000});
	for (uint32_t i = 0; i < FRAMES; i++) {
		lost += hub_judge(&hub, 0, 1, 100, 1 + i).copies == 0;
		CU_ASSERT_EQUAL(hub_judge(&hub, 1, 0, 100, 1 + i).copies, 1);
	}
	CU_ASSERT(lost > FRAMES / 10 - FRAMES / 90 && lost < FRAMES / 10 + FRAMES / 90);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.lost, lost);
	do_command((struct hub_command){
	    .verb = HUB_LOSS, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = HUB_PPM});
	CU_ASSERT_EQUAL(passing(2), 0);
	do_command((struct hub_command){.verb = HUB_CLEAR, .from = HUB_PORT_ANY});
	CU_ASSERT_EQUAL(passing(2), 1u << 1 | 1u << 2);
}

static void
delay_keeps_the_order(void)
{
	uint64_t last_ns = 0;
	uint64_t least_ns = UINT64_MAX;
	uint64_t most_ns = 0;
	open_ports(2, 3);
	do_command((struct hub_command){
	    .verb = HUB_DELAY, .from = 0, .to = 1, .time_ns = MS, .jitter_ns = MS});
	for (uint32_t i = 1; i <= FRAMES; i++) {
		uint64_t now_ns = (uint64_t)i * 10 * MS;
		uint64_t due_ns = hub_judge(&hub, 0, 1, 100, now_ns).due_ns[0];
		CU_ASSERT(due_ns >= last_ns);
		CU_ASSERT(due_ns >= now_ns + MS && due_ns <= now_ns + 2 * MS);
		least_ns = due_ns - now_ns < least_ns ? due_ns - now_ns : least_ns;
		most_ns = due_ns - now_ns > most_ns ? due_ns - now_ns : most_ns;
		last_ns = due_ns;
	}
	CU_ASSERT(least_ns < MS + MS / 100 && most_ns > 2 * MS - MS / 100);
	/* In a burst, each waits for the one before it. */
	last_ns = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t due_ns = hub_judge(&hub, 0, 1, 100, 300ull * FRAMES * MS).due_ns[0];
		CU_ASSERT(due_ns >= last_ns);
		last_ns = due_ns;
	}
}

static void
reordered_ones_come_late(void)
{
	uint32_t late = 0;
	open_ports(2, 3);
	do_command((struct hub_command){
	    .verb = HUB_REORDER, .from = 0, .to = 1, .ppm = 50000, .time_ns = 2 * MS});
	for (uint32_t i = 1; i <= FRAMES; i++) {
		uint64_t due_ns = hub_judge(&hub, 0, 1, 100, i).due_ns[0];
		CU_ASSERT(due_ns == i || due_ns == i + 2 * MS);
		late += due_ns != i;
	}
	CU_ASSERT(late > FRAMES / 25 && late < FRAMES * 3 / 50);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.reordered, late);
}

static void
duplicates_and_damage(void)
{
	uint32_t twice = 0;
	uint32_t damaged = 0;
	bool bits[24] = {false};
	open_ports(2, 3);
	do_command((struct hub_command){.verb = HUB_DUPLICATE, .from = 0, .to = 1, .ppm = 500000});
	do_command((struct hub_command){.verb = HUB_CORRUPT, .from = 0, .to = 1, .ppm = 500000});
	for (uint32_t i = 1; i <= FRAMES; i++) {
		struct hub_fate fate = hub_judge(&hub, 0, 1, 3, i);
		twice += fate.copies == 2;
		for (uint32_t k = 0; k < fate.copies; k++) {
			if (fate.damaged_bit[k] == HUB_UNDAMAGED)
				continue;
			damaged++;
			CU_ASSERT_FATAL(fate.damaged_bit[k] < 24);
			bits[fate.damaged_bit[k]] = true;
		}
	}
	CU_ASSERT(twice > FRAMES * 45 / 100 && twice < FRAMES * 55 / 100);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.duplicated, twice);
	CU_ASSERT_EQUAL(hub.links[0][1].counters.corrupted, damaged);
	for (uint32_t i = 0; i < 24; i++)
		CU_ASSERT(bits[i]);
}

/* The k-th frame of a link has one fate, whatever happens on other links; seeds differ. */
static void
same_seed_same_fates(void)
{
	static struct hub_fate fates[3][1000];
	const uint64_t seeds[3] = {5, 5, 6};
	for (uint32_t run = 0; run < 3; run++) {
		open_ports(3, seeds[run]);
		do_command((struct hub_command){
		    .verb = HUB_LOSS, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .ppm = 300000});
		do_command((struct hub_command){
		    .verb = HUB_DELAY, .from = HUB_PORT_ANY, .to = HUB_PORT_ANY, .jitter_ns = MS});
		memset(fates[run], 0, sizeof(fates[run]));
		for (uint32_t i = 0; i < 1000; i++) {
			fates[run][i] = hub_judge(&hub, 0, 1, 100, 1 + i);
			for (uint32_t k = 0; k < run; k++)
				hub_judge(&hub, 1, 2, 100, 1 + i);
		}
	}
	uint32_t differ = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(fates[0][i].copies, fates[1][i].copies);
		CU_ASSERT_EQUAL(fates[0][i].due_ns[0], fates[1][i].due_ns[0]);
		differ += fates[0][i].due_ns[0] != fates[2][i].due_ns[0];
	}
	CU_ASSERT(differ > 500);
}

/* ---- frames on their way ------------------------------------------------ */

static void
earliest_first_and_in_order(void)
{
	struct hub_queue queue;
	struct random random;
	static struct {
		uint64_t due_ns;
		uint32_t number;
	} frames[1000];
	uint64_t last_ns = 0;
	uint32_t last_number = 0;
	uint32_t popped = 0;
	random_init(&random, 9, 0);
	CU_ASSERT_FATAL(hub_queue_open(&queue, 3, 1000));
	CU_ASSERT_EQUAL(hub_queue_next_ns(&queue), UINT64_MAX);
	for (uint32_t i = 0; i < 1000; i++) {
		frames[i].due_ns = 1 + random_below(&random, 100);
		frames[i].number = i;
		CU_ASSERT(hub_queue_push(&queue, i % 3, frames[i].due_ns, &frames[i]));
	}
	for (uint64_t now_ns = 0; now_ns <= 100; now_ns += 7) {
		uint32_t port;
		for (void *at; (at = hub_queue_pop(&queue, now_ns, &port)) != NULL; popped++) {
			uint32_t number =
			    (uint32_t)((char *)at - (char *)frames) / sizeof(frames[0]);
			CU_ASSERT(frames[number].due_ns <= now_ns);
			CU_ASSERT_EQUAL(port, number % 3);
			CU_ASSERT(frames[number].due_ns > last_ns ||
				  (frames[number].due_ns == last_ns && number >= last_number));
			last_ns = frames[number].due_ns;
			last_number = number;
		}
		CU_ASSERT(hub_queue_next_ns(&queue) > now_ns);
	}
	uint32_t port;
	while (hub_queue_pop(&queue, UINT64_MAX, &port) != NULL)
		popped++;
	CU_ASSERT_EQUAL(popped, 1000);
	hub_queue_close(&queue);
}

static void
full_port_leaves_room_for_others(void)
{
	struct hub_queue queue;
	uint32_t port;
	CU_ASSERT_FATAL(hub_queue_open(&queue, 2, 3));
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT(hub_queue_push(&queue, 0, 10 - i, &queue));
	CU_ASSERT(!hub_queue_push(&queue, 0, 1, &queue));
	CU_ASSERT(hub_queue_push(&queue, 1, 1, &hub));
	CU_ASSERT_PTR_EQUAL(hub_queue_pop(&queue, 1, &port), &hub);
	CU_ASSERT_EQUAL(port, 1);
	CU_ASSERT_PTR_EQUAL(hub_queue_pop(&queue, 8, &port), &queue);
	CU_ASSERT(hub_queue_push(&queue, 0, 1, &queue));
	while (hub_queue_pop(&queue, UINT64_MAX, &port) != NULL)
		CU_ASSERT_EQUAL(port, 0);
	hub_queue_close(&queue);
}

static const struct unit_story stories[] = {
    {"unknown destinations and groups go to all others", unknown_goes_to_all_others},
    {"64 ports", all_ports_there},
    {"a learnt destination has one port", learnt_goes_to_its_port},
    {"a MAC that moved", moved_is_learnt_anew},
    {"a MAC that was silent for long is forgotten", forgotten_after_its_age},
    {"reserved and malformed addresses", strange_addresses_are_dropped},
    {"a flood of MACs keeps to its port's share", flood_of_macs_keeps_to_its_share},
    {"a full share is free again after the age", full_share_is_free_again_after_the_age},
    {"random frames against a model", random_frames_match_a_model},
    {"no faults: at once, whole", without_faults_at_once},
    {"a partition splits its groups alone", partition_splits_groups_only},
    {"cuts have a direction", cuts_are_directed},
    {"loss is as likely as asked", loss_is_as_likely_as_asked},
    {"delay keeps the order", delay_keeps_the_order},
    {"reordered frames come late", reordered_ones_come_late},
    {"duplicates and damage", duplicates_and_damage},
    {"same seed, same fates", same_seed_same_fates},
    {"late frames: earliest first, then in order", earliest_first_and_in_order},
    {"late frames: a full port leaves room for others", full_port_leaves_room_for_others},
};

UNIT_MAIN("hub", stories)
