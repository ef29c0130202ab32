/* SPDX-License-Identifier: Apache-2.0 */
/* What machine the other lines were measured on. Main lcore. */
#include "lcore/machine.h"
#include "perf/bench.h"

int
bench_machine(const struct bench_settings *s)
{
	static struct machine_facts facts;
	machine_read(&facts);
	bench_begin("machine");
	bench_text("cpu", facts.cpu);
	bench_integer("cpus", facts.cpus);
	bench_integer("lcores", s->lcores.count);
	bench_integer("lcores_share_cpus", s->lcores.shared);
	bench_text("kernel", facts.kernel);
	bench_text("dpdk", facts.dpdk);
	bench_integer("virtualised", facts.virtualised);
	bench_text("hypervisor", facts.hypervisor);
	bench_integer("tsc_invariant", facts.tsc_invariant);
	bench_integer("tsc_hz", s->clock.tsc_hz);
	bench_integer("memory_bytes", facts.memory_size);
	bench_integer("hugepages_total", facts.hugepages_total);
	bench_integer("hugepages_free", facts.hugepages_free);
	bench_integer("hugetlb_bytes", machine_hugetlb_size());
	bench_end();
	return 0;
}
