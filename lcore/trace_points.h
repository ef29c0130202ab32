/* SPDX-License-Identifier: Apache-2.0 */
/* The trace points themselves, as rte_trace wants them; for lcore/trace*.c alone. */
#ifndef OSKR_LCORE_TRACE_POINTS_H
#define OSKR_LCORE_TRACE_POINTS_H

#include <rte_trace_point.h>

RTE_TRACE_POINT(oskr_trace_commit,
		RTE_TRACE_POINT_ARGS(uint16_t replica, uint64_t position, uint64_t batches),
		rte_trace_point_emit_u16(replica);
		rte_trace_point_emit_u64(position); rte_trace_point_emit_u64(batches);)

RTE_TRACE_POINT(oskr_trace_checkpoint, RTE_TRACE_POINT_ARGS(uint16_t replica, uint64_t stable),
		rte_trace_point_emit_u16(replica);
		rte_trace_point_emit_u64(stable);)

RTE_TRACE_POINT(oskr_trace_note,
		RTE_TRACE_POINT_ARGS(const char *who, uint16_t number, const char *text,
		    uint64_t value_0, uint64_t value_1, uint64_t value_2),
		rte_trace_point_emit_string(who);
		rte_trace_point_emit_u16(number); rte_trace_point_emit_string(text);
		rte_trace_point_emit_u64(value_0); rte_trace_point_emit_u64(value_1);
		rte_trace_point_emit_u64(value_2);)

#endif
