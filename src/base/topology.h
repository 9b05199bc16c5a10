/* topology.h - which processors to run on: those the process may use (affinity mask, cgroup quota),
 * one hardware thread a core. By hwloc. */
#ifndef VINCI_BASE_TOPOLOGY_H
#define VINCI_BASE_TOPOLOGY_H

#include "base/status.h"

/* Processor numbers as the system counts them, in the order in which threads should take them: the
 * first hardware thread of every core, node after node. */
struct cpu_set_list {
    unsigned *cpus; /* [n] */
    unsigned n;
};

/* `list` NULL: the cores that the process may use, at most as many as its cgroup's CPU quota gives.
 * Else exactly the processors of a list such as "0-15,32": each must exist and be allowed. */
enum vinci_status topology_cpus(struct cpu_set_list *out, const char *list,
                                struct vinci_error *err);
void topology_cpus_free(struct cpu_set_list *cpus);

/* What the processor is, for people. Cores and hardware threads are those that this process may
 * use, its cgroup's quota not counted. */
struct topology_summary {
    char name[96]; /* "" if the system does not know */
    unsigned n_cores, n_hardware_threads, n_nodes;
};
enum vinci_status topology_describe(struct topology_summary *out, struct vinci_error *err);

#endif
