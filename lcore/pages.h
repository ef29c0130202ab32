/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large pages for what is not in hugetlbfs: the nodes' own memory, and DPDK's
 * where it does without hugepages. An operation touches a few lines each of
 * many tables; with 4 KiB pages most of them miss the TLB as well. The kernel's
 * transparent huge pages need no privilege and no reservation (Linux, Admin
 * Guide, "Transparent Hugepage Support"; madvise(2), MADV_COLLAPSE, since 6.1).
 */
#ifndef OSKR_LCORE_PAGES_H
#define OSKR_LCORE_PAGES_H

#include <stdint.h>

/*
 * Moves what is touched of the process's large writable mappings into 2 MiB
 * pages, and has the kernel give such pages where the rest is touched for the
 * first time. To be called when all memory is taken and nothing runs yet: some
 * milliseconds for 100 MiB. Returns the bytes moved; a kernel that does not
 * offer it moves none, and all works as before.
 */
uint64_t pages_enlarge(void);

#endif
