/* mapping.c - mapping a file, and its tail a second time behind it.
 *
 * DESIGN
 *
 * The address range is reserved as a whole first, with nothing in it; then the file is put over it,
 * and its tail once more over the rest:
 *
 *     reserved:  [................................................]
 *     file:      [ head .......... | tail ........ ]
 *     again:                                       [ tail ........ ]
 *
 * So nothing else can come to lie in between, and one munmap() removes it all.
 *
 * HUGE PAGES. A file in memory comes with normal pages on most systems, whatever madvise() says
 * before: /dev/shm is mounted so. But pages that are there can be joined to huge ones
 * (MADV_COLLAPSE), which is done by who made the file, while nobody else has it. The others get
 * huge pages by themselves, if the file begins on one in their addresses, too: so the range begins
 * on a multiple of 2 MiB whenever it is as large as that. What it brings: docs/tuning.md.
 *
 * INVARIANTS
 *
 *   F1  a failed call leaves no mapping and an all-zero result
 *   F2  the mirror begins and ends on a page
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mapping.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/memory_os.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HUGE_BYTES ((size_t)1 << 21)

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

/* Reserves `bytes` of addresses; a large range begins on a huge page. MAP_FAILED if it can't. */
static void *reserve(size_t bytes)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const size_t extra = bytes >= HUGE_BYTES ? HUGE_BYTES : 0;
    if (dxi_fault("map")) {
        return MAP_FAILED;
    }
    char *const start = mmap(NULL, bytes + extra, PROT_NONE, flags, -1, 0);
    if (extra == 0 || start == MAP_FAILED) {
        return start;
    }
    const size_t head = (HUGE_BYTES - ((uintptr_t)start & (HUGE_BYTES - 1))) & (HUGE_BYTES - 1);
    if (head != 0) {
        (void)munmap(start, head);
    }
    (void)munmap(start + head + bytes, extra - head);
    return start + head;
}

/* Puts `bytes` of the file from `offset` on over the reserved range at `address`. */
static bool put(const dxi_mapping_options_t *options, char *address, size_t bytes, size_t offset)
{
    const int rights = options->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    return mmap(address, bytes, rights, MAP_SHARED | MAP_FIXED, options->fd, (off_t)offset) !=
           MAP_FAILED;
}

/* Joins the pages of a new file to huge ones, as far as that goes: a wish, never an error. */
static void join_pages(const dxi_mapping_options_t *options, dx_memory_t *region)
{
    const size_t bytes = options->bytes / HUGE_BYTES * HUGE_BYTES;
    if (!options->fresh || bytes == 0) {
        return;
    }
    (void)dxi_memory_os->advise(region->address, region->size_bytes, MADV_HUGEPAGE);
    if (dxi_memory_os->advise(region->address, bytes, MADV_COLLAPSE) == 0) {
        region->pages = DX_PAGES_TRANSPARENT;
        region->page_bytes = HUGE_BYTES;
    }
}

/* Makes page table entries for everything, without changing a byte: others may be writing. */
static void populate(const dxi_mapping_options_t *options, const dx_memory_t *region)
{
    const int advice = options->read_only ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
    if (dxi_memory_os->advise(region->address, region->size_bytes, advice) == 0) {
        return;
    }
    const volatile char *bytes = region->address; /* a kernel before 5.14 */
    for (size_t i = 0; i < region->size_bytes; i += page_bytes()) {
        (void)bytes[i];
    }
}

/* The wishes about pages that are there now. */
static int settle(const dxi_mapping_options_t *options, const dx_memory_options_t *wishes,
                  dx_memory_t *region, dx_error_t *error)
{
    if (wishes->pages == DX_PAGES_AUTO || wishes->pages == DX_PAGES_TRANSPARENT) {
        join_pages(options, region);
    }
    if (wishes->lock) {
        const int rc = dxi_memory_os->lock(region->address, region->size_bytes);
        if (rc != 0 && !wishes->best_effort) {
            return dxi_fail_os(error, rc == EPERM ? DX_EPERM : DX_ELIMIT, rc,
                               "cannot lock %zu bytes: raise RLIMIT_MEMLOCK or give the process "
                               "CAP_IPC_LOCK",
                               region->size_bytes);
        }
        region->locked = rc == 0;
        region->prefaulted = rc == 0;
    }
    if (wishes->prefault && !region->prefaulted) {
        populate(options, region);
        region->prefaulted = true;
    }
    return DX_OK;
}

int dxi_mapping_map(const dxi_mapping_options_t *options, dx_memory_t *memory_out,
                    dx_error_t *error)
{
    static const dx_memory_options_t defaults;
    const dx_memory_options_t *wishes = options->memory != NULL ? options->memory : &defaults;
    const size_t bytes = whole_pages(options->bytes);
    const size_t total = bytes + options->mirror_bytes;

    *memory_out = (dx_memory_t){0};
    if (wishes->pages == DX_PAGES_HUGE_2M || wishes->pages == DX_PAGES_HUGE_1G) {
        return dxi_fail(error, DX_ENOTSUP, "pages is %s, but a file has only normal pages",
                        dx_pages_name(wishes->pages));
    }
    void *const reserved = reserve(total);
    if (reserved == MAP_FAILED) {
        return dxi_fail_os(error, DX_ENOMEM, ENOMEM, "cannot reserve %zu bytes of addresses",
                           total);
    }
    dx_memory_t region = {.address = reserved,
                          .size_bytes = total,
                          .page_bytes = page_bytes(),
                          .pages = DX_PAGES_NORMAL,
                          .numa_node = -1};
    int code = DX_OK;
    if (!put(options, reserved, bytes, 0) ||
        (options->mirror_bytes != 0 &&
         !put(options, (char *)reserved + bytes, options->mirror_bytes,
              bytes - options->mirror_bytes))) {
        const int os = errno;
        code =
            dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot map %zu bytes of a file", total);
    }
    if (code == DX_OK) {
        code = settle(options, wishes, &region, error);
    }
    if (code != DX_OK) {
        (void)munmap(reserved, total); /* F1 */
        return code;
    }
    dxi_live_add(1);
    *memory_out = region;
    return DX_OK;
}

int dxi_mapping_anonymous(size_t bytes, dx_error_t *error)
{
    const int fd = dxi_fault("memfd") ? -1 : memfd_create("disruptorx", MFD_CLOEXEC);
    if (fd < 0) {
        return dxi_fail_os(error, DX_ELIMIT, errno, "cannot make a file in memory");
    }
    if (ftruncate(fd, (off_t)bytes) != 0) {
        const int os = errno;
        (void)close(fd);
        return dxi_fail_os(error, DX_ENOMEM, os, "cannot make a file of %zu bytes in memory",
                           bytes);
    }
    return fd;
}
