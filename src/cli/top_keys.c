/* top_keys.c - what each key of `dx top` does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "cli/top.h"

static dxi_top_view_t *view_of(dxi_top_t *top)
{
    return &top->views[top->screen];
}

/* Numbers begin with the largest, texts with the first letter. */
static void sort_by(dxi_top_t *top, int column)
{
    size_t count = 0;
    const dxi_top_column_t *const columns = dxi_top_columns(top->screen, &count);
    dxi_top_view_t *const view = view_of(top);
    view->column = (column + (int)count) % (int)count;
    view->descending = columns[view->column].kind != DXI_TOP_TEXT;
}

void dxi_top_init(dxi_top_t *top)
{
    static const char *const first[DXI_TOP_SCREENS] = {
        [DXI_TOP_TOPICS] = "in/s", [DXI_TOP_SUBSCRIPTIONS] = "lag", [DXI_TOP_CONNECTIONS] = "in/s",
        [DXI_TOP_RINGS] = "used",  [DXI_TOP_LOOPS] = "loop",
    };
    memset(top, 0, sizeof *top);
    top->interval_ns = INT64_C(1000000000);
    for (int i = DXI_TOP_SCREENS - 1; i >= 0; i--) {
        top->screen = (dxi_top_screen_t)i;
        sort_by(top, dxi_top_column_find(top->screen, first[i]));
    }
}

void dxi_top_close(dxi_top_t *top)
{
    dxi_top_model_close(&top->model);
}

int dxi_top_sort(dxi_top_t *top, const char *column, dx_error_t *error)
{
    const int found = dxi_top_column_find(top->screen, column);
    if (found >= 0) {
        sort_by(top, found);
        return DX_OK;
    }
    char names[256];
    size_t used = 0;
    size_t count = 0;
    const dxi_top_column_t *const columns = dxi_top_columns(top->screen, &count);
    for (size_t i = 0; i < count && used < sizeof names; i++) {
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "",
                                 columns[i].title);
    }
    return dxi_fail(error, DX_ENOTFOUND, "%s have no column %.40s; there are: %s",
                    dxi_top_name(top->screen), column, names);
}

int dxi_top_take(dxi_top_t *top, json_t *look, int64_t taken_ns, const char *clock)
{
    top->trouble[0] = '\0';
    if (top->paused && top->model.now != NULL) {
        json_decref(look);
        return DX_OK;
    }
    snprintf(top->clock, sizeof top->clock, "%s", clock);
    return dxi_top_model_take(&top->model, look, taken_ns);
}

void dxi_top_trouble(dxi_top_t *top, const char *sentence, int64_t now_ns)
{
    if (top->trouble[0] == '\0') {
        top->trouble_ns = now_ns;
    }
    snprintf(top->trouble, sizeof top->trouble, "%s", sentence);
}

/* --------------------------------------------------------------------------------------- cursor */

int dxi_top_selected(const dxi_top_t *top, int count)
{
    const dxi_top_view_t *const view = &top->views[top->screen];
    for (int i = 0; i < count && view->selected[0] != '\0'; i++) {
        if (strcmp(top->model.rows[i].identity, view->selected) == 0) {
            return i;
        }
    }
    const int place = view->selected[0] != '\0' ? view->place : 0;
    return place < count ? place : count > 0 ? count - 1 : 0;
}

static int rows_now(dxi_top_t *top)
{
    const dxi_top_view_t *const view = view_of(top);
    const int count =
        dxi_top_rows(&top->model, top->screen, top->filter, view->column, view->descending);
    return count > 0 ? count : 0;
}

/* Moves the cursor by `steps`, as far as there are rows. */
static void cursor_move(dxi_top_t *top, int steps)
{
    const int count = rows_now(top);
    if (count == 0) {
        return;
    }
    int place = dxi_top_selected(top, count) + steps;
    place = place < 0 ? 0 : place >= count ? count - 1 : place;
    snprintf(view_of(top)->selected, sizeof view_of(top)->selected, "%s",
             top->model.rows[place].identity);
}

static void move(dxi_top_t *top, int steps)
{
    if (top->mode == DXI_TOP_DETAIL) {
        top->detail_first = top->detail_first + steps < 0 ? 0 : top->detail_first + steps;
    } else {
        cursor_move(top, steps);
    }
}

static void screen_show(dxi_top_t *top, int screen)
{
    top->screen = (dxi_top_screen_t)((screen + DXI_TOP_SCREENS) % DXI_TOP_SCREENS);
    top->mode = DXI_TOP_LIST;
    top->detail_first = 0;
}

static dxi_top_action_t interval_change(dxi_top_t *top, bool longer)
{
    static const int64_t steps_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};
    const int count = (int)(sizeof steps_ms / sizeof steps_ms[0]);
    int place = 0;
    while (place < count - 1 && steps_ms[place] * 1000000 < top->interval_ns) {
        place++;
    }
    const bool between = steps_ms[place] * 1000000 != top->interval_ns;
    place += longer ? !between : -1;
    place = place < 0 ? 0 : place >= count ? count - 1 : place;
    top->interval_ns = steps_ms[place] * 1000000;
    return DXI_TOP_LOOK;
}

/* ----------------------------------------------------------------------------------------- keys */

static dxi_top_action_t filter_key(dxi_top_t *top, int key)
{
    const size_t bytes = strlen(top->filter);
    switch (key) {
    case DXI_KEY_ENTER:
        top->mode = DXI_TOP_LIST;
        break;
    case DXI_KEY_ESCAPE:
        memcpy(top->filter, top->filter_before, sizeof top->filter);
        top->mode = DXI_TOP_LIST;
        break;
    case DXI_KEY_BACKSPACE:
    case 8:
        if (bytes > 0) {
            top->filter[bytes - 1] = '\0';
        }
        break;
    case DXI_KEY_UP:
    case DXI_KEY_DOWN:
        cursor_move(top, key == DXI_KEY_UP ? -1 : 1);
        break;
    default:
        if (key >= ' ' && key < 127 && bytes + 1 < sizeof top->filter) {
            top->filter[bytes] = (char)key;
            top->filter[bytes + 1] = '\0';
        }
        break;
    }
    return DXI_TOP_DRAW;
}

static void escape(dxi_top_t *top)
{
    if (top->mode == DXI_TOP_DETAIL) {
        top->mode = DXI_TOP_LIST;
    } else {
        top->filter[0] = '\0';
    }
    top->detail_first = 0;
}

/* Moving. Returns false for a key that is none of these. */
static bool moving_key(dxi_top_t *top, int key)
{
    const int page = top->lines > 1 ? top->lines - 1 : 1;
    switch (key) {
    case DXI_KEY_UP:
    case 'k':
        move(top, -1);
        return true;
    case DXI_KEY_DOWN:
    case 'j':
        move(top, 1);
        return true;
    case DXI_KEY_PAGE_UP:
        move(top, -page);
        return true;
    case DXI_KEY_PAGE_DOWN:
        move(top, page);
        return true;
    case DXI_KEY_HOME:
    case 'g':
        move(top, -1000000000);
        return true;
    case DXI_KEY_END:
    case 'G':
        move(top, top->mode == DXI_TOP_DETAIL ? 1000 : 1000000000);
        return true;
    case DXI_KEY_TAB:
    case DXI_KEY_RIGHT:
        screen_show(top, (int)top->screen + 1);
        return true;
    case DXI_KEY_BACK_TAB:
    case DXI_KEY_LEFT:
        screen_show(top, (int)top->screen - 1);
        return true;
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
        screen_show(top, key - '1');
        return true;
    default:
        return false;
    }
}

static dxi_top_action_t other_key(dxi_top_t *top, int key)
{
    dxi_top_view_t *const view = view_of(top);
    switch (key) {
    case 'q':
    case 'Q':
        return DXI_TOP_QUIT;
    case '<':
    case ',':
        sort_by(top, view->column - 1);
        break;
    case '>':
    case '.':
        sort_by(top, view->column + 1);
        break;
    case 'r':
        view->descending = !view->descending;
        break;
    case '/':
        memcpy(top->filter_before, top->filter, sizeof top->filter);
        top->mode = DXI_TOP_FILTER;
        break;
    case DXI_KEY_ENTER:
    case '\r':
        cursor_move(top, 0); /* it stays on this one, whatever comes before it later */
        top->mode =
            top->mode == DXI_TOP_DETAIL || rows_now(top) == 0 ? DXI_TOP_LIST : DXI_TOP_DETAIL;
        top->detail_first = 0;
        break;
    case DXI_KEY_ESCAPE:
        escape(top);
        break;
    case 'p':
    case ' ':
        top->paused = !top->paused;
        return top->paused ? DXI_TOP_DRAW : DXI_TOP_LOOK;
    case '+':
    case '-':
        return interval_change(top, key == '+');
    case '?':
    case 'h':
        top->mode_before_help = top->mode;
        top->mode = DXI_TOP_HELP;
        break;
    default:
        break;
    }
    return DXI_TOP_DRAW;
}

dxi_top_action_t dxi_top_key(dxi_top_t *top, int key)
{
    if (key == DXI_KEY_RESIZE) {
        return DXI_TOP_DRAW;
    }
    if (top->mode == DXI_TOP_FILTER) {
        return filter_key(top, key);
    }
    if (top->mode == DXI_TOP_HELP) {
        top->mode = top->mode_before_help;
        return DXI_TOP_DRAW;
    }
    return moving_key(top, key) ? DXI_TOP_DRAW : other_key(top, key);
}
