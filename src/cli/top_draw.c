/* top_draw.c - what `dx top` shows, as characters.
 *
 *     dx top  NAME  up TIME  ADDRESS                      12:31:07 every 1 s
 *     in 1,200/s  out 2,400/s   ...                       the node
 *     latency p50 12 us ...
 *     [1 topics 12]  2 subscriptions 3 ...                the screens
 *     topic            in/s v     out/s ...               columns; v: sorted, the largest first
 *     > orders.new    1,200 ...                           rows
 *     / filter  < > sort ...                              keys, or what is wrong
 *
 * Columns that do not fit are left out in the order of their `drop`; the first text takes what it
 * needs of what is left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bus/shard.h"
#include "cli/top.h"

enum { HEAD_ROWS = 5, FOOT_ROWS = 1, MARK_COLUMNS = 2, LABEL_COLUMNS = 26 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* "1,234/s"; "-" while there is no rate. */
static const char *rate_text(dxi_text_t *text, double rate)
{
    return isnan(rate) ? "-" : dxi_format_count(text, (int64_t)(0.5 + rate));
}

static const char *count_text(dxi_text_t *text, double number)
{
    return isnan(number) ? "-" : dxi_format_count(text, (int64_t)(0.5 + number));
}

static const char *bytes_text(dxi_text_t *text, double number)
{
    return isnan(number) ? "-" : dxi_format_bytes(text, (uint64_t)number);
}

static const char *ns_text(dxi_text_t *text, double ns)
{
    return isnan(ns) || ns == 0 ? "-" : dxi_format_ns(text, (int64_t)ns);
}

/* ----------------------------------------------------------------------------------------- head */

/* "3 d 4 h", "12 min 5 s" */
static void uptime_write(char *room, size_t bytes, double ns)
{
    static const struct {
        const char *name;
        int64_t s;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    const int64_t s = isnan(ns) ? 0 : (int64_t)(ns / 1e9);
    size_t unit = 0;
    while (unit < 3 && s < units[unit].s) {
        unit++;
    }
    const int64_t count = s / units[unit].s;
    if (unit == 3) {
        snprintf(room, bytes, "%d s", (int)count);
    } else {
        snprintf(room, bytes, "%d %s %d %s", (int)count, units[unit].name,
                 (int)((s - count * units[unit].s) / units[unit + 1].s), units[unit + 1].name);
    }
}

/* "1 s", "1 min", "200 ms" */
static void interval_write(char *room, size_t bytes, int64_t ns)
{
    const int64_t ms = ns / 1000000;
    if (ms % 60000 == 0) {
        snprintf(room, bytes, "%lld min", (long long)(ms / 60000));
    } else if (ms % 1000 == 0) {
        snprintf(room, bytes, "%lld s", (long long)(ms / 1000));
    } else {
        snprintf(room, bytes, "%lld ms", (long long)ms);
    }
}

static void first_line_draw(const dxi_top_t *top, dxi_grid_t *grid)
{
    const json_t *const node = json_object_get(top->model.now, "node");
    char right[64];
    char uptime[32];
    char interval[32];
    interval_write(interval, sizeof interval, top->interval_ns);
    uptime_write(uptime, sizeof uptime, dxi_top_node_number(&top->model, "uptime_ns"));
    snprintf(right, sizeof right, " %s%s every %s", top->clock, top->paused ? " PAUSED" : "",
             interval);
    int at = dxi_grid_put(grid, 0, 0, DXI_INK_STRONG, "dx top");
    if (node != NULL) {
        at = dxi_grid_print(grid, 0, at, DXI_INK_STRONG, "  %s", text_of(node, "name"));
        at = dxi_grid_print(grid, 0, at, DXI_INK_PLAIN, "  %s  up %s", text_of(node, "version"),
                            uptime);
    }
    (void)dxi_grid_print(grid, 0, at, DXI_INK_PLAIN, "  %s", top->address);
    const int width = dxi_grid_width(right);
    if (width < grid->columns) {
        (void)dxi_grid_put(grid, 0, grid->columns - width,
                           top->paused ? DXI_INK_WARNING : DXI_INK_PLAIN, right);
    }
}

static void node_draw(const dxi_top_t *top, dxi_grid_t *grid)
{
    const dxi_top_model_t *const model = &top->model;
    (void)dxi_grid_print(grid, 1, 0, DXI_INK_PLAIN,
                         "in %s/s  out %s/s  bytes in %s/s  out %s/s  connections %s",
                         rate_text(&(dxi_text_t){0}, dxi_top_node_rate(model, "published")),
                         rate_text(&(dxi_text_t){0}, dxi_top_node_rate(model, "delivered")),
                         bytes_text(&(dxi_text_t){0}, dxi_top_node_rate(model, "bytes_in")),
                         bytes_text(&(dxi_text_t){0}, dxi_top_node_rate(model, "bytes_out")),
                         count_text(&(dxi_text_t){0}, dxi_top_node_number(model, "connections")));
    (void)dxi_grid_print(
        grid, 2, 0, DXI_INK_PLAIN,
        "latency p50 %s  p99 %s  max %s  dropped %s  refused %s  dead %s  kept %s",
        ns_text(&(dxi_text_t){0}, dxi_top_latency(model, "p50_ns")),
        ns_text(&(dxi_text_t){0}, dxi_top_latency(model, "p99_ns")),
        ns_text(&(dxi_text_t){0}, dxi_top_latency(model, "max_ns")),
        count_text(&(dxi_text_t){0}, dxi_top_node_number(model, "dropped")),
        count_text(&(dxi_text_t){0}, dxi_top_node_number(model, "refused")),
        count_text(&(dxi_text_t){0}, dxi_top_node_number(model, "dead")),
        bytes_text(&(dxi_text_t){0}, dxi_top_node_number(model, "retained_bytes")));
}

/* "[1 topics 12]  2 subscriptions 3"; without the counts where that is too long. */
static int screens_write(const dxi_top_t *top, dxi_grid_t *grid, bool with_counts)
{
    int at = 0;
    for (int i = 0; i < DXI_TOP_SCREENS; i++) {
        const dxi_top_screen_t screen = (dxi_top_screen_t)i;
        const bool shown = screen == top->screen;
        char count[40] = "";
        if (with_counts || shown) {
            snprintf(
                count, sizeof count, " %s",
                dxi_format_count(&(dxi_text_t){0}, (int64_t)dxi_top_count(&top->model, screen)));
        }
        at = dxi_grid_print(grid, 3, at, shown ? DXI_INK_TITLE : DXI_INK_PLAIN, "%s%d %s%s%s",
                            shown ? "[" : " ", i + 1, dxi_top_name(screen), count,
                            shown ? "]" : " ");
        at = dxi_grid_put(grid, 3, at, DXI_INK_PLAIN, " ");
    }
    return at;
}

static void head_draw(const dxi_top_t *top, dxi_grid_t *grid)
{
    first_line_draw(top, grid);
    node_draw(top, grid);
    if (screens_write(top, grid, true) >= grid->columns) {
        for (int i = 0; i < grid->columns; i++) {
            (void)dxi_grid_put(grid, 3, i, DXI_INK_PLAIN, " ");
        }
        (void)screens_write(top, grid, false);
    }
}

/* -------------------------------------------------------------------------------------- columns */

/* What a screen shows, from left to right. */
typedef struct layout {
    int count;
    int columns[DXI_TOP_COLUMNS_MAX]; /* of the screen */
    int widths[DXI_TOP_COLUMNS_MAX];
} layout_t;

static int layout_width(const dxi_top_column_t *columns, const layout_t *layout)
{
    int width = MARK_COLUMNS;
    for (int i = 0; i < layout->count; i++) {
        width += columns[layout->columns[i]].width + 1;
    }
    return width;
}

/* Leaves out the column that can be missed most. False when none can. The one that the rows are
 * sorted by stays. */
static bool layout_drop(const dxi_top_column_t *columns, int sorted, layout_t *layout)
{
    int worst = -1;
    for (int i = 0; i < layout->count; i++) {
        const int column = layout->columns[i];
        if (columns[column].drop > 0 && column != sorted &&
            (worst < 0 || columns[column].drop >= columns[layout->columns[worst]].drop)) {
            worst = i;
        }
    }
    if (worst < 0) {
        return false;
    }
    layout->count--;
    memmove(&layout->columns[worst], &layout->columns[worst + 1],
            (size_t)(layout->count - worst) * sizeof layout->columns[0]);
    return true;
}

/* How wide the longest first text is. */
static int texts_width(const dxi_top_t *top, int count, const char *key)
{
    int widest = 0;
    for (int i = 0; i < count; i++) {
        const int width = dxi_grid_width(text_of(top->model.rows[i].item, key));
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void layout_make(const dxi_top_t *top, int width, int rows, layout_t *layout)
{
    size_t count = 0;
    const dxi_top_column_t *const columns = dxi_top_columns(top->screen, &count);
    memset(layout, 0, sizeof *layout);
    for (size_t i = 0; i < count; i++) {
        layout->columns[layout->count++] = (int)i;
    }
    while (layout_width(columns, layout) > width &&
           layout_drop(columns, top->views[top->screen].column, layout)) {
    }
    for (int i = 0; i < layout->count; i++) {
        layout->widths[i] = columns[layout->columns[i]].width;
    }
    const int left = width - layout_width(columns, layout);
    const int wish = texts_width(top, rows, columns[0].key) - layout->widths[0];
    layout->widths[0] += wish < 0 || left < 0 ? 0 : wish < left ? wish : left;
}

static void titles_draw(const dxi_top_t *top, dxi_grid_t *grid, int row, const layout_t *layout)
{
    size_t count = 0;
    const dxi_top_column_t *const columns = dxi_top_columns(top->screen, &count);
    const dxi_top_view_t *const view = &top->views[top->screen];
    int at = MARK_COLUMNS;
    for (int i = 0; i < layout->count; i++) {
        const int number = layout->columns[i];
        const bool sorted = number == view->column;
        char title[40];
        snprintf(title, sizeof title, "%s%s", columns[number].title,
                 !sorted            ? ""
                 : view->descending ? " v"
                                    : " ^");
        dxi_grid_field(grid, row, at, layout->widths[i], columns[number].kind != DXI_TOP_TEXT,
                       DXI_INK_TITLE, title);
        at += layout->widths[i] + 1;
    }
}

static void row_draw(const dxi_top_t *top, dxi_grid_t *grid, int row, const layout_t *layout,
                     const dxi_top_row_t *item, bool selected)
{
    size_t count = 0;
    const dxi_top_column_t *const columns = dxi_top_columns(top->screen, &count);
    int at = MARK_COLUMNS;
    bool warns = false;
    if (selected) {
        (void)dxi_grid_put(grid, row, 0, DXI_INK_PLAIN, ">");
        dxi_grid_ink(grid, row, 0, grid->columns, DXI_INK_SELECTED);
    }
    for (int i = 0; i < layout->count; i++) {
        const dxi_top_column_t *const column = &columns[layout->columns[i]];
        const bool bad = dxi_top_cell_warns(&top->model, column, item->item, item->before);
        dxi_text_t text = {0};
        dxi_grid_field(grid, row, at, layout->widths[i], column->kind != DXI_TOP_TEXT,
                       bad        ? DXI_INK_WARNING
                       : selected ? DXI_INK_SELECTED
                                  : DXI_INK_PLAIN,
                       dxi_top_cell(&top->model, column, item->item, item->before, &text));
        at += layout->widths[i] + 1;
    }
    for (size_t i = 0; i < count; i++) { /* those that are left out, too */
        warns = warns || dxi_top_cell_warns(&top->model, &columns[i], item->item, item->before);
    }
    if (warns) {
        (void)dxi_grid_put(grid, row, 1, DXI_INK_WARNING, "!");
    }
}

/* ----------------------------------------------------------------------------------------- list */

static void empty_draw(const dxi_top_t *top, dxi_grid_t *grid)
{
    const char *const sentence = top->model.now == NULL ? "The node has not answered yet"
                                 : top->filter[0] != '\0'
                                     ? "Nothing has that in it; Esc drops the filter"
                                     : "There are none";
    (void)dxi_grid_put(grid, HEAD_ROWS + 1, MARK_COLUMNS, DXI_INK_QUIET, sentence);
}

static void list_draw(dxi_top_t *top, dxi_grid_t *grid)
{
    dxi_top_view_t *const view = &top->views[top->screen];
    layout_t layout;
    const int count =
        dxi_top_rows(&top->model, top->screen, top->filter, view->column, view->descending);
    const int selected = dxi_top_selected(top, count);
    layout_make(top, grid->columns, count, &layout);
    titles_draw(top, grid, HEAD_ROWS - 1, &layout);
    if (count <= 0) {
        empty_draw(top, grid);
        return;
    }
    view->place = selected;
    view->first = view->first > selected ? selected : view->first;
    view->first = selected >= view->first + top->lines ? selected - top->lines + 1 : view->first;
    if (view->first > count - top->lines) { /* as many as fit */
        view->first = count > top->lines ? count - top->lines : 0;
    }
    for (int i = 0; i < top->lines && view->first + i < count; i++) {
        row_draw(top, grid, HEAD_ROWS + i, &layout, &top->model.rows[view->first + i],
                 view->first + i == selected);
    }
}

/* --------------------------------------------------------------------------------------- detail */

/* Lines that may be more than fit: those before `first` are counted and not drawn. */
typedef struct lines {
    dxi_grid_t *grid;
    int first;
    int count;
} lines_t;

/* The row of the next line, or -1. */
static int line_next(lines_t *lines)
{
    const int row = HEAD_ROWS + lines->count++ - lines->first;
    return row >= HEAD_ROWS && row < lines->grid->rows - FOOT_ROWS ? row : -1;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t bytes = strlen(text);
    const size_t end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

/* A value by what its key says of its unit. */
static void value_write(char *room, size_t bytes, const char *key, const json_t *value)
{
    if (json_is_string(value)) {
        snprintf(room, bytes, "%s", json_string_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(room, bytes, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_real(value)) {
        snprintf(room, bytes, "%s", dxi_format_decimal(&(dxi_text_t){0}, json_real_value(value)));
    } else if (!json_is_integer(value)) {
        snprintf(room, bytes, "-");
    } else if (ends_with(key, "_ns")) {
        snprintf(room, bytes, "%s", dxi_format_ns(&(dxi_text_t){0}, json_integer_value(value)));
    } else if (strstr(key, "bytes") != NULL) {
        snprintf(room, bytes, "%s",
                 dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)json_integer_value(value)));
    } else {
        snprintf(room, bytes, "%s", dxi_format_count(&(dxi_text_t){0}, json_integer_value(value)));
    }
}

/* Whether a number only grows, so that its growth a second says something. */
static bool is_counter(const char *key)
{
    static const char *const gauges[] = {"subscriptions",  "lag",        "lag_max",
                                         "depth",          "pending",    "first_sequence",
                                         "last_sequence",  "used_slots", "retained_events",
                                         "retained_bytes", "producers",  "send_queue_bytes"};
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        if (strcmp(key, gauges[i]) == 0) {
            return false;
        }
    }
    return !ends_with(key, "_ns");
}

/* "published  1,234   +120/s": what grew is told with its rate. */
static void value_draw(const dxi_top_t *top, lines_t *lines, const char *prefix, const char *key,
                       const json_t *value, const json_t *old)
{
    char label[80];
    char text[1100];
    const int row = line_next(lines);
    if (row < 0) {
        return;
    }
    snprintf(label, sizeof label, "%s%s", prefix, key);
    value_write(text, sizeof text, key, value);
    dxi_grid_field(lines->grid, row, MARK_COLUMNS, LABEL_COLUMNS, 0, DXI_INK_QUIET, label);
    const int at =
        dxi_grid_put(lines->grid, row, MARK_COLUMNS + LABEL_COLUMNS + 1, DXI_INK_PLAIN, text);
    const double growth = json_is_integer(value) && json_is_integer(old)
                              ? (double)(json_integer_value(value) - json_integer_value(old))
                              : 0;
    if (growth > 0 && top->model.seconds > 0 && is_counter(key)) {
        const double rate = growth / top->model.seconds;
        (void)dxi_grid_print(lines->grid, row, at + 2, DXI_INK_STRONG, "+%s/s",
                             strstr(key, "bytes") != NULL ? bytes_text(&(dxi_text_t){0}, rate)
                                                          : rate_text(&(dxi_text_t){0}, rate));
    }
}

/* Numbers and texts first, then objects in it, as options; lists are shown elsewhere. */
static void object_draw(const dxi_top_t *top, lines_t *lines, json_t *item, const json_t *before)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(item, key, value)
    {
        if (!json_is_array(value) && !json_is_object(value)) {
            value_draw(top, lines, "", key, value, json_object_get(before, key));
        }
    }
    json_object_foreach(item, key, value)
    {
        char prefix[64];
        const char *inner_key = NULL;
        json_t *inner = NULL;
        snprintf(prefix, sizeof prefix, "%s.", key);
        json_object_foreach(value, inner_key, inner)
        {
            value_draw(top, lines, prefix, inner_key, inner, NULL);
        }
    }
}

/* Whether a subscription belongs to what is shown. */
static bool is_related(const dxi_top_t *top, const json_t *item, const json_t *subscription)
{
    if (top->screen == DXI_TOP_CONNECTIONS) {
        return json_integer_value(json_object_get(subscription, "connection")) ==
               json_integer_value(json_object_get(item, "id"));
    }
    if (top->screen == DXI_TOP_TOPICS) {
        const char *const pattern = text_of(subscription, "pattern");
        const char *const name = text_of(item, "name");
        return dxi_pattern_matches(pattern, strlen(pattern), name, strlen(name));
    }
    return false;
}

/* Who listens to a topic, or what a connection listens to. */
static void related_draw(const dxi_top_t *top, lines_t *lines, const json_t *item)
{
    size_t number = 0;
    json_t *subscription = NULL;
    bool titled = false;
    json_array_foreach(json_object_get(top->model.now, "subscriptions"), number, subscription)
    {
        if (!is_related(top, item, subscription)) {
            continue;
        }
        if (!titled) {
            (void)line_next(lines);
            const int row = line_next(lines);
            (void)dxi_grid_put(lines->grid, row, MARK_COLUMNS, DXI_INK_TITLE,
                               "subscription                connection     pending         lag");
            titled = true;
        }
        char label[400];
        const int row = line_next(lines);
        snprintf(label, sizeof label, "%s %s", text_of(subscription, "pattern"),
                 text_of(subscription, "name"));
        dxi_grid_field(lines->grid, row, MARK_COLUMNS, LABEL_COLUMNS, 0, DXI_INK_PLAIN, label);
        static const char *const keys[] = {"connection", "pending", "lag"};
        for (int i = 0; i < 3; i++) {
            dxi_grid_field(
                lines->grid, row, MARK_COLUMNS + LABEL_COLUMNS + 1 + i * 12, 11, 1, DXI_INK_PLAIN,
                dxi_format_count(&(dxi_text_t){0},
                                 json_integer_value(json_object_get(subscription, keys[i]))));
        }
    }
}

static void detail_draw(dxi_top_t *top, dxi_grid_t *grid)
{
    dxi_top_view_t *const view = &top->views[top->screen];
    json_t *const item = json_object_get(top->model.items[top->screen], view->selected);
    (void)dxi_grid_print(grid, HEAD_ROWS - 1, MARK_COLUMNS, DXI_INK_TITLE, "%.*s %s",
                         (int)strlen(dxi_top_name(top->screen)) - 1, dxi_top_name(top->screen),
                         item != NULL && text_of(item, "name")[0] != '\0' ? text_of(item, "name")
                                                                          : view->selected);
    if (item == NULL) {
        (void)dxi_grid_put(grid, HEAD_ROWS + 1, MARK_COLUMNS, DXI_INK_WARNING,
                           "It is gone; Esc goes back");
        return;
    }
    const json_t *const before =
        json_object_get(top->model.items_before[top->screen], view->selected);
    lines_t lines = {.grid = grid, .first = top->detail_first};
    object_draw(top, &lines, item, before);
    related_draw(top, &lines, item);
    if (lines.count - lines.first < top->lines) { /* scrolled too far: as many as fit */
        const int first = lines.count > top->lines ? lines.count - top->lines : 0;
        if (first != top->detail_first) {
            top->detail_first = first;
            for (int row = HEAD_ROWS; row < grid->rows; row++) {
                for (int column = 0; column < grid->columns; column++) {
                    (void)dxi_grid_put(grid, row, column, DXI_INK_PLAIN, " ");
                }
            }
            detail_draw(top, grid);
        }
    }
}

/* ----------------------------------------------------------------------------------------- help */

static const char *const HELP[] = {
    "1 to 5, Tab, left and right   another screen",
    "up and down, Page, Home, End  move the cursor (also k j g G)",
    "Enter                         all about the row of the cursor; Esc goes back",
    "< >                           sort by another column; r the other way round",
    "/                             only rows with a text; Esc drops it",
    "p, space                      pause: nothing changes until it is pressed again",
    "+ -                           look less often, more often",
    "Ctrl-L                        draw everything anew",
    "q, Ctrl-C                     the end",
    "",
    "\">\" is the cursor, \"v\" and \"^\" show the order, \"!\" a row in which something is",
    "wrong: a count of losses has grown, a ring is 80 % full, a loop is 90 % busy.",
    "\"in/s\" and \"out/s\" are events a second between the last two looks.",
    "Latency: from the publisher's claim to the hand-over, in the last 10 seconds.",
};

static void help_draw(dxi_grid_t *grid)
{
    (void)dxi_grid_put(grid, HEAD_ROWS - 1, MARK_COLUMNS, DXI_INK_TITLE, "Keys");
    for (size_t i = 0; i < sizeof HELP / sizeof HELP[0]; i++) {
        (void)dxi_grid_put(grid, HEAD_ROWS + (int)i, MARK_COLUMNS, DXI_INK_PLAIN, HELP[i]);
    }
}

static void foot_draw(const dxi_top_t *top, dxi_grid_t *grid, int64_t now_ns)
{
    const int row = grid->rows - 1;
    for (int i = 0; i < grid->columns; i++) {
        (void)dxi_grid_put(grid, row, i, DXI_INK_PLAIN, " ");
    }
    if (top->mode == DXI_TOP_FILTER) {
        (void)dxi_grid_print(grid, row, 0, DXI_INK_STRONG, "/%s_  Enter keeps it, Esc drops it",
                             top->filter);
    } else if (top->trouble[0] != '\0') {
        (void)dxi_grid_print(grid, row, 0, DXI_INK_ERROR, "! no answer for %s: %s; trying again",
                             dxi_format_ns(&(dxi_text_t){0}, now_ns - top->trouble_ns),
                             top->trouble);
    } else if (top->mode == DXI_TOP_HELP) {
        (void)dxi_grid_put(grid, row, 0, DXI_INK_QUIET, "Any key goes back");
    } else if (top->mode == DXI_TOP_DETAIL) {
        (void)dxi_grid_put(grid, row, 0, DXI_INK_QUIET,
                           "Esc back  up, down scroll  p pause  ? help  q quit");
    } else if (top->filter[0] != '\0') {
        (void)dxi_grid_print(grid, row, 0, DXI_INK_STRONG,
                             "only with \"%s\" (Esc drops it)  / change  ? help  q quit",
                             top->filter);
    } else {
        (void)dxi_grid_put(grid, row, 0, DXI_INK_QUIET,
                           "/ filter  < > sort  r reverse  Enter details  p pause  ? help  q quit");
    }
}

void dxi_top_draw(dxi_top_t *top, dxi_grid_t *grid, int64_t now_ns)
{
    dxi_grid_clear(grid);
    top->lines = grid->rows - HEAD_ROWS - FOOT_ROWS;
    top->lines = top->lines < 1 ? 1 : top->lines;
    head_draw(top, grid);
    if (top->mode == DXI_TOP_HELP) {
        help_draw(grid);
    } else if (top->mode == DXI_TOP_DETAIL) {
        detail_draw(top, grid);
    } else {
        list_draw(top, grid);
    }
    foot_draw(top, grid, now_ns);
}

int dxi_top_print(dxi_top_t *top, FILE *stream, int columns)
{
    dxi_top_view_t *const view = &top->views[top->screen];
    dxi_grid_t grid;
    layout_t layout;
    const int count =
        dxi_top_rows(&top->model, top->screen, top->filter, view->column, view->descending);
    if (count < 0 || dxi_grid_init(&grid, HEAD_ROWS, columns) != DX_OK) {
        return DX_ENOMEM;
    }
    head_draw(top, &grid);
    layout_make(top, grid.columns, count, &layout);
    titles_draw(top, &grid, HEAD_ROWS - 1, &layout);
    dxi_grid_write(&grid, stream);
    for (int i = 0; i < count; i++) { /* row after row: there may be more than a grid has */
        dxi_grid_clear(&grid);
        row_draw(top, &grid, 0, &layout, &top->model.rows[i], false);
        char line[4 * DXI_GRID_COLUMNS_MAX + 1];
        (void)dxi_grid_line(&grid, 0, line, sizeof line);
        fprintf(stream, "%s\n", line);
    }
    dxi_grid_close(&grid);
    return DX_OK;
}
