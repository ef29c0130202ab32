/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What machine this is, as results must say, and what the process has taken of
 * it. Read from /proc and /sys at start and end, on the main lcore; not for hot
 * paths (machine_cpu_ns() is a system call).
 */
#ifndef OSKR_LCORE_MACHINE_H
#define OSKR_LCORE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* Texts are printable ASCII; "unknown" where the machine does not say. */
struct machine_facts {
	char cpu[128];	       /* the CPU's model name */
	char kernel[128];      /* as "Linux 6.1.0-18-amd64 x86_64" */
	char dpdk[64];	       /* as "DPDK 22.11.11" */
	char hypervisor[32];   /* its CPUID signature, as "KVMKVMKVM"; empty on bare metal */
	uint32_t cpus;	       /* online */
	uint32_t cpus_allowed; /* that this process may use */
	bool virtualised;
	bool tsc_invariant;	/* the counter's rate is constant: our times can be believed */
	uint64_t hugepage_size; /* bytes, of the default size; 0: none */
	uint64_t hugepages_total;
	uint64_t hugepages_free;
	uint64_t memory_size; /* bytes, of the whole machine */
};

void machine_read(struct machine_facts *facts);

/* CPU time of all threads of the process, in ns. */
uint64_t machine_cpu_ns(void);

/* Resident memory of the process in bytes (hugetlb pages are not in it); 0 if unknown. */
uint64_t machine_rss_size(void);

/* Bytes of private memory that the process has asked for, touched or not; 0 if unknown. */
uint64_t machine_data_size(void);

/* Bytes of hugetlb pages that the process has mapped; 0 if none or unknown. */
uint64_t machine_hugetlb_size(void);

#endif
