/* SPDX-License-Identifier: Apache-2.0 */
/* Registers the trace points: here their functions describe the fields, everywhere else they emit.
 */
#include <rte_trace_point_register.h>

#include "lcore/trace_points.h"

RTE_TRACE_POINT_REGISTER(oskr_trace_commit, oskr.replica.commit)
RTE_TRACE_POINT_REGISTER(oskr_trace_checkpoint, oskr.replica.checkpoint)
RTE_TRACE_POINT_REGISTER(oskr_trace_note, oskr.node.note)
