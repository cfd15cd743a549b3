/* interrupt.c - signals as bytes in a pipe, so that waiting for them has no gap.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "disruptorx/clock.h"

static int ends[2] = {-1, -1}; /* read, write */
static dx_atomic32_t ended;

/* Only what is allowed in a handler: stores, sigaction() and write(). */
static void byte_put(char byte)
{
    const int saved = errno;
    /* A pipe that is full wakes as well as one byte more would. */
    const ssize_t written = write(ends[1], &byte, 1);
    (void)written;
    errno = saved;
}

static void on_end(int number)
{
    (void)number;
    struct sigaction usual;
    memset(&usual, 0, sizeof usual);
    usual.sa_handler = SIG_DFL;
    (void)sigaction(SIGINT, &usual, NULL);
    (void)sigaction(SIGTERM, &usual, NULL);
    /* RELAXED: the word carries nothing else. */
    dx_store32_relaxed(&ended, 1);
    byte_put('e');
}

void dxi_interrupt_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    if (ends[0] < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        ends[0] = -1; /* waiting then looks at the words only */
    }
    /* Without SA_RESTART, so that a read from a terminal or a pipe ends, too. */
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_end;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

bool dxi_interrupted(void)
{
    return dx_load32_relaxed(&ended) != 0; /* RELAXED: see on_end() */
}

const dx_atomic32_t *dxi_interrupt_word(void)
{
    return &ended;
}

void dxi_interrupt_end(void)
{
    dx_store32_relaxed(&ended, 1); /* RELAXED: see on_end() */
    byte_put('e');
}

void dxi_interrupt_wake(void)
{
    byte_put('w');
}

static dxi_woken_t byte_take(void)
{
    char byte = 0;
    if (read(ends[0], &byte, 1) != 1) {
        return DXI_WOKEN_TIME;
    }
    return byte == 'w' ? DXI_WOKEN_CALL : DXI_WOKEN_INTERRUPT;
}

/* `fd` below 0: none; `events` 0: only its other side matters. */
static dxi_woken_t wait_once(int fd, short events, int64_t ns, bool *again_out)
{
    struct pollfd ready[] = {{.fd = ends[0], .events = POLLIN}, {.fd = fd, .events = events}};
    const struct timespec time = {.tv_sec = (time_t)(ns / DX_NS_PER_S),
                                  .tv_nsec = (long)(ns % DX_NS_PER_S)};
    const int count = ppoll(ready, fd < 0 ? 1 : 2, &time, NULL);
    *again_out = false;
    if (count > 0 && ready[0].revents != 0) {
        const dxi_woken_t woken = byte_take();
        if (woken != DXI_WOKEN_TIME) {
            return woken;
        }
    }
    if (count > 0 && fd >= 0 && ready[1].revents != 0) {
        return (ready[1].revents & POLLIN) != 0 ? DXI_WOKEN_INPUT : DXI_WOKEN_INTERRUPT;
    }
    if (count < 0 && errno == EINTR && fd >= 0 && !dxi_interrupted()) {
        return DXI_WOKEN_CALL;
    }
    *again_out = true;
    return DXI_WOKEN_TIME;
}

static dxi_woken_t wait_for(int fd, short events, int64_t ns)
{
    const int64_t until_ns = dx_clock_ns() + (ns < 0 ? 0 : ns);
    for (;;) {
        if (dxi_interrupted()) {
            return DXI_WOKEN_INTERRUPT;
        }
        const int64_t left_ns = ns < 0 ? 1000 * DX_NS_PER_S : until_ns - dx_clock_ns();
        if (left_ns <= 0) {
            return DXI_WOKEN_TIME;
        }
        bool again = false;
        const dxi_woken_t woken = wait_once(fd, events, left_ns, &again);
        if (!again) {
            return woken;
        }
    }
}

dxi_woken_t dxi_interrupt_wait(int64_t ns)
{
    return wait_for(-1, 0, ns);
}

dxi_woken_t dxi_interrupt_wait_input(int fd, int64_t ns)
{
    return wait_for(fd, POLLIN, ns);
}

dxi_woken_t dxi_interrupt_wait_output(int fd, int64_t ns)
{
    return wait_for(fd, 0, ns);
}
