/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "lcore/report.h"

#include <stdio.h>

#include "lcore/counts.h"

static void
busy_shares(struct report *r, const struct cluster *c)
{
	uint64_t busy[2] = {0, 0};
	uint64_t all[2] = {0, 0};
	for (uint32_t i = 0; i < c->lcores_count; i++) {
		const struct control_sample *a = &c->control.first;
		const struct control_sample *b = &c->control.last;
		uint64_t lcore_cycles = 0;
		for (int kind = 0; kind < 2; kind++) {
			lcore_cycles += b->busy_cycles[i][kind] - a->busy_cycles[i][kind] +
					b->idle_cycles[i][kind] - a->idle_cycles[i][kind];
		}
		for (int kind = 0; kind < 2; kind++) {
			uint64_t cycles = b->busy_cycles[i][kind] - a->busy_cycles[i][kind];
			bool here = cycles + b->idle_cycles[i][kind] - a->idle_cycles[i][kind] > 0;
			busy[kind] += cycles;
			all[kind] += here ? lcore_cycles : 0;
		}
	}
	r->replica_busy = all[0] > 0 ? (double)busy[0] / (double)all[0] : 0;
	r->client_busy = all[1] > 0 ? (double)busy[1] / (double)all[1] : 0;
}

void
report_make(struct report *r, const struct cluster *c, const char *eal_line)
{
	const struct control *control = &c->control;
	*r = (struct report){.options = c->options, .eal_line = eal_line};
	histogram_init(&r->latency);
	machine_read(&r->machine);
	control_totals(control, &r->totals);
	r->seconds = (double)(control->last.at_ns - control->first.at_ns) / 1e9;
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		const struct node *node = &c->nodes[i];
		const struct shard *s = node_shard(node);
		struct count_rows rows;
		counts_drops(c, node, &rows);
		for (uint32_t j = 0; j < rows.count; j++)
			r->drops += rows.list[j].value;
		if (node->is_replica) {
			uint64_t view = s->config.machine->view(s->machines[0]);
			r->view_changes = view > r->view_changes ? view : r->view_changes;
			continue;
		}
		r->retransmissions += s->config.machine->retransmissions(s->machines[0]);
		r->errors += node->client->slots_count - node->client->idle_count;
		histogram_merge(&r->latency, &node->client->latency);
	}
	r->errors += r->totals.wrong + r->totals.lost + r->totals.refused;
	r->operations = r->totals.measured;
	if (r->seconds > 0)
		r->throughput = (double)r->operations / r->seconds;
	if (r->operations > 0) {
		uint64_t cpu_ns = control->last.cpu_ns - control->first.cpu_ns;
		r->cpu_us_per_op = (double)cpu_ns / 1e3 / (double)r->operations;
	}
	busy_shares(r, c);
}

static double
us(uint64_t ns)
{
	return (double)ns / 1e3;
}

void
report_print(const struct report *r, const struct cluster *c, FILE *file)
{
	const struct options *o = r->options;
	const struct histogram *h = &r->latency;
	fprintf(file, "\n%s: n = %u, f = %u, %u clients (%s), %u lcore%s\n", o->mode->name,
	    o->replicas, o->faults, o->clients, o->rate > 0 ? "open loop" : "closed loop",
	    c->lcores_count, c->lcores_count == 1 ? "" : "s");
	fprintf(file, "  application %s, workload %s; requests %s, replies %s\n",
	    options_app_name(o->app), options_workload_name(o->workload),
	    auth_name(o->request_auth), auth_name(o->reply_auth));
	if (c->control.loaded > 0 || r->totals.loaded > 0)
		fprintf(file, "  loaded %lu records in %.2f s\n", r->totals.loaded,
		    (double)c->control.load_ns / 1e9);
	fprintf(file, "  throughput  %12.0f ops/s  (%lu operations in %.2f s)\n", r->throughput,
	    r->operations, r->seconds);
	fprintf(file,
	    "  latency     p50 %.2f us, p90 %.2f us, p99 %.2f us, p99.9 %.2f us, max %.2f us\n",
	    us(histogram_percentile(h, 50)), us(histogram_percentile(h, 90)),
	    us(histogram_percentile(h, 99)), us(histogram_percentile(h, 99.9)),
	    us(histogram_max(h)));
	fprintf(file, "  CPU time    %.3f us per operation (all replicas and clients)\n",
	    r->cpu_us_per_op);
	fprintf(file, "  busy        replicas %.0f %%, clients %.0f %% of their lcores\n",
	    100 * r->replica_busy, 100 * r->client_busy);
	fprintf(file, "  errors      %lu; retransmissions %lu; dropped on the way %lu\n", r->errors,
	    r->retransmissions, r->drops);
	if (r->errors > 0) {
		fprintf(file,
		    "  of these    %lu wrong answers, %lu lost, %lu refused, rest unanswered\n",
		    r->totals.wrong, r->totals.lost, r->totals.refused);
	}
	if (c->control.interrupted)
		fprintf(file, "  interrupted: figures are of the time until then\n");
}
