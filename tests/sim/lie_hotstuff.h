/* SPDX-License-Identifier: Apache-2.0 */
/* What liars know of HotStuff. See struct sim_lies. One thread. */
#ifndef OSKR_TESTS_SIM_LIE_HOTSTUFF_H
#define OSKR_TESTS_SIM_LIE_HOTSTUFF_H

#include "sim.h"

struct hotstuff_qc;

extern const struct sim_lies hotstuff_lies;

/* One of many lies about a certificate in a letter's body, chosen by `word`. */
void lie_hotstuff_qc(
    struct sim_node *node, struct lie_letter *letter, const struct hotstuff_qc *qc, uint64_t word);

/* Makes header and head of a PROPOSAL, BLOCK or TIMEOUT agree with its certificate. */
void lie_hotstuff_agree(struct lie_letter *letter);

#endif
