/* clock_shift.c - a wall clock that jumps, for one process: loaded with LD_PRELOAD, it adds the
 * seconds that stand in the file CLOCK_SHIFT_FILE (8 bytes, mapped, so that a test can change them
 * while the process runs) to CLOCK_REALTIME. Other clocks are the machine's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *seconds;

__attribute__((constructor)) static void begin(void)
{
    const char *const path = getenv("CLOCK_SHIFT_FILE");
    const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *const memory = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        abort(); /* a test without its clock would pass for nothing */
    }
    (void)close(fd);
    seconds = memory;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    const long rc = syscall(SYS_clock_gettime, clock, now);
    if (rc == 0 && clock == CLOCK_REALTIME && seconds != NULL) {
        now->tv_sec += *seconds;
    }
    return (int)rc;
}
