/* SPDX-License-Identifier: Apache-2.0 */
/* How replicas of Zyzzyva lie: see struct sim_lies. Stateless. */
#ifndef OSKR_TESTS_SIM_LIE_ZYZZYVA_H
#define OSKR_TESTS_SIM_LIE_ZYZZYVA_H

#include "sim.h"

extern const struct sim_lies zyzzyva_lies;

#endif
