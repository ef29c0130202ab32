/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare bound of a cluster in one process: the main lcore asks, a second one
 * answers, over two single-producer single-consumer rings. Each side takes,
 * stamps and frees an mbuf of 100 bytes a message, in bursts of up to 32, and
 * does nothing else.
 */
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "engine/histogram.h"
#include "lcore/signals.h"
#include "perf/bench.h"

enum {
	BURST = 32,
	MESSAGE_SIZE = 100,
	RING_SIZE = 2 * BENCH_WINDOW_MAX,
	POOL_CACHE = 512,
	/* Both windows' worth, both lcores' caches (which fill to 1.5 of their size). */
	POOL_SIZE = 8191,
};
static_assert(2 * BENCH_WINDOW_MAX + 2 * POOL_CACHE * 3 / 2 + 2 * BURST <= POOL_SIZE,
    "the pool never runs dry");

static const uint32_t windows[] = {1, 16, 64, 512};

struct echo {
	struct rte_mempool *pool;
	struct rte_ring *requests;
	struct rte_ring *replies;
	bool yields; /* the lcores share a CPU */
	atomic_bool stop;
};

struct echo_result {
	double ns_per_op;
	double rtt_ns; /* median */
};

/* Takes `count` mbufs of MESSAGE_SIZE bytes. */
static void
messages_take(struct echo *e, struct rte_mbuf **list, uint32_t count)
{
	int result = rte_pktmbuf_alloc_bulk(e->pool, list, count);
	check(result == 0);
	for (uint32_t i = 0; i < count; i++) {
		list[i]->data_len = MESSAGE_SIZE;
		list[i]->pkt_len = MESSAGE_SIZE;
	}
}

static void
messages_send(struct rte_ring *ring, struct rte_mbuf **list, uint32_t count)
{
	uint32_t sent = rte_ring_sp_enqueue_bulk(ring, (void **)list, count, NULL);
	check(sent == count);
}

static uint64_t *
stamp(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, uint64_t *);
}

/* The lcore that answers: each reply carries its request's stamp. */
static int
server_run(void *self)
{
	struct echo *e = self;
	struct rte_mbuf *requests[BURST];
	struct rte_mbuf *replies[BURST];
	while (!atomic_load_explicit(&e->stop, memory_order_relaxed)) {
		uint32_t count =
		    rte_ring_sc_dequeue_burst(e->requests, (void **)requests, BURST, NULL);
		if (count == 0) {
			if (e->yields)
				sched_yield();
			continue;
		}
		messages_take(e, replies, count);
		for (uint32_t i = 0; i < count; i++)
			*stamp(replies[i]) = *stamp(requests[i]);
		rte_pktmbuf_free_bulk(requests, count);
		messages_send(e->replies, replies, count);
	}
	return 0;
}

/* Takes up to a burst of replies; the first one's round trip is a sample. */
static uint32_t
client_receive(struct echo *e, struct histogram *rtt, const struct clock *clock)
{
	struct rte_mbuf *list[BURST];
	uint32_t count = rte_ring_sc_dequeue_burst(e->replies, (void **)list, BURST, NULL);
	if (count == 0)
		return 0;
	histogram_record(rtt, clock_span_ns(clock, rte_rdtsc() - *stamp(list[0])));
	rte_pktmbuf_free_bulk(list, count);
	return count;
}

static void
client_send(struct echo *e, uint32_t count)
{
	struct rte_mbuf *list[BURST];
	messages_take(e, list, count);
	uint64_t now = rte_rdtsc();
	for (uint32_t i = 0; i < count; i++)
		*stamp(list[i]) = now;
	messages_send(e->requests, list, count);
}

/* One repeat: the window is full at the start and empty at the end. */
static double
client_repeat(
    struct echo *e, const struct bench_settings *s, uint32_t window, struct histogram *rtt)
{
	uint64_t done = 0;
	uint64_t start_tsc = rte_rdtsc();
	uint64_t cycles = (uint64_t)(s->seconds / s->repeats * (double)s->clock.tsc_hz);
	uint64_t last_tsc = start_tsc;
	for (uint32_t sent = 0; sent < window;) {
		uint32_t count = window - sent < BURST ? window - sent : BURST;
		client_send(e, count);
		sent += count;
	}
	for (uint32_t under_way = window; under_way > 0;) {
		uint32_t count = client_receive(e, rtt, &s->clock);
		if (count == 0) {
			if (e->yields)
				sched_yield();
			continue;
		}
		last_tsc = rte_rdtsc();
		done += count;
		if (last_tsc - start_tsc < cycles && signals_received() == 0)
			client_send(e, count);
		else
			under_way -= count;
	}
	return (double)clock_span_ns(&s->clock, last_tsc - start_tsc) / (double)done;
}

static struct echo_result
window_run(struct echo *e, const struct bench_settings *s, uint32_t window)
{
	static struct histogram rtt;
	double ns[BENCH_REPEATS_MAX];
	double rtts[BENCH_REPEATS_MAX];
	uint16_t worker = s->lcores.list[1].lcore;
	atomic_store(&e->stop, false);
	int result = rte_eal_remote_launch(server_run, e, worker);
	check(result == 0);
	for (uint32_t i = 0; i < s->repeats; i++) {
		histogram_init(&rtt);
		ns[i] = client_repeat(e, s, window, &rtt);
		rtts[i] = (double)histogram_percentile(&rtt, 50.0);
	}
	atomic_store(&e->stop, true);
	rte_eal_wait_lcore(worker);
	check(rte_ring_empty(e->requests) == 1);
	check(rte_ring_empty(e->replies) == 1);
	return (struct echo_result){
	    .ns_per_op = bench_median(ns, s->repeats),
	    .rtt_ns = bench_median(rtts, s->repeats),
	};
}

static bool
echo_open(struct echo *e)
{
	int socket = (int)rte_socket_id();
	unsigned int flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	e->pool = rte_pktmbuf_pool_create(
	    "bench", POOL_SIZE, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, socket);
	e->requests = rte_ring_create("bench_requests", RING_SIZE, socket, flags);
	e->replies = rte_ring_create("bench_replies", RING_SIZE, socket, flags);
	return e->pool != NULL && e->requests != NULL && e->replies != NULL;
}

static void
echo_close(struct echo *e)
{
	rte_ring_free(e->requests);
	rte_ring_free(e->replies);
	rte_mempool_free(e->pool);
}

int
bench_ring_echo(const struct bench_settings *s)
{
	struct echo e = {.yields = s->lcores.shared};
	if (s->lcores.count < 2) {
		fprintf(stderr, "bench: ring-echo needs two lcores: -l 0-1, or on one CPU "
				"--lcores '(0-1)@0'\n");
		return -1;
	}
	if (!echo_open(&e)) {
		fprintf(
		    stderr, "bench: no memory for rings and mbufs: %s\n", rte_strerror(rte_errno));
		echo_close(&e);
		return -1;
	}
	uint32_t count = s->window > 0 ? 1 : (uint32_t)(sizeof(windows) / sizeof(windows[0]));
	for (uint32_t i = 0; i < count && signals_received() == 0; i++) {
		uint32_t window = s->window > 0 ? s->window : windows[i];
		struct echo_result result = window_run(&e, s, window);
		if (signals_received() != 0)
			break; /* cut short: no result */
		bench_begin("ring-echo");
		bench_integer("window", window);
		bench_rate(result.ns_per_op);
		bench_decimal("rtt_ns", result.rtt_ns);
		bench_end();
	}
	echo_close(&e);
	return 0;
}
