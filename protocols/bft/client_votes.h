/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the replicas have told a client's slot about its present timestamp. A
 * vote is the digest of a result and a rank. Each replica has one, which may
 * move to a higher rank only: a tentative result gives way to that of a later
 * view, to a final one, and that to "I no longer have it". Votes that say the
 * same lie in one record with a set of voters; as there are n voters, n records
 * always suffice. Nearly always there is one, which lies beside the slot; the
 * others' memory stays untouched. Pure; owned by one client.
 */
#ifndef OSKR_PROTOCOLS_BFT_CLIENT_VOTES_H
#define OSKR_PROTOCOLS_BFT_CLIENT_VOTES_H

#include "engine/quorum.h"
#include "protocols/bft/bft.h"

/* Set in the rank of a final vote; bit 0: the result is lost. Else it is 2 * view. */
#define RANK_FINAL (1ull << 63)

/* Those who say the same. */
struct tally {
	uint8_t digest32[32]; /* the result's; zero: it is empty, or lost */
	uint64_t voters;      /* 0: the record is free */
	uint64_t rank;
};

struct votes {
	uint64_t voted;	     /* who has a vote */
	struct tally *spare; /* records 1 .. n - 1 */
	uint32_t count;	     /* records in use, or free among those */
	uint32_t room;	     /* n */
	struct tally first;
};

/* What one reply says. */
struct ballot {
	const uint8_t *digest32;
	uint64_t rank;
	uint64_t bit; /* of the voter */
};

/* How many votes make a result. */
struct threshold {
	uint32_t finals; /* final ones alone */
	uint32_t quorum; /* final ones with tentative ones of one view */
};

enum votes_verdict { VOTES_TAKEN, VOTES_REPEATED, VOTES_CONFLICTING };

/* Record i of those in use. */
static inline struct tally *
votes_at(const struct votes *v, uint32_t i)
{
	check(i < v->count);
	return i == 0 ? (struct tally *)(uintptr_t)&v->first : &v->spare[i - 1];
}

/* Do they tell the client the same? */
static inline bool
tally_agrees(const struct tally *tally, const struct ballot *b)
{
	return ((tally->rank ^ b->rank) & 1) == 0 &&
	       memcmp(tally->digest32, b->digest32, sizeof(tally->digest32)) == 0;
}

static inline void
votes_add(struct votes *v, const struct ballot *b)
{
	struct tally *free = NULL;
	for (uint32_t i = 0; i < v->count; i++) {
		struct tally *tally = votes_at(v, i);
		if (tally->voters == 0)
			free = tally;
		else if (tally->rank == b->rank && tally_agrees(tally, b)) {
			tally->voters |= b->bit;
			return;
		}
	}
	if (free == NULL) {
		check(v->count < v->room);
		v->count++;
		free = votes_at(v, v->count - 1);
	}
	free->rank = b->rank;
	free->voters = b->bit;
	memcpy(free->digest32, b->digest32, sizeof(free->digest32));
}

static inline struct tally *
votes_of(const struct votes *v, uint64_t bit)
{
	for (uint32_t i = 0; i < v->count; i++) {
		struct tally *tally = votes_at(v, i);
		if ((tally->voters & bit) != 0)
			return tally;
	}
	return NULL;
}

/*
 * One vote a replica. Correct ones change theirs upwards alone; one that says
 * two different things at the same rank is faulty, and its first word stands.
 */
static inline enum votes_verdict
votes_cast(struct votes *v, const struct ballot *b)
{
	struct tally *before = (v->voted & b->bit) != 0 ? votes_of(v, b->bit) : NULL;
	if (before != NULL && b->rank <= before->rank) {
		bool conflicting = b->rank == before->rank && !tally_agrees(before, b);
		return conflicting ? VOTES_CONFLICTING : VOTES_REPEATED;
	}
	if (before != NULL)
		before->voters &= ~b->bit;
	v->voted |= b->bit;
	votes_add(v, b);
	return VOTES_TAKEN;
}

/*
 * Is it enough? "The client waits for 2f + 1 matching tentative replies. If it
 * receives this many, the request is guaranteed to commit eventually. Otherwise,
 * the client retransmits the request and waits for f + 1 non-tentative replies."
 * (OSDI'99, 5.1) The guarantee rests on a quorum that prepared it in the same
 * view, so only tentative votes of one view add up: one of an earlier view may
 * have been undone since. With final ones they do, for what has committed holds
 * in every view.
 */
static inline bool
votes_suffice(const struct votes *v, const struct ballot *b, const struct threshold *needed)
{
	uint64_t finals = 0;
	for (uint32_t i = 0; i < v->count; i++) {
		const struct tally *tally = votes_at(v, i);
		if (tally->rank >= RANK_FINAL && tally->voters != 0 && tally_agrees(tally, b))
			finals = tally->voters;
	}
	if (quorum_count(finals) >= needed->finals)
		return true;
	for (uint32_t i = 0; i < v->count; i++) {
		const struct tally *tally = votes_at(v, i);
		if (tally->rank < RANK_FINAL && tally->voters != 0 && tally_agrees(tally, b) &&
		    quorum_count(tally->voters | finals) >= needed->quorum)
			return true;
	}
	return false;
}

/* How many say that the result has this digest. */
static inline uint32_t
votes_support(const struct votes *v, const uint8_t *digest32)
{
	struct ballot b = {.digest32 = digest32};
	uint64_t voters = 0;
	for (uint32_t i = 0; i < v->count; i++) {
		const struct tally *tally = votes_at(v, i);
		if (tally_agrees(tally, &b))
			voters |= tally->voters;
	}
	return quorum_count(voters);
}

/* The most that say the same. */
static inline uint32_t
votes_most(const struct votes *v)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < v->count; i++) {
		uint32_t count = quorum_count(votes_at(v, i)->voters);
		most = count > most ? count : most;
	}
	return most;
}

#endif
