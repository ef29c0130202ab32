/* SPDX-License-Identifier: Apache-2.0 */
/* See phases.h. */
#include "engine/phases.h"

#ifdef OSKR_PHASES
_Thread_local struct phases *phases_here;
#endif

const char *
phase_name(uint32_t phase)
{
	static const char *const names[PHASES_COUNT] = {
	    [PHASE_RECEIVE] = "receive",
	    [PHASE_PARSE] = "parse",
	    [PHASE_SCREEN] = "screen",
	    [PHASE_PROVE] = "prove",
	    [PHASE_STEP] = "step",
	    [PHASE_SEAL] = "seal",
	    [PHASE_SEND] = "send",
	    [PHASE_EXECUTE] = "execute",
	    [PHASE_CLIENT] = "client",
	};
	return phase < PHASES_COUNT ? names[phase] : NULL;
}
