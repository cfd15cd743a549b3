/* cli/top_terminal.h - a grid on a terminal, and keys from it (ncurses).
 *
 * Threads: main.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TOP_TERMINAL_H
#define DXI_CLI_TOP_TERMINAL_H

#include <stdbool.h>

#include "cli/grid.h"

/* Takes the terminal. `colors`: use them. Returns DX_OK; DX_EIO when it is none that can do it. */
DX_NODISCARD int dxi_terminal_open(bool colors);

/* Gives it back as it was. Twice is allowed. */
void dxi_terminal_close(void);

void dxi_terminal_size(int *rows_out, int *columns_out);
void dxi_terminal_show(const dxi_grid_t *grid);

/* Draws everything anew with the next dxi_terminal_show(). */
void dxi_terminal_redraw(void);

/* The next key (an enum dxi_top_key or a character), -1 when there is none. Does not wait. */
int dxi_terminal_key(void);

#endif
