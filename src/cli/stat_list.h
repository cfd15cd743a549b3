/* cli/stat_list.h - the shared rings of a folder at work, one line each.
 *
 * Threads: main.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_STAT_LIST_H
#define DXI_CLI_STAT_LIST_H

#include <stdio.h>

#include "cli/json.h"
#include "cli/ring_file.h"
#include "cli/table.h"

/* One ring at one moment. */
typedef struct dxi_stat_row {
    dx_ring_file_t file;
    int code; /* DX_OK: what follows is there; else why it could not be attached to */
    int64_t taken_ns;
    ino_t inode;
    dx_ring_stat_t ring;
    double rate; /* published per second since the look before; negative: unknown */
} dxi_stat_row_t;

typedef struct dxi_stat_list {
    int32_t count;
    int32_t count_before;
    dxi_stat_row_t rows[DXI_TABLE_ROWS_MAX];
    dxi_stat_row_t before[DXI_TABLE_ROWS_MAX];
} dxi_stat_list_t;

/* Looks at all rings of the folder; the list begins as zeros.
 * Returns DX_OK or as dx_ring_list(). */
DX_NODISCARD int dxi_stat_list_look(dxi_stat_list_t *list, const char *folder, bool any_owner,
                                    dx_error_t *error);

void dxi_stat_list_print(const dxi_stat_list_t *list, const char *folder, FILE *stream);
void dxi_stat_list_json(const dxi_stat_list_t *list, const char *folder, dxi_json_t *json);

#endif
