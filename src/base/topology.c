/* topology.c - packages, cores, hardware threads, last-level caches and NUMA nodes, out of sysfs.
 *
 * DESIGN
 *
 * The kernel's numbers have gaps and are unique only within a package, so everything but CPU and
 * node numbers is renumbered from 0: the online CPUs are walked upwards, and the first CPU of a
 * group (core, package, cache) gives the group the next number. A group is known by its lowest
 * online CPU, which the kernel's lists name for cores and caches.
 *
 * Containers may hide any file. What is missing gives -1, but a core: a CPU without a list of
 * siblings is a core of its own.
 *
 * INVARIANTS
 *
 *   I1  for an online CPU core >= 0 and smt_index >= 0; for another CPU every field is -1
 *   I2  core, package and l3 numbers run from 0 to their count - 1
 *   I3  two CPUs with one core have different smt_index
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/thread.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/sysfs.h"

enum { CACHE_INDEX_MAX = 10, CACHE_LEVEL_SHARED_MIN = 2 };

/* Reads a list of CPUs, or nodes, from a file. DX_ENOTFOUND when the file is not there. */
DX_PRINTF(4, 5)
static int read_list(const char *root, dx_cpu_set_t *set_out, dx_error_t *error,
                     const char *path_format, ...)
{
    char path[128];
    char text[DX_CPU_SET_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, path_format);
    (void)vsnprintf(path, sizeof(path), path_format, arguments);
    va_end(arguments);
    *set_out = (dx_cpu_set_t){0};
    int rc = dxi_sysfs_read(root, text, sizeof(text), "%s", path);
    if (rc == DX_ELIMIT) {
        return dxi_fail(error, rc, "%s/%s has more than %zu bytes", root, path, sizeof(text) - 2);
    }
    if (rc != DX_OK) {
        return rc;
    }
    rc = dx_cpu_set_parse(text, set_out, error);
    if (rc != DX_OK) {
        (void)dxi_fail_context(error, "%s/%s", root, path);
    }
    return rc;
}

/* Makes "the file is missing" no failure: the set is empty then. */
static int missing_is_fine(int code)
{
    return code == DX_ENOTFOUND ? DX_OK : code;
}

static int read_online(dx_topology_t *t, const char *root, dx_error_t *error)
{
    int rc = dx_cpu_allowed(&t->allowed, error);
    if (rc != DX_OK) {
        return rc;
    }
    rc = missing_is_fine(read_list(root, &t->online, error, "devices/system/cpu/online"));
    if (rc != DX_OK) {
        return rc;
    }
    if (dx_cpu_set_count(&t->online) == 0) {
        t->online = t->allowed; /* sysfs is hidden: what we may run on is certainly there */
    }
    t->cpu_count = dx_cpu_set_count(&t->online);
    return DX_OK;
}

/* Core and smt_index of one CPU. Those of lower CPUs are set already. */
static int read_core(dx_topology_t *t, const char *root, uint32_t cpu, dx_error_t *error)
{
    dx_cpu_set_t siblings;
    int rc = missing_is_fine(read_list(
        root, &siblings, error, "devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu));
    if (rc != DX_OK) {
        return rc;
    }
    dx_cpu_info_t *const info = &t->cpus[cpu];
    info->smt_index = 0;
    for (int32_t c = dx_cpu_set_next(&siblings, 0); c >= 0 && (uint32_t)c < cpu;
         c = dx_cpu_set_next(&siblings, (uint32_t)c + 1)) {
        if (t->cpus[c].core >= 0) {
            info->core = t->cpus[c].core;
            info->smt_index++;
        }
    }
    if (info->core < 0) {
        info->core = (int32_t)t->core_count++;
    }
    return DX_OK;
}

/* Package of one CPU. `kernel_numbers[cpu]` keeps what the kernel calls it. */
static void read_package(dx_topology_t *t, const char *root, uint32_t cpu, int32_t *kernel_numbers)
{
    char text[32];
    (void)dxi_sysfs_read(root, text, sizeof(text),
                         "devices/system/cpu/cpu%u/topology/physical_package_id", cpu);
    kernel_numbers[cpu] = dxi_sysfs_number(text, -1);
    if (kernel_numbers[cpu] < 0) {
        return;
    }
    for (uint32_t c = 0; c < cpu; c++) {
        if (kernel_numbers[c] == kernel_numbers[cpu] && t->cpus[c].package >= 0) {
            t->cpus[cpu].package = t->cpus[c].package;
            return;
        }
    }
    t->cpus[cpu].package = (int32_t)t->package_count++;
}

/* Last-level cache of one CPU: the highest level from 2 on that it has. */
static int read_cache(dx_topology_t *t, const char *root, uint32_t cpu, dx_error_t *error)
{
    int32_t level_best = CACHE_LEVEL_SHARED_MIN - 1;
    int index_best = -1;
    for (int i = 0; i < CACHE_INDEX_MAX; i++) {
        char text[32];
        (void)dxi_sysfs_read(root, text, sizeof(text),
                             "devices/system/cpu/cpu%u/cache/index%d/level", cpu, i);
        const int32_t level = dxi_sysfs_number(text, -1);
        if (level > level_best) {
            level_best = level;
            index_best = i;
        }
    }
    if (index_best < 0) {
        return DX_OK;
    }
    dx_cpu_set_t sharing;
    const int rc = missing_is_fine(
        read_list(root, &sharing, error, "devices/system/cpu/cpu%u/cache/index%d/shared_cpu_list",
                  cpu, index_best));
    if (rc != DX_OK) {
        return rc;
    }
    for (int32_t c = dx_cpu_set_next(&sharing, 0); c >= 0 && (uint32_t)c < cpu;
         c = dx_cpu_set_next(&sharing, (uint32_t)c + 1)) {
        if (t->cpus[c].l3 >= 0) {
            t->cpus[cpu].l3 = t->cpus[c].l3;
            return DX_OK;
        }
    }
    t->cpus[cpu].l3 = (int32_t)t->l3_count++;
    return DX_OK;
}

static int read_nodes(dx_topology_t *t, const char *root, dx_error_t *error)
{
    dx_cpu_set_t nodes; /* the same list syntax, of nodes */
    int rc = missing_is_fine(read_list(root, &nodes, error, "devices/system/node/online"));
    if (rc != DX_OK) {
        return rc;
    }
    t->node_count = dx_cpu_set_count(&nodes);
    for (int32_t n = dx_cpu_set_next(&nodes, 0); n >= 0;
         n = dx_cpu_set_next(&nodes, (uint32_t)n + 1)) {
        dx_cpu_set_t cpus;
        rc =
            missing_is_fine(read_list(root, &cpus, error, "devices/system/node/node%d/cpulist", n));
        if (rc != DX_OK) {
            return rc;
        }
        for (int32_t c = dx_cpu_set_next(&cpus, 0); c >= 0;
             c = dx_cpu_set_next(&cpus, (uint32_t)c + 1)) {
            if (dx_cpu_set_has(&t->online, (uint32_t)c)) {
                t->cpus[c].numa_node = n;
            }
        }
    }
    if (t->node_count == 0) { /* a kernel without NUMA: everything is node 0 */
        t->node_count = 1;
        for (int32_t c = dx_cpu_set_next(&t->online, 0); c >= 0;
             c = dx_cpu_set_next(&t->online, (uint32_t)c + 1)) {
            t->cpus[c].numa_node = 0;
        }
    }
    return DX_OK;
}

static void read_quota(dx_topology_t *t, const char *root, bool is_injected)
{
    char text[4096];
    char group[PATH_MAX] = "";
    if (!is_injected && dxi_sysfs_read("/proc", text, sizeof(text), "self/cgroup") == DX_OK) {
        dxi_cgroup_path(text, group, sizeof(group));
    }
    t->quota_millicpus = dxi_cgroup_quota_millicpus(root, group);
}

static int read_cpus(dx_topology_t *t, const char *root, dx_error_t *error)
{
    int32_t packages[DX_CPU_MAX];
    for (int i = 0; i < DX_CPU_MAX; i++) {
        packages[i] = -1;
        t->cpus[i] = (dx_cpu_info_t){-1, -1, -1, -1, -1};
    }
    for (int32_t c = dx_cpu_set_next(&t->online, 0); c >= 0;
         c = dx_cpu_set_next(&t->online, (uint32_t)c + 1)) {
        int rc = read_core(t, root, (uint32_t)c, error);
        if (rc == DX_OK) {
            rc = read_cache(t, root, (uint32_t)c, error);
        }
        if (rc != DX_OK) {
            return rc;
        }
        read_package(t, root, (uint32_t)c, packages);
    }
    return DX_OK;
}

int dx_topology_create(const char *sysfs_root, const dx_topology_t **topology_out,
                       dx_error_t *error)
{
    *topology_out = NULL;
    const char *const root = sysfs_root == NULL ? "/sys" : sysfs_root;
    dx_topology_t *const topology = dxi_alloc_zeroed(1, sizeof(*topology));
    if (topology == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a topology of %zu bytes",
                        sizeof(*topology));
    }
    int rc = read_online(topology, root, error);
    if (rc == DX_OK) {
        rc = read_cpus(topology, root, error);
    }
    if (rc == DX_OK) {
        rc = read_nodes(topology, root, error);
    }
    if (rc != DX_OK) {
        dxi_free(topology);
        return rc;
    }
    read_quota(topology, root, sysfs_root != NULL);
    *topology_out = topology;
    return DX_OK;
}

void dx_topology_destroy(const dx_topology_t *topology)
{
    dxi_free((void *)topology);
}

void dx_topology_node_cpus(const dx_topology_t *topology, int32_t numa_node, dx_cpu_set_t *set_out)
{
    *set_out = (dx_cpu_set_t){0};
    for (uint32_t cpu = 0; cpu < DX_CPU_MAX && numa_node >= 0; cpu++) {
        if (topology->cpus[cpu].numa_node == numa_node) {
            dx_cpu_set_add(set_out, cpu);
        }
    }
}

void dx_topology_siblings(const dx_topology_t *topology, uint32_t cpu, dx_cpu_set_t *set_out)
{
    *set_out = (dx_cpu_set_t){0};
    if (cpu >= DX_CPU_MAX || topology->cpus[cpu].core < 0) {
        return;
    }
    for (uint32_t other = 0; other < DX_CPU_MAX; other++) {
        if (topology->cpus[other].core == topology->cpus[cpu].core) {
            dx_cpu_set_add(set_out, other);
        }
    }
}
