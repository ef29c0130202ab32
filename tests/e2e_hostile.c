/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running cluster under attack: between each node and the switch sits an
 * attacker who sees the node's frames and sends, from its port and at full
 * rate, noise and mutants of what it saw. Honest clients must get right answers
 * all the while, the hostile frames must be counted, nothing may leak or grow,
 * and operations go on as before when it ends. On their way, requests lose MACs: those
 * of all replicas but the first, as if their client lied. Takes oskr-cluster's options
 * behind "--"; each tap runs on its node's lcore, the report on the main one.
 *
 *       1 s calm | 2 s attack | until it is as calm as before, 10 s at most
 *
 * How fast it is, is measured in operations a second of CPU time, in short
 * windows of which the median counts: other work on the machine takes our CPUs
 * away, and that must not decide.
 */
#include <rte_mempool.h>
#include <stdio.h>
#include <string.h>

#include "config/options.h"
#include "engine/random.h"
#include "engine/segment.h"
#include "lcore/buffer.h"
#include "lcore/cluster.h"
#include "lcore/counts.h"
#include "lcore/launch.h"
#include "lcore/machine.h"
#include "lcore/signals.h"
#include "protocols/registry.h"

enum {
	ERROR_SIZE = 256,
	FRAME_SIZE_MAX = 1600,
	KEPT_COUNT = 64, /* frames that each attacker remembers */
	SENT_PER_POLL = 16,
	SPOILT_EACH = 16, /* one of so many requests */
	POOL_COUNT = 16383,
	CALM_MS = 1000,
	ATTACK_MS = 2000,
	AFTER_MS_MAX = 10000,
	LOOK_MS = 2, /* asking for the CPU time is a system call */
	WINDOW_CPU_MS = 50,
	WINDOWS = 9,		/* the last ones: their median is the rate */
	RECOVERED_PERCENT = 50, /* of the rate before */
#ifdef BUFFER_POISON
	GROWTH_MAX = 256 << 20, /* the sanitizer's own */
#else
	GROWTH_MAX = 128 << 10, /* all is taken at start; pages of it are touched later */
#endif
};

static const uint64_t ns_per_ms = 1000000;

/* A frame that was seen. */
struct kept {
	uint32_t size;
	uint8_t bytes[FRAME_SIZE_MAX];
};

/* The attacker at one node. Its node's lcore owns it. */
struct tap {
	struct port_queue queue; /* the switch's */
	struct random random;
	uint64_t sent;
	uint64_t spoilt; /* requests */
	uint32_t seen_count;
	struct kept kept[KEPT_COUNT];
};

static struct tap taps[LIMIT_NODES];
static uint8_t macs[LIMIT_NODES][RTE_ETHER_ADDR_LEN];
static uint32_t macs_count;
static uint16_t replicas_count;
static bool vectors; /* requests have a MAC for each replica */
static struct rte_mempool *pool;
static struct clock time_base;
static atomic_bool attacking;
static struct cluster cluster;

/* What is going on, one after the other. */
enum watch_state { WATCH_START, WATCH_CALM, WATCH_ATTACK, WATCH_AFTER, WATCH_DONE };

/* The last few windows of CPU time. */
struct windows {
	uint32_t count; /* since it began */
	uint64_t cpu_ns;
	uint64_t completed;
	uint64_t rates[WINDOWS]; /* operations a second of CPU time */
};

static struct {
	enum watch_state state;
	uint64_t start_ns; /* of the state */
	struct windows windows;
	uint64_t before; /* the rate in the calm */
	uint64_t after;	 /* the best since the attack */
	uint64_t recovery_ns;
	uint64_t completed[2]; /* when the attack begins and ends */
	uint64_t data_size[2]; /* half-way through the attack, and at its end */
	uint64_t look_ns;      /* the next time that it does anything */
} watch;

/* Bytes 0, 0xff, a small number, one off, or anything. */
static void
corrupt(struct random *random, uint8_t *bytes, uint32_t size)
{
	if (size == 0)
		return;
	uint64_t at = random_below(random, size);
	switch (random_below(random, 5)) {
	case 0:
		bytes[at] = 0;
		break;
	case 1:
		bytes[at] = 0xff;
		break;
	case 2:
		bytes[at] ^= (uint8_t)(1u << random_below(random, 8));
		break;
	case 3:
		bytes[at]++;
		break;
	default:
		bytes[at] = (uint8_t)random_next(random);
		break;
	}
}

/* One field of the header forged, where the frame holds a whole one. */
static void
forge_header(struct random *random, struct message_header *header)
{
	uint64_t value =
	    random_below(random, 3) == 0 ? random_next(random) : random_below(random, 300);
	switch (random_below(random, 8)) {
	case 0:
		header->size = (uint32_t)value;
		break;
	case 1:
		header->instance = (uint16_t)value;
		break;
	case 2:
		header->sender = (uint16_t)value;
		break;
	case 3:
		header->type = (uint8_t)value;
		break;
	case 4:
		header->proof = (uint8_t)random_below(random, 32);
		break;
	case 5:
		header->view = value;
		break;
	case 6:
		header->seq = random_below(random, 2) == 0 ? header->seq + value : value;
		break;
	default:
		header->digest[value % sizeof(header->digest)] ^= 1;
		break;
	}
}

/* Segments and requests for segments with absurd offsets, totals, slices. */
static void
forge_segment(struct random *random, struct message_header *header)
{
	static const uint32_t absurd[] = {0, 1, 7, 8, 64, 448, 1396, 4096, 1 << 20,
	    (1 << 20) + 4096, 0x7fffffff, 0xfffffff8, 0xffffffff};
	enum { ABSURD_COUNT = sizeof(absurd) / sizeof(absurd[0]) };
	struct segment_fields fields;
	memcpy(&fields, header->digest, sizeof(fields));
	uint64_t which = random_below(random, 8);
	if (which & 1)
		fields.offset = absurd[random_below(random, ABSURD_COUNT)];
	if (which & 2)
		fields.total = absurd[random_below(random, ABSURD_COUNT)];
	if (which & 4)
		fields.slice = absurd[random_below(random, ABSURD_COUNT)];
	fields.from_client = (uint8_t)random_below(random, 3);
	memcpy(header->digest, &fields, sizeof(fields));
	header->type = (uint8_t)(MESSAGE_SEGMENT + random_below(random, 2));
	header->proof = PROOF_NONE;
	if (random_below(random, 2) == 0)
		header->seq = random_next(random);
}

static uint32_t
noise(struct random *random, uint8_t *bytes)
{
	uint32_t size = (uint32_t)random_below(random, FRAME_SIZE_MAX);
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)random_next(random);
	return size;
}

/* A frame that was seen, changed in one or more ways; or exactly as it was: a replay. */
static uint32_t
mutant(struct tap *t, uint8_t *bytes)
{
	struct random *random = &t->random;
	uint32_t kept_count = t->seen_count < KEPT_COUNT ? t->seen_count : KEPT_COUNT;
	const struct kept *kept = &t->kept[random_below(random, kept_count)];
	struct message_header header;
	memcpy(bytes, kept->bytes, kept->size);
	memcpy(&header, bytes + FRAME_HEADERS_SIZE, sizeof(header));
	switch (random_below(random, 6)) {
	case 0:
		return kept->size;
	case 1:
		return (uint32_t)random_below(random, kept->size + 1);
	case 2:
		corrupt(random, bytes, kept->size);
		return kept->size;
	case 3:
		corrupt(random, bytes + FRAME_HEADERS_SIZE, kept->size - FRAME_HEADERS_SIZE);
		return kept->size;
	case 4:
		forge_segment(random, &header);
		break;
	default:
		forge_header(random, &header);
		break;
	}
	memcpy(bytes + FRAME_HEADERS_SIZE, &header, sizeof(header));
	return kept->size;
}

/* One hostile frame, now and then in two mbufs or at an odd place. */
static struct rte_mbuf *
hostile(struct tap *t)
{
	uint8_t bytes[FRAME_SIZE_MAX];
	struct random *random = &t->random;
	struct rte_mbuf *m[2];
	if (buffer_alloc(pool, m, 2) != 2)
		return NULL;
	bool random_noise = t->seen_count == 0 || random_below(random, 8) == 0;
	uint32_t size = random_noise ? noise(random, bytes) : mutant(t, bytes);
	/* Most go to somebody: the receiver it had, or any node. */
	if (random_noise || random_below(random, 4) == 0)
		memcpy(bytes, macs[random_below(random, macs_count)], RTE_ETHER_ADDR_LEN);
	uint32_t odd = random_below(random, 4) == 0 ? (uint32_t)random_below(random, 8) : 0;
	for (uint32_t i = 0; i < 2; i++) {
		m[i]->data_off = (uint16_t)(FRAME_DATA_OFFSET + odd);
		m[i]->data_len = (uint16_t)size;
		m[i]->pkt_len = size;
		memcpy(rte_pktmbuf_mtod(m[i], void *), bytes, size);
	}
	if (random_below(random, 64) != 0 || rte_pktmbuf_chain(m[0], m[1]) != 0)
		buffer_free(&m[1], 1);
	return m[0];
}

static void
attack(struct tap *t)
{
	struct rte_mbuf *frames[SENT_PER_POLL];
	uint32_t count = 0;
	while (count < SENT_PER_POLL && (frames[count] = hostile(t)) != NULL)
		count++;
	t->sent += count;
	t->queue.tx_burst(t->queue.self, frames, count);
}

static uint32_t
tap_rx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct tap *t = self;
	if (atomic_load_explicit(&attacking, memory_order_relaxed))
		attack(t);
	return t->queue.rx_burst(t->queue.self, frames, count);
}

/* A request whose MACs hold for the first replica only, from an honest client. */
static void
macs_spoil(struct tap *t, struct rte_mbuf *m)
{
	struct message_header header;
	uint32_t others = (replicas_count - 1u) * (uint32_t)MAC_SIZE;
	if (!vectors ||
	    m->data_len < FRAME_HEADERS_SIZE + sizeof(header) + (size_t)MAC_SIZE + others)
		return;
	uint8_t *bytes = rte_pktmbuf_mtod_offset(m, uint8_t *, FRAME_HEADERS_SIZE);
	memcpy(&header, bytes, sizeof(header));
	if (header.type != MESSAGE_REQUEST || header.proof != PROOF_VECTOR ||
	    header.size + (uint32_t)FRAME_HEADERS_SIZE != m->data_len ||
	    random_below(&t->random, SPOILT_EACH) != 0)
		return;
	for (uint32_t at = header.size - others; at < header.size; at += (uint32_t)MAC_SIZE)
		bytes[at] ^= 1;
	t->spoilt++;
}

/* Remembers some of the node's frames, old ones among them, and lets all pass. */
static void
tap_tx(void *self, struct rte_mbuf **frames, uint32_t count)
{
	struct tap *t = self;
	bool spoils = atomic_load_explicit(&attacking, memory_order_relaxed);
	for (uint32_t i = 0; i < count && spoils; i++)
		macs_spoil(t, frames[i]);
	for (uint32_t i = 0; i < count; i++) {
		if (t->seen_count >= KEPT_COUNT && random_below(&t->random, 64) != 0)
			continue;
		const struct rte_mbuf *m = frames[i];
		struct kept *kept =
		    &t->kept[t->seen_count < KEPT_COUNT ? t->seen_count
							: random_below(&t->random, KEPT_COUNT)];
		check(m->data_len <= FRAME_SIZE_MAX);
		kept->size = m->data_len;
		memcpy(kept->bytes, rte_pktmbuf_mtod(m, const void *), m->data_len);
		t->seen_count++;
	}
	t->queue.tx_burst(t->queue.self, frames, count);
}

static struct port_queue
tap_open(void *unused, uint32_t node, struct port_queue queue)
{
	(void)unused;
	struct tap *t = &taps[node];
	t->queue = queue;
	random_init(&t->random, 1, node);
	macs_count = node + 1;
	return (struct port_queue){.self = t, .rx_burst = tap_rx, .tx_burst = tap_tx};
}

static uint64_t
completed(void)
{
	struct client_counters totals;
	control_totals(&cluster.control, &totals);
	return totals.completed;
}

static void
windows_begin(struct windows *w)
{
	*w = (struct windows){.cpu_ns = machine_cpu_ns(), .completed = completed()};
}

/* Ends the window where it is long enough. */
static void
windows_poll(struct windows *w)
{
	uint64_t cpu_ns = machine_cpu_ns();
	uint64_t span_ns = cpu_ns - w->cpu_ns;
	if (span_ns < WINDOW_CPU_MS * ns_per_ms)
		return;
	uint64_t now = completed();
	w->rates[w->count++ % WINDOWS] = (now - w->completed) * 1000 * ns_per_ms / span_ns;
	w->cpu_ns = cpu_ns;
	w->completed = now;
}

/* Of the last windows; 0 as long as there are too few. */
static uint64_t
windows_median(const struct windows *w)
{
	uint64_t sorted[WINDOWS];
	if (w->count < WINDOWS)
		return 0;
	for (uint32_t i = 0; i < WINDOWS; i++) {
		uint32_t at = i;
		for (; at > 0 && sorted[at - 1] > w->rates[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = w->rates[i];
	}
	return sorted[WINDOWS / 2];
}

static void
watch_enter(enum watch_state state, uint64_t now_ns)
{
	watch.state = state;
	watch.start_ns = now_ns;
	windows_begin(&watch.windows);
}

static void
watch_calm(uint64_t now_ns)
{
	windows_poll(&watch.windows);
	watch.before = windows_median(&watch.windows);
	if (now_ns < watch.start_ns + CALM_MS * ns_per_ms || watch.before == 0)
		return;
	watch.completed[0] = completed();
	atomic_store(&attacking, true);
	watch_enter(WATCH_ATTACK, now_ns);
}

static void
watch_attack(uint64_t now_ns)
{
	uint64_t end_ns = watch.start_ns + ATTACK_MS * ns_per_ms;
	if (watch.data_size[0] == 0 && now_ns >= end_ns - ATTACK_MS / 2 * ns_per_ms)
		watch.data_size[0] = machine_data_size();
	if (now_ns < end_ns)
		return;
	atomic_store(&attacking, false);
	watch.data_size[1] = machine_data_size();
	watch.completed[1] = completed();
	watch_enter(WATCH_AFTER, now_ns);
}

static bool
recovered(void)
{
	return watch.after * 100 >= watch.before * RECOVERED_PERCENT;
}

/* The run ends with the recovery, or with the deadline. */
static void
watch_after(uint64_t now_ns)
{
	windows_poll(&watch.windows);
	uint64_t median = windows_median(&watch.windows);
	watch.after = median > watch.after ? median : watch.after;
	watch.recovery_ns = now_ns - watch.start_ns;
	if (!recovered() && watch.recovery_ns < AFTER_MS_MAX * ns_per_ms)
		return;
	watch.state = WATCH_DONE;
	cluster.control.until_ns = now_ns;
}

/* Starts and ends the attack; the main lcore's. */
static uint32_t
watch_poll(void *unused, uint64_t now_ns)
{
	(void)unused;
	if (cluster.control.state != CONTROL_MEASURING || now_ns < watch.look_ns)
		return 0;
	watch.look_ns = now_ns + LOOK_MS * ns_per_ms;
	switch (watch.state) {
	case WATCH_START:
		watch_enter(WATCH_CALM, now_ns);
		break;
	case WATCH_CALM:
		watch_calm(now_ns);
		break;
	case WATCH_ATTACK:
		watch_attack(now_ns);
		break;
	case WATCH_AFTER:
		watch_after(now_ns);
		break;
	case WATCH_DONE:
		break;
	}
	return 0;
}

static int failures;

static void
expect(bool truth, const char *what, uint64_t value)
{
	printf("  %-4s  %s: %lu\n", truth ? "ok" : "FAIL", what, value);
	failures += !truth;
}

/* Frames and messages that nodes refused, whatever the reason. */
static uint64_t
drops_sum(void)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < cluster.nodes_count; i++) {
		struct count_rows rows;
		counts_drops(&cluster, &cluster.nodes[i], &rows);
		for (uint32_t j = 0; j < rows.count; j++) {
			sum += rows.list[j].value;
			if (rows.list[j].value > 0)
				printf("    node %u %-24s %lu\n", i, rows.list[j].name,
				    rows.list[j].value);
		}
	}
	return sum;
}

static void
judge(void)
{
	struct client_counters totals;
	uint64_t sent = 0;
	uint64_t spoilt = 0;
	uint64_t open = 0;
	control_totals(&cluster.control, &totals);
	for (uint32_t i = 0; i < cluster.nodes_count; i++) {
		sent += taps[i].sent;
		spoilt += taps[i].spoilt;
		if (!cluster.nodes[i].is_replica)
			open += cluster.nodes[i].client->slots_count -
				cluster.nodes[i].client->idle_count;
	}
	expect(watch.state == WATCH_DONE, "phases", watch.state);
	expect(sent > 10000, "hostile frames sent", sent);
	expect(!vectors || spoilt > 0, "requests that lost their MACs", spoilt);
	uint64_t drops = drops_sum();
	expect(drops > sent / 10, "drops counted", drops);
	expect(watch.before > 0, "operations a CPU second before", watch.before);
	expect(true, "operations under attack", watch.completed[1] - watch.completed[0]);
	expect(recovered(), "operations a CPU second after", watch.after);
	expect(true, "milliseconds until then", watch.recovery_ns / ns_per_ms);
	expect(totals.wrong == 0, "wrong answers", totals.wrong);
	expect(totals.lost == 0, "lost answers", totals.lost);
	expect(totals.refused == 0, "refused", totals.refused);
	expect(cluster.control.drained && open == 0, "unanswered in the end", open);
	uint64_t growth =
	    watch.data_size[1] > watch.data_size[0] ? watch.data_size[1] - watch.data_size[0] : 0;
	expect(watch.data_size[0] > 0 && growth <= GROWTH_MAX,
	    "bytes of growth in the second half of the attack", growth);
}

static bool
cluster_make(const struct options *options, const struct launch_lcores *lcores)
{
	char error[ERROR_SIZE];
	struct cluster_config config = {
	    .options = options,
	    .lcores = lcores,
	    .idle = lcores->shared ? LOOP_IDLE_YIELD : LOOP_IDLE_POLL,
	    .clock = &time_base,
	    .tap = tap_open,
	};
	while (strcmp(registry_at(config.protocol_index)->name, options->mode->name) != 0)
		config.protocol_index++;
	config.protocol = registry_at(config.protocol_index);
	pool = buffer_pool_create("hostile", POOL_COUNT, FRAME_SIZE_MAX);
	if (pool == NULL || !cluster_open(&cluster, &config, error)) {
		fprintf(stderr, "e2e_hostile: %s\n", pool == NULL ? "no memory" : error);
		return false;
	}
	return true;
}

/* Every node's address, as its neighbours' frames have it: drawn from what the taps saw. */
static void
run(void)
{
	for (uint32_t i = 0; i < cluster.nodes_count; i++)
		memcpy(macs[i], (uint8_t[]){2, 'o', 's', 'k', 0, (uint8_t)i}, sizeof(macs[i]));
	loop_add(&cluster.loops[0], watch_poll, NULL);
	cluster_run(&cluster);
	judge();
	cluster_close(&cluster);
	expect(cluster_buffers_missing(&cluster) == 0, "leaked packet buffers",
	    cluster_buffers_missing(&cluster));
	uint32_t missing = POOL_COUNT - rte_mempool_avail_count(pool);
	expect(missing == 0, "leaked hostile buffers", missing);
}

static bool
options_make(struct options *options, const struct launch_plan *plan)
{
	static struct options_mode modes[16];
	static struct options_program program = {
	    .name = "e2e_hostile",
	    .version = "0",
	    .summary = "Runs a cluster under attack.",
	    .program = PROGRAM_CLUSTER,
	    .modes = modes,
	};
	struct config_error error = {0};
	for (uint32_t i = 0; i < registry_count() && i < 16; i++) {
		const struct protocol *p = registry_at(i);
		modes[program.modes_count++] = (struct options_mode){
		    .name = p->name,
		    .alias = p->alias,
		    .replicas_per_fault = p->replicas_per_fault,
		    .replicas_base = p->replicas_base,
		    .replies_signed = (p->flags & PROTOCOL_REPLIES_SIGNED) != 0,
		    .speculative = (p->flags & PROTOCOL_SPECULATIVE) != 0,
		};
	}
	if (options_parse(options, &program, plan->argc, plan->argv, &error) == OPTIONS_RUN &&
	    options_resolve(options, &program, &error) == 0)
		return true;
	fprintf(stderr, "%s\n", error.text);
	return false;
}

int
main(int argc, char **argv)
{
	static struct launch_plan plan;
	static struct launch_machine machine;
	static struct launch_lcores lcores;
	static struct options options;
	struct launch_request request = {0};
	if (launch_split(&plan, argc, argv) != 0 || !options_make(&options, &plan))
		return EXIT_FAILURE;
	options.warm_ns = 0;
	replicas_count = (uint16_t)options.replicas;
	vectors = options.replicas > 1 && options.request_auth == AUTH_MAC;
	/* Far beyond what the watch allows: it is the watch that ends the run. */
	options.seconds_ns = 5 * (CALM_MS + ATTACK_MS + AFTER_MS_MAX) * ns_per_ms;
	options.quiet = true;
	launch_look(&machine);
	if (launch_choose(&plan, &machine, &request) != 0 || signals_open(NULL) != 0 ||
	    launch_eal(&plan) != 0 || launch_lcores(&lcores) != 0)
		return EXIT_FAILURE;
	clock_start(&time_base);
	if (!cluster_make(&options, &lcores))
		return EXIT_FAILURE;
	run();
	launch_end();
	printf("%d of the expectations failed\n", failures);
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
