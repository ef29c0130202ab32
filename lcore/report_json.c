/* SPDX-License-Identifier: Apache-2.0 */
/* The machine-readable half of report.h. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "lcore/counts.h"
#include "lcore/report.h"

static void
set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void
set_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, json_integer((json_int_t)number));
}

static void
set_real(json_t *object, const char *key, double number)
{
	json_object_set_new(object, key, json_real(number));
}

static void
set_bool(json_t *object, const char *key, bool truth)
{
	json_object_set_new(object, key, json_boolean(truth));
}

static void
configuration(json_t *object, const struct report *r, const struct cluster *c)
{
	const struct options *o = r->options;
	set_text(object, "protocol", o->mode->name);
	set_number(object, "n", o->replicas);
	set_number(object, "f", o->faults);
	set_number(object, "instances", o->instances);
	set_number(object, "leader_offset", o->leader_offset);
	set_number(object, "lcores", c->lcores_count);
	set_number(object, "helpers", c->helpers_count);
	set_number(object, "clients", o->clients);
	set_number(object, "rate", o->rate);
	set_number(object, "batch", o->batch);
	set_bool(object, "adaptive", o->adaptive);
	set_number(object, "window", o->window);
	set_text(object, "profile", profile_name(o->profile));
	set_text(object, "auth", auth_name(o->auth));
	set_text(object, "request_auth", auth_name(o->request_auth));
	set_text(object, "reply_auth", auth_name(o->reply_auth));
	set_text(object, "app", options_app_name(o->app));
	set_text(object, "workload", options_workload_name(o->workload));
	set_number(object, "request_size", o->request_size);
	set_number(object, "reply_size", o->reply_size);
	set_number(object, "mtu", o->mtu);
	set_number(object, "checkpoint_interval", o->checkpoint_interval);
	set_real(object, "view_timeout_ms", (double)o->view_timeout_ns / 1e6);
	set_bool(object, "watch_primary", o->watch_primary);
	set_bool(object, "stable_leader", o->stable_leader);
	set_bool(object, "wait_all", o->wait_all);
	set_bool(object, "tentative", o->tentative);
	set_bool(object, "read_only", o->reads);
	set_real(object, "drop", o->drop);
	set_number(object, "seed", o->seed);
	set_text(object, "eal", r->eal_line);
}

static void
figures(json_t *object, const struct report *r, const struct cluster *c)
{
	const struct histogram *h = &r->latency;
	set_real(object, "seconds", r->seconds);
	set_number(object, "operations", r->operations);
	set_real(object, "throughput", r->throughput);
	set_real(object, "p50_us", (double)histogram_percentile(h, 50) / 1e3);
	set_real(object, "p90_us", (double)histogram_percentile(h, 90) / 1e3);
	set_real(object, "p99_us", (double)histogram_percentile(h, 99) / 1e3);
	set_real(object, "p999_us", (double)histogram_percentile(h, 99.9) / 1e3);
	set_real(object, "max_us", (double)histogram_max(h) / 1e3);
	set_real(object, "min_us", (double)histogram_min(h) / 1e3);
	set_real(object, "mean_us", histogram_mean(h) / 1e3);
	set_number(object, "errors", r->errors);
	set_number(object, "wrong", r->totals.wrong);
	set_number(object, "refused", r->totals.refused);
	set_number(object, "lost", r->totals.lost);
	set_number(object, "retransmissions", r->retransmissions);
	set_number(object, "view_changes", r->view_changes);
	set_number(object, "dropped", r->drops);
	set_number(object, "surplus", r->surplus);
	set_real(object, "cpu_us_per_op", r->cpu_us_per_op);
	set_real(object, "signature_us", r->signature_us);
	set_real(object, "verification_us", r->verification_us);
	set_real(object, "client_busy", r->busy[CONTROL_CLIENTS]);
	set_real(object, "replica_busy", r->busy[CONTROL_REPLICAS]);
	set_real(object, "helper_busy", r->busy[CONTROL_HELPERS]);
	set_number(object, "helper_jobs", c->helpers == NULL ? 0 : helpers_jobs(c->helpers));
	json_t *lcores = json_array();
	for (uint32_t i = 0; i < c->lcores_count; i++)
		json_array_append_new(lcores, json_real(r->lcore_busy[i]));
	json_object_set_new(object, "lcores_busy", lcores);
	json_t *taken = json_array();
	for (uint32_t i = 0; i < c->lcores_count; i++)
		json_array_append_new(taken, json_real(r->lcore_taken[i]));
	json_object_set_new(object, "lcores_taken", taken);
	set_number(object, "loaded", r->totals.loaded);
	set_real(object, "load_seconds", (double)c->control.load_ns / 1e9);
	set_bool(object, "interrupted", c->control.interrupted);
	set_number(object, "rss_bytes", machine_rss_size());
	set_number(object, "hugetlb_bytes", machine_hugetlb_size());
}

#ifdef OSKR_PHASES

/* Microseconds of an lcore for an operation, all nodes of a side together, warming up included. */
static void
phases_add(json_t *object, const struct report *r, const struct cluster *c)
{
	static const char *const sides[PHASE_SIDES] = {"replicas", "clients"};
	json_t *phases = json_object();
	double cycles_per_us = (double)c->loops[0].clock->tsc_hz / 1e6;
	for (uint32_t side = 0; side < PHASE_SIDES; side++) {
		json_t *list = json_object();
		for (uint32_t i = 0; i < PHASES_COUNT; i++) {
			double cycles = 0;
			for (uint32_t j = 0; j < c->lcores_count; j++)
				cycles += (double)c->loops[j].phases.total[side][i];
			set_real(list, phase_name(i),
			    cycles / cycles_per_us / (double)(r->totals.completed + 1));
		}
		json_object_set_new(phases, sides[side], list);
	}
	json_object_set_new(object, "phases", phases);
}

#endif

static json_t *
machine_object(const struct report *r)
{
	json_t *object = json_object();
	const struct machine_facts *m = &r->machine;
	set_text(object, "cpu", m->cpu);
	set_number(object, "cpus", m->cpus);
	set_text(object, "kernel", m->kernel);
	set_text(object, "dpdk", m->dpdk);
	set_text(object, "hypervisor", m->hypervisor);
	set_bool(object, "tsc_invariant", m->tsc_invariant);
	set_number(object, "hugepages_total", m->hugepages_total);
	set_number(object, "memory_bytes", m->memory_size);
	return object;
}

/* "answers_fast_share" beside "answers_fast", of those that divide a whole. */
static void
set_share(json_t *object, const struct figures *figures, uint32_t index)
{
	char key[96];
	double share = counts_share(figures, index);
	if (share < 0)
		return;
	snprintf(key, sizeof(key), "%s_share", figures->list[index].name);
	set_real(object, key, share);
}

static json_t *
nodes_array(const struct cluster *c)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < c->nodes_count; i++) {
		const struct node *node = &c->nodes[i];
		struct count_rows rows;
		json_t *object = json_object();
		set_text(object, "role", node->is_replica ? "replica" : "client");
		set_number(object, "lcore", node->lcore);
		counts_all(c, node, &rows);
		for (uint32_t j = 0; j < rows.count; j++)
			set_number(object, rows.list[j].name, rows.list[j].value);
		struct figures shown;
		counts_protocol(node, &shown);
		json_t *protocol = json_object();
		for (uint32_t j = 0; j < shown.count; j++)
			set_number(protocol, shown.list[j].name, shown.list[j].value);
		for (uint32_t j = 0; j < shown.count; j++)
			set_share(protocol, &shown, j);
		if (shown.count > 0)
			json_object_set(object, "protocol", protocol);
		json_decref(protocol);
		json_array_append_new(array, object);
	}
	return array;
}

/* Times since the measured phase began. A time that never came is null. */
static void
set_time(json_t *object, const char *key, uint64_t at_ns, uint64_t from_ns, double unit_ns)
{
	json_t *value = at_ns == 0 ? json_null() : json_real((double)(at_ns - from_ns) / unit_ns);
	json_object_set_new(object, key, value);
}

static json_t *
crash_object(const struct report *r, const struct crash *k)
{
	json_t *object = json_object();
	const struct recovery *back = &k->recovery;
	set_number(object, "replica", k->victim);
	set_time(object, "killed_s", k->killed_ns, k->begin_ns, 1e9);
	set_real(object, "gap_ms", (double)(k->gap.to_ns - k->gap.from_ns) / 1e6);
	set_real(object, "throughput_before", back->rate_before);
	set_time(object, "recovered_ms", back->back ? back->back_ns : 0, k->killed_ns, 1e6);
	set_number(object, "operations_lost", r->unanswered + r->totals.wrong + r->totals.lost);
	set_number(object, "view_before", k->view_before);
	set_number(object, "view_after", k->view_after);
	set_time(object, "restarted_s", k->restarted_ns, k->begin_ns, 1e9);
	set_time(object, "caught_up_ms", k->caught_up_ns, k->restarted_ns, 1e6);
	set_bool(object, "caught_up", k->caught_up_ns != 0);
	return object;
}

int
report_write_json(const struct report *r, const struct cluster *c, const char *path)
{
	json_t *object = json_object();
	configuration(object, r, c);
	figures(object, r, c);
#ifdef OSKR_PHASES
	phases_add(object, r, c);
#endif
	if (c->control.crash.state != CRASH_WAITING)
		json_object_set_new(object, "crash", crash_object(r, &c->control.crash));
	json_object_set_new(object, "machine", machine_object(r));
	json_object_set_new(object, "nodes", nodes_array(c));
	errno = 0;
	int failed = json_dump_file(object, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(object);
	return failed == 0 ? 0 : errno != 0 ? -errno : -EIO;
}

int
report_write_hgrm(const struct report *r, const char *path)
{
	FILE *file = fopen(path, "w");
	if (file == NULL)
		return -errno;
	histogram_write_hgrm(&r->latency, file);
	int failed = ferror(file);
	if (fclose(file) != 0 || failed)
		return -EIO;
	return 0;
}
