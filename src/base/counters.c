/* counters.c - the table of counters: taking, freeing, watching.
 *
 * DESIGN
 *
 *     0        header, 128 bytes: magic, version, capacity
 *     128      capacity records of 256 bytes: state, kind, label
 *     ...      capacity values of 128 bytes
 *
 * A record's state is one word, generation * 4 + phase:
 *
 *     FREE(g) --allocate, one CAS--> RESERVED(g+1) --label written--> ALLOCATED(g+1)
 *        ^                                                                 |
 *        +---------------------------- free, one CAS ----------------------+
 *
 * The label is an array of atomic words, so a reader may copy it while another thread replaces it;
 * it then finds that the state changed and looks again.
 *
 * INVARIANTS
 *
 *   I1  only the thread whose CAS made RESERVED writes kind and label
 *   I2  the generation grows with each allocation, so a state never returns while a reader looks
 *   I3  a label is NUL-terminated: its last byte is never written
 *   I4  no pointer is stored in the block
 *
 * MEMORY ORDERING
 *
 *   writer: CAS RESERVED, store-release each label word, store-release ALLOCATED
 *   reader: load-acquire state, load-acquire each label word, load state again
 *
 * If a reader sees one word of a newer label, that acquire load pairs with the writer's release
 * store, so RESERVED or a later state is visible to its second look, and it does not use the mix.
 * With relaxed words an arm64 core could show new words and the old state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/counters.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"

enum {
    PHASE_FREE = 0,
    PHASE_RESERVED = 1,
    PHASE_ALLOCATED = 2,
    PHASE_MASK = 3,
    GENERATION_STEP = 4,
};

enum { LABEL_WORDS = (DX_COUNTER_LABEL_MAX + 1) / 8 };

#define COUNTERS_MAGIC INT64_C(0x31746e756f435844) /* "DXCount1" in memory order */
#define COUNTERS_VERSION 1

typedef struct record {
    dx_atomic64_t state;
    dx_atomic32_t kind;
    int32_t reserved;
    dx_atomic64_t label[LABEL_WORDS];
    int64_t padding;
} record_t;

struct dx_counters {
    DX_ISOLATED dx_atomic64_t magic; /* stored last by init */
    int32_t version;
    int32_t capacity;
};

_Static_assert(sizeof(dx_counters_t) == DX_FALSE_SHARING_BYTES, "the header is one line");
_Static_assert(sizeof(record_t) == 256, "a record is two lines of isolation");
_Static_assert(sizeof(dx_counter_t) == DX_FALSE_SHARING_BYTES, "a value is alone");
_Static_assert((DX_COUNTER_LABEL_MAX + 1) % 8 == 0, "a label is whole words");

static record_t *record_at(const dx_counters_t *counters, int32_t id)
{
    return (record_t *)(void *)(counters + 1) + id;
}

static dx_counter_t *value_at(const dx_counters_t *counters, int32_t id)
{
    return (dx_counter_t *)(void *)record_at(counters, counters->capacity) + id;
}

static bool id_is_valid(const dx_counters_t *counters, int32_t id)
{
    return id >= 0 && id < counters->capacity;
}

static int64_t phase_of(int64_t state)
{
    return state & PHASE_MASK;
}

size_t dx_counters_bytes(int32_t counter_max)
{
    if (counter_max < 1 || counter_max > DX_COUNTERS_MAX) {
        return 0;
    }
    return sizeof(dx_counters_t) + (size_t)counter_max * (sizeof(record_t) + sizeof(dx_counter_t));
}

static int memory_validate(const void *memory, dx_error_t *error)
{
    if (memory == NULL || (uintptr_t)memory % DX_FALSE_SHARING_BYTES != 0) {
        return dxi_fail(error, DX_EINVAL, "memory is %p, must be a multiple of %d and not NULL",
                        memory, DX_FALSE_SHARING_BYTES);
    }
    return DX_OK;
}

int dx_counters_init(void *memory, size_t memory_bytes, int32_t counter_max,
                     dx_counters_t **counters_out, dx_error_t *error)
{
    *counters_out = NULL;
    int rc = dxi_options_range(error, "counter_max", counter_max, 1, DX_COUNTERS_MAX);
    if (rc == DX_OK) {
        rc = memory_validate(memory, error);
    }
    if (rc != DX_OK) {
        return rc;
    }
    const size_t bytes = dx_counters_bytes(counter_max);
    if (memory_bytes < bytes) {
        return dxi_fail(error, DX_EINVAL,
                        "memory_bytes is %zu, must be at least %zu for %" PRId32 " counters",
                        memory_bytes, bytes, counter_max);
    }
    memset(memory, 0, bytes);
    dx_counters_t *const counters = memory;
    counters->version = COUNTERS_VERSION;
    counters->capacity = counter_max;
    /* RELEASE, pairs with the acquire in dx_counters_attach(): who sees the magic sees the rest. */
    dx_store_release(&counters->magic, COUNTERS_MAGIC);
    *counters_out = counters;
    return DX_OK;
}

int dx_counters_create(int32_t counter_max, dx_counters_t **counters_out, dx_error_t *error)
{
    *counters_out = NULL;
    const int rc = dxi_options_range(error, "counter_max", counter_max, 1, DX_COUNTERS_MAX);
    if (rc != DX_OK) {
        return rc;
    }
    const size_t bytes = dx_counters_bytes(counter_max);
    void *const memory = dxi_alloc_zeroed(1, bytes);
    if (memory == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %" PRId32 " counters, %zu bytes",
                        counter_max, bytes);
    }
    return dx_counters_init(memory, bytes, counter_max, counters_out, error);
}

void dx_counters_destroy(dx_counters_t *counters)
{
    dxi_free(counters);
}

int dx_counters_attach(void *memory, size_t memory_bytes, dx_counters_t **counters_out,
                       dx_error_t *error)
{
    *counters_out = NULL;
    const int rc = memory_validate(memory, error);
    if (rc != DX_OK) {
        return rc;
    }
    dx_counters_t *const counters = memory;
    if (memory_bytes < sizeof(*counters) || dx_load_acquire(&counters->magic) != COUNTERS_MAGIC) {
        return dxi_fail(error, DX_ECORRUPT, "these %zu bytes hold no block of counters",
                        memory_bytes);
    }
    if (counters->version != COUNTERS_VERSION) {
        return dxi_fail(error, DX_EVERSION, "version of the counters is %" PRId32 ", must be %d",
                        counters->version, COUNTERS_VERSION);
    }
    const size_t bytes = dx_counters_bytes(counters->capacity);
    if (bytes == 0 || memory_bytes < bytes) {
        return dxi_fail(error, DX_ECORRUPT,
                        "a block of %" PRId32 " counters (1 to %d) cannot be in %zu bytes",
                        counters->capacity, DX_COUNTERS_MAX, memory_bytes);
    }
    *counters_out = counters;
    return DX_OK;
}

/* Fills a record that this thread reserved (I1) and opens it to readers. */
static void record_open(record_t *record, int64_t reserved_state, int32_t kind, const char *label)
{
    char padded[DX_COUNTER_LABEL_MAX + 1] = {0}; /* I3 */
    memcpy(padded, label, strnlen(label, DX_COUNTER_LABEL_MAX));
    dx_store32_release(&record->kind, kind);
    for (int i = 0; i < LABEL_WORDS; i++) {
        int64_t word = 0;
        memcpy(&word, padded + (size_t)i * 8, sizeof(word));
        dx_store_release(&record->label[i], word);
    }
    dx_store_release(&record->state, reserved_state - PHASE_RESERVED + PHASE_ALLOCATED);
}

int dx_counter_allocate(dx_counters_t *counters, int32_t kind, const char *label, int32_t *id_out,
                        dx_error_t *error)
{
    *id_out = -1;
    const size_t bytes = label == NULL ? 0 : strnlen(label, DX_COUNTER_LABEL_MAX + 1);
    if (bytes < 1 || bytes > DX_COUNTER_LABEL_MAX) {
        return dxi_fail(error, DX_EINVAL, "label is \"%.60s\", must have 1 to %d bytes",
                        label == NULL ? "" : label, DX_COUNTER_LABEL_MAX);
    }
    for (int32_t id = 0; id < counters->capacity; id++) {
        record_t *const record = record_at(counters, id);
        int64_t state = dx_load_relaxed(&record->state);
        if (phase_of(state) != PHASE_FREE) {
            continue;
        }
        const int64_t reserved = state + GENERATION_STEP + PHASE_RESERVED; /* I2 */
        /* ACQ_REL: acquire pairs with the release of dx_counter_free(), so the former owner's last
         * count comes before our zero; release keeps RESERVED before the label (see the head). */
        if (!dx_compare_exchange_acq_rel(&record->state, &state, reserved)) {
            continue;
        }
        dx_store_release(&value_at(counters, id)->value, 0);
        record_open(record, reserved, kind, label);
        *id_out = id;
        return DX_OK;
    }
    return dxi_fail(error, DX_ELIMIT,
                    "all %" PRId32 " counters are taken, none is left for \"%.60s\"",
                    counters->capacity, label);
}

dx_counter_t *dx_counter_at(dx_counters_t *counters, int32_t id)
{
    return id_is_valid(counters, id) ? value_at(counters, id) : NULL;
}

int dx_counter_free(dx_counters_t *counters, int32_t id)
{
    if (!id_is_valid(counters, id)) {
        return DX_EINVAL;
    }
    record_t *const record = record_at(counters, id);
    int64_t state = dx_load_relaxed(&record->state);
    if (phase_of(state) != PHASE_ALLOCATED ||
        !dx_compare_exchange_acq_rel(&record->state, &state, state - PHASE_ALLOCATED)) {
        return DX_ENOTFOUND;
    }
    return DX_OK;
}

int32_t dx_counters_capacity(const dx_counters_t *counters)
{
    return counters->capacity;
}

int32_t dx_counters_count(const dx_counters_t *counters)
{
    int32_t count = 0;
    for (int32_t id = 0; id < counters->capacity; id++) {
        if (phase_of(dx_load_relaxed(&record_at(counters, id)->state)) == PHASE_ALLOCATED) {
            count++;
        }
    }
    return count;
}

int dx_counter_read(const dx_counters_t *counters, int32_t id, dx_counter_info_t *info_out)
{
    if (!id_is_valid(counters, id)) {
        return DX_EINVAL;
    }
    const record_t *const record = record_at(counters, id);
    for (;;) {
        const int64_t state = dx_load_acquire(&record->state);
        if (phase_of(state) != PHASE_ALLOCATED) {
            return DX_ENOTFOUND;
        }
        info_out->id = id;
        info_out->kind = dx_load32_acquire(&record->kind);
        for (int i = 0; i < LABEL_WORDS; i++) {
            const int64_t word = dx_load_acquire(&record->label[i]);
            memcpy(info_out->label + (size_t)i * 8, &word, sizeof(word));
        }
        info_out->value = dx_load_acquire(&value_at(counters, id)->value);
        if (dx_load_relaxed(&record->state) == state) {
            return DX_OK;
        }
    }
}

int32_t dx_counters_next(const dx_counters_t *counters, int32_t id_from,
                         dx_counter_info_t *info_out)
{
    for (int32_t id = id_from < 0 ? 0 : id_from; id < counters->capacity; id++) {
        if (dx_counter_read(counters, id, info_out) == DX_OK) {
            return id;
        }
    }
    return DX_ENOTFOUND;
}
