/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a run is interrupted: the first SIGINT or SIGTERM asks for a clean end
 * with the summary, the second ends the process at once. SIGPIPE is ignored, so
 * that a reader who has gone shows as a write error. Process-wide state: opened
 * once on the main lcore; the flag may be read on any.
 */
#ifndef OSKR_LCORE_SIGNALS_H
#define OSKR_LCORE_SIGNALS_H

#include <stdatomic.h>

/*
 * Installs the handlers. The first signal also sets *stop, unless `stop` is
 * NULL; it must outlive the process's last signal. Call it after launch_eal():
 * a start that does not return is then ended by the first signal. Returns 0 or
 * a negative errno.
 */
int signals_open(atomic_bool *stop);

/* The signal that asked for the end, 0 while none has. */
int signals_received(void);

#endif
