/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delta debugging (Zeller, Hildebrandt: Simplifying and isolating
 * failure-inducing input, TSE 2002) on the schedule of faults of a run that
 * fails: first on the faults as drawn, then on the single messages that they
 * struck, then on how long the rest last. One thread.
 */
#ifndef OSKR_TESTS_SIM_SHRINK_H
#define OSKR_TESTS_SIM_SHRINK_H

#include "sim.h"

/*
 * Makes `shortest` a schedule with which the run still fails, from which no
 * fault can be left out (as far as runs_max runs tell). Returns the runs made.
 * config->schedule is not used.
 */
uint32_t shrink(const struct sim_config *config, struct schedule *shortest, uint32_t runs_max);

#endif
