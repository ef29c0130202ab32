/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workloads of the simulator: a mix of all key-value operations on few keys,
 * with values that nobody else writes, and a listener that stands before any
 * workload and tells the oracle what is asked and answered. One thread.
 */
#ifndef OSKR_TESTS_SIM_MIX_H
#define OSKR_TESTS_SIM_MIX_H

#include "oracle.h"

struct mix_config {
	uint64_t seed;
	uint16_t slot_first;
	uint32_t slots_count;
	uint32_t keys_count;
	uint32_t value_size_max; /* bytes */
	uint32_t result_size_max;
};

struct workload *mix_open(const struct mix_config *config);

/* Takes over `inner`. */
struct workload *listener_open(struct oracle *oracle, struct workload *inner);

#endif
