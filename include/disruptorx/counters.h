/* disruptorx/counters.h - a block of named 64-bit counters that others can watch.
 *
 * The block has a fixed size and is relocatable: offsets and no pointers, so it may lie in shared
 * memory and be read by another process. Each value is alone on 128 bytes, so that counting in one
 * thread does not slow another.
 *
 *     dx_counters_create() or dx_counters_init() -> dx_counter_allocate() -> dx_counter_free()
 *
 * Counting is wait-free. Allocating and freeing are lock-free and off the hot path.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_COUNTERS_H
#define DISRUPTORX_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

#define DX_COUNTERS_MAX 16384    /* counters in a block */
#define DX_COUNTER_LABEL_MAX 231 /* bytes of a label, without its NUL */

typedef struct dx_counters dx_counters_t; /* opaque, relocatable */

/* One value, alone on its lines. It never moves; keep the pointer. */
typedef struct DX_ISOLATED dx_counter {
    dx_atomic64_t value;
} dx_counter_t;

/* A counter as seen from outside, copied. */
typedef struct dx_counter_info {
    int32_t id;
    int32_t kind; /* the allocator's, for grouping */
    int64_t value;
    char label[DX_COUNTER_LABEL_MAX + 1];
} dx_counter_info_t;

/* The bytes a block of `counter_max` counters takes; 0 when it is not 1 to DX_COUNTERS_MAX.
 * Threads: any. */
DX_API size_t dx_counters_bytes(int32_t counter_max);

/* Allocates a block and stores it in `*counters_out` (NULL on failure). The caller ends it with
 * dx_counters_destroy().
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM.
 * Threads: any. */
DX_API DX_NODISCARD int dx_counters_create(int32_t counter_max, dx_counters_t **counters_out,
                                           dx_error_t *error);

/* Frees a block of dx_counters_create(); NULL is allowed.
 * Threads: owner. */
DX_API void dx_counters_destroy(dx_counters_t *counters);

/* Makes a block in the caller's memory, of which `memory_bytes` must be dx_counters_bytes() or more
 * and the address a multiple of 128. The memory stays the caller's; the block needs no end.
 * Returns DX_OK, DX_EINVAL.
 * Threads: init. */
DX_API DX_NODISCARD int dx_counters_init(void *memory, size_t memory_bytes, int32_t counter_max,
                                         dx_counters_t **counters_out, dx_error_t *error);

/* Finds a block that another thread or process made in this memory.
 * Returns DX_OK, DX_EINVAL, DX_EVERSION, DX_ECORRUPT when it is no block or is cut off.
 * Threads: any. */
DX_API DX_NODISCARD int dx_counters_attach(void *memory, size_t memory_bytes,
                                           dx_counters_t **counters_out, dx_error_t *error);

/* Takes a counter, sets it to 0 and stores its id (0 to counter_max - 1). The label is copied.
 * Returns DX_OK, DX_EINVAL for a label of 0 or above DX_COUNTER_LABEL_MAX bytes, DX_ELIMIT when all
 * are taken.
 * Threads: any. */
DX_API DX_NODISCARD int dx_counter_allocate(dx_counters_t *counters, int32_t kind,
                                            const char *label, int32_t *id_out, dx_error_t *error);

/* The value of a counter by id, allocated or not; NULL when the id is out of range.
 * Threads: any. */
DX_API dx_counter_t *dx_counter_at(dx_counters_t *counters, int32_t id);

/* Gives a counter back. Nobody may write it any more; whoever still reads it sees another one.
 * Returns DX_OK, DX_EINVAL for an id out of range, DX_ENOTFOUND for one that is not allocated.
 * Threads: any, one per counter. */
DX_API int dx_counter_free(dx_counters_t *counters, int32_t id);

/* How many counters fit, and how many are allocated at this moment.
 * Threads: any. */
DX_API int32_t dx_counters_capacity(const dx_counters_t *counters);
DX_API int32_t dx_counters_count(const dx_counters_t *counters);

/* Copies a counter. Label and kind always belong together, even when it is freed and taken anew
 * meanwhile; a value read in the very moment of such a change may be the next owner's.
 * Returns DX_OK, DX_EINVAL for an id out of range, DX_ENOTFOUND for one that is not allocated.
 * Threads: any. */
DX_API int dx_counter_read(const dx_counters_t *counters, int32_t id, dx_counter_info_t *info_out);

/* Copies the first allocated counter with an id of `id_from` or more. Returns its id, or
 * DX_ENOTFOUND after the last one. A block is walked with
 *     for (int32_t id = 0; (id = dx_counters_next(c, id, &info)) >= 0; id++)
 * Threads: any. */
DX_API int32_t dx_counters_next(const dx_counters_t *counters, int32_t id_from,
                                dx_counter_info_t *info_out);

/* Adds without an atomic read-modify-write.
 * Threads: the only writer of this counter. */
DX_INLINE void dx_counter_add(dx_counter_t *counter, int64_t delta)
{
    /* RELAXED: a statistic; it orders nothing and only one thread stores. */
    dx_store_relaxed(&counter->value, dx_load_relaxed(&counter->value) + delta);
}

/* Adds where several threads write the counter. Cost: one locked instruction.
 * Threads: any. */
DX_INLINE void dx_counter_add_shared(dx_counter_t *counter, int64_t delta)
{
    (void)dx_fetch_add_relaxed(&counter->value, delta);
}

/* Sets and gets.
 * Threads: the only writer; any. */
DX_INLINE void dx_counter_set(dx_counter_t *counter, int64_t value)
{
    dx_store_relaxed(&counter->value, value);
}
DX_INLINE int64_t dx_counter_get(const dx_counter_t *counter)
{
    return dx_load_relaxed(&counter->value);
}

DX_EXTERN_C_END

#endif
