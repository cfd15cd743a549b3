/* cli/screen.h - a text on a terminal that is replaced in place, again and again.
 *
 *     dxi_screen_enter();
 *     do {
 *         FILE *frame = dxi_screen_begin();
 *         fprintf(frame, ...);
 *         dxi_screen_show();
 *     } while (dxi_screen_wait(1000000000) != DXI_SCREEN_QUIT);
 *     dxi_screen_leave();
 *
 * Each text is put together in memory and written at once over the one before, so nothing flickers.
 * It has a screen of its own; when it is left, the last text stays behind on the usual one.
 *
 * Threads: main.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_SCREEN_H
#define DXI_CLI_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* True when standard output is a terminal that can do it. */
bool dxi_screen_possible(void);

/* From here on interrupts are only noticed in dxi_screen_wait(). */
void dxi_screen_enter(void);

/* Where the next text is written to; it is styled as standard output. NULL: no memory. */
FILE *dxi_screen_begin(void);

/* Shows it. What does not fit is cut off at the right and at the bottom. */
void dxi_screen_show(void);

typedef enum dxi_screen_event {
    DXI_SCREEN_TIME, /* the time is over, or the size of the terminal has changed */
    DXI_SCREEN_QUIT  /* an interrupt, or the key q */
} dxi_screen_event_t;

dxi_screen_event_t dxi_screen_wait(int64_t ns);

/* Gives the terminal back and prints the last text to it. */
void dxi_screen_leave(void);

#endif
