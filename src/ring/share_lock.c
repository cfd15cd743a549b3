/* share_lock.c - the kernel's locks on places of the file.
 *
 * DESIGN
 *
 * Who lives can't be said by memory: it stays as it was when its writer dies. A lock on a byte of
 * the file (an open file description lock) belongs to a descriptor, and the kernel takes it back
 * when the last copy of that is closed, which death does, whatever kind of death, before a parent
 * can even be told. It knows nothing of process ids, so it can't be wrong about one that is used
 * again, or about another pid namespace. The bytes lie far behind the end of the file: nothing is
 * ever written there.
 *
 * fork() copies the descriptor, and a child that lived longer would hold its parent's lock: the
 * child closes its copies at once (guard.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "ring/share.h"

#define LOCK_LOOK_NS INT64_C(200000)

static bool lock_byte(int fd, int64_t byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc = -1;
    do {
        rc = fcntl(fd, F_OFD_SETLK, &lock);
    } while (rc != 0 && errno == EINTR);
    return rc == 0;
}

bool dxi_share_try_lock(int fd)
{
    return lock_byte(fd, DXI_LOCK_TABLE, F_WRLCK);
}

int dxi_share_lock(int fd, const char *path, int64_t timeout_ns, dx_error_t *error)
{
    const int64_t started_ns = dx_clock_ns();
    const struct timespec look = {.tv_nsec = LOCK_LOOK_NS};
    while (!dxi_share_try_lock(fd)) {
        if (errno != EAGAIN && errno != EACCES) {
            const int os = errno;
            return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot lock '%s'", path);
        }
        if (dx_clock_ns() - started_ns >= timeout_ns) {
            return dxi_fail(error, DX_EBUSY,
                            "the tables of '%s' are held by another process for more than %" PRId64
                            " ms: is it stopped?",
                            path, timeout_ns / 1000000);
        }
        (void)nanosleep(&look, NULL);
    }
    return DX_OK;
}

void dxi_share_unlock(int fd)
{
    (void)lock_byte(fd, DXI_LOCK_TABLE, F_UNLCK);
}

bool dxi_share_take(int fd, int32_t index)
{
    return lock_byte(fd, DXI_LOCK_PROCESSES + index, F_WRLCK);
}

void dxi_share_give_back(int fd, int32_t index)
{
    (void)lock_byte(fd, DXI_LOCK_PROCESSES + index, F_UNLCK);
}

bool dxi_share_is_taken(int fd, int32_t index)
{
    /* Asked as for reading, which a descriptor for reading may: it collides with who writes. */
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = DXI_LOCK_PROCESSES + index, .l_len = 1};
    /* When in doubt it lives: to take what is another's is worse than to wait for it. */
    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

int32_t dxi_share_count_taken(int fd)
{
    int32_t taken = 0;
    for (int32_t i = 0; i < (int32_t)DX_RING_PROCESSES_MAX; i++) {
        taken += dxi_share_is_taken(fd, i);
    }
    return taken;
}
