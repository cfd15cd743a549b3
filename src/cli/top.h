/* cli/top.h - `dx top` without its terminal: keys in, characters out.
 *
 *     LIST --Enter--> DETAIL --Esc, Enter--> LIST        a screen's rows; all of one of them
 *     LIST --/------> FILTER --Enter, Esc---> LIST       typing what rows must have in them
 *     any  --?------> HELP   --any key------> before
 *
 * The cursor stays on its item when the order changes. While it is paused, looks are refused by
 * whoever makes them; the model stays as it is.
 *
 * Threads: one belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TOP_H
#define DXI_CLI_TOP_H

#include "cli/grid.h"
#include "cli/top_model.h"

#define DXI_TOP_INTERVAL_MIN_NS INT64_C(100000000)
#define DXI_TOP_INTERVAL_MAX_NS INT64_C(60000000000)
#define DXI_TOP_FILTER_BYTES 64

/* Keys beside characters, which are themselves. */
enum dxi_top_key {
    DXI_KEY_ENTER = '\n',
    DXI_KEY_ESCAPE = 27,
    DXI_KEY_TAB = '\t',
    DXI_KEY_BACKSPACE = 127,
    DXI_KEY_UP = 256,
    DXI_KEY_DOWN,
    DXI_KEY_LEFT,
    DXI_KEY_RIGHT,
    DXI_KEY_PAGE_UP,
    DXI_KEY_PAGE_DOWN,
    DXI_KEY_HOME,
    DXI_KEY_END,
    DXI_KEY_BACK_TAB,
    DXI_KEY_RESIZE
};

typedef enum dxi_top_mode {
    DXI_TOP_LIST = 0,
    DXI_TOP_DETAIL = 1,
    DXI_TOP_FILTER = 2,
    DXI_TOP_HELP = 3
} dxi_top_mode_t;

typedef enum dxi_top_action {
    DXI_TOP_DRAW = 0, /* something may have changed */
    DXI_TOP_LOOK = 1, /* and a look is wanted now, or the interval has changed */
    DXI_TOP_QUIT = 2
} dxi_top_action_t;

/* What is remembered of each screen. */
typedef struct dxi_top_view {
    int column; /* sorted by it */
    bool descending;
    char selected[768]; /* identity; "": the first row */
    int place;          /* where it was; its place when it is gone */
    int first;          /* row at the top */
} dxi_top_view_t;

typedef struct dxi_top {
    dxi_top_model_t model;
    dxi_top_screen_t screen;
    dxi_top_mode_t mode;
    dxi_top_mode_t mode_before_help;
    dxi_top_view_t views[DXI_TOP_SCREENS];
    char filter[DXI_TOP_FILTER_BYTES];
    char filter_before[DXI_TOP_FILTER_BYTES]; /* of Esc while it is typed */
    int detail_first;
    int lines; /* rows and lines that the last drawing had room for */
    bool paused;
    int64_t interval_ns;
    char address[256];
    char clock[16];    /* of the last look, "12:31:07" */
    char trouble[256]; /* why there is no new look; "": there is */
    int64_t trouble_ns;
} dxi_top_t;

/* Screens sorted by what is asked most; nothing is known yet. */
void dxi_top_init(dxi_top_t *top);
void dxi_top_close(dxi_top_t *top);

/* Chooses the order of the screen that is shown. Returns DX_OK, or DX_ENOTFOUND with the columns
 * that there are. */
DX_NODISCARD int dxi_top_sort(dxi_top_t *top, const char *column, dx_error_t *error);

/* Takes a look over, or not while it is paused. Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_top_take(dxi_top_t *top, json_t *look, int64_t taken_ns, const char *clock);

/* There is no look: why, and since when. */
void dxi_top_trouble(dxi_top_t *top, const char *sentence, int64_t now_ns);

dxi_top_action_t dxi_top_key(dxi_top_t *top, int key);

/* Draws all of it; `now_ns` tells for how long there has been trouble. */
void dxi_top_draw(dxi_top_t *top, dxi_grid_t *grid, int64_t now_ns);

/* Head and all rows of the screen as text, `columns` wide, for what is no terminal.
 * Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_top_print(dxi_top_t *top, FILE *stream, int columns);

/* Where the cursor's row is among `count` rows of the model. */
int dxi_top_selected(const dxi_top_t *top, int count);

#endif
