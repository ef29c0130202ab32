/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocols that the simulator runs: those of the registry, and the test
 * protocol. Constant; one thread.
 */
#ifndef OSKR_TESTS_SIM_SIM_MODES_H
#define OSKR_TESTS_SIM_SIM_MODES_H

#include "sim.h"

/* Protocol `index`; false past the end. */
bool sim_mode_at(uint32_t index, struct sim_protocol *protocol);

/* What the simulator tells the engine's parser of options. */
const struct options_program *sim_program(void);

/*
 * Resolves the engine's options from a command line of theirs (argv[0] is the
 * mode's program) and finds the protocol. False: one line in error->text.
 */
bool sim_options(struct sim_config *config, int argc, char **argv, struct config_error *error);

/* A configuration with every default, for `mode`, of f faults. */
bool sim_config_make(struct sim_config *config, const char *mode, uint32_t faults);

#endif
