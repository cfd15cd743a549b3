/* disruptorx/thread.h - CPU sets, threads with a name and a place, and what the machine looks like.
 *
 * Lifecycle of a thread:
 *
 *     dx_thread_start() -> RUNNING -> its function returns -> dx_thread_join() gives it back
 *
 * A thread takes its name, CPUs and scheduling before its function runs. Where one of them is
 * refused the function never runs, no thread is left, and dx_thread_start() says what was refused.
 *
 * Signals of the process go to the application's own threads: ours block all but those that a
 * thread causes itself (SIGSEGV and the like) and SIGPROF, which profilers need.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_THREAD_H
#define DISRUPTORX_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

/* ------------------------------------------------------------------------------- CPU sets */

#define DX_CPU_MAX 1024 /* CPUs are numbered 0 to DX_CPU_MAX - 1 */

/* Room for the longest text of a set: every second CPU of 1024, separated by commas. */
#define DX_CPU_SET_TEXT_BYTES 4096

/* A set of CPUs; all zero is the empty set, which in options means "no wish". */
typedef struct dx_cpu_set {
    uint64_t words[DX_CPU_MAX / 64];
} dx_cpu_set_t;

/* Adds a CPU; a number of DX_CPU_MAX or more is ignored. Threads: owner. */
DX_INLINE void dx_cpu_set_add(dx_cpu_set_t *set, uint32_t cpu)
{
    if (cpu < DX_CPU_MAX) {
        set->words[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
}

/* Takes a CPU out. Threads: owner. */
DX_INLINE void dx_cpu_set_remove(dx_cpu_set_t *set, uint32_t cpu)
{
    if (cpu < DX_CPU_MAX) {
        set->words[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
    }
}

/* Whether a CPU is in the set. Threads: any. */
DX_INLINE bool dx_cpu_set_has(const dx_cpu_set_t *set, uint32_t cpu)
{
    return cpu < DX_CPU_MAX && ((set->words[cpu / 64] >> (cpu % 64)) & 1U) != 0;
}

/* How many CPUs are in the set. Threads: any. */
DX_API uint32_t dx_cpu_set_count(const dx_cpu_set_t *set);

/* The lowest CPU of the set from `from` on, or -1 when there is none. So a set is walked with
 *     for (int32_t c = dx_cpu_set_next(&s, 0); c >= 0; c = dx_cpu_set_next(&s, (uint32_t)c + 1))
 * Threads: any. */
DX_API int32_t dx_cpu_set_next(const dx_cpu_set_t *set, uint32_t from);

/* Whether two sets are the same. Threads: any. */
DX_API bool dx_cpu_set_equal(const dx_cpu_set_t *a, const dx_cpu_set_t *b);

/* Reads a list such as "0,2-5,8". Spaces and a final newline are allowed; an empty text is the
 * empty set. `*set_out` is empty on failure.
 * Returns DX_OK, DX_EPARSE for what is no list, DX_ELIMIT for a CPU of DX_CPU_MAX or more.
 * Threads: any. */
DX_API DX_NODISCARD int dx_cpu_set_parse(const char *text, dx_cpu_set_t *set_out,
                                         dx_error_t *error);

/* Writes the shortest list, such as "0,2-5", with its NUL. Returns its length, which may be more
 * than fits: text_bytes - 1 of it are stored then.
 * Threads: any. */
DX_API size_t dx_cpu_set_format(const dx_cpu_set_t *set, char *text_out, size_t text_bytes);

/* -------------------------------------------------------------------------------- threads */

typedef struct dx_thread dx_thread_t; /* opaque */

#define DX_THREAD_NAME_MAX 15                       /* bytes, without the NUL: the kernel's limit */
#define DX_THREAD_STACK_BYTES_MAX ((size_t)1 << 30) /* 1 GiB */

/* How the kernel schedules a thread. */
typedef enum dx_sched {
    DX_SCHED_INHERIT = 0, /* as the thread that starts it */
    DX_SCHED_OTHER = 1,   /* the usual time sharing */
    DX_SCHED_BATCH = 2,   /* time sharing, fewer and longer turns */
    DX_SCHED_IDLE = 3,    /* only when nothing else wants the CPU */
    DX_SCHED_FIFO = 4,    /* real-time, runs until it waits; needs privilege */
    DX_SCHED_RR = 5       /* real-time in turns; needs privilege */
} dx_sched_t;

/* How to start a thread. All zero, or a NULL pointer, is a sane choice. */
typedef struct dx_thread_options {
    const char *name;     /* 1 to DX_THREAD_NAME_MAX bytes; NULL: the creator's name */
    dx_cpu_set_t cpus;    /* where it may run; empty: as its creator */
    dx_sched_t sched;     /* 0: INHERIT */
    int32_t priority;     /* 1 to 99 for FIFO and RR, else 0 */
    size_t stack_bytes;   /* 0: the system's default; rounded up to pages and to the minimum */
    uint64_t reserved[4]; /* zero */
} dx_thread_options_t;

/* Starts a thread that calls `run(context)` and stores it in `*thread_out` (NULL on failure). The
 * caller owns it and ends it with dx_thread_join().
 * Returns DX_OK; DX_EINVAL for a bad option; DX_ENOMEM or DX_ELIMIT when the system has no thread
 * left; DX_EPERM when the scheduling class is refused; DX_ENOTFOUND when it may not run on all of
 * `cpus`.
 * Threads: any. */
DX_API DX_NODISCARD int dx_thread_start(const dx_thread_options_t *options,
                                        void (*run)(void *context), void *context,
                                        dx_thread_t **thread_out, dx_error_t *error);

/* Waits until the thread's function has returned and frees the thread. NULL is allowed.
 * Returns DX_OK; DX_EDEADLOCK when a thread would wait for itself (it stays valid then).
 * Threads: owner. */
DX_API int dx_thread_join(dx_thread_t *thread);

/* Whether the caller is this thread.
 * Threads: any. */
DX_API bool dx_thread_is_self(const dx_thread_t *thread);

/* The kernel's number of the thread, as in /proc and `top -H`.
 * Threads: any. */
DX_API int32_t dx_thread_id(const dx_thread_t *thread);

/* The kernel's number of the calling thread.
 * Threads: any. */
DX_API int32_t dx_thread_self_id(void);

/* Keeps the calling thread on these CPUs. On failure it stays where it was.
 * Returns DX_OK, DX_EINVAL for an empty set, DX_ENOTFOUND when one of the CPUs does not exist or is
 * not allowed to this process.
 * Threads: any, for itself. */
DX_API DX_NODISCARD int dx_thread_pin_self(const dx_cpu_set_t *cpus, dx_error_t *error);

/* Changes the scheduling of the calling thread.
 * Returns DX_OK, DX_EINVAL for a bad class or priority, DX_EPERM when it is refused.
 * Threads: any, for itself. */
DX_API DX_NODISCARD int dx_thread_sched_self(dx_sched_t sched, int32_t priority, dx_error_t *error);

/* Names the calling thread. Returns DX_OK, DX_EINVAL for a name of 0 or above DX_THREAD_NAME_MAX
 * bytes.
 * Threads: any, for itself. */
DX_API DX_NODISCARD int dx_thread_name_self(const char *name, dx_error_t *error);

/* -------------------------------------------------------------------------------- machine */

/* The CPU that runs the caller at this moment, or -1 when the system does not say.
 * Threads: any. */
DX_API int32_t dx_cpu_current(void);

/* The CPUs the calling thread may run on (affinity mask, container limits included).
 * Returns DX_OK or DX_EIO.
 * Threads: any. */
DX_API DX_NODISCARD int dx_cpu_allowed(dx_cpu_set_t *set_out, dx_error_t *error);

/* What the processor can do, beyond the baseline. */
typedef struct dx_cpu_features {
    bool invariant_counter; /* the counter of dx_tsc_now() has one rate, on all cores */
    bool umwait;            /* x86 WAITPKG: UMONITOR, UMWAIT, TPAUSE */
    bool mwaitx;            /* AMD MONITORX, MWAITX */
    bool wfe;               /* arm64: WFE with an exclusive monitor; always there */
    bool monitor_wait;      /* any of the three: a core can sleep until a line changes */
} dx_cpu_features_t;

/* Fills `*features_out`.
 * Threads: any. */
DX_API void dx_cpu_features_read(dx_cpu_features_t *features_out);

/* One CPU. A number is -1 where the system does not say. */
typedef struct dx_cpu_info {
    int32_t package;   /* the socket, numbered from 0 without gaps */
    int32_t core;      /* the physical core, numbered from 0 over all packages, without gaps */
    int32_t smt_index; /* 0 for the first hardware thread of its core, 1 for its sibling ... */
    int32_t numa_node; /* the kernel's number of the node */
    int32_t l3;        /* CPUs with the same number share a last-level cache; from 0, no gaps */
} dx_cpu_info_t;

/* The machine. Where a container hides /sys, each online CPU is taken as a core of its own. */
typedef struct dx_topology {
    dx_cpu_set_t online;
    dx_cpu_set_t allowed; /* to the thread that called dx_topology_create() */
    uint32_t cpu_count;   /* online */
    uint32_t core_count;
    uint32_t package_count;
    uint32_t node_count; /* at least 1 */
    uint32_t l3_count;
    uint32_t quota_millicpus;       /* the cgroup's limit, 1500 is one CPU and a half; 0: none */
    dx_cpu_info_t cpus[DX_CPU_MAX]; /* by CPU number; all -1 where it is not online */
} dx_topology_t;

/* Reads the machine's topology from `sysfs_root` (NULL: "/sys") and stores it in `*topology_out`
 * (NULL on failure). The caller frees it with dx_topology_destroy().
 * Returns DX_OK, DX_ENOMEM, DX_EIO when not even the online CPUs can be found out, DX_EPARSE or
 * DX_ELIMIT when a list of CPUs makes no sense.
 * Threads: any. */
DX_API DX_NODISCARD int dx_topology_create(const char *sysfs_root,
                                           const dx_topology_t **topology_out, dx_error_t *error);

/* Frees it; NULL is allowed.
 * Threads: owner. */
DX_API void dx_topology_destroy(const dx_topology_t *topology);

/* The CPUs of a node, and the hardware threads of the core that `cpu` belongs to (itself included).
 * Empty for what does not exist.
 * Threads: any. */
DX_API void dx_topology_node_cpus(const dx_topology_t *topology, int32_t numa_node,
                                  dx_cpu_set_t *set_out);
DX_API void dx_topology_siblings(const dx_topology_t *topology, uint32_t cpu,
                                 dx_cpu_set_t *set_out);

DX_EXTERN_C_END

#endif
