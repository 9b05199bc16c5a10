/* topology.c - processors from hwloc's view of the machine, bounded by the cgroup's CPU quota,
 * which hwloc does not read: a container with 4 CPUs of quota on a machine with 192 runs 4 threads.
 */
#include "base/topology.h"

#include "base/buf.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>

/* cgroup v2 has "max 100000" or "QUOTA PERIOD" in one file; v1 the two numbers in two. 0: no quota.
 */
static double cgroup_cpus(void)
{
    double quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file) {
        int n = fscanf(file, "%lf %lf", &quota, &period);
        fclose(file);
        return n == 2 && quota > 0 && period > 0 ? quota / period : 0;
    }
    static const char *const files[] = {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                                        "/sys/fs/cgroup/cpu/cpu.cfs_period_us"};
    double values[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        file = fopen(files[i], "re");
        if (!file) return 0;
        if (fscanf(file, "%lf", &values[i]) != 1) values[i] = 0;
        fclose(file);
    }
    return values[0] > 0 && values[1] > 0 ? values[0] / values[1] : 0;
}

static bool add_cpu(struct cpu_set_list *out, unsigned cpu)
{
    unsigned *cpus = realloc(out->cpus, (out->n + 1) * sizeof *cpus);
    if (!cpus) return false;
    cpus[out->n++] = cpu;
    out->cpus = cpus;
    return true;
}

/* One allowed hardware thread of every core, of as many as the cgroup's quota gives. */
static bool add_cores(struct cpu_set_list *out, hwloc_topology_t topology, bool by_quota)
{
    hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(topology);
    hwloc_cpuset_t bound = hwloc_bitmap_alloc();
    bool ok = bound != NULL;
    if (ok && hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) != 0)
        ok = hwloc_bitmap_copy(bound, allowed) == 0;
    if (ok) ok = hwloc_bitmap_and(bound, bound, allowed) == 0;
    int n_cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    for (int i = 0; ok && i < n_cores; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, (unsigned)i);
        for (int cpu = hwloc_bitmap_first(core->cpuset); cpu >= 0;
             cpu = hwloc_bitmap_next(core->cpuset, cpu)) {
            if (!hwloc_bitmap_isset(bound, (unsigned)cpu)) continue;
            ok = add_cpu(out, (unsigned)cpu);
            break;
        }
    }
    hwloc_bitmap_free(bound);
    double quota = by_quota ? cgroup_cpus() : 0;
    if (quota > 0 && quota < out->n) out->n = quota < 1 ? 1 : (unsigned)(quota + .5);
    return ok;
}

/* "0-15,32" and nothing else; hwloc's own parser takes more than that. */
static bool parse_list(const char *list, hwloc_bitmap_t out)
{
    for (;;) {
        char *end;
        if (*list < '0' || *list > '9') return false;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (*end == '-') {
            if (end[1] < '0' || end[1] > '9') return false;
            last = strtoul(end + 1, &end, 10);
        }
        if (last < first || last > 65535) return false;
        if (hwloc_bitmap_set_range(out, (unsigned)first, (int)last) != 0) return false;
        if (*end == '\0') return true;
        if (*end != ',') return false;
        list = end + 1;
    }
}

static enum vinci_status add_listed(struct cpu_set_list *out, hwloc_topology_t topology,
                                    const char *list, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    hwloc_bitmap_t wanted = hwloc_bitmap_alloc();
    if (!wanted) return fail_memory(err, 64, "the list of processors");
    if (!parse_list(list, wanted))
        status =
            fail(err, VINCI_USAGE, "processors: expected a list such as 0-15,32, got \"%s\"", list);
    hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(topology);
    for (int cpu = hwloc_bitmap_first(wanted); status == VINCI_OK && cpu >= 0;
         cpu = hwloc_bitmap_next(wanted, cpu)) {
        if (!hwloc_bitmap_isset(allowed, (unsigned)cpu))
            status = fail(err, VINCI_USAGE,
                          "processors: %d is not one that this process may use (%d in all)", cpu,
                          hwloc_bitmap_weight(allowed));
        else if (!add_cpu(out, (unsigned)cpu))
            status = fail_memory(err, 64, "the list of processors");
    }
    hwloc_bitmap_free(wanted);
    return status;
}

static enum vinci_status load(hwloc_topology_t *topology, struct vinci_error *err)
{
    if (hwloc_topology_init(topology) != 0) return fail_memory(err, 64, "the machine's topology");
    hwloc_topology_set_all_types_filter(*topology, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    hwloc_topology_set_type_filter(*topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(*topology, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(*topology) == 0) return VINCI_OK;
    hwloc_topology_destroy(*topology);
    return fail(err, VINCI_FAILED, "the machine's topology cannot be read");
}

static unsigned count_nodes(hwloc_topology_t topology, const struct cpu_set_list *cpus)
{
    hwloc_bitmap_t nodes = hwloc_bitmap_alloc();
    for (unsigned i = 0; nodes && i < cpus->n; i++) {
        hwloc_obj_t cpu = hwloc_get_pu_obj_by_os_index(topology, cpus->cpus[i]);
        if (cpu && cpu->nodeset) hwloc_bitmap_or(nodes, nodes, cpu->nodeset);
    }
    int n = nodes ? hwloc_bitmap_weight(nodes) : 0;
    hwloc_bitmap_free(nodes);
    return n > 0 ? (unsigned)n : 1;
}

enum vinci_status topology_cpus(struct cpu_set_list *out, const char *list, struct vinci_error *err)
{
    hwloc_topology_t topology = NULL;
    *out = (struct cpu_set_list){0};
    enum vinci_status status = load(&topology, err);
    if (status != VINCI_OK) return status;
    if (list) status = add_listed(out, topology, list, err);
    else if (!add_cores(out, topology, true))
        status = fail_memory(err, 64, "the list of processors");
    out->n_nodes = count_nodes(topology, out);
    hwloc_topology_destroy(topology);
    if (status == VINCI_OK && out->n == 0 && !add_cpu(out, 0))
        status = fail_memory(err, 64, "the list of processors");
    if (status != VINCI_OK) topology_cpus_free(out);
    return status;
}

void topology_cpus_free(struct cpu_set_list *cpus)
{
    free(cpus->cpus);
    *cpus = (struct cpu_set_list){0};
}

/* data NULL: what the thread touches. */
static void interleave(void *data, size_t n_bytes)
{
    hwloc_topology_t topology = NULL;
    struct vinci_error err;
    if (load(&topology, &err) != VINCI_OK) return;
    hwloc_bitmap_t cpus = hwloc_bitmap_alloc(), nodes = hwloc_bitmap_alloc();
    hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(topology);
    if (cpus && nodes) {
        if (hwloc_get_cpubind(topology, cpus, HWLOC_CPUBIND_PROCESS) != 0)
            hwloc_bitmap_copy(cpus, allowed);
        hwloc_cpuset_to_nodeset(topology, cpus, nodes);
        if (hwloc_bitmap_weight(nodes) > 1 && data)
            hwloc_set_area_membind(topology, data, n_bytes, nodes, HWLOC_MEMBIND_INTERLEAVE,
                                   HWLOC_MEMBIND_BYNODESET);
        else if (hwloc_bitmap_weight(nodes) > 1)
            hwloc_set_membind(topology, nodes, HWLOC_MEMBIND_INTERLEAVE,
                              HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
    }
    hwloc_bitmap_free(cpus);
    hwloc_bitmap_free(nodes);
    hwloc_topology_destroy(topology);
}

void topology_interleave(void *data, size_t n_bytes)
{
    if (data && n_bytes > 0) interleave(data, n_bytes);
}

void topology_interleave_thread(void)
{
    interleave(NULL, 0);
}

/* Processors that Linux names by numbers only: "CPU implementer" and "CPU part" of /proc/cpuinfo.
 */
static const struct {
    unsigned implementer, part;
    const char *name;
} arm_processors[] = {
    {0x48, 0xd01, "Kunpeng 920 (TaiShan v110)"},
    {0x48, 0xd02, "Kunpeng (TaiShan v120)"},
    {0x41, 0xd0c, "Neoverse N1"},
    {0x41, 0xd40, "Neoverse V1"},
    {0x41, 0xd49, "Neoverse N2"},
    {0x41, 0xd4f, "Neoverse V2"},
    {0x41, 0xd08, "Cortex-A72"},
    {0x70, 0x662, "Phytium FTC662"},
    {0x70, 0x663, "Phytium FTC663"},
};

static void arm_name(char *out, size_t size)
{
    char line[128];
    unsigned implementer = 0, part = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "CPU implementer : %x", &implementer) == 1) continue;
        if (sscanf(line, "CPU part : %x", &part) == 1) break;
    }
    fclose(file);
    for (size_t i = 0; i < sizeof arm_processors / sizeof *arm_processors; i++)
        if (arm_processors[i].implementer == implementer && arm_processors[i].part == part)
            snprintf(out, size, "%s", arm_processors[i].name);
    if (!*out && part) snprintf(out, size, "ARM processor 0x%02x/0x%03x", implementer, part);
}

enum vinci_status topology_describe(struct topology_summary *out, struct vinci_error *err)
{
    hwloc_topology_t topology = NULL;
    struct cpu_set_list cores = {0};
    *out = (struct topology_summary){0};
    enum vinci_status status = load(&topology, err);
    if (status != VINCI_OK) return status;
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    const char *name = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    if (name) snprintf(out->name, sizeof out->name, "%s", name);
    else arm_name(out->name, sizeof out->name);
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    if (!bound || !add_cores(&cores, topology, false)) {
        status = fail_memory(err, 64, "the machine's topology");
    } else {
        if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) != 0)
            hwloc_bitmap_copy(bound, hwloc_topology_get_allowed_cpuset(topology));
        out->n_hardware_threads = (unsigned)hwloc_bitmap_weight(bound);
        out->n_cores = cores.n;
        int n_nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
        out->n_nodes = n_nodes > 0 ? (unsigned)n_nodes : 1;
    }
    hwloc_bitmap_free(bound);
    topology_cpus_free(&cores);
    hwloc_topology_destroy(topology);
    return status;
}
