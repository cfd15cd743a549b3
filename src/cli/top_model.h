/* cli/top_model.h - what `dx top` knows of a node: two looks, and tables made of them.
 *
 * A look is one JSON object, as the node answers it: "node", and arrays of "topics",
 * "subscriptions", "connections", "rings" and "loops". Numbers a second are the difference of two
 * looks over the time between them.
 *
 * Pure: no clock, no terminal, no connection.
 *
 * Threads: one model belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TOP_MODEL_H
#define DXI_CLI_TOP_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/format.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef enum dxi_top_screen {
    DXI_TOP_TOPICS = 0,
    DXI_TOP_SUBSCRIPTIONS = 1,
    DXI_TOP_CONNECTIONS = 2,
    DXI_TOP_RINGS = 3,
    DXI_TOP_LOOPS = 4,
    DXI_TOP_SCREENS = 5
} dxi_top_screen_t;

typedef enum dxi_top_kind {
    DXI_TOP_TEXT,
    DXI_TOP_COUNT,
    DXI_TOP_REAL, /* a number that is a rate already */
    DXI_TOP_RATE, /* of a count, a second */
    DXI_TOP_BYTES,
    DXI_TOP_BYTES_RATE,
    DXI_TOP_NS,
    DXI_TOP_SHARE,     /* of `whole`, another key */
    DXI_TOP_TIME_SHARE /* of a time in ns that grows, over the time between two looks */
} dxi_top_kind_t;

#define DXI_TOP_COLUMNS_MAX 16

typedef struct dxi_top_column {
    const char *title;
    const char *key;
    dxi_top_kind_t kind;
    int width; /* of the first text: at least this, it takes what is left */
    int drop;  /* left out where the screen is narrow, the highest first; 0: never */
    const char *whole;
    double warn_above; /* SHARE: from here on it is marked; 0: never */
    bool warn_growth;  /* COUNT: it is marked when it has grown since the look before */
} dxi_top_column_t;

/* The columns and the name of a screen. Threads: any. */
const dxi_top_column_t *dxi_top_columns(dxi_top_screen_t screen, size_t *count_out);
const char *dxi_top_name(dxi_top_screen_t screen);

/* A column by its title or key, whatever the case; -1: none. Threads: any. */
int dxi_top_column_find(dxi_top_screen_t screen, const char *name);

/* One line of a screen; all of it is the model's, and valid until the next dxi_top_model_take(). */
typedef struct dxi_top_row {
    const char *identity; /* the same in each look */
    const json_t *item;
    const json_t *before; /* NULL: it is new */
    double number;        /* by what it is sorted */
    const char *text;
} dxi_top_row_t;

typedef struct dxi_top_model {
    json_t *now; /* NULL: nothing yet */
    json_t *before;
    json_t *items[DXI_TOP_SCREENS];        /* of `now`, by identity */
    json_t *items_before[DXI_TOP_SCREENS]; /* of `before` */
    double seconds;                        /* between them; 0: there is only one */
    int64_t taken_ns;
    dxi_top_row_t *rows; /* of dxi_top_rows() */
    size_t row_room;
} dxi_top_model_t;

/* Takes a look over, which then belongs to the model.
 * Returns DX_OK, DX_ENOMEM (the model has nothing then). */
DX_NODISCARD int dxi_top_model_take(dxi_top_model_t *model, json_t *look, int64_t taken_ns);
void dxi_top_model_close(dxi_top_model_t *model);

/* The rows of a screen whose texts have `filter` in them (NULL, "": all), sorted by a column.
 * Returns how many are in model->rows, or DX_ENOMEM. */
int dxi_top_rows(dxi_top_model_t *model, dxi_top_screen_t screen, const char *filter, int column,
                 bool descending);

/* The number of a cell; NaN where there is none. */
double dxi_top_number(const dxi_top_model_t *model, const dxi_top_column_t *column,
                      const json_t *item, const json_t *before);

/* A cell as text, "-" where there is no number yet. `text` is room for what is no text. */
const char *dxi_top_cell(const dxi_top_model_t *model, const dxi_top_column_t *column,
                         const json_t *item, const json_t *before, dxi_text_t *text);

/* Whether a cell should be marked. */
bool dxi_top_cell_warns(const dxi_top_model_t *model, const dxi_top_column_t *column,
                        const json_t *item, const json_t *before);

/* How many items a screen has. */
size_t dxi_top_count(const dxi_top_model_t *model, dxi_top_screen_t screen);

/* A number of the node itself, and a second; NaN where there is none. */
double dxi_top_node_number(const dxi_top_model_t *model, const char *key);
double dxi_top_node_rate(const dxi_top_model_t *model, const char *key);

/* The node's latency by its key, "p99_ns": that of all topics where the node says it, else that of
 * the slowest topic. */
double dxi_top_latency(const dxi_top_model_t *model, const char *key);

/* All of it as one JSON object, with what the columns make of two looks: "published_per_s". NULL:
 * no memory, or nothing yet. The caller's. */
json_t *dxi_top_json(const dxi_top_model_t *model);

#endif
