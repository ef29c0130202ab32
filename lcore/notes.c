/* SPDX-License-Identifier: Apache-2.0 */
/* See notes.h. One lcore. */
#include "lcore/notes.h"

#include <rte_log.h>
#include <stdio.h>

#include "lcore/trace.h"

enum { TEXT_SIZE = 256 };

int
notes_log_type(void)
{
	return rte_log_register_type_and_pick_level("oskr.view", RTE_LOG_NOTICE);
}

void
notes_init(struct notes *n, const struct notes_config *config)
{
	*n = (struct notes){.config = *config};
}

bool
notes_allow(struct notes *n, uint64_t now_ns)
{
	if (now_ns - n->second_ns >= CLOCK_NS_PER_S) {
		n->second_ns = now_ns;
		n->second_count = 0;
	}
	if (n->second_count == NOTES_PER_SECOND_MAX) {
		n->left_out++;
		return false;
	}
	n->second_count++;
	n->written++;
	return true;
}

void
notes_write(struct notes *n, const struct note *note)
{
	uint64_t now_ns = clock_ns(n->config.clock, rte_rdtsc());
	uint64_t begin_ns = __atomic_load_n(n->config.begin_ns, __ATOMIC_RELAXED);
	char text[TEXT_SIZE];
	trace_note(n->config.who, n->config.number, note);
	if (!notes_allow(n, now_ns))
		return;
	snprintf(text, sizeof(text), note->text, note->values[0], note->values[1], note->values[2]);
	double ms = begin_ns == 0 || now_ns < begin_ns ? 0 : (double)(now_ns - begin_ns) / 1e6;
	rte_log(RTE_LOG_NOTICE, (uint32_t)n->config.log_type, "oskr: %.3f ms  %s %u: %s\n", ms,
	    n->config.who, n->config.number, text);
}
