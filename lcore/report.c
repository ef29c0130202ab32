/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "lcore/report.h"

#include <stdio.h>
#include <string.h>

#include "lcore/counts.h"

static const double TAKEN_SHOWN = 0.05; /* of an lcore's time */

static void
busy_shares(struct report *r, const struct cluster *c)
{
	uint64_t busy[CONTROL_KINDS] = {0};
	uint64_t all[CONTROL_KINDS] = {0};
	for (uint32_t i = 0; i < c->lcores_count; i++) {
		const struct control_sample *a = &c->control.first;
		const struct control_sample *b = &c->control.last;
		uint64_t lcore_cycles = 0;
		for (int kind = 0; kind < CONTROL_KINDS; kind++) {
			lcore_cycles += b->busy_cycles[i][kind] - a->busy_cycles[i][kind] +
					b->idle_cycles[i][kind] - a->idle_cycles[i][kind];
		}
		uint64_t lcore_busy = 0;
		for (int kind = 0; kind < CONTROL_KINDS; kind++) {
			uint64_t cycles = b->busy_cycles[i][kind] - a->busy_cycles[i][kind];
			bool here = cycles + b->idle_cycles[i][kind] - a->idle_cycles[i][kind] > 0;
			busy[kind] += cycles;
			lcore_busy += cycles;
			all[kind] += here ? lcore_cycles : 0;
		}
		if (lcore_cycles > 0) {
			uint64_t taken = b->taken_cycles[i] - a->taken_cycles[i];
			r->lcore_busy[i] = (double)lcore_busy / (double)lcore_cycles;
			r->lcore_taken[i] = (double)taken / (double)lcore_cycles;
		}
	}
	for (int kind = 0; kind < CONTROL_KINDS; kind++)
		r->busy[kind] = all[kind] > 0 ? (double)busy[kind] / (double)all[kind] : 0;
}

/* Where lcores share CPUs, or others run there: how much that was. */
static void
taken_print(const struct report *r, const struct cluster *c, FILE *file)
{
	double most = 0;
	for (uint32_t i = 0; i < c->lcores_count; i++)
		most = r->lcore_taken[i] > most ? r->lcore_taken[i] : most;
	if (most < TAKEN_SHOWN)
		return;
	fprintf(file, "  interrupted amid their bursts, which is not in the above: lcores");
	for (uint32_t i = 0; i < c->lcores_count; i++)
		fprintf(file, "%s %.0f %%", i > 0 ? "," : "", 100 * r->lcore_taken[i]);
	fprintf(file, " of the time\n");
}

static void
proofs_add(struct report *r, const struct node *node)
{
	struct crypto_counters one;
	crypto_count(node->crypto, &one);
	r->proofs.signatures += one.signatures;
	r->proofs.verifications += one.verifications;
	r->proofs.sign_cycles += one.sign_cycles;
	r->proofs.verify_cycles += one.verify_cycles;
}

/* What signatures cost here: the measure of all that protocols make of them. */
static void
proofs_sum(struct report *r, const struct cluster *c)
{
	double cycles_per_us = (double)c->loops[0].clock->tsc_hz / 1e6;
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		const struct node *node = &c->nodes[i];
		proofs_add(r, node);
		for (uint32_t k = 0; k < node->pillars_count; k++)
			proofs_add(r, &node->pillars[k]);
	}
	if (r->proofs.signatures > 0)
		r->signature_us =
		    (double)r->proofs.sign_cycles / cycles_per_us / (double)r->proofs.signatures;
	if (r->proofs.verifications > 0)
		r->verification_us = (double)r->proofs.verify_cycles / cycles_per_us /
				     (double)r->proofs.verifications;
}

/* Votes past the quorum, answers past the last that a client needs, late duplicates. */
static bool
is_surplus(const struct count_row *row)
{
	return strcmp(row->name, shard_drop_name(SHARD_DROP_SCREEN)) == 0;
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
			*(is_surplus(&rows.list[j]) ? &r->surplus : &r->drops) +=
			    rows.list[j].value;
		/* A process of clients knows of views what its clients were told. */
		uint64_t view = s->config.machine->view(node_machine(node, 0));
		if (node->is_replica || c->process != NULL)
			r->view_changes = view > r->view_changes ? view : r->view_changes;
		if (node->is_replica)
			continue;
		r->retransmissions += s->config.machine->retransmissions(s->machines[0]);
		r->unanswered += node->client->slots_count - node->client->idle_count;
		histogram_merge(&r->latency, &node->client->latency);
	}
	r->errors = r->unanswered + r->totals.wrong + r->totals.lost + r->totals.refused;
	r->operations = r->totals.measured;
	if (r->seconds > 0)
		r->throughput = (double)r->operations / r->seconds;
	if (r->operations > 0) {
		uint64_t cpu_ns = control->last.cpu_ns - control->first.cpu_ns;
		r->cpu_us_per_op = (double)cpu_ns / 1e3 / (double)r->operations;
	}
	busy_shares(r, c);
	proofs_sum(r, c);
}

static double
us(uint64_t ns)
{
	return (double)ns / 1e3;
}

enum { TEXT_COLUMN = 14, LINE_COLUMNS = 96 };

/* Puts `text` at the end of the line, or on one of its own. */
static uint32_t
word_print(FILE *file, uint32_t column, const char *text, uint32_t size)
{
	if (column > TEXT_COLUMN && column + 2 + size > LINE_COLUMNS) {
		fprintf(file, ",\n%*s", TEXT_COLUMN, "");
		column = TEXT_COLUMN;
	}
	bool first = column == TEXT_COLUMN;
	fprintf(file, "%s%.*s", first ? "" : ", ", (int)size, text);
	return column + (first ? 0 : 2) + size;
}

static const struct figure *
figure_find(const struct figures *figures, const char *name)
{
	for (uint32_t i = 0; i < figures->count; i++) {
		if (strcmp(figures->list[i].name, name) == 0)
			return &figures->list[i];
	}
	return NULL;
}

/* "prepare 12.3 us" of prepare_ns, "view 3" of view, "answers fast 7 (70.0 %)"; how long it is. */
static int
figure_write(char *text, size_t size, const struct figures *figures, uint32_t index)
{
	const struct figure *f = &figures->list[index];
	double share = counts_share(figures, index);
	size_t name_size = strlen(f->name);
	if (name_size > 3 && strcmp(f->name + name_size - 3, "_ns") == 0) {
		return snprintf(text, size, "%.*s %.1f us", (int)name_size - 3, f->name,
		    (double)f->value / 1e3);
	}
	if (share >= 0)
		return snprintf(text, size, "%s %lu (%.1f %%)", f->name, f->value, 100 * share);
	return snprintf(text, size, "%s %lu", f->name, f->value);
}

/* What one half of the protocol shows of itself at all nodes that run it. */
static void
figures_gather(const struct cluster *c, bool of_replicas, struct figures *all)
{
	all->count = 0;
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		struct figures one;
		if (c->nodes[i].is_replica != of_replicas)
			continue;
		counts_protocol(&c->nodes[i], &one);
		counts_join(all, &one);
	}
}

static bool
figures_say_something(const struct figures *all)
{
	for (uint32_t i = 0; i < all->count; i++) {
		if (all->list[i].value > 0)
			return true;
	}
	return false;
}

/* Zeroes are left out, and names are as people read them. Returns the column. */
static uint32_t
figures_print(const char *title, const struct figures *all, FILE *file)
{
	char text[96];
	uint32_t column = (uint32_t)fprintf(file, "  %-*s", TEXT_COLUMN - 2, title);
	for (uint32_t i = 0; i < all->count; i++) {
		int size = figure_write(text, sizeof(text), all, i);
		for (char *at = text; *at != '\0'; at++)
			*at = *at == '_' ? ' ' : *at;
		if (all->list[i].value > 0)
			column = word_print(file, column, text, (uint32_t)size);
	}
	return column;
}

static void
clients_print(const struct cluster *c, FILE *file)
{
	struct figures all;
	figures_gather(c, false, &all);
	if (!figures_say_something(&all))
		return;
	figures_print("clients", &all, file);
	fputc('\n', file);
}

static void
protocol_print(const struct cluster *c, FILE *file)
{
	struct figures all;
	char text[96];
	figures_gather(c, true, &all);
	if (all.count == 0)
		return;
	uint32_t column = figures_print("protocol", &all, file);
	const struct figure *batches = figure_find(&all, "proposals");
	const struct figure *requests = figure_find(&all, "requests_proposed");
	if (batches != NULL && requests != NULL && batches->value > 0) {
		int size = snprintf(text, sizeof(text), "%.1f requests a batch",
		    (double)requests->value / (double)batches->value);
		word_print(file, column, text, (uint32_t)size);
	}
	fputc('\n', file);
}

/* What was done to the leader, and what became of the service. */
static void
crash_print(const struct report *r, const struct crash *k, FILE *file)
{
	const struct recovery *back = &k->recovery;
	uint64_t lost = r->unanswered + r->totals.wrong + r->totals.lost;
	if (k->state == CRASH_WAITING) {
		if (k->config.kill_ns > 0)
			fprintf(file, "  fault       none: the run ended before\n");
		return;
	}
	fprintf(file, "  fault       replica %u, primary of view %lu, killed after %.2f s\n",
	    k->victim, k->view_before, (double)(k->killed_ns - k->begin_ns) / 1e9);
	fprintf(file, "              no answer for %.1f ms; ",
	    (double)(k->gap.to_ns - k->gap.from_ns) / 1e6);
	if (!back->back)
		fprintf(
		    file, "not back at %d %% of %.0f ops/s", RECOVERY_PERCENT, back->rate_before);
	else if (!back->dipped)
		fprintf(
		    file, "never below %d %% of %.0f ops/s", RECOVERY_PERCENT, back->rate_before);
	else
		fprintf(file, "%d %% of %.0f ops/s again after %.0f ms", RECOVERY_PERCENT,
		    back->rate_before, (double)(back->back_ns - back->begin_ns) / 1e6);
	fprintf(file, "\n              view %lu in the end; %lu operations lost\n", k->view_after,
	    lost);
	if (k->restarted_ns == 0)
		return;
	fprintf(file, "              restarted without memory after %.2f s, ",
	    (double)(k->restarted_ns - k->begin_ns) / 1e9);
	if (k->caught_up_ns == 0)
		fprintf(file, "has NOT caught up with the others\n");
	else
		fprintf(file, "has caught up with the others %.1f ms later\n",
		    (double)(k->caught_up_ns - k->restarted_ns) / 1e6);
}

void
report_print(const struct report *r, const struct cluster *c, FILE *file)
{
	const struct options *o = r->options;
	const struct histogram *h = &r->latency;
	fprintf(file, "\n%s: ", o->mode->name);
	if (!options_mode_single(o->mode))
		fprintf(file, "n = %u, f = %u, ", o->replicas, o->faults);
	fprintf(file, "%u clients (%s), %u lcore%s\n", o->clients,
	    o->rate > 0 ? "open loop" : "closed loop", c->lcores_count,
	    c->lcores_count == 1 ? "" : "s");
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
	fprintf(file, "  CPU time    %.3f us per operation (%s)\n", r->cpu_us_per_op,
	    c->process == NULL ? "all replicas and clients" : "this process's");
	fprintf(file, "  busy        replicas %.0f %%, clients %.0f %% of their lcores; lcores",
	    100 * r->busy[CONTROL_REPLICAS], 100 * r->busy[CONTROL_CLIENTS]);
	for (uint32_t i = 0; i < c->lcores_count; i++)
		fprintf(file, "%s %.0f %%", i > 0 ? "," : "", 100 * r->lcore_busy[i]);
	fprintf(file, "\n");
	taken_print(r, c, file);
	if (r->proofs.signatures + r->proofs.verifications > 0)
		fprintf(file, "  signatures  %lu made, %.1f us each; %lu verified, %.1f us each\n",
		    r->proofs.signatures, r->signature_us, r->proofs.verifications,
		    r->verification_us);
	if (c->helpers != NULL && c->helpers_count == 0 && helpers_jobs(c->helpers) > 0)
		fprintf(file,
		    "  helpers     none set apart; %lu of these by idle lcores for others\n",
		    helpers_jobs(c->helpers));
	else if (c->helpers != NULL)
		fprintf(file,
		    "  helpers     %u lcore%s, %.0f %% busy; %lu signatures made or verified\n",
		    c->helpers_count, c->helpers_count == 1 ? "" : "s",
		    100 * r->busy[CONTROL_HELPERS], helpers_jobs(c->helpers));
	fprintf(file,
	    "  errors      %lu; retransmissions %lu; dropped on the way %lu, not needed %lu\n",
	    r->errors, r->retransmissions, r->drops, r->surplus);
	if (r->errors > 0) {
		fprintf(file,
		    "  of these    %lu wrong answers, %lu lost, %lu refused, rest unanswered\n",
		    r->totals.wrong, r->totals.lost, r->totals.refused);
	}
	protocol_print(c, file);
	clients_print(c, file);
	crash_print(r, &c->control.crash, file);
	if (c->control.interrupted)
		fprintf(file, "  interrupted: figures are of the time until then\n");
}

void
report_print_served(const struct cluster *c, FILE *file)
{
	const struct options *o = c->options;
	const struct node *node = &c->nodes[0];
	const struct shard *s = node_shard(node);
	const struct control_sample *a = &c->control.first;
	const struct control_sample *b = &c->control.last;
	uint64_t executed = node_replica(node)->executor.statistics.executed;
	double seconds = (double)(b->at_ns - a->at_ns) / 1e9;
	double cpu_us = executed > 0 ? (double)(b->cpu_ns - a->cpu_ns) / 1e3 / (double)executed : 0;
	struct count_rows rows;
	uint64_t drops = 0;
	check(node->is_replica);
	counts_drops(c, node, &rows);
	for (uint32_t i = 0; i < rows.count; i++)
		drops += rows.list[i].value;
	fprintf(file, "\n%s: replica %u of %u, f = %u, view %lu\n", o->mode->name, node->index,
	    o->replicas, o->faults, s->config.machine->view(node_machine(node, 0)));
	fprintf(file, "  served      %lu operations in %.2f s; CPU time %.3f us per operation\n",
	    executed, seconds, cpu_us);
	fprintf(file, "  dropped     %lu frames and messages\n", drops);
	for (uint32_t i = 0; i < rows.count; i++) {
		if (rows.list[i].value > 0)
			fprintf(file, "    %-22s %lu\n", rows.list[i].name, rows.list[i].value);
	}
	protocol_print(c, file);
}
