/* share_file.c - the file of a shared ring, before anything in it is believed.
 *
 * DESIGN
 *
 * A file is only a claim to be a ring. Before it is mapped, its kind, owner and size are looked at,
 * its header is read, every number in it is checked against the limits, and all offsets are
 * computed again from the geometry and compared. After it is mapped, the words that the library
 * goes by (masks, indexes, sequences) are checked once. What happens to them later is the work of
 * processes that may write the file, and those are trusted; spans are the exception, because their
 * lengths come from users (span.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fail.h"
#include "ring/share.h"

/* No honest sequence comes near: first_sequence is at most half of this. */
#define SEQUENCE_MAX (INT64_MAX / 4 * 3)
#define COUNTER_MAX (INT64_C(1) << 53)

/* ---------------------------------------------------------------------------- names and paths */

static bool name_is_good(const char *name)
{
    static const char *const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789._-";
    const size_t length = strlen(name);
    return length >= 1 && length <= DX_RING_NAME_MAX && name[0] != '.' &&
           strspn(name, allowed) == length;
}

int dxi_share_path(const char *name, const char *folder, char *path_out, dx_error_t *error)
{
    if (name == NULL || !name_is_good(name)) {
        return dxi_fail(error, DX_EINVAL,
                        "the name of a shared ring is '%s', must be 1 to %u of the characters A-Z "
                        "a-z 0-9 . _ - and not begin with a dot",
                        name != NULL ? name : "", DX_RING_NAME_MAX);
    }
    folder = folder != NULL ? folder : DX_RING_FOLDER;
    const int length =
        snprintf(path_out, DXI_SHARE_PATH_BYTES, "%s/%s%s", folder, name, DX_RING_SUFFIX);
    if (folder[0] == 0 || length < 0 || length >= DXI_SHARE_PATH_BYTES - 64) {
        return dxi_fail(error, DX_EINVAL, "folder has %zu bytes, must have 1 to %d", strlen(folder),
                        DXI_SHARE_PATH_BYTES - 128);
    }
    return DX_OK;
}

/* ------------------------------------------------------------------------------------ opening */

static int open_failed(const char *path, int os, dx_error_t *error)
{
    switch (os) {
    case ENOENT:
        return dxi_fail(error, DX_ENOTFOUND, "there is no shared ring '%s'", path);
    case ELOOP:
        return dxi_fail(error, DX_EPERM, "'%s' is a symbolic link; attach to the file itself",
                        path);
    case EISDIR: /* a folder is not opened for writing, a socket not at all */
    case ENXIO:
        return dxi_fail(error, DX_ECORRUPT, "'%s' is not a file", path);
    default:
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot open '%s'", path);
    }
}

int dxi_share_open(const char *path, bool observe, bool any_owner, dx_error_t *error)
{
    /* NONBLOCK: a pipe of that name must not hold us up. */
    const int access = observe ? O_RDONLY : O_RDWR;
    const int fd = open(path, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return open_failed(path, errno, error);
    }
    struct stat status;
    int code = DX_OK;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        code = dxi_fail(error, DX_ECORRUPT, "'%s' is not a file", path);
    } else if (!any_owner && status.st_uid != 0 && status.st_uid != geteuid()) {
        code = dxi_fail(error, DX_EPERM,
                        "'%s' belongs to user %u, not to user %u or root; attach with any_owner if "
                        "that user is trusted",
                        path, (unsigned)status.st_uid, (unsigned)geteuid());
    }
    if (code != DX_OK) {
        (void)close(fd);
        return code;
    }
    return fd;
}

bool dxi_share_has_name(int fd, const char *path)
{
    struct stat ours;
    struct stat named;
    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

/* ------------------------------------------------------------------------------------- layout */

/* The first number of the geometry that breaks a rule; NULL when none does. */
static const char *geometry_fault(const dx_ring_block_t *g)
{
    const bool power = g->slot_count != 0 && (g->slot_count & (g->slot_count - 1)) == 0;
    if (g->mode > DX_RING_MULTI) {
        return "mode";
    }
    if (!power || g->slot_count < DX_RING_SLOT_COUNT_MIN ||
        g->slot_count > DX_RING_SLOT_COUNT_MAX) {
        return "slot_count";
    }
    if (g->slot_bytes < 8 || g->slot_bytes > DX_RING_EVENT_BYTES_MAX || g->slot_bytes % 8 != 0) {
        return "slot_bytes";
    }
    if (g->consumers_max < 1 || g->consumers_max > DX_RING_CONSUMERS_MAX) {
        return "consumers_max";
    }
    if (g->producers_max < 1 || g->producers_max > DX_RING_PRODUCERS_MAX ||
        (g->mode == DX_RING_SINGLE && g->producers_max != 1)) {
        return "producers_max";
    }
    if (g->processes_max != DX_RING_PROCESSES_MAX) {
        return "processes_max";
    }
    if (g->spans > 1 || (g->spans == 1 && g->slot_bytes != DX_RING_SPAN_SLOT_BYTES)) {
        return "spans";
    }
    if (g->stalled > DX_ON_STALL_WAIT) {
        return "stalled";
    }
    if (g->detect_ns < DX_RING_DETECT_NS_MIN || g->detect_ns > DX_RING_DETECT_NS_MAX) {
        return "detect_ns";
    }
    return NULL;
}

int dxi_share_read_layout(int fd, const char *path, dx_ring_block_t *layout_out, dx_error_t *error)
{
    dx_ring_block_t found;
    memset(&found, 0, sizeof(found));
    const ssize_t length = pread(fd, &found, sizeof(found), 0);
    struct stat status = {0};
    if (length < 0 || fstat(fd, &status) != 0) {
        const int os = errno;
        return dxi_fail_os(error, DX_EIO, os, "cannot read '%s'", path);
    }
    if (length < (ssize_t)offsetof(dx_ring_block_t, mode) || found.magic != DX_RING_MAGIC) {
        return dxi_fail(error, DX_ECORRUPT, "'%s' is not a ring", path);
    }
    if (found.layout != DX_RING_LAYOUT) {
        return dxi_fail(error, DX_EVERSION, "'%s' has layout %u, this library has layout %u", path,
                        found.layout, DX_RING_LAYOUT);
    }
    if (length < (ssize_t)sizeof(found)) {
        return dxi_fail(error, DX_ECORRUPT, "'%s' is cut off: it has %zd bytes", path, length);
    }
    const char *fault = geometry_fault(&found);
    if (fault != NULL) {
        return dxi_fail(error, DX_ECORRUPT, "'%s' is damaged: %s is out of its range", path, fault);
    }
    /* What must follow from the geometry, does. */
    const dx_ring_block_t layout = dxi_ring_layout(&found);
    if (memcmp(&layout, &found, offsetof(dx_ring_block_t, name)) != 0) {
        return dxi_fail(error, DX_ECORRUPT, "'%s' is damaged: its offsets do not fit its sizes",
                        path);
    }
    if ((uint64_t)status.st_size != layout.block_bytes) {
        return dxi_fail(error, DX_ECORRUPT,
                        "'%s' has %" PRId64 " bytes, must have %" PRIu64 ": it was %s", path,
                        (int64_t)status.st_size, layout.block_bytes,
                        (uint64_t)status.st_size < layout.block_bytes ? "cut off" : "extended");
    }
    *layout_out = layout;
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- words */

static bool is_sequence(int64_t value)
{
    return value >= -1 && value <= SEQUENCE_MAX;
}

static bool is_process(int32_t index)
{
    return index >= -1 && index < (int32_t)DX_RING_PROCESSES_MAX;
}

/* What is only ever counted up; so far from the end that sums of it have room. */
static bool are_counters(const dx_atomic64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t value = dx_load_relaxed(&words[i]);
        if (value < 0 || value > COUNTER_MAX) {
            return false;
        }
    }
    return true;
}

static bool is_name(const char *name)
{
    return name[DX_RING_NAME_MAX] == 0; /* the rest is for eyes */
}

/* The first word of a consumer entry that can't be, whether or not it is in use; NULL when all
 * can. */
static const char *consumer_fault(const dx_ring_block_t *block, const dx_consumer_entry_t *entry)
{
    const uint64_t all = (UINT64_C(1) << block->consumers_max) - 1;
    const int64_t sequence = dx_load_relaxed(&entry->sequence);
    const int64_t since = dx_load_relaxed(&entry->skip_since);
    if ((!is_sequence(sequence) && sequence != DX_SEQUENCE_IDLE) ||
        !is_sequence(dx_load_relaxed(&entry->start_sequence)) ||
        !is_sequence(dx_load_relaxed(&entry->evicted_at)) ||
        (!is_sequence(since) && since != INT64_MIN)) {
        return "sequence of a consumer";
    }
    if (((uint64_t)dx_load_relaxed(&entry->upstream) & ~all) != 0 ||
        ((uint64_t)dx_load_relaxed(&entry->bound) & ~all) != 0 ||
        ((uint64_t)dx_load_relaxed(&entry->waiters) & DXI_SIGNAL_SLEEPERS & ~all) != 0 ||
        (entry->skip_bit & ~DXI_MARK_SKIPS) != 0) {
        return "mask of a consumer";
    }
    if ((uint32_t)entry->kind > DX_CONSUMER_WORKER || entry->pool < 0 ||
        entry->pool >= (int32_t)block->consumers_max ||
        (uint32_t)dx_load32_relaxed(&entry->state) > DX_CONSUMER_LEFT ||
        (uint32_t)entry->on_death > DX_ON_DEATH_BLOCK || !is_process(entry->process)) {
        return "kind, pool, state or process of a consumer";
    }
    if (!is_name(entry->name)) {
        return "name of a consumer";
    }
    return are_counters((const dx_atomic64_t *)&entry->counters,
                        sizeof(entry->counters) / sizeof(dx_atomic64_t))
               ? NULL
               : "counter of a consumer";
}

static const char *producer_fault(const dx_producer_entry_t *entry)
{
    const int64_t last = dx_load_relaxed(&entry->held_last);
    if ((!is_sequence(last) && last != INT64_MIN) ||
        !is_sequence(dx_load_relaxed(&entry->held_first))) {
        return "claim of a producer";
    }
    if (!is_process(entry->process) ||
        (uint32_t)dx_load32_relaxed(&entry->in_use) > DXI_PRODUCER_CLOSED) {
        return "state or process of a producer";
    }
    if (!is_name(entry->name)) {
        return "name of a producer";
    }
    return are_counters(&entry->waits, 7) ? NULL : "counter of a producer"; /* waits to aborts */
}

/* The last sequence that anybody can have seen. */
static int64_t end_of(const dx_ring_block_t *block)
{
    return dx_load_acquire(block->mode == DX_RING_MULTI ? &block->claimed : &block->cursor);
}

/* R1, for every consumer in the graph. Others may run: what is read first may only be too low, what
 * is read last only too high. A worker's word says little: see worker.c. */
static bool are_within(const dx_ring_block_t *block)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const int64_t before = end_of(block);
    for (uint64_t rest = (uint64_t)dx_load_acquire(&block->active); rest != 0; rest &= rest - 1) {
        const dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        const int64_t sequence = dx_load_acquire(&entry->sequence);
        if (entry->kind != DX_CONSUMER_WORKER &&
            (sequence < before - (int64_t)block->slot_count || sequence > end_of(block))) {
            return false;
        }
    }
    return true;
}

/* The first word of the block itself that can't be; NULL when all can. */
static const char *head_fault(const dx_ring_block_t *block)
{
    const uint64_t all = (UINT64_C(1) << block->consumers_max) - 1;
    const int64_t cursor = dx_load_acquire(&block->cursor);
    const int64_t claimed = dx_load_acquire(&block->claimed);
    const int64_t marked = dx_load_acquire(&block->marks_last);
    if (!is_sequence(cursor) || !is_sequence(claimed) ||
        (block->mode == DX_RING_MULTI && cursor > claimed)) {
        return "cursor";
    }
    if (!is_sequence(marked) && marked != INT64_MIN) {
        return "last mark";
    }
    if (((uint64_t)dx_load_acquire(&block->gating) & ~all) != 0 ||
        ((uint64_t)dx_load_acquire(&block->active) & ~all) != 0 ||
        ((uint64_t)dx_load_acquire(&block->signal) & DXI_SIGNAL_SLEEPERS & ~all) != 0) {
        return "mask of consumers";
    }
    if (!is_name(block->name)) {
        return "name";
    }
    return are_counters(&block->joins, 1) && are_counters(&block->deaths, 5) ? NULL : "counter";
}

/* The first word that can't be; NULL when all can. */
static const char *word_fault(const dx_ring_block_t *block)
{
    const char *fault = head_fault(block);
    for (uint32_t i = 0; fault == NULL && i < block->consumers_max; i++) {
        fault = consumer_fault(block, &dxi_block_consumers(block)[i]);
    }
    for (uint32_t i = 0; fault == NULL && i < block->producers_max; i++) {
        fault = producer_fault(&dxi_block_producers(block)[i]);
    }
    for (uint32_t i = 0; fault == NULL && i < block->processes_max; i++) {
        const dx_process_entry_t *entry = &dxi_block_processes(block)[i];
        if (!are_counters(&entry->beats, 1) || dx_load_relaxed(&entry->beat_ns) < 0 ||
            (uint32_t)dx_load32_relaxed(&entry->state) > DX_PROCESS_DEAD || !is_name(entry->name)) {
            fault = "state, beat or name of a process";
        }
    }
    return fault == NULL && !are_within(block) ? "place of a consumer" : fault;
}

int dxi_share_check_words(const dx_ring_block_t *block, const char *path, dx_error_t *error)
{
    const char *fault = word_fault(block);
    return fault == NULL
               ? DX_OK
               : dxi_fail(error, DX_ECORRUPT, "'%s' is damaged: a %s can't be", path, fault);
}
