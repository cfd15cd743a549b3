/* cli/interrupt.h - Ctrl-C and SIGTERM, for commands that go on until they are told to end.
 *
 * The first SIGINT or SIGTERM is noticed here, the second one has its usual effect at once, so that
 * nobody has to wait for a command that hangs. Other threads wake the main one through here, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_INTERRUPT_H
#define DXI_CLI_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/atomic.h"

/* From here on the first SIGINT or SIGTERM is noticed. A write to a pipe that nobody reads is an
 * error instead of a signal.
 * Threads: main. */
void dxi_interrupt_catch(void);

/* True once one of them came, or dxi_interrupt_end() was called. Threads: any. */
bool dxi_interrupted(void);

/* The word that becomes 1 then, for loops that look at it. Threads: any. */
const dx_atomic32_t *dxi_interrupt_word(void);

/* Makes dxi_interrupted() true and wakes the main thread. Threads: any. */
void dxi_interrupt_end(void);

/* Wakes the main thread from dxi_interrupt_wait() without ending anything. Threads: any. */
void dxi_interrupt_wake(void);

typedef enum dxi_woken {
    DXI_WOKEN_TIME = 0,  /* the time is over */
    DXI_WOKEN_CALL = 1,  /* dxi_interrupt_wake() */
    DXI_WOKEN_INTERRUPT, /* dxi_interrupted() is true */
    DXI_WOKEN_INPUT      /* of dxi_interrupt_wait_input() */
} dxi_woken_t;

/* Sleeps until one of these; `ns` below 0: without a limit.
 * Threads: main. */
dxi_woken_t dxi_interrupt_wait(int64_t ns);

/* The same, until there is also something to read from `fd`; DXI_WOKEN_CALL for any other signal,
 * and DXI_WOKEN_INTERRUPT when its other side is gone.
 * Threads: main. */
dxi_woken_t dxi_interrupt_wait_input(int fd, int64_t ns);

/* The same as dxi_interrupt_wait(), and DXI_WOKEN_INTERRUPT also when nobody reads any more what is
 * written to `fd`, a pipe or a socket.
 * Threads: main. */
dxi_woken_t dxi_interrupt_wait_output(int fd, int64_t ns);

#endif
