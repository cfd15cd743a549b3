/* memory.c - mapping a region with the pages, the node and the residency asked for.
 *
 * DESIGN
 *
 * One attempt is made per kind of page, from the best kind allowed downwards:
 *
 *     HUGE_1G -> HUGE_2M -> TRANSPARENT -> NORMAL
 *        ^          ^           ^             ^
 *        |          AUTO        |             |      a kind by name starts there, and goes on only
 *        +----------+-----------+-------------+      with best_effort
 *
 * An attempt maps, advises, binds, touches and locks, in this order, because a page gets its size
 * and its node when it is first touched. If a step that was demanded fails, the attempt is unmapped
 * as a whole. A fallback is skipped where one page of it would be larger than the region.
 *
 * Explicit huge pages are bound by preference only: a hard binding to a node whose pool is empty
 * would kill the process with SIGBUS at the first access. The node is read back after touching, and
 * another node than the demanded one fails the attempt.
 *
 * INVARIANTS
 *
 *   I1  a failed dx_memory_map() leaves no mapping and an all-zero result
 *   I2  address is a multiple of alignment_bytes and of page_bytes; size_bytes one of page_bytes
 *   I3  what the result claims (locked, prefaulted, node) was done, not only asked for
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/memory_os.h"
#include "base/options.h"
#include "base/sysfs.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { MAP_HUGE_BITS_AT = 26 }; /* mmap() takes log2 of the page size in the flags, from here */

static const size_t bytes_2m = (size_t)1 << 21;
static const size_t bytes_1g = (size_t)1 << 30;

static size_t base_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The size of a transparent huge page, or 0 where the kernel makes none. */
static size_t transparent_page_bytes(void)
{
    char text[64];
    const char *const folder = "kernel/mm/transparent_hugepage";
    if (dxi_sysfs_read(dxi_memory_os->sysfs_root, text, sizeof(text), "%s/enabled", folder) !=
            DX_OK ||
        strstr(text, "[never]") != NULL) {
        return 0;
    }
    (void)dxi_sysfs_read(dxi_memory_os->sysfs_root, text, sizeof(text), "%s/hpage_pmd_size",
                         folder);
    const size_t bytes = (size_t)dxi_sysfs_number(text, 0);
    const bool sane = bytes > base_page_bytes() && bytes <= bytes_1g && (bytes & (bytes - 1)) == 0;
    return sane ? bytes : bytes_2m;
}

/* The page size of a kind, or 0 where the system has no such pages at all. */
static size_t page_bytes_of(dx_pages_t pages)
{
    switch (pages) {
    case DX_PAGES_HUGE_1G:
        return bytes_1g;
    case DX_PAGES_HUGE_2M:
        return bytes_2m;
    case DX_PAGES_TRANSPARENT:
        return transparent_page_bytes();
    default:
        return base_page_bytes();
    }
}

const char *dx_pages_name(dx_pages_t pages)
{
    switch (pages) {
    case DX_PAGES_AUTO:
        return "auto";
    case DX_PAGES_NORMAL:
        return "normal";
    case DX_PAGES_TRANSPARENT:
        return "transparent";
    case DX_PAGES_HUGE_2M:
        return "huge 2M";
    case DX_PAGES_HUGE_1G:
        return "huge 1G";
    default:
        return "unknown";
    }
}

static size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static int options_validate(const dx_memory_options_t *o, dx_error_t *error)
{
    if (o->size_bytes < 1 || o->size_bytes > DX_MEMORY_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL, "size_bytes is %zu, must be from 1 to %zu", o->size_bytes,
                        DX_MEMORY_BYTES_MAX);
    }
    int rc = DX_OK;
    if (o->alignment_bytes != 0) {
        rc = dxi_options_power_of_two(error, "alignment_bytes", o->alignment_bytes, 1,
                                      DX_MEMORY_ALIGNMENT_MAX);
    }
    if (rc == DX_OK) {
        rc = dxi_options_range(error, "pages", (int64_t)o->pages, DX_PAGES_AUTO, DX_PAGES_HUGE_1G);
    }
    if (rc == DX_OK) {
        rc = dxi_options_range(error, "numa_node_plus_1", o->numa_node_plus_1, 0, DX_NUMA_NODE_MAX);
    }
    if (rc == DX_OK) {
        rc = dxi_options_reserved(error, o->reserved, sizeof(o->reserved) / sizeof(o->reserved[0]));
    }
    return rc;
}

static bool is_explicit(dx_pages_t pages)
{
    return pages == DX_PAGES_HUGE_2M || pages == DX_PAGES_HUGE_1G;
}

/* Maps region->size_bytes at a multiple of `alignment`: maps more, and cuts off both ends. */
static int map_aligned(dx_memory_t *region, size_t alignment, dx_error_t *error)
{
    int flags = 0;
    size_t natural = base_page_bytes(); /* what mmap() aligns to by itself */
    if (is_explicit(region->pages)) {
        natural = region->page_bytes;
        flags = MAP_HUGETLB | (__builtin_ctzll(region->page_bytes) << MAP_HUGE_BITS_AT);
    }
    const size_t extra = alignment > natural ? alignment - natural : 0;
    void *start = NULL;
    const int rc =
        dxi_fault("map") ? ENOMEM : dxi_memory_os->map(region->size_bytes + extra, flags, &start);
    if (rc != 0) {
        const int code =
            is_explicit(region->pages) && rc == EINVAL ? DX_ENOTSUP : dxi_code_of_errno(rc);
        return dxi_fail_os(
            error, code, rc, "cannot map %zu bytes with %s pages%s", region->size_bytes + extra,
            dx_pages_name(region->pages),
            is_explicit(region->pages) ? " (the pools are in /sys/kernel/mm/hugepages)" : "");
    }
    const size_t head = (alignment - ((uintptr_t)start & (alignment - 1))) & (alignment - 1);
    if (head != 0) {
        (void)dxi_memory_os->unmap(start, head);
    }
    region->address = (char *)start + head;
    if (extra > head) {
        (void)dxi_memory_os->unmap((char *)region->address + region->size_bytes, extra - head);
    }
    dxi_live_add(1);
    return DX_OK;
}

/* Binds to the node before the first touch. */
static int bind_node(const dx_memory_options_t *o, dx_memory_t *region, dx_error_t *error)
{
    const int32_t node = o->numa_node_plus_1 - 1;
    if (node < 0) {
        return DX_OK;
    }
    const bool hard = !o->best_effort && !is_explicit(region->pages);
    const int rc = dxi_memory_os->bind(region->address, region->size_bytes, node,
                                       hard ? MPOL_BIND : MPOL_PREFERRED);
    if (rc == 0) {
        region->numa_node = node;
        return DX_OK;
    }
    if (o->best_effort) {
        return DX_OK;
    }
    return dxi_fail_os(error, rc == EINVAL ? DX_ENOTSUP : dxi_code_of_errno(rc), rc,
                       "numa_node_plus_1 is %" PRId32
                       ", but memory cannot be bound to node %" PRId32,
                       o->numa_node_plus_1, node);
}

/* Writes one byte of every base page: what kernels before 5.14 need. */
static void touch(dx_memory_t *region)
{
    volatile char *const bytes = region->address;
    assert(bytes != NULL);
    const size_t step = base_page_bytes();
    for (size_t i = 0; i < region->size_bytes; i += step) {
        bytes[i] = 0;
    }
}

static int prefault(const dx_memory_options_t *o, dx_memory_t *region, dx_error_t *error)
{
    if (!o->prefault) {
        return DX_OK;
    }
    const int rc = dxi_memory_os->advise(region->address, region->size_bytes, MADV_POPULATE_WRITE);
    if (rc == EINVAL) {
        touch(region);
    } else if (rc != 0) {
        if (o->best_effort) {
            return DX_OK;
        }
        return dxi_fail_os(error, DX_ENOMEM, rc, "cannot prefault %zu bytes of %s pages",
                           region->size_bytes, dx_pages_name(region->pages));
    }
    region->prefaulted = true;
    return DX_OK;
}

static int lock_pages(const dx_memory_options_t *o, dx_memory_t *region, dx_error_t *error)
{
    if (!o->lock) {
        return DX_OK;
    }
    const int rc = dxi_memory_os->lock(region->address, region->size_bytes);
    if (rc == 0) {
        region->locked = true;
        region->prefaulted = true; /* mlock() faults in what it locks */
        return DX_OK;
    }
    if (o->best_effort) {
        return DX_OK;
    }
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    if (rc == ENOMEM && limit.rlim_cur == RLIM_INFINITY) {
        return dxi_fail_os(error, DX_ENOMEM, rc, "cannot lock %zu bytes", region->size_bytes);
    }
    return dxi_fail_os(error, rc == EPERM ? DX_EPERM : DX_ELIMIT, rc,
                       "cannot lock %zu bytes: raise RLIMIT_MEMLOCK, which is %llu, or give the "
                       "process CAP_IPC_LOCK",
                       region->size_bytes, (unsigned long long)limit.rlim_cur);
}

/* Reads back where the first page is (I3); only a touched page is anywhere. */
static int verify_node(const dx_memory_options_t *o, dx_memory_t *region, dx_error_t *error)
{
    if (!region->prefaulted) {
        return DX_OK;
    }
    int32_t node = -1;
    if (dxi_memory_os->node_of(region->address, &node) != 0) {
        return DX_OK; /* refused in many containers: what the binding said stands */
    }
    region->numa_node = node;
    if (o->numa_node_plus_1 != 0 && node != o->numa_node_plus_1 - 1 && !o->best_effort) {
        return dxi_fail(error, DX_ENOMEM,
                        "numa_node_plus_1 is %" PRId32 ", but node %" PRId32
                        " has no room and the memory is on node %" PRId32,
                        o->numa_node_plus_1, o->numa_node_plus_1 - 1, node);
    }
    return DX_OK;
}

/* One attempt with one kind of pages. */
static int attempt(const dx_memory_options_t *o, dx_pages_t pages, size_t page_bytes,
                   dx_memory_t *region, dx_error_t *error)
{
    *region = (dx_memory_t){
        .size_bytes = round_up(o->size_bytes, page_bytes),
        .page_bytes = page_bytes,
        .pages = pages,
        .numa_node = -1,
    };
    const size_t alignment = o->alignment_bytes > page_bytes ? o->alignment_bytes : page_bytes;
    int rc = map_aligned(region, alignment, error);
    if (rc != DX_OK) {
        *region = (dx_memory_t){0};
        return rc;
    }
    if (!is_explicit(pages)) {
        /* Not checked: a kernel without transparent huge pages refuses, and has none to avoid. */
        (void)dxi_memory_os->advise(region->address, region->size_bytes,
                                    pages == DX_PAGES_TRANSPARENT ? MADV_HUGEPAGE
                                                                  : MADV_NOHUGEPAGE);
    }
    rc = bind_node(o, region, error);
    if (rc == DX_OK) {
        rc = prefault(o, region, error);
    }
    if (rc == DX_OK) {
        rc = lock_pages(o, region, error);
    }
    if (rc == DX_OK) {
        rc = verify_node(o, region, error);
    }
    if (rc != DX_OK) {
        dx_memory_unmap(region); /* I1 */
    }
    return rc;
}

/* The attempts in their order; `error` is of the last one. */
static int map_best(const dx_memory_options_t *o, dx_memory_t *region, dx_error_t *error)
{
    const bool may_fall = o->pages == DX_PAGES_AUTO || o->best_effort;
    int kind = o->pages == DX_PAGES_AUTO ? DX_PAGES_HUGE_2M : (int)o->pages;
    int rc = DX_ENOTSUP;
    for (; kind >= DX_PAGES_NORMAL; kind--) {
        const dx_pages_t pages = (dx_pages_t)kind;
        const size_t page_bytes = page_bytes_of(pages);
        const bool by_name = pages == o->pages;
        if (page_bytes == 0) {
            rc = dxi_fail(error, DX_ENOTSUP, "pages is %s, but this system makes no such pages",
                          dx_pages_name(pages));
        } else if (by_name || pages == DX_PAGES_NORMAL || o->size_bytes >= page_bytes) {
            rc = attempt(o, pages, page_bytes, region, error);
        } else {
            continue;
        }
        if (rc == DX_OK || !may_fall) {
            break;
        }
    }
    return rc;
}

int dx_memory_map(const dx_memory_options_t *options, dx_memory_t *memory_out, dx_error_t *error)
{
    *memory_out = (dx_memory_t){0};
    const int rc = options_validate(options, error);
    if (rc != DX_OK) {
        return rc;
    }
    dx_error_t last; /* apart, because a success after a failed attempt leaves `error` alone */
    const int code = map_best(options, memory_out, &last);
    if (code != DX_OK && error != NULL) {
        *error = last;
    }
    return code;
}

void dx_memory_unmap(dx_memory_t *memory)
{
    if (memory == NULL) {
        return;
    }
    if (memory->address != NULL) {
        (void)dxi_memory_os->unmap(memory->address, memory->size_bytes);
        dxi_live_add(-1);
    }
    *memory = (dx_memory_t){0};
}

size_t dx_memory_describe(const dx_memory_t *memory, char *text_out, size_t text_bytes)
{
    char node[32] = "";
    if (memory->numa_node >= 0) {
        (void)snprintf(node, sizeof(node), ", node %" PRId32, memory->numa_node);
    }
    const int length =
        snprintf(text_out, text_bytes, "%zu bytes, %s pages%s%s%s", memory->size_bytes,
                 dx_pages_name(memory->pages), node, memory->prefaulted ? ", prefaulted" : "",
                 memory->locked ? ", locked" : "");
    return length < 0 ? 0 : (size_t)length;
}
