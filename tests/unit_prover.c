/* SPDX-License-Identifier: Apache-2.0 */
/* The real prover: the common stories, and what only real keys can show. */
#include "crypto/multibuffer.h"
#include "tests/prover_stories.h"

static const struct crypto_ops *
prover_ops(void)
{
	return &crypto_real;
}

static void
bad_point(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, &crypto_real);
	memset(f->publics[3] + 1, 0xff, 32);
	struct crypto_config config = fixture_config(f, 2);
	open_refused(&config, "public key of node 3");
	fixture_close(f);
}

/* Client nodes share no key: neither does a MAC under a key of zeroes pass for one. */
static void
no_link(void)
{
	static const struct cmac_key zero;
	const struct multibuffer_options fixed = {.fixed = true};
	struct multibuffer m;
	char error[256];
	struct fixture *f = &fixture;
	fixture_open(f, &crypto_real);
	CU_ASSERT_EQUAL_FATAL(multibuffer_open(&m, &fixed, error), 0);
	struct send *send = fixture_write(f, 0, PROOF_MAC, 0);
	uint8_t *mac16 = (uint8_t *)(send->header + 1);
	multibuffer_mac(&m, &(struct mac_job){send->header, &zero, mac16, 64}, 1);
	fixture_parse(f, 1);
	for (uint16_t node = 0; node < FIXTURE_NODES; node++) {
		CU_ASSERT_EQUAL(fixture_prove(f, 1, KEY_CLIENT, node), 0);
		CU_ASSERT_EQUAL(fixture_prove(f, 1, KEY_CLIENT + 3, node), 0);
	}
	multibuffer_close(&m);
	fixture_close(f);
}

/* Another cluster's links and trees carry nothing here, though the keys are the same. */
static void
other_cluster(void)
{
	char error[256];
	struct fixture *f = &fixture;
	fixture_open(f, &crypto_real);
	struct crypto_config config = fixture_config(f, 1);
	config.cluster++;
	struct crypto *other = crypto_real.open(&config, error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	fixture_write(f, 0, PROOF_MAC, 0);
	fixture_write(f, 1, PROOF_MERKLE, 0);
	fixture_write(f, 2, PROOF_SIGNATURE, 0);
	crypto_real.seal(other, f->sends, 3);
	fixture_parse(f, 3);
	/* The signature covers the header alone, whose cluster the decoder has checked. */
	CU_ASSERT_EQUAL(fixture_prove(f, 3, 1, 0), 1);
	CU_ASSERT(f->claims.holds[2]);
	crypto_real.close(other);
	fixture_close(f);
}

/* A root's signature is no message's, nor the other way round. */
static void
domains(void)
{
	struct fixture *f = &fixture;
	fixture_open(f, &crypto_real);
	fixture_write(f, 0, PROOF_MERKLE, 0);
	f->ops->seal(f->nodes[1], f->sends, 1);
	fixture_parse(f, 1);
	f->claims.count = 0;
	claims_add_message(&f->claims, &f->messages[0], 1, 0);
	claims_add_message(&f->claims, &f->messages[0], 1, 0);
	f->claims.list[1].kind = CLAIM_SIGNATURE;
	f->ops->prove(f->nodes[0], &f->claims);
	CU_ASSERT(f->claims.holds[0] && !f->claims.holds[1]);
	fixture_write(f, 0, PROOF_SIGNATURE, 0);
	f->ops->seal(f->nodes[1], f->sends, 1);
	fixture_parse(f, 1);
	f->claims.count = 0;
	static uint8_t proof[MERKLE_HEAD_SIZE];
	memcpy(proof, f->messages[0].proof, SIGNATURE_SIZE);
	claims_add_message(&f->claims, &f->messages[0], 1, 0);
	claims_add_message(&f->claims, &f->messages[0], 1, 0);
	f->claims.list[1].kind = CLAIM_MERKLE;
	f->claims.list[1].proof = proof;
	f->ops->prove(f->nodes[0], &f->claims);
	CU_ASSERT(f->claims.holds[0] && !f->claims.holds[1]);
	fixture_close(f);
}

/* ---- A team ------------------------------------------------------------------ */

static uint32_t shared_jobs;

/* Nothing may depend on the order in which jobs are done. */
static void
share_backwards(void *self, void (*job)(void *context, uint32_t i), void *context, uint32_t count)
{
	(void)self;
	shared_jobs += count;
	for (uint32_t i = count; i-- > 0;)
		job(context, i);
}

static struct crypto *
open_with_team(const struct fixture *f, uint16_t node)
{
	static const struct crypto_team team = {.share = share_backwards};
	char error[256];
	struct crypto_config config = fixture_config(f, node);
	config.team = &team;
	return crypto_real.open(&config, error);
}

/* What a team signs and verifies is what one lcore does alone, false ones among them. */
static void
team_agrees(void)
{
	enum { COUNT = 40 };
	struct fixture *f = &fixture;
	fixture_open(f, &crypto_real);
	struct crypto *signer = open_with_team(f, 1);
	struct crypto *verifier = open_with_team(f, 0);
	CU_ASSERT_FATAL(signer != NULL && verifier != NULL);
	for (uint32_t i = 0; i < COUNT; i++)
		fixture_write(f, i, i % 5 == 4 ? PROOF_MAC : PROOF_SIGNATURE, 11 + i);
	shared_jobs = 0;
	crypto_real.seal(signer, f->sends, COUNT);
	CU_ASSERT_EQUAL(shared_jobs, COUNT - COUNT / 5);
	fixture_parse(f, COUNT);
	/* Number 7 says what was not signed; 3 comes twice, in the same burst. */
	f->sends[7].header->seq++;
	f->messages[COUNT] = f->messages[3];
	uint32_t alone = fixture_prove(f, COUNT + 1, 1, 0);
	static bool holds[CLAIMS_MAX];
	memcpy(holds, f->claims.holds, f->claims.count * sizeof(holds[0]));
	shared_jobs = 0;
	crypto_real.prove(verifier, &f->claims);
	CU_ASSERT_EQUAL(shared_jobs, COUNT - COUNT / 5);
	CU_ASSERT_EQUAL(memcmp(holds, f->claims.holds, f->claims.count * sizeof(holds[0])), 0);
	CU_ASSERT_EQUAL(alone, f->claims.count - 1);
	/* What holds is known from now on, what does not is asked again. */
	shared_jobs = 0;
	crypto_real.prove(verifier, &f->claims);
	CU_ASSERT_EQUAL(shared_jobs, 0);
	CU_ASSERT_EQUAL(memcmp(holds, f->claims.holds, f->claims.count * sizeof(holds[0])), 0);
	crypto_real.close(signer);
	crypto_real.close(verifier);
	fixture_close(f);
}

static const struct unit_story stories[] = {
    PROVER_STORIES,
    {"a public key off the curve", bad_point},
    {"no link, no key", no_link},
    {"another cluster", other_cluster},
    {"roots and messages are told apart", domains},
    {"a team decides as one does", team_agrees},
};

UNIT_MAIN("prover", stories)
