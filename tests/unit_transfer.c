/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories of state transfer: under loss, with liars, silent peers, crashes and
 * vanishing checkpoints, the asker ends where the others are.
 */
#include "tests/replica_fixture.h"

enum {
	ASKER = 3,
	VALUE_SIZE = 4096,
	PUTS_PER_BATCH = 8,
	TICKS_MAX = 100000, /* ten seconds: nothing may take longer */
};

/* Ticks between two batches of a fill(): how hard the load is. */
static uint32_t pause_ticks;

/* Fills `count` batches' worth of records in the replicas of the mask; seqs from *seq on. */
static void
fill(struct world *w, uint32_t mask, uint64_t *seq, uint32_t count, uint64_t salt)
{
	static uint8_t value[VALUE_SIZE];
	for (uint32_t i = 0; i < count; i++, ++*seq) {
		struct batch b = batch_new(PUTS_PER_BATCH * (VALUE_SIZE + 256));
		for (uint32_t k = 0; k < PUTS_PER_BATCH; k++) {
			char key[32];
			uint64_t seed = (salt << 32) + *seq * PUTS_PER_BATCH + k;
			/* Later loads write what is there anew. */
			unsigned long long name = salt == 1 ? *seq : *seq % 100;
			snprintf(key, sizeof(key), "%llu-%u", name, k);
			for (uint32_t at = 0; at < VALUE_SIZE; at += 8) {
				uint64_t word = toy_random(&seed);
				memcpy(value + at, &word, 8);
			}
			batch_add_kv(
			    &b, 1, *seq * PUTS_PER_BATCH + k, KV_PUT, key, value, VALUE_SIZE);
		}
		for (uint32_t node = 0; node < FIXTURE_REPLICAS; node++) {
			if (mask >> node & 1)
				say_batch(w, node, *seq, &b)->checkpoint = i + 1 == count;
		}
		for (uint32_t tick = 0; tick <= pause_ticks; tick++)
			world_tick(w);
		for (uint32_t node = 0; node < FIXTURE_REPLICAS; node++) {
			if (mask >> node & 1)
				CU_ASSERT_EQUAL_FATAL(fake_of(w, node, 0)->done, *seq);
		}
		free(b.data);
	}
	for (uint32_t node = 0; node < FIXTURE_REPLICAS; node++) {
		if (mask >> node & 1)
			say_seq(w, node, DELIVERY_STABLE, *seq - 1);
	}
	world_tick(w);
}

/* A world whose replicas hold `mib` MiB and more, but for the asker. */
static struct world *
filled_world(uint32_t mib, uint64_t *seq)
{
	struct world *w = world_new("kv");
	w->executor.app_options.memory_size = (uint64_t)(mib + mib / 2 + 2) << 20;
	w->executor.undo_count = 8192;
	w->envelope_size = 1472;
	world_open(w);
	*seq = 1;
	fill(w, 7, seq, mib * 1024 * 1024 / (PUTS_PER_BATCH * VALUE_SIZE) + 1, 1);
	return w;
}

static void
ask(struct world *w, uint64_t seq)
{
	struct delivery *d = say(w, ASKER, 0, DELIVERY_TRANSFER);
	d->seq = seq;
	memcpy(d->digest, digest_of_seq(w, 0, 0, seq), 32);
}

static struct transfer *
transfer_of(struct world *w, uint32_t node)
{
	return &w->nodes[node].replica.transfer;
}

/* Ticks until the asker has been told of `moves` moves; returns how many it took. */
static uint32_t
run_until_moved(struct world *w, uint32_t moves)
{
	uint32_t ticks = 0;
	while (fake_of(w, ASKER, 0)->moves_count < moves && ticks < TICKS_MAX) {
		world_tick(w);
		ticks++;
	}
	CU_ASSERT_FATAL(ticks < TICKS_MAX);
	return ticks;
}

/* The asker stands at seq - 1 and goes on as the others do. */
static void
goes_on(struct world *w, uint64_t *seq)
{
	const struct fake *f = fake_of(w, ASKER, 0);
	const struct moved *moved = &f->moves[(f->moves_count - 1) % FAKE_MOVES];
	CU_ASSERT(moved->done);
	CU_ASSERT_EQUAL(moved->seq, *seq - 1);
	fill(w, 1 | 1 << ASKER, seq, 1, 2);
	CU_ASSERT_EQUAL(
	    memcmp(digest_of_seq(w, 0, 0, *seq - 1), digest_of_seq(w, ASKER, 0, *seq - 1), 32), 0);
}

static void
large_state_comes_through_loss(void)
{
	uint64_t seq;
	struct world *w = filled_world(10, &seq);
	w->drop_percent = 20;
	ask(w, seq - 1);
	uint32_t ticks = run_until_moved(w, 1);
	const struct transfer_counters *c = &transfer_of(w, ASKER)->counters;
	CU_ASSERT(w->nodes[ASKER].replica.executor.state.statistics.blocks_installed >= 10240);
	CU_ASSERT(w->lost > 2000);
	CU_ASSERT_EQUAL(c->wrong, 0);
	CU_ASSERT_EQUAL(c->done, 1);
	/* Every peer had its part, and asking again cost no more than loss accounts for. */
	uint64_t served = 0;
	for (uint32_t i = 0; i < ASKER; i++) {
		CU_ASSERT(transfer_of(w, i)->counters.served > 2000);
		served += transfer_of(w, i)->counters.served;
	}
	CU_ASSERT(served < 20000);
	CU_ASSERT(ticks < 20000);
	CU_ASSERT_EQUAL(replica_deadline(&w->nodes[ASKER].replica), TIME_NEVER);
	w->drop_percent = 0;
	goes_on(w, &seq);
	world_delete(w);
}

/* Its pages are not what its tree says: all it serves of level 0 is wrong, and well sealed. */
static void
make_liar(struct world *w, uint32_t node)
{
	struct state *state = &w->nodes[node].replica.executor.state;
	for (uint64_t page = 0; page < state->blocks_count[0]; page++)
		state->base[page << STATE_PAGE_SHIFT] ^= 1;
}

static void
liar_is_left_out(void)
{
	uint64_t seq;
	struct world *w = filled_world(2, &seq);
	make_liar(w, 1);
	ask(w, seq - 1);
	uint32_t ticks = run_until_moved(w, 1);
	const struct transfer *t = transfer_of(w, ASKER);
	CU_ASSERT_EQUAL(t->counters.wrong, 1);
	CU_ASSERT_EQUAL(t->asks[1].strikes, 1);
	CU_ASSERT(t->asks[1].rest_ns > w->now_ns);
	CU_ASSERT_EQUAL(t->asks[0].strikes + t->asks[2].strikes, 0);
	CU_ASSERT(ticks < 2000);
	/* A new target is no pardon: it executes honestly, and lies again. */
	make_liar(w, 1);
	fill(w, 7, &seq, 2, 1);
	make_liar(w, 1);
	ask(w, seq - 1);
	run_until_moved(w, 2);
	CU_ASSERT_EQUAL(t->counters.wrong, 1);
	CU_ASSERT_EQUAL(t->counters.done, 2);
	goes_on(w, &seq);
	world_delete(w);
}

/* The first that is asked is silent: others are asked before patience with it ends. */
static void
slow_source_holds_nobody_up(void)
{
	uint64_t seq = 1;
	struct world *w = world_new("kv");
	world_open(w);
	fill(w, 7, &seq, 2, 1);
	w->nodes[0].silent = true;
	ask(w, seq - 1);
	uint32_t ticks = run_until_moved(w, 1);
	CU_ASSERT(ticks < transfer_of(w, ASKER)->timeout_ns_min / TICK_NS);
	CU_ASSERT(transfer_of(w, ASKER)->counters.hedges > 0);
	CU_ASSERT_EQUAL(transfer_of(w, ASKER)->counters.expired, 0);
	goes_on(w, &seq);
	world_delete(w);
}

/* With two liars of three, what the third has must do; each lie costs them more time. */
static void
one_honest_source_is_enough(void)
{
	uint64_t seq;
	struct world *w = filled_world(2, &seq);
	make_liar(w, 1);
	make_liar(w, 2);
	w->drop_percent = 10;
	ask(w, seq - 1);
	run_until_moved(w, 1);
	CU_ASSERT_EQUAL(transfer_of(w, ASKER)->asks[0].strikes, 0);
	CU_ASSERT(transfer_of(w, ASKER)->counters.wrong >= 2);
	w->drop_percent = 0;
	goes_on(w, &seq);
	world_delete(w);
}

static void
source_that_stops_is_replaced(void)
{
	uint64_t seq;
	struct world *w = filled_world(4, &seq);
	ask(w, seq - 1);
	while (w->nodes[ASKER].replica.executor.state.statistics.blocks_installed < 1000)
		world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, ASKER, 0)->moves_count, 0);
	w->nodes[1].silent = true;
	w->nodes[2].silent = true;
	run_until_moved(w, 1);
	CU_ASSERT(transfer_of(w, ASKER)->counters.expired > 0);
	CU_ASSERT(
	    transfer_of(w, ASKER)->asks[1].timeout_ns > transfer_of(w, ASKER)->timeout_ns_min);
	goes_on(w, &seq);
	world_delete(w);
}

static void
no_source_is_waited_for_and_used_when_it_is_back(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	for (uint32_t i = 0; i < ASKER; i++)
		w->nodes[i].silent = true;
	ask(w, seq - 1);
	for (uint32_t i = 0; i < 20000; i++) {
		world_tick(w);
		uint64_t at_ns = replica_deadline(&w->nodes[ASKER].replica);
		CU_ASSERT_FATAL(at_ns >= w->now_ns && at_ns < w->now_ns + 2000000000);
	}
	/* Two seconds, three peers: the pauses have grown. */
	CU_ASSERT(transfer_of(w, ASKER)->counters.fetches < 60);
	CU_ASSERT_EQUAL(fake_of(w, ASKER, 0)->moves_count, 0);
	/* The same target anew, while nothing else is left to ask for. */
	ask(w, seq - 1);
	world_tick(w);
	w->nodes[2].silent = false;
	run_until_moved(w, 1);
	goes_on(w, &seq);
	world_delete(w);
}

static void
crash_of_the_asker_costs_a_new_beginning(void)
{
	uint64_t seq;
	struct world *w = filled_world(4, &seq);
	w->drop_percent = 20;
	ask(w, seq - 1);
	while (w->nodes[ASKER].replica.executor.state.statistics.blocks_installed < 1500)
		world_tick(w);
	node_close(w, ASKER);
	node_open(w, ASKER);
	CU_ASSERT_EQUAL(executor_position(&w->nodes[ASKER].replica.executor), 0);
	ask(w, seq - 1);
	run_until_moved(w, 1);
	w->drop_percent = 0;
	goes_on(w, &seq);
	world_delete(w);
}

static void
checkpoint_that_is_gone_is_replaced_by_a_new_target(void)
{
	uint64_t seq;
	struct world *w = filled_world(4, &seq);
	uint64_t old = seq - 1;
	ask(w, old);
	while (w->nodes[ASKER].replica.executor.state.statistics.blocks_installed < 2000)
		world_tick(w);
	fill(w, 7, &seq, 2, 1);
	for (uint32_t i = 0; i < 1000; i++)
		world_tick(w);
	const struct transfer *t = transfer_of(w, ASKER);
	CU_ASSERT_EQUAL(fake_of(w, ASKER, 0)->moves_count, 0);
	/* Asked again every 50 ms, in case it comes: not all the time. */
	CU_ASSERT(t->counters.gone >= 3);
	CU_ASSERT(t->counters.gone <= 12);
	for (uint32_t i = 0; i < ASKER; i++)
		CU_ASSERT_EQUAL(t->asks[i].stable, seq - 1);
	uint64_t installed = w->nodes[ASKER].replica.executor.state.statistics.blocks_installed;
	ask(w, seq - 1);
	run_until_moved(w, 1);
	/* What was there stayed: the whole is some 4,300 blocks, and not twice fetched. */
	uint64_t more =
	    w->nodes[ASKER].replica.executor.state.statistics.blocks_installed - installed;
	CU_ASSERT(more < 3000);
	goes_on(w, &seq);
	world_delete(w);
}

/*
 * P21: the others execute and make checkpoints all the time, 32 MiB of new pages
 * a second; each new checkpoint is the target, and the one before is gone.
 */
static void
asker_catches_up_with_those_who_go_on(void)
{
	uint64_t seq;
	struct world *w = filled_world(4, &seq);
	w->drop_percent = 5;
	uint32_t targets = 0;
	pause_ticks = 9;
	while (fake_of(w, ASKER, 0)->moves_count == 0 && targets < 200) {
		ask(w, seq - 1);
		targets++;
		fill(w, 7, &seq, 20, 1 + targets);
	}
	pause_ticks = 0;
	CU_ASSERT(targets > 1);
	CU_ASSERT(targets < 100);
	const struct moved *moved = &fake_of(w, ASKER, 0)->moves[0];
	CU_ASSERT(moved->done);
	CU_ASSERT_EQUAL(moved->seq, seq - 21);
	/* What was served while the server executed is the checkpoint, not the present. */
	uint8_t root32[32];
	CU_ASSERT_FATAL(state_root(&w->nodes[ASKER].replica.executor.state, moved->seq, root32));
	CU_ASSERT_EQUAL(memcmp(root32, digest_of_seq(w, 0, 0, moved->seq), 32), 0);
	world_delete(w);
}

static void
equal_state_is_there_at_once(void)
{
	uint64_t seq = 1;
	struct world *w = world_new("kv");
	world_open(w);
	fill(w, 15, &seq, 3, 1);
	ask(w, seq - 1);
	CU_ASSERT(run_until_moved(w, 1) <= 2);
	CU_ASSERT_EQUAL(transfer_of(w, ASKER)->counters.fetches, 0);
	/* Who did not ask has to know what it is, too. */
	const struct fake *f = fake_of(w, ASKER, 0);
	CU_ASSERT_FATAL(f->moves_named);
	CU_ASSERT_EQUAL(memcmp(f->moves_digest32, digest_of_seq(w, 0, 0, seq - 1), 32), 0);
	goes_on(w, &seq);
	world_delete(w);
}

static void
what_is_delivered_meanwhile_is_forgotten(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	ask(w, seq - 1);
	say_batch(w, ASKER, 1, NULL);
	say_seq(w, ASKER, DELIVERY_ROLLBACK, 0);
	struct delivery *d = say(w, ASKER, 0, DELIVERY_RECALL);
	d->client = 1;
	d->timestamp = 8;
	world_tick(w);
	CU_ASSERT_EQUAL(w->nodes[ASKER].replica.counters.batches_forgotten, 1);
	CU_ASSERT_EQUAL(w->nodes[ASKER].replica.counters.recalls_dropped, 1);
	run_until_moved(w, 1);
	/* One move answers both. */
	for (uint32_t i = 0; i < 10; i++)
		world_tick(w);
	CU_ASSERT_EQUAL(fake_of(w, ASKER, 0)->moves_count, 1);
	goes_on(w, &seq);
	world_delete(w);
}

/* Exactly once, across a transfer: the table came with the state. */
static void
sessions_come_with_the_state(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	ask(w, seq - 1);
	run_until_moved(w, 1);
	struct batch b = batch_new(4096);
	batch_add_kv(&b, 1, (seq - 1) * PUTS_PER_BATCH + PUTS_PER_BATCH - 1, KV_APPEND, "again",
	    (const uint8_t *)"x", 1);
	say_batch(w, ASKER, seq, &b);
	world_tick(w);
	const struct fake *f = fake_of(w, ASKER, 0);
	CU_ASSERT_EQUAL_FATAL(f->results_count, 1);
	CU_ASSERT_EQUAL(f->results[0].flags, RESULT_DUPLICATE);
	free(b.data);
	world_delete(w);
}

/* 512-byte envelopes: a block travels in segments; signatures: many in one large message. */
static void
large_messages_carry_blocks(void)
{
	const uint8_t proofs[2] = {PROOF_VECTOR, PROOF_SIGNATURE};
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t seq = 1;
		struct world *w = world_new("kv");
		w->envelope_size = i == 0 ? ENVELOPE_SIZE_MIN : 1472;
		w->message_size_max = i == 0 ? 2048 : 20000;
		w->protocol.protocol_proof = proofs[i];
		world_open(w);
		CU_ASSERT(transfer_of(w, 0)->large);
		CU_ASSERT_EQUAL(transfer_of(w, 0)->blocks_per_message, i == 0 ? 1 : 16);
		fill(w, 7, &seq, 20, 1);
		w->drop_percent = 10;
		ask(w, seq - 1);
		run_until_moved(w, 1);
		w->drop_percent = 0;
		for (uint32_t tick = 0; tick < 20000; tick++)
			world_tick(w);
		goes_on(w, &seq);
		world_delete(w);
	}
}

/* One true block of the peer's, handed to the asker by itself. */
static void
hand_over(struct world *w, uint32_t peer, uint64_t now_ns, struct state_block block)
{
	struct {
		struct message_header header;
		struct blocks_head head;
		struct blocks_entry entry;
	} letter = {.head = {.blocks_count = 1}};
	struct transfer *t = transfer_of(w, ASKER);
	const struct transfer_ask *ask = &t->asks[peer];
	const uint8_t *bytes =
	    state_block_at(&w->nodes[peer].replica.executor.state, t->position, &block);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	letter.header = (struct message_header){.size = sizeof(letter),
	    .sender = (uint16_t)peer,
	    .type = MESSAGE_BLOCKS,
	    .view = ask->number,
	    .seq = t->position};
	letter.entry.block = block;
	memcpy(letter.entry.bytes, bytes, STATE_PAGE_SIZE);
	struct message m = {.header = &letter.header,
	    .body = (const uint8_t *)&letter.head,
	    .body_size = sizeof(letter.head) + sizeof(letter.entry)};
	transfer_step(t, now_ns, &m);
}

/* The first that it owes. */
static void
trickle(struct world *w, uint32_t peer, uint64_t now_ns)
{
	const struct transfer_ask *owes = &transfer_of(w, ASKER)->asks[peer];
	CU_ASSERT_NOT_EQUAL_FATAL(owes->waiting, 0);
	hand_over(w, peer, now_ns, owes->blocks[__builtin_ctz(owes->waiting)]);
}

/* A true block that it was not asked for changes nothing, and is no lie. */
static void
block_that_was_not_asked_for_is_ignored(void)
{
	uint64_t seq;
	struct world *w = filled_world(2, &seq);
	struct transfer *t = transfer_of(w, ASKER);
	const struct transfer_ask *owes = &t->asks[0];
	ask(w, seq - 1);
	while (owes->waiting != UINT32_MAX)
		world_tick(w);
	const struct state *state = &w->nodes[ASKER].replica.executor.state;
	uint64_t installed = state->statistics.blocks_installed;
	const struct state_block root = {.level = state->levels - 1, .index = 0};
	hand_over(w, 0, w->now_ns, root);
	/* Missing here, and asked of another. */
	CU_ASSERT_NOT_EQUAL_FATAL(t->asks[1].waiting, 0);
	hand_over(w, 0, w->now_ns, t->asks[1].blocks[__builtin_ctz(t->asks[1].waiting)]);
	CU_ASSERT_EQUAL(owes->waiting, UINT32_MAX);
	CU_ASSERT_FALSE(owes->useful);
	CU_ASSERT_EQUAL(owes->strikes, 0);
	CU_ASSERT_EQUAL(state->statistics.blocks_installed, installed);
	run_until_moved(w, 1);
	world_delete(w);
}

/* Each block comes just before patience ends; the fetch ends all the same. */
static void
trickling_peer_keeps_a_fetch_for_four_timeouts(void)
{
	uint64_t seq;
	struct world *w = filled_world(2, &seq);
	struct transfer *t = transfer_of(w, ASKER);
	const struct transfer_ask *owes = &t->asks[0];
	ask(w, seq - 1);
	while (__builtin_popcount(owes->waiting) < 8)
		world_tick(w);
	uint64_t now_ns = owes->sent_ns + 1000000;
	trickle(w, 0, now_ns);
	uint64_t timeout_ns = owes->timeout_ns;
	CU_ASSERT_EQUAL(timeout_ns, t->timeout_ns_min);
	/* One that comes no more is waited for no longer than once. */
	CU_ASSERT_EQUAL(owes->expiry_ns, now_ns + timeout_ns);
	uint64_t expired = t->counters.expired;
	for (uint32_t i = 0; i < 4; i++) {
		now_ns += timeout_ns * 9 / 10;
		transfer_expire(t, now_ns);
		CU_ASSERT_NOT_EQUAL_FATAL(owes->waiting, 0);
		trickle(w, 0, now_ns);
	}
	CU_ASSERT_EQUAL(owes->expiry_ns, owes->sent_ns + 4 * timeout_ns);
	transfer_expire(t, owes->sent_ns + 4 * timeout_ns);
	CU_ASSERT_EQUAL(owes->waiting, 0);
	CU_ASSERT(t->counters.expired > expired);
	world_delete(w);
}

/* It is asked again, but not at once, and later each time, up to a second. */
static void
silent_peer_is_left_out_for_a_while(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	const struct transfer *t = transfer_of(w, ASKER);
	for (uint32_t i = 0; i < ASKER; i++)
		w->nodes[i].silent = true;
	ask(w, seq - 1);
	uint64_t least_ns = 2 * t->timeout_ns_min;
	for (uint32_t round = 1; round <= 10; round++) {
		while (t->counters.expired < round * ASKER)
			world_tick(w);
		/* The last to expire did so in this tick. */
		uint64_t latest_ns = 0;
		for (uint32_t i = 0; i < ASKER; i++) {
			CU_ASSERT_EQUAL(t->asks[i].timeout_ns, least_ns);
			if (t->asks[i].rest_ns > latest_ns)
				latest_ns = t->asks[i].rest_ns;
		}
		CU_ASSERT_EQUAL(latest_ns, w->now_ns + least_ns);
		least_ns = least_ns < 500000000 ? 2 * least_ns : 1000000000;
	}
	world_delete(w);
}

/* A replica that asks without end gets its share and no more. */
static void
flood_of_fetches_is_served_at_a_bounded_rate(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	struct fixture *f = &w->crypto;
	for (uint32_t tick = 0; tick < 100; tick++) {
		for (uint32_t i = 0; i < 40; i++) {
			uint32_t size = TRANSFER_FETCH_MAX * sizeof(struct state_block);
			struct send *s = fixture_write(f, 0, PROOF_MAC, size);
			struct state_block *blocks = (struct state_block *)(void *)(s->header + 1);
			for (uint32_t k = 0; k < TRANSFER_FETCH_MAX; k++)
				blocks[k] = (struct state_block){.index = k};
			s->header->type = MESSAGE_FETCH;
			s->header->sender = 2;
			s->header->instance = MESSAGE_INSTANCE_NONE;
			s->header->seq = seq - 1;
			s->header->view = tick;
			s->to = 1;
			crypto_toy.seal(f->nodes[2], s, 1);
			world_post(w, 0, s->header);
		}
		world_tick(w);
	}
	const struct transfer_counters *c = &transfer_of(w, 0)->counters;
	CU_ASSERT_EQUAL(c->fetched, 4000);
	CU_ASSERT(c->displaced > 3000);
	CU_ASSERT(c->served >= 300);
	CU_ASSERT(c->served <= 11 * TRANSFER_PEER_BLOCKS_PER_MS);
	/* Meanwhile another one is served. */
	ask(w, seq - 1);
	run_until_moved(w, 1);
	world_delete(w);
}

/* A message to the asker, of which the story may spoil a field. */
static struct message
message_of(struct world *w, uint8_t type, uint32_t body_size)
{
	struct fixture *f = &w->crypto;
	struct send *s = fixture_write(f, 0, PROOF_MAC, body_size);
	memset(s->header + 1, 0, body_size);
	s->header->type = type;
	s->header->sender = 1;
	s->header->instance = MESSAGE_INSTANCE_NONE;
	s->header->view = transfer_of(w, ASKER)->asks[1].number;
	fixture_parse(f, 1);
	return f->messages[0];
}

static enum verdict
screened(struct world *w, const struct message *m)
{
	w->crypto.claims.count = 0;
	enum verdict verdict = transfer_screen(transfer_of(w, ASKER), m, &w->crypto.claims);
	CU_ASSERT(w->crypto.claims.count <= SHARD_OWNER_CLAIMS_MAX);
	return verdict;
}

static void
malformed_messages_are_dropped(void)
{
	struct world *w = world_new("echo");
	world_open(w);
	for (uint32_t size = 0; size < 300; size++) {
		struct message m = message_of(w, MESSAGE_FETCH, size);
		bool good = size > 0 && size <= 256 && size % 8 == 0;
		CU_ASSERT_EQUAL(screened(w, &m), good ? VERDICT_STEP : VERDICT_DROP);
		m = message_of(w, MESSAGE_BLOCKS, size);
		CU_ASSERT_EQUAL(screened(w, &m), size == 16 ? VERDICT_STEP : VERDICT_DROP);
	}
	struct message m = message_of(w, MESSAGE_BLOCKS, 16);
	struct blocks_head *head = (struct blocks_head *)(void *)(w->crypto.sends[0].header + 1);
	const struct blocks_head heads[] = {
	    {.blocks_count = 1}, {.blocks_count = UINT32_MAX}, {.flags = 4}};
	for (uint32_t i = 0; i < 3; i++) {
		*head = heads[i];
		CU_ASSERT_EQUAL(screened(w, &m), VERDICT_DROP);
	}
	const uint16_t senders[] = {ASKER, FIXTURE_REPLICAS, UINT16_MAX};
	for (uint32_t i = 0; i < 3; i++) {
		m = message_of(w, MESSAGE_FETCH, 8);
		w->crypto.sends[0].header->sender = senders[i];
		CU_ASSERT_EQUAL(screened(w, &m), VERDICT_DROP);
	}
	m = message_of(w, MESSAGE_FETCH, 8);
	w->crypto.sends[0].header->instance = 0;
	CU_ASSERT_EQUAL(screened(w, &m), VERDICT_DROP);
	m = message_of(w, MESSAGE_FETCH, 8);
	w->crypto.sends[0].header->proof = PROOF_NONE;
	CU_ASSERT_EQUAL(screened(w, &m), VERDICT_DROP);
	m = message_of(w, MESSAGE_BLOCKS, 16);
	w->crypto.sends[0].header->view++;
	CU_ASSERT_EQUAL(screened(w, &m), VERDICT_DROP);
	world_delete(w);
}

/* Blocks that do not exist and checkpoints that never were: answered, nothing else. */
static void
senseless_fetch_is_answered_with_nothing(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	struct transfer *t = transfer_of(w, 0);
	const uint64_t positions[2] = {seq - 1, UINT64_MAX};
	for (uint32_t i = 0; i < 2; i++) {
		struct message m = message_of(w, MESSAGE_FETCH, 8);
		struct state_block block = {.level = UINT32_MAX, .index = UINT32_MAX};
		memcpy((uint8_t *)(uintptr_t)m.body, &block, sizeof(block));
		w->crypto.sends[0].header->seq = positions[i];
		transfer_step(t, w->now_ns, &m);
		CU_ASSERT(transfer_busy(t));
		world_tick(w);
		CU_ASSERT(!transfer_busy(t));
	}
	CU_ASSERT_EQUAL(t->counters.served, 0);
	CU_ASSERT_EQUAL(t->counters.served_gone, 1);
	world_delete(w);
}

/* Same seed, same bytes: the count of every message is equal. */
static void
transfer_is_deterministic(void)
{
	uint64_t sums[2];
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t seq;
		struct world *w = filled_world(2, &seq);
		w->drop_percent = 25;
		ask(w, seq - 1);
		sums[i] = run_until_moved(w, 1);
		sums[i] = sums[i] * 100003 + transfer_of(w, ASKER)->counters.fetches;
		sums[i] = sums[i] * 100003 + w->lost;
		world_delete(w);
	}
	CU_ASSERT_EQUAL(sums[0], sums[1]);
}

/* A server that lacks envelopes goes on when it has some. */
static void
server_waits_for_envelopes(void)
{
	uint64_t seq;
	struct world *w = filled_world(1, &seq);
	for (uint32_t i = 0; i < ASKER; i++)
		w->nodes[i].envelopes = 0;
	ask(w, seq - 1);
	uint32_t ticks = 0;
	while (fake_of(w, ASKER, 0)->moves_count == 0 && ticks++ < TICKS_MAX) {
		w->nodes[0].envelopes = 3;
		world_tick(w);
	}
	CU_ASSERT(ticks < TICKS_MAX);
	for (uint32_t i = 0; i < ASKER; i++)
		w->nodes[i].envelopes = UINT32_MAX;
	goes_on(w, &seq);
	world_delete(w);
}

static const struct unit_story stories[] = {
    {"a large state comes through loss", large_state_comes_through_loss},
    {"a liar is left out", liar_is_left_out},
    {"a slow source holds nobody up", slow_source_holds_nobody_up},
    {"one honest source is enough", one_honest_source_is_enough},
    {"a source that stops is replaced", source_that_stops_is_replaced},
    {"no source is waited for, and used when back",
	no_source_is_waited_for_and_used_when_it_is_back},
    {"a crash of the asker costs a new beginning", crash_of_the_asker_costs_a_new_beginning},
    {"a checkpoint that is gone is replaced", checkpoint_that_is_gone_is_replaced_by_a_new_target},
    {"the asker catches up with those who go on", asker_catches_up_with_those_who_go_on},
    {"an equal state is there at once", equal_state_is_there_at_once},
    {"what is delivered meanwhile is forgotten", what_is_delivered_meanwhile_is_forgotten},
    {"sessions come with the state", sessions_come_with_the_state},
    {"large messages carry blocks", large_messages_carry_blocks},
    {"a block that was not asked for is ignored", block_that_was_not_asked_for_is_ignored},
    {"a trickling peer keeps a fetch for four timeouts",
	trickling_peer_keeps_a_fetch_for_four_timeouts},
    {"a silent peer is left out for a while", silent_peer_is_left_out_for_a_while},
    {"a flood of fetches is served at a bounded rate",
	flood_of_fetches_is_served_at_a_bounded_rate},
    {"malformed messages are dropped", malformed_messages_are_dropped},
    {"a senseless fetch is answered with nothing", senseless_fetch_is_answered_with_nothing},
    {"a transfer is deterministic", transfer_is_deterministic},
    {"a server waits for envelopes", server_waits_for_envelopes},
};

UNIT_MAIN("transfer", stories)
