/* topology.h - which processors to run on: those the process may use (affinity mask, cgroup quota),
 * one hardware thread a core; and on machines of several memory nodes, where memory comes from. By
 * hwloc.
 *
 * What all threads read (keys and values, weights that come in from the disk) is dealt out over the
 * nodes page by page: the threads take whatever work is next, so no page has a thread of its own,
 * and in turn every node's memory gives its share. What one thread uses alone is left to be where
 * that thread touches it first. Files' pages that are in memory already stay where they are. */
#ifndef VINCI_BASE_TOPOLOGY_H
#define VINCI_BASE_TOPOLOGY_H

#include "base/status.h"

/* Processor numbers as the system counts them, in the order in which threads should take them: the
 * first hardware thread of every core, node after node. */
struct cpu_set_list {
    unsigned *cpus; /* [n] */
    unsigned n;
    unsigned n_nodes; /* memory nodes that they belong to, at least 1 */
};

/* `list` NULL: the cores that the process may use, at most as many as its cgroup's CPU quota gives.
 * Else exactly the processors of a list such as "0-15,32": each must exist and be allowed. */
enum vinci_status topology_cpus(struct cpu_set_list *out, const char *list,
                                struct vinci_error *err);
void topology_cpus_free(struct cpu_set_list *cpus);

/* Pages of [data, data + n_bytes) that are touched later come from all nodes in turn. A hint: what
 * the system refuses, and machines with one node, stay as they are. */
void topology_interleave(void *data, size_t n_bytes);

/* The same for whatever pages the calling thread touches first, a file's included. */
void topology_interleave_thread(void);

/* What the processor is, for people. Cores and hardware threads are those that this process may
 * use, its cgroup's quota not counted. */
struct topology_summary {
    char name[96]; /* "" if the system does not know */
    unsigned n_cores, n_hardware_threads, n_nodes;
};
enum vinci_status topology_describe(struct topology_summary *out, struct vinci_error *err);

#endif
