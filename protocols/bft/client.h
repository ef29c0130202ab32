/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of protocols whose clients count matching replies (OSDI'99,
 * 4.1 and 5.1; TOCS'02, 5.1): f + 1, or q where replies are tentative or reads
 * are not ordered. Protocols differ only in whom they ask first. A protocol
 * makes its machine of it like this:
 *
 *     static void
 *     init(void *self, const struct protocol_config *config)
 *     {
 *             bft_client_init(self, config, &(struct bft_asking){.ahead = 2});
 *     }
 *
 *     const struct machine NAME_client = {BFT_CLIENT_MACHINE, .init = init};
 *
 * One machine, on one core.
 */
#ifndef OSKR_PROTOCOLS_BFT_CLIENT_H
#define OSKR_PROTOCOLS_BFT_CLIENT_H

#include "protocols/bft/bft.h"

/*
 * Whom a client asks first: bft_primary() of the view that it believes in plus
 * `ahead`. It believes in the highest that f + 1 replicas have told in replies,
 * which is struct member's `view`: any number that only grows and names, plus
 * `ahead`, who orders requests. (So with leaders that stay, it is not the view but
 * how often the leader changed.) Later all are asked.
 */
struct bft_asking {
	uint64_t ahead; /* views between a reply's and that whose leader takes new requests */
	bool everybody; /* all are asked from the first */
	uint32_t wary;	/* so many operations are, after one that had to be asked for again, ... */
	uint32_t wary_doublings;   /* ... once that has doubled the interval so often in a row */
	uint32_t tentative_needed; /* tentative replies that count as an answer; 0: q */
	uint32_t head_size;	   /* machine.reply_head_size of the replica's half */
	const struct client_path *path; /* another way to an answer (client_path.h), or NULL */
};

size_t bft_client_size(const struct protocol_config *config);
/* The same where bft_client_init() is given head_size or path. */
size_t bft_client_size_with(const struct protocol_config *config, const struct bft_asking *asking);
void bft_client_init(
    void *self, const struct protocol_config *config, const struct bft_asking *asking);
uint32_t bft_client_claims(const struct protocol_config *config);
enum verdict bft_client_screen(const void *self, const struct message *m, struct claims *claims);
void bft_client_step(void *self, const struct event *event, struct outbox *out);
uint64_t bft_client_deadline(const void *self);
void bft_client_audit(const void *self);
uint64_t bft_client_view(const void *self);
void bft_client_figures(const void *self, struct figures *figures);
uint64_t bft_client_retransmissions(const void *self);

/* All of a struct machine but `init`. */
/* clang-format off */
#define BFT_CLIENT_MACHINE                              \
	BFT_CLIENT_MACHINE_BUT_SIZE,                    \
	.size = bft_client_size

/* The same for a protocol that gives bft_asking a path. */
#define BFT_CLIENT_MACHINE_BUT_SIZE                     \
	.sends_per_step = 1,                            \
	.large_per_step = 1,                            \
	.completions_per_step = 1,                      \
	.claims_per_message = bft_client_claims,        \
	.screen = bft_client_screen,                    \
	.step = bft_client_step,                        \
	.deadline = bft_client_deadline,                \
	.audit = bft_client_audit,                      \
	.view = bft_client_view,                        \
	.figures = bft_client_figures,                  \
	.retransmissions = bft_client_retransmissions
/* clang-format on */

#endif
