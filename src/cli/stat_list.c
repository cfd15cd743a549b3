/* stat_list.c - the shared rings of a folder at work.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/stat_list.h"

#include <math.h>
#include <string.h>

#include "base/format.h"
#include "cli/output.h"
#include "cli/stat_print.h"
#include "disruptorx/clock.h"

static void store(void *context, const dx_ring_file_t *file)
{
    dxi_stat_list_t *const list = context;
    if (!file->unfinished && list->count < DXI_TABLE_ROWS_MAX) {
        list->rows[list->count++] = (dxi_stat_row_t){.file = *file, .code = file->code, .rate = -1};
    }
}

/* The rate since the look before, where that was at the same ring. */
static double rate_of(const dxi_stat_list_t *list, const dxi_stat_row_t *row)
{
    for (int32_t i = 0; i < list->count_before; i++) {
        const dxi_stat_row_t *const was = &list->before[i];
        if (was->code == DX_OK && was->inode == row->inode && row->taken_ns > was->taken_ns &&
            row->ring.published >= was->ring.published &&
            strcmp(was->file.name, row->file.name) == 0) {
            return (double)(row->ring.published - was->ring.published) * 1e9 /
                   (double)(row->taken_ns - was->taken_ns);
        }
    }
    return -1;
}

int dxi_stat_list_look(dxi_stat_list_t *list, const char *folder, bool any_owner, dx_error_t *error)
{
    memcpy(list->before, list->rows, sizeof list->rows);
    list->count_before = list->count;
    list->count = 0;
    const int listed = dx_ring_list(folder, store, list, error);
    for (int32_t i = 0; i < list->count; i++) {
        dxi_stat_row_t *const row = &list->rows[i];
        dxi_ring_place_t place;
        dxi_ring_view_t view;
        if (row->code == DX_OK) {
            row->code = dxi_ring_place_parse(row->file.name, folder, &place, NULL);
        }
        if (row->code == DX_OK) {
            row->code = dxi_ring_view_open(&place, any_owner, &view, NULL);
        }
        if (row->code == DX_OK) {
            row->taken_ns = dx_clock_ns();
            row->inode = view.inode;
            dx_ring_stat(view.ring, &row->ring);
            dxi_ring_view_close(&view);
            row->rate = rate_of(list, row);
        }
    }
    return listed < 0 ? listed : DX_OK;
}

static void add_row(dxi_table_t *table, const dxi_stat_row_t *row)
{
    const dx_ring_stat_t *const ring = &row->ring;
    const bool is_there = row->code == DX_OK;
    dxi_table_style(table, !is_there                 ? DXI_STYLE_ERROR
                           : row->file.attached == 0 ? DXI_STYLE_WARNING
                                                     : DXI_STYLE_PLAIN);
    dxi_table_cell(table, "%s", dxi_format_name(&(dxi_text_t){0}, row->file.name));
    if (!is_there) {
        dxi_table_cell(table, "%s", dx_error_text(row->code));
        for (int i = 0; i < 7; i++) {
            dxi_table_cell(table, "-");
        }
        return;
    }
    dxi_table_cell(table, "%s",
                   ring->closed              ? "closed"
                   : row->file.attached == 0 ? "orphan"
                                             : "open");
    dxi_table_cell(table, "%s%s", ring->mode == DX_RING_MULTI ? "multi" : "single",
                   ring->spans ? ", spans" : "");
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, (int64_t)ring->slot_count));
    dxi_table_cell(table, "%s",
                   dxi_format_share(&(dxi_text_t){0}, ring->depth, (int64_t)ring->slot_count));
    dxi_table_cell(table, "%s", dxi_format_rate(&(dxi_text_t){0}, row->rate));
    dxi_table_cell(table, "%d", ring->producers);
    dxi_table_cell(table, "%d", ring->consumers);
    dxi_table_cell(table, "%d", row->file.attached);
}

void dxi_stat_list_print(const dxi_stat_list_t *list, const char *folder, FILE *stream)
{
    static const dxi_column_t columns[] = {
        {"ring", DXI_ALIGN_LEFT, 0},       {"state", DXI_ALIGN_LEFT, 0},
        {"mode", DXI_ALIGN_LEFT, 2},       {"slots", DXI_ALIGN_RIGHT, 3},
        {"full", DXI_ALIGN_RIGHT, 0},      {"events/s", DXI_ALIGN_RIGHT, 0},
        {"producers", DXI_ALIGN_RIGHT, 4}, {"consumers", DXI_ALIGN_RIGHT, 4},
        {"processes", DXI_ALIGN_RIGHT, 1},
    };
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (list->count == 0) {
        fprintf(stream, "No shared ring in %s. dx demo shared makes one to look at.\n", folder);
        return;
    }
    if (dxi_table_create(columns, sizeof columns / sizeof columns[0], &table, &error) != DX_OK) {
        fprintf(stream, "%s\n", error.message);
        return;
    }
    for (int32_t i = 0; i < list->count; i++) {
        add_row(table, &list->rows[i]);
    }
    dxi_table_print(table, stream, 0, dxi_output_width(stream));
    dxi_table_destroy(table);
}

void dxi_stat_list_json(const dxi_stat_list_t *list, const char *folder, dxi_json_t *json)
{
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "folder", folder);
    dxi_json_array_begin(json, "rings");
    for (int32_t i = 0; i < list->count; i++) {
        const dxi_stat_row_t *const row = &list->rows[i];
        dxi_json_object_begin(json, NULL);
        dxi_json_text(json, "name", row->file.name);
        dxi_json_text(json, "code", dx_error_name(row->code));
        dxi_json_integer(json, "attached", row->file.attached);
        if (row->code == DX_OK) {
            dxi_json_text(json, "mode", row->ring.mode == DX_RING_MULTI ? "multi" : "single");
            dxi_json_boolean(json, "spans", row->ring.spans);
            dxi_json_boolean(json, "closed", row->ring.closed);
            dxi_json_integer(json, "slots", row->ring.slot_count);
            dxi_json_integer(json, "slot_bytes", row->ring.slot_bytes);
            dxi_json_integer(json, "published", row->ring.published);
            dxi_json_integer(json, "depth", row->ring.depth);
            dxi_json_real(json, "published_per_second", row->rate < 0 ? (double)NAN : row->rate);
            dxi_json_integer(json, "producers", row->ring.producers);
            dxi_json_integer(json, "consumers", row->ring.consumers);
        }
        dxi_json_object_end(json);
    }
    dxi_json_array_end(json);
    dxi_json_object_end(json);
}
