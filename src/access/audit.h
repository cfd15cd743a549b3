/* access/audit.h - the audit log: lines in a bounded buffer, and a thread that writes them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_AUDIT_H
#define DXI_ACCESS_AUDIT_H

#include "access/access.h"

#define DXI_AUDIT_BUFFER_BYTES ((size_t)1048576) /* of lines that are not written yet */
#define DXI_AUDIT_LINE_BYTES_MAX 4096
#define DXI_AUDIT_REFUSALS_PER_S 20 /* lines of one user at one host; more are counted */

typedef struct dxi_audit dxi_audit_t;

typedef struct dxi_audit_stat {
    uint64_t lines, lost, suppressed, failures;
    bool failing;
} dxi_audit_stat_t;

/* Without a file and without a thread. Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_audit_create(dx_log_t *log, dxi_audit_t **audit_out, dx_error_t *error);
/* Writes what can be written without waiting for room on the disk. NULL is allowed.
 * Threads: owner. */
void dxi_audit_destroy(dxi_audit_t *audit);

/* As dxi_access_audit(), _audit_begin(), _audit_move(), _audit_flush() of access.h.
 * Threads: any. */
void dxi_audit_put(dxi_audit_t *audit, const dxi_access_event_t *event);
DX_NODISCARD int dxi_audit_begin(dxi_audit_t *audit, dx_error_t *error);
DX_NODISCARD int dxi_audit_move(dxi_audit_t *audit, int fd, dx_error_t *error);
void dxi_audit_flush(dxi_audit_t *audit, int64_t timeout_ns);
void dxi_audit_stat(dxi_audit_t *audit, dxi_audit_stat_t *stat_out);

/* Writes an event as a line, with its newline and a NUL. Returns its length. Threads: any. */
size_t dxi_audit_line(const dxi_access_event_t *event, int64_t realtime_ns,
                      char line_out[DXI_AUDIT_LINE_BYTES_MAX]);

#endif
