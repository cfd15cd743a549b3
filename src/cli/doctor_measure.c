/* doctor_measure.c - how long a sync of the disk, a wake-up and a round trip take here.
 *
 * Plain system calls, nothing of ours: what it costs before there is a node. Each is done
 * ROUNDS times or until SPAN_NS is over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

#define ROUNDS_SYNC 200
#define ROUNDS_WAKE 1000
#define ROUNDS 4000
#define PAUSE_NS (100 * DX_NS_PER_US) /* so that the thread that is woken really sleeps */
#define SPAN_NS DX_NS_PER_S
#define BLOCK_BYTES 4096
#define MESSAGE_BYTES 64

static int64_t times[ROUNDS];

static int compare(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void measured_fill(dxi_measured_t *out, int count)
{
    out->count = count;
    if (count > 0) {
        qsort(times, (size_t)count, sizeof times[0], compare);
        out->p50_ns = times[count / 2];
        out->p99_ns = times[(count - 1) * 99 / 100];
        out->max_ns = times[count - 1];
    }
}

static void measured_fail(dxi_measured_t *out, const char *what, int number)
{
    out->code = DX_EIO;
    snprintf(out->problem, sizeof out->problem, "%s: %s", what, strerror(number));
}

/* ----------------------------------------------------------------------------------------- disk */

void dxi_measure_sync(const char *folder, bool (*stop)(int done, int all), dxi_measured_t *out)
{
    char path[PATH_MAX];
    static const char block[BLOCK_BYTES];
    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "%s/dx-doctor-XXXXXX", folder);
    const int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        measured_fail(out, folder, errno);
        return;
    }
    (void)unlink(path); /* it is gone whatever happens */
    const int64_t end_ns = dx_clock_ns() + SPAN_NS;
    int done = 0;
    while (done < ROUNDS_SYNC && dx_clock_ns() < end_ns && !stop(done, ROUNDS_SYNC)) {
        const int64_t begin_ns = dx_clock_ns();
        if (pwrite(fd, block, sizeof block, (off_t)done * BLOCK_BYTES) != sizeof block ||
            fdatasync(fd) != 0) {
            measured_fail(out, folder, errno);
            break;
        }
        times[done++] = dx_clock_ns() - begin_ns;
    }
    (void)close(fd);
    measured_fill(out, done);
}

/* ------------------------------------------------------------------------------------- wake-ups */

/* A word that two threads hand to and fro: even, it is main's turn; odd, the other's; -1: the end.
 * Whose turn it is owns `woken_ns` and `times`. */
static dx_atomic32_t turn;
static int64_t woken_ns; /* when the other was woken last */

static void word_wait(int32_t while_it_is)
{
    (void)syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, while_it_is, NULL, NULL, 0);
}

static void word_set(int32_t value)
{
    /* RELEASE, pairs with the acquire loads of the other thread: who has the turn sees what was
     * written before it was given. */
    dx_store32_release(&turn, value);
    (void)syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void answer_turns(void *context)
{
    (void)context;
    for (;;) {
        const int32_t now = dx_load32_acquire(&turn);
        if (now < 0) {
            return;
        }
        if (now % 2 == 0) {
            word_wait(now);
        } else {
            times[now / 2] = dx_clock_ns() - woken_ns;
            word_set(now + 1);
        }
    }
}

void dxi_measure_wake(bool (*stop)(int done, int all), dxi_measured_t *out)
{
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    memset(out, 0, sizeof *out);
    dx_store32_release(&turn, 0);
    if (dx_thread_start(&(dx_thread_options_t){.name = "dx.doctor"}, answer_turns, NULL, &thread,
                        &error) != DX_OK) {
        measured_fail(out, "a thread", EAGAIN);
        return;
    }
    const int64_t end_ns = dx_clock_ns() + SPAN_NS;
    int done = 0;
    while (done < ROUNDS_WAKE && dx_clock_ns() < end_ns && !stop(done, ROUNDS_WAKE)) {
        const int32_t other = 2 * done + 1;
        (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        woken_ns = dx_clock_ns();
        word_set(other);
        while (dx_load32_acquire(&turn) == other) {
            word_wait(other);
        }
        done++;
    }
    word_set(-1);
    (void)dx_thread_join(thread);
    measured_fill(out, done);
}

/* ---------------------------------------------------------------------------------- round trips */

static bool all_read(int fd, char *room)
{
    size_t got = 0;
    while (got < MESSAGE_BYTES) {
        const ssize_t bytes = recv(fd, room + got, MESSAGE_BYTES - got, 0);
        if (bytes <= 0) {
            return false;
        }
        got += (size_t)bytes;
    }
    return true;
}

static void echo(void *context)
{
    const int fd = *(const int *)context;
    char room[MESSAGE_BYTES];
    while (all_read(fd, room) && send(fd, room, sizeof room, MSG_NOSIGNAL) == sizeof room) {
    }
}

/* Two connected sockets on 127.0.0.1. Returns 0 or an errno. */
static int sockets_connect(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    const int one = 1;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[1] = -1;
    int number = 0;
    if (listener < 0 || fds[0] < 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) != 0 ||
        connect(fds[0], (const struct sockaddr *)&address, sizeof address) != 0 ||
        (fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        number = errno;
    }
    for (int i = 0; i < 2 && number == 0; i++) {
        (void)setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (listener >= 0) {
        (void)close(listener);
    }
    return number;
}

static void sockets_close(const int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

void dxi_measure_loopback(bool (*stop)(int done, int all), dxi_measured_t *out)
{
    int fds[2];
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    char room[MESSAGE_BYTES] = {0};
    memset(out, 0, sizeof *out);
    const int number = sockets_connect(fds);
    if (number != 0) {
        measured_fail(out, "127.0.0.1", number);
        sockets_close(fds);
        return;
    }
    if (dx_thread_start(&(dx_thread_options_t){.name = "dx.doctor"}, echo, &fds[1], &thread,
                        &error) != DX_OK) {
        measured_fail(out, "a thread", EAGAIN);
        sockets_close(fds);
        return;
    }
    const int64_t end_ns = dx_clock_ns() + SPAN_NS;
    int done = 0;
    while (done < ROUNDS && dx_clock_ns() < end_ns && !stop(done, ROUNDS)) {
        const int64_t begin_ns = dx_clock_ns();
        if (send(fds[0], room, sizeof room, MSG_NOSIGNAL) != sizeof room ||
            !all_read(fds[0], room)) {
            measured_fail(out, "127.0.0.1", errno);
            break;
        }
        times[done++] = dx_clock_ns() - begin_ns;
    }
    (void)shutdown(fds[0], SHUT_RDWR); /* the other side reads the end */
    (void)dx_thread_join(thread);
    sockets_close(fds);
    measured_fill(out, done);
}
