/* SPDX-License-Identifier: Apache-2.0 */
/* A run as people read it: a line for each message and each turn of a fault. See sim.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "engine/segment.h"
#include "sim.h"

static void
time_print(const struct sim *sim, FILE *out)
{
	fprintf(
	    out, "%7" PRIu64 ".%06" PRIu64 " ms  ", sim->now_ns / 1000000, sim->now_ns % 1000000);
}

static void
node_print(const struct sim *sim, uint16_t node, FILE *out)
{
	if (node < sim->replicas_count)
		fprintf(out, "r%u", node);
	else if (node < sim->replicas_count + sim->clients_count)
		fprintf(out, "c%u", node - sim->replicas_count);
	else
		fprintf(out, "t%u", sim->nodes[node].identity);
}

static const char *
type_name(const struct sim *sim, uint8_t type)
{
	static const char *const names[] = {
	    [MESSAGE_REQUEST] = "REQUEST",
	    [MESSAGE_REPLY] = "REPLY",
	    [MESSAGE_SEGMENT] = "SEGMENT",
	    [MESSAGE_SEGMENT_NACK] = "SEGMENT-NACK",
	    [MESSAGE_REPLY_LOST] = "REPLY-LOST",
	    [MESSAGE_FETCH] = "FETCH",
	    [MESSAGE_BLOCKS] = "BLOCKS",
	};
	if (type < sizeof(names) / sizeof(names[0]) && names[type] != NULL)
		return names[type];
	if (sim->config->protocol.known->type_name != NULL)
		return sim->config->protocol.known->type_name(type);
	return NULL;
}

void
trace_message(
    struct sim *sim, uint16_t from, uint16_t to, const struct packet *packet, const char *verdict)
{
	FILE *out = sim->config->trace;
	const struct message_header *h = (const void *)packet->data;
	const char *name = type_name(sim, h->type);
	time_print(sim, out);
	node_print(sim, from, out);
	fprintf(out, " -> ");
	node_print(sim, to, out);
	if (name != NULL)
		fprintf(out, "  %-14s", name);
	else
		fprintf(out, "  type %-9u", h->type);
	fprintf(out, " view %" PRIu64 " seq %" PRIu64 " digest %02x%02x%02x%02x size %u  %s\n",
	    h->view, h->seq, h->digest[0], h->digest[1], h->digest[2], h->digest[3], packet->size,
	    verdict);
}

void
trace_note(struct sim *sim, const char *format, ...)
{
	va_list arguments;
	if (sim->config->trace == NULL)
		return;
	time_print(sim, sim->config->trace);
	fprintf(sim->config->trace, "-- ");
	va_start(arguments, format);
	vfprintf(sim->config->trace, format, arguments);
	va_end(arguments);
	fprintf(sim->config->trace, "\n");
}
