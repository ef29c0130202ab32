/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures one by one, digests and MACs in bursts, on the main lcore alone. With
 * --beside the other lcores sign or verify, too, uncounted: CPUs that share a core's
 * units (SMT; a virtual machine does not tell) are slower then, by half and more.
 */
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ecdsa.h"
#include "crypto/multibuffer.h"
#include "lcore/signals.h"
#include "perf/bench.h"

enum {
	/* Different ones, and many: branches of 64 are learnt by heart (6 % faster, measured). */
	SIGNATURES_COUNT = 8192,
	ROUND_COUNT = 64, /* signatures between two looks at the clock */
	JOB_SIZE = 64,	  /* a message's header */
	BURST_MAX = 64,
	ERROR_SIZE = 256,
};

static const uint32_t bursts[] = {1, 4, 16, 64};

/* A scalar between 1 and the group's order; it guards nothing. */
static const uint8_t secret32[CRYPTO_SECRET_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};

struct signatures {
	struct ecdsa ecdsa;
	struct ecdsa_public key;
	uint32_t next;
	uint32_t (*round)(void *self); /* of an lcore beside the measured one */
	const atomic_bool *stop;
	uint8_t digests32[SIGNATURES_COUNT][32];
	uint8_t sigs64[SIGNATURES_COUNT][64];
};

struct jobs {
	struct multibuffer multibuffer;
	struct cmac_key cmac_key;
	struct hmac_key hmac_key;
	uint32_t burst;
	uint8_t data[BURST_MAX][JOB_SIZE];
	uint8_t out32[BURST_MAX][32];
	struct digest_job digests[BURST_MAX];
	struct mac_job macs[BURST_MAX];
	struct hmac_job hmacs[BURST_MAX];
};

/* Where the next round starts; SIGNATURES_COUNT is a multiple of ROUND_COUNT. */
static uint32_t
round_first(struct signatures *s)
{
	uint32_t first = s->next;
	s->next = (first + ROUND_COUNT) % SIGNATURES_COUNT;
	return first;
}

static uint32_t
sign_round(void *self)
{
	struct signatures *s = self;
	uint32_t first = round_first(s);
	for (uint32_t i = first; i < first + ROUND_COUNT; i++)
		ecdsa_sign(&s->ecdsa, s->digests32[i], s->sigs64[i]);
	return ROUND_COUNT;
}

static uint32_t
verify_round(void *self)
{
	struct signatures *s = self;
	uint32_t first = round_first(s);
	for (uint32_t i = first; i < first + ROUND_COUNT; i++) {
		bool good = ecdsa_verify(&s->ecdsa, &s->key, s->digests32[i], s->sigs64[i]);
		check(good);
	}
	return ROUND_COUNT;
}

/* Keys, digests and their signatures. 0, or a negative errno. */
static int
signatures_open(struct signatures *s)
{
	uint8_t public33[CRYPTO_PUBLIC_SIZE];
	int result = ecdsa_open(&s->ecdsa, secret32);
	if (result != 0)
		return result;
	ecdsa_own_public(&s->ecdsa, public33);
	bool parsed = ecdsa_parse(&s->ecdsa, public33, &s->key);
	check(parsed);
	for (uint32_t i = 0; i < SIGNATURES_COUNT; i++)
		memcpy(s->digests32[i], &i, sizeof(i));
	for (uint32_t i = 0; i < SIGNATURES_COUNT; i += ROUND_COUNT)
		sign_round(s);
	return 0;
}

static int
beside_run(void *self)
{
	struct signatures *s = self;
	while (!atomic_load_explicit(s->stop, memory_order_relaxed) && signals_received() == 0)
		s->round(s);
	return 0;
}

/* Opens `count` of them, the first for the main lcore, the others for those beside it. */
static int
all_open(struct signatures *list, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++) {
		int result = signatures_open(&list[i]);
		if (result == 0)
			continue;
		fprintf(stderr, "bench: %s: %s\n", name, strerror(-result));
		while (i-- > 0)
			ecdsa_close(&list[i].ecdsa);
		return -1;
	}
	return 0;
}

/* The time of the first one's rounds, in ns each, while the others run, too. */
static double
rounds_measure(const struct bench_settings *s, struct signatures *list, uint32_t count,
    uint32_t (*round)(void *self))
{
	atomic_bool stop = false;
	for (uint32_t i = 1; i < count; i++) {
		list[i].round = round;
		list[i].stop = &stop;
		int result = rte_eal_remote_launch(beside_run, &list[i], s->lcores.list[i].lcore);
		check(result == 0);
	}
	double ns = bench_ns_per_op(s, round, &list[0]);
	atomic_store(&stop, true);
	for (uint32_t i = 1; i < count; i++)
		rte_eal_wait_lcore(s->lcores.list[i].lcore);
	return ns;
}

static int
signatures_run(const struct bench_settings *s, const char *name, uint32_t (*round)(void *self))
{
	uint32_t count = s->beside ? s->lcores.count : 1;
	struct signatures *list = calloc(count, sizeof(*list));
	if (list == NULL || all_open(list, count, name) != 0) {
		free(list);
		return -1;
	}
	double ns = rounds_measure(s, list, count, round);
	for (uint32_t i = 0; i < count; i++)
		ecdsa_close(&list[i].ecdsa);
	free(list);
	if (signals_received() != 0)
		return -1; /* cut short: no result */
	bench_begin(name);
	bench_integer("lcores_busy", count);
	bench_rate(ns);
	bench_end();
	return 0;
}

int
bench_sign(const struct bench_settings *s)
{
	return signatures_run(s, "sign", sign_round);
}

int
bench_verify(const struct bench_settings *s)
{
	return signatures_run(s, "verify", verify_round);
}

static uint32_t
digest_round(void *self)
{
	struct jobs *j = self;
	multibuffer_digest(&j->multibuffer, j->digests, j->burst);
	return j->burst;
}

static uint32_t
cmac_round(void *self)
{
	struct jobs *j = self;
	multibuffer_mac(&j->multibuffer, j->macs, j->burst);
	return j->burst;
}

static uint32_t
hmac_round(void *self)
{
	struct jobs *j = self;
	multibuffer_hmac(&j->multibuffer, j->hmacs, j->burst);
	return j->burst;
}

static const struct {
	const char *name;
	uint32_t (*round)(void *self);
} kinds[] = {
    {"sha256", digest_round},
    {"aes-cmac", cmac_round},
    {"hmac-sha256", hmac_round},
};

static void
jobs_fill(struct jobs *j)
{
	static const uint8_t key32[32] = {9, 8, 7};
	multibuffer_cmac_key(&j->multibuffer, key32, &j->cmac_key);
	multibuffer_hmac_key(&j->multibuffer, key32, sizeof(key32), &j->hmac_key);
	for (uint32_t i = 0; i < BURST_MAX; i++) {
		memset(j->data[i], (int)i, JOB_SIZE);
		j->digests[i] = (struct digest_job){
		    .data = j->data[i], .size = JOB_SIZE, .digest32 = j->out32[i]};
		j->macs[i] = (struct mac_job){.data = j->data[i],
		    .key = &j->cmac_key,
		    .mac16 = j->out32[i],
		    .size = JOB_SIZE};
		j->hmacs[i] = (struct hmac_job){.data = j->data[i],
		    .key = &j->hmac_key,
		    .mac32 = j->out32[i],
		    .size = JOB_SIZE};
	}
}

int
bench_crypto(const struct bench_settings *s)
{
	static struct jobs jobs;
	const struct multibuffer_options options = {0};
	char error[ERROR_SIZE] = "";
	if (multibuffer_open(&jobs.multibuffer, &options, error) != 0) {
		fprintf(stderr, "bench: crypto: %s\n", error);
		return -1;
	}
	jobs_fill(&jobs);
	for (uint32_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (uint32_t i = 0; i < sizeof(bursts) / sizeof(bursts[0]); i++) {
			jobs.burst = bursts[i];
			double ns = bench_ns_per_op(s, kinds[k].round, &jobs);
			if (signals_received() != 0)
				break;
			bench_begin("crypto");
			bench_text("job", kinds[k].name);
			bench_integer("bytes", JOB_SIZE);
			bench_integer("burst", bursts[i]);
			bench_rate(ns);
			bench_end();
		}
	}
	multibuffer_close(&jobs.multibuffer);
	return 0;
}
