/* disruptorx/memory.h - regions of memory: huge pages, a NUMA node, touched and locked beforehand.
 *
 * A region is mapped once, at set-up, and is zero-filled. With all options zero it takes the best
 * pages that are to be had: explicit huge pages where the administrator reserved some, then
 * transparent huge pages, then normal pages. The result says what it got.
 *
 * What is asked for by name is a demand: where it can't be had, the call fails and says why. With
 * `best_effort` it becomes a wish: the call succeeds with less, and the result says so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_MEMORY_H
#define DISRUPTORX_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

#define DX_MEMORY_BYTES_MAX ((size_t)1 << 40)     /* 1 TiB */
#define DX_MEMORY_ALIGNMENT_MAX ((size_t)1 << 30) /* 1 GiB */
#define DX_NUMA_NODE_MAX 1024

/* Kinds of pages. */
typedef enum dx_pages {
    DX_PAGES_AUTO = 0,        /* the best of: 2 MiB, transparent, normal. A result is never AUTO */
    DX_PAGES_NORMAL = 1,      /* the system's base pages, and no transparent huge pages */
    DX_PAGES_TRANSPARENT = 2, /* base pages that the kernel may join to huge ones */
    DX_PAGES_HUGE_2M = 3,     /* from the reserved pool of 2 MiB pages */
    DX_PAGES_HUGE_1G = 4      /* from the reserved pool of 1 GiB pages */
} dx_pages_t;

/* What to map. All zero but size_bytes is a sane choice. */
typedef struct dx_memory_options {
    size_t size_bytes;        /* 1 to DX_MEMORY_BYTES_MAX; rounded up to whole pages */
    size_t alignment_bytes;   /* of the address; a power of two; 0: the page */
    dx_pages_t pages;         /* 0: AUTO */
    int32_t numa_node_plus_1; /* node + 1; 0: the kernel's choice. With explicit huge pages that are
                               * not prefaulted it is a preference only */
    bool prefault;            /* touch every page now, so that no later access faults */
    bool lock;                /* keep it from being swapped out; touches every page too */
    bool best_effort;         /* take what can be had instead of failing */
    uint64_t reserved[4];     /* zero */
} dx_memory_options_t;

/* A mapped region and what it is made of. The caller owns it until dx_memory_unmap(). */
typedef struct dx_memory {
    void *address;
    size_t size_bytes; /* mapped: the size asked for, in whole pages */
    size_t page_bytes; /* 4096, 2 MiB, 1 GiB ... */
    dx_pages_t pages;  /* never AUTO */
    int32_t numa_node; /* of the first page where touched, else the one asked for; -1: unknown */
    bool prefaulted;
    bool locked;
} dx_memory_t;

/* Maps a zero-filled region.
 * Returns DX_OK; DX_EINVAL for a bad option; DX_ENOMEM when there is no memory or no huge page of
 * the kind demanded; DX_ENOTSUP when the system has no such pages or node; DX_EPERM or DX_ELIMIT
 * when locking is refused. `*memory_out` is all zero on failure.
 * Threads: any. */
DX_API DX_NODISCARD int dx_memory_map(const dx_memory_options_t *options, dx_memory_t *memory_out,
                                      dx_error_t *error);

/* Unmaps the region and zeroes `*memory`. A zeroed `*memory`, or NULL, is allowed.
 * Threads: owner. */
DX_API void dx_memory_unmap(dx_memory_t *memory);

/* The name of a kind of pages, as in "transparent"; "unknown" for another number.
 * Threads: any. */
DX_API const char *dx_pages_name(dx_pages_t pages);

/* Writes a line such as "4194304 bytes, huge 2M pages, node 0, prefaulted, locked" with its NUL.
 * Returns its length, which may be more than fits: text_bytes - 1 of it are stored then.
 * Threads: any. */
DX_API size_t dx_memory_describe(const dx_memory_t *memory, char *text_out, size_t text_bytes);

DX_EXTERN_C_END

#endif
